/*
 * summary.c - records read, and read with suspicion.
 *
 * The form of a record, all numbers as LEB128 unless said otherwise:
 *
 *	byte 'S', byte version, byte flags
 *	size, header size, lines, thread key (8 bytes, little-endian)
 *	sent seconds and offset (zigzag), preview, base subject
 *	links (since version 2): a string of 8 bytes each, little-endian
 *	length of the envelope (4 bytes, little-endian), the envelope
 *	the parts
 *
 * A string is its length plus one and its bytes; 0 is one that is missing.
 * A list of addresses is their number, and for each its kind and four
 * strings. A part is a byte of kind and encoding, the number of its
 * children, its place (relative to its parent's body), its strings; the
 * envelope, if it is a message; then its children.
 */
#include "mail/summary.h"
#include "mail/encode.h"
#include "mail/lex.h"
#include "mail/summary_form.h"

enum { OFFSET_MAX = 24 * 60, LINK = 8 };

struct cursor {
	const unsigned char *p, *end;
	bool bad;		/* something was not as it must be */
};

static uint8_t
get_byte(struct cursor *c)
{
	if (c->p == c->end) {
		c->bad = true;
		return 0;
	}
	return *c->p++;
}

static uint64_t
get_number(struct cursor *c)
{
	uint64_t n = 0;
	unsigned shift = 0;
	uint8_t byte;

	if (c->p < c->end && *c->p < 0x80)
		return *c->p++;		/* as most are */
	do {
		byte = get_byte(c);
		if (shift == 63 && byte > 1) {
			c->bad = true;
			return 0;
		}
		n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while ((byte & 0x80) != 0 && !c->bad);
	return n;
}

static int64_t
get_signed(struct cursor *c)
{
	uint64_t n = get_number(c);

	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static uint64_t
get_fixed(struct cursor *c, int bytes)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < bytes; i++)
		n |= (uint64_t)get_byte(c) << (8 * i);
	return n;
}

static struct span
get_string(struct cursor *c)
{
	uint64_t n = get_number(c);
	struct span s = SPAN_EMPTY;

	if (n == 0)
		return s;
	if (n - 1 > (uint64_t)(c->end - c->p)) {
		c->bad = true;
		return s;
	}
	s = span_of(c->p, (size_t)n - 1);
	c->p += n - 1;
	return s;
}

static struct cursor
cursor_of(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	return (struct cursor){ p, p + s.n, false };
}

static size_t
bytes_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

/*
 * Is one of eight bytes a control? (What is below a bound, or zero, borrows
 * from its highest bit; bytes of UTF-8 have it set.)
 */
static bool
any_control(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t del = w ^ ones * 0x7f;

	return ((((w - ones * ' ') & ~w) | ((del - ones) & ~del)) &
	    ones * 0x80) != 0;
}

/* A line that is shown to people as it is. */
static bool
is_line(struct span s, size_t max)
{
	uint64_t w;
	size_t i;

	for (i = 0; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if (any_control(w))
			return false;
	}
	for (; i < s.n; i++) {
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	}
	return s.n <= max && utf8_valid(s);
}

static bool
links_ok(const struct summary *s)
{
	return !s->has_links || (s->links_record.n % LINK == 0 &&
	    s->links_record.n >= LINK &&
	    s->links_record.n <= SUMMARY_LINKS_MAX * LINK);
}

int
summary_open(struct span record, uint64_t size, struct summary *out)
{
	struct cursor c = cursor_of(record);
	int64_t offset;
	uint64_t n;
	uint8_t magic, version, flags;

	memset(out, 0, sizeof(*out));
	magic = get_byte(&c);
	version = get_byte(&c);
	flags = get_byte(&c);
	if (magic != 'S' || version == 0 || version > SUMMARY_VERSION)
		return 0;
	out->has_sent = (flags & SUMMARY_FLAG_HAS_SENT) != 0;
	out->is_reply = (flags & SUMMARY_FLAG_IS_REPLY) != 0;
	out->truncated = (flags & SUMMARY_FLAG_TRUNCATED) != 0;
	out->has_attachment = (flags & SUMMARY_FLAG_HAS_ATTACHMENT) != 0;
	out->size = get_number(&c);
	out->header_size = get_number(&c);
	out->lines = get_number(&c);
	out->thread_key = get_fixed(&c, 8);
	out->sent.seconds = get_signed(&c);
	offset = get_signed(&c);
	out->sent.offset = (int)offset;
	out->preview = get_string(&c);
	out->base_subject = get_string(&c);
	out->has_links = version >= 2;
	if (out->has_links)
		out->links_record = get_string(&c);
	n = get_fixed(&c, 4);
	if (c.bad || n > bytes_left(&c))
		return 0;
	out->envelope_record = span_of(c.p, (size_t)n);
	out->parts_record = span_of(c.p + n, bytes_left(&c) - (size_t)n);
	return (size == UINT64_MAX || size == out->size) &&
	    out->header_size <= out->size &&
	    out->lines <= out->size - out->header_size &&
	    links_ok(out) && offset >= -OFFSET_MAX && offset <= OFFSET_MAX &&
	    is_line(out->preview, SUMMARY_PREVIEW_MAX * 4) &&
	    is_line(out->base_subject, SUMMARY_SUBJECT_MAX);
}

size_t
summary_links(const struct summary *s)
{
	return s->links_record.n / LINK;
}

uint64_t
summary_link(const struct summary *s, size_t i)
{
	struct cursor c = cursor_of(span_sub(s->links_record, i * LINK,
	    LINK));

	must(i < summary_links(s));
	return get_fixed(&c, LINK);
}

/* ---- the envelope -------------------------------------------------------- */

static int
get_addresses(struct cursor *c, struct arena *a, struct address_entry **tail)
{
	uint64_t n = get_number(c);
	struct address_entry *e;

	for (; n > 0 && !c->bad; n--) {
		e = arena_zalloc(a, sizeof(*e));
		if (e == NULL)
			return -1;
		e->kind = get_byte(c);
		if (e->kind > ADDRESS_GROUP_END)
			c->bad = true;
		e->name = get_string(c);
		e->route = get_string(c);
		e->local = get_string(c);
		e->domain = get_string(c);
		*tail = e;
		tail = &e->next;
	}
	*tail = NULL;
	return 1;
}

static int
get_envelope(struct cursor *c, struct arena *a, struct summary_envelope *out)
{
	struct address_entry **lists[] = {
		&out->from, &out->sender, &out->reply_to, &out->to, &out->cc,
		&out->bcc
	};
	size_t i;

	memset(out, 0, sizeof(*out));
	out->date = get_string(c);
	out->subject = get_string(c);
	out->in_reply_to = get_string(c);
	out->message_id = get_string(c);
	for (i = 0; i < ARRAY_LEN(lists); i++) {
		if (get_addresses(c, a, lists[i]) != 1)
			return -1;
	}
	return !c->bad;
}

int
summary_envelope(const struct summary *s, struct arena *a,
    struct summary_envelope *out)
{
	struct cursor c = cursor_of(s->envelope_record);
	int done = get_envelope(&c, a, out);

	return done == 1 ? c.p == c.end : done;
}

/* ---- parts --------------------------------------------------------------- */

/* `n` parameters; of a list of languages the names are empty. */
static int
get_params(struct cursor *c, struct arena *a, struct words_param **tail)
{
	uint64_t n = get_number(c);
	struct words_param *p;

	for (; n > 0 && !c->bad; n--) {
		p = arena_zalloc(a, sizeof(*p));
		if (p == NULL)
			return -1;
		p->extended = get_byte(c) != 0;
		p->name = get_string(c);
		p->value = get_string(c);
		*tail = p;
		tail = &p->next;
	}
	*tail = NULL;
	return 1;
}

/* Where the part is: within its parent, behind the sibling before it. */
static bool
get_place(struct cursor *c, struct summary_part *p, uint64_t from,
    uint64_t end)
{
	uint64_t gap = get_number(c);

	p->header_size = get_number(c);
	p->body_size = get_number(c);
	p->body_lines = get_number(c);
	if (c->bad || gap > end - from)
		return false;
	p->header_at = from + gap;
	if (p->header_size > end - p->header_at)
		return false;
	p->body_at = p->header_at + p->header_size;
	return p->body_size <= end - p->body_at &&
	    p->body_lines <= p->body_size;
}

static int
get_strings(struct cursor *c, struct arena *a, struct summary_part *p)
{
	p->type = get_string(c);
	p->subtype = get_string(c);
	if (get_params(c, a, &p->params) != 1)
		return -1;
	p->id = get_string(c);
	p->description = get_string(c);
	p->encoding = get_string(c);
	p->md5 = get_string(c);
	p->disposition = get_string(c);
	if (get_params(c, a, &p->disposition_params) != 1 ||
	    get_params(c, a, &p->languages) != 1)
		return -1;
	p->location = get_string(c);
	if (p->kind != MIME_MESSAGE)
		return !c->bad;
	p->envelope = arena_alloc(a, sizeof(*p->envelope));
	return p->envelope == NULL ? -1 : get_envelope(c, a, p->envelope);
}

/* What a part may have: a message one child, a leaf none. */
static bool
children_ok(enum mime_kind kind, uint64_t children)
{
	switch (kind) {
	case MIME_LEAF:
		return children == 0;
	case MIME_MESSAGE:
		return children == 1;
	case MIME_MULTIPART:
		return true;
	}
	return false;
}

/* One part, without its children; *children says how many follow. */
static int
get_part(struct cursor *c, struct arena *a, struct summary_part *parent,
    uint64_t from, uint64_t end, struct summary_part **out,
    uint64_t *children)
{
	struct summary_part *p = arena_zalloc(a, sizeof(*p));
	uint8_t byte = get_byte(c);

	if (p == NULL)
		return -1;
	*out = p;
	p->parent = parent;
	p->number = 1;
	p->kind = byte & 3;
	p->encoding_kind = byte >> 2;
	*children = get_number(c);
	if (c->bad || p->encoding_kind > MIME_OTHER ||
	    !children_ok(p->kind, *children) || !get_place(c, p, from, end))
		return 0;
	if (parent != NULL && parent->kind == MIME_MESSAGE &&
	    p->header_at != parent->body_at)
		return 0;
	return get_strings(c, a, p);
}

struct level {
	struct summary_part *part, *last;
	uint64_t left;		/* children to come */
};

struct levels {
	struct level *v;
	size_t n, room;
};

static int
descend(struct levels *l, struct arena *a, struct summary_part *part,
    uint64_t children)
{
	size_t more = l->room == 0 ? 8 : l->room * 2;
	struct level *grown;

	if (l->n == SUMMARY_DEPTH_MAX)
		return 0;
	if (l->n == l->room) {
		grown = arena_grow(a, l->v, l->room * sizeof(*grown),
		    more * sizeof(*grown));
		if (grown == NULL)
			return -1;
		l->v = grown;
		l->room = more;
	}
	l->v[l->n++] = (struct level){ part, NULL, children };
	return 1;
}

static void
attach(struct level *up, struct summary_part *p)
{
	if (up->last == NULL) {
		up->part->first = p;
	} else {
		up->last->next = p;
		p->number = up->last->number + 1;
	}
	up->last = p;
	up->left--;
}

/* The tree below root, level by level; no recursion on a stranger's word. */
static int
get_children(struct cursor *c, struct arena *a, struct summary_part *root,
    uint64_t children)
{
	struct levels l = { NULL, 0, 0 };
	struct summary_part *p;
	struct level *up;
	uint64_t from;
	int done = descend(&l, a, root, children);

	while (done == 1 && l.n > 0) {
		up = &l.v[l.n - 1];
		if (up->left == 0) {
			l.n--;
			continue;
		}
		from = up->last == NULL ? up->part->body_at :
		    up->last->body_at + up->last->body_size;
		done = get_part(c, a, up->part, from,
		    up->part->body_at + up->part->body_size, &p, &children);
		if (done != 1)
			break;
		attach(up, p);
		if (children > 0)
			done = descend(&l, a, p, children);
	}
	return done;
}

int
summary_parts(const struct summary *s, struct arena *a,
    struct summary_part **root)
{
	struct cursor c = cursor_of(s->parts_record);
	uint64_t children;
	int done;

	done = get_part(&c, a, NULL, 0, s->size, root, &children);
	if (done != 1)
		return done;
	if ((*root)->header_at != 0 ||
	    (*root)->header_size != s->header_size ||
	    (*root)->body_size != s->size - s->header_size)
		return 0;
	if (children > 0)
		done = get_children(&c, a, *root, children);
	return done == 1 ? c.p == c.end : done;
}

int
summary_check(struct span record, uint64_t size, struct arena *a)
{
	struct summary s;
	struct summary_envelope e;
	struct summary_part *root;
	int done = summary_open(record, size, &s);

	if (done == 1)
		done = summary_envelope(&s, a, &e);
	if (done == 1)
		done = summary_parts(&s, a, &root);
	return done;
}

uint64_t
summary_message_id_key(struct span id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);	/* FNV-1a */
	size_t i;

	for (i = 0; i < id.n; i++)
		h = (h ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 33;				/* spread to all bits */
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h == 0 ? 1 : h;
}

/* Quotes and blanks go, "\\x" is x (RFC 5256 3, of Message-IDs). */
static size_t
undress(struct span id, char room[SUMMARY_ID_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < id.n && n < SUMMARY_ID_MAX; i++) {
		if (id.p[i] == '"' || lex_is_blank(id.p[i]))
			continue;
		if (id.p[i] == '\\' && i + 1 < id.n)
			i++;
		room[n++] = id.p[i];
	}
	return n;
}

static bool
is_dressed(struct span id)
{
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] == '"' || id.p[i] == '\\' ||
		    lex_is_blank(id.p[i]))
			return true;
	return false;
}

bool
summary_next_id(struct span raw, size_t *at, char room[SUMMARY_ID_MAX],
    struct span *id)
{
	size_t from = span_find_char(raw, '<', *at), end;

	if (from == SIZE_MAX)
		return false;
	end = span_find_char(raw, '>', from);
	if (end == SIZE_MAX)
		return false;
	*at = end + 1;
	*id = span_sub(raw, from, MIN(end + 1 - from, SUMMARY_ID_MAX));
	if (is_dressed(*id))
		*id = span_of(room, undress(*id, room));
	return true;
}
