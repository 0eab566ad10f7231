/*
 * log_sink.h - where the lines of all processes go: standard error, a file,
 * or the journal. The supervisor opens it; every process writes there.
 */
#ifndef ROLE_LOG_SINK_H
#define ROLE_LOG_SINK_H

#include "base/base.h"
#include "base/settings.h"
#include "base/text.h"

/*
 * Into the household, and for our own lines. Relative paths are below the
 * directory. 1; 0: *why, and lines go where they went before.
 */
int log_sink_open(const struct settings *, int directory, struct text *why);

#endif
