/*
 * dkim_keys.h - the keys that sign domains' mail, as files.
 *
 *	dkim/DOMAIN/SELECTOR.pem	for the supervisor's user alone
 *
 * Before the PEM of a file stands when it was made, and when another took
 * over from it: "Created: 2026-11-21T03:10:05Z", "Retired: ...". A key of an
 * operator's own may stand there without. Selectors we make say what they
 * are: pr202611a-rsa, pr202611a-ed25519.
 *
 * A new key signs once the DNS shows it; when signer tells that it does, the
 * older ones of its algorithm are retired, and later deleted.
 */
#ifndef ROLE_DKIM_KEYS_H
#define ROLE_DKIM_KEYS_H

#include "base/text.h"
#include "ipc/contract.h"
#include "role/dkim_pem.h"

#define DKIM_DIRECTORY "dkim"

struct dkim_file {
	struct span domain, selector;
	int64_t created;		/* seconds since 1970 UTC */
	int64_t retired;		/* 0: it signs, or will */
	struct span pem;
};

/*
 * Each key of a domain ("": of all), newest first within a domain, until fn
 * says no. 1; 0 *why: of a directory that cannot be read. Files that cannot
 * be are told to `bad`, with why, and left out.
 */
typedef bool dkim_file_fn(void *arg, const struct dkim_file *);
typedef void dkim_bad_fn(void *arg, const char *path, struct span why);
int dkim_keys_each(int data, struct span domain, dkim_file_fn *,
    dkim_bad_fn *bad, void *arg, struct text *why);

/* A pair of new ones. 1; 0 and *why. selector: what both begin with. */
int dkim_keys_make(int data, struct span domain, int64_t now,
    struct text *selector, struct text *why);
/* All of a domain's. 1; 0 and *why. None there is fine. */
int dkim_keys_remove(int data, struct span domain, struct text *why);
/* `selector` signs: the older ones of its algorithm do so no more. How many
 * they were; -1 and *why. */
int dkim_keys_took_over(int data, struct span domain, struct span selector,
    int64_t now, struct text *why);

/* What is to do by the clock: times in seconds, rotate 0: never. */
struct dkim_schedule {
	int64_t now, rotate, retire;
	void (*made)(struct span domain, struct span selector);
	void (*deleted)(struct span domain, struct span selector);
	void (*failed)(struct span domain, struct span why);
};
enum { DKIM_MADE_AT_ONCE = 4 };		/* domains: an RSA key takes time */
/* Whether anything changed, and in *more, whether more is to be made. */
bool dkim_keys_keep(int data, const struct dkim_schedule *, bool *more);

/* All of them for signer: dkim_secret records. Whether they are keys, it will
 * see when it needs them. 1; 0 and *why. */
int dkim_keys_pack(int data, dkim_bad_fn *bad, void *arg, struct text *out,
    struct text *why);
/* Is there such a key among the packed ones? */
bool dkim_keys_has(struct span packed, struct span domain,
    struct span selector);

#endif
