/*
 * stream_tls.c - TLS as a layer over the socket.
 *
 * OpenSSL reads and writes through a BIO of ours, which is the socket layer
 * and never waits. The layer says what it waits for, and the stream waits, as
 * for a plain socket.
 *
 * The error queue of OpenSSL belongs to the thread, not to the session, and
 * other fibers run while one waits: it is emptied before each call and read
 * right after it.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "io/stream_layer.h"
#include "io/tls_impl.h"
#include "io/tls_proof.h"

enum { INFO_ROOM = 120 };

struct tls {
	SSL *ssl;
	bool more;		/* OpenSSL may hold input */
	bool peer_gone;		/* the socket ended without a close_notify */
	bool handshaken;
	int error;		/* errno of the socket */
	struct tls_meeting *meeting;	/* we are the client */
	struct tls_proof *proof;	/* of the client; NULL: none */
	char info[INFO_ROOM];
};

/* -- the BIO ---- */

static int
bio_read(BIO *bio, char *p, int room)
{
	struct stream *s = BIO_get_data(bio);
	struct tls *t = s->tls;
	ssize_t n;

	BIO_clear_retry_flags(bio);
	n = stream_socket_layer.read(s, p, (size_t)room);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (n == -1)
		t->error = errno;
	else if (n == 0)
		t->peer_gone = true;
	return (int)n;
}

static int
bio_write(BIO *bio, const char *p, int size)
{
	struct stream *s = BIO_get_data(bio);
	struct tls *t = s->tls;
	ssize_t n;

	BIO_clear_retry_flags(bio);
	n = stream_socket_layer.write(s, p, (size_t)size);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	else if (n == -1)
		t->error = errno;
	return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct stream *s = BIO_get_data(bio);
	struct tls *t = s->tls;

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->peer_gone;
	default:
		return 0;
	}
}

static BIO_METHOD *bio_method;

static void
make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "stream");
	must(bio_method != NULL);
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *
new_bio(struct stream *s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_bio_method);
	bio = BIO_new(bio_method);
	must(bio != NULL);
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	return bio;
}

/* -- the layer ---- */

static ssize_t
try_again(struct stream *s, short want)
{
	s->want = want;
	errno = EAGAIN;
	return -1;
}

/* OpenSSL did not do it: why? -1 and errno, or 0 for an orderly end. */
static ssize_t
why_not(struct stream *s, int result)
{
	struct tls *t = s->tls;

	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return try_again(s, POLLIN);
	case SSL_ERROR_WANT_WRITE:
		return try_again(s, POLLOUT);
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	/* Gone comes first: OpenSSL then tried to complain, and got EPIPE. */
	errno = t->peer_gone ? ECONNRESET : t->error != 0 ? t->error : EPROTO;
	return -1;
}

static ssize_t
tls_read(struct stream *s, void *p, size_t room)
{
	struct tls *t = s->tls;
	ssize_t n;

	ERR_clear_error();
	n = SSL_read(t->ssl, p, (int)room);
	t->more = n > 0;
	return n > 0 ? n : why_not(s, (int)n);
}

static ssize_t
tls_write(struct stream *s, const void *p, size_t size)
{
	struct tls *t = s->tls;
	ssize_t n;

	ERR_clear_error();
	n = SSL_write(t->ssl, p, (int)size);
	if (n > 0)
		return n;
	n = why_not(s, (int)n);
	if (n == 0)
		errno = EPIPE;
	return -1;
}

static bool
tls_holds_input(const struct stream *s)
{
	const struct tls *t = s->tls;

	return t->more;
}

static void
tls_goodbye(struct stream *s)
{
	struct tls *t = s->tls;

	if (!t->handshaken || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void
tls_free(struct stream *s)
{
	struct tls *t = s->tls;

	SSL_free(t->ssl);
	tls_meeting_free(&t->meeting);
	tls_proof_free(&t->proof);
	free(t);
}

static const struct stream_layer tls_layer = {
	.read = tls_read,
	.write = tls_write,
	.holds_input = tls_holds_input,
	.say_goodbye = tls_goodbye,
	.free = tls_free,
};

/* -- the handshake ---- */

/* A certificate that failed says more than "certificate verify failed". */
static const char *
why_failed(SSL *ssl)
{
	unsigned long error = ERR_peek_last_error();

	if (error == 0)
		return NULL;
	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
	    ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(
		    SSL_get_verify_result(ssl));
	return ERR_reason_error_string(error);
}

static void
keep_reason(struct tls *t)
{
	const char *reason = why_failed(t->ssl);

	if (reason == NULL)
		reason = t->peer_gone ? "the peer hung up"
		    : strerror(t->error != 0 ? t->error : EPROTO);
	snprintf(t->info, sizeof(t->info), "%s", reason);
	ERR_clear_error();
}

static int
handshake(struct stream *s, monotime_t deadline)
{
	struct tls *t = s->tls;
	int done, ready;

	for (;;) {
		ERR_clear_error();
		done = SSL_do_handshake(t->ssl);
		if (done == 1)
			break;
		if (why_not(s, done) == 0 || errno != EAGAIN) {
			keep_reason(t);
			return stream_fail(s, EPROTO);
		}
		ready = stream_wait(s, deadline);
		if (ready != 1) {
			stream_fail(s, ready == 0 ? ETIMEDOUT : errno);
			snprintf(t->info, sizeof(t->info), "%s",
			    strerror(s->error));
			return -1;
		}
	}
	t->handshaken = true;
	t->more = true;
	snprintf(t->info, sizeof(t->info), "%s %s", SSL_get_version(t->ssl),
	    SSL_get_cipher_name(t->ssl));
	return 1;
}

/*
 * Make the layer, which owns ssl; what came before the handshake is not
 * believed.
 */
static struct tls *
put_layer(struct stream *s, SSL *ssl)
{
	struct tls *t;
	BIO *bio;

	must(s->layer == &stream_socket_layer);
	must(ssl != NULL);
	if (stream_flush(s) == -1) {
		SSL_free(ssl);
		return NULL;
	}
	stream_discard_input(s);
	t = xcalloc(1, sizeof(*t));
	t->ssl = ssl;
	s->layer = &tls_layer;
	s->tls = t;
	bio = new_bio(s);
	SSL_set_bio(t->ssl, bio, bio);
	return t;
}

int
stream_start_tls(struct stream *s, struct tls_server *server,
    monotime_t deadline)
{
	struct tls *t = put_layer(s, SSL_new(tls_server_context(server)));
	int done;

	if (t == NULL)
		return -1;
	SSL_set_accept_state(t->ssl);
	if (tls_server_asks_clients(server))
		t->proof = tls_proof_new(t->ssl);
	done = handshake(s, deadline);
	if (t->proof != NULL && !(done == 1 &&
	    tls_proof_finish(t->proof, t->ssl))) {
		SSL_set_msg_callback(t->ssl, NULL);
		tls_proof_free(&t->proof);
	}
	return done;
}

int
stream_start_tls_client(struct stream *s, struct tls_client *client,
    const struct tls_peer *peer, monotime_t deadline)
{
	struct tls_meeting *m = tls_meeting_new(client, peer);
	SSL *ssl = tls_meeting_ssl(m, peer, &s->tls_failure);
	struct tls *t = ssl != NULL ? put_layer(s, ssl) : NULL;
	int done;

	if (t == NULL) {
		tls_meeting_free(&m);
		return stream_fail(s, EINVAL);
	}
	t->meeting = m;
	SSL_set_connect_state(t->ssl);
	done = handshake(s, deadline);
	s->tls_failure = tls_meeting_verdict(m, t->ssl, done == 1);
	return done;
}

/* -- what is asked of it ---- */

bool
stream_is_tls(const struct stream *s)
{
	return s->tls != NULL;
}

struct span
stream_tls_info(struct stream *s)
{
	struct tls *t = s->tls;

	return stream_is_tls(s) ? span_str(t->info) : SPAN_EMPTY;
}

const char *
stream_tls_failure(const struct stream *s)
{
	return s->tls_failure != NULL ? s->tls_failure : "";
}

bool
stream_client_proof(const struct stream *s, struct stream_proof *out)
{
	if (s->tls == NULL || s->tls->proof == NULL)
		return false;
	tls_proof_show(s->tls->proof, out);
	return true;
}

/* RFC 9266 4.2: only where the master secret is bound to the handshake. */
static int
bind_exporter(SSL *ssl, uint8_t *out, size_t *n)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (SSL_version(ssl) < TLS1_3_VERSION &&
	    SSL_get_extms_support(ssl) != 1)
		return 0;
	*n = 32;
	return SSL_export_keying_material(ssl, out, *n, label,
	    sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1;
}

/* RFC 5929 3: the first Finished of the handshake, whoever sent it. */
static int
bind_unique(SSL *ssl, uint8_t *out, size_t *n)
{
	bool client_first = SSL_session_reused(ssl) != 1;

	if (SSL_version(ssl) != TLS1_2_VERSION ||
	    SSL_get_extms_support(ssl) != 1)
		return 0;
	*n = client_first == (SSL_is_server(ssl) == 1)
	    ? SSL_get_peer_finished(ssl, out, 64)
	    : SSL_get_finished(ssl, out, 64);
	return *n > 0 && *n <= 64;
}

int
stream_channel_binding(struct stream *s, const char *type, uint8_t *out,
    size_t *n)
{
	struct tls *t = s->tls;

	if (!stream_is_tls(s) || !t->handshaken)
		return 0;
	if (strcmp(type, "tls-exporter") == 0)
		return bind_exporter(t->ssl, out, n);
	if (strcmp(type, "tls-unique") == 0)
		return bind_unique(t->ssl, out, n);
	return 0;
}
