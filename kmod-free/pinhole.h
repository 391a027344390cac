/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pinhole: what the kernel calls an expectation, and its life
 *
 *   OPEN     waiting for its first flow; an element of a kernel set stands for it
 *   BOUND    one flow uses it; conntrack carries that flow, no element any more
 *   DORMANT  not in the kernel, remembered (mappings that outlive an idle connection)
 *   CLOSED   about to be freed; only decisions in flight still speak of it
 *
 * An OPEN pinhole is for one flow and becomes BOUND by it, unless it is `many`: then it stays OPEN
 * and each of its flows is a BOUND child. flow.sport is 0 (any) until BOUND.
 */
#ifndef PINHOLE_H
#define PINHOLE_H

#include "deadline.h"
#include "hash.h"
#include "policy.h"

enum pinhole_state { PINHOLE_OPEN, PINHOLE_BOUND, PINHOLE_DORMANT, PINHOLE_CLOSED };

#define PINHOLE_CAUSE      64

#define PROGRAM_VERSION(v) (1u << ((v) < 31 ? (v) : 31))

struct client;

/*
 * Whom pinholes belong to, and with whom they end: a session, or for mappings a pair of hosts.
 * Embedded in either.
 */
struct owner {
	struct pinhole *pinholes; /* doubly linked (utlist.h) */
	uint32_t count;
};

/* What is to happen to a pinhole as soon as a decision has room for it. */
enum pinhole_todo { TODO_NONE, TODO_CLOSE, TODO_SLEEP, TODO_WAKE };

struct pinhole {
	struct tuple key; /* flow, as it is hashed: a port window is hashed with port 0 */
	struct tuple flow;
	uint16_t dport_hi; /* last port of a window; flow.dport for a single port */
	uint8_t service;   /* enum ph_service */
	uint8_t state;     /* enum pinhole_state */
	uint8_t todo;      /* enum pinhole_todo */
	uint8_t doom;      /* enum reason, for TODO_CLOSE */
	bool many;
	bool lasting; /* for one flow at a time while its session lives; silence ends that flow */
	bool blind;   /* likewise, but what is in that flow is not looked at: conntrack ends it */
	bool paired;  /* its owner is a pair */
	bool portmap; /* leads to an rpcbind, which is a control port itself */
	bool moved;   /* closes because its port was given up: whoever still uses it is told so */
	bool proven;  /* conntrack has shown its flow since the last resync */
	struct tuple
	    master; /* the control flow, original direction; stays when the session is gone */
	uint32_t id;
	uint32_t session_id;    /* stays when the session is gone */
	uint32_t parent_id;     /* the `many` pinhole that let this flow in, or 0 */
	uint32_t users;         /* encrypted sessions that share a port window */
	uint32_t frame;         /* of the announcing packet; 0 outside captures */
	uint64_t opened_at;     /* ns, engine time */
	struct deadline expiry; /* not armed when only its end closes it */
	struct owner *owner;    /* NULL once it has ended */
	struct client *client;
	struct pinhole *prev, *next; /* within owner */
	uint32_t program;            /* of a mapping; else 0 */
	uint32_t versions;           /* of the program at this port: PROGRAM_VERSION() bits */
	char cause[PINHOLE_CAUSE];   /* escaped announcement */
	UT_hash_handle by_key, by_id;
};

struct pinholes {
	struct pinhole *by_key, *by_id; /* uthash heads */
	struct deadlines expiries;
	uint32_t last_id;
	uint32_t open; /* how many are OPEN */
	uint8_t hash_key[HASH_KEY_LEN];
};

/*
 * A zeroed pinhole with an id, hashed by flow (and as a window if dport_hi is above flow.dport),
 * its expiry armed for DEADLINE_NEVER - 1 so that arming it otherwise can no longer fail. NULL when
 * memory is out. The caller fills in the rest.
 */
struct pinhole *pinhole_new(
    struct pinholes *t, const struct tuple *flow, uint16_t dport_hi, enum pinhole_state state);

/* Unlinks from the table and frees. The caller has taken it out of session and client. */
void pinhole_free(struct pinholes *t, struct pinhole *p);

void pinhole_set_state(struct pinholes *t, struct pinhole *p, enum pinhole_state state);

/*
 * The expected flow has come: OPEN becomes BOUND, found by the whole tuple from now on. False when
 * memory is out; the pinhole can then only be closed.
 */
bool pinhole_bind(struct pinholes *t, struct pinhole *p, const struct tuple *flow);

void pinhole_expire_at(struct pinholes *t, struct pinhole *p, uint64_t at);

/* The OPEN (or DORMANT) pinhole that a first packet with this tuple would use. */
struct pinhole *pinhole_expecting(const struct pinholes *t, const struct tuple *flow);

/* The BOUND pinhole of this flow, in either direction. */
struct pinhole *pinhole_bound(const struct pinholes *t, const struct tuple *any_dir);

struct pinhole *pinhole_by_id(const struct pinholes *t, uint32_t id);

void pinholes_free(struct pinholes *t);

const char *pinhole_state_word(enum pinhole_state s);

#endif
