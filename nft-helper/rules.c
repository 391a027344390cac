// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sets, chains and rules, expression by expression. The expressions are those that nft itself
 * generates for the line in the comment, so that `nft list ruleset` gives that line back. What is
 * not ours passes two rules in each watch chain and at most two in each other base chain; all else
 * hangs below jumps. Nothing here knows a socket, and elements are left to table.c.
 */
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>

#define MESSAGE_MAX     8192u  /* more than any message here comes to */
#define LOOPBACK        1u     /* ifindex of lo, in every network namespace */
#define SEEN_TIMEOUT    25000u /* ms; no flow ends before it: nf_conntrack_udp_timeout is 30 s */
#define FLOWS_SIZE      65535u /* of each set that packets fill */
#define SHOWN_TIMEOUT   500u   /* ms; see SHOWN_LATE in kmod-free/oneway.c */
#define KNOCK_TIMEOUT   400u   /* ms */
#define ASKED_TIMEOUT   2000u  /* ms */
#define EARLY_TIMEOUT   60000u /* ms; after it a flow is early once more, and nobody minds */
#define EARLY_PACKETS   16u /* a port in decimal and a NUL, one byte a packet, some of them twice */
#define HEADERS_SNAPLEN 128u /* IPv6 with some extensions and TCP with all options */
#define WEEK            (7ull * 24 * 60 * 60)

/* Just before the filters, so that one that drops does not come first. */
#define BEFORE_FILTER (-1)

/* Behind conntrack, and behind admit_prerouting. */
#define BEHIND_MARKS (-149) /* mangle + 1 */

enum { USE_TCP = 1, USE_UDP = 2 };

/*
 * One hash set a service and family, and for FTP an interval set beside it: what is for more than
 * one flow, or more than one port, is there (FTPS), and what is for one flow stays in the hash set,
 * whose elements may then be limited. RPC and BFD open for many flows only, so their sets have no
 * limit; TFTP and rsh never do. BFD's never wait for us: of its packets we get copies of a few. Of
 * TFTP only requests are held, of rsh and rexec only what a client says first, so that neither the
 * data of a command nor a stream of syslog on the same port takes the way through us. A service
 * that announces nothing has no sets, and its control flows are marked but never looked into.
 */
static const struct service_rules {
	const char *name;
	uint8_t control; /* transports of its control flows */
	uint8_t flows;   /* transports of the flows that it announces */
	bool one_flow;
	bool windows;
	bool copied;   /* nothing of it is held */
	bool mappings; /* a pinhole may lead to a control port, and its port may be given up */
	/* What of its control flows is worth a look, of what the client says: */
	uint16_t opcodes; /* datagrams that begin with 1 to this, in two bytes */
	bool preamble;    /* the first EARLY_PACKETS with payload */
} service_rules[] = {
	[PH_SVC_NONE] = { .name = "none" },
	[PH_SVC_FTP] = { "ftp", USE_TCP, USE_TCP, .one_flow = true, .windows = true },
	[PH_SVC_SUNRPC] = { "sunrpc", USE_TCP | USE_UDP, USE_TCP | USE_UDP, .mappings = true },
	[PH_SVC_BFD] = { "bfd", USE_UDP, USE_UDP, .one_flow = true, .copied = true },
	[PH_SVC_TFTP] = { "tftp", USE_UDP, USE_UDP, .one_flow = true, .opcodes = 2 },
	[PH_SVC_RSH] = { "rsh", USE_TCP, USE_TCP, .one_flow = true, .preamble = true },
	[PH_SVC_NFS] = { "nfs", USE_TCP | USE_UDP, 0 },
	[PH_SVC_REXEC] = { "rexec", USE_TCP, USE_TCP, .one_flow = true, .preamble = true },
};
_Static_assert(sizeof(service_rules) / sizeof(service_rules[0]) == PH_SVC_MAX, "one per service");

#define EACH_SERVICE(svc)                                                                          \
	for (enum ph_service svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX;                              \
	     svc = (enum ph_service)(svc + 1))

static const enum family families[] = { FAMILY_IPV4, FAMILY_IPV6 };

#define EACH_FAMILY(f)                                                                             \
	for (enum family f = FAMILY_IPV4; f <= FAMILY_IPV6;                                        \
	     f = (enum family)(f + (FAMILY_IPV6 - FAMILY_IPV4)))

/*
 * Of services that are copied, flows of which a packet that says so has been shown lately: BFD's
 * states in their order. And ports at which a first packet has just knocked.
 */
#define STATES   4
#define STATE_UP 3
static const char *const says_name[STATES][2] = {
	{ "says_admin4", "says_admin6" },
	{ "says_down4", "says_down6" },
	{ "says_init4", "says_init6" },
	{ "says_up4", "says_up6" },
};
static const char *const knock_name[] = { "knock4", "knock6" };
static const char link_knock_name[] = "knockl6";

/* And those that a session has just begun to speak to: some answer faster than we can open. */
static const char *const asked_name[] = { "asked4", "asked6" };
static const char link_asked_name[] = "askedl6";

/* Flows of which only the first packets are looked at, with how many of those there have been. */
static const char *const early_name[] = { "early4", "early6" };

const char *rules_set_name(enum ph_service svc, enum family family, bool window, char *name)
{
	(void)snprintf(name, SET_NAME, "%s%s%c", service_rules[svc].name, window ? "w" : "",
	    family == FAMILY_IPV4 ? '4' : '6');
	return name;
}

const char *rules_link_name(enum ph_service svc, char *name)
{
	if (!service_rules[svc].copied)
		return NULL;
	(void)snprintf(name, SET_NAME, "%sl6", service_rules[svc].name);
	return name;
}

const char *rules_seen_name(enum family family)
{
	return family == FAMILY_IPV4 ? "seen4" : "seen6";
}

const char *rules_moved_name(enum family family)
{
	return family == FAMILY_IPV4 ? "moved4" : "moved6";
}

bool rules_has_windows(enum ph_service svc)
{
	return service_rules[svc].windows;
}

bool rules_one_flow(enum ph_service svc)
{
	return service_rules[svc].one_flow;
}

/* --- batches ---------------------------------------------------------------------------------- */

static void *grown(void *old, size_t *room, size_t want, size_t each)
{
	size_t more = *room ? *room : 64;
	void *new;

	while (more < want)
		more *= 2;
	new = reallocarray(old, more, each);
	if (new)
		*room = more;
	return new;
}

void *batch_room(struct batch *b, size_t len)
{
	if (b->room - b->len < len) {
		void *bytes = grown(b->bytes, &b->room, b->len + len, 1);

		if (!bytes)
			goto none;
		b->bytes = bytes;
	}
	if (b->n == b->message_room) {
		size_t room = b->message_room;
		void *message = grown(b->message, &room, room + 1, sizeof(*b->message));

		if (!message)
			goto none;
		b->message = message;
		b->message_room = (uint32_t)room;
	}
	return b->bytes + b->len;
none:
	b->error = -ENOMEM;
	return NULL;
}

void batch_add(struct batch *b, size_t len, uint32_t tag, uint32_t id)
{
	b->message[b->n++] = (struct message){
		.at = (uint32_t)b->len,
		.len = (uint32_t)len,
		.tag = tag,
		.id = id,
	};
	b->len += len;
}

void batch_clear(struct batch *b)
{
	b->len = 0;
	b->n = 0;
	b->error = 0;
}

void batch_free(struct batch *b)
{
	free(b->bytes);
	free(b->message);
	memset(b, 0, sizeof(*b));
}

static struct nlmsghdr *message_begin(struct batch *b, uint16_t type, uint16_t flags)
{
	void *at = batch_room(b, MESSAGE_MAX);

	return at ? nftnl_nlmsg_build_hdr(at, type, NFPROTO_INET, flags, 0) : NULL;
}

static void message_end(struct batch *b, const struct nlmsghdr *nlh, unsigned int tag)
{
	batch_add(b, nlh->nlmsg_len, tag, 0); /* libnftnl pads to the alignment */
}

/* --- rules ------------------------------------------------------------------------------------ */

struct rule {
	struct batch *batch;
	struct nftnl_rule *nl;
	unsigned int tag;
};

static struct rule rule_begin(struct batch *b, const char *chain)
{
	struct rule r = { .batch = b, .nl = nftnl_rule_alloc() };

	if (!r.nl) {
		b->error = -ENOMEM;
		return r;
	}
	nftnl_rule_set_u32(r.nl, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(r.nl, NFTNL_RULE_TABLE, PH_TABLE);
	nftnl_rule_set_str(r.nl, NFTNL_RULE_CHAIN, chain);
	return r;
}

static void rule_end(struct rule *r)
{
	struct nlmsghdr *nlh = NULL;

	if (r->nl && !r->batch->error)
		nlh = message_begin(r->batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, r->nl);
		message_end(r->batch, nlh, r->tag);
	}
	if (r->nl)
		nftnl_rule_free(r->nl);
}

/* NULL is remembered: a rule must never reach the kernel without one of its conditions. */
static struct nftnl_expr *expr(struct batch *b, const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (!e)
		b->error = -ENOMEM;
	return e;
}

static struct nftnl_expr *rule_expr(struct rule *r, const char *name)
{
	struct nftnl_expr *e = r->nl ? expr(r->batch, name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->nl, e);
	return e;
}

static void load_meta(struct rule *r, enum nft_meta_keys key, uint32_t reg)
{
	struct nftnl_expr *e = rule_expr(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

static void load_ct(struct rule *r, enum nft_ct_keys key)
{
	struct nftnl_expr *e = rule_expr(r, "ct");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
}

static void load_payload(
    struct rule *r, enum nft_payload_bases base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = rule_expr(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void bitwise(struct rule *r, const void *mask, const void *flip, uint32_t len)
{
	struct nftnl_expr *e = rule_expr(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, flip, len);
}

static void mask_u8(struct rule *r, uint8_t mask)
{
	bitwise(r, &mask, &(uint8_t){ 0 }, sizeof(mask));
}

static void mask_u32(struct rule *r, uint32_t mask)
{
	bitwise(r, &mask, &(uint32_t){ 0 }, sizeof(mask));
}

static void compare(struct rule *r, enum nft_cmp_ops op, const void *value, uint32_t len)
{
	struct nftnl_expr *e = rule_expr(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, value, len);
}

static void compare_u8(struct rule *r, enum nft_cmp_ops op, uint8_t value)
{
	compare(r, op, &value, sizeof(value));
}

static void compare_u32(struct rule *r, enum nft_cmp_ops op, uint32_t value)
{
	compare(r, op, &value, sizeof(value));
}

static void verdict(struct rule *r, int code, const char *chain)
{
	struct nftnl_expr *e = rule_expr(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

static void lookup(struct rule *r, const char *set, uint32_t set_id, bool map, bool invert)
{
	struct nftnl_expr *e = rule_expr(r, "lookup");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	if (set_id)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
	if (map)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
	if (invert)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

/* log group G [snaplen S] queue-threshold 1: the daemon is not to wait for a second packet. */
static void log_group(struct rule *r, uint16_t group, uint32_t snaplen)
{
	struct nftnl_expr *e = rule_expr(r, "log");

	if (!e)
		return;
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
	if (snaplen)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOG_SNAPLEN, snaplen);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD, 1);
}

/* counter name NAME */
static void count(struct rule *r, const char *name)
{
	struct nftnl_expr *e = rule_expr(r, "objref");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, name);
}

/* reject with tcp reset */
static void reset(struct rule *r)
{
	struct nftnl_expr *e = rule_expr(r, "reject");

	r->tag |= FEATURE_RESET;
	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
	rule_end(r);
}

static void queue_native(struct rule *r, uint16_t number)
{
	struct nftnl_expr *e = rule_expr(r, "queue");

	r->tag |= FEATURE_QUEUE;
	if (!e)
		return;
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, number);
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, 1);
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
}

static void queue_compat(struct rule *r, uint16_t number)
{
	struct xt_NFQ_info_v3 info = {
		.queuenum = number,
		.queues_total = 1,
		.flags = NFQ_FLAG_BYPASS,
	};
	struct nftnl_expr *e = rule_expr(r, "target");
	void *blob;

	r->tag |= FEATURE_QUEUE_COMPAT;
	if (!e)
		return;
	nftnl_expr_set_str(e, NFTNL_EXPR_TG_NAME, "NFQUEUE");
	nftnl_expr_set_u32(e, NFTNL_EXPR_TG_REV, 3);
	blob = calloc(1, XT_ALIGN(sizeof(info))); /* from here on the expression's own */
	if (!blob) {
		r->batch->error = -ENOMEM;
		return;
	}
	memcpy(blob, &info, sizeof(info));
	nftnl_expr_set(e, NFTNL_EXPR_TG_INFO, blob, XT_ALIGN(sizeof(info)));
}

/* queue flags bypass to N */
static void queue(struct rule *r, const struct plan *p, uint16_t number)
{
	if (p->features & FEATURE_QUEUE)
		queue_native(r, number);
	else
		queue_compat(r, number);
}

static bool can_queue(const struct plan *p)
{
	return p->features & (FEATURE_QUEUE | FEATURE_QUEUE_COMPAT);
}

/* meta l4proto X */
static void if_l4proto(struct rule *r, uint8_t proto)
{
	load_meta(r, NFT_META_L4PROTO, NFT_REG_1);
	compare_u8(r, NFT_CMP_EQ, proto);
}

/* ct state a,b,... */
static void if_state(struct rule *r, uint32_t states)
{
	load_ct(r, NFT_CT_STATE);
	mask_u32(r, states);
	compare_u32(r, NFT_CMP_NEQ, 0);
}

/* ct state new */
static void if_new(struct rule *r)
{
	if_state(r, NF_CT_STATE_BIT(IP_CT_NEW));
}

/* tcp flags & mask OP value */
static void if_tcp_flags(struct rule *r, uint8_t mask, enum nft_cmp_ops op, uint8_t value)
{
	if_l4proto(r, IPPROTO_TCP);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
	mask_u8(r, mask);
	compare_u8(r, op, value);
}

static void if_syn(struct rule *r)
{
	if_tcp_flags(r, TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK, NFT_CMP_EQ, TCP_SYN);
}

/* ct mark & mask OP value */
static void if_mark(struct rule *r, uint32_t mask, enum nft_cmp_ops op, uint32_t value)
{
	load_ct(r, NFT_CT_MARK);
	mask_u32(r, mask);
	compare_u32(r, op, value);
}

/* ct status snat,dnat */
static void if_translated(struct rule *r)
{
	load_ct(r, NFT_CT_STATUS);
	mask_u32(r, IPS_SRC_NAT | IPS_DST_NAT);
	compare_u32(r, NFT_CMP_NEQ, 0);
}

/* th dport P */
static void if_dport(struct rule *r, uint16_t port)
{
	const uint16_t be = htons(port);

	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	compare(r, NFT_CMP_EQ, &be, sizeof(be));
}

/* @th,72,8 & 0xc0 OP state << 6 */
static void if_state_bits(struct rule *r, enum nft_cmp_ops op, unsigned int state)
{
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 9, 1, NFT_REG_1);
	mask_u8(r, 0xc0);
	compare_u8(r, op, (uint8_t)(state << 6));
}

/* th sport <= P */
static void if_sport_upto(struct rule *r, uint16_t port)
{
	const uint16_t be = htons(port);

	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, NFT_REG_1);
	compare(r, NFT_CMP_LTE, &be, sizeof(be));
}

/* @th,64,16 >= 1 @th,64,16 <= N, what a datagram begins with */
static void if_opcode_upto(struct rule *r, uint16_t last)
{
	const uint16_t lo = htons(1), hi = htons(last);

	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 8, 2, NFT_REG_1);
	compare(r, NFT_CMP_GTE, &lo, sizeof(lo));
	compare(r, NFT_CMP_LTE, &hi, sizeof(hi));
}

/* ct direction original */
static void if_original(struct rule *r)
{
	load_ct(r, NFT_CT_DIRECTION);
	compare_u8(r, NFT_CMP_EQ, IP_CT_DIR_ORIGINAL);
}

/* iif != "lo" */
static void if_not_lo(struct rule *r, enum nft_meta_keys device)
{
	load_meta(r, device, NFT_REG_1);
	compare_u32(r, NFT_CMP_NEQ, LOOPBACK);
}

/* ct mark set ct mark & ~mask | value */
static void set_mark(struct rule *r, uint32_t mask, uint32_t value)
{
	struct nftnl_expr *e;
	uint32_t keep = ~mask;

	load_ct(r, NFT_CT_MARK);
	bitwise(r, &keep, &value, sizeof(keep));
	e = rule_expr(r, "ct");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

/* The registers of a concatenated key: 4-byte ones count from NFT_REG32_00, which NFT_REG_1 is. */
static uint32_t load_addresses(struct rule *r, enum family family, bool swapped)
{
	uint32_t src = family == FAMILY_IPV4 ? 12 : 8, len = family == FAMILY_IPV4 ? 4 : 16;
	uint32_t second = family == FAMILY_IPV4 ? NFT_REG32_01 : NFT_REG_2;

	load_meta(r, NFT_META_NFPROTO, NFT_REG_1);
	compare_u8(r, NFT_CMP_EQ, family == FAMILY_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, swapped ? src + len : src, len, NFT_REG_1);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, swapped ? src : src + len, len, second);
	return family == FAMILY_IPV4 ? NFT_REG32_02 : NFT_REG_3;
}

static uint32_t next_register(uint32_t reg)
{
	return reg == NFT_REG_3 ? NFT_REG32_09 : reg + 1;
}

/* iif . ip6 saddr . ip6 daddr . meta l4proto . th dport; asking: as the answer will have it */
static void load_link_key(struct rule *r, bool asking)
{
	load_meta(r, NFT_META_NFPROTO, NFT_REG_1);
	compare_u8(r, NFT_CMP_EQ, NFPROTO_IPV6);
	load_meta(r, asking ? NFT_META_OIF : NFT_META_IIF, NFT_REG_1);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, asking ? 24 : 8, 16, NFT_REG32_01);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, asking ? 8 : 24, 16, NFT_REG32_05);
	load_meta(r, NFT_META_L4PROTO, NFT_REG32_09);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_10);
}

/* ip saddr . ip daddr . meta l4proto . th dport; asking: as the answer will have it */
static void load_key(struct rule *r, enum family family, bool asking)
{
	uint32_t reg = load_addresses(r, family, asking);

	load_meta(r, NFT_META_L4PROTO, reg);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, next_register(reg));
}

/* ip saddr . ip daddr . th sport . th dport; swapped: as the answer to this packet has it */
static void load_flow(struct rule *r, enum family family, bool swapped)
{
	uint32_t reg = load_addresses(r, family, swapped);

	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, swapped ? 2 : 0, 2, reg);
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, swapped ? 0 : 2, 2, next_register(reg));
}

static void rule_verdict(struct rule *r, int code, const char *chain)
{
	verdict(r, code, chain);
	rule_end(r);
}

/* --- sets ------------------------------------------------------------------------------------- */

/* nft's own numbers of its data types (datatype.h) and byte orders (they are part of its ABI). */
enum { TYPE_IPADDR = 7, TYPE_IP6ADDR = 8, TYPE_INET_PROTOCOL = 12, TYPE_INET_SERVICE = 13 };
enum { TYPE_MARK = 19, TYPE_IFINDEX = 20, TYPE_VERDICT_DATA = 0xffffff00 };
enum { ORDER_MIXED = 0, ORDER_HOST = 1 };

static uint32_t concatenated(uint32_t a, uint32_t b)
{
	return a << 6 | b;
}

static struct nftnl_set *set_new(
    struct batch *b, const char *name, uint32_t id, uint32_t flags, uint32_t type, uint32_t len)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s) {
		b->error = -ENOMEM;
		return NULL;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, PH_TABLE);
	nftnl_set_set_str(s, NFTNL_SET_NAME, name);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, len);
	return s;
}

static void set_byte_order(struct batch *b, struct nftnl_set *s, uint32_t order)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(64);

	if (u && nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, order))
		nftnl_set_set_data(
		    s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	else
		b->error = -ENOMEM;
	if (u)
		nftnl_udata_buf_free(u);
}

static void set_end(struct batch *b, struct nftnl_set *s, unsigned int tag)
{
	struct nlmsghdr *nlh = NULL;

	if (!b->error)
		nlh = message_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
	if (nlh) {
		nftnl_set_nlmsg_build_payload(nlh, s);
		message_end(b, nlh, tag);
	}
	nftnl_set_free(s);
}

static void set_counter(struct batch *b, struct nftnl_set *s)
{
	struct nftnl_expr *e = expr(b, "counter");

	if (e)
		nftnl_set_add_expr(s, e);
}

/* limit rate 1/week burst N packets: so many in all, for anything that lives less than a week */
static struct nftnl_expr *weekly_limit(struct batch *b, uint32_t packets)
{
	struct nftnl_expr *e = expr(b, "limit");

	if (!e)
		return NULL;
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, 1);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, WEEK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, packets);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, 0);
	return e;
}

/* limit rate 1/week burst 1 packets: the element is found once, and no more while it lives. */
static void set_limit(struct batch *b, struct nftnl_set *s)
{
	struct nftnl_expr *e = weekly_limit(b, 1);

	if (e)
		nftnl_set_add_expr(s, e);
}

static uint32_t address_type(enum family family)
{
	return family == FAMILY_IPV4 ? TYPE_IPADDR : TYPE_IP6ADDR;
}

static uint8_t address_len(enum family family)
{
	return family == FAMILY_IPV4 ? 4 : 16;
}

/* ipv4_addr . ipv4_addr . inet_proto . inet_service */
static uint32_t key_type(enum family family)
{
	uint32_t type = concatenated(address_type(family), address_type(family));

	return concatenated(concatenated(type, TYPE_INET_PROTOCOL), TYPE_INET_SERVICE);
}

static uint32_t key_len(enum family family)
{
	return 2u * address_len(family) + 8;
}

/*
 * set ftpw4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags timeout; counter }
 *
 * What is for one flow counts nothing: its element goes with the first packet, and a counter, which
 * the kernel keeps per CPU, is a quarter of the time that such an element takes to commit.
 */
static void pinhole_set(
    struct batch *b, uint32_t id, enum ph_service svc, enum family family, bool window, bool limit)
{
	uint8_t len = address_len(family), fields[] = { len, len, 1, 2 };
	uint32_t flags = NFT_SET_TIMEOUT;
	char name[SET_NAME];
	struct nftnl_set *s;

	if (window)
		flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
	rules_set_name(svc, family, window, name);
	s = set_new(b, name, id, flags, key_type(family), key_len(family));
	if (!s)
		return;
	if (window)
		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields));
	set_byte_order(b, s, ORDER_MIXED);
	if (limit)
		set_limit(b, s);
	else if (window || !service_rules[svc].one_flow)
		set_counter(b, s);
	set_end(b, s, limit ? FEATURE_ONE_SHOT : 0);
}

/*
 * Sets that packets fill, such as:
 *
 * set seen4 { type ipv4_addr . ipv4_addr . inet_service . inet_service; flags dynamic,timeout;
 *	timeout 25s; size 65535 }
 */
static void packet_set(struct batch *b, uint32_t id, const char *name, enum family family,
    uint32_t type, uint32_t timeout)
{
	struct nftnl_set *s =
	    set_new(b, name, id, NFT_SET_TIMEOUT | NFT_SET_EVAL, type, key_len(family));

	if (!s)
		return;
	nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, timeout);
	nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, FLOWS_SIZE);
	set_byte_order(b, s, ORDER_MIXED);
	set_end(b, s, 0);
}

/*
 * set bfdl6 { type iface_index . ipv6_addr . ipv6_addr . inet_proto . inet_service; flags timeout }
 * and knockl6.
 */
static void link_set(struct batch *b, uint32_t id, const char *name, uint32_t timeout, bool limit)
{
	uint32_t type = concatenated(TYPE_IFINDEX, TYPE_IP6ADDR);
	struct nftnl_set *s;

	type = concatenated(type, TYPE_IP6ADDR);
	type = concatenated(concatenated(type, TYPE_INET_PROTOCOL), TYPE_INET_SERVICE);
	s = set_new(b, name, id, NFT_SET_TIMEOUT | (timeout ? NFT_SET_EVAL : 0), type,
	    4 + key_len(FAMILY_IPV6));
	if (!s)
		return;
	if (timeout) {
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, timeout);
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, FLOWS_SIZE);
	}
	set_byte_order(b, s, ORDER_MIXED);
	if (limit)
		set_limit(b, s);
	set_end(b, s, limit ? FEATURE_ONE_SHOT : 0);
}

static uint32_t flow_type(enum family family)
{
	uint32_t type = concatenated(address_type(family), address_type(family));

	return concatenated(concatenated(type, TYPE_INET_SERVICE), TYPE_INET_SERVICE);
}

/*
 * set moved4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags timeout; size 65535 }
 */
static void moved_set(struct batch *b, uint32_t id, enum family family)
{
	struct nftnl_set *s = set_new(
	    b, rules_moved_name(family), id, NFT_SET_TIMEOUT, key_type(family), key_len(family));

	if (!s)
		return;
	nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, MOVED_SIZE);
	set_byte_order(b, s, ORDER_MIXED);
	set_end(b, s, 0);
}

/* An anonymous verdict map under construction. */
struct vmap {
	struct batch *batch;
	struct nftnl_set *set;
	uint32_t id, type, len, order, n;
};

static const char anonymous_map[] = "__map%d";

static struct vmap vmap_begin(
    struct batch *b, uint32_t id, uint32_t type, uint32_t len, uint32_t order)
{
	uint32_t flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_MAP;

	return (struct vmap){
		.batch = b,
		.set = set_new(b, anonymous_map, id, flags, type, len),
		.id = id,
		.type = type,
		.len = len,
		.order = order,
	};
}

static void vmap_add(struct vmap *m, const void *key, const char *chain)
{
	struct nftnl_set_elem *e = m->set ? nftnl_set_elem_alloc() : NULL;

	if (!e) {
		m->batch->error = -ENOMEM;
		return;
	}
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, m->len);
	nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_VERDICT, (uint32_t)NFT_GOTO);
	nftnl_set_elem_set_str(e, NFTNL_SET_ELEM_CHAIN, chain);
	nftnl_set_elem_add(m->set, e);
	m->n++;
}

/* The map itself, and its elements; the rule that looks it up has to follow. */
static void vmap_end(struct vmap *m)
{
	struct batch *b = m->batch;
	struct nlmsghdr *nlh = NULL;

	if (!m->set)
		return;
	nftnl_set_set_u32(m->set, NFTNL_SET_DATA_TYPE, TYPE_VERDICT_DATA);
	nftnl_set_set_u32(m->set, NFTNL_SET_DESC_SIZE, m->n);
	set_byte_order(b, m->set, m->order);
	if (!b->error)
		nlh = message_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	if (nlh) {
		nftnl_set_nlmsg_build_payload(nlh, m->set);
		message_end(b, nlh, 0);
		nlh = message_begin(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	}
	if (nlh) {
		nftnl_set_elems_nlmsg_build_payload(nlh, m->set);
		message_end(b, nlh, 0);
	}
	nftnl_set_free(m->set);
}

/* --- chains ----------------------------------------------------------------------------------- */

#define CHAINS_MAX 64
#define CHAIN_NAME 32
#define NO_HOOK    UINT32_MAX

struct chain {
	char name[CHAIN_NAME];
	uint32_t hook; /* NO_HOOK: reached by a jump only */
	int32_t priority;
};

struct chains {
	struct chain chain[CHAINS_MAX];
	unsigned int n;
};

static void chain_want(
    struct chains *c, const char *stem, const char *suffix, uint32_t hook, int32_t priority)
{
	struct chain *new = &c->chain[c->n++];

	(void)snprintf(new->name, sizeof(new->name), "%s%s", stem, suffix);
	new->hook = hook;
	new->priority = priority;
}

static bool uses(const struct plan *p, uint8_t transport)
{
	EACH_SERVICE(svc)
	if (p->sets & 1u << svc && service_rules[svc].flows & transport)
		return true;
	return false;
}

/*
 * Control flows of this service are marked, by their ports or by a rule of the firewall's own. The
 * latter is not for what is only copied: begin_* has to tell of its first packet, or its ports say
 * how far away a peer may be.
 */
static bool watched(const struct plan *p, enum ph_service svc)
{
	const struct service_policy *s = &p->setup.policy.service[svc];

	return s->enabled && service_rules[svc].control &&
	       (s->n_ports > 0 || (service_rules[svc].flows && !service_rules[svc].copied));
}

/* A port is the first service's that names it, and once. */
static bool port_counts(const struct policy *policy, enum ph_service svc, unsigned int i)
{
	const uint16_t *ports = policy->service[svc].ports;

	for (unsigned int j = 0; j < i; j++)
		if (ports[j] == ports[i])
			return false;
	return policy_service_of(policy, ports[i]) == svc;
}

/* Control flows of this service are captured: there may be something in them. */
static bool captured(const struct plan *p, enum ph_service svc)
{
	return watched(p, svc) && service_rules[svc].flows;
}

/* What is captured is held until it has been decided on. */
static bool queued(const struct plan *p, enum ph_service svc)
{
	return captured(p, svc) && !service_rules[svc].copied;
}

/* A flow that a pinhole of this service lets in may be a control flow of it as well. */
static bool admits_control(const struct plan *p, enum ph_service svc)
{
	return captured(p, svc) && service_rules[svc].mappings;
}

/* Packets of some control port may come through so many routers only. */
static bool has_hops(const struct plan *p)
{
	const struct policy *policy = &p->setup.policy;

	EACH_SERVICE(svc)
	{
		const struct service_policy *s = &policy->service[svc];

		for (unsigned int i = 0; watched(p, svc) && i < s->n_ports; i++)
			if (policy_min_ttl(policy, svc, s->ports[i]))
				return true;
	}
	return false;
}

static bool by_mark(const struct plan *p)
{
	return p->setup.policy.admit == ADMIT_MARK;
}

static const char *admit_stem(const struct plan *p)
{
	return p->setup.policy.admit == ADMIT_RELATED ? "first" : "admit";
}

/* watch_bfd_news, answer_bfd, answer_bfd_news; watch_bfd is wanted anyway. */
static void show_chains(struct chains *c, const char *name)
{
	char stem[CHAIN_NAME / 2];

	(void)snprintf(stem, sizeof(stem), "watch_%.8s", name);
	chain_want(c, stem, "_news", NO_HOOK, 0);
	(void)snprintf(stem, sizeof(stem), "answer_%.8s", name);
	chain_want(c, stem, "", NO_HOOK, 0);
	chain_want(c, stem, "_news", NO_HOOK, 0);
}

/* All chains of a plan, in the order in which they are to be listed. */
static void chains_of(struct chains *c, const struct plan *p)
{
	bool related = p->setup.policy.admit == ADMIT_RELATED;
	int32_t admit_priority = related ? -300 /* raw */ : -150 /* mangle */;
	int32_t watch_priority = 300; /* where the kernel's own helpers are */
	const char *stem = admit_stem(p);

	memset(c, 0, sizeof(*c));
	if (has_hops(p)) {
		chain_want(c, "hops", "", NO_HOOK, 0);
		chain_want(c, "too_far", "", NO_HOOK, 0);
		chain_want(c, "too_far_prerouting", "", NF_INET_PRE_ROUTING, BEHIND_MARKS);
	}
	chain_want(c, stem, related ? "_queue" : "_new", NO_HOOK, 0);
	if (uses(p, USE_TCP))
		chain_want(c, stem, "_tcp", NO_HOOK, 0);
	if (uses(p, USE_UDP))
		chain_want(c, stem, "_udp", NO_HOOK, 0);
	chain_want(c, stem, "_prerouting", NF_INET_PRE_ROUTING, admit_priority);
	chain_want(c, stem, "_output", NF_INET_LOCAL_OUT, admit_priority);
	EACH_SERVICE(svc)
	{
		const char *name = service_rules[svc].name;

		if (admits_control(p, svc) && by_mark(p))
			chain_want(c, "admit_", name, NO_HOOK, 0);
		if (!watched(p, svc))
			continue;
		chain_want(c, "begin_", name, NO_HOOK, 0);
		if (queued(p, svc))
			chain_want(c, "capture_", name, NO_HOOK, 0);
		else if (captured(p, svc))
			show_chains(c, name);
		chain_want(c, "watch_", name, NO_HOOK, 0);
	}
	if (p->moved) {
		chain_want(c, "moved", "", NO_HOOK, 0);
		chain_want(c, "moved_input", "", NF_INET_LOCAL_IN, BEFORE_FILTER);
		chain_want(c, "moved_forward", "", NF_INET_FORWARD, BEFORE_FILTER);
		chain_want(c, "moved_output", "", NF_INET_LOCAL_OUT, BEFORE_FILTER);
	}
	if (p->seen)
		chain_want(c, "seen", "", NO_HOOK, 0);
	chain_want(c, "admitted", "", NO_HOOK, 0);
	chain_want(c, "watch_new", "", NO_HOOK, 0);
	chain_want(c, "watch_input", "", NF_INET_LOCAL_IN, watch_priority);
	chain_want(c, "watch_postrouting", "", NF_INET_POST_ROUTING, watch_priority);
}

static bool chain_among(const struct chains *c, const char *name)
{
	for (unsigned int i = 0; i < c->n; i++)
		if (!strcmp(c->chain[i].name, name))
			return true;
	return false;
}

static void chain_write(struct batch *b, uint16_t type, const struct chain *c)
{
	struct nftnl_chain *nl = nftnl_chain_alloc();
	struct nlmsghdr *nlh;

	if (!nl) {
		b->error = -ENOMEM;
		return;
	}
	nftnl_chain_set_u32(nl, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_str(nl, NFTNL_CHAIN_TABLE, PH_TABLE);
	nftnl_chain_set_str(nl, NFTNL_CHAIN_NAME, c->name);
	if (type == NFT_MSG_NEWCHAIN && c->hook != NO_HOOK) {
		nftnl_chain_set_str(nl, NFTNL_CHAIN_TYPE, "filter");
		nftnl_chain_set_u32(nl, NFTNL_CHAIN_HOOKNUM, c->hook);
		nftnl_chain_set_s32(nl, NFTNL_CHAIN_PRIO, c->priority);
		nftnl_chain_set_u32(nl, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	nlh = message_begin(b, type, type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0);
	if (nlh) {
		nftnl_chain_nlmsg_build_payload(nlh, nl);
		message_end(b, nlh, 0);
	}
	nftnl_chain_free(nl);
}

/* --- the parts of the table ------------------------------------------------------------------- */

static uint32_t pinhole_mark(const struct plan *p, enum ph_service svc)
{
	return ph_mark(p->setup.mark_mask, PH_MARK_F_PINHOLE, svc);
}

static uint32_t control_mark(const struct plan *p, enum ph_service svc)
{
	return ph_mark(p->setup.mark_mask, PH_MARK_F_CONTROL, svc);
}

static uint32_t pinhole_control_mark(const struct plan *p, enum ph_service svc)
{
	return ph_mark(p->setup.mark_mask, PH_MARK_F_PINHOLE | PH_MARK_F_CONTROL, svc);
}

/* KEY != @set add @set { KEY }, where KEY has been loaded: true once while the set remembers it. */
static void once_in_a_while(struct rule *r, const char *set)
{
	struct nftnl_expr *e;

	lookup(r, set, 0, false, true);
	e = rule_expr(r, "dynset");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set);
}

static void hops_rule(
    struct batch *b, const char *chain, uint16_t port, uint8_t min, enum family family, int code)
{
	bool v4 = family == FAMILY_IPV4;
	struct rule r = rule_begin(b, chain);

	load_meta(&r, NFT_META_NFPROTO, NFT_REG_1);
	compare_u8(&r, NFT_CMP_EQ, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	if_l4proto(&r, IPPROTO_UDP);
	if_dport(&r, port);
	load_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 8 : 7, 1, NFT_REG_1);
	compare_u8(&r, NFT_CMP_LT, min);
	if (code == NF_DROP) /* nobody else will tell of it */
		(void)rule_expr(&r, "counter");
	rule_verdict(&r, code, NULL);
}

/*
 *   udp dport 3784 ip ttl < 255 [counter] VERDICT
 *
 * for each control port whose packets may come through so many routers only.
 */
static void hops_rules(struct batch *b, const struct plan *p, const char *chain, int code)
{
	const struct policy *policy = &p->setup.policy;

	EACH_SERVICE(svc)
	{
		const struct service_policy *s = &policy->service[svc];

		for (unsigned int i = 0; watched(p, svc) && i < s->n_ports; i++) {
			uint8_t min = policy_min_ttl(policy, svc, s->ports[i]);

			if (!min || !port_counts(policy, svc, i))
				continue;
			EACH_FAMILY(f)
			hops_rule(b, chain, s->ports[i], min, f, code);
		}
	}
}

/*
 *   ct mark & mask == pinhole,bfd goto too_far
 *
 * Flows that a pinhole has let in, and nobody else's: what comes of them from too far is dropped,
 * since no filter could tell it from the rest. (Before conntrack, such a packet passes the pinholes
 * by: chain hops.)
 */
static void too_far_hook_rule(struct batch *b, const struct plan *p)
{
	EACH_SERVICE(svc)
	{
		struct rule r;

		if (!watched(p, svc) || !p->setup.policy.service[svc].min_ttl)
			continue;
		r = rule_begin(b, "too_far_prerouting");
		if_l4proto(&r, IPPROTO_UDP);
		if_mark(&r, p->setup.mark_mask, NFT_CMP_EQ, pinhole_mark(p, svc));
		rule_verdict(&r, NFT_GOTO, "too_far");
	}
}

/* meta l4proto udp jump hops, before any pinhole is looked for */
static void hops_jump(struct batch *b, const char *chain)
{
	struct rule r = rule_begin(b, chain);

	if_l4proto(&r, IPPROTO_UDP);
	rule_verdict(&r, NFT_JUMP, "hops");
}

static void knock_rule(struct rule *r, const struct plan *p, const char *set, enum family family)
{
	load_key(r, family, false);
	lookup(r, set, 0, false, false);
	once_in_a_while(r, knock_name[family == FAMILY_IPV6]);
	log_group(r, (uint16_t)(p->setup.queue_base + PH_GROUP_FIRST), HEADERS_SNAPLEN);
	rule_end(r);
}

/*
 * One rule for the pinholes of a service, in first_tcp, first_udp, admit_tcp or admit_udp:
 *
 *   first: KEY @ftp4 [FLOW != @seen4] goto first_queue
 *          KEY @bfd4 KEY != @knock4 add @knock4 { KEY } log group N	(and @asked4)
 *   admit: KEY @ftp4 ct mark set ct mark & ~mask | pinhole,ftp accept
 *          KEY @sunrpc4 goto admit_sunrpc
 *
 * The pinhole set comes first, because almost no packet is in it. But in front of that of rsh is
 * `th sport <= 1023`: a packet that is not to use a pinhole must not use up its element either.
 */
static void pinhole_rule(struct batch *b, const struct plan *p, const char *chain,
    enum ph_service svc, enum family family, bool window, bool udp)
{
	const uint16_t max_source = p->setup.policy.service[svc].max_source;
	struct rule r = rule_begin(b, chain);
	char name[SET_NAME], own[CHAIN_NAME];

	if (max_source < UINT16_MAX)
		if_sport_upto(&r, max_source);
	if (!by_mark(p) && service_rules[svc].copied) {
		knock_rule(&r, p, rules_set_name(svc, family, window, name), family);
		r = rule_begin(b, chain);
		knock_rule(&r, p, asked_name[family == FAMILY_IPV6], family);
		return;
	}
	load_key(&r, family, false);
	lookup(&r, rules_set_name(svc, family, window, name), 0, false, false);
	if (by_mark(p) && admits_control(p, svc)) {
		(void)snprintf(own, sizeof(own), "admit_%s", service_rules[svc].name);
		rule_verdict(&r, NFT_GOTO, own);
		return;
	}
	if (by_mark(p)) {
		set_mark(&r, p->setup.mark_mask, pinhole_mark(p, svc));
		rule_verdict(&r, NF_ACCEPT, NULL);
		return;
	}
	if (udp) {
		load_flow(&r, family, false);
		lookup(&r, rules_seen_name(family), 0, false, true);
	}
	rule_verdict(&r, NFT_GOTO, "first_queue");
}

/* The same between link-local addresses, for a service that is never held. */
static void link_rules(
    struct batch *b, const struct plan *p, const char *chain, enum ph_service svc)
{
	char name[SET_NAME];
	const char *const sets[] = { rules_link_name(svc, name), link_asked_name };
	struct rule r;

	for (unsigned int i = 0; i < (by_mark(p) ? 1 : 2); i++) {
		r = rule_begin(b, chain);
		load_link_key(&r, false);
		lookup(&r, sets[i], 0, false, false);
		if (by_mark(p)) {
			set_mark(&r, p->setup.mark_mask, pinhole_mark(p, svc));
			rule_verdict(&r, NF_ACCEPT, NULL);
			continue;
		}
		once_in_a_while(&r, link_knock_name);
		log_group(&r, (uint16_t)(p->setup.queue_base + PH_GROUP_FIRST), HEADERS_SNAPLEN);
		rule_end(&r);
	}
}

/*
 *   update @asked4 { ip daddr . ip saddr . meta l4proto . th dport }
 *
 * for the first packet of a session. Nothing is let in by this: a packet that hits it is shown, and
 * the engine has been told of the session by then.
 */
static void asked_rules(struct batch *b, const char *chain)
{
	for (unsigned int i = 0; i < 3; i++) {
		const bool v6 = i > 0, link = i == 2;
		struct rule r = rule_begin(b, chain);
		struct nftnl_expr *e;

		if (link)
			load_link_key(&r, true);
		else
			load_key(&r, v6 ? FAMILY_IPV6 : FAMILY_IPV4, true);
		e = rule_expr(&r, "dynset");
		if (e) {
			nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
			nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
			nftnl_expr_set_str(
			    e, NFTNL_EXPR_DYNSET_SET_NAME, link ? link_asked_name : asked_name[v6]);
		}
		rule_end(&r);
	}
}

/* queue flags bypass to N */
static void first_queue_rule(struct batch *b, const struct plan *p)
{
	struct rule r = rule_begin(b, "first_queue");

	queue(&r, p, (uint16_t)(p->setup.queue_base + PH_QUEUE_FIRST));
	rule_end(&r);
}

static void pinhole_rules(
    struct batch *b, const struct plan *p, const char *suffix, uint8_t transport)
{
	char chain[CHAIN_NAME];

	(void)snprintf(chain, sizeof(chain), "%s%s", admit_stem(p), suffix);
	EACH_SERVICE(svc)
	{
		if (!(p->sets & 1u << svc) || !(service_rules[svc].flows & transport))
			continue;
		for (unsigned int i = 0; i < 2; i++) {
			pinhole_rule(b, p, chain, svc, families[i], false, transport == USE_UDP);
			if (service_rules[svc].windows)
				pinhole_rule(
				    b, p, chain, svc, families[i], true, transport == USE_UDP);
		}
		if (service_rules[svc].copied)
			link_rules(b, p, chain, svc);
	}
}

/*
 *   tcp flags syn / fin,syn,rst,ack iif != "lo" goto first_tcp
 *   meta l4proto udp iif != "lo" goto first_udp
 */
static void first_rules(
    struct batch *b, const struct plan *p, const char *chain, enum nft_meta_keys device)
{
	struct rule r;

	if (uses(p, USE_TCP)) {
		r = rule_begin(b, chain);
		if_syn(&r);
		if_not_lo(&r, device);
		rule_verdict(&r, NFT_GOTO, "first_tcp");
	}
	if (uses(p, USE_UDP)) {
		r = rule_begin(b, chain);
		if_l4proto(&r, IPPROTO_UDP);
		if_not_lo(&r, device);
		rule_verdict(&r, NFT_GOTO, "first_udp");
	}
}

/* ct state new iif != "lo" goto admit_new */
static void admit_rules(struct batch *b, const char *chain, enum nft_meta_keys device)
{
	struct rule r = rule_begin(b, chain);

	if_new(&r);
	if_not_lo(&r, device);
	rule_verdict(&r, NFT_GOTO, "admit_new");
}

/*
 *   ct mark & pinhole != 0 return
 *   tcp flags syn / fin,syn,rst,ack goto admit_tcp
 *   meta l4proto udp goto admit_udp
 */
static void admit_new_rules(struct batch *b, const struct plan *p)
{
	uint32_t pinhole = pinhole_mark(p, PH_SVC_NONE);
	struct rule r = rule_begin(b, "admit_new");

	if_mark(&r, pinhole, NFT_CMP_NEQ, 0);
	rule_verdict(&r, NFT_RETURN, NULL);
	if (uses(p, USE_TCP)) {
		r = rule_begin(b, "admit_new");
		if_syn(&r);
		rule_verdict(&r, NFT_GOTO, "admit_tcp");
	}
	if (uses(p, USE_UDP)) {
		r = rule_begin(b, "admit_new");
		if_l4proto(&r, IPPROTO_UDP);
		rule_verdict(&r, NFT_GOTO, "admit_udp");
	}
}

/*
 *   meta l4proto { tcp, udp } th dport 111 ct mark set ct mark & ~mask | pinhole,control,sunrpc
 * accept ct mark set ct mark & ~mask | pinhole,sunrpc accept
 */
static void admit_service_rules(struct batch *b, const struct plan *p, enum ph_service svc)
{
	const struct service_policy *s = &p->setup.policy.service[svc];
	char chain[CHAIN_NAME];
	struct rule r;

	(void)snprintf(chain, sizeof(chain), "admit_%s", service_rules[svc].name);
	for (unsigned int i = 0; i < s->n_ports; i++) {
		r = rule_begin(b, chain);
		if_dport(&r, s->ports[i]);
		set_mark(&r, p->setup.mark_mask, pinhole_control_mark(p, svc));
		rule_verdict(&r, NF_ACCEPT, NULL);
	}
	r = rule_begin(b, chain);
	set_mark(&r, p->setup.mark_mask, pinhole_mark(p, svc));
	rule_verdict(&r, NF_ACCEPT, NULL);
}

/*
 *   ct state new jump watch_new
 *   ct mark & mask vmap { control,ftp : goto watch_ftp, pinhole,ftp : goto admitted, ... }
 */
static void watch_rules(struct batch *b, const struct plan *p, const char *chain, uint32_t id)
{
	struct vmap m = vmap_begin(b, id, TYPE_MARK, sizeof(uint32_t), ORDER_HOST);
	struct rule r = rule_begin(b, chain);

	if_new(&r);
	rule_verdict(&r, NFT_JUMP, "watch_new");
	EACH_SERVICE(svc)
	{
		uint32_t control = control_mark(p, svc), pinhole = pinhole_mark(p, svc);
		uint32_t both = pinhole_control_mark(p, svc);
		bool copies = captured(p, svc) && service_rules[svc].copied;
		char name[CHAIN_NAME], answer[CHAIN_NAME];

		(void)snprintf(name, sizeof(name), "watch_%s", service_rules[svc].name);
		(void)snprintf(answer, sizeof(answer), "answer_%s", service_rules[svc].name);
		if (watched(p, svc))
			vmap_add(&m, &control, name);
		/* A service that is switched off keeps its flows until they end. */
		if (service_rules[svc].flows)
			vmap_add(&m, &pinhole, copies ? answer : "admitted");
		if (service_rules[svc].mappings)
			vmap_add(&m, &both, captured(p, svc) ? name : "admitted");
	}
	vmap_end(&m);
	r = rule_begin(b, chain);
	load_ct(&r, NFT_CT_MARK);
	mask_u32(&r, p->setup.mark_mask);
	lookup(&r, anonymous_map, id, true, false);
	rule_end(&r);
}

static void port_key(uint8_t key[8], uint8_t proto, uint16_t port)
{
	uint16_t be = htons(port);

	memset(key, 0, 8);
	key[0] = proto;
	memcpy(key + 4, &be, sizeof(be));
}

static void port_keys(struct vmap *m, enum ph_service svc, uint16_t port)
{
	char name[CHAIN_NAME];
	uint8_t key[8];

	(void)snprintf(name, sizeof(name), "begin_%s", service_rules[svc].name);
	if (service_rules[svc].control & USE_TCP) {
		port_key(key, IPPROTO_TCP, port);
		vmap_add(m, key, name);
	}
	if (service_rules[svc].control & USE_UDP) {
		port_key(key, IPPROTO_UDP, port);
		vmap_add(m, key, name);
	}
}

/*
 *   ct mark & control != 0 ct status snat,dnat counter name "nat_seen" log group N
 *   ct mark & mask == 0 meta l4proto . th dport vmap { tcp . 21 : goto begin_ftp, ... }
 *
 * What bears the mark already has it from the firewall (-j PINHOLE); begin_* tells of the others.
 */
static void watch_new_rule(struct batch *b, const struct plan *p, uint32_t id)
{
	const struct policy *policy = &p->setup.policy;
	struct vmap m =
	    vmap_begin(b, id, concatenated(TYPE_INET_PROTOCOL, TYPE_INET_SERVICE), 8, ORDER_MIXED);
	struct rule r = rule_begin(b, "watch_new");

	if_mark(&r, control_mark(p, PH_SVC_NONE), NFT_CMP_NEQ, 0);
	if_translated(&r);
	count(&r, COUNTER_NAT_SEEN);
	log_group(&r, (uint16_t)(p->setup.queue_base + PH_GROUP_NAT), HEADERS_SNAPLEN);
	rule_end(&r);
	EACH_SERVICE(svc)
	{
		const struct service_policy *s = &policy->service[svc];

		for (unsigned int i = 0; watched(p, svc) && i < s->n_ports; i++)
			if (port_counts(policy, svc, i))
				port_keys(&m, svc, s->ports[i]);
	}
	if (m.n == 0) {
		if (m.set)
			nftnl_set_free(m.set);
		return;
	}
	vmap_end(&m);
	r = rule_begin(b, "watch_new");
	if_mark(&r, p->setup.mark_mask, NFT_CMP_EQ, 0);
	load_meta(&r, NFT_META_L4PROTO, NFT_REG_1);
	load_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	lookup(&r, anonymous_map, id, true, false);
	rule_end(&r);
}

/*
 *   iif "lo" return
 *   oif "lo" return
 *   ct status snat,dnat counter name "nat_seen" log group N return
 *   ct mark set ct mark & ~mask | control,ftp
 *
 * Where nothing is captured, nothing is missed without a counter and a log for translated flows;
 * the copy of its first packet is then all that is ever seen of a flow.
 */
static void begin_rules(struct batch *b, const struct plan *p, enum ph_service svc)
{
	static const enum nft_meta_keys device[] = { NFT_META_IIF, NFT_META_OIF };
	char chain[CHAIN_NAME];
	struct rule r;

	(void)snprintf(chain, sizeof(chain), "begin_%s", service_rules[svc].name);
	for (unsigned int i = 0; i < 2; i++) {
		r = rule_begin(b, chain);
		load_meta(&r, device[i], NFT_REG_1);
		compare_u32(&r, NFT_CMP_EQ, LOOPBACK);
		rule_verdict(&r, NFT_RETURN, NULL);
	}

	r = rule_begin(b, chain);
	if_translated(&r);
	if (captured(p, svc)) {
		count(&r, COUNTER_NAT_SEEN);
		log_group(&r, (uint16_t)(p->setup.queue_base + PH_GROUP_NAT), HEADERS_SNAPLEN);
	}
	rule_verdict(&r, NFT_RETURN, NULL);

	r = rule_begin(b, chain);
	set_mark(&r, p->setup.mark_mask, control_mark(p, svc));
	if (!captured(p, svc))
		log_group(&r, ph_capture(p->setup.queue_base, svc, 0), HEADERS_SNAPLEN);
	rule_end(&r);
	if (p->knock && service_rules[svc].copied)
		asked_rules(b, chain);
}

/*
 *   tcp flags FLAGS ct direction original log group N snaplen 128
 *   tcp flags FLAGS ct direction reply log group N+1 snaplen 128
 */
static void copy_flags(
    struct batch *b, const struct plan *p, enum ph_service svc, const char *chain, uint8_t flags)
{
	for (unsigned int dir = DIR_ORIGINAL; dir <= DIR_REPLY; dir++) {
		struct rule r = rule_begin(b, chain);

		if_tcp_flags(&r, flags, NFT_CMP_NEQ, 0);
		load_ct(&r, NFT_CT_DIRECTION);
		compare_u8(&r, NFT_CMP_EQ, (uint8_t)dir);
		log_group(&r, ph_capture(p->setup.queue_base, svc, dir), HEADERS_SNAPLEN);
		rule_end(&r);
	}
}

/* Where nothing is looked into, begin_* has told of the beginning: only the end is missing. */
static void watch_end_rules(struct batch *b, const struct plan *p, enum ph_service svc)
{
	char chain[CHAIN_NAME];

	(void)snprintf(chain, sizeof(chain), "watch_%s", service_rules[svc].name);
	if (service_rules[svc].control & USE_TCP)
		copy_flags(b, p, svc, chain, TCP_FIN | TCP_RST);
}

/* True whenever there is a byte to load. */
static void if_payload(struct rule *r, const struct plan *p)
{
	if (!(p->features & FEATURE_PAYLOAD))
		return;
	load_payload(r, NFT_PAYLOAD_INNER_HEADER, 0, 1, NFT_REG_1);
	compare_u8(r, NFT_CMP_GTE, 0);
	r->tag |= FEATURE_PAYLOAD;
}

/* add @early4 { FLOW limit rate 1/week burst 16 packets }: true for a flow's first packets */
static void if_early(struct rule *r, enum family family)
{
	struct nftnl_expr *e, *limit;

	load_flow(r, family, false);
	e = rule_expr(r, "dynset");
	limit = weekly_limit(r->batch, EARLY_PACKETS);
	if (!e || !limit) {
		if (limit)
			nftnl_expr_free(limit);
		return;
	}
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, early_name[family == FAMILY_IPV6]);
	nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, limit, 0);
}

/*
 * What is worth a look:
 *
 *   @ih,0,8 >= 0 goto capture_ftp
 *   meta l4proto udp ct direction original @th,64,16 1-2 goto capture_tftp
 *   meta l4proto tcp ct direction original @ih,0,8 >= 0
 *	add @early4 { FLOW limit rate 1/week burst 16 packets } goto capture_rsh
 */
static void worth_rules(struct batch *b, const struct plan *p, enum ph_service svc,
    const char *chain, const char *capture)
{
	const struct service_rules *s = &service_rules[svc];
	struct rule r;

	for (unsigned int i = 0; i < (s->preamble ? 2 : 1); i++) {
		r = rule_begin(b, chain);
		if (s->opcodes || s->preamble) {
			if_l4proto(&r, s->opcodes ? IPPROTO_UDP : IPPROTO_TCP);
			if_original(&r);
		}
		if (s->opcodes)
			if_opcode_upto(&r, s->opcodes);
		else
			if_payload(&r, p);
		if (s->preamble)
			if_early(&r, families[i]);
		rule_verdict(&r, NFT_GOTO, capture);
	}
}

/*
 *   ct status snat,dnat return
 *   ct mark & pinhole != 0 meta l4proto udp jump seen			(sunrpc)
 *   meta l4proto udp jump seen						(tftp)
 *   tcp flags fin,syn,rst ... log group ...				(if we queue)
 *   tcp flags fin,syn,rst goto capture_ftp				(if we only copy)
 *   what is worth a look goto capture_ftp
 */
static void watch_service_rules(struct batch *b, const struct plan *p, enum ph_service svc)
{
	char chain[CHAIN_NAME], capture[CHAIN_NAME];
	const uint8_t flags = TCP_FIN | TCP_SYN | TCP_RST;
	struct rule r;

	(void)snprintf(chain, sizeof(chain), "watch_%s", service_rules[svc].name);
	(void)snprintf(capture, sizeof(capture), "capture_%s", service_rules[svc].name);
	r = rule_begin(b, chain);
	if_translated(&r);
	rule_verdict(&r, NFT_RETURN, NULL);

	if (admits_control(p, svc) && p->seen) {
		r = rule_begin(b, chain);
		if_mark(&r, pinhole_mark(p, PH_SVC_NONE), NFT_CMP_NEQ, 0);
		if_l4proto(&r, IPPROTO_UDP);
		rule_verdict(&r, NFT_JUMP, "seen");
	}
	if (service_rules[svc].opcodes && p->seen) {
		/* What is answered from the control port goes to where the pinhole leads, too. */
		r = rule_begin(b, chain);
		if_l4proto(&r, IPPROTO_UDP);
		rule_verdict(&r, NFT_JUMP, "seen");
	}
	if (service_rules[svc].control & USE_TCP && can_queue(p)) {
		copy_flags(b, p, svc, chain, flags);
	} else if (service_rules[svc].control & USE_TCP) {
		r = rule_begin(b, chain);
		if_tcp_flags(&r, flags, NFT_CMP_NEQ, 0);
		rule_verdict(&r, NFT_GOTO, capture);
	}

	worth_rules(b, p, svc, chain, capture);
}

/*
 *   FLOW != @says_up4 add @says_up4 { FLOW } log group N snaplen 128
 *
 * The state is the upper two bits of BFD's second byte (RFC 5880 section 4.1).
 */
static void says_rules(struct batch *b, const char *chain, unsigned int state, uint16_t group)
{
	EACH_FAMILY(f)
	{
		struct rule r = rule_begin(b, chain);

		/* th sport without a transport is printed as udp sport only behind this. */
		if_l4proto(&r, IPPROTO_UDP);
		if (state != STATE_UP)
			if_state_bits(&r, NFT_CMP_EQ, state);
		load_flow(&r, f, false);
		once_in_a_while(&r, says_name[state][f == FAMILY_IPV6]);
		log_group(&r, group, HEADERS_SNAPLEN);
		rule_end(&r);
	}
}

/*
 * One-way flows, of which a few packets are copied:
 *
 *   ct status snat,dnat return
 *   @th,72,8 & 0xc0 != 0xc0 goto watch_bfd_news
 *   FLOW != @says_up4 ...
 *
 * So what a flow has not said for half a second is shown at once, and of what it repeats two
 * packets a second, at whatever rate they come.
 */
static void show_rules(
    struct batch *b, const struct plan *p, enum ph_service svc, const char *stem, unsigned int dir)
{
	const uint16_t group = ph_capture(p->setup.queue_base, svc, dir);
	char chain[CHAIN_NAME], news[CHAIN_NAME];
	struct rule r;

	(void)snprintf(chain, sizeof(chain), "%s_%s", stem, service_rules[svc].name);
	(void)snprintf(news, sizeof(news), "%s_%s_news", stem, service_rules[svc].name);
	r = rule_begin(b, chain);
	if_translated(&r);
	rule_verdict(&r, NFT_RETURN, NULL);
	r = rule_begin(b, chain);
	if_state_bits(&r, NFT_CMP_NEQ, STATE_UP);
	rule_verdict(&r, NFT_GOTO, news);
	says_rules(b, chain, STATE_UP, group);
	for (unsigned int state = 0; state < STATE_UP; state++)
		says_rules(b, news, state, group);
}

/*
 *   ct direction original queue flags bypass to N	or	... log group N return
 *   queue flags bypass to N+1				or	log group N+1
 */
static void capture_rules(struct batch *b, const struct plan *p, enum ph_service svc)
{
	char chain[CHAIN_NAME];

	(void)snprintf(chain, sizeof(chain), "capture_%s", service_rules[svc].name);
	for (unsigned int dir = DIR_ORIGINAL; dir <= DIR_REPLY; dir++) {
		uint16_t number = ph_capture(p->setup.queue_base, svc, dir);
		struct rule r = rule_begin(b, chain);

		if (dir == DIR_ORIGINAL)
			if_original(&r);
		if (can_queue(p)) {
			queue(&r, p, number);
			rule_end(&r);
			continue;
		}
		log_group(&r, number, 0);
		rule_verdict(&r, NFT_RETURN, NULL);
	}
}

/*
 *   meta l4proto udp goto seen
 *   tcp flags fin,rst ct direction original log group N snaplen 128 return
 *   tcp flags rst log group N snaplen 128
 *
 * Both sides send a FIN in the end; one of them is enough to know.
 */
static void admitted_rules(struct batch *b, const struct plan *p)
{
	struct rule r;

	if (p->seen) {
		r = rule_begin(b, "admitted");
		if_l4proto(&r, IPPROTO_UDP);
		rule_verdict(&r, NFT_GOTO, "seen");
	}
	r = rule_begin(b, "admitted");
	if_tcp_flags(&r, TCP_FIN | TCP_RST, NFT_CMP_NEQ, 0);
	load_ct(&r, NFT_CT_DIRECTION);
	compare_u8(&r, NFT_CMP_EQ, DIR_ORIGINAL);
	log_group(&r, (uint16_t)(p->setup.queue_base + PH_GROUP_END), HEADERS_SNAPLEN);
	rule_verdict(&r, NFT_RETURN, NULL);

	r = rule_begin(b, "admitted");
	if_tcp_flags(&r, TCP_RST, NFT_CMP_NEQ, 0);
	log_group(&r, (uint16_t)(p->setup.queue_base + PH_GROUP_END), HEADERS_SNAPLEN);
	rule_end(&r);
}

/*
 *   update @seen4 { ip saddr . ip daddr . udp sport . udp dport }
 *   update @seen4 { ip daddr . ip saddr . udp dport . udp sport }
 *
 * The second, because the answer may be in a pinhole set too (sm-notify uses one port both ways).
 */
static void seen_rules(struct batch *b)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct rule r = rule_begin(b, "seen");
		struct nftnl_expr *e;

		/* th sport without a transport is printed as udp sport only behind this. */
		if_l4proto(&r, IPPROTO_UDP);
		load_flow(&r, families[i / 2], i % 2);
		e = rule_expr(&r, "dynset");
		if (e) {
			nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
			nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
			nftnl_expr_set_str(
			    e, NFTNL_EXPR_DYNSET_SET_NAME, rules_seen_name(families[i / 2]));
		}
		rule_end(&r);
	}
}

/*
 *   ct mark & mask != 0 return
 *   KEY @moved4 [ct mark set ct mark & ~mask | pinhole,sunrpc] reject with tcp reset
 *
 * A flow with our mark is let in by another pinhole. The packet may be none of any flow. The reset
 * belongs to the conntrack entry of the packet that it answers (nf_ct_attach()), and is `related`
 * to it; for `mark` it gets the mark that lets it out. The entry itself goes with the packet.
 */
static void moved_rules(struct batch *b, const struct plan *p)
{
	struct rule r = rule_begin(b, "moved");

	if_mark(&r, p->setup.mark_mask, NFT_CMP_NEQ, 0);
	rule_verdict(&r, NFT_RETURN, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		r = rule_begin(b, "moved");
		load_key(&r, families[i], false);
		lookup(&r, rules_moved_name(families[i]), 0, false, false);
		if (p->setup.policy.admit == ADMIT_MARK)
			set_mark(&r, p->setup.mark_mask, pinhole_mark(p, PH_SVC_SUNRPC));
		reset(&r);
	}
}

/*
 *   ct state invalid,new tcp flags ! rst goto moved
 *
 * The flows that went through the port are deleted from conntrack, which takes what still comes of
 * them for new, or for invalid where it does not pick up flows in the middle. So what is
 * established passes one compare here.
 */
static void moved_hook_rule(struct batch *b, const char *chain)
{
	struct rule r = rule_begin(b, chain);

	if_state(&r, NF_CT_STATE_BIT(IP_CT_NEW) | NF_CT_STATE_INVALID_BIT);
	if_tcp_flags(&r, TCP_RST, NFT_CMP_EQ, 0);
	rule_verdict(&r, NFT_GOTO, "moved");
}

/* --- the whole -------------------------------------------------------------------------------- */

static void table_message(struct batch *b, uint16_t type, uint32_t flags)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *nlh;

	if (!t) {
		b->error = -ENOMEM;
		return;
	}
	nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, PH_TABLE);
	if (flags)
		nftnl_table_set_u32(t, NFTNL_TABLE_FLAGS, flags);
	nlh = message_begin(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
	if (nlh) {
		nftnl_table_nlmsg_build_payload(nlh, t);
		message_end(b, nlh, flags & NFT_TABLE_F_OWNER ? FEATURE_OWNER : 0);
	}
	nftnl_table_free(t);
}

void rules_erase(struct batch *b)
{
	table_message(b, NFT_MSG_DELTABLE, 0);
}

/* counter nat_seen */
static void nat_counter(struct batch *b)
{
	struct nftnl_obj *o = nftnl_obj_alloc();
	struct nlmsghdr *nlh;

	if (!o) {
		b->error = -ENOMEM;
		return;
	}
	nftnl_obj_set_u32(o, NFTNL_OBJ_FAMILY, NFPROTO_INET);
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, PH_TABLE);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, COUNTER_NAT_SEEN);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
	nlh = message_begin(b, NFT_MSG_NEWOBJ, NLM_F_CREATE);
	if (nlh) {
		nftnl_obj_nlmsg_build_payload(nlh, o);
		message_end(b, nlh, 0);
	}
	nftnl_obj_free(o);
}

/* flush table inet pinholed: all rules, no set, no chain */
static void flush_rules(struct batch *b)
{
	struct nftnl_rule *nl = nftnl_rule_alloc();
	struct nlmsghdr *nlh;

	if (!nl) {
		b->error = -ENOMEM;
		return;
	}
	nftnl_rule_set_u32(nl, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(nl, NFTNL_RULE_TABLE, PH_TABLE);
	nlh = message_begin(b, NFT_MSG_DELRULE, 0);
	if (nlh) {
		nftnl_rule_nlmsg_build_payload(nlh, nl);
		message_end(b, nlh, 0);
	}
	nftnl_rule_free(nl);
}

/* Whether the kernel can delete an element that is not there: here is one that is not. */
static void try_destroy(struct batch *b, const struct plan *p)
{
	static const uint8_t zero[16];
	struct nftnl_set *s;
	struct nftnl_set_elem *e;
	struct nlmsghdr *nlh = NULL;
	char name[SET_NAME];
	enum ph_service svc;

	if (!(p->features & FEATURE_DESTROY) || !p->sets)
		return;
	svc = (enum ph_service)__builtin_ctz(p->sets);
	s = set_new(b, rules_set_name(svc, FAMILY_IPV4, false, name), 0, 0, 0, sizeof(zero));
	e = s ? nftnl_set_elem_alloc() : NULL;
	if (!e) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, zero, sizeof(zero));
	nftnl_set_elem_add(s, e);
	nlh = message_begin(b, MSG_DESTROYSETELEM, 0);
	if (nlh) {
		nftnl_set_unset(s, NFTNL_SET_ID); /* it may be there already */
		nftnl_set_elems_nlmsg_build_payload(nlh, s);
		message_end(b, nlh, FEATURE_DESTROY);
	}
out:
	if (s)
		nftnl_set_free(s);
}

static bool has_mappings(const struct plan *p)
{
	EACH_SERVICE(svc)
	if (p->sets & 1u << svc && service_rules[svc].mappings)
		return true;
	return false;
}

static bool has_copied(const struct plan *p)
{
	EACH_SERVICE(svc)
	if (p->sets & 1u << svc && service_rules[svc].copied)
		return true;
	return false;
}

static bool has_preamble(const struct plan *p)
{
	EACH_SERVICE(svc)
	if (p->sets & 1u << svc && service_rules[svc].preamble)
		return true;
	return false;
}

static void write_sets(struct batch *b, const struct plan *from, struct plan *to, uint32_t *id)
{
	bool related = to->setup.policy.admit == ADMIT_RELATED;

	to->sets = from ? from->sets : 0;
	to->limited = from ? from->limited : 0;
	to->seen = from ? from->seen : false;
	to->moved = from ? from->moved : false;
	to->shown = from ? from->shown : false;
	to->knock = from ? from->knock : false;
	to->early = from ? from->early : false;
	EACH_SERVICE(svc)
	{
		const struct service_rules *s = &service_rules[svc];
		bool limit = to->features & FEATURE_ONE_SHOT && s->one_flow && !related;
		char link[SET_NAME];

		if (!to->setup.policy.service[svc].enabled || !s->flows || to->sets & 1u << svc)
			continue;
		for (unsigned int i = 0; i < 2; i++) {
			pinhole_set(b, (*id)++, svc, families[i], false, limit);
			if (s->windows)
				pinhole_set(b, (*id)++, svc, families[i], true, false);
		}
		to->sets |= 1u << svc;
		if (rules_link_name(svc, link))
			link_set(b, (*id)++, link, 0, limit);
		if (limit)
			to->limited |= 1u << svc;
	}
	if (related && !to->seen && uses(to, USE_UDP)) {
		EACH_FAMILY(f)
		packet_set(b, (*id)++, rules_seen_name(f), f, flow_type(f), SEEN_TIMEOUT);
		to->seen = true;
	}
	if (!to->shown && has_copied(to)) {
		EACH_FAMILY(f)
		{
			for (unsigned int state = 0; state < STATES; state++)
				packet_set(b, (*id)++, says_name[state][f == FAMILY_IPV6], f,
				    flow_type(f), SHOWN_TIMEOUT);
		}
		to->shown = true;
	}
	if (related && !to->knock && has_copied(to)) {
		EACH_FAMILY(f)
		packet_set(b, (*id)++, knock_name[f == FAMILY_IPV6], f, key_type(f), KNOCK_TIMEOUT);
		link_set(b, (*id)++, link_knock_name, KNOCK_TIMEOUT, false);
		EACH_FAMILY(f)
		packet_set(b, (*id)++, asked_name[f == FAMILY_IPV6], f, key_type(f), ASKED_TIMEOUT);
		link_set(b, (*id)++, link_asked_name, ASKED_TIMEOUT, false);
		to->knock = true;
	}
	if (!to->early && has_preamble(to)) {
		EACH_FAMILY(f)
		packet_set(
		    b, (*id)++, early_name[f == FAMILY_IPV6], f, flow_type(f), EARLY_TIMEOUT);
		to->early = true;
	}
	if (to->features & FEATURE_RESET && !to->moved && has_mappings(to)) {
		moved_set(b, (*id)++, FAMILY_IPV4);
		moved_set(b, (*id)++, FAMILY_IPV6);
		to->moved = true;
	}
}

void rules_write(struct batch *b, const struct plan *from, struct plan *to)
{
	bool related = to->setup.policy.admit == ADMIT_RELATED;
	struct chains had = { .n = 0 }, want;
	uint32_t id = 1; /* of sets, within the transaction */

	if (from) {
		chains_of(&had, from);
		flush_rules(b);
	} else {
		/* An orphan goes; another instance's table makes the first message fail. */
		table_message(b, NFT_MSG_NEWTABLE, 0);
		table_message(b, NFT_MSG_DELTABLE, 0);
		table_message(
		    b, NFT_MSG_NEWTABLE, to->features & FEATURE_OWNER ? NFT_TABLE_F_OWNER : 0);
		nat_counter(b);
	}
	write_sets(b, from, to, &id);
	if (!from)
		try_destroy(b, to);
	chains_of(&want, to);
	for (unsigned int i = 0; i < had.n; i++)
		if (!chain_among(&want, had.chain[i].name))
			chain_write(b, NFT_MSG_DELCHAIN, &had.chain[i]);
	for (unsigned int i = 0; i < want.n; i++)
		if (!chain_among(&had, want.chain[i].name))
			chain_write(b, NFT_MSG_NEWCHAIN, &want.chain[i]);

	pinhole_rules(b, to, "_tcp", USE_TCP);
	pinhole_rules(b, to, "_udp", USE_UDP);
	if (has_hops(to)) {
		hops_rules(b, to, "hops", NF_ACCEPT);
		hops_rules(b, to, "too_far", NF_DROP);
		hops_jump(b, related ? "first_prerouting" : "admit_prerouting");
		too_far_hook_rule(b, to);
	}
	if (related) {
		first_queue_rule(b, to);
		first_rules(b, to, "first_prerouting", NFT_META_IIF);
		first_rules(b, to, "first_output", NFT_META_OIF);
	} else {
		admit_new_rules(b, to);
		admit_rules(b, "admit_prerouting", NFT_META_IIF);
		admit_rules(b, "admit_output", NFT_META_OIF);
	}
	EACH_SERVICE(svc)
	{
		if (admits_control(to, svc) && !related)
			admit_service_rules(b, to, svc);
		if (!watched(to, svc))
			continue;
		begin_rules(b, to, svc);
		if (queued(to, svc)) {
			capture_rules(b, to, svc);
			watch_service_rules(b, to, svc);
		} else if (captured(to, svc)) {
			show_rules(b, to, svc, "watch", DIR_ORIGINAL);
			show_rules(b, to, svc, "answer", DIR_REPLY);
		} else {
			watch_end_rules(b, to, svc);
		}
	}
	if (to->moved) {
		moved_rules(b, to);
		moved_hook_rule(b, "moved_input");
		moved_hook_rule(b, "moved_forward");
		moved_hook_rule(b, "moved_output");
	}
	if (to->seen)
		seen_rules(b);
	admitted_rules(b, to);
	watch_new_rule(b, to, id++);
	watch_rules(b, to, "watch_input", id++);
	watch_rules(b, to, "watch_postrouting", id++);
}
