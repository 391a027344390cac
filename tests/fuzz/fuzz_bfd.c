// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BFD through the whole engine: the input is a script of datagrams between two hosts, of which one
 * is trusted, each shown as one of the events that the kernel could make of it. Whatever they say,
 * what opens is for the other's packets to the port of the session, or for echoes; no more of it
 * than the two can have; and nothing is left when both have been silent for as long as it takes.
 *
 * A step: control, sport, length, bytes. Control: bits 0-2 kind, 3 the other port, 4 TTL 254, 5-7
 * how long to wait after it.
 */
#include <assert.h>
#include <string.h>
#include "engine.h"

#define SILENCE_MAX (302 * NSEC_PER_SEC)

static const uint8_t key[HASH_KEY_LEN];
static const uint8_t ours[4] = { 192, 0, 2, 1 }, peers[4] = { 198, 51, 100, 2 };

enum kind { OURS, FIRST, REPLY, NEW, DESTROY, ECHO_OURS, ECHO_PEERS, REVERSED };

struct script {
	const uint8_t *at;
	size_t left;
};

static uint8_t take(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->at++;
}

static uint8_t *put16(uint8_t *p, uint32_t v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

static size_t put_packet(
    uint8_t *packet, const struct tuple *t, uint8_t ttl, const uint8_t *bytes, size_t len)
{
	uint8_t *p = packet;

	p = put16(p, 0x4500);
	p = put16(p, (uint32_t)(28 + len));
	p = put16(put16(p, 1), 0x4000);
	p = put16(p, (uint32_t)ttl << 8 | L4_UDP);
	p = put16(p, 0);
	memcpy(p, t->src.bytes, 4);
	memcpy(p + 4, t->dst.bytes, 4);
	p = put16(p + 8, t->sport);
	p = put16(p, t->dport);
	p = put16(p, (uint32_t)(8 + len));
	p = put16(p, 0);
	if (len)
		memcpy(p, bytes, len);
	return (size_t)(p - packet) + len;
}

static void check_open(const struct engine *e, const struct op *op)
{
	const struct session *s = engine_session(e, op->session_id);

	assert(!op->many && !op->control && op->program == 0);
	assert(op->flow.l4proto == L4_UDP && op->flow.sport == 0);
	assert(op->flow.dport == op->dport_hi);
	assert(op->timeout == engine_policy(e)->service[PH_SVC_BFD].ttl);
	assert(s && tuple_equal(&s->tuple, &op->master));
	if (op->flow.dport == 3785) {
		assert(addr_equal(&op->flow.src, &op->flow.dst) && s->tuple.dport == 3784);
		return;
	}
	assert(op->flow.dport == s->tuple.dport);
	assert(addr_equal(&op->flow.src, &s->tuple.dst));
	assert(addr_equal(&op->flow.dst, &s->tuple.src));
}

static void check(const struct engine *e, const struct decision *d)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (d->ops[i].kind == OP_OPEN)
			check_open(e, &d->ops[i]);
	/* Two ports and two directions. Of echoes one waits for each host, and each session that
	 * had it may have one in use. */
	assert(engine_stats(e)->live_sessions <= 4);
	assert(engine_stats(e)->live_pinholes <= 4 + 4);
	for (const struct pinhole *p = engine_first_pinhole(e); p; p = engine_next_pinhole(p))
		assert(p->lasting && engine_session(e, p->session_id));
}

static void input(struct engine *e, struct event *ev, struct decision *d)
{
	struct event tick = { .kind = EV_TICK, .now = ev->now };

	engine_input(e, ev, d);
	check(e, d);
	while (d->more) {
		engine_input(e, &tick, d);
		check(e, d);
	}
}

static void step(struct engine *e, struct script *s, struct decision *d, uint64_t *now)
{
	static const uint64_t waits[] = { 0, 1, 50, 300, 900, 1000, 6000, 61000 };
	uint8_t packet[28 + 255], control = take(s);
	enum kind kind = (enum kind)(control & 7);
	uint16_t sport = (uint16_t)(49152 + (take(s) & 3)), dport = control & 8 ? 4784 : 3784;
	size_t len = take(s);
	struct event ev = { .kind = EV_PACKET, .service = PH_SVC_BFD, .l3 = packet, .now = *now };
	struct tuple t = {
		.src = addr_ipv4(kind == OURS || kind == ECHO_OURS ? ours : peers),
		.dst = addr_ipv4(kind == OURS || kind == ECHO_PEERS ? peers : ours),
		.sport = sport,
		.dport = kind == ECHO_OURS || kind == ECHO_PEERS ? 3785 : dport,
		.l4proto = L4_UDP,
	};

	if (len > s->left)
		len = s->left;
	ev.len = put_packet(packet, &t, control & 16 ? 254 : 255, s->at, len);
	s->at += len;
	s->left -= len;
	ev.tuple = t;
	ev.mark_field = PH_SVC_BFD | (kind == OURS ? PH_MARK_F_CONTROL : PH_MARK_F_PINHOLE);
	if (kind == REPLY)
		ev.dir = DIR_REPLY;
	else if (kind == NEW)
		ev.kind = EV_CT_NEW;
	else if (kind == DESTROY)
		ev.kind = EV_CT_DESTROY;
	else if (kind != OURS && kind != REVERSED) /* which the firewall accepts, too */
		ev.kind = EV_FIRST;
	input(e, &ev, d);
	*now += waits[control >> 5] * (NSEC_PER_SEC / 1000);
	ev = (struct event){ .kind = EV_TICK, .now = *now };
	input(e, &ev, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { .at = data, .left = size };
	struct event ev = { .kind = EV_TICK };
	static struct decision d;
	struct policy policy;
	struct engine *e;
	uint64_t now = 1;

	policy_defaults(&policy);
	e = engine_new(&policy, key);
	while (s.left)
		step(e, &s, &d, &now);
	ev.now = now + SILENCE_MAX;
	input(e, &ev, &d);
	assert(engine_stats(e)->live_sessions == 0);
	assert(engine_stats(e)->live_pinholes == 0);
	assert(engine_deadline(e) == DEADLINE_NEVER);
	engine_free(e);
	return 0;
}
