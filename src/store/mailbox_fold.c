/*
 * mailbox_fold.c - the tail is brought into the chunks.
 *
 * Which chunks a tail touched is read off the arrays: rows and tombstones
 * with a modseq above what was folded. Chunks are written first, in as many
 * batches as they need; the last batch holds the head and removes the tail.
 * Cut short between two of them nothing is lost: the tail is read over
 * chunks that know it already, which alters nothing (mailbox_record.h).
 */
#include "store/mailboxes.h"

#include <stdlib.h>

enum {
	FOLD_BATCH = 4 << 20,		/* bytes of chunks in one batch */
	FOLD_TAIL_MIN = 64 << 10,	/* a tail to leave alone */
	FOLD_SHARE = 4,			/* then: a quarter of the chunks */
	FOLD_NOW = 4,			/* times as long: do not put it off */
};

struct fold {
	struct mailbox *mb;
	struct batch *batch;
	struct text text;
	size_t bytes;
	int status;
};

static void
fold_commit(struct fold *f)
{
	if (f->status == 1)
		f->status = mailbox_commit(f->mb, f->batch, NULL);
	batch_free(&f->batch);
	f->batch = mailbox_batch(f->mb);
	f->bytes = 0;
}

static void
put_chunk(struct fold *f, uint32_t first)
{
	const struct table *t = &f->mb->table;
	size_t low = table_seek(t, first);
	size_t high = table_seek(t, first + (CHUNK_UIDS - 1));
	struct key key = key_chunk(first);

	if (high < t->n && t->rows[high].uid == first + (CHUNK_UIDS - 1))
		high++;
	if (low == high) {
		batch_delete(f->batch, key_span(&key));
		f->bytes += key.n;
	} else {
		text_clear(&f->text);
		chunk_encode(&f->text, t->rows + low, high - low);
		batch_put(f->batch, key_span(&key), text_span(&f->text));
		f->bytes += f->text.n;
	}
	if (f->bytes > FOLD_BATCH)
		fold_commit(f);
}

static void
mark(uint8_t *chunks, size_t count, uint32_t first, uint32_t last)
{
	for (size_t i = first / CHUNK_UIDS; i <= last / CHUNK_UIDS; i++)
		if (i < count)
			chunks[i] = 1;
}

static void
put_chunks(struct fold *f)
{
	const struct table *t = &f->mb->table;
	size_t count = (size_t)t->uidnext / CHUNK_UIDS + 1;
	uint8_t *chunks = xcalloc(count, 1);

	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].modseq > t->folded)
			chunks[t->rows[i].uid / CHUNK_UIDS] = 1;
	for (size_t i = t->stone_count; i-- > 0;) {
		if (t->stones[i].modseq <= t->folded)
			break;
		mark(chunks, count, t->stones[i].first, t->stones[i].last);
	}
	for (size_t i = 0; i < count && f->status == 1; i++)
		if (chunks[i])
			put_chunk(f, (uint32_t)(i * CHUNK_UIDS));
	free(chunks);
}

static void
put_seen(struct fold *f)
{
	struct seens *seens = &f->mb->table.seens;

	for (size_t i = 0; i < seens->n && f->status == 1; i++) {
		f->bytes += mailbox_put_seen(f->mb, &seens->at[i], f->batch,
		    &f->text);
		if (f->bytes > FOLD_BATCH)
			fold_commit(f);
	}
}

/* A page has the key of its first entry; only the last one is not full. */
static void
put_stones(struct fold *f)
{
	struct table *t = &f->mb->table;
	struct key from = key_letter(MAILBOX_EXPUNGED);
	struct key to = key_letter_after(MAILBOX_EXPUNGED);
	size_t at;

	table_trim(t, store_settings(f->mb->owner->store)->store_tombstones);
	if (t->stones_saved > 0)
		to = key_tombstone(&t->stones[0]);
	if (t->stones_trimmed || (t->stones_saved == 0 && t->stone_count > 0))
		batch_delete_range(f->batch, key_span(&from), key_span(&to));
	if (t->stones_saved == t->stone_count)
		return;
	at = t->stones_saved - t->stones_saved % TOMBSTONE_PAGE;
	for (; at < t->stone_count; at += TOMBSTONE_PAGE) {
		struct key key = key_tombstone(&t->stones[at]);

		text_clear(&f->text);
		tombstones_encode(&f->text, &t->stones[at],
		    MIN(t->stone_count - at, (size_t)TOMBSTONE_PAGE));
		batch_put(f->batch, key_span(&key), text_span(&f->text));
	}
}

static void
put_head(struct fold *f)
{
	const struct table *t = &f->mb->table;
	struct key key = key_letter(MAILBOX_HEAD);
	struct key from = key_letter(MAILBOX_TAIL);
	struct key to = key_letter_after(MAILBOX_TAIL);
	struct mailbox_head head;

	table_get_head(t, &head);
	text_clear(&f->text);
	head_encode(&f->text, &head);
	batch_put(f->batch, key_span(&key), text_span(&f->text));
	key = key_letter(MAILBOX_DONE);
	text_clear(&f->text);
	done_encode(&f->text, t->done, t->done_count);
	batch_put(f->batch, key_span(&key), text_span(&f->text));
	batch_delete_range(f->batch, key_span(&from), key_span(&to));
}

static void
fold_begin(struct fold *f, struct mailbox *mb)
{
	*f = (struct fold){ .mb = mb, .status = 1 };
	f->text = TEXT_INIT(0);
	f->batch = mailbox_batch(mb);
}

static int
fold_end(struct fold *f)
{
	struct table *t = &f->mb->table;

	put_seen(f);
	put_stones(f);
	put_head(f);
	mailbox_delivery_sweep(f->mb, f->batch);
	fold_commit(f);
	if (f->status == 1) {
		mailbox_delivery_swept(f->mb);
		t->folded = t->modseq;
		t->stones_saved = t->stone_count;
		t->stones_trimmed = false;
		f->mb->tail_bytes = 0;
		for (size_t i = 0; i < t->seens.n; i++)
			t->seens.at[i].first = t->seens.at[i].last = 0;
	}
	batch_free(&f->batch);
	text_free(&f->text);
	f->mb->fold_wanted = false;
	return f->status;
}

int
mailbox_fold(struct mailbox *mb)
{
	struct fold f;

	if (mb->tail_bytes == 0)
		return 1;
	fold_begin(&f, mb);
	put_chunks(&f);
	return fold_end(&f);
}

/* Chunks that no row is in any more go with the gap they are in. */
static void
rewrite_chunks(struct fold *f)
{
	const struct table *t = &f->mb->table;
	struct key gap = key_letter(MAILBOX_CHUNK), end;

	for (size_t i = 0; i < t->n && f->status == 1;) {
		uint32_t first = t->rows[i].uid - t->rows[i].uid % CHUNK_UIDS;

		end = key_chunk(first);
		batch_delete_range(f->batch, key_span(&gap), key_span(&end));
		put_chunk(f, first);
		gap = key_chunk_after(first);
		while (i < t->n && t->rows[i].uid - first < CHUNK_UIDS)
			i++;
	}
	end = key_letter_after(MAILBOX_CHUNK);
	batch_delete_range(f->batch, key_span(&gap), key_span(&end));
}

int
mailbox_rewrite(struct mailbox *mb, struct span damaged)
{
	struct cursor c = { .rest = damaged };
	struct fold f;

	/* Uids may be others afterwards. */
	if (digest_forget(mb->owner->store->engine, mailbox_id(mb)) < 0)
		return -1;
	digest_unload(mb);
	fold_begin(&f, mb);
	while (c.rest.n > 0)
		batch_delete(f.batch, get_bytes(&c, ENGINE_KEY_MAX));
	rewrite_chunks(&f);
	mb->table.stones_saved = 0;
	return fold_end(&f);
}

void
mailbox_fold_when_due(struct mailbox *mb)
{
	size_t due = FOLD_TAIL_MIN + mb->table.n * ROW_BYTES / FOLD_SHARE;

	if (mb->tail_bytes < due)
		return;
	if (mb->tail_bytes >= due * FOLD_NOW) {
		/* What fails here is found by the next change. */
		mailbox_fold(mb);
	} else if (!mb->fold_wanted) {
		mb->fold_wanted = true;
		work_add(mb->owner, WORK_FOLD, mailbox_id(mb));
	}
}
