/*
 * test_engine_crash.c - what an engine on a disk promises when everything
 * breaks: killed at each step, a log torn or damaged, a disk that is full,
 * that writes in part, or fails.
 *
 * The test runs itself as a child with a workload of numbered batches:
 *
 *	test_engine_crash work DIRECTORY BATCHES KILL_AT SYNC_UPTO
 *
 * The child tells over standard output which batches were acknowledged as
 * durable, and dies. The store it leaves must hold batches 1..m whole and
 * nothing of any other, with m at least the last acknowledged.
 */
#include "base/secret.h"
#include "store/test_engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LAG = 3,		/* batch n takes back what n - LAG brought */
	NEVER = 0,
	BODY_ROOM = 9000,
};

static const struct partition mailbox = { .kind = 4, .id = 77 };

/* -- the workload: after batch n the store holds exactly state n ------ */
static struct batch *
batch_number(uint32_t n, char *room)
{
	struct batch *b = batch_new(mailbox);
	struct body_id id = test_body_id(n);
	size_t size = test_body_fill(n, room, BODY_ROOM);

	batch_expect(b, n - 1);
	batch_put(b, SPAN("last"), span_of(&n, sizeof(n)));
	batch_put(b, span_of(&n, sizeof(n)), SPAN("present"));
	batch_body(b, id, span_of(room, size), SPAN_EMPTY, SPAN("summary"));
	batch_link(b, id, SPAN("mailbox"));
	if (n > LAG) {
		uint32_t old = n - LAG;

		batch_delete(b, span_of(&old, sizeof(old)));
		batch_unlink(b, test_body_id(old), SPAN("mailbox"));
	}
	return b;
}

static bool
key_is_there(struct engine *e, uint32_t n)
{
	struct arena *a = arena_new(1 << 16);
	struct span value;
	int found = engine_get(e, mailbox, span_of(&n, sizeof(n)), a, &value);

	assert_true(found >= 0);
	arena_free(&a);
	return found == 1;
}

static void
check_body(struct engine *e, uint32_t n)
{
	static char room[BODY_ROOM];
	struct text got = TEXT_INIT(0);
	size_t size = test_body_fill(n, room, BODY_ROOM);

	assert_int_equal(engine_body_read(e, test_body_id(n), 0, UINT64_MAX,
	    &got), 1);
	assert_true(span_eq(text_span(&got), span_of(room, size)));
	text_free(&got);
}

/* What is there is exactly state m, which is told. */
static uint32_t
check_state(struct engine *e, uint32_t batches)
{
	uint64_t version, size;
	uint32_t m;

	assert_int_equal(engine_version(e, mailbox, &version), 1);
	m = (uint32_t)version;
	assert_true(m <= batches);
	for (uint32_t n = 1; n <= batches; n++) {
		bool there = n <= m && n + LAG > m;

		assert_int_equal(key_is_there(e, n), there);
		assert_int_equal(engine_body_linked(e, test_body_id(n),
		    SPAN("mailbox")), there);
		if (there)
			check_body(e, n);
		if (n > m)
			assert_int_equal(engine_body_size(e, test_body_id(n),
			    &size), 0);
	}
	return m;
}

/* -- the child -------------------------------------------------------- */
static atomic_uint steps, kill_at;
static atomic_bool frozen;

/* Dies at step kill_at; once frozen, nothing is synced any more. */
static int
child_fault(const char *where)
{
	if (atomic_load(&frozen) && strncmp(where, "sync", 4) == 0)
		pause();
	if (atomic_load(&kill_at) != NEVER &&
	    atomic_fetch_add(&steps, 1) + 1 == atomic_load(&kill_at))
		raise(SIGKILL);
	return 0;
}

static void
tell(uint32_t n)
{
	if (write(STDOUT_FILENO, &n, sizeof(n)) != sizeof(n))
		_exit(3);
}

/*
 * Commits until something fails, then tries on: a full disk may pass, a
 * broken one must refuse everything. Exit 0: all done; 1: refused for good.
 */
static int
child_work(struct engine *e, uint32_t batches, uint32_t sync_upto)
{
	static char room[BODY_ROOM];

	for (uint32_t n = 1; n <= batches; n++) {
		struct batch *b = batch_number(n, room);
		monotime_t end = clock_after(15000);
		ticket_t ticket;
		int done;

		while ((done = engine_commit(e, b, &ticket)) == -1 &&
		    errno == ENOSPC && mono_before(clock_mono(), end))
			usleep(20000);
		batch_free(&b);
		if (done != 1)
			return 1;
		if (n > sync_upto)
			atomic_store(&frozen, true);
		else if (engine_sync(e, ticket) == 1)
			tell(n);
		if (n % 7 == 0)
			(void)engine_collect(e, false, 0);
	}
	return 0;
}

static int
child_main(char **argv)
{
	struct engine *e = test_open(argv[2], child_fault);
	int done;

	atomic_store(&kill_at, (uint32_t)atoi(argv[4]));
	done = child_work(e, (uint32_t)atoi(argv[3]),
	    (uint32_t)atoi(argv[5]));
	_exit(done);		/* as killed: nothing is closed */
}

/* -- running it ------------------------------------------------------- */
struct outcome {
	int status;		/* of waitpid */
	uint32_t acked;
};

static struct outcome
run_child(const char *path, uint32_t batches, uint32_t kill_step,
    uint32_t sync_upto, char *const environment[])
{
	char numbers[3][16];
	char self[] = "test_engine_crash", work[] = "work";
	char *argv[] = { self, work, (char *)(uintptr_t)path,
	    numbers[0], numbers[1], numbers[2], NULL };
	posix_spawn_file_actions_t actions;
	struct outcome out = { 0, 0 };
	uint32_t n;
	int ends[2];
	pid_t pid;

	snprintf(numbers[0], sizeof(numbers[0]), "%u", batches);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", kill_step);
	snprintf(numbers[2], sizeof(numbers[2]), "%u", sync_upto);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL,
	    argv, environment != NULL ? environment : environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (read(ends[0], &n, sizeof(n)) == sizeof(n)) {
		assert_int_equal(n, out.acked + 1);
		out.acked = n;
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &out.status, 0), pid);
	return out;
}

/* Open what a child left; it must be state m >= acked, and live on. */
static uint32_t
check_survivor(const char *path, uint32_t acked, uint32_t batches)
{
	static char room[BODY_ROOM];
	struct engine *e = test_open(path, NULL);
	uint32_t m = check_state(e, batches);
	struct batch *b = batch_number(m + 1, room);
	ticket_t ticket;

	assert_true(m >= acked);
	assert_int_equal(engine_commit(e, b, &ticket), 1);
	assert_int_equal(engine_sync(e, ticket), 1);
	batch_free(&b);
	assert_int_equal(check_state(e, MAX(batches, m + 1)), m + 1);
	engine_close(&e);
	return m;
}

static void
survives_a_kill_at_every_step(void **state)
{
	const uint32_t batches = 16;
	bool killed = true;

	(void)state;
	for (uint32_t step = 1; killed; step++) {
		char path[256];
		struct outcome out;

		test_directory(path);
		out = run_child(path, batches, step, batches, NULL);
		killed = WIFSIGNALED(out.status);
		if (killed)
			assert_int_equal(WTERMSIG(out.status), SIGKILL);
		else
			assert_int_equal(WEXITSTATUS(out.status), 0);
		check_survivor(path, out.acked, batches);
		test_remove(path);
		assert_true(step < 500);
	}
}

/* -- the log, torn and damaged ---------------------------------------- */
struct log {
	char path[600];
	off_t size;
};

/* The last log of a store. */
static struct log
log_of(const char *path)
{
	struct log log = { "", 0 };
	DIR *d = opendir(path);
	struct dirent *entry;
	struct stat st;
	char last[300] = "";

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (span_ends(span_str(entry->d_name), SPAN(".log")) &&
		    strcmp(entry->d_name, last) > 0)
			snprintf(last, sizeof(last), "%s", entry->d_name);
	closedir(d);
	assert_true(last[0] != '\0');
	snprintf(log.path, sizeof(log.path), "%s/%s", path, last);
	assert_int_equal(stat(log.path, &st), 0);
	log.size = st.st_size;
	return log;
}

/* Where the log ended when `synced` batches were in it. */
static off_t
size_after(uint32_t synced)
{
	char path[256];
	off_t size;

	test_directory(path);
	run_child(path, synced, NEVER, synced, NULL);
	size = log_of(path).size;
	test_remove(path);
	return size;
}

static void
change_log(const struct log *log, off_t at, off_t n, int with)
{
	int fd = open(log->path, O_RDWR | O_CLOEXEC);
	char byte;

	assert_true(fd >= 0);
	for (off_t i = at; i < MIN(at + n, log->size); i++) {
		assert_int_equal(pread(fd, &byte, 1, i), 1);
		byte = (char)(with < 0 ? ~byte : with);
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
	}
	close(fd);
}

enum { SYNCED = 6, WRITTEN = 10 };

/* A store of which WRITTEN batches are in the log and SYNCED on the disk. */
static void
make_torn(char path[256])
{
	struct outcome out;

	test_directory(path);
	out = run_child(path, WRITTEN, NEVER, SYNCED, NULL);
	assert_int_equal(out.acked, SYNCED);
	assert_int_equal(out.status, 0);
}

static void
tear(const char *from, off_t at, int how)
{
	char path[256];
	struct log log;
	uint32_t m;

	test_directory(path);
	test_copy(from, path);
	log = log_of(path);
	if (how == 0)
		assert_int_equal(truncate(log.path, at), 0);
	else
		change_log(&log, at, how == 1 ? 1 : 700, how == 1 ? -1 : 0);
	m = check_survivor(path, SYNCED, WRITTEN);
	assert_true(at >= log.size || m < WRITTEN);
	/* What came after the tear must stay as well. */
	assert_int_equal(check_survivor(path, m + 1, WRITTEN), m + 1);
	test_remove(path);
}

static void
survives_a_torn_log(void **state)
{
	char path[256];
	off_t synced = size_after(SYNCED), end;

	(void)state;
	make_torn(path);
	end = log_of(path).size;
	assert_true(end > synced);
	for (off_t at = synced; at < end; at += (end - synced) / 12)
		for (int how = 0; how < 3; how++)
			tear(path, at, how);
	tear(path, end - 1, 0);
	test_remove(path);
}

static void
expect_refused(const char *path)
{
	struct engine_options options = { .write_buffer = 8 << 20 };
	struct text why = TEXT_INIT(1024);
	struct engine *e = engine_rocksdb_open(path, &options, &why);

	assert_null(e);
	assert_int_equal(errno, EIO);
	assert_true(span_find(text_span(&why), SPAN("damaged"), 0) !=
	    SIZE_MAX);
	text_free(&why);
}

static void
refuses_a_damaged_log(void **state)
{
	char path[256], mark[300];
	off_t synced = size_after(SYNCED);
	struct engine *e;
	struct log log;

	(void)state;
	make_torn(path);
	log = log_of(path);
	change_log(&log, synced / 2, 1, -1);
	expect_refused(path);
	expect_refused(path);
	snprintf(mark, sizeof(mark), "%s/synced", path);
	assert_int_equal(unlink(mark), 0);
	e = test_open(path, NULL);
	assert_true(check_state(e, WRITTEN) < SYNCED);
	engine_close(&e);
	test_remove(path);
}

/* -- a disk that fails ------------------------------------------------ */
static struct outcome
run_faulty(const char *path, uint32_t batches, const char *call,
    const char *kind, const char *files, int at)
{
	char number[32], preload[600], call_is[64], kind_is[64], files_are[64];
	const char *shim = getenv("FAULT_SHIM");
	const char *tmp = getenv("PATH");
	char path_is[1024], asan[] = "ASAN_OPTIONS=verify_asan_link_order=0";
	/* RocksDB begins to recover in a thread that our _exit leaves. */
	char tsan[] = "TSAN_OPTIONS=ignore_noninstrumented_modules=1:"
	    "report_thread_leaks=0";
	char *environment[] = { preload, number, call_is, kind_is, files_are,
	    path_is, asan, tsan, NULL };

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", shim);
	snprintf(number, sizeof(number), "FAULT_AT=%d", at);
	snprintf(call_is, sizeof(call_is), "FAULT_CALL=%s", call);
	snprintf(kind_is, sizeof(kind_is), "FAULT_KIND=%s", kind);
	snprintf(files_are, sizeof(files_are), "FAULT_FILES=%s", files);
	snprintf(path_is, sizeof(path_is), "PATH=%s", tmp != NULL ? tmp : "");
	return run_child(path, batches, NEVER, batches, environment);
}

static void
fail_once(const char *call, const char *kind, int at, int status)
{
	const uint32_t batches = 8;
	char path[256];
	struct outcome out;

	test_directory(path);
	out = run_faulty(path, batches, call, kind, ".log", at);
	assert_true(WIFEXITED(out.status));
	assert_int_equal(WEXITSTATUS(out.status), status);
	if (status == 0)
		assert_int_equal(out.acked, batches);
	else
		assert_true(out.acked < batches);
	check_survivor(path, out.acked, batches);
	test_remove(path);
}

static void
survives_failing_calls(void **state)
{
	(void)state;
	if (getenv("FAULT_SHIM") == NULL)
		skip();
	/* The first write is the store's format, made before any batch. */
	for (int at = 2; at <= 9; at++) {
		fail_once("write", "short", at, 0);
		fail_once("write", "eio", at, 1);
	}
	for (int at = 1; at <= 4; at++)
		fail_once("fdatasync", "eio", at, 1);
	fail_once("write", "enospc", 4, 0);
}

/* -- a disk that is full ---------------------------------------------- */
static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Who is not root may mount in a user namespace of its own. */
static bool
may_mount(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
	return true;
}

/* A small file system that is attached nowhere; its directory, or -1. */
static int
small_disk(void)
{
	int fs, disk;

	if (!may_mount())
		return -1;
	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	must(fsconfig(fs, FSCONFIG_SET_STRING, "size", "64m", 0) == 0);
	must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
	disk = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	must(disk >= 0);
	close(fs);
	return disk;
}

static int
commit_body(struct engine *e, uint32_t n)
{
	static char bytes[100 << 10];
	struct batch *b = batch_new(mailbox);
	int done, error;

	random_bytes(bytes, sizeof(bytes));	/* not to be compressed */
	batch_put(b, span_of(&n, sizeof(n)), SPAN("present"));
	batch_body(b, test_body_id(n), span_of(bytes, sizeof(bytes)),
	    SPAN_EMPTY, SPAN_EMPTY);
	done = engine_commit(e, b, NULL);
	error = errno;
	batch_free(&b);
	errno = error;
	return done;
}

static uint32_t
fill_disk(struct engine *e, uint32_t from)
{
	uint32_t n = from;

	while (commit_body(e, n) == 1)
		must(++n < from + 2000);
	must(errno == ENOSPC);
	must(!key_is_there(e, n));
	return n;
}

/* Who makes room must be able to, once tables in the making are written. */
static void
delete_something(struct engine *e)
{
	struct batch *b = batch_new(mailbox);
	monotime_t end = clock_after(20000);
	ticket_t ticket;

	batch_delete(b, SPAN("anything"));
	while (engine_commit(e, b, &ticket) != 1) {
		must(errno == ENOSPC && mono_before(clock_mono(), end));
		usleep(10000);
	}
	must(engine_sync(e, ticket) == 1);
	batch_free(&b);
}

/* In a process of its own, since it has a disk of its own. */
static int
full_main(void)
{
	char ballast[64], store[64];
	struct engine *e;
	uint32_t first, n;
	int fd, disk = small_disk();

	if (disk < 0)
		return 77;
	snprintf(store, sizeof(store), "/proc/self/fd/%d/store", disk);
	snprintf(ballast, sizeof(ballast), "/proc/self/fd/%d/ballast", disk);
	fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	must(posix_fallocate(fd, 0, 20 << 20) == 0);
	close(fd);
	e = test_open(store, NULL);
	first = fill_disk(e, 1);
	must(first > 10);
	delete_something(e);
	must(unlink(ballast) == 0);
	n = fill_disk(e, first);
	must(n > first);
	engine_close(&e);
	e = test_open(store, NULL);
	for (uint32_t i = 1; i < n; i++)
		must(key_is_there(e, i));
	must(!key_is_there(e, n));
	engine_close(&e);
	close(disk);
	return 0;
}

static void
survives_a_full_disk(void **state)
{
	char self[] = "test_engine_crash", full[] = "full";
	char *argv[] = { self, full, NULL };
	pid_t pid;
	int status;

	(void)state;
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL,
	    argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_kill_at_every_step),
		cmocka_unit_test(survives_a_torn_log),
		cmocka_unit_test(refuses_a_damaged_log),
		cmocka_unit_test(survives_failing_calls),
		cmocka_unit_test(survives_a_full_disk),
	};

	if (argc == 6 && strcmp(argv[1], "work") == 0)
		return child_main(argv);
	if (argc == 2 && strcmp(argv[1], "full") == 0)
		return full_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
