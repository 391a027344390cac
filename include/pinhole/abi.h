/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names and numbers that the daemon, the iptables extensions and an administrator's own rules
 * have to agree on: conntrack mark bits, the nftables table, queue and log group numbers.
 * Constants and arithmetic on them only; nothing here touches the kernel.
 */
#ifndef PINHOLE_ABI_H
#define PINHOLE_ABI_H

#include <stdint.h>

#define PH_TABLE "pinholed" /* table inet pinholed */

#ifndef PH_SYSCONFDIR
#define PH_SYSCONFDIR "/etc"
#endif
#define PH_CONF_FILE PH_SYSCONFDIR "/pinholed/pinholed.conf"

/* Order is part of the ABI: the value is written into conntrack marks and queue numbers. */
enum ph_service {
	PH_SVC_NONE,
	PH_SVC_FTP,
	PH_SVC_SUNRPC,
	PH_SVC_BFD,
	PH_SVC_TFTP,
	PH_SVC_RSH,
	/* Flows that keep the mappings of sunrpc alive: known, never looked into. None is ever let
	 * in as one of these. */
	PH_SVC_NFS,
	PH_SVC_REXEC,
	PH_SVC_MAX
};

/* Their names, the same in the configuration, in listings and on iptables' command lines. */
/* clang-format off */
#define PH_SERVICE_NAMES { \
	[PH_SVC_NONE] = "none", \
	[PH_SVC_FTP] = "ftp", \
	[PH_SVC_SUNRPC] = "sunrpc", \
	[PH_SVC_BFD] = "bfd", \
	[PH_SVC_TFTP] = "tftp", \
	[PH_SVC_RSH] = "rsh", \
	[PH_SVC_NFS] = "nfs", \
	[PH_SVC_REXEC] = "rexec", \
}
/* clang-format on */

/*
 * Six adjacent bits of the conntrack mark are ours, and only they are ever written:
 *
 *   bit 5      the flow was let in by a pinhole
 *   bit 4      the flow is a tracked control session; with bit 5: one that a pinhole let in
 *   bits 3..0  enum ph_service
 *
 * The field may be moved by choosing another mask of six adjacent bits.
 */
#define PH_MARK_MASK_DEFAULT 0x3f000000u
#define PH_MARK_FIELD_BITS   6
#define PH_MARK_F_PINHOLE    0x20u
#define PH_MARK_F_CONTROL    0x10u
#define PH_MARK_F_SERVICE    0x0fu

static inline unsigned int ph_mark_shift(uint32_t mask)
{
	return (unsigned int)__builtin_ctz(mask);
}

/* A mask of six adjacent bits, no more and no fewer. */
static inline int ph_mark_mask_valid(uint32_t mask)
{
	return mask && (mask >> ph_mark_shift(mask)) == 0x3fu;
}

/* The mark value (within mask) for flags PH_MARK_F_PINHOLE or _CONTROL and a service. */
static inline uint32_t ph_mark(uint32_t mask, unsigned int flags, enum ph_service svc)
{
	return (flags | (unsigned int)svc) << ph_mark_shift(mask);
}

/* The field of a flow's mark, moved down to bits 5..0. */
static inline unsigned int ph_mark_field(uint32_t mask, uint32_t mark)
{
	return (mark & mask) >> ph_mark_shift(mask);
}

/*
 * Queue numbers: base + 0 holds first packets of expected flows; base + 2 * service + direction
 * holds control packets (direction 0 original, 1 reply). NFLOG groups use the same arithmetic for
 * copies of control packets; base + 0 there carries the FIN and RST of admitted flows, base + 1 the
 * first packets of control flows that are translated (NAT) and therefore not tracked, and one more
 * at the end first packets of expected flows that are not held.
 */
#define PH_QUEUE_BASE_DEFAULT 20552 /* 'P' 'H' */
#define PH_QUEUE_FIRST        0
#define PH_GROUP_END          0
#define PH_GROUP_NAT          1
#define PH_QUEUE_SPAN         (2 * PH_SVC_MAX)
#define PH_GROUP_FIRST        PH_QUEUE_SPAN
#define PH_GROUP_SPAN         (PH_QUEUE_SPAN + 1)

static inline uint16_t ph_capture(uint16_t base, enum ph_service svc, unsigned int dir)
{
	return (uint16_t)(base + 2u * (unsigned int)svc + dir);
}

#endif
