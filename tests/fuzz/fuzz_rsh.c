// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rsh and rexec through the whole engine: the input is the service and a script of segments, of
 * both directions and any order. Whatever it says, at most one pinhole is ever opened by a session:
 * from the server to the client, TCP, a port that this service may have. And the engine has to
 * agree with a model of a few lines when the client's bytes come in order.
 */
#include <assert.h>
#include <string.h>
#include "engine.h"

static const uint8_t key[HASH_KEY_LEN];

static size_t put_packet(uint8_t *p, uint16_t port, enum dir dir, uint32_t seq, uint32_t ack,
    uint8_t flags, const uint8_t *bytes, size_t len)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0 };
	static const uint8_t ends[2][4] = { { 192, 0, 2, 1 }, { 198, 51, 100, 2 } };
	const uint16_t ports[2] = { 1023, port };
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

static unsigned int check(const struct engine *e, const struct decision *d, enum ph_service svc)
{
	const struct service_policy *p = &engine_policy(e)->service[svc];
	unsigned int opened = 0;

	for (unsigned int i = 0; i < d->n; i++) {
		const struct op *op = &d->ops[i];

		assert(memchr(op->cause, 0, sizeof(op->cause)));
		if (op->kind != OP_OPEN)
			continue;
		opened++;
		assert(op->service == svc && op->flow.l4proto == L4_TCP && op->flow.sport == 0);
		assert(op->flow.dport >= p->min_port && op->flow.dport <= p->max_port);
		assert(op->flow.src.bytes[0] == 198 && op->flow.dst.bytes[0] == 192 && !op->many);
	}
	assert(engine_stats(e)->live_sessions <= 1);
	assert(engine_stats(e)->open_pinholes <= 1);
	return opened;
}

/* What the client said so far, in order, should have opened: a port, or 0. */
static uint32_t announced(const uint8_t *said, size_t len, const struct service_policy *p)
{
	uint32_t port = 0;

	for (size_t i = 0; i < len && i < 6; i++) {
		if (said[i] == 0)
			return port >= p->min_port && port <= p->max_port ? port : 0;
		if (said[i] < '0' || said[i] > '9' || i == 5)
			return 0;
		port = 10 * port + (said[i] - '0');
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t seq[2] = { 100, 5000 };
	unsigned int opened = 0, sessions = 0;
	static struct decision d;
	bool orderly = true;
	uint8_t said[8];
	size_t n_said = 0;
	struct policy policy;
	struct engine *e;
	enum ph_service svc;
	uint64_t now = 1;

	if (!size)
		return 0;
	policy_defaults(&policy);
	policy.service[PH_SVC_RSH].enabled = policy.service[PH_SVC_REXEC].enabled = true;
	svc = data[0] & 1 ? PH_SVC_REXEC : PH_SVC_RSH;
	data++;
	size--;
	e = engine_new(&policy, key);
	while (size >= 2) {
		uint8_t packet[40 + 255], control = data[0];
		enum dir dir = control & 1 ? DIR_REPLY : DIR_ORIGINAL;
		bool syn = control & 2, fin = control & 4;
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		uint32_t offset = control & 8 ? (uint32_t)(int8_t)control >> 4 : 0;
		uint8_t flags = syn ? TCP_SYN : fin ? TCP_FIN | TCP_ACK : TCP_ACK;
		struct event ev = {
			.kind = control & 32 ? EV_COPY : EV_PACKET,
			.now = now,
			.service = svc,
			.dir = dir,
			.l3 = packet,
		};

		if (syn)
			len = 0;
		ev.len = put_packet(packet, policy.service[svc].ports[0], dir, seq[dir] + offset,
		    seq[!dir], flags, data + 2, len);
		/* Orderly is: one handshake's SYN first, then the client's data, whole. */
		if (syn || fin || offset || control & 32 || dir == DIR_REPLY)
			orderly &= syn && !sessions && dir == DIR_ORIGINAL && !offset && !n_said;
		sessions += syn && dir == DIR_ORIGINAL;
		if (dir == DIR_ORIGINAL)
			for (size_t i = 0; i < len && n_said < sizeof(said); i++)
				said[n_said++] = data[2 + i];
		if (!offset)
			seq[dir] += (uint32_t)len + (syn || fin);
		data += 2 + len;
		size -= 2 + len;
		engine_input(e, &ev, &d);
		opened += check(e, &d, svc);
		now += control & 64 ? 61 * NSEC_PER_SEC : 1;
		do {
			ev = (struct event){ .kind = EV_TICK, .now = now };
			engine_input(e, &ev, &d);
			opened += check(e, &d, svc);
		} while (d.more);
		assert(opened <= sessions);
	}
	if (orderly && sessions == 1)
		assert(opened == (announced(said, n_said, &policy.service[svc]) != 0));
	engine_free(e);
	return 0;
}
