/*
 * envelope.c - the queue's record of a message on its way.
 *
 * Pure: bytes in, a struct out. The record is trusted with nothing, since a
 * disk may be damaged: every state is one we know, every length inside the
 * record, and trailing bytes are an error.
 */
#include "queue/envelope.h"
#include "ipc/wire.h"

enum {
	ADDRESS_LIMIT = 512,
	MESSAGE_ID_LIMIT = 1000,
	TRACE_LIMIT = 4096,
	REASON_LIMIT = 1000,
	ORIGINAL_LIMIT = 600,
	ENVID_LIMIT = 100,
	DELIVERED_TO_LIMIT = 16384,
	HEAD_LIMIT = 2048,
	PRIORITY_MAX = 9,
	RECIPIENT_LEAST = 4 + 4 + 4 + 1 + 4,	/* bytes of the shortest one */
};

/* Seconds and microseconds that are added to stay in range. */
#define TIME_MAX (INT64_MAX / 4000000)

const char *
envelope_state_name(enum envelope_state state)
{
	switch (state) {
	case ENVELOPE_ACTIVE:
		return "active";
	case ENVELOPE_DEFERRED:
		return "deferred";
	case ENVELOPE_HELD:
		return "held";
	case ENVELOPE_STATES:
		break;
	}
	return "?";
}

void
envelope_encode(const struct envelope *e, struct text *out)
{
	put_u8(out, ENVELOPE_VERSION);
	put_raw(out, e->token.b, sizeof(e->token.b));
	put_raw(out, e->body.b, sizeof(e->body.b));
	put_i64(out, e->arrived);
	put_u64(out, e->size);
	put_u32(out, e->prefix);
	put_u32(out, e->flags);
	put_u64(out, e->thread);
	put_u64(out, e->account);
	put_i64(out, e->priority);
	put_i64(out, e->deliver_by);
	put_i64(out, e->release_at);
	put_u8(out, (uint8_t)e->state);
	put_u32(out, e->attempts);
	put_u8(out, e->warned);
	put_i64(out, e->next_attempt);
	put_bytes(out, e->domain);
	put_bytes(out, e->head);
	put_bytes(out, e->envid);
	put_bytes(out, e->sender);
	put_bytes(out, e->message_id);
	put_bytes(out, e->trace);
	put_bytes(out, e->delivered_to);
	put_bytes(out, span_sub(e->reason, 0, REASON_LIMIT));
	put_u32(out, (uint32_t)e->count);
	for (size_t i = 0; i < e->count; i++) {
		put_bytes(out, e->recipients[i].address);
		put_bytes(out, e->recipients[i].original);
		put_u32(out, e->recipients[i].notify);
		put_u8(out, (uint8_t)e->recipients[i].state);
		put_bytes(out, span_sub(e->recipients[i].reason, 0,
		    REASON_LIMIT));
	}
}

static int
decode_recipients(struct cursor *c, struct arena *arena, struct envelope *e)
{
	uint32_t count = get_u32(c);

	if (c->bad || count > ENVELOPE_RECIPIENTS_MAX ||
	    count > c->rest.n / RECIPIENT_LEAST)
		return 0;
	e->recipients = arena_zalloc(arena,
	    count * sizeof(e->recipients[0]));
	if (e->recipients == NULL && count > 0)
		return -1;
	e->count = count;
	for (size_t i = 0; i < count; i++) {
		struct envelope_recipient *r = &e->recipients[i];

		r->address = get_bytes(c, ADDRESS_LIMIT);
		r->original = get_bytes(c, ORIGINAL_LIMIT);
		r->notify = get_u32(c);
		r->state = (enum recipient_state)get_u8(c);
		r->reason = get_bytes(c, REASON_LIMIT);
		if (c->bad || (unsigned)r->state >= RECIPIENT_STATES)
			return 0;
	}
	return 1;
}

int
envelope_decode(struct span record, struct arena *arena, struct envelope *e)
{
	struct cursor c = { record, false };
	int rc;

	*e = (struct envelope){ 0 };
	if (record.n > ENVELOPE_RECORD_MAX || get_u8(&c) != ENVELOPE_VERSION)
		return 0;
	get_raw(&c, e->token.b, sizeof(e->token.b));
	get_raw(&c, e->body.b, sizeof(e->body.b));
	e->arrived = get_i64(&c);
	e->size = get_u64(&c);
	e->prefix = get_u32(&c);
	e->flags = get_u32(&c);
	e->thread = get_u64(&c);
	e->account = get_u64(&c);
	e->priority = get_i64(&c);
	e->deliver_by = get_i64(&c);
	e->release_at = get_i64(&c);
	e->state = (enum envelope_state)get_u8(&c);
	e->attempts = get_u32(&c);
	e->warned = get_u8(&c) != 0;
	e->next_attempt = get_i64(&c);
	e->domain = get_bytes(&c, ADDRESS_LIMIT);
	e->head = get_bytes(&c, HEAD_LIMIT);
	e->envid = get_bytes(&c, ENVID_LIMIT);
	e->sender = get_bytes(&c, ADDRESS_LIMIT);
	e->message_id = get_bytes(&c, MESSAGE_ID_LIMIT);
	e->trace = get_bytes(&c, TRACE_LIMIT);
	e->delivered_to = get_bytes(&c, DELIVERED_TO_LIMIT);
	e->reason = get_bytes(&c, REASON_LIMIT);
	if (c.bad || (unsigned)e->state >= ENVELOPE_STATES ||
	    e->prefix > e->size || e->priority < -PRIORITY_MAX ||
	    e->priority > PRIORITY_MAX || e->arrived < 0 ||
	    e->arrived > INT64_MAX / 4 ||
	    e->release_at < 0 || e->release_at > TIME_MAX)
		return 0;
	rc = decode_recipients(&c, arena, e);
	if (rc != 1)
		return rc;
	return !c.bad && c.rest.n == 0;
}

/* -- queue ids ------------------------------------------------------------ */

static const char id_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
queue_id_of(const struct token *token, char out[QUEUE_ID_CHARS + 1])
{
	_Static_assert((int)QUEUE_ID_CHARS == (int)TOKEN_NAME_CHARS &&
	    (int)QUEUE_ID_TOKEN == (int)TOKEN_NAMED, "one id");
	token_name(token, out);
}

int
queue_id_parse(struct span id, uint8_t out[QUEUE_ID_TOKEN])
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t at = 0;

	if (id.n != QUEUE_ID_CHARS)
		return 0;
	for (size_t i = 0; i < id.n; i++) {
		size_t digit = span_find_char(
		    span_of(id_digits, 32), ascii_lower(id.p[i]), 0);

		if (digit == SIZE_MAX)
			return 0;
		bits = bits << 5 | (uint32_t)digit;
		held += 5;
		if (held >= 8) {
			held -= 8;
			out[at++] = (uint8_t)(bits >> held);
		}
	}
	return 1;
}
