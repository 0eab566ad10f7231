/*
 * index_work.c - leases, messages, segments.
 *
 * What is built is bounded by the setting index.memory: half of it may go
 * into words that are gathered, a quarter is the largest segment that merges
 * make. Between two lots of messages there is a pause as long as the store
 * took to answer, and some more: mail comes first.
 */
#include "role/index_work.h"
#include "base/clock.h"
#include "base/log.h"
#include "index/extract.h"
#include "io/fiber.h"
#include "ipc/wire.h"

#include <stdlib.h>

enum {
	LOT_BYTES = 4 << 20,		/* of messages got at once */
	GATHER_MS = 300,		/* mail that comes together */
	TROUBLE_MS = 1000,		/* after a failure */
	PAUSE_SHARE = 8,		/* of the time that was worked */
	PAUSE_MOST = 500,
	READ_BYTES = 16 << 20,
	SCRATCH = 192 << 20,
	SEGMENTS_MAX = 1024,
};

static struct {
	struct link *store;
	const struct settings *settings;
	struct fiber *fiber;
	bool woken, stopping;
	struct extractor *extractor;
	struct builder *builder;
	struct arena *arena;
} work;

static void
rest(void *arg)
{
	(void)arg;
	(void)fiber_share();
}

/* Cancelled: there is no time left. */
static bool
wait_ms(int64_t ms)
{
	monotime_t until = clock_after(ms);
	int status = 1;

	while (status == 1 && !work.woken && !work.stopping)
		status = fiber_wait(until);
	work.woken = false;
	return status >= 0 && !work.stopping;
}

static bool
pause_ms(int64_t ms)
{
	monotime_t until = clock_after(ms);
	int status = 1;

	while (status == 1 && !work.stopping)
		status = fiber_wait(until);
	return status >= 0 && !work.stopping;
}

/* ---- saving ---------------------------------------------------------- */

static int
save(uint64_t lease, uint32_t last, uint32_t messages, struct span bytes)
{
	struct index_save_request q = { .lease = lease, .last = last,
		.messages = messages, .segment = BLOB_OF(bytes) };
	struct index_save_reply reply;

	if (call_index_save(work.store, work.arena, &q, &reply) != 1)
		return -1;
	if (reply.result == RESULT_OK)
		log_event(LOG_LEVEL_DEBUG, "index.saved",
		    log_int("messages", messages),
		    log_int("bytes", (int64_t)bytes.n));
	return reply.result == RESULT_OK ? 1 : 0;
}

/* ---- building -------------------------------------------------------- */

/* How far the lot went: the last uid that is in the segment. */
static bool
add_lot(struct span records, uint32_t *last)
{
	struct cursor c = { records, false };
	struct message_bytes m;
	uint64_t most = work.settings->index_memory / 2;

	while (message_bytes_get(&c, &m) == 1) {
		if (m.uid <= *last)
			return false;	/* no store of ours */
		if (m.data.n == 0)
			extract_nothing(work.builder, m.uid);
		else
			extract_message(work.extractor, work.builder, m.uid,
			    m.data);
		*last = m.uid;
		log_event(LOG_LEVEL_DEBUG, "index.message");
		if (builder_bytes(work.builder) > most || fiber_share() < 0)
			return false;
	}
	return true;
}

/* 1 there is more, 0 that was all, or all there is room for; -1. */
static int
take_lot(const struct index_lease_reply *lease, uint32_t *from,
    uint32_t *last)
{
	struct index_messages_request q = { .lease = lease->lease,
		.from = *from, .limit = LOT_BYTES };
	struct index_messages_reply reply;
	int64_t began = clock_mono().ms, asked;
	bool more;

	arena_reset(work.arena);
	if (call_index_messages(work.store, work.arena, &q, &reply) != 1 ||
	    reply.result != RESULT_OK)
		return -1;
	asked = clock_mono().ms - began;
	*last = MAX(*last, *from - 1);
	more = add_lot(reply.bodies.bytes, last);
	blob_release(&reply.bodies);
	if (more && reply.next > *from) {
		*from = reply.next;
		began = clock_mono().ms - began;
		return pause_ms(MIN(asked + began / PAUSE_SHARE,
		    (int64_t)PAUSE_MOST)) ? 1 : -1;
	}
	if (more)
		*last = lease->last;
	return 0;
}

static int
build(const struct index_lease_reply *lease)
{
	struct text segment = TEXT_INIT(0);
	uint32_t from = lease->first, last = 0;
	int status = 1;

	builder_reset(work.builder);
	while (status == 1)
		status = take_lot(lease, &from, &last);
	if (status == 0)
		status = builder_finish(work.builder, rest, NULL, &segment);
	arena_reset(work.arena);
	if (status == 1)
		status = save(lease->lease, last,
		    builder_documents(work.builder), text_span(&segment));
	builder_reset(work.builder);
	text_free(&segment);
	return status;
}

/* ---- merging --------------------------------------------------------- */

struct merging {
	struct index_segment rows[SEGMENTS_MAX];
	struct segment from[SEGMENTS_MAX];
	size_t n;
	struct uid_range *present;
	size_t present_n;
};

static int
read_segment(uint64_t lease, const struct index_segment *row, char *to)
{
	struct text range = TEXT_INIT(0);
	uint64_t at = 0;
	int status = 1;

	while (status == 1 && at < row->size) {
		struct index_read_request q = { .lease = lease };
		struct index_read_reply reply;
		uint64_t n = MIN(row->size - at, (uint64_t)READ_BYTES);

		text_clear(&range);
		index_range_put(&range, &(struct index_range){
		    .segment = row->segment, .from = at, .count = n });
		q.ranges = BLOB_OF(text_span(&range));
		if (call_index_read(work.store, work.arena, &q, &reply) != 1)
			status = -1;
		else if (reply.result != RESULT_OK ||
		    reply.data.bytes.n != n)
			status = reply.result == RESULT_DAMAGED ? 0 : -1;
		else
			memcpy(to + at, reply.data.bytes.p, n);
		if (status == 1)
			blob_release(&reply.data);
		at += n;
		arena_reset(work.arena);
	}
	text_free(&range);
	return status;
}

static bool
is_present(void *arg, uint32_t uid)
{
	const struct merging *m = arg;
	size_t low = 0, high = m->present_n, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (m->present[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->present_n && m->present[low].first <= uid;
}

static void
take_rows(struct merging *m, const struct index_lease_reply *lease)
{
	struct cursor c = { lease->segments.bytes, false };
	size_t room = 0;

	while (m->n < SEGMENTS_MAX &&
	    index_segment_get(&c, &m->rows[m->n]) == 1)
		m->n++;
	c = (struct cursor){ lease->present.bytes, false };
	for (;;) {
		if (m->present_n == room) {
			room = room * 2 + 64;
			m->present = xrealloc(m->present,
			    room * sizeof(*m->present));
		}
		if (uid_range_get(&c, &m->present[m->present_n]) != 1)
			break;
		m->present_n++;
	}
}

static int
open_segments(struct merging *m, uint64_t lease)
{
	uint64_t total = 0;
	int status = m->n > 0 ? 1 : -1;

	for (size_t i = 0; i < m->n; i++)
		total += m->rows[i].size;
	if (total > work.settings->index_memory)
		return -1;	/* more than we asked for */
	for (size_t i = 0; status == 1 && i < m->n; i++) {
		char *bytes = xmalloc(m->rows[i].size + 1);

		m->from[i] = (struct segment){ .base = bytes,
			.size = (uint32_t)m->rows[i].size };
		status = read_segment(lease, &m->rows[i], bytes);
		if (status == 1 && segment_open(&m->from[i]) != 1)
			status = 0;
	}
	return status;
}

/* One of them is damaged: all go, and are built anew. */
static void
drop_all(const struct merging *m, uint64_t lease)
{
	for (size_t i = 0; i < m->n; i++) {
		struct index_drop_request q = { .lease = lease,
			.segment = m->rows[i].segment };
		struct index_drop_reply reply;

		if (call_index_drop(work.store, work.arena, &q, &reply) != 1)
			return;
	}
	log_event(LOG_LEVEL_ERROR, "index.damaged");
}

static int
merge(const struct index_lease_reply *lease)
{
	struct merging *m = xcalloc(1, sizeof(*m));
	struct segment_merge wish = { .from = m->from, .keep = is_present,
		.rest = rest, .arg = m };
	struct text out = TEXT_INIT(0);
	uint32_t documents;
	int status;

	take_rows(m, lease);
	wish.count = m->n;
	status = open_segments(m, lease->lease);
	if (status == 1)
		status = segment_merge(&wish, &out, &documents) == 1;
	if (status == 1)
		status = save(lease->lease, lease->last, documents,
		    text_span(&out)) == -1 ? -1 : 1;
	else if (status == 0)
		drop_all(m, lease->lease);
	for (size_t i = 0; i < m->n; i++)
		free((char *)(uintptr_t)m->from[i].base);
	free(m->present);
	free(m);
	text_free(&out);
	return status;
}

/* ---- the fiber ------------------------------------------------------- */

/* False: no more of it. */
static bool
work_once(void)
{
	struct index_lease_request q = {
	    .room = work.settings->index_memory / 4 };
	struct index_lease_reply lease;
	int64_t began = clock_mono().ms;
	int status;

	arena_reset(work.arena);
	if (call_index_lease(work.store, work.arena, &q, &lease) != 1)
		return wait_ms(TROUBLE_MS);
	if (lease.result != RESULT_OK || lease.work == INDEX_NOTHING)
		return wait_ms(lease.pause_ms) && pause_ms(GATHER_MS);
	began = clock_mono().ms;
	status = lease.work == INDEX_BUILD ? build(&lease) : merge(&lease);
	blob_release(&lease.segments);
	blob_release(&lease.present);
	if (status < 0)
		return pause_ms(TROUBLE_MS);
	began = clock_mono().ms - began;
	return pause_ms(MIN(began / PAUSE_SHARE, (int64_t)PAUSE_MOST));
}

static void
run(void *arg)
{
	(void)arg;
	work.fiber = fiber_self();
	work.extractor = extractor_new();
	work.builder = builder_new();
	work.arena = arena_new(SCRATCH);
	while (!work.stopping && work_once())
		continue;
	extractor_free(&work.extractor);
	builder_free(&work.builder);
	arena_free(&work.arena);
	work.fiber = NULL;
}

void
index_work_start(struct link *store, const struct settings *settings)
{
	work.store = store;
	work.settings = settings;
	must(fiber_start(run, NULL) == 1);
}

void
index_work_wake(void)
{
	work.woken = true;
	if (work.fiber != NULL)
		fiber_wake(work.fiber);
}

void
index_work_stop(void)
{
	work.stopping = true;
	if (work.fiber != NULL)
		fiber_cancel(work.fiber);
}
