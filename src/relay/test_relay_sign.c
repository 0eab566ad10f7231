/*
 * test_relay_sign.c - whose signature a message gets, with which key, and
 * when none.
 *
 * A signer of this test's answers on the loop; so does a DNS of its own. Time
 * stands still until it is moved.
 */
#include "relay/relay_sign.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "ipc/serve.h"
#include "ipc/wire.h"
#include "mail/header.h"
#include "relay/relay.h"
#include "verify/dkim.h"
#include "verify/resolve.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct settings settings;
static struct server *server;
static struct link *signer;
static struct arena *arena;

/* ---- a signer --------------------------------------------------------- */

/* "DOMAIN SELECTOR", newest first; the key of a selector is "key-SELECTOR". */
static struct key {
	const char *domain, *selector;
	enum dkim_algorithm algorithm;
	bool retired;
} keys[8];
static size_t key_count;
static unsigned asked_keys, asked_signatures;
static enum result sign_result;

static void
answer_keys(void *arg, const struct caller *who, struct arena *a,
    const struct dkim_keys_request *in, struct dkim_keys_reply *out)
{
	struct text rows = TEXT_INIT(0);

	(void)arg;
	(void)who;
	asked_keys++;
	for (size_t i = 0; i < key_count; i++) {
		struct dkim_key_row row = {
			.selector = span_str(keys[i].selector),
			.algorithm = keys[i].algorithm,
			.retired = keys[i].retired,
		};

		if (!span_is(in->domain, keys[i].domain))
			continue;
		row.public_key = arena_printf(a, "key-%s", keys[i].selector);
		dkim_key_row_put(&rows, &row);
	}
	if (rows.n == 0)
		out->result = RESULT_NOT_FOUND;
	else
		out->keys = BLOB_OF(arena_dup(a, text_span(&rows)));
	text_free(&rows);
}

static void
answer_sign(void *arg, const struct caller *who, struct arena *a,
    const struct dkim_sign_request *in, struct dkim_sign_reply *out)
{
	(void)arg;
	(void)who;
	asked_signatures++;
	assert_true(span_find(in->input.bytes, SPAN("dkim-signature:"), 0) !=
	    SIZE_MAX);
	out->result = sign_result;
	out->signature = arena_printf(a, "by %.*s %u",
	    SPAN_ARG(in->selector), asked_signatures);
}

static const struct handlers handlers = {
	.dkim_keys = answer_keys, .dkim_sign = answer_sign };

/* ---- a DNS ------------------------------------------------------------ */

static struct {
	const char *name, *txt;
} zone[8];
static size_t zone_count;
static unsigned asked_dns;
static bool dns_is_dead;

static void
answer_dns(void *arg, struct span name, uint32_t type, struct arena *a,
    struct resolve_reply *out)
{
	struct text rows = TEXT_INIT(0), data = TEXT_INIT(0);

	(void)arg;
	asked_dns++;
	assert_int_equal(type, DNS_TXT);
	out->result = dns_is_dead ? RESULT_TEMPORARY : RESULT_OK;
	out->ttl = 60;
	out->canonical = name;
	for (size_t i = 0; !dns_is_dead && i < zone_count; i++) {
		struct dns_answer row;

		if (!span_is(name, zone[i].name))
			continue;
		text_clear(&data);
		text_char(&data, (char)strlen(zone[i].txt));
		text_str(&data, zone[i].txt);
		row.data = text_span(&data);
		dns_answer_put(&rows, &row);
	}
	out->rcode = rows.n == 0 ? 3 : 0;
	out->answers = BLOB_OF(arena_dup(a, text_span(&rows)));
	text_free(&rows);
	text_free(&data);
}

/* ---- asking ----------------------------------------------------------- */

struct question {
	const struct envelope *e;
	struct span message;
	bool converted;
	struct text head;
	int got;
	bool done;
};

static void
on_fiber(void *arg)
{
	struct question *q = arg;

	q->got = relay_sign(q->e, q->message, q->converted, &q->head);
	q->done = true;
	loop_stop();
}

/* "domain/selector ..." of the signatures; "" none, "later". */
static const char *
sign(const struct envelope *e, const char *message)
{
	struct question q = { .e = e, .message = span_str(message) };
	struct text out = TEXT_INIT(0);
	struct dkim_signature s;
	struct header_field f;
	size_t at = 0;
	char *words;

	assert_int_equal(fiber_start(on_fiber, &q), 1);
	if (!q.done)
		loop_run();
	while (header_next(text_span(&q.head), &at, &f)) {
		assert_int_equal(dkim_parse(f.value, arena, &s), 1);
		text_printf(&out, "%s%.*s/%.*s", out.n > 0 ? " " : "",
		    SPAN_ARG(s.domain), SPAN_ARG(s.selector));
	}
	assert_true((q.got == 1) == (q.head.n > 0));
	words = q.got == -1 ? arena_cstr(arena, SPAN("later")) :
	    arena_cstr(arena, text_span(&out));
	text_free(&q.head);
	text_free(&out);
	return words;
}

static struct envelope
envelope(uint8_t number, const char *sender, uint64_t account,
    uint32_t flags)
{
	struct envelope e = { .sender = span_str(sender), .account = account,
	    .flags = flags };

	e.body.b[0] = number;
	return e;
}

static void
move_time(int64_t seconds)
{
	monotime_t now = clock_mono();

	clock_test_set((monotime_t){ now.ms + seconds * 1000 },
	    clock_wall() + seconds * 1000000);
}

#define FROM(address) "From: <" address ">\r\nTo: x@y.test\r\n\r\nhello\r\n"

/* Two domains of ours, all shown. */
static int
begin(void **state)
{
	(void)state;
	relay_sign_forget();
	settings.dkim_sign = true;
	sign_result = RESULT_OK;
	dns_is_dead = false;
	asked_keys = asked_signatures = asked_dns = 0;
	key_count = zone_count = 0;
	keys[key_count++] = (struct key){ "a.test", "r1", DKIM_RSA_SHA256,
	    false };
	keys[key_count++] = (struct key){ "a.test", "e1", DKIM_ED25519_SHA256,
	    false };
	keys[key_count++] = (struct key){ "b.test", "r1", DKIM_RSA_SHA256,
	    false };
	zone[zone_count].name = "r1._domainkey.a.test";
	zone[zone_count++].txt = "v=DKIM1; k=rsa; p=key-r1";
	zone[zone_count].name = "e1._domainkey.a.test";
	zone[zone_count++].txt = "v=DKIM1; k=ed25519; p=key-e1";
	zone[zone_count].name = "r1._domainkey.b.test";
	zone[zone_count++].txt = "p=key-r1";
	return 0;
}

/* ---- whose ------------------------------------------------------------ */

static const struct {
	const char *about, *sender;
	uint64_t account;
	uint32_t flags;
	const char *message, *want;
} cases[] = {
	{ "an account of ours", "ann@a.test", 1, 0, FROM("ann@a.test"),
	    "a.test/r1 a.test/e1" },
	{ "in other letters", "ann@a.test", 1, 0, FROM("ann@A.TEST"),
	    "a.test/r1 a.test/e1" },
	{ "with another domain of ours", "ann@a.test", 1, 0,
	    FROM("ann@b.test"), "b.test/r1" },
	{ "in somebody else's name", "ann@a.test", 1, 0,
	    FROM("ann@other.test"), "a.test/r1 a.test/e1" },
	{ "without a name", "ann@a.test", 1, 0, "To: x@y\r\n\r\n",
	    "a.test/r1 a.test/e1" },
	{ "a stranger through us", "z@other.test", 0, 0, FROM("z@other.test"),
	    "" },
	{ "a stranger who says he is ours", "z@other.test", 0, 0,
	    FROM("ann@a.test"), "" },
	{ "sent on", "SRS0=x=y=other.test=z@a.test", 0, ENVELOPE_FORWARDED,
	    FROM("z@other.test"), "a.test/r1 a.test/e1" },
	{ "sent on, claims to be ours", "SRS0=x=y=other.test=z@a.test", 0,
	    ENVELOPE_FORWARDED, FROM("ann@a.test"), "" },
	{ "sent on, claims to be below ours", "SRS0=x=y=o.test=z@a.test", 0,
	    ENVELOPE_FORWARDED, FROM("ann@sub.a.test"), "" },
	{ "sent on, claims to be another of ours", "SRS0=x=y=o.test=z@a.test",
	    0, ENVELOPE_FORWARDED, FROM("ann@b.test"), "" },
	{ "sent on, claims it among others", "SRS0=x=y=o.test=z@a.test", 0,
	    ENVELOPE_FORWARDED, "From: z@o.test, ann@a.test\r\n\r\n", "" },
	{ "sent on, claims it a second time", "SRS0=x=y=o.test=z@a.test", 0,
	    ENVELOPE_FORWARDED, "From: z@o.test\r\nFrom: ann@a.test\r\n\r\n",
	    "" },
	{ "sent on, from nobody", "SRS0=x=y=o.test=z@a.test", 0,
	    ENVELOPE_FORWARDED, "To: x@y.test\r\n\r\n", "" },
	{ "a notification sent on", "", 0, ENVELOPE_FORWARDED,
	    FROM("mailer-daemon@other.test"), "" },
	{ "one of our own sent on", "ann@a.test", 1, ENVELOPE_FORWARDED,
	    FROM("ann@a.test"), "a.test/r1 a.test/e1" },
	{ "a notification of ours", "", 0, ENVELOPE_OURS,
	    FROM("MAILER-DAEMON@mail.a.test"), "a.test/r1 a.test/e1" },
	{ "one of a name that is nobody's", "", 0, ENVELOPE_OURS,
	    FROM("MAILER-DAEMON@mail.other.test"), "" },
	{ "a literal", "ann@[192.0.2.1]", 1, 0, FROM("ann@[192.0.2.1]"), "" },
};

static void
whose_signature_it_gets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct envelope e = envelope((uint8_t)i, cases[i].sender,
		    cases[i].account, cases[i].flags);
		const char *got = sign(&e, cases[i].message);

		if (strcmp(got, cases[i].want) != 0)
			print_message("%s: %s\n", cases[i].about, got);
		assert_string_equal(got, cases[i].want);
	}
	settings.dkim_sign = false;
	{
		struct envelope e = envelope(1, "ann@a.test", 1, 0);

		assert_string_equal(sign(&e, FROM("ann@a.test")), "");
	}
}

/* ---- which key -------------------------------------------------------- */

static void
a_new_key_signs_once_the_dns_shows_it(void **state)
{
	struct envelope e = envelope(1, "ann@b.test", 1, 0);

	(void)state;
	keys[3] = keys[2];
	keys[2] = (struct key){ "b.test", "r2", DKIM_RSA_SHA256, false };
	key_count = 4;
	assert_string_equal(sign(&e, FROM("1@b.test")), "b.test/r1");
	/* It is there: known when what is remembered has run out. */
	zone[zone_count].name = "r2._domainkey.b.test";
	zone[zone_count++].txt = "v=DKIM1; p=key-r2";
	assert_string_equal(sign(&e, FROM("12@b.test")), "b.test/r1");
	move_time(61);
	assert_string_equal(sign(&e, FROM("123@b.test")), "b.test/r2");
	keys[3].retired = true;
	move_time(61);
	assert_string_equal(sign(&e, FROM("1234@b.test")), "b.test/r2");
	/* A retired one does not sign, whatever the DNS shows. */
	zone[zone_count - 1].txt = "v=DKIM1; p=";
	move_time(61);
	assert_string_equal(sign(&e, FROM("12345@b.test")), "");
}

static void
a_key_that_the_dns_does_not_show_signs_nothing(void **state)
{
	static const char *const others[] = {
		"v=DKIM1; p=other", "v=DKIM1; p=", ("v=DKIM1; k=ed25519; "
		    "p=key-r1"), "v=DKIM1; s=tlsrpt; p=key-r1", "nonsense",
	};
	struct envelope e = envelope(1, "ann@b.test", 1, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		zone[2].txt = others[i];
		assert_string_equal(sign(&e, FROM("ann@b.test")), "");
		move_time(61);
	}
	assert_int_equal(asked_signatures, 0);
}

/* A DNS that fails takes no signature away that it showed a moment ago, and
 * gives none. */
static void
while_the_dns_fails(void **state)
{
	struct envelope e = envelope(1, "ann@b.test", 1, 0);

	(void)state;
	dns_is_dead = true;
	assert_string_equal(sign(&e, FROM("ann@b.test")), "");
	dns_is_dead = false;
	move_time(61);
	assert_string_equal(sign(&e, FROM("ann@b.test")), "b.test/r1");
	dns_is_dead = true;
	move_time(3600);
	assert_string_equal(sign(&e, FROM("annie@b.test")), "b.test/r1");
	move_time(24 * 3600);
	assert_string_equal(sign(&e, FROM("anna@b.test")), "");
}

static void
nothing_is_asked_twice(void **state)
{
	struct envelope e = envelope(1, "ann@b.test", 1, 0);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_string_equal(sign(&e, FROM("ann@b.test")),
		    "b.test/r1");
	assert_int_equal(asked_keys, 1);
	assert_int_equal(asked_dns, 1);
	assert_int_equal(asked_signatures, 1);
	/* Another message; the same in another form; the same much later. */
	e.body.b[0] = 2;
	assert_string_equal(sign(&e, FROM("ann@b.test")), "b.test/r1");
	assert_int_equal(asked_signatures, 2);
	move_time(301);
	assert_string_equal(sign(&e, FROM("ann@b.test")), "b.test/r1");
	assert_int_equal(asked_signatures, 3);
	for (int i = 0; i < 100; i++) {
		e.body.b[1] = (uint8_t)i;
		assert_string_equal(sign(&e, FROM("ann@b.test")),
		    "b.test/r1");
	}
	assert_int_equal(asked_signatures, 102);
	assert_int_equal(asked_keys, 2);
}

static void
a_signer_that_does_not_sign(void **state)
{
	struct envelope e = envelope(1, "ann@b.test", 1, 0);

	(void)state;
	sign_result = RESULT_TEMPORARY;
	assert_string_equal(sign(&e, FROM("ann@b.test")), "later");
	sign_result = RESULT_NOT_FOUND;
	assert_string_equal(sign(&e, FROM("ann@b.test")), "");
	sign_result = RESULT_OK;
	assert_string_equal(sign(&e, FROM("ann@b.test")), "b.test/r1");
}

/* ---- around ----------------------------------------------------------- */

static const struct settings *
now(void *arg)
{
	(void)arg;
	return &settings;
}

static int
setup(void **state)
{
	struct relay_environment around = { .settings = now };
	int ends[2];

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	settings_default(&settings);
	arena = arena_new(16 << 20);
	clock_test_set((monotime_t){ 1000000 }, 1795273200000000);
	if (loop_open() != 1 || socketpair(AF_UNIX, SOCK_SEQPACKET |
	    SOCK_CLOEXEC, 0, ends) != 0)
		return -1;
	server = server_new(SIGNER, &handlers, NULL);
	if (server_on_loop(server) != 1 ||
	    server_add(server, ends[0], RELAY, 0) != 1)
		return -1;
	signer = link_new(RELAY, SIGNER);
	link_attach(signer, ends[1]);
	relay_setup(&around);
	relay_sign_setup(signer);
	resolve_test(answer_dns, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	clock_test_clear();
	relay_sign_forget();
	link_free(&signer);
	server_stop(server);
	server_free(&server);
	arena_free(&arena);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whose_signature_it_gets),
		TEST(a_new_key_signs_once_the_dns_shows_it),
		TEST(a_key_that_the_dns_does_not_show_signs_nothing),
		TEST(while_the_dns_fails),
		TEST(nothing_is_asked_twice),
		TEST(a_signer_that_does_not_sign),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
