/* tls_absent.c - a build without OpenSSL: there is no TLS, and every call says so. */
#include "net/tls.h"
#include <errno.h>
#include "fiber/last_error.h"

static int refuse(void)
{
	return soq__fail(-EPROTONOSUPPORT,
		"this build has no TLS: it was made without OpenSSL (-Dtls=disabled)");
}

int soq_tls_new(struct soq_tls **ret, const struct soq_tls_options *opt)
{
	return refuse();
}

/* Nobody has a configuration, an owner of one, or a stream with TLS. */

void soq_tls_free(struct soq_tls *tls)
{
}

struct soq_tls *soq__tls_ref(struct soq_tls *tls)
{
	return NULL;
}

bool soq__tls_can_serve(const struct soq_tls *tls)
{
	return false;
}

int soq_tls_add_certificate(
	struct soq_tls *tls, const char *certificate, const char *key, const char *staple)
{
	return refuse();
}

int soq_tls_reload(struct soq_tls *tls)
{
	return refuse();
}

int soq__tls_begin(struct soq_stream *s, const struct soq__tls_begin *how)
{
	return refuse();
}

int soq__tls_handshake(struct soq_stream *s)
{
	return refuse();
}

bool soq__tls_is_shaking(const struct soq_stream *s)
{
	return false;
}

ssize_t soq__tls_recv(struct soq_stream *s, void *buf, size_t len)
{
	return refuse();
}

int soq__tls_wait_readable(struct soq_stream *s)
{
	return refuse();
}

ssize_t soq__tls_send(struct soq_stream *s, const void *buf, size_t len, int *ret_cut)
{
	return refuse();
}

bool soq__tls_is_established(const struct soq_stream *s)
{
	return false;
}

int soq__tls_shutdown(struct soq_stream *s)
{
	return refuse();
}

void soq__tls_shutdown_now(struct soq_stream *s)
{
	(void)s;
}

bool soq__tls_readable(struct soq_stream *s)
{
	return false;
}

void soq__tls_trim(struct soq_stream *s)
{
}

void soq__tls_free(struct soq_stream *s)
{
}

int soq_tls_info(const struct soq_stream *s, struct soq_tls_info *ret)
{
	return -ENOTCONN;
}

int soq_make_certificate(
	const char *certificate, const char *key, const struct soq_certificate_options *opt)
{
	return refuse();
}
