/*
 * dns_event.h - libunbound's events on our loop, so that it needs neither a
 * thread nor a process of its own.
 */
#ifndef ROLE_DNS_EVENT_H
#define ROLE_DNS_EVENT_H

struct ub_event_base;

/* This thread's loop, for ub_ctx_create_ub_event(). */
struct ub_event_base *dns_event_base(void);

#endif
