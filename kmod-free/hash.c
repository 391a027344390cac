/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3: one compression round a word and three at the end, as the kernel's tables use it.
 * That is too little for a message authentication code and enough for a table: nobody sees the
 * output, so nobody can aim at a bucket. Words are little-endian, so the result is the same on
 * every machine.
 */
#include "hash.h"

#include <endian.h>
#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v2 = rotate_left(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* The n bytes, 8 at most, as a little-endian number. */
static uint64_t word_of(const uint8_t *bytes, size_t n)
{
	uint64_t word = 0;

	if (n)
		memcpy(&word, bytes, n);
	return le64toh(word);
}

uint64_t hash_sip13(const uint8_t key[HASH_KEY_LEN], const void *data, size_t len)
{
	const uint8_t *bytes = data;
	const uint64_t k0 = word_of(key, 8), k1 = word_of(key + 8, 8);
	struct sip s = {
		.v0 = k0 ^ 0x736f6d6570736575, /* "somepseudorandomlygeneratedbytes" */
		.v1 = k1 ^ 0x646f72616e646f6d,
		.v2 = k0 ^ 0x6c7967656e657261,
		.v3 = k1 ^ 0x7465646279746573,
	};
	size_t left = len;

	for (; left >= 8; left -= 8, bytes += 8)
		sip_word(&s, word_of(bytes, 8));

	/* The last word: what is left over, and the length modulo 256 on top. */
	sip_word(&s, (uint64_t)len << 56 | word_of(bytes, left));

	s.v2 ^= 0xff;
	for (int round = 0; round < 3; round++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
