/*
 * sandbox.c - one table of what each role may do.
 *
 * The groups of system calls are small sets with a purpose; a role is the sum
 * of its groups. Where a call is harmless with some arguments only, its row
 * says with which. Whatever makes a new descriptor reach out is in two groups
 * alone: open in FILES, which Landlock holds to one tree; socket, connect and
 * bind in CONNECT and DIAL, never to listen.
 */
#include "role/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BASIC	= 1 << 0,	/* memory, time, what is open already */
	LOOP	= 1 << 1,	/* epoll, sockets that are handed in, memfds */
	ACCEPT	= 1 << 2,	/* on listening sockets that are handed in */
	THREADS	= 1 << 3,
	FILES	= 1 << 4,	/* below the working directory */
	CONNECT	= 1 << 5,	/* outwards, TCP and UDP */
	DIAL	= 1 << 6,	/* outwards, TCP and Unix sockets */
};

/* ---- the table --------------------------------------------------------- */

static const struct rights {
	enum role_bit role;
	unsigned calls;
} table[] = {
	{ MX,      BASIC | LOOP | ACCEPT },
	{ ACCESS,  BASIC | LOOP | ACCEPT },
	{ STORE,   BASIC | LOOP | ACCEPT | THREADS | FILES },
	{ SIGNER,  BASIC | LOOP },
	{ RESOLVER, BASIC | LOOP | ACCEPT | CONNECT },
	{ RELAY,   BASIC | LOOP | DIAL },
	{ METRICS, BASIC | LOOP | ACCEPT },
	{ INDEX,   BASIC | LOOP },
};

struct right {
	int call;
	unsigned groups;
	unsigned conditions;
	struct scmp_arg_cmp when[2];
};

#define PLAIN(name, groups)	{ SCMP_SYS(name), groups, 0, { { 0 } } }
#define WHEN(name, groups, ...) { SCMP_SYS(name), groups, 1, { __VA_ARGS__ } }
#define WHEN2(name, groups, ...) { SCMP_SYS(name), groups, 2, { __VA_ARGS__ } }
#define IS(arg, value)		{ arg, SCMP_CMP_EQ, value, 0 }
#define HAS(arg, bits)		{ arg, SCMP_CMP_MASKED_EQ, bits, bits }
#define LACKS(arg, bits)	{ arg, SCMP_CMP_MASKED_EQ, bits, 0 }
#define OF_TYPE(arg, type)	{ arg, SCMP_CMP_MASKED_EQ, 0xf, type }

static const struct right rights[] = {
	PLAIN(read, BASIC), PLAIN(write, BASIC), PLAIN(readv, BASIC),
	PLAIN(writev, BASIC), PLAIN(pread64, BASIC), PLAIN(pwrite64, BASIC),
	PLAIN(lseek, BASIC), PLAIN(close, BASIC), PLAIN(close_range, BASIC),
	PLAIN(dup, BASIC), PLAIN(dup2, BASIC), PLAIN(dup3, BASIC),
	PLAIN(fstat, BASIC), WHEN(newfstatat, BASIC, HAS(3, AT_EMPTY_PATH)),
	WHEN(statx, BASIC, HAS(2, AT_EMPTY_PATH)),
	WHEN(fcntl, BASIC, IS(1, F_GETFL)), WHEN(fcntl, BASIC, IS(1, F_SETFL)),
	WHEN(fcntl, BASIC, IS(1, F_GETFD)), WHEN(fcntl, BASIC, IS(1, F_SETFD)),
	WHEN(fcntl, BASIC, IS(1, F_DUPFD_CLOEXEC)),

	WHEN(mmap, BASIC, LACKS(2, PROT_EXEC)), PLAIN(munmap, BASIC),
	WHEN(mprotect, BASIC, LACKS(2, PROT_EXEC)), PLAIN(mremap, BASIC),
	PLAIN(madvise, BASIC), PLAIN(brk, BASIC),

	PLAIN(clock_gettime, BASIC), PLAIN(clock_getres, BASIC),
	PLAIN(clock_nanosleep, BASIC), PLAIN(nanosleep, BASIC),
	PLAIN(gettimeofday, BASIC), PLAIN(time, BASIC),
	PLAIN(getrandom, BASIC), PLAIN(uname, BASIC), PLAIN(sysinfo, BASIC),
	PLAIN(getpid, BASIC), PLAIN(getppid, BASIC), PLAIN(gettid, BASIC),
	PLAIN(getuid, BASIC), PLAIN(geteuid, BASIC), PLAIN(getgid, BASIC),
	PLAIN(getegid, BASIC), PLAIN(getrusage, BASIC), PLAIN(times, BASIC),
	WHEN2(prlimit64, BASIC, IS(0, 0), IS(2, 0)),

	PLAIN(futex, BASIC), PLAIN(sched_yield, BASIC), PLAIN(rseq, BASIC),
	PLAIN(sched_getaffinity, BASIC), PLAIN(getcpu, BASIC),
	PLAIN(set_robust_list, BASIC), PLAIN(membarrier, BASIC),
	PLAIN(rt_sigaction, BASIC), PLAIN(rt_sigprocmask, BASIC),
	PLAIN(rt_sigreturn, BASIC), PLAIN(sigaltstack, BASIC),
	PLAIN(restart_syscall, BASIC), PLAIN(exit, BASIC),
	PLAIN(exit_group, BASIC), PLAIN(poll, BASIC), PLAIN(ppoll, BASIC),

	PLAIN(epoll_create1, LOOP), PLAIN(epoll_ctl, LOOP),
	PLAIN(epoll_wait, LOOP), PLAIN(epoll_pwait, LOOP),
	PLAIN(epoll_pwait2, LOOP), PLAIN(eventfd2, LOOP),
	PLAIN(timerfd_create, LOOP), PLAIN(timerfd_settime, LOOP),
	PLAIN(signalfd4, LOOP),
	PLAIN(recvfrom, LOOP), PLAIN(recvmsg, LOOP),
	WHEN(sendmsg, LOOP, LACKS(2, MSG_FASTOPEN)),
	WHEN2(sendto, LOOP, LACKS(3, MSG_FASTOPEN), IS(4, 0)),
	PLAIN(sendfile, LOOP),
	PLAIN(shutdown, LOOP), PLAIN(getsockopt, LOOP),
	PLAIN(setsockopt, LOOP), PLAIN(getsockname, LOOP),
	PLAIN(getpeername, LOOP),
	PLAIN(memfd_create, LOOP), PLAIN(ftruncate, LOOP),
	PLAIN(fallocate, LOOP), WHEN(fcntl, LOOP, IS(1, F_ADD_SEALS)),
	WHEN(fcntl, LOOP, IS(1, F_GET_SEALS)),

	PLAIN(accept4, ACCEPT), PLAIN(accept, ACCEPT),

	WHEN2(socket, CONNECT | DIAL, IS(0, AF_INET),
	    OF_TYPE(1, SOCK_STREAM)),
	WHEN2(socket, CONNECT, IS(0, AF_INET), OF_TYPE(1, SOCK_DGRAM)),
	WHEN2(socket, CONNECT | DIAL, IS(0, AF_INET6),
	    OF_TYPE(1, SOCK_STREAM)),
	WHEN2(socket, CONNECT, IS(0, AF_INET6), OF_TYPE(1, SOCK_DGRAM)),
	WHEN2(socket, DIAL, IS(0, AF_UNIX), OF_TYPE(1, SOCK_STREAM)),
	PLAIN(connect, CONNECT | DIAL), PLAIN(bind, CONNECT | DIAL),
	WHEN(sendto, CONNECT, LACKS(3, MSG_FASTOPEN)),
	/* What takes away more of one's own rights is welcome at any time. */
	PLAIN(landlock_create_ruleset, CONNECT),
	PLAIN(landlock_add_rule, CONNECT),
	PLAIN(landlock_restrict_self, CONNECT),

	WHEN(clone, THREADS, HAS(0, CLONE_VM | CLONE_THREAD)),
	WHEN(prctl, THREADS, IS(0, PR_SET_NAME)),
	WHEN(prctl, THREADS, IS(0, PR_GET_NAME)),

	PLAIN(open, FILES), PLAIN(openat, FILES), PLAIN(stat, FILES),
	PLAIN(lstat, FILES), PLAIN(newfstatat, FILES), PLAIN(statx, FILES),
	PLAIN(access, FILES), PLAIN(faccessat, FILES),
	PLAIN(faccessat2, FILES), PLAIN(getdents64, FILES),
	PLAIN(getcwd, FILES), PLAIN(readlink, FILES),
	PLAIN(readlinkat, FILES), PLAIN(mkdir, FILES), PLAIN(mkdirat, FILES),
	PLAIN(rmdir, FILES), PLAIN(unlink, FILES), PLAIN(unlinkat, FILES),
	PLAIN(rename, FILES), PLAIN(renameat, FILES), PLAIN(renameat2, FILES),
	PLAIN(link, FILES), PLAIN(linkat, FILES), PLAIN(truncate, FILES),
	PLAIN(fsync, FILES), PLAIN(fdatasync, FILES), PLAIN(syncfs, FILES),
	PLAIN(sync_file_range, FILES), PLAIN(fadvise64, FILES),
	PLAIN(readahead, FILES), PLAIN(flock, FILES), PLAIN(statfs, FILES),
	PLAIN(fstatfs, FILES), PLAIN(preadv, FILES), PLAIN(pwritev, FILES),
	PLAIN(preadv2, FILES), PLAIN(pwritev2, FILES),
	PLAIN(copy_file_range, FILES),
	WHEN(fcntl, FILES, IS(1, F_SETLK)), WHEN(fcntl, FILES, IS(1, F_GETLK)),
	WHEN(fcntl, FILES, IS(1, F_SET_RW_HINT)),
};

/* No program of ours makes these, at any time: an intruder is at work. */
static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
	SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(kexec_load),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
};

static unsigned
calls_of(enum role_bit role)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].role == role)
			return table[i].calls;
	must(false && "a role without a sandbox");
	return 0;
}

/* ---- seccomp ----------------------------------------------------------- */

/* These expect to be told in these words, and then do otherwise. */
static int
add_answers(scmp_filter_ctx filter, unsigned groups)
{
	struct scmp_arg_cmp self = IS(0, (scmp_datum_t)getpid());
	struct scmp_arg_cmp fast = HAS(2, MSG_FASTOPEN);
	int r;

	/* abort(); and the C library falls back from clone3 to clone. */
	r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill),
	    1, &self);
	if (r == 0)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0, NULL);
	/* libunbound falls back from sending, which Landlock does not see as
	 * connecting, to connect(). */
	if (r == 0 && (groups & CONNECT) != 0)
		r = seccomp_rule_add_array(filter,
		    SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(sendmsg), 1, &fast);
	return r;
}

static int
add_rules(scmp_filter_ctx filter, unsigned groups)
{
	int r;

	for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
		if ((rights[i].groups & groups) == 0)
			continue;
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    rights[i].call, rights[i].conditions, rights[i].when);
		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		r = seccomp_rule_add_array(filter, SCMP_ACT_KILL_PROCESS,
		    deadly[i], 0, NULL);
		if (r != 0)
			return r;
	}
	return add_answers(filter, groups);
}

static int
seccomp_enter(unsigned groups, struct text *why)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter == NULL ? -ENOMEM : 0;

	if (r == 0)	/* calls of another architecture: of no use to us */
		r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
		    SCMP_ACT_KILL_PROCESS);
	if (r == 0)	/* a tree of comparisons instead of a list */
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = add_rules(filter, groups);
	if (r == 0)
		r = seccomp_load(filter);
	if (filter != NULL)
		seccomp_release(filter);
	if (r != 0)
		text_printf(why, "seccomp: %s", strerrordesc_np(-r));
	return r == 0 ? 1 : -1;
}

/* ---- Landlock ---------------------------------------------------------- */
/*
 * The system's header may be older than its kernel: the numbers are the
 * kernel's, from Documentation/userspace-api/landlock.rst.
 */
#define FS_EXECUTE	(UINT64_C(1) << 0)
#define FS_WRITE_FILE	(UINT64_C(1) << 1)
#define FS_READ_FILE	(UINT64_C(1) << 2)
#define FS_READ_DIR	(UINT64_C(1) << 3)
#define FS_REMOVE_DIR	(UINT64_C(1) << 4)
#define FS_REMOVE_FILE	(UINT64_C(1) << 5)
#define FS_MAKE_DIR	(UINT64_C(1) << 7)
#define FS_MAKE_REG	(UINT64_C(1) << 8)
#define FS_VERSION_1	((UINT64_C(1) << 13) - 1)
#define FS_REFER	(UINT64_C(1) << 13)	/* version 2 */
#define FS_TRUNCATE	(UINT64_C(1) << 14)	/* 3 */
#define FS_IOCTL_DEV	(UINT64_C(1) << 15)	/* 5 */
#define NET_BIND	(UINT64_C(1) << 0)	/* 4: TCP */
#define NET_CONNECT	(UINT64_C(1) << 1)
#define SCOPE_ALL	UINT64_C(3)		/* 6: abstract unix, signal */

#define OWN_TREE	(FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR |	\
	FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |	\
	FS_REFER | FS_TRUNCATE)

struct ruleset {
	uint64_t files, net, scope;
};

struct tree {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed, port;
};

enum { RULESET_VERSION = 1, RULE_TREE = 1, RULE_PORT = 2, NET_SINCE = 4 };

int
sandbox_landlock_version(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    RULESET_VERSION);

	return v < 0 ? 0 : (int)v;
}

/* What this kernel can take away, and how long its struct is. */
static size_t
all_rights(int version, struct ruleset *r)
{
	*r = (struct ruleset){ FS_VERSION_1, 0, 0 };
	if (version >= 2)
		r->files |= FS_REFER;
	if (version >= 3)
		r->files |= FS_TRUNCATE;
	if (version >= 4)
		r->net = NET_BIND | NET_CONNECT;
	if (version >= 5)
		r->files |= FS_IOCTL_DEV;
	if (version >= 6)
		r->scope = SCOPE_ALL;
	return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

/* Version 1 refuses every rename between directories, so be it. */
static int
allow_own_tree(int ruleset, uint64_t known)
{
	struct tree tree = { OWN_TREE & known, -1 };
	int r;

	tree.fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tree.fd < 0)
		return -1;
	r = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_TREE, &tree, 0);
	close(tree.fd);
	return r;
}

static int
allow_port(int ruleset, uint64_t allowed, uint16_t port)
{
	struct port_rule rule = { allowed, port };

	return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule,
	    0);
}

/* Who connects may choose its own address, but no port to be found at. */
static int
allow_groups(int ruleset, const struct ruleset *all, unsigned groups)
{
	if ((groups & FILES) != 0 && allow_own_tree(ruleset, all->files) != 0)
		return -1;
	if ((groups & (CONNECT | DIAL)) != 0 && (all->net & NET_BIND) != 0)
		return allow_port(ruleset, NET_BIND, 0);
	return 0;
}

static int
landlock_enter(unsigned groups, struct text *why)
{
	int version = sandbox_landlock_version(), fd, r;
	struct ruleset all;
	size_t n;

	if (version == 0)
		return 1;	/* seccomp alone, then */
	n = all_rights(version, &all);
	if ((groups & (CONNECT | DIAL)) != 0)
		all.net &= ~NET_CONNECT;
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, n, 0);
	r = fd < 0 ? -1 : 0;
	if (r == 0)
		r = allow_groups(fd, &all, groups);
	if (r == 0)
		r = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	if (r != 0)
		text_printf(why, "landlock: %s", strerrordesc_np(errno));
	if (fd >= 0)
		close(fd);
	return r == 0 ? 1 : -1;
}

int
sandbox_connect_only(const uint16_t *ports, size_t count)
{
	struct ruleset net = { .net = NET_CONNECT };
	int fd, r = 0;

	if (sandbox_landlock_version() < NET_SINCE)
		return 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &net, 16, 0);
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < count && r == 0; i++)
		r = allow_port(fd, NET_CONNECT, ports[i]);
	if (r == 0)
		r = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return r == 0 ? 1 : -1;
}

/* ---- the rest ---------------------------------------------------------- */

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 &&
	    errno != EINVAL)
		return -1;
	return (int)syscall(SYS_capset, &head, none);
}

static int
set_limits(unsigned groups)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return -1;
	return groups & THREADS ? 0 : setrlimit(RLIMIT_NPROC, &none);
}

int
sandbox_enter(enum role_bit role, struct text *why)
{
	unsigned groups = calls_of(role);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    set_limits(groups) != 0 || drop_capabilities() != 0) {
		text_printf(why, "privileges: %s", strerrordesc_np(errno));
		return -1;
	}
	if (landlock_enter(groups, why) != 1)
		return -1;
	return seccomp_enter(groups, why);
}
