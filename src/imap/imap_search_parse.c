/*
 * imap_search_parse.c - search keys as a tree.
 */
#include "imap/imap_search_parse.h"

enum argument {
	NOTHING, TEXT, FIELD, DAY, NUMBER, INTERVAL, KEYWORD, UIDS, OBJECT,
	BOUND, MODSEQ, ONE_KEY, TWO_KEYS, NEW_KEY, FUZZY_KEY, NAME,
};

static const struct row {
	const char *name;
	enum argument argument;
	enum imap_search_kind kind;
	uint64_t flags;
	bool negated;
	const char *field;	/* of the header */
} rows[] = {
	{ "ALL", NOTHING, IMAP_SEARCH_ALL, 0, false, NULL },
	{ "ANSWERED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_ANSWERED, false, NULL },
	{ "DELETED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_DELETED, false, NULL },
	{ "DRAFT", NOTHING, IMAP_SEARCH_FLAGS, FLAG_DRAFT, false, NULL },
	{ "FLAGGED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_FLAGGED, false, NULL },
	{ "RECENT", NOTHING, IMAP_SEARCH_FLAGS, IMAP_FLAG_RECENT, false, NULL },
	{ "SEEN", NOTHING, IMAP_SEARCH_FLAGS, FLAG_SEEN, false, NULL },
	{ "UNANSWERED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_ANSWERED, true, NULL },
	{ "UNDELETED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_DELETED, true, NULL },
	{ "UNDRAFT", NOTHING, IMAP_SEARCH_FLAGS, FLAG_DRAFT, true, NULL },
	{ "UNFLAGGED", NOTHING, IMAP_SEARCH_FLAGS, FLAG_FLAGGED, true, NULL },
	{ "UNSEEN", NOTHING, IMAP_SEARCH_FLAGS, FLAG_SEEN, true, NULL },
	{ "OLD", NOTHING, IMAP_SEARCH_FLAGS, IMAP_FLAG_RECENT, true, NULL },
	{ "NEW", NEW_KEY, IMAP_SEARCH_AND, 0, false, NULL },
	{ "KEYWORD", KEYWORD, IMAP_SEARCH_KEYWORD, 0, false, NULL },
	{ "UNKEYWORD", KEYWORD, IMAP_SEARCH_KEYWORD, 0, true, NULL },
	{ "UID", UIDS, IMAP_SEARCH_UID, 0, false, NULL },
	{ "UIDAFTER", BOUND, IMAP_SEARCH_UID, 1, false, NULL },
	{ "UIDBEFORE", BOUND, IMAP_SEARCH_UID, 0, false, NULL },
	{ "BEFORE", DAY, IMAP_SEARCH_BEFORE, 0, false, NULL },
	{ "ON", DAY, IMAP_SEARCH_ON, 0, false, NULL },
	{ "SINCE", DAY, IMAP_SEARCH_SINCE, 0, false, NULL },
	{ "SENTBEFORE", DAY, IMAP_SEARCH_SENT_BEFORE, 0, false, NULL },
	{ "SENTON", DAY, IMAP_SEARCH_SENT_ON, 0, false, NULL },
	{ "SENTSINCE", DAY, IMAP_SEARCH_SENT_SINCE, 0, false, NULL },
	{ "SAVEDBEFORE", DAY, IMAP_SEARCH_SAVED_BEFORE, 0, false, NULL },
	{ "SAVEDON", DAY, IMAP_SEARCH_SAVED_ON, 0, false, NULL },
	{ "SAVEDSINCE", DAY, IMAP_SEARCH_SAVED_SINCE, 0, false, NULL },
	{ "SAVEDATESUPPORTED", NOTHING, IMAP_SEARCH_SAVEDATE_SUPPORTED, 0,
	    false, NULL },
	{ "LARGER", NUMBER, IMAP_SEARCH_LARGER, 0, false, NULL },
	{ "SMALLER", NUMBER, IMAP_SEARCH_SMALLER, 0, false, NULL },
	{ "OLDER", INTERVAL, IMAP_SEARCH_OLDER, 0, false, NULL },
	{ "YOUNGER", INTERVAL, IMAP_SEARCH_YOUNGER, 0, false, NULL },
	{ "MODSEQ", MODSEQ, IMAP_SEARCH_MODSEQ, 0, false, NULL },
	{ "EMAILID", OBJECT, IMAP_SEARCH_EMAILID, 0, false, NULL },
	{ "THREADID", OBJECT, IMAP_SEARCH_THREADID, 0, false, NULL },
	{ "HEADER", FIELD, IMAP_SEARCH_HEADER, 0, false, NULL },
	{ "BCC", TEXT, IMAP_SEARCH_HEADER, 0, false, "Bcc" },
	{ "CC", TEXT, IMAP_SEARCH_HEADER, 0, false, "Cc" },
	{ "FROM", TEXT, IMAP_SEARCH_HEADER, 0, false, "From" },
	{ "SUBJECT", TEXT, IMAP_SEARCH_HEADER, 0, false, "Subject" },
	{ "TO", TEXT, IMAP_SEARCH_HEADER, 0, false, "To" },
	{ "BODY", TEXT, IMAP_SEARCH_BODY, 0, false, NULL },
	{ "TEXT", TEXT, IMAP_SEARCH_TEXT, 0, false, NULL },
	{ "NOT", ONE_KEY, IMAP_SEARCH_NOT, 0, false, NULL },
	{ "OR", TWO_KEYS, IMAP_SEARCH_OR, 0, false, NULL },
	{ "FUZZY", FUZZY_KEY, IMAP_SEARCH_AND, 0, false, NULL },
	{ "FILTER", NAME, IMAP_SEARCH_FILTER, 0, false, NULL },
};

struct build {
	struct imap_parser *in;
	struct imap_search_command *command;
	size_t keys;
	bool fuzzy;		/* within a FUZZY key */
};

static bool take_key(struct build *, unsigned depth, struct imap_search_key **);

static struct imap_search_key *
new_key(struct build *b, enum imap_search_kind kind)
{
	struct imap_search_key *key = NULL;

	if (++b->keys <= IMAP_SEARCH_KEYS_MAX)
		key = arena_alloc(b->in->arena, sizeof(*key));
	if (key == NULL)
		imap_parse_fail(b->in, "Too many search keys");
	else
		*key = (struct imap_search_key){ .kind = kind,
		    .fuzzy = b->fuzzy };
	return key;
}

/* NOT key. */
static struct imap_search_key *
negate(struct build *b, struct imap_search_key *key)
{
	struct imap_search_key *not = new_key(b, IMAP_SEARCH_NOT);

	if (not != NULL)
		not->list = key;
	return not;
}

/* NEW is RECENT UNSEEN. */
static bool
fill_new(struct build *b, struct imap_search_key *key)
{
	struct imap_search_key *recent = new_key(b, IMAP_SEARCH_FLAGS);
	struct imap_search_key *seen = new_key(b, IMAP_SEARCH_FLAGS);

	if (recent == NULL || seen == NULL)
		return false;
	recent->flags = IMAP_FLAG_RECENT;
	seen->flags = FLAG_SEEN;
	key->list = recent;
	recent->next = negate(b, seen);
	return recent->next != NULL;
}

/* RFC 9738: UIDAFTER and UIDBEFORE; neither holds the UID itself. */
static bool
fill_bound(struct build *b, struct imap_search_key *key)
{
	struct imap_range *range = arena_alloc(b->in->arena, sizeof(*range));
	bool after = key->flags != 0;
	uint32_t uid;

	key->flags = 0;
	if (range == NULL || !imap_parse_nz_u32(b->in, &uid))
		return false;
	if (after ? uid >= UINT32_MAX - 1 : uid == 1)
		return true;	/* the set stays empty */
	*range = after ? (struct imap_range){ uid + 1, UINT32_MAX - 1 }
	    : (struct imap_range){ 1, uid - 1 };
	key->set = (struct imap_set){ .ranges = range, .count = 1 };
	return true;
}

/* RFC 7162 3.1.5: the entry and its type may come before the number. */
static bool
fill_modseq(struct build *b, struct imap_search_key *key)
{
	struct span word;

	b->command->has_modseq = true;
	if (imap_parse_peek(b->in) == '"' &&
	    (!imap_parse_string(b->in, &word) || !imap_parse_space(b->in) ||
	    !imap_parse_atom(b->in, &word) || !imap_parse_space(b->in)))
		return false;
	return imap_parse_u63(b->in, &key->number);
}

static bool
fill_interval(struct build *b, struct imap_search_key *key)
{
	uint32_t seconds;

	if (!imap_parse_nz_u32(b->in, &seconds))
		return false;
	key->number = seconds;
	return true;
}

static bool
fill_field(struct build *b, struct imap_search_key *key)
{
	return imap_parse_astring(b->in, &key->name) &&
	    imap_parse_space(b->in) && imap_parse_astring(b->in, &key->text);
}

/* RFC 6203: the keys within are taken for what they mean. */
static bool
fill_fuzzy(struct build *b, unsigned depth, struct imap_search_key *key)
{
	bool outside = b->fuzzy, taken;

	b->fuzzy = b->command->has_fuzzy = true;
	taken = take_key(b, depth + 1, &key->list);
	b->fuzzy = outside;
	return taken;
}

/* RFC 5466: atom characters but "/". */
static bool
fill_name(struct build *b, struct imap_search_key *key)
{
	return imap_parse_atom(b->in, &key->text) &&
	    (span_find_char(key->text, '/', 0) == SIZE_MAX ||
	    imap_parse_fail(b->in, "A filter's name has no \"/\""));
}

static bool
fill_two(struct build *b, unsigned depth, struct imap_search_key *key)
{
	return take_key(b, depth + 1, &key->list) && imap_parse_space(b->in) &&
	    take_key(b, depth + 1, &key->list->next);
}

/* What stands behind the key's name. */
static bool
fill(struct build *b, const struct row *row, unsigned depth,
    struct imap_search_key *key)
{
	struct imap_parser *in = b->in;

	if (row->argument == NOTHING)
		return true;
	if (row->argument == NEW_KEY)
		return fill_new(b, key);
	if (!imap_parse_space(in))
		return false;
	switch (row->argument) {
	case TEXT:
		key->name = span_str(row->field);
		return imap_parse_astring(in, &key->text);
	case FIELD:
		return fill_field(b, key);
	case DAY:
		return imap_parse_day(in, &key->day);
	case NUMBER:
		return imap_parse_u63(in, &key->number);
	case INTERVAL:
		return fill_interval(b, key);
	case KEYWORD:
	case OBJECT:
		return imap_parse_atom(in, &key->text);
	case UIDS:
		return imap_parse_set(in, &key->set);
	case BOUND:
		return fill_bound(b, key);
	case MODSEQ:
		return fill_modseq(b, key);
	case FUZZY_KEY:
		return fill_fuzzy(b, depth, key);
	case NAME:
		return fill_name(b, key);
	case ONE_KEY:
		return take_key(b, depth + 1, &key->list);
	default:
		return fill_two(b, depth, key);
	}
}

/* Keys with spaces between, up to ")" or the end. */
static bool
take_keys(struct build *b, unsigned depth, struct imap_search_key **first)
{
	struct imap_search_key **last = first;

	do {
		if (!take_key(b, depth, last))
			return false;
		last = &(*last)->next;
	} while (imap_parse_next(b->in, ' '));
	return true;
}

static bool
take_list(struct build *b, unsigned depth, struct imap_search_key **out)
{
	*out = new_key(b, IMAP_SEARCH_AND);
	imap_parse_next(b->in, '(');
	return *out != NULL && take_keys(b, depth + 1, &(*out)->list) &&
	    imap_parse_char(b->in, ')');
}

static bool
take_named(struct build *b, unsigned depth, struct imap_search_key **out)
{
	struct span word;
	size_t i;

	if (!imap_parse_atom(b->in, &word))
		return false;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (span_is_nocase(word, rows[i].name))
			break;
	if (i == ARRAY_LEN(rows))
		return imap_parse_fail(b->in, "Unknown search key");
	if ((*out = new_key(b, rows[i].kind)) == NULL)
		return false;
	(*out)->flags = rows[i].flags;
	if (!fill(b, &rows[i], depth, *out))
		return false;
	if (rows[i].negated)
		*out = negate(b, *out);
	return *out != NULL;
}

static bool
take_key(struct build *b, unsigned depth, struct imap_search_key **out)
{
	int c = imap_parse_peek(b->in);

	if (depth >= IMAP_SEARCH_DEPTH_MAX)
		return imap_parse_fail(b->in, "Search keys too deep");
	if (c == '(')
		return take_list(b, depth, out);
	if (c == '*' || c == '$' || (c >= '0' && c <= '9')) {
		*out = new_key(b, IMAP_SEARCH_SEQUENCE);
		if (*out == NULL || !imap_parse_set(b->in, &(*out)->set))
			return false;
		if (!(*out)->set.saved)
			b->command->has_numbers = true;
		return true;
	}
	return take_named(b, depth, out);
}

bool
imap_parse_keys(struct imap_parser *in, struct imap_search_command *c)
{
	struct build b = { .in = in, .command = c };

	c->root = new_key(&b, IMAP_SEARCH_AND);
	return c->root != NULL && take_keys(&b, 0, &c->root->list);
}
