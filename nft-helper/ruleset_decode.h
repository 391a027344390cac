/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between ruleset_dump.c and ruleset_decode.c: the rule set as libnftnl has it. */
#ifndef RULESET_DECODE_H
#define RULESET_DECODE_H

#include "ruleset_dump.h"

struct list {
	void **item;
	size_t n, room;
};

struct raw_rule {
	struct nftnl_rule *rule;
	bool opaque; /* only its place is known */
};

struct raw_set {
	struct nftnl_set *set;
	bool unknown;
};

struct snapshot {
	struct list tables, chains; /* nftnl objects */
	struct list rules, sets;    /* raw_rule, raw_set */
};

/* Into *out, which is empty. 0 or -ENOMEM. */
int decode(struct dump *out, const struct snapshot *s);
bool decode_leads_to_verdicts(const struct nftnl_set *s);

#endif
