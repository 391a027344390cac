// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `define WORD = on` and `jump $WORD` stumble over in nft 1.0.6, and what its scanner has got
 * since (1.1): last, destroy, tunnel and the names of tunnels. Words that are taken in one context
 * alone, like "echo" behind "tcp option", do no harm.
 */
#include "nft_words.h"

#include <stdlib.h>
#include <string.h>

/* Sorted. */
/* clang-format off */
static const char *const words[] = {
	"accept", "add", "ah", "all", "and", "arp", "bridge", "cgroup", "chain", "comment",
	"comp", "constant", "continue", "counter", "cpu", "create", "ct", "day", "dccp", "define",
	"delete", "describe", "destroy", "device", "devices", "dnat", "drop", "dst", "dup",
	"dynamic", "ecn", "element", "elements", "eq", "esp", "ether", "exists", "expires",
	"export", "exthdr", "fib", "flags", "flow", "flowtable", "flush", "frag", "fwd", "ge",
	"geneve", "get", "goto", "gre", "gretap", "gt", "handle", "hbh", "hook", "hour",
	"ibriport", "ibrname", "icmp", "icmpv6", "igmp", "iif", "iifgroup", "iifname", "iiftype",
	"import", "include", "index", "inet", "insert", "interval", "ip", "ip6", "ipsec", "jhash",
	"jump", "last", "le", "limit", "list", "log", "lshift", "lt", "map", "mark", "masquerade",
	"meta", "meter", "mh", "missing", "monitor", "ne", "netdev", "nftrace", "not", "notrack",
	"numgen", "obriport", "obrname", "offload", "oif", "oifgroup", "oifname", "oiftype", "or",
	"osf", "pkttype", "policy", "position", "priority", "queue", "quota", "random",
	"redefine", "redirect", "reject", "rename", "replace", "reset", "return", "rshift", "rt",
	"rt0", "rt2", "rtclassid", "rule", "ruleset", "sctp", "secmark", "set", "size", "skgid",
	"skuid", "snat", "socket", "srh", "symhash", "synproxy", "table", "tcp", "th", "time",
	"timeout", "tproxy", "tunnel", "type", "typeof", "udp", "udplite", "undefine", "update",
	"vlan", "vmap", "vni", "vxlan", "xor", "xt",
};
/* clang-format on */

static int compare(const void *word, const void *entry)
{
	return strcmp(word, *(const char *const *)entry);
}

bool nft_word(const char *word)
{
	return bsearch(word, words, sizeof(words) / sizeof(words[0]), sizeof(words[0]), compare);
}
