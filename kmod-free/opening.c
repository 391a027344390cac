// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pinholes open and close here, and here only; each change leaves the op that tells the kernel.
 * When a decision is full, what was to happen is postponed, never lost.
 */
#include "core.h"

#include <string.h>
#include <utlist.h>

/* --- ops ----------------------------------------------------------------------------------------
 */

bool ops_left(const struct engine *e, unsigned int n)
{
	return DECISION_OPS - e->out->n >= n;
}

static struct op *emit(struct engine *e, enum op_kind kind, enum reason reason)
{
	struct op *op;

	if (!ops_left(e, 1))
		return NULL;
	op = &e->out->ops[e->out->n++];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->reason = reason;
	return op;
}

void emit_session(struct engine *e, enum op_kind kind, enum reason why, const struct session *s)
{
	struct op *op = emit(e, kind, why);

	if (!op)
		return;
	op->service = (enum ph_service)s->service;
	op->id = op->session_id = s->id;
	op->flow = op->master = s->tuple;
	op->dport_hi = s->tuple.dport;
}

struct op *emit_pinhole(
    struct engine *e, enum op_kind kind, enum reason why, const struct pinhole *p)
{
	struct op *op = emit(e, kind, why);

	if (!op)
		return NULL;
	op->service = (enum ph_service)p->service;
	op->id = p->id;
	op->session_id = p->session_id;
	op->flow = p->flow;
	op->master = p->master;
	op->dport_hi = p->dport_hi;
	op->many = p->many;
	op->control = p->portmap;
	op->moved = p->moved;
	op->program = p->program;
	op->versions = p->versions;
	op->timeout = e->policy.service[p->service].ttl;
	memcpy(op->cause, p->cause, sizeof(op->cause));
	return op;
}

struct op *refuse(struct engine *e, enum reason why, struct session *s, const struct tuple *flow,
    const struct cursor *cause)
{
	struct op *op;

	e->stats.reasons[why]++;
	e->out->reason = why;
	if (s)
		s->refused++;
	op = emit(e, OP_REFUSE, why);
	if (!op)
		return NULL;
	if (s) {
		op->service = (enum ph_service)s->service;
		op->session_id = s->id;
		op->master = s->tuple;
	}
	if (flow) {
		op->flow = *flow;
		op->dport_hi = flow->dport;
		if (!s) /* a session that was not to be, by its port */
			op->service = policy_service_of(&e->policy, flow->dport);
	}
	if (cause)
		cursor_escape(cause, op->cause, sizeof(op->cause));
	return op;
}

/* --- opening ------------------------------------------------------------------------------------
 */

struct origin origin_of_session(struct session *s)
{
	return (struct origin){
		.owner = &s->owner,
		.client = s->client,
		.master = s->tuple,
		.session_id = s->id,
		.service = (enum ph_service)s->service,
	};
}

static enum reason room(const struct engine *e, const struct origin *o)
{
	if (HASH_CNT(by_id, e->pinholes.by_id) >= e->policy.max_pinholes)
		return REASON_LIMIT_PINHOLES;
	if (o->client->pinholes >= e->policy.max_pinholes_client)
		return REASON_LIMIT_PINHOLES_CLIENT;
	if (o->owner->count >= e->policy.max_pinholes_session)
		return REASON_LIMIT_PINHOLES_SESSION;
	return REASON_NONE;
}

static void attach(struct pinhole *p, struct owner *o)
{
	p->owner = o;
	o->count++;
	DL_APPEND(o->pinholes, p);
}

static void detach(struct pinhole *p)
{
	if (!p->owner)
		return;
	p->owner->count--;
	DL_DELETE(p->owner->pinholes, p);
	p->owner = NULL;
}

void hand_over(struct pinhole *p, struct owner *to)
{
	detach(p);
	attach(p, to);
}

struct pinhole *open_pinhole(struct engine *e, const struct origin *o, const struct tuple *flow,
    uint16_t dport_hi, enum pinhole_state state, enum reason *why)
{
	struct pinhole *p;

	*why = room(e, o);
	if (*why != REASON_NONE)
		return NULL;
	p = pinhole_new(&e->pinholes, flow, dport_hi, state);
	if (!p) {
		*why = REASON_NO_MEMORY;
		return NULL;
	}
	p->service = (uint8_t)o->service;
	p->session_id = o->session_id;
	p->master = o->master;
	p->frame = e->frame;
	p->opened_at = e->now;
	p->proven = true;
	p->paired = o->paired;
	p->client = o->client;
	p->client->pinholes++;
	attach(p, o->owner);
	return p;
}

/*
 * Half the kernel's timeout: what stays is renewed then, any other is not for long anyway.
 */
void arm_open(struct engine *e, struct pinhole *p)
{
	uint64_t ttl = e->policy.service[p->service].ttl;

	p->todo = TODO_NONE;
	pinhole_expire_at(&e->pinholes, p, e->now + (p->many || p->lasting ? ttl / 2 : ttl));
}

void report_open(struct engine *e, struct pinhole *p, enum reason why)
{
	struct session *s = session_by_id(&e->sessions, p->session_id);

	arm_open(e, p);
	e->stats.opened++;
	e->stats.service_opened[p->service]++;
	if (s)
		s->opened++;
	(void)emit_pinhole(e, OP_OPEN, why, p);
}

/* --- closing ------------------------------------------------------------------------------------
 */

void postpone(struct engine *e, struct pinhole *p, enum pinhole_todo todo)
{
	p->todo = (uint8_t)todo;
	pinhole_expire_at(&e->pinholes, p, 0);
}

/*
 * Flows of a `many` pinhole do not survive it, nor does the one of a lasting one; a transfer let in
 * alone runs to its own end. What could not be created is not ours: the packet went on, and the
 * firewall may have accepted it by itself.
 */
static bool kills(const struct pinhole *p, enum reason why)
{
	return p->state == PINHOLE_BOUND && why != REASON_FLOW_ENDED &&
	       why != REASON_COMMIT_FAILED &&
	       (p->parent_id || p->lasting || why == REASON_OPERATOR);
}

static void drop(struct engine *e, struct pinhole *p, enum reason why)
{
	struct pair *pair = p->parent_id ? pair_of_pinhole(e, p) : NULL;
	struct client *c = p->client;

	e->stats.reasons[why]++;
	detach(p);
	pinhole_free(&e->pinholes, p);
	c->pinholes--;
	client_put(&e->sessions, c);
	if (pair) {
		pair->bound--;
		pair_flow_ended(e, pair);
	}
}

/* The flows that a `many` pinhole let in; they are in the same list. */
static void close_children(struct engine *e, struct pinhole *p, enum reason why)
{
	struct pinhole *child, *next;

	for (child = p->owner->pinholes; child; child = next) {
		next = child->next;
		if (child->parent_id != p->id)
			continue;
		child->moved = p->moved;
		close_pinhole(e, child, why);
	}
}

void close_pinhole(struct engine *e, struct pinhole *p, enum reason why)
{
	struct op *op;

	if (p->many && p->owner)
		close_children(e, p, why);
	if (p->state == PINHOLE_DORMANT) { /* nothing of it is in the kernel */
		drop(e, p, why);
		return;
	}
	op = emit_pinhole(e, p->state == PINHOLE_BOUND ? OP_END : OP_CLOSE, why, p);
	if (!op) {
		p->doom = (uint8_t)why;
		postpone(e, p, TODO_CLOSE);
		return;
	}
	op->kill = kills(p, why);
	drop(e, p, why);
}

void close_owned(struct engine *e, struct owner *o, enum reason why)
{
	struct pinhole *p, *next;

	for (p = o->pinholes; p; p = next) {
		next = p->next;
		if ((p->state != PINHOLE_BOUND || p->lasting) && p->todo != TODO_CLOSE)
			close_pinhole(e, p, why);
	}
	for (p = o->pinholes; p; p = next) {
		next = p->next;
		detach(p);
	}
}

/* --- first packets ------------------------------------------------------------------------------
 */

struct pinhole *at_port(const struct engine *e, const struct tuple *flow)
{
	struct pinhole *p = pinhole_expecting(&e->pinholes, flow);

	return p && p->key.dport ? p : NULL;
}

struct pinhole *let_in_by(const struct engine *e, const struct tuple *flow)
{
	struct pinhole *p = pinhole_expecting(&e->pinholes, flow);

	/* Port 0 as a source is legal in UDP, and "any" here. */
	if (!p || !flow->sport || p->todo == TODO_CLOSE ||
	    flow->sport > e->policy.service[p->service].max_source)
		return NULL;
	return p->many || p->state == PINHOLE_OPEN ? p : NULL;
}

struct pinhole *usable(const struct engine *e, const struct tuple *flow)
{
	struct pinhole *p = let_in_by(e, flow);

	return p && p->state == PINHOLE_OPEN ? p : NULL;
}

/* A flow of a `many` pinhole gets a BOUND one of its own. */
static struct pinhole *bind_child(
    struct engine *e, const struct pinhole *p, const struct tuple *flow, enum reason *why)
{
	const struct origin o = {
		.owner = p->owner,
		.client = p->client,
		.master = p->master,
		.session_id = p->session_id,
		.service = (enum ph_service)p->service,
		.paired = p->paired,
	};
	struct pinhole *child = open_pinhole(e, &o, flow, flow->dport, PINHOLE_BOUND, why);
	struct pair *pair;

	if (!child)
		return NULL;
	child->parent_id = p->id;
	child->portmap = p->portmap;
	child->program = p->program;
	child->versions = p->versions;
	memcpy(child->cause, p->cause, sizeof(p->cause));
	pair = pair_of_pinhole(e, child);
	if (pair) {
		pair->bound++;
		pair_flow_began(e, pair);
	}
	return child;
}

static struct pinhole *bind_flow(
    struct engine *e, struct pinhole *p, const struct tuple *flow, enum reason *why)
{
	if (p->many) {
		p = bind_child(e, p, flow, why);
		if (!p)
			return NULL;
	} else if (!pinhole_bind(&e->pinholes, p, flow)) {
		close_pinhole(e, p, REASON_NO_MEMORY);
		*why = REASON_NO_MEMORY;
		return NULL;
	}
	/* From here on conntrack says when it ends, and for lasting ones their silence. */
	if (p->lasting && !p->blind)
		pinhole_expire_at(&e->pinholes, p, e->now + HOLD);
	else
		pinhole_expire_at(&e->pinholes, p, DEADLINE_NEVER);
	e->stats.bound++;
	return p;
}

void admit(struct engine *e, struct pinhole *p, const struct tuple *flow)
{
	struct pinhole *bound;
	enum reason why = REASON_STRANGER;
	struct tuple master;
	struct op *op;
	bool many;

	if (!p) {
		refuse(e, why, NULL, flow, NULL);
		return;
	}
	many = p->many;
	master = p->master;
	if (p->paired)
		(void)mapping_master(e, p, &master);
	bound = bind_flow(e, p, flow, &why);
	if (!bound) {
		refuse(e, why, NULL, flow, NULL);
		return;
	}
	op = emit_pinhole(e, OP_ADMIT, REASON_FIRST_PACKET, bound);
	if (!op)
		return;
	op->many = many;
	op->master = master;
}
