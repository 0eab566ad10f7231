/*
 * settings.c - every setting of Postrider, from the rows of settings.def.
 */
#include "base/settings.h"

#include "base/network.h"
#include "base/routes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)

/* The words of settings.def. */
#define KIB(n) (UINT64_C(1024) * (n))
#define MIB(n) (UINT64_C(1024) * KIB(n))
#define GIB(n) (UINT64_C(1024) * MIB(n))
#define SECONDS(n) (UINT64_C(1000) * (n))
#define MINUTES(n) (UINT64_C(60) * SECONDS(n))
#define HOURS(n) (UINT64_C(60) * MINUTES(n))
#define DAYS(n) (UINT64_C(24) * HOURS(n))

static const struct param rows[] = {
#define GLOBAL(name, type, standard, min, max, unit, about)		\
	{ #name, PARAM_##type, offsetof(struct settings, name),		\
	    standard, min, max, unit, about },
#define SETTING(section, name, type, standard, min, max, unit, about)	\
	{ #section "." #name, PARAM_##type,				\
	    offsetof(struct settings, section##_##name),		\
	    standard, min, max, unit, about },
#include "base/settings.def"
};

size_t
settings_count(void)
{
	return ARRAY_LEN(rows);
}

const struct param *
settings_row(size_t i)
{
	must(i < ARRAY_LEN(rows));
	return &rows[i];
}

const struct param *
settings_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_is(name, rows[i].name))
			return &rows[i];
	return NULL;
}

void
settings_default(struct settings *s)
{
	struct text why = TEXT_INIT(1024);

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		must(param_read(&rows[i], s, span_str(rows[i].standard),
		    &why) == 1);
	text_free(&why);
}

static const struct param *
row_of(struct span name, struct text *why)
{
	const struct param *p = settings_find(name);

	if (p == NULL)
		text_printf(why, "there is no setting \"%.*s\"",
		    (int)MIN(name.n, PARAM_NAME_MAX * 2),
		    name.n > 0 ? name.p : "");
	return p;
}

int
settings_set(struct settings *s, struct span name, struct span value,
    struct text *why)
{
	const struct param *p = row_of(name, why);

	return p == NULL ? 0 : param_read(p, s, value, why);
}

/* ---- the file ---------------------------------------------------------- */

struct reading {
	struct settings *into;
	unsigned line[ARRAY_LEN(rows)];	/* where it was set; 0 not yet */
};

static bool
set_once(void *arg, struct span name, struct span value, unsigned line,
    struct text *why)
{
	struct reading *r = arg;
	const struct param *p;
	unsigned *at;

	if (span_starts(name, SPAN("route.")))
		return true;		/* routes_parse()'s */
	p = row_of(name, why);
	if (p == NULL)
		return false;
	at = &r->line[p - rows];
	if (*at != 0) {
		text_printf(why, "%s was set on line %u already", p->name,
		    *at);
		return false;
	}
	*at = line;
	return param_read(p, r->into, value, why) == 1;
}

/* Lists that addresses are compared with: a slip of the pen in one would
 * never be noticed. */
static int
check_networks(const struct settings *s, struct text *why)
{
	const struct { const char *name, *list; } lists[] = {
		{ "listen.proxy_from", s->listen_proxy_from },
		{ "smtp.trusted", s->smtp_trusted },
		{ "smtp.xclient_from", s->smtp_xclient_from },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (networks_check(span_str(lists[i].list), why) == 1)
			continue;
		text_printf(why, " (%s)", lists[i].name);
		return 0;
	}
	return 1;
}

int
settings_parse(struct settings *s, struct span file, struct text *why)
{
	struct settings *copy = xmalloc(sizeof(*copy));
	struct reading r = { .into = copy };
	int done;

	*copy = *s;
	done = param_parse(file, set_once, &r, why);
	if (done == 1)
		done = check_networks(copy, why);
	if (done == 1)
		*s = *copy;
	free(copy);
	return done;
}

/* A regular file, at most FILE_MAX bytes. 1, 0 too large, -1. */
static int
read_file(const char *path, struct text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	char *p;
	int done = -1;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0)
		goto out;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		goto out;
	}
	while ((p = text_room(out, 4096)) != NULL) {
		n = read(fd, p, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			done = n == 0 ? 1 : -1;
			goto out;
		}
		text_grew(out, (size_t)n);
	}
	done = 0;
out:
	close(fd);
	return done;
}

int
settings_read(const char *path, struct text *file, struct text *why)
{
	int done;

	file->limit = FILE_MAX;
	done = read_file(path, file);
	if (done < 0)
		text_printf(why, "%s: %s", path, strerrordesc_np(errno));
	else if (done == 0)
		text_printf(why, "%s: the file is too large", path);
	return done;
}

static int
check_routes(struct span file, struct text *why)
{
	struct routes *routes = routes_parse(file, why);
	bool good = routes != NULL;

	routes_free(&routes);
	return good;
}

int
settings_load(struct settings *s, const char *path, struct text *why)
{
	struct text file = TEXT_INIT(FILE_MAX), what = TEXT_INIT(2048);
	struct settings *fresh = xmalloc(sizeof(*fresh));
	int done = settings_read(path, &file, why);

	if (done == 1) {
		settings_default(fresh);
		done = settings_parse(fresh, text_span(&file), &what);
		if (done == 1)
			done = check_routes(text_span(&file), &what);
		if (done == 1)
			*s = *fresh;
		else
			text_printf(why, "%s: %.*s", path,
			    SPAN_ARG(text_span(&what)));
	}
	free(fresh);
	text_free(&what);
	text_free(&file);
	return done;
}

/* ---- from process to process ------------------------------------------- */

void
settings_encode(const struct settings *s, struct text *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text_str(out, rows[i].name);
		text_char(out, '=');
		param_write(&rows[i], s, out);
		text_char(out, '\n');
	}
}

int
settings_decode(struct settings *s, struct span lines, struct text *why)
{
	struct settings *fresh = xmalloc(sizeof(*fresh));
	struct span line, name, value;
	int done = 1;

	settings_default(fresh);
	while (lines.n > 0 && done == 1) {
		lines = span_cut(lines, '\n', &line);
		value = span_cut(line, '=', &name);
		done = settings_set(fresh, name, value, why);
	}
	if (done == 1)
		*s = *fresh;
	free(fresh);
	return done;
}

/* ---- the manual -------------------------------------------------------- */

/* Text that roff takes as it stands, in a macro too; no leading dot. */
static void
roff(struct text *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		text_str(out, "\\&");
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			text_str(out, "\\e");
		else if (*s == '-')
			text_str(out, "\\-");
		else if (*s == '"')
			text_str(out, "\\(dq");
		else
			text_char(out, *s);
	}
}

static void
manual_words(struct text *out, const char *words)
{
	struct span rest = span_str(words), word;
	char one[64];

	while (rest.n > 0) {
		rest = span_cut(rest, '|', &word);
		snprintf(one, sizeof(one), "%.*s", SPAN_ARG(word));
		roff(out, one);
		if (rest.n > 0)
			text_str(out, ", ");
	}
}

static void
manual_range(struct text *out, const struct param *p)
{
	switch (p->type) {
	case PARAM_BOOL:
		text_str(out, "yes or no");
		break;
	case PARAM_CHOICE:
		text_str(out, "one of ");
		manual_words(out, p->unit);
		break;
	case PARAM_TEXT:
		text_printf(out, "text of at most %" PRIu64 " bytes", p->max);
		break;
	case PARAM_COUNT:
	case PARAM_SIZE:
	case PARAM_TIME:
		param_write_number(p->type, p->min, out);
		text_str(out, " to ");
		param_write_number(p->type, p->max, out);
		if (*p->unit != '\0')
			text_printf(out, " %s", p->unit);
		break;
	}
}

/* The part of a name before its dot; "" outside a section. */
static struct span
section_of(const struct param *p)
{
	const char *dot = strchr(p->name, '.');

	return span_of(p->name, dot == NULL ? 0 : (size_t)(dot - p->name));
}

void
settings_write_row(const struct param *p, struct text *out)
{
	text_str(out, ".TP\n.B ");
	roff(out, p->name);
	text_str(out, " = ");
	roff(out, *p->standard == '\0' ? "\"\"" : p->standard);
	text_str(out, "\n");
	roff(out, p->about);
	text_str(out, "\n(");
	manual_range(out, p);
	text_str(out, ")\n");
}

void
settings_write_manual(struct text *out)
{
	struct span before = SPAN_EMPTY, section;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		section = section_of(&rows[i]);
		if (!span_eq(section, before))
			text_printf(out, ".SS %.*s\n", SPAN_ARG(section));
		before = section;
		settings_write_row(&rows[i], out);
	}
}
