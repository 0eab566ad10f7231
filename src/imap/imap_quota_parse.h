/*
 * imap_quota_parse.h - the resources of a quota (RFC 9208) and the arguments
 * of SETQUOTA. Pure.
 */
#ifndef IMAP_IMAP_QUOTA_PARSE_H
#define IMAP_IMAP_QUOTA_PARSE_H

#include "imap/imap_parse.h"

enum imap_quota_resource {
	IMAP_QUOTA_STORAGE, IMAP_QUOTA_MESSAGE, IMAP_QUOTA_MAILBOX,
	IMAP_QUOTA_ANNOTATION,
	IMAP_QUOTA_RESOURCES
};
enum { IMAP_QUOTA_ROOT_MAX = 512 };
extern const char *const imap_quota_names[IMAP_QUOTA_RESOURCES];
/* What one of it is: 1024 bytes, or one. */
uint64_t imap_quota_unit(enum imap_quota_resource);

struct imap_quota_limits {
	uint64_t max[IMAP_QUOTA_RESOURCES];	/* bytes, or how many;
					   UINT64_MAX - 1: not named */
	bool unknown;			/* another resource is named */
};
/* From the space before the list on to the end. */
bool imap_parse_setquota(struct imap_parser *, struct imap_quota_limits *);

#endif
