/* connect_race.c - several addresses, known or still to come, of which one is to answer:
 * RFC 8305 ("Happy Eyeballs"), sections 3 to 5.
 *
 * Each attempt is an operation of the calling fiber's, begun when the one before has failed or
 * has had its time, and never ended by a later one: a slow network is no reason to begin anew.
 * Addresses that become known late take their place among those that were not tried yet.
 *
 * Invariant: pending is the number of attempts whose operation is the engine's.
 */
#include "net/names.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_DELAY_NS (250 * SOQ_MS) /* "Connection Attempt Delay" */

struct race;

struct attempt {
	struct soq__list node;
	struct race *race;
	struct soq_addr addr;
	struct soq_addr to;	   /* the operation's own */
	struct soq_stream *stream; /* NULL: not begun, or over */
	struct soq__op op;
	bool pending;
	int rc; /* what came of it; -EINPROGRESS: nothing yet */
};

struct race {
	struct soq__worker *worker;
	struct soq__fiber *fiber;
	struct soq__lookup *lookup;
	struct soq__list attempts; /* struct attempt, in the order of their beginning */
	struct soq_addr *left;	   /* addresses not tried yet, in the order to try them */
	size_t left_count;
	size_t taken; /* of what the lookup has found */
	size_t pending;
	int last_family; /* of the last attempt */
	int64_t next_ns; /* when the next may begin */
	int last_rc;	 /* of the one that failed last */
};

/* ---- attempts ---- */

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

	a->to = a->addr;
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
			e, &a->stream->socket, a->addr.sa.sa_family, SOCK_STREAM, 0);
	if (rc == 0) {
		attempt_submit(a);
		return;
	}
	free(a->stream);
	a->stream = NULL;
	attempt_over(a, rc);
}

/* Try the first address that is left. @return 0, -ENOMEM */
static int try_next(struct race *r)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->race = r;
	a->addr = r->left[0];
	a->rc = -EINPROGRESS;
	memmove(r->left, r->left + 1, --r->left_count * sizeof(*r->left));
	soq__list_append(&r->attempts, &a->node);
	r->last_family = a->addr.sa.sa_family;
	attempt_begin(a);
	return 0;
}

static struct attempt *winner(const struct race *r)
{
	soq__list_for_each (node, &r->attempts) {
		struct attempt *a = soq__container_of(node, struct attempt, node);

		if (a->rc == 0)
			return a;
	}
	return NULL;
}

/* ---- addresses ---- */

/* The first address of a family, or of any other when it has none, goes to @at. */
static void bring_forward(struct race *r, size_t at, int family)
{
	struct soq_addr addr;
	size_t i = at;

	while (i < r->left_count && r->left[i].sa.sa_family != family)
		i++;
	if (i == r->left_count)
		return;
	addr = r->left[i];
	memmove(&r->left[at + 1], &r->left[at], (i - at) * sizeof(addr));
	r->left[at] = addr;
}

static int other_family(int family)
{
	return family == AF_INET6 ? AF_INET : AF_INET6;
}

/* The addresses as they came, but the families in turn (section 4). */
static void interleave(struct race *r)
{
	int last = r->last_family;

	for (size_t i = 0; i < r->left_count; i++) {
		if (last)
			bring_forward(r, i, other_family(last));
		last = r->left[i].sa.sa_family;
	}
}

/* Let in what the lookup has found since. @return 0, -ENOMEM */
static int let_in(struct race *r)
{
	const struct soq_addrs *found = &r->lookup->found;
	size_t more = found->count - r->taken;
	struct soq_addr *longer;

	if (more == 0)
		return 0;
	longer = realloc(r->left, (r->left_count + more) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	r->left = longer;
	memcpy(longer + r->left_count, found->list + r->taken, more * sizeof(*longer));
	r->left_count += more;
	r->taken += more;
	soq__lookup_order(r->lookup, r->left, r->left_count);
	interleave(r);
	return 0;
}

/* ---- the race ---- */

/* When the next address may be tried; SOQ_NEVER when there is none. */
static int64_t next_begin_ns(const struct race *r)
{
	if (r->left_count == 0)
		return SOQ_NEVER;
	if (r->pending > 0 && r->next_ns > r->lookup->hold_ns)
		return r->next_ns;
	return r->lookup->hold_ns;
}

static bool is_over(const struct race *r)
{
	return winner(r) ||
		(r->left_count == 0 && r->pending == 0 && !soq__lookup_pending(r->lookup));
}

/* One step: begin an attempt, or wait. @return as race_run() */
static int race_step(struct race *r)
{
	int64_t at_ns = next_begin_ns(r);

	if (r->left && soq_now() >= at_ns)
		return try_next(r);
	soq__suspend(r->worker,
		soq__min(r->fiber->shielded ? SOQ_NEVER : r->fiber->deadline_ns, at_ns));
	return soq__check(r->fiber);
}

/* Until one has succeeded, all have failed, or the caller's time is over.
 * @return 0, or why the caller wants to leave */
static int race_run(struct race *r)
{
	int rc = soq__check(r->fiber);

	while (rc == 0) {
		rc = soq__lookup_advance(r->lookup);
		if (rc == 0)
			rc = let_in(r);
		if (rc < 0 || is_over(r))
			break;
		r->fiber->waits_for = "one of several addresses to answer";
		rc = race_step(r);
		r->fiber->waits_for = NULL;
	}
	return rc;
}

/* Call off those that are still on their way, and wait for the end of each. */
static void race_end(struct race *r)
{
	const struct soq__engine_type *type = soq__type(r->worker);
	bool shielded = r->fiber->shielded;

	r->fiber->shielded = true;
	soq__list_for_each (node, &r->attempts) {
		struct attempt *a = soq__container_of(node, struct attempt, node);

		if (a->pending)
			type->cancel(r->worker->engine, &a->op);
	}
	while (r->pending > 0)
		soq__suspend(r->worker, SOQ_NEVER);
	r->fiber->shielded = shielded;
}

/* ---- what came of it ---- */

/* One more reason, appended to a malloc'd text or NULL. */
static char *add_reason(char *text, const char *of, const char *reason)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s: %s", text ? text : "", text ? "; " : "", of, reason) < 0)
		return text;
	free(text);
	return longer;
}

static char *add_address(char *text, const struct soq_addr *addr, const char *reason)
{
	char at[SOQ_ADDR_TEXT_MAX], of[SOQ_ADDR_TEXT_MAX + 2];

	soq_addr_format(at, sizeof(at), addr);
	snprintf(of, sizeof(of), "(%s)", at);
	return add_reason(text, of, reason);
}

/* A family that may have had addresses, had there been an answer. */
static char *add_family(char *text, const struct soq__family *f, const char *type)
{
	if (f->asked)
		return add_reason(text, type, "no answer yet");
	if (f->rc == -SOQ_ENAMEWAIT || f->rc == -SOQ_ENAMEFAIL || f->rc == -ENOMEM)
		return add_reason(text, type, soq_strerror(f->rc));
	return text;
}

static char *reasons_of(const struct race *r)
{
	char *text = NULL;

	soq__list_for_each (node, &r->attempts) {
		struct attempt *a = soq__container_of(node, struct attempt, node);

		text = add_address(text, &a->addr,
			a->rc == -ECANCELED ? "no answer yet" : soq_strerror(a->rc));
	}
	for (size_t i = 0; i < r->left_count; i++)
		text = add_address(text, &r->left[i], "not tried");
	text = add_family(text, &r->lookup->families[SOQ__IPV6], "AAAA");
	return add_family(text, &r->lookup->families[SOQ__IPV4], "A");
}

static int fail(const struct race *r, int reason, const char *endpoint_text)
{
	int rc = reason < 0 ? reason : r->last_rc;
	char *reasons;

	if (r->taken == 0)
		return soq__lookup_fail(r->lookup, reason < 0 ? reason : r->lookup->rc);
	reasons = reasons_of(r);
	soq__fail(rc, "connect %s %s", endpoint_text, reasons ? reasons : soq_strerror(rc));
	free(reasons);
	return rc;
}

int soq__connect_race(struct soq_stream **ret, struct soq__lookup *l, const char *endpoint_text)
{
	struct soq__worker *w = l->worker;
	struct race race = { .worker = w, .fiber = w->current, .lookup = l };
	struct attempt *first;
	int rc;

	soq__list_init(&race.attempts);
	rc = race_run(&race);
	race_end(&race);
	first = winner(&race);
	rc = first ? 0 : fail(&race, rc, endpoint_text);
	if (first) {
		soq__stream_connected(first->stream, &first->addr);
		*ret = first->stream;
		first->stream = NULL;
	}
	soq__list_for_each (node, &race.attempts) {
		struct attempt *a = soq__container_of(node, struct attempt, node);

		soq_close(a->stream);
		free(a);
	}
	free(race.left);
	return rc;
}
