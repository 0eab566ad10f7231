/*
 * imap_upload.c - messages that come with a command.
 *
 * append-message of RFC 3502 and 4466: flags, a date, and the data: a literal,
 * a literal8 (RFC 3516), UTF8 (...) (RFC 6855), CATENATE (...) (RFC 4469).
 * Behind each literal the command goes on with a new line; the parser of the
 * task always stands in the last one.
 *
 * What is stored never holds a NUL, so that every reader can be given the
 * bytes as they are: a message with binary parts gets them in base64, and one
 * that cannot be changed so is refused (RFC 3516 4.4).
 */
#include "imap/imap_upload.h"

#include "mail/convert.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/summary.h"

static bool
fail(struct imap_reply *why, struct imap_reply reply)
{
	*why = reply;
	return false;
}

static bool
bad_syntax(struct imap_upload *u, struct imap_reply *why)
{
	return fail(why, imap_bad_syntax(u->t));
}

/* ---- bytes --------------------------------------------------------------- */

bool
imap_at_announcement(const struct imap_parser *in)
{
	int c = imap_parse_peek(in);

	return (c == '{' || c == '~') &&
	    span_find_char(in->rest, '\n', 0) == in->rest.n - 1;
}

/* May so many bytes more be added to the message? */
static bool
has_room(struct imap_upload *u, uint64_t more, struct imap_reply *why)
{
	const struct settings *set = imap_settings();
	uint64_t total = spool_size(u->spool) + (u->aside != NULL ? u->size
	    : 0);

	if (u->size > set->imap_append_limit ||
	    more > set->imap_append_limit - u->size)
		return fail(why, imap_no("TOOBIG",
		    "The message is too large"));
	if (u->count > 0 && (total > set->imap_append_total ||
	    more > set->imap_append_total - total))
		return fail(why, imap_no("TOOBIG",
		    "The messages are too large together"));
	return true;
}

/* A spool that has no room is dead, and takes what follows: it is asked at
 * the end. */
static void
keep(struct imap_upload *u, struct span piece)
{
	(void)spool_add(u->aside != NULL ? u->aside : u->spool, piece);
	u->size += piece.n;
}

bool
imap_upload_add(struct imap_upload *u, struct span piece,
    struct imap_reply *why)
{
	if (!has_room(u, piece.n, why))
		return false;
	if (piece.n > 0 && memchr(piece.p, 0, piece.n) != NULL)
		u->has_nul = true;
	keep(u, piece);
	return true;
}

/* The line behind a literal. */
static int
next_line(struct imap_task *t)
{
	int status;

	text_clear(&t->line);
	stream_hurry(t->s->stream);	/* its CRLF may be held back */
	if ((status = imap_read_line(t)) != 1)
		return status;
	t->in = imap_parser(text_span(&t->line), t->arena);
	t->literal_pending = imap_line_literal(text_span(&t->line),
	    &t->literal) != 0;
	return 1;
}

static int
receive(struct imap_upload *u, bool *has_nul)
{
	struct imap_task *t = u->t;
	struct stream *in = t->s->stream;
	uint64_t left = t->literal.size;
	int status;

	*has_nul = false;
	if (imap_invite(t) != 1)
		return -1;
	t->literal_pending = false;
	while (left > 0) {
		struct span piece = stream_input(in);

		piece.n = (size_t)MIN(piece.n, left);
		if (piece.n > 0 && memchr(piece.p, 0, piece.n) != NULL)
			*has_nul = true;
		keep(u, piece);
		stream_take(in, piece.n);
		left -= piece.n;
		if (left > 0 && (status = stream_fill(in,
		    imap_input_deadline(t->s))) != 1)
			return status;
	}
	return 1;
}

bool
imap_upload_literal(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_task *t = u->t;
	bool binary = t->literal.binary, has_nul;

	if (!t->literal_pending || !imap_at_announcement(&t->in)) {
		imap_parse_fail(&t->in, "Literal expected");
		return bad_syntax(u, why);
	}
	if (!has_room(u, t->literal.size, why))
		return false;
	*why = (struct imap_reply){ .status = IMAP_SAID };
	if (receive(u, &has_nul) != 1 || next_line(t) != 1)
		return false;		/* the client is gone */
	if (t->too_long)
		return fail(why, imap_bad("Command line too long"));
	u->has_nul |= has_nul;
	return !has_nul || binary ||
	    fail(why, imap_bad("NUL byte in the message"));
}

/* ---- a message that is looked at before it is kept ----------------------- */

static void
put_aside(struct imap_upload *u)
{
	u->aside = spool_new(imap_settings()->imap_append_limit);
}

/* A header has no other form that it could be given. */
static bool
has_nul_in_header(struct span message)
{
	return memchr(message.p, 0, header_end(message)) != NULL;
}

/* Binary parts in base64 instead: no NUL is left. */
static bool
keep_without_nul(struct imap_upload *u, struct span message,
    struct imap_reply *why)
{
	struct text out = TEXT_INIT(2 *
	    (size_t)imap_settings()->imap_append_limit + 4096);
	struct text reason = TEXT_INIT(4096);
	bool kept = false;
	int status = has_nul_in_header(message) ? 0
	    : convert_to_7bit(message, u->scratch, &out, &reason);

	u->size = 0;
	if (status == 1 && (text_full(&out) ||
	    memchr(out.p, 0, out.n) != NULL))
		status = 0;
	if (status == 1)
		kept = imap_upload_add(u, text_span(&out), why);
	else
		*why = status < 0 ? imap_no_memory() : imap_no("UNKNOWN-CTE",
		    "Its binary parts cannot be encoded for the mailbox");
	text_free(&out);
	text_free(&reason);
	return kept;
}

static bool
take_back(struct imap_upload *u, struct imap_reply *why)
{
	struct spool *aside = u->aside;
	struct span message;
	bool kept;

	u->aside = NULL;
	if (spool_finish(aside, &message) != 1 || message.n != u->size) {
		kept = fail(why, imap_no("UNAVAILABLE",
		    "No room for the message now"));
	} else if (u->has_nul) {
		kept = keep_without_nul(u, message, why);
	} else {
		u->size = 0;
		kept = imap_upload_add(u, message, why);
	}
	spool_free(&aside);
	return kept;
}

/* ---- one message --------------------------------------------------------- */

/* [SP flag-list] [SP date-time] SP */
static bool
take_arguments(struct imap_parser *in, struct imap_upload_message *m)
{
	m->date = INT64_MIN;
	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) == '(' &&
	    (!imap_parse_flag_list(in, &m->flags) || !imap_parse_space(in)))
		return false;
	return imap_parse_peek(in) != '"' ||
	    (imap_parse_date_time(in, &m->date) && imap_parse_space(in));
}

/* "UTF8 (~{12}...)", from behind its name on. */
static bool
take_utf8(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_parser *in = &u->t->in;

	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return bad_syntax(u, why);
	if (imap_parse_peek(in) != '~') {
		imap_parse_fail(in, "Binary literal expected");
		return bad_syntax(u, why);
	}
	if (!imap_speaks_utf8(u->t->s))
		return fail(why, imap_no("CANNOT",
		    "ENABLE UTF8=ACCEPT comes first"));
	return imap_upload_literal(u, why) &&
	    (imap_parse_char(in, ')') || bad_syntax(u, why));
}

static bool
take_data(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_parser *in = &u->t->in;
	struct span word;
	int c = imap_parse_peek(in);

	if (c == '{' || (c == '~' && imap_at_announcement(in))) {
		if (c == '~')
			put_aside(u);
		if (u->t->literal_pending && u->t->literal.size == 0)
			return fail(why, imap_no("CANNOT",
			    "The message is empty"));
		return imap_upload_literal(u, why);
	}
	if (!imap_parse_atom(in, &word))
		return bad_syntax(u, why);
	put_aside(u);
	if (span_is_nocase(word, "UTF8"))
		return take_utf8(u, why);
	if (span_is_nocase(word, "CATENATE"))
		return imap_catenate(u, why);
	imap_parse_fail(in, "Literal expected");
	return bad_syntax(u, why);
}

static bool
add_message(struct imap_upload *u, struct imap_upload_message *m)
{
	struct arena *arena = u->t->arena;
	size_t room = u->room == 0 ? 1 : u->room * 4;
	struct imap_upload_message *grown = u->messages;

	if (u->count == u->room) {
		grown = arena_grow(arena, u->messages, u->room *
		    sizeof(*grown), room * sizeof(*grown));
		if (grown == NULL)
			return false;
		u->messages = grown;
		u->room = room;
	}
	u->messages[u->count++] = *m;
	return true;
}

static bool
take_message(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_upload_message m = { .at = spool_size(u->spool) };
	struct imap_parser args = u->t->in;

	if (u->count == imap_settings()->imap_append_messages)
		return fail(why, imap_no("LIMIT", "Too many messages"));
	u->size = 0;
	u->has_nul = false;
	args.arena = u->scratch;
	if (!take_arguments(&args, &m)) {
		u->t->in.hint = args.hint;
		return bad_syntax(u, why);
	}
	u->t->in.rest = args.rest;
	/* They outlive the scratch, which may be emptied any time now. */
	m.flags.keywords = arena_dup(u->t->arena, m.flags.keywords);
	if (m.flags.keywords.p == NULL)
		return fail(why, imap_no_memory());
	if (!take_data(u, why) || (u->aside != NULL && !take_back(u, why)))
		return false;
	m.size = u->size;
	if (m.size == 0)
		return fail(why, imap_no("CANNOT", "The message is empty"));
	if (!add_message(u, &m))
		return fail(why, imap_no_memory());
	arena_reset(u->scratch);
	return true;
}

bool
imap_upload(struct imap_upload *u, struct imap_task *t, bool many,
    struct imap_reply *why)
{
	const struct settings *set = imap_settings();

	*u = (struct imap_upload){ .t = t, .scratch = imap_arena_get(),
	    .spool = spool_new(many ? MAX(set->imap_append_limit,
	    set->imap_append_total) : set->imap_append_limit) };
	do {
		if (!take_message(u, why))
			return false;
	} while (many && imap_parse_peek(&t->in) == ' ');
	return imap_parse_end(&t->in) || bad_syntax(u, why);
}

void
imap_upload_end(struct imap_upload *u)
{
	spool_free(&u->aside);
	spool_free(&u->spool);
	imap_arena_put(&u->scratch);
}

/* ---- what the store is given --------------------------------------------- */

/* RFC 6855 section 4, for who wants it so. */
static bool
may_be_8bit(struct imap_upload *u, struct span all)
{
	if (imap_settings()->imap_append_8bit || imap_speaks_utf8(u->t->s))
		return true;
	for (size_t i = 0; i < u->count; i++) {
		struct span message = span_sub(all,
		    (size_t)u->messages[i].at, (size_t)u->messages[i].size);

		if (!utf8_is_ascii(span_sub(message, 0,
		    header_end(message))))
			return false;
	}
	return true;
}

bool
imap_upload_bytes(struct imap_upload *u, struct span *all,
    struct imap_reply *why)
{
	const struct imap_upload_message *last = &u->messages[u->count - 1];

	if (spool_finish(u->spool, all) != 1 ||
	    all->n != last->at + last->size)
		return fail(why, imap_no("UNAVAILABLE",
		    "No room for the message now"));
	return may_be_8bit(u, *all) || fail(why, imap_no("CANNOT",
	    "8-bit headers want ENABLE UTF8=ACCEPT first"));
}

uint64_t
imap_upload_summary(struct imap_upload *u, struct span message,
    struct text *record)
{
	struct summary summary;
	uint64_t thread = 0;

	text_clear(record);
	if (summary_build(message, &SUMMARY_LIMITS_DEFAULT, u->scratch,
	    record) == 1 && summary_open(text_span(record), message.n,
	    &summary) == 1)
		thread = summary.thread_key;
	else
		text_clear(record);
	arena_reset(u->scratch);
	return thread;
}
