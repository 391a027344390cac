/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of which not everything is known, and conditions on them. The address of the other side is
 * known as a set: a condition splits it in those for whom it holds and the rest. Ports are known,
 * and each condition says up to which port it would have come out the same; so that one question is
 * answered for a whole range of them.
 */
#ifndef RULESET_CELLS_H
#define RULESET_CELLS_H

#include "addrset.h"
#include "ruleset_dump.h"

/* Where a byte comes from, as far as that matters. */
enum cell_from {
	CELL_ELSEWHERE,
	CELL_PEER,  /* byte `index` of the address, in the bits of mask */
	CELL_DPORT, /* 0 high, 1 low byte, in the bits of mask */
	CELL_SPORT,
	CELL_STATE,    /* of conntrack */
	CELL_MARK,     /* of the flow; mask: the bits that still are the flow's */
	CELL_OWN,      /* of an address that is not known */
	CELL_IF_INDEX, /* of an interface other than loopback */
	CELL_IF_NAME,
	CELL_IF_TYPE,
};

/* Bits that are not in known are 0 in value. */
struct cell {
	uint8_t value, known;
	uint8_t from; /* enum cell_from */
	uint8_t index, mask;
};

enum { CELL_PORT_DST, CELL_PORT_SRC, CELL_PORTS };

struct cell_port {
	bool asked; /* a question about this port, and the ones behind it up to... */
	uint16_t at, upto;
};

/* What the conditions of one walk share. */
struct cell_scope {
	struct pool *pool;
	unsigned int addr_len; /* of the peer: 4 or 16; 0: no question about peers */
	struct addrset peers;  /* all that are in question */
	struct cell_port port[CELL_PORTS];
};

enum truth { FAILS, DEPENDS, SPLITS, HOLDS };

/* SPLITS: it holds for `sure`, and for nobody outside `may`. */
struct cond {
	enum truth truth;
	struct addrset sure, may;
};

/* These fill cells, and those up to the next multiple of four with zeros, as the kernel does. */
void cells_unknown(struct cell *c, size_t len);
void cells_bytes(struct cell *c, const void *bytes, size_t len, enum cell_from from);
/* In host order, as the kernel keeps it. */
void cells_word(struct cell *c, uint32_t value, enum cell_from from);
void cells_byte(struct cell *c, uint8_t value);
void cells_be16(struct cell *c, uint16_t value);
/* Not known, but not that of the loopback interface: CELL_IF_*. */
void cells_not_loopback(struct cell *c, enum cell_from from);
/* The first len bytes of the peer's address. */
void cells_peer(struct cell *c, size_t len);
void cells_port(struct cell *c, const struct cell_scope *s, unsigned int which);

/* An unchanged port, in order, that is not from lo to hi; then it has been narrowed. */
bool cells_port_outside(struct cell_scope *s, const struct cell *c, uint16_t lo, uint16_t hi);

/* Those that are not the same in both become unknown: c holds one or the other. */
void cells_join(struct cell *c, const struct cell *other, size_t len);

/* The kernel's arithmetic. */
/* (c & keep) ^ flip */
void cells_mask(struct cell *c, const uint8_t *keep, const uint8_t *flip, size_t len);
void cells_shift(struct cell *c, size_t len, unsigned int by, bool left);
void cells_swap(struct cell *c, size_t len, size_t size);

/* All bits known, and the same whatever the port. */
bool cells_fixed(const struct cell *c, size_t len, uint8_t *out);

/* lo <= cells <= hi, as big-endian numbers. */
struct cond cells_within(
    struct cell_scope *s, const struct cell *c, const uint8_t *lo, const uint8_t *hi, size_t len);
/* op: NFT_CMP_*. */
struct cond cells_compare(
    struct cell_scope *s, const struct cell *c, uint32_t op, const uint8_t *data, size_t len);
struct cond cells_in_set(struct cell_scope *s, const struct cell *key, const struct dump_set *set);
/* Does this very element match? Not for the nameless one. */
struct cond cells_in_element(struct cell_scope *s, const struct cell *key,
    const struct dump_set *set, const struct dump_element *e);

struct cond cond_of(enum truth truth);
struct cond cond_not(struct cell_scope *s, struct cond c);
struct cond cond_and(struct cell_scope *s, struct cond a, struct cond b);
struct cond cond_or(struct cell_scope *s, struct cond a, struct cond b);

#endif
