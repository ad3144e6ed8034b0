/* tls_check.c - what is checked of a peer beside OpenSSL's own checks: pins and staples.
 *
 * Source: RFC 7469 section 2.6 (pins).
 */
#include "net/tls_config.h"
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <soquete/error.h>
#include <stdio.h>
#include <string.h>

/* ---- pins ---- */

static bool pin_of(unsigned char pin[SOQ__TLS_PIN_BYTES], const X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	bool ok = len > 0 && EVP_Digest(der, (size_t)len, pin, NULL, EVP_sha256(), NULL);

	OPENSSL_free(der);
	return ok;
}

static bool is_pinned(const struct soq__tls_rules *r, const X509 *x)
{
	unsigned char pin[SOQ__TLS_PIN_BYTES];

	if (!pin_of(pin, x))
		return false;
	for (size_t i = 0; i < r->pin_count; i++)
		if (memcmp(pin, r->pins[i], sizeof(pin)) == 0)
			return true;
	return false;
}

/* The peer's own key will do, or that of a CA on the way to one that is trusted. Without a CA
 * whatever else the peer sends proves nothing. */
static bool chain_is_pinned(const struct soq__tls_rules *r, SSL *ssl, const X509 *leaf)
{
	STACK_OF(X509) *chain = r->options.insecure ? NULL : SSL_get0_verified_chain(ssl);

	if (is_pinned(r, leaf))
		return true;
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (is_pinned(r, sk_X509_value(chain, i)))
			return true;
	return false;
}

static int check_pins(char *buf, size_t len, const struct soq__tls_rules *r, SSL *ssl)
{
	const X509 *leaf = SSL_get0_peer_certificate(ssl);
	unsigned char pin[SOQ__TLS_PIN_BYTES];
	unsigned char text[64] = "?";

	/* Without its certificate a server cannot be; a client may, where it is only asked. */
	if (!leaf || chain_is_pinned(r, ssl, leaf))
		return 0;
	if (pin_of(pin, leaf))
		EVP_EncodeBlock(text, pin, sizeof(pin));
	snprintf(buf, len, "the peer's key is none of those that are pinned: its pin is %s",
		text);
	return -SOQ_ECERTIFICATE;
}

int soq__tls_check(char *buf, size_t len, struct soq_tls *tls, SSL *ssl, bool server)
{
	const struct soq__tls_rules *r = soq__tls_config_rules(tls);
	int rc = 0;

	/* A session is kept of a peer only that has passed. */
	if (r->pin_count > 0 && !SSL_session_reused(ssl))
		rc = check_pins(buf, len, r, ssl);
	if (rc == 0 && !server)
		soq__tls_session_checked(ssl);
	return rc;
}
