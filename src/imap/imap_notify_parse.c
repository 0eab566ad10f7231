/*
 * imap_notify_parse.c - the arguments of NOTIFY.
 *
 * What section 5 demands of events that go together is seen to here as well.
 */
#include "imap/imap_notify_parse.h"

static const struct {
	const char *name;
	unsigned event;
} events[] = {
	{ "MessageNew", NOTIFY_MESSAGE_NEW },
	{ "MessageExpunge", NOTIFY_MESSAGE_EXPUNGE },
	{ "FlagChange", NOTIFY_FLAG_CHANGE },
	{ "AnnotationChange", NOTIFY_ANNOTATION_CHANGE },
	{ "MailboxName", NOTIFY_MAILBOX_NAME },
	{ "SubscriptionChange", NOTIFY_SUBSCRIPTION },
	{ "MailboxMetadataChange", NOTIFY_MAILBOX_METADATA },
	{ "ServerMetadataChange", NOTIFY_SERVER_METADATA },
};

static const char *const filters[NOTIFY_FILTERS] = {
	[NOTIFY_SELECTED] = "SELECTED",
	[NOTIFY_SELECTED_DELAYED] = "SELECTED-DELAYED",
	[NOTIFY_INBOXES] = "INBOXES",
	[NOTIFY_PERSONAL] = "PERSONAL",
	[NOTIFY_SUBSCRIBED] = "SUBSCRIBED",
	[NOTIFY_SUBTREE] = "SUBTREE",
	[NOTIFY_MAILBOXES] = "MAILBOXES",
};

static bool
is_selected(const struct imap_notify_group *g)
{
	return g->filter == NOTIFY_SELECTED ||
	    g->filter == NOTIFY_SELECTED_DELAYED;
}

/* ---- the list of items behind MessageNew ------------------------------------ */

/* The bytes of one string, quoted or literal, that stands at the front. */
static bool
skip_string(struct imap_parser *in)
{
	struct span string;

	return imap_parse_string8(in, &string);
}

/*
 * From "(" to the ")" that belongs to it, as it stands; what is in it FETCH's
 * own parser will say.
 */
static bool
take_items(struct imap_parser *in, struct span *items)
{
	struct span from = in->rest;
	size_t depth = 0;

	do {
		switch (imap_parse_peek(in)) {
		case -1: case '\r': case '\n':
			return imap_parse_fail(in, "\")\" expected");
		case '"': case '{': case '~':
			if (!skip_string(in))
				return false;
			continue;
		case '(':
			depth++;
			break;
		case ')':
			depth--;
			break;
		default:
			break;
		}
		in->rest = span_from(in->rest, 1);
	} while (depth > 0);
	*items = span_of(from.p, from.n - in->rest.n);
	return true;
}

/* ---- events ------------------------------------------------------------------ */

static bool
take_event(struct imap_parser *in, struct imap_notify_wish *w,
    struct imap_notify_group *g)
{
	struct span word;
	unsigned event = 0;

	if (!imap_parse_atom(in, &word))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (span_is_nocase(word, events[i].name))
			event = events[i].event;
	if (event == 0)
		w->unknown = true;
	g->events |= event;
	if (event != NOTIFY_MESSAGE_NEW || in->rest.n < 2 ||
	    in->rest.p[0] != ' ' || in->rest.p[1] != '(')
		return true;
	if (!is_selected(g))
		return imap_parse_fail(in,
		    "Items are for the selected mailbox alone");
	return imap_parse_space(in) && take_items(in, &g->fetch);
}

/* RFC 5465 section 5: new ones and expunged ones go together, and flags come
 * with both. */
static bool
check_events(struct imap_parser *in, const struct imap_notify_group *g)
{
	const unsigned both = NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE;

	if ((g->events & NOTIFY_OF_MESSAGES) != 0 &&
	    (g->events & both) != both)
		return imap_parse_fail(in,
		    "MessageNew and MessageExpunge belong together");
	if (is_selected(g) &&
	    (g->events & ~(unsigned)NOTIFY_OF_MESSAGES) != 0)
		return imap_parse_fail(in,
		    "Only events of messages for the selected mailbox");
	return true;
}

static bool
take_events(struct imap_parser *in, struct imap_notify_wish *w,
    struct imap_notify_group *g)
{
	struct span word;

	if (imap_parse_peek(in) != '(')
		return imap_parse_atom(in, &word) &&
		    (span_is_nocase(word, "NONE") ||
		    imap_parse_fail(in, "Events, or NONE, expected"));
	imap_parse_next(in, '(');
	do {
		if (!take_event(in, w, g))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && check_events(in, g);
}

/* ---- mailboxes ---------------------------------------------------------------- */

static bool
take_name(struct imap_parser *in, struct imap_notify_group *g)
{
	if (g->count == NOTIFY_NAMES_MAX)
		return imap_parse_fail(in, "Too many mailboxes");
	if (g->names == NULL)
		g->names = arena_alloc(in->arena,
		    NOTIFY_NAMES_MAX * sizeof(*g->names));
	if (g->names == NULL)
		return imap_parse_fail(in, "Command too large");
	return imap_parse_astring(in, &g->names[g->count++]);
}

static bool
take_names(struct imap_parser *in, struct imap_notify_group *g)
{
	if (!imap_parse_space(in))
		return false;
	if (!imap_parse_next(in, '('))
		return take_name(in, g);
	do {
		if (!take_name(in, g))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')');
}

static bool
take_filter(struct imap_parser *in, struct imap_notify_group *g)
{
	struct span word;
	size_t i;

	if (!imap_parse_atom(in, &word))
		return false;
	for (i = 0; i < NOTIFY_FILTERS; i++)
		if (span_is_nocase(word, filters[i]))
			break;
	if (i == NOTIFY_FILTERS)
		return imap_parse_fail(in, "Unknown set of mailboxes");
	g->filter = (enum imap_notify_filter)i;
	return (g->filter != NOTIFY_SUBTREE &&
	    g->filter != NOTIFY_MAILBOXES) || take_names(in, g);
}

/* ---- the command ------------------------------------------------------------- */

/* Section 6.1: one of the two, and once. */
static bool
check_selected(struct imap_parser *in, const struct imap_notify_wish *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->count; i++)
		n += is_selected(&w->groups[i]);
	return n <= 1 || imap_parse_fail(in,
	    "Only once for the selected mailbox");
}

static bool
take_group(struct imap_parser *in, struct imap_notify_wish *w)
{
	struct imap_notify_group *g;

	if (w->count == NOTIFY_GROUPS_MAX)
		return imap_parse_fail(in, "Too many groups of events");
	g = &w->groups[w->count++];
	*g = (struct imap_notify_group){ 0 };
	return imap_parse_char(in, '(') && take_filter(in, g) &&
	    imap_parse_space(in) && take_events(in, w, g) &&
	    imap_parse_char(in, ')');
}

static bool
take_set(struct imap_parser *in, struct imap_notify_wish *w)
{
	struct span word;

	w->groups = arena_alloc(in->arena,
	    NOTIFY_GROUPS_MAX * sizeof(*w->groups));
	if (w->groups == NULL)
		return imap_parse_fail(in, "Command too large");
	if (!imap_parse_space(in))
		return false;
	if (imap_parse_peek(in) != '(') {
		if (!imap_parse_atom(in, &word))
			return false;
		if (!span_is_nocase(word, "STATUS"))
			return imap_parse_fail(in, "\"(\" expected");
		w->status = true;
		if (!imap_parse_space(in))
			return false;
	}
	do {
		if (!take_group(in, w))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_end(in) && check_selected(in, w);
}

bool
imap_parse_notify(struct imap_parser *in, struct imap_notify_wish *w)
{
	struct span word;

	*w = (struct imap_notify_wish){ 0 };
	if (!imap_parse_space(in) || !imap_parse_atom(in, &word))
		return false;
	if (span_is_nocase(word, "SET"))
		return take_set(in, w);
	w->none = true;
	return span_is_nocase(word, "NONE") ? imap_parse_end(in)
	    : imap_parse_fail(in, "SET or NONE expected");
}
