/* tcp_option.c - options of TCP sockets, and what they say of themselves.
 *
 * What few set is kept apart from the connection (struct soq__sim_rare).
 *
 * Source: socket(7), tcp(7), ipv6(7); Linux's sock.c and tcp.c for what is out of range.
 */
#include "sim/tcp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEEP_MOST_S 32767
#define KEEP_MOST   127

struct soq__sim_rare *soq__sim_conn_rare(struct soq__sim_conn *c)
{
	if (!c->rare) {
		c->rare = soq__sim_alloc(sizeof(*c->rare));
		c->rare->check_ns = SOQ_NEVER;
		c->rare->linger_s = -1;
	}
	return c->rare;
}

/* ---- setting ---- */

static int set_linger(struct soq__sim_conn *c, const void *value, socklen_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	if (linger.l_onoff && linger.l_linger < 0)
		return -EINVAL;
	soq__sim_conn_rare(c)->linger_s = linger.l_onoff ? linger.l_linger : -1;
	return 0;
}

static int set_socket(struct soq__sim_conn *c, int option, int value)
{
	switch (option) {
	case SO_REUSEADDR:
		c->reuse_addr = value != 0;
		if (c->bound)
			c->bound->reuse_addr = c->reuse_addr;
		return 0;
	case SO_REUSEPORT:
		c->reuse_port = value != 0;
		if (c->bound)
			c->bound->reuse_port = c->reuse_port;
		return 0;
	case SO_SNDBUF:
		/* Without the half that is for what packets cost Linux. */
		soq__sim_conn_rare(c)->sndbuf =
			(uint32_t)soq__sim_doubled(value, SOQ__SIM_SNDBUF_LEAST) / 2;
		soq__sim_changed(&c->socket, SOQ__SIM_OUT);
		return 0;
	case SO_RCVBUF:
		soq__sim_conn_rare(c)->rcvbuf =
			(uint32_t)soq__sim_doubled(value, SOQ__SIM_RCVBUF_LEAST) / 2;
		return 0;
	case SO_KEEPALIVE:
		soq__sim_conn_rare(c)->heard_ns = soq__sim_conn_now(c);
		c->keepalive = value != 0;
		soq__sim_tcp_watch(c);
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* What may be sent now that could not before. */
static void release(struct soq__sim_conn *c, bool push)
{
	soq__sim_tcp_output(c, push);
	soq__sim_conn_settle(c);
}

static int set_keepalive(struct soq__sim_conn *c, int option, int value)
{
	struct soq__sim_rare *r;

	if (value < 1 || value > (option == TCP_KEEPCNT ? KEEP_MOST : KEEP_MOST_S))
		return -EINVAL;
	r = soq__sim_conn_rare(c);
	if (option == TCP_KEEPIDLE)
		r->idle_s = (uint16_t)value;
	else if (option == TCP_KEEPINTVL)
		r->interval_s = (uint16_t)value;
	else
		r->count = (uint8_t)value;
	if (option == TCP_KEEPIDLE)
		soq__sim_tcp_watch(c);
	return 0;
}

static int set_tcp(struct soq__sim_conn *c, int option, int value)
{
	switch (option) {
	case TCP_NODELAY:
		c->nodelay = value != 0;
		/* tcp(7): it flushes what waits, a cork or not. */
		if (value)
			release(c, true);
		return 0;
	case TCP_CORK:
		c->cork = value != 0;
		if (!value)
			release(c, c->nodelay);
		return 0;
	case TCP_KEEPIDLE:
	case TCP_KEEPINTVL:
	case TCP_KEEPCNT:
		return set_keepalive(c, option, value);
	case TCP_USER_TIMEOUT:
		if (value < 0)
			return -EINVAL;
		soq__sim_conn_rare(c)->user_timeout_ms = (uint32_t)value;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int set_ipv6(struct soq__sim_conn *c, int option, int value)
{
	if (c->socket.family != AF_INET6 || option != IPV6_V6ONLY)
		return -ENOPROTOOPT;
	if (c->bound)
		return -EINVAL;
	c->v6only = value != 0;
	return 0;
}

int soq__sim_tcp_set_option(
	struct soq__sim_socket *s, int level, int option, const void *value, socklen_t len)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);
	int n, rc;

	if (level == SOL_SOCKET && option == SO_LINGER)
		return set_linger(c, value, len);
	rc = soq__sim_take_int(value, len, &n);
	if (rc < 0)
		return rc;
	switch (level) {
	case SOL_SOCKET:
		return set_socket(c, option, n);
	case IPPROTO_TCP:
		return set_tcp(c, option, n);
	case IPPROTO_IPV6:
		return set_ipv6(c, option, n);
	default:
		return -ENOPROTOOPT;
	}
}

/* ---- getting ---- */

static int get_linger(const struct soq__sim_conn *c, void *value, socklen_t *len)
{
	int linger_s = c->rare ? c->rare->linger_s : -1;
	struct linger linger = { .l_onoff = linger_s >= 0,
		.l_linger = linger_s >= 0 ? linger_s : 0 };

	return soq__sim_put_part(value, len, &linger, sizeof(linger));
}

static int get_socket(struct soq__sim_conn *c, int option, int *ret)
{
	switch (option) {
	case SO_ERROR:
		*ret = c->error;
		c->error = 0;
		return 0;
	case SO_REUSEADDR:
		*ret = c->reuse_addr;
		return 0;
	case SO_REUSEPORT:
		*ret = c->reuse_port;
		return 0;
	case SO_SNDBUF:
		*ret = (int)(2 * soq__sim_conn_sndbuf(c));
		return 0;
	case SO_RCVBUF:
		*ret = (int)(2 * soq__sim_conn_rcvbuf(c));
		return 0;
	case SO_KEEPALIVE:
		*ret = c->keepalive;
		return 0;
	case SO_ACCEPTCONN:
		*ret = c->state == TCP_LISTEN;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_tcp(const struct soq__sim_conn *c, int option, int *ret)
{
	static const struct soq__sim_rare none;
	const struct soq__sim_rare *r = c->rare ? c->rare : &none;

	switch (option) {
	case TCP_NODELAY:
		*ret = c->nodelay;
		return 0;
	case TCP_CORK:
		*ret = c->cork;
		return 0;
	case TCP_KEEPIDLE:
		*ret = r->idle_s ? r->idle_s : 7200;
		return 0;
	case TCP_KEEPINTVL:
		*ret = r->interval_s ? r->interval_s : 75;
		return 0;
	case TCP_KEEPCNT:
		*ret = r->count ? r->count : 9;
		return 0;
	case TCP_USER_TIMEOUT:
		*ret = (int)r->user_timeout_ms;
		return 0;
	case TCP_MAXSEG:
		*ret = c->mss ? c->mss : 536; /* RFC 9293 section 3.7.1 */
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

/* Of a connection, bytes counted as segments. */
static void fill_info(const struct soq__sim_conn *c, struct tcp_info *info)
{
	const struct soq__sim_flow *f = c->flow;

	info->tcpi_rto = (uint32_t)(soq__sim_tcp_rto(c) / SOQ_US);
	info->tcpi_ato = (uint32_t)(SOQ__SIM_DELAYED_ACK_NS / SOQ_US);
	info->tcpi_snd_mss = info->tcpi_rcv_mss = info->tcpi_advmss = c->mss;
	info->tcpi_rtt = c->srtt_us;
	info->tcpi_rttvar = c->rttvar_us;
	info->tcpi_snd_ssthresh = c->ssthresh;
	info->tcpi_rcv_space = soq__sim_conn_rcvbuf(c);
	info->tcpi_reordering = 3;
	if (c->mss) {
		info->tcpi_snd_cwnd = c->cwnd / c->mss;
		if (c->ssthresh != UINT32_MAX)
			info->tcpi_snd_ssthresh = c->ssthresh / c->mss;
		info->tcpi_unacked = (soq__sim_snd_max(c) - c->snd_una + c->mss - 1) / c->mss;
	}
	if (!f)
		return;
	info->tcpi_retransmits = f->retries;
	info->tcpi_probes = f->probes;
	info->tcpi_backoff = f->backoff;
}

static int get_info(const struct soq__sim_conn *c, void *value, socklen_t *len)
{
	struct tcp_info info = { 0 };

	/* What is in TIME_WAIT is no socket any more to Linux. */
	info.tcpi_state = c->state == TCP_TIME_WAIT ? TCP_CLOSE : c->state;
	if (c->state == TCP_LISTEN) {
		info.tcpi_unacked = c->listen->count;
		info.tcpi_sacked = c->listen->backlog;
	} else {
		fill_info(c, &info);
	}
	return soq__sim_put_part(value, len, &info, sizeof(info));
}

int soq__sim_tcp_get_option(
	const struct soq__sim_socket *s, int level, int option, void *value, socklen_t *len)
{
	struct soq__sim_conn *c = soq__sim_conn_of(s);
	int rc = -ENOPROTOOPT, answer = 0;

	if (level == SOL_SOCKET && option == SO_LINGER)
		return get_linger(c, value, len);
	if (level == IPPROTO_TCP && option == TCP_INFO)
		return get_info(c, value, len);
	if (level == SOL_SOCKET)
		rc = get_socket(c, option, &answer);
	else if (level == IPPROTO_TCP)
		rc = get_tcp(c, option, &answer);
	else if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY && s->family == AF_INET6) {
		answer = c->v6only;
		rc = 0;
	}
	return rc < 0 ? rc : soq__sim_put_int(value, len, answer);
}

/* ---- for people ---- */

static const char *state_text(const struct soq__sim_conn *c)
{
	static const char *const texts[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_SYN_SENT] = "connecting",
		[TCP_SYN_RECV] = "being connected to",
		[TCP_FIN_WAIT1] = "has sent its end",
		[TCP_FIN_WAIT2] = "waits for the peer's end",
		[TCP_TIME_WAIT] = "ended by both",
		[TCP_CLOSE] = "closed",
		[TCP_CLOSE_WAIT] = "ended by the peer",
		[TCP_LAST_ACK] = "waits for the last acknowledgment",
		[TCP_CLOSING] = "closing on both sides",
	};

	return texts[c->state];
}

static void describe_waiting(const struct soq__sim_conn *c, char *buf, size_t len)
{
	const struct soq__sim_flow *f = c->flow;
	int n = 0;

	buf[0] = '\0';
	if (f && f->rx.count)
		n = snprintf(buf, len, ", %u bytes to be read", f->rx.count);
	if (f && f->tx.count)
		snprintf(buf + n, len - (size_t)n, ", %u bytes not acknowledged", f->tx.count);
}

void soq__sim_tcp_describe(const struct soq__sim_socket *s, char *buf, size_t len)
{
	const struct soq__sim_conn *c = soq__sim_conn_of(s);
	char local[SOQ_ADDR_TEXT_MAX], remote[SOQ_ADDR_TEXT_MAX], waiting[80];

	soq__sim_addr_text(local, &c->local);
	if (c->state == TCP_LISTEN) {
		snprintf(buf, len, "listening at %s, %u clients wait", local, c->listen->count);
	} else if (c->remote.port == 0) {
		snprintf(buf, len, "not connected");
	} else {
		describe_waiting(c, waiting, sizeof(waiting));
		snprintf(buf, len, "from %s to %s, %s%s", local,
			soq__sim_addr_text(remote, &c->remote), state_text(c), waiting);
	}
}

uint64_t soq__sim_tcp_memory(const struct soq__sim_socket *s)
{
	const struct soq__sim_conn *c = soq__sim_conn_of(s);
	const struct soq__sim_flow *f = c->flow;
	uint64_t bytes = sizeof(*c);

	if (c->rare)
		bytes += sizeof(*c->rare);
	if (c->bound)
		bytes += sizeof(*c->bound);
	if (c->is_queued)
		bytes += sizeof(*c->client);
	if (c->state == TCP_LISTEN)
		bytes += sizeof(*c->listen);
	if (!f)
		return bytes;
	bytes += sizeof(*f) + f->tx.capacity + f->rx.capacity;
	bytes += f->held_capacity * sizeof(struct soq__sim_packet *);
	for (uint32_t i = 0; i < f->held_count; i++)
		bytes += sizeof(*f->held[i]) + f->held[i]->len;
	return bytes;
}
