/*
 * fuzz_imap.c - the arguments of IMAP commands: whatever comes is read by
 * every parser there is, as whole commands are, with literals in them.
 */
#include "base/text.h"
#include "imap/imap_fetch.h"
#include "imap/imap_pattern.h"
#include "imap/imap_resync.h"
#include "imap/imap_search_match.h"
#include "imap/imap_search_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is taken lies in the input or in the arena: reading it is the test. */
static void
look(struct span s)
{
	volatile char last = 0;

	if (s.n > 0)
		last = s.p[s.n - 1];
	(void)last;
}

static void
check_words(struct span input, struct arena *a)
{
	typedef bool parser_fn(struct imap_parser *, struct span *);
	static parser_fn *const parsers[] = { imap_parse_tag, imap_parse_atom,
	    imap_parse_astring, imap_parse_string, imap_parse_string8,
	    imap_parse_nstring,
	    imap_parse_pattern };
	struct span out;

	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		struct imap_parser p = imap_parser(input, a);

		if (!parsers[i](&p, &out)) {
			must(p.hint != NULL);
			continue;
		}
		look(out);
		must(p.rest.n <= input.n);
	}
}

static void
check_values(struct span input, struct arena *a)
{
	struct imap_parser p = imap_parser(input, a);
	struct imap_literal literal;
	struct imap_flags flags;
	struct imap_resync resync;
	struct imap_set set;
	int64_t seconds;

	if (imap_parse_set(&p, &set))
		for (size_t i = 0; i < set.count; i++)
			must(set.ranges[i].first != 0 &&
			    set.ranges[i].first <= set.ranges[i].last);
	p = imap_parser(input, a);
	if (imap_parse_resync(&p, &resync))
		must(resync.uidvalidity != 0 && resync.modseq <= INT64_MAX);
	p = imap_parser(input, a);
	if (imap_parse_flags(&p, &flags))
		look(flags.keywords);
	p = imap_parser(input, a);
	(void)imap_parse_date_time(&p, &seconds);
	if (imap_line_literal(input, &literal) == 1)
		must(literal.at < input.n && literal.size <= INT64_MAX);
}

/* A name has one form on the wire, and comes back from it. */
static void
check_names(struct span input, struct arena *a)
{
	struct span name, again;

	if (imap_name_decode_utf8(input, a, &name) == 1) {
		must(imap_name_decode_utf8(name, a, &again) == 1);
		must(span_eq(name, again));
	}
	if (imap_name_decode(input, a, &name) != 1)
		return;
	must(imap_name_decode(imap_name_encode(name, a), a, &again) == 1);
	must(span_eq(name, again));
	if (input.n <= IMAP_PATTERN_MAX)
		must(imap_pattern_matches(SPAN("*"), input));
}

static bool (*const searches[])(struct imap_parser *,
    struct imap_search_command *) = {
	imap_parse_search, imap_parse_sort, imap_parse_thread,
	imap_parse_esearch,
};

/* What RETURN and the keys promise each other. */
static void
check_search(struct imap_search_command *search, struct arena *a)
{
	struct imap_set set;

	must((search->returns & IMAP_RETURN_PARTIAL) == 0 ||
	    (search->partial.first > 0 &&
	    search->partial.first <= search->partial.last));
	must((search->returns & IMAP_RETURN_RELEVANCY) == 0 ||
	    search->has_fuzzy);
	if (imap_search_prepare(search->root, search->charset,
	    IMAP_UNICODE_CASEMAP, a) == 1)
		(void)imap_search_needs(search->root);
	set = search->root->list->set;
	if (imap_set_settle(&set, 9, a))
		for (uint32_t n = 0; n < 20; n++)
			must(imap_set_has(&set, n, 9) == imap_set_has(
			    &search->root->list->set, n, 9));
}

static void
check_commands(struct span input, struct arena *a)
{
	struct imap_parser p = imap_parser(input, a);
	struct imap_search_command search;
	struct imap_fetch fetch;

	if (imap_parse_fetch(&p, true, &fetch))
		must(fetch.count > 0 && fetch.shows_uid);
	else
		must(p.hint != NULL);
	for (size_t i = 0; i < ARRAY_LEN(searches); i++) {
		p = imap_parser(input, a);
		if (!searches[i](&p, &search))
			must(p.hint != NULL);
		else
			check_search(&search, a);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct span input = span_of(data, n), head;
	struct span pattern = span_cut(input, '\n', &head);

	if (n > 1 << 16) {
		arena_free(&a);
		return 0;
	}
	check_words(input, a);
	check_values(input, a);
	check_names(input, a);
	check_commands(input, a);
	if (head.n < 1000)
		(void)imap_pattern_matches(pattern, head);
	arena_free(&a);
	return 0;
}
