/*
 * stream_deflate.c - compression (raw deflate, RFC 1951) as a layer over the
 * socket or TLS.
 *
 * What is written gathers in the compressor until the stream is flushed;
 * then everything goes out, ended by an empty block (Z_SYNC_FLUSH), so that
 * the peer can read all that was said. Whatever the peer flushed can be read
 * at once, however it did it.
 *
 * A parked stream needs little of it. The compressor may be dropped: the
 * next one begins on the byte where the former ended and refers to nothing
 * before that, which is legal in the middle of a deflate stream. Of the
 * decompressor the last 32 KiB that came must be kept, or as much as has
 * come; this is all that is kept where the peer's last block has ended on a
 * byte, as it has behind a flush.
 *
 * Memory is bounded by the form: a decompressor gives no more than its
 * caller has room for, however much a few bytes stand for.
 */
#include <stdlib.h>
#include <zlib.h>

#include "base/secret.h"
#include "io/stream_layer.h"

enum {
	LEVEL = 5,
	PIECE_OUT = 16 << 10,
	PIECE_IN = 4 << 10,
	POOL_MAX = 8,			/* of each kind, kept by a thread */
	ROUNDS_MAX = 64,		/* of input that stands for nothing */
	/* Of data_type: bits unused in the last byte; a block has ended. */
	BITS_LEFT = 63, BLOCK_ENDED = 128,
};

struct packer {
	struct packer *next;		/* in the pool */
	z_stream z;
	size_t from, n;			/* of out: what must go out first */
	bool dirty;			/* something was not flushed yet */
	char out[PIECE_OUT];
};

struct unpacker {
	struct unpacker *next;
	z_stream z;
	bool used;			/* it has seen input */
	bool more;			/* it may have output */
	char *early;			/* input of before there was a layer */
	char in[PIECE_IN];
};

struct deflate {
	const struct stream_layer *below;
	struct packer *packer;		/* NULL: none is needed now */
	struct unpacker *unpacker;	/* NULL: see window */
	char *window;			/* parked: what may be referred to */
	unsigned window_n;
	bool ended;			/* the peer's last block has come */
};

static _Thread_local struct packer *packers;
static _Thread_local struct unpacker *unpackers;
static _Thread_local size_t packer_count, unpacker_count;

/* -- the pools ---- */

static struct packer *
packer_take(void)
{
	struct packer *p = packers;

	if (p != NULL) {
		packers = p->next;
		packer_count--;
		must(deflateReset(&p->z) == Z_OK);
		return p;
	}
	p = xcalloc(1, sizeof(*p));
	must(deflateInit2(&p->z, LEVEL, Z_DEFLATED, -MAX_WBITS, 8,
	    Z_DEFAULT_STRATEGY) == Z_OK);
	return p;
}

static void
packer_give(struct packer **pp)
{
	struct packer *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	p->from = p->n = 0;
	p->dirty = false;
	if (packer_count < POOL_MAX) {
		p->next = packers;
		packers = p;
		packer_count++;
		return;
	}
	deflateEnd(&p->z);
	free(p);
}

static struct unpacker *
unpacker_take(void)
{
	struct unpacker *u = unpackers;

	if (u != NULL) {
		unpackers = u->next;
		unpacker_count--;
		must(inflateReset(&u->z) == Z_OK);
		return u;
	}
	u = xcalloc(1, sizeof(*u));
	must(inflateInit2(&u->z, -MAX_WBITS) == Z_OK);
	return u;
}

/* Passwords may have come through it. */
static void
unpacker_give(struct unpacker **up)
{
	struct unpacker *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	free(u->early);
	u->early = NULL;
	u->used = u->more = false;
	u->z.avail_in = 0;
	secret_wipe(u->in, sizeof(u->in));
	if (unpacker_count < POOL_MAX) {
		u->next = unpackers;
		unpackers = u;
		unpacker_count++;
		return;
	}
	inflateEnd(&u->z);
	free(u);
}

/* -- reading ---- */

/* The decompressor, made again where the stream was parked. */
static struct unpacker *
unpacker_of(struct deflate *d)
{
	struct unpacker *u = d->unpacker;

	if (u != NULL)
		return u;
	u = d->unpacker = unpacker_take();
	if (d->window != NULL) {
		must(inflateSetDictionary(&u->z, (Bytef *)d->window,
		    d->window_n) == Z_OK);
		secret_wipe(d->window, d->window_n);
		free(d->window);
		d->window = NULL;
	}
	return u;
}

static ssize_t
more_input(struct stream *s, struct unpacker *u)
{
	ssize_t n = s->deflate->below->read(s, u->in, sizeof(u->in));

	if (n > 0) {
		free(u->early);
		u->early = NULL;
		u->z.next_in = (Bytef *)u->in;
		u->z.avail_in = (uInt)n;
		u->used = true;
	}
	return n;
}

/* What can be had of the input at hand; -1: it is not deflate. */
static ssize_t
unpack(struct deflate *d, struct unpacker *u, void *p, size_t room)
{
	int rc;

	u->z.next_out = p;
	u->z.avail_out = (uInt)MIN(room, UINT32_MAX);
	rc = inflate(&u->z, Z_SYNC_FLUSH);
	u->more = u->z.avail_out == 0;
	if (rc == Z_STREAM_END)
		d->ended = true;
	else if (rc != Z_OK && rc != Z_BUF_ERROR) {
		errno = EPROTO;
		return -1;
	}
	return (ssize_t)(MIN(room, UINT32_MAX) - u->z.avail_out);
}

static ssize_t
deflate_read(struct stream *s, void *p, size_t room)
{
	struct deflate *d = s->deflate;
	struct unpacker *u = unpacker_of(d);
	ssize_t n;

	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		if (d->ended)
			return 0;
		if (u->z.avail_in == 0 && !u->more &&
		    (n = more_input(s, u)) <= 0)
			return n;
		n = unpack(d, u, p, room);
		if (n != 0)
			return n;
	}
	s->again = true;
	errno = EAGAIN;
	return -1;
}

static bool
deflate_holds_input(const struct stream *s)
{
	const struct deflate *d = s->deflate;
	const struct unpacker *u = d->unpacker;

	return (u != NULL && (u->more || u->z.avail_in > 0)) ||
	    d->below->holds_input(s);
}

/* -- writing ---- */

/* What the compressor has given goes out: 1, -1. */
static int
push(struct stream *s, struct packer *p)
{
	while (p->from < p->n) {
		ssize_t n = s->deflate->below->write(s, p->out + p->from,
		    p->n - p->from);

		if (n < 0)
			return -1;
		p->from += (size_t)n;
	}
	p->from = p->n = 0;
	return 1;
}

/* Let the compressor fill what is free of the piece. */
static void
pack(struct packer *p, int how)
{
	p->z.next_out = (Bytef *)p->out + p->n;
	p->z.avail_out = (uInt)(sizeof(p->out) - p->n);
	(void)deflate(&p->z, how);
	p->n = sizeof(p->out) - p->z.avail_out;
}

static ssize_t
deflate_write(struct stream *s, const void *bytes, size_t size)
{
	struct deflate *d = s->deflate;
	struct packer *p = d->packer;

	if (p == NULL)
		p = d->packer = packer_take();
	if (p->n == sizeof(p->out) && push(s, p) == -1)
		return -1;
	p->z.next_in = (Bytef *)(uintptr_t)bytes;
	p->z.avail_in = (uInt)MIN(size, UINT32_MAX);
	p->dirty = true;
	pack(p, Z_NO_FLUSH);
	return (ssize_t)(MIN(size, UINT32_MAX) - p->z.avail_in);
}

static int
deflate_flush(struct stream *s)
{
	struct packer *p = s->deflate->packer;

	if (p == NULL)
		return 1;
	p->z.avail_in = 0;
	while (p->dirty) {
		if (p->n == sizeof(p->out) && push(s, p) == -1)
			return -1;
		pack(p, Z_SYNC_FLUSH);
		p->dirty = p->z.avail_out == 0;
	}
	return push(s, p);
}

/* -- parking ---- */

/* May the rest of the state be forgotten, but for the window? */
static bool
between_blocks(const struct unpacker *u)
{
	return u->z.avail_in == 0 && !u->more && (!u->used ||
	    ((u->z.data_type & BLOCK_ENDED) != 0 &&
	    (u->z.data_type & BITS_LEFT) == 0));
}

static void
keep_window(struct deflate *d)
{
	uInt n = 0;

	must(inflateGetDictionary(&d->unpacker->z, NULL, &n) == Z_OK);
	if (n == 0)
		return;
	d->window = xmalloc(n);
	must(inflateGetDictionary(&d->unpacker->z, (Bytef *)d->window,
	    &n) == Z_OK);
	d->window_n = n;
}

static void
deflate_park(struct stream *s)
{
	struct deflate *d = s->deflate;
	struct packer *p = d->packer;

	if (p != NULL && !p->dirty && p->from == p->n)
		packer_give(&d->packer);
	if (d->unpacker != NULL && !d->ended && between_blocks(d->unpacker)) {
		keep_window(d);
		unpacker_give(&d->unpacker);
	}
	if (d->below->park != NULL)
		d->below->park(s);
}

/* -- the layer ---- */

static void
deflate_goodbye(struct stream *s)
{
	s->deflate->below->say_goodbye(s);
}

static void
deflate_free(struct stream *s)
{
	struct deflate *d = s->deflate;

	packer_give(&d->packer);
	unpacker_give(&d->unpacker);
	if (d->window != NULL)
		secret_wipe(d->window, d->window_n);
	free(d->window);
	d->below->free(s);
	free(d);
}

static const struct stream_layer deflate_layer = {
	.read = deflate_read,
	.write = deflate_write,
	.holds_input = deflate_holds_input,
	.flush = deflate_flush,
	.park = deflate_park,
	.say_goodbye = deflate_goodbye,
	.free = deflate_free,
};

void
stream_start_deflate(struct stream *s)
{
	struct span early = stream_input(s);
	struct unpacker *u;

	must(s->deflate == NULL);
	(void)stream_flush(s);
	s->deflate = xcalloc(1, sizeof(*s->deflate));
	s->deflate->below = s->layer;
	s->layer = &deflate_layer;
	if (early.n == 0)
		return;
	u = unpacker_of(s->deflate);
	u->early = xmalloc(early.n);
	memcpy(u->early, early.p, early.n);
	u->z.next_in = (Bytef *)u->early;
	u->z.avail_in = (uInt)early.n;
	u->used = true;
	stream_discard_input(s);
}

bool
stream_is_deflate(const struct stream *s)
{
	return s->deflate != NULL;
}
