/*
 * test_captured.c - the store against processes that were taken over: an
 * access and an mx that speak the contract well, and mean ill. What they may
 * reach is what is theirs: the mail of those who are logged in through them.
 */
#include "test_store.h"
#include "base/secret.h"
#include "ipc/call.h"
#include "ipc/codec.h"
#include "mail/summary.h"
#include "store/keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char letter[] =
    "From: Carol <carol@elsewhere.test>\r\n"
    "To: ann@example.test, bob@example.test\r\n"
    "Subject: for both\r\n\r\nThe same words for both of you.\r\n";

/* Ann is logged in through the captured process, Bob is not. */
struct siege {
	struct fixture f;
	struct server *server;
	struct link *access, *mx;
	struct arena *arena;
	uint64_t ann, bob;
	struct grant anns, bobs;
	uint64_t anns_inbox, bobs_inbox;
};

static char buffer[FRAME_MAX];

static int
connect_as(struct siege *s, enum role_bit role)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    pair), 0);
	assert_int_equal(server_add(s->server, pair[1], role, 0), 1);
	return pair[0];
}

static struct link *
link_as(struct siege *s, enum role_bit role)
{
	struct link *l = link_new(role, STORE);

	link_attach(l, connect_as(s, role));
	return l;
}

static uint64_t
inbox_of(struct siege *s, const struct grant *grant)
{
	struct mailbox_list_request q = { .grant = *grant };
	struct mailbox_list_reply r;
	struct mailbox_row row;
	struct cursor c = { 0 };
	uint64_t inbox = 0;

	assert_int_equal(call_mailbox_list(s->access, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	c.rest = r.rows.bytes;
	while (mailbox_row_get(&c, &row) == 1)
		if (span_is(row.name, "INBOX"))
			inbox = row.mailbox;
	assert_int_not_equal(inbox, 0);
	blob_release(&r.rows);
	return inbox;
}

static int
setup(void **state)
{
	struct siege *s = xcalloc(1, sizeof(*s));

	fixture_open(&s->f, false);
	add_domain(&s->f, "example.test");
	s->ann = add_account(&s->f, "ann@example.test", "ann's own");
	s->bob = add_account(&s->f, "bob@example.test", "bob's own");
	s->anns = grant_of(&s->f, "ann@example.test");
	s->bobs = grant_of(&s->f, "bob@example.test");
	s->server = server_new(STORE, &store_handlers, s->f.store);
	store_set_server(s->f.store, s->server);
	assert_int_equal(server_start_threads(s->server, 4), 1);
	s->access = link_as(s, ACCESS);
	s->mx = link_as(s, MX);
	s->arena = arena_new(256 << 20);
	s->anns_inbox = inbox_of(s, &s->anns);
	s->bobs_inbox = inbox_of(s, &s->bobs);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct siege *s = *state;

	link_free(&s->access);
	link_free(&s->mx);
	store_set_server(s->f.store, NULL);
	server_stop(s->server);
	server_free(&s->server);
	fixture_close(&s->f);
	arena_free(&s->arena);
	free(s);
	return 0;
}

static struct blob
every_uid(struct siege *s)
{
	struct text t = TEXT_INIT(0);
	struct span records;

	uid_range_put(&t, &(struct uid_range){ 1, UINT32_MAX });
	records = arena_dup(s->arena, text_span(&t));
	text_free(&t);
	return BLOB_OF(records);
}

static struct blob
recipients(struct siege *s, const char *words)
{
	struct text t = TEXT_INIT(0);
	struct span rest = span_str(words), word, records;

	while ((word = span_word(&rest)).n > 0)
		recipient_put(&t, &(struct recipient){
			    .address = word });
	records = arena_dup(s->arena, text_span(&t));
	text_free(&t);
	return BLOB_OF(records);
}

/* A letter for both, delivered. */
static void
send_to_both(struct siege *s)
{
	struct token token = token_new();

	assert_int_equal(send_mail(&s->f, "carol@elsewhere.test",
	    "ann@example.test bob@example.test", &token, letter), RESULT_OK);
	queue_settle(s->f.store->queue);
}

static void
read_body(struct siege *s, const struct grant *grant, uint64_t mailbox,
    uint32_t uid, struct span *body)
{
	struct message_body_request q = { .grant = *grant,
	    .mailbox = mailbox, .uid = uid, .count = UINT64_MAX };
	struct message_body_reply r;

	assert_int_equal(call_message_body(s->access, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	*body = arena_dup(s->arena, r.data.bytes);
	blob_release(&r.data);
}

static struct message_detail
details(struct siege *s, const struct grant *grant, uint64_t mailbox)
{
	struct message_details_request q = { .grant = *grant,
	    .mailbox = mailbox, .uids = every_uid(s), .with_summary = 1 };
	struct message_details_reply r;
	struct message_detail d;
	struct cursor c = { 0 };

	assert_int_equal(call_message_details(s->access, s->arena, &q, &r),
	    1);
	assert_int_equal(r.result, RESULT_OK);
	c.rest = arena_dup(s->arena, r.details.bytes);
	blob_release(&r.details);
	assert_int_equal(message_detail_get(&c, &d), 1);
	return d;
}

/* ---- grants ------------------------------------------------------------ */

static enum result
with_grant(struct siege *s, const struct grant *grant)
{
	struct mailbox_list_request q = { .grant = *grant };
	struct mailbox_list_reply r;

	assert_int_equal(call_mailbox_list(s->access, s->arena, &q, &r), 1);
	blob_release(&r.rows);
	return r.result;
}

static void
guessed_grants(void **state)
{
	struct siege *s = *state;
	struct grant g = { { 0 } };

	assert_int_equal(with_grant(s, &s->anns), RESULT_OK);
	assert_int_equal(with_grant(s, &g), RESULT_DENIED);
	for (int i = 0; i < 200; i++) {
		random_bytes(&g, sizeof(g));
		assert_int_equal(with_grant(s, &g), RESULT_DENIED);
	}
	/* Her own, changed at any place: account, epoch, end, proof. */
	for (size_t i = 0; i < 8 * sizeof(g); i++) {
		g = s->anns;
		g.b[i / 8] ^= (uint8_t)(1 << (i % 8));
		assert_int_equal(with_grant(s, &g), RESULT_DENIED);
	}
	/* The words of one with the proof of the other. */
	g = s->bobs;
	memcpy(g.b + 48, s->anns.b + 48, 32);
	assert_int_equal(with_grant(s, &g), RESULT_DENIED);
}

static void
grants_that_ended(void **state)
{
	struct siege *s = *state;
	struct account_password_request password = {
	    .address = SPAN("ann@example.test"), .password = SPAN("new") };
	struct account_password_reply changed = { 0 };
	struct account_remove_request removal = {
	    .address = SPAN("bob@example.test") };
	struct account_remove_reply removed = { 0 };

	verb_account_password(s->f.store, &from_cli, s->arena, &password,
	    &changed);
	assert_int_equal(changed.result, RESULT_OK);
	assert_int_equal(with_grant(s, &s->anns), RESULT_DENIED);
	verb_account_remove(s->f.store, &from_cli, s->arena, &removal,
	    &removed);
	assert_int_equal(removed.result, RESULT_OK);
	assert_int_equal(with_grant(s, &s->bobs), RESULT_DENIED);
	/* One who comes after under the same name is somebody else. */
	add_account(&s->f, "bob@example.test", "another bob");
	assert_int_equal(with_grant(s, &s->bobs), RESULT_DENIED);
}

static void
grants_of_another_store(void **state)
{
	struct siege *s = *state;
	struct holder holder = { .account = s->bob };
	uint8_t key[32];
	struct grant g;

	memcpy(key, s->f.store->grant_key, sizeof(key));
	random_bytes(s->f.store->grant_key, sizeof(key));
	grant_make(s->f.store, &holder, &g);
	memcpy(s->f.store->grant_key, key, sizeof(key));
	assert_int_equal(with_grant(s, &g), RESULT_DENIED);
}

/* ---- what belongs to another ------------------------------------------- */

#define ASK(name, expected, ...)					\
	do {								\
		struct name##_request q_ = { .grant = *grant, __VA_ARGS__ }; \
		struct name##_reply r_;					\
		assert_int_equal(call_##name(s->access, s->arena, &q_,	\
		    &r_), 1);						\
		if (r_.result != (expected))				\
			fail_msg(#name ": %s, not %s",			\
			    result_name(r_.result), result_name(expected)); \
		codec_release(VERB_##name, FRAME_REPLY, &r_, true);	\
	} while (0)

/* One message for message_put. */
static struct blob
new_record(struct siege *s, uint64_t size)
{
	struct text t = TEXT_INIT(0);
	struct span record;

	message_new_put(&t, &(struct message_new){ .size = size });
	record = arena_dup(s->arena, text_span(&t));
	text_free(&t);
	return BLOB_OF(record);
}

/* Every verb that names a mailbox, with that of somebody else. */
static void
ask_for_mailbox(struct siege *s, const struct grant *grant, uint64_t own,
    uint64_t box, enum result expected)
{
	struct blob uids = every_uid(s);
	struct blob body = BLOB_OF(SPAN("planted"));

	ASK(mailbox_status, expected, .mailbox = box);
	ASK(mailbox_open, expected, .mailbox = box, .watch = 7);
	ASK(mailbox_changes, expected, .mailbox = box, .watch = 7);
	ASK(mailbox_vanished, expected, .mailbox = box);
	ASK(message_append, expected, .mailbox = box, .body = body,
	    .token = token_new(), .summary = BLOB_OF(SPAN_EMPTY));
	ASK(message_put, expected, .mailbox = box, .token = token_new(),
	    .messages = new_record(s, 7), .bodies = body);
	ASK(message_put, expected, .mailbox = own, .token = token_new(),
	    .messages = new_record(s, 7), .bodies = body, .source = box,
	    .replaces = 1);
	ASK(message_put, expected, .mailbox = box, .token = token_new(),
	    .messages = new_record(s, 7), .bodies = body, .source = own,
	    .replaces = 1);
	ASK(message_store, expected, .mailbox = box, .uids = uids,
	    .mode = STORE_SET, .flags = FLAG_DELETED,
	    .unchanged_since = UINT64_MAX);
	ASK(message_expunge, expected, .mailbox = box, .uids = uids);
	ASK(message_copy, expected, .mailbox = box, .uids = uids,
	    .target = own, .token = token_new());
	ASK(message_copy, expected, .mailbox = own, .uids = uids,
	    .target = box, .token = token_new(), .move = 1);
	ASK(message_body, expected, .mailbox = box, .uid = 1,
	    .count = UINT64_MAX);
	ASK(message_bodies, expected, .mailbox = box, .uids = uids,
	    .limit = UINT64_MAX);
	ASK(message_details, expected, .mailbox = box, .uids = uids,
	    .with_summary = 1);
	ASK(summary_save, expected, .mailbox = box, .uid = 1,
	    .summary = BLOB_OF(SPAN("forged")));
}

static void
mailboxes_of_another(void **state)
{
	struct siege *s = *state;
	struct grant nobody = { { 1 } };
	struct span body;

	send_to_both(s);
	ask_for_mailbox(s, &s->anns, s->anns_inbox, s->bobs_inbox,
	    RESULT_NOT_FOUND);
	ask_for_mailbox(s, &s->anns, s->anns_inbox, UINT64_MAX,
	    RESULT_NOT_FOUND);
	ask_for_mailbox(s, &nobody, s->anns_inbox, s->bobs_inbox,
	    RESULT_DENIED);
	assert_int_equal(messages_of(&s->f, s->bob), 1);
	read_body(s, &s->bobs, s->bobs_inbox, 1, &body);
	assert_true(span_is(body, letter));
}

/* The names of one are not the names of the other. */
static void
names_of_another(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct mailbox_create_request q = { .grant = s->bobs,
	    .token = token_new(), .name = SPAN("Private") };
	struct mailbox_create_reply r;
	struct grant nobody = { { 1 } };
	uint64_t ids;

	assert_int_equal(call_mailbox_create(s->access, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	ASK(mailbox_delete, RESULT_NOT_FOUND, .name = SPAN("Private"));
	ASK(mailbox_rename, RESULT_NOT_FOUND, .from = SPAN("Private"),
	    .to = SPAN("Mine"));
	ASK(mailbox_status, RESULT_NOT_FOUND, .mailbox = r.mailbox);
	/* Nothing is even begun for who has no grant. */
	grant = &nobody;
	ids = store_ids(s->f.store);
	ASK(mailbox_create, RESULT_DENIED, .name = SPAN("a/b/c"));
	ASK(mailbox_rename, RESULT_DENIED, .from = SPAN("a"),
	    .to = SPAN("a/b/c"));
	ASK(mailbox_subscribe, RESULT_DENIED, .name = SPAN("a"), .on = 1);
	ASK(maildrop_lock, RESULT_DENIED, .token = token_new());
	ASK(sender_check, RESULT_DENIED, .address = SPAN_EMPTY);
	assert_int_equal(store_ids(s->f.store), ids);
}

#define BOBS "Other Users/bob@example.test/"

/* By the name under which it would be seen, if it were shared. */
static void
shared_names_of_another(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	uint64_t ids = store_ids(s->f.store);

	ASK(mailbox_find, RESULT_NOT_FOUND, .name = SPAN(BOBS "INBOX"));
	ASK(mailbox_create, RESULT_NOT_FOUND, .token = token_new(),
	    .name = SPAN(BOBS "Planted"));
	ASK(mailbox_create, RESULT_NOT_FOUND, .token = token_new(),
	    .name = SPAN(BOBS "INBOX/Planted"));
	ASK(mailbox_delete, RESULT_NOT_FOUND, .name = SPAN(BOBS "Sent"));
	ASK(mailbox_rename, RESULT_NOT_FOUND, .from = SPAN(BOBS "Sent"),
	    .to = SPAN(BOBS "Gone"));
	ASK(mailbox_rename, RESULT_INVALID, .from = SPAN("Sent"),
	    .to = SPAN(BOBS "Planted"));
	ASK(acl_get, RESULT_NOT_FOUND, .mailbox = SPAN(BOBS "INBOX"));
	ASK(acl_set, RESULT_NOT_FOUND, .mailbox = SPAN(BOBS "INBOX"),
	    .identifier = SPAN("ann@example.test"), .rights = RIGHTS_ALL);
	ASK(acl_rights, RESULT_NOT_FOUND, .mailbox = SPAN(BOBS "INBOX"),
	    .identifier = SPAN("ann@example.test"));
	ASK(sender_check, RESULT_DENIED, .address =
	    SPAN("bob@example.test"));
	assert_int_equal(store_ids(s->f.store), ids);
}

static struct blob
one_annotation(struct siege *s, struct span entry)
{
	struct text rows = TEXT_INIT(0);
	struct span copy;

	metadata_row_put(&rows, &(struct metadata_row){ .entry = entry,
	    .exists = 1, .value = SPAN("planted") });
	copy = arena_dup(s->arena, text_span(&rows));
	text_free(&rows);
	return BLOB_OF(copy);
}

/* Annotations, limits and news of others; and limits of one's own. */
static void
annotations_and_quota(void **state)
{
	static const struct grant none;
	struct siege *s = *state;
	const struct grant *grant = &none;
	uint64_t box = s->bobs_inbox;
	struct blob shared = one_annotation(s, SPAN("/shared/comment"));
	struct blob private = one_annotation(s, SPAN("/private/comment"));

	ASK(metadata_get, RESULT_DENIED, .entries = SPAN("/shared/comment"));
	ASK(metadata_set, RESULT_DENIED, .rows = shared);
	ASK(quota_get, RESULT_DENIED, .root = SPAN("ann@example.test"));
	ASK(quota_set, RESULT_DENIED, .root = SPAN("ann@example.test"));
	ASK(quota_room, RESULT_DENIED, .mailbox = box);
	ASK(account_watch, RESULT_DENIED, .watch = 1, .on = 1);
	ASK(mailbox_watch, RESULT_DENIED, .mailbox = box, .watch = 1);
	grant = &s->anns;
	ASK(metadata_get, RESULT_NOT_FOUND, .mailbox = box,
	    .entries = SPAN("/shared/comment"));
	ASK(metadata_set, RESULT_NOT_FOUND, .mailbox = box, .rows = shared);
	ASK(metadata_set, RESULT_NOT_FOUND, .mailbox = box, .rows = private);
	ASK(metadata_set, RESULT_FORBIDDEN, .rows = shared);
	ASK(metadata_set, RESULT_INVALID, .rows = BLOB_OF(SPAN("\1\2\3")));
	ASK(metadata_get, RESULT_INVALID, .entries = SPAN("nonsense"));
	ASK(quota_get, RESULT_NOT_FOUND, .mailbox = box);
	ASK(quota_get, RESULT_NOT_FOUND, .root = SPAN("bob@example.test"));
	ASK(quota_get, RESULT_NOT_FOUND, .root = SPAN("example.test"));
	ASK(quota_set, RESULT_FORBIDDEN, .root = SPAN("ann@example.test"));
	ASK(quota_set, RESULT_FORBIDDEN, .root = SPAN("example.test"));
	ASK(quota_room, RESULT_NOT_FOUND, .mailbox = box);
	ASK(mailbox_watch, RESULT_NOT_FOUND, .mailbox = box, .watch = 1);
	/* What is shared with them they may read, and note something on. */
	grant = &s->bobs;
	ASK(acl_set, RESULT_OK, .mailbox = SPAN("INBOX"),
	    .identifier = SPAN("ann@example.test"),
	    .rights = RIGHT_LOOKUP | RIGHT_READ);
	grant = &s->anns;
	ASK(metadata_set, RESULT_FORBIDDEN, .mailbox = box, .rows = shared);
	ASK(metadata_set, RESULT_OK, .mailbox = box, .rows = private);
	ASK(quota_room, RESULT_FORBIDDEN, .mailbox = box);
	ASK(mailbox_watch, RESULT_OK, .mailbox = box, .watch = 1);
}

/* Who was let in to read does nothing else, and not for longer. */
static void
more_than_was_granted(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->bobs;
	uint64_t box = s->bobs_inbox;
	struct span body;

	send_to_both(s);
	ASK(acl_set, RESULT_OK, .mailbox = SPAN("INBOX"),
	    .identifier = SPAN("ann@example.test"),
	    .rights = RIGHT_LOOKUP | RIGHT_READ);
	grant = &s->anns;
	ASK(mailbox_open, RESULT_OK, .mailbox = box);
	ASK(message_append, RESULT_FORBIDDEN, .mailbox = box,
	    .token = token_new(), .body = BLOB_OF(SPAN("planted")));
	ASK(message_store, RESULT_FORBIDDEN, .mailbox = box,
	    .uids = every_uid(s), .mode = STORE_SET, .flags = FLAG_DELETED,
	    .unchanged_since = UINT64_MAX);
	ASK(message_expunge, RESULT_FORBIDDEN, .mailbox = box,
	    .uids = every_uid(s));
	ASK(message_copy, RESULT_FORBIDDEN, .mailbox = s->anns_inbox,
	    .token = token_new(), .uids = every_uid(s), .target = box);
	ASK(message_copy, RESULT_FORBIDDEN, .mailbox = box,
	    .token = token_new(), .uids = every_uid(s), .move = 1,
	    .target = s->anns_inbox);
	ASK(mailbox_create, RESULT_FORBIDDEN, .token = token_new(),
	    .name = SPAN(BOBS "INBOX/Planted"));
	ASK(mailbox_delete, RESULT_FORBIDDEN, .name = SPAN(BOBS "INBOX"));
	ASK(acl_set, RESULT_FORBIDDEN, .mailbox = SPAN(BOBS "INBOX"),
	    .identifier = SPAN("ann@example.test"), .rights = RIGHTS_ALL);
	ASK(acl_get, RESULT_FORBIDDEN, .mailbox = SPAN(BOBS "INBOX"));
	ASK(sender_check, RESULT_DENIED, .address =
	    SPAN("bob@example.test"));
	/* The others of the same account are as far as before. */
	ASK(mailbox_find, RESULT_NOT_FOUND, .name = SPAN(BOBS "Sent"));
	grant = &s->bobs;
	ASK(acl_set, RESULT_OK, .mailbox = SPAN("INBOX"),
	    .identifier = SPAN("ann@example.test"), .rights = 0);
	ask_for_mailbox(s, &s->anns, s->anns_inbox, box, RESULT_NOT_FOUND);
	assert_int_equal(messages_of(&s->f, s->bob), 1);
	read_body(s, &s->bobs, box, 1, &body);
	assert_true(span_is(body, letter));
}

/* A body has one id for all who received it, and both are told it. */
static void
tokens_like_the_id_of_a_body(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct message_detail mine;
	struct token id;
	struct span body;

	send_to_both(s);
	mine = details(s, &s->anns, s->anns_inbox);
	memcpy(id.b, mine.email.b, sizeof(id.b));
	ASK(message_append, RESULT_OK, .mailbox = s->anns_inbox, .token = id,
	    .body = BLOB_OF(SPAN("forged")), .summary = BLOB_OF(SPAN_EMPTY));
	ASK(message_copy, RESULT_OK, .mailbox = s->anns_inbox, .token = id,
	    .uids = every_uid(s), .target = s->anns_inbox);
	ASK(queue_commit, RESULT_OK, .token = id,
	    .sender = SPAN("ann@example.test"),
	    .recipients = recipients(s, "ann@example.test"),
	    .body = BLOB_OF(SPAN("forged")), .summary = BLOB_OF(SPAN_EMPTY));
	queue_settle(s->f.store->queue);
	read_body(s, &s->bobs, s->bobs_inbox, 1, &body);
	assert_true(span_is(body, letter));
	ASK(message_expunge, RESULT_OK, .mailbox = s->anns_inbox,
	    .uids = every_uid(s));
	read_body(s, &s->bobs, s->bobs_inbox, 1, &body);
	assert_true(span_is(body, letter));
}

/* A message accepted once is not accepted, nor changed, by its token. */
static void
tokens_of_the_queue(void **state)
{
	struct siege *s = *state;
	struct token token = token_new();

	assert_int_equal(send_mail(&s->f, "carol@elsewhere.test",
	    "bob@example.test", &token, letter), RESULT_OK);
	assert_int_equal(send_mail(&s->f, "carol@elsewhere.test",
	    "ann@example.test", &token, "another"), RESULT_OK);
	queue_settle(s->f.store->queue);
	assert_int_equal(messages_of(&s->f, s->bob), 1);
	assert_int_equal(messages_of(&s->f, s->ann), 0);
}

static void
build_summary(struct siege *s, const char *subject, struct text *record)
{
	struct summary_limits limits = SUMMARY_LIMITS_DEFAULT;
	struct span message = arena_dup(s->arena, span_str(letter));
	size_t at = span_find(message, SPAN("for both"), 0);

	memcpy((char *)(uintptr_t)message.p + at, subject, 8);
	assert_int_equal(summary_build(message, &limits, s->arena, record),
	    1);
}

/* Bob would be shown whatever stands in the summary. */
static void
summaries_that_others_see(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct text honest = TEXT_INIT(1 << 20), forged = TEXT_INIT(1 << 20);

	send_to_both(s);
	build_summary(s, "for both", &honest);
	build_summary(s, "from you", &forged);
	/* There was none: the first is taken. */
	ASK(summary_save, RESULT_OK, .mailbox = s->anns_inbox, .uid = 1,
	    .summary = BLOB_OF(text_span(&honest)));
	ASK(summary_save, RESULT_OK, .mailbox = s->anns_inbox, .uid = 1,
	    .summary = BLOB_OF(text_span(&forged)));
	assert_true(span_eq(details(s, &s->bobs, s->bobs_inbox).summary,
	    text_span(&honest)));
	text_free(&honest);
	text_free(&forged);
}

/* ---- what belongs to another process ----------------------------------- */

static enum result
step(struct link *l, struct arena *arena, uint64_t dialogue, struct span said)
{
	struct sasl_step_request q = { .dialogue = dialogue,
	    .response = said };
	struct sasl_step_reply r;

	assert_int_equal(call_sasl_step(l, arena, &q, &r), 1);
	return r.result;
}

static void
dialogues_of_another(void **state)
{
	struct siege *s = *state;
	struct link *other = link_as(s, ACCESS);
	struct sasl_start_request q = { .service = PROTOCOL_IMAP,
	    .mechanism = SPAN("LOGIN"), .peer = SPAN("192.0.2.1") };
	struct sasl_abort_request stop;
	struct sasl_abort_reply stopped;
	struct sasl_start_reply r;

	assert_int_equal(call_sasl_start(other, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_CONTINUE);
	stop.dialogue = r.dialogue;
	assert_int_equal(call_sasl_abort(s->access, s->arena, &stop,
	    &stopped), 1);
	for (uint64_t d = r.dialogue - 3; d != r.dialogue + 4; d++)
		assert_int_equal(step(s->access, s->arena, d,
		    SPAN("ann@example.test")), RESULT_INVALID);
	/* It went on undisturbed, and ends once. */
	assert_int_equal(step(other, s->arena, r.dialogue,
	    SPAN("ann@example.test")), RESULT_CONTINUE);
	assert_int_equal(step(other, s->arena, r.dialogue,
	    SPAN("ann's own")), RESULT_OK);
	assert_int_equal(step(other, s->arena, r.dialogue,
	    SPAN("ann's own")), RESULT_INVALID);
	link_free(&other);
}

static void
maildrops_of_another(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->bobs;
	struct token session = token_new();

	ASK(maildrop_lock, RESULT_OK, .token = session);
	grant = &s->anns;
	ASK(maildrop_unlock, RESULT_OK, .token = session);
	grant = &s->bobs;
	ASK(maildrop_unlock, RESULT_OK, .token = token_new());
	ASK(maildrop_lock, RESULT_LOCKED, .token = token_new());
}

/* ---- mail in the name of another --------------------------------------- */

#define COMMIT(link_, expected, ...)					\
	do {								\
		struct queue_commit_request q_ = { .token = token_new(), \
		    .body = BLOB_OF(span_str(letter)),			\
		    .summary = BLOB_OF(SPAN_EMPTY), __VA_ARGS__ };	\
		struct queue_commit_reply r_;				\
		assert_int_equal(call_queue_commit(link_, s->arena, &q_, \
		    &r_), 1);						\
		assert_int_equal(r_.result, expected);			\
	} while (0)

static void
mail_of_another(void **state)
{
	struct siege *s = *state;
	struct blob bob = recipients(s, "bob@example.test");
	struct blob away = recipients(s, "carol@elsewhere.test");
	struct blob mixed = recipients(s, "bob@example.test "
	    "carol@elsewhere.test");

	COMMIT(s->access, RESULT_DENIED, .recipients = bob);
	COMMIT(s->access, RESULT_DENIED, .recipients = bob,
	    .sender = SPAN("ann@example.test"), .grant = { { 9 } });
	COMMIT(s->access, RESULT_DENIED, .recipients = bob,
	    .sender = SPAN("bob@example.test"), .grant = s->anns);
	COMMIT(s->access, RESULT_DENIED, .recipients = bob,
	    .sender = SPAN("carol@elsewhere.test"), .grant = s->anns);
	/* Ann may write to anybody, and nobody without a grant may. */
	COMMIT(s->access, RESULT_OK, .recipients = away,
	    .sender = SPAN("ann@example.test"), .grant = s->anns);
	COMMIT(s->access, RESULT_DENIED, .recipients = away,
	    .sender = SPAN("ann@example.test"));
	COMMIT(s->mx, RESULT_NOT_LOCAL, .recipients = away,
	    .sender = SPAN("ann@example.test"));
	COMMIT(s->mx, RESULT_NOT_LOCAL, .recipients = mixed,
	    .sender = SPAN("carol@elsewhere.test"));
	COMMIT(s->mx, RESULT_INVALID, .recipients = bob,
	    .sender = SPAN("carol@elsewhere.test\r\nBcc: all"));
	COMMIT(s->mx, RESULT_INVALID, .recipients = bob, .prefix = 1 << 20);
	COMMIT(s->mx, RESULT_INVALID, .recipients = BLOB_OF(SPAN_EMPTY));
	COMMIT(s->mx, RESULT_INVALID, .recipients = BLOB_OF(SPAN("\1")));
	queue_settle(s->f.store->queue);
	assert_int_equal(messages_of(&s->f, s->bob), 0);
}

/* ---- relay, of mail it was not given ------------------------------------ */

struct half_truth {
	uint32_t recipient, outcome, state;
	enum result expected;
};

static enum result
tell_of(struct siege *s, struct link *relay, struct token token,
    struct half_truth t)
{
	struct text rows = TEXT_INIT(0);
	struct queue_report_request req = { .state = t.state,
	    .tokens = BLOB_OF(span_of(token.b, sizeof(token.b))) };
	struct queue_report_reply reply = { 0 };

	outcome_row_put(&rows, &(struct outcome_row){ .token = token,
	    .recipient = t.recipient, .outcome = t.outcome });
	req.outcomes = BLOB_OF(text_span(&rows));
	assert_int_equal(call_queue_report(relay, s->arena, &req, &reply), 1);
	text_free(&rows);
	return reply.result;
}

static void
lies_of_relay(void **state)
{
	static const struct half_truth lies[] = {
		{ 1, RELAY_SENT, DESTINATION_FINE, RESULT_INVALID },
		{ UINT32_MAX, RELAY_FAILED, DESTINATION_FINE, RESULT_INVALID },
		{ 0, RELAY_OUTCOMES, DESTINATION_FINE, RESULT_INVALID },
		{ 0, RELAY_SENT, DESTINATION_STATES, RESULT_INVALID },
	};
	struct siege *s = *state;
	struct link *relay = link_as(s, RELAY), *other = link_as(s, RELAY);
	struct token token = token_new();
	struct queue_commit_request mail = { .token = token,
	    .recipients = recipients(s, "carol@elsewhere.test"),
	    .sender = SPAN("ann@example.test"), .grant = s->anns,
	    .body = BLOB_OF(span_str(letter)),
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct queue_commit_reply taken = { 0 };
	struct queue_resume_request resume = { .tokens = BLOB_OF(SPAN_EMPTY) };
	struct queue_resume_reply resumed = { 0 };
	struct queue_lease_request ask = { .count = 10 };
	struct queue_lease_reply got = { 0 };
	struct queue_body_request want = { .token = token };
	struct queue_body_reply body = { 0 };
	struct half_truth fair = { 0, RELAY_SENT, DESTINATION_FINE, RESULT_OK };

	assert_int_equal(call_queue_commit(s->access, s->arena, &mail, &taken),
	    1);
	assert_int_equal(taken.result, RESULT_OK);
	/* What nobody leased can neither be settled nor read. */
	assert_int_equal(tell_of(s, relay, token, fair), RESULT_DENIED);
	assert_int_equal(call_queue_body(relay, s->arena, &want, &body), 1);
	assert_int_equal(body.result, RESULT_NOT_FOUND);
	assert_int_equal(call_queue_resume(relay, s->arena, &resume, &resumed),
	    1);
	assert_int_equal(call_queue_lease(relay, s->arena, &ask, &got), 1);
	assert_true(got.rows.bytes.n > 0);
	assert_int_equal(tell_of(s, other, token, fair), RESULT_DENIED);
	assert_int_equal(call_queue_body(other, s->arena, &want, &body), 1);
	assert_int_equal(body.result, RESULT_NOT_FOUND);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++)
		assert_int_equal(tell_of(s, relay, token, lies[i]),
		    lies[i].expected);
	assert_int_equal(tell_of(s, relay, token_new(), fair), RESULT_OK);
	assert_true(queue_has(s->f.store, &token));
	assert_int_equal(tell_of(s, relay, token, fair), RESULT_OK);
	assert_false(queue_has(s->f.store, &token));
	blob_release(&got.rows);
	link_free(&relay);
	link_free(&other);
}

/* ---- several messages --------------------------------------------------- */

static void
puts_that_lie(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct blob body = BLOB_OF(SPAN("planted")), many;
	struct text t = TEXT_INIT(0);

	ASK(message_put, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = BLOB_OF(SPAN_EMPTY),
	    .bodies = BLOB_OF(SPAN_EMPTY));
	ASK(message_put, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = new_record(s, 6),
	    .bodies = body);
	ASK(message_put, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = new_record(s, UINT64_MAX),
	    .bodies = body);
	ASK(message_put, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .messages = new_record(s, 7), .bodies = body);
	ASK(message_put, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = BLOB_OF(SPAN("garbage")),
	    .bodies = body);
	for (int i = 0; i < 5000; i++)
		message_new_put(&t, &(struct message_new){ .size = 0 });
	many = BLOB_OF(text_span(&t));
	ASK(message_put, RESULT_LIMIT, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = many,
	    .bodies = BLOB_OF(SPAN_EMPTY));
	text_free(&t);
	/* What is replaced must be there. */
	ASK(message_put, RESULT_CONFLICT, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = new_record(s, 7),
	    .bodies = body, .source = s->anns_inbox, .replaces = 99);
	ASK(message_put, RESULT_OK, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = new_record(s, 7),
	    .bodies = body);
	ASK(message_put, RESULT_OK, .mailbox = s->anns_inbox,
	    .token = token_new(), .messages = new_record(s, 7),
	    .bodies = body, .source = s->anns_inbox, .replaces = 1);
}

/* ---- URLs ---------------------------------------------------------------- */

static struct span
authorise(struct siege *s, const struct grant *grant, const char *rump)
{
	struct url_sign_request q = { .grant = *grant,
	    .rump = span_str(rump) };
	struct url_sign_reply r;

	assert_int_equal(call_url_sign(s->access, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	return arena_printf(s->arena, "%s:INTERNAL:%.*s", rump,
	    SPAN_ARG(r.token));
}

/* A URL gives what it names to whom it names, and nothing is to be guessed. */
static void
urls_of_others(void **state)
{
	static const char bobs[] = "imap://bob@example.test/INBOX/;UID=1"
	    "/;PARTIAL=2.9;URLAUTH=user+ann";
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct url_fetch_request q = { .grant = s->anns,
	    .count = UINT64_MAX };
	struct url_fetch_reply r;
	struct span url, other;
	char *forged;

	send_to_both(s);
	ASK(url_fetch, RESULT_NOT_FOUND,
	    .url = SPAN("imap://bob@example.test/INBOX/;UID=1"));
	ASK(url_fetch, RESULT_NOT_FOUND, .url = SPAN(";UID=1"),
	    .base = s->bobs_inbox, .count = 1);
	ASK(url_fetch, RESULT_INVALID, .url = span_str(bobs));
	ASK(url_sign, RESULT_NOT_FOUND, .rump = span_str(bobs));
	ASK(url_reset, RESULT_NOT_FOUND, .mailbox = SPAN("Nowhere"));
	url = authorise(s, &s->bobs, bobs);
	q.url = url;
	assert_int_equal(call_url_fetch(s->access, s->arena, &q, &r), 1);
	assert_int_equal(r.result, RESULT_OK);
	assert_int_equal(r.size, 9);
	assert_int_equal(r.data.bytes.n, 9);
	blob_release(&r.data);
	/* No byte of it may be another. */
	for (size_t i = 0; i < url.n; i++) {
		other = arena_dup(s->arena, url);
		forged = (char *)other.p;
		forged[i] = forged[i] == '1' ? '2' : '1';
		q.url = other;
		assert_int_equal(call_url_fetch(s->access, s->arena, &q, &r),
		    1);
		if (r.result != RESULT_NOT_FOUND &&
		    r.result != RESULT_INVALID)
			fail_msg("%.*s: %s", SPAN_ARG(other),
			    result_name(r.result));
	}
	/* For submission alone; over; not hers any more. */
	ASK(url_fetch, RESULT_NOT_FOUND, .url = authorise(s, &s->bobs,
	    "imap://bob@example.test/INBOX/;UID=1;URLAUTH=submit+ann"));
	ASK(url_fetch, RESULT_NOT_FOUND, .url = authorise(s, &s->bobs,
	    "imap://bob@example.test/INBOX/;UID=1;"
	    "EXPIRE=2001-01-01T00:00:00Z;URLAUTH=user+ann"));
	grant = &s->bobs;
	ASK(url_reset, RESULT_OK, .mailbox = SPAN("INBOX"));
	grant = &s->anns;
	ASK(url_fetch, RESULT_NOT_FOUND, .url = url);
}

/* ---- verbs that are not one's own -------------------------------------- */

/* Is the link ended after what was sent? Hello and answers are passed over. */
static bool
is_ended(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct frame_in f;
	int status = 1;

	while (status == 1) {
		assert_int_equal(poll(&p, 1, 20000), 1);
		status = frame_receive(fd, &f, buffer, false);
		if (status == 1)
			frame_in_close(&f);
		if (status == 1 && f.kind == FRAME_REPLY)
			return false;
	}
	return true;
}

static void
say_hello(int fd, enum role_bit role)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };

	hello_encode(&f, role);
	assert_int_equal(frame_send(fd, &f, true), 1);
	frame_free(&f);
}

static bool
may_say(struct siege *s, enum role_bit role, enum verb verb,
    enum frame_kind kind)
{
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	union any_message m;
	int fd = connect_as(s, role);
	bool ended;

	say_hello(fd, role);
	codecs[verb].request.init(&m);
	codec_encode(&f, verb, kind, 1, &m);
	assert_int_equal(frame_send(fd, &f, true), 1);
	ended = is_ended(fd);
	frame_free(&f);
	close(fd);
	return !ended;
}

static void
verbs_of_others(void **state)
{
	static const enum role_bit roles[] = { MX, ACCESS, RELAY, RESOLVER,
	    FILTER, SIGNER, METRICS, INDEX };
	struct siege *s = *state;

	for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
		for (int v = VERB_hello + 1; v < VERBS; v++) {
			bool own = (codecs[v].from & roles[r]) != 0 &&
			    (codecs[v].to & STORE) != 0;
			enum frame_kind kind = codecs[v].reply.size == 0 ?
			    FRAME_NOTE : FRAME_CALL;

			if (may_say(s, roles[r], (enum verb)v, kind) != own)
				fail_msg("%s: %s", role_name(roles[r]),
				    codecs[v].name);
		}
	}
	/* What mx has at all, and that no row gives it more by mistake. */
	for (int v = VERB_hello + 1; v < VERBS; v++)
		if ((codecs[v].from & MX) != 0 && (codecs[v].to & STORE) != 0)
			assert_true(v == VERB_recipient_check ||
			    v == VERB_queue_commit || v == VERB_queue_turn ||
			    v == VERB_address_expand);
	for (int v = VERB_domain_add; v < VERBS; v++)
		assert_int_equal(codecs[v].from & (MX | ACCESS), 0);
	/* Nor index: what it is leased, and what who searches may read. */
	for (int v = VERB_hello + 1; v < VERBS; v++)
		if ((codecs[v].from & INDEX) != 0 && (codecs[v].to & STORE) != 0)
			assert_true(v >= VERB_index_lease &&
			    v <= VERB_index_drop);
}

/* ---- index --------------------------------------------------------------- */

static struct blob
one_range(struct siege *s, uint64_t segment)
{
	struct text t = TEXT_INIT(0);
	struct span records;

	index_range_put(&t, &(struct index_range){ segment, 0, 1 });
	records = arena_dup(s->arena, text_span(&t));
	text_free(&t);
	return BLOB_OF(records);
}

/* What a captured index reaches in a mailbox, by a grant or a lease. */
static void
index_reaches(struct siege *s, struct link *index, const struct grant *grant,
    uint64_t mailbox, uint64_t lease, enum result expected)
{
	struct index_segments_request list = { .grant = *grant,
		.mailbox = mailbox };
	struct index_segments_reply listed;
	struct index_read_request read = { .grant = *grant,
		.mailbox = mailbox, .lease = lease,
		.ranges = one_range(s, 1) };
	struct index_read_reply bytes;
	struct index_drop_request drop = { .grant = *grant,
		.mailbox = mailbox, .lease = lease, .segment = 1 };
	struct index_drop_reply dropped;

	assert_int_equal(call_index_read(index, s->arena, &read, &bytes), 1);
	assert_int_equal(bytes.result, expected);
	assert_int_equal(call_index_drop(index, s->arena, &drop, &dropped),
	    1);
	assert_int_equal(dropped.result, expected);
	if (lease != 0)
		return;
	assert_int_equal(call_index_segments(index, s->arena, &list, &listed),
	    1);
	assert_int_equal(listed.result, expected);
	blob_release(&listed.segments);
}

static void
leases_of_another(struct siege *s, struct link *index, uint64_t lease)
{
	struct index_messages_request ask = { .lease = lease, .from = 1,
		.limit = UINT64_MAX };
	struct index_messages_reply mail;
	struct index_save_request save = { .lease = lease, .last = 1,
		.messages = 1, .segment = BLOB_OF(SPAN("forged")) };
	struct index_save_reply saved;

	assert_int_equal(call_index_messages(index, s->arena, &ask, &mail),
	    1);
	assert_int_equal(mail.result, RESULT_NOT_FOUND);
	assert_int_equal(call_index_save(index, s->arena, &save, &saved), 1);
	assert_int_equal(saved.result, RESULT_NOT_FOUND);
}

static void
a_captured_index(void **state)
{
	struct siege *s = *state;
	struct link *index = link_as(s, INDEX), *other = link_as(s, INDEX);
	struct index_lease_request ask = { .room = UINT64_MAX };
	struct index_lease_reply lease;
	struct grant guessed = { { 1 } };

	send_to_both(s);
	assert_int_equal(call_index_lease(index, s->arena, &ask, &lease), 1);
	assert_int_equal(lease.work, INDEX_BUILD);
	assert_true(lease.mailbox == s->anns_inbox ||
	    lease.mailbox == s->bobs_inbox);
	for (uint64_t i = 0; i < 5; i++) {
		leases_of_another(s, other, lease.lease + i - 2);
		index_reaches(s, other, &guessed, s->bobs_inbox,
		    lease.lease + i, RESULT_NOT_FOUND);
	}
	/* Ann searches: that opens her mailbox to it, and no other. */
	index_reaches(s, index, &s->anns, s->bobs_inbox, 0,
	    RESULT_NOT_FOUND);
	index_reaches(s, index, &guessed, s->anns_inbox, 0, RESULT_DENIED);
	blob_release(&lease.segments);
	blob_release(&lease.present);
	link_free(&index);
	link_free(&other);
}

/* ---- descriptors ------------------------------------------------------- */

static size_t
open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A call whose body is said to be `n` bytes in this descriptor. */
static bool
takes_blob(struct siege *s, int shared, uint64_t n, size_t copies)
{
	struct queue_commit_request q = { .body = BLOB_OF(SPAN_EMPTY),
	    .recipients = BLOB_OF(SPAN_EMPTY),
	    .summary = BLOB_OF(SPAN_EMPTY) };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	int fd = connect_as(s, MX);
	bool taken;

	say_hello(fd, MX);
	q.body = (struct blob){ .fd = shared, .bytes = { NULL, n } };
	codec_encode(&f, VERB_queue_commit, FRAME_CALL, 1, &q);
	while (f.fd_count < copies) {
		f.fds[f.fd_count] = shared;
		f.owned[f.fd_count++] = false;
	}
	assert_int_equal(frame_send(fd, &f, true), 1);
	taken = !is_ended(fd);
	frame_free(&f);
	close(fd);
	return taken;
}

static int
memfd(int seals, off_t size)
{
	int fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0 && ftruncate(fd, size) == 0);
	if (seals != 0)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void
try_blob(struct siege *s, int fd, uint64_t n, bool expected)
{
	assert_true(fd >= 0);
	assert_int_equal(takes_blob(s, fd, n, 1), expected);
	close(fd);
}

static void
descriptors_that_lie(void **state)
{
	struct siege *s = *state;
	const int good = F_SEAL_SHRINK | F_SEAL_WRITE;
	size_t before = open_descriptors(), now;
	int fd, pipes[2];

	try_blob(s, memfd(good, 70000), 70000, true);
	try_blob(s, memfd(good, 70000), 70001, false);
	try_blob(s, memfd(good, 70000), 69999, false);
	try_blob(s, memfd(0, 70000), 70000, false);
	try_blob(s, memfd(F_SEAL_SHRINK, 70000), 70000, false);
	try_blob(s, memfd(F_SEAL_WRITE, 70000), 70000, false);
	try_blob(s, memfd(F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, 70000), 70000,
	    false);
	try_blob(s, open("/dev/zero", O_RDONLY | O_CLOEXEC), 70000, false);
	try_blob(s, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 70000,
	    false);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	close(pipes[1]);
	try_blob(s, pipes[0], 70000, false);
	fd = memfd(good, 70000);
	for (size_t n = 2; n <= FRAME_FDS; n++)
		assert_false(takes_blob(s, fd, 70000, n));
	close(fd);
	/* The store lets go of a link on a thread of its own. */
	for (int i = 0; (now = open_descriptors()) != before && i < 2000; i++)
		poll(NULL, 0, 5);
	assert_int_equal(now, before);
}

/* An empty packet is no frame, but may bring descriptors. */
static void
descriptors_without_a_frame(void **state)
{
	struct siege *s = *state;
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	size_t before = open_descriptors(), now;

	for (int i = 0; i < 50; i++) {
		int fd = connect_as(s, ACCESS);

		frame_clear(&f);
		while (f.fd_count < FRAME_FDS) {
			f.fds[f.fd_count] = fd;
			f.owned[f.fd_count++] = false;
		}
		assert_int_equal(frame_send(fd, &f, true), 1);
		assert_true(is_ended(fd));
		close(fd);
	}
	frame_free(&f);
	for (int i = 0; (now = open_descriptors()) != before && i < 2000; i++)
		poll(NULL, 0, 5);
	assert_int_equal(now, before);
}

/* ---- too much ---------------------------------------------------------- */

/* Who asks and never reads is cut off before it costs us much. */
static void
answers_nobody_reads(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	static char body[60000];
	struct message_body_request q = { .grant = s->anns,
	    .mailbox = s->anns_inbox, .uid = 1, .count = UINT64_MAX };
	struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
	int fd = connect_as(s, ACCESS), sent;

	memset(body, 'x', sizeof(body));
	ASK(message_append, RESULT_OK, .mailbox = s->anns_inbox,
	    .token = token_new(), .summary = BLOB_OF(SPAN_EMPTY),
	    .body = BLOB_OF(span_of(body, sizeof(body))));
	say_hello(fd, ACCESS);
	for (sent = 0; sent < 5000; sent++) {
		codec_encode(&f, VERB_message_body, FRAME_CALL,
		    (uint32_t)sent + 1, &q);
		if (frame_send(fd, &f, true) != 1)
			break;
	}
	assert_true(sent < 5000);
	frame_free(&f);
	close(fd);
	assert_int_equal(with_grant(s, &s->anns), RESULT_OK);
}

/* The longest lists that the contract lets through. */
static void
long_lists(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	struct text t = TEXT_INIT(0);
	struct blob uids;

	send_to_both(s);
	for (uint32_t i = 0; i < (16 << 20) / 8; i++) {
		uint32_t uid = UINT32_MAX - 2 * i;

		uid_range_put(&t, &(struct uid_range){ uid, uid });
	}
	uids = BLOB_OF(text_span(&t));
	ASK(message_store, RESULT_OK, .mailbox = s->anns_inbox, .uids = uids,
	    .mode = STORE_ADD, .flags = FLAG_SEEN,
	    .unchanged_since = UINT64_MAX);
	ASK(message_expunge, RESULT_OK, .mailbox = s->anns_inbox,
	    .uids = uids);
	ASK(message_copy, RESULT_OK, .mailbox = s->anns_inbox, .uids = uids,
	    .target = s->anns_inbox, .token = token_new());
	ASK(message_details, RESULT_OK, .mailbox = s->anns_inbox,
	    .uids = uids);
	/* Ranges that begin anywhere and end at the end of the world. */
	text_clear(&t);
	for (uint32_t i = 0; i < (16 << 20) / 8; i++)
		uid_range_put(&t, &(struct uid_range){ 1 + i % 3,
		    UINT32_MAX - i % 5 });
	uids = BLOB_OF(text_span(&t));
	ASK(message_store, RESULT_OK, .mailbox = s->anns_inbox, .uids = uids,
	    .mode = STORE_REMOVE, .flags = UINT64_MAX,
	    .unchanged_since = UINT64_MAX);
	/* And what is no range at all. */
	text_clear(&t);
	uid_range_put(&t, &(struct uid_range){ 5, 4 });
	uids = BLOB_OF(text_span(&t));
	ASK(message_store, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .uids = uids);
	text_clear(&t);
	uid_range_put(&t, &(struct uid_range){ 0, 4 });
	uids = BLOB_OF(text_span(&t));
	ASK(message_expunge, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .uids = uids);
	ASK(message_store, RESULT_INVALID, .mailbox = s->anns_inbox,
	    .uids = every_uid(s), .mode = 77);
	text_free(&t);
}

static void
odd_numbers(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	static const uint64_t odd[] = { 0, 1, INT64_MAX, UINT64_MAX - 1,
	    UINT64_MAX };

	send_to_both(s);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		for (size_t j = 0; j < ARRAY_LEN(odd); j++)
			ASK(message_body, RESULT_OK,
			    .mailbox = s->anns_inbox, .uid = 1,
			    .from = odd[i], .count = odd[j]);
		ASK(mailbox_changes, RESULT_OK, .mailbox = s->anns_inbox,
		    .since = odd[i]);
		ASK(message_bodies, RESULT_OK, .mailbox = s->anns_inbox,
		    .uids = every_uid(s), .limit = odd[i]);
		ASK(message_append, RESULT_OK, .mailbox = s->anns_inbox,
		    .token = token_new(), .internal_date = (int64_t)odd[i],
		    .thread = odd[i], .flags = UINT64_MAX,
		    .body = BLOB_OF(SPAN("x")),
		    .summary = BLOB_OF(SPAN_EMPTY));
	}
	ASK(mailbox_status, RESULT_OK, .mailbox = s->anns_inbox);
}

static void
odd_names(void **state)
{
	struct siege *s = *state;
	const struct grant *grant = &s->anns;
	static char deep[1000], letters[4096];
	struct text words = TEXT_INIT(4096);

	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = i % 2 == 0 ? 'a' : '/';
	memset(letters, 'k', sizeof(letters));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN(""));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN("/"));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN("a//b"));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN("a\r\nb"));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN("a\0b"));
	ASK(mailbox_create, RESULT_INVALID, .name = SPAN("\xff\xfe"));
	ASK(mailbox_create, RESULT_INVALID, .name = span_of(deep, 999));
	ASK(mailbox_rename, RESULT_INVALID, .from = SPAN("Sent"),
	    .to = span_of(deep, 999));
	ASK(mailbox_delete, RESULT_INVALID, .name = SPAN("inbox"));
	ASK(message_store, RESULT_LIMIT, .mailbox = s->anns_inbox,
	    .uids = every_uid(s), .mode = STORE_ADD,
	    .unchanged_since = UINT64_MAX,
	    .keywords = span_of(letters, sizeof(letters)));
	for (int i = 0; i < 400; i++)
		text_printf(&words, "k%d ", i);
	ASK(message_append, RESULT_LIMIT, .mailbox = s->anns_inbox,
	    .token = token_new(), .body = BLOB_OF(SPAN("x")),
	    .summary = BLOB_OF(SPAN_EMPTY), .keywords = text_span(&words));
	ASK(message_append, RESULT_LIMIT, .mailbox = s->anns_inbox,
	    .token = token_new(), .body = BLOB_OF(SPAN("x")),
	    .summary = BLOB_OF(SPAN_EMPTY),
	    .keywords = SPAN("a)\r\n* BYE"));
	text_free(&words);
}

/* Bytes of no meaning cost the link they came on, and nothing else. */
static void
noise(void **state)
{
	struct siege *s = *state;

	for (int i = 0; i < 300; i++) {
		struct frame f = { .bytes = TEXT_INIT(FRAME_MAX) };
		int fd = connect_as(s, ACCESS);
		char bytes[64];

		say_hello(fd, ACCESS);
		random_bytes(bytes, sizeof(bytes));
		/* A verb that there is, as a call; the rest is noise. */
		bytes[0] = (char)(i % VERBS);
		bytes[1] = 0;
		bytes[2] = FRAME_CALL;
		bytes[3] = 0;
		text_add(&f.bytes, span_of(bytes, 8 + random_below(56)));
		assert_int_equal(frame_send(fd, &f, true), 1);
		frame_free(&f);
		close(fd);
	}
	assert_int_equal(with_grant(s, &s->anns), RESULT_OK);
	assert_int_equal(with_grant(s, &s->bobs), RESULT_OK);
}

#define ATTACK(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ATTACK(guessed_grants),
		ATTACK(grants_that_ended),
		ATTACK(grants_of_another_store),
		ATTACK(mailboxes_of_another),
		ATTACK(names_of_another),
		ATTACK(shared_names_of_another),
		ATTACK(annotations_and_quota),
		ATTACK(more_than_was_granted),
		ATTACK(tokens_like_the_id_of_a_body),
		ATTACK(tokens_of_the_queue),
		ATTACK(summaries_that_others_see),
		ATTACK(dialogues_of_another),
		ATTACK(maildrops_of_another),
		ATTACK(mail_of_another),
		ATTACK(lies_of_relay),
		ATTACK(urls_of_others),
		ATTACK(puts_that_lie),
		ATTACK(verbs_of_others),
		ATTACK(a_captured_index),
		ATTACK(descriptors_that_lie),
		ATTACK(descriptors_without_a_frame),
		ATTACK(answers_nobody_reads),
		ATTACK(long_lists),
		ATTACK(odd_numbers),
		ATTACK(odd_names),
		ATTACK(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
