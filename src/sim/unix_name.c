/* unix_name.c - the names of a host's Unix sockets: paths and abstract ones.
 *
 * A path belongs to one socket, whatever its kind; an abstract name to one of each kind. Paths
 * are compared as text: there is no file system, and no directory has to exist.
 *
 * Invariant: a name in the table is bound to a socket, or is a path that a crash has left.
 * Source: unix(7), sections "Address format" and "Autobind feature".
 */
#include "sim/unix.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMELESS      sizeof(sa_family_t) /* bytes of an address without a name */
#define BUCKETS_LEAST 16
#define DRAWN_NAMES   0x100000u /* of five hexadecimal digits */

struct soq__sim_unix {
	struct soq__list *buckets; /* struct soq__sim_unix_name; NULL: none yet */
	size_t bucket_count;	   /* a power of two */
	size_t count;
};

static struct soq__sim_unix_name *name_of(struct soq__list *node)
{
	return soq__container_of(node, struct soq__sim_unix_name, node);
}

/* ---- references ---- */

struct soq__sim_unix_name *soq__sim_unix_name_ref(struct soq__sim_unix_name *name)
{
	if (name)
		name->refs++;
	return name;
}

/* Not inlined: gcc 12 for aarch64 takes the first of two references in a row for the last. */
__attribute__((noinline)) void soq__sim_unix_name_unref(struct soq__sim_unix_name *name)
{
	if (name && --name->refs == 0)
		free(name);
}

/* Nobody finds it any more. */
static void forget(struct soq__sim_unix *local, struct soq__sim_unix_name *name)
{
	if (soq__list_empty(&name->node))
		return;
	soq__list_remove(&name->node);
	local->count--;
	soq__sim_unix_name_unref(name);
}

/* ---- addresses ---- */

static bool is_path(const struct soq_addr *addr)
{
	return addr->un.sun_path[0] != 0;
}

int soq__sim_unix_parse(struct soq_addr *ret, const struct soq_addr *addr)
{
	if (addr->len < NAMELESS || addr->len > sizeof(addr->un) ||
		addr->sa.sa_family != AF_UNIX)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	memcpy(&ret->un, &addr->un, addr->len);
	ret->len = addr->len;
	/* The kernel counts a path's final NUL, whether it was given or not. */
	if (is_path(ret)) {
		size_t len = strnlen(ret->un.sun_path, sizeof(ret->un.sun_path));

		ret->len = (socklen_t)soq__min_size(
			offsetof(struct sockaddr_un, sun_path) + len + 1, sizeof(ret->un));
	}
	return 0;
}

void soq__sim_unix_name_addr(struct soq_addr *ret, const struct soq__sim_unix_name *name)
{
	if (name) {
		*ret = name->addr;
		return;
	}
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = AF_UNIX;
}

void soq__sim_unix_name_put(struct msghdr *msg, const struct soq__sim_unix_name *name)
{
	if (!msg->msg_name || !name) {
		msg->msg_namelen = 0;
		return;
	}
	memcpy(msg->msg_name, &name->addr.un, soq__min_size(name->addr.len, msg->msg_namelen));
	msg->msg_namelen = name->addr.len;
}

const char *soq__sim_unix_name_text(
	char buf[SOQ_ADDR_TEXT_MAX], const struct soq__sim_unix_name *name)
{
	if (name)
		soq_addr_format(buf, SOQ_ADDR_TEXT_MAX, &name->addr);
	else
		snprintf(buf, SOQ_ADDR_TEXT_MAX, "an unnamed socket");
	return buf;
}

/* ---- the table ---- */

struct soq__sim_unix *soq__sim_unix_new(void)
{
	return soq__sim_alloc(sizeof(struct soq__sim_unix));
}

/* Forget those to whom nobody is bound. @paths  the stale ones too */
static void forget_unbound(struct soq__sim_unix *local, bool paths)
{
	for (size_t i = 0; i < local->bucket_count; i++)
		soq__list_for_each (node, &local->buckets[i]) {
			struct soq__sim_unix_name *name = name_of(node);

			if (!name->socket && (paths || !is_path(&name->addr)))
				forget(local, name);
		}
}

void soq__sim_unix_free(struct soq__sim_unix *local)
{
	if (!local)
		return;
	forget_unbound(local, true);
	free(local->buckets);
	free(local);
}

void soq__sim_unix_crash(struct soq_sim_host *host)
{
	forget_unbound(host->local, false);
}

/* FNV-1a of 64 bits. */
static struct soq__list *bucket_of(
	const struct soq__sim_unix *local, const struct soq_addr *addr)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < addr->len - NAMELESS; i++)
		h = (h ^ (uint8_t)addr->un.sun_path[i]) * 0x100000001b3u;
	h ^= h >> 32;
	return &local->buckets[h & (local->bucket_count - 1)];
}

static void grow(struct soq__sim_unix *local)
{
	struct soq__sim_unix bigger = { .count = local->count,
		.bucket_count = local->bucket_count ? 2 * local->bucket_count : BUCKETS_LEAST };
	struct soq__list *node;

	bigger.buckets = soq__sim_alloc(bigger.bucket_count * sizeof(*bigger.buckets));
	for (size_t i = 0; i < bigger.bucket_count; i++)
		soq__list_init(&bigger.buckets[i]);
	for (size_t i = 0; i < local->bucket_count; i++)
		while ((node = soq__list_pop(&local->buckets[i])))
			soq__list_append(bucket_of(&bigger, &name_of(node)->addr), node);
	free(local->buckets);
	*local = bigger;
}

/* @return NULL when nobody has it, and no crash has left it */
static struct soq__sim_unix_name *look_up(
	const struct soq__sim_unix *local, const struct soq_addr *addr, int type)
{
	if (!local->buckets)
		return NULL;
	soq__list_for_each (node, bucket_of(local, addr)) {
		struct soq__sim_unix_name *name = name_of(node);

		if (name->addr.len == addr->len &&
			memcmp(&name->addr.un, &addr->un, addr->len) == 0 &&
			(is_path(addr) || name->type == type))
			return name;
	}
	return NULL;
}

struct soq__sim_unix_name *soq__sim_unix_enter(
	struct soq__sim_unix_socket *u, const struct soq_addr *addr)
{
	struct soq__sim_unix *local = u->base.host->local;
	struct soq__sim_unix_name *name = look_up(local, addr, u->base.proto->type);

	if (name && name->socket)
		return NULL;
	if (name)
		forget(local, name);
	if (local->count >= local->bucket_count)
		grow(local);
	name = soq__sim_alloc(sizeof(*name));
	name->refs = 2; /* the table's and the socket's */
	name->type = u->base.proto->type;
	name->socket = u;
	name->addr = *addr;
	soq__list_append(bucket_of(local, addr), &name->node);
	local->count++;
	return name;
}

struct soq__sim_unix_name *soq__sim_unix_draw_name(struct soq__sim_unix_socket *u)
{
	uint64_t draw = soq__sim_host_draw(u->base.host, SOQ__SIM_PORT);
	uint32_t number = (uint32_t)soq__sim_below(draw, DRAWN_NAMES);

	for (uint32_t i = 0; i < DRAWN_NAMES; i++) {
		struct soq_addr addr = { .len = 0 };
		struct soq__sim_unix_name *name;
		int digits;

		addr.un.sun_family = AF_UNIX;
		digits = snprintf(addr.un.sun_path + 1, sizeof(addr.un.sun_path) - 1, "%05x",
			(number + i) % DRAWN_NAMES);
		addr.len = (socklen_t)(NAMELESS + 1 + (size_t)digits);
		name = soq__sim_unix_enter(u, &addr);
		if (name)
			return name;
	}
	return NULL;
}

int soq__sim_unix_find(const struct soq_sim_host *host, const struct soq_addr *addr, int type,
	struct soq__sim_unix_socket **ret)
{
	const struct soq__sim_unix_name *name = look_up(host->local, addr, type);

	if (!name)
		return is_path(addr) ? -ENOENT : -ECONNREFUSED;
	if (!name->socket)
		return -ECONNREFUSED;
	if (name->type != type)
		return -EPROTOTYPE;
	*ret = name->socket;
	return 0;
}

void soq__sim_unix_unname(struct soq__sim_unix_socket *u, bool stale)
{
	struct soq__sim_unix_name *name = u->name;

	if (!name)
		return;
	u->name = NULL;
	/* An accepted one only shares its listener's. */
	if (name->socket == u) {
		name->socket = NULL;
		if (!stale)
			forget(u->base.host->local, name);
	}
	/* The socket's own reference: clang's analyzer takes the table's for the last one. */
	soq__sim_unix_name_unref(name); /* NOLINT(clang-analyzer-unix.Malloc) */
}
