/*
 * quota_warn.c - a mail when an account is nearly full.
 *
 * Once for each percentage of quota.warn, on the way up: it is said again
 * only after use has fallen by some percent below it. What is reached when
 * the account is first looked at, after a start, is not news. Mails are
 * written by the keeper, as what notices them holds locks.
 */
#include "store/quota_impl.h"
#include "store/directory.h"
#include "store/notice.h"

#include <stdlib.h>

enum { FALLEN = 5 };			/* percent, before it is said again */

static unsigned
percent_of(uint64_t used, uint64_t max)
{
	if (max == UINT64_MAX || max == 0)
		return 0;
	if (used / 10 >= max)
		return 1000;
	return max < 100 ? (unsigned)(used * 100 / max)
	    : (unsigned)(used / (max / 100));
}

unsigned
quota_level(const struct settings *s, uint64_t used, uint64_t max)
{
	struct span rest = span_str(s->quota_warn), word;
	unsigned percent = percent_of(used, max), level = 0;
	uint32_t at;

	while ((word = span_word(&rest)).n > 0)
		if (span_u32(word, &at) == 1 && at > level && at <= percent)
			level = at;
	return level;
}

static void
note(struct usage *u, unsigned level, bool of_messages)
{
	struct quotas *q = u->owner;

	pthread_mutex_lock(&q->lock);
	if (q->warning_count == q->warning_room &&
	    q->warning_room < QUOTA_WARNINGS_MAX) {
		q->warning_room = q->warning_room * 2 + 16;
		q->warnings = xrealloc(q->warnings,
		    q->warning_room * sizeof(*q->warnings));
	}
	if (q->warning_count < q->warning_room)
		q->warnings[q->warning_count++] = (struct quota_warning){
		    u->shelved.key, level, of_messages };
	pthread_mutex_unlock(&q->lock);
}

static void
look_at(struct usage *u, bool of_messages, uint64_t used, uint64_t max)
{
	const struct settings *s = store_settings(u->owner->store);
	unsigned level = quota_level(s, used, max);
	unsigned *told = &u->told[of_messages];

	if (level > *told) {
		*told = level;
		note(u, level, of_messages);
	} else if (percent_of(used, max) + FALLEN < *told) {
		*told = level;
	}
}

void
quota_notice(struct usage *u)
{
	look_at(u, false, u->sum.bytes, u->limits.bytes);
	look_at(u, true, u->sum.messages, u->limits.messages);
}

void
quota_notice_begin(struct usage *u)
{
	const struct settings *s = store_settings(u->owner->store);

	u->told[0] = quota_level(s, u->sum.bytes, u->limits.bytes);
	u->told[1] = quota_level(s, u->sum.messages, u->limits.messages);
}

/* ---- the mail -------------------------------------------------------------- */

static void
add_size(struct text *out, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1024;
	text_printf(out, i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
}

static void
write_warning(const struct usage *u, const struct quota_warning *w,
    struct text *subject, struct text *body)
{
	text_printf(subject, "Your mailbox is %u %% full", w->percent);
	text_str(body, "Your mailboxes hold ");
	if (w->of_messages) {
		text_printf(body, "%" PRIu64 " messages", u->sum.messages);
		text_printf(body, " of the %" PRIu64 " that they may.\r\n",
		    u->limits.messages);
	} else {
		add_size(body, u->sum.bytes);
		text_str(body, " of the ");
		add_size(body, u->limits.bytes);
		text_str(body, " that they may.\r\n");
	}
	text_str(body, "When they are full, mail to you cannot be delivered "
	    "any more.\r\n\r\nTo make room, delete messages that you do not "
	    "need, and empty\r\nthe mailbox for deleted ones, or ask your "
	    "postmaster for more.\r\n");
}

static int
send_warning(struct store *store, const struct quota_warning *w)
{
	struct text subject = TEXT_INIT(0), body = TEXT_INIT(0);
	struct arena *arena = arena_new(64 << 10);
	struct usage *u = usage_open(store, w->account);
	struct account account;
	int status = 1;

	if (u != NULL)
		write_warning(u, w, &subject, &body);
	usage_close(&u);
	if (subject.n > 0 && directory_account(store->directory, w->account,
	    arena, &account) == 1)
		status = notice_account(store, account.address,
		    text_span(&subject), text_span(&body));
	text_free(&subject);
	text_free(&body);
	arena_free(&arena);
	return status;
}

int
quota_maintain(struct store *store)
{
	struct quotas *q = store->quotas;
	struct quota_warning *list;
	size_t n;
	int status = 1;

	if (q == NULL)
		return 1;
	shelf_set_limit(q->usages,
	    store_settings(store)->store_mailbox_cache / 4);
	pthread_mutex_lock(&q->lock);
	list = q->warnings;
	n = q->warning_count;
	q->warnings = NULL;
	q->warning_count = q->warning_room = 0;
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < n; i++)
		if (send_warning(store, &list[i]) != 1)
			status = -1;
	free(list);
	return status;
}
