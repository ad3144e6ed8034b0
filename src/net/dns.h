/* dns.h - one question to the DNS, and the message that answers it.
 *
 * Two ways to ask: over the network with c-ares (ares.c), and a simulated world's own
 * (dns_sim.c). Neither suspends: what is asked is answered in a turn of the engine, or at once.
 *
 * Invariant: a question that was asked is answered exactly once, at the latest by close.
 */
#ifndef SOQ__DNS_H
#define SOQ__DNS_H

#include "fiber/worker.h"

/* The caller's, where it stays until it is answered. */
struct soq__question {
	const char *name; /* whole, without the final dot, ASCII */
	unsigned type;
	/* Once. May make fibers ready and ask further questions; must not suspend.
	 * @rc   0: there is a message; a negative code: there is none
	 * @msg  as RFC 1035 section 4 has it, whatever its RCODE; valid during the call */
	void (*answered)(struct soq__question *q, int rc, const unsigned char *msg, size_t len);
};

/* Somebody to ask. Belongs to a worker. */
struct soq__dns {
	const struct soq__dns_type *type;
	struct soq__list node; /* its opener's, and off when it has freed itself */
};

struct soq__dns_type {
	void (*ask)(struct soq__dns *d, struct soq__question *q);
	/* No further question comes. Those that are pending are answered yet, and after the
	 * last one it frees itself. */
	void (*retire)(struct soq__dns *d);
	/* At the worker's end, in place of retire, or after it: what is pending is answered
	 * with -ECANCELED. It may need turns of the engine yet until it has freed itself.
	 * @abandon  touch neither engine nor timers, which are the parent's, and go at once */
	void (*close)(struct soq__dns *d, bool abandon);
};

/* How many labels and bytes a name may have: RFC 1035 section 2.3.4. */
#define SOQ__LABEL_MAX	 63
#define SOQ__NAME_MAX	 253
#define SOQ__DOMAINS_MAX 32

/* What resolv.conf(5) says of names that are not whole. */
struct soq__search {
	unsigned ndots; /* with so many dots a name is tried as it is first */
	size_t count;
	char domains[SOQ__DOMAINS_MAX][SOQ__NAME_MAX + 1];
};

/* ---- ares.c; ares_absent.c stands in where c-ares is not there ---- */

struct soq__ares;

/* Whether there is c-ares. */
bool soq__ares_is_there(void);
/* Read the machine's configuration: blocks, and so belongs on the offload pool.
 * @return 0; -ENOMEM; -ENOSYS without c-ares */
int soq__ares_prepare(struct soq__ares **ret, struct soq__search *ret_search);
/* Free what was prepared and never started. Accepts NULL. */
void soq__ares_discard(struct soq__ares *a);
/* It is this worker's from now on. @return 0; -ENOMEM, and it is discarded */
int soq__ares_start(struct soq__dns **ret, struct soq__ares *a, struct soq__worker *w);

/* The ASCII form of a name that may not be (RFC 5891).
 * @buf  @len bytes
 * @return 0; -SOQ_EENDPOINT and the reason in *ret_why; -ENOSYS without libidn2 */
int soq__idna(char *buf, size_t len, const char *name, const char **ret_why);

/* ---- dns_sim.c ---- */

/* Somebody who asks the engine's own answer(). @return 0, -ENOMEM */
int soq__dns_sim_open(struct soq__dns **ret, struct soq__worker *w);

#endif
