/* error.c - every code has words, whatever its sign. */
#include "test.h"
#include <soquete/error.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

TEST(error_words)
{
	static const struct {
		int code;
		const char *words;
	} rows[] = {
		{ -ETIMEDOUT, "Connection timed out" },
		{ ECONNRESET, "Connection reset by peer" },
		{ -ECANCELED, "Operation canceled" },
		{ -SOQ_EENDPOINT, "Not an endpoint" },
		{ -SOQ_ENONAME, "Name does not exist" },
		{ -SOQ_ENAMEWAIT, "Name service did not answer; try again" },
		{ -SOQ_ENAMEFAIL, "Name service failed" },
		{ SOQ_ENOPORT, "Unknown port or service name" },
		{ -SOQ_ELINE, "Line is too long" },
		{ -20000, "Unknown error" },
		{ -SOQ_ESIMULATED, "Not possible on a simulated host" },
		{ -SOQ_ENORECORD, "Name has no record of this type" },
		{ -SOQ_ETLS, "TLS failed" },
		{ -SOQ_ECERTIFICATE, "Certificate is not to be trusted" },
		{ -SOQ_ETRUNCATED, "Peer's flow was cut off, not ended" },
		{ -20012, "Unknown error" },
		{ 0, "Success" },
		{ INT_MAX, "Unknown error" },
		{ INT_MIN, "Unknown error" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%d", rows[i].code);
		CHECK_STR(soq_strerror(rows[i].code), rows[i].words);
	}
}

TEST(error_own_codes_are_disjoint)
{
	/* The kernel returns -4095 .. -1. */
	CHECK(SOQ_EENDPOINT > 4095);
	CHECK_STR(soq_strerror(-4095), "Unknown error");
}
