/*
 * fuzz_contract.c - the contract's decoder, spoken to by a hostile peer.
 *
 * The input is a frame. It is read as what it says it is, then its fields as
 * every verb's request and reply, and as a run of every record. What is
 * accepted must be the same bytes when it is written again.
 */
#include "ipc/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
read_frame(struct span bytes)
{
	union any_message m;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	struct frame_in in = { .fd_count = 0 };

	if (frame_parse(&in, bytes) == 0 || codec_decode(&in, &m) == 0)
		return;
	codec_encode(&f, (enum verb)in.verb, in.kind, in.number, &m);
	if (in.verb != VERB_hello)
		must(span_eq(text_span(&f.bytes), bytes));
	codec_release((enum verb)in.verb, in.kind, &m, true);
	frame_free(&f);
}

static void
read_as_every_verb(struct span fields)
{
	struct text t = TEXT_INIT(0);

	for (uint32_t verb = 0; verb < VERBS; verb++) {
		for (uint8_t kind = FRAME_CALL; kind <= FRAME_NOTE; kind++) {
			text_clear(&t);
			put_u8(&t, (uint8_t)verb);
			put_u8(&t, (uint8_t)(verb >> 8));
			put_u8(&t, kind);
			put_u8(&t, 0);
			put_u32(&t, 1);
			text_add(&t, fields);
			read_frame(text_span(&t));
		}
	}
	text_free(&t);
}

#include "ipc/contract_no_fields.h"
#define RECORD(name)							\
	static void							\
	read_##name(struct span bytes)					\
	{								\
		struct cursor c = { bytes, false };			\
		struct name r;						\
		struct text t = TEXT_INIT(0);				\
		while (name##_get(&c, &r) == 1)				\
			name##_put(&t, &r);				\
		must(c.bad || span_eq(text_span(&t), bytes));		\
		text_free(&t);						\
	}
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#undef RECORD
#define RECORD(name) read_##name(bytes);

static void
read_as_every_record(struct span bytes)
{
#include "ipc/contract.def"
}
#include "ipc/contract_undef.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span bytes = span_of(data, n);

	if (n > FRAME_MAX)
		return 0;
	read_frame(bytes);
	read_as_every_verb(span_from(bytes, FRAME_HEAD));
	read_as_every_record(bytes);
	return 0;
}
