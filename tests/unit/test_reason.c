/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of reason.c: what others rely on in the words (JSON, metrics) and sentences (people).
 * Form is tested for all of them, content for a few that stand at the seams of the list.
 */
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "reason.h"

#define WORD_MAX 32 /* a column of a table */
#define TEXT_MAX 80 /* a line on a terminal */

START_TEST(words_are_lower_case_with_hyphens)
{
	const char *word = reason_word((enum reason)_i);
	size_t len = strlen(word);

	ck_assert_uint_ge(len, 1);
	ck_assert_uint_le(len, WORD_MAX);
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(islower((unsigned char)word[i]) || isdigit((unsigned char)word[i]) ||
				  (word[i] == '-' && i > 0 && i + 1 < len),
		    "%s", word);
}
END_TEST

START_TEST(words_differ)
{
	for (int other = 0; other < REASON_MAX; other++)
		if (other != _i)
			ck_assert_str_ne(
			    reason_word((enum reason)_i), reason_word((enum reason)other));
}
END_TEST

START_TEST(texts_are_one_plain_line)
{
	const char *text = reason_text((enum reason)_i);
	size_t len = strlen(text);

	ck_assert_uint_ge(len, 1);
	ck_assert_uint_le(len, TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(isprint((unsigned char)text[i]), "%s", text);
	ck_assert_msg(!ispunct((unsigned char)text[len - 1]) || text[len - 1] == ')', "%s", text);
}
END_TEST

START_TEST(seams)
{
	ck_assert_int_eq(REASON_NONE, 0);
	ck_assert_str_eq(reason_word(REASON_NONE), "none");
	ck_assert_str_eq(reason_word(REASON_COMMIT_FAILED), "commit-failed");
	ck_assert_str_eq(reason_word(REASON_MALFORMED), "malformed");
	ck_assert_str_eq(reason_word(REASON_NO_MEMORY), "no-memory");
	ck_assert_str_eq(reason_text(REASON_NO_MEMORY), "out of memory");
}
END_TEST

START_TEST(refusals_are_the_second_block)
{
#define X(name, word, text) ck_assert_msg(!reason_is_refusal(REASON_##name), word);
	REASON_LIFE(X)
#undef X
#define X(name, word, text) ck_assert_msg(reason_is_refusal(REASON_##name), word);
	REASON_REFUSAL(X)
#undef X
}
END_TEST

START_TEST(no_such_reason)
{
	ck_assert_str_eq(reason_word(REASON_MAX), "unknown");
	ck_assert_str_eq(reason_text(REASON_MAX), "no such reason");
	ck_assert_str_eq(reason_word((enum reason) - 1), "unknown");
	ck_assert_str_eq(reason_text((enum reason) - 1), "no such reason");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reason");
	TCase *tc = tcase_create("words");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, words_are_lower_case_with_hyphens, 0, REASON_MAX);
	tcase_add_loop_test(tc, words_differ, 0, REASON_MAX);
	tcase_add_loop_test(tc, texts_are_one_plain_line, 0, REASON_MAX);
	tcase_add_test(tc, seams);
	tcase_add_test(tc, refusals_are_the_second_block);
	tcase_add_test(tc, no_such_reason);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
