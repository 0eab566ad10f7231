/* test_message_append.c - messages come in: several, and for another. */
#include "store/test_mailboxes.h"

#include <stdlib.h>

#include "ipc/wire.h"

static uint64_t
inbox(struct fixture *f)
{
	return mailbox_named(f, "INBOX");
}

static const char *
all_of(struct fixture *f, uint64_t mailbox)
{
	struct got got = open_mailbox(f, mailbox, false);
	struct uids uids = { 0 };
	const char *text;

	for (size_t i = 0; i < got.n; i++)
		uids_add(&uids, got.rows[i].uid, got.rows[i].uid);
	text = text_of(f, &uids);
	uids_free(&uids);
	got_free(&got);
	return text;
}

struct put {
	const char *const *bodies;
	size_t n;
	uint64_t target, source;
	uint32_t replaces;
	struct token token;
};

/* The uid of the first; 0: *result. */
static uint32_t
put(struct fixture *f, const struct put *p, enum result *result)
{
	struct message_put_request req = { .grant = grant_for(ACCOUNT),
	    .token = p->token, .mailbox = p->target, .source = p->source,
	    .replaces = p->replaces };
	struct message_put_reply reply = { 0 };
	struct text records = TEXT_INIT(0), bytes = TEXT_INIT(0);

	for (size_t i = 0; i < p->n; i++) {
		struct message_new record = { .flags = FLAG_SEEN,
		    .keywords = i % 2 == 0 ? SPAN("even") : SPAN("odd even"),
		    .internal_date = (int64_t)i, .thread = i,
		    .size = strlen(p->bodies[i]) };

		message_new_put(&records, &record);
		text_str(&bytes, p->bodies[i]);
	}
	req.messages = BLOB_OF(text_span(&records));
	req.bodies = BLOB_OF(text_span(&bytes));
	verb_message_put(&f->store, &tester, f->arena, &req, &reply);
	text_free(&records);
	text_free(&bytes);
	*result = reply.result;
	return reply.result == RESULT_OK ? reply.uid : 0;
}

static char *
large_body(void)
{
	size_t n = ENGINE_BODY_INLINE + 7;
	char *body = xmalloc(n + 1);

	memset(body, 'l', n);
	body[n] = '\0';
	return body;
}

static void
test_several(void **state)
{
	struct fixture *f = *state;
	char *large = large_body();
	const char *const bodies[] = { "one", large, "three" };
	struct put p = { bodies, 3, inbox(f), 0, 0, token_new() };
	enum result result;
	struct got got;

	append(f, p.target, "zero", 0, "", NULL, NULL);
	assert_int_equal(put(f, &p, &result), 2);
	/* The answer was lost, and the process too. */
	fixture_restart(f);
	assert_int_equal(put(f, &p, &result), 2);
	assert_string_equal(all_of(f, p.target), "1:4");
	assert_string_equal(body_of(f, p.target, 2), "one");
	assert_string_equal(body_of(f, p.target, 3), large);
	assert_string_equal(body_of(f, p.target, 4), "three");
	got = open_mailbox(f, p.target, false);
	assert_true(span_is(got.keywords, "even odd"));
	assert_int_equal(got.rows[1].flags, FLAG_SEEN | 1 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[2].flags, FLAG_SEEN | 3 << FLAG_KEYWORD_0);
	assert_int_equal(got.rows[3].internal_date, 2);
	/* One change brought them. */
	assert_int_equal(got.rows[1].modseq, got.rows[3].modseq);
	got_free(&got);
	free(large);
	check_clean(f);
}

/* Cut short at each commit: all are there, or none. */
static void
test_several_cut_short(void **state)
{
	struct fixture *f = *state;
	char *large = large_body();
	const char *const bodies[] = { "one", large, "three" };
	struct put p = { bodies, 3, inbox(f), 0, 0, token_new() };
	enum result result = RESULT_TEMPORARY;
	const char *all;

	for (long step = 0; result != RESULT_OK; step++) {
		fixture_die_after(f, step);
		put(f, &p, &result);
		fixture_restart(f);
		all = all_of(f, p.target);
		assert_true(strcmp(all, "") == 0 || strcmp(all, "1:3") == 0);
		assert_true(step < 10);
	}
	assert_string_equal(all_of(f, p.target), "1:3");
	free(large);
	check_clean(f);
}

static void
test_replace(void **state)
{
	struct fixture *f = *state;
	const char *const bodies[] = { "new" };
	uint64_t box = inbox(f), drafts = mailbox_named(f, "Drafts");
	struct put p = { bodies, 1, box, box, 2, token_new() };
	enum result result;
	struct got got;
	uint64_t before;

	for (int i = 0; i < 3; i++)
		append(f, box, "old", 0, "", NULL, NULL);
	got = open_mailbox(f, box, false);
	before = got.highestmodseq;
	got_free(&got);
	assert_int_equal(put(f, &p, &result), 4);
	assert_string_equal(all_of(f, box), "1,3:4");
	got = changes(f, box, before);
	assert_int_equal(got.n, 1);
	assert_string_equal(text_of(f, &got.vanished), "2");
	got_free(&got);
	fixture_restart(f);
	assert_int_equal(put(f, &p, &result), 4);
	assert_string_equal(all_of(f, box), "1,3:4");
	/* Gone already: nothing comes. */
	p.token = token_new();
	assert_int_equal(put(f, &p, &result), 0);
	assert_int_equal(result, RESULT_CONFLICT);
	/* Into another mailbox. */
	p = (struct put){ bodies, 1, drafts, box, 3, token_new() };
	assert_int_equal(put(f, &p, &result), 1);
	assert_int_equal(put(f, &p, &result), 1);
	assert_string_equal(all_of(f, box), "1,4");
	assert_string_equal(all_of(f, drafts), "1");
	p.token = token_new();
	assert_int_equal(put(f, &p, &result), 0);
	assert_int_equal(result, RESULT_CONFLICT);
	assert_string_equal(all_of(f, drafts), "1");
	assert_int_equal(engine_collect(f->engine, false, 0), 2);
	check_clean(f);
}

/*
 * Cut short at each commit, both is done or nothing: whoever looks next never
 * finds the old message and the new one.
 */
static void
replace_cut_short(struct fixture *f, uint64_t source, uint64_t target)
{
	char *large = large_body();
	const char *const bodies[] = { large };
	struct put p = { bodies, 1, target, source, 0, token_new() };
	enum result result = RESULT_TEMPORARY;
	struct got from, to;

	append(f, source, "old", 0, "", NULL, &p.replaces);
	for (long step = 0; result != RESULT_OK; step++) {
		fixture_die_after(f, step);
		put(f, &p, &result);
		fixture_restart(f);
		from = open_mailbox(f, source, false);
		to = open_mailbox(f, target, false);
		assert_int_equal(from.n + (source != target ? to.n : 0), 1);
		got_free(&from);
		got_free(&to);
		assert_true(step < 20);
	}
	assert_false(intents_left(f->store.mailboxes, ACCOUNT));
	assert_true(strcmp(all_of(f, target), "") != 0);
	if (source != target)
		assert_string_equal(all_of(f, source), "");
	free(large);
	check_clean(f);
}

static void
test_replace_cut_short(void **state)
{
	replace_cut_short(*state, inbox(*state), inbox(*state));
}

static void
test_replace_between_cut_short(void **state)
{
	replace_cut_short(*state, inbox(*state),
	    mailbox_named(*state, "Drafts"));
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup,	\
	    fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_several),
		TEST(test_several_cut_short),
		TEST(test_replace),
		TEST(test_replace_cut_short),
		TEST(test_replace_between_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
