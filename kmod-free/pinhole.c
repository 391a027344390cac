// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of pinholes: by the tuple that a first packet would show, by id, and by expiry. Who may
 * open one, and what it means to close one, is the engine's business.
 */
#include "pinhole.h"

#include <stdlib.h>

static void hash_by_key(struct pinholes *t, struct pinhole *p)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, &p->key, sizeof(p->key));

	HASH_ADD_BYHASHVALUE(by_key, t->by_key, key, sizeof(p->key), h, p);
}

static struct pinhole *find_by_key(const struct pinholes *t, const struct tuple *key)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, key, sizeof(*key));
	struct pinhole *p = NULL;

	HASH_FIND_BYHASHVALUE(by_key, t->by_key, key, sizeof(*key), h, p);
	return p;
}

struct pinhole *pinhole_by_id(const struct pinholes *t, uint32_t id)
{
	struct pinhole *p = NULL;

	HASH_FIND(by_id, t->by_id, &id, sizeof(id), p);
	return p;
}

static uint32_t fresh_id(struct pinholes *t)
{
	do {
		t->last_id++;
	} while (t->last_id == 0 || pinhole_by_id(t, t->last_id));
	return t->last_id;
}

struct pinhole *pinhole_new(
    struct pinholes *t, const struct tuple *flow, uint16_t dport_hi, enum pinhole_state state)
{
	struct pinhole *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->flow = *flow;
	p->key = *flow;
	if (dport_hi > flow->dport)
		p->key.dport = 0;
	p->dport_hi = dport_hi;
	p->state = (uint8_t)state;
	p->id = fresh_id(t);
	if (!deadline_arm(&t->expiries, &p->expiry, DEADLINE_NEVER - 1))
		goto no_room;
	hash_by_key(t, p);
	if (!p->by_key.tbl)
		goto unarm;
	HASH_ADD(by_id, t->by_id, id, sizeof(p->id), p);
	if (!p->by_id.tbl)
		goto unhash;
	t->open += state == PINHOLE_OPEN;
	return p;
unhash:
	HASH_DELETE(by_key, t->by_key, p);
unarm:
	deadline_disarm(&t->expiries, &p->expiry);
no_room:
	free(p);
	return NULL;
}

void pinhole_free(struct pinholes *t, struct pinhole *p)
{
	pinhole_set_state(t, p, PINHOLE_CLOSED);
	deadline_disarm(&t->expiries, &p->expiry);
	if (p->by_key.tbl)
		HASH_DELETE(by_key, t->by_key, p);
	HASH_DELETE(by_id, t->by_id, p);
	free(p);
}

void pinhole_set_state(struct pinholes *t, struct pinhole *p, enum pinhole_state state)
{
	t->open -= p->state == PINHOLE_OPEN;
	t->open += state == PINHOLE_OPEN;
	p->state = (uint8_t)state;
}

/*
 * uthash frees a table with its last element, so putting this one back may fail for lack of memory:
 * it is then in no table of keys (by_key.tbl is NULL) and the caller closes it.
 */
bool pinhole_bind(struct pinholes *t, struct pinhole *p, const struct tuple *flow)
{
	HASH_DELETE(by_key, t->by_key, p);
	p->flow = *flow;
	p->key = *flow;
	p->dport_hi = flow->dport;
	hash_by_key(t, p);
	if (!p->by_key.tbl)
		return false;
	pinhole_set_state(t, p, PINHOLE_BOUND);
	return true;
}

void pinhole_expire_at(struct pinholes *t, struct pinhole *p, uint64_t at)
{
	if (at >= DEADLINE_NEVER)
		at = DEADLINE_NEVER - 1;
	/* Armed since pinhole_new(): moving needs no memory. */
	(void)deadline_arm(&t->expiries, &p->expiry, at);
}

struct pinhole *pinhole_expecting(const struct pinholes *t, const struct tuple *flow)
{
	struct tuple key = *flow;
	struct pinhole *p;

	key.sport = 0;
	p = find_by_key(t, &key);
	if (p)
		return p;
	key.dport = 0;
	p = find_by_key(t, &key);
	if (p && flow->dport >= p->flow.dport && flow->dport <= p->dport_hi)
		return p;
	return NULL;
}

struct pinhole *pinhole_bound(const struct pinholes *t, const struct tuple *any_dir)
{
	struct tuple other = tuple_invert(any_dir);
	struct pinhole *p = find_by_key(t, any_dir);

	if (!p)
		p = find_by_key(t, &other);
	return p && p->state == PINHOLE_BOUND ? p : NULL;
}

void pinholes_free(struct pinholes *t)
{
	struct pinhole *p, *tmp;

	HASH_CLEAR(by_key, t->by_key);
	HASH_ITER (by_id, t->by_id, p, tmp) {
		HASH_DELETE(by_id, t->by_id, p);
		free(p);
	}
	deadlines_free(&t->expiries);
}

const char *pinhole_state_word(enum pinhole_state s)
{
	static const char *const words[] = {
		[PINHOLE_OPEN] = "open",
		[PINHOLE_BOUND] = "bound",
		[PINHOLE_DORMANT] = "dormant",
		[PINHOLE_CLOSED] = "closed",
	};
	_Static_assert(sizeof(words) / sizeof(words[0]) == PINHOLE_CLOSED + 1, "a word a state");

	return words[s];
}
