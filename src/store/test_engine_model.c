/*
 * test_engine_model.c - thousands of operations by lot, against a model that
 * is too plain to be wrong: arrays, searched from end to end.
 */
#include "store/test_engine.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	PARTITIONS = 3, KEYS = 40, BODIES = 24, HOLDERS = 3, STEPS = 3000,
	OPS_MAX = 6, VALUE_MAX = 200, REOPEN_EVERY = 500,
};

struct model {
	struct {
		uint64_t version;
		struct { bool there; char value[VALUE_MAX]; size_t n; }
		    keys[KEYS];
	} partitions[PARTITIONS];
	struct { bool there, unlinked; bool held[HOLDERS]; } bodies[BODIES];
	uint32_t next_body[BODIES];	/* ids are never used again */
	uint32_t lot;
};

static uint32_t
draw(struct model *m, uint32_t below)
{
	m->lot = m->lot * 1664525u + 1013904223u;
	return (m->lot >> 8) % below;
}

static struct partition
partition_of(size_t p)
{
	return (struct partition){ .kind = (uint8_t)(1 + p / 2), .id = p };
}

/* Keys of different length whose order is that of their numbers. */
static struct span
key_of(char room[16], size_t k)
{
	return span_of(room, (size_t)snprintf(room, 16, "%c%zu",
	    (int)('a' + k / 10), k % 10));
}

static struct span
holder_of(size_t h)
{
	static const char *const names[HOLDERS] = { "q", "mailbox", "m" };

	return span_str(names[h]);
}

static struct body_id
body_of(const struct model *m, size_t b)
{
	return test_body_id((uint32_t)b + m->next_body[b] * BODIES);
}

/* -- one batch, on both sides ----------------------------------------- */
static void
step_put(struct model *m, struct batch *b, size_t p)
{
	char room[16], value[VALUE_MAX];
	size_t k = draw(m, KEYS), n = draw(m, VALUE_MAX);

	memset(value, (int)draw(m, 256), n);
	batch_put(b, key_of(room, k), span_of(value, n));
	m->partitions[p].keys[k].there = true;
	m->partitions[p].keys[k].n = n;
	memcpy(m->partitions[p].keys[k].value, value, n);
}

static void
step_delete(struct model *m, struct batch *b, size_t p)
{
	char room[16];
	size_t k = draw(m, KEYS);

	batch_delete(b, key_of(room, k));
	m->partitions[p].keys[k].there = false;
}

static void
step_delete_range(struct model *m, struct batch *b, size_t p)
{
	char room[2][16];
	size_t from = draw(m, KEYS), to = draw(m, KEYS + 1);

	batch_delete_range(b, key_of(room[0], from), to == KEYS ? SPAN_EMPTY
	    : key_of(room[1], to));
	for (size_t k = from; k < to; k++)
		m->partitions[p].keys[k].there = false;
}

static void
step_body(struct model *m, struct batch *b, char *room, size_t size)
{
	size_t i = draw(m, BODIES), cut;
	struct body_id id = body_of(m, i);
	uint32_t number = (uint32_t)i + m->next_body[i] * BODIES;

	size = test_body_fill(number, room, size);
	cut = size > 0 ? draw(m, (uint32_t)size) : 0;
	batch_body(b, id, span_of(room, cut),
	    span_of(room + cut, size - cut), span_of(&number, 4));
	m->bodies[i].there = true;
}

static void
step_link(struct model *m, struct batch *b)
{
	size_t i = draw(m, BODIES), h = draw(m, HOLDERS);

	if (m->bodies[i].there && draw(m, 3) > 0) {
		batch_link(b, body_of(m, i), holder_of(h));
		m->bodies[i].held[h] = true;
	} else {
		batch_unlink(b, body_of(m, i), holder_of(h));
		m->bodies[i].held[h] = false;
		m->bodies[i].unlinked = true;
	}
}

static void
step_op(struct model *m, struct batch *b, size_t p, char *room, size_t size)
{
	switch (draw(m, 8)) {
	case 0: case 1: case 2:
		step_put(m, b, p);
		break;
	case 3:
		step_delete(m, b, p);
		break;
	case 4:
		step_delete_range(m, b, p);
		break;
	case 5:
		step_body(m, b, room, size);
		break;
	default:
		step_link(m, b);
		break;
	}
}

static void
step_batch(struct model *m, struct engine *e)
{
	static char rooms[OPS_MAX][9000];
	size_t p = draw(m, PARTITIONS), ops = draw(m, OPS_MAX);
	struct batch *b = batch_new(partition_of(p));
	struct model *before = malloc(sizeof(*before));
	bool fails = draw(m, 5) == 0;
	ticket_t ticket = 0;

	assert_non_null(before);
	*before = *m;
	for (size_t i = 0; i < ops; i++)
		step_op(m, b, p, rooms[i], sizeof(rooms[i]));
	if (draw(m, 2) == 0 || fails)
		batch_expect(b, m->partitions[p].version + fails);
	assert_int_equal(engine_commit(e, b, &ticket), fails ? 0 : 1);
	before->lot = m->lot;
	if (fails)
		*m = *before;
	else
		m->partitions[p].version++;
	if (draw(m, 10) == 0)
		assert_int_equal(engine_sync(e, ticket), 1);
	batch_free(&b);
	free(before);
}

static void
step_drop(struct model *m, struct engine *e)
{
	size_t p = draw(m, PARTITIONS);

	assert_int_equal(engine_drop_partition(e, partition_of(p), NULL), 1);
	memset(&m->partitions[p], 0, sizeof(m->partitions[p]));
}

static void
step_collect(struct model *m, struct engine *e)
{
	int64_t gone = 0;

	for (size_t i = 0; i < BODIES; i++) {
		bool held = false;

		for (size_t h = 0; h < HOLDERS; h++)
			held = held || m->bodies[i].held[h];
		if (m->bodies[i].unlinked && !held) {
			gone += m->bodies[i].there;
			memset(&m->bodies[i], 0, sizeof(m->bodies[i]));
			m->next_body[i]++;
		}
		m->bodies[i].unlinked = false;
	}
	assert_int_equal(engine_collect(e, false, 0), gone);
}

/* -- are they the same? ----------------------------------------------- */
static void
compare_partition(const struct model *m, struct engine *e, size_t p,
    size_t from, size_t to)
{
	char room[2][16];
	struct scan *s = scan_open(e, partition_of(p), key_of(room[0], from),
	    to == KEYS ? SPAN_EMPTY : key_of(room[1], to));
	struct span key, value;

	for (size_t k = from; k < to; k++) {
		if (!m->partitions[p].keys[k].there)
			continue;
		assert_int_equal(scan_next(s, &key, &value), 1);
		assert_true(span_eq(key, key_of(room[0], k)));
		assert_true(span_eq(value,
		    span_of(m->partitions[p].keys[k].value,
		    m->partitions[p].keys[k].n)));
	}
	assert_int_equal(scan_next(s, &key, &value), 0);
	scan_close(&s);
}

static void
compare_body(const struct model *m, struct engine *e, size_t i)
{
	static char bytes[9000];
	uint32_t number = (uint32_t)i + m->next_body[i] * BODIES;
	struct body_id id = body_of(m, i);
	struct text got = TEXT_INIT(0);
	size_t n;

	for (size_t h = 0; h < HOLDERS; h++)
		assert_int_equal(engine_body_linked(e, id, holder_of(h)),
		    m->bodies[i].held[h]);
	assert_int_equal(engine_body_read(e, id, 0, UINT64_MAX, &got),
	    m->bodies[i].there);
	if (m->bodies[i].there) {
		n = test_body_fill(number, bytes, sizeof(bytes));
		assert_true(span_eq(text_span(&got), span_of(bytes, n)));
	}
	text_free(&got);
}

static void
compare(struct model *m, struct engine *e)
{
	uint64_t version;
	uint32_t from = draw(m, KEYS);

	for (size_t p = 0; p < PARTITIONS; p++) {
		assert_int_equal(engine_version(e, partition_of(p),
		    &version), 1);
		assert_int_equal(version, m->partitions[p].version);
		compare_partition(m, e, p, 0, KEYS);
		compare_partition(m, e, p, from,
		    from + draw(m, KEYS - from + 1));
	}
	for (size_t i = 0; i < BODIES; i++)
		compare_body(m, e, i);
}

void
test_against_model(struct engine **e, struct engine *(*reopen)(void *,
    struct engine *), void *arg)
{
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->lot = 20010401;
	for (int step = 1; step <= STEPS; step++) {
		uint32_t lot = draw(m, 40);

		if (lot == 0)
			step_drop(m, *e);
		else if (lot == 1)
			step_collect(m, *e);
		else
			step_batch(m, *e);
		if (step % 20 == 0)
			compare(m, *e);
		if (step % REOPEN_EVERY == 0 && reopen != NULL) {
			*e = reopen(arg, *e);
			compare(m, *e);
		}
	}
	free(m);
}
