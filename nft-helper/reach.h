/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who reaches which port of this host, and whom it reaches, by the rule set in force: the walker
 * asked for all ports, and by each interface, to each address and from each source port where these
 * make a difference. No two ports of a span are told apart by any rule.
 */
#ifndef REACH_H
#define REACH_H

#include "listening.h"
#include "ruleset_walk.h"

struct reach;

/* A rule, or the policy of a base chain, and those to whom it does something. */
struct reach_cause {
	const struct dump_chain *base;
	const struct dump_rule *rule; /* NULL: policy */
	struct addrset who;
	const char *only; /* the ways by which it does, where there are others: "by eth0" */
	const struct reach_cause *next;
};

struct reach_span {
	uint16_t lo, hi; /* ports; without ports, the protocol */
	/* By one way at least: surely; perhaps or surely; perhaps not to this host's programs. */
	struct addrset let_in, perhaps, handed_on;
	struct addrset always; /* surely, by every way */
	const char *only;      /* the ways by which somebody is let in, where others are not */
	const struct reach_cause *by;   /* what lets in */
	const struct reach_cause *drop; /* what drops those who are not let in */
	const struct reach_cause *translate;
};

struct reach_question {
	enum family family;
	uint8_t l4proto;
	bool out;
	struct addrset peers;
	uint16_t lo, hi;             /* ports; 0-0: without */
	uint16_t sport_lo, sport_hi; /* 0-0: any */
	int icmp_type;               /* of ICMP and ICMPv6 */
};

struct reach_spans {
	struct reach_span *span;
	size_t n;
};

/*
 * Reads the rule set. outside: patterns of interfaces that are not asked about ("veth*"), n of
 * them. `host` is borrowed. 0; errors as of dump_take().
 */
int reach_open(
    struct reach **out, const struct listening *host, const char *const *outside, size_t n);
void reach_close(struct reach *r);

/* Its memory: what belongs to it lasts as long. */
struct pool *reach_pool(struct reach *r);

/* Everybody that a packet can honestly come from: no groups, no loopback. */
struct addrset reach_anybody(const struct reach *r, enum family family);

/* Spans from q->lo to q->hi, in r's pool. 0 or -ENOMEM. */
int reach_ask(struct reach *r, const struct reach_question *q, struct reach_spans *out);

#endif
