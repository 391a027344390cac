/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of profile.c, profile_settings.c and profile_render.c over a little catalogue: what
 * rows become one rule, what options and edited rule sets settle, what the text says; that the text
 * read back gives the same text; and rule sets that nobody should have written.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/catalogue.h"
#include "nft_words.h"
#include "profile.h"

#define TEXT_MAX (64 * 1024)

static char dir[TEST_DIR], file[TEST_PATH];
static char error[CAT_ERROR];
static struct catalogue c;
static struct profile_settings settings;
static struct profile p;

static void begin(void)
{
	test_catalogue_begin(dir);
	(void)snprintf(file, sizeof(file), "%s/rules.nft", dir);
	ck_assert_msg(catalogue_load(&c, dir, error) == 0, "%s", error);
}

static void end(void)
{
	profile_free(&p);
	profile_settings_free(&settings);
	catalogue_free(&c);
	test_remove(dir, "rules.nft");
	test_catalogue_end(dir);
}

static void build(const char *name)
{
	profile_free(&p);
	ck_assert_msg(profile_build(&p, &c, name, &settings, error) == 0, "%s", error);
	ck_assert_str_eq(error, "");
}

static void fails(const char *name, const char *says)
{
	profile_free(&p);
	ck_assert_int_eq(profile_build(&p, &c, name, &settings, error), -EINVAL);
	ck_assert_msg(strstr(error, says), "'%s' does not say '%s'", error, says);
	ck_assert_uint_eq(p.n_rules, 0);
}

static void define(const char *assignment)
{
	ck_assert_msg(profile_define(&settings, assignment, error) == 0, "%s", error);
}

static void switches(const char *services, bool on)
{
	ck_assert_msg(profile_switches(&settings, services, on, error) == 0, "%s", error);
}

/* The rule set, to be freed. */
static char *text_of(const struct profile *profile)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(profile_render(profile, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_uint_lt(len, TEXT_MAX);
	return text;
}

static void says(const char *text, const char *line)
{
	ck_assert_msg(strstr(text, line), "not in the text: '%s'\n%s", line, text);
}

static void says_not(const char *text, const char *line)
{
	ck_assert_msg(!strstr(text, line), "in the text: '%s'", line);
}

static const struct profile_rule *rule(
    size_t i, enum cat_direction direction, const char *peer, const char *service)
{
	ck_assert_uint_lt(i, p.n_rules);
	ck_assert_int_eq(p.rules[i].direction, direction);
	ck_assert_str_eq(p.rules[i].peer, peer);
	ck_assert_str_eq(p.rules[i].service, service);
	return &p.rules[i];
}

/* --- from rows to rules -------------------------------------------------------------------- */

START_TEST(rules_are_in_order)
{
	const struct profile_rule *r;

	build("toy-server");
	ck_assert_uint_eq(p.n_rules, 9);
	rule(0, CAT_IN, "admins", "ssh");
	rule(1, CAT_IN, "nodes", "web");
	rule(2, CAT_IN, "nodes", "ftp");
	r = rule(3, CAT_IN, "nodes", "ftp");
	ck_assert(r->pinhole && !r->made);
	ck_assert(!p.rules[2].pinhole && p.rules[2].made);
	r = rule(4, CAT_IN, "nodes", "dhcp");
	ck_assert_uint_eq(r->family, CAT_IPV4);
	ck_assert(r->on && r->preset);
	rule(5, CAT_IN, "nodes", "rsh_back");
	rule(6, CAT_IN, "any", "status");
	rule(7, CAT_OUT, "nodes", "dhcp");
	r = rule(8, CAT_OUT, "logs", "syslog");
	ck_assert(r->made);
	ck_assert_uint_eq(p.n_local, 1);
	ck_assert_str_eq(p.local[0]->service, "cache");
	ck_assert_uint_eq(p.n_never, 1);
	ck_assert_str_eq(p.never[0]->service, "mount");
}
END_TEST

START_TEST(peers_and_services)
{
	static const char *const services[] = { "ssh", "web", "ftp", "dhcp", "rsh_back", "status",
		"syslog" };

	build("toy-server");
	ck_assert_uint_eq(p.n_peers, 3);
	ck_assert_str_eq(p.peers[0], "admins");
	ck_assert_str_eq(p.peers[2], "logs");
	ck_assert_uint_eq(p.n_services, 7);
	for (size_t i = 0; i < p.n_services; i++)
		ck_assert_str_eq(p.services[i].name, services[i]);
	ck_assert(p.services[0].on);
	ck_assert(!p.services[2].on);
	ck_assert(!p.rescue);
	ck_assert(p.ping && p.ping_on);
}
END_TEST

START_TEST(rows_of_two_roles_are_one_rule)
{
	const struct profile_rule *r;

	build("toy-proxy");
	r = rule(0, CAT_IN, "nodes", "web"); /* with the row of server,proxy, which is required */
	ck_assert_uint_eq(r->n_rows, 2);
	ck_assert_int_eq(r->need, CAT_REQUIRED);
	ck_assert(r->on);
	build("toy-both");
	r = rule(1, CAT_IN, "nodes", "web");
	ck_assert_uint_eq(r->n_rows, 2);
	ck_assert_str_eq(r->row->row, "1/2");
	ck_assert_str_eq(r->rows[1]->row, "3/1");
	ck_assert_int_eq(r->need, CAT_REQUIRED);
	ck_assert_uint_eq(r->facts, CAT_PEER_UNSTATED);
	ck_assert(r->preset);
}
END_TEST

START_TEST(families_are_one_rule)
{
	const struct profile_rule *r;

	build("toy-proxy");
	ck_assert_uint_eq(p.n_rules, 2);
	r = rule(1, CAT_IN, "nodes", "ntp");
	ck_assert_uint_eq(r->family, CAT_IPV4 | CAT_IPV6);
	ck_assert_uint_eq(r->n_rows, 2);
}
END_TEST

START_TEST(rescue)
{
	char *text;

	build("toy-proxy");
	ck_assert(p.rescue && !p.rescue_on);
	ck_assert_uint_eq(p.n_peers, 2);
	ck_assert_str_eq(p.peers[0], "admins"); /* in the order of peers.tsv */
	text = text_of(&p);
	says(text, "define rescue_ssh = off");
	says(text, "tcp dport 22 jump $rescue_ssh");
	says(text, "ip  saddr @admins4 jump from_admins");
	free(text);

	switches("rescue_ssh", true);
	build("toy-proxy");
	ck_assert(p.rescue_on);
	fails("toy-server", "no service 'rescue_ssh'");
	/* A system that knows no admins has them all the same. */
	profile_settings_free(&settings);
	define("admins=192.0.2.1");
	build("box");
	ck_assert_str_eq(p.peers[1], "admins");
	text = text_of(&p);
	says(text, "define admins4 = { 192.0.2.1 }");
	free(text);
}
END_TEST

START_TEST(output_that_is_not_filtered)
{
	char *text;

	build("box");
	ck_assert_uint_eq(p.n_rules, 3);
	ck_assert(!p.rules[2].made);
	ck_assert_uint_eq(p.n_services, 2);
	text = text_of(&p);
	says_not(text, "hook output");
	says_not(text, "also_out");
	says_not(text, "out_all");
	free(text);
	define("also_out_tcp=1");
	fails("box", "box lets everything out: 'also_out_tcp'");
}
END_TEST

START_TEST(login)
{
	char missing[CAT_ERROR];

	build("toy-server");
	ck_assert(!profile_has_login(&p, missing));
	ck_assert_str_eq(missing, "--define admins=PREFIX,...");
	define("admins=::1");
	ck_assert(profile_has_login(&p, missing));
	switches("ssh", false);
	build("toy-server");
	ck_assert(!profile_has_login(&p, missing));
	ck_assert_str_eq(missing, "--with ssh");
	define("also_in_tcp=1-100");
	ck_assert(profile_has_login(&p, missing));
	profile_settings_free(&settings);
	build("toy-proxy");
	ck_assert(!profile_has_login(&p, missing));
	ck_assert_str_eq(missing, "--with rescue_ssh --define admins=PREFIX,...");
	switches("rescue_ssh", true);
	define("admins=::1");
	build("toy-proxy");
	ck_assert(profile_has_login(&p, missing));
}
END_TEST

/* --- options ------------------------------------------------------------------------------- */

START_TEST(define_splits_families)
{
	const struct prefix *prefix;
	char *text;
	size_t n;

	define("nodes=10.0.0.0/8,2001:db8::/32,192.0.2.1,fe80::1/128");
	build("toy-server");
	prefix = profile_prefixes(&p, "nodes", &n);
	ck_assert_uint_eq(n, 4);
	ck_assert_uint_eq(prefix[1].bits, 32);
	(void)profile_prefixes(&p, "logs", &n);
	ck_assert_uint_eq(n, 0);
	text = text_of(&p);
	says(text, "define nodes4 = { 10.0.0.0/8, 192.0.2.1 }\n");
	says(text, "define nodes6 = { 2001:db8::/32, fe80::1 }\n");
	says(text, "define logs4 = { }\n");
	free(text);
}
END_TEST

START_TEST(the_last_option_holds)
{
	const struct prefix *prefix;
	char *text;
	size_t n;

	define("nodes=10.0.0.0/8,::1");
	define("nodes=192.0.2.1");
	define("logs=192.0.2.2");
	define("logs=");
	define("also_in_tcp=1");
	define("also_in_tcp=8080,9000-9010");
	define("also_out_udp=53");
	switches("web,ssh", false);
	switches("web", true);
	switches("ftp", true);
	switches("ping", false);
	build("toy-server");
	prefix = profile_prefixes(&p, "nodes", &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(prefix->bits, 32);
	(void)profile_prefixes(&p, "logs", &n);
	ck_assert_uint_eq(n, 0);
	ck_assert(!p.ping_on);
	ck_assert(p.rules[1].on);
	ck_assert(!p.rules[0].on);
	ck_assert(p.rules[0].preset);
	ck_assert(p.rules[2].on && p.rules[3].on);
	text = text_of(&p);
	says(text, "define also_in_tcp  = { 8080, 9000-9010 }\n");
	says(text, "define also_out_udp = { 53 }\n");
	says(text, "define ssh      = off ");
	says(text, "define web      = on ");
	says(text, "define ping     = off ");
	free(text);
}
END_TEST

static const struct {
	const char *assignment, *says;
} bad_defines[] = {
	{ "nodes", "not ROLE=PREFIX,...: 'nodes'" },
	{ "", "not ROLE=PREFIX,...: ''" },
	{ "=10.0.0.1", "no role: ''" },
	{ "No=10.0.0.1", "no role: 'No'" },
	{ "a\nb=10.0.0.1", "no role: 'a\\x0ab'" },
	{ "nodes=10.0.0.1/8", "'10.0.0.1/8'" },
	{ "nodes=10.0.0.0/33", "'10.0.0.0/33'" },
	{ "nodes=2001:db8::1/32", "'2001:db8::1/32'" },
	{ "nodes=10.0.0.1,", "''" },
	{ "nodes=,10.0.0.1", "''" },
	{ "nodes=10.0.0.1 ,10.0.0.2", "'10.0.0.1 '" },
	{ "nodes=10.0.0.1-10.0.0.9", "'10.0.0.1-10.0.0.9'" },
	{ "nodes=example.org", "'example.org'" },
	{ "nodes={ 10.0.0.1 }", "'{ 10.0.0.1 }'" },
	{ "also_in_tcp=any", "no ports: 'any'" },
	{ "also_in_tcp=ssh", "no ports: 'ssh'" },
	{ "also_in_tcp=0", "no ports: '0'" },
	{ "also_in_tcp=1-5,5", "a port stands twice in '1-5,5'" },
	{ "inside=a b", "no name of an interface: 'a b'" },
	{ "inside=lo,\"", "no name of an interface: '\"'" },
	{ "inside=a,b,c,d,e,f,g,h,i,j,k,l,m", "too many interfaces at 'm'" },
};

START_TEST(bad_define)
{
	ck_assert_int_eq(profile_define(&settings, bad_defines[_i].assignment, error), -EINVAL);
	ck_assert_msg(strstr(error, bad_defines[_i].says), "%s", error);
}
END_TEST

START_TEST(names_that_there_are_not)
{
	ck_assert_int_eq(profile_switches(&settings, "web,,ssh", true, error), -EINVAL);
	ck_assert_msg(strstr(error, "no service: ''"), "%s", error);
	profile_settings_free(&settings);
	define("moons=10.0.0.1");
	fails("toy-server", "no role 'moons'; it has admins, nodes, logs");
	profile_settings_free(&settings);
	switches("cache", true);
	fails("toy-server",
	    "no service 'cache' to switch; it has ssh, web, ftp, dhcp, rsh_back, status, "
	    "syslog, ping");
	profile_settings_free(&settings);
	define("inside=lo");
	fails("toy-server", "has no containers: 'inside'");
	profile_settings_free(&settings);
	fails("toy-servre", "there is toy-server");
	fails("toy", "there is toy-server, toy-both, toy-proxy");
	fails("unheard-of", "`pinholectl profile list`");
	fails("", "no such profile: ''");
	fails("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
	    "`pinholectl profile list`");
}
END_TEST

/* --- names that would not do --------------------------------------------------------------- */

/* Puts a row of this service and peer at the end of the toys' and reads all anew. */
static void add_row(const char *peer, const char *service)
{
	char text[sizeof(toy_tsv) + 256], peers[sizeof(peers_tsv) + 64];

	catalogue_free(&c);
	(void)snprintf(text, sizeof(text),
	    "%stoy\t9/9\t99\tserver\tin\t%s\t%s\tany\ttcp\t999\t-\trequired\ton\t-\t-\t-\t-\n",
	    toy_tsv, peer, service);
	test_write(dir, "toy.tsv", text, strlen(text));
	(void)snprintf(peers, sizeof(peers), "%stoy\t%s\twho\n", peers_tsv, peer);
	if (!strstr(peers_tsv, peer))
		test_write(dir, "peers.tsv", peers, strlen(peers));
	ck_assert_msg(catalogue_load(&c, dir, error) == 0, "%s", error);
}

static const struct {
	const char *peer, *service, *says;
} collisions[] = {
	{ "nodes", "icmp", "a word of nft itself: 'icmp'" },
	{ "nodes", "vxlan", "a word of nft itself: 'vxlan'" },
	{ "nodes", "nodes4", "a service with the name of a role: 'nodes4'" },
	{ "nodes", "also_in_tcp", "no name for a service: 'also_in_tcp'" },
	{ "nodes", "inside", "no name for a service: 'inside'" },
	{ "nodes", "rescue_ssh", "no name for a service: 'rescue_ssh'" },
	{ "nodes", "ping", "no name for a service that is not icmp: 'ping'" },
	{ "ip", "web", "a word of nft itself: 'ip6'" },
	{ "abcdefghijklmnopqrstuvwxyzabcde", "web", "too long" },
};

START_TEST(collision)
{
	add_row(collisions[_i].peer, collisions[_i].service);
	fails("toy-server", collisions[_i].says);
}
END_TEST

START_TEST(words_of_nft)
{
	ck_assert(nft_word("accept"));
	ck_assert(nft_word("xt"));
	ck_assert(nft_word("map"));
	ck_assert(!nft_word("on"));
	ck_assert(!nft_word("off"));
	ck_assert(!nft_word(""));
	ck_assert(!nft_word("ssh"));
}
END_TEST

/* --- text ---------------------------------------------------------------------------------- */

START_TEST(the_text)
{
	char *text;

	build("toy-server");
	text = text_of(&p);
	ck_assert(strncmp(text, "#!/usr/sbin/nft -f\n# toy-server: a toy\n#\n", 39) == 0);
	says(text, "\n# profile: toy-server\n");
	says(text, "\"How to open a toy\" (toy.tsv of the catalogue)");
	says_not(text, "The box");
	says(text, "\n# Mind the steps.\n");
	says(text, "systemd-run --unit=rescue --on-active=2min nft delete table inet strict\n");
	says(text, "\n# those who log in\ndefine admins4 = { }\ndefine admins6 = { }\n");
	says(text, "define ftp      = off  # optional: files are fetched\n");
	says(text, "define dhcp     = on   # conditional: Linux\n");
	says(text, "define rsh_back = off  # unused\n");
	says(text, "# - ftp: tcp 32768-60999 from nodes. optional: files are fetched; so many\n");
	says(text,
	    "# - mount: tcp, no fixed port, from nodes. required; no port of its own (protocol not "
	    "stated)\n");
	says(text, "# - cache: tcp 11211. required (open to the host itself alone)\n");
	says(text, "\ntable inet strict\ndelete table inet strict\n\ntable inet strict {\n");
	says(text,
	    "\tset nodes6 { type ipv6_addr; flags interval; auto-merge; elements = $nodes6; }\n");
	says(text, "\t\ttcp dport 22 jump $ssh comment \"ssh, absolutely required\"\n");
	says(text, "\t\t# pages (peer not stated)\n\t\ttcp dport { 80, 8000-8009, 443 } ");
	says(text, "\t\tmeta nfproto ipv4 udp dport 67 ");
	says(text,
	    "\t\tmeta l4proto { tcp, udp } th sport 1-1023 th dport 514 jump $rsh_back comment "
	    "\"rsh_back, unused\"\n");
	says(text, "\tchain from_anybody {\n\t\tmeta nfproto ipv6 udp dport 99 jump $status ");
	says(text, "\t\tjump from_anybody\n");
	says(text, "\t\tip saddr 0.0.0.0 udp dport 67 jump $dhcp comment \"dhcp, conditional\"\n");
	says(text, "\t\tip daddr 255.255.255.255 udp dport 68 jump $dhcp ");
	says(text, "\t\tct mark & 0x20000000 != 0 accept\n");
	says(text, "\t\ticmp type echo-request limit rate 10/second burst 20 packets jump $ping\n");
	says(text, "\t\ticmpv6 type echo-request jump $ping\n");
	says(text, "type filter hook input priority filter; policy drop;");
	says(text, "type filter hook output priority filter; policy drop;");
	says(text, "log prefix \"strict in: \"\n");
	says(text, "log prefix \"strict out: \"\n");
	says_not(text, "$cache");
	says_not(text, "$mount");
	says_not(text, "32768-60999 jump");
	free(text);
}
END_TEST

START_TEST(containers_and_icmp)
{
	char *text;

	build("box");
	ck_assert(!p.ping);
	text = text_of(&p);
	says(text, "define inside = { \"docker0\", \"br-*\" }\n");
	says(text, "type filter hook prerouting priority dstnat - 10; policy drop;");
	says(text, "\t\tiifname @inside accept\n");
	says_not(text, "hook input");
	says_not(text, "$ping");
	says(text, "\t\tjump $everything comment \"everything, required\"\n");
	says(text, "\t\ticmp type echo-request   jump $echo       comment \"echo, required\"\n");
	says(text, "\t\ticmpv6 type echo-request jump $echo ");
	free(text);
	define("inside=");
	build("box");
	text = text_of(&p);
	says(text, "define inside = { }\n");
	free(text);
}
END_TEST

START_TEST(lines_are_not_too_long)
{
	static char many[TEXT_MAX] = "nodes=10.0.0.0";
	char *text, *next;

	for (int i = 1; i < 100; i++)
		(void)snprintf(
		    many + strlen(many), sizeof(many) - strlen(many), ",10.0.%d.0/24", i);
	define(many);
	build("toy-server");
	text = text_of(&p);
	for (char *line = text; *line; line = next + 1) {
		next = strchr(line, '\n');
		ck_assert_msg(next - line <= 104, "%.*s", (int)(next - line), line);
	}
	free(text);
}
END_TEST

/* --- and back ------------------------------------------------------------------------------ */

static void write_file(const char *text, size_t len)
{
	test_write(dir, "rules.nft", text, len);
}

/* Settings from the file, in place of those there are. */
static int reread(char name[CAT_WORD])
{
	profile_settings_free(&settings);
	return profile_settings_read(&settings, name, file, error);
}

static void there_and_back(const char *name)
{
	char in_file[CAT_WORD], *text, *again;

	build(name);
	text = text_of(&p);
	write_file(text, strlen(text));
	profile_free(&p);
	ck_assert_msg(reread(in_file) == 0, "%s", error);
	ck_assert_str_eq(in_file, name);
	build(in_file);
	again = text_of(&p);
	ck_assert_str_eq(text, again);
	free(text);
	free(again);
}

START_TEST(unsettled_there_and_back)
{
	there_and_back(c.profiles[_i].name);
}
END_TEST

START_TEST(settled_there_and_back)
{
	static char many[TEXT_MAX] = "nodes=::/0";

	for (int i = 1; i < 200; i++)
		(void)snprintf(many + strlen(many), sizeof(many) - strlen(many),
		    ",10.0.%d.0/24,2001:db8:%x::/48", i, i);
	define(many);
	define("admins=192.0.2.1,0.0.0.0/0");
	define("also_in_tcp=8080,9000-9010");
	define("also_in_udp=1-65535");
	define("also_out_tcp=25");
	switches("ftp", true);
	switches("web,ping", false);
	there_and_back("toy-server");
	ck_assert(!p.ping_on);
	profile_settings_free(&settings);
	define("inside=veth*,cni0,flannel.1");
	define("nodes=fe80::/10");
	switches("rescue_ssh", true);
	there_and_back("box");
	ck_assert_uint_eq(p.inside->n, 3);
	ck_assert(p.rescue_on);
}
END_TEST

START_TEST(edited_by_a_person)
{
	static const char text[] = "#!/usr/sbin/nft -f\n"
				   "# profile: toy-server   (mine)\n"
				   "# define web = off\n"
				   "   define nodes4={10.0.0.0/8,  # the first\n"
				   "	# and the second\n"
				   "	192.0.2.1 ,\\\n"
				   "	192.0.2.2,\n"
				   "}\n"
				   "define\tnodes6  =  { }  # none\n"
				   "define admins4 = { 192.0.2.3 };\n"
				   "define ssh = off# for now\n"
				   "define inside = { docker0, \"br-*\" }\n"
				   "define also_in_tcp = { 9000-9010,8080 }\n"
				   "table inet strict {\n"
				   "	set x { type ipv4_addr; elements = { 1.1.1.1 } }\n"
				   "}\n"
				   "define web = on";
	char name[CAT_WORD];

	write_file(text, strlen(text));
	ck_assert_msg(reread(name) == 0, "%s", error);
	ck_assert_str_eq(name, "toy-server");
	ck_assert_uint_eq(settings.n_peers, 2);
	ck_assert_str_eq(settings.peers[0].name, "nodes");
	ck_assert_uint_eq(settings.peers[0].n, 3);
	ck_assert_uint_eq(settings.peers[1].n, 1);
	ck_assert_uint_eq(settings.n_switches, 2);
	ck_assert_str_eq(settings.switches[0].service, "ssh");
	ck_assert(!settings.switches[0].on);
	ck_assert(settings.switches[1].on);
	ck_assert(settings.has_inside);
	ck_assert_uint_eq(settings.inside.n, 2);
	ck_assert_str_eq(settings.inside.word[1], "br-*");
	ck_assert_uint_eq(settings.also_in_tcp.n, 2);
	/* Options come on top. */
	define("nodes=::1");
	ck_assert_uint_eq(settings.peers[0].n, 1);
	switches("ssh", true);
	ck_assert(settings.switches[0].on);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_files[] = {
	{ "", "no line begins with '# profile: '" },
	{ "define ssh = on\n", "no line begins with '# profile: '" },
	{ "# profile: \n", "1: no name of a profile: ''" },
	{ "# profile: a\n# profile: b\n", "2: a second profile: 'b'" },
	{ "# profile: a\ndefine\n", "2: no name of a define: ''" },
	{ "# profile: a\ndefine x\n", "2: = is missing before ''" },
	{ "# profile: a\ndefine x =\n", "2: neither on nor off nor { ... }: ''" },
	{ "# profile: a\ndefine x = yes\n", "2: neither on nor off nor { ... }: 'yes'" },
	{ "# profile: a\ndefine x = $y\n", "2: neither on nor off nor { ... }: '$y'" },
	{ "# profile: a\ndefine X = on\n", "2: no name of a define: 'X'" },
	{ "# profile: a\ndefine x = on on\n", "2: not understood behind a define: 'on'" },
	{ "# profile: a\ndefine x = on\ndefine x = on\n", "3: defined twice: 'x'" },
	{ "# profile: a\ndefine x4 = { 1.1.1.1\n", "3: a comma is missing before ''" },
	{ "# profile: a\ndefine x4 = { 1.1.1.1 2.2.2.2 }\n",
	    "a comma is missing before '2.2.2.2 }'" },
	{ "# profile: a\ndefine x4 = { , }\n", "2: within { }, not understood: ', }'" },
	{ "# profile: a\ndefine x4 = { { } }\n", "2: within { }, not understood: '{ } }'" },
	{ "# profile: a\ndefine x4 = { ::1 }\n", "2: an address of the other family: '::1'" },
	{ "# profile: a\ndefine x6 = { 1.1.1.1 }\n",
	    "2: an address of the other family: '1.1.1.1'" },
	{ "# profile: a\ndefine x4 = {\n 1.1.1.1,\n 1.1.1 }\n", "4: neither an address" },
	{ "# profile: a\ndefine x = { 1.1.1.1 }\n",
	    "2: neither a role's addresses nor ports: 'x'" },
	{ "# profile: a\ndefine also_in_udp = { ssh }\n", "2: no ports: 'ssh'" },
	{ "# profile: a\ndefine inside = { a/b }\n", "2: no name of an interface: 'a/b'" },
	{ "# profile: a\nredefine x = on\n", "2: not understood here: 'redefine'" },
	{ "# profile: a\n\tundefine x\n", "2: not understood here: 'undefine'" },
	{ "# profile: a\ninclude \"x\"\n", "2: not understood here: 'include'" },
	{ "# profile: a\ndefine x4 = { 1.1.1.1\r\n}\n", "neither an address" },
};

START_TEST(bad_file)
{
	char name[CAT_WORD];

	write_file(bad_files[_i].text, strlen(bad_files[_i].text));
	ck_assert_int_eq(reread(name), -EINVAL);
	ck_assert_msg(
	    strstr(error, bad_files[_i].says), "'%s' does not say '%s'", error, bad_files[_i].says);
	ck_assert(strncmp(error, file, strlen(file)) == 0);
	ck_assert_uint_eq(settings.n_peers, 0);
}
END_TEST

START_TEST(no_file)
{
	char name[CAT_WORD];

	ck_assert_int_eq(reread(name), -ENOENT);
	ck_assert_msg(strstr(error, "No such file"), "%s", error);
}
END_TEST

/* Whatever comes of it: no crash, and what is taken builds or is refused with words. */
static void try_file(const char *text, size_t len)
{
	char name[CAT_WORD];

	write_file(text, len);
	if (reread(name) < 0) {
		ck_assert_uint_ne(strlen(error), 0);
		return;
	}
	profile_free(&p);
	if (profile_build(&p, &c, name, &settings, error) < 0)
		ck_assert_uint_ne(strlen(error), 0);
	else
		free(text_of(&p));
}

START_TEST(files_cut_and_turned_over)
{
	char *text, *turned;
	size_t len, head;

	define("nodes=10.0.0.0/8,2001:db8::/32,192.0.2.1");
	define("also_in_tcp=8080,9000-9010");
	build("toy-server");
	text = text_of(&p);
	len = strlen(text);
	head = (size_t)(strstr(text, "\ntable inet") - text);
	for (size_t cut = 0; cut < head; cut++)
		try_file(text, cut);
	turned = malloc(len);
	ck_assert_ptr_nonnull(turned);
	srandom(1);
	for (unsigned int round = 0; round < 3000; round++) {
		memcpy(turned, text, len);
		for (long n = 1 + random() % 4; n > 0; n--)
			turned[(size_t)random() % head] = (char)random();
		try_file(turned, len);
	}
	free(turned);
	free(text);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *suite = suite_create("profile");
	TCase *tc = tcase_create("profile");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, rules_are_in_order);
	tcase_add_test(tc, peers_and_services);
	tcase_add_test(tc, rows_of_two_roles_are_one_rule);
	tcase_add_test(tc, families_are_one_rule);
	tcase_add_test(tc, rescue);
	tcase_add_test(tc, output_that_is_not_filtered);
	tcase_add_test(tc, login);
	tcase_add_test(tc, define_splits_families);
	tcase_add_test(tc, the_last_option_holds);
	tcase_add_loop_test(tc, bad_define, 0, COUNT(bad_defines));
	tcase_add_test(tc, names_that_there_are_not);
	tcase_add_loop_test(tc, collision, 0, COUNT(collisions));
	tcase_add_test(tc, words_of_nft);
	tcase_add_test(tc, the_text);
	tcase_add_test(tc, containers_and_icmp);
	tcase_add_test(tc, lines_are_not_too_long);
	tcase_add_loop_test(tc, unsettled_there_and_back, 0, 4);
	tcase_add_test(tc, settled_there_and_back);
	tcase_add_test(tc, edited_by_a_person);
	tcase_add_loop_test(tc, bad_file, 0, COUNT(bad_files));
	tcase_add_test(tc, no_file);
	tcase_add_test(tc, files_cut_and_turned_over);
	suite_add_tcase(suite, tc);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
