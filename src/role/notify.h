/*
 * notify.h - telling the service manager (systemd's sd_notify protocol).
 */
#ifndef ROLE_NOTIFY_H
#define ROLE_NOTIFY_H

#include "base/base.h"

void notify_open(void);		/* from the environment; silent without one */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);
/* How often the manager wants to hear the watchdog, in ms; 0: never. */
int64_t notify_watchdog_interval(void);

#endif
