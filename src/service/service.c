/* service.c - the table of the standard services. */
#include <soquete/service.h>

#include <string.h>

static const struct soq_service services[] = {
	{ "http", "a folder, to a browser (RFC 9110)", 80, soq_http_handler, NULL },
	{ "echo", "whatever is sent comes back (RFC 862)", 7, soq_echo_handler,
		soq_echo_dgram },
	{ "discard", "whatever is sent is thrown away (RFC 863)", 9, soq_discard_handler,
		soq_discard_dgram },
	{ "daytime", "the date and time as text (RFC 867)", 13, soq_daytime_handler,
		soq_daytime_dgram },
	{ "chargen", "characters without end (RFC 864)", 19, soq_chargen_handler,
		soq_chargen_dgram },
	{ "time", "the seconds since 1900 (RFC 868)", 37, soq_time_handler, soq_time_dgram },
};

const struct soq_service *soq_service_at(size_t index)
{
	return index < sizeof services / sizeof services[0] ? &services[index] : NULL;
}

const struct soq_service *soq_service_find(const char *name)
{
	for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
		if (strcmp(services[i].name, name) == 0)
			return &services[i];
	return NULL;
}
