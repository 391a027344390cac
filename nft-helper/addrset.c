// SPDX-License-Identifier: GPL-2.0-or-later
/* Two sorted lists of ranges are gone through side by side; nothing is slower than their length. */
#include "addrset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

addr_number addr_last(enum family family)
{
	return family == FAMILY_IPV4 ? UINT32_MAX : ~(addr_number)0;
}

addr_number addr_to_number(const struct addr *a)
{
	addr_number n = 0;

	for (size_t i = 0; i < addr_len(a); i++)
		n = n << 8 | a->bytes[i];
	return n;
}

struct addr addr_of_number(addr_number n, enum family family)
{
	struct addr a = { .family = (uint8_t)family };

	for (size_t i = addr_len(&a); i-- > 0; n >>= 8)
		a.bytes[i] = (uint8_t)n;
	return a;
}

struct addr_range addr_range_of(const struct prefix *p)
{
	unsigned int all = (unsigned int)addr_len(&p->addr) * 8, rest = all - p->bits;
	addr_number lo = addr_to_number(&p->addr);
	/* Shifting by as many bits as there are is undefined. */
	addr_number span = rest >= 128 ? ~(addr_number)0 : ((addr_number)1 << rest) - 1;

	return (struct addr_range){ .lo = lo, .hi = lo | span };
}

static int by_lo(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Room for n ranges; an empty set where there is none. */
static struct addr_range *room_for(struct pool *p, size_t n)
{
	return pool_alloc(p, n * sizeof(struct addr_range));
}

/* Adds one that begins no earlier than the last. */
static size_t append(struct addr_range *out, size_t n, struct addr_range r)
{
	struct addr_range *last = n ? &out[n - 1] : NULL;

	if (last && (r.lo <= last->hi || r.lo - 1 == last->hi)) {
		if (r.hi > last->hi)
			last->hi = r.hi;
		return n;
	}
	out[n] = r;
	return n + 1;
}

struct addrset addrset_of(struct pool *p, struct addr_range *ranges, size_t n)
{
	struct addr_range *out = room_for(p, n);
	size_t used = 0;

	if (!out)
		return (struct addrset){ .n = 0 };
	qsort(ranges, n, sizeof(*ranges), by_lo);
	for (size_t i = 0; i < n; i++)
		used = append(out, used, ranges[i]);
	return (struct addrset){ .range = out, .n = used };
}

struct addrset addrset_and(struct pool *p, struct addrset a, struct addrset b)
{
	struct addr_range *out;
	size_t n = 0;

	if (!a.n || !b.n)
		return (struct addrset){ .n = 0 };
	out = room_for(p, a.n + b.n);
	for (size_t i = 0, j = 0; out && i < a.n && j < b.n;) {
		const struct addr_range *x = &a.range[i], *y = &b.range[j];
		struct addr_range common = {
			.lo = x->lo > y->lo ? x->lo : y->lo,
			.hi = x->hi < y->hi ? x->hi : y->hi,
		};

		if (common.lo <= common.hi)
			out[n++] = common;
		if (x->hi < y->hi)
			i++;
		else
			j++;
	}
	return (struct addrset){ .range = out, .n = n };
}

struct addrset addrset_or(struct pool *p, struct addrset a, struct addrset b)
{
	struct addr_range *out;
	size_t n = 0;

	if (!a.n)
		return b;
	if (!b.n)
		return a;
	out = room_for(p, a.n + b.n);
	for (size_t i = 0, j = 0; out && (i < a.n || j < b.n);) {
		bool first = j == b.n || (i < a.n && a.range[i].lo <= b.range[j].lo);

		n = append(out, n, first ? a.range[i++] : b.range[j++]);
	}
	return (struct addrset){ .range = out, .n = n };
}

struct addrset addrset_minus(struct pool *p, struct addrset a, struct addrset b)
{
	struct addr_range *out;
	size_t n = 0, j = 0;

	if (!a.n || !b.n)
		return a;
	out = room_for(p, a.n + b.n);
	for (size_t i = 0; out && i < a.n; i++) {
		struct addr_range left = a.range[i];
		bool any = true;

		while (j < b.n && b.range[j].hi < left.lo)
			j++;
		/* The last of b that meets it may meet the next of a, too. */
		for (size_t k = j; any && k < b.n && b.range[k].lo <= left.hi; k++) {
			if (b.range[k].lo > left.lo)
				out[n++] = (struct addr_range){ left.lo, b.range[k].lo - 1 };
			any = b.range[k].hi < left.hi;
			if (any)
				left.lo = b.range[k].hi + 1;
		}
		if (any)
			out[n++] = left;
	}
	return (struct addrset){ .range = out, .n = n };
}

struct addrset addrset_copy(struct pool *p, struct addrset a)
{
	struct addr_range *out = room_for(p, a.n);

	if (!out || !a.n)
		return (struct addrset){ .n = 0 };
	memcpy(out, a.range, a.n * sizeof(*out));
	return (struct addrset){ .range = out, .n = a.n };
}

bool addrset_equal(struct addrset a, struct addrset b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.range[i].lo != b.range[i].lo || a.range[i].hi != b.range[i].hi)
			return false;
	return true;
}

bool addrset_within(struct addrset a, struct addrset b)
{
	size_t j = 0;

	for (size_t i = 0; i < a.n; i++) {
		while (j < b.n && b.range[j].hi < a.range[i].lo)
			j++;
		if (j == b.n || b.range[j].lo > a.range[i].lo || b.range[j].hi < a.range[i].hi)
			return false;
	}
	return true;
}

bool addrset_meets(struct addrset a, struct addrset b)
{
	for (size_t i = 0, j = 0; i < a.n && j < b.n;) {
		if (a.range[i].hi < b.range[j].lo)
			i++;
		else if (b.range[j].hi < a.range[i].lo)
			j++;
		else
			return true;
	}
	return false;
}

const char *addr_range_format(const struct addr_range *r, enum family family, char *text)
{
	struct addr lo = addr_of_number(r->lo, family), hi = addr_of_number(r->hi, family);
	unsigned int bits = family == FAMILY_IPV4 ? 32 : 128;
	addr_number differ = r->lo ^ r->hi;
	char a[ADDR_TEXT], b[ADDR_TEXT];

	/* A prefix when all that differs are trailing bits, 0 at one end and 1 at the other. */
	if ((differ & (differ + 1)) == 0 && (r->lo & differ) == 0) {
		for (; differ; differ >>= 1)
			bits--;
		if (r->lo == r->hi)
			(void)snprintf(text, ADDR_RANGE_TEXT, "%s", addr_format(&lo, a));
		else
			(void)snprintf(text, ADDR_RANGE_TEXT, "%s/%u", addr_format(&lo, a), bits);
	} else {
		(void)snprintf(
		    text, ADDR_RANGE_TEXT, "%s-%s", addr_format(&lo, a), addr_format(&hi, b));
	}
	return text;
}
