/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port catalogue (rules/catalogue/README.md) as plain values: what vendors' documents say that
 * their hosts need open. Read whole and checked whole; nothing here knows nftables.
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAT_WORD  32   /* names of systems, roles, peers, services; with the NUL */
#define CAT_PORTS 16   /* ranges in one cell */
#define CAT_LIST  12   /* words in one cell */
#define CAT_ERROR 2048 /* enough for any message, lists of names included */

enum cat_direction { CAT_IN, CAT_OUT, CAT_LOCAL };
enum cat_need { CAT_REQUIRED, CAT_OPTIONAL, CAT_CONDITIONAL, CAT_UNUSED };
enum cat_default { CAT_ON, CAT_OFF, CAT_NEVER };

/* Bits of cat_row.proto; CAT_ANY_PROTO alone, with ports.any. */
enum { CAT_TCP = 1, CAT_UDP = 2, CAT_ICMP = 4, CAT_ANY_PROTO = 8 };
/* Bits of cat_row.family. */
enum { CAT_IPV4 = 1, CAT_IPV6 = 2 };

enum cat_fact {
	CAT_MUST = 1u << 0,
	CAT_GUI = 1u << 1,
	CAT_INTERNAL = 1u << 2,
	CAT_LOCAL_ONLY = 1u << 3,
	CAT_NOT_WORLD = 1u << 4,
	CAT_AIX_ONLY = 1u << 5,
	CAT_NOTE_1 = 1u << 6,
	CAT_NOTE_2 = 1u << 7,
	CAT_BROADCAST = 1u << 8,
	CAT_NO_LISTENER = 1u << 9,
	CAT_PROTO_UNSTATED = 1u << 10,
	CAT_PEER_UNSTATED = 1u << 11,
	CAT_DIRECTION_UNSTATED = 1u << 12,
	CAT_UNREADABLE = 1u << 13,
	CAT_CONTRADICTION = 1u << 14,
};

struct cat_range {
	uint16_t lo, hi; /* host order, both included */
};

/* n == 0 and not any: the document has no number there. */
struct cat_ports {
	bool any;
	size_t n;
	struct cat_range range[CAT_PORTS]; /* as written, not sorted */
};

struct cat_words {
	size_t n;
	char word[CAT_LIST][CAT_WORD];
};

struct cat_row {
	char system[CAT_WORD], row[CAT_WORD], service[CAT_WORD];
	char peer[CAT_WORD];  /* a role, "any", or "" when direction is local */
	const char *document; /* name of the file without ".tsv" */
	const char *lines;    /* as written */
	struct cat_words roles;
	enum cat_direction direction;
	unsigned int family, proto;
	struct cat_ports port;
	struct cat_range sport; /* 0-0: not given */
	enum cat_need need;
	enum cat_default preset;
	const char *condition;  /* "" when there is none */
	char tracker[CAT_WORD]; /* "ftp", ...; "" when there is none */
	bool pinhole;           /* tracker:pinhole, else tracker:control */
	unsigned int facts;
	const char *note;
};

struct cat_peer {
	char system[CAT_WORD], name[CAT_WORD];
	const char *text;
};

struct cat_profile {
	char name[CAT_WORD], system[CAT_WORD];
	struct cat_words roles;
	bool output_drops, containers;
	struct cat_words inside; /* interfaces */
	const char *title, *remark;
};

struct cat_document {
	char name[CAT_WORD];
	const char *title, *sha256;
};

/* Owns all text that its rows point to. */
struct catalogue {
	struct cat_row *rows;
	size_t n_rows;
	struct cat_peer *peers;
	size_t n_peers;
	struct cat_profile *profiles;
	size_t n_profiles;
	struct cat_document *documents;
	size_t n_documents;
	char **texts;
	size_t n_texts;
};

/*
 * Reads documents.tsv, peers.tsv, the rows of every document and profiles.tsv from dir. 0; -EINVAL
 * for what they say; other -errno when they cannot be read. On failure *out is empty and
 * error[CAT_ERROR] holds one line, "FILE:LINE: what is wrong with 'WORD'".
 */
int catalogue_load(struct catalogue *out, const char *dir, char *error);
void catalogue_free(struct catalogue *c);

/*
 * The words of one cell by themselves, for others who read the same words: "22,9000-9010" (or
 * "any"), sorted or not, none twice. NULL when they are good, else what is wrong with text.
 */
const char *catalogue_parse_ports(const char *text, struct cat_ports *out);
/* A name: [a-z][a-z0-9_]*, and short enough. */
bool catalogue_is_name(const char *text, size_t len);
/* What can be the name of an interface; a * at its end stands for any rest. */
bool catalogue_is_interface(const char *text, size_t len);

/* NULL when there is none of that name. */
const struct cat_profile *catalogue_profile(const struct catalogue *c, const char *name);
/* What the documents of this system mean by a peer role; "" when nothing is said. */
const char *catalogue_peer(const struct catalogue *c, const char *system, const char *name);
/* The words of rules/catalogue/README.md; NULL for anything but one bit. */
const char *catalogue_fact_word(unsigned int fact);
const char *catalogue_need_word(enum cat_need need);
const char *catalogue_direction_word(enum cat_direction direction);

#endif
