/*
 * segment.h - a piece of a mailbox's index: which words stand in which of
 * its messages. Immutable once written. Pure.
 *
 *	head		counts, and where the sections below begin
 *	documents	6 bytes each: uid, flags, length
 *	terms		of each field: "\nTERM\nTERM\n...", sorted bytewise; no
 *			term holds \n
 *	blocks		of each field: of BLOCK_TERMS terms, where the first
 *			of them and its posting list begin
 *	postings	of each field: for each term, in order, a length and
 *			the documents
 *
 * Numbers are little-endian; in postings they have seven bits a byte. A
 * segment that is read may hold anything at all: whatever is wrong in it
 * makes functions return -1, and nothing worse.
 *
 * A search touches the head, the documents, the terms of a field and few
 * postings: `need` is asked for what is about to be read, so that the rest can
 * stay where it is.
 */
#ifndef INDEX_SEGMENT_H
#define INDEX_SEGMENT_H

#include "base/base.h"
#include "base/text.h"

/* The numbers are on disk. */
enum segment_field {
	SEGMENT_SUBJECT, SEGMENT_FROM, SEGMENT_TO, SEGMENT_CC, SEGMENT_BCC,
	SEGMENT_HEADER,		/* the value of any other field */
	SEGMENT_NAMES,		/* of fields */
	SEGMENT_BODY,		/* what SEARCH BODY looks at */
	SEGMENT_HTML,		/* words that stand only in HTML as text */
	SEGMENT_FIELDS
};

/* What is not known of a document. */
enum {
	DOCUMENT_HEADER_CUT = 1 << 0,	/* its header was not read to the end */
	DOCUMENT_BODY_CUT = 1 << 1,
	DOCUMENT_HEADER_LONG = 1 << 2,	/* words longer than TERM_MAX */
	DOCUMENT_BODY_LONG = 1 << 3,
};

struct document {
	uint32_t uid;
	uint8_t flags;
	uint8_t length;			/* of its text: document_length() */
};
/* About how many words, in a byte; and back. */
uint8_t document_length(uint64_t words);
uint32_t document_words(uint8_t length);

enum {
	SEGMENT_VERSION = 1,
	SEGMENT_HEAD = 16 + 32 * SEGMENT_FIELDS,
	SEGMENT_DOCUMENT = 6,
	SEGMENT_BLOCK = 8,
	BLOCK_TERMS = 32,
	SEGMENT_DOCUMENTS_MAX = 1 << 20,
};

/* -- writing: documents first, then each field's terms in order -------- */

struct segment_writer;
struct segment_writer *segment_writer_new(void);
void segment_writer_free(struct segment_writer **);
void segment_write_document(struct segment_writer *, struct document);
/* Terms ascending within a field, fields ascending; a term has postings. */
void segment_write_term(struct segment_writer *, enum segment_field,
    struct span term);
/* Documents ascending within a term, by their place; count at least 1. */
void segment_write_posting(struct segment_writer *, uint32_t document,
    uint32_t count);
/* The whole of it behind what is in `out`. 1, -1 it would be too large. */
int  segment_write_end(struct segment_writer *, struct text *out);

/* -- reading ----------------------------------------------------------- */

struct segment_range { uint32_t from, n; };

struct segment_dictionary {
	struct segment_range terms, blocks, postings;
	uint32_t count;			/* of terms */
};

struct segment {
	const char *base;		/* what was needed is there */
	uint32_t size;
	/* 1: these ranges can be read; -1: they cannot be had. NULL: all is
	 * there already. */
	int (*need)(void *arg, const struct segment_range *, size_t n);
	void *arg;
	uint32_t documents;
	struct segment_range document_table;
	struct segment_dictionary fields[SEGMENT_FIELDS];
};

/* base, size, need, arg are set: reads the head. 1, -1 it is no segment. */
int  segment_open(struct segment *);
/* The table of documents is there: 1, -1. Then by their place. */
int  segment_need_documents(struct segment *);
/* And the dictionaries of these fields (bits), all at once. 1, -1. */
int  segment_need_terms(struct segment *, unsigned fields);
struct document segment_document(const struct segment *, uint32_t place);
/* Every uid is higher than the one before. 1, -1. */
int  segment_check_documents(struct segment *);

/* A walk over posting lists; found by their terms, or one after the other. */
struct segment_cursor {
	const struct segment *segment;
	enum segment_field field;
	uint32_t block;
	uint32_t term;			/* where it begins, among the terms */
	uint32_t term_end;
	uint32_t list, list_end;	/* its postings; 0, 0: not yet read */
};

/*
 * The terms that hold `pattern`, which may begin and end with \n: then they
 * begin and end with the rest of it. Each time a share of them, ascending,
 * from *at on (start with 0): their places among the terms. How many; 0 no
 * more; -1.
 */
enum { TERMS_AT_ONCE = 4096 };
int  segment_find(struct segment *, enum segment_field, struct span pattern,
    uint32_t *at, uint32_t terms[TERMS_AT_ONCE]);
/* The postings of these are there: 1, -1. */
int  segment_need_postings(struct segment *, enum segment_field,
    const uint32_t *terms, size_t n);
/* All terms and postings of a field are there: 1, -1. */
int  segment_need_field(struct segment *, enum segment_field);

void segment_walk(struct segment_cursor *, const struct segment *,
    enum segment_field);
/* On to the term that begins there; ascending. 1, -1. */
int  segment_seek(struct segment_cursor *, uint32_t term);
/* The first, or the next one. 1, 0 no more, -1. */
int  segment_step(struct segment_cursor *);
struct span segment_term(const struct segment_cursor *);

struct postings {
	struct span rest;
	uint32_t document, count, limit;
};
void segment_postings(const struct segment_cursor *, struct postings *);
/* The next document, its count. 1, 0 no more, -1. */
int  postings_next(struct postings *);

/* -- merging ----------------------------------------------------------- */

/*
 * One of several, whose uids ascend from one to the next; of the documents
 * only those for which `keep` says so. All of them must be there. `rest` runs
 * now and then (NULL: never). 1 and how many documents there are, -1.
 */
struct segment_merge {
	struct segment *from;
	size_t count;
	bool (*keep)(void *arg, uint32_t uid);
	void (*rest)(void *arg);
	void *arg;
};
int  segment_merge(const struct segment_merge *, struct text *out,
    uint32_t *documents);

#endif
