/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the engine share and nobody else sees: engine.c takes events, request.c answers
 * trackers, opening.c opens and closes pinholes, mapping.c lets mappings sleep and wake. Functions
 * here work within one engine_input(): e->out, e->now and e->frame are set.
 */
#ifndef CORE_H
#define CORE_H

#include "engine.h"
#include "pair.h"

/* That a one-way flow may be silent before it has said how often it will speak. */
#define HOLD            (5 * NSEC_PER_SEC)

#define LOCAL_ADDRESSES 256
#define LOCAL_PROGRAMS  256

/* What runs on this host itself, as its rpcbind says. */
struct local {
	bool known; /* EV_LOCAL_END has come */
	bool cut;   /* there are more programs: absence proves nothing */
	unsigned int n_addresses, n_programs;
	struct addr address[LOCAL_ADDRESSES];
	struct local_program program[LOCAL_PROGRAMS];
};

struct engine {
	struct policy policy;
	struct sessions sessions;
	struct pinholes pinholes;
	struct pairs pairs;
	struct local local;
	struct engine_stats stats;
	/* During engine_input() only: */
	struct decision *out;
	uint64_t now;
	uint32_t frame;
};

struct track {
	struct engine *engine;
	struct session *session;
	/* One-way services, within one packet: */
	struct pinhole *flow; /* of the reply direction: what let it in before, or NULL */
	bool alive;           /* track_alive() was called: the packet may let its flow in */
	uint64_t heard;       /* ns that it promised */
};

/* Where a new pinhole comes from. */
struct origin {
	struct owner *owner;
	struct client *client;
	struct tuple master;
	uint32_t session_id;
	enum ph_service service;
	bool paired;
};

struct origin origin_of_session(struct session *s);

/* --- opening.c ----------------------------------------------------------------------------------
 */

bool ops_left(const struct engine *e, unsigned int n);
void emit_session(struct engine *e, enum op_kind kind, enum reason why, const struct session *s);
/* NULL when the decision is full. */
struct op *emit_pinhole(
    struct engine *e, enum op_kind kind, enum reason why, const struct pinhole *p);

/*
 * Counts a refusal and explains it. s and flow may be NULL when there is none to speak of; peers
 * decide how often this happens, so a full decision only counts. Returns the op, or NULL.
 */
struct op *refuse(struct engine *e, enum reason why, struct session *s, const struct tuple *flow,
    const struct cursor *cause);

/*
 * The one place where pinholes come from. flow has the addresses of the session; its ports have
 * been judged. Nothing is emitted yet. NULL with *why when a limit or memory stands against it.
 */
struct pinhole *open_pinhole(struct engine *e, const struct origin *o, const struct tuple *flow,
    uint16_t dport_hi, enum pinhole_state state, enum reason *why);

/* It is in force from now on: counts it, arms its expiry, emits OP_OPEN. */
void report_open(struct engine *e, struct pinhole *p, enum reason why);

/* Closes p now, or, when the decision is full, at the next EV_TICK. p is gone or doomed after it.
 */
void close_pinhole(struct engine *e, struct pinhole *p, enum reason why);

/* The pinhole for this very port, in whatever state; a port window around it does not count. */
struct pinhole *at_port(const struct engine *e, const struct tuple *flow);

/* The pinhole that flow's first packet may use now, or NULL. */
struct pinhole *usable(const struct engine *e, const struct tuple *flow);

/*
 * The pinhole that let this flow in, when conntrack shows one with our mark; or NULL. A `many` one
 * may have fallen asleep in the same moment, or be waiting for a restart to be over.
 */
struct pinhole *let_in_by(const struct engine *e, const struct tuple *flow);

/* Lets a first packet in by p, or refuses it when p is NULL. */
void admit(struct engine *e, struct pinhole *p, const struct tuple *flow);

/*
 * All pinholes of a session that ends: unused ones close, and lasting ones; a transfer under way
 * may finish.
 */
void close_owned(struct engine *e, struct owner *o, enum reason why);

void arm_open(struct engine *e, struct pinhole *p);

/* It goes with another owner from now on. */
void hand_over(struct pinhole *p, struct owner *to);

/* Something is to happen to p at the next chance. */
void postpone(struct engine *e, struct pinhole *p, enum pinhole_todo todo);

/* --- oneway.c -----------------------------------------------------------------------------------
 */

/*
 * A session of a one-way service has begun: what the one before it (or NULL) had is its own now,
 * and that one has ended.
 */
void oneway_begin(struct engine *e, struct session *s, struct session *old);

/* Opens or finds the lasting pinhole that r asks for; its id, or 0 with *why. */
uint32_t oneway_request(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why);

/* Between link-local addresses a flow is one of this interface. */
void oneway_scope(struct tuple *t, uint32_t iface);

/* A packet of the reply direction, let in by a lasting pinhole, or about to be. */
void oneway_reply(struct engine *e, const struct packet *pkt);

/* Has it come through no more routers than it may? Counts and explains if it has. */
bool oneway_hops(struct engine *e, enum ph_service svc, enum dir dir, const struct packet *pkt);

/* Sessions that nothing has been heard of in time. */
void oneway_silence(struct engine *e);

/* --- mapping.c ----------------------------------------------------------------------------------
 */

/*
 * The port window of an encrypted session: one for all encrypted sessions of the same hosts, open
 * while any of them lives, since nothing tells which of them a flow belongs to. With `asleep` it
 * opens when a resync has proven the session. False with *why when it cannot be had.
 */
bool window_join(
    struct engine *e, struct session *s, const struct cursor *cause, bool asleep, enum reason *why);
void window_leave(struct engine *e, struct session *s);

/* The pair that owns p, if p is a mapping, a port window, or a flow of one. */
struct pair *pair_of_pinhole(const struct engine *e, const struct pinhole *p);

/* A flow of the pair has begun or ended: mappings wake, or begin to linger. */
void pair_flow_began(struct engine *e, struct pair *pair);
void pair_flow_ended(struct engine *e, struct pair *pair);

/*
 * A TCP flow is about to end that conntrack will keep for a while; pair may be NULL. And conntrack
 * has forgotten a flow, whatever it was.
 */
void pair_flow_finished(struct pair *pair, const struct tuple *flow);
void pair_flow_gone(struct engine *e, const struct tuple *flow);

/*
 * A flow of the hosts of this mapping (or of this flow of one) that conntrack knows, to be its
 * master: a live one, or the last that was. False, and *master as it is, when there is none.
 */
bool mapping_master(const struct engine *e, const struct pinhole *p, struct tuple *master);

/* Closes a mapping (or any other pinhole), and forgets its pair if that was all. */
void close_mapping(struct engine *e, struct pinhole *p, enum reason why);

/* Opens, renews or moves the mapping that r asks for; its id, or 0 with *why. */
uint32_t mapping_request(struct engine *e, struct session *s, const struct request *r,
    const struct tuple *flow, enum reason *why);

/* What is postponed for p (which is due) now happens. */
void mapping_sleep(struct engine *e, struct pinhole *p);
void mapping_wake(struct engine *e, struct pinhole *p);

/* Pairs whose linger is over. */
void pairs_linger(struct engine *e);

/* Mappings to this host are to be compared with what its rpcbind says; later, by pairs_compare().
 */
void pairs_to_compare(struct engine *e);

/* Compares as many as the decision has room for. What is due to close has been closed before. */
void pairs_compare(struct engine *e);

/* --- request.c ----------------------------------------------------------------------------------
 */

/* What policy says to this request of a session with `peer` at the other end. */
enum reason judge(
    const struct engine *e, enum ph_service svc, const struct request *r, const struct addr *peer);

/* --- engine.c -----------------------------------------------------------------------------------
 */

struct session *session_begin(
    struct engine *e, const struct tuple *original, enum ph_service svc, bool resumed);
void session_end(struct engine *e, struct session *s, enum reason why);

#endif
