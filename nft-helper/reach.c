// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A span begins where the last one ended; each of the ways that make a difference there is asked,
 * and the span ends where the first of their answers does. A rule set can be such that this goes on
 * source port by source port: then what is left of these is asked at once, and mostly cannot be
 * said.
 */
#include "reach.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ruleset_alike.h"
#include "text.h"

#define SPORTS_MAX    32
#define ADDRESSES_MAX 16
#define WAYS_TEXT     192 /* bytes: then no further way is named */
#define RANGES_MAX    4   /* of source ports that are named */
#define KEPT          64

struct reach {
	struct dump dump;
	struct walker *walker;
	struct pool pool, scratch; /* what lasts, and what is for one port */
	struct addrset kept[KEPT]; /* made lately, and likely to come again */
	size_t n_kept;
	const struct listening *host;
	struct walk_interface *interface; /* one of each kind, the others' names in names */
	const char **names;
	size_t n_interfaces;
	struct addrset anybody[2];
};

/* A way that is asked for; a number is 0 where it makes no difference, else 1 and up. */
struct way {
	size_t interface, own;
	uint16_t sport_lo, sport_hi;
};

/* The ways by which a cause comes into play: by each of them, all. */
struct ways {
	uint64_t interfaces, own; /* bits; 0: whichever */
	struct {
		uint16_t lo, hi;
	} sport[RANGES_MAX + 1];
	size_t n_sports;
};

struct cause {
	struct reach_cause cause; /* the first member: a list of these is one of those */
	struct ways ways;
};

/* The answers of all ways at one port. */
struct answer {
	struct reach_span span; /* in scratch memory */
	bool begun;
	struct ways asked;
};

/* --- before the first question ------------------------------------------------------------- */

/* As nft has it: a * at the end stands for any rest. */
static bool is_like(const char *name, const char *pattern)
{
	size_t len = strlen(pattern);

	if (len && pattern[len - 1] == '*')
		return strncmp(name, pattern, len - 1) == 0;
	return strcmp(name, pattern) == 0;
}

static bool is_outside(const char *name, const char *const *outside, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_like(name, outside[i]))
			return true;
	return false;
}

/* "eth0, eth1", "eth0, eth1, ... (7)" */
static const char *name_list(
    struct reach *r, const struct walk_interface *all, const size_t *first, size_t n, size_t of)
{
	struct text t = { .len = 0 };
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (first[i] == of && ++count <= 3)
			text_add_part(&t, ", ", all[i].name);
	if (count > 3)
		text_add(&t, ", ... (%zu)", count);
	return pool_copy(&r->pool, t.at, t.len);
}

static void find_interfaces(struct reach *r, const char *const *outside, size_t n_outside)
{
	size_t n_links = r->host->n_links, n = 0, *first;
	struct walk_interface *all = pool_alloc(&r->pool, (n_links + 1) * sizeof(*all));

	first = pool_alloc(&r->pool, (n_links + 1) * sizeof(*first));
	r->interface = pool_alloc(&r->pool, (n_links + 1) * sizeof(*r->interface));
	r->names = pool_alloc(&r->pool, (n_links + 1) * sizeof(*r->names));
	if (!all || !first || !r->interface || !r->names)
		return;
	for (size_t i = 0; i < n_links; i++) {
		const struct link *l = &r->host->links[i];

		if (is_outside(l->name, outside, n_outside))
			continue;
		memcpy(all[n].name, l->name, sizeof(all[n].name));
		all[n].index = l->index;
		all[n++].type = l->type;
	}
	alike_interfaces(&r->dump, all, n, first);
	for (size_t i = 0; i < n; i++)
		if (first[i] == i) {
			r->interface[r->n_interfaces] = all[i];
			r->names[r->n_interfaces++] = name_list(r, all, first, n, i);
		}
}

/* Sources that no packet from the network has: groups, loopback, none yet. */
static struct addrset honest(struct reach *r, enum family family)
{
	static const char *const four[] = { "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3" };
	static const char *const six[] = { "::/127", "ff00::/8" };
	const char *const *words = family == FAMILY_IPV4 ? four : six;
	size_t n = family == FAMILY_IPV4 ? 3 : 2;
	struct addr_range all = { .hi = addr_last(family) }, not [3];
	struct prefix prefix;

	for (size_t i = 0; i < n; i++)
		if (prefix_parse(words[i], strlen(words[i]), &prefix))
			not [i] = addr_range_of(&prefix);
	return addrset_minus(&r->pool, addrset_of(&r->pool, &all, 1), addrset_of(&r->pool, not, n));
}

int reach_open(
    struct reach **out, const struct listening *host, const char *const *outside, size_t n)
{
	struct reach *r = calloc(1, sizeof(*r));
	int ret;

	*out = NULL;
	if (!r)
		return -ENOMEM;
	ret = dump_take(&r->dump, DUMP_ALL_SETS);
	if (ret < 0) {
		free(r);
		return ret;
	}
	r->host = host;
	r->walker = walker_new(&r->dump);
	find_interfaces(r, outside, n);
	r->anybody[0] = honest(r, FAMILY_IPV4);
	r->anybody[1] = honest(r, FAMILY_IPV6);
	if (!r->walker || r->pool.failed) {
		reach_close(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void reach_close(struct reach *r)
{
	if (!r)
		return;
	walker_free(r->walker);
	dump_free(&r->dump);
	pool_free(&r->scratch);
	pool_free(&r->pool);
	free(r);
}

struct pool *reach_pool(struct reach *r)
{
	return &r->pool;
}

struct addrset reach_anybody(const struct reach *r, enum family family)
{
	return r->anybody[family == FAMILY_IPV6];
}

static size_t own_addresses(
    const struct reach *r, enum family family, const struct addr *list[ADDRESSES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < r->host->n_addresses; i++) {
		const struct addr *a = &r->host->addresses[i].addr;
		bool again = a->family != family;

		for (size_t k = 0; k < n; k++)
			again |= addr_equal(list[k], a);
		if (again)
			continue;
		if (n == ADDRESSES_MAX)
			return 0; /* too many to ask for each */
		list[n++] = a;
	}
	return n;
}

/* --- by which ways ------------------------------------------------------------------------- */

/* All where it makes no difference. Ways of more interfaces than there are bits are not told apart.
 */
static uint64_t bit(size_t number)
{
	return number && number <= 64 ? (uint64_t)1 << (number - 1) : ~(uint64_t)0;
}

static void add_way(struct ways *to, const struct way *way)
{
	size_t last = to->n_sports - 1;

	to->interfaces |= bit(way->interface);
	to->own |= bit(way->own);
	if (to->n_sports &&
	    (to->sport[last].hi >= way->sport_hi || to->sport[last].hi + 1 >= way->sport_lo)) {
		if (way->sport_hi > to->sport[last].hi)
			to->sport[last].hi = way->sport_hi;
	} else if (to->n_sports <= RANGES_MAX) {
		to->sport[to->n_sports].lo = way->sport_lo;
		to->sport[to->n_sports++].hi = way->sport_hi;
	}
}

static bool all_sports(const struct ways *some, const struct ways *all)
{
	return some->n_sports == all->n_sports &&
	       memcmp(some->sport, all->sport, some->n_sports * sizeof(some->sport[0])) == 0;
}

/* "by eth0 at 10.0.0.1 from ports 1-52, 54-65535"; NULL for all that were asked for. */
static const char *ways_text(struct reach *r, const struct reach_question *q,
    const struct ways *some, const struct ways *all)
{
	const struct addr *own[ADDRESSES_MAX];
	struct text t = { .len = 0 };
	char address[ADDR_TEXT];
	size_t n_own = own_addresses(r, q->family, own);

	for (size_t i = 0; some->interfaces != all->interfaces && i < r->n_interfaces && i < 64;
	     i++)
		if (some->interfaces & bit(i + 1) && t.len < WAYS_TEXT)
			text_add(&t, "%s%s", t.len ? ", " : "by ", r->names[i]);
	for (size_t i = 0, k = 0; some->own != all->own && i < n_own; i++)
		if (some->own & bit(i + 1) && t.len < WAYS_TEXT) {
			text_add_part(&t, k ? ", " : " ", k ? "" : "at ");
			k++;
			text_add(&t, "%s", addr_format(own[i], address));
		}
	for (size_t i = 0; !all_sports(some, all) && i < some->n_sports && i < RANGES_MAX; i++) {
		bool range = some->sport[i].hi > some->sport[i].lo;

		text_add_part(&t, i ? ", " : " ",
		    i                             ? ""
		    : range || some->n_sports > 1 ? "from ports "
						  : "from port ");
		text_add(&t, "%u", some->sport[i].lo);
		if (range)
			text_add(&t, "-%u", some->sport[i].hi);
	}
	return t.len ? pool_copy(&r->scratch, t.at, t.len) : NULL;
}

/* --- what did it --------------------------------------------------------------------------- */

static void add_cause(struct reach *r, const struct reach_cause **list, const struct walk_event *e,
    struct addrset who, const struct way *way)
{
	struct cause *c;

	if (!who.n)
		return;
	who = addrset_copy(&r->scratch, who);
	for (c = (struct cause *)*list; c; c = (struct cause *)c->cause.next)
		if (c->cause.rule == e->rule && c->cause.base == e->base)
			break;
	if (!c) {
		c = pool_alloc(&r->scratch, sizeof(*c));
		if (!c)
			return;
		c->cause = (struct reach_cause){ .base = e->base, .rule = e->rule, .next = *list };
		*list = &c->cause;
	}
	c->cause.who = addrset_or(&r->scratch, c->cause.who, who);
	add_way(&c->ways, way);
}

/*
 * The base chain whose rules let in: the last one that drops anybody, or could. Others let
 * everything pass.
 */
static const struct dump_chain *deciding(const struct walk_result *w)
{
	const struct dump_chain *base = NULL;

	for (size_t i = 0; i < w->n_events; i++)
		if (w->event[i].what == WALK_DROPS || w->event[i].base->drops)
			base = w->event[i].base;
	return base ? base : w->n_events ? w->event[w->n_events - 1].base : NULL;
}

static void add_causes(struct reach *r, struct answer *a, const struct walk_result *w,
    struct addrset out, const struct way *way)
{
	const struct dump_chain *base = deciding(w);

	for (size_t i = 0; i < w->n_events; i++) {
		const struct walk_event *e = &w->event[i];

		if (e->what == WALK_ACCEPTS && e->base == base)
			add_cause(
			    r, &a->span.by, e, addrset_and(&r->scratch, e->may, w->accepted), way);
		else if (e->what == WALK_DROPS)
			add_cause(r, &a->span.drop, e, addrset_and(&r->scratch, e->may, out), way);
		else if (e->what == WALK_TRANSLATES)
			add_cause(r, &a->span.translate, e, e->may, way);
	}
}

/* --- one port, all ways -------------------------------------------------------------------- */

static void add_answer(struct reach *r, struct answer *a, const struct walk_result *w,
    const struct way *way, struct addrset peers)
{
	struct pool *p = &r->scratch;
	struct reach_span *s = &a->span;
	struct addrset sure = addrset_minus(p, w->accepted, w->dropped);

	sure = addrset_copy(p, addrset_minus(p, sure, w->translated));
	s->always = a->begun ? addrset_and(p, s->always, sure) : sure;
	s->let_in = addrset_or(p, s->let_in, sure);
	s->perhaps = addrset_or(p, s->perhaps, addrset_copy(p, w->accepted));
	s->handed_on = addrset_or(p, s->handed_on, addrset_copy(p, w->translated));
	a->begun = true;
	add_causes(r, a, w, addrset_minus(p, peers, sure), way);
	add_way(&a->asked, way);
	if (w->dport_upto < s->hi)
		s->hi = w->dport_upto;
}

static bool is_of(const struct reach *r, const struct addr *own, uint32_t index)
{
	for (size_t i = 0; i < r->host->n_addresses; i++)
		if (r->host->addresses[i].index == index &&
		    addr_equal(&r->host->addresses[i].addr, own))
			return true;
	return false;
}

/* By each interface and to each address of this host that make a difference. */
static int ask_ways(struct reach *r, const struct reach_question *q, struct walk_packet packet,
    unsigned int looked_at, struct way way, struct answer *a)
{
	const struct addr *own[ADDRESSES_MAX];
	size_t n_own = looked_at & WALK_ABOUT_OWN ? own_addresses(r, q->family, own) : 0;
	size_t n_interfaces = looked_at & WALK_ABOUT_INTERFACE ? r->n_interfaces : 0;
	struct walk_result w;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < (n_interfaces ? n_interfaces : 1); i++)
		for (size_t k = 0; ret == 0 && k < (n_own ? n_own : 1); k++) {
			if (n_interfaces) {
				packet.interface = &r->interface[i];
				way.interface = i + 1;
			}
			if (n_own) {
				packet.own = *own[k];
				way.own = k + 1;
				packet.elsewhere =
				    n_interfaces && !is_of(r, own[k], packet.interface->index);
			}
			ret = walk_host(r->walker, &packet, &w);
			if (ret == 0)
				add_answer(r, a, &w, &way, q->peers);
		}
	return ret;
}

/* port: -1 without. From each source port that makes a difference. */
static int ask_port(struct reach *r, const struct reach_question *q, int port, struct answer *a)
{
	uint32_t first = q->sport_lo ? q->sport_lo : 1;
	uint32_t last = q->sport_hi ? q->sport_hi : UINT16_MAX, upto;
	struct walk_packet packet = {
		.family = q->family == FAMILY_IPV6 ? NFPROTO_IPV6 : NFPROTO_IPV4,
		.l4proto = q->l4proto,
		.out = q->out,
		.peers = &q->peers,
		.dport = port,
		.sport = -1,
		.icmp_type = q->icmp_type,
		.state = 1u << (IP_CT_NEW + 1),
		.ordinary = true,
	};
	struct walk_result w;
	unsigned int boxes = 0;
	int ret = 0;

	for (uint32_t from = first; ret == 0 && from <= last; from = upto + 1) {
		struct way way = { .sport_lo = (uint16_t)from };

		packet.sport = q->lo && boxes++ < SPORTS_MAX ? (int)from : -1;
		ret = walk_host(r->walker, &packet, &w);
		if (ret < 0)
			break;
		/* The walk that knows least is the one that asks most: its end holds for all ways.
		 */
		upto = packet.sport < 0 || w.sport_upto > last ? last : w.sport_upto;
		way.sport_hi = (uint16_t)upto;
		if (w.dport_upto < a->span.hi)
			a->span.hi = w.dport_upto;
		if (w.looked_at)
			ret = ask_ways(r, q, packet, w.looked_at, way, a);
		else
			add_answer(r, a, &w, &way, q->peers);
	}
	return ret;
}

/* --- all ports ----------------------------------------------------------------------------- */

/* The same set in memory that lasts. */
static struct addrset keep(struct reach *r, struct addrset set)
{
	size_t n = r->n_kept < KEPT ? r->n_kept : KEPT;
	struct addrset *place;

	for (size_t i = 0; i < n; i++)
		if (addrset_equal(r->kept[i], set))
			return r->kept[i];
	place = &r->kept[r->n_kept++ % KEPT];
	*place = addrset_copy(&r->pool, set);
	return *place;
}

static const struct reach_cause *keep_causes(struct reach *r, const struct reach_cause *from)
{
	const struct reach_cause *out = NULL;

	/* Which turns them round: the first event comes first again. */
	for (; from; from = from->next) {
		struct reach_cause *c = pool_alloc(&r->pool, sizeof(*c));

		if (!c)
			return NULL;
		*c = *from;
		c->who = keep(r, from->who);
		if (c->only)
			c->only = pool_copy(&r->pool, c->only, strlen(c->only));
		c->next = out;
		out = c;
	}
	return out;
}

/* Kept causes, and fresh ones in the opposite order. */
static bool same_causes(const struct reach_cause *kept, const struct reach_cause *fresh)
{
	size_t n = 0, m = 0;

	for (const struct reach_cause *c = kept; c; c = c->next)
		n++;
	for (const struct reach_cause *f = fresh; f; f = f->next, m++) {
		const struct reach_cause *c = kept;

		while (c && (c->rule != f->rule || c->base != f->base))
			c = c->next;
		if (!c || !addrset_equal(c->who, f->who) || !c->only != !f->only ||
		    (c->only && strcmp(c->only, f->only) != 0))
			return false;
	}
	return n == m;
}

static bool same(const struct reach_span *kept, const struct reach_span *fresh)
{
	return addrset_equal(kept->let_in, fresh->let_in) &&
	       addrset_equal(kept->perhaps, fresh->perhaps) &&
	       addrset_equal(kept->always, fresh->always) &&
	       addrset_equal(kept->handed_on, fresh->handed_on) &&
	       same_causes(kept->by, fresh->by) && same_causes(kept->drop, fresh->drop) &&
	       same_causes(kept->translate, fresh->translate);
}

static int add_span(struct reach_spans *out, size_t *room, struct reach *r, const struct answer *a)
{
	struct reach_span fresh = a->span;

	if (out->n && same(&out->span[out->n - 1], &fresh)) {
		out->span[out->n - 1].hi = fresh.hi;
		return 0;
	}
	if (out->n == *room) {
		size_t more = *room ? *room * 2 : 16;
		struct reach_span *grown = pool_alloc(&r->pool, more * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		if (out->n)
			memcpy(grown, out->span, out->n * sizeof(*grown));
		out->span = grown;
		*room = more;
	}
	fresh.let_in = keep(r, fresh.let_in);
	fresh.perhaps = keep(r, fresh.perhaps);
	fresh.always = keep(r, fresh.always);
	fresh.handed_on = keep(r, fresh.handed_on);
	fresh.by = keep_causes(r, fresh.by);
	fresh.drop = keep_causes(r, fresh.drop);
	fresh.translate = keep_causes(r, fresh.translate);
	out->span[out->n++] = fresh;
	return 0;
}

static void name_ways(struct reach *r, const struct reach_question *q, const struct answer *a,
    const struct reach_cause *list)
{
	for (struct cause *c = (struct cause *)list; c; c = (struct cause *)c->cause.next)
		c->cause.only = ways_text(r, q, &c->ways, &a->asked);
}

int reach_ask(struct reach *r, const struct reach_question *q, struct reach_spans *out)
{
	uint32_t port = q->lo;
	size_t room = 0;
	int ret = 0;

	*out = (struct reach_spans){ .n = 0 };
	do {
		struct answer a = { .span = { .lo = (uint16_t)port, .hi = q->hi } };

		pool_reset(&r->scratch);
		ret = ask_port(r, q, q->lo ? (int)port : -1, &a);
		if (!q->lo || a.span.hi > q->hi)
			a.span.hi = q->hi;
		name_ways(r, q, &a, a.span.by);
		name_ways(r, q, &a, a.span.drop);
		name_ways(r, q, &a, a.span.translate);
		if (ret == 0)
			ret = add_span(out, &room, r, &a);
		port = a.span.hi + 1u;
	} while (ret == 0 && port <= q->hi);
	return ret == 0 && (r->pool.failed || r->scratch.failed) ? -ENOMEM : ret;
}
