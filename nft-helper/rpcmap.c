// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One thread, two eventfds, and a mailbox under a mutex. The thread connects, waits and reads on
 * its own sockets, with a deadline and a byte limit for each address. libtirpc contributes the
 * record marking, the RPC messages and XDR; it sees no descriptor, no clock and no /etc/netconfig.
 */
#include "rpcmap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <rpc/rpc.h>
#include <rpc/pmap_prot.h>
#include <rpc/rpcb_prot.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_MSEC 1000000ull
#define BYTES_READ    (8ull << 20) /* at most, at one address: some 100 000 programs */
#define BUFFER        65536        /* of the record stream */
#define WORD          127          /* longest netid, address or owner that is looked at */

struct rpcmap {
	pthread_t thread;
	int wake;             /* eventfd, to the thread: look at the mailbox */
	int news;             /* eventfd, to the caller: a snapshot waits */
	pthread_mutex_t lock; /* for all that follows: the mailbox */
	bool asked, watched, stopping, changed;
	struct rpcmap_snapshot latest;
};

/* A program that may go into the snapshot. */
struct candidate {
	struct rpcmap_program program;
	bool superuser; /* registered by root; unknown in a portmap v2 list */
};

/* Where it may listen. */
struct rpcbind {
	const struct sockaddr *sa;
	socklen_t len;
	const char *name;
};

/* One connection, and what has come of it. */
struct call {
	struct rpcmap *map;
	int fd;
	uint64_t deadline; /* ns, CLOCK_MONOTONIC */
	uint64_t bytes_left;
	int error; /* -errno of the descriptor, the deadline or the byte limit */
	bool cut;
	unsigned int n;
	struct candidate candidate[RPCMAP_PROGRAMS]; /* sorted */
};

/* Snapshots are compared with their bytes. */
_Static_assert(sizeof(struct rpcmap_program) == 12, "no padding");
_Static_assert(sizeof(struct addr) == 20, "no padding");

static uint64_t monotonic(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void notify(int eventfd)
{
	static const uint64_t one = 1;

	/* EAGAIN: it is as readable as can be. */
	(void)!write(eventfd, &one, sizeof(one));
}

static void drain(int eventfd)
{
	uint64_t count;

	(void)!read(eventfd, &count, sizeof(count));
}

static bool stopping(struct rpcmap *m)
{
	bool stop;

	(void)pthread_mutex_lock(&m->lock);
	stop = m->stopping;
	(void)pthread_mutex_unlock(&m->lock);
	return stop;
}

/*
 * Waits until the descriptor (-1: none) is ready, or the time has come, or the mailbox has been
 * written to; false when the thread is to end.
 */
static bool wait_for(struct rpcmap *m, int fd, short events, uint64_t until)
{
	struct pollfd p[2] = {
		{ .fd = m->wake, .events = POLLIN },
		{ .fd = fd, .events = events },
	};
	uint64_t now = monotonic(), ms = 0;

	if (now < until)
		ms = (until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	if (poll(p, 2, (int)ms) > 0 && p[0].revents) {
		drain(m->wake);
		return !stopping(m);
	}
	return true;
}

/* --- this host's addresses ------------------------------------------------------------------ */

static int compare_addresses(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* Index of the first one that is not less. */
static unsigned int place_of_address(const struct rpcmap_snapshot *s, const struct addr *a)
{
	unsigned int i = 0;

	while (i < s->n_addresses && compare_addresses(&s->address[i], a) < 0)
		i++;
	return i;
}

static bool is_ours(const struct rpcmap_snapshot *s, const struct addr *a)
{
	unsigned int i = place_of_address(s, a);

	return i < s->n_addresses && addr_equal(&s->address[i], a);
}

static void add_address(struct rpcmap_snapshot *s, const struct addr *a)
{
	unsigned int i = place_of_address(s, a);

	if (i < s->n_addresses && addr_equal(&s->address[i], a))
		return; /* IPv6 link-local addresses may be on several interfaces */
	if (s->n_addresses == RPCMAP_ADDRESSES) {
		s->addresses_cut = true;
		return;
	}
	memmove(&s->address[i + 1], &s->address[i], (s->n_addresses - i) * sizeof(*a));
	s->address[i] = *a;
	s->n_addresses++;
}

static void read_addresses(struct rpcmap_snapshot *s)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0) {
		s->addresses_cut = true;
		return;
	}
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct sockaddr_in6 in6;
		struct sockaddr_in in;
		struct addr a;

		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET) {
			memcpy(&in, i->ifa_addr, sizeof(in));
			if (ntohl(in.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET)
				continue;
			a = addr_ipv4((const uint8_t *)&in.sin_addr);
			add_address(s, &a);
		} else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6) {
			memcpy(&in6, i->ifa_addr, sizeof(in6));
			if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
				continue;
			a = addr_ipv6(in6.sin6_addr.s6_addr);
			add_address(s, &a);
		}
	}
	freeifaddrs(all);
}

/* --- what is registered --------------------------------------------------------------------- */

static int compare_numbers(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_programs(const struct rpcmap_program *a, const struct rpcmap_program *b)
{
	int c = compare_numbers(a->program, b->program);

	if (c == 0)
		c = compare_numbers(a->version, b->version);
	if (c == 0)
		c = compare_numbers(a->family, b->family);
	if (c == 0)
		c = compare_numbers(a->l4proto, b->l4proto);
	if (c == 0)
		c = compare_numbers(a->port, b->port);
	return c;
}

static unsigned int place_of_program(const struct call *c, const struct rpcmap_program *p)
{
	unsigned int low = 0, high = c->n;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (compare_programs(&c->candidate[middle].program, p) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Gives up the last one that is not the superuser's; false when all are. rpcbind lets every local
 * user register what nobody has registered, and appends it: without this, a user could push mountd
 * out of the list, which registers anew at each start.
 */
static bool make_room(struct call *c)
{
	for (unsigned int i = c->n; i-- > 0;) {
		if (c->candidate[i].superuser)
			continue;
		c->n--;
		memmove(
		    &c->candidate[i], &c->candidate[i + 1], (c->n - i) * sizeof(c->candidate[0]));
		return true;
	}
	return false;
}

static void add_program(struct call *c, const struct rpcmap_program *p, bool superuser)
{
	unsigned int i = place_of_program(c, p);

	if (i < c->n && compare_programs(&c->candidate[i].program, p) == 0) {
		c->candidate[i].superuser |= superuser;
		return;
	}
	if (c->n == RPCMAP_PROGRAMS) {
		c->cut = true;
		if (!superuser || !make_room(c))
			return;
		i = place_of_program(c, p);
	}
	memmove(&c->candidate[i + 1], &c->candidate[i], (c->n - i) * sizeof(c->candidate[0]));
	c->candidate[i] = (struct candidate){ .program = *p, .superuser = superuser };
	c->n++;
}

/* 0 to 255, in decimal and at most three digits. */
static bool parse_octet(const char *text, size_t len, uint16_t *out)
{
	uint16_t value = 0;

	if (len < 1 || len > 3)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = (uint16_t)(value * 10 + (text[i] - '0'));
	}
	if (value > UINT8_MAX)
		return false;
	*out = value;
	return true;
}

/*
 * A universal address (RFC 5665, section 5.2.3): the host's text, a dot and the port's high octet,
 * a dot and its low octet. A zone ("fe80::1%eth0") is left out.
 */
static bool parse_universal(const char *text, struct addr *host, uint16_t *port)
{
	const char *low = strrchr(text, '.'), *high, *zone;
	uint16_t octet[2];
	size_t len;

	high = low ? memrchr(text, '.', (size_t)(low - text)) : NULL;
	if (!high || !parse_octet(high + 1, (size_t)(low - high - 1), &octet[0]) ||
	    !parse_octet(low + 1, strlen(low + 1), &octet[1]))
		return false;
	len = (size_t)(high - text);
	zone = memchr(text, '%', len);
	if (zone)
		len = (size_t)(zone - text);
	if (!addr_parse(text, len, host))
		return false;
	*port = (uint16_t)(octet[0] << 8 | octet[1]);
	return true;
}

static bool is_wildcard(const struct addr *a)
{
	static const uint8_t zero[sizeof(a->bytes)];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

/*
 * Other transports (local, sctp, rdma) are no fault. A service that is bound to one address counts
 * when others can reach it there: not on loopback, nor at an address that is not ours.
 */
static void add_registration(struct call *c, const struct rpcmap_snapshot *s,
    struct rpcmap_program *p, const char *netid, const char *address, bool superuser)
{
	static const struct {
		const char *netid;
		uint8_t l4proto, family;
	} transport[] = {
		{ "tcp", IPPROTO_TCP, FAMILY_IPV4 },
		{ "udp", IPPROTO_UDP, FAMILY_IPV4 },
		{ "tcp6", IPPROTO_TCP, FAMILY_IPV6 },
		{ "udp6", IPPROTO_UDP, FAMILY_IPV6 },
	};
	struct addr host;

	for (size_t i = 0; i < sizeof(transport) / sizeof(transport[0]); i++) {
		if (strcmp(netid, transport[i].netid) != 0)
			continue;
		p->l4proto = transport[i].l4proto;
		p->family = transport[i].family;
		if (!parse_universal(address, &host, &p->port) || p->port == 0 ||
		    host.family != p->family)
			return;
		if (is_wildcard(&host) || is_ours(s, &host))
			add_program(c, p, superuser);
		else
			c->cut |= s->addresses_cut;
		return;
	}
}

/* --- one connection ------------------------------------------------------------------------- */

/* False when the time is over or the thread is to end; c->error says which. */
static bool may_go_on(struct call *c, short events)
{
	if (!wait_for(c->map, c->fd, events, c->deadline))
		c->error = -ECANCELED;
	else if (monotonic() >= c->deadline)
		c->error = -ETIMEDOUT;
	return c->error == 0;
}

/* What libtirpc's record stream reads and writes with; -1 ends all that it does. */
static int stream_read(void *arg, void *out, int len)
{
	struct call *c = arg;
	ssize_t n;

	if (c->bytes_left == 0)
		c->error = -EMSGSIZE;
	if (c->error)
		return -1;
	if ((uint64_t)len > c->bytes_left)
		len = (int)c->bytes_left;
	do {
		/* Even when there is something to read: who never pauses has a deadline, too. */
		if (!may_go_on(c, POLLIN))
			return -1;
		n = recv(c->fd, out, (size_t)len, MSG_DONTWAIT);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0) {
		c->error = n < 0 ? -errno : -ECONNRESET;
		return -1;
	}
	c->bytes_left -= (uint64_t)n;
	return (int)n;
}

static int stream_write(void *arg, void *bytes, int len)
{
	const char *at = bytes;
	struct call *c = arg;
	int left = len;

	while (left > 0 && c->error == 0) {
		ssize_t n = send(c->fd, at, (size_t)left, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			at += n;
			left -= (int)n;
		} else if (errno == EAGAIN) {
			(void)may_go_on(c, POLLOUT);
		} else if (errno != EINTR) {
			c->error = -errno;
		}
	}
	return c->error ? -1 : len;
}

/* What the descriptor says, else that the bytes were wrong. */
static int fault(const struct call *c)
{
	return c->error ? c->error : -EPROTO;
}

/* Results are read when the message has been judged. */
static bool_t no_results(XDR *x, ...)
{
	(void)x;
	return TRUE;
}

/* Leaves the stream at the results. -EOPNOTSUPP: try another version. */
static int call_dump(struct call *c, XDR *x, uint32_t version)
{
	char verifier[MAX_AUTH_BYTES];
	struct rpc_msg question = {
		.rm_xid = version, /* the connection is ours, and has one call of a version */
		.rm_direction = CALL,
		.rm_call = {
			.cb_rpcvers = RPC_MSG_VERSION,
			.cb_prog = PMAPPROG,
			.cb_vers = version,
			.cb_proc = version == PMAPVERS ? PMAPPROC_DUMP : RPCBPROC_DUMP,
		},
	};
	struct rpc_msg reply = {
		.acpted_rply = {
			.ar_verf = { .oa_base = verifier },
			.ar_results = { .proc = no_results },
		},
	};

	x->x_op = XDR_ENCODE;
	if (!xdr_callmsg(x, &question) || !xdrrec_endofrecord(x, TRUE))
		return fault(c);
	x->x_op = XDR_DECODE;
	if (!xdrrec_skiprecord(x) || !xdr_replymsg(x, &reply))
		return fault(c);
	if (reply.rm_xid != question.rm_xid)
		return -EPROTO;
	if (reply.rm_reply.rp_stat != MSG_ACCEPTED)
		return -EACCES;
	return reply.acpted_rply.ar_stat == SUCCESS ? 0 : -EOPNOTSUPP;
}

/* A string of XDR; one that is longer than WORD is passed over and reads as empty. */
static bool get_word(XDR *x, char word[WORD + 1])
{
	char skipped[1024];
	uint64_t left;
	u_int len;

	if (!xdr_u_int(x, &len))
		return false;
	if (len <= WORD) {
		word[len] = '\0';
		return xdr_opaque(x, word, len);
	}
	word[0] = '\0';
	for (left = RNDUP((uint64_t)len); left > 0; left -= len) {
		len = left < sizeof(skipped) ? (u_int)left : (u_int)sizeof(skipped);
		if (!xdr_opaque(x, skipped, len))
			return false;
	}
	return true;
}

static bool get_registration(struct call *c, XDR *x, const struct rpcmap_snapshot *s)
{
	char netid[WORD + 1], address[WORD + 1], owner[WORD + 1];
	struct rpcmap_program p = { .port = 0 };

	if (!xdr_u_int32_t(x, &p.program) || !xdr_u_int32_t(x, &p.version) || !get_word(x, netid) ||
	    !get_word(x, address) || !get_word(x, owner))
		return false;
	add_registration(c, s, &p, netid, address, strcmp(owner, "superuser") == 0);
	return true;
}

static bool get_portmapping(struct call *c, XDR *x)
{
	struct rpcmap_program p = { .family = FAMILY_IPV4 };
	uint32_t l4proto, port;

	if (!xdr_u_int32_t(x, &p.program) || !xdr_u_int32_t(x, &p.version) ||
	    !xdr_u_int32_t(x, &l4proto) || !xdr_u_int32_t(x, &port))
		return false;
	if ((l4proto != IPPROTO_TCP && l4proto != IPPROTO_UDP) || port == 0 || port > UINT16_MAX)
		return true;
	p.l4proto = (uint8_t)l4proto;
	p.port = (uint16_t)port;
	add_program(c, &p, false);
	return true;
}

static int read_list(struct call *c, XDR *x, uint32_t version, const struct rpcmap_snapshot *s)
{
	for (;;) {
		bool_t more;

		if (!xdr_bool(x, &more))
			break;
		if (!more)
			return 0;
		if (version == PMAPVERS ? !get_portmapping(c, x) : !get_registration(c, x, s))
			break;
	}
	if (c->error != -EMSGSIZE)
		return fault(c);
	c->cut = true;
	return 0;
}

/*
 * In the newest version that the other side has. Returns that version, or -errno.
 *
 * Not with the library's clients (clnt_vc_create, rpcb_getmaps): their timeout is for each read and
 * not for the call, so one byte a second, or records with another XID, hold them for ever, and the
 * list is allocated without limit.
 */
static int dump(struct call *c, const struct rpcmap_snapshot *s)
{
	static const uint32_t version[] = { RPCBVERS4, RPCBVERS, PMAPVERS };
	int err = -EOPNOTSUPP;
	XDR x = { .x_ops = NULL };

	xdrrec_create(&x, 0, BUFFER, c, stream_read, stream_write);
	if (!x.x_ops)
		return -ENOMEM;
	for (size_t i = 0; err == -EOPNOTSUPP && i < sizeof(version) / sizeof(version[0]); i++) {
		err = call_dump(c, &x, version[i]);
		if (err == 0)
			err = read_list(c, &x, version[i], s);
		if (err == 0)
			err = (int)version[i];
	}
	xdr_destroy(&x);
	return err;
}

/*
 * Sets c->fd in any case. 0; -ETIMEDOUT; other -errno. TCP alone: a busy host's list does not fit a
 * datagram, a closed port says so at once, and rpcbind has no UDP without TCP.
 */
static int connect_to(struct call *c, const struct sockaddr *sa, socklen_t len)
{
	socklen_t error_len = sizeof(int);
	int error = 0;

	c->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };

		if (!may_go_on(c, POLLOUT))
			return c->error;
		if (poll(&p, 1, 0) > 0)
			break;
	}
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
		return -errno;
	return -error;
}

/* --- one ask -------------------------------------------------------------------------------- */

static void tell_failure(
    struct rpcmap_snapshot *s, const char *where, enum rpcmap_state state, int err)
{
	char buf[64];
	const char *what;

	s->state = state;
	s->error = err;
	switch (err) {
	case -ETIMEDOUT:
		what = "no answer";
		break;
	case -ECONNRESET:
		what = "hung up";
		break;
	case -EPROTO:
		what = "the answer makes no sense";
		break;
	case -EACCES:
		what = state == RPCMAP_BROKEN ? "refuses to answer" : "not permitted";
		break;
	case -EOPNOTSUPP:
		what = "no version of rpcbind";
		break;
	default:
		what = strerror_r(-err, buf, sizeof(buf));
		break;
	}
	(void)snprintf(s->text, sizeof(s->text), "%s: %s", where, what);
}

static void tell_answer(
    struct rpcmap_snapshot *s, const struct call *c, const char *where, int version)
{
	s->state = RPCMAP_ANSWERED;
	s->error = 0;
	s->cut = c->cut;
	s->n_programs = c->n;
	for (unsigned int i = 0; i < c->n; i++)
		s->program[i] = c->candidate[i].program;
	(void)snprintf(s->text, sizeof(s->text), "%s: %s v%d", where,
	    version == PMAPVERS ? "portmap" : "rpcbind", version);
}

/*
 * The version that answered, or -errno. Of two failures the snapshot tells the first, unless that
 * was only that nothing listens.
 */
static int ask_at(struct rpcmap *m, struct rpcmap_snapshot *s, const struct rpcbind *at)
{
	struct call c = {
		.map = m,
		.deadline = monotonic() + RPCMAP_PATIENCE_MS / 2 * NSEC_PER_MSEC,
		.bytes_left = BYTES_READ,
	};
	enum rpcmap_state failed = RPCMAP_ABSENT;
	int err = connect_to(&c, at->sa, at->len);

	if (err == 0) {
		failed = RPCMAP_BROKEN;
		err = dump(&c, s);
	}
	if (c.fd >= 0)
		(void)close(c.fd);
	if (err == -ETIMEDOUT)
		failed = RPCMAP_SILENT;
	if (err > 0)
		tell_answer(s, &c, at->name, err);
	else if (s->state <= RPCMAP_ABSENT && failed > s->state)
		tell_failure(s, at->name, failed, err);
	return err;
}

/*
 * False when the thread is to end.
 *
 * The loopback addresses, not /run/rpcbind.sock, where rpcbind listens as well: they belong to our
 * network namespace, which is the one whose firewall we open, and rpcbind always has both, whatever
 * its -h says. /run belongs to the mount namespace and may show the socket of another network
 * namespace's rpcbind, as under "ip netns exec". The price: a firewall that drops on lo makes
 * rpcbind silent, and where systemd holds the port, the first ask starts it.
 */
static bool ask(struct rpcmap *m, struct rpcmap_snapshot *s)
{
	const struct sockaddr_in ipv4 = {
		.sin_family = AF_INET,
		.sin_port = htons(PMAPPORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sockaddr_in6 ipv6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(PMAPPORT),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	const struct rpcbind loopback[] = {
		{ (const struct sockaddr *)&ipv4, sizeof(ipv4), "127.0.0.1:111" },
		{ (const struct sockaddr *)&ipv6, sizeof(ipv6), "[::1]:111" },
	};

	memset(s, 0, sizeof(*s));
	read_addresses(s);
	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
		int err = ask_at(m, s, &loopback[i]);

		if (err == -ECANCELED)
			return false;
		if (err > 0)
			break;
	}
	return true;
}

/* --- the thread ----------------------------------------------------------------------------- */

static bool equal(const struct rpcmap_snapshot *a, const struct rpcmap_snapshot *b)
{
	return a->state == b->state && a->error == b->error && a->cut == b->cut &&
	       a->addresses_cut == b->addresses_cut && a->n_programs == b->n_programs &&
	       a->n_addresses == b->n_addresses && strcmp(a->text, b->text) == 0 &&
	       memcmp(a->program, b->program, a->n_programs * sizeof(a->program[0])) == 0 &&
	       memcmp(a->address, b->address, a->n_addresses * sizeof(a->address[0])) == 0;
}

static void publish(struct rpcmap *m, const struct rpcmap_snapshot *s)
{
	(void)pthread_mutex_lock(&m->lock);
	if (!equal(&m->latest, s)) {
		m->latest = *s;
		m->changed = true;
		notify(m->news);
	}
	(void)pthread_mutex_unlock(&m->lock);
}

/* Until the next ask is due. False when the thread is to end. */
static bool rest(struct rpcmap *m)
{
	const uint64_t since = monotonic();

	for (;;) {
		uint64_t ms, until;
		bool stop, due;

		(void)pthread_mutex_lock(&m->lock);
		ms = m->watched ? RPCMAP_WATCH_MS : RPCMAP_IDLE_MS;
		if (m->asked)
			ms = RPCMAP_SPACING_MS;
		until = since + ms * NSEC_PER_MSEC;
		stop = m->stopping;
		due = monotonic() >= until;
		if (due)
			m->asked = false;
		(void)pthread_mutex_unlock(&m->lock);
		if (stop || due)
			return !stop;
		(void)wait_for(m, -1, 0, until);
	}
}

static void *run(void *arg)
{
	struct rpcmap *m = arg;
	struct rpcmap_snapshot s;

	while (ask(m, &s)) {
		publish(m, &s);
		if (!rest(m))
			break;
	}
	return NULL;
}

/* --- the caller's side ---------------------------------------------------------------------- */

static void dispose(struct rpcmap *m)
{
	if (m->wake >= 0)
		(void)close(m->wake);
	if (m->news >= 0)
		(void)close(m->news);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

int rpcmap_start(struct rpcmap **out)
{
	struct rpcmap *m = calloc(1, sizeof(*m));
	sigset_t all, before;
	int err = 0;

	if (!m)
		return -ENOMEM;
	(void)pthread_mutex_init(&m->lock, NULL);
	m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	m->news = m->wake < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->news < 0) {
		err = -errno;
		goto out;
	}
	/* Signals are for the caller's thread. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&m->thread, NULL, run, m);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		*out = m;
out:
	if (err < 0)
		dispose(m);
	return err;
}

void rpcmap_stop(struct rpcmap *m)
{
	if (!m)
		return;
	(void)pthread_mutex_lock(&m->lock);
	m->stopping = true;
	(void)pthread_mutex_unlock(&m->lock);
	notify(m->wake);
	(void)pthread_join(m->thread, NULL);
	dispose(m);
}

int rpcmap_fd(const struct rpcmap *m)
{
	return m->news;
}

bool rpcmap_take(struct rpcmap *m, struct rpcmap_snapshot *out)
{
	bool taken;

	(void)pthread_mutex_lock(&m->lock);
	taken = m->changed;
	if (taken) {
		*out = m->latest;
		m->changed = false;
		drain(m->news);
	}
	(void)pthread_mutex_unlock(&m->lock);
	return taken;
}

void rpcmap_ask(struct rpcmap *m)
{
	bool first;

	(void)pthread_mutex_lock(&m->lock);
	first = !m->asked;
	m->asked = true;
	(void)pthread_mutex_unlock(&m->lock);
	if (first)
		notify(m->wake);
}

void rpcmap_watch(struct rpcmap *m, bool on)
{
	bool first;

	(void)pthread_mutex_lock(&m->lock);
	first = m->watched != on;
	m->watched = on;
	(void)pthread_mutex_unlock(&m->lock);
	if (first)
		notify(m->wake);
}

const char *rpcmap_word(enum rpcmap_state state)
{
	static const char *const word[] = {
		[RPCMAP_NEVER_ASKED] = "never-asked",
		[RPCMAP_ANSWERED] = "answered",
		[RPCMAP_ABSENT] = "absent",
		[RPCMAP_SILENT] = "silent",
		[RPCMAP_BROKEN] = "broken",
	};

	return (size_t)state < sizeof(word) / sizeof(word[0]) ? word[state] : "unknown";
}
