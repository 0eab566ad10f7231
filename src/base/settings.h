/*
 * settings.h - every setting of Postrider, as one plain struct.
 *
 * The rows are in settings.def; struct settings, the parser, the text handed
 * from the supervisor to the roles and the manual page come from them. A
 * struct settings owns nothing: copy it by assignment.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/base.h"
#include "base/param.h"
#include "base/text.h"

#define FIELD_BOOL(id, max)	bool id;
#define FIELD_COUNT(id, max)	uint64_t id;
#define FIELD_SIZE(id, max)	uint64_t id;
#define FIELD_TIME(id, max)	int64_t id;
#define FIELD_TEXT(id, max)	char id[(max) + 1];
#define FIELD_CHOICE(id, max)	char id[(max) + 1];

struct settings {
#define GLOBAL(name, type, standard, min, max, unit, about)		\
	FIELD_##type(name, max)
#define SETTING(section, name, type, standard, min, max, unit, about)	\
	FIELD_##type(section##_##name, max)
#include "base/settings.def"
};

#undef FIELD_BOOL
#undef FIELD_COUNT
#undef FIELD_SIZE
#undef FIELD_TIME
#undef FIELD_TEXT
#undef FIELD_CHOICE

size_t settings_count(void);
const struct param *settings_row(size_t i);		/* in order */
const struct param *settings_find(struct span name);	/* NULL: no such */

void settings_default(struct settings *);
/*
 * All of these: 1 done; 0 not, *why says what is wrong and *settings is as it
 * was. A name or value that is not known is an error, and so is a setting
 * given twice in one file. The route sections are read by routes_parse(), and
 * are passed over here; settings_load() refuses a file that it refuses.
 */
int settings_parse(struct settings *, struct span file, struct text *why);
/* The file over the defaults. -1: it cannot be read. */
int settings_load(struct settings *, const char *path, struct text *why);
/* The bytes of a settings file. 1; -1 and *why. */
int settings_read(const char *path, struct text *file, struct text *why);
int settings_set(struct settings *, struct span name, struct span value,
    struct text *why);

/* One line name=value for each row, and back over the defaults. */
void settings_encode(const struct settings *, struct text *out);
int  settings_decode(struct settings *, struct span lines, struct text *why);

/* The rows as roff (man(7)), for postrider.conf(5). */
void settings_write_manual(struct text *out);
/* One of them; `name` is how it is written. Also for the rows of others. */
void settings_write_row(const struct param *, struct text *out);

#endif
