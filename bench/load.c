/* load.c - a load generator for echo servers: one process, one core, every byte checked.
 *
 * Closed loop (--mode closed): each connection has one request in flight and sends the
 * next when the reply is complete. Measures throughput and cost, not latency: a server
 * that stalls is asked less, and its stall would be counted once.
 *
 * Open loop (--mode open): request k leaves at start + k / rate, on connection k modulo
 * their number, whatever the replies do. Its latency counts from that instant, not from
 * when it could be sent, so no stall is left out. It spins, never sleeps: waking up
 * would be measured.
 *
 * Invariant: a connection's bytes, either way, are messages numbered from 0, and each
 * byte follows from (connection, message, place); so nothing need be kept of what was
 * sent, and a byte lost, repeated, changed or crossed to another connection is found.
 *
 * The result is one JSON object on standard output; a wrong byte or a broken connection
 * is one line on standard error and exit status 1.
 */
#include "hist.h"
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX   65536
#define EVENTS_CLOSED 512
#define EVENTS_OPEN   32 /* few, so that the schedule is looked at often */
#define BURST_MAX     64 /* late sends before replies are looked at again */
#define DRAIN_NS      (2 * SECOND_NS)
#define SPARE_SECONDS 30 /* beyond what was asked for, before the process is killed */

struct conn {
	int fd;
	bool full;			     /* the last send fell short: EPOLLOUT will come */
	uint64_t due;			     /* messages that may be sent */
	uint64_t sent;			     /* messages sent whole */
	uint64_t received;		     /* messages received whole */
	uint32_t sent_bytes, received_bytes; /* of the next */
};

/* What is read at both ends of the measured window. */
struct sample {
	struct measure measure;
	uint64_t replies;
};

struct load {
	/* As asked for. */
	unsigned port, clients, message_bytes;
	bool open;
	double seconds, warmup_seconds, rate;
	uint64_t requests_max;
	pid_t server;

	int epoll_fd;
	struct conn *conns;
	uint64_t replies;

	/* The open loop's schedule. */
	int64_t start_ns, window_start_ns, window_end_ns;
	double period_ns;
	uint64_t scheduled; /* messages made due so far */
	uint64_t unanswered;
	struct hist latency, lateness;
};

#define die(...) measure_die("load", __VA_ARGS__)

static void sample_take(const struct load *l, struct sample *ret)
{
	int error = measure_take(&ret->measure, l->server);

	if (error)
		die("server %d: %s", l->server, strerror(error));
	ret->replies = l->replies;
}

/* Writes the whole words of a connection's message. */
static void message_fill(uint64_t *words, unsigned bytes, uint64_t conn, uint64_t message)
{
	uint64_t w = (conn << 40 ^ message) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; i < bytes / 8; i++)
		words[i] = w += UINT64_C(0xbf58476d1ce4e5b9);
}

/* Sends what is due until the socket is full. */
static void conn_send(const struct load *l, struct conn *c)
{
	static uint64_t words[MESSAGE_MAX / 8];

	while (c->sent < c->due) {
		ssize_t n;

		message_fill(words, l->message_bytes, (uint64_t)(c - l->conns), c->sent);
		n = send(c->fd, (char *)words + c->sent_bytes, l->message_bytes - c->sent_bytes,
			MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			c->full = true;
			return;
		}
		if (n < 0)
			die("connection %td: send: %s", c - l->conns, strerror(errno));
		c->sent_bytes += (uint32_t)n;
		if (c->sent_bytes == l->message_bytes) {
			c->sent_bytes = 0;
			c->sent++;
		}
	}
}

/* When request @k of all is to leave, in the open loop. */
static int64_t request_ns(const struct load *l, uint64_t k)
{
	return l->start_ns + (int64_t)((double)k * l->period_ns);
}

/* The same by connection and message: the connections take turns. */
static int64_t message_ns(const struct load *l, uint64_t conn, uint64_t message)
{
	return request_ns(l, message * l->clients + conn);
}

static bool in_window(const struct load *l, int64_t at_ns)
{
	return at_ns >= l->window_start_ns && at_ns < l->window_end_ns;
}

/* A reply is complete. */
static void reply_count(struct load *l, struct conn *c, int64_t now)
{
	uint64_t message = c->received++;

	l->replies++;
	if (l->open) {
		int64_t at_ns = message_ns(l, (uint64_t)(c - l->conns), message);

		if (in_window(l, at_ns))
			hist_add(&l->latency, now - at_ns);
	} else {
		c->due++;
	}
}

/* Compares what has come with what must come. */
static void reply_check(struct load *l, struct conn *c, const char *bytes, size_t len)
{
	static uint64_t words[MESSAGE_MAX / 8];
	int64_t now = l->open ? now_ns() : 0;

	while (len > 0) {
		size_t n = l->message_bytes - c->received_bytes;

		if (n > len)
			n = len;
		if (c->received == c->due)
			die("connection %td: more came back than was sent", c - l->conns);
		message_fill(words, l->message_bytes, (uint64_t)(c - l->conns), c->received);
		if (memcmp((char *)words + c->received_bytes, bytes, n) != 0)
			die("connection %td: wrong bytes in message %ju", c - l->conns,
				(uintmax_t)c->received);
		bytes += n;
		len -= n;
		c->received_bytes += (uint32_t)n;
		if (c->received_bytes == l->message_bytes) {
			c->received_bytes = 0;
			reply_count(l, c, now);
		}
	}
}

/* Edge-triggered: receives until short. A server that ends first is an error. */
static void conn_receive(struct load *l, struct conn *c)
{
	static char buf[MESSAGE_MAX];

	for (;;) {
		ssize_t n = recv(c->fd, buf, sizeof buf, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			die("connection %td: recv: %s", c - l->conns, strerror(errno));
		if (n == 0)
			die("connection %td: closed by the server", c - l->conns);
		reply_check(l, c, buf, (size_t)n);
		if (n < (ssize_t)sizeof buf)
			return;
	}
}

static void conn_event(struct load *l, const struct epoll_event *event)
{
	struct conn *c = event->data.ptr;

	if (event->events & EPOLLOUT)
		c->full = false;
	if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn_receive(l, c);
	if (!c->full)
		conn_send(l, c);
}

/* Makes due, and sends, what the schedule has for now. */
static void schedule_send(struct load *l)
{
	for (unsigned i = 0; i < BURST_MAX; i++) {
		struct conn *c = &l->conns[l->scheduled % l->clients];
		int64_t at_ns = request_ns(l, l->scheduled), now;

		if (at_ns >= l->window_end_ns || at_ns > (now = now_ns()))
			return;
		if (in_window(l, at_ns))
			hist_add(&l->lateness, now - at_ns);
		l->scheduled++;
		c->due++;
		if (!c->full)
			conn_send(l, c);
	}
}

static void turn(struct load *l)
{
	static struct epoll_event events[EVENTS_CLOSED];
	int n = l->open ? epoll_wait(l->epoll_fd, events, EVENTS_OPEN, 0)
			: epoll_wait(l->epoll_fd, events, EVENTS_CLOSED, 100);

	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	if (l->open)
		schedule_send(l);
	for (int i = 0; i < n; i++) {
		conn_event(l, &events[i]);
		if (l->open)
			schedule_send(l);
	}
}

/* Waits for replies still out; those that do not come count with what they took so far. */
static void drain(struct load *l)
{
	int64_t end_ns = now_ns() + DRAIN_NS;

	while (l->replies < l->scheduled && now_ns() < end_ns)
		turn(l);
	/* What could not even be sent is late all the same. */
	for (; request_ns(l, l->scheduled) < l->window_end_ns; l->scheduled++)
		l->conns[l->scheduled % l->clients].due++;
	end_ns = now_ns();
	for (unsigned i = 0; i < l->clients; i++) {
		struct conn *c = &l->conns[i];

		for (uint64_t m = c->received; m < c->due; m++) {
			int64_t at_ns = message_ns(l, i, m);

			if (!in_window(l, at_ns))
				continue;
			hist_add(&l->latency, end_ns - at_ns);
			l->unanswered++;
		}
	}
}

static void run(struct load *l, struct sample *ret_first, struct sample *ret_last)
{
	l->start_ns = now_ns();
	l->window_start_ns = l->start_ns + (int64_t)(l->warmup_seconds * 1e9);
	l->window_end_ns = l->window_start_ns + (int64_t)(l->seconds * 1e9);
	if (!l->open)
		for (unsigned i = 0; i < l->clients; i++) {
			l->conns[i].due = 1;
			conn_send(l, &l->conns[i]);
		}
	while (now_ns() < l->window_start_ns)
		turn(l);
	sample_take(l, ret_first);
	while (now_ns() < l->window_end_ns && l->replies - ret_first->replies < l->requests_max)
		turn(l);
	sample_take(l, ret_last);
	if (l->open) {
		if (ret_last->measure.at_ns < l->window_end_ns)
			l->window_end_ns = ret_last->measure.at_ns;
		drain(l);
	}
}

static int connect_one(unsigned port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("connect 127.0.0.1:%u: %s", port, strerror(errno));
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
	return fd;
}

static void connect_all(struct load *l)
{
	l->conns = calloc(l->clients, sizeof *l->conns);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!l->conns || l->epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
	for (unsigned i = 0; i < l->clients; i++) {
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			.data.ptr = &l->conns[i],
		};

		l->conns[i].fd = connect_one(l->port);
		if (fcntl(l->conns[i].fd, F_SETFL, O_NONBLOCK) < 0 ||
			epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->conns[i].fd, &ev) < 0)
			die("epoll_ctl: %s", strerror(errno));
	}
}

static void print_latency(const char *name, const struct hist *h)
{
	printf(", \"%s\": {\"samples\": %ju", name, (uintmax_t)h->count);
	measure_print("p50_us", (double)hist_quantile(h, 0.5) / 1e3, h->count > 0);
	measure_print("p99_us", (double)hist_quantile(h, 0.99) / 1e3, h->count > 0);
	measure_print("p999_us", (double)hist_quantile(h, 0.999) / 1e3, h->count > 0);
	measure_print("max_us", (double)h->max_ns / 1e3, h->count > 0);
	printf("}");
}

/*
 * Whether the generator rather than the server was the limit: then the throughput is
 * only a lower bound, or the latency the generator's own, and what can be believed is
 * the server's CPU time per request. In the open loop it always spins, so its share of
 * the core tells nothing, and how late it sends does.
 */
static bool generator_limited(
	const struct load *l, const struct sample *a, const struct sample *b)
{
	if (l->open)
		return hist_quantile(&l->lateness, 0.99) > hist_quantile(&l->latency, 0.99) / 2;
	return measure_load_was_full(&a->measure, &b->measure);
}

static void report(const struct load *l, const struct sample *a, const struct sample *b)
{
	int64_t window_ns = b->measure.at_ns - a->measure.at_ns;
	int64_t server_ns = measure_since(a->measure.server_cpu_ns, b->measure.server_cpu_ns);
	uint64_t requests = b->replies - a->replies;

	printf("{\"mode\": \"%s\", \"clients\": %u, \"message_bytes\": %u",
		l->open ? "open" : "closed", l->clients, l->message_bytes);
	printf(", \"requests\": %ju", (uintmax_t)requests);
	measure_print("seconds", (double)window_ns / 1e9, true);
	measure_print("requests_per_s", (double)requests * 1e9 / (double)window_ns, true);
	measure_print("server_cpu_us_per_request", (double)server_ns / 1e3 / (double)requests,
		server_ns >= 0 && requests > 0);
	measure_print_cores(&a->measure, &b->measure);
	printf(", \"generator_limited\": %s", generator_limited(l, a, b) ? "true" : "false");
	if (l->open) {
		measure_print("rate_per_s", l->rate, true);
		printf(", \"unanswered\": %ju", (uintmax_t)l->unanswered);
		print_latency("latency", &l->latency);
		print_latency("lateness", &l->lateness);
	}
	printf("}\n");
}

#define number(...) measure_number("load", __VA_ARGS__)

static void mode_set(struct load *l, const char *word)
{
	l->open = strcmp(word, "open") == 0;
	if (!l->open && strcmp(word, "closed") != 0) {
		fprintf(stderr, "load: --mode %s: open or closed is needed\n", word);
		exit(2);
	}
}

static void options_parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "mode", required_argument, NULL, 'm' },
		{ "clients", required_argument, NULL, 'c' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "seconds", required_argument, NULL, 's' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "rate", required_argument, NULL, 'r' },
		{ "requests", required_argument, NULL, 'n' },
		{ "pid", required_argument, NULL, 'i' },
		{ 0 },
	};
	int c, index;

	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		const char *name = c == '?' ? NULL : options[index].name;

		if (c == 'p')
			l->port = (unsigned)number(name, optarg, 1, 65535);
		else if (c == 'm')
			mode_set(l, optarg);
		else if (c == 'c')
			l->clients = (unsigned)number(name, optarg, 1, 1 << 20);
		else if (c == 'b')
			l->message_bytes = (unsigned)number(name, optarg, 8, MESSAGE_MAX);
		else if (c == 's')
			l->seconds = number(name, optarg, 0.01, 3600);
		else if (c == 'w')
			l->warmup_seconds = number(name, optarg, 0, 3600);
		else if (c == 'r')
			l->rate = number(name, optarg, 1, 1e9);
		else if (c == 'n')
			l->requests_max = (uint64_t)number(name, optarg, 1, 1e15);
		else if (c == 'i')
			l->server = (pid_t)number(name, optarg, 1, 1 << 22);
		else
			exit(2);
	}
	if (optind < argc || !l->port || (l->open && l->rate <= 0) || l->message_bytes % 8) {
		fputs("load: needed: --port PORT, with --mode open --rate PER_SECOND; "
		      "--bytes is a multiple of 8\n",
			stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct load load = {
		.clients = 1,
		.message_bytes = 64,
		.seconds = 2,
		.warmup_seconds = 0.5,
		.requests_max = UINT64_MAX,
	};
	struct sample first, last;

	options_parse(&load, argc, argv);
	/* Neither a server that hangs nor a parent that dies leaves this running. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm((unsigned)(load.seconds + load.warmup_seconds) + SPARE_SECONDS);
	load.period_ns = load.open ? 1e9 / load.rate : 0;
	measure_files_limit("load", load.clients + 64);
	connect_all(&load);
	run(&load, &first, &last);
	report(&load, &first, &last);
	return 0;
}
