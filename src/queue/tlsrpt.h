/*
 * tlsrpt.h - reports on how TLS with a domain went (RFC 8460).
 *
 * Who asks for reports; counts of sessions as they are gathered, handed on
 * and kept; the report of a day as JSON and as mail. Pure.
 */
#ifndef QUEUE_TLSRPT_H
#define QUEUE_TLSRPT_H

#include "base/text.h"
#include "ipc/wire.h"

enum {
	TLSRPT_RUA_MAX = 2048,		/* bytes of addresses for reports */
	TLSRPT_POLICY_MAX = 8 << 10,	/* of a policy's text */
	TLSRPT_ROW_MAX = 32 << 10,
};

enum tlsrpt_type {			/* of a policy (4.2) */
	TLSRPT_TLSA, TLSRPT_STS, TLSRPT_NO_POLICY, TLSRPT_TYPES
};

/* Sessions that went alike. */
struct tlsrpt_row {
	uint32_t day;			/* since 1970-01-01 UTC */
	struct span domain;
	struct span rua;		/* as published */
	enum tlsrpt_type type;
	struct span policy;		/* its text, one statement a line */
	struct span mx;			/* patterns of STS, one a line */
	struct span result;		/* "" good, or a word of 4.3 */
	struct span host, remote, local;	/* of what failed */
	uint64_t count;
};
void tlsrpt_row_put(struct text *, const struct tlsrpt_row *);
/* 1, 0 at the end, -1 malformed. */
int  tlsrpt_row_get(struct cursor *, struct tlsrpt_row *);

/*
 * Rows that differ in nothing but their count are one. Beyond `max` rows
 * failures lose their hosts; beyond twice that, or where they would take more
 * than `bytes` when encoded, what is new is left out.
 */
struct tlsrpt;
struct tlsrpt *tlsrpt_new(size_t max, size_t bytes);
void tlsrpt_free(struct tlsrpt **);
void tlsrpt_count(struct tlsrpt *, const struct tlsrpt_row *);
size_t tlsrpt_rows(const struct tlsrpt *);
void tlsrpt_encode(const struct tlsrpt *, struct text *out);	/* sorted */
void tlsrpt_clear(struct tlsrpt *);

/* Of the TXT records of _smtp._tls.DOMAIN: *rua of the one that counts (3).
 * 1; 0 no report is wanted, or nobody can say by whom. */
int tlsrpt_record(const struct span *records, size_t count, struct span *rua);
/* The next of its URIs. False: no more. */
bool tlsrpt_next_uri(struct span *rua, struct span *uri);
/* The address of "mailto:...". 1, 0 it is none. */
int tlsrpt_mailto(struct span uri, struct text *address);

/* A report on one domain and one day. */
struct tlsrpt_report {
	struct span organization;
	struct span submitter;		/* our domain */
	struct span contact;		/* our address */
	struct span id;			/* "x@y", of the report */
	struct span domain;
	uint32_t day;
	struct span rows;		/* all of that domain and day, sorted */
};
/* 1; 0 the rows are malformed, or it is too long. */
int tlsrpt_json(const struct tlsrpt_report *, struct text *out);
/* gzip (RFC 1952). */
void tlsrpt_gzip(struct span, struct text *out);
/*
 * Append the mail of 5.3 with its Return-Path line, *prefix bytes long.
 * gz: the report, compressed; boundary: nothing else begins so.
 */
void tlsrpt_mail(const struct tlsrpt_report *, struct span gz,
    struct span to, const char *boundary, int64_t now, struct text *out,
    uint32_t *prefix);

#endif
