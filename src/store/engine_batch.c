/*
 * engine_batch.c - a batch is a list of operations, and how keys look.
 *
 * Everything but the bytes of bodies is copied into the batch's arena. A
 * batch that went over a limit stays valid but is never applied: the caller
 * builds it without asking, and engine_commit() says EFBIG.
 */
#include "base/secret.h"
#include "store/engine_impl.h"

#include <stdlib.h>

enum {
	META_FORMAT = 1,
	META_HEAD = 18,		/* format, complete, size, created */
	OPS_FIRST = 8,
};

struct batch *
batch_new(struct partition where)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->where = where;
	b->arena = arena_new(ENGINE_BATCH_MAX);
	return b;
}

void
batch_free(struct batch **bp)
{
	struct batch *b = *bp;

	if (b == NULL)
		return;
	arena_free(&b->arena);
	free(b->ops);
	free(b);
	*bp = NULL;
}

static struct op *
add(struct batch *b, enum op_kind kind)
{
	struct op *op;

	if (b->count == b->room) {
		b->room = b->room == 0 ? OPS_FIRST : b->room * 2;
		b->ops = xrealloc(b->ops, b->room * sizeof(*b->ops));
	}
	op = &b->ops[b->count++];
	*op = (struct op){ .kind = kind };
	return op;
}

/* The batch's own copy; an empty span, and too_large, over `limit`. */
static struct span
copy(struct batch *b, struct span s, size_t limit)
{
	struct span own = SPAN_EMPTY;

	if (s.n == 0)
		return own;
	if (s.n <= limit)
		own = arena_dup(b->arena, s);
	if (own.p == NULL) {
		b->too_large = true;
		return SPAN_EMPTY;
	}
	b->bytes += s.n;
	return own;
}

void
batch_put(struct batch *b, struct span key, struct span value)
{
	struct op *op = add(b, OP_PUT);

	must(key.n > 0);
	op->key = copy(b, key, ENGINE_KEY_MAX);
	op->value = copy(b, value, ENGINE_VALUE_MAX);
}

void
batch_delete(struct batch *b, struct span key)
{
	must(key.n > 0);
	add(b, OP_DELETE)->key = copy(b, key, ENGINE_KEY_MAX);
}

void
batch_delete_range(struct batch *b, struct span from, struct span to)
{
	struct op *op = add(b, OP_DELETE_RANGE);

	op->key = copy(b, from, ENGINE_KEY_MAX);
	op->value = copy(b, to, ENGINE_KEY_MAX);
}

void
batch_expect(struct batch *b, uint64_t version)
{
	b->guarded = true;
	b->expect = version;
}

void
batch_body(struct batch *b, struct body_id id, struct span head,
    struct span rest, struct span summary)
{
	struct op *op = add(b, OP_BODY);

	b->bodies++;
	op->body = id;
	op->value = copy(b, summary, ENGINE_VALUE_MAX);
	if (head.n > ENGINE_BODY_INLINE ||
	    rest.n > ENGINE_BODY_INLINE - head.n) {
		b->too_large = true;
		return;
	}
	op->head = head;
	op->rest = rest;
	b->bytes += head.n + rest.n;
}

static void
add_link(struct batch *b, enum op_kind kind, struct body_id id,
    struct span holder)
{
	struct op *op = add(b, kind);

	must(holder.n > 0);
	op->body = id;
	op->key = copy(b, holder, ENGINE_KEY_MAX);
}

void
batch_link(struct batch *b, struct body_id id, struct span holder)
{
	add_link(b, OP_LINK, id, holder);
}

void
batch_unlink(struct batch *b, struct body_id id, struct span holder)
{
	add_link(b, OP_UNLINK, id, holder);
}

bool
batch_stores(const struct batch *b, size_t n, const struct body_id *id)
{
	/* A copy of many messages links much and stores nothing. */
	if (b->bodies == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (b->ops[i].kind == OP_BODY &&
		    memcmp(&b->ops[i].body, id, sizeof(*id)) == 0)
			return true;
	return false;
}

/* -- keys ------------------------------------------------------------- */
void
put_be64(char out[8], uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		out[i] = (char)(v & 0xff);
}

uint64_t
get_be64(const char in[8])
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | (uint8_t)in[i];
	return v;
}

struct span
whole_key(struct whole_key *k, struct partition where, struct span key)
{
	must(key.n <= ENGINE_KEY_MAX);
	k->p[0] = (char)where.kind;
	put_be64(k->p + 1, where.id);
	if (key.n > 0)
		memcpy(k->p + PREFIX_SIZE, key.p, key.n);
	k->n = PREFIX_SIZE + key.n;
	return span_of(k->p, k->n);
}

struct span
whole_end(struct whole_key *k, struct partition where, struct span to)
{
	if (to.n > 0)
		return whole_key(k, where, to);
	if (where.id < UINT64_MAX) {
		where.id++;
		return whole_key(k, where, SPAN_EMPTY);
	}
	must(where.kind < UINT8_MAX);
	k->p[0] = (char)(where.kind + 1);
	k->n = 1;
	return span_of(k->p, k->n);
}

struct span
link_key(struct link_key *k, const struct body_id *id, struct span holder)
{
	must(holder.n <= ENGINE_KEY_MAX);
	memcpy(k->p, id->b, sizeof(id->b));
	if (holder.n > 0)
		memcpy(k->p + sizeof(id->b), holder.p, holder.n);
	k->n = sizeof(id->b) + holder.n;
	return span_of(k->p, k->n);
}

struct span
body_key(const struct body_id *id)
{
	return span_of(id->b, sizeof(id->b));
}

struct body_id
body_id_new(void)
{
	struct body_id id;
	char now[8];

	put_be64(now, (uint64_t)clock_wall());
	memcpy(id.b, now + 1, 7);	/* microseconds until the year 4253 */
	random_bytes(id.b + 7, sizeof(id.b) - 7);
	return id;
}

/* -- the record about a body ------------------------------------------ */
void
body_meta_encode(const struct body_meta *m, struct text *out)
{
	char head[META_HEAD];

	head[0] = META_FORMAT;
	head[1] = m->complete;
	put_be64(head + 2, m->size);
	put_be64(head + 10, (uint64_t)m->created);
	text_add(out, span_of(head, sizeof(head)));
	text_add(out, m->summary);
}

int
body_meta_decode(struct span s, struct body_meta *m)
{
	if (s.n < META_HEAD || s.p[0] != META_FORMAT)
		return 0;
	m->complete = s.p[1] != 0;
	m->size = get_be64(s.p + 2);
	m->created = (walltime_t)get_be64(s.p + 10);
	m->summary = span_from(s, META_HEAD);
	return 1;
}
