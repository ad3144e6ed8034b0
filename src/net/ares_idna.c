/* ares_idna.c - a name in any script, as the DNS has it.
 *
 * IDNA 2008 as UTS 46 reads it, without the mapping of ß and its like to something else; what
 * that refuses is tried as IDNA 2003 had it, since such names are registered. Neither keeps a
 * character from becoming another that no host's name has: U+2100 becomes "a/c", and who has
 * looked for the slash of a URL before has not seen it (CVE-2019-9636).
 *
 * Source: RFC 5891, UTS 46, idn2_lookup_u8(3).
 */
#include "net/names.h"
#include <soquete/error.h>
#include <idn2.h>
#include <string.h>

static int copy(char *buf, size_t len, const char *ascii, const char **ret_why)
{
	*ret_why = "it is too long";
	if (strlen(ascii) >= len)
		return -SOQ_EENDPOINT;
	*ret_why = "a name with letters beyond ASCII has no other marks than '-', '_' and dots";
	if (!soq__name_is_host(ascii))
		return -SOQ_EENDPOINT;
	strcpy(buf, ascii);
	return 0;
}

int soq__idna(char *buf, size_t len, const char *name, const char **ret_why)
{
	char *ascii = NULL;
	int rc = idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (rc != IDN2_OK)
		rc = idn2_to_ascii_8z(name, &ascii, IDN2_TRANSITIONAL);
	if (rc != IDN2_OK) {
		*ret_why = idn2_strerror(rc);
		return -SOQ_EENDPOINT;
	}
	rc = copy(buf, len, ascii, ret_why);
	idn2_free(ascii);
	return rc;
}
