/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The heap of deadlines: heap[0] is the earliest, and the children of i are 2i + 1 and 2i + 2. Each
 * deadline knows its own place, so that it can be moved and taken out without a search. Order among
 * equal deadlines is not defined. There is no clock here: "now" is always the caller's.
 */
#include "deadline.h"

#include <stdlib.h>

#define FIRST_ROOM 16

static void put(struct deadlines *h, uint32_t i, struct deadline *d)
{
	h->heap[i] = d;
	d->slot = i + 1;
}

/* d goes to place i or above it. */
static void sift_up(struct deadlines *h, uint32_t i, struct deadline *d)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 2;

		if (h->heap[parent]->at <= d->at)
			break;
		put(h, i, h->heap[parent]);
		i = parent;
	}
	put(h, i, d);
}

/* d goes to place i or below it. */
static void sift_down(struct deadlines *h, uint32_t i, struct deadline *d)
{
	while (i < h->count / 2) { /* it has a child */
		uint32_t child = 2 * i + 1;

		if (child + 1 < h->count && h->heap[child + 1]->at < h->heap[child]->at)
			child++;
		if (d->at <= h->heap[child]->at)
			break;
		put(h, i, h->heap[child]);
		i = child;
	}
	put(h, i, d);
}

/* Place i is free: d belongs there, above or below. */
static void place(struct deadlines *h, uint32_t i, struct deadline *d)
{
	if (i > 0 && d->at < h->heap[(i - 1) / 2]->at)
		sift_up(h, i, d);
	else
		sift_down(h, i, d);
}

static bool grow(struct deadlines *h)
{
	uint32_t room = h->room ? h->room * 2 : FIRST_ROOM;
	struct deadline **heap;

	if (room < h->room)
		return false;
	heap = reallocarray(h->heap, room, sizeof(*heap));
	if (!heap)
		return false;
	h->heap = heap;
	h->room = room;
	return true;
}

bool deadline_arm(struct deadlines *h, struct deadline *d, uint64_t at)
{
	if (!d->slot && h->count == h->room && !grow(h))
		return false;
	d->at = at;
	if (d->slot)
		place(h, d->slot - 1, d);
	else
		sift_up(h, h->count++, d);
	return true;
}

void deadline_disarm(struct deadlines *h, struct deadline *d)
{
	struct deadline *last;
	uint32_t i = d->slot - 1;

	if (!d->slot)
		return;
	d->slot = 0;
	last = h->heap[--h->count];
	if (last != d)
		place(h, i, last);
}

struct deadline *deadline_due(const struct deadlines *h, uint64_t now)
{
	return h->count && h->heap[0]->at <= now ? h->heap[0] : NULL;
}

uint64_t deadline_next(const struct deadlines *h)
{
	return h->count ? h->heap[0]->at : DEADLINE_NEVER;
}

/* What was armed is not touched: it may be gone already. */
void deadlines_free(struct deadlines *h)
{
	free(h->heap);
	*h = (struct deadlines){ 0 };
}
