/* serve.c - `soquete serve`: the standard services on their endpoints, until a signal.
 *
 * https is no service of its own: it is http where clients begin with TLS.
 *
 * Standard output is for programs: a line `SERVICE ENDPOINT` for each endpoint, then
 * `ready`. Standard error is the access log.
 */
#include "tool.h"
#include "limits.h"
#include "signals.h"
#include "text.h"
#include "tls_options.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the library can do, see service.h. */
#define ANSWERS_MAX    1000
#define HEADER_MAX_MIN 512
#define HEADER_MAX_MAX 16384

struct values {
	struct soq_server_options server;
	struct soq_http_options http;
	const char *engine;
	unsigned answers_per_address; /* a second; 0: the default */
	bool public, quiet;
	struct tool_tls tls;
};

#define SERVER(field) offsetof(struct values, server.field)
#define HTTP(field)   offsetof(struct values, http.field)

static const struct tool_option options[] = {
	{ "root", 'r', OPTION_TEXT, HTTP(root), "DIR", "http: the folder served (default: .)" },
	{ "shape", 0, OPTION_SHAPE, SERVER(shape), "SHAPE",
		"iterative, process, thread or fiber (default)" },
	{ "workers", 0, OPTION_WORKERS, SERVER(workers), "N",
		"threads of the fiber shape (default: 1); auto: one a processor" },
	{ "engine", 0, OPTION_ENGINE, offsetof(struct values, engine), "NAME",
		"auto, uring or epoll" },
	{ "public", 0, OPTION_FLAG, offsetof(struct values, public), NULL,
		"listen on every address, not on this machine's own only" },
	{ "quiet", 'q', OPTION_FLAG, offsetof(struct values, quiet), NULL, "no access log" },
	{ "clients-max", 0, OPTION_COUNT, SERVER(clients_max), "N",
		"clients at once; further ones wait (default: descriptors)" },
	{ "clients-per-address", 0, OPTION_COUNT, SERVER(clients_per_address_max), "N",
		"clients at once from one remote address (default: 256)" },
	{ "answers-per-address", 0, OPTION_COUNT, offsetof(struct values, answers_per_address),
		"N", "answers a second to one address over UDP (default: 1000)" },
	{ "idle-timeout", 0, OPTION_DURATION, SERVER(idle_timeout_ns), "DURATION",
		"without a byte from the client (default: 60s)" },
	{ "send-timeout", 0, OPTION_DURATION, SERVER(send_timeout_ns), "DURATION",
		"without the client taking a byte (default: 60s)" },
	{ "request-timeout", 0, OPTION_DURATION, SERVER(request_timeout_ns), "DURATION",
		"for one request in all (default: none)" },
	{ "grace", 0, OPTION_DURATION, SERVER(grace_ns), "DURATION",
		"for requests in flight after a signal (default: 10s)" },
	{ "backlog", 0, OPTION_COUNT, SERVER(backlog), "N",
		"connections that the kernel keeps waiting" },
	{ "unix-mode", 0, OPTION_MODE, SERVER(unix_mode), "MODE",
		"permissions of Unix sockets' paths (like 660)" },
	{ "header-max", 0, OPTION_BYTES, HTTP(header_max), "BYTES",
		"http: of a request's header, 512 to 16k (default)" },
	{ "header-timeout", 0, OPTION_DURATION, HTTP(header_timeout_ns), "DURATION",
		"http: for a request's header (default: 10s)" },
	{ "keepalive", 0, OPTION_DURATION, HTTP(keepalive_ns), "DURATION",
		"http: between requests (default: the idle timeout)" },
	{ "requests-max", 0, OPTION_COUNT, HTTP(requests_max), "N",
		"http: on one connection (default: 1000)" },
	{ "no-listing", 0, OPTION_FLAG, HTTP(no_listing), NULL,
		"http: no listing of a folder without an index.html" },
	{ "dotfiles", 0, OPTION_FLAG, HTTP(dotfiles), NULL,
		"http: serve names that begin with a dot, too" },
	TOOL_TLS_SERVER_OPTIONS(struct values),
	{ NULL },
};

struct serve {
	struct values v;
	struct soq_server *server;
	struct soq_service_context context;
	const char **names; /* of the service, for each of the server's endpoints */
	size_t name_count;
	bool no_ipv6; /* this machine has none, and that has been said */
	struct soq_tls *tls;
	bool has_terminal; /* and did when we began */
};

static void log_access(void *arg, const char *line)
{
	tool_print_line("", line);
}

static void log_event(void *arg, const char *line)
{
	tool_print_line("soquete: serve: ", line);
}

static int remember(struct serve *s, const char *name)
{
	const char **names = realloc(s->names, (s->name_count + 1) * sizeof(*names));

	if (!names)
		return tool_fail(tool_serve.name, "%s", soq_strerror(-ENOMEM));
	s->names = names;
	names[s->name_count++] = name;
	return TOOL_GO_ON;
}

/* Prepare what the service has for all of its endpoints. */
static int prepare(struct serve *s, const struct soq_service *service)
{
	int rc;

	if (service->handler != soq_http_handler || s->context.http)
		return TOOL_GO_ON;
	if (!s->v.http.root)
		s->v.http.root = ".";
	rc = soq_http_new(&s->context.http, &s->v.http);
	if (!rc)
		return TOOL_GO_ON;
	return tool_fail(tool_serve.name, "--root %s: %s", s->v.http.root, soq_strerror(rc));
}

static int listen_or_bind(
	struct serve *s, const struct soq_service *service, const char *text, bool dgram)
{
	if (dgram)
		return soq_server_bind(s->server, text, service->dgram, &s->context);
	return soq_server_listen(s->server, text, service->handler, &s->context);
}

/* A service as the command line calls it. */
struct wanted {
	const struct soq_service *service; /* NULL: none yet */
	bool tls;			   /* https */
};

/* A server without a certificate is told what is missing. */
static int need_certificate(const struct serve *s)
{
	return s->tls ? TOOL_GO_ON : tool_tls_check_server(&tool_serve, &s->v.tls, true);
}

static const char *name_at(const struct soq_service *service, enum soq_scheme scheme)
{
	bool is_http = service->handler == soq_http_handler;

	return is_http && scheme == SOQ_SCHEME_TLS ? "https" : service->name;
}

static int check_endpoint(const struct serve *s, const struct wanted *w,
	const struct soq_endpoint *e, const char *text)
{
	const struct soq_service *service = w->service;
	bool dgram = tool_is_dgram(e);

	if (w->tls && e->scheme != SOQ_SCHEME_TLS)
		return tool_usage(tool_serve.name,
			"https=%s: https is http over TLS; tls://host:port would be right",
			text);
	if (dgram ? !service->dgram : !service->handler)
		return tool_usage(tool_serve.name,
			"%s=%s: %s is not served over %s; %s would be right", service->name,
			text, service->name, dgram ? "datagrams" : "streams",
			dgram ? "tcp:// or unix://" : "udp:// or unixgram://");
	return e->scheme == SOQ_SCHEME_TLS ? need_certificate(s) : TOOL_GO_ON;
}

/* An endpoint from the command line. */
static int add(struct serve *s, const struct wanted *w, const char *text)
{
	char tls_text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_endpoint endpoint;
	int rc, status;

	if (w->tls && !strstr(text, "://")) {
		snprintf(tls_text, sizeof(tls_text), "tls://%s", text);
		text = tls_text;
	}
	if (soq_endpoint_parse(&endpoint, text))
		return tool_usage(
			tool_serve.name, "%s: %s", w->service->name, soq_last_error());
	status = check_endpoint(s, w, &endpoint, text);
	if (status == TOOL_GO_ON)
		status = prepare(s, w->service);
	if (status != TOOL_GO_ON)
		return status;
	rc = listen_or_bind(s, w->service, text, tool_is_dgram(&endpoint));
	if (rc)
		return tool_fail_library(tool_serve.name, text, rc);
	return remember(s, name_at(w->service, endpoint.scheme));
}

/* One of a service's default endpoints, on a host that may not exist: ::1. */
static int add_default(struct serve *s, const struct soq_service *service,
	enum soq_scheme scheme, const char *host)
{
	static const char *const words[] = {
		[SOQ_SCHEME_TCP] = "tcp", [SOQ_SCHEME_UDP] = "udp", [SOQ_SCHEME_TLS] = "tls"
	};
	unsigned port = scheme == SOQ_SCHEME_TLS ? soq_standard_port("https") : service->port;
	char text[64];
	int rc;

	snprintf(
		text, sizeof(text), "%s://%s:%u", words[scheme], host, port + TOOL_PORT_OFFSET);
	rc = listen_or_bind(s, service, text, scheme == SOQ_SCHEME_UDP);
	if (!rc)
		return remember(s, name_at(service, scheme));
	if (*host != '[' || (rc != -EADDRNOTAVAIL && rc != -EAFNOSUPPORT))
		return tool_fail_library(tool_serve.name, text, rc);
	if (!s->no_ipv6)
		tool_fail(tool_serve.name,
			"no IPv6 on this machine: the endpoints on [::1] are left out");
	s->no_ipv6 = true;
	return TOOL_GO_ON;
}

static int add_defaults(struct serve *s, const struct wanted *w)
{
	static const char *const loopback[] = { "127.0.0.1", "[::1]", NULL };
	static const char *const every[] = { "", NULL };
	int status = w->tls ? need_certificate(s) : TOOL_GO_ON;

	if (status == TOOL_GO_ON)
		status = prepare(s, w->service);
	for (const char *const *host = s->v.public ? every : loopback;
		*host && status == TOOL_GO_ON; host++) {
		if (w->service->handler)
			status = add_default(
				s, w->service, w->tls ? SOQ_SCHEME_TLS : SOQ_SCHEME_TCP, *host);
		if (w->service->dgram && status == TOOL_GO_ON)
			status = add_default(s, w->service, SOQ_SCHEME_UDP, *host);
	}
	return status;
}

static int unknown_service(const char *name)
{
	const struct soq_service *service;
	const char *meant = NULL;
	char all[256] = "";
	unsigned meant_distance = 3;

	if (tool_distance(name, "https") < tool_distance(name, "http")) {
		meant_distance = tool_distance(name, "https");
		meant = meant_distance < 3 ? "https" : NULL;
	}
	for (size_t i = 0; (service = soq_service_at(i)); i++) {
		unsigned distance = tool_distance(name, service->name);
		size_t n = strlen(all);

		snprintf(all + n, sizeof(all) - n, "%s%s%s", n ? ", " : "", service->name,
			service->handler == soq_http_handler ? ", https" : "");
		if (distance < meant_distance) {
			meant_distance = distance;
			meant = service->name;
		}
	}
	if (meant)
		return tool_usage(tool_serve.name, "unknown service '%s' (did you mean '%s'?)",
			name, meant);
	return tool_usage(tool_serve.name, "unknown service '%s'; there are %s", name, all);
}

static int find_service(struct wanted *ret, const char *operand)
{
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(operand, "="), operand);
	ret->tls = !strcmp(name, "https");
	ret->service = soq_service_find(ret->tls ? "http" : name);
	return ret->service ? TOOL_GO_ON : unknown_service(name);
}

/* Whether an operand is one more endpoint of the service before it. */
static bool is_endpoint(const char *operand)
{
	const char *colon = operand ? strstr(operand, "://") : NULL;

	return colon && (size_t)(colon - operand) < strcspn(operand, "=");
}

/* `SERVICE`, `SERVICE=ENDPOINT`, or `ENDPOINT` behind either. */
static int add_operand(struct serve *s, struct wanted *w, const char *operand, const char *next)
{
	const char *endpoint = strchr(operand, '=');
	int status;

	if (is_endpoint(operand) && w->service)
		return add(s, w, operand);
	if (is_endpoint(operand))
		return tool_usage(tool_serve.name,
			"%s: which service is it for? http=%s would be right", operand,
			operand);
	status = find_service(w, operand);
	if (status == TOOL_GO_ON && endpoint)
		status = add(s, w, endpoint + 1);
	else if (status == TOOL_GO_ON && !is_endpoint(next))
		status = add_defaults(s, w);
	return status;
}

/* All services; https with them where there is a certificate. */
static int add_every_service(struct serve *s)
{
	int status = TOOL_GO_ON;
	struct wanted w = { .tls = false };

	for (size_t i = 0; status == TOOL_GO_ON && (w.service = soq_service_at(i)); i++) {
		status = add_defaults(s, &w);
		w.tls = s->tls && w.service->handler == soq_http_handler;
		if (w.tls && status == TOOL_GO_ON)
			status = add_defaults(s, &w);
		w.tls = false;
	}
	return status;
}

static int add_all(struct serve *s, char **operands)
{
	struct wanted w = { .service = NULL };
	int status = TOOL_GO_ON;

	if (!*operands)
		status = add_every_service(s);
	for (char **o = operands; *o && status == TOOL_GO_ON; o++)
		status = add_operand(s, &w, *o, o[1]);
	return status;
}

/* A certificate that nobody is shown is a mistake. */
static int check_tls_is_used(const struct serve *s)
{
	enum soq_scheme scheme;
	struct soq_addr addr;

	for (size_t i = 0; s->tls && i < s->name_count; i++)
		if (!soq_server_endpoint(s->server, i, &addr, &scheme) &&
			scheme == SOQ_SCHEME_TLS)
			return TOOL_GO_ON;
	if (!s->tls)
		return TOOL_GO_ON;
	return tool_usage(tool_serve.name,
		"--cert is for TLS, which no endpoint has: 'soquete serve https' would be "
		"right, "
		"or an endpoint like tls://host:port");
}

static bool is_for_browser(const char *name, enum soq_scheme scheme)
{
	return (scheme == SOQ_SCHEME_TCP && !strcmp(name, "http")) ||
		(scheme == SOQ_SCHEME_TLS && !strcmp(name, "https"));
}

/* A line for each endpoint. For a person at a terminal the columns are aligned, and http
 * has the address that a browser takes. */
static int print_endpoints(const struct serve *s)
{
	bool terminal = isatty(1);
	char text[SOQ_ENDPOINT_TEXT_MAX];
	enum soq_scheme scheme;
	struct soq_addr addr;

	for (size_t i = 0; i < s->name_count; i++) {
		if (soq_server_endpoint(s->server, i, &addr, &scheme))
			continue;
		soq_addr_endpoint(text, sizeof(text), scheme, &addr);
		printf("%-*s %s", terminal ? 10 : 0, s->names[i], text);
		if (terminal && is_for_browser(s->names[i], scheme))
			printf("%*s%s%s/", 34 - (int)strlen(text), " ", s->names[i], text + 3);
		putchar('\n');
	}
	puts("ready");
	return tool_flush(tool_serve.name);
}

/* What the tables of options cannot tell. */
static int check(const struct values *v)
{
	if (v->answers_per_address > ANSWERS_MAX && v->answers_per_address != UINT_MAX)
		return tool_usage(tool_serve.name,
			"--answers-per-address: %d is the most, or none for no limit",
			ANSWERS_MAX);
	if (v->http.header_max &&
		(v->http.header_max < HEADER_MAX_MIN || v->http.header_max > HEADER_MAX_MAX))
		return tool_usage(tool_serve.name,
			"--header-max: a size from %d to %d is wanted", HEADER_MAX_MIN,
			HEADER_MAX_MAX);
	return TOOL_GO_ON;
}

/* No address is answered more often than this, whoever claims to be there. */
static int limit_answers(struct serve *s)
{
	unsigned rate = s->v.answers_per_address ? s->v.answers_per_address : ANSWERS_MAX;

	if (rate == UINT_MAX)
		return 0;
	return soq_rate_limit_new(&s->context.dgram_limit, rate, rate);
}

/* Who has a certificate renewed sends SIGHUP. But so does the terminal when it goes, and
 * then we go, too. */
static void reload_on_hangup(void *arg)
{
	static const int hangup[] = { SIGHUP };
	struct serve *s = arg;

	soq_set_fiber_name("certificates");
	while (soq_wait_signal(hangup, 1) > 0) {
		if (s->has_terminal && !tool_has_terminal()) {
			soq_server_stop(s->server);
			return;
		}
		if (soq_tls_reload(s->tls) < 0)
			tool_fail(tool_serve.name,
				"SIGHUP: the certificates stay as they were: %s",
				soq_last_error());
		else
			log_event(NULL, "SIGHUP: the certificates were read again");
	}
}

/* Until the server has stopped. @return as soq_server_run() */
static int run_server(struct serve *s)
{
	struct soq_scope *scope;
	int rc;

	if (!s->tls)
		return soq_server_run(s->server);
	rc = soq_scope_open(&scope);
	if (rc)
		return rc;
	rc = soq_spawn(scope, reload_on_hangup, s);
	if (!rc)
		rc = soq_server_run(s->server);
	soq_scope_close(scope);
	return rc;
}

/* With a certificate, TLS as http wants it: HTTP/1.0 and 1.1. Other services have no name for
 * what they speak. */
static int make_tls(struct serve *s, char **operands)
{
	bool has_http = !*operands;
	int status;

	for (char **o = operands; *o; o++)
		has_http |= !strncmp(*o, "http", 4);
	status = tool_tls_check_server(&tool_serve, &s->v.tls, s->v.tls.certificates.count > 0);
	if (status != TOOL_GO_ON || s->v.tls.certificates.count == 0)
		return status;
	status = tool_tls_new(
		&s->tls, &tool_serve, &s->v.tls, has_http ? "http/1.1 http/1.0" : NULL);
	s->v.server.tls = s->tls;
	s->has_terminal = tool_has_terminal();
	return status;
}

static int serve(struct serve *s, char **operands)
{
	int rc, status = make_tls(s, operands);

	if (status != TOOL_GO_ON)
		return status;
	rc = limit_answers(s);
	if (!rc)
		rc = soq_server_new(&s->server, &s->v.server);
	if (rc)
		return tool_fail(tool_serve.name, "%s", soq_strerror(rc));
	status = add_all(s, operands);
	if (status == TOOL_GO_ON)
		status = check_tls_is_used(s);
	if (status != TOOL_GO_ON)
		return status;
	tool_hold_signals();
	if (s->tls)
		tool_hold_hangup();
	status = print_endpoints(s);
	if (status)
		return status;
	rc = run_server(s);
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		log_event(NULL, "stopped; clients that had not finished were cut off");
	else if (rc)
		return tool_fail(tool_serve.name, "%s", soq_strerror(rc));
	return TOOL_DONE;
}

static int run(const struct tool_command *self, char **args)
{
	struct serve s = { .no_ipv6 = false };
	int status;

	if ((status = tool_parse(self, args, &s.v)) != TOOL_GO_ON ||
		(status = check(&s.v)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, s.v.engine)) != TOOL_GO_ON)
		return status;
	tool_raise_descriptors();
	s.v.server.stop_on_signals = true;
	s.v.server.log = log_event;
	s.context.access_log = s.v.quiet ? NULL : log_access;
	status = serve(&s, args);
	soq_server_free(s.server);
	soq_http_free(s.context.http);
	soq_rate_limit_free(s.context.dgram_limit);
	soq_tls_free(s.tls);
	free(s.names);
	return status;
}

const struct tool_command tool_serve = {
	.name = "serve",
	.operands = "[OPTION ...] [SERVICE[=ENDPOINT] ...]",
	.summary = "serve a folder over HTTP or HTTPS, and the small services",
	.text = "Serve until Ctrl-C or SIGTERM; a second one does not wait for the clients.\n"
		"Services: http, https, echo, discard, daytime, chargen, time; without one, "
		"all\n"
		"of them. A service's default endpoints are its standard port + 8000 on "
		"127.0.0.1\n"
		"and [::1], the small ones over TCP and UDP. Standard output tells them, one\n"
		"line each, then 'ready'. At tls:// clients begin with TLS, for which --cert "
		"is\n"
		"needed; SIGHUP has the certificates read again.\n",
	.options = options,
	.run = run,
};
