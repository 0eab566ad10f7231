/*
 * imap_url.c - the IMAP URL of one message, or of a part of it.
 */
#include "mail/imap_url.h"

#include "base/secret.h"
#include "mail/date.h"
#include "mail/encode.h"

/* "%40" is "@"; NUL and what is not UTF-8 is nobody's name. 1, 0, -1. */
static int
decode(struct span s, struct arena *a, struct span *out)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	if (p == NULL)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int high, low;

		p[n] = s.p[i];
		if (s.p[i] == '%') {
			if (s.n - i < 3)
				return 0;
			high = hex_digit(s.p[i + 1]);
			low = hex_digit(s.p[i + 2]);
			if (high < 0 || low < 0)
				return 0;
			p[n] = (char)(high * 16 + low);
			i += 2;
		}
		if (p[n++] == '\0')
			return 0;
	}
	*out = span_of(p, n);
	return utf8_valid(*out);
}

/* "user;AUTH=*@host:port" */
static int
parse_server(struct span s, struct arena *a, struct imap_url *url)
{
	struct span user = SPAN_EMPTY, host = s;
	size_t at = span_find_char(s, '@', 0);

	if (at != SIZE_MAX) {
		user = span_sub(s, 0, at);
		host = span_from(s, at + 1);
	}
	(void)span_cut(user, ';', &user);
	if (host.n > 0 && host.p[0] == '[')
		url->host = host;
	else
		(void)span_cut(host, ':', &url->host);
	if (url->host.n == 0 || span_find_char(host, '@', 0) != SIZE_MAX)
		return 0;
	return decode(user, a, &url->user);
}

/* ---- ;UIDVALIDITY=7/;UID=3/;SECTION=1.2/;PARTIAL=0.100 ------------------- */

static int
take_uidvalidity(struct span s, struct arena *a, struct imap_url *url)
{
	(void)a;
	return span_u32(s, &url->uidvalidity) == 1 && url->uidvalidity > 0;
}

static int
take_uid(struct span s, struct arena *a, struct imap_url *url)
{
	(void)a;
	return span_u32(s, &url->uid) == 1 && url->uid > 0;
}

static int
take_section(struct span s, struct arena *a, struct imap_url *url)
{
	return s.n > 0 && url->uid != 0 ? decode(s, a, &url->section) : 0;
}

/* "0.100", or "0": from there to the end. */
static int
take_partial(struct span s, struct arena *a, struct imap_url *url)
{
	struct span at, count = span_cut(s, '.', &at);

	(void)a;
	url->is_partial = true;
	url->count = UINT64_MAX;
	if (span_u64(at, &url->at) != 1 || url->at > UINT32_MAX ||
	    url->uid == 0)
		return 0;
	return at.n == s.n || (span_u64(count, &url->count) == 1 &&
	    url->count > 0 && url->count <= UINT32_MAX);
}

static const struct {
	const char *name;
	int (*take)(struct span, struct arena *, struct imap_url *);
} words[] = {
	{ "UIDVALIDITY=", take_uidvalidity }, { "UID=", take_uid },
	{ "SECTION=", take_section }, { "PARTIAL=", take_partial },
};

/* Each once, in this order; `slash`: one stands before the next. */
static int
parse_words(struct span rest, bool slash, struct arena *a,
    struct imap_url *url)
{
	struct span word;
	size_t next = 0, i;
	int status;

	while (rest.n > 0) {
		rest = span_cut(rest, ';', &word);
		for (i = next; i < ARRAY_LEN(words); i++)
			if (span_starts_nocase(word, span_str(words[i].name)))
				break;
		if (i == ARRAY_LEN(words) || (i == 1 && !slash))
			return 0;
		slash = rest.n > 0 && span_ends(word, SPAN("/"));
		word.n -= slash;
		status = words[i].take(span_from(word,
		    strlen(words[i].name)), a, url);
		if (status != 1)
			return status;
		next = i + 1;
	}
	return url->uid != 0;
}

/* "mailbox;UIDVALIDITY=7/;UID=3"; "/;UID=3" has no mailbox of its own. */
static int
parse_path(struct span s, struct arena *a, struct imap_url *url)
{
	struct span mailbox, rest = span_cut(s, ';', &mailbox);
	bool slash = span_ends(mailbox, SPAN("/"));
	int status;

	mailbox.n -= slash;
	if (url->has_server && mailbox.n == 0)
		return 0;
	status = decode(mailbox, a, &url->mailbox);
	return status == 1 ? parse_words(rest, slash || mailbox.n == 0, a,
	    url) : status;
}

/* ---- ;EXPIRE=...;URLAUTH=... --------------------------------------------- */

static const struct {
	const char *word;
	enum imap_url_access access;
	bool has_user;
} accesses[] = {
	{ "submit+", IMAP_URL_SUBMIT, true }, { "user+", IMAP_URL_USER, true },
	{ "authuser", IMAP_URL_AUTHUSER, false },
	{ "anonymous", IMAP_URL_ANONYMOUS, false },
};

static int
parse_access(struct span s, struct arena *a, struct imap_url *url)
{
	for (size_t i = 0; i < ARRAY_LEN(accesses); i++) {
		struct span word = span_str(accesses[i].word);

		if (!span_starts_nocase(s, word))
			continue;
		url->access = accesses[i].access;
		s = span_from(s, word.n);
		if (!accesses[i].has_user)
			return s.n == 0;
		return s.n > 0 ? decode(s, a, &url->access_user) : 0;
	}
	return 0;
}

/* ":mechanism:token", or nothing. */
static int
parse_token(struct span s, struct imap_url *url)
{
	url->token = span_cut(s, ':', &url->mechanism);
	if (url->mechanism.n == 0 || url->token.n < 32)
		return 0;
	for (size_t i = 0; i < url->token.n; i++)
		if (hex_digit(url->token.p[i]) < 0)
			return 0;
	return 1;
}

/* Where a word begins, in any case; SIZE_MAX: nowhere. */
static size_t
find_word(struct span s, struct span word)
{
	for (size_t i = 0; i + word.n <= s.n; i++)
		if (span_eq_nocase(span_sub(s, i, word.n), word))
			return i;
	return SIZE_MAX;
}

static int
parse_expire(struct span *s, struct imap_url *url)
{
	const struct span mark = SPAN(";EXPIRE=");
	size_t at = find_word(*s, mark);
	struct date date;

	if (at == SIZE_MAX)
		return 1;
	if (date_parse_rfc3339(span_from(*s, at + mark.n), &date) != 1)
		return 0;
	url->expires = date.seconds;
	*s = span_sub(*s, 0, at);
	return url->access != IMAP_URL_PLAIN;
}

/* Takes what authorises off the end of *s. */
static int
parse_auth(struct span *s, struct arena *a, struct imap_url *url)
{
	const struct span mark = SPAN(";URLAUTH=");
	size_t at = find_word(*s, mark);
	struct span access, auth;
	int status;

	if (at != SIZE_MAX) {
		auth = span_from(*s, at + mark.n);
		(void)span_cut(auth, ':', &access);
		url->rump = span_sub(*s, 0, at + mark.n + access.n);
		if ((status = parse_access(access, a, url)) != 1)
			return status;
		if (access.n < auth.n && !parse_token(span_from(auth,
		    access.n + 1), url))
			return 0;
		*s = span_sub(*s, 0, at);
	}
	return parse_expire(s, url);
}

/* A ':' in front of every '/' (RFC 3986 4.2): of another kind than ours. */
static bool
has_scheme(struct span s)
{
	return span_find_char(s, ':', 0) < span_find_char(s, '/', 0);
}

/* ---- the whole ----------------------------------------------------------- */

int
imap_url_parse(struct span s, struct arena *a, struct imap_url *url)
{
	const struct span scheme = SPAN("imap://");
	struct span server;
	int status;

	*url = (struct imap_url){ .expires = INT64_MAX, .rump = s };
	if (s.n > IMAP_URL_MAX || (status = parse_auth(&s, a, url)) == 0)
		return 0;
	if (status == -1)
		return -1;
	if (span_starts_nocase(s, scheme)) {
		url->has_server = true;
		s = span_cut(span_from(s, scheme.n), '/', &server);
		if ((status = parse_server(server, a, url)) != 1)
			return status;
	} else if (span_starts(s, SPAN("//")) || has_scheme(s)) {
		return 0;
	} else if (s.n > 1 && s.p[0] == '/' && s.p[1] != ';') {
		s = span_from(s, 1);
	}
	return parse_path(s, a, url);
}
