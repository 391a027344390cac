/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of catalogue.c: what a good catalogue becomes, and that nothing else is taken. Each
 * mistake is one text put in the place of another in a good file; the complaint has to name the
 * file, the line and the word. Then files cut off at every byte, and files with bytes turned over.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "lib/catalogue.h"

static char dir[TEST_DIR];
static char error[CAT_ERROR];
static struct catalogue c;

static void begin(void)
{
	test_catalogue_begin(dir);
}

static void end(void)
{
	catalogue_free(&c);
	test_catalogue_end(dir);
}

static const struct cat_row *row(const char *name)
{
	for (size_t i = 0; i < c.n_rows; i++)
		if (strcmp(c.rows[i].row, name) == 0)
			return &c.rows[i];
	ck_abort_msg("no row %s", name);
	return NULL;
}

START_TEST(everything_is_there)
{
	const struct cat_row *r;

	ck_assert_int_eq(catalogue_load(&c, dir, error), 0);
	ck_assert_str_eq(error, "");
	ck_assert_uint_eq(c.n_documents, 2);
	ck_assert_uint_eq(c.n_peers, 4);
	ck_assert_uint_eq(c.n_profiles, 4);
	ck_assert_uint_eq(c.n_rows, 17);
	ck_assert_str_eq(c.documents[0].title, "How to open a toy");
	ck_assert_str_eq(catalogue_peer(&c, "box", "nodes"), "nodes of the box");
	ck_assert_str_eq(catalogue_peer(&c, "box", "admins"), "");

	r = row("1/2");
	ck_assert_str_eq(r->system, "toy");
	ck_assert_str_eq(r->document, "toy");
	ck_assert_str_eq(r->lines, "6");
	ck_assert_uint_eq(r->roles.n, 2);
	ck_assert_str_eq(r->roles.word[1], "proxy");
	ck_assert_int_eq(r->direction, CAT_IN);
	ck_assert_str_eq(r->peer, "nodes");
	ck_assert_uint_eq(r->family, CAT_IPV4 | CAT_IPV6);
	ck_assert_uint_eq(r->proto, CAT_TCP);
	ck_assert_uint_eq(r->port.n, 3);
	ck_assert_uint_eq(r->port.range[1].lo, 8000);
	ck_assert_uint_eq(r->port.range[1].hi, 8009);
	ck_assert_uint_eq(r->port.range[2].lo, 443);
	ck_assert_uint_eq(r->sport.lo, 0);
	ck_assert_int_eq(r->need, CAT_REQUIRED);
	ck_assert_int_eq(r->preset, CAT_ON);
	ck_assert_str_eq(r->condition, "");
	ck_assert_uint_eq(r->facts, CAT_PEER_UNSTATED);
	ck_assert_str_eq(r->note, "pages");

	r = row("1/6");
	ck_assert_uint_eq(r->proto, CAT_TCP | CAT_UDP);
	ck_assert_uint_eq(r->sport.lo, 1);
	ck_assert_uint_eq(r->sport.hi, 1023);
	ck_assert_uint_eq(r->facts, CAT_AIX_ONLY | CAT_NOTE_1);

	r = row("1/4");
	ck_assert_str_eq(r->tracker, "ftp");
	ck_assert(r->pinhole);
	ck_assert(!row("1/3")->pinhole);

	r = row("1/7");
	ck_assert_int_eq(r->direction, CAT_LOCAL);
	ck_assert_str_eq(r->peer, "");
	ck_assert_int_eq(r->preset, CAT_NEVER);

	r = row("1/8");
	ck_assert(!r->port.any);
	ck_assert_uint_eq(r->port.n, 0);
	ck_assert_uint_eq(row("1/9")->family, CAT_IPV6);
	ck_assert_uint_eq(row("1")->proto, CAT_ANY_PROTO);
	ck_assert(row("1")->port.any);
	ck_assert_uint_eq(row("2")->proto, CAT_ICMP);
}
END_TEST

START_TEST(profiles)
{
	const struct cat_profile *p;

	ck_assert_int_eq(catalogue_load(&c, dir, error), 0);
	ck_assert_ptr_null(catalogue_profile(&c, "toy"));
	p = catalogue_profile(&c, "toy-both");
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->roles.n, 2);
	ck_assert(p->output_drops);
	ck_assert(!p->containers);
	ck_assert_str_eq(p->remark, "");
	p = catalogue_profile(&c, "box");
	ck_assert(!p->output_drops);
	ck_assert(p->containers);
	ck_assert_uint_eq(p->inside.n, 2);
	ck_assert_str_eq(p->inside.word[1], "br-*");
}
END_TEST

START_TEST(columns_go_by_their_names)
{
	static const char text[] = "text\tpeer\tsystem\n"
				   "the nodes\tnodes\ttoy\n"
				   "admins of toys\tadmins\ttoy\n"
				   "logs\tlogs\ttoy\n"
				   "of the box\tnodes\tbox\n";

	test_write(dir, "peers.tsv", text, strlen(text));
	ck_assert_int_eq(catalogue_load(&c, dir, error), 0);
	ck_assert_str_eq(catalogue_peer(&c, "toy", "admins"), "admins of toys");
}
END_TEST

START_TEST(words)
{
	ck_assert_str_eq(catalogue_fact_word(CAT_MUST), "must");
	ck_assert_str_eq(catalogue_fact_word(CAT_CONTRADICTION), "contradiction");
	ck_assert_ptr_null(catalogue_fact_word(0));
	ck_assert_ptr_null(catalogue_fact_word(CAT_MUST | CAT_GUI));
	ck_assert_ptr_null(catalogue_fact_word(CAT_CONTRADICTION << 1));
	ck_assert(catalogue_is_interface("flannel.1", 9));
	ck_assert(catalogue_is_interface("br-*", 4));
	ck_assert(!catalogue_is_interface("*", 1));
	ck_assert(!catalogue_is_interface("a\"b", 3));
	ck_assert(!catalogue_is_interface("a*b", 3));
	ck_assert(!catalogue_is_interface("sixteen-letters-", 16));
	ck_assert(!catalogue_is_interface("", 0));
}
END_TEST

/* --- mistakes ------------------------------------------------------------------------------ */

/* In a file, the first `old` becomes `new`; the complaint stands in this line, with these words. */
static const struct mistake {
	const char *file, *old, *new;
	unsigned int line;
	const char *says;
} mistakes[] = {
	/* columns */
	{ "peers.tsv", "peer\t", "pear\t", 1, "no column of this table: 'pear'" },
	{ "peers.tsv", "peer\t", "system\t", 1, "a column twice: 'system'" },
	{ "peers.tsv", "\ttext\n", "\n", 1, "a column is missing: 'text'" },
	{ "toy.tsv", "\tnote\n", "\tnote\tmore\n", 1, "no column of this table: 'more'" },
	{ "toy.tsv", "\tpages\n", "\n", 4, "16 cells instead of 17" },
	{ "toy.tsv", "\tpages\n", "\tpages\t\n", 4, "18 cells instead of 17" },
	{ "toy.tsv", "\tpages\n", "\t\n", 4, "an empty cell, which is written '-', in 'note'" },
	{ "toy.tsv", "\tpages\n", "\t pages\n", 4, "a blank around ' pages'" },
	{ "toy.tsv", "# about the server\n", "\n", 2, "1 cells instead of 17" },
	/* names */
	{ "toy.tsv", "toy\t1/2", "Toy\t1/2", 4, "no name of a system: 'Toy'" },
	{ "toy.tsv", "\t1/2\t", "\t1;2\t", 4, "no name of a row: '1;2'" },
	{ "toy.tsv", "\t1,4-5\t", "\t1,5-4\t", 3, "no lines: '1,5-4'" },
	{ "toy.tsv", "\tserver,proxy\t", "\tserver,\t", 4, "no list of roles: 'server,'" },
	{ "toy.tsv", "\tserver,proxy\t", "\ta,b,c,d,e,f,g,h,i,j,k,l,m\t", 4, "too many words in" },
	{ "toy.tsv", "\tweb\t", "\tweb server\t", 4, "no name of a service: 'web server'" },
	{ "toy.tsv", "\tweb\t", "\t2web\t", 4, "no name of a service: '2web'" },
	{ "toy.tsv", "\tweb\t", "\tabcdefghijklmnopqrstuvwxyzabcdef\t", 4, "no name of a service" },
	{ "toy.tsv", "\tin\tnodes\tweb", "\tinto\tnodes\tweb", 4, "no direction: 'into'" },
	{ "toy.tsv", "\tin\tnodes\tweb", "\tin\tmoons\tweb", 4,
	    "does not have, for this system, 'moons'" },
	{ "toy.tsv", "\tin\tnodes\tweb", "\tin\t-\tweb", 4, "direction and peer do not fit: '-'" },
	{ "toy.tsv", "\tlocal\t-\t", "\tlocal\tnodes\t", 9,
	    "direction and peer do not fit: 'nodes'" },
	/* packets */
	{ "toy.tsv", "\tweb\tany\t", "\tweb\tipv4\t", 4, "no family: 'ipv4'" },
	{ "toy.tsv", "\ttcp\t80", "\ttcp,tcp\t80", 4, "no protocol: 'tcp,tcp'" },
	{ "toy.tsv", "\ttcp\t80", "\tudp,tcp\t80", 4, "no protocol: 'udp,tcp'" },
	{ "toy.tsv", "\t80,8000-", "\t0,8000-", 4, "no ports: '0,8000-8009,443'" },
	{ "toy.tsv", "\t80,8000-", "\t65536,8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t99999999999999999999,8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t80,9000-", 4, "no ports: '80,9000-8009,443'" },
	{ "toy.tsv", "\t80,8000-", "\t8005,8000-", 4,
	    "a port stands twice in '8005,8000-8009,443'" },
	{ "toy.tsv", "\t80,8000-", "\t80,,8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t80, 8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t0x50,8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t-1,8000-", 4, "no ports:" },
	{ "toy.tsv", "\t80,8000-", "\t1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,8000-", 4,
	    "too many ports" },
	{ "toy.tsv", "\t1-1023\t", "\t1-1023,2000\t", 8, "more than one range of source ports" },
	{ "toy.tsv", "\t1-1023\t", "\tany\t", 8, "more than one range of source ports" },
	{ "box.tsv", "\tany\tany\tany\t", "\tany\tany\t5\t", 2, "ports of any protocol: '5'" },
	{ "box.tsv", "\ticmp\t-\t", "\ticmp\t8\t", 3, "ports of icmp: '8'" },
	{ "box.tsv", "\ticmp\t-\t-\t", "\ticmp\t-\t8\t", 3, "source ports of neither tcp nor udp" },
	/* needs */
	{ "toy.tsv", "\trequired\ton\t-\t-\tpeer", "\tneeded\ton\t-\t-\tpeer", 4,
	    "no need: 'needed'" },
	{ "toy.tsv", "\trequired\ton\t-\t-\tpeer", "\trequired\tyes\t-\t-\tpeer", 4,
	    "neither on, off nor never: 'yes'" },
	{ "toy.tsv", "\tLinux\t", "\t-\t", 7, "no condition, but 'conditional'" },
	{ "toy.tsv", "\tunused\toff", "\tunused\ton", 8, "nobody uses it, but it is 'on'" },
	{ "toy.tsv", "ftp:control", "ftp", 5, "neither NAME:control nor NAME:pinhole: 'ftp'" },
	{ "toy.tsv", "ftp:control", "sip:control", 5, "no tracker: 'sip:control'" },
	{ "toy.tsv", "ftp:control", "ftp:controls", 5, "neither NAME:control nor NAME:pinhole" },
	{ "toy.tsv", "aix-only,note-1", "aix-only,note-3", 8,
	    "a fact that is not known in 'aix-only,note-3'" },
	{ "toy.tsv", "aix-only,note-1", "aix-only,", 8, "a fact that is not known" },
	{ "toy.tsv", "\tnever\t-\t-\tproto", "\toff\t-\t-\tproto", 10, "a rule without ports" },
	/* the other tables */
	{ "documents.tsv", "\nbox", "\ntoy", 3, "a document twice: 'toy'" },
	{ "documents.tsv", "\nbox", "\n../box", 3, "no name of a document: '../box'" },
	{ "documents.tsv", "cdef\n", "cdeF\n", 2, "no SHA-256" },
	{ "peers.tsv", "toy\tlogs", "toy\tnodes", 5, "a peer role twice: 'nodes'" },
	{ "peers.tsv", "toy\tlogs", "toy\tany", 5, "not a role: 'any'" },
	{ "peers.tsv", "receivers of logs", "-", 5, "nothing is said of 'logs'" },
	{ "profiles.tsv", "toy-both", "toy-server", 3, "a profile twice: 'toy-server'" },
	{ "profiles.tsv", "toy-both", "toy both", 3, "no name of a profile: 'toy both'" },
	{ "profiles.tsv", "server,proxy", "server,poxy", 3, "no row is about 'poxy'" },
	{ "profiles.tsv", "\tdrop\t", "\treject\t", 2, "not a word of this column: 'reject'" },
	{ "profiles.tsv", "\tno\t-\ta toy\t", "\tno\tlo\ta toy\t", 2,
	    "where there are none: 'lo'" },
	{ "profiles.tsv", "docker0", "docker0\"", 5, "no list of interfaces" },
	{ "profiles.tsv", "\ta toy\t", "\t-\t", 2, "nothing is said of 'toy-server'" },
	/* bytes */
	{ "toy.tsv", "\tpages\n", "\tpa\x1b[1mges\n", 4, "not plain UTF-8 text: '\\x1b[1mges'" },
	{ "toy.tsv", "\tpages\n", "\tpages\r\n", 4, "not plain UTF-8 text: '\\x0d'" },
	{ "toy.tsv", "\tpages\n", "\tp\xe4ges\n", 4, "not plain UTF-8 text: '\\xe4ges'" },
	{ "toy.tsv", "\tpages\n", "\tp\xc0\x80\n", 4, "not plain UTF-8 text" },
	{ "toy.tsv", "\tpages\n", "\tp\xed\xa0\x80\n", 4, "not plain UTF-8 text" },
	{ "toy.tsv", "\tpages\n", "\tp\xc2\x9b\n", 4, "not plain UTF-8 text" },
	{ "toy.tsv", "# about the server", "# about\x07the server", 2, "not plain UTF-8 text" },
};

static void replace(const struct mistake *m)
{
	static char text[16384];
	const char *whole = NULL, *at;

	for (size_t i = 0; i < N_TEST_FILES; i++)
		if (strcmp(test_files[i].name, m->file) == 0)
			whole = test_files[i].text;
	ck_assert_ptr_nonnull(whole);
	at = strstr(whole, m->old);
	ck_assert_msg(at, "%s has no '%s'", m->file, m->old);
	(void)snprintf(
	    text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, m->new, at + strlen(m->old));
	test_write(dir, m->file, text, strlen(text));
}

START_TEST(a_mistake_is_named)
{
	const struct mistake *m = &mistakes[_i];
	char where[TEST_PATH + 16];

	replace(m);
	(void)snprintf(where, sizeof(where), "%s/%s:%u: ", dir, m->file, m->line);
	ck_assert_int_eq(catalogue_load(&c, dir, error), -EINVAL);
	ck_assert_msg(strncmp(error, where, strlen(where)) == 0, "%s", error);
	ck_assert_msg(strstr(error, m->says), "'%s' does not say '%s'", error, m->says);
	ck_assert_uint_eq(c.n_rows, 0);
	ck_assert_ptr_null(c.texts);
}
END_TEST

START_TEST(utf8_is_taken)
{
	static const struct mistake good = { "toy.tsv", "\tpages\n",
		"\tp\xc3\xa4ges \xe2\x80\x93 \xf0\x9f\x90\xa7\n", 0, NULL };

	replace(&good);
	ck_assert_int_eq(catalogue_load(&c, dir, error), 0);
	ck_assert_str_eq(row("1/2")->note, "p\xc3\xa4ges \xe2\x80\x93 \xf0\x9f\x90\xa7");
}
END_TEST

START_TEST(a_nul_byte)
{
	char text[sizeof(toy_tsv)];

	memcpy(text, toy_tsv, sizeof(text));
	*strstr(text, "pages") = '\0';
	test_write(dir, "toy.tsv", text, sizeof(text) - 1);
	ck_assert_int_eq(catalogue_load(&c, dir, error), -EINVAL);
	ck_assert_msg(strstr(error, "toy.tsv:4: a NUL byte behind"), "%s", error);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	static char big[(1 << 20) + 1];

	test_remove(dir, test_files[_i].name);
	ck_assert_int_eq(catalogue_load(&c, dir, error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, test_files[_i].name));
	ck_assert_ptr_nonnull(strstr(error, "No such file"));
	memset(big, '#', sizeof(big));
	test_write(dir, test_files[_i].name, big, sizeof(big));
	ck_assert_int_eq(catalogue_load(&c, dir, error), -EFBIG);
	test_write(dir, test_files[_i].name, "", 0);
	ck_assert_int_eq(catalogue_load(&c, dir, error), -EINVAL);
	ck_assert_msg(strstr(error, "no line names the columns"), "%s", error);
}
END_TEST

/* A file that ends anywhere but behind a line is not taken for a whole one. */
START_TEST(cut_off_at_every_byte)
{
	const struct test_file *file = &test_files[_i];

	for (size_t len = 0; len < strlen(file->text); len++) {
		int ret;

		test_write(dir, file->name, file->text, len);
		ret = catalogue_load(&c, dir, error);
		if (len && file->text[len - 1] != '\n')
			ck_assert_int_eq(ret, -EINVAL);
		if (ret == 0)
			catalogue_free(&c);
		else
			ck_assert_uint_ne(strlen(error), 0);
	}
}
END_TEST

/* Whatever comes of it: no crash, and a complaint where it is refused. */
START_TEST(bytes_turned_over)
{
	const struct test_file *file = &test_files[_i];
	size_t len = strlen(file->text);
	char *text = malloc(len);

	ck_assert_ptr_nonnull(text);
	srandom(1);
	for (unsigned int round = 0; round < 1000; round++) {
		memcpy(text, file->text, len);
		for (long n = 1 + random() % 4; n > 0; n--)
			text[(size_t)random() % len] = (char)random();
		test_write(dir, file->name, text, len);
		if (catalogue_load(&c, dir, error) == 0)
			catalogue_free(&c);
		else
			ck_assert_uint_ne(strlen(error), 0);
	}
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("catalogue");
	TCase *tc = tcase_create("catalogue");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, everything_is_there);
	tcase_add_test(tc, profiles);
	tcase_add_test(tc, columns_go_by_their_names);
	tcase_add_test(tc, words);
	tcase_add_loop_test(tc, a_mistake_is_named, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(tc, utf8_is_taken);
	tcase_add_test(tc, a_nul_byte);
	tcase_add_loop_test(tc, files_that_cannot_be_read, 0, (int)N_TEST_FILES);
	tcase_add_loop_test(tc, cut_off_at_every_byte, 0, (int)N_TEST_FILES);
	tcase_add_loop_test(tc, bytes_turned_over, 0, (int)N_TEST_FILES);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
