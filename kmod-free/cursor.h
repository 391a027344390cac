/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded reader over bytes that somebody else wrote. Every read either succeeds whole and moves
 * on, or returns false and changes neither the cursor nor the output. The bytes are borrowed and
 * must outlive the cursor. Nothing here allocates, and nothing knows a protocol.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CURSOR_MUST __attribute__((warn_unused_result))

struct cursor {
	const uint8_t *at;
	size_t left;
};

static inline struct cursor cursor_of(const void *bytes, size_t len)
{
	return (struct cursor){ .at = bytes, .left = len };
}

/* Multi-byte integers are in network order on the wire and in host order in the output. */
CURSOR_MUST bool cursor_u8(struct cursor *c, uint8_t *out);
CURSOR_MUST bool cursor_be16(struct cursor *c, uint16_t *out);
CURSOR_MUST bool cursor_be32(struct cursor *c, uint32_t *out);
CURSOR_MUST bool cursor_copy(struct cursor *c, void *out, size_t len);
CURSOR_MUST bool cursor_skip(struct cursor *c, size_t len);

/* A cursor confined to the next len bytes; c moves past them. */
CURSOR_MUST bool cursor_sub(struct cursor *c, size_t len, struct cursor *out);

/* The bytes up to and without the first `end`; c moves past it. False when it does not occur. */
CURSOR_MUST bool cursor_until(struct cursor *c, uint8_t end, struct cursor *out);

/* The next byte without taking it. */
CURSOR_MUST bool cursor_peek(const struct cursor *c, uint8_t *out);

/* Takes the next byte when it is `want`. */
CURSOR_MUST bool cursor_char(struct cursor *c, char want);

/*
 * Takes `word` in any letter case. False when the bytes differ or the cursor is shorter; word is
 * ASCII.
 */
CURSOR_MUST bool cursor_word(struct cursor *c, const char *word);

/*
 * A decimal number of 1 to 10 digits, at most max; leading zeros count as digits. False when there
 * is no digit, an eleventh one, or a larger value: nothing ever wraps.
 */
CURSOR_MUST bool cursor_decimal(struct cursor *c, uint32_t max, uint32_t *out);

/* Moves over spaces and tabs; says how many there were. */
size_t cursor_blanks(struct cursor *c);

/*
 * Writes the bytes as printable ASCII into out[cap] (cap > 0), with \xHH for all others and "..."
 * when they do not fit; always NUL-terminated. For log lines and `pinholectl why`.
 */
void cursor_escape(const struct cursor *c, char *out, size_t cap);

#endif
