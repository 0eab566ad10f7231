/*
 * relay_sign.c - DKIM signatures for what leaves (RFC 6376, RFC 8463).
 *
 * Who verifies asks the DNS for the key: a key that is not there makes a
 * signature fail, which is worse than none. So the DNS is asked first, as
 * seldom as its TTL allows.
 */
#include "relay/relay_sign.h"
#include "base/log.h"
#include "base/map.h"
#include "io/fiber.h"
#include "ipc/wire.h"
#include "mail/address.h"
#include "mail/header.h"
#include "relay/relay.h"
#include "verify/dkim.h"
#include "verify/resolve.h"

#include <libpsl.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
	MEMORY = 8 << 20,		/* for one message, the body apart */
	DOMAINS_MAX = 4096,		/* remembered; then all anew */
	RECENT_MAX = 64,		/* signatures remembered */
	RECENT_TIME = 5 * 60 * 1000,
	KNOWN_LEAST = 5 * 1000, KNOWN_MOST = 3600 * 1000,
	NOT_OURS_TIME = 30 * 1000,
	SEEN_TIME = 24 * 3600 * 1000,	/* believed while the DNS fails */
	TELL_AGAIN = 24 * 3600 * 1000,
	BODY_STEP = 256 << 10,
	FROM_MAX = 100,
	SELECTOR_ROOM = DKIM_SELECTOR_MAX + 1,
};

/* What signs for a domain: for each algorithm the newest key that shows. */
struct domain {
	bool ours;			/* signer has keys of it */
	monotime_t until;		/* then it is looked at again */
	monotime_t told;		/* when the log said that none shows */
	struct {
		char selector[SELECTOR_ROOM];	/* "": none */
		monotime_t seen;		/* in the DNS, last */
	} keys[DKIM_ALGORITHMS];
};

struct recent {
	struct token body;
	bool converted;
	size_t size;
	struct text domain, fields;
	monotime_t until;
};

static struct {
	struct link *signer;
	struct map *domains;		/* struct domain */
	struct recent recent[RECENT_MAX];
	size_t next;			/* of recent: the oldest */
} here;

void
relay_sign_setup(struct link *signer)
{
	here.signer = signer;
}

void
relay_sign_forget(void)
{
	struct span name;
	size_t at = 0;
	void *d;

	while (here.domains != NULL && map_next(here.domains, &at, &name, &d))
		free(d);
	if (here.domains != NULL)
		map_free(&here.domains);
	for (size_t i = 0; i < RECENT_MAX; i++) {
		text_free(&here.recent[i].domain);
		text_free(&here.recent[i].fields);
		here.recent[i].until = (monotime_t){ 0 };
	}
}

/* ---- which keys ------------------------------------------------------- */

/* Does the DNS show this very key? */
static enum resolve_status
shown(struct span domain, const struct dkim_key_row *row, struct arena *a,
    uint32_t *ttl)
{
	struct span name = arena_printf(a, "%.*s._domainkey.%.*s",
	    SPAN_ARG(row->selector), SPAN_ARG(domain)), *records;
	struct resolve_answer answer;
	struct dkim_record r;
	size_t n;

	answer = resolve_txt(name, a, &records, &n);
	*ttl = answer.ttl;
	if (answer.status != RESOLVE_OK)
		return answer.status;
	for (size_t i = 0; i < n; i++)
		if (dkim_record_parse(records[i], a, &r) == 1 &&
		    r.algorithm == (enum dkim_algorithm)row->algorithm &&
		    r.mail && span_eq(r.key, row->public_key))
			return RESOLVE_OK;
	return RESOLVE_NONE;
}

/* The one that was there before, while the DNS does not answer. */
static bool
was_seen(const struct domain *before, const struct dkim_key_row *row)
{
	return before != NULL &&
	    span_is(row->selector, before->keys[row->algorithm].selector) &&
	    clock_mono().ms - before->keys[row->algorithm].seen.ms <
	    SEEN_TIME;
}

static void
shorten(struct domain *d, int64_t ms)
{
	monotime_t at = clock_after(MIN(MAX(ms, (int64_t)KNOWN_LEAST),
	    (int64_t)KNOWN_MOST));

	if (mono_before(at, d->until))
		d->until = at;
}

/* Rows come newest first: the first of each algorithm that shows is taken. */
static void
consider(struct span domain, const struct dkim_key_row *row,
    const struct domain *before, struct domain *d, struct arena *a)
{
	char *selector = d->keys[row->algorithm].selector;
	enum resolve_status status;
	uint32_t ttl = 0;

	if (*selector != '\0' || row->retired ||
	    row->selector.n >= SELECTOR_ROOM)
		return;
	status = shown(domain, row, a, &ttl);
	shorten(d, (int64_t)ttl * 1000);
	if (status == RESOLVE_OK)
		d->keys[row->algorithm].seen = clock_mono();
	else if (status == RESOLVE_TEMPORARY && was_seen(before, row))
		d->keys[row->algorithm].seen =
		    before->keys[row->algorithm].seen;
	else
		return;
	memcpy(selector, row->selector.p, row->selector.n);
	selector[row->selector.n] = '\0';
}

static bool
signs(const struct domain *d)
{
	for (size_t i = 0; i < DKIM_ALGORITHMS; i++)
		if (*d->keys[i].selector != '\0')
			return true;
	return false;
}

/* Once a day for each domain: its mail goes out unsigned. */
static void
tell_unseen(struct span domain, const struct domain *before, struct domain *d)
{
	if (before != NULL)
		d->told = before->told;
	if (!d->ours || signs(d) || (d->told.ms != 0 &&
	    clock_mono().ms - d->told.ms < TELL_AGAIN))
		return;
	d->told = clock_mono();
	log_event(LOG_LEVEL_WARNING, "relay.dkim_key_not_in_dns",
	    log_text("domain", domain));
}

/* 1, -1 signer does not answer. */
static int
look_up(struct span domain, const struct domain *before, struct domain *d,
    struct arena *a)
{
	struct dkim_keys_request in = { .domain = domain };
	struct dkim_keys_reply reply;
	struct dkim_key_row row;
	struct cursor c;

	memset(d, 0, sizeof(*d));
	if (call_dkim_keys(here.signer, a, &in, &reply) != 1)
		return -1;
	d->until = clock_after(reply.result == RESULT_OK ?
	    (int64_t)KNOWN_MOST : (int64_t)NOT_OURS_TIME);
	d->ours = reply.result == RESULT_OK;
	c = (struct cursor){ .rest = reply.keys.bytes };
	while (d->ours && dkim_key_row_get(&c, &row) == 1)
		if (row.algorithm < DKIM_ALGORITHMS)
			consider(domain, &row, before, d, a);
	blob_release(&reply.keys);
	tell_unseen(domain, before, d);
	return 1;
}

static void
remember_domain(struct span name, const struct domain *d)
{
	struct domain *copy = xmalloc(sizeof(*copy));

	if (here.domains != NULL && map_count(here.domains) >= DOMAINS_MAX)
		relay_sign_forget();
	if (here.domains == NULL)
		here.domains = map_new();
	*copy = *d;
	free(map_put(here.domains, name, copy));
}

/* What signs for it. 1 (perhaps nothing), -1 not just now. */
static int
find_domain(struct span name, struct domain *out, struct arena *a)
{
	const struct domain *known = here.domains == NULL ? NULL :
	    map_get(here.domains, name);
	struct domain before;

	if (known != NULL && mono_left(known->until) > 0) {
		*out = *known;
		return 1;
	}
	if (known != NULL)
		before = *known;	/* others run while we wait */
	if (look_up(name, known == NULL ? NULL : &before, out, a) != 1)
		return -1;
	remember_domain(name, out);
	return 1;
}

/* ---- whose mail it is ------------------------------------------------- */

struct authors {
	size_t count;
	struct span domains[FROM_MAX];	/* of the addresses in From */
};

static void
add_authors(struct authors *all, struct span value, struct arena *a)
{
	struct address_entry *e;

	if (address_list(value, FROM_MAX, a, &e) != 1)
		return;
	for (; e != NULL && all->count < FROM_MAX; e = e->next)
		if (e->kind == ADDRESS_MAILBOX && e->domain.n > 0 &&
		    address_domain(e->domain, a,
		    &all->domains[all->count]) == 1)
			all->count++;
}

/* Of every From field, should there be more than one. */
static void
find_authors(struct span message, struct authors *all, struct arena *a)
{
	struct header_field f;
	size_t at = 0;

	all->count = 0;
	while (header_next(message, &at, &f))
		if (span_is_nocase(f.name, "From"))
			add_authors(all, f.value, a);
}

static struct span
domain_of(struct span address, struct arena *a)
{
	struct address parsed;

	return address_mailbox(address, ADDRESS_ALLOW_UTF8 |
	    ADDRESS_ALLOW_NO_ANGLES, a, &parsed) == 1 && !parsed.is_literal ?
	    parsed.domain : SPAN_EMPTY;
}

/* Would DMARC take a signature of one for the other (RFC 7489 3.1.1)? */
static bool
aligned(struct span one, struct span other, struct arena *a)
{
	const psl_ctx_t *list = psl_builtin();
	const char *x = arena_cstr(a, one), *y = arena_cstr(a, other);

	if (x == NULL || y == NULL || list == NULL)
		return true;
	if (strcmp(x, y) == 0)
		return true;
	x = psl_registrable_domain(list, x);
	y = psl_registrable_domain(list, y);
	return x != NULL && y != NULL && strcmp(x, y) == 0;
}

struct whose {
	struct span name;
	struct domain domain;
};

/* 1 it is one of ours; 0 no; -1. */
static int
try_domain(struct span name, struct whose *w, struct arena *a)
{
	if (name.n == 0 || name.p[0] == '[')
		return 0;
	w->name = name;
	if (find_domain(name, &w->domain, a) != 1)
		return -1;
	return w->domain.ours;
}

/* What is made here comes from our name, or from a domain of ours. */
static int
made_here(const struct authors *from, struct whose *w, struct arena *a)
{
	struct span name = from->count > 0 ? from->domains[0] : SPAN_EMPTY;
	struct span label;
	int r = 0;

	while (r == 0 && span_find_char(name, '.', 0) != SIZE_MAX) {
		r = try_domain(name, w, a);
		name = span_cut(name, '.', &label);
	}
	return r;
}

/* Its author's domain, or the one it is sent in the name of. */
static int
sent_by_ours(const struct authors *from, struct span sender, struct whose *w,
    struct arena *a)
{
	int r = from->count > 0 ? try_domain(from->domains[0], w, a) : 0;

	return r != 0 ? r : try_domain(domain_of(sender, a), w, a);
}

/*
 * Sent on for a stranger: we answer for having done so, never for what From
 * says. So not where our signature would make From look genuine.
 */
static int
sent_on(const struct authors *from, struct span sender, struct whose *w,
    struct arena *a)
{
	struct span name = domain_of(sender, a);
	int r;

	for (size_t i = 0; i < from->count; i++) {
		if (aligned(from->domains[i], name, a))
			return 0;
		r = try_domain(from->domains[i], w, a);
		if (r != 0)
			return r == 1 ? 0 : -1;
	}
	return from->count == 0 ? 0 : try_domain(name, w, a);
}

/* 1; 0 nobody's of ours; -1 not just now. */
static int
find_whose(const struct envelope *e, struct span message, struct whose *w,
    struct arena *a)
{
	struct authors *from = arena_alloc(a, sizeof(*from));

	if (from == NULL)
		return 0;
	find_authors(message, from, a);
	if ((e->flags & ENVELOPE_OURS) != 0)
		return made_here(from, w, a);
	if (e->account != 0)
		return sent_by_ours(from, e->sender, w, a);
	if ((e->flags & ENVELOPE_FORWARDED) != 0)
		return sent_on(from, e->sender, w, a);
	return 0;
}

/* ---- signatures remembered -------------------------------------------- */

static const struct recent *
find_recent(const struct envelope *e, struct span domain, size_t size,
    bool converted)
{
	for (size_t i = 0; i < RECENT_MAX; i++) {
		const struct recent *r = &here.recent[i];

		if (r->until.ms != 0 && mono_left(r->until) > 0 &&
		    r->size == size && r->converted == converted &&
		    memcmp(&r->body, &e->body, sizeof(r->body)) == 0 &&
		    span_eq(text_span(&r->domain), domain))
			return r;
	}
	return NULL;
}

static void
remember(const struct envelope *e, struct span domain, size_t size,
    bool converted, struct span fields)
{
	struct recent *r = &here.recent[here.next++ % RECENT_MAX];

	r->body = e->body;
	r->size = size;
	r->converted = converted;
	r->until = clock_after(RECENT_TIME);
	text_clear(&r->domain);
	text_add(&r->domain, domain);
	text_clear(&r->fields);
	text_add(&r->fields, fields);
}

/* ---- signing ---------------------------------------------------------- */

static void
digest(void *arg, struct span s)
{
	must(EVP_DigestUpdate(arg, s.p, s.n) == 1);
}

/* A body may be large: others have their turn in between. */
static void
hash_body(struct span body, uint8_t out[DKIM_HASH])
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	struct dkim_body b;

	must(m != NULL && EVP_DigestInit_ex(m, EVP_sha256(), NULL) == 1);
	dkim_body_begin(&b, DKIM_RELAXED, DKIM_WHOLE, digest, m);
	while (body.n > 0) {
		dkim_body_add(&b, span_sub(body, 0, BODY_STEP));
		body = span_from(body, BODY_STEP);
		if (fiber_self() != NULL)
			fiber_share();
	}
	dkim_body_end(&b);
	must(EVP_DigestFinal_ex(m, out, NULL) == 1);
	EVP_MD_CTX_free(m);
}

/* One signature. 1; 0 not this one (the log says why); -1 not just now. */
static int
sign_once(struct dkim_signature *s, struct span header, struct arena *a,
    struct text *out)
{
	struct text field = TEXT_INIT(65536), input = TEXT_INIT(DKIM_INPUT_MAX);
	struct dkim_sign_request in = { .domain = s->domain,
	    .selector = s->selector };
	struct dkim_sign_reply reply = { .result = RESULT_INVALID };
	int r = 1;

	s->signature = SPAN_EMPTY;
	dkim_write(s, &field);
	if (dkim_input(header, s->names, text_span(&field), DKIM_RELAXED, a,
	    &input) == 1) {
		in.input = BLOB_OF(text_span(&input));
		r = call_dkim_sign(here.signer, a, &in, &reply);
	}
	if (r == 1 && reply.result == RESULT_OK) {
		s->signature = reply.signature;
		dkim_write(s, out);
	} else if (r == 1 && reply.result != RESULT_TEMPORARY) {
		r = 0;
		log_event(LOG_LEVEL_WARNING, "relay.dkim_not_signed",
		    log_text("domain", s->domain),
		    log_text("selector", s->selector),
		    log_str("result", result_name(reply.result)));
	} else {
		r = -1;
	}
	text_free(&field);
	text_free(&input);
	return r;
}

/* With every key that shows. 1, 0, -1: of all, none, or not just now. */
static int
sign_all(const struct whose *w, struct span message, struct arena *a,
    struct text *out)
{
	struct span header = span_sub(message, 0, header_end(message));
	struct text names = TEXT_INIT(65536);
	uint8_t hash[DKIM_HASH];
	struct dkim_signature s = {
		.header = DKIM_RELAXED, .body = DKIM_RELAXED,
		.domain = w->name, .hash = span_of(hash, sizeof(hash)),
		.length = DKIM_WHOLE, .time = clock_wall_seconds(),
		.expires = -1,
	};
	int r = 0, signed_ = 0;

	hash_body(span_from(message, header.n), hash);
	dkim_choose(header, &names);
	s.names = text_span(&names);
	for (unsigned i = 0; r != -1 && i < DKIM_ALGORITHMS; i++) {
		if (*w->domain.keys[i].selector == '\0')
			continue;
		s.algorithm = (enum dkim_algorithm)i;
		s.selector = span_str(w->domain.keys[i].selector);
		r = sign_once(&s, header, a, out);
		signed_ += r == 1;
	}
	text_free(&names);
	return r == -1 ? -1 : signed_ > 0;
}

static int
sign(const struct envelope *e, struct span message, bool converted,
    struct text *head, struct arena *a)
{
	struct text fields = TEXT_INIT(65536);
	const struct recent *known;
	struct whose w;
	int r = find_whose(e, message, &w, a);

	if (r == 1 && !signs(&w.domain))
		r = 0;
	if (r != 1)
		return r;
	known = find_recent(e, w.name, message.n, converted);
	if (known != NULL) {
		text_add(head, text_span(&known->fields));
		return 1;
	}
	r = sign_all(&w, message, a, &fields);
	if (r == 1) {
		text_add(head, text_span(&fields));
		remember(e, w.name, message.n, converted,
		    text_span(&fields));
	}
	text_free(&fields);
	return r;
}

int
relay_sign(const struct envelope *e, struct span message, bool converted,
    struct text *head)
{
	struct arena *a;
	int r;

	if (!relay_settings()->dkim_sign || here.signer == NULL)
		return 0;
	a = arena_new(MEMORY);
	r = sign(e, message, converted, head, a);
	arena_free(&a);
	return r;
}
