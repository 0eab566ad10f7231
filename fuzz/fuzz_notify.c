/*
 * fuzz_notify.c - arguments of NOTIFY, GETMETADATA, SETMETADATA and SETQUOTA.
 * The first byte says of which.
 */
#include "imap/imap_metadata_parse.h"
#include "imap/imap_notify_parse.h"
#include "imap/imap_quota_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool
is_within(struct span part, struct span whole)
{
	return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void
check_notify(struct imap_parser *in, struct span whole)
{
	struct imap_notify_wish w;

	if (!imap_parse_notify(in, &w))
		return;
	must(w.none || w.count > 0);
	for (size_t i = 0; i < w.count; i++) {
		const struct imap_notify_group *g = &w.groups[i];

		must(g->filter < NOTIFY_FILTERS);
		must(g->fetch.n == 0 || is_within(g->fetch, whole));
		must(g->fetch.n == 0 || g->filter <= NOTIFY_SELECTED_DELAYED);
		must((g->events & NOTIFY_OF_MESSAGES) == 0 ||
		    (g->events & NOTIFY_MESSAGE_NEW) != 0);
	}
}

static void
check_metadata(struct imap_parser *in, bool set)
{
	struct imap_metadata m;

	if (!(set ? imap_parse_setmetadata(in, &m)
	    : imap_parse_getmetadata(in, &m)))
		return;
	must(m.count > 0 && m.count <= IMAP_ENTRIES_MAX);
	for (size_t i = 0; i < m.count; i++) {
		must(m.entries[i].name.n > 0);
		must(m.entries[i].name.p[0] == '/');
		must(span_find_char(m.entries[i].name, '\n', 0) == SIZE_MAX);
	}
}

static void
check_quota(struct imap_parser *in)
{
	struct imap_quota_limits l;

	if (!imap_parse_setquota(in, &l))
		return;
	for (size_t i = 0; i < IMAP_QUOTA_RESOURCES; i++)
		must(l.max[i] <= INT64_MAX || l.max[i] == UINT64_MAX - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span whole = n > 0 ? span_of(data + 1, n - 1)
	    : SPAN_EMPTY;
	struct arena *arena = arena_new(1 << 20);
	struct imap_parser in = imap_parser(whole, arena);

	switch (n > 0 ? data[0] : 0) {
	case 'n':
		check_notify(&in, whole);
		break;
	case 'g':
		check_metadata(&in, false);
		break;
	case 's':
		check_metadata(&in, true);
		break;
	case 'q':
		check_quota(&in);
		break;
	default:
		break;
	}
	arena_free(&arena);
	return 0;
}
