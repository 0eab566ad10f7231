/*
 * param.h - settings as rows: their types, their text, the file they come in.
 *
 * The file:
 *
 *	hostname = mail.example.org;	# a comment
 *	smtp {
 *		max_size = 50M;
 *		banner = "ready; go on";
 *	}
 *
 * A name inside a section is the section's, a dot, and its own: smtp.max_size,
 * which may also be written so outside. A value ends at a semicolon, the end
 * of the line or a closing brace; between double quotes it may hold them (and
 * \" and \\). Comments: # to the end of the line, and as in C.
 *
 * Pure: bytes in, values or an error in words out.
 */
#ifndef BASE_PARAM_H
#define BASE_PARAM_H

#include "base/base.h"
#include "base/text.h"

enum param_type {
	PARAM_BOOL,	/* bool: yes, no, on, off, true, false */
	PARAM_COUNT,	/* uint64_t: decimal digits */
	PARAM_SIZE,	/* uint64_t: bytes; K, M, G, T are powers of 1024 */
	PARAM_TIME,	/* int64_t: milliseconds; ms, s, min, h, d */
	PARAM_TEXT,	/* char[max + 1]: UTF-8 without control characters */
	PARAM_CHOICE,	/* char[max + 1]: one of the words in `unit` */
};

struct param {
	const char *name;
	enum param_type type;
	size_t offset;		/* in the struct of values */
	const char *standard;	/* the default, as one would write it */
	uint64_t min, max;	/* of the value; of the length for a text */
	const char *unit;	/* what a count counts; words of a choice: "a|b" */
	const char *about;	/* one sentence, for the manual */
};

enum { PARAM_NAME_MAX = 64, PARAM_VALUE_MAX = 4096, PARAM_DEPTH_MAX = 4 };

/* Write the value that `text` says into the struct at `base`. 1, 0 and why. */
int  param_read(const struct param *, void *base, struct span text,
    struct text *why);
/* The value in `base` as param_read() takes it. */
void param_write(const struct param *, const void *base, struct text *out);
/* A bound or value of the row's type, the way people write it. */
void param_write_number(enum param_type, uint64_t, struct text *out);

/* For each setting in the file, in order; false: *why says what is wrong. */
typedef bool param_fn(void *arg, struct span name, struct span value,
    unsigned line, struct text *why);
/* 1; 0 and *why begins with "line N: ". */
int  param_parse(struct span file, param_fn *, void *arg, struct text *why);

#endif
