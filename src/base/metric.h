/*
 * metric.h - numbers about a process that others may read.
 *
 * Every event of the log is counted by its name, whether its level is written
 * or not; so a counter needs no line of its own. Gauges are set by name.
 * Names are literals of the program: "smtp.accepted".
 *
 * The numbers live in the process until metric_open() puts them into memory
 * that is shared with the process that publishes them, and that keeps the
 * counters over a restart of ours. Any thread.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/base.h"

enum metric_kind { METRIC_EVENT = 1, METRIC_GAUGE };

enum { METRIC_NAMES = 256 };		/* most that a process can count */
/* Bytes of shared memory that hold a process's numbers. */
#define METRIC_MEMORY ((size_t)64 * METRIC_NAMES)

/* Count there from now on: METRIC_MEMORY bytes, mapped, zeroed when new. */
void metric_open(void *memory);
void metric_event(const char *name);
void metric_set(const char *name, uint64_t value);

/*
 * Read someone's memory, which may hold anything at all: start with *at == 0;
 * false at the end. name (room for 64) is then letters, digits, "._" and NUL.
 */
bool metric_next(const void *memory, size_t *at, enum metric_kind *,
    char *name, uint64_t *value);

#endif
