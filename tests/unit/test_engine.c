// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Life cycles of sessions and pinholes with a clock that only moves when told: opening, binding,
 * expiry, ends, limits, resync and restart. FTP is the protocol here; its dialogue is test_ftp's.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/world.h"

#define CONTROL (PH_MARK_F_CONTROL | PH_SVC_FTP)
#define PINHOLE (PH_MARK_F_PINHOLE | PH_SVC_FTP)

static struct world w;

static void setup(void)
{
	world_begin(&w, FAMILY_IPV4);
	world_connect(&w);
}

static void teardown(void)
{
	world_end(&w);
}

static const struct engine_stats *stats(void)
{
	return engine_stats(w.engine);
}

/* One PASV and its answer; returns the id of what it opened. */
static uint32_t pasv(uint16_t port)
{
	char line[80];

	world_says(&w, DIR_ORIGINAL, "PASV\r\n");
	(void)snprintf(line, sizeof(line), "227 x (198,51,100,2,%d,%d)\r\n", port >> 8, port & 255);
	world_says(&w, DIR_REPLY, line);
	ck_assert_ptr_nonnull(world_last(&w, OP_OPEN));
	return world_last(&w, OP_OPEN)->id;
}

START_TEST(expires_unused)
{
	(void)pasv(40000);
	ck_assert_uint_eq(engine_deadline(w.engine), w.now + 60 * NSEC_PER_SEC);
	world_wait(&w, 60 * NSEC_PER_SEC - 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_wait(&w, 1);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_EXPIRED);
	ck_assert_uint_eq(engine_deadline(w.engine), DEADLINE_NEVER);
}
END_TEST

START_TEST(first_packet_spends_it)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);
	struct tuple racing = world_data(&w, DIR_ORIGINAL, 5001, 40000);
	struct tuple control = world_control(&w);
	uint32_t id = pasv(40000);
	const struct op *op;

	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	op = world_last(&w, OP_ADMIT);
	ck_assert_ptr_nonnull(op);
	ck_assert_uint_eq(op->id, id);
	ck_assert(tuple_equal(&op->flow, &flow));
	ck_assert(tuple_equal(&op->master, &control));
	ck_assert(!op->many);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_eq(engine_pinhole(w.engine, id)->state, PINHOLE_BOUND);
	/* its own retransmission is nothing new; another port of the same client is a stranger */
	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	world_packet(&w, EV_FIRST, &racing, TCP_SYN);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(world_last(&w, OP_REFUSE)->reason, REASON_STRANGER);
	/* a transfer may take all day */
	world_wait(&w, 86400 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

START_TEST(flow_ends)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000), back = tuple_invert(&flow);

	(void)pasv(40000);
	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	switch (_i) {
	case 0:
		world_packet(&w, EV_END, &flow, TCP_FIN | TCP_ACK);
		break;
	case 1:
		world_packet(&w, EV_END, &back, TCP_RST);
		break;
	default:
		world_ct(&w, EV_CT_DESTROY, &flow, PINHOLE);
		break;
	}
	ck_assert_uint_eq(world_last(&w, OP_END)->reason, REASON_FLOW_ENDED);
	ck_assert(!world_last(&w, OP_END)->kill);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

START_TEST(mark_mode_binds_by_conntrack)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);

	(void)pasv(40000);
	world_ct(&w, EV_CT_NEW, &flow, PINHOLE);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	world_ct(&w, EV_CT_NEW, &flow, PINHOLE);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

START_TEST(session_end_closes_unused)
{
	struct tuple control = world_control(&w);

	(void)pasv(40000);
	if (_i)
		world_ct(&w, EV_CT_DESTROY, &control, CONTROL);
	else
		world_hangup(&w);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_SESSION_ENDED);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

START_TEST(session_end_leaves_transfer)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);
	uint32_t id = pasv(40000);

	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_ptr_null(engine_pinhole(w.engine, id)->owner);
	world_packet(&w, EV_END, &flow, TCP_FIN);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(last_words_are_no_beginning)
{
	world_hangup(&w);
	world_says(&w, DIR_REPLY, "221 bye\r\n"); /* held while both FINs passed */
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

START_TEST(half_close_is_no_end)
{
	world_segment(&w, DIR_ORIGINAL, 0, NULL, 0, TCP_FIN | TCP_ACK, w.seq[DIR_REPLY]);
	ck_assert_uint_eq(stats()->live_sessions, 1);
	world_segment(&w, DIR_REPLY, 0, NULL, 0, TCP_RST, 0);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

START_TEST(operator_closes)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);
	struct event ev = { .kind = EV_CLOSE, .id = pasv(40000), .reason = REASON_OPERATOR };

	if (_i)
		world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	world_input(&w, &ev);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	if (_i)
		ck_assert(world_last(&w, OP_END)->kill);
	else
		ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_OPERATOR);
	world_input(&w, &ev); /* twice */
	ck_assert_uint_eq(world_count(&w, OP_CLOSE) + world_count(&w, OP_END), 1);
}
END_TEST

START_TEST(other_session_same_expectation)
{
	uint32_t first = pasv(40000), second;

	/* Another control connection of the same client: the newest announcement is the valid one.
	 */
	w.sport = 40001;
	world_connect(&w);
	second = pasv(40000);
	ck_assert_uint_ne(first, second);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->id, first);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_SUPERSEDED);
}
END_TEST

START_TEST(reuse_of_the_control_port)
{
	uint32_t id = engine_first_session(w.engine)->id;

	world_hangup(&w);
	world_connect(&w);
	ck_assert_uint_ne(engine_first_session(w.engine)->id, id);
	(void)pasv(40000);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* --- limits -------------------------------------------------------------------------------------
 */

START_TEST(limit_sessions)
{
	enum reason why = _i ? REASON_LIMIT_SESSIONS_CLIENT : REASON_LIMIT_SESSIONS;

	*(_i ? &w.policy.max_sessions_client : &w.policy.max_sessions) = 100;
	engine_set_policy(w.engine, &w.policy);
	for (int i = 1; i < 10000; i++) {
		w.sport = (uint16_t)(20000 + i);
		world_connect(&w);
	}
	ck_assert_uint_eq(stats()->live_sessions, 100);
	ck_assert_uint_eq(stats()->reasons[why], 9900);
	world_forget(&w);
	w.sport = 20001;
	(void)pasv(40000);
	world_hangup(&w);
	w.sport = 20000;
	world_connect(&w);
	ck_assert_uint_eq(stats()->live_sessions, 100);
}
END_TEST

START_TEST(limit_of_another_client)
{
	w.policy.max_sessions_client = 1;
	engine_set_policy(w.engine, &w.policy);
	w.client.bytes[3] = 77;
	world_connect(&w);
	ck_assert_uint_eq(stats()->live_sessions, 2);
}
END_TEST

START_TEST(limit_pinholes)
{
	static const enum reason why[] = { REASON_LIMIT_PINHOLES, REASON_LIMIT_PINHOLES_CLIENT,
		REASON_LIMIT_PINHOLES_SESSION };
	uint32_t *limit[] = { &w.policy.max_pinholes, &w.policy.max_pinholes_client,
		&w.policy.max_pinholes_session };
	struct tuple flow;

	*limit[_i] = 3;
	engine_set_policy(w.engine, &w.policy);
	for (uint16_t i = 0; i < 3; i++) {
		flow = world_data(&w, DIR_ORIGINAL, 5000, (uint16_t)(40000 + i));
		(void)pasv((uint16_t)(40000 + i));
		world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	}
	world_says(&w, DIR_ORIGINAL, "PASV\r\n");
	world_says(&w, DIR_REPLY, "227 x (198,51,100,2,156,80)\r\n");
	ck_assert_uint_eq(world_last(&w, OP_REFUSE)->reason, why[_i]);
	ck_assert_uint_eq(stats()->live_pinholes, 3);
	world_packet(&w, EV_END, &flow, TCP_FIN);
	(void)pasv(40010);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(window_flows_are_limited)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);

	w.policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	w.policy.max_pinholes_session = 3;
	engine_set_policy(w.engine, &w.policy);
	world_says(&w, DIR_ORIGINAL, "AUTH TLS\r\n");
	world_says(&w, DIR_REPLY, "234 go\r\n");
	for (uint16_t i = 0; i < 10; i++) {
		flow.sport = (uint16_t)(5000 + i);
		world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	}
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 2);
	ck_assert_uint_eq(stats()->reasons[REASON_LIMIT_PINHOLES_SESSION], 8);
}
END_TEST

START_TEST(full_decision_loses_nothing)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);

	w.policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	w.policy.max_pinholes_session = 3 * DECISION_OPS;
	engine_set_policy(w.engine, &w.policy);
	world_says(&w, DIR_ORIGINAL, "AUTH TLS\r\n");
	world_says(&w, DIR_REPLY, "234 go\r\n");
	for (uint16_t i = 0; i < 2 * DECISION_OPS; i++) {
		flow.sport = (uint16_t)(5000 + i);
		world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	}
	ck_assert_uint_eq(stats()->live_pinholes, 2 * DECISION_OPS + 1);
	world_hangup(&w); /* world_input() asks again while there is more */
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(world_count(&w, OP_END), 2 * DECISION_OPS);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	for (unsigned int i = 0; i < w.n; i++)
		if (w.ops[i].kind == OP_END)
			ck_assert(w.ops[i].kill && w.ops[i].reason == REASON_SESSION_ENDED);
}
END_TEST

/* --- lost events and restarts -------------------------------------------------------------------
 */

START_TEST(resync_drops_what_is_gone)
{
	struct tuple control = world_control(&w);
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);
	bool session_lives = _i & 1, flow_lives = _i & 2;

	(void)pasv(40000);
	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	(void)pasv(40001);
	world_ct(&w, EV_RESYNC, NULL, 0);
	if (session_lives)
		world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	if (flow_lives)
		world_ct(&w, EV_CT_ALIVE, &flow, PINHOLE);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_uint_eq(stats()->live_sessions, session_lives);
	ck_assert_uint_eq(stats()->open_pinholes, session_lives);
	ck_assert_uint_eq(stats()->live_pinholes, session_lives + flow_lives);
}
END_TEST

START_TEST(resync_learns_what_was_missed)
{
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000), control = world_control(&w);

	(void)pasv(40000);
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	world_ct(&w, EV_CT_ALIVE, &flow, PINHOLE);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
}
END_TEST

static struct restored_pinhole restored(uint16_t port)
{
	return (struct restored_pinhole){
		.master = world_control(&w),
		.flow = world_data(&w, DIR_ORIGINAL, 0, port),
		.dport_hi = port,
		.service = PH_SVC_FTP,
		.cause = "",
	};
}

static void reborn(bool session_lives)
{
	struct tuple control = world_control(&w);
	struct restored_pinhole r = restored(40000);

	r.cause = "227 x";
	world_restart(&w);
	ck_assert(engine_restore_session(w.engine, w.now, &control, PH_SVC_FTP, false));
	ck_assert(engine_restore_pinhole(w.engine, w.now, &r));
	ck_assert(!engine_restore_pinhole(w.engine, w.now, &r)); /* twice */
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	world_ct(&w, EV_RESYNC, NULL, 0);
	if (session_lives)
		world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	world_ct(&w, EV_RESYNCED, NULL, 0);
}

START_TEST(restart_rearms_what_lives)
{
	reborn(true);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->reason, REASON_RESTORED);
	ck_assert_str_eq(world_last(&w, OP_OPEN)->cause, "227 x");
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	world_forget(&w);
	(void)pasv(40001); /* the first segment since is the beginning of a message */
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(restart_forgets_what_is_gone)
{
	reborn(false);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(restart_without_memory)
{
	struct tuple control = world_control(&w);

	world_restart(&w);
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_uint_eq(stats()->live_sessions, 1);
	(void)pasv(40000);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(restart_with_many_pinholes)
{
	struct tuple control = world_control(&w);
	struct restored_pinhole r;

	w.policy.max_pinholes_session = 1000;
	world_restart(&w);
	ck_assert(engine_restore_session(w.engine, w.now, &control, PH_SVC_FTP, false));
	for (uint16_t port = 30000; port < 30500; port++) {
		r = restored(port);
		ck_assert(engine_restore_pinhole(w.engine, w.now, &r));
	}
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 500);
}
END_TEST

START_TEST(restored_tls_session_stays_closed)
{
	struct tuple control = world_control(&w);

	world_restart(&w);
	ck_assert(engine_restore_session(w.engine, w.now, &control, PH_SVC_FTP, true));
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, CONTROL);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	world_says(&w, DIR_ORIGINAL, "PORT 192,0,2,1,156,64\r\n");
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
}
END_TEST

/* --- odd packets --------------------------------------------------------------------------------
 */

START_TEST(odd_packets)
{
	static const uint8_t fragment[] = { 0x45, 0, 0, 28, 0, 1, 0x20, 0, 64, 6, 0, 0, 192, 0, 2,
		1, 198, 51, 100, 2, 1, 2, 0, 21, 0, 0, 0, 0 };
	struct event ev = { .kind = EV_PACKET, .service = PH_SVC_FTP, .l3 = fragment };

	ev.len = sizeof(fragment);
	world_input(&w, &ev);
	ck_assert_uint_eq(stats()->reasons[REASON_FRAGMENT], 1);
	for (size_t len = 0; len < sizeof(fragment); len++) {
		ev.len = len;
		world_input(&w, &ev);
	}
	ck_assert_uint_gt(stats()->reasons[REASON_BAD_PACKET], 0);
	ev.service = PH_SVC_BFD;
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

START_TEST(service_without_tracker)
{
	uint8_t packet[64] = { 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 9, 198, 51,
		100, 2, 1, 2, 0, 21, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, TCP_SYN };
	struct event ev = { .kind = EV_COPY, .l3 = packet, .len = 40, .service = PH_SVC_NONE };

	world_input(&w, &ev);
	ck_assert_uint_eq(stats()->reasons[REASON_NO_SERVICE], 1);
	ev.service = PH_SVC_FTP;
	w.policy.service[PH_SVC_FTP].enabled = false;
	engine_set_policy(w.engine, &w.policy);
	world_input(&w, &ev);
	ck_assert_uint_eq(stats()->reasons[REASON_NO_SERVICE], 2);
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

START_TEST(match_stands_in_for_the_kernel)
{
	struct tuple control = world_control(&w), back = tuple_invert(&control);
	struct tuple flow = world_data(&w, DIR_ORIGINAL, 5000, 40000);
	enum ph_service service;
	enum dir dir;

	ck_assert_int_eq(engine_match(w.engine, &control, &service, &dir), MATCH_CONTROL);
	ck_assert_int_eq(dir, DIR_ORIGINAL);
	ck_assert_int_eq(engine_match(w.engine, &back, &service, &dir), MATCH_CONTROL);
	ck_assert_int_eq(dir, DIR_REPLY);
	ck_assert_int_eq(engine_match(w.engine, &flow, &service, &dir), MATCH_NONE);
	(void)pasv(40000);
	ck_assert_int_eq(engine_match(w.engine, &flow, &service, &dir), MATCH_EXPECTED);
	world_packet(&w, EV_FIRST, &flow, TCP_SYN);
	ck_assert_int_eq(engine_match(w.engine, &flow, &service, &dir), MATCH_BOUND);
	flow = tuple_invert(&flow);
	ck_assert_int_eq(engine_match(w.engine, &flow, &service, &dir), MATCH_BOUND);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("engine");
	TCase *t = tcase_create("life");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, expires_unused);
	tcase_add_test(t, first_packet_spends_it);
	tcase_add_loop_test(t, flow_ends, 0, 3);
	tcase_add_test(t, mark_mode_binds_by_conntrack);
	tcase_add_loop_test(t, session_end_closes_unused, 0, 2);
	tcase_add_test(t, session_end_leaves_transfer);
	tcase_add_test(t, last_words_are_no_beginning);
	tcase_add_test(t, half_close_is_no_end);
	tcase_add_loop_test(t, operator_closes, 0, 2);
	tcase_add_test(t, other_session_same_expectation);
	tcase_add_test(t, reuse_of_the_control_port);
	tcase_add_loop_test(t, limit_sessions, 0, 2);
	tcase_add_test(t, limit_of_another_client);
	tcase_add_loop_test(t, limit_pinholes, 0, 3);
	tcase_add_test(t, window_flows_are_limited);
	tcase_add_test(t, full_decision_loses_nothing);
	tcase_add_loop_test(t, resync_drops_what_is_gone, 0, 4);
	tcase_add_test(t, resync_learns_what_was_missed);
	tcase_add_test(t, restart_rearms_what_lives);
	tcase_add_test(t, restart_forgets_what_is_gone);
	tcase_add_test(t, restart_without_memory);
	tcase_add_test(t, restart_with_many_pinholes);
	tcase_add_test(t, restored_tls_session_stays_closed);
	tcase_add_test(t, odd_packets);
	tcase_add_test(t, service_without_tracker);
	tcase_add_test(t, match_stands_in_for_the_kernel);
	suite_add_tcase(s, t);
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
