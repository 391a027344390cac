/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of cursor.c. Every read is tried on each length from nothing to enough: it succeeds
 * whole, or changes neither the cursor nor the output. Inputs live in heap blocks of exactly their
 * length, so that a sanitizer sees the first byte read too many.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"

static uint8_t *block;

static void drop_block(void)
{
	free(block);
	block = NULL;
}

static struct cursor exactly(const void *bytes, size_t len)
{
	drop_block();
	block = malloc(len ? len : 1);
	ck_assert_ptr_nonnull(block);
	if (len)
		memcpy(block, bytes, len);
	return cursor_of(len ? block : NULL, len);
}

static struct cursor text(const char *s)
{
	return exactly(s, strlen(s));
}

/* `by` bytes on; not even 0 may be added to a null pointer. */
static const uint8_t *past(struct cursor c, size_t by)
{
	return by ? c.at + by : c.at;
}

#define ck_assert_moved(c, was, by)                                                                \
	do {                                                                                       \
		ck_assert_ptr_eq((c).at, past(was, by));                                           \
		ck_assert_uint_eq((c).left, (was).left - (by));                                    \
	} while (0)

#define ck_assert_untouched(c, was) ck_assert_moved(c, was, 0)

static const uint8_t five[5] = { 0x81, 0x92, 0xa3, 0xb4, 0xc5 };

START_TEST(integers_at_every_length)
{
	const size_t len = (size_t)_i;
	struct cursor was = exactly(five, len), c;
	uint8_t u8 = 0x11;
	uint16_t u16 = 0x1111;
	uint32_t u32 = 0x11111111;

	c = was;
	ck_assert_int_eq(cursor_peek(&c, &u8), len >= 1);
	ck_assert_uint_eq(u8, len >= 1 ? 0x81 : 0x11);
	ck_assert_untouched(c, was);

	u8 = 0x11;
	ck_assert_int_eq(cursor_u8(&c, &u8), len >= 1);
	ck_assert_uint_eq(u8, len >= 1 ? 0x81 : 0x11);
	ck_assert_moved(c, was, len >= 1 ? 1 : 0);

	c = was;
	ck_assert_int_eq(cursor_be16(&c, &u16), len >= 2);
	ck_assert_uint_eq(u16, len >= 2 ? 0x8192 : 0x1111);
	ck_assert_moved(c, was, len >= 2 ? 2 : 0);

	c = was;
	ck_assert_int_eq(cursor_be32(&c, &u32), len >= 4);
	ck_assert_uint_eq(u32, len >= 4 ? 0x8192a3b4 : 0x11111111);
	ck_assert_moved(c, was, len >= 4 ? 4 : 0);
}
END_TEST

START_TEST(copy_skip_sub_at_every_length)
{
	struct cursor was = exactly(five, (size_t)_i), c;

	for (size_t n = 0; n <= 6; n++) {
		const bool enough = n <= (size_t)_i;
		struct cursor sub = { .at = five, .left = 77 };
		uint8_t copy[6], untouched[6];

		memset(copy, 0xee, sizeof(copy));
		memset(untouched, 0xee, sizeof(untouched));
		c = was;
		ck_assert_int_eq(cursor_copy(&c, copy, n), enough);
		ck_assert_moved(c, was, enough ? n : 0);
		ck_assert_mem_eq(copy, enough ? five : untouched, enough ? n : 6);
		ck_assert_mem_eq(copy + n, untouched, 6 - n);

		c = was;
		ck_assert_int_eq(cursor_skip(&c, n), enough);
		ck_assert_moved(c, was, enough ? n : 0);

		c = was;
		ck_assert_int_eq(cursor_sub(&c, n, &sub), enough);
		ck_assert_moved(c, was, enough ? n : 0);
		ck_assert_ptr_eq(sub.at, enough ? was.at : five);
		ck_assert_uint_eq(sub.left, enough ? n : 77);
	}
	c = was;
	ck_assert(!cursor_skip(&c, SIZE_MAX));
	ck_assert_untouched(c, was);
}
END_TEST

START_TEST(until)
{
	struct cursor was = text("ab\n\ncd"), c = was, line = cursor_of(five, 5);

	ck_assert(cursor_until(&c, '\n', &line));
	ck_assert_ptr_eq(line.at, was.at);
	ck_assert_uint_eq(line.left, 2);
	ck_assert_moved(c, was, 3);
	ck_assert(cursor_until(&c, '\n', &line)); /* an empty line */
	ck_assert_uint_eq(line.left, 0);
	ck_assert_moved(c, was, 4);
	ck_assert(!cursor_until(&c, '\n', &line));
	ck_assert_uint_eq(line.left, 0);
	ck_assert_moved(c, was, 4);
	ck_assert(cursor_until(&c, 'd', &line)); /* the very last byte */
	ck_assert_uint_eq(line.left, 1);
	ck_assert_uint_eq(c.left, 0);
	ck_assert(!cursor_until(&c, 'd', &line));

	c = was = exactly("\x00\xff", 2); /* any byte is a byte */
	ck_assert(cursor_until(&c, 0xff, &line));
	ck_assert_uint_eq(line.left, 1);

	c = exactly("", 0);
	ck_assert(!cursor_until(&c, '\n', &line));
}
END_TEST

START_TEST(characters)
{
	struct cursor was = exactly("a\xe9", 2), c = was;

	ck_assert(!cursor_char(&c, 'A'));
	ck_assert_untouched(c, was);
	ck_assert(cursor_char(&c, 'a'));
	ck_assert_moved(c, was, 1);
	ck_assert(cursor_char(&c, '\xe9')); /* char may be signed */
	ck_assert(!cursor_char(&c, 'a'));
	ck_assert_uint_eq(c.left, 0);
}
END_TEST

START_TEST(words)
{
	static const char whole[] = "PoRt 1";

	for (size_t len = 0; len <= strlen(whole); len++) {
		struct cursor was = exactly(whole, len), c = was;
		const bool enough = len >= 4;

		ck_assert_int_eq(cursor_word(&c, "pOrT"), enough);
		ck_assert_moved(c, was, enough ? 4 : 0);
		c = was;
		ck_assert(!cursor_word(&c, "port 2"));
		ck_assert_untouched(c, was);
		ck_assert(cursor_word(&c, ""));
		ck_assert_untouched(c, was);
	}
}
END_TEST

/* Only A to Z have two cases: '@' and '`' (0x40, 0x60) and '[' and '{' differ by the same bit. */
START_TEST(word_case_is_ascii)
{
	for (unsigned int a = 1; a < 256; a++) {
		const char word[2] = { (char)a, '\0' };

		for (unsigned int b = 0; b < 256; b++) {
			const uint8_t byte = (uint8_t)b;
			struct cursor c = cursor_of(&byte, 1);
			const bool letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';

			const bool same = a == b || (letter && (a ^ b) == 0x20);

			if (cursor_word(&c, word) != same)
				ck_abort_msg("word %02x, byte %02x", a, b);
		}
	}
}
END_TEST

static const struct {
	const char *text;
	uint32_t max;
	bool ok;
	uint32_t value;
	size_t taken;
} decimals[] = {
	{ "", UINT32_MAX, false, 0, 0 },
	{ "x", UINT32_MAX, false, 0, 0 },
	{ "-1", UINT32_MAX, false, 0, 0 },
	{ "+1", UINT32_MAX, false, 0, 0 },
	{ " 1", UINT32_MAX, false, 0, 0 },
	{ "/", UINT32_MAX, false, 0, 0 }, /* the neighbours of 0 and 9 */
	{ ":", UINT32_MAX, false, 0, 0 },
	{ "0", 0, true, 0, 1 },
	{ "1", 0, false, 0, 0 },
	{ "7,8", 255, true, 7, 1 },
	{ "255)", 255, true, 255, 3 },
	{ "256", 255, false, 0, 0 },
	{ "00000000255", UINT32_MAX, false, 0, 0 }, /* eleven digits */
	{ "0000000255", 255, true, 255, 10 },
	{ "65535", 65535, true, 65535, 5 },
	{ "65536", 65535, false, 0, 0 },
	{ "4294967295", UINT32_MAX, true, UINT32_MAX, 10 },
	{ "4294967296", UINT32_MAX, false, 0, 0 },
	{ "4294967297", UINT32_MAX, false, 0, 0 }, /* 1 when it wraps */
	{ "9999999999", UINT32_MAX, false, 0, 0 },
	{ "12345678901", UINT32_MAX, false, 0, 0 },
	{ "18446744073709551617", UINT32_MAX, false, 0, 0 }, /* 1 when 64 bits wrap */
	{ "1\0002", UINT32_MAX, true, 1, 1 },
};

START_TEST(decimal_bounds)
{
	struct cursor was = text(decimals[_i].text), c = was;
	uint32_t value = 4711;

	ck_assert_int_eq(cursor_decimal(&c, decimals[_i].max, &value), decimals[_i].ok);
	ck_assert_uint_eq(value, decimals[_i].ok ? decimals[_i].value : 4711);
	ck_assert_moved(c, was, decimals[_i].taken);
}
END_TEST

START_TEST(decimal_of_every_16_bit_number)
{
	for (uint32_t n = 0; n < 70000; n++) {
		char digits[16];
		struct cursor c;
		uint32_t value = 4711;
		int len = snprintf(digits, sizeof(digits), "%u", n);

		c = cursor_of(digits, (size_t)len);
		if (cursor_decimal(&c, 65535, &value) != (n <= 65535) ||
		    value != (n <= 65535 ? n : 4711) || (n <= 65535 && c.left))
			ck_abort_msg("%u read as %u", n, value);
	}
}
END_TEST

START_TEST(blanks)
{
	struct cursor c = text(" \t \r\n");

	ck_assert_uint_eq(cursor_blanks(&c), 3);
	ck_assert_uint_eq(c.left, 2);
	ck_assert_uint_eq(cursor_blanks(&c), 0);
	ck_assert_uint_eq(c.left, 2);
	c = text("  ");
	ck_assert_uint_eq(cursor_blanks(&c), 2);
	ck_assert_uint_eq(c.left, 0);
	ck_assert_uint_eq(cursor_blanks(&c), 0);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	size_t cap;
	const char *text;
} escapes[] = {
	{ "", 0, 1, "" }, { "a", 1, 1, "" }, { "a", 1, 2, "a" }, { "\n", 1, 2, "." },
	{ "ab", 2, 2, "." }, { "ab", 2, 3, "ab" }, { "abc", 3, 3, ".." }, { "abc", 3, 4, "abc" },
	{ "abcd", 4, 4, "..." }, { "\n", 1, 4, "..." }, { "\n", 1, 5, "\\x0a" },
	{ "abcd", 4, 5, "abcd" }, { "abcde", 5, 5, "a..." }, { "a\n", 2, 5, "a..." },
	{ "\n\n", 2, 5, "..." }, { "\n\n", 2, 8, "\\x0a..." },
	{ "\nabc", 4, 8, "\\x0aabc" },                               /* fits to the last byte */
	{ "\nabcd", 5, 8, "\\x0a..." }, { "ab\n\n", 4, 8, "ab..." }, /* never half an escape */
	{ "227 \r\n", 6, 64, "227 \\x0d\\x0a" },
	{ "\0\x1f ~\x7f\x80\xff", 7, 64, "\\x00\\x1f ~\\x7f\\x80\\xff" },
	{ "\\x0a\"", 5, 64, "\\x5cx0a\"" }, /* no way to fake an escape */
};

START_TEST(escape)
{
	struct cursor was = exactly(escapes[_i].bytes, escapes[_i].len), c = was;
	char *out = malloc(escapes[_i].cap);

	ck_assert_ptr_nonnull(out);
	cursor_escape(&c, out, escapes[_i].cap);
	ck_assert_str_eq(out, escapes[_i].text);
	ck_assert_untouched(c, was);
	free(out);
}
END_TEST

/* For every byte and every room: terminated, printable, whole or marked as cut. */
START_TEST(escape_any_byte_any_room)
{
	const uint8_t byte = (uint8_t)_i;
	const uint8_t bytes[3] = { 'a', byte, byte };
	const bool plain = byte >= ' ' && byte <= '~' && byte != '\\';
	const size_t needs = 1 + 2 * (plain ? 1 : 4);

	for (size_t cap = 1; cap < 16; cap++) {
		char *out = malloc(cap);
		struct cursor c = cursor_of(bytes, sizeof(bytes));
		size_t len;

		ck_assert_ptr_nonnull(out);
		cursor_escape(&c, out, cap);
		len = strnlen(out, cap);
		ck_assert_uint_lt(len, cap);
		for (size_t i = 0; i < len; i++)
			ck_assert(out[i] >= ' ' && out[i] <= '~');
		if (cap > needs)
			ck_assert_uint_eq(len, needs);
		else if (cap > 3)
			ck_assert_str_eq(out + len - 3, "...");
		else
			ck_assert_uint_eq(len, cap - 1);
		free(out);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cursor");
	TCase *tc = tcase_create("cursor");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, NULL, drop_block);
	tcase_add_loop_test(tc, integers_at_every_length, 0, sizeof(five) + 1);
	tcase_add_loop_test(tc, copy_skip_sub_at_every_length, 0, sizeof(five) + 1);
	tcase_add_test(tc, until);
	tcase_add_test(tc, characters);
	tcase_add_test(tc, words);
	tcase_add_test(tc, word_case_is_ascii);
	tcase_add_loop_test(tc, decimal_bounds, 0, sizeof(decimals) / sizeof(decimals[0]));
	tcase_add_test(tc, decimal_of_every_16_bit_number);
	tcase_add_test(tc, blanks);
	tcase_add_loop_test(tc, escape, 0, sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_loop_test(tc, escape_any_byte_any_room, 0, 256);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
