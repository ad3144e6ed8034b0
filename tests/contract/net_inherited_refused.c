/* net_inherited_refused.c - a descriptor that is not what was asked for stays as it was. */
#include "contract/fiber.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

CONTRACT_KERNEL(inherited_descriptor_refused_as_it_was, "a simulated descriptor has no flags")
{
	char endpoint[32];
	struct soq_listener *l;
	struct soq_stream *s;
	struct soq_dgram *d;
	int stream = socket(AF_UNIX, SOCK_STREAM, 0), dgram = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(endpoint, sizeof(endpoint), "fd://%d", dgram);
	CHECK_ERR(soq_listen(&l, endpoint, NULL), -EPROTOTYPE);
	CHECK_ERR(soq_adopt(&s, dgram), -EPROTOTYPE);
	snprintf(endpoint, sizeof(endpoint), "fd://%d", stream);
	CHECK_ERR(soq_dgram_open(&d, endpoint), -EPROTOTYPE);
	CHECK_EQ(fcntl(dgram, F_GETFD), 0);
	CHECK_EQ(fcntl(stream, F_GETFD), 0);
	CHECK_OK(soq_adopt(&s, stream));
	CHECK_EQ(fcntl(stream, F_GETFD), FD_CLOEXEC);
	soq_close(s);
	close(dgram);
}
