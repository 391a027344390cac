/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of addresses of one family, as sorted ranges: values that are never changed, in a pool.
 * Where memory runs out the result is empty and the pool says so.
 */
#ifndef ADDRSET_H
#define ADDRSET_H

#include "addr.h"
#include "pool.h"

/* An IPv4 address in the low 32 bits. */
typedef unsigned __int128 addr_number;

struct addr_range {
	addr_number lo, hi; /* both included */
};

/* Ascending; no two ranges touch each other. */
struct addrset {
	const struct addr_range *range;
	size_t n;
};

/* The largest address of a family. */
addr_number addr_last(enum family family);
addr_number addr_to_number(const struct addr *a);
struct addr addr_of_number(addr_number n, enum family family);
struct addr_range addr_range_of(const struct prefix *p);

/* From any ranges; reorders them. */
struct addrset addrset_of(struct pool *p, struct addr_range *ranges, size_t n);
struct addrset addrset_and(struct pool *p, struct addrset a, struct addrset b);
struct addrset addrset_or(struct pool *p, struct addrset a, struct addrset b);
struct addrset addrset_minus(struct pool *p, struct addrset a, struct addrset b);
/* One that lives in another pool. */
struct addrset addrset_copy(struct pool *p, struct addrset a);

bool addrset_equal(struct addrset a, struct addrset b);
/* Is all of a in b? */
bool addrset_within(struct addrset a, struct addrset b);
/* Have they anything in common? */
bool addrset_meets(struct addrset a, struct addrset b);

#define ADDR_RANGE_TEXT 96

/* "10.0.0.0/8", "10.0.0.1" or "10.0.0.1-10.0.0.9", into text[ADDR_RANGE_TEXT]; returns text. */
const char *addr_range_format(const struct addr_range *r, enum family family, char *text);

#endif
