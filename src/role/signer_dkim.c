/*
 * signer_dkim.c - the keys of domains in signer, and what they sign.
 *
 * A key signs nothing but the end of a DKIM hash: header fields of which the
 * last is a DKIM-Signature that names this very key and has no signature yet.
 * Who owns relay can have any mail of our domains signed while it does; it
 * can have nothing else signed, and never sees a key.
 *
 * There may be keys of very many domains: each is read when it is first used.
 */
#include "role/signer_dkim.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secret.h"
#include "ipc/wire.h"
#include "role/control.h"
#include "role/dkim_pem.h"
#include "verify/dkim.h"

#include <stdlib.h>

struct domain_key {
	struct span domain, selector, pem;
	int64_t created;
	bool retired;
	bool unusable;
	bool told;			/* that it signs */
	struct dkim_pem *key;		/* once it was used */
	struct domain_key *next;	/* of the domain: older */
};

static struct {
	char *bytes;			/* what the spans point into */
	size_t size;
	struct domain_key *list;
	size_t count;
	struct map *domains;		/* the newest key of each */
} all;

/* ---- what the supervisor tells ---------------------------------------- */

void
signer_dkim_forget(void)
{
	for (size_t i = 0; i < all.count; i++)
		dkim_pem_free(&all.list[i].key);
	free(all.list);
	if (all.bytes != NULL)
		secret_wipe(all.bytes, all.size);
	free(all.bytes);
	if (all.domains != NULL)
		map_free(&all.domains);
	memset(&all, 0, sizeof(all));
}

static bool
newer(const struct domain_key *a, const struct domain_key *b)
{
	return a->created != b->created ? a->created > b->created :
	    span_compare(a->selector, b->selector) > 0;
}

static void
file_key(struct domain_key *k)
{
	struct domain_key *first = map_get(all.domains, k->domain);
	struct domain_key **at = &first;

	while (*at != NULL && newer(*at, k))
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	map_put(all.domains, k->domain, first);
}

static void
add_key(const struct dkim_secret *row)
{
	all.list[all.count++] = (struct domain_key){
		.domain = row->domain, .selector = row->selector,
		.pem = row->pem, .created = row->created,
		.retired = row->retired != 0,
	};
}

void
signer_dkim_take(struct span keys)
{
	struct cursor c;
	struct dkim_secret row;
	size_t n = 0;

	signer_dkim_forget();
	all.bytes = xmalloc(keys.n + 1);
	all.size = keys.n;
	if (keys.n > 0)
		memcpy(all.bytes, keys.p, keys.n);
	c = (struct cursor){ .rest = span_of(all.bytes, keys.n) };
	while (dkim_secret_get(&c, &row) == 1)
		n++;
	must(!c.bad);			/* the supervisor wrote it */
	all.list = xcalloc(n + 1, sizeof(all.list[0]));
	c = (struct cursor){ .rest = span_of(all.bytes, keys.n) };
	while (dkim_secret_get(&c, &row) == 1)
		add_key(&row);
	all.domains = map_new();
	for (size_t i = 0; i < all.count; i++)
		file_key(&all.list[i]);
}

/* ---- keys ------------------------------------------------------------- */

static struct domain_key *
keys_of(struct span domain)
{
	return all.domains == NULL ? NULL : map_get(all.domains, domain);
}

/* Read, if it was not yet. NULL: it cannot be. */
static struct dkim_pem *
key_of(struct domain_key *k)
{
	struct text why = TEXT_INIT(256);

	if (k->key == NULL && !k->unusable) {
		k->key = dkim_pem_new(k->pem, &why);
		k->unusable = k->key == NULL;
		if (k->unusable)
			log_event(LOG_LEVEL_ERROR, "signer.dkim_key",
			    log_text("domain", k->domain),
			    log_text("selector", k->selector),
			    log_text("error", text_span(&why)));
	}
	text_free(&why);
	return k->key;
}

void
signer_dkim_keys(void *arg, const struct caller *who, struct arena *arena,
    const struct dkim_keys_request *in, struct dkim_keys_reply *out)
{
	struct text rows = TEXT_INIT(65536);
	struct span copy;

	(void)arg;
	(void)who;
	for (struct domain_key *k = keys_of(in->domain); k != NULL;
	    k = k->next) {
		struct dkim_pem *key = key_of(k);
		struct dkim_key_row row = { .selector = k->selector,
		    .created = k->created, .retired = k->retired };

		if (key == NULL)
			continue;
		row.algorithm = dkim_pem_algorithm(key);
		row.public_key = dkim_pem_public(key);
		dkim_key_row_put(&rows, &row);
	}
	copy = arena_dup(arena, text_span(&rows));
	if (rows.n == 0)
		out->result = RESULT_NOT_FOUND;
	else if (copy.p == NULL)
		out->result = RESULT_TEMPORARY;
	else
		out->keys = BLOB_OF(copy);
	text_free(&rows);
}

/* ---- signing ---------------------------------------------------------- */

/* The last field of `input`, relaxed: one line without its end. */
static struct span
last_field(struct span input)
{
	size_t at = input.n;

	while (at > 0 && input.p[at - 1] != '\n')
		at--;
	return span_from(input, at);
}

/* Is that a signature to be, by this key? */
static bool
is_ours_to_sign(const struct domain_key *k, enum dkim_algorithm algorithm,
    struct span input, struct arena *arena)
{
	struct span field = last_field(input);
	struct dkim_signature s;

	return span_starts(field, SPAN("dkim-signature:")) &&
	    dkim_parse(span_from(field, strlen("dkim-signature:")), arena,
	    &s) == 1 && s.signature.n == 0 && s.header == DKIM_RELAXED &&
	    s.algorithm == algorithm && span_eq(s.domain, k->domain) &&
	    span_eq(s.selector, k->selector);
}

/* The supervisor retires what it replaces. Once for each. */
static void
tell_used(struct domain_key *k)
{
	if (k->told)
		return;
	k->told = true;
	control_dkim_used(k->domain, k->selector);
}

static struct domain_key *
find_key(struct span domain, struct span selector)
{
	struct domain_key *k = keys_of(domain);

	while (k != NULL && !span_eq(k->selector, selector))
		k = k->next;
	return k;
}

void
signer_dkim_sign(void *arg, const struct caller *who, struct arena *arena,
    const struct dkim_sign_request *in, struct dkim_sign_reply *out)
{
	struct domain_key *k = find_key(in->domain, in->selector);
	struct dkim_pem *key = k == NULL ? NULL : key_of(k);
	uint8_t *p = arena_alloc(arena, DKIM_SIGNATURE_MAX);
	size_t n = 0;

	(void)arg;
	if (key == NULL) {
		out->result = RESULT_NOT_FOUND;
	} else if (!is_ours_to_sign(k, dkim_pem_algorithm(key),
	    in->input.bytes, arena)) {
		out->result = RESULT_DENIED;
		log_event(LOG_LEVEL_ERROR, "signer.not_a_dkim_signature",
		    log_str("peer", role_name(who->role)),
		    log_int("instance", who->instance));
	} else if (p == NULL ||
	    dkim_pem_sign(key, in->input.bytes, p, &n) != 1) {
		out->result = RESULT_TEMPORARY;
	} else {
		out->signature = span_of(p, n);
		tell_used(k);
	}
}
