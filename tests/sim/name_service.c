/* name_service.c - a world's name service, question by question: the messages, byte by byte,
 * and how long they take.
 */
#include "model.h"

#include <soquete/error.h>

enum { A = 1, PTR = 12, MX = 15, AAAA = 28 };

static const struct soq_sim_options slow = {
	.link = { .latency_ns = 10 * SOQ_MS, .jitter_ns = 5 * SOQ_MS, .loss_ppm = 300000 },
};

static int ask(const char *name, unsigned type, char buf[512], int64_t *ret_delay_ns)
{
	*ret_delay_ns = -1;
	return soq__sim_answer(&driver->base, name, type, buf, 512, ret_delay_ns);
}

#define BYTES(literal) literal, sizeof(literal) - 1

#define HEAD(rcode, answers) "\0\0\x81" rcode "\0\1\0" answers "\0\0\0\0"
#define OK		     "\x80"
#define SERVFAIL	     "\x82"
#define NXDOMAIN	     "\x83"
#define NAME		     "\xc0\x0c"
#define MINUTE		     "\0\0\0\x3c"

TEST(sim_names_messages)
{
	static const struct {
		const char *what, *name;
		unsigned type;
		const char *want;
		size_t len;
	} rows[] = {
		{ "A", "b", A,
			BYTES(HEAD(OK, "\1") "\1b\0\0\1\0\1" NAME "\0\1\0\1" MINUTE
					     "\0\4\x0a\0\0\2") },
		{ "AAAA", "b", AAAA,
			BYTES(HEAD(OK, "\1") "\1b\0\0\x1c\0\1" NAME "\0\x1c\0\1" MINUTE
					     "\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2") },
		{ "letters", "B", A,
			BYTES(HEAD(OK, "\1") "\1B\0\0\1\0\1" NAME "\0\1\0\1" MINUTE
					     "\0\4\x0a\0\0\2") },
		{ "unknown", "c.it", A, BYTES(HEAD(NXDOMAIN, "\0") "\1c\2it\0\0\1\0\1") },
		{ "several", "www.it", A,
			BYTES(HEAD(OK, "\2") "\3www\2it\0\0\1\0\1" NAME "\0\1\0\1" MINUTE
					     "\0\4\xc0\0\2\1" NAME "\0\1\0\1" MINUTE
					     "\0\4\xc0\0\2\2") },
		{ "no record", "www.it", AAAA, BYTES(HEAD(OK, "\0") "\3www\2it\0\0\x1c\0\1") },
		{ "no address", "none.it", A, BYTES(HEAD(OK, "\0") "\4none\2it\0\0\1\0\1") },
		{ "error for A", "bad.it", A,
			BYTES(HEAD(SERVFAIL, "\0") "\3bad\2it\0\0\1\0\1") },
		{ "error for AAAA", "bad.it", AAAA,
			BYTES(HEAD(NXDOMAIN, "\0") "\3bad\2it\0\0\x1c\0\1") },
		{ "a host's, who is not there", "d", A,
			BYTES(HEAD(NXDOMAIN, "\0") "\1d\0\0\1\0\1") },
		{ "PTR of IPv4", "2.0.0.10.in-addr.arpa", PTR,
			BYTES(HEAD(OK, "\1") "\1"
					     "2\1"
					     "0\1"
					     "0\2"
					     "10\7in-addr\4arpa\0\0\x0c\0\1" NAME
					     "\0\x0c\0\1" MINUTE "\0\3\1b\0") },
		{ "PTR of nobody", "9.0.0.10.in-addr.arpa", PTR,
			BYTES(HEAD(NXDOMAIN, "\0") "\1"
						   "9\1"
						   "0\1"
						   "0\2"
						   "10\7in-addr\4arpa\0\0\x0c\0\1") },
		{ "PTR of what is no byte", "256.0.0.10.in-addr.arpa", PTR,
			BYTES(HEAD(NXDOMAIN, "\0") "\3"
						   "256\1"
						   "0\1"
						   "0\2"
						   "10\7in-addr\4arpa\0\0\x0c\0\1") },
		{ "PTR of no address", "b", PTR,
			BYTES(HEAD(NXDOMAIN, "\0") "\1b\0\0\x0c\0\1") },
	};
	char got[512];
	int64_t delay_ns;

	world_open(1, NULL);
	CHECK_OK(soq_sim_name(
		sim, "WWW.it", &(struct soq_sim_name){ .addresses = "192.0.2.1 192.0.2.2" }));
	CHECK_OK(soq_sim_name(sim, "none.it", &(struct soq_sim_name){ .addresses = "" }));
	CHECK_OK(soq_sim_name(sim, "bad.it",
		&(struct soq_sim_name){ .addresses = "192.0.2.1 2001:db8::1",
			.error_ipv4 = -SOQ_ENAMEFAIL,
			.error_ipv6 = -SOQ_ENONAME }));
	CHECK_OK(soq_sim_name(sim, "d", &(struct soq_sim_name){ .delay_ipv4_ns = 1 }));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].what);
		CHECK_EQ(ask(rows[i].name, rows[i].type, got, &delay_ns), rows[i].len);
		CHECK_MEM(got, rows[i].want, rows[i].len);
	}
	world_close();
}

TEST(sim_names_ptr_ipv6)
{
	static const char name[] = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
				   "0.0.D.f.ip6.arpa";
	char got[512];
	int64_t delay_ns;
	int n;

	world_open(1, NULL);
	n = ask(name, PTR, got, &delay_ns);
	CHECK(n > 3);
	CHECK_MEM(got, "\0\0\x81\x80\0\1\0\1", 8);
	CHECK_MEM(got + n - 5, "\0\3\1b", 5);
	n = ask(name + 2, PTR, got, &delay_ns);
	CHECK(n > 3);
	CHECK_MEM(got, "\0\0\x81\x83", 4);
	world_close();
}

TEST(sim_names_refused)
{
	static const char *const labels64 =
		"1234567890123456789012345678901234567890123456789012345678901234.it";
	static const struct {
		const char *name;
		struct soq_sim_name how;
	} rows[] = {
		{ "", { 0 } },
		{ ".", { 0 } },
		{ "a..it", { 0 } },
		{ "a.it.", { 0 } },
		{ "a b", { 0 } },
		{ "caf\xc3\xa9.it", { 0 } },
		{ "localhost", { 0 } },
		{ "10.0.0.1", { 0 } },
		{ "a.it", { .addresses = "10.0.0.1 10.0.0" } },
		{ "a.it", { .addresses = "b" } },
		{ "a.it", { .delay_ipv4_ns = -1 } },
		{ "a.it", { .delay_ipv6_ns = SOQ_NEVER - 1 } },
		{ "a.it", { .error_ipv4 = -ETIMEDOUT } },
		{ "a.it", { .error_ipv6 = SOQ_ENONAME } },
	};
	char buf[512];
	int64_t delay_ns;

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu '%s'", i, rows[i].name);
		CHECK_ERR(soq_sim_name(sim, rows[i].name, &rows[i].how), -EINVAL);
		CHECK(*soq_last_error());
	}
	CHECK_ERR(soq_sim_name(sim, labels64, &rows[0].how), -EINVAL);
	ROW("asked");
	CHECK_ERR(ask(labels64, A, buf, &delay_ns), -SOQ_ENONAME);
	CHECK_ERR(ask("b", MX, buf, &delay_ns), -SOQ_ESIMULATED);
	CHECK_EQ(delay_ns, 0);
	CHECK_ERR(soq__sim_answer(&driver->base, "b", A, buf, 20, &delay_ns), -EMSGSIZE);
	/* What was refused has changed nothing. */
	CHECK(ask("a.it", A, buf, &delay_ns) > 0);
	CHECK_MEM(buf, "\0\0\x81\x83", 4);
	world_close();
}

/* The last word counts, and can be taken back. */
TEST(sim_names_said_again)
{
	char buf[512];
	int64_t delay_ns;

	world_open(1, NULL);
	CHECK_OK(soq_sim_name(sim, "b",
		&(struct soq_sim_name){ .addresses = "192.0.2.7", .delay_ipv4_ns = 7 }));
	CHECK(ask("b", A, buf, &delay_ns) > 0);
	CHECK_EQ(delay_ns, 7);
	CHECK_MEM(buf + 31, "\xc0\0\2\7", 4);
	CHECK_OK(soq_sim_name(sim, "B", &(struct soq_sim_name){ .delay_ipv4_ns = SOQ_NEVER }));
	CHECK(ask("b", A, buf, &delay_ns) > 0);
	CHECK_EQ(delay_ns, SOQ_NEVER);
	CHECK_MEM(buf + 31, "\x0a\0\0\2", 4);
	CHECK_OK(soq_sim_name(sim, "b", NULL));
	CHECK_OK(soq_sim_name(sim, "b", NULL));
	CHECK(ask("b", A, buf, &delay_ns) > 0);
	CHECK_EQ(delay_ns, 2 * SOQ_MS);
	world_close();
}

/* A question's chance is its own: what is said of a name does not shift it. */
TEST(sim_names_drawn)
{
	enum { QUESTIONS = 2000 };
	static int64_t first[QUESTIONS];
	char buf[512];
	unsigned lost = 0;

	for (unsigned round = 0; round < 2; round++) {
		world_open(7, &slow);
		if (round)
			CHECK_OK(soq_sim_name(
				sim, "b", &(struct soq_sim_name){ .delay_ipv6_ns = 1 }));
		for (unsigned i = 0; i < QUESTIONS; i++) {
			int64_t delay_ns;

			ROW("round %u, question %u", round, i);
			CHECK(ask("b", i % 2 ? A : AAAA, buf, &delay_ns) > 0);
			if (!round)
				first[i] = delay_ns;
			else
				CHECK_EQ(delay_ns, i % 2 ? first[i] : 1);
		}
		world_close();
	}
	for (unsigned i = 0; i < QUESTIONS; i++) {
		int64_t rest_ns = first[i] % (5 * SOQ_S);

		ROW("question %u", i);
		CHECK(rest_ns >= 20 * SOQ_MS && rest_ns <= 30 * SOQ_MS);
		lost += first[i] > 5 * SOQ_S;
	}
	/* Each way loses 30 %, so 51 % are to be asked for again: 1,020 of 2,000. */
	ROW("lost");
	CHECK(lost > 900 && lost < 1140);
}

TEST(sim_names_all_lost)
{
	const struct soq_sim_options opt = { .link = { .loss_ppm = SOQ_PPM_ONE } };
	const struct soq_sim_options prompt = { .link = { .loss_ppm = SOQ_PPM_ONE },
		.prompt_offload = true };
	char buf[512];
	int64_t delay_ns;

	world_open(1, &opt);
	CHECK(ask("b", A, buf, &delay_ns) > 0);
	CHECK_EQ(delay_ns, SOQ_NEVER);
	world_close();
	world_open(1, &prompt);
	CHECK(ask("b", A, buf, &delay_ns) > 0);
	CHECK_EQ(delay_ns, 0);
	world_close();
}

/* What was answered is in the digest, and a line of the log. */
TEST(sim_names_seen)
{
	char buf[512], *log = NULL;
	size_t log_len = 0;
	int64_t delay_ns;
	uint64_t digests[3];
	FILE *file = open_memstream(&log, &log_len);

	world_open(1, NULL);
	CHECK_OK(soq_sim_log(sim, file));
	CHECK_OK(soq_sim_name(sim, "hole.it",
		&(struct soq_sim_name){
			.addresses = "192.0.2.1", .delay_ipv6_ns = SOQ_NEVER }));
	digests[0] = sim->digest;
	ask("b", AAAA, buf, &delay_ns);
	digests[1] = sim->digest;
	ask("b", A, buf, &delay_ns);
	digests[2] = sim->digest;
	CHECK(digests[0] != digests[1] && digests[1] != digests[2]);
	ask("c.it", A, buf, &delay_ns);
	ask("hole.it", A, buf, &delay_ns);
	ask("hole.it", AAAA, buf, &delay_ns);
	ask("1.0.0.10.in-addr.arpa", PTR, buf, &delay_ns);
	world_close();
	CHECK(fclose(file) == 0);
	CHECK(strstr(log, "  DNS AAAA b: fd00::2 in 2 ms\n"));
	CHECK(strstr(log, "  DNS A b: 10.0.0.2 in 2 ms\n"));
	CHECK(strstr(log, "  DNS A c.it: no such name in 2 ms\n"));
	CHECK(strstr(log, "  DNS A hole.it: 192.0.2.1 in 2 ms\n"));
	CHECK(strstr(log, "  DNS AAAA hole.it: no answer\n"));
	CHECK(strstr(log, "  DNS PTR 1.0.0.10.in-addr.arpa: a in 2 ms\n"));
	free(log);
}
