/*
 * cli_dns_check.c - what the DNS says of a domain, judged in plain words.
 */
#include "cli/cli_impl.h"

int
cli_check_domain(struct cli *cli)
{
	return cli_say(EX_UNAVAILABLE, "%s: not yet", cli->words[0]);
}
