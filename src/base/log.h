/*
 * log.h - one line an event, with named fields.
 *
 *	log_event(LOG_LEVEL_INFO, "smtp.accepted",
 *	    log_text("queue_id", id), log_int("size", size));
 *
 * An event's name is area.what in lower case, and is counted (metric.h).
 * Values are escaped: a peer cannot forge a line. Passwords and bodies are
 * never given to the log.
 * Libraries do not log; roles and sessions do, once per event, at the top.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level {
	LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

struct log_field {
	const char *name;
	bool is_number;
	struct span text;
	int64_t number;
};

struct log_field log_text(const char *name, struct span);
struct log_field log_str(const char *name, const char *);
struct log_field log_int(const char *name, int64_t);
struct log_field log_errno(void);	/* error="text of errno" */

#define log_event(level, event, ...)					\
	log_write(level, event,						\
	    (struct log_field[]){ { NULL, false, { NULL, 0 }, 0 },	\
	    ##__VA_ARGS__ },						\
	    sizeof((struct log_field[]){ { NULL, false, { NULL, 0 }, 0 },\
	    ##__VA_ARGS__ }) / sizeof(struct log_field))

/*
 * Lines go to fd (kept, not owned) from now on, and each carries role=`who`
 * (a literal). LOG_FORMAT_JOURNAL: fd is a datagram socket connected to
 * journald's, fields go there natively. Default: text on standard error.
 */
void log_open(int fd, enum log_format, const char *who);
void log_set_level(enum log_level);
enum log_level log_level_named(const char *);	/* unknown names: info */
bool log_enabled(enum log_level);
void log_write(enum log_level, const char *event, const struct log_field *,
    size_t count);	/* the first field is skipped; any thread */

#endif
