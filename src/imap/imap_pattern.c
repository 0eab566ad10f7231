/*
 * imap_pattern.c - the names of an account as a tree, and LIST's wildcards.
 */
#include "imap/imap_pattern.h"

#include <stdlib.h>

#include "imap/imap_parse.h"
#include "ipc/wire.h"
#include "mail/encode.h"

/* How many bytes at the beginning match in any case: INBOX itself. */
static size_t
caseless_prefix(struct span name)
{
	return span_starts(name, SPAN("INBOX")) &&
	    (name.n == 5 || name.p[5] == '/') ? 5 : 0;
}

/*
 * After i bytes of the name, reached[j] says whether the first j bytes of the
 * pattern match them. Time is the product of the lengths, whatever the
 * pattern.
 */
bool
imap_pattern_matches(struct span pattern, struct span name)
{
	bool reached[IMAP_PATTERN_MAX + 1] = { true };
	size_t caseless = caseless_prefix(name);

	if (pattern.n > IMAP_PATTERN_MAX)
		return false;
	for (size_t j = 0; j < pattern.n; j++)
		reached[j + 1] = reached[j] &&
		    (pattern.p[j] == '*' || pattern.p[j] == '%');
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool before = reached[0];

		reached[0] = false;
		for (size_t j = 0; j < pattern.n; j++) {
			bool old = reached[j + 1];
			char p = pattern.p[j];

			if (p == '*' || p == '%')
				reached[j + 1] = reached[j] ||
				    (old && (p == '*' || c != '/'));
			else
				reached[j + 1] = before && (p == c ||
				    (i < caseless && ascii_upper(p) == c));
			before = old;
		}
	}
	return reached[pattern.n];
}

/* Bytewise, but '/' before everything: a tree in depth-first order. */
static int
compare(const void *a, const void *b)
{
	const struct imap_name *x = a, *y = b;
	size_t n = MIN(x->name.n, y->name.n);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)x->name.p[i];
		unsigned char d = (unsigned char)y->name.p[i];

		if (c != d)
			return c == '/' ? -1 : d == '/' ? 1 : c < d ? -1 : 1;
	}
	return (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static bool
is_below(struct span name, struct span parent)
{
	return name.n > parent.n && name.p[parent.n] == '/' &&
	    span_starts(name, parent);
}

struct list {
	struct imap_name *names;
	size_t count, room;
	struct arena *arena;
};

static struct imap_name *
add(struct list *list, struct span name)
{
	size_t room = list->room == 0 ? 16 : list->room * 2;
	struct imap_name *grown;

	if (list->count == list->room) {
		grown = arena_grow(list->arena, list->names,
		    list->room * sizeof(*grown), room * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		list->names = grown;
		list->room = room;
	}
	list->names[list->count] = (struct imap_name){ .name = name,
	    .sent = name, .parent = SIZE_MAX };
	return &list->names[list->count++];
}

static int
read_rows(struct span rows, struct list *list)
{
	struct cursor at = { .rest = rows };
	struct mailbox_row row;
	struct imap_name *name;
	int status;

	while ((status = mailbox_row_get(&at, &row)) == 1) {
		if ((name = add(list, row.name)) == NULL)
			return -1;
		name->mailbox = row.mailbox;
		name->use = row.use;
		name->rights = row.rights;
		name->subscribed = row.subscribed != 0;
	}
	return status == 0 ? 1 : 0;
}

/* Parents that are no mailboxes get rows of their own. */
static int
add_with_parents(struct list *list, const struct imap_name *name)
{
	struct imap_name *copy;
	size_t parent = list->count - 1;	/* SIZE_MAX for the first */

	while (parent != SIZE_MAX &&
	    !is_below(name->name, list->names[parent].name))
		parent = list->names[parent].parent;
	for (size_t i = parent == SIZE_MAX ? 0
	    : list->names[parent].name.n + 1;
	    (i = span_find_char(name->name, '/', i)) != SIZE_MAX; i++) {
		if ((copy = add(list, span_sub(name->name, 0, i))) == NULL)
			return -1;
		copy->parent = parent;
		parent = list->count - 1;
	}
	if ((copy = add(list, name->name)) == NULL)
		return -1;
	*copy = *name;
	copy->parent = parent;
	return 1;
}

static int
finish(struct list *list)
{
	for (size_t i = list->count; i-- > 0;) {
		struct imap_name *name = &list->names[i], *up;

		if (!utf8_is_ascii(name->name) ||
		    span_find_char(name->name, '&', 0) != SIZE_MAX)
			name->sent = imap_name_encode(name->name, list->arena);
		if (name->sent.p == NULL)
			return -1;
		if (name->parent == SIZE_MAX)
			continue;
		up = &list->names[name->parent];
		up->mailbox_below |= name->mailbox_below || name->mailbox != 0;
		up->subscribed_below |= name->subscribed_below ||
		    name->subscribed;
		up->use_below |= name->use_below || name->use != 0;
	}
	return 1;
}

int
imap_names_read(struct span rows, struct arena *arena, struct imap_names *out)
{
	struct list flat = { .arena = arena }, tree = { .arena = arena };
	int status;

	if ((status = read_rows(rows, &flat)) != 1)
		return status;
	if (flat.count > 1)
		qsort(flat.names, flat.count, sizeof(*flat.names), compare);
	for (size_t i = 0; i < flat.count; i++)
		if (add_with_parents(&tree, &flat.names[i]) != 1)
			return -1;
	*out = (struct imap_names){ tree.names, tree.count };
	return finish(&tree);
}

void
imap_names_utf8(struct imap_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		names->names[i].sent = names->names[i].name;
}
