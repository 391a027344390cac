// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One function a check, each adding lines to the report in the administrator's words: what is so, and
 * when it is bad, the command to run or the rule to add. A check that cannot be made says so.
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
#include "pinhole/abi.h"
#include "ruleset.h"

enum level { GOOD, NOTE, BAD };

struct report {
	json_t *checks;
	bool bad, out_of_memory;
};

/* What the daemon says of itself; of the configuration where it does not answer. */
struct facts {
	bool answers;
	bool mark; /* admit = mark */
	uint32_t mark_mask;
};

/* fix may be NULL; both texts are stolen. */
static void add(struct report *r, enum level level, const char *check, json_t *text, json_t *fix)
{
	static const char *const words[] = { "good", "note", "bad" };
	json_t *item = json_pack("{ss ss so so?}", "check", check, "level", words[level], "text",
	    text, "fix", fix);

	r->bad |= level == BAD;
	if (!item || json_array_append_new(r->checks, item) < 0)
		r->out_of_memory = true;
}

/* json_sprintf(), with a name that fits into the calls below. */
__attribute__((format(printf, 1, 2))) static json_t *text(const char *fmt, ...)
{
	json_t *string;
	va_list ap;

	va_start(ap, fmt);
	string = json_vsprintf(fmt, ap);
	va_end(ap);
	return string;
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

/* --- the machine ------------------------------------------------------------------------------- */

static void check_root(struct report *r)
{
	if (geteuid() == 0)
		add(r, GOOD, "root", text("running as root"), NULL);
	else
		add(r, BAD, "root", text("not running as root: the firewall cannot be read"),
		    text("sudo pinholectl doctor"));
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
		add(r, GOOD, "kernel", text("kernel %s", u.release), NULL);
	else
		add(r, NOTE, "kernel",
		    text("kernel %s is older than 5.12: pinholed's table cannot be owned, so another "
			 "program could change it, and it would outlive a crash", u.release), NULL);
}

static void check_events(struct report *r)
{
	static const char path[] = "/proc/sys/net/netfilter/nf_conntrack_events";
	int value = sysctl_value(path);

	if (value > 0)
		add(r, GOOD, "conntrack-events", text("conntrack reports its events"), NULL);
	else if (value == 0)
		add(r, BAD, "conntrack-events",
		    text("conntrack does not report events: sessions would never end"),
		    text("sysctl -w net.netfilter.nf_conntrack_events=1"));
	else
		add(r, NOTE, "conntrack-events",
		    text("%s is not there: conntrack is not loaded yet, or was built without events",
			path),
		    text("modprobe nf_conntrack_netlink"));
}

static void check_automatic_helpers(struct report *r)
{
	/* The switch went away with Linux 6.0, and the behaviour with it. */
	if (sysctl_value("/proc/sys/net/netfilter/nf_conntrack_helper") > 0)
		add(r, BAD, "kernel-helpers",
		    text("the kernel assigns its own connection helpers by port number: it would open "
			 "ports beside pinholed, without its checks"),
		    text("sysctl -w net.netfilter.nf_conntrack_helper=0"));
}

/* Rules of iptables-legacy live elsewhere in the kernel; each table in use has a line here. */
static void check_legacy(struct report *r)
{
	static const char *const paths[] = { "/proc/net/ip_tables_names",
		"/proc/net/ip6_tables_names" };
	char line[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		FILE *f = fopen(paths[i], "re");
		bool in_use = f && fgets(line, sizeof(line), f);

		if (f)
			(void)fclose(f);
		if (!in_use)
			continue;
		add(r, NOTE, "iptables-legacy",
		    text("%s is not empty: rules of iptables-legacy are in force, which cannot be read "
			 "here; see that they accept RELATED (or the mark)", paths[i]),
		    text("%s -S", i ? "ip6tables-legacy" : "iptables-legacy"));
	}
}

/* --- the daemon -------------------------------------------------------------------------------- */

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
	add(r, GOOD, "daemon",
	    text("pinholed %s answers: admit %s, capture %s", version ? version : "?",
		admit ? admit : "?", capture ? capture : "?"), NULL);
	if (capture && strcmp(capture, "passive") == 0)
		add(r, BAD, "capture",
		    text("pinholed only sees copies of control packets: a client may be faster than "
			 "the firewall, and its first attempt then fails"),
		    text("modprobe nfnetlink_queue; modprobe nft_queue || modprobe xt_NFQUEUE; see that "
			 "`capture` in pinholed.conf is auto; systemctl restart pinholed"));
	if (json_is_false(json_object_get(status, "table_owned")))
		add(r, NOTE, "table",
		    text("pinholed's table is not owned by it: `nft flush ruleset` would remove it"),
		    NULL);
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
		add(r, BAD, "daemon", text("%s may not be asked by this user", socket),
		    text("sudo pinholectl doctor"));
	} else {
		add(r, BAD, "daemon",
		    text("pinholed does not answer on %s: %s", socket,
			ret == -EREMOTEIO ? words : strerror(ret < 0 ? -ret : EPROTO)),
		    text("systemctl start pinholed; journalctl -u pinholed says what went wrong"));
	}
}

/* --- the firewall ------------------------------------------------------------------------------ */

/*
 * Whether the chain lets pinholes' flows in. On a machine with one role not all three hooks matter,
 * but a chain that drops is one where an administrator will look.
 */
static void check_chain(struct report *r, const struct facts *facts, const struct ruleset_chain *c)
{
	enum ruleset_answer answer = facts->mark ? c->mark : c->related;
	const char *what = facts->mark ? "pinholed's mark" : "`ct state related`";
	uint32_t bit = ph_mark(facts->mark_mask, PH_MARK_F_PINHOLE, PH_SVC_NONE);
	bool iptables = strcmp(c->table, "filter") == 0 && c->name[0] >= 'A' && c->name[0] <= 'Z';
	const char *tool = strcmp(c->family, "ip6") == 0 ? "ip6tables" : "iptables";
	json_t *fix;

	if (answer == RULESET_YES) {
		add(r, GOOD, "firewall",
		    text("chain %s %s %s (%s) accepts %s", c->family, c->table, c->name, c->hook, what),
		    NULL);
		return;
	}
	if (answer == RULESET_DEPENDS) {
		add(r, NOTE, "firewall",
		    text("chain %s %s %s (%s) accepts %s under further conditions: see that they hold "
			 "for all clients", c->family, c->table, c->name, c->hook, what), NULL);
		return;
	}
	if (c->owned)
		fix = text("table %s %s belongs to another program: have that program accept %s",
		    c->family, c->table, what);
	else if (iptables && facts->mark)
		fix = text("%s -I %s -m connmark --mark 0x%08x/0x%08x -j ACCEPT", tool, c->name, bit,
		    bit);
	else if (iptables)
		fix = text("%s -I %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", tool,
		    c->name);
	else if (facts->mark)
		fix = text("nft insert rule %s %s %s ct mark and 0x%08x != 0 accept", c->family,
		    c->table, c->name, bit);
	else
		fix = text("nft insert rule %s %s %s ct state established,related accept", c->family,
		    c->table, c->name);
	add(r, BAD, "firewall",
	    text("chain %s %s %s (%s) drops %s: pinholes have no effect there", c->family, c->table,
		c->name, c->hook, what), fix);
}

static void check_rules(struct report *r, const struct facts *facts, const struct ruleset *rules)
{
	for (size_t i = 0; i < rules->n_mark_writers; i++) {
		const struct ruleset_rule *w = &rules->mark_writers[i];

		add(r, BAD, "mark",
		    text("rule %llu of chain %s %s %s writes bits 0x%08x of the conntrack mark, which "
			 "are pinholed's", (unsigned long long)w->handle, w->family, w->table,
			w->chain, facts->mark_mask),
		    text("have it write other bits only (ct mark set ct mark and 0x%08x or ...), or choose "
			 "another mark-mask in pinholed.conf", ~facts->mark_mask));
	}
	for (size_t i = 0; i < rules->n_helpers; i++) {
		const struct ruleset_rule *h = &rules->helpers[i];

		add(r, BAD, "kernel-helpers",
		    text("rule %llu of chain %s %s %s assigns the kernel helper \"%s\": the same "
			 "connections would be opened twice, once without pinholed's checks",
			(unsigned long long)h->handle, h->family, h->table, h->chain, h->what),
		    text("nft delete rule %s %s %s handle %llu", h->family, h->table, h->chain,
			(unsigned long long)h->handle));
	}
	if (!rules->n_mark_writers)
		add(r, GOOD, "mark",
		    text("no other rule writes the mark bits 0x%08x", facts->mark_mask), NULL);
	if (!rules->n_helpers)
		add(r, GOOD, "kernel-helpers", text("no rule assigns a kernel helper"), NULL);
}

static void check_table(struct report *r, const struct facts *facts, const struct ruleset *rules)
{
	if (facts->answers && !rules->ours)
		add(r, BAD, "table",
		    text("table inet " PH_TABLE " is not in this network namespace"),
		    text("systemctl restart pinholed; or ask in the namespace in which it runs"));
	else if (!facts->answers && rules->ours)
		add(r, BAD, "table",
		    text("table inet " PH_TABLE " is in force, but not by the daemon asked: another "
			 "instance runs in this network namespace, with another runtime directory"),
		    text("pgrep -a pinholed; pinholectl -r DIRECTORY doctor"));
	else if (rules->ours)
		add(r, GOOD, "table", text("table inet " PH_TABLE " is in force"), NULL);
}

static void check_firewall(struct report *r, const struct facts *facts)
{
	uint32_t mark = ph_mark(facts->mark_mask, PH_MARK_F_PINHOLE, PH_SVC_FTP);
	struct ruleset rules;
	int ret = ruleset_read(&rules, facts->mark_mask, mark);

	switch (ret) {
	case 0:
		break;
	case -EPERM:
	case -EACCES:
		add(r, BAD, "nf_tables", text("the firewall cannot be read without CAP_NET_ADMIN"),
		    text("sudo pinholectl doctor"));
		return;
	case -EINTR:
		add(r, BAD, "nf_tables", text("the firewall changes faster than it can be read"),
		    text("try again"));
		return;
	default:
		add(r, BAD, "nf_tables", text("nf_tables cannot be reached: %s", strerror(-ret)),
		    text("modprobe nf_tables"));
		return;
	}
	add(r, GOOD, "nf_tables", text("nf_tables can be read"), NULL);
	check_table(r, facts, &rules);
	for (size_t i = 0; i < rules.n_chains; i++)
		check_chain(r, facts, &rules.chains[i]);
	if (!rules.n_chains)
		add(r, NOTE, "firewall",
		    text("no nftables chain filters input, forward or output: everything is let in, "
			 "with or without pinholed"), NULL);
	check_rules(r, facts, &rules);
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
