/*
 * mailbox_maintain.c - what can wait: folds, sweeps, removed mailboxes.
 */
#include "store/mailboxes.h"

#include <stdlib.h>

enum {			/* of one call */
	WALK_ACCOUNTS = 1000,
	DIGEST_PAGES = 512,
};

void
work_add(struct mailboxes *m, enum work_kind kind, uint64_t id)
{
	pthread_mutex_lock(&m->work_lock);
	if (m->work_count == m->work_room) {
		m->work_room = m->work_room * 2 + 16;
		m->work = xrealloc(m->work, m->work_room * sizeof(*m->work));
	}
	m->work[m->work_count++] = (struct work){ kind, id };
	pthread_mutex_unlock(&m->work_lock);
}

static void
work_on_mailbox(struct mailboxes *m, const struct work *work)
{
	struct mailbox *mb;

	if (mailbox_enter_any(m, work->id, &mb) != RESULT_OK)
		return;
	if (work->kind == WORK_FOLD && mb->fold_wanted)
		mailbox_fold(mb);
	if (work->kind == WORK_SWEEP)
		mailbox_delivery_flush(mb);
	mailbox_leave(&mb);
}

/* Without the lock on the names: a large mailbox takes its time to go. */
static void
work_on_account(struct mailboxes *m, uint64_t account)
{
	struct names *names;

	if (intents_replay(m, account, true) == 1 ||
	    names_enter(m, account, &names) != RESULT_OK)
		return;
	names->intents = true;		/* again when it is next touched */
	names_leave(&names);
}

/*
 * After the start, some accounts at a time: what an earlier process left
 * undone. (Whoever touches an account sooner does not have to wait.)
 */
static void
walk_accounts(struct mailboxes *m)
{
	if (pthread_mutex_trylock(&m->walk_lock) != 0)
		return;
	for (int i = 0; i < WALK_ACCOUNTS && !m->walked; i++) {
		if (engine_next_partition(m->store->engine,
		    PARTITION_ACCOUNT, m->walk, &m->walk) != 1)
			m->walked = true;
		else if (intents_left(m, m->walk))
			work_on_account(m, m->walk);
	}
	if (!m->digests_walked)
		m->digests_walked = !digest_walk(m, &m->digest_walk);
	pthread_mutex_unlock(&m->walk_lock);
}

void
mailboxes_maintain(struct mailboxes *m)
{
	size_t cache = store_settings(m->store)->store_mailbox_cache;
	struct work *work;
	size_t n, made = 0;

	shelf_set_limit(m->open, cache);
	shelf_set_limit(m->names, cache / 4);
	pthread_mutex_lock(&m->work_lock);
	work = m->work;
	n = m->work_count;
	m->work = NULL;
	m->work_count = m->work_room = 0;
	pthread_mutex_unlock(&m->work_lock);
	for (size_t i = 0; i < n; i++) {
		if (work[i].kind == WORK_INTENTS)
			work_on_account(m, work[i].id);
		else if (work[i].kind == WORK_DIGEST)
			made += digest_make(m, work[i].id, DIGEST_PAGES -
			    MIN(made, (size_t)DIGEST_PAGES));
		else
			work_on_mailbox(m, &work[i]);
	}
	free(work);
	walk_accounts(m);
}
