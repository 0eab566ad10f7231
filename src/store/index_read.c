/*
 * index_read.c - segments are read: by index for who searches, or for a merge.
 *
 * Who searches has a grant, and what that may read of a mailbox is what it may
 * search in it.
 */
#include "base/log.h"
#include "store/index.h"
#include "store/verbs.h"

enum {
	READ_MAX = 64 << 20,		/* bytes of one answer */
	READ_SHARED = 256 << 10,	/* longer ones go as a file */
	STATUS_MAILBOXES = 256,		/* of one answer */
};

/* In which mailbox may they read? RESULT_OK; RESULT_NOT_FOUND ... */
static enum result
mailbox_for(struct store *store, const struct caller *caller,
    const struct grant *grant, uint64_t lease, struct arena *arena,
    uint64_t *mailbox)
{
	struct mailbox *mb = NULL;
	enum result result;

	if (lease != 0)
		return index_leased(store, caller, lease, arena, mailbox)
		    ? RESULT_OK : RESULT_NOT_FOUND;
	result = mailbox_open_for(store, grant, *mailbox, RIGHT_READ, &mb);
	mailbox_answer(&mb, 0, &result);
	return result;
}

void
verb_index_segments(void *arg, const struct caller *caller,
    struct arena *arena, const struct index_segments_request *req,
    struct index_segments_reply *reply)
{
	struct store *store = arg;
	struct index_entries e = { 0 };
	struct text out = TEXT_INIT(0);
	uint64_t mailbox = req->mailbox;
	struct span rows;

	reply->result = mailbox_for(store, caller, &req->grant, 0, arena,
	    &mailbox);
	if (reply->result == RESULT_OK)
		reply->result = index_entries_read(store, mailbox, &e);
	for (size_t i = 0; i < e.n; i++)
		index_segment_put(&out, &(struct index_segment){
		    .segment = e.at[i].segment, .first = e.at[i].first,
		    .last = e.at[i].last, .messages = e.at[i].messages,
		    .size = e.at[i].size });
	rows = arena_dup(arena, text_span(&out));
	reply->segments = BLOB_OF(rows);
	text_free(&out);
	index_entries_free(&e);
}

/* ---- ranges ---------------------------------------------------------- */

static enum result
read_ranges(struct store *store, const struct index_entries *e,
    struct span ranges, struct text *out)
{
	struct cursor c = { ranges, false };
	struct index_range r;
	int status = 1;

	while (status == 1 && (status = index_range_get(&c, &r)) == 1) {
		const struct index_entry *one = index_entries_find(e,
		    r.segment);
		size_t before = out->n;

		if (one == NULL)
			return RESULT_NOT_FOUND;
		if (r.from > one->size || r.count > one->size - r.from ||
		    r.count > READ_MAX - out->n)
			return RESULT_INVALID;
		if (r.count > 0 && (engine_body_read(store->engine, one->body,
		    r.from, r.count, out) != 1 || out->n - before != r.count))
			return RESULT_DAMAGED;
	}
	return status == 0 ? RESULT_OK : RESULT_INVALID;
}

/* What is large goes as a file, copied once. */
static enum result
answer_bytes(struct span bytes, struct arena *arena, struct blob *data)
{
	if (bytes.n > READ_SHARED) {
		*data = (struct blob){ .fd = memfd_sealed(bytes),
			.bytes = { NULL, bytes.n } };
		return data->fd >= 0 ? RESULT_OK : RESULT_TEMPORARY;
	}
	bytes = arena_dup(arena, bytes);
	*data = BLOB_OF(bytes);
	return bytes.p != NULL ? RESULT_OK : RESULT_TEMPORARY;
}

void
verb_index_read(void *arg, const struct caller *caller, struct arena *arena,
    const struct index_read_request *req, struct index_read_reply *reply)
{
	struct store *store = arg;
	struct index_entries e = { 0 };
	struct text out = TEXT_INIT(0);
	uint64_t mailbox = req->mailbox;

	reply->result = mailbox_for(store, caller, &req->grant, req->lease,
	    arena, &mailbox);
	if (reply->result == RESULT_OK)
		reply->result = index_entries_read(store, mailbox, &e);
	if (reply->result == RESULT_OK)
		reply->result = read_ranges(store, &e, req->ranges.bytes,
		    &out);
	if (reply->result == RESULT_OK)
		reply->result = answer_bytes(text_span(&out), arena,
		    &reply->data);
	text_free(&out);
	index_entries_free(&e);
}

void
verb_index_drop(void *arg, const struct caller *caller, struct arena *arena,
    const struct index_drop_request *req, struct index_drop_reply *reply)
{
	struct store *store = arg;
	struct index_entries e = { 0 };
	const struct index_entry *one;
	struct mailbox *mb = NULL;
	uint64_t mailbox = req->mailbox;

	reply->result = mailbox_for(store, caller, &req->grant, req->lease,
	    arena, &mailbox);
	if (reply->result == RESULT_OK)
		reply->result = mailbox_enter_any(store->mailboxes, mailbox,
		    &mb);
	if (reply->result == RESULT_OK)
		reply->result = index_entries_read(store, mailbox, &e);
	one = index_entries_find(&e, req->segment);
	if (reply->result == RESULT_OK && one != NULL) {
		reply->result = index_replace(store, mailbox, one, 1, NULL,
		    SPAN_EMPTY);
		log_event(LOG_LEVEL_WARNING, "index.dropped",
		    log_int("mailbox", (int64_t)mailbox));
	}
	mailbox_leave(&mb);
	index_note(store, mailbox);
	index_entries_free(&e);
}

/* ---- for the operator ------------------------------------------------ */

static void
add_status(struct store *store, uint64_t mailbox,
    struct index_status_reply *reply)
{
	struct index_entries e = { 0 };
	struct mailbox *mb;

	if (mailbox_enter_any(store->mailboxes, mailbox, &mb) != RESULT_OK)
		return;
	if (index_entries_read(store, mailbox, &e) == RESULT_OK) {
		reply->messages += mb->table.n;
		reply->indexed += index_covered(&e, &mb->table);
		reply->segments += e.n;
		for (size_t i = 0; i < e.n; i++)
			reply->bytes += e.at[i].size;
	}
	mailbox_leave(&mb);
	index_entries_free(&e);
}

void
verb_index_status(void *arg, const struct caller *caller,
    struct arena *arena, const struct index_status_request *req,
    struct index_status_reply *reply)
{
	struct store *store = arg;
	uint64_t at = req->after;

	(void)caller;
	(void)arena;
	reply->waiting = index_waiting(store->indexing);
	for (int i = 0; i < STATUS_MAILBOXES; i++) {
		if (engine_next_partition(store->engine, PARTITION_MAILBOX,
		    at, &at) != 1)
			return;
		add_status(store, at, reply);
	}
	reply->next = at;
}

void
verb_index_rebuild(void *arg, const struct caller *caller,
    struct arena *arena, const struct index_rebuild_request *req,
    struct index_rebuild_reply *reply)
{
	struct store *store = arg;
	struct mailbox *mb = NULL;

	(void)caller;
	(void)arena;
	reply->result = mailbox_open_for(store, &req->grant, req->mailbox,
	    RIGHT_READ, &mb);
	if (reply->result == RESULT_OK)
		reply->result = index_forget(store, req->mailbox);
	mailbox_leave(&mb);
	if (reply->result == RESULT_OK)
		index_note(store, req->mailbox);
}

static void
add_metric(struct text *out, const char *name, const char *type, uint64_t v)
{
	text_printf(out, "# TYPE postrider_%s %s\npostrider_%s %" PRIu64 "\n",
	    name, type, name, v);
}

void
index_metrics(struct store *store, struct text *out)
{
	struct indexing *ix = store->indexing;
	uint64_t saved, messages;

	pthread_mutex_lock(&ix->lock);
	saved = ix->saved;
	messages = ix->messages;
	pthread_mutex_unlock(&ix->lock);
	add_metric(out, "index_segments_saved_total", "counter", saved);
	add_metric(out, "index_messages_total", "counter", messages);
	add_metric(out, "index_waiting_mailboxes", "gauge",
	    index_waiting(ix));
}
