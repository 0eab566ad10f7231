/*
 * cli_password.c - passwords come from standard input or the terminal, never
 * from the command line, where everybody on the machine could read them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "cli/cli_impl.h"

enum { PASSWORD_MAX = 1024 };

/* One line, without its end. 1; 0 too long or none. */
static int
read_line(int fd, struct text *out)
{
	char c;
	ssize_t n;

	while ((n = read(fd, &c, 1)) == 1 && c != '\n')
		text_char(out, c);
	if (out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	secret_wipe(&c, 1);
	return n >= 0 && out->n > 0 && !text_full(out);
}

static int
ask(int tty, const char *prompt, struct text *out)
{
	struct termios was, silent;
	int r;

	if (tcgetattr(tty, &was) != 0)
		return 0;
	silent = was;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	dprintf(tty, "%s", prompt);
	if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
		return 0;
	r = read_line(tty, out);
	tcsetattr(tty, TCSAFLUSH, &was);
	dprintf(tty, "\n");
	return r;
}

static int
ask_twice(int tty, struct text *out)
{
	struct text again = TEXT_INIT(PASSWORD_MAX);
	int status = EX_OK;

	if (ask(tty, "Password: ", out) != 1 ||
	    ask(tty, "Once more: ", &again) != 1)
		status = cli_say(EX_DATAERR, "a password has 1 to %d bytes",
		    PASSWORD_MAX);
	else if (!secret_equal(text_span(out), text_span(&again)))
		status = cli_say(EX_DATAERR, "these two are not the same");
	text_wipe(&again);
	return status;
}

int
cli_password(const struct cli *cli, struct text *out)
{
	int tty, status;

	*out = TEXT_INIT(PASSWORD_MAX);
	if (cli->password_stdin)
		return read_line(STDIN_FILENO, out) == 1 ? EX_OK :
		    cli_say(EX_DATAERR, "standard input holds no password of "
		    "1 to %d bytes", PASSWORD_MAX);
	tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0)
		return cli_say(EX_USAGE, "no terminal to ask for a password: "
		    "give it with --password-stdin");
	status = ask_twice(tty, out);
	close(tty);
	return status;
}
