// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A profile as text for nft(8): at its head what an administrator may settle, then one table. A
 * service is switched by the chain that its rules jump to, `on` or `off`, so that no line below
 * the head has to be touched.
 */
#include "profile.h"

#include <errno.h>
#include <string.h>
#include "pinhole/abi.h"
#include "profile_words.h"
#include "text.h"

/* --- lines --------------------------------------------------------------------------------- */

/* A comment of its own, indented like what it stands before. */
static void comment(FILE *to, const char *indent, const char *words)
{
	char begin[16];

	(void)snprintf(begin, sizeof(begin), "%s# ", indent);
	(void)fputs(begin, to);
	text_wrap(to, text_columns(begin, strlen(begin)), begin, words);
}

/* "# - words", the following lines indented. */
static void item(FILE *to, const char *words)
{
	(void)fputs("# - ", to);
	text_wrap(to, 4, "#   ", words);
}

static void heading(FILE *to, const char *words)
{
	size_t used = 6 + strlen(words) + 1;

	(void)fprintf(to, "\n# --- %s ", words);
	while (used++ < TEXT_WIDTH)
		(void)fputc('-', to);
	(void)fputc('\n', to);
}

/* The conditions of all rules of a service, each once. */
static void add_conditions(struct text *t, const struct profile *p, const char *service)
{
	const struct cat_row *rows[256]; /* far more than a service has */
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		for (size_t j = 0; j < p->rules[i].n_rows; j++)
			if (p->rules[i].made && strcmp(p->rules[i].service, service) == 0 &&
			    n < sizeof(rows) / sizeof(rows[0]))
				rows[n++] = p->rules[i].rows[j];
	words_conditions(t, rows, n);
}

/* --- what a packet looks like --------------------------------------------------------------- */

static void add_ports(struct text *t, const char *key, const struct cat_range *range, size_t n)
{
	text_add(t, "%s ", key);
	if (n > 1)
		text_add(t, "{ ");
	words_ranges(t, range, n);
	if (n > 1)
		text_add(t, " }");
}

/* "meta nfproto ipv4 tcp sport 1-1023 tcp dport 514 "; empty for everything. */
static void add_match(struct text *t, const struct cat_row *row, unsigned int family)
{
	const char *header = row->proto == CAT_TCP ? "tcp" : row->proto == CAT_UDP ? "udp" : "th";
	const bool both = row->proto == (CAT_TCP | CAT_UDP);

	if (row->proto == CAT_ICMP)
		return;
	if (family != (CAT_IPV4 | CAT_IPV6))
		text_add(t, "meta nfproto %s ", family == CAT_IPV4 ? "ipv4" : "ipv6");
	if (row->proto == CAT_ANY_PROTO)
		return;
	if (both)
		text_add(t, "meta l4proto { tcp, udp } ");
	else if (!row->port.n && !row->sport.lo)
		text_add(t, "meta l4proto %s ", header);
	if (row->sport.lo) {
		text_add(t, "%s ", header);
		add_ports(t, "sport", &row->sport, 1);
		text_add(t, " ");
	}
	if (row->port.n) {
		text_add(t, "%s ", header);
		add_ports(t, "dport", row->port.range, row->port.n);
		text_add(t, " ");
	}
}

/* --- the head ------------------------------------------------------------------------------ */

static void head_documents(FILE *to, const struct profile *p)
{
	const struct catalogue *c = p->catalogue;

	for (size_t i = 0; i < c->n_documents; i++) {
		const struct cat_document *d = &c->documents[i];
		bool used = false;
		struct text t = { .len = 0 };

		for (size_t j = 0; !used && j < p->n_rules; j++)
			used = strcmp(p->rules[j].row->document, d->name) == 0;
		if (!used)
			continue;
		text_add(&t,
		    "After \"%s\" (%s.tsv of the catalogue). \"Not stated\" is what that leaves "
		    "open, and the catalogue has settled. Row by row: `pinholectl profile show "
		    "%s`.",
		    d->title, d->name, p->about->name);
		comment(to, "", t.at);
	}
}

static void head(FILE *to, const struct profile *p)
{
	const char *name = p->about->name;
	struct text t = { .len = 0 };

	(void)fputs("#!/usr/sbin/nft -f\n", to);
	text_add(&t, "%s: %s", name, p->about->title);
	comment(to, "", t.at);
	(void)fputs("#\n", to);
	head_documents(to, p);
	if (p->about->remark[0])
		comment(to, "", p->about->remark);
	t.len = 0;
	words_facts(&t, profile_common_facts(p));
	if (t.len) {
		(void)fputs("# Of every rule here: ", to);
		text_wrap(to, strlen("# Of every rule here: "), "# ", t.at);
	}
	(void)fprintf(to,
	    "#\n"
	    "# profile: %s\n"
	    "#\n"
	    "# Before you load it over ssh, arrange for a way back; cancel that after a new "
	    "login:\n"
	    "#   nft -c -f %s.nft\n"
	    "#   systemd-run --unit=rescue --on-active=2min nft delete table inet " PROFILE_TABLE
	    "\n"
	    "#   nft -f %s.nft\n"
	    "#   ssh ...                          (a new login, from another host)\n"
	    "#   systemctl stop rescue.timer\n",
	    name, name, name);
}

static void define_prefixes(FILE *to, const char *role, char digit, const struct prefix *prefix,
    size_t n, enum family family)
{
	char begin[CAT_WORD + 32], text[ADDR_TEXT];
	struct text t = { .len = 0 };

	for (size_t i = 0; i < n; i++) {
		if (prefix[i].addr.family != family)
			continue;
		text_add(&t, "%s%s", t.len ? ", " : "", addr_format(&prefix[i].addr, text));
		if (prefix[i].bits < addr_len(&prefix[i].addr) * 8)
			text_add(&t, "/%u", prefix[i].bits);
	}
	(void)snprintf(begin, sizeof(begin), "define %s%c = { ", role, digit);
	(void)fputs(begin, to);
	text_add(&t, "%s}", t.len ? " " : "");
	text_wrap(to, strlen(begin), "\t", t.at);
}

static void define_peers(FILE *to, const struct profile *p)
{
	heading(to, "who: addresses and networks; an empty list is nobody");
	for (size_t i = 0; i < p->n_peers; i++) {
		const char *role = p->peers[i];
		const char *text = catalogue_peer(p->catalogue, p->about->system, role);
		const struct prefix *prefix;
		size_t n;

		prefix = profile_prefixes(p, role, &n);
		comment(to, "", text[0] ? text : "those who administer this host");
		define_prefixes(to, role, '4', prefix, n, FAMILY_IPV4);
		define_prefixes(to, role, '6', prefix, n, FAMILY_IPV6);
	}
}

static void define_inside(FILE *to, const struct profile *p)
{
	if (!p->about->containers)
		return;
	comment(to, "",
	    "interfaces of this host's own containers: what comes from there is not filtered");
	(void)fputs("define " PROFILE_INSIDE " = { ", to);
	for (size_t i = 0; i < p->inside->n; i++)
		(void)fprintf(to, "%s\"%s\"", i ? ", " : "", p->inside->word[i]);
	(void)fprintf(to, "%s}\n", p->inside->n ? " " : "");
}

/* The width of the longest name. */
static size_t switch_width(const struct profile *p)
{
	size_t width = p->rescue ? strlen(PROFILE_RESCUE) : strlen(PROFILE_PING);

	for (size_t i = 0; i < p->n_services; i++)
		if (strlen(p->services[i].name) > width)
			width = strlen(p->services[i].name);
	return width;
}

static void define_switch(FILE *to, size_t width, const char *name, bool on, const char *words)
{
	char next[2 * TEXT_WIDTH];
	size_t column = strlen("define ") + width + strlen(" = off  ");

	(void)snprintf(next, sizeof(next), "%*s# ", (int)column, "");
	(void)fprintf(to, "define %-*s = %-3s  # ", (int)width, name, on ? "on" : "off");
	text_wrap(to, column + 2, next, words);
}

/* Why what is required may be off. */
static bool nothing_listens(const struct profile *p, const char *service)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].made && strcmp(p->rules[i].service, service) == 0 &&
		    !(p->rules[i].facts & CAT_NO_LISTENER))
			return false;
	return true;
}

static void define_switches(FILE *to, const struct profile *p)
{
	size_t width = switch_width(p);

	heading(to, "what: on or off");
	for (size_t i = 0; i < p->n_services; i++) {
		const struct profile_service *s = &p->services[i];
		struct text t = { .len = 0 }, conditions = { .len = 0 };

		text_add(&t, "%s", catalogue_need_word(s->need));
		add_conditions(&conditions, p, s->name);
		if (conditions.len)
			text_add(&t, ": %s", conditions.at);
		if (nothing_listens(p, s->name))
			text_add(&t, "; but nothing listens there");
		define_switch(to, width, s->name, s->on, t.at);
	}
	if (p->ping)
		define_switch(to, width, PROFILE_PING, p->ping_on,
		    "not in the document: echo requests, from and to anybody");
	if (p->rescue)
		define_switch(to, width, PROFILE_RESCUE, p->rescue_on,
		    "not in the document, which lets nobody log in: tcp 22 from " PROFILE_ADMINS);
}

static void define_also_ports(FILE *to, const char *name, const struct cat_ports *ports)
{
	struct text t = { .len = 0 };

	words_ranges(&t, ports->range, ports->n);
	(void)fprintf(to, "define %-12s = { %s%s}\n", name, t.at, t.len ? " " : "");
}

static void define_also(FILE *to, const struct profile *p)
{
	bool out = p->about->output_drops;

	heading(
	    to, out ? "ports of your own, from and to anybody" : "ports of your own, from anybody");
	define_also_ports(to, "also_in_tcp", &p->settings->also_in_tcp);
	define_also_ports(to, "also_in_udp", &p->settings->also_in_udp);
	if (out) {
		define_also_ports(to, "also_out_tcp", &p->settings->also_out_tcp);
		define_also_ports(to, "also_out_udp", &p->settings->also_out_udp);
	}
}

/* --- what has no rule ----------------------------------------------------------------------- */

static void add_where(struct text *t, const struct cat_row *row)
{
	if (row->direction == CAT_LOCAL)
		return;
	text_add(t, " %s %s", row->direction == CAT_IN ? "from" : "to",
	    strcmp(row->peer, "any") == 0 ? "anybody" : row->peer);
}

/* "ftp: tcp 32768-60999 from clients. required; what is to be known of it" */
static void row_text(struct text *t, const struct cat_row *const *rows, size_t n,
    enum cat_need need, unsigned int family, unsigned int facts)
{
	struct text conditions = { .len = 0 }, more = { .len = 0 };

	t->len = 0;
	text_add(t, "%s: ", rows[0]->service);
	words_packet(t, rows[0], family);
	add_where(t, rows[0]);
	text_add(t, ". %s", catalogue_need_word(need));
	words_conditions(&conditions, rows, n);
	if (conditions.len)
		text_add(t, ": %s", conditions.at);
	words_knowledge(&more, rows, n, facts);
	if (more.len)
		text_add_part(t, more.at[0] == '(' ? " " : "; ", more.at);
}

static void list_pinholes(FILE *to, const struct profile *p)
{
	bool begun = false;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];
		struct text t;

		if (!rule->pinhole)
			continue;
		if (!begun)
			heading(to, "no rule: pinholed opens these, one by one and while needed");
		begun = true;
		row_text(&t, rule->rows, rule->n_rows, rule->need, rule->family,
		    rule->facts & ~profile_common_facts(p));
		item(to, t.at);
	}
}

/* Rows that say the same are one. */
static void list_rows(FILE *to, const struct profile *p, const char *title,
    const struct cat_row *const *rows, size_t n)
{
	struct text t, other;

	if (n)
		heading(to, title);
	for (size_t i = 0; i < n; i++) {
		bool again = false;

		row_text(&t, &rows[i], 1, rows[i]->need, rows[i]->family,
		    rows[i]->facts & ~profile_common_facts(p));
		for (size_t j = 0; !again && j < i; j++) {
			row_text(&other, &rows[j], 1, rows[j]->need, rows[j]->family,
			    rows[j]->facts & ~profile_common_facts(p));
			again = strcmp(t.at, other.at) == 0;
		}
		if (!again)
			item(to, t.at);
	}
}

/* --- the table ----------------------------------------------------------------------------- */

static size_t peer_width(const struct profile *p)
{
	size_t width = 0;

	for (size_t i = 0; i < p->n_peers; i++)
		if (strlen(p->peers[i]) > width)
			width = strlen(p->peers[i]);
	return width;
}

static void sets(FILE *to, const struct profile *p)
{
	static const char *const also[] = { "also_in_tcp", "also_in_udp", "also_out_tcp",
		"also_out_udp" };

	for (size_t i = 0; i < p->n_peers; i++)
		for (const char *f = "46"; *f; f++)
			(void)fprintf(to,
			    "\tset %s%c { type ipv%c_addr; flags interval; auto-merge; "
			    "elements = $%s%c; }\n",
			    p->peers[i], *f, *f, p->peers[i], *f);
	for (size_t i = 0; i < (p->about->output_drops ? 4 : 2); i++)
		(void)fprintf(to,
		    "\tset %s { type inet_service; flags interval; auto-merge; elements = $%s; }\n",
		    also[i], also[i]);
	if (p->about->containers)
		(void)fputs("\tset " PROFILE_INSIDE
			    " { type ifname; flags interval; elements = $" PROFILE_INSIDE "; }\n",
		    to);
}

/* Rules of a chain stand in columns: what they match, where they jump, what they are. */
struct widths {
	size_t match, jump;
};

static void measure(struct widths *w, const char *match, const char *service)
{
	size_t jump = strlen("jump $") + strlen(service) + 1;

	if (strlen(match) > w->match)
		w->match = strlen(match);
	if (jump > w->jump)
		w->jump = jump;
}

/* The one or, for icmp, two matches of a rule; how many there are. */
static size_t matches(const struct profile_rule *rule, struct text match[2])
{
	const struct cat_row *row = rule->row;
	size_t n = 0;

	if (row->proto != CAT_ICMP) {
		match[0].len = 0;
		match[0].at[0] = '\0';
		add_match(&match[0], row, rule->family);
		return 1;
	}
	if (rule->family & CAT_IPV4) {
		match[n].len = 0;
		text_add(&match[n++], "icmp type echo-request ");
	}
	if (rule->family & CAT_IPV6) {
		match[n].len = 0;
		text_add(&match[n++], "icmpv6 type echo-request ");
	}
	return n;
}

static bool is_between(
    const struct profile_rule *rule, enum cat_direction direction, const char *peer)
{
	return rule->made && rule->direction == direction && strcmp(rule->peer, peer) == 0;
}

static bool has_rules(const struct profile *p, enum cat_direction direction, const char *peer)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (is_between(&p->rules[i], direction, peer))
			return true;
	return p->rescue && direction == CAT_IN && strcmp(peer, PROFILE_ADMINS) == 0;
}

static void rule_lines(FILE *to, const struct profile_rule *rule, const struct widths *w)
{
	bool must = (rule->facts & CAT_MUST) && rule->need == CAT_REQUIRED;
	struct text match[2];
	size_t n = matches(rule, match);

	for (size_t i = 0; i < n; i++)
		(void)fprintf(to, "\t\t%-*sjump $%-*s comment \"%s, %s%s\"\n",
		    match[i].len ? (int)w->match : 0, match[i].at,
		    (int)(w->jump - strlen("jump $") - 1), rule->service, rule->service,
		    must ? "absolutely " : "", catalogue_need_word(rule->need));
}

/* What is to be known of a rule: its condition, notes, what the document leaves open. */
static void rule_knowledge(
    struct text *t, const struct profile_rule *rule, bool condition, unsigned int facts)
{
	struct text conditions = { .len = 0 }, known = { .len = 0 };

	words_conditions(&conditions, rule->rows, rule->n_rows);
	words_knowledge(&known, rule->rows, rule->n_rows, facts);
	if (condition && conditions.len)
		text_add(t, "%s: %s", catalogue_need_word(rule->need), conditions.at);
	if (known.len)
		text_add_part(t, known.at[0] == '(' ? " " : "; ", known.at);
}

static bool same_conditions(const struct profile_rule *a, const struct profile_rule *b)
{
	struct text of_a = { .len = 0 }, of_b = { .len = 0 };

	words_conditions(&of_a, a->rows, a->n_rows);
	words_conditions(&of_b, b->rows, b->n_rows);
	return a->need == b->need && strcmp(of_a.at, of_b.at) == 0;
}

/*
 * The comment before a rule. What the one before it (or NULL) has said just now is not said again:
 * the whole, or, of the same service, the condition and the facts.
 */
static void rule_comment(
    FILE *to, const struct profile_rule *rule, const struct profile_rule *before, unsigned int said)
{
	unsigned int facts = rule->facts & ~said;
	struct text whole = { .len = 0 }, old = { .len = 0 }, t = { .len = 0 };

	rule_knowledge(&whole, rule, true, facts);
	if (before) {
		bool same = strcmp(before->service, rule->service) == 0;

		rule_knowledge(&old, before, true, before->facts & ~said);
		if (strcmp(old.at, whole.at) == 0)
			return;
		if (same && (before->facts & ~said) == facts)
			facts = 0;
		rule_knowledge(&t, rule, !same || !same_conditions(before, rule), facts);
	} else {
		t = whole;
	}
	if (t.len)
		comment(to, "\t\t", t.at);
}

/* Facts of all rules of a chain, when there are more than one. */
static unsigned int chain_facts(
    const struct profile *p, enum cat_direction direction, const char *peer)
{
	unsigned int facts = ~0u;
	size_t n = 0;

	for (size_t i = 0; i < p->n_rules; i++)
		if (is_between(&p->rules[i], direction, peer)) {
			facts &= p->rules[i].facts;
			n++;
		}
	return n > 1 ? facts : 0;
}

static const char *chain_prefix(enum cat_direction direction)
{
	return direction == CAT_IN ? "from" : "to";
}

static const char *chain_peer(const char *peer)
{
	return strcmp(peer, "any") == 0 ? "anybody" : peer;
}

static void peer_chain(
    FILE *to, const struct profile *p, enum cat_direction direction, const char *peer)
{
	bool rescue = p->rescue && direction == CAT_IN && strcmp(peer, PROFILE_ADMINS) == 0;
	/* That a rule is a must stands behind it. */
	unsigned int said = profile_common_facts(p) | CAT_MUST;
	unsigned int shared = chain_facts(p, direction, peer) & ~said;
	const struct profile_rule *before = NULL;
	struct text t = { .len = 0 }, match[2];
	struct widths w = { .match = 0 };

	if (!has_rules(p, direction, peer))
		return;
	for (size_t i = 0; i < p->n_rules; i++)
		if (is_between(&p->rules[i], direction, peer))
			for (size_t j = matches(&p->rules[i], match); j > 0; j--)
				measure(&w, match[j - 1].at, p->rules[i].service);
	if (rescue)
		measure(&w, "tcp dport 22 ", PROFILE_RESCUE);
	(void)fprintf(to, "\n\tchain %s_%s {\n", chain_prefix(direction), chain_peer(peer));
	words_facts(&t, shared);
	if (t.len) {
		(void)fputs("\t\t# Of all of these: ", to);
		text_wrap(to, (size_t)2 * TEXT_TAB + strlen("# Of all of these: "), "\t\t# ", t.at);
	}
	for (size_t i = 0; i < p->n_rules; i++) {
		if (!is_between(&p->rules[i], direction, peer))
			continue;
		rule_comment(to, &p->rules[i], before, said | shared);
		rule_lines(to, &p->rules[i], &w);
		before = &p->rules[i];
	}
	if (rescue)
		(void)fprintf(
		    to, "\t\t%-*sjump $" PROFILE_RESCUE "\n", (int)w.match, "tcp dport 22 ");
	(void)fputs("\t}\n", to);
}

/* --- base chains ---------------------------------------------------------------------------- */

/* From whom or to whom, for every role: two families. */
static void jumps(FILE *to, const struct profile *p, enum cat_direction direction)
{
	const char *field = direction == CAT_IN ? "saddr" : "daddr";
	size_t width = peer_width(p);

	for (size_t i = 0; i < p->n_peers; i++) {
		const char *peer = p->peers[i], *prefix = chain_prefix(direction);

		if (!has_rules(p, direction, peer))
			continue;
		(void)fprintf(to, "\t\tip  %s @%s4 %*sjump %s_%s\n", field, peer,
		    (int)(width - strlen(peer)), "", prefix, peer);
		(void)fprintf(to, "\t\tip6 %s @%s6 %*sjump %s_%s\n", field, peer,
		    (int)(width - strlen(peer)), "", prefix, peer);
	}
	if (has_rules(p, direction, "any"))
		(void)fprintf(to, "\t\tjump %s_anybody\n", chain_prefix(direction));
}

/* IPv4 hosts that have no address yet speak from 0.0.0.0 and are spoken to by all bits set. */
static void broadcasts(FILE *to, const struct profile *p, enum cat_direction direction)
{
	bool begun = false;

	for (size_t i = 0; i < p->n_rules; i++) {
		const struct profile_rule *rule = &p->rules[i];
		const struct cat_row *row = rule->row;
		struct text match = { .len = 0 };

		if (!rule->made || rule->direction != direction || !(rule->facts & CAT_BROADCAST) ||
		    strcmp(rule->peer, "any") == 0 || !(rule->family & CAT_IPV4) ||
		    row->proto == CAT_ICMP)
			continue;
		if (!begun)
			comment(to, "\t\t",
			    direction == CAT_IN ? "hosts that have no address yet"
						: "to hosts that have no address yet");
		begun = true;
		add_match(&match, row, CAT_IPV4 | CAT_IPV6); /* the address says it */
		(void)fprintf(to, "\t\tip %s %sjump $%s comment \"%s, %s\"\n",
		    direction == CAT_IN ? "saddr 0.0.0.0" : "daddr 255.255.255.255", match.at,
		    rule->service, rule->service, catalogue_need_word(rule->need));
	}
}

/* Neighbours and routers of IPv6, and who listens to which group (RFC 4890, sections 4.3 and 4.4).
 */
#define ND                                                                                         \
	"icmpv6 type { nd-router-solicit, nd-router-advert,\n"                                     \
	"\t\t\tnd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n"
#define MLD                                                                                        \
	"icmpv6 type { mld-listener-query, mld-listener-report,\n"                                 \
	"\t\t\tmld-listener-done, mld2-listener-report } accept\n"

static void icmp(FILE *to, const struct profile *p, enum cat_direction direction)
{
	const bool in = direction == CAT_IN;
	const char *limit = in ? "limit rate 10/second burst 20 packets " : "";

	comment(to, "\t\t",
	    in ? "neighbours, routers and multicast listeners of this link; errors are related"
	       : "neighbours, routers and multicast listeners of this link");
	(void)fputs("\t\t" ND, to);
	(void)fprintf(to, "\t\t%s " MLD, in ? "ip6 saddr fe80::/10" : "ip6 hoplimit 1");
	if (!p->ping)
		return;
	(void)fprintf(to, "\t\ticmp type echo-request %sjump $" PROFILE_PING "\n", limit);
	(void)fprintf(to, "\t\ticmpv6 type echo-request %sjump $" PROFILE_PING "\n", limit);
}

/* What a flow that is known already needs; then nothing that belongs to no flow gets on. */
static void known_flows(FILE *to, enum cat_direction direction)
{
	_Static_assert(PH_MARK_MASK_DEFAULT >> 24 == 0x3f, "the mark is where the manuals say");
	const uint32_t mark = ph_mark(PH_MARK_MASK_DEFAULT, PH_MARK_F_PINHOLE, PH_SVC_NONE);

	(void)fprintf(to, "\t\t%s lo accept\n", direction == CAT_IN ? "iif" : "oif");
	(void)fputs("\t\tct state established accept\n", to);
	comment(to, "\t\t",
	    "the one rule for all that pinholed lets through, with `admit = related` or `mark`");
	(void)fprintf(to, "\t\tct mark & 0x%08x != 0 accept\n", mark);
	(void)fputs("\t\tct state related meta l4proto { icmp, icmpv6 } accept\n"
		    "\t\tct state invalid drop\n\n",
	    to);
}

static void last_rules(FILE *to, enum cat_direction direction)
{
	const char *word = direction == CAT_IN ? "in" : "out";

	(void)fprintf(to,
	    "\n"
	    "\t\ttcp dport @also_%s_tcp accept\n"
	    "\t\tudp dport @also_%s_udp accept\n"
	    "\t\tlimit rate 5/second burst 20 packets log prefix \"" PROFILE_TABLE " %s: \"\n"
	    "\t}\n",
	    word, word, word);
}

static void input(FILE *to, const struct profile *p)
{
	if (p->about->containers) {
		(void)fputs("\n", to);
		comment(to, "\t",
		    "Before any address is translated: input would not see what a container "
		    "runtime hands on to its containers.");
		(void)fputs(
		    "\tchain prerouting {\n"
		    "\t\ttype filter hook prerouting priority dstnat - 10; policy drop;\n\n",
		    to);
		comment(to, "\t\t", "on its way through this host, to somebody else");
		(void)fputs("\t\tfib daddr type unicast accept\n"
			    "\t\tiifname @" PROFILE_INSIDE " accept\n",
		    to);
	} else {
		(void)fputs("\n\tchain input {\n"
			    "\t\ttype filter hook input priority filter; policy drop;\n\n",
		    to);
	}
	known_flows(to, CAT_IN);
	icmp(to, p, CAT_IN);
	(void)fputs("\n", to);
	jumps(to, p, CAT_IN);
	broadcasts(to, p, CAT_IN);
	last_rules(to, CAT_IN);
}

static void output(FILE *to, const struct profile *p)
{
	(void)fputs("\n\tchain output {\n"
		    "\t\ttype filter hook output priority filter; policy drop;\n\n",
	    to);
	known_flows(to, CAT_OUT);
	icmp(to, p, CAT_OUT);
	(void)fputs("\n", to);
	jumps(to, p, CAT_OUT);
	broadcasts(to, p, CAT_OUT);
	last_rules(to, CAT_OUT);
}

static void peer_chains(FILE *to, const struct profile *p, enum cat_direction direction)
{
	for (size_t i = 0; i < p->n_peers; i++)
		peer_chain(to, p, direction, p->peers[i]);
	peer_chain(to, p, direction, "any");
}

static void table(FILE *to, const struct profile *p)
{
	(void)fputs("\n"
		    "# In one transaction, and the same however often it is loaded.\n"
		    "table inet " PROFILE_TABLE "\n"
		    "delete table inet " PROFILE_TABLE "\n"
		    "\n"
		    "table inet " PROFILE_TABLE " {\n",
	    to);
	sets(to, p);
	(void)fputs("\n\tchain on { accept; }\n\tchain off { }\n", to);
	peer_chains(to, p, CAT_IN);
	if (p->about->output_drops)
		peer_chains(to, p, CAT_OUT);
	input(to, p);
	if (p->about->output_drops)
		output(to, p);
	(void)fputs("}\n", to);
}

/* --- the whole ----------------------------------------------------------------------------- */

int profile_render(const struct profile *p, FILE *to)
{
	errno = 0;
	head(to, p);
	define_peers(to, p);
	define_inside(to, p);
	define_switches(to, p);
	define_also(to, p);
	list_pinholes(to, p);
	list_rows(to, p, "no rule, and why", p->never, p->n_never);
	list_rows(to, p, "within this host", p->local, p->n_local);
	table(to, p);
	if (fflush(to) != 0 || ferror(to))
		return errno ? -errno : -EIO;
	return 0;
}
