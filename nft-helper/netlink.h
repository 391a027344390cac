/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every reader of kernel tables does alike: one request, answered in many messages.
 */
#ifndef NETLINK_H
#define NETLINK_H

#include <libmnl/libmnl.h>

/*
 * Sends a request with NLM_F_DUMP, whose sequence number the caller has set, and hands each message
 * of the answer to cb. -errno; -EINTR when what is dumped changed meanwhile (NLM_F_DUMP_INTR).
 */
int netlink_dump(struct mnl_socket *nl, const struct nlmsghdr *request, mnl_cb_t cb, void *arg);

#endif
