// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each packet becomes the event that the daemon's rules would have made of it: packets of sessions
 * and to control ports are control packets, a SYN or datagram that a pinhole expects is a first
 * packet, FIN and RST of an admitted flow end it. Everything else the kernel would not have shown.
 */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/*
 * Deadlines between two packets are met one by one, so that each closing has its own time; past
 * so many of them (a file whose clock leaps by years) all the rest at once.
 */
#define EXACT_TICKS 64

struct replay {
	struct engine *engine;
	replay_op *op;
	void *arg;
	uint64_t now;
	struct decision decision;
};

static void input(struct replay *r, const struct event *ev)
{
	struct replay_moment at = { .time = ev->now, .frame = ev->frame };

	r->now = ev->now;
	engine_input(r->engine, ev, &r->decision);
	for (unsigned int i = 0; i < r->decision.n; i++)
		r->op(r->arg, &r->decision.ops[i], &at);
}

/* Everything that was due before or at `until` happens. */
static void pass_time(struct replay *r, uint64_t until, uint32_t frame)
{
	for (unsigned int ticks = 0;; ticks++) {
		uint64_t due = engine_deadline(r->engine);
		struct event tick = { .kind = EV_TICK, .now = until, .frame = frame };

		if (due > until)
			break;
		if (ticks < EXACT_TICKS)
			tick.now = due > r->now ? due : r->now;
		input(r, &tick);
		/* A tick that finds nothing to do at its own time will not find anything later. */
		if (!r->decision.n && !r->decision.more && engine_deadline(r->engine) <= tick.now)
			break;
	}
	r->now = until;
}

static bool begins(const struct packet *p)
{
	return p->tuple.l4proto == L4_UDP || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool classify(const struct replay *r, const struct packet *p, struct event *ev)
{
	switch (engine_match(r->engine, &p->tuple, &ev->service, &ev->dir)) {
	case MATCH_CONTROL:
		ev->kind = EV_PACKET;
		return true;
	case MATCH_EXPECTED:
		ev->kind = EV_FIRST;
		return begins(p);
	case MATCH_BOUND:
		ev->kind = EV_END;
		return p->tuple.l4proto == L4_TCP && (p->tcp_flags & (TCP_FIN | TCP_RST));
	case MATCH_SHUT: /* who of two hosts speaks first is taken for the trusted one */
		return false;
	case MATCH_NONE:
		break;
	}
	/* A session begins with its first packet; the middle of an unknown one is nobody's. */
	ev->kind = EV_PACKET;
	ev->dir = DIR_ORIGINAL;
	ev->service = policy_service_of(engine_policy(r->engine), p->tuple.dport);
	return ev->service != PH_SVC_NONE && begins(p);
}

static void replay_packet(
    struct replay *r, const struct capture_packet *pkt, struct replay_summary *summary)
{
	struct event ev = {
		.now = pkt->time > r->now ? pkt->time : r->now,
		.frame = pkt->frame,
		.l3 = pkt->l3,
		.len = pkt->len,
	};
	struct packet p;

	pass_time(r, ev.now, ev.frame);
	switch (packet_decode(pkt->l3, pkt->len, &p)) {
	case PACKET_OK:
		break;
	case PACKET_NOT_OURS:
		return;
	case PACKET_FRAGMENT:
		summary->fragments++;
		return;
	case PACKET_MALFORMED:
		summary->malformed++;
		return;
	}
	summary->packets++;
	if (!classify(r, &p, &ev))
		return;
	input(r, &ev);
	if (r->decision.more)
		pass_time(r, ev.now, ev.frame);
}

int replay_run(struct capture_file *f, const struct policy *policy, replay_op *op, void *arg,
    struct replay_summary *summary, char *error)
{
	struct replay r = { .op = op, .arg = arg };
	uint8_t key[HASH_KEY_LEN] = { 0 };
	struct capture_packet pkt;
	int ret;

	memset(summary, 0, sizeof(*summary));
	/* Whoever made the file should not know how its tuples are hashed. */
	(void)!getrandom(key, sizeof(key), GRND_NONBLOCK);
	r.engine = engine_new(policy, key);
	if (!r.engine) {
		(void)snprintf(error, CAPTURE_ERROR, "out of memory");
		return -ENOMEM;
	}
	while ((ret = capture_next(f, &pkt, error)) > 0)
		replay_packet(&r, &pkt, summary);
	summary->frames = capture_frames(f);
	summary->engine = *engine_stats(r.engine);
	engine_free(r.engine);
	return ret;
}
