/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A little world around the engine for tests: a client and a server with addresses, packets made
 * from bytes, a clock that only moves when told, and the ops of everything that happened.
 */
#ifndef WORLD_H
#define WORLD_H

#include "engine.h"

#define WORLD_OPS 4096

struct world {
	struct policy policy;
	struct engine *engine;
	struct addr client, server;
	/* The control flow: FTP's, unless a test says otherwise. */
	enum ph_service service;
	enum l4 l4proto;
	uint16_t sport, port;
	uint64_t now;
	uint32_t seq[2];          /* next sequence number a direction */
	struct decision decision; /* the last one */
	struct op ops[WORLD_OPS]; /* all of them since world_forget() */
	unsigned int n;
	void (*after)(struct world *w); /* called with each decision, if set */
};

void world_begin(struct world *w, enum family family);
void world_end(struct world *w);

/* A new engine with w->policy; sessions and clock start again. */
void world_restart(struct world *w);
void world_forget(struct world *w);

/* The control connection's handshake (as copies), and both its FINs. */
void world_connect(struct world *w);
void world_hangup(struct world *w);

/* Text of one side as one segment, in order. */
void world_says(struct world *w, enum dir dir, const char *text);
/* The same with a length, and as one segment a piece of at most `chop` bytes. */
void world_says_chopped(struct world *w, enum dir dir, const char *text, size_t len, size_t chop);
/* One datagram. */
void world_datagram(struct world *w, enum dir dir, const void *bytes, size_t len);
/* A segment anywhere in the stream, relative to the next byte in order. */
void world_segment(struct world *w, enum dir dir, int32_t offset, const void *bytes, size_t len,
    uint8_t flags, uint32_t ack);

/* A datagram of any flow, with this TTL, as the event has it otherwise. */
void world_udp(struct world *w, struct event *ev, const struct tuple *t, uint8_t ttl,
    const void *bytes, size_t len);

void world_input(struct world *w, struct event *ev);
/* A bare packet as an event of this kind; flags are TCP's. */
void world_packet(struct world *w, enum event_kind kind, const struct tuple *t, uint8_t flags);
/* The copy of a bare control packet. */
void world_copy(
    struct world *w, enum ph_service svc, enum dir dir, const struct tuple *t, uint8_t flags);
void world_ct(struct world *w, enum event_kind kind, const struct tuple *t, unsigned int field);
void world_wait(struct world *w, uint64_t ns);

struct tuple world_control(const struct world *w);
/* client:sport -> server:port, or the other way round */
struct tuple world_data(const struct world *w, enum dir dir, uint16_t sport, uint16_t dport);

unsigned int world_count(const struct world *w, enum op_kind kind);
/* The last op of this kind, or NULL. */
const struct op *world_last(const struct world *w, enum op_kind kind);

#endif
