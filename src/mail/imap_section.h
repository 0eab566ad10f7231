/*
 * imap_section.h - which bytes of a message BODY[section] means
 * (RFC 3501 6.4.5); the same words stand in IMAP URLs.
 *
 * Pure: out of a decoded summary (and the header bytes, where a subset of
 * fields is asked for) into a range of the message, or a text.
 */
#ifndef MAIL_IMAP_SECTION_H
#define MAIL_IMAP_SECTION_H

#include "base/arena.h"
#include "base/text.h"
#include "mail/summary.h"

enum imap_section_kind {
	IMAP_SECTION_ALL,	/* BODY[] or BODY[1.2] */
	IMAP_SECTION_HEADER,
	IMAP_SECTION_FIELDS,	/* HEADER.FIELDS */
	IMAP_SECTION_FIELDS_NOT,
	IMAP_SECTION_TEXT,
	IMAP_SECTION_MIME	/* only behind part numbers */
};

enum { IMAP_SECTION_DEPTH_MAX = 128, IMAP_SECTION_FIELDS_MAX = 1024 };

struct imap_section {
	const uint32_t *parts;	/* 1.2.3 */
	size_t part_count;
	enum imap_section_kind kind;
	const struct span *fields;
	size_t field_count;
	bool is_partial;
	uint64_t origin, octets;	/* <origin.octets> */
};

struct imap_extent {
	uint64_t at, size;
};

/*
 * Parse what stands between [ and ] ("1.2.HEADER.FIELDS (From To)"); names
 * may be quoted, not literals. 1 done, 0 bad syntax, -1 arena full.
 */
int imap_section_parse(struct span, struct arena *, struct imap_section *);
/* "HEADER.FIELDS"; NULL for IMAP_SECTION_ALL. */
const char *imap_section_word(enum imap_section_kind);

/*
 * The bytes a section stands for, before <partial>. For FIELDS and
 * FIELDS_NOT it is the header they are chosen from. 1 there, 0 no such part.
 * `root` may be NULL when part_count is 0 (`s` is enough then).
 */
int imap_section_extent(const struct imap_section *, const struct summary *s,
    const struct summary_part *root, struct imap_extent *);
/* The part behind the numbers; NULL: there is none. */
const struct summary_part *imap_section_part(const struct imap_section *,
    const struct summary_part *root);
/* Whether imap_section_extent needs the tree. */
bool imap_section_needs_parts(const struct imap_section *);
/* The chosen fields out of a header, and the empty line that ends them. */
void imap_add_section_fields(struct text *, const struct imap_section *,
    struct span header);
/* What <origin.octets> leaves of so many bytes. */
struct imap_extent imap_section_partial(const struct imap_section *,
    struct imap_extent);

#endif
