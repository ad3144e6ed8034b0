/* runtime.c - versions and engines, as the public contract has them. */
#include <soquete/error.h>
#include <soquete/runtime.h>
#include "fiber/last_error.h"
#include "fiber/worker.h"
#include "soq_config.h"
#include <errno.h>
#include <string.h>

const char *soq_version(void)
{
	return SOQ__VERSION;
}

int soq_engine_select(const char *name)
{
	const struct soq__engine_type *type = soq__engine_find(name);
	const char *why;
	int rc;

	if (strcmp(name, "auto") == 0) {
		soq__engine_choose(NULL);
		return 0;
	}
	if (!type)
		return soq__fail(-EINVAL,
			"engine '%s' is not known; there are auto, uring, epoll and sim", name);
	rc = type->probe(&why);
	if (rc < 0)
		return soq__fail(
			rc, "engine '%s' cannot be used: %s: %s", name, why, soq_strerror(rc));
	soq__engine_choose(type);
	return 0;
}

const char *soq_engine_name(void)
{
	return soq__worker()->engine->type->name;
}

int soq_engine_list(size_t index, const char **ret_name, const char **ret_refusal)
{
	const struct soq__engine_type *type = soq__engine_at(index);

	if (!type)
		return -ENOENT;
	*ret_name = type->name;
	type->probe(ret_refusal);
	return 0;
}

int soq_thread_end(void)
{
	return soq__worker_end();
}
