/*
 * admin.c - the operator's verbs: the directory, numbers.
 *
 * They come over links of the role CLI alone: the admin socket, which only
 * the data directory's owner can open. The contract refuses them from others.
 */
#include "base/metric.h"
#include "ipc/wire.h"
#include "store/auth.h"
#include "store/directory.h"
#include "store/index.h"
#include "store/queue.h"
#include "store/verbs.h"

enum { ROWS_MAX = 1 << 20 };

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
	    SPAN_EMPTY, &credentials);
	if (reply->result == RESULT_OK)
		reply->result = directory_account_add(store->directory,
		    req->address, text_span(&credentials), &reply->account);
	if (reply->result == RESULT_OK)
		queue_retry(store->queue);
	text_wipe(&credentials);
}

/* A password that nobody has seen. */
void
verb_shared_add(void *arg, const struct caller *caller, struct arena *arena,
    const struct shared_add_request *req, struct shared_add_reply *reply)
{
	struct store *store = arg;
	struct text credentials = TEXT_INIT(0);
	char secret[TOKEN_NAME_CHARS + 1];
	struct token token = token_new();

	(void)caller;
	(void)arena;
	token_name(&token, secret);
	reply->result = auth_make_password(store->auth, span_str(secret),
	    SPAN_EMPTY, &credentials);
	if (reply->result == RESULT_OK)
		reply->result = directory_shared_add(store->directory,
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

	(void)caller;
	(void)arena;
	reply->result = auth_set_password(store->auth, req->address,
	    req->password);
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
	if (rc == 0)
		rc = directory_mask_owner(store->directory, req->address,
		    arena, &account);
	if (rc != 1) {
		reply->result = rc == 0 ? RESULT_NOT_FOUND : RESULT_TEMPORARY;
		return;
	}
	holder.account = account.id;
	holder.epoch = account.epoch;
	grant_make(store, &holder, &reply->grant);
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
	add_metric(out, "queue_sent_total", "counter", c.sent);
	add_metric(out, "queue_dropped_total", "counter", c.dropped);
	add_metric(out, "queue_leases_total", "counter", c.leases);
	add_metric(out, "queue_leases_lost_total", "counter", c.leases_lost);
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
	index_metrics(store, &out);
	reply->metrics = BLOB_OF(arena_dup(arena, text_span(&out)));
	text_free(&out);
}
