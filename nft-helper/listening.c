// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sockets from NETLINK_SOCK_DIAG, links and addresses from rtnetlink; whose a socket is from the
 * descriptors in /proc, as far as we may look.
 */
#include "listening.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cursor.h"
#include "netlink.h"

/* Of the kernel's enum in tcp_states.h; an unconnected UDP socket is "closed". */
#define TCP_CLOSE  7
#define TCP_LISTEN 10

#define ATTEMPTS   5

/* --- asking -------------------------------------------------------------------------------- */

/* Of everything that the request stands for; its answers are the only ones on this socket. */
static int dump(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	return netlink_dump(nl, nlh, cb, arg);
}

static int open_netlink(struct mnl_socket **out, int bus)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int ret;

	*out = nl;
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0)
		return 0;
	ret = -errno;
	(void)mnl_socket_close(nl);
	return ret;
}

/* Room for one more at the end of an array, all zero; NULL when memory is out. */
static void *one_more(void **array, size_t *n, size_t size)
{
	char *grown = reallocarray(*array, *n + 1, size);

	if (!grown)
		return NULL;
	*array = grown;
	grown += size * *n;
	++*n;
	memset(grown, 0, size);
	return grown;
}

/* --- sockets ------------------------------------------------------------------------------- */

struct ask {
	struct listening *out;
	uint8_t l4proto;
	bool v6only; /* of the message being read */
};

static int on_socket_attr(const struct nlattr *attr, void *arg)
{
	struct ask *ask = arg;

	if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY &&
	    mnl_attr_get_payload_len(attr) >= sizeof(uint8_t))
		ask->v6only = mnl_attr_get_u8(attr) != 0;
	return MNL_CB_OK;
}

static bool is_zero(const struct addr *a)
{
	static const uint8_t zeros[16];

	return memcmp(a->bytes, zeros, addr_len(a)) == 0;
}

static bool is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == FAMILY_IPV4 ? a->bytes[0] == 127 : memcmp(a->bytes, one, 16) == 0;
}

static int on_socket(const struct nlmsghdr *nlh, void *arg)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct ask *ask = arg;
	struct listening *out = ask->out;
	struct listener *l;
	uint8_t bytes[16];

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || !m->id.idiag_sport)
		return MNL_CB_OK;
	l = one_more((void **)&out->listeners, &out->n_listeners, sizeof(*l));
	if (!l) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	ask->v6only = false;
	(void)mnl_attr_parse(nlh, sizeof(*m), on_socket_attr, ask);
	memcpy(bytes, m->id.idiag_src, sizeof(bytes));
	if (m->idiag_family == AF_INET) {
		l->addr = addr_ipv4(bytes);
		l->ipv4 = true;
	} else if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		l->addr = addr_ipv4(bytes + sizeof(mapped));
		l->ipv4 = true;
	} else {
		l->addr = addr_ipv6(bytes);
		l->ipv6 = true;
		l->ipv4 = is_zero(&l->addr) && !ask->v6only;
	}
	l->port = ntohs(m->id.idiag_sport);
	l->l4proto = ask->l4proto;
	l->inode = m->idiag_inode;
	l->local = is_loopback(&l->addr) || m->id.idiag_if == 1; /* LOOPBACK_IFINDEX */
	return MNL_CB_OK;
}

static int read_sockets(struct mnl_socket *nl, struct listening *out)
{
	static const struct {
		uint8_t l4proto, state;
	} kinds[] = { { IPPROTO_TCP, TCP_LISTEN }, { IPPROTO_UDP, TCP_CLOSE } };
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int ret = 0;

	for (size_t i = 0; i < 4 && ret == 0; i++) {
		struct ask ask = { .out = out, .l4proto = kinds[i / 2].l4proto };
		char request[128];
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(request);
		struct inet_diag_req_v2 *req;

		nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
		req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
		req->sdiag_family = families[i % 2];
		req->sdiag_protocol = kinds[i / 2].l4proto;
		req->idiag_states = 1u << kinds[i / 2].state;
		ret = dump(nl, nlh, on_socket, &ask);
		/* A kernel without IPv6. */
		if (ret == -ENOENT && families[i % 2] == AF_INET6)
			ret = 0;
	}
	return ret;
}

/* --- whose they are ------------------------------------------------------------------------ */

/* The inode in "socket:[12345]"; 0 for anything else. */
static uint32_t socket_inode(const char *text, size_t len)
{
	struct cursor c = cursor_of(text, len);
	uint32_t inode;

	if (!cursor_word(&c, "socket:[") || !cursor_decimal(&c, UINT32_MAX, &inode) ||
	    !cursor_char(&c, ']'))
		return 0;
	return inode;
}

static void read_comm(int proc, const char *pid, char comm[LISTENING_NAME])
{
	char path[64];
	ssize_t len;
	int fd;

	(void)snprintf(path, sizeof(path), "%.32s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, comm, LISTENING_NAME - 1);
	(void)close(fd);
	comm[len > 0 ? len : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	for (char *c = comm; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

static void name_sockets(struct listening *out, int proc, const char *pid)
{
	char path[64], target[64], comm[LISTENING_NAME] = "";
	struct dirent *entry;
	DIR *dir;
	int fd;

	(void)snprintf(path, sizeof(path), "%.32s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		ssize_t len = readlinkat(fd, entry->d_name, target, sizeof(target));
		uint32_t inode = len > 0 ? socket_inode(target, (size_t)len) : 0;

		for (size_t i = 0; inode && i < out->n_listeners; i++) {
			struct listener *l = &out->listeners[i];

			if (l->inode != inode || l->program[0])
				continue;
			if (!comm[0])
				read_comm(proc, pid, comm);
			memcpy(l->program, comm, sizeof(l->program));
		}
	}
	(void)closedir(dir);
}

static void read_programs(struct listening *out)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			name_sockets(out, dirfd(dir), entry->d_name);
	if (dir)
		(void)closedir(dir);
}

/* --- links and addresses ------------------------------------------------------------------- */

struct link_attrs {
	char name[LISTENING_NAME];
	bool enslaved;
};

static int on_link_attr(const struct nlattr *attr, void *arg)
{
	struct link_attrs *a = arg;

	if (mnl_attr_get_type(attr) == IFLA_IFNAME)
		(void)snprintf(a->name, sizeof(a->name), "%s", mnl_attr_get_str(attr));
	else if (mnl_attr_get_type(attr) == IFLA_MASTER)
		a->enslaved = true;
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	struct link_attrs attrs = { .enslaved = false };
	struct listening *out = arg;
	struct link *l;

	(void)mnl_attr_parse(nlh, sizeof(*m), on_link_attr, &attrs);
	if ((m->ifi_flags & IFF_LOOPBACK) || !(m->ifi_flags & IFF_UP) || attrs.enslaved)
		return MNL_CB_OK;
	l = one_more((void **)&out->links, &out->n_links, sizeof(*l));
	if (!l) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	memcpy(l->name, attrs.name, sizeof(l->name));
	l->index = (uint32_t)m->ifi_index;
	l->type = m->ifi_type;
	return MNL_CB_OK;
}

struct address_attrs {
	const uint8_t *address, *local; /* IFA_LOCAL is the own one of a pair */
	size_t len;
};

static int on_address_attr(const struct nlattr *attr, void *arg)
{
	struct address_attrs *a = arg;

	if (mnl_attr_get_payload_len(attr) < a->len)
		return MNL_CB_OK;
	if (mnl_attr_get_type(attr) == IFA_LOCAL)
		a->local = mnl_attr_get_payload(attr);
	else if (mnl_attr_get_type(attr) == IFA_ADDRESS)
		a->address = mnl_attr_get_payload(attr);
	return MNL_CB_OK;
}

static int on_address(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	struct address_attrs attrs = { .len = m->ifa_family == AF_INET ? 4 : 16 };
	struct listening *out = arg;
	struct own_address *a;
	struct addr addr;

	(void)mnl_attr_parse(nlh, sizeof(*m), on_address_attr, &attrs);
	if (!attrs.local)
		attrs.local = attrs.address;
	if (!attrs.local || m->ifa_index == 1)
		return MNL_CB_OK;
	addr = m->ifa_family == AF_INET ? addr_ipv4(attrs.local) : addr_ipv6(attrs.local);
	for (size_t i = 0; i < out->n_addresses; i++)
		if (addr_equal(&out->addresses[i].addr, &addr) &&
		    out->addresses[i].index == m->ifa_index)
			return MNL_CB_OK;
	a = one_more((void **)&out->addresses, &out->n_addresses, sizeof(*a));
	if (!a) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	a->addr = addr;
	a->index = m->ifa_index;
	return MNL_CB_OK;
}

static int read_routing(struct mnl_socket *nl, struct listening *out)
{
	char request[128];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(request);
	struct ifaddrmsg *addresses;
	struct ifinfomsg *links;
	int ret;

	nlh->nlmsg_type = RTM_GETLINK;
	links = mnl_nlmsg_put_extra_header(nlh, sizeof(*links));
	links->ifi_family = AF_UNSPEC;
	ret = dump(nl, nlh, on_link, out);
	if (ret < 0)
		return ret;
	nlh = mnl_nlmsg_put_header(request);
	nlh->nlmsg_type = RTM_GETADDR;
	addresses = mnl_nlmsg_put_extra_header(nlh, sizeof(*addresses));
	addresses->ifa_family = AF_UNSPEC;
	return dump(nl, nlh, on_address, out);
}

/* "32768\t60999" */
static void read_ephemeral(struct listening *out)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	uint32_t lo = 32768, hi = 60999;
	char line[64];

	if (f && fgets(line, sizeof(line), f)) {
		struct cursor c = cursor_of(line, strlen(line));

		if (!cursor_decimal(&c, UINT16_MAX, &lo) || !cursor_blanks(&c) ||
		    !cursor_decimal(&c, UINT16_MAX, &hi)) {
			lo = 32768;
			hi = 60999;
		}
	}
	if (f)
		(void)fclose(f);
	out->ephemeral_lo = (uint16_t)lo;
	out->ephemeral_hi = (uint16_t)hi;
}

/* --- all of it ----------------------------------------------------------------------------- */

static int by_port(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	if (x->l4proto != y->l4proto)
		return x->l4proto < y->l4proto ? -1 : 1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return memcmp(&x->addr, &y->addr, sizeof(x->addr));
}

static int read_once(struct listening *out)
{
	struct mnl_socket *nl;
	int ret = open_netlink(&nl, NETLINK_SOCK_DIAG);

	if (ret < 0)
		return ret;
	ret = read_sockets(nl, out);
	(void)mnl_socket_close(nl);
	if (ret < 0)
		return ret;
	ret = open_netlink(&nl, NETLINK_ROUTE);
	if (ret < 0)
		return ret;
	ret = read_routing(nl, out);
	(void)mnl_socket_close(nl);
	return ret;
}

int listening_read(struct listening *out)
{
	int ret, attempt = 0;

	memset(out, 0, sizeof(*out));
	/* EINTR: an address or a link came or went meanwhile. */
	while ((ret = read_once(out)) == -EINTR && ++attempt < ATTEMPTS)
		listening_free(out);
	if (ret < 0) {
		listening_free(out);
		return ret;
	}
	if (out->n_listeners)
		qsort(out->listeners, out->n_listeners, sizeof(*out->listeners), by_port);
	read_programs(out);
	read_ephemeral(out);
	return 0;
}

void listening_free(struct listening *l)
{
	free(l->listeners);
	free(l->links);
	free(l->addresses);
	memset(l, 0, sizeof(*l));
}
