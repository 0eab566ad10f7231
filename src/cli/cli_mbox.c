/*
 * cli_mbox.c - mbox files in and out (RFC 4155, mboxrd quoting).
 *
 * Read: a message begins at a line "From " at the top or behind an empty
 * line; one ">" goes from lines of ">"s and "From ". The date is the From
 * line's; Status and X-Status give the flags.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli_impl.h"
#include "mail/header.h"

/* ---- in ------------------------------------------------------------------------ */

static const struct {
	char letter;
	uint64_t flag;
} letters[] = {
	{ 'R', FLAG_SEEN }, { 'A', FLAG_ANSWERED }, { 'F', FLAG_FLAGGED },
	{ 'D', FLAG_DELETED }, { 'T', FLAG_DRAFT },
};

/* Where the message at `at` ends: before the next From line, or the end. */
static size_t
message_end(struct span file, size_t at)
{
	size_t next = span_find(file, SPAN("\n\nFrom "), at);
	size_t crlf = span_find(file, SPAN("\r\n\r\nFrom "), at);

	if (next == SIZE_MAX && crlf == SIZE_MAX)
		return file.n;
	return next < crlf ? next + 1 : crlf + 2;
}

/* "From x@y Sat Jan  3 01:05:34 1996": asctime, taken as UTC. */
static int64_t
from_line_date(struct arena *arena, struct span line)
{
	struct tm tm = { 0 };
	struct span rest = line;
	const char *date;

	span_word(&rest);
	span_word(&rest);
	date = arena_cstr(arena, rest);
	if (date == NULL || strptime(date, "%a %b %d %H:%M:%S %Y", &tm) == NULL)
		return INT64_MIN;
	return (int64_t)timegm(&tm);
}

static uint64_t
status_flags(struct span message)
{
	static const char *const names[] = { "Status", "X-Status" };
	struct header_field field;
	uint64_t flags = 0;

	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		if (header_find(message, names[n], &field) != 1)
			continue;
		for (size_t i = 0; i < field.value.n; i++)
			for (size_t l = 0; l < ARRAY_LEN(letters); l++)
				if (letters[l].letter == field.value.p[i])
					flags |= letters[l].flag;
	}
	return flags;
}

static bool
is_quoted_from(struct span line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == '>')
		n++;
	return n > 0 && span_starts(span_from(line, n), SPAN("From "));
}

static void
unquote(struct span message, struct text *out)
{
	while (message.n > 0) {
		size_t end = span_find_char(message, '\n', 0);
		struct span line = end == SIZE_MAX ? message :
		    span_sub(message, 0, end + 1);

		message = span_from(message, line.n);
		text_add(out, is_quoted_from(line) ? span_from(line, 1) :
		    line);
	}
}

static int
import_message(struct account_mail *m, uint64_t mailbox, struct span whole)
{
	struct span line, message = span_cut(whole, '\n', &line);
	struct text plain = TEXT_INIT(0);
	int64_t date = from_line_date(m->cli->arena, span_chomp(line));
	int status;

	unquote(message, &plain);
	status = mail_append(m, mailbox, text_span(&plain),
	    status_flags(text_span(&plain)), SPAN_EMPTY, date);
	text_free(&plain);
	return status;
}

static int
import_all(struct account_mail *m, uint64_t mailbox, struct span file,
    struct progress *progress)
{
	size_t at = 0;
	int status = EX_OK;

	while (at < file.n && (file.p[at] == '\n' || file.p[at] == '\r'))
		at++;
	if (!span_starts(span_from(file, at), SPAN("From ")))
		return cli_say(EX_DATAERR, "this is no mbox file: it does "
		    "not begin with \"From \"");
	while (at < file.n && status == EX_OK) {
		size_t end = message_end(file, at);

		status = import_message(m, mailbox,
		    span_sub(file, at, end - at));
		/* The empty line behind it parts messages, and is no part. */
		at = end;
		while (at < file.n && (file.p[at] == '\n' ||
		    file.p[at] == '\r'))
			at++;
		progress_set(progress, at);
	}
	return status;
}

int
cli_import_mbox(struct cli *cli)
{
	const char *name = cli->mailbox != NULL ? cli->mailbox : "INBOX";
	int fd = open(cli->words[1], O_RDONLY | O_CLOEXEC);
	struct account_mail m = { .cli = cli };
	struct progress progress;
	uint64_t mailbox = 0;
	struct stat st;
	void *map;
	int status;

	if (fd < 0 || fstat(fd, &st) != 0)
		return cli_say(EX_NOINPUT, "%s: %s", cli->words[1],
		    strerror(errno));
	map = st.st_size == 0 ? MAP_FAILED : mmap(NULL, (size_t)st.st_size,
	    PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return cli_say(EX_NOINPUT, "%s: there is nothing to read",
		    cli->words[1]);
	status = cli_open(cli);
	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status == EX_OK)
		status = mail_mailbox(&m, span_str(name), true, &mailbox);
	if (status == EX_OK) {
		progress_begin(&progress, cli, "importing",
		    (uint64_t)st.st_size);
		status = import_all(&m, mailbox, span_of(map,
		    (size_t)st.st_size), &progress);
		progress_end(&progress);
		cli_print_json(cli, json_pack("{s:I, s:I}", "messages",
		    (json_int_t)m.added, "bytes", (json_int_t)m.bytes));
		if (!cli->json)
			printf("%" PRIu64 " messages, %s\n", m.added,
			    cli_bytes(m.bytes));
	}
	munmap(map, (size_t)st.st_size);
	return status;
}

/* ---- out ------------------------------------------------------------------------- */

struct export {
	FILE *file;
	uint64_t count;
};

static void
write_quoted(FILE *f, struct span text)
{
	while (text.n > 0) {
		size_t end = span_find_char(text, '\n', 0);
		struct span line = end == SIZE_MAX ? text :
		    span_sub(text, 0, end + 1);

		text = span_from(text, line.n);
		if (span_starts(line, SPAN("From ")) || is_quoted_from(line))
			putc('>', f);
		fwrite(line.p, 1, line.n, f);
		if (end == SIZE_MAX)
			putc('\n', f);
	}
}

static int
export_one(void *arg, const struct mail_item *item)
{
	struct export *x = arg;
	time_t date = (time_t)item->row->internal_date;
	char stamp[64] = "Thu Jan  1 00:00:00 1970";
	struct tm tm;

	if (gmtime_r(&date, &tm) != NULL)
		strftime(stamp, sizeof(stamp), "%a %b %e %H:%M:%S %Y", &tm);
	fprintf(x->file, "From MAILER-DAEMON %s\n", stamp);
	if (header_count(item->text, "Status") == 0 && item->row->flags != 0) {
		fputs(item->row->flags & FLAG_SEEN ? "Status: RO\n" :
		    "Status: O\n", x->file);
		fputs("X-Status: ", x->file);
		for (size_t l = 1; l < ARRAY_LEN(letters); l++)
			if (item->row->flags & letters[l].flag)
				putc(letters[l].letter, x->file);
		putc('\n', x->file);
	}
	write_quoted(x->file, item->text);
	putc('\n', x->file);
	x->count++;
	return ferror(x->file) ? cli_say(EX_IOERR, "writing: %s",
	    strerror(errno)) : EX_OK;
}

int
cli_export_mbox(struct cli *cli)
{
	const char *name = cli->mailbox != NULL ? cli->mailbox : "INBOX";
	struct account_mail m = { .cli = cli };
	struct export x = { .count = 0 };
	struct progress progress;
	uint64_t mailbox = 0;
	int status = cli_open(cli);

	if (status == EX_OK)
		status = mail_open(&m, cli, cli->words[0]);
	if (status == EX_OK)
		status = mail_mailbox(&m, span_str(name), false, &mailbox);
	if (status != EX_OK)
		return status;
	x.file = fopen(cli->words[1], "wxe");
	if (x.file == NULL)
		return cli_say(EX_CANTCREAT, "%s: %s", cli->words[1],
		    strerror(errno));
	progress_begin(&progress, cli, "exporting", 0);
	status = mail_each(&m, mailbox, export_one, &x, &progress);
	progress_end(&progress);
	if (fflush(x.file) != 0 || fsync(fileno(x.file)) != 0)
		status = cli_say(EX_IOERR, "%s: %s", cli->words[1],
		    strerror(errno));
	fclose(x.file);
	cli_print_json(cli, json_pack("{s:I}", "messages",
	    (json_int_t)x.count));
	if (!cli->json)
		printf("%" PRIu64 " messages\n", x.count);
	return status;
}
