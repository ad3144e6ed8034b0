/* connect.c - from an endpoint to a connected stream: its addresses race, and the error names
 * all of them.
 */
#include "net/net.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_FIRST_NS (1 * SOQ_MS)
#define BUSY_MOST_NS  (50 * SOQ_MS)

static int connect_once(struct soq__socket *s, const struct soq_addr *addr)
{
	struct soq_addr to = *addr;
	struct soq__op op = { .code = SOQ__OP_CONNECT, .socket = s, .addr = &to };

	soq__list_init(&op.node);
	return (int)soq__perform(&op, SOQ_NEVER);
}

/* A Unix listener whose backlog is full gives no event when it has room again: ask anew. */
static int connect_patiently(struct soq__socket *s, const struct soq_addr *addr)
{
	int64_t pause = BUSY_FIRST_NS;
	int rc;

	while ((rc = connect_once(s, addr)) == -EBUSY) {
		rc = soq_sleep(pause);
		if (rc < 0)
			break;
		pause = soq__min(2 * pause, BUSY_MOST_NS);
	}
	return rc;
}

/* One address, and nothing to race with. */
static int connect_alone(struct soq_stream **ret, const struct soq_addr *addr)
{
	struct soq__worker *w = soq__worker();
	struct soq_stream *s = soq__stream_alloc();
	int rc;

	if (!s)
		return -ENOMEM;
	rc = soq__type(w)->open_socket(
		w->engine, &s->socket, addr->sa.sa_family, SOCK_STREAM, 0);
	if (rc < 0) {
		free(s);
		return rc;
	}
	rc = connect_patiently(&s->socket, addr);
	if (rc < 0) {
		soq_close(s);
		return rc;
	}
	soq__stream_connected(s, addr);
	*ret = s;
	return 0;
}

/* "(192.0.2.7:80): Connection refused", appended to a malloc'd text or NULL. */
static char *add_reason(char *text, const struct soq_addr *addr, const char *reason)
{
	char at[SOQ_ADDR_TEXT_MAX], *longer;

	soq_addr_format(at, sizeof(at), addr);
	if (asprintf(&longer, "%s%s(%s): %s", text ? text : "", text ? "; " : "", at, reason) <
		0)
		return text;
	free(text);
	return longer;
}

static int fail(int rc, const char *endpoint, char *reasons)
{
	soq__fail(rc, "connect %s %s", endpoint, reasons ? reasons : soq_strerror(rc));
	free(reasons);
	return rc;
}

/* ---- several addresses: RFC 8305 ("Happy Eyeballs"), section 5 ----
 *
 * Each attempt is an operation of the calling fiber's, begun when the one before has failed or
 * has had its time, and never ended by a later one: a slow network is no reason to begin anew.
 *
 * Invariant: pending is the number of attempts whose operation is the engine's. */

#define ATTEMPT_DELAY_NS (250 * SOQ_MS) /* "Connection Attempt Delay" */

struct race;

struct attempt {
	struct race *race;
	const struct soq_addr *addr;
	struct soq_addr to;	   /* the operation's own */
	struct soq_stream *stream; /* NULL: not begun, or over */
	struct soq__op op;
	bool pending;
	int rc; /* what came of it; -EINPROGRESS: nothing yet */
};

struct race {
	struct soq__worker *worker;
	struct soq__fiber *fiber;
	struct attempt *attempts;
	size_t count, begun, pending;
	int64_t next_ns; /* when the next may begin */
	int last_rc;	 /* of the one that failed last */
};

/* @rc  of a connection that stands, or failed; the next need not wait for that any more */
static void attempt_over(struct attempt *a, int rc)
{
	a->rc = rc;
	if (rc < 0) {
		a->race->last_rc = rc;
		a->race->next_ns = 0;
	}
}

static void attempt_completed(struct soq__op *op)
{
	struct attempt *a = op->owner;

	a->pending = false;
	a->race->pending--;
	attempt_over(a, (int)op->result);
	soq__wake(a->race->fiber, 0);
}

static void attempt_submit(struct attempt *a)
{
	struct soq__engine *e = a->race->worker->engine;

	a->to = *a->addr;
	a->op = (struct soq__op){
		.code = SOQ__OP_CONNECT,
		.socket = &a->stream->socket,
		.addr = &a->to,
		.complete = attempt_completed,
		.owner = a,
	};
	soq__list_init(&a->op.node);
	e->at_once = false;
	if (e->type->submit(e, &a->op)) {
		attempt_over(a, (int)a->op.result);
		return;
	}
	a->pending = true;
	a->race->pending++;
}

static void attempt_begin(struct attempt *a)
{
	struct soq__engine *e = a->race->worker->engine;
	int rc = -ENOMEM;

	a->race->next_ns = soq__after(soq_now(), ATTEMPT_DELAY_NS);
	a->stream = soq__stream_alloc();
	if (a->stream)
		rc = e->type->open_socket(
			e, &a->stream->socket, a->addr->sa.sa_family, SOCK_STREAM, 0);
	if (rc == 0) {
		attempt_submit(a);
		return;
	}
	free(a->stream);
	a->stream = NULL;
	attempt_over(a, rc);
}

static struct attempt *winner(const struct race *r)
{
	for (size_t i = 0; i < r->begun; i++)
		if (r->attempts[i].rc == 0)
			return &r->attempts[i];
	return NULL;
}

/* Until one has succeeded, all have failed, or the caller's time is over.
 * @return 0, or why the caller wants to leave */
static int race_run(struct race *r)
{
	int rc = soq__check(r->fiber);

	r->fiber->waits_for = "one of several addresses to answer";
	while (rc == 0 && !winner(r)) {
		bool more = r->begun < r->count;

		if (more && (r->pending == 0 || soq_now() >= r->next_ns)) {
			attempt_begin(&r->attempts[r->begun++]);
			continue;
		}
		if (r->pending == 0)
			break;
		soq__suspend(r->worker,
			soq__min(r->fiber->deadline_ns, more ? r->next_ns : SOQ_NEVER));
		rc = soq__check(r->fiber);
	}
	r->fiber->waits_for = NULL;
	return rc;
}

/* Call off those that are still on their way, and wait for the end of each. */
static void race_end(struct race *r)
{
	const struct soq__engine_type *type = soq__type(r->worker);
	bool shielded = r->fiber->shielded;

	r->fiber->shielded = true;
	for (size_t i = 0; i < r->begun; i++)
		if (r->attempts[i].pending)
			type->cancel(r->worker->engine, &r->attempts[i].op);
	while (r->pending > 0)
		soq__suspend(r->worker, SOQ_NEVER);
	r->fiber->shielded = shielded;
}

static const char *reason_of(const struct race *r, size_t i)
{
	if (i >= r->begun)
		return "not tried";
	return r->attempts[i].rc == -ECANCELED ? "no answer yet"
					       : soq_strerror(r->attempts[i].rc);
}

/* Take the winner's stream, if there is one, and close the others'. */
static int race_result(
	struct race *r, struct soq_stream **ret, const char *endpoint, int reason)
{
	struct attempt *first = winner(r);
	char *reasons = NULL;

	for (size_t i = 0; i < r->count; i++) {
		if (!first)
			reasons = add_reason(reasons, r->attempts[i].addr, reason_of(r, i));
		if (&r->attempts[i] != first)
			soq_close(r->attempts[i].stream);
	}
	if (!first)
		return fail(reason < 0 ? reason : r->last_rc, endpoint, reasons);
	soq__stream_connected(first->stream, first->addr);
	*ret = first->stream;
	return 0;
}

/* The addresses as they came, but the families in turn (RFC 8305, section 4). */
static void interleave(struct race *r, const struct soq_addrs *addrs)
{
	size_t next[2] = { 0, 0 }; /* of the first address's family, and of the others */
	int first = addrs->list[0].sa.sa_family;

	for (size_t i = 0, turn = 0; i < addrs->count; i++, turn = !turn) {
		for (unsigned tries = 0; tries < 2; tries++, turn = !turn) {
			size_t *at = &next[turn];

			while (*at < addrs->count &&
				(addrs->list[*at].sa.sa_family == first) != (turn == 0))
				++*at;
			if (*at < addrs->count)
				break;
		}
		r->attempts[i] = (struct attempt){
			.race = r, .addr = &addrs->list[next[turn]++], .rc = -EINPROGRESS
		};
	}
}

static int connect_race(
	struct soq_stream **ret, const struct soq_addrs *addrs, const char *endpoint)
{
	struct soq__worker *w = soq__worker();
	struct race race = { .worker = w, .fiber = w->current, .count = addrs->count };
	int rc;

	race.attempts = calloc(addrs->count, sizeof(*race.attempts));
	if (!race.attempts)
		return fail(-ENOMEM, endpoint, NULL);
	interleave(&race, addrs);
	rc = race_run(&race);
	race_end(&race);
	rc = race_result(&race, ret, endpoint, rc);
	free(race.attempts);
	return rc;
}

static int connect_list(
	struct soq_stream **ret, const struct soq_addrs *addrs, const char *endpoint)
{
	int rc;

	if (addrs->count > 1)
		return connect_race(ret, addrs, endpoint);
	rc = connect_alone(ret, &addrs->list[0]);
	if (rc < 0)
		return fail(rc, endpoint, add_reason(NULL, &addrs->list[0], soq_strerror(rc)));
	return 0;
}

static int connect_inherited(struct soq_stream **ret, int fd, const char *endpoint)
{
	int rc = soq_adopt(ret, fd);

	return rc < 0 ? soq__fail(rc, "connect %s: %s", endpoint, soq_strerror(rc)) : 0;
}

int soq__connect(
	struct soq_stream **ret, const char *endpoint_text, const struct soq_endpoint *e)
{
	struct soq_addrs addrs = { 0 };
	struct soq_addr unix_addr;
	int rc;

	switch (e->scheme) {
	case SOQ_SCHEME_FD:
		return connect_inherited(ret, e->fd, endpoint_text);
	case SOQ_SCHEME_UNIX:
		soq__unix_addr(&unix_addr, e);
		addrs = (struct soq_addrs){ &unix_addr, 1 };
		return connect_list(ret, &addrs, endpoint_text);
	case SOQ_SCHEME_TCP:
	case SOQ_SCHEME_TLS:
		break;
	default:
		return soq__fail(-EPROTOTYPE,
			"connect %s: this is a datagram endpoint; use soq_dgram_connect()",
			endpoint_text);
	}
	rc = soq__resolve(&addrs, e, false);
	if (rc == 0)
		rc = connect_list(ret, &addrs, endpoint_text);
	free(addrs.list);
	return rc;
}

int soq_connect(struct soq_stream **ret, const char *endpoint)
{
	struct soq_endpoint e;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc < 0)
		return rc;
	if (e.scheme == SOQ_SCHEME_TLS)
		return soq__fail(
			-EPROTONOSUPPORT, "connect %s: this version has no TLS yet", endpoint);
	return soq__connect(ret, endpoint, &e);
}
