/*
 * dkim_canon.c - headers and bodies as DKIM hashes them (RFC 6376 3.4).
 *
 * A body may be as large as a message: it is walked in runs of bytes that
 * stay as they are, and what is changed in between is small.
 */
#include "verify/dkim.h"
#include "mail/lex.h"

#include <openssl/evp.h>

/* ---- telling ---------------------------------------------------------- */

static void
flush(struct dkim_body *b)
{
	if (b->held_n > 0)
		b->sink(b->arg, span_of(b->held, b->held_n));
	b->held_n = 0;
}

static void
tell(struct dkim_body *b, const char *p, size_t n)
{
	n = (size_t)MIN(n, b->left);
	if (b->left != DKIM_WHOLE)
		b->left -= n;
	if (b->held_n + n > sizeof(b->held))
		flush(b);
	if (n > sizeof(b->held)) {
		b->sink(b->arg, span_of(p, n));
	} else if (n > 0) {
		memcpy(b->held + b->held_n, p, n);
		b->held_n += n;
	}
}

/* Before anything that shows: what turned out not to be the end. */
static void
tell_waiting(struct dkim_body *b)
{
	for (; b->line_ends > 0; b->line_ends--)
		tell(b, "\r\n", 2);
	if (b->blank)
		tell(b, " ", 1);
	b->blank = false;
	b->told = true;
}

static void
tell_run(struct dkim_body *b, const char *p, size_t n)
{
	tell_waiting(b);
	tell(b, p, n);
}

/* ---- walking ---------------------------------------------------------- */

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* How many bytes from `at` stay as they are: none at CR, and, relaxed, at
 * blanks but for a single one inside a line. */
static size_t
run_length(const struct dkim_body *b, struct span s, size_t at)
{
	size_t i = at;

	if (b->canon == DKIM_SIMPLE) {
		const char *cr = memchr(s.p + at, '\r', s.n - at);

		return cr == NULL ? s.n - at : (size_t)(cr - s.p) - at;
	}
	for (; i < s.n && s.p[i] != '\r' && s.p[i] != '\t'; i++)
		if (s.p[i] == ' ' && (i == at || i + 1 == s.n ||
		    is_wsp(s.p[i + 1]) || s.p[i + 1] == '\r'))
			break;
	return i - at;
}

void
dkim_body_begin(struct dkim_body *b, enum dkim_canon canon, uint64_t length,
    dkim_sink *sink, void *arg)
{
	b->canon = canon;
	b->left = length;
	b->sink = sink;
	b->arg = arg;
	b->line_ends = 0;
	b->held_n = 0;
	b->cr = b->blank = b->told = false;
}

/* The byte behind a CR: is it a line end? */
static size_t
after_cr(struct dkim_body *b, char c)
{
	b->cr = false;
	if (c != '\n') {
		tell_run(b, "\r", 1);
		return 0;
	}
	b->blank = false;
	b->line_ends++;
	return 1;
}

void
dkim_body_add(struct dkim_body *b, struct span s)
{
	size_t at = 0, n;

	while (at < s.n) {
		if (b->cr) {
			at += after_cr(b, s.p[at]);
		} else if (s.p[at] == '\r') {
			b->cr = true;
			at++;
		} else if (b->canon == DKIM_RELAXED && is_wsp(s.p[at])) {
			b->blank = true;
			at++;
		} else {
			n = run_length(b, s, at);
			tell_run(b, s.p + at, n);
			at += n;
		}
	}
}

/* Line ends at the end become one; simple has one in any case (3.4.3). */
void
dkim_body_end(struct dkim_body *b)
{
	if (b->cr)
		tell_run(b, "\r", 1);
	if (b->told || b->canon == DKIM_SIMPLE)
		tell(b, "\r\n", 2);
	flush(b);
}

static void
digest(void *arg, struct span s)
{
	must(EVP_DigestUpdate(arg, s.p, s.n) == 1);
}

void
dkim_body_hash(struct span body, enum dkim_canon canon, uint64_t length,
    uint8_t out[DKIM_HASH])
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	struct dkim_body b;

	must(m != NULL && EVP_DigestInit_ex(m, EVP_sha256(), NULL) == 1);
	dkim_body_begin(&b, canon, length, digest, m);
	dkim_body_add(&b, body);
	dkim_body_end(&b);
	must(EVP_DigestFinal_ex(m, out, NULL) == 1);
	EVP_MD_CTX_free(m);
}

/* ---- headers ---------------------------------------------------------- */

/* Blanks and folds become one blank, and none at the ends (3.4.2). */
static void
relaxed_value(struct span s, struct text *out)
{
	bool blank = false, begun = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n')
			continue;
		if (is_wsp(s.p[i])) {
			blank = true;
			continue;
		}
		if (blank && begun)
			text_char(out, ' ');
		blank = false;
		begun = true;
		text_char(out, s.p[i]);
	}
}

static void
relaxed(struct span whole, struct text *out)
{
	struct span name, value = span_cut(whole, ':', &name);

	name = span_trim(name);
	for (size_t i = 0; i < name.n; i++)
		text_char(out, ascii_lower(name.p[i]));
	text_char(out, ':');
	relaxed_value(value, out);
	text_str(out, "\r\n");
}

void
dkim_field(struct span whole, enum dkim_canon canon, struct text *out)
{
	if (canon == DKIM_RELAXED) {
		relaxed(whole, out);
		return;
	}
	text_add(out, whole);
	if (!span_ends(whole, SPAN("\r\n")))
		text_str(out, "\r\n");
}
