/*
 * test_directory.c - whose address is it, and what may be changed how.
 */
#include "test_store.h"
#include "base/clock.h"
#include "ipc/wire.h"

#include <stdio.h>

static enum result
resolve(struct fixture *f, const char *address, uint64_t *first,
    size_t *count)
{
	uint64_t *accounts;
	enum result result = directory_resolve(f->store->directory,
	    span_str(address), f->arena, &accounts, count);

	*first = *count > 0 ? accounts[0] : 0;
	return result;
}

static void
leads_to(struct fixture *f, const char *address, uint64_t account)
{
	uint64_t first;
	size_t count;

	assert_int_equal(resolve(f, address, &first, &count), RESULT_OK);
	assert_int_equal(count, 1);
	assert_int_equal(first, account);
}

static void
is_refused(struct fixture *f, const char *address, enum result expected)
{
	uint64_t first;
	size_t count;

	assert_int_equal(resolve(f, address, &first, &count), expected);
	assert_int_equal(count, 0);
}

static void
test_names(void **state)
{
	struct fixture f;
	uint64_t ann;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "Example.TEST");
	ann = add_account(&f, "Ann@example.test", "secret");
	for (int again = 0; again < 2; again++) {	/* from the cache too */
		leads_to(&f, "ann@example.test", ann);
		leads_to(&f, "ANN@EXAMPLE.test", ann);
		leads_to(&f, "ann+lists@example.test", ann);
		is_refused(&f, "+lists@example.test", RESULT_NOT_FOUND);
		is_refused(&f, "bob@example.test", RESULT_NOT_FOUND);
		is_refused(&f, "ann@example.org", RESULT_NOT_LOCAL);
		is_refused(&f, "ann", RESULT_INVALID);
		is_refused(&f, "ann@", RESULT_INVALID);
		is_refused(&f, "", RESULT_INVALID);
		is_refused(&f, "a@b@example.test", RESULT_INVALID);
	}
	f.settings.queue_subaddress_separator[0] = '\0';
	store_set_settings(f.store, &f.settings);
	is_refused(&f, "ann+lists@example.test", RESULT_NOT_FOUND);
	fixture_close(&f);
}

static void
test_idn(void **state)
{
	struct fixture f;
	uint64_t ann;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "b\xc3\xbc" "cher.test");
	ann = add_account(&f, "ann@xn--bcher-kva.test", "secret");
	leads_to(&f, "ann@B\xc3\x9c" "CHER.test", ann);
	leads_to(&f, "ann@xn--bcher-kva.test", ann);
	assert_int_equal(directory_domain_add(f.store->directory,
	    SPAN("xn--bcher-kva.test")), RESULT_EXISTS);
	fixture_close(&f);
}

static void
test_aliases(void **state)
{
	struct fixture f;
	uint64_t ann, bob, first;
	size_t count;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	bob = add_account(&f, "bob@example.test", "secret");
	assert_int_equal(add_alias(&f, "all@example.test",
	    "ann@example.test\r\n\nbob@example.test\nann@example.test"),
	    RESULT_OK);
	assert_int_equal(add_alias(&f, "staff@example.test",
	    "all@example.test"), RESULT_OK);
	assert_int_equal(resolve(&f, "staff+x@example.test", &first, &count),
	    RESULT_OK);
	assert_int_equal(count, 2);
	assert_int_equal(first, ann);
	assert_int_equal(directory_owns(f.store->directory, bob,
	    SPAN("staff@example.test"), f.arena), RESULT_OK);
	assert_int_equal(directory_owns(f.store->directory, bob,
	    SPAN("ann@example.test"), f.arena), RESULT_DENIED);

	assert_int_equal(add_alias(&f, "ann@example.test",
	    "bob@example.test"), RESULT_EXISTS);
	assert_int_equal(add_alias(&f, "x@example.test",
	    "nobody@example.test"), RESULT_NOT_FOUND);
	assert_int_equal(add_alias(&f, "x@example.test", "\n\n"),
	    RESULT_INVALID);
	assert_int_equal(add_alias(&f, "x@example.org", "ann@example.test"),
	    RESULT_NOT_LOCAL);

	/* A target that goes is passed over; without any, nobody is there. */
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("ann@example.test")), RESULT_OK);
	leads_to(&f, "staff@example.test", bob);
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("bob@example.test")), RESULT_OK);
	is_refused(&f, "staff@example.test", RESULT_NOT_FOUND);
	assert_int_equal(directory_alias_remove(f.store->directory,
	    SPAN("staff@example.test")), RESULT_OK);
	assert_int_equal(directory_alias_remove(f.store->directory,
	    SPAN("staff@example.test")), RESULT_NOT_FOUND);
	fixture_close(&f);
}

static void
test_loops(void **state)
{
	struct fixture f;
	char name[40], target[40];

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	assert_int_equal(add_alias(&f, "a@example.test", "a@example.test"),
	    RESULT_CONFLICT);
	assert_int_equal(add_alias(&f, "a0@example.test",
	    "ann@example.test"), RESULT_OK);
	for (int i = 1; i < ALIAS_DEPTH_MAX - 1; i++) {
		snprintf(name, sizeof(name), "a%d@example.test", i);
		snprintf(target, sizeof(target), "a%d@example.test", i - 1);
		assert_int_equal(add_alias(&f, name, target), RESULT_OK);
	}
	/* One more would be followed too deep, wherever it stands. */
	assert_int_equal(add_alias(&f, "deep@example.test",
	    "a8@example.test"), RESULT_OK);
	assert_int_equal(add_alias(&f, "deeper@example.test",
	    "deep@example.test"), RESULT_LIMIT);
	/* Round a corner: b -> c, made while c was an account. */
	add_account(&f, "c@example.test", "secret");
	assert_int_equal(add_alias(&f, "b@example.test", "c@example.test"),
	    RESULT_OK);
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("c@example.test")), RESULT_OK);
	assert_int_equal(add_alias(&f, "c@example.test", "b@example.test"),
	    RESULT_CONFLICT);
	/* A catch-all that would feed itself. */
	assert_int_equal(add_alias(&f, "@example.test",
	    "nobody@example.test"), RESULT_CONFLICT);
	fixture_close(&f);
}

static void
test_catch_all_and_postmaster(void **state)
{
	struct fixture f;
	uint64_t ann, bob, eve;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_domain(&f, "other.test");
	is_refused(&f, "postmaster@example.test", RESULT_NOT_FOUND);
	ann = add_account(&f, "ann@example.test", "secret");
	bob = add_account(&f, "bob@example.test", "secret");
	leads_to(&f, "postmaster@example.test", ann);
	leads_to(&f, "Postmaster", ann);
	leads_to(&f, "abuse@example.test", ann);
	leads_to(&f, "postmaster@other.test", ann);
	is_refused(&f, "someone@other.test", RESULT_NOT_FOUND);

	assert_int_equal(add_alias(&f, "@other.test", "bob@example.test"),
	    RESULT_OK);
	leads_to(&f, "someone@other.test", bob);
	leads_to(&f, "postmaster@other.test", bob);
	leads_to(&f, "postmaster@example.test", ann);

	assert_int_equal(add_alias(&f, "postmaster@example.test",
	    "bob@example.test"), RESULT_OK);
	leads_to(&f, "POSTMASTER@example.test", bob);
	leads_to(&f, "postmaster", bob);

	eve = add_account(&f, "eve@other.test", "secret");
	strcpy(f.settings.postmaster, "eve@other.test");
	store_set_settings(f.store, &f.settings);
	leads_to(&f, "postmaster@other.test", eve);
	leads_to(&f, "postmaster@example.test", bob);

	/* Whose postmaster is their own setting: no endless turn. */
	strcpy(f.settings.postmaster, "postmaster@other.test");
	store_set_settings(f.store, &f.settings);
	leads_to(&f, "postmaster@other.test", bob);
	fixture_close(&f);
}

static void
test_first_account_goes(void **state)
{
	struct fixture f;
	uint64_t bob;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_account(&f, "zoe@example.test", "secret");
	bob = add_account(&f, "bob@example.test", "secret");
	add_account(&f, "ann@example.test", "secret");
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("zoe@example.test")), RESULT_OK);
	leads_to(&f, "postmaster@example.test", bob);
	fixture_close(&f);
}

static void
test_domains(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	assert_int_equal(directory_domain_add(f.store->directory,
	    SPAN("[192.0.2.1]")), RESULT_INVALID);
	assert_int_equal(directory_domain_add(f.store->directory,
	    SPAN("a b")), RESULT_INVALID);
	add_account(&f, "ann@example.test", "secret");
	assert_int_equal(directory_domain_remove(f.store->directory,
	    SPAN("example.test")), RESULT_CONFLICT);
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("ann@example.test")), RESULT_OK);
	assert_int_equal(directory_domain_remove(f.store->directory,
	    SPAN("example.test")), RESULT_OK);
	assert_int_equal(directory_domain_remove(f.store->directory,
	    SPAN("example.test")), RESULT_NOT_FOUND);
	fixture_close(&f);
}

static size_t
list(struct fixture *f, uint32_t kind, const char *domain, size_t room,
    char names[][64])
{
	struct text rows = TEXT_INIT(1 << 20);
	struct directory_row row;
	struct cursor c;
	char after[64] = "";
	size_t n = 0;
	bool more = true;

	while (more) {
		text_clear(&rows);
		assert_int_equal(directory_rows(f->store->directory, kind,
		    span_str(domain), span_str(after), &rows, room, &more),
		    RESULT_OK);
		c = (struct cursor){ text_span(&rows), false };
		while (directory_row_get(&c, &row) == 1) {
			snprintf(names[n], 64, "%.*s", SPAN_ARG(row.name));
			strcpy(after, names[n++]);
		}
	}
	text_free(&rows);
	return n;
}

static void
test_list(void **state)
{
	struct fixture f;
	char names[16][64];

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "b.test");
	add_domain(&f, "a.test");
	add_account(&f, "Ann@b.test", "secret");
	add_account(&f, "zoe@a.test", "secret");
	add_account(&f, "bob@b.test", "secret");
	assert_int_equal(add_alias(&f, "@b.test", "bob@b.test"), RESULT_OK);
	assert_int_equal(add_alias(&f, "x@b.test", "bob@b.test"), RESULT_OK);
	for (size_t room = 140; room < 1000; room += 400) {
		assert_int_equal(list(&f, DIRECTORY_DOMAINS, "", room,
		    names), 2);
		assert_string_equal(names[0], "a.test");
		assert_int_equal(list(&f, DIRECTORY_ACCOUNTS, "", room,
		    names), 3);
		assert_string_equal(names[0], "zoe@a.test");
		assert_string_equal(names[1], "Ann@b.test");
		assert_int_equal(list(&f, DIRECTORY_ACCOUNTS, "b.test", room,
		    names), 2);
		assert_int_equal(list(&f, DIRECTORY_ALIASES, "b.test", room,
		    names), 2);
		assert_string_equal(names[0], "@b.test");
		assert_string_equal(names[1], "x@b.test");
	}
	fixture_close(&f);
}

static void
test_survives(void **state)
{
	struct fixture f;
	uint64_t ann, bob;

	(void)state;
	fixture_open(&f, true);
	add_domain(&f, "example.test");
	ann = add_account(&f, "ann@example.test", "secret");
	fixture_reopen(&f);
	leads_to(&f, "ann@example.test", ann);
	bob = add_account(&f, "bob@example.test", "secret");
	assert_true(bob > ann);
	fixture_close(&f);
}

static void
test_grants(void **state)
{
	struct fixture f;
	struct grant grant, forged;
	struct holder holder;

	(void)state;
	fixture_open(&f, false);
	add_domain(&f, "example.test");
	add_account(&f, "ann@example.test", "secret");
	grant = grant_of(&f, "ann@example.test");
	fixture_reopen(&f);
	assert_int_equal(grant_check(f.store, &grant, &holder), 1);
	assert_true(holder.operator_acts);
	for (size_t i = 0; i < sizeof(grant.b); i++) {
		forged = grant;
		forged.b[i] ^= 1;
		assert_int_equal(grant_check(f.store, &forged, &holder), 0);
	}
	memset(&forged, 0, sizeof(forged));
	assert_int_equal(grant_check(f.store, &forged, &holder), 0);

	assert_int_equal(directory_account_password(f.store->directory,
	    SPAN("ann@example.test"), SPAN("x")), RESULT_OK);
	assert_int_equal(grant_check(f.store, &grant, &holder), 0);
	grant = grant_of(&f, "ann@example.test");
	assert_int_equal(grant_check(f.store, &grant, &holder), 1);
	clock_test_set((monotime_t){ 0 },
	    clock_wall() + INT64_C(31) * 86400 * 1000000);
	assert_int_equal(grant_check(f.store, &grant, &holder), 0);
	clock_test_clear();
	assert_int_equal(directory_account_remove(f.store->directory,
	    SPAN("ann@example.test")), RESULT_OK);
	assert_int_equal(grant_check(f.store, &grant, &holder), 0);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_idn),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_catch_all_and_postmaster),
		cmocka_unit_test(test_first_account_goes),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_survives),
		cmocka_unit_test(test_grants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
