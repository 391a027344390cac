// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From rows to rules: those of the profile's roles, merged where they say the same, sorted as the
 * rule set will have them, and switched on or off as the catalogue and then the administrator have
 * it.
 */
#include "profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "nft_words.h"

#define SSH_PORT 22
#define NEAR     3 /* letters that may be wrong in the name of a profile */

__attribute__((format(printf, 2, 3))) static int invalid(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(error, CAT_ERROR, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int no_memory(char *error)
{
	(void)snprintf(error, CAT_ERROR, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

/* --- names --------------------------------------------------------------------------------- */

/* Words behind each other, as far as they fit. */
static void add_word(char *list, size_t cap, const char *word)
{
	size_t used = strlen(list);

	(void)snprintf(list + used, cap - used, "%s%s", used ? ", " : "", word);
}

/* How many letters are to be put in, taken out or changed (Levenshtein); names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t row[CAT_WORD], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]);
			size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			corner = row[j];
			row[j] = change < other ? change : other;
		}
	}
	return row[n];
}

static int no_such_profile(const struct catalogue *c, const char *name, char *error)
{
	char near[CAT_ERROR / 2] = "";

	for (size_t i = 0; i < c->n_profiles; i++) {
		const char *other = c->profiles[i].name;

		if ((name[0] && strstr(other, name)) ||
		    (strlen(name) < CAT_WORD && distance(name, other) <= NEAR))
			add_word(near, sizeof(near), other);
	}
	if (near[0])
		return invalid(error, "no such profile: '%.64s'; there is %s", name, near);
	return invalid(
	    error, "no such profile: '%.64s'; `pinholectl profile list` names all", name);
}

/* A name that would stand in the rule set as a word of its own, and be read back. */
static int check_define(const char *name, char *error)
{
	if (!catalogue_is_name(name, strlen(name)))
		return invalid(error, "too long: '%s'", name);
	return nft_word(name) ? invalid(error, "a word of nft itself: '%s'", name) : 0;
}

/* Everything that the rule set defines has a name of its own, and none is nft's. */
static int check_names(const struct profile *p, char *error)
{
	static const char *const taken[] = { PROFILE_INSIDE, PROFILE_RESCUE, "also_in_tcp",
		"also_in_udp", "also_out_tcp", "also_out_udp" };
	char set[CAT_WORD + 1];
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < p->n_peers; i++) {
		for (const char *family = "46"; ret == 0 && *family; family++) {
			(void)snprintf(set, sizeof(set), "%s%c", p->peers[i], *family);
			ret = check_define(set, error);
			for (size_t j = 0; ret == 0 && j < p->n_services; j++)
				if (strcmp(set, p->services[j].name) == 0)
					ret = invalid(
					    error, "a service with the name of a role: '%s'", set);
		}
	}
	for (size_t i = 0; ret == 0 && i < p->n_services; i++) {
		const char *name = p->services[i].name;

		ret = check_define(name, error);
		for (size_t j = 0; ret == 0 && j < sizeof(taken) / sizeof(taken[0]); j++)
			if (strcmp(name, taken[j]) == 0)
				ret = invalid(error, "no name for a service: '%s'", name);
		if (ret == 0 && p->ping && strcmp(name, PROFILE_PING) == 0)
			ret = invalid(error, "no name for a service that is not icmp: '%s'", name);
	}
	return ret;
}

/* --- rows ---------------------------------------------------------------------------------- */

static bool is_about(const struct profile *p, const struct cat_row *row)
{
	if (strcmp(row->system, p->about->system) != 0)
		return false;
	for (size_t i = 0; i < row->roles.n; i++)
		for (size_t j = 0; j < p->about->roles.n; j++)
			if (strcmp(row->roles.word[i], p->about->roles.word[j]) == 0)
				return true;
	return false;
}

static bool same_ports(const struct cat_ports *a, const struct cat_ports *b)
{
	if (a->any != b->any || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->range[i].lo != b->range[i].lo || a->range[i].hi != b->range[i].hi)
			return false;
	return true;
}

/* Whatever their families: rules of both are written once. */
static bool same_rule(const struct cat_row *a, const struct cat_row *b)
{
	return a->direction == b->direction && a->pinhole == b->pinhole && a->proto == b->proto &&
	       same_ports(&a->port, &b->port) && a->sport.lo == b->sport.lo &&
	       a->sport.hi == b->sport.hi && strcmp(a->service, b->service) == 0 &&
	       strcmp(a->peer, b->peer) == 0;
}

static enum cat_need stronger(enum cat_need a, enum cat_need b)
{
	static const int strength[] = {
		[CAT_UNUSED] = 0,
		[CAT_OPTIONAL] = 1,
		[CAT_CONDITIONAL] = 2,
		[CAT_REQUIRED] = 3,
	};

	return strength[a] >= strength[b] ? a : b;
}

/* Into the rule that says the same, or behind the others; there is room for one a row. */
static int merge(struct profile *p, const struct cat_row *row)
{
	struct profile_rule *rule = p->rules, *end = p->rules + p->n_rules;
	const struct cat_row **rows;

	while (rule < end && !same_rule(rule->row, row))
		rule++;
	if (rule == end) {
		*rule = (struct profile_rule){
			.row = row,
			.need = row->need,
			.peer = row->peer,
			.service = row->service,
			.direction = row->direction,
			.pinhole = row->pinhole,
			.made =
			    !row->pinhole && (row->direction == CAT_IN || p->about->output_drops),
		};
		p->n_rules++;
	}
	rows = reallocarray((void *)rule->rows, rule->n_rows + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	rule->rows = rows;
	rule->rows[rule->n_rows++] = row;
	rule->need = stronger(rule->need, row->need);
	rule->facts |= row->facts;
	rule->family |= row->family;
	rule->preset |= row->preset == CAT_ON;
	return 0;
}

/* The rules between the host and one peer, in the documents' order. */
static int take_rows(struct profile *p, enum cat_direction direction, const char *peer)
{
	const struct catalogue *c = p->catalogue;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < c->n_rows; i++) {
		const struct cat_row *row = &c->rows[i];

		if (row->direction == direction && strcmp(row->peer, peer) == 0 &&
		    (row->preset != CAT_NEVER || row->pinhole) && is_about(p, row))
			ret = merge(p, row);
	}
	return ret;
}

static int take_all_rows(struct profile *p)
{
	const struct catalogue *c = p->catalogue;
	int ret = 0;

	for (int d = CAT_IN; ret == 0 && d <= CAT_OUT; d++) {
		for (size_t i = 0; ret == 0 && i < c->n_peers; i++)
			if (strcmp(c->peers[i].system, p->about->system) == 0)
				ret = take_rows(p, (enum cat_direction)d, c->peers[i].name);
		if (ret == 0)
			ret = take_rows(p, (enum cat_direction)d, "any");
	}
	for (size_t i = 0; i < c->n_rows; i++) {
		const struct cat_row *row = &c->rows[i];

		if (!is_about(p, row))
			continue;
		if (row->direction == CAT_LOCAL)
			p->local[p->n_local++] = row;
		else if (row->preset == CAT_NEVER && !row->pinhole)
			p->never[p->n_never++] = row;
	}
	return ret;
}

/* --- what follows from the rules ----------------------------------------------------------- */

/* By number; a rule for every protocol is not an invitation to log in. */
static bool lets_ssh_in(const struct profile_rule *rule)
{
	const struct cat_ports *port = &rule->row->port;

	if (!rule->made || rule->direction != CAT_IN || !(rule->row->proto & CAT_TCP))
		return false;
	for (size_t i = 0; i < port->n; i++)
		if (port->range[i].lo <= SSH_PORT && port->range[i].hi >= SSH_PORT)
			return true;
	return false;
}

static void find_specials(struct profile *p)
{
	p->rescue = true;
	p->ping = true;
	for (size_t i = 0; i < p->n_rules; i++) {
		if (lets_ssh_in(&p->rules[i]))
			p->rescue = false;
		if (p->rules[i].made && p->rules[i].row->proto == CAT_ICMP)
			p->ping = false;
	}
	p->ping_on = p->ping;
}

static bool meets(const struct profile *p, const char *peer)
{
	if (p->rescue && strcmp(peer, PROFILE_ADMINS) == 0)
		return true;
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].made && strcmp(p->rules[i].peer, peer) == 0)
			return true;
	return false;
}

static void find_peers(struct profile *p)
{
	const struct catalogue *c = p->catalogue;
	bool admins = false;

	for (size_t i = 0; i < c->n_peers; i++) {
		const struct cat_peer *peer = &c->peers[i];

		if (strcmp(peer->system, p->about->system) == 0 && meets(p, peer->name)) {
			p->peers[p->n_peers++] = peer->name;
			admins |= strcmp(peer->name, PROFILE_ADMINS) == 0;
		}
	}
	if (p->rescue && !admins)
		p->peers[p->n_peers++] = PROFILE_ADMINS;
}

static struct profile_service *find_service(const struct profile *p, const char *name)
{
	for (size_t i = 0; i < p->n_services; i++)
		if (strcmp(p->services[i].name, name) == 0)
			return &p->services[i];
	return NULL;
}

static void find_services(struct profile *p)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];
		struct profile_service *s = find_service(p, rule->service);

		if (!rule->made)
			continue;
		if (!s) {
			s = &p->services[p->n_services++];
			*s = (struct profile_service){ .need = rule->need };
			(void)snprintf(s->name, sizeof(s->name), "%s", rule->service);
		}
		s->need = stronger(s->need, rule->need);
		s->on |= rule->preset;
	}
}

/* --- what is settled ----------------------------------------------------------------------- */

static int no_such_switch(const struct profile *p, const char *name, char *error)
{
	char list[CAT_ERROR] = "";

	for (size_t i = 0; i < p->n_services; i++)
		add_word(list, sizeof(list), p->services[i].name);
	if (p->ping)
		add_word(list, sizeof(list), PROFILE_PING);
	if (p->rescue)
		add_word(list, sizeof(list), PROFILE_RESCUE);
	return invalid(
	    error, "%s has no service '%s' to switch; it has %s", p->about->name, name, list);
}

static int settle_switches(struct profile *p, char *error)
{
	for (size_t i = 0; i < p->settings->n_switches; i++) {
		const struct profile_switch *sw = &p->settings->switches[i];
		struct profile_service *s = find_service(p, sw->service);

		if (s)
			s->on = sw->on;
		else if (p->ping && strcmp(sw->service, PROFILE_PING) == 0)
			p->ping_on = sw->on;
		else if (p->rescue && strcmp(sw->service, PROFILE_RESCUE) == 0)
			p->rescue_on = sw->on;
		else
			return no_such_switch(p, sw->service, error);
	}
	/* What pinholed opens, and what leaves a host that may send anything, has no switch. */
	for (size_t i = 0; i < p->n_rules; i++) {
		struct profile_rule *rule = &p->rules[i];
		const struct profile_service *s = find_service(p, rule->service);

		rule->on = s ? s->on : rule->preset;
	}
	return 0;
}

static int no_such_role(const struct profile *p, const char *name, char *error)
{
	char list[CAT_ERROR] = "";

	for (size_t i = 0; i < p->n_peers; i++)
		add_word(list, sizeof(list), p->peers[i]);
	return invalid(error, "%s has no role '%s'; it has %s", p->about->name, name,
	    p->n_peers ? list : "none");
}

static int settle_peers(const struct profile *p, char *error)
{
	const struct profile_settings *s = p->settings;

	for (size_t i = 0; i < s->n_peers; i++) {
		size_t j = 0;

		while (j < p->n_peers && strcmp(p->peers[j], s->peers[i].name) != 0)
			j++;
		if (j == p->n_peers)
			return no_such_role(p, s->peers[i].name, error);
	}
	if (s->has_inside && !p->about->containers)
		return invalid(error, "%s has no containers: '" PROFILE_INSIDE "'", p->about->name);
	if (!p->about->output_drops && (s->also_out_tcp.n || s->also_out_udp.n))
		return invalid(error, "%s lets everything out: '%s'", p->about->name,
		    s->also_out_tcp.n ? "also_out_tcp" : "also_out_udp");
	return 0;
}

/* --- the whole ----------------------------------------------------------------------------- */

static bool allocate(struct profile *p)
{
	size_t rows = p->catalogue->n_rows + 1, peers = p->catalogue->n_peers + 1;

	p->rules = reallocarray(NULL, rows, sizeof(*p->rules));
	p->services = calloc(rows, sizeof(*p->services));
	p->local = calloc(rows, sizeof(*p->local));
	p->never = calloc(rows, sizeof(*p->never));
	p->peers = calloc(peers, sizeof(*p->peers));
	return p->rules && p->services && p->local && p->never && p->peers;
}

int profile_build(struct profile *out, const struct catalogue *c, const char *name,
    const struct profile_settings *s, char *error)
{
	int ret;

	*out = (struct profile){ .catalogue = c, .settings = s };
	error[0] = '\0';
	out->about = catalogue_profile(c, name);
	if (!out->about)
		return no_such_profile(c, name, error);
	out->inside = s->has_inside ? &s->inside : &out->about->inside;
	if (!allocate(out) || take_all_rows(out) < 0) {
		ret = no_memory(error);
		goto out;
	}
	find_specials(out);
	find_peers(out);
	find_services(out);
	ret = check_names(out, error);
	if (ret == 0)
		ret = settle_peers(out, error);
	if (ret == 0)
		ret = settle_switches(out, error);
out:
	if (ret < 0)
		profile_free(out);
	return ret;
}

void profile_free(struct profile *p)
{
	for (size_t i = 0; i < p->n_rules; i++)
		free((void *)p->rules[i].rows);
	free(p->rules);
	free(p->services);
	free((void *)p->local);
	free((void *)p->never);
	free((void *)p->peers);
	*p = (struct profile){ .about = NULL };
}

const struct prefix *profile_prefixes(const struct profile *p, const char *role, size_t *n)
{
	for (size_t i = 0; i < p->settings->n_peers; i++) {
		const struct profile_peer *peer = &p->settings->peers[i];

		if (strcmp(peer->name, role) == 0) {
			*n = peer->n;
			return peer->prefix;
		}
	}
	*n = 0;
	return NULL;
}

unsigned int profile_common_facts(const struct profile *p)
{
	unsigned int facts = ~0u;
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++) {
		if (!p->rules[i].made)
			continue;
		facts &= p->rules[i].facts;
		n++;
	}
	return n > 1 ? facts : 0;
}

/* Somebody is meant by this role. */
static bool is_settled(const struct profile *p, const char *peer)
{
	size_t n;

	return strcmp(peer, "any") == 0 || (profile_prefixes(p, peer, &n) && n);
}

/* What would let this role in by this switch: "--with ssh --define admins=PREFIX,..." */
static void add_remedy(
    const struct profile *p, char *missing, const char *peer, const char *service, bool on)
{
	char remedy[3 * CAT_WORD];

	(void)snprintf(remedy, sizeof(remedy), "%s%s%s%s%s%s", on ? "" : "--with ",
	    on ? "" : service, on || is_settled(p, peer) ? "" : " ",
	    is_settled(p, peer) ? "" : "--define ", is_settled(p, peer) ? "" : peer,
	    is_settled(p, peer) ? "" : "=PREFIX,...");
	if (!strstr(missing, remedy)) {
		size_t used = strlen(missing);

		(void)snprintf(
		    missing + used, CAT_ERROR - used, "%s%s", used ? " or " : "", remedy);
	}
}

/* Whether a rule lets somebody in whom this role means (or, with NULL, anybody), and remedies. */
static bool has_login(const struct profile *p, const char *peer, char *missing)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];

		if (!lets_ssh_in(rule) || (peer && strcmp(rule->peer, peer) != 0))
			continue;
		if (rule->on && is_settled(p, rule->peer))
			return true;
		add_remedy(p, missing, rule->peer, rule->service, rule->on);
	}
	if (p->rescue) {
		if (p->rescue_on && is_settled(p, PROFILE_ADMINS))
			return true;
		add_remedy(p, missing, PROFILE_ADMINS, PROFILE_RESCUE, p->rescue_on);
	}
	return false;
}

bool profile_has_login(const struct profile *p, char *missing)
{
	const struct cat_ports *also = &p->settings->also_in_tcp;
	char others[CAT_ERROR] = "";

	missing[0] = '\0';
	for (size_t i = 0; i < also->n; i++)
		if (also->range[i].lo <= SSH_PORT && also->range[i].hi >= SSH_PORT)
			return true;
	if (has_login(p, NULL, others))
		return true;
	/* People rather than machines, where the document knows both. */
	if (has_login(p, PROFILE_ADMINS, missing))
		return true;
	if (!missing[0])
		(void)snprintf(missing, CAT_ERROR, "%s", others);
	return false;
}
