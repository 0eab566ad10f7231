/*
 * codec.c - encoders and decoders, made from contract.def.
 *
 * The same rows are read six times: once for each thing that is done to a
 * field. Order and limits are thus written once, in the contract.
 */
#include "ipc/codec.h"

#include <unistd.h>

enum { QUICK = 10 * 1000, SLOW = 60 * 1000, LONG = 30 * 60 * 1000 };
enum { ONCE, RETRY };

/* ---- encoding ----------------------------------------------------------- */

#define U8(name)		put_u8(t, m->name);
#define U32(name)		put_u32(t, m->name);
#define U64(name)		put_u64(t, m->name);
#define I64(name)		put_i64(t, m->name);
#define TOKEN(name)		put_raw(t, m->name.b, sizeof(m->name.b));
#define BODY(name)		put_raw(t, m->name.b, sizeof(m->name.b));
#define GRANT(name)		put_raw(t, m->name.b, sizeof(m->name.b));
#define BYTES(name, limit)	put_limited(t, m->name, limit);
#define BLOB(name, limit)	frame_blob(f, &m->name, limit);
#define FD(name)		frame_fd(f, m->name);
#define RECORD(name)							\
	void name##_put(struct text *t, const struct name *m) {
#define END_RECORD(name)	}
#define ENCODER(type)							\
	static void type##_encode(struct frame *f, const void *p) {	\
		const struct type *m = p;				\
		struct text *t = &f->bytes;				\
		(void)m, (void)t;
#define CALL(name, from, to, time, again, text) ENCODER(name##_request)
#define ANSWER(name)		} ENCODER(name##_reply)			\
				put_u8(t, (uint8_t)m->result);
#define END(name)		}
#define NOTE(name, from, to, text) ENCODER(name##_note)
#define END_NOTE(name)		}

/* Over its limit: the text is full, and with it the frame refused. */
static void
put_limited(struct text *t, struct span s, size_t limit)
{
	if (s.n > limit)
		t->full = true;
	else
		put_bytes(t, s);
}

#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef ENCODER

/* ---- decoding ----------------------------------------------------------- */

#define U8(name)		m->name = get_u8(c);
#define U32(name)		m->name = get_u32(c);
#define U64(name)		m->name = get_u64(c);
#define I64(name)		m->name = get_i64(c);
#define TOKEN(name)		get_raw(c, m->name.b, sizeof(m->name.b));
#define BODY(name)		get_raw(c, m->name.b, sizeof(m->name.b));
#define GRANT(name)		get_raw(c, m->name.b, sizeof(m->name.b));
#define BYTES(name, limit)	m->name = get_bytes(c, limit);
#define BLOB(name, limit)	m->name = frame_get_blob(f, limit);
#define FD(name)		m->name = frame_get_fd(f);
#define RECORD(name)							\
	int name##_get(struct cursor *c, struct name *m) {		\
		if (c->bad)						\
			return -1;					\
		if (c->rest.n == 0)					\
			return 0;
#define END_RECORD(name)						\
		return c->bad ? -1 : 1;					\
	}
#define DECODER(type)							\
	static void type##_decode(struct frame_in *f, void *p) {	\
		struct type *m = p;					\
		struct cursor *c = &f->fields;				\
		(void)m, (void)c;
#define CALL(name, from, to, time, again, text) DECODER(name##_request)
#define ANSWER(name)		} DECODER(name##_reply)			\
				m->result = get_result(c);
#define END(name)		}
#define NOTE(name, from, to, text) DECODER(name##_note)
#define END_NOTE(name)		}

static enum result
get_result(struct cursor *c)
{
	uint8_t v = get_u8(c);

	if (v >= RESULTS) {
		c->bad = true;
		return RESULT_DAMAGED;
	}
	return (enum result)v;
}

#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef DECODER

/* ---- before and after --------------------------------------------------- */

#define U8(name)
#define U32(name)
#define U64(name)
#define I64(name)
#define TOKEN(name)
#define BODY(name)
#define GRANT(name)
#define BYTES(name, limit)
#define BLOB(name, limit)	m->name.fd = -1;
#define FD(name)		m->name = -1;
#define RECORD(name)
#define END_RECORD(name)
#define INIT(type)							\
	static void type##_init(void *p) {				\
		struct type *m = p;					\
		memset(m, 0, sizeof(*m));
#define CALL(name, from, to, time, again, text) INIT(name##_request)
#define ANSWER(name)		} INIT(name##_reply)
#define END(name)		}
#define NOTE(name, from, to, text) INIT(name##_note)
#define END_NOTE(name)		}
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef INIT

#define U8(name)
#define U32(name)
#define U64(name)
#define I64(name)
#define TOKEN(name)
#define BODY(name)
#define GRANT(name)
#define BYTES(name, limit)
#define BLOB(name, limit)	blob_release(&m->name);
#define FD(name)		if (fds && m->name >= 0) close(m->name);
#define RECORD(name)
#define END_RECORD(name)
#define RELEASE(type)							\
	static void type##_release(void *p, bool fds) {			\
		struct type *m = p;					\
		(void)m, (void)fds;
#define CALL(name, from, to, time, again, text) RELEASE(name##_request)
#define ANSWER(name)		} RELEASE(name##_reply)
#define END(name)		}
#define NOTE(name, from, to, text) RELEASE(name##_note)
#define END_NOTE(name)		}
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
#undef RELEASE

/* ---- the most bytes each can take without its inline blobs -------------- */

#define U8(name)		+ 1
#define U32(name)		+ 4
#define U64(name)		+ 8
#define I64(name)		+ 8
#define TOKEN(name)		+ 16
#define BODY(name)		+ 16
#define GRANT(name)		+ 80
#define BYTES(name, limit)	+ 4 + (limit)
#define BLOB(name, limit)	+ 9
#define FD(name)		+ 1
#define RECORD(name)		enum { name##_plain = 0
#define END_RECORD(name)	};
#define CALL(name, from, to, time, again, text)				\
				enum { name##_request_plain = 0
#define ANSWER(name)		}; enum { name##_reply_plain = 1
#define END(name)		};					\
	_Static_assert((int)name##_request_plain < FRAME_MAX - FRAME_HEAD && \
	    (int)name##_reply_plain < FRAME_MAX - FRAME_HEAD,		\
	    "fits a frame");
#define NOTE(name, from, to, text) enum { name##_note_plain = 0
#define END_NOTE(name)		};
#include "ipc/contract.def"
#include "ipc/contract_undef.h"

/* ---- hello -------------------------------------------------------------- */

enum { HELLO_NAME_MAX = 64, HELLO_PLAIN = 4 + 4 + 4 + HELLO_NAME_MAX };

static void
hello_note_encode(struct frame *f, const void *p)
{
	const struct hello_note *m = p;

	put_u32(&f->bytes, m->version);
	put_u32(&f->bytes, m->role);
	frame_bytes(f, m->name, HELLO_NAME_MAX);
}

/* What later versions add behind the name is not ours to read. */
static void
hello_note_decode(struct frame_in *f, void *p)
{
	struct hello_note *m = p;

	m->version = get_u32(&f->fields);
	m->role = get_u32(&f->fields);
	m->name = get_bytes(&f->fields, HELLO_NAME_MAX);
	f->fields.rest = SPAN_EMPTY;
}

static void
hello_note_init(void *p)
{
	memset(p, 0, sizeof(struct hello_note));
}

static void
hello_note_release(void *p, bool fds)
{
	(void)p, (void)fds;
}

void
hello_encode(struct frame *f, enum role_bit self)
{
	struct hello_note m = { CONTRACT_VERSION, self,
	    span_str(role_name(self)) };

	codec_encode(f, VERB_hello, FRAME_NOTE, 0, &m);
}

bool
hello_agrees(const struct hello_note *m, enum role_bit peer)
{
	return m->version == CONTRACT_VERSION && m->role == (uint32_t)peer;
}

/* ---- the table ---------------------------------------------------------- */

#define MESSAGE_OF(type)						\
	{ sizeof(struct type), type##_plain, type##_encode,		\
	    type##_decode, type##_init, type##_release }

#define NO_MESSAGE { 0, 0, NULL, NULL, NULL, NULL }

enum { hello_note_plain = HELLO_PLAIN };

const struct codec codecs[VERBS] = {
	[VERB_hello] = { "hello", ANY_ROLE | SUPERVISOR,
	    ANY_ROLE | SUPERVISOR, 0, false, MESSAGE_OF(hello_note),
	    NO_MESSAGE },
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from_, to_, time, again_, text)			\
	[VERB_##name] = { #name, from_, to_, time, again_,		\
	    MESSAGE_OF(name##_request), MESSAGE_OF(name##_reply) },
#define ANSWER(name)
#define END(name)
#define NOTE(name, from_, to_, text)					\
	[VERB_##name] = { #name, from_, to_, 0, false,			\
	    MESSAGE_OF(name##_note), NO_MESSAGE },
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
};

static const struct message *
message_of(uint32_t verb, enum frame_kind kind)
{
	return kind == FRAME_REPLY ? &codecs[verb].reply :
	    &codecs[verb].request;
}

void
codec_encode(struct frame *f, enum verb verb, enum frame_kind kind,
    uint32_t number, const void *message)
{
	const struct message *m = message_of(verb, kind);

	frame_begin(f, verb, kind, number, m->plain);
	m->encode(f, message);
}

bool
codec_is_secret(enum verb verb)
{
	return verb == VERB_sasl_start || verb == VERB_sasl_step ||
	    verb == VERB_account_add || verb == VERB_account_password;
}

/* Notes have no reply: the kind must be one that the row has. */
int
codec_decode(struct frame_in *f, void *message)
{
	const struct message *m = message_of(f->verb, f->kind);
	bool is_call = codecs[f->verb].reply.size != 0;

	if (is_call != (f->kind != FRAME_NOTE)) {
		frame_in_close(f);
		return 0;
	}
	m->init(message);
	m->decode(f, message);
	if (!f->fields.bad && f->fields.rest.n == 0 &&
	    f->fd_next == f->fd_count)
		return 1;
	m->release(message, true);
	frame_in_close(f);
	return 0;
}

void
codec_release(enum verb verb, enum frame_kind kind, void *message, bool fds)
{
	message_of(verb, kind)->release(message, fds);
}
