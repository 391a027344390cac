// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BFD sessions between two namespaces, as many as asked for, multihop: their daemons' packets
 * without the daemons. Each session has an address of its own at either end, comes up by the
 * handshake of RFC 5880 section 6.8.6, polls for its fast intervals, and then sends at a fixed
 * interval. What is measured is what lies between: loss, time from sending to arrival, and how far
 * arrivals are off the interval. Receive times are the kernel's, so being read late does no harm.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MULTIHOP_PORT 4784
#define SOURCE_PORT   49152
#define SESSIONS_MAX  1024
#define BATCH         64
#define SLOW_MS       1000 /* between two packets until a session is Up, at least */
#define SETTLE_MS     1000 /* after the last session is Up, before measuring */
#define PATIENCE_MS   30000
#define SOCKET_BYTES  (16 << 20)
#define CS6           0xc0
#define DETECT_MULT   3
#define VERSION       1
#define MS_NS         1000000ull

static const char usage[] =
    "usage: bfdgen CLIENT-NETNS CLIENT-ADDRESS SERVER-NETNS SERVER-ADDRESS SESSIONS MS SECONDS\n"
    "\n"
    "Runs SESSIONS sessions at MS milliseconds, the first between these addresses, each next one\n"
    "between the next. Prints a line when all are Up and measuring begins, and figures at its "
    "end.\n";

enum state { ADMIN_DOWN, DOWN, INIT, UP };

enum { CLIENT, SERVER, SIDES };

#define FLAG_POLL  0x20
#define FLAG_FINAL 0x10

/*
 * The mandatory section, and behind it, where BFD's Length no longer counts, what the measurement
 * needs. All in network order but the last two, which only this program reads.
 */
struct packet {
	uint8_t version_diag;
	uint8_t state_flags;
	uint8_t detect_mult;
	uint8_t length;
	uint32_t my, your;
	uint32_t min_tx, min_rx, min_echo; /* microseconds */
	uint32_t number;
	uint64_t sent; /* CLOCK_REALTIME, ns: what the kernel stamps arrivals with */
} __attribute__((packed));

#define BFD_LENGTH 24

_Static_assert(offsetof(struct packet, number) == BFD_LENGTH, "behind the mandatory section");

/* One end of one session. */
struct end {
	enum state state;
	uint32_t my, your;
	bool polling;
	uint32_t next;    /* number of the next packet to send */
	uint32_t awaited; /* number of the next packet to come */
	uint64_t arrived; /* when the latest came, ns; 0: none since measuring began */
	uint64_t sent;    /* and when it had been sent */
};

struct samples {
	uint32_t *ns;
	size_t n, max;
};

/* One side of all sessions. */
struct side {
	const char *name;
	int from, at; /* sockets: sends, receives */
	struct in_addr first, peer_first;
	struct end *end;
	/* What arrived here, while measured. */
	uint64_t received, lost, silences;
	struct samples delay, deviation, variation;
};

struct run {
	struct side side[SIDES];
	unsigned int sessions, interval_ms;
	unsigned int up; /* ends that are Up */
	bool measuring;
	uint64_t late; /* ticks of a millisecond and more that came late */
};

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

static struct in_addr nth(struct in_addr first, unsigned int n)
{
	return (struct in_addr){ .s_addr = htonl(ntohl(first.s_addr) + n) };
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void sample(struct samples *s, uint64_t ns)
{
	if (s->n < s->max)
		s->ns[s->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* --- sending --------------------------------------------------------------------------------- */

/* The source address goes with the packet: one socket speaks for all sessions. */
union source {
	char buffer[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct cmsghdr align;
};

static void fill(struct packet *p, const struct run *r, struct end *e, uint8_t flags)
{
	const uint32_t fast = r->interval_ms * 1000;
	const uint32_t slow = e->state == UP ? fast : SLOW_MS * 1000;

	*p = (struct packet){
		.version_diag = VERSION << 5,
		.state_flags = (uint8_t)((unsigned int)e->state << 6 | flags),
		.detect_mult = DETECT_MULT,
		.length = BFD_LENGTH,
		.my = htonl(e->my),
		.your = htonl(e->your),
		.min_tx = htonl(slow),
		.min_rx = htonl(fast),
		.number = e->next++,
		.sent = realtime_ns(),
	};
}

/* Sends one packet of each session of [from, from + n). */
static void send_batch(
    struct run *r, struct side *s, unsigned int from, unsigned int n, uint8_t more_flags)
{
	struct packet packets[BATCH];
	struct sockaddr_in to[BATCH];
	union source source[BATCH];
	struct mmsghdr message[BATCH];
	struct iovec iov[BATCH];
	int sent;

	memset(source, 0, sizeof(source));
	memset(message, 0, sizeof(message));
	for (unsigned int i = 0; i < n; i++) {
		struct end *e = &s->end[from + i];
		struct msghdr *m = &message[i].msg_hdr;
		struct in_pktinfo info = { .ipi_spec_dst = nth(s->first, from + i) };
		struct cmsghdr *c;

		fill(&packets[i], r, e, (uint8_t)(more_flags | (e->polling ? FLAG_POLL : 0)));
		to[i] = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(MULTIHOP_PORT),
			.sin_addr = nth(s->peer_first, from + i),
		};
		iov[i] = (struct iovec){ .iov_base = &packets[i], .iov_len = sizeof(packets[i]) };
		m->msg_name = &to[i];
		m->msg_namelen = sizeof(to[i]);
		m->msg_iov = &iov[i];
		m->msg_iovlen = 1;
		m->msg_control = source[i].buffer;
		m->msg_controllen = sizeof(source[i].buffer);
		c = CMSG_FIRSTHDR(m);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
	for (unsigned int done = 0; done < n; done += (unsigned int)sent) {
		sent = sendmmsg(s->from, message + done, n - done, 0);
		if (sent < 0)
			die("%s: send: %s", s->name, strerror(errno));
	}
}

static void send_sessions(struct run *r, struct side *s, unsigned int from, unsigned int to)
{
	while (from < to) {
		unsigned int n = to - from < BATCH ? to - from : BATCH;

		send_batch(r, s, from, n, 0);
		from += n;
	}
}

/* The answer to a poll is not itself a poll (RFC 5880 section 6.5). */
static void send_final(struct run *r, struct side *s, unsigned int session)
{
	struct end *e = &s->end[session];
	const bool polling = e->polling;

	e->polling = false;
	send_batch(r, s, session, 1, FLAG_FINAL);
	e->polling = polling;
}

/* --- receiving ------------------------------------------------------------------------------- */

static void become(struct run *r, struct end *e, enum state state)
{
	if (state == UP && e->state != UP)
		r->up++;
	e->state = state;
	e->polling = state == UP;
}

static void advance(struct run *r, struct end *e, enum state peer)
{
	if (e->state == DOWN && peer == DOWN)
		become(r, e, INIT);
	else if (e->state == DOWN && peer == INIT)
		become(r, e, UP);
	else if (e->state == INIT && (peer == INIT || peer == UP))
		become(r, e, UP);
}

/*
 * Off the interval is also what was sent late. What the way adds is the variation of the delay
 * (RFC 3393), and a silence that did not begin at the sender.
 */
static void measure(
    struct run *r, struct side *s, struct end *e, const struct packet *p, uint64_t at)
{
	const uint64_t interval = r->interval_ms * MS_NS;

	s->received++;
	if (p->number > e->awaited)
		s->lost += p->number - e->awaited;
	sample(&s->delay, at > p->sent ? at - p->sent : 0);
	if (e->arrived) {
		const uint64_t gap = at - e->arrived, sent_gap = p->sent - e->sent;

		if (p->number == e->awaited) {
			sample(&s->deviation, distance(gap, interval));
			sample(&s->variation, distance(gap, sent_gap));
		}
		if (gap > DETECT_MULT * interval && sent_gap <= DETECT_MULT * interval)
			s->silences++; /* a daemon would have declared its peer dead */
	}
	e->arrived = at;
	e->sent = p->sent;
}

static void take(
    struct run *r, struct side *s, const struct packet *p, struct in_addr from, uint64_t at)
{
	const uint32_t session = ntohl(from.s_addr) - ntohl(s->peer_first.s_addr);
	struct end *e;

	if (session >= r->sessions)
		return;
	e = &s->end[session];
	if (p->your != 0 && ntohl(p->your) != e->my)
		die("%s: session %u: a packet for discriminator %u", s->name, session,
		    ntohl(p->your));
	e->your = ntohl(p->my);
	advance(r, e, (enum state)(p->state_flags >> 6));
	if (p->state_flags & FLAG_FINAL)
		e->polling = false;
	if (p->state_flags & FLAG_POLL)
		send_final(r, s, session);
	if (r->measuring)
		measure(r, s, e, p, at);
	e->awaited = p->number + 1;
}

static uint64_t stamp(struct msghdr *m)
{
	struct timespec ts;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
	}
	die("no receive time with a packet");
}

static void drain(struct run *r, struct side *s)
{
	struct packet packets[BATCH];
	struct sockaddr_in from[BATCH];
	char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr message[BATCH];
	struct iovec iov[BATCH];
	int n;

	do {
		memset(message, 0, sizeof(message));
		for (unsigned int i = 0; i < BATCH; i++) {
			struct msghdr *m = &message[i].msg_hdr;

			iov[i] = (struct iovec){ &packets[i], sizeof(packets[i]) };
			m->msg_name = &from[i];
			m->msg_namelen = sizeof(from[i]);
			m->msg_iov = &iov[i];
			m->msg_iovlen = 1;
			m->msg_control = control[i];
			m->msg_controllen = sizeof(control[i]);
		}
		n = recvmmsg(s->at, message, BATCH, MSG_DONTWAIT, NULL);
		if (n < 0 && errno != EAGAIN)
			die("%s: receive: %s", s->name, strerror(errno));
		for (int i = 0; i < n; i++) {
			if (message[i].msg_len != sizeof(packets[i]))
				die("%s: a packet of %u bytes", s->name, message[i].msg_len);
			take(r, s, &packets[i], from[i].sin_addr, stamp(&message[i].msg_hdr));
		}
	} while (n == BATCH);
}

/* --- the schedule: a slot each millisecond --------------------------------------------------- */

/* Returns by how many slots it is too late. */
static uint64_t sleep_until(struct run *r, uint64_t when)
{
	const struct timespec ts = { (time_t)(when / NSEC), (long)(when % NSEC) };
	uint64_t now;

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	now = now_ns();
	if (now < when + MS_NS)
		return 0;
	if (r->measuring)
		r->late++;
	return (now - when) / MS_NS;
}

/* In this slot of `period` slots: the sessions whose turn it is, spread evenly. */
static void send_slot(struct run *r, uint64_t slot, unsigned int period)
{
	const unsigned int turn = (unsigned int)(slot % period);
	const unsigned int from = turn * r->sessions / period;
	const unsigned int to = (turn + 1) * r->sessions / period;

	for (unsigned int i = 0; i < SIDES; i++)
		send_sessions(r, &r->side[i], from, to);
}

/* Returns the slot in which it was. Who was held up sends once for all that he missed, as a daemon.
 */
static uint64_t tick(struct run *r, uint64_t start, uint64_t slot, unsigned int period)
{
	const uint64_t behind = sleep_until(r, start + slot * MS_NS);

	if (behind > period)
		slot += behind - period;
	send_slot(r, slot, period);
	for (unsigned int i = 0; i < SIDES; i++)
		drain(r, &r->side[i]);
	return slot;
}

static void bring_up(struct run *r)
{
	const uint64_t start = now_ns();

	for (uint64_t slot = 0; r->up < SIDES * r->sessions; slot++) {
		if (slot >= PATIENCE_MS)
			die("after %u s %u of %u ends are Up", PATIENCE_MS / 1000, r->up,
			    SIDES * r->sessions);
		slot = tick(r, start, slot, SLOW_MS);
	}
	printf("{\"up_seconds\": %.3f}\n", (double)(now_ns() - start) / (double)NSEC);
	(void)fflush(stdout);
}

static void run_up(struct run *r, unsigned int seconds)
{
	const uint64_t start = now_ns();
	const uint64_t end = SETTLE_MS + 1000ull * seconds;
	uint64_t slot;

	for (slot = 0; slot < end; slot++) {
		if (slot >= SETTLE_MS && !r->measuring) {
			r->measuring = true;
			printf("{\"measuring\": true}\n");
			(void)fflush(stdout);
		}
		slot = tick(r, start, slot, r->interval_ms);
	}
	(void)sleep_until(r, start + (end + 100) * MS_NS); /* the last ones arrive */
	for (unsigned int i = 0; i < SIDES; i++)
		drain(r, &r->side[i]);
	/* Whoever fell silent has lost what nobody saw come after it. */
	for (unsigned int i = 0; i < SIDES; i++)
		for (unsigned int j = 0; j < r->sessions; j++)
			r->side[i].lost += r->side[1 - i].end[j].next - r->side[i].end[j].awaited;
}

/* --- sockets and figures --------------------------------------------------------------------- */

static void option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("socket option %d: %s", name, strerror(errno));
}

static struct in_addr address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		die("'%s' is no IPv4 address", text);
	return a;
}

static uint32_t *reserve(size_t n)
{
	uint32_t *p = calloc(n, sizeof(*p));

	if (!p)
		die("out of memory");
	return p;
}

static int open_socket(uint16_t port)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		die("a socket at port %u: %s", port, strerror(errno));
	return fd;
}

/* Two sockets, as every daemon has: were one both, each direction would be the other's reply. */
static void side_open(
    struct run *r, unsigned int which, char **where, const char *peer, size_t samples)
{
	struct side *s = &r->side[which];

	s->name = where[0];
	s->first = address(where[1]);
	s->peer_first = address(peer);
	netns_enter(where[0]);
	s->at = open_socket(MULTIHOP_PORT);
	option(s->at, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES);
	option(s->at, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	s->from = open_socket(SOURCE_PORT);
	option(s->from, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES);
	option(s->from, IPPROTO_IP, IP_TTL, 255);
	option(s->from, IPPROTO_IP, IP_TOS, CS6);
	s->end = calloc(r->sessions, sizeof(*s->end));
	if (!s->end)
		die("out of memory");
	for (unsigned int i = 0; i < r->sessions; i++) {
		s->end[i].state = DOWN;
		s->end[i].my = (which + 1) << 16 | (i + 1);
	}
	s->delay = (struct samples){ reserve(samples), 0, samples };
	s->deviation = (struct samples){ reserve(samples), 0, samples };
	s->variation = (struct samples){ reserve(samples), 0, samples };
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double us(const struct samples *s, unsigned int per_mille)
{
	return s->n ? (double)s->ns[(s->n - 1) * per_mille / 1000] / 1000 : 0;
}

static void report_samples(const char *name, struct samples *s)
{
	qsort(s->ns, s->n, sizeof(*s->ns), by_value);
	printf(", \"%s_p50\": %.1f, \"%s_p99\": %.1f, \"%s_max\": %.1f", name, us(s, 500), name,
	    us(s, 990), name, us(s, 1000));
}

static void report_side(struct side *s, const char *direction)
{
	printf("\"%s\": {\"received\": %llu, \"lost\": %llu, \"silences\": %llu", direction,
	    (unsigned long long)s->received, (unsigned long long)s->lost,
	    (unsigned long long)s->silences);
	report_samples("delay", &s->delay);
	report_samples("jitter", &s->deviation);
	report_samples("variation", &s->variation);
	printf("}");
}

int main(int argc, char **argv)
{
	static struct run r;
	unsigned int seconds;
	size_t samples;

	if (argc != 8) {
		fputs(usage, stderr);
		return 2;
	}
	r.sessions = number(argv[5], 1, SESSIONS_MAX);
	r.interval_ms = number(argv[6], 10, 10000);
	seconds = number(argv[7], 1, 3600);
	samples = (size_t)r.sessions * (1000ull * seconds / r.interval_ms + 100);
	side_open(&r, CLIENT, argv + 1, argv[4], samples);
	side_open(&r, SERVER, argv + 3, argv[2], samples);
	bring_up(&r);
	run_up(&r, seconds);
	printf("{\"sessions\": %u, \"late\": %llu, ", r.sessions, (unsigned long long)r.late);
	report_side(&r.side[SERVER], "out");
	printf(", ");
	report_side(&r.side[CLIENT], "back");
	printf("}\n");
	return 0;
}
