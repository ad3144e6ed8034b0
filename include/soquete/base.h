/* base.h - what every soquete header needs: linkage, units, byte counts.
 *
 * Rules that hold for the whole interface:
 *  - A call that can fail returns a negative code (see error.h), never -1 with errno.
 *  - A `ret` output is written only on success.
 *  - A call whose comment begins with "Suspends" may let other fibers run; it obeys
 *    the fiber's deadline and cancellation. Every other call returns at once.
 *  - Durations and instants are nanoseconds in an int64_t.
 */
#ifndef SOQUETE_BASE_H
#define SOQUETE_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
#define SOQ_BEGIN_C extern "C" {
#define SOQ_END_C   }
#else
#define SOQ_BEGIN_C
#define SOQ_END_C
#endif

#define SOQ_API __attribute__((visibility("default")))

#define SOQ_US	  INT64_C(1000)	      /* a microsecond, in nanoseconds */
#define SOQ_MS	  INT64_C(1000000)    /* a millisecond, in nanoseconds */
#define SOQ_S	  INT64_C(1000000000) /* a second, in nanoseconds */
#define SOQ_NEVER INT64_MAX	      /* no deadline; as a duration: without limit */

#endif
