/*
 * keeper.c - one thread, a table of chores, each with its own pace.
 */
#include "store/keeper.h"
#include "base/log.h"
#include "store/app_password.h"
#include "store/auth.h"
#include "store/limit.h"
#include "store/mask.h"
#include "store/mailboxes.h"
#include "store/queue.h"
#include "store/quota.h"
#include "store/suppress.h"
#include "store/tls_kept.h"
#include "store/trace.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

/* Is there room for new mail? Asked often: a disk fills quickly. */
static int
watch_space(struct store *store)
{
	uint64_t least = store_settings(store)->queue_min_free_space;
	struct statvfs fs;

	if (store->data == NULL || statvfs(store->data, &fs) == -1)
		return 1;
	queue_set_disk_full(store->queue,
	    (uint64_t)fs.f_bavail * fs.f_frsize < least);
	return 1;
}

static int
expire_dialogues(struct store *store)
{
	auth_expire(store->auth);
	return 1;
}

static int
maintain_mailboxes(struct store *store)
{
	mailboxes_maintain(store->mailboxes);
	return 1;
}

static int
collect_unlinked(struct store *store)
{
	return engine_collect(store->engine, false, 0) == -1 ? -1 : 1;
}

static int
collect_orphans(struct store *store)
{
	return engine_collect(store->engine, true, KEEPER_ORPHAN_MS) == -1
	    ? -1 : 1;
}

static const struct chore {
	const char *name;
	int64_t first, every;		/* seconds */
	int (*run)(struct store *);
} chores[] = {
	{ "watch_space",	0,	1,	watch_space },
	{ "maintain_mailboxes",	1,	1,	maintain_mailboxes },
	{ "collect_unlinked",	5,	5,	collect_unlinked },
	{ "expire_dialogues",	10,	10,	expire_dialogues },
	{ "quota_maintain",	1,	1,	quota_maintain },
	{ "limit_save",		60,	60,	limit_save },
	{ "mask_save",		60,	60,	mask_save },
	{ "app_password_save",	60,	60,	app_password_save },
	{ "tlsrpt_send",	30,	60,	tlsrpt_send },
	{ "trace_expire",	60,	3600,	trace_expire },
	{ "sts_expire",		3600,	86400,	sts_expire },
	{ "suppress_expire",	120,	3600,	suppress_expire },
	{ "limit_expire",	180,	86400,	limit_expire },
	{ "collect_orphans",	3600,	86400,	collect_orphans },
};

struct keeper {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
};

/* True: stop. */
static bool
sleep_a_second(struct keeper *k)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_mutex_lock(&k->lock);
	while (!k->stopping && pthread_cond_timedwait(&k->wake, &k->lock,
	    &until) == 0)
		continue;
	stop = k->stopping;
	pthread_mutex_unlock(&k->lock);
	return stop;
}

static void
run_chore(const struct chore *chore, struct store *store)
{
	if (chore->run(store) == -1)
		log_event(LOG_LEVEL_ERROR, "store.chore_failed",
		    log_str("chore", chore->name), log_errno());
}

static void *
keeper_thread(void *arg)
{
	struct keeper *k = arg;
	int64_t second = 0;

	do {
		for (size_t i = 0; i < ARRAY_LEN(chores); i++)
			if (second >= chores[i].first &&
			    (second - chores[i].first) % chores[i].every == 0)
				run_chore(&chores[i], k->store);
		second++;
	} while (!sleep_a_second(k));
	return NULL;
}

void
keeper_do_all(struct store *store)
{
	for (size_t i = 0; i < ARRAY_LEN(chores); i++)
		run_chore(&chores[i], store);
}

struct keeper *
keeper_new(struct store *store)
{
	struct keeper *k = xcalloc(1, sizeof(*k));
	pthread_condattr_t attr;

	k->store = store;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	must(pthread_create(&k->thread, NULL, keeper_thread, k) == 0);
	return k;
}

void
keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	if (k == NULL)
		return;
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
	*kp = NULL;
}
