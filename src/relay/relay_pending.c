/*
 * relay_pending.c - modules of relay that are not there yet. Each goes when
 * its module comes; then this file does.
 */
#include "relay/relay_post.h"

#include "mail/convert.h"

enum relay_outcome
relay_post(struct span url, struct span message, struct text *reason,
    struct text *answer)
{
	(void)url, (void)message, (void)answer;
	text_str(reason, "4.3.0 not yet");
	return RELAY_DEFERRED;
}

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
