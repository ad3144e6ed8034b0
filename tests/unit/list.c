/* list.c - lists whose nodes live in the things listed. */
#include "test.h"
#include "base/list.h"

struct item {
	int number;
	struct soq__list node;
};

/* The list's numbers as decimal digits, forwards; backwards they must be the same. */
static int digits(const struct soq__list *list)
{
	int forwards = 0, backwards = 0, scale = 1;

	for (const struct soq__list *n = list->next; n != list; n = n->next)
		forwards = forwards * 10 + soq__container_of(n, struct item, node)->number;
	for (const struct soq__list *n = list->prev; n != list; n = n->prev) {
		backwards += scale * soq__container_of(n, struct item, node)->number;
		scale *= 10;
	}
	CHECK_EQ(forwards, backwards);
	return forwards;
}

static void fill(struct soq__list *list, struct item *items, int count)
{
	soq__list_init(list);
	for (int i = 0; i < count; i++) {
		items[i].number = i + 1;
		soq__list_append(list, &items[i].node);
	}
}

TEST(list_empty)
{
	struct soq__list list;

	soq__list_init(&list);
	CHECK(soq__list_empty(&list));
	CHECK(soq__list_pop(&list) == NULL);
	soq__list_remove(&list); /* a node on no list */
	CHECK(soq__list_empty(&list));
	CHECK_EQ(digits(&list), 0);
}

TEST(list_order)
{
	struct item items[4];
	struct soq__list list;

	fill(&list, items, 3);
	CHECK(!soq__list_empty(&list));
	CHECK_EQ(digits(&list), 123);
	items[3].number = 4;
	soq__list_prepend(&list, &items[3].node);
	CHECK_EQ(digits(&list), 4123);
	CHECK(soq__list_pop(&list) == &items[3].node);
	CHECK(soq__list_empty(&items[3].node));
	CHECK_EQ(digits(&list), 123);
}

TEST(list_remove)
{
	static const int left[] = { 234, 134, 124, 123 };
	struct item items[4];
	struct soq__list list;

	for (int i = 0; i < 4; i++) {
		ROW("without item %d", i + 1);
		fill(&list, items, 4);
		soq__list_remove(&items[i].node);
		CHECK_EQ(digits(&list), left[i]);
		soq__list_remove(&items[i].node); /* once more is harmless */
		CHECK_EQ(digits(&list), left[i]);
	}
}

TEST(list_for_each_may_remove)
{
	struct item items[6];
	struct soq__list list, other;
	int seen = 0;

	fill(&list, items, 6);
	soq__list_init(&other);
	soq__list_for_each (node, &list) {
		struct item *item = soq__container_of(node, struct item, node);

		seen = seen * 10 + item->number;
		if (item->number % 2) {
			soq__list_remove(node);
			soq__list_append(&other, node);
		}
	}
	CHECK_EQ(seen, 123456);
	CHECK_EQ(digits(&list), 246);
	CHECK_EQ(digits(&other), 135);
}
