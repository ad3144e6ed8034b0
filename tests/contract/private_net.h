/* private_net.h - a network of the case's own, where it may be given addresses. On the
 * simulated network each case has one anyway.
 *
 * Source: network_namespaces(7), netdevice(7).
 */
#ifndef CONTRACT_PRIVATE_NET_H
#define CONTRACT_PRIVATE_NET_H

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of this machine, and no loopback address: the one that a simulated host has. */
#define PRIVATE_ADDRESS "10.0.0.1"

static inline void private_net__address(int fd, const char *interface, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	CHECK_EQ(inet_pton(AF_INET, address, &in.sin_addr), 1);
	strcpy(request.ifr_name, interface);
	memcpy(&request.ifr_addr, &in, sizeof(in));
	CHECK_OK(ioctl(fd, SIOCSIFADDR, &request));
	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	CHECK_OK(ioctl(fd, SIOCSIFFLAGS, &request));
}

/* Enter it, or skip the case: before the first thread and the first use of soquete. */
static inline void private_net_enter(void)
{
	int fd;

	if (test_is_simulated())
		return;
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		SKIP("no network namespace can be had here: %s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK_OK(fd);
	private_net__address(fd, "lo", "127.0.0.1");
	private_net__address(fd, "lo:1", PRIVATE_ADDRESS);
	close(fd);
}

#endif
