/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of this host can be reached, in the network namespace that the caller is in: the sockets
 * that wait for somebody, its addresses, its interfaces. Asked of the kernel over netlink; nothing
 * is kept.
 */
#ifndef LISTENING_H
#define LISTENING_H

#include "addr.h"

#define LISTENING_NAME 16 /* IFNAMSIZ and TASK_COMM_LEN */

/* A TCP socket that listens, or a UDP socket that is bound and not connected. */
struct listener {
	struct addr addr; /* all zero: any address of its family */
	bool ipv4, ipv6;  /* whom it hears */
	bool local;       /* on a loopback address or interface */
	uint16_t port;    /* host order */
	uint8_t l4proto;  /* IPPROTO_TCP, IPPROTO_UDP */
	char
	    program[LISTENING_NAME]; /* "" when it cannot be told: the kernel's own, or another's */
	uint32_t inode;
};

/* One that packets can come in by: up, no loopback, and no port of a bridge or bond. */
struct link {
	char name[LISTENING_NAME];
	uint32_t index;
	uint16_t type; /* ARPHRD_* */
};

struct own_address {
	struct addr addr;
	uint32_t index; /* of its link */
};

struct listening {
	struct listener *listeners; /* by protocol, port, address */
	size_t n_listeners;
	struct link *links;
	size_t n_links;
	struct own_address *addresses; /* without those of loopback interfaces */
	size_t n_addresses;
	uint16_t ephemeral_lo, ephemeral_hi; /* ports that the kernel picks */
};

/* 0 or -errno; -EPERM never: what may not be seen is left out. Then *out is empty. */
int listening_read(struct listening *out);
void listening_free(struct listening *l);

#endif
