// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rpcbind through the whole engine: the input is a script of datagrams and in-order TCP segments,
 * of both directions, between two hosts. Whatever it says, what opens is between these two, at a
 * port that policy does not forbid, of a program that it allows; and the other way round only to
 * rpcbind itself.
 */
#include <assert.h>
#include <string.h>
#include "engine.h"

static const uint8_t key[HASH_KEY_LEN];
static const uint8_t ends[2][4] = { { 192, 0, 2, 1 }, { 198, 51, 100, 2 } };

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

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v & 0xffff);
}

static size_t put_packet(uint8_t *packet, enum l4 l4, enum dir dir, uint32_t seq, uint8_t flags,
    const uint8_t *bytes, size_t len)
{
	static const uint16_t ports[2] = { 700, 111 };
	size_t header = l4 == L4_TCP ? 20 : 8;
	uint8_t *p = packet;

	p = put16(p, 0x4500);
	p = put16(p, (uint32_t)(20 + header + len));
	p = put32(p, 0x00014000);
	p = put16(p, 64u << 8 | l4);
	p = put16(p, 0);
	memcpy(p, ends[dir], 4);
	memcpy(p + 4, ends[!dir], 4);
	p = put16(p + 8, ports[dir]);
	p = put16(p, ports[!dir]);
	if (l4 == L4_TCP) {
		p = put32(put32(p, seq), 0);
		p = put16(p, 5u << 12 | flags);
		p = put32(put16(p, 1000), 0);
	} else {
		p = put32(p, (uint32_t)(8 + len) << 16);
	}
	memcpy(p, bytes, len);
	return (size_t)(p - packet) + len;
}

static bool never(const struct service_policy *p, uint16_t port)
{
	for (unsigned int i = 0; i < p->n_never; i++)
		if (p->never[i] == port)
			return true;
	return false;
}

static void check(const struct engine *e, const struct decision *d)
{
	const struct policy *policy = engine_policy(e);

	for (unsigned int i = 0; i < d->n; i++) {
		const struct op *op = &d->ops[i];
		bool toward_server = memcmp(op->flow.dst.bytes, ends[1], 4) == 0;

		if (op->kind != OP_OPEN)
			continue;
		assert(op->many && op->flow.sport == 0 && op->flow.dport == op->dport_hi);
		assert(op->flow.l4proto == L4_TCP || op->flow.l4proto == L4_UDP);
		assert(!memcmp(op->flow.src.bytes, ends[!toward_server], 4));
		assert(toward_server || !memcmp(op->flow.dst.bytes, ends[0], 4));
		assert(op->control == !toward_server);
		if (op->control) {
			assert(op->flow.dport == 111);
			continue;
		}
		assert(policy_program_allowed(policy, PH_SVC_SUNRPC, op->program));
		assert(!never(&policy->service[PH_SVC_SUNRPC], op->flow.dport));
	}
	assert(engine_stats(e)->live_sessions <= 2);
	assert(engine_stats(e)->live_pinholes <= policy->max_pinholes_session);
}

static void ticks(struct engine *e, struct decision *d, uint64_t now)
{
	do {
		struct event ev = { .kind = EV_TICK, .now = now };

		engine_input(e, &ev, d);
		check(e, d);
	} while (d->more);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { .at = data, .left = size };
	uint32_t seq[2] = { 100, 5000 };
	static struct decision d;
	struct policy policy;
	struct engine *e;
	uint64_t now = 1;

	policy_defaults(&policy);
	e = engine_new(&policy, key);
	for (enum dir dir = DIR_ORIGINAL; dir <= DIR_REPLY; dir++) {
		uint8_t packet[64];
		struct event ev = { .kind = EV_COPY,
			.now = now,
			.service = PH_SVC_SUNRPC,
			.dir = dir,
			.l3 = packet };

		ev.len = put_packet(packet, L4_TCP, dir, seq[dir]++,
		    dir == DIR_ORIGINAL ? TCP_SYN : TCP_SYN | TCP_ACK, packet, 0);
		engine_input(e, &ev, &d);
	}
	while (s.left) {
		uint8_t packet[64 + 1023], control = take(&s);
		enum dir dir = control & 1 ? DIR_REPLY : DIR_ORIGINAL;
		enum l4 l4 = control & 2 ? L4_TCP : L4_UDP;
		size_t len = take(&s) | (control & 0x0cu) << 6;
		struct event ev = { .kind = EV_PACKET,
			.now = now,
			.service = PH_SVC_SUNRPC,
			.dir = dir,
			.l3 = packet };

		if (len > s.left)
			len = s.left;
		ev.len = put_packet(packet, l4, dir, seq[dir], TCP_ACK, s.at, len);
		if (l4 == L4_TCP)
			seq[dir] += (uint32_t)len;
		s.at += len;
		s.left -= len;
		engine_input(e, &ev, &d);
		check(e, &d);
		now += control & 0x40 ? 61 * NSEC_PER_SEC : 1;
		ticks(e, &d, now);
	}
	engine_free(e);
	return 0;
}
