// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A packet is led through chains as all the packets that it may be. At each rule the addresses of
 * the other side split in those for whom its conditions hold, those for whom they may hold, and the
 * rest: its verdict is for the first two, and all but the first go on. What is said of whom in the
 * end is therefore never surer than the rules are; that two undecided conditions may be one and the
 * same is not seen, and leaves an answer undecided that could be had.
 */
#include "ruleset_walk.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include "ruleset_state.h"
#include "ruleset_way.h"
#include "ruleset_xt.h"

#define WRITTEN_MAX 8
#define DEPTH_MAX   16     /* of jumps; the kernel's own limit */
#define RULES_MAX   500000 /* looked at for one answer: chains that jump to each other multiply */

struct walker {
	const struct dump *dump;
	struct pool stations, pool;
	struct station *way[2]; /* in, out */
	size_t n_way[2];
};

/* One packet on its way. */
struct walk {
	struct cell_scope scope;
	struct packet_state state;
	/* What a rule loads may be longer than it is said to be: room behind the last register. */
	struct cell reg[2 * DUMP_REGISTERS];
	const struct dump_chain *base;
	struct addrset accepted, dropped, translated;
	bool untracking; /* perhaps: a rule before conntrack has said so */
	bool settled, plainly_accepted, sometimes, exhausted;
	unsigned int looked_at;
	unsigned int rules;
	/* Sets that rules on its way have perhaps added it to. */
	const struct dump_set *written[WRITTEN_MAX];
	size_t n_written; /* WRITTEN_MAX and more: any of those that rules can fill */
	struct walk_event *event;
	size_t n_events, room;
};

/* One call of a chain. */
struct frame {
	struct addrset on;     /* still on their way through it */
	struct addrset leaves; /* back to where it was called from */
	bool sure;             /* nothing undecided leads here, and whoever went by is here */
	bool whole;            /* nobody is anywhere else, or has got through already */
	bool firm;             /* whoever is in `on` is here, and not perhaps */
	bool about;
	unsigned int depth;
};

/* One rule on one call. */
struct step {
	struct frame *f;
	const struct dump_rule *rule;
	struct addrset on, sure, may; /* at its beginning; who meets its conditions so far */
	bool about, done;
};

static const struct addrset nobody;

/* Does whatever is on its way at all do what the rule says? Else there are two kinds of them. */
static bool everybody(const struct walk *w, const struct step *s)
{
	return s->f->whole && !s->f->leaves.n && !w->accepted.n && addrset_equal(s->sure, s->f->on);
}

static void start(struct walk *w, struct walker *walker, const struct walk_packet *p)
{
	memset(w, 0, sizeof(*w));
	pool_reset(&walker->pool);
	w->scope.pool = &walker->pool;
	state_begin(&w->state, &w->scope, p);
}

static void finish(struct walk *w, struct walk_result *out)
{
	*out = (struct walk_result){
		.accepted = w->accepted,
		.dropped = w->dropped,
		.translated = w->translated,
		.dport_upto = w->scope.port[CELL_PORT_DST].upto,
		.sport_upto = w->scope.port[CELL_PORT_SRC].upto,
		.event = w->event,
		.n_events = w->n_events,
		.plainly_accepted = w->plainly_accepted,
		.sometimes = w->sometimes,
		.looked_at = w->looked_at & (WALK_ABOUT_INTERFACE | WALK_ABOUT_OWN),
	};
	if (w->exhausted)
		out->accepted = out->dropped = w->scope.peers;
}

/* --- verdicts ------------------------------------------------------------------------------ */

static bool room_for_event(struct walk *w)
{
	size_t room = w->room ? w->room * 2 : 16;
	struct walk_event *grown;

	if (w->n_events < w->room)
		return true;
	grown = pool_alloc(w->scope.pool, room * sizeof(*grown));
	if (!grown)
		return false;
	if (w->n_events)
		memcpy(grown, w->event, w->n_events * sizeof(*grown));
	w->event = grown;
	w->room = room;
	return true;
}

static void note(struct walk *w, enum walk_what what, const struct dump_rule *rule,
    struct addrset may, bool sure)
{
	struct pool *pool = w->scope.pool;
	struct addrset *all = what == WALK_ACCEPTS ? &w->accepted
			      : what == WALK_DROPS ? &w->dropped
						   : &w->translated;

	if (!may.n)
		return;
	*all = addrset_or(pool, *all, may);
	if (room_for_event(w))
		w->event[w->n_events++] = (struct walk_event){
			.what = what, .base = w->base, .rule = rule, .may = may, .sure = sure
		};
}

/* The first verdict that is sure for everybody, as if nothing undecided held. */
static void settle(struct walk *w, const struct step *s, bool sure, bool accepts)
{
	if (w->settled)
		return;
	if (s->f->sure && sure) {
		w->settled = true;
		w->plainly_accepted = accepts;
	} else if (accepts) {
		w->sometimes |= s->about;
	}
}

static struct addrset walk_rules(
    struct walk *w, const struct dump_chain *c, struct addrset on, struct frame from);

/* What a verdict does to those who meet the rule's conditions. */
static void obey(struct walk *w, struct step *s, int verdict, const struct dump_chain *chain,
    struct addrset sure_for, struct addrset may)
{
	struct pool *pool = w->scope.pool;
	bool sure = addrset_equal(sure_for, s->on), firm = addrset_equal(sure_for, may);
	struct frame *f = s->f;
	struct addrset back;

	/* The rest of the word is the queue's number. */
	if (verdict >= 0)
		verdict &= NF_VERDICT_MASK;
	switch (verdict) {
	case NF_ACCEPT:
	case NF_DROP:
		note(w, verdict == NF_ACCEPT ? WALK_ACCEPTS : WALK_DROPS, s->rule, may,
		    f->firm && firm);
		settle(w, s, sure, verdict == NF_ACCEPT);
		f->on = addrset_minus(pool, f->on, sure_for);
		break;
	case NF_QUEUE: /* whoever listens there decides, and usually for it */
		note(w, WALK_ACCEPTS, s->rule, may, false);
		note(w, WALK_DROPS, s->rule, may, false);
		settle(w, s, sure, true);
		f->on = addrset_minus(pool, f->on, sure_for);
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		back = chain ? walk_rules(w, chain, may,
				   (struct frame){ .sure = f->sure && sure,
				       .whole = f->whole && !f->leaves.n && sure,
				       .firm = f->firm && firm,
				       .about = s->about,
				       .depth = f->depth })
			     : may;
		f->on = addrset_minus(pool, f->on, sure_for);
		if (verdict == NFT_JUMP)
			f->on = addrset_or(pool, f->on, back);
		else
			f->leaves = addrset_or(pool, f->leaves, back);
		break;
	case NFT_RETURN:
		f->leaves = addrset_or(pool, f->leaves, may);
		f->on = addrset_minus(pool, f->on, sure_for);
		break;
	default:
		break;
	}
}

static void take(struct walk *w, struct step *s, int verdict, const struct dump_chain *chain)
{
	obey(w, s, verdict, chain, s->sure, s->may);
	s->done = verdict != NFT_CONTINUE;
}

/* Whatever it does, it may do to each of them. */
static void anything(struct walk *w, struct step *s)
{
	note(w, WALK_ACCEPTS, s->rule, s->may, false);
	note(w, WALK_DROPS, s->rule, s->may, false);
	s->sure = nobody;
}

/* --- conditions ---------------------------------------------------------------------------- */

static unsigned int about_of(const struct cell *c, size_t len)
{
	unsigned int about = 0;

	for (size_t i = 0; i < len; i++)
		about |= c[i].from == CELL_STATE      ? WALK_ABOUT_STATE
			 : c[i].from == CELL_MARK     ? WALK_ABOUT_MARK
			 : c[i].from == CELL_OWN      ? WALK_ABOUT_OWN
			 : c[i].from >= CELL_IF_INDEX ? WALK_ABOUT_INTERFACE
						      : 0u;
	return about;
}

static void require(struct walk *w, struct step *s, struct cond c, unsigned int about)
{
	switch (c.truth) {
	case FAILS:
		s->sure = s->may = nobody;
		break;
	case DEPENDS:
		s->sure = nobody;
		break;
	case SPLITS:
		s->sure = addrset_and(w->scope.pool, s->sure, c.sure);
		s->may = addrset_and(w->scope.pool, s->may, c.may);
		break;
	case HOLDS:
		break;
	}
	if (c.truth == DEPENDS || (c.truth == SPLITS && !addrset_equal(c.sure, c.may)))
		w->looked_at |= about;
	s->done |= !s->may.n;
	if (s->may.n && (about & w->state.packet->about))
		s->about = true;
}

static void require_truth(struct walk *w, struct step *s, enum truth truth)
{
	require(w, s, cond_of(truth), 0);
}

/* --- registers ----------------------------------------------------------------------------- */

static struct cell *reg(struct walk *w, uint8_t offset)
{
	return &w->reg[offset];
}

static void step_load(struct walk *w, struct step *s, const struct dump_expr *e)
{
	require_truth(w, s, state_load(&w->state, &w->scope, e, reg(w, e->dreg)));
}

static void step_payload_set(struct walk *w, const struct step *s, const struct dump_expr *e)
{
	struct cell *header = e->key == NFT_PAYLOAD_NETWORK_HEADER     ? w->state.net
			      : e->key == NFT_PAYLOAD_TRANSPORT_HEADER ? w->state.th
								       : NULL;
	size_t have = e->key == NFT_PAYLOAD_NETWORK_HEADER ? STATE_NET : STATE_TH;

	for (size_t i = 0; header && i < e->len && e->offset + i < have; i++)
		if (everybody(w, s))
			header[e->offset + i] = reg(w, e->sreg)[i];
		else
			cells_join(&header[e->offset + i], &reg(w, e->sreg)[i], 1);
}

/* A mark is written; where that is not sure it may be the old one still. */
static void write_mark(
    struct walk *w, const struct step *s, struct cell *mark, const struct cell *value)
{
	/* A question about a mark is about one that is written behind all rules. */
	if (!w->state.packet->ordinary)
		return;
	if (everybody(w, s))
		memcpy(mark, value, 4 * sizeof(*mark));
	else
		cells_join(mark, value, 4);
}

static void step_bitwise(struct walk *w, const struct dump_expr *e)
{
	struct cell *to = reg(w, e->dreg);

	memmove(to, reg(w, e->sreg), e->len * sizeof(*to));
	switch (e->key) {
	case NFT_BITWISE_BOOL:
		cells_mask(to, e->data, e->data2, e->len);
		break;
	case NFT_BITWISE_LSHIFT:
	case NFT_BITWISE_RSHIFT:
		cells_shift(to, e->len, e->offset, e->key == NFT_BITWISE_LSHIFT);
		break;
	default:
		cells_unknown(to, e->len);
		break;
	}
}

static void step_byteorder(struct walk *w, const struct dump_expr *e)
{
	struct cell *to = reg(w, e->dreg);

	memmove(to, reg(w, e->sreg), e->len * sizeof(*to));
	cells_swap(to, e->len, e->flags);
}

/* --- sets and maps ------------------------------------------------------------------------- */

/* A rate that an ordinary packet does not exceed. */
static void step_limit(struct walk *w, struct step *s, const struct dump_expr *e)
{
	require_truth(w, s, !w->state.packet->ordinary ? DEPENDS : e->inverted ? FAILS : HOLDS);
}

/*
 * Whether a rule can fill it (nft_dynset_init()): no constant, and of a kind that can be updated,
 * for which it need not be declared dynamic.
 */
static bool is_fillable(const struct dump_set *set)
{
	return !(set->flags & (NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL));
}

/* What is in a set is what is in it now, but for this packet itself. */
static bool is_unknown(const struct walk *w, const struct dump_set *set)
{
	if (set->unknown || (w->n_written >= WRITTEN_MAX && is_fillable(set)))
		return true;
	for (size_t i = 0; i < w->n_written && i < WRITTEN_MAX; i++)
		if (w->written[i] == set)
			return true;
	return false;
}

static void step_dynset(struct walk *w, struct step *s, const struct dump_expr *e)
{
	if (!e->set)
		w->n_written = WRITTEN_MAX;
	else if (w->n_written < WRITTEN_MAX && !is_unknown(w, e->set))
		w->written[w->n_written++] = e->set;
	/* flags: whether it has a limit */
	if (e->flags)
		step_limit(w, s, e);
}

/* The data of the only element that can match; unknown when there are more. */
static void load_data(struct walk *w, const struct dump_expr *e, const struct cell *key)
{
	const struct dump_set *set = e->set;
	const struct dump_element *only = NULL;

	for (size_t i = 0; !is_unknown(w, set) && i < set->n; i++) {
		const struct dump_element *x = &set->element[i];

		if (x->lo && cells_in_element(&w->scope, key, set, x).truth == FAILS)
			continue;
		if (only) {
			only = NULL;
			break;
		}
		only = x;
	}
	if (only && only->data)
		cells_bytes(reg(w, e->dreg), only->data, set->data_len, CELL_ELSEWHERE);
	else
		cells_unknown(reg(w, e->dreg), set->data_len);
}

/* Each element's verdict for those who match it; the nameless one's for those who match no other.
 */
static void verdict_map(
    struct walk *w, struct step *s, const struct dump_expr *e, const struct cell *key)
{
	const struct dump_set *set = e->set;
	struct cond named = cond_of(FAILS);
	const struct addrset sure = s->sure, may = s->may;
	struct addrset on_sure = nobody, on_may = nobody; /* who go on with this rule */

	if (is_unknown(w, set)) {
		anything(w, s);
		s->done = true;
		return;
	}
	for (size_t i = 0; i < set->n; i++) {
		const struct dump_element *x = &set->element[i];
		struct cond c =
		    x->lo ? cells_in_element(&w->scope, key, set, x) : cond_not(&w->scope, named);

		if (x->lo)
			named = cond_or(&w->scope, named, c);
		s->sure = sure;
		s->may = may;
		require(w, s, c, about_of(key, set->key_len));
		if (x->verdict == NFT_CONTINUE) {
			on_sure = addrset_or(w->scope.pool, on_sure, s->sure);
			on_may = addrset_or(w->scope.pool, on_may, s->may);
		} else if (s->may.n) {
			obey(w, s, x->verdict, x->chain, s->sure, s->may);
		}
		if (c.truth == HOLDS)
			break;
	}
	s->sure = on_sure;
	s->may = on_may;
	s->done = !on_may.n;
}

static void step_lookup(struct walk *w, struct step *s, const struct dump_expr *e)
{
	const struct cell *from = reg(w, e->sreg);
	struct cell key[DUMP_REGISTERS];
	struct cond c;

	if (!e->set) {
		require(w, s, cond_of(DEPENDS), about_of(from, e->len));
		if (e->has_dreg)
			cells_unknown(reg(w, e->dreg), DUMP_REGISTERS - e->dreg);
		return;
	}
	/* What is found may be loaded into the same place. */
	memcpy(key, from, e->len * sizeof(*key));
	if (e->has_dreg && e->set->verdicts) {
		verdict_map(w, s, e, key);
		return;
	}
	c = is_unknown(w, e->set) ? cond_of(DEPENDS) : cells_in_set(&w->scope, key, e->set);
	require(w, s, e->inverted ? cond_not(&w->scope, c) : c, about_of(key, e->len));
	if (e->has_dreg && !s->done)
		load_data(w, e, key);
}

/* --- address translation ------------------------------------------------------------------- */

static void forget(struct cell *c, size_t len)
{
	memset(c, 0, len * sizeof(*c));
}

/* From here on it may be for another address and port. Where it comes from stays as it was. */
static void forget_destination(struct walk *w)
{
	bool six = w->state.packet->family == NFPROTO_IPV6;

	w->state.translated = true;
	forget(&w->state.net[six ? 24 : 16], six ? 16 : 4);
	forget(&w->state.th[2], 2);
}

/* port: when it is known which. */
static void translate(struct walk *w, struct step *s, const struct cell *port)
{
	struct cell to[2] = { { .known = 0 } };
	bool sure = everybody(w, s);

	if (port)
		memcpy(to, port, sizeof(to));
	note(w, WALK_TRANSLATES, s->rule, s->may, sure);
	forget_destination(w);
	if (port && sure)
		memcpy(&w->state.th[2], to, sizeof(to));
	take(w, s, NF_ACCEPT, NULL);
}

static void step_nat(struct walk *w, struct step *s, const struct dump_expr *e)
{
	uint8_t family = w->state.packet->family;

	/* In an inet table it is for one family only (nft_nat.c: nft_nat_inet_eval). */
	if (e->flags && e->flags != NFPROTO_INET && family && e->flags != family)
		return;
	if (e->key == NFT_NAT_SNAT)
		take(w, s, NF_ACCEPT, NULL);
	else
		translate(w, s, NULL);
}

/* --- rules and chains ---------------------------------------------------------------------- */

static void step_notrack(struct walk *w, const struct step *s)
{
	if (w->state.tracking != TRACK_BEFORE)
		return; /* too late: conntrack has its entry */
	w->untracking = true;
	w->state.tracking = everybody(w, s) ? TRACK_NEVER : TRACK_PERHAPS;
}

static void step_target(struct walk *w, struct step *s, const struct dump_expr *e)
{
	uint32_t mask = 0, value = 0;
	struct cell mark[4];
	struct cell *which;
	enum xt_does does = xt_target(e, &mask, &value);

	switch (does) {
	case XT_DROPS:
		take(w, s, NF_DROP, NULL);
		break;
	case XT_QUEUES:
		take(w, s, NF_QUEUE, NULL);
		break;
	case XT_ACCEPTS:
		take(w, s, NF_ACCEPT, NULL);
		break;
	case XT_TRANSLATES:
		translate(w, s, NULL);
		break;
	case XT_NOTRACK:
		step_notrack(w, s);
		break;
	case XT_SETS_MARK:
	case XT_SETS_CT_MARK:
		which = does == XT_SETS_MARK ? w->state.meta_mark : w->state.ct_mark;
		memcpy(mark, which, sizeof(mark));
		cells_mask(mark, (const uint8_t *)&mask, (const uint8_t *)&value, sizeof(mask));
		write_mark(w, s, which, mark);
		break;
	case XT_SETS_MARKS:
		cells_unknown(mark, sizeof(mask));
		write_mark(w, s, w->state.meta_mark, mark);
		write_mark(w, s, w->state.ct_mark, mark);
		break;
	case XT_ANYTHING:
		anything(w, s);
		break;
	case XT_GOES_ON:
		break;
	}
}

static void step_object(struct walk *w, struct step *s, const struct dump_expr *e)
{
	switch (e->key) {
	case NFT_OBJECT_SYNPROXY:
		anything(w, s);
		break;
	case NFT_OBJECT_UNSPEC: /* by a map, which may not have it */
	case NFT_OBJECT_QUOTA:
	case NFT_OBJECT_LIMIT:
	case NFT_OBJECT_CONNLIMIT:
		require_truth(w, s, DEPENDS);
		break;
	default:
		break;
	}
}

static void step_match(struct walk *w, struct step *s, const struct dump_expr *e)
{
	unsigned int about;
	struct cond c = xt_match(&w->scope, &w->state, e, &about);

	require(w, s, c, about);
}

static void step_expr(struct walk *w, struct step *s, const struct dump_expr *e)
{
	const struct cell *from = reg(w, e->sreg);

	switch (e->op) {
	case DUMP_HARMLESS:
		break;
	case DUMP_OPAQUE:
	case DUMP_SYNPROXY:
		cells_unknown(w->reg, DUMP_REGISTERS);
		anything(w, s);
		break;
	case DUMP_VERDICT:
		take(w, s, e->verdict, e->chain);
		break;
	case DUMP_QUEUE:
		take(w, s, NF_QUEUE, NULL);
		break;
	case DUMP_REJECT:
		take(w, s, NF_DROP, NULL);
		break;
	case DUMP_IMMEDIATE:
		cells_bytes(reg(w, e->dreg), e->data, e->len, CELL_ELSEWHERE);
		break;
	case DUMP_PAYLOAD:
	case DUMP_META:
	case DUMP_CT:
	case DUMP_FIB:
	case DUMP_EXTHDR:
		step_load(w, s, e);
		break;
	case DUMP_PAYLOAD_SET:
		step_payload_set(w, s, e);
		break;
	case DUMP_META_SET:
		if (e->key == NFT_META_MARK)
			write_mark(w, s, w->state.meta_mark, from);
		break;
	case DUMP_CT_SET:
		if (e->key == NFT_CT_MARK)
			write_mark(w, s, w->state.ct_mark, from);
		break;
	case DUMP_LOAD:
		cells_unknown(reg(w, e->dreg), DUMP_REGISTERS - e->dreg);
		require_truth(w, s, DEPENDS);
		break;
	case DUMP_CMP:
		require(w, s, cells_compare(&w->scope, from, e->key, e->data, e->len),
		    about_of(from, e->len));
		break;
	case DUMP_RANGE: {
		struct cond c = cells_within(&w->scope, from, e->data, e->data2, e->len);

		require(w, s, e->inverted ? cond_not(&w->scope, c) : c, about_of(from, e->len));
		break;
	}
	case DUMP_BITWISE:
		step_bitwise(w, e);
		break;
	case DUMP_BYTEORDER:
		step_byteorder(w, e);
		break;
	case DUMP_LOOKUP:
		step_lookup(w, s, e);
		break;
	case DUMP_DYNSET:
		step_dynset(w, s, e);
		break;
	case DUMP_LIMIT:
		step_limit(w, s, e);
		break;
	case DUMP_CONDITION:
		require_truth(w, s, DEPENDS);
		break;
	case DUMP_OBJECT:
		step_object(w, s, e);
		break;
	case DUMP_NOTRACK:
		step_notrack(w, s);
		break;
	case DUMP_NAT:
		step_nat(w, s, e);
		break;
	case DUMP_REDIRECT:
		translate(w, s, e->has_dreg ? from : &w->state.th[2]);
		break;
	case DUMP_MASQUERADE:
		take(w, s, NF_ACCEPT, NULL);
		break;
	case DUMP_TPROXY:
		/* To a socket, if there is one; a verdict comes behind. */
		note(w, WALK_TRANSLATES, s->rule, s->may, false);
		w->state.translated = true;
		require_truth(w, s, DEPENDS);
		break;
	case DUMP_XT_MATCH:
		step_match(w, s, e);
		break;
	case DUMP_XT_TARGET:
		step_target(w, s, e);
		break;
	}
}

/* Whether its first conditions are all that has to be looked at. */
static bool passes_over(struct walk *w, const struct dump_rule *r)
{
	int l4proto = w->state.packet->l4proto;

	if (r->has_proto && l4proto >= 0 && r->proto != l4proto)
		return true;
	return r->has_dport &&
	       cells_port_outside(&w->scope, &w->state.th[2], r->dport_lo, r->dport_hi);
}

/* Returns those who may come out at its end, or return before it. */
static struct addrset walk_rules(
    struct walk *w, const struct dump_chain *c, struct addrset on, struct frame from)
{
	struct frame f = {
		.on = on,
		.sure = from.sure,
		.whole = from.whole,
		.firm = from.firm,
		.about = from.about,
		.depth = from.depth + 1,
	};

	if (f.depth > DEPTH_MAX + 1)
		w->exhausted = true;
	for (size_t i = 0; i < c->n && f.on.n && !w->exhausted; i++) {
		const struct dump_rule *rule = &c->rule[i];
		struct step s = {
			.f = &f,
			.rule = rule,
			.on = f.on,
			.sure = f.on,
			.may = f.on,
			.about = from.about,
		};

		if (++w->rules > RULES_MAX) {
			w->exhausted = true;
			w->sometimes = true;
		}
		if (passes_over(w, rule))
			continue;
		for (size_t k = 0; k < rule->n && !s.done; k++)
			step_expr(w, &s, &rule->expr[k]);
	}
	return addrset_or(w->scope.pool, f.leaves, f.on);
}

/* All of a base chain, and its policy. */
static void walk_base(struct walk *w, const struct dump_chain *c, struct addrset on, bool sure)
{
	struct addrset through;

	w->base = c;
	w->accepted = nobody;
	through = walk_rules(w, c, on, (struct frame){ .sure = sure, .whole = sure, .firm = sure });
	note(w, c->drops ? WALK_DROPS : WALK_ACCEPTS, NULL, through,
	    !addrset_meets(through, w->accepted) && !addrset_meets(through, w->dropped));
	if (!w->settled)
		w->plainly_accepted = !c->drops;
}

/* --- the way through the host -------------------------------------------------------------- */

struct walker *walker_new(const struct dump *d)
{
	struct walker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->dump = d;
	for (int out = 0; out < 2; out++) {
		w->way[out] = way_find(&w->stations, d, out, &w->n_way[out]);
		if (!w->way[out]) {
			walker_free(w);
			return NULL;
		}
	}
	return w;
}

void walker_free(struct walker *w)
{
	if (!w)
		return;
	pool_free(&w->stations);
	pool_free(&w->pool);
	free(w);
}

/* What conntrack makes of it before a chain. */
static void track(struct walk *w, const struct station *at)
{
	bool before = at->stage == STAGE_INGRESS ||
		      (at->stage == STAGE_FIRST && at->priority < PRIORITY_CONNTRACK);
	bool equal = at->stage == STAGE_FIRST && at->priority == PRIORITY_CONNTRACK;
	enum tracking *t = &w->state.tracking;

	if (at->stage == STAGE_BRIDGE || equal)
		*t = TRACK_PERHAPS;
	else if (before)
		*t = w->untracking ? *t : TRACK_BEFORE;
	else if (!w->untracking)
		*t = TRACK_YES;
}

/* Whatever chains of one priority write, somebody may have written it already, or not yet. */
static void blur(struct walk *w, unsigned int writes)
{
	struct packet_state *p = &w->state;

	if (writes & WRITES_MARK)
		forget(p->meta_mark, 4);
	if ((writes & WRITES_CT_MARK) && p->packet->ordinary)
		forget(p->ct_mark, 4);
	if (writes & WRITES_PACKET) {
		forget(p->net, STATE_NET);
		forget(p->th, STATE_TH);
	}
	if (writes & WRITES_TRACKING) {
		w->untracking = true;
		p->tracking = TRACK_PERHAPS;
	}
	if (writes & WRITES_DESTINATION)
		forget_destination(w);
	if (writes & WRITES_SETS)
		w->n_written = WRITTEN_MAX;
}

/* Whether its packets come by a chain at ingress. Those of another may, as ports of a bridge. */
static bool has_device(const struct dump_chain *c, const struct walk_interface *interface)
{
	for (size_t i = 0; interface && i < c->n_devices; i++)
		if (strcmp(c->device[i], interface->name) == 0)
			return true;
	return false;
}

int walk_host(struct walker *walker, const struct walk_packet *p, struct walk_result *out)
{
	const struct station *way = walker->way[p->out];
	struct addrset on;
	struct walk w;
	bool partial;

	start(&w, walker, p);
	on = w.scope.peers;
	for (size_t i = 0; i < walker->n_way[p->out] && on.n && !w.exhausted; i++) {
		const struct dump_chain *c = way[i].chain;

		if (p->family == NFPROTO_IPV4 ? c->family == NFPROTO_IPV6
					      : c->family == NFPROTO_IPV4)
			continue;
		track(&w, &way[i]);
		blur(&w, way[i].blurs);
		/* What one nat chain has translated no other is asked for. */
		partial = (way[i].partial && !has_device(c, p->interface)) ||
			  (c->type == DUMP_NAT_CHAIN && w.state.translated);
		if (way[i].stage == STAGE_INGRESS && !p->interface)
			w.looked_at |= WALK_ABOUT_INTERFACE;
		walk_base(&w, c, on, !partial);
		if (!partial)
			on = w.accepted;
		if (way[i].last_of_group)
			blur(&w, way[i].blurs);
	}
	w.accepted = on;
	finish(&w, out);
	return walker->pool.failed ? -ENOMEM : 0;
}

int walk_chain(struct walker *walker, const struct dump_chain *base, const struct walk_packet *p,
    struct walk_result *out)
{
	struct walk w;

	start(&w, walker, p);
	walk_base(&w, base, w.scope.peers, true);
	finish(&w, out);
	return walker->pool.failed ? -ENOMEM : 0;
}

/* --- marks --------------------------------------------------------------------------------- */

/* What is left of the flow's mark in four bytes. */
static uint32_t kept_of(const struct cell *c)
{
	uint8_t bytes[4] = { 0 };
	uint32_t kept;

	for (size_t i = 0; i < sizeof(bytes); i++)
		if (c[i].from == CELL_MARK && c[i].index == i)
			bytes[i] = c[i].mask;
	memcpy(&kept, bytes, sizeof(kept));
	return kept;
}

void walk_mark_writes(const struct dump_rule *rule,
    void (*seen)(void *arg, bool known, uint32_t value, uint32_t kept), void *arg)
{
	struct walk w = { .rules = 0 };
	uint8_t bytes[4];
	uint32_t value;

	/* Conditions do not matter: it is enough that it may write. */
	for (size_t i = 0; i < rule->n; i++) {
		const struct dump_expr *e = &rule->expr[i];

		switch (e->op) {
		case DUMP_CT_SET:
			if (e->key != NFT_CT_MARK)
				break;
			value = 0;
			if (cells_fixed(reg(&w, e->sreg), 4, bytes)) {
				memcpy(&value, bytes, sizeof(value));
				seen(arg, true, value, kept_of(reg(&w, e->sreg)));
			} else {
				seen(arg, false, 0, kept_of(reg(&w, e->sreg)));
			}
			break;
		case DUMP_CT:
			cells_unknown(reg(&w, e->dreg), 16);
			if (e->key == NFT_CT_MARK)
				cells_word(reg(&w, e->dreg), 0, CELL_MARK);
			break;
		case DUMP_BITWISE:
			step_bitwise(&w, e);
			break;
		case DUMP_IMMEDIATE:
			cells_bytes(reg(&w, e->dreg), e->data, e->len, CELL_ELSEWHERE);
			break;
		case DUMP_CMP:
		case DUMP_HARMLESS:
			break;
		default:
			cells_unknown(w.reg, DUMP_REGISTERS);
			break;
		}
	}
}
