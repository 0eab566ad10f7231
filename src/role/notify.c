/*
 * notify.c - telling the service manager.
 *
 * One datagram a word, to the socket that NOTIFY_SOCKET names: a path, or an
 * abstract name behind an @.
 */
#include "role/notify.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager = -1;
static int64_t interval;

void
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path == NULL ? 0 : strlen(path);
	uint64_t v;

	if (n < 2 || n >= sizeof(a.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager < 0 || connect(manager, (const struct sockaddr *)&a,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0)
		manager = -1;
	if (usec != NULL && span_u64(span_str(usec), &v) == 1)
		interval = (int64_t)(MIN(v, 86400000000) / 1000 / 2);
}

static void
tell(const char *words)
{
	if (manager >= 0)
		send(manager, words, strlen(words),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

void
notify_ready(void)
{
	tell("READY=1\nSTATUS=Serving");
}

void
notify_reloading(void)
{
	char words[96];

	snprintf(words, sizeof(words), "RELOADING=1\nMONOTONIC_USEC=%" PRId64
	    "\nSTATUS=Reloading", clock_mono().ms * 1000);
	tell(words);
}

void
notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=Stopping");
}

void
notify_watchdog(void)
{
	tell("WATCHDOG=1");
}

int64_t
notify_watchdog_interval(void)
{
	return manager >= 0 ? interval : 0;
}
