/* server_deadline.c - the deadline of the fiber that runs a server ends the run, whatever its
 * sites are doing.
 */
#include "contract/server.h"

static int done(struct soq_stream *peer, void *arg)
{
	(void)peer, (void)arg;
	return SOQ_DONE;
}

static int ignore(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	(void)d, (void)request, (void)arg;
	return SOQ_DONE;
}

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = handler },
				      { .endpoint = "udp://127.0.0.1:0", .dgram = ignore } },
		.opt = { .shape = the_shape(), .linger_ns = SOQ_MS },
		.deadline_ns = 30 * SOQ_MS };
}

/* Nobody comes: acceptors and receivers wait when the deadline passes. */
CONTRACT_SHAPES(deadline_of_the_run_without_clients)
{
	struct plan plan = plan_of(done);
	struct remote r;

	remote_start(&r, &plan);
	remote_end(&r, -ETIMEDOUT);
}

/* Clients come and go on coming until the server is gone. */
CONTRACT_SHAPES(deadline_of_the_run_while_clients_come)
{
	struct plan plan = plan_of(done);
	struct soq_stream *s;
	struct soq_dgram *d;
	struct remote r;

	remote_start(&r, &plan);
	CHECK_OK(soq_dgram_connect(&d, r.places[1].endpoint));
	while (soq_connect(&s, r.places[0].endpoint) == 0) {
		soq_close(s);
		soq_sendto(d, "x", 1, NULL);
	}
	soq_dgram_close(d);
	remote_end(&r, -ETIMEDOUT);
}

/* It is the run's, and not the handlers': those are cancelled. */
CONTRACT_SHAPES(deadline_of_the_run_cancels_clients)
{
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *s;
	struct remote r;
	char byte;

	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	if (soq_connect(&s, r.places[0].endpoint) == 0) {
		CHECK(soq_recv(s, &byte, 1) <= 0);
		soq_close(s);
	}
	remote_end(&r, -ETIMEDOUT);
	CHECK_EQ(atomic_load(&counters->failed), 0);
}
