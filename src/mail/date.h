/*
 * date.h - the written forms of a moment.
 *
 * A date is a moment and the offset its writer lived in, since IMAP compares
 * the day as it was written (RFC 3501 6.4.4) and shows INTERNALDATE so.
 * Years 0 to 9999 of the proleptic Gregorian calendar; no leap seconds.
 */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "base/text.h"

struct date {
	int64_t seconds;	/* since 1970 UTC */
	int offset;		/* minutes east of UTC */
};

/* The calendar, for who needs more than the formats below. */
struct date_parts {
	int year, month, day;		/* 2026, 1..12, 1..31 */
	int hour, minute, second;
	int weekday;			/* 0 Sunday */
};
struct date_parts date_split(struct date);	/* as written: with offset */
/* Days since 1970-01-01; 1 done, 0 no such day. */
int date_day_of(int year, int month, int day, int32_t *out);
/* The day as written, disregarding time and zone. */
int32_t date_day(struct date);

/*
 * RFC 5322 3.3 with the obsolete forms of 4.3: comments and folding anywhere,
 * two-digit years, named zones. 1 parsed, 0 not a date.
 */
int date_parse_message(struct span, struct date *);
void date_add_message(struct text *, struct date);
	/* "Sat, 21 Nov 2026 03:10:05 +0100" */

/* IMAP date-time without its quotes: " 1-Jul-1996 02:44:25 -0700". */
int date_parse_imap(struct span, struct date *);
void date_add_imap(struct text *, struct date);
/* IMAP date, "1-Feb-1994", quotes removed: the day since 1970-01-01. */
int date_parse_imap_day(struct span, int32_t *day);
void date_add_imap_day(struct text *, int32_t day);

/* RFC 3339: "2026-11-21T03:10:05Z", "...+01:00" where the offset is not 0. */
void date_add_rfc3339(struct text *, struct date);
int date_parse_rfc3339(struct span, struct date *);

#endif
