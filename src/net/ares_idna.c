/* ares_idna.c - a name in any script, as the DNS has it.
 *
 * IDNA 2008 as UTS 46 reads it, without the mapping of ß and its like to something else; what
 * that refuses is tried as IDNA 2003 had it, since such names are registered.
 *
 * Source: RFC 5891, UTS 46, idn2_lookup_u8(3).
 */
#include "net/dns.h"
#include <soquete/error.h>
#include <idn2.h>
#include <string.h>

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
	if (strlen(ascii) >= len) {
		idn2_free(ascii);
		*ret_why = "it is too long";
		return -SOQ_EENDPOINT;
	}
	strcpy(buf, ascii);
	idn2_free(ascii);
	return 0;
}
