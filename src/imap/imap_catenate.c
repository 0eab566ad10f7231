/*
 * imap_catenate.c - CATENATE (RFC 4469): a message put together of literals
 * and of what URLs stand for.
 *
 * cat-part *(SP cat-part), each "TEXT" literal, "UTF8 (" literal8 ")" (RFC
 * 6855) or "URL" astring. The base of a relative URL is the selected mailbox.
 */
#include "edge/url.h"
#include "imap/imap_upload.h"
#include "mail/imap_url.h"

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

/* "BADURL" and the URL, as far as a response code can hold it. */
static bool
bad_url(struct imap_upload *u, struct span url, struct imap_reply *why)
{
	struct text code = TEXT_INIT(0);

	text_str(&code, "BADURL ");
	for (size_t i = 0; i < url.n && i < 1000; i++)
		if (ascii_is_print(url.p[i]) && url.p[i] != ']')
			text_char(&code, url.p[i]);
	*why = imap_no(arena_cstr(u->t->arena, text_span(&code)),
	    "That URL cannot be fetched");
	text_free(&code);
	return why->code != NULL || fail(why, imap_no_memory());
}

/* ---- URL ----------------------------------------------------------------- */

/* What is taken of the line makes room. */
static void
drop_taken(struct imap_task *t)
{
	memmove(t->line.p, t->in.rest.p, t->in.rest.n);
	t->line.n = t->in.rest.n;
}

/* A URL that came as a literal, and the line behind it. */
static bool
take_url_literal(struct imap_upload *u, struct span *url,
    struct imap_reply *why)
{
	struct imap_task *t = u->t;

	if (t->literal.size > IMAP_URL_MAX)
		return fail(why, imap_no("TOOBIG", "URL too long"));
	*why = (struct imap_reply){ .status = IMAP_SAID };
	drop_taken(t);
	if (imap_read_literal(t) != 1 || imap_read_line(t) != 1)
		return false;
	t->in.rest = text_span(&t->line);
	/* What stands behind it may end in another. */
	t->literal_pending = imap_line_literal(t->in.rest, &t->literal) != 0;
	if (t->too_long)
		return fail(why, imap_bad("Command line too long"));
	return imap_parse_string(&t->in, url) || bad_syntax(u, why);
}

static bool
take_url(struct imap_upload *u, struct span *url, struct imap_reply *why)
{
	struct imap_task *t = u->t;
	bool taken = t->literal_pending && imap_at_announcement(&t->in)
	    ? take_url_literal(u, url, why)
	    : imap_parse_astring(&t->in, url) || bad_syntax(u, why);

	if (!taken)
		return false;
	*url = arena_dup(u->scratch, *url);
	return url->p != NULL || fail(why, imap_no_memory());
}

static bool
add_pieces(struct imap_upload *u, struct url_reader *r,
    struct imap_reply *why)
{
	struct span piece;
	int status;

	while ((status = url_next(r, &piece)) == 1)
		if (!imap_upload_add(u, piece, why))
			return false;
	return status == 0 || fail(why, imap_unavailable());
}

static bool
is_ours(struct imap_task *t, struct span text)
{
	struct imap_url url;

	return imap_url_parse(text, t->arena, &url) == 1 &&
	    (!url.has_server || url_is_here(url.host,
	    span_str(imap_hostname()), span_str(t->s->login)));
}

static bool
add_url(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_task *t = u->t;
	struct url_reader r;
	struct span url;
	bool added;
	int status = 0;

	if (!take_url(u, &url, why))
		return false;
	if (is_ours(t, url))
		status = url_open(&r, imap_store(), u->scratch, &t->s->grant,
		    url, t->s->box != NULL ? t->s->box->id : 0);
	if (status != 1)
		return status == 0 ? !bad_url(u, url, why) && false
		    : fail(why, imap_unavailable());
	added = add_pieces(u, &r, why);
	url_close(&r);
	arena_reset(u->scratch);
	return added;
}

/* ---- the list ------------------------------------------------------------ */

static bool
add_utf8(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_parser *in = &u->t->in;

	if (!imap_speaks_utf8(u->t->s))
		return fail(why, imap_no("CANNOT",
		    "ENABLE UTF8=ACCEPT comes first"));
	if (!imap_parse_char(in, '('))
		return bad_syntax(u, why);
	return imap_upload_literal(u, why) &&
	    (imap_parse_char(in, ')') || bad_syntax(u, why));
}

static bool
take_part(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_parser *in = &u->t->in;
	struct span word;

	if (!imap_parse_atom(in, &word) || !imap_parse_space(in))
		return bad_syntax(u, why);
	if (span_is_nocase(word, "TEXT"))
		return imap_upload_literal(u, why);
	if (span_is_nocase(word, "URL"))
		return add_url(u, why);
	if (span_is_nocase(word, "UTF8"))
		return add_utf8(u, why);
	imap_parse_fail(in, "TEXT or URL expected");
	return bad_syntax(u, why);
}

bool
imap_catenate(struct imap_upload *u, struct imap_reply *why)
{
	struct imap_parser *in = &u->t->in;

	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return bad_syntax(u, why);
	do {
		if (!take_part(u, why))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') || bad_syntax(u, why);
}
