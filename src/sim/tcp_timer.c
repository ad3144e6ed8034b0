/* tcp_timer.c - what TCP does when time passes.
 *
 * A connection has one event. It is set to the first instant that matters, and stays where it
 * is when that instant moves later: when it comes too early, it sets itself anew. So a
 * connection that is busy touches the queue of events a few times a second, not with each
 * segment.
 *
 * Invariant: the event is pending, not later than the first instant that matters, or there is
 * none. In TIME_WAIT, and in FIN_WAIT_2 of a closed socket, it is exactly the end of that.
 * Source: RFC 6298 (retransmission); RFC 9293 sections 3.8.3 (giving up), 3.8.6.1 (probes),
 * 3.8.4 (keepalive); RFC 5482 (user timeout); Linux's tcp_timer.c for how long and how often.
 */
#include "sim/tcp.h"
#include <errno.h>

/* tcp_retries2 and tcp_orphan_retries: 15 and 8 retransmissions of a connection whose timer
 * begins with its least, from 200 ms on doubled up to 120 s. */
#define GIVE_UP_NS	  INT64_C(924600000000)
#define GIVE_UP_CLOSED_NS INT64_C(102200000000)
#define PROBES_MAX	  15
#define PROBES_CLOSED_MAX 8
#define BACKOFF_MAX	  15
#define KEEP_IDLE_S	  7200
#define KEEP_INTERVAL_S	  75
#define KEEP_COUNT	  9

/* ---- setting ---- */

int64_t soq__sim_tcp_rto(const struct soq__sim_conn *c)
{
	int64_t variance_ns = 4 * SOQ_US * c->rttvar_us, rto_ns;

	if (c->srtt_us == 0)
		return SOQ__SIM_RTO_FIRST_NS;
	if (variance_ns < SOQ__SIM_RTO_LEAST_NS)
		variance_ns = SOQ__SIM_RTO_LEAST_NS;
	rto_ns = c->srtt_us * SOQ_US + variance_ns;
	return soq__min(rto_ns, SOQ__SIM_RTO_MOST_NS);
}

static int64_t backed_off(const struct soq__sim_conn *c)
{
	return soq__min(soq__sim_tcp_rto(c) << c->flow->backoff, SOQ__SIM_RTO_MOST_NS);
}

static int64_t user_timeout(const struct soq__sim_conn *c)
{
	return c->rare ? c->rare->user_timeout_ms * SOQ_MS : 0;
}

void soq__sim_tcp_start_timer(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	int64_t limit = user_timeout(c);

	f->retransmit_ns = soq__sim_conn_now(c) + backed_off(c);
	/* The user's limit is to be noticed in time: Linux, tcp_clamp_rto_to_user_timeout. */
	if (limit && f->backoff > 0)
		f->retransmit_ns = soq__min(f->retransmit_ns, f->failed_ns + limit);
}

/* TIME_WAIT, or as good as that: the event has its instant, and nothing else matters. */
static bool only_waits(const struct soq__sim_conn *c)
{
	return c->state == TCP_TIME_WAIT || (c->state == TCP_FIN_WAIT2 && c->is_closed);
}

static int64_t first_instant(const struct soq__sim_conn *c)
{
	const struct soq__sim_flow *f = c->flow;
	int64_t at = SOQ_NEVER;

	if (f) {
		at = soq__min(f->retransmit_ns, f->ack_ns);
		at = soq__min(at, f->cork_ns);
		at = soq__min(at, f->quiet_ns);
	}
	if (c->keepalive)
		at = soq__min(at, c->rare->check_ns);
	if (c->is_queued)
		at = soq__min(at, c->client->tell_ns);
	return at;
}

void soq__sim_tcp_arm(struct soq__sim_conn *c)
{
	struct soq_sim *sim = soq__sim_conn_world(c);
	int64_t at;

	if (only_waits(c))
		return;
	at = first_instant(c);
	if (at == SOQ_NEVER)
		return;
	if (!soq__sim_event_pending(&c->timer) || soq__sim_when(sim, &c->timer) > at)
		soq__sim_at(sim, &c->timer, at);
}

/* ---- retransmission ---- */

/* The error that ends a connection whose peer does not answer. */
static int silence(const struct soq__sim_conn *c)
{
	return c->flow && c->flow->soft_error ? c->flow->soft_error : ETIMEDOUT;
}

/* Whether retransmissions have gone unanswered for too long: Linux, tcp_write_timeout. */
static bool has_expired(const struct soq__sim_conn *c)
{
	const struct soq__sim_flow *f = c->flow;
	int64_t limit = user_timeout(c);

	if (c->state == TCP_SYN_SENT || (c->state == TCP_SYN_RECV && !c->is_queued)) {
		if (f->retries >= SOQ__SIM_SYN_RETRIES)
			return true;
	} else if (c->state == TCP_SYN_RECV) {
		return f->retries >= SOQ__SIM_SYNACK_RETRIES;
	} else if (c->is_closed && backed_off(c) == SOQ__SIM_RTO_MOST_NS) {
		return f->retries > 0;
	} else if (!limit) {
		limit = c->is_closed ? GIVE_UP_CLOSED_NS : GIVE_UP_NS;
	}
	return limit && f->retries > 0 && soq__sim_conn_now(c) - f->failed_ns >= limit;
}

/* RFC 5681 section 3.1, RFC 6298 section 5: what is under way counts as lost. */
static void begin_again(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	uint32_t half = (f->snd_max - c->snd_una) / 2;

	if (f->retries == 1)
		c->ssthresh = half > 2u * c->mss ? half : 2u * c->mss;
	c->cwnd = c->mss;
	c->snd_nxt = c->snd_una;
	f->recover = f->snd_max;
	f->is_recovering = false;
	f->duplicates = 0;
	soq__sim_tcp_start_timer(c);
	soq__sim_tcp_output(c, false);
}

/* @return false when the connection is over */
static bool retransmit(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;

	if (has_expired(c)) {
		soq__sim_conn_die(c, silence(c));
		return false;
	}
	if (f->retries == 0)
		f->failed_ns = soq__sim_conn_now(c);
	if (f->retries < UINT8_MAX)
		f->retries++;
	if (f->backoff < BACKOFF_MAX)
		f->backoff++;
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECV)
		soq__sim_tcp_send_syn(c);
	else
		begin_again(c);
	return true;
}

/* The peer's window is closed, and the news of its opening may be lost. A window that stays
 * closed keeps a connection for ever, unless nobody has it any more: Linux, tcp_probe_timer.
 * @return false when the connection is over */
static bool probe(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	int64_t limit = user_timeout(c), now = soq__sim_conn_now(c);
	unsigned probes_max = c->is_closed ? PROBES_CLOSED_MAX : PROBES_MAX;
	bool in_vain = c->is_closed && backed_off(c) == SOQ__SIM_RTO_MOST_NS;

	/* tcp(7): a window that stays closed counts for TCP_USER_TIMEOUT, answers or not. */
	if (in_vain || f->probes >= probes_max ||
		(limit && f->backoff > 0 && now - f->failed_ns >= limit)) {
		soq__sim_conn_die(c, silence(c));
		return false;
	}
	if (f->backoff == 0)
		f->failed_ns = now;
	f->probes++;
	if (f->backoff < BACKOFF_MAX)
		f->backoff++;
	soq__sim_tcp_start_timer(c);
	soq__sim_tcp_send_probe(c);
	return true;
}

/* ---- keepalive ---- */

static int64_t keep_idle(const struct soq__sim_rare *r)
{
	return (r->idle_s ? r->idle_s : KEEP_IDLE_S) * SOQ_S;
}

void soq__sim_tcp_watch(struct soq__sim_conn *c)
{
	struct soq__sim_rare *r = c->rare;

	if (!c->keepalive)
		return;
	if (c->state == TCP_CLOSE || c->state == TCP_LISTEN || c->state == TCP_SYN_SENT ||
		c->state == TCP_TIME_WAIT) {
		r->check_ns = SOQ_NEVER;
		return;
	}
	if (r->heard_ns == 0)
		r->heard_ns = soq__sim_conn_now(c);
	r->check_ns = r->heard_ns + keep_idle(r);
	soq__sim_tcp_arm(c);
}

/* As Linux's tcp_keepalive_timer. @return false when the connection is over */
static bool keep_alive(struct soq__sim_conn *c)
{
	struct soq__sim_rare *r = c->rare;
	int64_t now = soq__sim_conn_now(c), limit = user_timeout(c);
	int64_t silent_ns = now - r->heard_ns;
	unsigned count = r->count ? r->count : KEEP_COUNT;

	/* What is under way has a timer of its own. */
	if (soq__sim_snd_max(c) != c->snd_una || soq__sim_tcp_has_unsent(c)) {
		r->check_ns = now + keep_idle(r);
		return true;
	}
	if (silent_ns < keep_idle(r)) {
		r->check_ns = r->heard_ns + keep_idle(r);
		return true;
	}
	if (limit ? silent_ns >= limit && r->probes > 0 : r->probes >= count) {
		soq__sim_conn_abort(c, silence(c));
		return false;
	}
	r->probes++;
	r->check_ns = now + (r->interval_s ? r->interval_s : KEEP_INTERVAL_S) * SOQ_S;
	soq__sim_tcp_send_probe(c);
	return true;
}

/* ---- the event ---- */

/* @return false when the connection is over */
static bool fire_flow(struct soq__sim_conn *c)
{
	struct soq__sim_flow *f = c->flow;
	int64_t now = soq__sim_conn_now(c);

	if (f->cork_ns <= now) {
		f->cork_ns = SOQ_NEVER;
		soq__sim_tcp_output(c, true);
	}
	if (f->retransmit_ns <= now) {
		f->retransmit_ns = SOQ_NEVER;
		if (!(f->snd_max != c->snd_una ? retransmit(c) : probe(c)))
			return false;
	}
	if (f->ack_ns <= now)
		soq__sim_tcp_send_ack(c);
	if (f->quiet_ns <= now)
		f->quiet_ns = SOQ_NEVER;
	return true;
}

void soq__sim_tcp_fire(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq__sim_conn *c = soq__container_of(event, struct soq__sim_conn, timer);

	if (only_waits(c)) {
		soq__sim_conn_expire(c);
		return;
	}
	if (c->is_queued && c->client->tell_ns <= sim->now_ns)
		soq__sim_tcp_tell(c->client);
	if (c->flow && !fire_flow(c))
		return;
	if (c->keepalive && c->rare->check_ns <= sim->now_ns && !keep_alive(c))
		return;
	soq__sim_conn_settle(c);
}
