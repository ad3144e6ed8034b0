/* help.c - `soquete help`: all subcommands, or one. */
#include "tool.h"

#include <stdio.h>

static int print_overview(void)
{
	const struct tool_command *command;

	printf("usage: soquete SUBCOMMAND [OPTION ...] [OPERAND ...]\n"
	       "       soquete --version | --help\n\n"
	       "Sockets at a terminal: connect, listen, serve, and watch a simulated "
	       "network.\n\n");
	for (size_t i = 0; (command = tool_command_at(i)); i++)
		printf("  %-8s %s\n", command->name, command->summary);
	printf("\nAn endpoint says where a socket is:\n"
	       "  tcp://HOST:PORT      TCP; also HOST:PORT, and tcp://:PORT for every address\n"
	       "  udp://HOST:PORT      UDP\n"
	       "  unix:///PATH         a stream on a Unix socket; unix://@NAME is abstract\n"
	       "  unixgram:///PATH     datagrams on a Unix socket; unixgram://@NAME likewise\n"
	       "  fd://N               a socket that was inherited\n\n"
	       "'soquete help SUBCOMMAND' tells more; so do soquete(1) and soquete(7).\n");
	return tool_flush("help");
}

static int run(const struct tool_command *self, char **args)
{
	const struct tool_command *command;
	int status = tool_parse(self, args, NULL);

	if (status != TOOL_GO_ON)
		return status;
	if (!args[0])
		return print_overview();
	if (args[1])
		return tool_usage(
			self->name, "one subcommand is wanted; '%s' is one more", args[1]);
	command = tool_command_find(args[0]);
	return command ? tool_print_help(command) : TOOL_USAGE;
}

const struct tool_command tool_help = {
	.name = "help",
	.operands = "[SUBCOMMAND]",
	.summary = "explain a subcommand",
	.text = "Print what a subcommand does and its options.\n",
	.options = (const struct tool_option[]){ { NULL } },
	.run = run,
};
