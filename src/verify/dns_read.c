/*
 * dns_read.c - RDATA as it is on the wire, names not compressed (RFC 1035
 * 3.3, RFC 6698 2.1).
 *
 * Names are host names and the like here: a label with a dot, a blank, a
 * backslash or anything beyond ASCII in it is refused, for it could be
 * taken for another name once it is written.
 */
#include "verify/resolve.h"

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 255 };

static uint16_t
number16(struct span s)
{
	return (uint16_t)((uint8_t)s.p[0] << 8 | (uint8_t)s.p[1]);
}

static bool
is_plain(char c)
{
	return c > ' ' && c <= '~' && c != '.' && c != '\\';
}

/* One label behind its length, and the dot before it. 1, 0. */
static int
add_label(struct span label, char *out, size_t *n)
{
	if (*n > 0)
		out[(*n)++] = '.';
	for (size_t i = 0; i < label.n; i++) {
		if (!is_plain(label.p[i]))
			return 0;
		out[(*n)++] = ascii_lower(label.p[i]);
	}
	return 1;
}

int
dns_read_name(struct span data, struct arena *arena, struct span *name,
    struct span *rest)
{
	char out[NAME_MAX_BYTES];
	size_t at = 0, n = 0, label;

	for (;;) {
		if (at >= MIN(data.n, (size_t)NAME_MAX_BYTES))
			return 0;
		label = (uint8_t)data.p[at++];
		if (label == 0)
			break;
		if (label > LABEL_MAX || at + label >= NAME_MAX_BYTES ||
		    label > data.n - at ||
		    add_label(span_sub(data, at, label), out, &n) != 1)
			return 0;
		at += label;
	}
	*name = arena_dup(arena, span_of(out, n));
	*rest = span_from(data, at);
	return name->p != NULL;
}

int
dns_read_mx(struct span data, struct arena *arena, struct dns_mx *out)
{
	struct span rest;

	if (data.n < 3)
		return 0;
	out->preference = number16(data);
	return dns_read_name(span_from(data, 2), arena, &out->host, &rest) ==
	    1 && rest.n == 0;
}

int
dns_read_tlsa(struct span data, struct dns_tlsa *out)
{
	if (data.n < 4)
		return 0;
	out->usage = (uint8_t)data.p[0];
	out->selector = (uint8_t)data.p[1];
	out->matching = (uint8_t)data.p[2];
	out->data = span_from(data, 3);
	return 1;
}

int
dns_read_txt(struct span data, struct arena *arena, struct span *out)
{
	char *p = arena_alloc(arena, data.n);
	size_t at = 0, n = 0, part;

	if (data.n == 0 || p == NULL)
		return 0;
	while (at < data.n) {
		part = (uint8_t)data.p[at++];
		if (part > data.n - at)
			return 0;
		memcpy(p + n, data.p + at, part);
		n += part;
		at += part;
	}
	*out = span_of(p, n);
	return 1;
}
