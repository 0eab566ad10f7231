/*
 * cli_init.c - a data directory to begin with.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_impl.h"
#include "io/tls.h"
#include "mail/address.h"
#include "role/datadir.h"

enum { CERTIFICATE_DAYS = 3650 };

static const char template[] =
"# The settings of Postrider. Each line that is commented out shows the\n"
"# default; postrider.conf(5) explains all there are. After a change:\n"
"# systemctl reload postrider, or SIGHUP to its process.\n"
"\n"
"# A login without a domain means this one.\n"
"default_domain = \"%s\"\n"
"\n"
"# What this server calls itself. It should resolve, both ways.\n"
"hostname = \"%s\"\n"
"\n"
"# A chain and key of your own, for example from Let's Encrypt.\n"
"# tls {\n"
"#     certificate = \"tls/certificate.pem\"\n"
"#     key = \"tls/key.pem\"\n"
"# }\n"
"\n"
"# Where it listens. * is every address; empty: not at all.\n"
"# listen {\n"
"#     smtp = \"*:25\"\n"
"#     submission = \"*:587\"\n"
"#     submissions = \"*:465\"\n"
"#     imap = \"*:143\"\n"
"#     imaps = \"*:993\"\n"
"#     pop3 = \"*:110\"\n"
"#     pop3s = \"*:995\"\n"
"# }\n"
"\n"
"# smtp { max_size = 50M; max_recipients = 1000; }\n"
"# log { level = \"info\"; format = \"auto\"; }\n";

static int
failed(struct cli *cli, const char *name)
{
	return cli_say(EX_CANTCREAT, "%s/%s: %s", cli->data, name,
	    strerror(errno));
}

static int
write_config(struct cli *cli, int dir, const char *domain,
    const char *hostname)
{
	struct text config = TEXT_INIT(0);
	int r;

	text_printf(&config, template, domain, hostname);
	r = file_write(dir, DATADIR_CONFIG, text_span(&config), 0644);
	text_free(&config);
	return r == 1 ? EX_OK : failed(cli, DATADIR_CONFIG);
}

/* Self-signed, so that TLS works from the first minute on. */
static int
write_certificate(struct cli *cli, int dir, const char *domain,
    const char *hostname)
{
	const char *names[] = { hostname, domain, "localhost" };
	struct text certificate = TEXT_INIT(0), key = TEXT_INIT(0);
	int status = EX_OK;

	if (tls_make_self_signed(names, ARRAY_LEN(names), CERTIFICATE_DAYS,
	    &certificate, &key) != 1)
		status = cli_say(EX_SOFTWARE, "no certificate could be made");
	else if (mkdirat(dir, "tls", 0755) != 0 && errno != EEXIST)
		status = failed(cli, "tls");
	else if (file_write(dir, "tls/key.pem", text_span(&key), 0600) != 1)
		status = failed(cli, "tls/key.pem");
	else if (file_write(dir, "tls/certificate.pem",
	    text_span(&certificate), 0644) != 1)
		status = failed(cli, "tls/certificate.pem");
	text_free(&certificate);
	text_wipe(&key);
	return status;
}

static int
add_domain(struct cli *cli, const char *domain)
{
	struct domain_add_request request = { .domain = span_str(domain) };
	struct domain_add_reply reply;
	int status = cli_open(cli);

	if (status != EX_OK)
		return status;
	if (call_domain_add(cli->store, cli->arena, &request, &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, domain);
	return status == EX_OK ? cli_dkim_begin(cli, span_str(domain)) :
	    status;
}

static int
make(struct cli *cli, int dir, const char *domain, const char *hostname)
{
	int status = write_certificate(cli, dir, domain, hostname);

	if (status == EX_OK)
		status = write_config(cli, dir, domain, hostname);
	return status == EX_OK ? add_domain(cli, domain) : status;
}

static void
next_steps(struct cli *cli, const char *domain)
{
	cli_print_json(cli, json_pack("{s:s, s:s}", "data", cli->data,
	    "domain", domain));
	if (cli->json)
		return;
	printf("%s is ready for %s. What next:\n\n"
	    "  postrider account add you@%s --data %s\n"
	    "  postrider dns %s --data %s\n"
	    "  postrider run --data %s\n\n"
	    "The settings are in %s/" DATADIR_CONFIG "; its certificate is "
	    "self-signed,\nput one of your own into %s/tls when you have it.\n",
	    cli->data, domain, domain, cli->data, domain, cli->data,
	    cli->data, cli->data, cli->data);
}

int
cli_init(struct cli *cli)
{
	struct text why = TEXT_INIT(4096);
	char hostname[300], *name;
	struct span domain;
	int dir, status;

	if (address_domain(span_str(cli->words[0]), cli->arena, &domain) != 1)
		return cli_say(EX_DATAERR, "%s: not a domain", cli->words[0]);
	name = arena_cstr(cli->arena, domain);
	snprintf(hostname, sizeof(hostname), "mail.%s", name);
	dir = datadir_open(cli->data, true, &why);
	if (dir < 0)
		status = cli_say(EX_CANTCREAT, "%.*s",
		    SPAN_ARG(text_span(&why)));
	else if (faccessat(dir, DATADIR_CONFIG, F_OK, 0) == 0)
		status = cli_say(EX_CANTCREAT, "%s has been made already",
		    cli->data);
	else
		status = make(cli, dir, name, cli->hostname != NULL ?
		    cli->hostname : hostname);
	text_free(&why);
	if (dir >= 0)
		close(dir);
	if (status == EX_OK)
		next_steps(cli, name);
	return status;
}
