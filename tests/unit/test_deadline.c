/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of deadline.c. deadline.c is compiled into this file with an allocator that fails on
 * demand, and its insides are checked after each step: a heap in order, each member knowing its
 * place, and at its top what a plain search over all deadlines finds too.
 */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool out_of_memory;

static void *scarce_reallocarray(void *old, size_t n, size_t size)
{
	return out_of_memory ? NULL : reallocarray(old, n, size);
}

#define reallocarray scarce_reallocarray
#include "deadline.c"
#undef reallocarray

#define MANY 200

static const unsigned long seed = 20240607;
static uint64_t dice;

static uint64_t roll(uint64_t sides)
{
	dice ^= dice << 13; /* Marsaglia's xorshift64 */
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % sides;
}

static struct deadlines heap;
static struct deadline all[MANY];

static void setup(void)
{
	memset(&heap, 0, sizeof(heap));
	memset(all, 0, sizeof(all));
	dice = seed;
	out_of_memory = false;
}

static void teardown(void)
{
	deadlines_free(&heap);
}

static void check_all(unsigned long step)
{
	uint64_t earliest = DEADLINE_NEVER;
	uint32_t armed = 0;

	for (uint32_t i = 0; i < heap.count; i++) {
		if (heap.heap[i]->slot != i + 1)
			ck_abort_msg("seed %lu step %lu: place %u", seed, step, i);
		if (i > 0 && heap.heap[(i - 1) / 2]->at > heap.heap[i]->at)
			ck_abort_msg("seed %lu step %lu: order at %u", seed, step, i);
	}
	for (size_t i = 0; i < MANY; i++) {
		if (!all[i].slot)
			continue;
		armed++;
		if (all[i].slot > heap.count || heap.heap[all[i].slot - 1] != &all[i])
			ck_abort_msg("seed %lu step %lu: %zu is lost", seed, step, i);
		if (all[i].at < earliest)
			earliest = all[i].at;
	}
	if (armed != heap.count || heap.count > heap.room)
		ck_abort_msg("seed %lu step %lu: count", seed, step);
	if (deadline_next(&heap) != earliest)
		ck_abort_msg("seed %lu step %lu: earliest", seed, step);
}

START_TEST(nothing_armed)
{
	ck_assert_ptr_null(deadline_due(&heap, DEADLINE_NEVER));
	ck_assert_uint_eq(deadline_next(&heap), DEADLINE_NEVER);
	deadline_disarm(&heap, &all[0]); /* was never armed */
	ck_assert_uint_eq(heap.count, 0);
	ck_assert_ptr_null(heap.heap); /* costs nothing until used */
}
END_TEST

START_TEST(due_at_its_time)
{
	ck_assert(deadline_arm(&heap, &all[0], 1000));
	ck_assert_uint_ne(all[0].slot, 0);
	ck_assert_uint_eq(deadline_next(&heap), 1000);
	ck_assert_ptr_null(deadline_due(&heap, 999));
	ck_assert_ptr_eq(deadline_due(&heap, 1000), &all[0]);
	ck_assert_ptr_eq(deadline_due(&heap, 1000), &all[0]); /* it stays armed */

	ck_assert(deadline_arm(&heap, &all[0], 5)); /* moved, not doubled */
	ck_assert_uint_eq(heap.count, 1);
	ck_assert_uint_eq(deadline_next(&heap), 5);

	deadline_disarm(&heap, &all[0]);
	ck_assert_uint_eq(all[0].slot, 0);
	ck_assert_ptr_null(deadline_due(&heap, DEADLINE_NEVER));
	deadline_disarm(&heap, &all[0]);
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(come_out_in_order)
{
	uint64_t last = 0;

	for (size_t i = 0; i < MANY; i++)
		ck_assert(deadline_arm(&heap, &all[i], roll(50))); /* many are equal */
	for (size_t i = 0; i < MANY; i++) {
		struct deadline *d = deadline_due(&heap, DEADLINE_NEVER);

		ck_assert_ptr_nonnull(d);
		ck_assert_uint_ge(d->at, last);
		last = d->at;
		deadline_disarm(&heap, d);
	}
	ck_assert_uint_eq(heap.count, 0);
}
END_TEST

START_TEST(ends_of_time)
{
	ck_assert(deadline_arm(&heap, &all[0], DEADLINE_NEVER));
	ck_assert(deadline_arm(&heap, &all[1], 0));
	ck_assert_ptr_eq(deadline_due(&heap, 0), &all[1]);
	deadline_disarm(&heap, &all[1]);
	ck_assert_ptr_null(deadline_due(&heap, DEADLINE_NEVER - 1));
}
END_TEST

START_TEST(random_operations)
{
	for (unsigned long step = 0; step < 20000; step++) {
		struct deadline *d = &all[roll(MANY)];

		switch (roll(5)) {
		case 0:
		case 1:
			if (!deadline_arm(&heap, d, roll(1000)))
				ck_abort_msg("seed %lu step %lu: not armed", seed, step);
			break;
		case 2: /* only a little later than before, or just as late */
			if (!deadline_arm(&heap, d, d->at + roll(3)))
				ck_abort_msg("seed %lu step %lu: not armed", seed, step);
			break;
		case 3:
			deadline_disarm(&heap, d);
			break;
		case 4:
			d = deadline_due(&heap, roll(1000));
			if (d)
				deadline_disarm(&heap, d);
			break;
		}
		check_all(step);
	}
}
END_TEST

START_TEST(memory_grows_by_doubling_and_stays)
{
	uint32_t growths = 0, room = 0;

	for (size_t i = 0; i < MANY; i++) {
		ck_assert(deadline_arm(&heap, &all[i], i));
		growths += heap.room != room;
		room = heap.room;
	}
	ck_assert_uint_eq(room, 256);
	ck_assert_uint_eq(growths, 5); /* 16 32 64 128 256 */
	out_of_memory = true;
	for (int again = 0; again < 10; again++)
		for (size_t i = 0; i < MANY; i++) {
			deadline_disarm(&heap, &all[i]);
			ck_assert(deadline_arm(&heap, &all[i], i + 1));
		}
	ck_assert_uint_eq(heap.room, room);
}
END_TEST

START_TEST(out_of_memory_refuses_and_harms_nobody)
{
	size_t n = 0;

	out_of_memory = true;
	ck_assert(!deadline_arm(&heap, &all[0], 7));
	ck_assert_uint_eq(all[0].slot, 0);
	ck_assert_uint_eq(deadline_next(&heap), DEADLINE_NEVER);

	out_of_memory = false;
	ck_assert(deadline_arm(&heap, &all[n++], 7));
	out_of_memory = true;
	while (deadline_arm(&heap, &all[n], 7 + n))
		n++;
	ck_assert_uint_eq(n, heap.room);
	ck_assert_uint_eq(all[n].slot, 0);
	check_all(0);
	ck_assert(deadline_arm(&heap, &all[n - 1], 1)); /* to move one takes no memory */
	ck_assert_ptr_eq(deadline_due(&heap, 1), &all[n - 1]);
	check_all(1);
}
END_TEST

START_TEST(freed_is_empty_and_usable)
{
	ck_assert(deadline_arm(&heap, &all[0], 1));
	deadlines_free(&heap);
	ck_assert_uint_eq(deadline_next(&heap), DEADLINE_NEVER);
	ck_assert(deadline_arm(&heap, &all[1], 2));
	ck_assert_uint_eq(deadline_next(&heap), 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deadline");
	TCase *tc = tcase_create("heap");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_armed);
	tcase_add_test(tc, due_at_its_time);
	tcase_add_test(tc, come_out_in_order);
	tcase_add_test(tc, ends_of_time);
	tcase_add_test(tc, random_operations);
	tcase_add_test(tc, memory_grows_by_doubling_and_stays);
	tcase_add_test(tc, out_of_memory_refuses_and_harms_nobody);
	tcase_add_test(tc, freed_is_empty_and_usable);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
