// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of pairs. What their mappings do while the pair lives, lingers or sleeps is in
 * mapping.c.
 */
#include "pair.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static void order(const struct addr *a, const struct addr *b, struct addr hosts[2])
{
	bool swap = memcmp(a, b, sizeof(*a)) > 0;

	hosts[0] = swap ? *b : *a;
	hosts[1] = swap ? *a : *b;
}

static unsigned int hash_hosts(const struct pairs *t, const struct addr hosts[2])
{
	return (unsigned int)hash_sip13(t->hash_key, hosts, 2 * sizeof(*hosts));
}

static struct pair *find(const struct pairs *t, const struct addr hosts[2])
{
	struct pair *p = NULL;

	HASH_FIND_BYHASHVALUE(hh, t->all, hosts, 2 * sizeof(*hosts), hash_hosts(t, hosts), p);
	return p;
}

struct pair *pair_of(const struct pairs *t, const struct addr *a, const struct addr *b)
{
	struct addr hosts[2];

	order(a, b, hosts);
	return find(t, hosts);
}

struct pair *pair_get(struct pairs *t, const struct addr *a, const struct addr *b)
{
	struct addr hosts[2];
	struct pair *p;

	order(a, b, hosts);
	p = find(t, hosts);
	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	memcpy(p->hosts, hosts, sizeof(hosts));
	/* Armed for never, so that moving it later needs no memory. */
	if (!deadline_arm(&t->lingers, &p->linger, DEADLINE_NEVER - 1))
		goto out;
	HASH_ADD_KEYPTR_BYHASHVALUE(
	    hh, t->all, p->hosts, sizeof(p->hosts), hash_hosts(t, p->hosts), p);
	if (p->hh.tbl)
		return p;
	deadline_disarm(&t->lingers, &p->linger);
out:
	free(p);
	return NULL;
}

void pair_compare(struct pairs *t, struct pair *p, bool compare)
{
	if (compare && !p->compare)
		DL_APPEND(t->compare, p);
	if (!compare && p->compare)
		DL_DELETE(t->compare, p);
	p->compare = compare;
}

void pair_put(struct pairs *t, struct pair *p)
{
	if (p->flows || p->owner.pinholes)
		return;
	pair_compare(t, p, false);
	deadline_disarm(&t->lingers, &p->linger);
	HASH_DELETE(hh, t->all, p);
	free(p);
}

bool pair_lives(const struct pair *p)
{
	return p->flows || p->bound;
}

void pairs_free(struct pairs *t)
{
	struct pair *p, *tmp;

	HASH_ITER (hh, t->all, p, tmp) {
		HASH_DELETE(hh, t->all, p);
		free(p);
	}
	deadlines_free(&t->lingers);
}
