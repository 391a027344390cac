// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Life cycles of mappings with a clock that only moves when told: pairs of hosts that live, linger
 * and sleep, ports that move, callbacks, the local rpcbind, limits, resync, restart. After every
 * decision what the kernel would hold is compared with what the engine believes (lib/kernel.h). The
 * dialogue itself is test_sunrpc's.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/kernel.h"
#include "lib/rpc.h"
#include "lib/world.h"

#define SECONDS     NSEC_PER_SEC
#define LINGER      (30 * SECONDS)
#define TTL         (3600 * SECONDS)

#define RPC_CONTROL (PH_MARK_F_CONTROL | PH_SVC_SUNRPC)
#define NFS_CONTROL (PH_MARK_F_CONTROL | PH_SVC_NFS)
#define PINHOLE     (PH_MARK_F_PINHOLE | PH_SVC_SUNRPC)

static struct world w;
static struct kernel kernel;
static struct message call, answer, stream;
static uint32_t xid = 1;

static void follow(struct world *world)
{
	kernel_follow(&kernel, world);
}

static void restart(void)
{
	kernel_reset(&kernel);
	world_restart(&w);
}

static void setup(void)
{
	world_begin(&w, FAMILY_IPV4);
	w.service = PH_SVC_SUNRPC;
	w.l4proto = L4_UDP;
	w.port = 111;
	w.after = follow;
	kernel_reset(&kernel);
}

static void teardown(void)
{
	kernel_dies_out(&kernel, &w); /* whatever a test did */
	kernel_reset(&kernel);
	world_end(&w);
}

static const struct engine_stats *stats(void)
{
	return engine_stats(w.engine);
}

/* --- what hosts do ------------------------------------------------------------------------------
 */

/* One GETPORT over the control flow, and its answer; an id, or 0. */
static uint32_t asks(uint32_t program, uint32_t version, enum l4 l4proto, uint32_t port)
{
	unsigned int n = w.n;

	xid++;
	pmap_getport(&call, xid, program, version, l4proto);
	pmap_port(&answer, xid, port);
	if (w.l4proto == L4_UDP) {
		world_datagram(&w, DIR_ORIGINAL, call.bytes, call.len);
		world_datagram(&w, DIR_REPLY, answer.bytes, answer.len);
	} else {
		stream.len = 0;
		rpc_record(&stream, &call, RPC_MAX);
		world_says_chopped(&w, DIR_ORIGINAL, (char *)stream.bytes, stream.len, RPC_MAX);
		stream.len = 0;
		rpc_record(&stream, &answer, RPC_MAX);
		world_says_chopped(&w, DIR_REPLY, (char *)stream.bytes, stream.len, RPC_MAX);
	}
	for (; n < w.n; n++)
		if (w.ops[n].kind == OP_OPEN && w.ops[n].flow.dport == port)
			return w.ops[n].id;
	return 0;
}

/* Conntrack forgets the control flow. */
static void control_ends(void)
{
	struct tuple control = world_control(&w);

	world_ct(&w, EV_CT_DESTROY, &control, RPC_CONTROL);
}

static struct tuple nfs_flow(uint16_t sport)
{
	struct tuple t = world_data(&w, DIR_ORIGINAL, sport, 2049);

	t.l4proto = L4_TCP;
	return t;
}

static void nfs_begins(uint16_t sport)
{
	struct tuple t = nfs_flow(sport);

	world_ct(&w, EV_CT_NEW, &t, NFS_CONTROL);
}

static void nfs_ends(uint16_t sport)
{
	struct tuple t = nfs_flow(sport);

	world_ct(&w, EV_CT_DESTROY, &t, NFS_CONTROL);
}

static struct tuple flow_to(enum dir dir, enum l4 l4proto, uint16_t sport, uint16_t dport)
{
	struct tuple t = world_data(&w, dir, sport, dport);

	t.l4proto = (uint8_t)l4proto;
	return t;
}

/* The first packet of a flow is held; was it let in, and by whom? */
static const struct op *first(const struct tuple *t)
{
	unsigned int n = w.n;

	world_packet(&w, EV_FIRST, t, TCP_SYN);
	return w.n > n && w.ops[n].kind == OP_ADMIT ? &w.ops[n] : NULL;
}

static const struct op *connects(enum l4 l4proto, uint16_t sport, uint16_t dport)
{
	struct tuple t = flow_to(DIR_ORIGINAL, l4proto, sport, dport);

	return first(&t);
}

static const struct pinhole *mapping(uint32_t id)
{
	return engine_pinhole(w.engine, id);
}

static enum pinhole_state state_of(uint32_t id)
{
	return mapping(id) ? (enum pinhole_state)mapping(id)->state : PINHOLE_CLOSED;
}

static const struct pinhole *mapping_at(enum dir dir, enum l4 l4proto, uint16_t port)
{
	struct tuple want = flow_to(dir, l4proto, 0, port);
	const struct pinhole *p;

	for (p = engine_first_pinhole(w.engine); p; p = engine_next_pinhole(p))
		if (tuple_equal(&p->flow, &want))
			return p;
	return NULL;
}

static bool open_at(enum l4 l4proto, uint16_t port)
{
	const struct pinhole *p = mapping_at(DIR_ORIGINAL, l4proto, port);

	return p && p->state == PINHOLE_OPEN;
}

static void operator_closes(uint32_t id)
{
	struct event ev = { .kind = EV_CLOSE, .id = id, .reason = REASON_OPERATOR };

	world_input(&w, &ev);
}

/* --- sleeping and waking ------------------------------------------------------------------------
 */

START_TEST(lingers_sleeps_and_is_forgotten)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	uint64_t slept;

	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->reason, REASON_ANNOUNCED);
	control_ends();
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(engine_deadline(w.engine), w.now + LINGER);
	world_wait(&w, LINGER - 1);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	world_wait(&w, 1);
	slept = w.now;
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_IDLE);
	ck_assert(!world_last(&w, OP_CLOSE)->moved);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_eq(engine_deadline(w.engine), slept + TTL);
	ck_assert_ptr_null(connects(L4_TCP, 700, 635));
	ck_assert_uint_eq(world_last(&w, OP_REFUSE)->reason, REASON_STRANGER);
	world_wait(&w, TTL - 1);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	world_wait(&w, 1);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_ptr_null(w.engine->pairs.all);
	ck_assert_uint_eq(engine_deadline(w.engine), DEADLINE_NEVER);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	nfs_begins(800);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
}
END_TEST

START_TEST(nfs_keeps_it_awake)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	nfs_begins(800);
	control_ends();
	for (int hour = 0; hour < 10; hour++)
		world_wait(&w, 3600 * SECONDS);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 0);
	/* renewed before the kernel's own timeout ends it */
	world_forget(&w);
	for (int i = 0; i < 100; i++)
		world_wait(&w, 60 * SECONDS);
	ck_assert_uint_ge(world_count(&w, OP_RENEW), 6000 / 300);
	ck_assert_uint_eq(world_last(&w, OP_RENEW)->timeout, w.policy.service[PH_SVC_SUNRPC].ttl);
}
END_TEST

START_TEST(returns)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	uint32_t udp = asks(RPC_STATUS, 1, L4_UDP, 662);

	control_ends();
	world_wait(&w, LINGER);
	world_wait(&w, TTL - 1);
	world_forget(&w);
	switch (_i) {
	case 0:
		nfs_begins(800);
		break;
	case 1: /* another query */
		w.sport++;
		(void)asks(RPC_NFS, 3, L4_TCP, 0);
		break;
	default: { /* a query the other way round */
		struct addr client = w.client;

		w.client = w.server;
		w.server = client;
		(void)asks(RPC_NFS, 3, L4_TCP, 0);
		break;
	}
	}
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 2);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->reason, REASON_RETURNED);
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "GETPORT"));
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(state_of(udp), PINHOLE_OPEN);
	/* and it is remembered for an hour once more */
	world_wait(&w, 2 * TTL);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

START_TEST(returns_within_the_linger)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	control_ends();
	world_forget(&w);
	world_wait(&w, LINGER - 1);
	nfs_begins(800);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE) + world_count(&w, OP_OPEN), 0);
	nfs_ends(800);
	world_wait(&w, LINGER - 1);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	world_wait(&w, 1);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
}
END_TEST

/* Conntrack keeps a TCP flow for two minutes after its end; the linger begins with that end. */
START_TEST(nfs_says_goodbye)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	struct tuple nfs = nfs_flow(800), back = tuple_invert(&nfs);

	nfs_begins(800);
	control_ends();
	if (_i) {
		world_copy(&w, PH_SVC_NFS, DIR_REPLY, &back, TCP_RST);
	} else {
		world_copy(&w, PH_SVC_NFS, DIR_ORIGINAL, &nfs, TCP_FIN | TCP_ACK);
		world_wait(&w, LINGER);
		ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
		world_copy(&w, PH_SVC_NFS, DIR_REPLY, &back, TCP_FIN | TCP_ACK);
	}
	ck_assert_uint_eq(engine_deadline(w.engine), w.now + LINGER);
	/* Its last words come twice, and are not the first ones of another. */
	world_copy(&w, PH_SVC_NFS, DIR_ORIGINAL, &nfs, TCP_FIN | TCP_ACK);
	world_copy(&w, PH_SVC_NFS, DIR_REPLY, &back, TCP_RST);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	nfs_ends(800);
	nfs_begins(800); /* a reserved port is used again and again */
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

/* The flow comes at the very moment at which the linger is over, before the tick that says so. */
START_TEST(returns_as_it_falls_asleep)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	control_ends();
	w.now += LINGER;
	nfs_begins(800);
	world_wait(&w, 0);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

START_TEST(its_own_flow_keeps_it_awake)
{
	enum l4 l4proto = _i ? L4_UDP : L4_TCP;
	uint32_t id = asks(RPC_MOUNTD, 3, l4proto, 635);
	struct tuple flow = flow_to(DIR_ORIGINAL, l4proto, 700, 635);
	uint32_t child;

	ck_assert_ptr_nonnull(first(&flow));
	child = world_last(&w, OP_ADMIT)->id;
	ck_assert_uint_ne(child, id);
	ck_assert_uint_eq(mapping(child)->parent_id, id);
	control_ends();
	world_wait(&w, 86400 * SECONDS);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	if (_i)
		world_ct(&w, EV_CT_DESTROY, &flow, PINHOLE);
	else
		world_packet(&w, EV_END, &flow, TCP_FIN | TCP_ACK);
	ck_assert_uint_eq(world_last(&w, OP_END)->id, child);
	ck_assert(!world_last(&w, OP_END)->kill);
	ck_assert_uint_eq(engine_deadline(w.engine), w.now + LINGER);
	/* a first packet within the linger wakes the pair */
	world_wait(&w, LINGER - 1);
	flow.sport++;
	ck_assert_ptr_nonnull(first(&flow));
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

START_TEST(other_hosts_are_no_reason)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	struct addr server = w.server;

	w.server.bytes[3]++;
	nfs_begins(800);
	w.server = server;
	control_ends();
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	w.client.bytes[3]++;
	nfs_begins(801);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
}
END_TEST

START_TEST(tcp_query_ends_with_its_last_fin)
{
	uint32_t id;

	w.l4proto = L4_TCP;
	world_connect(&w);
	id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	ck_assert_uint_eq(engine_session(w.engine, mapping(id)->session_id)->opened, 1);
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(engine_deadline(w.engine), w.now + LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

/* --- ports that move ----------------------------------------------------------------------------
 */

START_TEST(moved)
{
	uint32_t old = asks(RPC_MOUNTD, 3, L4_TCP, 635), new, child;
	const struct op *op;

	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 635));
	child = world_last(&w, OP_ADMIT)->id;
	world_forget(&w);
	new = asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_ne(new, 0);
	op = world_last(&w, OP_CLOSE);
	ck_assert_ptr_nonnull(op);
	ck_assert_uint_eq(op->id, old);
	ck_assert_uint_eq(op->reason, REASON_SUPERSEDED);
	ck_assert(op->moved);
	op = world_last(&w, OP_END);
	ck_assert_uint_eq(op->id, child);
	ck_assert(op->kill && op->moved);
	ck_assert_uint_eq(state_of(old), PINHOLE_CLOSED);
	ck_assert_uint_eq(state_of(new), PINHOLE_OPEN);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_ptr_null(connects(L4_TCP, 701, 635));
	ck_assert_ptr_nonnull(connects(L4_TCP, 701, 40001));
	/* and back again */
	world_forget(&w);
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 635), 0);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* The set of ports that were given up is everybody's: nobody fills it. */
START_TEST(moved_all_the_time)
{
	unsigned int told = 0;

	for (uint16_t port = 1024; port < 1224; port++) {
		(void)asks(RPC_MOUNTD, 3, L4_TCP, port);
		if (port > 1024)
			told += world_last(&w, OP_CLOSE)->moved;
		world_wait(&w, SECONDS / 10);
	}
	ck_assert_uint_eq(told, 64);
	world_wait(&w, 60 * SECONDS);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 2000);
	ck_assert(world_last(&w, OP_CLOSE)->moved);
}
END_TEST

START_TEST(moved_while_asleep)
{
	uint32_t old = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	control_ends();
	world_wait(&w, LINGER);
	world_forget(&w);
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 40001), 0);
	ck_assert_uint_eq(state_of(old), PINHOLE_CLOSED);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

START_TEST(transports_are_apart)
{
	uint32_t tcp = asks(RPC_MOUNTD, 3, L4_TCP, 635), udp = asks(RPC_MOUNTD, 3, L4_UDP, 635);

	ck_assert_uint_ne(tcp, udp);
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_UDP, 636 + 1), 0);
	ck_assert_uint_eq(state_of(tcp), PINHOLE_OPEN);
	ck_assert_uint_eq(state_of(udp), PINHOLE_CLOSED);
}
END_TEST

START_TEST(versions_with_ports_of_their_own)
{
	uint32_t v1 = asks(RPC_MOUNTD, 1, L4_TCP, 40001), v3 = asks(RPC_MOUNTD, 3, L4_TCP, 40003);

	ck_assert_uint_eq(stats()->open_pinholes, 2);
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 40004), 0);
	ck_assert_uint_eq(state_of(v1), PINHOLE_OPEN);
	ck_assert_uint_eq(state_of(v3), PINHOLE_CLOSED);
	ck_assert_uint_eq(stats()->open_pinholes, 2);
}
END_TEST

START_TEST(versions_at_one_port)
{
	uint32_t id = asks(RPC_MOUNTD, 1, L4_TCP, 40001);

	ck_assert_uint_eq(asks(RPC_MOUNTD, 2, L4_TCP, 40001), 0); /* nothing new */
	ck_assert_uint_eq(asks(RPC_MOUNTD, 3, L4_TCP, 40001), 0);
	ck_assert_uint_eq(
	    mapping(id)->versions, PROGRAM_VERSION(1) | PROGRAM_VERSION(2) | PROGRAM_VERSION(3));
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 40001));
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40003);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	(void)asks(RPC_MOUNTD, 1, L4_TCP, 40003);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE) + world_count(&w, OP_END), 0);
	(void)asks(RPC_MOUNTD, 2, L4_TCP, 40003);
	ck_assert_uint_eq(state_of(id), PINHOLE_CLOSED);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	ck_assert_uint_eq(world_count(&w, OP_END), 1);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

/* A move makes room for nothing: more flows than one decision can end are ended by the next. */
START_TEST(moved_with_many_flows)
{
	uint32_t old = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	for (uint16_t i = 0; i < 3 * DECISION_OPS; i++)
		ck_assert_ptr_nonnull(connects(L4_TCP, (uint16_t)(700 + i), 635));
	world_forget(&w);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_eq(state_of(old), PINHOLE_CLOSED);
	ck_assert_uint_eq(world_count(&w, OP_END), 3 * DECISION_OPS);
	for (unsigned int i = 0; i < w.n; i++)
		if (w.ops[i].kind == OP_END)
			ck_assert(w.ops[i].kill && w.ops[i].moved);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	/* If the new port had to wait for that, the client's next question opens it. */
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert(open_at(L4_TCP, 40001));
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

/* --- callbacks ----------------------------------------------------------------------------------
 */

/* The client has been told where the lock manager is: the server may ask back. */
static const struct pinhole *portmap_of_client(enum l4 l4proto)
{
	const struct pinhole *p = mapping_at(DIR_REPLY, l4proto, 111);

	return p && p->state == PINHOLE_OPEN && p->portmap && p->many ? p : NULL;
}

START_TEST(nlockmgr_opens_the_way_back)
{
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 635);
	ck_assert_ptr_null(mapping_at(DIR_REPLY, L4_TCP, 111));
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	ck_assert_ptr_nonnull(portmap_of_client(L4_TCP));
	ck_assert_ptr_nonnull(portmap_of_client(L4_UDP));
	ck_assert_uint_eq(portmap_of_client(L4_UDP)->program, RPC_PORTMAP);
	ck_assert_uint_eq(stats()->open_pinholes, 4);
	(void)asks(RPC_NLOCKMGR, 4, L4_UDP, 40022);
	ck_assert_uint_eq(stats()->open_pinholes, 5);
	/* they sleep and wake with the others */
	control_ends();
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	nfs_begins(800);
	ck_assert_uint_eq(stats()->open_pinholes, 5);
	ck_assert_ptr_nonnull(portmap_of_client(L4_TCP));
}
END_TEST

START_TEST(refused_nlockmgr_opens_no_way_back)
{
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 22);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(callbacks_off)
{
	w.policy.service[PH_SVC_SUNRPC].callbacks = false;
	engine_set_policy(w.engine, &w.policy);
	ck_assert_uint_ne(asks(RPC_NLOCKMGR, 4, L4_TCP, 40021), 0);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_eq(stats()->reasons[REASON_PORT_NEVER], 2);
}
END_TEST

static void turn_round(void)
{
	struct addr client = w.client;

	w.client = w.server;
	w.server = client;
}

START_TEST(callback)
{
	enum l4 l4proto = _i ? L4_UDP : L4_TCP;
	struct tuple flow, granted;
	const struct op *op;
	uint32_t child, id;

	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	nfs_begins(800);
	turn_round();
	w.l4proto = l4proto;
	w.sport = 900;
	flow = world_control(&w);
	op = first(&flow);
	ck_assert_ptr_nonnull(op);
	ck_assert(op->control && op->many);
	child = op->id;
	/* Its packets are those of a control session as well. */
	world_ct(&w, EV_CT_NEW, &flow, PINHOLE | PH_MARK_F_CONTROL);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	if (l4proto == L4_TCP)
		world_connect(&w);
	id = asks(RPC_NLOCKMGR, 4, L4_TCP, 40099);
	ck_assert_uint_ne(id, 0);
	ck_assert_ptr_nonnull(
	    mapping_at(DIR_REPLY, L4_TCP, 40021)); /* the other host's, as before */
	ck_assert_uint_eq(stats()->live_sessions, 3);
	ck_assert_uint_eq(state_of(child), PINHOLE_BOUND);
	granted = flow_to(DIR_ORIGINAL, L4_TCP, 901, 40099);
	op = first(&granted);
	ck_assert_ptr_nonnull(op);
	ck_assert(!op->control);
	ck_assert(addr_equal(&op->flow.src, &w.client)); /* the server, that is */
	world_packet(&w, EV_END, &granted, TCP_FIN);
	/* Both lives of the flow end together, whoever says so first. */
	world_forget(&w);
	if (l4proto == L4_UDP)
		world_ct(&w, EV_CT_DESTROY, &flow, PINHOLE | PH_MARK_F_CONTROL);
	else
		world_hangup(&w);
	ck_assert_uint_eq(world_count(&w, OP_END), 1);
	ck_assert_uint_eq(world_last(&w, OP_END)->id, child);
	ck_assert(!world_last(&w, OP_END)->kill);
	ck_assert_uint_eq(stats()->live_sessions, 2);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
}
END_TEST

START_TEST(callback_flow_ends_before_its_session)
{
	struct tuple flow;

	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	control_ends();
	turn_round();
	w.l4proto = L4_TCP;
	flow = world_control(&w);
	ck_assert_ptr_nonnull(first(&flow));
	world_connect(&w);
	world_packet(&w, EV_END, &flow, TCP_FIN | TCP_ACK);
	ck_assert_uint_eq(stats()->live_sessions, 1);
	world_wait(&w, TTL);
	ck_assert_uint_eq(stats()->open_pinholes, 3); /* the session keeps them awake */
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
}
END_TEST

/* The operator closes the way back while it is in use: the flow is killed, and its session ends. */
START_TEST(callback_closed_by_operator)
{
	struct tuple flow;

	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	turn_round();
	flow = world_control(&w);
	ck_assert_ptr_nonnull(first(&flow));
	(void)asks(RPC_STATUS, 1, L4_UDP, 40098);
	operator_closes(mapping_at(DIR_ORIGINAL, L4_UDP, 111)->id);
	ck_assert(world_last(&w, OP_END)->kill);
	world_ct(&w, EV_CT_DESTROY, &flow, PINHOLE | PH_MARK_F_CONTROL);
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

/* --- whose flow ----------------------------------------------------------------------------------
 */

static bool is_master(const struct op *op, const struct tuple *t)
{
	return op && tuple_equal(&op->master, t);
}

START_TEST(master_is_a_live_flow)
{
	struct tuple query, nfs = nfs_flow(800), mount,
			    lock = flow_to(DIR_ORIGINAL, L4_UDP, 710, 662);

	query = world_control(&w);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 635);
	(void)asks(RPC_STATUS, 1, L4_UDP, 662);
	mount = flow_to(DIR_ORIGINAL, L4_TCP, 700, 635);
	ck_assert(is_master(first(&mount), &query));
	/* TCP first: a flow of the mappings themselves, NFS */
	ck_assert(is_master(first(&lock), &mount));
	world_packet(&w, EV_END, &mount, TCP_FIN);
	nfs_begins(800);
	mount.sport++;
	ck_assert(is_master(first(&mount), &nfs));
	world_packet(&w, EV_END, &mount, TCP_FIN);
	nfs_ends(800);
	mount.sport++;
	ck_assert(is_master(first(&mount), &query));
	world_packet(&w, EV_END, &mount, TCP_FIN);
	control_ends();
	mount.sport++;
	ck_assert(is_master(first(&mount), &lock));
}
END_TEST

/* Of datagram flows the one heard of last: conntrack tells late of those that have timed out. */
START_TEST(master_was_heard_of_last)
{
	struct tuple lock = flow_to(DIR_ORIGINAL, L4_UDP, 710, 662), older, newer, other;
	uint32_t id;

	(void)asks(RPC_STATUS, 1, L4_UDP, 662);
	older = world_control(&w);
	w.now += SECONDS;
	w.sport++;
	(void)asks(RPC_STATUS, 1, L4_UDP, 662);
	newer = world_control(&w);
	w.now += SECONDS;
	if (_i) { /* whichever was made first */
		struct tuple swap = older;

		w.sport--;
		(void)asks(RPC_STATUS, 1, L4_UDP, 662);
		older = newer;
		newer = swap;
	}
	ck_assert(is_master(first(&lock), &newer));
	id = world_last(&w, OP_ADMIT)->id;
	/* It has timed out, which turns out while the first packet is still held. */
	world_ct(&w, EV_CT_DESTROY, &newer, RPC_CONTROL);
	ck_assert(engine_another_master(w.engine, id, &other));
	ck_assert(tuple_equal(&other, &older));
	/* So has the other one, and then no flow is left but the very one that wants a master. */
	world_ct(&w, EV_CT_DESTROY, &older, RPC_CONTROL);
	ck_assert(!engine_another_master(w.engine, id, &other));
	ck_assert(!engine_another_master(w.engine, mapping(id)->parent_id, &other));
	ck_assert(!engine_another_master(w.engine, id + 1, &other));
}
END_TEST

/* What could not be created in conntrack is none of ours to delete there. */
START_TEST(not_created_is_not_deleted)
{
	struct event ev = { .kind = EV_CLOSE, .reason = REASON_COMMIT_FAILED };
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 635));
	ev.id = world_last(&w, OP_ADMIT)->id;
	world_input(&w, &ev);
	ck_assert_uint_eq(world_last(&w, OP_END)->id, ev.id);
	ck_assert(!world_last(&w, OP_END)->kill);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	/* its retransmission gets another chance */
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 635));
}
END_TEST

/* While nothing lives: the last one that said goodbye, which conntrack keeps for a while. */
START_TEST(master_of_the_linger)
{
	struct tuple query, lock = flow_to(DIR_ORIGINAL, L4_TCP, 700, 662);

	w.l4proto = L4_TCP;
	world_connect(&w);
	query = world_control(&w);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 635);
	if (_i)
		world_segment(&w, DIR_REPLY, 0, NULL, 0, TCP_RST, 0);
	else
		world_hangup(&w);
	/* A datagram flow that ends is gone from conntrack altogether. */
	w.l4proto = L4_UDP;
	(void)asks(RPC_STATUS, 1, L4_TCP, 662);
	control_ends();
	ck_assert(is_master(first(&lock), &query));
	world_packet(&w, EV_END, &lock, TCP_FIN | TCP_ACK);
	query = lock;
	lock.sport++;
	ck_assert(is_master(first(&lock), &query));
	/* When conntrack has forgotten that as well, what remains is what announced the port. */
	world_ct(&w, EV_CT_DESTROY, &query, PINHOLE);
	world_packet(&w, EV_END, &lock, TCP_FIN | TCP_ACK);
	world_ct(&w, EV_CT_DESTROY, &lock, PINHOLE);
	lock.sport++;
	query = world_control(&w);
	ck_assert(is_master(first(&lock), &query));
}
END_TEST

/* A flow that is about to be deleted from conntrack is nobody's master. */
START_TEST(master_is_not_doomed)
{
	struct tuple query = world_control(&w), lock = flow_to(DIR_ORIGINAL, L4_TCP, 900, 40004);
	struct decision d;
	struct event ev = { .kind = EV_CLOSE, .reason = REASON_OPERATOR };
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40004);
	for (uint16_t i = 0; i < 2 * DECISION_OPS; i++)
		ck_assert_ptr_nonnull(connects(L4_TCP, (uint16_t)(700 + i), 635));
	ev.id = id;
	ev.now = w.now;
	engine_input(w.engine, &ev, &w.decision); /* not all of it */
	follow(&w);
	ck_assert(w.decision.more);
	d = w.decision;
	ck_assert_uint_eq(d.n, DECISION_OPS);
	ck_assert(is_master(first(&lock), &query));
}
END_TEST

/* --- the operator, limits, full decisions --------------------------------------------------------
 */

START_TEST(operator_closes_a_mapping)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	for (uint16_t i = 0; i < _i; i++)
		ck_assert_ptr_nonnull(connects(L4_TCP, (uint16_t)(700 + i), 635));
	world_forget(&w);
	operator_closes(id);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 1);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_OPERATOR);
	ck_assert(!world_last(&w, OP_CLOSE)->moved);
	ck_assert_int_eq((int)world_count(&w, OP_END), _i);
	for (unsigned int i = 0; i < w.n; i++)
		ck_assert(w.ops[i].kind != OP_END || w.ops[i].kill);
	/* asked for again, it is open again */
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 635), 0);
}
END_TEST

START_TEST(operator_closes_the_last_of_a_pair)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635), child;

	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 635));
	child = world_last(&w, OP_ADMIT)->id;
	control_ends();
	if (_i == 1) {
		operator_closes(child);
		ck_assert(world_last(&w, OP_END)->kill);
		ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
		world_wait(&w, LINGER);
		ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	}
	operator_closes(id);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_ptr_null(w.engine->pairs.all);
}
END_TEST

/* A hundred mappings fall asleep and wake; none is lost on the way. */
START_TEST(many_sleep_and_wake)
{
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_uint_ne(asks(RPC_MOUNTD, i % 30, i < 50 ? L4_TCP : L4_UDP, 30000 + i) |
				      asks(RPC_NFS, i % 30, i < 50 ? L4_TCP : L4_UDP, 31000 + i),
		    0);
	control_ends();
	ck_assert_uint_gt(stats()->open_pinholes, DECISION_OPS);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_gt(stats()->live_pinholes, DECISION_OPS);
	nfs_begins(800);
	ck_assert_uint_eq(stats()->open_pinholes, stats()->live_pinholes);
	nfs_ends(800);
	world_wait(&w, LINGER);
	world_wait(&w, TTL);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

/* The pair comes back while its mappings are still being put to sleep, and the other way round. */
START_TEST(change_of_mind)
{
	struct tuple nfs = nfs_flow(800);
	struct event ev = { .kind = EV_TICK };

	for (uint32_t i = 0; i < 30; i++)
		(void)(asks(RPC_MOUNTD, i, L4_TCP, 30000 + i) |
		       asks(RPC_NFS, i, L4_TCP, 31000 + i) |
		       asks(RPC_STATUS, i, L4_TCP, 32000 + i));
	control_ends();
	w.now += LINGER;
	ev.now = w.now;
	engine_input(w.engine, &ev, &w.decision);
	follow(&w);
	ck_assert(w.decision.more);
	nfs_begins(800);
	ck_assert_uint_eq(stats()->open_pinholes, 90);
	nfs_ends(800);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ev = (struct event){
		.kind = EV_CT_NEW, .now = w.now, .tuple = nfs, .mark_field = NFS_CONTROL
	};
	engine_input(w.engine, &ev, &w.decision);
	follow(&w);
	ev = (struct event){ .kind = EV_TICK, .now = w.now };
	engine_input(w.engine, &ev, &w.decision);
	follow(&w);
	ck_assert(w.decision.more);
	nfs_ends(800); /* those that have not woken yet stay asleep */
	ck_assert_uint_le(stats()->open_pinholes, DECISION_OPS);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 90);
}
END_TEST

START_TEST(limits)
{
	static const enum reason why[] = { REASON_LIMIT_PINHOLES, REASON_LIMIT_PINHOLES_CLIENT,
		REASON_LIMIT_PINHOLES_SESSION };
	uint32_t *limit[] = { &w.policy.max_pinholes, &w.policy.max_pinholes_client,
		&w.policy.max_pinholes_session };
	struct tuple flow = flow_to(DIR_ORIGINAL, L4_TCP, 700, 30000);

	*limit[_i] = 5;
	engine_set_policy(w.engine, &w.policy);
	for (uint32_t i = 0; i < 10; i++)
		(void)asks(RPC_MOUNTD, i, L4_TCP, 30000 + i);
	ck_assert_uint_eq(stats()->open_pinholes, 5);
	ck_assert_uint_eq(stats()->reasons[why[_i]], 5);
	ck_assert_uint_eq(world_last(&w, OP_REFUSE)->reason, why[_i]);
	/* flows count as well */
	ck_assert_ptr_null(first(&flow));
	ck_assert_uint_eq(stats()->reasons[why[_i]], 6);
	/* what is known already is no more, and a move makes room for itself */
	ck_assert_uint_eq(asks(RPC_MOUNTD, 0, L4_TCP, 30000), 0);
	ck_assert_uint_eq(stats()->reasons[why[_i]], 6);
	ck_assert_uint_ne(asks(RPC_MOUNTD, 0, L4_TCP, 31000), 0);
	if (_i == 0)
		return;
	w.client.bytes[3]++;
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 30000), 0);
}
END_TEST

START_TEST(sessions_are_limited)
{
	w.policy.max_sessions_client = 10;
	engine_set_policy(w.engine, &w.policy);
	for (uint16_t i = 0; i < 20; i++)
		nfs_begins((uint16_t)(800 + i));
	ck_assert_uint_eq(stats()->live_sessions, 10);
	ck_assert_uint_eq(stats()->reasons[REASON_LIMIT_SESSIONS_CLIENT], 10);
}
END_TEST

/* What the configuration no longer allows is not opened again. */
START_TEST(policy_at_waking)
{
	struct service_policy *p = &w.policy.service[PH_SVC_SUNRPC];

	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40005);
	(void)asks(RPC_STATUS, 1, L4_TCP, 40006);
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40007);
	control_ends();
	world_wait(&w, LINGER);
	ck_assert_uint_eq(stats()->live_pinholes, 5);
	p->programs[0] = RPC_STATUS;
	p->programs[1] = RPC_NLOCKMGR;
	p->n_programs = 2;
	p->never[p->n_never++] = 40007;
	p->callbacks = false;
	engine_set_policy(w.engine, &w.policy);
	nfs_begins(800);
	ck_assert(open_at(L4_TCP, 40006));
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_eq(stats()->reasons[REASON_POLICY], 4);
}
END_TEST

/* --- what runs on this host ---------------------------------------------------------------------
 */

static void local(enum event_kind kind, uint32_t program, uint32_t version, enum l4 l4proto,
    uint16_t port, enum family family)
{
	struct event ev = { .kind = kind, .program = program, .version = version };

	if (kind == EV_LOCAL_ADDRESS)
		ev.tuple.dst = w.server;
	else
		ev.tuple.dst.family = (uint8_t)family;
	ev.tuple.dport = port;
	ev.tuple.l4proto = (uint8_t)l4proto;
	world_input(&w, &ev);
}

/* The server is this host. */
static void local_begin(void)
{
	local(EV_LOCAL_BEGIN, 0, 0, 0, 0, 0);
	local(EV_LOCAL_ADDRESS, 0, 0, 0, 0, 0);
}

static void local_program(uint32_t program, uint32_t version, enum l4 l4proto, uint16_t port)
{
	local(EV_LOCAL_PROGRAM, program, version, l4proto, port, (enum family)w.server.family);
}

static void local_end(void)
{
	local(EV_LOCAL_END, 0, 0, 0, 0, 0);
}

static void local_mountd(uint16_t port)
{
	local_begin();
	local_program(RPC_PORTMAP, 2, L4_TCP, 111);
	local_program(RPC_MOUNTD, 3, L4_TCP, port);
	local_program(RPC_MOUNTD, 3, L4_UDP, port);
	local_program(RPC_YPBIND, 2, L4_TCP, 40002);
	local_program(RPC_STATUS, 1, L4_TCP, 22);
	local_end();
}

START_TEST(discovery)
{
	uint32_t old;

	if (_i == 0)
		local_mountd(40001);
	nfs_begins(800);
	if (_i == 1)
		local_mountd(40001);
	ck_assert_uint_eq(stats()->open_pinholes, 2);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->reason, REASON_REGISTERED);
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "mountd v3"));
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 40001));
	old = mapping_at(DIR_ORIGINAL, L4_TCP, 40001)->id;
	/* mountd is restarted */
	world_forget(&w);
	local_mountd(40011);
	ck_assert(open_at(L4_TCP, 40011) && open_at(L4_UDP, 40011));
	ck_assert_uint_eq(state_of(old), PINHOLE_CLOSED);
	ck_assert_uint_eq(stats()->live_pinholes, 2);
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 2);
	ck_assert_uint_eq(world_last(&w, OP_CLOSE)->reason, REASON_UNREGISTERED);
	ck_assert(world_last(&w, OP_CLOSE)->moved);
	ck_assert(world_last(&w, OP_END)->kill && world_last(&w, OP_END)->moved);
	/* the same once more changes nothing */
	world_forget(&w);
	local_mountd(40011);
	ck_assert_uint_eq(w.n, 0);
	/* and gone */
	local_begin();
	local_end();
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

START_TEST(discovery_is_for_nfs_clients_of_this_host)
{
	struct addr server = w.server;

	local_mountd(40001);
	(void)asks(RPC_NFS, 3, L4_TCP, 0); /* asks, but has no NFS flow */
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	w.server.bytes[3]++;
	nfs_begins(800); /* of another server */
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	w.server = server;
	turn_round();
	nfs_begins(800); /* this host is a client */
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	turn_round();
	nfs_begins(801);
	ck_assert_uint_eq(stats()->live_pinholes, 2);
}
END_TEST

/* A client that asked for NFS itself comes in by that mapping, and is a client all the same. */
START_TEST(discovery_for_a_flow_of_a_mapping)
{
	(void)asks(RPC_NFS, 3, L4_TCP, 2049);
	control_ends();
	ck_assert_ptr_nonnull(connects(L4_TCP, 800, 2049));
	local_begin();
	local_program(RPC_NFS, 3, L4_TCP, 2049);
	local_program(RPC_MOUNTD, 3, L4_TCP, 40001);
	local_end();
	ck_assert(open_at(L4_TCP, 40001));
	world_forget(&w);
	local_begin();
	local_program(RPC_NFS, 3, L4_TCP, 2049);
	local_program(RPC_MOUNTD, 3, L4_TCP, 40011);
	local_end();
	ck_assert(open_at(L4_TCP, 40011));
	ck_assert(!open_at(L4_TCP, 40001));
}
END_TEST

/* While the client was away mountd has moved; the old port does not come back with it. */
START_TEST(discovery_at_the_return)
{
	uint32_t asleep;

	local_mountd(40001);
	nfs_begins(800);
	asleep = mapping_at(DIR_ORIGINAL, L4_TCP, 40001)->id;
	nfs_ends(800);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(asleep), PINHOLE_DORMANT);
	world_forget(&w);
	local_mountd(40011);
	ck_assert_uint_eq(stats()->live_pinholes, 0); /* forgotten, and nobody there to open for */
	ck_assert_uint_eq(w.n, 0);
	nfs_begins(801);
	ck_assert(open_at(L4_TCP, 40011) && open_at(L4_UDP, 40011));
	ck_assert_uint_eq(stats()->live_pinholes, 2);
}
END_TEST

START_TEST(discovery_leaves_others_alone)
{
	struct addr server = w.server;
	uint32_t elsewhere, way_back;

	w.server.bytes[3]++;
	elsewhere = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	nfs_begins(800);
	w.server = server;
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	way_back = portmap_of_client(L4_TCP)->id;
	local_mountd(40001);
	ck_assert_uint_eq(state_of(elsewhere), PINHOLE_OPEN);
	ck_assert_uint_eq(state_of(way_back), PINHOLE_OPEN);
	ck_assert(!open_at(L4_TCP, 40021)); /* not registered here */
}
END_TEST

/* As a client: what the server may call back is looked at too, the way to rpcbind is not. */
START_TEST(discovery_of_callbacks)
{
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40021);
	turn_round();
	(void)asks(RPC_NLOCKMGR, 4, L4_TCP, 40099); /* the server asks this host */
	local_begin();
	local_program(RPC_NLOCKMGR, 4, L4_TCP, 40099);
	local_end();
	ck_assert(open_at(L4_TCP, 40099));
	local_begin();
	local_end();
	ck_assert(!open_at(L4_TCP, 40099));
	ck_assert(open_at(L4_TCP, 111) && open_at(L4_UDP, 111));
}
END_TEST

START_TEST(versions_that_are_gone)
{
	uint32_t id;

	nfs_begins(800);
	local_begin();
	local_program(RPC_MOUNTD, 1, L4_TCP, 40001);
	local_program(RPC_MOUNTD, 3, L4_TCP, 40001);
	local_end();
	id = mapping_at(DIR_ORIGINAL, L4_TCP, 40001)->id;
	local_begin();
	local_program(RPC_MOUNTD, 1, L4_TCP, 40001);
	local_program(RPC_MOUNTD, 3, L4_TCP, 40003);
	local_end();
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(mapping(id)->versions, PROGRAM_VERSION(1));
	ck_assert(open_at(L4_TCP, 40003));
	/* what is left of it goes with a move, as any other */
	(void)asks(RPC_MOUNTD, 1, L4_TCP, 40003);
	ck_assert_uint_eq(state_of(id), PINHOLE_CLOSED);
}
END_TEST

START_TEST(discovery_half_told)
{
	nfs_begins(800);
	local_mountd(40001);
	local_begin(); /* rpcbind falls silent */
	world_wait(&w, 1);
	nfs_begins(801);
	world_wait(&w, 1);
	ck_assert(open_at(L4_TCP, 40001));
	ck_assert_uint_eq(world_count(&w, OP_CLOSE), 0);
}
END_TEST

START_TEST(discovery_knows_families)
{
	nfs_begins(800);
	local_begin();
	local(EV_LOCAL_PROGRAM, RPC_MOUNTD, 3, L4_TCP, 40006, FAMILY_IPV6);
	local(EV_LOCAL_PROGRAM, RPC_MOUNTD, 3, L4_TCP, 40004, FAMILY_IPV4);
	local_end();
	ck_assert(open_at(L4_TCP, 40004));
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

START_TEST(discovery_is_limited)
{
	w.policy.max_pinholes_session = 5;
	engine_set_policy(w.engine, &w.policy);
	nfs_begins(800);
	local_begin();
	for (uint32_t v = 0; v < 20; v++)
		local_program(RPC_MOUNTD, v, L4_TCP, (uint16_t)(40000 + v));
	local_end();
	ck_assert_uint_eq(stats()->live_pinholes, 5);
	ck_assert_uint_gt(stats()->reasons[REASON_LIMIT_PINHOLES_SESSION], 0);
	ck_assert_ptr_nonnull(world_last(&w, OP_REFUSE));
}
END_TEST

/* All that one host may have takes several decisions. */
START_TEST(discovery_of_a_busy_host)
{
	nfs_begins(800);
	local_begin();
	for (uint32_t i = 0; i < 200; i++)
		local_program(i % 2 ? RPC_MOUNTD : RPC_NFS, i / 4 % 31, i & 2 ? L4_TCP : L4_UDP,
		    (uint16_t)(40000 + i));
	local_end();
	ck_assert_uint_eq(stats()->open_pinholes, 200);
	local_begin();
	for (uint32_t i = 0; i < 200; i++)
		local_program(i % 2 ? RPC_MOUNTD : RPC_NFS, i / 4 % 31, i & 2 ? L4_TCP : L4_UDP,
		    (uint16_t)(41000 + i));
	local_end();
	ck_assert_uint_eq(stats()->open_pinholes, 200);
	ck_assert(open_at(L4_UDP, 41000));
}
END_TEST

/* A program takes the port of another, at a moment when the decision is full. */
START_TEST(ports_change_hands)
{
	nfs_begins(800);
	for (int turn = 0; turn < 4; turn++) {
		local_begin();
		for (uint32_t i = 0; i < 150; i++)
			local_program((i + (uint32_t)turn) % 2 ? RPC_MOUNTD : RPC_NFS, i % 31,
			    L4_TCP, (uint16_t)(40000 + i));
		local_end();
		ck_assert_uint_eq(stats()->open_pinholes, 150);
		for (uint32_t i = 0; i < 150; i++)
			ck_assert_uint_eq(
			    mapping_at(DIR_ORIGINAL, L4_TCP, (uint16_t)(40000 + i))->program,
			    (i + (uint32_t)turn) % 2 ? RPC_MOUNTD : RPC_NFS);
	}
}
END_TEST

static void clients_begin(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		w.client.bytes[2] = (uint8_t)(i >> 8);
		w.client.bytes[3] = (uint8_t)i;
		nfs_begins(800);
	}
}

static void local_programs(uint32_t n, uint16_t port)
{
	local_begin();
	for (uint32_t i = 0; i < n; i++)
		local_program(
		    i % 2 ? RPC_MOUNTD : RPC_NLOCKMGR, i / 2, L4_TCP, (uint16_t)(port + i));
	local_end();
}

/* However the openings of the pairs fall on decisions, none is left out. */
START_TEST(discovery_for_many_clients)
{
	uint32_t n = (uint32_t)_i;

	clients_begin(70);
	local_programs(n, 40000);
	ck_assert_uint_eq(stats()->open_pinholes, 70 * n);
	local_programs(n, 41000);
	ck_assert_uint_eq(stats()->open_pinholes, 70 * n);
	ck_assert_uint_eq(stats()->reasons[REASON_UNREGISTERED], 70 * n);
	ck_assert_uint_eq(stats()->reasons[REASON_LIMIT_BURST], 0);
}
END_TEST

START_TEST(discovery_for_1000_clients)
{
	w.after = NULL; /* a thousand decisions over ten thousand pinholes: looked at at the end */
	clients_begin(1000);
	local_programs(10, 40000);
	ck_assert_uint_eq(stats()->open_pinholes, 10000);
	local_programs(10, 41000);
	ck_assert_uint_eq(stats()->open_pinholes, 10000);
	local_programs(0, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 0);
	ck_assert(!w.decision.more);
}
END_TEST

/* --- resync --------------------------------------------------------------------------------------
 */

START_TEST(resync)
{
	struct tuple control = world_control(&w), nfs = nfs_flow(800);
	struct tuple mount = flow_to(DIR_ORIGINAL, L4_TCP, 700, 635);
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);
	bool lives = _i;

	nfs_begins(800);
	ck_assert_ptr_nonnull(first(&mount));
	world_ct(&w, EV_RESYNC, NULL, 0);
	if (_i & 1)
		world_ct(&w, EV_CT_ALIVE, &control, RPC_CONTROL);
	if (_i & 2)
		world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	if (_i & 4)
		world_ct(&w, EV_CT_ALIVE, &mount, PINHOLE);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_int_eq((int)stats()->live_sessions, (_i & 1) + (_i >> 1 & 1));
	ck_assert_int_eq((int)stats()->live_pinholes, 1 + (_i >> 2));
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), lives ? PINHOLE_OPEN : PINHOLE_DORMANT);
}
END_TEST

START_TEST(resync_learns_what_was_missed)
{
	struct tuple mount = flow_to(DIR_ORIGINAL, L4_TCP, 700, 635), nfs = nfs_flow(800);
	struct tuple control = world_control(&w);
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, RPC_CONTROL);
	world_ct(&w, EV_CT_ALIVE, &mount, PINHOLE);
	world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_uint_eq(stats()->live_sessions, 2);
	ck_assert_uint_eq(world_last(&w, OP_ADMIT)->flow.sport, 700);
	ck_assert_uint_eq(mapping(world_last(&w, OP_ADMIT)->id)->parent_id, id);
}
END_TEST

/*
 * In `mark` mode the kernel lets a flow in on its own, and may have done so in the moment in which
 * the mapping fell asleep: the flow is there, so the hosts are awake.
 */
START_TEST(let_in_while_falling_asleep)
{
	struct tuple mount = flow_to(DIR_ORIGINAL, L4_TCP, 700, 635);
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	control_ends();
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
	world_ct(&w, EV_CT_NEW, &mount, PINHOLE);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	ck_assert_uint_eq(mapping(world_last(&w, OP_ADMIT)->id)->parent_id, id);
	operator_closes(id);
	ck_assert(world_last(&w, OP_END)->kill);
}
END_TEST

/* A datagram from port 0 is nobody's first packet. */
START_TEST(from_port_zero)
{
	struct tuple odd = flow_to(DIR_ORIGINAL, L4_UDP, 0, 635), fine = odd;

	(void)asks(RPC_MOUNTD, 3, L4_UDP, 635);
	world_ct(&w, EV_CT_NEW, &odd, PINHOLE);
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &odd, PINHOLE);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	fine.sport = 700;
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 0);
	(void)asks(RPC_MOUNTD, 3, L4_UDP, 635);
	ck_assert_ptr_nonnull(first(&fine));
}
END_TEST

/* --- restart -------------------------------------------------------------------------------------
 */

static struct restored_pinhole remembered(uint32_t program, uint32_t version, uint16_t port)
{
	return (struct restored_pinhole){
		.master = world_control(&w),
		.flow = flow_to(DIR_ORIGINAL, L4_TCP, 0, port),
		.dport_hi = port,
		.service = PH_SVC_SUNRPC,
		.many = true,
		.program = program,
		.versions = PROGRAM_VERSION(version),
		.cause = "GETPORT",
	};
}

static void restore(const struct restored_pinhole *r)
{
	kernel.claims = true;
	ck_assert(engine_restore_pinhole(w.engine, w.now, r));
	ck_assert(!engine_restore_pinhole(w.engine, w.now, r)); /* twice */
}

static void resynced(void)
{
	kernel.claims = false;
	world_ct(&w, EV_RESYNCED, NULL, 0);
}

START_TEST(restored_sleep_until_their_hosts_live)
{
	struct restored_pinhole r = remembered(RPC_MOUNTD, 3, 635);
	struct tuple nfs = nfs_flow(800);

	restart();
	restore(&r);
	world_ct(&w, EV_RESYNC, NULL, 0);
	if (_i == 0)
		world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	resynced();
	if (_i == 1) {
		ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
		ck_assert_uint_eq(stats()->live_pinholes, 1);
		world_wait(&w, TTL / 2);
		nfs_begins(800);
	}
	if (_i == 2) {
		world_wait(&w, TTL + SECONDS);
		ck_assert_uint_eq(stats()->live_pinholes, 0);
		return;
	}
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 1);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->reason, REASON_RETURNED);
	ck_assert_str_eq(world_last(&w, OP_OPEN)->cause, "GETPORT");
	ck_assert(open_at(L4_TCP, 635));
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 635));
}
END_TEST

/* The session was remembered too, so it is nothing new when conntrack shows it. */
START_TEST(restored_with_their_session)
{
	struct restored_pinhole r = remembered(RPC_MOUNTD, 3, 635);
	struct tuple nfs = nfs_flow(800);

	restart();
	kernel.claims = true;
	ck_assert(engine_restore_session(w.engine, w.now, &nfs, PH_SVC_NFS, false));
	restore(&r);
	world_ct(&w, EV_RESYNC, NULL, 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	if (_i)
		world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	resynced();
	ck_assert_int_eq((int)world_count(&w, OP_OPEN), _i);
	ck_assert_int_eq((int)stats()->live_sessions, _i);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
}
END_TEST

/* Flows of a mapping are in no file; conntrack shows them, in any order. */
START_TEST(restored_flows_are_found_again)
{
	struct restored_pinhole r = remembered(RPC_MOUNTD, 3, 635);
	struct tuple mount = flow_to(DIR_ORIGINAL, L4_TCP, 700, 635), nfs = nfs_flow(800);
	uint32_t id;

	restart();
	restore(&r);
	world_ct(&w, EV_RESYNC, NULL, 0);
	if (_i == 1)
		world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	world_ct(&w, EV_CT_ALIVE, &mount, PINHOLE);
	if (_i == 2)
		world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	resynced();
	ck_assert(open_at(L4_TCP, 635));
	id = mapping_at(DIR_ORIGINAL, L4_TCP, 635)->id;
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(stats()->live_pinholes, 2);
	/* It is a flow like any other: a move ends it, and while it lasts its mapping does. */
	world_wait(&w, TTL);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert(world_last(&w, OP_END)->kill);
}
END_TEST

START_TEST(restored_beyond_a_limit)
{
	struct restored_pinhole r = remembered(RPC_MOUNTD, 3, 635);

	w.policy.max_pinholes = 0;
	restart();
	ck_assert(!engine_restore_pinhole(w.engine, w.now, &r));
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_ptr_null(w.engine->pairs.all);
	ck_assert_ptr_null(w.engine->sessions.clients);
}
END_TEST

START_TEST(restored_under_another_policy)
{
	struct restored_pinhole r = remembered(RPC_MOUNTD, 3, 635);
	struct tuple nfs = nfs_flow(800);

	w.policy.service[PH_SVC_SUNRPC].programs[1] = RPC_YPBIND; /* in the place of mountd */
	restart();
	restore(&r);
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	resynced();
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

/* A resync now and then must not keep alive what sleeps. */
START_TEST(resync_is_no_sign_of_life)
{
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 635);
	control_ends();
	world_wait(&w, LINGER);
	for (int i = 0; i < 60; i++) {
		world_wait(&w, 60 * SECONDS);
		world_ct(&w, EV_RESYNC, NULL, 0);
		world_ct(&w, EV_RESYNCED, NULL, 0);
	}
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

/* --- together with FTP ---------------------------------------------------------------------------
 */

static void ftp_begins(uint16_t sport)
{
	w.service = PH_SVC_FTP;
	w.l4proto = L4_TCP;
	w.port = 21;
	w.sport = sport;
	world_connect(&w);
}

static void rpc_again(void)
{
	w.service = PH_SVC_SUNRPC;
	w.l4proto = L4_UDP;
	w.port = 111;
	w.sport = 40000;
}

static void pasv(unsigned int port)
{
	char line[80];

	world_says(&w, DIR_ORIGINAL, "PASV\r\n");
	(void)snprintf(line, sizeof(line), "227 x (198,51,100,2,%u,%u)\r\n", port >> 8, port & 255);
	world_says(&w, DIR_REPLY, line);
}

static void goes_to_tls(void)
{
	world_says(&w, DIR_ORIGINAL, "AUTH TLS\r\n");
	world_says(&w, DIR_REPLY, "234 go\r\n");
}

static void tls_windows(void)
{
	w.policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	engine_set_policy(w.engine, &w.policy);
}

/* The port of a sleeping, lingering or live mapping is announced by FTP: it is FTP's now. */
START_TEST(ftp_takes_the_port)
{
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	if (_i)
		control_ends();
	if (_i == 2)
		world_wait(&w, LINGER);
	ftp_begins(41000);
	pasv(40001);
	ck_assert(open_at(L4_TCP, 40001));
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	ck_assert_uint_eq(world_last(&w, OP_OPEN)->service, PH_SVC_FTP);
	world_hangup(&w);
	rpc_again();
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert(open_at(L4_TCP, 40001));
}
END_TEST

START_TEST(mapping_takes_the_port_of_ftp)
{
	ftp_begins(41000);
	pasv(40001);
	rpc_again();
	ck_assert_uint_ne(asks(RPC_MOUNTD, 3, L4_TCP, 40001), 0);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* A port window is neither a mapping nor in the way of one. */
START_TEST(mapping_within_a_window)
{
	uint32_t id;

	tls_windows();
	ftp_begins(41000);
	goes_to_tls();
	ck_assert_uint_eq(stats()->open_pinholes, 1);
	rpc_again();
	id = asks(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_ne(id, 0);
	ck_assert_uint_eq(stats()->open_pinholes, 2);
	ck_assert_uint_eq(mapping(id)->program, RPC_MOUNTD);
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 40001));
	ck_assert_uint_eq(mapping(world_last(&w, OP_ADMIT)->id)->parent_id, id);
	ck_assert_ptr_nonnull(connects(L4_TCP, 700, 40002));
	ck_assert_uint_ne(mapping(world_last(&w, OP_ADMIT)->id)->parent_id, id);
	(void)asks(RPC_MOUNTD, 3, L4_TCP, 40003);
	ck_assert_uint_eq(state_of(id), PINHOLE_CLOSED);
	ck_assert_uint_eq(stats()->open_pinholes, 2);
}
END_TEST

START_TEST(window_around_a_mapping)
{
	uint16_t port = w.policy.service[PH_SVC_FTP].window_lo;
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, port);

	tls_windows();
	for (uint16_t i = 0; i < 3; i++) {
		ftp_begins((uint16_t)(41000 + i));
		goes_to_tls();
		ck_assert_uint_eq(stats()->open_pinholes, 2);
	}
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	for (uint16_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(stats()->open_pinholes, 2);
		w.sport = (uint16_t)(41000 + i);
		world_hangup(&w);
	}
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

START_TEST(discovery_leaves_windows_alone)
{
	tls_windows();
	ftp_begins(41000);
	goes_to_tls();
	rpc_again();
	nfs_begins(800);
	local_mountd(40001);
	ck_assert_uint_eq(stats()->open_pinholes, 3);
	local_begin();
	local_end();
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* The encrypted session is a flow of its hosts like any other: mappings linger once it has ended.
 */
START_TEST(window_and_linger)
{
	uint32_t id = asks(RPC_MOUNTD, 3, L4_TCP, 635);

	tls_windows();
	control_ends();
	if (_i)
		world_wait(&w, LINGER);
	ftp_begins(41000);
	goes_to_tls();
	world_wait(&w, TTL);
	ck_assert_uint_eq(state_of(id), PINHOLE_OPEN);
	world_hangup(&w);
	world_wait(&w, LINGER);
	ck_assert_uint_eq(state_of(id), PINHOLE_DORMANT);
}
END_TEST

/* A restored window waits for its own session; that others of its hosts live says nothing. */
START_TEST(restored_window_waits)
{
	struct tuple ftp, nfs = nfs_flow(800);

	tls_windows();
	ftp_begins(41000);
	ftp = world_control(&w);
	rpc_again();
	restart();
	kernel.claims = true;
	ck_assert(engine_restore_session(w.engine, w.now, &ftp, PH_SVC_FTP, true));
	ck_assert(engine_restore_session(w.engine, w.now, &nfs, PH_SVC_NFS, false));
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	nfs.sport++;
	world_ct(&w, EV_CT_ALIVE, &nfs, NFS_CONTROL);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	if (_i)
		world_ct(&w, EV_CT_ALIVE, &ftp, PH_MARK_F_CONTROL | PH_SVC_FTP);
	resynced();
	ck_assert_int_eq((int)world_count(&w, OP_OPEN), _i);
	ck_assert_int_eq((int)stats()->open_pinholes, _i);
}
END_TEST

/* Control ports within the window: a session that its own window would let in. */
START_TEST(session_in_its_own_window)
{
	struct tuple control;

	tls_windows();
	ftp_begins(41000);
	w.port = 50000;
	world_connect(&w);
	control = world_control(&w);
	goes_to_tls();
	world_packet(&w, EV_FIRST, &control, TCP_SYN);
	world_hangup(&w);
	w.port = 21;
	world_hangup(&w);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mapping");
	TCase *t = tcase_create("life");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, lingers_sleeps_and_is_forgotten);
	tcase_add_test(t, nfs_keeps_it_awake);
	tcase_add_loop_test(t, returns, 0, 3);
	tcase_add_test(t, returns_within_the_linger);
	tcase_add_loop_test(t, nfs_says_goodbye, 0, 2);
	tcase_add_test(t, returns_as_it_falls_asleep);
	tcase_add_loop_test(t, its_own_flow_keeps_it_awake, 0, 2);
	tcase_add_test(t, other_hosts_are_no_reason);
	tcase_add_test(t, tcp_query_ends_with_its_last_fin);
	tcase_add_test(t, moved);
	tcase_add_test(t, moved_all_the_time);
	tcase_add_test(t, moved_while_asleep);
	tcase_add_test(t, transports_are_apart);
	tcase_add_test(t, versions_with_ports_of_their_own);
	tcase_add_test(t, versions_at_one_port);
	tcase_add_test(t, moved_with_many_flows);
	tcase_add_test(t, nlockmgr_opens_the_way_back);
	tcase_add_test(t, refused_nlockmgr_opens_no_way_back);
	tcase_add_test(t, callbacks_off);
	tcase_add_loop_test(t, callback, 0, 2);
	tcase_add_test(t, callback_flow_ends_before_its_session);
	tcase_add_test(t, callback_closed_by_operator);
	tcase_add_test(t, master_is_a_live_flow);
	tcase_add_loop_test(t, master_was_heard_of_last, 0, 2);
	tcase_add_test(t, not_created_is_not_deleted);
	tcase_add_loop_test(t, master_of_the_linger, 0, 2);
	tcase_add_test(t, master_is_not_doomed);
	tcase_add_loop_test(t, operator_closes_a_mapping, 0, 150);
	tcase_add_loop_test(t, operator_closes_the_last_of_a_pair, 0, 2);
	tcase_add_test(t, many_sleep_and_wake);
	tcase_add_test(t, change_of_mind);
	tcase_add_loop_test(t, limits, 0, 3);
	tcase_add_test(t, sessions_are_limited);
	tcase_add_test(t, policy_at_waking);
	suite_add_tcase(s, t);

	t = tcase_create("discovery");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, discovery, 0, 2);
	tcase_add_test(t, discovery_is_for_nfs_clients_of_this_host);
	tcase_add_test(t, discovery_for_a_flow_of_a_mapping);
	tcase_add_test(t, discovery_at_the_return);
	tcase_add_test(t, discovery_leaves_others_alone);
	tcase_add_test(t, discovery_of_callbacks);
	tcase_add_test(t, versions_that_are_gone);
	tcase_add_test(t, discovery_half_told);
	tcase_add_test(t, discovery_knows_families);
	tcase_add_test(t, discovery_is_limited);
	tcase_add_test(t, discovery_of_a_busy_host);
	tcase_add_test(t, ports_change_hands);
	tcase_add_loop_test(t, discovery_for_many_clients, 1, 14);
	tcase_add_test(t, discovery_for_1000_clients);
	suite_add_tcase(s, t);

	t = tcase_create("resync, restart, FTP");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, resync, 0, 8);
	tcase_add_test(t, resync_learns_what_was_missed);
	tcase_add_test(t, let_in_while_falling_asleep);
	tcase_add_test(t, from_port_zero);
	tcase_add_loop_test(t, restored_sleep_until_their_hosts_live, 0, 3);
	tcase_add_loop_test(t, restored_with_their_session, 0, 2);
	tcase_add_loop_test(t, restored_flows_are_found_again, 0, 3);
	tcase_add_test(t, restored_beyond_a_limit);
	tcase_add_test(t, restored_under_another_policy);
	tcase_add_test(t, resync_is_no_sign_of_life);
	tcase_add_loop_test(t, ftp_takes_the_port, 0, 3);
	tcase_add_test(t, mapping_takes_the_port_of_ftp);
	tcase_add_test(t, mapping_within_a_window);
	tcase_add_test(t, window_around_a_mapping);
	tcase_add_test(t, discovery_leaves_windows_alone);
	tcase_add_loop_test(t, window_and_linger, 0, 2);
	tcase_add_loop_test(t, restored_window_waits, 0, 2);
	tcase_add_test(t, session_in_its_own_window);
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
