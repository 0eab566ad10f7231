/*
 * summary_build.c - records made. The form is told in summary.c.
 *
 * The record is written straight from the message: the tree, the fields of
 * the header, the preview. Should it not fit its bound it is written again,
 * cut: CUT_* below make any message fit SUMMARY_MAX.
 */
#include "mail/summary.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/lex.h"
#include "mail/preview.h"
#include "mail/subject.h"
#include "mail/summary_form.h"

enum {
	PARAMS_MAX = 64, LANGUAGES_MAX = 64,
	CUT_STRING = 250, CUT_PARAMS = 8, CUT_ADDRESSES = 8,
	CUT_RAW = 16 * 1024,	/* of a field is looked at when cut */
	CUT_LINKS = 32,
	RAW_LINKS = 256 * 1024,	/* of References is looked at */
	ENTRY_BYTES = 5,	/* an address takes at least */
	USUAL_ROOM = 1024
};

struct builder {
	struct text *t;
	struct arena *scratch;	/* for one header or part at a time */
	bool cut;
	bool overflow;		/* it will not fit, cut it */
};

/* A cut record is complete whatever was left out. */
static void
too_much(struct builder *b, bool is)
{
	b->overflow |= is && !b->cut;
}

/* What a field may have, raw, to stand a chance of fitting the record. */
static struct span
bounded(struct builder *b, struct span raw)
{
	size_t most = b->cut ? CUT_RAW : 2 * b->t->limit;

	too_much(b, raw.n > most);
	return span_sub(raw, 0, most);
}

static void
put_number(struct builder *b, uint64_t n)
{
	char bytes[10];
	size_t i = 0;

	for (; n >= 0x80; n >>= 7)
		bytes[i++] = (char)(n | 0x80);
	bytes[i++] = (char)n;
	text_add(b->t, span_of(bytes, i));
}

static void
put_signed(struct builder *b, int64_t n)
{
	put_number(b, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
}

static void
put_fixed(char *to, uint64_t n, int bytes)
{
	for (; bytes > 0; bytes--, n >>= 8)
		*to++ = (char)n;
}

static void
put_string(struct builder *b, struct span s)
{
	if (s.p == NULL) {
		put_number(b, 0);
		return;
	}
	if (b->cut)
		s = utf8_clip(s, CUT_STRING);
	put_number(b, s.n + 1);
	text_add(b->t, s);
}

static void
put_unfolded(struct builder *b, struct span raw)
{
	raw = bounded(b, raw);
	if (span_find_char(raw, '\n', 0) != SIZE_MAX ||
	    span_find_char(raw, '\r', 0) != SIZE_MAX) {
		raw = header_unfold(b->scratch, raw);
		too_much(b, raw.p == NULL);
	}
	put_string(b, raw);
}

/* ---- the envelope -------------------------------------------------------- */

/* The addresses of all fields of a name. */
struct list {
	struct address_entry *first, *last;
	size_t n;
	size_t bytes;		/* read so far */
};

/* Raw values of a header. */
struct fields {
	struct span date, subject, in_reply_to, message_id, references;
	struct list from, sender, reply_to, to, cc, bcc;
};

#define TEXT_ROW(name, member) \
    { SPAN(name), offsetof(struct fields, member), false }
#define LIST_ROW(name, member) \
    { SPAN(name), offsetof(struct fields, member), true }
static const struct {
	struct span name;
	size_t at;
	bool is_list;
} rows[] = {
	LIST_ROW("From", from), LIST_ROW("To", to), LIST_ROW("Cc", cc),
	LIST_ROW("Bcc", bcc), TEXT_ROW("Date", date),
	LIST_ROW("Sender", sender), LIST_ROW("Reply-To", reply_to),
	TEXT_ROW("Subject", subject), TEXT_ROW("Message-ID", message_id),
	TEXT_ROW("In-Reply-To", in_reply_to),
	TEXT_ROW("References", references),
};

static void
read_list(struct builder *b, struct span value, struct list *list)
{
	size_t most = b->cut ? CUT_ADDRESSES : b->t->limit / ENTRY_BYTES;
	struct address_entry *more;

	list->bytes += value.n;
	if (list->n >= most || list->bytes > 2 * b->t->limit) {
		too_much(b, true);
		return;
	}
	if (address_list(bounded(b, value), most - list->n, b->scratch,
	    &more) != 1)
		too_much(b, true);
	if (list->last == NULL)
		list->first = more;
	else
		list->last->next = more;
	for (; more != NULL; more = more->next) {
		list->last = more;
		list->n++;
	}
}

static void
read_field(struct builder *b, const struct header_field *f,
    struct fields *out)
{
	struct span *text;
	void *at;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_eq_nocase(f->name, rows[i].name))
			continue;
		at = (char *)out + rows[i].at;
		if (rows[i].is_list) {
			read_list(b, f->value, at);
			return;
		}
		text = at;
		if (text->p == NULL)
			*text = f->value;
		return;
	}
}

static void
read_fields(struct builder *b, struct span header, struct fields *out)
{
	struct header_field f;
	size_t at = 0;

	memset(out, 0, sizeof(*out));
	while (header_next(header, &at, &f))
		read_field(b, &f, out);
}

static void
put_addresses(struct builder *b, const struct list *list)
{
	const struct address_entry *e;

	put_number(b, list->n);
	for (e = list->first; e != NULL; e = e->next) {
		text_char(b->t, (char)e->kind);
		put_string(b, e->name);
		put_string(b, e->route);
		put_string(b, e->local);
		put_string(b, e->domain);
	}
}

static void
put_envelope(struct builder *b, const struct fields *f)
{
	put_unfolded(b, f->date);
	put_unfolded(b, f->subject);
	put_unfolded(b, f->in_reply_to);
	put_unfolded(b, f->message_id);
	put_addresses(b, &f->from);
	put_addresses(b, &f->sender);
	put_addresses(b, &f->reply_to);
	put_addresses(b, &f->to);
	put_addresses(b, &f->cc);
	put_addresses(b, &f->bcc);
}

/* The first "<...>" of a field; without angles, its first word. */
static struct span
first_id(struct span raw)
{
	size_t from = span_find_char(raw, '<', 0), end;

	if (from != SIZE_MAX) {
		end = span_find_char(raw, '>', from);
		return span_sub(raw, from, end == SIZE_MAX ? SIZE_MAX :
		    end + 1 - from);
	}
	for (end = 0; end < raw.n && !lex_is_blank(raw.p[end]); end++)
		;
	return span_sub(raw, 0, end);
}

static uint64_t
thread_key(const struct fields *f)
{
	struct span from[] = { f->references, f->in_reply_to, f->message_id };
	struct span id;
	size_t i;

	for (i = 0; i < ARRAY_LEN(from); i++) {
		id = first_id(from[i]);
		if (id.n > 0)
			return summary_message_id_key(id);
	}
	return 0;
}

/* ---- links --------------------------------------------------------------- */

/* Keys of the ids of a field; when there is no more room the second goes. */
static size_t
add_links(uint64_t *links, size_t n, size_t most, struct span raw)
{
	char room[SUMMARY_ID_MAX];
	struct span id;
	size_t at = 0;

	while (summary_next_id(raw, &at, room, &id)) {
		if (n == most) {
			memmove(links + 2, links + 3,
			    (n - 3) * sizeof(*links));
			n--;
		}
		links[n++] = summary_message_id_key(id);
	}
	return n;
}

/* RFC 5256 3: In-Reply-To counts where there are no References. */
static void
put_links(struct builder *b, const struct fields *f)
{
	uint64_t links[SUMMARY_LINKS_MAX] = { 0 };
	char room[SUMMARY_ID_MAX], fixed[8];
	size_t n, at = 0, most = b->cut ? CUT_LINKS : SUMMARY_LINKS_MAX;
	struct span id;

	if (summary_next_id(f->message_id, &at, room, &id))
		links[0] = summary_message_id_key(id);
	n = add_links(links, 1, most, span_sub(f->references, 0, RAW_LINKS));
	at = 0;
	if (n == 1 && summary_next_id(f->in_reply_to, &at, room, &id))
		links[n++] = summary_message_id_key(id);
	put_number(b, n * sizeof(fixed) + 1);
	for (size_t i = 0; i < n; i++) {
		put_fixed(fixed, links[i], sizeof(fixed));
		text_add(b->t, span_of(fixed, sizeof(fixed)));
	}
}

/* ---- parts --------------------------------------------------------------- */

static void
put_params(struct builder *b, const struct words_param *params)
{
	const struct words_param *p;
	size_t n = 0, most = b->cut ? CUT_PARAMS : SIZE_MAX;

	for (p = params; p != NULL && n < most; p = p->next)
		n++;
	put_number(b, n);
	for (p = params; n > 0; p = p->next, n--) {
		text_char(b->t, p->extended ? 1 : 0);
		put_string(b, p->name);
		put_string(b, p->value);
	}
}

static void
read_words(struct builder *b, struct span raw, struct words_field *out)
{
	memset(out, 0, sizeof(*out));
	if (raw.p != NULL && words_field(bounded(b, raw), PARAMS_MAX,
	    b->scratch, out) < 0)
		too_much(b, true);
}

/* Content-Language: tags and commas, with comments between. */
static void
put_languages(struct builder *b, struct span raw)
{
	struct words_param tags[LANGUAGES_MAX];
	size_t n = 0, at, from;

	for (at = lex_skip(raw, 0); at < raw.n && n < LANGUAGES_MAX;
	    at = lex_skip(raw, at)) {
		from = at;
		while (at < raw.n && raw.p[at] != ',' && raw.p[at] != '(' &&
		    !lex_is_blank(raw.p[at]))
			at++;
		if (at == from) {
			at++;
			continue;
		}
		tags[n] = (struct words_param){
			.value = span_sub(raw, from, at - from)
		};
		if (n > 0)
			tags[n - 1].next = &tags[n];
		n++;
	}
	put_params(b, n > 0 ? tags : NULL);
}

static struct span
first_token(struct span raw)
{
	size_t from = lex_skip(raw, 0), at = from;

	while (at < raw.n && !lex_is_blank(raw.p[at]) && raw.p[at] != ';' &&
	    raw.p[at] != '(')
		at++;
	return raw.p == NULL ? raw : span_sub(raw, from, at - from);
}

static void
put_part(struct builder *b, const struct mime *m, const struct mime_part *p,
    uint64_t from)
{
	enum mime_kind kind = b->cut ? MIME_LEAF : p->kind;
	struct words_field type, disposition;
	struct fields within;

	arena_reset(b->scratch);
	text_char(b->t, (char)(kind | (unsigned)p->encoding << 2));
	put_number(b, p->last != NULL && !b->cut ? p->last->number : 0);
	put_number(b, p->header_at - from);
	put_number(b, p->header_size);
	put_number(b, p->body_size);
	put_number(b, p->body_lines);
	put_string(b, p->type);
	put_string(b, p->subtype);
	read_words(b, p->content_type, &type);
	put_params(b, type.params);
	put_unfolded(b, p->content_id);
	put_unfolded(b, p->content_description);
	put_string(b, first_token(p->content_encoding));
	put_unfolded(b, p->content_md5);
	read_words(b, p->content_disposition, &disposition);
	put_string(b, disposition.value.n > 0 ? disposition.value :
	    SPAN_EMPTY);
	put_params(b, disposition.params);
	put_languages(b, p->content_language);
	put_unfolded(b, p->content_location);
	if (kind == MIME_MESSAGE) {
		read_fields(b, mime_header(m, p->first), &within);
		put_envelope(b, &within);
	}
}

static void
put_parts(struct builder *b, const struct mime *m)
{
	const struct mime_part *p = m->root;
	uint64_t from = 0;

	while (!text_full(b->t) && !b->overflow) {
		put_part(b, m, p, from);
		if (b->cut)
			return;
		if (p->first != NULL) {
			from = p->body_at;
			p = p->first;
			continue;
		}
		while (p != NULL && p->next == NULL)
			p = p->parent;
		if (p == NULL)
			return;
		from = p->body_at + p->body_size;
		p = p->next;
	}
}

static bool
is_attachment(const struct mime_part *p)
{
	struct span d = first_token(p->content_disposition);

	if (p->kind == MIME_MULTIPART || p->parent == NULL)
		return false;
	return span_is_nocase(d, "attachment") ||
	    (!mime_is(p, "text", NULL) && !span_is_nocase(d, "inline"));
}

static bool
has_attachment(const struct mime *m)
{
	const struct mime_part *p;

	for (p = m->root; p != NULL; p = mime_next(p)) {
		if (is_attachment(p))
			return true;
	}
	return false;
}

/* ---- the record ---------------------------------------------------------- */

/* A subject for keys: bounded, without controls. */
static void
put_base_subject(struct builder *b, struct span raw, bool *is_reply)
{
	struct text t = TEXT_INIT(0), clean = TEXT_INIT(0);
	struct span s;
	size_t i;

	*is_reply = false;
	if (raw.p != NULL)
		subject_base(raw, &t, is_reply);
	for (i = 0; i < t.n; i++) {
		if ((unsigned char)t.p[i] < ' ' || t.p[i] == 0x7f)
			t.p[i] = ' ';
	}
	utf8_add_scrubbed(&clean, text_span(&t));
	s = utf8_clip(text_span(&clean), SUMMARY_SUBJECT_MAX);
	put_number(b, s.n + 1);
	text_add(b->t, s);
	text_free(&t);
	text_free(&clean);
}

static void
put_preview(struct builder *b, const struct mime *m)
{
	struct text t = TEXT_INIT(0);

	preview_add(&t, m, SUMMARY_PREVIEW_MAX, b->scratch);
	put_number(b, t.n + 1);
	text_add(b->t, text_span(&t));
	text_free(&t);
}

static void
put_record(struct builder *b, const struct mime *m)
{
	struct fields f;
	struct date sent = { 0, 0 };
	unsigned flags = b->cut ? SUMMARY_FLAG_TRUNCATED : 0;
	size_t flags_at, length_at;
	bool is_reply;
	char fixed[8];

	read_fields(b, mime_header(m, m->root), &f);
	text_char(b->t, 'S');
	text_char(b->t, SUMMARY_VERSION);
	flags_at = b->t->n;
	text_char(b->t, 0);
	put_number(b, m->message.n);
	put_number(b, m->root->header_size);
	put_number(b, m->root->body_lines);
	put_fixed(fixed, thread_key(&f), 8);
	text_add(b->t, span_of(fixed, 8));
	if (f.date.p != NULL && date_parse_message(f.date, &sent) == 1)
		flags |= SUMMARY_FLAG_HAS_SENT;
	put_signed(b, sent.seconds);
	put_signed(b, sent.offset);
	put_preview(b, m);
	put_base_subject(b, f.subject, &is_reply);
	put_links(b, &f);
	length_at = b->t->n;
	text_add(b->t, SPAN("\0\0\0\0"));
	put_envelope(b, &f);
	if (text_full(b->t) || b->overflow)
		return;
	put_fixed(b->t->p + length_at, b->t->n - length_at - 4, 4);
	flags |= is_reply ? SUMMARY_FLAG_IS_REPLY : 0;
	flags |= has_attachment(m) ? SUMMARY_FLAG_HAS_ATTACHMENT : 0;
	b->t->p[flags_at] = (char)flags;
	put_parts(b, m);
}

static void
build(struct builder *b, const struct mime *m, size_t limit)
{
	b->overflow = false;
	b->scratch = arena_new(4 * limit);
	put_record(b, m);
	arena_free(&b->scratch);
	b->overflow |= text_full(b->t);
}

int
summary_build(struct span message, const struct summary_limits *limits,
    struct arena *a, struct text *out)
{
	struct text record = TEXT_INIT(limits->record);
	struct builder b = { .t = &record };
	struct mime m;

	must(limits->record >= SUMMARY_MAX && limits->record <= UINT32_MAX);
	must(limits->mime.depth < SUMMARY_DEPTH_MAX);
	if (mime_parse(message, &limits->mime, a, &m) != 1)
		return -1;
	text_room(&record, USUAL_ROOM);
	build(&b, &m, limits->record);
	if (b.overflow) {
		text_clear(&record);
		b.cut = true;
		build(&b, &m, limits->record);
		must(!text_full(&record));
	}
	text_add(out, text_span(&record));
	text_free(&record);
	return text_full(out) ? -1 : 1;
}
