/* tls_verify.c - which check of which certificate failed: remembered while OpenSSL verifies,
 * and put into a sentence afterwards.
 *
 * The handshake's error says no more than "certificate verify failed", and the certificate is
 * not the SSL object's yet. So the callback takes a note, which the SSL object owns.
 *
 * Source: SSL_CTX_set_verify(3), X509_STORE_CTX_get_error(3); RFC 5280 sections 5.3.1 (reasons
 * of a revocation), 6 (validation of a path).
 */
#include "net/tls_text.h"
#include "net/tls_verify.h"
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct note {
	int error;
	X509 *certificate;    /* owned, may be NULL */
	ASN1_TIME *revoked;   /* owned; since when, or NULL */
	long revoked_for;     /* CRL_REASON_…; -1: not said */
	ASN1_TIME *crl_until; /* owned; when the list's successor was due, or NULL */
};

/* ---- the note ---- */

static int note_index = -1;
static pthread_once_t note_once = PTHREAD_ONCE_INIT;

static void note_free(
	void *ssl, void *item, CRYPTO_EX_DATA *data, int index, long arg, void *more)
{
	struct note *note = item;

	if (!note)
		return;
	X509_free(note->certificate);
	ASN1_TIME_free(note->revoked);
	ASN1_TIME_free(note->crl_until);
	free(note);
}

static void get_index(void)
{
	note_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, note_free);
}

static void note_crl(struct note *note, X509_STORE_CTX *ctx)
{
	X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
	const ASN1_TIME *until = crl ? X509_CRL_get0_nextUpdate(crl) : NULL;
	ASN1_ENUMERATED *reason;
	X509_REVOKED *revoked;

	if (until)
		note->crl_until = ASN1_STRING_dup(until);
	if (!crl || !note->certificate ||
		X509_CRL_get0_by_cert(crl, &revoked, note->certificate) != 1)
		return;
	note->revoked = ASN1_STRING_dup(X509_REVOKED_get0_revocationDate(revoked));
	reason = X509_REVOKED_get_ext_d2i(revoked, NID_crl_reason, NULL, NULL);
	if (reason)
		note->revoked_for = ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
}

/* Without memory for it the sentence names no certificate. */
int soq__tls_verify_note(int ok, X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct note *note;

	pthread_once(&note_once, get_index);
	if (ok || !ssl || note_index < 0 || !(note = calloc(1, sizeof(*note))))
		return ok;
	note->error = X509_STORE_CTX_get_error(ctx);
	note->revoked_for = -1;
	note->certificate = X509_STORE_CTX_get_current_cert(ctx);
	if (note->certificate && !X509_up_ref(note->certificate))
		note->certificate = NULL;
	note_crl(note, ctx);
	note_free(ssl, SSL_get_ex_data(ssl, note_index), NULL, 0, 0, NULL);
	if (!SSL_set_ex_data(ssl, note_index, note))
		note_free(ssl, note, NULL, 0, 0, NULL);
	return 0;
}

/* ---- the sentence ---- */

/* What a sentence is made of. */
struct failure {
	const struct note *note;
	const X509 *certificate; /* never NULL */
	bool server;		 /* we are one: it is a client's certificate that we saw */
	const char *name;	 /* that a server's certificate must have, or NULL */
};

static void put_expired(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " expired on ");
	soq__tls_put_time(t, X509_get0_notAfter(f->certificate));
}

static void put_not_yet_valid(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is not valid before ");
	soq__tls_put_time(t, X509_get0_notBefore(f->certificate));
	soq__tls_put(t, "; is the clock right?");
}

static void put_self_signed(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t,
		" is self-signed, and nobody here trusts it; if it is yours, give it as "
		"the CA");
}

static void put_unknown_root(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "the CA '");
	soq__tls_put_name(t, X509_get_subject_name(f->certificate));
	soq__tls_put(t,
		"' is not among the trusted CAs; if it is yours, give its certificate "
		"as the CA");
}

static void put_unknown_issuer(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is issued by '");
	soq__tls_put_name(t, X509_get_issuer_name(f->certificate));
	soq__tls_put(t,
		"', which is not among the trusted CAs, and which the peer does not "
		"lead to another");
}

static void put_revoked(struct soq__tls_text *t, const struct failure *f)
{
	static const char *const reasons[] = { "", " (key compromise)",
		" (compromise of the CA)", " (its owner is another now)", " (superseded)",
		" (no longer in use)", " (on hold)", "", "", " (its rights were withdrawn)",
		" (compromise of the attributes' authority)" };
	long reason = f->note->revoked_for;

	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " was revoked");
	if (f->note->revoked) {
		soq__tls_put(t, " on ");
		soq__tls_put_time(t, f->note->revoked);
	}
	if (reason >= 0 && reason < (long)(sizeof(reasons) / sizeof(reasons[0])))
		soq__tls_put(t, "%s", reasons[reason]);
}

static void put_crl_expired(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "the list of certificates that '");
	soq__tls_put_name(t, X509_get_issuer_name(f->certificate));
	soq__tls_put(t, "' has revoked is out of date");
	if (f->note->crl_until) {
		soq__tls_put(t, ": the next was due on ");
		soq__tls_put_time(t, f->note->crl_until);
	}
}

static void put_crl_missing(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "whether ");
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " was revoked cannot be told: the CRL file has no list by '");
	soq__tls_put_name(t, X509_get_issuer_name(f->certificate));
	soq__tls_put(t, "'");
}

static void put_crl_wrong(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "the list of certificates that '");
	soq__tls_put_name(t, X509_get_issuer_name(f->certificate));
	soq__tls_put(t,
		"' has revoked is not to be trusted: its signature, or its dates, are "
		"wrong");
}

static void put_other_name(struct soq__tls_text *t, const struct failure *f)
{
	char hosts[768];
	struct soq__tls_text list = soq__tls_text(hosts, sizeof(hosts));

	if (!soq__tls_put_hosts(&list, f->certificate)) {
		soq__tls_put_certificate(t, f->certificate);
		soq__tls_put(t, " has no host among its alternative names, which alone count");
		return;
	}
	soq__tls_put(t, "the certificate is for %s", hosts);
	if (f->name) {
		soq__tls_put(t, ", not for ");
		soq__tls_put_foreign(t, f->name, strlen(f->name));
	}
}

static void put_purpose(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, f->server ? " is not for a client" : " is not for a server");
}

static void put_no_ca(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is no CA's, yet another was signed with it");
}

static void put_path_length(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is a CA's that may not have so many CAs below it");
}

static void put_weak_key(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "the key of ");
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is too weak");
}

static void put_weak_ca(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "a CA in between, '");
	soq__tls_put_name(t, X509_get_subject_name(f->certificate));
	soq__tls_put(t, "', has signed with a key that is too weak");
}

static void put_weak_digest(struct soq__tls_text *t, const struct failure *f)
{
	const char *method = OBJ_nid2ln(X509_get_signature_nid(f->certificate));

	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(
		t, " is signed in a way that is too weak (%s)", method ? method : "unknown");
}

static void put_signature(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "the signature of ");
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " is wrong: it is forged or damaged");
}

static void put_constraint(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " has a name that its CA has no right to give");
}

static void put_too_long(struct soq__tls_text *t, const struct failure *f)
{
	soq__tls_put(t, "there are too many CAs between ");
	soq__tls_put_certificate(t, f->certificate);
	soq__tls_put(t, " and a trusted one");
}

static const struct {
	int error;
	void (*put)(struct soq__tls_text *t, const struct failure *f);
} sentences[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, put_expired },
	{ X509_V_ERR_CERT_NOT_YET_VALID, put_not_yet_valid },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, put_self_signed },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, put_unknown_root },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, put_unknown_issuer },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, put_unknown_issuer },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, put_unknown_issuer },
	{ X509_V_ERR_CERT_REVOKED, put_revoked },
	{ X509_V_ERR_CRL_HAS_EXPIRED, put_crl_expired },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, put_crl_missing },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, put_crl_missing },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE, put_crl_wrong },
	{ X509_V_ERR_CRL_NOT_YET_VALID, put_crl_wrong },
	{ X509_V_ERR_HOSTNAME_MISMATCH, put_other_name },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, put_other_name },
	{ X509_V_ERR_INVALID_PURPOSE, put_purpose },
	{ X509_V_ERR_INVALID_CA, put_no_ca },
	{ X509_V_ERR_KEYUSAGE_NO_CERTSIGN, put_no_ca },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, put_path_length },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, put_weak_key },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, put_weak_ca },
	{ X509_V_ERR_CA_MD_TOO_WEAK, put_weak_digest },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, put_signature },
	{ X509_V_ERR_PERMITTED_VIOLATION, put_constraint },
	{ X509_V_ERR_EXCLUDED_VIOLATION, put_constraint },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, put_too_long },
};

/* OpenSSL's own words, where there are no better ones. */
static void put_other(struct soq__tls_text *t, const X509 *certificate, long error)
{
	if (certificate)
		soq__tls_put_certificate(t, certificate);
	else
		soq__tls_put(t, "the peer's certificate");
	soq__tls_put(t, " is not to be trusted: %s", X509_verify_cert_error_string(error));
}

void soq__tls_put_verify(struct soq__tls_text *t, const SSL *ssl, bool server, const char *name)
{
	long error = SSL_get_verify_result(ssl);
	struct failure f = { .server = server, .name = name };

	pthread_once(&note_once, get_index);
	f.note = note_index < 0 ? NULL : SSL_get_ex_data(ssl, note_index);
	/* Else it is of an earlier check, which whoever verifies has overruled since. */
	if (f.note && f.note->error == error)
		f.certificate = f.note->certificate;
	for (size_t i = 0; f.certificate && i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (sentences[i].error == error) {
			sentences[i].put(t, &f);
			return;
		}
	put_other(t, f.certificate, error);
}
