/*
 * supervisor.c - the process that holds the ports and keeps the roles alive.
 */
#include "role/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/loop.h"
#include "role/child.h"
#include "role/datadir.h"
#include "role/dkim_keys.h"
#include "role/log_sink.h"
#include "role/notify.h"
#include "role/ports.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	STOP_MARGIN = 2000,		/* ms beyond the grace, then SIGKILL */
	STOP_LAST = 30000,		/* for the store to close its files */
	PORT_OFFSET_MAX = 60000,
	TICKET_TIME = 24 * 3600 * 1000,
	DKIM_TIME = 3600 * 1000,	/* keys are looked after so often */
	DKIM_SOON = 1000,
	DKIM_ALL_MAX = 256 << 20,
};

static struct {
	const char *data, *config;	/* as on the command line */
	unsigned offset;
	char config_path[4096];
	int directory, lock;
	bool announced;			/* every role was ready once */
	int status;			/* of our exit */
	struct timer watchdog, deadline, tickets, dkim, dkim_read;
	bool dkim_changed;		/* since signer was told */
} run;

static _Noreturn void
give_up(int status, const char *what, struct span why)
{
	fprintf(stderr, "postrider: %s%s%.*s\n", what, *what == '\0' ? "" :
	    ": ", SPAN_ARG(why));
	exit(status);
}

/* ---- settings and certificate ------------------------------------------ */

static void
name_ourselves(struct settings *s)
{
	char name[256];

	if (*s->hostname == '\0' && gethostname(name, sizeof(name)) == 0 &&
	    memchr(name, '\0', sizeof(name)) != NULL)
		snprintf(s->hostname, sizeof(s->hostname), "%.255s", name);
	if (*s->hostname == '\0')
		snprintf(s->hostname, sizeof(s->hostname), "localhost");
}

static int
read_settings(struct settings *s, struct text *why)
{
	if (settings_load(s, run.config_path, why) != 1)
		return 0;
	name_ourselves(s);
	return 1;
}

/* Without a certificate's name there is no TLS, by the operator's wish. */
static int
read_certificate(const struct settings *s, struct certificate *out,
    struct text *why)
{
	if (*s->tls_certificate == '\0')
		return 1;
	return certificate_load(run.directory, s->tls_certificate, s->tls_key,
	    out, why);
}

/* What a ticket key opens must not stay open for ever. */
static void
on_ticket_time(struct timer *t)
{
	random_bytes(household.ticket_key, sizeof(household.ticket_key));
	children_tell_certificate();
	timer_set(t, clock_after(TICKET_TIME));
}

/* ---- keys of domains ----------------------------------------------------- */

static void
on_bad_key(void *arg, const char *path, struct span why)
{
	(void)arg;
	log_event(LOG_LEVEL_ERROR, "dkim.key", log_str("file", path),
	    log_text("error", why));
}

/* What cannot be read is left out: mail goes on, if need be unsigned. */
static void
read_dkim(void)
{
	struct text why = TEXT_INIT(1024), fresh = TEXT_INIT(DKIM_ALL_MAX);

	if (dkim_keys_pack(run.directory, on_bad_key, NULL, &fresh,
	    &why) != 1 || text_full(&fresh)) {
		log_event(LOG_LEVEL_ERROR, "dkim.keys",
		    log_text("error", why.n > 0 ? text_span(&why) :
		    SPAN("there are too many")));
		text_wipe(&fresh);
	} else {
		text_wipe(&household.dkim);
		household.dkim = fresh;
		children_tell_dkim();
	}
	text_free(&why);
}

static void
on_dkim_made(struct span domain, struct span selector)
{
	log_event(LOG_LEVEL_WARNING, "dkim.publish",
	    log_text("domain", domain), log_text("selector", selector));
}

static void
on_dkim_deleted(struct span domain, struct span selector)
{
	log_event(LOG_LEVEL_INFO, "dkim.deleted",
	    log_text("domain", domain), log_text("selector", selector));
}

static void
on_dkim_failed(struct span domain, struct span why)
{
	log_event(LOG_LEVEL_ERROR, "dkim.keys", log_text("domain", domain),
	    log_text("error", why));
}

static void
on_dkim_time(struct timer *t)
{
	struct dkim_schedule schedule = {
		.now = clock_wall_seconds(),
		.rotate = household.settings.dkim_rotate / 1000,
		.retire = household.settings.dkim_retire_time / 1000,
		.made = on_dkim_made, .deleted = on_dkim_deleted,
		.failed = on_dkim_failed,
	};
	bool more = false;

	if (dkim_keys_keep(run.directory, &schedule, &more))
		read_dkim();
	timer_set(t, clock_after(more ? DKIM_SOON : DKIM_TIME));
}

static void
on_dkim_read(struct timer *t)
{
	(void)t;
	run.dkim_changed = false;
	read_dkim();
}

/* A key signs: the DNS shows it, and the ones before it have served. */
static void
on_dkim_used(struct span domain, struct span selector)
{
	struct text why = TEXT_INIT(1024);
	int n = 0;

	if (dkim_keys_has(text_span(&household.dkim), domain, selector))
		n = dkim_keys_took_over(run.directory, domain, selector,
		    clock_wall_seconds(), &why);
	if (n < 0)
		on_dkim_failed(domain, text_span(&why));
	if (n > 0)
		log_event(LOG_LEVEL_INFO, "dkim.took_over",
		    log_text("domain", domain),
		    log_text("selector", selector));
	if (n > 0 && !run.dkim_changed)	/* perhaps many do so now */
		timer_set(&run.dkim_read, clock_after(DKIM_SOON));
	run.dkim_changed |= n > 0;
	text_free(&why);
}

/* ---- reload ------------------------------------------------------------ */

/* Some settings are looked at only once; say so rather than ignore it. */
static void
warn_of_restart_settings(const struct settings *old, const struct settings *new)
{
	struct text a = TEXT_INIT(0), b = TEXT_INIT(0);

	for (size_t i = 0; i < settings_count(); i++) {
		const struct param *p = settings_row(i);

		if (strncmp(p->name, "listen.", 7) != 0 &&
		    strncmp(p->name, "user.", 5) != 0 &&
		    strstr(p->about, "at a restart") == NULL)
			continue;
		text_clear(&a);
		text_clear(&b);
		param_write(p, old, &a);
		param_write(p, new, &b);
		if (!span_eq(text_span(&a), text_span(&b)))
			log_event(LOG_LEVEL_WARNING,
			    "supervisor.needs_a_restart",
			    log_str("setting", p->name));
	}
	text_free(&a);
	text_free(&b);
}

/* All of the new or all of the old. */
static int
reload(struct text *why)
{
	static struct settings fresh;
	struct certificate certificate = CERTIFICATE_NONE;
	struct outside outside = { .authorities = { .p = NULL } };
	struct dns_files dns = { .resolv_conf = TEXT_INIT(0) };

	if (read_settings(&fresh, why) != 1 ||
	    read_certificate(&fresh, &certificate, why) != 1)
		return 0;
	if (outside_load(run.directory, &fresh, run.config_path, &outside,
	    why) != 1 ||
	    dns_files_load(run.directory, &fresh, &dns, why) != 1 ||
	    log_sink_open(&fresh, run.directory, why) != 1) {
		certificate_free(&certificate);
		outside_free(&outside);
		dns_files_free(&dns);
		return 0;
	}
	warn_of_restart_settings(&household.settings, &fresh);
	household.settings = fresh;
	certificate_free(&household.certificate);
	household.certificate = certificate;
	outside_free(&household.outside);
	household.outside = outside;
	dns_files_free(&household.dns);
	household.dns = dns;
	children_tell_log();
	children_tell_settings();
	children_tell_certificate();
	children_tell_outside();
	children_tell_dns();
	return 1;
}

static void
on_hangup(int signo, void *arg)
{
	struct text why = TEXT_INIT(4096);

	(void)signo;
	(void)arg;
	if (household.stopping)
		return;
	notify_reloading();
	read_dkim();		/* whatever the settings say */
	if (reload(&why) == 1)
		log_event(LOG_LEVEL_INFO, "supervisor.reloaded");
	else
		log_event(LOG_LEVEL_ERROR, "supervisor.reload_refused",
		    log_text("error", text_span(&why)));
	text_free(&why);
	notify_ready();
}

/* ---- stopping ---------------------------------------------------------- */

static void
on_deadline(struct timer *t)
{
	(void)t;
	for (size_t i = 0; i < household.child_count; i++)
		if (household.children[i].stopping)
			child_kill(&household.children[i],
			    "it did not stop in time");
}

static void
stop_turn(enum role_turn turn, int64_t grace)
{
	for (size_t i = 0; i < household.child_count; i++)
		if (household.children[i].role->turn == turn)
			child_stop(&household.children[i], grace);
	timer_set(&run.deadline, clock_after(grace + STOP_MARGIN));
}

/* Who talks to people goes first, whom they call last. */
static void
stop_step(void)
{
	if (children_running(STOPS_FIRST) > 0)
		stop_turn(STOPS_FIRST, household.settings.session_stop_time);
	else if (children_running(STOPS_LAST) > 0)
		stop_turn(STOPS_LAST, STOP_LAST);
	else
		loop_stop();
}

static void
on_terminate(int signo, void *arg)
{
	(void)arg;
	if (household.stopping) {	/* again: no more patience */
		if (children_running(STOPS_FIRST) > 0)
			on_deadline(&run.deadline);
		return;
	}
	log_event(LOG_LEVEL_INFO, "supervisor.stopping",
	    log_str("signal", sigabbrev_np(signo)));
	notify_stopping();
	household.stopping = true;
	stop_step();
}

/* ---- the children ------------------------------------------------------ */

static void
on_child(int signo, void *arg)
{
	bool ended = false;
	int status;
	pid_t pid;

	(void)signo;
	(void)arg;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		child_ended(pid, status);
		ended = true;
	}
	if (ended && household.stopping &&
	    (children_running(STOPS_FIRST) == 0))
		stop_step();
}

static void
on_ready(struct child *c)
{
	log_event(LOG_LEVEL_INFO, "role.ready",
	    log_str("name", role_name(c->role->bit)),
	    log_int("instance", c->instance), log_int("process", c->pid),
	    log_int("ms", clock_mono().ms - c->started.ms));
	if (run.announced || !children_ready())
		return;
	run.announced = true;
	log_event(LOG_LEVEL_INFO, "supervisor.ready",
	    log_str("version", POSTRIDER_VERSION),
	    log_int("roles", (int64_t)household.child_count));
	notify_ready();
}

static void
defer_stop(void *arg)
{
	(void)arg;
	stop_step();
}

/* Before all were ready once, somebody watches the start: say no, clearly. */
static void
on_failing(struct child *c)
{
	if (run.announced || household.stopping)
		return;
	log_event(LOG_LEVEL_ERROR, "supervisor.start_failed",
	    log_str("name", role_name(c->role->bit)));
	run.status = EX_SOFTWARE;
	household.stopping = true;
	loop_defer(defer_stop, NULL);
}

static void
on_watchdog(struct timer *t)
{
	notify_watchdog();
	timer_set(t, clock_after(notify_watchdog_interval()));
}

/* ---- the command line -------------------------------------------------- */

static void
usage(FILE *to)
{
	fputs("usage: postrider run [--data DIR] [--config FILE]"
	    " [--port-offset N]\n\n"
	    "Serve, in the foreground, until SIGINT or SIGTERM. SIGHUP reads"
	    " the settings\nand the certificate again.\n\n"
	    "  --data DIR         where everything is kept (default "
	    DATADIR_DEFAULT ")\n"
	    "  --config FILE      the settings (default DIR/" DATADIR_CONFIG
	    ")\n"
	    "  --port-offset N    raise every port by N, and let \"*\" mean the"
	    " loopback\n", to);
}

static void
read_offset(const char *text)
{
	uint32_t n;

	if (span_u32(span_str(text), &n) != 1 || n > PORT_OFFSET_MAX)
		give_up(EX_USAGE, "--port-offset",
		    SPAN("a number up to 60000"));
	run.offset = n;
}

static void
read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "data", required_argument, NULL, 'd' },
		{ "config", required_argument, NULL, 'c' },
		{ "port-offset", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	run.data = DATADIR_DEFAULT;
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd') {
			run.data = optarg;
		} else if (c == 'c') {
			run.config = optarg;
		} else if (c == 'o') {
			read_offset(optarg);
		} else {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? EX_OK : EX_USAGE);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(EX_USAGE);
	}
}

static void
find_config(void)
{
	int n = run.config != NULL ?
	    snprintf(run.config_path, sizeof(run.config_path), "%s",
	    run.config) :
	    snprintf(run.config_path, sizeof(run.config_path), "%s/%s",
	    run.data, DATADIR_CONFIG);

	if (n < 0 || (size_t)n >= sizeof(run.config_path))
		give_up(EX_USAGE, "--config", SPAN("the path is too long"));
	if (run.config == NULL && access(run.config_path, F_OK) != 0 &&
	    errno == ENOENT) {
		fprintf(stderr, "postrider: %s: there is no such file; "
		    "\"postrider init DOMAIN --data %s\" makes it\n",
		    run.config_path, run.data);
		exit(EX_NOINPUT);
	}
}

static void
take_directory(void)
{
	struct text why = TEXT_INIT(4096);
	pid_t pid;

	run.directory = datadir_open(run.data, true, &why);
	if (run.directory < 0)
		give_up(EX_NOINPUT, "", text_span(&why));
	run.lock = datadir_lock(run.directory, &pid);
	if (run.lock < 0 && pid == -1)
		give_up(EX_NOPERM, DATADIR_LOCK,
		    span_str(strerrordesc_np(errno)));
	if (run.lock < 0) {
		text_printf(&why, "is already in use by process %d",
		    (int)pid);
		give_up(EX_TEMPFAIL, run.data, text_span(&why));
	}
	household.store_directory = openat(run.directory, DATADIR_STORE,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (household.store_directory < 0)
		give_up(EX_NOPERM, DATADIR_STORE,
		    span_str(strerrordesc_np(errno)));
	text_free(&why);
}

static unsigned
processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ?
	    (unsigned)CPU_COUNT(&set) : 1;
}

/* What a command made as root belongs to the store's user, too. */
static void
give_store_away(struct text *why)
{
	for (size_t i = 0; i < household.child_count; i++) {
		const struct child *c = &household.children[i];

		if (c->role->bit == STORE && c->identity.change &&
		    datadir_give_store(run.directory, c->identity.uid,
		    c->identity.gid, why) != 1)
			give_up(EX_NOPERM, "", text_span(why));
	}
}

static void
prepare(void)
{
	struct text why = TEXT_INIT(4096);

	household.certificate = CERTIFICATE_NONE;
	find_config();
	if (read_settings(&household.settings, &why) != 1)
		give_up(EX_CONFIG, "", text_span(&why));
	take_directory();
	if (log_sink_open(&household.settings, run.directory, &why) != 1 ||
	    read_certificate(&household.settings, &household.certificate,
	    &why) != 1 || outside_load(run.directory, &household.settings,
	    run.config_path, &household.outside, &why) != 1 ||
	    dns_files_load(run.directory, &household.settings,
	    &household.dns, &why) != 1 ||
	    children_plan(processors(), &why) != 1)
		give_up(EX_CONFIG, "", text_span(&why));
	give_store_away(&why);
	read_dkim();
	random_bytes(household.grant_key, sizeof(household.grant_key));
	random_bytes(household.ticket_key, sizeof(household.ticket_key));
	run.status = ports_open(run.offset, run.directory, &why);
	if (run.status != EX_OK)
		give_up(run.status, "listen", text_span(&why));
	text_free(&why);
}

static void
start(void)
{
	if (loop_open() != 1 || loop_signal(SIGCHLD, on_child, NULL) != 1 ||
	    loop_signal(SIGHUP, on_hangup, NULL) != 1 ||
	    loop_signal(SIGTERM, on_terminate, NULL) != 1 ||
	    loop_signal(SIGINT, on_terminate, NULL) != 1)
		give_up(EX_OSERR, "loop", span_str(strerrordesc_np(errno)));
	household.on_ready = on_ready;
	household.on_dkim_used = on_dkim_used;
	household.on_failing = on_failing;
	run.watchdog.fn = on_watchdog;
	run.deadline.fn = on_deadline;
	run.tickets.fn = on_ticket_time;
	timer_set(&run.tickets, clock_after(TICKET_TIME));
	run.dkim.fn = on_dkim_time;
	run.dkim_read.fn = on_dkim_read;
	timer_set(&run.dkim, clock_after(0));
	if (notify_watchdog_interval() > 0)
		on_watchdog(&run.watchdog);
	for (size_t i = 0; i < household.child_count; i++)
		if (child_start(&household.children[i]) != 1)
			give_up(EX_OSERR, "fork", span_str(strerrordesc_np(errno)));
}

/*
 * Keys are in our memory, and for a while in every role's. One byte is too
 * little for a dump, and unlike none at all it is heeded where dumps go to a
 * program (core(5)).
 */
static void
leave_no_dump(void)
{
	struct rlimit one = { 1, 1 };

	if (setrlimit(RLIMIT_CORE, &one) != 0)
		give_up(EX_OSERR, "setrlimit",
		    span_str(strerrordesc_np(errno)));
}

int
supervisor_main(int argc, char **argv)
{
	read_options(argc, argv);
	leave_no_dump();
	signal(SIGPIPE, SIG_IGN);
	prepare();
	notify_open();
	start();
	loop_run();
	unlinkat(run.directory, DATADIR_ADMIN, 0);
	unlinkat(run.directory, DATADIR_ADMIN_DNS, 0);
	if (ftruncate(run.lock, 0) != 0)
		log_event(LOG_LEVEL_WARNING, "supervisor.pid_file",
		    log_errno());
	log_event(LOG_LEVEL_INFO, "supervisor.stopped");
	secret_wipe(household.grant_key, sizeof(household.grant_key));
	secret_wipe(household.ticket_key, sizeof(household.ticket_key));
	return run.status;
}
