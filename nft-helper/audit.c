// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One function a kind of finding. What is let in is asked once for every port; what the profile
 * wants let in is asked again with its own peers and source ports.
 */
#include "audit.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit_findings.h"
#include "describe.h"
#include "doctor.h"
#include "pinhole/abi.h"
#include "reach.h"
#include "rpcmap.h"
#include "ruleset.h"
#include "text.h"

#define FAMILIES  2
#define PROTOS    2
#define WHOLESALE 1000 /* ports */

static const enum family families[FAMILIES] = { FAMILY_IPV4, FAMILY_IPV6 };
static const unsigned int family_bits[FAMILIES] = { CAT_IPV4, CAT_IPV6 };
static const uint8_t protos[PROTOS] = { IPPROTO_TCP, IPPROTO_UDP };
static const unsigned int proto_bits[PROTOS] = { CAT_TCP, CAT_UDP };

struct audit {
	const struct profile *p;
	const struct config *config;
	struct listening host;
	struct reach *reach;
	struct pool *pool;
	struct findings findings;
	unsigned int families; /* that this host has addresses of */
	struct reach_spans open[FAMILIES][PROTOS];
	unsigned int unfiltered; /* families */
	struct rpcmap_snapshot rpc;
	bool asked_rpcbind;
};

/* --- sets of addresses --------------------------------------------------------------------- */

/* The prefixes that are settled for a role, of one family. */
static struct addrset peers_of(struct audit *a, const char *role, enum family family, bool *settled)
{
	struct addr_range *ranges;
	const struct prefix *prefix;
	size_t n, used = 0;

	prefix = profile_prefixes(a->p, role, &n);
	*settled = n > 0;
	ranges = pool_alloc(a->pool, (n + 1) * sizeof(*ranges));
	for (size_t i = 0; ranges && i < n; i++)
		if (prefix[i].addr.family == family)
			ranges[used++] = addr_range_of(&prefix[i]);
	return ranges ? addrset_of(a->pool, ranges, used) : (struct addrset){ .n = 0 };
}

__attribute__((format(printf, 2, 3))) static const char *say(struct audit *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return pool_copy(a->pool, text, strlen(text));
}

/* "10.0.0.0/8, 192.0.2.1 and 7 more" */
static const char *ranges_text(struct audit *a, enum family family, struct addrset set)
{
	struct text t = { .len = 0 };
	size_t shown = set.n <= 4 ? set.n : 3;
	char one[ADDR_RANGE_TEXT];

	for (size_t i = 0; i < shown; i++)
		text_add_part(&t, ", ", addr_range_format(&set.range[i], family, one));
	if (shown < set.n)
		text_add(&t, " and %zu more", set.n - shown);
	return pool_copy(a->pool, t.at, t.len);
}

static bool is_anybody(struct audit *a, enum family family, struct addrset set)
{
	return addrset_within(reach_anybody(a->reach, family), set);
}

/* NULL for everybody. */
static const char *who_text(struct audit *a, enum family family, struct addrset set)
{
	struct addrset anybody = reach_anybody(a->reach, family), rest;

	set = addrset_and(a->pool, set, anybody);
	if (is_anybody(a, family, set))
		return NULL;
	rest = addrset_minus(a->pool, anybody, set);
	/* Most of the world is easier said by who is not of it. */
	if (rest.n && rest.n < set.n && rest.n <= 4)
		return say(a, "anybody but %s", ranges_text(a, family, rest));
	return ranges_text(a, family, set);
}

/* --- what the profile says of a port ------------------------------------------------------- */

/* All of it the same up to port `upto`. */
struct named {
	bool any;               /* a rule that is on, or a port of the administrator's own */
	struct addrset allowed; /* those whom it is for */
	const struct profile_rule *rule; /* the first of them; NULL for others */
	const char *peer;                /* the role, of a rule for one */
	bool unsettled;                  /* nobody is settled for one of the roles */
	const struct profile_rule *off, *pinhole;
	const struct cat_row *local;
	uint16_t upto;
};

static void narrow(struct named *n, uint16_t port, struct cat_range r)
{
	if (port < r.lo && r.lo - 1 < n->upto)
		n->upto = (uint16_t)(r.lo - 1);
	else if (port >= r.lo && port <= r.hi && r.hi < n->upto)
		n->upto = r.hi;
}

static bool has_port(const struct cat_ports *ports, uint16_t port, struct named *n)
{
	bool found = ports->any;

	for (size_t i = 0; i < ports->n; i++) {
		narrow(n, port, ports->range[i]);
		found |= port >= ports->range[i].lo && port <= ports->range[i].hi;
	}
	return found;
}

static void allow(struct audit *a, struct named *n, const char *peer, enum family family)
{
	bool settled = true;

	if (!peer || strcmp(peer, "any") == 0) {
		n->allowed = reach_anybody(a->reach, family);
	} else {
		n->allowed = addrset_or(a->pool, n->allowed, peers_of(a, peer, family, &settled));
		n->unsettled |= !settled;
		if (!n->peer || !settled)
			n->peer = peer;
	}
}

static void name_rule(struct audit *a, struct named *n, const struct profile_rule *r, size_t family,
    unsigned int proto, uint16_t port)
{
	const struct cat_row *row = r->row;

	if (r->direction != CAT_IN || !(r->family & family_bits[family]) ||
	    !(row->proto & (proto | CAT_ANY_PROTO)) || !has_port(&row->port, port, n))
		return;
	if (r->pinhole) {
		if (r->on)
			n->pinhole = r;
	} else if (!r->on) {
		n->off = r;
	} else {
		/* One for every port says nothing of this one in particular. */
		if (!row->port.any) {
			n->any = true;
			if (!n->rule)
				n->rule = r;
		}
		allow(a, n, r->peer, families[family]);
	}
}

static struct named name_port(struct audit *a, size_t family, size_t proto, uint16_t port)
{
	const struct profile_settings *s = a->p->settings;
	const struct cat_ports ssh = { .n = 1, .range = { { 22, 22 } } };
	struct named n = { .upto = UINT16_MAX };

	for (size_t i = 0; i < a->p->n_rules; i++)
		name_rule(a, &n, &a->p->rules[i], family, proto_bits[proto], port);
	for (size_t i = 0; i < a->p->n_local; i++) {
		const struct cat_row *row = a->p->local[i];

		if ((row->family & family_bits[family]) && (row->proto & proto_bits[proto]) &&
		    has_port(&row->port, port, &n))
			n.local = row;
	}
	if (has_port(protos[proto] == IPPROTO_TCP ? &s->also_in_tcp : &s->also_in_udp, port, &n)) {
		n.any = true;
		allow(a, &n, NULL, families[family]);
	}
	if (a->p->rescue && a->p->rescue_on && protos[proto] == IPPROTO_TCP &&
	    has_port(&ssh, port, &n)) {
		n.any = true;
		allow(a, &n, PROFILE_ADMINS, families[family]);
	}
	return n;
}

/* --- what is let in ------------------------------------------------------------------------ */

static int ask_all(struct audit *a)
{
	int ret = 0;

	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t p = 0; p < PROTOS && ret == 0; p++) {
			const struct reach_question q = {
				.family = families[f],
				.l4proto = protos[p],
				.peers = reach_anybody(a->reach, families[f]),
				.lo = 1,
				.hi = UINT16_MAX,
			};

			if (a->families & family_bits[f])
				ret = reach_ask(a->reach, &q, &a->open[f][p]);
		}
	return ret;
}

static const struct reach_span *span_at(const struct audit *a, size_t f, size_t p, uint16_t port)
{
	const struct reach_spans *s = &a->open[f][p];

	for (size_t i = 0; i < s->n; i++)
		if (port >= s->span[i].lo && port <= s->span[i].hi)
			return &s->span[i];
	return NULL;
}

/* Nobody is dropped anywhere. */
static bool lets_all_in(struct audit *a, size_t f, const struct reach_spans *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->span[i].drop || s->span[i].handed_on.n ||
		    !is_anybody(a, families[f], s->span[i].always))
			return false;
	return s->n > 0;
}

static void check_firewall(struct audit *a)
{
	for (size_t f = 0; f < FAMILIES; f++) {
		struct finding x = { .kind = AUDIT_NO_FIREWALL, .family = family_bits[f] };

		if (!(a->families & family_bits[f]) || !lets_all_in(a, f, &a->open[f][0]) ||
		    !lets_all_in(a, f, &a->open[f][1]))
			continue;
		a->unfiltered |= family_bits[f];
		(void)findings_add(&a->findings, &x);
	}
}

/* Whether a rule or policy lets so many ports in that it is about none of them in particular. */
static bool wholesale(const struct audit *a, size_t f, size_t p, const struct reach_cause *c)
{
	const struct reach_spans *spans = &a->open[f][p];
	size_t ports = 0;

	for (size_t i = 0; i < spans->n; i++)
		for (const struct reach_cause *k = spans->span[i].by; k; k = k->next)
			if (k->rule == c->rule && k->base == c->base)
				ports += spans->span[i].hi - spans->span[i].lo + 1u;
	return ports >= WHOLESALE;
}

/* What the host sends, where the profile filters that. */
static int check_output(struct audit *a)
{
	unsigned int open = a->p->about->output_drops ? a->families : 0;
	struct reach_spans spans;
	int ret = 0;

	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t p = 0; p < PROTOS && ret == 0 && (open & family_bits[f]); p++) {
			const struct reach_question q = {
				.family = families[f],
				.l4proto = protos[p],
				.out = true,
				.peers = reach_anybody(a->reach, families[f]),
				.lo = 1,
				.hi = UINT16_MAX,
			};

			ret = reach_ask(a->reach, &q, &spans);
			if (ret == 0 && !lets_all_in(a, f, &spans))
				open &= ~family_bits[f];
		}
	if (ret == 0 && open) {
		const struct finding x = {
			.kind = AUDIT_OUTPUT_OPEN,
			.note = true,
			.family = open,
			.text = "no chain filters what this host sends; the profile lets out what "
				"is in it, and nothing else",
		};

		(void)findings_add(&a->findings, &x);
	}
	return ret;
}

/* Those that a rule or policy lets in where the profile does not want all of them. */
static void report_cause(struct audit *a, const struct finding *like, enum family family,
    const struct reach_cause *c, bool perhaps)
{
	struct finding x = *like;

	x.who = who_text(a, family, c->who);
	x.only = c->only;
	if (x.kind == AUDIT_OPEN && (x.who || perhaps || x.only))
		x.kind = AUDIT_OPEN_TO_SOME;
	x.perhaps = perhaps;
	x.note |= perhaps;
	x.base = c->base;
	x.cause = c->rule;
	(void)findings_add(&a->findings, &x);
}

static void report_port(struct audit *a, const struct finding *like, size_t f, size_t p,
    const struct reach_span *s, struct addrset unwanted, bool perhaps)
{
	const struct finding whole = {
		.kind = AUDIT_OPEN,
		.proto = like->proto,
		.family = like->family,
		.port = like->port,
		.whole = true,
	};

	struct reach_cause rest = { .who = unwanted };

	for (const struct reach_cause *c = s->by; c; c = c->next) {
		if (addrset_meets(c->who, unwanted))
			report_cause(
			    a, wholesale(a, f, p, c) ? &whole : like, families[f], c, perhaps);
		rest.who = addrset_minus(a->pool, rest.who, c->who);
	}
	/* Chains that jump to each other too often to be followed. */
	if (rest.who.n)
		report_cause(a, like, families[f], &rest, perhaps);
}

static void check_ports(
    struct audit *a, size_t f, size_t p, const struct reach_span *s, struct cat_range port)
{
	struct named n = name_port(a, f, p, port.lo);
	struct addrset in = s->let_in, unwanted, doubtful;
	const struct profile_rule *hint = n.pinhole ? n.pinhole : n.off;
	struct finding x = {
		.kind = n.any ? AUDIT_TOO_WIDE : AUDIT_OPEN,
		.note = n.any && n.unsettled,
		.proto = protos[p],
		.family = family_bits[f],
		.port = port,
		.rule = n.rule,
		.peer = n.peer,
		.unsettled = n.unsettled,
		.hint = hint ? hint->service : NULL,
		.hint_pinhole = n.pinhole != NULL,
	};
	struct finding handed = x;

	/* Where containers are guarded before translation, who is handed on has been let in. */
	if (a->p->about->containers)
		in = addrset_or(a->pool, in, s->handed_on);
	unwanted = addrset_minus(a->pool, in, n.allowed);
	report_port(a, &x, f, p, s, unwanted, false);
	doubtful = addrset_minus(a->pool, addrset_minus(a->pool, s->perhaps, in), n.allowed);
	doubtful = addrset_minus(a->pool, doubtful, s->handed_on);
	if (!unwanted.n)
		report_port(a, &x, f, p, s, doubtful, true);
	if (!n.any && !a->p->about->containers && s->handed_on.n && s->translate) {
		handed.kind = AUDIT_HANDED_ON;
		handed.note = true;
		handed.who = who_text(a, families[f], s->handed_on);
		handed.base = s->translate->base;
		handed.cause = s->translate->rule;
		(void)findings_add(&a->findings, &handed);
	}
}

static void check_open(struct audit *a)
{
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t p = 0; p < PROTOS; p++)
			for (size_t i = 0; i < a->open[f][p].n; i++) {
				const struct reach_span *s = &a->open[f][p].span[i];
				uint32_t port = s->lo, upto;

				if (a->unfiltered & family_bits[f])
					break;
				for (; port <= s->hi; port = upto + 1) {
					upto = name_port(a, f, p, (uint16_t)port).upto;
					if (upto > s->hi)
						upto = s->hi;
					check_ports(a, f, p, s,
					    (struct cat_range){ (uint16_t)port, (uint16_t)upto });
				}
			}
}

/* Protocols other than those with ports and the ICMP of the family. */
static int check_protocols(struct audit *a)
{
	int ret = 0;

	for (size_t f = 0; f < FAMILIES; f++)
		for (unsigned int proto = 1; proto < 255 && ret == 0; proto++) {
			struct reach_question q = {
				.family = families[f],
				.l4proto = (uint8_t)proto,
				.peers = reach_anybody(a->reach, families[f]),
				.icmp_type = -1,
			};
			struct finding x = {
				.kind = AUDIT_OTHER_PROTOCOL,
				.note = true,
				.family = family_bits[f],
				.port = { (uint16_t)proto, (uint16_t)proto },
			};
			struct addrset unwanted, allowed = { .n = 0 };
			struct reach_spans s;
			bool settled;

			if (!(a->families & family_bits[f]) || (a->unfiltered & family_bits[f]) ||
			    proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP ||
			    proto == IPPROTO_ICMPV6)
				continue;
			ret = reach_ask(a->reach, &q, &s);
			if (ret < 0)
				break;
			for (size_t i = 0; i < a->p->n_rules; i++) {
				const struct profile_rule *r = &a->p->rules[i];

				if (r->on && r->direction == CAT_IN &&
				    r->row->proto == CAT_ANY_PROTO)
					allowed = addrset_or(a->pool, allowed,
					    strcmp(r->peer, "any") == 0
						? q.peers
						: peers_of(a, r->peer, families[f], &settled));
			}
			unwanted = addrset_minus(a->pool, s.span[0].let_in, allowed);
			for (const struct reach_cause *c = s.span[0].by; c; c = c->next)
				if (addrset_meets(c->who, unwanted))
					report_cause(a, &x, families[f], c, false);
		}
	return ret;
}

/* --- what the profile wants let in and out ------------------------------------------------- */

/* Ports at which nobody gets through, by family. */
struct closed {
	uint8_t families[UINT16_MAX + 1];
	const struct reach_cause *cause[FAMILIES];
};

static void report_closed(struct audit *a, const struct finding *like, const struct closed *c,
    unsigned int asked, bool ports)
{
	for (uint32_t from = 0, to; from <= UINT16_MAX; from = to + 1) {
		struct finding x = *like;
		size_t f = asked & CAT_IPV4 ? 0 : 1;

		to = from;
		if (c->families[from] != asked)
			continue;
		while (to < UINT16_MAX && c->families[to + 1] == asked)
			to++;
		if (ports)
			x.port = (struct cat_range){ (uint16_t)from, (uint16_t)to };
		x.family = asked;
		if (c->cause[f]) {
			x.base = c->cause[f]->base;
			x.cause = c->cause[f]->rule;
		}
		(void)findings_add(&a->findings, &x);
	}
}

/* Of settled peers: those who do not get through, each family by itself. */
static void report_settled(struct audit *a, const struct finding *like, size_t f,
    const struct reach_span *s, struct addrset peers)
{
	struct addrset through = addrset_or(a->pool, s->let_in, s->handed_on);
	struct addrset never =
	    addrset_minus(a->pool, addrset_minus(a->pool, peers, s->perhaps), s->handed_on);
	struct addrset doubtful = addrset_minus(a->pool, peers, through);
	struct finding x = *like;

	if (!never.n && !doubtful.n)
		return;
	x.family = family_bits[f];
	x.perhaps = x.note = !never.n;
	x.who = ranges_text(a, families[f], never.n ? never : doubtful);
	if (s->lo)
		x.port = (struct cat_range){ s->lo, s->hi };
	for (const struct reach_cause *c = s->drop; c; c = c->next)
		if (addrset_meets(c->who, never.n ? never : doubtful)) {
			x.base = c->base;
			x.cause = c->rule;
			break;
		}
	(void)findings_add(&a->findings, &x);
}

/* r: NULL for a port of the administrator's own. */
static int ask_rule(struct audit *a, const struct profile_rule *r, size_t f, uint8_t proto,
    struct cat_range port, struct closed *closed, const struct finding *like)
{
	struct addrset everybody = reach_anybody(a->reach, families[f]);
	struct reach_question q = {
		.family = families[f],
		.l4proto = proto,
		.out = like->kind == AUDIT_NOT_LET_OUT,
		.lo = port.lo,
		.hi = port.hi,
		.sport_lo = r ? r->row->sport.lo : 0,
		.sport_hi = r ? r->row->sport.hi : 0,
		.icmp_type = proto == IPPROTO_ICMP ? 8 : 128, /* echo request */
	};
	struct reach_spans spans;
	bool settled = false;
	int ret;

	if (like->peer)
		q.peers = peers_of(a, like->peer, families[f], &settled);
	if (!settled)
		q.peers = everybody;
	else if (!q.out)
		q.peers = addrset_and(a->pool, q.peers, everybody);
	if (!q.peers.n)
		return 0;
	ret = reach_ask(a->reach, &q, &spans);
	for (size_t i = 0; ret == 0 && i < spans.n; i++) {
		const struct reach_span *s = &spans.span[i];

		if (settled) {
			report_settled(a, like, f, s, q.peers);
			continue;
		}
		if (s->perhaps.n || s->handed_on.n)
			continue;
		for (uint32_t k = s->lo; k <= s->hi; k++)
			closed->families[k] |= (uint8_t)family_bits[f];
		closed->cause[f] = s->drop;
	}
	return ret;
}

static int check_rule(struct audit *a, const struct profile_rule *r, uint8_t proto)
{
	static struct closed closed;
	const struct cat_row *row = r->row;
	const struct cat_range all = { 1, UINT16_MAX }, none = { 0, 0 };
	bool icmp = row->proto == CAT_ICMP, settled = true;
	unsigned int asked = r->family & a->families;
	struct finding like = {
		.kind = r->direction == CAT_IN ? AUDIT_NOT_LET_IN : AUDIT_NOT_LET_OUT,
		.proto = proto,
		.rule = r,
		.peer = strcmp(r->peer, "any") == 0 ? NULL : r->peer,
	};
	int ret = 0;

	memset(&closed, 0, sizeof(closed));
	if (like.peer)
		(void)peers_of(a, r->peer, FAMILY_IPV4, &settled);
	like.unsettled = !settled;
	for (size_t f = 0; f < FAMILIES && ret == 0; f++) {
		uint8_t l4proto = icmp && families[f] == FAMILY_IPV6 ? IPPROTO_ICMPV6 : proto;

		if (!(asked & family_bits[f]))
			continue;
		if (icmp || row->port.any)
			ret = ask_rule(a, r, f, l4proto, icmp ? none : all, &closed, &like);
		for (size_t i = 0; !icmp && ret == 0 && i < row->port.n; i++)
			ret = ask_rule(a, r, f, l4proto, row->port.range[i], &closed, &like);
	}
	if (ret == 0 && asked)
		report_closed(a, &like, &closed, asked, !icmp);
	return ret;
}

/* Ports of the administrator's own: somebody at least gets through. */
static int check_own(struct audit *a, const struct cat_ports *ports, uint8_t proto, bool out)
{
	static struct closed closed;
	const struct finding like = {
		.kind = out ? AUDIT_NOT_LET_OUT : AUDIT_NOT_LET_IN,
		.proto = proto,
	};
	int ret = 0;

	memset(&closed, 0, sizeof(closed));
	for (size_t f = 0; f < FAMILIES; f++)
		for (size_t i = 0; i < ports->n && ret == 0 && (a->families & family_bits[f]); i++)
			ret = ask_rule(a, NULL, f, proto, ports->range[i], &closed, &like);
	if (ret == 0)
		report_closed(a, &like, &closed, a->families, true);
	return ret;
}

static int check_rules(struct audit *a)
{
	const struct profile_settings *s = a->p->settings;
	int ret = check_own(a, &s->also_in_tcp, IPPROTO_TCP, false);

	if (ret == 0)
		ret = check_own(a, &s->also_in_udp, IPPROTO_UDP, false);
	if (ret == 0 && a->p->about->output_drops)
		ret = check_own(a, &s->also_out_tcp, IPPROTO_TCP, true);
	if (ret == 0 && a->p->about->output_drops)
		ret = check_own(a, &s->also_out_udp, IPPROTO_UDP, true);
	for (size_t i = 0; i < a->p->n_rules && ret == 0; i++) {
		const struct profile_rule *r = &a->p->rules[i];
		unsigned int proto = r->row->proto;

		if (!r->on || !r->made)
			continue;
		if (proto == CAT_ANY_PROTO)
			proto = CAT_TCP | CAT_UDP;
		if (proto & CAT_TCP)
			ret = check_rule(a, r, IPPROTO_TCP);
		if (ret == 0 && (proto & CAT_UDP))
			ret = check_rule(a, r, IPPROTO_UDP);
		if (ret == 0 && (proto & CAT_ICMP))
			ret = check_rule(a, r, IPPROTO_ICMP);
	}
	return ret;
}

/* --- who listens --------------------------------------------------------------------------- */

static bool hears(const struct listener *l, unsigned int family)
{
	return ((family & CAT_IPV4) && l->ipv4) || ((family & CAT_IPV6) && l->ipv6);
}

/* The first that listens in the range, on the network or (local) on loopback only; or NULL. */
static const struct listener *listener_in(
    const struct audit *a, uint8_t proto, unsigned int family, struct cat_range port, bool local)
{
	for (size_t i = 0; i < a->host.n_listeners; i++) {
		const struct listener *l = &a->host.listeners[i];

		if (l->l4proto == proto && l->port >= port.lo && l->port <= port.hi &&
		    l->local == local && hears(l, family))
			return l;
	}
	return NULL;
}

/* Translated on its way in: somebody else listens, in a container perhaps. */
static bool handed_on(const struct audit *a, size_t p, unsigned int family, struct cat_range port)
{
	for (size_t f = 0; f < FAMILIES; f++)
		for (uint32_t k = port.lo; (family & family_bits[f]) && k <= port.hi; k++) {
			const struct reach_span *s = span_at(a, f, p, (uint16_t)k);

			if (s && s->handed_on.n)
				return true;
			if (!s)
				break;
			k = s->hi;
		}
	return false;
}

static bool served(
    const struct audit *a, const struct profile_rule *r, size_t p, struct cat_range port)
{
	return listener_in(a, protos[p], r->family, port, false) ||
	       handed_on(a, p, r->family, port);
}

static void report_silence(
    struct audit *a, const struct profile_rule *r, size_t p, struct cat_range port)
{
	const struct listener *local = listener_in(a, protos[p], r->family, port, true);
	struct finding x = {
		.kind = AUDIT_NOT_LISTENING,
		.proto = protos[p],
		.family = r->family,
		.port = port,
		.rule = r,
		.program = local ? (local->program[0] ? local->program : "a program") : NULL,
	};

	(void)findings_add(&a->findings, &x);
}

static void check_listening(struct audit *a)
{
	for (size_t i = 0; i < a->p->n_rules; i++) {
		const struct profile_rule *r = &a->p->rules[i];
		const struct cat_row *row = r->row;
		unsigned int proto = row->proto & (CAT_TCP | CAT_UDP);

		if (!r->on || !r->made || r->direction != CAT_IN || r->need != CAT_REQUIRED ||
		    (r->facts & CAT_NO_LISTENER) || row->port.any || !proto)
			continue;
		for (size_t k = 0; k < row->port.n; k++) {
			bool tcp = (proto & CAT_TCP) && served(a, r, 0, row->port.range[k]);
			bool udp = (proto & CAT_UDP) && served(a, r, 1, row->port.range[k]);

			/* Where the document names no protocol, one will do. */
			if ((r->facts & CAT_PROTO_UNSTATED) && (tcp || udp))
				continue;
			if ((proto & CAT_TCP) && !tcp)
				report_silence(a, r, 0, row->port.range[k]);
			if ((proto & CAT_UDP) && !udp)
				report_silence(a, r, 1, row->port.range[k]);
		}
	}
}

/* --- who listens besides ------------------------------------------------------------------- */

/* Asks rpcbind once, and waits for its answer as long as rpcmap.c does. */
static void ask_rpcbind(struct audit *a)
{
	struct rpcmap *map;

	a->asked_rpcbind = true;
	if (rpcmap_start(&map) < 0)
		return;
	for (int i = 0; i < 4 && !rpcmap_take(map, &a->rpc); i++) {
		struct pollfd pfd = { .fd = rpcmap_fd(map), .events = POLLIN };

		(void)poll(&pfd, 1, RPCMAP_PATIENCE_MS);
	}
	rpcmap_stop(map);
}

/* mountd and its kin, on whatever ports they picked: pinholed opens what rpcbind names. */
static bool is_registered(struct audit *a, const struct listener *l)
{
	bool tracked = false;

	for (size_t i = 0; i < a->p->n_rules; i++) {
		const struct profile_rule *r = &a->p->rules[i];

		tracked |= r->on && r->direction == CAT_IN &&
			   strcmp(r->row->tracker, service_word(PH_SVC_SUNRPC)) == 0;
	}
	if (!tracked)
		return false;
	if (!a->asked_rpcbind)
		ask_rpcbind(a);
	for (unsigned int i = 0; a->rpc.state == RPCMAP_ANSWERED && i < a->rpc.n_programs; i++)
		if (a->rpc.program[i].l4proto == l->l4proto && a->rpc.program[i].port == l->port)
			return true;
	return false;
}

static bool any_port_row(const struct audit *a, size_t f, size_t p)
{
	for (size_t i = 0; i < a->p->n_rules; i++) {
		const struct profile_rule *r = &a->p->rules[i];

		if (r->on && r->made && r->direction == CAT_IN && r->row->port.any &&
		    (r->family & family_bits[f]) &&
		    (r->row->proto & (proto_bits[p] | CAT_ANY_PROTO)))
			return true;
	}
	return false;
}

static void check_listener_in(struct audit *a, const struct listener *l, size_t f)
{
	size_t p = l->l4proto == IPPROTO_UDP;
	struct named n = name_port(a, f, p, l->port);
	const struct reach_span *s = span_at(a, f, p, l->port);
	struct addrset in = { .n = 0 }, perhaps = { .n = 0 };
	bool ephemeral = l->l4proto == IPPROTO_UDP && l->port >= a->host.ephemeral_lo &&
			 l->port <= a->host.ephemeral_hi;
	char address[ADDR_TEXT];
	struct finding x = {
		.kind = n.local && !n.any ? AUDIT_LOCAL_EXPOSED : AUDIT_UNKNOWN_LISTENER,
		.proto = l->l4proto,
		.family = family_bits[f],
		.port = { l->port, l->port },
		.local = n.local,
		.program = l->program[0] ? l->program : "a program",
		.hint = n.off ? n.off->service : NULL,
	};

	if (n.any || n.pinhole || (!n.local && any_port_row(a, f, p)) || is_registered(a, l))
		return;
	if (s) {
		in = s->let_in;
		perhaps = s->perhaps;
	}
	x.perhaps = !in.n && perhaps.n;
	x.who = in.n ? who_text(a, families[f], in) : perhaps.n ? NULL : "nobody";
	if (x.kind == AUDIT_LOCAL_EXPOSED) {
		if (!perhaps.n)
			return;
		x.note = x.perhaps;
	} else {
		x.note = ephemeral && !perhaps.n;
	}
	x.address =
	    l->ipv4 && l->ipv6 ? "any address" : say(a, "%s", addr_format(&l->addr, address));
	if (strcmp(x.address, "0.0.0.0") == 0 || strcmp(x.address, "::") == 0)
		x.address = "any address";
	(void)findings_add(&a->findings, &x);
}

static void check_listeners(struct audit *a)
{
	for (size_t i = 0; i < a->host.n_listeners; i++) {
		const struct listener *l = &a->host.listeners[i];

		for (size_t f = 0; f < FAMILIES; f++)
			if (!l->local && hears(l, family_bits[f]) && (a->families & family_bits[f]))
				check_listener_in(a, l, f);
	}
}

/* --- pinholes, and what cannot be looked at ------------------------------------------------ */

/* Which way pinholes of a rule's sessions lead: TFTP's answers and rsh's second connection come
 * back. */
static enum cat_direction pinholes_lead(const struct profile_rule *r)
{
	enum ph_service svc = service_of_word(r->row->tracker);

	if (r->pinhole || (svc != PH_SVC_TFTP && svc != PH_SVC_RSH))
		return r->direction;
	return r->direction == CAT_IN ? CAT_OUT : CAT_IN;
}

/* Whether a chain lets in none of what pinholed does for a service. */
static bool drops_pinholes(const struct audit *a, const struct ruleset_chain *c, unsigned int svc)
{
	bool mark = a->config->policy.admit == ADMIT_MARK;

	return (mark ? c->mark[svc] : c->both[svc]) == RULESET_NO;
}

static void check_pinholes_of(
    struct audit *a, const struct ruleset *rules, const struct profile_rule *r)
{
	enum ph_service svc = service_of_word(r->row->tracker);
	bool in = pinholes_lead(r) == CAT_IN;
	const char *hook = in ? "input" : "output";
	char fix[DOCTOR_FIX];

	for (size_t i = 0; svc && i < rules->n_chains; i++) {
		const struct ruleset_chain *c = &rules->chains[i];
		struct finding x = { .kind = AUDIT_PINHOLES, .hint = r->service, .rule = r };

		if (strcmp(c->hook, hook) != 0 || !drops_pinholes(a, c, svc))
			continue;
		doctor_chain_fix(c,
		    a->config->policy.admit == ADMIT_MARK || strcmp(c->table, PROFILE_TABLE) == 0,
		    a->config->mark_mask, fix);
		x.text = say(a, "chain %s %s %s (%s) drops what pinholed lets %s for %s", c->family,
		    c->table, c->name, c->hook, in ? "in" : "out", r->service);
		x.fix = say(a, "%s", fix);
		(void)findings_add(&a->findings, &x);
	}
}

static bool has_pinholes(const struct profile_rule *r)
{
	return r->on && r->row->tracker[0];
}

/* A rule before this one has the same pinholes. */
static bool is_said(const struct profile *p, const struct profile_rule *r)
{
	for (const struct profile_rule *k = p->rules; k < r; k++)
		if (has_pinholes(k) && pinholes_lead(k) == pinholes_lead(r) &&
		    strcmp(k->service, r->service) == 0 &&
		    strcmp(k->row->tracker, r->row->tracker) == 0)
			return true;
	return false;
}

static int check_pinholes(struct audit *a)
{
	struct finding absent = {
		.kind = AUDIT_PINHOLES,
		.note = true,
		.text = "pinholed's table is not in force here: what it would open stays shut",
		.fix = "systemctl start pinholed\npinholectl doctor",
	};
	struct ruleset rules;
	bool any = false;
	int ret = ruleset_read(&rules, a->config->mark_mask, true);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < a->p->n_rules; i++) {
		const struct profile_rule *r = &a->p->rules[i];

		if (!has_pinholes(r) || is_said(a->p, r))
			continue;
		any = true;
		check_pinholes_of(a, &rules, r);
	}
	if (any && !rules.ours)
		(void)findings_add(&a->findings, &absent);
	ruleset_free(&rules);
	return 0;
}

static void check_legacy(struct audit *a)
{
	for (size_t f = 0; f < FAMILIES; f++) {
		struct finding x = {
			.kind = AUDIT_LEGACY,
			.note = true,
			.family = family_bits[f],
			.text =
			    "rules of iptables-legacy are in force too and cannot be read here: "
			    "what is said to be let in may be dropped by them",
			.fix = f ? "ip6tables-legacy -S" : "iptables-legacy -S",
		};

		if (ruleset_legacy(families[f] == FAMILY_IPV6))
			(void)findings_add(&a->findings, &x);
	}
}

/* --- all of it ----------------------------------------------------------------------------- */

static int complain(char *error, int ret)
{
	switch (ret) {
	case -EPERM:
	case -EACCES:
		(void)snprintf(error, CAT_ERROR,
		    "the firewall cannot be read without CAP_NET_ADMIN: sudo pinholectl audit ...");
		break;
	case -EINTR:
		(void)snprintf(
		    error, CAT_ERROR, "the firewall changes faster than it can be read: try again");
		break;
	default:
		(void)snprintf(
		    error, CAT_ERROR, "this host cannot be looked at: %s", strerror(-ret));
		break;
	}
	return ret;
}

static int open_reach(struct audit *a)
{
	const char *outside[CAT_LIST];
	size_t n = 0;

	for (size_t i = 0; a->p->about->containers && i < a->p->inside->n; i++)
		outside[n++] = a->p->inside->word[i];
	for (size_t i = 0; i < a->host.n_addresses; i++)
		a->families |=
		    a->host.addresses[i].addr.family == FAMILY_IPV6 ? CAT_IPV6 : CAT_IPV4;
	if (!a->families)
		a->families = CAT_IPV4 | CAT_IPV6;
	return reach_open(&a->reach, &a->host, outside, n);
}

static int check_all(struct audit *a)
{
	int ret = ask_all(a);

	if (ret < 0)
		return ret;
	check_firewall(a);
	check_listening(a);
	ret = check_rules(a);
	if (ret < 0)
		return ret;
	check_listeners(a);
	check_open(a);
	ret = check_output(a);
	if (ret == 0)
		ret = check_protocols(a);
	if (ret == 0)
		ret = check_pinholes(a);
	check_legacy(a);
	return ret;
}

json_t *audit_examine(const struct profile *p, const struct config *config, char *error)
{
	struct audit a = { .p = p, .config = config };
	json_t *list = NULL;
	bool bad = false;
	int ret = listening_read(&a.host);

	if (ret == 0)
		ret = open_reach(&a);
	if (ret == 0) {
		a.pool = reach_pool(a.reach);
		a.findings.pool = a.pool;
		a.findings.profile = p;
		ret = check_all(&a);
	}
	if (ret == 0)
		list = findings_json(&a.findings, &bad);
	if (ret == 0 && !list)
		ret = -ENOMEM;
	findings_free(&a.findings);
	reach_close(a.reach);
	listening_free(&a.host);
	if (ret < 0) {
		(void)complain(error, ret);
		return NULL;
	}
	return json_pack("{sb ss so}", "ok", !bad, "profile", p->about->name, "findings", list);
}
