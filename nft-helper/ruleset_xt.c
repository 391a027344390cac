// SPDX-License-Identifier: GPL-2.0-or-later
/* One function a match; their private data has the layout of the kernel's uapi headers. */
#include "ruleset_xt.h"

#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_hashlimit.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter/xt_recent.h>
#include <linux/netfilter/xt_rpfilter.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpmss.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

struct match {
	struct cell_scope *s;
	const struct packet_state *p;
	const struct dump_expr *e;
	unsigned int about;
};

/* The private data; false when it is shorter than `len`. */
static bool info(const struct dump_expr *e, void *out, size_t len)
{
	if (!e->data || e->data_len < len)
		return false;
	memcpy(out, e->data, len);
	return true;
}

static struct cond inverted(struct match *m, struct cond c, bool invert)
{
	return invert ? cond_not(m->s, c) : c;
}

static struct cond known(bool holds)
{
	return cond_of(holds ? HOLDS : FAILS);
}

/* --- the transport header ------------------------------------------------------------------ */

static struct cond within16(struct match *m, const struct cell *c, uint16_t lo, uint16_t hi)
{
	const uint8_t from[2] = { (uint8_t)(lo >> 8), (uint8_t)lo };
	const uint8_t to[2] = { (uint8_t)(hi >> 8), (uint8_t)hi };

	return cells_within(m->s, c, from, to, sizeof(from));
}

static struct cond sport_within(struct match *m, uint16_t lo, uint16_t hi)
{
	return within16(m, &m->p->th[0], lo, hi);
}

static struct cond dport_within(struct match *m, uint16_t lo, uint16_t hi)
{
	return within16(m, &m->p->th[2], lo, hi);
}

static struct cond match_tcp(struct match *m)
{
	struct cell flags = m->p->th[13];
	const uint8_t zero = 0;
	struct xt_tcp tcp;
	struct cond c;

	if (!info(m->e, &tcp, sizeof(tcp)) || tcp.option)
		return cond_of(DEPENDS);
	c = inverted(m, sport_within(m, tcp.spts[0], tcp.spts[1]), tcp.invflags & XT_TCP_INV_SRCPT);
	c = cond_and(m->s, c,
	    inverted(
		m, dport_within(m, tcp.dpts[0], tcp.dpts[1]), tcp.invflags & XT_TCP_INV_DSTPT));
	cells_mask(&flags, &tcp.flg_mask, &zero, 1);
	return cond_and(m->s, c,
	    inverted(m, cells_compare(m->s, &flags, NFT_CMP_EQ, &tcp.flg_cmp, 1),
		tcp.invflags & XT_TCP_INV_FLAGS));
}

static struct cond match_udp(struct match *m)
{
	struct xt_udp udp;
	struct cond c;

	if (!info(m->e, &udp, sizeof(udp)))
		return cond_of(DEPENDS);
	c = inverted(m, sport_within(m, udp.spts[0], udp.spts[1]), udp.invflags & XT_UDP_INV_SRCPT);
	return cond_and(m->s, c,
	    inverted(
		m, dport_within(m, udp.dpts[0], udp.dpts[1]), udp.invflags & XT_UDP_INV_DSTPT));
}

static struct cond match_multiport(struct match *m)
{
	struct cond any = cond_of(FAILS);
	struct xt_multiport_v1 ports;

	if (m->e->key != 1 || !info(m->e, &ports, sizeof(ports)) || ports.count > XT_MULTI_PORTS)
		return cond_of(DEPENDS);
	for (unsigned int i = 0; i < ports.count; i++) {
		uint16_t lo = ports.ports[i], hi = lo;

		if (ports.pflags[i] && i + 1 < ports.count)
			hi = ports.ports[++i];
		if (ports.flags != XT_MULTIPORT_DESTINATION)
			any = cond_or(m->s, any, sport_within(m, lo, hi));
		if (ports.flags != XT_MULTIPORT_SOURCE)
			any = cond_or(m->s, any, dport_within(m, lo, hi));
	}
	return inverted(m, any, ports.invert);
}

static struct cond type_and_code(struct match *m, bool any, uint8_t type, const uint8_t code[2])
{
	if (any)
		return cond_of(HOLDS);
	return cond_and(m->s, cells_compare(m->s, &m->p->th[0], NFT_CMP_EQ, &type, 1),
	    cells_within(m->s, &m->p->th[1], &code[0], &code[1], 1));
}

static struct cond match_icmp(struct match *m)
{
	struct ipt_icmp icmp;

	if (!info(m->e, &icmp, sizeof(icmp)))
		return cond_of(DEPENDS);
	return inverted(m, type_and_code(m, icmp.type == 0xff, icmp.type, icmp.code),
	    icmp.invflags & IPT_ICMP_INV);
}

static struct cond match_icmp6(struct match *m)
{
	struct ip6t_icmp icmp;

	if (!info(m->e, &icmp, sizeof(icmp)))
		return cond_of(DEPENDS);
	return inverted(
	    m, type_and_code(m, false, icmp.type, icmp.code), icmp.invflags & IP6T_ICMP_INV);
}

/* --- conntrack and marks ------------------------------------------------------------------- */

/* nf_tables has "untracked" in another bit (NF_CT_STATE_UNTRACKED_BIT). */
static uint32_t xt_state_bit(uint32_t state)
{
	return state == 1u << 6 ? XT_CONNTRACK_STATE_UNTRACKED : state;
}

static struct cond state_in(struct match *m, uint32_t mask)
{
	const uint32_t nat = XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT;
	uint32_t state, untouched = 0;

	m->about |= WALK_ABOUT_STATE;
	if (!state_of(m->p, &state))
		return cond_of(DEPENDS);
	if (xt_state_bit(state) & mask)
		return cond_of(HOLDS);
	if (m->p->tracking != TRACK_YES || !m->p->packet->ordinary)
		return cond_of(FAILS);
	if (state_status_known(m->p) & IPS_SRC_NAT)
		untouched |= XT_CONNTRACK_STATE_SNAT;
	if (state_status_known(m->p) & IPS_DST_NAT)
		untouched |= XT_CONNTRACK_STATE_DNAT;
	return cond_of(mask & nat & ~untouched ? DEPENDS : FAILS);
}

static struct cond match_state(struct match *m)
{
	struct xt_state_info state;

	return info(m->e, &state, sizeof(state)) ? state_in(m, state.statemask) : cond_of(DEPENDS);
}

static struct cond status_in(struct match *m, uint32_t mask)
{
	return cond_of(mask & ~state_status_known(m->p) ? DEPENDS : FAILS);
}

/* The other side's address, or this one's, as conntrack first saw it. */
static struct cond orig_address(
    struct match *m, bool peer, const union nf_inet_addr *addr, const union nf_inet_addr *mask)
{
	static const uint8_t zeros[16];
	const struct addr *own = &m->p->packet->own;
	struct cell c[16 + STATE_SLACK];
	uint8_t value[16], masked[16];
	size_t len = m->s->addr_len;

	if (!peer && own->family == FAMILY_NONE)
		m->about |= WALK_ABOUT_OWN;
	if (!len || (!peer && own->family == FAMILY_NONE))
		return cond_of(DEPENDS);
	if (peer)
		cells_peer(c, len);
	else
		cells_bytes(c, own->bytes, len, CELL_ELSEWHERE);
	memcpy(value, addr, sizeof(value));
	memcpy(masked, mask, sizeof(masked));
	for (size_t i = 0; i < len; i++)
		value[i] &= masked[i];
	cells_mask(c, masked, zeros, len);
	return cells_compare(m->s, c, NFT_CMP_EQ, value, len);
}

static struct cond orig_port(struct match *m, unsigned int which, uint16_t lo, uint16_t hi)
{
	struct cell c[2 + STATE_SLACK];

	cells_port(c, m->s, which);
	return within16(m, c, lo, hi);
}

static struct cond match_conntrack(struct match *m)
{
	const unsigned int easy = XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS |
				  XT_CONNTRACK_STATUS | XT_CONNTRACK_DIRECTION |
				  XT_CONNTRACK_PROTO | XT_CONNTRACK_ORIGSRC | XT_CONNTRACK_ORIGDST |
				  XT_CONNTRACK_ORIGSRC_PORT | XT_CONNTRACK_ORIGDST_PORT;
	const unsigned int state = XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS;
	const struct walk_packet *packet = m->p->packet;
	struct cond c = cond_of(HOLDS);
	struct xt_conntrack_mtinfo3 ct;
	unsigned int flags, not ;

	if (m->e->key != 3 || !info(m->e, &ct, sizeof(ct)))
		return cond_of(DEPENDS);
	flags = ct.match_flags;
	not = ct.invert_flags;
	if (flags & XT_CONNTRACK_STATE)
		c = inverted(m, state_in(m, ct.state_mask), not &XT_CONNTRACK_STATE);
	if (!(flags & ~state))
		return c;
	/* Without an entry nothing but a state can match; its flows are not described here. */
	if (m->p->tracking == TRACK_BEFORE || m->p->tracking == TRACK_NEVER)
		return flags & XT_CONNTRACK_STATE ? c : cond_of(FAILS);
	if (m->p->tracking != TRACK_YES || !packet->ordinary || (flags & ~easy))
		return cond_and(m->s, c, cond_of(DEPENDS));
	if (flags & XT_CONNTRACK_STATUS)
		c = cond_and(
		    m->s, c, inverted(m, status_in(m, ct.status_mask), not &XT_CONNTRACK_STATUS));
	if (flags & XT_CONNTRACK_DIRECTION)
		c = cond_and(m->s, c, known(!(not &XT_CONNTRACK_DIRECTION)));
	if (flags & XT_CONNTRACK_PROTO)
		c = cond_and(m->s, c,
		    inverted(m, known(ct.l4proto == packet->l4proto), not &XT_CONNTRACK_PROTO));
	if (flags & XT_CONNTRACK_ORIGSRC)
		c = cond_and(m->s, c,
		    inverted(m, orig_address(m, !packet->out, &ct.origsrc_addr, &ct.origsrc_mask),
			not &XT_CONNTRACK_ORIGSRC));
	if (flags & XT_CONNTRACK_ORIGDST)
		c = cond_and(m->s, c,
		    inverted(m, orig_address(m, packet->out, &ct.origdst_addr, &ct.origdst_mask),
			not &XT_CONNTRACK_ORIGDST));
	if (flags & XT_CONNTRACK_ORIGSRC_PORT)
		c = cond_and(m->s, c,
		    inverted(m, orig_port(m, CELL_PORT_SRC, ct.origsrc_port, ct.origsrc_port_high),
			not &XT_CONNTRACK_ORIGSRC_PORT));
	if (flags & XT_CONNTRACK_ORIGDST_PORT)
		c = cond_and(m->s, c,
		    inverted(m, orig_port(m, CELL_PORT_DST, ct.origdst_port, ct.origdst_port_high),
			not &XT_CONNTRACK_ORIGDST_PORT));
	return c;
}

static struct cond masked_mark(
    struct match *m, const struct cell *mark, uint32_t mask, uint32_t value, bool invert)
{
	struct cell c[4];
	uint8_t bytes[4], keep[4];
	static const uint8_t zeros[4];

	memcpy(c, mark, sizeof(c));
	memcpy(keep, &mask, sizeof(keep));
	memcpy(bytes, &value, sizeof(bytes));
	cells_mask(c, keep, zeros, sizeof(keep));
	return inverted(m, cells_compare(m->s, c, NFT_CMP_EQ, bytes, sizeof(bytes)), invert);
}

static struct cond match_connmark(struct match *m)
{
	struct xt_connmark_mtinfo1 cm;

	m->about |= WALK_ABOUT_MARK;
	if (m->e->key != 1 || !info(m->e, &cm, sizeof(cm)))
		return cond_of(DEPENDS);
	switch (m->p->tracking) {
	case TRACK_YES:
		return masked_mark(m, m->p->ct_mark, cm.mask, cm.mark, cm.invert);
	case TRACK_PERHAPS:
		return cond_of(DEPENDS);
	default:
		return cond_of(FAILS);
	}
}

static struct cond match_mark(struct match *m)
{
	struct xt_mark_mtinfo1 mark;

	if (m->e->key != 1 || !info(m->e, &mark, sizeof(mark)))
		return cond_of(DEPENDS);
	return masked_mark(m, m->p->meta_mark, mark.mask, mark.mark, mark.invert);
}

/* --- addresses ----------------------------------------------------------------------------- */

/* What is known of an address: our own, or a unicast one that is not. */
static struct cond type_in(struct match *m, bool own, uint16_t mask)
{
	if (!mask)
		return cond_of(HOLDS);
	if (!m->p->packet->ordinary || m->p->translated)
		return cond_of(DEPENDS);
	if (m->p->packet->family == NFPROTO_IPV4)
		return known(mask & (own ? XT_ADDRTYPE_LOCAL : XT_ADDRTYPE_UNICAST));
	/* For IPv6 these are no alternatives (xt_addrtype.c: match_type6). */
	if (mask == XT_ADDRTYPE_LOCAL)
		return known(own);
	if (mask == XT_ADDRTYPE_UNICAST)
		return cond_of(HOLDS);
	return cond_of(mask == XT_ADDRTYPE_MULTICAST ? FAILS : DEPENDS);
}

static struct cond match_addrtype(struct match *m)
{
	struct xt_addrtype_info_v1 type;
	bool out = m->p->packet->out;

	if (m->e->key != 1 || !info(m->e, &type, sizeof(type)) ||
	    (type.flags & (XT_ADDRTYPE_LIMIT_IFACE_IN | XT_ADDRTYPE_LIMIT_IFACE_OUT)))
		return cond_of(DEPENDS);
	return cond_and(m->s,
	    type.source
		? inverted(m, type_in(m, out, type.source), type.flags & XT_ADDRTYPE_INVERT_SOURCE)
		: cond_of(HOLDS),
	    type.dest
		? inverted(m, type_in(m, !out, type.dest), type.flags & XT_ADDRTYPE_INVERT_DEST)
		: cond_of(HOLDS));
}

static struct cond match_iprange(struct match *m)
{
	const struct cell *src, *dst;
	struct xt_iprange_mtinfo r;
	struct cond c = cond_of(HOLDS);
	size_t len = m->s->addr_len;
	uint8_t lo[16], hi[16];

	if (m->e->key != 1 || !len || !info(m->e, &r, sizeof(r)))
		return cond_of(DEPENDS);
	src = &m->p->net[len == 4 ? 12 : 8];
	dst = src + len;
	if (r.flags & IPRANGE_SRC) {
		memcpy(lo, &r.src_min, sizeof(lo));
		memcpy(hi, &r.src_max, sizeof(hi));
		c = inverted(m, cells_within(m->s, src, lo, hi, len), r.flags & IPRANGE_SRC_INV);
	}
	if (m->p->packet->own.family == FAMILY_NONE)
		m->about |= WALK_ABOUT_OWN;
	if (r.flags & IPRANGE_DST) {
		memcpy(lo, &r.dst_min, sizeof(lo));
		memcpy(hi, &r.dst_max, sizeof(hi));
		c = cond_and(m->s, c,
		    inverted(m, cells_within(m->s, dst, lo, hi, len), r.flags & IPRANGE_DST_INV));
	}
	return c;
}

static struct cond match_pkttype(struct match *m)
{
	struct xt_pkttype_info type;

	if (!info(m->e, &type, sizeof(type)) || !m->p->packet->ordinary || m->p->packet->out)
		return cond_of(DEPENDS);
	return known((type.pkttype == 0) != (type.invert != 0)); /* PACKET_HOST */
}

/* --- what an ordinary packet is known to be ------------------------------------------------ */

static struct cond match_comment(struct match *m)
{
	(void)m;
	return cond_of(HOLDS);
}

static struct cond match_limit(struct match *m)
{
	return cond_of(m->p->packet->ordinary ? HOLDS : DEPENDS);
}

static struct cond match_hashlimit(struct match *m)
{
	struct xt_hashlimit_mtinfo1 one;
	struct xt_hashlimit_mtinfo2 two;
	struct xt_hashlimit_mtinfo3 three;
	uint32_t mode;

	if (m->e->key == 1 && info(m->e, &one, offsetof(struct xt_hashlimit_mtinfo1, hinfo)))
		mode = one.cfg.mode;
	else if (m->e->key == 2 && info(m->e, &two, offsetof(struct xt_hashlimit_mtinfo2, hinfo)))
		mode = two.cfg.mode;
	else if (m->e->key == 3 && info(m->e, &three, offsetof(struct xt_hashlimit_mtinfo3, hinfo)))
		mode = three.cfg.mode;
	else
		return cond_of(DEPENDS);
	return inverted(m, match_limit(m), mode & XT_HASHLIMIT_INVERT);
}

static struct cond match_rpfilter(struct match *m)
{
	struct xt_rpfilter_info rp;

	if (!info(m->e, &rp, sizeof(rp)) || !m->p->packet->ordinary || m->p->packet->out)
		return cond_of(DEPENDS);
	return known(!(rp.flags & XT_RPFILTER_INVERT));
}

/* Nobody in no hurry comes twice within the time; that he came at all cannot be told. */
static struct cond match_recent(struct match *m)
{
	struct xt_recent_mtinfo recent;

	if (!info(m->e, &recent, sizeof(recent)) || !m->p->packet->ordinary)
		return cond_of(DEPENDS);
	if (recent.check_set & XT_RECENT_SET)
		return known(!recent.invert);
	if ((recent.check_set & (XT_RECENT_CHECK | XT_RECENT_UPDATE)) && recent.hit_count > 1)
		return known(recent.invert);
	return cond_of(DEPENDS);
}

static struct cond match_tcpmss(struct match *m)
{
	uint16_t mss = state_mss(m->p->packet);
	struct xt_tcpmss_match_info range;

	if (!info(m->e, &range, sizeof(range)) || !m->p->packet->ordinary ||
	    m->p->packet->l4proto != IPPROTO_TCP)
		return cond_of(DEPENDS);
	return known((mss >= range.mss_min && mss <= range.mss_max) != (range.invert != 0));
}

/* Extension headers: a packet without one does not match, however it is asked for. */
static struct cond match_header(struct match *m)
{
	return cond_of(m->p->packet->ordinary ? FAILS : DEPENDS);
}

static const struct {
	const char *name;
	struct cond (*match)(struct match *m);
} matches[] = {
	{ "addrtype", match_addrtype },
	{ "comment", match_comment },
	{ "connmark", match_connmark },
	{ "conntrack", match_conntrack },
	{ "frag", match_header },
	{ "hashlimit", match_hashlimit },
	{ "icmp", match_icmp },
	{ "icmp6", match_icmp6 },
	{ "iprange", match_iprange },
	{ "limit", match_limit },
	{ "mark", match_mark },
	{ "multiport", match_multiport },
	{ "pkttype", match_pkttype },
	{ "recent", match_recent },
	{ "rpfilter", match_rpfilter },
	{ "rt", match_header },
	{ "state", match_state },
	{ "tcp", match_tcp },
	{ "tcpmss", match_tcpmss },
	{ "udp", match_udp },
};

struct cond xt_match(struct cell_scope *s, const struct packet_state *p, const struct dump_expr *e,
    unsigned int *about)
{
	struct match m = { .s = s, .p = p, .e = e };

	*about = 0;
	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++)
		if (strcmp(matches[i].name, e->name) == 0) {
			struct cond c = matches[i].match(&m);

			*about = m.about;
			return c;
		}
	return cond_of(DEPENDS);
}

/* --- targets ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum xt_does does;
} targets[] = {
	{ "AUDIT", XT_GOES_ON },
	{ "CHECKSUM", XT_GOES_ON },
	{ "CLASSIFY", XT_GOES_ON },
	{ "CONNSECMARK", XT_GOES_ON },
	{ "DNAT", XT_TRANSLATES },
	{ "DROP", XT_DROPS },
	{ "DSCP", XT_GOES_ON },
	{ "ECN", XT_GOES_ON },
	{ "HL", XT_GOES_ON },
	{ "HMARK", XT_SETS_MARKS },
	{ "IDLETIMER", XT_GOES_ON },
	{ "LED", XT_GOES_ON },
	{ "LOG", XT_GOES_ON },
	{ "MASQUERADE", XT_ACCEPTS },
	{ "NETMAP", XT_TRANSLATES },
	{ "NFLOG", XT_GOES_ON },
	{ "NFQUEUE", XT_QUEUES },
	{ "NOTRACK", XT_NOTRACK },
	{ "RATEEST", XT_GOES_ON },
	{ "REDIRECT", XT_TRANSLATES },
	{ "REJECT", XT_DROPS },
	{ "SECMARK", XT_GOES_ON },
	{ "SET", XT_GOES_ON },
	{ "SNAT", XT_ACCEPTS },
	{ "TARPIT", XT_DROPS },
	{ "TCPMSS", XT_GOES_ON },
	{ "TCPOPTSTRIP", XT_GOES_ON },
	{ "TEE", XT_GOES_ON },
	{ "TOS", XT_GOES_ON },
	{ "TRACE", XT_GOES_ON },
	{ "TTL", XT_GOES_ON },
};

/* (mark & ~mask) ^ value, as both targets have it. */
static enum xt_does sets(
    enum xt_does what, uint32_t mask, uint32_t value, uint32_t *kept, uint32_t *flipped)
{
	*kept = ~mask;
	*flipped = value;
	return what;
}

enum xt_does xt_target(const struct dump_expr *e, uint32_t *mask, uint32_t *value)
{
	struct xt_connmark_tginfo1 cm;
	struct xt_connmark_tginfo2 cm2;
	struct xt_mark_tginfo2 mark;
	struct xt_ct_target_info ct;

	if (strcmp(e->name, "MARK") == 0)
		return e->key == 2 && info(e, &mark, sizeof(mark))
			   ? sets(XT_SETS_MARK, mark.mask, mark.mark, mask, value)
			   : XT_SETS_MARKS;
	if (strcmp(e->name, "CONNMARK") == 0) {
		if (e->key == 1 && info(e, &cm, sizeof(cm)) && cm.mode == XT_CONNMARK_SET)
			return sets(XT_SETS_CT_MARK, cm.ctmask, cm.ctmark, mask, value);
		if (e->key == 2 && info(e, &cm2, sizeof(cm2)) && cm2.mode == XT_CONNMARK_SET &&
		    !cm2.shift_bits)
			return sets(XT_SETS_CT_MARK, cm2.ctmask, cm2.ctmark, mask, value);
		return XT_SETS_MARKS;
	}
	/* The flags come first in all revisions. */
	if (strcmp(e->name, "CT") == 0)
		return info(e, &ct, sizeof(ct)) && (ct.flags & XT_CT_NOTRACK) ? XT_NOTRACK
									      : XT_GOES_ON;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strcmp(targets[i].name, e->name) == 0)
			return targets[i].does;
	return XT_ANYTHING;
}
