// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Passive FTP as fast as it goes: PASV, 227, data connection, 226, and again. A client and a server
 * in two network namespaces, one process each; they share the clock and a page in which the server
 * notes when it sent each 227. Prints one JSON object. What stands between the two is not known
 * here.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SESSIONS_MAX 256
#define CONTROL_PORT 21
#define LINE         128
#define EVENTS       64
#define STALLED_MS   15000      /* longer than any number of retransmissions worth waiting for */
#define SLOW         (NSEC / 5) /* a packet was lost: the first retransmission is later */

static const char usage[] =
    "usage: cycles CLIENT-NETNS SERVER-NETNS SERVER-ADDRESS FIRST-PORT SESSIONS CYCLES\n";
static const char payload[] = "-rw-r--r-- 1 ftp ftp 0 empty\r\n";

struct shared {
	_Atomic uint64_t announced[SESSIONS_MAX]; /* ns, when this session's last 227 went out */
};

/* --- both ends ------------------------------------------------------------------------------- */

static int stream_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

static void set_flag(int fd, int level, int name)
{
	if (setsockopt(fd, level, name, &(int){ 1 }, sizeof(int)) < 0)
		die("setsockopt: %s", strerror(errno));
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

/* What an event is about: which of a session's sockets, and which session. */
enum role { ROLE_LISTENER, ROLE_CONTROL, ROLE_DATA };

static void watch(int epoll, int fd, uint32_t events, enum role role, unsigned int slot)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uint64_t)role << 32 | slot };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl: %s", strerror(errno));
}

static enum role role_of(const struct epoll_event *ev)
{
	return (enum role)(ev->data.u64 >> 32);
}

static unsigned int slot_of(const struct epoll_event *ev)
{
	return (unsigned int)(ev->data.u64 & UINT32_MAX);
}

static void say(int fd, const char *text, size_t len)
{
	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send: %s", strerror(errno));
}

/* One line that the peer sent as one segment, without its end. False at the end of the stream. */
static bool hear(int fd, char *line)
{
	ssize_t n = recv(fd, line, LINE - 1, 0);

	if (n == 0)
		return false;
	if (n < 2 || line[n - 1] != '\n')
		die("no whole line on a control connection: %s", n < 0 ? strerror(errno) : "cut");
	line[n - 2] = '\0';
	return true;
}

/* --- the server ------------------------------------------------------------------------------ */

struct server {
	struct shared *shared;
	struct in_addr host;
	int epoll, listener;
	uint16_t first_port, next_port;
	unsigned int sessions, hung_up;
	int control[SESSIONS_MAX], data[SESSIONS_MAX]; /* data: the socket that listens */
};

static int listen_at(struct in_addr host, uint16_t port, int backlog)
{
	struct sockaddr_in at = address_of(host, port);
	int fd = stream_socket(SOCK_NONBLOCK);

	/* The last connection to this port may still be in TIME_WAIT. */
	set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, backlog) < 0)
		die("port %u: %s", port, strerror(errno));
	return fd;
}

static int accept_at(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		die("accept: %s", strerror(errno));
	return fd;
}

static void server_greet(struct server *s)
{
	unsigned int slot = s->sessions++;
	int fd = accept_at(s->listener), len;
	char line[LINE];

	if (slot >= SESSIONS_MAX)
		die("too many sessions");
	s->control[slot] = fd;
	set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	watch(s->epoll, fd, EPOLLIN, ROLE_CONTROL, slot);
	len = snprintf(line, sizeof(line), "220 %u\r\n", slot);
	say(fd, line, (size_t)len);
}

static void server_passive(struct server *s, unsigned int slot)
{
	uint16_t port = s->next_port;
	const uint8_t *h = (const uint8_t *)&s->host.s_addr;
	char line[LINE];
	int len;

	s->next_port = port == UINT16_MAX ? s->first_port : (uint16_t)(port + 1);
	s->data[slot] = listen_at(s->host, port, 1);
	watch(s->epoll, s->data[slot], EPOLLIN, ROLE_DATA, slot);
	len = snprintf(line, sizeof(line), "227 Entering Passive Mode (%u,%u,%u,%u,%u,%u).\r\n",
	    h[0], h[1], h[2], h[3], port >> 8, port & 0xff);
	atomic_store_explicit(&s->shared->announced[slot], now_ns(), memory_order_release);
	say(s->control[slot], line, (size_t)len);
}

static void server_control(struct server *s, unsigned int slot)
{
	char line[LINE];

	if (!hear(s->control[slot], line)) {
		(void)close(s->control[slot]);
		s->hung_up++;
	} else if (strcmp(line, "PASV") == 0) {
		server_passive(s, slot);
	} else {
		die("the server was told '%s'", line);
	}
}

static void server_data(struct server *s, unsigned int slot)
{
	static const char done[] = "226 Transfer complete.\r\n";
	int fd = accept_at(s->data[slot]);

	(void)close(s->data[slot]);
	say(fd, payload, sizeof(payload) - 1);
	(void)close(fd);
	say(s->control[slot], done, sizeof(done) - 1);
}

static void serve(struct server *s)
{
	struct epoll_event events[EVENTS];

	while (!s->sessions || s->hung_up < s->sessions) {
		int n = epoll_wait(s->epoll, events, EVENTS, STALLED_MS);

		if (n <= 0)
			die("the server waits in vain");
		for (int i = 0; i < n; i++) {
			if (role_of(&events[i]) == ROLE_LISTENER)
				server_greet(s);
			else if (role_of(&events[i]) == ROLE_CONTROL)
				server_control(s, slot_of(&events[i]));
			else
				server_data(s, slot_of(&events[i]));
		}
	}
}

/* Returns once the server listens; it ends when all of its sessions have hung up. */
static pid_t start_server(
    struct shared *shared, const char *netns, struct in_addr host, uint16_t first_port)
{
	struct server s = {
		.shared = shared,
		.host = host,
		.first_port = first_port,
		.next_port = first_port,
	};
	int ready[2];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		netns_enter(netns);
		s.epoll = epoll_new();
		s.listener = listen_at(host, CONTROL_PORT, SESSIONS_MAX);
		watch(s.epoll, s.listener, EPOLLIN, ROLE_LISTENER, 0);
		(void)close(ready[1]);
		serve(&s);
		exit(0);
	}
	(void)close(ready[1]);
	/* Nothing is ever written: the end of the pipe is the word. */
	if (read(ready[0], &(char){ 0 }, 1) != 0)
		die("read: %s", strerror(errno));
	(void)close(ready[0]);
	return pid;
}

/* --- the client ------------------------------------------------------------------------------ */

struct transfer {
	int control, data;
	unsigned int server_slot, left;
	bool established, ended, confirmed; /* of this cycle */
};

struct client {
	struct shared *shared;
	struct in_addr host;
	int epoll;
	unsigned int sessions, active;
	struct transfer transfer[SESSIONS_MAX];
	uint64_t *latency; /* ns, of each cycle */
	unsigned int n, slow;
};

static void client_ask(struct client *c, struct transfer *t)
{
	if (t->left == 0) {
		c->active--;
		return;
	}
	t->left--;
	t->established = t->ended = t->confirmed = false;
	say(t->control, "PASV\r\n", 6);
}

static void client_login(struct client *c, unsigned int slot, unsigned int cycles)
{
	struct transfer *t = &c->transfer[slot];
	struct sockaddr_in to = address_of(c->host, CONTROL_PORT);
	char line[LINE];

	t->left = cycles;
	t->control = stream_socket(0);
	set_flag(t->control, IPPROTO_TCP, TCP_NODELAY);
	if (connect(t->control, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("control connection: %s", strerror(errno));
	if (!hear(t->control, line) || strncmp(line, "220 ", 4) != 0)
		die("no greeting");
	t->server_slot = number(line + 4, 0, SESSIONS_MAX - 1);
	watch(c->epoll, t->control, EPOLLIN, ROLE_CONTROL, slot);
}

/* h1,h2,h3,h4,p1,p2 as this server writes it */
static uint16_t announced_port(const char *line)
{
	unsigned long port = 0;
	char *at = strchr(line, '(');

	for (int i = 0; i < 6; i++) {
		if (!at || !*at)
			die("no port in '%s'", line);
		port = port << 8 | (strtoul(at + 1, &at, 10) & 0xff);
	}
	return (uint16_t)(port & UINT16_MAX);
}

static void client_connect(struct client *c, unsigned int slot, const char *line)
{
	struct sockaddr_in to = address_of(c->host, announced_port(line));
	struct transfer *t = &c->transfer[slot];

	t->data = stream_socket(SOCK_NONBLOCK);
	watch(c->epoll, t->data, EPOLLIN | EPOLLOUT | EPOLLET, ROLE_DATA, slot);
	if (connect(t->data, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("data connection: %s", strerror(errno));
}

static void client_control(struct client *c, unsigned int slot)
{
	struct transfer *t = &c->transfer[slot];
	char line[LINE];

	if (!hear(t->control, line))
		die("the server hung up");
	if (strncmp(line, "227 ", 4) == 0) {
		client_connect(c, slot, line);
		return;
	}
	if (strncmp(line, "226 ", 4) != 0)
		die("the client was told '%s'", line);
	t->confirmed = true;
	if (t->ended)
		client_ask(c, t);
}

static void client_data(struct client *c, unsigned int slot, uint32_t events, uint64_t woken)
{
	struct transfer *t = &c->transfer[slot];
	char bytes[256];
	ssize_t n;

	if (t->ended || !(events & EPOLLOUT))
		return;
	if (events & EPOLLERR)
		die("a data connection failed");
	if (!t->established) {
		uint64_t took = woken - atomic_load_explicit(&c->shared->announced[t->server_slot],
					    memory_order_acquire);

		t->established = true;
		c->latency[c->n++] = took;
		c->slow += took > SLOW;
	}
	do
		n = recv(t->data, bytes, sizeof(bytes), 0);
	while (n > 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		die("data connection: %s", strerror(errno));
	(void)close(t->data);
	t->ended = true;
	if (t->confirmed)
		client_ask(c, t);
}

/* Returns how long all cycles took together, ns. */
static uint64_t client_run(struct client *c)
{
	struct epoll_event events[EVENTS];
	uint64_t began = now_ns(), woken;

	c->active = c->sessions;
	for (unsigned int i = 0; i < c->sessions; i++)
		client_ask(c, &c->transfer[i]);
	while (c->active) {
		int n = epoll_wait(c->epoll, events, EVENTS, STALLED_MS);

		if (n <= 0)
			die("no answer for %u s after %u cycles", STALLED_MS / 1000, c->n);
		woken = now_ns();
		for (int i = 0; i < n; i++) {
			unsigned int slot = slot_of(&events[i]);

			if (role_of(&events[i]) == ROLE_CONTROL)
				client_control(c, slot);
			else
				client_data(c, slot, events[i].events, woken);
		}
	}
	return now_ns() - began;
}

/* --- the figures ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double percentile_us(const struct client *c, unsigned int percent)
{
	return (double)c->latency[(uint64_t)(c->n - 1) * percent / 100] / 1000;
}

static void report(struct client *c, uint64_t took)
{
	qsort(c->latency, c->n, sizeof(*c->latency), by_value);
	printf("{\"sessions\": %u, \"cycles\": %u, \"rate\": %.1f, \"p50\": %.3f, \"p99\": %.3f, "
	       "\"slow\": %u}\n",
	    c->sessions, c->n, (double)c->n * (double)NSEC / (double)took, percentile_us(c, 50),
	    percentile_us(c, 99), c->slow);
}

int main(int argc, char **argv)
{
	static struct client c;
	unsigned int cycles;
	uint16_t first_port;
	uint64_t took;
	int status;
	pid_t pid;

	if (argc != 7) {
		fputs(usage, stderr);
		return 2;
	}
	if (inet_pton(AF_INET, argv[3], &c.host) != 1)
		die("'%s' is no IPv4 address", argv[3]);
	first_port = (uint16_t)number(argv[4], 1024, UINT16_MAX);
	c.sessions = number(argv[5], 1, SESSIONS_MAX);
	cycles = number(argv[6], c.sessions, 10000000) / c.sessions;
	c.latency = calloc((size_t)cycles * c.sessions, sizeof(*c.latency));
	c.shared = mmap(
	    NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!c.latency || c.shared == MAP_FAILED)
		die("out of memory");

	pid = start_server(c.shared, argv[2], c.host, first_port);
	netns_enter(argv[1]);
	c.epoll = epoll_new();
	for (unsigned int i = 0; i < c.sessions; i++)
		client_login(&c, i, cycles);
	took = client_run(&c);
	for (unsigned int i = 0; i < c.sessions; i++)
		(void)close(c.transfer[i].control);
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("the server failed");
	report(&c, took);
	return 0;
}
