/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two network namespaces joined by a veth pair, made by the test itself and gone with it: "here",
 * where the firewall and our table are, and "there", the peer. One process acts in both, because a
 * socket belongs to the namespace that it was opened in. Nothing outside of the two is touched.
 */
#ifndef WORLD_H
#define WORLD_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

#define PATIENCE_MS 5000 /* until an event that has to come is given up */

struct world {
	int here, there; /* namespace descriptors */
};

/* Runs a shell command and insists that it succeeds. */
__attribute__((format(printf, 1, 2))) static inline void run(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	ck_assert_int_lt(vsnprintf(command, sizeof(command), format, ap), (int)sizeof(command));
	va_end(ap);
	ck_assert_msg(system(command) == 0, "failed: %s", command);
}

/* What a command prints, in a buffer that the caller frees. */
static inline char *output(const char *command)
{
	size_t len = 0, room = 1u << 20;
	char *text = malloc(room);
	FILE *f = popen(command, "r");

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(f);
	len = fread(text, 1, room - 1, f);
	text[len] = '\0';
	(void)pclose(f);
	return text;
}

static inline bool shows(const char *command, const char *what)
{
	char *text = output(command);
	bool found = strstr(text, what) != NULL;

	free(text);
	return found;
}

/* Loads rules in nft's language into the current namespace. */
static inline void firewall(const char *rules)
{
	FILE *f = popen("nft -f -", "w");

	ck_assert_ptr_nonnull(f);
	(void)fputs(rules, f);
	ck_assert_int_eq(pclose(f), 0);
}

static inline unsigned long long counter(const char *name)
{
	char command[128], *text, *at;
	unsigned long long packets = 0;

	(void)snprintf(command, sizeof(command), "nft list counter inet fw %s", name);
	text = output(command);
	at = strstr(text, "packets ");
	ck_assert_msg(at != NULL, "no counter %s", name);
	packets = strtoull(at + strlen("packets "), NULL, 10);
	free(text);
	return packets;
}

static inline int64_t clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the condition holds; a test that gives up fails. */
#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		int64_t until = clock_ms() + PATIENCE_MS;                                          \
		while (!(condition)) {                                                             \
			ck_assert_msg(clock_ms() < until, "in vain: %s", #condition);              \
			(void)poll(NULL, 0, 5);                                                    \
		}                                                                                  \
	} while (0)

static inline bool ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1 && p.revents & events;
}

static inline void enter(int netns)
{
	ck_assert_int_eq(setns(netns, CLONE_NEWNET), 0);
}

static inline int own_netns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline bool is_running(const char *device)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;
	struct ifreq r = { .ifr_flags = 0 };

	ck_assert_int_ge(fd, 0);
	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	err = ioctl(fd, SIOCGIFFLAGS, &r);
	(void)close(fd);
	ck_assert_int_eq(err, 0);
	return r.ifr_flags & IFF_RUNNING;
}

/* A single namespace with loopback, enough where no packets are needed. */
static inline void alone(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up");
}

static inline struct world world_make(void)
{
	struct world w;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	w.there = own_netns();
	run("ip link set lo up");
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	w.here = own_netns();
	run("ip link set lo up");
	run("ip link add near type veth peer name far netns /proc/%d/fd/%d", (int)getpid(),
	    w.there);
	/* No link-local address, so that nothing has to wait for its duplicate detection. */
	run("ip link set near addrgenmode none up && ip addr add 10.77.0.1/24 dev near && "
	    "ip addr add fd77::1/64 dev near nodad");
	enter(w.there);
	run("ip link set far addrgenmode none up && ip addr add 10.77.0.2/24 dev far && "
	    "ip addr add fd77::2/64 dev far nodad");
	enter(w.here);
	WAIT_UNTIL(is_running("near"));
	return w;
}

/*
 * A third namespace, "beyond", behind "here", which forwards: 10.77.8.2 and fd77::802. Its
 * descriptor.
 */
static inline int world_beyond(const struct world *w)
{
	int beyond;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	beyond = own_netns();
	enter(w->here);
	run("ip link add wide type veth peer name back netns /proc/%d/fd/%d", (int)getpid(),
	    beyond);
	run("ip link set wide addrgenmode none up && ip addr add 10.77.8.1/24 dev wide && "
	    "ip addr add fd77::801/120 dev wide nodad && "
	    "ip addr add fe80::8/64 dev wide nodad && " /* to ask for neighbours of what it forwards
							 */
	    "echo 1 >/proc/sys/net/ipv4/ip_forward && "
	    "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	enter(beyond);
	run("ip link set back addrgenmode none up && ip addr add 10.77.8.2/24 dev back && "
	    "ip addr add fd77::802/120 dev back nodad && "
	    "ip route add 10.77.0.0/24 via 10.77.8.1 && ip route add fd77::/64 via fd77::801");
	enter(w->there);
	run("ip route add 10.77.8.0/24 via 10.77.0.1 && ip route add fd77::800/120 via fd77::1");
	enter(w->here);
	WAIT_UNTIL(is_running("wide"));
	return beyond;
}

/* 10.77.0.0/16 and fd77::/64; the veth pair is in 10.77.0.0/24. */
static inline struct addr address(enum family family, unsigned int host)
{
	const uint8_t high = (uint8_t)(host >> 8), low = (uint8_t)host;
	const uint8_t ipv4[4] = { 10, 77, high, low };
	const uint8_t ipv6[16] = { 0xfd, 0x77, [14] = high, [15] = low };

	return family == FAMILY_IPV4 ? addr_ipv4(ipv4) : addr_ipv6(ipv6);
}

enum { HERE = 1, THERE = 2, BEYOND = 0x802 }; /* last numbers of their addresses */

static inline struct tuple flow_of(enum family family, enum l4 proto, unsigned int src,
    uint16_t sport, unsigned int dst, uint16_t dport)
{
	struct tuple t = {
		.src = address(family, src),
		.dst = address(family, dst),
		.sport = sport,
		.dport = dport,
		.l4proto = (uint8_t)proto,
	};

	return t;
}

static inline socklen_t sockaddr_of(
    struct sockaddr_storage *out, enum family family, unsigned int host, uint16_t port)
{
	struct addr a = address(family, host);

	memset(out, 0, sizeof(*out));
	if (family == FAMILY_IPV4) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a.bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, a.bytes, 16);
	return sizeof(*in6);
}

/* A non-blocking socket bound to host and port in namespace netns. */
static inline int bound(int netns, int type, enum family family, unsigned int host, uint16_t port)
{
	struct sockaddr_storage sa;
	const int one = 1;
	int fd, home = own_netns();

	enter(netns);
	fd = socket(
	    family == FAMILY_IPV4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(fd, 0);
	enter(home);
	(void)close(home);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sockaddr_of(&sa, family, host, port)), 0);
	return fd;
}

static inline int listening(int netns, enum family family, unsigned int host, uint16_t port)
{
	int fd = bound(netns, SOCK_STREAM, family, host, port);

	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

/* A TCP connection on its way; ready for POLLOUT once it stands. */
static inline int calling(int netns, enum family family, unsigned int src, uint16_t sport,
    unsigned int dst, uint16_t dport)
{
	struct sockaddr_storage sa;
	int fd = bound(netns, SOCK_STREAM, family, src, sport), err;

	err = connect(fd, (struct sockaddr *)&sa, sockaddr_of(&sa, family, dst, dport));
	ck_assert(err == 0 || errno == EINPROGRESS);
	return fd;
}

static inline bool stands(int fd, int ms)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return ready(fd, POLLOUT, ms) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	       error == 0;
}

static inline bool is_refused(int fd, int ms)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return ready(fd, POLLERR, ms) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	       error == ECONNREFUSED;
}

/* One byte, from and to where the socket is bound and this host and port. */
static inline void send_to(int fd, enum family family, unsigned int host, uint16_t port, char byte)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_of(&sa, family, host, port);

	ck_assert_int_eq(sendto(fd, &byte, 1, 0, (struct sockaddr *)&sa, len), 1);
}

static inline char received(int fd)
{
	char byte = 0;

	ck_assert(ready(fd, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
	return byte;
}

static inline int accepted(int listener)
{
	int fd;

	ck_assert(ready(listener, POLLIN, PATIENCE_MS));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* All services on their usual ports. */
static inline struct table_setup all_services(enum admit admit)
{
	static const uint16_t port[PH_SVC_MAX] = {
		[PH_SVC_FTP] = 21,
		[PH_SVC_SUNRPC] = 111,
		[PH_SVC_TFTP] = 69,
		[PH_SVC_RSH] = 514,
		[PH_SVC_NFS] = 2049,
		[PH_SVC_REXEC] = 512,
	};
	struct table_setup s = {
		.mark_mask = PH_MARK_MASK_DEFAULT,
		.queue_base = PH_QUEUE_BASE_DEFAULT,
	};

	policy_defaults(&s.policy);
	s.policy.admit = admit;
	for (unsigned int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++) {
		struct service_policy *p = &s.policy.service[svc];

		p->enabled = true;
		if (svc == PH_SVC_BFD) /* whose two ports are the usual ones */
			continue;
		p->n_ports = port[svc] != 0;
		p->ports[0] = port[svc];
	}
	return s;
}

static inline struct op op_of(enum op_kind kind, enum ph_service svc, const struct tuple *flow)
{
	struct op o = {
		.kind = kind,
		.service = svc,
		.flow = *flow,
		.dport_hi = flow->dport,
		.timeout = 60 * NSEC_PER_SEC,
	};

	return o;
}

static inline void stage_op(
    struct table *t, enum op_kind kind, enum ph_service svc, const struct tuple *flow, uint32_t id)
{
	struct op o = op_of(kind, svc, flow);

	o.id = id;
	ck_assert_int_eq(table_stage(t, &o), 0);
}

/* The conntrack mark of the flows to this port, all of which have to have the same; conntrack(8).
 */
static inline uint32_t mark_of(enum family family, enum l4 proto, uint16_t dport)
{
	uint32_t mark = 0;
	unsigned int n = 0;
	char command[128], *text, *at;

	(void)snprintf(command, sizeof(command),
	    "conntrack -L -f %s -p %s --orig-port-dst %u 2>/dev/null",
	    family == FAMILY_IPV4 ? "ipv4" : "ipv6", proto == L4_TCP ? "tcp" : "udp", dport);
	text = output(command);
	for (at = text; (at = strstr(at, "mark=")); n++) {
		uint32_t this = (uint32_t)strtoul(at + strlen("mark="), &at, 10);

		ck_assert_msg(n == 0 || this == mark, "different marks:\n%s", text);
		mark = this;
	}
	ck_assert_msg(n > 0, "no flow to port %u", dport);
	free(text);
	return mark;
}

static inline struct pinhole pinhole_of(enum ph_service svc, const struct tuple *flow)
{
	struct pinhole p = { .service = (uint8_t)svc, .flow = *flow, .dport_hi = flow->dport };

	return p;
}

/* Packets that hit the element for flow, or -errno; 0 for one that does not count. */
static inline int64_t hits(struct table *t, enum ph_service svc, const struct tuple *flow)
{
	struct pinhole p = pinhole_of(svc, flow);
	uint64_t packets = 0;
	int err = table_hits(t, &p, &packets);

	return err && err != -ENODATA ? err : (int64_t)packets;
}

/* For main(): false, loudly (in TAP as well), where no namespace can be made. */
static inline bool may_run(void)
{
	static const char why[] = "network namespaces and nf_tables need root";

	if (geteuid() == 0)
		return true;
	(void)printf("1..0 # SKIP %s\n", why);
	(void)fprintf(stderr, "SKIPPED: %s\n", why);
	return false;
}

#endif
