/* model.h - the simulated kernel, driven call by call: for tests of the model at the level of
 * its instants.
 *
 * There are no programs. A world has two hosts; a test makes sockets on them, begins operations
 * as an engine would, and lets time pass. Nothing happens but what it does, and what follows
 * from that, so that instants are exact.
 *
 *	world_open(1, NULL);
 *	tcp_pair(pair, 80);
 *	call_recv(&call, pair[1], buf, sizeof(buf));
 *	CHECK_EQ(send_now(pair[0], "hello", 5), 5);
 *	CHECK_EQ(call_wait(&call, SOQ_S), 5);
 *	world_close();
 *
 * A test program includes this once.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "test.h"
#include "sim/tcp.h"
#include <soquete/soquete.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is refused is said in a sentence, which the thread keeps. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

/* ---- the world ---- */

static struct soq_sim *sim;
static struct soq_sim_host *host_a, *host_b; /* 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2 */
/* Whoever begins operations. It is always about to look, so that no event is set to wake it. */
static struct soq__sim_engine *driver;

/* What packets of the world have met with. */
static struct soq__sim_observer watcher;
static unsigned fates[SOQ__SIM_FATES];

static inline void count_fate(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	(void)o, (void)p, (void)arrives_ns;
	fates[fate]++;
}

static inline void keep_watcher(struct soq__sim_observer *o)
{
	(void)o;
}

/* @opt  NULL: receives and sends are whole, accepts prompt */
static inline void world_open(uint64_t seed, const struct soq_sim_options *opt)
{
	const struct soq_sim_options plain = {
		.whole_reads = true,
		.whole_writes = true,
		.prompt_accepts = true,
	};

	unsetenv("SOQUETE_SEED"); /* each case names its own */
	CHECK_OK(soq_sim_new(&sim, seed, opt ? opt : &plain));
	memset(fates, 0, sizeof(fates));
	watcher = (struct soq__sim_observer){ .packet = count_fate, .close = keep_watcher };
	soq__list_append(&sim->observers, &watcher.node);
	CHECK_OK(soq_sim_host_new(&host_a, sim, "a", "10.0.0.1 fd00::1"));
	CHECK_OK(soq_sim_host_new(&host_b, sim, "b", "10.0.0.2 fd00::2"));
	driver = soq__sim_engine_new(host_a);
	driver->due = true;
}

/* The same with links like @link. */
static inline void world_open_link(uint64_t seed, struct soq_sim_link link)
{
	const struct soq_sim_options opt = {
		.link = link,
		.whole_reads = true,
		.whole_writes = true,
		.prompt_accepts = true,
	};

	world_open(seed, &opt);
}

static inline void world_close(void)
{
	soq_sim_free(sim);
	free(driver);
	sim = NULL;
}

/* Let time pass, with all that happens in it. */
static inline void pass(int64_t ns)
{
	int64_t until_ns = sim->now_ns + ns;

	while (soq__sim_step(sim, until_ns))
		;
	sim->now_ns = until_ns;
}

/* Until nothing more would happen. */
static inline void pass_all(void)
{
	while (soq__sim_step(sim, SOQ_NEVER))
		;
}

/* ---- addresses ---- */

/* "10.0.0.2" or "fd00::2", and a port. */
static inline struct soq_addr at(const char *ip, unsigned port)
{
	struct soq_addr addr = { .len = sizeof(addr.in) };

	addr.in.sin_port = htons((uint16_t)port);
	addr.in.sin_family = AF_INET;
	if (inet_pton(AF_INET, ip, &addr.in.sin_addr) == 1)
		return addr;
	addr = (struct soq_addr){ .len = sizeof(addr.in6) };
	addr.in6.sin6_port = htons((uint16_t)port);
	addr.in6.sin6_family = AF_INET6;
	CHECK_EQ(inet_pton(AF_INET6, ip, &addr.in6.sin6_addr), 1);
	return addr;
}

/* A Unix path, or with "@" an abstract name. */
static inline struct soq_addr named(const char *name)
{
	size_t len = strlen(name);
	struct soq_addr addr = { .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					 len + (name[0] != '@')) };

	addr.un.sun_family = AF_UNIX;
	memcpy(addr.un.sun_path, name, len);
	if (name[0] == '@')
		addr.un.sun_path[0] = '\0';
	return addr;
}

static inline const char *addr_text(const struct soq_addr *addr)
{
	static char text[SOQ_ADDR_TEXT_MAX];

	soq_addr_format(text, sizeof(text), addr);
	return text;
}

static inline const char *local_text(const struct soq__sim_socket *s)
{
	struct soq_addr addr;

	CHECK_OK(s->proto->local_addr(s, &addr));
	return addr_text(&addr);
}

/* The peer's, or what the kernel says when there is none. */
static inline const char *peer_text(const struct soq__sim_socket *s)
{
	struct soq_addr addr;
	int rc = s->proto->peer_addr(s, &addr);

	return rc < 0 ? soq_strerror(rc) : addr_text(&addr);
}

static inline unsigned port_of(const struct soq__sim_socket *s)
{
	struct soq_addr addr;

	CHECK_OK(s->proto->local_addr(s, &addr));
	return soq_addr_port(&addr);
}

/* ---- sockets ---- */

static inline struct soq__sim_socket *open_fd(struct soq__sim_socket *s)
{
	CHECK(soq__sim_fd_open(s, driver) >= SOQ__SIM_FD_BASE);
	return s;
}

static inline struct soq__sim_socket *tcp(struct soq_sim_host *host, int family)
{
	return open_fd(soq__sim_tcp_socket(host, family));
}

static inline struct soq__sim_socket *udp(struct soq_sim_host *host, int family)
{
	return open_fd(soq__sim_udp_socket(host, family));
}

static inline struct soq__sim_socket *un(struct soq_sim_host *host, int type)
{
	return open_fd(soq__sim_unix_socket(host, type));
}

static inline void un_pair(struct soq__sim_socket *ret[2], int type)
{
	soq__sim_unix_pair(host_a, type, ret);
	open_fd(ret[0]);
	open_fd(ret[1]);
}

/* A descriptor of a socket: its first, where it has several. */
static inline int fd_of(const struct soq__sim_socket *s)
{
	size_t at = 0;

	while (at < sim->fd_count && sim->fds[at].socket != s)
		at++;
	CHECK(at < sim->fd_count);
	return SOQ__SIM_FD_BASE + (int)at;
}

static inline void close_now(struct soq__sim_socket *s)
{
	soq__sim_fd_close(sim, fd_of(s));
}

static inline int bind_now(struct soq__sim_socket *s, struct soq_addr addr)
{
	return s->proto->bind(s, &addr);
}

static inline int listen_now(struct soq__sim_socket *s, int backlog)
{
	return s->proto->listen(s, backlog);
}

static inline int shutdown_now(struct soq__sim_socket *s, int how)
{
	return s->proto->shutdown(s, how);
}

static inline int set_int(struct soq__sim_socket *s, int level, int option, int value)
{
	return s->proto->set_option(s, level, option, &value, sizeof(value));
}

static inline int get_int(const struct soq__sim_socket *s, int level, int option)
{
	socklen_t len = sizeof(int);
	int value = 0, rc = soq__sim_get_option(s, level, option, &value, &len);

	return rc < 0 ? rc : value;
}

/* What poll(2) says, without the events that tell nothing more. */
static inline int events_of(struct soq__sim_socket *s)
{
	return s->proto->poll(s) & (POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
}

/* ---- operations ---- */

struct call {
	struct soq__op op;
	struct soq_addr addr;
};

/* Take what is over off the engine's list, which an engine's turn would tell. */
static inline void reap(void)
{
	while (soq__list_pop(&driver->done))
		;
}

/* @return whether it is over, and the caller's again */
static inline bool call_over(const struct call *c)
{
	reap();
	return c->op.engine == NULL;
}

static inline int64_t call_result(const struct call *c)
{
	return call_over(c) ? c->op.result : -EINPROGRESS;
}

static inline void call_begin(struct call *c, struct soq__sim_socket *s)
{
	reap();
	soq__list_init(&c->op.node);
	c->op.engine = &driver->base;
	if (soq__sim_submit(s, &c->op))
		c->op.engine = NULL;
}

static inline void call_recv(struct call *c, struct soq__sim_socket *s, void *buf, size_t len)
{
	*c = (struct call){ .op = { .code = SOQ__OP_RECV, .buf = buf, .len = len } };
	call_begin(c, s);
}

static inline void call_send(
	struct call *c, struct soq__sim_socket *s, const void *buf, size_t len)
{
	*c = (struct call){ .op = { .code = SOQ__OP_SEND, .buf = (void *)buf, .len = len } };
	call_begin(c, s);
}

static inline void call_connect(struct call *c, struct soq__sim_socket *s, struct soq_addr addr)
{
	*c = (struct call){ .op = { .code = SOQ__OP_CONNECT, .addr = &c->addr }, .addr = addr };
	call_begin(c, s);
}

static inline void call_accept(struct call *c, struct soq__sim_socket *s)
{
	*c = (struct call){ .op = { .code = SOQ__OP_ACCEPT, .addr = &c->addr } };
	call_begin(c, s);
}

static inline void call_poll(struct call *c, struct soq__sim_socket *s, short events)
{
	*c = (struct call){ .op = { .code = SOQ__OP_POLL, .events = events } };
	call_begin(c, s);
}

/* It completes now, if it has not. */
static inline void call_cancel(struct call *c)
{
	if (!call_over(c))
		soq__sim_complete(&c->op, -ECANCELED);
	reap();
}

/* Let time pass until it is over, but not longer than so.
 * @return its result, -EINPROGRESS when it is not over then */
static inline int64_t call_wait(struct call *c, int64_t limit_ns)
{
	int64_t until_ns = limit_ns == SOQ_NEVER ? SOQ_NEVER : sim->now_ns + limit_ns;

	while (!call_over(c) && soq__sim_step(sim, until_ns))
		;
	return call_result(c);
}

/* Those that do not wait: -EAGAIN. */
static inline int64_t recv_flags(struct soq__sim_socket *s, void *buf, size_t len, int flags)
{
	struct soq__op op = { .code = SOQ__OP_RECV, .buf = buf, .len = len, .flags = flags };

	return s->proto->attempt(s, &op);
}

static inline int64_t recv_now(struct soq__sim_socket *s, void *buf, size_t len)
{
	return recv_flags(s, buf, len, 0);
}

/* Receive, and look at the length only. */
static inline int64_t recv_len(struct soq__sim_socket *s)
{
	static char buf[1 << 17];

	return recv_now(s, buf, sizeof(buf));
}

static inline int64_t send_flags(
	struct soq__sim_socket *s, const void *buf, size_t len, int flags)
{
	struct soq__op op = {
		.code = SOQ__OP_SEND, .buf = (void *)buf, .len = len, .flags = flags
	};

	return s->proto->attempt(s, &op);
}

static inline int64_t send_now(struct soq__sim_socket *s, const void *buf, size_t len)
{
	return send_flags(s, buf, len, 0);
}

static inline int64_t connect_now(struct soq__sim_socket *s, struct soq_addr addr)
{
	struct soq__op op = { .code = SOQ__OP_CONNECT, .addr = &addr };

	return s->proto->attempt(s, &op);
}

static inline int64_t accept_now(struct soq__sim_socket *s)
{
	struct soq_addr addr;
	struct soq__op op = { .code = SOQ__OP_ACCEPT, .addr = &addr };

	return s->proto->attempt(s, &op);
}

/* ---- messages ---- */

#define FDS_MOST 16

/* What goes with a message beside its bytes. */
struct control {
	int level, type;
	const void *data;
	size_t len;
};

/* @to, @control  may be NULL */
static inline int64_t send_msg(struct soq__sim_socket *s, const void *buf, size_t len,
	const struct soq_addr *to, const struct control *control, int flags)
{
	_Alignas(struct cmsghdr) char room[2048];
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct soq__op op = { .code = SOQ__OP_SENDMSG, .msg = &msg, .flags = flags };

	if (to) {
		msg.msg_name = (void *)&to->sa;
		msg.msg_namelen = to->len;
	}
	if (control) {
		struct cmsghdr *c = (struct cmsghdr *)room;

		memset(room, 0, sizeof(room));
		CHECK(CMSG_SPACE(control->len) <= sizeof(room));
		c->cmsg_level = control->level;
		c->cmsg_type = control->type;
		c->cmsg_len = CMSG_LEN(control->len);
		memcpy(CMSG_DATA(c), control->data, control->len);
		msg.msg_control = room;
		msg.msg_controllen = CMSG_SPACE(control->len);
	}
	return s->proto->attempt(s, &op);
}

/* Zeros, so many of them. */
static inline int64_t send_to(struct soq__sim_socket *s, size_t len, struct soq_addr to)
{
	static const char zeros[1 << 17];

	return send_msg(s, zeros, len, &to, NULL, 0);
}

struct received {
	int64_t n; /* or a negative code */
	int flags;
	struct soq_addr from;
	size_t control_bytes;
	struct in_pktinfo info4; /* interface 0: there was none */
	struct in6_pktinfo info6;
	unsigned fd_count;
	int fds[FDS_MOST];
	char data[1024];
};

static inline void read_control(struct received *r, const struct cmsghdr *c)
{
	size_t len = c->cmsg_len - CMSG_LEN(0);

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&r->info4, CMSG_DATA(c), sizeof(r->info4));
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&r->info6, CMSG_DATA(c), sizeof(r->info6));
	} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		CHECK(len <= sizeof(r->fds));
		memcpy(r->fds, CMSG_DATA(c), len);
		r->fd_count = (unsigned)(len / sizeof(int));
	}
}

/* Receive up to so many bytes, and with them as many of control messages as @room has. */
static inline struct received recv_msg(
	struct soq__sim_socket *s, size_t len, size_t room, int flags)
{
	_Alignas(struct cmsghdr) char control[256];
	struct received r = { 0 };
	struct iovec iov = { r.data, len };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_name = &r.from.sa,
		.msg_namelen = sizeof(r.from.un),
		.msg_control = control,
		.msg_controllen = room };
	struct soq__op op = { .code = SOQ__OP_RECVMSG, .msg = &msg, .flags = flags };

	CHECK(len <= sizeof(r.data) && room <= sizeof(control));
	r.n = s->proto->attempt(s, &op);
	if (r.n < 0)
		return r;
	r.flags = msg.msg_flags;
	r.from.len = msg.msg_namelen;
	r.control_bytes = msg.msg_controllen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		read_control(&r, c);
	return r;
}

/* ---- TCP ---- */

static inline struct soq__sim_socket *listener(
	struct soq_sim_host *host, unsigned port, int backlog)
{
	struct soq__sim_socket *l = tcp(host, AF_INET6);

	CHECK_OK(set_int(l, SOL_SOCKET, SO_REUSEADDR, 1));
	CHECK_OK(bind_now(l, at("::", port)));
	CHECK_OK(listen_now(l, backlog));
	return l;
}

/* A client of @host_a's, and what @host_b has accepted. */
static inline void tcp_pair(struct soq__sim_socket *ret[2], unsigned port)
{
	struct soq__sim_socket *l = listener(host_b, port, 0);
	struct call connect, accept;

	ret[0] = tcp(host_a, AF_INET);
	call_connect(&connect, ret[0], at("10.0.0.2", port));
	call_accept(&accept, l);
	CHECK_EQ(call_wait(&connect, 60 * SOQ_S), 0);
	CHECK_OK(call_wait(&accept, 60 * SOQ_S));
	ret[1] = soq__sim_socket_of(sim, (int)accept.op.result);
	close_now(l);
}

static inline int state_of(const struct soq__sim_socket *s)
{
	return soq__sim_conn_of(s)->state;
}

/* Connections of a host, those included that no program has any more; not those in TIME_WAIT.
 */
static inline unsigned connections(const struct soq_sim_host *host)
{
	uint64_t bytes = 0;

	return soq__sim_tcp_count(host, &bytes);
}

#endif
