/*
 * mailbox_maintain.c - what can wait: folds, sweeps, removed mailboxes.
 */
#include "store/mailboxes.h"

#include <stdlib.h>

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

static void
work_on_account(struct mailboxes *m, uint64_t account)
{
	struct names *names;

	if (names_enter(m, account, &names) != RESULT_OK)
		return;
	if (intents_replay(names) != 1)
		names->intents = true;
	names_leave(&names);
}

void
mailboxes_maintain(struct mailboxes *m)
{
	size_t cache = store_settings(m->store)->store_mailbox_cache;
	struct work *work;
	size_t n;

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
		else
			work_on_mailbox(m, &work[i]);
	}
	free(work);
}
