/*
 * imap_quota_parse.c - the resources of a quota, and SETQUOTA's list.
 */
#include "imap/imap_quota_parse.h"

const char *const imap_quota_names[IMAP_QUOTA_RESOURCES] = {
	[IMAP_QUOTA_STORAGE] = "STORAGE",
	[IMAP_QUOTA_MESSAGE] = "MESSAGE",
	[IMAP_QUOTA_MAILBOX] = "MAILBOX",
	[IMAP_QUOTA_ANNOTATION] = "ANNOTATION-STORAGE",
};

uint64_t
imap_quota_unit(enum imap_quota_resource resource)
{
	return resource == IMAP_QUOTA_STORAGE ||
	    resource == IMAP_QUOTA_ANNOTATION ? 1024 : 1;
}

/* What is said twice counts as it is said last. */
static bool
take_limit(struct imap_parser *in, struct imap_quota_limits *limits)
{
	struct span word;
	uint64_t max, unit;
	size_t i;

	if (!imap_parse_atom(in, &word) || !imap_parse_space(in) ||
	    !imap_parse_u63(in, &max))
		return false;
	for (i = 0; i < IMAP_QUOTA_RESOURCES; i++)
		if (span_is_nocase(word, imap_quota_names[i]))
			break;
	if (i == IMAP_QUOTA_RESOURCES) {
		limits->unknown = true;
		return true;
	}
	unit = imap_quota_unit((enum imap_quota_resource)i);
	limits->max[i] = MIN(max, (uint64_t)INT64_MAX / unit) * unit;
	return true;
}

bool
imap_parse_setquota(struct imap_parser *in, struct imap_quota_limits *limits)
{
	limits->unknown = false;
	for (size_t i = 0; i < IMAP_QUOTA_RESOURCES; i++)
		limits->max[i] = UINT64_MAX - 1;
	if (!imap_parse_space(in) || !imap_parse_char(in, '('))
		return false;
	if (imap_parse_next(in, ')'))
		return imap_parse_end(in);
	do {
		if (!take_limit(in, limits))
			return false;
	} while (imap_parse_next(in, ' '));
	return imap_parse_char(in, ')') && imap_parse_end(in);
}
