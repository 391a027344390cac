// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hooks follow each other, and in a hook priorities. Chains of one priority come in the reverse of
 * the order in which they were registered, which nobody can ask for: what such chains write is not
 * known in any of them.
 */
#include "ruleset_way.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include "pinhole/abi.h"
#include "ruleset_xt.h"

#define PRIORITY_NAT_DST (-100) /* of all nat chains together, whatever their own */
#define PRIORITY_NAT_SRC 100

static bool ours(const struct dump_chain *c)
{
	return c->family == NFPROTO_INET && strcmp(c->table, PH_TABLE) == 0;
}

/* STAGE_NONE: not on the way. */
static enum stage stage_of(const struct dump_chain *c, bool out)
{
	switch (c->family) {
	case NFPROTO_NETDEV:
		return !out && c->hook == NF_NETDEV_INGRESS ? STAGE_INGRESS : STAGE_NONE;
	case NFPROTO_BRIDGE: /* has the numbers of the first hooks for its own */
		return (!out && (c->hook == NF_INET_PRE_ROUTING || c->hook == NF_INET_LOCAL_IN)) ||
			       (out && (c->hook == NF_INET_LOCAL_OUT ||
					   c->hook == NF_INET_POST_ROUTING))
			   ? STAGE_BRIDGE
			   : STAGE_NONE;
	case NFPROTO_INET:
		if (c->hook == NF_INET_INGRESS)
			return out ? STAGE_NONE : STAGE_INGRESS;
		break;
	case NFPROTO_IPV4:
	case NFPROTO_IPV6:
		break;
	default:
		return STAGE_NONE;
	}
	switch (c->hook) {
	case NF_INET_PRE_ROUTING:
		return out ? STAGE_NONE : STAGE_FIRST;
	case NF_INET_LOCAL_IN:
		return out ? STAGE_NONE : STAGE_LAST;
	case NF_INET_LOCAL_OUT:
		return out ? STAGE_FIRST : STAGE_NONE;
	case NF_INET_POST_ROUTING:
		return out ? STAGE_LAST : STAGE_NONE;
	default:
		return STAGE_NONE;
	}
}

static unsigned int expr_writes(const struct dump_expr *e)
{
	uint32_t mask, value;

	switch (e->op) {
	case DUMP_META_SET:
		return e->key == NFT_META_MARK ? WRITES_MARK : 0;
	case DUMP_CT_SET:
		return e->key == NFT_CT_MARK ? WRITES_CT_MARK : 0;
	case DUMP_PAYLOAD_SET:
		return WRITES_PACKET;
	case DUMP_NOTRACK:
		return WRITES_TRACKING;
	case DUMP_DYNSET:
		return WRITES_SETS;
	case DUMP_NAT:
	case DUMP_REDIRECT:
	case DUMP_TPROXY:
		return WRITES_DESTINATION;
	case DUMP_XT_TARGET:
		switch (xt_target(e, &mask, &value)) {
		case XT_TRANSLATES:
			return WRITES_DESTINATION;
		case XT_NOTRACK:
			return WRITES_TRACKING;
		case XT_SETS_MARK:
		case XT_SETS_CT_MARK:
		case XT_SETS_MARKS:
			return WRITES_MARK | WRITES_CT_MARK;
		default:
			return 0;
		}
	default:
		return 0;
	}
}

/* What the rules of a chain and of those that it leads to write; seen: by place in the dump. */
static unsigned int chain_writes(const struct dump *d, const struct dump_chain *c, bool *seen)
{
	unsigned int writes = 0;

	if (!c || seen[c - d->chain])
		return 0;
	seen[c - d->chain] = true;
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->rule[i].n; k++) {
			const struct dump_expr *e = &c->rule[i].expr[k];

			writes |= expr_writes(e);
			if (e->op == DUMP_VERDICT)
				writes |= chain_writes(d, e->chain, seen);
			for (size_t m = 0; e->op == DUMP_LOOKUP && e->set && m < e->set->n; m++)
				writes |= chain_writes(d, e->set->element[m].chain, seen);
		}
	return writes;
}

static void group(struct station *way, size_t n)
{
	for (size_t from = 0, to; from < n; from = to) {
		unsigned int writes = 0;

		for (to = from; to < n && way[to].stage == way[from].stage &&
				way[to].priority == way[from].priority;
		     to++)
			writes |= way[to].writes;
		for (size_t i = from; i < to && to - from > 1; i++)
			way[i].blurs = writes;
		way[to - 1].last_of_group = true;
	}
}

static int by_station(const void *a, const void *b)
{
	const struct station *x = a, *y = b;

	if (x->stage != y->stage)
		return x->stage < y->stage ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->chain->priority != y->chain->priority)
		return x->chain->priority < y->chain->priority ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

struct station *way_find(struct pool *p, const struct dump *d, bool out, size_t *n_out)
{
	struct station *way = pool_alloc(p, (d->n_chains + 1) * sizeof(*way));
	bool *seen = pool_alloc(p, d->n_chains + 1);
	size_t n = 0;

	if (!way || !seen)
		return NULL;
	for (size_t i = 0; i < d->n_chains; i++) {
		const struct dump_chain *c = &d->chain[i];
		enum stage stage =
		    c->base && !c->dormant && !ours(c) ? stage_of(c, out) : STAGE_NONE;
		int32_t priority = c->priority;

		if (stage == STAGE_NONE)
			continue;
		/* They are called from one place, in the order of their own priorities. */
		if (c->type == DUMP_NAT_CHAIN)
			priority = (stage == STAGE_FIRST) ? PRIORITY_NAT_DST : PRIORITY_NAT_SRC;
		way[n++] = (struct station){
			.chain = c,
			.stage = stage,
			.priority = priority,
			.partial = stage == STAGE_INGRESS || stage == STAGE_BRIDGE,
			.order = i,
		};
		memset(seen, 0, d->n_chains);
		way[n - 1].writes = chain_writes(d, c, seen);
	}
	qsort(way, n, sizeof(*way), by_station);
	group(way, n);
	*n_out = n;
	return way;
}
