/*
 * date.c - moments read and written.
 *
 * The calendar is computed, not asked of the C library: no locale, no zone
 * files, no lock. Days count from 1970-01-01.
 */
#include "mail/date.h"
#include "mail/lex.h"

enum { DAY = 86400, OFFSET_MAX = 23 * 60 + 59 };

static const char *const months[] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
	"Nov", "Dec"
};
static const char *const weekdays[] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};

/* RFC 5322 4.3. The military ones were defined wrong: they say nothing. */
static const struct {
	const char *name;
	int hours;
} zones[] = {
	{ "UT", 0 }, { "GMT", 0 }, { "UTC", 0 }, { "EST", -5 }, { "EDT", -4 },
	{ "CST", -6 }, { "CDT", -5 }, { "MST", -7 }, { "MDT", -6 },
	{ "PST", -8 }, { "PDT", -7 },
};

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int year, int month)
{
	static const int days[] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Years are taken to begin in March: the leap day is then the last one. */
int
date_day_of(int year, int month, int day, int32_t *out)
{
	int y, m;

	if (year < 0 || year > 9999 || month < 1 || month > 12 || day < 1 ||
	    day > month_days(year, month))
		return 0;
	y = month > 2 ? year + 400 : year + 399;
	m = (month + 9) % 12;
	*out = y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 +
	    day - 1 - (719468 + 146097);
	return 1;
}

static void
split_day(int32_t day, struct date_parts *p)
{
	int32_t z = day + 719468 + 146097;	/* since March of year -400 */
	int32_t era = z / 146097, rest = z % 146097;
	int32_t y = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
	int32_t left = rest - (365 * y + y / 4 - y / 100);
	int32_t m = (5 * left + 2) / 153;

	p->day = left - (153 * m + 2) / 5 + 1;
	p->month = m < 10 ? m + 3 : m - 9;
	p->year = y + era * 400 - 400 + (p->month <= 2);
	p->weekday = (z + 3) % 7;
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The written seconds, kept within what the calendar can say. */
static int64_t
local_seconds(struct date d)
{
	int64_t local;

	if (__builtin_add_overflow(d.seconds, (int64_t)d.offset * 60, &local))
		local = d.seconds;
	return MAX(INT64_C(-62167219200), MIN(local, INT64_C(253402300799)));
}

int32_t
date_day(struct date d)
{
	return (int32_t)floor_div(local_seconds(d), DAY);
}

struct date_parts
date_split(struct date d)
{
	int64_t local = local_seconds(d);
	int64_t day = floor_div(local, DAY);
	int second = (int)(local - day * DAY);
	struct date_parts p;

	split_day((int32_t)day, &p);
	p.hour = second / 3600;
	p.minute = second / 60 % 60;
	p.second = second % 60;
	return p;
}

/* A leap second is the first one of the next minute. */
static int
join(const struct date_parts *p, int offset, struct date *out)
{
	int32_t day;

	if (p->hour < 0 || p->hour > 23 || p->minute < 0 || p->minute > 59 ||
	    p->second < 0 || p->second > 60 || offset < -OFFSET_MAX ||
	    offset > OFFSET_MAX ||
	    date_day_of(p->year, p->month, p->day, &day) != 1)
		return 0;
	out->seconds = (int64_t)day * DAY + p->hour * 3600 + p->minute * 60 +
	    p->second - offset * 60;
	out->offset = offset;
	return 1;
}

/* Between `least` and `most` digits; the number, or -1. */
static int
take_number(struct span s, size_t *at, int least, int most)
{
	int n = 0, digits = 0;

	while (*at < s.n && digits < most && ascii_is_digit(s.p[*at])) {
		n = n * 10 + (s.p[(*at)++] - '0');
		digits++;
	}
	return digits < least ? -1 : n;
}

static bool
take_char(struct span s, size_t *at, char c)
{
	if (*at >= s.n || s.p[*at] != c)
		return false;
	(*at)++;
	return true;
}

static struct span
take_alpha(struct span s, size_t *at)
{
	size_t from = *at;

	while (*at < s.n && ascii_is_alpha(s.p[*at]))
		(*at)++;
	return span_sub(s, from, *at - from);
}

/* By its first three letters; 1..12, or 0. */
static int
month_of(struct span name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(months); i++) {
		if (span_is_nocase(span_sub(name, 0, 3), months[i]))
			return (int)i + 1;
	}
	return 0;
}

static bool
take_offset(struct span s, size_t *at, int *offset)
{
	bool west = take_char(s, at, '-');
	int n;

	if (!west && !take_char(s, at, '+'))
		return false;
	n = take_number(s, at, 4, 4);
	if (n < 0 || n % 100 > 59)
		return false;
	*offset = (n / 100 * 60 + n % 100) * (west ? -1 : 1);
	return true;
}

static int
zone_of(struct span name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(zones); i++) {
		if (span_is_nocase(name, zones[i].name))
			return zones[i].hours * 60;
	}
	return 0;
}

/* RFC 5322 4.3: two digits up to 49 are of this century, three of the last. */
static int
take_year(struct span s, size_t *at)
{
	size_t from = *at;
	int year = take_number(s, at, 2, 4);

	if (year < 0)
		return -1;
	if (*at - from == 2)
		return year + (year < 50 ? 2000 : 1900);
	return *at - from == 3 ? year + 1900 : year;
}

/* A colon, or the "." that some write, with blanks around it. */
static bool
take_colon(struct span s, size_t *at)
{
	size_t i = lex_skip(s, *at);

	if (!take_char(s, &i, ':') && !take_char(s, &i, '.'))
		return false;
	*at = lex_skip(s, i);
	return true;
}

static bool
take_time(struct span s, size_t *at, struct date_parts *p)
{
	p->second = 0;
	p->hour = take_number(s, at, 1, 2);
	if (p->hour < 0 || !take_colon(s, at))
		return false;
	p->minute = take_number(s, at, 1, 2);
	if (take_colon(s, at))
		p->second = take_number(s, at, 1, 2);
	return p->minute >= 0 && p->second >= 0;
}

static bool
take_message_day(struct span s, size_t *at, struct date_parts *p)
{
	size_t i = lex_skip(s, *at);

	take_alpha(s, &i);			/* the weekday is not checked */
	i = lex_skip(s, i);
	if (take_char(s, &i, ','))
		i = lex_skip(s, i);
	p->day = take_number(s, &i, 1, 2);
	i = lex_skip(s, i);
	if (take_char(s, &i, '-'))		/* "1-Jan-1999" is seen */
		i = lex_skip(s, i);
	p->month = month_of(take_alpha(s, &i));
	i = lex_skip(s, i);
	if (take_char(s, &i, '-'))
		i = lex_skip(s, i);
	p->year = take_year(s, &i);
	*at = lex_skip(s, i);
	return p->day > 0 && p->month > 0 && p->year >= 0;
}

int
date_parse_message(struct span s, struct date *out)
{
	struct date_parts p;
	int offset = 0;
	size_t at = 0;

	if (!take_message_day(s, &at, &p) || !take_time(s, &at, &p))
		return 0;
	at = lex_skip(s, at);
	if (!take_offset(s, &at, &offset))
		offset = zone_of(take_alpha(s, &at));
	return join(&p, offset, out);
}

static void
two(char *to, int n)
{
	to[0] = (char)('0' + n / 10 % 10);
	to[1] = (char)('0' + n % 10);
}

static void
four(char *to, int n)
{
	two(to, n / 100);
	two(to + 2, n % 100);
}

/* "03:10:05 +0100" */
static void
put_time(char *to, const struct date_parts *p, int offset)
{
	int away = offset < 0 ? -offset : offset;

	two(to, p->hour);
	to[2] = ':';
	two(to + 3, p->minute);
	to[5] = ':';
	two(to + 6, p->second);
	to[8] = ' ';
	to[9] = offset < 0 ? '-' : '+';
	two(to + 10, away / 60);
	two(to + 12, away % 60);
}

void
date_add_message(struct text *out, struct date d)
{
	struct date_parts p = date_split(d);
	char b[] = "Sat, 21 Nov 2026 hh:mm:ss +hhmm";

	memcpy(b, weekdays[p.weekday], 3);
	two(b + 5, p.day);
	memcpy(b + 8, months[p.month - 1], 3);
	four(b + 12, p.year);
	put_time(b + 17, &p, d.offset);
	text_add(out, span_of(b, sizeof(b) - 1));
}

/* "21-Nov-2026"; `fixed`: a day of one digit stands behind a blank. */
static bool
take_imap_day(struct span s, size_t *at, bool fixed, struct date_parts *p)
{
	bool blank = fixed && take_char(s, at, ' ');
	struct span month;

	p->day = take_number(s, at, fixed && !blank ? 2 : 1, blank ? 1 : 2);
	if (p->day < 1 || !take_char(s, at, '-'))
		return false;
	month = take_alpha(s, at);
	p->month = month.n == 3 ? month_of(month) : 0;
	if (p->month == 0 || !take_char(s, at, '-'))
		return false;
	p->year = take_number(s, at, 4, 4);
	return p->year >= 0;
}

int
date_parse_imap(struct span s, struct date *out)
{
	struct date_parts p;
	int offset;
	size_t at = 0;

	if (!take_imap_day(s, &at, true, &p) || !take_char(s, &at, ' '))
		return 0;
	p.hour = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, ':'))
		return 0;
	p.minute = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, ':'))
		return 0;
	p.second = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, ' ') || !take_offset(s, &at, &offset) ||
	    at != s.n)
		return 0;
	return join(&p, offset, out);
}

void
date_add_imap(struct text *out, struct date d)
{
	struct date_parts p = date_split(d);
	char b[] = "21-Nov-2026 hh:mm:ss +hhmm";

	two(b, p.day);
	if (p.day < 10)
		b[0] = ' ';
	memcpy(b + 3, months[p.month - 1], 3);
	four(b + 7, p.year);
	put_time(b + 12, &p, d.offset);
	text_add(out, span_of(b, sizeof(b) - 1));
}

int
date_parse_imap_day(struct span s, int32_t *day)
{
	struct date_parts p;
	size_t at = 0;

	if (!take_imap_day(s, &at, false, &p) || at != s.n)
		return 0;
	return date_day_of(p.year, p.month, p.day, day);
}

void
date_add_imap_day(struct text *out, int32_t day)
{
	struct date d = { (int64_t)day * DAY, 0 };
	struct date_parts p = date_split(d);

	text_printf(out, "%d-%s-%04d", p.day, months[p.month - 1], p.year);
}

void
date_add_rfc3339(struct text *out, struct date d)
{
	struct date_parts p = date_split(d);
	char b[] = "2026-11-21Thh:mm:ss+hhmm";
	int away = d.offset < 0 ? -d.offset : d.offset;

	four(b, p.year);
	two(b + 5, p.month);
	two(b + 8, p.day);
	two(b + 11, p.hour);
	two(b + 14, p.minute);
	two(b + 17, p.second);
	text_add(out, span_of(b, 19));
	if (d.offset == 0)
		text_char(out, 'Z');
	else
		text_printf(out, "%c%02d:%02d", d.offset < 0 ? '-' : '+',
		    away / 60, away % 60);
}

/* "Z", "+01:00" */
static bool
take_rfc3339_offset(struct span s, size_t *at, int *offset)
{
	bool west;
	int hours, minutes;

	*offset = 0;
	if (take_char(s, at, 'Z') || take_char(s, at, 'z'))
		return true;
	west = take_char(s, at, '-');
	if (!west && !take_char(s, at, '+'))
		return false;
	hours = take_number(s, at, 2, 2);
	if (!take_char(s, at, ':'))
		return false;
	minutes = take_number(s, at, 2, 2);
	*offset = (hours * 60 + minutes) * (west ? -1 : 1);
	return hours >= 0 && minutes >= 0 && minutes < 60;
}

int
date_parse_rfc3339(struct span s, struct date *out)
{
	struct date_parts p;
	int offset;
	size_t at = 0;

	p.year = take_number(s, &at, 4, 4);
	if (p.year < 0 || !take_char(s, &at, '-'))
		return 0;
	p.month = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, '-'))
		return 0;
	p.day = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, 'T') && !take_char(s, &at, 't') &&
	    !take_char(s, &at, ' '))
		return 0;
	p.hour = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, ':'))
		return 0;
	p.minute = take_number(s, &at, 2, 2);
	if (!take_char(s, &at, ':'))
		return 0;
	p.second = take_number(s, &at, 2, 2);
	if (take_char(s, &at, '.') && take_number(s, &at, 1, 9) < 0)
		return 0;
	if (!take_rfc3339_offset(s, &at, &offset) || at != s.n)
		return 0;
	return join(&p, offset, out);
}
