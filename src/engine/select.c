/* select.c - which engine a thread gets.
 *
 * The choice is the process's: made by SOQUETE_ENGINE, or by soq_engine_select(). Threads
 * that have an engine already keep it.
 */
#include "engine/engine.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which "auto" tries them; it never takes a simulated one. */
static const struct soq__engine_type *const engines[] = {
	&soq__engine_uring,
	&soq__engine_epoll,
	&soq__engine_sim,
};

/* The process's choice; NULL is "auto", and the environment may still speak. */
static _Atomic(const struct soq__engine_type *) chosen;

const struct soq__engine_type *soq__engine_at(size_t index)
{
	return index < sizeof(engines) / sizeof(engines[0]) ? engines[index] : NULL;
}

const struct soq__engine_type *soq__engine_find(const char *name)
{
	const struct soq__engine_type *type;

	for (size_t i = 0; (type = soq__engine_at(i)); i++)
		if (strcmp(type->name, name) == 0)
			return type;
	return NULL;
}

void soq__engine_choose(const struct soq__engine_type *type)
{
	atomic_store(&chosen, type);
}

static const struct soq__engine_type *choice(void)
{
	const struct soq__engine_type *type = atomic_load(&chosen);
	const char *name;

	if (type)
		return type;
	name = getenv("SOQUETE_ENGINE");
	return name ? soq__engine_find(name) : NULL;
}

int soq__engine_open(struct soq__engine **ret, const struct soq__engine_type *prefer)
{
	const struct soq__engine_type *type = choice();
	int rc = -ENOSYS;

	if (type)
		return type->open(ret);
	if (prefer && prefer->open(ret) == 0)
		return 0;
	for (size_t i = 0; rc < 0 && (type = soq__engine_at(i)); i++)
		if (!type->simulated)
			rc = type->open(ret);
	return rc;
}
