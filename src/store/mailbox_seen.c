/*
 * mailbox_seen.c - what somebody sees of flags, and which they may change
 * (RFC 4314 section 4).
 *
 * By a setting each user of another's mailbox has a \Seen of their own. A
 * change of it is a change of the message for everybody (its modseq grows):
 * so what a session learns of changes, or a client that comes back, is right
 * without a second count; others are told flags that they know.
 */
#include "store/mailboxes.h"
#include "ipc/wire.h"

void
mailbox_note_user(struct mailbox *mb, uint64_t user, uint32_t rights)
{
	const struct settings *s = store_settings(mb->owner->store);

	mb->user = user;
	mb->rights = rights;
	mb->own_seen = user != mb->table.account &&
	    strcmp(s->imap_shared_seen, "per_user") == 0;
}

bool
mailbox_has_own_seen(const struct mailbox *mb)
{
	return mb->own_seen;
}

uint64_t
mailbox_flags(const struct mailbox *mb, const struct row *row)
{
	if (!mailbox_has_own_seen(mb))
		return row->flags;
	return (row->flags & ~FLAG_SEEN) | (uids_have(
	    seens_of(&mb->table.seens, mb->user), row->uid) ? FLAG_SEEN : 0);
}

uint32_t
mailbox_unseen(const struct mailbox *mb)
{
	const struct table *t = &mb->table;
	const struct uids *seen;
	size_t n = 0;

	if (!mailbox_has_own_seen(mb))
		return t->unseen;
	seen = seens_of(&t->seens, mb->user);
	for (size_t i = 0; i < seen->n; i++) {
		uint32_t last = seen->at[i].last;

		n += (last == UINT32_MAX ? t->n : table_seek(t, last + 1)) -
		    table_seek(t, seen->at[i].first);
	}
	return (uint32_t)(t->n - n);
}

/* Whoever works here without being a user may everything. */
uint64_t
mailbox_may_set(const struct mailbox *mb)
{
	uint64_t flags = ~(FLAG_SEEN | FLAG_DELETED);

	if (mb->user == 0)
		return UINT64_MAX;
	if ((mb->rights & RIGHT_WRITE) == 0)
		flags = 0;
	if ((mb->rights & RIGHT_SEEN) != 0)
		flags |= FLAG_SEEN;
	if ((mb->rights & RIGHT_DELETED) != 0)
		flags |= FLAG_DELETED;
	return flags;
}

bool
mailbox_admit_flags(const struct mailbox *mb, struct row *rows, size_t n,
    struct change *seen)
{
	uint64_t may = mailbox_may_set(mb);

	*seen = (struct change){ .kind = CHANGE_SEEN, .mode = STORE_ADD,
	    .user = mb->user };
	for (size_t i = 0; i < n; i++) {
		rows[i].flags &= may;
		if (!mailbox_has_own_seen(mb))
			continue;
		if ((rows[i].flags & FLAG_SEEN) != 0)
			uids_add(&seen->uids, rows[i].uid, rows[i].uid);
		rows[i].flags &= ~FLAG_SEEN;
	}
	return seen->uids.n > 0;
}

/* ---- pages ----------------------------------------------------------- */

int
mailbox_read_seen(struct mailbox *mb, struct span key, struct span value)
{
	struct uids page = { 0 };
	struct seen *seen;
	uint64_t user;
	uint32_t first;
	int status = key_read_seen(key, &user, &first) &&
	    seen_decode(value, first, &page);

	if (status == 1) {
		seen = seens_make(&mb->table.seens, user);
		for (size_t i = 0; i < page.n; i++)
			uids_add(&seen->uids, page.at[i].first,
			    page.at[i].last);
	}
	uids_free(&page);
	return status;
}

/* The page that `uid` is on. */
static void
put_page(const struct seen *seen, uint32_t uid, struct batch *b,
    struct text *t)
{
	struct key key = key_seen(seen->user, uid);
	struct uids page = { 0 };
	uint32_t first = uid - uid % SEEN_PAGE;

	uids_between(&seen->uids, MAX(first, 1u), first + (SEEN_PAGE - 1),
	    &page);
	text_clear(t);
	seen_encode(t, &page);
	if (page.n > 0)
		batch_put(b, key_span(&key), text_span(t));
	else
		batch_delete(b, key_span(&key));
	uids_free(&page);
}

/*
 * Only up to the last message: a client may name UIDs far beyond it, and what
 * is beyond is nothing.
 */
size_t
mailbox_put_seen(const struct mailbox *mb, struct seen *seen,
    struct batch *b, struct text *t)
{
	uint64_t uid = seen->first - seen->first % SEEN_PAGE;
	size_t bytes = 0;

	for (; seen->first != 0 && uid <= seen->last &&
	    uid < mb->table.uidnext; uid += SEEN_PAGE) {
		put_page(seen, (uint32_t)uid, b, t);
		bytes += t->n;
	}
	return bytes;
}
