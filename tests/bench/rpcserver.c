// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an NFS client meets before it mounts: an rpcbind (version 2: NULL, GETPORT, DUMP) and a
 * mountd (NULL), UDP and TCP, and an NFS port that accepts connections and says nothing. One
 * process, one epoll, no memory beyond its sockets. Runs until it is ended.
 */
#include "rpc.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

#define EVENTS  64
#define BACKLOG 4096

/* What an event is about; the socket is in the low half. */
enum role { ROLE_LISTENER, ROLE_CONNECTION, ROLE_DATAGRAMS };

static const struct {
	uint32_t program, version, proto, port;
} registered[] = {
	{ NFS, 3, IPPROTO_TCP, NFS_PORT },
	{ MOUNTD, 3, IPPROTO_TCP, MOUNTD_PORT },
	{ MOUNTD, 3, IPPROTO_UDP, MOUNTD_PORT },
	{ RQUOTAD, 2, IPPROTO_TCP, 875 },
	{ RQUOTAD, 2, IPPROTO_UDP, 875 },
	{ STATUS, 1, IPPROTO_TCP, 662 },
	{ STATUS, 1, IPPROTO_UDP, 662 },
	{ NFS_ACL, 3, IPPROTO_TCP, 20227 },
	{ NFS_ACL, 3, IPPROTO_UDP, 20227 },
};

#define REGISTERED (sizeof(registered) / sizeof(registered[0]))

static void put_port(struct message *out, uint32_t program, uint32_t proto)
{
	uint32_t port = 0;

	for (size_t i = 0; i < REGISTERED; i++)
		if (registered[i].program == program && registered[i].proto == proto)
			port = registered[i].port;
	put32(out, port);
}

/* All but NFS, whose port the firewalls here accept by themselves. */
static void put_all(struct message *out)
{
	for (size_t i = 1; i < REGISTERED; i++) {
		put32(out, 1);
		put32(out, registered[i].program);
		put32(out, registered[i].version);
		put32(out, registered[i].proto);
		put32(out, registered[i].port);
	}
	put32(out, 0);
}

static void answer(const struct message *in, struct message *out, bool tcp)
{
	const size_t at = tcp ? RECORD_LEN : 0;
	const uint32_t program = get32(in, at + 12), version = get32(in, at + 16);
	const uint32_t procedure = get32(in, at + 20);
	bool mismatch = program == PORTMAP && version != 2;

	(void)rpc_begin(out, tcp);
	put32(out, get32(in, at));
	put32(out, 1);              /* REPLY */
	for (int i = 0; i < 3; i++) /* MSG_ACCEPTED, AUTH_NONE without a body */
		put32(out, 0);
	put32(out, mismatch ? 2 : 0); /* PROG_MISMATCH, SUCCESS */
	if (mismatch) {
		put32(out, 2);
		put32(out, 2);
	} else if (program == PORTMAP && procedure == PMAP_GETPORT) {
		put_port(out, get32(in, at + CALL_LEN), get32(in, at + CALL_LEN + 8));
	} else if (program == PORTMAP && procedure == PMAP_DUMP) {
		put_all(out);
	} else if (procedure != PROC_NULL) {
		die("program %u has no procedure %u here", program, procedure);
	}
	rpc_finish(out, tcp);
}

static void on_datagrams(int fd)
{
	struct message in, out;
	struct sockaddr_in from;

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n =
		    recvfrom(fd, in.bytes, sizeof(in.bytes), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			return;
		in.len = (size_t)n;
		answer(&in, &out, false);
		(void)sendto(fd, out.bytes, out.len, 0, (struct sockaddr *)&from, len);
	}
}

static void on_connection(int fd)
{
	struct message in, out;
	ssize_t n = recv(fd, in.bytes, sizeof(in.bytes), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		(void)close(fd);
		return;
	}
	in.len = (size_t)n;
	answer(&in, &out, true);
	(void)send(fd, out.bytes, out.len, MSG_NOSIGNAL);
}

static uint64_t what(enum role role, int fd)
{
	return (uint64_t)role << 32 | (uint32_t)fd;
}

static void on_listener(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, what(ROLE_CONNECTION, fd));
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept: %s", strerror(errno));
}

static void serve(int epoll, bool tcp, uint16_t port)
{
	int fd = open_socket(tcp);

	if (tcp)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	bind_to(fd, INADDR_ANY, port);
	if (tcp && listen(fd, BACKLOG) < 0)
		die("listen: %s", strerror(errno));
	watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, what(tcp ? ROLE_LISTENER : ROLE_DATAGRAMS, fd));
}

int main(void)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_new();

	many_files();
	for (int tcp = 0; tcp < 2; tcp++) {
		serve(epoll, tcp, PORTMAP_PORT);
		serve(epoll, tcp, MOUNTD_PORT);
	}
	serve(epoll, true, NFS_PORT);
	(void)sd_notify(0, "READY=1");
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;

			switch ((enum role)(events[i].data.u64 >> 32)) {
			case ROLE_LISTENER:
				on_listener(epoll, fd);
				break;
			case ROLE_CONNECTION:
				on_connection(fd);
				break;
			case ROLE_DATAGRAMS:
				on_datagrams(fd);
				break;
			}
		}
	}
}
