/*
 * imap_input.c - a command is read whole: its lines, and the literals
 * (RFC 3501 4.3, RFC 7888) between them, into one text.
 *
 * Whatever is too large is refused before it is read where the client waits
 * for our word; otherwise it is read away, within reason, so that what comes
 * behind it is still understood.
 */
#include "imap/imap_command.h"
#include "imap/imap_state.h"

enum {
	GREETED_LINE = 16 << 10,	/* limits of who has not logged in */
	GREETED_LITERAL = 4 << 10,
	GREETED_DISCARD = 64 << 10,
	LINE_DISCARD = 64 << 20,
	LINE_HEAD = 512,		/* of a line too long: holds the tag */
	LINE_TAIL = 32,			/* more than any "{123+}" needs */
};

static size_t
line_limit(const struct imap_session *s)
{
	const struct settings *set = imap_settings();

	return s->state == IMAP_GREETED ? GREETED_LINE
	    : (size_t)(set->imap_max_line + 2 * set->imap_max_literal);
}

static uint64_t
literal_limit(const struct imap_session *s)
{
	return s->state == IMAP_GREETED ? GREETED_LITERAL
	    : imap_settings()->imap_max_literal;
}

struct text
imap_line_new(const struct imap_session *s)
{
	return TEXT_INIT(line_limit(s) + LINE_HEAD + 2 * LINE_TAIL);
}

/* Beyond the limit only the beginning (the tag) and the tail are kept. */
static bool
keep_ends(struct imap_task *t, struct span piece, uint64_t *dropped)
{
	struct text *line = &t->line;

	if (*dropped == 0) {
		if (line->n < LINE_HEAD)
			text_add(line, span_sub(piece, 0,
			    LINE_HEAD - line->n));
		line->n = MIN(line->n, LINE_HEAD);
	}
	*dropped += piece.n;
	if (*dropped > (t->s->state == IMAP_GREETED ? GREETED_DISCARD
	    : LINE_DISCARD)) {
		t->s->bye = "Line too long";
		return false;
	}
	text_add(line, span_from(piece, piece.n - MIN(piece.n, LINE_TAIL)));
	if (line->n > LINE_HEAD + LINE_TAIL) {
		memmove(line->p + LINE_HEAD, line->p + line->n - LINE_TAIL,
		    LINE_TAIL);
		line->n = LINE_HEAD + LINE_TAIL;
	}
	return true;
}

int
imap_read_line(struct imap_task *t)
{
	struct stream *in = t->s->stream;
	monotime_t deadline = imap_input_deadline(t->s);
	uint64_t dropped = 0;
	int status;

	for (;;) {
		struct span piece = stream_input(in);
		size_t end = span_find_char(piece, '\n', 0);

		if (end != SIZE_MAX)
			piece.n = end + 1;
		if (dropped == 0 && t->line.n + piece.n <= line_limit(t->s))
			text_add(&t->line, piece);
		else if (!keep_ends(t, piece, &dropped))
			return -1;
		stream_take(in, piece.n);
		t->too_long = dropped > 0;
		if (end != SIZE_MAX)
			return 1;
		if ((status = stream_fill(in, deadline)) != 1)
			return status;
	}
}

int
imap_invite(struct imap_task *t)
{
	if (!t->literal.waits)
		return 1;
	stream_str(t->s->stream, "+ OK\r\n");
	return stream_flush(t->s->stream);
}

int
imap_read_literal(struct imap_task *t)
{
	struct stream *in = t->s->stream;
	uint64_t left = t->literal.size;
	int status;

	if (imap_invite(t) != 1)
		return -1;
	t->literal_pending = false;
	while (left > 0) {
		struct span piece = stream_input(in);

		piece.n = (size_t)MIN(piece.n, left);
		text_add(&t->line, piece);
		stream_take(in, piece.n);
		left -= piece.n;
		if (left > 0 && (status = stream_fill(in,
		    imap_input_deadline(t->s))) != 1)
			return status;
	}
	return 1;
}

static int
skip(struct imap_task *t, uint64_t left)
{
	struct stream *in = t->s->stream;
	int status;

	while (left > 0) {
		size_t n = (size_t)MIN(stream_input(in).n, left);

		stream_take(in, n);
		left -= n;
		if (left > 0 && (status = stream_fill(in,
		    imap_input_deadline(t->s))) != 1)
			return status;
	}
	return 1;
}

/*
 * A client that does not wait sends its literal, and the rest of the command,
 * whatever we say (RFC 7888 section 4). What is absurdly large ends the session
 * instead.
 */
int
imap_discard_literal(struct imap_task *t)
{
	uint64_t budget = t->s->state == IMAP_GREETED ? GREETED_DISCARD
	    : imap_settings()->imap_append_limit + LINE_DISCARD;
	int status;

	while (t->literal_pending && !t->literal.waits) {
		if (t->literal.size > budget) {
			t->s->bye = "Literal too large";
			return -1;
		}
		budget -= t->literal.size;
		if ((status = skip(t, t->literal.size)) != 1)
			return status;
		text_clear(&t->line);
		if ((status = imap_read_line(t)) != 1)
			return status;
		status = imap_line_literal(text_span(&t->line), &t->literal);
		t->literal_pending = status != 0;
	}
	t->literal_pending = false;
	return 1;
}

bool
imap_read_literals(struct imap_task *t, struct imap_reply *why)
{
	size_t begin = 0;	/* of the last line */

	while (imap_line_literal(span_from(text_span(&t->line), begin),
	    &t->literal) != 0) {
		t->literal_pending = true;
		if ((t->command->how & IMAP_HAS_MESSAGE) != 0 &&
		    imap_append_wants(t))
			return true;
		if (t->literal.size > literal_limit(t->s) ||
		    t->line.n + t->literal.size > line_limit(t->s)) {
			*why = imap_no("TOOBIG", "Literal too large");
			return false;
		}
		*why = (struct imap_reply){ .status = IMAP_SAID };
		if (imap_read_literal(t) != 1)
			return false;
		begin = t->line.n;
		stream_hurry(t->s->stream);
		if (imap_read_line(t) != 1)
			return false;
		if (t->too_long) {
			*why = imap_bad("Command too long");
			t->literal_pending = imap_line_literal(
			    text_span(&t->line), &t->literal) != 0;
			return false;
		}
	}
	return true;
}
