// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mappings: pinholes that belong to a pair of hosts. They are open while the pair has any flow and
 * a while longer, then DORMANT (out of the kernel, remembered), and open again when the pair has a
 * flow again: an NFS client disconnects after five idle minutes and comes back to the ports it
 * knows. On the server itself its rpcbind is asked as well, so that a port that has moved is
 * closed, and the new one open, before any client asks.
 */
#include "core.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

struct pair *pair_of_pinhole(const struct engine *e, const struct pinhole *p)
{
	return p->paired ? pair_of(&e->pairs, &p->flow.src, &p->flow.dst) : NULL;
}

/* --- sleeping and waking ------------------------------------------------------------------------
 */

static void to_compare(struct engine *e, struct pair *pair)
{
	if (e->local.known)
		pair_compare(&e->pairs, pair, true);
}

void pair_flow_began(struct engine *e, struct pair *pair)
{
	struct pinhole *p;

	(void)deadline_arm(&e->pairs.lingers, &pair->linger, DEADLINE_NEVER - 1);
	DL_FOREACH (pair->owner.pinholes, p) {
		if (p->program && p->state == PINHOLE_DORMANT && p->todo == TODO_NONE)
			postpone(e, p, TODO_WAKE);
		else if (p->todo == TODO_SLEEP)
			arm_open(e, p);
	}
	to_compare(e, pair);
}

void pair_flow_ended(struct engine *e, struct pair *pair)
{
	if (pair_lives(pair))
		return;
	if (pair->owner.pinholes)
		(void)deadline_arm(&e->pairs.lingers, &pair->linger,
		    e->now + e->policy.service[PH_SVC_SUNRPC].linger);
	else
		pair_put(&e->pairs, pair);
}

void pair_flow_finished(struct pair *pair, const struct tuple *flow)
{
	if (pair)
		pair->last = *flow;
}

void pair_flow_gone(struct engine *e, const struct tuple *flow)
{
	struct pair *pair = pair_of(&e->pairs, &flow->src, &flow->dst);

	if (pair && tuple_equal(&pair->last, flow))
		memset(&pair->last, 0, sizeof(pair->last));
}

void pairs_linger(struct engine *e)
{
	struct deadline *d;
	struct pinhole *p;

	while ((d = deadline_due(&e->pairs.lingers, e->now))) {
		struct pair *pair =
		    (struct pair *)(void *)((char *)d - offsetof(struct pair, linger));

		(void)deadline_arm(&e->pairs.lingers, &pair->linger, DEADLINE_NEVER - 1);
		DL_FOREACH (pair->owner.pinholes, p)
			if (p->program && p->state == PINHOLE_OPEN && p->todo == TODO_NONE)
				postpone(e, p, TODO_SLEEP);
	}
}

static void forget_later(struct engine *e, struct pinhole *p)
{
	p->todo = TODO_NONE;
	pinhole_expire_at(&e->pinholes, p, e->now + e->policy.service[p->service].mapping_ttl);
}

void mapping_sleep(struct engine *e, struct pinhole *p)
{
	if (!emit_pinhole(e, OP_CLOSE, REASON_IDLE, p))
		return; /* still due */
	e->stats.reasons[REASON_IDLE]++;
	pinhole_set_state(&e->pinholes, p, PINHOLE_DORMANT);
	forget_later(e, p);
}

/* The configuration may be another than the one under which it was opened. */
static bool still_allowed(const struct engine *e, const struct pinhole *p)
{
	const enum ph_service svc = (enum ph_service)p->service;
	const struct request r = {
		.port = p->flow.dport,
		.mapping = true,
		.portmap = p->portmap,
		.program = p->program,
	};

	return e->policy.service[svc].enabled &&
	       judge(e, svc, &r, &p->flow.dst) == REASON_ANNOUNCED;
}

void mapping_wake(struct engine *e, struct pinhole *p)
{
	const struct pair *pair = pair_of_pinhole(e, p);

	if (!pair || !pair_lives(pair)) {
		forget_later(e, p);
		return;
	}
	if (!still_allowed(e, p)) {
		close_mapping(e, p, REASON_POLICY);
		return;
	}
	pinhole_set_state(&e->pinholes, p, PINHOLE_OPEN);
	report_open(e, p, REASON_RETURNED);
}

struct candidate {
	const struct tuple *flow;
	uint64_t seen; /* ns, engine time */
};

/*
 * TCP first: its end is known at once. Conntrack lets a UDP flow time out and tells of it when it
 * comes by, so of those the one that was heard of last.
 */
static void propose(struct candidate *best, const struct tuple *flow, uint64_t seen)
{
	bool better = !best->flow;

	if (best->flow && best->flow->l4proto != L4_TCP)
		better = flow->l4proto == L4_TCP || seen > best->seen;
	if (better)
		*best = (struct candidate){ flow, seen };
}

bool mapping_master(const struct engine *e, const struct pinhole *p, struct tuple *master)
{
	const struct pair *pair = pair_of_pinhole(e, p);
	struct candidate best = { .flow = NULL };
	const struct session *s;
	const struct pinhole *child;

	if (!pair)
		return false;
	DL_FOREACH (pair->flows, s)
		propose(&best, &s->tuple, s->last_at);
	/* A flow that is to close is as good as deleted; and none is its own master. */
	DL_FOREACH (pair->owner.pinholes, child)
		if (child->state == PINHOLE_BOUND && child->todo != TODO_CLOSE && child != p)
			propose(&best, &child->flow, child->opened_at);
	if (!best.flow && pair->last.l4proto)
		best.flow = &pair->last;
	if (best.flow)
		*master = *best.flow;
	return best.flow;
}

void close_mapping(struct engine *e, struct pinhole *p, enum reason why)
{
	/* A flow's end takes care of its pair by itself. */
	struct pair *pair = p->parent_id ? NULL : pair_of_pinhole(e, p);

	close_pinhole(e, p, why);
	if (pair && !pair_lives(pair))
		pair_put(&e->pairs, pair);
}

/* --- port windows -------------------------------------------------------------------------------
 */

static struct pinhole *window_of(const struct pair *pair, const struct session *s)
{
	struct pinhole *p;

	DL_FOREACH (pair->owner.pinholes, p)
		if (p->many && !p->program && p->service == s->service && p->todo != TODO_CLOSE &&
		    addr_equal(&p->flow.dst, &s->tuple.dst))
			return p;
	return NULL;
}

bool window_join(
    struct engine *e, struct session *s, const struct cursor *cause, bool asleep, enum reason *why)
{
	const struct service_policy *policy = &e->policy.service[s->service];
	struct pair *pair = pair_get(&e->pairs, &s->tuple.src, &s->tuple.dst);
	struct origin o = origin_of_session(s);
	struct tuple flow = s->tuple;
	struct pinhole *p;

	if (!pair) {
		*why = REASON_NO_MEMORY;
		return false;
	}
	flow.sport = 0;
	flow.dport = policy->window_lo;
	p = window_of(pair, s);
	if (!p) {
		o.owner = &pair->owner;
		o.paired = true;
		p = open_pinhole(
		    e, &o, &flow, policy->window_hi, asleep ? PINHOLE_DORMANT : PINHOLE_OPEN, why);
		if (!p) {
			pair_put(&e->pairs, pair);
			return false;
		}
		p->many = true;
		cursor_escape(cause, p->cause, sizeof(p->cause));
		if (!asleep)
			report_open(e, p, REASON_ANNOUNCED);
	}
	if (!s->pair) { /* as a master for the flows of the window */
		s->pair = pair;
		DL_APPEND(pair->flows, s);
		pair_flow_began(e, pair);
	}
	p->users++;
	s->window_id = p->id;
	return true;
}

void window_leave(struct engine *e, struct session *s)
{
	struct pinhole *p = s->window_id ? pinhole_by_id(&e->pinholes, s->window_id) : NULL;

	s->window_id = 0;
	if (p && --p->users == 0 && p->todo != TODO_CLOSE)
		close_mapping(e, p, REASON_SESSION_ENDED);
}

/* --- requests -----------------------------------------------------------------------------------
 */

#define OPS_PER_MAPPING 2 /* it may have to close another first */

#define TOLD_PERIOD     (60 * NSEC_PER_SEC)
#define TOLD_MAX        64

/*
 * Who still uses its port is to get a reset. Not at a port that the firewall itself accepts, where
 * other connections are none of ours. The kernel's set for this is everybody's, so hosts whose
 * ports move all the time get silence for the rest of the minute.
 */
static bool given_up(const struct engine *e, const struct pinhole *p)
{
	struct pair *pair = pair_of_pinhole(e, p);

	if (!pair || policy_service_of(&e->policy, p->flow.dport) != PH_SVC_NONE)
		return false;
	if (e->now - pair->told_since >= TOLD_PERIOD) {
		pair->told_since = e->now;
		pair->told = 0;
	}
	if (pair->told >= TOLD_MAX)
		return false;
	pair->told++;
	return true;
}

/*
 * The program has another port now: the old one closes, and those who still use it are told.
 * Versions of a program may have ports of their own (mountd), so the mapping goes with its last
 * version.
 */
static void close_moved(
    struct engine *e, struct owner *o, const struct request *r, const struct tuple *flow)
{
	struct pinhole *p;
	bool again;

	do {
		again = false;
		DL_FOREACH (o->pinholes, p) {
			if (!p->many || p->program != r->program || p->todo == TODO_CLOSE ||
			    !(p->versions & PROGRAM_VERSION(r->version)) ||
			    p->flow.l4proto != flow->l4proto || p->flow.dport == flow->dport ||
			    !addr_equal(&p->flow.dst, &flow->dst))
				continue;
			p->versions &= ~PROGRAM_VERSION(r->version);
			if (p->versions)
				continue;
			p->moved = given_up(e, p);
			close_pinhole(e, p, REASON_SUPERSEDED);
			again = true;
			break;
		}
	} while (again);
}

static uint32_t open_mapping(struct engine *e, struct pair *pair, const struct origin *o,
    const struct request *r, const struct tuple *flow, enum reason opened, enum reason *why)
{
	struct pinhole *p = at_port(e, flow);

	if (p && p->owner == &pair->owner && p->todo != TODO_CLOSE) {
		p->versions |= PROGRAM_VERSION(r->version);
		if (p->state == PINHOLE_DORMANT)
			postpone(e, p, TODO_WAKE);
		return p->id;
	}
	if (!ops_left(e, OPS_PER_MAPPING)) {
		*why = REASON_LIMIT_BURST;
		return 0;
	}
	if (p && p->todo != TODO_CLOSE)
		close_pinhole(e, p, REASON_SUPERSEDED);
	p = open_pinhole(e, o, flow, flow->dport, PINHOLE_OPEN, why);
	if (!p)
		return 0;
	p->many = true;
	p->portmap = r->portmap;
	p->program = r->program;
	p->versions = PROGRAM_VERSION(r->version);
	cursor_escape(&r->cause, p->cause, sizeof(p->cause));
	report_open(e, p, opened);
	return p->id;
}

uint32_t mapping_request(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why)
{
	struct origin o = origin_of_session(s);

	o.owner = &s->pair->owner;
	o.paired = true;
	close_moved(e, o.owner, r, flow);
	return open_mapping(e, s->pair, &o, r, flow, REASON_ANNOUNCED, why);
}

/* --- what runs on this host ---------------------------------------------------------------------
 */

static bool is_local(const struct engine *e, const struct addr *a)
{
	for (unsigned int i = 0; i < e->local.n_addresses; i++)
		if (addr_equal(&e->local.address[i], a))
			return true;
	return false;
}

/* Which versions of this mapping's program its rpcbind names at this port. */
static uint32_t confirmed(const struct engine *e, const struct pinhole *p)
{
	uint32_t versions = 0;

	for (unsigned int i = 0; i < e->local.n_programs; i++) {
		const struct local_program *l = &e->local.program[i];

		if (l->program == p->program && l->l4proto == p->flow.l4proto &&
		    l->family == p->flow.dst.family && l->port == p->flow.dport)
			versions |= PROGRAM_VERSION(l->version);
	}
	return p->versions & versions;
}

static void close_stale(struct engine *e, struct pair *pair)
{
	struct pinhole *p;
	bool again;

	if (e->local.cut)
		return;
	do {
		again = false;
		DL_FOREACH (pair->owner.pinholes, p) {
			if (!p->many || !p->program || p->portmap || p->todo == TODO_CLOSE ||
			    !is_local(e, &p->flow.dst))
				continue;
			p->versions = confirmed(e, p);
			if (p->versions)
				continue;
			p->moved = given_up(e, p);
			close_pinhole(e, p, REASON_UNREGISTERED);
			again = true;
			break;
		}
	} while (again);
}

/*
 * What a live client of this host may need, without waiting for it to ask. o comes from a flow of
 * this client. A limit stands against all the rest as well.
 */
static void open_local(struct engine *e, struct pair *pair, const struct origin *o)
{
	char cause[PINHOLE_CAUSE];

	for (unsigned int i = 0; i < e->local.n_programs; i++) {
		const struct local_program *l = &e->local.program[i];
		const char *name = policy_program_name(l->program);
		struct tuple flow = o->master;
		enum reason why = REASON_NONE;

		(void)snprintf(cause, sizeof(cause), "local rpcbind: %s v%u %s port %u",
		    name ? name : "?", l->version, l->l4proto == L4_TCP ? "tcp" : "udp", l->port);
		const struct request r = {
			.dir = DIR_ORIGINAL,
			.l4proto = (enum l4)l->l4proto,
			.port = l->port,
			.mapping = true,
			.program = l->program,
			.version = l->version,
			.cause = cursor_of(cause, strlen(cause)),
		};
		if (l->family != flow.dst.family ||
		    judge(e, o->service, &r, &flow.dst) != REASON_ANNOUNCED)
			continue;
		flow.sport = 0;
		flow.dport = l->port;
		flow.l4proto = l->l4proto;
		if (open_mapping(e, pair, o, &r, &flow, REASON_REGISTERED, &why))
			continue;
		if (why != REASON_LIMIT_BURST) /* then there will be another time */
			refuse(e, why, session_by_id(&e->sessions, o->session_id), &flow, &r.cause);
		return;
	}
}

/*
 * Is a client at work here? A flow that says so is what *o comes from: one to NFS, which may have
 * been let in by a mapping, if the client has asked for the port.
 */
static bool client_at_work(const struct engine *e, struct pair *pair, struct origin *o)
{
	struct session *s;
	struct pinhole *p;

	*o = (struct origin){ .client = NULL };
	DL_FOREACH (pair->flows, s)
		if (s->service == PH_SVC_NFS && is_local(e, &s->tuple.dst))
			*o = origin_of_session(s);
	DL_FOREACH (pair->owner.pinholes, p)
		if (p->state == PINHOLE_BOUND && p->program == PROGRAM_NFS && !o->client &&
		    is_local(e, &p->flow.dst))
			*o = (struct origin){
				.client = p->client,
				.master = p->flow,
				.session_id = p->session_id,
			};
	o->owner = &pair->owner;
	o->service = PH_SVC_SUNRPC;
	o->paired = true;
	return o->client;
}

/*
 * False when the decision had no room left: then the pair is for another time. Comparing it twice
 * opens nothing twice.
 */
static bool compare(struct engine *e, struct pair *pair)
{
	struct origin o;

	/* Only by news: what has been announced since the last ones is newer than they are. */
	if (pair->news)
		close_stale(e, pair);
	if (client_at_work(e, pair, &o))
		open_local(e, pair, &o);
	return ops_left(e, OPS_PER_MAPPING);
}

void pairs_compare(struct engine *e)
{
	struct pair *pair;

	while ((pair = e->pairs.compare)) {
		if (!compare(e, pair))
			return;
		pair_compare(&e->pairs, pair, false);
		pair->news = false;
		pair_put(&e->pairs, pair);
	}
}

void pairs_to_compare(struct engine *e)
{
	struct pair *pair;

	for (pair = e->pairs.all; pair; pair = pair->hh.next) {
		to_compare(e, pair);
		pair->news = true;
	}
}
