/*
 * certificate.h - the certificate and its key, as the supervisor reads them.
 */
#ifndef ROLE_CERTIFICATE_H
#define ROLE_CERTIFICATE_H

#include "base/base.h"
#include "base/text.h"

struct certificate {
	struct text chain;	/* PEM, leaf first */
	int key;		/* a sealed memfd with the PEM; -1 none */
};
#define CERTIFICATE_NONE ((struct certificate){ .key = -1 })

/*
 * Read both files below `directory` (absolute paths stand for themselves) and
 * see that they belong together. 1; 0 and *why: *out is untouched.
 */
int  certificate_load(int directory, const char *chain_path,
    const char *key_path, struct certificate *out, struct text *why);
void certificate_free(struct certificate *);

#endif
