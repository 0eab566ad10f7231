/* test_imap_fetch_parse.c - what a FETCH asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imap/imap_fetch.h"

static struct arena *arena;

static struct imap_fetch
parse(const char *text, bool uid)
{
	struct imap_parser p;
	struct imap_fetch f;

	arena_reset(arena);
	p = imap_parser(span_str(text), arena);
	if (!imap_parse_fetch(&p, uid, &f))
		fail_msg("%s: %s", text, p.hint);
	return f;
}

static void
kinds_are(const struct imap_fetch *f, size_t count,
    const enum imap_fetch_kind *kinds)
{
	assert_int_equal(f->count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(f->items[i].kind, kinds[i]);
}

#define KINDS(f, ...) kinds_are(f,					\
	sizeof((enum imap_fetch_kind[]){ __VA_ARGS__ }) /		\
	sizeof(enum imap_fetch_kind),					\
	(enum imap_fetch_kind[]){ __VA_ARGS__ })

static void
test_items(void **state)
{
	struct imap_fetch f = parse(" 1 (uid Flags INTERNALDATE RFC822.SIZE "
	    "MODSEQ EMAILID THREADID SAVEDATE flags)\r\n", false);

	(void)state;
	KINDS(&f, IMAP_FETCH_UID, IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
	    IMAP_FETCH_SIZE, IMAP_FETCH_MODSEQ, IMAP_FETCH_EMAILID,
	    IMAP_FETCH_THREADID, IMAP_FETCH_SAVEDATE);
	assert_true(f.shows_uid && f.shows_flags && f.shows_modseq);
	assert_true(f.needs_details);
	assert_false(f.needs_summary || f.needs_bytes || f.sets_seen);
	f = parse(" 1 BODYSTRUCTURE", false);
	assert_true(f.needs_summary);
	assert_false(f.needs_bytes);
}

static void
test_macros(void **state)
{
	struct imap_fetch f = parse(" 2:4 full\r\n", false);

	(void)state;
	KINDS(&f, IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_SIZE,
	    IMAP_FETCH_ENVELOPE, IMAP_FETCH_BODY);
	f = parse(" 2:4 FAST\r\n", true);
	KINDS(&f, IMAP_FETCH_UID, IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
	    IMAP_FETCH_SIZE);
}

static void
test_binary_and_preview(void **state)
{
	struct imap_fetch f = parse(" 1 (BINARY.PEEK[1.2]<5.10> BINARY.SIZE[] "
	    "PREVIEW (LAZY) UID)", false);

	(void)state;
	KINDS(&f, IMAP_FETCH_BINARY, IMAP_FETCH_BINARY_SIZE,
	    IMAP_FETCH_PREVIEW, IMAP_FETCH_UID);
	assert_int_equal(f.items[0].section.part_count, 2);
	assert_true(f.items[0].section.is_partial && f.items[2].lazy);
	assert_true(f.needs_summary && f.needs_bytes && !f.sets_seen);
	assert_false(f.headers_only);
	f = parse(" 1 BINARY[3]", false);
	assert_true(f.sets_seen);
	f = parse(" 1 PREVIEW (CHANGEDSINCE 5)", false);
	KINDS(&f, IMAP_FETCH_PREVIEW, IMAP_FETCH_MODSEQ);
	assert_true(f.is_conditional && !f.items[0].lazy);
	assert_false(f.needs_bytes);
}

static void
test_sections(void **state)
{
	struct imap_fetch f = parse(" 1 (BODY.PEEK[HEADER.FIELDS (To "
	    "\"Fr\\\"om\" {3}\r\nCc )]<5.10> BODY.PEEK[1.2.MIME])", false);
	const struct imap_section *s = &f.items[0].section;

	(void)state;
	assert_int_equal(f.count, 2);
	assert_false(f.sets_seen);
	assert_int_equal(s->kind, IMAP_SECTION_FIELDS);
	assert_int_equal(s->field_count, 3);
	assert_true(span_is(s->fields[0], "To"));
	assert_true(s->is_partial);
	assert_int_equal(s->origin, 5);
	assert_int_equal(s->octets, 10);
	assert_int_equal(f.items[1].section.part_count, 2);
	assert_true(f.needs_bytes && f.needs_summary);
	assert_false(f.headers_only);
	f = parse(" 1 (BODY.PEEK[HEADER] RFC822.HEADER)", false);
	assert_true(f.headers_only);
	assert_false(f.needs_summary || f.sets_seen);
	assert_string_equal(f.items[1].name, "RFC822.HEADER");
	f = parse(" 1 RFC822", false);
	assert_true(f.sets_seen);
	f = parse(" 1 BODY[]", false);
	assert_true(f.sets_seen);
	assert_false(f.headers_only);
}

static void
test_changed_since(void **state)
{
	struct imap_fetch f = parse(" 1:* (FLAGS) (CHANGEDSINCE 12345)", true);

	(void)state;
	KINDS(&f, IMAP_FETCH_UID, IMAP_FETCH_FLAGS, IMAP_FETCH_MODSEQ);
	assert_true(f.is_conditional);
	assert_int_equal(f.changed_since, 12345);
}

static void
test_wrong(void **state)
{
	static const char *const wrong[] = { "", " 1", " 1 ", " 0 FLAGS",
	    " 1 ()", " 1 (FLAGS", " 1 FLAGS)", " 1 (FLAGS  UID)", " 1 (ALL)",
	    " 1 NOSUCH", " 1 BODY[", " 1 BODY[]<1>", " 1 BODY[]<1.0>",
	    " 1 BODY[]<1.2", " 1 BODY[0]", " 1 BODY[MIME]",
	    " 1 BODY[HEADER.FIELDS ()]", " 1 BODYSTRUCTURE[]",
	    " 1 FLAGS (CHANGEDSINCE)", " 1 FLAGS (VANISHED)",
	    " 1 FLAGS extra", " 1 BODY[HEADER.FIELDS ({9}\r\nx)]" };
	struct imap_parser p;
	struct imap_fetch f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		arena_reset(arena);
		p = imap_parser(span_str(wrong[i]), arena);
		if (imap_parse_fetch(&p, false, &f))
			fail_msg("taken: %s", wrong[i]);
		assert_non_null(p.hint);
	}
}

/* Cut anywhere it is wrong, but never more than that. */
static void
test_every_cut(void **state)
{
	static const char whole[] = " 1:*,7 (BODY.PEEK[1.HEADER.FIELDS.NOT "
	    "({2}\r\nTo \"a\")]<1.2> UID) (CHANGEDSINCE 1)";
	struct imap_fetch f;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		struct imap_parser p;
		char *copy = xmalloc(n + 1);

		arena_reset(arena);
		memcpy(copy, whole, n);
		p = imap_parser(span_of(copy, n), arena);
		/* Without its modifiers it is a whole command as well. */
		assert_int_equal(imap_parse_fetch(&p, false, &f),
		    n == sizeof(whole) - 1 - strlen(" (CHANGEDSINCE 1)"));
		free(copy);
	}
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_macros),
		cmocka_unit_test(test_binary_and_preview),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_changed_since),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_every_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
