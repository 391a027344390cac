// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine and its table alone, without a daemon: how fast pinholes open and what each costs in
 * memory (open), what a packet on the data path pays for those that are open (path), and the FTP
 * tracker for an instruction counter (ftp). Packets are built here, byte by byte, and go in through
 * engine_input() as they would from a queue. Prints JSON objects.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "table.h"

static const char usage[] =
    "usage: micro open COUNT BATCH           opens COUNT pinholes, BATCH to a transaction\n"
    "       micro path BURSTS [CLIENT-NETNS SERVER-NETNS SERVER-ADDRESS]...\n"
    "                                        ns a packet from client to server, by turns\n"
    "       micro ftp COUNT LINE             COUNT dialogues; LINE (NOOP, 200, PASV, 227, first,\n"
    "                                        226, end) goes in through counted_input()\n";

static const uint8_t hash_key[HASH_KEY_LEN] = "a key to measure";

/* --- FTP packets ----------------------------------------------------------------------------- */

#define HEADERS        (20 + 20)
#define PACKET_MAX     256
#define CONTROL_PORT   21
#define DATA_PORT      (78 * 256 + 32) /* as the 227 below says */
#define CLIENT_CONTROL 40000
#define CLIENT_DATA    40001

static const char pasv[] = "PASV\r\n";
static const char passive[] = "227 Entering Passive Mode (10,255,0,1,78,32).\r\n";
static const char complete[] = "226 Transfer complete.\r\n";

/* One control connection: client `index` to the one server, 10.255.0.1. */
struct dialogue {
	struct engine *engine;
	uint32_t client; /* host order */
	uint32_t seq[2]; /* enum dir */
};

static struct decision decision; /* the last one */

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static size_t packet(const struct dialogue *d, enum dir dir, uint16_t client_port,
    uint16_t server_port, uint8_t flags, const char *text, uint8_t *out)
{
	const uint32_t server = 0x0aff0001, len = text ? (uint32_t)strlen(text) : 0;

	memset(out, 0, HEADERS);
	out[0] = 0x45;
	put16(out + 2, HEADERS + len);
	out[8] = 64;
	out[9] = IPPROTO_TCP;
	put32(out + 12, dir == DIR_ORIGINAL ? d->client : server);
	put32(out + 16, dir == DIR_ORIGINAL ? server : d->client);
	put16(out + 20, dir == DIR_ORIGINAL ? client_port : server_port);
	put16(out + 22, dir == DIR_ORIGINAL ? server_port : client_port);
	put32(out + 24, d->seq[dir]);
	put32(out + 28, d->seq[!dir]);
	out[32] = 5 << 4;
	out[33] = flags;
	if (len)
		memcpy(out + HEADERS, text, len);
	return HEADERS + len;
}

static void input(
    struct dialogue *d, enum event_kind kind, enum dir dir, const uint8_t *l3, size_t len)
{
	const struct event ev = {
		.kind = kind,
		.now = NSEC_PER_SEC,
		.service = PH_SVC_FTP,
		.dir = dir,
		.l3 = l3,
		.len = len,
	};

	engine_input(d->engine, &ev, &decision);
}

static void shake_hands(struct dialogue *d)
{
	uint8_t p[PACKET_MAX];

	for (enum dir dir = DIR_ORIGINAL; dir <= DIR_REPLY; dir++) {
		uint8_t flags = dir == DIR_REPLY ? TCP_SYN | TCP_ACK : TCP_SYN;

		input(d, EV_COPY, dir, p,
		    packet(d, dir, CLIENT_CONTROL, CONTROL_PORT, flags, NULL, p));
		d->seq[dir]++;
	}
}

static void says(struct dialogue *d, enum dir dir, const char *text)
{
	uint8_t p[PACKET_MAX];

	input(d, EV_PACKET, dir, p, packet(d, dir, CLIENT_CONTROL, CONTROL_PORT, TCP_ACK, text, p));
	d->seq[dir] += (uint32_t)strlen(text);
}

static struct engine *new_engine(unsigned int most)
{
	struct policy policy;
	struct engine *e;

	policy_defaults(&policy);
	policy.max_sessions = policy.max_sessions_client = most;
	policy.max_pinholes = policy.max_pinholes_client = most;
	e = engine_new(&policy, hash_key);
	if (!e)
		die("out of memory");
	return e;
}

/* --- open: pinholes through engine and table ------------------------------------------------- */

/* A figure of /proc/meminfo in bytes. */
static long long kernel_memory(const char *what)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, what, strlen(what)) == 0 && line[strlen(what)] == ':')
			kib = strtoll(line + strlen(what) + 1, NULL, 10);
	if (f)
		(void)fclose(f);
	return kib * 1024;
}

static long long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128], *at = line;
	long long pages = 0;

	if (!f || !fgets(line, sizeof(line), f))
		die("/proc/self/statm cannot be read");
	for (int i = 0; i < 2; i++)
		pages = strtoll(at, &at, 10);
	(void)fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static struct table *new_table(const struct engine *e)
{
	struct table_setup setup = {
		.policy = *engine_policy(e),
		.mark_mask = PH_MARK_MASK_DEFAULT,
		.queue_base = PH_QUEUE_BASE_DEFAULT,
	};
	struct table *t;
	int err = table_create(&t, &setup);

	if (err < 0)
		die("table: %s", strerror(-err));
	return t;
}

struct opening {
	struct table *table;
	unsigned int batch, staged;
	uint64_t kernel_ns; /* in table_stage() and table_commit() */
};

static void commit(struct opening *o)
{
	int err = table_commit(o->table, NULL, NULL);

	if (err < 0)
		die("set elements: %s", strerror(-err));
	o->staged = 0;
}

/* As the daemon does with a decision. Returns how many pinholes it opened. */
static unsigned int put_in_force(struct opening *o)
{
	uint64_t began = now_ns();
	unsigned int opened = 0;

	for (unsigned int i = 0; i < decision.n; i++) {
		if (decision.ops[i].kind != OP_OPEN && decision.ops[i].kind != OP_CLOSE)
			continue;
		opened += decision.ops[i].kind == OP_OPEN;
		if (table_stage(o->table, &decision.ops[i]) < 0)
			die("a set element cannot be staged");
		if (++o->staged == o->batch)
			commit(o);
	}
	o->kernel_ns += now_ns() - began;
	return opened;
}

static void measure_open(unsigned int count, unsigned int batch)
{
	struct dialogue *d = calloc(count, sizeof(*d));
	struct opening o = { .batch = batch };
	long long began_rss, sessions_rss, open_rss, began_slab, open_slab;
	uint64_t began, took;
	unsigned int opened = 0;
	struct engine *e;

	if (!d)
		die("out of memory");
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare: %s", strerror(errno));
	e = new_engine(count + 1);
	o.table = new_table(e);

	for (unsigned int i = 0; i < count; i++) /* resident before it counts */
		d[i] = (struct dialogue){ .engine = e, .client = 0x0a000001 + i };
	began_rss = resident();
	for (unsigned int i = 0; i < count; i++) {
		shake_hands(&d[i]);
		says(&d[i], DIR_ORIGINAL, pasv);
	}
	sessions_rss = resident();

	began_slab = kernel_memory("SUnreclaim") + kernel_memory("Percpu");
	began = now_ns();
	for (unsigned int i = 0; i < count; i++) {
		says(&d[i], DIR_REPLY, passive);
		opened += put_in_force(&o);
	}
	commit(&o);
	took = now_ns() - began;
	open_slab = kernel_memory("SUnreclaim") + kernel_memory("Percpu");
	open_rss = resident();
	if (opened != count || engine_stats(e)->open_pinholes != count)
		die("%u pinholes wanted, %u opened", count, opened);
	printf("{\"count\": %u, \"batch\": %u, \"rate\": %.0f, \"engine_ns\": %.0f, \"kernel_ns\": "
	       "%.0f, "
	       "\"bytes_session\": %.0f, \"bytes_pinhole\": %.0f, \"bytes_kernel\": %.0f}\n",
	    count, batch, (double)count * (double)NSEC / (double)took,
	    (double)(took - o.kernel_ns) / count, (double)o.kernel_ns / count,
	    (double)(sessions_rss - began_rss) / count, (double)(open_rss - sessions_rss) / count,
	    (double)(open_slab - began_slab) / count);
	table_destroy(o.table);
	engine_free(e);
	free(d);
}

/* --- path: packets of others, beside open pinholes ------------------------------------------- */

#define LANES     8
#define BURST     256
#define ECHO_PORT 7
#define SYN_LO    1024 /* below all ports that run (in this directory) opens */
#define SYN_RANGE 16384
#define UDP_BYTES 64
#define SYN_BYTES 20

/* One way from a client to a server, and its packets. */
struct lane {
	struct sockaddr_in client, server;
	int udp, raw, sink;
	uint64_t *ns[2]; /* of each burst: UDP, SYN */
};

static int socket_at(int type, int protocol)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	return fd;
}

static void lane_open(struct lane *l, char **arg, unsigned int bursts)
{
	socklen_t len = sizeof(l->client);

	l->server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(ECHO_PORT) };
	if (inet_pton(AF_INET, arg[2], &l->server.sin_addr) != 1)
		die("'%s' is no IPv4 address", arg[2]);
	netns_enter(arg[1]);
	l->sink = socket_at(SOCK_DGRAM, 0); /* never read: it fills up, and what comes is dropped */
	if (bind(l->sink, (struct sockaddr *)&l->server, sizeof(l->server)) < 0)
		die("%s: %s", arg[2], strerror(errno));
	netns_enter(arg[0]);
	l->udp = socket_at(SOCK_DGRAM, 0);
	if (connect(l->udp, (struct sockaddr *)&l->server, sizeof(l->server)) < 0 ||
	    getsockname(l->udp, (struct sockaddr *)&l->client, &len) < 0)
		die("%s: %s", arg[2], strerror(errno));
	l->raw = socket_at(SOCK_RAW, IPPROTO_TCP);
	if (connect(l->raw, (struct sockaddr *)&l->server, sizeof(l->server)) < 0)
		die("%s: %s", arg[2], strerror(errno));
	for (unsigned int kind = 0; kind < 2; kind++) {
		l->ns[kind] = calloc(bursts, sizeof(**l->ns));
		if (!l->ns[kind])
			die("out of memory");
	}
}

static uint32_t sum16(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	return sum;
}

/* Conntrack takes no SYN whose checksum is wrong. */
static void syn_write(const struct lane *l, uint8_t *syn, uint16_t sport, uint16_t dport)
{
	uint32_t sum = IPPROTO_TCP + SYN_BYTES;

	memset(syn, 0, SYN_BYTES);
	put16(syn, sport);
	put16(syn + 2, dport);
	syn[12] = SYN_BYTES / 4 << 4;
	syn[13] = TCP_SYN;
	put16(syn + 14, 0xffff);
	sum = sum16(sum, &l->client.sin_addr, 4);
	sum = sum16(sum, &l->server.sin_addr, 4);
	sum = sum16(sum, syn, SYN_BYTES);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(syn + 16, ~sum & 0xffff);
}

/* ns a packet. The path is walked within sendmmsg(2): veth delivers on the sender's CPU. */
static uint64_t burst(int fd, uint8_t packets[BURST][UDP_BYTES], size_t len)
{
	struct mmsghdr messages[BURST];
	struct iovec iov[BURST];
	uint64_t began;
	int sent = 0;

	memset(messages, 0, sizeof(messages));
	for (unsigned int i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){ packets[i], len };
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	began = now_ns();
	while (sent < BURST) {
		int n = sendmmsg(fd, messages + sent, (unsigned int)(BURST - sent), 0);

		if (n < 0)
			die("sendmmsg: %s", strerror(errno));
		sent += n;
	}
	return (now_ns() - began) / BURST;
}

static uint64_t lane_burst(const struct lane *l, unsigned int kind, unsigned int round)
{
	static uint8_t packets[BURST][UDP_BYTES];

	for (unsigned int i = 0; kind == 1 && i < BURST; i++) {
		uint32_t n = (round * BURST + i) * 2654435761u; /* Knuth: no order in the ports */

		syn_write(l, packets[i], (uint16_t)(SYN_LO + (n >> 8) % SYN_RANGE),
		    (uint16_t)(SYN_LO + n % SYN_RANGE));
	}
	return burst(kind ? l->raw : l->udp, packets, kind ? SYN_BYTES : UDP_BYTES);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure_path(unsigned int bursts, unsigned int n, char **arg)
{
	static struct lane lane[LANES];

	if (n > LANES)
		die("at most %d lanes", LANES);
	for (unsigned int i = 0; i < n; i++)
		lane_open(&lane[i], arg + 3 * i, bursts);
	/* The lanes take turns with each burst, so that all see the same minute of this machine. */
	for (unsigned int round = 0; round < bursts; round++)
		for (unsigned int kind = 0; kind < 2; kind++)
			for (unsigned int i = 0; i < n; i++) {
				struct lane *l = &lane[(round + i) % n];

				l->ns[kind][round] = lane_burst(l, kind, round);
			}
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int kind = 0; kind < 2; kind++)
			qsort(lane[i].ns[kind], bursts, sizeof(**lane[i].ns), by_value);
		printf("{\"udp\": %llu, \"syn\": %llu}\n",
		    (unsigned long long)lane[i].ns[0][bursts / 2],
		    (unsigned long long)lane[i].ns[1][bursts / 2]);
	}
}

/* --- ftp: instructions ----------------------------------------------------------------------- */

static const struct step {
	const char *name;
	enum event_kind kind;
	enum dir dir;
	bool data; /* of the data connection */
	uint8_t flags;
	const char *text;
} steps[] = {
	{ "NOOP", EV_PACKET, DIR_ORIGINAL, false, TCP_ACK, "NOOP\r\n" },
	{ "200", EV_PACKET, DIR_REPLY, false, TCP_ACK, "200 NOOP ok.\r\n" },
	{ "PASV", EV_PACKET, DIR_ORIGINAL, false, TCP_ACK, pasv },
	{ "227", EV_PACKET, DIR_REPLY, false, TCP_ACK, passive },
	{ "first", EV_FIRST, DIR_ORIGINAL, true, TCP_SYN, NULL },
	{ "226", EV_PACKET, DIR_REPLY, false, TCP_ACK, complete },
	{ "end", EV_END, DIR_ORIGINAL, true, TCP_FIN | TCP_ACK, NULL },
};

static unsigned int counted;

/* An instruction counter finds this function by its name. */
static __attribute__((noinline)) void counted_input(
    struct dialogue *d, const struct step *s, const uint8_t *p, size_t len)
{
	counted++;
	input(d, s->kind, s->dir, p, len);
}

static void step(struct dialogue *d, const struct step *s, const char *name)
{
	uint8_t p[PACKET_MAX];
	size_t len = packet(d, s->dir, s->data ? CLIENT_DATA : CLIENT_CONTROL,
	    s->data ? DATA_PORT : CONTROL_PORT, s->flags, s->text, p);

	if (strcmp(s->name, name) == 0)
		counted_input(d, s, p, len);
	else
		input(d, s->kind, s->dir, p, len);
	if (s->text)
		d->seq[s->dir] += (uint32_t)strlen(s->text);
}

static void measure_ftp(unsigned int count, const char *name)
{
	struct dialogue d = { .engine = new_engine(16), .client = 0x0a000001 };
	uint64_t began;

	shake_hands(&d);
	began = now_ns();
	for (unsigned int i = 0; i < count; i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
			step(&d, &steps[k], name);
	if (engine_stats(d.engine)->bound != count || counted != count)
		die("the dialogue did not go as it should");
	printf("{\"count\": %u, \"ns\": %llu}\n", count,
	    (unsigned long long)((now_ns() - began) / count));
	engine_free(d.engine);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "open") == 0) {
		measure_open(number(argv[2], 1, 10000000), number(argv[3], 1, 10000000));
	} else if (argc >= 6 && argc % 3 == 0 && strcmp(argv[1], "path") == 0) {
		measure_path(number(argv[2], 1, 1000000), (unsigned int)(argc - 3) / 3, argv + 3);
	} else if (argc == 4 && strcmp(argv[1], "ftp") == 0) {
		measure_ftp(number(argv[2], 1, 10000000), argv[3]);
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
