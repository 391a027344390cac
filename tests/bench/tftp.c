// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TFTP as fast as it goes: read request, the server's answer from a fresh port, so many blocks and
 * their acknowledgements, and again from a fresh port. A client and a server in two network
 * namespaces, one process each. Prints one JSON object. What stands between the two is not known
 * here.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CLIENTS_MAX  256
#define REQUEST_PORT 69
#define BLOCK        512
#define EVENTS       64
#define IMPATIENT    200 /* ms without anything: ask again */
#define STALLED      75  /* times that */

static const char usage[] =
    "usage: tftp CLIENT-NETNS SERVER-NETNS SERVER-ADDRESS CLIENTS TRANSFERS BLOCKS\n";
static const uint8_t request[] = "\0\1pxelinux.0\0octet";

enum { OP_DATA = 3, OP_ACK = 4 };

static int datagram_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

static struct sockaddr_in address_of(struct in_addr host, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr = host,
		.sin_port = htons(port),
	};
}

static int epoll_new(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		die("epoll_create1: %s", strerror(errno));
	return fd;
}

static void watch(int epoll, int fd, uint32_t which)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = which };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static uint16_t word_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* --- the server ------------------------------------------------------------------------------ */

#define LISTENER UINT32_MAX

struct server {
	struct in_addr host;
	int epoll, listener;
	unsigned int blocks;
};

static void send_block(const struct server *s, int fd, unsigned int n)
{
	uint8_t packet[4 + BLOCK] = { 0, OP_DATA, (uint8_t)(n >> 8), (uint8_t)n };
	/* The last one is short, which ends the transfer. */
	size_t len = 4 + (n < s->blocks ? BLOCK : BLOCK / 2);

	if (send(fd, packet, len, 0) != (ssize_t)len)
		die("server: send: %s", strerror(errno));
}

static void server_request(struct server *s)
{
	struct sockaddr_in from, own = address_of(s->host, 0);
	socklen_t len = sizeof(from);
	uint8_t packet[BLOCK];
	int fd;

	if (recvfrom(s->listener, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len) < 2)
		return;
	fd = datagram_socket();
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    connect(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("server: %s", strerror(errno));
	watch(s->epoll, fd, (uint32_t)fd);
	send_block(s, fd, 1);
}

static void server_ack(struct server *s, int fd)
{
	uint8_t packet[BLOCK];
	unsigned int n;

	if (recv(fd, packet, sizeof(packet), 0) < 4) {
		(void)close(fd); /* the client has gone on with another answer */
		return;
	}
	n = word_at(packet + 2);
	if (n >= s->blocks)
		(void)close(fd);
	else
		send_block(s, fd, n + 1);
}

static pid_t start_server(struct server *s, const char *netns)
{
	struct sockaddr_in at = address_of(s->host, REQUEST_PORT);
	struct epoll_event events[EVENTS];
	int ready[2];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (pid) {
		(void)close(ready[1]);
		/* Nothing is ever written: the end of the pipe is the word. */
		if (read(ready[0], &(char){ 0 }, 1) != 0)
			die("read: %s", strerror(errno));
		(void)close(ready[0]);
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	netns_enter(netns);
	s->epoll = epoll_new();
	s->listener = datagram_socket();
	if (bind(s->listener, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("server: port %u: %s", REQUEST_PORT, strerror(errno));
	watch(s->epoll, s->listener, LISTENER);
	(void)close(ready[1]);
	for (;;) {
		int n = epoll_wait(s->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 == LISTENER)
				server_request(s);
			else
				server_ack(s, (int)events[i].data.u32);
		}
	}
}

/* --- the client ------------------------------------------------------------------------------ */

struct transfer {
	int fd;
	uint64_t asked;
	bool answered;
	struct sockaddr_in peer;
	unsigned int next; /* block */
};

struct client {
	struct in_addr host;
	int epoll;
	unsigned int clients, active, left, n, again, blocks;
	struct transfer transfer[CLIENTS_MAX];
	uint64_t *latency; /* ns from request to first block */
};

static void send_request(struct client *c, struct transfer *t)
{
	struct sockaddr_in to = address_of(c->host, REQUEST_PORT);

	t->asked = now_ns();
	if (sendto(t->fd, request, sizeof(request), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("client: sendto: %s", strerror(errno));
}

static void client_ask(struct client *c, unsigned int slot)
{
	struct transfer *t = &c->transfer[slot];

	if (c->left == 0) {
		t->fd = -1;
		c->active--;
		return;
	}
	c->left--;
	*t = (struct transfer){ .fd = datagram_socket(), .next = 1 };
	watch(c->epoll, t->fd, slot);
	send_request(c, t);
}

static void client_block(struct client *c, unsigned int slot)
{
	struct transfer *t = &c->transfer[slot];
	uint8_t packet[4 + BLOCK], ack[4] = { 0, OP_ACK };
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(t->fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);

	if (n < 4 || word_at(packet) != OP_DATA || word_at(packet + 2) != t->next)
		return;
	if (!t->answered) {
		t->answered = true;
		t->peer = from;
		c->latency[c->n++] = now_ns() - t->asked;
	} else if (from.sin_port != t->peer.sin_port) {
		return; /* the answer to a request that was sent again */
	}
	memcpy(ack + 2, packet + 2, 2);
	if (sendto(t->fd, ack, sizeof(ack), 0, (struct sockaddr *)&from, len) < 0)
		die("client: sendto: %s", strerror(errno));
	t->next++;
	if (n == 4 + BLOCK)
		return;
	(void)close(t->fd);
	client_ask(c, slot);
}

static void ask_again(struct client *c)
{
	for (unsigned int i = 0; i < c->clients; i++) {
		struct transfer *t = &c->transfer[i];

		if (t->fd < 0)
			continue;
		if (t->answered)
			die("a block was lost");
		c->again++;
		send_request(c, t);
	}
}

/* Returns how long all transfers took together, ns. */
static uint64_t client_run(struct client *c)
{
	struct epoll_event events[EVENTS];
	uint64_t began = now_ns();
	unsigned int stalled = 0;

	c->active = c->clients;
	for (unsigned int i = 0; i < c->clients; i++)
		client_ask(c, i);
	while (c->active) {
		int n = epoll_wait(c->epoll, events, EVENTS, IMPATIENT);

		if (n == 0 && ++stalled > STALLED)
			die("no answer after %u transfers", c->n);
		if (n == 0)
			ask_again(c);
		for (int i = 0; i < n; i++)
			client_block(c, events[i].data.u32);
	}
	return now_ns() - began;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double percentile_us(const struct client *c, unsigned int percent)
{
	return (double)c->latency[(uint64_t)(c->n - 1) * percent / 100] / 1000;
}

int main(int argc, char **argv)
{
	static struct server s;
	static struct client c;
	unsigned int transfers;
	uint64_t took;
	pid_t pid;

	if (argc != 7) {
		fputs(usage, stderr);
		return 2;
	}
	if (inet_pton(AF_INET, argv[3], &c.host) != 1)
		die("'%s' is no IPv4 address", argv[3]);
	c.clients = number(argv[4], 1, CLIENTS_MAX);
	transfers = c.left = number(argv[5], c.clients, 1000000);
	c.blocks = s.blocks = number(argv[6], 1, UINT16_MAX);
	s.host = c.host;
	c.latency = calloc(transfers, sizeof(*c.latency));
	if (!c.latency)
		die("out of memory");
	pid = start_server(&s, argv[2]);
	netns_enter(argv[1]);
	c.epoll = epoll_new();
	took = client_run(&c);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	qsort(c.latency, c.n, sizeof(*c.latency), by_value);
	printf(
	    "{\"clients\": %u, \"transfers\": %u, \"blocks\": %u, \"rate\": %.1f, \"p50\": %.3f, "
	    "\"p99\": %.3f, \"again\": %u}\n",
	    c.clients, c.n, c.blocks, (double)c.n * (double)NSEC / (double)took,
	    percentile_us(&c, 50), percentile_us(&c, 99), c.again);
	return 0;
}
