/* tls_info.c - what a handshake came to, for whoever asks. */
#include "net/tls_config.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Whether the peer's certificate was found good: by its CA, or by its pin where that is all
 * that counts. A connection whose check failed has no information to give. */
static bool is_trusted(const SSL *ssl)
{
	const struct soq__tls_extra *extra = soq__tls_extra(SSL_get_SSL_CTX(ssl));

	if (extra->insecure)
		return extra->pinned;
	return SSL_get_verify_result(ssl) == X509_V_OK;
}

static void tell_peer(struct soq_tls_info *ret, const SSL *ssl, const X509 *x)
{
	unsigned char pin[SOQ__TLS_PIN_BYTES];
	struct tm until;

	ret->trusted = is_trusted(ssl);
	soq__tls_name_text(ret->subject, sizeof(ret->subject), X509_get_subject_name(x));
	soq__tls_name_text(ret->issuer, sizeof(ret->issuer), X509_get_issuer_name(x));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &until))
		ret->until_s = (int64_t)timegm(&until);
	_Static_assert(sizeof(ret->pin) > (SOQ__TLS_PIN_BYTES + 2) / 3 * 4, "base64 and a NUL");
	if (soq__tls_pin(pin, x))
		EVP_EncodeBlock((unsigned char *)ret->pin, pin, sizeof(pin));
}

void soq__tls_info_of(struct soq_tls_info *ret, SSL *ssl)
{
	const unsigned char *alpn;
	const char *name;
	const X509 *x;
	unsigned n;

	*ret = (struct soq_tls_info){
		.version = SSL_get_version(ssl),
		.cipher = SSL_get_cipher_name(ssl),
		.resumed = SSL_session_reused(ssl),
	};
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	if (alpn)
		memcpy(ret->alpn, alpn, soq__min_size(n, sizeof(ret->alpn) - 1));
	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (name)
		snprintf(ret->name, sizeof(ret->name), "%s", name);
	x = SSL_get0_peer_certificate(ssl);
	if (x)
		tell_peer(ret, ssl, x);
}
