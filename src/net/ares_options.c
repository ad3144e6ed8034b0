/* ares_options.c - see ares_options.h. */
#include "net/ares_options.h"
#include <netinet/in.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000 /* for the first try; c-ares doubles it for each further one */
#define TRIES	   2

/* "timeout:2" and its like, between bounds. @return false when @word says something else */
static bool option(int *ret, const char *word, const char *name, int most)
{
	size_t len = strlen(name);
	long value;

	if (strncmp(word, name, len) != 0)
		return false;
	value = strtol(word + len, NULL, 10);
	*ret = value < 1 ? 1 : value > most ? most : (int)value;
	return true;
}

/* The options of resolv.conf(5) that c-ares only learnt after 1.18; bounds are glibc's. */
static void read_options(struct ares_options *o, char *text)
{
	char *rest, *word;
	int seconds;

	for (word = strtok_r(text, " \t\n", &rest); word;
		word = strtok_r(NULL, " \t\n", &rest)) {
		if (option(&seconds, word, "timeout:", 30))
			o->timeout = seconds * 1000;
		else if (option(&o->tries, word, "attempts:", 5))
			continue;
		else if (strcmp(word, "use-vc") == 0)
			o->flags |= ARES_FLAG_USEVC;
		else if (strcmp(word, "edns0") == 0)
			o->flags |= ARES_FLAG_EDNS;
	}
}

void soq__ares_options(struct ares_options *o)
{
	FILE *f = fopen(_PATH_RESCONF, "re");
	const char *own = getenv("RES_OPTIONS"); /* NOLINT(concurrency-mt-unsafe) */
	char *line = NULL;
	size_t room = 0;

	o->timeout = TIMEOUT_MS;
	o->tries = TRIES;
	while (f && getline(&line, &room, f) >= 0)
		if (strncmp(line, "options", 7) == 0)
			read_options(o, line + 7);
	if (f)
		fclose(f);
	free(line);
	line = own ? strdup(own) : NULL;
	if (line)
		read_options(o, line);
	free(line);
}
