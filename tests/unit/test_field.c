/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of xt-ext/field.c: each set of services against every comparison of mark bits that
 * there is, and what of pinholed.conf the iptables extensions read. That the daemon reads the same
 * is for tests/netns/t/95-xt-options.t.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "field.h"

#define SETS   (1u << (PH_SVC_MAX - 1)) /* of services, the empty one included */
#define FLAGS  (PH_MARK_F_PINHOLE | PH_MARK_F_CONTROL)
#define FIELDS (1u << PH_MARK_FIELD_BITS)

/* Whether a flow with this field is to match. */
static bool wanted(unsigned int field, unsigned int flag, services_t services)
{
	unsigned int svc = field & PH_MARK_F_SERVICE;

	return field & flag && (!services || services & 1u << svc);
}

/* What pinholed may write: never flags without a service or a service without flags, and nothing is
 * let in as NFS. */
static bool possible(unsigned int field)
{
	unsigned int svc = field & PH_MARK_F_SERVICE;

	return !(field & FLAGS) == !svc && !(field & PH_MARK_F_PINHOLE && svc == PH_SVC_NFS);
}

static bool compares(
    uint32_t mask, uint32_t value, uint32_t bits, unsigned int flag, services_t services)
{
	for (unsigned int field = 0; field < FIELDS; field++) {
		uint32_t mark = (field << ph_mark_shift(mask)) | (0xa5a5a5a5 & ~mask);

		if (possible(field) && ((mark & bits) == value) != wanted(field, flag, services))
			return false;
	}
	return true;
}

static services_t set_number(unsigned int i)
{
	return (services_t)(i << (PH_SVC_NONE + 1));
}

START_TEST(a_comparison_where_there_is_one)
{
	const uint32_t mask = 0x3fu << _i;
	static const unsigned int flags[] = { PH_MARK_F_PINHOLE, PH_MARK_F_CONTROL };
	unsigned int found = 0;

	for (unsigned int i = 0; i < 2 * SETS; i++) {
		services_t services = set_number(i / 2);
		unsigned int flag = flags[i % 2];
		uint32_t value = 0, bits = 0;
		bool any = false;

		if (flag == PH_MARK_F_PINHOLE && services & 1u << PH_SVC_NFS)
			continue; /* a question that nobody asks */
		for (unsigned int b = 0; b < FIELDS && !any; b++)
			for (unsigned int v = 0; v < FIELDS && !any; v++)
				any = !(v & ~b) && compares(mask, v << _i, b << _i, flag, services);
		ck_assert_int_eq(field_compare(mask, flag, services, &value, &bits), any);
		if (!any)
			continue;
		found++;
		ck_assert_uint_eq(bits & ~mask, 0);
		ck_assert(compares(mask, value, bits, flag, services));
	}
	/* One service each, and any; and nothing by accident. */
	ck_assert_uint_ge(found, 2 * PH_SVC_MAX);
	ck_assert_uint_lt(found, SETS);
}
END_TEST

START_TEST(which_services_go_together)
{
	static const struct {
		const char *list;
		bool together;
	} lists[] = {
		{ "ftp,bfd", true },
		{ "ftp,rsh", true },
		{ "sunrpc,bfd", true },
		{ "sunrpc,tftp", true },
		{ "tftp,rsh", true },
		{ "rsh,rexec", true },
		{ "ftp,sunrpc,bfd", true },
		{ "bfd,ftp,sunrpc", true },
		{ "tftp,rsh,rexec", true },
		{ "ftp,sunrpc,bfd,tftp,rsh,rexec", true },
		{ "ftp,sunrpc", false },
		{ "ftp,tftp", false },
		{ "bfd,tftp", false },
		{ "ftp,sunrpc,bfd,tftp,rsh", false },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		char error[FIELD_ERROR] = "";
		uint32_t value, bits;
		services_t services;

		ck_assert_msg(field_services(lists[i].list, &services, error), "%s", error);
		ck_assert_msg(field_compare(PH_MARK_MASK_DEFAULT, PH_MARK_F_PINHOLE, services,
				  &value, &bits) == lists[i].together,
		    "%s", lists[i].list);
	}
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = { "", ",", "ftp,", ",ftp", "ftp,,bfd", "none", "FTP", "ft",
		"ftpx", "ftp ", "ftp,ftp", "1", "any", "\x1b[2J\n" };
	char error[FIELD_ERROR];
	services_t services;

	ck_assert(field_services("nfs,ftp", &services, error));
	ck_assert_uint_eq(services, 1u << PH_SVC_NFS | 1u << PH_SVC_FTP);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = '\0';
		ck_assert_msg(!field_services(bad[i], &services, error), "%s", bad[i]);
		ck_assert_uint_gt(strlen(error), 0);
		for (const char *c = error; *c; c++)
			ck_assert((unsigned char)*c >= ' ');
	}
}
END_TEST

static const struct {
	const char *text;
	uint32_t mask;     /* 0: refused, and */
	const char *error; /* this is said */
} texts[] = {
	{ "", PH_MARK_MASK_DEFAULT, NULL },
	{ "# mark-mask = 0x3f\n", PH_MARK_MASK_DEFAULT, NULL },
	{ "// mark-mask = 0x3f\n/* mark-mask = 0x3f\n*/", PH_MARK_MASK_DEFAULT, NULL },
	{ "mark-mask = 0x3f\n", 0x3f, NULL },
	{ "mark-mask=0x3f", 0x3f, NULL },
	{ "mark-mask = \"0x3f\"", 0x3f, NULL },
	{ "mark-mask\n=\n'63' # 63", 0x3f, NULL },
	{ "mark-mask = 4227858432", 0xfc000000, NULL },
	{ "admit = mark mark-mask = 0x7E0000 queue-base = 1", 0x7e0000, NULL },
	{ "service ftp { ports = { 21, 2121 } }\nmark-mask = 0xfc0 # \"'{", 0xfc0, NULL },
	{ "service ftp { window = \"} mark-mask = 1 \\\" {\" } mark-mask = 0xfc", 0xfc, NULL },
	{ "limits { mark-mask = 0x3f }", PH_MARK_MASK_DEFAULT, NULL }, /* the daemon refuses it */
	{ "a = \"mark-mask = 0x3f\"", PH_MARK_MASK_DEFAULT, NULL },
	{ "\nmark-mask = 0x1f", 0, "c:2: this is no 'mark-mask'" },
	{ "mark-mask = 0x7f", 0, "no 'mark-mask'" },
	{ "mark-mask = 0x3f0000000", 0, "no 'mark-mask'" },
	{ "mark-mask = 0x1000000000000003f", 0, "no 'mark-mask'" },
	{ "mark-mask = -1", 0, "no 'mark-mask'" },
	{ "mark-mask = 0", 0, "no 'mark-mask'" },
	{ "mark-mask = 0x", 0, "no 'mark-mask'" },
	{ "mark-mask = 077", 0, "no 'mark-mask'" }, /* 77, as the daemon has it */
	{ "mark-mask = { 0x3f }", 0, "no 'mark-mask'" },
	{ "mark-mask = ${MASK}", 0, "no 'mark-mask'" },
	{ "mark-mask =", 0, "no 'mark-mask'" },
	{ "mark-mask", 0, "'=' is missing" },
	{ "mark-mask 0x3f", 0, "'=' is missing" },
	{ "mark-mask += 0x3f", 0, "'=' is missing" },
	{ "mark-mask = 0x3f mark-mask = 0x3f", 0, "set twice" },
	{ "}", 0, "closes no block" },
	{ "limits {\n", 0, "c:2: the file ends within a block" },
	{ "/* mark-mask = 0x3f", 0, "has no end" },
	{ "a = \"mark-mask = 0x3f", 0, "has no end" },
	{ "a = 'x\\'", 0, "has no end" },
	{ "a = \"x\\", 0, "has no end" },
};

/* Text in a heap block of exactly its length. */
static bool mask_in(const char *text, size_t len, uint32_t *mask, char *error)
{
	char *block = strndup(text, len);
	bool ok;

	ck_assert_ptr_nonnull(block);
	error[0] = '\0';
	ok = field_mask_in(block, "c", mask, error);
	ck_assert_int_eq(ok, error[0] == '\0');
	free(block);
	return ok;
}

START_TEST(mask_of_a_configuration)
{
	char error[FIELD_ERROR];
	uint32_t mask;

	if (mask_in(texts[_i].text, strlen(texts[_i].text), &mask, error))
		ck_assert_msg(mask == texts[_i].mask, "0x%x: %s", mask, texts[_i].text);
	else
		ck_assert_msg(texts[_i].error && strstr(error, texts[_i].error), "%s: %s",
		    texts[_i].text, error);
}
END_TEST

/* Cut anywhere, it is refused or gives a mask that could be one. */
START_TEST(cut_anywhere)
{
	for (size_t len = 0; len < strlen(texts[_i].text); len++) {
		char error[FIELD_ERROR];
		uint32_t mask;

		if (mask_in(texts[_i].text, len, &mask, error))
			ck_assert(ph_mark_mask_valid(mask));
	}
}
END_TEST

START_TEST(files)
{
	char dir[] = "/tmp/test_field-XXXXXX", path[64], error[FIELD_ERROR];
	uint32_t mask = 0;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/conf", dir);
	ck_assert_int_eq(setenv(FIELD_CONF_VARIABLE, path, 1), 0);
	ck_assert(field_default_mask(&mask, error)); /* not there */
	ck_assert_uint_eq(mask, PH_MARK_MASK_DEFAULT);

	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fprintf(f, "mark-mask = 0xfc\n"), 0);
	ck_assert_int_eq(fflush(f), 0);
	ck_assert(field_default_mask(&mask, error));
	ck_assert_uint_eq(mask, 0xfc);

	ck_assert_int_eq(fputc('\0', f), 0);
	ck_assert_int_eq(fflush(f), 0);
	ck_assert(!field_default_mask(&mask, error));
	ck_assert_ptr_nonnull(strstr(error, "is no configuration"));

	rewind(f);
	for (int i = 0; i <= 256 * 1024; i++)
		ck_assert_int_eq(putc('\n', f), '\n');
	ck_assert_int_eq(fclose(f), 0);
	ck_assert(!field_default_mask(&mask, error));

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!field_default_mask(&mask, error));
	ck_assert_ptr_nonnull(strstr(error, "cannot read"));
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("field");
	TCase *tc = tcase_create("field");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, a_comparison_where_there_is_one, 0, 32 - PH_MARK_FIELD_BITS + 1);
	tcase_add_test(tc, which_services_go_together);
	tcase_add_test(tc, names);
	tcase_add_loop_test(
	    tc, mask_of_a_configuration, 0, (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_loop_test(tc, cut_anywhere, 0, (int)(sizeof(texts) / sizeof(texts[0])));
	tcase_add_test(tc, files);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
