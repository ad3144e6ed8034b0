/* tls_check.c - what is checked of a peer beside OpenSSL's own checks: pins and staples.
 *
 * Source: RFC 7469 section 2.6 (pins), RFC 6960 section 3.2 (OCSP), RFC 7633 (must-staple).
 */
#include "net/tls_config.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <soquete/error.h>
#include <soquete/time.h>
#include <stdio.h>
#include <string.h>

#define SKEW_S	       (5 * 60) /* by which the CA's clock and ours may differ */
#define FEATURE_STAPLE 5	/* status_request, RFC 6066 section 8 */

/* ---- pins ---- */

bool soq__tls_pin(unsigned char pin[SOQ__TLS_PIN_BYTES], const X509 *x)
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

	if (!soq__tls_pin(pin, x))
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

static int check_pins(
	char *buf, size_t len, const struct soq__tls_rules *r, SSL *ssl, bool server)
{
	const X509 *leaf = SSL_get0_peer_certificate(ssl);
	unsigned char pin[SOQ__TLS_PIN_BYTES];
	unsigned char text[64] = "?";

	if (!leaf && server)
		return 0; /* a client that was only asked */
	if (leaf && chain_is_pinned(r, ssl, leaf))
		return 0;
	if (leaf && soq__tls_pin(pin, leaf))
		EVP_EncodeBlock(text, pin, sizeof(pin));
	snprintf(buf, len, "the peer's key is none of those that are pinned: its pin is %s",
		text);
	return -SOQ_ECERTIFICATE;
}

/* ---- staples ---- */

/* A staple, and what it is to be about. */
struct staple {
	OCSP_BASICRESP *basic;
	STACK_OF(X509) * chain; /* found good */
	X509 *leaf, *issuer;
	int64_t now_s;
	char *buf; /* for the reason */
	size_t len;
};

/* How a staple turned out. What cannot be used is as good as none: whoever has stolen a key can
 * as well leave the staple out. */
enum verdict { GOOD, REVOKED, UNUSABLE };

static enum verdict unusable(struct staple *s, const char *why)
{
	snprintf(s->buf, s->len, "the staple (OCSP) that the server showed cannot be used: %s",
		why);
	return UNUSABLE;
}

/* Whether it is signed by the CA of the certificate, or by one whom that CA has charged with
 * it: no other CA has a say, however trusted it is. */
static bool is_signed(struct staple *s)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store && X509_STORE_add_cert(store, s->issuer);

	if (ok) {
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)s->now_s);
		ok = OCSP_basic_verify(s->basic, s->chain, store, 0) == 1;
	}
	X509_STORE_free(store);
	return ok;
}

/* Whether a response is about the certificate, by the hash function that the response uses. */
static bool is_about(OCSP_SINGLERESP *one, const struct staple *s)
{
	/* Not const, for the reason alone that OCSP_id_get0_info() is older than const. */
	OCSP_CERTID *its = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(one), *ours = NULL;
	ASN1_OBJECT *hash = NULL;
	const EVP_MD *md;
	bool same;

	if (!OCSP_id_get0_info(NULL, &hash, NULL, NULL, its))
		return false;
	md = EVP_get_digestbyobj(hash);
	if (md)
		ours = OCSP_cert_to_id(md, s->leaf, s->issuer);
	same = ours && OCSP_id_cmp(ours, its) == 0;
	OCSP_CERTID_free(ours);
	return same;
}

static OCSP_SINGLERESP *find_response(const struct staple *s)
{
	for (int i = 0; i < OCSP_resp_count(s->basic); i++) {
		OCSP_SINGLERESP *one = OCSP_resp_get0(s->basic, i);

		if (is_about(one, s))
			return one;
	}
	return NULL;
}

static enum verdict revoked(struct staple *s, const ASN1_GENERALIZEDTIME *at, int reason)
{
	char when[64];

	soq__tls_time_text(when, sizeof(when), at);
	snprintf(s->buf, s->len,
		"the certificate was revoked on %s (%s), as the server's own staple says", when,
		reason < 0 ? "no reason is given" : OCSP_crl_reason_str(reason));
	return REVOKED;
}

/* What was revoked once stays so, however old the news. */
static enum verdict judge_response(struct staple *s, OCSP_SINGLERESP *one)
{
	ASN1_GENERALIZEDTIME *at = NULL, *from = NULL, *until = NULL;
	char text[128], when[64];
	int reason = -1;
	int status = OCSP_single_get0_status(one, &reason, &at, &from, &until);

	if (status == V_OCSP_CERTSTATUS_REVOKED)
		return revoked(s, at, reason);
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return unusable(s, "the CA does not know the certificate");
	if (!from || ASN1_TIME_cmp_time_t(from, (time_t)(s->now_s + SKEW_S)) != -1)
		return unusable(s, "it is of the future");
	/* RFC 5019 section 2.2.4 */
	if (!until)
		return unusable(s, "it does not say until when it holds");
	if (ASN1_TIME_cmp_time_t(until, (time_t)(s->now_s - SKEW_S)) >= 0)
		return GOOD;
	soq__tls_time_text(when, sizeof(when), until);
	snprintf(text, sizeof(text), "it was good until %s", when);
	return unusable(s, text);
}

static enum verdict judge(struct staple *s)
{
	OCSP_SINGLERESP *one;

	if (!s->issuer)
		return unusable(s, "whose CA's it would have to be is not known");
	if (!s->basic)
		return unusable(s, "it does not say how a certificate stands");
	if (!is_signed(s))
		return unusable(s, "it is not signed by the certificate's CA");
	one = find_response(s);
	return one ? judge_response(s, one) : unusable(s, "it is about another certificate");
}

/* Whether the CA has written into the certificate that it comes with a staple. */
static bool must_staple(const X509 *leaf)
{
	TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
		found = found ||
			ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == FEATURE_STAPLE;
	TLS_FEATURE_free(features);
	return found;
}

static OCSP_BASICRESP *parse_staple(const unsigned char *der, long len)
{
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, len);
	OCSP_BASICRESP *basic = NULL;

	if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(response);
	OCSP_RESPONSE_free(response);
	return basic;
}

static int check_staple(char *buf, size_t len, const struct soq__tls_rules *r, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	struct staple s = { .chain = chain, .buf = buf, .len = len };
	const unsigned char *der = NULL;
	long der_len = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
	enum verdict verdict;
	bool is_needed;

	s.leaf = sk_X509_value(chain, 0);
	s.issuer = sk_X509_value(chain, 1);
	if (!s.leaf)
		return 0;
	is_needed = r->options.staple_needed || must_staple(s.leaf);
	if (!der || der_len <= 0) {
		snprintf(buf, len,
			"the server does not prove that its certificate is not revoked: %s "
			"asks "
			"for a staple (OCSP), and it shows none",
			r->options.staple_needed ? "this side" : "the certificate itself");
		return is_needed ? -SOQ_ECERTIFICATE : 0;
	}
	s.now_s = soq__tls_wall_clock() / SOQ_S;
	s.basic = parse_staple(der, der_len);
	verdict = judge(&s);
	OCSP_BASICRESP_free(s.basic);
	ERR_clear_error();
	return verdict == REVOKED || (verdict == UNUSABLE && is_needed) ? -SOQ_ECERTIFICATE : 0;
}

/* ---- all of it ---- */

/* A resumed connection shows neither certificate nor staple; its session was kept because its
 * peer had passed here, and for no longer than a day. */
int soq__tls_check(char *buf, size_t len, struct soq_tls *tls, SSL *ssl, bool server)
{
	const struct soq__tls_rules *r = soq__tls_config_rules(tls);
	int rc = 0;

	if (!SSL_session_reused(ssl)) {
		if (r->pin_count > 0)
			rc = check_pins(buf, len, r, ssl, server);
		if (rc == 0 && !server && !r->options.insecure)
			rc = check_staple(buf, len, r, ssl);
	}
	if (rc == 0 && !server)
		soq__tls_session_checked(ssl);
	return rc;
}
