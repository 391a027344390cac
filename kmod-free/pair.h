/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hosts that have flows with each other, in whichever direction, and the mappings that these
 * flows keep alive. ONC RPC connections come and go while a mount lasts; what lasts is the pair.
 */
#ifndef PAIR_H
#define PAIR_H

#include "session.h"

struct pair {
	struct addr hosts[2];  /* the smaller one first; the key */
	struct owner owner;    /* mappings, and the flows that they let in */
	struct session *flows; /* live ones (utlist.h) */
	uint32_t bound;        /* flows that mappings let in */
	struct tuple last;     /* the last that finished: conntrack keeps it for a while */
	uint64_t told_since; /* ns, engine time: ports given up since then, whose users are told */
	uint32_t told;
	struct deadline linger;   /* armed while there is no flow and mappings are still open */
	bool compare;             /* with what runs on this host, at the next chance */
	bool news;                /* and what runs there has just been told anew */
	struct pair *prev, *next; /* within those to compare */
	UT_hash_handle hh;
};

struct pairs {
	struct pair *all; /* uthash head */
	struct pair
	    *compare; /* those to compare (utlist.h): one flow must not cost a look at all */
	struct deadlines lingers;
	uint8_t hash_key[HASH_KEY_LEN];
};

struct pair *pair_of(const struct pairs *t, const struct addr *a, const struct addr *b);

/* The pair, made if it is new. NULL when memory is out. */
struct pair *pair_get(struct pairs *t, const struct addr *a, const struct addr *b);

/* To be compared, or no longer. */
void pair_compare(struct pairs *t, struct pair *p, bool compare);

/* Forgets the pair when it has neither flows nor mappings. */
void pair_put(struct pairs *t, struct pair *p);

/* Does any flow keep the mappings of this pair alive? */
bool pair_lives(const struct pair *p);

void pairs_free(struct pairs *t);

#endif
