/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One direction of a TCP connection, put back in order: any split, retransmission and overlap
 * (the first copy of a byte wins), a small window for segments that overtake each other, and honest
 * gaps. Memory is bounded by STREAM_PARKED_BYTES and taken only while something is out of order.
 */
#ifndef STREAM_H
#define STREAM_H

#include "cursor.h"

#define STREAM_PARKED_SEGMENTS 8
#define STREAM_PARKED_BYTES    16384

struct parked; /* segments that came too early; private to stream.c */

struct stream {
	struct parked *parked; /* owned; NULL while nothing is out of order */
	uint32_t next;         /* sequence number of the next byte in order */
	bool based;            /* next is known */
	bool exact;            /* based on a SYN: the very first byte was seen or is yet to come */
	bool torn; /* a gap has been declared at next, and how long it is is not known */
};

/* Where in-order bytes go. Both are called from within stream_segment and stream_acked only. */
struct stream_sink {
	void (*bytes)(void *arg, struct cursor bytes);
	void (*gap)(void *arg); /* what follows does not join what came before */
	void *arg;
};

/* A SYN with this sequence number: the stream begins behind it. A second SYN changes nothing. */
void stream_syn(struct stream *s, uint32_t isn);

/*
 * A segment, already validated by conntrack. The first segment of a stream without a SYN begins it
 * after a gap. A segment that does not fit the parking window any more declares a gap.
 */
void stream_segment(
    struct stream *s, uint32_t seq, struct cursor bytes, bool cut, const struct stream_sink *sink);

/*
 * The receiver has acknowledged up to `ack`. Bytes acknowledged but never seen here will not come
 * again: that is a gap, and what is parked behind it is delivered.
 */
void stream_acked(struct stream *s, uint32_t ack, const struct stream_sink *sink);

void stream_free(struct stream *s);

#endif
