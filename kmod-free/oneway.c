// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One-way services: two hosts that send each other datagrams at their own pace, each direction a
 * flow of its own which is `new` to conntrack for ever (BFD). The direction that the firewall
 * accepts by itself is the session; the other comes through a lasting pinhole, which waits for any
 * source port, is bound to the first good one, and waits again when that one has fallen silent.
 */
#include "core.h"

#include <string.h>
#include <utlist.h>

/*
 * The adapter shows a packet of each flow every half a second (and the first that says something
 * else at once), and may be late.
 */
#define SHOWN_LATE (800 * (NSEC_PER_SEC / 1000))

/* Whatever peers announce, nothing stays open for longer without a packet. */
#define SILENCE_MAX (300 * NSEC_PER_SEC)

static uint64_t silent_at(const struct engine *e, uint64_t ns)
{
	return e->now + (ns < SILENCE_MAX ? ns : SILENCE_MAX) + SHOWN_LATE;
}

static void arm_silence(struct engine *e, struct session *s, uint64_t ns)
{
	(void)deadline_arm(&e->sessions.silences, &s->silence, silent_at(e, ns));
}

void oneway_scope(struct tuple *t, uint32_t iface)
{
	if (addr_link_local(&t->src) || addr_link_local(&t->dst))
		t->iface = iface;
}

bool oneway_hops(struct engine *e, enum ph_service svc, enum dir dir, const struct packet *pkt)
{
	uint8_t min = policy_min_ttl(&e->policy, svc, pkt->tuple.dport);
	bool far = pkt->tuple.dport == e->policy.service[svc].far_port;

	/*
	 * Neighbours have no router between them (RFC 5082). Elsewhere the kernel has judged what
	 * arrives here, and what is seen behind our own routing has one less.
	 */
	if (pkt->ttl >= min || (far && (dir == DIR_ORIGINAL || pkt->ttl + 1 >= min)))
		return true;
	refuse(e, REASON_HOPS, NULL, &pkt->tuple, NULL);
	return false;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

void oneway_begin(struct engine *e, struct session *s, struct session *old)
{
	struct tuple flow = s->talk;
	struct pinhole *p, *next;

	arm_silence(e, s, HOLD);
	/* Its tracker knows what it is handed over, and goes on where the last one was. */
	if (old && old->tracker == s->tracker)
		memcpy(s->state, old->state, s->tracker->state_size);
	for (p = old ? old->owner.pinholes : NULL; p; p = next) {
		next = p->next;
		if (!p->lasting || p->todo == TODO_CLOSE)
			continue;
		hand_over(p, &s->owner);
		p->session_id = s->id;
		p->master = s->tuple;
	}
	if (old)
		session_end(e, old, REASON_SUPERSEDED);
	/*
	 * It needs no pinhole of the session that goes the other way: not the one that waits, nor
	 * the one that it has hit on its way to the filter, whose entry in conntrack makes room.
	 */
	p = at_port(e, &flow);
	if (!p)
		p = pinhole_bound(&e->pinholes, &s->tuple);
	if (p && p->lasting && p->todo != TODO_CLOSE)
		close_pinhole(e, p, REASON_ACCEPTED);
}

void oneway_silence(struct engine *e)
{
	struct deadline *d;

	while (ops_left(e, 1) && (d = deadline_due(&e->sessions.silences, e->now)))
		session_end(e,
		    (struct session *)(void *)((char *)d - offsetof(struct session, silence)),
		    REASON_SILENT);
}

/* --- what trackers ask for ----------------------------------------------------------------------
 */

/* The session's own for a flow of this direction, whether it waits or is in use. */
static struct pinhole *lasting_for(const struct session *s, const struct tuple *flow)
{
	struct pinhole *p;

	DL_FOREACH (s->owner.pinholes, p)
		if (p->lasting && p->todo != TODO_CLOSE && p->flow.dport == flow->dport &&
		    addr_equal(&p->flow.src, &flow->src) && addr_equal(&p->flow.dst, &flow->dst))
			return p;
	return NULL;
}

uint32_t oneway_request(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why)
{
	const struct origin o = origin_of_session(s);
	struct pinhole *p = lasting_for(s, flow);

	if (p)
		return p->id;
	*why = REASON_NONE;
	if (r->blind && !e->policy.service[s->service].echo)
		return 0;
	if (session_talking(&e->sessions, flow)) /* the firewall lets it in by itself */
		return 0;
	*why = REASON_PEER;
	if (!policy_peer_allowed(&e->policy, o.service, &s->tuple.dst))
		return 0;
	p = at_port(e, flow);
	/* A host's echoes look the same whoever returns them: one that waits is for all peers. */
	if (p && p->blind && p->todo != TODO_CLOSE) {
		*why = REASON_NONE;
		return 0;
	}
	if (p && p->todo != TODO_CLOSE)
		close_mapping(e, p, REASON_SUPERSEDED);
	p = open_pinhole(e, &o, flow, flow->dport, PINHOLE_OPEN, why);
	if (!p)
		return 0;
	p->lasting = true;
	p->blind = r->blind;
	cursor_escape(&r->cause, p->cause, sizeof(p->cause));
	report_open(e, p, REASON_ANNOUNCED);
	return p->id;
}

/* The reply direction's flow, when it has been let in. */
static struct pinhole *reply_flow(const struct session *s)
{
	struct tuple flow = tuple_invert(&s->tuple);
	struct pinhole *p;

	flow.dport = s->tuple.dport;
	p = lasting_for(s, &flow);
	return p && p->state == PINHOLE_BOUND ? p : NULL;
}

void track_alive(struct track *t, enum dir dir, uint64_t ns)
{
	if (dir == DIR_ORIGINAL) {
		arm_silence(t->engine, t->session, ns);
		return;
	}
	t->alive = true;
	t->heard = ns;
	track_stays(t, ns);
}

void track_stays(struct track *t, uint64_t ns)
{
	struct pinhole *p = reply_flow(t->session);

	if (p)
		pinhole_expire_at(&t->engine->pinholes, p, silent_at(t->engine, ns));
}

void track_ended(struct track *t, enum reason why)
{
	struct pinhole *p = reply_flow(t->session);

	t->flow = NULL;
	if (p)
		close_pinhole(t->engine, p, why);
}

uint16_t track_port(const struct track *t)
{
	return t->session->tuple.dport;
}

/* --- packets ------------------------------------------------------------------------------------
 */

void oneway_reply(struct engine *e, const struct packet *pkt)
{
	struct track t = { .engine = e, .flow = pinhole_bound(&e->pinholes, &pkt->tuple) };
	struct pinhole *p = t.flow ? t.flow : usable(e, &pkt->tuple);

	t.session = p && p->lasting ? session_by_id(&e->sessions, p->session_id) : NULL;
	if (!t.session)
		return;
	if (p->blind) { /* whoever has returned an echo counts as a router */
		if (!t.flow)
			admit(e, p, &pkt->tuple);
		return;
	}
	if (!oneway_hops(e, (enum ph_service)p->service, DIR_REPLY, pkt))
		return;
	t.session->last_at = e->now;
	t.session->tracker->datagram(&t, t.session->state, DIR_REPLY, pkt->payload);
	p = t.alive && !t.flow ? usable(e, &pkt->tuple) : NULL;
	if (!p)
		return;
	admit(e, p, &pkt->tuple);
	p = pinhole_bound(&e->pinholes, &pkt->tuple);
	if (p)
		pinhole_expire_at(&e->pinholes, p, silent_at(e, t.heard));
}
