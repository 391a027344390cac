/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of hash.c. The expected values are those of an independent implementation that gives
 * the 64 vectors of the SipHash-2-4 reference code with two and four rounds, and these with one and
 * three. Input n of the table is the n bytes 00 01 02 ..., as in the paper's appendix.
 * Nothing here tests how well it hashes.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

static const uint8_t key[HASH_KEY_LEN] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static const uint64_t vectors[64] = {
	0xabac0158050fc4dc,
	0xc9f49bf37d57ca93,
	0x82cb9b024dc7d44d,
	0x8bf80ab8e7ddf7fb,
	0xcf75576088d38328,
	0xdef9d52f49533b67,
	0xc50d2b50c59f22a7,
	0xd3927d989bb11140,
	0x369095118d299a8e,
	0x25a48eb36c063de4,
	0x79de85ee92ff097f,
	0x70c118c1f94dc352,
	0x78a384b157b4d9a2,
	0x306f760c1229ffa7,
	0x605aa111c0f95d34,
	0xd320d86d2a519956,
	0xcc4fdd1a7d908b66,
	0x9cf2689063dbd80c,
	0x8ffc389cb473e63e,
	0xf21f9de58d297d1c,
	0xc0dc2f46a6cce040,
	0xb992abfe2b45f844,
	0x7ffe7b9ba320872e,
	0x525a0e7fdae6c123,
	0xf464aeb267349c8c,
	0x45cd5928705b0979,
	0x3a3e35e3ca9913a5,
	0xa91dc74e4ade3b35,
	0xfb0bed02ef6cd00d,
	0x88d93cb44ab1e1f4,
	0x540f11d643c5e663,
	0x2370dd1f8c21d1bc,
	0x81157b6c16a7b60d,
	0x4d54b9e57a8ff9bf,
	0x759f12781f2a753e,
	0xcea1a3bebf186b91,
	0x2cf508d3ada26206,
	0xb6101c2da3c33057,
	0xb3f47496ae3a36a1,
	0x626b57547b108392,
	0xc1d2363299e41531,
	0x667cc1923f1ad944,
	0x65704ffec8138825,
	0x24f280d1c28949a6,
	0xc2ca1cedfaf8876b,
	0xc2164bfc9f042196,
	0xa16e9c9368b1d623,
	0x49fb169c8b5114fd,
	0x9f3143f8df074c46,
	0xc6fdaf2412cc86b3,
	0x7eaf49d10a52098f,
	0x1cf313559d292f9a,
	0xc44a30dda2f41f12,
	0x36fae98943a71ed0,
	0x318fb34c73f0bce6,
	0xa27abf3670a7e980,
	0xb4bcc0db243c6d75,
	0x23f8d852fdb71513,
	0x8f035f4da67d8a08,
	0xd89cd0e5b7e8f148,
	0xf6f4e6bcf7a644ee,
	0xaec59ad80f1837f2,
	0xc3b2f6154b6694e0,
	0x9d199062b7bbb3a8,
};

START_TEST(every_length_to_63)
{
	/* Exactly n bytes on the heap, so that reading past them is seen by a sanitizer. */
	uint8_t *input = malloc((size_t)_i + 1);

	ck_assert_ptr_nonnull(input);
	for (int i = 0; i < _i; i++)
		input[i] = (uint8_t)i;
	input = realloc(input, _i ? (size_t)_i : 1);
	ck_assert_ptr_nonnull(input);
	ck_assert_uint_eq(hash_sip13(key, input, (size_t)_i), vectors[_i]);
	free(input);
}
END_TEST

START_TEST(nothing_at_null)
{
	ck_assert_uint_eq(hash_sip13(key, NULL, 0), vectors[0]);
}
END_TEST

/* Longer than the length byte can say, high bits everywhere. */
START_TEST(long_input_other_key)
{
	static const uint8_t other[HASH_KEY_LEN] = { 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87,
		0x78, 0x69, 0x5a, 0x4b, 0x3c, 0x2d, 0x1e, 0x0f };
	uint8_t input[300];

	memset(input, 0xff, sizeof(input));
	ck_assert_uint_eq(hash_sip13(other, input, sizeof(input)), 0x9ed9a82eb9821685);
}
END_TEST

START_TEST(alignment_does_not_matter)
{
	uint8_t buffer[64 + 8];

	for (size_t shift = 0; shift < 8; shift++) {
		for (size_t i = 0; i < 63; i++)
			buffer[shift + i] = (uint8_t)i;
		ck_assert_uint_eq(hash_sip13(key, buffer + shift, 63), vectors[63]);
	}
}
END_TEST

START_TEST(every_key_bit_counts)
{
	for (size_t bit = 0; bit < 8 * HASH_KEY_LEN; bit++) {
		uint8_t other[HASH_KEY_LEN];

		memcpy(other, key, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_uint_ne(hash_sip13(other, key, sizeof(key)), vectors[16]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hash");
	TCase *tc = tcase_create("siphash-1-3");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, every_length_to_63, 0, 64);
	tcase_add_test(tc, nothing_at_null);
	tcase_add_test(tc, long_input_other_key);
	tcase_add_test(tc, alignment_does_not_matter);
	tcase_add_test(tc, every_key_bit_counts);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
