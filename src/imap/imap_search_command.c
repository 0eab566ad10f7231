/*
 * imap_search_command.c - the arguments of SEARCH, SORT, THREAD, ESEARCH
 * around their search keys.
 */
#include "imap/imap_search_parse.h"

/* Is this word next? Then take it. */
static bool
take_word(struct imap_parser *in, const char *word)
{
	struct imap_parser ahead = *in;
	struct span found;

	if (!imap_parse_atom(&ahead, &found) || !span_is_nocase(found, word))
		return false;
	*in = ahead;
	return true;
}

/* -- RETURN ---- */

bool
imap_parse_partial(struct imap_parser *in, struct imap_partial *out)
{
	uint32_t swap;

	out->back = imap_parse_next(in, '-');
	if (!imap_parse_nz_u32(in, &out->first) || !imap_parse_char(in, ':') ||
	    (out->back && !imap_parse_char(in, '-')) ||
	    !imap_parse_nz_u32(in, &out->last))
		return false;
	if (out->first > out->last) {
		swap = out->first;
		out->first = out->last;
		out->last = swap;
	}
	return true;
}

static bool
take_return(struct imap_parser *in, struct imap_search_command *c)
{
	static const struct {
		const char *name;
		unsigned bit;
	} options[] = {
		{ "MIN", IMAP_RETURN_MIN }, { "MAX", IMAP_RETURN_MAX },
		{ "ALL", IMAP_RETURN_ALL }, { "COUNT", IMAP_RETURN_COUNT },
		{ "SAVE", IMAP_RETURN_SAVE },
		{ "PARTIAL", IMAP_RETURN_PARTIAL },
		{ "UPDATE", IMAP_RETURN_UPDATE },
		{ "CONTEXT", IMAP_RETURN_CONTEXT },
		{ "RELEVANCY", IMAP_RETURN_RELEVANCY },
	};
	struct span word;
	size_t i;

	if (!imap_parse_atom(in, &word))
		return false;
	for (i = 0; i < ARRAY_LEN(options); i++)
		if (span_is_nocase(word, options[i].name))
			break;
	if (i == ARRAY_LEN(options))
		return imap_parse_fail(in, "Unknown return option");
	if (options[i].bit == IMAP_RETURN_PARTIAL) {
		if ((c->returns & IMAP_RETURN_PARTIAL) != 0)
			return imap_parse_fail(in, "PARTIAL can stand once");
		if (!imap_parse_space(in) ||
		    !imap_parse_partial(in, &c->partial))
			return false;
	}
	c->returns |= options[i].bit;
	return true;
}

/* RFC 4731: nothing said is ALL. RFC 9394 3.1: not ALL and PARTIAL. */
static bool
settle_returns(struct imap_parser *in, unsigned *returns)
{
	if ((*returns & ~(unsigned)(IMAP_RETURN_CONTEXT |
	    IMAP_RETURN_RELEVANCY)) == 0)
		*returns |= IMAP_RETURN_ALL;
	if ((*returns & IMAP_RETURN_ALL) != 0 &&
	    (*returns & IMAP_RETURN_PARTIAL) != 0)
		return imap_parse_fail(in, "ALL does not go with PARTIAL");
	return true;
}

/* RETURN (...) SP, if it is there. */
static bool
take_returns(struct imap_parser *in, struct imap_search_command *c)
{
	if (!take_word(in, "RETURN"))
		return true;
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	if (!imap_parse_next(in, ')')) {
		do {
			if (!take_return(in, c))
				return false;
		} while (imap_parse_next(in, ' '));
		if (!imap_parse_char(in, ')'))
			return false;
	}
	return settle_returns(in, &c->returns) && imap_parse_space(in);
}

/* -- programs ---- */

static bool
check_relevancy(struct imap_parser *in, const struct imap_search_command *c)
{
	bool wanted = (c->returns & IMAP_RETURN_RELEVANCY) != 0;

	for (size_t i = 0; i < c->sort_count; i++)
		wanted |= c->sort[i].field == IMAP_SORT_RELEVANCY;
	return !wanted || c->has_fuzzy ||
	    imap_parse_fail(in, "RELEVANCY needs a FUZZY key");
}

static bool
take_end(struct imap_parser *in, struct imap_search_command *c)
{
	return imap_parse_keys(in, c) && imap_parse_end(in) &&
	    check_relevancy(in, c);
}

bool
imap_parse_program(struct imap_parser *in, struct imap_search_command *c)
{
	if (take_word(in, "CHARSET") && (!imap_parse_space(in) ||
	    !imap_parse_astring(in, &c->charset) || !imap_parse_space(in)))
		return false;
	return take_end(in, c);
}

bool
imap_parse_search(struct imap_parser *in, struct imap_search_command *c)
{
	*c = (struct imap_search_command){ .returns = 0 };
	return imap_parse_space(in) && take_returns(in, c) &&
	    imap_parse_program(in, c);
}

/* -- SORT and THREAD ---- */

static bool
take_sort_key(struct imap_parser *in, struct imap_search_command *c)
{
	static const char *const fields[] = {
		[IMAP_SORT_ARRIVAL] = "ARRIVAL", [IMAP_SORT_CC] = "CC",
		[IMAP_SORT_DATE] = "DATE", [IMAP_SORT_FROM] = "FROM",
		[IMAP_SORT_SIZE] = "SIZE", [IMAP_SORT_SUBJECT] = "SUBJECT",
		[IMAP_SORT_TO] = "TO",
		[IMAP_SORT_DISPLAY_FROM] = "DISPLAYFROM",
		[IMAP_SORT_DISPLAY_TO] = "DISPLAYTO",
		[IMAP_SORT_RELEVANCY] = "RELEVANCY",
	};
	struct imap_sort_key key = { .reverse = take_word(in, "REVERSE") };
	struct span word;

	if ((key.reverse && !imap_parse_space(in)) ||
	    !imap_parse_atom(in, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (!span_is_nocase(word, fields[i]))
			continue;
		if (c->sort_count == IMAP_SORT_KEYS_MAX)
			return imap_parse_fail(in, "Too many sort keys");
		key.field = (enum imap_sort_field)i;
		c->sort[c->sort_count++] = key;
		return true;
	}
	return imap_parse_fail(in, "Unknown sort key");
}

static bool
take_sort_keys(struct imap_parser *in, struct imap_search_command *c)
{
	if (!imap_parse_char(in, '('))
		return false;
	do {
		if (!take_sort_key(in, c))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

bool
imap_parse_sort(struct imap_parser *in, struct imap_search_command *c)
{
	*c = (struct imap_search_command){ .returns = 0 };
	return imap_parse_space(in) && take_returns(in, c) &&
	    take_sort_keys(in, c) && imap_parse_space(in) &&
	    imap_parse_astring(in, &c->charset) && imap_parse_space(in) &&
	    take_end(in, c);
}

bool
imap_parse_thread(struct imap_parser *in, struct imap_search_command *c)
{
	static const char *const kinds[] = {
		[IMAP_THREAD_ORDERED_SUBJECT] = "ORDEREDSUBJECT",
		[IMAP_THREAD_REFERENCES] = "REFERENCES",
		[IMAP_THREAD_REFS] = "REFS",
	};
	struct span word;
	size_t i;

	*c = (struct imap_search_command){ .returns = 0 };
	if (!imap_parse_space(in) || !imap_parse_atom(in, &word))
		return false;
	for (i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is_nocase(word, kinds[i]))
			break;
	if (i == ARRAY_LEN(kinds))
		return imap_parse_fail(in, "Unknown threading algorithm");
	c->thread = (enum imap_thread_kind)i;
	return imap_parse_space(in) && imap_parse_astring(in, &c->charset) &&
	    imap_parse_space(in) && take_end(in, c);
}

/* -- ESEARCH ---- */

struct sources {
	struct imap_source **last;
	size_t count;
};

static bool
add_source(struct imap_parser *in, struct sources *s,
    enum imap_source_kind kind, struct span name)
{
	struct imap_source *source = NULL;

	if (++s->count <= IMAP_SOURCES_MAX)
		source = arena_alloc(in->arena, sizeof(*source));
	if (source == NULL)
		return imap_parse_fail(in, "Too many mailboxes");
	*source = (struct imap_source){ .kind = kind, .name = name };
	*s->last = source;
	s->last = &source->next;
	return true;
}

/* A mailbox, or some in parentheses. */
static bool
take_names(struct imap_parser *in, struct sources *s,
    enum imap_source_kind kind)
{
	bool many;
	struct span name;

	if (!imap_parse_space(in))
		return false;
	many = imap_parse_next(in, '(');
	do {
		if (!imap_parse_astring(in, &name) ||
		    !add_source(in, s, kind, name))
			return false;
	} while (many && imap_parse_next(in, ' '));
	return !many || imap_parse_char(in, ')');
}

static bool
take_source(struct imap_parser *in, struct sources *s)
{
	static const struct {
		const char *name;
		bool has_names;
	} kinds[] = {
		[IMAP_SOURCE_SELECTED] = { "selected", false },
		[IMAP_SOURCE_INBOXES] = { "inboxes", false },
		[IMAP_SOURCE_PERSONAL] = { "personal", false },
		[IMAP_SOURCE_SUBSCRIBED] = { "subscribed", false },
		[IMAP_SOURCE_SUBTREE] = { "subtree", true },
		[IMAP_SOURCE_SUBTREE_ONE] = { "subtree-one", true },
		[IMAP_SOURCE_MAILBOXES] = { "mailboxes", true },
	};
	struct span word;

	if (!imap_parse_atom(in, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!span_is_nocase(word, kinds[i].name))
			continue;
		if (kinds[i].has_names)
			return take_names(in, s, (enum imap_source_kind)i);
		return add_source(in, s, (enum imap_source_kind)i, SPAN_EMPTY);
	}
	return imap_parse_fail(in, "Unknown source of messages");
}

/* IN (...) SP, if it is there. No scope option is known (RFC 7377 2.2). */
static bool
take_sources(struct imap_parser *in, struct imap_search_command *c)
{
	struct sources s = { .last = &c->sources };

	if (!take_word(in, "IN"))
		return true;
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	do {
		if (imap_parse_peek(in) == '(')
			return imap_parse_fail(in, "Unknown scope option");
		if (!take_source(in, &s))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_space(in);
}

bool
imap_parse_esearch(struct imap_parser *in, struct imap_search_command *c)
{
	*c = (struct imap_search_command){ .returns = 0 };
	if (!imap_parse_space(in) || !take_sources(in, c) ||
	    !take_returns(in, c) || !imap_parse_program(in, c))
		return false;
	if (c->returns == 0)
		c->returns = IMAP_RETURN_ALL;
	return true;
}
