/*
 * main.c - one program: the supervisor, every role, the operator's commands.
 *
 *	postrider run ...		the supervisor (role/supervisor.h)
 *	postrider --role NAME N		a role, started by the supervisor alone
 *	postrider COMMAND ...		everything else (cli/cli.h)
 */
#include "cli/cli.h"
#include "role/role.h"
#include "role/supervisor.h"

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--role") == 0)
		role_main(argv[2], argv[3]);
	if (argc >= 2 && strcmp(argv[1], "run") == 0)
		return supervisor_main(argc - 1, argv + 1);
	return cli_main(argc, argv);
}
