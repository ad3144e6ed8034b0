/* test.h - cases that register themselves, and what they check with.
 *
 * A test file is a list of cases and nothing else; the harness (test.c) holds main.
 * Every case runs in a process of its own, so it may crash, hang, leak or change
 * its limits without harm to the next. A case fails when a CHECK does, when its
 * process dies or does not end in time, when it leaves a descriptor open or a
 * process running.
 *
 *	TEST(list_pop_empty)
 *	{
 *		struct soq__list l;
 *
 *		soq__list_init(&l);
 *		CHECK_EQ(soq__list_length(&l), 0);
 *	}
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>

/** A case that runs once. */
#define TEST(name) TEST__CASE(name, TEST__ONCE, false, NULL)

/**
 * A case that runs once per engine, with SOQUETE_ENGINE set before it starts: on epoll, on
 * io_uring, and on the simulated network under each of three seeds (SOQUETE_SEED). The
 * latter are shown as "name [sim:2]".
 */
#define CONTRACT(name) TEST__CASE(name, TEST__EVERYWHERE, false, NULL)

/**
 * A case that runs once per engine and shape; test_shape() says which shape. Simulated
 * hosts know the iterative and the fiber shape only.
 */
#define CONTRACT_SHAPES(name) TEST__CASE(name, TEST__EVERYWHERE, true, NULL)

/**
 * The same without the simulated network. @why says what the case needs that a simulated
 * host refuses by its nature: descriptors of the kernel, processes, threads, real signals.
 */
#define CONTRACT_KERNEL(name, why)	  TEST__CASE(name, TEST__KERNEL, false, why)
#define CONTRACT_SHAPES_KERNEL(name, why) TEST__CASE(name, TEST__KERNEL, true, why)

/** A case that runs on the simulated network only, under each seed: time is exact there. */
#define SIM(name) TEST__CASE(name, TEST__SIMULATED, false, NULL)

enum test_shape {
	TEST_ITERATIVE,
	TEST_PROCESS,
	TEST_THREAD,
	TEST_FIBER,
};

enum test_shape test_shape(void);
const char *test_shape_name(void);

/** The engine of a contract case ("epoll"); "" in a unit case. */
const char *test_engine_name(void);

/** Whether the case runs on the simulated network. */
bool test_is_simulated(void);

/**
 * @n rounds or clients, or fewer where the machine is emulated or checked by
 * valgrind (TEST_SLOWNESS says how many times slower it is); at least 1.
 */
unsigned test_scale(unsigned n);

/**
 * Whether an emulator of the kernel's calls (qemu-user, valgrind) is between the case and the
 * kernel. What it lacks may be skipped; the same case counts where it runs natively.
 */
bool test_is_emulated(void);

/**
 * The case's own folder for files and Unix sockets, empty at the start and removed
 * at the end. Short enough for a sun_path.
 */
const char *test_dir(void);

/** Note which row of a table or which seed is being tried; shown on failure. */
#define ROW(...) test__row(__VA_ARGS__)

/** End the case, counted as skipped, with the reason. */
#define SKIP(...) test__skip(__VA_ARGS__)

/** The descriptors that this case leaves open are meant to stay. */
void test_may_keep_fds(void);
#define TEST_MAY_KEEP_FDS() test_may_keep_fds()

/**
 * What to release before descriptors are counted. The harness's own ends the library's
 * state of the case's thread, where it is linked; a test file may define another.
 */
void test_teardown(void);

/* The checks. Each evaluates its arguments once, and ends the case when it fails,
 * in whichever thread, fiber or forked process it stands. */

#define CHECK(x) ((x) ? (void)0 : test__fail(__FILE__, __LINE__, "CHECK(%s)", #x))

/** Two integers of any types have the same value: -1 is not UINT_MAX. */
#define CHECK_EQ(a, b) \
	test__check_eq(__FILE__, __LINE__, #a, #b, TEST__INTEGER(a), TEST__INTEGER(b))

#define CHECK_STR(a, b) test__check_str(__FILE__, __LINE__, #a, #b, a, b)

#define CHECK_MEM(a, b, len) test__check_mem(__FILE__, __LINE__, #a, #b, a, b, len)

/** The result is not an error. Returns it: `n = CHECK_OK(soq_recv(...))`. */
#define CHECK_OK(rc) test__check_ok(__FILE__, __LINE__, #rc, rc)

/** The result is this very error: CHECK_ERR(rc, -ETIMEDOUT). */
#define CHECK_ERR(rc, want) test__check_err(__FILE__, __LINE__, #rc, rc, want)

/* The rest is for the macros above. */

enum test__where { TEST__ONCE, TEST__EVERYWHERE, TEST__KERNEL, TEST__SIMULATED };

struct test__case {
	const char *name;
	enum test__where where;
	bool has_shapes;
	const char *why; /* not everywhere; or NULL */
	void (*body)(void);
	struct test__case *next;
};

struct test__integer {
	bool is_negative;
	unsigned long long bits;
};

static inline struct test__integer test__signed(long long v)
{
	return (struct test__integer){ v < 0, (unsigned long long)v };
}

static inline struct test__integer test__unsigned(unsigned long long v)
{
	return (struct test__integer){ false, v };
}

/* Adding 0 promotes what is shorter than int, bit-fields included. */
/* clang-format off */ /* version 14 does not know _Generic */
#define TEST__INTEGER(x)                                                                   \
	_Generic((x) + 0,                                                                  \
		unsigned: test__unsigned,                                                  \
		unsigned long: test__unsigned,                                             \
		unsigned long long: test__unsigned,                                        \
		default: test__signed)(x)
/* clang-format on */

#define TEST__CASE(id, where, has_shapes, why)                                               \
	static void test__body_##id(void);                                                   \
	__attribute__((constructor)) static void test__add_##id(void)                        \
	{                                                                                    \
		static struct test__case c = { #id, where, has_shapes, why, test__body_##id, \
			NULL };                                                              \
		test__add(&c);                                                               \
	}                                                                                    \
	static void test__body_##id(void)

void test__add(struct test__case *c);
void test__row(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void test__skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void test__fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void test__check_eq(const char *file, int line, const char *a_text, const char *b_text,
	struct test__integer a, struct test__integer b);
void test__check_str(const char *file, int line, const char *a_text, const char *b_text,
	const char *a, const char *b);
void test__check_mem(const char *file, int line, const char *a_text, const char *b_text,
	const void *a, const void *b, size_t len);
long long test__check_ok(const char *file, int line, const char *text, long long rc);
void test__check_err(
	const char *file, int line, const char *text, long long rc, long long want);

#endif
