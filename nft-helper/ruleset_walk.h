/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a packet in the rule set in force: who may send it and get through, who may not,
 * and of whom that cannot be said from here. An answer is never surer than what is known: what the
 * rules ask of a packet that its description leaves open counts as "perhaps".
 */
#ifndef RULESET_WALK_H
#define RULESET_WALK_H

#include "ruleset_dump.h"

/* What a question may be about, for walk_result.sometimes; and what an answer may depend on. */
enum {
	WALK_ABOUT_STATE = 1,
	WALK_ABOUT_MARK = 2,
	WALK_ABOUT_INTERFACE = 4,
	WALK_ABOUT_OWN = 8, /* the address on this side */
};

struct walk_interface {
	char name[16]; /* with NULs behind it */
	uint32_t index;
	uint16_t type; /* ARPHRD_* */
};

/* A first packet to this host, or from it. */
struct walk_packet {
	uint8_t family; /* NFPROTO_IPV4 or NFPROTO_IPV6; 0: not known */
	int l4proto;    /* IPPROTO_*; -1: not known, and so below */
	bool out;       /* from this host */
	/* The addresses of the other side in question; NULL: not known, and not asked. Borrowed. */
	const struct addrset *peers;
	struct addr own; /* the address on this side; FAMILY_NONE: not known */
	const struct walk_interface *interface; /* that it comes or leaves by; NULL: not known */
	bool elsewhere;                         /* own is not an address of that interface */
	int dport, sport;
	int icmp_type, icmp_code;
	uint32_t state; /* of conntrack: a bit of nf_tables (1 << (ctinfo + 1)) */
	uint32_t mark;  /* of its flow */
	/*
	 * As an honest host on the network sends it: not over loopback, by the interface through
	 * which answers go back, whole and without options, in no hurry. Nothing of that is known
	 * otherwise.
	 */
	bool ordinary;
	unsigned int about; /* WALK_ABOUT_* */
};

enum walk_what { WALK_ACCEPTS, WALK_DROPS, WALK_TRANSLATES };

/* What a rule, or the policy of its chain, did. */
struct walk_event {
	enum walk_what what;
	const struct dump_chain *base; /* that the packet was in */
	const struct dump_rule *rule;  /* NULL: policy */
	struct addrset may;            /* to whom */
	bool sure;                     /* to all of them, not only perhaps */
};

/* Sets and events belong to the walker and last until its next walk. */
struct walk_result {
	struct addrset accepted, dropped; /* perhaps; who is not in both, surely */
	struct addrset translated;        /* perhaps; what comes after goes for another port */
	/* The same answer for all ports up to these, where one was given. */
	uint16_t dport_upto, sport_upto;
	const struct walk_event *event; /* as they came */
	size_t n_events;
	/* For a packet for which whatever cannot be decided does not hold: */
	bool plainly_accepted;
	/* A rule about the question accepts under further conditions. */
	bool sometimes;
	/* What conditions looked at that could not be decided, and is not in the description. */
	unsigned int looked_at; /* WALK_ABOUT_INTERFACE, WALK_ABOUT_OWN */
};

struct walker;

/* d is borrowed. NULL when memory is out. */
struct walker *walker_new(const struct dump *d);
void walker_free(struct walker *w);

/*
 * Through every base chain on the way to (from) the host's programs, but for those of pinholed's
 * own table. 0 or -ENOMEM.
 */
int walk_host(struct walker *w, const struct walk_packet *p, struct walk_result *out);

/* Through one base chain alone, whatever its hook. */
int walk_chain(struct walker *w, const struct dump_chain *base, const struct walk_packet *p,
    struct walk_result *out);

/*
 * Calls `seen` for each time that the rule writes the flow's mark: with the bits of `kept` as they
 * were, and the others from value when that is known.
 */
void walk_mark_writes(const struct dump_rule *rule,
    void (*seen)(void *arg, bool known, uint32_t value, uint32_t kept), void *arg);

#endif
