/*
 * charset.c - ICU's converters behind a small door.
 *
 * UTF-8, US-ASCII and ISO-8859-1 are most of all mail and need no converter.
 * ICU is kept from looking for data files: roles that decode mail may not
 * open any, and all its converters are in the library.
 */
#include "mail/charset.h"
#include "mail/encode.h"

#include <pthread.h>
#include <stdlib.h>

#include <unicode/uchar.h>
#include <unicode/ucnv.h>
#include <unicode/ucnv_cb.h>
#include <unicode/udata.h>
#include <unicode/unorm2.h>

enum { NAME_MAX_BYTES = 60, PIVOT = 1024, OUT_STEP = 4096 };
#define REPLACEMENT 0xfffd

enum kind { KIND_UTF8, KIND_GUESS, KIND_LATIN1, KIND_ICU };

struct charset_decoder {
	enum kind kind;
	bool known;
	char name[NAME_MAX_BYTES + 1];	/* as asked for */
	char held[4];			/* of a cut UTF-8 sequence */
	size_t held_n;
	UConverter *from, *utf8;
	UChar pivot[PIVOT];
	UChar *pivot_from, *pivot_to;
};

/* What mail calls itself, and what is in it. */
static const struct {
	const char *name;
	enum kind kind;
	const char *icu;
} special[] = {
	{ "utf-8", KIND_UTF8, NULL },
	{ "utf8", KIND_UTF8, NULL },
	{ "us-ascii", KIND_GUESS, NULL },
	{ "ascii", KIND_GUESS, NULL },
	{ "ansi_x3.4-1968", KIND_GUESS, NULL },
	{ "iso-8859-1", KIND_LATIN1, NULL },
	{ "latin1", KIND_LATIN1, NULL },
	{ "gb2312", KIND_ICU, "gb18030" },	/* the superset */
	{ "iso-8859-8-i", KIND_ICU, "iso-8859-8" },
	{ "iso-8859-8-e", KIND_ICU, "iso-8859-8" },
};

static void
keep_from_files(void)
{
	UErrorCode e = U_ZERO_ERROR;

	udata_setFileAccess(UDATA_NO_FILES, &e);
}

static void
icu_ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, keep_from_files);
}

/* ICU takes options behind a comma and paths: such are no names. */
static bool
name_ok(struct span name)
{
	size_t i;

	for (i = 0; i < name.n; i++) {
		if (!ascii_is_alnum(name.p[i]) && (name.p[i] == '\0' ||
		    strchr("-_.:+", name.p[i]) == NULL))
			return false;
	}
	return name.n > 0 && name.n <= NAME_MAX_BYTES;
}

static UConverter *
open_converter(const char *name)
{
	UErrorCode e = U_ZERO_ERROR;
	UConverter *c;

	icu_ready();
	if (ucnv_countAliases(name, &e) == 0 || U_FAILURE(e))
		return NULL;
	c = ucnv_open(name, &e);
	return U_SUCCESS(e) ? c : NULL;
}

/* ICU's own would put SUB (0x1a) for some converters. */
static void
replace(const void *context, UConverterToUnicodeArgs *args,
    const char *units, int32_t length, UConverterCallbackReason reason,
    UErrorCode *e)
{
	static const UChar mark = REPLACEMENT;

	(void)context;
	(void)units;
	(void)length;
	if (reason > UCNV_IRREGULAR)
		return;
	*e = U_ZERO_ERROR;
	ucnv_cbToUWriteUChars(args, &mark, 1, 0, e);
}

static void
close_converters(struct charset_decoder *d)
{
	if (d->from != NULL)
		ucnv_close(d->from);
	if (d->utf8 != NULL)
		ucnv_close(d->utf8);
	d->from = d->utf8 = NULL;
}

static void
decoder_open_icu(struct charset_decoder *d, const char *name)
{
	UErrorCode e = U_ZERO_ERROR;

	d->from = open_converter(name);
	if (d->from == NULL)
		return;
	ucnv_setToUCallBack(d->from, replace, NULL, NULL, NULL, &e);
	d->utf8 = open_converter("UTF-8");
	if (d->utf8 == NULL || U_FAILURE(e)) {
		close_converters(d);
		return;
	}
	d->kind = KIND_ICU;
	d->known = true;
}

static void
decoder_start(struct charset_decoder *d, struct span name)
{
	const char *icu;
	size_t i;

	d->kind = KIND_GUESS;
	d->known = false;
	d->from = d->utf8 = NULL;
	d->held_n = 0;
	d->pivot_from = d->pivot_to = d->pivot;
	d->name[0] = '\0';
	if (!name_ok(name))
		return;
	memcpy(d->name, name.p, name.n);
	d->name[name.n] = '\0';
	icu = d->name;
	for (i = 0; i < ARRAY_LEN(special); i++) {
		if (!span_is_nocase(name, special[i].name))
			continue;
		icu = special[i].icu;
		d->kind = special[i].kind;
		d->known = true;
	}
	if (icu != NULL)
		decoder_open_icu(d, icu);
}

struct charset_decoder *
charset_open(struct span name)
{
	struct charset_decoder *d = xmalloc(sizeof(*d));

	decoder_start(d, name);
	return d;
}

void
charset_reset(struct charset_decoder *d, struct span name)
{
	if (!span_is_nocase(name, d->name) || d->name[0] == '\0') {
		close_converters(d);
		decoder_start(d, name);
		return;
	}
	d->held_n = 0;
	d->pivot_from = d->pivot_to = d->pivot;
	if (d->from != NULL) {
		ucnv_reset(d->from);
		ucnv_reset(d->utf8);
	}
}

void
charset_close(struct charset_decoder **d)
{
	if (*d == NULL)
		return;
	close_converters(*d);
	free(*d);
	*d = NULL;
}

/* windows-1252 where it differs from ISO-8859-1; 0: no character. */
static int32_t
windows_1252(unsigned char c)
{
	static const uint16_t high[32] = {
		0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
		0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
		0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
		0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
	};

	if (c < 0x80 || c >= 0xa0)
		return c;
	return high[c - 0x80] != 0 ? high[c - 0x80] : REPLACEMENT;
}

/* Whether more bytes could make a character of these (fewer than four). */
static bool
utf8_cut(struct span s)
{
	static const char *const tails[] = {
		"\x80\x80\x80", "\xbf\xbf\xbf"
	};
	char whole[4];
	size_t i, n, at;

	for (i = 0; i < ARRAY_LEN(tails); i++) {
		for (n = s.n + 1; n <= 4; n++) {
			memcpy(whole, s.p, s.n);
			memcpy(whole + s.n, tails[i], n - s.n);
			at = 0;
			if (utf8_next(span_of(whole, n), &at) >= 0 && at == n)
				return true;
		}
	}
	return false;
}

/*
 * Decode UTF-8 from `from` on; returns where a cut sequence begins that the
 * end of the input may have torn apart, or s.n.
 */
static size_t
add_utf8(struct charset_decoder *d, struct span s, size_t from, bool last,
    struct text *out)
{
	size_t at = from, plain = from, here;

	while (at < s.n) {
		at += utf8_ascii_run(span_from(s, at));
		here = at;
		if (at == s.n || utf8_next(s, &at) >= 0)
			continue;
		text_add(out, span_sub(s, plain, here - plain));
		plain = at;
		if (!last && s.n - here < 4 && utf8_cut(span_from(s, here)))
			return here;
		utf8_add(out, d->kind == KIND_UTF8 ? REPLACEMENT :
		    windows_1252((unsigned char)s.p[here]));
	}
	text_add(out, span_from(s, plain));
	return s.n;
}

/*
 * Decode what was held with a few bytes of the input behind it. Returns how
 * many of those went along; SIZE_MAX when all of them are held now.
 */
static size_t
add_seam(struct charset_decoder *d, struct span in, bool last,
    struct text *out)
{
	char bytes[8];
	struct span seam = { bytes, 0 }, rest;
	size_t held = d->held_n, used = 0, at;

	memcpy(bytes, d->held, held);
	seam.n = held + MIN(in.n, 4);
	if (in.n > 0)
		memcpy(bytes + held, in.p, seam.n - held);
	while (used < held) {
		at = used;
		rest = span_from(seam, used);
		if (utf8_next(seam, &at) < 0 && !last &&
		    seam.n == held + in.n && utf8_cut(rest)) {
			memcpy(d->held, rest.p, rest.n);
			d->held_n = rest.n;
			return SIZE_MAX;
		}
		add_utf8(d, span_sub(seam, used, at - used), 0, true, out);
		used = at;
	}
	d->held_n = 0;
	return used - held;
}

static void
add_utf8_split(struct charset_decoder *d, struct span in, bool last,
    struct text *out)
{
	size_t used = 0;

	if (d->held_n > 0)
		used = add_seam(d, in, last, out);
	if (used == SIZE_MAX)
		return;
	used = add_utf8(d, in, used, last, out);
	d->held_n = in.n - used;
	if (d->held_n > 0)
		memcpy(d->held, in.p + used, d->held_n);
}

static void
add_latin1(struct span in, struct text *out)
{
	size_t i;

	if (utf8_is_ascii(in)) {
		text_add(out, in);
		return;
	}
	for (i = 0; i < in.n; i++)
		utf8_add(out, (unsigned char)in.p[i]);
}

static void
add_icu(struct charset_decoder *d, struct span in, bool last,
    struct text *out, UErrorCode *e)
{
	const char *from = in.n > 0 ? in.p : "", *end = from + in.n;
	char *to, *start;

	do {
		to = start = text_room(out, MIN((size_t)OUT_STEP,
		    out->limit == 0 ? SIZE_MAX : out->limit - out->n));
		if (to == NULL || out->room - out->n < 4) {
			out->full = true;
			return;
		}
		*e = U_ZERO_ERROR;
		ucnv_convertEx(d->utf8, d->from, &to,
		    start + MIN((size_t)OUT_STEP, out->room - out->n),
		    &from, end, d->pivot, &d->pivot_from, &d->pivot_to,
		    d->pivot + PIVOT, false, last, e);
		text_grew(out, (size_t)(to - start));
	} while (*e == U_BUFFER_OVERFLOW_ERROR && !text_full(out));
}

void
charset_add(struct charset_decoder *d, struct span in, bool last,
    struct text *out)
{
	UErrorCode e;

	switch (d->kind) {
	case KIND_UTF8:
	case KIND_GUESS:
		add_utf8_split(d, in, last, out);
		break;
	case KIND_LATIN1:
		add_latin1(in, out);
		break;
	case KIND_ICU:
		add_icu(d, in, last, out, &e);
		break;
	}
}

bool
charset_known(struct span name)
{
	struct charset_decoder d;

	decoder_start(&d, name);
	close_converters(&d);
	return d.known;
}

int
charset_to_utf8(struct span charset, struct span in, struct text *out)
{
	struct charset_decoder d;

	decoder_start(&d, charset);
	charset_add(&d, in, true, out);
	close_converters(&d);
	return d.known;
}

int
charset_to_utf8_strict(struct span charset, struct span in, struct text *out)
{
	struct charset_decoder d;
	UErrorCode e = U_ZERO_ERROR;
	int done = 1;

	decoder_start(&d, charset);
	if (!d.known) {
		done = 0;
	} else if (d.kind == KIND_ICU) {
		ucnv_setToUCallBack(d.from, UCNV_TO_U_CALLBACK_STOP, NULL,
		    NULL, NULL, &e);
		add_icu(&d, in, true, out, &e);
		done = U_SUCCESS(e) ? 1 : -1;
	} else if (d.kind != KIND_LATIN1 && !(d.kind == KIND_UTF8 ?
	    utf8_valid(in) : utf8_is_ascii(in))) {
		done = -1;
	} else {
		charset_add(&d, in, true, out);
	}
	close_converters(&d);
	return done;
}

/* One character that is not ASCII, by RFC 5051 section 2. */
static void
casemap_unicode(struct text *out, int32_t code)
{
	UErrorCode e = U_ZERO_ERROR;
	const UNormalizer2 *nfkd = unorm2_getNFKDInstance(&e);
	UChar parts[32];
	int32_t n, at = 0, c;

	code = u_totitle(code);
	n = U_FAILURE(e) ? -1 : unorm2_getDecomposition(nfkd, code, parts,
	    ARRAY_LEN(parts), &e);
	if (n < 0 || U_FAILURE(e)) {
		utf8_add(out, code);
		return;
	}
	while (at < n) {
		U16_NEXT(parts, at, n, c);
		utf8_add(out, c);
	}
}

/*
 * The same for the alphabets of two bytes a letter (Latin, Greek, Cyrillic,
 * Hebrew, Arabic), worked out once: searches fold every letter of a mailbox.
 */
static struct {
	uint8_t n;		/* 0: it takes more room */
	char bytes[7];
} folded_letters[0x800];

static void
fold_letters(void)
{
	struct text t = TEXT_INIT(0);
	int32_t code;

	for (code = 0x80; code < 0x800; code++) {
		text_clear(&t);
		casemap_unicode(&t, code);
		if (t.n > sizeof(folded_letters[code].bytes))
			continue;
		memcpy(folded_letters[code].bytes, t.p, t.n);
		folded_letters[code].n = (uint8_t)t.n;
	}
	text_free(&t);
}

static void
casemap_one(struct text *out, int32_t code)
{
	if (code < 0)
		code = REPLACEMENT;
	if (code < 0x800 && folded_letters[code].n > 0)
		text_add(out, span_of(folded_letters[code].bytes,
		    folded_letters[code].n));
	else
		casemap_unicode(out, code);
}

/*
 * ASCII to upper case, eight letters at a time: adding to the low seven bits
 * of each byte carries into the eighth from "a" on, and from behind "z" on.
 */
static void
ascii_to_upper(char *to, const char *from, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t eight, lower;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&eight, from + i, 8);
		lower = (eight + ones * (0x80 - 'a')) &
		    ~(eight + ones * (0x7f - 'z')) & (ones << 7);
		eight ^= lower >> 2;
		memcpy(to + i, &eight, 8);
	}
	for (; i < n; i++)
		to[i] = ascii_upper(from[i]);
}

void
casemap_add(struct text *out, struct span s)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t at = 0, n;
	char *to;

	icu_ready();
	pthread_once(&once, fold_letters);
	while (at < s.n) {
		n = utf8_ascii_run(span_from(s, at));
		if (n > 0 && (to = text_room(out, n)) != NULL) {
			ascii_to_upper(to, s.p + at, n);
			text_grew(out, n);
		}
		at += n;
		while (at < s.n && (unsigned char)s.p[at] >= 0x80)
			casemap_one(out, utf8_next(s, &at));
	}
}

/* Through UTF-16, since ICU's C interface normalizes nothing else. */
static void
casefold_unicode(struct text *out, struct span s)
{
	size_t room = 32 + s.n * 18;	/* no character grows more */
	UErrorCode e = U_ZERO_ERROR;
	const UNormalizer2 *fold = unorm2_getNFKCCasefoldInstance(&e);
	UChar *from = xmalloc(s.n * 2 + 2), *to = xmalloc(room * 2);
	int32_t n = 0, at = 0, code;
	size_t i = 0;

	while (i < s.n) {
		code = utf8_next(s, &i);
		if (code < 0)
			code = REPLACEMENT;
		U16_APPEND_UNSAFE(from, n, code);
	}
	n = unorm2_normalize(fold, from, n, to, (int32_t)room, &e);
	while (U_SUCCESS(e) && at < n) {
		U16_NEXT(to, at, n, code);
		utf8_add(out, code);
	}
	free(from);
	free(to);
}

void
casefold_add(struct text *out, struct span s)
{
	char *to;
	size_t i;

	icu_ready();
	if (s.n > INT32_MAX / 64) {
		out->full = true;
	} else if (!utf8_is_ascii(s)) {
		casefold_unicode(out, s);
	} else if ((to = text_room(out, s.n)) != NULL) {
		for (i = 0; i < s.n; i++)
			to[i] = ascii_lower(s.p[i]);
		text_grew(out, s.n);
	}
}
