/* uring_again.c - what the engine over io_uring makes of completions that say "try again": some
 * kernels give them for descriptors in non-blocking mode, where others wait.
 *
 * It includes the engine's own source, to complete operations in the kernel's place.
 */
#include "soq_config.h"
#include "test.h"

#if SOQ__HAVE_URING

#include "engine/uring.c"

static struct soq__engine *base;
static struct soq__op op;
static struct soq__socket stream;
static unsigned completions;

static void count_completion(struct soq__op *completed)
{
	CHECK(completed == &op);
	completions++;
}

static void submit_op(enum soq__op_code code, int flags)
{
	static struct soq_addr addr;
	static char byte;

	op = (struct soq__op){
		.code = code, .socket = &stream, .flags = flags, .complete = count_completion
	};
	if (code == SOQ__OP_ACCEPT) {
		op.addr = &addr;
	} else {
		op.buf = &byte;
		op.len = 1;
	}
	completions = 0;
	CHECK(!submit(base, &op));
}

/* The kernel has completed it; @tag  it was the cancellation that it has. */
static void complete(int result, uintptr_t tag)
{
	struct io_uring_cqe cqe = { .user_data = (uintptr_t)&op | tag, .res = result };

	on_completion(engine_of(base), &cqe);
}

static void open_engine(void)
{
	const char *why;
	int fds[2];

	if (probe(&why) < 0)
		SKIP("%s", why);
	CHECK_OK(engine_open(&base));
	CHECK_OK(soq__host_open_pair(base, SOCK_STREAM, fds));
	stream = (struct soq__socket){ .fd = fds[0] };
	close(fds[1]);
}

static void close_engine(void)
{
	close(stream.fd);
	engine_close(base);
}

/* It waits for readiness, and is then tried afresh. */
TEST(uring_again_waits_for_readiness)
{
	static const enum soq__op_code codes[] = { SOQ__OP_RECV, SOQ__OP_ACCEPT };

	open_engine();
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		ROW("operation %d", codes[i]);
		submit_op(codes[i], 0);
		complete(-EAGAIN, 0);
		CHECK_EQ(completions, 0);
		CHECK_EQ(op.refs, 1);
		complete(POLLIN, 0);
		CHECK_EQ(completions, 0);
		CHECK_EQ(op.refs, 1);
		complete(7, 0);
		CHECK_EQ(completions, 1);
		CHECK_EQ(op.result, 7);
	}
	close_engine();
}

/* Not to be waited for: that is the answer. */
TEST(uring_again_is_the_answer_to_a_look)
{
	open_engine();
	submit_op(SOQ__OP_RECV, MSG_DONTWAIT);
	complete(-EAGAIN, 0);
	CHECK_EQ(completions, 1);
	CHECK_EQ(op.result, -EAGAIN);
	close_engine();
}

/* Once it is cancelled, neither readiness nor "try again" lets it begin anew, whichever of the
 * two completions comes first. */
TEST(uring_again_after_a_cancellation)
{
	static const int results[] = { -EAGAIN, POLLIN };

	open_engine();
	for (int i = 0; i < 4; i++) {
		bool is_ready = i & 1, cancellation_first = i & 2;

		ROW("ready %d, the cancellation's first %d", is_ready, cancellation_first);
		submit_op(SOQ__OP_RECV, 0);
		if (is_ready)
			complete(-EAGAIN, 0);
		cancel(base, &op);
		CHECK_EQ(op.refs, 2);
		if (cancellation_first)
			complete(-EALREADY, CANCEL_TAG);
		complete(results[is_ready], 0);
		if (!cancellation_first)
			complete(-ENOENT, CANCEL_TAG);
		CHECK_EQ(completions, 1);
		CHECK_EQ(op.result, -ECANCELED);
	}
	close_engine();
}

#else

TEST(uring_again_waits_for_readiness)
{
	SKIP("built without liburing");
}

#endif
