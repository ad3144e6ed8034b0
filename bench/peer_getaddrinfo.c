/* peer_getaddrinfo.c - names looked up as C programs do it: getaddrinfo(3) on some threads.
 *
 * usage: peer_getaddrinfo kept|new SECONDS    (lookups.h)
 */
#include "lookups.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 8

static struct lookups lookups;

static void *ask(void *arg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char name[LOOKUPS_NAME_MAX];
	int rc;

	(void)arg;
	while (lookups_next(&lookups, name)) {
		rc = getaddrinfo(name, "80", &hints, &found);
		if (rc != 0)
			lookups_die(name, gai_strerror(rc));
		freeaddrinfo(found);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	lookups_begin(&lookups, argc, argv);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, ask, NULL) != 0)
			lookups_die("pthread_create", "no thread");
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	lookups_report(&lookups);
	return 0;
}
