/*
 * cli_file.c - files and folders, relative to an open folder.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_impl.h"

enum { PIECE = 1 << 20, DEPTH_MAX = 16 };

static int
close_saving_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

int
file_read(int dir, const char *name, size_t max, struct text *out)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	out->limit = max + 1;
	do {
		char *room = text_room(out, MIN((size_t)64 << 10,
		    max - out->n + 1));

		if (room == NULL) {
			errno = EFBIG;
			return close_saving_errno(fd);
		}
		n = read(fd, room, MIN((size_t)64 << 10, max - out->n + 1));
		if (n > 0)
			text_grew(out, (size_t)n);
	} while (n > 0);
	if (n == 0 && out->n > max) {
		errno = EFBIG;
		n = -1;
	}
	if (n < 0)
		return close_saving_errno(fd);
	close(fd);
	return 1;
}

static int
write_all(int fd, struct span bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			bytes = span_from(bytes, (size_t)n);
	}
	return 1;
}

int
file_write(int dir, const char *name, struct span bytes, unsigned mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    (mode_t)mode);

	if (fd < 0)
		return -1;
	if (write_all(fd, bytes) != 1 || fsync(fd) != 0)
		return close_saving_errno(fd);
	return close(fd) == 0 ? 1 : -1;
}

/* ---- trees ------------------------------------------------------------------ */

struct copy {
	void (*step)(void *, uint64_t bytes);
	void *arg;
};

static int
copy_bytes(int in, int out, const struct copy *c)
{
	ssize_t n;

	while ((n = sendfile(out, in, NULL, PIECE)) > 0)
		c->step(c->arg, (uint64_t)n);
	return n == 0 && fsync(out) == 0 ? 1 : -1;
}

/* Mode and, where we may, owner; times do not matter to us. */
static int
copy_file(int from, const char *name, int to, const char *new_name,
    const struct stat *st, const struct copy *c)
{
	int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out;
	int r;

	if (in < 0)
		return -1;
	out = openat(to, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    st->st_mode & 07777);
	if (out < 0)
		return close_saving_errno(in);
	r = copy_bytes(in, out, c);
	if (r == 1 && geteuid() == 0 && fchown(out, st->st_uid,
	    st->st_gid) != 0)
		r = -1;
	if (r != 1)
		close_saving_errno(out);
	else if (close(out) != 0)
		r = -1;
	close_saving_errno(in);
	return r;
}

static int copy_entry(int, const char *, int, const char *,
    const struct copy *, int depth);

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int
copy_entries(DIR *d, int to, const struct copy *c, int depth)
{
	const struct dirent *e;
	int r = 1;

	while (r == 1 && (e = readdir(d)) != NULL)
		if (!is_dots(e->d_name))
			r = copy_entry(dirfd(d), e->d_name, to, e->d_name, c,
			    depth + 1);
	return r == 1 && fsync(to) != 0 ? -1 : r;
}

static int
copy_folder(int from, const char *name, int to, const char *new_name,
    const struct stat *st, const struct copy *c, int depth)
{
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW), out, r;
	DIR *d;

	if (in < 0)
		return -1;
	if (mkdirat(to, new_name, st->st_mode & 07777) != 0)
		return close_saving_errno(in);
	out = openat(to, new_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = out < 0 ? NULL : fdopendir(in);
	if (d == NULL) {
		if (out >= 0)
			close_saving_errno(out);
		return close_saving_errno(in);
	}
	r = copy_entries(d, out, c, depth);
	if (r == 1 && geteuid() == 0 && fchown(out, st->st_uid,
	    st->st_gid) != 0)
		r = -1;
	close_saving_errno(out);
	closedir(d);
	return r;
}

static int
copy_entry(int from, const char *name, int to, const char *new_name,
    const struct copy *c, int depth)
{
	struct stat st;

	if (depth > DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return copy_folder(from, name, to, new_name, &st, c, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(from, name, to, new_name, &st, c);
	return 1;			/* nothing else is ours */
}

int
file_copy_tree(int from, const char *name, int to, const char *new_name,
    void (*step)(void *, uint64_t bytes), void *arg)
{
	struct copy c = { step, arg };

	return copy_entry(from, name, to, new_name, &c, 0);
}

static uint64_t
tree_size(int dir, const char *name, int depth)
{
	const struct dirent *e;
	uint64_t sum = 0;
	struct stat st;
	DIR *d;
	int fd;

	if (depth > DEPTH_MAX ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		if (!is_dots(e->d_name))
			sum += tree_size(fd, e->d_name, depth + 1);
	closedir(d);
	return sum;
}

uint64_t
file_tree_size(int dir, const char *name)
{
	return tree_size(dir, name, 0);
}
