/*
 * address.c - RFC 5321 paths, domains, and the one form of an address.
 *
 * Strict where a server acts on what it reads. Two liberties are taken, as
 * every mail server takes them: "_" may stand in a domain, and a domain of
 * one label (localhost) is one.
 */
#include "mail/address.h"
#include "mail/charset.h"
#include "mail/encode.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include <idn2.h>

enum { LABEL_MAX = 63, LITERAL_MAX = 64 };

struct reader {
	struct span in;
	size_t at;
	unsigned allow;
	struct arena *arena;
};

static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (c != '\0' &&
	    strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_8bit(char c)
{
	return (unsigned char)c >= 0x80;
}

static bool
take(struct reader *r, char c)
{
	if (r->at >= r->in.n || r->in.p[r->at] != c)
		return false;
	r->at++;
	return true;
}

static char
peek(const struct reader *r)
{
	return r->at < r->in.n ? r->in.p[r->at] : '\0';
}

/* ---- domains ------------------------------------------------------------- */

/* Labels of letters, digits, "-" within, "_"; 8 bits where IDN may follow. */
static bool
domain_syntax(struct span s)
{
	size_t i, label = 0;
	char c, last = '.';

	for (i = 0; i < s.n; i++, last = c) {
		c = s.p[i];
		if (c == '.') {
			if (label == 0 || last == '-')
				return false;
			label = 0;
			continue;
		}
		if (!ascii_is_alnum(c) && c != '_' && !is_8bit(c) &&
		    (c != '-' || label == 0))
			return false;
		label++;
	}
	return label > 0 && last != '-' && s.n <= ADDRESS_DOMAIN_MAX;
}

static bool
labels_fit(struct span s)
{
	struct span label;

	while (s.n > 0) {
		s = span_cut(s, '.', &label);
		if (label.n == 0 || label.n > LABEL_MAX)
			return false;
	}
	return true;
}

static int
domain_idn(struct span in, struct arena *a, struct span *out)
{
	uint8_t *ascii = NULL;
	char *source;
	int done = 0;

	if (!utf8_valid(in))
		return 0;
	source = arena_cstr(a, in);
	if (source == NULL)
		return -1;
	if (idn2_lookup_u8((const uint8_t *)source, &ascii, IDN2_NFC_INPUT |
	    IDN2_NONTRANSITIONAL) == IDN2_OK) {
		*out = arena_dup(a, span_str((const char *)ascii));
		done = out->p == NULL ? -1 : domain_syntax(*out) &&
		    utf8_is_ascii(*out) && labels_fit(*out);
	}
	idn2_free(ascii);
	return done;
}

int
address_domain(struct span in, struct arena *a, struct span *out)
{
	char *p;
	size_t i;

	if (!domain_syntax(in))
		return 0;
	if (!utf8_is_ascii(in))
		return domain_idn(in, a, out);
	if (!labels_fit(in))
		return 0;
	p = arena_alloc(a, in.n + 1);
	if (p == NULL)
		return -1;
	for (i = 0; i < in.n; i++)
		p[i] = ascii_lower(in.p[i]);
	p[in.n] = '\0';
	*out = span_of(p, in.n);
	return 1;
}

struct span
address_domain_display(struct arena *a, struct span domain)
{
	char *name = arena_cstr(a, domain), *unicode = NULL;
	struct span out;

	if (name == NULL)
		return SPAN_EMPTY;
	out = span_of(name, domain.n);
	if (span_find(domain, SPAN("xn--"), 0) != SIZE_MAX &&
	    idn2_to_unicode_8z8z(name, &unicode, 0) == IDN2_OK)
		out = arena_dup(a, span_str(unicode));
	idn2_free(unicode);
	return out;
}

/* ---- address literals ---------------------------------------------------- */

static int
literal_ip(int family, struct span text, const char *prefix,
    struct arena *a, struct span *out)
{
	unsigned char binary[16];
	char in[LITERAL_MAX + 1], plain[INET6_ADDRSTRLEN];

	if (text.n > LITERAL_MAX || memchr(text.p, '\0', text.n) != NULL)
		return 0;
	memcpy(in, text.p, text.n);
	in[text.n] = '\0';
	if (inet_pton(family, in, binary) != 1)
		return 0;
	inet_ntop(family, binary, plain, sizeof(plain));
	*out = arena_printf(a, "[%s%s]", prefix, plain);
	return out->p == NULL ? -1 : 1;
}

/* "tag:text", RFC 5321 4.1.3: kept as it is, the tag in lower case. */
static int
literal_general(struct span tag, struct span text, struct arena *a,
    struct span *out)
{
	size_t i;
	char *p;

	for (i = 0; i < text.n; i++) {
		if (text.p[i] < 33 || text.p[i] > 126 || text.p[i] == '[' ||
		    text.p[i] == ']' || text.p[i] == '\\')
			return 0;
	}
	for (i = 0; i < tag.n; i++) {
		if (!ascii_is_alnum(tag.p[i]) && tag.p[i] != '-')
			return 0;
	}
	/* A tag begins with a letter here, lest "2001:..." be taken for one. */
	if (text.n == 0 || tag.n == 0 || !ascii_is_alpha(tag.p[0]) ||
	    tag.p[tag.n - 1] == '-')
		return 0;
	p = arena_alloc(a, tag.n + text.n + 3);
	if (p == NULL)
		return -1;
	*out = span_of(p, tag.n + text.n + 3);
	*p++ = '[';
	for (i = 0; i < tag.n; i++)
		*p++ = ascii_lower(tag.p[i]);
	*p++ = ':';
	memcpy(p, text.p, text.n);
	p[text.n] = ']';
	return 1;
}

static int
literal_canonical(struct span s, struct arena *a, struct span *out)
{
	struct span inside, tag, text;

	if (s.n < 3 || s.n > ADDRESS_DOMAIN_MAX || s.p[0] != '[' ||
	    s.p[s.n - 1] != ']')
		return 0;
	inside = span_sub(s, 1, s.n - 2);
	if (span_find_char(inside, ':', 0) == SIZE_MAX)
		return literal_ip(AF_INET, inside, "", a, out);
	text = span_cut(inside, ':', &tag);
	if (span_is_nocase(tag, "IPv6"))
		return literal_ip(AF_INET6, text, "IPv6:", a, out);
	return literal_general(tag, text, a, out);
}

bool
address_is_literal(struct span s)
{
	struct arena *a = arena_new(1024);
	struct span out;
	bool is = literal_canonical(s, a, &out) == 1;

	arena_free(&a);
	return is;
}

/* ---- paths --------------------------------------------------------------- */

static int
take_domain(struct reader *r, struct address *out)
{
	size_t from = r->at;
	char c = peek(r);

	out->is_literal = c == '[';
	if (out->is_literal) {
		r->at = span_find_char(r->in, ']', r->at);
		if (r->at == SIZE_MAX)
			return 0;
		r->at++;
		return literal_canonical(span_sub(r->in, from, r->at - from),
		    r->arena, &out->domain);
	}
	while (ascii_is_alnum(c) || is_8bit(c) ||
	    (c != '\0' && strchr("-._", c) != NULL)) {
		if (is_8bit(c) && !(r->allow & ADDRESS_ALLOW_UTF8))
			return 0;
		r->at++;
		c = peek(r);
	}
	return address_domain(span_sub(r->in, from, r->at - from), r->arena,
	    &out->domain);
}

/* Dot-string: atoms with single dots between them. */
static int
take_dot_string(struct reader *r, struct span *out)
{
	size_t from = r->at;
	char c, last = '.';

	for (; (c = peek(r)) != '\0'; r->at++, last = c) {
		if (c == '.' ? last == '.' : !is_atext(c) && !is_8bit(c))
			break;
	}
	*out = span_sub(r->in, from, r->at - from);
	return last != '.';
}

/* "quoted", with RFC 5321's quoted-pair; controls may not stand in it. */
static int
take_quoted(struct reader *r, struct span *out)
{
	char *p = arena_alloc(r->arena, r->in.n - r->at + 1);
	size_t n = 0;
	char c;

	if (p == NULL)
		return -1;
	r->at++;
	while (!take(r, '"')) {
		take(r, '\\');
		c = peek(r);
		if (!ascii_is_print(c) && !is_8bit(c))
			return 0;
		p[n++] = c;
		r->at++;
	}
	p[n] = '\0';
	*out = span_of(p, n);
	return n > 0;
}

static int
take_local(struct reader *r, struct address *out)
{
	int done = peek(r) == '"' ? take_quoted(r, &out->local) :
	    take_dot_string(r, &out->local);

	if (done != 1)
		return done;
	out->is_utf8 = !utf8_is_ascii(out->local);
	if (out->is_utf8 && (!(r->allow & ADDRESS_ALLOW_UTF8) ||
	    !utf8_valid(out->local)))
		return 0;
	return out->local.n <= ADDRESS_PATH_MAX;
}

static int
take_mailbox(struct reader *r, struct address *out)
{
	size_t from = r->at;
	int done = take_local(r, out);

	if (done != 1)
		return done;
	if (!take(r, '@'))
		return (r->allow & ADDRESS_ALLOW_BARE) != 0;
	done = take_domain(r, out);
	if (done == 1 && r->at - from > ADDRESS_PATH_MAX - 2)
		return 0;
	return done;
}

/* "@one,@two:" is read, checked, and forgotten (RFC 5321 appendix C). */
static int
skip_route(struct reader *r)
{
	struct address hop;
	int done;

	if (peek(r) != '@')
		return 1;
	do {
		if (!take(r, '@'))
			return 0;
		done = take_domain(r, &hop);
		if (done != 1)
			return done;
	} while (take(r, ','));
	return take(r, ':');
}

static int
take_path(struct reader *r, struct address *out)
{
	int done;

	if (!take(r, '<')) {
		if (!(r->allow & ADDRESS_ALLOW_NO_ANGLES))
			return 0;
		return take_mailbox(r, out);
	}
	if (take(r, '>')) {
		out->is_null = true;
		return (r->allow & ADDRESS_ALLOW_NULL) != 0;
	}
	done = skip_route(r);
	if (done == 1)
		done = take_mailbox(r, out);
	return done == 1 ? take(r, '>') : done;
}

/* A local part must not stay a view into the caller's line. */
static int
own(struct reader *r, struct address *out)
{
	if (out->local.n == 0)
		return 1;
	out->local = arena_dup(r->arena, out->local);
	return out->local.p == NULL ? -1 : 1;
}

int
address_path(struct span in, unsigned allow, struct arena *a,
    struct address *out, size_t *used)
{
	struct reader r = { in, 0, allow, a };
	int done;

	memset(out, 0, sizeof(*out));
	done = take_path(&r, out);
	if (done == 1)
		done = own(&r, out);
	*used = r.at;
	return done;
}

int
address_mailbox(struct span in, unsigned allow, struct arena *a,
    struct address *out)
{
	struct reader r = { in, 0, allow, a };
	int done;

	memset(out, 0, sizeof(*out));
	done = take_mailbox(&r, out);
	if (done == 1 && r.at != in.n)
		return 0;
	return done == 1 ? own(&r, out) : done;
}

/* ---- forms --------------------------------------------------------------- */

static bool
needs_quotes(struct span local)
{
	struct reader r = { local, 0, ADDRESS_ALLOW_UTF8, NULL };
	struct span all;

	return take_dot_string(&r, &all) != 1 || all.n != local.n;
}

static void
add_address(struct text *t, struct span local, const struct address *a)
{
	bool quote = needs_quotes(local);
	size_t i;

	if (a->is_null)
		return;
	if (quote)
		text_char(t, '"');
	for (i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			text_char(t, '\\');
		text_char(t, local.p[i]);
	}
	if (quote)
		text_char(t, '"');
	if (a->domain.n > 0) {
		text_char(t, '@');
		text_add(t, a->domain);
	}
}

static struct span
finish(struct arena *a, struct text *t)
{
	struct span out = arena_dup(a, text_span(t));

	text_free(t);
	return out;
}

struct span
address_text(struct arena *a, const struct address *address)
{
	struct text t = TEXT_INIT(0);

	add_address(&t, address->local, address);
	return finish(a, &t);
}

struct span
address_path_text(struct arena *a, const struct address *address)
{
	struct text t = TEXT_INIT(0);

	text_char(&t, '<');
	add_address(&t, address->local, address);
	text_char(&t, '>');
	return finish(a, &t);
}

struct span
address_key(struct arena *a, const struct address *address)
{
	struct text t = TEXT_INIT(0), folded = TEXT_INIT(0);

	casefold_add(&folded, address->local);
	add_address(&t, text_span(&folded), address);
	text_free(&folded);
	return finish(a, &t);
}

bool
address_equal(const struct address *a, const struct address *b)
{
	struct text x = TEXT_INIT(0), y = TEXT_INIT(0);
	bool equal;

	if (a->is_null != b->is_null || !span_eq(a->domain, b->domain))
		return false;
	casefold_add(&x, a->local);
	casefold_add(&y, b->local);
	equal = span_eq(text_span(&x), text_span(&y));
	text_free(&x);
	text_free(&y);
	return equal;
}

bool
address_subaddress(struct span local, char delimiter, struct span *user,
    struct span *tag)
{
	size_t at = span_find_char(local, delimiter, 0);

	*user = local;
	*tag = SPAN_EMPTY;
	if (at == SIZE_MAX || at == 0)
		return false;
	*user = span_sub(local, 0, at);
	*tag = span_from(local, at + 1);
	return true;
}
