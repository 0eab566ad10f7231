/*
 * fuzz_url.c - IMAP URLs: what is taken has one message, lies in the arena,
 * and is signed as it was written.
 */
#include "mail/imap_section.h"
#include "mail/imap_url.h"
#include "mail/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(struct span text, struct arena *arena)
{
	struct imap_section section;
	struct imap_url url, again;

	if (imap_url_parse(text, arena, &url) != 1)
		return;
	must(url.uid > 0 && text.n <= IMAP_URL_MAX);
	must(utf8_valid(url.mailbox) && utf8_valid(url.user) &&
	    utf8_valid(url.section));
	must(span_find_char(url.mailbox, '\0', 0) == SIZE_MAX);
	must(!url.has_server || (url.host.n > 0 && url.mailbox.n > 0));
	must(span_starts(text, url.rump));
	must(!url.is_partial || url.count > 0);
	if (url.section.n > 0)
		(void)imap_section_parse(url.section, arena, &section);
	if (url.access == IMAP_URL_PLAIN) {
		must(url.token.p == NULL && url.expires == INT64_MAX);
		return;
	}
	/* The rump is such a URL too, and its own rump. */
	must(imap_url_parse(url.rump, arena, &again) == 1);
	must(again.token.p == NULL && span_eq(again.rump, url.rump));
	must(again.access == url.access && again.uid == url.uid &&
	    span_eq(again.mailbox, url.mailbox) &&
	    again.expires == url.expires);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(1 << 20);

	check(span_of(data, n), arena);
	arena_free(&arena);
	return 0;
}
