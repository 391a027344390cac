// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables, chains, rules and sets are read with libnftnl, and read again when somebody changed them
 * meanwhile. What libnftnl cannot parse (expressions newer than it) keeps its place.
 */
#include "ruleset_dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "netlink.h"
#include "ruleset_decode.h"

#define ATTEMPTS 5

/* --- what the kernel says ------------------------------------------------------------------ */

static int list_add(struct list *l, void *item)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		void **grown = reallocarray(l->item, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->item = grown;
		l->room = room;
	}
	l->item[l->n++] = item;
	return 0;
}

static void list_free(struct list *l, void (*item_free)(void *item))
{
	for (size_t i = 0; i < l->n; i++)
		item_free(l->item[i]);
	free(l->item);
	*l = (struct list){ .n = 0 };
}

static void free_table(void *item)
{
	nftnl_table_free(item);
}

static void free_chain(void *item)
{
	nftnl_chain_free(item);
}

static void free_rule(void *item)
{
	struct raw_rule *r = item;

	nftnl_rule_free(r->rule);
	free(r);
}

static void free_set(void *item)
{
	struct raw_set *s = item;

	nftnl_set_free(s->set);
	free(s);
}

static void snapshot_free(struct snapshot *s)
{
	list_free(&s->tables, free_table);
	list_free(&s->chains, free_chain);
	list_free(&s->rules, free_rule);
	list_free(&s->sets, free_set);
}

static int on_table(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_table *t = nftnl_table_alloc();

	if (!t || nftnl_table_nlmsg_parse(nlh, t) < 0 || list_add(arg, t) < 0) {
		nftnl_table_free(t);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	if (!c || nftnl_chain_nlmsg_parse(nlh, c) < 0 || list_add(arg, c) < 0) {
		nftnl_chain_free(c);
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_place(const struct nlattr *attr, void *arg)
{
	struct nftnl_rule *r = arg;

	switch (mnl_attr_get_type(attr)) {
	case NFTA_RULE_TABLE:
		nftnl_rule_set_str(r, NFTNL_RULE_TABLE, mnl_attr_get_str(attr));
		break;
	case NFTA_RULE_CHAIN:
		nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, mnl_attr_get_str(attr));
		break;
	case NFTA_RULE_HANDLE:
		nftnl_rule_set_u64(r, NFTNL_RULE_HANDLE, be64toh(mnl_attr_get_u64(attr)));
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* A rule of which only the place is taken over. */
static struct nftnl_rule *rule_place(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (!r)
		return NULL;
	nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, nfg->nfgen_family);
	(void)mnl_attr_parse(nlh, sizeof(*nfg), on_place, r);
	return r;
}

static int on_rule(const struct nlmsghdr *nlh, void *arg)
{
	struct raw_rule *r = calloc(1, sizeof(*r));

	if (!r)
		return MNL_CB_ERROR;
	r->rule = nftnl_rule_alloc();
	if (r->rule && nftnl_rule_nlmsg_parse(nlh, r->rule) < 0) {
		nftnl_rule_free(r->rule);
		r->rule = rule_place(nlh);
		r->opaque = true;
	}
	if (!r->rule || list_add(arg, r) < 0) {
		if (r->rule)
			nftnl_rule_free(r->rule);
		free(r);
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_set(const struct nlmsghdr *nlh, void *arg)
{
	struct raw_set *s = calloc(1, sizeof(*s));

	if (!s)
		return MNL_CB_ERROR;
	s->set = nftnl_set_alloc();
	if (s->set && nftnl_set_nlmsg_parse(nlh, s->set) < 0) {
		/* Lookups will not find it, and say so. */
		free_set(s);
		return MNL_CB_OK;
	}
	if (!s->set || list_add(arg, s) < 0) {
		if (s->set)
			nftnl_set_free(s->set);
		free(s);
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	return MNL_CB_OK;
}

static int on_elements(const struct nlmsghdr *nlh, void *arg)
{
	struct raw_set *s = arg;

	if (nftnl_set_elems_nlmsg_parse(nlh, s->set) < 0)
		s->unknown = true;
	return MNL_CB_OK;
}

static int dump_all(struct mnl_socket *nl, uint16_t type, mnl_cb_t cb, void *arg, uint32_t *seq)
{
	char request[256];
	struct nlmsghdr *nlh =
	    nftnl_nlmsg_build_hdr(request, type, NFPROTO_UNSPEC, NLM_F_DUMP, ++*seq);

	return netlink_dump(nl, nlh, cb, arg);
}

static int dump_elements(struct mnl_socket *nl, struct raw_set *s, uint32_t *seq)
{
	char request[1024];
	uint16_t family = (uint16_t)nftnl_set_get_u32(s->set, NFTNL_SET_FAMILY);
	struct nftnl_set *which = nftnl_set_alloc();
	struct nlmsghdr *nlh;

	if (!which)
		return -ENOMEM;
	nftnl_set_set_str(which, NFTNL_SET_TABLE, nftnl_set_get_str(s->set, NFTNL_SET_TABLE));
	nftnl_set_set_str(which, NFTNL_SET_NAME, nftnl_set_get_str(s->set, NFTNL_SET_NAME));
	nlh = nftnl_nlmsg_build_hdr(request, NFT_MSG_GETSETELEM, family, NLM_F_DUMP, ++*seq);
	nftnl_set_elems_nlmsg_build_payload(nlh, which);
	nftnl_set_free(which);
	return netlink_dump(nl, nlh, on_elements, s);
}

/* Can it be asked for a state or a mark? */
static bool keyed_by_word(const struct nftnl_set *s)
{
	uint32_t flags = nftnl_set_get_u32(s, NFTNL_SET_FLAGS);

	return nftnl_set_get_u32(s, NFTNL_SET_KEY_LEN) == sizeof(uint32_t) &&
	       (flags & NFT_SET_ANONYMOUS) && !(flags & NFT_SET_INTERVAL);
}

static int snapshot_take(struct mnl_socket *nl, struct snapshot *s, enum dump_sets which)
{
	uint32_t seq = (uint32_t)time(NULL);
	int ret;

	if ((ret = dump_all(nl, NFT_MSG_GETTABLE, on_table, &s->tables, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETCHAIN, on_chain, &s->chains, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETRULE, on_rule, &s->rules, &seq)) < 0 ||
	    (ret = dump_all(nl, NFT_MSG_GETSET, on_set, &s->sets, &seq)) < 0)
		return ret;
	for (size_t i = 0; i < s->sets.n; i++) {
		struct raw_set *set = s->sets.item[i];

		if (which == DUMP_SMALL_SETS && !keyed_by_word(set->set) &&
		    !decode_leads_to_verdicts(set->set)) {
			set->unknown = true;
			continue;
		}
		ret = dump_elements(nl, set, &seq);
		if (ret < 0)
			return ret == -ENOENT ? -EINTR : ret; /* gone since */
	}
	return 0;
}

int dump_take(struct dump *out, enum dump_sets which)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct snapshot snapshot = { .tables.n = 0 };
	int ret, attempt = 0;

	memset(out, 0, sizeof(*out));
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		ret = -errno;
		goto out;
	}
	/* NLM_F_DUMP_INTR, which libmnl reports as EINTR: somebody changed the rules meanwhile. */
	do {
		snapshot_free(&snapshot);
		ret = snapshot_take(nl, &snapshot, which);
	} while (ret == -EINTR && ++attempt < ATTEMPTS);
	if (ret == 0)
		ret = decode(out, &snapshot);
	if (ret < 0)
		dump_free(out);
out:
	snapshot_free(&snapshot);
	(void)mnl_socket_close(nl);
	return ret;
}

void dump_free(struct dump *d)
{
	pool_free(&d->pool);
	memset(d, 0, sizeof(*d));
}
