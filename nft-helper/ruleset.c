// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A packet of which only `ct state`, `ct mark` and the layer 4 protocol are known is led through
 * each base chain: registers hold a number or are unknown, a condition holds, fails, or depends.
 * Beside nft's own expressions the ones that iptables-nft writes (xt matches and targets) are
 * understood. The second user of libnftnl; it never writes.
 */
#include "ruleset.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "pinhole/abi.h"

#define ATTEMPTS           5
#define DEPTH_MAX          16 /* of jumps; the kernel's own limit */
#define RULES_MAX          50000 /* looked at for one answer: chains that jump to each other multiply */
#define REGISTERS          20 /* NFT_REG32_00 to _15, in 32-bit places, and room behind them */
#define OBJECT_TYPE_HELPER 3  /* NFT_OBJECT_CT_HELPER */

/* --- what the kernel says ------------------------------------------------------------------ */

struct list {
	void **item;
	size_t n, room;
};

struct snapshot {
	struct list tables, chains, rules, sets; /* nftnl objects; sets with their elements */
};

static int list_add(struct list *l, void *item)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		void **grown = reallocarray(l->item, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->item = grown;
		l->room = room;
	}
	l->item[l->n++] = item;
	return 0;
}

static void list_free(struct list *l, void (*item_free)(const void *item))
{
	for (size_t i = 0; i < l->n; i++)
		item_free(l->item[i]);
	free(l->item);
	*l = (struct list){ .n = 0 };
}

static void free_table(const void *item)
{
	nftnl_table_free(item);
}

static void free_chain(const void *item)
{
	nftnl_chain_free(item);
}

static void free_rule(const void *item)
{
	nftnl_rule_free(item);
}

static void free_set(const void *item)
{
	nftnl_set_free(item);
}

static void snapshot_free(struct snapshot *s)
{
	list_free(&s->tables, free_table);
	list_free(&s->chains, free_chain);
	list_free(&s->rules, free_rule);
	list_free(&s->sets, free_set);
}

static int on_table(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_table *t = nftnl_table_alloc();

	if (!t || nftnl_table_nlmsg_parse(nlh, t) < 0 || list_add(arg, t) < 0) {
		nftnl_table_free(t);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (!c || nftnl_chain_nlmsg_parse(nlh, c) < 0 || list_add(arg, c) < 0) {
		nftnl_chain_free(c);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (!r || nftnl_rule_nlmsg_parse(nlh, r) < 0 || list_add(arg, r) < 0) {
		nftnl_rule_free(r);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s || nftnl_set_nlmsg_parse(nlh, s) < 0 || list_add(arg, s) < 0) {
		nftnl_set_free(s);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_elements(const struct nlmsghdr *nlh, void *arg)
{
	return nftnl_set_elems_nlmsg_parse(nlh, arg) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

/* Sends the request that stands in buf and hands each message of the answer to cb. */
static int dump(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	static char buf[65536];
	unsigned int portid = mnl_socket_get_portid(nl);
	uint32_t seq = nlh->nlmsg_seq;
	ssize_t len;
	int ret;

	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		errno = 0;
		ret = mnl_cb_run(buf, (size_t)len, seq, portid, cb, arg);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -(errno ? errno : EPROTO) : 0;
}

static int dump_all(struct mnl_socket *nl, uint16_t type, mnl_cb_t cb, void *arg, uint32_t *seq)
{
	char request[256];
	struct nlmsghdr *nlh =
	    nftnl_nlmsg_build_hdr(request, type, NFPROTO_UNSPEC, NLM_F_DUMP, ++*seq);

	return dump(nl, nlh, cb, arg);
}

static int dump_elements(struct mnl_socket *nl, struct nftnl_set *s, uint32_t *seq)
{
	char request[1024];
	uint16_t family = (uint16_t)nftnl_set_get_u32(s, NFTNL_SET_FAMILY);
	struct nftnl_set *which = nftnl_set_alloc();
	struct nlmsghdr *nlh;

	if (!which)
		return -ENOMEM;
	nftnl_set_set_str(which, NFTNL_SET_TABLE, nftnl_set_get_str(s, NFTNL_SET_TABLE));
	nftnl_set_set_str(which, NFTNL_SET_NAME, nftnl_set_get_str(s, NFTNL_SET_NAME));
	nlh = nftnl_nlmsg_build_hdr(request, NFT_MSG_GETSETELEM, family, NLM_F_DUMP, ++*seq);
	nftnl_set_elems_nlmsg_build_payload(nlh, which);
	nftnl_set_free(which);
	return dump(nl, nlh, on_elements, s);
}

/* Can it be asked for a state or a mark? Large named sets of addresses are left alone. */
static bool keyed_by_word(const struct nftnl_set *s)
{
	uint32_t flags = nftnl_set_get_u32(s, NFTNL_SET_FLAGS);

	return nftnl_set_get_u32(s, NFTNL_SET_KEY_LEN) == sizeof(uint32_t) &&
	       (flags & NFT_SET_ANONYMOUS) && !(flags & NFT_SET_INTERVAL);
}

static bool leads_to_verdicts(const struct nftnl_set *s)
{
	return (nftnl_set_get_u32(s, NFTNL_SET_FLAGS) & NFT_SET_MAP) &&
	       nftnl_set_get_u32(s, NFTNL_SET_DATA_TYPE) == NFT_DATA_VERDICT;
}

static int snapshot_take(struct mnl_socket *nl, struct snapshot *s)
{
	uint32_t seq = (uint32_t)time(NULL);
	int ret;

	if ((ret = dump_all(nl, NFT_MSG_GETTABLE, on_table, &s->tables, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETCHAIN, on_chain, &s->chains, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETRULE, on_rule, &s->rules, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETSET, on_set, &s->sets, &seq)) < 0)
		return ret;
	for (size_t i = 0; i < s->sets.n; i++) {
		if (!keyed_by_word(s->sets.item[i]) && !leads_to_verdicts(s->sets.item[i]))
			continue;
		ret = dump_elements(nl, s->sets.item[i], &seq);
		if (ret < 0)
			return ret == -ENOENT ? -EINTR : ret; /* gone since */
	}
	return 0;
}

/* --- conditions ---------------------------------------------------------------------------- */

enum truth { FAILS, DEPENDS, HOLDS };

enum origin { FROM_ELSEWHERE = 0, FROM_STATE = 1, FROM_MARK = 2 };

struct reg {
	bool known;
	uint32_t value;
	enum origin origin;
	uint32_t kept; /* bits that still are those of the flow's mark */
};

/* One packet on its way through one base chain. */
struct walk {
	const struct snapshot *snapshot;
	uint32_t state, mark, l4proto;
	unsigned int about; /* enum origin: what the question is about; only such rules "depend" */
	unsigned int rules;
	bool sometimes; /* a rule about it accepts under further conditions */
};

/* What has been found out about a rule so far. */
struct step {
	enum truth truth;
	bool about; /* one of its conditions is about the question */
	struct reg reg[REGISTERS];
	bool has_verdict;
	int verdict;
	const char *chain;           /* of a jump or goto */
	const struct nftnl_set *map; /* verdicts by an unknown key */
};

/* Registers are numbered in 16-byte units from 1, or in 4-byte units from NFT_REG32_00. */
static struct reg *reg_of(struct step *s, uint32_t number)
{
	static struct reg none;
	uint32_t i = number >= NFT_REG32_00 ? number - NFT_REG32_00
		     : number >= NFT_REG_1  ? (number - NFT_REG_1) * 4
					    : REGISTERS;

	if (i < REGISTERS - 4)
		return &s->reg[i];
	memset(&none, 0, sizeof(none));
	return &none;
}

/* Whatever is loaded there: up to four places hold something else now. */
static struct reg *load(struct step *s, uint32_t number)
{
	struct reg *r = reg_of(s, number);

	if (r >= s->reg && r < s->reg + REGISTERS - 4)
		memset(r, 0, 4 * sizeof(*r));
	return r;
}

static void load_number(struct step *s, uint32_t number, uint32_t value, enum origin origin)
{
	*load(s, number) = (struct reg){
		.known = true,
		.value = value,
		.origin = origin,
		.kept = origin == FROM_MARK ? UINT32_MAX : 0,
	};
}

static void condition(const struct walk *w, struct step *s, enum truth truth, enum origin origin)
{
	if (truth < s->truth)
		s->truth = truth;
	if (truth != FAILS && (origin & w->about))
		s->about = true;
}

static uint32_t get_u32(const struct nftnl_expr *e, uint16_t attr)
{
	return nftnl_expr_is_set(e, attr) ? nftnl_expr_get_u32(e, attr) : 0;
}

/* Four bytes of an expression's data, as the register holds them; false for any other length. */
static bool get_word(const struct nftnl_expr *e, uint16_t attr, uint32_t *out)
{
	uint32_t len = 0;
	const void *data = nftnl_expr_is_set(e, attr) ? nftnl_expr_get(e, attr, &len) : NULL;

	if (!data || len != sizeof(*out))
		return false;
	memcpy(out, data, sizeof(*out));
	return true;
}

static bool get_byte(const struct nftnl_expr *e, uint16_t attr, uint32_t *out)
{
	uint32_t len = 0;
	const void *data = nftnl_expr_is_set(e, attr) ? nftnl_expr_get(e, attr, &len) : NULL;
	uint8_t byte;

	if (!data || len != sizeof(byte))
		return false;
	memcpy(&byte, data, sizeof(byte));
	*out = byte;
	return true;
}

static void step_ct(const struct walk *w, struct step *s, const struct nftnl_expr *e)
{
	uint32_t dreg = get_u32(e, NFTNL_EXPR_CT_DREG);

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG))
		return; /* ct mark set: no condition */
	switch (get_u32(e, NFTNL_EXPR_CT_KEY)) {
	case NFT_CT_STATE:
		load_number(s, dreg, w->state, FROM_STATE);
		break;
	case NFT_CT_MARK:
		load_number(s, dreg, w->mark, FROM_MARK);
		break;
	default:
		(void)load(s, dreg);
		break;
	}
}

static void step_meta(const struct walk *w, struct step *s, const struct nftnl_expr *e)
{
	if (!nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG))
		return;
	if (get_u32(e, NFTNL_EXPR_META_KEY) == NFT_META_L4PROTO)
		load_number(s, get_u32(e, NFTNL_EXPR_META_DREG), w->l4proto, FROM_ELSEWHERE);
	else
		(void)load(s, get_u32(e, NFTNL_EXPR_META_DREG));
}

static void step_bitwise(struct step *s, const struct nftnl_expr *e)
{
	struct reg from = *reg_of(s, get_u32(e, NFTNL_EXPR_BITWISE_SREG));
	struct reg *to = load(s, get_u32(e, NFTNL_EXPR_BITWISE_DREG));
	uint32_t mask, flip;

	if (get_u32(e, NFTNL_EXPR_BITWISE_OP) != NFT_BITWISE_BOOL ||
	    !get_word(e, NFTNL_EXPR_BITWISE_MASK, &mask) ||
	    !get_word(e, NFTNL_EXPR_BITWISE_XOR, &flip))
		return;
	*to = (struct reg){
		.known = from.known,
		.value = (from.value & mask) ^ flip,
		.origin = from.origin,
		.kept = from.kept & mask & ~flip,
	};
}

static void step_cmp(const struct walk *w, struct step *s, const struct nftnl_expr *e)
{
	const struct reg *r = reg_of(s, get_u32(e, NFTNL_EXPR_CMP_SREG));
	uint32_t op = get_u32(e, NFTNL_EXPR_CMP_OP);
	bool equal;
	uint32_t value;

	if (!r->known || (op != NFT_CMP_EQ && op != NFT_CMP_NEQ) ||
	    (!get_word(e, NFTNL_EXPR_CMP_DATA, &value) &&
		!get_byte(e, NFTNL_EXPR_CMP_DATA, &value))) {
		condition(w, s, DEPENDS, r->origin);
		return;
	}
	equal = r->value == value;
	condition(w, s, equal == (op == NFT_CMP_EQ) ? HOLDS : FAILS, r->origin);
}

static const struct nftnl_set *set_of(
    const struct walk *w, const struct nftnl_rule *rule, const char *name)
{
	const char *table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE);
	uint32_t family = nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY);

	for (size_t i = 0; name && i < w->snapshot->sets.n; i++) {
		const struct nftnl_set *s = w->snapshot->sets.item[i];

		if (nftnl_set_get_u32(s, NFTNL_SET_FAMILY) == family &&
		    strcmp(nftnl_set_get_str(s, NFTNL_SET_TABLE), table) == 0 &&
		    strcmp(nftnl_set_get_str(s, NFTNL_SET_NAME), name) == 0)
			return s;
	}
	return NULL;
}

static struct nftnl_set_elem *element_of(const struct nftnl_set *set, uint32_t key)
{
	struct nftnl_set_elems_iter *iter = nftnl_set_elems_iter_create(set);
	struct nftnl_set_elem *e = NULL;
	uint32_t value, len = 0;

	if (!iter)
		return NULL;
	while ((e = nftnl_set_elems_iter_next(iter))) {
		const void *data = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);

		if (!data || len < sizeof(value))
			continue;
		memcpy(&value, data, sizeof(value));
		if (value == key)
			break;
	}
	nftnl_set_elems_iter_destroy(iter);
	return e;
}

static void take_verdict(struct step *s, uint32_t verdict, const char *chain)
{
	s->has_verdict = true;
	s->verdict = (int)verdict;
	s->chain = chain;
}

static void step_lookup(
    const struct walk *w, struct step *s, const struct nftnl_rule *rule, const struct nftnl_expr *e)
{
	const struct reg *r = reg_of(s, get_u32(e, NFTNL_EXPR_LOOKUP_SREG));
	const struct nftnl_set *set = set_of(w, rule, nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET));
	bool inverted = get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	bool map = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG);
	bool verdicts = map && get_u32(e, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT;
	struct nftnl_set_elem *found;

	if (!r->known || r->origin == FROM_ELSEWHERE || !set || !keyed_by_word(set)) {
		condition(w, s, DEPENDS, r->origin);
		if (verdicts)
			s->map = set;
		else if (map)
			(void)load(s, get_u32(e, NFTNL_EXPR_LOOKUP_DREG));
		return;
	}
	found = element_of(set, r->value);
	condition(w, s, (found != NULL) != inverted ? HOLDS : FAILS, r->origin);
	if (verdicts && found)
		take_verdict(s, nftnl_set_elem_get_u32(found, NFTNL_SET_ELEM_VERDICT),
		    nftnl_set_elem_get_str(found, NFTNL_SET_ELEM_CHAIN));
	else if (map)
		(void)load(s, get_u32(e, NFTNL_EXPR_LOOKUP_DREG));
}

static void step_immediate(struct step *s, const struct nftnl_expr *e)
{
	uint32_t value;

	if (nftnl_expr_is_set(e, NFTNL_EXPR_IMM_VERDICT))
		take_verdict(s, nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT),
		    nftnl_expr_is_set(e, NFTNL_EXPR_IMM_CHAIN)
			? nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN)
			: NULL);
	else if (get_word(e, NFTNL_EXPR_IMM_DATA, &value))
		load_number(s, get_u32(e, NFTNL_EXPR_IMM_DREG), value, FROM_ELSEWHERE);
	else
		(void)load(s, get_u32(e, NFTNL_EXPR_IMM_DREG));
}

/* The private data of an xt match or target; false when it is shorter than `len`. */
static bool xt_info(const struct nftnl_expr *e, uint16_t attr, void *out, size_t len)
{
	uint32_t have = 0;
	const void *info = nftnl_expr_is_set(e, attr) ? nftnl_expr_get(e, attr, &have) : NULL;

	if (!info || have < len)
		return false;
	memcpy(out, info, len);
	return true;
}

/* -m conntrack --ctstate and -m connmark, as iptables-nft writes them. */
static void step_xt_match(const struct walk *w, struct step *s, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME);
	struct xt_conntrack_mtinfo3 ct;
	struct xt_connmark_mtinfo1 cm;
	bool is;

	if (strcmp(name, "comment") == 0)
		return;
	if (strcmp(name, "conntrack") == 0 && get_u32(e, NFTNL_EXPR_MT_REV) == 3 &&
	    xt_info(e, NFTNL_EXPR_MT_INFO, &ct, sizeof(ct)) &&
	    (ct.match_flags & ~XT_CONNTRACK_STATE_ALIAS) == XT_CONNTRACK_STATE) {
		/* Its state bits are those of nf_tables: 1 << (ctinfo + 1). */
		is = (ct.state_mask & w->state) != 0;
		condition(w, s, is != (ct.invert_flags != 0) ? HOLDS : FAILS, FROM_STATE);
		return;
	}
	if (strcmp(name, "connmark") == 0 && get_u32(e, NFTNL_EXPR_MT_REV) == 1 &&
	    xt_info(e, NFTNL_EXPR_MT_INFO, &cm, sizeof(cm))) {
		is = (w->mark & cm.mask) == cm.mark;
		condition(w, s, is != (cm.invert != 0) ? HOLDS : FAILS, FROM_MARK);
		return;
	}
	condition(w, s, DEPENDS, FROM_ELSEWHERE);
}

static void step_xt_target(struct step *s, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME);

	if (strcmp(name, "REJECT") == 0)
		take_verdict(s, NF_DROP, NULL);
	else if (strcmp(name, "NFQUEUE") == 0)
		take_verdict(s, NF_QUEUE, NULL);
}

static bool one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

/* It loads something into a register, or is a condition of its own. */
static void step_unknown(const struct walk *w, struct step *s)
{
	memset(s->reg, 0, sizeof(s->reg));
	condition(w, s, DEPENDS, FROM_ELSEWHERE);
}

static int step_expr(
    struct nftnl_expr *e, struct walk *w, struct step *s, const struct nftnl_rule *rule)
{
	/* These let every packet go on. */
	static const char *const harmless[] = { "counter", "log", "notrack", "dynset", "objref",
		"last", "dup", "flow_offload", "nat", "masq", "redir", "tproxy", NULL };
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

	if (strcmp(name, "ct") == 0)
		step_ct(w, s, e);
	else if (strcmp(name, "meta") == 0)
		step_meta(w, s, e);
	else if (strcmp(name, "bitwise") == 0)
		step_bitwise(s, e);
	else if (strcmp(name, "cmp") == 0)
		step_cmp(w, s, e);
	else if (strcmp(name, "lookup") == 0)
		step_lookup(w, s, rule, e);
	else if (strcmp(name, "immediate") == 0)
		step_immediate(s, e);
	else if (strcmp(name, "match") == 0)
		step_xt_match(w, s, e);
	else if (strcmp(name, "target") == 0)
		step_xt_target(s, e);
	else if (strcmp(name, "reject") == 0)
		take_verdict(s, NF_DROP, NULL);
	else if (strcmp(name, "queue") == 0)
		take_verdict(s, NF_QUEUE, NULL);
	else if (!one_of(name, harmless))
		step_unknown(w, s);
	return s->truth == FAILS ? -1 : 0;
}

/* --- chains -------------------------------------------------------------------------------- */

enum outcome { GOES_ON, ACCEPTED, DROPPED };

static enum outcome walk_chain(struct walk *w, const struct nftnl_rule *from, const char *chain,
    bool sure, bool about, unsigned int depth);

static bool in_chain(
    const struct nftnl_rule *rule, uint32_t family, const char *table, const char *chain)
{
	return nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY) == family &&
	       strcmp(nftnl_rule_get_str(rule, NFTNL_RULE_TABLE), table) == 0 &&
	       strcmp(nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN), chain) == 0;
}

/* What a verdict does to the packet; *leave: the rest of this chain is not for it. */
static enum outcome obey(struct walk *w, const struct nftnl_rule *rule, int verdict,
    const char *chain, bool sure, bool about, unsigned int depth, bool *leave)
{
	enum outcome outcome = GOES_ON;

	switch (verdict) {
	case NF_ACCEPT:
	case NF_QUEUE: /* whoever listens there decides, and usually for it */
		if (sure)
			return ACCEPTED;
		w->sometimes |= about;
		break;
	case NF_DROP:
		if (sure)
			return DROPPED;
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		if (chain)
			outcome = walk_chain(w, rule, chain, sure, about, depth + 1);
		*leave = sure && verdict == NFT_GOTO;
		break;
	case NFT_RETURN:
		*leave = sure;
		break;
	default:
		break;
	}
	return outcome;
}

/* Verdicts by something unknown, as `iifname vmap`: each of them may be the one. */
static void obey_any(struct walk *w, const struct nftnl_rule *rule, const struct nftnl_set *map,
    bool about, unsigned int depth)
{
	struct nftnl_set_elems_iter *iter = nftnl_set_elems_iter_create(map);
	struct nftnl_set_elem *e;
	bool leave = false;

	while (iter && (e = nftnl_set_elems_iter_next(iter)))
		if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_VERDICT))
			(void)obey(w, rule, (int)nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_VERDICT),
			    nftnl_set_elem_get_str(e, NFTNL_SET_ELEM_CHAIN), false, about, depth,
			    &leave);
	nftnl_set_elems_iter_destroy(iter);
}

static struct step examine(struct walk *w, const struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct step s = { .truth = HOLDS };
	struct nftnl_expr *e;

	while (iter && (e = nftnl_expr_iter_next(iter)))
		if (step_expr(e, w, &s, rule) < 0)
			break;
	nftnl_expr_iter_destroy(iter);
	return s;
}

/* The chain of this name in the table of `from`. ACCEPTED and DROPPED only when that is sure. */
static enum outcome walk_chain(struct walk *w, const struct nftnl_rule *from, const char *chain,
    bool sure, bool about, unsigned int depth)
{
	const char *table = nftnl_rule_get_str(from, NFTNL_RULE_TABLE);
	uint32_t family = nftnl_rule_get_u32(from, NFTNL_RULE_FAMILY);
	enum outcome outcome;
	bool leave = false;

	if (depth > DEPTH_MAX)
		return GOES_ON;
	for (size_t i = 0; i < w->snapshot->rules.n && !leave; i++) {
		const struct nftnl_rule *rule = w->snapshot->rules.item[i];
		struct step s;

		if (!in_chain(rule, family, table, chain))
			continue;
		if (++w->rules > RULES_MAX) {
			w->sometimes = true;
			return GOES_ON;
		}
		s = examine(w, rule);
		if (s.truth == FAILS)
			continue;
		if (s.map)
			obey_any(w, rule, s.map, about || s.about, depth);
		if (!s.has_verdict)
			continue;
		outcome = obey(w, rule, s.verdict, s.chain, sure && s.truth == HOLDS,
		    about || s.about, depth, &leave);
		if (outcome != GOES_ON)
			return outcome;
	}
	return GOES_ON;
}

static enum ruleset_answer ask(const struct snapshot *snapshot, const struct nftnl_chain *chain,
    uint32_t state, uint32_t mark, uint32_t l4proto, unsigned int about)
{
	struct walk w = {
		.snapshot = snapshot,
		.state = state,
		.mark = mark,
		.l4proto = l4proto,
		.about = about,
	};
	const char *table = nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE);
	const char *name = nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME);
	uint32_t family = nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY);
	enum outcome outcome = GOES_ON;

	for (size_t i = 0; i < snapshot->rules.n; i++) {
		if (!in_chain(snapshot->rules.item[i], family, table, name))
			continue;
		outcome = walk_chain(&w, snapshot->rules.item[i], name, true, false, 0);
		break;
	}
	if (outcome == GOES_ON)
		outcome =
		    nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP ? DROPPED : ACCEPTED;
	if (outcome == ACCEPTED)
		return RULESET_YES;
	return w.sometimes ? RULESET_DEPENDS : RULESET_NO;
}

/* --- rules that get in the way ------------------------------------------------------------- */

/* What -j PINHOLE --track writes: our field, all of it, for a control session. */
static bool tracks(uint32_t mark, uint32_t mask, uint32_t mark_mask)
{
	unsigned int field = ph_mark_field(mark_mask, mark);

	return mask == mark_mask && !(mark & ~mark_mask) &&
	       (field & ~PH_MARK_F_SERVICE) == PH_MARK_F_CONTROL &&
	       (field & PH_MARK_F_SERVICE) != PH_SVC_NONE &&
	       (field & PH_MARK_F_SERVICE) < PH_SVC_MAX;
}

/* Bits of the flow's mark that an iptables rule writes (xt_connmark.c: connmark_tg_shift). */
static uint32_t xt_writes(const struct nftnl_expr *e, uint32_t mark_mask)
{
	bool shifts = get_u32(e, NFTNL_EXPR_TG_REV) >= 2;
	struct xt_connmark_tginfo1 info;
	struct xt_connmark_tginfo2 two;

	if (strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME), "CONNMARK") != 0 ||
	    !xt_info(e, NFTNL_EXPR_TG_INFO, &info, sizeof(info)))
		return 0;
	if (shifts) {
		if (!xt_info(e, NFTNL_EXPR_TG_INFO, &two, sizeof(two)))
			return 0;
		info.mode = two.mode;
		shifts = two.shift_bits != 0;
	}
	switch (info.mode) {
	case XT_CONNMARK_SET:
		if (shifts)
			return UINT32_MAX;
		if (tracks(info.ctmark, info.ctmask, mark_mask))
			return 0;
		return info.ctmark | info.ctmask;
	case XT_CONNMARK_SAVE:
		return info.ctmask | info.nfmask;
	default:
		return 0;
	}
}

/* Bits of the flow's mark that a rule writes, other than as -j PINHOLE does. */
static uint32_t mark_written(const struct nftnl_rule *rule, uint32_t mark_mask)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	/* Conditions do not matter here: it is enough that it may write. */
	struct walk w = { .about = 0 };
	struct step s = { .truth = HOLDS };
	uint32_t written = 0;
	struct nftnl_expr *e;

	while (iter && (e = nftnl_expr_iter_next(iter))) {
		const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

		if (strcmp(name, "ct") == 0 && nftnl_expr_is_set(e, NFTNL_EXPR_CT_SREG)) {
			const struct reg *r = reg_of(&s, get_u32(e, NFTNL_EXPR_CT_SREG));

			if (get_u32(e, NFTNL_EXPR_CT_KEY) == NFT_CT_MARK &&
			    !(r->known && tracks(r->value, ~r->kept, mark_mask)))
				written |= ~r->kept;
		} else if (strcmp(name, "ct") == 0) {
			step_ct(&w, &s, e);
		} else if (strcmp(name, "bitwise") == 0) {
			step_bitwise(&s, e);
		} else if (strcmp(name, "immediate") == 0) {
			step_immediate(&s, e);
		} else if (strcmp(name, "meta") == 0) {
			step_meta(&w, &s, e);
		} else if (strcmp(name, "target") == 0) {
			written |= xt_writes(e, mark_mask);
		} else if (strcmp(name, "cmp") != 0 && strcmp(name, "counter") != 0) {
			memset(s.reg, 0, sizeof(s.reg));
		}
	}
	nftnl_expr_iter_destroy(iter);
	return written;
}

/* The kernel helper that a rule assigns, into name[RULESET_NAME]. */
static bool helper_assigned(const struct nftnl_rule *rule, char *name)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct xt_ct_target_info_v1 info;
	struct nftnl_expr *e;
	bool found = false;

	while (iter && !found && (e = nftnl_expr_iter_next(iter))) {
		const char *kind = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

		if (strcmp(kind, "objref") == 0 &&
		    get_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE) == OBJECT_TYPE_HELPER &&
		    nftnl_expr_is_set(e, NFTNL_EXPR_OBJREF_IMM_NAME)) {
			(void)snprintf(name, RULESET_NAME, "%s",
			    nftnl_expr_get_str(e, NFTNL_EXPR_OBJREF_IMM_NAME));
			found = true;
		} else if (strcmp(kind, "target") == 0 &&
			   strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME), "CT") == 0 &&
			   get_u32(e, NFTNL_EXPR_TG_REV) >= 1 &&
			   xt_info(e, NFTNL_EXPR_TG_INFO, &info, sizeof(info)) && info.helper[0]) {
			(void)snprintf(
			    name, RULESET_NAME, "%.*s", (int)sizeof(info.helper), info.helper);
			found = true;
		}
	}
	nftnl_expr_iter_destroy(iter);
	return found;
}

/* --- the report ---------------------------------------------------------------------------- */

static const char *family_word(uint32_t family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_INET:
		return "inet";
	default:
		return NULL;
	}
}

static const char *hook_word(uint32_t hook)
{
	switch (hook) {
	case NF_INET_LOCAL_IN:
		return "input";
	case NF_INET_FORWARD:
		return "forward";
	case NF_INET_LOCAL_OUT:
		return "output";
	default:
		return NULL;
	}
}

static bool ours(uint32_t family, const char *table)
{
	return family == NFPROTO_INET && strcmp(table, PH_TABLE) == 0;
}

static bool owned(const struct snapshot *s, uint32_t family, const char *table)
{
	for (size_t i = 0; i < s->tables.n; i++) {
		const struct nftnl_table *t = s->tables.item[i];

		if (nftnl_table_get_u32(t, NFTNL_TABLE_FAMILY) == family &&
		    strcmp(nftnl_table_get_str(t, NFTNL_TABLE_NAME), table) == 0)
			return nftnl_table_is_set(t, NFTNL_TABLE_OWNER);
	}
	return false;
}

static int report_chain(
    struct ruleset *out, const struct snapshot *s, const struct nftnl_chain *c, uint32_t mark_mask)
{
	uint32_t number = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
	const char *table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
	const char *family = family_word(number), *hook;
	struct ruleset_chain *grown, *chain;

	if (!nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM) || !family || ours(number, table))
		return 0;
	hook = hook_word(nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM));
	if (!hook)
		return 0;
	grown = reallocarray(out->chains, out->n_chains + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	out->chains = grown;
	chain = &grown[out->n_chains++];
	memset(chain, 0, sizeof(*chain));
	(void)snprintf(chain->table, sizeof(chain->table), "%s", table);
	(void)snprintf(
	    chain->name, sizeof(chain->name), "%s", nftnl_chain_get_str(c, NFTNL_CHAIN_NAME));
	chain->family = family;
	chain->hook = hook;
	chain->drops = nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) == NF_DROP;
	chain->owned = owned(s, number, table);
	/* In nf_tables the bit of a state is 1 << (ctinfo + 1). */
	chain->related = ask(s, c, 1u << (IP_CT_RELATED + 1), 0, IPPROTO_TCP, FROM_STATE);
	for (int svc = PH_SVC_NONE; svc < PH_SVC_MAX; svc++) {
		uint32_t mark = ph_mark(mark_mask, PH_MARK_F_PINHOLE, (enum ph_service)svc);
		uint32_t proto =
		    svc == PH_SVC_BFD || svc == PH_SVC_TFTP ? IPPROTO_UDP : IPPROTO_TCP;

		chain->mark[svc] = ask(s, c, 1u << (IP_CT_NEW + 1), mark, proto, FROM_MARK);
		chain->both[svc] =
		    ask(s, c, 1u << (IP_CT_RELATED + 1), mark, proto, FROM_STATE | FROM_MARK);
	}
	return 0;
}

static int report_rule(
    struct ruleset_rule **rules, size_t *n, const struct nftnl_rule *rule, const char *what)
{
	struct ruleset_rule *grown = reallocarray(*rules, *n + 1, sizeof(*grown)), *r;
	const char *family = family_word(nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY));

	if (!grown)
		return -ENOMEM;
	*rules = grown;
	r = &grown[(*n)++];
	memset(r, 0, sizeof(*r));
	(void)snprintf(
	    r->table, sizeof(r->table), "%s", nftnl_rule_get_str(rule, NFTNL_RULE_TABLE));
	(void)snprintf(
	    r->chain, sizeof(r->chain), "%s", nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));
	(void)snprintf(r->what, sizeof(r->what), "%s", what);
	r->family = family ? family : "?";
	r->handle = nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE);
	return 0;
}

static int report(struct ruleset *out, const struct snapshot *s, uint32_t mark_mask)
{
	char helper[RULESET_NAME];
	int ret = 0;

	for (size_t i = 0; i < s->tables.n; i++)
		out->ours |= ours(nftnl_table_get_u32(s->tables.item[i], NFTNL_TABLE_FAMILY),
		    nftnl_table_get_str(s->tables.item[i], NFTNL_TABLE_NAME));
	for (size_t i = 0; i < s->chains.n && ret == 0; i++)
		ret = report_chain(out, s, s->chains.item[i], mark_mask);
	for (size_t i = 0; i < s->rules.n && ret == 0; i++) {
		const struct nftnl_rule *rule = s->rules.item[i];

		if (ours(nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
			nftnl_rule_get_str(rule, NFTNL_RULE_TABLE)))
			continue;
		if (mark_written(rule, mark_mask) & mark_mask)
			ret = report_rule(&out->mark_writers, &out->n_mark_writers, rule, "");
		if (ret == 0 && helper_assigned(rule, helper))
			ret = report_rule(&out->helpers, &out->n_helpers, rule, helper);
	}
	return ret;
}

int ruleset_read(struct ruleset *out, uint32_t mark_mask)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct snapshot snapshot = { .tables.n = 0 };
	int ret, attempt = 0;

	memset(out, 0, sizeof(*out));
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		ret = -errno;
		goto out;
	}
	/* NLM_F_DUMP_INTR, which libmnl reports as EINTR: somebody changed the rules meanwhile. */
	do {
		snapshot_free(&snapshot);
		ret = snapshot_take(nl, &snapshot);
	} while (ret == -EINTR && ++attempt < ATTEMPTS);
	if (ret == 0)
		ret = report(out, &snapshot, mark_mask);
	if (ret < 0)
		ruleset_free(out);
out:
	snapshot_free(&snapshot);
	(void)mnl_socket_close(nl);
	return ret;
}

void ruleset_free(struct ruleset *r)
{
	free(r->chains);
	free(r->mark_writers);
	free(r->helpers);
	memset(r, 0, sizeof(*r));
}
