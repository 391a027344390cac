// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine: takes one event through packet -> tuple -> session -> stream -> tracker -> policy and
 * leaves a decision. Sessions and pinholes change only here. Nothing here knows a protocol: what a
 * protocol announces arrives through tracker.h, whose half of the conversation is at the end.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*
 * Opening may first close (superseded) and may clash with another session's: while fewer ops than
 * this are free, requests are refused rather than half answered.
 */
#define OPS_PER_REQUEST 4

struct engine {
	struct policy policy;
	struct sessions sessions;
	struct pinholes pinholes;
	struct engine_stats stats;
	bool settling; /* restored pinholes are still to be reported */
	/* During engine_input() only: */
	struct decision *out;
	uint64_t now;
	uint32_t frame;
};

struct track {
	struct engine *engine;
	struct session *session;
};

/* --- decisions ---------------------------------------------------------------------------------
 */

static bool ops_left(const struct engine *e, unsigned int n)
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

static void emit_session(struct engine *e, enum op_kind kind, enum reason why, struct session *s)
{
	struct op *op = emit(e, kind, why);

	if (!op)
		return;
	op->service = (enum ph_service)s->service;
	op->id = op->session_id = s->id;
	op->flow = op->master = s->tuple;
	op->dport_hi = s->tuple.dport;
}

static struct op *emit_pinhole(
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
	op->timeout = e->policy.service[p->service].ttl;
	memcpy(op->cause, p->cause, sizeof(op->cause));
	return op;
}

/*
 * Counts a refusal and explains it. flow may be NULL when there is none to speak of; peers decide
 * how often this happens, so a full decision only counts.
 */
static void refuse(struct engine *e, enum reason why, struct session *s, const struct tuple *flow,
    const struct cursor *cause)
{
	struct op *op;

	e->stats.reasons[why]++;
	e->out->reason = why;
	if (s)
		s->refused++;
	op = emit(e, OP_REFUSE, why);
	if (!op)
		return;
	if (s) {
		op->service = (enum ph_service)s->service;
		op->session_id = s->id;
		op->master = s->tuple;
	}
	if (flow) {
		op->flow = *flow;
		op->dport_hi = flow->dport;
	}
	if (cause)
		cursor_escape(cause, op->cause, sizeof(op->cause));
}

/* --- pinholes ----------------------------------------------------------------------------------
 */

static void detach(struct pinhole *p)
{
	if (p->session)
		DL_DELETE(p->session->pinholes, p);
	p->session = NULL;
}

static void attach(struct pinhole *p, struct session *s)
{
	p->session = s;
	p->session_id = s->id;
	DL_APPEND(s->pinholes, p);
}

static void drop(struct engine *e, struct pinhole *p, enum reason why)
{
	struct client *c = p->client;

	e->stats.reasons[why]++;
	detach(p);
	pinhole_free(&e->pinholes, p);
	c->pinholes--;
	client_put(&e->sessions, c);
}

/* Flows of a `many` pinhole do not survive it; a transfer let in alone runs to its own end. */
static bool kills(const struct pinhole *p, enum reason why)
{
	return p->state == PINHOLE_BOUND && why != REASON_FLOW_ENDED && (p->parent_id || why == REASON_OPERATOR);
}

static void doom(struct engine *e, struct pinhole *p, enum reason why)
{
	p->doom = (uint8_t)why;
	pinhole_expire_at(&e->pinholes, p, 0);
}

/* Closes p now, or, when the decision is full, at the next EV_TICK. p is gone or doomed after it.
 */
static void close_pinhole(struct engine *e, struct pinhole *p, enum reason why)
{
	struct pinhole *child, *tmp;
	struct op *op;

	if (p->many && p->session)
		DL_FOREACH_SAFE (p->session->pinholes, child, tmp)
			if (child->parent_id == p->id)
				close_pinhole(e, child, why);
	if (p->state == PINHOLE_DORMANT) { /* nothing of it is in the kernel */
		drop(e, p, why);
		return;
	}
	op = emit_pinhole(e, p->state == PINHOLE_BOUND ? OP_END : OP_CLOSE, why, p);
	if (!op) {
		doom(e, p, why);
		return;
	}
	op->kill = kills(p, why);
	drop(e, p, why);
}

static enum reason room_for_pinhole(
    const struct engine *e, const struct session *s, const struct client *c)
{
	const struct pinhole *p;
	unsigned int of_session = 0;

	if (HASH_CNT(by_id, e->pinholes.by_id) >= e->policy.max_pinholes)
		return REASON_LIMIT_PINHOLES;
	if (c->pinholes >= e->policy.max_pinholes_client)
		return REASON_LIMIT_PINHOLES_CLIENT;
	DL_FOREACH (s->pinholes, p)
		of_session++;
	if (of_session >= e->policy.max_pinholes_session)
		return REASON_LIMIT_PINHOLES_SESSION;
	return REASON_NONE;
}

/*
 * The one place where pinholes come from. flow has the addresses of the session; its ports have
 * been judged. NULL with *why when a limit or memory stands against it.
 */
static struct pinhole *open_pinhole(struct engine *e, struct session *s, const struct tuple *flow,
    uint16_t dport_hi, enum pinhole_state state, enum reason *why)
{
	struct pinhole *p;

	*why = room_for_pinhole(e, s, s->client);
	if (*why != REASON_NONE)
		return NULL;
	p = pinhole_new(&e->pinholes, flow, dport_hi, state);
	if (!p) {
		*why = REASON_NO_MEMORY;
		return NULL;
	}
	p->service = s->service;
	p->master = s->tuple;
	p->frame = e->frame;
	p->opened_at = e->now;
	p->proven = true;
	p->client = s->client;
	s->client->pinholes++;
	attach(p, s);
	return p;
}

/* Half the kernel's timeout: a `many` pinhole is renewed then, any other is not for long anyway. */
static void arm_open(struct engine *e, struct pinhole *p)
{
	uint64_t ttl = e->policy.service[p->service].ttl;

	pinhole_expire_at(&e->pinholes, p, e->now + (p->many ? ttl / 2 : ttl));
}

static void report_open(struct engine *e, struct pinhole *p, enum reason why)
{
	arm_open(e, p);
	e->stats.opened++;
	e->stats.service_opened[p->service]++;
	if (p->session)
		p->session->opened++;
	(void)emit_pinhole(e, OP_OPEN, why, p);
}

/* The pinhole that flow's first packet may use now. */
static struct pinhole *usable(const struct engine *e, const struct tuple *flow)
{
	struct pinhole *p = pinhole_expecting(&e->pinholes, flow);

	return p && p->state == PINHOLE_OPEN && p->doom == REASON_NONE ? p : NULL;
}

/* A flow has come to an OPEN pinhole. NULL with *why when it cannot be let in. */
static struct pinhole *bind_flow(
    struct engine *e, struct pinhole *p, const struct tuple *flow, enum reason *why)
{
	struct pinhole *flow_of = p;

	if (p->many) {
		flow_of = open_pinhole(e, p->session, flow, flow->dport, PINHOLE_BOUND, why);
		if (!flow_of)
			return NULL;
		flow_of->parent_id = p->id;
		memcpy(flow_of->cause, p->cause, sizeof(p->cause));
	} else if (!pinhole_bind(&e->pinholes, p, flow)) {
		close_pinhole(e, p, REASON_NO_MEMORY);
		*why = REASON_NO_MEMORY;
		return NULL;
	}
	/* From here on conntrack says when it ends. */
	pinhole_expire_at(&e->pinholes, flow_of, DEADLINE_NEVER);
	e->stats.bound++;
	return flow_of;
}

static void admit(struct engine *e, const struct tuple *flow)
{
	struct pinhole *p = usable(e, flow), *bound;
	enum reason why = REASON_STRANGER;
	bool many;

	if (!p) {
		refuse(e, why, NULL, flow, NULL);
		return;
	}
	many = p->many;
	bound = bind_flow(e, p, flow, &why);
	if (!bound) {
		refuse(e, why, p->session, flow, NULL);
		return;
	}
	struct op *op = emit_pinhole(e, OP_ADMIT, REASON_FIRST_PACKET, bound);
	if (op)
		op->many = many;
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static enum reason room_for_session(const struct engine *e, const struct tuple *original)
{
	const struct client *c = client_of(&e->sessions, &original->src);

	if (HASH_CNT(by_id, e->sessions.by_id) >= e->policy.max_sessions)
		return REASON_LIMIT_SESSIONS;
	if (c && c->sessions >= e->policy.max_sessions_client)
		return REASON_LIMIT_SESSIONS_CLIENT;
	return REASON_NONE;
}

static struct session *session_begin(
    struct engine *e, const struct tuple *original, enum ph_service svc, bool resumed)
{
	const struct tracker *tracker = tracker_of(svc);
	struct session *s;
	enum reason why;

	if (!tracker || !e->policy.service[svc].enabled)
		why = REASON_NO_SERVICE;
	else
		why = room_for_session(e, original);
	if (why != REASON_NONE) {
		refuse(e, why, NULL, original, NULL);
		return NULL;
	}
	s = session_new(&e->sessions, original, tracker);
	if (!s) {
		refuse(e, REASON_NO_MEMORY, NULL, original, NULL);
		return NULL;
	}
	s->resumed = resumed;
	s->proven = true;
	s->started_at = s->last_at = e->now;
	e->stats.sessions++;
	emit_session(e, OP_SESSION_BEGIN, resumed ? REASON_RESTORED : REASON_NONE, s);
	return s;
}

/* A session that an earlier run followed from its beginning. */
static struct session *inherit(struct engine *e, const struct tuple *original, enum ph_service svc)
{
	struct session *s = session_begin(e, original, svc, true);

	if (s)
		s->inherited = 1u << DIR_ORIGINAL | 1u << DIR_REPLY;
	return s;
}

/* Unused pinholes close with their session; a transfer under way may finish. */
static void session_end(struct engine *e, struct session *s, enum reason why)
{
	struct pinhole *p, *tmp;

	emit_session(e, OP_SESSION_END, why, s);
	/* `many` first: closing one closes its flows, which are in the same list. */
	DL_FOREACH (s->pinholes, p)
		if (p->many)
			break;
	while (p) {
		close_pinhole(e, p, why);
		DL_FOREACH (s->pinholes, p)
			if (p->many && p->doom == REASON_NONE)
				break;
	}
	DL_FOREACH_SAFE (s->pinholes, p, tmp) {
		if (p->state != PINHOLE_BOUND)
			close_pinhole(e, p, why);
	}
	DL_FOREACH_SAFE (s->pinholes, p, tmp)
		detach(p);
	session_free(&e->sessions, s);
}

static void to_tracker(void *arg, struct cursor bytes, enum dir dir)
{
	struct track *t = arg;

	if (!t->session->encrypted)
		t->session->tracker->bytes(t, t->session->state, dir, bytes);
}

static void bytes_original(void *arg, struct cursor bytes)
{
	to_tracker(arg, bytes, DIR_ORIGINAL);
}

static void bytes_reply(void *arg, struct cursor bytes)
{
	to_tracker(arg, bytes, DIR_REPLY);
}

/*
 * The mark on an inherited session says that an earlier run saw its beginning, and its peers wait
 * for each other's messages: the first segment since is the beginning of one. Everywhere else a gap
 * is a gap.
 */
static void gap(struct track *t, enum dir dir)
{
	uint8_t bit = (uint8_t)(1u << dir);

	if (t->session->inherited & bit) {
		t->session->inherited &= (uint8_t)~bit;
		return;
	}
	t->engine->stats.reasons[REASON_GAP]++;
	if (!t->session->encrypted)
		t->session->tracker->gap(t, t->session->state, dir);
}

static void gap_original(void *arg)
{
	gap(arg, DIR_ORIGINAL);
}

static void gap_reply(void *arg)
{
	gap(arg, DIR_REPLY);
}

static void tcp_payload(struct engine *e, struct session *s, enum dir dir, const struct packet *pkt)
{
	struct track t = { .engine = e, .session = s };
	const struct stream_sink sink[] = {
		[DIR_ORIGINAL] = { .bytes = bytes_original, .gap = gap_original, .arg = &t },
		[DIR_REPLY] = { .bytes = bytes_reply, .gap = gap_reply, .arg = &t },
	};
	uint32_t seq = pkt->tcp_flags & TCP_SYN ? pkt->seq + 1 : pkt->seq;

	if (s->encrypted)
		return;
	/* What the other side acknowledges was sent before this packet: its bytes come first. */
	if (pkt->tcp_flags & TCP_ACK)
		stream_acked(&s->stream[dir_other(dir)], pkt->ack, &sink[dir_other(dir)]);
	if (pkt->payload.left || pkt->cut)
		stream_segment(&s->stream[dir], seq, pkt->payload, pkt->cut, &sink[dir]);
}

/* --- events ------------------------------------------------------------------------------------
 */

static void on_control(
    struct engine *e, const struct event *ev, const struct packet *pkt, bool full)
{
	struct tuple original = ev->dir == DIR_ORIGINAL ? pkt->tuple : tuple_invert(&pkt->tuple);
	bool tcp = pkt->tuple.l4proto == L4_TCP;
	bool opens = tcp && ev->dir == DIR_ORIGINAL &&
	    (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	struct session *s = session_of(&e->sessions, &original);

	e->stats.packets++;
	if (s && s->service != ev->service)
		return;
	if (!s) {
		/*
		 * Never in mid-stream. Besides, a FIN is not held and may overtake what is: the
		 * last words of a session that has ended are no new one.
		 */
		if (tcp && !opens)
			return;
		s = session_begin(e, &original, ev->service, false);
		if (!s)
			return;
	}
	s->last_at = e->now;
	if (!tcp) {
		struct track t = { .engine = e, .session = s };

		if (full && s->tracker->datagram)
			s->tracker->datagram(&t, s->state, ev->dir, pkt->payload);
		return;
	}
	if (pkt->tcp_flags & TCP_SYN)
		stream_syn(&s->stream[ev->dir], pkt->seq);
	if (full)
		tcp_payload(e, s, ev->dir, pkt);
	if (pkt->tcp_flags & TCP_FIN)
		s->finished |= (uint8_t)(1u << ev->dir);
	if ((pkt->tcp_flags & TCP_RST) || s->finished == 3)
		session_end(e, s, REASON_SESSION_ENDED);
}

static void on_packet(struct engine *e, const struct event *ev)
{
	struct packet pkt;
	enum packet_fault fault = packet_decode(ev->l3, ev->len, &pkt);
	struct pinhole *p;

	if (fault != PACKET_OK) {
		refuse(e, fault == PACKET_FRAGMENT ? REASON_FRAGMENT : REASON_BAD_PACKET, NULL,
		    NULL, NULL);
		return;
	}
	switch (ev->kind) {
	case EV_PACKET:
	case EV_COPY:
		on_control(e, ev, &pkt, ev->kind == EV_PACKET);
		break;
	case EV_FIRST:
		e->stats.firsts++;
		if (!pinhole_bound(&e->pinholes, &pkt.tuple)) /* else a retransmission */
			admit(e, &pkt.tuple);
		break;
	default: /* EV_END */
		p = pinhole_bound(&e->pinholes, &pkt.tuple);
		if (p && p->doom == REASON_NONE)
			close_pinhole(e, p, REASON_FLOW_ENDED);
		break;
	}
}

/* A flow that the kernel has let in. If its pinhole has closed in this moment, that is no refusal. */
static void on_ct_new(struct engine *e, const struct event *ev)
{
	if ((ev->mark_field & PH_MARK_F_PINHOLE) && !pinhole_bound(&e->pinholes, &ev->tuple) &&
	    usable(e, &ev->tuple))
		admit(e, &ev->tuple);
}

static void on_ct_destroy(struct engine *e, const struct event *ev)
{
	struct pinhole *p = pinhole_bound(&e->pinholes, &ev->tuple);
	struct session *s = session_of(&e->sessions, &ev->tuple);

	if (p && p->doom == REASON_NONE)
		close_pinhole(e, p, REASON_FLOW_ENDED);
	if (s)
		session_end(e, s, REASON_SESSION_ENDED);
}

static void on_resync(struct engine *e)
{
	struct session *s;
	struct pinhole *p;

	for (s = e->sessions.by_id; s; s = s->by_id.next)
		s->proven = false;
	for (p = e->pinholes.by_id; p; p = p->by_id.next)
		p->proven = p->state != PINHOLE_BOUND;
}

static void on_ct_alive(struct engine *e, const struct event *ev)
{
	struct session *s = session_of(&e->sessions, &ev->tuple);
	struct pinhole *p = pinhole_bound(&e->pinholes, &ev->tuple);

	if (p) {
		p->proven = true;
	} else if (ev->mark_field & PH_MARK_F_PINHOLE) {
		if (usable(e, &ev->tuple))
			admit(e, &ev->tuple);
	} else if (s) {
		s->proven = true;
	} else if (ev->mark_field & PH_MARK_F_CONTROL) {
		(void)inherit(e, &ev->tuple, (enum ph_service)(ev->mark_field & PH_MARK_F_SERVICE));
	}
}

/* Restored pinholes whose session has been proven open again; as many as fit, the rest next time.
 */
static void settle(struct engine *e)
{
	struct pinhole *p;

	for (p = e->pinholes.by_id; p; p = p->by_id.next) {
		if (p->state != PINHOLE_DORMANT || p->doom != REASON_NONE)
			continue;
		if (!ops_left(e, 1))
			return;
		pinhole_set_state(&e->pinholes, p, PINHOLE_OPEN);
		report_open(e, p, REASON_RESTORED);
	}
	e->settling = false;
}

static void on_resynced(struct engine *e)
{
	struct session *s, *next_s;
	struct pinhole *p, *next_p;

	for (s = e->sessions.by_id; s; s = next_s) {
		next_s = s->by_id.next;
		if (!s->proven)
			session_end(e, s, REASON_SESSION_ENDED);
	}
	for (p = e->pinholes.by_id; p; p = next_p) {
		next_p = p->by_id.next;
		if (!p->proven && p->doom == REASON_NONE)
			close_pinhole(e, p, REASON_FLOW_ENDED);
	}
	e->settling = true;
	settle(e);
}

/* What is due, as far as the decision has room for it. */
static void on_tick(struct engine *e)
{
	struct deadline *d;

	while (ops_left(e, 1) && (d = deadline_due(&e->pinholes.expiries, e->now))) {
		struct pinhole *p =
		    (struct pinhole *)(void *)((char *)d - offsetof(struct pinhole, expiry));
		enum reason doomed = (enum reason)p->doom;

		if (doomed == REASON_NONE && p->many && p->state == PINHOLE_OPEN) {
			arm_open(e, p);
			(void)emit_pinhole(e, OP_RENEW, REASON_NONE, p);
		} else {
			close_pinhole(e, p, doomed != REASON_NONE ? doomed : REASON_EXPIRED);
		}
	}
	if (e->settling)
		settle(e);
}

void engine_input(struct engine *e, const struct event *ev, struct decision *out)
{
	struct pinhole *p;

	out->n = 0;
	out->reason = REASON_NONE;
	e->out = out;
	if (ev->now > e->now)
		e->now = ev->now;
	e->frame = ev->frame;
	switch (ev->kind) {
	case EV_PACKET:
	case EV_COPY:
	case EV_FIRST:
	case EV_END:
		on_packet(e, ev);
		break;
	case EV_CT_NEW:
		on_ct_new(e, ev);
		break;
	case EV_CT_DESTROY:
		on_ct_destroy(e, ev);
		break;
	case EV_RESYNC:
		on_resync(e);
		break;
	case EV_CT_ALIVE:
		on_ct_alive(e, ev);
		break;
	case EV_RESYNCED:
		on_resynced(e);
		break;
	case EV_CLOSE:
		p = pinhole_by_id(&e->pinholes, ev->id);
		if (p && p->doom == REASON_NONE)
			close_pinhole(e, p, ev->reason);
		break;
	case EV_TICK:
		on_tick(e);
		break;
	}
	out->more = e->settling || deadline_next(&e->pinholes.expiries) <= e->now;
	e->stats.live_sessions = HASH_CNT(by_id, e->sessions.by_id);
	e->stats.live_pinholes = HASH_CNT(by_id, e->pinholes.by_id);
	e->stats.open_pinholes = e->pinholes.open;
	e->out = NULL;
}

/* --- life, and looking in ----------------------------------------------------------------------
 */

struct engine *engine_new(const struct policy *p, const uint8_t key[HASH_KEY_LEN])
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->policy = *p;
	memcpy(e->sessions.hash_key, key, HASH_KEY_LEN);
	memcpy(e->pinholes.hash_key, key, HASH_KEY_LEN);
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	pinholes_free(&e->pinholes);
	sessions_free(&e->sessions);
	free(e);
}

uint64_t engine_deadline(const struct engine *e)
{
	uint64_t at = deadline_next(&e->pinholes.expiries);

	return e->settling ? 0 : at >= DEADLINE_NEVER - 1 ? DEADLINE_NEVER : at;
}

void engine_set_policy(struct engine *e, const struct policy *p)
{
	e->policy = *p;
}

const struct policy *engine_policy(const struct engine *e)
{
	return &e->policy;
}

const struct engine_stats *engine_stats(const struct engine *e)
{
	return &e->stats;
}

const struct session *engine_first_session(const struct engine *e)
{
	return e->sessions.by_id;
}

const struct session *engine_next_session(const struct session *s)
{
	return s->by_id.next;
}

const struct pinhole *engine_first_pinhole(const struct engine *e)
{
	return e->pinholes.by_id;
}

const struct pinhole *engine_next_pinhole(const struct pinhole *p)
{
	return p->by_id.next;
}

const struct session *engine_session(const struct engine *e, uint32_t id)
{
	return session_by_id(&e->sessions, id);
}

const struct pinhole *engine_pinhole(const struct engine *e, uint32_t id)
{
	return pinhole_by_id(&e->pinholes, id);
}

enum match engine_match(
    const struct engine *e, const struct tuple *t, enum ph_service *service, enum dir *dir)
{
	const struct session *s = session_of(&e->sessions, t);
	struct tuple inverted;

	*dir = DIR_ORIGINAL;
	if (!s) {
		inverted = tuple_invert(t);
		s = session_of(&e->sessions, &inverted);
		*dir = DIR_REPLY;
	}
	if (s) {
		*service = (enum ph_service)s->service;
		return MATCH_CONTROL;
	}
	if (pinhole_bound(&e->pinholes, t))
		return MATCH_BOUND;
	return usable(e, t) ? MATCH_EXPECTED : MATCH_NONE;
}

bool engine_restore_session(
    struct engine *e, uint64_t now, const struct tuple *t, enum ph_service svc, bool encrypted)
{
	struct decision unused = { .n = 0 };
	struct session *s = NULL;

	e->out = &unused;
	e->now = now;
	if (!session_of(&e->sessions, t))
		s = inherit(e, t, svc);
	if (s)
		s->encrypted = encrypted;
	e->out = NULL;
	return s;
}

bool engine_restore_pinhole(struct engine *e, uint64_t now, const struct tuple *master,
    const struct tuple *flow, uint16_t dport_hi, bool many, const char *cause)
{
	struct session *s = session_of(&e->sessions, master);
	bool bound = flow->sport != 0;
	struct pinhole *p;
	enum reason why;

	e->now = now;
	e->frame = 0;
	if (!s || pinhole_expecting(&e->pinholes, flow) || pinhole_bound(&e->pinholes, flow))
		return false;
	p = open_pinhole(e, s, flow, dport_hi, bound ? PINHOLE_BOUND : PINHOLE_DORMANT, &why);
	if (!p)
		return false;
	p->many = many;
	(void)snprintf(p->cause, sizeof(p->cause), "%s", cause);
	return true;
}

/* --- what a tracker may ask for ----------------------------------------------------------------
 */

static struct tuple expected_flow(const struct session *s, const struct request *r)
{
	struct tuple flow = r->dir == DIR_ORIGINAL ? s->tuple : tuple_invert(&s->tuple);

	flow.sport = 0;
	flow.dport = r->port <= UINT16_MAX ? (uint16_t)r->port : 0;
	flow.l4proto = (uint8_t)r->l4proto;
	return flow;
}

/* A session waits for one connection at a time, and the newest announcement is the valid one. */
static void supersede(struct engine *e, struct session *s, const struct tuple *flow)
{
	struct pinhole *p, *tmp;

	DL_FOREACH_SAFE (s->pinholes, p, tmp) {
		if (p->state == PINHOLE_OPEN && !p->many && p->doom == REASON_NONE)
			close_pinhole(e, p, REASON_SUPERSEDED);
	}
	p = usable(e, flow);
	if (p && p->key.dport)
		close_pinhole(e, p, REASON_SUPERSEDED);
}

uint32_t track_expect(struct track *t, const struct request *r)
{
	struct engine *e = t->engine;
	struct session *s = t->session;
	struct tuple flow = expected_flow(s, r);
	struct pinhole *p = NULL;
	enum reason why;

	why = policy_judge(
	    &e->policy, (enum ph_service)s->service, r->port, &r->announced, &flow.dst);
	if (why == REASON_ANNOUNCED && !ops_left(e, OPS_PER_REQUEST))
		why = REASON_LIMIT_BURST;
	if (why == REASON_ANNOUNCED) {
		supersede(e, s, &flow);
		p = open_pinhole(e, s, &flow, flow.dport, PINHOLE_OPEN, &why);
	}
	if (!p) {
		refuse(e, why, s, &flow, &r->cause);
		return 0;
	}
	cursor_escape(&r->cause, p->cause, sizeof(p->cause));
	report_open(e, p, REASON_ANNOUNCED);
	return p->id;
}

void track_withdraw(struct track *t, uint32_t id)
{
	struct pinhole *p = pinhole_by_id(&t->engine->pinholes, id);

	if (p && p->session == t->session && p->state == PINHOLE_OPEN && p->doom == REASON_NONE)
		close_pinhole(t->engine, p, REASON_WITHDRAWN);
}

void track_refuse(struct track *t, enum reason why, const struct request *r)
{
	struct tuple flow = { .l4proto = 0 };

	if (r)
		flow = expected_flow(t->session, r);
	refuse(t->engine, why, t->session, r ? &flow : NULL, r ? &r->cause : NULL);
}

void track_encrypted(struct track *t, struct cursor cause)
{
	struct engine *e = t->engine;
	struct session *s = t->session;
	struct tuple flow = s->tuple;
	struct pinhole *p = NULL;
	const struct service_policy *policy = &e->policy.service[s->service];
	enum reason why = REASON_ENCRYPTED;

	s->encrypted = true;
	flow.sport = 0;
	flow.dport = policy->window_lo;
	if (policy->tls == TLS_WINDOW) {
		if (ops_left(e, OPS_PER_REQUEST))
			p = open_pinhole(e, s, &flow, policy->window_hi, PINHOLE_OPEN, &why);
		else
			why = REASON_LIMIT_BURST;
	}
	if (!p) {
		flow.dport = 0;
		refuse(e, why, s, &flow, &cause);
		return;
	}
	p->many = true;
	cursor_escape(&cause, p->cause, sizeof(p->cause));
	report_open(e, p, REASON_ANNOUNCED);
}
