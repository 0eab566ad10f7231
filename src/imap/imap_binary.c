/*
 * imap_binary.c - a part of a message without its transfer encoding.
 *
 * A message as a whole, and what is made of parts, has no encoding to take
 * off: that is given as it is.
 */
#include "imap/imap_binary.h"

#include "mail/transfer.h"

/* ---- decoding, piece by piece -------------------------------------------- */

/* What of a piece that begins at `at` lies in the part that is wanted. */
static struct span
wanted(struct span piece, uint64_t at, struct imap_extent part)
{
	uint64_t skip = part.at > at ? part.at - at : 0;
	uint64_t end = part.at + part.size;

	if (skip >= piece.n || end <= at)
		return SPAN_EMPTY;
	return span_sub(piece, (size_t)skip,
	    (size_t)(MIN(end - at, piece.n) - skip));
}

/* Pieces of what is wanted; *size: of all, wanted or not. */
static int
walk(struct imap_message *m, const struct imap_binary *b,
    void (*each)(void *, struct span), void *arg, uint64_t *size)
{
	struct transfer transfer = { .encoding = b->encoding };
	struct text held = TEXT_INIT(0);
	struct imap_extent left = b->extent;
	struct span bytes, piece;
	int status = 1;

	for (*size = 0; left.size > 0; *size += piece.n) {
		uint64_t n = MIN(left.size, IMAP_MESSAGE_CHUNK);

		if ((status = imap_message_bytes(m, left.at, n, &bytes)) != 1)
			break;
		left.at += n;
		left.size -= n;
		piece = transfer_decode(&transfer, bytes, left.size == 0,
		    &held);
		each(arg, wanted(piece, *size, b->part));
	}
	text_free(&held);
	return status;
}

/* ---- what FETCH asks ----------------------------------------------------- */

static int
find(struct imap_message *m, const struct imap_section *section,
    struct imap_binary *b)
{
	const struct summary_part *part;
	int status;

	*b = (struct imap_binary){ .extent = { 0, m->size },
	    .is_there = true, .is_known = true };
	if (section->part_count == 0)
		return 1;
	if ((status = imap_message_parts(m)) != 1)
		return status;
	part = imap_section_part(section, m->root);
	b->is_there = part != NULL;
	if (part == NULL)
		return 1;
	b->extent = (struct imap_extent){ part->body_at, part->body_size };
	if (part->kind == MIME_LEAF)
		b->encoding = part->encoding_kind;
	b->is_known = b->encoding != MIME_OTHER;
	return 1;
}

static void
note_nul(void *arg, struct span piece)
{
	bool *has_nul = arg;

	if (piece.n > 0 && memchr(piece.p, 0, piece.n) != NULL)
		*has_nul = true;
}

int
imap_binary_measure(struct imap_message *m, const struct imap_section *section,
    struct imap_binary *b)
{
	bool has_nul = false;
	int status = find(m, section, b);

	if (status != 1 || !b->is_there || !b->is_known)
		return status;
	b->part = section->is_partial ? (struct imap_extent){ section->origin,
	    section->octets } : (struct imap_extent){ 0, INT64_MAX };
	status = walk(m, b, note_nul, &has_nul, &b->size);
	b->has_nul = has_nul;
	b->part = imap_section_partial(section,
	    (struct imap_extent){ 0, b->size });
	return status;
}

static void
put_piece(void *arg, struct span piece)
{
	stream_write(arg, piece);
}

int
imap_binary_write(struct imap_message *m, const struct imap_binary *b,
    struct stream *out)
{
	uint64_t size;

	return walk(m, b, put_piece, out, &size) == 1 && size == b->size
	    ? 1 : -1;
}

void
imap_binary_add_name(struct text *out, const char *name,
    const struct imap_section *s)
{
	const char *before = "[";

	text_str(out, name);
	if (s->part_count == 0)
		text_char(out, '[');
	for (size_t i = 0; i < s->part_count; i++, before = ".") {
		text_str(out, before);
		text_u64(out, s->parts[i]);
	}
	text_char(out, ']');
	if (s->is_partial) {
		text_char(out, '<');
		text_u64(out, s->origin);
		text_char(out, '>');
	}
	text_char(out, ' ');
}
