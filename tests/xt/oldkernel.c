// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * To be loaded before iptables: the kernel seems to have no revision 2 of CONNMARK, as before Linux
 * 4.17, and stderr tells whenever that was asked for. iptables-legacy asks for revisions by
 * getsockopt(), iptables-nft by a message of nft_compat.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netlink.h>

#define NAME     "CONNMARK"
#define REVISION 2
#define NO_SUCH  77
#define HEADER   sizeof(struct nlattr)

/* IPT_SO_GET_REVISION_TARGET and IP6T_SO_GET_REVISION_TARGET. */
#define REVISION_V4 67
#define REVISION_V6 69

int getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t mnl_socket_sendto(const void *nl, const void *request, size_t len);

/* The revision to ask for instead. */
static uint8_t deny(void)
{
	(void)fprintf(stderr, "oldkernel: no " NAME " revision %d\n", REVISION);
	return NO_SUCH;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int (*next)(int, int, int, void *, socklen_t *) =
	    (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
	struct xt_get_revision *rev = value;

	if ((name == REVISION_V4 || name == REVISION_V6) && *len == sizeof(*rev) &&
	    strcmp(rev->name, NAME) == 0 && rev->revision == REVISION)
		rev->revision = deny();
	return next(fd, level, name, value, len);
}

/* The attributes are aligned by libmnl; rewritten in a copy, as the request is not ours. */
static void rewrite(char *message, size_t len)
{
	struct nlmsghdr *nlh = (void *)message;
	size_t at = sizeof(*nlh) + sizeof(struct nfgenmsg);
	uint32_t revision;
	char *where = NULL;
	int named = 0;

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFT_COMPAT)
		return;
	while (at + HEADER <= len) {
		struct nlattr *a = (void *)(message + at);

		if (a->nla_type == NFTA_COMPAT_NAME && strcmp((char *)a + HEADER, NAME) == 0)
			named = 1;
		if (a->nla_type == NFTA_COMPAT_REV)
			where = (char *)a + HEADER;
		at += (a->nla_len + (size_t)3) & ~(size_t)3;
	}
	if (!named || !where)
		return;
	memcpy(&revision, where, sizeof(revision));
	if (ntohl(revision) != REVISION)
		return;
	revision = htonl(deny());
	memcpy(where, &revision, sizeof(revision));
}

ssize_t mnl_socket_sendto(const void *nl, const void *request, size_t len)
{
	ssize_t (*next)(const void *, const void *, size_t) =
	    (ssize_t(*)(const void *, const void *, size_t))dlsym(RTLD_NEXT, "mnl_socket_sendto");
	_Alignas(struct nlmsghdr) char copy[4096];

	if (len < sizeof(struct nlmsghdr) || len > sizeof(copy))
		return next(nl, request, len);
	memcpy(copy, request, len);
	rewrite(copy, len);
	return next(nl, copy, len);
}
