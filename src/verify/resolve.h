/*
 * resolve.h - asking the DNS, for those who may: mx, relay, filter.
 *
 * Every question goes to the resolver role (ipc), which validates and
 * caches; here answers are taken apart into what they say. A test gives
 * answers of its own (resolve_test). On a fiber; every call has the
 * contract's deadline.
 */
#ifndef VERIFY_RESOLVE_H
#define VERIFY_RESOLVE_H

#include "base/arena.h"
#include "base/base.h"
#include "base/text.h"
#include "ipc/call.h"

enum resolve_status {
	RESOLVE_OK,		/* there are records */
	RESOLVE_NONE,		/* the name is there, or not; no such records */
	RESOLVE_NXDOMAIN,	/* nor is the name */
	RESOLVE_TEMPORARY,	/* nobody knows just now */
	RESOLVE_BOGUS,		/* it fails validation: use nothing of it */
};

struct resolve_answer {
	enum resolve_status status;
	bool secure;		/* validated; of negative answers too */
	uint32_t ttl;
	struct span canonical;	/* behind CNAMEs; lower case, no final dot */
	struct span why;	/* of TEMPORARY and BOGUS, in words */
};

struct ip_address {
	int family;		/* AF_INET, AF_INET6 */
	uint8_t b[16];
};

struct dns_mx {
	uint16_t preference;
	struct span host;	/* lower case, no final dot; "" is "." */
};

struct dns_tlsa {		/* RFC 6698 2.1 */
	uint8_t usage, selector, matching;
	struct span data;
};

/* Who is asked from now on; NULL in tests that give their own answers. */
void resolve_setup(struct link *resolver);
/*
 * Tests: fn answers instead, with the fields of the contract's reply (which
 * is zeroed: nothing done is an empty answer); NULL ends that.
 */
typedef void resolve_fake(void *arg, struct span name, uint32_t type,
    struct arena *, struct resolve_reply *);
void resolve_test(resolve_fake *, void *arg);

/*
 * All: arrays in the arena, empty unless RESOLVE_OK; broken RDATA is left
 * out (so RESOLVE_OK with none means that all are broken). MX sorted by
 * preference, equal ones shuffled. Names in A-labels.
 */
struct resolve_answer resolve_mx(struct span domain, struct arena *,
    struct dns_mx **, size_t *count);
struct resolve_answer resolve_addresses(struct span host, int family,
    struct arena *, struct ip_address **, size_t *count);
struct resolve_answer resolve_tlsa(struct span name, struct arena *,
    struct dns_tlsa **, size_t *count);
/* Strings of one record joined. */
struct resolve_answer resolve_txt(struct span name, struct arena *,
    struct span **, size_t *count);
struct resolve_answer resolve_ptr(const struct ip_address *, struct arena *,
    struct span **names, size_t *count);
/* Whatever type, RDATA as it is on the wire, names not compressed. */
struct resolve_answer resolve_records(struct span name, uint32_t type,
    struct arena *, struct span **rdata, size_t *count);

/* "192.0.2.1" or "2001:db8::1"; 1, 0. */
int  ip_parse(struct span, struct ip_address *);
void ip_write(const struct ip_address *, struct text *);

/* -- pure: RDATA as it is on the wire (RFC 1035 3.3). 1, 0 malformed. */
int dns_read_name(struct span data, struct arena *, struct span *name,
    struct span *rest);
int dns_read_mx(struct span data, struct arena *, struct dns_mx *);
int dns_read_tlsa(struct span data, struct dns_tlsa *);
int dns_read_txt(struct span data, struct arena *, struct span *);

#endif
