/*
 * log_sink.c - where the lines of all processes go.
 */
#include "role/log_sink.h"
#include "base/log.h"
#include "role/child.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Is standard error the journal (systemd.exec(5), JOURNAL_STREAM)? */
static bool
stderr_is_the_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(here, sizeof(here), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(here, stream) == 0;
}

static int
connect_to_the_journal(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX,
	    .sun_path = "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a,
	    sizeof(a)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int
open_log_file(int directory, const char *path)
{
	return openat(directory, path, O_WRONLY | O_CREAT | O_APPEND |
	    O_CLOEXEC | O_NOFOLLOW, 0640);
}

/*
 * What `auto` means: the journal where standard error is the journal and can
 * be reached; otherwise text.
 */
static const char *
format_wanted(const struct settings *s, int *journal)
{
	bool automatic = strcmp(s->log_format, "auto") == 0;

	*journal = -1;
	if (strcmp(s->log_format, "journal") == 0 || (automatic &&
	    *s->log_file == '\0' && stderr_is_the_journal()))
		*journal = connect_to_the_journal();
	if (!automatic)
		return s->log_format;
	return *journal >= 0 ? "journal" : "text";
}

int
log_sink_open(const struct settings *s, int directory, struct text *why)
{
	int fd;
	const char *format = format_wanted(s, &fd);
	bool journal = strcmp(format, "journal") == 0;

	if (!journal)
		fd = *s->log_file != '\0' ?
		    open_log_file(directory, s->log_file) :
		    fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		text_printf(why, "log %s: %s", journal ? "journal" :
		    s->log_file, strerrordesc_np(errno));
		return 0;
	}
	if (household.log_fd > 0)
		close(household.log_fd);
	household.log_fd = fd;
	household.log_format = journal ? LOG_FORMAT_JOURNAL :
	    strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
	log_open(fd, (enum log_format)household.log_format, "supervisor");
	log_set_level(log_level_named(s->log_level));
	return 1;
}
