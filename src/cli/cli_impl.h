/*
 * cli_impl.h - what the commands share.
 *
 * A command is a row of the table in cli.c and a function that gets struct
 * cli with its options read. It talks to the store through the contract
 * alone: over the admin socket while a server runs on the data directory,
 * otherwise to a store of its own in this process. One code path.
 */
#ifndef CLI_CLI_IMPL_H
#define CLI_CLI_IMPL_H

#include <jansson.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/settings.h"
#include "base/text.h"
#include "ipc/call.h"
#include "ipc/contract.h"
#include "ipc/wire.h"

enum { WORDS_MAX = 64 };

struct cli {
	const char *data;		/* --data */
	const char *config;		/* --config, or NULL */
	const char *csv;		/* --csv, or NULL */
	const char *mailbox;		/* --mailbox, or NULL */
	const char *hostname;		/* --hostname, or NULL */
	const char *messages, *recipients;	/* --messages ...; or NULL */
	const char *storage, *mailboxes, *annotations;	/* the same */
	const char *members, *who, *note, *reason, *protocols;
	const char *sender, *recipient, *destination, *older_than, *state;
	bool json, repair, password_stdin, keep, all, now;
	const char *words[WORDS_MAX];	/* what is no option */
	size_t count;
	struct link *store;		/* after cli_open() */
	struct link *resolver;		/* after cli_open_resolver() */
	bool running;			/* a server has the data directory */
	pid_t server;			/* its supervisor, 0: not known */
	struct settings settings;
	struct arena *arena;
};

typedef int cli_command(struct cli *);	/* the exit status */
cli_command cli_init, cli_domain_add, cli_domain_list, cli_domain_remove,
    cli_account_add, cli_account_list, cli_account_remove,
    cli_account_password, cli_account_forward, cli_account_limit,
    cli_alias_add, cli_alias_list, cli_alias_remove, cli_group_set,
    cli_group_join, cli_group_leave, cli_group_list, cli_group_remove,
    cli_app_password, cli_second_factor, cli_account_referral,
    cli_mask_add, cli_mask_list, cli_mask_kill, cli_mask_revive,
    cli_suppress_add, cli_suppress_list, cli_suppress_remove, cli_status,
    cli_queue_list, cli_queue_table, cli_queue_show, cli_queue_retry,
    cli_queue_flush, cli_queue_hold, cli_queue_release, cli_queue_return,
    cli_queue_delete, cli_trace,
    cli_import_maildir, cli_import_mbox, cli_export_maildir, cli_export_mbox,
    cli_backup, cli_restore, cli_check, cli_check_store, cli_check_domain,
    cli_dns, cli_dkim_list, cli_dkim_rotate, cli_reload,
    cli_tls_report, cli_index_status, cli_index_rebuild, cli_quota, cli_quota_set, cli_annotation_list,
    cli_annotation_set, cli_shared_add, cli_shared_list, cli_shared_remove,
    cli_acl, cli_acl_set, cli_acl_remove;

/* -- cli_store.c ------------------------------------------------------------ */
/* Reach the store. EX_OK, or a status after saying why. */
int  cli_open(struct cli *);
void cli_close(struct cli *);
/* The running server's resolver, for verify/resolve.h too; cli_open() first. */
int  cli_open_resolver(struct cli *);
/* The settings of the data directory; EX_OK, or a status after saying why. */
int  cli_settings(struct cli *);

/* -- cli_output.c: three audiences: people, programs, the terminal ------------- */
/* To standard error: "postrider: ...". Returns `status`. */
int  cli_say(int status, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What a result means, about what: says it, returns the exit status. */
int  cli_result(enum result, const char *what);
/* No answer came: says it. */
int  cli_no_answer(void);
/* A call with nothing to tell but its result. */
#define CLI_SIMPLE(cli, verb, request, what)				\
	({								\
		struct verb##_reply reply_;				\
		call_##verb((cli)->store, (cli)->arena, (request),	\
		    &reply_) == 1 ? cli_result(reply_.result, (what)) :	\
		    cli_no_answer();					\
	})
/* When all is well: one line for people, {"did": name} for programs. */
int  cli_did(struct cli *, int status, const char *what, const char *name);
/* A target that does not lead anywhere, or the thing itself. */
int  cli_target_result(struct cli *, enum result, struct span bad_target,
    const char *what);
/* words[from..], one a line. */
void cli_lines(const struct cli *, size_t from, struct text *out);
/* Each row of a list of the directory. EX_OK or a status. */
int  cli_directory_rows(struct cli *, uint32_t kind, const char *domain,
    void (*fn)(void *, const struct directory_row *), void *arg);
/* With --json print the value (and free it); without, only free it. */
void cli_print_json(const struct cli *, json_t *);
/* The same at the end of a list, when it went well so far. The status. */
int  cli_print_rows(const struct cli *, int status, json_t *);
json_t *cli_json(struct span);		/* a string; broken UTF-8 scrubbed */
json_t *cli_json_time(int64_t seconds);	/* RFC 3339 */
/* For people: what came with mail may hold orders for their terminal, which
 * become "?". In cli->arena. */
struct span cli_shown(const struct cli *, struct span);
/* "2026-11-21 03:10:05" in local time, "4.2 MB": in a static ring of a few. */
const char *cli_time(int64_t seconds);
const char *cli_bytes(uint64_t);

/* A bar on the terminal, nothing elsewhere. total 0: not known. */
struct progress {
	const char *what;
	uint64_t done, total;
	int64_t shown;			/* when, ms */
	bool on;
};
void progress_begin(struct progress *, const struct cli *, const char *what,
    uint64_t total);
void progress_set(struct progress *, uint64_t done);
void progress_end(struct progress *);

/* -- cli_dkim.c: keys of domains; a running server ---------------------------------- */
/* SIGHUP to it, when one runs. EX_OK, or a status after saying why. */
int  cli_tell_server(struct cli *, bool *runs);
/* A domain in its one form; is it ours? EX_OK, or a status after saying. */
int  cli_domain_word(struct cli *, const char *word, struct span *out);
int  cli_domain_is_ours(struct cli *, struct span domain);
/* Its first keys, unless there are some; all of them away. */
int  cli_dkim_begin(struct cli *, struct span domain);
int  cli_dkim_end(struct cli *, struct span domain);
/* Each key of a domain ("": of all), newest first, with its record. */
struct dkim_file;
typedef void cli_dkim_fn(struct cli *, void *arg, const struct dkim_file *,
    const char *algorithm, struct span record);
int  cli_dkim_each(struct cli *, struct span domain, cli_dkim_fn *,
    void *arg);

/* -- cli_password.c --------------------------------------------------------------- */
/* From standard input with --password-stdin, else asked for twice without
 * echo. Wipe it with text_wipe. EX_OK or a status. */
int  cli_password(const struct cli *, struct text *out);

/* -- cli_file.c: files and folders, with errors as words ----------------------------- */
/* A whole file, up to max bytes. 1; -1 errno (EFBIG). */
int  file_read(int dir, const char *name, size_t max, struct text *out);
/* Made new, mode as given, on disk when it returns 1; -1 errno. */
int  file_write(int dir, const char *name, struct span, unsigned mode);
/* A tree into a new folder; owner kept where we may. bytes counts up. */
int  file_copy_tree(int from, const char *name, int to, const char *new_name,
    void (*step)(void *, uint64_t bytes), void *arg);
uint64_t file_tree_size(int dir, const char *name);

/* -- cli_message.c: mail in and out of an account -------------------------------------- */
struct account_mail {
	struct cli *cli;
	struct grant grant;
	struct token owner;
	uint64_t added, bytes;
};
/* EX_OK or a status. */
int  mail_open(struct account_mail *, struct cli *, const char *address);
/* The mailbox of that name, made when `make`; EX_OK or a status. */
int  mail_mailbox(struct account_mail *, struct span name, bool make,
    uint64_t *mailbox);
/* Add a message as a file holds it (LF or CRLF). date INT64_MIN: now. */
int  mail_append(struct account_mail *, uint64_t mailbox, struct span file,
    uint64_t flags, struct span keywords, int64_t date);
/* Each message of a mailbox, with LF line ends, in order of uid. */
struct mail_item {
	const struct message_row *row;
	struct span text;		/* LF line ends */
	struct span keywords;		/* names, SP between */
};
int  mail_each(struct account_mail *, uint64_t mailbox,
    int (*fn)(void *, const struct mail_item *), void *arg,
    struct progress *);

#endif
