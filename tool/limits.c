/* limits.c - what the system lets a process have.
 *
 * A server of ten thousand clients needs as many descriptors, and the soft limit is 1,024
 * on most systems, for the sake of programs that use select(2). We do not.
 * Source: getrlimit(2), proc_sys_fs(5).
 */
#include "limits.h"

#include <stdio.h>
#include <sys/resource.h>

#define DESCRIPTORS_WANTED 1048576

static rlim_t kernel_limit(void)
{
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	unsigned long n = DESCRIPTORS_WANTED;

	if (f) {
		if (fscanf(f, "%lu", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own text */
			n = DESCRIPTORS_WANTED;
		fclose(f);
	}
	return n < DESCRIPTORS_WANTED ? n : DESCRIPTORS_WANTED;
}

void tool_raise_descriptors(void)
{
	struct rlimit have, want;

	if (getrlimit(RLIMIT_NOFILE, &have))
		return;
	want.rlim_cur = want.rlim_max = kernel_limit();
	if (have.rlim_max < want.rlim_max && !setrlimit(RLIMIT_NOFILE, &want))
		return;
	have.rlim_cur = have.rlim_max;
	setrlimit(RLIMIT_NOFILE, &have);
}
