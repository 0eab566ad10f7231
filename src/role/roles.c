/*
 * roles.c - the table of roles.
 */
#include "role/role.h"
#include "ipc/codec.h"
#include "role/control.h"

#define BIT(protocol)	(1u << PROTOCOL_##protocol)
#define USER(name)	offsetof(struct settings, user_##name)
#define MANY(name)	offsetof(struct settings, roles_##name)

/* In the order in which they start. */
const struct role roles[] = {
	{ SIGNER, &signer_events, 0, USER(signer), ONE_PROCESS, STOPS_LAST },
	{ RESOLVER, &resolver_events, BIT(ADMIN_DNS), USER(resolver),
	    ONE_PROCESS, STOPS_LAST },
	{ STORE, &store_events, BIT(ADMIN), USER(store), ONE_PROCESS,
	    STOPS_LAST },
	{ INDEX, &index_events, 0, USER(index), ONE_PROCESS, STOPS_FIRST },
	{ MX, &edge_events, BIT(SMTP) | BIT(LMTP), USER(mx), MANY(mx), STOPS_FIRST },
	{ ACCESS, &edge_events, BIT(SUBMISSION) | BIT(SUBMISSIONS) |
	    BIT(IMAP) | BIT(IMAPS) | BIT(POP3) | BIT(POP3S),
	    USER(access), MANY(access), STOPS_FIRST },
	{ RELAY, &relay_events, 0, USER(relay), ONE_PROCESS, STOPS_FIRST },
	{ METRICS, &metrics_events, BIT(METRICS), USER(metrics), ONE_PROCESS,
	    STOPS_FIRST },
};
const size_t role_count = ARRAY_LEN(roles);

const struct role *
role_by_name(const char *name)
{
	for (size_t i = 0; i < role_count; i++)
		if (strcmp(role_name(roles[i].bit), name) == 0)
			return &roles[i];
	return NULL;
}

const char *
role_user(const struct role *r, const struct settings *s)
{
	return (const char *)s + r->user;
}

unsigned
role_processes(const struct role *r, const struct settings *s,
    unsigned processors)
{
	uint64_t n;

	if (r->processes == ONE_PROCESS)
		return 1;
	memcpy(&n, (const char *)s + r->processes, sizeof(n));
	return n == 0 ? MAX(processors, 1) : (unsigned)n;
}

bool
role_calls(enum role_bit from, enum role_bit to)
{
	for (size_t i = 0; i < VERBS; i++)
		if (codecs[i].reply.size > 0 && (codecs[i].from & from) != 0 &&
		    (codecs[i].to & to) != 0)
			return true;
	return false;
}
