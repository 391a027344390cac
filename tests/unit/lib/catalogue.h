/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A little catalogue for tests, of systems that there are not, written into a directory of its own:
 * every kind of row, and what two roles of one host have in common.
 */
#ifndef TEST_CATALOGUE_H
#define TEST_CATALOGUE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST_DIR  128
#define TEST_PATH (TEST_DIR + 32)

static const char documents_tsv[] =
    "name\ttitle\tsha256\n"
    "toy\tHow to open a toy\t"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "box\tThe box\t"
    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210\n";

static const char peers_tsv[] = "system\tpeer\ttext\n"
				"# a comment between\n"
				"toy\tadmins\tthose who log in\n"
				"toy\tnodes\tthe nodes\n"
				"toy\tlogs\treceivers of logs\n"
				"box\tnodes\tnodes of the box\n";

#define ROW_HEAD                                                                                   \
	"system\trow\tlines\trole\tdirection\tpeer\tservice\tfamily\tproto\tport\tsport\tneed\t"   \
	"default\tcondition\ttracker\tfacts\tnote\n"

static const char toy_tsv[] = ROW_HEAD
    "# about the server\n"
    "toy\t1/1\t1,4-5\tserver\tin\tadmins\tssh\tany\ttcp\t22\t-\trequired\ton\t-\t-\tmust\t-\n"
    "toy\t1/2\t6\tserver,proxy\tin\tnodes\tweb\tany\ttcp\t80,8000-8009,443\t-\trequired\ton\t-\t-"
    "\tpeer-unstated\tpages\n"
    "toy\t1/3\t7\tserver\tin\tnodes\tftp\tany\ttcp\t21\t-\toptional\toff\tfiles are fetched\t"
    "ftp:control\t-\t-\n"
    "toy\t1/4\t8\tserver\tin\tnodes\tftp\tany\ttcp\t32768-60999\t-\toptional\toff\tfiles are "
    "fetched\tftp:pinhole\t-\tso many\n"
    "toy\t1/5\t9\tserver\tin\tnodes\tdhcp\tip4\tudp\t67\t-\tconditional\ton\tLinux\t-\tbroadcast\t"
    "-\n"
    "toy\t1/6\t10\tserver\tin\tnodes\trsh_back\tany\ttcp,udp\t514\t1-1023\tunused\toff\t-\t-\t"
    "aix-only,note-1\told\n"
    "toy\t1/7\t11\tserver\tlocal\t-\tcache\tany\ttcp\t11211\t-\trequired\tnever\t-\t-\tlocal-only\t"
    "-\n"
    "toy\t1/8\t12\tserver\tin\tnodes\tmount\tany\ttcp\t-\t-\trequired\tnever\t-\t-\t"
    "proto-unstated\tno port of its own\n"
    "toy\t1/9\t13\tserver\tin\tany\tstatus\tip6\tudp\t99\t-\trequired\ton\t-\t-\t-\t-\n"
    "# what it connects to\n"
    "toy\t2/1\t14\tserver\tout\tlogs\tsyslog\tany\tudp\t514\t-\trequired\ton\t-\t-\t-\t-\n"
    "toy\t2/2\t15\tserver\tout\tnodes\tdhcp\tip4\tudp\t68\t-\tconditional\ton\tLinux\t-\tbroadcast"
    "\t-\n"
    "# about the proxy, and what it has in common with the server\n"
    "toy\t3/1\t16\tproxy\tin\tnodes\tweb\tany\ttcp\t80,8000-8009,443\t-\toptional\toff\tcaching\t-"
    "\t-\tcached pages\n"
    "toy\t3/2\t17\tproxy\tin\tnodes\tntp\tip4\tudp\t123\t-\trequired\ton\t-\t-\t-\t-\n"
    "toy\t3/2\t18\tproxy\tin\tnodes\tntp\tip6\tudp\t123\t-\trequired\ton\t-\t-\t-\t-\n";

static const char box_tsv[] =
    ROW_HEAD "box\t1\t1\tbox\tin\tnodes\teverything\tany\tany\tany\t-\trequired\ton\t-\t-\t-\t-\n"
	     "box\t2\t2\tbox\tin\tnodes\techo\tany\ticmp\t-\t-\trequired\ton\t-\t-\t-\t-\n"
	     "box\t3\t3\tbox\tout\tany\tout_all\tany\ttcp\tany\t-\trequired\ton\t-\t-\t-\t-\n";

static const char profiles_tsv[] =
    "name\tsystem\troles\toutput\tcontainers\tinside\ttitle\tremark\n"
    "toy-server\ttoy\tserver\tdrop\tno\t-\ta toy\tMind the steps.\n"
    "toy-both\ttoy\tserver,proxy\tdrop\tno\t-\ta toy that is a proxy, too\t-\n"
    "toy-proxy\ttoy\tproxy\taccept\tno\t-\ta proxy for toys\t-\n"
    "box\tbox\tbox\taccept\tyes\tdocker0,br-*\ta box with containers\t-\n";

static const struct test_file {
	const char *name, *text;
} test_files[] = {
	{ "documents.tsv", documents_tsv },
	{ "peers.tsv", peers_tsv },
	{ "toy.tsv", toy_tsv },
	{ "box.tsv", box_tsv },
	{ "profiles.tsv", profiles_tsv },
};
#define N_TEST_FILES (sizeof(test_files) / sizeof(test_files[0]))

static inline void test_write(const char *dir, const char *name, const char *text, size_t len)
{
	char path[TEST_PATH];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static inline void test_catalogue_begin(char dir[TEST_DIR])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(dir, TEST_DIR, "%s/catalogue-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i < N_TEST_FILES; i++)
		test_write(dir, test_files[i].name, test_files[i].text, strlen(test_files[i].text));
}

static inline void test_remove(const char *dir, const char *name)
{
	char path[TEST_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)unlink(path);
}

static inline void test_catalogue_end(const char dir[TEST_DIR])
{
	for (size_t i = 0; i < N_TEST_FILES; i++)
		test_remove(dir, test_files[i].name);
	ck_assert_int_eq(rmdir(dir), 0);
}

#endif
