/*
 * imap_urlauth.c - GENURLAUTH, URLFETCH, RESETKEY (RFC 4467), with parts of
 * messages and parts of these (URL-PARTIAL, RFC 5550 3.3).
 *
 * The store makes and checks the tokens: no key is ever here. One mechanism,
 * INTERNAL.
 */
#include "edge/url.h"
#include "imap/imap_command.h"
#include "mail/imap_url.h"

enum { URLS_MAX = 100 };	/* of one command */

static bool
is_here(const struct imap_task *t, const struct imap_url *url)
{
	return url->has_server && url_is_here(url->host,
	    span_str(imap_hostname()), span_str(t->s->login));
}

/* ---- GENURLAUTH ---------------------------------------------------------- */

/* RFC 4467 BASE.6.3.GENURLAUTH: each of these is BAD. */
static const char *
rump_objection(const struct imap_task *t, struct span text)
{
	struct imap_url url;

	if (imap_url_parse(text, t->arena, &url) != 1)
		return "That is no URL of a message";
	if (url.access == IMAP_URL_PLAIN)
		return "The URL lacks its access identifier";
	if (url.token.p != NULL)
		return "The URL has a token already";
	if (!url.has_server || url.user.n == 0)
		return "The URL lacks its user";
	return is_here(t, &url) ? NULL : "The URL is not of this server";
}

static bool
sign(struct imap_task *t, struct span rump, struct text *line,
    struct imap_reply *why)
{
	struct url_sign_request request = { .grant = t->s->grant,
	    .rump = rump };
	struct url_sign_reply reply;
	struct span full;

	if (call_url_sign(imap_store(), t->arena, &request, &reply) != 1) {
		*why = imap_unavailable();
		return false;
	}
	if (reply.result == RESULT_NOT_FOUND ||
	    reply.result == RESULT_INVALID) {
		*why = imap_bad("The URL is of no mailbox of yours");
		return false;
	}
	if (reply.result != RESULT_OK) {
		*why = imap_refused(t, reply.result);
		return false;
	}
	full = arena_printf(t->arena, "%.*s:INTERNAL:%.*s", SPAN_ARG(rump),
	    SPAN_ARG(reply.token));
	text_char(line, ' ');
	imap_add_string(line, full, imap_text_mode(t->s));
	*why = imap_no_memory();
	return full.p != NULL;
}

static bool
take_rump(struct imap_task *t, struct span *rump, struct imap_reply *why)
{
	struct imap_parser *in = &t->in;
	struct span mechanism;
	const char *objection;

	if (!imap_parse_space(in) || !imap_parse_astring(in, rump) ||
	    !imap_parse_space(in) || !imap_parse_atom(in, &mechanism)) {
		*why = imap_bad_syntax(t);
		return false;
	}
	objection = span_is_nocase(mechanism, "INTERNAL")
	    ? rump_objection(t, *rump) : "INTERNAL is the one mechanism";
	if (objection != NULL)
		*why = imap_bad(objection);
	return objection == NULL;
}

static bool
sign_all(struct imap_task *t, struct text *line, struct imap_reply *why)
{
	struct span rumps[URLS_MAX];
	size_t n = 0;

	do {
		if (n == URLS_MAX) {
			*why = imap_no("LIMIT", "Too many URLs");
			return false;
		}
		if (!take_rump(t, &rumps[n++], why))
			return false;
	} while (imap_parse_peek(&t->in) == ' ');
	if (!imap_parse_end(&t->in)) {
		*why = imap_bad_syntax(t);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (!sign(t, rumps[i], line, why))
			return false;
	return true;
}

struct imap_reply
imap_genurlauth(struct imap_task *t)
{
	struct text line = TEXT_INIT(2 * URLS_MAX * IMAP_URL_MAX);
	struct imap_reply why;

	text_str(&line, "* GENURLAUTH");
	if (sign_all(t, &line, &why)) {
		text_str(&line, "\r\n");
		stream_write(t->s->stream, text_span(&line));
		why = imap_ok("URLs authorised");
	}
	text_free(&line);
	return why;
}

/* ---- URLFETCH ------------------------------------------------------------ */

/* A literal, once begun, must be ended: or the connection is. */
static void
write_pieces(struct imap_task *t, struct url_reader *r)
{
	struct span piece;
	int status;

	while ((status = url_next(r, &piece)) == 1)
		imap_write_bytes(t->s->stream, piece);
	if (status == -1)
		t->s->bye = "";
}

/* 1 said, with NIL where nothing is to be had; -1 the store is away. */
static int
say_url(struct imap_task *t, struct span text, struct arena *scratch)
{
	struct text line = TEXT_INIT(0);
	struct imap_url url;
	struct url_reader r;
	int status = 0;

	if (imap_url_parse(text, scratch, &url) == 1 && is_here(t, &url) &&
	    url.access != IMAP_URL_PLAIN)
		status = url_open(&r, imap_store(), scratch, &t->s->grant,
		    text, 0);
	if (status == -1)
		return -1;
	text_str(&line, "* URLFETCH ");
	imap_add_string(&line, text, imap_text_mode(t->s));
	if (status == 0)
		text_str(&line, " NIL");
	else
		text_printf(&line, " {%" PRIu64 "}\r\n", r.size);
	stream_write(t->s->stream, text_span(&line));
	text_free(&line);
	if (status == 1) {
		write_pieces(t, &r);
		url_close(&r);
	}
	stream_str(t->s->stream, "\r\n");
	return 1;
}

struct imap_reply
imap_urlfetch(struct imap_task *t)
{
	struct imap_reply why = imap_ok("URLs fetched");
	struct span urls[URLS_MAX];
	struct arena *scratch;
	size_t n = 0;

	do {
		if (n == URLS_MAX)
			return imap_no("LIMIT", "Too many URLs");
		if (!imap_parse_space(&t->in) ||
		    !imap_parse_astring(&t->in, &urls[n++]))
			return imap_bad_syntax(t);
	} while (imap_parse_peek(&t->in) == ' ');
	if (!imap_parse_end(&t->in))
		return imap_bad_syntax(t);
	scratch = imap_arena_get();
	for (size_t i = 0; i < n && t->s->bye == NULL; i++) {
		if (say_url(t, urls[i], scratch) != 1)
			why = imap_unavailable();
		arena_reset(scratch);
	}
	imap_arena_put(&scratch);
	return why;
}

/* ---- RESETKEY ------------------------------------------------------------ */

/* [SP mailbox *(SP mechanism)]; "" no mailbox. */
static bool
take_mailbox(struct imap_task *t, struct span *name, struct imap_reply *why)
{
	struct imap_parser *in = &t->in;
	struct span mechanism;
	int status;

	*name = SPAN_EMPTY;
	*why = imap_no("CANNOT", "There can be no mailbox of that name");
	if (imap_parse_next(in, ' ')) {
		if (!imap_parse_astring(in, name))
			goto bad;
		if ((status = imap_take_name(t, *name, name)) != 1) {
			if (status < 0)
				*why = imap_no_memory();
			return false;
		}
	}
	while (imap_parse_next(in, ' '))
		if (!imap_parse_atom(in, &mechanism) ||
		    !span_is_nocase(mechanism, "INTERNAL")) {
			imap_parse_fail(in, "INTERNAL is the one mechanism");
			goto bad;
		}
	if (imap_parse_end(in))
		return true;
bad:
	*why = imap_bad_syntax(t);
	return false;
}

struct imap_reply
imap_resetkey(struct imap_task *t)
{
	struct url_reset_request request = { .grant = t->s->grant };
	struct url_reset_reply reply;
	struct imap_reply why;

	if (!take_mailbox(t, &request.mailbox, &why))
		return why;
	if (call_url_reset(imap_store(), t->arena, &request, &reply) != 1)
		return imap_unavailable();
	if (reply.result != RESULT_OK)
		return imap_refused(t, reply.result);
	return request.mailbox.n == 0 ? imap_ok("All keys removed")
	    : (struct imap_reply){ IMAP_OK, "URLMECH INTERNAL", "Key renewed" };
}
