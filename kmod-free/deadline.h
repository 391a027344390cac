/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A binary heap of deadlines. Whoever waits embeds a struct deadline; the heap holds pointers to
 * them. Arming and disarming are O(log n); the heap's memory grows by doubling and never per event.
 */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadline {
	uint64_t at;   /* ns, engine time */
	uint32_t slot; /* 1-based place in the heap; 0 when not armed */
};

struct deadlines {
	struct deadline **heap;
	uint32_t count, room;
};

/* Arms or moves. False when memory is out; d is then not armed. */
bool deadline_arm(struct deadlines *h, struct deadline *d, uint64_t at);
void deadline_disarm(struct deadlines *h, struct deadline *d);

/* The earliest one if it is due, else NULL. It stays armed. */
struct deadline *deadline_due(const struct deadlines *h, uint64_t now);

/* When the earliest one is due; DEADLINE_NEVER when none is armed. */
uint64_t deadline_next(const struct deadlines *h);

void deadlines_free(struct deadlines *h);

#endif
