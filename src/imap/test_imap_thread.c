/* test_imap_thread.c - threads, beside the steps of RFC 5256 taken slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap/imap_thread.h"

/* -- short ways to say messages ---- */

struct said {
	uint64_t id;
	const uint64_t *refs;		/* ended by 0 */
	int64_t sent, arrived;
	uint32_t subject;
	bool reply;
};
#define SECRET 0x9e3779b97f4a7c15
#define REFS(...) ((const uint64_t[]){ __VA_ARGS__, 0 })

static struct text
thread(enum imap_thread_kind kind, const struct said *said, size_t n)
{
	struct imap_thread_message *m = calloc(n + 1, sizeof(*m));
	uint64_t *links = calloc(n * 100 + 1, sizeof(*links));
	struct text out = TEXT_INIT(0);
	struct imap_thread *t;
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		m[i] = (struct imap_thread_message){
			.number = (uint32_t)i + 1, .subject = said[i].subject,
			.is_reply = said[i].reply, .links_at = at,
			.id = said[i].id, .sent = said[i].sent,
			.arrived = said[i].arrived };
		for (const uint64_t *r = said[i].refs; r != NULL && *r != 0;
		    r++)
			links[at++] = *r;
		m[i].links = (uint32_t)(at - m[i].links_at);
	}
	t = imap_thread_build(kind, m, n, links, SECRET);
	free(m);
	free(links);
	/* Written in small pieces it is the same. */
	for (size_t enough = 1; imap_thread_write(t, &out, enough); enough++)
		;
	imap_thread_free(&t);
	return out;
}

static void
thread_is(enum imap_thread_kind kind, const struct said *said, size_t n,
    const char *want)
{
	struct text got = thread(kind, said, n);

	text_char(&got, '\0');
	assert_string_equal(got.p, want);
	text_free(&got);
}

#define REFERENCES IMAP_THREAD_REFERENCES

static void
test_references(void **state)
{
	const struct said chain[] = {
		{ .id = 10, .sent = 1 },
		{ .id = 11, .refs = REFS(10), .sent = 2 },
		{ .id = 12, .refs = REFS(10, 11), .sent = 3 },
		{ .id = 13, .refs = REFS(10), .sent = 4 },
		{ .id = 14, .sent = 0 },
	};
	const struct said missing[] = {
		{ .id = 1, .refs = REFS(99), .sent = 2 },
		{ .id = 2, .refs = REFS(99, 98), .sent = 1 },
		{ .id = 3, .refs = REFS(97), .sent = 3 },
	};
	const struct said loop[] = {
		{ .id = 1, .refs = REFS(2), .sent = 1 },
		{ .id = 2, .refs = REFS(1), .sent = 2 },
		{ .id = 3, .refs = REFS(3), .sent = 3 },
		{ .id = 4, .refs = REFS(4, 5, 4), .sent = 4 },
	};
	const struct said twins[] = {
		{ .id = 1, .sent = 1 },
		{ .id = 1, .sent = 2 },
		{ .id = 2, .refs = REFS(1), .sent = 3 },
		{ .sent = 4 },
	};

	(void)state;
	thread_is(REFERENCES, chain, 5, "(5)(1 (2 3)(4))");
	thread_is(REFERENCES, chain, 0, "");
	thread_is(REFERENCES, missing, 3, "((2)(1))(3)");
	thread_is(REFERENCES, loop, 4, "(2 1)(3)(4)");
	thread_is(REFERENCES, twins, 4, "(1 3)(2)(4)");
}

static void
test_subjects(void **state)
{
	const struct said said[] = {
		{ .id = 1, .sent = 1, .subject = 7 },
		{ .id = 2, .sent = 2, .subject = 7, .reply = true },
		{ .id = 3, .sent = 3, .subject = 8 },
		{ .id = 4, .sent = 4, .subject = 8 },
		{ .id = 5, .sent = 5 },
		{ .id = 6, .sent = 6 },
		{ .id = 7, .refs = REFS(70), .sent = 7, .subject = 9 },
		{ .id = 8, .refs = REFS(70), .sent = 8, .subject = 9 },
		{ .id = 9, .sent = 9, .subject = 9 },
		{ .id = 10, .refs = REFS(71), .sent = 10, .subject = 9 },
		{ .id = 11, .refs = REFS(71), .sent = 11, .subject = 9 },
	};

	(void)state;
	thread_is(REFERENCES, said, 2, "(1 2)");
	thread_is(REFERENCES, said, 11, "(1 2)((3)(4))(5)(6)"
	    "((7)(8)(9)(10)(11))");
	thread_is(IMAP_THREAD_ORDERED_SUBJECT, said, 11,
	    "(1 2)(3 4)(5 6)(7 (8)(9)(10)(11))");
	thread_is(IMAP_THREAD_REFS, said, 11,
	    "(1)(2)(3)(4)(5)(6)((7)(8))(9)((10)(11))");
}

/* Threads by the latest arrival, what is in them by date. */
static void
test_refs(void **state)
{
	const struct said said[] = {
		{ .id = 1, .sent = 5, .arrived = 1 },
		{ .id = 2, .sent = 4, .arrived = 2, .subject = 1 },
		{ .id = 3, .refs = REFS(1), .sent = 9, .arrived = 3 },
		{ .id = 4, .refs = REFS(1), .sent = 8, .arrived = 4 },
		{ .id = 5, .sent = 1, .arrived = 3, .subject = 1,
		    .reply = true },
	};

	(void)state;
	thread_is(IMAP_THREAD_REFS, said, 5, "(2)(5)(1 (4)(3))");
}

/* -- the steps of RFC 5256, slowly ---- */

enum { BOX = 64 };		/* containers at most */

struct box {
	int message;		/* -1: a dummy */
	uint64_t id;
	int parent;
	int children[BOX];
	size_t n;
};

static struct box boxes[BOX * 4];
static size_t box_count;
static const struct said *slow;

static int
box_of(uint64_t id, int message)
{
	for (size_t i = 0; i < box_count && id != 0; i++)
		if (boxes[i].id == id) {
			if (message < 0)
				return (int)i;
			if (boxes[i].message < 0) {
				boxes[i].message = message;
				return (int)i;
			}
			id = 0;		/* a second one of that id */
		}
	boxes[box_count] = (struct box){ .message = message, .id = id,
	    .parent = -1 };
	return (int)box_count++;
}

static void
cut(int child)
{
	struct box *p;

	if (boxes[child].parent < 0)
		return;
	p = &boxes[boxes[child].parent];
	for (size_t i = 0; i < p->n; i++)
		if (p->children[i] == child) {
			memmove(p->children + i, p->children + i + 1,
			    (p->n - i - 1) * sizeof(p->children[0]));
			p->n--;
			break;
		}
	boxes[child].parent = -1;
}

static void
join(int parent, int child)
{
	for (int at = parent; at >= 0; at = boxes[at].parent)
		if (at == child)
			return;
	boxes[parent].children[boxes[parent].n++] = child;
	boxes[child].parent = parent;
}

static void
slow_links(size_t n)
{
	int box[BOX];

	box_count = 0;
	for (size_t i = 0; i < n; i++)
		box[i] = box_of(slow[i].id, (int)i);
	for (size_t i = 0; i < n; i++) {
		int before = -1;

		for (const uint64_t *r = slow[i].refs; r != NULL && *r != 0;
		    r++) {
			int now = box_of(*r, -1);

			if (before >= 0 && boxes[now].parent < 0)
				join(before, now);
			before = now;
		}
		if (before >= 0 && boxes[box[i]].parent == before)
			continue;
		cut(box[i]);
		if (before >= 0)
			join(before, box[i]);
	}
}

/* Step 3, from the leaves up. */
static void
slow_prune(int at)
{
	struct box *b = &boxes[at];

	for (size_t i = 0; i < b->n;) {
		int child = b->children[i];
		struct box *c = &boxes[child];

		slow_prune(child);
		if (c->message >= 0) {
			i++;
			continue;
		}
		cut(child);
		while (c->n > 0) {
			int grandchild = c->children[0];

			cut(grandchild);
			join(at, grandchild);
		}
	}
}

static int64_t slow_date(int at);

static int
slow_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	if (slow_date(x) != slow_date(y))
		return slow_date(x) < slow_date(y) ? -1 : 1;
	while (boxes[x].message < 0)
		x = boxes[x].children[0];
	while (boxes[y].message < 0)
		y = boxes[y].children[0];
	return boxes[x].message - boxes[y].message;
}

static int64_t
slow_date(int at)
{
	while (boxes[at].message < 0)
		at = boxes[at].children[0];
	return slow[boxes[at].message].sent;
}

static void
slow_sort(int at)
{
	for (size_t i = 0; i < boxes[at].n; i++)
		slow_sort(boxes[at].children[i]);
	qsort(boxes[at].children, boxes[at].n, sizeof(int), slow_compare);
}

static void
slow_write(struct text *out, int at)
{
	const struct box *b = &boxes[at];

	if (b->message >= 0)
		text_u64(out, (uint64_t)b->message + 1);
	if (b->n > 0 && b->message >= 0)
		text_char(out, ' ');
	for (size_t i = 0; i < b->n; i++) {
		if (b->n > 1)
			text_char(out, '(');
		slow_write(out, b->children[i]);
		if (b->n > 1)
			text_char(out, ')');
	}
}

static const struct said *
slow_voice(int at)
{
	while (boxes[at].message < 0)
		at = boxes[at].children[0];
	return &slow[boxes[at].message];
}

static bool
dummy(int at)
{
	return boxes[at].message < 0;
}

/* Step 5 on the roots; returns how many are left. */
static size_t
slow_subjects(int *roots, size_t n)
{
	int table[BOX];
	size_t to = 0;

	memset(table, -1, sizeof(table));
	for (size_t i = 0; i < n; i++) {
		uint32_t s = slow_voice(roots[i])->subject;
		int old = table[s];

		if (s != 0 && (old < 0 || (!dummy(old) && (dummy(roots[i]) ||
		    (slow_voice(old)->reply &&
		    !slow_voice(roots[i])->reply)))))
			table[s] = roots[i];
	}
	for (size_t i = 0; i < n; i++) {
		int root = roots[i], old, made;
		uint32_t s = slow_voice(root)->subject;

		if (boxes[root].parent >= 0)
			continue;	/* it went below another one */
		old = table[s];
		if (s == 0 || old == root)
			continue;
		if (dummy(old) && dummy(root)) {
			while (boxes[root].n > 0) {
				int child = boxes[root].children[0];

				cut(child);
				join(old, child);
			}
		} else if (dummy(old) || (slow_voice(root)->reply &&
		    !slow_voice(old)->reply)) {
			join(old, root);
		} else {
			made = box_of(0, -1);
			join(made, old);
			join(made, root);
			table[s] = made;
		}
	}
	for (size_t i = 0; i < box_count; i++)
		if (boxes[i].parent < 0 && (boxes[i].message >= 0 ||
		    boxes[i].n > 0))
			roots[to++] = (int)i;
	return to;
}

static struct text
slow_thread(const struct said *said, size_t n)
{
	struct text out = TEXT_INIT(0);
	int roots[BOX * 4];
	size_t count = 0;

	slow = said;
	slow_links(n);
	for (size_t i = 0; i < box_count; i++)
		if (boxes[i].parent < 0)
			slow_prune((int)i);
	for (size_t i = 0; i < box_count; i++) {
		int root = (int)i;

		if (boxes[i].parent >= 0 || (dummy(root) && boxes[i].n == 0))
			continue;
		if (dummy(root) && boxes[i].n == 1) {
			root = boxes[i].children[0];
			cut(root);
			if (root > (int)i)
				continue;	/* comes by itself */
		}
		roots[count++] = root;
	}
	for (size_t i = 0; i < count; i++)
		slow_sort(roots[i]);
	qsort(roots, count, sizeof(int), slow_compare);
	count = slow_subjects(roots, count);
	for (size_t i = 0; i < count; i++)
		slow_sort(roots[i]);
	qsort(roots, count, sizeof(int), slow_compare);
	for (size_t i = 0; i < count; i++) {
		text_char(&out, '(');
		slow_write(&out, roots[i]);
		text_char(&out, ')');
	}
	return out;
}

/* Few ids, dates and subjects, so that everything happens. */
static void
test_random(void **state)
{
	enum { MOST = 12, IDS = 9 };
	struct said said[MOST];
	uint64_t refs[MOST][5];

	(void)state;
	srandom(3);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % MOST + 1;
		struct text want, got;

		for (size_t i = 0; i < n; i++) {
			size_t links = (size_t)random() % 4;

			memset(refs[i], 0, sizeof(refs[i]));
			for (size_t l = 0; l < links; l++)
				refs[i][l] = (uint64_t)random() % IDS + 1;
			said[i] = (struct said){
				.id = (uint64_t)random() % (IDS + 1),
				.refs = refs[i], .sent = random() % 5,
				.subject = (uint32_t)random() % 4,
				.reply = random() % 2 == 0 };
		}
		want = slow_thread(said, n);
		got = thread(REFERENCES, said, n);
		if (!span_eq(text_span(&want), text_span(&got)))
			fail_msg("round %d: %.*s, not %.*s", round,
			    SPAN_ARG(text_span(&got)),
			    SPAN_ARG(text_span(&want)));
		text_free(&want);
		text_free(&got);
	}
}

/* -- many ---- */

/* One thread as deep as there are messages, in either order. */
static void
test_deep(void **state)
{
	enum { DEEP = 100000 };
	struct imap_thread_message *m = calloc(DEEP, sizeof(*m));
	uint64_t *links = calloc(DEEP, sizeof(*links));
	struct text out = TEXT_INIT(0);
	struct imap_thread *t;

	(void)state;
	for (int way = 0; way < 2; way++) {
		for (uint32_t i = 0; i < DEEP; i++) {
			uint32_t at = way == 0 ? i : DEEP - 1 - i;

			links[i] = at;
			m[i] = (struct imap_thread_message){ .number = at + 1,
			    .id = at + 1, .links_at = i, .links = at > 0,
			    .sent = at };
		}
		t = imap_thread_build(REFERENCES, m, DEEP, links, SECRET);
		text_clear(&out);
		assert_false(imap_thread_write(t, &out, SIZE_MAX));
		assert_true(span_starts(text_span(&out), SPAN("(1 2 3 ")));
		assert_true(span_ends(text_span(&out), SPAN(" 99999 100000)")));
		assert_int_equal(span_find_char(text_span(&out), ')', 0),
		    out.n - 1);
		imap_thread_free(&t);
	}
	text_free(&out);
	free(m);
	free(links);
}

/* Each names all before it in a circle: work stays bounded, all are told. */
static void
test_circles(void **state)
{
	enum { MANY = 20000, EACH = 20 };
	struct imap_thread_message *m = calloc(MANY, sizeof(*m));
	uint64_t *links = calloc(MANY * EACH, sizeof(*links));
	struct text out = TEXT_INIT(0);
	struct imap_thread *t;
	size_t numbers = 0;

	(void)state;
	srandom(4);
	for (uint32_t i = 0; i < MANY; i++) {
		m[i] = (struct imap_thread_message){ .number = i + 1,
		    .id = i + 1, .links_at = (uint64_t)i * EACH,
		    .links = EACH };
		for (uint32_t l = 0; l < EACH; l++)
			links[i * EACH + l] = l % 2 == 0
			    ? (i * 7 + l) % MANY + 1
			    : (uint64_t)random() % MANY + 1;
	}
	t = imap_thread_build(REFERENCES, m, MANY, links, SECRET);
	while (imap_thread_write(t, &out, out.n + 1000))
		;
	for (size_t i = 0; i < out.n; i++)
		numbers += ascii_is_digit(out.p[i]) && (i + 1 == out.n ||
		    !ascii_is_digit(out.p[i + 1]));
	assert_int_equal(numbers, MANY);
	imap_thread_free(&t);
	text_free(&out);
	free(m);
	free(links);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_refs),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_circles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
