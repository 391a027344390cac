// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A comparison looks at each byte once: bits that are known and differ decide it, ports narrow the
 * range for which it says the same, addresses make it split, and anything else that is unknown
 * makes it depend. A range narrower than need be costs another walk and nothing else.
 */
#include "ruleset_cells.h"

#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>

#define KEY_MAX 128

static const struct addrset nobody;

/* --- making cells -------------------------------------------------------------------------- */

static void pad(struct cell *c, size_t len)
{
	for (; len % 4; len++)
		c[len] = (struct cell){ .known = 0xff };
}

void cells_unknown(struct cell *c, size_t len)
{
	memset(c, 0, len * sizeof(*c));
	pad(c, len);
}

void cells_bytes(struct cell *c, const void *bytes, size_t len, enum cell_from from)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		c[i] = (struct cell){
			.value = b[i],
			.known = 0xff,
			.from = (uint8_t)from,
			.index = (uint8_t)i,
			.mask = from == CELL_ELSEWHERE ? 0 : 0xff,
		};
	pad(c, len);
}

void cells_word(struct cell *c, uint32_t value, enum cell_from from)
{
	cells_bytes(c, &value, sizeof(value), from);
}

void cells_byte(struct cell *c, uint8_t value)
{
	cells_bytes(c, &value, sizeof(value), CELL_ELSEWHERE);
}

void cells_be16(struct cell *c, uint16_t value)
{
	const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	cells_bytes(c, bytes, sizeof(bytes), CELL_ELSEWHERE);
}

static size_t loopback(enum cell_from from, uint8_t out[IFNAMSIZ])
{
	static const uint32_t index = 1; /* LOOPBACK_IFINDEX: the first of every namespace */
	static const uint16_t type = ARPHRD_LOOPBACK;

	memset(out, 0, IFNAMSIZ);
	switch (from) {
	case CELL_IF_INDEX:
		memcpy(out, &index, sizeof(index));
		return sizeof(index);
	case CELL_IF_TYPE:
		memcpy(out, &type, sizeof(type));
		return sizeof(type);
	default:
		memcpy(out, "lo", sizeof("lo"));
		return IFNAMSIZ;
	}
}

void cells_not_loopback(struct cell *c, enum cell_from from)
{
	uint8_t not [IFNAMSIZ];
	size_t len = loopback(from, not );

	for (size_t i = 0; i < len; i++)
		c[i] = (struct cell){ .from = (uint8_t)from, .index = (uint8_t)i, .mask = 0xff };
	pad(c, len);
}

void cells_peer(struct cell *c, size_t len)
{
	for (size_t i = 0; i < len; i++)
		c[i] = (struct cell){ .from = CELL_PEER, .index = (uint8_t)i, .mask = 0xff };
	pad(c, len);
}

void cells_port(struct cell *c, const struct cell_scope *s, unsigned int which)
{
	const struct cell_port *p = &s->port[which];
	const uint8_t bytes[2] = { (uint8_t)(p->at >> 8), (uint8_t)p->at };

	if (p->asked)
		cells_bytes(
		    c, bytes, sizeof(bytes), which == CELL_PORT_DST ? CELL_DPORT : CELL_SPORT);
	else
		cells_unknown(c, sizeof(bytes));
}

void cells_join(struct cell *c, const struct cell *other, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (memcmp(&c[i], &other[i], sizeof(c[i])) != 0)
			c[i] = (struct cell){ .known = 0 };
}

/* --- arithmetic ---------------------------------------------------------------------------- */

static bool is_port(const struct cell *c)
{
	return c->from == CELL_DPORT || c->from == CELL_SPORT;
}

/* A port that has been computed with: the result holds for this one alone. */
static void spoil(struct cell *c, uint8_t from)
{
	c->from = from;
	c->index = 0;
	c->mask = 0x5a; /* no mask of a prefix */
}

void cells_mask(struct cell *c, const uint8_t *keep, const uint8_t *flip, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		struct cell *b = &c[i];

		b->known |= (uint8_t)~keep[i];
		b->value = (uint8_t)((b->value & keep[i]) ^ (flip[i] & b->known));
		b->mask &= keep[i];
		if (b->from == CELL_MARK)
			b->mask &= (uint8_t)~flip[i];
		else if (is_port(b) && flip[i])
			spoil(b, b->from);
		/* Flipped, an unknown bit is another one. */
		else if (flip[i] & b->mask)
			b->from = CELL_ELSEWHERE;
		if (b->from >= CELL_IF_INDEX && (keep[i] != 0xff || flip[i]))
			b->from = CELL_ELSEWHERE;
		if (!b->mask && b->from != CELL_STATE && b->from != CELL_MARK)
			b->from = CELL_ELSEWHERE;
	}
}

/* One 32-bit word; nobody shifts more (nft_bitwise.c: nft_bitwise_eval_lshift). */
void cells_shift(struct cell *c, size_t len, unsigned int by, bool left)
{
	uint32_t value, known, low;
	uint8_t v[4], k[4], from = CELL_ELSEWHERE;
	bool mixed = false;

	for (size_t i = 0; i < sizeof(v) && i < len; i++) {
		v[i] = c[i].value;
		k[i] = c[i].known;
		if (!is_port(&c[i]) && c[i].from != CELL_STATE && c[i].from != CELL_MARK)
			continue;
		mixed |= from != CELL_ELSEWHERE && from != c[i].from;
		from = c[i].from;
	}
	if (len != sizeof(value) || by >= 32 || mixed) {
		cells_unknown(c, len);
		return;
	}
	memcpy(&value, v, sizeof(value));
	memcpy(&known, k, sizeof(known));
	low = left ? (by ? UINT32_MAX >> (32 - by) : 0) : (by ? UINT32_MAX << (32 - by) : 0);
	value = left ? value << by : value >> by;
	known = (left ? known << by : known >> by) | low;
	memcpy(v, &value, sizeof(value));
	memcpy(k, &known, sizeof(known));
	for (size_t i = 0; i < sizeof(v); i++) {
		c[i] = (struct cell){ .value = v[i], .known = k[i] };
		if (from == CELL_DPORT || from == CELL_SPORT)
			spoil(&c[i], from);
		else if (from != CELL_ELSEWHERE)
			c[i] = (struct cell){ .value = v[i], .known = k[i], .from = from };
	}
}

void cells_swap(struct cell *c, size_t len, size_t size)
{
	if (size < 2 || size > 8 || len % size) {
		if (len > 1)
			cells_unknown(c, len);
		return;
	}
	for (size_t at = 0; at < len; at += size)
		for (size_t i = 0; i < size / 2; i++) {
			struct cell one = c[at + i];

			c[at + i] = c[at + size - 1 - i];
			c[at + size - 1 - i] = one;
		}
}

bool cells_fixed(const struct cell *c, size_t len, uint8_t *out)
{
	for (size_t i = 0; i < len; i++) {
		if (c[i].known != 0xff || is_port(&c[i]))
			return false;
		out[i] = c[i].value;
	}
	return true;
}

/* --- ports --------------------------------------------------------------------------------- */

static struct cell_port *port_of(struct cell_scope *s, const struct cell *c)
{
	return &s->port[c->from == CELL_DPORT ? CELL_PORT_DST : CELL_PORT_SRC];
}

static void narrow_to(struct cell_port *p, uint16_t upto)
{
	if (upto < p->upto)
		p->upto = upto;
}

/* A condition that says the same from lo to hi, and the same again outside. */
static void narrow_range(struct cell_port *p, uint16_t lo, uint16_t hi)
{
	if (p->at < lo)
		narrow_to(p, (uint16_t)(lo - 1));
	else if (p->at <= hi)
		narrow_to(p, hi);
}

/* A condition on the bits in mask alone. */
static void narrow_mask(struct cell_port *p, uint16_t mask)
{
	uint16_t rest = (uint16_t)~mask;

	/* Those of a prefix: the same for all ports that differ behind it only. */
	narrow_to(p, (rest & (rest + 1)) == 0 ? p->at | rest : p->at);
}

/* Both bytes of an unchanged port, in order. */
static bool whole_port(const struct cell *c, size_t len)
{
	return len >= 2 && is_port(&c[0]) && c[1].from == c[0].from && c[0].index == 0 &&
	       c[1].index == 1 && c[0].mask == 0xff && c[1].mask == 0xff;
}

static uint16_t port_mask(const struct cell *c)
{
	return (uint16_t)(c->index == 0 ? c->mask << 8 : c->mask);
}

/* A condition on whatever these bytes have of a port. */
static void narrow_bytes(struct cell_scope *s, const struct cell *c, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint16_t mask = port_mask(&c[i]);

		if (!is_port(&c[i]))
			continue;
		if (i + 1 < len && c[i + 1].from == c[i].from && c[i].index == 0 &&
		    c[i + 1].index == 1)
			mask |= port_mask(&c[i + 1]);
		else if (i > 0 && c[i - 1].from == c[i].from && c[i - 1].index == 0 &&
			 c[i].index == 1)
			mask |= port_mask(&c[i - 1]);
		narrow_mask(port_of(s, &c[i]), mask);
	}
}

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

bool cells_port_outside(struct cell_scope *s, const struct cell *c, uint16_t lo, uint16_t hi)
{
	struct cell_port *p;

	if (!whole_port(c, 2))
		return false;
	p = port_of(s, c);
	if (p->at >= lo && p->at <= hi)
		return false;
	narrow_range(p, lo, hi);
	return true;
}

/* --- comparing ----------------------------------------------------------------------------- */

struct cond cond_of(enum truth truth)
{
	return (struct cond){ .truth = truth };
}

static struct cond split(struct cell_scope *s, struct addr_range range, bool surely)
{
	struct addrset set = addrset_of(s->pool, &range, 1);

	return (struct cond){ .truth = SPLITS, .sure = surely ? set : nobody, .may = set };
}

/*
 * The addresses whose first bytes, masked, are from lo to hi: false when the bytes are not the
 * beginning of the address, or the mask is none of a prefix.
 */
static bool peer_range(const struct cell_scope *s, const struct cell *c, size_t len,
    const uint8_t *lo, const uint8_t *hi, struct addr_range *out, bool *any)
{
	addr_number mask = 0, from = 0, to = 0, all, rest;
	unsigned int shift = (s->addr_len - (unsigned int)len) * 8;

	if (len > s->addr_len)
		return false;
	for (size_t i = 0; i < len; i++) {
		/* Bits that are not the address's have to be 0. */
		if (c[i].from == CELL_PEER ? c[i].index != i : c[i].known != 0xff)
			return false;
		if (c[i].value || (c[i].known & c[i].mask))
			return false;
		mask = mask << 8 | (c[i].from == CELL_PEER ? c[i].mask : 0);
		from = from << 8 | lo[i];
		to = to << 8 | hi[i];
	}
	all = addr_last(s->addr_len == 4 ? FAMILY_IPV4 : FAMILY_IPV6);
	mask <<= shift;
	from <<= shift;
	to = to << shift | (((addr_number)1 << shift) - 1);
	rest = all & ~mask;
	if (rest & (rest + 1))
		return false;
	/* a & mask >= from, and a & mask <= to */
	*any = true;
	if (from & rest) {
		from |= rest;
		if (from == all)
			*any = false;
		else
			from++;
	}
	to |= rest;
	if (to < from)
		*any = false;
	*out = (struct addr_range){ .lo = from, .hi = to };
	return true;
}

/* Whether these bytes say "the loopback interface", which is known not to be it. */
static bool excluded(const struct cell *c, size_t len, const uint8_t *value, size_t *used)
{
	uint8_t not [IFNAMSIZ];
	size_t n = loopback(c->from, not );

	/* iptables compares a name only as far as its NUL. */
	if (c->from == CELL_IF_NAME && len < n && len > strlen((const char *)not ))
		n = len;
	if (len < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (c[i].from != c->from || c[i].index != i)
			return false;
	*used = n;
	return memcmp(not, value, n) == 0;
}

/* Do all known bits that no port has to do with agree? */
static bool may_equal(const struct cell *c, const uint8_t *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_port(&c[i]) && ((c[i].value ^ value[i]) & c[i].known))
			return false;
	return true;
}

static struct cond equals(
    struct cell_scope *s, const struct cell *c, const uint8_t *value, size_t len)
{
	struct addr_range range;
	bool any, depends = false, peers = false, same = true;
	size_t n;

	if (!may_equal(c, value, len))
		return cond_of(FAILS);
	for (size_t i = 0; i < len; i += n) {
		n = 1;
		if (whole_port(&c[i], len - i)) {
			struct cell_port *p = port_of(s, &c[i]);

			n = 2;
			narrow_range(p, be16(&value[i]), be16(&value[i]));
			same &= be16(&value[i]) == p->at;
		} else if (is_port(&c[i])) {
			for (n = 1; i + n < len && is_port(&c[i + n]) &&
				    !whole_port(&c[i + n], len - i - n);)
				n++;
			narrow_bytes(s, &c[i], n);
			for (size_t k = i; k < i + n; k++) {
				same &= ((c[k].value ^ value[k]) & c[k].known) == 0;
				depends |= c[k].known != 0xff;
			}
		} else if (c[i].from == CELL_PEER && c[i].index == 0 && !peers) {
			for (n = 1; i + n < len && n < s->addr_len && c[i + n].from == CELL_PEER &&
				    c[i + n].index == n;)
				n++;
			/* Zeros that a mask has left belong to it, where nothing but it is there.
			 */
			if (i == 0 && len <= s->addr_len)
				n = len;
			if (!peer_range(s, &c[i], n, &value[i], &value[i], &range, &any)) {
				depends = true;
				n = 1;
			} else if (!any) {
				same = false;
			} else {
				peers = true;
			}
		} else if (c[i].from >= CELL_IF_INDEX && c[i].index == 0 &&
			   excluded(&c[i], len - i, &value[i], &n)) {
			same = false;
		} else if (c[i].known != 0xff) {
			n = 1;
			depends = true;
		}
	}
	if (!same)
		return cond_of(FAILS);
	if (peers)
		return split(s, range, !depends);
	return cond_of(depends ? DEPENDS : HOLDS);
}

static struct cond lies_within(
    struct cell_scope *s, const struct cell *c, const uint8_t *lo, const uint8_t *hi, size_t len)
{
	uint8_t least[KEY_MAX], most[KEY_MAX];
	struct addr_range range;
	bool any;

	if (whole_port(c, len) && len == 2) {
		struct cell_port *p = port_of(s, c);

		narrow_range(p, be16(lo), be16(hi));
		return cond_of(p->at >= be16(lo) && p->at <= be16(hi) ? HOLDS : FAILS);
	}
	if (c->from == CELL_PEER && peer_range(s, c, len, lo, hi, &range, &any))
		return any ? split(s, range, true) : cond_of(FAILS);
	narrow_bytes(s, c, len);
	for (size_t i = 0; i < len; i++) {
		least[i] = c[i].value;
		most[i] = (uint8_t)(c[i].value | (uint8_t)~c[i].known);
	}
	if (memcmp(most, lo, len) < 0 || memcmp(least, hi, len) > 0)
		return cond_of(FAILS);
	return cond_of(memcmp(least, lo, len) >= 0 && memcmp(most, hi, len) <= 0 ? HOLDS : DEPENDS);
}

struct cond cells_within(
    struct cell_scope *s, const struct cell *c, const uint8_t *lo, const uint8_t *hi, size_t len)
{
	if (len == 0 || len > KEY_MAX)
		return cond_of(DEPENDS);
	if (memcmp(lo, hi, len) > 0)
		return cond_of(FAILS);
	return memcmp(lo, hi, len) == 0 ? equals(s, c, lo, len) : lies_within(s, c, lo, hi, len);
}

struct cond cells_compare(
    struct cell_scope *s, const struct cell *c, uint32_t op, const uint8_t *data, size_t len)
{
	uint8_t least[KEY_MAX], most[KEY_MAX];
	bool below = op == NFT_CMP_LT || op == NFT_CMP_LTE;
	bool strictly = op == NFT_CMP_LT || op == NFT_CMP_GT;

	if (len == 0 || len > KEY_MAX)
		return cond_of(DEPENDS);
	if (op == NFT_CMP_EQ)
		return equals(s, c, data, len);
	if (op == NFT_CMP_NEQ)
		return cond_not(s, equals(s, c, data, len));
	memset(least, 0, len);
	memset(most, 0xff, len);
	/* x < y: not x >= y. */
	if (below == strictly)
		memcpy(least, data, len);
	else
		memcpy(most, data, len);
	return strictly ? cond_not(s, cells_within(s, c, least, most, len))
			: cells_within(s, c, least, most, len);
}

/* --- combining ----------------------------------------------------------------------------- */

/* As sets, whatever it is. */
static struct cond spread(const struct cell_scope *s, struct cond c)
{
	switch (c.truth) {
	case HOLDS:
		return (struct cond){ .truth = SPLITS, .sure = s->peers, .may = s->peers };
	case DEPENDS:
		return (struct cond){ .truth = SPLITS, .may = s->peers };
	case FAILS:
		return (struct cond){ .truth = SPLITS };
	default:
		return c;
	}
}

struct cond cond_not(struct cell_scope *s, struct cond c)
{
	switch (c.truth) {
	case HOLDS:
		return cond_of(FAILS);
	case FAILS:
		return cond_of(HOLDS);
	case DEPENDS:
		return c;
	default:
		return (struct cond){
			.truth = SPLITS,
			.sure = addrset_minus(s->pool, s->peers, c.may),
			.may = addrset_minus(s->pool, s->peers, c.sure),
		};
	}
}

struct cond cond_and(struct cell_scope *s, struct cond a, struct cond b)
{
	if (a.truth != SPLITS && b.truth != SPLITS)
		return a.truth < b.truth ? a : b;
	if (a.truth == HOLDS || b.truth == FAILS)
		return b;
	if (b.truth == HOLDS || a.truth == FAILS)
		return a;
	a = spread(s, a);
	b = spread(s, b);
	return (struct cond){
		.truth = SPLITS,
		.sure = addrset_and(s->pool, a.sure, b.sure),
		.may = addrset_and(s->pool, a.may, b.may),
	};
}

struct cond cond_or(struct cell_scope *s, struct cond a, struct cond b)
{
	if (a.truth != SPLITS && b.truth != SPLITS)
		return a.truth > b.truth ? a : b;
	if (a.truth == FAILS || b.truth == HOLDS)
		return b;
	if (b.truth == FAILS || a.truth == HOLDS)
		return a;
	a = spread(s, a);
	b = spread(s, b);
	return (struct cond){
		.truth = SPLITS,
		.sure = addrset_or(s->pool, a.sure, b.sure),
		.may = addrset_or(s->pool, a.may, b.may),
	};
}

/* --- sets ---------------------------------------------------------------------------------- */

struct cond cells_in_element(struct cell_scope *s, const struct cell *key,
    const struct dump_set *set, const struct dump_element *e)
{
	struct cond c = cond_of(HOLDS);
	size_t at = 0;

	if (set->n_fields < 2)
		c = cells_within(s, key, e->lo, e->hi, set->key_len);
	for (unsigned int i = 0; set->n_fields >= 2 && i < set->n_fields; i++) {
		size_t len = set->field_len[i];

		c = cond_and(s, c, cells_within(s, key + at, e->lo + at, e->hi + at, len));
		if (c.truth == FAILS)
			return c;
		at += (len + 3) / 4 * 4;
	}
	return e->unsure ? cond_and(s, c, cond_of(DEPENDS)) : c;
}

/* The last element that does not begin behind the key; -1 when all do. */
static ptrdiff_t element_at(const struct dump_set *set, const uint8_t *key)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (memcmp(set->element[middle].lo, key, set->key_len) <= 0)
			lo = middle + 1;
		else
			hi = middle;
	}
	return (ptrdiff_t)lo - 1;
}

static struct cond in_sorted(
    struct cell_scope *s, const struct cell *key, const struct dump_set *set, const uint8_t *value)
{
	ptrdiff_t at = element_at(set, value);
	struct cell_port *p = is_port(key) ? port_of(s, key) : NULL;
	const struct dump_element *e = at >= 0 ? &set->element[at] : NULL;
	const struct dump_element *next = (size_t)(at + 1) < set->n ? &set->element[at + 1] : NULL;

	if (e && memcmp(value, e->hi, set->key_len) <= 0) {
		if (p)
			narrow_to(p, be16(e->hi));
		return cond_of(HOLDS);
	}
	if (p && next && next->lo)
		narrow_to(p, (uint16_t)(be16(next->lo) - 1));
	return cond_of(FAILS);
}

static bool whole_peer(const struct cell_scope *s, const struct cell *key, size_t len)
{
	if (len != s->addr_len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (key[i].from != CELL_PEER || key[i].index != i || key[i].mask != 0xff)
			return false;
	return true;
}

static struct cond gather(
    struct cell_scope *s, const struct cell *key, const struct dump_set *set, bool *depends)
{
	struct addr_range *sure = pool_alloc(s->pool, (set->n + 1) * sizeof(*sure));
	struct addr_range *may = pool_alloc(s->pool, (set->n + 1) * sizeof(*may));
	struct cond all = cond_of(FAILS);
	size_t n_sure = 0, n_may = 0;

	for (size_t i = 0; sure && may && i < set->n; i++) {
		const struct dump_element *e = &set->element[i];
		struct cond c;

		/* Every key is in a set with a nameless element. */
		if (!e->lo)
			return cond_of(e->unsure ? DEPENDS : HOLDS);
		c = cells_in_element(s, key, set, e);
		if (c.truth == HOLDS)
			return c;
		*depends |= c.truth == DEPENDS;
		if (c.truth != SPLITS)
			continue;
		/* One element is one range of addresses, or none. */
		if (c.sure.n)
			sure[n_sure++] = c.sure.range[0];
		if (c.may.n)
			may[n_may++] = c.may.range[0];
		all.truth = SPLITS;
	}
	if (all.truth == SPLITS) {
		all.sure = addrset_of(s->pool, sure, n_sure);
		all.may = addrset_of(s->pool, may, n_may);
	}
	return all;
}

struct cond cells_in_set(struct cell_scope *s, const struct cell *key, const struct dump_set *set)
{
	uint8_t value[DUMP_REGISTERS];
	bool depends = false;
	struct cond c;

	if (set->unknown)
		return cond_of(DEPENDS);
	if (set->plain && cells_fixed(key, set->key_len, value))
		return in_sorted(s, key, set, value);
	if (set->plain && set->key_len == 2 && whole_port(key, 2)) {
		value[0] = key[0].value;
		value[1] = key[1].value;
		return in_sorted(s, key, set, value);
	}
	if (set->has_addrs && whole_peer(s, key, set->key_len))
		return (struct cond){ .truth = SPLITS, .sure = set->addrs, .may = set->addrs };
	c = gather(s, key, set, &depends);
	return depends ? cond_or(s, c, cond_of(DEPENDS)) : c;
}
