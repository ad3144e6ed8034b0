/* server.c - a server's life: endpoints, running, stopping; see server.h. */
#include "net/tls.h"
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/runtime.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const shapes[] = { "default", "iterative", "process", "thread", "fiber" };

const char *soq_shape_name(enum soq_shape shape)
{
	return (unsigned)shape < sizeof(shapes) / sizeof(shapes[0]) ? shapes[shape] : "?";
}

int soq_shape_parse(enum soq_shape *ret, const char *word)
{
	for (unsigned i = SOQ_SHAPE_ITERATIVE; i <= SOQ_SHAPE_FIBER; i++)
		if (strcmp(word, shapes[i]) == 0) {
			*ret = (enum soq_shape)i;
			return 0;
		}
	return -EINVAL;
}

void soq__log(const struct soq_server *server, const char *format, ...)
{
	char line[512];
	va_list args;

	if (!server->opt.log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	server->opt.log(server->opt.log_arg, line);
}

/* ---- making ---- */

static int64_t or_default(int64_t value, int64_t otherwise)
{
	return value ? value : otherwise;
}

static void fill_defaults(struct soq_server_options *opt)
{
	if (opt->shape == SOQ_SHAPE_DEFAULT)
		opt->shape = SOQ_SHAPE_FIBER;
	if (opt->workers == 0 || opt->shape != SOQ_SHAPE_FIBER)
		opt->workers = 1;
	if (opt->clients_per_address_max == 0)
		opt->clients_per_address_max = 256;
	opt->idle_timeout_ns = or_default(opt->idle_timeout_ns, 60 * SOQ_S);
	opt->send_timeout_ns = or_default(opt->send_timeout_ns, 60 * SOQ_S);
	opt->request_timeout_ns = or_default(opt->request_timeout_ns, SOQ_NEVER);
	opt->linger_ns = or_default(opt->linger_ns, 2 * SOQ_S);
	opt->grace_ns = or_default(opt->grace_ns, 10 * SOQ_S);
}

/* @return 0, or a negative code and no latch */
static int latch_open(struct soq__latch *ret)
{
	struct soq__engine *e = soq__worker()->engine;
	int fd = e->type->open_latch(e);

	*ret = (struct soq__latch){ e, e->type, fd < 0 ? -1 : fd };
	return fd < 0 ? fd : 0;
}

static void latch_close(struct soq__latch *latch)
{
	if (latch->fd >= 0)
		latch->type->close_latch(latch->engine, latch->fd);
}

static int open_latches(struct soq_server *server)
{
	int drain = latch_open(&server->drain), cancel = latch_open(&server->cancel);

	return drain < 0 ? drain : cancel;
}

/* What a simulated host does not have. */
static int check_simulated(const struct soq_server_options *opt)
{
	if (!soq__type(soq__worker())->simulated)
		return 0;
	if (opt->shape == SOQ_SHAPE_PROCESS || opt->shape == SOQ_SHAPE_THREAD)
		return soq__fail(-SOQ_ESIMULATED,
			"serve: a simulated host has neither processes nor threads to give a "
			"client; choose the fiber or the iterative shape");
	return 0;
}

int soq_server_new(struct soq_server **ret, const struct soq_server_options *opt)
{
	struct soq_server *server;
	int rc;

	if (opt && ((unsigned)opt->shape > SOQ_SHAPE_FIBER || opt->workers > 1024))
		return -EINVAL;
	rc = opt ? check_simulated(opt) : 0;
	if (rc < 0)
		return rc;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	if (opt)
		server->opt = *opt;
	server->opt.tls = soq__tls_ref(server->opt.tls);
	fill_defaults(&server->opt);
	server->peers = soq__peers_new();
	rc = open_latches(server);
	if (rc == 0)
		rc = soq_event_new(&server->lanes_changed);
	if (rc == 0 && !server->peers)
		rc = -ENOMEM;
	if (rc < 0) {
		soq_server_free(server);
		return rc;
	}
	*ret = server;
	return 0;
}

void soq_server_free(struct soq_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < server->site_count; i++) {
		struct soq__site *site = &server->sites[i];

		/* Perhaps another thread than the one that opened them. */
		if (site->listener)
			soq__listener_own(site->listener);
		if (site->socket)
			soq__dgram_own(site->socket);
		soq_listener_close(site->listener);
		soq_dgram_close(site->socket);
		free(site->text);
		free(site->exact);
		free(site->fiber_name);
	}
	free(server->sites);
	soq_tls_free(server->opt.tls);
	soq__peers_free(server->peers);
	soq_event_free(server->lanes_changed);
	latch_close(&server->drain);
	latch_close(&server->cancel);
	free(server);
}

/* ---- endpoints ---- */

static struct soq__site *add_site(struct soq_server *server, const char *endpoint)
{
	struct soq__site *sites =
		realloc(server->sites, (server->site_count + 1) * sizeof(*sites));
	struct soq__site *site;

	if (!sites)
		return NULL;
	server->sites = sites;
	site = &sites[server->site_count];
	memset(site, 0, sizeof(*site));
	site->text = strdup(endpoint ? endpoint : "");
	return site->text ? site : NULL;
}

/* The socket is open: keep the site, with the port that the kernel chose. */
static int keep_site(struct soq_server *server, struct soq__site *site, int rc)
{
	char exact[SOQ_ADDR_TEXT_MAX + 16];
	struct soq_endpoint e;

	if (rc == 0)
		rc = soq_endpoint_parse(&e, site->text);
	if (rc == 0)
		rc = site->listener ? soq_listener_addr(site->listener, &site->addr)
				    : soq_dgram_addr(site->socket, &site->addr);
	if (rc != 0)
		return rc;
	site->scheme = e.scheme;
	if (site->scheme == SOQ_SCHEME_FD && site->addr.len > 0)
		site->scheme = site->addr.sa.sa_family == AF_UNIX
			? (site->listener ? SOQ_SCHEME_UNIX : SOQ_SCHEME_UNIXGRAM)
			: (site->listener ? SOQ_SCHEME_TCP : SOQ_SCHEME_UDP);
	soq_addr_endpoint(exact, sizeof(exact), site->scheme, &site->addr);
	site->exact = strdup(exact);
	if (asprintf(&site->fiber_name, "client of %s", exact) < 0)
		site->fiber_name = NULL;
	if (!site->exact || !site->fiber_name)
		return -ENOMEM;
	server->site_count++;
	return 0;
}

static void drop_site(struct soq__site *site)
{
	soq_listener_close(site->listener);
	soq_dgram_close(site->socket);
	free(site->text);
	free(site->exact);
	free(site->fiber_name);
}

int soq_server_listen(
	struct soq_server *server, const char *endpoint, soq_handler *handler, void *arg)
{
	struct soq_listen_options opt = { .backlog = server->opt.backlog,
		.unix_mode = server->opt.unix_mode };
	struct soq__site *site;
	int rc;

	if (server->running)
		return -EBUSY;
	if (endpoint && strncmp(endpoint, "tls:", 4) == 0)
		opt.tls = server->opt.tls;
	site = add_site(server, endpoint);
	if (!site)
		return -ENOMEM;
	site->handler = handler;
	site->arg = arg;
	site->tls = opt.tls;
	rc = soq__listen(&site->listener, endpoint, &opt, server->opt.workers > 1);
	rc = keep_site(server, site, rc);
	if (rc < 0)
		drop_site(site);
	return rc;
}

int soq_server_bind(
	struct soq_server *server, const char *endpoint, soq_dgram_handler *handler, void *arg)
{
	struct soq__site *site;
	int rc;

	if (server->running)
		return -EBUSY;
	site = add_site(server, endpoint);
	if (!site)
		return -ENOMEM;
	site->dgram = handler;
	site->arg = arg;
	rc = soq__dgram_open(&site->socket, endpoint, server->opt.workers > 1);
	rc = keep_site(server, site, rc);
	if (rc < 0)
		drop_site(site);
	return rc;
}

int soq_server_endpoint(const struct soq_server *server, size_t index, struct soq_addr *ret,
	enum soq_scheme *ret_scheme)
{
	if (index >= server->site_count)
		return -ENOENT;
	*ret = server->sites[index].addr;
	if (ret_scheme)
		*ret_scheme = server->sites[index].scheme;
	return 0;
}

/* ---- running ---- */

static unsigned default_clients_max(enum soq_shape shape)
{
	const struct soq__engine *e = soq__worker()->engine;
	unsigned fds = e->type->descriptors_max(e), most = fds > 128 ? fds - 64 : fds / 2 + 1;

	if (shape == SOQ_SHAPE_PROCESS || shape == SOQ_SHAPE_THREAD)
		return most < 1024 ? most : 1024;
	return most;
}

/* A lane on a thread of its own. */
struct lane_thread {
	pthread_t thread;
	struct soq_server *server;
	unsigned index;
	int rc;
};

static void *lane_main(void *arg)
{
	struct lane_thread *t = arg;

	t->rc = soq__lane_run(t->server, t->index);
	soq_thread_end();
	return NULL;
}

static void simulated_lane_main(void *arg)
{
	struct lane_thread *t = arg;

	t->rc = soq__lane_run(t->server, t->index);
	atomic_fetch_add(&t->server->lanes_ended, 1);
	soq_event_set(t->server->lanes_changed);
}

static int start_thread(struct lane_thread *t)
{
	sigset_t all, former;
	int rc;

	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &former);
	rc = pthread_create(&t->thread, NULL, lane_main, t);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	return -rc;
}

static int start_lane(struct lane_thread *t)
{
	struct soq__engine *e = soq__worker()->engine;

	return e->type->start_thread ? e->type->start_thread(e, simulated_lane_main, t)
				     : start_thread(t);
}

/* Wait, whatever comes, until as many lanes have been counted. */
static void await_count(struct soq_server *server, _Atomic unsigned *counter, unsigned count)
{
	struct soq__fiber *f = soq__current();
	bool shielded = f->shielded;

	f->shielded = true;
	for (;;) {
		uint64_t sets = soq__event_sets(server->lanes_changed);

		if (atomic_load(counter) >= count)
			break;
		/* Without a descriptor to be woken through: they will be quick. */
		if (soq__event_wait_after(server->lanes_changed, sets) < 0)
			sched_yield();
	}
	f->shielded = shielded;
}

static void join_lane(void *arg)
{
	struct lane_thread *t = arg;

	pthread_join(t->thread, NULL);
}

static void join_thread(struct lane_thread *t)
{
	struct soq__fiber *f = soq__current();
	bool shielded = f->shielded;

	f->shielded = true;
	if (soq_offload(join_lane, t) < 0)
		join_lane(t);
	f->shielded = shielded;
}

/* Whatever comes, the other lanes end before the server does. @return @rc, or if it is 0 the
 * first of their results that is not */
static int join_lanes(
	struct soq_server *server, struct lane_thread *threads, unsigned started, int rc)
{
	bool simulated = soq__type(soq__worker())->start_thread;

	if (simulated)
		await_count(server, &server->lanes_ended, started);
	for (unsigned i = 0; i < started; i++) {
		if (!simulated)
			join_thread(&threads[i]);
		if (rc == 0)
			rc = threads[i].rc;
	}
	return rc;
}

static int run_lanes(struct soq_server *server)
{
	unsigned others = server->opt.workers - 1, started = 0;
	struct lane_thread *threads = calloc(others + 1, sizeof(*threads));
	int rc = threads ? 0 : -ENOMEM;

	while (started < others && rc == 0) {
		threads[started] =
			(struct lane_thread){ .server = server, .index = started + 1 };
		rc = start_lane(&threads[started]);
		started += rc == 0;
	}
	/* They open their sockets after those of the first, which must not be closed before.
	 * They do not wait for anybody meanwhile, so this is short. */
	await_count(server, &server->lanes_opened, started);
	if (rc < 0)
		soq_server_stop(server);
	else
		rc = soq__lane_run(server, 0);
	/* If this lane ended by itself, the others must follow; if it was stopped, they have
	 * heard of it, and once more would cut their drain short. */
	if (atomic_load(&server->stops) == 0)
		soq_server_stop(server);
	if (threads)
		rc = join_lanes(server, threads, started, rc);
	free(threads);
	return rc;
}

static const int stop_signals[] = { SIGINT, SIGTERM };

static void signal_main(void *arg)
{
	struct soq_server *server = arg;

	soq_set_fiber_name("signals");
	while (soq_wait_signal(stop_signals, 2) > 0)
		soq_server_stop(server);
}

static int run_lanes_and_signals(struct soq_server *server)
{
	struct soq_scope *scope;
	int rc = soq_scope_open(&scope);

	if (rc < 0)
		return rc;
	rc = soq_spawn(scope, signal_main, server);
	if (rc == 0)
		rc = run_lanes(server);
	soq_scope_close(scope);
	return rc;
}

static int run_with_signals(struct soq_server *server)
{
	sigset_t set, former;
	int rc;

	if (soq__type(soq__worker())->simulated)
		return run_lanes_and_signals(server);
	/* Blocked before the lanes' threads begin, so that no thread takes them. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, &former);
	rc = run_lanes_and_signals(server);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	return rc;
}

int soq_server_run(struct soq_server *server)
{
	int rc;

	if (server->site_count == 0)
		return soq__fail(-EINVAL, "serve: the server has no endpoint");
	if (server->running)
		return -EBUSY;
	if (server->ended)
		return soq__fail(-EINVAL, "serve: a server that has ended cannot run again");
	if (server->opt.clients_max == 0)
		server->opt.clients_max = default_clients_max(server->opt.shape);
	if (server->opt.workers > server->opt.clients_max)
		server->opt.workers = server->opt.clients_max;
	server->running = true;
	rc = server->opt.stop_on_signals ? run_with_signals(server) : run_lanes(server);
	server->running = false;
	server->ended = true;
	return rc;
}

void soq_server_stop(struct soq_server *server)
{
	unsigned former = atomic_fetch_add(&server->stops, 1);
	const struct soq__latch *latch = former == 0 ? &server->drain : &server->cancel;

	latch->type->set_latch(latch->engine, latch->fd);
}

unsigned soq_server_clients(const struct soq_server *server)
{
	return atomic_load(&server->clients);
}

bool soq_draining(void)
{
	const struct soq__fiber *f = soq__current();

	return f->draining && *f->draining;
}

/* ---- in one call ---- */

static int serve(const char *endpoint, soq_handler *handler, soq_dgram_handler *dgram,
	void *arg, const struct soq_server_options *opt)
{
	struct soq_server *server;
	int rc = soq_server_new(&server, opt);

	if (rc < 0)
		return rc;
	rc = handler ? soq_server_listen(server, endpoint, handler, arg)
		     : soq_server_bind(server, endpoint, dgram, arg);
	if (rc == 0)
		rc = soq_server_run(server);
	soq_server_free(server);
	return rc;
}

int soq_serve(const char *endpoint, soq_handler *handler, void *arg,
	const struct soq_server_options *opt)
{
	return serve(endpoint, handler, NULL, arg, opt);
}

int soq_serve_dgrams(const char *endpoint, soq_dgram_handler *handler, void *arg,
	const struct soq_server_options *opt)
{
	return serve(endpoint, NULL, handler, arg, opt);
}
