/*
 * limit.c - how much an account may send in a day.
 *
 * An entry holds what an account sent in each of the last 24 hours. It is
 * read when the account first sends something, written by the keeper when it
 * has changed, and dropped when the account was silent for a day.
 *
 * What is beyond the limit is not counted: who sends little again may send
 * again, however much is held.
 */
#include "store/limit.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/wire.h"
#include "store/directory.h"
#include "store/notice.h"

#include <pthread.h>
#include <stdlib.h>

enum { COUNT_VERSION = 1, HOURS = 24, HOUR = 3600, DAY = 86400 };

static const struct partition senders = { PARTITION_SENDERS, 0 };

struct counted {
	uint64_t account;
	int64_t hour;			/* since 1970: of the newest count */
	uint32_t messages[HOURS], recipients[HOURS];	/* by hour % HOURS */
	int64_t told;			/* when postmaster was; 0 never */
	uint64_t max_messages, max_recipients;	/* the account's own */
	bool asked;			/* these two are known */
	bool changed;
};

struct limits {
	struct store *store;
	pthread_mutex_t lock;
	struct map *entries;		/* by account */
};

struct limits *
limits_new(struct store *store)
{
	struct limits *l = xcalloc(1, sizeof(*l));

	l->store = store;
	l->entries = map_new();
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void
limits_free(struct limits **lp)
{
	struct limits *l = *lp;
	struct span key;
	void *value;
	size_t at = 0;

	if (l == NULL)
		return;
	while (map_next(l->entries, &at, &key, &value))
		free(value);
	map_free(&l->entries);
	pthread_mutex_destroy(&l->lock);
	free(l);
	*lp = NULL;
}

/* -- records ------------------------------------------------------------- */

static void
key_count(struct text *key, uint64_t account)
{
	text_clear(key);
	text_char(key, SENDERS_COUNT);
	for (int shift = 56; shift >= 0; shift -= 8)
		text_char(key, (char)(uint8_t)(account >> shift));
}

static void
count_encode(struct text *out, const struct counted *c)
{
	put_u8(out, COUNT_VERSION);
	put_i64(out, c->hour);
	put_i64(out, c->told);
	for (size_t i = 0; i < HOURS; i++) {
		put_u32(out, c->messages[i]);
		put_u32(out, c->recipients[i]);
	}
}

/* What cannot be read is counted anew. */
static void
count_decode(struct span record, struct counted *c)
{
	struct cursor cursor = { record, false };
	struct counted got = *c;

	if (get_u8(&cursor) != COUNT_VERSION)
		return;
	got.hour = get_i64(&cursor);
	got.told = get_i64(&cursor);
	for (size_t i = 0; i < HOURS; i++) {
		got.messages[i] = get_u32(&cursor);
		got.recipients[i] = get_u32(&cursor);
	}
	if (!cursor.bad)
		*c = got;
}

/* -- entries, under the lock --------------------------------------------- */

/* Hours that have passed meanwhile count nothing; a clock set back, no more. */
static void
count_advance(struct counted *c, int64_t now)
{
	int64_t hour = now / HOUR;

	if (hour - c->hour >= HOURS || hour < c->hour - HOURS) {
		memset(c->messages, 0, sizeof(c->messages));
		memset(c->recipients, 0, sizeof(c->recipients));
		c->hour = hour;
	}
	while (c->hour < hour) {
		c->hour++;
		c->messages[c->hour % HOURS] = 0;
		c->recipients[c->hour % HOURS] = 0;
	}
}

static uint64_t
sum(const uint32_t counts[HOURS])
{
	uint64_t all = 0;

	for (size_t i = 0; i < HOURS; i++)
		all += counts[i];
	return all;
}

static int
count_load(struct limits *l, struct counted *c)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX);
	struct arena *arena = arena_new(4096);
	struct span record;
	int rc;

	key_count(&key, c->account);
	rc = engine_get(l->store->engine, senders, text_span(&key), arena,
	    &record);
	if (rc == 1)
		count_decode(record, c);
	text_free(&key);
	arena_free(&arena);
	return rc;
}

/* NULL: it cannot be read. */
static struct counted *
entry(struct limits *l, uint64_t account)
{
	struct span key = span_of(&account, sizeof(account));
	struct counted *c = map_get(l->entries, key);

	if (c != NULL)
		return c;
	c = xcalloc(1, sizeof(*c));
	c->account = account;
	if (count_load(l, c) == -1) {
		free(c);
		return NULL;
	}
	map_put(l->entries, key, c);
	return c;
}

/* A copy of it, without keeping what was not there. 1, -1. */
static int
peek(struct limits *l, uint64_t account, struct counted *out)
{
	const struct counted *c = map_get(l->entries,
	    span_of(&account, sizeof(account)));

	*out = (struct counted){ .account = account };
	if (c != NULL)
		*out = *c;
	else if (count_load(l, out) == -1)
		return -1;
	return 1;
}

static int
ask_account(struct limits *l, struct counted *c)
{
	struct arena *arena;
	struct account account;
	int rc;

	if (c->asked)
		return 1;
	arena = arena_new(64 << 10);
	rc = directory_account(l->store->directory, c->account, arena,
	    &account);
	if (rc == 1) {
		c->max_messages = account.max_messages;
		c->max_recipients = account.max_recipients;
		c->asked = true;
	}
	arena_free(&arena);
	return rc;
}

/* The account's own limit, or the settings', where 0 is none. */
static uint64_t
effective(uint64_t own, uint64_t set)
{
	if (own == LIMIT_DEFAULT)
		return set == 0 ? LIMIT_NONE : set;
	return own;
}

static bool
fill_state(struct limits *l, struct counted *c, struct limit_state *state)
{
	const struct settings *s = store_settings(l->store);

	if (c == NULL || ask_account(l, c) != 1)
		return false;
	count_advance(c, clock_wall_seconds());
	state->messages = sum(c->messages);
	state->recipients = sum(c->recipients);
	state->max_messages = effective(c->max_messages,
	    s->limit_messages_per_day);
	state->max_recipients = effective(c->max_recipients,
	    s->limit_recipients_per_day);
	return true;
}

/* -- what others ask ----------------------------------------------------- */

static void
tell_postmaster(struct store *store, uint64_t account,
    const struct limit_state *state)
{
	struct arena *arena = arena_new(64 << 10);
	struct text body = TEXT_INIT(0), subject = TEXT_INIT(0);
	struct account who;

	if (directory_account(store->directory, account, arena, &who) == 1) {
		text_printf(&subject, "Mail of %.*s is held: too much in a "
		    "day", SPAN_ARG(who.address));
		text_printf(&body, "%.*s has sent %" PRIu64 " messages to %"
		    PRIu64 " recipients outside in the last 24 hours.\r\n"
		    "What it sends beyond its limit is accepted and held in "
		    "the queue.\r\n\r\nIf that is meant:\r\n"
		    "    postrider account limit %.*s --messages N "
		    "--recipients N\r\n"
		    "    postrider queue release --sender %.*s\r\n"
		    "If somebody has its password:\r\n"
		    "    postrider account password %.*s\r\n"
		    "    postrider queue delete --sender %.*s --state held"
		    "\r\n\r\nThis is said once a day.\r\n",
		    SPAN_ARG(who.address), state->messages,
		    state->recipients, SPAN_ARG(who.address),
		    SPAN_ARG(who.address), SPAN_ARG(who.address),
		    SPAN_ARG(who.address));
		notice_postmaster(store, text_span(&subject),
		    text_span(&body));
	}
	text_free(&body);
	text_free(&subject);
	arena_free(&arena);
}

/* Is it time to tell of it? Once a day. */
static bool
tell_now(struct counted *c)
{
	int64_t now = clock_wall_seconds();

	if (c->told != 0 && now >= c->told && now - c->told < DAY)
		return false;
	c->told = now;
	c->changed = true;
	return true;
}

bool
limit_take(struct store *store, uint64_t account, size_t recipients_outside)
{
	struct limits *l = store->limits;
	struct limit_state state;
	struct counted *c;
	bool fits = true, tell = false;

	pthread_mutex_lock(&l->lock);
	c = entry(l, account);
	if (fill_state(l, c, &state)) {
		fits = state.messages < state.max_messages &&
		    (recipients_outside == 0 || (recipients_outside <=
		    state.max_recipients && state.recipients <=
		    state.max_recipients - recipients_outside));
		if (fits) {
			c->messages[c->hour % HOURS]++;
			c->recipients[c->hour % HOURS] +=
			    (uint32_t)recipients_outside;
			c->changed = true;
		} else {
			tell = tell_now(c);
		}
	}
	pthread_mutex_unlock(&l->lock);
	if (!fits)
		log_event(LOG_LEVEL_WARNING, "limit.held",
		    log_int("account", (int64_t)account),
		    log_int("messages", (int64_t)state.messages),
		    log_int("recipients", (int64_t)state.recipients));
	if (tell)
		tell_postmaster(store, account, &state);
	return fits;
}

enum result
limit_state(struct store *store, uint64_t account, struct limit_state *out)
{
	struct limits *l = store->limits;
	struct counted copy;
	bool known;

	pthread_mutex_lock(&l->lock);
	known = peek(l, account, &copy) == 1 && fill_state(l, &copy, out);
	pthread_mutex_unlock(&l->lock);
	return known ? RESULT_OK : RESULT_TEMPORARY;
}

void
limit_forget(struct store *store, uint64_t account)
{
	struct limits *l = store->limits;
	struct counted *c;

	pthread_mutex_lock(&l->lock);
	c = map_get(l->entries, span_of(&account, sizeof(account)));
	if (c != NULL)
		c->asked = false;
	pthread_mutex_unlock(&l->lock);
}

/* -- the keeper ---------------------------------------------------------- */

static bool
is_silent(const struct counted *c)
{
	return clock_wall_seconds() / HOUR - c->hour >= HOURS;
}

/* Into the batch what has changed, how many; out of memory who is silent. */
static size_t
collect(struct limits *l, struct batch *batch)
{
	struct text key = TEXT_INIT(ENGINE_KEY_MAX), record = TEXT_INIT(0);
	struct span at_key;
	void *value;
	size_t at = 0, count = 0;

	while (map_next(l->entries, &at, &at_key, &value)) {
		struct counted *c = value;

		if (c->changed) {
			key_count(&key, c->account);
			text_clear(&record);
			count_encode(&record, c);
			batch_put(batch, text_span(&key), text_span(&record));
			c->changed = false;
			count++;
		} else if (is_silent(c)) {
			map_remove(l->entries, span_of(&c->account,
			    sizeof(c->account)));
			free(c);
		}
	}
	text_free(&key);
	text_free(&record);
	return count;
}

int
limit_save(struct store *store)
{
	struct limits *l = store->limits;
	struct batch *batch = batch_new(senders);
	size_t count;
	int rc = 1;

	pthread_mutex_lock(&l->lock);
	count = collect(l, batch);
	pthread_mutex_unlock(&l->lock);
	if (count > 0)
		rc = engine_commit(store->engine, batch, NULL);
	batch_free(&batch);
	return rc == 1 ? 1 : -1;
}

int
limit_expire(struct store *store)
{
	struct batch *batch = batch_new(senders);
	struct scan *scan = scan_open(store->engine, senders, SPAN("c"),
	    SPAN("d"));
	struct span key, value;
	size_t count = 0;
	int rc = scan == NULL ? -1 : 1;

	_Static_assert(SENDERS_COUNT == 'c', "the range above");
	while (rc == 1 && (rc = scan_next(scan, &key, &value)) == 1) {
		struct counted c = { 0 };

		count_decode(value, &c);
		if (!is_silent(&c))
			continue;
		batch_delete(batch, key);
		count++;
	}
	scan_close(&scan);
	if (rc == 0 && count > 0)
		rc = engine_commit(store->engine, batch, NULL) == 1 ? 0 : -1;
	batch_free(&batch);
	return rc == 0 ? 1 : -1;
}
