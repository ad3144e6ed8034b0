/* endpoint.h - where a socket is: endpoints as text, addresses as the kernel has them.
 *
 *	tcp://host:port      a stream over TCP; also `host:port` without a scheme
 *	udp://host:port      datagrams over UDP
 *	tls://host:port      a stream over TLS
 *	unix:///path         a stream on a Unix socket; unix://@name is an abstract name
 *	unixgram:///path     datagrams on a Unix socket; unixgram://@name likewise
 *	fd://3               a socket that was inherited
 *
 * An IPv6 literal stands in brackets and may carry a zone: tcp://[fe80::1%eth0]:80. The
 * port is 0..65535 or a service name (services(5)). An empty host, `tcp://:8080`, is every
 * local address, IPv6 and IPv4; when connecting, it is this machine.
 *
 * Source: RFC 3986 section 3.2, RFC 6874 (without its %25), unix(7).
 */
#ifndef SOQUETE_ENDPOINT_H
#define SOQUETE_ENDPOINT_H

#include <soquete/base.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

SOQ_BEGIN_C

enum soq_scheme {
	SOQ_SCHEME_TCP = 1,
	SOQ_SCHEME_UDP,
	SOQ_SCHEME_TLS,
	SOQ_SCHEME_UNIX,
	SOQ_SCHEME_UNIXGRAM,
	SOQ_SCHEME_FD,
};

#define SOQ_ENDPOINT_TEXT_MAX 352 /* bytes of the longest endpoint as text, with its NUL */

/* An endpoint, taken apart. Nothing in it has been looked up. */
struct soq_endpoint {
	enum soq_scheme scheme;
	char host[256];	  /* a name or a literal without brackets; "" is every address */
	char zone[32];	  /* of an IPv6 literal; "" when there is none */
	char service[32]; /* a service name not among the standard ports; "" when port is set */
	uint16_t port;
	char path[108];	 /* Unix: a path with its NUL, or an abstract name from its NUL byte on
			  */
	size_t path_len; /* bytes of path in use, without a path's final NUL */
	int fd;		 /* fd://; else -1 */
};

/**
 * Take an endpoint's text apart.
 *
 * @return 0; -SOQ_EENDPOINT or -SOQ_ENOPORT, and soq_last_error() says what is wrong
 *         and what would be right
 */
SOQ_API int soq_endpoint_parse(struct soq_endpoint *ret, const char *text);

/**
 * Write an endpoint as text that soq_endpoint_parse() reads back alike.
 *
 * @buf  @len bytes; always NUL-terminated if @len > 0
 * @return the text's length without its NUL, as snprintf(3)
 */
SOQ_API int soq_endpoint_format(char *buf, size_t len, const struct soq_endpoint *endpoint);

/** The port of a standard service ("http" is 80), or 0 for a name not in the table. */
SOQ_API uint16_t soq_standard_port(const char *service);

#define SOQ_ADDR_TEXT_MAX 160 /* bytes of the longest address as text, with its NUL */

/* A socket address, as the kernel has it. */
struct soq_addr {
	socklen_t len; /* bytes of the union in use; 0 is no address (an unnamed Unix peer) */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/**
 * Write an address as text: `192.0.2.7:80`, `[::1]:80`, a path, `@abstract`, or `-` for
 * none. An IPv4-mapped IPv6 address is written as IPv4.
 *
 * @return the text's length without its NUL, as snprintf(3)
 */
SOQ_API int soq_addr_format(char *buf, size_t len, const struct soq_addr *addr);

/**
 * Write an address as an endpoint of a scheme: `tcp://[::1]:80`.
 * @return the text's length without its NUL, as snprintf(3)
 */
SOQ_API int soq_addr_endpoint(
	char *buf, size_t len, enum soq_scheme scheme, const struct soq_addr *addr);

/** The port of an IP address, else 0. */
SOQ_API uint16_t soq_addr_port(const struct soq_addr *addr);

/** Whether an address belongs to this machine alone: loopback or a Unix socket. */
SOQ_API bool soq_addr_is_local(const struct soq_addr *addr);

/** Whether two addresses are the same, port included; IPv4-mapped equals IPv4. */
SOQ_API bool soq_addr_equal(const struct soq_addr *a, const struct soq_addr *b);

/** The scheme's word ("tcp"), or "?" for none. */
SOQ_API const char *soq_scheme_name(enum soq_scheme scheme);

SOQ_END_C

#endif
