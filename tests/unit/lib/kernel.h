/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds according to the ops alone, held against what the engine believes; and what
 * has to be true of the engine's tables after every decision. Hang kernel_follow() on world.after.
 * Unlike the tests it looks inside: an engine that counts wrong shows it only much later.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core.h"
#include "world.h"

/* An element of a set, or a flow in conntrack that a pinhole let in. */
struct held {
	struct tuple flow;
	uint32_t id; /* of the pinhole; the key */
	uint16_t hi;
	uint8_t service;
	bool lasting; /* its flow does not outlive the pinhole */
	UT_hash_handle hh;
};

/* What oneway.c grants at most: the longest silence, and that copies are late. */
#define SILENCE_LONGEST (300 * NSEC_PER_SEC + 800 * (NSEC_PER_SEC / 1000))

/*
 * All of this is looked at after each decision, and check(1) writes a line for every ck_assert():
 * only what is wrong is worth that.
 */
#define must_tell(cond, ...)                                                                       \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ck_abort_msg(__VA_ARGS__);                                                 \
	} while (0)
#define must(cond) must_tell(cond, "%s does not hold", #cond)
#define must_equal(a, b)                                                                           \
	must_tell((a) == (b), "%s is %u and %s is %u", #a, (unsigned int)(a), #b, (unsigned int)(b))

struct kernel {
	struct held *elements, *flows; /* by id */
	bool claims; /* restored and not proven yet: what sleeps may have a flow */
};

static inline void kernel_reset(struct kernel *k)
{
	struct held *h, *tmp;

	HASH_ITER (hh, k->elements, h, tmp) {
		HASH_DEL(k->elements, h);
		free(h);
	}
	HASH_ITER (hh, k->flows, h, tmp) {
		HASH_DEL(k->flows, h);
		free(h);
	}
	k->claims = false;
}

static inline struct held *kernel_element(const struct kernel *k, uint32_t id)
{
	struct held *h;

	HASH_FIND(hh, k->elements, &id, sizeof(id), h);
	return h;
}

/* The flow in conntrack with this very tuple, or NULL. */
static inline const struct held *kernel_flow(const struct kernel *k, const struct tuple *t)
{
	const struct held *h;

	for (h = k->flows; h; h = h->hh.next)
		if (tuple_equal(&h->flow, t))
			return h;
	return NULL;
}

/* The element that a first packet of this flow would hit, or NULL. */
static inline const struct held *kernel_hit(const struct kernel *k, const struct tuple *t)
{
	const struct held *h;
	struct tuple flow = *t;

	for (h = k->elements; h; h = h->hh.next) {
		flow.sport = 0;
		flow.dport = t->dport >= h->flow.dport && t->dport <= h->hi ? h->flow.dport : 0;
		if (tuple_equal(&h->flow, &flow))
			return h;
	}
	return NULL;
}

static inline bool same_place(const struct held *h, const struct op *op)
{
	struct tuple flow = op->flow;

	flow.sport = 0;
	return tuple_equal(&h->flow, &flow) && h->hi == op->dport_hi && h->service == op->service;
}

static inline void put_held(struct held **table, const struct op *op, uint16_t sport)
{
	struct held *h = calloc(1, sizeof(*h));

	must(h != NULL);
	h->id = op->id;
	h->flow = op->flow;
	h->flow.sport = sport;
	h->hi = op->dport_hi;
	h->service = (uint8_t)op->service;
	HASH_ADD(hh, *table, id, sizeof(h->id), h);
}

static inline void take_held(struct held **table, struct held *h)
{
	HASH_DEL(*table, h);
	free(h);
}

static inline void on_open(struct kernel *k, const struct op *op)
{
	struct held *h, *tmp;

	must_tell(op->flow.sport == 0, "%u, %u", (unsigned int)(op->flow.sport), (unsigned int)(0));
	must(op->flow.dport != 0);
	must(op->timeout != 0);
	must_tell(!kernel_element(k, op->id), "pinhole %u opened twice", op->id);
	HASH_ITER (hh, k->elements, h, tmp)
		must_tell(!same_place(h, op),
		    "pinhole %u opened where %u is: the next close would take both", op->id, h->id);
	put_held(&k->elements, op, 0);
}

static inline void on_admit(struct kernel *k, const struct world *w, const struct op *op)
{
	const struct pinhole *p = engine_pinhole(w->engine, op->id);
	struct held *h = kernel_element(k, op->id);

	must(op->flow.sport != 0);
	must(op->master.l4proto != 0);
	if (!op->many) {
		must_tell(h && same_place(h, op), "admitted by %u, which is not open", op->id);
		take_held(&k->elements, h);
	} else {
		must_tell(p && p->parent_id, "flow %u of many has no parent", op->id);
	}
	put_held(&k->flows, op, op->flow.sport);
	HASH_FIND(hh, k->flows, &op->id, sizeof(op->id), h);
	h->lasting = p && p->lasting;
}

static inline void on_op(struct kernel *k, const struct world *w, const struct op *op)
{
	struct held *h;

	switch (op->kind) {
	case OP_OPEN:
		on_open(k, op);
		break;
	case OP_RENEW:
	case OP_CLOSE:
		h = kernel_element(k, op->id);
		must_tell(h && same_place(h, op), "pinhole %u is not open", op->id);
		if (op->kind == OP_CLOSE)
			take_held(&k->elements, h);
		break;
	case OP_ADMIT:
		on_admit(k, w, op);
		break;
	case OP_END:
		HASH_FIND(hh, k->flows, &op->id, sizeof(op->id), h);
		must_tell(h && tuple_equal(&h->flow, &op->flow), "flow %u is not there", op->id);
		/* What is not ours, or not there any more, is not to be deleted. */
		if (h->lasting)
			must_tell(op->kill == (op->reason != REASON_FLOW_ENDED &&
						  op->reason != REASON_COMMIT_FAILED),
			    "flow %u of a lasting pinhole ends by %s, kill %d", op->id,
			    reason_word(op->reason), op->kill);
		take_held(&k->flows, h);
		break;
	case OP_SESSION_BEGIN:
	case OP_SESSION_END:
		break;
	case OP_REFUSE:
		must(reason_is_refusal(op->reason));
		break;
	}
	must(memchr(op->cause, 0, sizeof(op->cause)) != NULL);
}

/* --- the engine's own books ---------------------------------------------------------------------
 */

static inline uint32_t count_owned(const struct owner *o)
{
	const struct pinhole *p;
	uint32_t n = 0;

	DL_FOREACH (o->pinholes, p) {
		must(p->owner == o);
		n++;
	}
	must_tell(n == o->count, "%u, %u", (unsigned int)(n), (unsigned int)(o->count));
	return n;
}

static inline void check_pair(
    const struct kernel *k, const struct world *w, const struct pair *pair)
{
	const struct engine *e = w->engine;
	const struct pinhole *p;
	const struct session *s;
	uint32_t bound = 0;
	bool open = false, lingers = pair->linger.at < DEADLINE_NEVER - 1;

	must(pair_of(&e->pairs, &pair->hosts[1], &pair->hosts[0]) == pair);
	must_tell(pair->flows || pair->owner.pinholes, "a pair is left over");
	must(pair->linger.slot != 0);
	DL_FOREACH (pair->flows, s)
		must(s->pair == pair);
	DL_FOREACH (pair->owner.pinholes, p) {
		must(p->paired);
		must(pair_of(&e->pairs, &p->flow.src, &p->flow.dst) == pair);
		bound += p->parent_id != 0;
		open |= p->program && p->state == PINHOLE_OPEN;
		if (!w->decision.more && p->program && !k->claims)
			must_tell(p->state != PINHOLE_DORMANT || !pair_lives(pair),
			    "pinhole %u sleeps while its hosts are awake", p->id);
	}
	must_tell(
	    bound == pair->bound, "%u, %u", (unsigned int)(bound), (unsigned int)(pair->bound));
	if (pair_lives(pair))
		must_tell(!lingers, "a pair lingers that lives");
	else if (open && !w->decision.more)
		must_tell(lingers, "nothing will put the mappings of a dead pair to sleep");
}

/*
 * Its session is there, has one of them for its peer and one for each side's echoes at most, and
 * nothing lasts that will not end by itself.
 */
static inline void check_lasting(const struct world *w, const struct pinhole *p)
{
	const struct session *s = engine_session(w->engine, p->session_id);
	const struct pinhole *other;

	must(s != NULL && p->owner == &s->owner);
	must(tuple_equal(&p->master, &s->tuple));
	must(!p->many && !p->paired && !p->program && !p->parent_id);
	must(s->tracker->one_way);
	DL_FOREACH (s->owner.pinholes, other)
		must(other == p || !other->lasting || other->todo == TODO_CLOSE ||
		     other->blind != p->blind || !addr_equal(&other->flow.dst, &p->flow.dst));
	if (p->blind && p->flow.src.family == FAMILY_IPV4)
		must(addr_equal(&p->flow.src, &p->flow.dst));
	if (p->state == PINHOLE_BOUND && !p->blind)
		must(p->expiry.at <= w->now + SILENCE_LONGEST);
}

static inline void check_one_way(const struct world *w, const struct session *s)
{
	must(s->silence.slot != 0);
	must(s->silence.at <= w->now + SILENCE_LONGEST);
	must(session_talking(&w->engine->sessions, &s->tuple) == s);
	if (!w->decision.more)
		must(s->silence.at > w->now);
}

static inline void check_pinhole(
    const struct kernel *k, const struct world *w, const struct pinhole *p)
{
	const struct engine *e = w->engine;
	const struct held *h = kernel_element(k, p->id);
	const struct pinhole *parent;

	must(p->client != NULL);
	must(p->expiry.slot != 0);
	must(p->state != PINHOLE_CLOSED);
	must_tell((p->state == PINHOLE_OPEN) == (h != NULL), "pinhole %u is %s and %s", p->id,
	    pinhole_state_word((enum pinhole_state)p->state), h ? "in the kernel" : "is not");
	if (h)
		must(tuple_equal(&h->flow, &p->flow) && h->hi == p->dport_hi);
	must((p->state == PINHOLE_BOUND) == (p->flow.sport != 0));
	must(!p->program || p->paired);
	if (p->parent_id && p->todo != TODO_CLOSE) {
		parent = engine_pinhole(e, p->parent_id);
		must(p->state == PINHOLE_BOUND);
		must_tell(parent && parent->many && parent->owner == p->owner,
		    "flow %u has outlived its pinhole", p->id);
	}
	if (p->paired)
		must(p->owner != NULL);
	if (p->lasting && p->todo != TODO_CLOSE)
		check_lasting(w, p);
	if (!w->decision.more) {
		must(p->todo == TODO_NONE);
		must(p->expiry.at > w->now);
	}
}

static inline void check_books(const struct kernel *k, const struct world *w)
{
	const struct engine *e = w->engine;
	const struct engine_stats *stats = engine_stats(e);
	uint32_t sessions = 0, pinholes = 0, open = 0, bound = 0, flows = 0, paired = 0, owned = 0;
	uint32_t one_way = 0;
	const struct session *s;
	const struct pinhole *p;
	const struct pair *pair;
	const struct client *c;

	for (s = e->sessions.by_id; s; s = s->by_id.next) {
		sessions++;
		flows += s->pair != NULL;
		owned += count_owned(&s->owner);
		one_way += s->tracker->one_way;
		if (s->tracker->one_way)
			check_one_way(w, s);
	}
	must_equal(HASH_CNT(by_talk, e->sessions.by_talk), one_way);
	must_equal(e->sessions.silences.count, one_way);
	for (pair = e->pairs.all; pair; pair = pair->hh.next) {
		check_pair(k, w, pair);
		DL_FOREACH (pair->flows, s)
			paired++;
		owned += count_owned(&pair->owner);
	}
	must_tell(flows == paired, "%u, %u", (unsigned int)(flows), (unsigned int)(paired));
	must_tell(e->pairs.lingers.count == HASH_CNT(hh, e->pairs.all), "%u, %u",
	    (unsigned int)(e->pairs.lingers.count), (unsigned int)(HASH_CNT(hh, e->pairs.all)));
	for (p = e->pinholes.by_id; p; p = p->by_id.next) {
		check_pinhole(k, w, p);
		pinholes++;
		open += p->state == PINHOLE_OPEN;
		bound += p->state == PINHOLE_BOUND;
		owned -= p->owner != NULL;
	}
	must_tell(owned == 0, "%u, %u", (unsigned int)(owned), (unsigned int)(0));
	must_tell(e->pinholes.expiries.count == pinholes, "%u, %u",
	    (unsigned int)(e->pinholes.expiries.count), (unsigned int)(pinholes));
	must_tell(HASH_CNT(by_key, e->pinholes.by_key) == pinholes, "%u, %u",
	    (unsigned int)(HASH_CNT(by_key, e->pinholes.by_key)), (unsigned int)(pinholes));
	must_tell(stats->live_sessions == sessions, "%u, %u", (unsigned int)(stats->live_sessions),
	    (unsigned int)(sessions));
	must_tell(stats->live_pinholes == pinholes, "%u, %u", (unsigned int)(stats->live_pinholes),
	    (unsigned int)(pinholes));
	must_tell(stats->open_pinholes == open, "%u, %u", (unsigned int)(stats->open_pinholes),
	    (unsigned int)(open));
	must_tell(HASH_CNT(hh, k->elements) == open, "%u, %u",
	    (unsigned int)(HASH_CNT(hh, k->elements)), (unsigned int)(open));
	must_tell(HASH_CNT(hh, k->flows) == bound, "%u, %u", (unsigned int)(HASH_CNT(hh, k->flows)),
	    (unsigned int)(bound));
	for (c = e->sessions.clients; c; c = c->hh.next) {
		must_tell(c->sessions || c->pinholes, "a client is left over");
		sessions -= c->sessions;
		pinholes -= c->pinholes;
	}
	must_tell(sessions == 0, "%u, %u", (unsigned int)(sessions), (unsigned int)(0));
	must_tell(pinholes == 0, "%u, %u", (unsigned int)(pinholes), (unsigned int)(0));
}

static inline void kernel_follow(struct kernel *k, const struct world *w)
{
	for (unsigned int i = 0; i < w->decision.n; i++)
		on_op(k, w, &w->decision.ops[i]);
	check_books(k, w);
}

/*
 * All flows end, and then time passes until nothing is left: no pinhole, and nobody who is still
 * remembered for one.
 */
static inline void kernel_dies_out(struct kernel *k, struct world *w)
{
	const struct engine *e = w->engine;
	const struct session *s;
	const struct pinhole *p, *next;

	k->claims = false;
	while ((s = engine_first_session(e)) != NULL) {
		struct tuple t = s->tuple;

		world_ct(w, EV_CT_DESTROY, &t, 0);
	}
	for (p = engine_first_pinhole(e); p; p = next) {
		struct tuple t = p->flow;

		next = engine_next_pinhole(p);
		if (p->state == PINHOLE_BOUND)
			world_ct(w, EV_CT_DESTROY, &t, 0);
	}
	while (engine_first_pinhole(e)) {
		must(engine_deadline(e) != DEADLINE_NEVER);
		if (engine_deadline(e) > w->now)
			w->now = engine_deadline(e);
		world_wait(w, 0);
	}
	must(engine_deadline(e) == DEADLINE_NEVER);
	must(e->pairs.all == NULL);
	must(e->sessions.clients == NULL);
}

#endif
