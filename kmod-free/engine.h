/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: one event in, one decision out. It owns all sessions and pinholes; it has no
 * descriptors, no clock, no log, and it trusts nothing in a packet. The same engine runs over the
 * live kernel, over a capture file and in unit tests. Not thread-safe; one engine, one thread.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "hash.h"
#include "pinhole.h"
#include "policy.h"
#include "reason.h"
#include "session.h"
#include "tuple.h"

enum event_kind {
	EV_PACKET,     /* a control packet in full: l3, len, service, dir */
	EV_COPY,       /* a copy of a control packet, of which only the TCP flags count: likewise */
	EV_FIRST,      /* first packet of what may be an expected flow: l3, len */
	EV_END,        /* FIN or RST of an admitted flow: l3, len */
	EV_CT_NEW,     /* conntrack: tuple (original direction), mark_field */
	EV_CT_DESTROY, /* likewise */
	EV_RESYNC,     /* all of conntrack is about to be shown anew */
	EV_CT_ALIVE,   /* one entry of it: tuple, mark_field */
	EV_RESYNCED,   /* that was all: what was not shown has ended */
	EV_LOCAL_BEGIN,   /* what runs on this host is about to be told anew */
	EV_LOCAL_ADDRESS, /* one of its addresses: tuple.dst */
	EV_LOCAL_PROGRAM, /* one of its RPC programs: program, version, tuple.dport, .l4proto,
			   * .dst.family */
	EV_LOCAL_END,     /* that was all; id 1: all that was to be had, there are more */
	EV_CLOSE,         /* close pinhole `id` for `reason` (operator, commit failed) */
	EV_TICK,          /* time has passed */
};

struct event {
	enum event_kind kind;
	uint64_t now;   /* ns; any epoch, never going back */
	uint32_t frame; /* frame number of a capture, or 0 */
	enum ph_service service;
	enum dir dir;
	const uint8_t *l3; /* borrowed for the call */
	size_t len;
	uint32_t iface; /* that the packet came in by, or is to leave by; 0: not known */
	struct tuple tuple;
	unsigned int mark_field; /* ph_mark_field() of the flow's mark */
	uint32_t id;
	enum reason reason;
	uint32_t program, version; /* EV_LOCAL_PROGRAM */
};

enum op_kind {
	OP_SESSION_BEGIN, /* for people: nothing to do in the kernel */
	OP_SESSION_END,   /* likewise */
	OP_OPEN,          /* add the set element for flow (and dport_hi), timeout ns */
	OP_RENEW,         /* the same element lives on: give it a fresh timeout */
	OP_ADMIT,         /* flow (with its source port) uses it: `related` creates its conntrack
			   * entry under master; unless `many`, the element is spent: remove it */
	OP_CLOSE,         /* remove the set element (expired, withdrawn, ...) */
	OP_END,           /* a bound flow has ended; with `kill`, delete its conntrack entry */
	OP_REFUSE,        /* for people: reason, and flow as far as it is known */
};

/* A copy of all an adapter needs: ops stay valid when the engine moves on. */
struct op {
	enum op_kind kind;
	enum reason reason;
	enum ph_service service;
	uint32_t id;         /* pinhole, or session for OP_SESSION_*; 0 in OP_REFUSE */
	uint32_t session_id; /* 0 when there is none */
	struct tuple flow;   /* of the pinhole; of the session for OP_SESSION_* */
	struct tuple master; /* the control flow, original direction */
	uint16_t dport_hi;
	bool many; /* the pinhole is for more than one flow */
	bool kill;
	bool control; /* OP_ADMIT: the flow is a control session, too, and is to be marked so */
	bool moved;   /* OP_CLOSE: the port was given up; who still uses it deserves a reset */
	uint32_t program, versions; /* of a mapping; else 0 */
	uint64_t timeout;           /* ns, OP_OPEN, OP_RENEW, OP_ADMIT */
	char cause[PINHOLE_CAUSE];  /* OP_OPEN, OP_REFUSE: escaped bytes that led here */
};

#define DECISION_OPS 64

/*
 * What to do about one event. A packet that was held is always let go: the firewall has accepted it
 * already, and the engine only ever adds. It may be let go once every OP_OPEN and OP_ADMIT of the
 * decision is in force in the kernel.
 */
struct decision {
	enum reason reason; /* the last refusal, else REASON_NONE */
	bool more;          /* not all fitted: send EV_TICK again at once */
	unsigned int n;
	struct op ops[DECISION_OPS];
};

struct engine_stats {
	uint64_t packets, firsts, sessions, opened, bound;
	uint64_t reasons[REASON_MAX]; /* closed or refused, by reason */
	uint64_t service_opened[PH_SVC_MAX];
	uint32_t live_sessions, live_pinholes, open_pinholes;
};

struct engine;

/* NULL when memory is out. The policy is copied; key should be random for a live engine. */
struct engine *engine_new(const struct policy *p, const uint8_t key[HASH_KEY_LEN]);
void engine_free(struct engine *e);

/* out is overwritten. */
void engine_input(struct engine *e, const struct event *ev, struct decision *out);

/* When the next EV_TICK has something to do, in engine time; DEADLINE_NEVER for never. */
uint64_t engine_deadline(const struct engine *e);

/* Puts another policy in force. What is open stays open until its own end. */
void engine_set_policy(struct engine *e, const struct policy *p);
const struct policy *engine_policy(const struct engine *e);

const struct engine_stats *engine_stats(const struct engine *e);

/* In order of creation; NULL ends. Valid until the next engine_input(). */
const struct session *engine_first_session(const struct engine *e);
const struct session *engine_next_session(const struct session *s);
const struct pinhole *engine_first_pinhole(const struct engine *e);
const struct pinhole *engine_next_pinhole(const struct pinhole *p);

const struct session *engine_session(const struct engine *e, uint32_t id);
const struct pinhole *engine_pinhole(const struct engine *e, uint32_t id);

/*
 * What a packet with this tuple is to the engine: part of a session (service and dir are set), the
 * first packet of an expected flow, part of a bound flow, or nothing. SHUT is nothing, too: what
 * the peer of a one-way session sends while no pinhole lets it in. For adapters that have no kernel
 * to ask, such as replay.
 */
enum match { MATCH_NONE, MATCH_SHUT, MATCH_CONTROL, MATCH_EXPECTED, MATCH_BOUND };
enum match engine_match(
    const struct engine *e, const struct tuple *t, enum ph_service *service, enum dir *dir);

/*
 * The master of OP_ADMIT turned out to be gone, and EV_CT_DESTROY has said so: another for this
 * BOUND pinhole, while its first packet is still held. False when there is none.
 */
bool engine_another_master(const struct engine *e, uint32_t id, struct tuple *master);

/*
 * Restart: what an earlier run remembered, sessions before pinholes. Both only count once
 * EV_CT_ALIVE proves them, between EV_RESYNC and EV_RESYNCED, which must follow. False when refused
 * by the limits or memory. Restored OPEN pinholes are reported as OP_OPEN by EV_RESYNCED.
 */
bool engine_restore_session(
    struct engine *e, uint64_t now, const struct tuple *t, enum ph_service svc, bool encrypted);
struct restored_pinhole {
	struct tuple master, flow;
	uint16_t dport_hi;
	enum ph_service service;
	bool many, portmap;
	uint32_t program, versions;
	const char *cause;
};
bool engine_restore_pinhole(struct engine *e, uint64_t now, const struct restored_pinhole *r);

/* An RPC program that runs on this host, as EV_LOCAL_PROGRAM told. */
struct local_program {
	uint32_t program, version;
	uint16_t port;
	uint8_t l4proto;
	uint8_t family; /* enum family */
};

/* For people: NULL past the last one. */
const struct local_program *engine_local_program(const struct engine *e, unsigned int i);

#endif
