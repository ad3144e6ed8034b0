/* diverge.c - the same seed again, with memory laid out otherwise, and where the runs part.
 *
 * What a program may see of its memory, beside what it has put there, is where it lies and
 * what is left in it. Both come out otherwise in the second run: blocks of drawn sizes are
 * filled and freed in a drawn order, some stay; mappings begin elsewhere; the stack is deeper.
 * A program whose run depends on any of it does not depend on the seed alone.
 *
 * Invariant: a layout is drawn from its number and the seed, so that it too can be repeated.
 * Source: mallopt(3), M_PERTURB; the allocator's thread cache is not perturbed, and is filled
 * for this reason.
 */
#include "sim/sweep.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCKS	      512
#define SMALL_BYTES   1040 /* what glibc's thread cache takes, and a little more */
#define LARGE_BYTES   16384
#define HOLE_PAGES    4096
#define FRAMES	      48
#define FRAME_BYTES   1024
#define LAYOUTS_TRIED 4 /* until one diverges with a log as well, which takes memory too */

/* ---- laying out ---- */

/* Numbers of a layout; they come from the seed as all others do. */
struct dice {
	const struct soq_sim *world; /* of which only the seed counts */
	uint64_t key, index;
};

static size_t roll(struct dice *d, size_t below)
{
	return soq__sim_below(
		soq__sim_draw(d->world, SOQ__SIM_PURPOSES, d->key, d->index++), below);
}

/* By malloc(3): calloc(3) does not take from the thread's cache, and what is there would stay
 * as it is. */
static void *fill_block(struct dice *d)
{
	size_t bytes = 1 + roll(d, roll(d, 16) ? SMALL_BYTES : LARGE_BYTES);
	int value = 1 + (int)roll(d, 255);
	void *block = malloc(bytes);

	return block ? memset(block, value, bytes) : NULL;
}

/* Free them in a drawn order, but for one in eight. */
static void free_blocks(struct dice *d, void *blocks[BLOCKS])
{
	for (size_t left = BLOCKS; left > 0; left--) {
		size_t i = roll(d, left);
		void *block = blocks[i];

		blocks[i] = blocks[left - 1];
		if (roll(d, 8))
			free(block);
	}
}

static void scatter_blocks(struct dice *d)
{
	void *blocks[BLOCKS];

	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = fill_block(d);
	free_blocks(d, blocks);
}

/* It is no error if there is no room for one. */
static void move_mappings(struct dice *d)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)mmap(NULL, (1 + roll(d, HOLE_PAGES)) * page, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Call on top of so many frames more. */
__attribute__((noinline)) static void call_deeper(
	size_t frames, void (*then)(void *arg), void *arg)
{
	volatile char frame[FRAME_BYTES];

	frame[0] = (char)frames;
	if (frame[0])
		call_deeper(frames - 1, then, arg);
	else
		then(arg);
	frame[FRAME_BYTES - 1] = 0; /* so that this is no tail call */
}

void soq__sim_lay_out(unsigned layout, uint64_t seed, void (*then)(void *arg), void *arg)
{
	const struct soq_sim world = { .seed = seed };
	struct dice d = { &world, layout, 0 };

	mallopt(M_PERTURB, 1 + (int)roll(&d, 255));
	scatter_blocks(&d);
	move_mappings(&d);
	call_deeper(1 + roll(&d, FRAMES), then, arg);
}

/* ---- where two runs part ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool soq__sim_same_run(
	const struct soq__sim_outcome *first, const struct soq__sim_outcome *second)
{
	return first->ending == second->ending && first->code == second->code &&
		first->verdict == second->verdict && first->digest == second->digest &&
		first->events == second->events &&
		first->simulated_ns == second->simulated_ns &&
		same_text(first->property, second->property);
}

static void tell_run(const char *which, const struct soq__sim_outcome *o, FILE *out)
{
	fprintf(out, "  %s run: ", which);
	soq__sim_outcome_print(o, out);
	if (o->ending == SOQ__SIM_RAN)
		fprintf(out, "; %llu events, digest %016llx, at %lld.%09lld s",
			(unsigned long long)o->events, (unsigned long long)o->digest,
			(long long)(o->simulated_ns / SOQ_S),
			(long long)(o->simulated_ns % SOQ_S));
	fputc('\n', out);
}

FILE *soq__sim_memory_file(void)
{
	int fd = memfd_create("soquete log", MFD_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");

	if (fd >= 0 && !file)
		close(fd);
	/* By lines, so that a run that crashes has told its last one. */
	if (file)
		setvbuf(file, NULL, _IOLBF, 0);
	return file;
}

/* A log that is read line by line. */
struct pages {
	FILE *file;
	char *line;
	size_t capacity;
	bool more; /* there is a line */
};

static void turn_page(struct pages *p)
{
	p->more = getline(&p->line, &p->capacity, p->file) > 0;
	if (p->more)
		p->line[strcspn(p->line, "\n")] = '\0';
}

static const char *line_of(const struct pages *p)
{
	return p->more ? p->line : "(the end)";
}

/* @return whether the logs differ; then the first lines that do are told, and the one before
 * that is more than an event's number */
static bool tell_first_difference(FILE *first, FILE *second, FILE *out)
{
	struct pages a = { .file = first }, b = { .file = second };
	char *before = NULL;
	bool differs;

	rewind(first);
	rewind(second);
	for (;;) {
		turn_page(&a);
		turn_page(&b);
		differs = strcmp(line_of(&a), line_of(&b)) != 0;
		if (differs || !a.more)
			break;
		if (*a.line != '#') {
			free(before);
			before = soq__sim_copy(a.line);
		}
	}
	if (differs)
		fprintf(out, "  the logs part after this line:\n  %s\n- %s\n+ %s\n",
			before ? before : "(the beginning)", line_of(&a), line_of(&b));
	free(before);
	free(a.line);
	free(b.line);
	return differs;
}

/* Run both with a log. @return 1 when they differ, 0 when not, or a negative code */
static int compare_logs(const struct soq__sim_attempt *second_attempt, FILE *logs[2], FILE *out)
{
	for (int i = 0; i < 2; i++) {
		struct soq__sim_attempt again = *second_attempt;
		struct soq__sim_outcome o;
		int rc;

		rewind(logs[i]);
		if (ftruncate(fileno(logs[i]), 0) < 0)
			return -EIO;
		again.layout = i == 0 ? 0 : second_attempt->layout;
		again.log = logs[i];
		again.each_event = true;
		again.quiet = true;
		rc = soq__sim_child_run(&again, &o);
		if (rc < 0)
			return rc;
		soq__sim_outcome_done(&o);
	}
	return tell_first_difference(logs[0], logs[1], out);
}

void soq__sim_tell_divergence(const struct soq__sim_attempt *second_attempt,
	const struct soq__sim_outcome *first, const struct soq__sim_outcome *second, FILE *out)
{
	FILE *logs[2] = { soq__sim_memory_file(), soq__sim_memory_file() };
	struct soq__sim_attempt again = *second_attempt;
	int found = 0;

	fprintf(out,
		"soquete: %s: seed %llu diverges: run again with memory laid out otherwise, it"
		" was not the same.\n",
		soq__sim_scenario_name(again.sweep), (unsigned long long)again.seed);
	tell_run("first", first, out);
	tell_run("second", second, out);
	for (int i = 0; logs[0] && logs[1] && i < LAYOUTS_TRIED && found == 0; i++) {
		found = compare_logs(&again, logs, out);
		again.layout++;
	}
	if (found <= 0)
		fputs("  run with a log, they were the same, event by event.\n", out);
	for (int i = 0; i < 2; i++)
		if (logs[i])
			fclose(logs[i]);
}
