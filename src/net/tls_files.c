/* tls_files.c - certificates, keys, lists of revoked certificates and staples, read from files.
 *
 * Runs on a thread of the offload pool. A file is read whole before it is looked into, so that
 * what the disk says is told apart from what the file holds.
 *
 * Source: RFC 7468 (PEM), RFC 5280 (certificates, CRLs), RFC 6960 (OCSP).
 */
#include "net/tls_config.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <soquete/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX                                                         \
	((size_t)64 << 20) /* the longest CRLs that there are have some 10 MiB \
			    */
#define FIRST_LINE_MAX 48  /* of a file that is not what it should be */

int soq__tls_why(struct soq__tls_why *why, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	why->code = code;
	return code;
}

/* ---- a file's bytes ---- */

struct bytes {
	char *data; /* a NUL follows them; may be a key's: cleared when freed */
	size_t len, capacity;
};

static void bytes_done(struct bytes *b)
{
	OPENSSL_clear_free(b->data, b->capacity);
}

static int bytes_grow(struct bytes *b)
{
	size_t capacity = b->capacity ? 2 * b->capacity : 16384;
	char *data = OPENSSL_clear_realloc(b->data, b->capacity, capacity);

	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

static int read_all(struct bytes *b, int fd)
{
	ssize_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		if (b->capacity - b->len < 2)
			rc = bytes_grow(b);
		if (rc < 0)
			return rc;
		n = read(fd, b->data + b->len, b->capacity - b->len - 1);
		if (n < 0)
			return -errno;
		b->len += (size_t)n;
		if (b->len > FILE_BYTES_MAX)
			return -EFBIG;
	}
	b->data[b->len] = '\0';
	return rc;
}

/* @what  "certificate file", for the sentence */
static int read_file(
	struct bytes *ret, const char *what, const char *path, struct soq__tls_why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	*ret = (struct bytes){ 0 };
	rc = fd < 0 ? -errno : read_all(ret, fd);
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		bytes_done(ret);
		return soq__tls_why(
			why, rc, "TLS: the %s '%s': %s", what, path, soq_strerror(rc));
	}
	return 0;
}

/* The file's first line, without what moves a terminal's cursor. */
static void first_line(char text[FIRST_LINE_MAX + 1], const struct bytes *b)
{
	size_t n = 0;

	for (; n < b->len && n < FIRST_LINE_MAX && b->data[n] != '\n'; n++)
		text[n] = isprint((unsigned char)b->data[n]) ? b->data[n] : '?';
	text[n] = '\0';
}

/* Nothing of @kind was found. */
static int not_pem(struct soq__tls_why *why, const char *what, const char *path,
	const char *kind, const struct bytes *b)
{
	char line[FIRST_LINE_MAX + 1];

	first_line(line, b);
	if (!*line)
		return soq__tls_why(why, -SOQ_ETLS, "TLS: the %s '%s' holds no %s: %s", what,
			path, kind, b->len ? "its first line is empty" : "it is empty");
	return soq__tls_why(why, -SOQ_ETLS,
		"TLS: the %s '%s' holds no %s in PEM: its first line is '%s'", what, path, kind,
		line);
}

/* There was something of @kind, which OpenSSL does not understand; its queue of errors says
 * why.
 */
static int spoilt(
	struct soq__tls_why *why, const char *what, const char *path, const char *kind)
{
	char reason[256];

	soq__tls_explain_queue(reason, sizeof(reason));
	return soq__tls_why(why, -SOQ_ETLS, "TLS: the %s '%s': its %s cannot be read: %s", what,
		path, kind, reason);
}

/* Never ask at the terminal. */
static int refuse_password(char *buf, int len, int is_writing, void *asked)
{
	*(bool *)asked = true;
	return -1;
}

/* Whether what ended the reading of a PEM file was its end. */
static bool is_end_of_pem(void)
{
	unsigned long e = ERR_peek_last_error();

	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* ---- certificates ---- */

/* All certificates of a file, in its order.
 * @return NULL and a sentence */
static STACK_OF(X509) *
	read_certificates(OSSL_LIB_CTX *library, const char *what, const char *path,
		struct soq__tls_why *why)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	bool asked = false;
	struct bytes b;
	BIO *bio;
	X509 *x;

	if (read_file(&b, what, path, why) < 0) {
		sk_X509_free(list);
		return NULL;
	}
	ERR_clear_error();
	bio = BIO_new_mem_buf(b.data, (int)b.len);
	while (bio && list && (x = X509_new_ex(library, NULL))) {
		/* AUX: also what openssl-x509(1) calls a trusted certificate. */
		if (PEM_read_bio_X509_AUX(bio, &x, refuse_password, &asked) &&
			sk_X509_push(list, x) > 0)
			continue;
		X509_free(x);
		break;
	}
	if (!is_end_of_pem())
		spoilt(why, what, path, "certificate");
	else if (sk_X509_num(list) == 0)
		not_pem(why, what, path, "certificate", &b);
	ERR_clear_error();
	BIO_free(bio);
	bytes_done(&b);
	if (why->code == 0)
		return list;
	sk_X509_pop_free(list, X509_free);
	return NULL;
}

/* ---- keys ---- */

static EVP_PKEY *read_key(OSSL_LIB_CTX *library, const char *path, struct soq__tls_why *why)
{
	EVP_PKEY *key = NULL;
	bool asked = false;
	struct bytes b;
	BIO *bio;

	if (read_file(&b, "key file", path, why) < 0)
		return NULL;
	ERR_clear_error();
	bio = BIO_new_mem_buf(b.data, (int)b.len);
	if (bio)
		key = PEM_read_bio_PrivateKey_ex(
			bio, NULL, refuse_password, &asked, library, NULL);
	if (asked)
		soq__tls_why(why, -SOQ_ETLS,
			"TLS: the key in '%s' is encrypted: decrypt it with `openssl pkey -in "
			"'%s' "
			"-out FILE`, and let nobody else read that file",
			path, path);
	else if (!key && b.data && strstr(b.data, "PRIVATE KEY-----"))
		spoilt(why, "key file", path, "private key");
	else if (!key)
		not_pem(why, "key file", path, "private key", &b);
	ERR_clear_error();
	BIO_free(bio);
	bytes_done(&b);
	return key;
}

/* ---- names ---- */

struct names {
	char **list;
	size_t count;
	bool failed;
};

static void names_add(struct names *names, const ASN1_STRING *text)
{
	size_t n = (size_t)ASN1_STRING_length(text);
	const char *data = (const char *)ASN1_STRING_get0_data(text);
	char **list = realloc(names->list, (names->count + 1) * sizeof(*list));

	if (!list) {
		names->failed = true;
		return;
	}
	names->list = list;
	/* A name with a NUL or a line's end in it is nobody's. */
	if (n == 0 || memchr(data, '\0', n) || memchr(data, '\n', n))
		return;
	list[names->count] = strndup(data, n);
	if (!list[names->count]) {
		names->failed = true;
		return;
	}
	for (char *p = list[names->count++]; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *names_join(struct names *names)
{
	size_t len = 1;
	char *joined, *p;

	if (names->count > 0)
		qsort(names->list, names->count, sizeof(*names->list), compare_names);
	for (size_t i = 0; i < names->count; i++)
		len += strlen(names->list[i]) + 1;
	joined = p = malloc(len);
	if (!joined)
		return NULL;
	*p = '\0';
	for (size_t i = 0; i < names->count; i++)
		if (i == 0 || strcmp(names->list[i], names->list[i - 1]) != 0)
			p = stpcpy(stpcpy(p, names->list[i]), "\n");
	return joined;
}

/* The DNS names of a certificate; its subject's common name only if it has none at all
 * (RFC 6125 section 6.4.4: for what is old). @return NULL: no memory */
static char *names_of(X509 *x)
{
	GENERAL_NAMES *alternatives = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(x);
	int common = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	struct names names = { 0 };
	char *joined;

	for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(alternatives, i);

		if (name->type == GEN_DNS)
			names_add(&names, name->d.dNSName);
	}
	if (!alternatives && common >= 0)
		names_add(
			&names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, common)));
	GENERAL_NAMES_free(alternatives);
	joined = names.failed ? NULL : names_join(&names);
	for (size_t i = 0; i < names.count; i++)
		free(names.list[i]);
	free(names.list);
	return joined;
}

/* ---- staples ---- */

/* The single response about a certificate's serial number, or NULL. */
static OCSP_SINGLERESP *response_about(OCSP_BASICRESP *basic, X509 *leaf)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);
		ASN1_INTEGER *serial = NULL;

		OCSP_id_get0_info(
			NULL, NULL, NULL, &serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(one));
		if (serial && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0)
			return one;
	}
	return NULL;
}

/* Seconds since 1970. @return INT64_MAX without a time: for ever */
static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : INT64_MAX;
}

static int check_staple(struct soq__tls_identity *identity, const char *path,
	OCSP_BASICRESP *basic, struct soq__tls_why *why)
{
	OCSP_SINGLERESP *one = basic ? response_about(basic, identity->leaf) : NULL;
	ASN1_GENERALIZEDTIME *until = NULL;

	if (!basic)
		return soq__tls_why(why, -SOQ_ETLS,
			"TLS: the staple '%s' is no OCSP response in DER that says how a "
			"certificate stands",
			path);
	if (!one)
		return soq__tls_why(why, -SOQ_ETLS,
			"TLS: the staple '%s' is about another certificate", path);
	OCSP_single_get0_status(one, NULL, NULL, NULL, &until);
	identity->staple_until_s = seconds_of(until);
	return 0;
}

static int read_staple(
	struct soq__tls_identity *identity, const char *path, struct soq__tls_why *why)
{
	OCSP_BASICRESP *basic = NULL;
	OCSP_RESPONSE *response;
	const unsigned char *p;
	struct bytes b;
	int rc = read_file(&b, "staple", path, why);

	if (rc < 0)
		return rc;
	p = (const unsigned char *)b.data;
	response = d2i_OCSP_RESPONSE(NULL, &p, (long)b.len);
	if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(response);
	rc = check_staple(identity, path, basic, why);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	if (rc == 0) {
		identity->staple_len = b.len;
		identity->staple = OPENSSL_memdup(b.data, b.len);
		if (!identity->staple)
			rc = soq__tls_why(why, -ENOMEM, "TLS: out of memory");
	}
	bytes_done(&b);
	return rc;
}

/* ---- all of one certificate ---- */

void soq__tls_identity_done(struct soq__tls_identity *identity)
{
	X509_free(identity->leaf);
	sk_X509_pop_free(identity->chain, X509_free);
	EVP_PKEY_free(identity->key);
	free(identity->names);
	OPENSSL_free(identity->staple);
	*identity = (struct soq__tls_identity){ 0 };
}

static int identity_read(struct soq__tls_identity *identity, OSSL_LIB_CTX *library,
	const struct soq__tls_files *files, struct soq__tls_why *why)
{
	const char *key = files->key ? files->key : files->certificate;

	identity->chain =
		read_certificates(library, "certificate file", files->certificate, why);
	if (!identity->chain)
		return why->code;
	identity->leaf = sk_X509_shift(identity->chain);
	identity->key = read_key(library, key, why);
	if (!identity->key)
		return why->code;
	if (!X509_check_private_key(identity->leaf, identity->key)) {
		ERR_clear_error();
		return soq__tls_why(why, -SOQ_ETLS,
			"TLS: the key in '%s' does not belong to the (first) certificate in "
			"'%s'",
			key, files->certificate);
	}
	identity->names = names_of(identity->leaf);
	if (!identity->names)
		return soq__tls_why(why, -ENOMEM, "TLS: out of memory");
	return files->staple ? read_staple(identity, files->staple, why) : 0;
}

int soq__tls_identity_read(struct soq__tls_identity *ret, OSSL_LIB_CTX *library,
	const struct soq__tls_files *files, struct soq__tls_why *why)
{
	int rc;

	*ret = (struct soq__tls_identity){ 0 };
	rc = identity_read(ret, library, files, why);
	if (rc < 0)
		soq__tls_identity_done(ret);
	return rc;
}

/* ---- whom to trust, and whom no more ---- */

static STACK_OF(X509_NAME) * subjects_of(const STACK_OF(X509) * list)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

	for (int i = 0; names && i < sk_X509_num(list); i++) {
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(list, i)));

		if (!name || sk_X509_NAME_push(names, name) <= 0)
			X509_NAME_free(name);
	}
	return names;
}

static int read_ca_folder(X509_STORE *store, STACK_OF(X509_NAME) * *ret_names,
	OSSL_LIB_CTX *library, const char *path, struct soq__tls_why *why)
{
	if (!X509_STORE_load_path(store, path))
		return spoilt(why, "folder of CAs", path, "list");
	if (!ret_names)
		return 0;
	*ret_names = sk_X509_NAME_new_null();
	if (!*ret_names || !SSL_add_dir_cert_subjects_to_stack(*ret_names, path))
		return spoilt(why, "folder of CAs", path, "certificates");
	return 0;
}

static int read_ca_file(X509_STORE *store, STACK_OF(X509_NAME) * *ret_names,
	OSSL_LIB_CTX *library, const char *path, struct soq__tls_why *why)
{
	STACK_OF(X509) *list = read_certificates(library, "file of CAs", path, why);

	if (!list)
		return why->code;
	for (int i = 0; i < sk_X509_num(list); i++)
		X509_STORE_add_cert(store, sk_X509_value(list, i));
	if (ret_names)
		*ret_names = subjects_of(list);
	sk_X509_pop_free(list, X509_free);
	return 0;
}

int soq__tls_read_ca(X509_STORE *store, STACK_OF(X509_NAME) * *ret_names, OSSL_LIB_CTX *library,
	const char *path, struct soq__tls_why *why)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return read_ca_folder(store, ret_names, library, path, why);
	return read_ca_file(store, ret_names, library, path, why);
}

int soq__tls_read_crl(
	X509_STORE *store, OSSL_LIB_CTX *library, const char *path, struct soq__tls_why *why)
{
	static const char what[] = "file of revoked certificates (CRL)";
	struct bytes b;
	X509_CRL *crl;
	size_t count = 0;
	BIO *bio;
	int rc = read_file(&b, what, path, why);

	if (rc < 0)
		return rc;
	ERR_clear_error();
	bio = BIO_new_mem_buf(b.data, (int)b.len);
	while (bio && (crl = X509_CRL_new_ex(library, NULL))) {
		bool is_read = PEM_read_bio_X509_CRL(bio, &crl, NULL, NULL) != NULL;

		if (is_read && X509_STORE_add_crl(store, crl))
			count++;
		X509_CRL_free(crl);
		if (!is_read)
			break;
	}
	if (!is_end_of_pem())
		rc = spoilt(why, what, path, "list");
	else if (count == 0)
		rc = not_pem(why, what, path, "list", &b);
	ERR_clear_error();
	BIO_free(bio);
	bytes_done(&b);
	return rc;
}
