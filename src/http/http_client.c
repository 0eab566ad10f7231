/*
 * http_client.c - connect, ask, read the answer.
 */
#include "http/http_client.h"
#include "io/dial.h"

enum { CONNECT_TIME = 15000 };		/* ms for one address */

static int
connect_one(const struct ip_address *ip, uint16_t port, monotime_t deadline)
{
	monotime_t soon = clock_after(CONNECT_TIME);
	struct dial to = dial_ip(ip->family, ip->b, port);

	return dial(&to, mono_before(soon, deadline) ? soon : deadline);
}

/* NULL: it failed, and the descriptor is closed. */
static struct stream *
encrypt(int fd, struct tls_client *tls, const struct tls_peer *peer,
    monotime_t deadline, struct http_failure *failure)
{
	struct stream *s = stream_socket(fd);

	if (tls != NULL && stream_start_tls_client(s, tls, peer, deadline) == 1)
		return s;
	failure->in_tls = true;
	text_str(&failure->why, "TLS: ");
	text_add(&failure->why, tls != NULL ? stream_tls_info(s) :
	    SPAN("no authorities are known"));
	stream_free(&s);
	return NULL;
}

struct stream *
http_connect(const struct ip_address *addresses, size_t count, uint16_t port,
    struct tls_client *(*tls)(void), const struct tls_peer *peer,
    monotime_t deadline, struct http_failure *failure)
{
	struct stream *s = NULL;

	failure->in_tls = false;
	text_clear(&failure->why);
	text_str(&failure->why, "no address");
	for (size_t i = 0; s == NULL && i < count; i++) {
		int fd = connect_one(&addresses[i], port, deadline);
		int error = errno;

		text_clear(&failure->why);
		failure->in_tls = false;
		if (fd != -1) {
			s = encrypt(fd, tls(), peer, deadline, failure);
			continue;
		}
		ip_write(&addresses[i], &failure->why);
		text_printf(&failure->why, ": %s", strerrordesc_np(error));
	}
	return s;
}

static void
write_request(struct stream *s, const struct http_request *r)
{
	stream_printf(s, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\n", r->method,
	    SPAN_ARG(r->path), SPAN_ARG(r->host));
	stream_str(s, "User-Agent: Postrider/" POSTRIDER_VERSION "\r\n");
	stream_printf(s, "Accept: %.*s\r\nConnection: close\r\n",
	    SPAN_ARG(r->accept.n > 0 ? r->accept : SPAN("*/*")));
	if (r->authorization.n > 0) {
		stream_str(s, "Authorization: ");
		stream_write(s, r->authorization);
		stream_str(s, "\r\n");
	}
	if (r->body.n > 0)
		stream_printf(s, "Content-Type: %.*s\r\n"
		    "Content-Length: %zu\r\n", SPAN_ARG(r->type), r->body.n);
	stream_str(s, "\r\n");
	stream_write(s, r->body);
}

int
http_ask(struct stream *s, const struct http_request *request,
    monotime_t deadline, struct http_answer *answer)
{
	enum http_state state = HTTP_MORE;

	stream_set_write_timeout(s, mono_left(deadline));
	write_request(s, request);
	while (state == HTTP_MORE) {
		int rc = stream_fill(s, deadline);
		struct span input = stream_input(s);

		if (rc == -1) {
			answer->why = errno == ETIMEDOUT
			    ? "no answer in time" : "the connection broke";
			return -1;
		}
		state = http_answer_feed(answer, input);
		stream_take(s, input.n);
		if (rc == 0 && state == HTTP_MORE)
			state = http_answer_end(answer);
	}
	return state == HTTP_DONE ? 1 : -1;
}
