/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unit tests of stream.c, which is compiled into this file with an allocator that counts and fails
 * on demand. First small scenes in text, where '|' stands for a gap; then one dialogue in all cuts
 * and orders; then random segments against stream_model.h and, without any model, against the bytes
 * that were sent.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "stream_model.h"

static bool out_of_memory;
static size_t blocks, block_size;

static void *counted_malloc(size_t size)
{
	void *p = out_of_memory ? NULL : malloc(size);

	blocks += p != NULL;
	block_size = size;
	return p;
}

static void counted_free(void *p)
{
	blocks -= p != NULL;
	free(p);
}

#define malloc counted_malloc
#define free   counted_free
#include "stream.c"
#undef malloc
#undef free

static const unsigned long seed = 19850615;
static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
	dice ^= dice << 13; /* Marsaglia's xorshift64 */
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)(dice >> 16) % sides;
}

/* --- a stream that writes down what it delivers ----------------------------------------------- */

static struct stream s;
static uint32_t base; /* sequence number of place 0; scenes run with several */
static uint16_t got[MODEL_EVENTS];
static size_t n_got;
static unsigned int calls; /* of the sink, in one call of the stream */

static void take_bytes(void *arg, struct cursor bytes)
{
	if (arg != &s || !bytes.left || bytes.left > MODEL_EVENTS - n_got)
		ck_abort_msg("%zu bytes", bytes.left);
	for (size_t i = 0; i < bytes.left; i++)
		got[n_got++] = bytes.at[i];
	calls++;
}

static void take_gap(void *arg)
{
	if (arg != &s || n_got == MODEL_EVENTS)
		ck_abort_msg("gap");
	got[n_got++] = MODEL_GAP;
	calls++;
}

static const struct stream_sink sink = { .bytes = take_bytes, .gap = take_gap, .arg = &s };

/* Between calls this always holds. */
static void check_invariants(void)
{
	const struct parked *p = s.parked;
	uint32_t from = s.next;

	if (blocks != (p ? 1 : 0) || (p && block_size > STREAM_PARKED_BYTES + 256))
		ck_abort_msg("%zu blocks of %zu", blocks, block_size);
	if (!p)
		return;
	if (!s.based || s.torn || p->count == 0 || p->count > STREAM_PARKED_SEGMENTS)
		ck_abort_msg("torn %d, %u runs", s.torn, p->count);
	for (unsigned int i = 0; i < p->count; i++) {
		const struct run *r = &p->run[i];

		/* A run without bytes is there only to say that its bytes are lost. */
		if (r->from - s.next <= from - s.next || r->to - s.next < r->from - s.next ||
		    (r->to == r->from && !r->torn) || r->to - s.next > STREAM_PARKED_BYTES)
			ck_abort_msg("run %u: %u to %u, next %u", i, r->from, r->to, s.next);
		from = r->to;
	}
}

static void segment(uint32_t place, const void *bytes, size_t len, bool cut)
{
	/* Exactly these bytes, and gone afterwards: nothing may be kept but copies. */
	uint8_t *block = malloc(len ? len : 1);

	if (!block)
		ck_abort_msg("out of memory");
	if (len)
		memcpy(block, bytes, len);
	calls = 0;
	stream_segment(&s, base + place, cursor_of(block, len), cut, &sink);
	free(block);
	check_invariants();
}

static void seen(uint32_t place, const char *text)
{
	segment(place, text, strlen(text), false);
}

static void cut(uint32_t place, const char *text)
{
	segment(place, text, strlen(text), true);
}

static void acked(uint32_t place)
{
	calls = 0;
	stream_acked(&s, base + place, &sink);
	check_invariants();
}

static void syn(void)
{
	stream_syn(&s, base - 1);
	check_invariants();
}

static void delivered(const char *text)
{
	char all[256];

	ck_assert_uint_lt(n_got, sizeof(all));
	for (size_t i = 0; i < n_got; i++)
		all[i] = got[i] == MODEL_GAP ? '|' : (char)got[i];
	all[n_got] = '\0';
	ck_assert_str_eq(all, text);
}

static void begin_at(uint32_t first)
{
	stream_free(&s);
	memset(&s, 0, sizeof(s));
	n_got = 0;
	out_of_memory = false;
	base = first;
}

/* Scenes run with each of these as the sequence number of place 0: before, at and behind 2^32. */
static const uint32_t bases[] = { 1000, 0, UINT32_MAX - 2, UINT32_MAX - 5, 0x7fffffff, 0x80000000,
	UINT32_MAX - STREAM_PARKED_BYTES };

static void setup(void)
{
	dice = seed;
}

static void teardown(void)
{
	stream_free(&s);
	ck_assert_ptr_null(s.parked);
	ck_assert_uint_eq(blocks, 0);
}

#define SCENE(name)                                                                                \
	static void name##_scene(void);                                                            \
	START_TEST(name)                                                                           \
	{                                                                                          \
		begin_at(bases[_i]);                                                               \
		name##_scene();                                                                    \
	}                                                                                          \
	END_TEST                                                                                   \
	static void name##_scene(void)

/* --- scenes ----------------------------------------------------------------------------------- */

SCENE(in_order_passes_through)
{
	syn();
	ck_assert(s.exact);
	seen(0, "abc");
	seen(3, "d");
	seen(4, "efgh");
	delivered("abcdefgh");
	ck_assert_uint_eq(s.next, base + 8);
}

SCENE(retransmissions_say_nothing_new)
{
	syn();
	seen(0, "abc");
	seen(0, "abc");
	seen(0, "XY");
	seen(2, "Z");
	delivered("abc");
	seen(0, "XYZd"); /* coalesced with new bytes */
	delivered("abcd");
	seen(2, "??e");
	delivered("abcde");
}

SCENE(overtaken_segments_wait)
{
	syn();
	seen(3, "def");
	seen(6, "g");
	delivered("");
	ck_assert_ptr_nonnull(s.parked);
	seen(0, "abc");
	delivered("abcdefg");
	ck_assert_ptr_null(s.parked);
}

SCENE(reverse_order)
{
	syn();
	for (uint32_t i = 6; i > 0; i--)
		seen(i, (const char[]){ (char)('a' + i), '\0' });
	delivered("");
	seen(0, "a");
	delivered("abcdefg");
	ck_assert_ptr_null(s.parked);
}

SCENE(first_copy_wins_among_parked)
{
	syn();
	seen(4, "EF");
	seen(3, "xyzw"); /* around it */
	seen(4, "12");   /* within */
	seen(2, "!?");   /* over its head */
	seen(6, "?;");   /* over its tail */
	delivered("");
	seen(0, "ab");
	delivered("ab!xEFw;");
}

SCENE(parked_copy_wins_over_late_one)
{
	syn();
	seen(2, "C");
	seen(4, "E");
	seen(0, "abcdef");
	delivered("abCdEf");
	ck_assert_ptr_null(s.parked);
}

SCENE(late_one_ends_within_a_parked_one)
{
	syn();
	seen(2, "CDE");
	seen(0, "abc");
	delivered("abCDE");
}

SCENE(bridge_between_parked)
{
	syn();
	seen(2, "C");
	seen(6, "G");
	seen(3, "def"); /* touches both */
	ck_assert_uint_eq(s.parked->count, 1);
	seen(9, "J");
	seen(1, "b2345678");
	ck_assert_uint_eq(s.parked->count, 1);
	seen(0, "a");
	delivered("abCdefG78J");
}

SCENE(begins_in_mid_stream)
{
	seen(0, "abc");
	delivered("|abc");
	ck_assert(s.based);
	ck_assert(!s.exact);
	seen(3, "d");
	delivered("|abcd");
}

SCENE(syn_after_base_changes_nothing)
{
	seen(0, "abc");
	stream_syn(&s, base + 77);
	ck_assert(!s.exact);
	seen(3, "d");
	delivered("|abcd");

	begin_at(base);
	syn();
	stream_syn(&s, base + 77);
	seen(0, "abc");
	stream_syn(&s, base + 77);
	seen(3, "d");
	delivered("abcd");
}

SCENE(empty_segments_say_nothing)
{
	seen(55, "");
	ck_assert(!s.based);
	syn();
	seen(55, "");
	seen(0, "");
	seen((uint32_t)-1, ""); /* a keep-alive */
	ck_assert_ptr_null(s.parked);
	seen(0, "a");
	delivered("a");
}

SCENE(acknowledged_but_never_seen)
{
	syn();
	seen(3, "def");
	acked(0);
	delivered("");
	acked(6);
	delivered("|def");
	seen(0, "abc"); /* too late */
	acked(2);
	seen(6, "g");
	delivered("|defg");
}

SCENE(acknowledged_step_by_step)
{
	syn();
	seen(0, "a");
	seen(3, "d");
	seen(6, "g");
	acked(1);
	delivered("a");
	acked(3);
	delivered("a|d");
	acked(6);
	delivered("a|d|g");
	ck_assert_ptr_null(s.parked);
	acked(9); /* beyond all that was seen */
	delivered("a|d|g|");
	seen(9, "j");
	delivered("a|d|g|j");
}

SCENE(acknowledged_beyond_several_holes)
{
	syn();
	seen(2, "c");
	seen(4, "e");
	seen(6, "g");
	acked(7);
	delivered("|c|e|g");
	ck_assert_ptr_null(s.parked);
}

SCENE(acknowledged_into_a_parked_one)
{
	syn();
	seen(2, "cdef");
	acked(4);
	delivered("|cdef");
	ck_assert_uint_eq(s.next, base + 6);
}

SCENE(acknowledged_before_it_began)
{
	acked(5);
	ck_assert(!s.based);
	delivered("");
	seen(3, "d");
	delivered("|d");
}

SCENE(cut_end_is_a_gap)
{
	syn();
	cut(0, "abc");
	delivered("abc|");
	seen(10, "k"); /* what was cut will not come again: nothing to wait for */
	delivered("abc|k");
	cut(0, "abc");
	seen(2, "??");
	delivered("abc|k");
	seen(11, "l");
	delivered("abc|kl");
}

SCENE(cut_end_sent_again_in_full)
{
	syn();
	cut(0, "abc");
	cut(0, "abc");
	seen(0, "abcdef");
	delivered("abc|def");
	cut(0, "abc");
	delivered("abc|def");
}

SCENE(cut_to_nothing)
{
	syn();
	cut(0, "");
	delivered("|");
	cut(3, "");
	delivered("|");
	acked(6);
	delivered("|");
	seen(6, "g");
	delivered("|g");
	cut(9, ""); /* waits in its place as others do */
	delivered("|g");
	seen(7, "h");
	delivered("|gh");
	seen(8, "i");
	delivered("|ghi|");
}

SCENE(cut_at_the_very_beginning)
{
	cut(0, "abc");
	delivered("|abc|");
	seen(10, "k");
	delivered("|abc|k");

	begin_at(base);
	cut(0, "");
	delivered("|");
	seen(10, "k");
	delivered("|k");
}

SCENE(cut_and_parked)
{
	syn();
	cut(2, "cd");
	delivered("");
	seen(0, "ab");
	delivered("abcd|");
	seen(9, "j");
	delivered("abcd|j");
}

SCENE(cut_and_parked_before_others)
{
	syn();
	cut(2, "c");
	seen(6, "g");
	cut(8, "i");
	seen(0, "ab");
	delivered("abc|g"); /* 7 was not cut off: it may still come */
	seen(7, "h");
	delivered("abc|ghi|");
}

SCENE(cut_end_covered_by_another)
{
	syn();
	cut(2, "cd");
	seen(4, "e"); /* the first of the bytes that were cut off */
	seen(0, "ab");
	delivered("abcde");

	begin_at(base);
	syn();
	cut(2, "cd");
	seen(0, "abXXe");
	delivered("abcde");

	begin_at(base);
	syn();
	seen(4, "e");
	cut(2, "cd");
	seen(0, "ab");
	delivered("abcde");

	begin_at(base);
	syn();
	seen(2, "cde");
	cut(2, "cd"); /* where it was cut, bytes are known */
	seen(0, "ab");
	delivered("abcde");
}

SCENE(cut_in_order_before_parked)
{
	syn();
	seen(6, "g");
	cut(0, "ab");
	delivered("ab|g");
	ck_assert_ptr_null(s.parked);

	begin_at(base);
	syn();
	seen(2, "c");
	cut(0, "ab"); /* cut just where another went on */
	delivered("abc");
}

SCENE(too_many_pieces)
{
	char text[2] = "";

	syn();
	for (uint32_t i = 0; i < STREAM_PARKED_SEGMENTS; i++) {
		text[0] = (char)('A' + i);
		seen(2 + 2 * i, text);
	}
	delivered("");
	seen(3, "a"); /* joins two: one piece fewer */
	delivered("");
	seen(50, "y");
	delivered("");
	seen(60, "z"); /* one too many: the first hole is given up */
	delivered("|AaB");
	acked(61);
	delivered("|AaB|C|D|E|F|G|H|y|z");
}

SCENE(edge_of_the_window)
{
	syn();
	seen(STREAM_PARKED_BYTES - 1, "z"); /* the last byte that may wait */
	delivered("");
	seen(STREAM_PARKED_BYTES, "!");
	delivered("|z!");
	ck_assert_ptr_null(s.parked);

	begin_at(base);
	syn();
	seen(STREAM_PARKED_BYTES, "!");
	delivered("|!");

	begin_at(base);
	syn();
	cut(STREAM_PARKED_BYTES, ""); /* just behind the last byte, and without one */
	delivered("");
	ck_assert_ptr_nonnull(s.parked);
}

SCENE(far_ahead_is_a_gap)
{
	syn();
	seen(3, "d");
	seen(1u << 30, "x");
	delivered("|d|x");
	seen(4, "e"); /* the past by now */
	delivered("|d|x");
}

SCENE(half_the_sequence_space_away)
{
	syn();
	seen(1u << 31, "x"); /* neither before nor behind */
	seen((1u << 31) + 1, "y");
	delivered("|xy");
}

SCENE(out_of_memory_is_a_gap)
{
	syn();
	seen(0, "a");
	out_of_memory = true;
	seen(3, "d");
	delivered("a|d");
	seen(4, "e");
	seen(1, "b");
	delivered("a|de");
	out_of_memory = false;
	seen(6, "g");
	seen(5, "f");
	delivered("a|defg");
}

SCENE(free_while_parked)
{
	syn();
	seen(3, "d");
	stream_free(&s);
	ck_assert_uint_eq(blocks, 0);
	stream_free(&s);
	seen(0, "abc");
	delivered("abc");
}

START_TEST(larger_than_the_window)
{
	static uint8_t large[STREAM_PARKED_BYTES + 3];

	begin_at(UINT32_MAX - 77);
	syn();
	memset(large, 'x', sizeof(large));
	segment(0, large, sizeof(large), false); /* in order any size will do */
	ck_assert_uint_eq(n_got, sizeof(large));

	begin_at(UINT32_MAX - 77);
	syn();
	seen(7, "y"); /* lies within the next one and was there before */
	segment(1, large, sizeof(large), false);
	ck_assert_uint_eq(n_got, 1 + sizeof(large));
	ck_assert_uint_eq(got[0], MODEL_GAP);
	ck_assert_uint_eq(got[1], 'x');
	ck_assert_uint_eq(got[7], 'y');
	ck_assert_uint_eq(got[8], 'x');
}
END_TEST

/* The ring has each of its places in use, also when it begins in the middle. */
START_TEST(window_filled_to_the_brim)
{
	static uint8_t bytes[STREAM_PARKED_BYTES];

	begin_at((uint32_t)_i * 4099 - 12345);
	syn();
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)roll(256);
	segment(1, bytes + 1, sizeof(bytes) - 1, false);
	ck_assert_uint_eq(n_got, 0);
	segment(0, bytes, 1, false);
	ck_assert_uint_eq(n_got, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (got[i] != bytes[i])
			ck_abort_msg("byte %zu", i);
}
END_TEST

/* --- one dialogue, cut everywhere ------------------------------------------------------------- */

static const char dialogue[] = "220 ready\r\nUSER anonymous\r\nEPSV\r\n229 ok (|||40000|)\r\n";
#define LENGTH ((uint32_t)sizeof(dialogue) - 1)

/* Bytes [from, to) of the dialogue, or others in their place when `wrong`. */
static void part(uint32_t from, uint32_t to, bool wrong)
{
	uint8_t bytes[sizeof(dialogue)];

	memcpy(bytes, dialogue, sizeof(bytes));
	if (wrong)
		memset(bytes, '#', sizeof(bytes));
	segment(from, bytes + from, to - from, false);
}

static void check_dialogue(uint32_t i, uint32_t j, const char *what)
{
	bool same = n_got == LENGTH && !s.parked;

	for (uint32_t k = 0; same && k < LENGTH; k++)
		same = got[k] == (uint8_t)dialogue[k];
	if (!same)
		ck_abort_msg("base %u, cut at %u and %u, %s", base, i, j, what);
}

START_TEST(cut_at_every_byte_in_both_orders)
{
	for (uint32_t i = 1; i < LENGTH; i++) {
		begin_at(bases[_i]);
		syn();
		part(0, i, false);
		part(i, LENGTH, false);
		check_dialogue(i, i, "in order");

		begin_at(bases[_i]);
		syn();
		part(i, LENGTH, false);
		part(0, i, false);
		check_dialogue(i, i, "reversed");
	}
}
END_TEST

START_TEST(cut_at_every_pair_in_all_orders)
{
	static const uint8_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };

	for (uint32_t i = 1; i < LENGTH; i++)
		for (uint32_t j = i + 1; j < LENGTH; j++)
			for (size_t o = 0; o < 6; o++) {
				const uint32_t at[4] = { 0, i, j, LENGTH };

				begin_at(bases[_i]);
				syn();
				for (size_t k = 0; k < 3; k++) {
					uint8_t piece = orders[o][k];

					part(at[piece], at[piece + 1], false);
					part(at[piece], at[piece + 1], true); /* sent twice */
				}
				check_dialogue(i, j, "some order");
			}
}
END_TEST

/* Two segments that both have [i, j): whichever was first is believed, wherever it lies. */
START_TEST(every_overlap)
{
	for (uint32_t i = 1; i < LENGTH; i++)
		for (uint32_t j = i; j < LENGTH; j++) {
			uint8_t bytes[sizeof(dialogue)];

			memcpy(bytes, dialogue, sizeof(bytes));
			memset(bytes + i, '#', j - i);

			begin_at(bases[_i]);
			syn();
			part(0, j, false);
			segment(i, bytes + i, LENGTH - i, false);
			check_dialogue(i, j, "head first");

			begin_at(bases[_i]);
			syn();
			part(i, LENGTH, false);
			segment(0, bytes, j, false);
			check_dialogue(i, j, "tail first");

			begin_at(bases[_i]); /* the same with both of them parked */
			syn();
			part(i, LENGTH, false);
			segment(1, bytes + 1, j - 1, false);
			part(0, 1, false);
			check_dialogue(i, j, "both parked");

			begin_at(bases[_i]); /* one within the other */
			syn();
			part(i, j, false);
			segment(0, bytes, LENGTH, false);
			check_dialogue(i, j, "middle first");
		}
}
END_TEST

/* --- against the model ------------------------------------------------------------------------ */

static struct model model;

static void check_model(unsigned long step, size_t known)
{
	bool same = n_got == model.events && s.based == model.based && s.torn == model.torn &&
		    (s.parked != NULL) == model_waiting(&model);

	if (s.based)
		same = same && s.next == base + (uint32_t)model.next;
	for (size_t i = known; same && i < n_got; i++)
		same = got[i] == model.event[i];
	if (!same)
		ck_abort_msg("seed %lu, step %lu: stream and model differ", seed, step);
	/* Each run may be handed over in two parts with a gap before and behind; then the rest. */
	if (calls > 4 * STREAM_PARKED_SEGMENTS + 4)
		ck_abort_msg("seed %lu, step %lu: %u calls of the sink", seed, step, calls);
}

/* A place near next; the closer the likelier. */
static size_t roll_place(void)
{
	uint32_t reach = roll(8) ? 40 : STREAM_PARKED_BYTES + 200;
	size_t far = model.next + roll(2 * reach);

	return far > reach / 2 ? far - reach / 2 : 0;
}

START_TEST(random_segments)
{
	static uint8_t bytes[STREAM_PARKED_BYTES + 100];
	const size_t origin = 1024; /* so that there are places before the first one */

	dice = seed * (unsigned int)(_i + 1);
	model_reset(&model);
	begin_at(roll(UINT32_MAX));
	for (unsigned long step = 0; step < 20000; step++) {
		size_t known = n_got;
		size_t place, len;
		bool is_cut;

		if (roll(500) == 0 || model.next > MODEL_PLACES - 4 * STREAM_PARKED_BYTES) {
			model_reset(&model);
			model.next = origin;
			begin_at(roll(4) ? roll(UINT32_MAX) : UINT32_MAX - roll(4000));
			known = 0;
		}
		switch (roll(10)) {
		case 0:
			place = roll_place();
			model_acked(&model, place);
			acked((uint32_t)place);
			break;
		case 1:
			model_syn(&model, origin);
			stream_syn(&s, base + (uint32_t)origin - 1);
			break;
		default:
			place = roll(3) ? roll_place() : model.next;
			len = roll(9) ? roll(12) : roll(sizeof(bytes));
			is_cut = roll(12) == 0;
			for (size_t i = 0; i < len; i++)
				bytes[i] = (uint8_t)roll(256);
			model_segment(&model, place, bytes, len, is_cut);
			segment((uint32_t)place, bytes, len, is_cut);
			break;
		}
		check_model(step, known);
	}
}
END_TEST

/* --- against what was sent -------------------------------------------------------------------- */

/*
 * A sender with a window of 8000 bytes and a network that drops, doubles and reorders, but brings
 * everything in the end. No model: what comes out is what went in, without a gap.
 */
START_TEST(lossy_network_loses_nothing)
{
	static uint8_t sent[200000];
	uint32_t done = 0; /* the receiver has everything up to here */

	dice = seed * (unsigned int)(_i + 1);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)roll(256);
	begin_at(roll(2) ? UINT32_MAX - roll(sizeof(sent)) : roll(UINT32_MAX));
	syn();
	while (done < sizeof(sent)) {
		uint32_t room = (uint32_t)sizeof(sent) - done;
		uint32_t at = roll(room < 8000 ? room : 8000);
		uint32_t len = 1 + roll(1460);

		/* At most 7 segments in 8 are ahead, so the first missing byte always comes soon.
		 */
		if (roll(8) == 0 || (s.parked && s.parked->count > 6))
			at = 0;
		if (len > room - at)
			len = room - at;
		segment(done + at, sent + done + at, len, false);
		done = s.next - base;
		acked(done);
	}
	ck_assert_uint_eq(n_got, sizeof(sent));
	for (size_t i = 0; i < sizeof(sent); i++)
		if (got[i] != sent[i])
			ck_abort_msg("seed %lu, round %d: byte %zu", seed, _i, i);
	ck_assert_ptr_null(s.parked);
}
END_TEST

int main(void)
{
	const int n_bases = sizeof(bases) / sizeof(bases[0]);
	Suite *suite = suite_create("stream");
	TCase *scenes = tcase_create("scenes"), *cuts = tcase_create("cuts");
	TCase *chance = tcase_create("chance");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(scenes, setup, teardown);
	tcase_add_loop_test(scenes, in_order_passes_through, 0, n_bases);
	tcase_add_loop_test(scenes, retransmissions_say_nothing_new, 0, n_bases);
	tcase_add_loop_test(scenes, overtaken_segments_wait, 0, n_bases);
	tcase_add_loop_test(scenes, reverse_order, 0, n_bases);
	tcase_add_loop_test(scenes, first_copy_wins_among_parked, 0, n_bases);
	tcase_add_loop_test(scenes, parked_copy_wins_over_late_one, 0, n_bases);
	tcase_add_loop_test(scenes, late_one_ends_within_a_parked_one, 0, n_bases);
	tcase_add_loop_test(scenes, bridge_between_parked, 0, n_bases);
	tcase_add_loop_test(scenes, begins_in_mid_stream, 0, n_bases);
	tcase_add_loop_test(scenes, syn_after_base_changes_nothing, 0, n_bases);
	tcase_add_loop_test(scenes, empty_segments_say_nothing, 0, n_bases);
	tcase_add_loop_test(scenes, acknowledged_but_never_seen, 0, n_bases);
	tcase_add_loop_test(scenes, acknowledged_step_by_step, 0, n_bases);
	tcase_add_loop_test(scenes, acknowledged_beyond_several_holes, 0, n_bases);
	tcase_add_loop_test(scenes, acknowledged_into_a_parked_one, 0, n_bases);
	tcase_add_loop_test(scenes, acknowledged_before_it_began, 0, n_bases);
	tcase_add_loop_test(scenes, cut_end_is_a_gap, 0, n_bases);
	tcase_add_loop_test(scenes, cut_end_sent_again_in_full, 0, n_bases);
	tcase_add_loop_test(scenes, cut_to_nothing, 0, n_bases);
	tcase_add_loop_test(scenes, cut_at_the_very_beginning, 0, n_bases);
	tcase_add_loop_test(scenes, cut_and_parked, 0, n_bases);
	tcase_add_loop_test(scenes, cut_and_parked_before_others, 0, n_bases);
	tcase_add_loop_test(scenes, cut_end_covered_by_another, 0, n_bases);
	tcase_add_loop_test(scenes, cut_in_order_before_parked, 0, n_bases);
	tcase_add_loop_test(scenes, too_many_pieces, 0, n_bases);
	tcase_add_loop_test(scenes, edge_of_the_window, 0, n_bases);
	tcase_add_loop_test(scenes, far_ahead_is_a_gap, 0, n_bases);
	tcase_add_loop_test(scenes, half_the_sequence_space_away, 0, n_bases);
	tcase_add_loop_test(scenes, out_of_memory_is_a_gap, 0, n_bases);
	tcase_add_loop_test(scenes, free_while_parked, 0, n_bases);
	tcase_add_test(scenes, larger_than_the_window);
	tcase_add_loop_test(scenes, window_filled_to_the_brim, 0, 8);
	suite_add_tcase(suite, scenes);

	tcase_add_checked_fixture(cuts, setup, teardown);
	tcase_add_loop_test(cuts, cut_at_every_byte_in_both_orders, 0, n_bases);
	tcase_add_loop_test(cuts, cut_at_every_pair_in_all_orders, 0, n_bases);
	tcase_add_loop_test(cuts, every_overlap, 0, n_bases);
	suite_add_tcase(suite, cuts);

	tcase_set_timeout(chance, 60); /* for valgrind */
	tcase_add_checked_fixture(chance, setup, teardown);
	tcase_add_loop_test(chance, random_segments, 0, 20);
	tcase_add_loop_test(chance, lossy_network_loses_nothing, 0, 10);
	suite_add_tcase(suite, chance);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
