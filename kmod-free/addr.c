/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses as values, and their textual forms. An address is made here or by packet_decode() and
 * nowhere else, so the bytes that a family does not use are always zero and two equal addresses
 * are equal byte by byte. No name resolution, no zones, no prefixes; an IPv4-mapped IPv6 address
 * is an IPv6 address.
 */
#include "addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

static_assert(ADDR_TEXT == INET6_ADDRSTRLEN, "ADDR_TEXT holds any address");
static_assert(sizeof(struct addr) == 20, "hashed by its bytes: no hidden padding");

struct addr addr_ipv4(const uint8_t bytes[4])
{
	struct addr a = { .family = FAMILY_IPV4 };

	memcpy(a.bytes, bytes, 4);
	return a;
}

struct addr addr_ipv6(const uint8_t bytes[16])
{
	struct addr a = { .family = FAMILY_IPV6 };

	memcpy(a.bytes, bytes, 16);
	return a;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool addr_link_local(const struct addr *a)
{
	return a->family == FAMILY_IPV6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool addr_parse(const char *text, size_t len, struct addr *out)
{
	char copy[ADDR_TEXT];
	uint8_t bytes[16];

	/* inet_pton() wants a string; a NUL inside would hide what comes after it. */
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';

	if (inet_pton(AF_INET, copy, bytes) == 1)
		*out = addr_ipv4(bytes);
	else if (inet_pton(AF_INET6, copy, bytes) == 1)
		*out = addr_ipv6(bytes);
	else
		return false;
	return true;
}

const char *addr_format(const struct addr *a, char *text)
{
	int af = a->family == FAMILY_IPV4 ? AF_INET : AF_INET6;

	if (addr_len(a) == 0 || !inet_ntop(af, a->bytes, text, ADDR_TEXT))
		memcpy(text, "-", sizeof("-"));
	return text;
}

/* Byte by byte: the bits of each that the prefix has. */
static uint8_t prefix_mask(unsigned int bits, size_t byte)
{
	unsigned int before = (unsigned int)byte * 8;

	if (bits >= before + 8)
		return 0xff;
	if (bits <= before)
		return 0;
	return (uint8_t)(0xff00u >> (bits - before));
}

bool addr_within(const struct addr *a, const struct prefix *p)
{
	if (a->family != p->addr.family)
		return false;
	for (size_t i = 0; i < addr_len(a); i++)
		if ((a->bytes[i] ^ p->addr.bytes[i]) & prefix_mask(p->bits, i))
			return false;
	return true;
}

/* 1 to 3 digits and nothing else. */
static bool parse_bits(const char *text, size_t len, unsigned int max, uint8_t *out)
{
	unsigned int value = 0;

	if (len == 0 || len > 3)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = 10 * value + (unsigned int)(text[i] - '0');
	}
	*out = (uint8_t)value;
	return value <= max;
}

bool prefix_parse(const char *text, size_t len, struct prefix *out)
{
	const char *slash = memchr(text, '/', len);
	size_t n = slash ? (size_t)(slash - text) : len;
	struct prefix p;

	if (!addr_parse(text, n, &p.addr))
		return false;
	p.bits = (uint8_t)(8 * addr_len(&p.addr));
	if (slash && !parse_bits(slash + 1, len - n - 1, p.bits, &p.bits))
		return false;
	for (size_t i = 0; i < addr_len(&p.addr); i++)
		if (p.addr.bytes[i] & (uint8_t)~prefix_mask(p.bits, i))
			return false;
	*out = p;
	return true;
}
