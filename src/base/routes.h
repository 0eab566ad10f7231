/*
 * routes.h - where mail goes that does not go the usual way.
 *
 * In the settings file, in the order in which they are tried:
 *
 *	route {
 *		partners {
 *			recipient = "*.example.com example.net";
 *			via = "smtp:[mail.example.com]:25";
 *			tls = verify;
 *		}
 *	}
 *
 * The first route whose conditions all hold is taken; none: the recipient
 * domain's MX, with the settings of the section "relay". The rows are in
 * routes.def; parser, text handed to roles and manual come from them. Pure.
 */
#ifndef BASE_ROUTES_H
#define BASE_ROUTES_H

#include "base/base.h"
#include "base/param.h"
#include "base/text.h"

enum { ROUTES_MAX = 256, ROUTE_NAME_MAX = 63 };

struct route {
	char name[ROUTE_NAME_MAX + 1];
#define ROUTE_TEXT(id, max)	char id[(max) + 1];
#define ROUTE_CHOICE(id, max)	char id[(max) + 1];
#define ROUTE_COUNT(id, max)	uint64_t id;
#define ROUTE_BOOL(id, max)	bool id;
#define ROUTE_TIME(id, max)	int64_t id;
#define ROUTE(name, type, standard, min, max, unit, about)		\
	ROUTE_##type(name, max)
#include "base/routes.def"
#undef ROUTE
#undef ROUTE_TEXT
#undef ROUTE_CHOICE
#undef ROUTE_COUNT
#undef ROUTE_BOOL
#undef ROUTE_TIME
};

struct route_patterns;			/* routes.c */

/* Whose the rows are; freed as one. Never changed once it is made. */
struct routes {
	size_t count;
	struct route *list[ROUTES_MAX];
	struct route_patterns *patterns[ROUTES_MAX];
};

size_t routes_row_count(void);
const struct param *routes_row(size_t i);

/* The route sections of a settings file; other sections are passed over.
 * NULL: *why says in which line what is wrong. */
struct routes *routes_parse(struct span file, struct text *why);
/* The same of a file. NULL: it cannot be read, or see *why. */
struct routes *routes_load(const char *path, struct text *why);
void routes_free(struct routes **);		/* wipes passwords */
/* For the contract; with_secrets: the passwords too, else left empty. */
void routes_encode(const struct routes *, bool with_secrets, struct text *out);
struct routes *routes_decode(struct span, struct text *why);

/*
 * The first that fits; NULL: none. sender is "" for <>. Both are addresses
 * in their compare form (mail/address.h).
 */
const struct route *routes_match(const struct routes *, struct span sender,
    struct span recipient);
const struct route *routes_find(const struct routes *, struct span name);
/*
 * One pattern of a list: "ann@example.org", "example.org" (the domain),
 * "*.example.org" (below it), "@example.org" (as the domain), "ann@",
 * "*" everything, "<>" the null sender, "/re/" a PCRE over the whole address.
 */
bool routes_pattern_matches(struct span pattern, struct span address);
void routes_write_manual(struct text *out);

#endif
