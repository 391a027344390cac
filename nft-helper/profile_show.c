// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile_show.h"

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

/* Where in the documents the rows stand, and what each has to say. */
static json_t *rows_json(const struct cat_row *const *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
		    list, json_pack("{ss ss ss ss s{ss ss}}", "document", rows[i]->document, "row",
			      rows[i]->row, "lines", rows[i]->lines, "need",
			      catalogue_need_word(rows[i]->need), "says", "condition",
			      rows[i]->condition, "note", rows[i]->note));
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

/* A rule, or rows that are none; what a switch is for people is the last word. */
static json_t *rule_json(const struct cat_row *const *rows, size_t n, enum cat_need need,
    unsigned int family, unsigned int facts, const char *state)
{
	const struct cat_row *row = rows[0];
	struct text condition = { .len = 0 }, known = { .len = 0 };

	words_conditions(&condition, rows, n);
	words_knowledge(&known, rows, n, facts);
	return json_pack("{ss ss? ss ss ss so so ss ss ss ss so so so}", "direction",
	    catalogue_direction_word(row->direction), "peer", row->peer[0] ? row->peer : NULL,
	    "service", row->service, "family", family_word(family), "proto", words_proto(row),
	    "port", ports_json(&row->port), "sport", sport_json(&row->sport), "need",
	    catalogue_need_word(need), "switch", state, "condition", condition.at, "known",
	    known.at, "tracker", tracker_json(row), "facts", facts_json(facts), "rows",
	    rows_json(rows, n));
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

void profile_list_show(const json_t *list)
{
	struct show_table *table = show_table_profiles();
	const json_t *items = json_object_get(list, "profiles");
	const json_t *item;
	size_t i;

	if (!table)
		return;
	json_array_foreach((json_t *)items, i, item)(void) show_table_add(table, item);
	show_table_end(table, "the catalogue has no profile");
}

static const char *string_of(const json_t *item, const char *key)
{
	const char *s = json_string_value(json_object_get(item, key));

	return s ? s : "";
}

static void add_rows(struct show_table *table, const json_t *profile, const char *key)
{
	const json_t *items = json_object_get(profile, key);
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)items, i, item)(void) show_table_add(table, item);
}

static void print_rules(const json_t *profile)
{
	struct show_table *table = show_table_profile();

	if (!table)
		return;
	add_rows(table, profile, "rules");
	add_rows(table, profile, "local");
	add_rows(table, profile, "never");
	show_table_end(table, "the document has no row for this");
}

static void print_roles(const json_t *profile)
{
	struct show_table *table = show_table_roles();

	if (!table)
		return;
	add_rows(table, profile, "peers");
	show_table_end(table, "nobody is meant by this profile");
}

/* "ssh from admins: tcp 22: what is to be known"; a text that the line before had is not repeated.
 */
static void print_notes(const json_t *profile, const char *key)
{
	const json_t *items = json_object_get(profile, key);
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)items, i, item)
	{
		const char *condition = string_of(item, "condition");
		const char *known = string_of(item, "known"), *port = string_of(item, "port");
		const char *direction = string_of(item, "direction"),
			   *peer = string_of(item, "peer");
		struct text t = { .len = 0 };

		if (!condition[0] && !known[0])
			continue;
		text_add(&t, "%s, %s%s%s:", string_of(item, "service"), string_of(item, "proto"),
		    port[0] ? " " : "", port);
		if (peer[0])
			text_add(&t, " %s %s:", direction[0] == 'i' ? "from" : "to", peer);
		if (condition[0])
			text_add(&t, " %s: %s%s", string_of(item, "need"), condition,
			    known[0] ? ";" : "");
		if (known[0])
			text_add(&t, " %s", known);
		(void)fputs("- ", stdout);
		text_wrap(stdout, 2, "  ", t.at);
	}
}

void profile_show(const json_t *profile)
{
	const bool drops = strcmp(string_of(profile, "output"), "drop") == 0;
	const bool containers = json_is_true(json_object_get(profile, "containers"));
	struct text t = { .len = 0 };

	text_add(&t, "%s: %s.", string_of(profile, "name"), string_of(profile, "title"));
	text_add(
	    &t, drops ? " What it sends is filtered, too." : " What it sends is not filtered.");
	if (containers)
		text_add(&t, " It is guarded before ports are translated to containers.");
	text_add(&t, " %s", string_of(profile, "remark"));
	text_wrap(stdout, 0, "", t.at);
	(void)putchar('\n');
	print_roles(profile);
	(void)putchar('\n');
	print_rules(profile);
	(void)printf(
	    "\nSWITCH: on or off; pinholed: no rule, pinholed opens it while it is needed;\n"
	    "local: within the host alone; never: listed, but no rule");
	(void)fputs(drops ? "\n" : "; open: output is not filtered\n", stdout);
	(void)printf("\nNOTES\n");
	print_notes(profile, "rules");
	print_notes(profile, "local");
	print_notes(profile, "never");
}
