/* service.h - a server of one service, run by a fiber beside the clients of a test. */
#ifndef CONTRACT_SERVICE_H
#define CONTRACT_SERVICE_H

#include "test.h"
#include <soquete/soquete.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct service {
	struct soq_server *server;
	struct soq_scope *scope;
	int result;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX]; /* with its real port */
};

static inline enum soq_shape service_shape(void)
{
	static const enum soq_shape shapes[] = {
		[TEST_ITERATIVE] = SOQ_SHAPE_ITERATIVE,
		[TEST_PROCESS] = SOQ_SHAPE_PROCESS,
		[TEST_THREAD] = SOQ_SHAPE_THREAD,
		[TEST_FIBER] = SOQ_SHAPE_FIBER,
	};

	return shapes[test_shape()];
}

static inline void service__run(void *arg)
{
	struct service *s = arg;

	s->result = soq_server_run(s->server);
}

/* Run a server that has one endpoint. */
static inline void service__go(struct service *s)
{
	struct soq_addr addr;
	enum soq_scheme scheme;

	CHECK_OK(soq_server_endpoint(s->server, 0, &addr, &scheme));
	soq_addr_endpoint(s->endpoint, sizeof s->endpoint, scheme, &addr);
	CHECK_OK(soq_scope_open(&s->scope));
	CHECK_OK(soq_spawn(s->scope, service__run, s));
}

static inline void service_start(struct service *s, enum soq_shape shape, const char *endpoint,
	soq_handler *handler, void *context)
{
	struct soq_server_options opt = { .shape = shape, .linger_ns = 200 * SOQ_MS };

	CHECK_OK(soq_server_new(&s->server, &opt));
	CHECK_OK(soq_server_listen(s->server, endpoint, handler, context));
	service__go(s);
}

static inline void service_start_dgrams(struct service *s, enum soq_shape shape,
	const char *endpoint, soq_dgram_handler *handler, void *context)
{
	struct soq_server_options opt = { .shape = shape };

	CHECK_OK(soq_server_new(&s->server, &opt));
	CHECK_OK(soq_server_bind(s->server, endpoint, handler, context));
	service__go(s);
}

/* Wait for a server that has been told to stop. */
static inline void service_wait(struct service *s)
{
	CHECK_OK(soq_scope_wait(s->scope));
	soq_scope_close(s->scope);
	CHECK_OK(s->result);
	soq_server_free(s->server);
}

static inline void service_stop(struct service *s)
{
	soq_server_stop(s->server);
	service_wait(s);
}

/* A client that does not wait for ever. */
static inline struct soq_stream *service_connect(const struct service *s)
{
	struct soq_stream *stream;

	CHECK_OK(soq_connect(&stream, s->endpoint));
	soq_set_recv_timeout(stream, 30 * SOQ_S);
	soq_set_send_timeout(stream, 30 * SOQ_S);
	return stream;
}

/* A line of an access log ends with how long it took, in seconds: not long, where computing
 * takes no time. */
static inline void check_duration(const char *line)
{
	const char *last = strrchr(line, ' ');
	char *end;
	double seconds;

	CHECK(last);
	seconds = strtod(last, &end);
	CHECK(end > last && strspn(end, "\n") == strlen(end));
	CHECK(seconds >= 0 && (!test_is_simulated() || seconds < 0.1));
}

/* Close for good: the child of the process shape, forked from this very process, holds a
 * copy of our end, which would keep the connection alive. */
static inline void service_hang_up(struct soq_stream *client)
{
	if (!test_is_simulated())
		shutdown(soq_fd(client), SHUT_RDWR);
	soq_close(client);
}

#endif
