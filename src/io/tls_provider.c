/*
 * tls_provider.c - signatures from elsewhere, as OpenSSL likes to see them.
 *
 * OpenSSL 3 takes keys and algorithms from providers (provider(7)). This is
 * the smallest one that TLS can use: key management for keys that have only
 * a public half here, and one signature algorithm whose digest_sign hands the
 * whole message to a callback. All questions about the key (its size, its
 * curve, is it the certificate's) are answered by the public half, an
 * ordinary key of the default provider.
 *
 * The provider lives in a library context of its own. There it can own the
 * names "RSA", "EC" and "ED25519", which TLS insists on, and nobody else in
 * the process meets it. OpenSSL looks for the signature algorithm first in
 * the context of the TLS session; its name is made up so that it is found
 * only with us.
 *
 * The callback may suspend the fiber, and other fibers then use OpenSSL. That
 * is safe: no lock is held here, and the error queue, which belongs to the
 * thread, is emptied before OpenSSL goes on.
 */
#include <pthread.h>
#include <stdlib.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "io/tls_impl.h"

#define SIGNATURE_NAME "postrider-remote-signature"
#define PARAM_KEY "postrider-remote-key"

struct remote_key {
	EVP_PKEY *public_key;
	tls_sign_fn *sign;
	void *arg;
	uint8_t id[32];
};

/* OpenSSL's dispatch tables hold functions of every type as one. */
#define ENTRY(id, fn) { id, (void (*)(void))fn }

/* -- keys ---- */

static void *
key_new(void *provider)
{
	(void)provider;
	return xcalloc(1, sizeof(struct remote_key));
}

static void
key_free(void *data)
{
	struct remote_key *k = data;

	if (k != NULL)
		EVP_PKEY_free(k->public_key);
	free(k);
}

/* Everything, it says: the private half is merely somewhere else. */
static int
key_has(const void *data, int selection)
{
	const struct remote_key *k = data;

	(void)selection;
	return k != NULL && k->public_key != NULL;
}

/* The one parameter points to the struct to be copied. */
static int
key_import(void *data, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_KEY);
	struct remote_key *k = data;
	const void *from = NULL;
	size_t n;

	(void)selection;
	if (p == NULL || OSSL_PARAM_get_octet_ptr(p, &from, &n) != 1 ||
	    n != sizeof(*k))
		return 0;
	memcpy(k, from, sizeof(*k));
	return EVP_PKEY_up_ref(k->public_key);
}

static const OSSL_PARAM *
key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_ptr(PARAM_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)selection;
	return types;
}

/* For comparing with the certificate: the public half is all there is. */
static int
key_export(void *data, int selection, OSSL_CALLBACK *to, void *arg)
{
	struct remote_key *k = data;

	(void)selection;
	return EVP_PKEY_export(k->public_key, EVP_PKEY_PUBLIC_KEY, to, arg);
}

static const OSSL_PARAM *
key_export_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)selection;
	return types;
}

static int
key_get_params(void *data, OSSL_PARAM params[])
{
	struct remote_key *k = data;

	return EVP_PKEY_get_params(k->public_key, params);
}

static const OSSL_PARAM *
key_gettable_params(void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL,
		    0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return types;
}

static const char *
key_operation_name(int operation)
{
	(void)operation;
	return SIGNATURE_NAME;
}

static const OSSL_DISPATCH key_functions[] = {
	ENTRY(OSSL_FUNC_KEYMGMT_NEW, key_new),
	ENTRY(OSSL_FUNC_KEYMGMT_FREE, key_free),
	ENTRY(OSSL_FUNC_KEYMGMT_HAS, key_has),
	ENTRY(OSSL_FUNC_KEYMGMT_IMPORT, key_import),
	ENTRY(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),
	ENTRY(OSSL_FUNC_KEYMGMT_EXPORT, key_export),
	ENTRY(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),
	ENTRY(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
	ENTRY(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),
	ENTRY(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_name),
	{ 0, NULL },
};

/* -- signatures ---- */

struct signing {
	const struct remote_key *key;
	enum tls_signature signature;
	char digest[16];
	bool pss;
};

static void *
signing_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return xcalloc(1, sizeof(struct signing));
}

/* Which of TLS's signatures is it? 1; 0 none that we make. */
static int
choose(struct signing *s)
{
	static const struct row {
		const char *key, *digest;
		bool pss;
		enum tls_signature signature;
	} rows[] = {
		{ "RSA", "SHA2-256", true, TLS_RSA_PSS_SHA256 },
		{ "RSA", "SHA2-384", true, TLS_RSA_PSS_SHA384 },
		{ "RSA", "SHA2-512", true, TLS_RSA_PSS_SHA512 },
		{ "RSA", "SHA2-256", false, TLS_RSA_PKCS1_SHA256 },
		{ "RSA", "SHA2-384", false, TLS_RSA_PKCS1_SHA384 },
		{ "RSA", "SHA2-512", false, TLS_RSA_PKCS1_SHA512 },
		{ "EC", "SHA2-256", false, TLS_ECDSA_SHA256 },
		{ "EC", "SHA2-384", false, TLS_ECDSA_SHA384 },
		{ "EC", "SHA2-512", false, TLS_ECDSA_SHA512 },
		{ "ED25519", "", false, TLS_ED25519 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].pss == s->pss &&
		    strcmp(rows[i].digest, s->digest) == 0 &&
		    EVP_PKEY_is_a(s->key->public_key, rows[i].key)) {
			s->signature = rows[i].signature;
			return 1;
		}
	return 0;
}

/* "SHA256" and "SHA-256" are the same; the first name is the provider's. */
static void
set_digest(struct signing *s, const char *name)
{
	static const struct { const char *name, *digest; } names[] = {
		{ "SHA256", "SHA2-256" }, { "SHA-256", "SHA2-256" },
		{ "SHA384", "SHA2-384" }, { "SHA-384", "SHA2-384" },
		{ "SHA512", "SHA2-512" }, { "SHA-512", "SHA2-512" },
	};
	struct span wanted = span_str(name);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is_nocase(wanted, names[i].name))
			wanted = span_str(names[i].digest);
	wanted = span_sub(wanted, 0, sizeof(s->digest) - 1);
	memset(s->digest, 0, sizeof(s->digest));
	if (wanted.n > 0)
		memcpy(s->digest, wanted.p, wanted.n);
}

/* OpenSSL gives the padding as a number or as a word. */
static int
signing_set_params(void *data, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p;
	struct signing *s = data;
	const char *word = NULL;
	int number = 0;

	p = params == NULL ? NULL : OSSL_PARAM_locate_const(params,
	    OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p == NULL)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (OSSL_PARAM_get_utf8_string_ptr(p, &word) != 1)
			return 0;
		s->pss = strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	} else {
		if (OSSL_PARAM_get_int(p, &number) != 1)
			return 0;
		s->pss = number == RSA_PKCS1_PSS_PADDING;
	}
	return 1;
}

static const OSSL_PARAM *
signing_settable_params(void *data, void *provider)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)data;
	(void)provider;
	return types;
}

static int
signing_init(void *data, const char *digest, void *key,
    const OSSL_PARAM params[])
{
	struct signing *s = data;

	if (key != NULL)
		s->key = key;
	set_digest(s, digest);
	s->pss = false;
	return s->key != NULL && signing_set_params(s, params);
}

static int
signing_sign(void *data, unsigned char *out, size_t *n, size_t room,
    const unsigned char *message, size_t message_n)
{
	struct signing *s = data;
	const struct remote_key *k = s->key;
	int done;

	if (out == NULL) {
		*n = (size_t)EVP_PKEY_get_size(k->public_key);
		return 1;
	}
	if (choose(s) != 1)
		return 0;
	done = k->sign(k->arg, k->id, s->signature,
	    span_of(message, message_n), out, n, room);
	ERR_clear_error();
	return done == 1 && *n <= room;
}

static void
signing_free(void *data)
{
	free(data);
}

static const OSSL_DISPATCH signature_functions[] = {
	ENTRY(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	ENTRY(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
	ENTRY(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	ENTRY(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	ENTRY(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,
	    signing_settable_params),
	{ 0, NULL },
};

/* -- the provider ---- */

static OSSL_LIB_CTX *context;

#define ALGORITHM(names, functions) \
	{ names, "provider=postrider", functions, NULL }

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
		ALGORITHM("RSA:rsaEncryption", key_functions),
		ALGORITHM("EC:id-ecPublicKey", key_functions),
		ALGORITHM("ED25519", key_functions),
		{ NULL, NULL, NULL, NULL },
	};
	static const OSSL_ALGORITHM signatures[] = {
		ALGORITHM(SIGNATURE_NAME, signature_functions),
		{ NULL, NULL, NULL, NULL },
	};

	(void)provider;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keys;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		ENTRY(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
		{ 0, NULL },
	};

	(void)in;
	(void)core;
	*out = functions;
	*provider = &context;	/* anything but NULL; nobody looks at it */
	return 1;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
load_provider(void)
{
	context = OSSL_LIB_CTX_new();
	must(context != NULL);
	must(OSSL_PROVIDER_add_builtin(context, "postrider",
	    provider_init) == 1);
	must(OSSL_PROVIDER_load(context, "postrider") != NULL);
}

/* The name by which a key of this kind is known; NULL: none of ours. */
static const char *
kind_of(EVP_PKEY *key)
{
	static const char *const kinds[] = { "RSA", "EC", "ED25519" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (EVP_PKEY_is_a(key, kinds[i]))
			return kinds[i];
	return NULL;
}

EVP_PKEY *
tls_provider_key(EVP_PKEY *public_key, tls_sign_fn *sign, void *arg)
{
	struct remote_key k = { .public_key = public_key, .sign = sign,
	    .arg = arg };
	const char *kind = kind_of(public_key);
	void *from = &k;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_ptr(PARAM_KEY, &from, sizeof(k)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;

	pthread_once(&once, load_provider);
	if (kind == NULL || tls_public_id(public_key, k.id) == -1)
		return NULL;
	ctx = EVP_PKEY_CTX_new_from_name(context, kind, NULL);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
