/*
 * cli.h - the operator's commands.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* `postrider COMMAND ...`: the exit status (sysexits.h). */
int cli_main(int argc, char **argv);

#endif
