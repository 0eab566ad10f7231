/*
 * control.c - a role's line to the supervisor, and its life.
 *
 * The supervisor is trusted: it is this very program (the same file, even
 * while a newer one is installed) and it made us. A word from it that is
 * not understood is a bug, and ends the process.
 */
#include "role/control.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/loop.h"
#include "ipc/codec.h"
#include "role/role.h"
#include "role/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static struct control self;
static const struct role *role;
static int sink = -1;			/* where log lines go */
static struct watch line;

const struct control *
control_self(void)
{
	return &self;
}

_Noreturn void
control_fail(const char *event, struct span why)
{
	log_event(LOG_LEVEL_ERROR, event, log_text("error", why));
	_exit(1);
}

static void
send_note(enum verb verb, const void *note)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };

	codec_encode(&f, verb, FRAME_NOTE, 0, note);
	if (frame_send(CONTROL_FD, &f, true) != 1)
		_exit(1);
	frame_free(&f);
}

void
control_ready(void)
{
	struct ready_note note = { 0 };

	send_note(VERB_ready, &note);
}

void
control_dkim_used(struct span domain, struct span selector)
{
	struct dkim_used_note note = { .domain = domain,
	    .selector = selector };

	send_note(VERB_dkim_used, &note);
}

void
control_done(void)
{
	loop_stop();
}

/* ---- what everybody is told -------------------------------------------- */

/* Lines under way go to the old place or the new one, never elsewhere. */
static void
take_sink(const struct log_sink_note *n)
{
	if (n->sink < 0)
		return;
	if (sink < 0) {
		sink = n->sink;
	} else {
		dup3(n->sink, sink, O_CLOEXEC);
		close(n->sink);
	}
	log_open(sink, n->format <= LOG_FORMAT_JOURNAL ?
	    (enum log_format)n->format : LOG_FORMAT_TEXT,
	    role_name(self.role));
}

static void
take_settings(const struct settings_note *n)
{
	struct text why = TEXT_INIT(1024);

	if (settings_decode(&self.settings, n->values.bytes, &why) != 1)
		control_fail("role.settings", text_span(&why));
	log_set_level(log_level_named(self.settings.log_level));
	text_free(&why);
	if (role->events->settings != NULL)
		role->events->settings(&self.settings);
}

static void
take_counters(const struct counters_note *n)
{
	void *p;

	if (n->role != (uint32_t)self.role || n->instance != self.instance) {
		if (role->events->counters != NULL)
			role->events->counters((enum role_bit)n->role,
			    n->instance, n->memory);
		else
			close(n->memory);
		return;
	}
	p = mmap(NULL, METRIC_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
	    n->memory, 0);
	if (p != MAP_FAILED)
		metric_open(p);
	close(n->memory);
}

/* ---- the line ---------------------------------------------------------- */

#define TELL(event, ...)						\
	do {								\
		must(role->events->event != NULL);			\
		role->events->event(__VA_ARGS__);			\
	} while (0)

static void
take_note(enum verb verb, const union any_message *m)
{
	switch (verb) {
	case VERB_log_sink:
		take_sink(&m->log_sink_note);
		break;
	case VERB_settings:
		take_settings(&m->settings_note);
		break;
	case VERB_counters:
		take_counters(&m->counters_note);
		break;
	case VERB_certificate:
		TELL(certificate, m->certificate_note.chain.bytes,
		    m->certificate_note.ticket_key);
		break;
	case VERB_private_key:
		TELL(private_key, m->private_key_note.pem);
		break;
	case VERB_dkim_secrets:
		TELL(dkim_secrets, m->dkim_secrets_note.keys.bytes);
		break;
	case VERB_grant_key:
		TELL(grant_key, m->grant_key_note.key);
		break;
	case VERB_trust:
		TELL(trust, m->trust_note.authorities.bytes);
		break;
	case VERB_routes:
		TELL(routes, m->routes_note.routes.bytes);
		break;
	case VERB_login_trust:
		TELL(login_trust, m->login_trust_note.authorities.bytes,
		    m->login_trust_note.token_keys.bytes);
		break;
	case VERB_token_secret:
		TELL(token_secret, m->token_secret_note.secret);
		break;
	case VERB_dns_setup:
		TELL(dns_setup, m->dns_setup_note.resolv_conf.bytes,
		    m->dns_setup_note.trust_anchor.bytes,
		    m->dns_setup_note.root_hints.bytes);
		break;
	case VERB_listen:
		TELL(listen, (enum protocol)m->listen_note.protocol,
		    m->listen_note.socket);
		break;
	case VERB_peer:
		TELL(peer, (enum role_bit)m->peer_note.role,
		    m->peer_note.instance, m->peer_note.socket);
		break;
	case VERB_start:
		TELL(start);
		break;
	case VERB_stop:
		TELL(stop, (int64_t)MIN(m->stop_note.grace_ms, INT64_MAX));
		break;
	default:
		must(false && "a note without a hearer");
	}
}

/* 1, 0 there is none now. */
static int
next_note(char *buffer)
{
	union any_message m;
	struct frame_in f;
	int r = frame_receive(CONTROL_FD, &f, buffer, false);

	if (r == -1 && errno == EAGAIN)
		return 0;
	if (r == 0)
		_exit(0);	/* the supervisor is gone: so are we */
	must(r == 1 && f.kind == FRAME_NOTE &&
	    (codecs[f.verb].from & SUPERVISOR) != 0 &&
	    (codecs[f.verb].to & (unsigned)self.role) != 0);
	must(codec_decode(&f, &m) == 1);
	take_note((enum verb)f.verb, &m);
	codec_release((enum verb)f.verb, FRAME_NOTE, &m, false);
	return 1;
}

static void
on_line(struct watch *w, uint32_t events)
{
	char *buffer = xmalloc(FRAME_MAX);

	(void)w;
	(void)events;
	while (next_note(buffer) == 1)
		;
	explicit_bzero(buffer, FRAME_MAX);
	free(buffer);
}

/* ---- from birth to death ----------------------------------------------- */

/* Ctrl-C reaches the whole group: the supervisor alone decides. */
static void
ignore_signals(void)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		signal(ours[i], SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

_Noreturn void
role_main(const char *name, const char *instance)
{
	struct text why = TEXT_INIT(1024);
	uint32_t n;

	role = role_by_name(name);
	if (role == NULL || span_u32(span_str(instance), &n) != 1)
		_exit(2);
	self.role = role->bit;
	self.instance = n;
	settings_default(&self.settings);
	log_open(STDERR_FILENO, LOG_FORMAT_TEXT, name);
	ignore_signals();
	prctl(PR_SET_NAME, name);
	tzset();		/* a file, to be read while there are files */
	if (role->events->prepare != NULL)
		role->events->prepare();
	if (sandbox_enter(role->bit, &why) != 1)
		control_fail("role.sandbox", text_span(&why));
	if (loop_open() != 1)
		control_fail("role.loop", span_str(strerrordesc_np(errno)));
	line = (struct watch){ .fd = CONTROL_FD, .fn = on_line };
	if (watch_set(&line, EPOLLIN) != 1)
		control_fail("role.loop", span_str(strerrordesc_np(errno)));
	loop_run();
	_exit(0);
}
