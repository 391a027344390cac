/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ONC RPC as far as the two programs that measure mounts speak it: calls and answers of fixed
 * shape, AUTH_NONE, one record a segment. Both ends are ours and trust each other.
 */
#ifndef RPC_H
#define RPC_H

#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PORTMAP_PORT 111
#define NFS_PORT     2049
#define MOUNTD_PORT  20048

#define PORTMAP      100000u
#define NFS          100003u
#define MOUNTD       100005u
#define RQUOTAD      100011u
#define STATUS       100024u
#define NFS_ACL      100227u

#define PROC_NULL    0
#define PMAP_GETPORT 3
#define PMAP_DUMP    4

#define RPC_MESSAGE  512
#define CALL_LEN     40 /* up to its arguments */
#define REPLY_LEN    24 /* up to its results */
#define RECORD_LEN   4
#define RECORD_LAST  0x80000000u

/* A message as it is put together, or taken apart; with TCP, a record mark comes first. */
struct message {
	uint8_t bytes[RPC_MESSAGE];
	size_t len;
};

static inline void put32(struct message *m, uint32_t value)
{
	const uint32_t be = htonl(value);

	if (m->len + sizeof(be) > sizeof(m->bytes))
		die("message too long");
	memcpy(m->bytes + m->len, &be, sizeof(be));
	m->len += sizeof(be);
}

static inline uint32_t get32(const struct message *m, size_t at)
{
	uint32_t be;

	if (at + sizeof(be) > m->len)
		die("message too short");
	memcpy(&be, m->bytes + at, sizeof(be));
	return ntohl(be);
}

/* Where the message begins. */
static inline size_t rpc_begin(struct message *m, bool tcp)
{
	m->len = 0;
	if (tcp)
		put32(m, 0);
	return m->len;
}

static inline void rpc_finish(struct message *m, bool tcp)
{
	const uint32_t mark = htonl(RECORD_LAST | (uint32_t)(m->len - RECORD_LEN));

	if (tcp)
		memcpy(m->bytes, &mark, sizeof(mark));
}

static inline int open_socket(bool tcp)
{
	int fd =
	    socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

static inline void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt: %s", strerror(errno));
}

static inline struct sockaddr_in address_of(uint32_t host, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(host),
		.sin_port = htons(port),
	};
}

static inline void bind_to(int fd, uint32_t host, uint16_t port)
{
	const struct sockaddr_in at = address_of(host, port);

	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("bind: %s", strerror(errno));
}

static inline int epoll_new(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		die("epoll_create1: %s", strerror(errno));
	return fd;
}

static inline void watch(int epoll, int op, int fd, uint32_t events, uint64_t what)
{
	struct epoll_event ev = { .events = events, .data.u64 = what };

	if (epoll_ctl(epoll, op, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

/* A connection that stays is a descriptor on each side. */
static inline void many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit: %s", strerror(errno));
}

#endif
