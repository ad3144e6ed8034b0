/* fault_print.c - faults and links as C, to be pasted into a test.
 *
 * Invariant: what is printed, compiled, gives the same values, to the nanosecond.
 */
#include "sim/fault.h"
#include <inttypes.h>
#include <string.h>

/* ---- numbers ---- */

/* An amount of nanoseconds by the largest unit that has no remainder. */
static void print_ns(FILE *out, int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = { { SOQ_S, "SOQ_S" }, { SOQ_MS, "SOQ_MS" }, { SOQ_US, "SOQ_US" } };

	if (ns == SOQ_NEVER) {
		fputs("SOQ_NEVER", out);
		return;
	}
	for (size_t i = 0; ns != 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns % units[i].ns == 0) {
			fprintf(out, "%" PRId64 " * %s", ns / units[i].ns, units[i].name);
			return;
		}
	}
	fprintf(out, "%" PRId64, ns);
}

static void print_count(FILE *out, uint64_t n)
{
	if (n == UINT64_MAX)
		fputs("UINT64_MAX", out);
	else
		fprintf(out, "%" PRIu64, n);
}

/* ---- faults ---- */

static const char *kind_identifier(enum soq_sim_fault_kind kind)
{
	static const char *const names[SOQ_SIM_FAULT_KINDS] = {
		[SOQ_SIM_PARTITION] = "SOQ_SIM_PARTITION",
		[SOQ_SIM_PARTITION_ONE] = "SOQ_SIM_PARTITION_ONE",
		[SOQ_SIM_CRASH] = "SOQ_SIM_CRASH",
		[SOQ_SIM_PAUSE] = "SOQ_SIM_PAUSE",
		[SOQ_SIM_CLOCK_STEP] = "SOQ_SIM_CLOCK_STEP",
		[SOQ_SIM_CLOCK_DRIFT] = "SOQ_SIM_CLOCK_DRIFT",
		[SOQ_SIM_LOSS] = "SOQ_SIM_LOSS",
		[SOQ_SIM_DELAY] = "SOQ_SIM_DELAY",
		[SOQ_SIM_RATE] = "SOQ_SIM_RATE",
	};

	return names[kind];
}

static bool amount_is_time(enum soq_sim_fault_kind kind)
{
	return kind == SOQ_SIM_CLOCK_STEP || kind == SOQ_SIM_DELAY;
}

void soq__sim_fault_print(const struct soq_sim_fault *f, FILE *out, const char *indent)
{
	fprintf(out, "%s{ .kind = %s, .a = \"%s\"", indent, kind_identifier(f->kind), f->a);
	if (f->b)
		fprintf(out, ", .b = \"%s\"", f->b);
	fputs(", .at_ns = ", out);
	print_ns(out, f->at_ns);
	if (f->duration_ns) {
		fputs(", .duration_ns = ", out);
		print_ns(out, f->duration_ns);
	}
	if (f->amount) {
		fputs(", .amount = ", out);
		if (amount_is_time(f->kind))
			print_ns(out, f->amount);
		else
			fprintf(out, "%" PRId64, f->amount);
	}
	fputs(" },\n", out);
}

void soq__sim_faults_print(const struct soq_sim *sim, FILE *out, const char *indent)
{
	soq__list_for_each (node, &sim->faults)
		soq__sim_fault_print(&soq__sim_planned_of(node)->fault, out, indent);
}

/* ---- links ---- */

struct field {
	const char *name;
	size_t offset, size;
	bool is_time;
};

#define FIELD(member, time)                                                         \
	{                                                                           \
#member, offsetof(struct soq_sim_link, member),                     \
			sizeof(((const struct soq_sim_link *)NULL)->member), (time) \
	}

static const struct field fields[] = {
	FIELD(latency_ns, true),
	FIELD(jitter_ns, true),
	FIELD(rate_bytes_s, false),
	FIELD(burst_bytes, false),
	FIELD(queue_bytes, false),
	FIELD(codel, false),
	FIELD(loss_ppm, false),
	FIELD(burst_enter_ppm, false),
	FIELD(burst_leave_ppm, false),
	FIELD(burst_loss_ppm, false),
	FIELD(lose_nth, false),
	FIELD(duplicate_ppm, false),
	FIELD(reorder_ppm, false),
	FIELD(reorder_ns, true),
	FIELD(corrupt_ppm, false),
	FIELD(mtu, false),
};

static uint64_t read_field(const struct soq_sim_link *link, const struct field *field)
{
	const char *at = (const char *)link + field->offset;
	uint32_t word;
	uint64_t both;

	if (field->size == sizeof(bool))
		return *(const bool *)at;
	if (field->size == sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		return word;
	}
	memcpy(&both, at, sizeof(both));
	return both;
}

/* Whether leaving it out gives the same link. */
static bool is_default(const struct soq_sim_link *link, const struct field *field)
{
	struct soq_sim_link without = *link;

	memset((char *)&without + field->offset, 0, field->size);
	soq__sim_link_fill(&without, false);
	return read_field(&without, field) == read_field(link, field);
}

void soq__sim_link_print(const struct soq_sim_link *link, FILE *out, const char *indent)
{
	struct soq_sim_link filled = *link;

	soq__sim_link_fill(&filled, false);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *field = &fields[i];
		uint64_t value = read_field(&filled, field);

		/* The latency is told even so: a link without a word is hard to read. */
		if (i > 0 && is_default(&filled, field))
			continue;
		fprintf(out, "%s.%s = ", indent, field->name);
		if (field->is_time)
			print_ns(out, (int64_t)value);
		else if (field->size == sizeof(bool))
			fputs(value ? "true" : "false", out);
		else
			print_count(out, value);
		fputs(",\n", out);
	}
}
