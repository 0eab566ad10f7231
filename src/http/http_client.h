/*
 * http_client.h - one question to one web server, over TLS.
 *
 * No redirects, no cookies, no second question on a connection. On a fiber;
 * one deadline for everything.
 */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include "http/http_answer.h"
#include "io/stream.h"
#include "io/tls.h"
#include "verify/resolve.h"

struct http_request {
	const char *method;		/* "GET", "POST" */
	struct span host;		/* as in the URL; "x:8443" if need be */
	struct span path;
	struct span type;		/* of the body */
	struct span body;
	struct span accept;		/* "" anything */
	struct span authorization;	/* "Basic ..."; "" none */
};

/* Where a connection failed, and how. */
struct http_failure {
	bool in_tls;
	struct text why;
};
/*
 * Connected and encrypted, with the first address that can be had; NULL:
 * see the failure of the last one. tls() is asked at each handshake; NULL
 * from it: there is none.
 */
struct stream *http_connect(const struct ip_address *, size_t count,
    uint16_t port, struct tls_client *(*tls)(void), const struct tls_peer *,
    monotime_t deadline, struct http_failure *);
/* 1 an answer, whatever its status; -1 none: answer->why. */
int http_ask(struct stream *, const struct http_request *,
    monotime_t deadline, struct http_answer *);

#endif
