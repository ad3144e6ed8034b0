/* error.c - the words for soquete's codes. */
#include <soquete/error.h>
#include <stdlib.h>
#include <string.h>

const char *soq_strerror(int code)
{
	/* Unsigned, since INT_MIN has no positive value. */
	unsigned positive = code < 0 ? 0 - (unsigned)code : (unsigned)code;
	const char *text;

	switch (positive) {
	case SOQ_EENDPOINT:
		return "Not an endpoint";
	case SOQ_ENONAME:
		return "Name does not exist";
	case SOQ_ENAMEWAIT:
		return "Name service did not answer; try again";
	case SOQ_ENAMEFAIL:
		return "Name service failed";
	case SOQ_ENOPORT:
		return "Unknown port or service name";
	case SOQ_ELINE:
		return "Line is too long";
	case SOQ_ENORECORD:
		return "Name has no record of this type";
	case SOQ_ETLS:
		return "TLS failed";
	case SOQ_ECERTIFICATE:
		return "Certificate is not to be trusted";
	case SOQ_ETRUNCATED:
		return "Peer's flow was cut off, not ended";
	case SOQ_ESIMULATED:
		return "Not possible on a simulated host";
	default:
		text = strerrordesc_np((int)positive);
		return text ? text : "Unknown error";
	}
}
