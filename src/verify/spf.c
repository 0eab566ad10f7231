/*
 * spf.c - SPF records, read (RFC 7208).
 */
#include "verify/spf.h"

#include <sys/socket.h>

#define VERSION "v=spf1"

bool
spf_is(struct span txt)
{
	return span_starts_nocase(txt, SPAN(VERSION)) &&
	    (txt.n == sizeof(VERSION) - 1 || txt.p[sizeof(VERSION) - 1] ==
	    ' ');
}

/* What may follow a mechanism's name. */
enum { NOTHING = 0, DOMAIN = 1, MUST = 2, CIDR = 4, NETWORK = 8 };

static const struct {
	const char *name;
	enum spf_kind kind;
	unsigned takes;
} mechanisms[] = {
	{ "all", SPF_ALL, NOTHING },
	{ "include", SPF_INCLUDE, DOMAIN | MUST },
	{ "a", SPF_A, DOMAIN | CIDR },
	{ "mx", SPF_MX, DOMAIN | CIDR },
	{ "ptr", SPF_PTR, DOMAIN },
	{ "ip4", SPF_IP4, NETWORK | MUST },
	{ "ip6", SPF_IP6, NETWORK | MUST },
	{ "exists", SPF_EXISTS, DOMAIN | MUST },
};

static int
wrong(struct text *why, struct span term, const char *what)
{
	text_printf(why, "\"%.*s\" %s", SPAN_ARG(term), what);
	return 0;
}

static int
read_bits(struct span s, unsigned most, unsigned *out)
{
	uint32_t n;

	if (s.n == 0 || (s.n > 1 && s.p[0] == '0') || span_u32(s, &n) != 1 ||
	    n > most)
		return 0;
	*out = n;
	return 1;
}

/* "/24", "//64", "/24//64" at the end, cut off. 1, 0. */
static int
cut_cidr(struct span *s, struct spf_term *t)
{
	size_t slash = span_find_char(*s, '/', 0), two;
	struct span four, all;

	if (slash == SIZE_MAX)
		return 1;
	all = span_from(*s, slash);
	*s = span_sub(*s, 0, slash);
	two = span_find(all, SPAN("//"), 0);
	four = span_sub(all, 0, two);
	if (two != SIZE_MAX &&
	    !read_bits(span_from(all, two + 2), 128, &t->bits6))
		return 0;
	return four.n == 0 || read_bits(span_from(four, 1), 32, &t->bits4);
}

static int
read_network(struct span s, struct spf_term *t)
{
	size_t slash = span_find_char(s, '/', 0);
	bool four = t->kind == SPF_IP4;

	if (slash != SIZE_MAX && !read_bits(span_from(s, slash + 1),
	    four ? 32 : 128, four ? &t->bits4 : &t->bits6))
		return 0;
	return ip_parse(span_sub(s, 0, slash), &t->network) == 1 &&
	    t->network.family == (four ? AF_INET : AF_INET6);
}

/* A name, or macros that make one (7.1). */
static int
read_domain(struct span s, struct spf_term *t)
{
	static const char letters[] = "slodiphcrtvSLODIPHCRTV";
	size_t i;

	t->domain = s;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return 0;
		if (s.p[i] != '%')
			continue;
		t->macro = true;
		if (i + 1 == s.n || (s.p[i + 1] != '{' &&
		    s.p[i + 1] != '%' && s.p[i + 1] != '_' &&
		    s.p[i + 1] != '-'))
			return 0;
		if (s.p[i + 1] == '{') {
			if (i + 2 == s.n || memchr(letters, s.p[i + 2],
			    sizeof(letters) - 1) == NULL ||
			    span_find_char(s, '}', i) == SIZE_MAX)
				return 0;
			i = span_find_char(s, '}', i);
		} else {
			i++;
		}
	}
	return s.n > 0 && (t->macro || span_find_char(s, '.', 0) != SIZE_MAX);
}

static int
read_mechanism(struct span term, struct span s, struct spf_term *t,
    struct text *why)
{
	size_t end = 0, i;
	struct span rest;
	unsigned takes;

	while (end < s.n && s.p[end] != ':' && s.p[end] != '/')
		end++;
	for (i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (span_is_nocase(span_sub(s, 0, end), mechanisms[i].name))
			break;
	if (i == ARRAY_LEN(mechanisms))
		return wrong(why, term, "is no mechanism of SPF");
	takes = mechanisms[i].takes;
	t->kind = mechanisms[i].kind;
	rest = span_from(s, end);
	if ((takes & NETWORK) != 0)
		return rest.n > 1 && rest.p[0] == ':' &&
		    read_network(span_from(rest, 1), t) ? 1 :
		    wrong(why, term, "names no network");
	if ((takes & CIDR) != 0 && !cut_cidr(&rest, t))
		return wrong(why, term, "has a prefix length that is none");
	if (rest.n == 0)
		return (takes & MUST) == 0 ? 1 :
		    wrong(why, term, "names no domain");
	if ((takes & DOMAIN) == 0 || rest.p[0] != ':' ||
	    !read_domain(span_from(rest, 1), t))
		return wrong(why, term, "is malformed");
	return 1;
}

/* redirect=, exp=, and what is not known, which is passed over (6). */
static int
read_modifier(struct span term, size_t equals, struct spf_term *t,
    struct text *why)
{
	struct span name = span_sub(term, 0, equals);

	t->qualifier = 0;
	t->kind = span_is_nocase(name, "redirect") ? SPF_REDIRECT :
	    span_is_nocase(name, "exp") ? SPF_EXP : SPF_OTHER_MODIFIER;
	if (name.n == 0 || !ascii_is_alpha(name.p[0]))
		return wrong(why, term, "is malformed");
	for (size_t i = 1; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && name.p[i] != '-' &&
		    name.p[i] != '_' && name.p[i] != '.')
			return wrong(why, term, "is malformed");
	if (t->kind == SPF_OTHER_MODIFIER)
		return 1;
	return read_domain(span_from(term, equals + 1), t) ? 1 :
	    wrong(why, term, "names no domain");
}

static int
read_term(struct span term, struct spf_term *t, struct text *why)
{
	size_t equals = span_find_char(term, '=', 0);
	size_t colon = span_find_char(term, ':', 0);
	struct span s = term;

	*t = (struct spf_term){ .qualifier = '+', .bits4 = 32, .bits6 = 128 };
	if (equals != SIZE_MAX && (colon == SIZE_MAX || equals < colon))
		return read_modifier(term, equals, t, why);
	if (s.p[0] == '+' || s.p[0] == '-' || s.p[0] == '~' ||
	    s.p[0] == '?') {
		t->qualifier = s.p[0];
		s = span_from(s, 1);
	}
	return read_mechanism(term, s, t, why);
}

static int
check_twice(const struct spf_term *terms, size_t n, struct text *why)
{
	unsigned redirects = 0, explanations = 0;

	for (size_t i = 0; i < n; i++) {
		redirects += terms[i].kind == SPF_REDIRECT;
		explanations += terms[i].kind == SPF_EXP;
	}
	if (redirects <= 1 && explanations <= 1)
		return 1;
	text_str(why, "a modifier stands there twice");
	return 0;
}

int
spf_parse(struct span record, struct arena *a, struct spf_term **terms,
    size_t *count, struct text *why)
{
	struct span rest = span_from(record, sizeof(VERSION) - 1), term;
	size_t n = 0;

	*terms = arena_alloc(a, SPF_TERMS_MAX * sizeof(**terms));
	if (*terms == NULL)
		return -1;
	if (!spf_is(record)) {
		text_str(why, "it is no SPF record");
		return 0;
	}
	while (rest.n > 0) {
		rest = span_cut(rest, ' ', &term);
		if (term.n == 0)
			continue;
		if (n == SPF_TERMS_MAX) {
			text_str(why, "it has too many terms");
			return 0;
		}
		if (read_term(term, &(*terms)[n++], why) != 1)
			return 0;
	}
	*count = n;
	return check_twice(*terms, n, why);
}

bool
spf_asks(const struct spf_term *t)
{
	switch (t->kind) {
	case SPF_INCLUDE:
	case SPF_A:
	case SPF_MX:
	case SPF_PTR:
	case SPF_EXISTS:
	case SPF_REDIRECT:
		return true;
	default:
		return false;
	}
}

bool
ip_in_network(const struct ip_address *a, const struct ip_address *network,
    unsigned bits)
{
	if (a->family != network->family)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if (((a->b[i / 8] ^ network->b[i / 8]) & 0x80u >> i % 8) != 0)
			return false;
	return true;
}
