/* engine.c - the engine of a simulated program: struct soq__engine_type over the world.
 *
 * A turn lets the world go on until this engine is due: an operation of it is complete, its
 * instant has come, or another worker wakes it. For a program that means to switch back to
 * the world's loop (program.c). A thread whose own engine is simulated (SOQUETE_ENGINE=sim)
 * has a world with one host to itself, and runs the loop right here.
 *
 * Each round of a scheduler takes a little time, so that a program which polls makes time go
 * on, and programs that do much at one instant are interleaved in ways that the seed chooses.
 */
#include "sim/sim.h"
#include <soquete/error.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUND_LEAST_NS	 200
#define ROUND_MOST_NS	 2000
#define OFFLOAD_MOST_NS	 (200 * SOQ_US)
#define SEND_FILE_CHUNK	 65536
#define SERVICE_TEXT_MAX 1024

/* ---- life ---- */

static void resume_fired(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq__sim_engine *e = soq__container_of(event, struct soq__sim_engine, resume);

	(void)sim;
	if (e->host->paused) {
		e->held = true;
		return;
	}
	e->due = true;
	if (e->program)
		soq__sim_program_run(e->program);
}

struct soq__sim_engine *soq__sim_engine_new(struct soq_sim_host *host)
{
	struct soq__sim_engine *e = soq__sim_alloc(sizeof(*e));

	e->base.type = &soq__engine_sim;
	e->host = host;
	soq__list_init(&e->done);
	soq__list_append(&host->engines, &e->node);
	soq__sim_event_init(&e->resume, resume_fired);
	return e;
}

static int probe(const char **ret_why)
{
	*ret_why = "";
	return 0;
}

/* A world for the calling thread alone. */
static int engine_open(struct soq__engine **ret)
{
	struct soq_sim_host *host;
	struct soq_sim *sim;
	uint64_t seed;
	int rc = soq__sim_seed_given(&seed);

	/* A sentence would need a worker, which is just being made. */
	if (rc == -EINVAL) {
		fprintf(stderr, "soquete: SOQUETE_SEED is no number\n");
		return rc;
	}
	rc = soq_sim_new(&sim, soq_sim_any_seed(), NULL);
	if (rc < 0)
		return rc;
	rc = soq_sim_host_new(&host, sim, "host", NULL);
	if (rc < 0) {
		soq_sim_free(sim);
		return rc;
	}
	sim->implicit = soq__sim_engine_new(host);
	soq__sim_set_running(sim->implicit);
	*ret = &sim->implicit->base;
	return 0;
}

static void engine_close(struct soq__engine *base)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq_sim *sim = e->host->sim;

	soq__sim_cancel(sim, &e->resume);
	soq__list_remove(&e->node);
	if (sim->implicit == e) {
		soq__sim_set_running(NULL);
		sim->implicit = NULL;
		soq_sim_free(sim);
	}
	free(e);
}

/* A forked process cannot share a world: what is simulated ends here. */
static void engine_abandon(struct soq__engine *base)
{
	(void)base;
	soq__sim_set_running(NULL);
}

/* ---- operations and turns ---- */

static int64_t round_cost(struct soq__sim_engine *e)
{
	return ROUND_LEAST_NS +
		(int64_t)soq__sim_below(soq__sim_host_draw(e->host, SOQ__SIM_ROUND),
			ROUND_MOST_NS - ROUND_LEAST_NS);
}

void soq__sim_engine_resume(struct soq__sim_engine *e)
{
	struct soq_sim *sim = e->host->sim;

	if (e == soq__sim_running() || e->due)
		return; /* it will look */
	if (!soq__sim_event_pending(&e->resume) ||
		soq__sim_when(sim, &e->resume) > sim->now_ns + ROUND_MOST_NS)
		soq__sim_at(sim, &e->resume, sim->now_ns + round_cost(e));
}

/* Why a descriptor is none of a simulated socket's. */
static int no_socket(int fd)
{
	return fd >= 0 && fd < SOQ__SIM_FD_BASE ? -SOQ_ESIMULATED : -EBADF;
}

/* Whether something has come of an operation: an end of input, an error, or that there is
 * nothing yet, is also what a program gets that asks again and again. */
static bool is_progress(const struct soq__op *op)
{
	bool receives = op->code == SOQ__OP_RECV || op->code == SOQ__OP_RECVMSG;

	return op->result > 0 || (op->result == 0 && !receives);
}

static bool submit(struct soq__engine *base, struct soq__op *op)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq__sim_socket *s = soq__sim_socket_of(e->host->sim, op->socket->fd);

	if (!s) {
		op->result = no_socket(op->socket->fd);
		return true;
	}
	op->engine = base;
	if (!soq__sim_submit(s, op))
		return false;
	op->engine = NULL;
	if (is_progress(op))
		e->idle_rounds = 0;
	soq__sim_digest(e->host->sim, (uint64_t)op->code << 32 ^ (uint64_t)op->result);
	return true;
}

void soq__sim_complete(struct soq__op *op, int64_t result)
{
	struct soq__sim_engine *e = soq__sim_engine_of(op->engine);

	soq__list_remove(&op->node);
	op->result = result;
	op->engine = NULL;
	soq__list_append(&e->done, &op->node);
	soq__sim_digest(e->host->sim, (uint64_t)op->code << 40 ^ (uint64_t)result);
	soq__sim_engine_resume(e);
}

static void cancel(struct soq__engine *base, struct soq__op *op)
{
	(void)base;
	if (op->engine)
		soq__sim_complete(op, -ECANCELED);
}

/* When a turn is to end, of itself. */
static int64_t turn_ends(struct soq__sim_engine *e, int64_t until_ns)
{
	struct soq_sim *sim = e->host->sim;
	int64_t soon = sim->now_ns + round_cost(e);

	if (until_ns == 0 || e->woken || !soq__list_empty(&e->done))
		return soon;
	if (until_ns == SOQ_NEVER)
		return SOQ_NEVER;
	until_ns = soq__sim_world_instant(e->host, until_ns);
	return until_ns > soon ? until_ns : soon;
}

static void count_idle(struct soq__sim_engine *e, int64_t until_ns)
{
	if (until_ns > 0 || e->woken || !soq__list_empty(&e->done))
		e->idle_rounds = 0;
	else if (++e->idle_rounds == SOQ__SIM_IDLE_ROUNDS_MAX)
		soq__sim_end_run(e->host->sim, SOQ_SIM_LIVELOCK,
			"a program of host %s has run %d rounds in which nothing came of it",
			e->host->name, SOQ__SIM_IDLE_ROUNDS_MAX);
}

static void run_world(struct soq__sim_engine *e)
{
	struct soq_sim *sim = e->host->sim;

	soq__sim_set_running(NULL);
	while (!e->due)
		if (!soq__sim_step(sim, SOQ_NEVER))
			soq__sim_stuck(sim, SOQ_SIM_DEADLOCK);
	soq__sim_set_running(e);
}

static void tell(struct soq__sim_engine *e)
{
	struct soq__list *node;

	if (e->woken) {
		e->woken = false;
		e->heard(e->heard_arg);
	}
	while ((node = soq__list_pop(&e->done))) {
		struct soq__op *op = soq__container_of(node, struct soq__op, node);

		op->complete(op);
	}
}

static void turn(struct soq__engine *base, int64_t until_ns)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq_sim *sim = e->host->sim;
	int64_t at = turn_ends(e, until_ns);

	count_idle(e, until_ns);
	if (at == SOQ_NEVER)
		soq__sim_cancel(sim, &e->resume);
	else
		soq__sim_at(sim, &e->resume, at);
	e->due = false;
	if (e->program)
		soq__sim_program_wait(e->program);
	else
		run_world(e);
	tell(e);
}

/* ---- clock and chance ---- */

static int64_t now(struct soq__engine *e)
{
	return soq__sim_host_clock(soq__sim_engine_of(e)->host);
}

static int64_t wall_clock(struct soq__engine *e)
{
	const struct soq_sim_host *host = soq__sim_engine_of(e)->host;

	return soq__sim_host_clock(host) + host->wall_offset_ns;
}

static int random_bytes(struct soq__engine *e, void *buf, size_t len)
{
	struct soq_sim_host *host = soq__sim_engine_of(e)->host;
	char *p = buf;

	while (len > 0) {
		uint64_t draw = soq__sim_host_draw(host, SOQ__SIM_ENTROPY);
		size_t n = len < sizeof(draw) ? len : sizeof(draw);

		draw = htole64(draw);
		memcpy(p, &draw, n);
		p += n;
		len -= n;
	}
	return 0;
}

static int64_t offload_delay(struct soq__engine *base)
{
	struct soq_sim_host *host = soq__sim_engine_of(base)->host;

	if (host->sim->opt.prompt_offload)
		return 0;
	return (int64_t)soq__sim_below(
		soq__sim_host_draw(host, SOQ__SIM_OFFLOAD), OFFLOAD_MOST_NS);
}

/* ---- names ---- */

/* @return the port, or a negative code */
static int port_of(const struct soq__query *query)
{
	char text[SERVICE_TEXT_MAX];
	struct servent entry, *found = NULL;

	if (!*query->service)
		return query->port;
	if (getservbyname_r(query->service, query->datagram ? "udp" : "tcp", &entry, text,
		    sizeof(text), &found) != 0 ||
		!found)
		return -SOQ_ENOPORT;
	return ntohs((uint16_t)found->s_port);
}

static void add_address(struct soq_addrs *ret, const struct soq__sim_addr *ip, int port)
{
	struct soq__sim_addr addr = *ip;

	addr.port = (uint16_t)port;
	ret->list = soq__sim_realloc(ret->list, (ret->count + 1) * sizeof(*ret->list));
	soq__sim_addr_to(
		&ret->list[ret->count++], &addr, soq__sim_addr_is4(&addr) ? AF_INET : AF_INET6);
}

static void add_local(struct soq_addrs *ret, bool passive, int port)
{
	struct soq__sim_addr in6 = { .ip = { 0 } }, in4 = { .ip = { [10] = 0xff, 0xff } };

	if (!passive) {
		in6.ip[15] = 1;
		in4.ip[12] = 127;
		in4.ip[15] = 1;
	}
	add_address(ret, &in6, port);
	add_address(ret, &in4, port);
}

/* The port of a service; names of hosts are the name service's. */
static int resolve(
	const struct soq__engine *e, const struct soq__query *query, struct soq_addrs *ret)
{
	int port = port_of(query);

	(void)e;
	if (port < 0)
		return port;
	*ret = (struct soq_addrs){ 0 };
	add_local(ret, query->passive, port);
	return 0;
}

static void source_addrs(
	struct soq__engine *base, const struct soq_addr *to, struct soq_addr *ret, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct soq__sim_addr there, here;

		ret[i].len = 0;
		if (to[i].len == 0)
			continue;
		soq__sim_addr_from(&there, &to[i]);
		if (!soq__sim_source_for(soq__sim_engine_of(base)->host, &there, &here))
			continue;
		here.port = 0;
		soq__sim_addr_to(&ret[i], &here, to[i].sa.sa_family);
	}
}

static unsigned interface_index(const struct soq__engine *e, const char *name)
{
	(void)e;
	return strcmp(name, "lo") == 0 ? 1 : strcmp(name, "eth0") == 0 ? 2 : 0;
}

/* ---- wake-ups and limits ---- */

static int wake_open(struct soq__engine *base, void (*heard)(void *arg), void *arg)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);

	e->heard = heard;
	e->heard_arg = arg;
	return 0;
}

static void wake(struct soq__engine *base)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);

	e->woken = true;
	soq__sim_engine_resume(e);
}

static unsigned descriptors_max(const struct soq__engine *base)
{
	return soq__container_of(base, const struct soq__sim_engine, base)
		->host->sim->opt.descriptors_max;
}

/* ---- sockets ---- */

/* The socket of a descriptor that its program knows to be open. */
static struct soq__sim_socket *socket_of(const struct soq__socket *s)
{
	return soq__sim_socket_of(soq__sim_running()->host->sim, s->fd);
}

static struct soq__sim_socket *make_socket(
	struct soq_sim_host *host, int family, int type, int protocol)
{
	bool internet = family == AF_INET || family == AF_INET6;

	if (family == AF_UNIX && (type == SOCK_STREAM || type == SOCK_DGRAM))
		return soq__sim_unix_socket(host, type);
	if (internet && type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return soq__sim_tcp_socket(host, family);
	if (internet && type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return soq__sim_udp_socket(host, family);
	return NULL;
}

/* Give a new socket its descriptor, or close it. */
static int give_fd(struct soq__sim_engine *e, struct soq__sim_socket *s)
{
	int fd = soq__sim_fd_open(s, e);

	if (fd < 0)
		s->proto->close(s);
	return fd;
}

static int open_socket(
	struct soq__engine *base, struct soq__socket *ret, int family, int type, int protocol)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq__sim_socket *s = make_socket(e->host, family, type, protocol);
	int fd;

	if (!s)
		return -EAFNOSUPPORT;
	fd = give_fd(e, s);
	if (fd < 0)
		return fd;
	*ret = (struct soq__socket){ .fd = fd };
	return 0;
}

static int open_pair(struct soq__engine *base, int type, int ret_fds[2])
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq__sim_socket *pair[2];
	int first, second;

	soq__sim_unix_pair(e->host, type, pair);
	first = give_fd(e, pair[0]);
	second = give_fd(e, pair[1]);
	if (first >= 0 && second >= 0) {
		ret_fds[0] = first;
		ret_fds[1] = second;
		return 0;
	}
	if (first >= 0)
		soq__sim_fd_close(e->host->sim, first);
	if (second >= 0)
		soq__sim_fd_close(e->host->sim, second);
	return first < 0 ? first : second;
}

static int duplicate(struct soq__engine *base, int fd)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq__sim_socket *s = soq__sim_socket_of(e->host->sim, fd);

	return s ? soq__sim_fd_open(s, e) : no_socket(fd);
}

static int adopt(struct soq__engine *base, struct soq__socket *ret, int fd, bool foreign)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);

	(void)foreign;
	if (!soq__sim_socket_of(e->host->sim, fd))
		return no_socket(fd);
	soq__sim_fd_take(e->host->sim, fd, e);
	*ret = (struct soq__socket){ .fd = fd };
	return 0;
}

static void forget(struct soq__engine *e, struct soq__socket *s)
{
	(void)e;
	(void)s;
}

static int release(struct soq__engine *e, struct soq__socket *s)
{
	(void)e;
	(void)s;
	return 0;
}

static void close_fd(struct soq__engine *base, int fd)
{
	soq__sim_fd_close(soq__sim_engine_of(base)->host->sim, fd);
}

static void close_socket(struct soq__engine *base, struct soq__socket *s)
{
	close_fd(base, s->fd);
}

static int bind_socket(struct soq__socket *s, const struct soq_addr *addr)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->bind(sock, addr);
}

static int listen_socket(struct soq__socket *s, int backlog)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->listen(sock, backlog);
}

static int shutdown_socket(struct soq__socket *s, int how)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->shutdown(sock, how);
}

static int set_option(
	struct soq__socket *s, int level, int option, const void *value, socklen_t len)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->set_option(sock, level, option, value, len);
}

static int get_option(
	const struct soq__socket *s, int level, int option, void *value, socklen_t *len)
{
	return soq__sim_get_option(socket_of(s), level, option, value, len);
}

static int local_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->local_addr(sock, ret);
}

static int peer_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	struct soq__sim_socket *sock = socket_of(s);

	return sock->proto->peer_addr(sock, ret);
}

static ssize_t send_file(struct soq__socket *s, int fd, off_t *offset, size_t len)
{
	struct soq__sim_socket *sock = socket_of(s);
	char *chunk = soq__sim_alloc(SEND_FILE_CHUNK);
	ssize_t n = pread(fd, chunk, len < SEND_FILE_CHUNK ? len : SEND_FILE_CHUNK, *offset);
	struct soq__op op = { .code = SOQ__OP_SEND, .socket = s, .buf = chunk };

	if (n < 0)
		n = errno == ESPIPE ? -EINVAL : -errno;
	if (n > 0) {
		op.len = (size_t)n;
		n = (ssize_t)sock->proto->attempt(sock, &op);
	}
	free(chunk);
	if (n > 0) {
		*offset += n;
		soq__sim_running()->idle_rounds = 0;
	}
	return n;
}

static int64_t attempt(struct soq__engine *base, struct soq__op *op)
{
	struct soq__sim_socket *sock = socket_of(op->socket);
	int64_t n = sock->proto->attempt(sock, op);

	if (n >= 0)
		soq__sim_engine_of(base)->idle_rounds = 0;
	soq__sim_digest(
		soq__sim_engine_of(base)->host->sim, (uint64_t)op->code << 32 ^ (uint64_t)n);
	return n;
}

/* As recvmmsg(2) and sendmmsg(2): what comes first decides, a message or an error. */
static int several(
	struct soq__socket *s, enum soq__op_code code, struct mmsghdr *msgs, unsigned count)
{
	struct soq__sim_socket *sock = socket_of(s);

	for (unsigned i = 0; i < count; i++) {
		struct soq__op op = { .code = code, .socket = s, .msg = &msgs[i].msg_hdr };
		int64_t n = sock->proto->attempt(sock, &op);

		if (n < 0)
			return i > 0 ? (int)i : (int)n;
		msgs[i].msg_len = (unsigned)n;
		soq__sim_running()->idle_rounds = 0;
	}
	return (int)count;
}

static int recv_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	return several(s, SOQ__OP_RECVMSG, msgs, count);
}

static int send_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	return several(s, SOQ__OP_SENDMSG, msgs, count);
}

const struct soq__engine_type soq__engine_sim = {
	.name = "sim",
	.simulated = true,
	.probe = probe,
	.open = engine_open,
	.close = engine_close,
	.abandon = engine_abandon,
	.submit = submit,
	.attempt = attempt,
	.cancel = cancel,
	.turn = turn,
	.now = now,
	.wall_clock = wall_clock,
	.random = random_bytes,
	.start_thread = soq__sim_thread_start,
	.offload_delay = offload_delay,
	.resolve = resolve,
	.answer = soq__sim_answer,
	.source_addrs = source_addrs,
	.interface_index = interface_index,
	.wake_open = wake_open,
	.wake = wake,
	.open_latch = soq__sim_latch_open,
	.set_latch = soq__sim_latch_set,
	.close_latch = close_fd,
	.open_signals = soq__sim_signals_open,
	.read_signals = soq__sim_signals_read,
	.close_signals = close_fd,
	.descriptors_max = descriptors_max,
	.open_socket = open_socket,
	.open_pair = open_pair,
	.duplicate = duplicate,
	.adopt = adopt,
	.forget = forget,
	.release = release,
	.close_socket = close_socket,
	.bind = bind_socket,
	.listen = listen_socket,
	.shutdown = shutdown_socket,
	.set_option = set_option,
	.get_option = get_option,
	.local_addr = local_addr,
	.peer_addr = peer_addr,
	.send_file = send_file,
	.recv_many = recv_many,
	.send_many = send_many,
};
