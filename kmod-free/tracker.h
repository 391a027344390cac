/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a protocol has to provide, and all that it may ask for. A tracker reads the bytes of one
 * control session and *requests* ports; it never sees addresses it could open, a clock, a socket, a
 * log or another session. A new protocol is one file in track/ and one line in tracker.c.
 */
#ifndef TRACKER_H
#define TRACKER_H

#include "cursor.h"
#include "pinhole/abi.h"
#include "reason.h"
#include "tuple.h"

struct track; /* one session, as its tracker sees it */

struct request {
	enum dir dir;          /* of the expected flow: ORIGINAL is client to server */
	enum l4 l4proto;       /* of the expected flow */
	uint32_t port;         /* its destination port as announced, not yet judged */
	struct addr announced; /* the address that came with it; FAMILY_NONE when none did */
	struct cursor cause;   /* the bytes that announced it, for `pinholectl why` */
	/*
	 * A mapping is for many flows, and belongs to the two hosts rather than to this session: it
	 * lives while they have any flow. One program and version has one port a transport.
	 */
	bool mapping;
	bool portmap; /* the mapping leads to the peer's own rpcbind, for its callbacks */
	uint32_t program, version;
	/*
	 * For one-way services: for one flow at a time, as long as this session lives. Asked for
	 * again, it is the one that is there.
	 */
	bool lasting;
	bool blind;  /* likewise, and what is in that flow is not looked at */
	bool looped; /* it comes back to its sender: both its addresses are its destination's */
};

/* What a tracker tells people of a session: a number, or a word in its place. */
struct fact {
	const char *name; /* as JSON has it */
	const char *word;
	uint64_t number;
};
#define FACTS_MAX 24

struct tracker {
	const char *name;
	enum ph_service service;
	/*
	 * Each direction is a flow of its own, which conntrack can not tie together: the reply's
	 * comes through a lasting pinhole, and silence ends either. UDP only.
	 */
	bool one_way;
	/*
	 * All that counts are the client's first bytes. So a session whose beginning was not seen
	 * has nothing to say, and after a restart it stays unheard. TCP only.
	 */
	bool preamble;
	/* Flows of this service belong to the hosts' mappings of that one; NONE for all others. */
	enum ph_service mappings;
	size_t state_size; /* per session, zeroed at its start; at most TRACKER_STATE_MAX */
	/* TCP: bytes in order, cut anywhere. */
	void (*bytes)(struct track *t, void *state, enum dir dir, struct cursor bytes);
	/* TCP: what follows in this direction does not join what came before. */
	void (*gap)(struct track *t, void *state, enum dir dir);
	/* UDP: one whole datagram. NULL where the protocol has none; likewise bytes and gap. */
	void (*datagram)(struct track *t, void *state, enum dir dir, struct cursor payload);
	/* Into facts[FACTS_MAX]; how many. NULL when there is nothing to tell. */
	unsigned int (*facts)(const void *state, struct fact *facts);
};

#define TRACKER_STATE_MAX 4096

/* The tracker of a service, or NULL where there is none. */
const struct tracker *tracker_of(enum ph_service svc);

/*
 * Asks for a pinhole for one flow, in place of any that this session has open and unused; asked for
 * again, it is the one that is there. Returns its id, or 0 when the request was refused; the
 * refusal is already counted and explained.
 */
uint32_t track_expect(struct track *t, const struct request *r);

/*
 * The request was turned down by the peer: closes that pinhole if nothing has used it yet, a
 * lasting one in any case. 0 is none.
 */
void track_withdraw(struct track *t, uint32_t id, enum reason why);

/*
 * One-way services. This direction has spoken, and will again within ns: else its flow has ended,
 * and with ORIGINAL the session. Without this call nothing is let in by a packet. Or the reply's
 * flow, if there is one, may be silent for ns from now; or it has ended now, as one of the two has
 * said. The state of a session whose source port changes goes to the one that takes its place.
 */
void track_alive(struct track *t, enum dir dir, uint64_t ns);
void track_stays(struct track *t, uint64_t ns);
void track_ended(struct track *t, enum reason why);

/* TCP: nothing that is still to come in this session counts; no more of it comes to the tracker. */
void track_over(struct track *t);

/* The control port of the session, and the port that its client speaks from. */
uint16_t track_port(const struct track *t);
uint16_t track_source_port(const struct track *t);

/* Counts and explains a refusal that the tracker itself has to make; r may be NULL. */
void track_refuse(struct track *t, enum reason why, const struct request *r);

/*
 * Questions that wait for an answer: remembered with a deadline, the oldest forgotten when there
 * are more than QUESTIONS; asked again with the same XID, a question takes the place of the one
 * before. track_asked() finds one that still waits, track_answered() takes it, so that it is
 * answered once.
 */
#define QUESTIONS 32
struct question {
	uint32_t xid;
	uint32_t what[4]; /* the tracker's own */
};
void track_ask(struct track *t, const struct question *q);
bool track_asked(struct track *t, uint32_t xid, struct question *q);
void track_answered(struct track *t, uint32_t xid);

/* Of the session's addresses. */
enum family track_family(const struct track *t);

/* Would a mapping of this RPC program be opened at all? For lists of everything that runs. */
bool track_wants_program(struct track *t, uint32_t program);

/*
 * The session continues as ciphertext: no more bytes will come to the tracker. What may still be
 * opened for it is policy (`tls`).
 */
void track_encrypted(struct track *t, struct cursor cause);

#endif
