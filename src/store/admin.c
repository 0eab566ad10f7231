/*
 * admin.c - the operator's verbs: the directory, the queue, numbers.
 *
 * They come over links of the role CLI alone: the admin socket, which only
 * the data directory's owner can open. The contract refuses them from others.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ipc/wire.h"
#include "store/auth.h"
#include "store/directory.h"
#include "store/queue.h"
#include "store/trace.h"
#include "store/verbs.h"

enum {
	ROWS_MAX = 1 << 20,
	QUEUE_ROWS_MAX = 16 << 20,
	QUEUE_ROWS = 1000,
	RECIPIENTS_TEXT = 65536,
};

/* -- the directory --------------------------------------------------------- */

void
verb_domain_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct domain_add_request *req, struct domain_add_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	(void)arena;
	reply->result = directory_domain_add(store->directory, req->domain);
}

void
verb_domain_remove(void *arg, const struct caller *caller,
    struct arena *arena, const struct domain_remove_request *req,
    struct domain_remove_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	(void)arena;
	reply->result = directory_domain_remove(store->directory,
	    req->domain);
}

void
verb_account_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct account_add_request *req, struct account_add_reply *reply)
{
	struct store *store = arg;
	struct text credentials = TEXT_INIT(0);

	(void)caller;
	(void)arena;
	reply->result = auth_make_password(store->auth, req->password,
	    &credentials);
	if (reply->result == RESULT_OK)
		reply->result = directory_account_add(store->directory,
		    req->address, text_span(&credentials), &reply->account);
	if (reply->result == RESULT_OK)
		queue_retry(store->queue);
	text_wipe(&credentials);
}

void
verb_account_remove(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_remove_request *req,
    struct account_remove_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	(void)arena;
	reply->result = directory_account_remove(store->directory,
	    req->address);
}

void
verb_account_password(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_password_request *req,
    struct account_password_reply *reply)
{
	struct store *store = arg;
	struct text credentials = TEXT_INIT(0);

	(void)caller;
	(void)arena;
	reply->result = auth_make_password(store->auth, req->password,
	    &credentials);
	if (reply->result == RESULT_OK)
		reply->result = directory_account_password(store->directory,
		    req->address, text_span(&credentials));
	text_wipe(&credentials);
}

void
verb_alias_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct alias_add_request *req, struct alias_add_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	reply->result = directory_alias_add(store->directory, req->address,
	    req->targets, arena, &reply->bad_target);
	if (reply->result == RESULT_OK)
		queue_retry(store->queue);
}

void
verb_alias_remove(void *arg, const struct caller *caller,
    struct arena *arena, const struct alias_remove_request *req,
    struct alias_remove_reply *reply)
{
	struct store *store = arg;

	(void)caller;
	(void)arena;
	reply->result = directory_alias_remove(store->directory,
	    req->address);
}

void
verb_directory_list(void *arg, const struct caller *caller,
    struct arena *arena, const struct directory_list_request *req,
    struct directory_list_reply *reply)
{
	struct store *store = arg;
	struct text rows = TEXT_INIT(2 * ROWS_MAX);
	bool more = false;

	(void)caller;
	serve_may_block();
	reply->result = directory_rows(store->directory, req->kind,
	    req->domain, req->after, &rows, ROWS_MAX, &more);
	reply->more = more;
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rows);
}

void
verb_account_grant(void *arg, const struct caller *caller,
    struct arena *arena, const struct account_grant_request *req,
    struct account_grant_reply *reply)
{
	struct store *store = arg;
	struct account account;
	struct holder holder = { .service = PROTOCOL_ADMIN,
	    .operator_acts = true };
	int rc = directory_login(store->directory, req->address, arena,
	    &account);

	(void)caller;
	if (rc != 1) {
		reply->result = rc == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
		return;
	}
	holder.account = account.id;
	holder.epoch = account.epoch;
	grant_make(store, &holder, &reply->grant);
}

/* -- the queue ------------------------------------------------------------- */

static const char *
recipient_state_name(enum recipient_state state)
{
	static const char *const names[RECIPIENT_STATES] = {
		"waiting", "done", "failed"
	};

	return names[state];
}

static void
add_queue_row(struct text *rows, const struct envelope *e)
{
	struct text recipients = TEXT_INIT(RECIPIENTS_TEXT);
	char id[QUEUE_ID_CHARS + 1];

	queue_id_of(&e->token, id);
	for (size_t i = 0; i < e->count; i++) {
		const struct envelope_recipient *r = &e->recipients[i];

		text_printf(&recipients, "%s<%.*s> %s%s%.*s",
		    i > 0 ? "\n" : "", SPAN_ARG(r->address),
		    recipient_state_name(r->state),
		    r->reason.n > 0 ? ": " : "", SPAN_ARG(r->reason));
	}
	queue_row_put(rows, &(struct queue_row){
	    .queue_id = span_str(id), .sender = e->sender,
	    .recipients = text_span(&recipients), .size = e->size,
	    .arrived = e->arrived / 1000000,
	    .next_attempt = e->next_attempt, .attempts = e->attempts,
	    .state = span_str(envelope_state_name(e->state)),
	    .reason = e->reason });
	text_free(&recipients);
}

struct queue_listing {
	struct text *rows;
	uint32_t count, max;
	bool more;
	char last[QUEUE_ID_CHARS + 1];
};

static bool
list_envelope(void *arg, const struct envelope *e)
{
	struct queue_listing *l = arg;
	size_t before = l->rows->n;

	if (l->count < l->max)
		add_queue_row(l->rows, e);
	if (l->count == l->max || text_full(l->rows)) {
		l->rows->n = before;
		l->more = true;
		return false;
	}
	queue_id_of(&e->token, l->last);
	l->count++;
	return true;
}

void
verb_queue_list(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_list_request *req, struct queue_list_reply *reply)
{
	struct store *store = arg;
	struct text rows = TEXT_INIT(QUEUE_ROWS_MAX);
	struct queue_listing l = { &rows, 0,
	    MIN(MAX(req->count, 1), QUEUE_ROWS), false, "" };
	uint8_t token[QUEUE_ID_TOKEN];
	size_t active, waiting;
	int rc;

	(void)caller;
	serve_may_block();
	if (req->after.n == 0) {
		rc = queue_walk(store, NULL, list_envelope, &l);
	} else if (queue_id_parse(req->after, token) == 1) {
		rc = queue_walk_after(store, token, list_envelope, &l);
	} else {
		reply->result = RESULT_INVALID;
		return;
	}
	queue_counts(store->queue, &active, &waiting);
	reply->total = active + waiting;
	if (l.more)
		reply->next = arena_dup(arena, span_str(l.last));
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	if (rc == -1)
		reply->result = RESULT_TEMPORARY;
	text_free(&rows);
}

/* The envelope of a queue id, copied into the arena. */
struct found_envelope {
	struct arena *arena;
	struct envelope envelope;
	struct text record;
	bool found;
};

static bool
find_envelope(void *arg, const struct envelope *e)
{
	struct found_envelope *f = arg;
	struct span record;

	envelope_encode(e, &f->record);
	record = arena_dup(f->arena, text_span(&f->record));
	f->found = record.p != NULL &&
	    envelope_decode(record, f->arena, &f->envelope) == 1;
	return false;
}

static enum result
read_envelope(struct store *store, struct span id, struct arena *arena,
    struct envelope *out)
{
	struct found_envelope f = { .arena = arena };
	uint8_t token[QUEUE_ID_TOKEN];
	int rc;

	if (queue_id_parse(id, token) != 1)
		return RESULT_INVALID;
	rc = queue_walk(store, token, find_envelope, &f);
	text_free(&f.record);
	if (rc == -1)
		return RESULT_TEMPORARY;
	*out = f.envelope;
	return f.found ? RESULT_OK : RESULT_NOT_FOUND;
}

void
verb_queue_show(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_show_request *req, struct queue_show_reply *reply)
{
	struct store *store = arg;
	struct text row = TEXT_INIT(ROWS_MAX), body = TEXT_INIT(0);
	struct envelope e;
	struct body_id id;

	(void)caller;
	reply->result = read_envelope(store, req->queue_id, arena, &e);
	if (reply->result != RESULT_OK)
		return;
	add_queue_row(&row, &e);
	memcpy(id.b, e.body.b, sizeof(id.b));
	if (engine_body_read(store->engine, id, 0, e.size, &body) != 1)
		reply->result = RESULT_DAMAGED;
	reply->row = BLOB_OF(arena_dup(arena, text_span(&row)));
	reply->body = BLOB_OF(arena_dup(arena, text_span(&body)));
	if (reply->body.bytes.p == NULL)
		reply->result = RESULT_LIMIT;
	text_free(&row);
	text_free(&body);
}

/* Two batches, as at the end of a delivery: the trace, then the queue. */
static int
commit_removal(struct store *store, struct envelope *e)
{
	struct batch *trace = batch_new(trace_partition(e->arrived));
	struct batch *batch = batch_new(queue_partition);
	struct text rows = TEXT_INIT(2 * TRACE_STEPS_MAX);
	ticket_t ticket = 0;
	int rc;

	if (e->attempts++ == 0)
		trace_accepted(&rows, e);
	trace_step(&rows, &e->token, clock_wall(), "deleted",
	    "by=operator");
	trace_put(trace, e, e->attempts, text_span(&rows));
	queue_end(batch, e);
	rc = engine_commit(store->engine, trace, NULL);
	if (rc == 1)
		rc = engine_commit(store->engine, batch, &ticket);
	if (rc == 1)
		rc = engine_sync(store->engine, ticket);
	text_free(&rows);
	batch_free(&trace);
	batch_free(&batch);
	return rc;
}

void
verb_queue_delete(void *arg, const struct caller *caller,
    struct arena *arena, const struct queue_delete_request *req,
    struct queue_delete_reply *reply)
{
	struct store *store = arg;
	struct queue_entry *entry = NULL;
	struct queue_counts one = { .removed = 1 };
	struct envelope e;

	(void)caller;
	serve_may_block();
	reply->result = read_envelope(store, req->queue_id, arena, &e);
	if (reply->result == RESULT_OK)
		reply->result = queue_seize(store->queue, &e.token, &entry);
	if (reply->result != RESULT_OK)
		return;
	/* Ours now: it may have been tried since it was read. */
	reply->result = read_envelope(store, req->queue_id, arena, &e);
	if (reply->result == RESULT_OK && commit_removal(store, &e) != 1)
		reply->result = RESULT_TEMPORARY;
	if (reply->result == RESULT_OK) {
		queue_ended(store->queue, entry);
		queue_count(store->queue, &one);
		log_event(LOG_LEVEL_INFO, "queue.deleted",
		    log_text("queue_id", req->queue_id));
	} else {
		queue_wait(store->queue, entry, clock_wall_seconds());
	}
}

/* -- numbers --------------------------------------------------------------- */

static void
add_metric(struct text *out, const char *name, const char *type,
    uint64_t value)
{
	text_printf(out, "# TYPE postrider_%s %s\npostrider_%s %" PRIu64
	    "\n", name, type, name, value);
}

static void
add_queue_metrics(struct text *out, struct queue *queue)
{
	size_t active, waiting;
	struct queue_counts c = queue_counts(queue, &active, &waiting);

	add_metric(out, "queue_active", "gauge", active);
	add_metric(out, "queue_waiting", "gauge", waiting);
	add_metric(out, "queue_accepted_total", "counter", c.accepted);
	add_metric(out, "queue_delivered_total", "counter", c.delivered);
	add_metric(out, "queue_deferred_total", "counter", c.deferred);
	add_metric(out, "queue_held_total", "counter", c.held);
	add_metric(out, "queue_returned_total", "counter", c.bounced);
	add_metric(out, "queue_deleted_total", "counter", c.removed);
}

void
verb_store_status(void *arg, const struct caller *caller,
    struct arena *arena, const struct store_status_request *req,
    struct store_status_reply *reply)
{
	struct store *store = arg;
	struct text out = TEXT_INIT(ROWS_MAX);
	struct engine_stats stats = { 0 };
	uint64_t logins, failures, lockouts;
	size_t dialogues;

	(void)caller;
	(void)req;
	add_queue_metrics(&out, store->queue);
	auth_count(store->auth, &logins, &failures, &lockouts, &dialogues);
	add_metric(&out, "logins_total", "counter", logins);
	add_metric(&out, "login_failures_total", "counter", failures);
	add_metric(&out, "login_lockouts_total", "counter", lockouts);
	add_metric(&out, "login_dialogues", "gauge", dialogues);
	engine_stats(store->engine, &stats);
	add_metric(&out, "store_commits_total", "counter", stats.commits);
	add_metric(&out, "store_syncs_total", "counter", stats.syncs);
	add_metric(&out, "store_written_bytes_total", "counter",
	    stats.bytes_written);
	add_metric(&out, "store_bodies", "gauge", stats.bodies);
	add_metric(&out, "store_disk_bytes", "gauge", stats.disk_bytes);
	reply->metrics = BLOB_OF(arena_dup(arena, text_span(&out)));
	text_free(&out);
}
