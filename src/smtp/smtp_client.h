/*
 * smtp_client.h - one connection to another mail server: SMTP or LMTP.
 *
 * Reads from top to bottom like RFC 5321; the caller decides where to
 * connect, whether TLS is enough and what to do with a failure. Commands are
 * pipelined where the server allows it, the text is sent with BDAT where it
 * can be. On a fiber; each phase has its own deadline (RFC 5321 4.5.3.2).
 */
#ifndef SMTP_SMTP_CLIENT_H
#define SMTP_SMTP_CLIENT_H

#include "io/stream.h"
#include "io/tls.h"
#include "smtp/smtp_answer.h"

struct smtp_client;

struct smtp_client_times {		/* ms */
	int64_t greeting, hello, starttls, command, data_start, data_block,
	    data_end, quit;
};
extern const struct smtp_client_times smtp_client_standard_times;

struct smtp_client *smtp_client_new(struct stream *, bool lmtp,
    const char *hostname, const struct smtp_client_times *);
void smtp_client_free(struct smtp_client **);	/* closes; says no QUIT */

/*
 * All that follow: 1 yes; 0 the server said no, *answer says how (it lives
 * until the next call); -1 the connection is of no more use: why in
 * smtp_client_why(), *answer of code 421 if that was said.
 */
/* The greeting, EHLO (HELO where that is refused) or LHLO. */
int smtp_client_greet(struct smtp_client *, struct smtp_answer *answer);
/* STARTTLS and EHLO again. 0: STARTTLS was refused, it goes on in the clear;
 * a failed handshake is -1, and so is whatever else follows it. */
int smtp_client_starttls(struct smtp_client *, struct tls_client *,
    const struct tls_peer *, struct smtp_answer *answer);
/* The strongest mechanism both know: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN,
 * LOGIN; the last two under TLS alone. */
int smtp_client_login(struct smtp_client *, struct span user,
    struct span password, struct smtp_answer *answer);
int smtp_client_rset(struct smtp_client *, struct smtp_answer *answer);
void smtp_client_quit(struct smtp_client *);	/* says it, waits briefly */

const struct smtp_offers *smtp_client_offers(const struct smtp_client *);
struct stream *smtp_client_stream(struct smtp_client *);
struct span smtp_client_why(const struct smtp_client *);
/* Is it still there, with nothing said? (A parked connection.) */
bool smtp_client_idle_ok(struct smtp_client *);

struct smtp_client_recipient {
	struct span address;
	struct span original;		/* ORCPT, "" none */
	uint32_t notify;		/* NOTIFY_*, 0 not said */
	/* Filled in: */
	bool sent;			/* the message was accepted for it */
	struct smtp_answer answer;	/* to RCPT, or to the text; code 0: none
					   came, the connection broke */
};

struct smtp_client_message {
	struct span sender;		/* "" for <> */
	struct span head, rest;		/* the message in two pieces, CRLF */
	bool has_8bit, binary, utf8;	/* what it needs; the caller checks */
	bool require_tls;		/* RFC 8689, where it is offered */
	unsigned ret;			/* ENVELOPE_RET_* or 0 */
	struct span envid;
	int64_t deliver_by;		/* seconds from now; 0 no */
	bool by_return, by_trace;
	int64_t priority;		/* RFC 6710, sent where offered */
	struct smtp_client_recipient *recipients;
	size_t count;
	struct arena *arena;		/* where answers are kept */
	/* Filled in: */
	struct smtp_answer mail_answer;	/* of MAIL when it was refused; all
					   recipients carry it too */
	bool in_doubt;	/* the connection broke after the text had ended:
			   it may have arrived */
	int64_t ms_mail, ms_data;	/* time until the answers */
};
/*
 * One transaction. 1: every recipient has its answer, the connection goes
 * on; -1: it broke, or is of no more use: recipients without an answer have
 * code 0, others keep what they were told (421 among it; to the first
 * command of a connection that was idle, that is no more than "too late").
 * More recipients than the server takes at once (452, RFC 5321 4.5.3.1.10;
 * LIMITS) get a 452 4.5.3 of ours with text "later"; a message beyond its
 * SIZE a 552 5.3.4 of ours, addresses that need SMTPUTF8 where there is none
 * a 553 5.6.7; nothing is said to the server then.
 *
 * What a failed transaction left half-way is reset before the next one. A
 * short text goes along with its envelope where CHUNKING and PIPELINING are
 * offered, so that a message costs one round trip.
 */
int smtp_client_send(struct smtp_client *, struct smtp_client_message *);

#endif
