/*
 * address_list.c - the address lists people write (RFC 5322 3.4, 4.4).
 *
 * Words are gathered until a special character tells what they were: a
 * display name before "<" or ":", a local part before "@". Nothing is
 * refused; what makes no sense is passed over.
 */
#include "mail/address.h"
#include "mail/lex.h"
#include "mail/words.h"

struct reader {
	struct span in;
	size_t at;
	struct arena *arena;
	struct span comment;	/* the last one seen, with its parentheses */
	bool failed;		/* the arena is full */
};

/* Words put together; one word alone stays where it is. */
struct phrase {
	struct span one;
	struct text many;
	size_t words;
};

static void
add_word(struct phrase *p, struct span word)
{
	if (p->words++ == 0) {
		p->one = word;
		return;
	}
	if (p->words == 2)
		text_add(&p->many, p->one);
	text_char(&p->many, ' ');
	text_add(&p->many, word);
}

static struct span
phrase_finish(struct reader *r, struct phrase *p)
{
	struct span out = p->one;

	if (p->words > 1) {
		out = arena_dup(r->arena, text_span(&p->many));
		r->failed |= out.p == NULL;
	}
	text_free(&p->many);
	return out;
}

/* "a . b" of the obsolete syntax is a.b. */
static struct span
without_blanks_at_dots(struct reader *r, struct span s)
{
	size_t i, n = 0;
	char *p;

	if (span_find_char(s, ' ', 0) == SIZE_MAX)
		return s;
	p = arena_alloc(r->arena, s.n + 1);
	if (p == NULL) {
		r->failed = true;
		return s;
	}
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == ' ' && ((i > 0 && s.p[i - 1] == '.') ||
		    (i + 1 < s.n && s.p[i + 1] == '.')))
			continue;
		p[n++] = s.p[i];
	}
	return span_of(p, n);
}

static void
skip(struct reader *r)
{
	size_t end;

	r->at = lex_blanks(r->in, r->at);
	while (r->at < r->in.n && r->in.p[r->at] == '(') {
		end = lex_comment(r->in, r->at);
		r->comment = span_sub(r->in, r->at, end - r->at);
		r->at = lex_blanks(r->in, end);
	}
}

static char
peek(const struct reader *r)
{
	return r->at < r->in.n ? r->in.p[r->at] : ',';
}

static bool
at_end(const struct reader *r)
{
	return r->at >= r->in.n;
}

static struct span
unquote(struct reader *r, struct span whole)
{
	struct span out = lex_unquote(r->arena, whole);

	r->failed |= out.p == NULL;
	return out;
}

static bool
is_special(char c)
{
	return lex_is_blank(c) || c == '(' || c == '<' || c == '>' ||
	    c == '@' || c == ',' || c == ';' || c == ':' || c == '"';
}

/* An atom, an encoded word (in which anything may stand), a quoted string. */
static struct span
take_word(struct reader *r)
{
	size_t from = r->at, end;

	if (peek(r) == '"') {
		r->at = lex_quoted(r->in, from);
		return unquote(r, span_sub(r->in, from, r->at - from));
	}
	end = words_skip(r->in, from);
	while (end < r->in.n && !is_special(r->in.p[end]))
		end++;
	r->at = end;
	return span_sub(r->in, from, end - from);
}

static struct span
take_phrase(struct reader *r)
{
	struct phrase p = { .many = TEXT_INIT(0) };

	for (skip(r); !at_end(r); skip(r)) {
		if (peek(r) == '>') {
			r->at++;	/* closes nothing */
			continue;
		}
		if (peek(r) != '"' && is_special(peek(r)))
			break;
		add_word(&p, take_word(r));
	}
	return phrase_finish(r, &p);
}

/* Behind "@": atoms and dots, or "[...]"; comments are dropped. */
static struct span
take_domain(struct reader *r)
{
	size_t from;
	struct span whole;

	skip(r);
	from = r->at;
	if (peek(r) == '[') {
		r->at = lex_quoted(r->in, from);
		return span_sub(r->in, from, r->at - from);
	}
	whole = take_phrase(r);
	/* Only dots join words: a blank elsewhere ends the domain. */
	whole = without_blanks_at_dots(r, whole);
	span_cut(whole, ' ', &whole);
	return whole.p == NULL ? SPAN("") : whole;
}

/* "@a,@b:" */
static struct span
take_route(struct reader *r)
{
	struct text t = TEXT_INIT(0);
	struct span route;

	while (peek(r) == '@' && !at_end(r)) {
		r->at++;
		text_str(&t, t.n > 0 ? ",@" : "@");
		text_add(&t, take_domain(r));
		for (skip(r); peek(r) == ',' && !at_end(r); skip(r))
			r->at++;
	}
	if (peek(r) == ':')
		r->at++;
	route = arena_dup(r->arena, text_span(&t));
	r->failed |= route.p == NULL;
	text_free(&t);
	return route;
}

/* A local part, and the domain if an "@" follows. */
static void
take_spec(struct reader *r, struct address_entry *e)
{
	e->local = without_blanks_at_dots(r, take_phrase(r));
	if (e->local.p == NULL)
		e->local = SPAN("");
	if (peek(r) == '@' && !at_end(r)) {
		r->at++;
		e->domain = take_domain(r);
	}
}

static void
take_angle(struct reader *r, struct address_entry *e)
{
	r->at++;
	skip(r);
	if (peek(r) == '@')
		e->route = take_route(r);
	take_spec(r, e);
	/* Whatever else stands in the angles. */
	while (!at_end(r) && r->in.p[r->at] != '>' && r->in.p[r->at] != ',' &&
	    r->in.p[r->at] != '<')
		r->at++;
	if (peek(r) == '>')
		r->at++;
}

/* To the comma or semicolon that ends this one. */
static void
skip_rest(struct reader *r)
{
	while (!at_end(r) && peek(r) != ',' && peek(r) != ';') {
		if (peek(r) == '"')
			r->at = lex_quoted(r->in, r->at);
		else if (peek(r) == '(')
			skip(r);
		else
			r->at++;
	}
}

/* "a@b (Name)": where there is no other name, a comment is it. */
static void
name_by_comment(struct reader *r, struct address_entry *e)
{
	skip(r);
	if (e->name.n == 0 && r->comment.p != NULL &&
	    (e->local.n > 0 || e->domain.n > 0))
		e->name = unquote(r, r->comment);
}

/* "a@b <a@b>": an address that someone took for his name. */
static void
name_by_address(struct reader *r, struct address_entry *e)
{
	e->name = arena_printf(r->arena, "%.*s@%.*s", SPAN_ARG(e->local),
	    SPAN_ARG(e->domain));
	r->failed |= e->name.p == NULL;
	e->domain = SPAN_EMPTY;
	take_angle(r, e);
}

/* True when `e` was filled. */
static bool
take_entry(struct reader *r, struct address_entry *e)
{
	struct span words;
	char c;

	r->comment = SPAN_EMPTY;
	words = take_phrase(r);
	c = at_end(r) ? ',' : peek(r);
	if (c == ':') {
		r->at++;
		e->kind = ADDRESS_GROUP;
		e->name = words;
		return true;
	}
	if (c == '<') {
		e->name = words;
		take_angle(r, e);
	} else if (c == '@') {
		r->at++;
		e->local = words.p == NULL ? SPAN("") :
		    without_blanks_at_dots(r, words);
		e->domain = take_domain(r);
		skip(r);
		if (peek(r) == '<')
			name_by_address(r, e);
	} else {
		e->local = without_blanks_at_dots(r, words);
	}
	name_by_comment(r, e);
	skip_rest(r);
	return e->local.n > 0 || e->domain.n > 0 || e->name.n > 0;
}

/* The next entry; false when there is none here. *at moves in any case. */
static bool
next_entry(struct reader *r, bool in_group, struct address_entry *e)
{
	memset(e, 0, sizeof(*e));
	if (in_group && (at_end(r) || peek(r) == ';')) {
		/* A group ends with its list, closed or not. */
		e->kind = ADDRESS_GROUP_END;
		r->at += !at_end(r);
		return true;
	}
	if (peek(r) == ',' || peek(r) == ';' || lex_is_blank(peek(r))) {
		r->at++;
		return false;
	}
	/* Groups do not nest. */
	return take_entry(r, e) && (e->kind != ADDRESS_GROUP || !in_group);
}

int
address_list(struct span value, size_t max, struct arena *a,
    struct address_entry **out)
{
	struct reader r = { .in = value, .arena = a };
	struct address_entry e;
	bool in_group = false;
	size_t n = 0;

	*out = NULL;
	while (!r.failed && (in_group || (n < max && !at_end(&r)))) {
		if (n >= max)
			r.at = r.in.n;	/* a group that began must end */
		if (!next_entry(&r, in_group, &e))
			continue;
		*out = arena_alloc(a, sizeof(e));
		if (*out == NULL)
			return -1;
		**out = e;
		out = &(*out)->next;
		in_group = e.kind == ADDRESS_GROUP ||
		    (in_group && e.kind == ADDRESS_MAILBOX);
		n++;
	}
	return r.failed ? -1 : 1;
}
