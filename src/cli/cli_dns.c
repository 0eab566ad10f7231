/*
 * cli_dns.c - every record that a domain should have, as a zone file.
 *
 * In the form of RFC 1035 5.1, to be included into a zone or read by a
 * person; what cannot be published as it stands is there as a comment.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "cli/cli_dns.h"

enum {
	STRING_MAX = 255,		/* of TXT: RFC 1035 3.3 */
	WIDTH = 78,
};

struct zone {
	struct cli *cli;
	const struct dns_facts *facts;
	json_t *rows;
};

/* ---- writing ---------------------------------------------------------- */

/* What follows is about this: a comment, in lines that fit. */
static void
say(struct zone *z, const char *words)
{
	struct span rest = span_str(words), word;
	size_t column = WIDTH;

	if (z->cli->json)
		return;
	while ((word = span_word(&rest)).n > 0) {
		if (column + 1 + word.n > WIDTH) {
			fputs("\n;", stdout);
			column = 1;
		}
		printf(" %.*s", SPAN_ARG(word));
		column += 1 + word.n;
	}
	putchar('\n');
}

/* active: to be published as it is; else a suggestion, in a comment. */
static void
put(struct zone *z, bool active, const char *name, const char *type,
    const char *data)
{
	json_array_append_new(z->rows, json_pack("{s:s, s:s, s:s, s:b}",
	    "name", name, "type", type, "data", data, "publish",
	    (int)active));
	if (!z->cli->json)
		printf("%s%-40s IN %-5s %s\n", active ? "" : "; ", name, type,
		    data);
}

/* A name of the zone, as it stands in its file. */
static const char *
name_of(struct zone *z, const char *prefix, struct span base)
{
	return arena_printf(z->cli->arena, "%s%s%.*s.", prefix,
	    *prefix == '\0' ? "" : ".", SPAN_ARG(base)).p;
}

static void
put_txt(struct zone *z, bool active, const char *name, struct span value)
{
	struct text t = TEXT_INIT(65536);

	for (size_t at = 0; at == 0 || at < value.n; at += STRING_MAX) {
		text_str(&t, at > 0 ? " \"" : "\"");
		text_add(&t, span_sub(value, at, STRING_MAX));
		text_char(&t, '"');
	}
	put(z, active, name, "TXT", arena_cstr(z->cli->arena,
	    text_span(&t)));
	text_free(&t);
}

/* ---- the server's name ------------------------------------------------ */

static void
put_addresses(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	const char *host = name_of(z, "", f->host);
	struct text t = TEXT_INIT(64);

	for (size_t i = 0; i < f->address_count; i++) {
		text_clear(&t);
		ip_write(&f->addresses[i], &t);
		put(z, f->host_inside, host,
		    f->addresses[i].family == AF_INET ? "A" : "AAAA",
		    arena_cstr(z->cli->arena, text_span(&t)));
	}
	if (f->address_count == 0) {
		put(z, false, host, "A", "(the address of this server)");
		put(z, false, host, "AAAA", "(its IPv6 address, if any)");
	}
	text_free(&t);
}

static void
host_records(struct zone *z)
{
	const struct dns_facts *f = z->facts;

	say(z, f->host_inside ?
	    "The server itself. Have its addresses resolve back to its name, "
	    "too (PTR, at whoever gave you the addresses): many refuse mail "
	    "from one that does not." :
	    "The server itself. Its name is in another zone: these records "
	    "belong there.");
	put_addresses(z);
	put_txt(z, f->host_inside, name_of(z, "", f->host),
	    SPAN("v=spf1 a -all"));
	if (*f->key_hash == '\0')
		return;
	say(z, "The key of its certificate, for DANE (RFC 7672). It counts "
	    "where the zone is signed (DNSSEC). Before the key changes, "
	    "publish the next one beside it for a day; or let renewals keep "
	    "the key (certbot: --reuse-key).");
	put(z, f->host_inside, name_of(z, "_25._tcp", f->host), "TLSA",
	    arena_printf(z->cli->arena, "3 1 1 %s", f->key_hash).p);
}

/* ---- mail ------------------------------------------------------------- */

static void
spf_record(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	struct text t = TEXT_INIT(4096);

	text_str(&t, "v=spf1 mx");
	if (*z->cli->settings.relay_source != '\0')
		for (size_t i = 0; i < f->address_count; i++) {
			text_str(&t, f->addresses[i].family == AF_INET ?
			    " ip4:" : " ip6:");
			ip_write(&f->addresses[i], &t);
		}
	text_str(&t, " -all");
	say(z, "Who sends mail of this domain: this server, nobody else "
	    "(SPF, RFC 7208). If others do (a newsletter service), add what "
	    "they tell you before -all.");
	put_txt(z, true, name_of(z, "", f->domain), text_span(&t));
	text_free(&t);
}

static void
dkim_records(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	const char *name;

	say(z, f->key_count > 0 ?
	    "The keys that sign its mail (DKIM). A new one signs as soon as "
	    "it is here. A retired one stays a while, for mail that is still "
	    "on its way." :
	    "There are no keys that sign its mail yet: `postrider dkim "
	    "rotate` makes them.");
	for (size_t i = 0; i < f->key_count; i++) {
		if (f->keys[i].retired)
			say(z, "retired:");
		name = arena_printf(z->cli->arena, "%.*s._domainkey.%.*s.",
		    SPAN_ARG(f->keys[i].selector), SPAN_ARG(f->domain)).p;
		put_txt(z, true, name, f->keys[i].record);
	}
}

static void
mail_records(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	struct arena *a = z->cli->arena;

	say(z, "Where its mail goes.");
	put(z, true, name_of(z, "", f->domain), "MX", arena_printf(a,
	    "10 %.*s.", SPAN_ARG(f->host)).p);
	spf_record(z);
	dkim_records(z);
	say(z, "What others shall do with mail that claims to be its and has "
	    "neither (DMARC). p=none asks for reports alone; when they show "
	    "nothing of yours failing, p=quarantine, then p=reject keep "
	    "forgers out.");
	put_txt(z, true, name_of(z, "_dmarc", f->domain), arena_printf(a,
	    "v=DMARC1; p=none; rua=mailto:postmaster@%.*s",
	    SPAN_ARG(f->domain)));
	say(z, "Where others tell how TLS to here went (RFC 8460).");
	put_txt(z, true, name_of(z, "_smtp._tls", f->domain), arena_printf(a,
	    "v=TLSRPTv1; rua=mailto:postmaster@%.*s", SPAN_ARG(f->domain)));
}

/* ---- MTA-STS ---------------------------------------------------------- */

static void
sts_records(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	struct arena *a = z->cli->arena;
	struct span rest = f->sts_policy, line;

	say(z, "MTA-STS (RFC 8461): others then insist on TLS, without "
	    "DNSSEC too. It takes a web server with a certificate of a known "
	    "authority for the name below, which gives out this policy "
	    "(Postrider serves no HTTPS itself); and such a certificate for "
	    "the mail server's own name. When all that is there, publish:");
	put_txt(z, false, name_of(z, "_mta-sts", f->domain), arena_printf(a,
	    "v=STSv1; id=%s", f->sts_id));
	put(z, false, name_of(z, "mta-sts", f->domain), "A",
	    "(the address of that web server)");
	say(z, arena_printf(a, "and serve, at "
	    "https://mta-sts.%.*s/.well-known/mta-sts.txt :",
	    SPAN_ARG(f->domain)).p);
	while (!z->cli->json && rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		printf(";     %.*s\n", SPAN_ARG(span_chomp(line)));
	}
}

/* ---- clients ---------------------------------------------------------- */

static void
client_records(struct zone *z)
{
	const struct dns_facts *f = z->facts;
	struct arena *a = z->cli->arena;

	say(z, "How mail clients find their servers by themselves (RFC 6186, "
	    "RFC 8314). A dot says that there is no such service.");
	for (size_t i = 0; i < DNS_SERVICES; i++) {
		const struct dns_service *s = &f->services[i];

		put(z, true, name_of(z, s->name, f->domain), "SRV",
		    s->port == 0 ? "0 0 0 ." : arena_printf(a, "%d 1 %u %.*s.",
		    s->tls ? 0 : 10, (unsigned)s->port,
		    SPAN_ARG(f->host)).p);
	}
	say(z, "Thunderbird and Outlook ask over HTTPS instead; Postrider "
	    "does not answer that itself. If a web server of yours does:");
	put(z, false, name_of(z, "autoconfig", f->domain), "CNAME",
	    "(that web server)");
	put(z, false, name_of(z, "_autodiscover._tcp", f->domain), "SRV",
	    "0 1 443 (that web server)");
	say(z, "Which authority may issue certificates; name the one you "
	    "use.");
	put(z, false, name_of(z, "", f->domain), "CAA",
	    "0 issue \"letsencrypt.org\"");
}

static void
write_zone(struct zone *z)
{
	const struct dns_facts *f = z->facts;

	if (!z->cli->json)
		printf("; What the DNS should say of %.*s, whose mail server "
		    "is %.*s.\n; `postrider check %.*s` tells what it does "
		    "say.\n\n$TTL 3600\n", SPAN_ARG(f->domain),
		    SPAN_ARG(f->host), SPAN_ARG(f->domain));
	mail_records(z);
	host_records(z);
	client_records(z);
	sts_records(z);
}

int
cli_dns(struct cli *cli)
{
	struct dns_facts *f = arena_alloc(cli->arena, sizeof(*f));
	struct zone z = { .cli = cli, .facts = f };
	int status = cli_open(cli);

	if (status == EX_OK)
		status = dns_find_facts(cli, f);
	if (status == EX_OK)
		status = cli_domain_is_ours(cli, f->domain);
	if (status != EX_OK)
		return status;
	z.rows = json_array();
	write_zone(&z);
	cli_print_json(cli, z.rows);
	return EX_OK;
}
