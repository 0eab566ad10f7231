/*
 * spool.c - a message on its way in, in memory or in an unnamed file.
 *
 * One buffer of at most SPOOL_INLINE bytes serves both ways: as the message
 * while it is small, and before the file once it is not, so that the file is
 * written in large pieces however small the additions are.
 *
 * A memfd counts as memory of ours: that is what spool_set_total() bounds.
 * Nothing here is durable, nor meant to be: the store makes messages durable.
 */
#include "io/spool.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_ROOM = 4 << 10 };

struct spool {
	uint64_t max;
	uint64_t size;		/* of the whole message */
	char *buffer;
	size_t held, room;	/* of the buffer */
	int fd;
	int error;		/* it is dead, for this reason */
	bool finished;
	void *map;
};

static _Atomic uint64_t total_limit;
static _Atomic uint64_t total;

void
spool_set_total(uint64_t bytes)
{
	atomic_store(&total_limit, bytes);
}

struct spool *
spool_new(uint64_t max)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->max = max;
	s->fd = -1;
	return s;
}

void
spool_free(struct spool **p)
{
	struct spool *s = *p;

	if (s == NULL)
		return;
	*p = NULL;
	atomic_fetch_sub(&total, s->size);
	if (s->map != NULL)
		munmap(s->map, s->size);
	if (s->fd != -1)
		close(s->fd);
	free(s->buffer);
	free(s);
}

/* It holds nothing any more; what follows is dropped. */
static int
die(struct spool *s, int error)
{
	atomic_fetch_sub(&total, s->size);
	if (s->fd != -1)
		close(s->fd);
	free(s->buffer);
	*s = (struct spool){ .max = s->max, .fd = -1, .error = error };
	errno = error;
	return error == EMSGSIZE || error == ENOSPC ? 0 : -1;
}

/* n more bytes, if the process may hold them. */
static bool
total_admits(uint64_t n)
{
	uint64_t limit = atomic_load(&total_limit);

	if (atomic_fetch_add(&total, n) + n <= limit || limit == 0)
		return true;
	atomic_fetch_sub(&total, n);
	return false;
}

static int
write_whole(int fd, struct span bytes)
{
	ssize_t n;

	while (bytes.n > 0) {
		n = write(fd, bytes.p, bytes.n);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		bytes = span_from(bytes, (size_t)n);
	}
	return 1;
}

/* What the buffer holds moves to the file. */
static int
spill(struct spool *s)
{
	if (s->fd == -1)
		s->fd = memfd_create("message",
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd == -1)
		return -1;
	if (write_whole(s->fd, span_of(s->buffer, s->held)) == -1)
		return -1;
	s->held = 0;
	return 1;
}

static void
buffer_grow(struct spool *s, size_t need)
{
	if (s->held + need <= s->room || s->room == SPOOL_INLINE)
		return;
	if (s->room == 0)
		s->room = FIRST_ROOM;
	while (s->room < s->held + need && s->room < SPOOL_INLINE)
		s->room *= 2;
	s->buffer = xrealloc(s->buffer, s->room);
}

int
spool_add(struct spool *s, struct span bytes)
{
	size_t n;

	must(!s->finished);
	if (s->error != 0)
		return die(s, s->error);
	if (bytes.n > s->max - s->size)
		return die(s, EMSGSIZE);
	if (!total_admits(bytes.n))
		return die(s, ENOSPC);
	s->size += bytes.n;
	buffer_grow(s, bytes.n);
	while (bytes.n > 0) {
		if (s->held == s->room && spill(s) == -1)
			return die(s, errno == ENOSPC ? EIO : errno);
		n = MIN(bytes.n, s->room - s->held);
		memcpy(s->buffer + s->held, bytes.p, n);
		s->held += n;
		bytes = span_from(bytes, n);
	}
	return 1;
}

uint64_t
spool_size(const struct spool *s)
{
	return s->size;
}

static int
finish_file(struct spool *s)
{
	if (spill(s) == -1 || fcntl(s->fd, F_ADD_SEALS, F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == -1)
		return -1;
	free(s->buffer);
	s->buffer = NULL;
	s->map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return -1;
	}
	return 1;
}

int
spool_finish(struct spool *s, struct span *all)
{
	must(!s->finished);
	if (s->error != 0) {
		errno = s->error;
		return -1;
	}
	if (s->fd != -1 && finish_file(s) == -1)
		return die(s, errno == ENOSPC ? EIO : errno);
	s->finished = true;
	*all = span_of(s->fd != -1 ? s->map : s->buffer, s->size);
	return 1;
}

int
spool_fd(const struct spool *s)
{
	return s->fd;
}
