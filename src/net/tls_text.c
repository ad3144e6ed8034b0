/* tls_text.c - see tls_text.h.
 *
 * Source: RFC 5280 sections 4.1.2.4 (names), 4.1.2.5 (times), 4.2.1.6 (alternative names); RFC
 * 3629 section 4 (UTF-8); Unicode 15 section 23.2 (controls of direction).
 */
#include "net/tls_text.h"
#include "net/tls_openssl.h"
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOSTS_MAX 4 /* names that are listed; the others are counted */
#define PIECE_MAX                                                                   \
	160 /* bytes of one name in a sentence: what it is about must find room too \
	     */

struct soq__tls_text soq__tls_text(char *buf, size_t len)
{
	buf[0] = '\0';
	return (struct soq__tls_text){ .buf = buf, .size = len };
}

/* All of it or, once something did not fit, nothing. */
static void put(struct soq__tls_text *t, const void *bytes, size_t len)
{
	if (len >= t->size - t->len) {
		t->size = t->len + 1;
		return;
	}
	memcpy(t->buf + t->len, bytes, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void soq__tls_put(struct soq__tls_text *t, const char *format, ...)
{
	char piece[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	if (n > 0)
		put(t, piece, strnlen(piece, sizeof(piece)));
}

/* ---- what others wrote ---- */

/* The character at the beginning of @s. @return its bytes, or 0: no UTF-8 */
static size_t decode(const unsigned char *s, size_t len, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	if (n == 0 || n > len || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	*ret = c;
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

/* Neither a control character nor one that orders what stands around it. */
static bool is_harmless(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} harmful[] = {
		{ 0, 0x1f }, { 0x7f, 0x9f },	      /* C0, DEL, C1 */
		{ 0x61c, 0x61c }, { 0x200b, 0x200f }, /* zero width, marks of direction */
		{ 0x2028, 0x202e }, /* ends of lines and paragraphs, embeddings, overrides */
		{ 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
		{ 0xe0000, 0xe0fff }, /* tags */
	};

	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++)
		if (c >= harmful[i].from && c <= harmful[i].to)
			return false;
	return true;
}

static void put_harmless(struct soq__tls_text *t, const unsigned char *s, size_t len)
{
	while (len > 0) {
		uint32_t c;
		size_t n = decode(s, len, &c);

		if (n > 0 && is_harmless(c)) {
			put(t, s, n);
		} else {
			n = n > 0 ? n : 1;
			for (size_t i = 0; i < n; i++)
				soq__tls_put(t, "\\x%02X", s[i]);
		}
		s += n;
		len -= n;
	}
}

void soq__tls_put_foreign(struct soq__tls_text *t, const void *bytes, size_t len)
{
	const unsigned char *s = bytes;
	size_t room = PIECE_MAX;

	if (len <= room) {
		put_harmless(t, s, len);
		return;
	}
	while (room > PIECE_MAX - 4 && (s[room] & 0xc0) == 0x80)
		room--; /* not within a character */
	put_harmless(t, s, room);
	soq__tls_put(t, "...");
}

/* ---- what a certificate says ---- */

static void put_name(struct soq__tls_text *t, const X509_NAME *name,
	void (*put_text)(struct soq__tls_text *t, const unsigned char *text, size_t len))
{
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char *text;
	long len;

	if (bio &&
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >=
			0) {
		len = BIO_get_mem_data(bio, &text);
		put_text(t, text, len > 0 ? (size_t)len : 0);
	} else {
		soq__tls_put(t, "(a name that cannot be read)");
	}
	BIO_free(bio);
}

static void put_piece(struct soq__tls_text *t, const unsigned char *text, size_t len)
{
	soq__tls_put_foreign(t, text, len);
}

void soq__tls_put_name(struct soq__tls_text *t, const X509_NAME *name)
{
	put_name(t, name, put_piece);
}

void soq__tls_put_time(struct soq__tls_text *t, const ASN1_TIME *time)
{
	struct tm tm;

	if (time && ASN1_TIME_to_tm(time, &tm))
		soq__tls_put(t, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		soq__tls_put(t, "(a time that cannot be read)");
}

static bool is_host(const GENERAL_NAME *name)
{
	return name->type == GEN_DNS ||
		(name->type == GEN_IPADD &&
			(name->d.iPAddress->length == 4 || name->d.iPAddress->length == 16));
}

static void put_host(struct soq__tls_text *t, const GENERAL_NAME *name)
{
	char text[INET6_ADDRSTRLEN];

	if (name->type == GEN_DNS)
		soq__tls_put_foreign(t, name->d.dNSName->data, (size_t)name->d.dNSName->length);
	else
		soq__tls_put(t, "%s",
			inet_ntop(name->d.iPAddress->length == 4 ? AF_INET : AF_INET6,
				name->d.iPAddress->data, text, sizeof(text)));
}

/* @names  NULL: none. @return whether there is any */
static bool put_names(struct soq__tls_text *t, const GENERAL_NAMES *names, size_t max)
{
	size_t count = 0, done = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		count += is_host(sk_GENERAL_NAME_value(names, i));
	/* "and 1 more" is no shorter than the name itself. */
	max = count == max + 1 ? count : max;
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && done < max; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (!is_host(name))
			continue;
		if (done > 0)
			soq__tls_put(t, done + 1 == count ? " and " : ", ");
		put_host(t, name);
		done++;
	}
	if (count > done)
		soq__tls_put(t, " and %zu more", count - done);
	return count > 0;
}

bool soq__tls_put_hosts(struct soq__tls_text *t, const X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool any = put_names(t, names, HOSTS_MAX);

	GENERAL_NAMES_free(names);
	return any;
}

void soq__tls_put_certificate(struct soq__tls_text *t, const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);

	if (X509_NAME_entry_count(subject) > 0) {
		soq__tls_put(t, "the certificate of '");
		soq__tls_put_name(t, subject);
		soq__tls_put(t, "'");
	} else {
		soq__tls_put(t, "the certificate for ");
		if (!soq__tls_put_hosts(t, certificate))
			soq__tls_put(t, "nobody");
	}
}

void soq__tls_name_text(char *buf, size_t len, const X509_NAME *name)
{
	struct soq__tls_text t = soq__tls_text(buf, len);

	put_name(&t, name, put_harmless);
}

void soq__tls_time_text(char *buf, size_t len, const ASN1_TIME *time)
{
	struct soq__tls_text t = soq__tls_text(buf, len);

	soq__tls_put_time(&t, time);
}
