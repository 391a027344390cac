// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks the rule set in force what becomes of packets: for tests that hold the answers against what
 * the kernel does. One question a line on standard input, one answer a line:
 *
 *   in|out 4|6 PROTO TYPE PEER OWN|- SPORT|- DPORT|-       (PEER: "any" or a prefix)
 *   DPORT_UPTO SPORT_UPTO accepted RANGE... dropped RANGE... translated RANGE... by WHAT:HANDLE...
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ruleset_walk.h"

static void print_set(const char *word, struct addrset set, enum family family)
{
	char text[ADDR_RANGE_TEXT];

	(void)printf(" %s", word);
	for (size_t i = 0; i < set.n; i++)
		(void)printf(" %s", addr_range_format(&set.range[i], family, text));
}

static int fail(const char *what, const char *word)
{
	(void)fprintf(stderr, "ask_rules: %s '%s'\n", what, word);
	return 1;
}

static int port(const char *word)
{
	return strcmp(word, "-") == 0 ? -1 : (int)strtol(word, NULL, 10);
}

static int question(struct walker *w, char *const word[])
{
	bool six = strcmp(word[1], "6") == 0;
	enum family family = six ? FAMILY_IPV6 : FAMILY_IPV4;
	struct addr_range range = { 0, addr_last(family) };
	struct addrset peers = { &range, 1 };
	struct walk_packet packet = {
		.family = six ? 10 : 2, /* NFPROTO_IPV6, NFPROTO_IPV4 */
		.l4proto = port(word[2]),
		.out = strcmp(word[0], "out") == 0,
		.peers = &peers,
		.icmp_type = port(word[3]),
		.icmp_code = strcmp(word[3], "-") == 0 ? -1 : 0,
		.sport = port(word[6]),
		.dport = port(word[7]),
		.state = 1u << (IP_CT_NEW + 1),
		.ordinary = true,
	};
	struct walk_result r;
	struct prefix prefix;

	if (strcmp(word[4], "any") != 0) {
		if (!prefix_parse(word[4], strlen(word[4]), &prefix))
			return fail("no prefix:", word[4]);
		range = addr_range_of(&prefix);
	}
	if (strcmp(word[5], "-") != 0 && !addr_parse(word[5], strlen(word[5]), &packet.own))
		return fail("no address:", word[5]);
	if (walk_host(w, &packet, &r) < 0)
		return fail("out of memory", "");
	(void)printf("%u %u", r.dport_upto, r.sport_upto);
	print_set("accepted", r.accepted, family);
	print_set("dropped", r.dropped, family);
	print_set("translated", r.translated, family);
	(void)printf(" by");
	for (size_t i = 0; i < r.n_events; i++)
		(void)printf(" %s%s:%llu",
		    r.event[i].what == WALK_ACCEPTS ? "accept"
		    : r.event[i].what == WALK_DROPS ? "drop"
						    : "translate",
		    r.event[i].sure ? "" : "?",
		    (unsigned long long)(r.event[i].rule ? r.event[i].rule->handle : 0));
	(void)putchar('\n');
	return 0;
}

int main(void)
{
	struct walker *w = NULL;
	char line[512];
	struct dump d;
	int ret = dump_take(&d, DUMP_ALL_SETS);

	if (ret < 0)
		return fail("the rule set cannot be read:", strerror(-ret));
	w = walker_new(&d);
	ret = w ? 0 : fail("out of memory", "");
	while (ret == 0 && fgets(line, sizeof(line), stdin)) {
		char *word[8], *rest = line;
		size_t n = 0;

		while (n < 8 && (word[n] = strtok_r(rest, " \n", &rest)))
			n++;
		ret = n == 8 ? question(w, word) : fail("no question:", line);
		(void)fflush(stdout);
	}
	walker_free(w);
	dump_free(&d);
	return ret;
}
