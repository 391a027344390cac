/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sentences for people: put together piece by piece, then broken into lines. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdio.h>

#define TEXT_WIDTH 100 /* columns of a line */
#define TEXT_TAB   8

/* Grows at its end, and is cut where there is no more room. Begin with { .len = 0 }. */
struct text {
	char at[4096];
	size_t len;
};

__attribute__((format(printf, 2, 3))) void text_add(struct text *t, const char *fmt, ...);

/* Behind what is there already, after a separator. */
void text_add_part(struct text *t, const char *separator, const char *part);

/* Columns on a screen: a character of UTF-8 is one, a tab TEXT_TAB. */
size_t text_columns(const char *s, size_t len);

/*
 * Prints words behind each other, with `column` the one that has been reached; what would make a
 * line too long begins a new one, after `next`. Ends the line.
 */
void text_wrap(FILE *to, size_t column, const char *next, const char *words);

#endif
