/* log.c - each event of a world as a line, for people and for diff(1).
 *
 *	0.001250000  client > server  TCP 10.0.0.2:40001 > 10.0.0.1:7 [SYN] seq=0 ...
 *
 * An instant in seconds, hosts, and what happened, in tcpdump's and Wireshark's words:
 * sequence numbers begin at 0 in each connection. Faults begin with "!".
 *
 * Invariant: a line depends on what has been seen, in its order, alone; so equal runs have
 * equal logs.
 */
#include "sim/watch.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_WIDTH    8	 /* columns for a host's name, at least */
#define PAYLOAD_SHOWN 40 /* bytes */

struct log {
	struct soq__sim_observer observer;
	struct soq_sim *sim;
	FILE *file;
	int name_width; /* the longest name so far */
	struct soq__sim_flows flows;
};

static struct log *log_of(struct soq__sim_observer *o)
{
	return soq__container_of(o, struct log, observer);
}

static void put_instant(struct log *l)
{
	int64_t now = l->sim->now_ns;

	fprintf(l->file, "%4lld.%09lld  ", (long long)(now / SOQ_S), (long long)(now % SOQ_S));
}

static void put_line(
	struct log *l, const struct soq_sim_host *host, const char *mark, const char *text)
{
	put_instant(l);
	fprintf(l->file, "%-*s  %s%s\n", 2 * l->name_width + 3, host ? host->name : "*", mark,
		text);
}

static void see_host(struct soq__sim_observer *o, const struct soq_sim_host *host)
{
	struct log *l = log_of(o);
	char addresses[1024];

	if (l->name_width < (int)strlen(host->name))
		l->name_width = (int)strlen(host->name);
	soq__sim_host_addresses(addresses, sizeof(addresses), host, " ");
	put_line(l, host, "host ", addresses);
}

static void see_note(struct soq__sim_observer *o, const struct soq_sim_host *host, bool fault,
	const char *text)
{
	put_line(log_of(o), host, fault ? "! " : "", text);
}

static void put_tcp(struct log *l, const struct soq__sim_packet *p)
{
	char text[SOQ__SIM_WORDS_MAX];
	uint32_t seq, ack;

	soq__sim_flows_see(&l->flows, p, &seq, &ack);
	fprintf(l->file, " [%s] seq=%u", soq__sim_flags_text(text, p->flags, ", "), seq);
	if (p->flags & SOQ__SIM_ACK)
		fprintf(l->file, " ack=%u", ack);
	fprintf(l->file, " win=%u len=%u", p->window, p->len);
}

static void put_what(struct log *l, const struct soq__sim_packet *p)
{
	char src[SOQ_ADDR_TEXT_MAX], dst[SOQ_ADDR_TEXT_MAX], payload[SOQ__SIM_WORDS_MAX];
	bool tcp = p->protocol == IPPROTO_TCP, udp = p->protocol == IPPROTO_UDP;

	fprintf(l->file, "%s %s > %s",
		tcp	      ? "TCP"
			: udp ? "UDP"
			      : "ICMP",
		soq__sim_addr_text(src, &p->src), soq__sim_addr_text(dst, &p->dst));
	if (tcp)
		put_tcp(l, p);
	else if (udp)
		fprintf(l->file, " len=%u", p->len);
	else
		fprintf(l->file, " %s", soq__sim_icmp_text(p->icmp_error));
	soq__sim_payload_text(payload, p, PAYLOAD_SHOWN);
	fprintf(l->file, "%s%s", *payload ? " " : "", payload);
}

static void see_packet(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	struct log *l = log_of(o);
	const char *reason = soq__sim_fate_text(fate);
	char marks[SOQ__SIM_WORDS_MAX];

	put_instant(l);
	fprintf(l->file, "%-*s > %-*s  ", l->name_width, p->from->name, l->name_width,
		p->to ? p->to->name : "*");
	put_what(l, p);
	if (p->marks)
		fprintf(l->file, " (%s)", soq__sim_marks_text(marks, p->marks));
	if (fate == SOQ__SIM_ARRIVES)
		fprintf(l->file, "; arrives %lld.%09lld\n", (long long)(arrives_ns / SOQ_S),
			(long long)(arrives_ns % SOQ_S));
	else
		/* "dropped: the queue is full" becomes "LOST: the queue is full". */
		fprintf(l->file, "; LOST%s\n", reason + strcspn(reason, ":,"));
}

static void log_close(struct soq__sim_observer *o)
{
	struct log *l = log_of(o);

	fflush(l->file);
	soq__sim_flows_done(&l->flows);
	free(l);
}

int soq_sim_log(struct soq_sim *sim, FILE *file)
{
	struct log *l;

	if (!file)
		return soq__fail(-EINVAL, "a log needs a file");
	if (soq__sim_watched(sim, log_close))
		return soq__fail(-EBUSY, "the world has a log already");
	l = soq__sim_alloc(sizeof(*l));
	l->observer = (struct soq__sim_observer){
		.host = see_host, .packet = see_packet, .note = see_note, .close = log_close
	};
	l->sim = sim;
	l->file = file;
	l->name_width = NAME_WIDTH;
	soq__sim_watch(sim, &l->observer);
	return 0;
}
