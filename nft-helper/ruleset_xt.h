/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Matches and targets of iptables-nft, in the words of the kernel's xt_*.c. One that is not known
 * here depends; a target that is not known may do anything.
 */
#ifndef RULESET_XT_H
#define RULESET_XT_H

#include "ruleset_state.h"

/* *about: WALK_ABOUT_* of what it looks at. */
struct cond xt_match(struct cell_scope *s, const struct packet_state *p, const struct dump_expr *e,
    unsigned int *about);

enum xt_does {
	XT_GOES_ON,
	XT_ANYTHING,
	XT_DROPS,
	XT_QUEUES,
	XT_TRANSLATES, /* the destination; and accepts */
	XT_ACCEPTS,
	XT_NOTRACK,
	XT_SETS_MARK,    /* mask and value */
	XT_SETS_CT_MARK, /* mask and value */
	XT_SETS_MARKS,   /* to something else */
};

/* *mask: bits that are kept; *value: bits that are flipped then. */
enum xt_does xt_target(const struct dump_expr *e, uint32_t *mask, uint32_t *value);

#endif
