/* sources: src/net/endpoint.c src/net/addr.c src/base/error.c */
/* endpoint.c - any bytes as an endpoint's text.
 *
 * What must hold: what is refused has a sentence and leaves the result untouched; what is
 * accepted is written as text that is accepted too, gives the same endpoint, and fits.
 */
#include <soquete/endpoint.h>
#include <soquete/error.h>
#include "fiber/last_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char sentence[1024];

/* In the place of the fiber's own: the parser needs no fiber. */
int soq__fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	return code;
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_round_trip(const struct soq_endpoint *e)
{
	char text[SOQ_ENDPOINT_TEXT_MAX], twice[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_endpoint again;
	int n = soq_endpoint_format(text, sizeof text, e);

	require(n > 0 && (size_t)n < sizeof text && strlen(text) == (size_t)n);
	require(soq_endpoint_parse(&again, text) == 0);
	require(e->scheme == again.scheme && e->port == again.port && e->fd == again.fd);
	require(strcmp(e->host, again.host) == 0 && strcmp(e->zone, again.zone) == 0);
	require(strcmp(e->service, again.service) == 0 && e->path_len == again.path_len);
	require(memcmp(e->path, again.path, sizeof e->path) == 0);
	require(soq_endpoint_format(twice, sizeof twice, &again) == n);
	require(strcmp(text, twice) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct soq_endpoint e, before;
	char *text = malloc(size + 1);
	int rc;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&before, 0x5a, sizeof before);
	e = before;
	sentence[0] = '\0';
	rc = soq_endpoint_parse(&e, text);
	if (rc == 0) {
		check_round_trip(&e);
	} else {
		require(rc == -SOQ_EENDPOINT || rc == -SOQ_ENOPORT);
		require(sentence[0] != '\0' && memcmp(&e, &before, sizeof e) == 0);
	}
	free(text);
	return 0;
}
