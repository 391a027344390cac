// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One function a check, each adding lines to the report in the administrator's words: what is so,
 * and when it is bad, the command to run or the rule to add. A check that cannot be made says so.
 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "ctl_client.h"
#include "describe.h"
#include "pinhole/abi.h"
#include "ruleset.h"

#define FIX DOCTOR_FIX

enum level { GOOD, NOTE, BAD };

struct report {
	json_t *checks;
	bool bad, out_of_memory;
};

/* What the daemon says of itself; the configuration where it does not answer. */
struct facts {
	bool answers;
	bool mark; /* admit = mark */
	uint32_t mark_mask;
	unsigned int services; /* that let flows in: one bit each */
};

/* fix may be NULL; the rest is the text. */
__attribute__((format(printf, 5, 6))) static void add(
    struct report *r, enum level level, const char *check, const char *fix, const char *fmt, ...)
{
	static const char *const words[] = { "good", "note", "bad" };
	json_t *text, *item;
	va_list ap;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	item = json_pack(
	    "{ss ss so ss?}", "check", check, "level", words[level], "text", text, "fix", fix);
	r->bad |= level == BAD;
	if (!item || json_array_append_new(r->checks, item) < 0)
		r->out_of_memory = true;
}

/* The number in a file of /proc/sys; -1 when it cannot be read. */
static int sysctl_value(const char *path)
{
	FILE *f = fopen(path, "re");
	int value = -1;
	char line[32];

	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f) && line[0] >= '0' && line[0] <= '9')
		value = (int)strtol(line, NULL, 10);
	(void)fclose(f);
	return value;
}

/* --- the machine ---------------------------------------------------------------------------- */

static void check_root(struct report *r)
{
	if (geteuid() == 0)
		add(r, GOOD, "root", NULL, "running as root");
	else
		add(r, BAD, "root", "sudo pinholectl doctor",
		    "not running as root: the firewall cannot be read");
}

static void check_kernel(struct report *r)
{
	unsigned long major, minor = 0;
	struct utsname u;
	char *end;

	if (uname(&u) < 0)
		return;
	major = strtoul(u.release, &end, 10);
	if (*end == '.')
		minor = strtoul(end + 1, NULL, 10);
	if (major > 5 || (major == 5 && minor >= 12))
		add(r, GOOD, "kernel", NULL, "kernel %s", u.release);
	else
		add(r, NOTE, "kernel", NULL,
		    "kernel %s is older than 5.12: pinholed's table cannot be owned, so that "
		    "another program could change it, and it outlives a crash",
		    u.release);
}

static void check_events(struct report *r)
{
	static const char path[] = "/proc/sys/net/netfilter/nf_conntrack_events";
	int value = sysctl_value(path);

	if (value > 0)
		add(r, GOOD, "conntrack-events", NULL, "conntrack reports its events");
	else if (value == 0)
		add(r, BAD, "conntrack-events", "sysctl -w net.netfilter.nf_conntrack_events=1",
		    "conntrack does not report events: sessions would never end");
	else
		add(r, NOTE, "conntrack-events", "modprobe nf_conntrack_netlink",
		    "%s is not there: conntrack is not loaded yet, or was built without events",
		    path);
}

static void check_automatic_helpers(struct report *r)
{
	/* The switch went away with Linux 6.0, and the behaviour with it. */
	if (sysctl_value("/proc/sys/net/netfilter/nf_conntrack_helper") > 0)
		add(r, BAD, "kernel-helpers", "sysctl -w net.netfilter.nf_conntrack_helper=0",
		    "the kernel assigns its own connection helpers by port number: they open "
		    "ports beside pinholed, without its checks");
}

/* Rules of iptables-legacy live elsewhere in the kernel; each table in use has a line here. */
static void check_legacy(struct report *r)
{
	static const struct {
		const char *path, *fix;
	} kinds[] = {
		{ "/proc/net/ip_tables_names", "iptables-legacy -S" },
		{ "/proc/net/ip6_tables_names", "ip6tables-legacy -S" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (ruleset_legacy(i == 1))
			add(r, NOTE, "iptables-legacy", kinds[i].fix,
			    "%s is not empty: rules of iptables-legacy are in force and cannot be "
			    "read here; see that they accept RELATED (or the mark)",
			    kinds[i].path);
}

/* --- the daemon ----------------------------------------------------------------------------- */

static void check_rpcbind(struct report *r, const json_t *status)
{
	const char *word = json_string_value(json_object_get(status, "local_rpcbind"));

	if (!word || strcmp(word, "not asked") == 0)
		return;
	if (strcmp(word, "answered") == 0)
		add(r, GOOD, "rpcbind", NULL, "the local rpcbind answers");
	else if (strcmp(word, "absent") == 0)
		add(r, NOTE, "rpcbind", NULL,
		    "no rpcbind runs here: right, unless this is an NFS server");
	else
		add(r, BAD, "rpcbind", "rpcinfo -p 127.0.0.1\nsystemctl restart rpcbind",
		    "the local rpcbind is %s: when mountd moves, pinholed learns it only from "
		    "the next client that asks",
		    word);
}

static void read_status(struct report *r, struct facts *facts, const json_t *status)
{
	const char *capture = json_string_value(json_object_get(status, "capture"));
	const char *admit = json_string_value(json_object_get(status, "admit"));
	const char *version = json_string_value(json_object_get(status, "version"));
	const char *mask = json_string_value(json_object_get(status, "mark_mask"));
	unsigned long value = mask ? strtoul(mask, NULL, 0) : 0;

	facts->answers = true;
	if (admit)
		facts->mark = strcmp(admit, "mark") == 0;
	if (value <= UINT32_MAX && ph_mark_mask_valid((uint32_t)value))
		facts->mark_mask = (uint32_t)value;
	add(r, GOOD, "daemon", NULL, "pinholed %s answers: admit %s, capture %s",
	    version ? version : "?", admit ? admit : "?", capture ? capture : "?");
	if (capture && strcmp(capture, "passive") == 0)
		add(r, BAD, "capture",
		    "modprobe nfnetlink_queue; modprobe nft_queue || modprobe xt_NFQUEUE\n"
		    "capture = auto in pinholed.conf; systemctl restart pinholed",
		    "pinholed only sees copies of control packets: a client may be faster than the "
		    "firewall, and its first attempt then fails");
	if (json_is_false(json_object_get(status, "table_owned")))
		add(r, NOTE, "table", NULL,
		    "pinholed's table is not owned by it: `nft flush ruleset` would remove it");
	check_rpcbind(r, status);
}

static void check_daemon(struct report *r, struct facts *facts, const char *socket)
{
	struct ctl_client *client = NULL;
	json_t *status = NULL;
	char words[128] = "";
	int ret;

	ret = ctl_client_open(&client, socket);
	if (ret == 0)
		ret = ctl_client_ask(client, json_pack("{ss}", "cmd", "status"), false);
	if (ret == 0)
		ret = ctl_client_next(client, &status, words, sizeof(words));
	ctl_client_close(client);
	if (ret > 0) {
		read_status(r, facts, status);
		json_decref(status);
	} else if (ret == -EACCES || ret == -EPERM) {
		add(r, BAD, "daemon", "sudo pinholectl doctor", "%s may not be asked by this user",
		    socket);
	} else {
		add(r, BAD, "daemon",
		    "systemctl start pinholed\njournalctl -u pinholed says what went wrong",
		    "pinholed does not answer on %s: %s", socket,
		    ret == -EREMOTEIO ? words : strerror(ret < 0 ? -ret : EPROTO));
	}
}

/* --- the firewall --------------------------------------------------------------------------- */

void doctor_chain_fix(
    const struct ruleset_chain *c, bool mark, uint32_t mark_mask, char fix[DOCTOR_FIX])
{
	uint32_t bit = ph_mark(mark_mask, PH_MARK_F_PINHOLE, PH_SVC_NONE);
	bool iptables = strcmp(c->table, "filter") == 0 && c->name[0] >= 'A' && c->name[0] <= 'Z';
	const char *tool = strcmp(c->family, "ip6") == 0 ? "ip6tables" : "iptables";

	if (c->owned)
		(void)snprintf(fix, FIX,
		    "table %s %s belongs to another program: have that program accept it",
		    c->family, c->table);
	else if (iptables && mark)
		(void)snprintf(fix, FIX, "%s -I %s -m connmark --mark 0x%08x/0x%08x -j ACCEPT",
		    tool, c->name, bit, bit);
	else if (iptables)
		(void)snprintf(fix, FIX,
		    "%s -I %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", tool, c->name);
	else if (mark)
		(void)snprintf(fix, FIX, "nft insert rule %s %s %s ct mark and 0x%08x != 0 accept",
		    c->family, c->table, c->name, bit);
	else
		(void)snprintf(fix, FIX,
		    "nft insert rule %s %s %s ct state established,related accept", c->family,
		    c->table, c->name);
}

/* Whether this machine passes on packets that are not for itself. */
static bool routes(void)
{
	return sysctl_value("/proc/sys/net/ipv4/ip_forward") != 0 ||
	       sysctl_value("/proc/sys/net/ipv6/conf/all/forwarding") != 0;
}

/* The best answer for any service, and which services get none at all. */
static enum ruleset_answer best_answer(
    const struct facts *facts, const struct ruleset_chain *c, unsigned int *left_out)
{
	enum ruleset_answer best = RULESET_NO;

	*left_out = 0;
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++) {
		/* Flows admitted as related carry the mark as well: either kind of rule will do. */
		enum ruleset_answer answer = facts->mark ? c->mark[svc] : c->both[svc];

		if (!(facts->services & 1u << svc))
			continue;
		if (answer > best)
			best = answer;
		if (answer == RULESET_NO)
			*left_out |= 1u << svc;
	}
	return best;
}

/* Names of services, separated by commas, into text[FIX]. */
static const char *service_list(unsigned int services, char *text)
{
	size_t used = 0;

	text[0] = '\0';
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (services & 1u << svc)
			used += (size_t)snprintf(text + used, FIX - used, "%s%s", used ? ", " : "",
			    service_word((enum ph_service)svc));
	return text;
}

/*
 * Whether the chain lets pinholes' flows in. On a machine with one role not all three hooks matter,
 * but a chain that drops is one where an administrator will look.
 */
static void check_chain(struct report *r, const struct facts *facts, const struct ruleset_chain *c)
{
	unsigned int left_out;
	enum ruleset_answer answer = best_answer(facts, c, &left_out);
	bool by_mark = facts->mark || (answer == RULESET_YES && c->related != RULESET_YES);
	const char *what = by_mark ? "pinholed's mark" : "`ct state related`";
	char where[3 * RULESET_NAME], fix[FIX], some[FIX], others[FIX];

	(void)snprintf(
	    where, sizeof(where), "chain %s %s %s (%s)", c->family, c->table, c->name, c->hook);
	if (answer != RULESET_NO && left_out) {
		add(r, NOTE, "firewall", NULL,
		    "%s accepts pinholed's mark for %s, and not for %s: right, if so meant", where,
		    service_list(facts->services & ~left_out, some),
		    service_list(left_out, others));
		return;
	}
	switch (answer) {
	case RULESET_YES:
		add(r, GOOD, "firewall", NULL, "%s accepts %s", where, what);
		break;
	case RULESET_DEPENDS:
		add(r, NOTE, "firewall", NULL,
		    "%s accepts %s under further conditions: see that they hold for all clients",
		    where, what);
		break;
	case RULESET_NO:
		if (strcmp(c->hook, "forward") == 0 && !routes()) {
			add(r, NOTE, "firewall", NULL,
			    "%s drops %s: right, as this machine does not forward packets", where,
			    what);
			break;
		}
		doctor_chain_fix(c, facts->mark, facts->mark_mask, fix);
		add(r, BAD, "firewall", fix, "%s drops %s: pinholes have no effect there", where,
		    what);
		break;
	}
}

static void check_mark_writers(
    struct report *r, const struct facts *facts, const struct ruleset *rules)
{
	char fix[FIX];

	(void)snprintf(fix, sizeof(fix),
	    "have it write other bits only: ct mark set ct mark and 0x%08x or ...\n"
	    "or choose another mark-mask in pinholed.conf",
	    ~facts->mark_mask);
	for (size_t i = 0; i < rules->n_mark_writers; i++) {
		const struct ruleset_rule *w = &rules->mark_writers[i];

		add(r, BAD, "mark", fix,
		    "rule %llu of chain %s %s %s writes to bits 0x%08x of the conntrack mark, "
		    "which are pinholed's",
		    (unsigned long long)w->handle, w->family, w->table, w->chain, facts->mark_mask);
	}
	if (!rules->n_mark_writers)
		add(r, GOOD, "mark", NULL, "no other rule writes the mark bits 0x%08x",
		    facts->mark_mask);
}

static void check_helper_rules(struct report *r, const struct ruleset *rules)
{
	char fix[FIX];

	for (size_t i = 0; i < rules->n_helpers; i++) {
		const struct ruleset_rule *h = &rules->helpers[i];

		(void)snprintf(fix, sizeof(fix), "nft delete rule %s %s %s handle %llu", h->family,
		    h->table, h->chain, (unsigned long long)h->handle);
		add(r, BAD, "kernel-helpers", fix,
		    "rule %llu of chain %s %s %s assigns the kernel helper \"%s\": it opens ports "
		    "beside pinholed, without its checks",
		    (unsigned long long)h->handle, h->family, h->table, h->chain, h->what);
	}
	if (!rules->n_helpers)
		add(r, GOOD, "kernel-helpers", NULL, "no rule assigns a kernel helper");
}

static void check_table(struct report *r, const struct facts *facts, const struct ruleset *rules)
{
	if (facts->answers && !rules->ours)
		add(r, BAD, "table",
		    "systemctl restart pinholed\n"
		    "or ask in the network namespace in which it runs",
		    "table inet " PH_TABLE " is not in this network namespace");
	else if (!facts->answers && rules->ours)
		add(r, BAD, "table", "pgrep -a pinholed; pinholectl -r DIRECTORY doctor",
		    "table inet " PH_TABLE " is in force, but not by the daemon asked: another "
		    "instance runs in this network namespace, with another runtime directory");
	else if (rules->ours)
		add(r, GOOD, "table", NULL, "table inet " PH_TABLE " is in force");
}

static void check_firewall(struct report *r, const struct facts *facts)
{
	struct ruleset rules;
	int ret = ruleset_read(&rules, facts->mark_mask, false);

	switch (ret) {
	case 0:
		break;
	case -EPERM:
	case -EACCES:
		add(r, BAD, "nf_tables", "sudo pinholectl doctor",
		    "the firewall cannot be read without CAP_NET_ADMIN");
		return;
	case -EINTR:
		add(r, BAD, "nf_tables", "try again",
		    "the firewall changes faster than it can be read");
		return;
	default:
		add(r, BAD, "nf_tables", "modprobe nf_tables", "nf_tables cannot be reached: %s",
		    strerror(-ret));
		return;
	}
	add(r, GOOD, "nf_tables", NULL, "nf_tables can be read");
	check_table(r, facts, &rules);
	for (size_t i = 0; i < rules.n_chains; i++)
		check_chain(r, facts, &rules.chains[i]);
	if (!rules.n_chains)
		add(r, NOTE, "firewall", NULL,
		    "no nftables chain filters input, forward or output: everything is let in, "
		    "with or without pinholed");
	check_mark_writers(r, facts, &rules);
	check_helper_rules(r, &rules);
	ruleset_free(&rules);
}

json_t *doctor_examine(const char *socket, const struct config *config)
{
	struct facts facts = {
		.mark = config->policy.admit == ADMIT_MARK,
		.mark_mask = config->mark_mask,
	};
	struct report r = { .checks = json_array() };

	if (!r.checks)
		return NULL;
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (config->policy.service[svc].enabled && svc != PH_SVC_NFS)
			facts.services |= 1u << svc;
	check_root(&r);
	check_kernel(&r);
	check_events(&r);
	check_automatic_helpers(&r);
	check_daemon(&r, &facts, socket);
	check_firewall(&r, &facts);
	check_legacy(&r);
	if (r.out_of_memory) {
		json_decref(r.checks);
		return NULL;
	}
	return json_pack("{sb so}", "ok", !r.bad, "checks", r.checks);
}
