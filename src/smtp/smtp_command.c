/*
 * smtp_command.c - the verb table, and the arguments of each verb.
 *
 * Strict, but for what clients in use do: blanks after the colon of MAIL
 * FROM: and RCPT TO:, and at the end of a line.
 */
#include "smtp/smtp_command.h"

#include "mail/encode.h"
#include "smtp/smtp_parameter.h"

typedef enum smtp_fault take_arguments(struct smtp_command *, struct span,
    bool utf8, struct arena *);

static take_arguments take_none, take_any, take_name, take_mail, take_rcpt,
    take_bdat, take_burl, take_auth, take_string, take_word, take_more;

static const struct {
	const char *name;
	enum smtp_verb verb;
	take_arguments *take;
} verbs[] = {
	{ "EHLO",     SMTP_EHLO,     take_name   },
	{ "HELO",     SMTP_HELO,     take_name   },
	{ "MAIL",     SMTP_MAIL,     take_mail   },
	{ "RCPT",     SMTP_RCPT,     take_rcpt   },
	{ "DATA",     SMTP_DATA,     take_none   },
	{ "BDAT",     SMTP_BDAT,     take_bdat   },
	{ "RSET",     SMTP_RSET,     take_none   },
	{ "NOOP",     SMTP_NOOP,     take_any    },
	{ "QUIT",     SMTP_QUIT,     take_none   },
	{ "VRFY",     SMTP_VRFY,     take_string },
	{ "EXPN",     SMTP_EXPN,     take_string },
	{ "HELP",     SMTP_HELP,     take_any    },
	{ "AUTH",     SMTP_AUTH,     take_auth   },
	{ "STARTTLS", SMTP_STARTTLS, take_none   },
	{ "LHLO",     SMTP_LHLO,     take_name   },
	{ "BURL",     SMTP_BURL,     take_burl   },
	{ "ETRN",     SMTP_ETRN,     take_word   },
	{ "XCLIENT",  SMTP_XCLIENT,  take_more   },
	/* What browsers and their like say: see SMTP_ALIEN. */
	{ "GET",      SMTP_ALIEN,    take_any    },
	{ "POST",     SMTP_ALIEN,    take_any    },
	{ "PUT",      SMTP_ALIEN,    take_any    },
	{ "CONNECT",  SMTP_ALIEN,    take_any    },
	{ "OPTIONS",  SMTP_ALIEN,    take_any    },
};

const char *
smtp_verb_name(enum smtp_verb verb)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs) && verb != SMTP_ALIEN; i++)
		if (verbs[i].verb == verb)
			return verbs[i].name;
	return NULL;
}

/* ---- arguments ---------------------------------------------------------- */

static enum smtp_fault
take_none(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)c, (void)utf8, (void)a;
	return s.n == 0 ? SMTP_FINE : SMTP_BAD_SYNTAX;
}

static enum smtp_fault
take_any(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)utf8, (void)a;
	c->argument = s;
	return SMTP_FINE;
}

static enum smtp_fault
take_more(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)take_any(c, s, utf8, a);
	return s.n > 0 ? SMTP_FINE : SMTP_BAD_SYNTAX;
}

static enum smtp_fault
take_word(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)utf8, (void)a;
	c->argument = span_word(&s);
	return c->argument.n > 0 && s.n == 0 ? SMTP_FINE : SMTP_BAD_SYNTAX;
}

/*
 * RFC 5321 4.1.1.1: a domain or an address literal. Names that are neither
 * in every letter are common and harmless; what could not stand in a
 * Received header is not.
 */
static enum smtp_fault
take_name(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)utf8, (void)a;
	c->argument = s;
	if (s.n == 0 || s.n > ADDRESS_DOMAIN_MAX)
		return SMTP_BAD_SYNTAX;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && strchr("-._:[]", s.p[i]) == NULL)
			return SMTP_BAD_SYNTAX;
	return SMTP_FINE;
}

/* RFC 6531 3.7.4.2: VRFY and EXPN may end in SMTPUTF8. */
static enum smtp_fault
take_string(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	const struct span word = SPAN(" SMTPUTF8");

	(void)utf8, (void)a;
	if (s.n > word.n && span_is_nocase(span_from(s, s.n - word.n),
	    word.p)) {
		c->utf8 = true;
		s = span_trim(span_sub(s, 0, s.n - word.n));
	}
	c->argument = s;
	return s.n > 0 ? SMTP_FINE : SMTP_BAD_SYNTAX;
}

static enum smtp_fault
take_auth(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)utf8, (void)a;
	c->argument = span_word(&s);
	s = span_trim(s);
	c->initial = span_word(&s);
	c->has_initial = c->initial.n > 0;
	return c->argument.n > 0 && span_trim(s).n == 0 ? SMTP_FINE :
	    SMTP_BAD_SYNTAX;
}

static enum smtp_fault
take_bdat(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	struct span word = span_word(&s);

	(void)utf8, (void)a;
	if (span_u64(word, &c->size) != 1)
		return SMTP_BAD_SYNTAX;
	s = span_trim(s);
	c->last = span_is_nocase(s, "LAST");
	return s.n == 0 || c->last ? SMTP_FINE : SMTP_BAD_SYNTAX;
}

static enum smtp_fault
take_burl(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	(void)utf8, (void)a;
	c->argument = span_word(&s);
	s = span_trim(s);
	c->last = span_is_nocase(s, "LAST");
	return c->argument.n > 0 && (s.n == 0 || c->last) ? SMTP_FINE :
	    SMTP_BAD_SYNTAX;
}

/* ---- MAIL and RCPT ------------------------------------------------------ */

/* "FROM:<path>", and what stands behind the path. */
static int
take_path(struct smtp_command *c, struct span *s, const char *word,
    unsigned allow, struct arena *a, struct span *path)
{
	size_t used;
	int status;

	if (!span_starts_nocase(*s, span_str(word)))
		return 0;
	*s = span_trim(span_from(*s, strlen(word)));
	status = address_path(*s, allow | ADDRESS_ALLOW_UTF8, a, &c->path,
	    &used);
	if (status != 1)
		return status;
	*path = span_sub(*s, 0, used);
	*s = span_from(*s, used);
	return s->n == 0 || s->p[0] == ' ' || s->p[0] == '\t';
}

static enum smtp_fault
take_mail(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	enum smtp_fault fault;
	struct span path = SPAN_EMPTY;
	int status = take_path(c, &s, "FROM:", ADDRESS_ALLOW_NULL, a, &path);

	(void)utf8;
	if (status != 1)
		return status == 0 ? SMTP_BAD_SENDER : SMTP_NO_MEMORY;
	fault = smtp_mail_parameters(c, s, a);
	if (fault == SMTP_FINE && !c->utf8 && !utf8_is_ascii(path))
		return SMTP_NEEDS_UTF8;
	return fault;
}

/* Without a domain there is but one recipient (RFC 5321 2.3.5). */
static enum smtp_fault
take_rcpt(struct smtp_command *c, struct span s, bool utf8, struct arena *a)
{
	enum smtp_fault fault;
	struct span path = SPAN_EMPTY;
	int status = take_path(c, &s, "TO:", ADDRESS_ALLOW_BARE, a, &path);

	if (status != 1)
		return status == 0 ? SMTP_BAD_RECIPIENT : SMTP_NO_MEMORY;
	if (c->path.domain.n == 0 &&
	    !span_is_nocase(c->path.local, "postmaster"))
		return SMTP_BAD_RECIPIENT;
	fault = smtp_rcpt_parameters(c, s, utf8, a);
	if (fault != SMTP_FINE)
		return fault;
	return utf8 || utf8_is_ascii(path) ? SMTP_FINE : SMTP_NEEDS_UTF8;
}

/* ---- the line ----------------------------------------------------------- */

/* Takes the line end off. false: not CRLF, or control characters. */
static bool
take_line_end(struct span *s)
{
	if (!span_ends(*s, SPAN("\r\n")))
		return false;
	*s = span_sub(*s, 0, s->n - 2);
	for (size_t i = 0; i < s->n; i++)
		if (((unsigned char)s->p[i] < 0x20 && s->p[i] != '\t') ||
		    s->p[i] == 0x7f)
			return false;
	return true;
}

enum smtp_fault
smtp_parse(struct span line, bool utf8, struct arena *a,
    struct smtp_command *c)
{
	struct span verb, rest = line;

	*c = (struct smtp_command){ .verb = SMTP_VERBS };
	if (!take_line_end(&rest))
		return SMTP_BAD_BYTES;
	verb = span_word(&rest);
	rest = span_trim(rest);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!span_is_nocase(verb, verbs[i].name))
			continue;
		c->verb = verbs[i].verb;
		/* Nothing but a SMTPUTF8 address is beyond ASCII. */
		return utf8_valid(rest) ? verbs[i].take(c, rest, utf8, a) :
		    SMTP_BAD_SYNTAX;
	}
	return SMTP_UNKNOWN;
}
