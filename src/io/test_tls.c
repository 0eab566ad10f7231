/*
 * test_tls.c - TLS as a layer, with the key somewhere else.
 *
 * The server side is ours, on a fiber; the client is OpenSSL as everybody
 * uses it, blocking, on a thread. Signatures suspend the fiber.
 */
#include "io/tls.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "io/fiber.h"
#include "io/loop.h"
#include "io/session.h"
#include "io/stream.h"

enum { MUCH = 5000000 };

static const monotime_t never = { INT64_MAX };

/* -- keys and certificates ---- */

struct identity {
	struct text cert, key;
	struct tls_key *signer;
	int signatures;
	bool refuse;
};

static struct identity p256;

static int
sign_elsewhere(void *arg, const uint8_t key[32], enum tls_signature signature,
    struct span message, uint8_t *out, size_t *n, size_t room)
{
	struct identity *id = arg;
	uint8_t mine[32];

	tls_key_id(id->signer, mine);
	assert_memory_equal(key, mine, 32);
	assert_true(tls_is_handshake(signature, message));
	/* Another fiber leaves an error of its own behind. */
	for (int i = 0; i < 3; i++) {
		fiber_yield();
		ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	}
	id->signatures++;
	return id->refuse ? -1
	    : tls_key_sign(id->signer, signature, message, out, n, room);
}

static void
identity_pem(struct identity *id, EVP_PKEY *key, X509 *cert)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p;
	long n;

	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0,
	    NULL, NULL), 1);
	n = BIO_get_mem_data(out, &p);
	text_add(&id->key, span_of(p, (size_t)n));
	BIO_free(out);
	out = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(out, cert), 1);
	n = BIO_get_mem_data(out, &p);
	text_add(&id->cert, span_of(p, (size_t)n));
	BIO_free(out);
}

/* A certificate for a key of any kind. */
static void
identity_of_key(struct identity *id, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -100);
	X509_gmtime_adj(X509_getm_notAfter(cert), 1000);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, md) > 0);
	identity_pem(id, key, cert);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
identity_open(struct identity *id)
{
	struct text why = TEXT_INIT(0);

	id->signer = tls_key_new(text_span(&id->key), &why);
	if (id->signer == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
}

static void
identity_free(struct identity *id)
{
	tls_key_free(&id->signer);
	text_free(&id->cert);
	text_wipe(&id->key);
}

static struct tls_server *
server_of(struct identity *id, const char *min_version, uint8_t ticket)
{
	struct tls_options o = {
		.chain_pem = text_span(&id->cert), .min_version = min_version,
		.sign = sign_elsewhere, .sign_arg = id,
	};
	struct text why = TEXT_INIT(0);
	struct tls_server *s;

	memset(o.ticket_key, ticket, sizeof(o.ticket_key));
	s = tls_server_new(&o, &why);
	if (s == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	return s;
}

/* -- the client: OpenSSL, blocking, on a thread ---- */

struct client {
	int fd;
	pthread_t thread;
	int version;			/* 0: any */
	SSL_SESSION *session;		/* to resume; afterwards the new one */
	const char *before;		/* plain text to begin with */
	const char *say;
	size_t echo;			/* bytes to send and see again */
	size_t drain;			/* bytes to read to the end of */
	int lines;			/* lines to send, each a record */
	bool rude;			/* no close_notify */
	bool connected, resumed, echoed, drained, said_goodbye;
	uint8_t exporter[32], unique[64];
	size_t unique_n;
};

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

static void
client_echo(struct client *c, SSL *ssl)
{
	char *out = malloc(c->echo), *in = malloc(c->echo);
	size_t got = 0;
	int n = 1;

	for (size_t i = 0; i < c->echo; i++)
		out[i] = (char)(i * 13);
	if (SSL_write(ssl, out, (int)c->echo) == (int)c->echo)
		while (got < c->echo && n > 0) {
			n = SSL_read(ssl, in + got, (int)(c->echo - got));
			got += n > 0 ? (size_t)n : 0;
		}
	c->echoed = got == c->echo && memcmp(in, out, got) == 0;
	free(in);
	free(out);
}

/* Read slowly, then all of it. */
static void
client_drain(struct client *c, SSL *ssl)
{
	char buf[3000];
	size_t got = 0;
	int n;

	while (got < c->drain && (n = SSL_read(ssl, buf, sizeof(buf))) > 0)
		got += (size_t)n;
	c->drained = got == c->drain;
}

/* Lines in three bursts; each comes back as it was. */
static void
client_lines(struct client *c, SSL *ssl)
{
	char line[20], back[20] = "";
	int n, sent = 0, seen_lines = 0;

	while (seen_lines < c->lines) {
		for (int i = 0; i < 7 && sent < c->lines; i++, sent++) {
			n = snprintf(line, sizeof(line), "line %d\r\n", sent);
			SSL_write(ssl, line, n);
		}
		for (; seen_lines < sent; seen_lines++) {
			n = snprintf(line, sizeof(line), "line %d\r\n",
			    seen_lines);
			for (int at = 0, k; at < n; at += k)
				if ((k = SSL_read(ssl, back + at, n - at)) <= 0)
					return;
			if (memcmp(line, back, (size_t)n) != 0)
				return;
		}
	}
	c->echoed = true;
}

static void
client_bindings(struct client *c, SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	SSL_export_keying_material(ssl, c->exporter, 32, label,
	    sizeof(label) - 1, (const unsigned char *)"", 0, 1);
	c->unique_n = SSL_session_reused(ssl)
	    ? SSL_get_peer_finished(ssl, c->unique, 64)
	    : SSL_get_finished(ssl, c->unique, 64);
}

static void
client_session(struct client *c, SSL *ssl)
{
	char byte;

	c->resumed = SSL_session_reused(ssl) == 1;
	client_bindings(c, ssl);
	if (c->say != NULL)
		SSL_write(ssl, c->say, (int)strlen(c->say));
	if (c->echo > 0)
		client_echo(c, ssl);
	if (c->drain > 0)
		client_drain(c, ssl);
	if (c->lines > 0)
		client_lines(c, ssl);
	if (c->rude) {
		shutdown(c->fd, SHUT_WR);
		return;
	}
	SSL_shutdown(ssl);
	c->said_goodbye = SSL_read(ssl, &byte, 1) <= 0 &&
	    (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

static void *
client_main(void *arg)
{
	struct client *c = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char line[10];

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	SSL_CTX_set_security_level(ctx, 0);
	if (c->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, c->version);
		SSL_CTX_set_max_proto_version(ctx, c->version);
	}
	if (c->before != NULL)
		if (write(c->fd, c->before, strlen(c->before)) < 0 ||
		    read(c->fd, line, sizeof(line)) < 0)
			abort();
	ssl = SSL_new(ctx);
	SSL_set_app_data(ssl, c);
	SSL_set_fd(ssl, c->fd);
	if (c->session != NULL)
		SSL_set_session(ssl, c->session);
	c->connected = SSL_connect(ssl) == 1;
	if (c->connected)
		client_session(c, ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(c->fd);
	return NULL;
}

/* -- the server: echoes all there is, on a fiber ---- */

struct server {
	struct tls_server *tls;
	struct stream *stream;
	struct fiber *fiber;
	monotime_t deadline;
	bool starttls;
	bool write_much;
	bool ended;
	int started, filled, error;
	char info[100], first[100];
	uint8_t exporter[64], unique[64];
	size_t exporter_n, unique_n;
};

static void
server_starttls(struct server *s)
{
	struct span line;

	assert_int_equal(stream_line(s->stream, &line, 100, never), 1);
	assert_true(span_is(line, "STARTTLS\r\n"));
	stream_take(s->stream, line.n);
	stream_str(s->stream, "220 go\r\n");
}

static void
server_established(struct server *s)
{
	stream_channel_binding(s->stream, "tls-exporter", s->exporter,
	    &s->exporter_n);
	stream_channel_binding(s->stream, "tls-unique", s->unique,
	    &s->unique_n);
	if (s->write_much)
		for (int i = 0; i < MUCH / 100 &&
		    stream_error(s->stream) == 0; i++)
			stream_printf(s->stream, "%0100d", 0);
}

static void
server_main(void *arg)
{
	struct server *s = arg;
	struct span in;

	s->fiber = fiber_self();
	if (s->starttls)
		server_starttls(s);
	s->started = stream_start_tls(s->stream, s->tls, s->deadline);
	snprintf(s->info, sizeof(s->info), "%.*s",
	    SPAN_ARG(stream_tls_info(s->stream)));
	if (s->started == 1)
		server_established(s);
	while ((s->filled = stream_fill(s->stream, never)) == 1) {
		in = stream_input(s->stream);
		if (s->first[0] == '\0')
			snprintf(s->first, sizeof(s->first), "%.*s",
			    (int)MIN(in.n, 50), in.p);
		stream_write(s->stream, in);
		stream_take(s->stream, in.n);
	}
	s->error = errno;
	stream_free(&s->stream);
	s->ended = true;
}

static void
until_ended(struct server *s)
{
	while (!s->ended)
		loop_turn(10000);
}

/* The other end of a new connection to s. */
static int
connect_to(struct server *s)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	s->stream = stream_socket(fds[0]);
	if (s->deadline.ms == 0)
		s->deadline = never;
	return fds[1];
}

static void
talk(struct server *s, struct client *c)
{
	c->fd = connect_to(s);
	assert_int_equal(pthread_create(&c->thread, NULL, client_main, c), 0);
	fiber_start(server_main, s);
	until_ended(s);
	pthread_join(c->thread, NULL);
}

/* -- handshakes of every kind ---- */

static void
every_kind(EVP_PKEY *key, bool has_tls12)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct identity id = { 0 };
	struct tls_server *tls;

	identity_of_key(&id, key);
	identity_open(&id);
	tls = server_of(&id, "1.2", 1);
	for (size_t i = has_tls12 ? 0 : 1; i < 2; i++) {
		struct server s = { .tls = tls };
		struct client c = { .version = versions[i], .echo = 100000 };

		talk(&s, &c);
		assert_int_equal(s.started, 1);
		assert_true(c.echoed);
		assert_true(c.said_goodbye);
		assert_int_equal(s.filled, 0);
		assert_int_equal(s.exporter_n, 32);
		assert_memory_equal(s.exporter, c.exporter, 32);
		assert_int_equal(s.unique_n, i == 0 ? c.unique_n : 0);
		assert_memory_equal(s.unique, c.unique, s.unique_n);
		assert_int_equal(strncmp(s.info, i == 0 ? "TLSv1.2 " :
		    "TLSv1.3 ", 8), 0);
		SSL_SESSION_free(c.session);
	}
	assert_int_equal(id.signatures, has_tls12 ? 2 : 1);
	tls_server_free(&tls);
	identity_free(&id);
}

static void
handshake_ecdsa_p256(void **state)
{
	(void)state;
	every_kind(EVP_EC_gen("P-256"), true);
}

/* TLS 1.3 takes P-384 too; TLS 1.2 has no curve in common then. */
static void
handshake_ecdsa_p384(void **state)
{
	(void)state;
	every_kind(EVP_EC_gen("P-384"), false);
}

static void
handshake_rsa(void **state)
{
	(void)state;
	every_kind(EVP_RSA_gen(2048), true);
}

static void
handshake_ed25519(void **state)
{
	(void)state;
	every_kind(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), true);
}

/* -- resumption ---- */

static void
resume(int version)
{
	struct tls_server *a = server_of(&p256, "1.2", 7);
	struct tls_server *b = server_of(&p256, "1.2", 7);
	struct tls_server *other = server_of(&p256, "1.2", 8);
	struct server s = { .tls = a };
	struct client c = { .version = version, .echo = 10 };

	talk(&s, &c);
	assert_false(c.resumed);
	assert_non_null(c.session);
	p256.signatures = 0;
	s = (struct server){ .tls = b };
	talk(&s, &c);
	assert_true(c.resumed && c.echoed);
	assert_int_equal(p256.signatures, 0);
	assert_memory_equal(s.exporter, c.exporter, 32);
	assert_memory_equal(s.unique, c.unique, s.unique_n);
	s = (struct server){ .tls = other };
	talk(&s, &c);
	assert_false(c.resumed);
	assert_true(c.echoed);
	assert_int_equal(p256.signatures, 1);
	SSL_SESSION_free(c.session);
	tls_server_free(&a);
	tls_server_free(&b);
	tls_server_free(&other);
}

static void
tickets_are_good_everywhere(void **state)
{
	(void)state;
	resume(TLS1_2_VERSION);
	resume(TLS1_3_VERSION);
}

/* -- what must not work ---- */

static void
plain_text_before_tls_is_dropped(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls, .starttls = true };
	struct client c = { .before = "STARTTLS\r\nRCPT TO:<evil>\r\n",
	    .say = "NOOP\r\n" };

	(void)state;
	talk(&s, &c);
	assert_int_equal(s.started, 1);
	assert_string_equal(s.first, "NOOP\r\n");
	SSL_SESSION_free(c.session);
	tls_server_free(&tls);
}

static void
old_versions_are_refused(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.3", 1);
	struct server s = { .tls = tls };
	struct client c = { .version = TLS1_2_VERSION };

	(void)state;
	talk(&s, &c);
	assert_int_equal(s.started, -1);
	assert_false(c.connected);
	assert_string_equal(s.info, "unsupported protocol");
	tls_server_free(&tls);
	tls = server_of(&p256, "1.2", 1);
	s = (struct server){ .tls = tls };
	c = (struct client){ .version = TLS1_1_VERSION };
	talk(&s, &c);
	assert_int_equal(s.started, -1);
	assert_false(c.connected);
	tls_server_free(&tls);
}

static void
signer_that_refuses(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls };
	struct client c = { 0 };

	(void)state;
	p256.refuse = true;
	talk(&s, &c);
	p256.refuse = false;
	assert_int_equal(s.started, -1);
	assert_int_equal(s.filled, -1);
	assert_false(c.connected);
	s = (struct server){ .tls = tls };
	c = (struct client){ .echo = 1 };
	talk(&s, &c);
	assert_true(c.echoed);
	SSL_SESSION_free(c.session);
	tls_server_free(&tls);
}

static void
garbage_ends_the_session(void **state)
{
	static const char *const garbage[] = {
		"GET / HTTP/1.0\r\n\r\n", "EHLO example.org\r\n",
		"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	};
	struct tls_server *tls = server_of(&p256, "1.2", 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		struct server s = { .tls = tls };
		int fd = connect_to(&s);
		char c;

		fiber_start(server_main, &s);
		assert_true(write(fd, garbage[i], i < 2 ? strlen(garbage[i])
		    : 10) > 0);
		shutdown(fd, SHUT_WR);
		until_ended(&s);
		assert_int_equal(s.started, -1);
		assert_true(s.info[0] != '\0');
		while (read(fd, &c, 1) > 0)
			;
		close(fd);
	}
	tls_server_free(&tls);
}

static void
silence_ends_at_the_deadline(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls, .deadline = { 2000 } };
	int fd = connect_to(&s);

	(void)state;
	clock_test_set((monotime_t){ 1000 }, 0);
	fiber_start(server_main, &s);
	assert_true(write(fd, "\x16\x03\x01", 3) == 3);
	loop_turn(0);
	clock_test_set((monotime_t){ 1999 }, 0);
	loop_turn(0);
	assert_false(s.ended);
	clock_test_set((monotime_t){ 2000 }, 0);
	loop_turn(0);
	assert_true(s.ended);
	assert_int_equal(s.started, -1);
	assert_int_equal(s.error, ETIMEDOUT);
	clock_test_clear();
	close(fd);
	tls_server_free(&tls);
}

static void
peer_that_reads_nothing(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls, .write_much = true };
	struct client c = { .say = "hello" };

	(void)state;
	c.fd = connect_to(&s);
	stream_set_write_timeout(s.stream, 50);
	c.fd = dup(c.fd);		/* stays open, unread */
	assert_int_equal(pthread_create(&c.thread, NULL, client_main, &c), 0);
	fiber_start(server_main, &s);
	until_ended(&s);
	assert_int_equal(s.filled, -1);
	assert_true(s.error == ETIMEDOUT || s.error == EPIPE ||
	    s.error == ECONNRESET);
	pthread_join(c.thread, NULL);
	SSL_SESSION_free(c.session);
	tls_server_free(&tls);
}

static void
slow_reader_gets_everything(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls, .write_much = true };
	struct client c = { .drain = MUCH };

	(void)state;
	talk(&s, &c);
	assert_true(c.drained && c.said_goodbye);
	assert_int_equal(s.filled, 0);
	SSL_SESSION_free(c.session);
	tls_server_free(&tls);
}

static void
truncation_is_noticed(void **state)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct server s = { .tls = tls };
	struct client c = { .echo = 10, .rude = true };

	(void)state;
	talk(&s, &c);
	assert_true(c.echoed);
	assert_int_equal(s.filled, -1);
	assert_int_equal(s.error, ECONNRESET);
	SSL_SESSION_free(c.session);
	tls_server_free(&tls);
}

/* -- the client side, parking ---- */

struct visitor {
	struct stream *stream;
	struct tls_client *tls;
	struct tls_peer peer;
	int started;
	bool held, parked, closed;
	const char *failure;
	char info[120];
};

static void
visit(void *arg)
{
	struct visitor *v = arg;
	char block[20000] = "";

	v->held = v->parked = false;
	v->started = stream_start_tls_client(v->stream, v->tls, &v->peer,
	    never);
	v->failure = stream_tls_failure(v->stream);
	snprintf(v->info, sizeof(v->info), "%.*s",
	    SPAN_ARG(stream_tls_info(v->stream)));
	if (v->started == 1) {
		stream_write(v->stream, span_of(block, sizeof(block)));
		while (stream_input(v->stream).n < sizeof(block)) {
			assert_int_equal(stream_fill(v->stream, never), 1);
			v->held = v->held || !stream_park(v->stream);
		}
		stream_discard_input(v->stream);
		v->parked = stream_park(v->stream);
	}
	stream_free(&v->stream);
}

static void
visit_server(struct visitor *v, struct tls_server *tls)
{
	struct server s = { .tls = tls };

	v->stream = stream_socket(connect_to(&s));
	fiber_start(server_main, &s);
	fiber_start(visit, v);
	until_ended(&s);
}

static struct tls_client *
client_of(struct span authorities, size_t sessions)
{
	struct tls_client_options o = { .authorities_pem = authorities,
	    .max_sessions = sessions };
	struct text why = TEXT_INIT(0);
	struct tls_client *t = tls_client_make(&o, &why);

	if (t == NULL)
		fail_msg("%.*s", SPAN_ARG(text_span(&why)));
	return t;
}

static void
client_verifies_the_name(void **state)
{
	static const char *const several[] = { "a.example.test",
	    "mail.example.test" };
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct visitor v = { .peer = { .check = TLS_CHECK_NAME,
	    .name = "mail.example.test" } };

	(void)state;
	v.tls = client_of(text_span(&p256.cert), 0);
	visit_server(&v, tls);
	assert_int_equal(v.started, 1);
	assert_string_equal(v.failure, "");
	assert_true(v.held && v.parked);
	v.peer.name = "192.0.2.1";
	visit_server(&v, tls);
	assert_int_equal(v.started, 1);
	v.peer.name = "evil.example.test";
	visit_server(&v, tls);
	assert_int_equal(v.started, -1);
	assert_string_equal(v.info, "hostname mismatch");
	assert_string_equal(v.failure, "certificate-host-mismatch");
	v.peer.names = several;
	v.peer.name_count = 2;
	visit_server(&v, tls);
	assert_int_equal(v.started, 1);
	v.peer.name_count = 1;
	visit_server(&v, tls);
	assert_int_equal(v.started, -1);
	v.peer.tolerate = true;
	visit_server(&v, tls);
	assert_int_equal(v.started, 1);
	assert_string_equal(v.failure, "certificate-host-mismatch");
	tls_client_free(&v.tls);
	tls_server_free(&tls);
}

/* -- sessions that park under TLS ---- */

static int greeted, closed;

static enum session_next
echo_open(struct session *s, void **state)
{
	greeted++;
	*state = s;
	return SESSION_PARK;
}

/* One line a call, so that many wait while the next is handled. */
static enum session_next
echo_input(void *state)
{
	struct stream *s = session_stream(state);
	struct span in = stream_input(s);
	size_t at = span_find_char(in, '\n', 0);

	if (at < in.n) {
		stream_write(s, span_sub(in, 0, at + 1));
		stream_take(s, at + 1);
	}
	return SESSION_PARK;
}

static void
echo_close(void *state)
{
	(void)state;
	closed++;
}

static const struct service echo_service = {
	.name = "echo", .open = echo_open, .input = echo_input,
	.close = echo_close,
};

static struct tls_server *
same_server(void *arg)
{
	return arg;
}

/* A wire that carries a byte at a time, there and back. */
struct wire {
	int from, to;
	bool ended;
};

static void
dribble(void *arg)
{
	struct wire *w = arg;
	char byte;

	while (fiber_wait_fd(w->from, POLLIN, never) == 1 &&
	    read(w->from, &byte, 1) == 1) {
		if (write(w->to, &byte, 1) != 1)
			break;
		fiber_yield();
	}
	shutdown(w->to, SHUT_WR);
	w->ended = true;
}

static void
sessions_park(bool by_bytes)
{
	struct tls_server *tls = server_of(&p256, "1.2", 1);
	struct listener_options o = { .service = &echo_service,
	    .implicit_tls = true, .handshake_timeout = 10000,
	    .tls = same_server, .arg = tls };
	struct client c = { .lines = 20 };
	struct wire there, back;
	int near[2], far[2];

	greeted = closed = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, near), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, far), 0);
	there = (struct wire){ .from = near[1], .to = far[0] };
	back = (struct wire){ .from = dup(far[0]), .to = dup(near[1]) };
	c.fd = near[0];
	if (by_bytes) {
		fiber_start(dribble, &there);
		fiber_start(dribble, &back);
	} else {
		c.fd = dup(far[0]);
		close(far[0]);
	}
	assert_int_equal(session_start(&o, far[1]), 1);
	assert_int_equal(pthread_create(&c.thread, NULL, client_main, &c), 0);
	while (closed == 0 || (by_bytes && (!there.ended || !back.ended)))
		loop_turn(10000);
	pthread_join(c.thread, NULL);
	assert_true(c.echoed && c.said_goodbye);
	assert_int_equal(greeted, 1);
	assert_int_equal(session_count(NULL), 0);
	SSL_SESSION_free(c.session);
	close(near[1]);
	close(back.from);
	close(back.to);
	if (by_bytes)
		close(far[0]);
	else
		close(near[0]);
	tls_server_free(&tls);
}

static void
sessions_park_under_tls(void **state)
{
	(void)state;
	sessions_park(false);
	sessions_park(true);
}

/* -- the signer's rules ---- */

static void
only_handshakes_are_signed(void **state)
{
	char m[64 + 34 + 48];
	char kx[64 + 4 + 65];

	(void)state;
	memset(m, ' ', 64);
	memcpy(m + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(m + 98, 'h', 48);
	assert_true(tls_is_handshake(TLS_ECDSA_SHA256, span_of(m, 98 + 32)));
	assert_true(tls_is_handshake(TLS_RSA_PSS_SHA384, span_of(m, 98 + 48)));
	assert_false(tls_is_handshake(TLS_RSA_PKCS1_SHA256,
	    span_of(m, 98 + 32)));
	assert_false(tls_is_handshake(TLS_ECDSA_SHA256, span_of(m, 98 + 31)));
	m[73 + 7] = 'X';
	assert_false(tls_is_handshake(TLS_ECDSA_SHA256, span_of(m, 98 + 32)));
	memset(kx, 'r', sizeof(kx));
	memcpy(kx + 64, "\x03\x00\x17\x41", 4);
	assert_true(tls_is_handshake(TLS_RSA_PKCS1_SHA256,
	    span_of(kx, sizeof(kx))));
	assert_false(tls_is_handshake(TLS_RSA_PKCS1_SHA256,
	    span_of(kx, sizeof(kx) - 1)));
	kx[66] = 0x1d;
	assert_false(tls_is_handshake(TLS_RSA_PKCS1_SHA256,
	    span_of(kx, sizeof(kx))));
	assert_false(tls_is_handshake(TLS_ECDSA_SHA256,
	    SPAN("from:to:subject")));
	assert_false(tls_is_handshake((enum tls_signature)1,
	    span_of(kx, sizeof(kx))));
	assert_false(tls_is_handshake(TLS_ED25519, SPAN_EMPTY));
}

static void
bad_material_is_refused_with_words(void **state)
{
	struct tls_options o = { .sign = sign_elsewhere };
	struct text why = TEXT_INIT(0);
	uint8_t out[16];
	size_t n;

	(void)state;
	assert_null(tls_key_new(SPAN("nonsense"), &why));
	assert_true(why.n > 0);
	text_clear(&why);
	o.chain_pem = SPAN("-----BEGIN CERTIFICATE-----\nAAAA\n");
	assert_null(tls_server_new(&o, &why));
	assert_true(why.n > 0);
	text_clear(&why);
	o.chain_pem = text_span(&p256.cert);
	o.ciphers = "no such cipher";
	assert_null(tls_server_new(&o, &why));
	assert_true(why.n > 0);
	text_free(&why);
	assert_int_equal(tls_key_sign(p256.signer, TLS_ECDSA_SHA256,
	    SPAN("x"), out, &n, sizeof(out)), -1);
	assert_int_equal(tls_key_sign(p256.signer, TLS_RSA_PSS_SHA256,
	    SPAN("x"), out, &n, sizeof(out)), -1);
}

/* -- set up ---- */

static int
open_all(void **state)
{
	static const char *const names[] = { "mail.example.test",
	    "192.0.2.1" };

	(void)state;
	if (loop_open() != 1 || tls_make_self_signed(names, 2, 10, &p256.cert,
	    &p256.key) != 1)
		return -1;
	identity_open(&p256);
	return 0;
}

static int
close_all(void **state)
{
	(void)state;
	identity_free(&p256);
	loop_close();
	return fiber_count() == 0 ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_ecdsa_p256),
		cmocka_unit_test(handshake_ecdsa_p384),
		cmocka_unit_test(handshake_rsa),
		cmocka_unit_test(handshake_ed25519),
		cmocka_unit_test(tickets_are_good_everywhere),
		cmocka_unit_test(plain_text_before_tls_is_dropped),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(signer_that_refuses),
		cmocka_unit_test(garbage_ends_the_session),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(peer_that_reads_nothing),
		cmocka_unit_test(slow_reader_gets_everything),
		cmocka_unit_test(truncation_is_noticed),
		cmocka_unit_test(client_verifies_the_name),
		cmocka_unit_test(sessions_park_under_tls),
		cmocka_unit_test(only_handshakes_are_signed),
		cmocka_unit_test(bad_material_is_refused_with_words),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
