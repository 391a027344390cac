/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of addr.c: values are canonical byte by byte, and text is taken whole or not at all.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

static const uint8_t v4_bytes[4] = { 192, 0, 2, 33 };
static const uint8_t v6_bytes[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x21 };

/* Text in a heap block of exactly its length: no terminator to lean on. */
static bool parse(const char *text, size_t len, struct addr *out)
{
	char *block = malloc(len ? len : 1);
	bool ok;

	ck_assert_ptr_nonnull(block);
	memcpy(block, text, len);
	ok = addr_parse(block, len, out);
	free(block);
	return ok;
}

START_TEST(unused_bytes_are_zero)
{
	static const struct addr zero = { 0 };
	struct addr a;

	memset(&a, 0xff, sizeof(a));
	a = addr_ipv4(v4_bytes);
	ck_assert_mem_eq(a.bytes, v4_bytes, 4);
	ck_assert_mem_eq(a.bytes + 4, zero.bytes, 12);
	ck_assert_mem_eq(a.pad, zero.pad, sizeof(a.pad));
	ck_assert_uint_eq(a.family, FAMILY_IPV4);

	memset(&a, 0xff, sizeof(a));
	a = addr_ipv6(v6_bytes);
	ck_assert_mem_eq(a.bytes, v6_bytes, 16);
	ck_assert_mem_eq(a.pad, zero.pad, sizeof(a.pad));
	ck_assert_uint_eq(a.family, FAMILY_IPV6);
}
END_TEST

START_TEST(lengths)
{
	struct addr v4 = addr_ipv4(v4_bytes), v6 = addr_ipv6(v6_bytes), none = { 0 };

	ck_assert_uint_eq(addr_len(&v4), 4);
	ck_assert_uint_eq(addr_len(&v6), 16);
	ck_assert_uint_eq(addr_len(&none), 0);
}
END_TEST

START_TEST(equality)
{
	static const uint8_t like_v4[16] = { 192, 0, 2, 33 };
	struct addr v4 = addr_ipv4(v4_bytes), again = addr_ipv4(v4_bytes);
	struct addr v6 = addr_ipv6(like_v4);

	ck_assert(addr_equal(&v4, &again));
	ck_assert(!addr_equal(&v4, &v6)); /* same bytes, other family */
	for (size_t i = 0; i < 16; i++) {
		struct addr other = v6;

		other.bytes[i] ^= 0x80;
		ck_assert(!addr_equal(&v6, &other));
	}
}
END_TEST

/* What is printed is the canonical form of RFC 5952, and parses to the same value. */
static const struct {
	const char *text, *canonical;
} good[] = {
	{ "0.0.0.0", "0.0.0.0" }, { "192.0.2.33", "192.0.2.33" },
	{ "255.255.255.255", "255.255.255.255" }, { "::", "::" }, { "::1", "::1" },
	{ "2001:DB8:0:0:0:0:0:21", "2001:db8::21" }, { "2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1" },
	{ "::ffff:192.0.2.33", "::ffff:192.0.2.33" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" }, /* the longest text of all */
};

START_TEST(text_there_and_back)
{
	char text[ADDR_TEXT];
	struct addr a, again;

	memset(&a, 0xff, sizeof(a));
	ck_assert(parse(good[_i].text, strlen(good[_i].text), &a));
	ck_assert_ptr_eq(addr_format(&a, text), text);
	ck_assert_str_eq(text, good[_i].canonical);
	ck_assert(parse(text, strlen(text), &again));
	ck_assert_mem_eq(&a, &again, sizeof(a));
}
END_TEST

static const char *const bad[] = {
	"",
	".",
	"1",
	"1.2.3",
	"1.2.3.4.",
	"1.2.3.4.5",
	"1.2.3.256",
	"1.2.3.04",
	"0x1.2.3.4",
	"1.2.3.-4",
	"1.2.3.4 ",
	" 1.2.3.4",
	"1.2.3.4/32",
	":",
	":::",
	"1::2::3",
	"::1%lo",
	"::1/128",
	"[::1]",
	"12345::",
	"1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:9",
	"localhost",
	/* as long as any address, one longer, and far longer */
	"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.25x",
	"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555",
	"00000000000000000000000000000000000000000000000000000000000000000.0.0.0",
};

START_TEST(no_address_changes_nothing)
{
	struct addr a, before;

	memset(&a, 0xa5, sizeof(a));
	before = a;
	ck_assert_msg(!parse(bad[_i], strlen(bad[_i]), &a), "%s", bad[_i]);
	ck_assert_mem_eq(&a, &before, sizeof(a));
}
END_TEST

START_TEST(length_not_terminator)
{
	struct addr a;
	char text[ADDR_TEXT];

	ck_assert(addr_parse("192.0.2.33,4,5", 10, &a));
	ck_assert_str_eq(addr_format(&a, text), "192.0.2.33");
	ck_assert(addr_parse("192.0.2.33", 9, &a));
	ck_assert_str_eq(addr_format(&a, text), "192.0.2.3");
	ck_assert(!parse("192.0.2.33\0", 11, &a));
	ck_assert(!parse("192.0.2.33\0junk", 15, &a));
	ck_assert(!parse("\0192.0.2.33", 11, &a));
}
END_TEST

/* --- prefixes ----------------------------------------------------------------------------------
 */

static bool parse_prefix(const char *text, size_t len, struct prefix *out)
{
	char *block = malloc(len ? len : 1);
	bool ok;

	ck_assert_ptr_nonnull(block);
	memcpy(block, text, len);
	ok = prefix_parse(block, len, out);
	free(block);
	return ok;
}

static const struct {
	const char *text, *addr;
	uint8_t bits;
} prefixes[] = {
	{ "0.0.0.0/0", "0.0.0.0", 0 },
	{ "10.0.0.0/8", "10.0.0.0", 8 },
	{ "10.128.0.0/9", "10.128.0.0", 9 },
	{ "192.0.2.32/31", "192.0.2.32", 31 },
	{ "192.0.2.33/32", "192.0.2.33", 32 },
	{ "192.0.2.33", "192.0.2.33", 32 },
	{ "10.0.0.0/08", "10.0.0.0", 8 },
	{ "10.0.0.0/008", "10.0.0.0", 8 },
	{ "::/0", "::", 0 },
	{ "2001:db8::/32", "2001:db8::", 32 },
	{ "fe80::/10", "fe80::", 10 },
	{ "2001:db8::21/128", "2001:db8::21", 128 },
	{ "2001:db8::21", "2001:db8::21", 128 },
	{ "::ffff:192.0.2.0/120", "::ffff:192.0.2.0", 120 },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128 },
};

START_TEST(prefix_text)
{
	struct prefix p;
	char text[ADDR_TEXT];

	memset(&p, 0xff, sizeof(p));
	ck_assert(parse_prefix(prefixes[_i].text, strlen(prefixes[_i].text), &p));
	ck_assert_str_eq(addr_format(&p.addr, text), prefixes[_i].addr);
	ck_assert_uint_eq(p.bits, prefixes[_i].bits);
}
END_TEST

static const char *const no_prefixes[] = {
	"",
	"/",
	"/8",
	"10.0.0.0/",
	"10.0.0.0/ 8",
	"10.0.0.0/8 ",
	"10.0.0.0/+8",
	"10.0.0.0/-1",
	"10.0.0.0/0x8",
	"10.0.0.0/33",
	"10.0.0.0/256",
	"10.0.0.0/264", /* 8, if somebody counted in bytes */
	"10.0.0.0/0008",
	"10.0.0.0/99999999999999999999",
	"10.0.0.0/8/8",
	"10.0.0.0//8",
	"10.0.0.0/255.0.0.0",
	"10.0.0/8",
	"10/8",
	"::/129",
	"::/999",
	"fe80::%lo/10",
	"[::]/0",
	/* bits behind the prefix */
	"10.0.0.1/8",
	"128.0.0.0/0",
	"192.0.2.33/31",
	"10.192.0.0/9",
	"2001:db8::1/127",
	"::1/0",
	"fec0::/9",
};

START_TEST(no_prefix_changes_nothing)
{
	struct prefix p, before;

	memset(&p, 0xa5, sizeof(p));
	before = p;
	ck_assert_msg(
	    !parse_prefix(no_prefixes[_i], strlen(no_prefixes[_i]), &p), "%s", no_prefixes[_i]);
	ck_assert_mem_eq(&p, &before, sizeof(p));
}
END_TEST

START_TEST(prefix_length_not_terminator)
{
	struct prefix p;

	ck_assert(prefix_parse("10.0.0.0/81", 10, &p));
	ck_assert_uint_eq(p.bits, 8);
	ck_assert(prefix_parse("10.0.0.0/8", 8, &p));
	ck_assert_uint_eq(p.bits, 32);
	ck_assert(!parse_prefix("10.0.0.0/8\0", 11, &p));
	ck_assert(!parse_prefix("10.0.0.0\0/8", 11, &p));
}
END_TEST

/* Each length, against flipping each bit. */
START_TEST(within)
{
	const unsigned int bits = _i ? 128 : 32;
	const struct addr a = _i ? addr_ipv6(v6_bytes) : addr_ipv4(v4_bytes);
	const struct addr other = _i ? addr_ipv4(v4_bytes) : addr_ipv6(v6_bytes);

	for (unsigned int n = 0; n <= bits; n++) {
		struct prefix p = { .addr = a, .bits = (uint8_t)n };

		for (unsigned int bit = n; bit < bits; bit++)
			p.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		ck_assert(addr_within(&a, &p));
		ck_assert(!addr_within(&other, &p)); /* of the other family, however short */
		for (unsigned int bit = 0; bit < bits; bit++) {
			struct addr near = a;

			near.bytes[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
			ck_assert_int_eq(addr_within(&near, &p), bit >= n);
		}
	}
}
END_TEST

START_TEST(no_family_prints_as_a_dash)
{
	struct addr none = { 0 };
	char text[ADDR_TEXT];

	ck_assert_str_eq(addr_format(&none, text), "-");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("addr");
	TCase *tc = tcase_create("addr");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, unused_bytes_are_zero);
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, equality);
	tcase_add_loop_test(tc, text_there_and_back, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, no_address_changes_nothing, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, length_not_terminator);
	tcase_add_loop_test(tc, prefix_text, 0, sizeof(prefixes) / sizeof(prefixes[0]));
	tcase_add_loop_test(
	    tc, no_prefix_changes_nothing, 0, sizeof(no_prefixes) / sizeof(no_prefixes[0]));
	tcase_add_test(tc, prefix_length_not_terminator);
	tcase_add_loop_test(tc, within, 0, 2);
	tcase_add_test(tc, no_family_prints_as_a_dash);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
