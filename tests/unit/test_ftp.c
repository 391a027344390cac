// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FTP tracker through the engine: every line of FTP dialogue that a real system or an attacker
 * has been seen to send. What counts is what is opened, for whom, and why not.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/world.h"

static struct world w;

static void setup(void)
{
	world_begin(&w, FAMILY_IPV4);
	world_connect(&w);
}

static void setup6(void)
{
	world_begin(&w, FAMILY_IPV6);
	world_connect(&w);
}

static void teardown(void)
{
	world_end(&w);
}

static void client(const char *text)
{
	world_says(&w, DIR_ORIGINAL, text);
}

static void server(const char *text)
{
	world_says(&w, DIR_REPLY, text);
}

#define open_count() (engine_stats(w.engine)->open_pinholes)

static void opened(enum dir dir, uint16_t port)
{
	struct tuple want = world_data(&w, dir, 0, port);
	const struct op *op = world_last(&w, OP_OPEN);
	char text[TUPLE_TEXT];

	ck_assert_msg(op != NULL, "nothing was opened");
	ck_assert_msg(tuple_equal(&op->flow, &want), "opened %s", tuple_format(&op->flow, text));
	ck_assert_uint_eq(op->dport_hi, port);
	ck_assert(!op->many);
	ck_assert_uint_eq(open_count(), 1);
}

static void refused(enum reason why)
{
	const struct op *op = world_last(&w, OP_REFUSE);

	ck_assert_uint_eq(open_count(), 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_msg(op != NULL, "nothing was refused; wanted %s", reason_word(why));
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_uint_eq(engine_stats(w.engine)->reasons[why], 1);
}

static void nothing(void)
{
	ck_assert_uint_eq(open_count(), 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}

/* --- the four ways ------------------------------------------------------------------------------
 */

START_TEST(pasv)
{
	client("PASV\r\n");
	nothing();
	server("227 Entering Passive Mode (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
	ck_assert_str_eq(
	    world_last(&w, OP_OPEN)->cause, "227 Entering Passive Mode (198,51,100,2,156,64)");
}
END_TEST

START_TEST(pasv_forms)
{
	static const char *const forms[] = {
		"227 Entering Passive Mode (198,51,100,2,156,64).\r\n",
		"227 Entering Passive Mode 198,51,100,2,156,64\r\n",
		"227 =198,51,100,2,156,64\r\n",
		"227-wait\r\n for it\r\n227 now (198,51,100,2,156,64)\r\n",
		"227-wait\r\n227-still\r\n227 now (198,51,100,2,156,64)\r\n",
	};

	server("220 hello\r\n");
	client("pAsV\r\n");
	server(forms[_i]);
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(epsv)
{
	static const char *const forms[] = {
		"229 Entering Extended Passive Mode (|||40000|)\r\n",
		"229 (!!!40000!)\r\n",
		"229 Entering (|||40000|). Have fun\r\n",
	};

	client(_i ? "EPSV 1\r\n" : "epsv\r\n");
	server(forms[_i]);
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(epsv6)
{
	client("EPSV 2\r\n");
	server("229 Extended Passive Mode OK (|||40000|)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(port)
{
	static const char *const forms[] = {
		"PORT 192,0,2,1,156,64\r\n",
		"port  192,0,2,1,156,64  \r\n",
		"\xff\xf4\xff\xf2PORT 192,0,2,1,156,64\r\n",
	};

	client(forms[_i]);
	opened(DIR_REPLY, 40000);
	server("200 PORT command successful\r\n");
	ck_assert_uint_eq(open_count(), 1);
}
END_TEST

START_TEST(eprt)
{
	client("EPRT |1|192.0.2.1|40000|\r\n");
	opened(DIR_REPLY, 40000);
}
END_TEST

START_TEST(eprt6)
{
	client("EPRT |2|2001:db8:0::1|40000|\r\n");
	opened(DIR_REPLY, 40000);
}
END_TEST

START_TEST(port_turned_down)
{
	client("PORT 192,0,2,1,156,64\r\n");
	opened(DIR_REPLY, 40000);
	server(_i ? "500 Illegal PORT command\r\n" : "425 no\r\n");
	ck_assert_uint_eq(open_count(), 0);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_WITHDRAWN);
}
END_TEST

START_TEST(other_command_turned_down)
{
	client("PORT 192,0,2,1,156,64\r\n");
	server("200 ok\r\n");
	client("STOR x\r\n");
	server("150 go\r\n");
	ck_assert_uint_eq(open_count(), 1);
}
END_TEST

/* --- segments -----------------------------------------------------------------------------------
 */

START_TEST(chopped)
{
	static const char commands[] = "NOOP\r\nPASV\r\n";
	static const char reply[] = "200 ok\r\n227 Entering Passive Mode (198,51,100,2,156,64)\r\n";

	for (size_t chop = 1; chop <= sizeof(reply); chop++) {
		world_restart(&w);
		world_connect(&w);
		world_says_chopped(&w, DIR_ORIGINAL, commands, strlen(commands), chop);
		world_says_chopped(&w, DIR_REPLY, reply, strlen(reply), chop);
		opened(DIR_ORIGINAL, 40000);
	}
}
END_TEST

/* Two segments, split at every byte; then cut off at every byte: never anything else opens. */
static void at_every_byte(enum dir dir, const char *before, const char *text, enum dir flow)
{
	size_t len = strlen(text);

	for (size_t at = 0; at <= len; at++) {
		world_restart(&w);
		world_connect(&w);
		if (*before)
			client(before);
		world_says_chopped(&w, dir, text, at, len + 1);
		if (at < len) {
			ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
			world_says_chopped(&w, dir, text + at, len - at, len + 1);
		}
		opened(flow, 40000);
	}
}

START_TEST(every_byte)
{
	at_every_byte(DIR_REPLY, "PASV\r\n", "227 Entering Passive Mode (198,51,100,2,156,64)\r\n",
	    DIR_ORIGINAL);
	at_every_byte(DIR_REPLY, "EPSV\r\n", "229 Entering (|||40000|)\r\n", DIR_ORIGINAL);
	at_every_byte(DIR_ORIGINAL, "", "PORT 192,0,2,1,156,64\r\n", DIR_REPLY);
	at_every_byte(DIR_ORIGINAL, "", "EPRT |1|192.0.2.1|40000|\r\n", DIR_REPLY);
}
END_TEST

/* A line that ends early is a whole other line: it must be refused, not completed. */
START_TEST(every_truncation)
{
	static const char reply[] = "227 Entering Passive Mode (198,51,100,2,156,64)";
	static const char command[] = "EPRT |1|192.0.2.1|40000|";
	char line[80];

	for (int at = 0; at < (int)strlen(command); at++) {
		world_restart(&w);
		world_connect(&w);
		(void)snprintf(line, sizeof(line), "%.*s\r\n", at, command);
		client(line);
		ck_assert_uint_eq(open_count(), 0);
	}
	/* Up to the last digit but one the port is shorter, so another one, or none. */
	for (int at = 0; at < (int)strlen(reply) - 2; at++) {
		world_restart(&w);
		world_connect(&w);
		client("PASV\r\n");
		(void)snprintf(line, sizeof(line), "%.*s\r\n", at, reply);
		server(line);
		ck_assert(open_count() == 0 || world_last(&w, OP_OPEN)->flow.dport != 40000);
	}
}
END_TEST

START_TEST(overlap_first_wins)
{
	static const char real[] = "PORT 192,0,2,1,156,64\r\n";
	static const char fake[] = "PORT 192,0,2,1,17,92\r\n\r\n";

	/* The tail comes early and once more with other contents: the first copy counts. */
	world_segment(&w, DIR_ORIGINAL, 5, real + 5, strlen(real) - 5, TCP_ACK, w.seq[DIR_REPLY]);
	world_segment(&w, DIR_ORIGINAL, 5, fake + 5, strlen(fake) - 5, TCP_ACK, w.seq[DIR_REPLY]);
	ck_assert_uint_eq(open_count(), 0);
	world_segment(&w, DIR_ORIGINAL, 0, real, 5, TCP_ACK, w.seq[DIR_REPLY]);
	opened(DIR_REPLY, 40000);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
}
END_TEST

START_TEST(retransmission_opens_once)
{
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	world_segment(&w, DIR_REPLY, -29, "227 x (198,51,100,2,156,64)\r\n", 29, TCP_ACK,
	    w.seq[DIR_ORIGINAL]);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

START_TEST(gap_ends_trust)
{
	client("PASV\r\n");
	/* The server's bytes before were acknowledged by the client, but never seen. */
	w.seq[DIR_REPLY] += 50;
	world_segment(&w, DIR_ORIGINAL, 0, "NOOP\r\n", 6, TCP_ACK, w.seq[DIR_REPLY]);
	w.seq[DIR_ORIGINAL] += 6;
	server("227 x (198,51,100,2,156,64)\r\n"); /* perhaps the tail of another line */
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(midstream_is_no_beginning)
{
	world_restart(&w);
	w.seq[DIR_ORIGINAL] = 7;
	w.seq[DIR_REPLY] = 7;
	for (int i = 0; i < 3; i++) {
		client("PASV\r\n");
		server("227 x (198,51,100,2,156,64)\r\n");
	}
	client("PORT 192,0,2,1,156,64\r\n");
	nothing();
	ck_assert_ptr_null(engine_first_session(w.engine));
}
END_TEST

/* The server's first bytes were missed although the session is known from its SYN. */
START_TEST(unseen_beginning_of_one_direction)
{
	w.seq[DIR_REPLY] += 100;
	world_segment(&w, DIR_ORIGINAL, 0, "PASV\r\n", 6, TCP_ACK, w.seq[DIR_REPLY]);
	w.seq[DIR_ORIGINAL] += 6;
	server("227 x (198,51,100,2,156,64)\r\n");
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

/* --- pipelining ---------------------------------------------------------------------------------
 */

START_TEST(coalesced)
{
	client("NOOP\r\nTYPE I\r\nPASV\r\n");
	server("200 ok\r\n200 binary\r\n227 x (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(unanswered_commands_do_not_block)
{
	client("ABOR\r\n");
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(ten_thousand_unanswered)
{
	for (int i = 0; i < 10000; i++)
		client("PASV\r\n");
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(engine_stats(w.engine)->reasons[REASON_PIPELINE], 10000 - 16);
	/* The first sixteen may still be answered, each in place of the one before. */
	for (int i = 0; i < 10000; i++)
		server(
		    i % 2 ? "227 x (198,51,100,2,156,64)\r\n" : "227 x (198,51,100,2,156,65)\r\n");
	ck_assert_uint_eq(engine_stats(w.engine)->opened, 16);
	ck_assert_uint_eq(open_count(), 1);
}
END_TEST

START_TEST(one_at_a_time)
{
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,65)\r\n");
	opened(DIR_ORIGINAL, 40001);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_SUPERSEDED);
	client("PORT 192,0,2,1,156,64\r\n");
	opened(DIR_REPLY, 40000);
}
END_TEST

START_TEST(many_in_one_packet)
{
	static char lines[200 * 40];
	size_t at = 0;

	for (int i = 0; i < 200; i++)
		at += (size_t)snprintf(
		    lines + at, sizeof(lines) - at, "PORT 192,0,2,1,156,%d\r\n", i);
	world_says_chopped(&w, DIR_ORIGINAL, lines, at, at);
	ck_assert_uint_eq(open_count(), 1);
	ck_assert_uint_eq(engine_stats(w.engine)->opened, 16);
	ck_assert_uint_eq(engine_stats(w.engine)->reasons[REASON_PIPELINE], 184);
}
END_TEST

START_TEST(burst_is_bounded)
{
	static char lines[200 * 40];
	size_t at = 0;

	/* Each is answered in the same packet's worth of replies, so the queue does not fill. */
	for (int i = 0; i < 12; i++)
		at += (size_t)snprintf(
		    lines + at, sizeof(lines) - at, "PASV\r\nPORT 192,0,2,1,22,%d\r\n", i);
	world_says_chopped(&w, DIR_ORIGINAL, lines, at, at);
	ck_assert_uint_le(open_count(), 1);
	ck_assert_uint_le(w.decision.n, DECISION_OPS);
}
END_TEST

/* --- refusals -----------------------------------------------------------------------------------
 */

static const struct {
	const char *command, *reply;
	enum reason why;
} refusals[] = {
	{ "NOOP\r\n", "227 x (198,51,100,2,156,64)\r\n", REASON_UNSOLICITED },
	{ "", "227 x (198,51,100,2,156,64)\r\n", REASON_UNSOLICITED },
	{ "EPSV\r\n", "227 x (198,51,100,2,156,64)\r\n", REASON_UNSOLICITED },
	{ "PASV\r\n", "229 x (|||40000|)\r\n", REASON_UNSOLICITED },
	{ "PASV\r\n", "227 x (198,51,100,2,0,22)\r\n", REASON_PORT_RESERVED },
	{ "PASV\r\n", "227 x (198,51,100,2,3,255)\r\n", REASON_PORT_RESERVED },
	{ "PASV\r\n", "227 x (198,51,100,2,0,0)\r\n", REASON_PORT_ZERO },
	{ "PASV\r\n", "227 x (198,51,100,2,256,22)\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 x (198,51,100,258,156,64)\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 x (198,51,100,2,156)\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 x (198,51,100,2,156,-64)\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 x (198,51,100,2,99999999999999999999,64)\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 no digits at all\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227\r\n", REASON_MALFORMED },
	{ "PASV\r\n", "227 x (203,0,113,9,156,64)\r\n", REASON_ADDRESS },
	{ "PASV\r\n", "227 x (192,0,2,1,156,64)\r\n", REASON_ADDRESS },
	{ "EPSV\r\n", "229 x (|||65558|)\r\n", REASON_PORT_RANGE },
	{ "EPSV\r\n", "229 x (|||4294967296|)\r\n", REASON_MALFORMED },
	{ "EPSV\r\n", "229 x (|||0|)\r\n", REASON_PORT_ZERO },
	{ "EPSV\r\n", "229 x (|||80|)\r\n", REASON_PORT_RESERVED },
	{ "EPSV\r\n", "229 x (||40000|)\r\n", REASON_MALFORMED },
	{ "EPSV\r\n", "229 x (|1|203.0.113.9|40000|)\r\n", REASON_MALFORMED },
	{ "EPSV\r\n", "229 x (|||40000!)\r\n", REASON_MALFORMED },
	{ "EPSV\r\n", "229 x (|||40000|\r\n", REASON_MALFORMED },
	{ "EPSV\r\n", "229 x |||40000|\r\n", REASON_MALFORMED },
	{ "PORT 192,0,2,1,0,25\r\n", "", REASON_PORT_RESERVED },
	{ "PORT 203,0,113,9,156,64\r\n", "", REASON_ADDRESS },
	{ "PORT 198,51,100,2,156,64\r\n", "", REASON_ADDRESS },
	{ "PORT 192,0,2,1,156,64,1\r\n", "", REASON_MALFORMED },
	{ "PORT 192,0,2,1,156\r\n", "", REASON_MALFORMED },
	{ "PORT\r\n", "", REASON_MALFORMED },
	{ "EPRT |1|203.0.113.9|40000|\r\n", "", REASON_ADDRESS },
	{ "EPRT |2|2001:db8::1|40000|\r\n", "", REASON_FAMILY },
	{ "EPRT |1|2001:db8::1|40000|\r\n", "", REASON_MALFORMED },
	{ "EPRT |3|192.0.2.1|40000|\r\n", "", REASON_MALFORMED },
	{ "EPRT |1|192.0.2.1|65558|\r\n", "", REASON_PORT_RANGE },
	{ "EPRT |1|192.0.2.1|40000\r\n", "", REASON_MALFORMED },
	{ "EPRT |1|192.0.2.1|40000|x\r\n", "", REASON_MALFORMED },
	{ "EPRT \x01"
	  "1\x01"
	  "192.0.2.1\x01"
	  "40000\x01\r\n",
	    "", REASON_MALFORMED },
	{ "EPSV ALL\r\nPORT 192,0,2,1,156,64\r\n", "", REASON_EPSV_ALL },
	{ "EPSV ALL\r\nPASV\r\n", "200 ok\r\n227 x (198,51,100,2,156,64)\r\n", REASON_EPSV_ALL },
	{ "PASV\r\n", "500 no such: \n227 x (198,51,100,2,156,64)\r\n", REASON_BARE_LF },
	{ "AUTH TLS\r\n", "234 go on\r\n", REASON_ENCRYPTED },
};

START_TEST(refusal)
{
	if (*refusals[_i].command)
		client(refusals[_i].command);
	if (*refusals[_i].reply)
		server(refusals[_i].reply);
	refused(refusals[_i].why);
}
END_TEST

START_TEST(refusal6)
{
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	refused(REASON_FAMILY);
}
END_TEST

/* Things that look like announcements and are none; there is not even anything to refuse. */
static const struct {
	const char *command, *reply;
} innocent[] = {
	{ "PASV\r\n", "500 bad: 227 x (198,51,100,2,156,64)\r\n" },
	{ "PASV\r\n", "550 \"227 x (198,51,100,2,156,64)\": no such file\r\n" },
	{ "PASV\r\n", "213-listing\r\n227 x (198,51,100,2,156,64)\r\n" },
	{ "PASV\r\n", "213-listing\r\n 227 x (198,51,100,2,156,64)\r\n213 end\r\n" },
	{ "PASV\r\n", " 227 x (198,51,100,2,156,64)\r\n" },
	{ "PASV\r\n", "2277 x (198,51,100,2,156,64)\r\n" },
	{ "PASV\r\n", "227-x (198,51,100,2,156,64)\r\n" },
	{ "PASV\r\n", "227x (198,51,100,2,156,64)\r\n" },
	{ "PASVX\r\n", "500 what?\r\n" },
	{ "XPORT 192,0,2,1,156,64\r\n", "" },
	{ "STOR PORT 192,0,2,1,156,64\r\n", "" },
	{ "PORTX 192,0,2,1,156,64\r\n", "" },
	{ "AUTH TLS\r\n", "534 no\r\n" },
	{ "NOOP\r\n", "234 go on\r\n" },
	{ "PASV\r\n", "421 bye\r\n" },
};

START_TEST(no_announcement)
{
	client(innocent[_i].command);
	if (*innocent[_i].reply)
		server(innocent[_i].reply);
	nothing();
}
END_TEST

START_TEST(after_tls_all_is_ciphertext)
{
	client("AUTH TLS\r\n");
	server("234 go on\r\n");
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	refused(REASON_ENCRYPTED);
	client("PORT 192,0,2,1,156,64\r\n");
	refused(REASON_ENCRYPTED);
}
END_TEST

START_TEST(tls_injection)
{
	/* What was pipelined in the clear behind AUTH must not count under TLS (CVE-2011-1575). */
	client("AUTH TLS\r\nPASV\r\n");
	server("234 go on\r\n227 x (198,51,100,2,156,64)\r\n");
	refused(REASON_ENCRYPTED);
}
END_TEST

START_TEST(tls_window)
{
	struct tuple low = world_data(&w, DIR_ORIGINAL, 5000, 32767);
	struct tuple first = world_data(&w, DIR_ORIGINAL, 5000, 32768);
	struct tuple last = world_data(&w, DIR_ORIGINAL, 5001, 60999);
	const struct op *op;

	w.policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	engine_set_policy(w.engine, &w.policy);
	client("AUTH TLS\r\n");
	server("234 go on\r\n");
	op = world_last(&w, OP_OPEN);
	ck_assert_ptr_nonnull(op);
	ck_assert(op->many);
	ck_assert_uint_eq(op->flow.dport, 32768);
	ck_assert_uint_eq(op->dport_hi, 60999);
	world_packet(&w, EV_FIRST, &low, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 0);
	world_packet(&w, EV_FIRST, &first, TCP_SYN);
	world_packet(&w, EV_FIRST, &last, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 2);
	/* It is renewed for as long as the session lives ... */
	world_wait(&w, 31 * NSEC_PER_SEC);
	ck_assert_uint_eq(world_count(&w, OP_RENEW), 1);
	world_wait(&w, 3600 * NSEC_PER_SEC);
	ck_assert_uint_eq(world_count(&w, OP_RENEW), 2);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 0);
	/* ... and ends with it, flows and all. */
	world_hangup(&w);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	ck_assert_uint_eq(world_count(&w, OP_END), 2);
	ck_assert(world_last(&w, OP_END)->kill);
	ck_assert_uint_eq(engine_stats(w.engine)->live_pinholes, 0);
}
END_TEST

START_TEST(line_of_a_megabyte)
{
	static char a[60000];

	memset(a, 'a', sizeof(a));
	client("STOR ");
	for (int i = 0; i < 18; i++)
		world_says_chopped(&w, DIR_ORIGINAL, a, sizeof(a), sizeof(a));
	client("PORT 192,0,2,1,156,64\r\n"); /* its tail, not a command */
	ck_assert_uint_eq(open_count(), 0);
	ck_assert_uint_eq(engine_stats(w.engine)->reasons[REASON_LINE_TOO_LONG], 1);
	server("550 no\r\n");
	client("PASV\r\n");
	server("227 x (198,51,100,2,156,64)\r\n");
	opened(DIR_ORIGINAL, 40000);
}
END_TEST

START_TEST(line_lengths_around_the_kept_part)
{
	char line[400];

	for (size_t n = 240; n < 270; n++) {
		world_restart(&w);
		world_connect(&w);
		memset(line, 'x', sizeof(line));
		memcpy(line, "227 ", 4);
		memcpy(line + n, " (198,51,100,2,156,64)\r\n", 25);
		client("PASV\r\n");
		server(line);
		ck_assert_uint_le(open_count(), 1);
		if (open_count())
			opened(DIR_ORIGINAL, 40000);
		client("PASV\r\n");
		server("227 x (198,51,100,2,156,65)\r\n");
		opened(DIR_ORIGINAL, 40001);
	}
}
END_TEST

START_TEST(bytes_of_peers_are_escaped)
{
	client("PORT \x1b[2J\x80\r\n");
	ck_assert_str_eq(world_last(&w, OP_REFUSE)->cause, "PORT \\x1b[2J\\x80");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ftp");
	TCase *v4 = tcase_create("ipv4"), *v6 = tcase_create("ipv6");

	tcase_add_checked_fixture(v4, setup, teardown);
	tcase_add_test(v4, pasv);
	tcase_add_loop_test(v4, pasv_forms, 0, 5);
	tcase_add_loop_test(v4, epsv, 0, 3);
	tcase_add_loop_test(v4, port, 0, 3);
	tcase_add_test(v4, eprt);
	tcase_add_loop_test(v4, port_turned_down, 0, 2);
	tcase_add_test(v4, other_command_turned_down);
	tcase_add_test(v4, chopped);
	tcase_add_test(v4, every_byte);
	tcase_add_test(v4, every_truncation);
	tcase_add_test(v4, overlap_first_wins);
	tcase_add_test(v4, retransmission_opens_once);
	tcase_add_test(v4, gap_ends_trust);
	tcase_add_test(v4, midstream_is_no_beginning);
	tcase_add_test(v4, unseen_beginning_of_one_direction);
	tcase_add_test(v4, coalesced);
	tcase_add_test(v4, unanswered_commands_do_not_block);
	tcase_add_test(v4, ten_thousand_unanswered);
	tcase_add_test(v4, one_at_a_time);
	tcase_add_test(v4, many_in_one_packet);
	tcase_add_test(v4, burst_is_bounded);
	tcase_add_loop_test(v4, refusal, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_loop_test(v4, no_announcement, 0, sizeof(innocent) / sizeof(innocent[0]));
	tcase_add_test(v4, after_tls_all_is_ciphertext);
	tcase_add_test(v4, tls_injection);
	tcase_add_test(v4, tls_window);
	tcase_add_test(v4, line_of_a_megabyte);
	tcase_add_test(v4, line_lengths_around_the_kept_part);
	tcase_add_test(v4, bytes_of_peers_are_escaped);
	suite_add_tcase(s, v4);
	tcase_add_checked_fixture(v6, setup6, teardown);
	tcase_add_test(v6, epsv6);
	tcase_add_test(v6, eprt6);
	tcase_add_test(v6, refusal6);
	suite_add_tcase(s, v6);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
