/*
 * relay_pending.c - modules of relay that are not there yet. Each goes when
 * its module comes; then this file does.
 */
#include "mail/convert.h"

void
convert_survey(struct span message, struct convert_survey *out)
{
	(void)message;
	*out = (struct convert_survey){ .header_8bit = false };
}

int
convert_to_7bit(struct span message, struct arena *arena, struct text *out,
    struct text *why)
{
	(void)message, (void)arena, (void)out, (void)why;
	return 0;
}
