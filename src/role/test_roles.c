/* test_roles.c - the table of roles agrees with the contract and itself. */
#include "ipc/codec.h"
#include "role/control.h"
#include "role/identity.h"
#include "role/role.h"
#include "role/sandbox.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
names_find_their_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++) {
		assert_ptr_equal(role_by_name(role_name(roles[i].bit)),
		    &roles[i]);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(roles[i].bit, roles[k].bit);
	}
	assert_null(role_by_name("supervisor"));
	assert_null(role_by_name(""));
	assert_null(role_by_name("?"));
}

/* Design, section 2: calls run one way, and the store calls nobody. */
static void
calls_run_one_way(void **state)
{
	(void)state;
	assert_true(role_calls(MX, STORE));
	assert_true(role_calls(ACCESS, STORE));
	assert_true(role_calls(MX, SIGNER));
	assert_true(role_calls(ACCESS, SIGNER));
	assert_true(role_calls(METRICS, STORE));
	assert_true(role_calls(MX, RESOLVER));
	assert_true(role_calls(RELAY, RESOLVER));
	assert_true(role_calls(ACCESS, INDEX));
	assert_true(role_calls(INDEX, STORE));
	assert_false(role_calls(INDEX, SIGNER));
	assert_false(role_calls(ACCESS, RESOLVER));
	assert_false(role_calls(METRICS, SIGNER));
	for (size_t i = 0; i < role_count; i++) {
		assert_false(role_calls(STORE, roles[i].bit));
		assert_false(role_calls(SIGNER, roles[i].bit));
		for (size_t k = 0; k < role_count; k++)
			if (role_calls(roles[i].bit, roles[k].bit))
				assert_false(role_calls(roles[k].bit,
				    roles[i].bit));
	}
}

/* Whoever is called stops after those who call. */
static void
the_called_stop_last(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++)
		for (size_t k = 0; k < role_count; k++)
			/* But for index, without which searches go on. */
			if (role_calls(roles[i].bit, roles[k].bit) &&
			    roles[k].bit != INDEX) {
				assert_int_equal(roles[i].turn, STOPS_FIRST);
				assert_int_equal(roles[k].turn, STOPS_LAST);
			}
}

static bool
is_told(const struct role *r, enum verb verb)
{
	return (codecs[verb].to & (unsigned)r->bit) != 0;
}

/* control.c insists on a hearer for whatever the contract lets it be told. */
static void
every_note_has_a_hearer(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++) {
		const struct role_events *e = roles[i].events;

		assert_non_null(e->start);
		assert_non_null(e->stop);
		assert_non_null(e->peer);
		if (roles[i].protocols != 0)
			assert_non_null(e->listen);
		assert_int_equal(is_told(&roles[i], VERB_certificate),
		    e->certificate != NULL);
		assert_int_equal(is_told(&roles[i], VERB_private_key),
		    e->private_key != NULL);
		assert_int_equal(is_told(&roles[i], VERB_grant_key),
		    e->grant_key != NULL);
		assert_int_equal(is_told(&roles[i], VERB_trust),
		    e->trust != NULL);
		assert_int_equal(is_told(&roles[i], VERB_routes),
		    e->routes != NULL);
		assert_int_equal(is_told(&roles[i], VERB_dns_setup),
		    e->dns_setup != NULL);
		assert_int_equal(is_told(&roles[i], VERB_trust),
		    e->trust != NULL);
		assert_int_equal(is_told(&roles[i], VERB_routes) &&
		    e->routes == NULL, 0);
	}
}

static void
only_the_signer_gets_keys(void **state)
{
	(void)state;
	assert_int_equal(codecs[VERB_private_key].to, SIGNER);
	assert_int_equal(codecs[VERB_grant_key].to, STORE);
	assert_int_equal(codecs[VERB_private_key].from, SUPERVISOR);
}

static void
every_protocol_has_one_role(void **state)
{
	unsigned all = 0;

	(void)state;
	for (size_t i = 0; i < role_count; i++) {
		assert_int_equal(all & roles[i].protocols, 0);
		all |= roles[i].protocols;
	}
	assert_int_equal(all, (1u << PROTOCOLS) - 1);
}

static void
processes_follow_the_settings(void **state)
{
	struct settings s;
	const struct role *mx = role_by_name("mx");

	(void)state;
	settings_default(&s);
	assert_int_equal(role_processes(mx, &s, 4), 4);
	assert_int_equal(role_processes(mx, &s, 0), 1);
	s.roles_mx = 7;
	assert_int_equal(role_processes(mx, &s, 4), 7);
	assert_int_equal(role_processes(role_by_name("store"), &s, 4), 1);
	assert_string_equal(role_user(mx, &s), "postrider-mx");
	assert_string_equal(role_user(role_by_name("signer"), &s),
	    "postrider-signer");
}

static void
every_role_has_a_sandbox(void **state)
{
	struct text why = TEXT_INIT(200);
	int status;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < role_count; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(sandbox_enter(roles[i].bit, &why) == 1 ? 0 : 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void
roles_have_users_of_their_own(void **state)
{
	struct text why = TEXT_INIT(500);
	struct identity id[16];
	struct settings s;

	(void)state;
	settings_default(&s);
	for (size_t i = 0; i < role_count; i++) {
		assert_int_equal(identity_find(&roles[i], &s, &id[i], &why),
		    1);
		assert_int_equal(id[i].change, geteuid() == 0);
		if (!id[i].change)
			continue;
		assert_int_not_equal(id[i].uid, 0);
		assert_int_not_equal(id[i].gid, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(id[i].uid, id[k].uid);
	}
	if (geteuid() == 0) {
		snprintf(s.user_mx, sizeof(s.user_mx), "root");
		assert_int_equal(identity_find(role_by_name("mx"), &s, &id[0],
		    &why), 0);
		assert_true(span_is(text_span(&why), "the user root is root"));
	}
	text_free(&why);
}

static void
root_is_given_up_for_good(void **state)
{
	struct identity id = { true, false, 64999, 64999 };
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (identity_become(&id) != 1 || getuid() != 64999 ||
		    getegid() != 64999 || getgroups(0, NULL) != 0)
			_exit(1);
		_exit(setuid(0) == -1 && setresuid(0, 0, 0) == -1 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_find_their_rows),
		cmocka_unit_test(calls_run_one_way),
		cmocka_unit_test(the_called_stop_last),
		cmocka_unit_test(every_note_has_a_hearer),
		cmocka_unit_test(only_the_signer_gets_keys),
		cmocka_unit_test(every_protocol_has_one_role),
		cmocka_unit_test(processes_follow_the_settings),
		cmocka_unit_test(every_role_has_a_sandbox),
		cmocka_unit_test(roles_have_users_of_their_own),
		cmocka_unit_test(root_is_given_up_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
