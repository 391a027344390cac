/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of packets that only have to be known: the only user of NFLOG. One socket carries all
 * groups; each packet is delivered at once, so that what was logged before a packet was queued can
 * be read before that packet is decided on.
 */
#ifndef NFLOG_H
#define NFLOG_H

#include <stddef.h>
#include <stdint.h>

#define NFLOG_BURST 16

struct nflog;

/*
 * iface is the index of the interface that the packet came in by, or else is to leave by; 0: not
 * known. l3 is valid for the call.
 */
typedef void nflog_seen(void *arg, uint16_t group, uint32_t iface, const uint8_t *l3, size_t len);

int nflog_open(struct nflog **out);
void nflog_close(struct nflog *log);

/*
 * Receives copies of this group from now on, `range` bytes of each. All groups are bound before any
 * rule logs to one. 0; -EBUSY when another process has that number; other -errno.
 */
int nflog_bind(struct nflog *log, uint16_t group, uint32_t range);

/* Non-blocking; readable when copies wait. */
int nflog_fd(const struct nflog *log);

/*
 * Takes up to NFLOG_BURST copies without waiting, and shows none yet. Returns how many messages
 * there were (a full burst means that more may wait); -ENOBUFS when some were lost and what was
 * left has been taken; other -errno.
 */
int nflog_receive(struct nflog *log);

/* Shows what nflog_receive() took. */
void nflog_show(struct nflog *log, nflog_seen *seen, void *arg);

#endif
