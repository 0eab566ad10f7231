/*
 * test_dkim.c - what is hashed, against the examples of the RFCs; what we
 * write, against what we read.
 */
#include "verify/dkim.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "verify/tags.h"

#include <setjmp.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <cmocka.h>

/* RFC 8463 A.1, A.2. */
static const char rsa_pem[] =
"-----BEGIN RSA PRIVATE KEY-----\n"
"MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"
"Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"
"KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"
"AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"
"6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"
"zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"
"6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"
"uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"
"WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"
"WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"
"licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"
"o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"
"uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"
"-----END RSA PRIVATE KEY-----\n";
static const char ed_secret[] = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
static const char ed_record[] = "v=DKIM1; k=ed25519; "
    "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
static const char rsa_record[] = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQ"
    "UAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J"
    "16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4h"
    "stT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

/* RFC 8463 A.3. */
static const char ed_field[] =
"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
" d=football.example.com; i=@football.example.com;\r\n"
" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
" subject : date : message-id : from : subject : date;\r\n"
" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n";
static const char rsa_field[] =
"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
" d=football.example.com; i=@football.example.com;\r\n"
" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
" date : message-id : from : subject : date;\r\n"
" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n";

/* The message of both RFCs. RFC 6376 prints two blanks in the body where its
 * simple hash has one (erratum 3192); relaxed does not mind. */
static const char header[] =
"From: Joe SixPack <joe@football.example.com>\r\n"
"To: Suzie Q <suzie@shopping.example.net>\r\n"
"Subject: Is dinner ready?\r\n"
"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
"\r\n";
static const char body[] =
    "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";

/* RFC 6376 A.2, with the indentation of erratum 4926. */
static const char simple_field[] =
"DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
"      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
"      h=Received : From : To : Subject : Date : Message-ID;\r\n"
"      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
"      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
"        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
"        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
"        4bmp/YzhwvcubU4=;\r\n";
static const char received[] =
"Received: from client1.football.example.com  [192.0.2.1]\r\n"
"      by submitserver.example.com with SUBMISSION;\r\n"
"      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n";
static const char simple_key[] = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQD"
    "wIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5i"
    "jSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9t"
    "f6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";

static struct arena *arena;

/* ---- keys ------------------------------------------------------------- */

static EVP_PKEY *
public_key(enum dkim_algorithm a, const char *base64)
{
	struct text der = TEXT_INIT(4096);
	const unsigned char *p;
	EVP_PKEY *key;

	assert_int_equal(base64_decode(span_str(base64), &der), 1);
	p = (const unsigned char *)der.p;
	key = a == DKIM_RSA_SHA256 ? d2i_PUBKEY(NULL, &p, (long)der.n) :
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p, der.n);
	assert_non_null(key);
	text_free(&der);
	return key;
}

static EVP_PKEY *
private_key(enum dkim_algorithm a)
{
	struct text seed = TEXT_INIT(64);
	BIO *bio = BIO_new_mem_buf(rsa_pem, -1);
	EVP_PKEY *key;

	assert_int_equal(base64_decode(span_str(ed_secret), &seed), 1);
	key = a == DKIM_RSA_SHA256 ?
	    PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) :
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
	    (const unsigned char *)seed.p, seed.n);
	assert_non_null(key);
	BIO_free(bio);
	text_free(&seed);
	return key;
}

/* RFC 8463 3: Ed25519 signs the hash, not the text. */
static struct span
sign(EVP_PKEY *key, enum dkim_algorithm a, struct span input)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	unsigned char hash[32], *out = arena_alloc(arena, 1024);
	size_t n = 1024;

	EVP_Digest(input.p, input.n, hash, NULL, EVP_sha256(), NULL);
	assert_int_equal(EVP_DigestSignInit(m, NULL, a == DKIM_RSA_SHA256 ?
	    EVP_sha256() : NULL, NULL, key), 1);
	assert_int_equal(a == DKIM_RSA_SHA256 ?
	    EVP_DigestSign(m, out, &n, (const unsigned char *)input.p,
	    input.n) : EVP_DigestSign(m, out, &n, hash, 32), 1);
	EVP_MD_CTX_free(m);
	return span_of(out, n);
}

static bool
verifies(EVP_PKEY *key, const struct dkim_signature *s, struct span input)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	unsigned char hash[32];
	bool rsa = s->algorithm == DKIM_RSA_SHA256, good;

	EVP_Digest(input.p, input.n, hash, NULL, EVP_sha256(), NULL);
	assert_int_equal(EVP_DigestVerifyInit(m, NULL, rsa ? EVP_sha256() :
	    NULL, NULL, key), 1);
	good = EVP_DigestVerify(m, (const unsigned char *)s->signature.p,
	    s->signature.n, rsa ? (const unsigned char *)input.p : hash,
	    rsa ? input.n : 32) == 1;
	EVP_MD_CTX_free(m);
	return good;
}

static struct dkim_signature
parse(struct span field)
{
	struct dkim_signature s;
	struct header_field f;
	size_t at = 0;

	assert_true(header_next(field, &at, &f));
	assert_int_equal(dkim_parse(f.value, arena, &s), 1);
	return s;
}

static struct span
input_of(struct span all, struct span field, const struct dkim_signature *s)
{
	struct text t = TEXT_INIT(DKIM_INPUT_MAX);
	struct span out;

	assert_int_equal(dkim_input(all, s->names, field, s->header, arena,
	    &t), 1);
	out = arena_dup(arena, text_span(&t));
	text_free(&t);
	return out;
}

/* ---- the examples of the RFCs ----------------------------------------- */

/* Both verify, and signing again gives the same bytes. */
static void
check_8463(const char *field, const char *record)
{
	struct dkim_signature s = parse(span_str(field));
	struct span input = input_of(span_str(header), span_str(field), &s);
	struct dkim_record r;
	EVP_PKEY *key;
	uint8_t hash[DKIM_HASH];

	assert_int_equal(dkim_record_parse(span_str(record), arena, &r), 1);
	assert_int_equal(r.algorithm, s.algorithm);
	assert_true(r.mail);
	assert_false(r.testing);
	key = public_key(r.algorithm, arena_cstr(arena, r.key));
	assert_true(verifies(key, &s, input));
	EVP_PKEY_free(key);
	key = private_key(s.algorithm);
	assert_true(span_eq(sign(key, s.algorithm, input), s.signature));
	EVP_PKEY_free(key);
	dkim_body_hash(span_str(body), s.body, s.length, hash);
	assert_true(span_eq(s.hash, span_of(hash, sizeof(hash))));
	assert_true(span_is(s.domain, "football.example.com"));
	assert_true(span_is(s.identity, "@football.example.com"));
	assert_int_equal(s.time, 1528637909);
	assert_int_equal(s.expires, -1);
}

static void
the_examples_of_rfc_8463(void **state)
{
	(void)state;
	check_8463(ed_field, ed_record);
	check_8463(rsa_field, rsa_record);
}

static void
the_example_of_rfc_6376(void **state)
{
	struct dkim_signature s = parse(span_str(simple_field));
	struct text all = TEXT_INIT(0);
	EVP_PKEY *key = public_key(DKIM_RSA_SHA256, simple_key);
	uint8_t hash[DKIM_HASH];

	(void)state;
	text_str(&all, received);
	text_str(&all, header);
	assert_int_equal(s.header, DKIM_SIMPLE);
	assert_int_equal(s.body, DKIM_SIMPLE);
	assert_true(verifies(key, &s, input_of(text_span(&all),
	    span_str(simple_field), &s)));
	/* One byte of it, and it is another message's. */
	all.p[all.n - 10] ^= 1;
	assert_false(verifies(key, &s, input_of(text_span(&all),
	    span_str(simple_field), &s)));
	dkim_body_hash(span_str(body), DKIM_SIMPLE, DKIM_WHOLE, hash);
	assert_true(span_eq(s.hash, span_of(hash, sizeof(hash))));
	EVP_PKEY_free(key);
	text_free(&all);
}

/* ---- bodies ----------------------------------------------------------- */

static void
collect(void *arg, struct span s)
{
	text_add(arg, s);
}

static struct span
canonical(struct span in, size_t split, enum dkim_canon canon, uint64_t length)
{
	struct text t = TEXT_INIT(0);
	struct dkim_body b;
	struct span out;

	dkim_body_begin(&b, canon, length, collect, &t);
	dkim_body_add(&b, span_sub(in, 0, split));
	dkim_body_add(&b, span_from(in, split));
	dkim_body_end(&b);
	out = arena_dup(arena, text_span(&t));
	text_free(&t);
	return out;
}

static const struct {
	const char *body, *simple, *relaxed;
} bodies[] = {
	/* 3.4.5 */
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
	{ "", "\r\n", "" },
	{ "\r\n", "\r\n", "" },
	{ "\r\n\r\n\r\n", "\r\n", "" },
	{ " \t\r\n \r\n", " \t\r\n \r\n", "" },
	{ " ", " \r\n", "" },
	{ "a", "a\r\n", "a\r\n" },
	{ "a\r\n", "a\r\n", "a\r\n" },
	{ "a\r\n\r\n", "a\r\n", "a\r\n" },
	{ "a\r\n \r\n", "a\r\n \r\n", "a\r\n" },
	{ "a  b", "a  b\r\n", "a b\r\n" },
	{ "\ta b \r\n", "\ta b \r\n", " a b\r\n" },
	{ "a \t", "a \t\r\n", "a\r\n" },
	{ "\r\n\r\na\r\n\r\nb\r\n\r\n", "\r\n\r\na\r\n\r\nb\r\n",
	    "\r\n\r\na\r\n\r\nb\r\n" },
	/* What is no line end: bytes. */
	{ "a\rb\r\n", "a\rb\r\n", "a\rb\r\n" },
	{ "a\nb\n", "a\nb\n\r\n", "a\nb\n\r\n" },
	{ "a \r b\r", "a \r b\r\r\n", "a \r b\r\r\n" },
	{ "a\r\r\n", "a\r\r\n", "a\r\r\n" },
	{ "\303\244 \303\266\r\n", "\303\244 \303\266\r\n",
	    "\303\244 \303\266\r\n" },
};

static void
bodies_on_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct span in = span_str(bodies[i].body);

		for (size_t at = 0; at <= in.n; at++) {
			assert_true(span_is(canonical(in, at, DKIM_SIMPLE,
			    DKIM_WHOLE), bodies[i].simple));
			assert_true(span_is(canonical(in, at, DKIM_RELAXED,
			    DKIM_WHOLE), bodies[i].relaxed));
		}
		arena_reset(arena);
	}
}

static void
a_length_cuts_the_canonical_body(void **state)
{
	struct span in = SPAN("a  b\r\nc\r\n\r\n");

	(void)state;
	assert_true(span_is(canonical(in, 3, DKIM_RELAXED, 0), ""));
	assert_true(span_is(canonical(in, 3, DKIM_RELAXED, 3), "a b"));
	assert_true(span_is(canonical(in, 3, DKIM_RELAXED, 100),
	    "a b\r\nc\r\n"));
}

/* Longer than what is held back, with ends that are many. */
static void
a_large_body(void **state)
{
	struct text in = TEXT_INIT(0), want = TEXT_INIT(0);

	(void)state;
	for (int i = 0; i < 3000; i++) {
		text_printf(&in, "line  %d \r\n%s", i, i % 7 ? "" : "\r\n");
		text_printf(&want, "line %d\r\n%s", i, i % 7 ? "" : "\r\n");
	}
	for (int i = 0; i < 5000; i++)
		text_str(&in, " \r\n");
	for (size_t at = 0; at <= in.n; at += 997) {
		assert_true(span_eq(canonical(text_span(&in), at,
		    DKIM_RELAXED, DKIM_WHOLE), text_span(&want)));
		arena_reset(arena);
	}
	text_free(&in);
	text_free(&want);
}

/* ---- headers ---------------------------------------------------------- */

static const struct {
	const char *whole, *simple, *relaxed;
} fields[] = {
	/* 3.4.5 */
	{ "A: X\r\n", "A: X\r\n", "a:X\r\n" },
	{ "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n" },
	{ "Subject:\r\n", "Subject:\r\n", "subject:\r\n" },
	{ "Subject: \r\n \r\n", "Subject: \r\n \r\n", "subject:\r\n" },
	{ "SUBJect:a:b", "SUBJect:a:b\r\n", "subject:a:b\r\n" },
	{ "X:\r\n  folded\r\n\t  twice \r\n",
	    "X:\r\n  folded\r\n\t  twice \r\n",
	    "x:folded twice\r\n" },
};

static void
fields_of_a_header(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		text_clear(&t);
		dkim_field(span_str(fields[i].whole), DKIM_SIMPLE, &t);
		assert_true(span_is(text_span(&t), fields[i].simple));
		text_clear(&t);
		dkim_field(span_str(fields[i].whole), DKIM_RELAXED, &t);
		assert_true(span_is(text_span(&t), fields[i].relaxed));
	}
	text_free(&t);
}

/* 5.4.2: the last one first; one that is missing adds nothing; nor does it
 * matter where b= stands. */
static void
fields_are_taken_from_the_end(void **state)
{
	struct text t = TEXT_INIT(0);

	(void)state;
	assert_int_equal(dkim_input(SPAN("To: one\r\nto: two\r\nX: y\r\n"
	    "TO: three\r\n\r\nTo: the body\r\n"), SPAN("To: to :tO:To:z:X"),
	    SPAN("DKIM-Signature: a=b; b = 1 \r\n 2; bh=x\r\n"),
	    DKIM_RELAXED, arena, &t), 1);
	assert_true(span_is(text_span(&t), "to:three\r\nto:two\r\nto:one\r\n"
	    "x:y\r\ndkim-signature:a=b; b =; bh=x"));
	text_clear(&t);
	assert_int_equal(dkim_input(SPAN("To: one\r\n\r\n"), SPAN("To"),
	    SPAN("DKIM-Signature: a=b;\r\n\tb=1\r\n\t2\r\n"),
	    DKIM_SIMPLE, arena, &t), 1);
	assert_true(span_is(text_span(&t),
	    "To: one\r\nDKIM-Signature: a=b;\r\n\tb="));
	text_free(&t);
}

static void
too_much_is_not_signed(void **state)
{
	struct text names = TEXT_INIT(0), out = TEXT_INIT(0);
	struct text small = TEXT_INIT(100);

	(void)state;
	for (int i = 0; i <= DKIM_NAMES_MAX; i++)
		text_str(&names, i == 0 ? "From" : ":From");
	assert_int_equal(dkim_input(span_str(header), text_span(&names),
	    span_str(ed_field), DKIM_RELAXED, arena, &out), 0);
	assert_int_equal(dkim_input(span_str(header), SPAN("From"),
	    span_str(ed_field), DKIM_RELAXED, arena, &small), 0);
	text_clear(&names);
	for (int i = 0; i <= DKIM_FIELDS_MAX; i++)
		text_str(&names, "X: y\r\n");
	assert_int_equal(dkim_input(text_span(&names), SPAN("From"),
	    span_str(ed_field), DKIM_RELAXED, arena, &out), 0);
	assert_int_equal(dkim_input(span_from(text_span(&names), 6),
	    SPAN("From"), span_str(ed_field), DKIM_RELAXED, arena, &out), 1);
	text_free(&names);
	text_free(&out);
	text_free(&small);
}

static void
what_we_choose_to_sign(void **state)
{
	struct text t = TEXT_INIT(0), many = TEXT_INIT(0);

	(void)state;
	dkim_choose(SPAN("Received: x\r\nFROM: a\r\nTo: b\r\nto: c\r\n"
	    "Return-Path: <>\r\nList-Id: l\r\nX-Mine: 1\r\n"
	    "Resent-From: d\r\nDKIM-Signature: v=1\r\n\r\n"), &t);
	assert_true(span_is(text_span(&t), "From:From:To:To:To:Cc:Subject:"
	    "Date:Message-ID:Reply-To:In-Reply-To:References:MIME-Version:"
	    "Content-Type:Content-Transfer-Encoding:List-Id:List-Id:"
	    "Resent-From"));
	/* However many a sender writes, ours stays short. */
	text_clear(&t);
	for (int i = 0; i < 1000; i++)
		text_str(&many, "To: a\r\n");
	dkim_choose(text_span(&many), &t);
	assert_true(t.n < 300);
	text_free(&t);
	text_free(&many);
}

/* ---- written and read ------------------------------------------------- */

static void
no_line_is_long(struct span s)
{
	size_t at = 0, end, column;

	while (at < s.n) {
		end = span_find(s, SPAN("\r\n"), at);
		assert_true(end != SIZE_MAX && end > at);
		assert_true(at == 0 || s.p[at] == '\t');
		column = at == 0 ? end : end - at + 7;
		assert_true(column <= 78);
		at = end + 2;
	}
}

/* With and without its signature the field is hashed alike, and reads as it
 * was meant. */
static void
what_is_written_is_read(void **state)
{
	struct text names = TEXT_INIT(0), t = TEXT_INIT(0);
	uint8_t hash[DKIM_HASH] = { 1, 2, 3 }, signature[512];
	struct dkim_signature s = {
		.algorithm = DKIM_RSA_SHA256, .header = DKIM_RELAXED,
		.body = DKIM_RELAXED, .domain = SPAN("example.org"),
		.selector = SPAN("pr202611a-rsa"),
		.hash = span_of(hash, sizeof(hash)), .time = 1795273200,
		.expires = -1, .length = DKIM_WHOLE,
	}, back;
	struct span bare;

	(void)state;
	memset(signature, 0xa5, sizeof(signature));
	dkim_choose(span_str(header), &names);
	s.names = text_span(&names);
	dkim_write(&s, &t);
	no_line_is_long(text_span(&t));
	bare = input_of(span_str(header), text_span(&t), &s);
	for (size_t n = 1; n <= sizeof(signature); n += 13) {
		s.signature = span_of(signature, n);
		text_clear(&t);
		dkim_write(&s, &t);
		no_line_is_long(text_span(&t));
		back = parse(text_span(&t));
		assert_true(span_eq(back.signature, s.signature));
		assert_true(span_eq(back.hash, s.hash));
		assert_true(span_eq(back.domain, s.domain));
		assert_true(span_eq(back.selector, s.selector));
		assert_true(span_eq(back.names, s.names));
		assert_int_equal(back.time, s.time);
		assert_int_equal(back.header, DKIM_RELAXED);
		assert_int_equal(back.body, DKIM_RELAXED);
		assert_true(span_eq(bare, input_of(span_str(header),
		    text_span(&t), &back)));
	}
	text_free(&names);
	text_free(&t);
}

#define GOOD "v=1; a=rsa-sha256; d=example.org; s=x; h=from; b=; " \
    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
static const char *const bad_signatures[] = {
	"", ";", "v=1", "v=2; a=rsa-sha256; d=example.org; s=x; h=from; b=; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
	GOOD "; v=1", GOOD "; c=relaxed/odd", GOOD "; l=-1", GOOD "; l=x",
	GOOD "; t=1 2", GOOD "; q=dns/other", GOOD "; ;x=y", GOOD "; 1=2",
	GOOD "; nothing",
	"v=1; a=rsa-sha1; d=example.org; s=x; h=from; b=; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
	"v=1; a=rsa-sha256; d=; s=x; h=from; b=; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
	"v=1; a=rsa-sha256; d=example.org; s=.x; h=from; b=; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
	"v=1; a=rsa-sha256; d=example.org; s=x; h=to; b=; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
	"v=1; a=rsa-sha256; d=example.org; s=x; h=from; b=; bh=2jUS",
	"v=1; a=rsa-sha256; d=example.org; s=x; h=from; b=!; "
	    "bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=",
};

static void
bad_signatures_are_refused(void **state)
{
	struct dkim_signature s;

	(void)state;
	assert_int_equal(dkim_parse(SPAN(GOOD), arena, &s), 1);
	assert_int_equal(s.length, DKIM_WHOLE);
	assert_int_equal(s.header, DKIM_SIMPLE);
	assert_int_equal(dkim_parse(SPAN(GOOD "; c=relaxed; l=7; x=9;\r\n "),
	    arena, &s), 1);
	assert_int_equal(s.header, DKIM_RELAXED);
	assert_int_equal(s.body, DKIM_SIMPLE);
	assert_int_equal(s.length, 7);
	assert_int_equal(s.expires, 9);
	for (size_t i = 0; i < ARRAY_LEN(bad_signatures); i++)
		assert_int_equal(dkim_parse(span_str(bad_signatures[i]),
		    arena, &s), 0);
}

static void
key_records(void **state)
{
	static const char *const bad[] = {
		"", "v=DKIM2; p=aa", "p=aa; v=DKIM1", "k=dsa; p=aa", "v=DKIM1",
		"v=spf1 mx -all", "v=DKIM1; p=a; p=b",
	};
	struct text t = TEXT_INIT(0);
	struct dkim_record r;

	(void)state;
	dkim_record_write(DKIM_ED25519_SHA256, SPAN("abcd"), &t);
	assert_true(span_is(text_span(&t), "v=DKIM1; k=ed25519; p=abcd"));
	assert_int_equal(dkim_record_parse(text_span(&t), arena, &r), 1);
	assert_int_equal(r.algorithm, DKIM_ED25519_SHA256);
	assert_true(span_is(r.key, "abcd"));
	assert_int_equal(dkim_record_parse(SPAN("p= ab\r\n cd ;t=s : y;h=sha1;"
	    ), arena, &r), 1);
	assert_true(span_is(r.key, "abcd"));
	assert_true(r.testing);
	assert_false(r.mail);
	assert_int_equal(dkim_record_parse(SPAN("p=; s=tlsrpt:email"), arena,
	    &r), 1);
	assert_true(r.mail);
	assert_int_equal(r.key.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(dkim_record_parse(span_str(bad[i]), arena,
		    &r), 0);
	text_free(&t);
}

static void
selectors(void **state)
{
	(void)state;
	assert_true(dkim_selector_ok(SPAN("pr202611a-rsa")));
	assert_true(dkim_selector_ok(SPAN("mail.2026")));
	assert_false(dkim_selector_ok(SPAN("")));
	assert_false(dkim_selector_ok(SPAN("a..b")));
	assert_false(dkim_selector_ok(SPAN("../x")));
	assert_false(dkim_selector_ok(SPAN("a/b")));
	assert_false(dkim_selector_ok(SPAN("a.")));
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
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
		cmocka_unit_test(the_examples_of_rfc_8463),
		cmocka_unit_test(the_example_of_rfc_6376),
		cmocka_unit_test(bodies_on_every_split),
		cmocka_unit_test(a_length_cuts_the_canonical_body),
		cmocka_unit_test(a_large_body),
		cmocka_unit_test(fields_of_a_header),
		cmocka_unit_test(fields_are_taken_from_the_end),
		cmocka_unit_test(too_much_is_not_signed),
		cmocka_unit_test(what_we_choose_to_sign),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(bad_signatures_are_refused),
		cmocka_unit_test(key_records),
		cmocka_unit_test(selectors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
