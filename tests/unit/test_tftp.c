// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The TFTP tracker through the engine: requests as clients, boot ROMs and strangers send them. What
 * counts is what is opened, for whom and how long, and what is left alone.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "lib/world.h"

#define PORT 2070 /* of the client; that of many a boot ROM */

static struct world w;

static void setup_family(enum family family)
{
	world_begin(&w, family);
	w.service = PH_SVC_TFTP;
	w.l4proto = L4_UDP;
	w.sport = PORT;
	w.port = 69;
}

static void setup(void)
{
	setup_family(FAMILY_IPV4);
}

static void setup6(void)
{
	setup_family(FAMILY_IPV6);
}

static void teardown(void)
{
	world_end(&w);
}

#define stats()           engine_stats(w.engine)
#define asks(bytes)       world_datagram(&w, DIR_ORIGINAL, bytes, sizeof(bytes) - 1)
#define answers(bytes)    world_datagram(&w, DIR_REPLY, bytes, sizeof(bytes) - 1)
#define RRQ               "\0\1pxelinux.0\0octet\0"

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
	ck_assert_uint_eq(op->timeout, 30 * NSEC_PER_SEC);
	ck_assert(!op->many);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}

static void refused(enum reason why)
{
	const struct op *op = world_last(&w, OP_REFUSE);

	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_msg(op != NULL, "nothing was refused; wanted %s", reason_word(why));
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_uint_eq(stats()->reasons[why], 1);
}

static void nothing(void)
{
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}

static struct tuple answer_from(uint16_t sport)
{
	return world_data(&w, DIR_REPLY, sport, w.sport);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static const struct {
	struct bytes datagram;
	const char *cause;
} requests[] = {
	{ BYTES("\0\1pxelinux.0\0octet\0"), "RRQ octet pxelinux.0" },
	{ BYTES("\0\1a\0netascii\0"), "RRQ netascii a" },
	{ BYTES("\0\2core.1\0octet\0"), "WRQ octet core.1" },
	{ BYTES("\0\1a\0NetASCII\0"), "RRQ netascii a" },
	{ BYTES("\0\1a\0OCTET\0"), "RRQ octet a" },
	{ BYTES("\0\2someone\0mail\0"), "WRQ mail someone" },
	/* RFC 2347 to 2349 and 7440; what is behind the mode is not looked at. */
	{ BYTES("\0\1a\0octet\0blksize\0001432\0tsize\0000\0"), "RRQ octet a" },
	{ BYTES("\0\1a\0octet\0windowsize\00016\0timeout\0005\0"), "RRQ octet a" },
	{ BYTES("\0\1a\0octet\0blksize"), "RRQ octet a" },
	{ BYTES("\0\1a\0octet\0\xff\xff\xff\xff"), "RRQ octet a" },
	{ BYTES("\0\1xcat/xnba/nodes/n1\0octet\0tsize\0000\0blksize\0001456\0"),
	    "RRQ octet xcat/xnba/nodes/n1" },
	{ BYTES("\0\1\x1b[2J\nroot\0octet\0"), "RRQ octet \\x1b[2J\\x0aroot" },
	{ BYTES("\0\0010123456789012345678901234567890123456789\0octet\0"),
	    "RRQ octet 0123456789012345678901234567890123456789" },
	{ BYTES("\0\0010123456789012345678901234567890123456789x\0octet\0"),
	    "RRQ octet 0123456789012345678901234567890123456789..." },
};

START_TEST(good_request)
{
	world_datagram(&w, DIR_ORIGINAL, requests[_i].datagram.at, requests[_i].datagram.len);
	opened(PORT);
	ck_assert_str_eq(world_last(&w, OP_OPEN)->cause, requests[_i].cause);
}
END_TEST

START_TEST(long_name)
{
	static char long_request[60000] = "\0\1";

	memset(long_request + 2, 'x', sizeof(long_request) - 9);
	memcpy(long_request + sizeof(long_request) - 7, "\0octet", 7);
	world_datagram(&w, DIR_ORIGINAL, long_request, sizeof(long_request));
	opened(PORT);
}
END_TEST

/* A datagram is whole or it is nothing. */
START_TEST(truncated)
{
	static const char whole[] = RRQ "blksize\0001432\0";
	const size_t enough = sizeof(RRQ) - 1;

	for (size_t len = 0; len < sizeof(whole); len++) {
		world_restart(&w);
		world_datagram(&w, DIR_ORIGINAL, whole, len);
		if (len < 2)
			nothing();
		else if (len < enough)
			refused(REASON_MALFORMED);
		else
			opened(PORT);
	}
}
END_TEST

static const struct bytes malformed[] = {
	BYTES("\0\1"),
	BYTES("\0\1\0"),
	BYTES("\0\1\0\0"),
	BYTES("\0\1\0octet\0"),
	BYTES("\0\1name"),
	BYTES("\0\1name\0"),
	BYTES("\0\1name\0\0"),
	BYTES("\0\1name\0octet"),
	BYTES("\0\1name\0octe\0"),
	BYTES("\0\1name\0octets\0"),
	BYTES("\0\1name\0binary\0"),
	BYTES("\0\1name\0 octet\0"),
	BYTES("\0\2name\0netascii "),
	BYTES("\0\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
};

START_TEST(malformed_request)
{
	world_datagram(&w, DIR_ORIGINAL, malformed[_i].at, malformed[_i].len);
	refused(REASON_MALFORMED);
	ck_assert_uint_eq(world_last(&w, OP_REFUSE)->flow.dport, PORT);
}
END_TEST

static const struct bytes others[] = {
	BYTES(""),
	BYTES("\0"),
	BYTES("\1"),
	BYTES("\0\0"),
	BYTES("\0\0a\0octet\0"),
	BYTES("\0\3\0\1data"),
	BYTES("\0\4\0\1"),
	BYTES("\0\5\0\1no such file\0"),
	BYTES("\0\6blksize\0001432\0"),
	BYTES("\0\7a\0octet\0"),
	BYTES("\1\1a\0octet\0"),
	BYTES("\xff\xff"),
	BYTES("\1\0a\0octet\0"),
};

/* Servers may answer from port 69, and then all of the transfer goes through it. */
START_TEST(other_opcodes_are_left_alone)
{
	asks(RRQ);
	world_forget(&w);
	world_datagram(&w, DIR_ORIGINAL, others[_i].at, others[_i].len);
	world_datagram(&w, DIR_REPLY, others[_i].at, others[_i].len);
	nothing();
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(a_reply_asks_for_nothing)
{
	asks("\0\4\0\0");
	answers(RRQ);
	answers("\0\2name\0");
	nothing();
}
END_TEST

/* The kernel holds what comes to the port of a pinhole; a reply does not use it. */
START_TEST(a_reply_is_no_first_packet)
{
	struct tuple reply = answer_from(69), flow = answer_from(50000);

	asks(RRQ);
	world_packet(&w, EV_FIRST, &reply, 0);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 0);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_packet(&w, EV_FIRST, &flow, 0);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
}
END_TEST

/* --- ports --------------------------------------------------------------------------------------
 */

static const struct {
	uint16_t port, min, max;
	enum reason why; /* NONE: opened */
} ports[] = {
	{ 0, 1024, 65535, REASON_BAD_PACKET },
	{ 1, 1024, 65535, REASON_PORT_RESERVED },
	{ 1023, 1024, 65535, REASON_PORT_RESERVED },
	{ 1024, 1024, 65535, REASON_NONE },
	{ 65535, 1024, 65535, REASON_NONE },
	{ 69, 1, 65535, REASON_NONE },
	{ 40001, 1024, 40000, REASON_PORT_HIGH },
	{ 40000, 1024, 40000, REASON_NONE },
};

START_TEST(source_ports)
{
	w.policy.service[PH_SVC_TFTP].min_port = ports[_i].min;
	w.policy.service[PH_SVC_TFTP].max_port = ports[_i].max;
	w.sport = ports[_i].port;
	world_restart(&w);
	asks(RRQ);
	if (ports[_i].why == REASON_NONE)
		opened(ports[_i].port);
	else
		refused(ports[_i].why);
}
END_TEST

/* --- life ---------------------------------------------------------------------------------------
 */

START_TEST(one_flow)
{
	struct tuple flow = answer_from(50000), second = answer_from(50001);

	asks(RRQ);
	world_packet(&w, EV_FIRST, &flow, 0);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert(tuple_equal(&world_last(&w, OP_ADMIT)->flow, &flow));
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	/* Once more the same, which is a retransmission, and then another. */
	world_packet(&w, EV_FIRST, &flow, 0);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	world_forget(&w);
	world_packet(&w, EV_FIRST, &second, 0);
	refused(REASON_STRANGER);
}
END_TEST

START_TEST(expires)
{
	asks(RRQ);
	world_wait(&w, 30 * NSEC_PER_SEC - 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_wait(&w, 1);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_str_eq(reason_word(world_last(&w, OP_CLOSE)->reason), "expired");
}
END_TEST

/* Until they are answered clients repeat themselves; the pinhole has to be there all the time. */
START_TEST(repeated_request)
{
	uint32_t id;

	asks(RRQ);
	id = world_last(&w, OP_OPEN)->id;
	world_forget(&w);
	for (int i = 0; i < 1000; i++)
		asks(RRQ);
	ck_assert_uint_eq(w.n, 0);
	for (int i = 0; i < 12; i++) {
		world_wait(&w, 5 * NSEC_PER_SEC);
		asks(RRQ);
	}
	ck_assert_uint_eq(world_count(&w, OP_OPEN) + world_count(&w, OP_CLOSE), 0);
	ck_assert_uint_eq(world_count(&w, OP_RENEW), 12);
	for (int i = 0; i < 100; i++) { /* not for each of them */
		world_wait(&w, NSEC_PER_SEC);
		asks(RRQ);
	}
	ck_assert_uint_eq(world_count(&w, OP_RENEW), 12 + 25);
	ck_assert_uint_eq(world_last(&w, OP_RENEW)->id, id);
	ck_assert_uint_eq(world_last(&w, OP_RENEW)->timeout, 30 * NSEC_PER_SEC);
	world_wait(&w, 30 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

/* Its time was up, and nobody has come to say so yet: this request is not the last one's. */
START_TEST(repeated_too_late)
{
	asks(RRQ);
	w.now += 30 * NSEC_PER_SEC + 1;
	asks(RRQ);
	world_wait(&w, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_wait(&w, 30 * NSEC_PER_SEC - 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* PXE ROMs ask for file after file from one port. */
START_TEST(several_requests_from_one_port)
{
	for (uint16_t i = 0; i < 20; i++) {
		struct tuple flow = answer_from((uint16_t)(50000 + i));

		world_forget(&w);
		asks(RRQ);
		opened(PORT);
		world_packet(&w, EV_FIRST, &flow, 0);
		ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	}
	ck_assert_uint_eq(stats()->live_sessions, 1);
	ck_assert_uint_eq(stats()->live_pinholes, 20);
}
END_TEST

START_TEST(another_client)
{
	asks(RRQ);
	w.client.bytes[3]++;
	asks(RRQ);
	ck_assert_uint_eq(stats()->open_pinholes, 2);
	ck_assert_uint_eq(stats()->live_sessions, 2);
}
END_TEST

START_TEST(session_ends)
{
	struct tuple control = world_control(&w), flow = answer_from(50000);

	asks(RRQ);
	if (_i)
		world_packet(&w, EV_FIRST, &flow, 0);
	world_ct(&w, EV_CT_DESTROY, &control, PH_MARK_F_CONTROL | PH_SVC_TFTP);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_eq(stats()->live_pinholes, (unsigned int)_i); /* a transfer goes on */
	if (_i)
		world_ct(&w, EV_CT_DESTROY, &flow, PH_MARK_F_PINHOLE | PH_SVC_TFTP);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(by_mark)
{
	struct tuple flow = answer_from(50000);

	w.policy.admit = ADMIT_MARK;
	world_restart(&w);
	asks(RRQ);
	world_ct(&w, EV_CT_NEW, &flow, PH_MARK_F_PINHOLE | PH_SVC_TFTP);
	ck_assert_uint_eq(stats()->bound, 1);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
}
END_TEST

START_TEST(ten_thousand_requests)
{
	for (int i = 0; i < 10000; i++) {
		w.sport = (uint16_t)(2000 + (_i ? i : 0));
		asks(RRQ);
	}
	if (!_i) {
		ck_assert_uint_eq(stats()->opened, 1);
		ck_assert_uint_eq(world_count(&w, OP_RENEW), 0);
		return;
	}
	ck_assert_uint_eq(stats()->live_sessions, w.policy.max_sessions_client);
	ck_assert_uint_eq(stats()->open_pinholes, w.policy.max_sessions_client);
	ck_assert_uint_eq(
	    stats()->reasons[REASON_LIMIT_SESSIONS_CLIENT], 10000 - w.policy.max_sessions_client);
	/* Nobody else notices. */
	w.client.bytes[3]++;
	world_forget(&w);
	asks(RRQ);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
}
END_TEST

START_TEST(switched_off)
{
	w.policy.service[PH_SVC_TFTP].enabled = false;
	world_restart(&w);
	asks(RRQ);
	refused(REASON_NO_SERVICE);
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
	Suite *s = suite_create("tftp");
	TCase *t = add(s, "ipv4", setup), *v6 = add(s, "ipv6", setup6);
	SRunner *r;
	int failed;

	add_each(t, good_request, requests);
	tcase_add_test(t, long_name);
	tcase_add_test(t, truncated);
	add_each(t, malformed_request, malformed);
	add_each(t, other_opcodes_are_left_alone, others);
	tcase_add_test(t, a_reply_asks_for_nothing);
	tcase_add_test(t, a_reply_is_no_first_packet);
	add_each(t, source_ports, ports);
	tcase_add_test(t, one_flow);
	tcase_add_test(t, expires);
	tcase_add_test(t, repeated_request);
	tcase_add_test(t, repeated_too_late);
	tcase_add_test(t, several_requests_from_one_port);
	tcase_add_test(t, another_client);
	tcase_add_loop_test(t, session_ends, 0, 2);
	tcase_add_test(t, by_mark);
	tcase_add_loop_test(t, ten_thousand_requests, 0, 2);
	tcase_add_test(t, switched_off);
	add_each(v6, good_request, requests);
	tcase_add_test(v6, one_flow);
	tcase_add_test(v6, several_requests_from_one_port);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
