/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of our table: which sets, chains and rules stand in it for a policy and a kernel,
 * written as the messages of one nf_tables transaction. Private to table.c; rules.c and table.c
 * together are the only users of libnftnl. Nothing here talks to the kernel.
 */
#ifndef RULES_H
#define RULES_H

#include "table.h"

/* What a kernel may lack. A message that needs one of them says so in its tag. */
enum feature {
	FEATURE_OWNER = 0x01,        /* the table belongs to its socket (5.12) */
	FEATURE_ONE_SHOT = 0x02,     /* several expressions an element (5.11) */
	FEATURE_PAYLOAD = 0x04,      /* payload behind the transport header (5.16) */
	FEATURE_QUEUE = 0x08,        /* nft queue expression */
	FEATURE_QUEUE_COMPAT = 0x10, /* xt target NFQUEUE in nft rules */
	FEATURE_DESTROY = 0x20,      /* deleting what need not be there (6.3) */
	FEATURE_RESET = 0x40,        /* nft reject expression */
};

/* Messages that go to the kernel as one transaction, and what it said of each. */
struct message {
	uint32_t at, len; /* within bytes */
	uint32_t id;      /* of the pinhole, for elements */
	uint32_t tag;     /* enum feature here, the kind of element in table.c */
	int error;        /* 0 or -errno, after the transaction */
};

struct batch {
	uint8_t *bytes;
	size_t len, room;
	struct message *message;
	uint32_t n, message_room;
	int error; /* -ENOMEM: something is missing in it, it must not be sent */
};

/* `len` bytes to write the next message into, or NULL; batch_add() then counts it in. */
void *batch_room(struct batch *b, size_t len);
void batch_add(struct batch *b, size_t len, uint32_t tag, uint32_t id);
void batch_clear(struct batch *b);
void batch_free(struct batch *b);

struct plan {
	struct table_setup setup; /* policy.admit is what is in force, not what was asked for */
	unsigned int features;    /* enum feature, those in use */
	unsigned int sets;        /* 1 << enum ph_service: those that have sets */
	unsigned int limited;     /* of these: one-flow sets whose elements admit one packet */
	bool seen;                /* there are seen4 and seen6 */
	bool moved;               /* there are moved4 and moved6 */
	bool shown;               /* there are says_up4 and its like */
	bool knock;               /* there are knock4 and knock6 */
	bool early;               /* there are early4 and early6 */
};

#define SET_NAME   16
#define MOVED_SIZE 65535u /* elements of moved4, and of moved6 */

/* ftp4, ftp6, ..., and with window ftpw4, ftpw6; into name[SET_NAME]. */
const char *rules_set_name(enum ph_service svc, enum family family, bool window, char *name);

/* bfdl6: between link-local addresses the interface is part of the key; NULL where none is. */
const char *rules_link_name(enum ph_service svc, char *name);
const char *rules_seen_name(enum family family);
const char *rules_moved_name(enum family family);
bool rules_has_windows(enum ph_service svc);

/* One flow per pinhole, so that an element may be limited to one packet. */
bool rules_one_flow(enum ph_service svc);

/*
 * The transaction that makes `to` out of nothing (from is NULL: whatever has our name is replaced)
 * or out of `from`, whose elements stay. Fills in to->sets, limited and seen.
 */
void rules_write(struct batch *b, const struct plan *from, struct plan *to);

/* The transaction that removes the table. */
void rules_erase(struct batch *b);

#define COUNTER_NAT_SEEN "nat_seen"

/* Newer than the headers that this is built with, perhaps. */
#define MSG_DESTROYSETELEM 30 /* NFT_MSG_DESTROYSETELEM */

#endif
