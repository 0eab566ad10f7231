/*
 * sts.h - what a domain publishes for MTA-STS (RFC 8461).
 *
 * The TXT record that says there is a policy, the policy file, and which MX
 * it allows. Pure.
 */
#ifndef VERIFY_STS_H
#define VERIFY_STS_H

#include "base/arena.h"
#include "base/base.h"

enum {
	STS_ID_MAX = 32,
	STS_MX_MAX = 1000,		/* patterns of a policy */
	STS_MAX_AGE = 31557600,		/* seconds: a year (3.2) */
};

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
	enum sts_mode mode;
	int64_t max_age;		/* seconds */
	struct span *mx;		/* "mx.example.org", "*.example.org" */
	size_t mx_count;
};

/*
 * Of the TXT records of _mta-sts.DOMAIN: *id of the one that counts. 1; 0
 * none begins with v=STSv1; -1 there are several, or it is malformed.
 */
int sts_record(const struct span *records, size_t count, struct span *id);
/* Spans point into the file. 1; 0 not a policy. */
int sts_policy_parse(struct span file, struct arena *, struct sts_policy *);
/* May mail for the policy's domain go there (4.1)? A-labels. */
bool sts_allows(const struct span *patterns, size_t count, struct span host);

#endif
