/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nftables rule set in force, read from the kernel once and decoded into plain values: what
 * ruleset_walk.c leads packets through. Nothing here knows what a rule means.
 */
#ifndef RULESET_DUMP_H
#define RULESET_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addrset.h"

#define DUMP_REGISTERS 64 /* bytes of them; NFT_REG32_00 begins at 0 */
#define DUMP_FIELDS    16 /* of a concatenation: NFT_REG32_COUNT */

enum dump_op {
	DUMP_HARMLESS, /* counter, log and the like: every packet goes on */
	DUMP_OPAQUE,   /* not understood: anything may happen */
	DUMP_VERDICT,
	DUMP_QUEUE,
	DUMP_REJECT,
	DUMP_IMMEDIATE,
	DUMP_PAYLOAD,
	DUMP_PAYLOAD_SET,
	DUMP_META,
	DUMP_META_SET,
	DUMP_CT,
	DUMP_CT_SET,
	DUMP_FIB,
	DUMP_EXTHDR,
	DUMP_LOAD, /* something that only the kernel knows */
	DUMP_CMP,
	DUMP_RANGE,
	DUMP_BITWISE,
	DUMP_BYTEORDER,
	DUMP_LOOKUP,
	DUMP_DYNSET,
	DUMP_LIMIT,
	DUMP_CONDITION, /* one of its own: quota, connection limit */
	DUMP_OBJECT,
	DUMP_NOTRACK,
	DUMP_NAT,
	DUMP_REDIRECT,
	DUMP_MASQUERADE,
	DUMP_TPROXY,
	DUMP_SYNPROXY,
	DUMP_XT_MATCH,
	DUMP_XT_TARGET,
};

struct dump_chain;
struct dump_set;

/* Which of the fields mean something depends on op; numbers are those of <linux/.../nf_tables.h>.
 */
struct dump_expr {
	enum dump_op op;
	uint8_t sreg, dreg; /* offsets into the registers */
	bool has_dreg;
	bool inverted;   /* lookup; limit and the like: true when exceeded */
	uint32_t len;    /* of payload, data, ...: bytes */
	uint32_t key;    /* meta, ct; base of a payload; result of fib; comparison; object's type */
	uint32_t flags;  /* fib, extension header; direction of ct; size of byteorder */
	uint32_t offset; /* payload; extension header: its type << 16, and where in it */
	uint32_t data_len;           /* of data */
	const uint8_t *data, *data2; /* data2 as long as data */
	int verdict;
	const struct dump_chain *chain; /* of a jump or goto */
	const struct dump_set *set;     /* NULL: not known */
	const char *name; /* of xt matches and targets, and of objects; never NULL in these */
};

struct dump_rule {
	uint64_t handle;
	const struct dump_chain *chain; /* that it stands in */
	const struct dump_expr *expr;
	size_t n;
	/* What it asks for first of all, so that it can be passed over at a glance. */
	bool has_proto, has_dport;
	uint8_t proto;
	uint16_t dport_lo, dport_hi;
};

enum dump_type { DUMP_FILTER, DUMP_NAT_CHAIN, DUMP_ROUTE };

struct dump_chain {
	const char *table, *name;
	uint32_t family; /* NFPROTO_* */
	bool base;
	bool owned;   /* the table belongs to a process */
	bool dormant; /* the table is out of force */
	/* Of a base chain: */
	uint32_t hook;
	int32_t priority;
	bool drops; /* its policy */
	enum dump_type type;
	const char **device; /* at ingress: whose packets come by */
	size_t n_devices;
	struct dump_rule *rule;
	size_t n;
};

/* Of an interval: from lo to hi, field by field; else both are the same. */
struct dump_element {
	const uint8_t *lo, *hi; /* key_len bytes; NULL: whatever no other element names */
	const uint8_t *data;    /* of a map, or NULL */
	bool unsure;            /* it has a condition of its own */
	bool has_verdict;
	int verdict;
	const struct dump_chain *chain;
};

struct dump_set {
	const char *table, *name;
	uint32_t family;
	uint32_t flags; /* NFT_SET_* */
	uint32_t key_len, data_len;
	bool verdicts;
	bool unknown; /* the elements have not been read */
	/* Of a concatenation whose fields are compared one by one; else there is one. */
	unsigned int n_fields;
	uint8_t field_len[DUMP_FIELDS]; /* each begins at a multiple of four bytes */
	struct dump_element *element;   /* ascending by lo; the nameless one last */
	size_t n;
	bool plain; /* one field, no element with conditions or without a name */
	/* When plain and of 4 or 16 bytes: the keys, taken for addresses. */
	struct addrset addrs;
	bool has_addrs;
};

struct dump {
	struct pool pool;         /* where everything else lives */
	struct dump_chain *chain; /* in the kernel's order: that of creation within a table */
	size_t n_chains;
	struct dump_set *set;
	size_t n_sets;
	bool ours; /* table inet pinholed is there */
};

enum dump_sets {
	DUMP_SMALL_SETS, /* what can be asked for a state or a mark, and maps of verdicts */
	DUMP_ALL_SETS,
};

/*
 * Fills *out. -EPERM without CAP_NET_ADMIN; -EPROTONOSUPPORT or the like when the kernel has no
 * nf_tables; -EINTR when the rule set did not stop changing; other -errno. Then *out is empty.
 */
int dump_take(struct dump *out, enum dump_sets which);
void dump_free(struct dump *d);

#endif
