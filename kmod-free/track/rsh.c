// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rsh and rexec (rcmd(3), rexec(3)). The first that a client says is a port in decimal and a NUL:
 * the server connects back to it, for what the command writes to its standard error. Port 0, or no
 * digit at all before the NUL, means that there is no second connection. Nothing that follows
 * counts. Which ports are right is policy: rsh's client and server take reserved ones, rexec's any
 * others.
 *
 * rsh shares its port with syslog over TCP (RFC 6587), which begins with "<13>" or, where octets
 * are counted, with a length and a blank: "123 <13>". That is somebody else's, and no refusal.
 */
#include "tracker.h"

#include <stdio.h>
#include <string.h>

#define DIGITS 5 /* of 65535 */

struct rsh {
	uint8_t digit[DIGITS];
	uint8_t n;
};

static void announced(struct track *t, const struct rsh *s)
{
	struct request r = { .dir = DIR_REPLY, .l4proto = L4_TCP };
	struct cursor c = cursor_of(s->digit, s->n);
	char text[32];
	int n;

	track_over(t);
	if (!cursor_decimal(&c, UINT32_MAX, &r.port) || r.port == 0)
		return; /* there was no digit, or nothing but zeros: no second connection */
	n = snprintf(text, sizeof(text), "stderr to port %u", r.port);
	r.cause = cursor_of(text, (size_t)n);
	(void)track_expect(t, &r);
}

static void malformed(struct track *t, const struct rsh *s, struct cursor rest)
{
	uint8_t said[DIGITS + 16];
	struct request r = { .dir = DIR_REPLY, .l4proto = L4_TCP };
	size_t more = rest.left < sizeof(said) - s->n ? rest.left : sizeof(said) - s->n;

	memcpy(said, s->digit, s->n);
	memcpy(said + s->n, rest.at, more);
	r.cause = cursor_of(said, s->n + more);
	track_over(t);
	track_refuse(t, REASON_MALFORMED, &r);
}

static void rsh_bytes(struct track *t, void *state, enum dir dir, struct cursor c)
{
	struct rsh *s = state;
	uint8_t byte;

	if (dir != DIR_ORIGINAL)
		return;
	while (cursor_peek(&c, &byte)) {
		if (byte == '\0') {
			announced(t, s);
			return;
		}
		if (s->n ? byte == ' ' : byte < '0' || byte > '9') {
			track_over(t); /* syslog, or whatever it may be */
			return;
		}
		if (byte < '0' || byte > '9' || s->n == DIGITS || !cursor_skip(&c, 1)) {
			malformed(t, s, c);
			return;
		}
		s->digit[s->n++] = byte;
	}
}

/* The announcement has been missed, or part of it. */
static void rsh_gap(struct track *t, void *state, enum dir dir)
{
	(void)state;
	if (dir == DIR_ORIGINAL)
		track_over(t);
}

const struct tracker rsh_tracker = {
	.name = "rsh",
	.service = PH_SVC_RSH,
	.preamble = true,
	.state_size = sizeof(struct rsh),
	.bytes = rsh_bytes,
	.gap = rsh_gap,
};

const struct tracker rexec_tracker = {
	.name = "rexec",
	.service = PH_SVC_REXEC,
	.preamble = true,
	.state_size = sizeof(struct rsh),
	.bytes = rsh_bytes,
	.gap = rsh_gap,
};
