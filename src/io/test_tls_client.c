/*
 * test_tls_client.c - whom a client believes: names, authorities, TLSA
 * records, sessions. Both sides are ours, each on a fiber; certificates of
 * every kind are made here.
 */
#include "io/tls.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "io/fiber.h"
#include "io/loop.h"
#include "io/stream.h"

enum { DAY = 86400 };

/* -- certificates ---- */

struct identity {
	EVP_PKEY *key;
	X509 *cert;
	struct tls_key *signer;
	struct tls_server *tls;
	int signatures;
};

struct wanted {
	const char *common;		/* subject's CN */
	const char *names;		/* subjectAltName; NULL none */
	int from, to;			/* days from now; 0 0: good */
	bool ca, sends_issuer;
};

static struct identity authority, stranger;

static int
sign(void *arg, const uint8_t id[32], enum tls_signature signature,
    struct span message, uint8_t *out, size_t *n, size_t room)
{
	struct identity *i = arg;

	(void)id;
	i->signatures++;
	return tls_key_sign(i->signer, signature, message, out, n, room);
}

static void
extend(X509 *cert, int what, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &context, what, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void
pem_add(struct text *out, X509 *cert, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (cert != NULL)
		PEM_write_bio_X509(bio, cert);
	if (key != NULL)
		PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(bio, &p);
	text_add(out, span_of(p, (size_t)n));
	BIO_free(bio);
}

static void
make_server(struct identity *id, const struct identity *issuer)
{
	struct text pem = TEXT_INIT(0), chain = TEXT_INIT(0);
	struct text why = TEXT_INIT(0);
	struct tls_options o = { .min_version = "1.2", .sign = sign,
	    .sign_arg = id };

	pem_add(&pem, NULL, id->key);
	pem_add(&chain, id->cert, NULL);
	if (issuer != NULL)
		pem_add(&chain, issuer->cert, NULL);
	o.chain_pem = text_span(&chain);
	id->signer = tls_key_new(text_span(&pem), &why);
	id->tls = tls_server_new(&o, &why);
	if (id->signer == NULL || id->tls == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	text_free(&chain);
	text_wipe(&pem);
}

static void
make(struct identity *id, const struct identity *issuer,
    const struct wanted *w)
{
	static int serial;
	X509 *cert = X509_new();

	*id = (struct identity){ .cert = cert };
	id->key = EVP_EC_gen("P-256");
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), w->to != 0
	    ? w->from * DAY : -DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), w->to != 0
	    ? w->to * DAY : DAY);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
	    MBSTRING_ASC, (const unsigned char *)w->common, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL
	    ? issuer->cert : cert));
	X509_set_pubkey(cert, id->key);
	extend(cert, NID_basic_constraints, w->ca ? "critical,CA:TRUE"
	    : "CA:FALSE");
	if (w->names != NULL)
		extend(cert, NID_subject_alt_name, w->names);
	assert_true(X509_sign(cert, issuer != NULL ? issuer->key : id->key,
	    EVP_sha256()) > 0);
	make_server(id, w->sends_issuer ? issuer : NULL);
}

static void
unmake(struct identity *id)
{
	tls_server_free(&id->tls);
	tls_key_free(&id->signer);
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
}

static struct tls_client *
client_of(const struct identity *trusted, size_t sessions)
{
	struct text pem = TEXT_INIT(0), why = TEXT_INIT(0);
	struct tls_client_options o = { .max_sessions = sessions };
	struct tls_client *t;

	if (trusted != NULL)
		pem_add(&pem, trusted->cert, NULL);
	o.authorities_pem = text_span(&pem);
	t = tls_client_make(&o, &why);
	assert_non_null(t);
	text_free(&pem);
	return t;
}

/* -- a handshake ---- */

struct meeting {
	struct stream *server, *client;
	struct tls_server *tls;
	struct tls_client *from;
	const struct tls_peer *peer;
	int status;
	bool served, visited;
	char failure[40], info[160];
};

static void
serve(void *arg)
{
	struct meeting *m = arg;

	if (stream_start_tls(m->server, m->tls, MONOTIME_NEVER) == 1) {
		stream_str(m->server, "hello\r\n");
		stream_flush(m->server);
		stream_fill(m->server, MONOTIME_NEVER);
	}
	stream_free(&m->server);
	m->served = true;
}

static void
visit(void *arg)
{
	struct meeting *m = arg;
	struct span line;

	m->status = stream_start_tls_client(m->client, m->from, m->peer,
	    MONOTIME_NEVER);
	snprintf(m->failure, sizeof(m->failure), "%s",
	    stream_tls_failure(m->client));
	snprintf(m->info, sizeof(m->info), "%.*s",
	    SPAN_ARG(stream_tls_info(m->client)));
	/* Tickets come with the first bytes. */
	if (m->status == 1)
		assert_int_equal(stream_line(m->client, &line, 100,
		    MONOTIME_NEVER), 1);
	stream_free(&m->client);
	m->visited = true;
}

static struct meeting last;

/* 1 or -1; last.failure has the word. */
static int
meet(const struct identity *id, struct tls_client *from,
    const struct tls_peer *peer)
{
	int pair[2];

	last = (struct meeting){ .tls = id->tls, .from = from, .peer = peer };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	last.server = stream_socket(pair[0]);
	last.client = stream_socket(pair[1]);
	fiber_start(serve, &last);
	fiber_start(visit, &last);
	for (int i = 0; i < 1000 && !(last.served && last.visited); i++)
		loop_turn(1000);
	assert_true(last.served && last.visited);
	assert_true(last.info[0] != '\0' || last.status == -1);
	return last.status;
}

/* -- authorities and names ---- */

#define MAIL "DNS:mail.example.test"

static const struct {
	struct wanted wanted;
	bool self_signed, unknown;	/* the issuer */
	const char *failure;
} certificates[] = {
	{ { .common = "x", .names = MAIL }, false, false, "" },
	{ { .common = "x", .names = "DNS:a.test," MAIL }, false, false, "" },
	{ { .common = "x", .names = "DNS:*.example.test" }, false, false,
	    "" },
	{ { .common = "x", .names = "DNS:MAIL.Example.TEST" }, false, false,
	    "" },
	{ { .common = "x", .names = MAIL, .from = -9, .to = -1 }, false,
	    false, "certificate-expired" },
	{ { .common = "x", .names = MAIL, .from = 1, .to = 9 }, false, false,
	    "validation-failure" },
	{ { .common = "x", .names = MAIL }, true, false,
	    "certificate-not-trusted" },
	{ { .common = "x", .names = MAIL }, false, true,
	    "certificate-not-trusted" },
	{ { .common = "x", .names = MAIL, .sends_issuer = true }, false, true,
	    "certificate-not-trusted" },
	{ { .common = "x", .names = "DNS:other.test" }, false, false,
	    "certificate-host-mismatch" },
	{ { .common = "x", .names = "DNS:*.mail.example.test" }, false, false,
	    "certificate-host-mismatch" },
	{ { .common = "x", .names = "DNS:m*.example.test" }, false, false,
	    "certificate-host-mismatch" },
	{ { .common = "x", .names = "DNS:*.test" }, false, false,
	    "certificate-host-mismatch" },
	{ { .common = "mail.example.test" }, false, false,
	    "certificate-host-mismatch" },
	{ { .common = "x", .names = "IP:192.0.2.1" }, false, false,
	    "certificate-host-mismatch" },
};

/* Each is checked, checked and tolerated, and not looked at. */
static void
certificates_of_every_kind(void **state)
{
	struct tls_client *client = client_of(&authority, 0);
	struct tls_peer peer = { .name = "mail.example.test" };
	const char *word;
	struct identity id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(certificates); i++) {
		make(&id, certificates[i].self_signed ? NULL
		    : certificates[i].unknown ? &stranger : &authority,
		    &certificates[i].wanted);
		word = certificates[i].failure;
		peer.check = TLS_CHECK_NAME;
		assert_int_equal(meet(&id, client, &peer),
		    *word == '\0' ? 1 : -1);
		assert_string_equal(last.failure, word);
		peer.tolerate = true;
		assert_int_equal(meet(&id, client, &peer), 1);
		assert_string_equal(last.failure, word);
		peer.tolerate = false;
		peer.check = TLS_CHECK_NONE;
		assert_int_equal(meet(&id, client, &peer), 1);
		assert_string_equal(last.failure, "");
		unmake(&id);
	}
	tls_client_free(&client);
}

/* To OpenSSL "" means all names, and ".x" all below x. */
static void
no_name_is_no_match(void **state)
{
	static const char *const none[] = { "" }, *const below[] = {
	    ".example.test" }, *const second[] = { "a.test", "" };
	struct tls_client *client = client_of(&authority, 0);
	struct tls_peer peers[] = {
		{ .check = TLS_CHECK_NAME },
		{ .check = TLS_CHECK_NAME, .name = "" },
		{ .check = TLS_CHECK_NAME, .name = "mail.example.test",
		    .names = none, .name_count = 1 },
		{ .check = TLS_CHECK_NAME, .name = "mail.example.test",
		    .names = below, .name_count = 1 },
		{ .check = TLS_CHECK_NAME, .name = "mail.example.test",
		    .names = second, .name_count = 2 },
	};
	struct identity id;

	(void)state;
	make(&id, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL });
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		assert_int_equal(meet(&id, client, &peers[i]), -1);
		assert_true(last.failure[0] != '\0');
	}
	unmake(&id);
	tls_client_free(&client);
}

static void
nobody_is_trusted_without_authorities(void **state)
{
	struct tls_client *client = client_of(NULL, 0);
	struct tls_client_options o = { .authorities_pem = SPAN("nonsense") };
	struct tls_peer peer = { .check = TLS_CHECK_NAME,
	    .name = "mail.example.test" };
	struct text why = TEXT_INIT(0);
	struct identity id;

	(void)state;
	make(&id, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL });
	assert_int_equal(meet(&id, client, &peer), -1);
	assert_string_equal(last.failure, "certificate-not-trusted");
	unmake(&id);
	tls_client_free(&client);
	assert_null(tls_client_make(&o, &why));
	assert_true(why.n > 0);
	text_free(&why);
}

/* -- TLSA records ---- */

struct made_record {
	struct tls_record record;
	unsigned char *data;
};

static struct made_record
record_of(const struct identity *id, uint8_t usage, uint8_t selector,
    uint8_t matching)
{
	struct made_record r = { .record = { .usage = usage,
	    .selector = selector, .matching = matching } };
	unsigned char *der = NULL;
	unsigned n;
	int size = selector == 0 ? i2d_X509(id->cert, &der)
	    : i2d_PUBKEY(id->key, &der);

	assert_true(size > 0);
	r.data = OPENSSL_malloc((size_t)size + 64);
	n = (unsigned)size;
	if (matching == 0)
		memcpy(r.data, der, n);
	else
		EVP_Digest(der, (size_t)size, r.data, &n, matching == 1
		    ? EVP_sha256() : EVP_sha512(), NULL);
	r.record.data = span_of(r.data, n);
	OPENSSL_free(der);
	return r;
}

static int
meet_record(const struct identity *id, struct tls_client *client,
    const struct tls_record *records, size_t count)
{
	struct tls_peer peer = { .check = TLS_CHECK_DANE,
	    .name = "mail.example.test", .records = records,
	    .record_count = count };

	return meet(id, client, &peer);
}

/* DANE-EE: the key alone counts, whatever else the certificate says. */
static void
dane_end_entity(void **state)
{
	struct tls_client *client = client_of(NULL, 0);
	struct made_record r;
	struct identity id, other;

	(void)state;
	make(&id, NULL, &(struct wanted){ .common = "x",
	    .names = "DNS:other.test", .from = -9, .to = -1 });
	make(&other, NULL, &(struct wanted){ .common = "x", .names = MAIL });
	for (uint8_t i = 0; i < 6; i++) {
		r = record_of(&id, 3, i / 3, i % 3);
		assert_true(tls_record_usable(&r.record));
		assert_int_equal(meet_record(&id, client, &r.record, 1), 1);
		assert_string_equal(last.failure, "");
		assert_int_equal(meet_record(&other, client, &r.record, 1),
		    -1);
		assert_string_equal(last.failure, "tlsa-invalid");
		OPENSSL_free(r.data);
	}
	unmake(&id);
	unmake(&other);
	tls_client_free(&client);
}

/* DANE-TA: a chain up to it, dates and names count. */
static void
dane_trust_anchor(void **state)
{
	static const char *const next_hop[] = { "example.test" };
	struct tls_client *client = client_of(NULL, 0);
	struct identity good, elsewhere, old, domain;
	struct made_record r;
	struct tls_peer peer;

	(void)state;
	make(&good, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL, .sends_issuer = true });
	make(&elsewhere, &authority, &(struct wanted){ .common = "x",
	    .names = "DNS:other.test", .sends_issuer = true });
	make(&old, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL, .sends_issuer = true, .from = -9, .to = -1 });
	make(&domain, &authority, &(struct wanted){ .common = "x",
	    .names = "DNS:example.test", .sends_issuer = true });
	for (uint8_t i = 0; i < 6; i++) {
		r = record_of(&authority, 2, i / 3, i % 3);
		assert_int_equal(meet_record(&good, client, &r.record, 1), 1);
		assert_int_equal(meet_record(&elsewhere, client, &r.record,
		    1), -1);
		assert_string_equal(last.failure,
		    "certificate-host-mismatch");
		assert_int_equal(meet_record(&old, client, &r.record, 1), -1);
		assert_string_equal(last.failure, "certificate-expired");
		/* RFC 7672 3.2.3: the next hop's name is good too. */
		peer = (struct tls_peer){ .check = TLS_CHECK_DANE,
		    .name = "mail.example.test", .records = &r.record,
		    .record_count = 1 };
		assert_int_equal(meet(&domain, client, &peer), -1);
		peer.names = next_hop;
		peer.name_count = 1;
		assert_int_equal(meet(&domain, client, &peer), 1);
		OPENSSL_free(r.data);
	}
	r = record_of(&stranger, 2, 0, 1);
	assert_int_equal(meet_record(&good, client, &r.record, 1), -1);
	OPENSSL_free(r.data);
	unmake(&good);
	unmake(&elsewhere);
	unmake(&old);
	unmake(&domain);
	tls_client_free(&client);
}

/* Records that are of no use do no harm, and no good. */
static void
dane_unusable_records(void **state)
{
	struct tls_client *client = client_of(&authority, 0);
	struct made_record good, pkix;
	struct tls_record several[3];
	struct identity id;

	(void)state;
	make(&id, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL });
	good = record_of(&id, 3, 1, 1);
	pkix = record_of(&id, 1, 1, 1);
	assert_false(tls_record_usable(&pkix.record));
	assert_int_equal(meet_record(&id, client, &pkix.record, 1), -1);
	assert_string_equal(last.failure, "tlsa-invalid");
	assert_int_equal(meet_record(&id, client, NULL, 0), -1);
	several[0] = pkix.record;
	several[1] = (struct tls_record){ 3, 1, 1, SPAN("short") };
	several[2] = good.record;
	assert_int_equal(meet_record(&id, client, several, 2), -1);
	assert_int_equal(meet_record(&id, client, several, 3), 1);
	OPENSSL_free(good.data);
	OPENSSL_free(pkix.data);
	unmake(&id);
	tls_client_free(&client);
}

static void
records_that_are_usable(void **state)
{
	char bytes[65] = { 0 };
	const struct {
		uint8_t usage, selector, matching;
		size_t n;
		bool usable;
	} rows[] = {
		{ 3, 1, 1, 32, true }, { 2, 0, 2, 64, true },
		{ 0, 1, 1, 32, false }, { 1, 1, 1, 32, false },
		{ 4, 1, 1, 32, false }, { 255, 1, 1, 32, false },
		{ 3, 2, 1, 32, false }, { 3, 1, 3, 32, false },
		{ 3, 1, 1, 31, false }, { 3, 1, 1, 33, false },
		{ 3, 1, 2, 32, false }, { 3, 1, 1, 0, false },
		{ 3, 0, 0, 10, false }, { 3, 1, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(tls_record_usable(&(struct tls_record){
		    rows[i].usage, rows[i].selector, rows[i].matching,
		    span_of(bytes, rows[i].n) }), rows[i].usable);
}

/* -- sessions ---- */

/* Was there a full handshake? */
static bool
in_full(struct identity *id, struct tls_client *client,
    const struct tls_peer *peer)
{
	int before = id->signatures;

	assert_int_equal(meet(id, client, peer), 1);
	return id->signatures > before;
}

static void
sessions_are_resumed(void **state)
{
	struct tls_client *client = client_of(&authority, 8);
	struct tls_peer any = { .name = "mail.example.test",
	    .session_key = "k" };
	struct tls_peer checked = any, other_key = any, no_key = any;
	struct identity id;

	(void)state;
	checked.check = TLS_CHECK_NAME;
	other_key.session_key = "l";
	no_key.session_key = NULL;
	make(&id, &authority, &(struct wanted){ .common = "x",
	    .names = MAIL });
	assert_true(in_full(&id, client, &any));
	assert_false(in_full(&id, client, &any));
	assert_false(in_full(&id, client, &any));
	assert_true(in_full(&id, client, &other_key));
	assert_true(in_full(&id, client, &no_key));
	assert_true(in_full(&id, client, &no_key));
	/* What nobody checked is of no use to one who does. */
	assert_true(in_full(&id, client, &checked));
	assert_false(in_full(&id, client, &checked));
	assert_false(in_full(&id, client, &any));
	checked.tolerate = true;
	assert_true(in_full(&id, client, &checked));
	assert_int_equal(tls_client_sessions(client), 4);
	unmake(&id);
	tls_client_free(&client);
}

/* A session made under one set of records is none under another. */
static void
sessions_of_dane(void **state)
{
	struct tls_client *client = client_of(NULL, 8);
	struct tls_peer peer = { .check = TLS_CHECK_DANE, .session_key = "k",
	    .name = "mail.example.test", .record_count = 1 };
	struct made_record one, two, wrong;
	struct identity id;

	(void)state;
	make(&id, NULL, &(struct wanted){ .common = "x", .names = MAIL });
	one = record_of(&id, 3, 1, 1);
	two = record_of(&id, 3, 1, 2);
	wrong = record_of(&stranger, 3, 1, 1);
	peer.records = &one.record;
	assert_true(in_full(&id, client, &peer));
	assert_false(in_full(&id, client, &peer));
	peer.records = &two.record;
	assert_true(in_full(&id, client, &peer));
	peer.records = &wrong.record;
	assert_int_equal(meet(&id, client, &peer), -1);
	OPENSSL_free(one.data);
	OPENSSL_free(two.data);
	OPENSSL_free(wrong.data);
	unmake(&id);
	tls_client_free(&client);
}

static void
the_oldest_session_goes(void **state)
{
	struct tls_client *client = client_of(NULL, 3);
	struct tls_peer peer = { .name = "mail.example.test" };
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct identity id;

	(void)state;
	make(&id, NULL, &(struct wanted){ .common = "x", .names = MAIL });
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		peer.session_key = keys[i];
		assert_true(in_full(&id, client, &peer));
	}
	assert_int_equal(tls_client_sessions(client), 3);
	assert_false(in_full(&id, client, &peer));
	peer.session_key = "a";
	assert_true(in_full(&id, client, &peer));
	unmake(&id);
	tls_client_free(&client);
}

/* -- servers that fail late ---- */

struct rude {
	struct stream *stream;
	const char *says;		/* after the client's hello */
};

static void
rude_main(void *arg)
{
	struct rude *r = arg;

	if (stream_fill(r->stream, MONOTIME_NEVER) == 1 && r->says != NULL)
		stream_write(r->stream, span_of(r->says, 7));
	stream_flush(r->stream);
	stream_free(&r->stream);
}

static void
handshakes_that_break(void **state)
{
	static const char *const says[] = {
		NULL, "\x15\x03\x03\x00\x02\x02\x28", "220 hi\n",
		"\x16\x03\x03\x40\x00\x02\x00",
	};
	struct tls_client *client = client_of(NULL, 0);
	struct tls_peer peer = { .name = "mail.example.test" };
	int pair[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		struct rude r = { .says = says[i] };

		last = (struct meeting){ .from = client, .peer = &peer };
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		r.stream = stream_socket(pair[0]);
		last.client = stream_socket(pair[1]);
		fiber_start(rude_main, &r);
		fiber_start(visit, &last);
		for (int n = 0; n < 1000 && !last.visited; n++)
			loop_turn(1000);
		assert_int_equal(last.status, -1);
		assert_string_equal(last.failure, "validation-failure");
		assert_true(last.info[0] != '\0');
		assert_null(r.stream);
	}
	tls_client_free(&client);
}

/* -- set up ---- */

static int
open_all(void **state)
{
	(void)state;
	if (loop_open() != 1)
		return -1;
	make(&authority, NULL, &(struct wanted){ .common = "authority",
	    .ca = true });
	make(&stranger, NULL, &(struct wanted){ .common = "stranger",
	    .ca = true });
	return 0;
}

static int
close_all(void **state)
{
	(void)state;
	unmake(&authority);
	unmake(&stranger);
	loop_close();
	return fiber_count() == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_of_every_kind),
		cmocka_unit_test(no_name_is_no_match),
		cmocka_unit_test(nobody_is_trusted_without_authorities),
		cmocka_unit_test(dane_end_entity),
		cmocka_unit_test(dane_trust_anchor),
		cmocka_unit_test(dane_unusable_records),
		cmocka_unit_test(records_that_are_usable),
		cmocka_unit_test(sessions_are_resumed),
		cmocka_unit_test(sessions_of_dane),
		cmocka_unit_test(the_oldest_session_goes),
		cmocka_unit_test(handshakes_that_break),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
