/*
 * resolve.c - questions to the resolver role, and answers with a type.
 */
#include "verify/resolve.h"
#include "base/secret.h"
#include "ipc/wire.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { RECORDS_MAX = 4096 };		/* a message holds no more of any use */

static struct {
	struct link *link;
	resolve_fake *fake;
	void *arg;
} to;

void
resolve_setup(struct link *resolver)
{
	to.link = resolver;
}

void
resolve_test(resolve_fake *fake, void *arg)
{
	to.fake = fake;
	to.arg = arg;
}

/* ---- asking ------------------------------------------------------------ */

static enum resolve_status
status_of(const struct resolve_reply *r)
{
	switch (r->result) {
	case RESULT_OK:
		if (r->rcode == 3)
			return RESOLVE_NXDOMAIN;
		if (r->rcode != 0)
			return RESOLVE_TEMPORARY;
		return r->answers.bytes.n > 0 ? RESOLVE_OK : RESOLVE_NONE;
	case RESULT_INVALID:	/* what is no name is not there */
		return RESOLVE_NXDOMAIN;
	case RESULT_DENIED:
		return RESOLVE_BOGUS;
	default:
		return RESOLVE_TEMPORARY;
	}
}

static void
ask(struct span name, uint32_t type, struct arena *arena,
    struct resolve_reply *reply)
{
	struct resolve_request in = { .name = name, .type = type };

	*reply = (struct resolve_reply){ .answers = BLOB_OF(SPAN_EMPTY) };
	if (name.n > 255)
		reply->result = RESULT_INVALID;
	else if (to.fake != NULL)
		to.fake(to.arg, name, type, arena, reply);
	else if (to.link == NULL ||
	    call_resolve(to.link, arena, &in, reply) != 1)
		*reply = (struct resolve_reply){ .result = RESULT_TEMPORARY,
		    .why = SPAN("the resolver does not answer"),
		    .answers = BLOB_OF(SPAN_EMPTY) };
}

static size_t
count_answers(struct span packed)
{
	struct cursor c = { .rest = packed };
	struct dns_answer a;
	size_t n = 0;

	while (n < RECORDS_MAX && dns_answer_get(&c, &a) == 1)
		n++;
	return n;
}

/* RDATA, in the arena. 1, 0 the arena is full. */
static int
unpack(struct span packed, struct arena *arena, struct span **out,
    size_t *count)
{
	size_t n = count_answers(packed);
	struct cursor c = { .rest = arena_dup(arena, packed) };
	struct span *all = arena_alloc(arena, n * sizeof(*all));
	struct dns_answer a;

	if (n > 0 && (c.rest.p == NULL || all == NULL))
		return 0;
	for (size_t i = 0; i < n; i++) {
		must(dns_answer_get(&c, &a) == 1);
		all[i] = a.data;
	}
	*out = all;
	*count = n;
	return 1;
}

struct resolve_answer
resolve_records(struct span name, uint32_t type, struct arena *arena,
    struct span **rdata, size_t *count)
{
	struct resolve_reply reply;
	struct resolve_answer answer;

	*rdata = NULL;
	*count = 0;
	ask(name, type, arena, &reply);
	answer = (struct resolve_answer){ .status = status_of(&reply),
	    .secure = reply.secure != 0, .ttl = reply.ttl,
	    .canonical = reply.canonical, .why = reply.why };
	if (answer.status == RESOLVE_TEMPORARY ||
	    answer.status == RESOLVE_BOGUS)
		answer.secure = false;
	if (answer.status == RESOLVE_OK &&
	    unpack(reply.answers.bytes, arena, rdata, count) != 1)
		answer = (struct resolve_answer){
		    .status = RESOLVE_TEMPORARY,
		    .why = SPAN("too many records") };
	blob_release(&reply.answers);
	return answer;
}

/* ---- by type ----------------------------------------------------------- */

/* What found no room is not the same as what is not there. */
static struct resolve_answer
complete(struct resolve_answer answer, const struct arena *arena,
    size_t *count)
{
	if (!arena_full(arena))
		return answer;
	*count = 0;
	return (struct resolve_answer){ .status = RESOLVE_TEMPORARY,
	    .why = SPAN("too many records") };
}

struct ranked {
	uint64_t rank;			/* preference, then chance */
	struct dns_mx mx;
};

static int
compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

/* RFC 5321 5.1: by preference; equal ones share the load by chance. */
struct resolve_answer
resolve_mx(struct span domain, struct arena *arena, struct dns_mx **out,
    size_t *count)
{
	struct span *data;
	size_t n, all;
	struct resolve_answer answer = resolve_records(domain, DNS_MX, arena,
	    &data, &all);
	struct ranked *ranked = xcalloc(all + 1, sizeof(*ranked));

	n = 0;
	for (size_t i = 0; i < all; i++) {
		struct ranked *r = &ranked[n];

		if (dns_read_mx(data[i], arena, &r->mx) != 1)
			continue;
		r->rank = (uint64_t)r->mx.preference << 32 |
		    (uint32_t)random_u64();
		n++;
	}
	qsort(ranked, n, sizeof(*ranked), compare);
	*out = arena_alloc(arena, n * sizeof(**out));
	*count = *out == NULL ? 0 : n;
	for (size_t i = 0; i < *count; i++)
		(*out)[i] = ranked[i].mx;
	free(ranked);
	return complete(answer, arena, count);
}

struct resolve_answer
resolve_addresses(struct span host, int family, struct arena *arena,
    struct ip_address **out, size_t *count)
{
	size_t all, size = family == AF_INET ? 4 : 16;
	struct span *data;
	struct resolve_answer answer;

	must(family == AF_INET || family == AF_INET6);
	answer = resolve_records(host, family == AF_INET ? DNS_A : DNS_AAAA,
	    arena, &data, &all);
	*out = arena_alloc(arena, all * sizeof(**out));
	*count = 0;
	for (size_t i = 0; *out != NULL && i < all; i++) {
		struct ip_address *ip = &(*out)[*count];

		if (data[i].n != size)
			continue;
		*ip = (struct ip_address){ .family = family };
		memcpy(ip->b, data[i].p, size);
		++*count;
	}
	return complete(answer, arena, count);
}

struct resolve_answer
resolve_tlsa(struct span name, struct arena *arena, struct dns_tlsa **out,
    size_t *count)
{
	struct span *data;
	size_t all;
	struct resolve_answer answer = resolve_records(name, DNS_TLSA, arena,
	    &data, &all);

	*out = arena_alloc(arena, all * sizeof(**out));
	*count = 0;
	for (size_t i = 0; *out != NULL && i < all; i++)
		*count += dns_read_tlsa(data[i], &(*out)[*count]) == 1;
	return complete(answer, arena, count);
}

struct resolve_answer
resolve_txt(struct span name, struct arena *arena, struct span **out,
    size_t *count)
{
	struct span *data;
	size_t all;
	struct resolve_answer answer = resolve_records(name, DNS_TXT, arena,
	    &data, &all);

	*out = arena_alloc(arena, all * sizeof(**out));
	*count = 0;
	for (size_t i = 0; *out != NULL && i < all; i++)
		*count += dns_read_txt(data[i], arena, &(*out)[*count]) == 1;
	return complete(answer, arena, count);
}

/* ---- names of addresses ------------------------------------------------ */

/* RFC 1035 3.5, RFC 3596 2.5. */
static void
reverse_name(const struct ip_address *ip, struct text *out)
{
	if (ip->family == AF_INET) {
		text_printf(out, "%u.%u.%u.%u.in-addr.arpa", ip->b[3],
		    ip->b[2], ip->b[1], ip->b[0]);
		return;
	}
	for (size_t i = 16; i-- > 0; )
		text_printf(out, "%x.%x.", ip->b[i] & 15u, ip->b[i] >> 4);
	text_str(out, "ip6.arpa");
}

struct resolve_answer
resolve_ptr(const struct ip_address *ip, struct arena *arena,
    struct span **names, size_t *count)
{
	struct text name = TEXT_INIT(255);
	struct resolve_answer answer;
	struct span *data, rest;
	size_t all;

	reverse_name(ip, &name);
	answer = resolve_records(text_span(&name), DNS_PTR, arena, &data,
	    &all);
	text_free(&name);
	*names = arena_alloc(arena, all * sizeof(**names));
	*count = 0;
	for (size_t i = 0; *names != NULL && i < all; i++)
		*count += dns_read_name(data[i], arena, &(*names)[*count],
		    &rest) == 1 && rest.n == 0;
	return complete(answer, arena, count);
}
