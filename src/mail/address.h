/*
 * address.h - mail addresses, on the envelope and in header fields.
 *
 * Two grammars, two parsers. RFC 5321 paths are what servers act on: strict,
 * with the limits of 4.5.3.1, UTF-8 as RFC 6531 allows it. RFC 5322 address
 * lists are what people read: tolerant, never refused, obsolete forms taken.
 *
 * A domain is kept in one form: lower case, A-labels ("xn--..."). A local
 * part is kept as its owner wrote it, without quotes and backslashes; its
 * compare form is case-folded.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"

enum {
	/* RFC 5321 4.5.3.1.1, of addresses made here. Longer ones are taken,
	 * as 4.5.3.1 allows: forwarders and lists write them (SRS, VERP). */
	ADDRESS_LOCAL_MAX = 64,
	ADDRESS_DOMAIN_MAX = 255,
	ADDRESS_PATH_MAX = 256		/* with < and > */
};

/* What a caller of the RFC 5321 parsers lets pass beside <local@domain>. */
enum address_allow {
	ADDRESS_ALLOW_NULL = 1,		/* <>: MAIL FROM of a notification */
	ADDRESS_ALLOW_BARE = 2,		/* <postmaster>: RCPT TO; any bare
					   local part, domain empty */
	ADDRESS_ALLOW_UTF8 = 4,		/* SMTPUTF8 was asked for */
	ADDRESS_ALLOW_NO_ANGLES = 8	/* local@domain without < and > */
};

struct address {
	struct span local;	/* unquoted: may hold any byte but NUL CR LF */
	struct span domain;	/* canonical; "[192.0.2.1]" or "[IPv6:..]" */
	bool is_null;		/* <>: both empty */
	bool is_literal;	/* the domain is an address literal */
	bool is_utf8;		/* cannot travel without SMTPUTF8 */
};

/*
 * A path as it stands in MAIL FROM:/RCPT TO:, at the beginning of `in`:
 * source routes are skipped, *used is set behind it. 1 parsed, 0 not a path
 * (or one that is not allowed, or too long), -1 the arena is full.
 */
int address_path(struct span in, unsigned allow, struct arena *,
    struct address *out, size_t *used);
/* The whole span is local@domain (`allow` as above; angles not taken). */
int address_mailbox(struct span in, unsigned allow, struct arena *,
    struct address *out);

/*
 * The written form, quoted where it must be: local@domain, "" for the null
 * path. The path form stands in < and >. p NULL when the arena is full.
 */
struct span address_text(struct arena *, const struct address *);
struct span address_path_text(struct arena *, const struct address *);
/* The compare form: as address_text, the local part case-folded. */
struct span address_key(struct arena *, const struct address *);
bool address_equal(const struct address *, const struct address *);

/*
 * user+tag: *user is what stands before the first `delimiter` (never
 * empty), *tag what follows. Without one, or with it in front: everything
 * is user, the result false.
 */
bool address_subaddress(struct span local, char delimiter, struct span *user,
    struct span *tag);

/*
 * A domain in its one form: lower-case A-labels. 1 done, 0 not a domain
 * (syntax of RFC 5321 4.1.2, IDNA 2008 through libidn2), -1 arena full.
 */
int address_domain(struct span in, struct arena *, struct span *out);
/* For people: U-labels where they decode, as is where they do not. */
struct span address_domain_display(struct arena *, struct span domain);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "[tag:text]", with the brackets. */
bool address_is_literal(struct span);

/*
 * RFC 5322 address-list, as IMAP's ENVELOPE wants it (RFC 3501 7.4.2).
 * Values are raw: quotes and comments resolved, RFC 2047 words not decoded.
 */
enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP, ADDRESS_GROUP_END };

struct address_entry {
	enum address_kind kind;
	struct span name;	/* display name, or the comment of the old
				   form "a@b (Name)"; of a group: its name */
	struct span route;	/* "@a,@b", obsolete */
	struct span local;	/* p NULL: missing */
	struct span domain;	/* p NULL: missing */
	struct address_entry *next;
};

/*
 * Parse the raw (folded) value of a From, To, ... field. Garbage becomes an
 * entry with what could be read. At most `max` entries are made, the rest is
 * dropped. *out is NULL when there is none. 1 done, -1 the arena is full.
 */
int address_list(struct span value, size_t max, struct arena *,
    struct address_entry **out);

#endif
