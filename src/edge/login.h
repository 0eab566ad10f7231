/*
 * login.h - one login for every protocol: SASL (RFC 4422) over the contract.
 *
 * SMTP, IMAP and POP3 differ only in how a challenge and a response look on
 * their line. The store authenticates; nothing here knows a password longer
 * than it takes to pass it on, and what held it is wiped.
 */
#ifndef EDGE_LOGIN_H
#define EDGE_LOGIN_H

#include "base/settings.h"
#include "base/text.h"
#include "io/session.h"
#include "ipc/call.h"
#include "ipc/contract.h"

enum { LOGIN_LINE_MAX = 12288 };	/* RFC 4954 4.: base64 and CRLF */

enum login_result {
	LOGIN_OK,
	LOGIN_DENIED,		/* wrong name or password */
	LOGIN_LOCKED,		/* too many failures: try later */
	LOGIN_CANCELLED,	/* the client sent "*" */
	LOGIN_MALFORMED,	/* not base64, or not what the mechanism says */
	LOGIN_NO_MECHANISM,	/* not offered here and now */
	LOGIN_TEMPORARY,	/* the store did not answer */
	LOGIN_GONE,		/* the connection failed meanwhile */
	LOGIN_REFUSED,		/* right, but not here: login.why says it */
	LOGIN_MOVED,		/* right, but the account is at login.why */
};

/* How a protocol carries the exchange. */
struct login_line {
	/* Send a challenge, given in base64, and flush. */
	void (*challenge)(void *arg, struct span base64);
	/*
	 * The client's next line without its end, up to LOGIN_LINE_MAX bytes,
	 * valid until the next read. 1, 0 too long, -1 gone.
	 */
	int (*response)(void *arg, struct span *line);
	void *arg;
};

struct login {
	struct grant grant;
	char address[512];	/* the account's own, canonical */
	char why[1001];		/* for the person; or a URL */
};

/* May this session log in now, by what auth.require_tls says? */
bool login_allowed(const struct settings *, struct session *);
/* The mechanisms offered on this session, strongest first, each put after
 * `before`: login_mechanisms(out, settings, session, " AUTH="). */
void login_mechanisms(struct text *out, const struct settings *,
    struct session *, const char *before);

/*
 * The whole exchange, on a fiber. *out is written in any case. initial is the initial response in base64
 * ("=" for an empty one), NULL when there was none. A failed login is held
 * back here for as long as the store says.
 */
enum login_result login_sasl(struct session *, const struct settings *,
    struct link *store, enum protocol service, struct span mechanism,
    const struct span *initial, const struct login_line *,
    struct login *out);

/* A name and a password (IMAP LOGIN, POP3 USER and PASS). */
enum login_result login_password(struct session *, struct link *store,
    enum protocol service, struct span user, struct span password,
    struct login *out);

#endif
