/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reassembly of one direction. Bytes in order pass through uncopied; bytes that come too early wait
 * in a ring, where the byte with sequence number n has place n % STREAM_PARKED_BYTES, so that what
 * is parked never moves. All arithmetic is modulo 2^32. A hostile sender can make this give up on
 * bytes early, which is a gap like any other; he cannot make it take more memory or time. No clock.
 */
#include "stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW STREAM_PARKED_BYTES

static_assert((WINDOW & (WINDOW - 1)) == 0, "2^32 is a multiple: the ring survives wraparound");

/* The bytes [from, to), in sequence numbers. */
struct run {
	uint32_t from, to;
	bool torn; /* there were bytes at `to`, but the capture did not keep them */
};

/* Between calls there is a run, nothing is torn, and next lies before the first of them. */
struct parked {
	unsigned int count;
	struct run run[STREAM_PARKED_SEGMENTS]; /* ascending, with a hole between each two */
	uint8_t ring[WINDOW];
};

/* RFC 1982 arithmetic: a comes before b. */
static bool before(uint32_t a, uint32_t b)
{
	return (a - b) >> 31;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
	return before(a, b) ? a : b;
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return before(a, b) ? b : a;
}

/* Of a segment that begins at seq, the bytes [from, to), which are part of it. */
static struct cursor slice(struct cursor segment, uint32_t seq, uint32_t from, uint32_t to)
{
	struct cursor part;

	if (!cursor_skip(&segment, from - seq) || !cursor_sub(&segment, to - from, &part))
		return cursor_of(NULL, 0);
	return part;
}

/* The first byte at or before `limit` that is held, or `limit` itself. */
static uint32_t first_held(const struct stream *s, uint32_t limit)
{
	if (s->parked && before(s->parked->run[0].from, limit))
		return s->parked->run[0].from;
	return limit;
}

/* Bytes at next are lost, nobody knows how many: the next ones seen continue the stream. */
static void tear(struct stream *s, const struct stream_sink *sink)
{
	if (!s->torn)
		sink->gap(sink->arg);
	s->torn = true;
}

static void deliver(struct stream *s, struct cursor bytes, const struct stream_sink *sink)
{
	if (!bytes.left)
		return;
	s->next += (uint32_t)bytes.left;
	s->torn = false;
	sink->bytes(sink->arg, bytes);
}

/* Hands over the first run, whose place in the stream has come. */
static void unpark(struct stream *s, const struct stream_sink *sink)
{
	struct parked *p = s->parked;
	struct run run = p->run[0];
	size_t at = run.from % WINDOW;
	size_t len = run.to - run.from;
	size_t straight = len < WINDOW - at ? len : WINDOW - at;

	deliver(s, cursor_of(p->ring + at, straight), sink);
	deliver(s, cursor_of(p->ring, len - straight), sink);
	if (run.torn)
		tear(s, sink);

	p->count--;
	memmove(p->run, p->run + 1, p->count * sizeof(p->run[0]));
	if (!p->count)
		stream_free(s);
}

/* Hands over all that can be: what joins on, and after a tear whatever comes first. */
static void settle(struct stream *s, const struct stream_sink *sink)
{
	while (s->parked && (s->torn || s->parked->run[0].from == s->next)) {
		s->next = s->parked->run[0].from;
		unpark(s, sink);
	}
}

/* Nobody waits any longer for the bytes from next to the first one held, or to `limit`. */
static void give_up(struct stream *s, uint32_t limit, const struct stream_sink *sink)
{
	if (!s->torn)
		sink->gap(sink->arg);
	s->next = first_held(s, limit);
	settle(s, sink);
}

/* Puts bytes into the ring, where they go to two places when they run over its end. */
static void ring_put(struct parked *p, uint32_t seq, struct cursor bytes)
{
	size_t at = seq % WINDOW;
	size_t straight = bytes.left < WINDOW - at ? bytes.left : WINDOW - at;

	if (cursor_copy(&bytes, p->ring + at, straight) && bytes.left)
		memcpy(p->ring, bytes.at, bytes.left);
}

/*
 * Keeps bytes that are ahead of their turn; those that an earlier segment brought stay as they are.
 * False when they do not fit, and when memory is out.
 */
static bool park(struct stream *s, uint32_t seq, struct cursor bytes, bool cut)
{
	struct run new = { .from = seq, .to = seq + (uint32_t)bytes.left, .torn = cut };
	struct parked *p = s->parked;
	unsigned int first = 0, end;
	uint32_t ahead = seq - s->next;
	uint32_t at = seq;

	if (ahead > WINDOW || bytes.left > WINDOW - ahead)
		return false;
	if (!p) {
		p = malloc(sizeof(*p));
		if (!p)
			return false;
		p->count = 0;
		s->parked = p;
	}

	/* Runs [first, end) overlap or touch the new one: they and it become one. */
	while (first < p->count && before(p->run[first].to, new.from))
		first++;
	for (end = first; end < p->count && !before(new.to, p->run[end].from);)
		end++;
	if (first == end && p->count == STREAM_PARKED_SEGMENTS)
		return false;

	for (unsigned int i = first; i < end; i++) {
		const struct run *old = &p->run[i];

		if (before(at, old->from))
			ring_put(p, at, slice(bytes, seq, at, old->from));
		at = later(at, old->to);
	}
	if (before(at, new.to))
		ring_put(p, at, slice(bytes, seq, at, new.to));

	if (first < end) {
		const struct run *last = &p->run[end - 1];

		new.from = earlier(new.from, p->run[first].from);
		if (last->to == new.to)
			new.torn |= last->torn;
		else if (before(new.to, last->to))
			new.torn = last->torn;
		new.to = later(new.to, last->to);
	}
	memmove(&p->run[first + 1], &p->run[end], (p->count - end) * sizeof(p->run[0]));
	p->count += 1 - (end - first);
	p->run[first] = new;
	return true;
}

/* A segment that begins at next or before it. */
static void in_order(
    struct stream *s, uint32_t seq, struct cursor bytes, bool cut, const struct stream_sink *sink)
{
	const uint32_t end = seq + (uint32_t)bytes.left;

	/* What the capture cut off there is here in full. */
	for (unsigned int i = 0; s->parked && i < s->parked->count; i++)
		if (before(s->parked->run[i].to, end))
			s->parked->run[i].torn = false;

	/* Up to the first byte that a parked segment brought before, then that segment, and on. */
	while (before(s->next, end)) {
		deliver(s, slice(bytes, seq, s->next, first_held(s, end)), sink);
		settle(s, sink);
	}

	if (cut && s->next == end) {
		tear(s, sink);
		settle(s, sink);
	}
}

void stream_syn(struct stream *s, uint32_t isn)
{
	if (s->based)
		return;
	s->next = isn + 1;
	s->based = true;
	s->exact = true;
}

void stream_segment(
    struct stream *s, uint32_t seq, struct cursor bytes, bool cut, const struct stream_sink *sink)
{
	if (!bytes.left && !cut)
		return; /* a keep-alive may even lie: its sequence number is one too low */

	if (!s->based) {
		s->next = seq;
		s->based = true;
		tear(s, sink);
	}
	while (before(s->next, seq)) {
		if (!s->torn && park(s, seq, bytes, cut))
			return;
		give_up(s, seq, sink);
	}
	in_order(s, seq, bytes, cut, sink);
}

void stream_acked(struct stream *s, uint32_t ack, const struct stream_sink *sink)
{
	while (s->based && before(s->next, ack))
		give_up(s, ack, sink);
}

void stream_free(struct stream *s)
{
	free(s->parked);
	s->parked = NULL;
}
