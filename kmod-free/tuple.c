/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From packet bytes to a tuple, after RFC 791, 8200, 4302, 9293 and 768. What conntrack would call
 * invalid is refused here too, so that both see the same flow. Checksums are left to the kernel:
 * on the way out they are often not yet computed. No state, no reassembly, and no opinion on which
 * flows matter.
 */
#include "tuple.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct tuple) == 52, "hashed by its bytes: no hidden padding");

#define IPV4_HEADER        20
#define IPV4_MF            0x2000 /* more fragments */
#define IPV4_OFFSET        0x1fff /* of this fragment */

#define IPV6_FRAGMENT_PART 0xfff9 /* offset and M flag; both 0 in an atomic fragment (RFC 6946) */

/* RFC 8200 section 4.1 knows of six in a row; each takes 8 bytes at least, so this is generous. */
#define IPV6_EXTENSIONS_MAX 8

enum next_header {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTH = 51,
	NEXT_DESTINATION = 60,
};

#define TCP_HEADER 20
#define UDP_HEADER 8

/* What is left of a packet behind the headers read so far. */
struct body {
	struct cursor at; /* captured, and within the length that the IP header says */
	size_t missing;   /* how much more the IP header says there is */
};

/* The next `said` bytes of c, or as many as the capture kept of them. */
static bool body_of(struct cursor *c, size_t said, struct body *out)
{
	size_t kept = said < c->left ? said : c->left;

	out->missing = said - kept;
	return cursor_sub(c, kept, &out->at);
}

static enum packet_fault decode_tcp(struct body *b, struct packet *p)
{
	uint8_t offset;
	size_t header;

	if (!cursor_be16(&b->at, &p->tuple.sport) || !cursor_be16(&b->at, &p->tuple.dport) ||
	    !cursor_be32(&b->at, &p->seq) || !cursor_be32(&b->at, &p->ack) ||
	    !cursor_u8(&b->at, &offset) || !cursor_u8(&b->at, &p->tcp_flags) ||
	    !cursor_skip(&b->at, 6)) /* window, checksum, urgent pointer */
		return PACKET_MALFORMED;

	header = (size_t)(offset >> 4) * 4;
	if (header < TCP_HEADER || !cursor_skip(&b->at, header - TCP_HEADER))
		return PACKET_MALFORMED;

	p->payload = b->at;
	p->cut = b->missing > 0;
	return PACKET_OK;
}

static enum packet_fault decode_udp(struct body *b, struct packet *p)
{
	size_t said = b->at.left + b->missing;
	uint16_t length;
	struct body data;

	if (!cursor_be16(&b->at, &p->tuple.sport) || !cursor_be16(&b->at, &p->tuple.dport) ||
	    !cursor_be16(&b->at, &length) || !cursor_skip(&b->at, 2))
		return PACKET_MALFORMED;

	/* Shorter than the IP payload is legal: what follows is not data (RFC 9868 options). */
	if (length < UDP_HEADER || length > said || !body_of(&b->at, length - UDP_HEADER, &data))
		return PACKET_MALFORMED;

	p->payload = data.at;
	p->cut = data.missing > 0;
	return PACKET_OK;
}

static enum packet_fault decode_l4(uint8_t protocol, struct body *b, struct packet *p)
{
	enum packet_fault fault;

	p->tuple.l4proto = protocol;
	switch (protocol) {
	case L4_TCP:
		fault = decode_tcp(b, p);
		break;
	case L4_UDP:
		fault = decode_udp(b, p);
		break;
	default:
		return PACKET_NOT_OURS;
	}
	/* In a tuple 0 means "any": no packet may claim it. */
	if (fault == PACKET_OK && (p->tuple.sport == 0 || p->tuple.dport == 0))
		return PACKET_MALFORMED;
	return fault;
}

static enum packet_fault decode_ipv4(struct cursor c, struct packet *p)
{
	uint8_t version_ihl, protocol, src[4], dst[4];
	uint16_t total, fragment;
	size_t header;
	struct body b;

	if (!cursor_u8(&c, &version_ihl) || !cursor_skip(&c, 1) || !cursor_be16(&c, &total) ||
	    !cursor_skip(&c, 2) || !cursor_be16(&c, &fragment) || !cursor_u8(&c, &p->ttl) ||
	    !cursor_u8(&c, &protocol) || !cursor_skip(&c, 2) || !cursor_copy(&c, src, 4) ||
	    !cursor_copy(&c, dst, 4))
		return PACKET_MALFORMED;

	header = (size_t)(version_ihl & 0x0f) * 4;
	if (header < IPV4_HEADER || total < header || !cursor_skip(&c, header - IPV4_HEADER) ||
	    !body_of(&c, total - header, &b))
		return PACKET_MALFORMED;
	if (fragment & (IPV4_MF | IPV4_OFFSET))
		return PACKET_FRAGMENT;

	p->tuple.src = addr_ipv4(src);
	p->tuple.dst = addr_ipv4(dst);
	return decode_l4(protocol, &b, p);
}

/* Those that conntrack looks through as well (ipv6_ext_hdr() in the kernel). */
static bool is_extension(uint8_t next)
{
	switch (next) {
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_FRAGMENT:
	case NEXT_AUTH:
	case NEXT_DESTINATION:
		return true;
	default:
		return false;
	}
}

/* Takes one extension header off b and says in *next what follows it. */
static enum packet_fault skip_extension(struct body *b, uint8_t kind, uint8_t *next)
{
	uint8_t following, length;
	uint16_t fragment;

	if (!cursor_u8(&b->at, &following) || !cursor_u8(&b->at, &length))
		return PACKET_MALFORMED;

	switch (kind) {
	case NEXT_FRAGMENT: /* 8 bytes always; `length` is reserved here */
		if (!cursor_be16(&b->at, &fragment) || !cursor_skip(&b->at, 4))
			return PACKET_MALFORMED;
		if (fragment & IPV6_FRAGMENT_PART)
			return PACKET_FRAGMENT;
		break;
	case NEXT_AUTH: /* in 4-byte units less 2, RFC 4302 section 2.2 */
		if (!cursor_skip(&b->at, (size_t)length * 4 + 6))
			return PACKET_MALFORMED;
		break;
	default: /* in 8-byte units less 1 */
		if (!cursor_skip(&b->at, (size_t)length * 8 + 6))
			return PACKET_MALFORMED;
		break;
	}
	*next = following;
	return PACKET_OK;
}

static enum packet_fault decode_ipv6(struct cursor c, struct packet *p)
{
	uint8_t next, src[16], dst[16];
	uint16_t length;
	struct body b;

	/*
	 * A jumbogram (RFC 2675) says length 0: its hop-by-hop header then lies outside the packet,
	 * which makes it malformed without a case of its own.
	 */
	if (!cursor_skip(&c, 4) || !cursor_be16(&c, &length) || !cursor_u8(&c, &next) ||
	    !cursor_u8(&c, &p->ttl) || !cursor_copy(&c, src, 16) || !cursor_copy(&c, dst, 16) ||
	    !body_of(&c, length, &b))
		return PACKET_MALFORMED;

	p->tuple.src = addr_ipv6(src);
	p->tuple.dst = addr_ipv6(dst);

	for (unsigned int n = 0; is_extension(next); n++) {
		enum packet_fault fault;

		/* Hop-by-hop options come first or not at all, RFC 8200 section 4. */
		if (n == IPV6_EXTENSIONS_MAX || (n > 0 && next == NEXT_HOP_BY_HOP))
			return PACKET_MALFORMED;
		fault = skip_extension(&b, next, &next);
		if (fault != PACKET_OK)
			return fault;
	}
	return decode_l4(next, &b, p);
}

enum packet_fault packet_decode(const uint8_t *l3, size_t len, struct packet *out)
{
	struct cursor c = cursor_of(l3, len);
	struct packet p = { 0 };
	enum packet_fault fault;
	uint8_t version;

	if (!cursor_peek(&c, &version))
		return PACKET_MALFORMED;

	switch (version >> 4) {
	case 4:
		fault = decode_ipv4(c, &p);
		break;
	case 6:
		fault = decode_ipv6(c, &p);
		break;
	default:
		return PACKET_NOT_OURS;
	}
	if (fault == PACKET_OK)
		*out = p;
	return fault;
}

struct tuple tuple_invert(const struct tuple *t)
{
	struct tuple inverse = *t;

	inverse.src = t->dst;
	inverse.dst = t->src;
	inverse.sport = t->dport;
	inverse.dport = t->sport;
	return inverse;
}

bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

#define ENDPOINT_TEXT (ADDR_TEXT + sizeof("[%4294967295]:65535"))

static void format_endpoint(
    const struct addr *a, uint16_t port, uint32_t iface, char text[ENDPOINT_TEXT])
{
	char host[ADDR_TEXT], digits[sizeof("65535")] = "*", zone[sizeof("%4294967295")] = "";

	if (port)
		snprintf(digits, sizeof(digits), "%u", (unsigned int)port);
	if (iface && addr_link_local(a))
		snprintf(zone, sizeof(zone), "%%%u", (unsigned int)iface);
	snprintf(text, ENDPOINT_TEXT, a->family == FAMILY_IPV6 ? "[%s%s]:%s" : "%s%s:%s",
	    addr_format(a, host), zone, digits);
}

const char *tuple_format(const struct tuple *t, char *text)
{
	char src[ENDPOINT_TEXT], dst[ENDPOINT_TEXT], other[sizeof("255")];
	const char *protocol = other;

	if (t->l4proto == L4_TCP)
		protocol = "tcp";
	else if (t->l4proto == L4_UDP)
		protocol = "udp";
	else
		snprintf(other, sizeof(other), "%u", (unsigned int)t->l4proto);

	format_endpoint(&t->src, t->sport, t->iface, src);
	format_endpoint(&t->dst, t->dport, t->iface, dst);
	snprintf(text, TUPLE_TEXT, "%s %s > %s", protocol, src, dst);
	return text;
}
