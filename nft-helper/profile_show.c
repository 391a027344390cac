// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile_show.h"

#include <stdlib.h>
#include <string.h>
#include "profile_words.h"
#include "show.h"

/* --- objects ------------------------------------------------------------------------------- */

/* NULL, which json_pack() refuses, without memory. */
static json_t *words_json(const struct cat_words *words)
{
	json_t *list = json_array();

	for (size_t i = 0; i < words->n; i++)
		(void)json_array_append_new(list, json_string(words->word[i]));
	return list;
}

static json_t *about_json(const struct cat_profile *about)
{
	return json_pack("{ss ss so ss sb so ss ss}", "name", about->name, "system", about->system,
	    "roles", words_json(&about->roles), "output", about->output_drops ? "drop" : "accept",
	    "containers", about->containers, "inside", words_json(&about->inside), "title",
	    about->title, "remark", about->remark);
}

json_t *profile_list_json(const struct catalogue *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_profiles; i++)
		(void)json_array_append_new(list, about_json(&c->profiles[i]));
	return json_pack("{so}", "profiles", list);
}

/* As the catalogue writes them; null for none. */
static json_t *ports_json(const struct cat_ports *ports)
{
	struct text t = { .len = 0 };

	if (ports->any)
		return json_string("any");
	for (size_t i = 0; i < ports->n; i++) {
		text_add(&t, "%s", i ? "," : "");
		words_ranges(&t, &ports->range[i], 1);
	}
	return t.len ? json_string(t.at) : json_null();
}

static json_t *sport_json(const struct cat_range *sport)
{
	struct text t = { .len = 0 };

	if (!sport->lo)
		return json_null();
	words_ranges(&t, sport, 1);
	return json_string(t.at);
}

static json_t *facts_json(unsigned int facts)
{
	json_t *list = json_array();

	for (unsigned int bit = 1; bit <= CAT_CONTRADICTION; bit <<= 1)
		if (facts & bit)
			(void)json_array_append_new(list, json_string(catalogue_fact_word(bit)));
	return list;
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* Where in the documents the rows stand, and what each has to say. */
static json_t *rows_json(const struct cat_row *const *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
		    list, json_pack("{ss ss ss ss ss? ss?}", "document", rows[i]->document, "row",
			      rows[i]->row, "lines", rows[i]->lines, "need",
			      catalogue_need_word(rows[i]->need), "condition",
			      or_null(rows[i]->condition), "note", or_null(rows[i]->note)));
	return list;
}

static json_t *tracker_json(const struct cat_row *row)
{
	return row->tracker[0]
		   ? json_sprintf("%s:%s", row->tracker, row->pinhole ? "pinhole" : "control")
		   : json_null();
}

static const char *family_word(unsigned int family)
{
	return family == CAT_IPV4 ? "ip4" : family == CAT_IPV6 ? "ip6" : "any";
}

/* A rule, or rows that are none; state: what its switch is for people. */
static json_t *rule_json(const struct cat_row *const *rows, size_t n, enum cat_need need,
    unsigned int family, unsigned int facts, const char *state)
{
	const struct cat_row *row = rows[0];

	return json_pack("{ss ss? ss ss ss so so ss ss so so so}", "direction",
	    catalogue_direction_word(row->direction), "peer", or_null(row->peer), "service",
	    row->service, "family", family_word(family), "proto", words_proto(row), "port",
	    ports_json(&row->port), "sport", sport_json(&row->sport), "need",
	    catalogue_need_word(need), "switch", state, "tracker", tracker_json(row), "facts",
	    facts_json(facts), "rows", rows_json(rows, n));
}

static const char *rule_state(const struct profile_rule *rule)
{
	return rule->pinhole ? "pinholed" : !rule->made ? "open" : rule->on ? "on" : "off";
}

static json_t *rules_json(const struct profile *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];
		json_t *object = rule_json(rule->rows, rule->n_rows, rule->need, rule->family,
		    rule->facts, rule_state(rule));

		(void)json_object_set_new(
		    object, "default", json_string(rule->preset ? "on" : "off"));
		(void)json_array_append_new(list, object);
	}
	return list;
}

static json_t *others_json(const struct cat_row *const *rows, size_t n, const char *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list,
		    rule_json(&rows[i], 1, rows[i]->need, rows[i]->family, rows[i]->facts, state));
	return list;
}

static json_t *roles_json(const struct profile *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->n_peers; i++) {
		json_t *prefixes = json_array();
		const struct prefix *prefix;
		char text[ADDR_TEXT];
		size_t n;

		prefix = profile_prefixes(p, p->peers[i], &n);
		for (size_t j = 0; j < n; j++)
			(void)json_array_append_new(
			    prefixes, json_sprintf("%s/%u", addr_format(&prefix[j].addr, text),
					  (unsigned int)prefix[j].bits));
		(void)json_array_append_new(
		    list, json_pack("{ss ss so}", "name", p->peers[i], "text",
			      catalogue_peer(p->catalogue, p->about->system, p->peers[i]),
			      "prefixes", prefixes));
	}
	return list;
}

static json_t *switches_json(const struct profile *p)
{
	json_t *object = json_object();

	for (size_t i = 0; i < p->n_services; i++)
		(void)json_object_set_new(
		    object, p->services[i].name, json_boolean(p->services[i].on));
	if (p->ping)
		(void)json_object_set_new(object, PROFILE_PING, json_boolean(p->ping_on));
	if (p->rescue)
		(void)json_object_set_new(object, PROFILE_RESCUE, json_boolean(p->rescue_on));
	return object;
}

static json_t *also_json(const struct profile_settings *s)
{
	return json_pack("{so so so so}", "in_tcp", ports_json(&s->also_in_tcp), "in_udp",
	    ports_json(&s->also_in_udp), "out_tcp", ports_json(&s->also_out_tcp), "out_udp",
	    ports_json(&s->also_out_udp));
}

json_t *profile_json(const struct profile *p)
{
	json_t *object = about_json(p->about);
	json_t *more = json_pack("{so so so so so so}", "peers", roles_json(p), "switches",
	    switches_json(p), "also", also_json(p->settings), "rules", rules_json(p), "local",
	    others_json(p->local, p->n_local, "local"), "never",
	    others_json(p->never, p->n_never, "never"));

	if (p->about->containers)
		(void)json_object_set_new(object, PROFILE_INSIDE, words_json(p->inside));
	if (!object || !more || json_object_update(object, more) < 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}

/* --- for people ---------------------------------------------------------------------------- */

/* The list and the table are given up. */
static bool print_table(
    struct show_table *table, json_t *const lists[], size_t n, const char *nothing)
{
	bool good = table != NULL;
	json_t *item;
	size_t j;

	for (size_t i = 0; i < n; i++) {
		json_array_foreach(lists[i], j, item) good = good && show_table_add(table, item);
		good = good && lists[i];
		json_decref(lists[i]);
	}
	if (good)
		show_table_end(table, nothing);
	else if (table)
		show_table_free(table);
	return good;
}

bool profile_list_show(const struct catalogue *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_profiles; i++)
		(void)json_array_append_new(list, about_json(&c->profiles[i]));
	return print_table(show_table_profiles(), &list, 1, "the catalogue has no profile");
}

/* "- words", the following lines indented. */
static void item(const struct text *t)
{
	(void)fputs("- ", stdout);
	text_wrap(stdout, 2, "  ", t->at);
}

static void print_roles(const struct profile *p)
{
	(void)puts("PEERS");
	for (size_t i = 0; i < p->n_peers; i++) {
		const char *who = catalogue_peer(p->catalogue, p->about->system, p->peers[i]);
		const struct prefix *prefix;
		struct text t = { .len = 0 };
		char text[ADDR_TEXT];
		size_t n;

		prefix = profile_prefixes(p, p->peers[i], &n);
		text_add(&t, "%s: ", p->peers[i]);
		for (size_t j = 0; j < n; j++)
			text_add(&t, "%s%s/%u", j ? ", " : "", addr_format(&prefix[j].addr, text),
			    (unsigned int)prefix[j].bits);
		text_add(&t, "%s (%s)", n ? "" : "nobody is settled",
		    who[0] ? who : "those who administer this host");
		item(&t);
	}
}

/* A name for a rule: "ssh tcp 22 from admins" */
static void add_name(struct text *t, const struct cat_row *row, unsigned int family)
{
	text_add(t, "%s ", row->service);
	words_packet(t, row, family);
	if (row->peer[0])
		text_add(t, " %s %s", row->direction == CAT_IN ? "from" : "to", row->peer);
}

#define UNSTATED ((unsigned int)(CAT_PEER_UNSTATED | CAT_DIRECTION_UNSTATED | CAT_PROTO_UNSTATED))

/* False when nothing is to be said but what the document leaves open. */
static bool print_note(const struct cat_row *const *rows, size_t n, enum cat_need need,
    unsigned int family, unsigned int facts)
{
	struct text t = { .len = 0 }, condition = { .len = 0 }, known = { .len = 0 };

	words_conditions(&condition, rows, n);
	words_knowledge(&known, rows, n, facts & ~UNSTATED);
	if (!condition.len && !known.len)
		return false;
	known = (struct text){ .len = 0 };
	words_knowledge(&known, rows, n, facts);
	add_name(&t, rows[0], family);
	if (condition.len)
		text_add(&t, ": %s: %s", catalogue_need_word(need), condition.at);
	if (known.len)
		text_add(&t, "%s%s",
		    !condition.len       ? ": "
		    : known.at[0] == '(' ? " "
					 : "; ",
		    known.at);
	item(&t);
	return true;
}

/* Rules of which nothing else is to be said, by what the document leaves open. */
static void print_unstated(const struct profile *p, const bool *said, unsigned int facts)
{
	struct text t = { .len = 0 };
	bool any = false;

	words_facts(&t, facts);
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];

		if (said[i] || (rule->facts & UNSTATED) != facts)
			continue;
		text_add(&t, any ? "; " : ": ");
		add_name(&t, rule->row, rule->family);
		any = true;
	}
	if (any)
		item(&t);
}

static bool print_notes(const struct profile *p)
{
	unsigned int common = profile_common_facts(p);
	bool *said = calloc(p->n_rules + 1, sizeof(*said));
	struct text t = { .len = 0 };

	if (!said)
		return false;
	(void)puts("\nNOTES");
	words_facts(&t, common);
	if (t.len) {
		text_add(&t, ": every rule");
		item(&t);
	}
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *r = &p->rules[i];

		said[i] = print_note(r->rows, r->n_rows, r->need, r->family, r->facts & ~common);
		if (!(r->facts & ~common & UNSTATED))
			said[i] = true;
	}
	for (unsigned int facts = 1; facts <= UNSTATED; facts++)
		if ((facts & ~UNSTATED) == 0 && (facts & common) == 0)
			print_unstated(p, said, facts);
	free(said);
	for (size_t i = 0; i < p->n_local; i++)
		(void)print_note(&p->local[i], 1, p->local[i]->need, p->local[i]->family,
		    p->local[i]->facts & ~common);
	for (size_t i = 0; i < p->n_never; i++)
		(void)print_note(&p->never[i], 1, p->never[i]->need, p->never[i]->family,
		    p->never[i]->facts & ~common);
	return true;
}

bool profile_show(const struct profile *p)
{
	json_t *const lists[] = {
		rules_json(p),
		others_json(p->local, p->n_local, "local"),
		others_json(p->never, p->n_never, "never"),
	};
	const struct cat_profile *about = p->about;
	struct text t = { .len = 0 };

	text_add(&t, "%s: %s. %s", about->name, about->title,
	    about->output_drops ? "What it sends is filtered, too."
				: "What it sends is not filtered.");
	if (about->containers)
		text_add(&t, " It is guarded before ports are translated to containers.");
	text_add(&t, " %s", about->remark);
	text_wrap(stdout, 0, "", t.at);
	(void)putchar('\n');
	print_roles(p);
	(void)putchar('\n');
	if (!print_table(show_table_profile(), lists, 3, "the document has no row for this"))
		return false;
	t.len = 0;
	text_add(&t,
	    "SWITCH: on and off as it is settled; pinholed: no rule, pinholed opens it while it is "
	    "needed; local: within the host alone; never: listed, but no rule%s.",
	    about->output_drops ? "" : "; open: what is sent is not filtered");
	(void)putchar('\n');
	text_wrap(stdout, 0, "", t.at);
	return print_notes(p);
}
