// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BFD control packets (RFC 5880 section 4.1), single hop and multihop (RFC 5881, 5883). Our side is
 * the one whose packets the firewall accepts; they ask for the other's to be let in, and both say
 * how long silence is no death. Whether a discriminator, a state or an interval makes sense is
 * judged here; whether the session comes up is the peers' own business.
 */
#include "tracker.h"

#include <stdio.h>

#define BFD_CONTROL 3784 /* single hop; only there may echo packets be asked for (RFC 5883) */
#define BFD_ECHO    3785

#define VERSION     1
#define LENGTH_MIN  24
#define LENGTH_AUTH 26 /* with the shortest authentication section */
#define USEC        1000ull
#define SEC         (1000000 * USEC)

/* In any state but Up packets come once a second, more or less (6.8.3). */
#define HOLD (5 * SEC)

enum state { ADMIN_DOWN, DOWN, INIT, UP };

/* Section 4.1: what took the session down. */
enum diag { DIAG_EXPIRED = 1 };

enum flag { FLAG_AUTH = 0x04, FLAG_MULTIPOINT = 0x01 };

/* What a side has last said of itself. */
struct side {
	bool seen;
	uint8_t state, mult, diag;
	uint32_t discr, your_discr;
	uint32_t desired_tx, required_rx, required_echo; /* us */
};

struct bfd {
	struct side side[2]; /* enum dir: ours, the peer's */
	uint32_t pinhole;    /* for the peer's packets */
	uint32_t echo[2];    /* pinhole for echo packets of this side, or 0 */
};

static const char *const state_words[] = { "admin-down", "down", "init", "up" };

/* --- reading ------------------------------------------------------------------------------------
 */

/* An authentication section has its length behind its type; what is in it is for the peers. */
CURSOR_MUST static bool parse_auth(struct cursor *c)
{
	uint8_t type, len;

	return cursor_u8(c, &type) && cursor_u8(c, &len) && type != 0 && len >= 2 &&
	       cursor_skip(c, len - 2u);
}

/* The checks of 6.8.6 that need no session, in its order. */
CURSOR_MUST static bool parse(struct cursor c, struct side *out)
{
	uint8_t first, flags, length;
	struct cursor at;

	if (!cursor_u8(&c, &first) || first >> 5 != VERSION || !cursor_u8(&c, &flags) ||
	    !cursor_u8(&c, &out->mult) || !cursor_u8(&c, &length))
		return false;
	/* What comes behind the length is not BFD's. */
	if (length < (flags & FLAG_AUTH ? LENGTH_AUTH : LENGTH_MIN) ||
	    !cursor_sub(&c, length - 4u, &at))
		return false;
	if (out->mult == 0 || flags & FLAG_MULTIPOINT)
		return false;
	if (!cursor_be32(&at, &out->discr) || !cursor_be32(&at, &out->your_discr) ||
	    !cursor_be32(&at, &out->desired_tx) || !cursor_be32(&at, &out->required_rx) ||
	    !cursor_be32(&at, &out->required_echo))
		return false;
	if (flags & FLAG_AUTH && !parse_auth(&at))
		return false;
	out->seen = true;
	out->state = flags >> 6;
	out->diag = first & 0x1f;
	return out->discr != 0 && (out->your_discr != 0 || out->state <= DOWN);
}

/* --- judging ------------------------------------------------------------------------------------
 */

/*
 * How long this side may be silent before the other one takes it for dead (6.8.4): its own
 * multiplier, and the slower of what it wants to send and what the other can take.
 */
static uint64_t detection(const struct bfd *b, enum dir dir)
{
	const struct side *from = &b->side[dir], *to = &b->side[dir_other(dir)];
	uint32_t interval = from->desired_tx;

	if (to->seen && to->required_rx > interval)
		interval = to->required_rx;
	return from->mult * (uint64_t)interval * USEC;
}

static bool up(const struct bfd *b)
{
	return b->side[DIR_ORIGINAL].state == UP && b->side[DIR_REPLY].state == UP;
}

/* One side may be up a packet earlier than the other, and send echo packets at once. */
static bool rises(const struct bfd *b)
{
	const uint8_t ours = b->side[DIR_ORIGINAL].state, peer = b->side[DIR_REPLY].state;

	return (ours == UP && peer >= INIT) || (peer == UP && ours >= INIT);
}

static uint64_t patience(const struct bfd *b, enum dir dir)
{
	uint64_t ns = detection(b, dir);

	return up(b) || ns > HOLD ? ns : HOLD;
}

/*
 * Packets that this side sends come back to it from the other's forwarding plane (RFC 5881 section
 * 4), which has to say that it does so (Required Min Echo RX Interval), and only while the session
 * is up. FRR's bfdd does this over IPv4; over IPv6 it sends them to its peer's bfdd, which answers.
 * Our own leave by themselves then, and their answers are replies.
 */
static void echo(struct track *t, struct bfd *b, enum dir dir, struct cursor cause)
{
	const bool looped = track_family(t) == FAMILY_IPV4;
	const struct request r = {
		.dir = looped ? dir_other(dir) : dir,
		.l4proto = L4_UDP,
		.port = BFD_ECHO,
		.cause = cause,
		.lasting = true,
		.blind = true,
		.looped = looped,
	};

	if (!looped && dir == DIR_ORIGINAL)
		return;

	if (rises(b) && b->side[dir_other(dir)].required_echo != 0) {
		b->echo[dir] = track_expect(t, &r);
	} else if (b->echo[dir]) {
		track_withdraw(t, b->echo[dir], REASON_NOT_UP);
		b->echo[dir] = 0;
	}
}

static void echoes(struct track *t, struct bfd *b, struct cursor cause)
{
	if (track_port(t) != BFD_CONTROL)
		return;
	echo(t, b, DIR_ORIGINAL, cause);
	echo(t, b, DIR_REPLY, cause);
}

static struct cursor describe(const struct side *s, char *text, size_t cap)
{
	int n = snprintf(text, cap, "%s discr %u your %u mult %u tx %u rx %u",
	    state_words[s->state], s->discr, s->your_discr, s->mult, s->desired_tx, s->required_rx);

	return cursor_of(text, n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1);
}

/* --- our side -----------------------------------------------------------------------------------
 */

/*
 * Our side says that it has not heard its peer in time (6.8.4): as a diagnostic, or, because it
 * has forgotten the peer's discriminator.
 */
static bool deaf(const struct side *before, const struct side *now)
{
	return before->seen &&
	       ((before->your_discr != 0 && now->your_discr == 0) ||
		   (before->state >= INIT && now->state == DOWN && now->diag == DIAG_EXPIRED));
}

/* From now on the intervals of the session count, and for what was said just before as well. */
static void settle(struct track *t, const struct bfd *b, bool was_up)
{
	if (!up(b) || was_up)
		return;
	track_alive(t, DIR_ORIGINAL, patience(b, DIR_ORIGINAL));
	track_stays(t, patience(b, DIR_REPLY));
}

static void spoken(struct track *t, struct bfd *b, const struct side *now)
{
	struct side *s = &b->side[DIR_ORIGINAL];
	struct request r = {
		.dir = DIR_REPLY,
		.l4proto = L4_UDP,
		.port = track_port(t),
		.lasting = true,
	};
	/* In its next life it knows nobody yet, and its peer has still to notice. */
	bool same = s->seen && s->discr == now->discr, was_up = up(b);
	bool lost = same && deaf(s, now);
	char text[128];

	*s = *now;
	r.cause = describe(s, text, sizeof(text));
	/* What our side does not hear is not let in: so the peer may come back from any port. */
	if (lost) {
		track_ended(t, s->state == ADMIN_DOWN ? REASON_ADMIN_DOWN : REASON_SILENT);
		b->side[DIR_REPLY] = (struct side){ .seen = false };
	} else if (same && was_up && !up(b)) {
		track_stays(t, patience(b, DIR_REPLY));
	}
	track_alive(t, DIR_ORIGINAL, patience(b, DIR_ORIGINAL));
	settle(t, b, was_up);
	if (s->state == ADMIN_DOWN)
		track_withdraw(t, b->pinhole, REASON_ADMIN_DOWN);
	else
		b->pinhole = track_expect(t, &r);
	echoes(t, b, r.cause);
}

/* --- the peer -----------------------------------------------------------------------------------
 */

static void heard(struct track *t, struct bfd *b, const struct side *now)
{
	const struct side *ours = &b->side[DIR_ORIGINAL];
	const bool was_up = up(b);
	struct request r = { .dir = DIR_REPLY, .l4proto = L4_UDP, .port = track_port(t) };
	const struct side *last = &b->side[DIR_REPLY];
	bool off = last->seen && last->state == ADMIN_DOWN;
	char text[128];

	r.cause = describe(now, text, sizeof(text));
	if (now->your_discr != 0 && ours->seen && now->your_discr != ours->discr) {
		track_refuse(t, REASON_DISCRIMINATOR, &r);
		return;
	}
	b->side[DIR_REPLY] = *now;
	/* It may go on saying so, and the kernel may let it: that is no end each time. */
	if (now->state != ADMIN_DOWN)
		track_alive(t, DIR_REPLY, patience(b, DIR_REPLY));
	else if (off)
		track_stays(t, patience(b, DIR_REPLY));
	else
		track_ended(t, REASON_ADMIN_DOWN);
	settle(t, b, was_up);
	echoes(t, b, r.cause);
}

static void bfd_datagram(struct track *t, void *state, enum dir dir, struct cursor c)
{
	struct request r = {
		.dir = DIR_REPLY, .l4proto = L4_UDP, .port = track_port(t), .cause = c
	};
	struct side now = { .seen = false };

	if (!parse(c, &now))
		track_refuse(t, REASON_MALFORMED, &r);
	else if (dir == DIR_ORIGINAL)
		spoken(t, state, &now);
	else
		heard(t, state, &now);
}

/* --- for people ---------------------------------------------------------------------------------
 */

static unsigned int bfd_facts(const void *state, struct fact *facts)
{
	static const struct {
		const char *state, *discr, *mult, *tx, *rx, *echo, *detection;
	} names[] = {
		{ "local_state", "local_discriminator", "local_multiplier", "local_tx_us",
		    "local_rx_us", "local_echo_us", "local_detection_us" },
		{ "peer_state", "peer_discriminator", "peer_multiplier", "peer_tx_us", "peer_rx_us",
		    "peer_echo_us", "peer_detection_us" },
	};
	const struct bfd *b = state;
	unsigned int n = 0;

	for (enum dir dir = DIR_ORIGINAL; dir <= DIR_REPLY; dir++) {
		const struct side *s = &b->side[dir];

		if (!s->seen)
			continue;
		facts[n++] = (struct fact){ names[dir].state, .word = state_words[s->state] };
		facts[n++] = (struct fact){ names[dir].discr, .number = s->discr };
		facts[n++] = (struct fact){ names[dir].mult, .number = s->mult };
		facts[n++] = (struct fact){ names[dir].tx, .number = s->desired_tx };
		facts[n++] = (struct fact){ names[dir].rx, .number = s->required_rx };
		facts[n++] = (struct fact){ names[dir].echo, .number = s->required_echo };
		facts[n++] =
		    (struct fact){ names[dir].detection, .number = detection(b, dir) / USEC };
	}
	return n;
}

const struct tracker bfd_tracker = {
	.name = "bfd",
	.service = PH_SVC_BFD,
	.one_way = true,
	.state_size = sizeof(struct bfd),
	.datagram = bfd_datagram,
	.facts = bfd_facts,
};
