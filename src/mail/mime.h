/*
 * mime.h - the parts of a message: where each begins and ends.
 *
 * One pass over the whole message (which may be mapped from a file), in time
 * linear in its size. Nothing is refused: what is broken, too deep or too
 * much is a leaf. Offsets count from the first byte of the message.
 *
 * The tree: a MULTIPART has its parts as children; a MESSAGE has one child,
 * the message within it, whose header begins where the parent's body does.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/arena.h"

enum { MIME_DEPTH_DEFAULT = 100, MIME_PARTS_DEFAULT = 10000 };

struct mime_limits {
	uint32_t depth;		/* of nesting; the root is at depth 0 */
	uint32_t parts;		/* in the whole tree, the root included; one
				   more may hold the rest */
};
#define MIME_LIMITS_DEFAULT \
    ((struct mime_limits){ MIME_DEPTH_DEFAULT, MIME_PARTS_DEFAULT })

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };
enum mime_encoding {
	MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_BASE64, MIME_QUOTED,
	MIME_OTHER	/* an encoding we do not know: opaque */
};

struct mime_part {
	enum mime_kind kind;
	enum mime_encoding encoding;
	uint32_t depth;
	uint32_t number;	/* 1.. among its siblings */
	uint64_t header_at;
	uint64_t header_size;	/* the empty line included */
	uint64_t body_at;
	uint64_t body_size;	/* the line end before a boundary excluded */
	uint64_t header_lines;
	uint64_t body_lines;	/* line ends in the body */
	/* Raw values of the first field of each name; p NULL: not there. */
	struct span content_type, content_encoding, content_disposition,
	    content_id, content_description, content_md5, content_language,
	    content_location;
	struct span type;	/* "text"; as written; the default, if none */
	struct span subtype;	/* "plain" */
	struct mime_part *parent, *first, *last, *next;
};

struct mime {
	struct span message;
	struct mime_part *root;
	uint32_t parts;
	bool cut;		/* a limit was met */
};

/* 1 done, -1 the arena is full. */
int mime_parse(struct span message, const struct mime_limits *,
    struct arena *, struct mime *out);

bool mime_is(const struct mime_part *, const char *type, const char *subtype);
	/* subtype NULL: any */
struct span mime_header(const struct mime *, const struct mime_part *);
struct span mime_body(const struct mime *, const struct mime_part *);
/* The next part in the order of the message, NULL at the end. */
struct mime_part *mime_next(const struct mime_part *);
/* The charset parameter as written, "us-ascii" when there is none. */
struct span mime_charset(const struct mime_part *, struct arena *);
enum mime_encoding mime_encoding_of(struct span raw);

#endif
