/*
 * dns_engine.h - libunbound, set up as a plan says: validation and the cache.
 *
 * It opens no file and starts nothing: it lives in the sandbox, on the loop.
 */
#ifndef ROLE_DNS_ENGINE_H
#define ROLE_DNS_ENGINE_H

#include "role/dns_plan.h"

struct dns_engine;

enum dns_security { DNS_INSECURE, DNS_BOGUS, DNS_SECURE };

/* On the loop's own stack. packet is gone afterwards; empty when rcode says
 * that there is none. */
typedef void dns_answered(void *arg, int rcode, struct span packet,
    enum dns_security, const char *why);

/* NULL and *why. The plan is copied as far as it is needed. */
struct dns_engine *dns_engine_new(const struct dns_plan *, struct text *why);
/* Every question that was taken is answered. 1; 0 fn is not called. Never on a
 * fiber: it needs a real stack. */
int  dns_engine_ask(struct dns_engine *, const char *name, uint32_t type,
    dns_answered *, void *arg);
/* No more questions; it goes when the last one is answered. */
void dns_engine_retire(struct dns_engine **);

#endif
