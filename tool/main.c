/* main.c - the command line `soquete`: the table of subcommands, and the way to one. */
#include "tool.h"
#include "text.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct tool_command *const commands[] = {
	&tool_serve,
	&tool_connect,
	&tool_listen,
	&tool_resolve,
	&tool_sim,
	&tool_ports,
	&tool_cert,
	&tool_help,
};

const struct tool_command *tool_command_at(size_t index)
{
	return index < sizeof(commands) / sizeof(commands[0]) ? commands[index] : NULL;
}

const struct tool_command *tool_command_find(const char *name)
{
	const struct tool_command *command, *meant = NULL;
	unsigned meant_distance = 4;

	for (size_t i = 0; (command = tool_command_at(i)); i++) {
		unsigned distance = tool_distance(name, command->name);

		if (!distance)
			return command;
		if (distance < meant_distance && distance < strlen(command->name) - 1) {
			meant = command;
			meant_distance = distance;
		}
	}
	if (meant)
		tool_usage(NULL, "unknown subcommand '%s' (did you mean '%s'?)", name,
			meant->name);
	else
		tool_usage(NULL,
			"unknown subcommand '%s' (serve, connect, listen, resolve, sim, ports, "
			"cert or help)",
			name);
	return NULL;
}

/* A socket must not become standard input, output or error by chance, where a message or
 * a program's output would then go: what is closed of them becomes /dev/null. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct tool_command *command;

	open_standard_descriptors();
	/* A write to a pipe that nobody reads returns EPIPE instead. Programs that we
	 * start get the default back, see program.c. */
	signal(SIGPIPE, SIG_IGN);

	if (argc < 2)
		return tool_usage(NULL,
			"a subcommand is missing: serve, connect, listen, resolve, sim, ports, "
			"cert or help ('soquete --help' explains them)");
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return tool_version();
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return tool_help.run(&tool_help, argv + argc);
	if (argv[1][0] == '-')
		return tool_usage(NULL,
			"unknown option '%s' (--help, --version, or a subcommand: serve, "
			"connect, listen, resolve, sim, ports, cert, help)",
			argv[1]);
	command = tool_command_find(argv[1]);
	return command ? command->run(command, argv + 2) : TOOL_USAGE;
}
