/*
 * test_mailbox.c - every verb of mailboxes and messages.
 */
#include "store/test_mailboxes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t
inbox(struct fixture *f)
{
	return mailbox_named(f, "INBOX");
}

static void
add(struct fixture *f, uint64_t mailbox, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(append(f, mailbox, "a body", 0, "", NULL,
		    NULL), RESULT_OK);
}

static void
assert_uids(struct fixture *f, const struct got *got, const char *uids)
{
	struct uids u = { 0 };

	for (size_t i = 0; i < got->n; i++)
		uids_add(&u, got->rows[i].uid, got->rows[i].uid);
	assert_string_equal(text_of(f, &u), uids);
	uids_free(&u);
}

static void
assert_there(struct fixture *f, uint64_t mailbox, const char *uids)
{
	struct got got = open_mailbox(f, mailbox, false);

	assert_int_equal(got.result, RESULT_OK);
	assert_uids(f, &got, uids);
	got_free(&got);
}

static void
fold(struct fixture *f, uint64_t mailbox)
{
	struct mailbox *mb;

	assert_int_equal(mailbox_enter(f->store.mailboxes, ACCOUNT, mailbox,
	    &mb), RESULT_OK);
	assert_int_equal(mailbox_fold(mb), 1);
	assert_int_equal(mb->tail_bytes, 0);
	mailbox_leave(&mb);
}

/* ---- the list -------------------------------------------------------- */

static void
assert_names(struct fixture *f, const char *expected)
{
	struct mailbox_list_request req = { .grant = grant_for(ACCOUNT) };
	struct mailbox_list_reply reply = { 0 };
	struct mailbox_row row;
	struct cursor c = { 0 };
	struct text t = TEXT_INIT(0);

	verb_mailbox_list(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	c.rest = reply.rows.bytes;
	while (mailbox_row_get(&c, &row) == 1)
		text_printf(&t, "%s%.*s%s%s", t.n > 0 ? " " : "",
		    SPAN_ARG(row.name), row.subscribed ? "*" : "",
		    row.mailbox == 0 ? "-" : "");
	text_char(&t, '\0');
	assert_string_equal(t.p, expected);
	text_free(&t);
}

static enum result
rename_mailbox(struct fixture *f, const char *from, const char *to)
{
	struct mailbox_rename_request req = { .grant = grant_for(ACCOUNT),
	    .from = span_str(from), .to = span_str(to) };
	struct mailbox_rename_reply reply = { 0 };

	verb_mailbox_rename(&f->store, &tester, f->arena, &req, &reply);
	return reply.result;
}

static enum result
delete_mailbox(struct fixture *f, const char *name)
{
	struct mailbox_delete_request req = { .grant = grant_for(ACCOUNT),
	    .name = span_str(name) };
	struct mailbox_delete_reply reply = { 0 };

	verb_mailbox_delete(&f->store, &tester, f->arena, &req, &reply);
	return reply.result;
}

static enum result
subscribe(struct fixture *f, const char *name, bool on)
{
	struct mailbox_subscribe_request req = { .grant = grant_for(ACCOUNT),
	    .name = span_str(name), .on = on };
	struct mailbox_subscribe_reply reply = { 0 };

	verb_mailbox_subscribe(&f->store, &tester, f->arena, &req, &reply);
	return reply.result;
}

static void
test_defaults(void **state)
{
	assert_names(*state, "Archive* Drafts* INBOX* Junk* Sent* Trash*");
	fixture_restart(*state);
	assert_names(*state, "Archive* Drafts* INBOX* Junk* Sent* Trash*");
	assert_int_equal(mailboxes_make_defaults(((struct fixture *)
	    *state)->store.mailboxes, ACCOUNT), RESULT_OK);
	assert_names(*state, "Archive* Drafts* INBOX* Junk* Sent* Trash*");
}

static void
test_create(void **state)
{
	struct fixture *f = *state;
	uint64_t id, again;
	static const char *const bad[] = { "", "/", "/a", "a//b", "a\x01",
	    "\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf", "x\x7f" };

	assert_int_equal(create(f, "work/2026/may", &id), RESULT_OK);
	assert_int_equal(create(f, "work/2026/", &again), RESULT_EXISTS);
	assert_true(again != id);
	assert_int_equal(create(f, "work-x", NULL), RESULT_OK);
	assert_int_equal(create(f, "work.a", NULL), RESULT_OK);
	assert_int_equal(create(f, "inbox", NULL), RESULT_EXISTS);
	assert_int_equal(create(f, "Inbox/below", NULL), RESULT_OK);
	assert_int_equal(create(f, "Gr\xc3\xbc\xc3\x9f" "e", NULL),
	    RESULT_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(create(f, bad[i], NULL), RESULT_INVALID);
	/* Children follow their parent whatever else sorts between. */
	assert_names(f, "Archive* Drafts* Gr\xc3\xbc\xc3\x9f" "e INBOX* "
	    "INBOX/below Junk* Sent* Trash* work work/2026 work/2026/may "
	    "work-x work.a");
	f->settings.store_max_mailboxes = 14;
	assert_int_equal(create(f, "one", NULL), RESULT_OK);
	assert_int_equal(create(f, "two", NULL), RESULT_LIMIT);
	check_clean(f);
}

static void
test_create_again(void **state)
{
	struct fixture *f = *state;
	struct mailbox_create_request req = { .grant = grant_for(ACCOUNT),
	    .token = token_new(), .name = SPAN("new"), .use = USE_ALL };
	struct mailbox_create_reply first = { 0 }, again = { 0 };

	verb_mailbox_create(&f->store, &tester, f->arena, &req, &first);
	assert_int_equal(first.result, RESULT_OK);
	fixture_restart(f);
	verb_mailbox_create(&f->store, &tester, f->arena, &req, &again);
	assert_int_equal(again.result, RESULT_OK);
	assert_int_equal(again.mailbox, first.mailbox);
}

static void
test_delete(void **state)
{
	struct fixture *f = *state;
	uint64_t a, b;
	struct got got, new;

	assert_int_equal(create(f, "a", &a), RESULT_OK);
	assert_int_equal(create(f, "a/b", &b), RESULT_OK);
	add(f, a, 3);
	got = open_mailbox(f, a, false);
	assert_int_equal(delete_mailbox(f, "a"), RESULT_OK);
	assert_int_equal(delete_mailbox(f, "a"), RESULT_NOT_FOUND);
	assert_int_equal(delete_mailbox(f, "inbox"), RESULT_INVALID);
	assert_int_equal(changes(f, a, 0).result, RESULT_NOT_FOUND);
	assert_int_equal(append(f, a, "x", 0, "", NULL, NULL),
	    RESULT_NOT_FOUND);
	assert_names(f, "Archive* Drafts* INBOX* Junk* Sent* Trash* a/b");
	mailboxes_maintain(f->store.mailboxes);
	assert_int_equal(engine_collect(f->engine, false, 0), 3);
	assert_int_equal(create(f, "a", &b), RESULT_OK);
	assert_true(a != b);
	new = open_mailbox(f, b, false);
	assert_true(new.uidvalidity > got.uidvalidity);
	assert_int_equal(new.n, 0);
	got_free(&got);
	got_free(&new);
	check_clean(f);
}

/* A removal that a dead process left is finished after the start. */
static void
test_delete_cut_short(void **state)
{
	struct fixture *f = *state;
	uint64_t a;

	for (long step = 1; step < 4; step++) {
		assert_int_equal(create(f, "a", &a), RESULT_OK);
		add(f, a, 3);
		assert_int_equal(delete_mailbox(f, "a"), RESULT_OK);
		fixture_die_after(f, step - 1);
		mailboxes_maintain(f->store.mailboxes);
		fixture_restart(f);
		assert_int_equal(mailbox_named(f, "a"), 0);
		mailboxes_maintain(f->store.mailboxes);
		assert_false(intents_left(f->store.mailboxes, ACCOUNT));
		assert_int_equal(engine_collect(f->engine, false, 0), 3);
	}
	check_clean(f);
}

static void
test_rename(void **state)
{
	struct fixture *f = *state;
	uint64_t a, b;

	assert_int_equal(create(f, "a", &a), RESULT_OK);
	assert_int_equal(create(f, "a/b/c", &b), RESULT_OK);
	add(f, b, 2);
	assert_int_equal(rename_mailbox(f, "nothing", "x"), RESULT_NOT_FOUND);
	assert_int_equal(rename_mailbox(f, "a", "Sent"), RESULT_EXISTS);
	assert_int_equal(rename_mailbox(f, "a", "a/b/x"), RESULT_INVALID);
	assert_int_equal(rename_mailbox(f, "a", "inbox"), RESULT_EXISTS);
	assert_int_equal(rename_mailbox(f, "a", "p/q"), RESULT_OK);
	assert_names(f, "Archive* Drafts* INBOX* Junk* Sent* Trash* p p/q "
	    "p/q/b p/q/b/c");
	fixture_restart(f);
	assert_names(f, "Archive* Drafts* INBOX* Junk* Sent* Trash* p p/q "
	    "p/q/b p/q/b/c");
	assert_int_equal(mailbox_named(f, "p/q"), a);
	assert_there(f, b, "1:2");
	check_clean(f);
}

static void
test_rename_inbox(void **state)
{
	struct fixture *f = *state;
	uint64_t old;

	add(f, inbox(f), 5);
	assert_int_equal(create(f, "INBOX/kept", NULL), RESULT_OK);
	assert_int_equal(rename_mailbox(f, "INBOX", "old/mail"), RESULT_OK);
	assert_there(f, inbox(f), "");
	old = mailbox_named(f, "old/mail");
	assert_there(f, old, "1:5");
	assert_string_equal(body_of(f, old, 3), "a body");
	assert_true(mailbox_named(f, "INBOX/kept") != 0);
	check_clean(f);
}

static void
test_subscribe(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(subscribe(f, "gone", true), RESULT_OK);
	assert_int_equal(subscribe(f, "gone", true), RESULT_OK);
	assert_int_equal(subscribe(f, "Sent", false), RESULT_OK);
	assert_int_equal(subscribe(f, "Sent", false), RESULT_OK);
	assert_names(f,
	    "Archive* Drafts* INBOX* Junk* Sent Trash* gone*-");
	fixture_restart(f);
	assert_names(f,
	    "Archive* Drafts* INBOX* Junk* Sent Trash* gone*-");
	assert_int_equal(create(f, "gone", NULL), RESULT_OK);
	assert_names(f, "Archive* Drafts* INBOX* Junk* Sent Trash* gone*");
	assert_int_equal(delete_mailbox(f, "gone"), RESULT_OK);
	assert_names(f,
	    "Archive* Drafts* INBOX* Junk* Sent Trash* gone*-");
}

/* ---- messages -------------------------------------------------------- */

static void
test_append(void **state)
{
	struct fixture *f = *state;
	struct token token = token_new();
	uint64_t box = inbox(f);
	uint32_t uid;
	struct got got;

	assert_int_equal(append(f, box, "one", FLAG_SEEN, "$Label1 $Junk",
	    &token, &uid), RESULT_OK);
	assert_int_equal(uid, 1);
	assert_int_equal(append(f, box, "two", 0, "$JUNK", NULL, &uid),
	    RESULT_OK);
	assert_int_equal(uid, 2);
	assert_int_equal(append(f, box, "one", FLAG_SEEN, "$Label1 $Junk",
	    &token, &uid), RESULT_OK);
	assert_int_equal(uid, 1);
	assert_int_equal(append(f, 1, "x", 0, "", NULL, NULL),
	    RESULT_NOT_FOUND);
	assert_int_equal(append(f, box, "x", 0, "a\"b", NULL, NULL),
	    RESULT_LIMIT);
	got = open_mailbox(f, box, false);
	assert_int_equal(got.n, 2);
	assert_true(span_is(got.keywords, "$Label1 $Junk"));
	assert_int_equal(got.rows[0].flags, FLAG_SEEN | 3 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[1].flags, 2 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[0].size, 3);
	assert_true(got.rows[1].modseq > got.rows[0].modseq);
	assert_int_equal(got.highestmodseq, got.rows[1].modseq);
	got_free(&got);
	assert_string_equal(body_of(f, box, 1), "one");
	assert_null(body_of(f, box, 3));
	check_clean(f);
}

static void
test_append_again(void **state)
{
	struct fixture *f = *state;
	struct token token = token_new();
	uint64_t box = inbox(f);
	uint32_t uid;

	assert_int_equal(append(f, box, "one", 0, "", &token, &uid),
	    RESULT_OK);
	add(f, box, 50);
	for (int i = 0; i < 3; i++) {
		fixture_restart(f);
		assert_int_equal(append(f, box, "one", 0, "", &token, &uid),
		    RESULT_OK);
		assert_int_equal(uid, 1);
		/* Also when it stands in the head and not in the tail. */
		fold(f, box);
	}
	assert_there(f, box, "1:51");
}

static void
test_append_large(void **state)
{
	struct fixture *f = *state;
	size_t n = 3 * ENGINE_BODY_INLINE + 17;
	char *body = xmalloc(n + 1);
	struct message_body_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f), .uid = 1, .count = UINT64_MAX };
	struct message_body_reply reply = { .data = { .fd = -1 } };
	char *back = xmalloc(n);

	for (size_t i = 0; i < n; i++)
		body[i] = (char)('a' + i % 23);
	body[n] = '\0';
	assert_int_equal(append(f, inbox(f), body, 0, "", NULL, NULL),
	    RESULT_OK);
	verb_message_body(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.size, n);
	assert_true(reply.data.fd >= 0);
	assert_int_equal(reply.data.bytes.n, n);
	assert_int_equal(pread(reply.data.fd, back, n, 0), (ssize_t)n);
	assert_memory_equal(back, body, n);
	close(reply.data.fd);
	/* A part comes as bytes. */
	req.from = n - 5;
	reply = (struct message_body_reply){ .data = { .fd = -1 } };
	verb_message_body(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.data.bytes.n, 5);
	assert_memory_equal(reply.data.bytes.p, body + n - 5, 5);
	f->settings.imap_append_limit = n - 1;
	assert_int_equal(append(f, inbox(f), body, 0, "", NULL, NULL),
	    RESULT_LIMIT);
	free(body);
	free(back);
	check_clean(f);
}

/* The body was streamed, its row was not written: once more. */
static void
test_append_large_again(void **state)
{
	struct fixture *f = *state;
	struct token token = token_new();
	size_t n = 2 * ENGINE_BODY_INLINE;
	char *body = xmalloc(n + 1);
	uint32_t uid;

	memset(body, 'x', n);
	body[n] = '\0';
	fixture_die_after(f, 0);
	assert_int_equal(append(f, inbox(f), body, 0, "", &token, &uid),
	    RESULT_TEMPORARY);
	fixture_restart(f);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(append(f, inbox(f), body, 0, "", &token,
		    &uid), RESULT_OK);
		assert_int_equal(uid, 1);
	}
	assert_there(f, inbox(f), "1");
	free(body);
	check_clean(f);
}

static void
test_details(void **state)
{
	struct fixture *f = *state;
	struct message_append_request append_req = {
	    .grant = grant_for(ACCOUNT), .token = token_new(),
	    .mailbox = inbox(f), .internal_date = 12345, .thread = 99,
	    .body = BLOB_OF(SPAN("body")), .summary = BLOB_OF(SPAN("sum")) };
	struct message_append_reply append_reply = { 0 };
	struct uid_range all = { 1, UINT32_MAX };
	struct text uids = TEXT_INIT(0);
	struct message_details_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f), .with_summary = 1 };
	struct message_details_reply reply = { 0 };
	struct summary_save_request save = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f), .uid = 2, .summary = BLOB_OF(SPAN("new")) };
	struct summary_save_reply saved = { 0 };
	struct message_detail detail;
	struct cursor c = { 0 };

	verb_message_append(&f->store, &tester, f->arena, &append_req,
	    &append_reply);
	assert_int_equal(append_reply.result, RESULT_OK);
	add(f, inbox(f), 1);
	verb_summary_save(&f->store, &tester, f->arena, &save, &saved);
	assert_int_equal(saved.result, RESULT_OK);
	uid_range_put(&uids, &all);
	req.uids = BLOB_OF(text_span(&uids));
	verb_message_details(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	assert_int_equal(reply.next, 0);
	c.rest = reply.details.bytes;
	assert_int_equal(message_detail_get(&c, &detail), 1);
	assert_int_equal(detail.uid, 1);
	assert_int_equal(detail.thread, 99);
	assert_false(token_is_zero(&detail.email));
	assert_true(span_is(detail.summary, "sum"));
	assert_int_equal(message_detail_get(&c, &detail), 1);
	assert_true(span_is(detail.summary, "new"));
	assert_int_equal(message_detail_get(&c, &detail), 0);
	text_free(&uids);
}

static void
test_details_in_parts(void **state)
{
	struct fixture *f = *state;
	struct uid_range range = { 1, UINT32_MAX };
	struct message_details_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f) };
	struct message_details_reply reply;
	struct message_detail detail;
	uint32_t expected = 1;

	add(f, inbox(f), 5000);
	do {
		struct text uids = TEXT_INIT(0);
		struct cursor c = { 0 };

		reply = (struct message_details_reply){ 0 };
		uid_range_put(&uids, &range);
		req.uids = BLOB_OF(text_span(&uids));
		verb_message_details(&f->store, &tester, f->arena, &req,
		    &reply);
		assert_int_equal(reply.result, RESULT_OK);
		c.rest = blob_bytes(f, &reply.details);
		while (message_detail_get(&c, &detail) == 1)
			assert_int_equal(detail.uid, expected++);
		range.first = reply.next;
		text_free(&uids);
	} while (reply.next != 0);
	assert_int_equal(expected, 5001);
}

static void
test_store(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), before;
	struct got got;

	add(f, box, 5);
	got = store_flags(f, box, "2:4,9", STORE_ADD, FLAG_SEEN, "blue",
	    UINT64_MAX, NULL);
	assert_int_equal(got.result, RESULT_OK);
	before = got.highestmodseq;
	assert_int_equal(got.rows[1].flags, FLAG_SEEN | 1 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[1].modseq, before);
	assert_int_equal(got.rows[0].flags, 0);
	got_free(&got);

	/* Who has it already does not change. */
	got = store_flags(f, box, "1:3", STORE_ADD, FLAG_SEEN, "",
	    UINT64_MAX, NULL);
	assert_int_equal(got.highestmodseq, before + 1);
	got_free(&got);
	got = changes(f, box, before);
	assert_uids(f, &got, "1");
	got_free(&got);
	got = store_flags(f, box, "1:3", STORE_ADD, FLAG_SEEN, "",
	    UINT64_MAX, NULL);
	assert_int_equal(got.highestmodseq, before + 1);
	got_free(&got);

	got = store_flags(f, box, "1:5", STORE_SET, FLAG_DELETED, "",
	    UINT64_MAX, NULL);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(got.rows[i].flags, FLAG_DELETED);
	got_free(&got);
	got = store_flags(f, box, "1", STORE_REMOVE, FLAG_DELETED,
	    "unknown", UINT64_MAX, NULL);
	assert_int_equal(got.result, RESULT_OK);
	assert_int_equal(got.rows[0].flags, 0);
	assert_true(span_is(got.keywords, "blue"));
	got_free(&got);
}

/* UINT64_MAX: not a word of changes; beyond now: everything. */
static void
test_since(void **state)
{
	struct fixture *f = *state;
	struct got got;

	add(f, inbox(f), 5);
	got = changes(f, inbox(f), UINT64_MAX);
	assert_int_equal(got.result, RESULT_OK);
	assert_int_equal(got.complete, 1);
	assert_int_equal(got.n, 0);
	got_free(&got);
	got = changes(f, inbox(f), 1000);
	assert_int_equal(got.complete, 0);
	assert_int_equal(got.n, 5);
	got_free(&got);
	got = changes(f, inbox(f), 6);
	assert_int_equal(got.complete, 1);
	assert_int_equal(got.n, 0);
	got_free(&got);
}

static void
test_store_conditional(void **state)
{
	struct fixture *f = *state;
	struct uids modified = { 0 };
	uint64_t box = inbox(f), seen;
	struct got got;

	add(f, box, 5);
	got = open_mailbox(f, box, false);
	seen = got.highestmodseq;
	got_free(&got);
	got = store_flags(f, box, "3", STORE_ADD, FLAG_FLAGGED, "",
	    UINT64_MAX, NULL);
	got_free(&got);
	got = store_flags(f, box, "1:5", STORE_ADD, FLAG_SEEN, "", seen,
	    &modified);
	assert_string_equal(text_of(f, &modified), "3");
	assert_int_equal(got.rows[1].flags, FLAG_SEEN);
	assert_int_equal(got.rows[2].flags, FLAG_FLAGGED);
	assert_int_equal(got.rows[3].flags, FLAG_SEEN);
	got_free(&got);
	uids_free(&modified);
	fixture_restart(f);
	got = open_mailbox(f, box, false);
	assert_int_equal(got.rows[2].flags, FLAG_FLAGGED);
	assert_int_equal(got.rows[3].flags, FLAG_SEEN);
	got_free(&got);
}

static void
test_keywords_full(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f);
	struct got got;
	char name[16];

	add(f, box, 2);
	for (int i = 0; i < KEYWORDS_MAX; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		got = store_flags(f, box, "1", STORE_ADD, 0, name,
		    UINT64_MAX, NULL);
		assert_int_equal(got.result, RESULT_OK);
		got_free(&got);
	}
	got = store_flags(f, box, "1", STORE_ADD, 0, "more", UINT64_MAX,
	    NULL);
	assert_int_equal(got.result, RESULT_LIMIT);
	/* One that nobody has any more gives its bit away. */
	got = store_flags(f, box, "1", STORE_REMOVE, 0, "k7", UINT64_MAX,
	    NULL);
	got_free(&got);
	got = store_flags(f, box, "2", STORE_ADD, 0, "more", UINT64_MAX,
	    NULL);
	assert_int_equal(got.result, RESULT_OK);
	assert_true(span_find(got.keywords, SPAN(" k6 more k8 "), 0) !=
	    SIZE_MAX);
	assert_int_equal(got.rows[1].flags, UINT64_C(1) <<
	    (FLAG_KEYWORD_0 + 7));
	got_free(&got);
	fixture_restart(f);
	got = open_mailbox(f, box, false);
	assert_true(span_find(got.keywords, SPAN(" k6 more k8 "), 0) !=
	    SIZE_MAX);
	got_free(&got);
}

static void
test_expunge(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), since;
	struct got got;

	add(f, box, 9);
	got = store_flags(f, box, "2:3,7", STORE_ADD, FLAG_DELETED, "",
	    UINT64_MAX, NULL);
	since = got.highestmodseq;
	got_free(&got);
	got = expunge(f, box, "3:9", true);
	assert_string_equal(text_of(f, &got.vanished), "3,7");
	got_free(&got);
	assert_there(f, box, "1:2,4:6,8:9");
	got = expunge(f, box, "4:5,8:100", false);
	assert_int_equal(got.result, RESULT_OK);
	got_free(&got);
	got = changes(f, box, since);
	assert_int_equal(got.complete, 1);
	assert_int_equal(got.n, 0);
	assert_string_equal(text_of(f, &got.vanished), "3:5,7:9");
	got_free(&got);
	assert_int_equal(engine_collect(f->engine, false, 0), 6);
	add(f, box, 1);
	assert_there(f, box, "1:2,6,10");
	fixture_restart(f);
	assert_there(f, box, "1:2,6,10");
	check_clean(f);
}

static void
test_copy(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), target;
	struct token token = token_new();
	struct copied copied;
	struct got got, from;

	add(f, box, 3);
	assert_int_equal(append(f, box, "x", FLAG_SEEN, "b a", NULL, NULL),
	    RESULT_OK);
	assert_int_equal(create(f, "to", &target), RESULT_OK);
	assert_int_equal(append(f, target, "y", 0, "a", NULL, NULL),
	    RESULT_OK);
	copied = copy(f, box, "2,4:9", target, false, &token);
	assert_int_equal(copied.result, RESULT_OK);
	assert_string_equal(text_of(f, &copied.sources), "2,4");
	assert_string_equal(text_of(f, &copied.targets), "2:3");
	copied_free(&copied);
	from = open_mailbox(f, box, false);
	got = open_mailbox(f, target, false);
	assert_int_equal(copied.uidvalidity, got.uidvalidity);
	assert_true(span_is(got.keywords, "a b"));
	assert_int_equal(got.rows[2].flags, FLAG_SEEN | 3 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[2].internal_date,
	    from.rows[3].internal_date);
	got_free(&got);
	got_free(&from);
	/* Again, and again from the head. */
	for (int i = 0; i < 2; i++) {
		fixture_restart(f);
		copied = copy(f, box, "2,4:9", target, false, &token);
		assert_string_equal(text_of(f, &copied.sources), "2,4");
		assert_string_equal(text_of(f, &copied.targets), "2:3");
		copied_free(&copied);
		add(f, target, 100);
		fold(f, target);
	}
	copied = copy(f, box, "1", 12345, false, NULL);
	assert_int_equal(copied.result, RESULT_NOT_FOUND);
	copied = copy(f, box, "77", target, false, NULL);
	assert_int_equal(copied.result, RESULT_OK);
	assert_int_equal(copied.sources.n, 0);
	check_clean(f);
}

static void
test_move(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), target = mailbox_named(f, "Trash");
	struct token token = token_new();
	struct copied copied;

	add(f, box, 5);
	copied = copy(f, box, "2:3,5", target, true, &token);
	assert_int_equal(copied.result, RESULT_OK);
	assert_string_equal(text_of(f, &copied.sources), "2:3,5");
	assert_string_equal(text_of(f, &copied.targets), "1:3");
	copied_free(&copied);
	assert_there(f, box, "1,4");
	assert_there(f, target, "1:3");
	assert_int_equal(engine_collect(f->engine, false, 0), 0);
	fixture_restart(f);
	copied = copy(f, box, "2:3,5", target, true, &token);
	assert_string_equal(text_of(f, &copied.sources), "2:3,5");
	copied_free(&copied);
	assert_there(f, target, "1:3");
	assert_string_equal(body_of(f, target, 3), "a body");
	/* Onto itself: new UIDs. */
	copied = copy(f, target, "1:2", target, true, NULL);
	assert_int_equal(copied.result, RESULT_OK);
	assert_string_equal(text_of(f, &copied.targets), "4:5");
	copied_free(&copied);
	assert_there(f, target, "3:5");
	check_clean(f);
}

/* Cut short at each of its commits, a move is not made or made whole. */
static void
test_move_cut_short(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), target = mailbox_named(f, "Trash");
	struct token token;
	struct copied copied;
	struct got from, to;
	bool done = false;

	for (long step = 0; !done; step++) {
		struct uids u = { 0 };
		uint32_t uid;

		add(f, box, 3);
		from = open_mailbox(f, box, false);
		uid = from.uidnext - 3;
		got_free(&from);
		uids_add(&u, uid, uid + 2);
		token = token_new();
		fixture_die_after(f, step);
		copied = copy(f, box, text_of(f, &u), target, true, &token);
		done = copied.result == RESULT_OK;
		copied_free(&copied);
		fixture_restart(f);
		from = open_mailbox(f, box, false);
		to = open_mailbox(f, target, false);
		assert_int_equal(from.n + to.n, 3 * (size_t)(step + 1));
		got_free(&from);
		got_free(&to);
		copied = copy(f, box, text_of(f, &u), target, true, &token);
		assert_int_equal(copied.result, RESULT_OK);
		assert_int_equal(uids_count(&copied.targets), 3);
		copied_free(&copied);
		from = open_mailbox(f, box, false);
		to = open_mailbox(f, target, false);
		assert_int_equal(from.n, 0);
		assert_int_equal(to.n, 3 * (size_t)(step + 1));
		got_free(&from);
		got_free(&to);
		uids_free(&u);
		assert_true(step < 10);
	}
	check_clean(f);
}

/* The same for the list. */
static void
test_rename_cut_short(void **state)
{
	struct fixture *f = *state;
	enum result result = RESULT_TEMPORARY;

	for (long step = 0; result != RESULT_OK; step++) {
		struct got got, old = { 0 };

		add(f, inbox(f), 2);
		fixture_die_after(f, step);
		result = rename_mailbox(f, "INBOX", "old");
		fixture_restart(f);
		got = open_mailbox(f, inbox(f), false);
		if (mailbox_named(f, "old") != 0) {
			old = open_mailbox(f, mailbox_named(f, "old"), false);
			if (result != RESULT_OK)
				delete_mailbox(f, "old");
		}
		assert_true(got.n == 0 || old.n == 0);
		assert_true(got.n + old.n >= 2);
		got_free(&got);
		got_free(&old);
		mailboxes_maintain(f->store.mailboxes);
		assert_true(step < 20);
	}
	check_clean(f);
}

/* ---- what others see ------------------------------------------------- */

static void
test_recent(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f);
	struct got got;

	add(f, box, 3);
	got = open_mailbox(f, box, false);
	assert_int_equal(got.recent_from, 0);
	got_free(&got);
	got = open_mailbox(f, box, true);
	assert_true(got.recent_from <= 1);
	got_free(&got);
	add(f, box, 1);
	fixture_restart(f);
	got = open_mailbox(f, box, true);
	assert_int_equal(got.recent_from, 4);
	got_free(&got);
	got = open_mailbox(f, box, true);
	assert_int_equal(got.recent_from, 5);
	got_free(&got);
}

static void
test_status(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f) };
	struct mailbox_status_reply reply = { 0 };
	uint64_t messages, bytes;
	struct got got;

	add(f, inbox(f), 4);
	got = store_flags(f, inbox(f), "1:2", STORE_ADD, FLAG_SEEN, "",
	    UINT64_MAX, NULL);
	got_free(&got);
	got = store_flags(f, inbox(f), "2:4", STORE_ADD, FLAG_DELETED, "",
	    UINT64_MAX, NULL);
	got_free(&got);
	got = expunge(f, inbox(f), "4", false);
	got_free(&got);
	for (int i = 0; i < 2; i++) {
		reply = (struct mailbox_status_reply){ 0 };
		verb_mailbox_status(&f->store, &tester, f->arena, &req,
		    &reply);
		assert_int_equal(reply.result, RESULT_OK);
		assert_int_equal(reply.messages, 3);
		assert_int_equal(reply.unseen, 1);
		assert_int_equal(reply.deleted, 2);
		assert_int_equal(reply.recent, 3);
		assert_int_equal(reply.uidnext, 5);
		assert_int_equal(reply.bytes, 18);
		fixture_restart(f);
	}
	assert_int_equal(mailboxes_usage(f->store.mailboxes, ACCOUNT,
	    &messages, &bytes), RESULT_OK);
	assert_int_equal(messages, 3);
	assert_int_equal(bytes, 18);
}

static void
test_grants(void **state)
{
	struct fixture *f = *state;
	struct mailbox_open_request req = { .mailbox = inbox(f) };
	struct mailbox_open_reply reply = { 0 };

	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_DENIED);
	/* Another's mailbox is not there. */
	req.grant = grant_for(ACCOUNT + 1);
	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_NOT_FOUND);
}

static void
test_watches(void **state)
{
	struct fixture *f = *state;
	struct watches *w = f->store.mailboxes->watches;
	struct mailbox_open_request req = { .grant = grant_for(ACCOUNT),
	    .mailbox = inbox(f), .watch = 5 };
	struct mailbox_open_reply reply = { 0 };
	struct mailbox_close_request close_req = {
	    .grant = grant_for(ACCOUNT), .mailbox = inbox(f), .watch = 5 };
	struct mailbox_close_reply close_reply = { 0 };

	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(watches_count(w), 1);
	req.watch = 6;
	verb_mailbox_open(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(watches_count(w), 2);
	verb_mailbox_close(&f->store, &tester, f->arena, &close_req,
	    &close_reply);
	assert_int_equal(watches_count(w), 1);
	mailboxes_link_gone(f->store.mailboxes, 99);
	assert_int_equal(watches_count(w), 1);
	mailboxes_link_gone(f->store.mailboxes, tester.link);
	assert_int_equal(watches_count(w), 0);
}

static enum result
lock_drop(struct fixture *f, const struct token *token, uint32_t *wait)
{
	struct maildrop_lock_request req = { .grant = grant_for(ACCOUNT),
	    .token = *token };
	struct maildrop_lock_reply reply = { 0 };

	verb_maildrop_lock(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(reply.inbox, inbox(f));
	*wait = reply.wait_seconds;
	return reply.result;
}

static void
test_maildrop(void **state)
{
	struct fixture *f = *state;
	struct token a = token_new(), b = token_new();
	struct maildrop_unlock_request req = { .grant = grant_for(ACCOUNT),
	    .token = b };
	struct maildrop_unlock_reply reply = { 0 };
	uint32_t wait;

	clock_test_set((monotime_t){ 1000000 }, 0);
	assert_int_equal(lock_drop(f, &a, &wait), RESULT_OK);
	assert_int_equal(lock_drop(f, &a, &wait), RESULT_OK);
	assert_int_equal(lock_drop(f, &b, &wait), RESULT_LOCKED);
	verb_maildrop_unlock(&f->store, &tester, f->arena, &req, &reply);
	assert_int_equal(lock_drop(f, &b, &wait), RESULT_LOCKED);
	mailboxes_link_gone(f->store.mailboxes, tester.link);
	assert_int_equal(lock_drop(f, &b, &wait), RESULT_OK);
	verb_maildrop_unlock(&f->store, &tester, f->arena, &req, &reply);
	f->settings.pop3_login_delay = 60000;
	assert_int_equal(lock_drop(f, &b, &wait), RESULT_OK);
	verb_maildrop_unlock(&f->store, &tester, f->arena, &req, &reply);
	clock_test_set((monotime_t){ 1000000 + 20500 }, 0);
	assert_int_equal(lock_drop(f, &a, &wait), RESULT_LIMIT);
	assert_int_equal(wait, 40);
	clock_test_set((monotime_t){ 1000000 + 60000 }, 0);
	assert_int_equal(lock_drop(f, &a, &wait), RESULT_OK);
	clock_test_clear();
}

/* ---- delivery -------------------------------------------------------- */

static void
test_deliver(void **state)
{
	struct fixture *f = *state;
	struct token queue = token_new(), other = token_new();
	struct mailboxes *m;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(deliver(f, ACCOUNT, &queue, "mail"),
		    RESULT_OK);
		fixture_restart(f);
	}
	assert_int_equal(deliver(f, ACCOUNT, &other, "mail"), RESULT_OK);
	assert_there(f, inbox(f), "1:2");
	m = f->store.mailboxes;
	mailbox_delivery_done(m, ACCOUNT, &queue);
	/* The marker is there until a batch took it. */
	assert_int_equal(deliver(f, ACCOUNT, &queue, "mail"), RESULT_OK);
	assert_there(f, inbox(f), "1:2");
	mailboxes_maintain(m);
	fixture_restart(f);
	assert_int_equal(deliver(f, ACCOUNT, &other, "mail"), RESULT_OK);
	assert_there(f, inbox(f), "1:2");
	assert_int_equal(deliver(f, ACCOUNT, &queue, "mail"), RESULT_OK);
	assert_there(f, inbox(f), "1:3");
	/* An account without mailboxes gets them. */
	assert_int_equal(deliver(f, ACCOUNT + 1, &queue, "mail"), RESULT_OK);
	check_clean(f);
}

static void
test_old_markers(void **state)
{
	struct fixture *f = *state;
	struct token queue = token_new();
	walltime_t now = clock_wall();

	assert_int_equal(deliver(f, ACCOUNT, &queue, "mail"), RESULT_OK);
	fixture_restart(f);
	clock_test_set(clock_mono(), now + (f->settings.queue_lifetime * 1000) +
	    INT64_C(2) * 86400 * 1000000);
	assert_there(f, inbox(f), "1");
	mailboxes_maintain(f->store.mailboxes);
	clock_test_clear();
	fixture_restart(f);
	assert_int_equal(deliver(f, ACCOUNT, &queue, "mail"), RESULT_OK);
	assert_there(f, inbox(f), "1:2");
}

/* ---- many, and little memory ----------------------------------------- */

static void
test_tombstones(void **state)
{
	struct fixture *f = *state;
	uint64_t box = inbox(f), since;
	struct got got;
	struct mailbox *mb;

	f->settings.store_tombstones = 2000;
	add(f, box, 9000);
	got = open_mailbox(f, box, false);
	since = got.highestmodseq;
	got_free(&got);
	for (uint32_t uid = 1; uid < 9000; uid += 2) {
		char text[16];

		snprintf(text, sizeof(text), "%" PRIu32, uid);
		arena_reset(f->arena);
		got = expunge(f, box, text, false);
		got_free(&got);
	}
	assert_int_equal(mailbox_enter(f->store.mailboxes, ACCOUNT, box,
	    &mb), RESULT_OK);
	assert_int_equal(mailbox_fold(mb), 1);
	assert_true(mb->table.stone_count < 2000 + TOMBSTONE_PAGE);
	mailbox_leave(&mb);
	for (int i = 0; i < 2; i++) {
		got = changes(f, box, since);
		assert_int_equal(got.complete, 0);
		assert_int_equal(got.n, 4500);
		got_free(&got);
		got = changes(f, box, since + 4500 - 2000);
		assert_int_equal(got.complete, 1);
		assert_int_equal(got.n, 0);
		assert_int_equal(got.vanished.n, 2000);
		got_free(&got);
		fixture_restart(f);
	}
	check_clean(f);
}

static void
test_eviction(void **state)
{
	struct fixture *f = *state;
	uint64_t ids[40];
	char name[16];

	for (size_t i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "m%zu", i);
		assert_int_equal(create(f, name, &ids[i]), RESULT_OK);
		add(f, ids[i], 30);
	}
	shelf_set_limit(f->store.mailboxes->open, 20000);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 40; i++)
			add(f, ids[i], 1);
		assert_true(shelf_bytes(f->store.mailboxes->open) < 30000);
	}
	for (size_t i = 0; i < 40; i++)
		assert_there(f, ids[i], "1:33");
	check_clean(f);
}

static void
test_remove_account(void **state)
{
	struct fixture *f = *state;

	add(f, inbox(f), 5);
	add(f, mailbox_named(f, "Sent"), 5);
	assert_int_equal(mailboxes_remove_account(f->store.mailboxes,
	    ACCOUNT), RESULT_OK);
	assert_int_equal(engine_collect(f->engine, false, 0), 10);
	assert_names(f, "");
	fixture_restart(f);
	assert_names(f, "");
}

int
main(void)
{
#define TEST(name)							\
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_create),
		TEST(test_create_again),
		TEST(test_delete),
		TEST(test_delete_cut_short),
		TEST(test_rename),
		TEST(test_rename_inbox),
		TEST(test_subscribe),
		TEST(test_append),
		TEST(test_append_again),
		TEST(test_append_large),
		TEST(test_append_large_again),
		TEST(test_details),
		TEST(test_details_in_parts),
		TEST(test_store),
		TEST(test_since),
		TEST(test_store_conditional),
		TEST(test_keywords_full),
		TEST(test_expunge),
		TEST(test_copy),
		TEST(test_move),
		TEST(test_move_cut_short),
		TEST(test_rename_cut_short),
		TEST(test_recent),
		TEST(test_status),
		TEST(test_grants),
		TEST(test_watches),
		TEST(test_maildrop),
		TEST(test_deliver),
		TEST(test_old_markers),
		TEST(test_tombstones),
		TEST(test_eviction),
		TEST(test_remove_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
