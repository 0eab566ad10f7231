/*
 * dns_plan.h - from settings and the system's files to what the resolver
 * does: whom it asks, and where its trust begins.
 *
 * Pure: the supervisor reads the files (dns_files.h) and refuses settings of
 * which no plan can be made; the resolver makes the same plan of them.
 */
#ifndef ROLE_DNS_PLAN_H
#define ROLE_DNS_PLAN_H

#include "base/settings.h"
#include "base/text.h"

enum { DNS_PORTS_MAX = 16 };

/* Lists are lines; a server is "address@port". */
struct dns_plan {
	bool validate;
	uint64_t cache;			/* bytes */
	struct text forwards;		/* servers; empty: from the root */
	struct text stubs;		/* "zone server" */
	struct text insecure;		/* zones */
	struct text anchors;		/* DS or DNSKEY records */
	struct text roots;		/* addresses of root servers */
	bool local_servers;		/* one of them is on the loopback */
	uint16_t ports[DNS_PORTS_MAX];	/* where servers are, 53 too */
	size_t port_count;
};

struct dns_texts {
	struct span resolv_conf, trust_anchor, root_hints;
};

/* 1; 0 and *why. Free it either way. */
int  dns_plan_make(const struct settings *, const struct dns_texts *,
    struct dns_plan *, struct text *why);
bool dns_plan_same(const struct dns_plan *, const struct dns_plan *);
void dns_plan_free(struct dns_plan *);

#endif
