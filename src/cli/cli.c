/*
 * cli.c - which commands there are.
 *
 * One table holds the commands with their options, words and help; --help,
 * the checks of a command line and the manual page's test come from it.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "cli/cli_impl.h"
#include "role/datadir.h"
#include "role/supervisor.h"

enum option_id {
	DATA = 1 << 0, JSON = 1 << 1, CONFIG = 1 << 2, PASSWORD = 1 << 3,
	CSV = 1 << 4, MAILBOX = 1 << 5, REPAIR = 1 << 6, HOSTNAME = 1 << 7,
	OFFSET = 1 << 8, KEEP = 1 << 9, MESSAGES = 1 << 10,
	RECIPIENTS = 1 << 11, MEMBERS = 1 << 12, WHO = 1 << 13,
	NOTE = 1 << 14, REASON = 1 << 15, SENDER = 1 << 16,
	RECIPIENT = 1 << 17, DESTINATION = 1 << 18, OLDER = 1 << 19,
	STATE = 1 << 20, ALL = 1 << 21, NOW = 1 << 22, FOR = 1 << 29,
	STORAGE = 1 << 23, MAILBOXES = 1 << 24, ANNOTATIONS = 1 << 25,
	USUAL = DATA | JSON,
	PICK = SENDER | RECIPIENT | DESTINATION | OLDER | STATE,
};

/* Where struct cli keeps a value; the supervisor reads its own options. */
#define AT(field) offsetof(struct cli, field)
#define NOWHERE SIZE_MAX

static const struct cli_option {
	unsigned id;
	const char *name, *argument;	/* argument NULL: a switch */
	size_t at;
	const char *help;
} cli_options[] = {
	{ DATA, "data", "DIR", AT(data),
	    "the data directory (default " DATADIR_DEFAULT ")" },
	{ CONFIG, "config", "FILE", AT(config),
	    "the settings (default DIR/" DATADIR_CONFIG ")" },
	{ OFFSET, "port-offset", "N", NOWHERE,
	    "raise every port by N, and listen on 127.0.0.1 where the "
	    "settings say *" },
	{ HOSTNAME, "hostname", "NAME", AT(hostname),
	    "the name of this server, also in its certificate (default "
	    "mail.DOMAIN)" },
	{ PASSWORD, "password-stdin", NULL, AT(password_stdin),
	    "read the password from standard input, its first line" },
	{ CSV, "csv", "FILE", AT(csv),
	    "many at once: lines of address,password" },
	{ MAILBOX, "mailbox", "NAME", AT(mailbox),
	    "this mailbox (levels parted by /)" },
	{ REPAIR, "repair", NULL, AT(repair), "mend what can be mended" },
	{ KEEP, "keep", NULL, AT(keep),
	    "the account's own mailbox gets it too" },
	{ STORAGE, "storage", "SIZE", AT(storage),
	    "bytes of messages, as 500M, 2G; none (no limit), or default" },
	{ MAILBOXES, "mailboxes", "N", AT(mailboxes),
	    "mailboxes; the same" },
	{ ANNOTATIONS, "annotations", "SIZE", AT(annotations),
	    "bytes of annotations; the same" },
	{ MESSAGES, "messages", "N", AT(messages),
	    "messages (account limit: in 24 hours); none, any, or default" },
	{ RECIPIENTS, "recipients", "N", AT(recipients),
	    "recipients outside in 24 hours; the same" },
	{ MEMBERS, "members", "FILE", AT(members),
	    "the members from a file, one a line (- is standard input)" },
	{ WHO, "who", "WHO", AT(who),
	    "who may write to it: anyone, accounts (of this server), members" },
	{ NOTE, "note", "TEXT", AT(note), "whom it is given to" },
	{ FOR, "for", "LIST", AT(protocols),
	    "imap, pop3, smtp, with commas between; all without it" },
	{ REASON, "reason", "TEXT", AT(reason), "why" },
	{ SENDER, "sender", "ADDRESS", AT(sender),
	    "from this address, or @DOMAIN; <> is the null sender" },
	{ RECIPIENT, "recipient", "ADDRESS", AT(recipient),
	    "to this address, or @DOMAIN" },
	{ DESTINATION, "destination", "NAME", AT(destination),
	    "on their way there, as queue table names it; local is here" },
	{ OLDER, "older-than", "TIME", AT(older_than),
	    "that came longer ago, as 90min, 12h, 2d" },
	{ STATE, "state", "STATE", AT(state),
	    "active, deferred, held, or later" },
	{ ALL, "all", NULL, AT(all), "every message in the queue" },
	{ NOW, "now", NULL, AT(now), "send it now, not when the day is over" },
	{ JSON, "json", NULL, AT(json), "answer in JSON, for programs" },
};

static const struct command {
	const char *name;		/* one word or two */
	const char *words;		/* for the usage line */
	size_t least, most;		/* how many */
	unsigned options;
	cli_command *run;		/* NULL: the supervisor */
	const char *help;
} commands[] = {
	{ "run", "", 0, 0, DATA | CONFIG | OFFSET, NULL,
	    "Serve mail, in the foreground, until a signal says stop." },
	{ "init", "DOMAIN", 1, 1, USUAL | HOSTNAME, cli_init,
	    "Make a data directory for a domain, with settings and a "
	    "certificate to begin with." },
	{ "domain add", "DOMAIN", 1, 1, USUAL, cli_domain_add,
	    "Accept mail for one more domain." },
	{ "dns", "DOMAIN", 1, 1, USUAL | CONFIG, cli_dns,
	    "Print every record that a domain's DNS should have, as a zone "
	    "file." },
	{ "dkim list", "[DOMAIN]", 0, 1, USUAL, cli_dkim_list,
	    "List the keys that sign domains' mail." },
	{ "dkim rotate", "DOMAIN", 1, 1, USUAL, cli_dkim_rotate,
	    "Make new keys for a domain; they sign as soon as the DNS shows "
	    "them." },
	{ "domain list", "", 0, 0, USUAL, cli_domain_list,
	    "List the domains." },
	{ "domain remove", "DOMAIN", 1, 1, USUAL, cli_domain_remove,
	    "Stop accepting mail for a domain that has no accounts and "
	    "aliases any more." },
	{ "account add", "[ADDRESS]", 0, 1, USUAL | PASSWORD | CSV,
	    cli_account_add,
	    "Add an account, or many from a file." },
	{ "account list", "[DOMAIN]", 0, 1, USUAL, cli_account_list,
	    "List the accounts, with how much they hold." },
	{ "account remove", "ADDRESS", 1, 1, USUAL, cli_account_remove,
	    "Remove an account with all its mail." },
	{ "account password", "ADDRESS", 1, 1, USUAL | PASSWORD,
	    cli_account_password,
	    "Set a password; sessions opened with the old one end." },
	{ "account app-password", "add|list|revoke ADDRESS [ID]", 2, 3,
	    USUAL | NOTE | FOR, cli_app_password,
	    "Make a password for one program (it is told once; --for and "
	    "--note say what for), list those an account has with their last "
	    "use, or revoke one by its number: its sessions end." },
	{ "account second-factor", "on|off|verify ADDRESS [CODE]", 2, 3,
	    USUAL, cli_second_factor,
	    "Ask for codes of an authenticator program beside an account's "
	    "password. Once on, programs that read and send mail log in with "
	    "app passwords only." },
	{ "account referral", "ADDRESS [URL]", 1, 2, USUAL,
	    cli_account_referral,
	    "Tell who logs in to an account that it has moved to an imap:// "
	    "URL; without one it is here again." },
	{ "account forward", "ADDRESS [TARGET...]", 1, WORDS_MAX,
	    USUAL | KEEP, cli_account_forward,
	    "Send an account's mail on to other addresses, anywhere. Without "
	    "a target it stays here again." },
	{ "account limit", "ADDRESS", 1, 1, USUAL | MESSAGES | RECIPIENTS,
	    cli_account_limit,
	    "Say how much an account may send in 24 hours, or show it. What "
	    "goes beyond is held, and postmaster is told." },
	{ "alias add", "ADDRESS TARGET...", 2, WORDS_MAX, USUAL,
	    cli_alias_add,
	    "Send mail for an address to other addresses, here or anywhere. "
	    "@DOMAIN stands for every address of a domain that does not "
	    "exist otherwise." },
	{ "alias list", "[DOMAIN]", 0, 1, USUAL, cli_alias_list,
	    "List the aliases." },
	{ "alias remove", "ADDRESS", 1, 1, USUAL, cli_alias_remove,
	    "Remove an alias." },
	{ "group set", "ADDRESS [MEMBER...]", 1, WORDS_MAX,
	    USUAL | MEMBERS | WHO, cli_group_set,
	    "Make a group: an address that stands for its members, anywhere. "
	    "An existing one gets these members instead of its own, or only "
	    "another --who." },
	{ "group join", "ADDRESS MEMBER...", 2, WORDS_MAX, USUAL,
	    cli_group_join, "Add members to a group." },
	{ "group leave", "ADDRESS MEMBER...", 2, WORDS_MAX, USUAL,
	    cli_group_leave, "Take members out of a group." },
	{ "group list", "[DOMAIN]", 0, 1, USUAL, cli_group_list,
	    "List the groups, with who may write to them and their members." },
	{ "group remove", "ADDRESS", 1, 1, USUAL, cli_group_remove,
	    "Remove a group." },
	{ "mask add", "ACCOUNT", 1, 1, USUAL | NOTE, cli_mask_add,
	    "Make a masked address: a random one that leads to the account "
	    "until it is killed." },
	{ "mask list", "ACCOUNT", 1, 1, USUAL, cli_mask_list,
	    "List an account's masked addresses, and how they were used." },
	{ "mask kill", "ADDRESS", 1, 1, USUAL, cli_mask_kill,
	    "Refuse mail to a masked address from now on." },
	{ "mask revive", "ADDRESS", 1, 1, USUAL, cli_mask_revive,
	    "Accept mail to a killed masked address again." },
	{ "suppress add", "ADDRESS", 1, 1, USUAL | REASON, cli_suppress_add,
	    "Refuse mail of this server's accounts to an address outside, "
	    "until that is lifted." },
	{ "suppress list", "", 0, 0, USUAL, cli_suppress_list,
	    "List the addresses outside that do not exist, as their servers "
	    "said lately, and those added here." },
	{ "suppress remove", "ADDRESS", 1, 1, USUAL, cli_suppress_remove,
	    "Let mail go to an address again." },
	{ "status", "", 0, 0, USUAL, cli_status,
	    "Say whether a server runs, and how the store is." },
	{ "queue list", "", 0, 0, USUAL | PICK, cli_queue_list,
	    "List the messages that wait to be delivered: all, or those that "
	    "the options pick." },
	{ "queue table", "", 0, 0, USUAL, cli_queue_table,
	    "Count the queue by destination and by age in minutes, the "
	    "fullest first." },
	{ "queue show", "QUEUE-ID", 1, 1, USUAL, cli_queue_show,
	    "Show one waiting message: where it goes, then its text." },
	{ "queue retry", "[QUEUE-ID...]", 0, WORDS_MAX, USUAL | PICK | ALL,
	    cli_queue_retry,
	    "Try messages now, by id or those that the options pick." },
	{ "queue flush", "", 0, 0, USUAL, cli_queue_flush,
	    "Try every waiting message now." },
	{ "queue hold", "[QUEUE-ID...]", 0, WORDS_MAX, USUAL | PICK | ALL,
	    cli_queue_hold,
	    "Keep messages in the queue until they are released." },
	{ "queue release", "[QUEUE-ID...]", 0, WORDS_MAX,
	    USUAL | PICK | ALL, cli_queue_release,
	    "Let held messages go." },
	{ "queue return", "[QUEUE-ID...]", 0, WORDS_MAX,
	    USUAL | PICK | ALL, cli_queue_return,
	    "Give messages up: their senders are told." },
	{ "queue delete", "[QUEUE-ID...]", 0, WORDS_MAX,
	    USUAL | PICK | ALL, cli_queue_delete,
	    "Delete waiting messages for good. Nobody is told; the trace "
	    "keeps a line." },
	{ "trace", "QUEUE-ID|MESSAGE-ID", 1, 1, USUAL, cli_trace,
	    "Tell every step of a message's way." },
	{ "tls-report", "[DOMAIN]", 0, 1, USUAL | NOW, cli_tls_report,
	    "Tell how TLS with the domains that ask for reports went: what "
	    "they will be sent when the day is over." },
	{ "import maildir", "ADDRESS FOLDER", 2, 2, USUAL | MAILBOX,
	    cli_import_maildir,
	    "Add the mail of a maildir (Maildir++ or nested folders), with "
	    "flags and dates, to an account." },
	{ "import mbox", "ADDRESS FILE", 2, 2, USUAL | MAILBOX,
	    cli_import_mbox,
	    "Add the mail of an mbox file to one mailbox of an account "
	    "(default INBOX)." },
	{ "export maildir", "ADDRESS FOLDER", 2, 2, USUAL | MAILBOX,
	    cli_export_maildir,
	    "Write an account's mail into a new maildir (Maildir++)." },
	{ "export mbox", "ADDRESS FILE", 2, 2, USUAL | MAILBOX,
	    cli_export_mbox,
	    "Write one mailbox (default INBOX) into a new mbox file." },
	{ "backup", "FOLDER", 1, 1, USUAL, cli_backup,
	    "Copy everything into a new folder; mail goes on meanwhile." },
	{ "restore", "FOLDER", 1, 1, USUAL, cli_restore,
	    "Make a new data directory from a backup." },
	{ "check", "[DOMAIN]", 0, 1, USUAL | REPAIR, cli_check,
	    "Verify everything stored; or, with a domain, what the DNS says "
	    "of it: what is missing or wrong, and what that costs." },
	{ "quota set", "ACCOUNT|DOMAIN", 1, 1,
	    USUAL | STORAGE | MESSAGES | MAILBOXES | ANNOTATIONS,
	    cli_quota_set,
	    "Limit what an account may hold, or all accounts of a domain "
	    "together (storage and messages)." },
	{ "quota", "[ACCOUNT|DOMAIN]", 0, 1, USUAL, cli_quota,
	    "Show what accounts and domains hold, and what they may." },
	{ "annotation list", "", 0, 0, USUAL, cli_annotation_list,
	    "List what mail clients are told of this server (METADATA)." },
	{ "annotation set", "ENTRY [VALUE]", 1, 2, USUAL,
	    cli_annotation_set,
	    "Tell mail clients of this server: /shared/comment, or "
	    "/shared/admin with a URL to reach you. Without a value it "
	    "goes." },
	{ "shared add", "ADDRESS", 1, 1, USUAL, cli_shared_add,
	    "Make an account whose mailboxes others share: nobody logs in to "
	    "it, and everybody may send mail to it." },
	{ "shared list", "[DOMAIN]", 0, 1, USUAL, cli_shared_list,
	    "List the shared accounts, with how much they hold." },
	{ "shared remove", "ADDRESS", 1, 1, USUAL, cli_shared_remove,
	    "Remove a shared account with all its mail." },
	{ "acl", "ACCOUNT [MAILBOX]", 1, 2, USUAL, cli_acl,
	    "Show who may do what with a mailbox of an account, or with all "
	    "of them." },
	{ "acl set", "ACCOUNT MAILBOX WHO RIGHTS", 4, 4, USUAL, cli_acl_set,
	    "Say what somebody may do with a mailbox: letters of lrswipkxtea, "
	    "or +LETTERS or -LETTERS to change them. WHO is an account, "
	    "$GROUP, anyone, or one of them behind a - to take rights away." },
	{ "acl remove", "ACCOUNT MAILBOX WHO", 3, 3, USUAL, cli_acl_remove,
	    "Take somebody out of the list of a mailbox." },
	{ "index status", "", 0, 0, USUAL, cli_index_status,
	    "Show how far the search index has come." },
	{ "index rebuild", "[ACCOUNT [MAILBOX]]", 0, 2, USUAL,
	    cli_index_rebuild,
	    "Make the search index anew, of one mailbox, an account, or all. "
	    "Searches go on meanwhile, more slowly." },
	{ "reload", "", 0, 0, USUAL, cli_reload,
	    "Have a running server read its settings, certificate and keys "
	    "again." },
};

/* ---- help ---------------------------------------------------------------- */

static void
print_option(unsigned options, const struct cli_option *o)
{
	char left[40];

	if ((options & o->id) == 0)
		return;
	snprintf(left, sizeof(left), "--%s%s%s", o->name,
	    o->argument == NULL ? "" : " ",
	    o->argument == NULL ? "" : o->argument);
	printf("  %-18s %s\n", left, o->help);
}

static void
help_command(const struct command *c)
{
	printf("usage: postrider %s [OPTION...]%s%s\n\n%s\n\n", c->name,
	    *c->words == '\0' ? "" : " ", c->words, c->help);
	for (size_t i = 0; i < ARRAY_LEN(cli_options); i++)
		print_option(c->options, &cli_options[i]);
	printf("  %-18s %s\n", "--help", "this text");
}

/* Commands that begin with `first`, or all; false: there are none. */
static bool
help_list(const char *first)
{
	size_t n = first == NULL ? 0 : strlen(first), seen = 0;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		char left[48];

		if (n > 0 && (strncmp(c->name, first, n) != 0 ||
		    (c->name[n] != ' ' && c->name[n] != '\0')))
			continue;
		if (seen++ == 0)
			printf("usage: postrider %s COMMAND [OPTION...]\n\n",
			    first == NULL ? "" : first);
		snprintf(left, sizeof(left), "%s %s", c->name, c->words);
		printf("  %-36s %.*s\n", left,
		    (int)strcspn(c->help, ".;,:"), c->help);
	}
	if (seen > 0)
		printf("\n`postrider %s%sCOMMAND --help` tells more; "
		    "so does man postrider.\n", first == NULL ? "" : first,
		    first == NULL ? "" : " ");
	return seen > 0;
}

/* ---- the command line --------------------------------------------------------- */

/* How many of the arguments name this command: 0, 1 or 2. */
static int
matches(const struct command *c, int argc, char **argv)
{
	const char *blank = strchr(c->name, ' ');
	size_t n = blank == NULL ? strlen(c->name) : (size_t)(blank - c->name);

	if (argc < 2 || strlen(argv[1]) != n ||
	    strncmp(argv[1], c->name, n) != 0)
		return 0;
	if (blank == NULL)
		return 1;
	return argc > 2 && strcmp(argv[2], blank + 1) == 0 ? 2 : 0;
}

/* Of "acl" and "acl set" the one that more of the words are. */
static const struct command *
find_command(int argc, char **argv, int *used)
{
	const struct command *found = NULL;

	*used = 0;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		int n = matches(&commands[i], argc, argv);

		if (n > *used) {
			found = &commands[i];
			*used = n;
		}
	}
	return found;
}

static void
set_option(struct cli *cli, const struct cli_option *o, const char *value)
{
	void *field = (char *)cli + (o->at == NOWHERE ? 0 : o->at);

	if (o->at == NOWHERE)
		return;
	if (o->argument != NULL)
		*(const char **)field = value;
	else
		*(bool *)field = true;
}

/* The options of this command as getopt_long wants them; `val` is an index. */
static void
getopt_table(const struct command *c, struct option out[])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(cli_options); i++)
		if (c->options & cli_options[i].id)
			out[n++] = (struct option){ cli_options[i].name,
				cli_options[i].argument != NULL ?
				required_argument : no_argument, NULL,
				(int)i + 1000 };
	out[n++] = (struct option){ "help", no_argument, NULL, 'h' };
	out[n] = (struct option){ NULL, 0, NULL, 0 };
}

static int
usage_mistake(const struct command *c)
{
	fprintf(stderr, "usage: postrider %s [OPTION...] %s\n"
	    "`postrider %s --help` tells more.\n", c->name, c->words, c->name);
	return EX_USAGE;
}

/* EX_OK go on; -1 help was given; else the status. */
static int
read_arguments(struct cli *cli, const struct command *c, int argc, char **argv)
{
	struct option table[ARRAY_LEN(cli_options) + 2];
	int got;

	getopt_table(c, table);
	optind = 1;
	while ((got = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (got == 'h') {
			help_command(c);
			return -1;
		}
		if (got < 1000)
			return usage_mistake(c);
		set_option(cli, &cli_options[got - 1000], optarg);
	}
	for (; optind < argc; optind++) {
		if (cli->count == WORDS_MAX)
			return cli_say(EX_USAGE, "too many words");
		cli->words[cli->count++] = argv[optind];
	}
	if (cli->count < c->least || cli->count > c->most)
		return usage_mistake(c);
	return EX_OK;
}

static int
run(const struct command *c, int argc, char **argv)
{
	struct cli cli = { .data = DATADIR_DEFAULT };
	int status = read_arguments(&cli, c, argc, argv);

	if (status == -1)
		return EX_OK;
	if (status != EX_OK)
		return status;
	if (c->run == NULL)
		return supervisor_main(argc, argv);
	cli.arena = arena_new((size_t)256 << 20);
	status = c->run(&cli);
	cli_close(&cli);
	arena_free(&cli.arena);
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_say(EX_IOERR, "standard output: %s",
		    strerror(errno));
	return status;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "help") == 0 ||
	    strcmp(word, "-h") == 0;
}

int
cli_main(int argc, char **argv)
{
	const struct command *c;
	int used = 0;

	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && (strcmp(argv[1], "--version") == 0 ||
	    strcmp(argv[1], "version") == 0)) {
		puts("postrider " POSTRIDER_VERSION);
		return EX_OK;
	}
	if (argc > 1 && is_help(argv[1])) {
		help_list(NULL);
		return EX_OK;
	}
	c = find_command(argc, argv, &used);
	if (c != NULL)
		return run(c, argc - used, argv + used);
	if (argc > 2 && is_help(argv[2]) && help_list(argv[1]))
		return EX_OK;
	if (argc > 1)
		cli_say(EX_USAGE, "there is no command `%s%s%s`", argv[1],
		    argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
	fputs("`postrider --help` lists the commands.\n", stderr);
	return EX_USAGE;
}
