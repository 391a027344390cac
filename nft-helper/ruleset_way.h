/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which base chains a packet to or from this host comes by, in the kernel's order. */
#ifndef RULESET_WAY_H
#define RULESET_WAY_H

#include "ruleset_dump.h"

#define PRIORITY_CONNTRACK (-200) /* NF_IP_PRI_CONNTRACK */

enum stage { STAGE_INGRESS, STAGE_BRIDGE, STAGE_FIRST, STAGE_LAST, STAGE_NONE };

/* What rules write into a packet, or into what is kept with it. */
enum {
	WRITES_MARK = 1,
	WRITES_CT_MARK = 2,
	WRITES_PACKET = 4,
	WRITES_TRACKING = 8,
	WRITES_DESTINATION = 16,
	WRITES_SETS = 32,
};

/* A base chain on the way. */
struct station {
	const struct dump_chain *chain;
	enum stage stage;
	int32_t priority;
	bool partial; /* only packets of some interface come by */
	size_t order;
	unsigned int writes; /* WRITES_* */
	/* Chains of one priority come in an order that cannot be told: what all of them write. */
	unsigned int blurs;
	bool last_of_group;
};

/* In p. NULL when memory is out. */
struct station *way_find(struct pool *p, const struct dump *d, bool out, size_t *n);

#endif
