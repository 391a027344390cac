/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BFD control packets as peers write them (RFC 5880 section 4.1), with whatever lies a test needs.
 * It shares no code with what reads them in kmod-free.
 */
#ifndef BFD_H
#define BFD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum bfd_state { BFD_ADMIN_DOWN, BFD_DOWN, BFD_INIT, BFD_UP };
enum bfd_flag {
	BFD_MULTIPOINT = 0x01,
	BFD_DEMAND = 0x02,
	BFD_AUTH = 0x04,
	BFD_CPI = 0x08,
	BFD_FINAL = 0x10,
	BFD_POLL = 0x20,
};

#define BFD_LEN      24u
#define BFD_LEN_MAX  512u
#define BFD_HONEST   (-1) /* the length that the packet has */
#define BFD_BODY_MAX 64u

struct bfd_words {
	uint8_t version, diag, state, flags, mult;
	int length;
	uint32_t my, your, tx, rx, echo; /* intervals in us */
	size_t body_len;                 /* behind the 24 bytes: an authentication section */
	uint8_t body[BFD_BODY_MAX];
};

/* A side that has heard nothing yet. */
static inline struct bfd_words bfd_down(uint32_t my)
{
	return (struct bfd_words){
		.version = 1,
		.state = BFD_DOWN,
		.mult = 3,
		.length = BFD_HONEST,
		.my = my,
		.tx = 1000000,
		.rx = 300000,
	};
}

/* One that is Up at this rate. */
static inline struct bfd_words bfd_up(uint32_t my, uint32_t your, uint32_t us)
{
	struct bfd_words b = bfd_down(my);

	b.state = BFD_UP;
	b.your = your;
	b.tx = b.rx = us;
	return b;
}

/* An authentication section of this type, which says that it has `says` bytes. */
static inline void bfd_auth(struct bfd_words *b, uint8_t type, uint8_t says, size_t has)
{
	assert(has <= sizeof(b->body));
	b->flags |= BFD_AUTH;
	b->body_len = has;
	memset(b->body, 0x5a, sizeof(b->body));
	b->body[0] = type;
	b->body[1] = says;
}

static inline uint8_t *bfd_word(uint8_t *p, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(v >> shift);
	return p;
}

/* Into out[BFD_LEN_MAX]; returns its length. */
static inline size_t bfd_write(const struct bfd_words *b, uint8_t *out)
{
	size_t len = BFD_LEN + b->body_len;
	uint8_t *p = out;

	*p++ = (uint8_t)(b->version << 5 | b->diag);
	*p++ = (uint8_t)(b->state << 6 | b->flags);
	*p++ = b->mult;
	*p++ = (uint8_t)(b->length == BFD_HONEST ? (int)len : b->length);
	p = bfd_word(p, b->my);
	p = bfd_word(p, b->your);
	p = bfd_word(p, b->tx);
	p = bfd_word(p, b->rx);
	p = bfd_word(p, b->echo);
	memcpy(p, b->body, b->body_len);
	return len;
}

#endif
