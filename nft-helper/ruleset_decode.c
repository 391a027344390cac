// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each chain, set, rule and expression is decoded once, into what can be looked at a hundred
 * thousand times. One function an expression; what is not understood stays DUMP_OPAQUE.
 */
#include "ruleset_decode.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include "pinhole/abi.h"

bool decode_leads_to_verdicts(const struct nftnl_set *s)
{
	return (nftnl_set_get_u32(s, NFTNL_SET_FLAGS) & NFT_SET_MAP) &&
	       nftnl_set_get_u32(s, NFTNL_SET_DATA_TYPE) == NFT_DATA_VERDICT;
}

/* --- decoding ------------------------------------------------------------------------------ */

struct decoder {
	struct dump *d;
	const struct snapshot *s;
	const struct dump_chain **by_name;
	const struct dump_set **set_by_name;
	const struct dump_rule *rule; /* being decoded */
	const struct nftnl_expr *e;
};

static const char *text(struct decoder *x, const char *word)
{
	return word ? pool_copy(&x->d->pool, word, strlen(word)) : "";
}

static int by_place(
    uint32_t f1, const char *t1, const char *n1, uint32_t f2, const char *t2, const char *n2)
{
	int order = (f1 > f2) - (f1 < f2);

	if (order == 0)
		order = strcmp(t1, t2);
	return order ? order : strcmp(n1, n2);
}

static int chain_order(const void *a, const void *b)
{
	const struct dump_chain *x = *(const struct dump_chain *const *)a;
	const struct dump_chain *y = *(const struct dump_chain *const *)b;

	return by_place(x->family, x->table, x->name, y->family, y->table, y->name);
}

static int set_order(const void *a, const void *b)
{
	const struct dump_set *x = *(const struct dump_set *const *)a;
	const struct dump_set *y = *(const struct dump_set *const *)b;

	return by_place(x->family, x->table, x->name, y->family, y->table, y->name);
}

static struct dump_chain *chain_of(
    const struct decoder *x, uint32_t family, const char *table, const char *name)
{
	const struct dump_chain key = { .family = family, .table = table, .name = name };
	const struct dump_chain *want = &key, **found;

	if (!table || !name || !x->d->n_chains)
		return NULL;
	found = bsearch(
	    &want, (const void *)x->by_name, x->d->n_chains, sizeof(const void *), chain_order);
	return found ? &x->d->chain[*found - x->d->chain] : NULL;
}

static const struct dump_set *set_of(
    const struct decoder *x, uint32_t family, const char *table, const char *name)
{
	const struct dump_set key = { .family = family, .table = table, .name = name };
	const struct dump_set *want = &key, **found;

	if (!table || !name || !x->d->n_sets)
		return NULL;
	found = bsearch(
	    &want, (const void *)x->set_by_name, x->d->n_sets, sizeof(const void *), set_order);
	return found ? *found : NULL;
}

/* --- expressions --------------------------------------------------------------------------- */

static const void *bytes(const struct decoder *x, uint16_t attr, uint32_t *len)
{
	*len = 0;
	return nftnl_expr_is_set(x->e, attr) ? nftnl_expr_get(x->e, attr, len) : NULL;
}

static uint32_t number(const struct decoder *x, uint16_t attr)
{
	uint32_t len, value32 = 0;
	const void *data = bytes(x, attr, &len);
	uint16_t value16;
	uint8_t value8;

	if (!data)
		return 0;
	if (len == sizeof(value8)) {
		memcpy(&value8, data, sizeof(value8));
		return value8;
	}
	if (len == sizeof(value16)) {
		memcpy(&value16, data, sizeof(value16));
		return value16;
	}
	if (len >= sizeof(value32))
		memcpy(&value32, data, sizeof(value32));
	return value32;
}

static bool copied(struct decoder *x, uint16_t attr, const uint8_t **out, uint32_t *len)
{
	const void *data = bytes(x, attr, len);

	*out = data ? pool_copy(&x->d->pool, data, *len) : NULL;
	return *out != NULL;
}

/* Registers are numbered in 16-byte units from 1, or in 4-byte units from NFT_REG32_00. */
static bool reg(const struct decoder *x, uint16_t attr, uint32_t len, uint8_t *offset)
{
	uint32_t n = number(x, attr), at;

	if (!nftnl_expr_is_set(x->e, attr))
		return false;
	at = n >= NFT_REG32_00 ? (n - NFT_REG32_00) * 4
	     : n >= NFT_REG_1  ? (n - NFT_REG_1) * 16
			       : DUMP_REGISTERS;
	if (at >= DUMP_REGISTERS || len > DUMP_REGISTERS - at)
		return false;
	*offset = (uint8_t)at;
	return true;
}

/* Each of these fills *out, which is DUMP_OPAQUE, or leaves it so. */

static void decode_immediate(struct decoder *x, struct dump_expr *out)
{
	if (nftnl_expr_is_set(x->e, NFTNL_EXPR_IMM_VERDICT)) {
		out->verdict = (int)number(x, NFTNL_EXPR_IMM_VERDICT);
		if (nftnl_expr_is_set(x->e, NFTNL_EXPR_IMM_CHAIN))
			out->chain = chain_of(x, x->rule->chain->family, x->rule->chain->table,
			    nftnl_expr_get_str(x->e, NFTNL_EXPR_IMM_CHAIN));
		if ((out->verdict == NFT_JUMP || out->verdict == NFT_GOTO) && !out->chain)
			return;
		out->op = DUMP_VERDICT;
	} else if (copied(x, NFTNL_EXPR_IMM_DATA, &out->data, &out->data_len) &&
		   reg(x, NFTNL_EXPR_IMM_DREG, out->data_len, &out->dreg)) {
		out->len = out->data_len;
		out->op = DUMP_IMMEDIATE;
	}
}

static void decode_payload(struct decoder *x, struct dump_expr *out)
{
	out->len = number(x, NFTNL_EXPR_PAYLOAD_LEN);
	out->key = number(x, NFTNL_EXPR_PAYLOAD_BASE);
	out->offset = number(x, NFTNL_EXPR_PAYLOAD_OFFSET);
	if (reg(x, NFTNL_EXPR_PAYLOAD_SREG, out->len, &out->sreg))
		out->op = DUMP_PAYLOAD_SET;
	else if (reg(x, NFTNL_EXPR_PAYLOAD_DREG, out->len, &out->dreg))
		out->op = DUMP_PAYLOAD;
}

static void decode_meta(struct decoder *x, struct dump_expr *out)
{
	out->key = number(x, NFTNL_EXPR_META_KEY);
	if (reg(x, NFTNL_EXPR_META_SREG, 4, &out->sreg))
		out->op = DUMP_META_SET;
	else if (reg(x, NFTNL_EXPR_META_DREG, 4, &out->dreg))
		out->op = DUMP_META;
}

static void decode_ct(struct decoder *x, struct dump_expr *out)
{
	out->key = number(x, NFTNL_EXPR_CT_KEY);
	out->flags =
	    nftnl_expr_is_set(x->e, NFTNL_EXPR_CT_DIR) ? number(x, NFTNL_EXPR_CT_DIR) : UINT32_MAX;
	if (reg(x, NFTNL_EXPR_CT_SREG, 4, &out->sreg))
		out->op = DUMP_CT_SET;
	else if (reg(x, NFTNL_EXPR_CT_DREG, 4, &out->dreg))
		out->op = DUMP_CT;
}

static void decode_fib(struct decoder *x, struct dump_expr *out)
{
	out->key = number(x, NFTNL_EXPR_FIB_RESULT);
	out->flags = number(x, NFTNL_EXPR_FIB_FLAGS);
	if (reg(x, NFTNL_EXPR_FIB_DREG, 4, &out->dreg))
		out->op = DUMP_FIB;
}

static void decode_exthdr(struct decoder *x, struct dump_expr *out)
{
	out->key = number(x, NFTNL_EXPR_EXTHDR_OP);
	out->flags = number(x, NFTNL_EXPR_EXTHDR_FLAGS);
	out->len = number(x, NFTNL_EXPR_EXTHDR_LEN);
	out->offset = number(x, NFTNL_EXPR_EXTHDR_TYPE) << 16 | number(x, NFTNL_EXPR_EXTHDR_OFFSET);
	if (reg(x, NFTNL_EXPR_EXTHDR_DREG, out->len, &out->dreg))
		out->op = DUMP_EXTHDR;
	else if (nftnl_expr_is_set(x->e, NFTNL_EXPR_EXTHDR_SREG))
		out->op = DUMP_HARMLESS; /* writes an option */
}

static void decode_cmp(struct decoder *x, struct dump_expr *out)
{
	out->key = number(x, NFTNL_EXPR_CMP_OP);
	if (copied(x, NFTNL_EXPR_CMP_DATA, &out->data, &out->data_len) &&
	    reg(x, NFTNL_EXPR_CMP_SREG, out->data_len, &out->sreg)) {
		out->len = out->data_len;
		out->op = DUMP_CMP;
	}
}

static void decode_range(struct decoder *x, struct dump_expr *out)
{
	uint32_t len;

	out->inverted = number(x, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_NEQ;
	if (copied(x, NFTNL_EXPR_RANGE_FROM_DATA, &out->data, &out->data_len) &&
	    copied(x, NFTNL_EXPR_RANGE_TO_DATA, &out->data2, &len) && len == out->data_len &&
	    reg(x, NFTNL_EXPR_RANGE_SREG, len, &out->sreg)) {
		out->len = len;
		out->op = DUMP_RANGE;
	}
}

/* key: NFT_BITWISE_*; of a shift, offset is by how much. */
static void decode_bitwise(struct decoder *x, struct dump_expr *out)
{
	uint32_t len;

	out->len = number(x, NFTNL_EXPR_BITWISE_LEN);
	out->key = number(x, NFTNL_EXPR_BITWISE_OP);
	if (!reg(x, NFTNL_EXPR_BITWISE_SREG, out->len, &out->sreg) ||
	    !reg(x, NFTNL_EXPR_BITWISE_DREG, out->len, &out->dreg))
		return;
	out->op = DUMP_BITWISE;
	out->offset = number(x, NFTNL_EXPR_BITWISE_DATA);
	if (out->key == NFT_BITWISE_BOOL &&
	    (!copied(x, NFTNL_EXPR_BITWISE_MASK, &out->data, &out->data_len) ||
		!copied(x, NFTNL_EXPR_BITWISE_XOR, &out->data2, &len) || len != out->data_len ||
		len != out->len)) {
		out->op = DUMP_LOAD;
		out->has_dreg = true;
	}
}

static void decode_byteorder(struct decoder *x, struct dump_expr *out)
{
	out->len = number(x, NFTNL_EXPR_BYTEORDER_LEN);
	out->flags = number(x, NFTNL_EXPR_BYTEORDER_SIZE);
	if (reg(x, NFTNL_EXPR_BYTEORDER_SREG, out->len, &out->sreg) &&
	    reg(x, NFTNL_EXPR_BYTEORDER_DREG, out->len, &out->dreg))
		out->op = DUMP_BYTEORDER;
}

static void decode_lookup(struct decoder *x, struct dump_expr *out)
{
	const char *name = nftnl_expr_get_str(x->e, NFTNL_EXPR_LOOKUP_SET);
	uint32_t key_len, data_len;

	out->inverted = number(x, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	out->set = set_of(x, x->rule->chain->family, x->rule->chain->table, name);
	key_len = out->set ? out->set->key_len : 4;
	data_len = out->set ? out->set->data_len : 4;
	if (!reg(x, NFTNL_EXPR_LOOKUP_SREG, key_len, &out->sreg))
		return;
	out->has_dreg = nftnl_expr_is_set(x->e, NFTNL_EXPR_LOOKUP_DREG);
	if (out->has_dreg && number(x, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT) {
		if (!out->set || !out->set->verdicts)
			return;
	} else if (out->has_dreg && !reg(x, NFTNL_EXPR_LOOKUP_DREG, data_len, &out->dreg)) {
		return;
	}
	out->len = key_len;
	out->op = DUMP_LOOKUP;
}

struct within {
	bool limit_only, limits, inverted;
};

static int note_inner(struct nftnl_expr *e, void *arg)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	struct within *w = arg;

	if (strcmp(name, "counter") == 0 || strcmp(name, "last") == 0)
		return 0;
	w->limits = true;
	if (strcmp(name, "limit") != 0)
		w->limit_only = false;
	else if (nftnl_expr_get_u32(e, NFTNL_EXPR_LIMIT_FLAGS) & NFT_LIMIT_F_INV)
		w->inverted = true;
	return 0;
}

/* Adding to a set: a condition only where the element has one. */
static void decode_dynset(struct decoder *x, struct dump_expr *out)
{
	struct within w = { .limit_only = true };
	bool any = nftnl_expr_is_set(x->e, NFTNL_EXPR_DYNSET_EXPR) ||
		   nftnl_expr_is_set(x->e, NFTNL_EXPR_DYNSET_EXPRESSIONS);

	if (any)
		(void)nftnl_expr_expr_foreach(x->e, note_inner, &w);
	out->op = any && !w.limit_only ? DUMP_CONDITION : DUMP_DYNSET;
	out->flags = any && w.limits;
	out->set = set_of(x, x->rule->chain->family, x->rule->chain->table,
	    nftnl_expr_get_str(x->e, NFTNL_EXPR_DYNSET_SET_NAME));
	out->inverted = w.inverted;
}

static void decode_limit(struct decoder *x, struct dump_expr *out)
{
	out->inverted = number(x, NFTNL_EXPR_LIMIT_FLAGS) & NFT_LIMIT_F_INV;
	out->op = DUMP_LIMIT;
}

static void decode_objref(struct decoder *x, struct dump_expr *out)
{
	out->op = DUMP_OBJECT;
	out->key = nftnl_expr_is_set(x->e, NFTNL_EXPR_OBJREF_IMM_TYPE)
		       ? number(x, NFTNL_EXPR_OBJREF_IMM_TYPE)
		       : NFT_OBJECT_UNSPEC; /* by a map */
	out->name = nftnl_expr_is_set(x->e, NFTNL_EXPR_OBJREF_IMM_NAME)
			? text(x, nftnl_expr_get_str(x->e, NFTNL_EXPR_OBJREF_IMM_NAME))
			: "";
}

/* key: enum nft_nat_types; flags: the family. */
static void decode_nat(struct decoder *x, struct dump_expr *out)
{
	out->flags = number(x, NFTNL_EXPR_NAT_FAMILY);
	out->key = number(x, NFTNL_EXPR_NAT_TYPE);
	out->op = DUMP_NAT;
}

/* has_dreg: to the one port that is in sreg. */
static void decode_redir(struct decoder *x, struct dump_expr *out)
{
	uint8_t max;

	out->op = DUMP_REDIRECT;
	out->len = 2;
	out->has_dreg = reg(x, NFTNL_EXPR_REDIR_REG_PROTO_MIN, 2, &out->sreg);
	if (out->has_dreg && reg(x, NFTNL_EXPR_REDIR_REG_PROTO_MAX, 2, &max) && max != out->sreg)
		out->op = DUMP_NAT;
	out->key = NFT_NAT_DNAT;
}

static void decode_match(struct decoder *x, struct dump_expr *out)
{
	out->name = text(x, nftnl_expr_get_str(x->e, NFTNL_EXPR_MT_NAME));
	out->key = number(x, NFTNL_EXPR_MT_REV);
	(void)copied(x, NFTNL_EXPR_MT_INFO, &out->data, &out->data_len);
	out->op = DUMP_XT_MATCH;
}

static void decode_target(struct decoder *x, struct dump_expr *out)
{
	out->name = text(x, nftnl_expr_get_str(x->e, NFTNL_EXPR_TG_NAME));
	out->key = number(x, NFTNL_EXPR_TG_REV);
	(void)copied(x, NFTNL_EXPR_TG_INFO, &out->data, &out->data_len);
	out->op = DUMP_XT_TARGET;
}

static const struct kind {
	const char *name;
	void (*decode)(struct decoder *x, struct dump_expr *out);
	enum dump_op op; /* where nothing has to be decoded */
	uint16_t dreg;   /* attribute, of what loads something that only the kernel knows */
} kinds[] = {
	{ "immediate", decode_immediate, DUMP_OPAQUE, 0 },
	{ "payload", decode_payload, DUMP_OPAQUE, 0 },
	{ "meta", decode_meta, DUMP_OPAQUE, 0 },
	{ "ct", decode_ct, DUMP_OPAQUE, 0 },
	{ "fib", decode_fib, DUMP_OPAQUE, 0 },
	{ "exthdr", decode_exthdr, DUMP_OPAQUE, 0 },
	{ "cmp", decode_cmp, DUMP_OPAQUE, 0 },
	{ "range", decode_range, DUMP_OPAQUE, 0 },
	{ "bitwise", decode_bitwise, DUMP_OPAQUE, 0 },
	{ "byteorder", decode_byteorder, DUMP_OPAQUE, 0 },
	{ "lookup", decode_lookup, DUMP_OPAQUE, 0 },
	{ "dynset", decode_dynset, DUMP_OPAQUE, 0 },
	{ "limit", decode_limit, DUMP_OPAQUE, 0 },
	{ "objref", decode_objref, DUMP_OPAQUE, 0 },
	{ "nat", decode_nat, DUMP_OPAQUE, 0 },
	{ "redir", decode_redir, DUMP_OPAQUE, 0 },
	{ "match", decode_match, DUMP_OPAQUE, 0 },
	{ "target", decode_target, DUMP_OPAQUE, 0 },
	{ "masq", NULL, DUMP_MASQUERADE, 0 },
	{ "tproxy", NULL, DUMP_TPROXY, 0 },
	{ "synproxy", NULL, DUMP_SYNPROXY, 0 },
	{ "notrack", NULL, DUMP_NOTRACK, 0 },
	{ "reject", NULL, DUMP_REJECT, 0 },
	{ "queue", NULL, DUMP_QUEUE, 0 },
	{ "quota", NULL, DUMP_CONDITION, 0 },
	{ "connlimit", NULL, DUMP_CONDITION, 0 },
	{ "numgen", NULL, DUMP_LOAD, NFTNL_EXPR_NG_DREG },
	{ "hash", NULL, DUMP_LOAD, NFTNL_EXPR_HASH_DREG },
	{ "rt", NULL, DUMP_LOAD, NFTNL_EXPR_RT_DREG },
	{ "socket", NULL, DUMP_LOAD, NFTNL_EXPR_SOCKET_DREG },
	{ "osf", NULL, DUMP_LOAD, NFTNL_EXPR_OSF_DREG },
	{ "xfrm", NULL, DUMP_LOAD, NFTNL_EXPR_XFRM_DREG },
	{ "tunnel", NULL, DUMP_LOAD, NFTNL_EXPR_TUNNEL_DREG },
	/* These let every packet go on. */
	{ "counter", NULL, DUMP_HARMLESS, 0 },
	{ "log", NULL, DUMP_HARMLESS, 0 },
	{ "last", NULL, DUMP_HARMLESS, 0 },
	{ "dup", NULL, DUMP_HARMLESS, 0 },
	{ "flow_offload", NULL, DUMP_HARMLESS, 0 },
};

static void decode_expr(struct decoder *x, struct dump_expr *out)
{
	const char *name = nftnl_expr_get_str(x->e, NFTNL_EXPR_NAME);

	*out = (struct dump_expr){ .op = DUMP_OPAQUE };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (strcmp(k->name, name) != 0)
			continue;
		if (k->decode)
			k->decode(x, out);
		else
			out->op = k->op;
		if (k->op == DUMP_LOAD) {
			out->has_dreg = reg(x, k->dreg, 4, &out->dreg);
			out->len = DUMP_REGISTERS; /* how much is not worth knowing */
		}
		return;
	}
}

static bool loads_dport(const struct dump_expr *e)
{
	return e->op == DUMP_PAYLOAD && e->key == NFT_PAYLOAD_TRANSPORT_HEADER && e->offset == 2 &&
	       e->len == 2;
}

static bool compares(const struct dump_expr *e, const struct dump_expr *load, uint32_t len)
{
	return ((e->op == DUMP_CMP && e->key == NFT_CMP_EQ) ||
		   (e->op == DUMP_RANGE && !e->inverted)) &&
	       e->sreg == load->dreg && e->len == len;
}

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

/* Pairs of loading and comparing at its beginning, as long as they are about protocol and port. */
static void note_first_conditions(struct dump_rule *r)
{
	for (size_t i = 0; i + 1 < r->n; i += 2) {
		const struct dump_expr *load = &r->expr[i], *e = &r->expr[i + 1];

		if (load->op == DUMP_META && load->key == NFT_META_L4PROTO &&
		    compares(e, load, 1) && e->op == DUMP_CMP) {
			r->has_proto = true;
			r->proto = e->data[0];
		} else if (loads_dport(load) && compares(e, load, 2)) {
			r->has_dport = true;
			r->dport_lo = be16(e->data);
			r->dport_hi = be16(e->op == DUMP_RANGE ? e->data2 : e->data);
			return;
		} else if (load->op != DUMP_META || load->key != NFT_META_NFPROTO ||
			   !compares(e, load, 1)) {
			return;
		}
	}
}

static void decode_rule(struct decoder *x, const struct raw_rule *raw, struct dump_rule *out)
{
	struct nftnl_expr_iter *iter;
	struct nftnl_expr *e;
	struct dump_expr *expr;
	size_t n = 0;

	out->handle = nftnl_rule_get_u64(raw->rule, NFTNL_RULE_HANDLE);
	x->rule = out;
	iter = nftnl_expr_iter_create(raw->rule);
	while (iter && nftnl_expr_iter_next(iter))
		n++;
	nftnl_expr_iter_destroy(iter);
	expr = pool_alloc(&x->d->pool, (n + 1) * sizeof(*expr));
	if (!expr)
		return;
	if (raw->opaque)
		expr[out->n++] = (struct dump_expr){ .op = DUMP_OPAQUE };
	iter = nftnl_expr_iter_create(raw->rule);
	while (iter && out->n < n && (e = nftnl_expr_iter_next(iter))) {
		x->e = e;
		decode_expr(x, &expr[out->n++]);
	}
	nftnl_expr_iter_destroy(iter);
	out->expr = expr;
	note_first_conditions(out);
}

/* --- sets ---------------------------------------------------------------------------------- */

struct end {
	const uint8_t *key;
	struct nftnl_set_elem *e;
	bool closes;
	uint32_t len;
};

/* At the same key one interval ends before the next begins. */
static int by_key(const void *a, const void *b)
{
	const struct end *x = a, *y = b;
	int order = memcmp(x->key, y->key, x->len);

	return order ? order : (int)y->closes - (int)x->closes;
}

static int note_condition(struct nftnl_expr *e, void *arg)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	bool *any = arg;

	*any |= strcmp(name, "counter") != 0 && strcmp(name, "last") != 0;
	return 0;
}

static bool has_condition(struct nftnl_set_elem *e)
{
	bool any = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_OBJREF);

	(void)nftnl_set_elem_expr_foreach(e, note_condition, &any);
	return any;
}

static void decode_data(
    struct decoder *x, struct dump_set *set, struct nftnl_set_elem *e, struct dump_element *out)
{
	uint32_t len = 0;
	const void *data;

	out->unsure = has_condition(e);
	if (set->verdicts && nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_VERDICT)) {
		out->has_verdict = true;
		out->verdict = (int)nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_VERDICT);
		if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_CHAIN))
			out->chain = chain_of(x, set->family, set->table,
			    nftnl_set_elem_get_str(e, NFTNL_SET_ELEM_CHAIN));
	} else if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_DATA)) {
		data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &len);
		if (data && len == set->data_len)
			out->data = pool_copy(&x->d->pool, data, len);
	}
}

/* The number before this one, as bytes. */
static const uint8_t *before(struct decoder *x, const uint8_t *key, uint32_t len)
{
	uint8_t *out = pool_copy(&x->d->pool, key, len);

	for (uint32_t i = len; out && i-- > 0;)
		if (out[i]-- != 0)
			break;
	return out;
}

/* The kernel lists where intervals begin and where they have ended (nft_set_rbtree.c). */
static void decode_intervals(
    struct decoder *x, struct dump_set *set, const struct end *ends, size_t n)
{
	struct dump_element *open = NULL;
	uint8_t *last = pool_alloc(&x->d->pool, set->key_len);

	if (!last)
		return;
	memset(last, 0xff, set->key_len);
	for (size_t i = 0; i < n; i++) {
		if (open)
			open->hi = before(x, ends[i].key, set->key_len);
		open = NULL;
		if (ends[i].closes)
			continue;
		open = &set->element[set->n++];
		open->lo = pool_copy(&x->d->pool, ends[i].key, set->key_len);
		open->hi = last;
		decode_data(x, set, ends[i].e, open);
	}
}

static void decode_single(struct decoder *x, struct dump_set *set, const struct end *end)
{
	struct dump_element *out = &set->element[set->n++];
	uint32_t len = 0;
	const void *hi = nftnl_set_elem_is_set(end->e, NFTNL_SET_ELEM_KEY_END)
			     ? nftnl_set_elem_get(end->e, NFTNL_SET_ELEM_KEY_END, &len)
			     : NULL;

	out->lo = pool_copy(&x->d->pool, end->key, set->key_len);
	out->hi = hi && len == set->key_len ? pool_copy(&x->d->pool, hi, len) : out->lo;
	if (!out->lo || !out->hi)
		return;
	decode_data(x, set, end->e, out);
	/* Without the fields' lengths an interval cannot be told. */
	if (set->n_fields == 0 && memcmp(out->lo, out->hi, set->key_len) != 0)
		set->unknown = true;
}

/* Whether the field lengths make up the key. */
static bool decode_fields(struct dump_set *set, const struct nftnl_set *s)
{
	uint32_t n = 0, sum = 0;
	const uint8_t *len = nftnl_set_is_set(s, NFTNL_SET_DESC_CONCAT)
				 ? nftnl_set_get_data(s, NFTNL_SET_DESC_CONCAT, &n)
				 : NULL;

	if (!len || n > DUMP_FIELDS)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		set->field_len[i] = len[i];
		sum += (len[i] + 3u) / 4 * 4;
	}
	if (sum != (set->key_len + 3) / 4 * 4)
		return false;
	set->n_fields = n;
	return true;
}

static void decode_addrs(struct decoder *x, struct dump_set *set)
{
	struct addr_range *r;

	if (!set->plain || (set->key_len != 4 && set->key_len != 16))
		return;
	r = pool_alloc(&x->d->pool, (set->n + 1) * sizeof(*r));
	for (size_t i = 0; r && i < set->n; i++)
		for (uint32_t b = 0; b < set->key_len; b++) {
			r[i].lo = r[i].lo << 8 | set->element[i].lo[b];
			r[i].hi = r[i].hi << 8 | set->element[i].hi[b];
		}
	if (r)
		set->addrs = addrset_of(&x->d->pool, r, set->n);
	set->has_addrs = r != NULL;
}

static void decode_elements(struct decoder *x, struct dump_set *set, const struct nftnl_set *s)
{
	struct nftnl_set_elems_iter *iter = nftnl_set_elems_iter_create(s);
	struct nftnl_set_elem *e, *nameless = NULL;
	struct end *ends = NULL;
	size_t n = 0, room = 0;

	while (iter && (e = nftnl_set_elems_iter_next(iter))) {
		uint32_t flags = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_FLAGS)
				     ? nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_FLAGS)
				     : 0;
		uint32_t len = 0;
		const uint8_t *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);

		if (n == room) {
			struct end *grown;

			room = room ? room * 2 : 64;
			grown = reallocarray(ends, room, sizeof(*grown));
			if (!grown) {
				x->d->pool.failed = true;
				break;
			}
			ends = grown;
		}
		if (flags & NFT_SET_ELEM_CATCHALL)
			nameless = e;
		else if (!key || len != set->key_len)
			set->unknown = true;
		else
			ends[n++] = (struct end){ .key = key,
				.e = e,
				.len = len,
				.closes = flags & NFT_SET_ELEM_INTERVAL_END };
	}
	nftnl_set_elems_iter_destroy(iter);
	if (n)
		qsort(ends, n, sizeof(*ends), by_key);
	set->element = pool_alloc(&x->d->pool, (n + 1) * sizeof(*set->element));
	if (!set->element || x->d->pool.failed)
		goto out;
	if ((set->flags & NFT_SET_INTERVAL) && set->n_fields < 2)
		decode_intervals(x, set, ends, n);
	else
		for (size_t i = 0; i < n; i++)
			decode_single(x, set, &ends[i]);
	if (x->d->pool.failed)
		goto out;
	set->plain = set->n_fields < 2 && !nameless;
	for (size_t i = 0; i < set->n; i++)
		set->plain &= !set->element[i].unsure;
	if (nameless)
		decode_data(x, set, nameless, &set->element[set->n++]);
	decode_addrs(x, set);
out:
	free(ends);
}

static void decode_set(struct decoder *x, const struct raw_set *raw, struct dump_set *out)
{
	const struct nftnl_set *s = raw->set;

	out->flags = nftnl_set_get_u32(s, NFTNL_SET_FLAGS);
	out->key_len = nftnl_set_get_u32(s, NFTNL_SET_KEY_LEN);
	out->verdicts = decode_leads_to_verdicts(s);
	out->data_len = nftnl_set_is_set(s, NFTNL_SET_DATA_LEN) && !out->verdicts
			    ? nftnl_set_get_u32(s, NFTNL_SET_DATA_LEN)
			    : 0;
	out->unknown = raw->unknown || !out->key_len || out->key_len > DUMP_REGISTERS ||
		       out->data_len > DUMP_REGISTERS;
	(void)decode_fields(out, s);
	if (!raw->unknown && out->key_len && out->key_len <= DUMP_REGISTERS)
		decode_elements(x, out, s);
	out->plain &= !out->unknown;
	out->has_addrs &= !out->unknown;
}

/* --- all of it ----------------------------------------------------------------------------- */

static const struct nftnl_table *table_of(
    const struct snapshot *s, uint32_t family, const char *name)
{
	for (size_t i = 0; i < s->tables.n; i++) {
		const struct nftnl_table *t = s->tables.item[i];

		if (nftnl_table_get_u32(t, NFTNL_TABLE_FAMILY) == family &&
		    strcmp(nftnl_table_get_str(t, NFTNL_TABLE_NAME), name) == 0)
			return t;
	}
	return NULL;
}

static void decode_devices(struct decoder *x, const struct nftnl_chain *c, struct dump_chain *out)
{
	const char *const *names = nftnl_chain_is_set(c, NFTNL_CHAIN_DEVICES)
				       ? nftnl_chain_get_array(c, NFTNL_CHAIN_DEVICES)
				       : NULL;
	const char *one = nftnl_chain_get_str(c, NFTNL_CHAIN_DEV);
	size_t n = one ? 1 : 0;

	while (names && names[n])
		n++;
	out->device = pool_alloc(&x->d->pool, (n + 1) * sizeof(*out->device));
	for (size_t i = 0; out->device && i < n; i++)
		out->device[out->n_devices++] = text(x, names ? names[i] : one);
}

static void decode_chain(struct decoder *x, const struct nftnl_chain *c, struct dump_chain *out)
{
	const struct nftnl_table *t;
	const char *type;

	out->family = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
	out->table = text(x, nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE));
	out->name = text(x, nftnl_chain_get_str(c, NFTNL_CHAIN_NAME));
	out->base = nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM);
	if (!out->table || !out->name)
		return;
	t = table_of(x->s, out->family, out->table);
	out->owned = t && nftnl_table_is_set(t, NFTNL_TABLE_OWNER);
	out->dormant = t && (nftnl_table_get_u32(t, NFTNL_TABLE_FLAGS) & NFT_TABLE_F_DORMANT) != 0;
	if (!out->base)
		return;
	out->hook = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM);
	out->priority = nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO);
	out->drops = nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) == NF_DROP;
	decode_devices(x, c, out);
	type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);
	if (type && strcmp(type, "nat") == 0)
		out->type = DUMP_NAT_CHAIN;
	else if (type && strcmp(type, "route") == 0)
		out->type = DUMP_ROUTE;
}

static void decode_chains(struct decoder *x)
{
	const struct list *chains = &x->s->chains;
	struct dump *d = x->d;

	d->chain = pool_alloc(&d->pool, (chains->n + 1) * sizeof(*d->chain));
	x->by_name = pool_alloc(&d->pool, (chains->n + 1) * sizeof(*x->by_name));
	if (!d->chain || !x->by_name)
		return;
	for (size_t i = 0; i < chains->n && !d->pool.failed; i++, d->n_chains++) {
		decode_chain(x, chains->item[i], &d->chain[i]);
		x->by_name[i] = &d->chain[i];
	}
	if (!d->pool.failed)
		qsort((void *)x->by_name, d->n_chains, sizeof(const void *), chain_order);
}

static void decode_sets(struct decoder *x)
{
	const struct list *sets = &x->s->sets;
	struct dump *d = x->d;

	d->set = pool_alloc(&d->pool, (sets->n + 1) * sizeof(*d->set));
	x->set_by_name = pool_alloc(&d->pool, (sets->n + 1) * sizeof(*x->set_by_name));
	for (size_t i = 0; !d->pool.failed && i < sets->n; i++, d->n_sets++) {
		const struct raw_set *raw = sets->item[i];

		d->set[i].family = nftnl_set_get_u32(raw->set, NFTNL_SET_FAMILY);
		d->set[i].table = text(x, nftnl_set_get_str(raw->set, NFTNL_SET_TABLE));
		d->set[i].name = text(x, nftnl_set_get_str(raw->set, NFTNL_SET_NAME));
		x->set_by_name[i] = &d->set[i];
	}
	if (d->pool.failed)
		return;
	qsort((void *)x->set_by_name, d->n_sets, sizeof(const void *), set_order);
	for (size_t i = 0; i < d->n_sets && !d->pool.failed; i++)
		decode_set(x, sets->item[i], &d->set[i]);
}

static struct dump_chain *chain_of_rule(const struct decoder *x, const struct raw_rule *raw)
{
	return chain_of(x, nftnl_rule_get_u32(raw->rule, NFTNL_RULE_FAMILY),
	    nftnl_rule_get_str(raw->rule, NFTNL_RULE_TABLE),
	    nftnl_rule_get_str(raw->rule, NFTNL_RULE_CHAIN));
}

static void decode_rules(struct decoder *x)
{
	const struct list *rules = &x->s->rules;
	struct dump *d = x->d;

	if (!d->chain)
		return;
	for (size_t i = 0; i < rules->n; i++) {
		struct dump_chain *c = chain_of_rule(x, rules->item[i]);

		if (c)
			c->n++;
	}
	for (size_t i = 0; i < d->n_chains; i++) {
		struct dump_chain *c = &d->chain[i];

		c->rule = pool_alloc(&d->pool, (c->n + 1) * sizeof(*c->rule));
		c->n = 0;
	}
	for (size_t i = 0; i < rules->n && !d->pool.failed; i++) {
		struct dump_chain *c = chain_of_rule(x, rules->item[i]);

		if (!c)
			continue;
		c->rule[c->n].chain = c;
		decode_rule(x, rules->item[i], &c->rule[c->n++]);
	}
}

int decode(struct dump *out, const struct snapshot *s)
{
	struct decoder x = { .d = out, .s = s };

	decode_chains(&x);
	if (!out->pool.failed)
		decode_sets(&x);
	if (!out->pool.failed)
		decode_rules(&x);
	out->ours = table_of(s, NFPROTO_INET, PH_TABLE) != NULL;
	return out->pool.failed ? -ENOMEM : 0;
}
