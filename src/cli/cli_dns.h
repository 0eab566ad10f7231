/*
 * cli_dns.h - what we know of a domain and of this server that belongs into
 * the DNS.
 */
#ifndef CLI_CLI_DNS_H
#define CLI_CLI_DNS_H

#include "cli/cli_impl.h"
#include "verify/resolve.h"

enum { DNS_ADDRESSES_MAX = 32, DNS_KEYS_MAX = 64 };

struct dns_key {
	struct span selector, record;
	bool retired;
};

/* A client's protocol: where it listens (0 nowhere), and whether TLS begins
 * at once. */
struct dns_service {
	const char *name;		/* "_imaps._tcp" */
	uint16_t port;
	bool tls;
};
enum { DNS_SERVICES = 6 };

struct dns_facts {
	struct span domain, host;	/* A-labels */
	bool host_inside;		/* its name is below the domain */
	char key_hash[65];		/* of the certificate's key, TLSA 3 1 1;
					   "": there is no certificate */
	struct ip_address addresses[DNS_ADDRESSES_MAX];
	size_t address_count;		/* of this machine, seen from outside */
	struct dns_key keys[DNS_KEYS_MAX];
	size_t key_count;
	struct dns_service services[DNS_SERVICES];
	struct span sts_policy;		/* RFC 8461, CRLF */
	char sts_id[17];
};

/* All in cli->arena. EX_OK, or a status after saying why. */
int dns_find_facts(struct cli *, struct dns_facts *);

#endif
