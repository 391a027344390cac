/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzer of packet_decode(): input is a packet from its network header on. A second decoder, made
 * of offsets where tuple.c is made of cursors, says what has to come out; then the same packet is
 * cut at each of its bytes and padded, which may change what is kept of it but never what it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* --- the other decoder: offsets from the first byte, [from, end) for the payload ---------------
 */

struct expected {
	enum packet_fault fault;
	size_t ip_addresses, address_len;
	size_t transport;
	size_t from, end; /* as the headers say */
	uint8_t protocol, ttl;
};

static size_t get16(const uint8_t *p, size_t at)
{
	return (size_t)p[at] * 256 + p[at + 1];
}

static uint32_t get32(const uint8_t *p, size_t at)
{
	return (uint32_t)(get16(p, at) * 65536 + get16(p, at + 2));
}

static enum packet_fault expect_transport(
    const uint8_t *p, size_t kept, size_t end, struct expected *e)
{
	const size_t at = e->transport;

	if (kept > end)
		kept = end;
	if (e->protocol == 6) {
		if (at + 20 > kept)
			return PACKET_MALFORMED;
		e->from = at + (p[at + 12] / 16u) * 4u;
		e->end = end;
		if (e->from < at + 20 || e->from > kept)
			return PACKET_MALFORMED;
	} else if (e->protocol == 17) {
		if (at + 8 > kept)
			return PACKET_MALFORMED;
		e->from = at + 8;
		e->end = at + get16(p, at + 4);
		if (e->end < e->from || e->end > end)
			return PACKET_MALFORMED;
	} else {
		return PACKET_NOT_OURS;
	}
	return get16(p, at) && get16(p, at + 2) ? PACKET_OK : PACKET_MALFORMED;
}

static enum packet_fault expect_ipv4(const uint8_t *p, size_t len, struct expected *e)
{
	size_t header, total;

	if (len < 20)
		return PACKET_MALFORMED;
	header = (p[0] % 16u) * 4u;
	total = get16(p, 2);
	if (header < 20 || header > total || header > len)
		return PACKET_MALFORMED;
	if (get16(p, 6) % 0x4000)
		return PACKET_FRAGMENT;
	e->ip_addresses = 12;
	e->address_len = 4;
	e->ttl = p[8];
	e->protocol = p[9];
	e->transport = header;
	return expect_transport(p, len, total, e);
}

static enum packet_fault expect_ipv6(const uint8_t *p, size_t len, struct expected *e)
{
	size_t end, kept, at = 40;
	unsigned int next;

	if (len < 40)
		return PACKET_MALFORMED;
	end = 40 + get16(p, 4);
	kept = len < end ? len : end;
	next = p[6];
	for (int i = 0; next == 0 || next == 43 || next == 44 || next == 51 || next == 60; i++) {
		size_t header;

		if (i == 8 || (next == 0 && i > 0) || at + 2 > kept)
			return PACKET_MALFORMED;
		header = next == 44 ? 8 : next == 51 ? (p[at + 1] + 2u) * 4 : (p[at + 1] + 1u) * 8;
		if (at + header > kept)
			return PACKET_MALFORMED;
		if (next == 44 && (get16(p, at + 2) / 8 || get16(p, at + 2) % 2))
			return PACKET_FRAGMENT;
		next = p[at];
		at += header;
	}
	e->ip_addresses = 8;
	e->address_len = 16;
	e->ttl = p[7];
	e->protocol = (uint8_t)next;
	e->transport = at;
	return expect_transport(p, len, end, e);
}

static struct expected expect(const uint8_t *p, size_t len)
{
	struct expected e = { .fault = PACKET_NOT_OURS };

	if (len == 0)
		e.fault = PACKET_MALFORMED;
	else if (p[0] / 16 == 4)
		e.fault = expect_ipv4(p, len, &e);
	else if (p[0] / 16 == 6)
		e.fault = expect_ipv6(p, len, &e);
	return e;
}

/* --- what must hold ----------------------------------------------------------------------------*/

static void check_tuple(const struct tuple *t)
{
	const struct tuple inverse = tuple_invert(t), again = tuple_invert(&inverse);
	char text[TUPLE_TEXT];

	REQUIRE(tuple_equal(t, &again));
	REQUIRE(inverse.sport == t->dport && addr_equal(&inverse.src, &t->dst));
	REQUIRE(strlen(tuple_format(t, text)) < TUPLE_TEXT);
}

static void check_packet(const uint8_t *p, size_t len, const struct packet *got)
{
	const struct expected e = expect(p, len);
	const struct tuple *t = &got->tuple;
	const size_t end = e.end < len ? e.end : len;

	REQUIRE(t->src.family == e.address_len / 4 + (e.address_len == 16 ? 2 : 3));
	REQUIRE(addr_len(&t->src) == e.address_len && addr_len(&t->dst) == e.address_len);
	REQUIRE(!memcmp(t->src.bytes, p + e.ip_addresses, e.address_len));
	REQUIRE(!memcmp(t->dst.bytes, p + e.ip_addresses + e.address_len, e.address_len));
	REQUIRE(t->l4proto == e.protocol && got->ttl == e.ttl);
	REQUIRE(t->sport == get16(p, e.transport) && t->dport == get16(p, e.transport + 2));
	if (e.protocol == L4_TCP) {
		REQUIRE(got->seq == get32(p, e.transport + 4));
		REQUIRE(got->ack == get32(p, e.transport + 8));
		REQUIRE(got->tcp_flags == p[e.transport + 13]);
	} else {
		REQUIRE(got->seq == 0 && got->ack == 0 && got->tcp_flags == 0);
	}
	REQUIRE(got->payload.at == p + e.from && got->payload.left == end - e.from);
	REQUIRE(got->cut == (e.end > len));
	check_tuple(t);
}

/* A shorter capture of an intact packet: the same flow, less payload, or not even its headers. */
static void check_prefixes(const uint8_t *p, size_t len, const struct packet *whole)
{
	for (size_t kept = 0; kept < len && kept < 256; kept++) {
		uint8_t *prefix = malloc(kept ? kept : 1); /* so that the sanitizer sees its end */
		struct packet part;
		enum packet_fault fault;

		REQUIRE(prefix);
		memcpy(prefix, p, kept);
		fault = packet_decode(prefix, kept, &part);
		if (fault == PACKET_OK) {
			REQUIRE(tuple_equal(&part.tuple, &whole->tuple));
			REQUIRE(part.payload.left <= whole->payload.left);
			REQUIRE(part.cut || part.payload.left == whole->payload.left);
		} else {
			REQUIRE(fault == PACKET_MALFORMED);
		}
		free(prefix);
	}
}

static void check_padding(const uint8_t *p, size_t len, const struct packet *whole)
{
	uint8_t *frame = malloc(len + 32);
	struct packet padded;

	REQUIRE(frame);
	memcpy(frame, p, len);
	memset(frame + len, 0x5a, 32);
	REQUIRE(packet_decode(frame, len + 32, &padded) == PACKET_OK);
	REQUIRE(tuple_equal(&padded.tuple, &whole->tuple) && !padded.cut);
	REQUIRE(padded.payload.left == whole->payload.left);
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet got, before;
	enum packet_fault fault;

	memset(&got, 0xa5, sizeof(got));
	memcpy(&before, &got, sizeof(got));
	fault = packet_decode(data, size, &got);
	REQUIRE(fault == expect(data, size).fault);
	if (fault != PACKET_OK) {
		REQUIRE(!memcmp(&before, &got, sizeof(got)));
		return 0;
	}
	check_packet(data, size, &got);
	if (!got.cut) {
		check_prefixes(data, size, &got);
		check_padding(data, size, &got);
	}
	return 0;
}
