// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A rule set as nf_tables tells of it: the messages of its dumps, one after the other. It is read,
 * and asked what pinholed and `pinholectl audit` ask. Whatever the rules are, an answer covers all
 * ports without a gap, speaks of nobody who was not asked about, and does not contradict itself.
 *
 * Only whole messages and the contents of attributes are changed: the kernel's messages are well
 * formed, and what does not parse would find faults in libnftnl alone.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include "netlink.h"
#include "reach.h"
#include "ruleset.h"

#define PORTS  500
#define LEAVES 256

static const uint8_t *told;
static size_t told_len;

/* --- in place of the kernel ---------------------------------------------------------------- */

static struct nlmsghdr *message_at(const uint8_t *bytes)
{
	return (struct nlmsghdr *)(void *)(uintptr_t)bytes;
}

/* The bytes that this message takes, or 0 where there is none. */
static size_t message_size(const uint8_t *bytes, size_t len)
{
	const struct nlmsghdr *nlh = message_at(bytes);
	size_t size;

	if (len < MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg) || nlh->nlmsg_len > len ||
	    nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg))
		return 0;
	size = MNL_ALIGN(nlh->nlmsg_len);
	return size < len ? size : len;
}

static const char *text_of(const struct nlmsghdr *nlh, unsigned int type)
{
	const struct nlattr *a;

	mnl_attr_for_each (a, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(a) == type &&
		    memchr(mnl_attr_get_payload(a), '\0', mnl_attr_get_payload_len(a)))
			return mnl_attr_get_str(a);
	return "";
}

static bool of_same_set(const struct nlmsghdr *a, const struct nlmsghdr *b)
{
	return strcmp(text_of(a, NFTA_SET_ELEM_LIST_TABLE), text_of(b, NFTA_SET_ELEM_LIST_TABLE)) ==
		   0 &&
	       strcmp(text_of(a, NFTA_SET_ELEM_LIST_SET), text_of(b, NFTA_SET_ELEM_LIST_SET)) == 0;
}

int netlink_dump(struct mnl_socket *nl, const struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	const uint16_t wanted =
	    (uint16_t)(request->nlmsg_type - 1); /* NFT_MSG_GET*, NFT_MSG_NEW* */
	size_t size;

	(void)nl;
	for (size_t at = 0; (size = message_size(told + at, told_len - at)) > 0; at += size) {
		const struct nlmsghdr *nlh = message_at(told + at);

		if (nlh->nlmsg_type != wanted ||
		    ((wanted & 0xff) == NFT_MSG_NEWSETELEM && !of_same_set(nlh, request)))
			continue;
		errno = 0;
		if (cb(nlh, arg) < MNL_CB_STOP)
			return errno ? -errno : -EPROTO;
	}
	return 0;
}

/* --- questions ----------------------------------------------------------------------------- */

static struct link links[] = { { "eth0", 2, ARPHRD_ETHER }, { "veth1", 3, ARPHRD_ETHER } };
static struct own_address addresses[] = {
	{ { .family = FAMILY_IPV4, .bytes = { 192, 0, 2, 33 } }, 2 },
	{ { .family = FAMILY_IPV6, .bytes = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x33 } }, 2 },
};
static const struct listening host = {
	.links = links,
	.n_links = 2,
	.addresses = addresses,
	.n_addresses = 2,
	.ephemeral_lo = 32768,
	.ephemeral_hi = 60999,
};

static void check_span(const struct reach_span *s, struct addrset peers)
{
	assert(addrset_within(s->perhaps, peers));
	assert(addrset_within(s->let_in, s->perhaps));
	assert(addrset_within(s->always, s->let_in));
	for (const struct reach_cause *c = s->by; c; c = c->next)
		assert(c->base && addrset_within(c->who, peers));
	for (const struct reach_cause *c = s->drop; c; c = c->next)
		assert(c->base && addrset_within(c->who, peers));
}

static void ask(struct reach *r, enum family family, uint8_t proto, uint16_t lo, bool out)
{
	const bool ports = proto == IPPROTO_TCP || proto == IPPROTO_UDP;
	const struct reach_question q = {
		.family = family,
		.l4proto = proto,
		.out = out,
		.peers = reach_anybody(r, family),
		.lo = ports ? lo : 0,
		.hi = ports ? (uint16_t)(lo + PORTS - 1) : 0,
		.icmp_type = family == FAMILY_IPV6 ? 128 : 8,
	};
	struct reach_spans spans;
	uint32_t next = q.lo;

	assert(reach_ask(r, &q, &spans) == 0);
	for (size_t i = 0; i < spans.n; i++) {
		assert(spans.span[i].lo == next && spans.span[i].hi >= next);
		next = spans.span[i].hi + 1u;
		check_span(&spans.span[i], q.peers);
	}
	assert(next == q.hi + 1u);
}

/* One question of many: all of them, and where each port is a case of its own, all ports, would
 * take their time. */
static void ask_reach(unsigned int which)
{
	static const char *const outside[] = { "veth*" };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP };
	static const uint16_t lo[] = { 1, 1000, 8000, UINT16_MAX - PORTS + 1 };
	struct reach *r;

	if (reach_open(&r, &host, outside, 1) < 0)
		return;
	ask(r, which & 8 ? FAMILY_IPV6 : FAMILY_IPV4, protos[which & 3], lo[which >> 4 & 3],
	    which & 4);
	reach_close(r);
}

static void ask_ruleset(bool all_sets)
{
	struct ruleset r;

	if (ruleset_read(&r, PH_MARK_MASK_DEFAULT, all_sets) < 0)
		return;
	for (size_t i = 0; i < r.n_chains; i++)
		assert(r.chains[i].family && r.chains[i].hook &&
		       memchr(r.chains[i].name, '\0', RULESET_NAME) &&
		       memchr(r.chains[i].table, '\0', RULESET_NAME));
	ruleset_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int sum = 0;

	told = data;
	told_len = size;
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	ask_ruleset(sum >> 6 & 1);
	ask_reach(sum);
	return 0;
}

/* --- changes ------------------------------------------------------------------------------- */

struct leaf {
	uint8_t *bytes;
	size_t len;
};

struct leaves {
	struct leaf leaf[LEAVES];
	size_t n;
};

/* Attributes within attributes look like attributes to their end. */
static bool nested(const uint8_t *bytes, size_t len)
{
	while (len >= MNL_ATTR_HDRLEN) {
		const struct nlattr *a = (const struct nlattr *)(const void *)bytes;
		size_t size = MNL_ALIGN(a->nla_len);

		if (a->nla_len < MNL_ATTR_HDRLEN || size > len ||
		    (a->nla_type & NLA_TYPE_MASK) > 64)
			return false;
		bytes += size;
		len -= size;
	}
	return len == 0;
}

/* NFTA_EXPR_NAME, with NFTA_EXPR_DATA behind it: another name would make that malformed. */
static bool names_expression(const struct nlattr *a, const uint8_t *next, size_t left)
{
	const struct nlattr *data = (const struct nlattr *)(const void *)next;

	return mnl_attr_get_type(a) == NFTA_EXPR_NAME && left > MNL_ATTR_HDRLEN &&
	       mnl_attr_get_type(data) == NFTA_EXPR_DATA &&
	       nested(mnl_attr_get_payload(data), mnl_attr_get_payload_len(data));
}

/* bytes: attributes, to their end. */
static void find_leaves(struct leaves *l, uint8_t *bytes, size_t len)
{
	while (len) {
		const struct nlattr *a = (const struct nlattr *)(const void *)bytes;
		uint8_t *payload = bytes + MNL_ATTR_HDRLEN;
		size_t size = MNL_ALIGN(a->nla_len), inner = mnl_attr_get_payload_len(a);

		bytes += size;
		len -= size;
		if (nested(payload, inner))
			find_leaves(l, payload, inner);
		else if (l->n < LEAVES && !names_expression(a, bytes, len))
			l->leaf[l->n++] = (struct leaf){ payload, inner };
	}
}

static unsigned int random_below(unsigned int *seed, size_t n)
{
	*seed = *seed * 1103515245u + 12345u;
	return n ? (*seed >> 16 & 0x7fff) % (unsigned int)n : 0;
}

/* A message's place. */
static struct leaf any_message(uint8_t *data, size_t len, unsigned int *seed)
{
	size_t n = 0, size, at;
	unsigned int which;

	for (at = 0; (size = message_size(data + at, len - at)) > 0; at += size)
		n++;
	which = random_below(seed, n);
	for (at = 0; (size = message_size(data + at, len - at)) > 0; at += size)
		if (which-- == 0)
			break;
	return (struct leaf){ data + at, size };
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* A verdict that wants a chain's name beside it. */
static bool leads_on(const uint8_t *bytes, size_t len)
{
	uint32_t value;

	if (len != sizeof(value))
		return false;
	memcpy(&value, bytes, sizeof(value));
	return ntohl(value) == (uint32_t)NFT_JUMP || ntohl(value) == (uint32_t)NFT_GOTO;
}

/* Registers, operators and names mean something when they are those of others. */
static bool change_to_another(struct leaf *to, const struct leaves *others, unsigned int *seed)
{
	for (unsigned int tries = 0; tries < 20 && others->n; tries++) {
		const struct leaf *from = &others->leaf[random_below(seed, others->n)];

		if (from->len == to->len && !leads_on(from->bytes, from->len)) {
			memmove(to->bytes, from->bytes, to->len);
			return true;
		}
	}
	return false;
}

static void message_leaves(struct leaves *l, struct leaf message)
{
	const size_t head = MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg);

	l->n = 0;
	if (message.len > head && nested(message.bytes + head, message.len - head))
		find_leaves(l, message.bytes + head, message.len - head);
}

static void change_content(uint8_t *data, size_t len, unsigned int *seed)
{
	static struct leaves mine, others;
	struct leaf *to;

	message_leaves(&mine, any_message(data, len, seed));
	message_leaves(&others, any_message(data, len, seed));
	if (!mine.n)
		return;
	to = &mine.leaf[random_below(seed, mine.n)];
	if (random_below(seed, 2) && change_to_another(to, &others, seed))
		return;
	if (to->len == 4 && random_below(seed, 2))
		to->bytes[3] = (uint8_t)random_below(seed, 32);
	else
		(void)LLVMFuzzerMutate(to->bytes, to->len, to->len);
	if (leads_on(to->bytes, to->len))
		to->bytes[3] = 0xff; /* NFT_CONTINUE */
}

static size_t change_messages(uint8_t *data, size_t len, size_t max, unsigned int *seed)
{
	struct leaf from = any_message(data, len, seed), to = any_message(data, len, seed);
	static uint8_t copy[1 << 16];
	size_t at = (size_t)(to.bytes - data);

	if (!from.len || from.len > sizeof(copy) || from.len % 4)
		return len;
	memcpy(copy, from.bytes, from.len);
	if (random_below(seed, 2)) { /* away */
		memmove(from.bytes, from.bytes + from.len,
		    (size_t)(data + len - from.bytes) - from.len);
		return len - from.len;
	}
	if (len + from.len > max)
		return len;
	memmove(data + at + from.len, data + at, len - at);
	memcpy(data + at, copy, from.len);
	return len + from.len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	for (unsigned int times = 1 + random_below(&seed, 4); times; times--) {
		if (random_below(&seed, 4))
			change_content(data, size, &seed);
		else
			size = change_messages(data, size, max, &seed);
	}
	return size;
}
