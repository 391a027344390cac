// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an administrator has settled: from options, or from the `define` lines of a rule set. Of
 * such a file only these lines and the one that names the profile are read, in as much of nft's
 * language as profile_render() and a person with an editor need.
 */
#include "profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cursor.h"
#include "textfile.h"

#define SHOWN      64  /* of a wrong word */
#define PORTS_TEXT 256 /* CAT_PORTS ranges with commas */

/* "what 'word'", behind where[] when that is not empty. */
static int wrong(char *error, const char *where, const char *what, const struct cursor *word)
{
	char text[SHOWN];

	cursor_escape(word, text, sizeof(text));
	(void)snprintf(error, CAT_ERROR, "%s%s '%s'", where, what, text);
	return -EINVAL;
}

static int no_memory(char *error)
{
	(void)snprintf(error, CAT_ERROR, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

/* --- values -------------------------------------------------------------------------------- */

static bool is_word(const struct cursor *c, const char *word)
{
	return c->left == strlen(word) && memcmp(c->at, word, c->left) == 0;
}

/* What is settled for a role so far, or a place for it; NULL without memory. */
static struct profile_peer *peer_of(struct profile_settings *s, const struct cursor *name)
{
	struct profile_peer *peers;

	for (size_t i = 0; i < s->n_peers; i++)
		if (is_word(name, s->peers[i].name))
			return &s->peers[i];
	peers = reallocarray(s->peers, s->n_peers + 1, sizeof(*peers));
	if (!peers)
		return NULL;
	s->peers = peers;
	peers = &s->peers[s->n_peers++];
	*peers = (struct profile_peer){ .n = 0 };
	memcpy(peers->name, name->at, name->left); /* it is a name, therefore short */
	return peers;
}

static int add_prefix(struct profile_peer *peer, const struct prefix *prefix)
{
	struct prefix *bigger = reallocarray(peer->prefix, peer->n + 1, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	peer->prefix = bigger;
	peer->prefix[peer->n++] = *prefix;
	return 0;
}

static int set_switch(struct profile_settings *s, const struct cursor *name, bool on)
{
	struct profile_switch *sw = NULL, *bigger;

	for (size_t i = 0; !sw && i < s->n_switches; i++)
		if (is_word(name, s->switches[i].service))
			sw = &s->switches[i];
	if (!sw) {
		bigger = reallocarray(s->switches, s->n_switches + 1, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		s->switches = bigger;
		sw = &bigger[s->n_switches++];
		*sw = (struct profile_switch){ .on = on };
		memcpy(sw->service, name->at, name->left);
	}
	sw->on = on;
	return 0;
}

/* Where ports of the administrator's own are kept; false for any other name. */
static bool also_of(struct profile_settings *s, const struct cursor *name, struct cat_ports **out)
{
	if (is_word(name, "also_in_tcp"))
		*out = &s->also_in_tcp;
	else if (is_word(name, "also_in_udp"))
		*out = &s->also_in_udp;
	else if (is_word(name, "also_out_tcp"))
		*out = &s->also_out_tcp;
	else if (is_word(name, "also_out_udp"))
		*out = &s->also_out_udp;
	else
		return false;
	return true;
}

/* The words of one value; in a file they may be on several lines. */
struct words {
	struct cursor *word;
	size_t n;
};

static bool add_word(struct words *words, const struct cursor *word)
{
	struct cursor *bigger = reallocarray(words->word, words->n + 1, sizeof(*bigger));

	if (!bigger)
		return false;
	words->word = bigger;
	words->word[words->n++] = *word;
	return true;
}

static int take_ports(
    struct cat_ports *out, const struct words *words, const char *where, char *error)
{
	char text[PORTS_TEXT] = "";
	struct cat_ports ports = { .n = 0 };
	struct cursor all;
	const char *what;
	size_t len = 0;

	for (size_t i = 0; i < words->n; i++) {
		const struct cursor *w = &words->word[i];

		/* "any" would be a word of the catalogue, and a comma is missing here. */
		if (w->left + 2 > sizeof(text) - len)
			return wrong(error, where, "too many ports at", w);
		if (is_word(w, "any"))
			return wrong(error, where, "no ports:", w);
		if (len)
			text[len++] = ',';
		memcpy(text + len, w->at, w->left);
		len += w->left;
	}
	text[len] = '\0';
	all = cursor_of(text, len);
	what = len ? catalogue_parse_ports(text, &ports) : NULL;
	if (what)
		return wrong(error, where, what, &all);
	*out = ports;
	return 0;
}

static int take_interfaces(
    struct profile_settings *s, const struct words *words, const char *where, char *error)
{
	s->inside.n = 0;
	s->has_inside = true;
	for (size_t i = 0; i < words->n; i++) {
		const struct cursor *w = &words->word[i];
		char *to = s->inside.word[s->inside.n];

		if (!catalogue_is_interface((const char *)w->at, w->left))
			return wrong(error, where, "no name of an interface:", w);
		if (s->inside.n == CAT_LIST)
			return wrong(error, where, "too many interfaces at", w);
		memcpy(to, w->at, w->left);
		to[w->left] = '\0';
		s->inside.n++;
	}
	return 0;
}

/* family: the only one that is in order here; FAMILY_NONE: both are. */
static int take_prefixes(struct profile_peer *peer, const struct words *words, enum family family,
    const char *where, char *error)
{
	for (size_t i = 0; i < words->n; i++) {
		const struct cursor *w = &words->word[i];
		struct prefix prefix;

		if (!prefix_parse((const char *)w->at, w->left, &prefix))
			return wrong(error, where,
			    "neither an address nor a prefix with nothing behind it:", w);
		if (family != FAMILY_NONE && prefix.addr.family != family)
			return wrong(error, where, "an address of the other family:", w);
		if (add_prefix(peer, &prefix) < 0)
			return no_memory(error);
	}
	return 0;
}

/* --- options ------------------------------------------------------------------------------- */

/* "a,b,c"; nothing at all is no word. */
static int split(const char *list, struct words *words)
{
	struct cursor left = cursor_of(list, strlen(list)), word;

	*words = (struct words){ .n = 0 };
	while (left.left) {
		bool more = cursor_until(&left, ',', &word);

		if (!more) {
			word = left;
			left.left = 0;
		}
		/* A comma at the end has an empty word behind it. */
		if (!add_word(words, &word) || (more && !left.left && !add_word(words, &left))) {
			free(words->word);
			return -ENOMEM;
		}
	}
	return 0;
}

int profile_define(struct profile_settings *s, const char *assignment, char *error)
{
	struct cursor all = cursor_of(assignment, strlen(assignment)), value = all, name;
	struct profile_peer *peer;
	struct cat_ports *also;
	struct words words;
	int ret;

	if (!cursor_until(&value, '=', &name))
		return wrong(error, "", "not ROLE=PREFIX,...:", &all);
	if (!catalogue_is_name((const char *)name.at, name.left))
		return wrong(error, "", "no role:", &name);
	if (split((const char *)value.at, &words) < 0)
		return no_memory(error);
	if (also_of(s, &name, &also)) {
		ret = take_ports(also, &words, "", error);
	} else if (is_word(&name, PROFILE_INSIDE)) {
		ret = take_interfaces(s, &words, "", error);
	} else {
		peer = peer_of(s, &name);
		if (peer) {
			peer->n = 0;
			ret = take_prefixes(peer, &words, FAMILY_NONE, "", error);
		} else {
			ret = no_memory(error);
		}
	}
	free(words.word);
	return ret;
}

int profile_switches(struct profile_settings *s, const char *services, bool on, char *error)
{
	struct words words;
	int ret = split(services, &words);

	if (ret < 0)
		return no_memory(error);
	for (size_t i = 0; ret == 0 && i < words.n; i++) {
		if (!catalogue_is_name((const char *)words.word[i].at, words.word[i].left))
			ret = wrong(error, "", "no service:", &words.word[i]);
		else if (set_switch(s, &words.word[i], on) < 0)
			ret = no_memory(error);
	}
	free(words.word);
	return ret;
}

void profile_settings_free(struct profile_settings *s)
{
	for (size_t i = 0; i < s->n_peers; i++)
		free(s->peers[i].prefix);
	free(s->peers);
	free(s->switches);
	*s = (struct profile_settings){ .n_peers = 0 };
}

/* --- a rule set ---------------------------------------------------------------------------- */

#define NAME_LINE  "# profile: "
#define WHERE_SIZE 512

/* Where in the file we are. */
struct source {
	const char *path;
	unsigned int line;
	struct cursor left;
	char *error;
	struct words defined; /* the names of all defines so far */
};

static int complain(const struct source *src, const char *what, const struct cursor *word)
{
	char where[WHERE_SIZE];

	(void)snprintf(where, sizeof(where), "%s:%u: ", src->path, src->line);
	return wrong(src->error, where, what, word);
}

/* At most this many bytes of what is left in the line, for complaints. */
static struct cursor rest_of_line(const struct source *src)
{
	struct cursor c = src->left, line;

	return cursor_until(&c, '\n', &line) ? line : src->left;
}

static bool take(struct source *src, char want)
{
	if (!cursor_char(&src->left, want))
		return false;
	src->line += want == '\n';
	return true;
}

/* Blanks, and a comment that goes on to the end of the line. */
static void skip_blanks(struct source *src)
{
	struct cursor line = rest_of_line(src);

	(void)cursor_blanks(&src->left);
	(void)cursor_blanks(&line);
	if (!cursor_char(&line, '#'))
		return;
	if (!cursor_skip(&src->left, line.left + 1))
		src->left.left = 0;
}

/* The same, over line feeds, too. */
static void skip_lines(struct source *src)
{
	do
		skip_blanks(src);
	while (take(src, '\n') || take(src, '\\'));
}

/* As far as there is no blank and nothing that ends a word in nft. May be empty. */
static struct cursor take_word(struct source *src)
{
	static const char ends[] = " \t\n\\,;={}#";
	struct cursor word = { .at = src->left.at, .left = 0 };
	uint8_t c;

	while (cursor_peek(&src->left, &c) && !memchr(ends, c, sizeof(ends) - 1) &&
	       cursor_skip(&src->left, 1))
		word.left++;
	return word;
}

/* "{ a, b }", of which the first brace is taken. */
static int take_set(struct source *src, struct words *words)
{
	for (;;) {
		struct cursor word, rest;

		skip_lines(src);
		if (take(src, '}'))
			return 0;
		word = take_word(src);
		rest = rest_of_line(src);
		if (!word.left)
			return complain(src, "within { }, not understood:", &rest);
		/* Names of interfaces are written in quotes. */
		if (word.left >= 2 && word.at[0] == '"' && word.at[word.left - 1] == '"')
			word = cursor_of(word.at + 1, word.left - 2);
		if (!add_word(words, &word))
			return no_memory(src->error);
		skip_lines(src);
		rest = rest_of_line(src);
		if (take(src, '}'))
			return 0;
		if (!take(src, ','))
			return complain(src, "a comma is missing before", &rest);
	}
}

static int settle_set(struct source *src, struct profile_settings *s, const struct cursor *name,
    const struct words *words)
{
	struct cursor role = cursor_of(name->at, name->left - 1);
	uint8_t last = name->at[name->left - 1];
	struct cat_ports *also;
	char where[WHERE_SIZE];
	struct profile_peer *peer;

	(void)snprintf(where, sizeof(where), "%s:%u: ", src->path, src->line);
	if (also_of(s, name, &also))
		return take_ports(also, words, where, src->error);
	if (is_word(name, PROFILE_INSIDE))
		return take_interfaces(s, words, where, src->error);
	if ((last != '4' && last != '6') || !catalogue_is_name((const char *)role.at, role.left))
		return complain(src, "neither a role's addresses nor ports:", name);
	peer = peer_of(s, &role);
	if (!peer)
		return no_memory(src->error);
	return take_prefixes(
	    peer, words, last == '4' ? FAMILY_IPV4 : FAMILY_IPV6, where, src->error);
}

static int settle_word(struct source *src, struct profile_settings *s, const struct cursor *name,
    const struct cursor *value)
{
	bool on = is_word(value, "on");

	if (!on && !is_word(value, "off"))
		return complain(src, "neither on nor off nor { ... }:", value);
	return set_switch(s, name, on) < 0 ? no_memory(src->error) : 0;
}

/* A line that begins with "define", which is taken. */
static int take_define(struct source *src, struct profile_settings *s)
{
	struct words words = { .n = 0 };
	struct cursor name, value, rest;
	int ret;

	skip_blanks(src);
	name = take_word(src);
	if (!catalogue_is_name((const char *)name.at, name.left))
		return complain(src, "no name of a define:", &name);
	for (size_t i = 0; i < src->defined.n; i++)
		if (src->defined.word[i].left == name.left &&
		    memcmp(src->defined.word[i].at, name.at, name.left) == 0)
			return complain(src, "defined twice:", &name);
	if (!add_word(&src->defined, &name))
		return no_memory(src->error);
	skip_blanks(src);
	rest = rest_of_line(src);
	if (!take(src, '='))
		return complain(src, "= is missing before", &rest);
	skip_blanks(src);
	if (take(src, '{')) {
		ret = take_set(src, &words);
		if (ret == 0)
			ret = settle_set(src, s, &name, &words);
		free(words.word);
	} else {
		value = take_word(src);
		ret = settle_word(src, s, &name, &value);
	}
	return ret;
}

static int take_name(struct source *src, char *name)
{
	struct cursor word = take_word(src);

	if (name[0])
		return complain(src, "a second profile:", &word);
	if (!word.left || word.left >= CAT_WORD)
		return complain(src, "no name of a profile:", &word);
	memcpy(name, word.at, word.left);
	name[word.left] = '\0';
	return 0;
}

/* Whatever else would change what a define says. */
static bool is_meddling(const struct cursor *word)
{
	return is_word(word, "redefine") || is_word(word, "undefine") || is_word(word, "include");
}

static int take_line(struct source *src, struct profile_settings *s, char *name)
{
	struct cursor rest, word;
	int ret;

	if (src->left.left >= strlen(NAME_LINE) &&
	    memcmp(src->left.at, NAME_LINE, strlen(NAME_LINE)) == 0 &&
	    cursor_skip(&src->left, strlen(NAME_LINE)))
		return take_name(src, name);
	skip_blanks(src);
	word = take_word(src);
	if (is_meddling(&word))
		return complain(src, "not understood here:", &word);
	if (!is_word(&word, "define"))
		return 0;
	ret = take_define(src, s);
	if (ret < 0)
		return ret;
	(void)take(src, ';');
	skip_blanks(src);
	rest = rest_of_line(src);
	return rest.left ? complain(src, "not understood behind a define:", &rest) : 0;
}

static int read_source(struct source *src, struct profile_settings *s, char *name)
{
	struct cursor line;
	int ret = 0;

	for (src->line = 1; ret == 0 && src->left.left; src->line++) {
		ret = take_line(src, s, name);
		if (ret == 0 && !cursor_until(&src->left, '\n', &line))
			src->left.left = 0;
	}
	if (ret == 0 && !name[0]) {
		(void)snprintf(src->error, CAT_ERROR,
		    "%s: no line begins with '" NAME_LINE "': not a rule set of "
		    "`pinholectl profile render`?",
		    src->path);
		ret = -EINVAL;
	}
	return ret;
}

int profile_settings_read(struct profile_settings *s, char *name, const char *path, char *error)
{
	struct source src = { .path = path, .error = error };
	char *text = NULL;
	size_t len = 0;
	int ret = textfile_read(path, &text, &len);

	error[0] = '\0';
	name[0] = '\0';
	*s = (struct profile_settings){ .n_peers = 0 };
	if (ret < 0) {
		(void)snprintf(error, CAT_ERROR, "%s: %s", path, strerror(-ret));
		return ret;
	}
	src.left = cursor_of(text, len);
	ret = read_source(&src, s, name);
	free(src.defined.word);
	free(text);
	if (ret < 0)
		profile_settings_free(s);
	return ret;
}
