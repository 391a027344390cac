/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings as audit.c makes them, one port and family at a time; here they are put together, sorted
 * and said in words.
 */
#ifndef AUDIT_FINDINGS_H
#define AUDIT_FINDINGS_H

#include <jansson.h>
#include "pool.h"
#include "profile.h"
#include "reach.h"

/* In the order in which they are reported. */
enum audit_kind {
	AUDIT_NO_FIREWALL,
	AUDIT_NOT_LISTENING,
	AUDIT_NOT_LET_IN,
	AUDIT_NOT_LET_OUT,
	AUDIT_LOCAL_EXPOSED,
	AUDIT_UNKNOWN_LISTENER,
	AUDIT_OPEN,
	AUDIT_OPEN_TO_SOME,
	AUDIT_TOO_WIDE,
	AUDIT_PINHOLES,
	AUDIT_OUTPUT_OPEN,
	AUDIT_HANDED_ON,
	AUDIT_OTHER_PROTOCOL,
	AUDIT_LEGACY,
};

/* NULL and 0 where there is nothing to say. Texts live as long as the findings. */
struct finding {
	enum audit_kind kind;
	bool note;
	bool perhaps;        /* it cannot be decided */
	bool whole;          /* by a rule that is about many ports */
	uint8_t proto;       /* IPPROTO_*; 0: none */
	unsigned int family; /* CAT_IPV4, CAT_IPV6 */
	struct cat_range port;
	const struct profile_rule *rule; /* that it is about */
	const struct cat_row *local;     /* or a row without a rule */
	const char *hint;                /* a service that is switched off, or pinholed's */
	bool hint_pinhole;
	const char *peer; /* role; NULL: anybody */
	bool unsettled;   /* nobody is settled for it */
	const char *who;  /* addresses */
	const char *only; /* ways */
	const char *program, *address;
	const struct dump_chain *base;
	const struct dump_rule *cause; /* NULL: the policy of base */
	const char *text, *fix;        /* where they are ready made */
};

struct findings {
	struct pool *pool;
	const struct profile *profile;
	struct finding *list;
	size_t n, room;
};

/* Takes a copy. False when memory is out, which the pool remembers. */
bool findings_add(struct findings *f, const struct finding *x);

/* The array of "findings"; *bad: one of them is no note. NULL when memory is out. */
json_t *findings_json(struct findings *f, bool *bad);

void findings_free(struct findings *f);

#endif
