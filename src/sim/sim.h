/* sim.h - what the files of the simulated network share.
 *
 *	world.c     the queue of events, virtual time, the fd table, census
 *	chance.c    numbers drawn from the seed, each by a key of its own
 *	host.c      hosts: their making, names, clocks; crash, restart, pause
 *	book.c      which host has a name or an address
 *	address.c   addresses of IPv4 and IPv6
 *	packet.c    what travels
 *	link.c      directions between hosts: their options, partitions, worsening
 *	transit.c   packets on their way: latency, loss, duplication, arrival
 *	link_queue.c  what waits for a link's rate; CoDel
 *	ports.c     which socket has which port
 *	socket.c    operations tried, parked, completed; options that all sockets have
 *	tcp*.c      TCP (RFC 9293) over the links
 *	udp.c       datagrams, multicast
 *	unix.c      Unix sockets within a host
 *	names.c     the name service
 *	engine.c    struct soq__engine_type over all that
 *	program.c   programs: workers on stacks of their own, switched by virtual time
 *	latch.c     stops and signals, which programs can wait for
 *	run.c       the world's loop, its verdict and report
 *	fault.c chaos.c sweep.c ...
 *
 * Every program of a host has a worker (fiber/worker.h) with an engine of this kind. All
 * workers of a world run on one thread: an engine's turn switches back to the world's loop,
 * which fires the next event, which may switch to a program again.
 *
 * Rules, so that a seed gives the same run everywhere: nothing is ordered by address or by
 * hash of one; nothing reads the machine's clock, entropy or limits; chance is drawn by
 * key (soq__sim_draw), so that leaving one fault out does not shift the others; no floating
 * point.
 */
#ifndef SOQ__SIM_H
#define SOQ__SIM_H

#include <soquete/sim.h>
#include <soquete/endpoint.h>
#include <netinet/in.h>
#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"

/* ---- events (world.c) ---- */

/* Something that will happen at an instant of the world. Embedded in what it happens to. */
struct soq__sim_event {
	struct soq__timer timer;
	void (*fire)(struct soq_sim *sim, struct soq__sim_event *event);
};

static inline void soq__sim_event_init(struct soq__sim_event *event,
	void (*fire)(struct soq_sim *sim, struct soq__sim_event *event))
{
	soq__timer_init(&event->timer);
	event->fire = fire;
}

static inline bool soq__sim_event_pending(const struct soq__sim_event *event)
{
	return soq__timer_armed(&event->timer);
}

/* Let it happen at an instant (now, if that has passed), in the place of a former one.
 * Events of one instant happen in the order in which they were set. Ends the process when
 * there is no memory, as do all allocations of the simulation. */
void soq__sim_at(struct soq_sim *sim, struct soq__sim_event *event, int64_t at_ns);
void soq__sim_cancel(struct soq_sim *sim, struct soq__sim_event *event);
/* When a pending event is to happen. */
int64_t soq__sim_when(const struct soq_sim *sim, const struct soq__sim_event *event);
/* Fire the first event, then ask what soq_sim_eventually() waits for.
 * @return false when there is none, or it is after @limit_ns */
bool soq__sim_step(struct soq_sim *sim, int64_t limit_ns);

/* calloc(3) and realloc(3) that end the process when there is no memory. */
void *soq__sim_alloc(size_t bytes);
void *soq__sim_realloc(void *p, size_t bytes);

/* ---- chance (chance.c) ---- */

enum soq__sim_purpose {
	SOQ__SIM_LATENCY,
	SOQ__SIM_LOSS,
	SOQ__SIM_BURST,
	SOQ__SIM_DUPLICATE,
	SOQ__SIM_REORDER,
	SOQ__SIM_CORRUPT,
	SOQ__SIM_SHORT_READ,
	SOQ__SIM_SHORT_WRITE,
	SOQ__SIM_ACCEPT,
	SOQ__SIM_ROUND, /* what a round of a scheduler costs */
	SOQ__SIM_OFFLOAD,
	SOQ__SIM_LOOKUP,  /* how long a name service's answer takes */
	SOQ__SIM_PORT,	  /* ephemeral ports */
	SOQ__SIM_ISN,	  /* initial sequence numbers */
	SOQ__SIM_ENTROPY, /* what programs read from soq_random() */
	SOQ__SIM_CHAOS,
	SOQ__SIM_BOOT, /* what a host's monotonic clock shows when it starts */
	SOQ__SIM_PURPOSES,
};

/* The @index-th number for a purpose of whoever is called @key: a host's index, or
 * soq__sim_link_key(). Depends on nothing else but the seed. */
uint64_t soq__sim_draw(
	const struct soq_sim *sim, enum soq__sim_purpose purpose, uint64_t key, uint64_t index);
/* From 0 to @below - 1, without modulo's bias worth speaking of; 0 for 0. */
static inline uint64_t soq__sim_below(uint64_t draw, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)draw * below) >> 64);
}
static inline bool soq__sim_chance(uint64_t draw, uint32_t ppm)
{
	return soq__sim_below(draw, SOQ_PPM_ONE) < ppm;
}

/* ---- addresses ---- */

/* An address and a port of the simulated Internet. IPv4 is mapped: ::ffff:a.b.c.d. */
struct soq__sim_addr {
	uint8_t ip[16];
	uint16_t port; /* in the machine's order */
};

/* address.c. From and to what the public interface has. @return 0, -EAFNOSUPPORT, -EINVAL
 * @family  in which to show: a v4-mapped address becomes AF_INET, or stays AF_INET6 */
int soq__sim_addr_from(struct soq__sim_addr *ret, const struct soq_addr *addr);
void soq__sim_addr_to(struct soq_addr *ret, const struct soq__sim_addr *addr, int family);
/* An address as text, IPv4 or IPv6; port 0. @return whether it is one */
bool soq__sim_addr_parse(struct soq__sim_addr *ret, const char *text);
bool soq__sim_addr_is4(const struct soq__sim_addr *addr);
bool soq__sim_addr_is_any(const struct soq__sim_addr *addr); /* :: or 0.0.0.0 */
bool soq__sim_addr_is_loopback(const struct soq__sim_addr *addr);
bool soq__sim_addr_is_multicast(const struct soq__sim_addr *addr);
/* 255.255.255.255. Of a subnet: hosts have no netmask, so no other. */
bool soq__sim_addr_is_broadcast(const struct soq__sim_addr *addr);
bool soq__sim_same_ip(const struct soq__sim_addr *a, const struct soq__sim_addr *b);
bool soq__sim_same_addr(const struct soq__sim_addr *a, const struct soq__sim_addr *b);

/* ---- the world (world.c) ---- */

#define SOQ__SIM_FD_BASE                                                   \
	(1 << 24) /* simulated descriptors begin here; the kernel's do not \
		     come so far */

/* Which host has a name, or an address (book.c). */
struct soq__sim_book {
	struct soq__sim_entry *entries;
	size_t count, capacity;
};

/* What a descriptor stands for. Several may stand for a socket, as after dup(2). */
struct soq__sim_descriptor {
	struct soq__sim_socket *socket; /* NULL: it is free */
	/* The program that has it, for its end; NULL: nobody yet, it is in a message, or has
	 * come out of one and has not been adopted */
	struct soq__sim_engine *owner;
};

/* 2026-01-01: what every wall clock shows at the world's beginning. */
#define SOQ__SIM_EPOCH_NS (1767225600 * SOQ_S)

struct soq_sim {
	uint64_t seed;
	struct soq_sim_options opt; /* every default filled in */
	int64_t now_ns;
	struct soq__heap events;
	uint64_t event_count;
	uint64_t digest;	     /* of every event so far: equal runs have equal ones */
	struct soq_sim_host **hosts; /* by index, in the order of their making */
	size_t host_count;
	struct soq__sim_book names, addresses;
	size_t next_address;		 /* the last number tried for 10.0.0.N and fd00::N */
	struct soq__sim_descriptor *fds; /* by descriptor minus SOQ__SIM_FD_BASE */
	size_t fd_count, fd_capacity;
	size_t fd_free;			  /* no free one is below this */
	struct soq__sim_engine *implicit; /* SOQUETE_ENGINE=sim: the thread's own, or NULL */
	struct soq__list observers;	  /* struct soq__sim_observer */
	struct soq__list faults;	  /* fault.c */
	struct soq__list said_names;	  /* names.c: what soq_sim_name() has said */
	struct soq__sim_run *run;	  /* run.h: how the run stands; NULL: not begun */
	struct soq__sim_properties *properties; /* property.c; NULL: none yet */
	unsigned chaos_calls;			/* of soq_sim_add_chaos() so far */
	bool drawing;				/* soq_sim_add_chaos() adds its faults now */
	bool chaos_given; /* soq_sim_replay: soq_sim_add_chaos() adds no faults */
};

/* Mix something that has happened into the digest. */
void soq__sim_digest(struct soq_sim *sim, uint64_t what);

/* As soq_sim_new(), whatever SOQUETE_SEED says. */
int soq__sim_new(struct soq_sim **ret, uint64_t seed, const struct soq_sim_options *opt);
/* SOQUETE_SEED. @return 0; -ENOENT when it is not there, -EINVAL when it is no number */
int soq__sim_seed_given(uint64_t *ret);

/* Which program runs on this thread; NULL: none. To be set at each switch; @e NULL: the
 * world's loop goes on. */
void soq__sim_set_running(struct soq__sim_engine *e);
struct soq__sim_engine *soq__sim_running(void);
/* End the process when a simulated program calls: the world stands on the stack that it would
 * take away, or stand on twice. */
void soq__sim_refuse_within(const struct soq_sim *sim, const char *what);

/* book.c. A key is borrowed from its host. */
void soq__sim_book_add(
	struct soq__sim_book *book, const void *key, size_t len, struct soq_sim_host *host);
struct soq_sim_host *soq__sim_book_find(
	const struct soq__sim_book *book, const void *key, size_t len);

/* ---- hosts (host.c) ---- */

struct soq__sim_links;

struct soq_sim_host {
	struct soq_sim *sim;
	size_t index;
	char *name;
	struct soq__sim_addr *addresses; /* ports 0; the loopback ones not among them */
	size_t address_count;
	bool up;
	bool paused;
	bool paused_by_hand; /* which outlasts the faults that pause it, too */
	unsigned lives;	     /* how often it has started, from 1 */
	/* Its monotonic clock: at the world's instant base_ns it showed clock_ns, and runs
	 * drift_ppm fast since. */
	int64_t base_ns, clock_ns, drift_ppm;
	int64_t drift_by_hand_ppm; /* its part in that; the rest is of faults */
	int64_t wall_offset_ns;
	struct soq__list engines;	    /* struct soq__sim_engine, one a program */
	struct soq__list programs;	    /* program.c, those that restart included */
	struct soq__sim_link_state **links; /* link.c: to other hosts, a hash table */
	size_t link_count, link_capacity;
	struct soq__sim_ports *ports;	   /* ports.c */
	struct soq__sim_tcp *tcp;	   /* tcp.c: its connections */
	struct soq__sim_udp *udp;	   /* udp.c: its groups */
	struct soq__sim_unix *local;	   /* unix.c: its names */
	uint64_t draws[SOQ__SIM_PURPOSES]; /* how many of each it has drawn */
	unsigned descriptors;
	unsigned leaked;
	unsigned program_count;	       /* that were ever spawned */
	struct soq__sim_event suicide; /* soq_sim_crash() by a program of its own */
};

/* The host's next number for a purpose. */
uint64_t soq__sim_host_draw(struct soq_sim_host *host, enum soq__sim_purpose purpose);

/* Whether somebody may be called so. */
bool soq__sim_is_name(const char *name);
/* The host that has an address (not a loopback, multicast, wildcard one), or NULL. */
struct soq_sim_host *soq__sim_host_of(
	const struct soq_sim *sim, const struct soq__sim_addr *addr);
bool soq__sim_host_has(const struct soq_sim_host *host, const struct soq__sim_addr *addr);
/* Which of its addresses a host uses towards another: of the family, the first.
 * @return false when it has none: -ENETUNREACH, or -EADDRNOTAVAIL */
bool soq__sim_source_for(
	struct soq_sim_host *host, const struct soq__sim_addr *to, struct soq__sim_addr *ret);

/* Between the world's instants and a host's monotonic clock; SOQ_NEVER stays. */
int64_t soq__sim_host_clock(const struct soq_sim_host *host);
int64_t soq__sim_world_instant(const struct soq_sim_host *host, int64_t host_ns);

/* Close nothing, free everything that its programs and its kernel hold, and tell nobody. */
void soq__sim_host_abandon(struct soq_sim_host *host);
/* Change the drift of a host's clocks by an amount, parts per million. */
#define SOQ__SIM_DRIFT_MAX 500000 /* by one call, or one fault */
void soq__sim_host_drift(struct soq_sim_host *host, int64_t by_ppm);
/* Let the programs of a host, which is up, stand still or go on. */
void soq__sim_host_pause(struct soq_sim_host *host);
void soq__sim_host_resume(struct soq_sim_host *host);
void soq__sim_hosts_free(struct soq_sim *sim);

/* The parts of a host made and ended with it. */
struct soq__sim_ports *soq__sim_ports_new(void);
void soq__sim_ports_free(struct soq__sim_ports *ports);
struct soq__sim_tcp *soq__sim_tcp_new(void);
void soq__sim_tcp_free(struct soq__sim_tcp *tcp);
struct soq__sim_udp *soq__sim_udp_new(void);
void soq__sim_udp_free(struct soq__sim_udp *udp);
struct soq__sim_unix *soq__sim_unix_new(void);
void soq__sim_unix_free(struct soq__sim_unix *local);

/* A crash: forget everything, tell nobody. TCP: free every connection, orphans and
 * TIME_WAIT too. Unix: the paths stay, stale. Called after every open socket has been
 * abandoned (struct soq__sim_proto). */
void soq__sim_tcp_crash(struct soq_sim_host *host);
void soq__sim_unix_crash(struct soq_sim_host *host);

/* tcp.c: for the census: connections, orphans included, TIME_WAIT not; bytes held. */
unsigned soq__sim_tcp_count(const struct soq_sim_host *host, uint64_t *add_bytes);

/* ---- packets (packet.c, link.c, transit.c, link_queue.c) ---- */

#define SOQ__SIM_IP4_HEADER 20
#define SOQ__SIM_IP6_HEADER 40
#define SOQ__SIM_TCP_HEADER 20 /* options not counted */
#define SOQ__SIM_UDP_HEADER 8

enum soq__sim_tcp_flag {
	SOQ__SIM_FIN = 0x01,
	SOQ__SIM_SYN = 0x02,
	SOQ__SIM_RST = 0x04,
	SOQ__SIM_PSH = 0x08,
	SOQ__SIM_ACK = 0x10,
};

/* What happens to a packet on its way. */
enum soq__sim_fate {
	SOQ__SIM_ARRIVES,
	SOQ__SIM_LOST, /* by chance */
	SOQ__SIM_LOST_NTH,
	SOQ__SIM_QUEUE_FULL,
	SOQ__SIM_CODEL,
	SOQ__SIM_PARTITIONED,
	SOQ__SIM_NO_HOST,   /* nobody has the address */
	SOQ__SIM_HOST_DOWN, /* told when it would arrive */
	SOQ__SIM_TOO_BIG,   /* told to the sender by an ICMP message */
	SOQ__SIM_FATES,
};

/* And how it arrives. */
enum soq__sim_mark {
	SOQ__SIM_IS_DUPLICATE = 1,
	SOQ__SIM_HELD_BACK = 2,
	SOQ__SIM_CORRUPTED = 4,
	SOQ__SIM_RETRANSMISSION = 8, /* set by TCP, for those who watch */
};

struct soq__sim_packet {
	struct soq__sim_event arrival;
	struct soq_sim_host *from;
	struct soq_sim_host *to; /* set by the link; NULL: nobody */
	struct soq__sim_addr src, dst;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP: see icmp_error */
	uint8_t marks;
	uint8_t hops;
	unsigned lives; /* the sender's so far: what goes to itself does not outlive it */
	/* TCP; sequence numbers are what is on the wire, modulo 2^32 */
	uint8_t flags;
	uint32_t seq, ack;
	uint32_t window; /* in bytes: as if a scale had been agreed */
	/* ICMP: what the sender of an earlier packet is told: an errno. src and dst are those
	 * of that packet, exchanged; protocol_told is its protocol. */
	int icmp_error;
	uint8_t protocol_told;
	uint64_t number; /* the link's count; for chance and for those who watch */
	uint32_t len;	 /* payload bytes */
	char data[];
};

/* A packet with room for @len bytes of payload, which the caller fills; all else is 0. */
struct soq__sim_packet *soq__sim_packet_new(struct soq_sim_host *from, uint8_t protocol,
	const struct soq__sim_addr *src, const struct soq__sim_addr *dst, size_t len);
void soq__sim_packet_free(struct soq__sim_packet *p);

/* Bytes on the wire, IP header included. */
size_t soq__sim_packet_bytes(const struct soq__sim_packet *p);

/* Put a packet on its way to a host's address; it is the link's from now on. Loopback
 * addresses and the host's own go by its loopback link. A datagram larger than the MTU is
 * sent as fragments, and lost with any of them. */
void soq__sim_send(struct soq__sim_packet *p);
/* The same for a copy to one host of those that a multicast or broadcast packet goes to. */
void soq__sim_send_to(struct soq__sim_packet *p, struct soq_sim_host *to);
/* Tell the sender of a packet of an error (ECONNREFUSED for a closed port). */
void soq__sim_send_error(
	struct soq_sim_host *from, const struct soq__sim_packet *about, int error);

/* The largest packet, IP header included, from a host to an address. */
unsigned soq__sim_mtu(struct soq_sim_host *from, const struct soq__sim_addr *to);

static inline uint64_t soq__sim_link_key(
	const struct soq_sim_host *from, const struct soq_sim_host *to)
{
	return ((uint64_t)from->index + 1) << 32 | (to->index + 1);
}

/* Whoever gets a packet that has arrived: each frees it. */
void soq__sim_tcp_input(struct soq_sim_host *host, struct soq__sim_packet *p);
void soq__sim_udp_input(struct soq_sim_host *host, struct soq__sim_packet *p);
/* An ICMP error about a packet of ours. */
void soq__sim_tcp_error(struct soq_sim_host *host, const struct soq__sim_packet *icmp);
void soq__sim_udp_error(struct soq_sim_host *host, const struct soq__sim_packet *icmp);

/* Partitions are counted, so that several may overlap: a direction is open at 0. */
void soq__sim_block(struct soq_sim_host *from, struct soq_sim_host *to, int change);
/* Open a direction, whatever blocks it. */
void soq__sim_unblock_all(struct soq_sim_host *from, struct soq_sim_host *to);
/* What faults add to a direction, and take back with the opposite sign. */
void soq__sim_link_worsen(
	struct soq_sim_host *from, struct soq_sim_host *to, int64_t loss_ppm, int64_t delay_ns);
/* A rate below the link's own, 0: the link's own again. */
void soq__sim_link_limit(
	struct soq_sim_host *from, struct soq_sim_host *to, uint64_t rate_bytes_s);
/* Packets and bytes on their way to a host. */
uint64_t soq__sim_link_bytes(const struct soq_sim_host *to);
void soq__sim_links_free(struct soq_sim_host *host);
/* Every packet that is still on its way; the world ends. */
void soq__sim_packets_free(struct soq_sim *sim);

/* Whether the fields of a link make sense. @what  is in the sentence of the error
 * @return 0, -EINVAL */
int soq__sim_link_check(const struct soq_sim_link *link, const char *what);
/* Put the defaults in place of zeros. Done twice it is the same. */
void soq__sim_link_fill(struct soq_sim_link *link, bool loopback);
/* What holds between hosts of which soq_sim_link() says nothing; packets that wait already go
 * by it too. */
void soq__sim_set_default_link(struct soq_sim *sim, const struct soq_sim_link *link);

/* ---- watching ---- */

/* Whoever looks on: a trace, a log, a diagram. Functions may be NULL. */
struct soq__sim_observer {
	struct soq__list node;
	void (*host)(struct soq__sim_observer *o, const struct soq_sim_host *host); /* made */
	/* Sent, or (HOST_DOWN) arrived in vain. @arrives_ns  with SOQ__SIM_ARRIVES */
	void (*packet)(struct soq__sim_observer *o, const struct soq__sim_packet *p,
		enum soq__sim_fate fate, int64_t arrives_ns);
	/* Something else worth a line: a crash, a program's end, a partition. @host may be
	 * NULL. @fault  it is a fault, or the end of one */
	void (*note)(struct soq__sim_observer *o, const struct soq_sim_host *host, bool fault,
		const char *text);
	/* A direction between two hosts is cut by a partition, or open again. */
	void (*cut)(struct soq__sim_observer *o, const struct soq_sim_host *from,
		const struct soq_sim_host *to, bool cut);
	void (*close)(struct soq__sim_observer *o); /* the world ends; frees @o */
};

/* world.c. Tell the observers; formats nothing when there is none. */
void soq__sim_note(struct soq_sim *sim, const struct soq_sim_host *host, const char *format,
	...) __attribute__((format(printf, 3, 4)));
void soq__sim_note_fault(struct soq_sim *sim, const struct soq_sim_host *host,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
void soq__sim_see_host(struct soq_sim *sim, const struct soq_sim_host *host);
void soq__sim_see_packet(struct soq_sim *sim, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns);
/* watch.c. Tell the observers that a direction's count of partitions has left 0, or come back
 * to it: link.c calls it in soq__sim_block() and soq__sim_unblock_all(). */
void soq__sim_see_cut(const struct soq_sim_host *from, const struct soq_sim_host *to, bool cut);
/* packet.c. "lost", "dropped: the queue is full" and so on. */
const char *soq__sim_fate_text(enum soq__sim_fate fate);
/* address.c. "10.0.0.1:80". */
const char *soq__sim_addr_text(char buf[SOQ_ADDR_TEXT_MAX], const struct soq__sim_addr *addr);

/* ---- sockets (socket.c) ---- */

enum { SOQ__SIM_IN = 1, SOQ__SIM_OUT = 2 };

struct soq__sim_socket {
	const struct soq__sim_proto *proto;
	struct soq_sim_host *host;
	struct soq__list waiting; /* struct soq__op that are parked, in their order */
	unsigned refs;		  /* its descriptors, those in messages too */
	uint8_t family;
	uint8_t news;	/* socket.c: directions that have changed and are to be looked at */
	bool is_trying; /* soq__sim_changed() is at work on it */
};

/* What a kind of socket can. The socket is embedded in the kind's own struct. */
struct soq__sim_proto {
	const char *name; /* "tcp" */
	int type;	  /* SOCK_STREAM */
	int protocol;	  /* IPPROTO_TCP; 0: a Unix socket */
	/* Try an operation that is not SOQ__OP_POLL. @return its result; -EAGAIN when it must
	 * wait. A connect is tried again whenever the socket changes: op->state is 0 the first
	 * time, and the function's to set */
	int64_t (*attempt)(struct soq__sim_socket *s, struct soq__op *op);
	/* What poll(2) would say now, POLLERR and POLLHUP included. */
	short (*poll)(struct soq__sim_socket *s);
	int (*bind)(struct soq__sim_socket *s, const struct soq_addr *addr);
	int (*listen)(struct soq__sim_socket *s, int backlog); /* 0: the largest */
	int (*shutdown)(struct soq__sim_socket *s, int how);
	/* -ENOPROTOOPT for what the kind does not know; socket.c answers SO_TYPE, SO_DOMAIN,
	 * SO_PROTOCOL itself */
	int (*set_option)(struct soq__sim_socket *s, int level, int option, const void *value,
		socklen_t len);
	int (*get_option)(const struct soq__sim_socket *s, int level, int option, void *value,
		socklen_t *len);
	int (*local_addr)(const struct soq__sim_socket *s, struct soq_addr *ret);
	int (*peer_addr)(const struct soq__sim_socket *s, struct soq_addr *ret);
	/* Its last descriptor has been closed; no operation waits. It is the kind's to free,
	 * perhaps later. */
	void (*close)(struct soq__sim_socket *s);
	/* Its host has crashed: free it without a word to anybody. */
	void (*abandon)(struct soq__sim_socket *s);
	/* For people: "from 10.0.0.1:40000 to 10.0.0.2:80, established". */
	void (*describe)(const struct soq__sim_socket *s, char *buf, size_t len);
	uint64_t (*memory)(const struct soq__sim_socket *s);
};

extern const struct soq__sim_proto soq__sim_tcp_proto; /* and listeners */
extern const struct soq__sim_proto soq__sim_udp_proto;

/* Make a socket without a descriptor. @return never NULL */
struct soq__sim_socket *soq__sim_tcp_socket(struct soq_sim_host *host, int family);
struct soq__sim_socket *soq__sim_udp_socket(struct soq_sim_host *host, int family);
struct soq__sim_socket *soq__sim_unix_socket(struct soq_sim_host *host, int type);
/* Two that are connected. */
void soq__sim_unix_pair(struct soq_sim_host *host, int type, struct soq__sim_socket *ret[2]);

/* Fill in what all kinds have; called by those above. */
void soq__sim_socket_init(struct soq__sim_socket *s, const struct soq__sim_proto *proto,
	struct soq_sim_host *host, int family);
/* Give it a descriptor, or one more. @owner  may be NULL: nobody's yet, it is for a message
 * @return it, or -EMFILE, and nothing has changed */
int soq__sim_fd_open(struct soq__sim_socket *s, struct soq__sim_engine *owner);
/* One descriptor less; the last one closes the socket. */
void soq__sim_fd_close(struct soq_sim *sim, int fd);
/* The socket of a descriptor, or NULL. */
struct soq__sim_socket *soq__sim_socket_of(const struct soq_sim *sim, int fd);
/* From now on it is this program's. */
void soq__sim_fd_take(struct soq_sim *sim, int fd, struct soq__sim_engine *owner);
/* A program has ended: forget its operations, and close the descriptors that it has left open.
 * @return how many */
unsigned soq__sim_fds_leave(struct soq__sim_engine *owner);
/* A host has crashed: forget all of its descriptors, sockets and operations. */
void soq__sim_fds_abandon(struct soq_sim_host *host);

/* Begin an operation. @return true when it is complete already */
bool soq__sim_submit(struct soq__sim_socket *s, struct soq__op *op);
int soq__sim_get_option(
	const struct soq__sim_socket *s, int level, int option, void *value, socklen_t *len);

/* Something has changed in these directions (SOQ__SIM_IN, SOQ__SIM_OUT): try the operations
 * that wait for it again. May be called at any time; only completes, calls nobody. */
void soq__sim_changed(struct soq__sim_socket *s, unsigned directions);
/* How much of @n a receive or send may have, by the options and by chance: 1..@n. */
size_t soq__sim_shorten(struct soq__sim_socket *s, enum soq__sim_purpose purpose, size_t n);
/* Answer an option that is an int. @return 0, -EINVAL */
int soq__sim_put_int(void *value, socklen_t *len, int answer);
int soq__sim_take_int(const void *value, socklen_t len, int *ret);
/* Answer one that is a struct: as much of it as there is room for. @return 0 */
int soq__sim_put_part(void *value, socklen_t *len, const void *answer, size_t bytes);
/* What becomes of SO_SNDBUF or SO_RCVBUF: Linux doubles it, between bounds. */
#define SOQ__SIM_SNDBUF_LEAST 4608
#define SOQ__SIM_RCVBUF_LEAST 2304
int soq__sim_doubled(int asked, int least);
/* Copy between a message's parts and bytes in one piece. @return bytes copied */
size_t soq__sim_gather(void *to, size_t room, const struct msghdr *from);
size_t soq__sim_scatter(struct msghdr *to, const void *from, size_t len);
size_t soq__sim_iov_bytes(const struct msghdr *msg);
/* Append a control message, if there is room; else MSG_CTRUNC. msg_controllen counts what has
 * been written, @room what there is in all. */
void soq__sim_put_control(
	struct msghdr *msg, size_t room, int level, int type, const void *data, size_t len);

/* Bytes that wait in order; no memory when there are none. */
struct soq__sim_bytes {
	char *data;
	uint32_t first, count, capacity;
};
void soq__sim_bytes_put(struct soq__sim_bytes *b, const void *data, size_t len);
/* The first bytes of a message. */
void soq__sim_bytes_gather(struct soq__sim_bytes *b, const struct msghdr *from, size_t len);
/* Copy from an offset, and leave them. */
void soq__sim_bytes_peek(const struct soq__sim_bytes *b, size_t at, void *data, size_t len);
void soq__sim_bytes_drop(struct soq__sim_bytes *b, size_t len);
void soq__sim_bytes_done(struct soq__sim_bytes *b);

/* ---- ports (ports.c) ---- */

/* Who has bound a port. Embedded in TCP and UDP sockets. */
struct soq__sim_bound {
	struct soq__list node;
	struct soq__sim_socket *socket; /* NULL: not bound */
	struct soq__sim_addr
		local; /* of an IPv6 wildcard: :: , of an IPv4 one: mapped 0.0.0.0 */
	uint8_t protocol;
	bool v6only;
	bool reuse_addr;
	bool reuse_port;
	bool listening; /* TCP: with SO_REUSEADDR, only one listener may have it */
	const struct soq__sim_addr *peer; /* UDP: gets what comes from there alone; or NULL */
};

/* As bind(2): port 0 gets an ephemeral one (32,768 to 60,999, drawn from the seed).
 * @return 0; -EADDRINUSE; -EADDRNOTAVAIL when the host does not have the address */
int soq__sim_bind_port(struct soq__sim_bound *b, struct soq__sim_socket *s, uint8_t protocol,
	const struct soq__sim_addr *addr);
void soq__sim_unbind_port(struct soq__sim_bound *b);
/* Draw an ephemeral port for an address, of those that are free: any of them is as likely as
 * any other, at first; then steps that lead to each. @return 0, -EADDRINUSE when none is */
int soq__sim_choose_port(struct soq_sim_host *host, struct soq__sim_addr *addr,
	bool (*is_free)(void *arg, const struct soq__sim_addr *addr), void *arg);
/* Whether a socket has bound a port of an address, or of all. */
bool soq__sim_port_is_bound(
	struct soq_sim_host *host, uint8_t protocol, const struct soq__sim_addr *addr);
/* Whether TCP may listen there: -EADDRINUSE when another does and both do not share. */
int soq__sim_may_listen(struct soq__sim_bound *b);
/* Who gets what is sent to an address: the most specific; of several that share a port the
 * one that a hash of the sender's address chooses. TCP: listeners only. Or NULL. */
struct soq__sim_bound *soq__sim_port_owner(struct soq_sim_host *host, uint8_t protocol,
	const struct soq__sim_addr *to, const struct soq__sim_addr *from);
/* All that have a port of UDP, for multicast, one after the other; @after NULL: the first. */
struct soq__sim_bound *soq__sim_port_next(
	struct soq_sim_host *host, uint16_t port, struct soq__sim_bound *after);

/* ---- engines (engine.c) ---- */

#define SOQ__SIM_IDLE_ROUNDS_MAX 1000000 /* more are a livelock */

struct soq__sim_engine {
	struct soq__engine base;
	struct soq_sim_host *host;
	struct soq__list node;	      /* of the host's */
	struct soq__list done;	      /* operations that are over, not yet told */
	struct soq__sim_event resume; /* when the program goes on */
	bool due;		      /* that has come */
	bool held;		      /* it came while the host was paused */
	bool woken;		      /* by another worker */
	void (*heard)(void *arg);     /* whom that interests */
	void *heard_arg;
	unsigned pending_signals;	  /* a bit each */
	uint64_t idle_rounds;		  /* one after the other, of which nothing has come */
	struct soq__sim_program *program; /* NULL: the thread's own (SOQUETE_ENGINE=sim) */
};

/* An engine on a host. */
struct soq__sim_engine *soq__sim_engine_new(struct soq_sim_host *host);
/* An operation is over: its program goes on now. */
void soq__sim_complete(struct soq__op *op, int64_t result);
/* Go on now, whatever was waited for. */
void soq__sim_engine_resume(struct soq__sim_engine *e);

static inline struct soq__sim_engine *soq__sim_engine_of(struct soq__engine *e)
{
	return soq__container_of(e, struct soq__sim_engine, base);
}

/* ---- the name service (names.c) ---- */

/* As struct soq__engine_type has it. */
int soq__sim_answer(struct soq__engine *e, const char *name, unsigned type, void *buf,
	size_t len, int64_t *ret_delay_ns);
void soq__sim_names_free(struct soq_sim *sim);

/* ---- latches and signals (latch.c): as struct soq__engine_type has them ---- */

int soq__sim_latch_open(struct soq__engine *e);
void soq__sim_latch_set(struct soq__engine *e, int fd);
int soq__sim_signals_open(struct soq__engine *e, const int *signals, size_t count);
int soq__sim_signals_read(struct soq__engine *e, int fd);
/* Each of a host's programs has got a signal. */
void soq__sim_signals_raise(struct soq_sim_host *host, int signal);

/* ---- programs (program.c) ---- */

/* Switch to a program; returns when it waits or has ended. */
void soq__sim_program_run(struct soq__sim_program *program);
/* Switch back to the world's loop, from the program that runs, until it is due. */
void soq__sim_program_wait(struct soq__sim_program *program);
/* As struct soq__engine_type has it: a thread is a worker beside its program's. */
int soq__sim_thread_start(struct soq__engine *e, void (*main)(void *arg), void *arg);
/* Abandon the programs of a host, and (restart) start them again. */
void soq__sim_programs_crash(struct soq_sim_host *host);
int soq__sim_programs_restart(struct soq_sim_host *host);
void soq__sim_programs_free(struct soq_sim_host *host);
unsigned soq__sim_programs_count(const struct soq_sim_host *host, unsigned *ret_fibers);
/* Describe each fiber that waits, a line each, for the report. */
void soq__sim_programs_describe(struct soq_sim *sim, FILE *out);

/* ---- the run (run.c) ---- */

void soq__sim_run_free(struct soq_sim *sim);

/* End the run with a verdict, unless it has one; the text says why. */
void soq__sim_end_run(struct soq_sim *sim, enum soq_sim_verdict verdict, const char *format,
	...) __attribute__((format(printf, 3, 4)));
/* The world cannot go on, and no soq_sim_run() is there to be told (SOQUETE_ENGINE=sim):
 * print the report and end the process. */
_Noreturn void soq__sim_stuck(struct soq_sim *sim, enum soq_sim_verdict verdict);

/* ---- properties (property.c) ---- */

/* Ask what soq_sim_eventually() waits for. */
void soq__sim_check_eventually(struct soq_sim *sim);
/* Whether it still waits for something. */
bool soq__sim_has_eventually(const struct soq_sim *sim);
/* Part of the world's end. */
void soq__sim_properties_free(struct soq_sim *sim);

/* ---- faults (fault.c) ---- */

void soq__sim_faults_free(struct soq_sim *sim);
/* As C, an initializer a line. */
void soq__sim_faults_print(const struct soq_sim *sim, FILE *out, const char *indent);
void soq__sim_fault_print(const struct soq_sim_fault *f, FILE *out, const char *indent);
void soq__sim_link_print(const struct soq_sim_link *link, FILE *out, const char *indent);
size_t soq__sim_faults_count(const struct soq_sim *sim);
/* The @index-th as it was added. Its names are the world's. */
struct soq_sim_fault soq__sim_fault_at(const struct soq_sim *sim, size_t index);
/* Whether soq_sim_add_chaos() has drawn it. */
bool soq__sim_fault_is_drawn(const struct soq_sim *sim, size_t index);

#endif
