// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine: takes one event through packet -> tuple -> session -> stream -> tracker -> policy and
 * leaves a decision. Sessions live here, pinholes in opening.c and mapping.c, the tracker's half of
 * the conversation in request.c. Nothing here knows a protocol.
 */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

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

/* Flows of services with mappings count for their hosts. */
static bool join_pair(struct engine *e, struct session *s)
{
	if (s->tracker->mappings == PH_SVC_NONE)
		return true;
	s->pair = pair_get(&e->pairs, &s->tuple.src, &s->tuple.dst);
	if (!s->pair)
		return false;
	DL_APPEND(s->pair->flows, s);
	pair_flow_began(e, s->pair);
	return true;
}

static void leave_pair(struct engine *e, struct session *s)
{
	struct pair *pair = s->pair;

	if (!pair)
		return;
	DL_DELETE(pair->flows, s);
	s->pair = NULL;
	pair_flow_ended(e, pair);
}

/* A session that was not to be; its port need not say what it would have been. */
static void refuse_session(
    struct engine *e, enum reason why, const struct tuple *original, enum ph_service svc)
{
	struct op *op = refuse(e, why, NULL, original, NULL);

	if (op)
		op->service = svc;
}

struct session *session_begin(
    struct engine *e, const struct tuple *original, enum ph_service svc, bool resumed)
{
	const struct tracker *tracker = tracker_of(svc);
	struct session *s, *old = NULL;
	enum reason why = REASON_NONE;

	if (tracker && tracker->one_way)
		old = session_talking(&e->sessions, original);
	if (!tracker || !e->policy.service[svc].enabled)
		why = REASON_NO_SERVICE;
	else if (!old) /* whose place it takes */
		why = room_for_session(e, original);
	if (why != REASON_NONE) {
		refuse_session(e, why, original, svc);
		return NULL;
	}
	s = session_new(&e->sessions, original, tracker);
	if (s && !join_pair(e, s)) {
		session_free(&e->sessions, s);
		s = NULL;
	}
	if (!s) {
		refuse_session(e, REASON_NO_MEMORY, original, svc);
		return NULL;
	}
	s->resumed = resumed;
	s->proven = true;
	s->started_at = s->last_at = e->now;
	e->stats.sessions++;
	emit_session(e, OP_SESSION_BEGIN, resumed ? REASON_RESTORED : REASON_NONE, s);
	if (tracker->one_way)
		oneway_begin(e, s, old);
	return s;
}

/* A session that an earlier run followed from its beginning. */
static struct session *inherit(struct engine *e, const struct tuple *original, enum ph_service svc)
{
	struct session *s = session_begin(e, original, svc, true);

	if (s) {
		s->inherited = 1u << DIR_ORIGINAL | 1u << DIR_REPLY;
		s->over = s->tracker->preamble;
	}
	return s;
}

void session_end(struct engine *e, struct session *s, enum reason why)
{
	const struct tuple flow = s->tuple;
	struct pinhole *p;

	emit_session(e, OP_SESSION_END, why, s);
	close_owned(e, &s->owner, why);
	window_leave(e, s);
	leave_pair(e, s);
	session_free(&e->sessions, s);
	/* A control flow that a mapping let in is one of its flows as well. */
	p = pinhole_bound(&e->pinholes, &flow);
	if (p && p->todo != TODO_CLOSE)
		close_pinhole(e, p, REASON_FLOW_ENDED);
}

/* No more of this session's bytes are for its tracker. */
static bool unheard(const struct session *s)
{
	return s->encrypted || s->over;
}

static void to_tracker(void *arg, struct cursor bytes, enum dir dir)
{
	struct track *t = arg;

	if (!unheard(t->session))
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

	if (t->session->over)
		return;
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

	if (unheard(s))
		return;
	/* What the other side acknowledges was sent before this packet: its bytes come first. The
	 * number that a FIN takes is no byte. */
	if ((pkt->tcp_flags & TCP_ACK) && !(s->finished & (1u << dir_other(dir))))
		stream_acked(&s->stream[dir_other(dir)], pkt->ack, &sink[dir_other(dir)]);
	if (pkt->payload.left || pkt->cut)
		stream_segment(&s->stream[dir], seq, pkt->payload, pkt->cut, &sink[dir]);
}

/* --- events ------------------------------------------------------------------------------------
 */

static bool looked_into(enum ph_service svc)
{
	const struct tracker *tracker = tracker_of(svc);

	return !tracker || tracker->bytes || tracker->datagram;
}

static bool one_way(enum ph_service svc)
{
	return tracker_of(svc) && tracker_of(svc)->one_way;
}

static bool ends(const struct packet *pkt)
{
	return pkt->tcp_flags & (TCP_FIN | TCP_RST);
}

static void on_control(
    struct engine *e, const struct event *ev, const struct packet *pkt, bool full)
{
	struct tuple original = ev->dir == DIR_ORIGINAL ? pkt->tuple : tuple_invert(&pkt->tuple);
	bool tcp = pkt->tuple.l4proto == L4_TCP;
	bool opens =
	    tcp && ev->dir == DIR_ORIGINAL && (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	struct session *s = session_of(&e->sessions, &original);

	if (s && s->service != ev->service)
		return;
	if (one_way(ev->service) && !oneway_hops(e, ev->service, DIR_ORIGINAL, pkt))
		return;
	if (!s) {
		/*
		 * Never in mid-stream where bytes are looked into. Besides, a FIN is not held and
		 * may overtake what is: the last words of a session that has ended are no new one.
		 */
		if (tcp ? !opens && (looked_into(ev->service) || ends(pkt)) : ev->dir == DIR_REPLY)
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
	if (full && s->tracker->bytes)
		tcp_payload(e, s, ev->dir, pkt);
	if (pkt->tcp_flags & TCP_FIN)
		s->finished |= (uint8_t)(1u << ev->dir);
	if ((pkt->tcp_flags & TCP_RST) || s->finished == 3) {
		pair_flow_finished(s->pair, &s->tuple);
		session_end(e, s, REASON_SESSION_ENDED);
	}
}

static void on_first(struct engine *e, const struct event *ev, const struct packet *pkt)
{
	const struct tuple answered = tuple_invert(&pkt->tuple);
	struct packet scoped = *pkt;
	struct pinhole *p;

	/* A server may answer from the control port itself, to the very port that it could connect
	 * to from any other. */
	if (session_of(&e->sessions, &answered))
		return;

	oneway_scope(&scoped.tuple, ev->iface);
	p = usable(e, &scoped.tuple);
	if (p && p->lasting)
		oneway_reply(e, &scoped);
	else if (!pinhole_bound(&e->pinholes, &pkt->tuple) &&
		 !pinhole_bound(&e->pinholes, &scoped.tuple)) /* else a retransmission */
		admit(e, usable(e, &pkt->tuple), &pkt->tuple);
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
		e->stats.packets++;
		if (one_way(ev->service))
			oneway_scope(&pkt.tuple, ev->iface);
		if (one_way(ev->service) && ev->dir == DIR_REPLY)
			oneway_reply(e, &pkt);
		else
			on_control(e, ev, &pkt, ev->kind == EV_PACKET);
		break;
	case EV_FIRST:
		e->stats.firsts++;
		on_first(e, ev, &pkt);
		break;
	default: /* EV_END */
		p = pinhole_bound(&e->pinholes, &pkt.tuple);
		if (p && p->todo != TODO_CLOSE) {
			pair_flow_finished(pair_of_pinhole(e, p), &p->flow);
			close_pinhole(e, p, REASON_FLOW_ENDED);
		}
		break;
	}
}

/* A flow that the kernel has let in. If its pinhole has closed in this moment, that is no refusal.
 */
static void on_let_in(struct engine *e, const struct event *ev)
{
	struct pinhole *p = let_in_by(e, &ev->tuple);

	if ((ev->mark_field & PH_MARK_F_PINHOLE) && p && !pinhole_bound(&e->pinholes, &ev->tuple))
		admit(e, p, &ev->tuple);
}

static void on_ct_new(struct engine *e, const struct event *ev)
{
	enum ph_service svc = (enum ph_service)(ev->mark_field & PH_MARK_F_SERVICE);

	on_let_in(e, ev);
	/* Flows that are not looked into begin with this event, all others with their first packet.
	 */
	if (ev->mark_field == (PH_MARK_F_CONTROL | svc) && tracker_of(svc) && !looked_into(svc) &&
	    !session_of(&e->sessions, &ev->tuple))
		(void)session_begin(e, &ev->tuple, svc, false);
}

static void on_ct_destroy(struct engine *e, const struct event *ev)
{
	struct pinhole *p = pinhole_bound(&e->pinholes, &ev->tuple);
	struct session *s = session_of(&e->sessions, &ev->tuple);

	if (p && p->todo != TODO_CLOSE)
		close_pinhole(e, p, REASON_FLOW_ENDED);
	if (s)
		session_end(e, s, REASON_SESSION_ENDED);
	pair_flow_gone(e, &ev->tuple);
}

static void on_resync(struct engine *e)
{
	struct session *s;
	struct pinhole *p;

	/* One-way flows prove themselves, by every packet. */
	for (s = e->sessions.by_id; s; s = s->by_id.next)
		s->proven = s->tracker->one_way;
	for (p = e->pinholes.by_id; p; p = p->by_id.next)
		p->proven = p->state != PINHOLE_BOUND || p->lasting;
}

static void on_ct_alive(struct engine *e, const struct event *ev)
{
	struct session *s = session_of(&e->sessions, &ev->tuple);
	struct pinhole *p = pinhole_bound(&e->pinholes, &ev->tuple);

	if (one_way((enum ph_service)(ev->mark_field & PH_MARK_F_SERVICE)))
		return;
	if (p)
		p->proven = true;
	else
		on_let_in(e, ev);
	if (s)
		s->proven = true;
	else if (ev->mark_field & PH_MARK_F_CONTROL)
		(void)inherit(e, &ev->tuple, (enum ph_service)(ev->mark_field & PH_MARK_F_SERVICE));
}

/* A pinhole that waits for its session, or its hosts, to be proven alive. */
static bool may_wake(const struct engine *e, const struct pinhole *p)
{
	if (p->state != PINHOLE_DORMANT || p->todo != TODO_NONE)
		return false;
	return !p->program || pair_lives(pair_of_pinhole(e, p));
}

/*
 * What conntrack did not show has ended; restored pinholes whose session it did show are opened.
 * Those of hosts without a flow stay asleep.
 */
static void on_resynced(struct engine *e)
{
	struct session *s, *next_s;
	struct pinhole *p, *next_p;

	for (s = e->sessions.by_id; s; s = next_s) {
		next_s = s->by_id.next;
		if (!s->proven)
			session_end(e, s, REASON_SESSION_ENDED);
	}
	/* Closing one may close others, but never one that conntrack has shown. */
	for (p = e->pinholes.by_id; p; p = next_p) {
		next_p = p->by_id.next;
		if (!p->proven && p->todo != TODO_CLOSE)
			close_pinhole(e, p, REASON_FLOW_ENDED);
		else if (may_wake(e, p))
			postpone(e, p, TODO_WAKE);
	}
}

/* The local rpcbind, as the adapter tells of it. */
static void on_local(struct engine *e, const struct event *ev)
{
	struct local *l = &e->local;

	switch (ev->kind) {
	case EV_LOCAL_BEGIN:
		memset(l, 0, sizeof(*l));
		break;
	case EV_LOCAL_ADDRESS:
		if (l->n_addresses < LOCAL_ADDRESSES)
			l->address[l->n_addresses++] = ev->tuple.dst;
		break;
	case EV_LOCAL_PROGRAM:
		if (l->n_programs < LOCAL_PROGRAMS)
			l->program[l->n_programs++] = (struct local_program){
				.program = ev->program,
				.version = ev->version,
				.port = ev->tuple.dport,
				.l4proto = ev->tuple.l4proto,
				.family = ev->tuple.dst.family,
			};
		break;
	default: /* EV_LOCAL_END */
		l->known = true;
		l->cut = ev->id;
		pairs_to_compare(e);
		break;
	}
}

/* What has been postponed for a pinhole, or is due by itself. */
static void do_due(struct engine *e, struct pinhole *p)
{
	switch ((enum pinhole_todo)p->todo) {
	case TODO_CLOSE:
		close_mapping(e, p, (enum reason)p->doom);
		break;
	case TODO_SLEEP:
		mapping_sleep(e, p);
		break;
	case TODO_WAKE:
		if (p->program) {
			mapping_wake(e, p);
		} else {
			pinhole_set_state(&e->pinholes, p, PINHOLE_OPEN);
			report_open(e, p, REASON_RESTORED);
		}
		break;
	case TODO_NONE:
		if ((p->many || p->lasting) && p->state == PINHOLE_OPEN) {
			arm_open(e, p);
			(void)emit_pinhole(e, OP_RENEW, REASON_NONE, p);
		} else {
			close_mapping(
			    e, p, p->state == PINHOLE_BOUND ? REASON_SILENT : REASON_EXPIRED);
		}
		break;
	}
}

/* Of what may have to wait for a decision with room for it. */
static uint64_t next_deadline(const struct engine *e)
{
	uint64_t expiry = deadline_next(&e->pinholes.expiries);
	uint64_t silence = deadline_next(&e->sessions.silences);

	return expiry < silence ? expiry : silence;
}

/* What is due, as far as the decision has room for it. */
static void on_tick(struct engine *e)
{
	struct deadline *d;

	pairs_linger(e);
	oneway_silence(e);
	while (ops_left(e, 1) && (d = deadline_due(&e->pinholes.expiries, e->now)))
		do_due(e, (struct pinhole *)(void *)((char *)d - offsetof(struct pinhole, expiry)));
	pairs_compare(e);
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
	case EV_LOCAL_BEGIN:
	case EV_LOCAL_ADDRESS:
	case EV_LOCAL_PROGRAM:
	case EV_LOCAL_END:
		on_local(e, ev);
		break;
	case EV_CLOSE:
		p = pinhole_by_id(&e->pinholes, ev->id);
		if (p && p->todo != TODO_CLOSE)
			close_mapping(e, p, ev->reason);
		break;
	case EV_TICK:
		on_tick(e);
		break;
	}
	out->more = e->pairs.compare || next_deadline(e) <= e->now;
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
	memcpy(e->pairs.hash_key, key, HASH_KEY_LEN);
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	pinholes_free(&e->pinholes);
	sessions_free(&e->sessions);
	pairs_free(&e->pairs);
	free(e);
}

uint64_t engine_deadline(const struct engine *e)
{
	uint64_t at = next_deadline(e);
	uint64_t linger = deadline_next(&e->pairs.lingers);

	if (e->pairs.compare)
		return 0;
	at = at < linger ? at : linger;
	return at >= DEADLINE_NEVER - 1 ? DEADLINE_NEVER : at;
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
	const struct pinhole *p;
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
	p = pinhole_bound(&e->pinholes, t);
	if (p) {
		*service = (enum ph_service)p->service;
		return p->lasting ? MATCH_CONTROL : MATCH_BOUND;
	}
	if (usable(e, t))
		return MATCH_EXPECTED;
	inverted = tuple_invert(t);
	inverted.dport = t->dport;
	return session_talking(&e->sessions, &inverted) ? MATCH_SHUT : MATCH_NONE;
}

bool engine_another_master(const struct engine *e, uint32_t id, struct tuple *master)
{
	const struct pinhole *p = pinhole_by_id(&e->pinholes, id);

	return p && p->state == PINHOLE_BOUND && p->todo != TODO_CLOSE &&
	       mapping_master(e, p, master);
}

bool engine_restore_session(
    struct engine *e, uint64_t now, const struct tuple *t, enum ph_service svc, bool encrypted)
{
	static const char cause[] = "encrypted before a restart";
	const struct cursor text = cursor_of(cause, sizeof(cause) - 1);
	struct decision unused = { .n = 0 };
	struct session *s = NULL;
	enum reason why;

	e->out = &unused;
	e->now = now;
	if (!session_of(&e->sessions, t))
		s = inherit(e, t, svc);
	if (s && encrypted) {
		s->encrypted = true;
		if (e->policy.service[svc].tls == TLS_WINDOW)
			(void)window_join(e, s, &text, true, &why);
	}
	e->out = NULL;
	return s;
}

/* Where a remembered pinhole belongs; false when that is gone. */
static bool origin_of_restored(struct engine *e, const struct restored_pinhole *r, struct origin *o)
{
	struct session *s = session_of(&e->sessions, &r->master);
	struct pair *pair;

	if (!r->program) {
		if (s)
			*o = origin_of_session(s);
		return s;
	}
	pair = pair_get(&e->pairs, &r->flow.src, &r->flow.dst);
	*o = (struct origin){
		.client = client_get(&e->sessions, &r->master.src),
		.master = r->master,
		.service = r->service,
		.paired = true,
	};
	if (pair)
		o->owner = &pair->owner;
	return pair && o->client;
}

/* Nothing came of it: what was made for it goes, unless there is other use for it. */
static void forget_origin(
    struct engine *e, const struct restored_pinhole *r, const struct origin *o)
{
	struct pair *pair = pair_of(&e->pairs, &r->flow.src, &r->flow.dst);

	if (pair)
		pair_put(&e->pairs, pair);
	if (o->client)
		client_put(&e->sessions, o->client);
}

bool engine_restore_pinhole(struct engine *e, uint64_t now, const struct restored_pinhole *r)
{
	bool bound = r->flow.sport != 0;
	struct origin o = { .owner = NULL };
	struct pinhole *p = NULL;
	enum reason why;

	e->now = now;
	e->frame = 0;
	if (at_port(e, &r->flow) || pinhole_bound(&e->pinholes, &r->flow))
		return false;
	if (origin_of_restored(e, r, &o))
		p = open_pinhole(
		    e, &o, &r->flow, r->dport_hi, bound ? PINHOLE_BOUND : PINHOLE_DORMANT, &why);
	if (!p) {
		forget_origin(e, r, &o);
		return false;
	}
	p->many = r->many;
	p->portmap = r->portmap;
	p->program = r->program;
	p->versions = r->versions;
	(void)snprintf(p->cause, sizeof(p->cause), "%s", r->cause);
	if (!bound)
		pinhole_expire_at(&e->pinholes, p,
		    now + e->policy.service[p->service].mapping_ttl + NSEC_PER_SEC);
	return true;
}

const struct local_program *engine_local_program(const struct engine *e, unsigned int i)
{
	return i < e->local.n_programs ? &e->local.program[i] : NULL;
}
