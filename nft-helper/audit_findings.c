// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Findings that differ in nothing but family or port are one. Then each is said in an
 * administrator's words: what is so, and what to do.
 */
#include "audit_findings.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "ruleset.h"
#include "text.h"

#define PORTS_SHOWN 12

bool findings_add(struct findings *f, const struct finding *x)
{
	if (f->n == f->room) {
		size_t room = f->room ? f->room * 2 : 64;
		struct finding *grown = reallocarray(f->list, room, sizeof(*grown));

		if (!grown) {
			f->pool->failed = true;
			return false;
		}
		f->list = grown;
		f->room = room;
	}
	f->list[f->n++] = *x;
	return true;
}

void findings_free(struct findings *f)
{
	free(f->list);
	*f = (struct findings){ .n = 0 };
}

/* --- putting together ---------------------------------------------------------------------- */

static int by_number(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* Rules of a profile have an order, which is a document's. */
static int by_place(const void *a, const void *b)
{
	return (a > b) - (a < b);
}

/* Everything but family and port. */
static int by_matter(const struct finding *x, const struct finding *y)
{
	int order = by_number(x->note, y->note);

	if (!order)
		order = by_number(x->kind, y->kind);
	if (!order)
		order = by_number(x->proto, y->proto);
	if (!order)
		order = by_place(x->rule, y->rule);
	if (!order)
		order = by_place(x->local, y->local);
	if (!order)
		order = by_number(x->perhaps, y->perhaps);
	if (!order)
		order = by_number(x->unsettled, y->unsettled);
	if (!order)
		order = by_number(x->whole, y->whole);
	if (!order)
		order = by_text(x->hint, y->hint);
	if (!order)
		order = by_text(x->peer, y->peer);
	if (!order)
		order = by_text(x->program, y->program);
	if (!order)
		order = by_text(x->address, y->address);
	if (!order)
		order = by_text(x->who, y->who);
	if (!order)
		order = by_text(x->only, y->only);
	if (!order)
		order = by_place(x->base, y->base);
	if (!order)
		order = by_place(x->cause, y->cause);
	if (!order)
		order = by_text(x->text, y->text);
	return order ? order : by_text(x->fix, y->fix);
}

static int by_port(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int order = by_matter(x, y);

	if (!order)
		order = by_number(x->port.lo, y->port.lo);
	if (!order)
		order = by_number(x->port.hi, y->port.hi);
	return order ? order : by_number(x->family, y->family);
}

static int by_family(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	int order = by_matter(x, y);

	if (!order)
		order = by_number(x->family, y->family);
	return order ? order : by_number(x->port.lo, y->port.lo);
}

/* Some findings of one matter and family, behind each other in the list. */
struct group {
	const struct finding *first;
	size_t n;
};

/* The same ports over both families are one; x and y are of one matter. */
static void join_families(struct findings *f)
{
	size_t kept = 0;

	if (!f->n)
		return;
	qsort(f->list, f->n, sizeof(*f->list), by_port);
	for (size_t i = 1; i < f->n; i++) {
		struct finding *last = &f->list[kept];
		const struct finding *x = &f->list[i];

		if (by_matter(last, x) == 0 && last->port.lo == x->port.lo &&
		    last->port.hi == x->port.hi)
			last->family |= x->family;
		else
			f->list[++kept] = *x;
	}
	f->n = kept + 1;
}

/* Ports that touch become one range. */
static void join_ports(struct findings *f)
{
	size_t kept = 0;

	if (!f->n)
		return;
	qsort(f->list, f->n, sizeof(*f->list), by_family);
	for (size_t i = 1; i < f->n; i++) {
		struct finding *last = &f->list[kept];
		const struct finding *x = &f->list[i];

		if (by_matter(last, x) == 0 && last->family == x->family &&
		    x->port.lo <= last->port.hi + 1u) {
			if (x->port.hi > last->port.hi)
				last->port.hi = x->port.hi;
		} else {
			f->list[++kept] = *x;
		}
	}
	f->n = kept + 1;
}

static struct group group_at(const struct findings *f, size_t from)
{
	struct group g = { .first = &f->list[from], .n = 1 };

	while (from + g.n < f->n && by_matter(g.first, &f->list[from + g.n]) == 0 &&
	       g.first->family == f->list[from + g.n].family)
		g.n++;
	return g;
}

/* --- words --------------------------------------------------------------------------------- */

static const char *kind_word(enum audit_kind kind)
{
	static const char *const words[] = {
		[AUDIT_NO_FIREWALL] = "no-firewall",
		[AUDIT_NOT_LISTENING] = "not-listening",
		[AUDIT_NOT_LET_IN] = "not-let-in",
		[AUDIT_NOT_LET_OUT] = "not-let-out",
		[AUDIT_LOCAL_EXPOSED] = "local-exposed",
		[AUDIT_UNKNOWN_LISTENER] = "unknown-listener",
		[AUDIT_OPEN] = "open",
		[AUDIT_OPEN_TO_SOME] = "open-to-some",
		[AUDIT_TOO_WIDE] = "too-wide",
		[AUDIT_PINHOLES] = "pinholes",
		[AUDIT_OUTPUT_OPEN] = "output-open",
		[AUDIT_HANDED_ON] = "handed-on",
		[AUDIT_OTHER_PROTOCOL] = "other-protocol",
		[AUDIT_LEGACY] = "iptables-legacy",
	};

	return words[kind];
}

static const char *proto_word(const struct finding *x)
{
	switch (x->proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	default:
		return NULL;
	}
}

static const char *family_word(unsigned int family)
{
	return family == CAT_IPV4 ? "ip4" : family == CAT_IPV6 ? "ip6" : "any";
}

/* "80,443,8000-8010", as --define takes it. */
static void add_ports(struct text *t, const struct group *g, size_t most)
{
	for (size_t i = 0; i < g->n && i < most; i++) {
		const struct cat_range *r = &g->first[i].port;

		text_add(t, "%s%u", i ? "," : "", r->lo);
		if (r->hi > r->lo)
			text_add(t, "-%u", r->hi);
	}
	if (g->n > most)
		text_add(t, ",... (%zu more)", g->n - most);
}

/* "tcp 80,443"; "echo requests" */
static void add_packet(struct text *t, const struct group *g)
{
	if (g->first->proto == IPPROTO_ICMP) {
		text_add(t, "echo requests");
	} else {
		text_add(t, "%s ", proto_word(g->first));
		add_ports(t, g, PORTS_SHOWN);
	}
	if (g->first->family == CAT_IPV4)
		text_add(t, " over IPv4");
	else if (g->first->family == CAT_IPV6)
		text_add(t, " over IPv6");
}

static void add_cause(struct text *t, const struct finding *x)
{
	const struct dump_chain *c = x->cause ? x->cause->chain : x->base;

	if (!c) {
		text_add(t, "the rules");
		return;
	}
	if (x->cause)
		text_add(t, "rule %llu of chain %s %s %s", (unsigned long long)x->cause->handle,
		    ruleset_family_word(c->family), c->table, c->name);
	else
		text_add(t, "the policy of chain %s %s %s", ruleset_family_word(c->family),
		    c->table, c->name);
}

/* " (by eth0; at 10.0.0.1 ...)" */
static void add_only(struct text *t, const struct finding *x)
{
	if (x->only)
		text_add(t, " (%s)", x->only);
}

static const char *service_of(const struct finding *x)
{
	if (x->rule)
		return x->rule->service;
	return x->local ? x->local->service : x->hint;
}

/* How `nft -a` shows the rule, or the chain. */
static void add_look(struct text *t, const struct finding *x)
{
	const struct dump_chain *c = x->cause ? x->cause->chain : x->base;

	if (!c)
		return;
	text_add(
	    t, "nft -a list chain %s %s %s", ruleset_family_word(c->family), c->table, c->name);
	if (x->cause)
		text_add(t, "   # handle %llu", (unsigned long long)x->cause->handle);
}

static bool is_iptables(const struct dump_chain *c)
{
	return strcmp(c->table, "filter") == 0 && c->name[0] >= 'A' && c->name[0] <= 'Z';
}

/* The rule that lets in or out what is dropped: in front of the chain that drops. */
static void add_insert(struct text *t, const struct group *g, bool out)
{
	const struct finding *x = g->first;
	const char *way = out ? "daddr" : "saddr", *proto = proto_word(x);
	bool six = x->family == CAT_IPV6, some = x->peer && !x->unsettled;
	struct text ports = { .len = 0 };

	add_ports(&ports, g, 100);
	if (!x->base)
		return;
	if (x->base->owned) {
		text_add(t, "table %s %s belongs to another program: have that program accept it",
		    ruleset_family_word(x->base->family), x->base->table);
		return;
	}
	if (strcmp(x->base->table, PROFILE_TABLE) == 0 && x->base->family == 1) {
		text_add(t, "settle it at the head of the profile's file, and load that");
		return;
	}
	if (is_iptables(x->base)) {
		text_add(
		    t, "%s -I %s", x->base->family == 10 ? "ip6tables" : "iptables", x->base->name);
		if (some)
			text_add(t, " %s %s", out ? "-d" : "-s", x->who);
		if (x->proto == IPPROTO_ICMP)
			text_add(t, " -p %s", six ? "icmpv6" : "icmp");
		else
			text_add(t, " -p %s -m multiport --dports %s", proto, ports.at);
		text_add(t, " -j ACCEPT");
		return;
	}
	text_add(t, "nft insert rule %s %s %s", ruleset_family_word(x->base->family),
	    x->base->table, x->base->name);
	if (some)
		text_add(t, " %s %s { %s }", six ? "ip6" : "ip", way, x->who);
	if (x->proto == IPPROTO_ICMP)
		text_add(t, " %s type echo-request", six ? "icmpv6" : "icmp");
	else
		text_add(t, " %s dport { %s }", proto, ports.at);
	text_add(t, " accept");
}

/* --- one function a kind: what is so, and what to do ---------------------------------------- */

static void say_no_firewall(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const char *name = f->profile->about->name;

	text_add(t, "no chain filters what comes to this host%s: every port is open to everybody",
	    g->first->family == CAT_IPV4   ? " over IPv4"
	    : g->first->family == CAT_IPV6 ? " over IPv6"
					   : "");
	text_add(fix,
	    "pinholectl profile render %s >%s.nft   # settle its head\n"
	    "nft -c -f %s.nft; nft -f %s.nft",
	    name, name, name, name);
}

static void say_not_listening(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	(void)f;
	text_add(t, "nobody listens on ");
	add_packet(t, g);
	if (g->first->program)
		text_add(t, ": %s does, for this host alone", g->first->program);
	text_add(
	    fix, "start it; or, where it is not wanted: --without %s", g->first->rule->service);
}

static void say_not_let(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;
	bool out = x->kind == AUDIT_NOT_LET_OUT;
	const char *way = out ? "to" : "from";

	(void)f;
	if (x->perhaps)
		text_add(t, "whether ");
	add_packet(t, g);
	if (x->who)
		text_add(t, " %s %s", way, x->who);
	else
		text_add(t, " %s anybody", way);
	if (x->peer)
		text_add(t, " (%s%s)", x->unsettled ? "nobody is settled for " : "", x->peer);
	if (x->perhaps) {
		text_add(t, " is let %s cannot be told: it depends on ", out ? "out" : "in");
		add_cause(t, x);
		add_look(fix, x);
		return;
	}
	text_add(t, " is dropped by ");
	add_cause(t, x);
	if (x->unsettled) {
		text_add(fix, "--define ");
		text_add(fix, "%s=PREFIX,...", x->peer);
		text_add(fix, ", and let them %s; or --without %s", out ? "out" : "in",
		    x->rule->service);
	} else {
		add_insert(fix, g, out);
	}
}

static void add_listener(struct text *t, const struct group *g)
{
	text_add(t, "%s listens on ", g->first->program);
	add_packet(t, g);
	if (g->first->address)
		text_add(t, ", %s", g->first->address);
}

static void add_reach(struct text *t, const struct finding *x)
{
	if (x->perhaps)
		text_add(t, "whether anybody is let in there cannot be told");
	else
		text_add(t, "the rules let %s in there", x->who ? x->who : "anybody");
}

static void say_local_exposed(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	(void)f;
	add_listener(t, g);
	text_add(t, ", though it is for this host alone; ");
	add_reach(t, g->first);
	text_add(fix, "bind it to 127.0.0.1 and ::1");
}

/* What makes a port one of the profile's. */
static void add_meant(struct text *fix, const struct group *g)
{
	const struct finding *x = g->first;

	if (x->hint && !x->hint_pinhole)
		text_add(fix, "--with %s; or ", x->hint);
	text_add(fix, "--define also_in_%s=", proto_word(x));
	add_ports(fix, g, 100);
}

static void say_unknown_listener(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;

	(void)f;
	add_listener(t, g);
	if (x->hint)
		text_add(t, ", and %s is switched off in the profile; ", x->hint);
	else
		text_add(t, ", which is not in the profile; ");
	add_reach(t, x);
	text_add(fix, "stop it, or bind it to 127.0.0.1; or, where it is meant: ");
	add_meant(fix, g);
}

/* "tcp 80 is let in from 10.0.0.0/8 by rule 3 of chain ..." */
static void add_let_in(struct text *t, const struct group *g)
{
	const struct finding *x = g->first;

	add_packet(t, g);
	text_add(t, x->perhaps ? " is perhaps let in from %s" : " is let in from %s",
	    x->who ? x->who : "anybody");
	add_only(t, x);
	text_add(t, " by ");
	add_cause(t, x);
}

static void say_open(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;

	(void)f;
	add_let_in(t, g);
	if (x->whole)
		text_add(t, ": far more than the profile wants");
	else if (x->hint_pinhole)
		text_add(t, "; pinholed opens it for %s while it is needed", x->hint);
	else if (x->hint)
		text_add(t, "; %s is switched off in the profile", x->hint);
	else
		text_add(t, "; it is not in the profile");
	add_look(fix, x);
	if (x->whole)
		return;
	text_add(fix, "\nor, where it is meant: ");
	add_meant(fix, g);
}

static void say_too_wide(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;

	(void)f;
	add_let_in(t, g);
	if (x->unsettled)
		text_add(t, "; who the %s are is not settled", x->peer);
	else if (x->peer)
		text_add(t, ", and not from the %s alone", x->peer);
	else
		text_add(t, "; the profile lets fewer in");
	add_look(fix, x);
	if (x->unsettled)
		text_add(fix, "\n--define %s=PREFIX,...", x->peer);
}

static void say_handed_on(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;

	(void)f;
	add_packet(t, g);
	text_add(t, " from %s may be handed on, by ", x->who ? x->who : "anybody");
	add_cause(t, x);
	text_add(t, ", before it comes to a program of this host: what is let through then is not "
		    "looked at here");
	add_look(fix, x);
}

static void say_other_protocol(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	const struct finding *x = g->first;

	(void)f;
	text_add(t, "IP protocol ");
	add_ports(t, g, PORTS_SHOWN);
	text_add(t, "%s is let in from %s by ",
	    x->family == CAT_IPV4   ? " over IPv4"
	    : x->family == CAT_IPV6 ? " over IPv6"
				    : "",
	    x->who ? x->who : "anybody");
	add_cause(t, x);
	add_look(fix, x);
}

static void say_ready(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix)
{
	(void)f;
	text_add(t, "%s", g->first->text);
	if (g->first->fix)
		text_add(fix, "%s", g->first->fix);
}

static void (*const say[])(
    const struct findings *f, const struct group *g, struct text *t, struct text *fix) = {
	[AUDIT_NO_FIREWALL] = say_no_firewall,
	[AUDIT_NOT_LISTENING] = say_not_listening,
	[AUDIT_NOT_LET_IN] = say_not_let,
	[AUDIT_NOT_LET_OUT] = say_not_let,
	[AUDIT_LOCAL_EXPOSED] = say_local_exposed,
	[AUDIT_UNKNOWN_LISTENER] = say_unknown_listener,
	[AUDIT_OPEN] = say_open,
	[AUDIT_OPEN_TO_SOME] = say_open,
	[AUDIT_TOO_WIDE] = say_too_wide,
	[AUDIT_PINHOLES] = say_ready,
	[AUDIT_OUTPUT_OPEN] = say_ready,
	[AUDIT_HANDED_ON] = say_handed_on,
	[AUDIT_OTHER_PROTOCOL] = say_other_protocol,
	[AUDIT_LEGACY] = say_ready,
};

/* --- objects ------------------------------------------------------------------------------- */

/* "xcat table/1", each once: a row of the catalogue may stand for several of one of the document.
 */
static json_t *rows_json(const struct finding *x)
{
	json_t *rows = json_array();
	const struct cat_row *const *list = x->rule ? x->rule->rows : &x->local;
	size_t n = x->rule ? x->rule->n_rows : x->local != NULL;

	for (size_t i = 0; i < n; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(list[k]->row, list[i]->row) == 0;
		if (!again)
			(void)json_array_append_new(
			    rows, json_sprintf("%s %s", list[i]->document, list[i]->row));
	}
	return rows;
}

/* {"family", "table", "chain", "handle"}; without a handle: the chain's policy. */
static json_t *cause_json(const struct finding *x)
{
	const struct dump_chain *c = x->cause ? x->cause->chain : x->base;

	if (!c)
		return json_null();
	return json_pack("{ss ss ss so}", "family", ruleset_family_word(c->family), "table",
	    c->table, "chain", c->name, "handle",
	    x->cause ? json_integer((json_int_t)x->cause->handle) : json_null());
}

static json_t *group_json(const struct findings *f, const struct group *g)
{
	const struct finding *x = g->first;
	struct text t = { .len = 0 }, fix = { .len = 0 }, ports = { .len = 0 };

	if (x->port.lo)
		add_ports(&ports, g, g->n);
	say[x->kind](f, g, &t, &fix);
	return json_pack("{ss ss ss? ss? ss ss? ss? so so ss ss?}", "level",
	    x->note ? "note" : "finding", "kind", kind_word(x->kind), "proto", proto_word(x),
	    "port", ports.len ? ports.at : NULL, "family", family_word(x->family), "service",
	    service_of(x), "peer", x->peer, "rows", rows_json(x), "rule", cause_json(x), "text",
	    t.at, "fix", fix.len ? fix.at : NULL);
}

json_t *findings_json(struct findings *f, bool *bad)
{
	json_t *list = json_array();
	struct group g;

	*bad = false;
	join_ports(f);
	join_families(f);
	join_ports(f);
	for (size_t i = 0; list && i < f->n; i += g.n) {
		g = group_at(f, i);
		*bad |= !g.first->note;
		if (json_array_append_new(list, group_json(f, &g)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
