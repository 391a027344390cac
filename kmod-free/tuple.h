/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tuple of a packet or flow (struct nf_conntrack_tuple in the kernel), and the step from packet
 * bytes to it. IPv4, IPv6 with extension headers, TCP and UDP; all else is "not ours".
 */
#ifndef TUPLE_H
#define TUPLE_H

#include "addr.h"
#include "cursor.h"

enum dir { DIR_ORIGINAL, DIR_REPLY };

static inline enum dir dir_other(enum dir d)
{
	return d == DIR_ORIGINAL ? DIR_REPLY : DIR_ORIGINAL;
}

enum l4 { L4_TCP = 6, L4_UDP = 17 };

/* Hashed and compared with its bytes: every field, padding included, is always written. */
struct tuple {
	struct addr src;
	struct addr dst;
	uint16_t sport; /* host order; 0 in an expectation: any */
	uint16_t dport; /* host order */
	uint8_t l4proto;
	uint8_t pad[3];
	/*
	 * Interface index, in flows of one-way services between link-local addresses; else 0.
	 * Conntrack knows nothing of it.
	 */
	uint32_t iface;
};

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

struct packet {
	struct tuple tuple;
	struct cursor payload; /* borrowed from the packet; what the capture kept of it */
	uint32_t seq, ack;     /* TCP, host order */
	uint8_t tcp_flags;     /* enum tcp_flag */
	uint8_t ttl;           /* or hop limit */
	bool cut;              /* payload shorter than the headers say (snaplen) */
};

enum packet_fault {
	PACKET_OK,
	PACKET_NOT_OURS,  /* neither IPv4 nor IPv6, neither TCP nor UDP */
	PACKET_FRAGMENT,  /* anything but a whole datagram */
	PACKET_MALFORMED, /* lengths that contradict each other, or cut within the headers */
};

/* From the network header on. Lengths are those of the IP header: link padding is not payload. */
enum packet_fault packet_decode(const uint8_t *l3, size_t len, struct packet *out);

struct tuple tuple_invert(const struct tuple *t);
bool tuple_equal(const struct tuple *a, const struct tuple *b);

/* "tcp 10.0.0.1:4711 > [2001:db8::1]:21" into text[TUPLE_TEXT]; returns text. Port 0 prints as *.
 */
#define TUPLE_TEXT 160
const char *tuple_format(const struct tuple *t, char *text);

#endif
