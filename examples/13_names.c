/* 13_names.c - from a name to its addresses, and from each of them back to a name.
 *
 * usage: 13_names [ENDPOINT]
 */
#include <soquete/soquete.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://localhost:http";
	struct soq_addrs addrs;
	char address[SOQ_ADDR_TEXT_MAX], name[256];

	if (soq_resolve(&addrs, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	/* soq_connect() would try them in this order, and not wait long for any. */
	for (size_t i = 0; i < addrs.count; i++) {
		soq_addr_format(address, sizeof(address), &addrs.list[i]);
		if (soq_reverse(name, sizeof(name), &addrs.list[i]))
			printf("%s has no name\n", address);
		else
			printf("%s is %s\n", address, name);
	}
	soq_addrs_done(&addrs);
	return 0;
}
