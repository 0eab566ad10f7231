/* test_pop3_command.c - the table of commands, and every way to miss it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pop3/pop3_command.h"

static enum pop3_fault
parse(const char *line, enum pop3_state state, struct pop3_command *c)
{
	return pop3_parse(span_str(line), state, c);
}

static void
commands_belong_to_states(void **state)
{
	struct pop3_command c;

	(void)state;
	assert_int_equal(parse("STAT", POP3_AUTHORIZATION, &c), POP3_NOT_NOW);
	assert_int_equal(parse("USER a", POP3_TRANSACTION, &c), POP3_NOT_NOW);
	assert_int_equal(parse("STLS", POP3_TRANSACTION, &c), POP3_NOT_NOW);
	assert_int_equal(parse("quit", POP3_AUTHORIZATION, &c), POP3_FINE);
	assert_int_equal(parse("QuIt", POP3_TRANSACTION, &c), POP3_FINE);
	assert_int_equal(c.verb, POP3_QUIT);
	assert_int_equal(parse("", POP3_TRANSACTION, &c), POP3_UNKNOWN);
	assert_int_equal(parse("STATUS", POP3_TRANSACTION, &c), POP3_UNKNOWN);
	assert_int_equal(parse(" STAT", POP3_TRANSACTION, &c), POP3_UNKNOWN);
}

static void
numbers(void **state)
{
	struct pop3_command c;

	(void)state;
	assert_int_equal(parse("RETR 17", POP3_TRANSACTION, &c), POP3_FINE);
	assert_true(c.has_number);
	assert_int_equal(c.number, 17);
	assert_int_equal(parse("LIST", POP3_TRANSACTION, &c), POP3_FINE);
	assert_false(c.has_number);
	assert_int_equal(parse("LIST ", POP3_TRANSACTION, &c), POP3_FINE);
	assert_int_equal(parse("RETR", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("RETR 1 2", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("RETR -1", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("RETR 1x", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("RETR 0", POP3_TRANSACTION, &c),
	    POP3_NO_SUCH_MESSAGE);
	assert_int_equal(parse("RETR 4294967296", POP3_TRANSACTION, &c),
	    POP3_NO_SUCH_MESSAGE);
	assert_int_equal(parse("DELE 4294967295", POP3_TRANSACTION, &c),
	    POP3_FINE);
}

static void
top(void **state)
{
	struct pop3_command c;

	(void)state;
	assert_int_equal(parse("TOP 3 10", POP3_TRANSACTION, &c), POP3_FINE);
	assert_int_equal(c.number, 3);
	assert_int_equal(c.lines, 10);
	assert_int_equal(parse("TOP 3 99999999999", POP3_TRANSACTION, &c),
	    POP3_FINE);
	assert_int_equal(c.lines, UINT32_MAX);
	assert_int_equal(parse("TOP 3", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("TOP 3 -1", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("TOP 3 1 1", POP3_TRANSACTION, &c),
	    POP3_BAD_ARGUMENTS);
}

static void
arguments(void **state)
{
	struct pop3_command c;

	(void)state;
	/* RFC 1939 section 7: a password may hold blanks. */
	assert_int_equal(parse("PASS  a b ", POP3_AUTHORIZATION, &c),
	    POP3_FINE);
	assert_true(span_is(c.argument, " a b "));
	assert_int_equal(parse("PASS", POP3_AUTHORIZATION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("AUTH", POP3_AUTHORIZATION, &c), POP3_FINE);
	assert_int_equal(c.argument.n, 0);
	assert_int_equal(parse("AUTH PLAIN =", POP3_AUTHORIZATION, &c),
	    POP3_FINE);
	assert_true(c.has_second);
	assert_true(span_is(c.second, "="));
	assert_int_equal(parse("AUTH PLAIN", POP3_AUTHORIZATION, &c),
	    POP3_FINE);
	assert_false(c.has_second);
	assert_int_equal(parse("AUTH A B C", POP3_AUTHORIZATION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("CAPA x", POP3_AUTHORIZATION, &c),
	    POP3_BAD_ARGUMENTS);
	assert_int_equal(parse("NOOP  ", POP3_TRANSACTION, &c), POP3_FINE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_belong_to_states),
		cmocka_unit_test(numbers),
		cmocka_unit_test(top),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
