/* kernel.h - what the kernel beneath a test lacks: an old one, or an emulator's. */
#ifndef KERNEL_H
#define KERNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/** Linux 5.6, but not qemu-user 7.2. */
static inline bool kernel_has_openat2(void)
{
	return syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno != ENOSYS && errno != EPERM;
}

#endif
