/*
 * dkim.c - DKIM signatures and key records, read and written (RFC 6376).
 */
#include "verify/dkim.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/lex.h"
#include "verify/tags.h"

#include <stdio.h>

enum {
	COLUMN_MAX = 76,		/* of a folded field, its ; included */
	SAME_NAME_MAX = 16,		/* fields of one name that we sign */
};

static const struct {
	const char *name, *key;
} algorithms[DKIM_ALGORITHMS] = {
	[DKIM_RSA_SHA256] = { "rsa-sha256", "rsa" },
	[DKIM_ED25519_SHA256] = { "ed25519-sha256", "ed25519" },
};

const char *
dkim_algorithm_name(enum dkim_algorithm a)
{
	return algorithms[a].name;
}

/* ---- what is signed --------------------------------------------------- */

/*
 * Readers act upon ALWAYS ones, missing or not: nobody may add another. A
 * list may add the rest to a message that has none; once there, they are
 * the author's. Trace fields change on the way (5.4.1), Resent-* may come
 * again.
 */
enum choice { ALWAYS, WHEN_THERE, AS_THEY_ARE };
static const struct {
	const char *name;
	enum choice choice;
} chosen[] = {
	{ "From", ALWAYS },
	{ "To", ALWAYS },
	{ "Cc", ALWAYS },
	{ "Subject", ALWAYS },
	{ "Date", ALWAYS },
	{ "Message-ID", ALWAYS },
	{ "Reply-To", ALWAYS },
	{ "In-Reply-To", ALWAYS },
	{ "References", ALWAYS },
	{ "MIME-Version", ALWAYS },
	{ "Content-Type", ALWAYS },
	{ "Content-Transfer-Encoding", ALWAYS },
	{ "Content-Disposition", WHEN_THERE },
	{ "Content-ID", WHEN_THERE },
	{ "Content-Description", WHEN_THERE },
	{ "Sender", WHEN_THERE },
	{ "Autocrypt", WHEN_THERE },
	{ "TLS-Required", WHEN_THERE },
	{ "Auto-Submitted", WHEN_THERE },
	{ "List-Id", WHEN_THERE },
	{ "List-Help", WHEN_THERE },
	{ "List-Unsubscribe", WHEN_THERE },
	{ "List-Unsubscribe-Post", WHEN_THERE },
	{ "List-Subscribe", WHEN_THERE },
	{ "List-Post", WHEN_THERE },
	{ "List-Owner", WHEN_THERE },
	{ "List-Archive", WHEN_THERE },
	{ "Resent-From", AS_THEY_ARE },
	{ "Resent-To", AS_THEY_ARE },
	{ "Resent-Cc", AS_THEY_ARE },
	{ "Resent-Date", AS_THEY_ARE },
	{ "Resent-Message-ID", AS_THEY_ARE },
};

static void
count_fields(struct span header, size_t counts[])
{
	struct header_field f;
	size_t at = 0;

	while (header_next(header, &at, &f))
		for (size_t i = 0; i < ARRAY_LEN(chosen); i++)
			if (span_is_nocase(f.name, chosen[i].name)) {
				counts[i]++;
				break;
			}
}

void
dkim_choose(struct span header, struct text *names)
{
	size_t counts[ARRAY_LEN(chosen)] = { 0 }, n;

	count_fields(header, counts);
	for (size_t i = 0; i < ARRAY_LEN(chosen); i++) {
		n = MIN(counts[i], (size_t)SAME_NAME_MAX);
		if (chosen[i].choice == ALWAYS ||
		    (chosen[i].choice == WHEN_THERE && n > 0))
			n++;
		while (n-- > 0) {
			if (names->n > 0)
				text_char(names, ':');
			text_str(names, chosen[i].name);
		}
	}
}

struct fields {
	size_t count;
	struct {
		struct span name, whole;
		bool used;
	} list[];
};

static struct fields *
read_fields(struct span header, struct arena *a)
{
	struct header_field f;
	struct fields *all;
	size_t at = 0, n = 0;

	while (n <= DKIM_FIELDS_MAX && header_next(header, &at, &f))
		n++;
	if (n > DKIM_FIELDS_MAX)	/* others might see more of them */
		return NULL;
	all = arena_zalloc(a, sizeof(*all) + n * sizeof(all->list[0]));
	if (all == NULL)
		return NULL;
	for (at = 0; all->count < n && header_next(header, &at, &f);
	    all->count++) {
		all->list[all->count].name = f.name;
		all->list[all->count].whole = f.whole;
	}
	return all;
}

/* 5.4.2: the last one of that name that was not taken yet; none: nothing. */
static void
take_field(struct fields *all, struct span name, enum dkim_canon canon,
    struct text *out)
{
	for (size_t i = all->count; i-- > 0;) {
		if (all->list[i].used ||
		    !span_eq_nocase(all->list[i].name, name))
			continue;
		all->list[i].used = true;
		dkim_field(all->list[i].whole, canon, out);
		return;
	}
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && lex_is_blank(s.p[s.n - 1]))
		s.n--;
	return span_from(s, lex_blanks(s, 0));
}

/* The field with nothing in its b= (3.7). */
static void
without_signature(struct span field, struct text *out)
{
	struct span rest, tag, name, value;

	rest = span_cut(field, ':', &name);
	text_add(out, name);
	text_char(out, ':');
	while (rest.n > 0) {
		value = span_cut(rest, ';', &tag);
		if (tag.n < rest.n)	/* the semicolon is the tag's */
			tag.n++;
		rest = value;
		value = span_cut(tag, '=', &name);
		if (!span_is(trim(name), "b")) {
			text_add(out, tag);
			continue;
		}
		text_add(out, name);
		text_char(out, '=');
		if (span_ends(value, SPAN(";")))
			text_char(out, ';');
	}
}

int
dkim_input(struct span header, struct span names, struct span signature,
    enum dkim_canon canon, struct arena *a, struct text *out)
{
	struct text bare = TEXT_INIT(DKIM_INPUT_MAX);
	struct fields *all = read_fields(header, a);
	struct span rest = names, name;
	size_t taken = 0;

	while (all != NULL && rest.n > 0 && taken++ < DKIM_NAMES_MAX) {
		rest = span_cut(rest, ':', &name);
		take_field(all, trim(name), canon, out);
	}
	without_signature(span_chomp(signature), &bare);
	dkim_field(text_span(&bare), canon, out);
	if (!text_full(out) && out->n >= 2)
		out->n -= 2;		/* no CRLF behind the last one */
	taken = all != NULL && rest.n == 0 && !text_full(&bare) &&
	    !text_full(out);
	text_free(&bare);
	return (int)taken;
}

/* ---- signatures, read ------------------------------------------------- */

static int
read_algorithm(struct span s, enum dkim_algorithm *out)
{
	for (unsigned i = 0; i < DKIM_ALGORITHMS; i++)
		if (span_is(s, algorithms[i].name)) {
			*out = (enum dkim_algorithm)i;
			return 1;
		}
	return 0;
}

/* "relaxed/simple"; what is left out is simple (3.5). */
static int
read_canon(struct span s, struct dkim_signature *out)
{
	struct span header, body = span_cut(s, '/', &header);

	out->header = span_is(header, "relaxed") ? DKIM_RELAXED : DKIM_SIMPLE;
	out->body = span_is(body, "relaxed") ? DKIM_RELAXED : DKIM_SIMPLE;
	return (header.n == 0 || span_is(header, "simple") ||
	    span_is(header, "relaxed")) && (body.n == 0 ||
	    span_is(body, "simple") || span_is(body, "relaxed"));
}

static struct span
squeezed(struct span s, struct arena *a)
{
	struct text t = TEXT_INIT(0);
	struct span out;

	tags_squeeze(s, &t);
	out = arena_dup(a, text_span(&t));
	text_free(&t);
	return out;
}

static struct span
lower(struct span s, struct arena *a)
{
	char *p = arena_cstr(a, s);

	for (size_t i = 0; p != NULL && i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	return span_of(p, p == NULL ? 0 : s.n);
}

/* base64 with blanks and folds in it. 1, 0. */
static int
read_base64(struct span s, struct arena *a, struct span *out)
{
	struct text plain = TEXT_INIT(65536), bytes = TEXT_INIT(65536);
	int good;

	tags_squeeze(s, &plain);
	good = !text_full(&plain) && base64_decode(text_span(&plain),
	    &bytes) == 1;
	if (good)
		*out = arena_dup(a, text_span(&bytes));
	text_free(&plain);
	text_free(&bytes);
	return good;
}

static bool
names_from(struct span names)
{
	struct span name;

	while (names.n > 0) {
		names = span_cut(names, ':', &name);
		if (span_is_nocase(name, "From"))
			return true;
	}
	return false;
}

/* An optional number. 1; 0 it is there and is none. */
static int
read_number(const struct tags *t, const char *name, uint64_t *out)
{
	struct span s;

	return tags_find(t, name, &s) != 1 || span_u64(s, out) == 1;
}

static int
read_numbers(const struct tags *t, struct dkim_signature *out)
{
	uint64_t length = DKIM_WHOLE, when = UINT64_MAX, until = UINT64_MAX;

	if (!read_number(t, "l", &length) || !read_number(t, "t", &when) ||
	    !read_number(t, "x", &until))
		return 0;
	out->length = length;
	out->time = when > INT64_MAX ? -1 : (int64_t)when;
	out->expires = until > INT64_MAX ? -1 : (int64_t)until;
	return 1;
}

static bool
domain_ok(struct span s)
{
	if (s.n == 0 || s.n > 255)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' &&
		    s.p[i] != '.' && s.p[i] != '_')
			return false;
	return true;
}

int
dkim_parse(struct span value, struct arena *a, struct dkim_signature *out)
{
	struct span v, alg, canon, names, b, bh, d, s, q;
	struct tags t;

	memset(out, 0, sizeof(*out));
	if (tags_parse(value, &t) != 1 || tags_find(&t, "v", &v) != 1 ||
	    !span_is(v, "1") || tags_find(&t, "a", &alg) != 1 ||
	    read_algorithm(alg, &out->algorithm) != 1 ||
	    tags_find(&t, "d", &d) != 1 || !domain_ok(d) ||
	    tags_find(&t, "s", &s) != 1 || !dkim_selector_ok(s) ||
	    tags_find(&t, "h", &names) != 1 ||
	    tags_find(&t, "bh", &bh) != 1 || tags_find(&t, "b", &b) != 1 ||
	    read_numbers(&t, out) != 1)
		return 0;
	tags_find(&t, "c", &canon);
	tags_find(&t, "i", &out->identity);
	if (read_canon(canon, out) != 1 || (tags_find(&t, "q", &q) == 1 &&
	    span_find(q, SPAN("dns/txt"), 0) == SIZE_MAX))
		return 0;
	out->domain = lower(d, a);
	out->selector = lower(s, a);
	out->names = squeezed(names, a);
	if (read_base64(bh, a, &out->hash) != 1 ||
	    read_base64(b, a, &out->signature) != 1)
		return 0;
	if (arena_full(a))
		return -1;
	return out->hash.n == DKIM_HASH && names_from(out->names);
}

/* ---- signatures, written ---------------------------------------------- */

struct folding {
	struct text *out;
	size_t column;
};

/* A word that stays whole; `blank`: one may stand before it. */
static void
put_word(struct folding *f, struct span word, bool blank)
{
	if (f->column + blank + word.n > COLUMN_MAX) {
		text_str(f->out, "\r\n\t");
		f->column = 8;
	} else if (blank) {
		text_char(f->out, ' ');
		f->column++;
	}
	text_add(f->out, word);
	f->column += word.n;
}

static void
put_tag(struct folding *f, const char *name, struct span value)
{
	struct text t = TEXT_INIT(0);

	text_printf(&t, "%s=%.*s;", name, SPAN_ARG(value));
	put_word(f, text_span(&t), true);
	text_free(&t);
}

static void
put_names(struct folding *f, struct span names)
{
	struct span name;
	bool first = true;
	struct text t = TEXT_INIT(0);

	while (names.n > 0) {
		names = span_cut(names, ':', &name);
		text_clear(&t);
		text_printf(&t, "%s%.*s%s", first ? "h=" : "",
		    SPAN_ARG(name), names.n > 0 ? ":" : ";");
		put_word(f, text_span(&t), first);
		first = false;
	}
	text_free(&t);
}

/* Cut where the line is full: blanks in base64 mean nothing. */
static void
put_base64(struct folding *f, const char *name, struct span bytes,
    const char *end)
{
	struct text t = TEXT_INIT(0);
	size_t n;

	text_printf(&t, "%s=", name);
	base64_add(&t, bytes);
	text_str(&t, end);
	put_word(f, span_sub(text_span(&t), 0, COLUMN_MAX - 8), true);
	for (n = COLUMN_MAX - 8; n < t.n; n += COLUMN_MAX - 8)
		put_word(f, span_sub(text_span(&t), n, COLUMN_MAX - 8), false);
	text_free(&t);
}

static struct span
canon_name(const struct dkim_signature *s)
{
	static const char *const names[2][2] = {
		{ "simple/simple", "simple/relaxed" },
		{ "relaxed/simple", "relaxed/relaxed" },
	};

	return span_str(names[s->header][s->body]);
}

void
dkim_write(const struct dkim_signature *s, struct text *out)
{
	struct folding f = { out, strlen("DKIM-Signature:") };
	char number[24];

	must(s->length == DKIM_WHOLE && s->hash.n == DKIM_HASH);
	text_str(out, "DKIM-Signature:");
	put_tag(&f, "v", SPAN("1"));
	put_tag(&f, "a", span_str(algorithms[s->algorithm].name));
	put_tag(&f, "c", canon_name(s));
	put_tag(&f, "d", s->domain);
	put_tag(&f, "s", s->selector);
	if (s->time >= 0) {
		snprintf(number, sizeof(number), "%" PRId64, s->time);
		put_tag(&f, "t", span_str(number));
	}
	put_names(&f, s->names);
	put_base64(&f, "bh", s->hash, ";");
	/* On a line of its own, whatever its length: where it begins must not
	 * depend on what is signed. */
	f.column = COLUMN_MAX;
	put_base64(&f, "b", s->signature, "");
	text_str(out, "\r\n");
}

/* ---- key records ------------------------------------------------------ */

/* Is `want` in the list parted by colons? An empty list has all. */
static bool
list_has(struct span list, const char *want)
{
	struct span item;

	if (list.n == 0)
		return true;
	while (list.n > 0) {
		list = span_cut(list, ':', &item);
		item = trim(item);
		if (span_is(item, "*") || span_is(item, want))
			return true;
	}
	return false;
}

int
dkim_record_parse(struct span txt, struct arena *a, struct dkim_record *out)
{
	struct span v, k, p, s, h, flags;
	struct tags t;

	memset(out, 0, sizeof(*out));
	if (tags_parse(txt, &t) != 1 || tags_find(&t, "p", &p) != 1)
		return 0;
	if (tags_find(&t, "v", &v) == 1 && (!span_is(v, "DKIM1") ||
	    !span_is(t.list[0].name, "v")))
		return 0;
	if (tags_find(&t, "k", &k) == 0 || span_is(k, "rsa"))
		out->algorithm = DKIM_RSA_SHA256;
	else if (span_is(k, "ed25519"))
		out->algorithm = DKIM_ED25519_SHA256;
	else
		return 0;
	tags_find(&t, "s", &s);
	tags_find(&t, "h", &h);
	out->mail = list_has(s, "email") && list_has(h, "sha256");
	out->testing = tags_find(&t, "t", &flags) == 1 && flags.n > 0 &&
	    list_has(flags, "y");
	out->key = squeezed(p, a);
	return arena_full(a) ? -1 : 1;
}

void
dkim_record_write(enum dkim_algorithm algorithm, struct span key,
    struct text *out)
{
	text_printf(out, "v=DKIM1; k=%s; p=%.*s", algorithms[algorithm].key,
	    SPAN_ARG(key));
}

bool
dkim_selector_ok(struct span s)
{
	if (s.n == 0 || s.n > DKIM_SELECTOR_MAX || s.p[0] == '.' ||
	    s.p[0] == '-' || s.p[s.n - 1] == '.' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' &&
		    s.p[i] != '_' && (s.p[i] != '.' || s.p[i - 1] == '.'))
			return false;
	return true;
}
