/* names_config.c - the machine's configuration of names: read when a name is first asked for,
 * looked at once a second at most, and read again when a file has changed.
 *
 * Reading is for the offload pool. Who needs the configuration meanwhile waits for the one that
 * reads; should that one give up, the next reads.
 */
#include "net/names.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK_NS      (1 * SOQ_S)
#define NSSWITCH_PATH "/etc/nsswitch.conf"

static const char *const paths[SOQ__CONFIG_FILES] = { _PATH_HOSTS, _PATH_RESCONF,
	NSSWITCH_PATH };

/* What is read, on the heap, because whoever wanted it may give up. */
struct load {
	struct soq__stamp stamps[SOQ__CONFIG_FILES];
	struct soq__hosts *hosts;
	struct soq__nsswitch policy;
	struct soq__search search;
	struct soq__ares *ares;
	int rc;
};

/* Of a file that is not there: zeros. */
static void look(struct soq__stamp stamps[SOQ__CONFIG_FILES])
{
	for (size_t i = 0; i < SOQ__CONFIG_FILES; i++) {
		struct stat st = { 0 };

		if (stat(paths[i], &st) < 0)
			memset(&st, 0, sizeof(st));
		stamps[i] = (struct soq__stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim,
			st.st_ctim };
	}
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct soq__stamp *a, const struct soq__stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
		same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static void load_policy(struct soq__nsswitch *ret)
{
	size_t len = 0;
	char *text = soq__read_file(NSSWITCH_PATH, &len);

	soq__nsswitch_parse(ret, text ? text : "", len);
	free(text);
}

/* The stamps come first: what changes after them is noticed the next time. */
static void load(void *arg)
{
	struct load *l = arg;

	look(l->stamps);
	load_policy(&l->policy);
	l->hosts = soq__hosts_load(_PATH_HOSTS);
	l->rc = l->hosts ? soq__ares_prepare(&l->ares, &l->search) : -ENOMEM;
	/* Without a configuration that c-ares can read, the system may do better. */
	if (l->rc == -SOQ_ENAMEFAIL) {
		l->policy.hosts = SOQ__NSS_SYSTEM;
		l->rc = 0;
	}
}

static void load_free(void *arg)
{
	struct load *l = arg;

	soq__hosts_free(l->hosts);
	soq__ares_discard(l->ares);
	free(l);
}

/* Take over what was read. Whoever was asked before answers what is pending yet. */
static int adopt(struct soq__names *n, struct load *l)
{
	struct soq__dns *dns = NULL;
	struct soq__ares *ares = l->ares;
	int rc;

	l->ares = NULL;
	rc = ares ? soq__ares_start(&dns, ares, n->worker) : 0;
	if (rc < 0)
		return rc;
	if (n->dns)
		n->dns->type->retire(n->dns);
	n->dns = dns;
	if (dns)
		soq__list_append(&n->askers, &dns->node);
	soq__hosts_free(n->hosts);
	n->hosts = l->hosts;
	l->hosts = NULL;
	n->policy = l->policy;
	n->search = l->search;
	memcpy(n->stamps, l->stamps, sizeof(n->stamps));
	soq__cache_clear(&n->cache);
	return 0;
}

static int reload(struct soq__names *n)
{
	struct load *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	rc = soq__offload(load, l, load_free);
	if (rc < 0)
		return rc; /* load_free has it */
	rc = l->rc;
	if (rc == 0)
		rc = adopt(n, l);
	load_free(l);
	return rc;
}

static bool is_stale(struct soq__names *n)
{
	struct soq__stamp stamps[SOQ__CONFIG_FILES];
	int64_t now_ns = n->worker->engine->type->now(n->worker->engine);
	bool first = n->checked_ns == SOQ_NEVER;

	if (!first && now_ns - n->checked_ns < CHECK_NS)
		return false;
	if (first)
		return true;
	n->checked_ns = now_ns;
	look(stamps);
	for (size_t i = 0; i < SOQ__CONFIG_FILES; i++)
		if (!same_stamp(&stamps[i], &n->stamps[i]))
			return true;
	return false;
}

/* Until nobody reads any more. @return 0; -ETIMEDOUT, -ECANCELED */
static int await_load(struct soq__names *n)
{
	struct soq__fiber *f = n->worker->current;
	struct soq__watcher watcher = { .fiber = f };
	int rc = soq__check(f);

	soq__list_append(&n->waiting, &watcher.node);
	f->waits_for = "the names' configuration to be read";
	while (rc == 0 && n->loading)
		rc = soq__suspend(n->worker, f->shielded ? SOQ_NEVER : f->deadline_ns);
	f->waits_for = NULL;
	soq__list_remove(&watcher.node);
	return rc;
}

static int refresh(struct soq__names *n)
{
	struct soq__list *node;
	int rc = 0;

	while (n->loading && rc == 0)
		rc = await_load(n);
	if (rc < 0 || !is_stale(n))
		return rc;
	n->loading = true;
	rc = reload(n);
	n->loading = false;
	n->checked_ns = rc == 0 ? n->worker->engine->type->now(n->worker->engine) : SOQ_NEVER;
	while ((node = soq__list_pop(&n->waiting)))
		soq__wake(soq__container_of(node, struct soq__watcher, node)->fiber, 0);
	return rc;
}

/* At the worker's end: no fiber waits any more. */
static void names_free(void *arg, bool abandon)
{
	struct soq__names *n = arg;
	struct soq__engine *e = n->worker->engine;

	n->cache.forsaken = abandon;
	soq__list_for_each (node, &n->askers) {
		struct soq__dns *dns = soq__container_of(node, struct soq__dns, node);

		dns->type->close(dns, abandon);
	}
	while (!soq__list_empty(&n->askers))
		e->type->turn(e, SOQ_NEVER);
	soq__cache_clear(&n->cache);
	soq__hosts_free(n->hosts);
	free(n);
}

static struct soq__names *names_new(struct soq__worker *w)
{
	struct soq__names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->worker = w;
	n->checked_ns = SOQ_NEVER;
	n->policy = (struct soq__nsswitch){ .hosts = SOQ__NSS_SYSTEM };
	soq__list_init(&n->askers);
	soq__list_init(&n->waiting);
	soq__cache_init(&n->cache, w->engine);
	if (!soq__type(w)->simulated)
		return n;
	if (soq__dns_sim_open(&n->dns, w) < 0) {
		free(n);
		return NULL;
	}
	soq__list_append(&n->askers, &n->dns->node);
	n->policy = (struct soq__nsswitch){ .hosts = SOQ__NSS_OURS, .files_first = true };
	n->search.ndots = 1;
	return n;
}

int soq__names_get(struct soq__names **ret)
{
	struct soq__worker *w = soq__worker();
	int rc = 0;

	if (!w->names) {
		w->names = names_new(w);
		if (!w->names)
			return -ENOMEM;
		w->names_free = names_free;
	}
	if (!soq__type(w)->simulated && soq__ares_is_there())
		rc = refresh(w->names);
	if (rc == 0)
		*ret = w->names;
	return rc;
}
