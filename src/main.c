/*
 * main.c - one program: every role, and the operator's commands.
 *
 *	postrider --role NAME N		a role, started by the supervisor alone
 *	postrider run ...		the supervisor (role/supervisor.h)
 *	postrider COMMAND ...		everything else (cli/cli.h)
 */
#include "cli/cli.h"
#include "role/role.h"

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--role") == 0)
		role_main(argv[2], argv[3]);
	return cli_main(argc, argv);
}
