/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a packet on its way, byte by byte, and what an expression that looks at it gets
 * to see.
 */
#ifndef RULESET_STATE_H
#define RULESET_STATE_H

#include "ruleset_cells.h"
#include "ruleset_walk.h"

#define STATE_NET   40 /* the longer of the network headers */
#define STATE_TH    20
#define STATE_SLACK 4 /* behind each: what is loaded is filled up to four bytes */

enum tracking {
	TRACK_BEFORE, /* conntrack has not seen it yet */
	TRACK_YES,
	TRACK_NEVER, /* notrack */
	TRACK_PERHAPS,
};

struct packet_state {
	const struct walk_packet *packet;
	struct cell net[STATE_NET + STATE_SLACK], th[STATE_TH + STATE_SLACK];
	struct cell ct_mark[4], meta_mark[4];
	enum tracking tracking;
	bool translated; /* perhaps: it may be for somebody else now */
};

/* Where the packet comes in; fills *s as well. */
void state_begin(struct packet_state *p, struct cell_scope *s, const struct walk_packet *packet);

/*
 * DUMP_PAYLOAD, _META, _CT, _FIB or _EXTHDR into cells, of which up to DUMP_REGISTERS may be
 * written. FAILS where there is nothing to load, and the rule ends.
 */
enum truth state_load(const struct packet_state *p, const struct cell_scope *s,
    const struct dump_expr *e, struct cell *to);

/* What a TCP SYN has for its maximum segment size. */
uint16_t state_mss(const struct walk_packet *p);
/* Bits of a flow's status that are known to be 0 at its first packet. */
uint32_t state_status_known(const struct packet_state *p);
/* The state as nf_tables has it; false when it is not known. */
bool state_of(const struct packet_state *p, uint32_t *out);

#endif
