// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FTP through the whole engine: the input is a script of segments, of both directions and any
 * order. Whatever it says, what is open must be of this client and server, a TCP port from 1024 up,
 * and one at a time, and every op must be followed by the bookkeeping that it stands for.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"

static const uint8_t key[HASH_KEY_LEN];

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

static size_t put_packet(uint8_t *p, enum dir dir, uint32_t seq, uint32_t ack, uint8_t flags,
    const uint8_t *bytes, size_t len)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0 };
	static const uint8_t ends[2][4] = { { 192, 0, 2, 1 }, { 198, 51, 100, 2 } };
	static const uint16_t ports[2] = { 40000, 21 };
	size_t total = 40 + len;

	memcpy(p, ip, sizeof(ip));
	p[2] = (uint8_t)(total >> 8);
	p[3] = (uint8_t)total;
	memcpy(p + 12, ends[dir], 4);
	memcpy(p + 16, ends[!dir], 4);
	p[20] = (uint8_t)(ports[dir] >> 8);
	p[21] = (uint8_t)ports[dir];
	p[22] = (uint8_t)(ports[!dir] >> 8);
	p[23] = (uint8_t)ports[!dir];
	for (int i = 0; i < 4; i++) {
		p[24 + i] = (uint8_t)(seq >> (24 - 8 * i));
		p[28 + i] = (uint8_t)(ack >> (24 - 8 * i));
	}
	p[32] = 5 << 4;
	p[33] = flags;
	memset(p + 34, 0, 6);
	memcpy(p + 40, bytes, len);
	return total;
}

static void check(const struct engine *e, const struct decision *d)
{
	const struct policy *policy = engine_policy(e);

	for (unsigned int i = 0; i < d->n; i++) {
		const struct op *op = &d->ops[i];

		if (op->kind != OP_OPEN)
			continue;
		assert(op->flow.l4proto == L4_TCP && op->flow.sport == 0);
		assert(op->flow.dport >= policy->service[PH_SVC_FTP].min_port);
		assert(op->flow.src.bytes[0] == 192 || op->flow.src.bytes[0] == 198);
		assert(!addr_equal(&op->flow.src, &op->flow.dst));
		assert(memchr(op->cause, 0, sizeof(op->cause)));
	}
	assert(engine_stats(e)->open_pinholes <= 1);
	assert(engine_stats(e)->live_sessions <= 1);
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
	if (take(&s) & 1)
		policy.service[PH_SVC_FTP].tls = TLS_WINDOW;
	e = engine_new(&policy, key);
	while (s.left) {
		uint8_t packet[40 + 255], control = take(&s);
		enum dir dir = control & 1 ? DIR_REPLY : DIR_ORIGINAL;
		uint8_t flags = control & 2 ? TCP_SYN : control & 4 ? TCP_FIN | TCP_ACK : TCP_ACK;
		int32_t offset = control & 8 ? (int8_t)take(&s) : 0;
		size_t len = control & 16 ? take(&s) : 0;
		struct event ev = {
			.kind = control & 32 ? EV_COPY : EV_PACKET,
			.now = now,
			.service = PH_SVC_FTP,
			.dir = dir,
			.l3 = packet,
		};

		if (len > s.left)
			len = s.left;
		ev.len = put_packet(packet, dir, seq[dir] + (uint32_t)offset, seq[dir_other(dir)],
		    flags, s.at, len);
		if (!offset)
			seq[dir] += (uint32_t)len + (flags != TCP_ACK);
		s.at += len;
		s.left -= len;
		engine_input(e, &ev, &d);
		check(e, &d);
		now += control & 64 ? 61 * NSEC_PER_SEC : 1;
		do {
			ev = (struct event){ .kind = EV_TICK, .now = now };
			engine_input(e, &ev, &d);
			check(e, &d);
		} while (d.more);
	}
	engine_free(e);
	return 0;
}
