/*
 * scram.c - SCRAM's messages and arithmetic.
 */
#include "store/scram.h"
#include "base/secret.h"
#include "mail/encode.h"

/* One "x=value" up to a comma, taken off *rest. False: it is not there. */
static bool
take(struct span *rest, char name, struct span *value)
{
	struct span field, after = span_cut(*rest, ',', &field);

	if (field.n < 2 || field.p[0] != name || field.p[1] != '=')
		return false;
	*value = span_from(field, 2);
	*rest = after;
	return true;
}

int
scram_read_name(struct span in, struct arena *arena, struct span *out)
{
	char *to = arena_alloc(arena, in.n + 1);
	size_t n = 0;

	if (to == NULL)
		return -1;
	for (size_t i = 0; i < in.n; i++) {
		struct span code = span_sub(in, i, 3);

		if (in.p[i] == '\0')
			return 0;
		if (in.p[i] != '=') {
			to[n++] = in.p[i];
			continue;
		}
		if (!span_is(code, "=2C") && !span_is(code, "=3D"))
			return 0;
		to[n++] = code.p[2] == 'C' ? ',' : '=';
		i += 2;
	}
	*out = span_of(to, n);
	return n > 0;
}

static bool
is_nonce(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ',')
			return false;
	return s.n > 0 && s.n <= SCRAM_NONCE_MAX;
}

/* "n", "y" or "p=tls-exporter". */
static bool
read_flag(struct span flag, struct scram_first *f)
{
	if (flag.n == 0)
		return false;
	f->flag = flag.p[0];
	if (f->flag == 'p') {
		f->binding = span_from(flag, MIN(flag.n, 2));
		return flag.n > 2 && flag.p[1] == '=';
	}
	return flag.n == 1 && (f->flag == 'n' || f->flag == 'y');
}

int
scram_read_first(struct span message, struct arena *arena,
    struct scram_first *f)
{
	struct span flag, zid, user, rest;
	int rc = 1;

	*f = (struct scram_first){ 0 };
	rest = span_cut(span_cut(message, ',', &flag), ',', &zid);
	if (!read_flag(flag, f) || flag.n + zid.n + 2 > message.n)
		return 0;
	f->header = span_sub(message, 0, flag.n + zid.n + 2);
	f->bare = span_from(message, f->header.n);
	if (zid.n > 0) {
		if (zid.n < 3 || zid.p[0] != 'a' || zid.p[1] != '=')
			return 0;
		rc = scram_read_name(span_from(zid, 2), arena, &f->authzid);
	}
	rest = f->bare;
	if (rc != 1 || !take(&rest, 'n', &user) ||
	    !take(&rest, 'r', &f->nonce) || !is_nonce(f->nonce))
		return MIN(rc, 0);
	return scram_read_name(user, arena, &f->user);
}

static int
decode_base64(struct span in, struct arena *arena, struct span *out)
{
	struct text t = TEXT_INIT(4096);
	int rc = base64_decode(in, &t);

	if (rc == 1) {
		*out = arena_dup(arena, text_span(&t));
		rc = t.n > 0 && out->p == NULL ? -1 : 1;
	}
	text_wipe(&t);
	return rc;
}

int
scram_read_final(struct span message, enum scram_hash hash,
    struct arena *arena, struct scram_final *f)
{
	struct span rest = message, c, proof;
	size_t at = 0, next;
	int rc;

	*f = (struct scram_final){ 0 };
	if (!take(&rest, 'c', &c) || !take(&rest, 'r', &f->nonce))
		return 0;
	/* Extensions may stand before the proof, which is the last. */
	while ((next = span_find(message, SPAN(",p="), at)) != SIZE_MAX)
		at = next + 1;
	if (at == 0)
		return 0;
	f->without_proof = span_sub(message, 0, at - 1);
	rc = decode_base64(span_from(message, at + 2), arena, &proof);
	if (rc == 1 && proof.n != scram_size(hash))
		rc = 0;
	if (rc == 1)
		memcpy(f->proof, proof.p, proof.n);
	return rc == 1 ? decode_base64(c, arena, &f->binding) : rc;
}

bool
scram_proves(enum scram_hash hash, const struct scram_keys *keys,
    struct span auth_message, const uint8_t proof[SCRAM_KEY_MAX])
{
	uint8_t key[SCRAM_KEY_MAX], stored[SCRAM_KEY_MAX];
	size_t n = scram_size(hash);
	bool good;

	scram_hmac(hash, span_of(keys->stored, n), auth_message, key);
	for (size_t i = 0; i < n; i++)
		key[i] ^= proof[i];
	scram_hash(hash, span_of(key, n), stored);
	good = secret_equal(span_of(stored, n), span_of(keys->stored, n));
	secret_wipe(key, sizeof(key));
	return good;
}

void
scram_add_verifier(enum scram_hash hash, const struct scram_keys *keys,
    struct span auth_message, struct text *out)
{
	uint8_t signature[SCRAM_KEY_MAX];
	size_t n = scram_size(hash);

	scram_hmac(hash, span_of(keys->server, n), auth_message, signature);
	text_str(out, "v=");
	base64_add(out, span_of(signature, n));
}
