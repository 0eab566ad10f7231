/*
 * sts.c - MTA-STS records and policies, by the grammar of RFC 8461 section 3.
 */
#include "verify/sts.h"

/* ---- the TXT record (3.1) ---------------------------------------------- */

/* sts-ext-name and what an id is made of, without its signs. */
static bool
is_alnums(struct span s, const char *signs)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && (s.p[i] == '\0' || i == 0 ||
		    strchr(signs, s.p[i]) == NULL))
			return false;
	return s.n > 0;
}

static bool
is_extension_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ';' ||
		    s.p[i] == '=')
			return false;
	return s.n > 0;
}

/* "name=value"; the first id counts, any other field is passed over. */
static bool
read_field(struct span field, struct span *id)
{
	struct span name, value = span_cut(field, '=', &name);

	if (name.n == field.n || name.n > 32)
		return false;
	if (!span_is(name, "id"))
		return is_alnums(name, "_-.") && is_extension_value(value);
	if (value.n > STS_ID_MAX || !is_alnums(value, ""))
		return false;
	if (id->n == 0)
		*id = value;
	return true;
}

static bool
read_record(struct span record, struct span *id)
{
	struct span field, rest = span_cut(record, ';', &field);

	*id = SPAN_EMPTY;
	while (rest.n > 0) {
		bool last = span_find_char(rest, ';', 0) == SIZE_MAX;

		rest = span_cut(rest, ';', &field);
		field = span_trim(field);
		if (field.n == 0 && last)
			break;
		if (!read_field(field, id))
			return false;
	}
	return id->n > 0;
}

/* "v=STSv1", blanks, ";": all others are somebody else's records. */
static bool
is_record(struct span record)
{
	struct span version, prefix = SPAN("v=STSv1");

	span_cut(record, ';', &version);
	return version.n < record.n && span_starts(version, prefix) &&
	    span_trim(span_from(version, prefix.n)).n == 0;
}

int
sts_record(const struct span *records, size_t count, struct span *id)
{
	const struct span *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!is_record(records[i]))
			continue;
		if (found != NULL)
			return -1;
		found = &records[i];
	}
	if (found == NULL)
		return 0;
	return read_record(*found, id) ? 1 : -1;
}

/* ---- the policy (3.2) -------------------------------------------------- */

/* A host name in A-labels, perhaps with "*." in front. */
static bool
is_pattern(struct span s)
{
	size_t label = 0;

	if (span_starts(s, SPAN("*.")))
		s = span_from(s, 2);
	if (s.n == 0 || s.n > 253)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dot = s.p[i] == '.';

		if (dot ? label == 0 : !ascii_is_alnum(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
		label = dot ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

static bool
read_mode(struct span value, struct sts_policy *p)
{
	static const struct {
		const char *name;
		enum sts_mode mode;
	} modes[] = {
		{ "none",	STS_NONE },
		{ "testing",	STS_TESTING },
		{ "enforce",	STS_ENFORCE },
	};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (span_is(value, modes[i].name)) {
			p->mode = modes[i].mode;
			return true;
		}
	return false;
}

static bool
read_max_age(struct span value, struct sts_policy *p)
{
	uint64_t age;

	if (value.n > 10 || span_u64(value, &age) != 1)
		return false;
	p->max_age = (int64_t)MIN(age, STS_MAX_AGE);
	return true;
}

static bool
read_mx(struct span value, struct arena *arena, struct sts_policy *p)
{
	if (!is_pattern(value) || p->mx_count == STS_MX_MAX)
		return false;
	if (p->mx_count % 8 == 0) {
		struct span *grown = arena_grow(arena, p->mx,
		    p->mx_count * sizeof(*grown),
		    (p->mx_count + 8) * sizeof(*grown));

		if (grown == NULL)
			return false;
		p->mx = grown;
	}
	p->mx[p->mx_count++] = value;
	return true;
}

/* Of fields that stand twice the first counts, but for mx (3.2). */
struct seen { bool version, mode, max_age; };

static bool
read_line(struct span line, struct arena *arena, struct seen *seen,
    struct sts_policy *p)
{
	struct span key, value = span_trim(span_cut(line, ':', &key));

	if (key.n == line.n || !is_alnums(key, "_-."))
		return false;
	if (span_is(key, "mx"))
		return read_mx(value, arena, p);
	if (span_is(key, "version")) {
		bool first = !seen->version;

		seen->version = true;
		return !first || span_is(value, "STSv1");
	}
	if (span_is(key, "mode") && !seen->mode)
		return seen->mode = read_mode(value, p);
	if (span_is(key, "max_age") && !seen->max_age)
		return seen->max_age = read_max_age(value, p);
	return true;
}

int
sts_policy_parse(struct span file, struct arena *arena, struct sts_policy *p)
{
	struct seen seen = { 0 };

	*p = (struct sts_policy){ 0 };
	while (file.n > 0) {
		struct span line;

		file = span_cut(file, '\n', &line);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		line = span_trim(line);
		/* An empty line is no field; many files end with one. */
		if (line.n > 0 && !read_line(line, arena, &seen, p))
			return 0;
	}
	return seen.version && seen.mode && seen.max_age &&
	    (p->mx_count > 0 || p->mode == STS_NONE);
}

/* ---- which MX (4.1) ---------------------------------------------------- */

static bool
allows(struct span pattern, struct span host)
{
	size_t dot;

	if (!span_starts(pattern, SPAN("*.")))
		return span_eq_nocase(pattern, host);
	/* The star stands for one whole label. */
	dot = span_find_char(host, '.', 0);
	return dot != SIZE_MAX && dot > 0 &&
	    span_eq_nocase(span_from(pattern, 1), span_from(host, dot));
}

bool
sts_allows(const struct span *patterns, size_t count, struct span host)
{
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	for (size_t i = 0; i < count; i++)
		if (allows(patterns[i], host))
			return true;
	return false;
}
