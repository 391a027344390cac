// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rpcmap.c against a real rpcbind from the laboratory, in network and mount namespaces of its own,
 * and against one that lies, played by the test itself: bytes are written here word by word, so
 * that libtirpc is not its own witness.
 */
#include <fcntl.h>
#include <limits.h>
#include <netconfig.h>
#include <rpc/rpc.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>

#include "rpcmap.h"
#include "world.h"

enum { PORTMAP = 100000, NFS = 100003, MOUNTD = 100005, NLOCKMGR = 100021, STATUS = 100024 };
enum { V2 = 2, V3, V4 };
enum { SUCCESS_STAT, PROG_UNAVAIL_STAT, PROG_MISMATCH_STAT, PROC_UNAVAIL_STAT, GARBAGE_STAT };

#define LAST_FRAGMENT 0x80000000u
#define UNANSWERED_MS (RPCMAP_PATIENCE_MS + 1500) /* at most, on a busy machine */

/* --- bytes ---------------------------------------------------------------------------------- */

struct bytes {
	size_t len, room;
	uint8_t *at;
};

static void put(struct bytes *b, const void *from, size_t len)
{
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->at = realloc(b->at, b->room);
		ck_assert_ptr_nonnull(b->at);
	}
	memcpy(b->at + b->len, from, len);
	b->len += len;
}

static void put32(struct bytes *b, uint32_t word)
{
	const uint8_t w[4] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8),
		(uint8_t)word };

	put(b, w, sizeof(w));
}

static void put_text(struct bytes *b, const char *text)
{
	static const uint8_t zero[3];
	size_t len = strlen(text);

	put32(b, (uint32_t)len);
	put(b, text, len);
	put(b, zero, -len & 3);
}

static void put_reply(struct bytes *b, uint32_t xid, uint32_t accept_stat)
{
	put32(b, xid);
	put32(b, 1); /* REPLY */
	put32(b, 0); /* MSG_ACCEPTED */
	put32(b, 0); /* AUTH_NONE */
	put32(b, 0);
	put32(b, accept_stat);
	if (accept_stat == PROG_MISMATCH_STAT) {
		put32(b, V2);
		put32(b, V2);
	}
}

static void put_entry(struct bytes *b, uint32_t program, uint32_t version, const char *netid,
    const char *address, const char *owner)
{
	put32(b, 1);
	put32(b, program);
	put32(b, version);
	put_text(b, netid);
	put_text(b, address);
	put_text(b, owner);
}

static void put_mapping(
    struct bytes *b, uint32_t program, uint32_t version, uint32_t l4proto, uint32_t port)
{
	put32(b, 1);
	put32(b, program);
	put32(b, version);
	put32(b, l4proto);
	put32(b, port);
}

/* --- a rpcbind that the test plays ---------------------------------------------------------- */

static int listen_at(enum family family)
{
	const struct sockaddr_in ipv4 = { .sin_family = AF_INET,
		.sin_port = htons(111),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 ipv6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(111), .sin6_addr = IN6ADDR_LOOPBACK_INIT
	};
	const struct sockaddr *sa =
	    family == FAMILY_IPV4 ? (const struct sockaddr *)&ipv4 : (const struct sockaddr *)&ipv6;
	const int one = 1;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	ck_assert_int_eq(bind(fd, sa, family == FAMILY_IPV4 ? sizeof(ipv4) : sizeof(ipv6)), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

static uint32_t read32(int fd)
{
	uint8_t w[4];

	ck_assert(ready(fd, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(recv(fd, w, sizeof(w), MSG_WAITALL), sizeof(w));
	return (uint32_t)w[0] << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3];
}

/* Reads one call, which must be DUMP of this version, to the bit. Returns its XID. */
static uint32_t expect_dump(int fd, uint32_t version)
{
	uint32_t xid;

	ck_assert_uint_eq(read32(fd), LAST_FRAGMENT | 40);
	xid = read32(fd);
	ck_assert_uint_eq(read32(fd), 0); /* CALL */
	ck_assert_uint_eq(read32(fd), 2); /* of RPC */
	ck_assert_uint_eq(read32(fd), PORTMAP);
	ck_assert_uint_eq(read32(fd), version);
	ck_assert_uint_eq(read32(fd), 4); /* DUMP */
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(read32(fd), 0); /* no credentials, no verifier */
	return xid;
}

/* False when the other side has gone. */
static bool send_bytes(int fd, const void *from, size_t len)
{
	const uint8_t *at = from;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send32(int fd, uint32_t word)
{
	uint32_t w = htonl(word);

	return send_bytes(fd, &w, sizeof(w));
}

/* One record of one fragment. */
static void send_record(int fd, const struct bytes *b)
{
	(void)send32(fd, LAST_FRAGMENT | (uint32_t)b->len);
	(void)send_bytes(fd, b->at, b->len);
}

static void send_status(int fd, uint32_t xid, uint32_t accept_stat)
{
	struct bytes b = { .len = 0 };

	put_reply(&b, xid, accept_stat);
	send_record(fd, &b);
	free(b.at);
}

/* --- what rpcmap says ----------------------------------------------------------------------- */

static struct rpcmap *started(void)
{
	struct rpcmap *m = NULL;

	ck_assert_int_eq(rpcmap_start(&m), 0);
	return m;
}

/* The next snapshot, which has to come. */
static struct rpcmap_snapshot news(struct rpcmap *m)
{
	struct rpcmap_snapshot s;

	ck_assert(ready(rpcmap_fd(m), POLLIN, PATIENCE_MS));
	ck_assert(rpcmap_take(m, &s));
	ck_assert(!ready(rpcmap_fd(m), POLLIN, 0));
	ck_assert(!rpcmap_take(m, &s));
	if (s.state == RPCMAP_ANSWERED)
		ck_assert_int_eq(s.error, 0);
	else
		ck_assert_uint_eq(s.n_programs, 0);
	ck_assert(memchr(s.text, '\0', sizeof(s.text)) != NULL);
	return s;
}

/* Asks until the map has what the test waits for. */
#define ASK_UNTIL(map, snapshot, condition)                                                        \
	do {                                                                                       \
		int64_t until = clock_ms() + PATIENCE_MS;                                          \
		while (!(condition)) {                                                             \
			ck_assert_msg(                                                             \
			    clock_ms() < until, "in vain: %s (%s)", #condition, (snapshot)->text); \
			rpcmap_ask(map);                                                           \
			if (ready(rpcmap_fd(map), POLLIN, 50))                                     \
				(void)rpcmap_take(map, snapshot);                                  \
		}                                                                                  \
	} while (0)

static unsigned int port_of(const struct rpcmap_snapshot *s, uint32_t program, uint32_t version,
    enum l4 l4proto, enum family family)
{
	for (unsigned int i = 0; i < s->n_programs; i++) {
		const struct rpcmap_program *p = &s->program[i];

		if (p->program == program && p->version == version && p->l4proto == l4proto &&
		    p->family == family)
			return p->port;
	}
	return 0;
}

static bool has_address(const struct rpcmap_snapshot *s, const char *text)
{
	struct addr a;

	ck_assert(addr_parse(text, strlen(text), &a));
	for (unsigned int i = 0; i < s->n_addresses; i++)
		if (addr_equal(&s->address[i], &a))
			return true;
	return false;
}

/* A namespace with a device that has addresses. */
static void host(void)
{
	alone();
	run("ip link add near type veth peer name far");
	run("ip link set near addrgenmode none up && ip addr add 10.77.0.1/24 dev near && "
	    "ip addr add fd77::1/64 dev near nodad && ip addr add fe80::77/64 dev near nodad");
}

/* --- a rpcbind that is not there, or does not answer ---------------------------------------- */

START_TEST(nobody_listens)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	host();
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ABSENT);
	ck_assert_int_eq(s.error, -ECONNREFUSED);
	ck_assert_str_eq(s.text, "127.0.0.1:111: Connection refused");
	ck_assert_uint_eq(s.n_addresses, 3);

	/* The same again is no news. */
	rpcmap_ask(m);
	ck_assert(!ready(rpcmap_fd(m), POLLIN, 3 * RPCMAP_SPACING_MS));
	rpcmap_stop(m);
}
END_TEST

START_TEST(no_network_at_all)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0); /* not even loopback is up */
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ABSENT);
	ck_assert_int_eq(s.error, -ENETUNREACH);
	ck_assert_uint_eq(s.n_addresses, 0);
	rpcmap_stop(m);
}
END_TEST

enum { AT_CONNECT, AT_CALL, BYTE_BY_BYTE, FAILURES };

START_TEST(no_answer_in_time)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int64_t began;
	int fd = -1, listener;

	host();
	if (_i == AT_CONNECT) /* as with a firewall that forgot loopback */
		firewall("table inet fw { chain in { type filter hook input priority 0; "
			 "tcp dport 111 drop; }; }\n");
	listener = listen_at(FAMILY_IPV4);
	began = clock_ms();
	m = started();
	if (_i != AT_CONNECT)
		fd = accepted(listener);
	if (_i == BYTE_BY_BYTE) {
		(void)expect_dump(fd, V4);
		put32(&b, LAST_FRAGMENT | 1u << 20);
		put_reply(&b, V4, SUCCESS_STAT);
		put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", "superuser");
		put32(&b, 1);
		put32(&b, MOUNTD);
		put32(&b, 3);
		put32(&b, 1u << 19); /* length of its netid */
		(void)send_bytes(fd, b.at, b.len);
		while (!ready(rpcmap_fd(m), POLLIN, 20))
			(void)send_bytes(fd, "", 1);
	}
	s = news(m);
	ck_assert_int_lt(clock_ms() - began, UNANSWERED_MS);
	ck_assert_int_eq(s.state, RPCMAP_SILENT);
	ck_assert_int_eq(s.error, -ETIMEDOUT);
	ck_assert_str_eq(s.text, "127.0.0.1:111: no answer");
	ck_assert_uint_eq(s.n_addresses, 3);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

START_TEST(both_addresses_silent)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int64_t began;

	host();
	(void)listen_at(FAMILY_IPV4);
	(void)listen_at(FAMILY_IPV6);
	began = clock_ms();
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_SILENT);
	ck_assert_int_lt(clock_ms() - began, UNANSWERED_MS);
	rpcmap_stop(m);
}
END_TEST

/* The end does not wait for rpcbind, wherever it finds the thread. */
START_TEST(stopping_does_not_wait)
{
	struct rpcmap *m;
	int64_t began;
	int listener;

	host();
	rpcmap_stop(NULL);
	listener = listen_at(FAMILY_IPV4);
	m = started();
	if (_i)
		(void)expect_dump(accepted(listener), V4);
	began = clock_ms();
	rpcmap_stop(m);
	ck_assert_int_lt(clock_ms() - began, 500);
}
END_TEST

START_TEST(only_ipv6)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	uint32_t xid;
	int fd;

	host();
	fd = listen_at(FAMILY_IPV6);
	m = started();
	fd = accepted(fd);
	xid = expect_dump(fd, V4);
	put_reply(&b, xid, SUCCESS_STAT);
	put_entry(&b, NFS, 3, "tcp6", "::.8.1", "superuser");
	put32(&b, 0);
	send_record(fd, &b);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert_str_eq(s.text, "[::1]:111: rpcbind v4");
	ck_assert_uint_eq(s.n_programs, 1);
	ck_assert_uint_eq(port_of(&s, NFS, 3, L4_TCP, FAMILY_IPV6), 2049);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

/* --- versions ------------------------------------------------------------------------------- */

START_TEST(older_versions_are_asked_in_turn)
{
	static const uint32_t refusal[] = { PROG_MISMATCH_STAT, PROC_UNAVAIL_STAT, GARBAGE_STAT };
	static const char *const name[] = {
		[V2] = "127.0.0.1:111: portmap v2", [V3] = "127.0.0.1:111: rpcbind v3"
	};
	const uint32_t version = _i % 2 ? V2 : V3;
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	uint32_t xid;
	int fd;

	host();
	fd = listen_at(FAMILY_IPV4);
	m = started();
	fd = accepted(fd);
	for (uint32_t v = V4; v > version; v--)
		send_status(fd, expect_dump(fd, v), refusal[_i / 2]);
	xid = expect_dump(fd, version);
	put_reply(&b, xid, SUCCESS_STAT);
	if (version == V2) {
		put_mapping(&b, MOUNTD, 3, L4_UDP, 635);
		put_mapping(&b, MOUNTD, 3, L4_TCP, 65536 + 22);
		put_mapping(&b, MOUNTD, 1, L4_TCP, 0);
		put_mapping(&b, MOUNTD, 1, 132, 635);
		put_mapping(&b, NFS, 3, L4_TCP, 2049);
	} else {
		put_entry(&b, MOUNTD, 3, "udp", "0.0.0.0.2.123", "superuser");
		put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", "superuser");
	}
	put32(&b, 0);
	send_record(fd, &b);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert_str_eq(s.text, name[version]);
	ck_assert_uint_eq(s.n_programs, 2);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_UDP, FAMILY_IPV4), 635);
	ck_assert_uint_eq(port_of(&s, NFS, 3, L4_TCP, FAMILY_IPV4), 2049);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

START_TEST(no_version_at_all)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int fd;

	host();
	fd = listen_at(FAMILY_IPV4);
	m = started();
	fd = accepted(fd);
	for (uint32_t v = V4; v >= V2; v--)
		send_status(fd, expect_dump(fd, v), PROG_UNAVAIL_STAT);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_BROKEN);
	ck_assert_int_eq(s.error, -EOPNOTSUPP);
	rpcmap_stop(m);
}
END_TEST

/* --- lies ----------------------------------------------------------------------------------- */

/* Asks once and answers with these bytes as they are; what has come of it. */
static struct rpcmap_snapshot told(int listener, const struct bytes *raw)
{
	struct rpcmap *m = started();
	struct rpcmap_snapshot s;
	int fd = accepted(listener);

	(void)expect_dump(fd, V4);
	(void)send_bytes(fd, raw->at, raw->len);
	(void)shutdown(fd, SHUT_WR);
	s = news(m);
	rpcmap_stop(m);
	(void)close(fd);
	return s;
}

static struct rpcmap_snapshot told_record(int listener, const struct bytes *b)
{
	struct bytes raw = { .len = 0 };
	struct rpcmap_snapshot s;

	put32(&raw, LAST_FRAGMENT | (uint32_t)b->len);
	put(&raw, b->at, b->len);
	s = told(listener, &raw);
	free(raw.at);
	return s;
}

/* The XID is not for a stranger to know; here it is the version. */
static struct bytes good_list(void)
{
	struct bytes b = { .len = 0 };

	put_reply(&b, V4, SUCCESS_STAT);
	put_entry(&b, PORTMAP, 4, "local", "/run/rpcbind.sock", "superuser");
	put_entry(&b, MOUNTD, 3, "tcp", "0.0.0.0.2.123", "superuser");
	put_entry(&b, MOUNTD, 3, "udp6", "::.2.124", "superuser");
	put_entry(&b, STATUS, 1, "tcp", "0.0.0.0.195.80", "29");
	put32(&b, 0);
	return b;
}

static void check_good_list(const struct rpcmap_snapshot *s)
{
	ck_assert_int_eq(s->state, RPCMAP_ANSWERED);
	ck_assert(!s->cut);
	ck_assert_uint_eq(s->n_programs, 3);
	ck_assert_uint_eq(port_of(s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 635);
	ck_assert_uint_eq(port_of(s, MOUNTD, 3, L4_UDP, FAMILY_IPV6), 636);
	ck_assert_uint_eq(port_of(s, STATUS, 1, L4_TCP, FAMILY_IPV4), 50000);
}

START_TEST(a_truncated_answer_is_none)
{
	struct bytes b = good_list(), raw = { .len = 0 };
	struct rpcmap_snapshot s;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	for (size_t len = 0; len < b.len; len++) {
		/* Cut off by the end of the connection, ... */
		raw.len = 0;
		put32(&raw, LAST_FRAGMENT | (uint32_t)b.len);
		put(&raw, b.at, len);
		s = told(listener, &raw);
		ck_assert_int_eq(s.state, RPCMAP_BROKEN);
		ck_assert_int_eq(s.error, -ECONNRESET);
		/* ... or by the end of the record, which is no time to wait for more. */
		raw.len = 0;
		put32(&raw, LAST_FRAGMENT | (uint32_t)len);
		put(&raw, b.at, len);
		s = told(listener, &raw);
		ck_assert_int_eq(s.state, RPCMAP_BROKEN);
		ck_assert_int_eq(s.error, -EPROTO);
	}
	s = told_record(listener, &b);
	check_good_list(&s);
	free(b.at);
	free(raw.at);
}
END_TEST

START_TEST(an_answer_may_come_in_pieces)
{
	struct bytes b = good_list(), raw = { .len = 0 };
	struct rpcmap_snapshot s;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	for (size_t at = 1; at < b.len; at++) { /* two fragments */
		raw.len = 0;
		put32(&raw, (uint32_t)at);
		put(&raw, b.at, at);
		put32(&raw, LAST_FRAGMENT | (uint32_t)(b.len - at));
		put(&raw, b.at + at, b.len - at);
		s = told(listener, &raw);
		check_good_list(&s);
	}
	raw.len = 0; /* a fragment for each byte */
	for (size_t at = 0; at < b.len; at++) {
		put32(&raw, at == b.len - 1 ? LAST_FRAGMENT | 1 : 1);
		put(&raw, b.at + at, 1);
	}
	s = told(listener, &raw);
	check_good_list(&s);
	free(b.at);
	free(raw.at);
}
END_TEST

START_TEST(nonsense_is_no_answer)
{
	static const struct {
		int error;
		uint32_t word[10];
	} lie[] = {
		{ -EPROTO, { LAST_FRAGMENT | 28, V4 + 1, 1 } },        /* another XID */
		{ -EPROTO, { LAST_FRAGMENT | 28, V4, 0 } },            /* a call */
		{ -EPROTO, { LAST_FRAGMENT | 28, V4, 1, 2 } },         /* no such status */
		{ -EACCES, { LAST_FRAGMENT | 28, V4, 1, 1, 1, 5 } },   /* too weak */
		{ -EPROTO, { LAST_FRAGMENT | 28, V4, 1, 1, 77 } },     /* no such denial */
		{ -EPROTO, { LAST_FRAGMENT | 28, V4, 1, 0, 0, 401 } }, /* verifier too long */
		{ -EPROTO, { LAST_FRAGMENT | 28, V4, 1, 0, 0, 1u << 31 } },
		{ -EPROTO, { 0, 0, 0, 0 } },                           /* empty fragments */
		{ -EPROTO, { LAST_FRAGMENT, LAST_FRAGMENT } },         /* an empty record */
		{ -ECONNRESET, { 0x7fffffff, V4, 1, 0, 0, 0, 0, 1 } }, /* never finished */
		{ -ECONNRESET, { 0xffffffff, V4, 1, 0, 0, 0, 0, 1 } },
		{ -EPROTO, { 0x5353482d, 0x322e302d, 0x4f70656e } }, /* another protocol */
	};
	struct bytes raw = { .len = 0 };
	struct rpcmap_snapshot s;

	host();
	for (size_t i = 0; i < sizeof(lie[_i].word) / sizeof(lie[_i].word[0]); i++)
		put32(&raw, lie[_i].word[i]);
	s = told(listen_at(FAMILY_IPV4), &raw);
	ck_assert_int_eq(s.state, RPCMAP_BROKEN);
	ck_assert_int_eq(s.error, lie[_i].error);
	free(raw.at);
}
END_TEST

#define LIES 12

START_TEST(entries_that_cannot_be_are_left_out)
{
	static const struct {
		const char *netid, *address;
		unsigned int port; /* 0: left out */
	} entry[] = {
		{ "tcp", "0.0.0.0.2.123", 635 },
		{ "tcp", "10.77.0.1.2.123", 635 },
		{ "tcp", "0.0.0.0.255.255", 65535 },
		{ "tcp", "0.0.0.0.0.1", 1 },
		{ "tcp6", "::.2.123", 635 },
		{ "tcp6", "fd77::1.2.123", 635 },
		{ "tcp6", "fe80::77.2.123", 635 },
		{ "tcp6", "fe80::77%near.2.123", 635 },
		{ "tcp", "0.0.0.0.0.0", 0 },
		{ "tcp", "127.0.0.1.2.123", 0 },
		{ "tcp6", "::1.2.123", 0 },
		{ "tcp", "192.0.2.1.2.123", 0 }, /* not ours */
		{ "tcp6", "2001:db8::1.2.123", 0 },
		{ "tcp6", "0.0.0.0.2.123", 0 },
		{ "tcp", "::.2.123", 0 },
		{ "tcp", "", 0 },
		{ "tcp", ".", 0 },
		{ "tcp", "..", 0 },
		{ "tcp", ".2.123", 0 },
		{ "tcp", "2.123", 0 },
		{ "tcp", "0.0.0.2.123", 0 },
		{ "tcp", "0.0.0.0.0.2.123", 0 },
		{ "tcp", "0.0.0.0.2.123.", 0 },
		{ "tcp", "0.0.0.0..123", 0 },
		{ "tcp", "0.0.0.0.2.256", 0 },
		{ "tcp", "0.0.0.0.999.1", 0 },
		{ "tcp", "0.0.0.0.2.0123", 0 },
		{ "tcp", "0.0.0.0.2.-1", 0 },
		{ "tcp", "0.0.0.0.2.+1", 0 },
		{ "tcp", "0.0.0.0.2. 1", 0 },
		{ "tcp", "0.0.0.0.2.0x7", 0 },
		{ "tcp", "256.0.0.0.2.123", 0 },
		{ "tcp", " 0.0.0.0.2.123", 0 },
		{ "tcp6", "fe80::77%.2.123", 635 },
		{ "tcp6", "%near.2.123", 0 },
		{ "tcp7", "0.0.0.0.2.123", 0 },
		{ "TCP", "0.0.0.0.2.123", 0 },
		{ "", "0.0.0.0.2.123", 0 },
		{ "local", "/run/rpcbind.sock", 0 },
		{ "sctp", "0.0.0.0.2.123", 0 },
		{ "rdma", "0.0.0.0.78.177", 0 },
	};
	struct bytes b = { .len = 0 };
	char long_text[9000];
	struct rpcmap_snapshot s;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	memset(long_text, '0', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	for (size_t i = 0; i < sizeof(entry) / sizeof(entry[0]); i++) {
		b.len = 0;
		put_reply(&b, V4, SUCCESS_STAT);
		put_entry(&b, MOUNTD, 1, long_text, "0.0.0.0.2.122", "superuser");
		put_entry(&b, MOUNTD, 2, "tcp", long_text, "superuser");
		put_entry(&b, MOUNTD, 3, entry[i].netid, entry[i].address, "superuser");
		put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", long_text);
		put32(&b, 0);
		s = told_record(listener, &b);
		ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
		ck_assert_uint_eq(port_of(&s, NFS, 3, L4_TCP, FAMILY_IPV4), 2049);
		ck_assert_msg(s.n_programs == 1u + (entry[i].port != 0), "%s %s: %u programs",
		    entry[i].netid, entry[i].address, s.n_programs);
		if (entry[i].port)
			ck_assert_uint_eq(s.program[1].port, entry[i].port);
	}
	free(b.at);
}
END_TEST

/* Before the next version can be asked, the rest of the refusal has to be read. */
START_TEST(a_refusal_without_end_is_no_answer)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int64_t began;
	int fd;

	host();
	fd = listen_at(FAMILY_IPV4);
	began = clock_ms();
	m = started();
	fd = accepted(fd);
	(void)expect_dump(fd, V4);
	put_reply(&b, V4, PROG_UNAVAIL_STAT);
	(void)send32(fd, 0x7fffffff);
	while (send_bytes(fd, b.at, b.len))
		;
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_BROKEN);
	ck_assert_int_eq(s.error, -EMSGSIZE);
	ck_assert_int_lt(clock_ms() - began, UNANSWERED_MS);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

/* One that answers with a list without end, until it is hung up on. */
START_TEST(a_list_without_end_is_cut)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int64_t began;
	int fd;

	host();
	fd = listen_at(FAMILY_IPV4);
	began = clock_ms();
	m = started();
	fd = accepted(fd);
	(void)expect_dump(fd, V4);
	put_reply(&b, V4, SUCCESS_STAT);
	(void)send32(fd, (uint32_t)b.len);
	(void)send_bytes(fd, b.at, b.len);
	for (uint32_t version = 0;; version++) {
		b.len = 0;
		for (unsigned int i = 0; i < 100; i++) /* all different, or all the same */
			put_entry(&b, 0x40000000, _i ? 1 : version * 100 + i, "tcp",
			    "0.0.0.0.195.80", "1000");
		if (!send32(fd, (uint32_t)b.len) || !send_bytes(fd, b.at, b.len))
			break;
	}
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert(s.cut);
	ck_assert_uint_eq(s.n_programs, _i ? 1 : RPCMAP_PROGRAMS);
	ck_assert_int_lt(clock_ms() - began, UNANSWERED_MS);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

/* 100 000 entries with an end: too many are cut, and one that never ends within an entry is, too.
 */
START_TEST(a_huge_answer_is_cut)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	put_reply(&b, V4, SUCCESS_STAT);
	put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", "superuser");
	if (_i) {
		put32(&b, 1);
		put32(&b, MOUNTD);
		put32(&b, 3);
		put32(&b, 0xffffffff); /* length of its netid */
		while (b.len < 16u << 20)
			put32(&b, 0);
	} else {
		for (uint32_t v = 0; v < 100000; v++)
			put_entry(&b, MOUNTD, v, "tcp", "0.0.0.0.195.80", "superuser");
		put32(&b, 0);
	}
	s = told_record(listener, &b);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert(s.cut);
	ck_assert_uint_eq(s.n_programs, _i ? 1 : RPCMAP_PROGRAMS);
	ck_assert_uint_eq(port_of(&s, NFS, 3, L4_TCP, FAMILY_IPV4), 2049);
	free(b.at);
}
END_TEST

/* A local user registers whatever he likes, before and after root does. */
START_TEST(crowds_do_not_hide_what_root_registered)
{
	struct bytes b = { .len = 0 };
	struct rpcmap_snapshot s;

	host();
	put_reply(&b, V4, SUCCESS_STAT);
	for (uint32_t v = 0; v < 300; v++)
		put_entry(&b, MOUNTD, 10 + v, "udp", "0.0.0.0.195.80", "1000");
	put_entry(&b, MOUNTD, 3, "tcp", "0.0.0.0.2.123", "superuser");
	put_entry(&b, 0x7fffffff, 3, "tcp", "0.0.0.0.2.124", "superuser");
	for (uint32_t v = 0; v < 300; v++)
		put_entry(&b, NFS, 10 + v, "udp", "0.0.0.0.195.80", "unknown");
	put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", "superuser");
	put32(&b, 0);
	s = told_record(listen_at(FAMILY_IPV4), &b);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert(s.cut);
	ck_assert_uint_eq(s.n_programs, RPCMAP_PROGRAMS);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 635);
	ck_assert_uint_eq(port_of(&s, 0x7fffffff, 3, L4_TCP, FAMILY_IPV4), 636);
	ck_assert_uint_eq(port_of(&s, NFS, 3, L4_TCP, FAMILY_IPV4), 2049);
	free(b.at);
}
END_TEST

/* A restarted rpcbind may tell the same in another order. */
START_TEST(order_and_repetition_do_not_matter)
{
	struct rpcmap_snapshot s[2];
	struct bytes b = { .len = 0 };
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	for (unsigned int i = 0; i < 2; i++) {
		b.len = 0;
		put_reply(&b, V4, SUCCESS_STAT);
		for (uint32_t n = 0; n < 200; n++) {
			uint32_t v = i ? 199 - n : n;

			put_entry(&b, MOUNTD, v / 2, v % 2 ? "tcp" : "udp6",
			    v % 2 ? "0.0.0.0.2.123" : "::.2.123", "superuser");
			put_entry(&b, NFS, 3, "tcp", "0.0.0.0.8.1", "superuser");
		}
		put32(&b, 0);
		s[i] = told_record(listener, &b);
		ck_assert_uint_eq(s[i].n_programs, 201);
		ck_assert(!s[i].cut);
	}
	ck_assert_mem_eq(s[0].program, s[1].program, sizeof(s[0].program));
	free(b.at);
}
END_TEST

/* --- when it asks --------------------------------------------------------------------------- */

/* The next connection; its call gets the good list. Returns when it came. */
static int64_t serve_one(int listener)
{
	struct bytes b = good_list();
	int fd = accepted(listener);
	int64_t came = clock_ms();

	(void)expect_dump(fd, V4);
	send_record(fd, &b);
	(void)close(fd);
	free(b.at);
	return came;
}

START_TEST(asks_are_joined_and_spaced)
{
	struct rpcmap_snapshot s;
	int64_t first, second;
	struct rpcmap *m;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	m = started();
	first = serve_one(listener);
	s = news(m);
	check_good_list(&s);
	for (unsigned int i = 0; i < 1000; i++)
		rpcmap_ask(m);
	second = serve_one(listener);
	ck_assert_int_ge(second - first, RPCMAP_SPACING_MS);
	ck_assert_int_lt(second - first, RPCMAP_WATCH_MS);
	ck_assert(!ready(listener, POLLIN, 3 * RPCMAP_SPACING_MS)); /* one for all of them */
	ck_assert(!ready(rpcmap_fd(m), POLLIN, 0));                 /* and it was no news */
	rpcmap_stop(m);
}
END_TEST

/* What is asked for during an ask may be newer than its answer. */
START_TEST(an_ask_during_an_ask_is_another)
{
	struct bytes b = good_list();
	struct rpcmap *m;
	int listener, fd;

	host();
	listener = listen_at(FAMILY_IPV4);
	m = started();
	fd = accepted(listener);
	(void)expect_dump(fd, V4);
	rpcmap_ask(m);
	send_record(fd, &b);
	(void)serve_one(listener);
	rpcmap_stop(m);
	free(b.at);
}
END_TEST

START_TEST(watching_is_asking_often)
{
	int64_t at[3];
	struct rpcmap *m;
	int listener;

	host();
	listener = listen_at(FAMILY_IPV4);
	m = started();
	at[0] = serve_one(listener);
	rpcmap_watch(m, true);
	at[1] = serve_one(listener);
	at[2] = serve_one(listener);
	for (int i = 1; i < 3; i++) {
		ck_assert_int_ge(at[i] - at[i - 1], RPCMAP_WATCH_MS - 1);
		ck_assert_int_lt(at[i] - at[i - 1], 2 * RPCMAP_WATCH_MS);
	}
	rpcmap_watch(m, false);
	ck_assert(!ready(listener, POLLIN, RPCMAP_WATCH_MS + 500));
	rpcmap_stop(m);
}
END_TEST

/* --- addresses ------------------------------------------------------------------------------ */

START_TEST(addresses_are_read_with_each_ask)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	host();
	run("ip addr add 10.78.0.1/32 dev lo");
	m = started();
	s = news(m);
	ck_assert_uint_eq(s.n_addresses, 4);
	ck_assert(has_address(&s, "10.77.0.1"));
	ck_assert(has_address(&s, "10.78.0.1")); /* on loopback, and not one of it */
	ck_assert(has_address(&s, "fd77::1"));
	ck_assert(has_address(&s, "fe80::77"));
	for (unsigned int i = 1; i < s.n_addresses; i++)
		ck_assert_int_lt(memcmp(&s.address[i - 1].bytes, &s.address[i].bytes, 16), 0);

	/* Of the same link-local address on two links, one is enough. */
	run("ip link set far addrgenmode none up && ip addr add fe80::77/64 dev far nodad && "
	    "ip addr add fd78::2/64 dev far nodad");
	rpcmap_ask(m);
	s = news(m);
	ck_assert_uint_eq(s.n_addresses, 5);
	ck_assert(has_address(&s, "fd78::2"));

	run("ip link del near");
	rpcmap_ask(m);
	s = news(m);
	ck_assert_uint_eq(s.n_addresses, 1);
	ck_assert(!s.addresses_cut);

	run("for i in $(seq 0 255); do echo addr add 10.79.0.$i/32 dev lo; done | ip -batch -");
	rpcmap_ask(m);
	s = news(m);
	ck_assert_uint_eq(s.n_addresses, RPCMAP_ADDRESSES);
	ck_assert(s.addresses_cut);
	rpcmap_stop(m);
}
END_TEST

/* --- the real one --------------------------------------------------------------------------- */

static char rpcbind_path[PATH_MAX], rpcbind_libraries[5 * PATH_MAX];

/* From what tests/lab.sh has unpacked, else the host's. */
static bool find_rpcbind(void)
{
	static const char *const place[] = { "build/lab/root/usr/sbin", "build/lab/root/usr/bin",
		"build/lab/root/sbin", "/usr/sbin", "/usr/bin", "/sbin" };
	struct utsname machine;
	char path[PATH_MAX], root[PATH_MAX];

	if (realpath("build/lab/root", root) && uname(&machine) == 0)
		(void)snprintf(rpcbind_libraries, sizeof(rpcbind_libraries),
		    "%s/usr/lib/%s-linux-gnu:%s/lib/%s-linux-gnu:%s/usr/lib64:%s/lib64", root,
		    machine.machine, root, machine.machine, root, root);
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/rpcbind", place[i]);
		if (realpath(path, rpcbind_path) && access(rpcbind_path, X_OK) == 0)
			return true;
	}
	return false;
}

static bool answers_locally(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "/run/rpcbind.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	(void)close(fd);
	return yes;
}

/* In the current namespaces. It ends with the test's process group, if not before. */
static pid_t rpcbind_start(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)setenv("LD_LIBRARY_PATH", rpcbind_libraries, 1);
		(void)execl(rpcbind_path, "rpcbind", "-f", "-w", "-s", NULL);
		_exit(127);
	}
	WAIT_UNTIL(answers_locally());
	return pid;
}

static void rpcbind_stop(pid_t pid)
{
	(void)kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* The user daemon's, whom rpcbind -s becomes. */
static void own_run(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	run("mkdir /run/rpcbind && chown daemon /run/rpcbind");
}

/* rpcb_set(3) goes through /run/rpcbind.sock. Port 0 takes back. */
static void registers(uint32_t program, uint32_t version, const char *netid, uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct netconfig *transport = getnetconfigent(netid);
	struct netbuf address = { .buf = &in, .len = sizeof(in), .maxlen = sizeof(in) };

	ck_assert_ptr_nonnull(transport);
	if (netid[3])
		address = (struct netbuf){ .buf = &in6, .len = sizeof(in6), .maxlen = sizeof(in6) };
	if (port)
		ck_assert(rpcb_set(program, version, transport, &address));
	else
		ck_assert(rpcb_unset(program, version, transport));
	freenetconfigent(transport);
}

START_TEST(registrations_are_seen)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	host();
	own_run();
	(void)rpcbind_start();
	registers(MOUNTD, 3, "tcp", 20048);
	registers(MOUNTD, 3, "udp6", 635);
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert_str_eq(s.text, "127.0.0.1:111: rpcbind v4");
	ck_assert(!s.cut);
	ck_assert_uint_eq(port_of(&s, PORTMAP, 2, L4_UDP, FAMILY_IPV4), 111);
	ck_assert_uint_eq(port_of(&s, PORTMAP, 4, L4_TCP, FAMILY_IPV6), 111);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 20048);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_UDP, FAMILY_IPV6), 635);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV6), 0);

	/* mountd is started again. */
	registers(MOUNTD, 3, "tcp", 0);
	registers(MOUNTD, 3, "tcp", 32777);
	rpcmap_ask(m);
	s = news(m);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 32777);
	registers(MOUNTD, 3, "tcp", 0);
	rpcmap_ask(m);
	s = news(m);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 0);
	rpcmap_stop(m);
}
END_TEST

START_TEST(a_restart_is_survived)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	pid_t pid;

	host();
	own_run();
	pid = rpcbind_start();
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	rpcbind_stop(pid);
	rpcmap_ask(m);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ABSENT);
	pid = rpcbind_start();
	registers(NLOCKMGR, 4, "tcp", 4045);
	ASK_UNTIL(m, &s, port_of(&s, NLOCKMGR, 4, L4_TCP, FAMILY_IPV4) == 4045);

	/* Hung, and well again. */
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	rpcmap_ask(m);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_SILENT);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	rpcmap_ask(m);
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert_uint_eq(port_of(&s, NLOCKMGR, 4, L4_TCP, FAMILY_IPV4), 4045);
	rpcmap_stop(m);
}
END_TEST

/* /run shows the socket of another network namespace's rpcbind: not the one to ask. */
START_TEST(another_namespaces_rpcbind_is_not_asked)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	host();
	own_run();
	(void)rpcbind_start();
	host();
	ck_assert(answers_locally());
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ABSENT);
	rpcmap_stop(m);
}
END_TEST

/* What rpcbind does with a user's registrations is what the limit was made for. */
START_TEST(a_users_registrations_do_not_hide_mountd)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;
	int status;
	pid_t pid;

	host();
	own_run();
	(void)rpcbind_start();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(EXIT_FAILURE);
		for (uint32_t v = 10; v < 400; v++)
			registers(MOUNTD, v, "tcp", 50000);
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	registers(MOUNTD, 3, "tcp", 635);
	m = started();
	s = news(m);
	ck_assert_int_eq(s.state, RPCMAP_ANSWERED);
	ck_assert(s.cut);
	ck_assert_uint_eq(s.n_programs, RPCMAP_PROGRAMS);
	ck_assert_uint_eq(port_of(&s, MOUNTD, 3, L4_TCP, FAMILY_IPV4), 635);
	rpcmap_stop(m);
}
END_TEST

static void serve_without_privileges(void)
{
	struct rpcmap_snapshot s;
	struct rpcmap *m;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(EXIT_FAILURE);
	m = started();
	s = news(m);
	rpcmap_stop(m);
	_exit(s.state == RPCMAP_ANSWERED && s.n_addresses == 3 ? EXIT_SUCCESS : EXIT_FAILURE);
}

START_TEST(no_privilege_is_needed)
{
	int status;
	pid_t pid;

	host();
	own_run();
	(void)rpcbind_start();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		serve_without_privileges();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static TCase *group(Suite *s, const char *name)
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return t;
}

static Suite *suite(void)
{
	Suite *s = suite_create("rpcmap");
	TCase *t = group(s, "no answer");

	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, no_network_at_all);
	tcase_add_loop_test(t, no_answer_in_time, 0, FAILURES);
	tcase_add_test(t, both_addresses_silent);
	tcase_add_loop_test(t, stopping_does_not_wait, 0, 2);

	t = group(s, "versions");
	tcase_add_test(t, only_ipv6);
	tcase_add_loop_test(t, older_versions_are_asked_in_turn, 0, 6);
	tcase_add_test(t, no_version_at_all);

	t = group(s, "lies");
	tcase_add_test(t, a_truncated_answer_is_none);
	tcase_add_test(t, an_answer_may_come_in_pieces);
	tcase_add_loop_test(t, nonsense_is_no_answer, 0, LIES);
	tcase_add_test(t, entries_that_cannot_be_are_left_out);
	tcase_add_test(t, a_refusal_without_end_is_no_answer);
	tcase_add_loop_test(t, a_list_without_end_is_cut, 0, 2);
	tcase_add_loop_test(t, a_huge_answer_is_cut, 0, 2);
	tcase_add_test(t, crowds_do_not_hide_what_root_registered);
	tcase_add_test(t, order_and_repetition_do_not_matter);

	t = group(s, "when");
	tcase_add_test(t, asks_are_joined_and_spaced);
	tcase_add_test(t, an_ask_during_an_ask_is_another);
	tcase_add_test(t, watching_is_asking_often);
	tcase_add_test(t, addresses_are_read_with_each_ask);

	if (!find_rpcbind()) {
		(void)printf("# SKIP all that needs a real rpcbind\n");
		(void)fprintf(stderr, "SKIPPED: all that needs a real rpcbind, which is neither in "
				      "build/lab/root (tests/lab.sh test-servers) nor installed\n");
		return s;
	}
	t = group(s, "rpcbind");
	tcase_add_test(t, registrations_are_seen);
	tcase_add_test(t, a_restart_is_survived);
	tcase_add_test(t, another_namespaces_rpcbind_is_not_asked);
	tcase_add_test(t, a_users_registrations_do_not_hide_mountd);
	tcase_add_test(t, no_privilege_is_needed);
	return s;
}

int main(void)
{
	SRunner *r;
	int failed;

	if (!may_run())
		return EXIT_SUCCESS;
	r = srunner_create(suite());
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
