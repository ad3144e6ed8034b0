/* server_bell.h - how a server's handlers and the case tell each other that something has
 * happened, be the handler in another process, another thread or on a simulated host: nobody
 * polls, and no clock decides.
 *
 * Invariant: a bell that has been rung stays rung until it is hushed, so that whoever looks
 * after the ring has missed nothing.
 * Source: eventfd(2).
 */
#ifndef CONTRACT_SERVER_BELL_H
#define CONTRACT_SERVER_BELL_H

#include "contract/net.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

struct bell {
	int fd;			 /* the kernel's engines: an eventfd, inherited by processes */
	struct soq_event *event; /* sim: between programs */
};

static struct {
	struct bell news;   /* handlers have counted something; the case alone waits for it */
	struct bell gate;   /* handlers may go on */
	struct bell cancel; /* the fiber that runs the server is to be cancelled */
} bells;

static inline void bell_open(struct bell *b)
{
	*b = (struct bell){ .fd = -1 };
	if (test_is_simulated())
		CHECK_OK(soq_event_new(&b->event));
	else
		b->fd = (int)CHECK_OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static inline void bell_close(struct bell *b)
{
	soq_event_free(b->event);
	if (b->fd >= 0)
		close(b->fd);
}

/* From any thread, process or program. */
static inline void bell_ring(struct bell *b)
{
	uint64_t one = 1;

	if (b->event)
		soq_event_set(b->event);
	else
		CHECK_EQ(write(b->fd, &one, sizeof(one)), sizeof(one));
}

static inline void bell_hush(struct bell *b)
{
	uint64_t rings;

	if (b->event)
		soq_event_reset(b->event);
	else if (read(b->fd, &rings, sizeof(rings)) < 0)
		CHECK_EQ(errno, EAGAIN); /* nobody has rung */
}

/* Suspends until it is rung. @return 0; -ETIMEDOUT, -ECANCELED */
static inline int bell_wait(struct bell *b)
{
	int rc = b->event ? soq_event_wait(b->event) : soq_wait_fd(b->fd, POLLIN);

	return rc < 0 ? rc : 0;
}

static inline void bells_open(void)
{
	bell_open(&bells.news);
	bell_open(&bells.gate);
	bell_open(&bells.cancel);
}

static inline void bells_close(void)
{
	bell_close(&bells.news);
	bell_close(&bells.gate);
	bell_close(&bells.cancel);
}

/* ---- counting ---- */

/* What handlers count, in memory that all processes share. */
struct counters {
	atomic_uint began, ended, cancelled, failed, draining, here, most;
	atomic_long bytes;
	_Atomic int64_t at_ns[4]; /* instants of the simulated world */
};

static struct counters *counters;

static inline void counters_open(void)
{
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counters != MAP_FAILED);
}

/* Count one more, and let the case know. @return how many there are now */
static inline unsigned count(atomic_uint *counter)
{
	unsigned now = atomic_fetch_add(counter, 1) + 1;

	bell_ring(&bells.news);
	return now;
}

/* Suspends until handlers have counted so far that a condition holds. One fiber at a time:
 * another would hush what this one has not heard yet. */
#define AWAIT(condition)                                  \
	do {                                              \
		for (;;) {                                \
			bell_hush(&bells.news);           \
			if (condition)                    \
				break;                    \
			CHECK_OK(bell_wait(&bells.news)); \
		}                                         \
	} while (0)

#endif
