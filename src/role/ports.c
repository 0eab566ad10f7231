/*
 * ports.c - binding everything the settings ask for.
 */
#include "role/ports.h"
#include "role/child.h"
#include "role/datadir.h"
#include "role/listen.h"

#include <sysexits.h>
#include <unistd.h>

static const struct {
	enum protocol protocol;
	size_t list;			/* setting */
	bool loopback_only;
	bool paths;			/* "unix:PATH" is taken too */
} listens[] = {
#define LISTEN(p, name, loop) \
	{ PROTOCOL_##p, offsetof(struct settings, listen_##name), loop, \
	    PROTOCOL_##p == PROTOCOL_LMTP }
	LISTEN(SMTP, smtp, false),
	LISTEN(LMTP, lmtp, false),
	LISTEN(SUBMISSION, submission, false),
	LISTEN(SUBMISSIONS, submissions, false),
	LISTEN(IMAP, imap, false),
	LISTEN(IMAPS, imaps, false),
	LISTEN(POP3, pop3, false),
	LISTEN(POP3S, pop3s, false),
	LISTEN(METRICS, metrics, true),
};

static int
add_port(enum protocol protocol, int fd, struct text *why)
{
	if (household.port_count == PORTS_MAX) {
		text_str(why, "too many addresses");
		close(fd);
		return EX_CONFIG;
	}
	household.ports[household.port_count++] = (struct port){ protocol,
	    fd };
	return EX_OK;
}

static int
bind_port(enum protocol protocol, const struct listen_address *a,
    int directory, struct text *why)
{
	int fd = listen_open(a, directory,
	    (int)household.settings.listen_backlog);
	int error = errno;

	if (fd >= 0)
		return add_port(protocol, fd, why);
	/* "*" is what the machine has: perhaps only one of the families. */
	if (a->any && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL))
		return EX_OK;
	text_printf(why, "%s at ", protocol_name(protocol));
	listen_write(a, why);
	text_printf(why, ": %s", strerrordesc_np(error));
	if (error != EACCES || listen_is_local(a))
		return EX_TEMPFAIL;
	text_str(why, " (ports below 1024 are root's; --port-offset 10000 "
	    "moves them all)");
	return EX_NOPERM;
}

static int
bind_list(size_t i, unsigned offset, int directory, struct text *why)
{
	struct listen_address all[LISTEN_MAX];
	const char *list = (const char *)&household.settings + listens[i].list;
	size_t n;
	int status = EX_OK;

	if (listen_parse(span_str(list), offset, all, &n, why) != 1)
		return EX_CONFIG;
	for (size_t k = 0; k < n && status == EX_OK; k++) {
		if (listens[i].loopback_only && !listen_is_loopback(&all[k])) {
			text_printf(why, "%s: loopback addresses only",
			    protocol_name(listens[i].protocol));
			return EX_CONFIG;
		}
		if (listen_is_local(&all[k]) && !listens[i].paths) {
			text_printf(why, "%s: addresses with ports only",
			    protocol_name(listens[i].protocol));
			return EX_CONFIG;
		}
		status = bind_port(listens[i].protocol, &all[k], directory,
		    why);
	}
	return status;
}

static int
bind_admin(enum protocol protocol, int directory, const char *name,
    struct text *why)
{
	int fd = datadir_admin_listen(directory, name);

	if (fd >= 0)
		return add_port(protocol, fd, why);
	text_printf(why, "%s: %s", name, strerrordesc_np(errno));
	return EX_CANTCREAT;
}

int
ports_open(unsigned offset, int directory, struct text *why)
{
	int status = EX_OK;

	for (size_t i = 0; i < ARRAY_LEN(listens) && status == EX_OK; i++)
		status = bind_list(i, offset, directory, why);
	if (status != EX_OK)
		return status;
	status = bind_admin(PROTOCOL_ADMIN, directory, DATADIR_ADMIN, why);
	return status != EX_OK ? status : bind_admin(PROTOCOL_ADMIN_DNS,
	    directory, DATADIR_ADMIN_DNS, why);
}
