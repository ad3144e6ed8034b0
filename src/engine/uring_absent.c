/* uring_absent.c - stands in for uring.c where liburing was not there at build time. */
#include "engine/engine.h"
#include <errno.h>

static int probe(const char **ret_why)
{
	*ret_why = "this build was made without liburing";
	return -ENOSYS;
}

static int engine_open(struct soq__engine **ret)
{
	(void)ret;
	return -ENOSYS;
}

const struct soq__engine_type soq__engine_uring = {
	.name = "uring",
	.probe = probe,
	.open = engine_open,
};
