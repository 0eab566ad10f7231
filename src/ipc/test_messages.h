/*
 * test_messages.h - random values for every message of the contract, and
 * their comparison, made from contract.def.
 */
#ifndef IPC_TEST_MESSAGES_H
#define IPC_TEST_MESSAGES_H

#include "ipc/codec.h"

enum sizes { SIZES_SMALL, SIZES_SHARED, SIZES_FULL };

struct dice {
	uint64_t state;
	enum sizes sizes;
	struct text heap;		/* where the bytes live: never moves */
	int fd;				/* what FD fields carry */
};

static inline uint64_t
dice_roll(struct dice *d)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return d->state;
}

static inline struct span
dice_bytes(struct dice *d, size_t n)
{
	char *p = text_room(&d->heap, n);

	must(p != NULL);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(dice_roll(d) >> 32);
	text_grew(&d->heap, n);
	return span_of(p, n);
}

static inline struct span
dice_span(struct dice *d, size_t limit)
{
	size_t n = d->sizes == SIZES_FULL ? limit : dice_roll(d) % 40;

	return dice_bytes(d, MIN(n, limit));
}

static inline struct blob
dice_blob(struct dice *d, uint64_t limit)
{
	uint64_t n = d->sizes == SIZES_SMALL ? dice_roll(d) % 100 :
	    d->sizes == SIZES_FULL ? BLOB_INLINE_MAX : BLOB_INLINE_MAX + 1;

	return BLOB_OF(dice_bytes(d, (size_t)MIN(n, limit)));
}

#define U8(name)		m->name = (uint8_t)dice_roll(d);
#define U32(name)		m->name = (uint32_t)dice_roll(d);
#define U64(name)		m->name = dice_roll(d);
#define I64(name)		m->name = (int64_t)dice_roll(d);
#define TOKEN(name)							\
	memcpy(m->name.b, dice_bytes(d, sizeof(m->name.b)).p, sizeof(m->name.b));
#define BODY(name)		TOKEN(name)
#define GRANT(name)		TOKEN(name)
#define BYTES(name, limit)	m->name = dice_span(d, limit);
#define BLOB(name, limit)	m->name = dice_blob(d, limit);
#define FD(name)		m->name = d->fd;
#define FILL(type)							\
	static void type##_fill(struct dice *d, void *p) {		\
		struct type *m = p;					\
		(void)d, (void)m;
#define RECORD(name)		FILL(name)
#define END_RECORD(name)	}
#define CALL(name, from, to, time, again, text) FILL(name##_request)
#define ANSWER(name)		} FILL(name##_reply)			\
	m->result = (enum result)(dice_roll(d) % RESULTS);
#define END(name)		}
#define NOTE(name, from, to, text) FILL(name##_note)
#define END_NOTE(name)		}
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef FILL

#define U8(name)		same = same && a->name == b->name;
#define U32(name)		same = same && a->name == b->name;
#define U64(name)		same = same && a->name == b->name;
#define I64(name)		same = same && a->name == b->name;
#define TOKEN(name)							\
	same = same && memcmp(a->name.b, b->name.b, sizeof(a->name.b)) == 0;
#define BODY(name)		TOKEN(name)
#define GRANT(name)		TOKEN(name)
#define BYTES(name, limit)	same = same && span_eq(a->name, b->name);
#define BLOB(name, limit)						\
	same = same && span_eq(a->name.bytes, b->name.bytes);
#define FD(name)		same = same && (a->name < 0) == (b->name < 0);
#define SAME(type)							\
	static bool type##_same(const void *p, const void *q) {		\
		const struct type *a = p, *b = q;			\
		bool same = true;					\
		(void)a, (void)b;
#define RECORD(name)		SAME(name)
#define END_RECORD(name)	return same; }
#define CALL(name, from, to, time, again, text) SAME(name##_request)
#define ANSWER(name)		return same; } SAME(name##_reply)	\
	same = a->result == b->result;
#define END(name)		return same; }
#define NOTE(name, from, to, text) SAME(name##_note)
#define END_NOTE(name)		return same; }
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef SAME

struct sample {
	enum verb verb;
	enum frame_kind kind;
	void (*fill)(struct dice *, void *);
	bool (*same)(const void *, const void *);
};

static const struct sample samples[] = {
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)				\
	{ VERB_##name, FRAME_CALL, name##_request_fill, name##_request_same }, \
	{ VERB_##name, FRAME_REPLY, name##_reply_fill, name##_reply_same },
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)					\
	{ VERB_##name, FRAME_NOTE, name##_note_fill, name##_note_same },
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
};

/* Records have room in any_message: none is larger than the largest call. */
struct record_sample {
	size_t size;
	void (*fill)(struct dice *, void *);
	bool (*same)(const void *, const void *);
	void (*put)(struct text *, const void *);
	int (*get)(struct cursor *, void *);
};

#include "ipc/contract_no_fields.h"
#define RECORD(name)							\
	static void name##_put_any(struct text *t, const void *p) {	\
		name##_put(t, p);					\
	}								\
	static int name##_get_any(struct cursor *c, void *p) {		\
		return name##_get(c, p);				\
	}
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#undef RECORD
#define RECORD(name)							\
	{ sizeof(struct name), name##_fill, name##_same, name##_put_any, \
	    name##_get_any },
static const struct record_sample record_samples[] = {
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
};

#endif
