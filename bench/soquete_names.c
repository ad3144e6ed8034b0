/* soquete_names.c - names looked up by soquete: some fibers on one worker.
 *
 * usage: soquete_names kept|new SECONDS    (lookups.h)
 *        soquete_names connect ENDPOINT    (prints the milliseconds it takes to connect)
 */
#include "lookups.h"

#include <soquete/soquete.h>
#include <stdio.h>
#include <string.h>

#define FIBERS 100

static void check(const char *what, int result)
{
	char reason[1024];

	if (result >= 0)
		return;
	snprintf(reason, sizeof reason, "%s %s", soq_strerror(result), soq_last_error());
	lookups_die(what, reason);
}

static void ask(void *arg)
{
	char name[LOOKUPS_NAME_MAX], endpoint[LOOKUPS_NAME_MAX + 16];
	struct soq_addrs found;

	while (lookups_next(arg, name)) {
		snprintf(endpoint, sizeof endpoint, "tcp://%s:80", name);
		check(name, soq_resolve(&found, endpoint));
		soq_addrs_done(&found);
		/* What is answered from memory does not suspend: let the others have their
		 * turn. */
		soq_yield();
	}
}

static int time_connect(const char *endpoint)
{
	struct soq_stream *s;
	int64_t begun = soq_now();

	check("soq_connect", soq_connect(&s, endpoint));
	printf("%.3f\n", (double)(soq_now() - begun) / 1e6);
	soq_close(s);
	return 0;
}

int main(int argc, char **argv)
{
	static struct lookups lookups;
	struct soq_scope *scope;

	if (argc == 3 && strcmp(argv[1], "connect") == 0)
		return time_connect(argv[2]);
	lookups_begin(&lookups, argc, argv);
	check("soq_scope_open", soq_scope_open(&scope));
	for (unsigned i = 0; i < FIBERS; i++)
		check("soq_spawn", soq_spawn(scope, ask, &lookups));
	soq_scope_wait(scope);
	soq_scope_close(scope);
	lookups_report(&lookups);
	return 0;
}
