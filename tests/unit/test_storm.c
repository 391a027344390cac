// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Thousands of random events, of which most make sense and some do not: a few hosts with few ports,
 * so that everything meets everything. After each decision what the kernel would hold is compared
 * with what the engine believes (lib/kernel.h), and every opening with what the configuration
 * allows; at the end all flows end, and nothing may be left. The seeds are printed; PH_SEED sets
 * another first one, PH_STORM the number of events.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bfd.h"
#include "lib/kernel.h"
#include "lib/rpc.h"
#include "lib/world.h"

#define STORMS      16
#define EVENTS      4000
#define CONNECTIONS 12

static struct world w;
static struct kernel kernel;
static struct message call, answer, stream;
static struct addr hosts[5]; /* three clients, this host, another server */
static uint32_t xid;
static uint64_t seed, state;

static struct connection {
	struct addr client, server;
	enum ph_service service;
	uint16_t sport;
	uint32_t seq[2];
} connections[CONNECTIONS];

static const uint16_t ports[] = { 111, 2049, 635, 40000, 40001, 40002, 40003, 32768, 22 };
static const uint32_t programs[] = { RPC_NFS, RPC_MOUNTD, RPC_NLOCKMGR, RPC_STATUS, RPC_YPBIND };

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(next_random() % n);
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

static uint16_t some_port(void)
{
	return ports[below(sizeof(ports) / sizeof(ports[0]))];
}

static uint32_t some_program(void)
{
	return programs[below(sizeof(programs) / sizeof(programs[0]))];
}

static enum l4 some_l4(void)
{
	return chance(60) ? L4_TCP : L4_UDP;
}

/* --- what is true after every decision ----------------------------------------------------------
 */

static void was_allowed(const struct op *op)
{
	const struct service_policy *p = &w.policy.service[op->service];

	must(op->flow.src.family == op->flow.dst.family);
	if (op->service == PH_SVC_BFD) {
		must(!op->many && !op->program && op->flow.l4proto == L4_UDP);
		if (op->flow.dport == 3785)
			must(p->echo && addr_equal(&op->flow.src, &op->flow.dst) ==
					    (op->flow.src.family == FAMILY_IPV4));
		else
			must(op->flow.dport == 3784 || op->flow.dport == 4784);
		must(policy_peer_allowed(&w.policy, PH_SVC_BFD, &op->master.dst));
		if (op->flow.dport == 3785)
			return;
	}
	must(!addr_equal(&op->flow.src, &op->flow.dst));
	if (op->service != PH_SVC_SUNRPC)
		return;
	must(op->many && op->program);
	if (op->control) {
		must(p->callbacks && op->flow.dport == 111);
		return;
	}
	must(policy_program_allowed(&w.policy, PH_SVC_SUNRPC, op->program));
	for (unsigned int i = 0; i < p->n_never; i++)
		must(op->flow.dport != p->never[i]);
}

static void follow(struct world *world)
{
	kernel_follow(&kernel, world);
	for (unsigned int i = 0; i < world->decision.n; i++)
		if (world->decision.ops[i].kind == OP_OPEN)
			was_allowed(&world->decision.ops[i]);
}

/* --- who and what --------------------------------------------------------------------------------
 */

/* A client and a server; now and then the other way round. */
static void some_hosts(void)
{
	w.client = hosts[below(3)];
	w.server = hosts[3 + (chance(70) ? 0 : 1)];
	if (chance(15)) {
		struct addr client = w.client;

		w.client = w.server;
		w.server = client;
	}
}

static struct tuple some_flow(enum l4 l4proto, uint16_t dport)
{
	struct tuple t;

	some_hosts();
	t = world_data(&w, DIR_ORIGINAL, (uint16_t)(700 + below(8)), dport);
	t.l4proto = (uint8_t)l4proto;
	return t;
}

static const struct pinhole *some_pinhole(void)
{
	const struct pinhole *p = engine_first_pinhole(w.engine);

	if (!p)
		return NULL;
	for (uint32_t n = below(engine_stats(w.engine)->live_pinholes); n && engine_next_pinhole(p);
	     n--)
		p = engine_next_pinhole(p);
	return p;
}

static const struct session *some_session(void)
{
	const struct session *s = engine_first_session(w.engine);

	if (!s)
		return NULL;
	for (uint32_t n = below(engine_stats(w.engine)->live_sessions); n && engine_next_session(s);
	     n--)
		s = engine_next_session(s);
	return s;
}

/* --- control sessions ----------------------------------------------------------------------------
 */

static void rpc_over(enum l4 l4proto)
{
	w.service = PH_SVC_SUNRPC;
	w.l4proto = l4proto;
	w.port = 111;
}

static void make_exchange(void)
{
	uint32_t program = some_program(), version = 1 + below(4);
	char text[ADDR_TEXT + 16], host[ADDR_TEXT];
	uint16_t port = some_port();

	xid++;
	switch (below(4)) {
	case 0:
		rpcb_ask(&call, xid, 4, RPCB_GETADDR, program, version, "tcp");
		(void)snprintf(text, sizeof(text), "%s.%u.%u",
		    addr_format(chance(90) ? &w.server : &hosts[below(5)], host), port >> 8,
		    port & 255);
		rpcb_uaddr(&answer, xid, text);
		break;
	case 1:
		rpc_call(&call, xid, 2, PMAP_DUMP);
		rpc_reply(&answer, xid, RPC_SUCCESS);
		for (uint32_t n = below(chance(5) ? 100 : 8); n; n--)
			pmap_entry(&answer, some_program(), 1 + below(4), some_l4(), some_port());
		rpc_list_end(&answer);
		break;
	default:
		pmap_getport(&call, xid, program, version, some_l4());
		pmap_port(&answer, xid, chance(95) ? port : below(0xffffffff));
		break;
	}
}

static void tcp_message(enum dir dir, const struct message *m)
{
	stream.len = 0;
	rpc_record(&stream, m, chance(80) ? RPC_MAX : 1 + below(50));
	world_says_chopped(
	    &w, dir, (char *)stream.bytes, stream.len, chance(80) ? RPC_MAX : 1 + below(50));
}

static void udp_query(void)
{
	some_hosts();
	rpc_over(L4_UDP);
	w.sport = (uint16_t)(900 + below(4));
	make_exchange();
	world_datagram(&w, DIR_ORIGINAL, call.bytes, call.len);
	if (chance(90))
		world_datagram(&w, DIR_REPLY, answer.bytes, answer.len);
	if (chance(5))
		world_datagram(&w, DIR_REPLY, answer.bytes, answer.len);
}

static void ftp_dialogue(void)
{
	char line[100], host[ADDR_TEXT];
	unsigned int port = some_port();

	if (chance(20)) {
		world_says(&w, DIR_ORIGINAL, "AUTH TLS\r\n");
		world_says(&w, DIR_REPLY, "234 go\r\n");
		return;
	}
	if (chance(30)) {
		(void)snprintf(line, sizeof(line), "EPRT |%d|%s|%u|\r\n",
		    w.client.family == FAMILY_IPV4 ? 1 : 2, addr_format(&w.client, host), port);
		world_says(&w, DIR_ORIGINAL, line);
		return;
	}
	world_says(&w, DIR_ORIGINAL, "EPSV\r\n");
	(void)snprintf(line, sizeof(line), "229 x (|||%u|)\r\n", port);
	world_says(&w, DIR_REPLY, line);
}

/* A connection speaks, whether the engine still knows it or not; or it ends, and another begins. */
static void tcp_session(void)
{
	struct connection *c = &connections[below(CONNECTIONS)];

	if (!c->sport || chance(10)) {
		some_hosts();
		c->client = w.client;
		c->server = w.server;
		c->service = chance(70) ? PH_SVC_SUNRPC : PH_SVC_FTP;
		c->sport = (uint16_t)(1000 + below(16));
	}
	rpc_over(L4_TCP);
	w.client = c->client;
	w.server = c->server;
	w.service = c->service;
	w.port = c->service == PH_SVC_FTP ? 21 : 111;
	w.sport = c->sport;
	memcpy(w.seq, c->seq, sizeof(w.seq));
	if (!engine_first_session(w.engine) || chance(15))
		world_connect(&w);
	if (chance(15)) {
		world_hangup(&w);
		c->sport = 0;
	} else if (c->service == PH_SVC_FTP) {
		ftp_dialogue();
	} else {
		make_exchange();
		tcp_message(DIR_ORIGINAL, &call);
		if (chance(90))
			tcp_message(DIR_REPLY, &answer);
	}
	memcpy(c->seq, w.seq, sizeof(w.seq));
}

static void nfs(void)
{
	struct tuple t = some_flow(L4_TCP, 2049);

	world_ct(&w, chance(50) ? EV_CT_NEW : EV_CT_DESTROY, &t, PH_MARK_F_CONTROL | PH_SVC_NFS);
}

static struct bfd_words some_bfd(void)
{
	static const uint32_t intervals[] = { 0, 50000, 300000, 1000000, 0xffffffffu };
	struct bfd_words b = bfd_down(1 + below(3));

	b.state = (uint8_t)(chance(60) ? BFD_UP : below(4));
	b.your = chance(80) ? 1 + below(3) : 0;
	b.tx = intervals[below(5)];
	b.rx = intervals[below(5)];
	b.echo = chance(50) ? 50000 : 0;
	b.mult = (uint8_t)(chance(95) ? 3 : below(256));
	b.version = chance(97) ? 1 : 2;
	if (chance(3))
		b.length = (int)below(256);
	return b;
}

static void show_bfd(enum event_kind kind, enum dir dir, const struct tuple *t)
{
	struct event ev = { .kind = kind, .service = PH_SVC_BFD, .dir = dir };
	const struct bfd_words b = some_bfd();
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);

	world_udp(
	    &w, &ev, t, chance(95) ? 255 : 254, bytes, chance(97) ? len : below((uint32_t)len));
}

/* Either side speaks, from its port, another, or through what is open; and time passes in between.
 */
static void bfd(void)
{
	const struct pinhole *p;
	struct tuple t = some_flow(L4_UDP, chance(80) ? 3784 : 4784);

	for (uint32_t n = 1 + below(6); n; n--) {
		if (chance(50)) {
			show_bfd(EV_PACKET, DIR_ORIGINAL, &t);
			continue;
		}
		for (p = some_pinhole(); p && !p->lasting; p = engine_next_pinhole(p))
			;
		if (p && chance(80)) {
			struct tuple flow = p->flow;

			if (!flow.sport)
				flow.sport = (uint16_t)(700 + below(8));
			if (p->state == PINHOLE_OPEN && chance(30))
				world_ct(&w, EV_CT_NEW, &flow, PH_MARK_F_PINHOLE | PH_SVC_BFD);
			show_bfd(p->state == PINHOLE_OPEN && chance(70) ? EV_FIRST : EV_PACKET,
			    DIR_REPLY, &flow);
		} else {
			struct tuple back = tuple_invert(&t);

			back.sport = (uint16_t)(700 + below(8));
			back.dport = t.dport;
			show_bfd(chance(50) ? EV_FIRST : EV_PACKET, DIR_REPLY, &back);
		}
		if (chance(30))
			world_wait(&w, below(2000) * (NSEC_PER_SEC / 1000));
	}
}

/* --- flows of pinholes ---------------------------------------------------------------------------
 */

static unsigned int mark_of(const struct tuple *t)
{
	return PH_MARK_F_PINHOLE | PH_SVC_SUNRPC | (t->dport == 111 ? PH_MARK_F_CONTROL : 0);
}

/* Mostly one that a pinhole waits for. */
static void first_packet(void)
{
	struct tuple t = some_flow(some_l4(), some_port());
	const struct pinhole *p = some_pinhole();

	if (p && chance(80)) {
		t = p->flow;
		t.sport = (uint16_t)(700 + below(8));
	}
	if (chance(70))
		world_packet(&w, EV_FIRST, &t, TCP_SYN);
	else
		world_ct(&w, EV_CT_NEW, &t, mark_of(&t));
	if (t.dport != 111 || chance(50))
		return;
	/* The way back to a client's rpcbind: what the server asks there. */
	rpc_over((enum l4)t.l4proto);
	w.client = t.src;
	w.server = t.dst;
	w.sport = t.sport;
	make_exchange();
	if (t.l4proto == L4_TCP) {
		world_connect(&w);
		tcp_message(DIR_ORIGINAL, &call);
		tcp_message(DIR_REPLY, &answer);
	} else {
		world_datagram(&w, DIR_ORIGINAL, call.bytes, call.len);
		world_datagram(&w, DIR_REPLY, answer.bytes, answer.len);
	}
}

static void flow_ends(void)
{
	struct tuple t = some_flow(some_l4(), some_port());
	const struct pinhole *p = some_pinhole();

	for (; p && p->state != PINHOLE_BOUND; p = engine_next_pinhole(p))
		;
	if (p && chance(90))
		t = p->flow;
	if (t.l4proto == L4_TCP && chance(50))
		world_packet(&w, EV_END, &t, chance(50) ? TCP_FIN | TCP_ACK : TCP_RST);
	else
		world_ct(&w, EV_CT_DESTROY, &t, mark_of(&t));
}

static void session_ends(void)
{
	const struct session *s = some_session();
	struct tuple t;

	if (!s)
		return;
	t = s->tuple;
	world_ct(&w, EV_CT_DESTROY, &t, 0);
}

/* --- everything else -----------------------------------------------------------------------------
 */

static void operator_closes(void)
{
	const struct pinhole *p = some_pinhole();
	struct event ev = { .kind = EV_CLOSE };

	ev.id = p ? p->id : below(1000);
	ev.reason = chance(50) ? REASON_OPERATOR : REASON_COMMIT_FAILED;
	world_input(&w, &ev);
}

static void local_rpcbind(void)
{
	struct event ev = { .kind = EV_LOCAL_BEGIN };

	world_input(&w, &ev);
	ev = (struct event){ .kind = EV_LOCAL_ADDRESS };
	ev.tuple.dst = hosts[3];
	world_input(&w, &ev);
	for (uint32_t n = below(chance(10) ? 200 : 12); n; n--) {
		ev = (struct event){
			.kind = EV_LOCAL_PROGRAM,
			.program = some_program(),
			.version = 1 + below(4),
		};
		ev.tuple.l4proto = (uint8_t)some_l4();
		ev.tuple.dport = chance(90) ? some_port() : (uint16_t)(1 + below(65535));
		ev.tuple.dst.family = hosts[3].family;
		world_input(&w, &ev);
	}
	if (chance(5))
		return; /* it stopped in the middle */
	ev = (struct event){ .kind = EV_LOCAL_END, .id = chance(10) };
	world_input(&w, &ev);
}

static void time_passes(void)
{
	static const uint64_t spans[] = { 1, 1, 5, 15, 30, 31, 60, 151, 300, 3601 };

	world_wait(&w, spans[below(sizeof(spans) / sizeof(spans[0]))] * NSEC_PER_SEC);
}

static void policy_changes(void)
{
	struct service_policy *p = &w.policy.service[PH_SVC_SUNRPC];

	policy_defaults(&w.policy);
	p->callbacks = chance(80);
	if (chance(30))
		p->programs[below(p->n_programs)] = RPC_YPBIND;
	if (chance(20))
		p->never[0] = some_port();
	if (chance(20))
		p->linger = 1;
	if (chance(50))
		w.policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	w.policy.service[PH_SVC_BFD].echo = chance(80);
	w.policy.service[PH_SVC_BFD].far_min_ttl = (uint8_t)(chance(50) ? 0 : 255);
	if (chance(30))
		w.policy.service[PH_SVC_BFD].peers[w.policy.service[PH_SVC_BFD].n_peers++] =
		    (struct prefix){ .addr = hosts[below(5)],
			    .bits = (uint8_t)(8 * addr_len(&hosts[0])) };
	if (chance(20))
		w.policy.max_pinholes = 1 + below(20);
	if (chance(20))
		w.policy.max_pinholes_client = 1 + below(20);
	if (chance(20))
		w.policy.max_pinholes_session = 1 + below(10);
	if (chance(20))
		w.policy.max_sessions_client = 1 + below(10);
	engine_set_policy(w.engine, &w.policy);
}

/* Conntrack as it is: most of what the engine knows, some that it does not. */
static void show_conntrack(const struct tuple *flows, const unsigned int *marks, unsigned int n)
{
	struct tuple stranger = some_flow(L4_TCP, 2049);

	world_ct(&w, EV_RESYNC, NULL, 0);
	for (unsigned int i = 0; i < n; i++)
		if (chance(80))
			world_ct(&w, EV_CT_ALIVE, &flows[i], marks[i]);
	if (chance(50))
		world_ct(&w, EV_CT_ALIVE, &stranger, PH_MARK_F_CONTROL | PH_SVC_NFS);
	stranger = some_flow(some_l4(), some_port());
	if (chance(50))
		world_ct(&w, EV_CT_ALIVE, &stranger, mark_of(&stranger));
	kernel.claims = false;
	world_ct(&w, EV_RESYNCED, NULL, 0);
}

#define FLOWS 4096

static struct tuple flows[FLOWS];
static unsigned int marks[FLOWS];

static unsigned int known_flows(void)
{
	const struct session *s;
	const struct pinhole *p;
	unsigned int n = 0;

	for (s = engine_first_session(w.engine); s && n < FLOWS; s = engine_next_session(s)) {
		flows[n] = s->tuple;
		marks[n++] = PH_MARK_F_CONTROL | s->service;
	}
	for (p = engine_first_pinhole(w.engine); p && n < FLOWS; p = engine_next_pinhole(p)) {
		if (p->state != PINHOLE_BOUND)
			continue;
		flows[n] = p->flow;
		marks[n++] = PH_MARK_F_PINHOLE | p->service;
	}
	return n;
}

static void resync(void)
{
	unsigned int n = known_flows();

	show_conntrack(flows, marks, n);
}

/* As nft-helper/state.c saves and loads. */
static void restart(void)
{
	static struct restored_pinhole saved[FLOWS];
	static char causes[FLOWS][PINHOLE_CAUSE];
	static bool encrypted[FLOWS];
	const struct session *s;
	const struct pinhole *p;
	unsigned int n = known_flows(), sessions = 0, pinholes = 0;
	uint64_t now = w.now;

	for (s = engine_first_session(w.engine); s; s = engine_next_session(s))
		encrypted[sessions++] = s->encrypted;
	for (p = engine_first_pinhole(w.engine); p && pinholes < FLOWS;
	     p = engine_next_pinhole(p)) {
		if (!p->owner || p->parent_id || p->lasting || (!p->program && p->many))
			continue;
		memcpy(causes[pinholes], p->cause, PINHOLE_CAUSE);
		saved[pinholes] = (struct restored_pinhole){
			.master = p->master,
			.flow = p->flow,
			.dport_hi = p->dport_hi,
			.service = (enum ph_service)p->service,
			.many = p->many,
			.portmap = p->portmap,
			.program = p->program,
			.versions = p->versions,
			.cause = causes[pinholes],
		};
		pinholes++;
	}
	kernel_reset(&kernel);
	world_restart(&w);
	w.now = now + NSEC_PER_SEC;
	kernel.claims = true;
	for (unsigned int i = 0; i < sessions; i++)
		if (!tracker_of((enum ph_service)(marks[i] & PH_MARK_F_SERVICE))->one_way)
			(void)engine_restore_session(w.engine, w.now, &flows[i],
			    (enum ph_service)(marks[i] & PH_MARK_F_SERVICE), encrypted[i]);
	for (unsigned int i = 0; i < pinholes; i++)
		(void)engine_restore_pinhole(w.engine, w.now, &saved[i]);
	/* Flows that were let in are in conntrack, whoever remembers them. */
	for (p = engine_first_pinhole(w.engine); p; p = engine_next_pinhole(p)) {
		const struct op op = { .id = p->id, .flow = p->flow, .dport_hi = p->dport_hi };

		if (p->state == PINHOLE_BOUND)
			put_held(&kernel.flows, &op, p->flow.sport);
	}
	show_conntrack(flows, marks, n);
}

static const struct {
	uint32_t weight;
	void (*happens)(void);
} events[] = {
	{ 200, udp_query },
	{ 200, tcp_session },
	{ 150, nfs },
	{ 200, bfd },
	{ 250, first_packet },
	{ 120, flow_ends },
	{ 60, session_ends },
	{ 30, operator_closes },
	{ 30, local_rpcbind },
	{ 100, time_passes },
	{ 10, policy_changes },
	{ 8, resync },
	{ 4, restart },
};

static void something_happens(void)
{
	uint32_t sum = 0, at;
	unsigned int i = 0;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		sum += events[i].weight;
	at = below(sum);
	for (i = 0; at >= events[i].weight; i++)
		at -= events[i].weight;
	events[i].happens();
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

START_TEST(storm)
{
	uint64_t n = from_environment("PH_STORM", EVENTS);

	seed = from_environment("PH_SEED", 0x5eed0000) + (uint64_t)_i;
	printf("# storm of %llu events, PH_SEED=0x%llx\n", (unsigned long long)n,
	    (unsigned long long)seed);
	(void)fflush(stdout);
	state = seed;
	xid = 0;
	memset(connections, 0, sizeof(connections));
	world_begin(&w, seed % 2 ? FAMILY_IPV6 : FAMILY_IPV4);
	w.after = follow;
	for (unsigned int i = 0; i < 5; i++) {
		hosts[i] = i < 3 ? w.client : w.server;
		hosts[i].bytes[addr_len(&hosts[i]) - 1] = (uint8_t)(10 + i);
	}
	while (n--) {
		world_forget(&w);
		something_happens();
	}
	kernel_dies_out(&kernel, &w);
	kernel_reset(&kernel);
	world_end(&w);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("storm");
	TCase *t = tcase_create("storm");

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, storm, 0, STORMS);
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
