// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many NFS clients at once, each with an address of its own, so many of them in flight.
 *
 *   mount  GETPORT of NFS, GETPORT of mountd, NULL of mountd, each over a connection (or socket) of
 *          its own, as mount.nfs does. Prints one JSON object and ends.
 *   hold   DUMP over UDP, then a connection to the NFS port, which stays until stdin ends. Prints
 *          one JSON object when all stand.
 *   probe  NULL of rpcbind over UDP by one client, every so often until stdin ends; prints the
 * longest wait.
 *
 * What stands between clients and server is not known here.
 */
#include "rpc.h"

#include <poll.h>

#define EVENTS     64
#define FLIGHT_MAX 4096
#define LOOK_MS    10 /* how often timeouts are looked for */
#define PROBE_MS   2

static const char usage[] =
    "usage: storm mount CLIENT-NETNS SERVER FIRST-CLIENT CLIENTS IN-FLIGHT TIMEOUT-MS tcp|udp\n"
    "       storm hold CLIENT-NETNS SERVER FIRST-CLIENT CLIENTS IN-FLIGHT TIMEOUT-MS\n"
    "       storm probe CLIENT-NETNS SERVER CLIENT\n";

/* One exchange on one socket. */
struct step {
	bool tcp;
	uint16_t port;
	uint32_t program, version, procedure; /* program 0: the connection alone, and it stays */
	uint32_t asked;                       /* GETPORT: of which program */
};

struct client {
	int fd; /* -1: free */
	unsigned int step;
	bool called;
	uint32_t host;
	uint64_t began, deadline;
};

struct storm {
	const struct step *steps;
	unsigned int n_steps;
	uint32_t server, next_host;
	unsigned int left, flying, done, failed;
	uint64_t patience;
	int epoll;
	unsigned int n_clients;
	struct client client[FLIGHT_MAX];
	uint64_t *took; /* ns, of those that are done */
};

static uint32_t host_number(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		die("'%s' is no IPv4 address", text);
	return ntohl(a.s_addr);
}

/* --- one exchange ---------------------------------------------------------------------------- */

static void write_call(struct message *m, const struct step *s, uint32_t xid)
{
	(void)rpc_begin(m, s->tcp);
	put32(m, xid);
	put32(m, 0); /* CALL */
	put32(m, 2); /* of RPC */
	put32(m, s->program);
	put32(m, s->version);
	put32(m, s->procedure);
	for (int i = 0; i < 4; i++) /* credential and verifier: AUTH_NONE, no body */
		put32(m, 0);
	if (s->program == PORTMAP && s->procedure == PMAP_GETPORT) {
		put32(m, s->asked);
		put32(m, 3);
		put32(m, s->tcp || s->asked == NFS ? IPPROTO_TCP : IPPROTO_UDP);
		put32(m, 0);
	}
	rpc_finish(m, s->tcp);
}

static bool call(int fd, const struct step *s, uint32_t xid)
{
	struct message m;

	write_call(&m, s, xid);
	return send(fd, m.bytes, m.len, MSG_NOSIGNAL) == (ssize_t)m.len;
}

/* False when it is no answer to the question, or says that there is no such program. */
static bool answered(int fd, const struct step *s, uint32_t xid)
{
	const size_t at = s->tcp ? RECORD_LEN : 0;
	struct message m;
	ssize_t n = recv(fd, m.bytes, sizeof(m.bytes), 0);

	if (n < (ssize_t)(at + REPLY_LEN))
		return false;
	m.len = (size_t)n;
	if (get32(&m, at) != xid)
		return false;
	return s->procedure != PMAP_GETPORT || get32(&m, at + REPLY_LEN) != 0;
}

/* A socket of this host's, on its way to the server. */
static int reach(const struct storm *st, uint32_t host, const struct step *s)
{
	const struct sockaddr_in to = address_of(st->server, s->port);
	int fd = open_socket(s->tcp);

	set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (s->tcp)
		set_option(fd, SOL_TCP, TCP_NODELAY, 1);
	bind_to(fd, host, 0);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	return fd;
}

/* --- clients --------------------------------------------------------------------------------- */

static uint64_t slot_of(const struct storm *st, const struct client *c)
{
	return (uint64_t)(c - st->client);
}

static void take_step(struct storm *st, struct client *c)
{
	const struct step *s = &st->steps[c->step];

	c->fd = reach(st, c->host, s);
	c->called = !s->tcp;
	if (!s->tcp && !call(c->fd, s, c->host))
		die("send: %s", strerror(errno));
	watch(st->epoll, EPOLL_CTL_ADD, c->fd, s->tcp ? EPOLLOUT : EPOLLIN, slot_of(st, c));
}

static void start(struct storm *st, struct client *c)
{
	c->fd = -1;
	if (!st->left)
		return;
	st->left--;
	st->flying++;
	c->host = st->next_host++;
	c->step = 0;
	c->began = now_ns();
	c->deadline = c->began + st->patience;
	take_step(st, c);
}

static void finish(struct storm *st, struct client *c, bool ok)
{
	if (ok)
		st->took[st->done++] = now_ns() - c->began;
	else
		st->failed++;
	st->flying--;
	start(st, c);
}

static void on_event(struct storm *st, struct client *c, uint32_t events)
{
	const struct step *s = &st->steps[c->step];
	bool ok = !(events & (EPOLLERR | EPOLLHUP));

	if (ok && !c->called && s->program) {
		c->called = true;
		ok = call(c->fd, s, c->host);
		if (ok) {
			watch(st->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, slot_of(st, c));
			return;
		}
	} else if (ok && s->program) {
		ok = answered(c->fd, s, c->host);
	}
	if (ok && !s->program)
		watch(st->epoll, EPOLL_CTL_DEL, c->fd, 0, 0);
	else
		(void)close(c->fd);
	if (ok && ++c->step < st->n_steps)
		take_step(st, c);
	else
		finish(st, c, ok);
}

static void look_for_timeouts(struct storm *st)
{
	uint64_t now = now_ns();

	for (unsigned int i = 0; i < st->n_clients; i++) {
		struct client *c = &st->client[i];

		if (c->fd < 0 || now < c->deadline)
			continue;
		(void)close(c->fd);
		finish(st, c, false);
	}
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double us_at(const struct storm *st, double share)
{
	return st->done ? (double)st->took[(unsigned int)(share * (st->done - 1))] / 1000 : 0;
}

static void run(struct storm *st)
{
	struct epoll_event events[EVENTS];
	uint64_t began = now_ns(), look = began, now = began;

	st->epoll = epoll_new();
	for (unsigned int i = 0; i < st->n_clients; i++)
		start(st, &st->client[i]);
	while (st->flying) {
		int n = epoll_wait(st->epoll, events, EVENTS, LOOK_MS);

		for (int i = 0; i < n; i++)
			on_event(st, &st->client[events[i].data.u64], events[i].events);
		now = now_ns();
		if (now < look)
			continue;
		look_for_timeouts(st);
		look = now + LOOK_MS * (NSEC / 1000);
	}
	qsort(st->took, st->done, sizeof(*st->took), by_size);
	printf("{\"done\": %u, \"failed\": %u, \"seconds\": %.6f, \"rate\": %.1f, \"p50\": %.1f, "
	       "\"p99\": %.1f}\n",
	    st->done, st->failed, (double)(now - began) / NSEC,
	    st->done * (double)NSEC / (double)(now - began), us_at(st, 0.5), us_at(st, 0.99));
	(void)fflush(stdout);
}

static bool stdin_ends_within(int ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char bytes[16];

	return poll(&in, 1, ms) > 0 && read(STDIN_FILENO, bytes, sizeof(bytes)) == 0;
}

static void probe(const struct storm *st, uint32_t host)
{
	const struct step ask = { false, PORTMAP_PORT, PORTMAP, 2, PROC_NULL, 0 };
	int fd = reach(st, host, &ask);
	struct pollfd reply = { .fd = fd, .events = POLLIN };
	unsigned int asked = 0, lost = 0;
	uint64_t longest = 0;

	for (; !stdin_ends_within(PROBE_MS); asked++) {
		uint64_t began = now_ns(), took;

		if (!call(fd, &ask, asked))
			die("send: %s", strerror(errno));
		do
			if (poll(&reply, 1, 10000) == 0) {
				lost++;
				break;
			}
		while (!answered(fd, &ask, asked));
		took = now_ns() - began;
		longest = took > longest ? took : longest;
	}
	printf("{\"asked\": %u, \"lost\": %u, \"longest_ms\": %.2f}\n", asked, lost,
	    (double)longest / 1e6);
}

int main(int argc, char **argv)
{
	static struct storm st;
	const bool tcp = argc == 9 && strcmp(argv[8], "tcp") == 0;
	const struct step mount[] = {
		{ tcp, PORTMAP_PORT, PORTMAP, 2, PMAP_GETPORT, NFS },
		{ tcp, PORTMAP_PORT, PORTMAP, 2, PMAP_GETPORT, MOUNTD },
		{ tcp, MOUNTD_PORT, MOUNTD, 3, PROC_NULL, 0 },
	};
	const struct step hold[] = {
		{ false, PORTMAP_PORT, PORTMAP, 2, PMAP_DUMP, 0 },
		{ true, NFS_PORT, 0, 0, 0, 0 },
	};
	const char *word = argc > 1 ? argv[1] : "";
	bool holds = argc == 8 && strcmp(word, "hold") == 0;

	if (!holds && !(argc == 9 && strcmp(word, "mount") == 0) &&
	    !(argc == 5 && strcmp(word, "probe") == 0)) {
		fputs(usage, stderr);
		return 2;
	}
	netns_enter(argv[2]);
	st.server = host_number(argv[3]);
	st.next_host = host_number(argv[4]);
	if (argc == 5) {
		probe(&st, st.next_host);
		return 0;
	}
	many_files();
	st.left = number(argv[5], 1, 60000);
	st.n_clients = number(argv[6], 1, FLIGHT_MAX);
	st.patience = number(argv[7], 1, 60000) * (NSEC / 1000);
	st.steps = holds ? hold : mount;
	st.n_steps = holds ? 2 : 3;
	st.took = calloc(st.left, sizeof(*st.took));
	if (!st.took)
		die("out of memory");
	run(&st);
	while (holds && !stdin_ends_within(-1))
		;
	return 0;
}
