/* unix_world.c - random calls on many Unix sockets of a host, and on datagram sockets of its
 * network, which pass descriptors to each other. Whatever they do:
 *
 *	no call waits that could go on,
 *	no descriptor of the machine's is lost, none of the simulation's outlives its host,
 *	and the same seed does the same again.
 */
#include "sim/model.h"

#include <fcntl.h>
#include <stdio.h>

#define SLOTS	  24
#define STEPS	  1500
#define NAMES	  6
#define BYTES	  600
#define FDS_SENT  3
#define PORT	  1000
#define PORTS	  4
#define FILES_TOO 4 /* one descriptor of so many that are sent is of the machine's */

/* A call, and all that is lent to it. */
struct work {
	struct call call;
	struct soq__sim_socket *socket; /* NULL: nothing is under way */
	struct msghdr msg;
	struct iovec iov;
	_Alignas(struct cmsghdr) char control[64];
	char bytes[BYTES];
};

/* A descriptor, with at most one call of either direction at work. */
struct slot {
	int fd; /* -1: free */
	struct work in, out;
};

static struct slot slots[SLOTS];
static uint64_t draws;
static int file; /* of the machine's, to be passed */
/* What came of it all, over all seeds. */
static struct {
	unsigned received, passed, accepted, crashes, parked;
} done;

static unsigned draw(unsigned below)
{
	return (unsigned)soq__sim_below(
		soq__sim_draw(sim, SOQ__SIM_CHAOS, sim->seed, draws++), below);
}

static struct soq__sim_socket *socket_of(const struct slot *x)
{
	return soq__sim_socket_of(sim, x->fd);
}

static struct slot *free_slot(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].fd < 0)
			return &slots[i];
	return NULL;
}

/* A new descriptor has a place, or is closed. */
static void keep(int fd)
{
	struct slot *x = free_slot();

	if (x)
		x->fd = fd;
	else
		soq__sim_fd_close(sim, fd);
}

/* ---- addresses ---- */

static struct soq_addr any_name(void)
{
	char name[8];

	snprintf(name, sizeof(name), draw(3) ? "@n%u" : "n%u", draw(NAMES));
	return named(name);
}

static struct soq_addr any_inet(void)
{
	static const char *const ips[] = { "10.0.0.1", "10.0.0.1", "127.0.0.1", "10.0.0.2",
		"239.1.1.1", "255.255.255.255" };

	return at(ips[draw(sizeof(ips) / sizeof(ips[0]))], PORT + draw(PORTS));
}

static struct soq_addr any_addr(const struct soq__sim_socket *s)
{
	return s->family == AF_UNIX ? any_name() : any_inet();
}

/* ---- calls ---- */

/* What a receive has brought. */
static void take_fds(const struct msghdr *msg)
{
	struct received r = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
		c = CMSG_NXTHDR((struct msghdr *)msg, c))
		read_control(&r, c);
	for (unsigned i = 0; i < r.fd_count; i++) {
		done.passed++;
		if (r.fds[i] < SOQ__SIM_FD_BASE)
			CHECK_EQ(close(r.fds[i]), 0);
		else
			keep(r.fds[i]);
	}
}

/* Take the result of a call that is over. */
static void settle(struct work *w)
{
	int64_t result;

	if (!w->socket || !call_over(&w->call))
		return;
	w->socket = NULL;
	result = call_result(&w->call);
	if (result < 0)
		return;
	if (w->call.op.code == SOQ__OP_ACCEPT) {
		done.accepted++;
		keep((int)result);
	} else if (w->call.op.code == SOQ__OP_RECVMSG) {
		done.received++;
		take_fds(&w->msg);
	}
}

static void settle_all(void)
{
	for (int i = 0; i < SLOTS; i++) {
		settle(&slots[i].in);
		settle(&slots[i].out);
	}
}

static void begin(struct work *w, struct soq__sim_socket *s)
{
	w->socket = s;
	call_begin(&w->call, s);
}

static void prepare(struct work *w, enum soq__op_code code)
{
	*w = (struct work){ .call = { .op = { .code = code } } };
	w->iov = (struct iovec){ w->bytes, draw(10) ? draw(BYTES) : 0 };
	w->msg = (struct msghdr){ .msg_iov = &w->iov, .msg_iovlen = 1 };
	if (code == SOQ__OP_RECVMSG || code == SOQ__OP_SENDMSG) {
		w->call.op.msg = &w->msg;
	} else if (code == SOQ__OP_ACCEPT || code == SOQ__OP_CONNECT) {
		w->call.op.addr = &w->call.addr;
	} else {
		w->call.op.buf = w->bytes;
		w->call.op.len = w->iov.iov_len;
	}
}

/* Some descriptors of this world's, or the machine's, in a message. */
static void put_fds(struct work *w)
{
	struct cmsghdr *c = (struct cmsghdr *)w->control;
	size_t count = draw(FDS_SENT) + 1;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++) {
		const struct slot *x = &slots[draw(SLOTS)];
		int fd = x->fd >= 0 && draw(FILES_TOO) ? x->fd : file;

		memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
	}
	w->msg.msg_control = w->control;
	w->msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
}

static void receive(struct slot *x)
{
	static const enum soq__op_code codes[] = { SOQ__OP_RECV, SOQ__OP_RECVMSG,
		SOQ__OP_RECVMSG, SOQ__OP_ACCEPT, SOQ__OP_POLL };
	struct work *w = &x->in;

	prepare(w,
		get_int(socket_of(x), SOL_SOCKET, SO_ACCEPTCONN) == 1
			? SOQ__OP_ACCEPT
			: codes[draw(sizeof(codes) / sizeof(codes[0]))]);
	if (w->call.op.code == SOQ__OP_POLL)
		w->call.op.events = draw(2) ? POLLIN : POLLOUT;
	if (w->call.op.code == SOQ__OP_RECVMSG) {
		w->msg.msg_control = w->control;
		w->msg.msg_controllen = draw(3) ? sizeof(w->control) : draw(2) ? 20 : 0;
	}
	if (w->call.op.code != SOQ__OP_ACCEPT && draw(6) == 0)
		w->call.op.flags = MSG_PEEK;
	begin(w, socket_of(x));
}

static void transmit(struct slot *x)
{
	static const enum soq__op_code codes[] = { SOQ__OP_SEND, SOQ__OP_SENDMSG,
		SOQ__OP_SENDMSG, SOQ__OP_SENDMSG, SOQ__OP_CONNECT };
	struct work *w = &x->out;

	prepare(w, codes[draw(sizeof(codes) / sizeof(codes[0]))]);
	w->call.addr = any_addr(socket_of(x));
	if (w->call.op.code == SOQ__OP_CONNECT && draw(8) == 0)
		w->call.addr = (struct soq_addr){ .len = sizeof(sa_family_t) };
	if (w->call.op.code == SOQ__OP_SENDMSG && draw(2)) {
		w->msg.msg_name = &w->call.addr.sa;
		w->msg.msg_namelen = w->call.addr.len;
	}
	if (w->call.op.code == SOQ__OP_SENDMSG && draw(3) == 0)
		put_fds(w);
	begin(w, socket_of(x));
}

/* ---- what must hold ---- */

static void check_waits(struct work *w)
{
	struct soq__op *op = &w->call.op;
	struct soq__sim_socket *s = w->socket;
	int64_t now;

	if (!s || call_over(&w->call))
		return;
	ROW("seed %u, draw %u: operation %d of %s waits", (unsigned)sim->seed, (unsigned)draws,
		op->code, s->proto->name);
	if (op->code == SOQ__OP_POLL)
		now = s->proto->poll(s) & (op->events | POLLERR | POLLHUP) ? 0 : -EAGAIN;
	else
		now = s->proto->attempt(s, op);
	CHECK_EQ(now, -EAGAIN);
	done.parked++;
}

static void check_all_wait(void)
{
	pass_all();
	settle_all();
	for (int i = 0; i < SLOTS; i++) {
		check_waits(&slots[i].in);
		check_waits(&slots[i].out);
	}
}

/* ---- what is done ---- */

static void cancel(struct work *w)
{
	if (w->socket)
		call_cancel(&w->call);
	settle(w);
}

static void drop(struct slot *x)
{
	int fd = x->fd;

	cancel(&x->in);
	cancel(&x->out);
	x->fd = -1;
	soq__sim_fd_close(sim, fd);
}

static void make(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct soq__sim_socket *pair[2] = { NULL };

	switch (draw(6)) {
	case 0:
		pair[0] = soq__sim_udp_socket(host_a, AF_INET);
		set_int(pair[0], SOL_SOCKET, SO_BROADCAST, 1);
		break;
	case 1:
	case 2:
		pair[0] = soq__sim_unix_socket(host_a, types[draw(2)]);
		break;
	default:
		soq__sim_unix_pair(host_a, types[draw(2)], pair);
	}
	for (int i = 0; i < 2 && pair[i]; i++)
		keep(soq__sim_fd_open(pair[i], driver));
}

static void bind_some(struct soq__sim_socket *s)
{
	struct ip_mreqn req = { .imr_multiaddr.s_addr = inet_addr("239.1.1.1") };

	if (s->family == AF_UNIX) {
		bind_now(s, any_name());
		listen_now(s, 2);
		return;
	}
	set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_now(s, at("0.0.0.0", PORT + draw(PORTS)));
	s->proto->set_option(s, IPPROTO_IP, draw(3) ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
		&req, sizeof(req));
}

static void look_at(struct soq__sim_socket *s)
{
	struct soq_addr addr;
	char text[256];

	s->proto->describe(s, text, sizeof(text));
	s->proto->peer_addr(s, &addr);
	get_int(s, SOL_SOCKET, SO_ERROR);
	CHECK(s->proto->memory(s) > 0);
}

static void crash(void)
{
	CHECK_OK(soq_sim_crash(host_a));
	reap();
	CHECK_EQ(host_a->descriptors, 0);
	for (int i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1 };
	CHECK_OK(soq_sim_restart(host_a));
	done.crashes++;
}

static void act_on(struct slot *x)
{
	unsigned what = draw(20);

	if (what < 7) {
		if (!x->in.socket)
			receive(x);
	} else if (what < 13) {
		if (!x->out.socket)
			transmit(x);
	} else if (what == 13) {
		cancel(draw(2) ? &x->in : &x->out);
	} else if (what < 16) {
		bind_some(socket_of(x));
	} else if (what == 16) {
		if (draw(3) == 0)
			shutdown_now(socket_of(x), (int)draw(3));
	} else if (what == 17) {
		look_at(socket_of(x));
	} else if (what == 18) {
		set_int(socket_of(x), SOL_SOCKET, draw(2) ? SO_SNDBUF : SO_RCVBUF,
			(int)draw(4000));
	} else {
		drop(x);
	}
}

static void step(void)
{
	struct slot *x = &slots[draw(SLOTS)];

	if (x->fd < 0)
		make();
	else
		act_on(x);
	settle_all();
	if (draw(1000) == 0)
		crash();
	if (draw(20) == 0)
		check_all_wait();
}

/* ---- the worlds ---- */

static unsigned open_count(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* @return what came of a world, as one number */
static uint64_t run(uint64_t seed)
{
	/* What is full first is the sender's buffer, or the receiver's queue. */
	const struct soq_sim_options opt = { .buffer_bytes = seed % 3 ? 3000 : 30000 };
	uint64_t digest;

	world_open(seed, &opt);
	for (int i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1 };
	draws = 0;
	for (int i = 0; i < STEPS; i++)
		step();
	/* Half of the worlds end in good order, as far as descriptors are not in cycles. */
	for (int i = 0; i < SLOTS && seed % 2; i++)
		if (slots[i].fd >= 0)
			drop(&slots[i]);
	digest = sim->digest ^ draws;
	world_close();
	return digest;
}

TEST(sim_unix_random_worlds)
{
	unsigned seeds = test_scale(60), before;

	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(file >= 0);
	before = open_count();
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		uint64_t first = run(seed);
		void *elsewhere = malloc(seed * 1000 + 1);

		ROW("seed %u", (unsigned)seed);
		CHECK_EQ(open_count(), before);
		if (seed % 4 == 0)
			CHECK_EQ(run(seed), first);
		free(elsewhere);
	}
	close(file);
	ROW("%u received, %u passed, %u accepted, %u crashes, %u calls waited", done.received,
		done.passed, done.accepted, done.crashes, done.parked);
	if (seeds == 60)
		CHECK(done.received > 1000 && done.passed > 100 && done.accepted > 20 &&
			done.crashes > 20 && done.parked > 1000);
}
