/*
 * imap_rows.c - FETCH responses of what every row knows.
 */
#include "imap/imap_rows.h"

enum {
	ITEM_ROOM = 48,			/* of an item but for the flags */
	DIGITS = 20,
};

bool
imap_rows_can(const struct imap_fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].kind != IMAP_FETCH_UID &&
		    f->items[i].kind != IMAP_FETCH_FLAGS &&
		    f->items[i].kind != IMAP_FETCH_SIZE &&
		    f->items[i].kind != IMAP_FETCH_MODSEQ)
			return false;
	return f->count <= IMAP_ROWS_ITEMS;
}

void
imap_rows_begin(struct imap_rows *r, const struct imap_view *view,
    const struct imap_fetch *f, bool uid_only, bool with_modseq)
{
	*r = (struct imap_rows){ .view = view, .items = f->items,
	    .count = f->count, .uid_only = uid_only,
	    .flags_modseq = with_modseq && !f->shows_modseq };
	for (size_t i = 0; i < IMAP_ROWS_FLAGS; i++)
		r->flags[i].text = TEXT_INIT(0);
}

void
imap_rows_end(struct imap_rows *r)
{
	for (size_t i = 0; i < IMAP_ROWS_FLAGS; i++)
		text_free(&r->flags[i].text);
}

/* "FLAGS (\Seen)": made when a combination is met, most are met often. */
static struct span
flags_text(struct imap_rows *r, uint64_t flags)
{
	size_t at = (flags * UINT64_C(0x9e3779b97f4a7c15)) >> 60;
	struct text *text = &r->flags[at].text;

	if (text->n > 0 && r->flags[at].flags == flags)
		return text_span(text);
	r->flags[at].flags = flags;
	text_clear(text);
	text_str(text, "FLAGS (");
	imap_view_add_flags(r->view, text, flags);
	text_char(text, ')');
	return text_span(text);
}

static char *
put(char *to, const char *bytes, size_t n)
{
	memcpy(to, bytes, n);
	return to + n;
}
#define PUT(to, literal) put((to), (literal), sizeof(literal) - 1)

static char *
put_number(char *to, uint64_t v)
{
	char digits[DIGITS];
	size_t at = DIGITS;

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	return put(to, digits + at, DIGITS - at);
}

static char *
put_modseq(char *to, uint64_t modseq)
{
	to = PUT(to, "MODSEQ (");
	to = put_number(to, modseq);
	return PUT(to, ")");
}

static char *
put_item(struct imap_rows *r, char *to, enum imap_fetch_kind kind,
    const struct message_row *row, struct span flags)
{
	switch (kind) {
	case IMAP_FETCH_UID:
		to = PUT(to, "UID ");
		return put_number(to, row->uid);
	case IMAP_FETCH_SIZE:
		to = PUT(to, "RFC822.SIZE ");
		return put_number(to, row->size);
	case IMAP_FETCH_MODSEQ:
		return put_modseq(to, row->modseq);
	default:
		to = put(to, flags.p, flags.n);
		if (!r->flags_modseq)
			return to;
		to = PUT(to, " ");
		return put_modseq(to, row->modseq);
	}
}

void
imap_rows_add(struct imap_rows *r, struct text *out,
    const struct message_row *row, uint32_t number)
{
	struct span flags = flags_text(r, imap_view_flags(r->view, row));
	size_t room = (r->count + 2) * (ITEM_ROOM + flags.n);
	char *begin = text_room(out, room), *to = begin;

	if (begin == NULL)
		return;		/* the text is full, and says so */
	to = PUT(to, "* ");
	to = put_number(to, r->uid_only ? row->uid : number);
	to = r->uid_only ? PUT(to, " UIDFETCH (") : PUT(to, " FETCH (");
	for (size_t i = 0; i < r->count; i++) {
		if (i > 0)
			*to++ = ' ';
		to = put_item(r, to, r->items[i].kind, row, flags);
	}
	to = PUT(to, ")\r\n");
	must((size_t)(to - begin) <= room);
	text_grew(out, (size_t)(to - begin));
}
