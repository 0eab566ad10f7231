/*
 * imap_batches.c - UIDBATCHES (draft-ietf-mailmaint-imap-uidbatches): UID
 * ranges that hold as many messages each, the newest first.
 *
 * The ranges touch, so that together they hold every UID from 1 to the last
 * one there is: a message that goes away meanwhile changes nothing of that.
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

enum { BATCH_MIN = 500 };

struct batches {
	uint32_t size;
	uint32_t first, last;		/* which of them, from 1 */
};

static bool
take_batches(struct imap_parser *in, struct batches *b)
{
	*b = (struct batches){ .first = 1, .last = UINT32_MAX };
	if (!imap_parse_space(in) || !imap_parse_nz_u32(in, &b->size))
		return false;
	if (imap_parse_peek(in) == ' ' && (!imap_parse_space(in) ||
	    !imap_parse_nz_u32(in, &b->first) || !imap_parse_char(in, ':') ||
	    !imap_parse_nz_u32(in, &b->last)))
		return false;
	return imap_parse_end(in);
}

/* The lowest UID of the batch that begins `from` messages from the top. */
static uint32_t
lowest_uid(const struct imap_view *view, uint64_t from, uint32_t size)
{
	uint32_t count = imap_view_count(view);

	if (from + size >= count)
		return 1;
	return imap_view_uid(view, count - (uint32_t)(from + size) - 1) + 1;
}

static void
add_batches(const struct imap_view *view, const struct batches *b,
    struct text *line)
{
	uint32_t count = imap_view_count(view);
	uint64_t from = (uint64_t)(b->first - 1) * b->size;
	uint32_t high, low;
	char separator = ' ';

	for (uint32_t n = b->first; from < count; from += b->size) {
		high = imap_view_uid(view, count - (uint32_t)from - 1);
		if (from > 0)	/* right below the batch before */
			high = lowest_uid(view, from - b->size, b->size) - 1;
		low = lowest_uid(view, from, b->size);
		text_char(line, separator);
		text_u64(line, high);
		text_char(line, ':');
		text_u64(line, low);
		separator = ',';
		if (n++ == b->last)
			break;
	}
}

struct imap_reply
imap_uidbatches(struct imap_task *t)
{
	uint32_t limit = (uint32_t)imap_settings()->imap_message_limit;
	struct batches b;
	struct text line = TEXT_INIT(0);

	if (!take_batches(&t->in, &b))
		return imap_bad_syntax(t);
	if (b.first > b.last)
		return (struct imap_reply){ IMAP_BAD, "CLIENTBUG",
		    "The first batch comes first" };
	if (b.size < BATCH_MIN)
		return imap_no("TOOFEW", "At least 500 messages a batch");
	if (limit != 0)
		b.size = MIN(b.size, limit);
	text_str(&line, "* UIDBATCHES (TAG \"");
	text_add(&line, t->tag);
	text_str(&line, "\")");
	add_batches(&t->s->box->view, &b, &line);
	text_str(&line, "\r\n");
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	return imap_ok("Batches listed");
}
