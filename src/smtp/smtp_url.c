/*
 * smtp_url.c - the IMAP URL of one message.
 */
#include "smtp/smtp_url.h"

#include "mail/encode.h"

enum { URL_MAX = 4000 };

static int
hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

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
parse_server(struct span s, struct arena *a, struct smtp_url *url)
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

/* A number other than 0 behind "NAME=". */
static bool
take_number(struct span s, const char *name, uint32_t *out)
{
	struct span mark = span_str(name);

	return span_starts_nocase(s, mark) &&
	    span_u32(span_from(s, mark.n), out) == 1 && *out > 0;
}

/* "mailbox;UIDVALIDITY=7/;UID=3/;SECTION=1.2;URLAUTH=..." */
static int
parse_path(struct span s, struct arena *a, struct smtp_url *url)
{
	size_t uid = span_find(s, SPAN("/;"), 0);
	struct span mailbox = span_sub(s, 0, uid), validity, word, rest;

	if (uid == SIZE_MAX)
		return 0;
	rest = span_from(s, uid + 2);
	validity = span_cut(mailbox, ';', &mailbox);
	if (validity.n > 0 &&
	    !take_number(validity, "UIDVALIDITY=", &url->uidvalidity))
		return 0;
	rest = span_cut(rest, ';', &word);
	if (word.n > 0 && word.p[word.n - 1] == '/')
		word.n--;
	if (!take_number(word, "UID=", &url->uid) || mailbox.n == 0)
		return 0;
	while (rest.n > 0) {
		rest = span_cut(rest, ';', &word);
		if (span_starts_nocase(word, SPAN("SECTION=")) ||
		    span_starts_nocase(word, SPAN("PARTIAL=")))
			url->has_part = true;
		else if (span_starts_nocase(word, SPAN("URLAUTH=")) ||
		    span_starts_nocase(word, SPAN("EXPIRE=")))
			url->has_auth = true;
		else
			return 0;
	}
	return decode(mailbox, a, &url->mailbox);
}

int
smtp_url_parse(struct span s, struct arena *a, struct smtp_url *url)
{
	const struct span scheme = SPAN("imap://");
	struct span server, path;
	int status;

	*url = (struct smtp_url){ .uid = 0 };
	if (s.n > URL_MAX || !span_starts_nocase(s, scheme))
		return 0;
	path = span_cut(span_from(s, scheme.n), '/', &server);
	status = parse_server(server, a, url);
	return status == 1 ? parse_path(path, a, url) : status;
}
