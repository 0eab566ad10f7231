/*
 * cli_dns_check.h - what the DNS says of a domain, judged.
 *
 * Every judgement is a row: JUDGE(id, level, name, good, bad, cost). level
 * BETTER: it works, and could be better; WRONG: something fails because of
 * it. What was found is added to the sentence.
 */
#ifndef CLI_CLI_DNS_CHECK_H
#define CLI_CLI_DNS_CHECK_H

#include "cli/cli_dns.h"

enum level { BETTER, WRONG };

#define JUDGEMENTS(JUDGE)						\
JUDGE(MX_HERE, WRONG, "mx",						\
    "Its mail comes to this server",					\
    "Its mail does not come to this server",				\
    "what others send to it does not arrive here")			\
JUDGE(MX_ALIAS, WRONG, "mx-alias",					\
    "The MX is a name of its own",					\
    "The MX is an alias (CNAME)",					\
    "some servers do not send to it (RFC 2181 10.3)")			\
JUDGE(HOST, WRONG, "host",						\
    "The server's name has an address",					\
    "The server's name has no address",					\
    "nobody can connect to it, and many refuse its mail")		\
JUDGE(HOST_OURS, BETTER, "host-address",				\
    "That address is this machine's",					\
    "No address of that name is this machine's",			\
    "fine behind address translation; else mail goes elsewhere")	\
JUDGE(PTR, WRONG, "ptr",						\
    "The address leads back to a name that leads to it",		\
    "The address does not lead back to a name that leads to it",	\
    "many servers refuse its mail, or take it for spam; who gave you the "\
    "address sets its PTR")						\
JUDGE(PTR_GENERIC, BETTER, "ptr-name",					\
    "The address leads back to the name the server says",		\
    "The address leads back to another name than the server says",	\
    "some servers trust its mail less, most of all where the name looks "\
    "like a customer line's")						\
JUDGE(DNSSEC, BETTER, "dnssec",						\
    "The zone is signed (DNSSEC)",					\
    "The zone is not signed (DNSSEC)",					\
    "answers can be forged on the way, and DANE does not count")	\
JUDGE(BOGUS, WRONG, "dnssec-broken",					\
    "Its signatures hold",						\
    "Its DNSSEC signatures do not hold",				\
    "whoever validates sees nothing of the domain: no mail to or from it")\
JUDGE(SPF, WRONG, "spf",						\
    "SPF says who sends its mail",					\
    "Nothing says who sends its mail (no SPF record)",			\
    "its mail is trusted less, and some refuse it")			\
JUDGE(SPF_ONE, WRONG, "spf-one",					\
    "There is one SPF record",						\
    "There is more than one SPF record",				\
    "others take that for an error: as if its mail were forged")	\
JUDGE(SPF_SYNTAX, WRONG, "spf-syntax",					\
    "The SPF record can be read",					\
    "The SPF record is broken",						\
    "others take that for an error: as if its mail were forged")	\
JUDGE(SPF_LOOKUPS, WRONG, "spf-lookups",				\
    "It takes few enough lookups",					\
    "It takes more than 10 lookups",					\
    "others take that for an error (RFC 7208 4.6.4)")			\
JUDGE(SPF_US, WRONG, "spf-server",					\
    "SPF lets this server send",					\
    "SPF does not let this server send",				\
    "the mail this server sends looks forged")				\
JUDGE(SPF_END, BETTER, "spf-all",					\
    "SPF lets nobody else send",					\
    "SPF does not say that nobody else may send (-all or ~all)",	\
    "forged mail is not told from its own")				\
JUDGE(HOST_SPF, BETTER, "host-spf",					\
    "SPF of the server's own name lets it send",			\
    "The server's own name has no SPF that lets it send",		\
    "its bounces, whose sender is empty, are trusted less")		\
JUDGE(DKIM, WRONG, "dkim",						\
    "The key that signs is in the DNS",					\
    "No key is in the DNS that could sign",				\
    "its mail goes out without a signature: large providers trust it less, "\
    "or refuse it")							\
JUDGE(DKIM_WAITING, BETTER, "dkim-new",					\
    "The newest key is in the DNS",					\
    "The newest key is not in the DNS yet",				\
    "the older one, if it is there, signs on")				\
JUDGE(DKIM_OTHER, WRONG, "dkim-other",					\
    "The DNS has our key",						\
    "The DNS has another key in the place of ours, or a broken one",	\
    "that key does not sign; signatures made before do not verify")	\
JUDGE(DKIM_TESTING, BETTER, "dkim-testing",				\
    "The key is published in earnest",					\
    "The key is published for tests (t=y)",				\
    "some treat its signatures as if they were none")			\
JUDGE(DMARC, WRONG, "dmarc",						\
    "DMARC says what to do with forgeries",				\
    "Nothing says what to do with forgeries (no DMARC record)",		\
    "large providers refuse mail in bulk from it; forgeries get through")\
JUDGE(DMARC_ONE, WRONG, "dmarc-one",					\
    "There is one DMARC record",					\
    "There is more than one DMARC record",				\
    "others behave as if there were none")				\
JUDGE(DMARC_SYNTAX, WRONG, "dmarc-syntax",				\
    "The DMARC record can be read",					\
    "The DMARC record is broken",					\
    "others behave as if there were none")				\
JUDGE(DMARC_POLICY, BETTER, "dmarc-policy",				\
    "DMARC keeps forgeries out",					\
    "DMARC asks for reports alone (p=none)",				\
    "forgeries get through; once reports show only those failing, say "	\
    "p=quarantine, then p=reject")					\
JUDGE(DMARC_REPORTS, BETTER, "dmarc-reports",				\
    "DMARC says where reports go",					\
    "DMARC does not say where reports go (rua=)",			\
    "nobody hears of forgeries, or of good mail that fails")		\
JUDGE(DMARC_ELSEWHERE, BETTER, "dmarc-reports-elsewhere",		\
    "The other domain takes those reports",				\
    "The other domain does not say that it takes those reports",	\
    "no reports come (RFC 7489 7.1)")					\
JUDGE(STS, BETTER, "mta-sts",						\
    "MTA-STS is published",						\
    "MTA-STS is not published",						\
    "without DANE, who stands in between can turn TLS off")		\
JUDGE(STS_SYNTAX, WRONG, "mta-sts-syntax",				\
    "The MTA-STS record can be read",					\
    "The MTA-STS record is broken",					\
    "others behave as if there were none")				\
JUDGE(STS_HOST, WRONG, "mta-sts-host",					\
    "The host with the MTA-STS policy has an address (what it serves, look "\
    "at with a browser)",						\
    "The host with the MTA-STS policy has no address",			\
    "the policy cannot be fetched: as if there were none")		\
JUDGE(TLSRPT, BETTER, "tls-rpt",					\
    "Others are told where to report trouble with TLS",			\
    "Nobody is told where to report trouble with TLS",			\
    "when TLS to this server fails, it goes unnoticed")			\
JUDGE(TLSRPT_SYNTAX, WRONG, "tls-rpt-syntax",				\
    "The record for TLS reports can be read",				\
    "The record for TLS reports is broken",				\
    "no reports come")							\
JUDGE(TLSA, BETTER, "dane",						\
    "DANE names the key of the certificate",				\
    "DANE names no key (no TLSA record)",				\
    "without MTA-STS, who stands in between can turn TLS off")		\
JUDGE(TLSA_MATCH, WRONG, "dane-key",					\
    "That key is ours",							\
    "None of the TLSA records is of our certificate's key",		\
    "who checks DANE does not send to this server at all")		\
JUDGE(TLSA_SIGNED, BETTER, "dane-signed",				\
    "Its zone is signed, so DANE counts",				\
    "Its zone is not signed, so DANE does not count",			\
    "the TLSA records have no effect")					\
JUDGE(SERVICE, BETTER, "client",					\
    "Clients find",							\
    "Clients do not find",						\
    "people must type the names of their servers")

enum judgement {
#define JUDGE(id, level, name, good, bad, cost) J_##id,
	JUDGEMENTS(JUDGE)
#undef JUDGE
	JUDGEMENT_COUNT
};

struct check {
	struct cli *cli;
	struct arena *arena;
	const struct dns_facts *facts;
	json_t *rows;
	unsigned counts[2];		/* by level */
	unsigned unknown;
	bool bogus;			/* it was said already */
	size_t host_count;		/* addresses of the server's name */
	struct ip_address host[DNS_ADDRESSES_MAX];
};

/* What was found, in the words of printf; "" for none. Returns `good`. */
bool judge(struct check *, enum judgement, bool good, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/*
 * No answer that could be judged: says so, for the row that wanted one. True:
 * there was an answer, perhaps that there is nothing.
 */
bool answered(struct check *, enum judgement, const struct resolve_answer *);

/* -- cli_dns_host.c: the server, how it is reached, and its services ---- */
void check_mx(struct check *);
void check_host(struct check *);
void check_ptr(struct check *);
void check_tlsa(struct check *);
void check_services(struct check *);
/* -- cli_dns_policy.c: what the domain publishes about its mail --------- */
void check_dkim(struct check *);
void check_dmarc(struct check *);
void check_sts(struct check *);
void check_tlsrpt(struct check *);
/* The TXT records of a name that begin so; in check->arena. */
struct resolve_answer find_txt(struct check *, struct span name,
    const char *begin, struct span *first, size_t *count);
/* -- cli_dns_spf.c ------------------------------------------------------ */
void check_spf(struct check *);

#endif
