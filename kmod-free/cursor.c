/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bounded reader: the only place where bytes of a packet are turned into numbers. Each function
 * first asks whether all it needs is there and only then reads, so that no caller has to check a
 * length, and a failed read can be tried again when more bytes have come. Knows no protocol,
 * allocates nothing, and looks at each byte at most once.
 */
#include "cursor.h"

#include <string.h>

#define DECIMAL_DIGITS 10 /* of UINT32_MAX */

/* An empty cursor may point nowhere, and not even 0 may be added to a null pointer. */
static void take(struct cursor *c, size_t len)
{
	if (!len)
		return;
	c->at += len;
	c->left -= len;
}

bool cursor_u8(struct cursor *c, uint8_t *out)
{
	if (!cursor_peek(c, out))
		return false;
	take(c, 1);
	return true;
}

bool cursor_be16(struct cursor *c, uint16_t *out)
{
	if (c->left < 2)
		return false;
	*out = (uint16_t)(c->at[0] << 8 | c->at[1]);
	take(c, 2);
	return true;
}

bool cursor_be32(struct cursor *c, uint32_t *out)
{
	if (c->left < 4)
		return false;
	*out = (uint32_t)c->at[0] << 24 | (uint32_t)c->at[1] << 16 | (uint32_t)c->at[2] << 8 |
	       c->at[3];
	take(c, 4);
	return true;
}

bool cursor_copy(struct cursor *c, void *out, size_t len)
{
	if (c->left < len)
		return false;
	if (len)
		memcpy(out, c->at, len);
	take(c, len);
	return true;
}

bool cursor_skip(struct cursor *c, size_t len)
{
	if (c->left < len)
		return false;
	take(c, len);
	return true;
}

bool cursor_sub(struct cursor *c, size_t len, struct cursor *out)
{
	if (c->left < len)
		return false;
	*out = cursor_of(c->at, len);
	take(c, len);
	return true;
}

bool cursor_until(struct cursor *c, uint8_t end, struct cursor *out)
{
	const uint8_t *found = c->left ? memchr(c->at, end, c->left) : NULL;

	if (!found)
		return false;
	*out = cursor_of(c->at, (size_t)(found - c->at));
	take(c, out->left + 1);
	return true;
}

bool cursor_peek(const struct cursor *c, uint8_t *out)
{
	if (!c->left)
		return false;
	*out = c->at[0];
	return true;
}

bool cursor_char(struct cursor *c, char want)
{
	if (!c->left || c->at[0] != (uint8_t)want)
		return false;
	take(c, 1);
	return true;
}

/* ASCII only, whatever the locale: tolower() would fold a Turkish I. */
static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool cursor_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if (c->left < len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(c->at[i]) != lower((uint8_t)word[i]))
			return false;
	take(c, len);
	return true;
}

bool cursor_decimal(struct cursor *c, uint32_t max, uint32_t *out)
{
	uint64_t value = 0; /* eleven digits fit, so the sum cannot wrap */
	size_t n = 0;

	while (n < c->left && n <= DECIMAL_DIGITS && c->at[n] >= '0' && c->at[n] <= '9')
		value = value * 10 + (uint64_t)(c->at[n++] - '0');
	if (n == 0 || n > DECIMAL_DIGITS || value > max)
		return false;
	*out = (uint32_t)value;
	take(c, n);
	return true;
}

size_t cursor_blanks(struct cursor *c)
{
	size_t n = 0;

	while (n < c->left && (c->at[n] == ' ' || c->at[n] == '\t'))
		n++;
	take(c, n);
	return n;
}

/*
 * Printed as it is. The backslash is not: a peer that sends the four characters \x0a must not look
 * like one that sent a line feed.
 */
static bool is_plain(uint8_t byte)
{
	return byte >= ' ' && byte <= '~' && byte != '\\';
}

/* One byte as it is printed; returns how many characters that takes. */
static size_t escape_byte(uint8_t byte, char text[4])
{
	static const char digits[] = "0123456789abcdef";

	if (is_plain(byte)) {
		text[0] = (char)byte;
		return 1;
	}
	text[0] = '\\';
	text[1] = 'x';
	text[2] = digits[byte >> 4];
	text[3] = digits[byte & 0x0f];
	return 4;
}

void cursor_escape(const struct cursor *c, char *out, size_t cap)
{
	static const char dots[] = "...";
	const size_t room = cap - 1;
	size_t len = 0;
	size_t whole = 0; /* how much of it may stay when the dots have to follow */

	for (size_t i = 0; i < c->left; i++) {
		char text[4];
		size_t n;

		/* Nearly every byte of a real dialogue, as long as dots would still fit behind it.
		 */
		if (is_plain(c->at[i]) && len + 4 <= room) {
			out[len++] = (char)c->at[i];
			whole = len;
			continue;
		}
		n = escape_byte(c->at[i], text);

		if (n > room - len) {
			size_t n_dots = room < 3 ? room : 3; /* whole is 0 then */

			memcpy(out + whole, dots, n_dots);
			len = whole + n_dots;
			break;
		}
		memcpy(out + len, text, n);
		len += n;
		if (len + 3 <= room)
			whole = len;
	}
	out[len] = '\0';
}
