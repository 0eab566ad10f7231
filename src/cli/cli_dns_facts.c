/*
 * cli_dns_facts.c - what we know of a domain and of this server.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/secret.h"
#include "cli/cli_dns.h"
#include "mail/address.h"
#include "role/dkim_keys.h"
#include "role/listen.h"
#include "verify/spf.h"

/* ---- addresses -------------------------------------------------------- */

static bool
in_prefix(const struct ip_address *a, const char *prefix, unsigned bits)
{
	struct ip_address p;

	return ip_parse(span_str(prefix), &p) == 1 &&
	    ip_in_network(a, &p, bits);
}

/* Others can reach it: it is not for private use, a link, a loopback or for
 * examples. */
static bool
is_public(const struct ip_address *a)
{
	static const struct {
		const char *prefix;
		unsigned bits;
	} inner[] = {
		{ "0.0.0.0", 8 }, { "10.0.0.0", 8 }, { "100.64.0.0", 10 },
		{ "127.0.0.0", 8 }, { "169.254.0.0", 16 },
		{ "172.16.0.0", 12 }, { "192.168.0.0", 16 },
		{ "192.0.2.0", 24 }, { "198.51.100.0", 24 },
		{ "203.0.113.0", 24 }, { "2001:db8::", 32 },
		{ "224.0.0.0", 3 }, { "::", 8 }, { "fc00::", 7 },
		{ "fe80::", 9 }, { "ff00::", 8 },
	};

	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (in_prefix(a, inner[i].prefix, inner[i].bits))
			return false;
	return true;
}

static void
add_address(struct dns_facts *f, const struct ip_address *a)
{
	for (size_t i = 0; i < f->address_count; i++)
		if (f->addresses[i].family == a->family &&
		    memcmp(f->addresses[i].b, a->b, sizeof(a->b)) == 0)
			return;
	if (f->address_count < DNS_ADDRESSES_MAX)
		f->addresses[f->address_count++] = *a;
}

static int
read_socket_address(const struct sockaddr *s, struct ip_address *a)
{
	memset(a, 0, sizeof(*a));
	if (s == NULL)
		return 0;
	a->family = s->sa_family;
	if (s->sa_family == AF_INET)
		memcpy(a->b, &((const struct sockaddr_in *)s)->sin_addr, 4);
	else if (s->sa_family == AF_INET6)
		memcpy(a->b, &((const struct sockaddr_in6 *)s)->sin6_addr,
		    16);
	else
		return 0;
	return 1;
}

/* Those that the settings name; else those of the machine that are public. */
static void
find_addresses(const struct settings *s, struct dns_facts *f)
{
	struct span rest = span_str(s->relay_source), word;
	struct ifaddrs *all, *i;
	struct ip_address a;

	while ((word = span_word(&rest)).n > 0)
		if (ip_parse(word, &a) == 1)
			add_address(f, &a);
	if (f->address_count > 0 || getifaddrs(&all) != 0)
		return;
	for (i = all; i != NULL; i = i->ifa_next)
		if (read_socket_address(i->ifa_addr, &a) == 1 && is_public(&a))
			add_address(f, &a);
	freeifaddrs(all);
}

/* ---- services --------------------------------------------------------- */

/* The first port of a listen setting; 0: it listens nowhere. */
static uint16_t
port_of(const char *setting)
{
	struct span rest = span_str(setting), word = span_word(&rest);
	size_t at = word.n;
	uint32_t port;

	while (at > 0 && word.p[at - 1] != ':')
		at--;
	return at > 0 && span_u32(span_from(word, at), &port) == 1 &&
	    port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void
find_services(const struct settings *s, struct dns_facts *f)
{
	const struct dns_service all[DNS_SERVICES] = {
		{ "_submissions._tcp", port_of(s->listen_submissions), true },
		{ "_submission._tcp", port_of(s->listen_submission), false },
		{ "_imaps._tcp", port_of(s->listen_imaps), true },
		{ "_imap._tcp", port_of(s->listen_imap), false },
		{ "_pop3s._tcp", port_of(s->listen_pop3s), true },
		{ "_pop3._tcp", port_of(s->listen_pop3), false },
	};

	memcpy(f->services, all, sizeof(all));
}

/* ---- the certificate -------------------------------------------------- */

static void
hash_key(X509 *leaf, char out[65])
{
	unsigned char *der = NULL, hash[32];
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);

	if (n > 0 && EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(),
	    NULL) == 1)
		hex_of(out, hash, sizeof(hash));
	OPENSSL_free(der);
}

static int
find_certificate(struct cli *cli, int data, struct dns_facts *f)
{
	const char *path = cli->settings.tls_certificate;
	struct text pem = TEXT_INIT(1 << 20);
	X509 *leaf = NULL;
	BIO *in;

	if (*path == '\0')
		return EX_OK;
	if (file_read(data, path, 1 << 20, &pem) != 1) {
		text_free(&pem);
		return cli_say(EX_NOINPUT, "%s: %s", path, strerror(errno));
	}
	in = BIO_new_mem_buf(pem.p, (int)pem.n);
	leaf = PEM_read_bio_X509(in, NULL, NULL, NULL);
	if (leaf != NULL)
		hash_key(leaf, f->key_hash);
	X509_free(leaf);
	BIO_free(in);
	text_free(&pem);
	return leaf != NULL ? EX_OK : cli_say(EX_DATAERR, "%s: no certificate "
	    "in PEM", path);
}

/* ---- keys, policy, names ---------------------------------------------- */

static void
add_key(struct cli *cli, void *arg, const struct dkim_file *file,
    const char *algorithm, struct span record)
{
	struct dns_facts *f = arg;

	(void)algorithm;
	if (f->key_count == DNS_KEYS_MAX)
		return;
	f->keys[f->key_count++] = (struct dns_key){
		.selector = arena_dup(cli->arena, file->selector),
		.record = arena_dup(cli->arena, record),
		.retired = file->retired != 0,
	};
}

/* Its id follows from what it says: another policy is another id. */
static void
write_policy(struct cli *cli, struct dns_facts *f)
{
	unsigned char hash[32];

	f->sts_policy = arena_printf(cli->arena, "version: STSv1\r\n"
	    "mode: enforce\r\nmx: %.*s\r\nmax_age: 604800\r\n",
	    SPAN_ARG(f->host));
	EVP_Digest(f->sts_policy.p, f->sts_policy.n, hash, NULL, EVP_sha256(),
	    NULL);
	hex_of(f->sts_id, hash, 8);
}

static int
find_host(struct cli *cli, struct dns_facts *f)
{
	char name[256] = "";

	if (*cli->settings.hostname != '\0')
		snprintf(name, sizeof(name), "%s", cli->settings.hostname);
	else if (gethostname(name, sizeof(name) - 1) != 0)
		return cli_say(EX_OSERR, "hostname: %s", strerror(errno));
	if (address_domain(span_str(name), cli->arena, &f->host) != 1 ||
	    span_find_char(f->host, '.', 0) == SIZE_MAX)
		return cli_say(EX_CONFIG, "hostname: \"%s\" is not a name "
		    "that others could look up", name);
	f->host_inside = span_eq(f->host, f->domain) ||
	    span_ends(f->host, arena_printf(cli->arena, ".%.*s",
	    SPAN_ARG(f->domain)));
	return EX_OK;
}

int
dns_find_facts(struct cli *cli, struct dns_facts *f)
{
	int data, status;

	memset(f, 0, sizeof(*f));
	status = cli_domain_word(cli, cli->words[0], &f->domain);
	if (status == EX_OK)
		status = find_host(cli, f);
	if (status != EX_OK)
		return status;
	data = open(cli->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data < 0)
		return cli_say(EX_NOINPUT, "%s: %s", cli->data,
		    strerror(errno));
	find_addresses(&cli->settings, f);
	find_services(&cli->settings, f);
	write_policy(cli, f);
	status = find_certificate(cli, data, f);
	close(data);
	return status == EX_OK ? cli_dkim_each(cli, f->domain, add_key, f) :
	    status;
}
