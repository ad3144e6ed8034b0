/* tls_first.c - the first bytes of a peer that does not speak TLS, which tell what it speaks.
 *
 * OpenSSL keeps what it has read to itself. So when a handshake begins, a callback is put
 * before the BIO, which looks at the first bytes to come in, takes a note of them if they are
 * none of TLS's, and is gone. The SSL object owns the note.
 *
 * Source: SSL_CTX_set_info_callback(3), BIO_set_callback(3); RFC 8446 section 5.1 (the header
 * of a record).
 */
#include "net/tls_first.h"
#include <openssl/bio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 40 /* bytes: a line of a protocol of lines, or enough of it */

struct note {
	unsigned char bytes[SHOWN_MAX];
	size_t len;
};

static int note_index = -1;
static pthread_once_t note_once = PTHREAD_ONCE_INIT;

static void note_free(
	void *ssl, void *item, CRYPTO_EX_DATA *data, int index, long arg, void *more)
{
	free(item);
}

static void get_index(void)
{
	note_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, note_free);
}

/* Every version of TLS has 3 as its major one; types are 20 to 24. */
static bool is_tls(const unsigned char *bytes, size_t len)
{
	return bytes[0] >= 20 && bytes[0] <= 24 && (len < 2 || bytes[1] == 3);
}

static void take_note(SSL *ssl, const unsigned char *bytes, size_t len)
{
	struct note *note;

	if (is_tls(bytes, len) || note_index < 0 || SSL_get_ex_data(ssl, note_index) ||
		!(note = malloc(sizeof(*note))))
		return;
	note->len = len < SHOWN_MAX ? len : SHOWN_MAX;
	memcpy(note->bytes, bytes, note->len);
	if (!SSL_set_ex_data(ssl, note_index, note))
		free(note);
}

static long look(BIO *bio, int what, const char *bytes, size_t room, int argi, long argl,
	int ret, size_t *ret_len)
{
	if (what == (BIO_CB_READ | BIO_CB_RETURN) && ret > 0 && *ret_len > 0) {
		take_note((SSL *)BIO_get_callback_arg(bio), (const unsigned char *)bytes,
			*ret_len);
		BIO_set_callback_ex(bio, NULL);
	}
	return ret;
}

void soq__tls_first_watch(const SSL *ssl, int where, int value)
{
	BIO *bio = SSL_get_rbio(ssl);

	if (!(where & SSL_CB_HANDSHAKE_START) || !bio)
		return;
	pthread_once(&note_once, get_index);
	BIO_set_callback_arg(bio, (char *)ssl);
	BIO_set_callback_ex(bio, look);
}

void soq__tls_put_first(struct soq__tls_text *t, const SSL *ssl)
{
	unsigned char bytes[SHOWN_MAX];
	const struct note *note;
	size_t len;
	int n;

	pthread_once(&note_once, get_index);
	note = note_index < 0 ? NULL : SSL_get_ex_data(ssl, note_index);
	if (!note)
		return;
	memcpy(bytes, note->bytes, note->len);
	n = BIO_read(SSL_get_rbio(ssl), bytes + note->len, (int)(SHOWN_MAX - note->len));
	len = note->len + (n > 0 ? (size_t)n : 0);
	for (size_t i = 1; i < len; i++)
		if (bytes[i] == '\r' || bytes[i] == '\n')
			len = i;
	soq__tls_put(t, ": it begins with '");
	soq__tls_put_foreign(t, bytes, len);
	soq__tls_put(t, "'");
}
