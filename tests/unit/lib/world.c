// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets are built byte by byte here, as a peer would, and go in through engine_input() alone.
 */
#include "world.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_MAX (60 + 60 + 0xffff)

static const uint8_t hash_key[HASH_KEY_LEN] = "a key for tests";

static struct addr address(const char *text)
{
	struct addr a;

	ck_assert(addr_parse(text, strlen(text), &a));
	return a;
}

void world_begin(struct world *w, enum family family)
{
	memset(w, 0, sizeof(*w));
	policy_defaults(&w->policy);
	w->client = address(family == FAMILY_IPV4 ? "192.0.2.1" : "2001:db8::1");
	w->server = address(family == FAMILY_IPV4 ? "198.51.100.2" : "2001:db8::2");
	w->service = PH_SVC_FTP;
	w->l4proto = L4_TCP;
	w->sport = 40000;
	w->port = 21;
	world_restart(w);
}

void world_restart(struct world *w)
{
	engine_free(w->engine);
	w->engine = engine_new(&w->policy, hash_key);
	ck_assert_ptr_nonnull(w->engine);
	w->now = NSEC_PER_SEC;
	world_forget(w);
}

void world_end(struct world *w)
{
	engine_free(w->engine);
	w->engine = NULL;
}

void world_forget(struct world *w)
{
	w->n = 0;
}

void world_input(struct world *w, struct event *ev)
{
	struct event tick = { .kind = EV_TICK, .now = w->now };

	ev->now = w->now;
	for (;;) {
		engine_input(w->engine, ev, &w->decision);
		ck_assert_uint_le(w->decision.n, DECISION_OPS);
		for (unsigned int i = 0; i < w->decision.n; i++)
			if (w->n < WORLD_OPS)
				w->ops[w->n++] = w->decision.ops[i];
		if (w->after)
			w->after(w);
		if (!w->decision.more)
			return;
		ev = &tick;
	}
}

struct tuple world_control(const struct world *w)
{
	return (struct tuple){
		.src = w->client,
		.dst = w->server,
		.sport = w->sport,
		.dport = w->port,
		.l4proto = (uint8_t)w->l4proto,
	};
}

struct tuple world_data(const struct world *w, enum dir dir, uint16_t sport, uint16_t dport)
{
	struct tuple t = world_control(w);

	if (dir == DIR_REPLY)
		t = tuple_invert(&t);
	t.sport = sport;
	t.dport = dport;
	return t;
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

static uint8_t *put_ip(uint8_t *p, const struct tuple *t, size_t l4_len)
{
	size_t n = addr_len(&t->src);

	if (t->src.family == FAMILY_IPV4) {
		*p++ = 0x45;
		*p++ = 0;
		p = put16(p, (uint32_t)(20 + l4_len));
		p = put32(p, 0x00004000); /* id, DF */
		*p++ = 64;
		*p++ = t->l4proto;
		p = put16(p, 0);
	} else {
		p = put32(p, 0x60000000);
		p = put16(p, (uint32_t)l4_len);
		*p++ = t->l4proto;
		*p++ = 64;
	}
	memcpy(p, t->src.bytes, n);
	memcpy(p + n, t->dst.bytes, n);
	return p + 2 * n;
}

static size_t put_tcp(uint8_t *packet, const struct tuple *t, uint32_t seq, uint32_t ack,
    uint8_t flags, const void *bytes, size_t len)
{
	uint8_t *p = put_ip(packet, t, 20 + len);

	p = put16(p, t->sport);
	p = put16(p, t->dport);
	p = put32(p, seq);
	p = put32(p, ack);
	*p++ = 5 << 4;
	*p++ = flags;
	p = put32(put16(p, 65535), 0);
	if (len)
		memcpy(p, bytes, len);
	return (size_t)(p - packet) + len;
}

static size_t put_udp(uint8_t *packet, const struct tuple *t, const void *bytes, size_t len)
{
	uint8_t *p = put_ip(packet, t, 8 + len);

	p = put16(p, t->sport);
	p = put16(p, t->dport);
	p = put16(p, (uint32_t)(8 + len));
	p = put16(p, 0);
	if (len)
		memcpy(p, bytes, len);
	return (size_t)(p - packet) + len;
}

static struct tuple control_in(const struct world *w, enum dir dir)
{
	struct tuple t = world_control(w);

	return dir == DIR_REPLY ? tuple_invert(&t) : t;
}

static void control_packet(struct world *w, enum event_kind kind, enum dir dir, uint32_t seq,
    uint32_t ack, uint8_t flags, const void *bytes, size_t len)
{
	static uint8_t packet[PACKET_MAX];
	struct tuple t = control_in(w, dir);
	struct event ev = { .kind = kind, .service = w->service, .dir = dir, .l3 = packet };

	ev.len = put_tcp(packet, &t, seq, ack, flags, bytes, len);
	world_input(w, &ev);
}

void world_datagram(struct world *w, enum dir dir, const void *bytes, size_t len)
{
	static uint8_t packet[PACKET_MAX];
	struct tuple t = control_in(w, dir);
	struct event ev = { .kind = EV_PACKET, .service = w->service, .dir = dir, .l3 = packet };

	ev.len = put_udp(packet, &t, bytes, len);
	world_input(w, &ev);
}

void world_udp(struct world *w, struct event *ev, const struct tuple *t, uint8_t ttl,
    const void *bytes, size_t len)
{
	static uint8_t packet[PACKET_MAX];

	ev->l3 = packet;
	ev->len = put_udp(packet, t, bytes, len);
	packet[t->src.family == FAMILY_IPV4 ? 8 : 7] = ttl;
	world_input(w, ev);
}

void world_connect(struct world *w)
{
	w->seq[DIR_ORIGINAL] = 0xfffffff0u; /* wraps soon */
	w->seq[DIR_REPLY] = 1000;
	control_packet(w, EV_COPY, DIR_ORIGINAL, w->seq[DIR_ORIGINAL]++, 0, TCP_SYN, NULL, 0);
	control_packet(w, EV_COPY, DIR_REPLY, w->seq[DIR_REPLY]++, w->seq[DIR_ORIGINAL],
	    TCP_SYN | TCP_ACK, NULL, 0);
}

void world_hangup(struct world *w)
{
	for (enum dir d = DIR_ORIGINAL; d <= DIR_REPLY; d++)
		control_packet(
		    w, EV_COPY, d, w->seq[d]++, w->seq[dir_other(d)], TCP_FIN | TCP_ACK, NULL, 0);
}

void world_says_chopped(struct world *w, enum dir dir, const char *text, size_t len, size_t chop)
{
	while (len) {
		size_t n = len < chop ? len : chop;

		control_packet(
		    w, EV_PACKET, dir, w->seq[dir], w->seq[dir_other(dir)], TCP_ACK, text, n);
		w->seq[dir] += (uint32_t)n;
		text += n;
		len -= n;
	}
}

void world_says(struct world *w, enum dir dir, const char *text)
{
	world_says_chopped(w, dir, text, strlen(text), 0xffff - 120);
}

void world_segment(struct world *w, enum dir dir, int32_t offset, const void *bytes, size_t len,
    uint8_t flags, uint32_t ack)
{
	control_packet(w, EV_PACKET, dir, w->seq[dir] + (uint32_t)offset, ack, flags, bytes, len);
}

static void bare(struct world *w, struct event *ev, const struct tuple *t, uint8_t flags)
{
	uint8_t packet[128];

	ev->l3 = packet;
	ev->len = t->l4proto == L4_TCP ? put_tcp(packet, t, 1, 0, flags, NULL, 0)
				       : put_udp(packet, t, NULL, 0);
	world_input(w, ev);
}

void world_packet(struct world *w, enum event_kind kind, const struct tuple *t, uint8_t flags)
{
	struct event ev = { .kind = kind };

	bare(w, &ev, t, flags);
}

void world_copy(
    struct world *w, enum ph_service svc, enum dir dir, const struct tuple *t, uint8_t flags)
{
	struct event ev = { .kind = EV_COPY, .service = svc, .dir = dir };

	bare(w, &ev, t, flags);
}

void world_ct(struct world *w, enum event_kind kind, const struct tuple *t, unsigned int field)
{
	struct event ev = { .kind = kind, .mark_field = field };

	if (t)
		ev.tuple = *t;
	world_input(w, &ev);
}

void world_wait(struct world *w, uint64_t ns)
{
	struct event ev = { .kind = EV_TICK };

	w->now += ns;
	world_input(w, &ev);
}

unsigned int world_count(const struct world *w, enum op_kind kind)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->n; i++)
		n += w->ops[i].kind == kind;
	return n;
}

const struct op *world_last(const struct world *w, enum op_kind kind)
{
	for (unsigned int i = w->n; i-- > 0;)
		if (w->ops[i].kind == kind)
			return &w->ops[i];
	return NULL;
}
