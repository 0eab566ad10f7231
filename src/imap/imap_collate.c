/*
 * imap_collate.c - the collations of RFC 4790 that strings are compared by.
 */
#include "imap/imap_collate.h"

#include "mail/charset.h"

static const char *const names[IMAP_COLLATIONS] = {
	[IMAP_UNICODE_CASEMAP] = "i;unicode-casemap",
	[IMAP_ASCII_CASEMAP] = "i;ascii-casemap",
	[IMAP_OCTET] = "i;octet",
};

const char *
imap_collation_name(enum imap_collation c)
{
	return names[c];
}

/* RFC 4790 3.2: * is any run of characters; one try each way is enough. */
static bool
matches(struct span name, struct span pattern)
{
	size_t i = 0, j = 0, star = SIZE_MAX, from = 0;

	while (i < name.n) {
		if (j < pattern.n && pattern.p[j] == '*') {
			star = ++j;
			from = i;
		} else if (j < pattern.n &&
		    ascii_lower(pattern.p[j]) == ascii_lower(name.p[i])) {
			i++;
			j++;
		} else if (star != SIZE_MAX) {
			j = star;
			i = ++from;
		} else {
			return false;
		}
	}
	while (j < pattern.n && pattern.p[j] == '*')
		j++;
	return j == pattern.n;
}

bool
imap_collation_fits(enum imap_collation c, struct span wanted)
{
	if (span_is_nocase(wanted, "default"))
		return c == IMAP_UNICODE_CASEMAP;
	return matches(span_str(names[c]), wanted);
}

void
imap_collate_add(enum imap_collation c, struct text *key, struct span utf8)
{
	char *to;

	if (c == IMAP_UNICODE_CASEMAP) {
		casemap_add(key, utf8);
		return;
	}
	if (c == IMAP_OCTET) {
		text_add(key, utf8);
		return;
	}
	if (utf8.n == 0 || (to = text_room(key, utf8.n)) == NULL)
		return;
	for (size_t i = 0; i < utf8.n; i++)
		to[i] = ascii_upper(utf8.p[i]);
	text_grew(key, utf8.n);
}
