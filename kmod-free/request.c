// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine's answers to trackers: what they may ask for (tracker.h), judged by policy, and opened
 * or refused.
 */
#include "core.h"

#include <stdlib.h>
#include <utlist.h>

/*
 * Opening may first close (superseded) and may clash with another session's: while fewer ops than
 * this are free, requests are refused rather than half answered.
 */
#define OPS_PER_REQUEST   4

#define QUESTION_DEADLINE (60 * NSEC_PER_SEC)

static struct tuple expected_flow(const struct session *s, const struct request *r)
{
	struct tuple flow = r->dir == DIR_ORIGINAL ? s->tuple : tuple_invert(&s->tuple);

	flow.sport = 0;
	flow.dport = r->port <= UINT16_MAX ? (uint16_t)r->port : 0;
	flow.l4proto = (uint8_t)r->l4proto;
	if (r->looped)
		flow.src = flow.dst;
	return flow;
}

/* A session waits for one connection at a time, and the newest announcement is the valid one. */
static void supersede(struct engine *e, struct session *s, const struct tuple *flow)
{
	struct pinhole *p, *tmp;

	DL_FOREACH_SAFE (s->owner.pinholes, p, tmp) {
		if (p->state == PINHOLE_OPEN && !p->many && p->todo != TODO_CLOSE)
			close_pinhole(e, p, REASON_SUPERSEDED);
	}
	p = at_port(e, flow);
	if (p && p->todo != TODO_CLOSE)
		close_mapping(e, p, REASON_SUPERSEDED);
}

/*
 * The pinhole that this session has at this very port, and nothing has used yet. UDP clients ask
 * again until they are answered, and must not shut out the answer by that.
 */
static struct pinhole *same_again(struct engine *e, struct session *s, const struct tuple *flow)
{
	struct pinhole *p = at_port(e, flow);
	uint64_t ttl;

	if (!p || p->owner != &s->owner || p->state != PINHOLE_OPEN || p->many ||
	    p->todo != TODO_NONE || p->expiry.at <= e->now)
		return NULL;
	ttl = e->policy.service[p->service].ttl;
	/* A transaction for each of them would be an invitation. */
	if (p->expiry.at - e->now < ttl - ttl / 8) {
		arm_open(e, p);
		(void)emit_pinhole(e, OP_RENEW, REASON_NONE, p);
	}
	return p;
}

static uint32_t expect_one(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why)
{
	const struct origin o = origin_of_session(s);
	struct pinhole *p = same_again(e, s, flow);

	if (p)
		return p->id;
	supersede(e, s, flow);
	p = open_pinhole(e, &o, flow, flow->dport, PINHOLE_OPEN, why);
	if (!p)
		return 0;
	cursor_escape(&r->cause, p->cause, sizeof(p->cause));
	report_open(e, p, REASON_ANNOUNCED);
	return p->id;
}

enum reason judge(
    const struct engine *e, enum ph_service svc, const struct request *r, const struct addr *peer)
{
	const struct service_policy *policy = &e->policy.service[svc];

	if (r->portmap) /* 111 is never opened, but for this */
		return policy->callbacks ? REASON_ANNOUNCED : REASON_PORT_NEVER;
	if (r->mapping && !policy_program_allowed(&e->policy, svc, r->program))
		return REASON_PROGRAM;
	return policy_judge(&e->policy, svc, r->port, &r->announced, peer);
}

static uint32_t open_request(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why)
{
	if (r->lasting)
		return oneway_request(e, s, r, flow, why);
	if (r->mapping)
		return mapping_request(e, s, r, flow, why);
	return expect_one(e, s, r, flow, why);
}

/* The session came back to a client's rpcbind itself: a callback is not called back. */
static bool is_callback(const struct engine *e, const struct session *s)
{
	const struct pinhole *p = pinhole_bound(&e->pinholes, &s->tuple);

	return p && p->portmap;
}

uint32_t track_expect(struct track *t, const struct request *r)
{
	struct engine *e = t->engine;
	struct session *s = t->session;
	struct tuple flow = expected_flow(s, r);
	enum reason why = judge(e, (enum ph_service)s->service, r, &flow.dst);
	uint32_t id = 0;

	if (r->portmap && is_callback(e, s))
		return 0;
	if (why == REASON_ANNOUNCED && !ops_left(e, OPS_PER_REQUEST))
		why = REASON_LIMIT_BURST;
	if (why == REASON_ANNOUNCED)
		id = open_request(e, s, r, &flow, &why);
	if (!id && why != REASON_NONE)
		refuse(e, why, s, &flow, &r->cause);
	return id;
}

void track_withdraw(struct track *t, uint32_t id, enum reason why)
{
	struct pinhole *p = pinhole_by_id(&t->engine->pinholes, id);

	if (p && p->owner == &t->session->owner && (p->state == PINHOLE_OPEN || p->lasting) &&
	    p->todo != TODO_CLOSE)
		close_pinhole(t->engine, p, why);
}

void track_refuse(struct track *t, enum reason why, const struct request *r)
{
	struct tuple flow = { .l4proto = 0 };

	if (r)
		flow = expected_flow(t->session, r);
	refuse(t->engine, why, t->session, r ? &flow : NULL, r ? &r->cause : NULL);
}

static struct asked *find_asked(const struct track *t, uint32_t xid)
{
	struct session *s = t->session;

	for (unsigned int i = 0; s->asked && i < QUESTIONS; i++)
		if (s->asked[i].until > t->engine->now && s->asked[i].question.xid == xid)
			return &s->asked[i];
	return NULL;
}

void track_ask(struct track *t, const struct question *q)
{
	struct session *s = t->session;
	struct asked *a = find_asked(t, q->xid);

	if (!s->asked)
		s->asked = calloc(QUESTIONS, sizeof(*s->asked));
	if (!s->asked)
		return; /* its answer will then be one to no question */
	if (!a)
		a = &s->asked[s->asked_count++ % QUESTIONS];
	a->until = t->engine->now + QUESTION_DEADLINE;
	a->question = *q;
}

bool track_asked(struct track *t, uint32_t xid, struct question *q)
{
	const struct asked *a = find_asked(t, xid);

	if (a)
		*q = a->question;
	return a;
}

void track_answered(struct track *t, uint32_t xid)
{
	struct asked *a = find_asked(t, xid);

	if (a)
		a->until = 0;
}

uint16_t track_source_port(const struct track *t)
{
	return t->session->tuple.sport;
}

void track_over(struct track *t)
{
	t->session->over = true;
}

enum family track_family(const struct track *t)
{
	return (enum family)t->session->tuple.src.family;
}

bool track_wants_program(struct track *t, uint32_t program)
{
	return policy_program_allowed(
	    &t->engine->policy, (enum ph_service)t->session->service, program);
}

void track_encrypted(struct track *t, struct cursor cause)
{
	struct engine *e = t->engine;
	struct session *s = t->session;
	struct tuple flow = s->tuple;
	enum reason why = REASON_ENCRYPTED;

	s->encrypted = true;
	if (e->policy.service[s->service].tls == TLS_WINDOW) {
		if (!ops_left(e, OPS_PER_REQUEST))
			why = REASON_LIMIT_BURST;
		else if (window_join(e, s, &cause, false, &why))
			return;
	}
	flow.sport = flow.dport = 0;
	refuse(e, why, s, &flow, &cause);
}
