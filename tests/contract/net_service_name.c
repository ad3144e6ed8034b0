/* net_service_name.c - ports by the names of services(5) that are not among the library's own.
 */
#include "contract/net.h"
#include "contract/private_net.h"

#include <netdb.h>

/* A name that only the machine's table has. In a network of the case's own, its port is free.
 */
static const char *service_of_the_machine(unsigned *ret_port)
{
	static const char *const names[] = { "http-alt", "postgresql", "mysql", "x11" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct servent *s = getservbyname(names[i], "tcp");

		if (!s || soq_standard_port(names[i]))
			continue;
		*ret_port = ntohs((uint16_t)s->s_port);
		return names[i];
	}
	SKIP("services(5) names no service that is not a standard one");
}

static void connect_and_accept(struct soq_listener *l, const char *host, const char *port)
{
	struct soq_stream *client, *s;
	char text[128];

	snprintf(text, sizeof(text), "tcp://%s:%s", host, port);
	CHECK_OK(soq_connect(&client, text));
	CHECK_OK(soq_accept(&s, l));
	soq_close(client);
	soq_close(s);
}

/* By name as by number: an empty host is IPv6 and IPv4, and a literal needs no look-up. */
CONTRACT(listen_on_a_service_by_name)
{
	static const struct {
		const char *host, *clients[3];
	} rows[] = {
		{ "", { "127.0.0.1", "[::1]", NULL } },
		{ "127.0.0.1", { "127.0.0.1", NULL } },
		{ "[::1]", { "[::1]", "[0::1]", NULL } },
	};
	const char *service;
	struct soq_listener *l;
	struct soq_addr addr;
	char text[128], number[16];
	unsigned port;

	private_net_enter();
	service = service_of_the_machine(&port);
	snprintf(number, sizeof(number), "%u", port);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].host[0] == '[' && !have_ipv6())
			continue;
		snprintf(text, sizeof(text), "tcp://%s:%s", rows[i].host, service);
		ROW("%s", text);
		CHECK_OK(soq_listen(&l, text, NULL));
		CHECK_OK(soq_listener_addr(l, &addr));
		CHECK_EQ(soq_addr_port(&addr), port);
		for (const char *const *host = rows[i].clients; *host; host++) {
			if (**host == '[' && !have_ipv6())
				continue;
			connect_and_accept(l, *host, service);
			connect_and_accept(l, *host, number);
		}
		soq_listener_close(l);
	}
}

CONTRACT(listen_on_a_service_without_a_name)
{
	struct soq_listener *l;

	CHECK_ERR(soq_listen(&l, "tcp://:no-such-service-x", NULL), -SOQ_ENOPORT);
	CHECK_ERR(soq_listen(&l, "tcp://127.0.0.1:no-such-service-x", NULL), -SOQ_ENOPORT);
	CHECK(strstr(soq_last_error(), "no-such-service-x"));
}
