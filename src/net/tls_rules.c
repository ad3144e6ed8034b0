/* tls_rules.c - the options of a TLS configuration, checked and copied.
 *
 * Source: RFC 7301 section 3.1 (ALPN), RFC 7469 section 2.4 (pins).
 */
#include "net/tls_config.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <soquete/time.h>
#include "fiber/last_error.h"

#define BLANKS	     " \t\n"
#define ALPN_MAX     31 /* of a protocol's name: what struct soq_tls_info has room for */
#define PIN_CHARS    44 /* of a pin in base64 */
#define TIMEOUT_NS   (10 * SOQ_S)
#define TEXTS_COUNT  (sizeof(texts) / sizeof(texts[0]))
#define TEXT(member) offsetof(struct soq_tls_options, member)

/* The options that are copied. */
static const size_t texts[] = { TEXT(ca), TEXT(crl), TEXT(pins), TEXT(alpn), TEXT(ciphers),
	TEXT(ciphersuites), TEXT(keylog) };

static char **text_at(struct soq_tls_options *o, size_t offset)
{
	return (char **)(void *)((char *)o + offset);
}

static int copy_texts(struct soq_tls_options *o, const struct soq_tls_options *from)
{
	int rc = 0;

	*o = *from;
	o->certificate = o->key = o->staple = NULL;
	for (size_t i = 0; i < TEXTS_COUNT; i++) {
		char **text = text_at(o, texts[i]);

		if (*text && !(*text = strdup(*text)))
			rc = -ENOMEM;
	}
	return rc;
}

/* ---- ALPN ---- */

static int parse_alpn(struct soq__tls_rules *r)
{
	const char *p = r->options.alpn;
	size_t n;

	/* Each blank between two names becomes the second's length. */
	r->alpn = malloc(strlen(p) + 2);
	if (!r->alpn)
		return -ENOMEM;
	for (p += strspn(p, BLANKS); *p; p += n + strspn(p + n, BLANKS)) {
		n = strcspn(p, BLANKS);
		if (n > ALPN_MAX)
			return soq__fail(-EINVAL,
				"TLS: the protocol '%.*s' of alpn is longer than %d bytes",
				(int)n, p, ALPN_MAX);
		r->alpn[r->alpn_len++] = (unsigned char)n;
		memcpy(r->alpn + r->alpn_len, p, n);
		r->alpn_len += n;
	}
	if (r->alpn_len == 0 || r->alpn_len > UINT16_MAX)
		return soq__fail(-EINVAL,
			"TLS: alpn names %s; it is a list such as \"h2 http/1.1\"",
			r->alpn_len ? "too many protocols" : "no protocol");
	return 0;
}

/* ---- pins ---- */

static int parse_pin(unsigned char pin[SOQ__TLS_PIN_BYTES], const char *p, size_t n)
{
	/* The last group of four holds two bytes, and one byte of padding is decoded too. */
	unsigned char bytes[SOQ__TLS_PIN_BYTES + 1];

	if (n != PIN_CHARS || p[n - 1] != '=' || p[n - 2] == '=' ||
		EVP_DecodeBlock(bytes, (const unsigned char *)p, (int)n) != sizeof(bytes))
		return soq__fail(-EINVAL,
			"TLS: '%.*s' is no pin: it is the SHA-256 of a key "
			"(SubjectPublicKeyInfo) "
			"in base64, 44 characters of which the last is '='",
			(int)soq__min_size(n, 64), p);
	memcpy(pin, bytes, SOQ__TLS_PIN_BYTES);
	return 0;
}

static int parse_pins(struct soq__tls_rules *r)
{
	const char *p = r->options.pins;
	int rc = 0;
	size_t n;

	r->pins = malloc((strlen(p) / 2 + 1) * sizeof(*r->pins));
	if (!r->pins)
		return -ENOMEM;
	for (p += strspn(p, BLANKS); *p && rc == 0; p += n + strspn(p + n, BLANKS)) {
		n = strcspn(p, BLANKS);
		rc = parse_pin(r->pins[r->pin_count++], p, n);
	}
	if (r->pin_count == 0)
		return soq__fail(-EINVAL, "TLS: pins are asked for, and none is given");
	return rc;
}

/* ---- what makes no sense ---- */

static int check(const struct soq_tls_options *o)
{
	const char *wrong = NULL;

	if (!o->certificate && (o->key || o->staple))
		wrong = "a key or a staple is given without the certificate that it belongs to";
	else if ((unsigned)o->min_version > SOQ_TLS_1_3 ||
		(unsigned)o->max_version > SOQ_TLS_1_3)
		wrong = "min_version and max_version are of enum soq_tls_version";
	else if (o->max_version != SOQ_TLS_ANY && o->min_version > o->max_version)
		wrong = "min_version is above max_version";
	else if ((unsigned)o->clients > SOQ_TLS_CLIENTS_NEEDED)
		wrong = "clients is of enum soq_tls_clients";
	else if (o->clients != SOQ_TLS_CLIENTS_ANY && !o->certificate)
		wrong = "clients are to have certificates, but the server that asks them has "
			"none";
	else if (o->clients != SOQ_TLS_CLIENTS_ANY && !o->ca && !o->insecure)
		/* What every CA of the world vouches for is no client of ours. */
		wrong = "clients are to have certificates, but of which CA? name its file: ca";
	else if (o->insecure && o->ca)
		wrong = "insecure trusts anybody, so that ca has no say: give one of the two";
	else if (o->insecure && o->crl)
		wrong = "insecure trusts anybody, so that crl has no say: give one of the two";
	else if (o->insecure && o->staple_needed)
		wrong = "insecure trusts anybody, so that nobody could sign the staple needed";
	else if (o->handshake_timeout_ns < 0)
		wrong = "handshake_timeout_ns is negative";
	return wrong ? soq__fail(-EINVAL, "TLS: %s", wrong) : 0;
}

int soq__tls_rules_init(struct soq__tls_rules *r, const struct soq_tls_options *opt)
{
	int rc = check(opt);

	if (rc < 0)
		return rc;
	rc = copy_texts(&r->options, opt);
	if (rc == 0 && r->options.alpn)
		rc = parse_alpn(r);
	if (rc == 0 && r->options.pins)
		rc = parse_pins(r);
	if (rc < 0)
		return rc;
	if (!r->options.keylog) {
		const char *path = secure_getenv("SSLKEYLOGFILE");

		r->keylog_optional = true;
		if (path && *path && !(r->options.keylog = strdup(path)))
			return -ENOMEM;
	}
	if (r->options.handshake_timeout_ns == 0)
		r->options.handshake_timeout_ns = TIMEOUT_NS;
	r->library = soq__tls_library();
	return 0;
}

void soq__tls_rules_done(struct soq__tls_rules *r)
{
	for (size_t i = 0; i < TEXTS_COUNT; i++)
		free(*text_at(&r->options, texts[i]));
	free(r->alpn);
	free(r->pins);
}
