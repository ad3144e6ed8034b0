/* fault.c - faults that overlap, end, are taken back by hand; how they are printed; how chaos
 * draws them.
 */
#include "sim/model.h"
#include "sim/link.h"

#include <stdio.h>

static struct soq_sim_host *host_c;

static void open_three(void)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_host_new(&host_c, sim, "c", NULL));
}

static void add(enum soq_sim_fault_kind kind, const char *a, const char *b, int64_t at_s,
	int64_t duration_s, int64_t amount)
{
	const struct soq_sim_fault f = { kind, a, b, at_s * SOQ_S,
		duration_s == SOQ_NEVER ? SOQ_NEVER : duration_s * SOQ_S, amount };

	CHECK_OK(soq_sim_add_fault(sim, &f));
}

/* Let time pass until some milliseconds after a second of the world. */
static void until(int64_t s)
{
	pass(s * SOQ_S + 500 * SOQ_MS - sim->now_ns);
}

static unsigned blocked(struct soq_sim_host *from, struct soq_sim_host *to)
{
	return soq__sim_link_of(from, to)->blocked;
}

/* ---- what is refused ---- */

TEST(sim_fault_refused)
{
	static const struct {
		struct soq_sim_fault fault;
		int rc;
		const char *tells;
	} rows[] = {
		{ { SOQ_SIM_FAULT_KINDS, "a", NULL, 0, 0, 0 }, -EINVAL, "kind 9" },
		{ { SOQ_SIM_CRASH, NULL, NULL, 0, 0, 0 }, -EINVAL, "needs a host" },
		{ { SOQ_SIM_CRASH, "q", NULL, 0, 0, 0 }, -ENOENT, "'q'" },
		{ { SOQ_SIM_LOSS, "a", "q", 0, 0, 0 }, -ENOENT, "'q'" },
		{ { SOQ_SIM_PAUSE, "a", "b", 0, 0, 0 }, -EINVAL, "one host" },
		{ { SOQ_SIM_PARTITION, "a", "a", 0, 0, 0 }, -EINVAL, "between two" },
		{ { SOQ_SIM_RATE, "a", "b", 0, 0, 0 }, -EINVAL, "from 1 to" },
		{ { SOQ_SIM_LOSS, "a", "b", 0, 0, -1 }, -EINVAL, "from 0 to 1000000" },
		{ { SOQ_SIM_LOSS, "a", "b", 0, 0, SOQ_PPM_ONE + 1 }, -EINVAL, "amount" },
		{ { SOQ_SIM_DELAY, "a", "b", 0, 0, -1 }, -EINVAL, "amount" },
		{ { SOQ_SIM_CLOCK_DRIFT, "a", NULL, 0, 0, 500001 }, -EINVAL, "amount" },
		{ { SOQ_SIM_CLOCK_STEP, "a", NULL, 0, 0, INT64_MIN }, -EINVAL, "amount" },
		{ { SOQ_SIM_CRASH, "a", NULL, -1, 0, 0 }, -EINVAL, "not negative" },
		{ { SOQ_SIM_CRASH, "a", NULL, 0, -1, 0 }, -EINVAL, "not negative" },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("row %zu: %s", i, rows[i].tells);
		CHECK_EQ(soq_sim_add_fault(sim, &rows[i].fault), rows[i].rc);
		CHECK(strstr(soq_last_error(), rows[i].tells));
	}
	CHECK_EQ(soq__sim_faults_count(sim), 0);
	CHECK_EQ(soq_sim_partition(host_a, host_a), -EINVAL);
	CHECK_EQ(soq_sim_heal(host_a, host_a), -EINVAL);
	world_close();
}

TEST(sim_fault_names)
{
	for (int i = 0; i < SOQ_SIM_FAULT_KINDS; i++)
		for (int k = 0; k < i; k++)
			CHECK(strcmp(soq_sim_fault_name((enum soq_sim_fault_kind)i),
				soq_sim_fault_name((enum soq_sim_fault_kind)k)));
	CHECK_STR(soq_sim_fault_name(SOQ_SIM_CLOCK_DRIFT), "clock drift");
	CHECK_STR(soq_sim_fault_name(SOQ_SIM_FAULT_KINDS), "?");
}

/* ---- between hosts ---- */

TEST(sim_fault_partitions_overlap)
{
	open_three();
	add(SOQ_SIM_PARTITION, "a", NULL, 1, 5, 0);
	add(SOQ_SIM_PARTITION, "b", "a", 2, 1, 0);
	add(SOQ_SIM_PARTITION_ONE, "b", "c", 2, 2, 0);
	until(0);
	CHECK_EQ(blocked(host_a, host_b), 0);
	until(1);
	CHECK_EQ(blocked(host_a, host_b), 1);
	CHECK_EQ(blocked(host_c, host_a), 1);
	CHECK_EQ(blocked(host_b, host_c), 0);
	until(2);
	CHECK_EQ(blocked(host_a, host_b), 2);
	CHECK_EQ(blocked(host_b, host_a), 2);
	CHECK_EQ(blocked(host_b, host_c), 1);
	CHECK_EQ(blocked(host_c, host_b), 0);
	until(3);
	CHECK_EQ(blocked(host_a, host_b), 1);
	until(6);
	CHECK_EQ(blocked(host_a, host_b), 0);
	CHECK_EQ(blocked(host_b, host_c), 0);
	world_close();
}

/* A partition that was healed by hand takes nothing back when its time is over; one that was
 * made by hand stays. */
TEST(sim_fault_healed_by_hand)
{
	open_three();
	add(SOQ_SIM_PARTITION, "a", NULL, 1, 5, 0);
	add(SOQ_SIM_PARTITION, "a", "b", 3, 5, 0);
	until(1);
	CHECK_OK(soq_sim_heal(host_a, host_b));
	CHECK_EQ(blocked(host_a, host_b), 0);
	CHECK_EQ(blocked(host_b, host_a), 0);
	CHECK_EQ(blocked(host_a, host_c), 1);
	until(2);
	CHECK_OK(soq_sim_partition(host_b, host_a));
	until(3);
	CHECK_EQ(blocked(host_a, host_b), 2);
	until(6); /* the first has ended */
	CHECK_EQ(blocked(host_a, host_b), 2);
	CHECK_EQ(blocked(host_a, host_c), 0);
	until(8); /* and the second */
	CHECK_EQ(blocked(host_a, host_b), 1);
	CHECK_EQ(blocked(host_b, host_a), 1);
	world_close();
}

TEST(sim_fault_links_worsen)
{
	struct soq__sim_link_state *ab, *ba, *ac, *bc;

	open_three();
	ab = soq__sim_link_of(host_a, host_b);
	ba = soq__sim_link_of(host_b, host_a);
	ac = soq__sim_link_of(host_a, host_c);
	bc = soq__sim_link_of(host_b, host_c);
	add(SOQ_SIM_LOSS, "a", "b", 1, 2, 500000);
	add(SOQ_SIM_LOSS, "a", NULL, 2, 2, 600000);
	add(SOQ_SIM_DELAY, "b", "a", 1, SOQ_NEVER, 1500);
	add(SOQ_SIM_RATE, "a", "b", 1, 3, 2000);
	add(SOQ_SIM_RATE, "a", "b", 2, 1, 1000);
	add(SOQ_SIM_RATE, "a", "b", 2, 1, 3000);
	until(1);
	CHECK_EQ(ab->extra_loss_ppm, 500000);
	CHECK_EQ(ba->extra_delay_ns, 1500);
	CHECK_EQ(ab->limit_bytes_s, 2000);
	until(2);
	CHECK_EQ(ba->extra_loss_ppm, 1100000);
	CHECK_EQ(ac->extra_loss_ppm, 600000);
	CHECK_EQ(bc->extra_loss_ppm, 0);
	CHECK_EQ(ba->limit_bytes_s, 1000);
	until(3);
	CHECK_EQ(ab->extra_loss_ppm, 600000);
	CHECK_EQ(ab->limit_bytes_s, 2000);
	until(4);
	CHECK_EQ(ab->extra_loss_ppm, 0);
	CHECK_EQ(ac->extra_loss_ppm, 0);
	CHECK_EQ(ab->limit_bytes_s, 0);
	CHECK_EQ(ab->extra_delay_ns, 1500);
	CHECK_EQ(ac->extra_delay_ns, 0);
	world_close();
}

/* "Every other" are those that are there when it begins: also when it ends. */
TEST(sim_fault_spares_later_hosts)
{
	world_open(1, NULL);
	add(SOQ_SIM_PARTITION, "a", NULL, 1, 2, 0);
	add(SOQ_SIM_LOSS, "a", NULL, 1, 2, 1000);
	add(SOQ_SIM_RATE, "a", NULL, 1, 5, 1000);
	until(1);
	CHECK_OK(soq_sim_host_new(&host_c, sim, "c", NULL));
	CHECK_EQ(blocked(host_a, host_c), 0);
	until(3);
	CHECK_EQ(blocked(host_a, host_b), 0);
	CHECK_EQ(blocked(host_a, host_c), 0);
	CHECK_EQ(soq__sim_link_of(host_c, host_a)->extra_loss_ppm, 0);
	/* The rate that still limits a's links is none for this one. */
	add(SOQ_SIM_RATE, "c", "a", 4, 1, 5000);
	until(4);
	CHECK_EQ(soq__sim_link_of(host_a, host_b)->limit_bytes_s, 1000);
	CHECK_EQ(soq__sim_link_of(host_a, host_c)->limit_bytes_s, 5000);
	world_close();
}

/* ---- of one host ---- */

/* What crashes while it is down stays down as long as the first said; a pause lasts until the
 * last has ended, and not into the next life. */
TEST(sim_fault_crashes_and_pauses_overlap)
{
	open_three();
	add(SOQ_SIM_CRASH, "b", NULL, 3, 2, 0);
	add(SOQ_SIM_CRASH, "b", NULL, 4, 5, 0);
	add(SOQ_SIM_PAUSE, "b", NULL, 2, 20, 0);
	add(SOQ_SIM_PAUSE, "b", NULL, 6, 1, 0);
	add(SOQ_SIM_PAUSE, "c", NULL, 1, 3, 0);
	add(SOQ_SIM_PAUSE, "c", NULL, 2, 4, 0);
	until(2);
	CHECK(host_b->paused);
	until(4);
	CHECK(!host_b->up);
	CHECK(host_c->paused);
	until(5);
	CHECK(host_b->up);
	CHECK(!host_b->paused);
	CHECK(host_c->paused);
	until(6);
	CHECK(host_b->paused);
	CHECK(!host_c->paused);
	until(7);
	CHECK(!host_b->paused);
	until(30);
	CHECK_EQ(host_b->lives, 2);
	world_close();
}

/* A host that was restarted by hand is up when its crash is over. */
TEST(sim_fault_restarted_by_hand)
{
	world_open(1, NULL);
	add(SOQ_SIM_CRASH, "b", NULL, 1, 5, 0);
	until(1);
	CHECK_EQ(soq_sim_pause(host_b), -EHOSTDOWN);
	CHECK_EQ(soq_sim_resume(host_b), -EHOSTDOWN);
	CHECK_EQ(soq_sim_spawn(host_b, NULL, NULL), -EHOSTDOWN);
	CHECK_OK(soq_sim_restart(host_b));
	until(7);
	CHECK(host_b->up);
	CHECK_EQ(host_b->lives, 2);
	world_close();
}

/* An instant that has passed is now. */
TEST(sim_fault_late)
{
	world_open(1, NULL);
	until(10);
	add(SOQ_SIM_CRASH, "b", NULL, 1, 2, 0);
	CHECK(host_b->up);
	pass(0);
	CHECK(!host_b->up);
	until(11);
	CHECK(!host_b->up);
	until(12);
	CHECK(host_b->up);
	world_close();
}

/* ---- programs ---- */

/* What is in the process survives a crash. */
static int starts, suicides;
static int64_t answered_ns[2];

static int sleeper(void *arg)
{
	(void)arg;
	starts++;
	return (int)soq_sleep(10 * SOQ_S);
}

static bool restarted(void *arg)
{
	(void)arg;
	return starts == 2;
}

/* A program that has not ended begins anew; one that has does not. */
TEST(sim_fault_crash_restarts_programs)
{
	world_open(1, NULL);
	add(SOQ_SIM_CRASH, "a", NULL, 4, 2, 0);
	add(SOQ_SIM_CRASH, "a", NULL, 20, 2, 0);
	CHECK_OK(soq_sim_spawn(host_a, sleeper, NULL));
	CHECK_EQ(soq_sim_run_until(sim, SOQ_NEVER, restarted, NULL), SOQ_SIM_HALTED);
	CHECK(soq_sim_now(sim) >= 6 * SOQ_S && soq_sim_now(sim) < 6 * SOQ_S + SOQ_MS);
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK(soq_sim_now(sim) >= 16 * SOQ_S && soq_sim_now(sim) < 16 * SOQ_S + SOQ_MS);
	pass(60 * SOQ_S);
	CHECK_EQ(starts, 2);
	world_close();
}

static int suicide(void *arg)
{
	(void)arg;
	CHECK_OK(soq_sleep(SOQ_S));
	if (suicides++ < 2) {
		soq_sim_crash(soq_sim_here());
		CHECK(!"a program goes on after its host's crash");
	}
	return 0;
}

TEST(sim_fault_crash_of_oneself)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_spawn(host_a, suicide, NULL));
	for (int i = 1; i <= 2; i++) {
		soq_sim_run(sim, SOQ_NEVER);
		CHECK(!host_a->up);
		CHECK_EQ(suicides, i);
		CHECK_OK(soq_sim_restart(host_a));
	}
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(suicides, 3);
	CHECK_EQ(soq_sim_now(sim) / SOQ_S, 3);
	world_close();
}

static int answer(void *arg)
{
	struct soq_listener *l;
	struct soq_stream *s;
	char byte;

	(void)arg;
	CHECK_OK(soq_listen(&l, "tcp://:7", NULL));
	CHECK_OK(soq_accept(&s, l));
	while (soq_recv(s, &byte, 1) == 1)
		CHECK_OK(soq_send(s, &byte, 1));
	soq_close(s);
	soq_listener_close(l);
	return 0;
}

static int ask(void *arg)
{
	struct soq_stream *s;
	char byte = 'x';

	(void)arg;
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_OK(soq_connect(&s, "tcp://b:7"));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(soq_send(s, &byte, 1), 1);
		CHECK_EQ(soq_recv(s, &byte, 1), 1);
		answered_ns[i] = soq_sim_now(sim);
		CHECK_OK(soq_sleep(SOQ_S));
	}
	soq_close(s);
	return 0;
}

/* While its programs stand still a host's kernel acknowledges: nothing is sent twice, and the
 * answer comes when they go on. */
TEST(sim_fault_pause_spares_the_kernel)
{
	world_open(1, NULL);
	add(SOQ_SIM_PAUSE, "b", NULL, 2, 20, 0);
	CHECK_OK(soq_sim_spawn(host_b, answer, NULL));
	CHECK_OK(soq_sim_spawn(host_a, ask, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(answered_ns[0] / SOQ_S, 1);
	CHECK(answered_ns[1] >= 22 * SOQ_S && answered_ns[1] < 22 * SOQ_S + 10 * SOQ_MS);
	/* A handshake of 3, two times 4 segments at most, and 4 at the end. */
	CHECK(fates[SOQ__SIM_ARRIVES] <= 15);
	world_close();
}

/* ---- as text ---- */

/* Reads initializers as a compiler would, of what is printed: ".name = 5 * SOQ_MS, ...". */
struct reader {
	const char *at;
	char name[32];
	char word[64]; /* a value that is no number */
	int64_t value;
};

static void skip(struct reader *r)
{
	r->at += strspn(r->at, " \t\n,{}");
}

static size_t take_word(char *to, size_t room, const char *from)
{
	size_t len = strcspn(from, " \t\n,}");

	CHECK(len < room);
	memcpy(to, from, len);
	to[len] = '\0';
	return len;
}

static int64_t unit(const char *name)
{
	if (strcmp(name, "SOQ_S") == 0)
		return SOQ_S;
	if (strcmp(name, "SOQ_MS") == 0)
		return SOQ_MS;
	CHECK_STR(name, "SOQ_US");
	return SOQ_US;
}

static int64_t constant(const char *word)
{
	if (strcmp(word, "SOQ_NEVER") == 0)
		return SOQ_NEVER;
	if (strcmp(word, "UINT64_MAX") == 0)
		return -1; /* the same bits */
	return strcmp(word, "true") == 0;
}

/* The next designator and its value. @return false at the end of an initializer */
static bool read_field(struct reader *r)
{
	char word[64];
	char *end;

	r->at += strspn(r->at, " \t\n,");
	if (*r->at != '.')
		return false;
	r->at += 1 + take_word(r->name, sizeof(r->name), r->at + 1);
	r->at += strspn(r->at, " =");
	take_word(r->word, sizeof(r->word), r->at);
	r->value = strtoll(r->at, &end, 10);
	if (end == r->at) {
		r->value = constant(r->word);
		end += strlen(r->word);
	}
	r->at = end;
	if (strncmp(r->at, " * ", 3) == 0) {
		r->at += 3;
		r->at += take_word(word, sizeof(word), r->at);
		r->value *= unit(word);
	}
	return true;
}

static enum soq_sim_fault_kind kind_of(const char *word)
{
	static const char *const words[SOQ_SIM_FAULT_KINDS] = { "SOQ_SIM_PARTITION",
		"SOQ_SIM_PARTITION_ONE", "SOQ_SIM_CRASH", "SOQ_SIM_PAUSE", "SOQ_SIM_CLOCK_STEP",
		"SOQ_SIM_CLOCK_DRIFT", "SOQ_SIM_LOSS", "SOQ_SIM_DELAY", "SOQ_SIM_RATE" };

	for (int i = 0; i < SOQ_SIM_FAULT_KINDS; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum soq_sim_fault_kind)i;
	CHECK_STR(word, "a kind of fault");
	return SOQ_SIM_FAULT_KINDS;
}

/* A name in quotes, kept until the next world. */
static const char *host_named(const char *word)
{
	char name[64];
	size_t len = strlen(word);

	CHECK(len >= 2 && word[0] == '"' && word[len - 1] == '"');
	memcpy(name, word + 1, len - 2);
	name[len - 2] = '\0';
	return soq_sim_host_find(sim, name)->name;
}

static struct soq_sim_fault read_fault(struct reader *r)
{
	struct soq_sim_fault f = { 0 };

	skip(r);
	while (read_field(r)) {
		if (strcmp(r->name, "kind") == 0)
			f.kind = kind_of(r->word);
		else if (strcmp(r->name, "a") == 0)
			f.a = host_named(r->word);
		else if (strcmp(r->name, "b") == 0)
			f.b = host_named(r->word);
		else if (strcmp(r->name, "at_ns") == 0)
			f.at_ns = r->value;
		else if (strcmp(r->name, "duration_ns") == 0)
			f.duration_ns = r->value;
		else if (strcmp(r->name, "amount") == 0)
			f.amount = r->value;
		else
			CHECK_STR(r->name, "a field of a fault");
	}
	return f;
}

/* Every field of a link; @x  a macro of a field's name */
/* clang-format off */
#define LINK_FIELDS(x)                                                                     \
	x(latency_ns) x(jitter_ns) x(rate_bytes_s) x(burst_bytes) x(queue_bytes) x(codel)  \
	x(loss_ppm) x(burst_enter_ppm) x(burst_leave_ppm) x(burst_loss_ppm) x(lose_nth)    \
	x(duplicate_ppm) x(reorder_ppm) x(reorder_ns) x(corrupt_ppm) x(mtu)
/* clang-format on */

#define SET(member)                        \
	if (strcmp(r->name, #member) == 0) \
		link.member = (__typeof__(link.member))r->value;
#define SAME(member) CHECK_EQ(link.member, sim->opt.link.member);

static struct soq_sim_link read_link(struct reader *r)
{
	struct soq_sim_link link = { 0 };

	while (read_field(r)) {
		LINK_FIELDS(SET)
	}
	return link;
}

static void check_faults(const char *text)
{
	struct reader r = { .at = text };

	for (size_t i = 0; i < soq__sim_faults_count(sim); i++) {
		struct soq_sim_fault got = read_fault(&r), want = soq__sim_fault_at(sim, i);

		CHECK_EQ(got.kind, want.kind);
		CHECK(got.a == want.a && got.b == want.b);
		CHECK_EQ(got.at_ns, want.at_ns);
		CHECK_EQ(got.duration_ns, want.duration_ns);
		CHECK_EQ(got.amount, want.amount);
	}
	skip(&r);
	CHECK_STR(r.at, "");
}

static void check_link(const char *text)
{
	struct reader r = { .at = text };
	struct soq_sim_link link = read_link(&r);

	CHECK_STR(r.at, "");
	soq__sim_link_fill(&link, false);
	LINK_FIELDS(SAME)
}

/* As much trouble of every kind as there may be. */
static struct soq_sim_chaos all_trouble(uint64_t seed)
{
	return (struct soq_sim_chaos){
		.partitions_max = 3,
		.crashes_max = 3,
		.pauses_max = 3,
		.clock_steps_max = 3,
		.drifts_max = 3,
		.link_changes_max = 4,
		.spare = "b  c",
		.worst = { .latency_ns = 50 * SOQ_MS,
			.jitter_ns = 20 * SOQ_MS,
			.rate_bytes_s = 20000,
			.burst_bytes = seed % 2 ? 600 : 0,
			.queue_bytes = seed % 3 ? 20000 : UINT64_MAX,
			.codel = true,
			.loss_ppm = 50000,
			.burst_enter_ppm = 2000,
			.burst_leave_ppm = 100000,
			.burst_loss_ppm = seed % 2 ? 500000 : 0,
			.lose_nth = 50,
			.duplicate_ppm = 20000,
			.reorder_ppm = 20000,
			.reorder_ns = seed % 5 ? 0 : SOQ_MS,
			.corrupt_ppm = 5000,
			.mtu = 576 },
	};
}

/* What is printed of the faults and the link of a world, read back, is the same to the
 * nanosecond: this is what a failing seed is told as. */
TEST(sim_fault_printed)
{
	static const struct soq_sim_fault by_hand[] = {
		{ SOQ_SIM_PARTITION, "a", NULL, 5, SOQ_NEVER, -5 },
		{ SOQ_SIM_CLOCK_STEP, "a", NULL, INT64_MAX - 1, 0, -1 },
		{ SOQ_SIM_DELAY, "a", "c", 999999999, 1001, 1001 * SOQ_US },
		{ SOQ_SIM_RATE, "c", "b", 0, SOQ_US, INT64_MAX },
	};

	for (uint64_t seed = 1; seed <= test_scale(200); seed++) {
		struct soq_sim_chaos chaos = all_trouble(seed);
		char *text;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		ROW("seed %u", (unsigned)seed);
		CHECK(out);
		world_open(seed, NULL);
		CHECK_OK(soq_sim_host_new(&host_c, sim, "c", NULL));
		CHECK_OK(soq_sim_add_chaos(sim, &chaos));
		for (size_t i = 0; i < 4; i++)
			CHECK_OK(soq_sim_add_fault(sim, &by_hand[i]));
		soq__sim_faults_print(sim, out, "\t");
		fputc('\0', out);
		soq__sim_link_print(&sim->opt.link, out, "\t\t");
		CHECK_EQ(fclose(out), 0);
		check_faults(text);
		check_link(text + strlen(text) + 1);
		free(text);
		world_close();
	}
}

/* ---- chaos ---- */

static bool is_of_host(enum soq_sim_fault_kind kind)
{
	return kind == SOQ_SIM_CRASH || kind == SOQ_SIM_PAUSE;
}

static void check_drawn(const struct soq_sim_fault *f)
{
	if (is_of_host(f->kind))
		CHECK_STR(f->a, "a");
	CHECK(f->at_ns >= 0 && f->at_ns <= 30 * SOQ_S);
	CHECK(f->duration_ns >= 0 && f->duration_ns <= 10 * SOQ_S);
	CHECK_EQ(f->at_ns % SOQ_US, 0);
}

/* Every kind is drawn, hosts that are to be spared are, and when all is over nothing is left
 * of it but the steps of clocks. */
TEST(sim_chaos_bounds)
{
	unsigned kinds[SOQ_SIM_FAULT_KINDS] = { 0 };

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct soq_sim_chaos chaos = all_trouble(seed);

		ROW("seed %u", (unsigned)seed);
		world_open(seed, NULL);
		CHECK_OK(soq_sim_host_new(&host_c, sim, "c", NULL));
		CHECK_OK(soq_sim_add_chaos(sim, &chaos));
		for (size_t i = 0; i < soq__sim_faults_count(sim); i++) {
			struct soq_sim_fault f = soq__sim_fault_at(sim, i);

			CHECK(soq__sim_fault_is_drawn(sim, i));
			check_drawn(&f);
			kinds[f.kind]++;
		}
		CHECK_OK(soq__sim_link_check(&sim->opt.link, "what was drawn"));
		pass(41 * SOQ_S);
		CHECK_EQ(sim->events.count, 0);
		CHECK(host_a->up && !host_a->paused);
		for (size_t i = 0; i < 3; i++) {
			CHECK_EQ(sim->hosts[i]->drift_ppm, 0);
			CHECK_EQ(blocked(sim->hosts[i], sim->hosts[(i + 1) % 3]), 0);
		}
		world_close();
	}
	for (int i = 0; i < SOQ_SIM_FAULT_KINDS; i++) {
		ROW("%s", soq_sim_fault_name((enum soq_sim_fault_kind)i));
		CHECK(kinds[i] > 30);
	}
}

/* Half of the worlds lack a kind of trouble of the link. */
TEST(sim_chaos_absences)
{
	unsigned lossless = 0, unlimited = 0, both = 0;

	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct soq_sim_chaos chaos = all_trouble(seed);

		world_open(seed, NULL);
		CHECK_OK(soq_sim_host_new(&host_c, sim, "c", NULL));
		CHECK_OK(soq_sim_add_chaos(sim, &chaos));
		lossless += !sim->opt.link.loss_ppm;
		unlimited += !sim->opt.link.rate_bytes_s;
		both += !sim->opt.link.loss_ppm && !sim->opt.link.rate_bytes_s;
		world_close();
	}
	ROW("of 400: %u without loss, %u without a rate, %u without both", lossless, unlimited,
		both);
	CHECK(lossless > 160 && lossless < 240);
	CHECK(unlimited > 160 && unlimited < 240);
	CHECK(both > 70 && both < 130);
}

/* More crashes leave the other faults as they were, and the former crashes, too. */
TEST(sim_chaos_kinds_are_apart)
{
	struct soq_sim_chaos few = { .crashes_max = 1, .partitions_max = 9 },
			     many = { .crashes_max = 9, .partitions_max = 9 };
	char *text[2];
	size_t len[2];

	for (int i = 0; i < 2; i++) {
		FILE *out = open_memstream(&text[i], &len[i]);

		world_open(3, NULL);
		CHECK_OK(soq_sim_add_chaos(sim, i ? &many : &few));
		for (size_t k = 0; k < soq__sim_faults_count(sim); k++) {
			struct soq_sim_fault f = soq__sim_fault_at(sim, k);

			if (!is_of_host(f.kind))
				soq__sim_fault_print(&f, out, "");
		}
		CHECK_EQ(fclose(out), 0);
		world_close();
	}
	CHECK(len[0] > 200);
	CHECK_STR(text[0], text[1]);
	free(text[0]);
	free(text[1]);
}

TEST(sim_chaos_refused)
{
	static const struct soq_sim_chaos rows[] = {
		{ .spare = "nobody" },
		{ .spare = "a nobody b" },
		{ .crashes_max = 10001 },
		{ .from_ns = 2, .until_ns = 1 },
		{ .from_ns = -1, .until_ns = 1 },
		{ .until_ns = SOQ_NEVER },
		{ .duration_max_ns = -1 },
		{ .worst = { .mtu = 1 } },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("row %zu", i);
		CHECK_EQ(soq_sim_add_chaos(sim, &rows[i]), -EINVAL);
	}
	CHECK_EQ(soq__sim_faults_count(sim), 0);
	world_close();
}
