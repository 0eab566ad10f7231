/*
 * url.c - reading what an IMAP URL stands for.
 */
#include "edge/url.h"

#include "mail/imap_section.h"
#include "mail/imap_url.h"

enum {
	PIECE = 1 << 20,
	HEADER_MAX = 1 << 20,		/* out of which fields are chosen */
};

static int
get(struct url_reader *r, uint64_t count, struct url_fetch_reply *reply)
{
	struct url_fetch_request request = { .grant = r->grant, .url = r->url,
	    .base = r->base, .from = r->at, .count = count };

	if (r->has_blob)
		blob_release(&r->blob);
	r->has_blob = false;
	if (call_url_fetch(r->store, r->arena, &request, reply) != 1)
		return -1;
	r->blob = reply->data;
	r->has_blob = true;
	switch (reply->result) {
	case RESULT_OK:
		return 1;
	case RESULT_TEMPORARY:
	case RESULT_FULL:
		return -1;
	default:
		return 0;
	}
}

/* The fields, and then the part of them, that the URL names. */
static int
choose(struct url_reader *r)
{
	struct imap_section section;
	struct imap_extent part;
	struct imap_url url;
	struct span header;

	if (r->size > HEADER_MAX || r->blob.bytes.n != r->size)
		return 0;
	header = r->blob.bytes;
	if (imap_url_parse(r->url, r->arena, &url) != 1 ||
	    imap_section_parse(url.section, r->arena, &section) != 1)
		return 0;
	imap_add_section_fields(&r->chosen, &section, header);
	section.is_partial = url.is_partial;
	section.origin = url.at;
	section.octets = url.count;
	part = imap_section_partial(&section,
	    (struct imap_extent){ 0, r->chosen.n });
	memmove(r->chosen.p, r->chosen.p + part.at, (size_t)part.size);
	r->chosen.n = (size_t)part.size;
	r->size = part.size;
	r->is_chosen = true;
	return 1;
}

int
url_open(struct url_reader *r, struct link *store, struct arena *arena,
    const struct grant *grant, struct span url, uint64_t base)
{
	struct url_fetch_reply reply;
	int status;

	*r = (struct url_reader){ .store = store, .arena = arena,
	    .grant = *grant, .url = url, .base = base,
	    .chosen = TEXT_INIT(2 * HEADER_MAX) };
	if ((status = get(r, PIECE, &reply)) == 1) {
		r->size = reply.size;
		if (reply.choose)
			status = choose(r);
	}
	if (status != 1)
		url_close(r);
	return status;
}

int
url_next(struct url_reader *r, struct span *piece)
{
	struct url_fetch_reply reply;
	int status;

	if (r->at == r->size)
		return 0;
	if (r->is_chosen) {
		*piece = text_span(&r->chosen);
		r->at = r->size;
		return 1;
	}
	/* The first piece came when it was opened. */
	if (r->at > 0 && (status = get(r, PIECE, &reply)) != 1)
		return -1;
	*piece = r->blob.bytes;
	if (piece->n == 0 || piece->n > r->size - r->at)
		return -1;
	r->at += piece->n;
	return 1;
}

void
url_close(struct url_reader *r)
{
	if (r->has_blob)
		blob_release(&r->blob);
	r->has_blob = false;
	text_free(&r->chosen);
}

bool
url_is_here(struct span host, struct span hostname, struct span login)
{
	struct span local, domain = span_cut(login, '@', &local), above;

	if (span_eq_nocase(host, hostname) || span_eq_nocase(host, domain))
		return true;
	if (domain.n == 0 || host.n <= domain.n + 1)
		return false;
	above = span_from(host, host.n - domain.n);
	return span_eq_nocase(above, domain) &&
	    host.p[host.n - domain.n - 1] == '.';
}
