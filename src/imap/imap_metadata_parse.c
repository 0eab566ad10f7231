/*
 * imap_metadata_parse.c - the arguments of GETMETADATA and SETMETADATA.
 */
#include "imap/imap_metadata_parse.h"

#include "base/text.h"

/* ---- entries ----------------------------------------------------------- */

static struct imap_metadata_entry *
new_entry(struct imap_parser *in, struct imap_metadata *m)
{
	if (m->count == IMAP_ENTRIES_MAX) {
		imap_parse_fail(in, "Too many entries");
		return NULL;
	}
	if (m->entries == NULL)
		m->entries = arena_alloc(in->arena,
		    IMAP_ENTRIES_MAX * sizeof(*m->entries));
	if (m->entries == NULL) {
		imap_parse_fail(in, "Command too large");
		return NULL;
	}
	m->entries[m->count] = (struct imap_metadata_entry){ 0 };
	return &m->entries[m->count];
}

/* They go to the store one a line. */
static bool
is_entry(struct span name)
{
	if (name.n == 0 || name.n > IMAP_ENTRY_MAX || name.p[0] != '/')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_print(name.p[i]))
			return false;
	return true;
}

static bool
take_entry(struct imap_parser *in, struct imap_metadata *m)
{
	struct imap_metadata_entry *e = new_entry(in, m);

	if (e == NULL || !imap_parse_astring(in, &e->name))
		return false;
	if (!is_entry(e->name))
		return imap_parse_fail(in, "An entry's name begins with \"/\"");
	m->count++;
	return true;
}

static bool
take_entries(struct imap_parser *in, struct imap_metadata *m)
{
	if (!imap_parse_next(in, '('))
		return take_entry(in, m);
	do {
		if (!take_entry(in, m))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

/* ---- options ------------------------------------------------------------- */

static bool
take_depth(struct imap_parser *in, uint32_t *depth)
{
	struct span word;

	if (!imap_parse_atom(in, &word))
		return false;
	if (span_is(word, "0"))
		*depth = 0;
	else if (span_is(word, "1"))
		*depth = 1;
	else if (span_is_nocase(word, "infinity"))
		*depth = UINT32_MAX;
	else
		return imap_parse_fail(in, "DEPTH is 0, 1 or infinity");
	return true;
}

static bool
take_option(struct imap_parser *in, struct imap_metadata *m)
{
	struct span word;

	if (!imap_parse_atom(in, &word) || !imap_parse_space(in))
		return false;
	if (span_is_nocase(word, "MAXSIZE"))
		return imap_parse_u63(in, &m->max_size);
	if (span_is_nocase(word, "DEPTH"))
		return take_depth(in, &m->depth);
	return imap_parse_fail(in, "Unknown option");
}

static bool
take_options(struct imap_parser *in, struct imap_metadata *m)
{
	if (!imap_parse_char(in, '('))
		return false;
	do {
		if (!take_option(in, m))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

/* ---- the commands -------------------------------------------------------- */

/* Does a list of options come, and not of entries? */
static bool
options_next(const struct imap_parser *in)
{
	return in->rest.n > 1 && in->rest.p[0] == '(' &&
	    ascii_is_alpha(in->rest.p[1]);
}

/*
 * The options come before the mailbox; behind it, where examples of the RFC
 * have them, they are taken too.
 */
bool
imap_parse_getmetadata(struct imap_parser *in, struct imap_metadata *m)
{
	*m = (struct imap_metadata){ .max_size = UINT64_MAX };
	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) == '(' &&
	    (!take_options(in, m) || !imap_parse_space(in)))
		return false;
	if (!imap_parse_astring(in, &m->mailbox) || !imap_parse_space(in))
		return false;
	if (options_next(in) &&
	    (!take_options(in, m) || !imap_parse_space(in)))
		return false;
	return take_entries(in, m) && imap_parse_end(in);
}

static bool
take_value(struct imap_parser *in, struct span *value)
{
	return imap_parse_peek(in) == '~' ? imap_parse_string8(in, value)
	    : imap_parse_nstring(in, value);
}

bool
imap_parse_setmetadata(struct imap_parser *in, struct imap_metadata *m)
{
	*m = (struct imap_metadata){ .max_size = UINT64_MAX };
	if (!imap_parse_space(in) ||
	    !imap_parse_astring(in, &m->mailbox) || !imap_parse_space(in) ||
	    !imap_parse_char(in, '('))
		return false;
	do {
		if (!take_entry(in, m) || !imap_parse_space(in) ||
		    !take_value(in, &m->entries[m->count - 1].value))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_end(in);
}

bool
imap_parse_list_metadata(struct imap_parser *in, struct imap_metadata *m)
{
	*m = (struct imap_metadata){ .max_size = UINT64_MAX };
	if (imap_parse_peek(in) != '(')
		return imap_parse_char(in, '(');
	if (options_next(in) &&
	    (!take_options(in, m) || !imap_parse_space(in)))
		return false;
	return take_entries(in, m);
}

struct span
imap_metadata_names(const struct imap_metadata *m, struct arena *arena)
{
	struct text t = TEXT_INIT(0);
	struct span all;

	for (size_t i = 0; i < m->count; i++) {
		text_add(&t, m->entries[i].name);
		text_char(&t, '\n');
	}
	all = arena_dup(arena, text_span(&t));
	text_free(&t);
	return all;
}
