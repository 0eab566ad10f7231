/*
 * relay_policy_impl.h - the parts of relay_policy as they see each other.
 */
#ifndef RELAY_RELAY_POLICY_IMPL_H
#define RELAY_RELAY_POLICY_IMPL_H

#include "queue/tlsrpt.h"
#include "relay/relay_policy.h"

/* -- relay_policy_dane.c ------------------------------------------------- */
enum dane_status {
	DANE_NONE,		/* nothing is published, or nobody vouches */
	DANE_USABLE,		/* `records` decide */
	DANE_UNUSABLE,		/* there are some; none that we can use */
	DANE_LATER,		/* it could not be found out, or is forged */
};
struct dane {
	enum dane_status status;
	struct span base;	/* the TLSA base domain (RFC 7672 2.2.3) */
	struct tls_record *records;
	size_t count;
	struct span text;	/* all of them, one a line */
	struct span why;	/* in words */
	bool bogus;		/* DANE_LATER: they fail validation */
};
/* host_secure: known already; false: it is found out. */
void relay_dane_find(struct span host, bool host_secure, uint16_t port,
    struct arena *, struct dane *);

/* -- relay_policy_sts.c -------------------------------------------------- */
/* Sets sts_* of the policy and gives its kind: POLICY_STS_ENFORCE, _TESTING,
 * or POLICY_MAY where there is none; sets `temporary` when one may be kept
 * and cannot be read. Uses its domain and rua. */
enum policy_kind relay_sts_find(struct arena *, struct policy *);

/* -- relay_policy_store.c: what is asked of the store; a test does without  */
struct sts_kept {
	struct span id, policy;
	int64_t fetched;		/* seconds since 1970 UTC */
};
/* 1, 0 none is kept, -1 nobody knows just now. */
int  relay_sts_kept(struct span domain, struct arena *, struct sts_kept *);
bool relay_sts_keep(struct span domain, const struct sts_kept *,
    int64_t max_age, struct arena *);
bool relay_report_hand_over(const struct token *, struct span rows);

/* -- relay_policy_report.c ----------------------------------------------- */
/* Who wants reports about the domain; "" nobody. */
struct span relay_report_rua(struct span domain, struct arena *);
/* Count what failed, or went well, under a policy of that type. */
void relay_report_count(const struct policy *, enum tlsrpt_type,
    struct span policy_text, const struct tlsrpt_row *);

#endif
