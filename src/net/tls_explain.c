/* tls_explain.c - why TLS failed, as a part of a sentence that says what to do about it.
 *
 * OpenSSL queues errors by library and reason. Of the ones queued by a call, the first that has
 * words here is the cause, and what comes after it is its consequence. Where none has,
 * OpenSSL's own words must do.
 *
 * Invariant: the queue is empty afterwards. What a peer sent is never in a sentence as it is.
 * Source: ERR_get_error(3); RFC 8446 section 6.2, RFC 5246 section 7.2.2 (alerts).
 */
#include "net/tls_first.h"
#include "net/tls_text.h"
#include "net/tls_verify.h"
#include <openssl/decodererr.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <soquete/error.h>
#include <errno.h>
#include <string.h>

#define ALERTS SSL_AD_REASON_OFFSET /* the reason of an alert is its number plus this */

struct reason {
	int library, number;
	int code; /* that the call returns */
	const char *words;
};

/* ---- what the peer said: alerts ---- */

#define OURS "the peer refused our certificate: "

static const struct {
	int number;
	int code;
	const char *words;
} alerts[] = {
	{ 0, -SOQ_ETLS, "the peer ended TLS before it began" },
	{ 10, -SOQ_ETLS,
		"the peer refused: it did not expect this message (unexpected_message)" },
	{ 20, -SOQ_ETLS,
		"the peer refused: what it received was changed on its way (bad_record_mac)" },
	{ 21, -SOQ_ETLS,
		"the peer refused: it could not decrypt what it received (decryption_failed)" },
	{ 22, -SOQ_ETLS, "the peer refused: a record was too long for it (record_overflow)" },
	{ 30, -SOQ_ETLS, "the peer refused: it could not decompress (decompression_failure)" },
	{ 40, -SOQ_ETLS,
		"the peer refused: it wants other versions, ciphers or groups than ours, or a "
		"certificate (handshake_failure)" },
	{ 41, -SOQ_ECERTIFICATE, "the peer refused: it wants a certificate (no_certificate)" },
	{ 42, -SOQ_ECERTIFICATE, OURS "something is wrong with it (bad_certificate)" },
	{ 43, -SOQ_ECERTIFICATE,
		OURS "it is of a kind, or for a use, that is not wanted there "
		     "(unsupported_certificate)" },
	{ 44, -SOQ_ECERTIFICATE, OURS "it was revoked (certificate_revoked)" },
	{ 45, -SOQ_ECERTIFICATE, OURS "it is expired, or not valid yet (certificate_expired)" },
	{ 46, -SOQ_ECERTIFICATE, OURS "it does not say why (certificate_unknown)" },
	{ 47, -SOQ_ETLS,
		"the peer refused: something that we said makes no sense to it "
		"(illegal_parameter)" },
	{ 48, -SOQ_ECERTIFICATE, OURS "it does not trust the CA (unknown_ca)" },
	{ 49, -SOQ_ECERTIFICATE,
		"the peer refused: our certificate is good, but may not come in "
		"(access_denied)" },
	{ 50, -SOQ_ETLS, "the peer refused: it could not read our message (decode_error)" },
	{ 51, -SOQ_ETLS,
		"the peer refused: a signature or a check of the handshake was wrong "
		"(decrypt_error)" },
	{ 60, -SOQ_ETLS, "the peer refused: the law forbids it (export_restriction)" },
	{ 71, -SOQ_ETLS,
		"the peer refused: our ciphers are too weak for it (insufficient_security)" },
	{ 80, -SOQ_ETLS, "the peer failed for a reason of its own (internal_error)" },
	{ 86, -SOQ_ETLS,
		"the peer refused: it speaks a later version of TLS than we were made to try "
		"(inappropriate_fallback)" },
	{ 90, -SOQ_ETLS, "the peer's user did not want to go on (user_canceled)" },
	{ 100, -SOQ_ETLS, "the peer does not renegotiate (no_renegotiation)" },
	{ 109, -SOQ_ETLS,
		"the peer refused: an extension is missing from what we said "
		"(missing_extension)" },
	{ 110, -SOQ_ETLS,
		"the peer refused: it did not ask for an extension that we gave "
		"(unsupported_extension)" },
	{ 111, -SOQ_ECERTIFICATE, OURS "it could not be fetched (certificate_unobtainable)" },
	{ 112, -SOQ_ETLS,
		"the peer refused: it has no host of the name that we asked for "
		"(unrecognized_name)" },
	{ 113, -SOQ_ECERTIFICATE,
		OURS "the proof that it is not revoked is none "
		     "(bad_certificate_status_response)" },
	{ 114, -SOQ_ECERTIFICATE,
		OURS "it is not the one that was announced (bad_certificate_hash_value)" },
	{ 115, -SOQ_ETLS,
		"the peer refused: it does not know the key agreed upon beforehand "
		"(unknown_psk_identity)" },
	{ 116, -SOQ_ECERTIFICATE,
		"the peer refused: it wants a certificate of ours (certificate_required)" },
	{ 120, -SOQ_ETLS,
		"the peer refused: it speaks none of our protocols (ALPN, "
		"no_application_protocol)" },
};

/* ---- what we found wrong ---- */

#define NO_TLS	  "the peer does not speak TLS"
#define MALFORMED "the peer sent something that is malformed"
#define MISPLACED "the peer sent a message that is out of place"
#define CHANGED	  "what the peer sent was changed on its way"
#define TOO_LONG  "the peer sent a record that is longer than TLS allows"
#define NO_CIPHER "no cipher in common"
#define NO_GROUP  "no group for exchanging keys in common"
#define NO_METHOD "no method of signing in common that fits the certificate"
#define KEY_OTHER "the key is not the certificate's"
#define UNPROVEN  "the peer could not prove that its certificate is its own"
#define WEAK_KEY  "the certificate's key is too short"

static const struct reason reasons[] = {
	{ ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING, -SOQ_ETRUNCATED,
		"the peer's flow was cut off, not ended" },
	{ ERR_LIB_SSL, SSL_R_HTTP_REQUEST, -SOQ_ETLS,
		NO_TLS ": it sent an HTTP request in clear" },
	{ ERR_LIB_SSL, SSL_R_HTTPS_PROXY_REQUEST, -SOQ_ETLS,
		NO_TLS ": it takes us for an HTTP proxy, and speaks in clear" },
	{ ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, -SOQ_ETLS, NO_TLS },
	{ ERR_LIB_SSL, SSL_R_UNKNOWN_PROTOCOL, -SOQ_ETLS, NO_TLS },
	{ ERR_LIB_SSL, SSL_R_RECORD_TOO_SMALL, -SOQ_ETLS, NO_TLS },
	{ ERR_LIB_SSL, SSL_R_BAD_RECORD_TYPE, -SOQ_ETLS, NO_TLS },

	{ ERR_LIB_SSL, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, -SOQ_ECERTIFICATE,
		"the client shows no certificate, and one is needed here" },
	{ ERR_LIB_SSL, SSL_R_BAD_SIGNATURE, -SOQ_ECERTIFICATE, UNPROVEN },
	{ ERR_LIB_SSL, SSL_R_INVALID_STATUS_RESPONSE, -SOQ_ECERTIFICATE,
		"the proof that the peer's certificate is not revoked is none" },

	{ ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL, -SOQ_ETLS,
		"no protocol in common (ALPN)" },
	{ ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER, -SOQ_ETLS, NO_CIPHER },
	{ ERR_LIB_SSL, SSL_R_WRONG_CIPHER_RETURNED, -SOQ_ETLS,
		NO_CIPHER ": the peer chose one that we did not offer" },
	{ ERR_LIB_SSL, SSL_R_NO_CIPHERS_AVAILABLE, -SOQ_ETLS,
		"none of the ciphers that are allowed is for the versions that are allowed" },
	{ ERR_LIB_SSL, SSL_R_NO_CIPHER_MATCH, -SOQ_ETLS, "no cipher is called so" },
	{ ERR_LIB_SSL, SSL_R_NO_SHARED_GROUPS, -SOQ_ETLS, NO_GROUP },
	{ ERR_LIB_SSL, SSL_R_NO_SUITABLE_KEY_SHARE, -SOQ_ETLS, NO_GROUP },
	{ ERR_LIB_SSL, SSL_R_NO_SUITABLE_GROUPS, -SOQ_ETLS, NO_GROUP },
	{ ERR_LIB_SSL, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, -SOQ_ETLS, NO_METHOD },
	{ ERR_LIB_SSL, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, -SOQ_ETLS, NO_METHOD },
	{ ERR_LIB_SSL, SSL_R_WRONG_SIGNATURE_TYPE, -SOQ_ETLS, NO_METHOD },
	{ ERR_LIB_SSL, SSL_R_DH_KEY_TOO_SMALL, -SOQ_ETLS,
		"the peer's key of Diffie and Hellman is too short" },

	{ ERR_LIB_SSL, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, -SOQ_ETLS, CHANGED },
	{ ERR_LIB_SSL, SSL_R_DIGEST_CHECK_FAILED, -SOQ_ETLS, CHANGED },
	{ ERR_LIB_SSL, SSL_R_INCONSISTENT_EARLY_DATA_SNI, -SOQ_ETLS, CHANGED },
	{ ERR_LIB_SSL, SSL_R_PACKET_LENGTH_TOO_LONG, -SOQ_ETLS, TOO_LONG },
	{ ERR_LIB_SSL, SSL_R_ENCRYPTED_LENGTH_TOO_LONG, -SOQ_ETLS, TOO_LONG },
	{ ERR_LIB_SSL, SSL_R_DATA_LENGTH_TOO_LONG, -SOQ_ETLS, TOO_LONG },
	{ ERR_LIB_SSL, SSL_R_EXCESSIVE_MESSAGE_SIZE, -SOQ_ETLS,
		"the peer sent a message that is too long" },
	{ ERR_LIB_SSL, SSL_R_UNEXPECTED_MESSAGE, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_UNEXPECTED_RECORD, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_APP_DATA_IN_HANDSHAKE, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_CCS_RECEIVED_EARLY, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_UNEXPECTED_CCS_MESSAGE, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_NOT_ON_RECORD_BOUNDARY, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_INVALID_CCS_MESSAGE, -SOQ_ETLS, MISPLACED },
	{ ERR_LIB_SSL, SSL_R_LENGTH_MISMATCH, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_LENGTH_TOO_SHORT, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_BAD_EXTENSION, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_BAD_LENGTH, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_BAD_PACKET, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_INVALID_ALERT, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_CERT_LENGTH_MISMATCH, -SOQ_ETLS, MALFORMED },
	{ ERR_LIB_SSL, SSL_R_NO_RENEGOTIATION, -SOQ_ETLS,
		"the peer wants to renegotiate, which is refused" },
	{ ERR_LIB_SSL, SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, -SOQ_ETLS,
		"the peer does not know safe renegotiation (RFC 5746), and is refused" },
	{ ERR_LIB_SSL, SSL_R_INAPPROPRIATE_FALLBACK, -SOQ_ETLS,
		"the client was made to try an earlier version of TLS than we have in "
		"common: somebody may be interfering" },
	{ ERR_LIB_SSL, SSL_R_TOO_MANY_WARN_ALERTS, -SOQ_ETLS,
		"the peer sent too many warnings" },
	{ ERR_LIB_SSL, SSL_R_TOO_MANY_KEY_UPDATES, -SOQ_ETLS,
		"the peer changed its keys too often" },

	{ ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL, -SOQ_ETLS, WEAK_KEY },
	{ ERR_LIB_SSL, SSL_R_CA_KEY_TOO_SMALL, -SOQ_ETLS, "a CA's key is too short" },
	{ ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK, -SOQ_ETLS,
		"a certificate is signed in a way that is too weak" },
	{ ERR_LIB_SSL, SSL_R_BAD_VALUE, -SOQ_ETLS, "a word makes no sense there" },
	{ ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH, -SOQ_ETLS, KEY_OTHER },
	{ ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH, -SOQ_ETLS, KEY_OTHER },
	{ ERR_LIB_SSL, SSL_R_NO_CERTIFICATE_ASSIGNED, -SOQ_ETLS, "there is no certificate" },
	{ ERR_LIB_PEM, PEM_R_NO_START_LINE, -SOQ_ETLS,
		"there is nothing of the kind in it: a line '-----BEGIN ...' was expected" },
	{ ERR_LIB_PEM, PEM_R_BAD_END_LINE, -SOQ_ETLS, "its '-----END ...' line is missing" },
	{ ERR_LIB_PEM, PEM_R_BAD_BASE64_DECODE, -SOQ_ETLS, "its base64 is damaged" },
	{ ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ, -SOQ_ETLS,
		"the key is encrypted; 'openssl pkey -in FILE -out FILE' writes it in clear" },
	{ ERR_LIB_PEM, PEM_R_PROBLEMS_GETTING_PASSWORD, -SOQ_ETLS,
		"the key is encrypted; 'openssl pkey -in FILE -out FILE' writes it in clear" },
	{ ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED, -SOQ_ETLS,
		"there is no key in it of a kind that is known" },
};

/* ---- the cause ---- */

/* The words for an error; NULL: it has none here. */
static void find(unsigned long error, struct reason *ret)
{
	int library = ERR_GET_LIB(error), number = ERR_GET_REASON(error);

	*ret = (struct reason){ .library = library, .number = number, .code = -SOQ_ETLS };
	if (number == ERR_R_MALLOC_FAILURE) {
		ret->code = -ENOMEM;
		ret->words = soq_strerror(-ENOMEM);
		return;
	}
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].library == library && reasons[i].number == number) {
			*ret = reasons[i];
			return;
		}
	for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
		if (library == ERR_LIB_SSL && number == ALERTS + alerts[i].number) {
			ret->code = alerts[i].code;
			ret->words = alerts[i].words;
			return;
		}
}

int soq__tls_explain_number(const char **ret_words, int number)
{
	struct reason r;

	find(ERR_PACK(ERR_LIB_SSL, 0, number), &r);
	*ret_words = r.words ? r.words : "the peer refused, for a reason that is not known";
	return r.code;
}

/* Those that the caller has words for: it knows the SSL object. */
static bool is_version(const struct reason *r)
{
	static const int numbers[] = { SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE,
		SSL_R_UNSUPPORTED_SSL_VERSION, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
		SSL_R_WRONG_SSL_VERSION, SSL_R_BAD_PROTOCOL_VERSION_NUMBER,
		SSL_R_TLSV1_ALERT_PROTOCOL_VERSION };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (r->library == ERR_LIB_SSL && r->number == numbers[i])
			return true;
	return false;
}

static bool is_verify(const struct reason *r)
{
	return r->library == ERR_LIB_SSL && r->number == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

/* How near to the cause an error is. The verdict on a handshake is libssl's; what other
 * libraries say before it are the steps that led there. */
static int rank(const struct reason *r)
{
	if (!r->words && !is_version(r) && !is_verify(r))
		return 1;
	return r->library == ERR_LIB_SSL ? 3 : 2;
}

static void put_openssl(
	struct soq__tls_text *t, unsigned long error, const char *data, int flags)
{
	const char *words = ERR_SYSTEM_ERROR(error) ? soq_strerror(-ERR_GET_REASON(error))
						    : ERR_reason_error_string(error);

	if (words)
		soq__tls_put(t, "%s", words);
	else
		soq__tls_put(t, "OpenSSL's error %lx", error);
	if ((flags & ERR_TXT_STRING) && *data) {
		soq__tls_put(t, " (");
		soq__tls_put_foreign(t, data, strlen(data));
		soq__tls_put(t, ")");
	}
}

/* Empty the queue. @buf  OpenSSL's words, for a cause that has no others
 * @return false: the queue was empty */
static bool find_cause(struct reason *ret, char *buf, size_t len)
{
	struct soq__tls_text t;
	unsigned long error;
	const char *data;
	int flags, best = 0;

	while ((error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags))) {
		struct reason r;

		find(error, &r);
		if (rank(&r) <= best)
			continue;
		best = rank(&r);
		*ret = r;
		t = soq__tls_text(buf, len);
		put_openssl(&t, error, data, flags);
	}
	return best > 0;
}

/* ---- the sentence ---- */

static const char *version_name(long version)
{
	switch (version) {
	case TLS1_VERSION:
		return "1.0";
	case TLS1_1_VERSION:
		return "1.1";
	case TLS1_2_VERSION:
		return "1.2";
	default:
		return "1.3";
	}
}

/* 0 is no bound: what OpenSSL itself has. */
static void put_version(struct soq__tls_text *t, SSL *ssl, const struct reason *cause)
{
	long min = SSL_get_min_proto_version(ssl), max = SSL_get_max_proto_version(ssl);
	const char *least = version_name(min ? min : TLS1_VERSION);
	const char *most = version_name(max ? max : TLS1_3_VERSION);

	if (cause->number == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
		soq__tls_put(t, "the peer refused: ");
	soq__tls_put(t, "no version of TLS in common: we speak %s", least);
	if (strcmp(least, most))
		soq__tls_put(t, " to %s", most);
}

int soq__tls_explain(char *buf, size_t len, SSL *ssl, bool server, const char *name)
{
	struct soq__tls_text t = soq__tls_text(buf, len);
	char theirs[512];
	struct reason cause;

	if (!find_cause(&cause, theirs, sizeof(theirs))) {
		soq__tls_put(&t, "TLS failed, and OpenSSL does not say why");
		return -SOQ_ETLS;
	}
	if (is_verify(&cause)) {
		soq__tls_put_verify(&t, ssl, server, name);
		return -SOQ_ECERTIFICATE;
	}
	if (is_version(&cause))
		put_version(&t, ssl, &cause);
	else if (cause.words)
		soq__tls_put(&t, "%s", cause.words);
	else
		soq__tls_put(&t, "TLS failed: %s", theirs);
	if (cause.words && !strcmp(cause.words, NO_TLS))
		soq__tls_put_first(&t, ssl);
	return cause.code;
}

void soq__tls_explain_queue(char *buf, size_t len)
{
	struct soq__tls_text t = soq__tls_text(buf, len);
	char theirs[512];
	struct reason cause;

	if (!find_cause(&cause, theirs, sizeof(theirs)))
		soq__tls_put(&t, "OpenSSL does not say why");
	else
		soq__tls_put(&t, "%s", cause.words ? cause.words : theirs);
}
