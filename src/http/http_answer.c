/*
 * http_answer.c - a state machine over lines and counted bytes.
 */
#include "http/http_answer.h"

#include "base/secret.h"

enum place {
	AT_STATUS, AT_FIELD, AT_BODY,	/* counted, or to the end */
	AT_CHUNK_SIZE, AT_CHUNK, AT_CHUNK_END, AT_TRAILER, AT_END, AT_FAILURE
};

void
http_answer_begin(struct http_answer *a, size_t body_max)
{
	*a = (struct http_answer){ .body = TEXT_INIT(body_max),
	    .line = TEXT_INIT(HTTP_LINE_MAX), .why = "" };
}

void
http_answer_free(struct http_answer *a)
{
	text_free(&a->body);
	text_free(&a->line);
}

static void
fail(struct http_answer *a, const char *why)
{
	a->place = AT_FAILURE;
	a->why = why;
}

/* ---- lines ------------------------------------------------------------- */

/* "HTTP/1.1 200 OK"; the blank before the reason may be missing. */
static void
take_status(struct http_answer *a, struct span line)
{
	struct span code = span_sub(line, 9, 3);
	uint32_t status;

	if (!span_starts(line, SPAN("HTTP/1.")) || line.n < 12 ||
	    !ascii_is_digit(line.p[7]) || line.p[8] != ' ' ||
	    (line.n > 12 && line.p[12] != ' ') ||
	    span_u32(code, &status) != 1 || status < 100) {
		fail(a, "no HTTP answer");
		return;
	}
	a->status = status;
	a->has_length = a->chunked = false;
	a->left = 0;
	a->type[0] = '\0';
	a->place = AT_FIELD;
}

static void
take_length(struct http_answer *a, struct span value)
{
	uint64_t n;

	if (span_u64(value, &n) != 1 || (a->has_length && n != a->left)) {
		fail(a, "a Content-Length that is none");
		return;
	}
	a->has_length = true;
	a->left = n;
}

static void
take_type(struct http_answer *a, struct span value)
{
	struct span type;
	size_t n;

	span_cut(value, ';', &type);
	type = span_trim(type);
	n = MIN(type.n, sizeof(a->type) - 1);
	for (size_t i = 0; i < n; i++)
		a->type[i] = ascii_lower(type.p[i]);
	a->type[n] = '\0';
}

static void
take_field(struct http_answer *a, struct span line)
{
	struct span name, value = span_trim(span_cut(line, ':', &name));

	/* No blank before the colon, no folding (RFC 9112 5.1, 5.2). */
	if (name.n == line.n || name.n == 0 ||
	    span_find_char(name, ' ', 0) != SIZE_MAX ||
	    span_find_char(name, '\t', 0) != SIZE_MAX)
		fail(a, "a header field that is none");
	else if (span_is_nocase(name, "content-length"))
		take_length(a, value);
	else if (span_is_nocase(name, "content-type"))
		take_type(a, value);
	else if (span_is_nocase(name, "transfer-encoding")) {
		if (a->chunked || !span_is_nocase(value, "chunked"))
			fail(a, "a transfer coding that is not known");
		a->chunked = true;
	}
}

/* RFC 9112 6.3: how long the body is. */
static void
end_head(struct http_answer *a)
{
	if (a->status < 200)
		a->place = AT_STATUS;
	else if (a->status == 204 || a->status == 304)
		a->place = AT_END;
	else if (a->chunked && a->has_length)
		fail(a, "two lengths");
	else if (a->chunked)
		a->place = AT_CHUNK_SIZE;
	else if (a->has_length && a->left == 0)
		a->place = AT_END;
	else if (a->has_length && a->left > a->body.limit)
		fail(a, "the answer is too long");
	else
		a->place = AT_BODY;
}

/* Extensions behind ";" are passed over. */
static void
take_chunk_size(struct http_answer *a, struct span line)
{
	struct span size;

	span_cut(line, ';', &size);
	size = span_trim(size);
	a->left = 0;
	if (size.n == 0 || size.n > 8) {
		fail(a, "a chunk size that is none");
		return;
	}
	for (size_t i = 0; i < size.n; i++) {
		int digit = hex_digit(size.p[i]);

		if (digit < 0) {
			fail(a, "a chunk size that is none");
			return;
		}
		a->left = a->left * 16 + (uint64_t)digit;
	}
	a->place = a->left > 0 ? AT_CHUNK : AT_TRAILER;
}

static void
take_line(struct http_answer *a, struct span line)
{
	switch ((enum place)a->place) {
	case AT_STATUS:
		take_status(a, line);
		break;
	case AT_FIELD:
		if (line.n > 0)
			take_field(a, line);
		else
			end_head(a);
		break;
	case AT_CHUNK_SIZE:
		take_chunk_size(a, line);
		break;
	case AT_CHUNK_END:
		if (line.n > 0)
			fail(a, "a chunk does not end");
		else
			a->place = AT_CHUNK_SIZE;
		break;
	case AT_TRAILER:
		if (line.n == 0)
			a->place = AT_END;
		break;
	default:
		must(false);		/* no line is read there */
	}
}

/* ---- feeding ----------------------------------------------------------- */

static struct span
feed_line(struct http_answer *a, struct span bytes)
{
	size_t lf = span_find_char(bytes, '\n', 0);
	size_t n = lf == SIZE_MAX ? bytes.n : lf + 1;
	struct span line;

	a->head += n;
	text_add(&a->line, span_sub(bytes, 0, n));
	if (text_full(&a->line) || a->head > HTTP_HEAD_MAX) {
		fail(a, "the head is too long");
	} else if (lf != SIZE_MAX) {
		line = text_span(&a->line);
		line.n--;
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (span_find_char(line, '\0', 0) != SIZE_MAX)
			fail(a, "a NUL in the head");
		else
			take_line(a, line);
		text_clear(&a->line);
	}
	return span_from(bytes, n);
}

static struct span
feed_body(struct http_answer *a, struct span bytes)
{
	bool counted = a->place == AT_CHUNK || a->has_length;
	size_t n = counted ? (size_t)MIN(a->left, bytes.n) : bytes.n;

	text_add(&a->body, span_sub(bytes, 0, n));
	if (text_full(&a->body)) {
		fail(a, "the answer is too long");
		return SPAN_EMPTY;
	}
	if (counted) {
		a->left -= n;
		if (a->left == 0)
			a->place = a->place == AT_CHUNK ? AT_CHUNK_END
			    : AT_END;
	}
	return span_from(bytes, n);
}

static enum http_state
state_of(const struct http_answer *a)
{
	return a->place == AT_END ? HTTP_DONE :
	    a->place == AT_FAILURE ? HTTP_BAD : HTTP_MORE;
}

enum http_state
http_answer_feed(struct http_answer *a, struct span bytes)
{
	while (bytes.n > 0 && state_of(a) == HTTP_MORE)
		bytes = a->place == AT_BODY || a->place == AT_CHUNK
		    ? feed_body(a, bytes) : feed_line(a, bytes);
	return state_of(a);
}

enum http_state
http_answer_end(struct http_answer *a)
{
	if (a->place == AT_BODY && !a->has_length)
		a->place = AT_END;
	else if (a->place != AT_END && a->place != AT_FAILURE)
		fail(a, "the server closed in the middle");
	return state_of(a);
}

/* ---- URLs -------------------------------------------------------------- */

static bool
is_host(struct span s)
{
	bool literal = s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';

	if (literal)
		s = span_sub(s, 1, s.n - 2);
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '.' &&
		    s.p[i] != (literal ? ':' : '-') &&
		    (literal || s.p[i] != '_'))
			return false;
	return s.n > 0 && s.n <= 253;
}

static bool
split_port(struct span authority, struct http_url *url)
{
	size_t colon = authority.n;
	uint32_t port;

	while (colon > 0 && ascii_is_digit(authority.p[colon - 1]))
		colon--;
	url->host = authority;
	if (colon == 0 || authority.p[colon - 1] != ':')
		return true;
	url->host = span_sub(authority, 0, colon - 1);
	if (span_u32(span_from(authority, colon), &port) != 1 || port == 0 ||
	    port > 65535)
		return false;
	url->port = (uint16_t)port;
	return true;
}

int
http_url_parse(struct span s, struct http_url *url)
{
	size_t slash;

	*url = (struct http_url){ .port = 443, .path = SPAN("/") };
	if (!span_starts_nocase(s, SPAN("https://")) || s.n > 2048)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] > 0x7e || s.p[i] == '#')
			return 0;
	s = span_from(s, 8);
	for (slash = 0; slash < s.n && s.p[slash] != '/'; slash++)
		if (s.p[slash] == '?')
			return 0;
	if (slash < s.n)
		url->path = span_from(s, slash);
	return split_port(span_sub(s, 0, slash), url) && is_host(url->host);
}
