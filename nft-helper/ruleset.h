/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nftables rule set in force, as far as pinholed depends on it: would a packet that belongs to
 * a pinhole get through? Everything that is not understood counts as "depends".
 */
#ifndef RULESET_H
#define RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pinhole/abi.h"

#define RULESET_NAME 64

enum ruleset_answer {
	RULESET_NO,      /* such a packet is dropped */
	RULESET_DEPENDS, /* a rule lets some of them in: those that meet its other conditions */
	RULESET_YES,
};

/* A base chain at input, forward or output of family ip, ip6 or inet, other than ours. */
struct ruleset_chain {
	char table[RULESET_NAME], name[RULESET_NAME];
	const char *family, *hook; /* as nft writes them */
	bool drops;                /* its policy */
	bool owned;                /* the table belongs to a process: nobody else can add to it */
	/* A first packet that is ... */
	enum ruleset_answer related;          /* `ct state related`, and TCP */
	enum ruleset_answer mark[PH_SVC_MAX]; /* `new`, and carries our mark for this service */
	enum ruleset_answer both[PH_SVC_MAX]; /* `related`, and carries that mark */
};

/* A rule, by the chain it stands in. */
struct ruleset_rule {
	char table[RULESET_NAME], chain[RULESET_NAME];
	const char *family;
	uint64_t handle;
	char what[RULESET_NAME]; /* of a helper: its name or that of the object */
};

struct ruleset {
	struct ruleset_chain *chains;
	size_t n_chains;
	struct ruleset_rule *mark_writers; /* write one of our mark bits */
	size_t n_mark_writers;
	struct ruleset_rule *helpers; /* assign a kernel helper */
	size_t n_helpers;
	bool ours; /* our table is there */
};

/*
 * Fills *out for packets of pinholes, whose marks are within mark_mask. Without all_sets only sets
 * that can be asked for a state or a mark are read, and others leave it open. -EPERM without
 * CAP_NET_ADMIN; -EPROTONOSUPPORT or the like when the kernel has no nf_tables; -EINTR when the
 * rule set did not stop changing; other -errno. Then *out is empty.
 */
int ruleset_read(struct ruleset *out, uint32_t mark_mask, bool all_sets);
void ruleset_free(struct ruleset *r);

/* Whether iptables-legacy (ip6tables-legacy) has a table in use, which cannot be read here. */
bool ruleset_legacy(bool ip6);

/* As nft writes a family, NFPROTO_*; "?" for one that it does not have. */
const char *ruleset_family_word(uint32_t family);

#endif
