/* dns_sim.c - questions to a simulated world's name service: the engine answers them, after as
 * long as the world wants, or never.
 *
 * What is lost on the way the engine asks for again, and counts it in; who waits for it gives
 * up after PATIENCE_NS.
 */
#include "net/dns.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_NS (15 * SOQ_S) /* as ares.c: 5 seconds, and after asking anew 10 more */

struct asker {
	struct soq__dns base;
	struct soq__worker *worker;
	struct soq__list pending; /* struct asked */
	bool retired;
};

/* A question on its way. */
struct asked {
	struct soq__list node;
	struct asker *asker;
	struct soq__question *question;
	struct soq__alarm alarm;
	int rc; /* what arrives: a message's bytes, or a negative code */
	unsigned char msg[NS_MAXMSG];
};

static void free_if_over(struct asker *a)
{
	if (!a->retired || !soq__list_empty(&a->pending))
		return;
	soq__list_remove(&a->base.node);
	free(a);
}

static void asked_free(struct asked *q, bool abandon)
{
	soq__list_remove(&q->node);
	if (!abandon)
		soq__alarm_close(q->asker->worker, &q->alarm);
	free(q);
}

static void ring(struct soq__alarm *alarm)
{
	struct asked *q = soq__container_of(alarm, struct asked, alarm);
	struct asker *a = q->asker;

	if (q->rc < 0)
		q->question->answered(q->question, q->rc, NULL, 0);
	else
		q->question->answered(q->question, 0, q->msg, (size_t)q->rc);
	asked_free(q, false);
	free_if_over(a);
}

static void ask(struct soq__dns *d, struct soq__question *question)
{
	struct asker *a = soq__container_of(d, struct asker, base);
	struct soq__engine *e = a->worker->engine;
	struct asked *q = calloc(1, sizeof(*q));
	int64_t delay_ns = SOQ_NEVER;

	if (!q || soq__alarm_open(a->worker, &q->alarm, ring) < 0) {
		free(q);
		question->answered(question, -ENOMEM, NULL, 0);
		return;
	}
	q->asker = a;
	q->question = question;
	soq__list_append(&a->pending, &q->node);
	q->rc = e->type->answer(
		e, question->name, question->type, q->msg, sizeof(q->msg), &delay_ns);
	if (delay_ns > PATIENCE_NS) {
		delay_ns = PATIENCE_NS;
		q->rc = -SOQ_ENAMEWAIT;
	}
	soq__alarm_set(a->worker, &q->alarm, soq__after(e->type->now(e), delay_ns));
}

static void retire(struct soq__dns *d)
{
	struct asker *a = soq__container_of(d, struct asker, base);

	a->retired = true;
	free_if_over(a);
}

static void close_now(struct soq__dns *d, bool abandon)
{
	struct asker *a = soq__container_of(d, struct asker, base);

	soq__list_for_each (node, &a->pending) {
		struct asked *q = soq__container_of(node, struct asked, node);

		q->question->answered(q->question, -ECANCELED, NULL, 0);
		asked_free(q, abandon);
	}
	a->retired = true;
	free_if_over(a);
}

static const struct soq__dns_type type = { .ask = ask, .retire = retire, .close = close_now };

int soq__dns_sim_open(struct soq__dns **ret, struct soq__worker *w)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->base.type = &type;
	a->worker = w;
	soq__list_init(&a->base.node);
	soq__list_init(&a->pending);
	*ret = &a->base;
	return 0;
}
