// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every comparison of an interface's name, number or type in any rule is made for each interface.
 * Two for which they all come out the same are alike; that is kept as a hash of the outcomes.
 */
#include "ruleset_alike.h"

#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#define HASH_BEGIN 0xcbf29ce484222325u /* FNV-1a */
#define HASH_PRIME 0x100000001b3u

enum kind { OTHER, NAME, INDEX, TYPE };

static enum kind kind_of(const struct dump_expr *e)
{
	if (e->op != DUMP_META)
		return OTHER;
	switch (e->key) {
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
		return NAME;
	case NFT_META_IIF:
	case NFT_META_OIF:
		return INDEX;
	case NFT_META_IIFTYPE:
	case NFT_META_OIFTYPE:
		return TYPE;
	default:
		return OTHER;
	}
}

/* As a register has it; returns its length. */
static size_t value_of(const struct walk_interface *i, enum kind kind, uint8_t out[16])
{
	switch (kind) {
	case NAME:
		memcpy(out, i->name, sizeof(i->name));
		return sizeof(i->name);
	case INDEX:
		memcpy(out, &i->index, sizeof(i->index));
		return sizeof(i->index);
	default:
		memcpy(out, &i->type, sizeof(i->type));
		return sizeof(i->type);
	}
}

static void mix(uint64_t *hash, uint8_t byte)
{
	*hash = (*hash ^ byte) * HASH_PRIME;
}

static void compare(uint64_t *hash, const struct walk_interface *i, enum kind kind,
    const uint8_t *lo, const uint8_t *hi, size_t len)
{
	uint8_t value[16];
	size_t have = value_of(i, kind, value);

	if (len > have)
		len = have;
	/* Two bits: names are compared for order, too. */
	mix(hash, (uint8_t)((memcmp(value, lo, len) >= 0) | (memcmp(value, hi, len) <= 0) << 1));
}

/* The kinds of what the registers hold, by the offset at which it begins. */
struct registers {
	enum kind at[DUMP_REGISTERS];
};

static void lookup(uint64_t *hash, const struct walk_interface *i, const struct registers *r,
    const struct dump_expr *e)
{
	for (size_t off = 0; e->set && off < e->set->key_len; off += 4) {
		enum kind kind = e->sreg + off < DUMP_REGISTERS ? r->at[e->sreg + off] : OTHER;

		for (size_t k = 0; kind != OTHER && k < e->set->n; k++) {
			const struct dump_element *x = &e->set->element[k];

			if (x->lo)
				compare(
				    hash, i, kind, x->lo + off, x->hi + off, e->set->key_len - off);
		}
	}
}

static void look_at(uint64_t *hash, const struct walk_interface *i, const struct dump_rule *rule)
{
	struct registers r = { .at = { OTHER } };

	for (size_t k = 0; k < rule->n; k++) {
		const struct dump_expr *e = &rule->expr[k];

		switch (e->op) {
		case DUMP_META:
			r.at[e->dreg] = kind_of(e);
			break;
		case DUMP_CMP:
			if (r.at[e->sreg] != OTHER)
				compare(hash, i, r.at[e->sreg], e->data, e->data, e->len);
			break;
		case DUMP_RANGE:
			if (r.at[e->sreg] != OTHER)
				compare(hash, i, r.at[e->sreg], e->data, e->data2, e->len);
			break;
		case DUMP_LOOKUP:
			lookup(hash, i, &r, e);
			break;
		case DUMP_BITWISE:
		case DUMP_BYTEORDER:
			/* Whatever comes of it may be another thing for each. */
			if (r.at[e->sreg] != OTHER)
				for (size_t b = 0; b < sizeof(i->name); b++)
					mix(hash, (uint8_t)i->name[b]);
			break;
		case DUMP_IMMEDIATE:
		case DUMP_PAYLOAD:
		case DUMP_CT:
		case DUMP_FIB:
		case DUMP_EXTHDR:
		case DUMP_LOAD:
			r.at[e->dreg] = OTHER;
			break;
		default:
			break;
		}
	}
}

static uint64_t hash_of(const struct dump *d, const struct walk_interface *i)
{
	uint64_t hash = HASH_BEGIN;

	for (size_t c = 0; c < d->n_chains; c++)
		for (size_t k = 0; k < d->chain[c].n_devices; k++)
			mix(&hash, strcmp(d->chain[c].device[k], i->name) == 0);
	for (size_t c = 0; c < d->n_chains; c++)
		for (size_t k = 0; k < d->chain[c].n; k++)
			look_at(&hash, i, &d->chain[c].rule[k]);
	return hash;
}

void alike_interfaces(
    const struct dump *d, const struct walk_interface *list, size_t n, size_t *first)
{
	uint64_t *hash = calloc(n, sizeof(*hash));

	for (size_t i = 0; i < n; i++) {
		first[i] = i;
		if (!hash)
			continue; /* then each is one of its own */
		hash[i] = hash_of(d, &list[i]);
		for (size_t k = 0; k < i && first[i] == i; k++)
			if (hash[k] == hash[i])
				first[i] = first[k];
	}
	free(hash);
}
