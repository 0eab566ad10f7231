/*
 * role_signer.c - holds the private keys; answers signature requests only.
 *
 * A TLS key signs nothing but what a TLS handshake signs: a captured edge
 * process can use the key for TLS while it is captured, and for nothing else,
 * and it never sees the key. What a domain's key signs: signer_dkim.c. After a reload the older keys stay, for the sessions
 * that were shown the older certificate a moment ago.
 */
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "io/tls.h"
#include "ipc/serve.h"
#include "role/control.h"
#include "role/signer_dkim.h"

#include <sys/stat.h>
#include <unistd.h>

enum { KEYS_MAX = 4, PEM_MAX = 256 << 10 };

static struct {
	struct {
		struct tls_key *key;
		uint8_t id[32];
	} keys[KEYS_MAX];		/* the newest first */
	struct server *server;
} signer;

static struct tls_key *
find_key(struct span id)
{
	for (size_t i = 0; i < KEYS_MAX; i++)
		if (signer.keys[i].key != NULL && span_eq(id,
		    span_of(signer.keys[i].id, sizeof(signer.keys[i].id))))
			return signer.keys[i].key;
	return NULL;
}

static void
sign(void *arg, const struct caller *who, struct arena *arena,
    const struct sign_request *in, struct sign_reply *out)
{
	struct tls_key *key = find_key(in->key);
	enum tls_signature scheme = (enum tls_signature)in->scheme;
	size_t n = 0, room = 1024;
	uint8_t *p = arena_alloc(arena, room);

	(void)arg;
	(void)who;
	if (key == NULL)
		out->result = RESULT_NOT_FOUND;
	else if (!tls_is_handshake(scheme, in->message))
		out->result = RESULT_DENIED;
	else if (p == NULL ||
	    tls_key_sign(key, scheme, in->message, p, &n, room) != 1)
		out->result = RESULT_TEMPORARY;
	else
		out->signature = span_of(p, n);
	if (out->result == RESULT_DENIED)
		log_event(LOG_LEVEL_ERROR, "signer.not_a_handshake",
		    log_str("peer", role_name(who->role)),
		    log_int("instance", who->instance));
}

static const struct handlers handlers = {
	.sign = sign,
	.dkim_keys = signer_dkim_keys,
	.dkim_sign = signer_dkim_sign,
};

/* ---- what the supervisor tells ----------------------------------------- */

static void
keep_key(struct tls_key *key)
{
	uint8_t id[32];

	tls_key_id(key, id);
	if (find_key(span_of(id, sizeof(id))) != NULL) {
		tls_key_free(&key);
		return;
	}
	tls_key_free(&signer.keys[KEYS_MAX - 1].key);
	memmove(&signer.keys[1], &signer.keys[0],
	    sizeof(signer.keys[0]) * (KEYS_MAX - 1));
	signer.keys[0].key = key;
	memcpy(signer.keys[0].id, id, sizeof(id));
}

/* From its start, whoever read it before. 1, -1. */
static int
read_all(int fd, struct text *out)
{
	ssize_t n;
	char *p;

	while ((p = text_room(out, 4096)) != NULL) {
		n = pread(fd, p, 4096, (off_t)out->n);
		if (n <= 0)
			return n == 0 ? 1 : -1;
		text_grew(out, (size_t)n);
	}
	return -1;
}

static void
on_private_key(int fd)
{
	struct text pem = TEXT_INIT(PEM_MAX), why = TEXT_INIT(1024);
	struct tls_key *key = NULL;

	if (fd < 0)
		return;
	if (read_all(fd, &pem) == 1)
		key = tls_key_new(text_span(&pem), &why);
	close(fd);
	text_wipe(&pem);
	if (key != NULL)
		keep_key(key);
	else
		log_event(LOG_LEVEL_ERROR, "signer.key",
		    log_text("error", text_span(&why)));
	text_free(&why);
}

static void
on_peer(enum role_bit role, unsigned instance, int fd)
{
	if (server_add(signer.server, fd, role, instance) != 1)
		log_event(LOG_LEVEL_ERROR, "signer.peer", log_errno());
}

/* Before anything else comes. */
static void
on_settings(const struct settings *s)
{
	(void)s;
	if (signer.server != NULL)
		return;
	signer.server = server_new(SIGNER, &handlers, NULL);
	if (server_on_loop(signer.server) != 1)
		control_fail("signer.loop", span_str(strerrordesc_np(errno)));
}

static void
on_start(void)
{
	control_ready();
}

static void
on_stop(int64_t grace_ms)
{
	(void)grace_ms;
	server_stop(signer.server);
	for (size_t i = 0; i < KEYS_MAX; i++)
		tls_key_free(&signer.keys[i].key);
	signer_dkim_forget();
	control_done();
}

const struct role_events signer_events = {
	.settings = on_settings,
	.private_key = on_private_key,
	.dkim_secrets = signer_dkim_take,
	.peer = on_peer,
	.start = on_start,
	.stop = on_stop,
};
