/*
 * imap_thread.c - messages become threads: ORDEREDSUBJECT, REFERENCES, REFS.
 *
 * Siblings are put in order by sorting all messages once and handing out
 * children in that order. REFS is REFERENCES without subjects, its threads
 * ordered by the latest arrival (draft-ietf-morg-inthread, 4).
 */
#include "imap/imap_thread_impl.h"

#include <stdlib.h>

#include "imap/imap_sort.h"

/* -- the forest ---- */

void
imap_thread_detach(struct imap_thread *t)
{
	memset(t->first, 0xff, t->nodes * sizeof(*t->first));
	memset(t->last, 0xff, t->nodes * sizeof(*t->last));
	memset(t->next, 0xff, t->nodes * sizeof(*t->next));
	t->root = t->root_last = NOBODY;
}

void
imap_thread_append(struct imap_thread *t, uint32_t parent, uint32_t node)
{
	uint32_t *first = parent == NOBODY ? &t->root : &t->first[parent];
	uint32_t *last = parent == NOBODY ? &t->root_last : &t->last[parent];

	t->parent[node] = parent;
	t->next[node] = NOBODY;
	if (*last == NOBODY)
		*first = node;
	else
		t->next[*last] = node;
	*last = node;
}

/* A forest around parent[], which becomes its own; room for `more` nodes. */
static struct imap_thread *
forest_new(const struct imap_thread_message *messages, size_t count,
    size_t nodes, size_t more, uint32_t *parent)
{
	struct imap_thread *t = xcalloc(1, sizeof(*t));
	size_t room = nodes + more + 1;

	t->count = count;
	t->nodes = nodes;
	t->parent = xrealloc(parent, room * sizeof(*t->parent));
	t->first = xcalloc(room, sizeof(*t->first));
	t->last = xcalloc(room, sizeof(*t->last));
	t->next = xcalloc(room, sizeof(*t->next));
	t->numbers = xcalloc(count + 1, sizeof(*t->numbers));
	for (size_t i = 0; i < count; i++)
		t->numbers[i] = messages[i].number;
	imap_thread_detach(t);
	return t;
}

void
imap_thread_free(struct imap_thread **t)
{
	if (*t == NULL)
		return;
	free((*t)->parent);
	free((*t)->first);
	free((*t)->last);
	free((*t)->next);
	free((*t)->numbers);
	free(*t);
	*t = NULL;
}

/* -- order ---- */

/* Messages by their sent date, those of the same in their own order. */
static uint32_t *
order_by_date(const struct imap_thread_message *messages, size_t count)
{
	uint32_t *order = xcalloc(count + 1, sizeof(*order));
	uint32_t *scratch = xcalloc(count + 1, sizeof(*scratch));
	uint64_t *keys = xcalloc(count + 1, sizeof(*keys));

	for (size_t i = 0; i < count; i++) {
		order[i] = (uint32_t)i;
		keys[i] = imap_sort_signed(messages[i].sent);
	}
	imap_sort_by(order, count, keys, false, scratch);
	free(keys);
	free(scratch);
	return order;
}

/* -- ORDEREDSUBJECT ---- */

/* The first message of a subject, by date, has all others as its children. */
static struct imap_thread *
by_subject(const struct imap_thread_message *messages, size_t count)
{
	uint32_t *order = order_by_date(messages, count), *heads;
	struct imap_thread *t;
	uint32_t most = 0;

	for (size_t i = 0; i < count; i++)
		most = MAX(most, messages[i].subject);
	heads = xcalloc((size_t)most + 1, sizeof(*heads));
	memset(heads, 0xff, ((size_t)most + 1) * sizeof(*heads));
	t = forest_new(messages, count, count, 0, NULL);
	for (size_t i = 0; i < count; i++) {
		uint32_t subject = messages[order[i]].subject;

		imap_thread_append(t, heads[subject], order[i]);
		if (heads[subject] == NOBODY)
			heads[subject] = order[i];
	}
	free(heads);
	free(order);
	return t;
}

/* -- REFERENCES (2) to (4) ---- */

/*
 * The nearest message above each node, or the topmost dummy. `up` is known
 * for what was asked before: chains of dummies are walked once.
 */
static uint32_t
nearest(const struct imap_thread *t, uint32_t *up, uint32_t node)
{
	uint32_t at = node, above, next;

	while (at >= t->count && up[at] == NOBODY && t->parent[at] != NOBODY)
		at = t->parent[at];
	above = at >= t->count && up[at] != NOBODY ? up[at] : at;
	for (at = node; at != above && at >= t->count; at = next) {
		next = up[at] != NOBODY ? above : t->parent[at];
		up[at] = above;
	}
	return above;
}

/*
 * (2), (3): dummies go and their children take their place, but for a dummy
 * at the top that holds several together. Children come in order of date (6).
 */
static void
prune(struct imap_thread *t, const uint32_t *order)
{
	uint32_t *up = xcalloc(t->nodes + 1, sizeof(*up));
	uint32_t *above = xcalloc(t->count + 1, sizeof(*above));
	uint32_t *held = xcalloc(t->nodes + 1, sizeof(*held));

	memset(up, 0xff, t->nodes * sizeof(*up));
	for (size_t i = 0; i < t->count; i++) {
		above[i] = t->parent[i] == NOBODY ? NOBODY :
		    nearest(t, up, t->parent[i]);
		if (above[i] != NOBODY && above[i] >= t->count)
			held[above[i]]++;
	}
	imap_thread_detach(t);
	for (size_t i = 0; i < t->count; i++) {
		uint32_t node = order[i], dummy = above[node];

		if (dummy == NOBODY || dummy < t->count) {
			imap_thread_append(t, dummy, node);
		} else if (held[dummy] == 1) {
			imap_thread_append(t, NOBODY, node);
		} else {
			if (t->first[dummy] == NOBODY)
				imap_thread_append(t, NOBODY, dummy);
			imap_thread_append(t, dummy, node);
		}
	}
	free(held);
	free(above);
	free(up);
}

/* -- REFERENCES (5): threads of the same subject ---- */

struct subjects {
	struct imap_thread *t;
	const struct imap_thread_message *messages;
	uint32_t *table;	/* the thread of each subject */
};

/* The message that speaks for a thread. */
static uint32_t
speaker(const struct imap_thread *t, uint32_t node)
{
	return node < t->count ? node : t->first[node];
}

static uint32_t
subject_of(const struct subjects *s, uint32_t node)
{
	return s->messages[speaker(s->t, node)].subject;
}

static bool
is_dummy(const struct subjects *s, uint32_t node)
{
	return node >= s->t->count;
}

static bool
is_reply(const struct subjects *s, uint32_t node)
{
	return s->messages[speaker(s->t, node)].is_reply;
}

/* (5.B): does this thread stand better for its subject? */
static bool
is_better(const struct subjects *s, uint32_t node, uint32_t old)
{
	return !is_dummy(s, old) && (is_dummy(s, node) ||
	    (is_reply(s, old) && !is_reply(s, node)));
}

static void
fill_table(struct subjects *s)
{
	for (uint32_t n = s->t->root; n != NOBODY; n = s->t->next[n]) {
		uint32_t subject = subject_of(s, n);

		if (subject != 0 && (s->table[subject] == NOBODY ||
		    is_better(s, n, s->table[subject])))
			s->table[subject] = n;
	}
}

/* (5.C): under whom a thread goes; NOBODY: it stays. parent[] alone is set,
 * children are handed out anew afterwards. */
static void
merge(struct subjects *s, uint32_t node)
{
	struct imap_thread *t = s->t;
	uint32_t subject = subject_of(s, node), old = s->table[subject];
	uint32_t dummy;

	if (subject == 0 || old == node)
		return;
	if (is_dummy(s, old) && is_dummy(s, node)) {
		for (uint32_t n = t->first[node]; n != NOBODY; n = t->next[n])
			t->parent[n] = old;
		t->first[node] = NOBODY;
	} else if (is_dummy(s, old) ||
	    (is_reply(s, node) && !is_reply(s, old))) {
		t->parent[node] = old;
	} else {
		dummy = (uint32_t)t->nodes++;
		t->parent[dummy] = NOBODY;
		t->first[dummy] = old;		/* it speaks for them */
		t->parent[old] = t->parent[node] = dummy;
		s->table[subject] = dummy;
	}
}

static void
gather_subjects(struct imap_thread *t,
    const struct imap_thread_message *messages)
{
	struct subjects s = { .t = t, .messages = messages };
	uint32_t most = 0, next;

	for (size_t i = 0; i < t->count; i++)
		most = MAX(most, messages[i].subject);
	s.table = xcalloc((size_t)most + 1, sizeof(*s.table));
	memset(s.table, 0xff, ((size_t)most + 1) * sizeof(*s.table));
	fill_table(&s);
	for (uint32_t n = t->root; n != NOBODY; n = next) {
		next = t->next[n];
		merge(&s, n);
	}
	free(s.table);
}

/* -- REFERENCES (6): everything in order ---- */

static void
hand_out(struct imap_thread *t, const uint32_t *order)
{
	imap_thread_detach(t);
	for (size_t i = 0; i < t->count; i++) {
		uint32_t above = t->parent[order[i]];

		/* A dummy stands where its first child does. */
		if (above != NOBODY && above >= t->count &&
		    t->first[above] == NOBODY)
			imap_thread_append(t, NOBODY, above);
		imap_thread_append(t, above, order[i]);
	}
}

/* -- REFS: the latest arrival of each thread ---- */

/* From the last node in order of depth upwards there is no order to rely on:
 * each message walks up to its thread, over marks left by those before. */
static void
find_latest(const struct imap_thread *t,
    const struct imap_thread_message *messages, uint64_t *latest)
{
	uint32_t *top = xcalloc(t->nodes + 1, sizeof(*top));

	memset(top, 0xff, t->nodes * sizeof(*top));
	for (size_t i = 0; i < t->count; i++) {
		uint32_t at = (uint32_t)i, root, next;
		uint64_t arrived = imap_sort_signed(messages[i].arrived);

		while (top[at] == NOBODY && t->parent[at] != NOBODY)
			at = t->parent[at];
		root = top[at] != NOBODY ? top[at] : at;
		for (at = (uint32_t)i; top[at] == NOBODY; at = next) {
			top[at] = root;
			if ((next = t->parent[at]) == NOBODY)
				break;
		}
		latest[root] = MAX(latest[root], arrived);
	}
	free(top);
}

static void
order_by_arrival(struct imap_thread *t,
    const struct imap_thread_message *messages)
{
	uint64_t *latest = xcalloc(t->nodes + 1, sizeof(*latest));
	uint32_t *roots = xcalloc(t->nodes + 1, sizeof(*roots));
	uint32_t *scratch = xcalloc(t->nodes + 1, sizeof(*scratch));
	size_t n = 0;

	find_latest(t, messages, latest);
	for (uint32_t node = t->root; node != NOBODY; node = t->next[node])
		roots[n++] = node;
	imap_sort_by(roots, n, latest, false, scratch);
	t->root = t->root_last = NOBODY;
	for (size_t i = 0; i < n; i++)
		imap_thread_append(t, NOBODY, roots[i]);
	free(scratch);
	free(roots);
	free(latest);
}

static struct imap_thread *
by_references(enum imap_thread_kind kind,
    const struct imap_thread_message *messages, size_t count,
    const uint64_t *links, uint64_t secret)
{
	uint32_t *order = order_by_date(messages, count), *parent;
	size_t nodes = imap_thread_link(messages, count, links, secret,
	    &parent);
	struct imap_thread *t = forest_new(messages, count, nodes, count,
	    parent);

	prune(t, order);
	if (kind == IMAP_THREAD_REFS) {
		order_by_arrival(t, messages);
	} else {
		gather_subjects(t, messages);
		hand_out(t, order);
	}
	free(order);
	return t;
}

struct imap_thread *
imap_thread_build(enum imap_thread_kind kind,
    const struct imap_thread_message *messages, size_t count,
    const uint64_t *links, uint64_t secret)
{
	struct imap_thread *t;

	must(count < NOBODY / 4);
	t = kind == IMAP_THREAD_ORDERED_SUBJECT ? by_subject(messages, count)
	    : by_references(kind, messages, count, links, secret);
	t->at = t->root;
	return t;
}

/* -- the answer ---- */

/* Does it stand in parentheses of its own? A thread, or one of several. */
static bool
is_branch(const struct imap_thread *t, uint32_t node)
{
	uint32_t parent = t->parent[node];

	return parent == NOBODY || t->first[parent] != t->last[parent];
}

/* The node that follows in the answer, closing what ends before it. */
static uint32_t
leave(const struct imap_thread *t, uint32_t node, struct text *out)
{
	for (; node != NOBODY; node = t->parent[node]) {
		if (is_branch(t, node))
			text_char(out, ')');
		if (t->next[node] != NOBODY)
			return t->next[node];
	}
	return NOBODY;
}

bool
imap_thread_write(struct imap_thread *t, struct text *out, size_t enough)
{
	while (t->at != NOBODY && out->n < enough) {
		uint32_t node = t->at;

		if (is_branch(t, node))
			text_char(out, '(');
		if (node < t->count)
			text_u64(out, t->numbers[node]);
		if (t->first[node] == NOBODY) {
			t->at = leave(t, node, out);
			continue;
		}
		t->at = t->first[node];
		if (node < t->count)
			text_char(out, ' ');
	}
	return t->at != NOBODY;
}
