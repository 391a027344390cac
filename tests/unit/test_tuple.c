/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of tuple.c. The vectors are packets of real programs on a veth pair, caught before
 * checksum offload had filled in their checksums. Each is decoded whole, cut at every byte, padded,
 * and with each of its bits turned over; then come packets that real programs do not send. Input
 * always lives in a heap block of exactly its length, so that a sanitizer sees any byte too many.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tuple.h"

/* clang-format off */

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 20, total 60, DF, TTL 64
 * TCP   41072 > 21, sequence 136857040, header 40 (MSS, SACK, timestamps, window scale), SYN
 */
static const uint8_t tcp4_syn[] = {
	0x45, 0x00, 0x00, 0x3c, 0x2e, 0x1a, 0x40, 0x00, 0x40, 0x06, 0x88, 0x6b,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0xa0, 0x70, 0x00, 0x15, 0x08, 0x28, 0x45, 0xd0, 0x00, 0x00, 0x00, 0x00,
	0xa0, 0x02, 0xfa, 0xf0, 0x84, 0x65, 0x00, 0x00,
	0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x3d, 0x51, 0x34, 0xfd,
	0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x0a,
};

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 20, total 58, DF, TTL 64
 * TCP   41072 > 21, sequence 136857041, acknowledgement 382403820, header 32 (timestamps), PSH ACK
 * data  "PASV\r\n"
 */
static const uint8_t tcp4_pasv[] = {
	0x45, 0x00, 0x00, 0x3a, 0x2e, 0x1d, 0x40, 0x00, 0x40, 0x06, 0x88, 0x6a,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0xa0, 0x70, 0x00, 0x15, 0x08, 0x28, 0x45, 0xd1, 0x16, 0xcb, 0x04, 0xec,
	0x80, 0x18, 0x00, 0x3f, 0x84, 0x63, 0x00, 0x00,
	0x01, 0x01, 0x08, 0x0a, 0x3d, 0x51, 0x34, 0xfd, 0xf6, 0x85, 0x9d, 0xf6,
	0x50, 0x41, 0x53, 0x56, 0x0d, 0x0a,
};

/*
 * IPv6  2001:db8::33 > 2001:db8::21, flow label 33ead, payload 38, hop limit 64
 * TCP   46700 > 21, sequence 81968985, acknowledgement 1724488126, header 32 (timestamps), PSH ACK
 * data  "EPSV\r\n"
 */
static const uint8_t tcp6_epsv[] = {
	0x60, 0x03, 0x3e, 0xad, 0x00, 0x26, 0x06, 0x40,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
	0xb6, 0x6c, 0x00, 0x15, 0x04, 0xe2, 0xbf, 0x59, 0x66, 0xc9, 0x99, 0xbe,
	0x80, 0x18, 0x00, 0x40, 0x5b, 0xf2, 0x00, 0x00,
	0x01, 0x01, 0x08, 0x0a, 0xfb, 0x35, 0x22, 0x5b, 0x47, 0xc2, 0x23, 0x82,
	0x45, 0x50, 0x53, 0x56, 0x0d, 0x0a,
};

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 20, total 84, DF, TTL 64
 * UDP   38953 > 111, length 64
 * data  RPC call 5e551017, portmap 2 GETPORT: program 100005, version 3, TCP
 */
static const uint8_t udp4_getport[] = {
	0x45, 0x00, 0x00, 0x54, 0x49, 0x31, 0x40, 0x00, 0x40, 0x11, 0x6d, 0x31,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0x98, 0x29, 0x00, 0x6f, 0x00, 0x40, 0x84, 0x88,
	0x5e, 0x55, 0x10, 0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x00, 0x01, 0x86, 0xa0, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xa5, 0x00, 0x00, 0x00, 0x03,
	0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00,
};

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 24 (router alert), total 72, DF, TTL 64
 * UDP   38953 > 111, length 48
 * data  the same call without its arguments
 */
static const uint8_t udp4_options[] = {
	0x46, 0x00, 0x00, 0x48, 0x49, 0x33, 0x40, 0x00, 0x40, 0x11, 0xd8, 0x36,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0x94, 0x04, 0x00, 0x00,
	0x98, 0x29, 0x00, 0x6f, 0x00, 0x30, 0x84, 0x78,
	0x5e, 0x55, 0x10, 0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x00, 0x01, 0x86, 0xa0, 0x00, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/*
 * IPv6  2001:db8::33 > 2001:db8::21, flow label d3754, payload 27, hop limit 64
 * UDP   41519 > 69, length 27
 * data  TFTP read request: pxelinux.0, octet
 */
static const uint8_t udp6_rrq[] = {
	0x60, 0x0d, 0x37, 0x54, 0x00, 0x1b, 0x11, 0x40,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
	0xa2, 0x2f, 0x00, 0x45, 0x00, 0x1b, 0x5b, 0xf2,
	0x00, 0x01, 0x70, 0x78, 0x65, 0x6c, 0x69, 0x6e, 0x75, 0x78, 0x2e, 0x30,
	0x00, 0x6f, 0x63, 0x74, 0x65, 0x74, 0x00,
};

/*
 * IPv6  2001:db8::33 > 2001:db8::21, flow label d3754, payload 43, hop limit 64
 *       hop-by-hop options, 8 bytes: router alert
 *       destination options, 8 bytes: padding
 * UDP   41519 > 69, length 27
 * data  TFTP read request: pxelinux.0, octet
 */
static const uint8_t udp6_extensions[] = {
	0x60, 0x0d, 0x37, 0x54, 0x00, 0x2b, 0x00, 0x40,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
	0x3c, 0x00, 0x05, 0x02, 0x00, 0x00, 0x01, 0x00,
	0x11, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00,
	0xa2, 0x2f, 0x00, 0x45, 0x00, 0x1b, 0x55, 0x29,
	0x00, 0x01, 0x70, 0x78, 0x65, 0x6c, 0x69, 0x6e, 0x75, 0x78, 0x2e, 0x30,
	0x00, 0x6f, 0x63, 0x74, 0x65, 0x74, 0x00,
};

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 20, total 1500, more fragments, TTL 64
 * UDP   38953 > 111, length 3008
 * data  4 bytes of them
 */
static const uint8_t frag4_first[] = {
	0x45, 0x00, 0x05, 0xdc, 0x49, 0x32, 0x20, 0x00, 0x40, 0x11, 0x87, 0xa8,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0x98, 0x29, 0x00, 0x6f, 0x0b, 0xc0, 0xe9, 0xbc,
	0x78, 0x78, 0x78, 0x78,
};

/*
 * IPv4  192.0.2.33 > 192.0.2.21, header 20, total 68, fragment offset 370 * 8, TTL 64
 * data  12 bytes of them
 */
static const uint8_t frag4_last[] = {
	0x45, 0x00, 0x00, 0x44, 0x49, 0x32, 0x01, 0x72, 0x40, 0x11, 0xab, 0xce,
	0xc0, 0x00, 0x02, 0x21, 0xc0, 0x00, 0x02, 0x15,
	0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78,
};

/*
 * IPv6  2001:db8::33 > 2001:db8::21, payload 1456, hop limit 64
 *       fragment 4611ed8e, offset 0, more fragments
 * UDP   43138 > 69, length 2008
 * data  4 bytes of them
 */
static const uint8_t frag6_first[] = {
	0x60, 0x01, 0x5a, 0x15, 0x05, 0xb0, 0x2c, 0x40,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
	0x11, 0x00, 0x00, 0x01, 0x46, 0x11, 0xed, 0x8e,
	0xa8, 0x82, 0x00, 0x45, 0x07, 0xd8, 0x69, 0x2e,
	0x79, 0x79, 0x79, 0x79,
};

/*
 * IPv6  2001:db8::33 > 2001:db8::21, payload 568, hop limit 64
 *       fragment 4611ed8e, offset 181 * 8, the last one
 * data  12 bytes of them
 */
static const uint8_t frag6_last[] = {
	0x60, 0x01, 0x5a, 0x15, 0x02, 0x38, 0x2c, 0x40,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21,
	0x11, 0x00, 0x05, 0xa8, 0x46, 0x11, 0xed, 0x8e,
	0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79, 0x79,
};

/* clang-format on */

#define BYTES(array) array, sizeof(array)

static const struct vector {
	const uint8_t *bytes;
	size_t len;
	size_t headers; /* of IP and transport together */
	const char *tuple;
	const char *data; /* how the payload begins */
	uint32_t seq, ack;
	uint8_t flags;
} vectors[] = {
	{ BYTES(tcp4_syn), 60, "tcp 192.0.2.33:41072 > 192.0.2.21:21", "", 136857040, 0, 0x02 },
	{ BYTES(tcp4_pasv), 52, "tcp 192.0.2.33:41072 > 192.0.2.21:21", "PASV\r\n", 136857041,
	    382403820, 0x18 },
	{ BYTES(tcp6_epsv), 72, "tcp [2001:db8::33]:46700 > [2001:db8::21]:21", "EPSV\r\n",
	    81968985, 1724488126, 0x18 },
	{ BYTES(udp4_getport), 28, "udp 192.0.2.33:38953 > 192.0.2.21:111", "^U\x10\x17", 0, 0, 0 },
	{ BYTES(udp4_options), 32, "udp 192.0.2.33:38953 > 192.0.2.21:111", "^U\x10\x17", 0, 0, 0 },
	{ BYTES(udp6_rrq), 48, "udp [2001:db8::33]:41519 > [2001:db8::21]:69", "", 0, 0, 0 },
	{ BYTES(udp6_extensions), 64, "udp [2001:db8::33]:41519 > [2001:db8::21]:69", "", 0, 0, 0 },
};

#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static uint8_t *block;

static void drop_block(void)
{
	free(block);
	block = NULL;
}

/* Decodes exactly these bytes; out.payload stays valid until the next call. */
static enum packet_fault decode(const uint8_t *bytes, size_t len, struct packet *out)
{
	drop_block();
	block = malloc(len ? len : 1);
	if (!block)
		ck_abort_msg("out of memory");
	if (len)
		memcpy(block, bytes, len);
	return packet_decode(len ? block : NULL, len, out);
}

/* Decodes bytes that no packet should be made of; what was in out must still be there. */
static enum packet_fault refused(const uint8_t *bytes, size_t len)
{
	struct packet out, before;
	enum packet_fault fault;

	memset(&out, 0xa5, sizeof(out));
	memcpy(&before, &out, sizeof(out));
	fault = decode(bytes, len, &out);
	if (fault != PACKET_OK && memcmp(&before, &out, sizeof(out)) != 0)
		ck_abort_msg("a refused packet has changed the output");
	return fault;
}

static void check_packet(const struct vector *v, const struct packet *p, size_t kept, bool cut)
{
	char text[TUPLE_TEXT];

	ck_assert_str_eq(tuple_format(&p->tuple, text), v->tuple);
	ck_assert_uint_eq(p->seq, v->seq);
	ck_assert_uint_eq(p->ack, v->ack);
	ck_assert_uint_eq(p->tcp_flags, v->flags);
	ck_assert_uint_eq(p->ttl, 64);
	ck_assert_int_eq(p->cut, cut);
	ck_assert_uint_eq(p->payload.left, kept);
	ck_assert_ptr_eq(p->payload.at, block + v->headers);
}

/* --- the vectors ------------------------------------------------------------------------------ */

START_TEST(whole)
{
	const struct vector *v = &vectors[_i];
	struct packet p;

	memset(&p, 0xa5, sizeof(p));
	ck_assert_int_eq(decode(v->bytes, v->len, &p), PACKET_OK);
	check_packet(v, &p, v->len - v->headers, false);
	ck_assert_mem_eq(p.payload.at, v->data, strlen(v->data));
}
END_TEST

START_TEST(cut_at_every_byte)
{
	const struct vector *v = &vectors[_i];

	for (size_t len = 0; len < v->len; len++) {
		struct packet p;

		if (len < v->headers) {
			ck_assert_int_eq(refused(v->bytes, len), PACKET_MALFORMED);
			continue;
		}
		ck_assert_int_eq(decode(v->bytes, len, &p), PACKET_OK);
		check_packet(v, &p, len - v->headers, true);
	}
}
END_TEST

START_TEST(link_padding_is_not_payload)
{
	const struct vector *v = &vectors[_i];

	for (size_t padding = 1; padding <= 46; padding++) {
		uint8_t frame[256];
		struct packet p;

		memcpy(frame, v->bytes, v->len);
		memset(frame + v->len, 0xff, padding);
		ck_assert_int_eq(decode(frame, v->len + padding, &p), PACKET_OK);
		check_packet(v, &p, v->len - v->headers, false);
	}
}
END_TEST

/* Whatever a bit means: no byte outside is read, and no payload lies outside. */
START_TEST(every_bit_turned)
{
	const struct vector *v = &vectors[_i];

	for (size_t bit = 0; bit < 8 * v->len; bit++) {
		uint8_t bytes[256];
		struct packet p;

		memcpy(bytes, v->bytes, v->len);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (refused(bytes, v->len) != PACKET_OK || decode(bytes, v->len, &p) != PACKET_OK)
			continue;
		if (p.payload.at < block || p.payload.left > v->len ||
		    p.payload.at + p.payload.left > block + v->len)
			ck_abort_msg("bit %zu: payload outside the packet", bit);
		if (!p.tuple.sport || !p.tuple.dport)
			ck_abort_msg("bit %zu: a port of 0", bit);
	}
}
END_TEST

START_TEST(fragments)
{
	ck_assert_int_eq(refused(BYTES(frag4_first)), PACKET_FRAGMENT);
	ck_assert_int_eq(refused(BYTES(frag4_last)), PACKET_FRAGMENT);
	ck_assert_int_eq(refused(BYTES(frag6_first)), PACKET_FRAGMENT);
	ck_assert_int_eq(refused(BYTES(frag6_last)), PACKET_FRAGMENT);
}
END_TEST

/* --- packets that contradict themselves ------------------------------------------------------- */

/* A vector with 16 bits at `offset` replaced. */
static enum packet_fault altered16(
    const uint8_t *bytes, size_t len, size_t offset, unsigned int value, struct packet *out)
{
	uint8_t copy[256];

	memcpy(copy, bytes, len);
	copy[offset] = (uint8_t)(value >> 8);
	copy[offset + 1] = (uint8_t)value;
	if (refused(copy, len) != PACKET_OK)
		return refused(copy, len);
	return decode(copy, len, out);
}

START_TEST(not_ip)
{
	static const uint8_t zero[64] = { 0 };
	uint8_t bytes[64] = { 0 };

	ck_assert_int_eq(refused(NULL, 0), PACKET_MALFORMED);
	ck_assert_int_eq(refused(BYTES(zero)), PACKET_NOT_OURS);
	for (unsigned int version = 0; version < 16; version++) {
		bytes[0] = (uint8_t)(version << 4);
		ck_assert_int_eq(refused(bytes, 1),
		    version == 4 || version == 6 ? PACKET_MALFORMED : PACKET_NOT_OURS);
	}
}
END_TEST

START_TEST(ipv4_header_length)
{
	for (unsigned int ihl = 0; ihl < 16; ihl++) {
		uint8_t bytes[sizeof(tcp4_syn)];
		enum packet_fault fault;

		memcpy(bytes, tcp4_syn, sizeof(bytes));
		bytes[0] = (uint8_t)(0x40 | ihl);
		/* Longer headers eat into TCP's; where 20 bytes remain, they may even make sense.
		 */
		fault = refused(bytes, sizeof(bytes));
		if (ihl == 5)
			ck_assert_int_eq(fault, PACKET_OK);
		if (ihl < 5 || ihl * 4 > sizeof(bytes) - 20)
			ck_assert_int_eq(fault, PACKET_MALFORMED);
	}
}
END_TEST

START_TEST(ipv4_total_length)
{
	struct packet p;

	for (unsigned int total = 0; total <= sizeof(tcp4_pasv) + 2; total++) {
		enum packet_fault fault = altered16(BYTES(tcp4_pasv), 2, total, &p);

		ck_assert_int_eq(fault, total < 52 ? PACKET_MALFORMED : PACKET_OK);
		if (fault != PACKET_OK)
			continue;
		ck_assert_uint_eq(p.payload.left, total <= 58 ? total - 52 : 6);
		ck_assert_int_eq(p.cut, total > 58);
	}
	ck_assert_int_eq(altered16(BYTES(tcp4_pasv), 2, 65535, &p), PACKET_OK);
	ck_assert(p.cut);
	ck_assert_uint_eq(p.payload.left, 6);
}
END_TEST

START_TEST(ipv4_fragment_field)
{
	static const struct {
		unsigned int field;
		enum packet_fault fault;
	} cases[] = {
		{ 0x0000, PACKET_OK },
		{ 0x4000, PACKET_OK }, /* DF */
		{ 0x8000, PACKET_OK }, /* reserved; the "evil bit" */
		{ 0x2000, PACKET_FRAGMENT },
		{ 0x6000, PACKET_FRAGMENT },
		{ 0x0001, PACKET_FRAGMENT },
		{ 0x1000, PACKET_FRAGMENT },
		{ 0x1fff, PACKET_FRAGMENT },
	};
	struct packet p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(
		    altered16(BYTES(tcp4_pasv), 6, cases[i].field, &p), cases[i].fault);
}
END_TEST

START_TEST(ipv4_protocols)
{
	for (unsigned int protocol = 0; protocol < 256; protocol++) {
		uint8_t bytes[sizeof(udp4_getport)];
		enum packet_fault fault;

		memcpy(bytes, udp4_getport, sizeof(bytes));
		bytes[9] = (uint8_t)protocol;
		fault = refused(bytes, sizeof(bytes));
		if (protocol == L4_UDP)
			ck_assert_int_eq(fault, PACKET_OK);
		else if (protocol == L4_TCP) /* "data offset" 0 */
			ck_assert_int_eq(fault, PACKET_MALFORMED);
		else
			ck_assert_int_eq(fault, PACKET_NOT_OURS);
	}
}
END_TEST

START_TEST(tcp_data_offset)
{
	for (unsigned int offset = 0; offset < 16; offset++) {
		uint8_t bytes[sizeof(tcp4_pasv)]; /* 38 bytes of TCP */
		struct packet p;
		const bool fits = offset >= 5 && offset * 4 <= 38;

		memcpy(bytes, tcp4_pasv, sizeof(bytes));
		bytes[20 + 12] = (uint8_t)(offset << 4 | 0x0f); /* reserved bits do not count */
		ck_assert_int_eq(
		    refused(bytes, sizeof(bytes)), fits ? PACKET_OK : PACKET_MALFORMED);
		if (!fits)
			continue;
		ck_assert_int_eq(decode(bytes, sizeof(bytes), &p), PACKET_OK);
		ck_assert_uint_eq(p.payload.left, 38 - offset * 4);
		ck_assert(!p.cut);
	}
}
END_TEST

START_TEST(udp_length)
{
	struct packet p;

	for (unsigned int length = 0; length <= 70; length++) {
		const bool fits = length >= 8 && length <= 64;

		ck_assert_int_eq(altered16(BYTES(udp4_getport), 24, length, &p),
		    fits ? PACKET_OK : PACKET_MALFORMED);
		if (!fits)
			continue;
		ck_assert_uint_eq(p.payload.left, length - 8); /* the rest is not data */
		ck_assert(!p.cut);
	}
	ck_assert_int_eq(altered16(BYTES(udp4_getport), 24, 65535, &p), PACKET_MALFORMED);
}
END_TEST

/* What the capture did not keep may have lain behind the datagram: then nothing is missing. */
START_TEST(udp_shorter_than_ip_and_cut)
{
	uint8_t bytes[sizeof(udp4_getport)];

	memcpy(bytes, udp4_getport, sizeof(bytes));
	bytes[25] = 8 + 20;
	for (size_t len = 28; len <= sizeof(bytes); len++) {
		struct packet p;

		ck_assert_int_eq(decode(bytes, len, &p), PACKET_OK);
		ck_assert_int_eq(p.cut, len < 28 + 20);
		ck_assert_uint_eq(p.payload.left, len < 28 + 20 ? len - 28 : 20);
	}
}
END_TEST

START_TEST(port_zero)
{
	struct packet p;

	ck_assert_int_eq(altered16(BYTES(tcp4_pasv), 20, 0, &p), PACKET_MALFORMED);
	ck_assert_int_eq(altered16(BYTES(tcp4_pasv), 22, 0, &p), PACKET_MALFORMED);
	ck_assert_int_eq(altered16(BYTES(udp6_rrq), 40, 0, &p), PACKET_MALFORMED);
	ck_assert_int_eq(altered16(BYTES(udp6_rrq), 42, 0, &p), PACKET_MALFORMED);
	ck_assert_int_eq(altered16(BYTES(udp6_rrq), 42, 65535, &p), PACKET_OK);
	ck_assert_uint_eq(p.tuple.dport, 65535);
}
END_TEST

/* --- IPv6 extension headers ------------------------------------------------------------------- */

enum { HOP = 0, UDP = 17, ROUTING = 43, FRAGMENT = 44, ESP = 50, AH = 51, ICMP6 = 58 };
enum { NONE = 59, DESTINATION = 60, MOBILITY = 135 };

struct extension {
	uint8_t kind;
	uint8_t length; /* as the header says it */
	size_t bytes;   /* as it really is */
	uint16_t fragment;
};

static const struct extension hop = { HOP, 0, 8, 0 };
static const struct extension destination = { DESTINATION, 0, 8, 0 };
static const struct extension atomic = { FRAGMENT, 0, 8, 0 };

/* udp6_rrq with these headers between IPv6 and UDP, and `last` as the protocol of the rest. */
static enum packet_fault with_extensions(
    const struct extension *extensions, size_t n, uint8_t last, struct packet *out)
{
	uint8_t bytes[4096];
	size_t len = 40;
	size_t link = 6; /* where the number of the next header goes */

	memcpy(bytes, udp6_rrq, 40);
	for (size_t i = 0; i < n; i++) {
		const struct extension *x = &extensions[i];

		bytes[link] = x->kind;
		link = len;
		memset(bytes + len, 0, x->bytes);
		bytes[len + 1] = x->length;
		if (x->kind == FRAGMENT) {
			bytes[len + 2] = (uint8_t)(x->fragment >> 8);
			bytes[len + 3] = (uint8_t)x->fragment;
		}
		len += x->bytes;
	}
	bytes[link] = last;
	memcpy(bytes + len, udp6_rrq + 40, sizeof(udp6_rrq) - 40);
	len += sizeof(udp6_rrq) - 40;
	bytes[4] = (uint8_t)((len - 40) >> 8);
	bytes[5] = (uint8_t)(len - 40);
	return refused(bytes, len) == PACKET_OK ? decode(bytes, len, out) : refused(bytes, len);
}

#define with(last, out, ...)                                                                       \
	with_extensions((const struct extension[]){ __VA_ARGS__ },                                 \
	    sizeof((const struct extension[]){ __VA_ARGS__ }) / sizeof(struct extension), last,    \
	    out)

#define ck_assert_is_rrq(p)                                                                        \
	do {                                                                                       \
		char text_[TUPLE_TEXT];                                                            \
		ck_assert_str_eq(tuple_format(&(p).tuple, text_), vectors[5].tuple);               \
		ck_assert_uint_eq((p).payload.left, sizeof(udp6_rrq) - 48);                        \
		ck_assert_mem_eq((p).payload.at, udp6_rrq + 48, sizeof(udp6_rrq) - 48);            \
	} while (0)

static const struct extension each[] = {
	{ HOP, 0, 8, 0 }, { HOP, 5, 48, 0 }, { HOP, 255, 2048, 0 }, { ROUTING, 2, 24, 0 },
	{ DESTINATION, 1, 16, 0 }, { AH, 4, 24, 0 }, /* 4-byte units less 2 */
	{ AH, 1, 12, 0 }, { AH, 255, 1028, 0 }, { FRAGMENT, 0, 8, 0 },
	{ FRAGMENT, 255, 8, 0 },    /* that byte is reserved here */
	{ FRAGMENT, 0, 8, 0x0006 }, /* reserved bits beside the offset */
};

START_TEST(each_extension_is_walked)
{
	struct packet p;

	ck_assert_int_eq(with_extensions(&each[_i], 1, UDP, &p), PACKET_OK);
	ck_assert_is_rrq(p);
	ck_assert_int_eq(with(UDP, &p, each[_i], destination, atomic), PACKET_OK);
	ck_assert_is_rrq(p);
}
END_TEST

START_TEST(ipv6_fragments)
{
	static const uint16_t fields[] = { 0x0001, 0x0008, 0x0009, 0x8000, 0xfff8, 0xffff };
	struct packet p;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct extension part = { FRAGMENT, 0, 8, fields[i] };

		ck_assert_int_eq(with(UDP, &p, part), PACKET_FRAGMENT);
		ck_assert_int_eq(with(ICMP6, &p, part), PACKET_FRAGMENT);
		ck_assert_int_eq(with(UDP, &p, hop, destination, part), PACKET_FRAGMENT);
		ck_assert_int_eq(with(UDP, &p, atomic, part), PACKET_FRAGMENT);
	}
}
END_TEST

START_TEST(hop_by_hop_comes_first)
{
	struct packet p;

	ck_assert_int_eq(with(UDP, &p, hop, destination), PACKET_OK);
	ck_assert_int_eq(with(UDP, &p, destination, hop), PACKET_MALFORMED);
	ck_assert_int_eq(with(UDP, &p, hop, hop), PACKET_MALFORMED);
}
END_TEST

START_TEST(walk_is_bounded)
{
	struct extension many[64];
	struct packet p;

	for (size_t i = 0; i < 64; i++)
		many[i] = destination;
	for (size_t n = 0; n <= 64; n++)
		ck_assert_int_eq(
		    with_extensions(many, n, UDP, &p), n <= 8 ? PACKET_OK : PACKET_MALFORMED);
	many[8] = (struct extension){ FRAGMENT, 0, 8, 0x0001 }; /* not even looked at */
	ck_assert_int_eq(with_extensions(many, 9, UDP, &p), PACKET_MALFORMED);
}
END_TEST

START_TEST(other_next_headers_are_not_ours)
{
	struct packet p;

	ck_assert_int_eq(with(ICMP6, &p, hop), PACKET_NOT_OURS);
	ck_assert_int_eq(with(ESP, &p, hop), PACKET_NOT_OURS);
	ck_assert_int_eq(with(NONE, &p, hop), PACKET_NOT_OURS);
	ck_assert_int_eq(with(MOBILITY, &p, hop), PACKET_NOT_OURS);
}
END_TEST

START_TEST(extension_longer_than_packet)
{
	static const struct extension liars[] = {
		{ HOP, 200, 8, 0 },
		{ ROUTING, 5, 8, 0 }, /* 48 bytes, five more than there are */
		{ AH, 200, 8, 0 },
		{ DESTINATION, 255, 8, 0 },
	};
	struct packet p;

	for (size_t i = 0; i < sizeof(liars) / sizeof(liars[0]); i++)
		ck_assert_int_eq(with_extensions(&liars[i], 1, UDP, &p), PACKET_MALFORMED);
}
END_TEST

START_TEST(ipv6_payload_length)
{
	struct packet p;

	for (unsigned int length = 0; length <= 30; length++) {
		/* The UDP header says 27: less is a contradiction, more is not data. */
		const bool fits = length >= 27;

		ck_assert_int_eq(
		    altered16(BYTES(udp6_rrq), 4, length, &p), fits ? PACKET_OK : PACKET_MALFORMED);
		if (!fits)
			continue;
		ck_assert_is_rrq(p);
		ck_assert(!p.cut);
	}
}
END_TEST

/* RFC 2675: payload length 0 and, in a hop-by-hop option, the true one. */
START_TEST(jumbogram)
{
	uint8_t bytes[40 + 8 + sizeof(udp6_rrq) - 40] = { 0 };
	static const uint8_t option[8] = { UDP, 0, 0xc2, 4, 0, 0, 0, 8 + sizeof(udp6_rrq) - 40 };

	memcpy(bytes, udp6_rrq, 40);
	memcpy(bytes + 40, option, 8);
	memcpy(bytes + 48, udp6_rrq + 40, sizeof(udp6_rrq) - 40);
	bytes[4] = 0;
	bytes[5] = 0;
	bytes[6] = HOP;
	ck_assert_int_eq(refused(bytes, sizeof(bytes)), PACKET_MALFORMED);
	bytes[6] = UDP;
	ck_assert_int_eq(refused(bytes, sizeof(bytes)), PACKET_MALFORMED);
	bytes[6] = NONE; /* no payload and none promised */
	ck_assert_int_eq(refused(bytes, sizeof(bytes)), PACKET_NOT_OURS);
}
END_TEST

/* --- tuples ----------------------------------------------------------------------------------- */

static struct tuple tuple_of(size_t vector)
{
	struct packet p;

	ck_assert_int_eq(decode(vectors[vector].bytes, vectors[vector].len, &p), PACKET_OK);
	return p.tuple;
}

/* They are hashed by their bytes: two packets of a flow must give the very same ones. */
START_TEST(same_flow_same_bytes)
{
	struct packet a, b;

	memset(&a, 0x00, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	ck_assert_int_eq(decode(BYTES(tcp4_syn), &a), PACKET_OK);
	ck_assert_int_eq(decode(BYTES(tcp4_pasv), &b), PACKET_OK);
	ck_assert_mem_eq(&a.tuple, &b.tuple, sizeof(a.tuple));
	ck_assert(tuple_equal(&a.tuple, &b.tuple));
}
END_TEST

START_TEST(every_byte_of_a_tuple_counts)
{
	const struct tuple t = tuple_of(2);

	for (size_t i = 0; i < sizeof(t); i++) {
		struct tuple other = t;
		uint8_t bytes[sizeof(t)];

		memcpy(bytes, &other, sizeof(bytes));
		bytes[i] ^= 1;
		memcpy(&other, bytes, sizeof(bytes));
		ck_assert(!tuple_equal(&t, &other));
	}
}
END_TEST

START_TEST(inversion)
{
	char text[TUPLE_TEXT];

	for (size_t i = 0; i < N_VECTORS; i++) {
		const struct tuple t = tuple_of(i);
		const struct tuple inverse = tuple_invert(&t);
		const struct tuple again = tuple_invert(&inverse);

		ck_assert(!tuple_equal(&t, &inverse));
		ck_assert_mem_eq(&t, &again, sizeof(t));
	}
	struct tuple pasv = tuple_of(1);

	pasv = tuple_invert(&pasv);
	ck_assert_str_eq(tuple_format(&pasv, text), "tcp 192.0.2.21:21 > 192.0.2.33:41072");
}
END_TEST

START_TEST(directions)
{
	ck_assert_int_eq(dir_other(DIR_ORIGINAL), DIR_REPLY);
	ck_assert_int_eq(dir_other(DIR_REPLY), DIR_ORIGINAL);
}
END_TEST

START_TEST(text)
{
	static const uint8_t ones[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	char *buffer = malloc(TUPLE_TEXT);
	struct tuple t = tuple_of(2);

	ck_assert_ptr_nonnull(buffer);
	t.sport = 0;
	ck_assert_ptr_eq(tuple_format(&t, buffer), buffer);
	ck_assert_str_eq(buffer, "tcp [2001:db8::33]:* > [2001:db8::21]:21");

	t = (struct tuple){ .src = addr_ipv6(ones),
		.dst = addr_ipv6(ones),
		.sport = 65535,
		.dport = 65535,
		.l4proto = 255 };
	ck_assert_str_eq(tuple_format(&t, buffer),
	    "255 [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > "
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");

	t = (struct tuple){ 0 };
	ck_assert_str_eq(tuple_format(&t, buffer), "0 -:* > -:*");
	free(buffer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tuple");
	TCase *real = tcase_create("vectors"), *ip = tcase_create("contradictions");
	TCase *ipv6 = tcase_create("extensions"), *tuples = tcase_create("tuples");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(real, NULL, drop_block);
	tcase_add_loop_test(real, whole, 0, N_VECTORS);
	tcase_add_loop_test(real, cut_at_every_byte, 0, N_VECTORS);
	tcase_add_loop_test(real, link_padding_is_not_payload, 0, N_VECTORS);
	tcase_add_loop_test(real, every_bit_turned, 0, N_VECTORS);
	tcase_add_test(real, fragments);
	suite_add_tcase(suite, real);

	tcase_add_checked_fixture(ip, NULL, drop_block);
	tcase_add_test(ip, not_ip);
	tcase_add_test(ip, ipv4_header_length);
	tcase_add_test(ip, ipv4_total_length);
	tcase_add_test(ip, ipv4_fragment_field);
	tcase_add_test(ip, ipv4_protocols);
	tcase_add_test(ip, tcp_data_offset);
	tcase_add_test(ip, udp_length);
	tcase_add_test(ip, udp_shorter_than_ip_and_cut);
	tcase_add_test(ip, port_zero);
	suite_add_tcase(suite, ip);

	tcase_add_checked_fixture(ipv6, NULL, drop_block);
	tcase_add_loop_test(ipv6, each_extension_is_walked, 0, sizeof(each) / sizeof(each[0]));
	tcase_add_test(ipv6, ipv6_fragments);
	tcase_add_test(ipv6, hop_by_hop_comes_first);
	tcase_add_test(ipv6, walk_is_bounded);
	tcase_add_test(ipv6, other_next_headers_are_not_ours);
	tcase_add_test(ipv6, extension_longer_than_packet);
	tcase_add_test(ipv6, ipv6_payload_length);
	tcase_add_test(ipv6, jumbogram);
	suite_add_tcase(suite, ipv6);

	tcase_add_checked_fixture(tuples, NULL, drop_block);
	tcase_add_test(tuples, same_flow_same_bytes);
	tcase_add_test(tuples, every_byte_of_a_tuple_counts);
	tcase_add_test(tuples, inversion);
	tcase_add_test(tuples, directions);
	tcase_add_test(tuples, text);
	suite_add_tcase(suite, tuples);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
