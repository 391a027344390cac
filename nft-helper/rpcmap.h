/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host's rpcbind has registered, and this host's addresses: the only user of libtirpc.
 * A thread of its own asks, each time within RPCMAP_PATIENCE_MS whatever rpcbind does; the caller
 * sees finished snapshots and never waits. What they mean for anybody is none of its business.
 */
#ifndef RPCMAP_H
#define RPCMAP_H

#include "addr.h"

#define RPCMAP_PROGRAMS    256
#define RPCMAP_ADDRESSES   256
#define RPCMAP_TEXT        96

#define RPCMAP_PATIENCE_MS 2000  /* for one ask, all addresses and versions together */
#define RPCMAP_WATCH_MS    2000  /* between two asks while rpcmap_watch() is on */
#define RPCMAP_IDLE_MS     30000 /* and while it is off */
#define RPCMAP_SPACING_MS  100   /* and at least, however often rpcmap_ask() is called */

enum rpcmap_state {
	RPCMAP_NEVER_ASKED,
	RPCMAP_ANSWERED,
	RPCMAP_ABSENT, /* no connection: nothing listens, or a firewall refuses */
	RPCMAP_SILENT, /* no whole answer in time, or no connection at all */
	RPCMAP_BROKEN, /* it hangs up, refuses, or answers with what is no map */
};

/* As registered; one entry a program, version and transport, each with a port that can be. */
struct rpcmap_program {
	uint32_t program, version;
	uint16_t port;   /* host order, never 0 */
	uint8_t l4proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;  /* enum family */
};

/*
 * A plain value. Programs are there only in RPCMAP_ANSWERED; without an answer nothing is known
 * about them, which is not the same as "not registered", and nor is absence from a list that is
 * `cut`. Addresses are those of all interfaces in any state, without loopback. Both lists are
 * sorted.
 */
struct rpcmap_snapshot {
	enum rpcmap_state state;
	int error;          /* -errno, as near as errno has a word for it; 0 in RPCMAP_ANSWERED */
	bool cut;           /* there are more programs; those of the superuser are kept first */
	bool addresses_cut; /* there are more addresses */
	unsigned int n_programs, n_addresses;
	char text[RPCMAP_TEXT]; /* for people: who answered, or what went wrong where */
	struct rpcmap_program program[RPCMAP_PROGRAMS];
	struct addr address[RPCMAP_ADDRESSES];
};

struct rpcmap;

/*
 * Starts the thread, in the network namespace that the caller is in, and the first ask. Privileges
 * may have been dropped: none are needed. 0 or -errno.
 */
int rpcmap_start(struct rpcmap **out);

/* Ends the thread, in the middle of an ask if need be, without waiting for rpcbind. NULL is fine.
 */
void rpcmap_stop(struct rpcmap *m);

/* Non-blocking; readable when a snapshot waits that differs from the one before. */
int rpcmap_fd(const struct rpcmap *m);

/* Takes that snapshot. False when none waits; out is untouched then. */
bool rpcmap_take(struct rpcmap *m, struct rpcmap_snapshot *out);

/* Ask now. As many calls as come while an ask is under way make one more ask. */
void rpcmap_ask(struct rpcmap *m);

/* Ask often (clients depend on the answer), or seldom, which is how it begins. */
void rpcmap_watch(struct rpcmap *m, bool on);

/* "answered", "absent", ...: one word, never NULL. */
const char *rpcmap_word(enum rpcmap_state state);

#endif
