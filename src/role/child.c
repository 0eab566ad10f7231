/*
 * child.c - one process of a role: its start, its death, its return.
 *
 * Sending never waits: a child whose line is full does not read it, and is
 * ended. What a child says is not trusted.
 */
#include "role/child.h"
#include "base/log.h"
#include "base/metric.h"
#include "ipc/codec.h"
#include "role/control.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BACK_OFF_FIRST = 50,		/* ms; doubles */
	BACK_OFF_SERVED = 800,		/* most, for one that had been ready */
	BACK_OFF_LONGEST = 30000,
	STEADY = 5000,			/* up so long: failures are forgotten */
};

struct household household;

/* ---- telling ----------------------------------------------------------- */

static void
tell(struct child *c, enum verb verb, const void *note)
{
	static struct frame f;

	if (c->pid == 0 || (codecs[verb].to & (unsigned)c->role->bit) == 0)
		return;
	codec_encode(&f, verb, FRAME_NOTE, 0, note);
	if (frame_send(c->line.fd, &f, false) != 1 && errno != EPIPE &&
	    errno != ECONNRESET)
		child_kill(c, "its line is full");
	frame_clear(&f);
}

static void
tell_log(struct child *c)
{
	struct log_sink_note note = { .format = household.log_format,
	    .sink = household.log_fd };

	tell(c, VERB_log_sink, &note);
}

static void
tell_settings(struct child *c)
{
	struct text t = TEXT_INIT(1 << 20);
	struct settings_note note;

	settings_encode(&household.settings, &t);
	note = (struct settings_note){ .values = BLOB_OF(text_span(&t)) };
	tell(c, VERB_settings, &note);
	text_free(&t);
}

/* The key first: whoever shows the certificate wants signatures. */
static void
tell_certificate(struct child *c)
{
	const struct certificate *have = &household.certificate;
	struct private_key_note key = { .pem = have->key };
	struct certificate_note chain = {
		.chain = BLOB_OF(text_span(&have->chain)),
		.ticket_key = span_of(household.ticket_key,
		    sizeof(household.ticket_key)),
	};

	if (have->key >= 0)
		tell(c, VERB_private_key, &key);
	tell(c, VERB_certificate, &chain);	/* empty: no TLS */
}

/* Tokens are judged by the store alone. */
static void
tell_login(struct child *c)
{
	struct outside *have = &household.outside;
	struct login_trust_note trust = {
		.authorities = BLOB_OF(text_span(&have->client_authorities)),
		.token_keys = BLOB_OF(c->role->bit == STORE ?
		    text_span(&have->token_keys) : SPAN_EMPTY) };
	struct token_secret_note secret = {
		.secret = text_span(&have->token_secret) };

	tell(c, VERB_login_trust, &trust);
	tell(c, VERB_token_secret, &secret);
}

/* Passwords are for the one who logs in with them. */
static void
tell_outside(struct child *c)
{
	struct outside *have = &household.outside;
	struct trust_note trust = {
		.authorities = BLOB_OF(text_span(&have->authorities)) };
	struct routes_note routes = {
		.routes = BLOB_OF(text_span(c->role->bit == RELAY ?
		    &have->routes : &have->routes_public)) };

	tell(c, VERB_trust, &trust);
	tell(c, VERB_routes, &routes);
	tell_login(c);
}

static void
tell_dkim(struct child *c)
{
	struct dkim_secrets_note note = {
		.keys = BLOB_OF(text_span(&household.dkim)) };

	tell(c, VERB_dkim_secrets, &note);
}

static void
tell_dns(struct child *c)
{
	const struct dns_files *have = &household.dns;
	struct dns_setup_note note = {
		.resolv_conf = BLOB_OF(text_span(&have->resolv_conf)),
		.trust_anchor = BLOB_OF(text_span(&have->trust_anchor)),
		.root_hints = BLOB_OF(text_span(&have->root_hints)) };

	tell(c, VERB_dns_setup, &note);
}

void
children_tell_log(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_log(&household.children[i]);
}

void
children_tell_settings(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_settings(&household.children[i]);
}

void
children_tell_certificate(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_certificate(&household.children[i]);
}

void
children_tell_outside(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_outside(&household.children[i]);
}

void
children_tell_dkim(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_dkim(&household.children[i]);
}

void
children_tell_dns(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		tell_dns(&household.children[i]);
}

/* Its own memory to write to; metrics may look at everyone's. */
static void
tell_counters(struct child *c)
{
	struct counters_note note = { .role = c->role->bit,
	    .instance = c->instance, .memory = c->counters };

	tell(c, VERB_counters, &note);
	if (c->role->bit != METRICS)
		return;
	for (size_t i = 0; i < household.child_count; i++) {
		const struct child *other = &household.children[i];

		if (other == c)
			continue;
		note = (struct counters_note){ .role = other->role->bit,
		    .instance = other->instance,
		    .memory = other->counters_read };
		tell(c, VERB_counters, &note);
	}
}

static void
tell_ports(struct child *c)
{
	for (size_t i = 0; i < household.port_count; i++) {
		const struct port *p = &household.ports[i];
		struct listen_note note = { .protocol = p->protocol,
		    .socket = p->fd };

		if ((c->role->protocols & 1u << p->protocol) != 0)
			tell(c, VERB_listen, &note);
	}
}

/* ---- links ------------------------------------------------------------- */

/* Frames are larger than the system's default would let through. */
static void
widen(int fd)
{
	int room = 1 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room,
	    sizeof(room)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static int
pair(int ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	widen(ends[0]);
	widen(ends[1]);
	return 1;
}

static void
link_two(struct child *caller, struct child *called)
{
	int ends[2];
	struct peer_note to_caller, to_called;

	if (caller->pid == 0 || called->pid == 0 ||
	    !role_calls(caller->role->bit, called->role->bit))
		return;
	if (pair(ends) != 1) {
		log_event(LOG_LEVEL_ERROR, "supervisor.socketpair",
		    log_errno());
		return;
	}
	to_caller = (struct peer_note){ .role = called->role->bit,
	    .instance = called->instance, .socket = ends[0] };
	to_called = (struct peer_note){ .role = caller->role->bit,
	    .instance = caller->instance, .socket = ends[1] };
	tell(called, VERB_peer, &to_called);
	tell(caller, VERB_peer, &to_caller);
	close(ends[0]);
	close(ends[1]);
}

/* ---- hearing ----------------------------------------------------------- */

static void
hang_up(struct child *c)
{
	if (c->line.fd < 0)
		return;
	watch_clear(&c->line);
	close(c->line.fd);
	c->line.fd = -1;
}

/* A role is ready, once. 1, 0. */
static int
hear_ready(struct child *c)
{
	if (c->ready) {
		child_kill(c, "it said ready twice");
		return 0;
	}
	c->ready = c->ever_ready = true;
	household.on_ready(c);
	return 1;
}

/* The two words a role may say: signer has one of its own. */
static bool
may_say(const struct child *c, const struct frame_in *f)
{
	return f->kind == FRAME_NOTE && (f->verb == VERB_ready ||
	    (f->verb == VERB_dkim_used && c->role->bit == SIGNER));
}

/* What a role says. 1, 0 nothing more now. */
static int
hear(struct child *c, char *buffer)
{
	union any_message m;
	struct frame_in f;
	int r = frame_receive(c->line.fd, &f, buffer, false);

	if (r == -1 && errno == EAGAIN)
		return 0;
	if (r == 0) {	/* it is ending, or lives on without us: not for long */
		watch_clear(&c->line);
		if (!c->stopping)
			child_kill(c, NULL);
		return 0;
	}
	if (r != 1 || !may_say(c, &f) || codec_decode(&f, &m) != 1) {
		if (r == 1)
			frame_in_close(&f);
		child_kill(c, "it said something else than ready");
		return 0;
	}
	if (f.verb == VERB_ready)
		r = hear_ready(c);
	else
		household.on_dkim_used(m.dkim_used_note.domain,
		    m.dkim_used_note.selector);
	codec_release((enum verb)f.verb, FRAME_NOTE, &m, true);
	return r;
}

static void
on_line(struct watch *w, uint32_t events)
{
	char *buffer = xmalloc(FRAME_MAX);

	(void)events;
	while (hear(w->arg, buffer) == 1)
		;
	free(buffer);
}

/* ---- starting ---------------------------------------------------------- */

/* What a role may know of our surroundings: how to report its own bugs. */
static char **
clean_environment(void)
{
	static char *kept[16];
	size_t n = 0;

	for (char **e = environ; *e != NULL && n + 1 < ARRAY_LEN(kept); e++)
		if (strstr(*e, "SAN_OPTIONS=") != NULL ||
		    strncmp(*e, "TZ=", 3) == 0)
			kept[n++] = *e;
	kept[n] = NULL;
	return kept;
}

/* In the child: descriptors 0 to 3 and nothing else. */
static int
arrange_descriptors(int control)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return -1;
	if (control != CONTROL_FD ? dup2(control, CONTROL_FD) < 0 :
	    fcntl(control, F_SETFD, 0) != 0)
		return -1;
	return close_range(CONTROL_FD + 1, ~0u, 0);
}

static void
raise_descriptor_limit(uint64_t wanted)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = MIN(wanted, r.rlim_max);
	if (wanted > r.rlim_max) {
		struct rlimit more = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	setrlimit(RLIMIT_NOFILE, &r);
}

static _Noreturn void
execute(const struct child *c, int control)
{
	static char program[] = "postrider", option[] = "--role";
	char name[16], instance[16];
	char *argv[] = { program, option, name, instance, NULL };
	sigset_t none;

	snprintf(name, sizeof(name), "%s", role_name(c->role->bit));
	snprintf(instance, sizeof(instance), "%u", c->instance);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	raise_descriptor_limit(household.settings.roles_max_descriptors);
	/* The store works below its own directory, whatever lies above. */
	if (c->role->bit == STORE ? fchdir(household.store_directory) != 0 :
	    chdir("/") != 0)
		goto failed;
	if (arrange_descriptors(control) != 0 ||
	    identity_become(&c->identity) != 1)
		goto failed;
	execve("/proc/self/exe", argv, clean_environment());
failed:
	log_event(LOG_LEVEL_ERROR, "role.exec", log_str("name", name),
	    log_errno());
	_exit(127);
}

static void
tell_everything(struct child *c)
{
	struct grant_key_note grant = { .key = span_of(household.grant_key,
	    sizeof(household.grant_key)) };
	struct start_note start = { 0 };

	tell_log(c);
	tell_counters(c);
	tell_settings(c);
	tell(c, VERB_grant_key, &grant);
	tell_certificate(c);
	tell_dkim(c);
	tell_outside(c);
	tell_dns(c);
	tell_ports(c);
	for (size_t i = 0; i < household.child_count; i++) {
		link_two(c, &household.children[i]);
		if (c != &household.children[i])
			link_two(&household.children[i], c);
	}
	tell(c, VERB_start, &start);
}

int
child_start(struct child *c)
{
	int ends[2];

	must(c->pid == 0);
	timer_clear(&c->restart);
	if (pair(ends) != 1)
		return -1;
	c->pid = fork();
	if (c->pid == 0)
		execute(c, ends[1]);
	close(ends[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(ends[0]);
		return -1;
	}
	c->ready = c->stopping = false;
	c->started = clock_mono();
	c->line = (struct watch){ .fd = ends[0], .fn = on_line, .arg = c };
	must(watch_set(&c->line, EPOLLIN) == 1);
	tell_everything(c);
	return 1;
}

/* ---- ending ------------------------------------------------------------ */

void
child_kill(struct child *c, const char *why)
{
	if (c->pid == 0)
		return;
	if (why != NULL)
		log_event(LOG_LEVEL_ERROR, "role.ended_by_us",
		    log_str("name", role_name(c->role->bit)),
		    log_int("process", c->pid), log_str("why", why));
	kill(c->pid, SIGKILL);
}

void
child_stop(struct child *c, int64_t grace_ms)
{
	struct stop_note note = { .grace_ms = (uint64_t)grace_ms };

	timer_clear(&c->restart);
	if (c->pid == 0 || c->stopping)
		return;
	c->stopping = true;
	tell(c, VERB_stop, &note);
}

/* The first time at once; then later and later, but never later than within
 * a second where it has served before. */
static int64_t
back_off(const struct child *c)
{
	int64_t longest = c->ever_ready ? BACK_OFF_SERVED : BACK_OFF_LONGEST;

	if (c->failures <= 1)
		return 0;
	return MIN(BACK_OFF_FIRST << MIN(c->failures - 2, 16u), longest);
}

static void
on_restart(struct timer *t)
{
	struct child *c = t->arg;

	if (household.stopping || c->pid != 0)
		return;
	if (child_start(c) != 1) {
		log_event(LOG_LEVEL_ERROR, "role.start",
		    log_str("name", role_name(c->role->bit)), log_errno());
		timer_set(&c->restart, clock_after(BACK_OFF_SERVED));
	}
}

static void
log_end(const struct child *c, pid_t pid, int status)
{
	bool killed = WIFSIGNALED(status);

	log_event(c->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
	    "role.ended", log_str("name", role_name(c->role->bit)),
	    log_int("instance", c->instance), log_int("process", pid),
	    killed ? log_str("signal", sigabbrev_np(WTERMSIG(status))) :
	    log_int("status", WEXITSTATUS(status)));
}

static struct child *
child_of(pid_t pid)
{
	for (size_t i = 0; i < household.child_count; i++)
		if (household.children[i].pid == pid)
			return &household.children[i];
	return NULL;
}

void
child_ended(pid_t pid, int status)
{
	struct child *c = child_of(pid);
	bool steady;

	if (c == NULL)
		return;
	log_end(c, pid, status);
	steady = c->ready && clock_mono().ms - c->started.ms >= STEADY;
	c->failures = steady ? 1 : c->failures + 1;
	c->pid = 0;
	hang_up(c);
	if (household.stopping)
		return;
	if (!c->ever_ready && c->failures >= 3)
		household.on_failing(c);
	c->restart.fn = on_restart;
	c->restart.arg = c;
	timer_set(&c->restart, clock_after(back_off(c)));
}

/* ---- all of them ------------------------------------------------------- */

/* Memory that outlives the process, and another view that cannot write. */
static int
make_counters(struct child *c)
{
	char path[48];
	int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, METRIC_MEMORY) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_SEAL) != 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c->counters = fd;
	c->counters_read = open(path, O_RDONLY | O_CLOEXEC);
	return c->counters_read < 0 ? -1 : 1;
}

static int
plan_role(const struct role *r, unsigned processes, struct text *why)
{
	struct identity id;

	if (identity_find(r, &household.settings, &id, why) != 1)
		return 0;
	if (id.change && !id.named)
		log_event(LOG_LEVEL_WARNING, "supervisor.no_such_user",
		    log_str("user", role_user(r, &household.settings)),
		    log_int("instead", id.uid));
	for (unsigned i = 0; i < processes; i++) {
		struct child *c = &household.children[household.child_count];

		must(household.child_count < CHILDREN_MAX);
		*c = (struct child){ .role = r, .instance = i,
		    .identity = id, .line = { .fd = -1 } };
		if (make_counters(c) != 1) {
			text_printf(why, "memfd: %s", strerrordesc_np(errno));
			return 0;
		}
		household.child_count++;
	}
	return 1;
}

int
children_plan(unsigned processors, struct text *why)
{
	for (size_t i = 0; i < role_count; i++)
		if (plan_role(&roles[i], role_processes(&roles[i],
		    &household.settings, processors), why) != 1)
			return 0;
	return 1;
}

size_t
children_running(enum role_turn turn)
{
	size_t n = 0;

	for (size_t i = 0; i < household.child_count; i++)
		n += household.children[i].pid != 0 &&
		    household.children[i].role->turn == turn;
	return n;
}

bool
children_ready(void)
{
	for (size_t i = 0; i < household.child_count; i++)
		if (!household.children[i].ready)
			return false;
	return true;
}
