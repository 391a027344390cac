// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A packet of which only `ct state`, `ct mark` and the layer 4 protocol are known is led through
 * each base chain; and rules that get in pinholed's way are looked for.
 */
#include "ruleset.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_connmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pinhole/abi.h"
#include "ruleset_walk.h"

/* --- would a pinhole's packet get through? ------------------------------------------------- */

static int ask(struct walker *w, const struct dump_chain *chain, uint32_t state, uint32_t mark,
    int l4proto, unsigned int about, enum ruleset_answer *out)
{
	const struct walk_packet packet = {
		.l4proto = l4proto,
		.dport = -1,
		.sport = -1,
		.icmp_type = -1,
		.icmp_code = -1,
		.state = state,
		.mark = mark,
		.about = about,
	};
	struct walk_result result;
	int ret = walk_chain(w, chain, &packet, &result);

	if (ret == 0)
		*out = result.plainly_accepted ? RULESET_YES
		       : result.sometimes      ? RULESET_DEPENDS
					       : RULESET_NO;
	return ret;
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

/* The private data of an xt target; false when it is shorter than `len`. */
static bool xt_info(const struct dump_expr *e, void *out, size_t len)
{
	if (!e->data || e->data_len < len)
		return false;
	memcpy(out, e->data, len);
	return true;
}

/* Bits of the flow's mark that an iptables rule writes (xt_connmark.c: connmark_tg_shift). */
static uint32_t xt_writes(const struct dump_expr *e, uint32_t mark_mask)
{
	bool shifts = e->key >= 2;
	struct xt_connmark_tginfo1 info;
	struct xt_connmark_tginfo2 two;

	if (strcmp(e->name, "CONNMARK") != 0 || !xt_info(e, &info, sizeof(info)))
		return 0;
	if (shifts) {
		if (!xt_info(e, &two, sizeof(two)))
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

struct written {
	uint32_t mark_mask, bits;
};

static void on_write(void *arg, bool known, uint32_t value, uint32_t kept)
{
	struct written *w = arg;

	if (!known || !tracks(value, ~kept, w->mark_mask))
		w->bits |= ~kept;
}

/* Bits of the flow's mark that a rule writes, other than as -j PINHOLE does. */
static uint32_t mark_written(const struct dump_rule *rule, uint32_t mark_mask)
{
	struct written w = { .mark_mask = mark_mask };

	walk_mark_writes(rule, on_write, &w);
	for (size_t i = 0; i < rule->n; i++)
		if (rule->expr[i].op == DUMP_XT_TARGET)
			w.bits |= xt_writes(&rule->expr[i], mark_mask);
	return w.bits;
}

/* The kernel helper that a rule assigns, into name[RULESET_NAME]. */
static bool helper_assigned(const struct dump_rule *rule, char *name)
{
	struct xt_ct_target_info_v1 info;

	for (size_t i = 0; i < rule->n; i++) {
		const struct dump_expr *e = &rule->expr[i];

		if (e->op == DUMP_OBJECT && e->key == NFT_OBJECT_CT_HELPER && e->name[0]) {
			(void)snprintf(name, RULESET_NAME, "%s", e->name);
			return true;
		}
		if (e->op == DUMP_XT_TARGET && strcmp(e->name, "CT") == 0 && e->key >= 1 &&
		    xt_info(e, &info, sizeof(info)) && info.helper[0]) {
			(void)snprintf(
			    name, RULESET_NAME, "%.*s", (int)sizeof(info.helper), info.helper);
			return true;
		}
	}
	return false;
}

/* --- the report ---------------------------------------------------------------------------- */

const char *ruleset_family_word(uint32_t family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_ARP:
		return "arp";
	default:
		return "?";
	}
}

static const char *hook_word(const struct dump_chain *c)
{
	if (c->family != NFPROTO_IPV4 && c->family != NFPROTO_IPV6 && c->family != NFPROTO_INET)
		return NULL;
	switch (c->hook) {
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

static bool ours(const struct dump_chain *c)
{
	return c->family == NFPROTO_INET && strcmp(c->table, PH_TABLE) == 0;
}

static int report_chain(
    struct ruleset *out, struct walker *w, const struct dump_chain *c, uint32_t mark_mask)
{
	const char *hook = c->base ? hook_word(c) : NULL;
	struct ruleset_chain *grown, *chain;
	int ret;

	if (!hook || ours(c))
		return 0;
	grown = reallocarray(out->chains, out->n_chains + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	out->chains = grown;
	chain = &grown[out->n_chains++];
	memset(chain, 0, sizeof(*chain));
	(void)snprintf(chain->table, sizeof(chain->table), "%s", c->table);
	(void)snprintf(chain->name, sizeof(chain->name), "%s", c->name);
	chain->family = ruleset_family_word(c->family);
	chain->hook = hook;
	chain->drops = c->drops;
	chain->owned = c->owned;
	/* In nf_tables the bit of a state is 1 << (ctinfo + 1). */
	ret =
	    ask(w, c, 1u << (IP_CT_RELATED + 1), 0, IPPROTO_TCP, WALK_ABOUT_STATE, &chain->related);
	for (int svc = PH_SVC_NONE; svc < PH_SVC_MAX && ret == 0; svc++) {
		uint32_t mark = ph_mark(mark_mask, PH_MARK_F_PINHOLE, (enum ph_service)svc);
		int proto = svc == PH_SVC_BFD || svc == PH_SVC_TFTP ? IPPROTO_UDP : IPPROTO_TCP;

		ret = ask(
		    w, c, 1u << (IP_CT_NEW + 1), mark, proto, WALK_ABOUT_MARK, &chain->mark[svc]);
		if (ret == 0)
			ret = ask(w, c, 1u << (IP_CT_RELATED + 1), mark, proto,
			    WALK_ABOUT_STATE | WALK_ABOUT_MARK, &chain->both[svc]);
	}
	return ret;
}

static int report_rule(
    struct ruleset_rule **rules, size_t *n, const struct dump_rule *rule, const char *what)
{
	struct ruleset_rule *grown = reallocarray(*rules, *n + 1, sizeof(*grown)), *r;

	if (!grown)
		return -ENOMEM;
	*rules = grown;
	r = &grown[(*n)++];
	memset(r, 0, sizeof(*r));
	(void)snprintf(r->table, sizeof(r->table), "%s", rule->chain->table);
	(void)snprintf(r->chain, sizeof(r->chain), "%s", rule->chain->name);
	(void)snprintf(r->what, sizeof(r->what), "%s", what);
	r->family = ruleset_family_word(rule->chain->family);
	r->handle = rule->handle;
	return 0;
}

static int report(struct ruleset *out, const struct dump *d, struct walker *w, uint32_t mark_mask)
{
	char helper[RULESET_NAME];
	int ret = 0;

	out->ours = d->ours;
	for (size_t i = 0; i < d->n_chains && ret == 0; i++) {
		const struct dump_chain *c = &d->chain[i];

		ret = report_chain(out, w, c, mark_mask);
		for (size_t k = 0; k < c->n && ret == 0 && !ours(c); k++) {
			if (mark_written(&c->rule[k], mark_mask) & mark_mask)
				ret = report_rule(
				    &out->mark_writers, &out->n_mark_writers, &c->rule[k], "");
			if (ret == 0 && helper_assigned(&c->rule[k], helper))
				ret = report_rule(
				    &out->helpers, &out->n_helpers, &c->rule[k], helper);
		}
	}
	return ret;
}

int ruleset_read(struct ruleset *out, uint32_t mark_mask, bool all_sets)
{
	struct walker *w;
	struct dump d;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = dump_take(&d, all_sets ? DUMP_ALL_SETS : DUMP_SMALL_SETS);
	if (ret < 0)
		return ret;
	w = walker_new(&d);
	ret = w ? report(out, &d, w, mark_mask) : -ENOMEM;
	walker_free(w);
	dump_free(&d);
	if (ret < 0)
		ruleset_free(out);
	return ret;
}

void ruleset_free(struct ruleset *r)
{
	free(r->chains);
	free(r->mark_writers);
	free(r->helpers);
	memset(r, 0, sizeof(*r));
}

bool ruleset_legacy(bool ip6)
{
	FILE *f = fopen(ip6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names", "re");
	char line[64];
	bool in_use = f && fgets(line, sizeof(line), f);

	if (f)
		(void)fclose(f);
	return in_use;
}
