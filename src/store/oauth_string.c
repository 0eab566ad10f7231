/*
 * oauth_string.c - what OAUTHBEARER and XOAUTH2 send: fields ended by ^A.
 */
#include "store/oauth.h"
#include "store/scram.h"

/* RFC 6750 2.1: letters, digits and a few marks; never a blank. */
static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' ||
		    s.p[i] == '\\')
			return false;
	return s.n > 0;
}

/* "Bearer token", in any case, with one or more blanks. */
static bool
read_auth(struct span value, struct span *token)
{
	struct span scheme, rest = span_cut(value, ' ', &scheme);

	*token = span_trim(rest);
	return span_is_nocase(scheme, "bearer") && is_token(*token);
}

/* name=value ^A ... ^A: those we know, each once; the rest is passed over. */
static bool
read_fields(struct span rest, bool with_user, struct oauth_string *out)
{
	bool has_auth = false;

	while (rest.n > 0 && rest.p[0] != 1) {
		struct span field, name, value, after;

		after = span_cut(rest, 1, &field);
		if (field.n == rest.n)
			return false;
		value = span_cut(field, '=', &name);
		if (name.n == 0 || name.n == field.n)
			return false;
		if (span_is_nocase(name, "auth")) {
			if (has_auth || !read_auth(value, &out->token))
				return false;
			has_auth = true;
		} else if (with_user && span_is_nocase(name, "user")) {
			if (out->user.n > 0)
				return false;
			out->user = value;
		}
		rest = after;
	}
	return has_auth && rest.n == 1;
}

int
oauth_read_bearer(struct span s, struct arena *arena,
    struct oauth_string *out)
{
	struct span flag, zid, header, rest;
	int rc = 1;

	*out = (struct oauth_string){ .dummy = span_is(s, "\1") };
	if (out->dummy)
		return 1;
	rest = span_cut(s, 1, &header);
	if (header.n == s.n)
		return 0;
	/* "n,a=user," or "y,,": it binds to no channel. */
	if (span_cut(span_cut(header, ',', &flag), ',', &zid).n > 0 ||
	    flag.n + zid.n + 2 != header.n ||
	    !(span_is(flag, "n") || span_is(flag, "y")))
		return 0;
	if (zid.n > 0)
		rc = span_starts(zid, SPAN("a=")) ?
		    scram_read_name(span_from(zid, 2), arena, &out->user) : 0;
	if (rc != 1)
		return rc;
	return read_fields(rest, false, out);
}

int
oauth_read_xoauth2(struct span s, struct oauth_string *out)
{
	*out = (struct oauth_string){ .dummy = s.n == 0 || span_is(s, "\1") };
	return out->dummy || (read_fields(s, true, out) && out->user.n > 0);
}
