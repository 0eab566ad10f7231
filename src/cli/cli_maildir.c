/*
 * cli_maildir.c - maildirs in and out.
 *
 * Read: Maildir++ (".Work.2026" beside cur) and nested folders ("Work/2026"
 * that hold cur), names in modified UTF-7; flags from file names, keywords
 * from Dovecot's dovecot-keywords, dates from the files' times. Written:
 * Maildir++, INBOX at the top.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_impl.h"
#include "mail/encode.h"

enum { DEPTH_MAX = 32, KEYWORDS = 26, MESSAGE_MAX = 1 << 30 };

static const struct {
	char letter;
	uint64_t flag;
} letters[] = {
	{ 'D', FLAG_DRAFT }, { 'F', FLAG_FLAGGED }, { 'R', FLAG_ANSWERED },
	{ 'S', FLAG_SEEN }, { 'T', FLAG_DELETED },
};

/* ---- in ------------------------------------------------------------------------ */

struct import {
	struct cli *cli;
	struct account_mail mail;
	struct progress progress;
	uint64_t done;
	const char *prefix;		/* --mailbox, or NULL */
	struct text keyword_file;	/* of the folder at hand */
	struct span keywords[KEYWORDS];	/* in it, a to z; p NULL: none */
};

static bool
is_folder(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* Lines "0 $Label1": the letter a stands for it. */
static void
read_keywords(struct import *i, int dir)
{
	struct span rest, line, number;
	uint32_t n;

	memset(i->keywords, 0, sizeof(i->keywords));
	text_clear(&i->keyword_file);
	if (file_read(dir, "dovecot-keywords", 1 << 20,
	    &i->keyword_file) != 1)
		return;			/* then there are none */
	rest = text_span(&i->keyword_file);
	while (rest.n > 0) {
		rest = span_cut(rest, '\n', &line);
		number = span_word(&line);
		if (span_u32(number, &n) == 1 && n < KEYWORDS && line.n > 0)
			i->keywords[n] = line;
	}
}

/* What stands behind ":2," in a file's name. */
static uint64_t
read_flags(struct import *i, const char *name, struct text *keywords)
{
	const char *info = strstr(name, ":2,");
	uint64_t flags = 0;

	if (info == NULL)
		return 0;
	for (info += 3; *info != '\0' && *info != ','; info++) {
		struct span keyword = *info == 'P' ? SPAN("$Forwarded") :
		    *info >= 'a' && *info <= 'z' ?
		    i->keywords[*info - 'a'] : SPAN_EMPTY;

		for (size_t l = 0; l < ARRAY_LEN(letters); l++)
			if (letters[l].letter == *info)
				flags |= letters[l].flag;
		if (keyword.n == 0)
			continue;
		if (keywords->n > 0)
			text_char(keywords, ' ');
		text_add(keywords, keyword);
	}
	return flags;
}

static int
import_file(struct import *i, int dir, const char *name, uint64_t mailbox)
{
	struct text file = TEXT_INIT(0), keywords = TEXT_INIT(4096);
	struct stat st;
	uint64_t flags;
	int status;

	if (fstatat(dir, name, &st, 0) != 0 || !S_ISREG(st.st_mode))
		return EX_OK;
	if (file_read(dir, name, MESSAGE_MAX, &file) != 1) {
		text_free(&file);
		return cli_say(EX_NOINPUT, "%s: %s", name, strerror(errno));
	}
	flags = read_flags(i, name, &keywords);
	status = mail_append(&i->mail, mailbox, text_span(&file), flags,
	    text_span(&keywords), (int64_t)st.st_mtime);
	text_free(&file);
	text_free(&keywords);
	progress_set(&i->progress, ++i->done);
	return status;
}

static int
no_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Names begin with the time of arrival: sorted, they are in order. */
static int
import_messages(struct import *i, int parent, const char *sub,
    uint64_t mailbox)
{
	int dir = openat(parent, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names;
	int count, status = EX_OK;

	if (dir < 0)
		return EX_OK;
	count = scandirat(dir, ".", &names, no_hidden, alphasort);
	for (int n = 0; n < count; n++) {
		if (status == EX_OK)
			status = import_file(i, dir, names[n]->d_name,
			    mailbox);
		free(names[n]);
	}
	if (count >= 0)
		free(names);
	close(dir);
	return status;
}

/* One folder's own messages into the mailbox of that name. */
static int
import_folder(struct import *i, int dir, struct span name)
{
	uint64_t mailbox;
	int status;

	if (!is_folder(dir, "cur"))
		return EX_OK;
	if (i->prefix != NULL)
		name = span_is(name, "INBOX") ? span_str(i->prefix) :
		    arena_printf(i->cli->arena, "%s/%.*s", i->prefix,
		    SPAN_ARG(name));
	status = mail_mailbox(&i->mail, name, true, &mailbox);
	if (status != EX_OK)
		return status;
	read_keywords(i, dir);
	status = import_messages(i, dir, "cur", mailbox);
	return status == EX_OK ? import_messages(i, dir, "new", mailbox) :
	    status;
}

/* "Work.Entw&APw-rfe": levels at the dots, each in modified UTF-7. */
static void
add_decoded(struct text *out, struct span name, char separator)
{
	struct span level;

	while (name.n > 0) {
		name = span_cut(name, separator, &level);
		if (out->n > 0)
			text_char(out, '/');
		if (utf7_decode(level, out) != 1)
			utf8_add_scrubbed(out, level);
	}
}

static int import_tree(struct import *, int dir, struct span name, int depth);

static int
import_child(struct import *i, int dir, const char *file, struct span above,
    int depth)
{
	struct text name = TEXT_INIT(1000);
	bool flat = file[0] == '.';
	int child, status = EX_OK;

	if (flat && depth > 0)
		return EX_OK;
	if (above.n > 0)
		text_add(&name, above);
	add_decoded(&name, span_str(file + flat), flat ? '.' : '\0');
	child = openat(dir, file, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (child >= 0 && name.n > 0)
		status = import_tree(i, child, text_span(&name), depth + 1);
	if (child >= 0)
		close(child);
	text_free(&name);
	return status;
}

static bool
is_child(int dir, const struct dirent *e)
{
	static const char *const own[] = { ".", "..", "cur", "new", "tmp" };

	for (size_t n = 0; n < ARRAY_LEN(own); n++)
		if (strcmp(e->d_name, own[n]) == 0)
			return false;
	return is_folder(dir, e->d_name);
}

/* name: of this folder, "" at the top, where it is INBOX. */
static int
import_tree(struct import *i, int dir, struct span name, int depth)
{
	struct dirent **names;
	int count, status;

	if (depth > DEPTH_MAX)
		return cli_say(EX_DATAERR, "folders are nested too deeply");
	status = import_folder(i, dir, name.n > 0 ? name : SPAN("INBOX"));
	if (status != EX_OK)
		return status;
	count = scandirat(dir, ".", &names, NULL, alphasort);
	for (int n = 0; n < count; n++) {
		if (status == EX_OK && is_child(dir, names[n]))
			status = import_child(i, dir, names[n]->d_name, name,
			    depth);
		free(names[n]);
	}
	if (count >= 0)
		free(names);
	return status;
}

/* How many files there are, for the bar. */
static uint64_t
count_files(int parent, const char *name, int depth)
{
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	const struct dirent *e;
	uint64_t count = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e->d_type == DT_DIR && depth < DEPTH_MAX)
			count += count_files(dir, e->d_name, depth + 1);
		else
			count += e->d_type == DT_REG;
	}
	closedir(d);
	return count;
}

static int
imported(struct cli *cli, const struct account_mail *m, int status)
{
	cli_print_json(cli, json_pack("{s:I, s:I}", "messages",
	    (json_int_t)m->added, "bytes", (json_int_t)m->bytes));
	if (!cli->json)
		printf("%" PRIu64 " messages, %s\n", m->added,
		    cli_bytes(m->bytes));
	return status;
}

int
cli_import_maildir(struct cli *cli)
{
	struct import i = { .cli = cli, .prefix = cli->mailbox };
	int dir = open(cli->words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status;

	if (dir < 0)
		return cli_say(EX_NOINPUT, "%s: %s", cli->words[1],
		    strerror(errno));
	status = cli_open(cli);
	if (status == EX_OK)
		status = mail_open(&i.mail, cli, cli->words[0]);
	if (status == EX_OK) {
		progress_begin(&i.progress, cli, "importing",
		    count_files(dir, ".", 0));
		status = import_tree(&i, dir, SPAN_EMPTY, 0);
		progress_end(&i.progress);
		text_free(&i.keyword_file);
		status = imported(cli, &i.mail, status);
	}
	close(dir);
	return status;
}

/* ---- out ------------------------------------------------------------------------- */

struct export {
	struct cli *cli;
	struct account_mail mail;
	struct progress progress;
	int cur;			/* the folder that is written */
	uint64_t count;
	struct text keywords;		/* its names, a letter each */
	size_t keyword_count;
};

/* The letter of a keyword in this folder, given at its first use; 0: none left. */
static char
keyword_letter(struct export *x, struct span keyword)
{
	struct span rest = text_span(&x->keywords), word;
	char letter = 'a';

	for (; rest.n > 0; letter++) {
		rest = span_cut(rest, '\n', &word);
		if (span_eq(word, keyword))
			return letter;
	}
	if (x->keyword_count == KEYWORDS)
		return 0;
	x->keyword_count++;
	text_add(&x->keywords, keyword);
	text_char(&x->keywords, '\n');
	return letter;
}

static void
add_info(struct export *x, struct text *name, const struct mail_item *item)
{
	struct span rest = item->keywords;
	char letter;

	text_str(name, ":2,");
	for (size_t l = 0; l < ARRAY_LEN(letters); l++)
		if (item->row->flags & letters[l].flag)
			text_char(name, letters[l].letter);
	while (rest.n > 0)
		if ((letter = keyword_letter(x, span_word(&rest))) != 0)
			text_char(name, letter);
}

static int
export_one(void *arg, const struct mail_item *item)
{
	struct export *x = arg;
	struct text name = TEXT_INIT(512);
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
		{ .tv_sec = (time_t)item->row->internal_date } };
	int status = EX_OK;

	text_printf(&name, "%" PRId64 ".U%010" PRIu32 ".postrider,S=%zu",
	    item->row->internal_date, item->row->uid, item->text.n);
	add_info(x, &name, item);
	text_char(&name, '\0');
	if (file_write(x->cur, name.p, item->text, 0600) != 1 ||
	    utimensat(x->cur, name.p, times, 0) != 0)
		status = cli_say(EX_CANTCREAT, "%s: %s", name.p,
		    strerror(errno));
	text_free(&name);
	x->count += status == EX_OK;
	return status;
}

/* "Work/2026" is ".Work.2026": dots within a level cannot be told apart and
 * become dashes. INBOX is the top itself. */
static int
make_folder(struct export *x, int top, struct span name, int *folder)
{
	static const char *const subs[] = { "cur", "new", "tmp" };
	struct text encoded = TEXT_INIT(4096), file = TEXT_INIT(4096);
	int status = EX_OK;

	(void)x;
	if (utf7_encode(name, &encoded) != 1)
		utf8_add_scrubbed(&encoded, name);
	if (!span_is(name, "INBOX")) {
		text_char(&file, '.');
		for (size_t i = 0; i < encoded.n; i++)
			text_char(&file, encoded.p[i] == '/' ? '.' :
			    encoded.p[i] == '.' ? '-' : encoded.p[i]);
	} else
		text_char(&file, '.');
	text_char(&file, '\0');
	if (mkdirat(top, file.p, 0700) != 0 && errno != EEXIST)
		status = cli_say(EX_CANTCREAT, "%s: %s", file.p,
		    strerror(errno));
	*folder = openat(top, file.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(subs) && status == EX_OK; i++)
		if (*folder < 0 || (mkdirat(*folder, subs[i], 0700) != 0 &&
		    errno != EEXIST))
			status = cli_say(EX_CANTCREAT, "%s/%s: %s", file.p,
			    subs[i], strerror(errno));
	text_free(&encoded);
	text_free(&file);
	return status;
}

static int
write_keywords(struct export *x, int folder)
{
	struct text file = TEXT_INIT(0);
	struct span rest = text_span(&x->keywords), word;
	int status = EX_OK;

	for (unsigned n = 0; rest.n > 0; n++) {
		rest = span_cut(rest, '\n', &word);
		text_printf(&file, "%u %.*s\n", n, SPAN_ARG(word));
	}
	if (file.n > 0 && file_write(folder, "dovecot-keywords",
	    text_span(&file), 0600) != 1)
		status = cli_say(EX_CANTCREAT, "dovecot-keywords: %s",
		    strerror(errno));
	text_free(&file);
	return status;
}

static int
export_mailbox(struct export *x, int top, struct span name, uint64_t mailbox)
{
	int folder = -1, status = make_folder(x, top, name, &folder);

	x->keywords = TEXT_INIT(0);
	x->keyword_count = 0;
	x->cur = status == EX_OK ? openat(folder, "cur", O_RDONLY |
	    O_DIRECTORY | O_CLOEXEC) : -1;
	if (x->cur >= 0)
		status = mail_each(&x->mail, mailbox, export_one, x,
		    &x->progress);
	if (status == EX_OK)
		status = write_keywords(x, folder);
	if (x->cur >= 0)
		close(x->cur);
	if (folder >= 0)
		close(folder);
	text_free(&x->keywords);
	return status;
}

static int
export_all(struct export *x, int top)
{
	struct mailbox_list_request request = { .grant = x->mail.grant };
	struct mailbox_list_reply reply;
	struct text kept = TEXT_INIT(0);
	struct mailbox_row row;
	struct cursor rows;
	int status;

	if (call_mailbox_list(x->cli->store, x->cli->arena, &request,
	    &reply) != 1)
		return cli_no_answer();
	status = cli_result(reply.result, "mailboxes");
	text_add(&kept, reply.rows.bytes);
	blob_release(&reply.rows);
	rows = (struct cursor){ .rest = text_span(&kept) };
	while (status == EX_OK && mailbox_row_get(&rows, &row) == 1)
		if (row.mailbox != 0 && row.place == PLACE_OWN &&
		    (x->cli->mailbox == NULL ||
		    span_is(row.name, x->cli->mailbox)))
			status = export_mailbox(x, top, row.name, row.mailbox);
	text_free(&kept);
	return status;
}

int
cli_export_maildir(struct cli *cli)
{
	struct export x = { .cli = cli };
	int top, status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&x.mail, cli, cli->words[0]);
	if (status != EX_OK)
		return status;
	if (mkdir(cli->words[1], 0700) != 0)
		return cli_say(EX_CANTCREAT, "%s: %s", cli->words[1],
		    strerror(errno));
	top = open(cli->words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return cli_say(EX_CANTCREAT, "%s: %s", cli->words[1],
		    strerror(errno));
	progress_begin(&x.progress, cli, "exporting", 0);
	status = export_all(&x, top);
	progress_end(&x.progress);
	close(top);
	cli_print_json(cli, json_pack("{s:I}", "messages",
	    (json_int_t)x.count));
	if (!cli->json)
		printf("%" PRIu64 " messages\n", x.count);
	return status;
}
