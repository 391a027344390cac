// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TFTP through the whole engine: the input is a script of datagrams of both directions, from a few
 * ports of the client, between first packets and passing time. What is open must always be for UDP,
 * from the server to a port that the client has spoken from, from 1024 up; and never more than one
 * a port.
 *
 * A step is a byte (1: reply, 2 and 4: which client port, 8: first packet to it, 16: half a minute
 * passes), a length and that many bytes.
 */
#include <assert.h>
#include <string.h>
#include "engine.h"

static const uint8_t key[HASH_KEY_LEN];
static const uint16_t ports[] = { 2070, 1023, 1024, 65535 };

static size_t put_packet(uint8_t *p, bool reply, uint16_t client, const uint8_t *bytes, size_t len)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0 };
	static const uint8_t ends[2][4] = { { 192, 0, 2, 1 }, { 198, 51, 100, 2 } };
	const uint16_t sport = reply ? 69 : client, dport = reply ? client : 69;
	size_t total = 28 + len;

	memcpy(p, ip, sizeof(ip));
	p[2] = (uint8_t)(total >> 8);
	p[3] = (uint8_t)total;
	memcpy(p + 12, ends[reply], 4);
	memcpy(p + 16, ends[!reply], 4);
	p[20] = (uint8_t)(sport >> 8);
	p[21] = (uint8_t)sport;
	p[22] = (uint8_t)(dport >> 8);
	p[23] = (uint8_t)dport;
	p[24] = (uint8_t)((8 + len) >> 8);
	p[25] = (uint8_t)(8 + len);
	p[26] = p[27] = 0;
	memcpy(p + 28, bytes, len);
	return total;
}

static void check(const struct engine *e, const struct decision *d)
{
	for (unsigned int i = 0; i < d->n; i++) {
		const struct op *op = &d->ops[i];
		bool known = false;

		assert(memchr(op->cause, 0, sizeof(op->cause)));
		if (op->kind != OP_OPEN)
			continue;
		assert(op->flow.l4proto == L4_UDP && op->flow.sport == 0 && !op->many);
		assert(op->flow.dport >= 1024 && op->flow.dport == op->master.sport);
		assert(op->flow.src.bytes[0] == 198 && op->flow.dst.bytes[0] == 192);
		for (size_t j = 0; j < sizeof(ports) / sizeof(ports[0]); j++)
			known |= op->flow.dport == ports[j];
		assert(known);
	}
	assert(engine_stats(e)->live_sessions <= 4);
	assert(engine_stats(e)->open_pinholes <= 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decision d;
	static uint16_t fresh;
	struct policy policy;
	struct engine *e;
	uint64_t now = 1;

	policy_defaults(&policy);
	e = engine_new(&policy, key);
	while (size >= 2) {
		uint8_t packet[28 + 255], control = data[0];
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		bool first = control & 8;
		struct event ev = {
			.kind = first ? EV_FIRST : EV_PACKET,
			.now = now,
			.service = PH_SVC_TFTP,
			.dir = control & 1 && !first ? DIR_REPLY : DIR_ORIGINAL,
			.l3 = packet,
		};

		ev.len = put_packet(
		    packet, first || control & 1, ports[control >> 1 & 3], data + 2, len);
		if (first && control & 32) { /* from another port than 69 */
			packet[20] = 200;
			packet[21] = (uint8_t)fresh++;
		}
		data += 2 + len;
		size -= 2 + len;
		engine_input(e, &ev, &d);
		check(e, &d);
		now += control & 16 ? 29 * NSEC_PER_SEC : 1;
		do {
			ev = (struct event){ .kind = EV_TICK, .now = now };
			engine_input(e, &ev, &d);
			check(e, &d);
		} while (d.more);
	}
	engine_free(e);
	return 0;
}
