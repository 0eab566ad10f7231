/*
 * pop3_message.c - TRANSACTION: listing messages, sending them, marking them.
 *
 * A client that pipelines its RETRs gets them from bodies asked for ahead,
 * many in one call; one that waits for each pays one call each.
 */
#include "base/text.h"
#include "pop3/pop3_impl.h"
#include "pop3/pop3_text.h"

enum {
	AHEAD = 512 << 10,		/* bytes fetched ahead */
	AHEAD_MESSAGES = 256,
	CHUNK = 1 << 20,		/* of a larger message, at a time */
};

static void
totals(const struct pop3 *p, uint32_t *count, uint64_t *bytes)
{
	*count = 0;
	*bytes = 0;
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->items[i].deleted)
			continue;
		(*count)++;
		*bytes += p->items[i].size;
	}
}

void
pop3_stat(struct pop3 *p, const struct pop3_command *c)
{
	uint32_t count;
	uint64_t bytes;

	(void)c;
	totals(p, &count, &bytes);
	stream_printf(p->stream, "+OK %" PRIu32 " %" PRIu64 "\r\n", count,
	    bytes);
}

static void
list_line(struct text *out, uint32_t number, const struct item *item)
{
	text_u64(out, number);
	text_char(out, ' ');
	text_u64(out, item->size);
	text_str(out, "\r\n");
}

void
pop3_list(struct pop3 *p, const struct pop3_command *c)
{
	struct text out = TEXT_INIT(0);
	uint32_t count;
	uint64_t bytes;

	if (c->has_number) {
		struct item *item = pop3_item(p, c);

		if (item == NULL)
			return;
		text_str(&out, "+OK ");
		list_line(&out, c->number, item);
	} else {
		totals(p, &count, &bytes);
		text_printf(&out, "+OK %" PRIu32 " messages (%" PRIu64
		    " octets)\r\n", count, bytes);
		for (uint32_t i = 0; i < p->count; i++)
			if (!p->items[i].deleted)
				list_line(&out, i + 1, &p->items[i]);
		text_str(&out, ".\r\n");
	}
	stream_write(p->stream, text_span(&out));
	text_free(&out);
}

/* Stable for the life of a message: the pair IMAP promises never to reuse. */
static void
uidl_line(struct pop3 *p, struct text *out, uint32_t number)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t halves[2] = { p->uidvalidity, p->items[number - 1].uid };

	text_u64(out, number);
	text_char(out, ' ');
	for (size_t h = 0; h < 2; h++)
		for (int shift = 28; shift >= 0; shift -= 4)
			text_char(out, digits[halves[h] >> shift & 15]);
	text_str(out, "\r\n");
}

void
pop3_uidl(struct pop3 *p, const struct pop3_command *c)
{
	struct text out = TEXT_INIT(0);

	if (c->has_number) {
		if (pop3_item(p, c) == NULL)
			return;
		text_str(&out, "+OK ");
		uidl_line(p, &out, c->number);
	} else {
		text_str(&out, "+OK Unique ids follow\r\n");
		for (uint32_t i = 0; i < p->count; i++)
			if (!p->items[i].deleted)
				uidl_line(p, &out, i + 1);
		text_str(&out, ".\r\n");
	}
	stream_write(p->stream, text_span(&out));
	text_free(&out);
}

/* Ask for this message and those behind it, which pipelined RETRs want next. */
static void
ahead_fetch(struct pop3 *p, const struct item *item)
{
	struct message_bodies_request request = {
		.grant = p->grant, .mailbox = p->inbox, .limit = AHEAD,
	};
	struct message_bodies_reply reply;
	struct text uids = TEXT_INIT(0);
	uint64_t bytes = 0;
	const struct item *end = MIN(item + AHEAD_MESSAGES,
	    p->items + p->count);

	pop3_ahead_drop(p);
	for (; item < end && bytes + item->size <= AHEAD; item++) {
		if (item->deleted)
			continue;
		uid_range_put(&uids, &(struct uid_range){
			.first = item->uid, .last = item->uid });
		bytes += item->size;
	}
	request.uids = BLOB_OF(text_span(&uids));
	if (uids.n > 0 && call_message_bodies(pop3_store(), p->arena,
	    &request, &reply) == 1 && reply.result == RESULT_OK)
		p->ahead = (struct ahead){ .blob = reply.bodies, .valid = true,
			.next = { .rest = reply.bodies.bytes } };
	text_free(&uids);
}

/* 1: it is p->ahead.message. RETRs come in order, so the cursor moves on. */
static int
ahead_find(struct pop3 *p, uint32_t uid)
{
	struct ahead *a = &p->ahead;

	while (a->valid && a->message.uid < uid)
		if (message_bytes_get(&a->next, &a->message) != 1)
			pop3_ahead_drop(p);
	return a->valid && a->message.uid == uid;
}

static void
put(void *arg, struct span bytes)
{
	stream_write(arg, bytes);
}

static void
say_size(struct pop3 *p, uint64_t size)
{
	stream_str(p->stream, "+OK ");
	stream_printf(p->stream, "%" PRIu64 " octets\r\n", size);
}

/* Piece by piece, so that a large message is never held whole. 1 sent. */
static int
send_pieces(struct pop3 *p, const struct item *item, struct pop3_text *text)
{
	struct message_body_request request = {
		.grant = p->grant, .mailbox = p->inbox, .uid = item->uid,
		.count = CHUNK,
	};
	struct message_body_reply reply;
	bool begun = false;

	do {
		arena_reset(p->arena);
		if (call_message_body(pop3_store(), p->arena, &request,
		    &reply) != 1)
			reply.result = RESULT_TEMPORARY;
		if (reply.result != RESULT_OK && !begun) {
			pop3_refuse(p, reply.result);
			return 0;
		}
		if (reply.result != RESULT_OK ||
		    (reply.data.bytes.n == 0 && request.from < reply.size)) {
			p->closing = true;	/* half a message was sent */
			return 0;
		}
		if (!begun)
			say_size(p, reply.size);
		begun = true;
		pop3_text_add(text, reply.data.bytes, put, p->stream);
		request.from += reply.data.bytes.n;
		blob_release(&reply.data);
	} while (request.from < reply.size && !text->done &&
	    stream_error(p->stream) == 0);
	pop3_text_end(text, put, p->stream);
	return 1;
}

void
pop3_retr(struct pop3 *p, const struct pop3_command *c)
{
	struct item *item = pop3_item(p, c);
	struct pop3_text text = pop3_text_whole();

	if (item == NULL)
		return;
	if (ahead_find(p, item->uid) != 1 && item->size <= AHEAD &&
	    stream_input(p->stream).n > 0)
		ahead_fetch(p, item);
	if (ahead_find(p, item->uid) == 1) {
		say_size(p, p->ahead.message.data.n);
		pop3_text_add(&text, p->ahead.message.data, put, p->stream);
		pop3_text_end(&text, put, p->stream);
		item->fetched = true;
	} else if (send_pieces(p, item, &text) == 1)
		item->fetched = true;
}

void
pop3_top(struct pop3 *p, const struct pop3_command *c)
{
	struct item *item = pop3_item(p, c);
	struct pop3_text text = pop3_text_top(c->lines);

	if (item != NULL)
		send_pieces(p, item, &text);
}

void
pop3_dele(struct pop3 *p, const struct pop3_command *c)
{
	struct item *item = pop3_item(p, c);

	if (item == NULL)
		return;
	item->deleted = true;
	pop3_ok(p, "Marked as deleted");
}

void
pop3_rset(struct pop3 *p, const struct pop3_command *c)
{
	(void)c;
	for (uint32_t i = 0; i < p->count; i++)
		p->items[i].deleted = false;
	pop3_ok(p, "Nothing is marked as deleted");
}

void
pop3_noop(struct pop3 *p, const struct pop3_command *c)
{
	(void)c;
	pop3_ok(p, "Still here");
}
