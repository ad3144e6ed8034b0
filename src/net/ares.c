/* ares.c - questions to the DNS over the network, with c-ares.
 *
 * A channel belongs to a worker. Its descriptors are watched by POLL operations of the worker's
 * engine, input and output apart, its timeouts by one alarm; so c-ares runs only where a
 * question is asked and in the engine's turns, and nothing waits for it.
 *
 * A descriptor that c-ares is about to close is forgotten by the engine first. Its watch goes
 * on until the engine has given back both operations, and so does whoever owns it.
 *
 * Invariant: a watch is on `watched` or on `leaving`; `pending` counts the questions without an
 * answer; what is retired goes when there are none of either.
 *
 * Source: ares_init_options(3), ares_query(3), ares_process(3),
 * ares_set_socket_functions(3), resolv.conf(5); udp(7) for what a refused datagram leaves.
 */
#include "net/ares_options.h"
#include "net/dns.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct soq__ares {
	struct soq__dns base;
	ares_channel channel; /* NULL once it is destroyed */
	struct soq__worker *worker;
	struct soq__alarm alarm;
	struct soq__list watched; /* struct watch, those that c-ares still has */
	struct soq__list leaving; /* struct watch, the others */
	size_t pending;
	bool retired;
	bool abandoned;
	bool busy; /* c-ares runs: it must not be destroyed beneath itself */
};

/* A descriptor of c-ares. */
struct watch {
	struct soq__list node; /* of soq__ares.watched, or of leaving */
	struct soq__ares *ares;
	struct soq__socket socket;
	struct side {
		struct soq__op op;
		bool wanted;
		bool pending; /* the operation is the engine's */
	} in, out;
	bool failed;	 /* c-ares is to read an error */
	bool let_go;	 /* c-ares has it no more */
	bool letting_go; /* and the engine is being told so */
};

struct pending {
	struct soq__ares *ares;
	struct soq__question *question;
};

static void process(struct soq__ares *a, int in, int out);

bool soq__ares_is_there(void)
{
	return true;
}

/* ---- the end ---- */

/* Free it when nobody points to it any more. */
static void free_if_over(struct soq__ares *a)
{
	if (!a->retired || a->busy || a->pending > 0)
		return;
	if (a->channel) {
		ares_channel channel = a->channel;

		a->busy = true; /* its descriptors are let go of, one after the other */
		ares_destroy(channel);
		a->channel = NULL;
		a->busy = false;
		if (!a->abandoned)
			soq__alarm_close(a->worker, &a->alarm);
	}
	if (!soq__list_empty(&a->leaving))
		return;
	soq__list_remove(&a->base.node);
	free(a);
}

/* ---- descriptors ---- */

static void watch_free_if_over(struct watch *w)
{
	struct soq__ares *a = w->ares;

	if (!w->let_go || w->letting_go || w->in.pending || w->out.pending)
		return;
	soq__list_remove(&w->node);
	free(w);
	free_if_over(a);
}

static void side_completed(struct watch *w, struct side *s)
{
	int fd = w->socket.fd;

	s->pending = false;
	if (w->let_go)
		watch_free_if_over(w);
	else if (s == &w->in)
		process(w->ares, fd, ARES_SOCKET_BAD);
	else
		process(w->ares, ARES_SOCKET_BAD, fd);
}

static void input_completed(struct soq__op *op)
{
	struct watch *w = op->owner;

	side_completed(w, &w->in);
}

static void output_completed(struct soq__op *op)
{
	struct watch *w = op->owner;

	side_completed(w, &w->out);
}

/* @return false when what is waited for is there already */
static bool side_wait(struct watch *w, struct side *s)
{
	struct soq__engine *e = w->ares->worker->engine;
	bool is_input = s == &w->in;

	if (is_input && w->failed)
		return false;
	if (!s->wanted || s->pending)
		return true;
	s->op = (struct soq__op){
		.code = SOQ__OP_POLL,
		.socket = &w->socket,
		.events = is_input ? POLLIN : POLLOUT,
		.complete = is_input ? input_completed : output_completed,
		.owner = w,
	};
	soq__list_init(&s->op.node);
	s->pending = !e->type->submit(e, &s->op);
	if (!s->pending && s->op.result <= 0)
		w->failed = true; /* it cannot be watched: c-ares shall give it up */
	return s->pending;
}

static void run(struct soq__ares *a, int in, int out)
{
	a->busy = true;
	ares_process_fd(a->channel, in, out);
	a->busy = false;
}

/* Wait for the first descriptor that has something to be waited for.
 * @return false when there was something already, which c-ares has seen to: ask again, since
 * its descriptors may be others now */
static bool wait_all(struct soq__ares *a)
{
	soq__list_for_each (node, &a->watched) {
		struct watch *w = soq__container_of(node, struct watch, node);

		if (!side_wait(w, &w->in)) {
			run(a, w->socket.fd, ARES_SOCKET_BAD);
			return false;
		}
		if (!side_wait(w, &w->out)) {
			run(a, ARES_SOCKET_BAD, w->socket.fd);
			return false;
		}
	}
	return true;
}

/* After each run of c-ares: wait for what it waits for. */
static void settle(struct soq__ares *a)
{
	struct timeval left;
	int64_t at_ns = SOQ_NEVER;

	while (!wait_all(a))
		;
	if (ares_timeout(a->channel, NULL, &left))
		at_ns = soq__after(a->worker->engine->type->now(a->worker->engine),
			left.tv_sec * SOQ_S + left.tv_usec * SOQ_US);
	soq__alarm_set(a->worker, &a->alarm, at_ns);
	free_if_over(a);
}

static void process(struct soq__ares *a, int in, int out)
{
	run(a, in, out);
	settle(a);
}

static void ring(struct soq__alarm *alarm)
{
	process(soq__container_of(alarm, struct soq__ares, alarm), ARES_SOCKET_BAD,
		ARES_SOCKET_BAD);
}

static struct watch *watch_new(struct soq__ares *a, int fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ares = a;
	w->socket = (struct soq__socket){ .fd = fd, .nonblocking = true };
	soq__list_append(&a->watched, &w->node);
	return w;
}

/* c-ares is about to close it. A cancelled operation may complete within the call. */
static void watch_let_go(struct watch *w)
{
	struct soq__engine *e = w->ares->worker->engine;

	soq__list_remove(&w->node);
	soq__list_append(&w->ares->leaving, &w->node);
	w->let_go = w->letting_go = true;
	if (w->ares->abandoned) {
		w->in.pending = w->out.pending = false;
	} else {
		e->type->forget(e, &w->socket);
		if (w->in.pending)
			e->type->cancel(e, &w->in.op);
		if (w->out.pending)
			e->type->cancel(e, &w->out.op);
	}
	w->letting_go = false;
	watch_free_if_over(w);
}

/* @return NULL when c-ares has no such descriptor, or when memory was short */
static struct watch *watch_of(struct soq__ares *a, int fd)
{
	soq__list_for_each (node, &a->watched) {
		struct watch *w = soq__container_of(node, struct watch, node);

		if (w->socket.fd == fd)
			return w;
	}
	return NULL;
}

/* What c-ares wants to be told of a descriptor from now on. */
static void on_state(void *arg, int fd, int in, int out)
{
	struct soq__ares *a = arg;
	struct watch *w = watch_of(a, fd);

	if (!in && !out) {
		if (w)
			watch_let_go(w);
		return;
	}
	if (!w)
		w = watch_new(a, fd);
	if (!w)
		return; /* unwatched, its question times out */
	w->in.wanted = in;
	w->out.wanted = out;
}

/* ---- sockets ---- */

static int open_socket(int family, int kind, int protocol, void *arg)
{
	int fd = socket(family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol), on = 1;

	(void)arg;
	if (fd >= 0 && kind == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int close_socket(int fd, void *arg)
{
	(void)arg;
	return close(fd);
}

static int connect_socket(int fd, const struct sockaddr *addr, socklen_t len, void *arg)
{
	(void)arg;
	return connect(fd, addr, len);
}

static ssize_t receive(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
	socklen_t *from_len, void *arg)
{
	struct watch *w = watch_of(arg, fd);

	if (!w || !w->failed)
		return recvfrom(fd, buf, len, flags, from, from_len);
	w->failed = false;
	errno = ECONNREFUSED;
	return -1;
}

/* That a datagram was refused, the socket's next call tells, whichever it is. When that is the
 * sending of another question, c-ares (1.18) takes it for this one's failure alone, and the
 * refused one waits for its time to pass. So the error is put by until c-ares reads: then it
 * gives up the socket, and asks the next server all that was asked of this one. */
static ssize_t send_bytes(int fd, const struct iovec *parts, int count, void *arg)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = (size_t)count };
	struct watch *w = watch_of(arg, fd);
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

	if (n >= 0 || errno != ECONNREFUSED || !w || !w->in.wanted)
		return n;
	w->failed = true;
	n = 0;
	for (int i = 0; i < count; i++)
		n += (ssize_t)parts[i].iov_len;
	return n;
}

static const struct ares_socket_functions sockets = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_bytes,
};

/* ---- questions ---- */

static int code_of(int status)
{
	switch (status) {
	case ARES_ENODATA:
		return -SOQ_ENORECORD;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return -SOQ_ENONAME;
	case ARES_ETIMEOUT:
		return -SOQ_ENAMEWAIT;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_EDESTRUCTION:
	case ARES_ECANCELLED:
		return -ECANCELED;
	default: /* ECONNREFUSED among them: up to 1.18, also that all servers say SERVFAIL */
		return -SOQ_ENAMEFAIL;
	}
}

/* c-ares has checked that the message answers the question. */
static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	struct pending *p = arg;
	struct soq__question *q = p->question;

	(void)timeouts;
	p->ares->pending--;
	free(p);
	if (msg && len > 0)
		q->answered(q, 0, msg, (size_t)len);
	else
		q->answered(
			q, status == ARES_SUCCESS ? -SOQ_ENAMEFAIL : code_of(status), NULL, 0);
}

static void ask(struct soq__dns *d, struct soq__question *q)
{
	struct soq__ares *a = soq__container_of(d, struct soq__ares, base);
	struct pending *p = malloc(sizeof(*p));

	if (!p) {
		q->answered(q, -ENOMEM, NULL, 0);
		return;
	}
	*p = (struct pending){ a, q };
	a->pending++;
	a->busy = true;
	ares_query(a->channel, q->name, ns_c_in, (int)q->type, on_answer, p);
	a->busy = false;
	settle(a);
}

static void retire(struct soq__dns *d)
{
	struct soq__ares *a = soq__container_of(d, struct soq__ares, base);

	a->retired = true;
	free_if_over(a);
}

/* In the child of a fork nobody gives them back. */
static void abandon_leaving(struct soq__ares *a)
{
	soq__list_for_each (node, &a->leaving) {
		struct watch *w = soq__container_of(node, struct watch, node);

		w->in.pending = w->out.pending = false;
		watch_free_if_over(w);
	}
}

static void close_now(struct soq__dns *d, bool abandon)
{
	struct soq__ares *a = soq__container_of(d, struct soq__ares, base);

	a->abandoned = abandon;
	a->retired = true;
	a->busy = true;
	if (a->channel)
		ares_cancel(a->channel);
	if (abandon)
		abandon_leaving(a);
	a->busy = false;
	free_if_over(a);
}

static const struct soq__dns_type type = { .ask = ask, .retire = retire, .close = close_now };

/* ---- the machine's configuration ---- */

static struct {
	pthread_once_t once;
	int status;
} library = { .once = PTHREAD_ONCE_INIT };

static void library_init(void)
{
	library.status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int read_search(struct soq__search *ret, ares_channel channel)
{
	struct ares_options o = { 0 };
	int mask = 0;

	if (ares_save_options(channel, &o, &mask) != ARES_SUCCESS)
		return -ENOMEM;
	memset(ret, 0, sizeof(*ret));
	ret->ndots = o.ndots > 0 ? (unsigned)o.ndots : 0;
	for (int i = 0; i < o.ndomains && ret->count < SOQ__DOMAINS_MAX; i++) {
		size_t len = strlen(o.domains[i]);

		len -= len > 0 && o.domains[i][len - 1] == '.';
		if (len > 0 && len <= SOQ__NAME_MAX)
			memcpy(ret->domains[ret->count++], o.domains[i], len);
	}
	ares_destroy_options(&o);
	return 0;
}

int soq__ares_prepare(struct soq__ares **ret, struct soq__search *ret_search)
{
	struct soq__ares *a = calloc(1, sizeof(*a));
	struct ares_options o = { 0 };
	char dns_only[] = "b";
	int status;

	if (!a)
		return -ENOMEM;
	pthread_once(&library.once, library_init);
	soq__ares_options(&o);
	o.sock_state_cb = on_state;
	o.sock_state_cb_data = a;
	o.lookups = dns_only;
	status = library.status;
	if (status == ARES_SUCCESS)
		status = ares_init_options(&a->channel, &o,
			ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
				ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS);
	if (status != ARES_SUCCESS) {
		free(a);
		return status == ARES_ENOMEM ? -ENOMEM : -SOQ_ENAMEFAIL;
	}
	a->base.type = &type;
	soq__list_init(&a->base.node);
	soq__list_init(&a->watched);
	soq__list_init(&a->leaving);
	ares_set_socket_functions(a->channel, &sockets, a);
	if (read_search(ret_search, a->channel) < 0) {
		soq__ares_discard(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void soq__ares_discard(struct soq__ares *a)
{
	if (!a)
		return;
	ares_destroy(a->channel);
	free(a);
}

int soq__ares_start(struct soq__dns **ret, struct soq__ares *a, struct soq__worker *w)
{
	if (soq__alarm_open(w, &a->alarm, ring) < 0) {
		soq__ares_discard(a);
		return -ENOMEM;
	}
	a->worker = w;
	*ret = &a->base;
	return 0;
}
