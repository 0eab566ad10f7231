/*
 * shares.c - which mailboxes are shared with whom.
 *
 * Two kinds of keys in one partition: of a mailbox, with whom it is shared
 * just now; and of everybody who is named, what is shared with them. One batch
 * changes both. Entries that take rights name nobody here.
 */
#include "store/shares.h"
#include "store/directory.h"
#include "store/mailboxes.h"

#include <stdlib.h>

enum { RECORD_VERSION = 1, KEY_ROOM = 3 + ACL_GROUP_MAX + 2 * 8 };

static const struct partition shares_partition = { PARTITION_SHARES, 0 };

struct list {
	struct share *at;
	size_t n, room;
};

/* ---- keys -------------------------------------------------------------- */

static void
put_big_endian(struct text *t, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		text_char(t, (char)(uint8_t)(v >> shift));
}

static uint64_t
get_big_endian(struct span s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	return v;
}

/* No address holds a NUL. */
static void
key_who(struct text *key, const struct acl_who *who)
{
	text_clear(key);
	text_char(key, SHARES_WITH);
	text_char(key, (char)who->kind);
	if (who->kind == ACL_ACCOUNT)
		put_big_endian(key, who->account);
	if (who->kind == ACL_GROUP)
		text_add(key, who->group);
	text_char(key, '\0');
}

static void
key_share(struct text *key, const struct acl_who *who,
    const struct share *share)
{
	key_who(key, who);
	put_big_endian(key, share->owner);
	put_big_endian(key, share->mailbox);
}

/* ---- changing ---------------------------------------------------------- */

static int
read_mailbox(struct store *store, uint64_t mailbox, struct arena *arena,
    uint64_t *owner, struct acl *acl)
{
	struct key key = key_u64(SHARES_MAILBOX, mailbox);
	struct span record;
	struct cursor c;
	int status = engine_get(store->engine, shares_partition,
	    key_span(&key), arena, &record);

	if (status != 1)
		return status;
	c = (struct cursor){ .rest = record };
	if (get_u8(&c) != RECORD_VERSION)
		c.bad = true;
	*owner = get_u64(&c);
	if (!c.bad && (acl == NULL || acl_decode(c.rest, acl)))
		return 1;
	errno = EIO;
	return -1;
}

/* What anyone may write to, and no more, is in nobody's list. */
static bool
is_indexed(const struct acl_entry *entry)
{
	return !entry->who.negative && (entry->who.kind != ACL_ANYONE ||
	    (entry->rights & RIGHT_LOOKUP) != 0);
}

static void
put_all(struct batch *b, const struct acl *acl, const struct share *share,
    bool on)
{
	struct text key = TEXT_INIT(KEY_ROOM), record = TEXT_INIT(0);

	number_encode(&record, 0);
	for (size_t i = 0; i < acl->n; i++) {
		const struct acl_entry *entry = &acl->at[i];

		if (on ? !is_indexed(entry) : entry->who.negative)
			continue;
		key_share(&key, &entry->who, share);
		if (on)
			batch_put(b, text_span(&key), text_span(&record));
		else
			batch_delete(b, text_span(&key));
	}
	text_free(&key);
	text_free(&record);
}

static void
put_mailbox(struct batch *b, const struct acl *acl,
    const struct share *share)
{
	struct key key = key_u64(SHARES_MAILBOX, share->mailbox);
	struct text record = TEXT_INIT(0);

	put_u8(&record, RECORD_VERSION);
	put_u64(&record, share->owner);
	acl_encode(&record, acl);
	batch_put(b, key_span(&key), text_span(&record));
	text_free(&record);
}

static enum result
sync(struct store *store, const struct share *share, const struct acl *acl)
{
	struct key key = key_u64(SHARES_MAILBOX, share->mailbox);
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 4096);
	struct batch *b = batch_new(shares_partition);
	struct acl before = { 0 };
	uint64_t owner;
	int status = read_mailbox(store, share->mailbox, arena, &owner,
	    &before);

	if (status != -1) {
		put_all(b, &before, share, false);
		if (acl->n > 0) {
			put_all(b, acl, share, true);
			put_mailbox(b, acl, share);
		} else {
			batch_delete(b, key_span(&key));
		}
		status = engine_commit(store->engine, b, NULL);
	}
	batch_free(&b);
	acl_free(&before);
	arena_free(&arena);
	return status == 1 ? RESULT_OK : result_of_errno();
}

/* The list as it is stored; empty when the mailbox is gone. 1, -1. */
static int
read_list(struct store *store, const struct share *share, struct acl *acl)
{
	struct partition account = { PARTITION_ACCOUNT, share->owner };
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 8192);
	struct key name = key_u64(ACCOUNT_MAILBOX, share->mailbox);
	struct key rights = key_u64(ACCOUNT_RIGHTS, share->mailbox);
	struct span value;
	int status = engine_get(store->engine, account, key_span(&name),
	    arena, &value);

	if (status == 1)
		status = engine_get(store->engine, account,
		    key_span(&rights), arena, &value);
	if (status == 1 && !acl_decode(value, acl)) {
		errno = EIO;
		status = -1;
	}
	arena_free(&arena);
	return status < 0 ? -1 : 1;
}

/* Read under the lock: so the last to write has read what was last. */
enum result
shares_apply(struct store *store, const struct share *share)
{
	struct mailboxes *m = store->mailboxes;
	struct acl acl = { 0 };
	enum result result;

	pthread_mutex_lock(&m->shares_lock);
	result = read_list(store, share, &acl) == 1
	    ? sync(store, share, &acl) : result_of_errno();
	pthread_mutex_unlock(&m->shares_lock);
	access_forget(m);
	acl_free(&acl);
	return result;
}

/* ---- questions --------------------------------------------------------- */

int
shares_owner(struct store *store, uint64_t mailbox, uint64_t *owner)
{
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 4096);
	int status = read_mailbox(store, mailbox, arena, owner, NULL);

	arena_free(&arena);
	return status;
}

static void
add(struct list *list, struct span tail)
{
	if (tail.n != 2 * sizeof(uint64_t))
		return;
	if (list->n == list->room) {
		list->room = list->room * 2 + 8;
		list->at = xrealloc(list->at,
		    list->room * sizeof(*list->at));
	}
	list->at[list->n++] = (struct share){
	    get_big_endian(span_sub(tail, 0, 8)),
	    get_big_endian(span_from(tail, 8)) };
}

/* Is every row there that the entry has? */
static int
has_row(struct store *store, const struct acl_who *who,
    const struct share *share)
{
	struct text key = TEXT_INIT(KEY_ROOM);
	struct arena *arena = arena_new(4096);
	struct span value;
	int status;

	key_share(&key, who, share);
	status = engine_get(store->engine, shares_partition, text_span(&key),
	    arena, &value);
	text_free(&key);
	arena_free(&arena);
	return status;
}

int
shares_agree(struct store *store, const struct share *share,
    const struct acl *acl)
{
	struct arena *arena = arena_new(ENGINE_VALUE_MAX + 4096);
	struct text is = TEXT_INIT(0), should = TEXT_INIT(0);
	struct acl indexed = { 0 };
	uint64_t owner = share->owner;
	int status = read_mailbox(store, share->mailbox, arena, &owner,
	    &indexed);

	acl_encode(&is, &indexed);
	acl_encode(&should, acl);
	if (status != -1)
		status = owner == share->owner &&
		    span_eq(text_span(&is), text_span(&should));
	for (size_t i = 0; i < acl->n && status == 1; i++)
		if (is_indexed(&acl->at[i]))
			status = has_row(store, &acl->at[i].who, share);
	text_free(&is);
	text_free(&should);
	acl_free(&indexed);
	arena_free(&arena);
	return status;
}

/* All behind one who. 1, -1. */
static int
collect(struct store *store, const struct acl_who *who, struct list *list)
{
	struct text from = TEXT_INIT(KEY_ROOM), to = TEXT_INIT(KEY_ROOM);
	struct span key, value;
	struct scan *scan;
	int status;

	key_who(&from, who);
	text_add(&to, text_span(&from));
	to.p[to.n - 1]++;
	scan = scan_open(store->engine, shares_partition, text_span(&from),
	    text_span(&to));
	status = scan == NULL ? -1 : 1;
	while (status == 1 && (status = scan_next(scan, &key, &value)) == 1)
		if (key.n >= from.n + 16)
			add(list, span_from(key, from.n));
	scan_close(&scan);
	text_free(&from);
	text_free(&to);
	return status < 0 ? -1 : 1;
}

/* The next group behind *group, which becomes it. 1, 0 no more, -1. */
static int
next_group(struct store *store, struct text *group)
{
	struct acl_who who = { .kind = ACL_GROUP, .group = text_span(group) };
	struct text from = TEXT_INIT(KEY_ROOM);
	struct span key, value, end = SPAN_EMPTY;
	struct scan *scan;
	char last[2] = { SHARES_WITH, ACL_GROUP + 1 };
	int status;

	key_who(&from, &who);
	if (group->n > 0)
		from.p[from.n - 1]++;
	end = span_of(last, sizeof(last));
	scan = scan_open(store->engine, shares_partition, text_span(&from),
	    end);
	status = scan == NULL ? -1 : scan_next(scan, &key, &value);
	if (status == 1) {
		text_clear(group);
		span_cut(span_from(key, 2), '\0', &value);
		text_add(group, value);
	}
	scan_close(&scan);
	text_free(&from);
	return status;
}

static int
collect_groups(struct store *store, uint64_t account, struct list *list)
{
	struct text group = TEXT_INIT(ACL_GROUP_MAX);
	int status;

	while ((status = next_group(store, &group)) == 1) {
		struct acl_who who = { .kind = ACL_GROUP,
		    .group = text_span(&group) };

		if (directory_is_member(store->directory, account,
		    who.group) && collect(store, &who, list) != 1) {
			status = -1;
			break;
		}
	}
	text_free(&group);
	return status < 0 ? -1 : 1;
}

static int
compare(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return (x->mailbox > y->mailbox) - (x->mailbox < y->mailbox);
}

static void
sort(struct list *list)
{
	size_t n = 0;

	if (list->n == 0)
		return;
	qsort(list->at, list->n, sizeof(*list->at), compare);
	for (size_t i = 0; i < list->n; i++)
		if (n == 0 || compare(&list->at[n - 1], &list->at[i]) != 0)
			list->at[n++] = list->at[i];
	list->n = n;
}

static int
give(struct list *list, int status, struct share **shares, size_t *n)
{
	if (status != 1) {
		free(list->at);
		*list = (struct list){ 0 };
	}
	sort(list);
	*shares = list->at;
	*n = list->n;
	return status;
}

int
shares_of(struct store *store, uint64_t account, struct share **shares,
    size_t *n)
{
	struct acl_who who = { .kind = ACL_ACCOUNT, .account = account };
	struct list list = { 0 };
	int status = collect(store, &who, &list);

	who = (struct acl_who){ .kind = ACL_ANYONE };
	if (status == 1)
		status = collect(store, &who, &list);
	if (status == 1)
		status = collect_groups(store, account, &list);
	return give(&list, status, shares, n);
}

int
shares_with(struct store *store, const struct acl_who *who,
    struct share **shares, size_t *n)
{
	struct list list = { 0 };
	int status = collect(store, who, &list);

	return give(&list, status, shares, n);
}
