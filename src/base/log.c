/*
 * log.c - one event, one line, one write(2).
 *
 * A line is built in a buffer of the thread's own and never exceeds PIPE_BUF,
 * so that lines of several processes on one pipe do not mix. What does not fit
 * is cut at a character and marked; the line stays well-formed. A log that
 * cannot be written is not waited for.
 *
 * The level and the place may change while threads write. To put another file
 * in the place of one, dup2() it there: a descriptor that is closed could be
 * written to still.
 */
#include "base/log.h"
#include "base/clock.h"
#include "base/metric.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_ROOM	((size_t)PIPE_BUF)
#define LINE_TAIL	((size_t)16)	/* kept free for closing the line */
#define VALUE_LARGEST	((size_t)1024)	/* bytes of one value as received */
#define JOURNAL_ROOM	((size_t)16384)

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_format = LOG_FORMAT_TEXT;
static _Atomic(const char *) log_who = "postrider";
static _Atomic int log_level = LOG_LEVEL_INFO;

static const struct {
	const char *name;
	char priority;		/* syslog's */
} levels[] = {
	[LOG_LEVEL_ERROR]   = { "error",   '3' },
	[LOG_LEVEL_WARNING] = { "warning", '4' },
	[LOG_LEVEL_INFO]    = { "info",    '6' },
	[LOG_LEVEL_DEBUG]   = { "debug",   '7' },
};

struct line {
	char *p;
	size_t n;
	size_t room;		/* additions end here; the tail lies behind */
};

struct log_field
log_text(const char *name, struct span s)
{
	return (struct log_field){ .name = name, .text = s };
}

struct log_field
log_str(const char *name, const char *s)
{
	return log_text(name, span_str(s));
}

struct log_field
log_int(const char *name, int64_t v)
{
	return (struct log_field){ .name = name, .is_number = true,
	    .number = v };
}

struct log_field
log_errno(void)
{
	const char *s = strerrordesc_np(errno);

	return log_str("error", s == NULL ? "unknown error" : s);
}

void
log_open(int fd, enum log_format format, const char *who)
{
	atomic_store(&log_fd, fd);
	atomic_store(&log_format, (int)format);
	atomic_store(&log_who, who);
}

void
log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

enum log_level
log_level_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (enum log_level)i;
	return LOG_LEVEL_INFO;
}

bool
log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level,
	    memory_order_relaxed);
}

/* All of s or nothing of it. */
static bool
put(struct line *l, struct span s)
{
	if (s.n > l->room - l->n)
		return false;
	if (s.n > 0)
		memcpy(l->p + l->n, s.p, s.n);
	l->n += s.n;
	return true;
}

/*
 * The length of the UTF-8 character at the front of s (RFC 3629), or 0 where
 * there is none, and for the characters a line must not carry: controls, line
 * and paragraph separators, and those that turn the direction of writing.
 */
static size_t
plain_char(struct span s)
{
	const unsigned char *u = (const unsigned char *)s.p;
	size_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 :
	    u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? u[0] : n == 2 ? u[0] & 31u :
	    n == 3 ? u[0] & 15u : u[0] & 7u;

	if (n == 0 || s.n < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 63u);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c ||
	    (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0xfeff)
		return 0;
	return n;
}

/* One character as it stands between quotes; the bytes it took from s. */
static size_t
quote_char(char *out, size_t *out_n, struct span s, bool json)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = plain_char(s);

	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		*out_n = 2;
		return 1;
	}
	if (n > 0) {
		memcpy(out, s.p, n);
		*out_n = n;
		return n;
	}
	if (c == '\n' || c == '\r' || c == '\t') {
		out[0] = '\\';
		out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		*out_n = 2;
		return 1;
	}
	/* JSON has no bytes: those that are no text become U+00XX. */
	snprintf(out, 8, json ? "\\u%04x" : "\\x%02x", c);
	*out_n = json ? 6 : 4;
	return 1;
}

static void
put_quoted(struct line *l, struct span s, bool json)
{
	bool cut = s.n > VALUE_LARGEST;
	struct span rest = span_sub(s, 0, VALUE_LARGEST);
	char one[8];
	size_t n;

	if (!put(l, SPAN("\"")))
		return;
	while (rest.n > 0) {
		rest = span_from(rest, quote_char(one, &n, rest, json));
		if (!put(l, span_of(one, n))) {
			cut = true;
			break;
		}
	}
	/* The tail has room for both. */
	l->room += LINE_TAIL / 2;
	if (cut)
		put(l, SPAN("..."));
	put(l, SPAN("\""));
	l->room -= LINE_TAIL / 2;
	l->room = MAX(l->room, l->n);
}

static bool
is_bare(struct span s)
{
	if (s.n == 0 || s.n > VALUE_LARGEST)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_print(s.p[i]) || s.p[i] == ' ' ||
		    s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '=')
			return false;
	return true;
}

/* name=value, or "name":value. Names are literals of our own. */
static void
put_field(struct line *l, const struct log_field *f, bool json)
{
	char number[24];
	size_t before = l->n;
	int n;

	if (!put(l, json ? SPAN(",\"") : SPAN(" ")) ||
	    !put(l, span_str(f->name)) ||
	    !put(l, json ? SPAN("\":") : SPAN("=")) ||
	    l->room - l->n < 8)
		goto full;
	if (f->is_number) {
		n = snprintf(number, sizeof(number), "%" PRId64, f->number);
		if (!put(l, span_of(number, (size_t)n)))
			goto full;
	} else if (json || !is_bare(f->text)) {
		put_quoted(l, f->text, json);
	} else if (!put(l, f->text)) {
		put_quoted(l, f->text, json);
	}
	return;
full:
	l->n = before;
	l->room = before;	/* nothing smaller slips in behind a gap */
}

static void
put_time(struct line *l)
{
	walltime_t now = clock_wall();
	time_t seconds = (time_t)(now / 1000000);
	struct tm tm;
	char s[64];
	int n;

	gmtime_r(&seconds, &tm);
	n = snprintf(s, sizeof(s), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(now / 1000 % 1000));
	put(l, span_of(s, (size_t)n));
}

static void
line_build(struct line *l, enum log_level level, const char *event,
    const struct log_field *fields, size_t count, bool json)
{
	struct log_field head[] = {
		log_str("level", levels[level].name), log_str("role", log_who),
		log_int("pid", getpid()), log_str("event", event),
	};

	put(l, json ? SPAN("{\"time\":\"") : SPAN("time="));
	put_time(l);
	if (json)
		put(l, SPAN("\""));
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		put_field(l, &head[i], json);
	for (size_t i = 1; i < count; i++)
		put_field(l, &fields[i], json);
	l->room += LINE_TAIL / 2;
	put(l, json ? SPAN("}\n") : SPAN("\n"));
}

/* NAME, its length as 64 bits little-endian, the bytes: any value will do. */
static void
journal_field(struct line *l, const char *prefix, const char *name,
    struct span value)
{
	size_t before = l->n;
	char length[9] = "\n";

	value = span_sub(value, 0, VALUE_LARGEST);
	for (size_t i = 0; i < 8; i++)
		length[i + 1] = (char)((uint64_t)value.n >> (8 * i));
	if (!put(l, span_str(prefix)) || !put(l, span_str(name)))
		goto full;
	for (size_t i = before; i < l->n; i++)
		l->p[i] = ascii_upper(l->p[i]);
	if (put(l, span_of(length, sizeof(length))) && put(l, value) &&
	    put(l, SPAN("\n")))
		return;
full:
	l->n = before;
}

static void
journal_build(struct line *l, enum log_level level, const char *event,
    const struct log_field *fields, size_t count, struct span message)
{
	char number[24];
	int n;

	journal_field(l, "", "MESSAGE", message);
	journal_field(l, "", "PRIORITY", span_of(&levels[level].priority, 1));
	journal_field(l, "", "SYSLOG_IDENTIFIER", SPAN("postrider"));
	journal_field(l, "POSTRIDER_", "ROLE", span_str(log_who));
	journal_field(l, "POSTRIDER_", "EVENT", span_str(event));
	for (size_t i = 1; i < count; i++) {
		if (!fields[i].is_number) {
			journal_field(l, "POSTRIDER_", fields[i].name,
			    fields[i].text);
			continue;
		}
		n = snprintf(number, sizeof(number), "%" PRId64,
		    fields[i].number);
		journal_field(l, "POSTRIDER_", fields[i].name,
		    span_of(number, (size_t)n));
	}
}

/* The line as people read it in the journal: the event and its fields. */
static struct span
journal_message(struct line *l, const char *event,
    const struct log_field *fields, size_t count)
{
	put(l, span_str(event));
	for (size_t i = 1; i < count; i++)
		put_field(l, &fields[i], false);
	return span_sub(span_of(l->p, l->n), 0, VALUE_LARGEST);
}

void
log_write(enum log_level level, const char *event,
    const struct log_field *fields, size_t count)
{
	static _Thread_local char text[LINE_ROOM], journal[JOURNAL_ROOM];
	struct line l = { text, 0, LINE_ROOM - LINE_TAIL };
	struct line j = { journal, 0, JOURNAL_ROOM };
	int saved = errno;
	ssize_t sent;

	metric_event(event);
	if (!log_enabled(level))
		return;
	if (log_format == LOG_FORMAT_JOURNAL) {
		journal_build(&j, level, event, fields, count,
		    journal_message(&l, event, fields, count));
		l = j;
	} else {
		line_build(&l, level, event, fields, count,
		    log_format == LOG_FORMAT_JSON);
	}
	do {
		sent = write(log_fd, l.p, l.n);
	} while (sent < 0 && errno == EINTR);
	errno = saved;
}
