// SPDX-License-Identifier: GPL-2.0-or-later
/* One line a finding: level, kind, what it is about; below it what is so, and what to do. */
#include "audit.h"

#include <stdio.h>
#include <string.h>
#include "text.h"

#define INDENT "    "

static const char *word(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));

	return text && text[0] ? text : "-";
}

/* Names in rule sets and of programs are other people's. */
static void clean(char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\n') || *text == 0x7f)
			*text = '?';
}

static void show_text(const char *begin, const char *next, const char *words)
{
	struct text t = { .len = 0 };

	text_add(&t, "%s", words);
	clean(t.at);
	(void)fputs(begin, stdout);
	text_wrap(stdout, strlen(begin), next, t.at);
}

/* Commands stand on lines of their own, and are not broken. */
static void show_fix(const char *fix)
{
	struct text t = { .len = 0 };
	char *line = t.at, *end;

	text_add(&t, "%s", fix);
	clean(t.at);
	for (; line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		(void)printf(INDENT "-> %s\n", line);
	}
}

static void show_rows(const json_t *item)
{
	const json_t *rows = json_object_get(item, "rows"), *row;
	struct text t = { .len = 0 };
	size_t i;

	json_array_foreach(rows, i, row) if (i < 4) text_add_part(&t, ", ", json_string_value(row));
	if (json_array_size(rows) > 4)
		text_add(&t, ", ...");
	(void)printf("%s\n", t.len ? t.at : "-");
}

void audit_show(const json_t *result)
{
	const json_t *list = json_object_get(result, "findings"), *item;
	size_t i, bad = 0;

	if (json_array_size(list))
		(void)printf("%-8s %-17s %-6s %-16s %-7s %-16s %s\n", "LEVEL", "KIND", "PROTO",
		    "PORT", "FAMILY", "SERVICE", "DOCUMENT");
	json_array_foreach(list, i, item)
	{
		const char *level = word(item, "level");

		bad += strcmp(level, "finding") == 0;
		(void)printf("%-8s %-17s %-6s %-16.40s %-7s %-16s ",
		    strcmp(level, "finding") == 0 ? "FINDING" : level, word(item, "kind"),
		    word(item, "proto"), word(item, "port"), word(item, "family"),
		    word(item, "service"));
		show_rows(item);
		show_text(INDENT, INDENT, word(item, "text"));
		if (json_string_value(json_object_get(item, "fix")))
			show_fix(word(item, "fix"));
	}
	if (bad)
		(void)printf("%zu of %zu are findings: this host is not as %s says\n", bad,
		    json_array_size(list), word(result, "profile"));
	else
		(void)printf("this host is as %s says%s\n", word(result, "profile"),
		    json_array_size(list) ? ", as far as can be told" : "");
}
