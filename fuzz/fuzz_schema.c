/*
 * fuzz_schema.c - the records of mailboxes, accounts and the directory, read
 * from anything.
 *
 * The first byte says which record. What is read without complaint must be
 * written as it was (a chunk: so that it is read as it was), and a change must
 * leave arrays that hold together.
 */
#include "store/acl.h"
#include "store/directory_impl.h"
#include "store/mailbox_table.h"
#include "store/metadata_record.h"
#include "store/names_record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
same(const struct text *t, struct span s)
{
	must(span_eq(text_span(t), s));
}

static void
try_chunk(struct span s, struct text *t)
{
	struct row rows[CHUNK_UIDS], back[CHUNK_UIDS];
	size_t n, again;

	if (chunk_decode(s, 1024, rows, &n) != 1 || n == 0)
		return;
	chunk_encode(t, rows, n);
	must(chunk_decode(text_span(t), 1024, back, &again) == 1);
	must(again == n && memcmp(rows, back, n * sizeof(*rows)) == 0);
}

static void
try_head(struct span s, struct text *t)
{
	struct mailbox_head head;
	struct table table = { 0 };

	if (head_decode(s, &head) != 1)
		return;
	head_encode(t, &head);
	same(t, s);
	table_set_head(&table, &head);
	must(table_ready(&table) == 1);
	table_free(&table);
}

static void
try_stones(struct span s, struct text *t)
{
	struct tombstone stones[TOMBSTONE_PAGE];
	struct table table = { .modseq = UINT64_MAX };
	struct uids uids = { 0 };
	size_t n;

	if (tombstones_decode(s, stones, &n) != 1)
		return;
	tombstones_encode(t, stones, n);
	same(t, s);
	table_add_stones(&table, stones, n);
	must(table_vanished(&table, 0, &uids) == 1);
	uids_free(&uids);
	table_free(&table);
}

static void
try_done(struct span s)
{
	struct done done[DONE_MAX];
	size_t n;

	done_decode(s, done, &n);
	for (size_t i = 0; i < n; i++)
		uids_free(&done[i].sources);
}

static void
check_table(const struct table *t)
{
	uint64_t bytes = 0;
	uint32_t unseen = 0;

	for (size_t i = 0; i < t->n; i++) {
		must(i == 0 || t->rows[i].uid > t->rows[i - 1].uid);
		bytes += t->rows[i].size;
		unseen += (t->rows[i].flags & FLAG_SEEN) == 0;
	}
	must(bytes == t->bytes);
	must(unseen == t->unseen);
}

/* Changes one behind the other, each with its length before it. */
static void
try_changes(struct span s)
{
	struct mailbox_head head = { .uidvalidity = 1, .uidnext = 1 };
	struct table table = { 0 };
	struct change change = { 0 };
	struct cursor c = { .rest = s };
	struct uids uids = { 0 };

	table_set_head(&table, &head);
	for (uint64_t modseq = 1; c.rest.n > 0 && !c.bad; modseq++) {
		struct span record = get_bytes(&c, c.rest.n);

		if (c.bad || change_decode(record, modseq, &change) != 1)
			break;
		table_apply(&table, &change);
		check_table(&table);
		table_changed(&table, modseq - 1, &uids);
	}
	uids_free(&uids);
	change_free(&change);
	table_free(&table);
}

/* An annotation's name, key and value; what a mailbox holds. */
static void
try_annotation(struct span s, struct text *t)
{
	struct arena *arena = arena_new(1 << 20);
	uint64_t mailbox, messages, bytes;
	struct span name, again;

	if (metadata_name(s, arena, &name) == 1) {
		must(metadata_name(name, arena, &again) == 1);
		must(span_eq(name, again));
		must(metadata_matches(name, name, 0));
		metadata_key(t, 7, name);
		must(metadata_key_read(text_span(t), &mailbox, &again));
		must(mailbox == 7 && span_eq(name, again));
		text_clear(t);
	}
	if (metadata_key_read(s, &mailbox, &name)) {
		metadata_key(t, mailbox, name);
		same(t, s);
		text_clear(t);
	}
	if (metadata_decode(s, &name)) {
		metadata_encode(t, name);
		same(t, s);
		text_clear(t);
	}
	if (sums_decode(s, &messages, &bytes)) {
		sums_encode(t, messages, bytes);
		same(t, s);
		text_clear(t);
	}
	arena_free(&arena);
}

static void
try_account(struct span s, struct text *t)
{
	struct mailbox_name name;
	struct intent intent = { 0 };

	if (mailbox_name_decode(s, &name) == 1) {
		mailbox_name_encode(t, &name);
		same(t, s);
	}
	intent_decode(s, &intent);
	uids_free(&intent.uids);
}

static void
try_acl(struct span s, struct text *t)
{
	struct acl_asker asker = { .account = 1, .is_owner = true };
	struct acl acl = { 0 };

	if (acl_decode(s, &acl) != 1)
		return;
	acl_encode(t, &acl);
	same(t, s);
	must((acl_rights(&acl, &asker) & ACL_OWNER_ALWAYS) ==
	    ACL_OWNER_ALWAYS);
	acl_free(&acl);
}

/* A page of what somebody has seen: added to nothing and taken away again. */
static void
try_seen(struct span s)
{
	struct seens seens = { 0 };
	struct seen *seen = seens_make(&seens, 1);
	struct uids page = { 0 };

	if (seen_decode(s, 0, &page) == 1) {
		seen_change(seen, STORE_ADD, &page);
		must(uids_count(&seen->uids) == uids_count(&page));
		seen_change(seen, STORE_REMOVE, &page);
		must(seen->uids.n == 0);
	}
	uids_free(&page);
	seens_free(&seens);
}

/* Older versions are written anew: what that says must be the same. */
static void
try_directory(struct span s, struct text *t)
{
	struct text again = TEXT_INIT(0);
	struct name_record name;
	struct account account;
	struct domain_record domain;

	if (name_decode(s, &name) == 1) {
		name_encode(t, &name);
		must(name_decode(text_span(t), &name) == 1);
		name_encode(&again, &name);
		same(t, text_span(&again));
	}
	text_clear(t);
	text_clear(&again);
	if (account_decode(s, &account) == 1) {
		account_encode(t, &account);
		must(account_decode(text_span(t), &account) == 1);
		account_encode(&again, &account);
		same(t, text_span(&again));
	}
	domain_decode(s, &domain);
	text_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span s = span_of(data, n);
	struct text t = TEXT_INIT(0);

	if (n == 0)
		return 0;
	s = span_from(s, 1);
	switch (data[0] % 9) {
	case 0:
		try_chunk(s, &t);
		break;
	case 1:
		try_head(s, &t);
		break;
	case 2:
		try_stones(s, &t);
		break;
	case 3:
		try_done(s);
		break;
	case 4:
		try_changes(s);
		break;
	case 5:
		try_annotation(s, &t);
		try_account(s, &t);
		break;
	case 6:
		try_directory(s, &t);
		break;
	case 7:
		try_acl(s, &t);
		break;
	default:
		try_seen(s);
	}
	text_free(&t);
	return 0;
}
