/*
 * spf.h - SPF records, read (RFC 7208 4.6, 5, 12). Pure.
 */
#ifndef VERIFY_SPF_H
#define VERIFY_SPF_H

#include "base/arena.h"
#include "base/text.h"
#include "verify/resolve.h"

enum { SPF_TERMS_MAX = 256, SPF_LOOKUPS_MAX = 10 };

enum spf_kind {
	SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6,
	SPF_EXISTS, SPF_REDIRECT, SPF_EXP, SPF_OTHER_MODIFIER,
};

struct spf_term {
	enum spf_kind kind;
	char qualifier;			/* + - ~ ?; of modifiers 0 */
	struct span domain;		/* "" the current one */
	bool macro;			/* the domain has macros */
	struct ip_address network;	/* of ip4, ip6 */
	unsigned bits4, bits6;		/* of the network; 32 and 128 */
};

/* Is this TXT record one of SPF? */
bool spf_is(struct span txt);
/* 1; 0 and *why: what is wrong, in words; -1 the arena is full. */
int spf_parse(struct span record, struct arena *, struct spf_term **terms,
    size_t *count, struct text *why);
/* Does a term cost a lookup (4.6.4)? */
bool spf_asks(const struct spf_term *);
bool ip_in_network(const struct ip_address *, const struct ip_address *network,
    unsigned bits);

#endif
