/*
 * test_sandbox.c - from inside each role: what an intruder would try fails,
 * what the role needs works. Every attempt is a process of its own.
 */
#include "role/sandbox.h"

#include <setjmp.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const enum role_bit all[] = { MX, ACCESS, STORE, SIGNER, METRICS,
	INDEX, RESOLVER, RELAY };

static int listener = -1;		/* on a port of the loopback */
static int spare = -1;			/* another, to be misused */
static struct sockaddr_in there;	/* its address */
static struct sockaddr_un abstract;	/* a listening abstract socket */
static socklen_t abstract_n;
static char folder[] = "/tmp/test_sandbox.XXXXXX";
static pid_t outside;

enum { REFUSED = 0, WORKED = 1, NO_SANDBOX = 2, KILLED = 3 };

static void
open_spare(void)
{
	if (spare >= 0)
		close(spare);
	spare = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(listen(spare, 1), 0);
}

/* What became of fn in this role's sandbox, in the test's own folder. */
static int
inside(enum role_bit role, int (*fn)(void))
{
	struct text why = TEXT_INIT(200);
	int status;
	pid_t pid;

	open_spare();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(folder) != 0 || sandbox_enter(role, &why) != 1)
			_exit(NO_SANDBOX);
		_exit(fn() < 0 ? REFUSED : WORKED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return KILLED;
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), NO_SANDBOX);
	return WEXITSTATUS(status);
}

/* ---- what an intruder would try ---------------------------------------- */

static int
open_a_file(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int
open_beside_the_own_tree(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.beside", folder);
	return open(path, O_RDONLY);
}

static int
make_a_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.made", folder);
	return open(path, O_WRONLY | O_CREAT, 0600);
}

static int
read_own_memory(void)
{
	return open("/proc/self/mem", O_RDWR);
}

static int
connect_out(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&there,
	    sizeof(there));
}

static int
listen_on_a_port(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any,
	    sizeof(any)) != 0)
		return -1;
	return listen(fd, 1);
}

static int
take_a_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_port = htons((uint16_t)(20000 + getpid() % 10000));
	return fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&a, sizeof(a));
}

static int
open_a_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int
send_a_datagram(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return fd < 0 ? -1 : (int)sendto(fd, "x", 1, 0,
	    (const struct sockaddr *)&there, sizeof(there));
}

static int
connect_to_a_local_service(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&abstract,
	    abstract_n);
}

/* Shut down, a listening socket is one that could connect. */
static int
connect_by_sending(void)
{
	struct iovec io = { (char []){ "x" }, 1 };
	struct msghdr m = { .msg_name = &there, .msg_iov = &io,
	    .msg_namelen = sizeof(there), .msg_iovlen = 1 };

	if (shutdown(spare, SHUT_RDWR) != 0)
		return -1;
	return (int)sendmsg(spare, &m, MSG_FASTOPEN | MSG_NOSIGNAL);
}

static int
connect_by_sending_to(void)
{
	if (shutdown(spare, SHUT_RDWR) != 0)
		return -1;
	return (int)sendto(spare, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	    (const struct sockaddr *)&there, sizeof(there));
}

static int
execute_a_program(void)
{
	static char name[] = "true";
	char *argv[] = { name, NULL };

	execv("/bin/true", argv);
	return -1;
}

/* From memory: no file is needed for that. */
static int
execute_from_memory(void)
{
	int fd = memfd_create("program", MFD_CLOEXEC);
	char *none[] = { NULL };

	if (fd < 0 || write(fd, "\177ELF", 4) != 4)
		return -1;
	return (int)syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH);
}

static int
map_code_from_memory(void)
{
	int fd = memfd_create("code", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096) != 0)
		return -1;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) ==
	    MAP_FAILED ? -1 : 1;
}

static int
make_a_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static int
trace_a_process(void)
{
	return (int)ptrace(PTRACE_ATTACH, outside, NULL, NULL);
}

static int
signal_a_process(void)
{
	return kill(outside, 0);
}

static int
signal_a_thread_elsewhere(void)
{
	return (int)syscall(SYS_tgkill, outside, outside, 0);
}

static int
limit_a_process(void)
{
	struct rlimit r;

	return prlimit(outside, RLIMIT_NOFILE, NULL, &r);
}

static int
limit_oneself(void)
{
	struct rlimit r = { 1, 1 };

	return prlimit(0, RLIMIT_NOFILE, &r, NULL);
}

static int
read_a_process(void)
{
	char here_;
	struct iovec to = { &here_, 1 }, from = { &spare, 1 };

	return (int)process_vm_readv(outside, &to, 1, &from, 1, 0);
}

static int
take_a_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, outside, 0);

	return fd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, fd, 0, 0);
}

static int
call_by_ring(void)
{
	char params[120] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int
mount_something(void)
{
	return mount("none", folder, "tmpfs", 0, NULL);
}

static int
load_a_program_into_the_kernel(void)
{
	char attributes[120] = { 0 };

	return (int)syscall(SYS_bpf, 5, attributes, sizeof(attributes));
}

static int
use_the_keyring(void)
{
	return (int)syscall(SYS_keyctl, 0, -3, 1);
}

static int
become_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int
type_for_the_terminal(void)
{
	return ioctl(0, TIOCSTI, "x");
}

static int
make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		return 1;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int
become_root(void)
{
	return setuid(0);
}

static int
change_the_root(void)
{
	return chroot("/");
}

static int
make_a_namespace(void)
{
	return (int)syscall(SYS_unshare, 0x10000000);
}

static int
raise_a_limit(void)
{
	struct rlimit r = { 1000, 1000 };

	return setrlimit(RLIMIT_NPROC, &r);
}

static int
set_the_clock(void)
{
	struct timeval t = { 0, 0 };

	return settimeofday(&t, NULL);
}

static const struct {
	const char *what;
	int (*fn)(void);
} attempts[] = {
	{ "open a file", open_a_file },
	{ "open a file beside its tree", open_beside_the_own_tree },
	{ "make a file beside its tree", make_a_file },
	{ "write its own memory", read_own_memory },
	{ "connect out", connect_out },
	{ "listen on a port", listen_on_a_port },
	{ "take a port", take_a_port },
	{ "open a raw socket", open_a_raw_socket },
	{ "send a datagram", send_a_datagram },
	{ "connect to a local service", connect_to_a_local_service },
	{ "connect by sending", connect_by_sending },
	{ "connect by sending to an address", connect_by_sending_to },
	{ "execute a program", execute_a_program },
	{ "execute from memory", execute_from_memory },
	{ "map code from memory", map_code_from_memory },
	{ "make a process", make_a_process },
	{ "trace a process", trace_a_process },
	{ "signal a process", signal_a_process },
	{ "signal a thread elsewhere", signal_a_thread_elsewhere },
	{ "ask for another's limits", limit_a_process },
	{ "change its limits", limit_oneself },
	{ "read another's memory", read_a_process },
	{ "take another's descriptor", take_a_descriptor },
	{ "make calls by a ring", call_by_ring },
	{ "mount something", mount_something },
	{ "load a program into the kernel", load_a_program_into_the_kernel },
	{ "use the keyring", use_the_keyring },
	{ "become dumpable", become_dumpable },
	{ "type for the terminal", type_for_the_terminal },
	{ "make code", make_code },
	{ "become root", become_root },
	{ "change the root", change_the_root },
	{ "make a namespace", make_a_namespace },
	{ "raise a limit", raise_a_limit },
	{ "set the clock", set_the_clock },
};

/* Without Landlock in the kernel the store keeps to its tree by itself. */
static bool
needs_landlock(size_t i)
{
	return sandbox_landlock_version() == 0 &&
	    (attempts[i].fn == open_a_file || attempts[i].fn == make_a_file ||
	    attempts[i].fn == open_beside_the_own_tree ||
	    attempts[i].fn == read_own_memory);
}

/* Those whose work it is to connect may; the port is Landlock's matter. */
static bool
is_its_work(enum role_bit role, size_t i)
{
	if (role == STORE)
		return needs_landlock(i);
	if (role == RELAY && attempts[i].fn == connect_to_a_local_service)
		return sandbox_landlock_version() < 6;
	return (role == RESOLVER && attempts[i].fn == send_a_datagram) ||
	    ((role == RESOLVER || role == RELAY) &&
	    (attempts[i].fn == connect_out ||
	    (attempts[i].fn == take_a_port &&
	    sandbox_landlock_version() < 4)));
}

static void
attempts_fail(void **state)
{
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(all); r++)
		for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
			if (inside(all[r], attempts[i].fn) == WORKED &&
			    !is_its_work(all[r], i))
				fail_msg("%s could %s", role_name(all[r]),
				    attempts[i].what);
}

/* Without these, the failures above would prove nothing. */
static void
attempts_work_outside(void **state)
{
	int status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		int (*fn)(void) = attempts[i].fn;
		pid_t pid;

		if (fn != open_a_file && fn != open_beside_the_own_tree &&
		    fn != connect_out && fn != connect_to_a_local_service &&
		    fn != make_a_process && fn != listen_on_a_port &&
		    fn != take_a_port &&
		    fn != connect_by_sending && fn != limit_a_process &&
		    fn != signal_a_thread_elsewhere &&
		    fn != map_code_from_memory && fn != limit_oneself &&
		    fn != execute_a_program && fn != send_a_datagram &&
		    fn != read_own_memory)
			continue;
		open_spare();
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(fn() < 0 ? 1 : 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("cannot %s even outside", attempts[i].what);
	}
}

static void
intruders_calls_kill(void **state)
{
	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(all); r++) {
		assert_int_equal(inside(all[r], execute_a_program), KILLED);
		assert_int_equal(inside(all[r], trace_a_process), KILLED);
	}
}

static int
look_at_oneself(void)
{
	return prctl(PR_GET_DUMPABLE) == -1 && errno == EPERM ? 1 : -1;
}

static void
other_calls_say_eperm(void **state)
{
	(void)state;
	assert_int_equal(inside(MX, look_at_oneself), WORKED);
}

/* ---- what a role needs ------------------------------------------------- */

static int
use_memory_and_time(void)
{
	char *p = malloc(8 << 20);
	struct timespec t = { 0, 1000 };
	uint64_t r;

	if (p == NULL)
		return -1;
	memset(p, 1, 8 << 20);
	p = realloc(p, 16 << 20);
	if (p == NULL || getrandom(&r, sizeof(r), 0) != sizeof(r))
		return -1;
	free(p);
	return nanosleep(&t, NULL);
}

static int
share_memory(void)
{
	int fd = memfd_create("spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, 4096) != 0 || write(fd, "x", 1) != 1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) != 0)
		return -1;
	return mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ?
	    -1 : 1;
}

static int
run_a_loop(void)
{
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event e = { .events = EPOLLIN };

	if (loop < 0 || event < 0 ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, event, &e) != 0)
		return -1;
	return epoll_wait(loop, &e, 1, 1000) == 1 ? 1 : -1;
}

static int
accept_a_connection(void)
{
	char buf[4];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || recv(fd, buf, 4, 0) != 4)
		return -1;
	return send(fd, buf, 4, MSG_NOSIGNAL) == 4 ? 1 : -1;
}

static void
roles_can_work(void **state)
{
	int fd;
	char buf[4];

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(all); r++) {
		assert_int_equal(inside(all[r], use_memory_and_time), WORKED);
		assert_int_equal(inside(all[r], share_memory), WORKED);
		assert_int_equal(inside(all[r], run_a_loop), WORKED);
		if (all[r] == SIGNER || all[r] == RELAY ||
		    all[r] == INDEX)
			continue;
		fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fd, (const struct sockaddr *)&there,
		    sizeof(there)), 0);
		assert_int_equal(write(fd, "EHLO", 4), 4);
		assert_int_equal(inside(all[r], accept_a_connection), WORKED);
		assert_int_equal(read(fd, buf, 4), 4);
		assert_memory_equal(buf, "EHLO", 4);
		close(fd);
	}
}

static void *
thread(void *arg)
{
	prctl(PR_SET_NAME, "worker");
	return arg;
}

static int
start_threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, thread, NULL) != 0)
			return -1;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return 1;
}

static int
use_own_tree(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = -1;
	DIR *d;

	if (mkdir("a", 0700) != 0 || mkdir("b", 0700) != 0)
		return -1;
	fd = open("a/file", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 ||
	    fcntl(fd, F_SETLK, &lock) != 0 || ftruncate(fd, 0) != 0)
		return -1;
	if (link("a/file", "b/link") != 0 || rename("a/file", "b/file") != 0)
		return -1;
	d = opendir("b");
	if (d == NULL || readdir(d) == NULL)
		return -1;
	closedir(d);
	return unlink("b/file") == 0 && unlink("b/link") == 0 &&
	    rmdir("a") == 0 && rmdir("b") == 0 ? 1 : -1;
}

static void
the_store_has_its_tree_and_threads(void **state)
{
	(void)state;
	assert_int_equal(inside(STORE, start_threads), WORKED);
	assert_int_equal(inside(MX, start_threads), REFUSED);
	assert_int_equal(inside(MX, use_own_tree), REFUSED);
	if (sandbox_landlock_version() >= 2)
		assert_int_equal(inside(STORE, use_own_tree), WORKED);
}

static int
connect_where_it_is_told(void)
{
	uint16_t port = ntohs(there.sin_port);

	if (sandbox_connect_only(&port, 1) != 1)
		return -1;
	return connect_out();
}

static int
connect_elsewhere(void)
{
	static const uint16_t dns = 53;

	return sandbox_connect_only(&dns, 1) != 1 ? 1 : connect_out();
}

static int
ask_by_udp(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    IPPROTO_UDP);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any,
	    sizeof(any)) != 0)
		return -1;
	return (int)sendto(fd, "x", 1, 0, (const struct sockaddr *)&there,
	    sizeof(there));
}

static void
the_resolver_asks_servers_alone(void **state)
{
	(void)state;
	assert_int_equal(inside(RESOLVER, connect_out), WORKED);
	assert_int_equal(inside(RESOLVER, ask_by_udp), WORKED);
	if (sandbox_landlock_version() < 4)
		return;
	assert_int_equal(inside(RESOLVER, connect_where_it_is_told), WORKED);
	assert_int_equal(inside(RESOLVER, connect_elsewhere), REFUSED);
	assert_int_equal(inside(MX, connect_where_it_is_told), REFUSED);
}

/* LMTP to a server on this machine. */
static int
connect_to_a_unix_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s.unix", folder);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&a,
	    sizeof(a));
}

static int
open_a_datagram_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int
choose_ones_address(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0)
		return -1;
	return connect(fd, (const struct sockaddr *)&there, sizeof(there));
}

static void
relay_connects_and_no_more(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s.unix", folder);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(inside(RELAY, connect_out), WORKED);
	assert_int_equal(inside(RELAY, choose_ones_address), WORKED);
	assert_int_equal(inside(RELAY, connect_to_a_unix_socket), WORKED);
	assert_int_equal(inside(MX, connect_to_a_unix_socket), REFUSED);
	assert_int_equal(inside(RELAY, open_a_datagram_socket), REFUSED);
	assert_int_equal(inside(RELAY, accept_a_connection), REFUSED);
	close(fd);
	unlink(a.sun_path);
}

/* ---- the surroundings -------------------------------------------------- */

static int
setup(void **state)
{
	socklen_t n = sizeof(there);
	char path[64];
	int fd;

	(void)state;
	outside = getpid();
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s.beside", folder);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	there.sin_family = AF_INET;
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (const struct sockaddr *)&there, n) != 0 ||
	    listen(listener, 64) != 0 ||
	    getsockname(listener, (struct sockaddr *)&there, &n) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	abstract.sun_family = AF_UNIX;
	abstract_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
	    (size_t)snprintf(abstract.sun_path + 1,
	    sizeof(abstract.sun_path) - 1, "test_sandbox.%d", (int)outside));
	return bind(fd, (const struct sockaddr *)&abstract, abstract_n) == 0 ?
	    listen(fd, 64) : -1;
}

/* The connections of attempts outside would be in the way of accept. */
static int
drain(void **state)
{
	int fd;

	(void)state;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	return 0;
}

static int
drain_setup(void **state)
{
	fcntl(listener, F_SETFL, O_NONBLOCK);
	drain(state);
	fcntl(listener, F_SETFL, 0);
	return 0;
}

static int
teardown(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s.beside", folder);
	unlink(path);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts_work_outside),
		cmocka_unit_test(attempts_fail),
		cmocka_unit_test(intruders_calls_kill),
		cmocka_unit_test(other_calls_say_eperm),
		cmocka_unit_test_setup(roles_can_work, drain_setup),
		cmocka_unit_test(the_store_has_its_tree_and_threads),
		cmocka_unit_test_setup(relay_connects_and_no_more,
		    drain_setup),
		cmocka_unit_test_setup(the_resolver_asks_servers_alone,
		    drain_setup),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
