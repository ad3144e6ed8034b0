/* fault.h - make the Nth engine operation fail.
 *
 * A thread's engine is given a table of functions of ours, which count the operations that
 * can fail and call the engine's own. Whoever asks for the Nth is refused, with each of the
 * codes in turn. FAULT_SWEEP tries N = 1, 2, ... until the case needs no N operations:
 * then nothing was refused, and the case must have succeeded.
 */
#ifndef CONTRACT_FAULT_H
#define CONTRACT_FAULT_H

#include "fiber.h"
#include "fiber/worker.h"

#include <dirent.h>
#include <pthread.h>

static struct {
	const struct soq__engine_type *own;
	struct soq__engine_type table;
	unsigned at;	/* refuse this one */
	unsigned count; /* operations so far */
	int code;
	bool is_done; /* it was refused */
	int rc;	      /* what the case came to */
} fault;

static inline bool fault__now(void)
{
	if (++fault.count != fault.at)
		return false;
	fault.is_done = true;
	return true;
}

static inline bool fault__submit(struct soq__engine *e, struct soq__op *op)
{
	if (!fault__now())
		return fault.own->submit(e, op);
	op->result = fault.code;
	return true;
}

static inline int fault__open_socket(
	struct soq__engine *e, struct soq__socket *ret, int family, int type, int protocol)
{
	return fault__now() ? fault.code
			    : fault.own->open_socket(e, ret, family, type, protocol);
}

static inline int fault__open_pair(struct soq__engine *e, int type, int ret_fds[2])
{
	return fault__now() ? fault.code : fault.own->open_pair(e, type, ret_fds);
}

static inline int fault__adopt(
	struct soq__engine *e, struct soq__socket *ret, int fd, bool foreign)
{
	return fault__now() ? fault.code : fault.own->adopt(e, ret, fd, foreign);
}

static inline int fault__release(struct soq__engine *e, struct soq__socket *s)
{
	return fault__now() ? fault.code : fault.own->release(e, s);
}

static inline int fault__bind(struct soq__socket *s, const struct soq_addr *addr)
{
	return fault__now() ? fault.code : fault.own->bind(s, addr);
}

static inline int fault__listen(struct soq__socket *s, int backlog)
{
	return fault__now() ? fault.code : fault.own->listen(s, backlog);
}

static inline int fault__shutdown(struct soq__socket *s, int how)
{
	return fault__now() ? fault.code : fault.own->shutdown(s, how);
}

static inline int fault__set_option(
	struct soq__socket *s, int level, int option, const void *value, socklen_t len)
{
	return fault__now() ? fault.code : fault.own->set_option(s, level, option, value, len);
}

static inline int fault__local_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	return fault__now() ? fault.code : fault.own->local_addr(s, ret);
}

static inline int fault__peer_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	return fault__now() ? fault.code : fault.own->peer_addr(s, ret);
}

static inline int fault__recv_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	return fault__now() ? fault.code : fault.own->recv_many(s, msgs, count);
}

static inline int fault__send_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	return fault__now() ? fault.code : fault.own->send_many(s, msgs, count);
}

/* Refuse operation fault.at of this thread from now on with fault.code. */
static inline void fault__begin(void)
{
	struct soq__engine *e = soq__worker()->engine;

	fault.own = e->type;
	fault.table = *e->type;
	fault.table.submit = fault__submit;
	fault.table.open_socket = fault__open_socket;
	fault.table.open_pair = fault__open_pair;
	fault.table.adopt = fault__adopt;
	fault.table.release = fault__release;
	fault.table.bind = fault__bind;
	fault.table.listen = fault__listen;
	fault.table.shutdown = fault__shutdown;
	fault.table.set_option = fault__set_option;
	fault.table.local_addr = fault__local_addr;
	fault.table.peer_addr = fault__peer_addr;
	fault.table.recv_many = fault__recv_many;
	fault.table.send_many = fault__send_many;
	fault.count = 0;
	fault.is_done = false;
	e->type = &fault.table;
}

static inline unsigned fault__open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The thread's host, if it is simulated, has no descriptor open any more. */
static inline void fault__check_simulated(void)
{
	struct soq_sim_census census;

	if (!soq_sim_here())
		return;
	soq_sim_census(soq_sim_here(), &census);
	CHECK_EQ(census.descriptors, 0);
}

/* One attempt, in a thread of its own: what the thread's worker opens is closed with it. */
static inline void *fault__attempt(void *arg)
{
	int (*body)(void) = *(int (**)(void))arg;

	fault__begin();
	fault.rc = body();
	CHECK_EQ(soq__worker()->fiber_count, 0);
	fault__check_simulated();
	soq__worker()->engine->type = fault.own;
	return NULL;
}

/* Run a case with every operation of it refused in turn.
 * @body  @return 0 when all went well, else the first error met; it must release what it
 *        took in either case */
static inline void fault_sweep(int (*body)(void))
{
	static const int codes[] = { -ENOMEM, -ENOBUFS, -ECONNRESET, -EMFILE, -EPERM };
	pthread_t thread;
	unsigned fds;

	for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
		fault.at = 0;
		fault.code = codes[c];
		do {
			fault.at++;
			ROW("operation %u fails with %d", fault.at, fault.code);
			fds = fault__open_fds();
			CHECK_EQ(pthread_create(&thread, NULL, fault__attempt, &body), 0);
			CHECK_EQ(pthread_join(thread, NULL), 0);
			CHECK_EQ(fault__open_fds(), fds);
		} while (fault.is_done);
		CHECK_OK(fault.rc);
		CHECK(fault.at > 1);
	}
}

#endif
