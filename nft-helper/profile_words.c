// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile_words.h"

#include <stdbool.h>
#include <string.h>

struct fact_text {
	unsigned int fact;
	const char *text;
};

/* What the document leaves open, and the catalogue has settled. */
static const struct fact_text unstated[] = {
	{ CAT_PEER_UNSTATED, "peer" },
	{ CAT_DIRECTION_UNSTATED, "direction" },
	{ CAT_PROTO_UNSTATED, "protocol" },
};

/* Without CAT_BROADCAST, which is a rule of its own. */
static const struct fact_text other_facts[] = {
	{ CAT_MUST, "stressed" },
	{ CAT_GUI, "recommended where a browser is used" },
	{ CAT_INTERNAL, "for the vendor's support alone" },
	{ CAT_LOCAL_ONLY, "open to the host itself alone" },
	{ CAT_NOT_WORLD, "never to be open to the world" },
	{ CAT_AIX_ONLY, "AIX only" },
	{ CAT_NOTE_1, "see its note 1" },
	{ CAT_NOTE_2, "see its note 2" },
	{ CAT_NO_LISTENER, "nothing listens there" },
	{ CAT_UNREADABLE, "part of the row is lost" },
	{ CAT_CONTRADICTION, "the document contradicts itself" },
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

void words_facts(struct text *t, unsigned int facts)
{
	const char *separator = "; ";

	for (size_t i = 0; i < N(other_facts); i++)
		if (facts & other_facts[i].fact)
			text_add_part(t, "; ", other_facts[i].text);
	for (size_t i = 0; i < N(unstated); i++) {
		if (!(facts & unstated[i].fact))
			continue;
		text_add_part(t, separator, unstated[i].text);
		separator = ", ";
	}
	if (separator[0] == ',')
		text_add(t, " not stated");
}

static void add_texts(struct text *t, const struct cat_row *const *rows, size_t n,
    const char *(*text_of)(const struct cat_row *row))
{
	for (size_t i = 0; i < n; i++) {
		const char *text = text_of(rows[i]);
		bool again = !text[0];

		for (size_t j = 0; !again && j < i; j++)
			again = strcmp(text_of(rows[j]), text) == 0;
		if (!again)
			text_add_part(t, "; ", text);
	}
}

static const char *condition_of(const struct cat_row *row)
{
	return row->condition;
}

static const char *note_of(const struct cat_row *row)
{
	return row->note;
}

void words_conditions(struct text *t, const struct cat_row *const *rows, size_t n)
{
	add_texts(t, rows, n, condition_of);
}

void words_knowledge(
    struct text *t, const struct cat_row *const *rows, size_t n, unsigned int facts)
{
	struct text more = { .len = 0 };

	add_texts(t, rows, n, note_of);
	words_facts(&more, facts);
	if (more.len)
		text_add(t, "%s(%s)", t->len ? " " : "", more.at);
}

void words_ranges(struct text *t, const struct cat_range *range, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_add(t, "%s%u", i ? ", " : "", range[i].lo);
		if (range[i].hi != range[i].lo)
			text_add(t, "-%u", range[i].hi);
	}
}

const char *words_proto(const struct cat_row *row)
{
	static const char *const protos[] = {
		[CAT_TCP] = "tcp",
		[CAT_UDP] = "udp",
		[CAT_TCP | CAT_UDP] = "tcp,udp",
		[CAT_ICMP] = "icmp",
		[CAT_ANY_PROTO] = "any",
	};

	return protos[row->proto];
}

void words_packet(struct text *t, const struct cat_row *row, unsigned int family)
{
	text_add(t, "%s%s", words_proto(row), row->proto == CAT_ANY_PROTO ? " protocol" : "");
	if (row->sport.lo) {
		text_add(t, " ");
		words_ranges(t, &row->sport, 1);
		text_add(t, " >");
	}
	if (row->port.n) {
		text_add(t, " ");
		words_ranges(t, row->port.range, row->port.n);
	} else if (!row->port.any && row->proto != CAT_ICMP) {
		text_add(t, ", no fixed port,");
	}
	if (family != (CAT_IPV4 | CAT_IPV6))
		text_add(t, " over %s", family == CAT_IPV4 ? "IPv4" : "IPv6");
}
