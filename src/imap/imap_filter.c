/*
 * imap_filter.c - searches that the user gave names to (RFC 5466).
 *
 * A filter is an annotation of the server, /private/filters/values/NAME, or
 * the same under /shared when there is no private one. It may name others; how
 * deep, and how many there are in one command, is bounded.
 */
#include "imap/imap_find.h"
#include "imap/imap_search_match.h"
#include "ipc/wire.h"

enum { FILTERS_MAX = 64, FILTERS_DEEP = 8, VALUE_MAX = 64 << 10 };

struct expansion {
	struct imap_task *t;
	enum imap_collation collation;
	struct imap_search_command *wish;
	size_t filters;
	struct imap_reply *why;
};

static bool
no(struct expansion *x, const char *code, struct span name, const char *text)
{
	struct span whole = arena_printf(x->t->arena, "%s %.*s", code,
	    SPAN_ARG(name));

	*x->why = whole.p != NULL ? imap_no(whole.p, text) : imap_no_memory();
	return false;
}

static struct span
entry_names(struct arena *arena, struct span name)
{
	struct span names = arena_printf(arena, "/private/filters/values/%.*s"
	    "\n/shared/filters/values/%.*s", SPAN_ARG(name), SPAN_ARG(name));
	char *p = (char *)names.p;

	for (size_t i = 0; i < names.n; i++)
		p[i] = ascii_lower(p[i]);
	return names;
}

/* What the rows say: the private value, or else the shared one. */
static struct span
value_of(struct span rows, struct arena *arena)
{
	struct cursor at = { .rest = rows };
	struct span value = SPAN_EMPTY;
	struct metadata_row row;

	while (metadata_row_get(&at, &row) == 1)
		if (row.exists && (value.p == NULL ||
		    span_starts(row.entry, SPAN("/private/"))))
			value = arena_dup(arena, row.value);
	return value;
}

static bool
get(struct expansion *x, struct span name, struct span *value)
{
	struct metadata_get_request request = { .grant = x->t->s->grant,
	    .entries = entry_names(x->t->arena, name),
	    .max_size = VALUE_MAX };
	struct metadata_get_reply reply;

	if (request.entries.p == NULL) {
		*x->why = imap_no_memory();
		return false;
	}
	if (call_metadata_get(imap_store(), x->t->arena, &request, &reply) !=
	    1) {
		*x->why = imap_unavailable();
		return false;
	}
	*value = reply.result == RESULT_OK
	    ? value_of(reply.rows.bytes, x->t->arena) : SPAN_EMPTY;
	blob_release(&reply.rows);
	return value->n > 0 || no(x, "UNDEFINED-FILTER", name,
	    "There is no such filter");
}

static bool expand(struct expansion *, struct imap_search_key *,
    unsigned depth);

static bool
expand_one(struct expansion *x, struct imap_search_key *key, unsigned depth)
{
	struct imap_search_command filter = { .returns = 0 };
	struct imap_parser in;
	struct span value;

	if (depth == FILTERS_DEEP || ++x->filters > FILTERS_MAX) {
		*x->why = imap_no("LIMIT", "Too many filters in each other");
		return false;
	}
	if (!get(x, key->text, &value))
		return false;
	in = imap_parser(value, x->t->arena);
	if (!imap_parse_program(&in, &filter))
		return no(x, "UNDEFINED-FILTER", key->text,
		    "The filter is not a search");
	if (!expand(x, filter.root, depth + 1))
		return false;
	if (imap_search_prepare(filter.root, filter.charset, x->collation,
	    x->t->arena) != 1)
		return no(x, "UNDEFINED-FILTER", key->text,
		    "The filter's strings are not of its charset");
	x->wish->has_modseq |= filter.has_modseq;
	x->wish->has_fuzzy |= filter.has_fuzzy;
	key->list = filter.root;
	return true;
}

/* The recursion is bounded by the depth of keys times that of filters. */
static bool
expand(struct expansion *x, struct imap_search_key *key, unsigned depth)
{
	for (; key != NULL; key = key->next)
		if (key->kind == IMAP_SEARCH_FILTER
		    ? !expand_one(x, key, depth)
		    : !expand(x, key->list, depth))
			return false;
	return true;
}

bool
imap_filter_expand(struct imap_task *t, struct imap_search_command *wish,
    enum imap_collation collation, struct imap_reply *why)
{
	struct expansion x = { .t = t, .collation = collation, .wish = wish,
	    .why = why };

	return expand(&x, wish->root, 0);
}
