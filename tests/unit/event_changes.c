/* event_changes.c - waiting for an event to be set once more than somebody has seen. */
#include "fiber/worker.h"
#include "test.h"
#include <soquete/runtime.h>
#include <soquete/sync.h>
#include <soquete/time.h>

#include <errno.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

/* What has come between the look and the wait is not waited for. */
TEST(event_change_before_the_wait)
{
	static const struct {
		const char *name;
		unsigned changes;
		int want;
	} rows[] = {
		{ "none", 0, -ETIMEDOUT },
		{ "one", 1, 0 },
		{ "two", 2, 0 },
	};
	struct soq_event *e;

	CHECK_OK(soq_event_new(&e));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t seen = soq__event_sets(e);
		int64_t outer;

		ROW("%s", rows[i].name);
		for (unsigned n = 0; n < rows[i].changes; n++)
			soq_event_set(e);
		/* Long where nothing is to be waited for: only a lost change takes it. */
		outer = soq_deadline(soq_now() + (rows[i].want == 0 ? 5 * SOQ_S : SOQ_MS));
		CHECK_EQ(soq__event_wait_after(e, seen), rows[i].want);
		soq_deadline_restore(outer);
	}
	soq_event_free(e);
}
