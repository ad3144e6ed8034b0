/* load_tls.c - a load generator for servers that speak TLS 1.3: one process, one core.
 *
 * --mode shake   connect, full handshake, request, reply, the server's end; then again
 * --mode resume  the same with a ticket of the connection before
 * --mode echo    64 bytes there and back, on connections that stay; every byte is checked
 * --mode bulk    one request, and the server sends for as long as the connection stands
 * --mode idle    one request on each of many connections, which then stand idle: what memory
 *                the server has for them
 *
 * Every server is offered the same, X25519 and TLS_AES_128_GCM_SHA256, so that all do the same
 * work. Certificates are not checked: that is the client's cost, and here nobody's interest.
 * A request is one of HTTP/1.1, and a reply ends with "done\n", so that any server can play.
 *
 * The result is one JSON object on standard output; whatever goes wrong is one line on
 * standard error and exit status 1.
 *
 * Source: SSL_CTX_sess_set_new_cb(3), proc(5) on smaps_rollup.
 */
#include "measure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX    512
#define BUF_BYTES     65536
#define ECHO_BYTES    64
#define SPARE_SECONDS 30 /* beyond what was asked for, before the process is killed */
#define SHAKING_MAX   64 /* handshakes at once, where connections are to be idle */
#define SETTLE_NS     (SECOND_NS / 2)
#define RESUMED_LEAST 0.99

#define die(...)    measure_die("load_tls", __VA_ARGS__)
#define number(...) measure_number("load_tls", __VA_ARGS__)

enum mode { MODE_SHAKE, MODE_RESUME, MODE_ECHO, MODE_BULK, MODE_IDLE };

static const char *const mode_names[] = { "shake", "resume", "echo", "bulk", "idle" };
#define MODES (sizeof mode_names / sizeof *mode_names)

enum state { STATE_SHAKING, STATE_ASKING, STATE_READING, STATE_IDLE };

struct conn {
	int fd;
	SSL *ssl;
	SSL_SESSION *session; /* of the connection before, or NULL */
	enum state state;
	char last[5];	   /* a reply's last bytes so far */
	unsigned received; /* bytes of an echo */
	uint64_t message;
};

struct sample {
	struct measure measure;
	uint64_t done, resumed, bytes;
};

struct load {
	/* As asked for. */
	enum mode mode;
	unsigned port, clients;
	double seconds, warmup_seconds;
	pid_t server;
	const char *request;

	SSL_CTX *ctx;
	int epoll_fd;
	struct conn *conns;
	uint64_t done, resumed,
		bytes;	  /* requests answered, of them after a resumption; received */
	unsigned shaking; /* handshakes and requests under way */
};

static _Noreturn void die_tls(const char *what)
{
	char text[256];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	die("%s: %s", what, text);
}

/* ---- one connection ---- */

static void conn_open(struct load *l, struct conn *c)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)l->port),
	};
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = c,
	};

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("connect 127.0.0.1:%u: %s", l->port, strerror(errno));
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
		die("TCP_NODELAY: %s", strerror(errno));
	c->ssl = SSL_new(l->ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_set_app_data(c->ssl, c) != 1)
		die_tls("SSL_new");
	SSL_set_connect_state(c->ssl);
	if (c->session && l->mode == MODE_RESUME && SSL_set_session(c->ssl, c->session) != 1)
		die_tls("SSL_set_session");
	c->state = STATE_SHAKING;
	memset(c->last, 0, sizeof c->last);
	l->shaking++;
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void conn_close(struct conn *c)
{
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
}

/* The server sends tickets after the handshake; the last one serves the next connection. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct conn *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1; /* it is ours now */
}

/* What a call of OpenSSL's that brought nothing came to. @return whether the peer has ended */
static bool has_ended(struct conn *c, int rc)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return false;
	case SSL_ERROR_ZERO_RETURN:
		return true;
	case SSL_ERROR_SYSCALL:
		die("the server broke the connection: %s", strerror(errno));
	default:
		die_tls("TLS");
	}
}

/* The bytes of an echo follow from its connection and number. */
static void echo_fill(const struct load *l, const struct conn *c, char *buf)
{
	uint64_t w =
		((uint64_t)(c - l->conns) << 40 ^ c->message) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; i < ECHO_BYTES / 8; i++) {
		w += UINT64_C(0xbf58476d1ce4e5b9);
		memcpy(buf + i * 8, &w, 8);
	}
}

/* @return whether all of it is on its way */
static bool conn_ask(const struct load *l, struct conn *c)
{
	char message[ECHO_BYTES];
	const char *bytes = l->request;
	size_t len = strlen(l->request);
	int n;

	if (l->mode == MODE_ECHO) {
		echo_fill(l, c, message);
		bytes = message;
		len = sizeof message;
	}
	n = SSL_write(c->ssl, bytes, (int)len);
	if (n <= 0 && has_ended(c, n))
		die("the server ended the connection before the request");
	return n > 0;
}

static void echo_check(struct load *l, struct conn *c, const char *bytes, size_t len)
{
	char want[ECHO_BYTES];

	echo_fill(l, c, want);
	if (len > ECHO_BYTES - c->received || memcmp(want + c->received, bytes, len) != 0)
		die("connection %td: wrong bytes in message %ju", c - l->conns,
			(uintmax_t)c->message);
	c->received += (unsigned)len;
	if (c->received < ECHO_BYTES)
		return;
	c->received = 0;
	c->message++;
	l->done++;
	c->state = STATE_ASKING;
}

static void tail_keep(struct conn *c, const char *bytes, size_t len)
{
	size_t n = len < sizeof c->last ? len : sizeof c->last;

	memmove(c->last, c->last + n, sizeof c->last - n);
	memcpy(c->last + sizeof c->last - n, bytes + len - n, n);
}

static bool tail_is_done(const struct conn *c)
{
	return memcmp(c->last, "done\n", sizeof c->last) == 0;
}

static void on_bytes(struct load *l, struct conn *c, const char *bytes, size_t len)
{
	l->bytes += len;
	if (l->mode == MODE_ECHO) {
		echo_check(l, c, bytes, len);
		return;
	}
	if (l->mode == MODE_BULK)
		return;
	tail_keep(c, bytes, len);
	if (l->mode == MODE_IDLE && tail_is_done(c)) {
		c->state = STATE_IDLE;
		l->done++;
		l->shaking--;
	}
}

/* The server has ended the connection: right after its reply, and not elsewhere. */
static void on_end(struct load *l, struct conn *c)
{
	if ((l->mode != MODE_SHAKE && l->mode != MODE_RESUME) || !tail_is_done(c))
		die("connection %td: ended by the server", c - l->conns);
	l->done++;
	l->resumed += SSL_session_reused(c->ssl) ? 1 : 0;
	l->shaking--;
	conn_close(c);
	conn_open(l, c);
}

/* @return whether there may be more */
static bool conn_read(struct load *l, struct conn *c)
{
	static char buf[BUF_BYTES];
	int n = SSL_read(c->ssl, buf, sizeof buf);

	if (n > 0)
		on_bytes(l, c, buf, (size_t)n);
	else if (has_ended(c, n))
		on_end(l, c);
	else
		return false;
	return true;
}

/* Goes on until the socket has no more. */
static void conn_advance(struct load *l, struct conn *c)
{
	bool more = true;
	int rc;

	while (more) {
		switch (c->state) {
		case STATE_SHAKING:
			rc = SSL_do_handshake(c->ssl);
			more = rc == 1;
			if (more)
				c->state = STATE_ASKING;
			else if (has_ended(c, rc))
				die("the server ended the connection in the handshake");
			break;
		case STATE_ASKING:
			more = conn_ask(l, c);
			if (more)
				c->state = STATE_READING;
			break;
		case STATE_READING:
		case STATE_IDLE:
			more = conn_read(l, c);
			break;
		}
	}
}

static void turn(struct load *l)
{
	static struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, 100);

	if (n < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++)
		conn_advance(l, events[i].data.ptr);
}

static void turn_until(struct load *l, int64_t end_ns)
{
	while (now_ns() < end_ns)
		turn(l);
}

/* ---- the measured window ---- */

static void sample_take(const struct load *l, struct sample *ret)
{
	int error = measure_take(&ret->measure, l->server);

	if (error)
		die("server %d: %s", l->server, strerror(error));
	ret->done = l->done;
	ret->resumed = l->resumed;
	ret->bytes = l->bytes;
}

static void report(const struct load *l, const struct sample *a, const struct sample *b)
{
	int64_t cpu_ns = measure_since(a->measure.server_cpu_ns, b->measure.server_cpu_ns);
	double seconds = (double)(b->measure.at_ns - a->measure.at_ns) / 1e9;
	double done = (double)(b->done - a->done), bytes = (double)(b->bytes - a->bytes);
	double units = l->mode == MODE_BULK ? bytes / 1e6 : done;

	/* A server that resumes only some would be measured doing something else. */
	if (l->mode == MODE_RESUME && (double)(b->resumed - a->resumed) < RESUMED_LEAST * done)
		die("only %ju of %.0f connections were resumed",
			(uintmax_t)(b->resumed - a->resumed), done);
	printf("{\"mode\": \"%s\", \"clients\": %u", mode_names[l->mode], l->clients);
	measure_print("requests", done, true);
	measure_print("megabytes", bytes / 1e6, true);
	measure_print("seconds", seconds, true);
	measure_print("requests_per_s", done / seconds, true);
	measure_print("megabytes_per_s", bytes / 1e6 / seconds, true);
	measure_print(
		"resumed_percent", 100.0 * (double)(b->resumed - a->resumed) / done, done > 0);
	measure_print("server_cpu_us", (double)cpu_ns / 1e3 / units, cpu_ns >= 0 && units > 0);
	measure_print_cores(&a->measure, &b->measure);
	printf(", \"generator_limited\": %s}\n",
		measure_load_was_full(&a->measure, &b->measure) ? "true" : "false");
}

static void run(struct load *l)
{
	struct sample first, last;
	int64_t start_ns = now_ns() + (int64_t)(l->warmup_seconds * 1e9);

	for (unsigned i = 0; i < l->clients; i++)
		conn_open(l, &l->conns[i]);
	turn_until(l, start_ns);
	sample_take(l, &first);
	turn_until(l, start_ns + (int64_t)(l->seconds * 1e9));
	sample_take(l, &last);
	report(l, &first, &last);
}

/* ---- idle connections ---- */

/* The server's proportional set size (what is shared counts by its part), in bytes. */
static double server_pss(const struct load *l)
{
	char path[64], line[256];
	long long kilobytes = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", l->server);
	f = fopen(path, "re");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof line, f) && sscanf(line, "Pss: %lld", &kilobytes) != 1)
		continue;
	fclose(f);
	if (kilobytes < 0)
		die("%s: no Pss in it", path);
	return (double)kilobytes * 1024;
}

/* Opens connections up to @count, and waits until all are idle. */
static void idle_open(struct load *l, unsigned count)
{
	for (unsigned i = (unsigned)l->done; i < count; i++) {
		while (l->shaking >= SHAKING_MAX)
			turn(l);
		conn_open(l, &l->conns[i]);
	}
	while (l->shaking > 0)
		turn(l);
	turn_until(l, now_ns() + SETTLE_NS);
}

/* What the server has for its first clients is left out: code, caches, and the stacks of as
 * many as came at once, which stay. */
static void run_idle(struct load *l)
{
	unsigned first = l->clients / 4;
	double before, after;

	idle_open(l, first);
	before = server_pss(l);
	idle_open(l, l->clients);
	after = server_pss(l);
	printf("{\"mode\": \"idle\", \"clients\": %u", l->clients);
	measure_print("server_bytes_per_client", (after - before) / (l->clients - first), true);
	measure_print("server_bytes", after, true);
	printf("}\n");
}

/* ---- start ---- */

static void context_make(struct load *l)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
		SSL_CTX_set1_groups_list(ctx, "X25519") != 1)
		die_tls("SSL_CTX_new");
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, BUF_BYTES);
	if (l->mode == MODE_IDLE)
		SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(
		ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	if (l->mode == MODE_RESUME)
		SSL_CTX_sess_set_new_cb(ctx, on_session);
	l->ctx = ctx;
}

static enum mode mode_parse(const char *word)
{
	for (unsigned i = 0; i < MODES; i++)
		if (strcmp(word, mode_names[i]) == 0)
			return (enum mode)i;
	fprintf(stderr, "load_tls: --mode %s: shake, resume, echo, bulk or idle is needed\n",
		word);
	exit(2);
}

static void options_parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "mode", required_argument, NULL, 'm' },
		{ "clients", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 's' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "pid", required_argument, NULL, 'i' },
		{ 0 },
	};
	int c, index;

	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		const char *name = c == '?' ? NULL : options[index].name;

		if (c == 'p')
			l->port = (unsigned)number(name, optarg, 1, 65535);
		else if (c == 'm')
			l->mode = mode_parse(optarg);
		else if (c == 'c')
			l->clients = (unsigned)number(name, optarg, 1, 1 << 20);
		else if (c == 's')
			l->seconds = number(name, optarg, 0.01, 3600);
		else if (c == 'w')
			l->warmup_seconds = number(name, optarg, 0, 3600);
		else if (c == 'i')
			l->server = (pid_t)number(name, optarg, 1, 1 << 22);
		else
			exit(2);
	}
	if (optind < argc || !l->port || (l->mode == MODE_IDLE && !l->server)) {
		fputs("load_tls: needed: --port PORT, with --mode idle --pid SERVER\n", stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct load load = {
		.clients = 1,
		.seconds = 2,
		.warmup_seconds = 0.5,
		.request = "GET /done HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
	};

	options_parse(&load, argc, argv);
	/* Neither a server that hangs nor a parent that dies leaves this running. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm((unsigned)(load.seconds + load.warmup_seconds) + SPARE_SECONDS);
	signal(SIGPIPE, SIG_IGN);
	if (load.mode == MODE_BULK)
		load.request = "GET /bulk HTTP/1.1\r\nHost: bench\r\n\r\n";
	else if (load.mode == MODE_IDLE)
		load.request = "GET /done HTTP/1.1\r\nHost: bench\r\n\r\n";
	measure_files_limit("load_tls", load.clients + 64);
	load.conns = calloc(load.clients, sizeof *load.conns);
	load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!load.conns || load.epoll_fd < 0)
		die("epoll_create1: %s", strerror(errno));
	context_make(&load);
	if (load.mode == MODE_IDLE)
		run_idle(&load);
	else
		run(&load);
	return 0;
}
