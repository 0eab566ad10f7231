/*
 * test_acl.c - who may do what with whose mailbox: lists, the index of what is
 * shared, names, and each user's \Seen.
 */
#include "test_store.h"
#include "ipc/rights.h"
#include "store/mailboxes.h"
#include "store/seen.h"
#include "store/shares.h"

#include <stdlib.h>

/* ---- lists ------------------------------------------------------------- */

static bool
in_group(void *arg, struct span group)
{
	return span_is(group, arg);
}

static uint32_t
bits(const char *letters)
{
	uint32_t rights;

	assert_int_equal(rights_get(span_str(letters), &rights), 1);
	return rights;
}

static void
grant_to(struct acl *acl, struct acl_who who, const char *letters)
{
	assert_int_equal(acl_change(acl, &who, STORE_SET, bits(letters)), 1);
}

static struct acl_who
account(uint64_t id, bool negative)
{
	return (struct acl_who){ .kind = ACL_ACCOUNT, .account = id,
		.negative = negative };
}

static struct acl_who
group(const char *name, bool negative)
{
	return (struct acl_who){ .kind = ACL_GROUP, .group = span_str(name),
		.negative = negative };
}

static const struct acl_who anyone = { .kind = ACL_ANYONE };

static void
rights_add_up(void **state)
{
	struct acl acl = { 0 };
	char team[] = "team@x";
	struct acl_asker bob = { .account = 2, .is_member = in_group,
	    .arg = team };

	(void)state;
	assert_int_equal(acl_rights(&acl, &bob), 0);
	grant_to(&acl, anyone, "lp");
	grant_to(&acl, account(2, false), "rs");
	grant_to(&acl, group("team@x", false), "wi");
	grant_to(&acl, group("others@x", false), "xkte");
	assert_int_equal(acl_rights(&acl, &bob), bits("lprswi"));
	assert_int_equal(acl_rights_by_name(&acl, &bob), bits("rswi"));
	grant_to(&acl, account(2, true), "wp");
	grant_to(&acl, group("team@x", true), "i");
	grant_to(&acl, account(3, true), "l");
	assert_int_equal(acl_rights(&acl, &bob), bits("lrs"));
	bob.account = 0;
	assert_int_equal(acl_rights(&acl, &bob), bits("lp"));
	acl_free(&acl);
}

static void
owners_keep_two_rights(void **state)
{
	struct acl acl = { 0 };
	struct acl_asker ann = { .account = 1, .is_owner = true };

	(void)state;
	assert_int_equal(acl_rights(&acl, &ann), RIGHTS_ALL);
	grant_to(&acl, account(1, true), "lrswipkxtea");
	assert_int_equal(acl_rights(&acl, &ann), ACL_OWNER_ALWAYS);
	acl_free(&acl);
	grant_to(&acl, account(1, false), "r");
	assert_int_equal(acl_rights(&acl, &ann), bits("lra"));
	acl_free(&acl);
}

static void
entries_change(void **state)
{
	struct acl acl = { 0 };
	struct acl_who bob = account(2, false);

	(void)state;
	assert_int_equal(acl_change(&acl, &bob, STORE_ADD, bits("lr")), 1);
	assert_int_equal(acl_change(&acl, &bob, STORE_ADD, bits("w")), 1);
	assert_int_equal(acl_find(&acl, &bob)->rights, bits("lrw"));
	assert_int_equal(acl_change(&acl, &bob, STORE_REMOVE, bits("w")), 1);
	assert_int_equal(acl_find(&acl, &bob)->rights, bits("lr"));
	assert_int_equal(acl_change(&acl, &bob, STORE_REMOVE, bits("lr")), 1);
	assert_null(acl_find(&acl, &bob));
	for (uint64_t i = 1; i <= ACL_ENTRIES_MAX; i++)
		grant_to(&acl, account(i, false), "l");
	bob = account(ACL_ENTRIES_MAX + 1, false);
	assert_int_equal(acl_change(&acl, &bob, STORE_SET, bits("l")), 0);
	acl_free(&acl);
}

static void
lists_are_kept(void **state)
{
	struct acl acl = { 0 }, read = { 0 };
	struct text t = TEXT_INIT(0);

	(void)state;
	grant_to(&acl, account(2, true), "rs");
	grant_to(&acl, group("team@x", false), "lrswi");
	grant_to(&acl, anyone, "p");
	acl_encode(&t, &acl);
	assert_int_equal(acl_decode(text_span(&t), &read), 1);
	assert_int_equal(read.n, 3);
	for (size_t i = 0; i < read.n; i++) {
		assert_true(acl_same_who(&read.at[i].who, &acl.at[i].who));
		assert_int_equal(read.at[i].rights, acl.at[i].rights);
	}
	acl_free(&read);
	for (size_t n = 0; n < t.n; n++)
		assert_int_equal(acl_decode(span_of(t.p, n), &read), 0);
	t.p[0]++;
	assert_int_equal(acl_decode(text_span(&t), &read), 0);
	acl_free(&acl);
	text_free(&t);
}

/* ---- sets of what was seen --------------------------------------------- */

static void
add_range(struct uids *u, uint32_t first, uint32_t last)
{
	uids_add(u, first, last);
}

static void
sets_change(void **state)
{
	struct seens seens = { 0 };
	struct seen *seen = seens_make(&seens, 9);
	struct uids some = { 0 }, part = { 0 };

	(void)state;
	add_range(&some, 1, 10);
	add_range(&some, 20, 30);
	seen_change(seen, STORE_ADD, &some);
	uids_clear(&some);
	add_range(&some, 5, 22);
	add_range(&some, 31, 31);
	seen_change(seen, STORE_ADD, &some);
	assert_int_equal(seen->uids.n, 1);
	assert_int_equal(seen->uids.at[0].last, 31);
	uids_clear(&some);
	add_range(&some, 1, 1);
	add_range(&some, 10, 12);
	add_range(&some, 31, UINT32_MAX);
	seen_change(seen, STORE_REMOVE, &some);
	assert_int_equal(seen->uids.n, 2);
	assert_int_equal(uids_count(&seen->uids), 8 + 18);
	assert_true(uids_have(seens_of(&seens, 9), 13));
	assert_false(uids_have(seens_of(&seens, 9), 12));
	assert_int_equal(seens_of(&seens, 8)->n, 0);
	uids_clear(&some);
	add_range(&some, 7, 7);
	for (uint64_t user = 30; user > 20; user -= 2)
		seen_change(seens_make(&seens, user), STORE_ADD, &some);
	seen_change(seens_make(&seens, 3), STORE_ADD, &some);
	for (uint64_t user = 0; user < 40; user++)
		assert_int_equal(seens_of(&seens, user)->n > 0, user == 3 ||
		    user == 9 || (user > 20 && user <= 30 && user % 2 == 0));
	seen = seens_make(&seens, 9);
	uids_between(&seen->uids, 8, 14, &part);
	assert_int_equal(uids_count(&part), 2 + 2);
	uids_free(&some);
	uids_free(&part);
	seens_free(&seens);
}

/* ---- accounts that share ----------------------------------------------- */

struct scene {
	struct fixture f;
	uint64_t ann, bob, eve;
	struct grant anns, bobs, eves;
};

#define ANNS "Other Users/ann@example.test/"

/* CALL_TO(verb, reply, .grant = ..., ...): the reply in the arena. */
#define CALL_TO(s, verb, reply, ...) do {				\
	struct verb##_request request_ = { __VA_ARGS__ };		\
	verb_##verb((s)->f.store, &from_access, (s)->f.arena,		\
	    &request_, &(reply));					\
} while (0)
#define ASK(s, verb, expected, ...) do {				\
	struct verb##_reply reply_ = { 0 };				\
	CALL_TO(s, verb, reply_, __VA_ARGS__);				\
	assert_int_equal(reply_.result, expected);			\
} while (0)

static int
setup(void **state)
{
	struct scene *s = xcalloc(1, sizeof(*s));

	fixture_open(&s->f, false);
	add_domain(&s->f, "example.test");
	s->ann = add_account(&s->f, "ann@example.test", "a secret");
	s->bob = add_account(&s->f, "bob@example.test", "a secret");
	s->eve = add_account(&s->f, "eve@example.test", "a secret");
	s->anns = grant_of(&s->f, "ann@example.test");
	s->bobs = grant_of(&s->f, "bob@example.test");
	s->eves = grant_of(&s->f, "eve@example.test");
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;

	fixture_close(&s->f);
	free(s);
	return 0;
}

static void
create(struct scene *s, const struct grant *grant, const char *name)
{
	ASK(s, mailbox_create, RESULT_OK, .grant = *grant,
	    .token = token_new(), .name = span_str(name));
}

static void
set_rights(struct scene *s, const char *mailbox, const char *who,
    const char *letters)
{
	ASK(s, acl_set, RESULT_OK, .grant = s->anns,
	    .mailbox = span_str(mailbox), .identifier = span_str(who),
	    .mode = STORE_SET, .rights = bits(letters));
}

static struct mailbox_find_reply
find(struct scene *s, const struct grant *grant, const char *name)
{
	struct mailbox_find_reply reply = { 0 };

	CALL_TO(s, mailbox_find, reply, .grant = *grant,
	    .name = span_str(name));
	return reply;
}

/* Is it listed? Then its row; the last one of that name. */
static bool
is_listed(struct scene *s, const struct grant *grant, const char *name,
    struct mailbox_row *found)
{
	struct mailbox_list_reply reply = { 0 };
	struct cursor at;
	struct mailbox_row row, before = { 0 };
	bool any = false;

	CALL_TO(s, mailbox_list, reply, .grant = *grant);
	assert_int_equal(reply.result, RESULT_OK);
	at = (struct cursor){ .rest = reply.rows.bytes };
	while (mailbox_row_get(&at, &row) == 1) {
		assert_true(before.name.n == 0 ||
		    names_compare(before.name, row.name) < 0);
		before = row;
		if (!span_is(row.name, name))
			continue;
		any = true;
		*found = row;
	}
	return any;
}

static uint32_t
append(struct scene *s, const struct grant *grant, uint64_t mailbox,
    uint64_t flags)
{
	struct message_append_reply reply = { 0 };

	CALL_TO(s, message_append, reply, .grant = *grant,
	    .token = token_new(), .mailbox = mailbox, .flags = flags,
	    .internal_date = INT64_MIN, .keywords = SPAN("work"),
	    .body = BLOB_OF(SPAN("Subject: x\r\n\r\nx\r\n")));
	assert_int_equal(reply.result, RESULT_OK);
	return reply.uid;
}

static struct message_row
row_of(struct scene *s, const struct grant *grant, uint64_t mailbox,
    uint32_t uid)
{
	struct mailbox_open_reply reply = { 0 };
	struct message_row row = { 0 };
	struct cursor at;

	CALL_TO(s, mailbox_open, reply, .grant = *grant, .mailbox = mailbox);
	assert_int_equal(reply.result, RESULT_OK);
	at = (struct cursor){ .rest = reply.rows.bytes };
	while (message_row_get(&at, &row) == 1)
		if (row.uid == uid)
			return row;
	fail_msg("uid %u is not there", uid);
	return row;
}

static struct blob
uid(struct scene *s, uint32_t first, uint32_t last)
{
	struct text t = TEXT_INIT(0);
	struct blob blob;

	uid_range_put(&t, &(struct uid_range){ first, last });
	blob = BLOB_OF(arena_dup(s->f.arena, text_span(&t)));
	text_free(&t);
	return blob;
}

static void
what_is_shared_is_listed(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;
	struct mailbox_find_reply found;

	create(s, &s->anns, "Projects/2026");
	assert_false(is_listed(s, &s->bobs, ANNS "Projects", &row));
	set_rights(s, "Projects", "bob@example.test", "lr");
	assert_true(is_listed(s, &s->bobs, ANNS "Projects", &row));
	assert_int_equal(row.rights, bits("lr"));
	assert_int_equal(row.place, PLACE_OTHER_USERS);
	assert_false(is_listed(s, &s->bobs, ANNS "Projects/2026", &row));
	assert_false(is_listed(s, &s->eves, ANNS "Projects", &row));
	found = find(s, &s->bobs, ANNS "Projects");
	assert_int_equal(found.result, RESULT_OK);
	assert_int_equal(found.mailbox, row.mailbox);
	assert_int_equal(find(s, &s->eves, ANNS "Projects").result,
	    RESULT_NOT_FOUND);
	assert_int_equal(find(s, &s->bobs, ANNS "Nothing").result,
	    RESULT_NOT_FOUND);
	assert_int_equal(find(s, &s->bobs,
	    "Other Users/nobody@example.test/x").result, RESULT_NOT_FOUND);
	/* Without l it is not listed, and yet it can be read. */
	set_rights(s, "Projects", "bob@example.test", "r");
	assert_false(is_listed(s, &s->bobs, ANNS "Projects", &row));
	assert_int_equal(find(s, &s->bobs, ANNS "Projects").result,
	    RESULT_OK);
	set_rights(s, "Projects", "bob@example.test", "");
	assert_int_equal(find(s, &s->bobs, ANNS "Projects").result,
	    RESULT_NOT_FOUND);
}

static void
subscriptions_and_own_names(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;

	create(s, &s->anns, "Projects");
	set_rights(s, "Projects", "bob@example.test", "lr");
	ASK(s, mailbox_subscribe, RESULT_OK, .grant = s->bobs,
	    .name = SPAN(ANNS "Projects"), .on = 1);
	assert_true(is_listed(s, &s->bobs, ANNS "Projects", &row));
	assert_true(row.subscribed);
	set_rights(s, "Projects", "bob@example.test", "");
	assert_true(is_listed(s, &s->bobs, ANNS "Projects", &row));
	assert_int_equal(row.mailbox, 0);
	assert_true(row.subscribed);
	/* A name of one's own that was there before stays reachable. */
	create(s, &s->bobs, "Shared");
	assert_int_equal(find(s, &s->bobs, "Shared").place, PLACE_OWN);
}

/* What each right is needed for: without it, and with it alone. */
static void
each_right(void **state)
{
	struct scene *s = *state;
	uint64_t box;

	create(s, &s->anns, "Box");
	box = find(s, &s->anns, "Box").mailbox;
	append(s, &s->anns, box, 0);
#define TRY(letters, expected, verb, ...) do {				\
	set_rights(s, "Box", "bob@example.test", letters);		\
	ASK(s, verb, expected, .grant = s->bobs, __VA_ARGS__);		\
} while (0)
	TRY("", RESULT_NOT_FOUND, mailbox_open, .mailbox = box);
	TRY("lswipkxtea", RESULT_FORBIDDEN, mailbox_open, .mailbox = box);
	TRY("r", RESULT_OK, mailbox_open, .mailbox = box);
	TRY("l", RESULT_FORBIDDEN, mailbox_status, .mailbox = box);
	TRY("l", RESULT_FORBIDDEN, mailbox_changes, .mailbox = box);
	TRY("l", RESULT_FORBIDDEN, message_body, .mailbox = box, .uid = 1);
	TRY("p", RESULT_NOT_FOUND, message_body, .mailbox = box, .uid = 1);
	TRY("l", RESULT_FORBIDDEN, message_details, .mailbox = box,
	    .uids = uid(s, 1, 1));
	TRY("l", RESULT_FORBIDDEN, message_bodies, .mailbox = box,
	    .uids = uid(s, 1, 1));
	TRY("lrswpkxtea", RESULT_FORBIDDEN, message_append, .mailbox = box,
	    .token = token_new(), .body = BLOB_OF(SPAN("x")));
	TRY("lrswipkxta", RESULT_FORBIDDEN, message_expunge, .mailbox = box,
	    .uids = uid(s, 1, 1), .only_deleted = 1);
	TRY("lre", RESULT_FORBIDDEN, message_expunge, .mailbox = box,
	    .uids = uid(s, 1, 1));
	TRY("lrwitkxea", RESULT_FORBIDDEN, message_store, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_ADD, .flags = FLAG_SEEN,
	    .unchanged_since = UINT64_MAX);
	TRY("lrswi", RESULT_FORBIDDEN, message_store, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_ADD, .flags = FLAG_DELETED,
	    .unchanged_since = UINT64_MAX);
	TRY("lrst", RESULT_FORBIDDEN, message_store, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_ADD, .flags = FLAG_FLAGGED,
	    .unchanged_since = UINT64_MAX);
	TRY("lr", RESULT_FORBIDDEN, message_store, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_SET,
	    .unchanged_since = UINT64_MAX);
	TRY("lrt", RESULT_FORBIDDEN, message_copy, .mailbox = box,
	    .token = token_new(), .uids = uid(s, 1, 1), .move = 1,
	    .target = find(s, &s->bobs, "INBOX").mailbox);
	TRY("lrswipxtea", RESULT_FORBIDDEN, mailbox_create,
	    .token = token_new(), .name = SPAN(ANNS "Box/x"));
	TRY("lrswipktea", RESULT_FORBIDDEN, mailbox_delete,
	    .name = SPAN(ANNS "Box"));
	TRY("lrswipktea", RESULT_FORBIDDEN, mailbox_rename,
	    .from = SPAN(ANNS "Box"), .to = SPAN(ANNS "Box/y"));
	TRY("lrswipkxte", RESULT_FORBIDDEN, acl_get,
	    .mailbox = SPAN(ANNS "Box"));
	TRY("rswipkxte", RESULT_NOT_FOUND, acl_get,
	    .mailbox = SPAN(ANNS "Box"));
	TRY("a", RESULT_OK, acl_get, .mailbox = SPAN(ANNS "Box"));
	TRY("lrswipkxtea", RESULT_NOT_FOUND, mailbox_create,
	    .token = token_new(), .name = SPAN(ANNS "Top"));
	TRY("lrswipkxtea", RESULT_INVALID, mailbox_rename,
	    .from = SPAN(ANNS "Box"), .to = SPAN("Mine"));
	TRY("lk", RESULT_OK, mailbox_create, .token = token_new(),
	    .name = SPAN(ANNS "Box/x"));
	TRY("x", RESULT_OK, mailbox_delete, .name = SPAN(ANNS "Box"));
#undef TRY
}

/* Flags that somebody may not set are left out, and the rest is done. */
static void
flags_by_rights(void **state)
{
	struct scene *s = *state;
	struct message_row row;
	uint64_t box;
	uint32_t n;

	create(s, &s->anns, "Box");
	box = find(s, &s->anns, "Box").mailbox;
	set_rights(s, "Box", "bob@example.test", "lriw");
	n = append(s, &s->bobs, box, FLAG_SEEN | FLAG_DELETED |
	    FLAG_FLAGGED);
	row = row_of(s, &s->anns, box, n);
	assert_int_equal(row.flags & FLAGS_SYSTEM, FLAG_FLAGGED);
	assert_int_not_equal(row.flags >> FLAG_KEYWORD_0, 0);
	set_rights(s, "Box", "bob@example.test", "lrit");
	n = append(s, &s->bobs, box, FLAG_SEEN | FLAG_DELETED |
	    FLAG_FLAGGED);
	assert_int_equal(row_of(s, &s->anns, box, n).flags, FLAG_DELETED);
	/* FLAGS () of who may only undelete. */
	ASK(s, message_store, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .uids = uid(s, 1, n), .mode = STORE_SET,
	    .unchanged_since = UINT64_MAX, .since = UINT64_MAX);
	assert_int_equal(row_of(s, &s->anns, box, n).flags, 0);
	assert_int_equal(row_of(s, &s->anns, box, 1).flags, row.flags);
	/* A copy loses what may not be set where it goes. */
	ASK(s, message_copy, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .token = token_new(), .uids = uid(s, 1, 1), .target = box,
	    .since = UINT64_MAX);
	assert_int_equal(row_of(s, &s->anns, box, n + 1).flags, 0);
}

static void
mailboxes_made_inside(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;

	create(s, &s->anns, "Box");
	set_rights(s, "Box", "bob@example.test", "lrkx");
	create(s, &s->anns, "Box/by ann/deep");
	assert_true(is_listed(s, &s->bobs, ANNS "Box/by ann/deep", &row));
	assert_int_equal(row.rights, bits("lrkx"));
	create(s, &s->bobs, ANNS "Box/by bob");
	assert_true(is_listed(s, &s->anns, "Box/by bob", &row));
	assert_int_equal(row.rights, RIGHTS_ALL);
	/* Renaming moves neither rights nor what is shared. */
	ASK(s, mailbox_rename, RESULT_OK, .grant = s->anns,
	    .from = SPAN("Box"), .to = SPAN("Case"));
	assert_true(is_listed(s, &s->bobs, ANNS "Case/by bob", &row));
	assert_false(is_listed(s, &s->bobs, ANNS "Box", &row));
	fixture_reopen(&s->f);
	assert_true(is_listed(s, &s->bobs, ANNS "Case/by ann/deep", &row));
	assert_int_equal(row.rights, bits("lrkx"));
	ASK(s, mailbox_delete, RESULT_OK, .grant = s->bobs,
	    .name = SPAN(ANNS "Case/by bob"));
	assert_false(is_listed(s, &s->anns, "Case/by bob", &row));
	/* A new one of an old name has nothing of it. */
	ASK(s, mailbox_delete, RESULT_OK, .grant = s->anns,
	    .name = SPAN("Case"));
	create(s, &s->anns, "Case");
	assert_false(is_listed(s, &s->bobs, ANNS "Case", &row));
}

/* The intent of a change is what is left when the store dies behind it. */
static void
a_change_that_was_cut_short(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;
	struct share share = { .owner = s->ann };
	struct intent intent = { .kind = INTENT_SHARE,
	    .token = token_new() };
	struct acl acl = { 0 };
	struct key key;
	struct text t = TEXT_INIT(0);
	struct batch *b = batch_new((struct partition){ PARTITION_ACCOUNT,
	    s->ann });

	create(s, &s->anns, "Box");
	share.mailbox = find(s, &s->anns, "Box").mailbox;
	key = key_u64(ACCOUNT_RIGHTS, share.mailbox);
	intent.source = share.mailbox;
	grant_to(&acl, account(s->bob, false), "lr");
	acl_encode(&t, &acl);
	batch_put(b, key_span(&key), text_span(&t));
	intent_put(b, &intent);
	assert_int_equal(engine_commit(s->f.engine, b, NULL), 1);
	batch_free(&b);
	text_free(&t);
	acl_free(&acl);
	fixture_reopen(&s->f);
	mailboxes_maintain(s->f.store->mailboxes);
	assert_true(is_listed(s, &s->bobs, ANNS "Box", &row));
	assert_false(intents_left(s->f.store->mailboxes, s->ann));
}

/* An index that was lost is found by a check, and made again. */
static void
an_index_that_is_wrong(void **state)
{
	struct scene *s = *state;
	struct mailboxes *m = s->f.store->mailboxes;
	struct text report = TEXT_INIT(0);
	uint32_t found = 0, repaired = 0;
	struct mailbox_row row;

	create(s, &s->anns, "Box");
	set_rights(s, "Box", "bob@example.test", "lr");
	assert_int_equal(mailboxes_check(m, s->ann, false, &report, &found,
	    &repaired), RESULT_OK);
	assert_int_equal(found, 0);
	assert_int_equal(engine_drop_partition(s->f.engine,
	    (struct partition){ PARTITION_SHARES, 0 }, NULL), 1);
	assert_false(is_listed(s, &s->bobs, ANNS "Box", &row));
	assert_int_equal(mailboxes_check(m, s->ann, true, &report, &found,
	    &repaired), RESULT_OK);
	assert_int_equal(found, 1);
	assert_int_equal(repaired, 1);
	assert_true(is_listed(s, &s->bobs, ANNS "Box", &row));
	text_free(&report);
}

static void
set_group(struct scene *s, const char *members)
{
	struct span bad;
	bool made;

	assert_int_equal(directory_group_set(s->f.store->directory,
	    SPAN("team@example.test"), span_str(members), GROUP_MEMBERS,
	    s->f.arena, &made, &bad), RESULT_OK);
}

static void
groups_share(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;

	create(s, &s->anns, "Box");
	ASK(s, acl_set, RESULT_INVALID, .grant = s->anns,
	    .mailbox = SPAN("Box"), .identifier = SPAN("$team@example.test"),
	    .rights = bits("lr"));
	set_group(s, "bob@example.test\neve@example.test");
	set_rights(s, "Box", "$Team@Example.Test", "lr");
	set_rights(s, "Box", "-eve@example.test", "lrswi");
	assert_true(is_listed(s, &s->bobs, ANNS "Box", &row));
	assert_false(is_listed(s, &s->eves, ANNS "Box", &row));
	set_rights(s, "Box", "-eve@example.test", "");
	assert_true(is_listed(s, &s->eves, ANNS "Box", &row));
	set_group(s, "eve@example.test");
	assert_false(is_listed(s, &s->bobs, ANNS "Box", &row));
	ASK(s, mailbox_open, RESULT_NOT_FOUND, .grant = s->bobs,
	    .mailbox = row.mailbox);
	set_group(s, "");
	assert_false(is_listed(s, &s->eves, ANNS "Box", &row));
	/* One that is made anew is not the one that was meant. */
	set_group(s, "bob@example.test");
	assert_false(is_listed(s, &s->bobs, ANNS "Box", &row));
}

static size_t
entries_of(struct scene *s, const char *mailbox)
{
	struct acl_get_reply reply = { 0 };
	struct acl_row row;
	struct cursor at;
	size_t n = 0;

	CALL_TO(s, acl_get, reply, .grant = s->anns,
	    .mailbox = span_str(mailbox));
	assert_int_equal(reply.result, RESULT_OK);
	at = (struct cursor){ .rest = reply.rows.bytes };
	while (acl_row_get(&at, &row) == 1)
		n++;
	return n;
}

static void
accounts_that_go(void **state)
{
	struct scene *s = *state;
	struct mailbox_row row;
	struct share *shares;
	uint64_t owner, box;
	size_t n;

	create(s, &s->anns, "Box");
	box = find(s, &s->anns, "Box").mailbox;
	set_rights(s, "Box", "bob@example.test", "lr");
	set_rights(s, "Box", "anyone", "lr");
	assert_int_equal(entries_of(s, "Box"), 3);
	assert_int_equal(directory_account_remove(s->f.store->directory,
	    SPAN("bob@example.test")), RESULT_OK);
	assert_int_equal(entries_of(s, "Box"), 2);
	assert_true(is_listed(s, &s->eves, ANNS "Box", &row));
	assert_int_equal(directory_account_remove(s->f.store->directory,
	    SPAN("ann@example.test")), RESULT_OK);
	assert_int_equal(shares_owner(s->f.store, box, &owner), 0);
	assert_int_equal(shares_of(s->f.store, s->eve, &shares, &n), 1);
	assert_int_equal(n, 0);
	free(shares);
	assert_false(is_listed(s, &s->eves, ANNS "Box", &row));
}

/* ---- \Seen of one's own ------------------------------------------------ */

static uint64_t
modseq_of(struct scene *s, const struct grant *grant, uint64_t box)
{
	struct mailbox_status_reply reply = { 0 };

	CALL_TO(s, mailbox_status, reply, .grant = *grant, .mailbox = box);
	assert_int_equal(reply.result, RESULT_OK);
	return reply.highestmodseq;
}

static uint32_t
unseen(struct scene *s, const struct grant *grant, uint64_t box)
{
	struct mailbox_status_reply reply = { 0 };

	CALL_TO(s, mailbox_status, reply, .grant = *grant, .mailbox = box);
	return reply.unseen;
}

static bool
has_seen(struct scene *s, const struct grant *grant, uint64_t box,
    uint32_t n)
{
	return (row_of(s, grant, box, n).flags & FLAG_SEEN) != 0;
}

static uint64_t
shared_box(struct scene *s, size_t messages)
{
	uint64_t box;

	create(s, &s->anns, "Box");
	box = find(s, &s->anns, "Box").mailbox;
	for (size_t i = 0; i < messages; i++)
		append(s, &s->anns, box, 0);
	set_rights(s, "Box", "bob@example.test", "lrswite");
	set_rights(s, "Box", "eve@example.test", "lrs");
	return box;
}

static void
see(struct scene *s, const struct grant *grant, uint64_t box, uint32_t first,
    uint32_t last, enum store_mode mode)
{
	ASK(s, message_store, RESULT_OK, .grant = *grant, .mailbox = box,
	    .uids = uid(s, first, last), .mode = mode, .flags = FLAG_SEEN,
	    .unchanged_since = UINT64_MAX, .since = UINT64_MAX);
}

static void
check_what_was_seen(struct scene *s, uint64_t box)
{
	assert_true(has_seen(s, &s->anns, box, 1));
	assert_false(has_seen(s, &s->anns, box, 2));
	assert_false(has_seen(s, &s->bobs, box, 1));
	assert_true(has_seen(s, &s->bobs, box, 2));
	assert_true(has_seen(s, &s->bobs, box, 4));
	assert_false(has_seen(s, &s->bobs, box, 3));
	assert_int_equal(unseen(s, &s->anns, box), 3);
	assert_int_equal(unseen(s, &s->bobs, box), 2);
	assert_int_equal(unseen(s, &s->eves, box), 4);
}

static void
everybody_sees_for_themselves(void **state)
{
	struct scene *s = *state;
	uint64_t box = shared_box(s, 4), modseq;
	struct mailbox *mb;

	see(s, &s->anns, box, 1, 1, STORE_ADD);
	modseq = modseq_of(s, &s->bobs, box);
	see(s, &s->bobs, box, 2, 4, STORE_ADD);
	see(s, &s->bobs, box, 3, 3, STORE_REMOVE);
	assert_true(modseq_of(s, &s->bobs, box) > modseq);
	check_what_was_seen(s, box);
	/* What is so already is no change. */
	modseq = modseq_of(s, &s->bobs, box);
	see(s, &s->bobs, box, 2, 2, STORE_ADD);
	assert_int_equal(modseq_of(s, &s->bobs, box), modseq);
	/* From the tail, and from the pages. */
	fixture_reopen(&s->f);
	check_what_was_seen(s, box);
	assert_int_equal(mailbox_enter_any(s->f.store->mailboxes, box, &mb),
	    RESULT_OK);
	assert_int_equal(mailbox_fold(mb), 1);
	mailbox_leave(&mb);
	fixture_reopen(&s->f);
	check_what_was_seen(s, box);
	assert_int_equal(modseq_of(s, &s->bobs, box), modseq);
}

static void
what_changed_since(void **state)
{
	struct scene *s = *state;
	uint64_t box = shared_box(s, 3);
	uint64_t modseq = modseq_of(s, &s->bobs, box);
	struct mailbox_changes_reply reply = { 0 };
	struct message_row row;
	struct cursor at;

	see(s, &s->bobs, box, 2, 2, STORE_ADD);
	CALL_TO(s, mailbox_changes, reply, .grant = s->bobs, .mailbox = box,
	    .since = modseq);
	assert_int_equal(reply.result, RESULT_OK);
	at = (struct cursor){ .rest = reply.rows.bytes };
	assert_int_equal(message_row_get(&at, &row), 1);
	assert_int_equal(row.uid, 2);
	assert_int_equal(row.flags & FLAG_SEEN, FLAG_SEEN);
	assert_int_equal(message_row_get(&at, &row), 0);
}

/* FLAGS of somebody with a \Seen of their own: two marks, one message. */
static void
flags_with_own_seen(void **state)
{
	struct scene *s = *state;
	uint64_t box = shared_box(s, 2);
	struct message_row row;
	uint32_t n;

	ASK(s, message_store, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_SET,
	    .flags = FLAG_SEEN | FLAG_FLAGGED,
	    .unchanged_since = UINT64_MAX, .since = UINT64_MAX);
	row = row_of(s, &s->bobs, box, 1);
	assert_int_equal(row.flags, FLAG_SEEN | FLAG_FLAGGED);
	assert_int_equal(row_of(s, &s->anns, box, 1).flags, FLAG_FLAGGED);
	ASK(s, message_store, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .uids = uid(s, 1, 1), .mode = STORE_SET,
	    .unchanged_since = row.modseq, .since = UINT64_MAX);
	assert_int_equal(row_of(s, &s->bobs, box, 1).flags, 0);
	/* What I add, I have seen, when I say so; and what I copy. */
	n = append(s, &s->bobs, box, FLAG_SEEN);
	assert_true(has_seen(s, &s->bobs, box, n));
	assert_false(has_seen(s, &s->anns, box, n));
	ASK(s, message_copy, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .token = token_new(), .uids = uid(s, n, n), .target = box,
	    .since = UINT64_MAX);
	assert_true(has_seen(s, &s->bobs, box, n + 1));
	assert_false(has_seen(s, &s->eves, box, n + 1));
	ASK(s, message_copy, RESULT_OK, .grant = s->bobs, .mailbox = box,
	    .token = token_new(), .uids = uid(s, n, n), .move = 1,
	    .target = find(s, &s->bobs, "INBOX").mailbox,
	    .since = UINT64_MAX);
	assert_true(has_seen(s, &s->bobs,
	    find(s, &s->bobs, "INBOX").mailbox, 1));
}

/* A short answer is only given where it says all. */
static void
short_answers(void **state)
{
	static const struct {
		enum store_mode mode;
		uint64_t flags;
		uint32_t as_asked;
	} rows[] = {
		{ STORE_ADD, FLAG_SEEN, 1 },
		{ STORE_REMOVE, FLAG_SEEN, 1 },
		{ STORE_ADD, FLAG_FLAGGED, 1 },
		{ STORE_ADD, FLAG_SEEN | FLAG_ANSWERED, 0 },
		{ STORE_SET, FLAG_SEEN, 0 },
	};
	struct scene *s = *state;
	uint64_t box = shared_box(s, 3);

	see(s, &s->bobs, box, 2, 2, STORE_ADD);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct message_store_reply reply = { 0 };
		uint64_t since = modseq_of(s, &s->bobs, box);
		struct message_row row;

		CALL_TO(s, message_store, reply, .grant = s->bobs,
		    .mailbox = box, .uids = uid(s, 1, 3),
		    .mode = rows[i].mode, .flags = rows[i].flags,
		    .unchanged_since = UINT64_MAX, .since = since,
		    .brief = 1);
		assert_int_equal(reply.result, RESULT_OK);
		assert_int_equal(reply.as_asked, rows[i].as_asked);
		row = row_of(s, &s->bobs, box, 1);
		if (reply.as_asked) {
			assert_int_equal(reply.bits, rows[i].flags);
			assert_int_equal(row.modseq, reply.highestmodseq);
		}
	}
	/* What eve may not set is not what she asked for. */
	{
		struct message_store_reply reply = { 0 };

		CALL_TO(s, message_store, reply, .grant = s->eves,
		    .mailbox = box, .uids = uid(s, 1, 3), .mode = STORE_ADD,
		    .flags = FLAG_SEEN | FLAG_DELETED,
		    .unchanged_since = UINT64_MAX,
		    .since = modseq_of(s, &s->eves, box), .brief = 1);
		assert_int_equal(reply.result, RESULT_OK);
		assert_int_equal(reply.as_asked, 0);
	}
}

static void
a_common_seen(void **state)
{
	struct scene *s = *state;
	uint64_t box = shared_box(s, 2);

	strcpy(s->f.settings.imap_shared_seen, "common");
	see(s, &s->bobs, box, 1, 1, STORE_ADD);
	assert_true(has_seen(s, &s->anns, box, 1));
	assert_true(has_seen(s, &s->eves, box, 1));
	assert_int_equal(unseen(s, &s->eves, box), 1);
}

/* ---- sending ----------------------------------------------------------- */

static void
in_the_name_of_another(void **state)
{
	struct scene *s = *state;

	ASK(s, sender_check, RESULT_DENIED, .grant = s->bobs,
	    .address = SPAN("ann@example.test"));
	set_rights(s, "INBOX", "anyone", "p");
	ASK(s, sender_check, RESULT_DENIED, .grant = s->bobs,
	    .address = SPAN("ann@example.test"));
	set_rights(s, "INBOX", "bob@example.test", "p");
	assert_int_equal(add_alias(&s->f, "office@example.test",
	    "ann@example.test"), RESULT_OK);
	ASK(s, sender_check, RESULT_OK, .grant = s->bobs,
	    .address = SPAN("ann@example.test"));
	ASK(s, sender_check, RESULT_OK, .grant = s->bobs,
	    .address = SPAN("office@example.test"));
	ASK(s, sender_check, RESULT_DENIED, .grant = s->eves,
	    .address = SPAN("ann@example.test"));
	ASK(s, sender_check, RESULT_DENIED, .grant = s->bobs,
	    .address = SPAN("eve@example.test"));
}

static void
shared_accounts(void **state)
{
	struct scene *s = *state;
	const struct acl_who who = { .kind = ACL_ANYONE };
	struct shared_add_reply made = { 0 };
	struct mailbox_row row;
	struct grant owner;

	CALL_TO(s, shared_add, made, .address = SPAN("info@example.test"));
	assert_int_equal(made.result, RESULT_OK);
	owner = grant_of(&s->f, "info@example.test");
	assert_int_equal(send_mail(&s->f, "carol@elsewhere.test",
	    "info@example.test", &(struct token){ { 1 } }, "Subject: x\r\n"
	    "\r\n"), RESULT_OK);
	queue_settle(s->f.store->queue);
	assert_int_equal(messages_of(&s->f, made.account), 1);
	assert_false(is_listed(s, &s->bobs, "Shared/info@example.test/INBOX",
	    &row));
	ASK(s, acl_set, RESULT_OK, .grant = owner, .mailbox = SPAN("INBOX"),
	    .identifier = SPAN("bob@example.test"), .mode = STORE_SET,
	    .rights = bits("lrp"));
	assert_true(is_listed(s, &s->bobs, "Shared/info@example.test/INBOX",
	    &row));
	assert_int_equal(row.place, PLACE_SHARED);
	ASK(s, mailbox_open, RESULT_OK, .grant = s->bobs,
	    .mailbox = row.mailbox);
	assert_int_equal(find(s, &s->bobs,
	    "Other Users/info@example.test/INBOX").result, RESULT_NOT_FOUND);
	ASK(s, sender_check, RESULT_OK, .grant = s->bobs,
	    .address = SPAN("info@example.test"));
	ASK(s, sender_check, RESULT_DENIED, .grant = s->eves,
	    .address = SPAN("info@example.test"));
	/* Not everybody may write to it any more; by an alias they may. */
	assert_int_equal(acl_change_inbox(s->f.store->mailboxes,
	    made.account, &who, 0), RESULT_OK);
	ASK(s, recipient_check, RESULT_DENIED,
	    .address = SPAN("info@example.test"));
	ASK(s, recipient_check, RESULT_OK, .grant = s->bobs,
	    .address = SPAN("info@example.test"));
	assert_int_equal(add_alias(&s->f, "desk@example.test",
	    "info@example.test"), RESULT_OK);
	ASK(s, recipient_check, RESULT_OK,
	    .address = SPAN("desk@example.test"));
}

#define SCENE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_add_up),
		cmocka_unit_test(owners_keep_two_rights),
		cmocka_unit_test(entries_change),
		cmocka_unit_test(lists_are_kept),
		cmocka_unit_test(sets_change),
		SCENE(what_is_shared_is_listed),
		SCENE(subscriptions_and_own_names),
		SCENE(each_right),
		SCENE(flags_by_rights),
		SCENE(mailboxes_made_inside),
		SCENE(a_change_that_was_cut_short),
		SCENE(an_index_that_is_wrong),
		SCENE(groups_share),
		SCENE(accounts_that_go),
		SCENE(everybody_sees_for_themselves),
		SCENE(what_changed_since),
		SCENE(flags_with_own_seen),
		SCENE(short_answers),
		SCENE(a_common_seen),
		SCENE(in_the_name_of_another),
		SCENE(shared_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
