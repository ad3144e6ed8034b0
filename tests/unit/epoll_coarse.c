/* epoll_coarse.c - the engine over epoll where the kernel waits in milliseconds only: before
 * Linux 5.11, and behind some filters.
 *
 * It includes the engine's own source, to tell it that this is such a kernel.
 */
#include "test.h"

#include "engine/epoll.c"

/* No turn ends before its instant: its caller would find nothing due, and turn again. */
TEST(epoll_coarse_turn_ends_after_its_instant)
{
	struct soq__engine *base;
	struct engine *e;

	CHECK_OK(engine_open(&base));
	e = engine_of(base);
	upgrade(e);
	CHECK(e->epfd >= 0);
	e->coarse = true;
	for (int i = 0; i < 20; i++) {
		int64_t until_ns = soq__host_now(base) + 1 + i * 100 * SOQ_US;

		turn(base, until_ns);
		ROW("turn %d", i);
		CHECK(soq__host_now(base) >= until_ns);
	}
	engine_close(base);
}
