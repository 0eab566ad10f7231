/*
 * smtp_hello.c - EHLO, LHLO and HELO: what is offered to this client now.
 *
 * A line is said when what it promises works here: under TLS or not, logged
 * in or not, as the settings have it.
 */
#include <stdlib.h>

#include "edge/login.h"
#include "mail/date.h"
#include "smtp/smtp_impl.h"

typedef bool offer(const struct smtp *, struct text *words);

static bool
always(const struct smtp *s, struct text *words)
{
	(void)s, (void)words;
	return true;
}

static bool
offer_size(const struct smtp *s, struct text *words)
{
	(void)s;
	text_printf(words, " %" PRIu64, smtp_settings()->smtp_max_size);
	return true;
}

/* RFC 9422. There is no limit to the domains of one transaction. */
static bool
offer_limits(const struct smtp *s, struct text *words)
{
	const struct settings *set = smtp_settings();

	text_printf(words, " MAILMAX=%" PRIu64 " RCPTMAX=%" PRIu64,
	    set->smtp_max_messages, smtp_is_submission(s) ?
	    set->submission_max_recipients : set->smtp_max_recipients);
	return true;
}

static bool
offer_deliverby(const struct smtp *s, struct text *words)
{
	int64_t least = smtp_settings()->smtp_min_deliver_by / 1000;

	(void)s;
	if (least > 0)
		text_printf(words, " %" PRId64, least);
	return true;
}

static bool
offer_futurerelease(const struct smtp *s, struct text *words)
{
	int64_t longest = smtp_settings()->submission_max_future_release / 1000;

	if ((smtp_offered(s) & SMTP_GIVEN_HOLD) == 0)
		return false;
	text_printf(words, " %" PRId64 " ", longest);
	date_add_rfc3339(words, (struct date){ .seconds =
	    clock_wall_seconds() + longest });
	return true;
}

static bool
offer_priority(const struct smtp *s, struct text *words)
{
	(void)s;
	text_str(words, " MIXER");
	return true;
}

static bool
offer_requiretls(const struct smtp *s, struct text *words)
{
	(void)words;
	return (smtp_offered(s) & SMTP_GIVEN_REQUIRETLS) != 0;
}

static bool
offer_no_soliciting(const struct smtp *s, struct text *words)
{
	if ((smtp_offered(s) & SMTP_GIVEN_SOLICIT) == 0)
		return false;
	text_printf(words, " %s", smtp_settings()->smtp_no_soliciting);
	return true;
}

static bool
offer_etrn(const struct smtp *s, struct text *words)
{
	(void)words;
	return smtp_objection(s, SMTP_ETRN) != REPLY_NOT_OFFERED;
}

/* RFC 4468 3.3: which kinds of URL, once it is known whose. */
static bool
offer_burl(const struct smtp *s, struct text *words)
{
	if (!smtp_is_submission(s))
		return false;
	if (s->login != NULL)
		text_str(words, " imap");
	return true;
}

/* An account here makes no grant: LOGIN is not taken from a proxy. */
static bool
offer_xclient(const struct smtp *s, struct text *words)
{
	text_str(words, " NAME ADDR PORT PROTO HELO DESTADDR DESTPORT");
	return s->proxy;
}

static bool
offer_starttls(const struct smtp *s, struct text *words)
{
	(void)words;
	return !stream_is_tls(s->stream) && session_tls(s->session) != NULL;
}

static bool
offer_auth(const struct smtp *s, struct text *words)
{
	if (!smtp_is_submission(s) ||
	    !login_allowed(smtp_settings(), s->session))
		return false;
	login_mechanisms(words, smtp_settings(), s->session, " ");
	return true;
}

static const struct {
	const char *keyword;
	offer *offered;
} extensions[] = {
	{ "PIPELINING",          always              },
	{ "SIZE",                offer_size          },
	{ "8BITMIME",            always              },
	{ "SMTPUTF8",            always              },
	{ "ENHANCEDSTATUSCODES", always              },
	{ "CHUNKING",            always              },
	{ "BINARYMIME",          always              },
	{ "DSN",                 always              },
	{ "DELIVERBY",           offer_deliverby     },
	{ "FUTURERELEASE",       offer_futurerelease },
	{ "MT-PRIORITY",         offer_priority      },
	{ "LIMITS",              offer_limits        },
	{ "REQUIRETLS",          offer_requiretls    },
	{ "NO-SOLICITING",       offer_no_soliciting },
	{ "ETRN",                offer_etrn          },
	{ "BURL",                offer_burl          },
	{ "XCLIENT",             offer_xclient       },
	{ "STARTTLS",            offer_starttls      },
	{ "AUTH",                offer_auth          },
};

static void
say_extensions(struct smtp *s)
{
	struct text words = TEXT_INIT(4096);

	stream_printf(s->stream, "250-%s\r\n", smtp_hostname());
	for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
		text_clear(&words);
		if (!extensions[i].offered(s, &words))
			continue;
		stream_printf(s->stream, "250-%s%.*s\r\n",
		    extensions[i].keyword, SPAN_ARG(text_span(&words)));
	}
	stream_str(s->stream, "250 HELP\r\n");
	text_free(&words);
}

/* RFC 5321 4.1.4: like RSET, whenever it is said. */
enum smtp_reply
smtp_ehlo(struct smtp *s, const struct smtp_command *c)
{
	smtp_reset(s);
	free(s->helo);
	s->helo = s->spoken_for != NULL ? xstrdup(s->spoken_for) :
	    strndup(c->argument.p, c->argument.n);
	must(s->helo != NULL);
	s->greeted = true;
	s->esmtp = c->verb != SMTP_HELO;
	if (s->esmtp)
		say_extensions(s);
	else
		stream_printf(s->stream, "250 %s\r\n", smtp_hostname());
	return REPLY_SAID;
}

enum smtp_reply
smtp_help(struct smtp *s, const struct smtp_command *c)
{
	const char *name;

	(void)c;
	stream_str(s->stream, "214-2.0.0 Postrider speaks:\r\n214-2.0.0");
	for (int v = 0; v < SMTP_VERBS; v++) {
		name = smtp_verb_name((enum smtp_verb)v);
		if (name != NULL && smtp_objection(s, (enum smtp_verb)v) !=
		    REPLY_NOT_OFFERED)
			stream_printf(s->stream, " %s", name);
	}
	stream_printf(s->stream, "\r\n214 2.0.0 Questions: "
	    "postmaster@%s\r\n", smtp_hostname());
	return REPLY_SAID;
}
