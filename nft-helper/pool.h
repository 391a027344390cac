/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is given back all at once: for values that are made in great numbers, share parts
 * with each other and die together.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool_chunk;

/* All zero at first. */
struct pool {
	struct pool_chunk *chunks;
	bool failed; /* memory was out once; what was made since may be incomplete */
};

/* Zeroed, aligned for any type; NULL when memory is out. */
void *pool_alloc(struct pool *p, size_t size);
/* A copy, with a NUL behind it; NULL when memory is out. */
void *pool_copy(struct pool *p, const void *bytes, size_t len);

/* Forgets everything in it, and keeps some of the memory for what comes next. */
void pool_reset(struct pool *p);
void pool_free(struct pool *p);

#endif
