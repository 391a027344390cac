/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of addrset.c and of the conditions of ruleset_cells.c, each held against counting:
 * sets of a few addresses as bit masks, comparisons of ports made for every port.
 */
#include <check.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "addrset.h"
#include "ruleset_cells.h"

#define ADDRESSES 48
#define ROUNDS    4000

static struct pool pool;

/* The same numbers in every run. */
static uint32_t seed = 1;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % sides;
}

/* Thousands of checks are one assertion: check(3) writes a line for each. */
static unsigned int wrong;

static void setup(void)
{
	seed = 1;
	wrong = 0;
}

static void teardown(void)
{
	pool_free(&pool);
}

/* --- sets ---------------------------------------------------------------------------------- */

static struct addrset random_set(void)
{
	struct addr_range r[6];
	size_t n = dice(7);

	for (size_t i = 0; i < n; i++) {
		r[i].lo = dice(ADDRESSES);
		r[i].hi = r[i].lo + dice(ADDRESSES - (uint32_t)r[i].lo);
	}
	return addrset_of(&pool, r, n);
}

static uint64_t bits(struct addrset s)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < s.n; i++) {
		wrong += s.range[i].lo > s.range[i].hi;
		wrong += i > 0 && s.range[i].lo <= s.range[i - 1].hi + 1;
		for (addr_number a = s.range[i].lo; a <= s.range[i].hi; a++)
			mask |= (uint64_t)1 << a;
	}
	return mask;
}

START_TEST(sets_are_like_bits)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct addrset a = random_set(), b = random_set();
		uint64_t x = bits(a), y = bits(b);

		wrong += bits(addrset_and(&pool, a, b)) != (x & y);
		wrong += bits(addrset_or(&pool, a, b)) != (x | y);
		wrong += bits(addrset_minus(&pool, a, b)) != (x & ~y);
		wrong += bits(addrset_copy(&pool, a)) != x;
		wrong += addrset_equal(a, b) != (x == y);
		wrong += addrset_within(a, b) != ((x & ~y) == 0);
		wrong += addrset_meets(a, b) != ((x & y) != 0);
		ck_assert_uint_eq(wrong, 0);
		pool_reset(&pool);
	}
}
END_TEST

START_TEST(sets_to_the_end)
{
	struct addr_range all = { 0, addr_last(FAMILY_IPV6) };
	struct addr_range one = { all.hi, all.hi }, low = { 0, 5 };
	struct addrset everything = addrset_of(&pool, &all, 1), last = addrset_of(&pool, &one, 1);
	struct addrset rest = addrset_minus(&pool, everything, last);

	ck_assert_uint_eq(rest.n, 1);
	ck_assert(rest.range[0].hi == all.hi - 1);
	ck_assert(addrset_equal(addrset_or(&pool, rest, last), everything));
	ck_assert_uint_eq(addrset_minus(&pool, everything, everything).n, 0);
	rest = addrset_minus(&pool, everything, addrset_of(&pool, &low, 1));
	ck_assert(rest.range[0].lo == 6 && rest.range[0].hi == all.hi);
}
END_TEST

static void range_is(const char *lo, const char *hi, const char *text)
{
	char got[ADDR_RANGE_TEXT];
	struct addr a, b;
	struct addr_range r;

	ck_assert(addr_parse(lo, strlen(lo), &a) && addr_parse(hi, strlen(hi), &b));
	r = (struct addr_range){ addr_to_number(&a), addr_to_number(&b) };
	ck_assert_str_eq(addr_range_format(&r, (enum family)a.family, got), text);
}

START_TEST(ranges_as_text)
{
	range_is("10.0.0.0", "10.255.255.255", "10.0.0.0/8");
	range_is("10.0.0.1", "10.0.0.1", "10.0.0.1");
	range_is("10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2");
	range_is("0.0.0.0", "255.255.255.255", "0.0.0.0/0");
	range_is("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::/10");
	range_is("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0");
	range_is("::", "::2", "::-::2");
}
END_TEST

/* --- ports --------------------------------------------------------------------------------- */

static struct cell_scope scope_at(uint16_t port)
{
	struct cell_scope s = { .pool = &pool };

	s.port[CELL_PORT_DST] = (struct cell_port){ true, port, UINT16_MAX };
	return s;
}

static bool holds(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case NFT_CMP_EQ:
		return a == b;
	case NFT_CMP_NEQ:
		return a != b;
	case NFT_CMP_LT:
		return a < b;
	case NFT_CMP_LTE:
		return a <= b;
	case NFT_CMP_GT:
		return a > b;
	default:
		return a >= b;
	}
}

/* One question a span: every port in it has the answer of its first. */
START_TEST(ports_of_a_span_are_alike)
{
	static const uint16_t masks[] = { 0xffff, 0xffff, 0xff00, 0xfff0, 0x8000, 0x00ff, 0x0101 };

	for (int i = 0; i < 300; i++) {
		uint16_t mask = masks[dice(7)], flip = dice(4) ? 0 : (uint16_t)dice(0x10000);
		uint32_t op = dice(6), value = dice(0x10000) & mask;
		const uint8_t data[2] = { (uint8_t)(value >> 8), (uint8_t)value };
		const uint8_t keep[2] = { (uint8_t)(mask >> 8), (uint8_t)mask };
		const uint8_t turn[2] = { (uint8_t)(flip >> 8), (uint8_t)flip };

		for (uint32_t port = 0, upto; port <= UINT16_MAX; port = upto + 1) {
			struct cell_scope s = scope_at((uint16_t)port);
			struct cell c[4];
			struct cond cond;

			cells_port(c, &s, CELL_PORT_DST);
			if (mask != 0xffff || flip)
				cells_mask(c, keep, turn, 2);
			cond = cells_compare(&s, c, op, data, 2);
			upto = s.port[CELL_PORT_DST].upto;
			for (uint32_t p = port; p <= upto; p++)
				wrong +=
				    (cond.truth == HOLDS) != holds(op, (p & mask) ^ flip, value);
			wrong += cond.truth != HOLDS && cond.truth != FAILS;
		}
		ck_assert_uint_eq(wrong, 0);
		pool_reset(&pool);
	}
}
END_TEST

START_TEST(both_ports_at_once)
{
	const uint8_t data[4] = { 0, 53, 0x1f, 0x90 }; /* 53, 8080 */
	struct cell_scope s = scope_at(8080);
	struct cell c[8];

	s.port[CELL_PORT_SRC] = (struct cell_port){ true, 53, UINT16_MAX };
	cells_port(c, &s, CELL_PORT_SRC);
	cells_port(&c[2], &s, CELL_PORT_DST);
	ck_assert_int_eq(cells_compare(&s, c, NFT_CMP_EQ, data, 4).truth, HOLDS);
	ck_assert_uint_eq(s.port[CELL_PORT_SRC].upto, 53);
	ck_assert_uint_eq(s.port[CELL_PORT_DST].upto, 8080);
	s = scope_at(8000);
	s.port[CELL_PORT_SRC] = (struct cell_port){ true, 50, UINT16_MAX };
	cells_port(c, &s, CELL_PORT_SRC);
	cells_port(&c[2], &s, CELL_PORT_DST);
	ck_assert_int_eq(cells_compare(&s, c, NFT_CMP_EQ, data, 4).truth, FAILS);
	ck_assert_uint_eq(s.port[CELL_PORT_SRC].upto, 52);
	ck_assert_uint_eq(s.port[CELL_PORT_DST].upto, 8079);
}
END_TEST

/* --- what is not known --------------------------------------------------------------------- */

/* Every byte that the unknown bits can make, against what is said of all of them. */
START_TEST(unknown_bits_never_decide)
{
	for (int i = 0; i < 20000; i++) {
		struct cell_scope s = { .pool = &pool };
		uint8_t known = (uint8_t)dice(256), value = (uint8_t)dice(256) & known;
		uint8_t data = (uint8_t)dice(256);
		uint32_t op = dice(6);
		struct cell c[4];
		bool some = false, all = true;
		enum truth truth;

		cells_byte(c, value);
		c[0].known = known;
		for (uint32_t b = 0; b < 256; b++) {
			if ((b & known) != value)
				continue;
			some |= holds(op, b, data);
			all &= holds(op, b, data);
		}
		truth = cells_compare(&s, c, op, &data, 1).truth;
		wrong += truth == HOLDS && !all;
		wrong += truth == FAILS && some;
		/* Equality is decided whenever it can be. */
		if (op == NFT_CMP_EQ && (all || !some))
			wrong += truth != (all ? HOLDS : FAILS);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* The peer's address, masked and compared: whom it splits off is counted. */
START_TEST(addresses_split)
{
	static const uint8_t zeros[4];
	const struct addr_range world = { 0, UINT32_MAX };

	for (int i = 0; i < ROUNDS; i++) {
		struct cell_scope s = { .pool = &pool, .addr_len = 4, .peers = { &world, 1 } };
		uint32_t bits_kept = dice(33);
		uint32_t mask = bits_kept ? UINT32_MAX << (32 - bits_kept) : 0;
		uint32_t value = dice(0x10000) << 16 | dice(0x10000), op = dice(6);
		uint8_t keep[4] = { (uint8_t)(mask >> 24), (uint8_t)(mask >> 16),
			(uint8_t)(mask >> 8), (uint8_t)mask };
		uint8_t data[4];
		struct cell c[4];
		struct cond cond;

		if (dice(2))
			value &= mask;
		data[0] = (uint8_t)(value >> 24);
		data[1] = (uint8_t)(value >> 16);
		data[2] = (uint8_t)(value >> 8);
		data[3] = (uint8_t)value;
		cells_peer(c, 4);
		cells_mask(c, keep, zeros, 4);
		cond = cells_compare(&s, c, op, data, 4);
		for (int k = 0; k < 20; k++) {
			/* Near the edge as well as anywhere. */
			uint32_t a =
			    k < 10 ? value + (uint32_t)k - 5 : dice(0x10000) << 16 | dice(0x10000);
			struct addr_range one = { a, a };
			struct addrset address = { &one, 1 };
			bool is = holds(op, a & mask, value);

			if (cond.truth == SPLITS) {
				wrong += addrset_within(address, cond.sure) != is;
				wrong += addrset_within(address, cond.may) != is;
			} else if (cond.truth != DEPENDS) {
				wrong += (cond.truth == HOLDS) != is;
			}
		}
		ck_assert_uint_eq(wrong, 0);
		pool_reset(&pool);
	}
}
END_TEST

START_TEST(loopback_is_excluded)
{
	static const uint8_t lo[16] = "lo", eth[16] = "eth0", index[4] = { 1 };
	struct cell_scope s = { .pool = &pool };
	struct cell name[16], number[4];

	cells_not_loopback(name, CELL_IF_NAME);
	cells_not_loopback(number, CELL_IF_INDEX);
	ck_assert_int_eq(cells_compare(&s, name, NFT_CMP_EQ, lo, 16).truth, FAILS);
	ck_assert_int_eq(cells_compare(&s, name, NFT_CMP_EQ, lo, 3).truth, FAILS);
	ck_assert_int_eq(cells_compare(&s, name, NFT_CMP_NEQ, lo, 16).truth, HOLDS);
	/* lo* is more than lo. */
	ck_assert_int_eq(cells_compare(&s, name, NFT_CMP_EQ, lo, 2).truth, DEPENDS);
	ck_assert_int_eq(cells_compare(&s, name, NFT_CMP_EQ, eth, 16).truth, DEPENDS);
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		ck_assert_int_eq(cells_compare(&s, number, NFT_CMP_EQ, index, 4).truth, FAILS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("addrset");
	TCase *sets = tcase_create("sets"), *cells = tcase_create("cells");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(sets, setup, teardown);
	tcase_add_test(sets, sets_are_like_bits);
	tcase_add_test(sets, sets_to_the_end);
	tcase_add_test(sets, ranges_as_text);
	tcase_add_checked_fixture(cells, setup, teardown);
	tcase_set_timeout(cells, 60);
	tcase_add_test(cells, ports_of_a_span_are_alike);
	tcase_add_test(cells, both_ports_at_once);
	tcase_add_test(cells, unknown_bits_never_decide);
	tcase_add_test(cells, addresses_split);
	tcase_add_test(cells, loopback_is_excluded);
	suite_add_tcase(suite, sets);
	suite_add_tcase(suite, cells);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
