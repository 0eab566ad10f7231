/*
 * certificate.c - the certificate and its key, as the supervisor reads them.
 *
 * The key is kept in a sealed memfd, so that every signer gets the very one
 * that was checked, whatever happens to the file meanwhile.
 */
#include "role/certificate.h"
#include "ipc/wire.h"
#include "role/datadir.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX ((size_t)256 << 10)

static int
read_pem(int directory, const char *path, struct text *out, struct text *why)
{
	if (datadir_read(directory, path, out) == 1)
		return 1;
	text_printf(why, "%s: %s", path, errno == EFBIG ? "too large"
	    : strerrordesc_np(errno));
	return 0;
}

static int
no_password(char *buf, int n, int writing, void *arg)
{
	(void)buf;
	(void)n;
	(void)writing;
	(void)arg;
	return -1;
}

/* Is `key` the private half of the leaf's? */
static int
check_pair(struct span chain, struct span key, struct text *why)
{
	BIO *c = BIO_new_mem_buf(chain.p, (int)chain.n);
	BIO *k = BIO_new_mem_buf(key.p, (int)key.n);
	X509 *leaf = PEM_read_bio_X509(c, NULL, no_password, NULL);
	EVP_PKEY *private = PEM_read_bio_PrivateKey(k, NULL, no_password,
	    NULL);
	int good = 0;

	if (leaf == NULL)
		text_str(why, "no certificate in PEM");
	else if (private == NULL)
		text_str(why, "no private key in PEM (one with a password "
		    "cannot be used)");
	else if (X509_check_private_key(leaf, private) != 1)
		text_str(why, "the key is not this certificate's");
	else
		good = 1;
	ERR_clear_error();
	EVP_PKEY_free(private);
	X509_free(leaf);
	BIO_free(k);
	BIO_free(c);
	return good;
}

int
certificate_load(int directory, const char *chain_path, const char *key_path,
    struct certificate *out, struct text *why)
{
	struct text chain = TEXT_INIT(PEM_MAX), key = TEXT_INIT(PEM_MAX);
	struct text what = TEXT_INIT(1024);
	int fd = -1, done = 0;

	if (read_pem(directory, chain_path, &chain, why) != 1 ||
	    read_pem(directory, key_path, &key, why) != 1)
		goto out;
	if (check_pair(text_span(&chain), text_span(&key), &what) != 1) {
		text_printf(why, "%s, %s: %.*s", chain_path, key_path,
		    SPAN_ARG(text_span(&what)));
		goto out;
	}
	fd = memfd_sealed(text_span(&key));
	if (fd < 0) {
		text_printf(why, "memfd: %s", strerrordesc_np(errno));
		goto out;
	}
	certificate_free(out);
	*out = (struct certificate){ .chain = chain, .key = fd };
	chain = TEXT_INIT(0);
	done = 1;
out:
	text_free(&chain);
	text_wipe(&key);
	text_free(&what);
	return done;
}

void
certificate_free(struct certificate *c)
{
	text_free(&c->chain);
	if (c->key >= 0)
		close(c->key);
	*c = CERTIFICATE_NONE;
}
