/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stream.h promises, written down as simply as it can be: one cell a byte, places counted from
 * 0 without wraparound, everything found by looking. Slow, large and free of cleverness; the unit
 * test and the fuzzer hold stream.c against it. It shares no code with what it judges.
 */
#ifndef STREAM_MODEL_H
#define STREAM_MODEL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "stream.h"

#define MODEL_PLACES (256u * 1024)
#define MODEL_EVENTS (1024u * 1024)
#define MODEL_GAP    256

struct model {
	uint8_t byte[MODEL_PLACES];
	bool held[MODEL_PLACES]; /* the first copy of this byte has been kept; stays when delivered
				  */
	bool lost[MODEL_PLACES]; /* a byte that the capture cut off was seen to begin here */
	size_t used;             /* no place from here on has been touched */
	size_t next;
	bool based;
	bool torn;
	uint16_t event[MODEL_EVENTS]; /* bytes and MODEL_GAP, in the order of delivery */
	size_t events;
};

static inline void model_reset(struct model *m)
{
	memset(m->held, 0, m->used * sizeof(m->held[0]));
	memset(m->lost, 0, m->used * sizeof(m->lost[0]));
	m->used = m->next = m->events = 0;
	m->based = m->torn = false;
}

static inline void model_event(struct model *m, unsigned int what)
{
	assert(m->events < MODEL_EVENTS);
	m->event[m->events++] = (uint16_t)what;
}

static inline void model_touch(struct model *m, size_t place)
{
	assert(place < MODEL_PLACES);
	if (place >= m->used)
		m->used = place + 1;
}

/* The first place in [from, to) where something is known to be; `to` when there is none. */
static inline size_t model_first(const struct model *m, size_t from, size_t to)
{
	while (from < to && !m->held[from] && !m->lost[from])
		from++;
	return from;
}

/* Is there anything beyond next? */
static inline bool model_waiting(const struct model *m)
{
	return model_first(m, m->next, m->used) < m->used;
}

/* How many separate pieces are kept beyond next; a loss that adjoins no byte is a piece. */
static inline unsigned int model_pieces(const struct model *m)
{
	unsigned int n = 0;

	for (size_t i = m->next; i < m->used; i++) {
		bool joins = i > m->next && m->held[i - 1];

		n += !joins && (m->held[i] || m->lost[i]);
	}
	return n;
}

static inline void model_keep(
    struct model *m, size_t at, const uint8_t *bytes, size_t len, bool cut)
{
	for (size_t i = 0; i < len; i++) {
		if (m->held[at + i])
			continue; /* the first copy wins */
		model_touch(m, at + i);
		m->held[at + i] = true;
		m->byte[at + i] = bytes[i];
	}
	if (cut) {
		model_touch(m, at + len);
		m->lost[at + len] = true;
	}
}

static inline void model_tear(struct model *m)
{
	if (!m->torn)
		model_event(m, MODEL_GAP);
	m->torn = true;
}

static inline void model_settle(struct model *m)
{
	while (model_waiting(m)) {
		if (m->held[m->next]) {
			model_event(m, m->byte[m->next++]);
			m->torn = false;
		} else if (m->lost[m->next]) {
			m->lost[m->next] = false;
			model_tear(m);
		} else if (m->torn) {
			m->next = model_first(m, m->next, m->used);
		} else {
			return;
		}
	}
}

static inline void model_give_up(struct model *m, size_t limit)
{
	if (!m->torn)
		model_event(m, MODEL_GAP);
	m->next = model_first(m, m->next, limit);
	model_settle(m);
}

static inline void model_syn(struct model *m, size_t first)
{
	if (m->based)
		return;
	m->based = true;
	m->next = first;
}

/* May these bytes wait? They must end within the window and make no piece too many. */
static inline bool model_fits(struct model *m, size_t at, size_t len)
{
	bool joins = model_first(m, at, at + len) < at + len;

	if (at + len - m->next > STREAM_PARKED_BYTES)
		return false;
	joins = joins || m->held[at - 1] || m->held[at + len] || m->lost[at] || m->lost[at + len];
	return joins || model_pieces(m) < STREAM_PARKED_SEGMENTS;
}

static inline void model_segment(
    struct model *m, size_t at, const uint8_t *bytes, size_t len, bool cut)
{
	if (!len && !cut)
		return;
	if (!m->based) {
		m->based = true;
		m->next = at;
		model_tear(m);
	}
	while (at > m->next) {
		if (!m->torn && model_fits(m, at, len)) {
			model_keep(m, at, bytes, len, cut);
			return;
		}
		model_give_up(m, at);
	}
	if (at + len < m->next)
		return;
	model_keep(m, m->next, bytes + (m->next - at), len - (m->next - at), cut);
	model_settle(m);
}

static inline void model_acked(struct model *m, size_t ack)
{
	while (m->based && m->next < ack)
		model_give_up(m, ack);
}

#endif
