/* tcp.h - what the files of the simulated TCP share.
 *
 *	tcp.c          connections: their making and end; send, receive, close, poll
 *	tcp_connect.c  bind, connect, names
 *	tcp_table.c    which connection a segment is for
 *	tcp_input.c    segments that arrive: RFC 9293 section 3.10.7
 *	tcp_ack.c      what an acknowledgment tells: round trips, congestion, recovery
 *	tcp_data.c     bytes that arrive, in order or not
 *	tcp_output.c   segments that leave
 *	tcp_timer.c    one timer a connection: retransmission, probes, keepalive, TIME_WAIT
 *	tcp_listen.c   listeners, and clients that have not been accepted
 *	tcp_option.c   options, TCP_INFO, descriptions
 *
 * An idle connection is one struct of 192 bytes. What it needs only while bytes are under way
 * or wait is in its flow, which comes and goes.
 *
 * Invariant: without a flow, nothing is unacknowledged on either side, and nothing waits to be
 * sent or read.
 * Source: RFC 9293, and Linux where it has chosen: net/ipv4/tcp*.c as of 6.1.
 */
#ifndef SOQ__SIM_TCP_H
#define SOQ__SIM_TCP_H

#include <netinet/tcp.h>
#include "sim/sim.h"

#define SOQ__SIM_RTO_FIRST_NS	 (1 * SOQ_S)	/* before a round trip was measured */
#define SOQ__SIM_RTO_LEAST_NS	 (200 * SOQ_MS) /* Linux's TCP_RTO_MIN */
#define SOQ__SIM_RTO_MOST_NS	 (120 * SOQ_S)
#define SOQ__SIM_DELAYED_ACK_NS	 (40 * SOQ_MS)
#define SOQ__SIM_CORK_NS	 (200 * SOQ_MS) /* tcp(7), TCP_CORK */
#define SOQ__SIM_TIME_WAIT_NS	 (60 * SOQ_S)
#define SOQ__SIM_FIN_WAIT_2_NS	 (60 * SOQ_S)	/* of a closed socket: tcp_fin_timeout */
#define SOQ__SIM_CHALLENGE_NS	 (500 * SOQ_MS) /* between answers to odd segments */
#define SOQ__SIM_ACCEPT_DELAY_NS (2 * SOQ_MS)	/* at most */
#define SOQ__SIM_SYN_RETRIES	 6
#define SOQ__SIM_SYNACK_RETRIES	 5
#define SOQ__SIM_WINDOW_SEGMENTS 10    /* initial congestion window: RFC 6928 */
#define SOQ__SIM_SYN_WINDOW_MOST 65535 /* a SYN's window is never scaled */

/* Sequence numbers are compared modulo 2^32: RFC 9293 section 3.4. */
static inline bool soq__sim_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool soq__sim_after(uint32_t a, uint32_t b)
{
	return soq__sim_before(b, a);
}

/* Where a segment ends in the sequence space. */
static inline uint32_t soq__sim_end_of(const struct soq__sim_packet *p)
{
	return p->seq + p->len + !!(p->flags & SOQ__SIM_SYN) + !!(p->flags & SOQ__SIM_FIN);
}

/* What a connection needs while something is under way. */
struct soq__sim_flow {
	struct soq__sim_bytes tx;      /* from snd_una on: unacknowledged, then unsent */
	struct soq__sim_bytes rx;      /* not read yet, up to rcv_nxt */
	struct soq__sim_packet **held; /* beyond rcv_nxt, by their sequence numbers */
	uint32_t held_count, held_capacity;
	/* Instants at which something is to be done; SOQ_NEVER: nothing. */
	int64_t retransmit_ns; /* or probe a closed window, when nothing is unacknowledged */
	int64_t ack_ns;
	int64_t cork_ns;
	int64_t quiet_ns;   /* until then, no answer to segments out of the window */
	int64_t timed_ns;   /* when the segment was sent whose round trip is measured */
	int64_t failed_ns;  /* when the first retransmission without an answer was sent */
	uint32_t snd_max;   /* snd_nxt falls back to resend; this does not */
	uint32_t rcv_acked; /* what we have last acknowledged */
	uint32_t timed_seq;
	uint32_t recover;   /* RFC 6582: what was sent when a loss was noticed */
	uint32_t small_end; /* the end of the last segment that was not full */
	uint16_t soft_error;
	uint8_t duplicates; /* acknowledgments in a row that said nothing new */
	uint8_t backoff;
	uint8_t retries;
	uint8_t probes;
	bool is_timing;
	bool is_recovering;
	bool had_partial; /* since then: an acknowledgment has shown a further hole */
};

/* What few set. */
struct soq__sim_rare {
	int64_t heard_ns;	 /* keepalive: when the peer last said something */
	int64_t check_ns;	 /* when to look next; SOQ_NEVER: not */
	uint32_t sndbuf, rcvbuf; /* bytes; 0: the world's default */
	int linger_s;		 /* -1: off */
	uint32_t user_timeout_ms;
	uint16_t idle_s, interval_s; /* 0: Linux's two hours, 75 s */
	uint8_t count;		     /* 0: 9 */
	uint8_t probes;
};

struct soq__sim_conn;

/* A client on a listener's lists. */
struct soq__sim_client {
	struct soq__list node;
	struct soq__sim_conn *conn;
	struct soq__sim_conn *listener;
	int64_t tell_ns; /* when whoever waits hears of it; SOQ_NEVER: has heard, or too early
			  */
};

struct soq__sim_listen {
	struct soq__list embryos; /* whose handshake is not over */
	struct soq__list queue;	  /* to be accepted, in order */
	unsigned count;		  /* of the queue */
	unsigned backlog;
};

struct soq__sim_conn {
	struct soq__sim_socket socket;
	struct soq__sim_event timer;  /* may be early: it then sets itself anew */
	struct soq__sim_conn *next;   /* in its place of the table */
	struct soq__sim_flow *flow;   /* or NULL */
	struct soq__sim_rare *rare;   /* or NULL */
	struct soq__sim_bound *bound; /* NULL: no port, its listener's, or connect(2) chose */
	union {
		struct soq__sim_listen *listen; /* TCP_LISTEN */
		struct soq__sim_client *client; /* is_queued */
	};
	struct soq__sim_addr local, remote;
	uint32_t snd_una, snd_nxt;
	uint32_t snd_edge; /* the peer's window ends here; it never goes back */
	uint32_t rcv_nxt;
	uint32_t rcv_edge;	     /* the window that we have promised ends here */
	uint32_t cwnd, ssthresh;     /* bytes */
	uint32_t srtt_us, rttvar_us; /* srtt 0: not measured */
	uint16_t mss;
	uint16_t error; /* SO_ERROR, an errno */
	uint8_t state;	/* of netinet/tcp.h; TCP_CLOSE for a new one */
	bool shut_rd : 1;
	bool shut_wr : 1;
	bool fin_sent : 1;	/* it is the last before snd_max */
	bool fin_received : 1;	/* and everything before it */
	bool is_closed : 1;	/* no program has it any more */
	bool is_queued : 1;	/* nor had it ever, so far */
	bool is_listed : 1;	/* in the table */
	bool was_connected : 1; /* connect(2) is over for it, whatever came then */
	bool has_chosen : 1;	/* bind(2) chose the port */
	bool nodelay : 1;
	bool cork : 1;
	bool more : 1; /* the last send said MSG_MORE */
	bool keepalive : 1;
	bool reuse_addr : 1;
	bool reuse_port : 1;
	bool v6only : 1;
};

_Static_assert(sizeof(struct soq__sim_conn) <= 192, "an idle connection is to be small");

static inline struct soq__sim_conn *soq__sim_conn_of(const struct soq__sim_socket *s)
{
	return soq__container_of(s, struct soq__sim_conn, socket);
}

static inline struct soq_sim *soq__sim_conn_world(const struct soq__sim_conn *c)
{
	return c->socket.host->sim;
}

static inline int64_t soq__sim_conn_now(const struct soq__sim_conn *c)
{
	return soq__sim_conn_world(c)->now_ns;
}

/* Past the last octet that was sent. */
static inline uint32_t soq__sim_snd_max(const struct soq__sim_conn *c)
{
	return c->flow ? c->flow->snd_max : c->snd_nxt;
}

/* ---- connections (tcp.c) ---- */

struct soq__sim_conn *soq__sim_conn_new(struct soq_sim_host *host, int family);
/* Forget it, and tell nobody. */
void soq__sim_conn_free(struct soq__sim_conn *c);
/* Its flow, made if need be. */
struct soq__sim_flow *soq__sim_conn_flow(struct soq__sim_conn *c);
/* Let go of the flow when it is not needed, and set the timer. */
void soq__sim_conn_settle(struct soq__sim_conn *c);
/* It has ended: an errno, or 0. Whoever waits is told; without a descriptor, it is freed. */
void soq__sim_conn_die(struct soq__sim_conn *c, int error);
/* Send a RST, and the same. */
void soq__sim_conn_abort(struct soq__sim_conn *c, int error);
/* The handshake is over. */
void soq__sim_conn_established(struct soq__sim_conn *c);
/* A FIN is to follow what waits to be sent. */
void soq__sim_conn_finish(struct soq__sim_conn *c);
void soq__sim_conn_time_wait(struct soq__sim_conn *c);
/* From when on nothing is heard: TIME_WAIT, or FIN_WAIT_2 of what was closed, is over. */
void soq__sim_conn_expire(struct soq__sim_conn *c);
uint32_t soq__sim_conn_sndbuf(const struct soq__sim_conn *c);
uint32_t soq__sim_conn_rcvbuf(const struct soq__sim_conn *c);
bool soq__sim_conn_has_room(const struct soq__sim_conn *c); /* enough that poll(2) says so */
/* SO_ERROR as a negative code, or 0; it is told once. */
int soq__sim_conn_take_error(struct soq__sim_conn *c);
void soq__sim_conn_free_port(struct soq__sim_conn *c);

/* ---- addresses (tcp_connect.c) ---- */

/* Bind a port, or with port 0 any. @return as soq__sim_bind_port() */
int soq__sim_conn_take_port(struct soq__sim_conn *c, const struct soq__sim_addr *addr);
/* What the path allows in a segment, both ways. */
void soq__sim_conn_find_mss(struct soq__sim_conn *c);
int64_t soq__sim_tcp_connect(struct soq__sim_conn *c, struct soq__op *op);
int soq__sim_tcp_bind(struct soq__sim_socket *s, const struct soq_addr *addr);
int soq__sim_tcp_local_addr(const struct soq__sim_socket *s, struct soq_addr *ret);
int soq__sim_tcp_peer_addr(const struct soq__sim_socket *s, struct soq_addr *ret);

/* ---- the table (tcp_table.c) ---- */

struct soq__sim_conn *soq__sim_tcp_find(const struct soq_sim_host *host,
	const struct soq__sim_addr *local, const struct soq__sim_addr *remote);
void soq__sim_tcp_list(struct soq__sim_conn *c);
void soq__sim_tcp_unlist(struct soq__sim_conn *c);
/* It is in TIME_WAIT from now on, and so no connection any more. */
void soq__sim_tcp_rests(struct soq__sim_conn *c);
/* Whether accepted connections stand in the way of binding a port. */
bool soq__sim_tcp_port_taken(const struct soq__sim_conn *c, const struct soq__sim_addr *addr);
/* Where sequence numbers begin: RFC 9293 section 3.4.1. */
uint32_t soq__sim_tcp_isn(const struct soq__sim_conn *c);

/* ---- segments that leave (tcp_output.c) ---- */

/* Send what may be sent. @push  small segments too */
void soq__sim_tcp_output(struct soq__sim_conn *c, bool push);
/* SYN, or SYN and ACK, by the state. */
void soq__sim_tcp_send_syn(struct soq__sim_conn *c);
void soq__sim_tcp_send_ack(struct soq__sim_conn *c);
/* An acknowledgment that makes the peer answer: an octet too low. */
void soq__sim_tcp_send_probe(struct soq__sim_conn *c);
void soq__sim_tcp_send_reset(struct soq__sim_conn *c);
/* The first segment that is not acknowledged, again. */
void soq__sim_tcp_resend(struct soq__sim_conn *c);
/* A RST for a segment that is nobody's. */
void soq__sim_tcp_reject(struct soq_sim_host *host, const struct soq__sim_packet *p);
/* Answer a segment that is out of the window; not too often, lest two do so for ever. */
void soq__sim_tcp_challenge(struct soq__sim_conn *c, const struct soq__sim_packet *p);
/* The window that would be promised now, in bytes. */
uint32_t soq__sim_tcp_window(const struct soq__sim_conn *c);
/* Whether data or a FIN waits for being sent for the first time. */
bool soq__sim_tcp_has_unsent(const struct soq__sim_conn *c);

/* ---- segments that arrive (tcp_ack.c, tcp_data.c) ---- */

/* @return false when the segment acknowledges what was never sent */
bool soq__sim_tcp_take_ack(struct soq__sim_conn *c, const struct soq__sim_packet *p);
void soq__sim_tcp_measure(struct soq__sim_conn *c, int64_t round_trip_ns);
/* @return true when the packet is kept */
bool soq__sim_tcp_take_data(struct soq__sim_conn *c, struct soq__sim_packet *p);
/* Drop what arrived out of order. */
void soq__sim_tcp_drop_held(struct soq__sim_flow *f);
/* Bytes have been read: perhaps the peer waits to hear of it. */
void soq__sim_tcp_has_read(struct soq__sim_conn *c);

/* ---- the timer (tcp_timer.c) ---- */

void soq__sim_tcp_fire(struct soq_sim *sim, struct soq__sim_event *event);
/* Set the timer to the first of the instants that matter. */
void soq__sim_tcp_arm(struct soq__sim_conn *c);
int64_t soq__sim_tcp_rto(const struct soq__sim_conn *c);
/* The retransmission timer, from now on, with its backoff. */
void soq__sim_tcp_start_timer(struct soq__sim_conn *c);
/* Keepalive begins, with the connection or with the option. */
void soq__sim_tcp_watch(struct soq__sim_conn *c);

/* ---- listeners (tcp_listen.c) ---- */

int soq__sim_tcp_listen(struct soq__sim_conn *c, int backlog);
/* A SYN for a listener. */
void soq__sim_tcp_syn(struct soq__sim_conn *listener, const struct soq__sim_packet *p);
/* A client's handshake is over. @return false when there is no room: it is as if it were not */
bool soq__sim_tcp_enqueue(struct soq__sim_conn *c);
int64_t soq__sim_tcp_accept(struct soq__sim_conn *listener, struct soq__op *op);
/* Whoever waits hears of a client now. */
void soq__sim_tcp_tell(struct soq__sim_client *client);
/* Take it off its listener's lists. */
void soq__sim_tcp_leave(struct soq__sim_conn *c);
/* The end of a listener's lists. @reset  tell the clients */
void soq__sim_tcp_stop_listening(struct soq__sim_conn *c, bool reset);

/* ---- options (tcp_option.c) ---- */

struct soq__sim_rare *soq__sim_conn_rare(struct soq__sim_conn *c);
int soq__sim_tcp_set_option(
	struct soq__sim_socket *s, int level, int option, const void *value, socklen_t len);
int soq__sim_tcp_get_option(
	const struct soq__sim_socket *s, int level, int option, void *value, socklen_t *len);
void soq__sim_tcp_describe(const struct soq__sim_socket *s, char *buf, size_t len);
uint64_t soq__sim_tcp_memory(const struct soq__sim_socket *s);

#endif
