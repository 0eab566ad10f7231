/*
 * dns_message.c - see dns_message.h.
 *
 * Names are kept as on the wire, in lower case and not compressed, while they
 * are compared. A pointer must lead backwards, so that none leads in circles.
 */
#include "verify/dns_message.h"
#include "verify/resolve.h"

enum {
	HEAD = 12, NAME_BYTES = 255, LABEL_MAX = 63, POINTER = 0xc0,
	CNAMES_MAX = 16, TYPE_NS = 2, TYPE_SOA = 6, TYPE_SRV = 33, CLASS_IN = 1,
};

struct name {
	size_t n;
	char b[NAME_BYTES];
};

/* Where we are in a packet. */
struct place {
	struct span packet;
	size_t at;
};

struct record {
	struct name owner;
	uint16_t type, class;
	uint32_t ttl;
	size_t data, data_n;		/* in the packet */
};

static int
take16(struct place *p, uint16_t *out)
{
	const uint8_t *b = (const uint8_t *)p->packet.p + p->at;

	if (p->packet.n - p->at < 2)
		return 0;
	*out = (uint16_t)(b[0] << 8 | b[1]);
	p->at += 2;
	return 1;
}

static int
take32(struct place *p, uint32_t *out)
{
	uint16_t high, low;

	if (take16(p, &high) != 1 || take16(p, &low) != 1)
		return 0;
	*out = (uint32_t)high << 16 | low;
	return 1;
}

static int
add_label(struct name *name, struct span label)
{
	if (name->n + 1 + label.n > NAME_BYTES)
		return 0;
	name->b[name->n++] = (char)label.n;
	for (size_t i = 0; i < label.n; i++)
		name->b[name->n++] = ascii_lower(label.p[i]);
	return 1;
}

/* RFC 1035 4.1.4: labels, then a root or a pointer to an earlier name. */
static int
take_name(struct place *p, struct name *out)
{
	size_t at = p->at, lowest = p->at, n;
	bool jumped = false;

	out->n = 0;
	while (at < p->packet.n) {
		n = (uint8_t)p->packet.p[at++];
		if (n >= POINTER) {
			if (at == p->packet.n)
				return 0;
			n = (n & 0x3f) << 8 | (uint8_t)p->packet.p[at++];
			if (!jumped)
				p->at = at;
			if (n >= lowest)
				return 0;
			jumped = true;
			at = lowest = n;
			continue;
		}
		if (n > LABEL_MAX || n > p->packet.n - at ||
		    add_label(out, span_sub(p->packet, at, n)) != 1)
			return 0;
		at += n;
		if (n > 0)
			continue;
		if (!jumped)
			p->at = at;
		return 1;
	}
	return 0;
}

static bool
same_name(const struct name *a, const struct name *b)
{
	return span_eq(span_of(a->b, a->n), span_of(b->b, b->n));
}

static int
take_record(struct place *p, struct record *r)
{
	uint16_t n;

	if (take_name(p, &r->owner) != 1 || take16(p, &r->type) != 1 ||
	    take16(p, &r->class) != 1 || take32(p, &r->ttl) != 1 ||
	    take16(p, &n) != 1 || n > p->packet.n - p->at)
		return 0;
	r->data = p->at;
	r->data_n = n;
	p->at += n;
	return 1;
}

/* ---- RDATA without pointers -------------------------------------------- */

/* What stands in an RDATA before its names, and how many these are. */
static const struct form {
	uint16_t type;
	uint8_t before, names;
} forms[] = {
	{ TYPE_NS, 0, 1 }, { DNS_CNAME, 0, 1 }, { TYPE_SOA, 0, 2 },
	{ DNS_PTR, 0, 1 }, { DNS_MX, 2, 1 }, { TYPE_SRV, 6, 1 },
};

static const struct form *
form_of(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (forms[i].type == type)
			return &forms[i];
	return NULL;
}

static int
expand(struct span packet, const struct record *r, const struct form *form,
    char *out, size_t *n)
{
	struct place p = { span_sub(packet, 0, r->data + r->data_n),
	    r->data + form->before };
	struct name name;
	size_t rest;

	if (r->data_n < form->before)
		return 0;
	memcpy(out, packet.p + r->data, form->before);
	*n = form->before;
	for (unsigned i = 0; i < form->names; i++) {
		if (take_name(&p, &name) != 1)
			return 0;
		memcpy(out + *n, name.b, name.n);
		*n += name.n;
	}
	rest = p.packet.n - p.at;
	if (form->type != TYPE_SOA)
		return rest == 0;
	if (rest != 20)
		return 0;
	memcpy(out + *n, packet.p + p.at, rest);
	*n += rest;
	return 1;
}

/* The span's p is NULL where it is malformed, or the arena full. */
static struct span
rdata(struct span packet, const struct record *r, struct arena *arena)
{
	const struct form *form = form_of(r->type);
	char out[8 + 2 * NAME_BYTES + 20];
	size_t n;

	if (form == NULL)
		return arena_dup(arena, span_sub(packet, r->data, r->data_n));
	if (expand(packet, r, form, out, &n) != 1)
		return SPAN_EMPTY;
	return arena_dup(arena, span_of(out, n));
}

/* ---- the sections ------------------------------------------------------ */

struct head {
	uint16_t flags, questions, answers, authorities;
};

static int
take_head(struct place *p, struct head *h)
{
	uint16_t id, more;

	return take16(p, &id) == 1 && take16(p, &h->flags) == 1 &&
	    take16(p, &h->questions) == 1 && take16(p, &h->answers) == 1 &&
	    take16(p, &h->authorities) == 1 && take16(p, &more) == 1;
}

/* Follow one alias of *name: 1 it has one; 0 none; -1 malformed. */
static int
follow(struct place p, unsigned answers, struct name *name, uint32_t *ttl)
{
	struct record r;

	for (unsigned i = 0; i < answers; i++) {
		if (take_record(&p, &r) != 1)
			return -1;
		if (r.type != DNS_CNAME || r.class != CLASS_IN ||
		    !same_name(&r.owner, name))
			continue;
		p.at = r.data;
		if (take_name(&p, name) != 1 || p.at != r.data + r.data_n)
			return -1;
		*ttl = MIN(*ttl, r.ttl);
		return 1;
	}
	return 0;
}

static int
follow_all(const struct place *answers, unsigned count, struct name *name,
    uint32_t *ttl)
{
	int r = 1;

	for (int i = 0; i < CNAMES_MAX && r == 1; i++)
		r = follow(*answers, count, name, ttl);
	return r == 0;
}

/* Behind the last answer stands *p afterwards. */
static int
collect(struct place *p, unsigned count, const struct name *name,
    uint32_t type, struct arena *arena, struct dns_message *out)
{
	struct record r;
	struct span *s;

	out->answers = arena_alloc(arena, count * sizeof(*out->answers));
	if (out->answers == NULL && count > 0)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		if (take_record(p, &r) != 1)
			return 0;
		if (r.type != type || r.class != CLASS_IN ||
		    !same_name(&r.owner, name))
			continue;
		s = &out->answers[out->count];
		*s = rdata(p->packet, &r, arena);
		if (s->p == NULL)
			return 0;
		out->ttl = MIN(out->ttl, r.ttl);
		out->count++;
	}
	return 1;
}

/* RFC 2308 5: a SOA says how long there is nothing. */
static int
negative_ttl(struct place *p, unsigned count, uint32_t *ttl)
{
	struct record r;
	struct place in;
	struct name skipped;
	uint32_t least = 0;
	bool found = false;

	for (unsigned i = 0; i < count; i++) {
		if (take_record(p, &r) != 1)
			return 0;
		if (r.type != TYPE_SOA || r.data_n < 22)
			continue;
		in = (struct place){ span_sub(p->packet, 0,
		    r.data + r.data_n), r.data + r.data_n - 4 };
		if (take32(&in, &least) != 1)
			return 0;
		in.at = r.data;
		if (take_name(&in, &skipped) != 1)
			return 0;
		*ttl = MIN(*ttl, MIN(r.ttl, least));
		found = true;
	}
	if (!found)
		*ttl = 0;
	return 1;
}

int
dns_message_read(struct span packet, uint32_t type, struct arena *arena,
    struct dns_message *out)
{
	struct place p = { packet, 0 };
	struct name name;
	struct head h;
	uint16_t asked, class;
	struct span rest;

	*out = (struct dns_message){ .ttl = UINT32_MAX };
	if (take_head(&p, &h) != 1 || h.questions != 1 ||
	    take_name(&p, &name) != 1 || take16(&p, &asked) != 1 ||
	    take16(&p, &class) != 1 || asked != type || class != CLASS_IN)
		return 0;
	out->rcode = h.flags & 15;
	if (type != DNS_CNAME &&
	    follow_all(&p, h.answers, &name, &out->ttl) != 1)
		return 0;
	if (collect(&p, h.answers, &name, type, arena, out) != 1)
		return 0;
	if (out->count == 0 &&
	    negative_ttl(&p, h.authorities, &out->ttl) != 1)
		return 0;
	return dns_read_name(span_of(name.b, name.n), arena, &out->canonical,
	    &rest);
}
