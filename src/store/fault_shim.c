/*
 * fault_shim.c - loaded before libc: makes the n-th call of one kind fail,
 * for files of a store only.
 *
 *	FAULT_CALL=write|fdatasync FAULT_AT=n FAULT_KIND=short|eio|enospc
 *	FAULT_FILES=.log|.sst|...  (what the file's name must end in)
 *
 * write counts pwrite too; fdatasync counts fsync. From the n-th call on,
 * FAULT_COUNT calls fail (1 when it is not set).
 */
#undef _FILE_OFFSET_BITS		/* it would make one of pwrite, pwrite64 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;

static bool
is(const char *variable, const char *value)
{
	const char *s = getenv(variable);

	return s != NULL && strcmp(s, value) == 0;
}

static bool
is_watched(int fd)
{
	const char *end = getenv("FAULT_FILES");
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (end == NULL || n < (ssize_t)strlen(end))
		return false;
	path[n] = '\0';
	return strcmp(path + n - (ssize_t)strlen(end), end) == 0;
}

/* Is it this call's turn? */
static bool
hits(const char *call, int fd)
{
	const char *at = getenv("FAULT_AT"), *count = getenv("FAULT_COUNT");
	long first = at != NULL ? atol(at) : 0, n;

	if (first == 0 || !is("FAULT_CALL", call) || !is_watched(fd))
		return false;
	n = atomic_fetch_add(&calls, 1) + 1;
	return n >= first && n < first + (count != NULL ? atol(count) : 1);
}

static int
fail(void)
{
	errno = is("FAULT_KIND", "enospc") ? ENOSPC : EIO;
	return -1;
}

typedef ssize_t write_fn(int, const void *, size_t);
typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef int sync_fn(int);

ssize_t
write(int fd, const void *p, size_t n)
{
	write_fn *next = (write_fn *)dlsym(RTLD_NEXT, "write");

	if (!hits("write", fd))
		return next(fd, p, n);
	if (!is("FAULT_KIND", "short"))
		return fail();
	return next(fd, p, n > 1 ? n / 2 : n);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	pwrite_fn *next = (pwrite_fn *)dlsym(RTLD_NEXT, "pwrite64");

	if (!hits("write", fd))
		return next(fd, p, n, at);
	if (!is("FAULT_KIND", "short"))
		return fail();
	return next(fd, p, n > 1 ? n / 2 : n, at);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

int
fdatasync(int fd)
{
	sync_fn *next = (sync_fn *)dlsym(RTLD_NEXT, "fdatasync");

	return hits("fdatasync", fd) ? fail() : next(fd);
}

int
fsync(int fd)
{
	sync_fn *next = (sync_fn *)dlsym(RTLD_NEXT, "fsync");

	return hits("fdatasync", fd) ? fail() : next(fd);
}
