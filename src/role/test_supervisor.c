/*
 * test_supervisor.c - births, deaths, reloads and the end, with a real
 * supervisor and real processes, whose roles only say what they were told.
 *
 * The program is its own supervisor and its own roles: what it executes anew
 * is itself. The log of all of them comes through a pipe, and every wait is
 * for a line of it.
 */
#include "base/log.h"
#include "io/loop.h"
#include "role/control.h"
#include "role/datadir.h"
#include "role/role.h"
#include "role/supervisor.h"

#include <setjmp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- roles that only say what they were told --------------------------- */

static void
on_settings(const struct settings *s)
{
	log_event(LOG_LEVEL_INFO, "t.settings",
	    log_int("max", (int64_t)s->smtp_max_messages));
}

static void
on_certificate(struct span chain, struct span ticket_key)
{
	log_event(LOG_LEVEL_INFO, "t.certificate",
	    log_int("chain", (int64_t)chain.n),
	    log_int("ticket_key", (int64_t)ticket_key.n));
}

static void
on_private_key(int fd)
{
	close(fd);
}

static void
on_dkim_secrets(struct span keys)
{
	log_event(LOG_LEVEL_INFO, "t.dkim", log_int("n", (int64_t)keys.n));
}

static void
on_text(struct span text)
{
	(void)text;
}

static void
on_dns_setup(struct span resolv_conf, struct span trust_anchor,
    struct span root_hints)
{
	(void)resolv_conf;
	(void)trust_anchor;
	(void)root_hints;
}

static void
on_grant_key(struct span key)
{
	uint32_t some;

	memcpy(&some, key.p, sizeof(some));
	log_event(LOG_LEVEL_INFO, "t.grant_key", log_int("n", (int64_t)key.n),
	    log_int("some", some));
}

static void
on_listen(enum protocol p, int fd)
{
	log_event(LOG_LEVEL_INFO, "t.listen",
	    log_str("protocol", protocol_name(p)));
	close(fd);
}

/* Both ends of a link are open, and each is told who is at the other. */
static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	(void)instance;
	log_event(LOG_LEVEL_INFO, "t.peer", log_str("of", role_name(role)));
	close(fd);
}

static void
on_counters(enum role_bit role, unsigned instance, int fd)
{
	(void)role;
	(void)instance;
	close(fd);
}

static void
on_start(void)
{
	const struct control *self = control_self();

	if (self->role == SIGNER &&
	    strcmp(self->settings.postmaster, "die") == 0)
		_exit(3);
	if (self->role == METRICS &&
	    strcmp(self->settings.postmaster, "lie") == 0)
		send(CONTROL_FD, "give me everything", 18, 0);
	if (self->role == METRICS &&
	    strcmp(self->settings.postmaster, "babble") == 0)
		control_ready();
	/* Of a key that is not there; and by one who has none. */
	if (self->role == SIGNER || (self->role == METRICS &&
	    strcmp(self->settings.postmaster, "claim") == 0))
		control_dkim_used(SPAN("../.."), SPAN("x"));
	control_ready();
}

static void
on_stop(int64_t grace_ms)
{
	(void)grace_ms;
	log_event(LOG_LEVEL_INFO, "t.stop");
	control_done();
}

static void
on_login_trust(struct span authorities, struct span token_keys)
{
	(void)authorities;
	(void)token_keys;
}

const struct role_events edge_events = {
	.settings = on_settings, .certificate = on_certificate,
	.login_trust = on_login_trust,
	.listen = on_listen, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};
const struct role_events store_events = {
	.settings = on_settings, .grant_key = on_grant_key,
	.routes = on_text, .login_trust = on_login_trust,
	.listen = on_listen, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};
const struct role_events signer_events = {
	.settings = on_settings, .private_key = on_private_key,
	.dkim_secrets = on_dkim_secrets, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};
const struct role_events relay_events = {
	.settings = on_settings, .trust = on_text, .routes = on_text,
	.token_secret = on_text,
	.peer = on_peer, .start = on_start, .stop = on_stop,
};
const struct role_events resolver_events = {
	.settings = on_settings, .dns_setup = on_dns_setup,
	.listen = on_listen, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};
const struct role_events index_events = {
	.settings = on_settings, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};
const struct role_events metrics_events = {
	.settings = on_settings, .counters = on_counters,
	.listen = on_listen, .peer = on_peer, .start = on_start,
	.stop = on_stop,
};

/* ---- a supervisor and its log ------------------------------------------ */

static char data[] = "/tmp/test_supervisor.XXXXXX";
static pid_t supervisor;
static FILE *lines;			/* the log of all */

static void
configure(const char *more)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", data, DATADIR_CONFIG);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "listen { smtp = \"\"; submission = \"\"; imap = \"\";"
	    " submissions = \"\"; imaps = \"\"; pop3 = \"\"; pop3s = \"\";"
	    " metrics = \"\" }\nroles { mx = 1; access = 1 }\n"
	    "tls.certificate = \"\"\n%s\n", more);
	assert_int_equal(fclose(f), 0);
}

static FILE *
run(pid_t *pid)
{
	static char program[] = "test_supervisor", command[] = "run",
	    option[] = "--data";
	char *argv[] = { program, command, option, data, NULL };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

/* The next line that holds all of these words; "" at the end of the log. */
static const char *
line_with(const char *one, const char *two)
{
	static char line[8192];

	while (fgets(line, sizeof(line), lines) != NULL)
		if (strstr(line, one) != NULL && strstr(line, two) != NULL)
			return line;
	fail_msg("the log ended before %s %s", one, two);
	return "";
}

static long
number_in(const char *line, const char *name)
{
	const char *p = strstr(line, name);

	assert_non_null(p);
	return strtol(p + strlen(name), NULL, 10);
}

static void
start(const char *more)
{
	configure(more);
	lines = run(&supervisor);
	line_with("event=supervisor.ready", "roles=8");
}

/* Read the log to its end, which comes when nobody holds it any more. */
static void
drain(void)
{
	char line[8192];

	while (fgets(line, sizeof(line), lines) != NULL)
		;
	fclose(lines);
}

static int
stop(int signo)
{
	int status;

	kill(supervisor, signo);
	drain();
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	return status;
}

/* ---- the tests --------------------------------------------------------- */

static void
a_killed_role_comes_back(void **state)
{
	static const char *const names[] = { "name=signer",
	    "name=resolver", "name=store", "name=mx", "name=access",
	    "name=relay", "name=metrics", "name=index" };
	long pids[ARRAY_LEN(names)];
	const char *line;

	(void)state;
	configure("");
	lines = run(&supervisor);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		line = line_with("event=role.ready", "");
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (strstr(line, names[k]) != NULL)
				pids[k] = number_in(line, "process=");
	}
	line_with("event=supervisor.ready", "");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		kill((pid_t)pids[i], SIGKILL);
		line_with("event=role.ended", "signal=KILL");
		line = line_with("event=role.ready", names[i]);
		assert_int_not_equal(number_in(line, "process="), pids[i]);
	}
	assert_int_equal(stop(SIGTERM), 0);
}

/* The secret of grants outlives the store: sessions go on. */
static void
a_new_store_gets_its_links_and_its_key(void **state)
{
	const char *line;
	long key, pid, links;

	(void)state;
	configure("");
	lines = run(&supervisor);
	line = line_with("event=t.grant_key", "n=32");
	key = number_in(line, "some=");
	pid = number_in(line, "pid=");
	line_with("event=supervisor.ready", "");
	kill((pid_t)pid, SIGKILL);
	line_with("event=role.ended", "name=store");
	assert_int_equal(number_in(line_with("event=t.grant_key", ""),
	    "some="), key);
	for (links = 0; links < 5; )
		links += strstr(line_with("event=t.peer", ""),
		    "role=store") != NULL;
	assert_int_equal(stop(SIGTERM), 0);
	lines = run(&supervisor);
	assert_int_not_equal(number_in(line_with("event=t.grant_key", ""),
	    "some="), key);
	assert_int_equal(stop(SIGTERM) & 0xff, 0);
}

static void
reload_tells_everyone_or_changes_nothing(void **state)
{
	(void)state;
	start("smtp.max_messages = 11");
	configure("smtp.max_messages = 12");
	kill(supervisor, SIGHUP);
	for (int i = 0; i < 8; i++)
		line_with("event=t.settings", "max=12");
	configure("smtp.max_messages = 13; smtp.colour = red");
	kill(supervisor, SIGHUP);
	line_with("event=supervisor.reload_refused",
	    "there is no setting \\\"smtp.colour\\\"");
	configure("smtp.max_messages = 14; store.threads = 3");
	kill(supervisor, SIGHUP);
	line_with("event=supervisor.needs_a_restart", "setting=store.threads");
	line_with("event=t.settings", "max=14");
	assert_int_equal(stop(SIGINT), 0);
}

/* Whoever calls is gone before the one who is called goes. */
static void
the_store_stops_last(void **state)
{
	const char *line;
	int status, ended = 0;

	(void)state;
	start("");
	kill(supervisor, SIGTERM);
	while (ended < 8) {
		line = line_with("role=", "");
		ended += strstr(line, "event=role.ended") != NULL;
		if (strstr(line, "event=t.stop") != NULL &&
		    (strstr(line, "role=store") != NULL ||
		    strstr(line, "role=resolver") != NULL ||
		    strstr(line, "role=signer") != NULL))
			assert_true(ended >= 5);
	}
	line_with("event=supervisor.stopped", "");
	drain();
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(status, 0);
}

/* The log ends only when the last of them has let go of it. */
static void
roles_die_with_the_supervisor(void **state)
{
	(void)state;
	start("");
	assert_int_equal(WTERMSIG(stop(SIGKILL)), SIGKILL);
}

static void
one_directory_has_one_supervisor(void **state)
{
	FILE *first, *second;
	char said[1024] = "";
	int status;
	pid_t pid;

	(void)state;
	start("");
	first = lines;
	second = run(&pid);
	assert_non_null(fgets(said, sizeof(said), second));
	assert_non_null(strstr(said, "is already in use by process"));
	assert_int_equal(number_in(said, "process "), supervisor);
	fclose(second);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EX_TEMPFAIL);
	lines = first;
	assert_int_equal(stop(SIGTERM), 0);
}

static void
a_role_that_cannot_start_ends_the_start(void **state)
{
	int status;

	(void)state;
	configure("postmaster = die");
	lines = run(&supervisor);
	for (int i = 0; i < 3; i++)
		line_with("event=role.ended", "status=3");
	line_with("event=supervisor.start_failed", "name=signer");
	drain();
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(WEXITSTATUS(status), EX_SOFTWARE);
}

/* A captured role may say what it likes: it is ended, nobody else. */
static void
a_role_that_says_more_than_ready_is_ended(void **state)
{
	static const char *const how[] = { "postmaster = lie",
	    "postmaster = babble", "postmaster = claim" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		configure(how[i]);
		lines = run(&supervisor);
		line_with("event=role.ended_by_us", "name=metrics");
		line_with("event=role.ended", "name=metrics");
		assert_int_equal(stop(SIGTERM) & 0xff, 0);
	}
}

static int
teardown(void **state)
{
	static const char *const files[] = { DATADIR_CONFIG, DATADIR_LOCK,
	    DATADIR_ADMIN, DATADIR_ADMIN_DNS };
	int d = open(data, O_RDONLY | O_DIRECTORY);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlinkat(d, files[i], 0);
	unlinkat(d, DATADIR_STORE, AT_REMOVEDIR);
	close(d);
	return rmdir(data);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_role_comes_back),
		cmocka_unit_test(a_new_store_gets_its_links_and_its_key),
		cmocka_unit_test(reload_tells_everyone_or_changes_nothing),
		cmocka_unit_test(the_store_stops_last),
		cmocka_unit_test(roles_die_with_the_supervisor),
		cmocka_unit_test(one_directory_has_one_supervisor),
		cmocka_unit_test(a_role_that_cannot_start_ends_the_start),
		cmocka_unit_test(a_role_that_says_more_than_ready_is_ended),
	};

	if (argc == 4 && strcmp(argv[1], "--role") == 0)
		role_main(argv[2], argv[3]);
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return supervisor_main(argc - 1, argv + 1);
	alarm(60);
	if (mkdtemp(data) == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, teardown);
}
