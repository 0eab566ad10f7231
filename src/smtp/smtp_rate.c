/*
 * smtp_rate.c - a table of buckets, in small sets.
 *
 * A party's bucket is in one of the WAYS slots of the set its hash names; a
 * newcomer takes the place of the one that was quiet longest. Hashes are
 * keyed (base/map.h): nobody can choose whom to push out.
 */
#include "smtp/smtp_rate.h"

#include "base/map.h"

enum {
	SETS = 2048, WAYS = 4,		/* 192 KiB */
	WHO_MAX = 600,
	MINUTE = 60000,			/* ms */
};

static struct bucket {
	uint64_t who;			/* hash; 0: free */
	int64_t at;			/* when `used` was true */
	uint64_t used;			/* in parts of 1/MINUTE */
} buckets[SETS][WAYS];

static uint64_t
hash_of(enum smtp_rate rate, struct span who)
{
	char key[WHO_MAX + 1];

	who = span_sub(who, 0, WHO_MAX);
	key[0] = (char)rate;
	if (who.n > 0)
		memcpy(key + 1, who.p, who.n);
	return map_hash(span_of(key, who.n + 1)) | 1;
}

static struct bucket *
bucket_of(uint64_t who, monotime_t now)
{
	struct bucket *set = buckets[(who >> 1) % SETS], *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].who == who)
			return &set[i];
		if (set[i].who == 0 ||
		    (oldest->who != 0 && set[i].at < oldest->at))
			oldest = &set[i];
	}
	*oldest = (struct bucket){ .who = who, .at = now.ms };
	return oldest;
}

/* What has come back since. */
static void
refill(struct bucket *b, uint64_t per_minute, monotime_t now)
{
	uint64_t ms = now.ms > b->at ? (uint64_t)(now.ms - b->at) : 0;
	uint64_t back = MIN(ms, MINUTE) * per_minute;

	b->used -= MIN(b->used, back);
	b->at = now.ms;
}

bool
smtp_rate_has(enum smtp_rate rate, struct span who, uint64_t per_minute,
    monotime_t now)
{
	struct bucket *b;

	if (per_minute == 0)
		return true;
	b = bucket_of(hash_of(rate, who), now);
	refill(b, per_minute, now);
	return b->used + MINUTE <= per_minute * MINUTE;
}

bool
smtp_rate_take(enum smtp_rate rate, struct span who, uint64_t per_minute,
    monotime_t now)
{
	if (per_minute == 0)
		return true;
	if (!smtp_rate_has(rate, who, per_minute, now))
		return false;
	bucket_of(hash_of(rate, who), now)->used += MINUTE;
	return true;
}

void
smtp_rate_forget_all(void)
{
	memset(buckets, 0, sizeof(buckets));
}
