/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words and sentences of reason.h as tables. They are made from the same list as the enum, so
 * none can be missing, doubled or out of order. Words are part of the JSON contract and of metric
 * names: change a sentence freely, a word never. Nothing is translated, formatted or allocated
 * here.
 */
#include "reason.h"

#include <assert.h>

#define REASONS(X) REASON_LIFE(X) REASON_REFUSAL(X)

static const char *const words[] = {
#define X(name, word, text) [REASON_##name] = word,
	REASONS(X)
#undef X
};

static const char *const texts[] = {
#define X(name, word, text) [REASON_##name] = text,
	REASONS(X)
#undef X
};

static_assert(sizeof(words) / sizeof(words[0]) == REASON_MAX, "a word for each reason");
static_assert(sizeof(texts) / sizeof(texts[0]) == REASON_MAX, "a sentence for each reason");

/* An enum may hold any integer, and a negative one is a large unsigned one. */
static bool known(enum reason r)
{
	return (unsigned int)r < REASON_MAX;
}

const char *reason_word(enum reason r)
{
	return known(r) ? words[r] : "unknown";
}

const char *reason_text(enum reason r)
{
	return known(r) ? texts[r] : "no such reason";
}
