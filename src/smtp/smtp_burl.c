/*
 * smtp_burl.c - BURL (RFC 4468): a message, or a part of one, that is in a
 * mailbox here already.
 *
 * The URL is one of the account that is logged in, or carries an authorisation
 * of its own (URLAUTH, RFC 4467): the store judges both. What is left to say
 * here is whether the URL means this system at all.
 */
#include "base/log.h"
#include "edge/url.h"
#include "mail/imap_url.h"
#include "smtp/smtp_peer.h"

static bool
is_mine(const struct smtp *s, const struct imap_url *url)
{
	struct span local;

	(void)span_cut(span_str(s->login), '@', &local);
	return url->user.n == 0 || span_is_nocase(url->user, s->login) ||
	    span_eq_nocase(url->user, local);
}

static enum smtp_reply
url_objection(const struct smtp *s, const struct imap_url *url)
{
	if (!url->has_server ||
	    (url->access != IMAP_URL_PLAIN && url->token.p == NULL))
		return REPLY_URL_BAD;
	if (!url_is_here(url->host, span_str(smtp_hostname()),
	    span_str(s->login)))
		return REPLY_URL_STRANGE;
	return url->access != IMAP_URL_PLAIN || is_mine(s, url) ? REPLY_OK
	    : REPLY_URL_STRANGE;
}

static enum smtp_reply
add_url(struct smtp *s, struct span url, bool last)
{
	enum smtp_reply reply = REPLY_OK;
	struct span piece = SPAN_EMPTY;
	struct url_reader r;
	int status = url_open(&r, smtp_store(), s->arena, &s->grant, url,
	    0);

	if (status != 1)
		return status == 0 ? REPLY_URL_GONE : REPLY_STORE_AWAY;
	do {
		if (r.size > 0 && (status = url_next(&r, &piece)) != 1)
			break;
		reply = smtp_add_chunk(s, piece, last && r.at == r.size);
	} while (r.at < r.size);
	url_close(&r);
	return status == 1 ? reply : REPLY_STORE_AWAY;
}

/* RFC 4468 3.2: what fails takes the transaction with it. */
enum smtp_reply
smtp_burl(struct smtp *s, const struct smtp_command *c)
{
	struct imap_url url;
	int status = imap_url_parse(c->argument, s->arena, &url);
	enum smtp_reply reply = status == 1 ? url_objection(s, &url) :
	    status == 0 ? REPLY_URL_BAD : REPLY_NO_MEMORY;

	if (reply == REPLY_OK) {
		reply = add_url(s, c->argument, c->last);
		if (reply != REPLY_URL_GONE && reply != REPLY_STORE_AWAY)
			return reply;
	}
	log_event(LOG_LEVEL_INFO, "smtp.url_refused",
	    log_str("session", session_id(s->session)),
	    log_str("user", s->login), log_text("url", c->argument),
	    log_text("reply", span_chomp(smtp_reply_line(reply))));
	smtp_reset(s);
	return reply;
}
