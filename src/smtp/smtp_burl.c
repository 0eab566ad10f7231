/*
 * smtp_burl.c - BURL (RFC 4468): a message that is in a mailbox here already.
 *
 * The URL names a message of the account that is logged in; the grant is what
 * lets us fetch it. A URL with an authorisation of its own (URLAUTH) is of an
 * IMAP server that makes such; ours does not, and it is refused.
 */
#include "base/log.h"
#include "smtp/smtp_peer.h"
#include "smtp/smtp_url.h"

/* Our host name, or a name at or below the account's domain. */
static bool
is_here(const struct smtp *s, struct span host)
{
	struct span local, domain = span_cut(span_str(s->login), '@', &local);
	struct span above;

	if (span_is_nocase(host, smtp_hostname()) ||
	    span_eq_nocase(host, domain))
		return true;
	if (host.n <= domain.n + 1)
		return false;
	above = span_from(host, host.n - domain.n);
	return span_eq_nocase(above, domain) &&
	    host.p[host.n - domain.n - 1] == '.';
}

static enum smtp_reply
url_objection(const struct smtp *s, const struct smtp_url *url)
{
	struct span local;

	(void)span_cut(span_str(s->login), '@', &local);
	if (url->has_auth || !is_here(s, url->host))
		return REPLY_URL_STRANGE;
	if (url->user.n > 0 && !span_is_nocase(url->user, s->login) &&
	    !span_eq_nocase(url->user, local))
		return REPLY_URL_STRANGE;
	return url->has_part ? REPLY_URL_BAD : REPLY_OK;
}

static enum smtp_reply
fetch(struct smtp *s, const struct smtp_url *url, struct blob *data)
{
	struct url_fetch_request request = { .grant = s->grant,
	    .mailbox = url->mailbox, .uidvalidity = url->uidvalidity,
	    .uid = url->uid };
	struct url_fetch_reply reply;

	if (call_url_fetch(smtp_store(), s->arena, &request, &reply) != 1)
		return REPLY_STORE_AWAY;
	*data = reply.data;
	switch (reply.result) {
	case RESULT_OK:
		return REPLY_OK;
	case RESULT_NOT_FOUND:
	case RESULT_INVALID:
		return REPLY_URL_GONE;
	case RESULT_DENIED:
		return REPLY_URL_STRANGE;
	default:
		return REPLY_STORE_AWAY;
	}
}

/* RFC 4468 3.2: what fails takes the transaction with it. */
enum smtp_reply
smtp_burl(struct smtp *s, const struct smtp_command *c)
{
	struct smtp_url url;
	struct blob data = BLOB_OF(SPAN_EMPTY);
	int status = smtp_url_parse(c->argument, s->arena, &url);
	enum smtp_reply reply = status == 1 ? url_objection(s, &url) :
	    status == 0 ? REPLY_URL_BAD : REPLY_NO_MEMORY;

	if (reply == REPLY_OK)
		reply = fetch(s, &url, &data);
	if (reply == REPLY_OK) {
		reply = smtp_add_chunk(s, data.bytes, c->last);
		blob_release(&data);
		return reply;
	}
	log_event(LOG_LEVEL_INFO, "smtp.url_refused",
	    log_str("session", session_id(s->session)),
	    log_str("user", s->login), log_text("url", c->argument),
	    log_text("reply", span_chomp(smtp_reply_line(reply))));
	smtp_reset(s);
	return reply;
}
