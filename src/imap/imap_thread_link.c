/*
 * imap_thread_link.c - who answers whom: step 1 of REFERENCES (RFC 5256).
 *
 * A link must not close a loop. Trees that were never joined cannot, and a
 * table of joined ones (union-find) says so at once; only within one tree the
 * ancestors are walked. Such walks are rare in mail; together they may take a
 * number of steps that grows with the messages, beyond which the links that
 * would need one are not made. So hostile references cost no more than others.
 */
#include "imap/imap_thread_impl.h"

#include <stdlib.h>

enum { STEPS_PER_NODE = 64 };

struct linker {
	uint32_t *parent, *joined;	/* by node */
	uint64_t *ids;
	size_t nodes, room;
	uint32_t *slots;		/* node + 1 by id; 0: free */
	unsigned shift;			/* 64 less the bits of the table */
	uint64_t factor;
	size_t steps;			/* that walks may still take */
};

static uint32_t
add_node(struct linker *l, uint64_t id)
{
	must(l->nodes < l->room && l->nodes < NOBODY);
	l->parent[l->nodes] = NOBODY;
	l->joined[l->nodes] = (uint32_t)l->nodes;
	l->ids[l->nodes] = id;
	return (uint32_t)l->nodes++;
}

/* Where an id stands in the table, or would. */
static size_t
place(const struct linker *l, uint64_t id)
{
	size_t mask = (SIZE_MAX >> l->shift), at = (id * l->factor) >> l->shift;

	while (l->slots[at] != 0 && l->ids[l->slots[at] - 1] != id)
		at = (at + 1) & mask;
	return at;
}

static uint32_t
node_of(struct linker *l, uint64_t id)
{
	size_t at = place(l, id);

	if (l->slots[at] == 0)
		l->slots[at] = add_node(l, id) + 1;
	return l->slots[at] - 1;
}

static uint32_t
tree_of(struct linker *l, uint32_t node)
{
	while (l->joined[node] != node) {
		l->joined[node] = l->joined[l->joined[node]];
		node = l->joined[node];
	}
	return node;
}

/* Is `above` an ancestor of the node, or itself? In doubt: yes. */
static bool
is_below(struct linker *l, uint32_t node, uint32_t above)
{
	if (tree_of(l, node) != tree_of(l, above))
		return false;
	for (; node != NOBODY && node != above; node = l->parent[node]) {
		if (l->steps == 0)
			return true;
		l->steps--;
	}
	return node == above;
}

static void
link_to(struct linker *l, uint32_t child, uint32_t parent)
{
	if (is_below(l, parent, child))
		return;
	l->parent[child] = parent;
	l->joined[tree_of(l, child)] = tree_of(l, parent);
}

/* (A) each reference is the parent of the one behind it, unless one has a
 * parent already; (B) the last one is the message's. */
static void
link_message(struct linker *l, uint32_t node, const uint64_t *links, size_t n)
{
	uint32_t before = NOBODY, now;

	for (size_t i = 0; i < n; i++) {
		if (links[i] == 0)
			continue;
		now = node_of(l, links[i]);
		if (before != NOBODY && now != before &&
		    l->parent[now] == NOBODY)
			link_to(l, now, before);
		before = now;
	}
	if (before == l->parent[node])
		return;
	l->parent[node] = NOBODY;
	if (before != NOBODY && before != node)
		link_to(l, node, before);
}

static void
begin(struct linker *l, size_t most, size_t messages, uint64_t secret)
{
	unsigned bits = 6;

	while (bits < 40 && (UINT64_C(1) << bits) < (uint64_t)most * 2)
		bits++;
	*l = (struct linker){ .room = most, .shift = 64 - bits,
	    .factor = secret | 1,
	    .steps = STEPS_PER_NODE * messages + 4096 };
	l->parent = xcalloc(most + 1, sizeof(*l->parent));
	l->joined = xcalloc(most + 1, sizeof(*l->joined));
	l->ids = xcalloc(most + 1, sizeof(*l->ids));
	l->slots = xcalloc((size_t)1 << bits, sizeof(*l->slots));
}

/* Of messages with the same id the first has it. */
static void
add_messages(struct linker *l, const struct imap_thread_message *messages,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t node = add_node(l, messages[i].id);
		size_t at;

		if (messages[i].id == 0)
			continue;
		at = place(l, messages[i].id);
		if (l->slots[at] == 0)
			l->slots[at] = node + 1;
	}
}

size_t
imap_thread_link(const struct imap_thread_message *messages, size_t count,
    const uint64_t *links, uint64_t secret, uint32_t **parent)
{
	struct linker l;
	size_t most = count;

	for (size_t i = 0; i < count; i++)
		most += messages[i].links;
	begin(&l, most, count, secret);
	add_messages(&l, messages, count);
	for (size_t i = 0; i < count; i++)
		link_message(&l, (uint32_t)i, links + messages[i].links_at,
		    messages[i].links);
	free(l.joined);
	free(l.ids);
	free(l.slots);
	*parent = l.parent;
	return l.nodes;
}
