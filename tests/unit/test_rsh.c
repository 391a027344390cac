// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tracker of rsh and rexec through the engine: what clients, syslog senders and strangers say
 * first on these ports. What counts is what is opened, for whom, and what is left alone.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "lib/world.h"

static struct world w;

static void setup_service(enum ph_service svc, enum family family)
{
	world_begin(&w, family);
	w.policy.service[PH_SVC_RSH].enabled = true;
	w.policy.service[PH_SVC_REXEC].enabled = true;
	w.service = svc;
	w.sport = svc == PH_SVC_RSH ? 1023 : 40000;
	w.port = svc == PH_SVC_RSH ? 514 : 512;
	world_restart(&w);
	world_connect(&w);
}

static void setup(void)
{
	setup_service(PH_SVC_RSH, FAMILY_IPV4);
}

static void setup6(void)
{
	setup_service(PH_SVC_RSH, FAMILY_IPV6);
}

static void setup_rexec(void)
{
	setup_service(PH_SVC_REXEC, FAMILY_IPV4);
}

static void teardown(void)
{
	world_end(&w);
}

static void again(void)
{
	world_restart(&w);
	world_connect(&w);
}

#define stats()           engine_stats(w.engine)
#define says(bytes)       world_says_chopped(&w, DIR_ORIGINAL, bytes, sizeof(bytes) - 1, 1400)
#define answers(bytes)    world_says_chopped(&w, DIR_REPLY, bytes, sizeof(bytes) - 1, 1400)

#define COUNT(a)          (sizeof(a) / sizeof((a)[0]))
#define add_each(t, f, a) tcase_add_loop_test(t, f, 0, (int)COUNT(a))

struct bytes {
	const char *at;
	size_t len;
};
#define BYTES(s)                                                                                   \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}

static void opened(uint16_t port)
{
	struct tuple want = world_data(&w, DIR_REPLY, 0, port);
	const struct op *op = world_last(&w, OP_OPEN);
	char text[TUPLE_TEXT];

	ck_assert_msg(op != NULL, "nothing was opened");
	ck_assert_msg(tuple_equal(&op->flow, &want), "opened %s", tuple_format(&op->flow, text));
	ck_assert_uint_eq(op->dport_hi, port);
	ck_assert(!op->many);
	ck_assert_int_eq(op->service, w.service);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}

static void refused(enum reason why)
{
	const struct op *op = world_last(&w, OP_REFUSE);

	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_msg(op != NULL, "nothing was refused; wanted %s", reason_word(why));
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 1);
	ck_assert_uint_eq(stats()->reasons[why], 1);
}

static void nothing(void)
{
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	for (int i = REASON_MALFORMED; i < REASON_MAX; i++)
		ck_assert_uint_eq(stats()->reasons[i], 0);
}

/* --- the announcement ---------------------------------------------------------------------------
 */

START_TEST(announcement)
{
	says("1022\0root\0root\0uname -a\0");
	opened(1022);
	ck_assert_str_eq(world_last(&w, OP_OPEN)->cause, "stderr to port 1022");
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->timeout, 60 * NSEC_PER_SEC);
	/* Nothing that follows is one, from either side. */
	world_forget(&w);
	says("1021\0");
	answers("\0001020\0");
	says("9999999999999999");
	nothing();
}
END_TEST

START_TEST(split_anywhere)
{
	static const char whole[] = "1022\0root\0root\0ls\0";

	for (size_t cut = 1; cut < sizeof(whole) - 1; cut++) {
		again();
		world_says_chopped(&w, DIR_ORIGINAL, whole, cut, cut);
		ck_assert_uint_eq(world_count(&w, OP_OPEN), cut > 4);
		world_says_chopped(
		    &w, DIR_ORIGINAL, whole + cut, sizeof(whole) - 1 - cut, sizeof(whole));
		opened(1022);
	}
	again();
	world_says_chopped(&w, DIR_ORIGINAL, whole, sizeof(whole) - 1, 1);
	opened(1022);
}
END_TEST

START_TEST(truncated)
{
	static const char whole[] = "1022\0";

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		again();
		world_says_chopped(&w, DIR_ORIGINAL, whole, len, sizeof(whole));
		world_hangup(&w);
		nothing();
		ck_assert_uint_eq(stats()->live_sessions, 0);
	}
}
END_TEST

START_TEST(out_of_order)
{
	world_segment(&w, DIR_ORIGINAL, 2, "22\0ro", 5, TCP_ACK, w.seq[DIR_REPLY]);
	nothing();
	world_segment(&w, DIR_ORIGINAL, 0, "10", 2, TCP_ACK, w.seq[DIR_REPLY]);
	opened(1022);
}
END_TEST

static const struct {
	struct bytes text;
	uint16_t port;   /* 0: none */
	enum reason why; /* NONE: not refused */
} firsts[] = {
	/* No second connection. */
	{ BYTES("\0root\0root\0ls\0"), 0, REASON_NONE },
	{ BYTES("0\0root\0root\0ls\0"), 0, REASON_NONE },
	{ BYTES("00000\0"), 0, REASON_NONE },
	/* Ports: those of rcmd(3). */
	{ BYTES("512\0"), 512, REASON_NONE },
	{ BYTES("1023\0"), 1023, REASON_NONE },
	{ BYTES("00600\0"), 600, REASON_NONE },
	{ BYTES("511\0"), 0, REASON_PORT_RESERVED },
	{ BYTES("1\0"), 0, REASON_PORT_RESERVED },
	{ BYTES("22\0"), 0, REASON_PORT_RESERVED },
	{ BYTES("1024\0"), 0, REASON_PORT_HIGH },
	{ BYTES("40000\0"), 0, REASON_PORT_HIGH },
	{ BYTES("65535\0"), 0, REASON_PORT_HIGH },
	{ BYTES("65536\0"), 0, REASON_PORT_RANGE },
	{ BYTES("66559\0"), 0, REASON_PORT_RANGE }, /* 1023 in 16 bits */
	{ BYTES("99999\0"), 0, REASON_PORT_RANGE },
	/* Digits that do not end as they should. */
	{ BYTES("001023\0"), 0, REASON_MALFORMED },
	{ BYTES("100000\0"), 0, REASON_MALFORMED },
	{ BYTES("4294968318\0"), 0, REASON_MALFORMED }, /* 1022 in 32 bits */
	{ BYTES("18446744073709552638\0"), 0, REASON_MALFORMED },
	{ BYTES("1022\n"), 0, REASON_MALFORMED },
	{ BYTES("1022root\0"), 0, REASON_MALFORMED },
	{ BYTES("1022\xff\0"), 0, REASON_MALFORMED },
	{ BYTES("10.22\0"), 0, REASON_MALFORMED },
	{ BYTES("123456 <13>a long message"), 0, REASON_MALFORMED },
	/* What is not rsh at all. */
	{ BYTES("<13>Nov 20 18:00:00 n1 root: hello\n"), 0, REASON_NONE },
	{ BYTES("<1022\0"), 0, REASON_NONE },
	{ BYTES("47 <13>1 2026-11-20T18:00:00Z n1 root - - - hello\n"), 0, REASON_NONE },
	{ BYTES("1022 \0"), 0, REASON_NONE },
	{ BYTES("12345 <13>"), 0, REASON_NONE },
	{ BYTES(" 1022\0"), 0, REASON_NONE },
	{ BYTES("-1022\0"), 0, REASON_NONE },
	{ BYTES("+1022\0"), 0, REASON_NONE },
	{ BYTES("\n1022\0"), 0, REASON_NONE },
	{ BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc"), 0, REASON_NONE }, /* syslog over TLS */
	{ BYTES("GET / HTTP/1.1\r\n"), 0, REASON_NONE },
	{ BYTES("\xff\xff\xff\xff"), 0, REASON_NONE },
};

/* Whole, and one byte at a time. */
START_TEST(first_words)
{
	for (size_t chop = 1; chop < 1000; chop += 998) {
		again();
		world_says_chopped(&w, DIR_ORIGINAL, firsts[_i].text.at, firsts[_i].text.len, chop);
		if (firsts[_i].port)
			opened(firsts[_i].port);
		else if (firsts[_i].why != REASON_NONE)
			refused(firsts[_i].why);
		else
			nothing();
		/* That was all that there is to know. */
		world_forget(&w);
		says("1022\0\0001022\0");
		ck_assert_uint_eq(world_count(&w, OP_OPEN) + world_count(&w, OP_REFUSE), 0);
	}
}
END_TEST

static const struct {
	struct bytes text;
	uint16_t port;
	enum reason why;
} rexecs[] = {
	{ BYTES("40001\0user\0password\0ls\0"), 40001, REASON_NONE },
	{ BYTES("1024\0"), 1024, REASON_NONE },
	{ BYTES("65535\0"), 65535, REASON_NONE },
	{ BYTES("0\0user\0"), 0, REASON_NONE },
	{ BYTES("\0user\0"), 0, REASON_NONE },
	{ BYTES("1023\0"), 0, REASON_PORT_RESERVED },
	{ BYTES("65536\0"), 0, REASON_PORT_RANGE },
	{ BYTES("400011\0"), 0, REASON_MALFORMED },
};

START_TEST(rexec_first_words)
{
	world_says_chopped(&w, DIR_ORIGINAL, rexecs[_i].text.at, rexecs[_i].text.len, 1000);
	if (rexecs[_i].port)
		opened(rexecs[_i].port);
	else if (rexecs[_i].why != REASON_NONE)
		refused(rexecs[_i].why);
	else
		nothing();
}
END_TEST

START_TEST(ports_are_policy)
{
	w.policy.service[PH_SVC_RSH].min_port = 1000;
	w.policy.service[PH_SVC_RSH].max_port = 2000;
	again();
	says("2000\0");
	opened(2000);
	again();
	says("2001\0");
	refused(REASON_PORT_HIGH);
	again();
	says("999\0");
	refused(REASON_PORT_RESERVED);
}
END_TEST

START_TEST(digits_without_end)
{
	static char digits[100000];

	memset(digits, '1', sizeof(digits));
	world_says_chopped(&w, DIR_ORIGINAL, digits, sizeof(digits), 1400);
	refused(REASON_MALFORMED);
	ck_assert_str_eq(world_last(&w, OP_REFUSE)->cause, "111111111111111111111");
}
END_TEST

/* The server's greeting is a NUL, and what it prints is its own business. */
START_TEST(a_server_announces_nothing)
{
	answers("1022\0");
	nothing();
	says("1023\0");
	opened(1023);
}
END_TEST

/* Most of a session is not shown to us: that is neither a gap nor worth any memory. */
START_TEST(what_is_not_seen_later_is_no_gap)
{
	says("1022\0");
	world_segment(&w, DIR_ORIGINAL, 5000, "xyz", 3, TCP_ACK, w.seq[DIR_REPLY]);
	world_segment(&w, DIR_REPLY, 70000, "xyz", 3, TCP_ACK, w.seq[DIR_ORIGINAL] + 9000);
	ck_assert_uint_eq(stats()->reasons[REASON_GAP], 0);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(a_lost_beginning_ends_it)
{
	world_segment(&w, DIR_ORIGINAL, 3, "022\0", 4, TCP_ACK, w.seq[DIR_REPLY]);
	world_segment(&w, DIR_REPLY, 0, "\0", 1, TCP_ACK, w.seq[DIR_ORIGINAL] + 7);
	says("1022\0");
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(stats()->reasons[REASON_GAP], 1);
}
END_TEST

START_TEST(never_in_mid_stream)
{
	world_restart(&w);
	w.seq[DIR_ORIGINAL] = 5000;
	says("1022\0");
	nothing();
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

/* --- life ---------------------------------------------------------------------------------------
 */

/* The server of rsh proves by its port that it is root's. */
START_TEST(from_a_reserved_port)
{
	struct tuple stranger = world_data(&w, DIR_REPLY, 1024, 1022);
	struct tuple server = world_data(&w, DIR_REPLY, 1023, 1022);

	says("1022\0");
	world_packet(&w, EV_FIRST, &stranger, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 0);
	ck_assert_uint_eq(stats()->reasons[REASON_STRANGER], 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_packet(&w, EV_FIRST, &server, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	stranger.sport = 1021;
	world_packet(&w, EV_FIRST, &stranger, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
}
END_TEST

START_TEST(rexec_from_any_port)
{
	struct tuple flow = world_data(&w, DIR_REPLY, 50000, 40001);

	says("40001\0");
	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
}
END_TEST

START_TEST(ends)
{
	struct tuple flow = world_data(&w, DIR_REPLY, 1023, 1022);

	says("1022\0");
	if (_i)
		world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_eq(stats()->live_pinholes, (unsigned int)_i);
	if (_i)
		world_packet(&w, EV_END, &flow, TCP_FIN);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(expires)
{
	says("1022\0");
	world_wait(&w, 60 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_str_eq(reason_word(world_last(&w, OP_CLOSE)->reason), "expired");
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

/* A session of before a restart is past its first bytes, whatever is said now. */
START_TEST(after_a_restart_nothing_is_heard)
{
	struct tuple control = world_control(&w);
	struct restored_pinhole r = {
		.master = control,
		.flow = world_data(&w, DIR_REPLY, 0, 1022),
		.dport_hi = 1022,
		.service = PH_SVC_RSH,
		.cause = "stderr to port 1022",
	};

	world_restart(&w);
	ck_assert(engine_restore_session(w.engine, w.now, &control, PH_SVC_RSH, false));
	ck_assert(engine_restore_pinhole(w.engine, w.now, &r));
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, PH_MARK_F_CONTROL | PH_SVC_RSH);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	opened(1022);
	world_forget(&w);
	says("1021\0");
	nothing();
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
}
END_TEST

START_TEST(off_by_default)
{
	policy_defaults(&w.policy);
	again();
	says("1022\0");
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_int_eq(policy_service_of(&w.policy, 514), PH_SVC_NONE);
	ck_assert_int_eq(policy_service_of(&w.policy, 512), PH_SVC_NONE);
}
END_TEST

START_TEST(ten_thousand_connections)
{
	for (int i = 0; i < 10000; i++) {
		w.sport = (uint16_t)(20000 + i);
		world_connect(&w);
		says("1022\0");
	}
	/* All for the same port: the newest is the valid one. */
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	ck_assert_uint_eq(stats()->live_sessions, w.policy.max_sessions_client);
}
END_TEST

static TCase *add(Suite *s, const char *name, SFun setup_it)
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup_it, teardown);
	suite_add_tcase(s, t);
	return t;
}

int main(void)
{
	Suite *s = suite_create("rsh");
	TCase *t = add(s, "ipv4", setup), *v6 = add(s, "ipv6", setup6);
	TCase *rexec = add(s, "rexec", setup_rexec);
	SRunner *r;
	int failed;

	tcase_add_test(t, announcement);
	tcase_add_test(t, split_anywhere);
	tcase_add_test(t, truncated);
	tcase_add_test(t, out_of_order);
	add_each(t, first_words, firsts);
	tcase_add_test(t, ports_are_policy);
	tcase_add_test(t, digits_without_end);
	tcase_add_test(t, a_server_announces_nothing);
	tcase_add_test(t, what_is_not_seen_later_is_no_gap);
	tcase_add_test(t, a_lost_beginning_ends_it);
	tcase_add_test(t, never_in_mid_stream);
	tcase_add_test(t, from_a_reserved_port);
	tcase_add_loop_test(t, ends, 0, 2);
	tcase_add_test(t, expires);
	tcase_add_test(t, after_a_restart_nothing_is_heard);
	tcase_add_test(t, off_by_default);
	tcase_add_test(t, ten_thousand_connections);
	tcase_add_test(v6, announcement);
	tcase_add_test(v6, split_anywhere);
	tcase_add_test(v6, from_a_reserved_port);
	add_each(rexec, rexec_first_words, rexecs);
	tcase_add_test(rexec, rexec_from_any_port);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
