/* tidy.h - what clang's analyzer must be told; lint.sh includes it before every file.
 *
 * After a call that failed errno is positive, so `return -errno` is never 0. The
 * analyzer does not know, and version 14 loses any range at the minus: it then follows
 * paths on which a failed function has succeeded. So errno is one of a few numbers here.
 */
#ifndef TIDY_H
#define TIDY_H

#include <errno.h>

int tidy_any(void);

static inline int *tidy_errno(void)
{
	static int e;

	switch (tidy_any()) {
	case 0:
		e = EINTR;
		break;
	case 1:
		e = EAGAIN;
		break;
	default:
		e = EIO;
	}
	return &e;
}

#undef errno
#define errno (*tidy_errno())

#endif
