/*
 * lease.c - relay takes envelopes out, and says what became of them.
 *
 * A lease lives in memory alone: it ends with a report, with relay's link, or
 * with this process. Who leased an envelope is believed when it says that
 * another system has it, and about that envelope only: a report of one that
 * is not leased to its link is refused as a whole.
 *
 * A report is applied when it is answered, and on disk within a second. What
 * a loss of power takes back is sent again, as RFC 5321 (6.1) would rather
 * have it than lost.
 *
 * Nothing is leased to a link that has not said what relay has in hand
 * (queue_resume): a call for more that is repeated after our start may be here
 * before that word.
 */
#include "base/clock.h"
#include "base/log.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "store/group.h"
#include "store/suppress.h"
#include "store/trace.h"
#include "store/verbs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	LEASE_MAX = 64,			/* envelopes of one answer */
	LEASED_MAX = 100000,		/* of all together */
	ROWS_ENOUGH = 8 << 20,		/* bytes; what is left goes next time */
	ROWS_MAX = 16 << 20,
	BODY_INLINE = 1 << 20,		/* the largest sent along */
	BODY_CHUNK = 1 << 20,
	TOKEN = 16,
};

static struct queue_entry *
of_line(struct dispatch_item *item)
{
	return (struct queue_entry *)(void *)((char *)item -
	    offsetof(struct queue_entry, line));
}

/* -- what relay has in hand already ---------------------------------------- */

/* Under the lock: out of where it waits, and leased. */
static void
lease(struct queue *q, struct queue_entry *e, struct destination *at,
    uint64_t link)
{
	schedule_remove(&q->schedule, &e->item);
	e->state = ENTRY_LEASED;
	e->at = at;
	e->link = link;
	e->lease = true;
	q->leased++;
}

/* Its destination, while the entry is ours (BUSY). False: it is gone. */
static bool
claim(struct queue *q, struct queue_entry *entry, struct arena *arena,
    uint64_t link)
{
	struct envelope e;
	bool done;

	arena_reset(arena);
	done = queue_load(q, entry, arena, &e) == 1 && e.domain.n > 0;
	if (done) {
		pthread_mutex_lock(&q->lock);
		lease(q, entry, queue_claim(q, &e), link);
		q->busy--;
		pthread_mutex_unlock(&q->lock);
	}
	return done;
}

static void
resume_one(struct queue *q, const struct token *token, struct arena *arena,
    uint64_t link)
{
	struct queue_entry *e;

	pthread_mutex_lock(&q->lock);
	e = tokens_find(&q->live, token);
	if (e != NULL && e->state == ENTRY_LEASED) {
		e->link = link;
		e = NULL;
	}
	pthread_mutex_unlock(&q->lock);
	if (queue_seize(q, token, &e) == RESULT_OK && !claim(q, e, arena,
	    link))
		queue_wait(q, e, clock_wall_seconds());
}

void
verb_queue_resume(void *arg, const struct caller *caller,
    struct arena *arena, const struct queue_resume_request *req,
    struct queue_resume_reply *reply)
{
	struct queue *q = ((struct store *)arg)->queue;
	struct arena *work = arena_new(16 << 20);
	struct span tokens = req->tokens.bytes;

	(void)arena;
	serve_may_block();
	if (tokens.n % TOKEN != 0 || tokens.n / TOKEN > LEASED_MAX)
		reply->result = RESULT_INVALID;
	for (; reply->result == RESULT_OK && tokens.n > 0;
	    tokens = span_from(tokens, TOKEN)) {
		struct token token;

		memcpy(token.b, tokens.p, TOKEN);
		resume_one(q, &token, work, caller->link);
	}
	pthread_mutex_lock(&q->lock);
	q->relay = caller->link;
	pthread_mutex_unlock(&q->lock);
	arena_free(&work);
}

/* -- taking out ------------------------------------------------------------ */

/* As many as go to one destination now; the entries are leased. */
static size_t
take(struct queue *q, const struct queue_lease_request *req, uint64_t link,
    struct queue_entry **out, struct arena *arena, struct span *name)
{
	struct dispatch_item *items[LEASE_MAX];
	struct destination_view view;
	struct destination *at;
	monotime_t wake, now = clock_mono();
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	if (!q->stopping && q->leased < LEASED_MAX && q->relay == link)
		n = dispatch_take(q->dispatch, req->prefer, now, items,
		    MIN(req->count, LEASE_MAX), &at, &wake);
	for (size_t i = 0; i < n; i++) {
		out[i] = of_line(items[i]);
		lease(q, out[i], at, link);
	}
	if (n > 0) {
		dispatch_view(at, &view);
		*name = arena_dup(arena, view.name);
	}
	q->counts.leases += n;
	if (q->relay == link)
		q->relay_idle = n == 0;
	pthread_mutex_unlock(&q->lock);
	return n;
}

/* It cannot be given out just now: its worker looks at it again. */
static void
give_back(struct queue *q, struct queue_entry *e, int64_t due)
{
	pthread_mutex_lock(&q->lock);
	dispatch_lost(q->dispatch, e->at, 1);
	q->leased--;
	q->busy++;
	e->lease = false;
	e->state = ENTRY_BUSY;
	pthread_mutex_unlock(&q->lock);
	queue_wait(q, e, due);
}

static struct span
small_body(struct store *store, const struct envelope *e, uint64_t room,
    struct text *body)
{
	struct body_id id;
	uint64_t n = e->size - e->prefix;

	text_clear(body);
	if (n == 0 || n > BODY_INLINE || n > room)
		return SPAN_EMPTY;
	memcpy(id.b, e->body.b, sizeof(id.b));
	if (engine_body_read(store->engine, id, e->prefix, n, body) != 1)
		return SPAN_EMPTY;
	return text_span(body);
}

/* A row of it. 1; 0 it cannot be read. */
static int
add_row(struct store *store, struct queue_entry *entry, struct arena *arena,
    uint64_t *room, struct text *rows)
{
	struct lease_row row = { .token = entry->token };
	struct text body = TEXT_INIT(0);
	struct envelope e;
	size_t before = rows->n;

	if (queue_record(store->queue, entry, arena, &row.envelope) != 1 ||
	    envelope_decode(row.envelope, arena, &e) != 1)
		return 0;
	row.body = small_body(store, &e, *room, &body);
	*room -= row.body.n;
	lease_row_put(rows, &row);
	text_free(&body);
	if (!text_full(rows))
		return 1;
	rows->n = before;
	return 0;
}

void
verb_queue_lease(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_lease_request *req, struct queue_lease_reply *reply)
{
	struct store *store = arg;
	struct queue_entry *entries[LEASE_MAX];
	struct text rows = TEXT_INIT(ROWS_MAX);
	uint64_t room = MIN(req->room, ROWS_ENOUGH);
	size_t n = take(store->queue, req, caller->link, entries, arena,
	    &reply->destination);

	for (size_t i = 0; i < n; i++) {
		int rc = rows.n > ROWS_ENOUGH ? -1 : add_row(store,
		    entries[i], arena, &room, &rows);

		if (rc == 0)
			log_event(LOG_LEVEL_ERROR, "queue.unreadable",
			    log_errno());
		if (rc != 1)
			give_back(store->queue, entries[i],
			    clock_wall_seconds() + (rc == 0 ? 3600 : 0));
	}
	reply->rows = BLOB_OF(arena_dup(arena, text_span(&rows)));
	text_free(&rows);
}

/* -- a large message ------------------------------------------------------- */

/* A file for the other side to map, sealed as the contract wants it. */
static int
share_body(struct engine *engine, const struct envelope *e)
{
	int fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct text chunk = TEXT_INIT(0);
	struct body_id id;
	int rc = fd < 0 ? -1 : 1;

	memcpy(id.b, e->body.b, sizeof(id.b));
	for (uint64_t at = e->prefix; rc == 1 && at < e->size;
	    at += BODY_CHUNK) {
		text_clear(&chunk);
		rc = engine_body_read(engine, id, at, BODY_CHUNK, &chunk);
		if (rc == 1 && write(fd, chunk.p, chunk.n) !=
		    (ssize_t)chunk.n)
			rc = -1;
	}
	text_free(&chunk);
	if (rc == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void
verb_queue_body(void *arg, const struct caller *caller, struct arena *arena,
    const struct queue_body_request *req, struct queue_body_reply *reply)
{
	struct store *store = arg;
	struct queue *q = store->queue;
	struct queue_entry *entry;
	struct envelope e;
	struct span record;
	bool leased;
	int fd;

	pthread_mutex_lock(&q->lock);
	entry = tokens_find(&q->live, &req->token);
	leased = entry != NULL && entry->state == ENTRY_LEASED &&
	    entry->link == caller->link;
	pthread_mutex_unlock(&q->lock);
	reply->result = RESULT_NOT_FOUND;
	if (!leased || queue_find(q, &req->token, arena, &record) != 1 ||
	    envelope_decode(record, arena, &e) != 1)
		return;
	fd = share_body(store->engine, &e);
	reply->result = fd >= 0 ? RESULT_OK : RESULT_TEMPORARY;
	if (fd >= 0)
		reply->body = (struct blob){ .fd = fd,
		    .bytes = { NULL, e.size - e.prefix } };
}

/* -- what became of them --------------------------------------------------- */

/* A report being taken. */
struct report {
	struct store *store;
	const struct queue_report_request *req;
	struct queue_entry **entries;
	size_t n;
	struct outcome_row *outcomes;	/* in the order of the entries */
	size_t outcome_count;
};

/*
 * Under the lock: the envelopes it is about, BUSY from now on. Those that are
 * no more are passed over. RESULT_DENIED: one is not leased to this link.
 */
static enum result
claim_all(struct report *r, uint64_t link)
{
	struct queue *q = r->store->queue;
	struct span tokens = r->req->tokens.bytes;

	for (; tokens.n > 0; tokens = span_from(tokens, TOKEN)) {
		struct queue_entry *e;
		struct token token;

		memcpy(token.b, tokens.p, TOKEN);
		e = queue_summon(q, &token);
		if (e == NULL)
			continue;
		if (e->state != ENTRY_LEASED || e->link != link)
			return RESULT_DENIED;
		e->state = ENTRY_BUSY;
		q->busy++;
		r->entries[r->n++] = e;
	}
	return RESULT_OK;
}

/* Nothing of it is taken: they are leased as before. */
static void
unclaim_all(struct report *r)
{
	struct queue *q = r->store->queue;

	for (size_t i = 0; i < r->n; i++) {
		r->entries[i]->state = ENTRY_LEASED;
		q->busy--;
	}
	pthread_cond_broadcast(&q->settled);
	r->n = 0;
}

static enum result
read_outcomes(struct report *r, struct arena *arena)
{
	struct cursor c = { r->req->outcomes.bytes, false };
	struct outcome_row row;
	size_t room = 0;
	int rc;

	while ((rc = outcome_row_get(&c, &row)) == 1) {
		if (row.outcome >= RELAY_OUTCOMES)
			return RESULT_INVALID;
		if (r->outcome_count == room) {
			size_t more = MAX(room * 2, 16);

			r->outcomes = arena_grow(arena, r->outcomes,
			    room * sizeof(row), more * sizeof(row));
			room = more;
		}
		if (r->outcomes == NULL)
			return RESULT_LIMIT;
		r->outcomes[r->outcome_count++] = row;
	}
	return rc == 0 ? RESULT_OK : RESULT_INVALID;
}

static void
trace_outcome(struct group *g, struct work *w, const char *event,
    const struct envelope_recipient *to, const struct outcome_row *o)
{
	struct text text = TEXT_INIT(4096);

	text_printf(&text, "to=<%.*s>", SPAN_ARG(to->address));
	if (o->remote.n > 0)
		text_printf(&text, " via=%.*s", SPAN_ARG(o->remote));
	if (o->details.n > 0)
		text_printf(&text, " %.*s", SPAN_ARG(o->details));
	if (o->outcome != RELAY_SENT && o->outcome != RELAY_SENT_SILENT)
		text_printf(&text, " reason=%.*s", SPAN_ARG(o->reason));
	if (o->answer.n > 0)
		text_printf(&text, " answer=%.*s", SPAN_ARG(o->answer));
	trace_step(&w->rows, &w->envelope.token, g->now, event, "%.*s",
	    SPAN_ARG(text_span(&text)));
	text_free(&text);
}

/* One recipient. The spans of the report live as long as the call. */
static void
apply(struct group *g, struct work *w, struct envelope_recipient *to,
    const struct outcome_row *o)
{
	struct bounce_fate *fate = &w->fates[to - w->envelope.recipients];

	fate->remote = o->remote;
	fate->answer = o->answer;
	switch ((enum relay_outcome)o->outcome) {
	case RELAY_SENT:
	case RELAY_SENT_SILENT:
		to->state = RECIPIENT_DONE;
		to->reason = SPAN_EMPTY;
		fate->action = o->outcome == RELAY_SENT ? BOUNCE_NOTHING
		    : BOUNCE_IS_RELAYED;
		w->sent++;
		w->tried = true;
		trace_outcome(g, w, "sent", to, o);
		break;
	case RELAY_DEFERRED:
		to->reason = o->reason;
		w->tried = w->deferred = true;
		trace_outcome(g, w, "deferred", to, o);
		break;
	case RELAY_FAILED:
		to->state = RECIPIENT_FAILED;
		to->reason = o->reason;
		w->tried = true;
		trace_outcome(g, w, "failed", to, o);
		suppress_note(g->store, to->address, o->reason);
		break;
	case RELAY_UNTRIED:
	case RELAY_OUTCOMES:
		break;
	}
}

static int
by_token(const void *a, const void *b)
{
	const struct outcome_row *x = a, *y = b;

	return memcmp(x->token.b, y->token.b, TOKEN);
}

/* The outcomes of one envelope; they lie together. */
static size_t
outcomes_of(const struct report *r, const struct token *token, size_t *first)
{
	size_t low = 0, high = r->outcome_count, n = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(r->outcomes[middle].token.b, token->b, TOKEN) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*first = low; low + n < r->outcome_count && memcmp(
	    r->outcomes[low + n].token.b, token->b, TOKEN) == 0; n++)
		;
	return n;
}

static bool
outcomes_can_be(const struct report *r, const struct work *w)
{
	size_t first, n = outcomes_of(r, &w->envelope.token, &first);

	must(n == 0 || r->outcomes != NULL);
	for (size_t i = first; i < first + n; i++)
		if (r->outcomes[i].recipient >= w->envelope.count)
			return false;
	return true;
}

static void
apply_all(struct group *g, struct work *w, const struct report *r)
{
	size_t first, n = outcomes_of(r, &w->envelope.token, &first);

	must(n == 0 || r->outcomes != NULL);
	for (size_t i = first; i < first + n; i++) {
		struct envelope_recipient *to =
		    &w->envelope.recipients[r->outcomes[i].recipient];

		if (to->state == RECIPIENT_WAITING)
			apply(g, w, to, &r->outcomes[i]);
	}
	if (w->tried)
		group_settle(g, w);
	else
		group_leave(w, OUTCOME_LINE);
}

/*
 * A group of the envelopes, from the one at `from` on. RESULT_INVALID: one of
 * them has an outcome that cannot be; nothing of the group is taken.
 */
static enum result
take_group(struct report *r, struct group *g, size_t from, size_t n)
{
	enum destination_state state = (enum destination_state)r->req->state;
	struct queue *q = r->store->queue;
	bool good = true;

	for (size_t i = 0; i < n && good; i++) {
		struct work *w = group_add(g, r->entries[from + i]);

		good = w->outcome == OUTCOME_SKIPPED || outcomes_can_be(r, w);
	}
	if (!good)
		return RESULT_INVALID;
	for (size_t i = 0; i < n; i++) {
		if (g->works[i].outcome != OUTCOME_SKIPPED)
			apply_all(g, &g->works[i], r);
		queue_unlease(q, r->entries[from + i], state, r->req->reason);
	}
	return group_end(g) == 1 ? RESULT_OK : RESULT_TEMPORARY;
}

static enum result
take_report(struct report *r)
{
	struct arena *arena = arena_new(64 << 20);
	struct group *g = xcalloc(1, sizeof(*g));
	enum result result = RESULT_OK;
	size_t at = 0;

	while (result == RESULT_OK && at < r->n) {
		size_t n = MIN(r->n - at, QUEUE_GROUP);

		group_begin(g, r->store->queue, arena);
		result = take_group(r, g, at, n);
		if (result == RESULT_INVALID)
			group_abort(g);
		else
			at += n;
	}
	free(g);
	arena_free(&arena);
	r->entries += at;
	r->n -= at;
	return result;
}

void
verb_queue_report(void *arg, const struct caller *caller,
    struct arena *arena, const struct queue_report_request *req,
    struct queue_report_reply *reply)
{
	struct store *store = arg;
	struct report r = { .store = store, .req = req };
	struct span tokens = req->tokens.bytes;

	r.entries = arena_alloc(arena, tokens.n / TOKEN *
	    sizeof(struct queue_entry *) + 1);
	if (r.entries == NULL || tokens.n % TOKEN != 0 ||
	    req->state >= DESTINATION_STATES)
		reply->result = RESULT_INVALID;
	else
		reply->result = read_outcomes(&r, arena);
	if (reply->result != RESULT_OK)
		return;
	if (r.outcome_count > 0)
		qsort(r.outcomes, r.outcome_count, sizeof(r.outcomes[0]),
		    by_token);
	pthread_mutex_lock(&store->queue->lock);
	reply->result = claim_all(&r, caller->link);
	if (reply->result != RESULT_OK)
		unclaim_all(&r);
	pthread_mutex_unlock(&store->queue->lock);
	if (reply->result == RESULT_OK)
		reply->result = take_report(&r);
	pthread_mutex_lock(&store->queue->lock);
	unclaim_all(&r);
	pthread_mutex_unlock(&store->queue->lock);
}
