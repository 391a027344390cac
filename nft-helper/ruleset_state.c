// SPDX-License-Identifier: GPL-2.0-or-later
/* The headers of an ordinary packet, and the keys of nf_tables' meta, ct and fib. */
#include "ruleset_state.h"

#include <linux/in6.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define TCP_SYN        0x02
#define TCPOPT_MSS     2
#define UNTRACKED      (1u << 6) /* NF_CT_STATE_UNTRACKED_BIT */
#define INVALID        (1u << 0) /* NF_CT_STATE_INVALID_BIT */

static struct cell byte_of(uint8_t value, uint8_t known)
{
	return (struct cell){ .value = value, .known = known };
}

/* --- the packet ---------------------------------------------------------------------------- */

/* len: 4 or 16. */
static void set_own(const struct walk_packet *p, struct cell *c, size_t len)
{
	if (addr_len(&p->own) == len) {
		cells_bytes(c, p->own.bytes, len, CELL_ELSEWHERE);
		return;
	}
	for (size_t i = 0; i < len; i++)
		c[i] = (struct cell){ .from = CELL_OWN };
}

static void set_addresses(struct packet_state *s, struct cell *src, size_t len)
{
	const struct walk_packet *p = s->packet;
	struct cell *peer = p->out ? src + len : src;
	struct cell *own = p->out ? src : src + len;

	if (p->peers)
		cells_peer(peer, len);
	set_own(p, own, len);
}

static void set_network(struct packet_state *s)
{
	const struct walk_packet *p = s->packet;
	struct cell *net = s->net;

	if (p->family == NFPROTO_IPV4) {
		set_addresses(s, &net[12], 4);
		if (p->l4proto >= 0)
			net[9] = byte_of((uint8_t)p->l4proto, 0xff);
		if (!p->ordinary)
			return;
		/* No options; no fragment. */
		net[0] = byte_of(0x45, 0xff);
		net[6] = byte_of(0, 0x3f);
		net[7] = byte_of(0, 0xff);
	} else if (p->family == NFPROTO_IPV6) {
		set_addresses(s, &net[8], 16);
		if (p->l4proto >= 0 && p->ordinary)
			net[6] = byte_of((uint8_t)p->l4proto, 0xff);
		net[0] = byte_of(0x60, 0xf0);
	}
}

static void set_transport(struct packet_state *s, const struct cell_scope *scope)
{
	const struct walk_packet *p = s->packet;
	struct cell *th = s->th, port[4];

	switch (p->l4proto) {
	case IPPROTO_TCP:
		if (p->ordinary)
			th[13] = byte_of(TCP_SYN, 0xff);
		/* fall through */
	case IPPROTO_UDP:
		cells_port(port, scope, CELL_PORT_SRC);
		memcpy(&th[0], port, 2 * sizeof(*port));
		cells_port(port, scope, CELL_PORT_DST);
		memcpy(&th[2], port, 2 * sizeof(*port));
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (p->icmp_type >= 0)
			th[0] = byte_of((uint8_t)p->icmp_type, 0xff);
		if (p->icmp_code >= 0)
			th[1] = byte_of((uint8_t)p->icmp_code, 0xff);
		break;
	default:
		break;
	}
}

static void set_port(struct cell_port *port, int number)
{
	if (number >= 0)
		*port = (struct cell_port){ true, (uint16_t)number, UINT16_MAX };
}

void state_begin(struct packet_state *p, struct cell_scope *s, const struct walk_packet *packet)
{
	static const struct addr_range somebody;

	memset(p, 0, sizeof(*p));
	p->packet = packet;
	p->tracking = TRACK_YES;
	s->peers = packet->peers ? *packet->peers : (struct addrset){ &somebody, 1 };
	if (packet->peers)
		s->addr_len = packet->family == NFPROTO_IPV6 ? 16 : 4;
	set_port(&s->port[CELL_PORT_DST], packet->dport);
	set_port(&s->port[CELL_PORT_SRC], packet->sport);
	cells_word(p->ct_mark, packet->mark, CELL_MARK);
	if (packet->ordinary)
		cells_word(p->meta_mark, 0, CELL_ELSEWHERE);
	set_network(p);
	set_transport(p, s);
}

/* --- its flow ------------------------------------------------------------------------------ */

bool state_of(const struct packet_state *p, uint32_t *out)
{
	switch (p->tracking) {
	case TRACK_YES:
		*out = p->packet->state;
		return true;
	case TRACK_BEFORE:
		*out = INVALID;
		return true;
	case TRACK_NEVER:
		*out = UNTRACKED;
		return true;
	default:
		return false;
	}
}

uint32_t state_status_known(const struct packet_state *p)
{
	uint32_t bits = IPS_EXPECTED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_SRC_NAT |
			IPS_SEQ_ADJUST | IPS_DYING;

	if (!p->packet->ordinary)
		return 0;
	return p->translated ? bits : bits | IPS_DST_NAT;
}

/* How much of a register a key of meta fills. */
static size_t meta_len(uint32_t key)
{
	switch (key) {
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
	case NFT_META_IIFKIND:
	case NFT_META_OIFKIND:
	case NFT_META_BRI_IIFNAME:
	case NFT_META_BRI_OIFNAME:
	case NFT_META_SDIFNAME:
		return 16;
	case NFT_META_TIME_NS:
		return 8;
	case NFT_META_PROTOCOL:
	case NFT_META_IIFTYPE:
	case NFT_META_OIFTYPE:
		return 2;
	case NFT_META_NFPROTO:
	case NFT_META_L4PROTO:
	case NFT_META_PKTTYPE:
		return 1;
	default:
		return 4;
	}
}

/* The interface on the other side's way. */
static void load_interface(
    const struct packet_state *s, struct cell *to, bool out, enum cell_from what)
{
	const struct walk_interface *known = s->packet->interface;

	if (!s->packet->ordinary || s->packet->out != out)
		return;
	if (!known)
		cells_not_loopback(to, what);
	else if (what == CELL_IF_NAME)
		cells_bytes(to, known->name, sizeof(known->name), CELL_ELSEWHERE);
	else if (what == CELL_IF_INDEX)
		cells_word(to, known->index, CELL_ELSEWHERE);
	else
		cells_bytes(to, &known->type, sizeof(known->type), CELL_ELSEWHERE);
}

static void load_meta(const struct packet_state *s, const struct dump_expr *e, struct cell *to)
{
	const struct walk_packet *p = s->packet;

	cells_unknown(to, meta_len(e->key));
	switch (e->key) {
	case NFT_META_NFPROTO:
		if (p->family)
			cells_byte(to, p->family);
		break;
	case NFT_META_PROTOCOL:
		if (p->family)
			cells_be16(to, p->family == NFPROTO_IPV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
		break;
	case NFT_META_L4PROTO:
		if (p->l4proto >= 0)
			cells_byte(to, (uint8_t)p->l4proto);
		break;
	case NFT_META_MARK:
		memcpy(to, s->meta_mark, sizeof(s->meta_mark));
		break;
	case NFT_META_IIF:
	case NFT_META_OIF:
		load_interface(s, to, e->key == NFT_META_OIF, CELL_IF_INDEX);
		break;
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
		load_interface(s, to, e->key == NFT_META_OIFNAME, CELL_IF_NAME);
		break;
	case NFT_META_IIFTYPE:
	case NFT_META_OIFTYPE:
		load_interface(s, to, e->key == NFT_META_OIFTYPE, CELL_IF_TYPE);
		break;
	case NFT_META_PKTTYPE:
		if (p->ordinary && !p->out)
			cells_byte(to, 0); /* PACKET_HOST */
		break;
	default:
		break;
	}
}

static void load_payload(const struct packet_state *s, const struct dump_expr *e, struct cell *to)
{
	const struct cell *header = NULL;
	size_t have = 0;

	cells_unknown(to, e->len);
	if (e->key == NFT_PAYLOAD_NETWORK_HEADER) {
		header = s->net;
		have = s->packet->family == NFPROTO_IPV6 ? 40 : 20;
	} else if (e->key == NFT_PAYLOAD_TRANSPORT_HEADER) {
		header = s->th;
		have = STATE_TH;
	}
	for (size_t i = 0; i < e->len && e->offset + i < have; i++)
		to[i] = header[e->offset + i];
}

static enum truth load_ct_address(
    const struct packet_state *s, const struct dump_expr *e, struct cell *to)
{
	const struct walk_packet *p = s->packet;
	bool four = p->family == NFPROTO_IPV4, six = p->family == NFPROTO_IPV6;
	bool src = e->key == NFT_CT_SRC || e->key == NFT_CT_SRC_IP || e->key == NFT_CT_SRC_IP6;
	size_t len = four ? 4 : 16;

	cells_unknown(to, 16);
	if (((e->key == NFT_CT_SRC_IP || e->key == NFT_CT_DST_IP) && six) ||
	    ((e->key == NFT_CT_SRC_IP6 || e->key == NFT_CT_DST_IP6) && four))
		return FAILS;
	if (e->flags != IP_CT_DIR_ORIGINAL)
		return HOLDS;
	if (src != p->out && p->peers)
		cells_peer(to, len);
	else if (src == p->out)
		set_own(p, to, len);
	return HOLDS;
}

static void load_status(const struct packet_state *s, struct cell *to)
{
	const uint32_t bits = state_status_known(s);
	uint8_t bytes[4];

	cells_unknown(to, sizeof(bytes));
	memcpy(bytes, &bits, sizeof(bits));
	for (size_t i = 0; i < sizeof(bytes); i++)
		to[i].known = bytes[i];
}

static void load_state(const struct packet_state *s, struct cell *to)
{
	uint32_t state;

	if (state_of(s, &state)) {
		cells_word(to, state, CELL_STATE);
		return;
	}
	cells_unknown(to, sizeof(state));
	for (size_t i = 0; i < sizeof(state); i++)
		to[i].from = CELL_STATE;
}

static enum truth load_ct(const struct packet_state *s, const struct cell_scope *scope,
    const struct dump_expr *e, struct cell *to)
{
	const struct walk_packet *p = s->packet;
	bool ports = p->l4proto == IPPROTO_TCP || p->l4proto == IPPROTO_UDP;

	cells_unknown(to, 16);
	if (e->key == NFT_CT_STATE) {
		load_state(s, to);
		return HOLDS;
	}
	/* Without an entry the expression ends the rule (nft_ct.c: nft_ct_get_eval). */
	if (s->tracking == TRACK_BEFORE || s->tracking == TRACK_NEVER)
		return FAILS;
	if (s->tracking != TRACK_YES)
		return DEPENDS;
	switch (e->key) {
	case NFT_CT_MARK:
		memcpy(to, s->ct_mark, sizeof(s->ct_mark));
		break;
	case NFT_CT_STATUS:
		load_status(s, to);
		break;
	case NFT_CT_DIRECTION:
		if (p->ordinary)
			cells_byte(to, IP_CT_DIR_ORIGINAL);
		break;
	case NFT_CT_L3PROTOCOL:
		if (p->family)
			cells_byte(to, p->family);
		break;
	case NFT_CT_PROTOCOL:
		if (p->l4proto >= 0)
			cells_byte(to, (uint8_t)p->l4proto);
		break;
	case NFT_CT_PROTO_SRC:
	case NFT_CT_PROTO_DST:
		if (ports && e->flags == IP_CT_DIR_ORIGINAL)
			cells_port(
			    to, scope, e->key == NFT_CT_PROTO_DST ? CELL_PORT_DST : CELL_PORT_SRC);
		break;
	case NFT_CT_SRC:
	case NFT_CT_DST:
	case NFT_CT_SRC_IP:
	case NFT_CT_DST_IP:
	case NFT_CT_SRC_IP6:
	case NFT_CT_DST_IP6:
		return load_ct_address(s, e, to);
	default:
		break;
	}
	return HOLDS;
}

static void load_fib(const struct packet_state *s, const struct dump_expr *e, struct cell *to)
{
	const struct walk_packet *p = s->packet;
	/* To an address of the interface that it comes by, unless it is known to be another's. */
	bool whole = !(e->flags & (NFTA_FIB_F_IIF | NFTA_FIB_F_OIF)) ||
		     (e->flags == (NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF) && !p->out && !p->elsewhere);
	bool own;

	cells_unknown(to, e->key == NFT_FIB_RESULT_OIFNAME ? 16 : 4);
	if (!p->ordinary || s->translated)
		return;
	if (e->key == NFT_FIB_RESULT_ADDRTYPE && whole) {
		own = (e->flags & NFTA_FIB_F_DADDR) ? !p->out : p->out;
		cells_word(to, own ? RTN_LOCAL : RTN_UNICAST, CELL_ELSEWHERE);
	} else if (e->key != NFT_FIB_RESULT_ADDRTYPE && !p->out && (e->flags & NFTA_FIB_F_SADDR) &&
		   (e->flags & NFTA_FIB_F_PRESENT)) {
		/* There is a way back. */
		cells_byte(to, 1);
	}
}

/* That of Ethernet. */
uint16_t state_mss(const struct walk_packet *p)
{
	return p->family == NFPROTO_IPV4 ? 1460 : 1440;
}

/* Whether a packet can have headers or options of this kind at all (nft_exthdr.c). */
static bool may_have(const struct walk_packet *p, uint32_t op)
{
	switch (op) {
	case NFT_EXTHDR_OP_IPV6:
		return p->family == NFPROTO_IPV6;
	case NFT_EXTHDR_OP_IPV4:
		return p->family == NFPROTO_IPV4;
	case NFT_EXTHDR_OP_TCPOPT:
		return p->l4proto == IPPROTO_TCP;
	case NFT_EXTHDR_OP_SCTP:
		return p->l4proto == IPPROTO_SCTP;
	default:
		return true;
	}
}

/* An ordinary packet has no extension headers and no options of IPv4; a TCP SYN says its MSS. */
static enum truth load_exthdr(
    const struct packet_state *s, const struct dump_expr *e, struct cell *to)
{
	const struct walk_packet *p = s->packet;
	bool asked = e->flags & NFT_EXTHDR_F_PRESENT, possible = may_have(p, e->key);
	bool mss = possible && e->key == NFT_EXTHDR_OP_TCPOPT && e->offset >> 16 == TCPOPT_MSS;

	cells_unknown(to, e->len);
	if (!p->ordinary)
		return DEPENDS;
	if (mss && !asked) {
		if ((e->offset & 0xffff) == 2 && e->len == 2)
			cells_be16(to, state_mss(p));
		return HOLDS;
	}
	if (possible && !mss && e->key != NFT_EXTHDR_OP_IPV6 && e->key != NFT_EXTHDR_OP_IPV4)
		return DEPENDS;
	/* Asked of a packet of the other family, the rule ends even then. */
	if (!asked || (!possible && (e->key == NFT_EXTHDR_OP_IPV6 || e->key == NFT_EXTHDR_OP_IPV4)))
		return FAILS;
	cells_byte(to, mss);
	return HOLDS;
}

enum truth state_load(const struct packet_state *p, const struct cell_scope *s,
    const struct dump_expr *e, struct cell *to)
{
	switch (e->op) {
	case DUMP_PAYLOAD:
		load_payload(p, e, to);
		return HOLDS;
	case DUMP_META:
		load_meta(p, e, to);
		return HOLDS;
	case DUMP_CT:
		return load_ct(p, s, e, to);
	case DUMP_FIB:
		load_fib(p, e, to);
		return HOLDS;
	default:
		return load_exthdr(p, e, to);
	}
}
