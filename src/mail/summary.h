/*
 * summary.h - what is asked of a message again and again, in one record.
 *
 * Made once, where the message comes in, by a process that is trusted with
 * nothing; kept as a cache; rebuildable from the bytes at any time. Whoever
 * reads a record checks it: a damaged or forged one is refused as a whole,
 * and no offset in an accepted one points outside the message.
 *
 * A record has a bound. Where a message needs more, the tree becomes one
 * leaf and long values are cut, always in the same way; `truncated` says so,
 * and who has the bytes may build a larger one.
 *
 * Reading is in three steps, each paid only when asked for: summary_open
 * (no allocation), summary_envelope, summary_parts.
 */
#ifndef MAIL_SUMMARY_H
#define MAIL_SUMMARY_H

#include "base/arena.h"
#include "base/text.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/mime.h"
#include "mail/words.h"

enum {
	SUMMARY_VERSION = 2,	/* 1, without links, is read as well */
	SUMMARY_MAX = 64 * 1024,	/* default bound of a record */
	SUMMARY_PREVIEW_MAX = 200,	/* characters (RFC 8970) */
	SUMMARY_SUBJECT_MAX = 256,	/* bytes of the base subject */
	SUMMARY_LINKS_MAX = 101,	/* the message, and what it refers to */
	SUMMARY_DEPTH_MAX = 128		/* a deeper tree is no good record */
};

struct summary_limits {
	struct mime_limits mime;	/* depth below SUMMARY_DEPTH_MAX */
	size_t record;			/* at least SUMMARY_MAX */
};
#define SUMMARY_LIMITS_DEFAULT \
    ((struct summary_limits){ MIME_LIMITS_DEFAULT, SUMMARY_MAX })

/*
 * Append the record of `message` to `out`, whose own limit must leave room
 * for it. The arena holds what is needed meanwhile (16 MiB suffice for the
 * default limits). 1 done, -1 out of room.
 */
int summary_build(struct span message, const struct summary_limits *,
    struct arena *, struct text *out);

struct summary {
	uint64_t size;		/* of the message */
	uint64_t header_size;	/* the empty line included */
	uint64_t lines;		/* line ends in the body */
	uint64_t thread_key;	/* hash of the thread's first Message-ID;
				   0: the message has none of the fields */
	struct date sent;	/* the Date field */
	bool has_sent;		/* it was there and could be read */
	bool is_reply;		/* by its subject (RFC 5256) */
	bool truncated;
	bool has_links;		/* a record of version 1 has not */
	bool has_attachment;	/* a part that is neither text nor inline */
	struct span preview;	/* UTF-8, one line */
	struct span base_subject;	/* UTF-8 */
	struct span links_record, envelope_record, parts_record;	/* below */
};

/*
 * Open a record of a message of `size` bytes (UINT64_MAX: take the record's
 * word). 1 done, 0 not a record of this version, damaged, or of another size.
 * The spans point into `record`.
 */
int summary_open(struct span record, uint64_t size, struct summary *);
/* Everything below too: 1 good, 0 not, -1 arena full. */
int summary_check(struct span record, uint64_t size, struct arena *);

/*
 * What threads are made of (RFC 5256 3): keys of Message-IDs. Link 0 is that
 * of the message, 0 when it has none; behind it those of References, the
 * oldest first, or else the first of In-Reply-To. Of more than there is room
 * for, the first and the last ones are there.
 */
size_t summary_links(const struct summary *);	/* 0: not known */
uint64_t summary_link(const struct summary *, size_t);

/* RFC 3501 7.4.2; raw unfolded values; p NULL: the field is missing. */
struct summary_envelope {
	struct span date, subject, in_reply_to, message_id;
	struct address_entry *from, *sender, *reply_to, *to, *cc, *bcc;
};
int summary_envelope(const struct summary *, struct arena *,
    struct summary_envelope *);

struct summary_part {
	enum mime_kind kind;
	enum mime_encoding encoding_kind;
	uint32_t number;		/* 1.. among its siblings */
	uint64_t header_at, header_size, body_at, body_size, body_lines;
	struct span type, subtype;	/* as written */
	struct words_param *params;	/* raw: words_param_text decodes */
	struct span id, description, encoding, md5, disposition, location;
	struct words_param *disposition_params;
	struct words_param *languages;	/* in `value`; names are empty */
	struct summary_envelope *envelope;	/* of the message within */
	struct summary_part *parent, *first, *next;
};
/* 1 done (*root is the whole message), 0 damaged, -1 arena full. */
int summary_parts(const struct summary *, struct arena *,
    struct summary_part **root);

/* The hash behind thread_key: of one Message-ID with its angles. Never 0. */
uint64_t summary_message_id_key(struct span message_id);

/*
 * The next "<...>" of a field at *at (start with 0), quotes and blanks within
 * undone; false: no more. The span points into the field or into `room`.
 */
enum { SUMMARY_ID_MAX = 1000 };		/* a longer one is cut */
bool summary_next_id(struct span raw, size_t *at, char room[SUMMARY_ID_MAX],
    struct span *id);

#endif
