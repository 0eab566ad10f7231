/*
 * wire.h - encoding, field by field; no struct is copied onto a socket.
 *
 * A frame is one packet of a SOCK_SEQPACKET socket: u16 verb, u8 kind, u8
 * zero, u32 call number, then the fields in the contract's order. Integers
 * are little-endian, bytes carry a u32 length. BLOB fields that do not fit go
 * as sealed memfds; a received descriptor that is not sealed against
 * shrinking and writing is refused (its owner could otherwise kill us).
 *
 * Decoding is pure but for mapping: a frame in, a struct out that points
 * into the frame; every limit of the contract is checked; trailing bytes are
 * an error.
 */
#ifndef IPC_WIRE_H
#define IPC_WIRE_H

#include <endian.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"
#include "ipc/contract.h"

enum {
	FRAME_MAX = 160 << 10,		/* bytes of a frame */
	FRAME_FDS = 4,			/* descriptors of a frame */
	FRAME_HEAD = 8,
	BLOB_INLINE_MAX = 64 << 10,	/* longer blobs go as a memfd */
	LINK_CREDITS = 64,		/* calls under way on one link */
};

enum frame_kind { FRAME_CALL = 1, FRAME_REPLY, FRAME_NOTE };

/*
 * Plain values: also the tongue of the store's own records. The numbers are
 * inline: a mailbox has 100 000 rows of five of them.
 */
void put_raw(struct text *, const void *, size_t n);
void put_bytes(struct text *, struct span);

static inline void
put_plain(struct text *t, const void *p, size_t n)
{
	if (n > t->room - t->n) {
		put_raw(t, p, n);
		return;
	}
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static inline void
put_u8(struct text *t, uint8_t v)
{
	put_plain(t, &v, sizeof(v));
}

static inline void
put_u16(struct text *t, uint16_t v)
{
	v = htole16(v);
	put_plain(t, &v, sizeof(v));
}

static inline void
put_u32(struct text *t, uint32_t v)
{
	v = htole32(v);
	put_plain(t, &v, sizeof(v));
}

static inline void
put_u64(struct text *t, uint64_t v)
{
	v = htole64(v);
	put_plain(t, &v, sizeof(v));
}

static inline void
put_i64(struct text *t, int64_t v)
{
	put_u64(t, (uint64_t)v);
}

/* A cursor over bytes; the first failure stays (`bad`) and yields zeros. */
struct cursor {
	struct span rest;
	bool bad;
};
void     get_raw(struct cursor *, void *, size_t n);
struct span get_bytes(struct cursor *, size_t limit);

static inline void
get_plain(struct cursor *c, void *v, size_t n)
{
	if (c->bad || n > c->rest.n) {
		c->bad = true;
		memset(v, 0, n);
		return;
	}
	memcpy(v, c->rest.p, n);
	c->rest = span_of(c->rest.p + n, c->rest.n - n);
}

static inline uint8_t
get_u8(struct cursor *c)
{
	uint8_t v;

	get_plain(c, &v, sizeof(v));
	return v;
}

static inline uint16_t
get_u16(struct cursor *c)
{
	uint16_t v;

	get_plain(c, &v, sizeof(v));
	return le16toh(v);
}

static inline uint32_t
get_u32(struct cursor *c)
{
	uint32_t v;

	get_plain(c, &v, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
get_u64(struct cursor *c)
{
	uint64_t v;

	get_plain(c, &v, sizeof(v));
	return le64toh(v);
}

static inline int64_t
get_i64(struct cursor *c)
{
	return (int64_t)get_u64(c);
}

/* x_put(text, &x) appends one; x_get(cursor, &x): 1, 0 at the end, -1 bad. */
#include "ipc/contract_no_fields.h"
#define RECORD(name)							\
	void name##_put(struct text *, const struct name *);		\
	int  name##_get(struct cursor *, struct name *);
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

/* A frame being built: begin, fields, send, and clear (or reuse). */
struct frame {
	struct text bytes;
	int fds[FRAME_FDS];
	bool owned[FRAME_FDS];		/* a memfd made for this frame */
	size_t fd_count;
	size_t room;			/* for blobs inline */
	int error;			/* the first failure: errno */
};
/* plain: the most bytes that all fields but the inline blobs can take. */
void frame_begin(struct frame *, enum verb, enum frame_kind, uint32_t number,
    size_t plain);
void frame_bytes(struct frame *, struct span, uint64_t limit);
void frame_blob(struct frame *, const struct blob *, uint64_t limit);
void frame_fd(struct frame *, int fd);
/* One sendmsg. 1; -1 with errno (EAGAIN: the peer's buffer is full). */
int  frame_send(int socket, const struct frame *, bool wait) MUST_USE;
void frame_clear(struct frame *);	/* closes what is owned, keeps memory */
void frame_free(struct frame *);

/* A frame that came. `fields` is what is behind its head. */
struct frame_in {
	struct cursor fields;
	uint32_t verb;			/* < VERBS */
	enum frame_kind kind;
	uint32_t number;
	size_t size;			/* head and all; 0: none was received */
	int fds[FRAME_FDS];
	size_t fd_count, fd_next;
};
/*
 * One recvmsg into buffer, which has room for FRAME_MAX. 1 a frame; 0 the
 * peer is gone; -1 with errno: EAGAIN nothing there, EPROTO no frame of ours.
 */
int  frame_receive(int socket, struct frame_in *, char *buffer, bool wait)
    MUST_USE;
/* The head of a frame that lies in memory, without descriptors. 1, 0. */
int  frame_parse(struct frame_in *, struct span);
struct blob frame_get_blob(struct frame_in *, uint64_t limit);
int  frame_get_fd(struct frame_in *);	/* -1: none */
void frame_in_close(struct frame_in *);	/* descriptors nobody took */

/* A memfd with these bytes, sealed for good; -1 with errno. */
int memfd_sealed(struct span);

#endif
