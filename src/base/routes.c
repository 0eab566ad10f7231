/*
 * routes.c - the route sections of the settings, and which one fits.
 *
 * Patterns are compiled once. A regular expression has a limit on the work
 * it may take and is compared with the whole address, in any case; what its
 * author could not foresee costs no more than that route.
 */
#include "base/routes.h"
#include "base/secret.h"
#include "base/settings.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PATTERNS_MAX = 128,		/* in one list */
	REGEX_STEPS = 100000,		/* of one comparison */
	REGEX_DEPTH = 1000,
};

/* The rows of routes.def hold no sizes: only numbers and words. */
static const struct param rows[] = {
#define ROUTE(name, type, standard, min, max, unit, about)		\
	{ #name, PARAM_##type, offsetof(struct route, name), standard,	\
	    min, max, unit, about },
#include "base/routes.def"
#undef ROUTE
};

size_t
routes_row_count(void)
{
	return ARRAY_LEN(rows);
}

const struct param *
routes_row(size_t i)
{
	must(i < ARRAY_LEN(rows));
	return &rows[i];
}

static const struct param *
find_row(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_is(name, rows[i].name))
			return &rows[i];
	return NULL;
}

/* ---- patterns ---------------------------------------------------------- */

static bool
is_regex(struct span pattern)
{
	return pattern.n > 2 && pattern.p[0] == '/' &&
	    pattern.p[pattern.n - 1] == '/';
}

/* NULL: it is not one; *why says what is wrong with it. */
static pcre2_code *
regex_compile(struct span pattern, struct text *why)
{
	PCRE2_SIZE at;
	int error;
	unsigned char words[256];
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.p + 1,
	    pattern.n - 2, PCRE2_CASELESS | PCRE2_UTF | PCRE2_ANCHORED |
	    PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C |
	    PCRE2_MATCH_INVALID_UTF, &error, &at, NULL);

	if (code != NULL)
		return code;
	pcre2_get_error_message(error, words, sizeof(words));
	text_printf(why, "\"%.*s\" is not a regular expression: %s at %zu",
	    SPAN_ARG(pattern), (char *)words, (size_t)at + 1);
	return NULL;
}

static bool
regex_matches(const pcre2_code *code, struct span address)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	int rc;

	must(data != NULL && context != NULL);
	pcre2_set_match_limit(context, REGEX_STEPS);
	pcre2_set_depth_limit(context, REGEX_DEPTH);
	rc = pcre2_match(code, (PCRE2_SPTR)(address.n > 0 ? address.p : ""),
	    address.n, 0, 0, data, context);
	pcre2_match_context_free(context);
	pcre2_match_data_free(data);
	return rc >= 0;
}

static struct span
domain_of(struct span address, struct span *local)
{
	size_t at = address.n;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	*local = span_sub(address, 0, at > 0 ? at - 1 : 0);
	return at > 0 ? span_from(address, at) : SPAN_EMPTY;
}

static bool
ends_nocase(struct span s, struct span tail)
{
	return s.n > tail.n &&
	    span_eq_nocase(span_from(s, s.n - tail.n), tail);
}

/* All but regular expressions. */
static bool
plain_matches(struct span pattern, struct span address)
{
	struct span local, domain = domain_of(address, &local);

	if (span_is(pattern, "*"))
		return true;
	if (address.n == 0 || span_is(pattern, "<>"))
		return address.n == 0 && span_is(pattern, "<>");
	if (span_starts(pattern, SPAN("*.")))
		return ends_nocase(domain, span_from(pattern, 1));
	if (pattern.p[0] == '@')
		return span_eq_nocase(domain, span_from(pattern, 1));
	if (pattern.p[pattern.n - 1] == '@')
		return span_eq_nocase(local,
		    span_sub(pattern, 0, pattern.n - 1));
	if (span_find_char(pattern, '@', 0) != SIZE_MAX)
		return span_eq_nocase(pattern, address);
	return span_eq_nocase(pattern, domain);
}

bool
routes_pattern_matches(struct span pattern, struct span address)
{
	struct text why = TEXT_INIT(1024);
	pcre2_code *code;
	bool fits;

	if (pattern.n == 0)
		return false;
	if (!is_regex(pattern))
		return plain_matches(pattern, address);
	code = regex_compile(pattern, &why);
	fits = code != NULL && regex_matches(code, address);
	pcre2_code_free(code);
	text_free(&why);
	return fits;
}

struct pattern {
	struct span text;		/* inside the route */
	pcre2_code *code;		/* of a regular expression */
};

struct pattern_list {
	size_t n;
	struct pattern list[PATTERNS_MAX];
};

struct route_patterns {
	struct pattern_list sender, recipient;
};

static bool
compile_list(struct pattern_list *out, const char *words, struct text *why)
{
	struct span rest = span_str(words), word;

	while ((word = span_word(&rest)).n > 0) {
		struct pattern *p = &out->list[out->n];

		if (out->n == PATTERNS_MAX) {
			text_printf(why, "more than %d patterns",
			    PATTERNS_MAX);
			return false;
		}
		*p = (struct pattern){ .text = word };
		if (is_regex(word) &&
		    (p->code = regex_compile(word, why)) == NULL)
			return false;
		out->n++;
	}
	return true;
}

static bool
list_matches(const struct pattern_list *l, struct span address)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct pattern *p = &l->list[i];

		if (p->code != NULL ? regex_matches(p->code, address)
		    : plain_matches(p->text, address))
			return true;
	}
	return l->n == 0;
}

/* ---- one route --------------------------------------------------------- */

static bool
via_is_good(struct span via)
{
	struct span kind, rest = span_cut(via, ':', &kind);

	return via.n == 0 || (span_trim(rest).n > 0 &&
	    (span_is(kind, "smtp") || span_is(kind, "lmtp") ||
	    span_is(kind, "refuse")));
}

/* What can be said of a route as a whole; its patterns are compiled. */
static bool
route_finish(struct routes *r, size_t i, struct text *why)
{
	struct route *route = r->list[i];
	struct text what = TEXT_INIT(1024);
	bool good;

	r->patterns[i] = xcalloc(1, sizeof(*r->patterns[i]));
	good = compile_list(&r->patterns[i]->recipient, route->recipient,
	    &what) && compile_list(&r->patterns[i]->sender, route->sender,
	    &what);
	if (good && !via_is_good(span_str(route->via))) {
		text_str(&what, "via must begin with smtp:, lmtp: or refuse:");
		good = false;
	}
	if (good && route->password[0] != '\0' &&
	    route->password_file[0] != '\0') {
		text_str(&what, "a password and a password_file");
		good = false;
	}
	if (!good)
		text_printf(why, "route %s: %.*s", route->name,
		    SPAN_ARG(text_span(&what)));
	text_free(&what);
	return good;
}

static struct routes *
finish(struct routes *r, bool good, struct text *why)
{
	for (size_t i = 0; good && i < r->count; i++)
		good = route_finish(r, i, why);
	if (!good)
		routes_free(&r);
	return r;
}

static void
list_free(struct pattern_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		pcre2_code_free(l->list[i].code);
}

void
routes_free(struct routes **rp)
{
	struct routes *r = *rp;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++) {
		if (r->patterns[i] != NULL) {
			list_free(&r->patterns[i]->recipient);
			list_free(&r->patterns[i]->sender);
		}
		free(r->patterns[i]);
		secret_wipe(r->list[i], sizeof(*r->list[i]));
		free(r->list[i]);
	}
	free(r);
	*rp = NULL;
}

static bool
name_is_good(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && name.p[i] != '_' &&
		    name.p[i] != '-')
			return false;
	return name.n > 0 && name.n <= ROUTE_NAME_MAX;
}

/* The route of that name, made with its defaults when it is new. */
static struct route *
route_named(struct routes *r, struct span name, struct text *why)
{
	struct route *route;

	for (size_t i = 0; i < r->count; i++)
		if (span_is(name, r->list[i]->name))
			return r->list[i];
	if (!name_is_good(name) || r->count == ROUTES_MAX) {
		text_str(why, r->count == ROUTES_MAX ? "too many routes" :
		    "a route's name is letters, digits, - and _");
		return NULL;
	}
	route = xcalloc(1, sizeof(*route));
	memcpy(route->name, name.p, name.n);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		must(param_read(&rows[i], route, span_str(rows[i].standard),
		    why) == 1);
	r->list[r->count++] = route;
	return route;
}

static bool
route_set(struct route *route, struct span key, struct span value,
    struct text *why)
{
	const struct param *row = find_row(key);

	if (row == NULL)
		text_printf(why, "a route has no \"%.*s\"",
		    (int)MIN(key.n, PARAM_NAME_MAX), key.n > 0 ? key.p : "");
	return row != NULL && param_read(row, route, value, why) == 1;
}

/* ---- the file ---------------------------------------------------------- */

struct reading {
	struct routes *into;
	bool set[ROUTES_MAX][ARRAY_LEN(rows)];
};

static bool
set_once(struct reading *r, const struct route *route, struct span key,
    struct text *why)
{
	const struct param *row = find_row(key);
	size_t i = 0;

	while (r->into->list[i] != route)
		i++;
	if (row != NULL && r->set[i][row - rows]) {
		text_printf(why, "%s was set already", row->name);
		return false;
	}
	if (row != NULL)
		r->set[i][row - rows] = true;
	return true;
}

static bool
take_line(void *arg, struct span name, struct span value, unsigned line,
    struct text *why)
{
	struct reading *r = arg;
	struct span key;
	struct route *route;

	(void)line;
	if (!span_starts(name, SPAN("route.")))
		return true;
	key = span_cut(span_from(name, 6), '.', &name);
	route = route_named(r->into, name, why);
	return route != NULL && set_once(r, route, key, why) &&
	    route_set(route, key, value, why);
}

struct routes *
routes_parse(struct span file, struct text *why)
{
	struct reading *r = xcalloc(1, sizeof(*r));
	struct routes *made;
	bool good;

	r->into = xcalloc(1, sizeof(*r->into));
	good = param_parse(file, take_line, r, why) == 1;
	made = finish(r->into, good, why);
	free(r);
	return made;
}

struct routes *
routes_load(const char *path, struct text *why)
{
	struct text file = TEXT_INIT(0), what = TEXT_INIT(2048);
	struct routes *r = NULL;

	if (settings_read(path, &file, why) == 1) {
		r = routes_parse(text_span(&file), &what);
		if (r == NULL)
			text_printf(why, "%s: %.*s", path,
			    SPAN_ARG(text_span(&what)));
	}
	text_wipe(&file);
	text_free(&what);
	return r;
}

/* ---- from process to process ------------------------------------------- */

static bool
is_secret(const struct param *row)
{
	return row->offset == offsetof(struct route, password);
}

/* One line "NAME key=value" for each row: no value holds a line end. */
void
routes_encode(const struct routes *r, bool with_secrets, struct text *out)
{
	for (size_t i = 0; r != NULL && i < r->count; i++)
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			text_printf(out, "%s %s=", r->list[i]->name,
			    rows[k].name);
			if (with_secrets || !is_secret(&rows[k]))
				param_write(&rows[k], r->list[i], out);
			text_char(out, '\n');
		}
}

struct routes *
routes_decode(struct span lines, struct text *why)
{
	struct routes *r = xcalloc(1, sizeof(*r));
	struct span line, name, key;
	struct route *route;
	bool good = true;

	while (good && lines.n > 0) {
		struct span value;

		lines = span_cut(lines, '\n', &line);
		value = span_cut(span_cut(line, ' ', &name), '=', &key);
		route = route_named(r, name, why);
		good = route != NULL && route_set(route, key, value, why);
	}
	return finish(r, good, why);
}

/* ---- which one --------------------------------------------------------- */

const struct route *
routes_match(const struct routes *r, struct span sender,
    struct span recipient)
{
	for (size_t i = 0; r != NULL && i < r->count; i++)
		if (list_matches(&r->patterns[i]->recipient, recipient) &&
		    list_matches(&r->patterns[i]->sender, sender))
			return r->list[i];
	return NULL;
}

const struct route *
routes_find(const struct routes *r, struct span name)
{
	for (size_t i = 0; r != NULL && i < r->count; i++)
		if (span_is(name, r->list[i]->name))
			return r->list[i];
	return NULL;
}

/* ---- the manual -------------------------------------------------------- */

void
routes_write_manual(struct text *out)
{
	text_str(out, ".SH ROUTES\n"
	    "Mail to other systems goes to the mail exchangers of the "
	    "recipient's domain.\n"
	    "What shall go another way is said in sections of routes, each "
	    "with a name:\n"
	    ".PP\n"
	    ".nf\n"
	    "route {\n"
	    "    partners {\n"
	    "        recipient = \"example.net *.example.net\"\n"
	    "        tls = verify\n"
	    "    }\n"
	    "    rest {\n"
	    "        via = \"smtp:[smarthost.example.org]:587\"\n"
	    "        tls = verify\n"
	    "        login = ann\n"
	    "        password_file = smarthost.password\n"
	    "    }\n"
	    "}\n"
	    ".fi\n"
	    ".PP\n"
	    "The first route whose conditions all hold is taken.\n"
	    "Each route may say:\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		settings_write_row(&rows[i], out);
}
