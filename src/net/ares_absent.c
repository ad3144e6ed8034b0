/* ares_absent.c - stands in for the other files of ares where c-ares and libidn2 are not there:
 * names are asked of getaddrinfo(3).
 */
#include "net/dns.h"
#include <errno.h>

bool soq__ares_is_there(void)
{
	return false;
}

int soq__ares_prepare(struct soq__ares **ret, struct soq__search *ret_search)
{
	(void)ret;
	(void)ret_search;
	return -ENOSYS;
}

void soq__ares_discard(struct soq__ares *a)
{
	(void)a;
}

int soq__ares_start(struct soq__dns **ret, struct soq__ares *a, struct soq__worker *w)
{
	(void)ret;
	(void)a;
	(void)w;
	return -ENOSYS;
}

int soq__idna(char *buf, size_t len, const char *name, const char **ret_why)
{
	(void)buf;
	(void)len;
	(void)name;
	*ret_why = "this build has no libidn2";
	return -ENOSYS;
}
