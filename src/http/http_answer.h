/*
 * http_answer.h - what a web server answers (RFC 9112), piece by piece.
 *
 * Bytes are fed as they come, split anywhere. The head is bounded, the body
 * by who asks. Interim answers (1xx) are passed over. Also URLs. Pure.
 */
#ifndef HTTP_HTTP_ANSWER_H
#define HTTP_HTTP_ANSWER_H

#include "base/text.h"

enum {
	HTTP_LINE_MAX = 8 << 10,
	HTTP_HEAD_MAX = 64 << 10,	/* all lines that are not the body */
};

enum http_state { HTTP_MORE, HTTP_DONE, HTTP_BAD };

struct http_answer {
	unsigned status;		/* 200 */
	char type[128];			/* Content-Type without parameters, in
					   lower case; "" not said */
	struct text body;
	const char *why;		/* of HTTP_BAD */
	/* The parser's own: */
	int place;
	struct text line;
	size_t head;			/* bytes of lines so far */
	uint64_t left;			/* of the body, or of its chunk */
	bool has_length, chunked;
};

void http_answer_begin(struct http_answer *, size_t body_max);
void http_answer_free(struct http_answer *);
enum http_state http_answer_feed(struct http_answer *, struct span);
/* The server closed: that may be how its body ends. */
enum http_state http_answer_end(struct http_answer *);

struct http_url {
	struct span host;		/* "[::1]" with its brackets */
	uint16_t port;
	struct span path;		/* with the query; "/" at least */
};
/* An absolute https URL without user and fragment. 1, 0. */
int http_url_parse(struct span, struct http_url *);

#endif
