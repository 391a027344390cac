/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rows of the catalogue say, in words for people: each adds to a text, or nothing. */
#ifndef PROFILE_WORDS_H
#define PROFILE_WORDS_H

#include "catalogue.h"
#include "text.h"

/* "AIX only; peer, direction not stated" */
void words_facts(struct text *t, unsigned int facts);

/* The conditions of n rows, each once. */
void words_conditions(struct text *t, const struct cat_row *const *rows, size_t n);

/* Their notes, each once, and in brackets the facts. */
void words_knowledge(
    struct text *t, const struct cat_row *const *rows, size_t n, unsigned int facts);

/* "22, 9000-9010" */
void words_ranges(struct text *t, const struct cat_range *range, size_t n);

/* "tcp 1-1023 > 514 over IPv4" */
void words_packet(struct text *t, const struct cat_row *row, unsigned int family);

/* As the catalogue writes it: "tcp,udp". */
const char *words_proto(const struct cat_row *row);

#endif
