// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink.h"

#include <errno.h>

int netlink_dump(struct mnl_socket *nl, const struct nlmsghdr *request, mnl_cb_t cb, void *arg)
{
	static char buf[65536];
	unsigned int portid = mnl_socket_get_portid(nl);
	ssize_t len;
	int ret;

	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		errno = 0;
		ret = mnl_cb_run(buf, (size_t)len, request->nlmsg_seq, portid, cb, arg);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -(errno ? errno : EPROTO) : 0;
}
