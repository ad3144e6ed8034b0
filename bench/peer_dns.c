/* peer_dns.c - a name server that knows every name, for measuring those who ask it.
 *
 * UDP 127.0.0.1:53, so it belongs in a network namespace of its own (lab.sh). Whatever the
 * name, it has one IPv4 and one IPv6 address and may be kept for an hour; one that begins
 * with "hole." has the IPv4 address of a server that answers and the IPv6 address of none.
 * TCP 10.53.0.1:8080 is that server: it says that there is nothing, and ends.
 *
 * It prints "ready" when it answers, and ends with whoever started it.
 *
 * Source: RFC 1035 section 4.1 (messages), RFC 3596 (AAAA).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	     64
#define MESSAGE_MAX  512
#define HEADER_BYTES 12
#define ANSWER_MAX   28 /* a pointer to the name, the record's fields, an IPv6 address */
#define TYPE_A	     1
#define TYPE_AAAA    28
#define TTL_S	     3600

static const uint8_t answering4[4] = { 10, 53, 0, 1 };
static const uint8_t black_hole6[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0x53, [15] = 2 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "peer_dns: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The place after the question, or 0 if it is none that we know. */
static size_t question_end(const uint8_t *m, size_t len)
{
	size_t at = HEADER_BYTES;

	if (len < HEADER_BYTES || (m[2] & 0x80) || m[4] != 0 || m[5] != 1)
		return 0;
	while (at < len && m[at] != 0) {
		if (m[at] > 63)
			return 0;
		at += 1 + (size_t)m[at];
	}
	at += 5; /* the root, type and class */
	return at <= len && at + ANSWER_MAX <= MESSAGE_MAX ? at : 0;
}

/* The address that a name has: its own, more or less. */
static void address_of(const uint8_t *name, uint16_t type, uint8_t *address)
{
	uint32_t hash = 2166136261;

	if (strncasecmp((const char *)name, "\4hole", 5) == 0) {
		if (type == TYPE_A)
			memcpy(address, answering4, 4);
		else
			memcpy(address, black_hole6, 16);
		return;
	}
	for (; *name; name++)
		hash = (hash ^ *name) * 16777619;
	memset(address, 0, 16);
	if (type == TYPE_AAAA)
		memcpy(address, black_hole6, 4);
	else
		address[0] = 10;
	memcpy(address + (type == TYPE_A ? 1 : 13), &hash, 3);
}

/* Turns a question into its answer. @return its bytes, 0: none */
static size_t answer(uint8_t *m, size_t len)
{
	static const uint8_t fields[10] = { 0xc0, HEADER_BYTES, 0, 0, 0, 1, 0, 0, TTL_S >> 8,
		TTL_S & 255 };
	size_t end = question_end(m, len), address_bytes;
	uint16_t type;

	if (end == 0)
		return 0;
	type = (uint16_t)(m[end - 4] << 8 | m[end - 3]);
	address_bytes = type == TYPE_A ? 4 : type == TYPE_AAAA ? 16 : 0;
	m[2] = (uint8_t)(0x84 | (m[2] & 1)); /* a response, authoritative */
	m[3] = 0x80;			     /* recursion is to be had */
	memset(m + 6, 0, 6);
	if (address_bytes == 0)
		return end;
	m[7] = 1;
	memcpy(m + end, fields, sizeof fields);
	m[end + 3] = (uint8_t)type;
	m[end + 10] = 0;
	m[end + 11] = (uint8_t)address_bytes;
	address_of(m + HEADER_BYTES, type, m + end + 12);
	return end + 12 + address_bytes;
}

static void answer_all(int fd)
{
	static uint8_t messages[BATCH][MESSAGE_MAX];
	static struct sockaddr_in from[BATCH];
	static struct iovec parts[BATCH], replies[BATCH];
	struct mmsghdr in[BATCH] = { 0 }, out[BATCH] = { 0 };
	unsigned count = 0;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ messages[i], MESSAGE_MAX };
		in[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			.msg_namelen = sizeof from[i],
			.msg_iov = &parts[i],
			.msg_iovlen = 1 };
	}
	n = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t len = answer(messages[i], in[i].msg_len);

		if (len == 0)
			continue;
		replies[count] = (struct iovec){ messages[i], len };
		out[count].msg_hdr = in[i].msg_hdr;
		out[count].msg_hdr.msg_iov = &replies[count];
		count++;
	}
	if (count > 0)
		sendmmsg(fd, out, count, 0);
}

static int open_socket(int type, const char *address, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &addr.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
		(type == SOCK_STREAM && listen(fd, 64) < 0))
		die(address);
	return fd;
}

/* A client of HTTP is content; the connection stays until the next one comes, so that nothing
 * is reset before it is. */
static void answer_connection(int fd)
{
	static const char reply[] = "HTTP/1.0 204 No Content\r\n\r\n";
	static int last = -1;

	if (last >= 0)
		close(last);
	last = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (last < 0)
		return;
	send(last, reply, sizeof reply - 1, MSG_NOSIGNAL);
	shutdown(last, SHUT_WR);
}

int main(void)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fds[0].fd = open_socket(SOCK_DGRAM, "127.0.0.1", 53);
	fds[1].fd = open_socket(SOCK_STREAM, "10.53.0.1", 8080);
	setsockopt(fds[0].fd, SOL_SOCKET, SO_RCVBUF, &(int){ 4 << 20 }, sizeof(int));
	puts("ready");
	fflush(stdout);
	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[0].revents)
			answer_all(fds[0].fd);
		if (fds[1].revents)
			answer_connection(fds[1].fd);
	}
	die("poll");
}
