/* sources: src/net/names_text.c src/net/ares_idna.c
 * libraries: libidn2 */
/* name.c - any bytes as a host's name.
 *
 * What must hold: what is refused has a reason; what is accepted is ASCII within the DNS's
 * bounds, without a character that the text did not have but for those that a host's name may
 * have, and is accepted again as what it is.
 */
#include "net/names.h"
#include <soquete/error.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_labels(const char *name)
{
	for (;;) {
		size_t label = strcspn(name, ".");

		require(label > 0 && label <= SOQ__LABEL_MAX);
		name += label;
		if (!*name)
			return;
		name++;
	}
}

static void check_characters(const char *name, const char *text)
{
	for (; *name; name++) {
		char one[] = { *name, '\0' };

		require((unsigned char)*name < 0x80);
		require(soq__name_is_host(one) || strchr(text, *name));
	}
}

static void check_again(const struct soq__name *n)
{
	char text[SOQ__NAME_MAX + 2];
	struct soq__name again;
	const char *why;

	strcpy(text, n->text);
	if (n->whole)
		strcat(text, ".");
	require(soq__name_parse(&again, text, &why) == 0);
	require(strcmp(again.text, n->text) == 0);
	require(again.whole == n->whole && again.kind == n->kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct soq__name n;
	const char *why = NULL;
	int rc;

	require(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	rc = soq__name_parse(&n, text, &why);
	require(rc == 0 ? !why : rc == -SOQ_EENDPOINT && why && *why);
	if (rc == 0) {
		require(strlen(n.text) <= SOQ__NAME_MAX);
		check_labels(n.text);
		check_characters(n.text, text);
		check_again(&n);
	}
	free(text);
	return 0;
}
