/*
 * smtp_parameter.c - the parameters of MAIL and RCPT, a row each.
 */
#include "smtp/smtp_parameter.h"

#include "ipc/contract.h"
#include "mail/date.h"
#include "mail/encode.h"

enum {
	ENVID_MAX = 100,	/* RFC 3461 4.4, as it is written */
	ORCPT_MAX = 500,	/* 4.2 */
	DIGITS_MAX = 9,		/* RFC 2852, RFC 4865 */
	SIZE_DIGITS_MAX = 20,	/* RFC 1870 */
	SOLICIT_MAX = 1000,	/* RFC 3865 2.3 */
};

/* 1 taken, 0 not valid, -1 the arena is full. */
typedef int take_value(struct smtp_command *, struct span value,
    struct arena *);

struct parameter {
	const char *name;
	unsigned bit;		/* SMTP_GIVEN_*; two rows may share one */
	bool has_value;
	take_value *take;
};

/* ---- xtext ------------------------------------------------------------ */

/* RFC 3461 4: capital hex digits. */
static int
xtext_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte at *i, which moves behind it; -1. */
static int
xtext_next(struct span s, size_t *i)
{
	int high, low;
	char c = s.p[(*i)++];

	if (c == '=' || c < '!' || c > '~')
		return -1;
	if (c != '+')
		return c;
	if (s.n - *i < 2)
		return -1;
	high = xtext_digit(s.p[(*i)++]);
	low = xtext_digit(s.p[(*i)++]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

int
smtp_xtext_decode(struct span s, struct arena *a, struct span *out)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	if (p == NULL)
		return -1;
	for (size_t i = 0; i < s.n; ) {
		int byte = xtext_next(s, &i);

		if (byte < 0x20 || byte > 0x7e)
			return 0;
		p[n++] = (char)byte;
	}
	*out = span_of(p, n);
	return 1;
}

/* ---- of MAIL ------------------------------------------------------------ */

/* RFC 1870: up to 20 digits; what no integer holds is too large anyway. */
static int
take_size(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)a;
	if (s.n == 0 || s.n > SIZE_DIGITS_MAX)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_digit(s.p[i]))
			return 0;
	c->has_size = true;
	if (span_u64(s, &c->size) != 1)
		c->size = UINT64_MAX;
	return 1;
}

static int
take_body(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)a;
	if (span_is_nocase(s, "7BIT"))
		c->body = SMTP_7BIT;
	else if (span_is_nocase(s, "8BITMIME"))
		c->body = SMTP_8BITMIME;
	else if (span_is_nocase(s, "BINARYMIME"))
		c->body = SMTP_BINARYMIME;
	else
		return 0;
	return 1;
}

static int
take_utf8(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)s, (void)a;
	c->utf8 = true;
	return 1;
}

/* RFC 4954 section 5: AUTH=<> or a mailbox as xtext. We trust no client with
 * it, and so do as if it had said <>; its form is checked. */
static int
take_auth(struct smtp_command *c, struct span s, struct arena *a)
{
	struct span unused;

	(void)c;
	if (span_is(s, "<>"))
		return 1;
	return s.n > 0 ? smtp_xtext_decode(s, a, &unused) : 0;
}

/* RFC 3461 4.3. */
static int
take_ret(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)a;
	if (span_is_nocase(s, "FULL"))
		c->flags |= ENVELOPE_RET_FULL;
	else if (span_is_nocase(s, "HDRS"))
		c->flags |= ENVELOPE_RET_HDRS;
	else
		return 0;
	return 1;
}

static int
take_envid(struct smtp_command *c, struct span s, struct arena *a)
{
	if (s.n == 0 || s.n > ENVID_MAX)
		return 0;
	return smtp_xtext_decode(s, a, &c->envid);
}

/* Decimal digits, a few. */
static bool
take_number(struct span s, int64_t *out)
{
	uint64_t n;

	if (s.n == 0 || s.n > DIGITS_MAX || span_u64(s, &n) != 1)
		return false;
	*out = (int64_t)n;
	return true;
}

/* RFC 2852 section 4: "-120;NT". To return what is late already, or at once,
 * makes no sense. */
static int
take_by(struct smtp_command *c, struct span s, struct arena *a)
{
	struct span time, mode = span_cut(s, ';', &time);
	bool minus = time.n > 0 && time.p[0] == '-';

	(void)a;
	if (minus || (time.n > 0 && time.p[0] == '+'))
		time = span_from(time, 1);
	if (!take_number(time, &c->by))
		return 0;
	c->by = minus ? -c->by : c->by;
	if (mode.n == 2 && ascii_upper(mode.p[1]) == 'T')
		c->flags |= ENVELOPE_BY_TRACE;
	else if (mode.n != 1)
		return 0;
	if (ascii_upper(mode.p[0]) == 'R')
		c->flags |= ENVELOPE_BY_RETURN;
	else if (ascii_upper(mode.p[0]) != 'N')
		return 0;
	return (c->flags & ENVELOPE_BY_RETURN) == 0 || c->by > 0;
}

static int
take_hold_for(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)a;
	return take_number(s, &c->hold_for) && c->hold_for > 0;
}

/* RFC 4865 with erratum 2040: the date-time of RFC 3339. */
static int
take_hold_until(struct smtp_command *c, struct span s, struct arena *a)
{
	struct date date;

	(void)a;
	if (date_parse_rfc3339(s, &date) != 1 || date.seconds <= 0)
		return 0;
	c->hold_until = date.seconds;
	return 1;
}

/* RFC 6710 section 9: "-9" to "9". */
static int
take_priority(struct smtp_command *c, struct span s, struct arena *a)
{
	bool minus = s.n == 2 && s.p[0] == '-';

	(void)a;
	s = span_from(s, minus);
	if (s.n != 1 || !ascii_is_digit(s.p[0]) || (minus && s.p[0] == '0'))
		return 0;
	c->priority = s.p[0] - '0';
	if (minus)
		c->priority = -c->priority;
	return 1;
}

static int
take_requiretls(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)s, (void)a;
	c->flags |= ENVELOPE_REQUIRETLS;
	return 1;
}

static int
take_solicit(struct smtp_command *c, struct span s, struct arena *a)
{
	(void)a;
	c->solicit = s;
	return smtp_solicit_ok(s);
}

static const struct parameter of_mail[] = {
	{ "SIZE",        SMTP_GIVEN_SIZE,       true,  take_size       },
	{ "BODY",        SMTP_GIVEN_BODY,       true,  take_body       },
	{ "SMTPUTF8",    SMTP_GIVEN_UTF8,       false, take_utf8       },
	{ "AUTH",        SMTP_GIVEN_AUTH,       true,  take_auth       },
	{ "RET",         SMTP_GIVEN_RET,        true,  take_ret        },
	{ "ENVID",       SMTP_GIVEN_ENVID,      true,  take_envid      },
	{ "BY",          SMTP_GIVEN_BY,         true,  take_by         },
	{ "HOLDFOR",     SMTP_GIVEN_HOLD,       true,  take_hold_for   },
	{ "HOLDUNTIL",   SMTP_GIVEN_HOLD,       true,  take_hold_until },
	{ "MT-PRIORITY", SMTP_GIVEN_PRIORITY,   true,  take_priority   },
	{ "REQUIRETLS",  SMTP_GIVEN_REQUIRETLS, false, take_requiretls },
	{ "SOLICIT",     SMTP_GIVEN_SOLICIT,    true,  take_solicit    },
};

/* ---- of RCPT ------------------------------------------------------------ */

/* RFC 3461 4.1: NEVER stands alone. */
static int
take_notify(struct smtp_command *c, struct span s, struct arena *a)
{
	struct span rest = s, word;

	(void)a;
	if (span_is_nocase(s, "NEVER")) {
		c->notify = NOTIFY_NEVER;
		return 1;
	}
	do {
		rest = span_cut(rest, ',', &word);
		if (span_is_nocase(word, "SUCCESS"))
			c->notify |= NOTIFY_SUCCESS;
		else if (span_is_nocase(word, "FAILURE"))
			c->notify |= NOTIFY_FAILURE;
		else if (span_is_nocase(word, "DELAY"))
			c->notify |= NOTIFY_DELAY;
		else
			return 0;
	} while (rest.n > 0);
	return s.p[s.n - 1] != ',';
}

static bool
is_atom(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) &&
		    strchr("!#$%&'*+-/=?^_`{|}~", s.p[i]) == NULL)
			return false;
	return s.n > 0 && span_find_char(s, '\0', 0) == SIZE_MAX;
}

/* RFC 6533 3: under SMTPUTF8 an address may stand there as it is. */
static bool
is_plain_utf8(struct span type, struct span s)
{
	return span_is_nocase(type, "utf-8") && !utf8_is_ascii(s) &&
	    utf8_valid(s);
}

/* 4.2: the type of address, and the address. */
static int
take_original(struct smtp_command *c, struct span s, bool utf8,
    struct arena *a)
{
	struct span type, address = span_cut(s, ';', &type);
	struct text whole = TEXT_INIT(ORCPT_MAX);
	int status = 1;

	if (s.n > ORCPT_MAX || !is_atom(type) || address.n == 0)
		return 0;
	if (!utf8 || !is_plain_utf8(type, address))
		status = smtp_xtext_decode(address, a, &address);
	if (status != 1)
		return status;
	text_add(&whole, type);
	text_char(&whole, ';');
	text_add(&whole, address);
	c->original = arena_dup(a, text_span(&whole));
	text_free(&whole);
	return c->original.p != NULL ? 1 : -1;
}

static int
take_orcpt_utf8(struct smtp_command *c, struct span s, struct arena *a)
{
	return take_original(c, s, true, a);
}

static int
take_orcpt(struct smtp_command *c, struct span s, struct arena *a)
{
	return take_original(c, s, false, a);
}

static const struct parameter of_rcpt[] = {
	{ "NOTIFY", SMTP_GIVEN_NOTIFY, true, take_notify },
	{ "ORCPT",  SMTP_GIVEN_ORCPT,  true, take_orcpt  },
};

static const struct parameter of_rcpt_utf8[] = {
	{ "NOTIFY", SMTP_GIVEN_NOTIFY, true, take_notify },
	{ "ORCPT",  SMTP_GIVEN_ORCPT,  true, take_orcpt_utf8 },
};

/* ---- solicitation (RFC 3865) -------------------------------------------- */

bool
smtp_solicit_ok(struct span s)
{
	bool first = true;

	if (s.n == 0 || s.n > SOLICIT_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ',' ? first : first ? !ascii_is_alpha(c) :
		    !ascii_is_alnum(c) && (c == '\0' ||
		    strchr("-._:", c) == NULL))
			return false;
		first = c == ',';
	}
	return !first;
}

bool
smtp_solicit_meets(struct span these, struct span those)
{
	struct span one, rest, other;

	while (these.n > 0) {
		these = span_cut(these, ',', &one);
		one = span_trim(one);
		for (rest = those; rest.n > 0 && one.n > 0; ) {
			rest = span_cut(rest, ',', &other);
			if (span_eq_nocase(one, span_trim(other)))
				return true;
		}
	}
	return false;
}

/* ---- the list ----------------------------------------------------------- */

static enum smtp_fault
take_one(struct smtp_command *c, struct span word, struct arena *a,
    const struct parameter *rows, size_t count)
{
	struct span name, value = span_cut(word, '=', &name);
	bool has_value = name.n < word.n;
	int status;

	for (size_t i = 0; i < count; i++) {
		if (!span_is_nocase(name, rows[i].name))
			continue;
		if (has_value != rows[i].has_value ||
		    (has_value && value.n == 0) ||
		    (c->given & rows[i].bit) != 0)
			return SMTP_BAD_VALUE;
		c->given |= rows[i].bit;
		status = rows[i].take(c, value, a);
		return status == 1 ? SMTP_FINE :
		    status == 0 ? SMTP_BAD_VALUE : SMTP_NO_MEMORY;
	}
	return SMTP_BAD_PARAMETER;
}

static enum smtp_fault
take_all(struct smtp_command *c, struct span s, struct arena *a,
    const struct parameter *rows, size_t count)
{
	enum smtp_fault fault = SMTP_FINE;
	struct span word;

	while (fault == SMTP_FINE && (word = span_word(&s)).n > 0)
		fault = take_one(c, word, a, rows, count);
	return fault;
}

enum smtp_fault
smtp_mail_parameters(struct smtp_command *c, struct span s, struct arena *a)
{
	return take_all(c, s, a, of_mail, ARRAY_LEN(of_mail));
}

enum smtp_fault
smtp_rcpt_parameters(struct smtp_command *c, struct span s, bool utf8,
    struct arena *a)
{
	return take_all(c, s, a, utf8 ? of_rcpt_utf8 : of_rcpt,
	    ARRAY_LEN(of_rcpt));
}
