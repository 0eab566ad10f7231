/*
 * test_expand.c - where the mail of an address goes: outside, through groups,
 * forwarding, masks and back; and with which sender.
 */
#include "test_store.h"
#include "base/clock.h"
#include "ipc/wire.h"
#include "mail/srs.h"
#include "store/mask.h"

#include <stdio.h>

static uint64_t ann, bob;		/* accounts that are always there */

static struct expansion
expand(struct fixture *f, const char *address, const char *sender,
    enum result wanted)
{
	struct expansion x;
	enum result result = directory_expand(f->store->directory,
	    span_str(address), span_str(sender), f->arena, &x);

	if (result != wanted)
		fail_msg("%s: %s", address, result_name(result));
	return x;
}

static bool
is_account(uint64_t account, struct span word)
{
	return account == (span_is(word, "ann") ? ann :
	    span_is(word, "bob") ? bob : 0);
}

/* Does it lead to these, "ann", "bob" and addresses, in any order? */
static void
leads_to(struct fixture *f, const char *address, const char *wanted)
{
	struct expansion x = expand(f, address, "", RESULT_OK);
	struct span rest = span_str(wanted), word;
	size_t count = 0;

	while ((word = span_word(&rest)).n > 0) {
		bool found = false;

		for (size_t i = 0; i < x.outside_count; i++)
			found = found || span_eq(x.outside[i], word);
		for (size_t i = 0; i < x.account_count; i++)
			found = found || is_account(x.accounts[i], word);
		if (!found)
			fail_msg("%s does not lead to %.*s", address,
			    SPAN_ARG(word));
		count++;
	}
	assert_int_equal(count, x.account_count + x.outside_count);
}

static enum result
forward(struct fixture *f, const char *address, const char *targets,
    bool keep)
{
	struct span bad;

	return directory_forward(f->store->directory, span_str(address),
	    span_str(targets), keep, f->arena, &bad);
}

static enum result
group(struct fixture *f, const char *address, const char *members,
    uint32_t who)
{
	struct span bad;
	bool made;

	return directory_group_set(f->store->directory, span_str(address),
	    span_str(members), who, f->arena, &made, &bad);
}

static void
begin(struct fixture *f)
{
	fixture_open(f, false);
	add_domain(f, "here.test");
	ann = add_account(f, "ann@here.test", "secret");
	bob = add_account(f, "bob@here.test", "secret");
}

/* -- aliases ------------------------------------------------------------- */

static void
test_outside(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(add_alias(&f, "x@here.test", "Eve@There.test"),
	    RESULT_OK);
	assert_int_equal(add_alias(&f, "all@here.test",
	    "ann@here.test\nx@here.test\neve@there.test\nzoe@b\xc3\xbc"
	    "cher.test"), RESULT_OK);
	for (int again = 0; again < 2; again++) {	/* from the cache too */
		leads_to(&f, "x@here.test", "Eve@there.test");
		leads_to(&f, "all@here.test",
		    "ann Eve@there.test zoe@xn--bcher-kva.test");
		leads_to(&f, "ALL+tag@here.test",
		    "ann Eve@there.test zoe@xn--bcher-kva.test");
	}
	expand(&f, "eve@there.test", "", RESULT_NOT_LOCAL);
	/* What leads outside is nobody's own. */
	assert_int_equal(directory_owns(f.store->directory, ann,
	    SPAN("all@here.test"), f.arena), RESULT_OK);
	assert_int_equal(directory_owns(f.store->directory, ann,
	    SPAN("x@here.test"), f.arena), RESULT_NOT_FOUND);
	assert_int_equal(add_alias(&f, "y@here.test",
	    "eve@there.test\nnobody@here.test"), RESULT_NOT_FOUND);
	assert_int_equal(add_alias(&f, "y@here.test", "eve@"),
	    RESULT_INVALID);
	/* A domain that becomes ours takes its addresses along. */
	add_domain(&f, "there.test");
	expand(&f, "x@here.test", "", RESULT_NOT_FOUND);
	fixture_close(&f);
}

static void
test_many(void **state)
{
	struct text targets = TEXT_INIT(0);
	struct expansion x;
	struct fixture f;

	(void)state;
	begin(&f);
	for (int i = 0; i < ALIAS_NAMES_MAX; i++)
		text_printf(&targets, "%s%d@there.test", i > 0 ? "\n" : "",
		    i);
	text_char(&targets, '\0');
	assert_int_equal(add_alias(&f, "many@here.test", targets.p),
	    RESULT_OK);
	x = expand(&f, "many@here.test", "", RESULT_OK);
	assert_int_equal(x.outside_count, ALIAS_NAMES_MAX);
	assert_true(span_is(x.outside[999], "999@there.test"));
	/* One more, by another way, is too many. */
	assert_int_equal(add_alias(&f, "more@here.test",
	    "one@there.test\nmany@here.test"), RESULT_LIMIT);
	text_free(&targets);
	fixture_close(&f);
}

/* -- senders ------------------------------------------------------------- */

static void
sender_is(struct fixture *f, const char *address, const char *sender,
    const char *wanted)
{
	struct expansion x = expand(f, address, sender, RESULT_OK);

	if (!span_is(x.new_sender, wanted))
		fail_msg("%.*s", SPAN_ARG(x.new_sender));
}

static void
test_senders(void **state)
{
	struct expansion x, back;
	struct fixture f;
	char *srs;

	(void)state;
	begin(&f);
	assert_int_equal(add_alias(&f, "x@here.test", "eve@there.test"),
	    RESULT_OK);
	assert_int_equal(add_alias(&f, "local@here.test", "ann@here.test"),
	    RESULT_OK);
	sender_is(&f, "x@here.test", "", "");
	sender_is(&f, "x@here.test", "bob@here.test", "bob@here.test");
	sender_is(&f, "local@here.test", "sue@far.test", "sue@far.test");
	assert_int_equal(expand(&f, "local@here.test", "",
	    RESULT_OK).delivered_to.n, 0);

	x = expand(&f, "X@Here.Test", "sue@far.test", RESULT_OK);
	assert_true(span_is(x.delivered_to, "x@here.test"));
	assert_true(span_starts(x.new_sender, SPAN("SRS0=")));
	assert_true(span_ends(x.new_sender, SPAN("=far.test=sue@here.test")));

	/* A notification finds its way back; mail with a sender does not. */
	srs = arena_cstr(f.arena, x.new_sender);
	back = expand(&f, srs, "", RESULT_OK);
	assert_int_equal(back.account_count, 0);
	assert_int_equal(back.outside_count, 1);
	assert_true(span_is(back.outside[0], "sue@far.test"));
	assert_int_equal(back.new_sender.n, 0);
	assert_true(back.restricted);
	back = expand(&f, srs, "eve@there.test", RESULT_DENIED);
	assert_true(span_starts(back.why, SPAN("5.7.1 ")));
	srs[10] = srs[10] == 'x' ? 'y' : 'x';
	expand(&f, srs, "", RESULT_NOT_FOUND);
	/* Nobody gets such mail by chance. */
	assert_int_equal(add_alias(&f, "@here.test", "ann@here.test"),
	    RESULT_OK);
	expand(&f, srs, "", RESULT_NOT_FOUND);
	leads_to(&f, "whoever@here.test", "ann");

	strcpy(f.settings.forward_srs_domain, "back.test");
	store_set_settings(f.store, &f.settings);
	x = expand(&f, "x@here.test", "sue@far.test", RESULT_OK);
	assert_true(span_ends(x.new_sender, SPAN("=far.test=sue@back.test")));
	leads_to(&f, arena_cstr(f.arena, x.new_sender), "sue@far.test");
	expand(&f, "sue@back.test", "", RESULT_NOT_LOCAL);
	fixture_close(&f);
}

static void
test_srs_ages(void **state)
{
	const walltime_t day = INT64_C(86400000000);
	walltime_t now = clock_wall();
	struct expansion x;
	struct fixture f;
	char *srs;

	(void)state;
	begin(&f);
	assert_int_equal(add_alias(&f, "x@here.test", "eve@there.test"),
	    RESULT_OK);
	x = expand(&f, "x@here.test", "sue@far.test", RESULT_OK);
	srs = arena_cstr(f.arena, x.new_sender);
	leads_to(&f, srs, "sue@far.test");
	clock_test_set(clock_mono(), now + SRS_DAYS * day);
	leads_to(&f, srs, "sue@far.test");
	clock_test_set(clock_mono(), now + (SRS_DAYS + 1) * day);
	expand(&f, srs, "", RESULT_NOT_FOUND);
	clock_test_clear();
	fixture_close(&f);
}

static void
test_loops(void **state)
{
	struct directory *d;
	struct expansion x;
	struct fixture f;

	(void)state;
	begin(&f);
	d = f.store->directory;
	assert_int_equal(add_alias(&f, "x@here.test", "eve@there.test"),
	    RESULT_OK);
	x = expand(&f, "X@here.test", "", RESULT_OK);
	assert_null(directory_loop(d, &x, SPAN("")));
	assert_null(directory_loop(d, &x, SPAN("eve@there.test\n\n")));
	assert_non_null(directory_loop(d, &x,
	    SPAN("eve@there.test\nX@HERE.test\n")));
	assert_non_null(directory_loop(d, &x, SPAN("x@here.test")));
	f.settings.forward_max_hops = 2;
	assert_null(directory_loop(d, &x, SPAN("a@b\n")));
	assert_non_null(directory_loop(d, &x, SPAN("a@b\nc@d\n")));
	/* What stays here goes nowhere again. */
	x = expand(&f, "ann@here.test", "", RESULT_OK);
	assert_null(directory_loop(d, &x, SPAN("a@b\nann@here.test\n")));
	fixture_close(&f);
}

/* -- forwarding ---------------------------------------------------------- */

static void
test_forward(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add_account(&f, "cat@here.test", "secret");
	assert_int_equal(forward(&f, "ann@here.test",
	    "eve@there.test\nbob@here.test", false), RESULT_OK);
	leads_to(&f, "ann+x@here.test", "bob eve@there.test");
	assert_int_equal(forward(&f, "ann@here.test", "eve@there.test",
	    true), RESULT_OK);
	leads_to(&f, "ann@here.test", "ann eve@there.test");
	/* Theirs it stays, and nobody else's. */
	assert_int_equal(directory_owns(f.store->directory, ann,
	    SPAN("ann@here.test"), f.arena), RESULT_OK);
	assert_int_equal(forward(&f, "ann@here.test", "bob@here.test",
	    false), RESULT_OK);
	assert_int_equal(directory_owns(f.store->directory, bob,
	    SPAN("ann@here.test"), f.arena), RESULT_DENIED);
	assert_int_equal(forward(&f, "bob@here.test", "ann@here.test",
	    true), RESULT_CONFLICT);
	assert_int_equal(forward(&f, "bob@here.test", "bob@here.test",
	    true), RESULT_CONFLICT);
	assert_int_equal(forward(&f, "bob@here.test", "nobody@here.test",
	    true), RESULT_NOT_FOUND);
	assert_int_equal(forward(&f, "nobody@here.test", "ann@here.test",
	    true), RESULT_NOT_FOUND);

	/* An alias that reaches an account twice makes no copy of its own. */
	assert_int_equal(add_alias(&f, "one@here.test", "ann@here.test"),
	    RESULT_OK);
	assert_int_equal(add_alias(&f, "two@here.test",
	    "bob@here.test\none@here.test\nann@here.test"), RESULT_OK);
	leads_to(&f, "two@here.test", "bob");

	/* Where nobody is left, the mail stays. */
	assert_int_equal(forward(&f, "ann@here.test", "cat@here.test",
	    false), RESULT_OK);
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("cat@here.test")), RESULT_OK);
	leads_to(&f, "ann@here.test", "ann");
	assert_int_equal(forward(&f, "ann@here.test", "", false), RESULT_OK);
	leads_to(&f, "ann@here.test", "ann");
	fixture_close(&f);
}

/* -- groups -------------------------------------------------------------- */

static void
may(struct fixture *f, const char *address, const char *sender,
    uint64_t account, enum result wanted)
{
	enum result result = directory_may_write(f->store->directory,
	    span_str(address), span_str(sender), account, f->arena);

	if (result != wanted)
		fail_msg("%s (%d) to %s: %s", sender, (int)account, address,
		    result_name(result));
}

static void
test_groups(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(group(&f, "club@here.test", "", GROUP_ANYONE),
	    RESULT_NOT_FOUND);
	assert_int_equal(group(&f, "club@here.test",
	    "ann@here.test\neve@there.test", GROUP_ANYONE), RESULT_OK);
	leads_to(&f, "club@here.test", "ann eve@there.test");
	assert_true(expand(&f, "club@here.test", "", RESULT_OK).is_list);
	assert_false(expand(&f, "club@here.test", "", RESULT_OK).restricted);
	may(&f, "club@here.test", "sue@far.test", 0, RESULT_OK);
	/* Bounces are the list's own affair: postmaster's, or the owner's. */
	sender_is(&f, "club@here.test", "sue@far.test",
	    "postmaster@here.test");
	sender_is(&f, "club@here.test", "", "");
	assert_int_equal(add_alias(&f, "owner-club@here.test",
	    "bob@here.test"), RESULT_OK);
	sender_is(&f, "CLUB+x@here.test", "sue@far.test",
	    "owner-club@here.test");
	/* Not even a member writes as the group. */
	assert_int_equal(directory_owns(f.store->directory, ann,
	    SPAN("club@here.test"), f.arena), RESULT_NOT_FOUND);

	assert_int_equal(group(&f, "club@here.test", "club@here.test",
	    GROUP_ANYONE), RESULT_CONFLICT);
	assert_int_equal(group(&f, "ann@here.test", "bob@here.test",
	    GROUP_ANYONE), RESULT_EXISTS);
	assert_int_equal(group(&f, "x@there.test", "bob@here.test",
	    GROUP_ANYONE), RESULT_NOT_LOCAL);
	assert_int_equal(group(&f, "x@here.test", "bob@here.test",
	    GROUP_WHOS), RESULT_INVALID);
	assert_int_equal(directory_alias_remove(f.store->directory,
	    SPAN("club@here.test")), RESULT_NOT_FOUND);
	assert_int_equal(group(&f, "club@here.test", "", 0), RESULT_OK);
	expand(&f, "club@here.test", "", RESULT_NOT_FOUND);
	fixture_close(&f);
}

static void
test_who_may_write(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(group(&f, "staff@here.test",
	    "ann@here.test\nEve@there.test", GROUP_ACCOUNTS), RESULT_OK);
	assert_true(expand(&f, "staff@here.test", "", RESULT_OK).restricted);
	may(&f, "staff@here.test", "sue@far.test", 0, RESULT_DENIED);
	may(&f, "staff@here.test", "ann@here.test", 0, RESULT_DENIED);
	may(&f, "staff@here.test", "", 0, RESULT_DENIED);
	may(&f, "staff@here.test", "bob@here.test", bob, RESULT_OK);

	assert_int_equal(group(&f, "staff@here.test",
	    "ann@here.test\nEve@there.test", GROUP_MEMBERS), RESULT_OK);
	may(&f, "staff@here.test", "bob@here.test", bob, RESULT_DENIED);
	may(&f, "staff@here.test", "ann@here.test", ann, RESULT_OK);
	may(&f, "staff@here.test", "eve@There.test", 0, RESULT_OK);
	may(&f, "staff@here.test", "sue@far.test", 0, RESULT_DENIED);
	/* Whoever is of ours logs in. */
	may(&f, "staff@here.test", "ann@here.test", 0, RESULT_DENIED);

	/* By an alias the group says the same; in a group, that one decides. */
	assert_int_equal(add_alias(&f, "too@here.test", "staff@here.test"),
	    RESULT_OK);
	may(&f, "too@here.test", "sue@far.test", 0, RESULT_DENIED);
	assert_int_equal(group(&f, "open@here.test",
	    "staff@here.test\nbob@here.test", GROUP_ANYONE), RESULT_OK);
	may(&f, "open@here.test", "sue@far.test", 0, RESULT_OK);
	leads_to(&f, "open@here.test", "ann bob Eve@there.test");
	fixture_close(&f);
}

static void
test_names(void **state)
{
	struct directory *d;
	struct span names;
	struct fixture f;

	(void)state;
	begin(&f);
	d = f.store->directory;
	assert_int_equal(group(&f, "staff@here.test",
	    "ann@here.test\neve@there.test", GROUP_MEMBERS), RESULT_OK);
	assert_int_equal(directory_names(d, SPAN("staff@here.test"), ann,
	    f.arena, &names), RESULT_CONTINUE);
	assert_true(span_is(names, "ann@here.test\neve@there.test"));
	assert_int_equal(directory_names(d, SPAN("staff@here.test"), 0,
	    f.arena, &names), RESULT_DENIED);
	assert_int_equal(names.n, 0);
	assert_int_equal(directory_names(d, SPAN("ann@here.test"), 0,
	    f.arena, &names), RESULT_OK);
	assert_int_equal(directory_names(d, SPAN("no@here.test"), 0,
	    f.arena, &names), RESULT_NOT_FOUND);
	assert_int_equal(directory_names(d, SPAN("no@there.test"), 0,
	    f.arena, &names), RESULT_NOT_LOCAL);
	fixture_close(&f);
}

/* -- masks --------------------------------------------------------------- */

static char *
make_mask(struct fixture *f, const char *account, const char *note,
    enum result wanted)
{
	struct mask_add_request req = { .grant = grant_of(f, account),
	    .note = span_str(note) };
	struct mask_add_reply reply = { 0 };

	verb_mask_add(f->store, &from_access, f->arena, &req, &reply);
	assert_int_equal(reply.result, wanted);
	return arena_cstr(f->arena, reply.address);
}

static enum result
set_mask(struct fixture *f, const char *account, const char *mask, bool on)
{
	struct mask_set_request req = { .grant = grant_of(f, account),
	    .address = span_str(mask), .active = on };
	struct mask_set_reply reply = { 0 };

	verb_mask_set(f->store, &from_access, f->arena, &req, &reply);
	return reply.result;
}

/* How many there are; *row is the one of that address. */
static size_t
list_masks(struct fixture *f, const char *account, const char *mask,
    struct mask_row *row)
{
	struct mask_list_request req = { .grant = grant_of(f, account) };
	struct mask_list_reply reply = { 0 };
	struct mask_row one;
	struct cursor c;
	size_t count = 0;

	verb_mask_list(f->store, &from_access, f->arena, &req, &reply);
	assert_int_equal(reply.result, RESULT_OK);
	c = (struct cursor){ reply.rows.bytes, false };
	while (mask_row_get(&c, &one) == 1) {
		if (span_is(one.address, mask))
			*row = one;
		count++;
	}
	return count;
}

static void
test_masks(void **state)
{
	struct mask_row row = { 0 };
	struct fixture f;
	char *mask, *other;

	(void)state;
	begin(&f);
	mask = make_mask(&f, "ann@here.test", "a shop", RESULT_OK);
	other = make_mask(&f, "ann@here.test", "", RESULT_OK);
	assert_string_not_equal(mask, other);
	assert_int_equal(strlen(mask), 23 + strlen("@here.test"));
	leads_to(&f, mask, "ann");
	assert_true(expand(&f, mask, "", RESULT_OK).is_mask);
	assert_int_equal(directory_owns(f.store->directory, ann,
	    span_str(mask), f.arena), RESULT_OK);
	assert_int_equal(directory_owns(f.store->directory, bob,
	    span_str(mask), f.arena), RESULT_DENIED);

	mask_used(f.store, span_str(mask));
	mask_used(f.store, span_str(mask));
	mask_used(f.store, SPAN("ann@here.test"));
	assert_int_equal(mask_save(f.store), 1);
	mask_used(f.store, span_str(mask));
	assert_int_equal(list_masks(&f, "ann@here.test", mask, &row), 2);
	assert_int_equal(row.messages, 3);
	assert_true(row.last_used > 0 && row.created > 0 && row.active);
	assert_true(span_is(row.note, "a shop"));
	assert_int_equal(list_masks(&f, "bob@here.test", mask, &row), 0);

	/* Only its owner kills it, and nobody else gets it. */
	assert_int_equal(set_mask(&f, "bob@here.test", mask, false),
	    RESULT_NOT_FOUND);
	assert_int_equal(set_mask(&f, "ann@here.test", mask, false),
	    RESULT_OK);
	assert_true(span_starts(expand(&f, mask, "", RESULT_DENIED).why,
	    SPAN("5.1.6 ")));
	assert_int_equal(directory_owns(f.store->directory, ann,
	    span_str(mask), f.arena), RESULT_DENIED);
	assert_int_equal(add_alias(&f, mask, "bob@here.test"),
	    RESULT_EXISTS);
	assert_int_equal(add_alias(&f, "@here.test", "bob@here.test"),
	    RESULT_OK);
	expand(&f, mask, "", RESULT_DENIED);
	/* The operator reaches its owner through it. */
	assert_int_equal(set_mask(&f, mask, mask, true), RESULT_OK);
	leads_to(&f, mask, "ann");
	leads_to(&f, other, "ann");
	fixture_close(&f);
}

static void
test_masks_go_with_their_account(void **state)
{
	struct mask_row row = { 0 };
	struct fixture f;
	char *mask;

	(void)state;
	begin(&f);
	f.settings.limit_masks_per_account = 1;
	mask = make_mask(&f, "ann@here.test", "x", RESULT_OK);
	mask_used(f.store, span_str(mask));
	make_mask(&f, "ann@here.test", "y", RESULT_LIMIT);
	make_mask(&f, "bob@here.test", "z", RESULT_OK);
	assert_int_equal(forward(&f, "ann@here.test", "eve@there.test",
	    false), RESULT_OK);
	leads_to(&f, mask, "eve@there.test");
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("ann@here.test")), RESULT_OK);
	expand(&f, mask, "", RESULT_NOT_FOUND);
	assert_int_equal(list_masks(&f, "bob@here.test", "", &row), 1);
	fixture_close(&f);
}

/* -- check --------------------------------------------------------------- */

/* As if a disk had lost it. */
static void
drop_name(struct fixture *f, const char *address)
{
	const struct partition directory = { PARTITION_DIRECTORY, 0 };
	struct batch *batch = batch_new(directory);
	struct text key = TEXT_INIT(0);
	struct span domain, local;

	domain = span_cut(span_str(address), '@', &local);
	text_printf(&key, "%c%.*s%c%.*s", DIRECTORY_NAME, SPAN_ARG(domain),
	    '\0', SPAN_ARG(local));
	batch_delete(batch, text_span(&key));
	assert_int_equal(engine_commit(f->engine, batch, NULL), 1);
	directory_forget(f->store->directory);
	batch_free(&batch);
	text_free(&key);
}

static void
test_check(void **state)
{
	struct text report = TEXT_INIT(0);
	uint32_t found = 0, repaired = 0;
	struct fixture f;
	char *mask;

	(void)state;
	begin(&f);
	mask = make_mask(&f, "ann@here.test", "x", RESULT_OK);
	assert_int_equal(group(&f, "club@here.test",
	    "bob@here.test\neve@there.test", GROUP_ANYONE), RESULT_OK);
	assert_int_equal(forward(&f, "ann@here.test", "bob@here.test",
	    false), RESULT_OK);
	assert_int_equal(directory_check(f.store->directory, true, &report,
	    &found, &repaired), RESULT_OK);
	assert_int_equal(found, 0);
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("bob@here.test")), RESULT_OK);
	assert_int_equal(directory_check(f.store->directory, false, &report,
	    &found, &repaired), RESULT_OK);
	assert_int_equal(found, 2);
	/* A note without its address is taken away. */
	found = repaired = 0;
	drop_name(&f, mask);
	assert_int_equal(directory_check(f.store->directory, true, &report,
	    &found, &repaired), RESULT_OK);
	assert_int_equal(found, 3);
	assert_int_equal(repaired, 1);
	found = repaired = 0;
	assert_int_equal(directory_check(f.store->directory, true, &report,
	    &found, &repaired), RESULT_OK);
	assert_int_equal(found, 2);
	assert_true(span_find(text_span(&report),
	    SPAN("club@here.test: nobody is at bob@here.test"), 0) !=
	    SIZE_MAX);
	text_free(&report);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_srs_ages),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_who_may_write),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_masks_go_with_their_account),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
