/*
 * tlsrpt.c - rows of counts, and who wants to know of them.
 */
#include "queue/tlsrpt.h"
#include "base/map.h"
#include "base/secret.h"

#include <stdlib.h>

/* ---- rows -------------------------------------------------------------- */

/* All that makes rows differ; in this order they are sorted and grouped. */
static void
put_key(struct text *out, const struct tlsrpt_row *r)
{
	put_u32(out, r->day);
	put_bytes(out, r->domain);
	put_bytes(out, r->rua);
	put_u8(out, (uint8_t)r->type);
	put_bytes(out, r->policy);
	put_bytes(out, r->mx);
	put_bytes(out, r->result);
	put_bytes(out, r->host);
	put_bytes(out, r->remote);
	put_bytes(out, r->local);
}

void
tlsrpt_row_put(struct text *out, const struct tlsrpt_row *r)
{
	put_key(out, r);
	put_u64(out, r->count);
}

int
tlsrpt_row_get(struct cursor *c, struct tlsrpt_row *r)
{
	uint8_t type;

	if (c->rest.n == 0 && !c->bad)
		return 0;
	r->day = get_u32(c);
	r->domain = get_bytes(c, 255);
	r->rua = get_bytes(c, TLSRPT_RUA_MAX);
	type = get_u8(c);
	r->policy = get_bytes(c, TLSRPT_POLICY_MAX);
	r->mx = get_bytes(c, TLSRPT_POLICY_MAX);
	r->result = get_bytes(c, 64);
	r->host = get_bytes(c, 255);
	r->remote = get_bytes(c, 64);
	r->local = get_bytes(c, 64);
	r->count = get_u64(c);
	if (c->bad || type >= TLSRPT_TYPES || r->domain.n == 0)
		return -1;
	r->type = (enum tlsrpt_type)type;
	return 1;
}

/* ---- counting ---------------------------------------------------------- */

struct tally { uint64_t count; };

struct tlsrpt {
	struct map *tallies;		/* by the key of a row */
	size_t max, bytes_max;
	size_t bytes;			/* of all, encoded */
};

struct tlsrpt *
tlsrpt_new(size_t max, size_t bytes)
{
	struct tlsrpt *t = xcalloc(1, sizeof(*t));

	t->tallies = map_new();
	t->max = max;
	t->bytes_max = bytes;
	return t;
}

void
tlsrpt_clear(struct tlsrpt *t)
{
	size_t at = 0;
	struct span key;
	void *tally;

	while (map_next(t->tallies, &at, &key, &tally))
		free(tally);
	map_free(&t->tallies);
	t->tallies = map_new();
	t->bytes = 0;
}

void
tlsrpt_free(struct tlsrpt **tp)
{
	struct tlsrpt *t = *tp;

	if (t == NULL)
		return;
	tlsrpt_clear(t);
	map_free(&t->tallies);
	free(t);
	*tp = NULL;
}

/* Nothing in a row is longer than a reader takes. */
static struct tlsrpt_row
clipped(const struct tlsrpt_row *in)
{
	struct tlsrpt_row r = *in;

	r.domain = span_sub(r.domain, 0, 255);
	r.rua = span_sub(r.rua, 0, TLSRPT_RUA_MAX);
	r.policy = span_sub(r.policy, 0, TLSRPT_POLICY_MAX);
	r.mx = span_sub(r.mx, 0, TLSRPT_POLICY_MAX);
	r.result = span_sub(r.result, 0, 64);
	r.host = span_sub(r.host, 0, 255);
	r.remote = span_sub(r.remote, 0, 64);
	r.local = span_sub(r.local, 0, 64);
	return r;
}

/* False: there is no room for one that is new. */
static bool
add(struct tlsrpt *t, const struct tlsrpt_row *r, size_t max)
{
	struct text key = TEXT_INIT(0);
	struct tally *tally;

	put_key(&key, r);
	tally = map_get(t->tallies, text_span(&key));
	if (tally == NULL && map_count(t->tallies) < max &&
	    key.n + sizeof(tally->count) <= t->bytes_max - t->bytes) {
		t->bytes += key.n + sizeof(tally->count);
		tally = xcalloc(1, sizeof(*tally));
		map_put(t->tallies, text_span(&key), tally);
	}
	if (tally != NULL)
		tally->count += r->count;
	text_free(&key);
	return tally != NULL;
}

void
tlsrpt_count(struct tlsrpt *t, const struct tlsrpt_row *row)
{
	struct tlsrpt_row r = clipped(row);

	if (r.domain.n == 0 || add(t, &r, t->max))
		return;
	r.host = r.remote = r.local = SPAN_EMPTY;
	add(t, &r, 2 * t->max);
}

size_t
tlsrpt_rows(const struct tlsrpt *t)
{
	return map_count(t->tallies);
}

struct sorted { struct span key; uint64_t count; };

static int
compare(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return span_compare(x->key, y->key);
}

void
tlsrpt_encode(const struct tlsrpt *t, struct text *out)
{
	size_t n = map_count(t->tallies), i = 0, at = 0;
	struct sorted *all = xcalloc(n + 1, sizeof(*all));
	struct span key;
	void *tally;

	while (map_next(t->tallies, &at, &key, &tally))
		all[i++] = (struct sorted){ key,
		    ((struct tally *)tally)->count };
	qsort(all, n, sizeof(*all), compare);
	for (i = 0; i < n; i++) {
		put_raw(out, all[i].key.p, all[i].key.n);
		put_u64(out, all[i].count);
	}
	free(all);
}

/* ---- who wants a report (RFC 8460 3) ----------------------------------- */

static bool
is_record(struct span record)
{
	struct span version, prefix = SPAN("v=TLSRPTv1");

	span_cut(record, ';', &version);
	return version.n < record.n && span_starts(version, prefix) &&
	    span_trim(span_from(version, prefix.n)).n == 0;
}

int
tlsrpt_record(const struct span *records, size_t count, struct span *rua)
{
	const struct span *found = NULL;
	struct span field, rest;

	for (size_t i = 0; i < count; i++) {
		if (!is_record(records[i]))
			continue;
		if (found != NULL)
			return 0;
		found = &records[i];
	}
	if (found == NULL)
		return 0;
	rest = span_cut(*found, ';', &field);
	while (rest.n > 0) {
		rest = span_cut(rest, ';', &field);
		field = span_trim(field);
		if (span_starts(field, SPAN("rua="))) {
			*rua = span_trim(span_from(field, 4));
			return rua->n > 0 && rua->n <= TLSRPT_RUA_MAX;
		}
	}
	return 0;
}

bool
tlsrpt_next_uri(struct span *rua, struct span *uri)
{
	while (rua->n > 0) {
		*rua = span_cut(*rua, ',', uri);
		*uri = span_trim(*uri);
		if (uri->n > 0)
			return true;
	}
	return false;
}

/* RFC 3986 2.1. */
static int
percent_decode(struct span s, struct text *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int high, low;

		if (s.p[i] != '%') {
			text_char(out, s.p[i]);
			continue;
		}
		if (i + 2 >= s.n || (high = hex_digit(s.p[i + 1])) < 0 ||
		    (low = hex_digit(s.p[i + 2])) < 0)
			return 0;
		text_char(out, (char)(high * 16 + low));
		i += 2;
	}
	return 1;
}

int
tlsrpt_mailto(struct span uri, struct text *address)
{
	struct span to;

	text_clear(address);
	if (!span_starts_nocase(uri, SPAN("mailto:")))
		return 0;
	span_cut(span_from(uri, 7), '?', &to);
	if (percent_decode(to, address) != 1 || text_full(address))
		return 0;
	for (size_t i = 0; i < address->n; i++)
		if (address->p[i] <= 0x20 || address->p[i] > 0x7e)
			return 0;
	return span_find_char(text_span(address), '@', 0) != SIZE_MAX;
}
