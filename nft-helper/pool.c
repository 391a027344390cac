// SPDX-License-Identifier: GPL-2.0-or-later
/* A list of chunks, the newest first, of which only that one has room left. */
#include "pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (64 * 1024)

struct pool_chunk {
	struct pool_chunk *next;
	size_t size, used;
	alignas(max_align_t) unsigned char bytes[];
};

void *pool_alloc(struct pool *p, size_t size)
{
	struct pool_chunk *c = p->chunks;
	const size_t grain = alignof(max_align_t);
	unsigned char *bytes;

	if (size > SIZE_MAX / 2) {
		p->failed = true;
		return NULL;
	}
	size = (size + grain - 1) / grain * grain;
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;

		c = malloc(sizeof(*c) + room);
		if (!c) {
			p->failed = true;
			return NULL;
		}
		*c = (struct pool_chunk){ .next = p->chunks, .size = room };
		p->chunks = c;
	}
	bytes = c->bytes + c->used;
	c->used += size;
	memset(bytes, 0, size);
	return bytes;
}

void *pool_copy(struct pool *p, const void *bytes, size_t len)
{
	unsigned char *copy = pool_alloc(p, len + 1);

	if (copy && len)
		memcpy(copy, bytes, len);
	return copy;
}

void pool_reset(struct pool *p)
{
	struct pool_chunk *kept = NULL;

	while (p->chunks) {
		struct pool_chunk *c = p->chunks;

		p->chunks = c->next;
		if (!kept && c->size == CHUNK)
			kept = c;
		else
			free(c);
	}
	if (kept) {
		kept->next = NULL;
		kept->used = 0;
	}
	p->chunks = kept;
	p->failed = false;
}

void pool_free(struct pool *p)
{
	pool_reset(p);
	free(p->chunks);
	p->chunks = NULL;
}
