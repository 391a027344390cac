/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An IPv4 or IPv6 address as a plain value: comparable, hashable with its bytes, unused bytes zero.
 */
#ifndef ADDR_H
#define ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum family { FAMILY_NONE = 0, FAMILY_IPV4 = 4, FAMILY_IPV6 = 6 };

struct addr {
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
	uint8_t family;    /* enum family */
	uint8_t pad[3];    /* zero */
};

/* All addresses that begin with the first `bits` bits of this one. */
struct prefix {
	struct addr addr;
	uint8_t bits;
};

#define ADDR_TEXT 46 /* INET6_ADDRSTRLEN */

struct addr addr_ipv4(const uint8_t bytes[4]);
struct addr addr_ipv6(const uint8_t bytes[16]);
bool addr_equal(const struct addr *a, const struct addr *b);
/* fe80::/10: means something on one link only. */
bool addr_link_local(const struct addr *a);

bool addr_within(const struct addr *a, const struct prefix *p);

/* Text of exactly len bytes, without zone or prefix. False when it is not an address. */
bool addr_parse(const char *text, size_t len, struct addr *out);

/* "10.0.0.0/8", or an address alone for all of its bits. Bits behind the prefix must be 0. */
bool prefix_parse(const char *text, size_t len, struct prefix *out);

/* Into text[ADDR_TEXT]; returns text. */
const char *addr_format(const struct addr *a, char *text);

/* 4 or 16; 0 for FAMILY_NONE. */
static inline size_t addr_len(const struct addr *a)
{
	return a->family == FAMILY_IPV4 ? 4 : a->family == FAMILY_IPV6 ? 16 : 0;
}

#endif
