// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of rules/catalogue, read strictly: columns go by the names in a file's first line,
 * every cell is checked against what its column may hold, and the first mistake ends the reading.
 * The bytes of a file stay where they were read; tabs and line feeds become the ends of cells, and
 * longer texts are pointed to, not copied.
 */
#include "catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cursor.h"
#include "textfile.h"

#define COLUMNS_MAX 20
#define PATH_SIZE   512
#define SHOWN       64 /* of a wrong word */
#define IFNAME_LEN  15 /* IFNAMSIZ without its NUL */

/* What is being read, for complaints. */
struct reader {
	struct catalogue *out;
	char path[PATH_SIZE];
	unsigned int line;
	char *error;
};

/* A kind of file: its columns, and who takes the cells of a line, in this order. */
struct table {
	const char *const *columns;
	size_t n_columns;
	int (*take)(struct reader *r, char *const cells[], const char *document);
};

/* --- complaints ---------------------------------------------------------------------------- */

static void escape(const char *word, char text[SHOWN])
{
	struct cursor c = cursor_of(word, strlen(word));

	cursor_escape(&c, text, SHOWN);
}

static int wrong(const struct reader *r, const char *what, const char *word)
{
	char text[SHOWN];

	escape(word, text);
	(void)snprintf(r->error, CAT_ERROR, "%s:%u: %s '%s'", r->path, r->line, what, text);
	return -EINVAL;
}

static int cannot_read(const struct reader *r, int err)
{
	(void)snprintf(r->error, CAT_ERROR, "%s: %s", r->path, strerror(err));
	return -err;
}

/* --- words --------------------------------------------------------------------------------- */

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool catalogue_is_name(const char *text, size_t len)
{
	if (len == 0 || len >= CAT_WORD || !is_lower(text[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_lower(text[i]) && !is_digit(text[i]) && text[i] != '_')
			return false;
	return true;
}

bool catalogue_is_interface(const char *text, size_t len)
{
	if (len > 1 && text[len - 1] == '*')
		len--;
	if (len == 0 || len > IFNAME_LEN || text[0] == '-' || text[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!is_lower(c) && !(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '_' &&
		    c != '-' && c != '.')
			return false;
	}
	return true;
}

/* Names of documents and profiles, and what is counted in them: "2.1/14", "netq-single". */
static bool is_label(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= CAT_WORD || text[0] == '-' || text[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!is_lower(c) && !(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '_' &&
		    c != '-' && c != '.' && c != '/')
			return false;
	}
	return true;
}

/* A label that can be the name of a file, here or on any other system. */
static bool is_file_name(const char *text)
{
	return is_label(text) && !strchr(text, '/');
}

static void keep_word(char out[CAT_WORD], const char *word)
{
	(void)snprintf(out, CAT_WORD, "%s", word);
}

static const char *or_nothing(const char *cell)
{
	return strcmp(cell, "-") == 0 ? "" : cell;
}

/* The place of a word in a list that may have gaps; -1 when it is not there. */
static int word_index(const char *const words[], size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (words[i] && strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
			return (int)i;
	return -1;
}

#define WORD_INDEX(words, cell)                                                                    \
	word_index(words, sizeof(words) / sizeof((words)[0]), cell, strlen(cell))

/* The next word of a list; false at its end. An empty one counts. */
static bool next_word(struct cursor *list, bool *more, struct cursor *word)
{
	if (!*more)
		return false;
	if (!cursor_until(list, ',', word)) {
		*word = *list;
		*more = false;
	}
	return true;
}

static const char *const need_words[] = {
	[CAT_REQUIRED] = "required",
	[CAT_OPTIONAL] = "optional",
	[CAT_CONDITIONAL] = "conditional",
	[CAT_UNUSED] = "unused",
};

static const char *const direction_words[] = {
	[CAT_IN] = "in",
	[CAT_OUT] = "out",
	[CAT_LOCAL] = "local",
};

/* In the order of their bits. */
static const char *const fact_words[] = {
	"must",
	"gui",
	"internal",
	"local-only",
	"not-world",
	"aix-only",
	"note-1",
	"note-2",
	"broadcast",
	"no-listener",
	"proto-unstated",
	"peer-unstated",
	"direction-unstated",
	"unreadable",
	"contradiction",
};
#define N_FACTS (sizeof(fact_words) / sizeof(fact_words[0]))
_Static_assert(1u << (N_FACTS - 1) == CAT_CONTRADICTION, "every fact has a word");

const char *catalogue_fact_word(unsigned int fact)
{
	for (size_t i = 0; i < N_FACTS; i++)
		if (fact == 1u << i)
			return fact_words[i];
	return NULL;
}

const char *catalogue_need_word(enum cat_need need)
{
	return need_words[need];
}

const char *catalogue_direction_word(enum cat_direction direction)
{
	return direction_words[direction];
}

/* --- cells --------------------------------------------------------------------------------- */

static int take_name(const struct reader *r, char out[CAT_WORD], const char *cell, const char *what)
{
	if (!catalogue_is_name(cell, strlen(cell)))
		return wrong(r, what, cell);
	keep_word(out, cell);
	return 0;
}

static int take_label(
    const struct reader *r, char out[CAT_WORD], const char *cell, const char *what)
{
	if (!is_label(cell))
		return wrong(r, what, cell);
	keep_word(out, cell);
	return 0;
}

static int take_list(const struct reader *r, struct cat_words *out, const char *cell,
    bool (*good)(const char *text, size_t len), const char *what)
{
	struct cursor list = cursor_of(cell, strlen(cell)), word;
	bool more = true;

	while (next_word(&list, &more, &word)) {
		if (!good((const char *)word.at, word.left))
			return wrong(r, what, cell);
		if (out->n == CAT_LIST)
			return wrong(r, "too many words in", cell);
		memcpy(out->word[out->n], word.at, word.left);
		out->word[out->n++][word.left] = '\0';
	}
	return 0;
}

static bool parse_range(struct cursor *c, struct cat_range *out)
{
	uint32_t lo, hi;

	if (!cursor_decimal(c, UINT16_MAX, &lo) || lo == 0)
		return false;
	hi = lo;
	if (cursor_char(c, '-') && !cursor_decimal(c, UINT16_MAX, &hi))
		return false;
	out->lo = (uint16_t)lo;
	out->hi = (uint16_t)hi;
	return c->left == 0 && lo <= hi;
}

const char *catalogue_parse_ports(const char *text, struct cat_ports *out)
{
	struct cursor list = cursor_of(text, strlen(text)), word;
	struct cat_ports ports = { .any = strcmp(text, "any") == 0 };
	bool more = !ports.any;

	while (next_word(&list, &more, &word)) {
		struct cat_range range;

		if (!parse_range(&word, &range))
			return "no ports:";
		for (size_t i = 0; i < ports.n; i++)
			if (range.lo <= ports.range[i].hi && range.hi >= ports.range[i].lo)
				return "a port stands twice in";
		if (ports.n == CAT_PORTS)
			return "too many ports in";
		ports.range[ports.n++] = range;
	}
	*out = ports;
	return NULL;
}

static int take_ports(const struct reader *r, struct cat_ports *out, const char *cell)
{
	const char *what;

	if (strcmp(cell, "-") == 0)
		return 0;
	what = catalogue_parse_ports(cell, out);
	return what ? wrong(r, what, cell) : 0;
}

static int take_family(const struct reader *r, unsigned int *out, const char *cell)
{
	static const char *const words[] = {
		[CAT_IPV4] = "ip4",
		[CAT_IPV6] = "ip6",
		[CAT_IPV4 | CAT_IPV6] = "any",
	};
	int i = WORD_INDEX(words, cell);

	if (i < 0)
		return wrong(r, "no family:", cell);
	*out = (unsigned int)i;
	return 0;
}

static int take_proto(const struct reader *r, unsigned int *out, const char *cell)
{
	static const char *const words[] = {
		[CAT_TCP] = "tcp",
		[CAT_UDP] = "udp",
		[CAT_TCP | CAT_UDP] = "tcp,udp",
		[CAT_ICMP] = "icmp",
		[CAT_ANY_PROTO] = "any",
	};
	int i = WORD_INDEX(words, cell);

	if (i < 0)
		return wrong(r, "no protocol:", cell);
	*out = (unsigned int)i;
	return 0;
}

/* "ftp:control" */
static int take_tracker(const struct reader *r, struct cat_row *row, const char *cell)
{
	static const char *const names[] = { "ftp", "sunrpc", "tftp", "bfd", "rsh" };
	struct cursor c = cursor_of(cell, strlen(cell)), name;
	int i;

	if (strcmp(cell, "-") == 0)
		return 0;
	if (!cursor_until(&c, ':', &name))
		return wrong(r, "neither NAME:control nor NAME:pinhole:", cell);
	i = word_index(names, sizeof(names) / sizeof(names[0]), (const char *)name.at, name.left);
	if (i < 0)
		return wrong(r, "no tracker:", cell);
	keep_word(row->tracker, names[i]);
	row->pinhole = c.left == strlen("pinhole") && cursor_word(&c, "pinhole");
	if (!row->pinhole && !(c.left == strlen("control") && cursor_word(&c, "control")))
		return wrong(r, "neither NAME:control nor NAME:pinhole:", cell);
	return 0;
}

static int take_facts(const struct reader *r, unsigned int *out, const char *cell)
{
	struct cursor list = cursor_of(cell, strlen(cell)), word;
	bool more = strcmp(cell, "-") != 0;

	while (next_word(&list, &more, &word)) {
		int i = word_index(fact_words, N_FACTS, (const char *)word.at, word.left);

		if (i < 0)
			return wrong(r, "a fact that is not known in", cell);
		*out |= 1u << i;
	}
	return 0;
}

/* "154,204,229-230" */
static int take_lines(const struct reader *r, const char **out, const char *cell)
{
	struct cursor list = cursor_of(cell, strlen(cell)), word;
	struct cat_range range;
	bool more = true;

	while (next_word(&list, &more, &word))
		if (!parse_range(&word, &range))
			return wrong(r, "no lines:", cell);
	*out = cell;
	return 0;
}

/* --- what a line is ------------------------------------------------------------------------ */

/* The array with a copy of one more element; NULL without memory, and then array is as it was. */
static void *append(void *array, size_t n, const void *element, size_t size)
{
	char *bigger = reallocarray(array, n + 1, size);

	if (bigger)
		memcpy(bigger + n * size, element, size);
	return bigger;
}

enum { DOC_NAME, DOC_TITLE, DOC_SHA256 };
static const char *const document_columns[] = {
	[DOC_NAME] = "name",
	[DOC_TITLE] = "title",
	[DOC_SHA256] = "sha256",
};

static int take_document(struct reader *r, char *const cells[], const char *document)
{
	struct catalogue *c = r->out;
	const char *hash = cells[DOC_SHA256];
	struct cat_document d = { .title = or_nothing(cells[DOC_TITLE]), .sha256 = hash };
	void *bigger;

	(void)document;
	for (size_t i = 0; i < c->n_documents; i++)
		if (strcmp(c->documents[i].name, cells[DOC_NAME]) == 0)
			return wrong(r, "a document twice:", cells[DOC_NAME]);
	if (!is_file_name(cells[DOC_NAME]))
		return wrong(r, "no name of a document:", cells[DOC_NAME]);
	if (strlen(hash) != 64 || strspn(hash, "0123456789abcdef") != 64)
		return wrong(r, "no SHA-256:", hash);
	keep_word(d.name, cells[DOC_NAME]);
	bigger = append(c->documents, c->n_documents, &d, sizeof(d));
	if (!bigger)
		return cannot_read(r, ENOMEM);
	c->documents = bigger;
	c->n_documents++;
	return 0;
}

enum { PEER_SYSTEM, PEER_NAME, PEER_TEXT };
static const char *const peer_columns[] = {
	[PEER_SYSTEM] = "system",
	[PEER_NAME] = "peer",
	[PEER_TEXT] = "text",
};

static const struct cat_peer *find_peer(
    const struct catalogue *c, const char *system, const char *name)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (strcmp(c->peers[i].system, system) == 0 && strcmp(c->peers[i].name, name) == 0)
			return &c->peers[i];
	return NULL;
}

static int take_peer(struct reader *r, char *const cells[], const char *document)
{
	struct catalogue *c = r->out;
	const char *name = cells[PEER_NAME];
	struct cat_peer peer = { .text = or_nothing(cells[PEER_TEXT]) };
	void *bigger;
	int ret;

	(void)document;
	ret = take_name(r, peer.system, cells[PEER_SYSTEM], "no name of a system:");
	if (ret == 0)
		ret = take_name(r, peer.name, name, "no name of a peer role:");
	if (ret < 0)
		return ret;
	if (strcmp(name, "any") == 0 || strcmp(name, "anybody") == 0)
		return wrong(r, "not a role:", name);
	if (find_peer(c, peer.system, peer.name))
		return wrong(r, "a peer role twice:", name);
	if (!peer.text[0])
		return wrong(r, "nothing is said of", name);
	bigger = append(c->peers, c->n_peers, &peer, sizeof(peer));
	if (!bigger)
		return cannot_read(r, ENOMEM);
	c->peers = bigger;
	c->n_peers++;
	return 0;
}

enum {
	ROW_SYSTEM,
	ROW_ROW,
	ROW_LINES,
	ROW_ROLE,
	ROW_DIRECTION,
	ROW_PEER,
	ROW_SERVICE,
	ROW_FAMILY,
	ROW_PROTO,
	ROW_PORT,
	ROW_SPORT,
	ROW_NEED,
	ROW_DEFAULT,
	ROW_CONDITION,
	ROW_TRACKER,
	ROW_FACTS,
	ROW_NOTE,
};
static const char *const row_columns[] = {
	[ROW_SYSTEM] = "system",
	[ROW_ROW] = "row",
	[ROW_LINES] = "lines",
	[ROW_ROLE] = "role",
	[ROW_DIRECTION] = "direction",
	[ROW_PEER] = "peer",
	[ROW_SERVICE] = "service",
	[ROW_FAMILY] = "family",
	[ROW_PROTO] = "proto",
	[ROW_PORT] = "port",
	[ROW_SPORT] = "sport",
	[ROW_NEED] = "need",
	[ROW_DEFAULT] = "default",
	[ROW_CONDITION] = "condition",
	[ROW_TRACKER] = "tracker",
	[ROW_FACTS] = "facts",
	[ROW_NOTE] = "note",
};

/* Who and what for: system, row, roles, direction, peer, service. */
static int take_row_names(const struct reader *r, struct cat_row *row, char *const cells[])
{
	const char *peer = cells[ROW_PEER];
	int i = WORD_INDEX(direction_words, cells[ROW_DIRECTION]);
	int ret;

	if (i < 0)
		return wrong(r, "no direction:", cells[ROW_DIRECTION]);
	row->direction = (enum cat_direction)i;
	ret = take_name(r, row->system, cells[ROW_SYSTEM], "no name of a system:");
	if (ret == 0)
		ret = take_label(r, row->row, cells[ROW_ROW], "no name of a row:");
	if (ret == 0)
		ret = take_lines(r, &row->lines, cells[ROW_LINES]);
	if (ret == 0)
		ret = take_list(
		    r, &row->roles, cells[ROW_ROLE], catalogue_is_name, "no list of roles:");
	if (ret == 0)
		ret = take_name(r, row->service, cells[ROW_SERVICE], "no name of a service:");
	if (ret < 0)
		return ret;
	if ((row->direction == CAT_LOCAL) != (strcmp(peer, "-") == 0))
		return wrong(r, "direction and peer do not fit:", peer);
	if (row->direction == CAT_LOCAL)
		return 0;
	if (strcmp(peer, "any") != 0 && !find_peer(r->out, row->system, peer))
		return wrong(r, "peers.tsv does not have, for this system,", peer);
	keep_word(row->peer, peer);
	return 0;
}

/* What a packet looks like. */
static int take_row_packet(const struct reader *r, struct cat_row *row, char *const cells[])
{
	const bool ports = strcmp(cells[ROW_PORT], "-") != 0;
	struct cat_ports sport = { .n = 0 };
	int ret = take_family(r, &row->family, cells[ROW_FAMILY]);

	if (ret == 0)
		ret = take_proto(r, &row->proto, cells[ROW_PROTO]);
	if (ret == 0)
		ret = take_ports(r, &row->port, cells[ROW_PORT]);
	if (ret == 0)
		ret = take_ports(r, &sport, cells[ROW_SPORT]);
	if (ret < 0)
		return ret;
	if (sport.any || sport.n > 1)
		return wrong(r, "more than one range of source ports:", cells[ROW_SPORT]);
	if (row->proto == CAT_ANY_PROTO && !row->port.any)
		return wrong(r, "ports of any protocol:", cells[ROW_PORT]);
	if (row->proto == CAT_ICMP && ports && !row->port.any)
		return wrong(r, "ports of icmp:", cells[ROW_PORT]);
	if (sport.n && !(row->proto & (CAT_TCP | CAT_UDP)))
		return wrong(r, "source ports of neither tcp nor udp:", cells[ROW_SPORT]);
	if (sport.n)
		row->sport = sport.range[0];
	return 0;
}

/* How much it is needed, and what is to be known of it. */
static int take_row_need(const struct reader *r, struct cat_row *row, char *const cells[])
{
	static const char *const presets[] = {
		[CAT_ON] = "on",
		[CAT_OFF] = "off",
		[CAT_NEVER] = "never",
	};
	int need = WORD_INDEX(need_words, cells[ROW_NEED]);
	int preset = WORD_INDEX(presets, cells[ROW_DEFAULT]);
	int ret;

	if (need < 0)
		return wrong(r, "no need:", cells[ROW_NEED]);
	if (preset < 0)
		return wrong(r, "neither on, off nor never:", cells[ROW_DEFAULT]);
	row->need = (enum cat_need)need;
	row->preset = (enum cat_default)preset;
	row->condition = or_nothing(cells[ROW_CONDITION]);
	row->note = or_nothing(cells[ROW_NOTE]);
	ret = take_tracker(r, row, cells[ROW_TRACKER]);
	if (ret == 0)
		ret = take_facts(r, &row->facts, cells[ROW_FACTS]);
	if (ret < 0)
		return ret;
	if (row->need == CAT_CONDITIONAL && !row->condition[0])
		return wrong(r, "no condition, but", cells[ROW_NEED]);
	if (row->need == CAT_UNUSED && row->preset == CAT_ON)
		return wrong(r, "nobody uses it, but it is", cells[ROW_DEFAULT]);
	return 0;
}

/* Nothing may become a rule that admits more than the row says. */
static int check_row(const struct reader *r, const struct cat_row *row, char *const cells[])
{
	bool rule = row->direction != CAT_LOCAL && row->preset != CAT_NEVER && !row->pinhole;

	if (rule && row->proto != CAT_ICMP && !row->port.any && row->port.n == 0)
		return wrong(
		    r, "a rule without ports; default has to be 'never', not", cells[ROW_DEFAULT]);
	return 0;
}

static int take_row(struct reader *r, char *const cells[], const char *document)
{
	struct cat_row row = { .document = document };
	struct catalogue *c = r->out;
	void *bigger;
	int ret = take_row_names(r, &row, cells);

	if (ret == 0)
		ret = take_row_packet(r, &row, cells);
	if (ret == 0)
		ret = take_row_need(r, &row, cells);
	if (ret == 0)
		ret = check_row(r, &row, cells);
	if (ret < 0)
		return ret;
	bigger = append(c->rows, c->n_rows, &row, sizeof(row));
	if (!bigger)
		return cannot_read(r, ENOMEM);
	c->rows = bigger;
	c->n_rows++;
	return 0;
}

enum {
	PROFILE_NAME,
	PROFILE_SYSTEM,
	PROFILE_ROLES,
	PROFILE_OUTPUT,
	PROFILE_CONTAINERS,
	PROFILE_INSIDE,
	PROFILE_TITLE,
	PROFILE_REMARK,
};
static const char *const profile_columns[] = {
	[PROFILE_NAME] = "name",
	[PROFILE_SYSTEM] = "system",
	[PROFILE_ROLES] = "roles",
	[PROFILE_OUTPUT] = "output",
	[PROFILE_CONTAINERS] = "containers",
	[PROFILE_INSIDE] = "inside",
	[PROFILE_TITLE] = "title",
	[PROFILE_REMARK] = "remark",
};

static bool has_rows(const struct catalogue *c, const char *system, const char *role)
{
	for (size_t i = 0; i < c->n_rows; i++) {
		const struct cat_row *row = &c->rows[i];

		if (strcmp(row->system, system) != 0)
			continue;
		for (size_t j = 0; j < row->roles.n; j++)
			if (strcmp(row->roles.word[j], role) == 0)
				return true;
	}
	return false;
}

static int take_yes_no(
    const struct reader *r, bool *out, const char *cell, const char *yes, const char *no)
{
	*out = strcmp(cell, yes) == 0;
	return *out || strcmp(cell, no) == 0 ? 0 : wrong(r, "not a word of this column:", cell);
}

static int take_profile_words(const struct reader *r, struct cat_profile *p, char *const cells[])
{
	const char *containers = cells[PROFILE_CONTAINERS];
	int ret;

	if (strcmp(containers, "-") == 0)
		containers = "no";

	if (!is_file_name(cells[PROFILE_NAME]))
		return wrong(r, "no name of a profile:", cells[PROFILE_NAME]);
	keep_word(p->name, cells[PROFILE_NAME]);
	ret = take_name(r, p->system, cells[PROFILE_SYSTEM], "no name of a system:");
	if (ret == 0)
		ret = take_list(
		    r, &p->roles, cells[PROFILE_ROLES], catalogue_is_name, "no list of roles:");
	if (ret == 0)
		ret = take_yes_no(r, &p->output_drops, cells[PROFILE_OUTPUT], "drop", "accept");
	if (ret == 0)
		ret = take_yes_no(r, &p->containers, containers, "yes", "no");
	if (ret < 0 || strcmp(cells[PROFILE_INSIDE], "-") == 0)
		return ret;
	if (!p->containers)
		return wrong(
		    r, "interfaces of containers, where there are none:", cells[PROFILE_INSIDE]);
	return take_list(
	    r, &p->inside, cells[PROFILE_INSIDE], catalogue_is_interface, "no list of interfaces:");
}

static int take_profile(struct reader *r, char *const cells[], const char *document)
{
	struct cat_profile profile = {
		.title = or_nothing(cells[PROFILE_TITLE]),
		.remark = or_nothing(cells[PROFILE_REMARK]),
	};
	struct catalogue *c = r->out;
	void *bigger;
	int ret = take_profile_words(r, &profile, cells);

	(void)document;
	if (ret < 0)
		return ret;
	if (catalogue_profile(c, profile.name))
		return wrong(r, "a profile twice:", profile.name);
	if (!profile.title[0])
		return wrong(r, "nothing is said of", profile.name);
	for (size_t i = 0; i < profile.roles.n; i++)
		if (!has_rows(c, profile.system, profile.roles.word[i]))
			return wrong(r, "no row is about", profile.roles.word[i]);
	bigger = append(c->profiles, c->n_profiles, &profile, sizeof(profile));
	if (!bigger)
		return cannot_read(r, ENOMEM);
	c->profiles = bigger;
	c->n_profiles++;
	return 0;
}

/* --- files --------------------------------------------------------------------------------- */

#define TABLE(columns, take)                                                                       \
	{                                                                                          \
		columns, sizeof(columns) / sizeof((columns)[0]), take                              \
	}
static const struct table documents_table = TABLE(document_columns, take_document);
static const struct table peers_table = TABLE(peer_columns, take_peer);
static const struct table rows_table = TABLE(row_columns, take_row);
static const struct table profiles_table = TABLE(profile_columns, take_profile);

/* All of a file, kept by the catalogue. */
static int read_file(const struct reader *r, char **text, size_t *len)
{
	struct catalogue *c = r->out;
	void *bigger;
	int ret = textfile_read(r->path, text, len);

	if (ret < 0)
		return cannot_read(r, -ret);
	bigger = append(c->texts, c->n_texts, text, sizeof(*text));
	if (!bigger) {
		free(*text);
		return cannot_read(r, ENOMEM);
	}
	c->texts = bigger;
	c->n_texts++;
	return 0;
}

/* The bytes of one character of UTF-8 as RFC 3629 has it, no longer than needed; 0 if it is none.
 */
static size_t utf8_length(const uint8_t *at, size_t left)
{
	size_t n;

	if (at[0] < 0x80)
		return 1;
	n = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

/* Text that a terminal, a comment in a rule set and JSON can all take as it is. */
static int check_text(const struct reader *r, const char *line, size_t len)
{
	const uint8_t *at = (const uint8_t *)line;
	size_t n;

	if (memchr(line, '\0', len))
		return wrong(r, "a NUL byte behind", line);
	for (size_t i = 0; i < len; i += n) {
		n = utf8_length(at + i, len - i);
		/* U+0080 to U+009f are C2 80 to C2 9f. */
		if (n == 0 || (at[i] < ' ' && at[i] != '\t') || at[i] == 0x7f ||
		    (at[i] == 0xc2 && at[i + 1] < 0xa0))
			return wrong(r, "not plain UTF-8 text:", line + i);
	}
	return 0;
}

/* Cuts a line at its tabs; how many cells there are, also when that is more than max. */
static size_t cut(char *line, char *cells[], size_t max)
{
	size_t n = 0;

	for (char *at = line; at; n++) {
		char *tab = strchr(at, '\t');

		if (n < max)
			cells[n] = at;
		if (tab)
			*tab++ = '\0';
		at = tab;
	}
	return n;
}

/* place[i] is the column of the file in which the table's i-th column stands. */
static int take_header(const struct reader *r, const struct table *t, char *line, size_t *place)
{
	char *cells[COLUMNS_MAX];
	size_t n = cut(line, cells, COLUMNS_MAX);
	bool seen[COLUMNS_MAX] = { false };

	for (size_t i = 0; i < n && i < COLUMNS_MAX; i++) {
		int column = word_index(t->columns, t->n_columns, cells[i], strlen(cells[i]));

		if (column < 0)
			return wrong(r, "no column of this table:", cells[i]);
		if (seen[column])
			return wrong(r, "a column twice:", cells[i]);
		seen[column] = true;
		place[column] = i;
	}
	for (size_t i = 0; i < t->n_columns; i++)
		if (!seen[i])
			return wrong(r, "a column is missing:", t->columns[i]);
	return 0;
}

static int take_line(
    struct reader *r, const struct table *t, char *line, const size_t *place, const char *document)
{
	char *cells[COLUMNS_MAX], *sorted[COLUMNS_MAX];
	size_t n = cut(line, cells, COLUMNS_MAX);

	if (n != t->n_columns) {
		(void)snprintf(r->error, CAT_ERROR,
		    "%s:%u: %zu cells instead of %zu in the line of '%.40s'", r->path, r->line, n,
		    t->n_columns, cells[0]);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		sorted[i] = cells[place[i]];
		if (!sorted[i][0])
			return wrong(r, "an empty cell, which is written '-', in", t->columns[i]);
		if (sorted[i][0] == ' ' || sorted[i][strlen(sorted[i]) - 1] == ' ')
			return wrong(r, "a blank around", sorted[i]);
	}
	return t->take(r, sorted, document);
}

/* document: whose rows these are, or NULL. */
static int read_table(struct reader *r, const struct table *t, const char *dir, const char *name,
    const char *document)
{
	size_t place[COLUMNS_MAX] = { 0 }, len = 0;
	char *text = NULL;
	struct cursor left, line;
	bool begun = false;
	int ret, n = snprintf(r->path, sizeof(r->path), "%s/%s.tsv", dir, name);

	if (n < 0 || (size_t)n >= sizeof(r->path))
		return cannot_read(r, ENAMETOOLONG);
	ret = read_file(r, &text, &len);
	if (ret < 0)
		return ret;
	left = cursor_of(text, len);
	for (r->line = 1; left.left; r->line++) {
		char *at = text + (len - left.left);

		if (!cursor_until(&left, '\n', &line))
			return wrong(r, "the file ends within the line", at);
		at[line.left] = '\0';
		ret = check_text(r, at, line.left);
		if (ret == 0 && at[0] != '#') {
			ret = begun ? take_line(r, t, at, place, document)
				    : take_header(r, t, at, place);
			begun = true;
		}
		if (ret < 0)
			return ret;
	}
	return begun ? 0 : wrong(r, "no line names the columns of", name);
}

/* --- the whole ----------------------------------------------------------------------------- */

int catalogue_load(struct catalogue *out, const char *dir, char *error)
{
	struct reader r = { .out = out, .error = error };
	int ret;

	*out = (struct catalogue){ .n_rows = 0 };
	error[0] = '\0';
	ret = read_table(&r, &documents_table, dir, "documents", NULL);
	if (ret == 0)
		ret = read_table(&r, &peers_table, dir, "peers", NULL);
	for (size_t i = 0; ret == 0 && i < out->n_documents; i++)
		ret = read_table(
		    &r, &rows_table, dir, out->documents[i].name, out->documents[i].name);
	if (ret == 0)
		ret = read_table(&r, &profiles_table, dir, "profiles", NULL);
	if (ret < 0)
		catalogue_free(out);
	return ret;
}

void catalogue_free(struct catalogue *c)
{
	for (size_t i = 0; i < c->n_texts; i++)
		free(c->texts[i]);
	free(c->texts);
	free(c->rows);
	free(c->peers);
	free(c->profiles);
	free(c->documents);
	*c = (struct catalogue){ .n_rows = 0 };
}

const struct cat_profile *catalogue_profile(const struct catalogue *c, const char *name)
{
	for (size_t i = 0; i < c->n_profiles; i++)
		if (strcmp(c->profiles[i].name, name) == 0)
			return &c->profiles[i];
	return NULL;
}

const char *catalogue_peer(const struct catalogue *c, const char *system, const char *name)
{
	const struct cat_peer *peer = find_peer(c, system, name);

	return peer ? peer->text : "";
}
