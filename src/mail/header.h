/*
 * header.h - the header section of a message, field by field.
 *
 * Works on the bytes as they are: CRLF or LF, folded, 8-bit, broken. A line
 * that is no field and no continuation becomes a field without a name, so
 * that everything is seen and nothing ends the header but the empty line.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/arena.h"
#include "base/text.h"

struct header_field {
	struct span name;	/* as written, without blanks at its end;
				   empty: the line is garbage */
	struct span value;	/* raw: folded, without the last line end,
				   blanks around it trimmed */
	struct span whole;	/* the field with its last line end */
};

/* Where the body begins: behind the empty line, or message.n without one. */
size_t header_end(struct span message);
/*
 * The next field at *at (start with 0). False at the empty line or at the
 * end; *at then stands on the first byte of the body.
 */
bool header_next(struct span message, size_t *at, struct header_field *);
/* The first field of that name; 1 found, 0 not there. */
int header_find(struct span message, const char *name, struct header_field *);
size_t header_count(struct span message, const char *name);
/* Lines taken out of a folded value: CR, LF dropped, the blanks stay. */
struct span header_unfold(struct arena *, struct span value);
void header_unfold_add(struct text *, struct span value);

/* A field name as RFC 5322 3.6.8 has it: printable, no colon, not empty. */
bool header_name_ok(struct span);

/*
 * What a receiving server asks of a header, in one pass. Fields that may
 * stand once (RFC 5322 3.6) are counted. Values are raw, of the first one.
 */
struct header_survey {
	size_t size;		/* of the header, the empty line included */
	size_t fields;
	size_t received;	/* trace fields: loop detection, RFC 5321 6.3 */
	size_t delivered_to;
	size_t date, from, sender, reply_to, to, cc, bcc, message_id,
	    in_reply_to, references, subject;
	size_t tls_required, solicitation;	/* RFC 8689, RFC 3865 */
	size_t garbage;		/* lines that are no field */
	bool has_8bit;		/* needs 8BITMIME or SMTPUTF8 */
	struct span first_from, first_sender, first_date, first_message_id,
	    first_tls_required, first_solicitation;
};

void header_survey(struct span message, struct header_survey *);
/* A Delivered-To field with exactly this value is there (a mail loop). */
bool header_delivered_to(struct span message, struct span address);
/* The values of all fields of that name, one a line: those on one line of the
 * header and not longer than `longest`, as many as fit. */
void header_values(struct span message, const char *name, size_t longest,
    struct text *out);

/*
 * Copy the header section of `message`, without the empty line, to `out`,
 * leaving out every field whose name is in the list (NULL-terminated).
 */
void header_without(struct span message, const char *const *names,
    struct text *out);
/*
 * Add "Name: value CRLF", folded at blanks before column 78 where it can be.
 * CR, LF and NUL in the value become blanks: no field is smuggled in.
 */
void header_add(struct text *out, const char *name, struct span value);

#endif
