/*
 * index.c - which mailboxes have to be looked at, and their segments on disk.
 */
#include "store/index.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { WALK_AT_ONCE = 64, SETTLED_VERSION = 1 };

static struct partition
partition_of(uint64_t mailbox)
{
	return (struct partition){ PARTITION_INDEX, mailbox };
}

static struct span
todo_key(const uint64_t *mailbox)
{
	return span_of(mailbox, sizeof(*mailbox));
}

struct indexing *
indexing_new(struct store *store)
{
	struct indexing *ix = xcalloc(1, sizeof(*ix));

	ix->store = store;
	ix->todos = map_new();
	pthread_mutex_init(&ix->lock, NULL);
	return ix;
}

void
indexing_free(struct indexing **ixp)
{
	struct indexing *ix = *ixp;
	size_t at = 0;
	struct span key;
	void *todo;

	if (ix == NULL)
		return;
	while (map_next(ix->todos, &at, &key, &todo))
		free(todo);
	map_free(&ix->todos);
	free(ix->lease.segments);
	pthread_mutex_destroy(&ix->lock);
	free(ix);
	*ixp = NULL;
}

/* ---- lines, under the lock ------------------------------------------- */

static void
line_add(struct todo_line *line, struct todo *t)
{
	t->line = line;
	t->next = NULL;
	t->before = line->last;
	if (line->last != NULL)
		line->last->next = t;
	else
		line->first = t;
	line->last = t;
}

static void
line_remove(struct todo *t)
{
	struct todo_line *line = t->line;

	if (t->before != NULL)
		t->before->next = t->next;
	else
		line->first = t->next;
	if (t->next != NULL)
		t->next->before = t->before;
	else
		line->last = t->before;
	t->line = NULL;
}

static void
line_move(struct todo_line *line, struct todo *t)
{
	line_remove(t);
	line_add(line, t);
}

static bool
is_past(monotime_t at)
{
	return !mono_before(clock_mono(), at);
}

static void
note(struct indexing *ix, uint64_t mailbox)
{
	struct todo *t = map_get(ix->todos, todo_key(&mailbox));

	if (t == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->mailbox = mailbox;
		map_put(ix->todos, todo_key(&mailbox), t);
		line_add(&ix->ready, t);
	} else if (t->line == &ix->later) {
		line_move(&ix->ready, t);
	} else if (t->begun || t->line == &ix->resting) {
		t->again = true;
	}
}

void
index_note(struct store *store, uint64_t mailbox)
{
	struct indexing *ix = store->indexing;
	struct server *server = store_server(store);
	uint64_t link = 0;

	if (ix == NULL || !store_settings(store)->index_enabled)
		return;
	pthread_mutex_lock(&ix->lock);
	note(ix, mailbox);
	if (ix->idle)
		link = ix->link;
	ix->idle = false;
	pthread_mutex_unlock(&ix->lock);
	if (link != 0 && server != NULL)
		server_note_index_work(server, link);
}

/* Under the lock. */
static void
wake_rested(struct indexing *ix)
{
	struct todo *t;

	while ((t = ix->resting.first) != NULL && is_past(t->rested)) {
		if (t->again) {
			line_move(&ix->ready, t);
		} else if (t->clean.ms != 0) {
			line_move(&ix->later, t);
		} else {
			line_remove(t);
			must(ix->resting.first != t);
			map_remove(ix->todos, todo_key(&t->mailbox));
			free(t);
		}
	}
}

struct todo *
index_take(struct indexing *ix)
{
	struct todo *t;

	pthread_mutex_lock(&ix->lock);
	wake_rested(ix);
	t = ix->ready.first;
	if (t == NULL && ix->later.first != NULL &&
	    is_past(ix->later.first->clean))
		t = ix->later.first;
	if (t != NULL) {
		line_remove(t);
		if (!t->begun)
			t->again = false;
		t->begun = true;
	}
	pthread_mutex_unlock(&ix->lock);
	return t;
}

void
index_again(struct indexing *ix, struct todo *t)
{
	pthread_mutex_lock(&ix->lock);
	line_add(&ix->ready, t);
	pthread_mutex_unlock(&ix->lock);
}

void
index_done(struct indexing *ix, struct todo *t, bool dirty)
{
	const struct settings *s = store_settings(ix->store);

	pthread_mutex_lock(&ix->lock);
	if (!dirty)
		t->clean.ms = 0;
	else if (t->clean.ms == 0)
		t->clean = clock_after(s->index_clean_after);
	t->begun = false;
	t->end = 0;
	t->rested = clock_after(s->index_gather);
	line_add(&ix->resting, t);
	pthread_mutex_unlock(&ix->lock);
}

uint32_t
index_idle(struct indexing *ix, uint64_t link, uint32_t most)
{
	int64_t ms = most;

	pthread_mutex_lock(&ix->lock);
	ix->link = link;
	ix->idle = ix->ready.first == NULL;
	if (!ix->idle)
		ms = 0;
	else if (ix->later.first != NULL)
		ms = MIN(ms, mono_left(ix->later.first->clean));
	if (ix->resting.first != NULL)
		ms = MIN(ms, mono_left(ix->resting.first->rested));
	pthread_mutex_unlock(&ix->lock);
	return (uint32_t)ms;
}

uint64_t
index_waiting(struct indexing *ix)
{
	uint64_t n;

	pthread_mutex_lock(&ix->lock);
	n = map_count(ix->todos);
	for (struct todo *t = ix->resting.first; t != NULL; t = t->next)
		n -= !t->again && t->clean.ms == 0;
	pthread_mutex_unlock(&ix->lock);
	return n;
}

/* ---- after the start ------------------------------------------------- */

/* The version of the mailbox at which it was indexed and clean; 0: never. */
static uint64_t
settled_version(struct store *store, uint64_t mailbox)
{
	struct arena *arena = arena_new(4096);
	struct key key = key_letter(INDEX_SETTLED);
	struct span value;
	struct cursor c = { 0 };
	uint64_t version = 0;

	if (engine_get(store->engine, partition_of(mailbox), key_span(&key),
	    arena, &value) == 1) {
		c.rest = value;
		if (get_u8(&c) == SETTLED_VERSION)
			version = get_u64(&c);
	}
	arena_free(&arena);
	return c.bad ? 0 : version;
}

void
index_settle(struct mailbox *mb)
{
	struct store *store = mb->owner->store;
	struct key key = key_letter(INDEX_SETTLED);
	struct text value = TEXT_INIT(0);
	struct batch *b;

	if (settled_version(store, mailbox_id(mb)) == mb->version)
		return;
	b = batch_new(partition_of(mailbox_id(mb)));
	put_u8(&value, SETTLED_VERSION);
	put_u64(&value, mb->version);
	batch_put(b, key_span(&key), text_span(&value));
	/* Otherwise the mailbox is looked at again after the next start. */
	engine_commit(store->engine, b, NULL);
	batch_free(&b);
	text_free(&value);
}

bool
index_walk(struct indexing *ix)
{
	struct store *store = ix->store;
	uint64_t version, at;
	bool walked;

	pthread_mutex_lock(&ix->lock);
	at = ix->walk;
	walked = ix->walked;
	pthread_mutex_unlock(&ix->lock);
	if (walked)
		return false;
	for (int i = 0; i < WALK_AT_ONCE && !walked; i++) {
		if (engine_next_partition(store->engine, PARTITION_MAILBOX,
		    at, &at) != 1)
			walked = true;
		else if (engine_version(store->engine, (struct partition){
		    PARTITION_MAILBOX, at }, &version) == 1 &&
		    settled_version(store, at) != version)
			index_note(store, at);
	}
	pthread_mutex_lock(&ix->lock);
	ix->walk = at;
	ix->walked = walked;
	pthread_mutex_unlock(&ix->lock);
	return true;
}

void
index_walk_again(struct indexing *ix)
{
	pthread_mutex_lock(&ix->lock);
	ix->walk = 0;
	ix->walked = false;
	pthread_mutex_unlock(&ix->lock);
}

/* ---- segments on disk ------------------------------------------------ */

enum result
index_replace(struct store *store, uint64_t mailbox,
    const struct index_entry *old, size_t n, const struct index_entry *fresh,
    struct span small_body)
{
	struct batch *b = batch_new(partition_of(mailbox));
	struct text value = TEXT_INIT(0);
	struct key key, holder;
	int status;

	for (size_t i = 0; i < n; i++) {
		key = index_key(old[i].segment);
		holder = index_holder(mailbox, old[i].segment);
		batch_delete(b, key_span(&key));
		batch_unlink(b, old[i].body, key_span(&holder));
	}
	if (fresh != NULL) {
		key = index_key(fresh->segment);
		holder = index_holder(mailbox, fresh->segment);
		index_encode(&value, fresh);
		if (small_body.n > 0)
			batch_body(b, fresh->body, small_body, SPAN_EMPTY,
			    SPAN_EMPTY);
		batch_put(b, key_span(&key), text_span(&value));
		batch_link(b, fresh->body, key_span(&holder));
	}
	status = engine_commit(store->engine, b, NULL);
	batch_free(&b);
	text_free(&value);
	return status == 1 ? RESULT_OK : result_of_errno();
}

static void
remove_record(struct store *store, uint64_t mailbox, struct span key)
{
	struct batch *b = batch_new(partition_of(mailbox));

	batch_delete(b, key);
	engine_commit(store->engine, b, NULL);
	batch_free(&b);
	log_event(LOG_LEVEL_ERROR, "index.damaged",
	    log_int("mailbox", (int64_t)mailbox));
}

enum result
index_entries_read(struct store *store, uint64_t mailbox,
    struct index_entries *entries)
{
	struct key from = key_letter(INDEX_SEGMENT);
	struct key to = key_letter_after(INDEX_SEGMENT);
	struct scan *scan = scan_open(store->engine, partition_of(mailbox),
	    key_span(&from), key_span(&to));
	struct index_entry e;
	struct span key, value;
	int status = scan == NULL ? -1 : 1;

	entries->n = 0;
	while (status == 1 && (status = scan_next(scan, &key, &value)) == 1) {
		if (!index_decode(key, value, &e))
			remove_record(store, mailbox, key);
		else if (!index_entries_add(entries, &e))
			index_replace(store, mailbox, &e, 1, NULL, SPAN_EMPTY);
	}
	scan_close(&scan);
	return status == 0 ? RESULT_OK : RESULT_TEMPORARY;
}

enum result
index_forget(struct store *store, uint64_t mailbox)
{
	struct index_entries entries = { 0 };
	enum result result = index_entries_read(store, mailbox, &entries);

	if (result == RESULT_OK && entries.n > 0)
		result = index_replace(store, mailbox, entries.at, entries.n,
		    NULL, SPAN_EMPTY);
	if (result == RESULT_OK && engine_drop_partition(store->engine,
	    partition_of(mailbox), NULL) < 0)
		result = RESULT_TEMPORARY;
	index_entries_free(&entries);
	return result;
}

uint32_t
index_check(struct store *store, uint64_t mailbox, bool repair,
    struct text *report)
{
	struct index_entries entries = { 0 };
	uint32_t found = 0;
	uint64_t size;

	if (index_entries_read(store, mailbox, &entries) != RESULT_OK)
		text_printf(report, "mailbox %" PRIu64 ": its index cannot be "
		    "read now\n", mailbox);
	for (size_t i = 0; i < entries.n; i++) {
		if (engine_body_size(store->engine, entries.at[i].body,
		    &size) == 1 && size == entries.at[i].size)
			continue;
		text_printf(report, "mailbox %" PRIu64 ": a segment of the "
		    "index is lost\n", mailbox);
		found++;
		if (repair)
			index_replace(store, mailbox, &entries.at[i], 1, NULL,
			    SPAN_EMPTY);
	}
	if (found > 0 && repair)
		index_note(store, mailbox);
	index_entries_free(&entries);
	return found;
}
