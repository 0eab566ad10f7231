/*
 * tlsrpt_report.c - the report of a day: JSON (RFC 8460 4), and the mail
 * that carries it (5.3).
 */
#include "queue/tlsrpt.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/header.h"

#include <jansson.h>
#include <stdlib.h>
#include <zlib.h>

enum { DAY = 86400, FAILURES_MAX = 1000 };

/* ---- JSON -------------------------------------------------------------- */

/* Strangers chose some of the words: they become UTF-8. */
static json_t *
words(struct span s)
{
	struct text clean = TEXT_INIT(0);
	json_t *j;

	utf8_add_scrubbed(&clean, s);
	j = json_stringn(clean.n > 0 ? clean.p : "", clean.n);
	text_free(&clean);
	return j != NULL ? j : json_string("");
}

static json_t *
lines(struct span s)
{
	json_t *list = json_array();

	while (s.n > 0) {
		struct span line;

		s = span_cut(s, '\n', &line);
		if (line.n > 0)
			json_array_append_new(list, words(line));
	}
	return list;
}

static json_t *
moment(int64_t seconds)
{
	struct text t = TEXT_INIT(0);
	json_t *j;

	date_add_rfc3339(&t, (struct date){ .seconds = seconds });
	j = json_stringn(t.p, t.n);
	text_free(&t);
	return j;
}

static json_t *
date_range(uint32_t day)
{
	json_t *range = json_object();

	json_object_set_new(range, "start-datetime",
	    moment((int64_t)day * DAY));
	json_object_set_new(range, "end-datetime",
	    moment((int64_t)day * DAY + DAY - 1));
	return range;
}

static json_t *
policy(const struct tlsrpt_row *r)
{
	static const char *const types[] = {
		[TLSRPT_TLSA] = "tlsa", [TLSRPT_STS] = "sts",
		[TLSRPT_NO_POLICY] = "no-policy-found",
	};
	json_t *p = json_object();

	json_object_set_new(p, "policy-type", json_string(types[r->type]));
	if (r->type != TLSRPT_NO_POLICY)
		json_object_set_new(p, "policy-string", lines(r->policy));
	json_object_set_new(p, "policy-domain", words(r->domain));
	if (r->mx.n > 0)
		json_object_set_new(p, "mx-host", lines(r->mx));
	return p;
}

static json_t *
failure(const struct tlsrpt_row *r)
{
	json_t *f = json_object();

	json_object_set_new(f, "result-type", words(r->result));
	if (r->local.n > 0)
		json_object_set_new(f, "sending-mta-ip", words(r->local));
	if (r->host.n > 0)
		json_object_set_new(f, "receiving-mx-hostname",
		    words(r->host));
	if (r->remote.n > 0)
		json_object_set_new(f, "receiving-ip", words(r->remote));
	json_object_set_new(f, "failed-session-count",
	    json_integer((json_int_t)r->count));
	return f;
}

/* What went under one policy, while it is gathered. */
struct chapter {
	struct tlsrpt_row first;
	uint64_t good, bad;
	json_t *failures;
};

static bool
same_policy(const struct tlsrpt_row *a, const struct tlsrpt_row *b)
{
	return a->type == b->type && span_eq(a->policy, b->policy) &&
	    span_eq(a->mx, b->mx);
}

static void
end_chapter(struct chapter *c, json_t *policies)
{
	json_t *p, *summary;

	if (c->failures == NULL)
		return;
	p = json_object();
	summary = json_object();
	json_object_set_new(p, "policy", policy(&c->first));
	json_object_set_new(summary, "total-successful-session-count",
	    json_integer((json_int_t)c->good));
	json_object_set_new(summary, "total-failure-session-count",
	    json_integer((json_int_t)c->bad));
	json_object_set_new(p, "summary", summary);
	if (json_array_size(c->failures) > 0)
		json_object_set(p, "failure-details", c->failures);
	json_decref(c->failures);
	c->failures = NULL;
	json_array_append_new(policies, p);
}

/* Rows are sorted: those of one policy stand together. */
static int
add_policies(struct span rows, json_t *policies)
{
	struct cursor cursor = { rows, false };
	struct chapter c = { .failures = NULL };
	struct tlsrpt_row r;
	int rc;

	while ((rc = tlsrpt_row_get(&cursor, &r)) == 1) {
		if (c.failures != NULL && !same_policy(&c.first, &r))
			end_chapter(&c, policies);
		if (c.failures == NULL)
			c = (struct chapter){ .first = r,
			    .failures = json_array() };
		if (r.result.n == 0) {
			c.good += r.count;
			continue;
		}
		c.bad += r.count;
		if (json_array_size(c.failures) < FAILURES_MAX)
			json_array_append_new(c.failures, failure(&r));
	}
	end_chapter(&c, policies);
	return rc == 0;
}

int
tlsrpt_json(const struct tlsrpt_report *report, struct text *out)
{
	json_t *root = json_object(), *policies = json_array();
	char *dump = NULL;
	int done;

	json_object_set_new(root, "organization-name",
	    words(report->organization));
	json_object_set_new(root, "date-range", date_range(report->day));
	json_object_set_new(root, "contact-info", words(report->contact));
	json_object_set_new(root, "report-id", words(report->id));
	json_object_set_new(root, "policies", policies);
	done = add_policies(report->rows, policies);
	if (done)
		dump = json_dumps(root, JSON_INDENT(1));
	text_str(out, dump != NULL ? dump : "");
	done = dump != NULL && !text_full(out);
	free(dump);
	json_decref(root);
	return done;
}

void
tlsrpt_gzip(struct span in, struct text *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p,
	    .avail_in = (uInt)in.n };
	uLong room;
	char *p;

	/* 16: the gzip form. */
	must(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
	    Z_DEFAULT_STRATEGY) == Z_OK);
	room = deflateBound(&z, z.avail_in);
	p = text_room(out, room);
	if (p != NULL) {
		z.next_out = (Bytef *)p;
		z.avail_out = (uInt)room;
		must(deflate(&z, Z_FINISH) == Z_STREAM_END);
		text_grew(out, z.total_out);
	}
	deflateEnd(&z);
}

/* ---- mail -------------------------------------------------------------- */

static void
add_field(struct text *out, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
add_field(struct text *out, const char *name, const char *fmt, ...)
{
	struct text value = TEXT_INIT(0);
	va_list args;

	va_start(args, fmt);
	text_vprintf(&value, fmt, args);
	va_end(args);
	header_add(out, name, text_span(&value));
	text_free(&value);
}

/*
 * TLS-Required: No (RFC 8689): the report of a broken certificate must not
 * fail by that certificate, on any hop.
 */
static void
add_head(const struct tlsrpt_report *r, struct span to, const char *boundary,
    int64_t now, struct text *out)
{
	text_str(out, "Date: ");
	date_add_message(out, (struct date){ .seconds = now });
	text_str(out, "\r\n");
	add_field(out, "From", "<%.*s>", SPAN_ARG(r->contact));
	add_field(out, "To", "<%.*s>", SPAN_ARG(to));
	add_field(out, "Subject",
	    "Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s>",
	    SPAN_ARG(r->domain), SPAN_ARG(r->submitter), SPAN_ARG(r->id));
	add_field(out, "Message-ID", "<%.*s>", SPAN_ARG(r->id));
	header_add(out, "TLS-Report-Domain", r->domain);
	header_add(out, "TLS-Report-Submitter", r->submitter);
	text_printf(out, "TLS-Required: No\r\n"
	    "Auto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
	    "\tboundary=\"%s\"\r\n\r\n", boundary);
}

static void
add_words(const struct tlsrpt_report *r, struct text *out)
{
	text_str(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
	text_printf(out, "How TLS between %.*s and the mail servers of "
	    "%.*s\r\nwent on the day that began at ",
	    SPAN_ARG(r->submitter), SPAN_ARG(r->domain));
	date_add_rfc3339(out, (struct date){
	    .seconds = (int64_t)r->day * DAY });
	text_str(out, ": see the\r\nattachment, a report in the form of "
	    "RFC 8460.\r\n");
}

void
tlsrpt_mail(const struct tlsrpt_report *r, struct span gz, struct span to,
    const char *boundary, int64_t now, struct text *out, uint32_t *prefix)
{
	int64_t begin = (int64_t)r->day * DAY;

	text_str(out, "Return-Path: <>\r\n");
	*prefix = (uint32_t)out->n;
	add_head(r, to, boundary, now, out);
	text_printf(out, "--%s\r\n", boundary);
	add_words(r, out);
	text_printf(out, "\r\n--%s\r\n"
	    "Content-Type: application/tlsrpt+gzip\r\n"
	    "Content-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment;\r\n"
	    "\tfilename=\"%.*s!%.*s!%" PRId64 "!%" PRId64 ".json.gz\"\r\n\r\n",
	    boundary, SPAN_ARG(r->submitter), SPAN_ARG(r->domain), begin,
	    begin + DAY - 1);
	base64_add_lines(out, gz);
	text_printf(out, "\r\n--%s--\r\n", boundary);
}
