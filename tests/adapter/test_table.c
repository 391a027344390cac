/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of table.c and rules.c against the kernel at hand: who may touch the table, what becomes of
 * elements, and what real packets over a veth pair do with its rules. nft is asked only where its
 * own view of the table is the point.
 */
#include "nflog.h"
#include "queue.h"
#include "world.h"

#define LIST "nft list table inet " PH_TABLE " 2>/dev/null"

static struct table *create(const struct table_setup *setup)
{
	struct table *t = NULL;
	int err = table_create(&t, setup);

	ck_assert_msg(err == 0, "table_create: %s", strerror(-err));
	ck_assert_ptr_nonnull(t);
	return t;
}

static struct table *create_all(enum admit admit)
{
	struct table_setup s = all_services(admit);

	return create(&s);
}

struct refusals {
	unsigned int n;
	uint32_t id;
	int error;
};

static void refused(void *arg, uint32_t id, int error)
{
	struct refusals *r = arg;

	r->n++;
	r->id = id;
	r->error = error;
}

static void commit(struct table *t)
{
	struct refusals r = { .n = 0 };
	int err = table_commit(t, refused, &r);

	ck_assert_msg(err == 0, "table_commit: %s", strerror(-err));
	ck_assert_uint_eq(r.n, 0);
}

static struct tuple to_here(enum family family, uint16_t dport)
{
	return flow_of(family, L4_TCP, THERE, 0, HERE, dport);
}

/* --- the table as a whole --------------------------------------------------------------------- */

/* As nft up to 1.1.0 spells it; newer ones say what they mean. */
static void spell_flags(char *text)
{
	static const char newer[] = "tcp flags & (fin | syn | rst | ack) == syn";
	static const char older[] = "tcp flags syn / fin,syn,rst,ack";
	char *at;

	while ((at = strstr(text, newer))) {
		memcpy(at, older, sizeof(older) - 1);
		memmove(at + sizeof(older) - 1, at + sizeof(newer) - 1,
		    strlen(at + sizeof(newer) - 1) + 1);
	}
}

static void assert_lines(const char *const *line)
{
	static const char foreign[] = "xt target ";
	char *text = output(LIST);

	spell_flags(text);
	for (; *line; line++) {
		if (!strstr(text, *line))
			(void)fputs(text, stderr);
		ck_assert_msg(strstr(text, *line) != NULL, "no \"%s\" in the above", *line);
	}
	/*
	 * What nft could not make sense of it would print so; BFD's state and TFTP's opcode it
	 * never can, nor, on kernels without its own queue, the one of iptables.
	 */
	for (const char *xt = text; (xt = strstr(xt, foreign)); xt += sizeof(foreign) - 1)
		ck_assert(strncmp(xt, "xt target \"NFQUEUE\"", 19) == 0);
	ck_assert_ptr_null(strstr(text, "@nh"));
	for (const char *raw = text; (raw = strstr(raw, "@th")); raw++)
		ck_assert(
		    strncmp(raw, "@th,72,8 & 0xc0 ", 16) == 0 || strncmp(raw, "@th,64,16", 9) == 0);
	free(text);
}

START_TEST(nft_prints_it_well_related)
{
	static const char *const lines[] = {
		"flags owner",
		"\tset ftp4 {\n"
		"\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service\n"
		"\t\tflags timeout\n"
		"\t}\n",
		"\tset ftpw6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tflags interval,timeout\n"
		"\t\tcounter\n",
		"\tset seen4 {\n"
		"\t\ttype ipv4_addr . ipv4_addr . inet_service . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags dynamic,timeout\n"
		"\t\ttimeout 25s\n",
		"type filter hook prerouting priority raw; policy accept;\n"
		"\t\tmeta l4proto udp jump hops\n"
		"\t\ttcp flags syn / fin,syn,rst,ack iif != \"lo\" goto first_tcp\n"
		"\t\tmeta l4proto udp iif != \"lo\" goto first_udp\n",
		"type filter hook output priority raw; policy accept;\n"
		"\t\ttcp flags syn / fin,syn,rst,ack oif != \"lo\" goto first_tcp\n",
		"ip6 saddr . ip6 daddr . meta l4proto . th dport @ftp6 goto first_queue\n",
		"ip saddr . ip daddr . meta l4proto . th dport @tftp4 "
		"ip saddr . ip daddr . th sport . th dport != @seen4 goto first_queue\n",
		"ct status snat,dnat counter name \"nat_seen\" log group 20553 snaplen 128 "
		"queue-threshold 1 return\n",
		"\t\tct status snat,dnat return\n"
		"\t\ttcp flags fin,syn,rst ct direction original log group 20554 snaplen 128 "
		"queue-threshold 1\n"
		"\t\ttcp flags fin,syn,rst ct direction reply log group 20555 snaplen 128 "
		"queue-threshold 1\n",
		"update @seen6 { ip6 daddr . ip6 saddr . udp dport . udp sport }\n",
		"\tchain watch_sunrpc {\n"
		"\t\tct status snat,dnat return\n"
		"\t\tct mark & 0x20000000 != 0x00000000 meta l4proto udp jump seen\n",
		"\tset moved6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags timeout\n",
		"\tchain moved {\n"
		"\t\tct mark & 0x3f000000 != 0x00000000 return\n"
		"\t\tip saddr . ip daddr . meta l4proto . th dport @moved4 "
		"reject with tcp reset\n"
		"\t\tip6 saddr . ip6 daddr . meta l4proto . th dport @moved6 "
		"reject with tcp reset\n",
		"\ttype filter hook forward priority filter - 1; policy accept;\n"
		"\t\tct state invalid,new tcp flags ! rst goto moved\n",
		"\tchain begin_nfs {\n"
		"\t\tiif \"lo\" return\n"
		"\t\toif \"lo\" return\n"
		"\t\tct status snat,dnat return\n"
		"\t\tct mark set ct mark & 0xd6ffffff | 0x16000000 log group 20564 snaplen 128 "
		"queue-threshold 1\n",
		"\tchain watch_nfs {\n"
		"\t\ttcp flags fin,rst ct direction original log group 20564 snaplen 128 "
		"queue-threshold 1\n"
		"\t\ttcp flags fin,rst ct direction reply log group 20565 snaplen 128 "
		"queue-threshold 1\n"
		"\t}\n",
		"0x16000000 : goto watch_nfs",
		"tcp . 21 : goto begin_ftp",
		"tcp . 2049 : goto begin_nfs",
		"udp . 2049 : goto begin_nfs",
		"0x11000000 : goto watch_ftp",
		"0x12000000 : goto watch_sunrpc",
		"0x22000000 : goto admitted",
		"0x32000000 : goto watch_sunrpc",
		"0x25000000 : goto admitted",
		"0x17000000 : goto watch_rexec",
		"0x27000000 : goto admitted",
		"th sport <= 1023 ip saddr . ip daddr . meta l4proto . th dport @rsh4 "
		"goto first_queue\n",
		"\t\tip6 saddr . ip6 daddr . meta l4proto . th dport @rexec6 goto first_queue\n",
		"\tset early6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_service . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags dynamic,timeout\n"
		"\t\ttimeout 1m\n",
		"\tchain watch_tftp {\n"
		"\t\tct status snat,dnat return\n"
		"\t\tmeta l4proto udp jump seen\n"
		"\t\tmeta l4proto udp ct direction original @th,64,16 0x1-0x2 "
		"goto capture_tftp\n"
		"\t}\n",
		"\t\tct direction original @ih,0,8 >= 0x0 add @early4 { ip saddr . ip daddr . "
		"tcp sport . tcp dport limit rate 1/week burst 16 packets } goto capture_rsh\n",
		"\t\tct direction original @ih,0,8 >= 0x0 add @early6 { ip6 saddr . ip6 daddr . "
		"tcp sport . tcp dport limit rate 1/week burst 16 packets } goto capture_rexec\n",
		"\tchain watch_new {\n"
		"\t\tct mark & 0x10000000 != 0x00000000 ct status snat,dnat counter name "
		"\"nat_seen\" log group 20553 snaplen 128 queue-threshold 1\n"
		"\t\tct mark & 0x3f000000 == 0x00000000 meta l4proto . th dport vmap { ",
		"type filter hook postrouting priority 300; policy accept;\n",
		NULL,
	};
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	ck_assert_int_eq(table_admit(t), ADMIT_RELATED);
	assert_lines(lines);
	/* NFS begins and ends, and that is all that is known of it. */
	ck_assert(!shows(LIST, "set nfs"));
	ck_assert(!shows(LIST, "capture_nfs"));
	ck_assert(!shows(LIST, "0x26000000"));
	table_destroy(t);
}
END_TEST

#define FLOW4 "ip saddr . ip daddr . udp sport . udp dport"
#define FLOW6 "ip6 saddr . ip6 daddr . udp sport . udp dport"
#define KEY4  "ip saddr . ip daddr . meta l4proto . th dport"
#define KEY6  "ip6 saddr . ip6 daddr . meta l4proto . th dport"
#define SHOW(flow, set, group)                                                                     \
	flow " != @" set " add @" set " { " flow " } log group " group                             \
	     " snaplen 128 queue-threshold 1\n"
#define STATE(bits, word, group)                                                                   \
	"\t\t@th,72,8 & 0xc0 == " bits " " SHOW(FLOW4, "says_" word "4",                           \
	    group) "\t\t@th,72,8 & 0xc0 == " bits " " SHOW(FLOW6, "says_" word "6", group)
#define NEWS(group)                                                                                \
	STATE("0x0", "admin", group)                                                               \
	STATE("0x40", "down", group) STATE("0x80", "init", group) "\t}\n"
#define COPY(news, group)                                                                          \
	"\t\tct status snat,dnat return\n"                                                         \
	"\t\t@th,72,8 & 0xc0 != 0xc0 goto " news "\n"                                              \
	"\t\t" SHOW(FLOW4, "says_up4", group) "\t\t" SHOW(FLOW6, "says_up6", group) "\t}\n"
#define HOPS(chain, verdict)                                                                       \
	"\tchain " chain " {\n"                                                                    \
	"\t\tudp dport 3784 ip ttl < 255 " verdict "\n"                                            \
	"\t\tudp dport 3784 ip6 hoplimit < 255 " verdict "\n"
#define FAR_HOPS(verdict)                                                                          \
	"\t\tudp dport 4784 ip ttl < 64 " verdict "\n"                                             \
	"\t\tudp dport 4784 ip6 hoplimit < 64 " verdict "\n"

START_TEST(nft_prints_bfd_well)
{
	static const char *const both[] = {
		"\tset says_up4 {\n"
		"\t\ttype ipv4_addr . ipv4_addr . inet_service . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags dynamic,timeout\n"
		"\t\ttimeout 500ms\n",
		"\tset says_admin6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_service . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags dynamic,timeout\n"
		"\t\ttimeout 500ms\n",
		"\tchain watch_bfd {\n" COPY("watch_bfd_news", "20558"),
		"\tchain watch_bfd_news {\n" NEWS("20558"),
		"\tchain answer_bfd {\n" COPY("answer_bfd_news", "20559"),
		"\tchain answer_bfd_news {\n" NEWS("20559"),
		"\tchain begin_bfd {\n"
		"\t\tiif \"lo\" return\n"
		"\t\toif \"lo\" return\n"
		"\t\tct status snat,dnat counter name \"nat_seen\" log group 20553 snaplen 128 "
		"queue-threshold 1 return\n"
		"\t\tct mark set ct mark & 0xd3ffffff | 0x13000000\n",
		"udp . 3784 : goto begin_bfd",
		"udp . 4784 : goto begin_bfd",
		"0x13000000 : goto watch_bfd",
		"0x23000000 : goto answer_bfd",
		NULL,
	};
	static const char *const related[] = {
		HOPS("hops", "accept") "\t}\n",
		HOPS("too_far", "counter packets 0 bytes 0 drop") "\t}\n",
		"\tchain too_far_prerouting {\n"
		"\t\ttype filter hook prerouting priority mangle + 1; policy accept;\n"
		"\t\tmeta l4proto udp ct mark & 0x3f000000 == 0x23000000 goto too_far\n",
		"\tset bfd4 {\n"
		"\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service\n"
		"\t\tflags timeout\n"
		"\t}\n",
		"\tset bfdl6 {\n"
		"\t\ttype iface_index . ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tflags timeout\n"
		"\t}\n",
		"\tset knockl6 {\n"
		"\t\ttype iface_index . ipv6_addr . ipv6_addr . inet_proto . inet_service\n",
		"\tset knock6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tsize 65535\n"
		"\t\tflags dynamic,timeout\n"
		"\t\ttimeout 400ms\n",
		"\t\t" KEY4 " @bfd4 " KEY4 " != @knock4 add @knock4 { " KEY4
		" } log group 20568 snaplen 128 queue-threshold 1\n",
		"\t\t" KEY6 " @bfd6 " KEY6 " != @knock6 add @knock6 { " KEY6
		" } log group 20568 snaplen 128 queue-threshold 1\n",
		"\t\t" KEY6 " @asked6 " KEY6 " != @knock6 add @knock6 { " KEY6
		" } log group 20568 snaplen 128 queue-threshold 1\n",
		"\t\tiif . " KEY6 " @bfdl6 iif . " KEY6 " != @knockl6 add @knockl6 { iif . " KEY6
		" } log group 20568 snaplen 128 queue-threshold 1\n",
		"\t\tupdate @asked4 { ip daddr . ip saddr . meta l4proto . th dport }\n",
		"\t\tupdate @askedl6 { oif . ip6 daddr . ip6 saddr . meta l4proto . th dport }\n",
		"\tset bfdl6 {\n"
		"\t\ttype iface_index . ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tflags timeout\n",
		NULL,
	};
	static const char *const mark[] = {
		HOPS("hops", "accept") FAR_HOPS("accept") "\t}\n",
		HOPS("too_far", "counter packets 0 bytes 0 drop")
		    FAR_HOPS("counter packets 0 bytes 0 drop") "\t}\n",
		"\tset bfd6 {\n"
		"\t\ttype ipv6_addr . ipv6_addr . inet_proto . inet_service\n"
		"\t\tflags timeout\n"
		"\t\tlimit rate 1/week burst 1 packets\n",
		"\t\ttype filter hook prerouting priority mangle; policy accept;\n"
		"\t\tmeta l4proto udp jump hops\n"
		"\t\tct state new iif != \"lo\" goto admit_new\n",
		"\t\t" KEY4 " @bfd4 ct mark set ct mark & 0xe3ffffff | 0x23000000 accept\n",
		"\t\tiif . " KEY6 " @bfdl6 ct mark set ct mark & 0xe3ffffff | 0x23000000 accept\n",
		NULL,
	};
	struct table_setup s = all_services(_i ? ADMIT_MARK : ADMIT_RELATED);
	struct table *t;

	alone();
	if (_i)
		s.policy.service[PH_SVC_BFD].far_min_ttl = 64;
	t = create(&s);
	assert_lines(both);
	assert_lines(_i ? mark : related);
	ck_assert(!shows(LIST, "capture_bfd"));
	if (_i)
		ck_assert(!shows(LIST, "knock"));
	table_destroy(t);
}
END_TEST

START_TEST(bfd_comes_and_goes)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	struct table *t;

	alone();
	s.policy.service[PH_SVC_BFD].enabled = false;
	t = create(&s);
	ck_assert(!shows(LIST, "bfd"));
	ck_assert(!shows(LIST, "hops"));
	ck_assert(!shows(LIST, "knock"));
	s = all_services(ADMIT_RELATED);
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(shows(LIST, "udp dport 3784 ip ttl < 255 accept"));
	ck_assert(shows(LIST, "chain answer_bfd"));
	s.policy.service[PH_SVC_BFD].far_min_ttl = 250;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(shows(LIST, "udp dport 4784 ip6 hoplimit < 250 counter packets 0 bytes 0 drop"));
	s.policy.admit = ADMIT_MARK;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(shows(LIST, "too_far_prerouting"));
	s.policy.service[PH_SVC_BFD].enabled = false;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(!shows(LIST, "hops"));
	ck_assert(!shows(LIST, "watch_bfd"));
	ck_assert(shows(LIST, "0x23000000 : goto admitted"));
	ck_assert(shows(LIST, "@bfd4 ct mark set")); /* until its pinholes end */
	table_destroy(t);
}
END_TEST

START_TEST(nft_prints_it_well_mark)
{
	static const char *const lines[] = {
		"\t\tlimit rate 1/week burst 1 packets\n",
		"type filter hook prerouting priority mangle; policy accept;\n"
		"\t\tmeta l4proto udp jump hops\n"
		"\t\tct state new iif != \"lo\" goto admit_new\n",
		"ct mark & 0x20000000 != 0x00000000 return\n"
		"\t\ttcp flags syn / fin,syn,rst,ack goto admit_tcp\n"
		"\t\tmeta l4proto udp goto admit_udp\n",
		"th sport <= 1023 ip saddr . ip daddr . meta l4proto . th dport "
		"@rsh4 ct mark set ct mark & 0xe5ffffff | 0x25000000 accept\n",
		"@sunrpc6 goto admit_sunrpc\n",
		"\tchain admit_sunrpc {\n"
		"\t\tth dport 111 ct mark set ct mark & 0xf2ffffff | 0x32000000 accept\n"
		"\t\tct mark set ct mark & 0xe2ffffff | 0x22000000 accept\n",
		"type filter hook input priority filter - 1; policy accept;\n",
		NULL,
	};
	struct table *t;

	alone();
	t = create_all(ADMIT_MARK);
	ck_assert(table_one_shot(t));
	assert_lines(lines);
	table_destroy(t);
}
END_TEST

START_TEST(passive_admits_by_mark)
{
	static const char *const lines[] = {
		"\t\tct direction original log group 20554 queue-threshold 1 return\n"
		"\t\tlog group 20555 queue-threshold 1 return\n",
		"tcp flags fin,syn,rst goto capture_ftp\n",
		"admit_prerouting",
		NULL,
	};
	struct table_setup s = all_services(ADMIT_RELATED);
	struct table *t;

	alone();
	s.passive = true;
	t = create(&s);
	ck_assert_int_eq(table_capture(t), CAPTURE_PASSIVE);
	ck_assert_int_eq(table_admit(t), ADMIT_MARK);
	assert_lines(lines);
	ck_assert(!shows(LIST, "queue num"));
	table_destroy(t);
}
END_TEST

START_TEST(nobody_else_may_touch_it)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	struct table *t, *second = NULL;
	struct tuple flow = to_here(FAMILY_IPV4, 2000);

	alone();
	t = create(&s);
	if (!table_owned(t)) {
		(void)fprintf(stderr, "SKIP owner: this kernel has no table owners\n");
		table_destroy(t);
		return;
	}
	ck_assert_int_ne(system("nft delete table inet " PH_TABLE " 2>/dev/null"), 0);
	ck_assert_int_ne(system("nft flush set inet " PH_TABLE " ftp4 2>/dev/null"), 0);
	ck_assert_int_ne(
	    system("nft add rule inet " PH_TABLE " watch_input accept 2>/dev/null"), 0);
	run("nft flush ruleset");
	ck_assert_int_eq(table_create(&second, &s), -EBUSY);
	ck_assert_ptr_null(second);

	/* The refused one has done no harm. */
	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 1);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), 0);
	table_destroy(t);
	ck_assert(!shows("nft list tables", PH_TABLE));
	table_destroy(create(&s));
}
END_TEST

START_TEST(goes_with_its_process)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	int status;
	pid_t pid;

	alone();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct table *t;

		if (table_create(&t, &s))
			_exit(1);
		if (!table_owned(t))
			_exit(0);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) /* this kernel has no table owners */
		return;
	ck_assert(WIFSIGNALED(status));
	ck_assert(!shows("nft list tables", PH_TABLE));
}
END_TEST

START_TEST(an_orphan_is_replaced)
{
	struct table *t;

	alone();
	firewall("table inet " PH_TABLE " { set ftp4 { type ipv4_addr; }\n"
		 "chain left { type filter hook input priority 0; policy drop; }\n}\n");
	t = create_all(ADMIT_RELATED);
	ck_assert(!shows(LIST, "chain left"));
	table_destroy(t);
}
END_TEST

START_TEST(without_privileges_is_eperm)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	struct table *t = NULL;

	alone();
	ck_assert_int_eq(setuid(65534), 0);
	ck_assert_int_eq(table_create(&t, &s), -EPERM);
	ck_assert_ptr_null(t);
}
END_TEST

START_TEST(reconfiguring_keeps_elements)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	struct tuple flow = to_here(FAMILY_IPV4, 2000);
	struct table *t;

	alone();
	for (unsigned int svc = PH_SVC_SUNRPC; svc < PH_SVC_MAX; svc++)
		s.policy.service[svc].enabled = false;
	t = create(&s);
	ck_assert(!shows(LIST, "set tftp4"));
	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 1);
	commit(t);

	/* One service more, then the other way to admit, then one service less and back again. */
	s.policy.service[PH_SVC_TFTP] = all_services(ADMIT_RELATED).policy.service[PH_SVC_TFTP];
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(shows(LIST, "set tftp4"));
	ck_assert(shows(LIST, "udp . 69 : goto begin_tftp"));
	ck_assert(shows(LIST, "set seen4"));

	s.policy.admit = ADMIT_MARK;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert_int_eq(table_admit(t), ADMIT_MARK);
	ck_assert(!table_one_shot(t)); /* the sets are those of before */
	ck_assert(!shows(LIST, "first_prerouting"));
	ck_assert(shows(LIST, "admit_prerouting"));

	s.policy.admit = ADMIT_RELATED;
	s.policy.service[PH_SVC_FTP].enabled = false;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(!shows(LIST, "begin_ftp"));
	ck_assert(shows(LIST, "@ftp4 goto first_queue")); /* until its pinholes end */
	ck_assert(!shows(LIST, "moved"));

	/* All of sunrpc comes and goes, but what its pinholes need until they end. */
	s = all_services(ADMIT_MARK);
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(shows(LIST, "chain moved_forward"));
	ck_assert(shows(LIST, "chain admit_sunrpc"));
	ck_assert(shows(LIST, "goto begin_nfs"));
	s.policy.service[PH_SVC_SUNRPC].enabled = false;
	s.policy.service[PH_SVC_NFS].enabled = false;
	ck_assert_int_eq(table_reconfigure(t, &s), 0);
	ck_assert(!shows(LIST, "begin_sunrpc"));
	ck_assert(!shows(LIST, "begin_nfs"));
	ck_assert(!shows(LIST, "chain admit_sunrpc"));
	ck_assert(shows(LIST, "@sunrpc4 ct mark set ct mark & 0xe2ffffff | 0x22000000 accept"));
	ck_assert(shows(LIST, "0x32000000 : goto admitted"));
	ck_assert(shows(LIST, "set moved4"));
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), 0);
	table_destroy(t);
}
END_TEST

/* --- elements --------------------------------------------------------------------------------- */

START_TEST(elements_come_and_go)
{
	static const struct {
		enum ph_service svc;
		enum l4 proto;
	} kind[] = {
		{ PH_SVC_FTP, L4_TCP },
		{ PH_SVC_SUNRPC, L4_TCP },
		{ PH_SVC_SUNRPC, L4_UDP },
		{ PH_SVC_BFD, L4_UDP },
		{ PH_SVC_TFTP, L4_UDP },
		{ PH_SVC_RSH, L4_TCP },
		{ PH_SVC_REXEC, L4_TCP },
	};
	struct table *t;

	alone();
	t = create_all(_i % 2 ? ADMIT_MARK : ADMIT_RELATED);
	for (unsigned int i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		enum family family = _i / 2 ? FAMILY_IPV6 : FAMILY_IPV4;
		struct tuple flow = flow_of(family, kind[i].proto, THERE, 0, HERE, 2049);

		ck_assert_int_eq(hits(t, kind[i].svc, &flow), -ENOENT);
		stage_op(t, OP_OPEN, kind[i].svc, &flow, i);
		ck_assert_int_eq(hits(t, kind[i].svc, &flow), -ENOENT); /* only staged */
		commit(t);
		ck_assert_int_eq(hits(t, kind[i].svc, &flow), 0);
		/* A flow has come (its source port is known now), or the pinhole is withdrawn. */
		flow.sport = 40000;
		stage_op(t, i % 2 ? OP_CLOSE : OP_ADMIT, kind[i].svc, &flow, i);
		commit(t);
		ck_assert_int_eq(hits(t, kind[i].svc, &flow), -ENOENT);
	}
	table_destroy(t);
}
END_TEST

START_TEST(what_is_gone_may_be_removed)
{
	struct tuple flow = to_here(FAMILY_IPV4, 2000), other = to_here(FAMILY_IPV4, 2001);
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	stage_op(t, OP_CLOSE, PH_SVC_FTP, &flow, 1);
	stage_op(t, OP_OPEN, PH_SVC_FTP, &other, 2);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &other), 0);
	/* In one transaction: away, and there again. */
	stage_op(t, OP_CLOSE, PH_SVC_FTP, &other, 2);
	stage_op(t, OP_OPEN, PH_SVC_FTP, &other, 3);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &other), 0);
	table_destroy(t);
}
END_TEST

START_TEST(renewal_gives_a_fresh_timeout)
{
	struct tuple flow = flow_of(FAMILY_IPV4, L4_UDP, THERE, 0, HERE, 2049);
	struct op o = op_of(OP_OPEN, PH_SVC_SUNRPC, &flow);
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	o.many = true;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert(shows(LIST, "udp . 2049 counter packets 0 bytes 0 timeout 1m5s expires"));
	o.kind = _i ? OP_RENEW : OP_OPEN; /* both are right for one that is there already */
	o.timeout = 120 * NSEC_PER_SEC;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert(shows(LIST, "udp . 2049 counter packets 0 bytes 0 timeout 2m5s expires"));

	/* And for one that has gone in the meantime. */
	o.kind = OP_CLOSE;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	o.kind = OP_RENEW;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), 0);
	table_destroy(t);
}
END_TEST

START_TEST(elements_expire_by_themselves)
{
	struct tuple flow = to_here(FAMILY_IPV6, 2000);
	struct op o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
	struct table *t;
	int64_t since;

	alone();
	t = create_all(ADMIT_RELATED);
	o.timeout = 1;
	ck_assert_int_eq(table_stage(t, &o), 0);
	since = clock_ms();
	commit(t);
	while (hits(t, PH_SVC_FTP, &flow) == 0 && clock_ms() - since < 2 * PATIENCE_MS)
		(void)poll(NULL, 0, 20);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), -ENOENT);
	ck_assert_int_ge(clock_ms() - since, 4900); /* the 5 s that the daemon has to be first */
	table_destroy(t);
}
END_TEST

START_TEST(windows)
{
	struct tuple flow = to_here(_i ? FAMILY_IPV6 : FAMILY_IPV4, 32768);
	struct op o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
	struct pinhole p = pinhole_of(PH_SVC_FTP, &flow);
	uint64_t packets = 1;
	struct table *t;

	alone();
	t = create_all(ADMIT_MARK);
	o.many = p.many = true;
	o.dport_hi = p.dport_hi = 60999;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert(shows(LIST, _i ? "fd77::2 . fd77::1 . tcp . 32768-60999 counter"
				 : "10.77.0.2 . 10.77.0.1 . tcp . 32768-60999 counter"));
	ck_assert_int_eq(table_hits(t, &p, &packets), 0);
	ck_assert_uint_eq(packets, 0);
	o.kind = OP_RENEW;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert_int_eq(table_hits(t, &p, &packets), 0);
	o.kind = OP_CLOSE;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert_int_eq(table_hits(t, &p, &packets), -ENOENT);
	table_destroy(t);
}
END_TEST

START_TEST(what_no_set_can_express_is_refused_at_once)
{
	struct tuple flow = flow_of(FAMILY_IPV4, L4_UDP, THERE, 0, HERE, 2000);
	struct op o = op_of(OP_OPEN, PH_SVC_TFTP, &flow);
	struct table_setup s = all_services(ADMIT_MARK);
	struct table *t;

	alone();
	s.policy.service[PH_SVC_RSH].enabled = false;
	t = create(&s);
	o.dport_hi = 2001; /* only FTP has windows */
	ck_assert_int_eq(table_stage(t, &o), -EOPNOTSUPP);
	o.dport_hi = 2000;
	o.many = true; /* its set admits one flow an element */
	ck_assert_int_eq(table_stage(t, &o), table_one_shot(t) ? -EOPNOTSUPP : 0);
	o.many = false;
	o.flow.dst = address(FAMILY_IPV6, HERE);
	ck_assert_int_eq(table_stage(t, &o), -EOPNOTSUPP);
	o.flow.dst = flow.dst;
	o.service = PH_SVC_RSH;
	ck_assert_int_eq(table_stage(t, &o), -EOPNOTSUPP);
	o.service = PH_SVC_TFTP;
	o.kind = OP_SESSION_BEGIN;
	ck_assert_int_eq(table_stage(t, &o), 0); /* nothing to do */
	ck_assert_int_eq(table_commit(t, NULL, NULL), 0);
	table_destroy(t);
}
END_TEST

/* A window that overlaps another in part is refused by the kernel, whatever else is in the batch.
 */
START_TEST(one_refusal_harms_nobody_else)
{
	struct tuple flow = to_here(FAMILY_IPV4, 3000);
	struct op o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
	struct refusals r = { .n = 0 };
	struct table *t;
	int err;

	alone();
	t = create_all(ADMIT_RELATED);
	o.dport_hi = 4000;
	o.many = true;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	for (uint32_t id = 1; id <= 2000; id++) {
		o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
		o.id = id;
		o.flow.dport = o.dport_hi = (uint16_t)(10000 + id);
		if (id == 1000) {
			o.flow.dport = 2500;
			o.dport_hi = 3500;
			o.many = true;
		}
		ck_assert_int_eq(table_stage(t, &o), 0);
	}
	err = table_commit(t, refused, &r);
	ck_assert_int_ne(err, 0);
	ck_assert_uint_eq(r.n, 1);
	ck_assert_uint_eq(r.id, 1000);
	ck_assert_int_eq(r.error, err);
	for (uint16_t id = 1; id <= 2000; id++) {
		flow.dport = (uint16_t)(10000 + id);
		ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), id == 1000 ? -ENOENT : 0);
	}
	/* Nothing is left staged. */
	ck_assert_int_eq(table_commit(t, refused, &r), 0);
	ck_assert_uint_eq(r.n, 1);
	table_destroy(t);
}
END_TEST

/* The kernel asks for CAP_NET_ADMIN each time, and answers once for a whole batch. */
START_TEST(without_privileges_nothing_changes)
{
	struct table_setup s = all_services(ADMIT_RELATED);
	struct tuple flow = to_here(FAMILY_IPV4, 2000);
	struct refusals r = { .n = 0 };
	struct table *t;

	alone();
	t = create(&s);
	ck_assert_int_eq(seteuid(65534), 0);
	for (uint32_t id = 1; id <= 3; id++) {
		flow.dport++;
		stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, id);
	}
	stage_op(t, OP_CLOSE, PH_SVC_FTP, &flow, 3);
	ck_assert_int_eq(table_commit(t, refused, &r), -EPERM);
	ck_assert_uint_eq(r.n, 3);
	ck_assert_int_eq(r.error, -EPERM);
	s.policy.admit = ADMIT_MARK;
	ck_assert_int_eq(table_reconfigure(t, &s), -EPERM);
	ck_assert_int_eq(table_admit(t), ADMIT_RELATED);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert(shows(LIST, "first_prerouting"));
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), -ENOENT);
	table_destroy(t);
}
END_TEST

static bool is_moved(const struct tuple *flow)
{
	const char *set = flow->src.family == FAMILY_IPV4 ? "moved4" : "moved6";
	char command[128], port[64];

	(void)snprintf(command, sizeof(command), "nft list set inet " PH_TABLE " %s", set);
	(void)snprintf(port, sizeof(port), ". tcp . %u timeout 1m expires", flow->dport);
	return shows(command, port);
}

static void stage_moved(struct table *t, const struct tuple *flow)
{
	struct op o = op_of(OP_CLOSE, PH_SVC_SUNRPC, flow);

	o.many = o.moved = true;
	ck_assert_int_eq(table_stage(t, &o), 0);
}

/* What was given up and what is open exclude each other, whatever comes in one transaction. */
START_TEST(a_port_is_open_or_given_up)
{
	struct tuple flow = to_here(_i ? FAMILY_IPV6 : FAMILY_IPV4, 20048), udp = flow,
		     other = flow;
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 1);
	commit(t);
	ck_assert(!is_moved(&flow));
	stage_moved(t, &flow);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), -ENOENT);
	ck_assert(is_moved(&flow));

	/* Once more, then open again, then both at once in either order. */
	stage_moved(t, &flow);
	commit(t);
	ck_assert(is_moved(&flow));
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 2);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), 0);
	ck_assert(!is_moved(&flow));
	stage_moved(t, &flow);
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 3);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), 0);
	ck_assert(!is_moved(&flow));
	stage_op(t, OP_CLOSE, PH_SVC_SUNRPC, &flow, 3);
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 4);
	stage_moved(t, &flow);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), -ENOENT);
	ck_assert(is_moved(&flow));
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 5);
	stage_moved(t, &flow);
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 6);
	stage_moved(t, &flow);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), -ENOENT);
	ck_assert(is_moved(&flow));

	/* The port belongs to another service now. */
	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 7);
	commit(t);
	ck_assert(!is_moved(&flow));

	/* Neither UDP nor any other end of a pinhole leaves a trace. */
	udp.l4proto = L4_UDP;
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &udp, 8);
	stage_moved(t, &udp);
	other.dport++;
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &other, 9);
	stage_op(t, OP_CLOSE, PH_SVC_SUNRPC, &other, 9);
	commit(t);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &udp), -ENOENT);
	ck_assert(!shows(LIST, "timeout 1m expires"));
	table_destroy(t);
}
END_TEST

START_TEST(a_thousand_ports_move)
{
	struct tuple flow = to_here(FAMILY_IPV6, 0);
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	for (unsigned int round = 0; round < 4; round++) {
		for (uint16_t i = 0; i < 1000; i++) {
			flow.dport = (uint16_t)(20000 + i);
			if (round % 2)
				stage_moved(t, &flow);
			else
				stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, i);
		}
		commit(t);
		for (uint16_t i = 0; i < 1000; i += 111) {
			flow.dport = (uint16_t)(20000 + i);
			ck_assert(is_moved(&flow) == (round % 2));
			ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), round % 2 ? -ENOENT : 0);
		}
	}
	table_destroy(t);
}
END_TEST

START_TEST(a_hundred_thousand_at_once)
{
	const unsigned int many = 100000;
	struct table *t;

	alone();
	t = create_all(ADMIT_RELATED);
	for (unsigned int round = 0; round < 3; round++) {
		enum op_kind kind = round == 0 ? OP_OPEN : round == 1 ? OP_RENEW : OP_CLOSE;

		for (unsigned int i = 0; i < many; i++) {
			struct tuple flow = flow_of(
			    FAMILY_IPV6, L4_TCP, i % 50000, 0, HERE, (uint16_t)(2000 + i / 50000));

			stage_op(t, kind, PH_SVC_FTP, &flow, i);
		}
		commit(t);
		for (unsigned int i = 0; i < many; i += 997) {
			struct tuple flow = flow_of(
			    FAMILY_IPV6, L4_TCP, i % 50000, 0, HERE, (uint16_t)(2000 + i / 50000));

			ck_assert_int_eq(
			    hits(t, PH_SVC_FTP, &flow), kind == OP_CLOSE ? -ENOENT : 0);
		}
	}
	table_destroy(t);
}
END_TEST

/* --- packets ---------------------------------------------------------------------------------- */

#define FIREWALL(rule)                                                                             \
	"table inet fw {\n"                                                                        \
	"	counter dropped { }\n"                                                                   \
	"	counter let_in { }\n"                                                                    \
	"	chain input {\n"                                                                         \
	"		type filter hook input priority 0; policy drop;\n"                                      \
	"		iif lo accept\n"                                                                        \
	"		meta l4proto ipv6-icmp accept\n"                                                        \
	"		ct state established accept\n"                                                          \
	"		" rule " counter name let_in accept\n"                                     \
	"		tcp dport 21 accept\n"                                                                  \
	"		counter name dropped\n"                                                                 \
	"	}\n"                                                                                     \
	"}\n"

#define BY_MARK FIREWALL("ct mark & 0x20000000 != 0")

START_TEST(mark_admits_exactly_one_flow)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct tuple flow = to_here(family, 2000);
	struct table *t;
	int listener, first, second;

	firewall(BY_MARK);
	t = create_all(ADMIT_MARK);
	if (!table_one_shot(t)) {
		(void)fprintf(stderr, "SKIP one-shot: this kernel has no element limits\n");
		return;
	}
	listener = listening(w.here, family, HERE, 2000);
	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 1);
	commit(t);

	/* Nobody removes the element between the two: the kernel alone has to be right. */
	first = calling(w.there, family, THERE, 40001, HERE, 2000);
	second = calling(w.there, family, THERE, 40002, HERE, 2000);
	ck_assert(stands(first, PATIENCE_MS));
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert(!ready(second, POLLOUT, 0));
	ck_assert_uint_eq(counter("let_in"), 1);
	(void)close(accepted(listener));
	table_destroy(t);
}
END_TEST

START_TEST(mark_admits_many_through_a_window)
{
	struct world w = world_make();
	struct tuple flow = to_here(FAMILY_IPV4, 2000);
	struct op o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
	struct table *t;
	int outside;

	firewall(BY_MARK);
	t = create_all(ADMIT_MARK);
	(void)listening(w.here, FAMILY_IPV4, HERE, 2000);
	(void)listening(w.here, FAMILY_IPV4, HERE, 2002);
	(void)listening(w.here, FAMILY_IPV4, HERE, 2003);
	o.many = true;
	o.dport_hi = 2002;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	for (uint16_t i = 0; i < 4; i++)
		ck_assert(stands(calling(w.there, FAMILY_IPV4, THERE, (uint16_t)(40001 + i), HERE,
				     i % 2 ? 2000 : 2002),
		    PATIENCE_MS));
	ck_assert_uint_eq(counter("dropped"), 0);
	outside = calling(w.there, FAMILY_IPV4, THERE, 40009, HERE, 2003);
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert(!ready(outside, POLLOUT, 0));
	table_destroy(t);
}
END_TEST

/* What came by queue or log group since the last look. */
struct got {
	unsigned int n;
	uint16_t number;
	size_t len;
	struct packet packet;
	uint8_t first_byte;
};

static void on_packet(void *arg, uint16_t number, const uint8_t *l3, size_t len)
{
	struct got *g = arg;

	g->n++;
	g->number = number;
	g->len = len;
	ck_assert_int_eq(packet_decode(l3, len, &g->packet), PACKET_OK);
	g->first_byte = g->packet.payload.left ? g->packet.payload.at[0] : 0;
}

static void on_copy(void *arg, uint16_t number, uint32_t iface, const uint8_t *l3, size_t len)
{
	(void)iface;
	on_packet(arg, number, l3, len);
}

static struct got next_copy(struct nflog *log)
{
	struct got g = { .n = 0 };

	ck_assert(ready(nflog_fd(log), POLLIN, PATIENCE_MS));
	ck_assert_int_gt(nflog_receive(log), 0);
	nflog_show(log, on_copy, &g);
	return g;
}

static struct got next_held(struct queue *q)
{
	struct got g = { .n = 0 };

	ck_assert(ready(queue_fd(q), POLLIN, PATIENCE_MS));
	ck_assert_int_eq(queue_receive(q), 1);
	queue_show(q, on_packet, &g);
	ck_assert_uint_eq(g.n, 1);
	return g;
}

/* Whatever may be copied. */
static struct nflog *log_all(void)
{
	struct nflog *log = NULL;

	ck_assert_int_eq(nflog_open(&log), 0);
	for (unsigned int i = 0; i < PH_GROUP_SPAN; i++)
		ck_assert_int_eq(nflog_bind(log, (uint16_t)(PH_QUEUE_BASE_DEFAULT + i), 0xffff), 0);
	return log;
}

/* Whatever may be held. */
static struct queue *queue_all(void)
{
	struct queue *q = NULL;

	ck_assert_int_eq(queue_open(&q), 0);
	for (unsigned int i = 0; i < PH_QUEUE_SPAN; i++)
		ck_assert_int_eq(queue_bind(q, (uint16_t)(PH_QUEUE_BASE_DEFAULT + i), 0xffff), 0);
	return q;
}

#define FTP_ORIGINAL (PH_QUEUE_BASE_DEFAULT + 2 * PH_SVC_FTP)
#define FTP_REPLY    (FTP_ORIGINAL + 1)
#define RPC_ORIGINAL (PH_QUEUE_BASE_DEFAULT + 2 * PH_SVC_SUNRPC)
#define RPC_REPLY    (RPC_ORIGINAL + 1)
#define FIRST        (PH_QUEUE_BASE_DEFAULT + PH_QUEUE_FIRST)

/* The next packet that is held, from where to where it should be; it is let go. */
static void held_once(struct queue *q, uint16_t number, char byte)
{
	struct got g = next_held(q);

	ck_assert_uint_eq(g.number, number);
	ck_assert_int_eq(g.first_byte, byte);
	ck_assert_int_eq(queue_release(q), 0);
}

START_TEST(control_packets_with_payload_are_held)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct queue *q = queue_all();
	struct table *t;
	struct got g;
	int listener, client, server;
	char byte;

	firewall(BY_MARK);
	t = create_all(ADMIT_RELATED);
	if (table_capture(t) == CAPTURE_PASSIVE) {
		(void)fprintf(stderr, "SKIP held: this kernel cannot queue\n");
		return;
	}
	listener = listening(w.here, family, HERE, 21);
	client = calling(w.there, family, THERE, 40000, HERE, 21);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);

	/* The handshake: SYN and SYN-ACK are copied, nothing is held. */
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_uint_eq(g.number, FTP_REPLY);
	ck_assert_uint_eq(g.packet.tcp_flags & (TCP_SYN | TCP_ACK), TCP_SYN | TCP_ACK);
	ck_assert(!ready(queue_fd(q), POLLIN, 0));

	/* The server speaks: held on its way out. */
	ck_assert_int_eq(send(server, "2", 1, 0), 1);
	g = next_held(q);
	ck_assert_uint_eq(g.number, FTP_REPLY);
	ck_assert_uint_eq(g.first_byte, '2');
	ck_assert(!ready(client, POLLIN, 0));
	ck_assert_int_eq(queue_release(q), 0);
	ck_assert(ready(client, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(recv(client, &byte, 1, 0), 1);

	/* The client answers: held on its way in. */
	ck_assert_int_eq(send(client, "U", 1, 0), 1);
	g = next_held(q);
	ck_assert_uint_eq(g.number, FTP_ORIGINAL);
	ck_assert_uint_eq(g.first_byte, 'U');
	ck_assert_int_eq(queue_release(q), 0);
	ck_assert(ready(server, POLLIN, PATIENCE_MS));

	/* Neither ACKs nor the FIN are held. */
	ck_assert(!ready(nflog_fd(log), POLLIN, 0));
	(void)close(client);
	g = next_copy(log);
	ck_assert_uint_eq(g.packet.tcp_flags & TCP_FIN, TCP_FIN);
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	table_destroy(t);
	queue_close(q);
	nflog_close(log);
}
END_TEST

#define TFTP_ORIGINAL (PH_QUEUE_BASE_DEFAULT + 2 * PH_SVC_TFTP)
#define RSH_ORIGINAL  (PH_QUEUE_BASE_DEFAULT + 2 * PH_SVC_RSH)
#define RSH_REPLY     (RSH_ORIGINAL + 1)

static void says(int fd, const char *bytes, size_t len)
{
	ck_assert_int_eq(send(fd, bytes, len, 0), (ssize_t)len);
}

/* A server may answer from port 69; then all of the transfer goes by, and only requests are held.
 */
START_TEST(of_tftp_requests_are_held)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct queue *q = queue_all();
	struct table *t;
	int client, server;
	char byte;

	firewall(FIREWALL("udp dport 69"));
	t = create_all(ADMIT_RELATED);
	server = bound(w.here, SOCK_DGRAM, family, HERE, 69);
	client = bound(w.there, SOCK_DGRAM, family, THERE, 2070);
	for (char opcode = 0; opcode < 8; opcode++) {
		struct sockaddr_storage to;
		socklen_t len = sockaddr_of(&to, family, HERE, 69);
		const char datagram[] = { 0, opcode, 'x' };

		ck_assert_int_eq(
		    sendto(client, datagram, sizeof(datagram), 0, (struct sockaddr *)&to, len),
		    sizeof(datagram));
		if (opcode == 1 || opcode == 2)
			held_once(q, TFTP_ORIGINAL, 0);
		ck_assert(ready(server, POLLIN, PATIENCE_MS));
		ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
		/* The same the other way is an answer. */
		len = sockaddr_of(&to, family, THERE, 2070);
		ck_assert_int_eq(
		    sendto(server, datagram, sizeof(datagram), 0, (struct sockaddr *)&to, len),
		    sizeof(datagram));
		ck_assert(ready(client, POLLIN, PATIENCE_MS));
		ck_assert_int_eq(recv(client, &byte, 1, 0), 1);
	}
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	ck_assert_uint_eq(mark_of(family, L4_UDP, 69), 0x14000000);
	table_destroy(t);
	queue_close(q);
}
END_TEST

/* What a command reads, and a stream of syslog on the same port, does not come our way. */
START_TEST(of_rsh_the_beginning_is_held)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct queue *q = queue_all();
	struct table *t;
	int listener, client, server;
	struct got g;

	firewall(FIREWALL("tcp dport 514"));
	t = create_all(ADMIT_RELATED);
	listener = listening(w.here, family, HERE, 514);
	client = calling(w.there, family, THERE, 1023, HERE, 514);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	g = next_copy(log);
	ck_assert_uint_eq(g.number, RSH_REPLY);
	for (char i = 0; i < 16; i++) {
		says(client, &i, 1);
		held_once(q, RSH_ORIGINAL, i);
		ck_assert_int_eq(received(server), i);
	}
	for (char i = 0; i < 100; i++) {
		says(client, &i, 1);
		ck_assert_int_eq(received(server), i);
		says(server, &i, 1);
		ck_assert_int_eq(received(client), i);
	}
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	/* Its end is told as ever, and another connection has a beginning of its own. */
	(void)close(client);
	g = next_copy(log);
	ck_assert_uint_eq(g.packet.tcp_flags & TCP_FIN, TCP_FIN);
	client = calling(w.there, family, THERE, 1022, HERE, 514);
	ck_assert(stands(client, PATIENCE_MS));
	says(client, "x", 1);
	held_once(q, RSH_ORIGINAL, 'x');
	table_destroy(t);
	queue_close(q);
	nflog_close(log);
}
END_TEST

/* A pinhole of rsh is for a server's reserved port; nobody else uses it up. */
START_TEST(rsh_connects_from_a_reserved_port)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct tuple flow = to_here(family, 1022);
	struct queue *q = queue_all();
	struct table *t;

	firewall(_i / 2 ? BY_MARK : FIREWALL("ct state related"));
	t = create_all(_i / 2 ? ADMIT_MARK : ADMIT_RELATED);
	(void)listening(w.here, family, HERE, 1022);
	stage_op(t, OP_OPEN, PH_SVC_RSH, &flow, 1);
	commit(t);
	(void)calling(w.there, family, THERE, 1024, HERE, 1022);
	WAIT_UNTIL(counter("dropped") == 1);
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	if (_i / 2) {
		ck_assert(stands(calling(w.there, family, THERE, 1023, HERE, 1022), PATIENCE_MS));
	} else {
		struct got g;

		(void)calling(w.there, family, THERE, 1023, HERE, 1022);
		g = next_held(q);
		ck_assert_uint_eq(g.number, FIRST);
		ck_assert_uint_eq(g.packet.tuple.sport, 1023);
		ck_assert_int_eq(queue_release(q), 0);
	}
	table_destroy(t);
	queue_close(q);
}
END_TEST

START_TEST(passive_copies_everything_once)
{
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table_setup s = all_services(ADMIT_MARK);
	static const char line[300] = "USER x";
	struct table *t;
	struct got g;
	int listener, client, server;

	firewall(BY_MARK);
	s.passive = true;
	t = create(&s);
	listener = listening(w.here, FAMILY_IPV4, HERE, 21);
	client = calling(w.there, FAMILY_IPV4, THERE, 40000, HERE, 21);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 2);

	/* In full, and not held. */
	ck_assert_int_eq(send(client, line, sizeof(line), 0), sizeof(line));
	ck_assert(ready(server, POLLIN, PATIENCE_MS));
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 1);
	ck_assert_uint_eq(g.number, FTP_ORIGINAL);
	ck_assert_uint_eq(g.first_byte, 'U');
	ck_assert_uint_eq(g.packet.payload.left, sizeof(line));
	ck_assert(!g.packet.cut);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

START_TEST(translated_control_flows_are_counted_and_left_alone)
{
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table *t = create_all(ADMIT_RELATED);
	uint64_t packets = 1;
	struct got g;

	firewall(FIREWALL("ct status dnat"));
	firewall("table inet nat { chain prerouting {\n"
		 "	type nat hook prerouting priority -100;\n"
		 "	tcp dport 2121 redirect to :21\n}\n}\n");
	ck_assert_int_eq(table_nat_seen(t, &packets), 0);
	ck_assert_uint_eq(packets, 0);
	(void)listening(w.here, FAMILY_IPV4, HERE, 21);
	ck_assert(stands(calling(w.there, FAMILY_IPV4, THERE, 40000, HERE, 2121), PATIENCE_MS));
	ck_assert_int_eq(table_nat_seen(t, &packets), 0);
	ck_assert_uint_eq(packets, 1);
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 1);
	ck_assert_uint_eq(g.number, PH_QUEUE_BASE_DEFAULT + PH_GROUP_NAT);
	ck_assert_uint_eq(g.packet.tuple.dport, 21);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* A connection over loopback leaves no trace before one that does. */
START_TEST(loopback_is_left_alone)
{
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table *t = create_all(ADMIT_RELATED);
	struct tuple flow = flow_of(FAMILY_IPV4, L4_TCP, HERE, 0, HERE, 2000);
	struct got g;

	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 1);
	commit(t);
	(void)listening(w.here, FAMILY_IPV4, HERE, 21);
	(void)listening(w.here, FAMILY_IPV4, HERE, 2000);
	ck_assert(stands(calling(w.here, FAMILY_IPV4, HERE, 40000, HERE, 21), PATIENCE_MS));
	ck_assert(stands(calling(w.here, FAMILY_IPV4, HERE, 40001, HERE, 2000), PATIENCE_MS));
	ck_assert(stands(calling(w.there, FAMILY_IPV4, THERE, 40002, HERE, 21), PATIENCE_MS));
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_uint_eq(g.packet.tuple.dport, 40002);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), 0);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* Nobody listens to the queues: control packets pass, and pinholes do not open. */
START_TEST(without_a_listener_everything_passes)
{
	struct world w = world_make();
	struct table *t = create_all(ADMIT_RELATED);
	struct tuple flow = to_here(FAMILY_IPV4, 2000);
	int listener, client, server;

	firewall(FIREWALL("ct state related"));
	stage_op(t, OP_OPEN, PH_SVC_FTP, &flow, 1);
	commit(t);
	listener = listening(w.here, FAMILY_IPV4, HERE, 21);
	client = calling(w.there, FAMILY_IPV4, THERE, 40000, HERE, 21);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	ck_assert_int_eq(send(client, "U", 1, 0), 1);
	ck_assert(ready(server, POLLIN, PATIENCE_MS));
	(void)listening(w.here, FAMILY_IPV4, HERE, 2000);
	(void)calling(w.there, FAMILY_IPV4, THERE, 40001, HERE, 2000);
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert_int_eq(hits(t, PH_SVC_FTP, &flow), 0); /* not spent */
	table_destroy(t);
}
END_TEST

#define WITH_NFS FIREWALL("meta l4proto { tcp, udp } th dport { 111, 2049 }")

/* Marked, in both directions and for both transports, and neither held nor copied. */
START_TEST(nfs_is_known_and_left_alone)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct queue *q = queue_all();
	struct table *t = create_all(_i / 2 ? ADMIT_MARK : ADMIT_RELATED);
	int listener, client, server, out;
	struct got g;

	firewall(WITH_NFS);
	listener = listening(w.here, family, HERE, 2049);
	client = calling(w.there, family, THERE, 700, HERE, 2049);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	ck_assert_int_eq(send(client, "q", 1, 0), 1);
	ck_assert_int_eq(received(server), 'q');
	ck_assert_int_eq(send(server, "a", 1, 0), 1);
	ck_assert_int_eq(received(client), 'a');
	ck_assert_uint_eq(mark_of(family, L4_TCP, 2049), 0x16000000);

	client = bound(w.there, SOCK_DGRAM, family, THERE, 700);
	server = bound(w.here, SOCK_DGRAM, family, HERE, 2049);
	send_to(client, family, HERE, 2049, 'q');
	ck_assert_int_eq(received(server), 'q');
	send_to(client, family, HERE, 2049, 'r'); /* still `new` */
	ck_assert_int_eq(received(server), 'r');
	send_to(server, family, THERE, 700, 'a');
	ck_assert_int_eq(received(client), 'a');
	ck_assert_uint_eq(mark_of(family, L4_UDP, 2049), 0x16000000);

	/* This host is the client. */
	run("conntrack -F 2>/dev/null");
	(void)listening(w.there, family, THERE, 2049);
	out = calling(w.here, family, HERE, 701, THERE, 2049);
	ck_assert(stands(out, PATIENCE_MS));
	ck_assert_uint_eq(mark_of(family, L4_TCP, 2049), 0x16000000);

	/* Copied are the first packets of these three flows, then a connection to another service.
	 */
	(void)listening(w.here, family, HERE, 21);
	ck_assert(stands(calling(w.there, family, THERE, 40000, HERE, 21), PATIENCE_MS));
	g = next_copy(log);
	ck_assert_uint_eq(g.number, FTP_REPLY);
	ck_assert_uint_eq(g.n, 3 + 2);
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	table_destroy(t);
	queue_close(q);
	nflog_close(log);
}
END_TEST

START_TEST(translated_or_local_nfs_is_not_known)
{
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table *t = create_all(ADMIT_RELATED);
	uint64_t packets = 1;

	firewall(WITH_NFS);
	firewall("table inet nat { chain prerouting {\n"
		 "	type nat hook prerouting priority -100;\n"
		 "	tcp dport 2050 redirect to :2049\n}\n}\n");
	(void)listening(w.here, FAMILY_IPV4, HERE, 2049);
	ck_assert(stands(calling(w.there, FAMILY_IPV4, THERE, 700, HERE, 2050), PATIENCE_MS));
	ck_assert_uint_eq(mark_of(FAMILY_IPV4, L4_TCP, 2050), 0);
	ck_assert(stands(calling(w.here, FAMILY_IPV4, HERE, 701, HERE, 2049), PATIENCE_MS));
	ck_assert_uint_eq(mark_of(FAMILY_IPV4, L4_TCP, 2049), 0);
	/* It would need nothing from us: it is not counted as missed either. */
	ck_assert_int_eq(table_nat_seen(t, &packets), 0);
	ck_assert_uint_eq(packets, 0);
	ck_assert(!ready(nflog_fd(log), POLLIN, 0));
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* rpcbind over UDP: each datagram with payload, both ways, in both ways to admit. */
START_TEST(portmap_datagrams_are_held)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct queue *q = queue_all();
	struct table *t;
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(&sa, family, HERE, 111);
	int client, server;

	firewall(WITH_NFS);
	t = create_all(_i / 2 ? ADMIT_MARK : ADMIT_RELATED);
	client = bound(w.there, SOCK_DGRAM, family, THERE, 700);
	server = bound(w.here, SOCK_DGRAM, family, HERE, 111);
	send_to(client, family, HERE, 111, 'q');
	ck_assert(ready(queue_fd(q), POLLIN, PATIENCE_MS));
	ck_assert(!ready(server, POLLIN, 0));
	held_once(q, RPC_ORIGINAL, 'q');
	ck_assert_int_eq(received(server), 'q');
	ck_assert_uint_eq(mark_of(family, L4_UDP, 111), 0x12000000);
	send_to(client, family, HERE, 111, 'r');
	held_once(q, RPC_ORIGINAL, 'r');
	ck_assert_int_eq(received(server), 'r');
	send_to(server, family, THERE, 700, 'a');
	held_once(q, RPC_REPLY, 'a');
	ck_assert_int_eq(received(client), 'a');

	/* There is nothing in this one. */
	ck_assert_int_eq(sendto(client, "", 0, 0, (struct sockaddr *)&sa, len), 0);
	ck_assert(ready(server, POLLIN, PATIENCE_MS));
	ck_assert(!ready(queue_fd(q), POLLIN, 0));
	ck_assert(!ready(nflog_fd(log), POLLIN, 0));
	table_destroy(t);
	queue_close(q);
	nflog_close(log);
}
END_TEST

START_TEST(passive_copies_portmap_datagrams)
{
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table_setup s = all_services(ADMIT_MARK);
	struct table *t;
	struct got g;
	int client, server;

	firewall(WITH_NFS);
	s.passive = true;
	t = create(&s);
	client = bound(w.there, SOCK_DGRAM, FAMILY_IPV4, THERE, 700);
	server = bound(w.here, SOCK_DGRAM, FAMILY_IPV4, HERE, 111);
	send_to(client, FAMILY_IPV4, HERE, 111, 'q');
	ck_assert_int_eq(received(server), 'q');
	send_to(server, FAMILY_IPV4, THERE, 700, 'a');
	ck_assert_int_eq(received(client), 'a');
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_uint_eq(g.number, RPC_REPLY);
	ck_assert_int_eq(g.first_byte, 'a');
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* Many flows through one pinhole, each of them looked up once. */
START_TEST(mark_admits_datagrams)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct tuple flow = flow_of(family, L4_UDP, THERE, 0, HERE, 20048);
	struct op o = op_of(OP_OPEN, PH_SVC_SUNRPC, &flow);
	struct table *t;
	int server;

	firewall(BY_MARK);
	t = create_all(ADMIT_MARK);
	server = bound(w.here, SOCK_DGRAM, family, HERE, 20048);
	o.many = true;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	for (uint16_t port = 700; port < 705; port++) {
		int client = bound(w.there, SOCK_DGRAM, family, THERE, port);

		for (char byte = '1'; byte < '4'; byte++) {
			send_to(client, family, HERE, 20048, byte);
			ck_assert_int_eq(received(server), byte);
		}
		send_to(server, family, THERE, port, 'a');
		ck_assert_int_eq(received(client), 'a');
	}
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &flow), 5);
	ck_assert_uint_eq(mark_of(family, L4_UDP, 20048), 0x22000000);
	ck_assert_uint_eq(counter("dropped"), 0);
	table_destroy(t);
}
END_TEST

/*
 * A server calls back: its flow to this host's rpcbind is let in by a pinhole, and what it says
 * there is looked into as well.
 */
START_TEST(mark_admits_control_flows_as_such)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct queue *q = queue_all();
	struct tuple udp = flow_of(family, L4_UDP, THERE, 0, HERE, 111), tcp = udp;
	struct op o = op_of(OP_OPEN, PH_SVC_SUNRPC, &udp);
	int listener, client, server;
	struct table *t;
	struct got g;

	firewall(BY_MARK);
	t = create_all(ADMIT_MARK);
	o.many = o.control = true;
	ck_assert_int_eq(table_stage(t, &o), 0);
	tcp.l4proto = o.flow.l4proto = L4_TCP;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);

	client = bound(w.there, SOCK_DGRAM, family, THERE, 700);
	server = bound(w.here, SOCK_DGRAM, family, HERE, 111);
	send_to(client, family, HERE, 111, 'q');
	held_once(q, RPC_ORIGINAL, 'q');
	ck_assert_int_eq(received(server), 'q');
	send_to(server, family, THERE, 700, 'a');
	held_once(q, RPC_REPLY, 'a');
	ck_assert_int_eq(received(client), 'a');
	ck_assert_uint_eq(mark_of(family, L4_UDP, 111), 0x32000000);
	ck_assert(!ready(nflog_fd(log), POLLIN, 0));

	listener = listening(w.here, family, HERE, 111);
	client = calling(w.there, family, THERE, 701, HERE, 111);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	g = next_copy(log);
	ck_assert_uint_eq(g.n, 2);
	ck_assert_uint_eq(g.number, RPC_REPLY);
	ck_assert_int_eq(send(client, "q", 1, 0), 1);
	held_once(q, RPC_ORIGINAL, 'q');
	ck_assert_int_eq(received(server), 'q');
	ck_assert_uint_eq(mark_of(family, L4_TCP, 111), 0x32000000);
	ck_assert_uint_eq(counter("dropped"), 0);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &udp), 1);
	ck_assert_int_eq(hits(t, PH_SVC_SUNRPC, &tcp), 1);
	table_destroy(t);
	queue_close(q);
	nflog_close(log);
}
END_TEST

#define STRICT                                                                                     \
	"table inet fw {\n"                                                                        \
	"	counter dropped { }\n"                                                                   \
	"	chain input { type filter hook input priority 0; policy drop;\n"                         \
	"		iif lo accept; meta l4proto ipv6-icmp accept\n"                                         \
	"		ct state established,related accept; counter name dropped; }\n"                         \
	"	chain forward { type filter hook forward priority 0; policy drop;\n"                     \
	"		meta l4proto ipv6-icmp accept\n"                                                        \
	"		ct state established,related accept; counter name dropped; }\n"                         \
	"	chain output { type filter hook output priority 0; policy drop;\n"                       \
	"		oif lo accept; meta l4proto ipv6-icmp accept\n"                                         \
	"		ct state established,related accept; counter name dropped; }\n"                         \
	"}\n"

/* On the server, on the client, and between the two: the caller hears at once. */
START_TEST(calls_to_a_port_that_was_given_up_are_refused)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	const bool mark = _i / 2 % 2;
	struct world w = world_make();
	const int beyond = _i / 4 == 2 ? world_beyond(&w) : -1;
	const struct {
		int netns;
		unsigned int host, to;
	} caller[] = { { w.there, THERE, HERE }, { w.here, HERE, THERE },
		{ w.there, THERE, BEYOND } };
	const unsigned int from = caller[_i / 4].host, to = caller[_i / 4].to;
	const int netns = caller[_i / 4].netns;
	struct tuple flow = flow_of(family, L4_TCP, from, 0, to, 20048);
	struct queue *q = queue_all();
	struct table *t;
	int silent, again;

	firewall(STRICT);
	t = create_all(mark ? ADMIT_MARK : ADMIT_RELATED);
	(void)listening(to == HERE ? w.here : to == THERE ? w.there : beyond, family, to, 20048);
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 1);
	stage_moved(t, &flow);
	commit(t);
	ck_assert(is_refused(calling(netns, family, from, 700, to, 20048), PATIENCE_MS));
	ck_assert(is_refused(calling(netns, family, from, 701, to, 20048), PATIENCE_MS));
	ck_assert_uint_eq(counter("dropped"), 0);

	/* This port only. */
	silent = calling(netns, family, from, 702, to, 20049);
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert(!ready(silent, POLLOUT, 0));

	/* It is open again. */
	stage_op(t, OP_OPEN, PH_SVC_SUNRPC, &flow, 2);
	commit(t);
	again = calling(netns, family, from, 703, to, 20048);
	if (mark)
		WAIT_UNTIL(hits(t, PH_SVC_SUNRPC, &flow) > 0); /* and this firewall drops it */
	else
		ck_assert_uint_eq(next_held(q).number, FIRST);
	ck_assert(!ready(again, POLLOUT, 0));
	table_destroy(t);
	queue_close(q);
}
END_TEST

/* The port has another use now, within the window of a TLS session: its pinhole comes first. */
START_TEST(another_pinhole_to_that_port_comes_first)
{
	struct world w = world_make();
	struct tuple flow = to_here(FAMILY_IPV4, 40000);
	struct op o = op_of(OP_OPEN, PH_SVC_FTP, &flow);
	struct table *t;

	firewall(BY_MARK);
	t = create_all(ADMIT_MARK);
	(void)listening(w.here, FAMILY_IPV4, HERE, 40000);
	stage_moved(t, &flow);
	commit(t);
	ck_assert(is_refused(calling(w.there, FAMILY_IPV4, THERE, 700, HERE, 40000), PATIENCE_MS));
	o.many = true;
	o.flow.dport = 32768;
	o.dport_hi = 60999;
	ck_assert_int_eq(table_stage(t, &o), 0);
	commit(t);
	ck_assert(stands(calling(w.there, FAMILY_IPV4, THERE, 701, HERE, 40000), PATIENCE_MS));
	table_destroy(t);
}
END_TEST

/* --- one-way flows ------------------------------------------------------------------------------
 */

#define BFD_OURS  (PH_QUEUE_BASE_DEFAULT + 2 * PH_SVC_BFD)
#define BFD_PEERS (BFD_OURS + 1)
#define KNOCKS    (PH_QUEUE_BASE_DEFAULT + PH_GROUP_FIRST)
#define STATE_UP  3

/* 24 bytes, of which rules look at the state; from where the socket is bound. */
static void send_bfd(
    int fd, enum family family, unsigned int host, uint16_t port, int ttl, unsigned int state)
{
	const uint8_t packet[24] = { 0x20, (uint8_t)(state << 6), 3, 24, [7] = 1 };
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(&sa, family, host, port);

	if (family == FAMILY_IPV4)
		ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
	else
		ck_assert_int_eq(
		    setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl)), 0);
	ck_assert_int_eq(
	    sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&sa, len), sizeof(packet));
}

struct counts {
	unsigned int ours, peers, knocks, others;
	uint16_t sport; /* of the last one */
	uint8_t state;
};

static void count_copy(void *arg, uint16_t number, uint32_t iface, const uint8_t *l3, size_t len)
{
	struct counts *c = arg;
	struct packet p;

	ck_assert_uint_ne(iface, 0);

	ck_assert_int_eq(packet_decode(l3, len, &p), PACKET_OK);
	ck_assert(!p.cut);
	ck_assert_uint_eq(p.payload.left, 24);
	c->ours += number == BFD_OURS;
	c->peers += number == BFD_PEERS;
	c->knocks += number == KNOCKS;
	c->others += number != BFD_OURS && number != BFD_PEERS && number != KNOCKS;
	c->sport = p.tuple.sport;
	c->state = p.payload.at[1] >> 6;
}

/* All that has been copied: packets are on their way for no time, so what was sent is there. */
static struct counts copied(struct nflog *log)
{
	struct counts c = { .ours = 0 };

	while (ready(nflog_fd(log), POLLIN, 0)) {
		ck_assert_int_gt(nflog_receive(log), 0);
		nflog_show(log, count_copy, &c);
	}
	return c;
}

static void pause_ms(int64_t ms)
{
	const int64_t until = clock_ms() + ms;
	int64_t left;

	while ((left = until - clock_ms()) > 0)
		(void)poll(NULL, 0, (int)left);
}

static bool tracked(enum family family, uint16_t dport)
{
	char command[128];

	(void)snprintf(command, sizeof(command),
	    "conntrack -L -f %s -p udp --orig-port-dst %u 2>/dev/null",
	    family == FAMILY_IPV4 ? "ipv4" : "ipv6", dport);
	return shows(command, "dport=");
}

static struct tuple peers_flow(enum family family, uint16_t dport)
{
	return flow_of(family, L4_UDP, THERE, 0, HERE, dport);
}

#define SEES_MARKS                                                                                 \
	"table inet fw {\n"                                                                        \
	"	counter marked { }\n	counter others { }\n"                                               \
	"	chain input { type filter hook input priority 0; policy accept;\n"                       \
	"		meta l4proto != udp accept\n"                                                           \
	"		ct mark & 0x20000000 != 0 counter name marked accept\n"                                 \
	"		counter name others drop; }\n"                                                          \
	"}\n"

/* From further away than may be: nothing waits for it, and it is no part of what was let in. */
START_TEST(from_too_far_is_a_stranger)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	const bool mark = _i / 2 % 2, multihop = _i / 4;
	const uint16_t port = multihop ? 4784 : 3784;
	const int least = multihop ? 64 : 255;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table_setup s = all_services(mark ? ADMIT_MARK : ADMIT_RELATED);
	struct tuple flow = peers_flow(family, port);
	struct table *t;
	const unsigned int n = (unsigned int)(least - 2) / 7 + 2;
	struct counts c;
	int peer;

	firewall(SEES_MARKS);
	s.policy.service[PH_SVC_BFD].far_min_ttl = 64;
	t = create(&s);
	stage_op(t, OP_OPEN, PH_SVC_BFD, &flow, 1);
	commit(t);
	peer = bound(w.there, SOCK_DGRAM, family, THERE, 49142);
	for (int ttl = 1; ttl < least; ttl += 7)
		send_bfd(peer, family, HERE, port, ttl, 1);
	send_bfd(peer, family, HERE, port, least - 1, 1);
	WAIT_UNTIL(counter("others") == n); /* the firewall's own business */
	c = copied(log);
	ck_assert_uint_eq(c.ours + c.peers + c.knocks + c.others, 0);
	ck_assert_uint_eq(counter("marked"), 0);
	ck_assert(!tracked(family, port));
	ck_assert_int_eq(hits(t, PH_SVC_BFD, &flow), 0);

	/* It has used nothing up. */
	send_bfd(peer, family, HERE, port, least, 1);
	WAIT_UNTIL(mark ? counter("marked") == 1 : counter("others") == n + 1);
	c = copied(log);
	ck_assert_uint_eq(c.knocks, mark ? 0 : 1);
	ck_assert_uint_eq(c.peers, mark ? 1 : 0);
	if (mark)
		ck_assert_uint_eq(mark_of(family, L4_UDP, port), 0x23000000);
	else
		ck_assert(!tracked(family, port)); /* its packet was dropped */

	/* What seems to belong to the flow that is there now is dropped before the filter. */
	send_bfd(peer, family, HERE, port, least - 1, 1);
	send_bfd(peer, family, HERE, port, least, 1);
	WAIT_UNTIL(mark ? counter("marked") == 2 : counter("others") == n + 3);
	ck_assert_uint_eq(counter("others"), mark ? n : n + 3);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* Other ports are nobody's business; nor is multihop, where nothing is configured. */
START_TEST(hops_count_for_bfd_only)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	static const uint16_t ports[] = { 3783, 3785, 4784, 53 };
	struct world w = world_make();
	struct table *t;
	int peer;

	firewall(SEES_MARKS);
	t = create_all(ADMIT_RELATED);
	peer = bound(w.there, SOCK_DGRAM, family, THERE, 49142);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		send_bfd(peer, family, HERE, ports[i], 1, 1);
	WAIT_UNTIL(counter("others") == sizeof(ports) / sizeof(ports[0]));
	table_destroy(t);
}
END_TEST

/* An answer to somebody who happens to ask from that port is not BFD. */
START_TEST(answers_to_that_port_are_answers)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct table *t;
	int client, server;

	firewall(STRICT);
	run("nft insert rule inet fw output udp dport 53 accept");
	t = create_all(ADMIT_RELATED);
	client = bound(w.here, SOCK_DGRAM, family, HERE, 3784);
	server = bound(w.there, SOCK_DGRAM, family, THERE, 53);
	send_to(client, family, THERE, 53, 'q');
	ck_assert_int_eq(received(server), 'q');
	send_to(server, family, HERE, 3784, 'a');
	ck_assert_int_eq(received(client), 'a');
	table_destroy(t);
}
END_TEST

/* With `related` the first packet is dropped by the firewall, and shown: one in 400 ms. */
START_TEST(knocks_are_copied_now_and_then)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct tuple flow = peers_flow(family, 3784);
	unsigned int sent = 0, knocks = 0;
	struct table *t;
	struct counts c;
	int peer, other;
	int64_t since;

	firewall(SEES_MARKS);
	t = create_all(ADMIT_RELATED);
	peer = bound(w.there, SOCK_DGRAM, family, THERE, 49142);
	other = bound(w.there, SOCK_DGRAM, family, THERE, 49143);
	send_bfd(peer, family, HERE, 3784, 255, 1); /* nothing waits for it */
	WAIT_UNTIL(counter("others") == ++sent);
	ck_assert_uint_eq(copied(log).knocks, 0);
	stage_op(t, OP_OPEN, PH_SVC_BFD, &flow, 1);
	commit(t);

	/* At once, from whatever port, whatever it says. */
	since = clock_ms();
	send_bfd(other, family, HERE, 3784, 255, STATE_UP);
	WAIT_UNTIL(counter("others") == ++sent);
	c = copied(log);
	ck_assert_uint_eq(c.knocks, 1);
	ck_assert_uint_eq(c.sport, 49143);
	ck_assert_uint_eq(c.ours + c.peers + c.others, 0);

	/* Twenty ports for two seconds: five more, and one to begin with. */
	while (clock_ms() - since < 2000) {
		send_bfd(sent % 2 ? peer : other, family, HERE, 3784, 255, 1);
		sent++;
		pause_ms(5);
		c = copied(log);
		ck_assert_uint_le(c.knocks, 1);
		knocks += c.knocks;
	}
	ck_assert_uint_ge(knocks, 3);
	ck_assert_uint_le(knocks, 5);
	ck_assert_int_eq(hits(t, PH_SVC_BFD, &flow), 0);

	/* It is bound, and the element has gone. */
	flow.sport = 49142;
	stage_op(t, OP_ADMIT, PH_SVC_BFD, &flow, 1);
	commit(t);
	pause_ms(500);
	(void)copied(log);
	send_bfd(other, family, HERE, 3784, 255, 1);
	WAIT_UNTIL(counter("others") == ++sent);
	ck_assert_uint_eq(copied(log).knocks, 0);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* With `mark` the kernel lets one flow in, and it alone. */
START_TEST(mark_lets_one_bfd_flow_in)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct tuple flow = peers_flow(family, 3784);
	struct table *t;
	struct counts c;
	int peer, other;

	firewall(SEES_MARKS);
	t = create_all(ADMIT_MARK);
	if (!table_one_shot(t)) {
		(void)fprintf(stderr, "SKIP one-shot: this kernel has no element limits\n");
		return;
	}
	peer = bound(w.there, SOCK_DGRAM, family, THERE, 49142);
	other = bound(w.there, SOCK_DGRAM, family, THERE, 49143);
	stage_op(t, OP_OPEN, PH_SVC_BFD, &flow, 1);
	commit(t);
	send_bfd(peer, family, HERE, 3784, 255, 1);
	send_bfd(other, family, HERE, 3784, 255, 1);
	send_bfd(peer, family, HERE, 3784, 255, 1);
	WAIT_UNTIL(counter("marked") == 2 && counter("others") == 1);
	ck_assert_uint_eq(mark_of(family, L4_UDP, 3784), 0x23000000);
	c = copied(log);
	ck_assert_uint_eq(c.peers, 1); /* the other says the same too soon */
	ck_assert_uint_eq(c.knocks + c.ours + c.others, 0);

	/* A renewed element lets in once more. */
	stage_op(t, OP_RENEW, PH_SVC_BFD, &flow, 1);
	commit(t);
	send_bfd(other, family, HERE, 3784, 255, 1);
	WAIT_UNTIL(counter("marked") == 3);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

#define WITH_BFD FIREWALL("udp dport { 3784, 4784 }")

/* What is not Up is shown at once, and of the rest two in a second, at whatever rate it comes. */
START_TEST(samples_of_what_is_accepted)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	const bool out = _i / 2 % 2; /* sent from here, or to here */
	const uint16_t port = _i / 4 ? 4784 : 3784;
	struct world w = world_make();
	struct nflog *log = log_all();
	struct table *t = create_all(_i / 4 ? ADMIT_MARK : ADMIT_RELATED);
	unsigned int shown = 0, sent = 0;
	struct counts c;
	int from, to;
	int64_t since, now;

	firewall(WITH_BFD);
	from = bound(out ? w.here : w.there, SOCK_DGRAM, family, out ? HERE : THERE, 49152);
	to = bound(out ? w.there : w.here, SOCK_DGRAM, family, out ? THERE : HERE, port);
	for (since = now = clock_ms(); now - since < 2400; now = clock_ms()) {
		send_bfd(from, family, out ? THERE : HERE, port, 255, STATE_UP);
		sent++;
		pause_ms(3);
		c = copied(log);
		ck_assert_uint_eq(c.peers + c.knocks + c.others, 0);
		shown += c.ours;
	}
	ck_assert_uint_gt(sent, 100);
	ck_assert_uint_ge(shown, 4);
	ck_assert_uint_le(shown, 5); /* at 0, 0.5, 1.0, ... */
	ck_assert_uint_eq(mark_of(family, L4_UDP, port), 0x13000000);
	ck_assert(ready(to, POLLIN, PATIENCE_MS));

	/* In between, something else each time; and what has just been said is no news. */
	for (unsigned int i = 0; i < 2 * STATE_UP; i++) {
		send_bfd(from, family, out ? THERE : HERE, port, 255, i % STATE_UP);
		if (i < STATE_UP)
			ck_assert(ready(nflog_fd(log), POLLIN, PATIENCE_MS));
		c = copied(log);
		ck_assert_uint_eq(c.ours, i < STATE_UP);
		if (i < STATE_UP)
			ck_assert_uint_eq(c.state, i);
	}
	table_destroy(t);
	nflog_close(log);
}
END_TEST

/* Between two hosts: the one that the firewall lets through is ours. */
START_TEST(samples_of_what_is_forwarded)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct world w = world_make();
	struct nflog *log = log_all();
	const int beyond = world_beyond(&w);
	struct table *t = create_all(ADMIT_RELATED);
	struct counts c;
	int from, to;

	firewall("table inet fw { chain forward {\n"
		 "	type filter hook forward priority 0; policy drop;\n"
		 "	iifname \"near\" udp dport 4784 accept\n"
		 "	meta l4proto ipv6-icmp accept\n}\n}\n");
	from = bound(w.there, SOCK_DGRAM, family, THERE, 49152);
	to = bound(beyond, SOCK_DGRAM, family, BEYOND, 4784);
	send_bfd(from, family, BEYOND, 4784, 64, 1);
	ck_assert(ready(to, POLLIN, PATIENCE_MS));
	c = copied(log);
	ck_assert_uint_eq(c.ours, 1); /* not at each hook */
	ck_assert_uint_eq(c.peers + c.knocks + c.others, 0);
	table_destroy(t);
	nflog_close(log);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("table");
	TCase *whole = tcase_create("whole"), *elements = tcase_create("elements");
	TCase *packets = tcase_create("packets");

	tcase_set_timeout(whole, 30);
	tcase_add_test(whole, nft_prints_it_well_related);
	tcase_add_test(whole, nft_prints_it_well_mark);
	tcase_add_loop_test(whole, nft_prints_bfd_well, 0, 2);
	tcase_add_test(whole, bfd_comes_and_goes);
	tcase_add_test(whole, passive_admits_by_mark);
	tcase_add_test(whole, nobody_else_may_touch_it);
	tcase_add_test(whole, goes_with_its_process);
	tcase_add_test(whole, an_orphan_is_replaced);
	tcase_add_test(whole, without_privileges_is_eperm);
	tcase_add_test(whole, reconfiguring_keeps_elements);
	suite_add_tcase(s, whole);

	tcase_set_timeout(elements, 60);
	tcase_add_loop_test(elements, elements_come_and_go, 0, 4);
	tcase_add_test(elements, what_is_gone_may_be_removed);
	tcase_add_loop_test(elements, renewal_gives_a_fresh_timeout, 0, 2);
	tcase_add_test(elements, elements_expire_by_themselves);
	tcase_add_loop_test(elements, windows, 0, 2);
	tcase_add_test(elements, what_no_set_can_express_is_refused_at_once);
	tcase_add_test(elements, one_refusal_harms_nobody_else);
	tcase_add_test(elements, without_privileges_nothing_changes);
	tcase_add_loop_test(elements, a_port_is_open_or_given_up, 0, 2);
	tcase_add_test(elements, a_thousand_ports_move);
	tcase_add_test(elements, a_hundred_thousand_at_once);
	suite_add_tcase(s, elements);

	tcase_set_timeout(packets, 60);
	tcase_add_loop_test(packets, mark_admits_exactly_one_flow, 0, 2);
	tcase_add_test(packets, mark_admits_many_through_a_window);
	tcase_add_loop_test(packets, control_packets_with_payload_are_held, 0, 2);
	tcase_add_loop_test(packets, of_tftp_requests_are_held, 0, 2);
	tcase_add_loop_test(packets, of_rsh_the_beginning_is_held, 0, 2);
	tcase_add_loop_test(packets, rsh_connects_from_a_reserved_port, 0, 4);
	tcase_add_test(packets, passive_copies_everything_once);
	tcase_add_test(packets, translated_control_flows_are_counted_and_left_alone);
	tcase_add_test(packets, loopback_is_left_alone);
	tcase_add_test(packets, without_a_listener_everything_passes);
	tcase_add_loop_test(packets, nfs_is_known_and_left_alone, 0, 4);
	tcase_add_test(packets, translated_or_local_nfs_is_not_known);
	tcase_add_loop_test(packets, portmap_datagrams_are_held, 0, 4);
	tcase_add_test(packets, passive_copies_portmap_datagrams);
	tcase_add_loop_test(packets, mark_admits_datagrams, 0, 2);
	tcase_add_loop_test(packets, mark_admits_control_flows_as_such, 0, 2);
	tcase_add_loop_test(packets, calls_to_a_port_that_was_given_up_are_refused, 0, 12);
	tcase_add_test(packets, another_pinhole_to_that_port_comes_first);
	tcase_add_loop_test(packets, from_too_far_is_a_stranger, 0, 8);
	tcase_add_loop_test(packets, answers_to_that_port_are_answers, 0, 2);
	tcase_add_loop_test(packets, hops_count_for_bfd_only, 0, 2);
	tcase_add_loop_test(packets, knocks_are_copied_now_and_then, 0, 2);
	tcase_add_loop_test(packets, mark_lets_one_bfd_flow_in, 0, 2);
	tcase_add_loop_test(packets, samples_of_what_is_accepted, 0, 8);
	tcase_add_loop_test(packets, samples_of_what_is_forwarded, 0, 2);
	suite_add_tcase(s, packets);
	return s;
}

int main(void)
{
	SRunner *r;
	int failed;

	if (!may_run())
		return EXIT_SUCCESS;
	r = srunner_create(suite());
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
