/*
 * datadir.c - the one directory in which everything is kept.
 *
 * Everything below it is named by way of its descriptor: a path may be too
 * long for a socket's name, or be moved while we run.
 */
#include "role/datadir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };

static int
failed(struct text *why, const char *path)
{
	text_printf(why, "%s: %s", path, strerrordesc_np(errno));
	return -1;
}

int
datadir_open(const char *path, bool make, struct text *why)
{
	int fd, saved;

	if (make && mkdir(path, 0755) != 0 && errno != EEXIST)
		return failed(why, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed(why, path);
	if (make && mkdirat(fd, DATADIR_STORE, 0700) != 0 &&
	    errno != EEXIST) {
		saved = errno;
		close(fd);
		errno = saved;
		return failed(why, path);
	}
	return fd;
}

static pid_t
holder(int fd)
{
	char line[24];
	ssize_t n = pread(fd, line, sizeof(line), 0);
	uint32_t pid;

	return n > 0 && span_u32(span_chomp(span_of(line, (size_t)n)),
	    &pid) == 1 ? (pid_t)pid : 0;
}

int
datadir_lock(int directory, pid_t *pid)
{
	int fd = openat(directory, DATADIR_LOCK,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	*pid = -1;
	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		if (ftruncate(fd, 0) == 0)
			dprintf(fd, "%d\n", (int)getpid());
		return fd;
	}
	if (errno == EWOULDBLOCK)
		*pid = holder(fd);
	close(fd);
	return -1;
}

/* ---- whose the store is ------------------------------------------------ */

static int give_tree(int fd, uid_t, gid_t, int depth);

/* A symbolic link is given away itself, never what it points to. */
static int
give_entry(int parent, const char *name, uid_t uid, gid_t gid, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	if ((st.st_uid != uid || st.st_gid != gid) && fchownat(parent, name,
	    uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
		return 0;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	return fd < 0 ? -1 : give_tree(fd, uid, gid, depth + 1);
}

/* Closes fd. */
static int
give_tree(int fd, uid_t uid, gid_t gid, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (d == NULL) {
		close(fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = give_entry(fd, e->d_name, uid, gid, depth);
	closedir(d);
	return r;
}

int
datadir_give_store(int directory, uid_t uid, gid_t gid, struct text *why)
{
	if (give_entry(directory, DATADIR_STORE, uid, gid, 0) == 0)
		return 1;
	failed(why, DATADIR_STORE);
	return 0;
}

int
datadir_read(int directory, const char *path, struct text *out)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;
	char *p;

	if (fd < 0)
		return 0;
	errno = EFBIG;
	while ((p = text_room(out, 4096)) != NULL) {
		n = read(fd, p, 4096);
		if (n <= 0)
			break;
		text_grew(out, (size_t)n);
		errno = EFBIG;
	}
	close(fd);
	return n == 0 ? 1 : 0;
}

/* ---- the admin sockets ------------------------------------------------- */

static int
admin_socket(int directory, const char *name, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s",
	    directory, name);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

/* For the one who runs Postrider: the mode of the socket is the right. */
int
datadir_admin_listen(int directory, const char *name)
{
	struct sockaddr_un a;
	int fd = admin_socket(directory, name, &a), saved;
	mode_t mask;

	if (fd < 0)
		return -1;
	unlinkat(directory, name, 0);
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(fd, 16) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
		umask(mask);
		return fd;
	}
	saved = errno;
	umask(mask);
	close(fd);
	errno = saved;
	return -1;
}

int
datadir_admin_connect(int directory, const char *name)
{
	struct sockaddr_un a;
	int fd = admin_socket(directory, name, &a), saved;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
