/*
 * store.c - the store as a whole: opened, replayed, served.
 *
 * Opening reads the format, replays what a crash cut short (removals of
 * accounts, then the queue) and starts the threads: delivery and the keeper.
 * The workers that run the verbs are the server's.
 */
#include "store/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "store/app_password.h"
#include "store/auth.h"
#include "store/client_certificate.h"
#include "store/directory.h"
#include "store/index.h"
#include "store/keeper.h"
#include "store/limit.h"
#include "store/mask.h"
#include "store/oauth.h"
#include "store/queue.h"
#include "store/quota.h"
#include "store/verbs.h"

#include <sched.h>
#include <stdlib.h>

static const struct partition meta = { PARTITION_META, 0 };

enum { IDS_AT_ONCE = 64 };		/* reserved with one sync */

/* -- ids that are never used again --------------------------------------- */

struct ids {
	pthread_mutex_t lock;
	uint64_t next, reserved;
};

static struct span
meta_key(const char *kind)
{
	return span_of(kind, 1);
}

static int
ids_read(struct store *s, uint64_t *next)
{
	struct arena *arena = arena_new(4096);
	struct span value;
	struct cursor c;
	int rc = engine_get(s->engine, meta,
	    meta_key(&(char){ META_NEXT_ID }), arena, &value);

	*next = 1;
	if (rc == 1) {
		c = (struct cursor){ value, false };
		*next = get_u64(&c);
		if (c.bad || *next == 0) {
			errno = EIO;
			rc = -1;
		}
	}
	arena_free(&arena);
	return rc == -1 ? -1 : 1;
}

/* Durable before any of them is given out. */
static int
ids_reserve(struct store *s, struct ids *ids)
{
	struct batch *batch = batch_new(meta);
	struct text value = TEXT_INIT(0);
	uint64_t reserved = ids->next + IDS_AT_ONCE;
	ticket_t ticket = 0;
	int rc;

	put_u64(&value, reserved);
	batch_put(batch, meta_key(&(char){ META_NEXT_ID }),
	    text_span(&value));
	rc = engine_commit(s->engine, batch, &ticket);
	if (rc == 1)
		rc = engine_sync(s->engine, ticket);
	if (rc == 1)
		ids->reserved = reserved;
	batch_free(&batch);
	text_free(&value);
	return rc == 1 ? 1 : -1;
}

int
store_next_id(struct store *s, uint64_t *id)
{
	struct ids *ids = s->ids;
	int rc = 1;

	/* The lock is held over the sync: others would wait for it too. */
	pthread_mutex_lock(&ids->lock);
	if (ids->next == ids->reserved)
		rc = ids_reserve(s, ids);
	if (rc == 1)
		*id = ids->next++;
	pthread_mutex_unlock(&ids->lock);
	return rc;
}

uint64_t
store_ids(struct store *s)
{
	uint64_t next;

	pthread_mutex_lock(&s->ids->lock);
	next = s->ids->next;
	pthread_mutex_unlock(&s->ids->lock);
	return next;
}

/* -- opening ------------------------------------------------------------- */

/* A new store: its format, and a secret of its own. */
static int
format_new(struct store *s)
{
	struct batch *batch = batch_new(meta);
	char version = STORE_FORMAT;
	ticket_t ticket = 0;
	int rc;

	random_bytes(s->secret, sizeof(s->secret));
	batch_put(batch, meta_key(&(char){ META_FORMAT }),
	    span_of(&version, 1));
	batch_put(batch, meta_key(&(char){ META_SECRET }),
	    span_of(s->secret, sizeof(s->secret)));
	rc = engine_commit(s->engine, batch, &ticket);
	if (rc == 1)
		rc = engine_sync(s->engine, ticket);
	batch_free(&batch);
	return rc;
}

static int
format_read(struct store *s, struct text *why)
{
	struct arena *arena = arena_new(4096);
	struct span version, secret;
	int rc = engine_get(s->engine, meta,
	    meta_key(&(char){ META_FORMAT }), arena, &version);

	if (rc == 1)
		rc = engine_get(s->engine, meta,
		    meta_key(&(char){ META_SECRET }), arena, &secret);
	else if (rc == 0 && format_new(s) == 1) {
		arena_free(&arena);
		return 1;
	}
	if (rc != 1) {
		text_printf(why, "the store cannot be read: %s",
		    rc == -1 ? strerror(errno) : "no format");
	} else if (version.n != 1 || secret.n != sizeof(s->secret) ||
	    version.p[0] > STORE_FORMAT) {
		text_printf(why, "the store was written by a later version");
		rc = -1;
	} else {
		memcpy(s->secret, secret.p, sizeof(s->secret));
	}
	arena_free(&arena);
	return rc == 1 ? 1 : -1;
}

static int
store_replay(struct store *s, struct text *why)
{
	backup_clear(s);
	if (directory_replay(s->directory) != 1) {
		text_printf(why, "a removed account cannot be cleared: %s",
		    strerror(errno));
		return -1;
	}
	return 1;
}

static struct ids *
ids_new(struct store *s, struct text *why)
{
	struct ids *ids = xcalloc(1, sizeof(*ids));

	pthread_mutex_init(&ids->lock, NULL);
	if (ids_read(s, &ids->next) == 1) {
		ids->reserved = ids->next;
		return ids;
	}
	text_printf(why, "the next id cannot be read: %s", strerror(errno));
	pthread_mutex_destroy(&ids->lock);
	free(ids);
	return NULL;
}

struct store *
store_new(struct engine *engine, const struct settings *settings,
    const uint8_t grant_key[32], struct text *why)
{
	return store_open(engine, settings, grant_key, NULL, why);
}

struct store *
store_open(struct engine *engine, const struct settings *settings,
    const uint8_t grant_key[32], const char *data, struct text *why)
{
	struct store *s = xcalloc(1, sizeof(*s));

	s->engine = engine;
	s->settings = settings;
	s->data = data;
	memcpy(s->grant_key, grant_key, sizeof(s->grant_key));
	if (format_read(s, why) == 1)
		s->ids = ids_new(s, why);
	if (s->ids != NULL) {
		s->directory = directory_new(s);
		s->quotas = quotas_new(s);
		s->limits = limits_new(s);
		s->masks = masks_new(s);
		s->app_passwords = app_passwords_new(s);
		s->indexing = indexing_new(s);
		s->mailboxes = mailboxes_new(s);
		s->queue = queue_new(s);
		s->auth = auth_new(s, why);
	}
	if (s->auth == NULL || store_replay(s, why) != 1) {
		store_free(&s);
		return NULL;
	}
	queue_start(s->queue);
	s->keeper = keeper_new(s);
	return s;
}

void
store_free(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	keeper_free(&s->keeper);
	queue_free(&s->queue);
	auth_free(&s->auth);
	mailboxes_free(&s->mailboxes);
	indexing_free(&s->indexing);
	if (s->masks != NULL && s->limits != NULL) {
		limit_save(s);
		mask_save(s);
		app_password_save(s);
	}
	app_passwords_free(&s->app_passwords);
	masks_free(&s->masks);
	limits_free(&s->limits);
	quotas_free(&s->quotas);
	directory_free(&s->directory);
	if (s->ids != NULL) {
		pthread_mutex_destroy(&s->ids->lock);
		free(s->ids);
	}
	secret_wipe(s, sizeof(*s));
	free(s);
	*sp = NULL;
}

void
store_set_settings(struct store *s, const struct settings *settings)
{
	__atomic_store_n(&s->settings, settings, __ATOMIC_RELEASE);
	directory_forget(s->directory);
	quota_forget(s);
}

void
store_set_routes(struct store *s, struct routes *routes)
{
	queue_set_routes(s->queue, routes);
}

void
store_set_login_trust(struct store *s, struct span authorities,
    struct span token_keys)
{
	struct text why = TEXT_INIT(1024);

	if (oauth_set_keys(s->auth->oauth, token_keys, &why) != 1)
		log_event(LOG_LEVEL_ERROR, "store.token_keys",
		    log_text("error", text_span(&why)));
	text_clear(&why);
	if (certificates_set(s->auth->certificates, authorities, &why) != 1)
		log_event(LOG_LEVEL_ERROR, "store.client_authorities",
		    log_text("error", text_span(&why)));
	text_free(&why);
}

size_t
store_worker_threads(const struct settings *s)
{
	cpu_set_t set;
	size_t processors = sched_getaffinity(0, sizeof(set), &set) == 0
	    ? (size_t)CPU_COUNT(&set) : 1;

	return s->store_threads != 0 ? (size_t)s->store_threads
	    : MIN(20 + 2 * processors, 64);
}

/* -- serving ------------------------------------------------------------- */

static void
store_gone(void *arg, const struct caller *caller)
{
	struct store *s = arg;

	auth_link_gone(s->auth, caller->link);
	oauth_link_gone(s->auth->oauth, caller->link);
	mailboxes_link_gone(s->mailboxes, caller->link);
	if (caller->role == RELAY)
		queue_link_gone(s->queue, caller->link);
	if (caller->role == INDEX)
		index_link_gone(s, caller->link);
}

static int
store_sync(void *arg, uint64_t ticket)
{
	return engine_sync(((struct store *)arg)->engine, ticket);
}

#define VERB_TO_STORE(name) .name = verb_##name,
#define VERB_TO_SIGNER(name)
#define VERB_TO_RESOLVER(name)
#define VERB_TO_INDEX(name)
#define VERB_TO_RELAY(name)

const struct handlers store_handlers = {
	.gone = store_gone,
	.sync = store_sync,
#include "ipc/contract_no_fields.h"
#define RECORD(name)
#define END_RECORD(name)
#define CALL(name, from, to, time, again, text) VERB_TO_##to(name)
#define ANSWER(name)
#define END(name)
#define NOTE(name, from, to, text)
#define END_NOTE(name)
#include "ipc/contract.def"
#include "ipc/contract_undef.h"
};
