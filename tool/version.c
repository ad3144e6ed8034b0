/* version.c - `soquete --version`: the library's version, its engines, and why one of
 * them is not in use. */
#include "tool.h"

#include <stdio.h>
#include <string.h>

int tool_version(void)
{
	const char *name, *refusal, *in_use = soq_engine_name();

	printf("soquete %s\n", soq_version());
	for (size_t i = 0; !soq_engine_list(i, &name, &refusal); i++) {
		if (*refusal)
			printf("engine %s: not in use: %s\n", name, refusal);
		else if (strcmp(name, in_use))
			printf("engine %s: works here\n", name);
		else
			printf("engine %s: works here, in use\n", name);
	}
	return tool_flush(NULL);
}
