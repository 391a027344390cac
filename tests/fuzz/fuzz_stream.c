/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzer of stream.c: input is a script of segments, acknowledgements and SYNs around the place
 * where the stream is, and whatever the script, bytes and gaps come out as stream_model.h says.
 * Copies of a byte differ, so it shows which of them was believed. Also required: a bound on how
 * often one call calls back, and that all is handed over once all is acknowledged.
 *
 *   4 bytes       sequence number of place 0
 *   then, for each step, 4 bytes
 *   1 byte        what: bits 1..0 (0, 1 segment; 2 acknowledgement; 3 SYN), 2 cut, 3 long
 *   2 bytes       where, from the next place on, plus 32768
 *   1 byte        how many bytes; of a long one 80 times as many
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/stream_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define ORIGIN    40000u /* where streams begin; places before it are for the past */
#define LONG      80u
#define LONGEST   (255u * LONG)
#define STEP_MAX  (32768u + LONGEST + STREAM_PARKED_BYTES + 2) /* how far one can lead */
#define CALLS_MAX (4 * STREAM_PARKED_SEGMENTS + 4)

static struct model model;
static size_t n_checked; /* of the model's events */
static unsigned int calls;

static void take_bytes(void *arg, struct cursor bytes)
{
	uint8_t byte;

	REQUIRE(arg == &model && bytes.left > 0);
	while (cursor_u8(&bytes, &byte))
		REQUIRE(n_checked < model.events && model.event[n_checked++] == byte);
	calls++;
}

static void take_gap(void *arg)
{
	REQUIRE(arg == &model);
	REQUIRE(n_checked < model.events && model.event[n_checked++] == MODEL_GAP);
	calls++;
}

static const struct stream_sink sink = { .bytes = take_bytes, .gap = take_gap, .arg = &model };

struct step {
	uint8_t what, count;
	uint16_t where;
};

static void segment(
    struct stream *s, uint32_t base, size_t place, size_t len, bool cut, uint32_t number)
{
	uint8_t *bytes = malloc(len ? len : 1); /* gone afterwards: only copies may be kept */

	REQUIRE(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 29 + number * 101);
	model_segment(&model, place, bytes, len, cut);
	stream_segment(s, base + (uint32_t)place, cursor_of(bytes, len), cut, &sink);
	free(bytes);
}

static void run(struct stream *s, uint32_t base, const struct step *step, uint32_t number)
{
	const size_t from = (model.based ? model.next : ORIGIN) + step->where;
	const size_t place = from > 32768 ? from - 32768 : 1;
	const bool is_long = step->what & 8;

	calls = 0;
	switch (step->what & 3) {
	case 2:
		model_acked(&model, place);
		stream_acked(s, base + (uint32_t)place, &sink);
		break;
	case 3:
		model_syn(&model, place + 1);
		stream_syn(s, base + (uint32_t)place);
		break;
	default:
		segment(
		    s, base, place, step->count * (is_long ? LONG : 1u), step->what & 4, number);
		break;
	}
	REQUIRE(n_checked == model.events);
	REQUIRE(calls <= CALLS_MAX);
	REQUIRE(s->based == model.based && s->torn == model.torn);
	REQUIRE(!s->based || s->next == base + (uint32_t)model.next);
	REQUIRE((s->parked != NULL) == model_waiting(&model));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor script = cursor_of(data, size);
	struct stream s = { 0 };
	struct step step;
	uint32_t base;

	model_reset(&model);
	n_checked = 0;
	if (!cursor_be32(&script, &base))
		return 0;
	for (uint32_t number = 0; model.next < MODEL_PLACES - STEP_MAX; number++) {
		if (!cursor_u8(&script, &step.what) || !cursor_be16(&script, &step.where) ||
		    !cursor_u8(&script, &step.count))
			break;
		run(&s, base, &step, number);
	}
	if (s.based) {
		model_acked(&model, model.next + STREAM_PARKED_BYTES);
		stream_acked(&s, s.next + STREAM_PARKED_BYTES, &sink);
		REQUIRE(n_checked == model.events);
	}
	REQUIRE(!s.parked);
	stream_free(&s);
	return 0;
}
