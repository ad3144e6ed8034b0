/* fuzz_replay.c - main for a fuzz target where there is no libFuzzer.
 *
 * Gives the target each file that is named, and each beginning of it: a parser meets
 * its input cut anywhere. The bytes are in a block of exactly their size, so that
 * AddressSanitizer sees a read past the end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(const unsigned char *bytes, size_t len)
{
	unsigned char *exact = malloc(len > 0 ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

int main(int argc, char **argv)
{
	static unsigned char buf[INPUT_BYTES_MAX];
	size_t len;
	FILE *f;

	for (int i = 1; i < argc; i++) {
		f = fopen(argv[i], "rb");
		if (!f) {
			perror(argv[i]);
			return 1;
		}
		len = fread(buf, 1, sizeof buf, f);
		fclose(f);
		for (size_t n = 0; n <= len; n++)
			feed(buf, n);
	}
	printf("Done %d runs\n", argc - 1);
	return 0;
}
