/*
 * cli_output.c - what people, programs and the terminal see.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli_impl.h"
#include "mail/date.h"
#include "mail/encode.h"

enum { RING = 8, SHOW_EVERY = 100 /* ms */, BAR = 30 };

static char *
ring(void)
{
	static char slots[RING][64];
	static unsigned next;

	return slots[next++ % RING];
}

int
cli_say(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("postrider: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	return status;
}

int
cli_result(enum result result, const char *what)
{
	static const struct {
		int status;
		const char *text;
	} meanings[RESULTS] = {
		[RESULT_OK] = { EX_OK, "done" },
		[RESULT_CONTINUE] = { EX_PROTOCOL, "an answer that makes no "
		    "sense" },
		[RESULT_NOT_FOUND] = { EX_NOUSER, "there is no such thing" },
		[RESULT_EXISTS] = { EX_CANTCREAT, "exists already" },
		[RESULT_DENIED] = { EX_NOPERM, "not allowed" },
		[RESULT_NOT_LOCAL] = { EX_NOHOST, "its domain is not one of "
		    "this server (`postrider domain add` makes it one)" },
		[RESULT_INVALID] = { EX_DATAERR, "is not valid" },
		[RESULT_LIMIT] = { EX_DATAERR, "is over a limit" },
		[RESULT_LOCKED] = { EX_TEMPFAIL, "is in use" },
		[RESULT_CONFLICT] = { EX_DATAERR, "is still needed by others" },
		[RESULT_FULL] = { EX_IOERR, "the disk is full" },
		[RESULT_TEMPORARY] = { EX_TEMPFAIL, "not possible just now; "
		    "the log may say why" },
		[RESULT_DAMAGED] = { EX_IOERR, "what is stored is damaged; "
		    "`postrider check` tells more" },
		[RESULT_OVERQUOTA] = { EX_CANTCREAT, "its quota is used up" },
		[RESULT_FORBIDDEN] = { EX_NOPERM, "its rights do not allow "
		    "that" },
	};

	if (result == RESULT_OK)
		return EX_OK;
	must(result < RESULTS);
	return cli_say(meanings[result].status, "%s: %s", what,
	    meanings[result].text);
}

int
cli_no_answer(void)
{
	return cli_say(EX_TEMPFAIL, "the store does not answer: %s",
	    strerror(errno));
}

int
cli_did(struct cli *cli, int status, const char *what, const char *name)
{
	if (status != EX_OK)
		return status;
	cli_print_json(cli, json_pack("{s:s}", what, name));
	if (!cli->json)
		printf("%s: %s\n", name, what);
	return EX_OK;
}

int
cli_target_result(struct cli *cli, enum result result,
    struct span bad_target, const char *what)
{
	const char *target = arena_cstr(cli->arena, bad_target);

	if (bad_target.n == 0 || target == NULL)
		return cli_result(result, what);
	if (result == RESULT_CONFLICT)
		return cli_say(EX_DATAERR, "%s: leads back to %s", target,
		    what);
	if (result == RESULT_LIMIT)
		return cli_say(EX_DATAERR, "%s: leads to too many, or "
		    "through too many", target);
	return cli_result(result, target);
}

void
cli_lines(const struct cli *cli, size_t from, struct text *out)
{
	for (size_t i = from; i < cli->count; i++) {
		text_str(out, cli->words[i]);
		text_char(out, '\n');
	}
}

void
cli_print_json(const struct cli *cli, json_t *value)
{
	if (cli->json) {
		json_dumpf(value, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(value);
}

int
cli_print_rows(const struct cli *cli, int status, json_t *rows)
{
	if (status == EX_OK)
		cli_print_json(cli, rows);
	else
		json_decref(rows);
	return status;
}

json_t *
cli_json(struct span s)
{
	struct text clean = TEXT_INIT(0);
	json_t *value;

	utf8_add_scrubbed(&clean, s);
	value = json_stringn(clean.n > 0 ? clean.p : "", clean.n);
	text_free(&clean);
	return value != NULL ? value : json_string("");
}

/* Controls: C0, DEL, and C1 in its two bytes. */
struct span
cli_shown(const struct cli *cli, struct span s)
{
	struct text clean = TEXT_INIT(0);
	struct span shown;
	unsigned char *p;

	utf8_add_scrubbed(&clean, s);
	p = (unsigned char *)clean.p;
	for (size_t i = 0; i < clean.n; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			p[i] = '?';
		else if (p[i] == 0xc2 && i + 1 < clean.n && p[i + 1] < 0xa0)
			p[i] = p[i + 1] = '?';
	}
	shown = arena_dup(cli->arena, text_span(&clean));
	text_free(&clean);
	return shown;
}

json_t *
cli_json_time(int64_t seconds)
{
	struct text t = TEXT_INIT(0);
	json_t *value;

	if (seconds == 0)
		return json_null();
	date_add_rfc3339(&t, (struct date){ .seconds = seconds });
	value = cli_json(text_span(&t));
	text_free(&t);
	return value;
}

const char *
cli_time(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char *out = ring();
	struct tm tm;

	if (seconds == 0 || localtime_r(&t, &tm) == NULL ||
	    strftime(out, 64, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "-";
	return out;
}

const char *
cli_bytes(uint64_t n)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };
	char *out = ring();
	double value = (double)n / 1000;
	size_t unit = 0;

	if (n < 1000) {
		snprintf(out, 64, "%" PRIu64 " B", n);
		return out;
	}
	for (; value >= 1000 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1000;
	snprintf(out, 64, "%.1f %s", value, units[unit]);
	return out;
}

/* ---- progress ---------------------------------------------------------- */

static void
show(struct progress *p)
{
	char bar[BAR + 1];
	size_t full;

	if (p->total == 0) {
		fprintf(stderr, "\r%s: %" PRIu64 " ", p->what, p->done);
		return;
	}
	full = (size_t)(MIN(p->done, p->total) * BAR / p->total);
	memset(bar, '.', BAR);
	memset(bar, '#', full);
	bar[BAR] = '\0';
	fprintf(stderr, "\r%s [%s] %3u%% ", p->what, bar,
	    (unsigned)(MIN(p->done, p->total) * 100 / p->total));
}

void
progress_begin(struct progress *p, const struct cli *cli, const char *what,
    uint64_t total)
{
	*p = (struct progress){ .what = what, .total = total,
		.on = !cli->json && isatty(STDERR_FILENO) };
}

void
progress_set(struct progress *p, uint64_t done)
{
	int64_t now;

	p->done = done;
	if (!p->on)
		return;
	now = clock_mono().ms;
	if (now - p->shown < SHOW_EVERY && done != p->total)
		return;
	p->shown = now;
	show(p);
}

void
progress_end(struct progress *p)
{
	if (p->on)
		fputs("\r\033[K", stderr);
	p->on = false;
}
