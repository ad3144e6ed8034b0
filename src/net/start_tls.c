/* start_tls.c - streams that begin to speak TLS: when they connect, or later; see tls.h. */
#include <soquete/endpoint.h>
#include <soquete/error.h>
#include <errno.h>
#include <string.h>
#include "fiber/last_error.h"
#include "net/net.h"
#include "net/tls.h"

int soq_handshake(struct soq_stream *s)
{
	return s->tls ? soq__tls_handshake(s) : 0;
}

/* What came in clear is of no worth any more: whoever is on the way could have sent it. */
static void forget_input(struct soq_stream *s)
{
	s->first = s->count = 0;
	s->skip_line = false;
}

static int start(struct soq_stream *s, const struct soq__tls_begin *how)
{
	int rc;

	if (s->tls)
		return soq__fail(-EALREADY, "the stream has TLS already");
	if (s->receiving || s->sending)
		return -EBUSY;
	/* It may have to load what the system trusts: no other fiber is to come in between. */
	s->receiving = s->sending = true;
	rc = soq__tls_begin(s, how);
	s->receiving = s->sending = false;
	if (rc < 0)
		return rc;
	forget_input(s);
	return soq__tls_handshake(s);
}

int soq_start_tls(struct soq_stream *s, struct soq_tls *tls, const char *name)
{
	return start(s, &(struct soq__tls_begin){ .tls = tls, .name = name });
}

int soq_start_tls_server(struct soq_stream *s, struct soq_tls *tls)
{
	if (!soq__tls_can_serve(tls))
		return soq__fail(-EINVAL, "TLS: a server needs a certificate and its key");
	return start(s, &(struct soq__tls_begin){ .tls = tls, .server = true });
}

int soq_connect_tls(struct soq_stream **ret, const char *endpoint, struct soq_tls *tls)
{
	struct soq_endpoint e;
	struct soq__tls_begin how = { .tls = tls, .endpoint = endpoint };
	struct soq_stream *s = NULL;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc == 0)
		rc = soq__connect(&s, endpoint, &e);
	if (rc < 0)
		return rc;
	if (e.scheme == SOQ_SCHEME_TCP || e.scheme == SOQ_SCHEME_TLS)
		how.name = *e.host ? e.host : "localhost";
	rc = soq__tls_begin(s, &how);
	if (rc == 0)
		rc = soq__tls_handshake(s);
	if (rc < 0) {
		soq_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int soq_connect(struct soq_stream **ret, const char *endpoint)
{
	struct soq_endpoint e;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc < 0)
		return rc;
	if (e.scheme == SOQ_SCHEME_TLS)
		return soq_connect_tls(ret, endpoint, NULL);
	return soq__connect(ret, endpoint, &e);
}
