/*
 * index_lookup.c - a search goes through the segments of its mailbox.
 *
 * Whether somebody may search, the store says, each time: it tells which
 * segments there are to who shows a grant that may read the mailbox. Between
 * that and the reading they may have been merged: then once more.
 */
#include "role/index_lookup.h"
#include "base/log.h"
#include "index/fuzzy.h"
#include "index/query.h"
#include "io/fiber.h"
#include "ipc/wire.h"
#include "mail/encode.h"
#include "role/index_cache.h"

#include <stdlib.h>

enum {
	TRIES = 4,
	QUERIES_MAX = 256,
	SEGMENTS_MAX = 4096,
	SCRATCH = 80 << 20,
};

static struct {
	struct link *store;
	struct stemmer *stemmer;
	char languages[1024];
} here;

struct opened {
	struct index_segment row;
	struct index_reader reader;
	struct segment segment;
};

struct lookup {
	const struct index_search_request *in;
	struct arena *scratch;
	struct opened *at;
	size_t n;
	struct segment **segments;
};

void
index_lookup_setup(struct link *store, struct span languages)
{
	here.store = store;
	if (here.stemmer != NULL && span_is(languages, here.languages))
		return;
	stemmer_free(&here.stemmer);
	here.stemmer = stemmer_new(languages);
	languages = span_sub(languages, 0, sizeof(here.languages) - 1);
	memcpy(here.languages, languages.p, languages.n);
	here.languages[languages.n] = '\0';
}

void
index_lookup_free(void)
{
	stemmer_free(&here.stemmer);
}

/* ---- segments -------------------------------------------------------- */

static void
close_all(struct lookup *l)
{
	for (size_t i = 0; i < l->n; i++)
		index_cache_put(&l->at[i].reader);
	free(l->segments);
	free(l->at);
	l->at = NULL;
	l->segments = NULL;
	l->n = 0;
}

/* It cannot be read: it goes, and is built anew. */
static void
drop(const struct lookup *l, const struct opened *o)
{
	struct index_drop_request q = { .grant = l->in->grant,
		.mailbox = l->in->mailbox, .segment = o->row.segment };
	struct index_drop_reply reply;

	log_event(LOG_LEVEL_ERROR, "index.damaged",
	    log_int("mailbox", (int64_t)l->in->mailbox));
	/* Failing that, the next one who searches does it. */
	if (call_index_drop(here.store, l->scratch, &q, &reply) != 1)
		return;
}

static int
open_segment(struct lookup *l, const struct index_segment *row)
{
	struct opened *o = &l->at[l->n];
	int status;

	*o = (struct opened){ .row = *row, .reader = { .store = here.store,
	    .arena = l->scratch, .grant = l->in->grant,
	    .mailbox = l->in->mailbox } };
	status = index_cache_take(row, &o->reader, &o->segment);
	if (status == 0)
		drop(l, o);
	if (status == 1)
		l->segments[l->n++] = &o->segment;
	return status;
}

/* 1; 0 once more; -1 *result. */
static int
open_all(struct lookup *l, enum result *result)
{
	struct index_segments_request q = { .grant = l->in->grant,
		.mailbox = l->in->mailbox };
	struct index_segments_reply reply;
	struct index_segment row;
	struct cursor c = { 0 };
	int status = call_index_segments(here.store, l->scratch, &q, &reply);

	*result = reply.result;
	if (status != 1 || reply.result != RESULT_OK)
		return -1;
	l->at = xcalloc(SEGMENTS_MAX, sizeof(*l->at));
	l->segments = xcalloc(SEGMENTS_MAX, sizeof(struct segment *));
	c.rest = reply.segments.bytes;
	while (status == 1 && l->n < SEGMENTS_MAX &&
	    index_segment_get(&c, &row) == 1)
		status = open_segment(l, &row);
	blob_release(&reply.segments);
	if (status == -1)
		*result = l->at[l->n].reader.result;
	return status == -1 && *result == RESULT_NOT_FOUND ? 0 : status;
}

/* ---- answers --------------------------------------------------------- */

/* Neighbours in the segment have nothing between them that still lives. */
static void
put_places(const struct segment *s, const struct bits *b, struct text *out)
{
	struct uid_range r = { 0, 0 };

	for (uint32_t i = 0; i < s->documents; i++) {
		if (bits_have(b, i)) {
			r.last = segment_document(s, i).uid;
			if (r.first == 0)
				r.first = r.last;
			continue;
		}
		if (r.first != 0)
			uid_range_put(out, &r);
		r.first = 0;
	}
	if (r.first != 0)
		uid_range_put(out, &r);
}

/* What went wrong with it: 0 once more, -1. */
static int
failed(const struct lookup *l, const struct opened *o)
{
	if (o->reader.result == RESULT_NOT_FOUND)
		return 0;
	if (o->reader.result != RESULT_OK &&
	    o->reader.result != RESULT_DAMAGED)
		return -1;
	drop(l, o);
	return 0;
}

static int
answer_exact(struct lookup *l, const struct index_query *q,
    struct text *sure_out, struct text *maybe_out)
{
	struct bits sure, maybe;
	int status = 1;

	for (size_t i = 0; status == 1 && i < l->n; i++) {
		struct opened *o = &l->at[i];

		sure = bits_new(o->segment.documents);
		maybe = bits_new(o->segment.documents);
		status = query_segment(&o->segment,
		    (enum index_field)q->field, q->text, &sure, &maybe);
		if (status == 1) {
			put_places(&o->segment, &sure, sure_out);
			put_places(&o->segment, &maybe, maybe_out);
			index_cache_relieve(&o->reader);
		} else {
			status = failed(l, o);
		}
		bits_free(&sure);
		bits_free(&maybe);
		if (fiber_share() != 1)
			return -1;
	}
	return status;
}

static int
answer_fuzzy(struct lookup *l, const struct index_query *q,
    struct text *sure_out, struct text *scores_out)
{
	struct fuzzy_hit *hits;
	size_t n, damaged;

	if (fuzzy_search(l->segments, l->n, (enum index_field)q->field,
	    q->text, here.stemmer, &hits, &n, &damaged) != 1)
		return l->n == 0 ? -1 : failed(l, &l->at[damaged]);
	for (size_t i = 0; i < n; i++) {
		uid_range_put(sure_out, &(struct uid_range){ hits[i].uid,
		    hits[i].uid });
		put_u8(scores_out, hits[i].score);
	}
	free(hits);
	return 1;
}

static int
answer(struct lookup *l, const struct index_query *q, struct text *out)
{
	struct text sure = TEXT_INIT(0), maybe = TEXT_INIT(0);
	struct text scores = TEXT_INIT(0);
	int status = q->fuzzy != 0 ? answer_fuzzy(l, q, &sure, &scores)
	    : answer_exact(l, q, &sure, &maybe);

	if (status == 1)
		index_answer_put(out, &(struct index_answer){
		    .sure = text_span(&sure), .maybe = text_span(&maybe),
		    .scores = text_span(&scores) });
	text_free(&sure);
	text_free(&maybe);
	text_free(&scores);
	return status;
}

static int
answer_all(struct lookup *l, struct text *out)
{
	struct cursor c = { l->in->queries.bytes, false };
	struct index_query q;
	int status = 1;

	text_clear(out);
	while (status == 1 && index_query_get(&c, &q) == 1)
		status = answer(l, &q, out);
	return status;
}

static void
put_known(const struct lookup *l, struct text *out)
{
	struct uid_range r = { 0, 0 };

	for (size_t i = 0; i < l->n; i++) {
		const struct index_segment *row = &l->at[i].row;

		if (r.first != 0 && row->first == r.last + 1) {
			r.last = row->last;
			continue;
		}
		if (r.first != 0)
			uid_range_put(out, &r);
		r = (struct uid_range){ row->first, row->last };
	}
	if (r.first != 0)
		uid_range_put(out, &r);
}

/* ---- the call -------------------------------------------------------- */

static bool
queries_good(struct span records)
{
	struct cursor c = { records, false };
	struct index_query q;
	size_t n = 0;
	int status;

	while ((status = index_query_get(&c, &q)) == 1)
		if (++n > QUERIES_MAX || q.field >= INDEX_FIELDS ||
		    !utf8_valid(q.text))
			return false;
	return status == 0;
}

static int
look_up(struct lookup *l, struct text *known, struct text *answers,
    enum result *result)
{
	int status = open_all(l, result);

	if (status == 1) {
		*result = RESULT_TEMPORARY;
		status = answer_all(l, answers);
	}
	if (status == 1) {
		*result = RESULT_OK;
		put_known(l, known);
	}
	close_all(l);
	return status;
}

void
index_lookup(void *arg, const struct caller *who, struct arena *arena,
    const struct index_search_request *in, struct index_search_reply *out)
{
	struct lookup l = { .in = in };
	struct text known = TEXT_INIT(0), answers = TEXT_INIT(0);
	struct span k, a;
	int status = 0;

	(void)arg;
	(void)who;
	if (!queries_good(in->queries.bytes)) {
		out->result = RESULT_INVALID;
		return;
	}
	l.scratch = arena_new(SCRATCH);
	for (int i = 0; i < TRIES && status == 0; i++) {
		arena_reset(l.scratch);
		out->result = RESULT_TEMPORARY;
		status = look_up(&l, &known, &answers, &out->result);
	}
	if (status == 1) {
		k = arena_dup(arena, text_span(&known));
		a = arena_dup(arena, text_span(&answers));
		out->known = BLOB_OF(k);
		out->answers = BLOB_OF(a);
		if (k.p == NULL || a.p == NULL)
			out->result = RESULT_TEMPORARY;
		log_event(LOG_LEVEL_DEBUG, "index.searched");
	} else if (out->result == RESULT_OK) {
		out->result = RESULT_TEMPORARY;
	}
	text_free(&known);
	text_free(&answers);
	arena_free(&l.scratch);
}
