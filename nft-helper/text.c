// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void text_add(struct text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->at) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at + t->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n < room ? (size_t)n : room - 1;
}

void text_add_part(struct text *t, const char *separator, const char *part)
{
	text_add(t, "%s%s", t->len ? separator : "", part);
}

size_t text_columns(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == '\t' ? TEXT_TAB : ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

void text_wrap(FILE *to, size_t column, const char *next, const char *words)
{
	bool first = true;

	for (const char *w = words; *w;) {
		size_t len = strcspn(w, " "), width = text_columns(w, len);

		if (!first && column + 1 + width > TEXT_WIDTH) {
			(void)fprintf(to, "\n%s", next);
			column = text_columns(next, strlen(next));
			first = true;
		}
		(void)fprintf(to, "%s%.*s", first ? "" : " ", (int)len, w);
		column += width + !first;
		first = false;
		w += len + strspn(w + len, " ");
	}
	(void)fputc('\n', to);
}
