/*
 * wire.c - plain values, frames and the descriptors that travel with them.
 *
 * What comes in is not trusted: a length beyond what is there, a descriptor
 * too few or too many, a memfd that its owner could still shrink or write:
 * each makes the frame bad, and the caller of the decoder ends the link.
 */
#include "ipc/wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOB_TAG_INLINE, BLOB_TAG_SHARED };
enum { POPULATE_MAX = 16 << 20 };	/* larger maps fault in page by page */

/* ---- plain values ------------------------------------------------------- */

void
put_raw(struct text *t, const void *p, size_t n)
{
	text_add(t, span_of(p, n));
}

void
put_bytes(struct text *t, struct span s)
{
	if (s.n > UINT32_MAX) {
		t->full = true;
		return;
	}
	put_u32(t, (uint32_t)s.n);
	text_add(t, s);
}

/* The next n bytes, or NULL and the cursor is bad. */
static const char *
take(struct cursor *c, size_t n)
{
	const char *p = c->rest.p;

	if (c->bad || n > c->rest.n) {
		c->bad = true;
		return NULL;
	}
	c->rest = span_of(p + n, c->rest.n - n);
	return p;
}

void
get_raw(struct cursor *c, void *out, size_t n)
{
	const char *p = take(c, n);

	if (p == NULL)
		memset(out, 0, n);
	else
		memcpy(out, p, n);
}

struct span
get_bytes(struct cursor *c, size_t limit)
{
	uint32_t n = get_u32(c);
	const char *p;

	if (n > limit)
		c->bad = true;
	p = take(c, n);
	return p == NULL ? SPAN_EMPTY : span_of(p, n);
}

/* ---- a frame going out -------------------------------------------------- */

void
frame_begin(struct frame *f, enum verb verb, enum frame_kind kind,
    uint32_t number, size_t plain)
{
	must(plain <= FRAME_MAX - FRAME_HEAD);
	frame_clear(f);
	f->bytes.limit = FRAME_MAX;
	f->room = FRAME_MAX - FRAME_HEAD - plain;
	put_u16(&f->bytes, (uint16_t)verb);
	put_u8(&f->bytes, (uint8_t)kind);
	put_u8(&f->bytes, 0);
	put_u32(&f->bytes, number);
}

static void
frame_fail(struct frame *f, int error)
{
	if (f->error == 0)
		f->error = error;
}

void
frame_bytes(struct frame *f, struct span s, uint64_t limit)
{
	if (s.n > limit)
		frame_fail(f, EMSGSIZE);
	else
		put_bytes(&f->bytes, s);
}

static void
frame_attach(struct frame *f, int fd, bool owned)
{
	must(f->fd_count < FRAME_FDS);
	f->fds[f->fd_count] = fd;
	f->owned[f->fd_count++] = owned;
}

void
frame_blob(struct frame *f, const struct blob *b, uint64_t limit)
{
	int fd = b->fd;

	if (b->bytes.n > limit || b->bytes.n > UINT32_MAX) {
		frame_fail(f, EMSGSIZE);
		return;
	}
	if (b->bytes.n == 0 || (fd < 0 && b->bytes.n <= BLOB_INLINE_MAX &&
	    b->bytes.n <= f->room)) {
		put_u8(&f->bytes, BLOB_TAG_INLINE);
		put_bytes(&f->bytes, b->bytes);
		f->room -= b->bytes.n;
		return;
	}
	if (fd < 0) {
		fd = memfd_sealed(b->bytes);
		if (fd < 0) {
			frame_fail(f, errno);
			return;
		}
	}
	put_u8(&f->bytes, BLOB_TAG_SHARED);
	put_u64(&f->bytes, b->bytes.n);
	frame_attach(f, fd, b->fd < 0);
}

void
frame_fd(struct frame *f, int fd)
{
	put_u8(&f->bytes, fd >= 0);
	if (fd >= 0)
		frame_attach(f, fd, false);
}

int
frame_send(int socket, const struct frame *f, bool wait)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FRAME_FDS * sizeof(int))];
	} control;
	struct iovec io = { f->bytes.p, f->bytes.n };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (f->error != 0 || text_full(&f->bytes)) {
		errno = f->error != 0 ? f->error : EMSGSIZE;
		return -1;
	}
	if (f->fd_count > 0) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(f->fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(f->fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), f->fds, f->fd_count * sizeof(int));
	}
	do {
		n = sendmsg(socket, &m,
		    MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 1;
}

void
frame_clear(struct frame *f)
{
	for (size_t i = 0; i < f->fd_count; i++)
		if (f->owned[i])
			close(f->fds[i]);
	f->fd_count = 0;
	f->error = 0;
	text_clear(&f->bytes);
}

void
frame_free(struct frame *f)
{
	frame_clear(f);
	text_free(&f->bytes);
}

/* ---- a frame coming in -------------------------------------------------- */

/* The descriptors of a received message. false: more than a frame has. */
static bool
collect_fds(struct frame_in *f, struct msghdr *m)
{
	bool fits = true;
	size_t n;
	int fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	    c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			    sizeof(fd));
			if (f->fd_count < FRAME_FDS) {
				f->fds[f->fd_count++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits && (m->msg_flags & MSG_CTRUNC) == 0;
}

int
frame_parse(struct frame_in *f, struct span frame)
{
	struct cursor c = { frame, false };
	uint32_t kind, zero;

	f->verb = get_u16(&c);
	kind = get_u8(&c);
	zero = get_u8(&c);
	f->number = get_u32(&c);
	f->fields = c;
	if (c.bad || f->verb >= VERBS || zero != 0 ||
	    kind < FRAME_CALL || kind > FRAME_NOTE)
		return 0;
	f->kind = (enum frame_kind)kind;
	return 1;
}

int
frame_receive(int socket, struct frame_in *f, char *buffer, bool wait)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FRAME_FDS * sizeof(int))];
	} control;
	struct iovec io = { buffer, FRAME_MAX };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room) };
	ssize_t n;

	f->fd_count = f->fd_next = f->size = 0;
	do {
		n = recvmsg(socket, &m,
		    MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno != ECONNRESET ? -1 : 0;
	f->size = (size_t)n;
	if (n == 0 && m.msg_controllen == 0)
		return 0;
	/* An empty packet, too, may bring descriptors. */
	if (!collect_fds(f, &m) || (m.msg_flags & MSG_TRUNC) != 0 ||
	    frame_parse(f, span_of(buffer, (size_t)n)) == 0) {
		frame_in_close(f);
		errno = EPROTO;
		return -1;
	}
	return 1;
}

static int
take_fd(struct frame_in *f)
{
	if (f->fd_next == f->fd_count) {
		f->fields.bad = true;
		return -1;
	}
	return f->fds[f->fd_next++];
}

int
frame_get_fd(struct frame_in *f)
{
	switch (get_u8(&f->fields)) {
	case 0:
		return -1;
	case 1:
		return take_fd(f);
	default:
		f->fields.bad = true;
		return -1;
	}
}

/*
 * Map a descriptor whose length and bytes can never change again, so that
 * what was checked stays what it was and no access beyond its end kills us.
 */
static bool
blob_map(struct blob *b, int fd, uint64_t n)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;

	if (seals < 0 || (seals & needed) != needed)
		return false;
	if (fstat(fd, &st) != 0 || st.st_size < 0 ||
	    (uint64_t)st.st_size != n || n == 0)
		return false;
	map = mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED |
	    (n <= POPULATE_MAX ? MAP_POPULATE : 0), fd, 0);
	if (map == MAP_FAILED)
		return false;
	b->map = map;
	b->map_n = (size_t)n;
	b->bytes = span_of(map, (size_t)n);
	return true;
}

struct blob
frame_get_blob(struct frame_in *f, uint64_t limit)
{
	struct blob b = BLOB_OF(SPAN_EMPTY);
	uint64_t n;
	int fd;

	switch (get_u8(&f->fields)) {
	case BLOB_TAG_INLINE:
		b.bytes = get_bytes(&f->fields, MIN(limit, BLOB_INLINE_MAX));
		break;
	case BLOB_TAG_SHARED:
		n = get_u64(&f->fields);
		fd = take_fd(f);
		if (f->fields.bad || n > limit || !blob_map(&b, fd, n))
			f->fields.bad = true;
		if (fd >= 0)
			close(fd);
		break;
	default:
		f->fields.bad = true;
	}
	return b;
}

void
frame_in_close(struct frame_in *f)
{
	while (f->fd_next < f->fd_count)
		close(f->fds[f->fd_next++]);
}

/* ---- descriptors -------------------------------------------------------- */

void
blob_release(struct blob *b)
{
	if (b->map != NULL)
		munmap(b->map, b->map_n);
	*b = BLOB_OF(SPAN_EMPTY);
}

static int
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s = span_from(s, (size_t)n);
	}
	return 1;
}

int
memfd_sealed(struct span s)
{
	int fd = memfd_create("blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write_all(fd, s) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}
