/* sources: src/proto/nsswitch.c src/proto/text.c */
/* nsswitch.c - any bytes as nsswitch.conf(5).
 *
 * What must hold: everything is set, to what it can be; other databases' lines, comments and
 * what comes after a NUL change nothing; a line "hosts:" behind everything decides alone.
 */
#include "proto/nsswitch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct soq__nsswitch parse(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1); /* exactly: AddressSanitizer sees its end */
	struct soq__nsswitch n;

	require(copy);
	if (len > 0)
		memcpy(copy, text, len);
	memset(&n, 0x5a, sizeof n);
	soq__nsswitch_parse(&n, copy, len);
	free(copy);
	require(n.hosts >= SOQ__NSS_OURS && n.hosts <= SOQ__NSS_SYSTEM);
	return n;
}

static bool is_same(struct soq__nsswitch a, struct soq__nsswitch b)
{
	return a.hosts == b.hosts && a.files_first == b.files_first && a.mdns == b.mdns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char nothing[] = "\nhost: nis\n# hosts: nis\npasswd: nis\n\0 hosts: nis\n";
	static const char all[] = "\nhosts: mdns4 files dns";
	char *text = malloc(size + sizeof nothing);
	struct soq__nsswitch n, decided;

	require(text);
	if (size > 0)
		memcpy(text, data, size);
	n = parse(text, size);
	memcpy(text + size, nothing, sizeof nothing - 1);
	require(is_same(n, parse(text, size + sizeof nothing - 1)));
	memcpy(text + size, all, sizeof all - 1);
	decided = parse(text, size + sizeof all - 1);
	require(decided.hosts == SOQ__NSS_THEN_SYSTEM && decided.files_first && decided.mdns);
	free(text);
	return 0;
}
