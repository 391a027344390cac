/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of ct.c against the kernel at hand: which flows are reported, what an admitted flow looks
 * like to a firewall that knows nothing of us, and that lost events are noticed. The last tests put
 * table.c, queue.c and ct.c together as the daemon does.
 */
#include "ct.h"
#include "queue.h"
#include "world.h"

#define MASK    PH_MARK_MASK_DEFAULT
#define CONTROL 0x11000000u /* ftp */
#define PINHOLE 0x21000000u
#define NFS     0x16000000u /* control */

/* --- flows without packets -------------------------------------------------------------------- */

struct seen {
	unsigned int n, gone;
	struct ct_entry last;
};

static void on_entry(void *arg, const struct ct_entry *entry)
{
	struct seen *s = arg;

	s->n++;
	s->gone += entry->gone;
	s->last = *entry;
}

static struct seen events(struct ct *ct)
{
	struct seen s = { .n = 0 };

	ck_assert_int_eq(ct_events(ct, on_entry, &s), 0);
	return s;
}

static struct seen dump(struct ct *ct)
{
	struct seen s = { .n = 0 };

	ck_assert_int_eq(ct_dump(ct, on_entry, &s), 0);
	return s;
}

static struct ct *ct_new(void)
{
	struct ct *ct = NULL;
	int err = ct_open(&ct, MASK);

	ck_assert_msg(err == 0, "ct_open: %s", strerror(-err));
	ck_assert_int_eq(ct_report_new(ct), 0);
	return ct;
}

/* Conntrack entries have events only where something tracks; a rule makes it do so. */
static void track(void)
{
	firewall("table inet fw { chain input {\n"
		 "	type filter hook input priority 0;\n"
		 "	ct state invalid drop\n"
		 "}\n}\n");
}

/* An entry made as conntrack(8) does, outside of the code under test. */
static void insert(const struct tuple *t, uint32_t mark)
{
	char src[ADDR_TEXT], dst[ADDR_TEXT];
	bool tcp = t->l4proto == L4_TCP;

	run("conntrack -I -p %s -s %s -d %s --sport %u --dport %u -t 100 %s -m %u "
	    ">/dev/null 2>&1",
	    tcp ? "tcp" : "udp", addr_format(&t->src, src), addr_format(&t->dst, dst), t->sport,
	    t->dport, tcp ? "--state ESTABLISHED" : "", mark);
}

static struct op admission(const struct tuple *flow, const struct tuple *master)
{
	struct op o = op_of(OP_ADMIT, PH_SVC_FTP, flow);

	o.master = *master;
	return o;
}

static int admit(struct ct *ct, const struct op *o)
{
	int error = -1;

	ck_assert_uint_eq(ct_admit(ct, o, 1, &error), error != 0);
	return error;
}

START_TEST(only_our_marks_are_reported)
{
	struct tuple t = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct ct *ct;
	struct seen s;

	alone();
	track();
	ct = ct_new();
	insert(&t, 0);
	t.sport++;
	insert(&t, 0xc0ffffff); /* all bits but ours */
	t.sport++;
	insert(&t, 0x01000000); /* a service alone is neither control nor pinhole */
	t.sport++;
	insert(&t, CONTROL | 7);
	s = events(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &t));
	ck_assert_uint_eq(s.last.mark, CONTROL | 7);
	ck_assert(!s.last.gone);
	t.sport++;
	insert(&t, PINHOLE);
	s = events(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.last.mark, PINHOLE);

	run("conntrack -D -p tcp >/dev/null 2>&1");
	s = events(ct);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_uint_eq(s.gone, 2);
	ck_assert_int_eq(ct_events(ct, on_entry, &s), 0); /* nothing waits: no error */
	ct_close(ct);
}
END_TEST

START_TEST(a_dump_shows_each_of_ours_once)
{
	struct tuple t = flow_of(FAMILY_IPV6, L4_UDP, THERE, 40000, HERE, 69);
	struct ct *ct;
	struct seen s;

	alone();
	track();
	ct = ct_new();
	ck_assert_uint_eq(dump(ct).n, 0);
	insert(&t, 0);
	t.sport++;
	insert(&t, PINHOLE | CONTROL); /* both bits, should anybody write them */
	s = dump(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &t));
	ck_assert(!s.last.gone);
	t.sport++;
	insert(&t, CONTROL);
	t.sport++;
	insert(&t, PINHOLE);
	ck_assert_uint_eq(dump(ct).n, 3);
	ct_close(ct);
}
END_TEST

START_TEST(admitted_flows_have_a_master_and_our_mark)
{
	enum family family = _i / 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	enum l4 proto = _i % 2 ? L4_UDP : L4_TCP;
	struct tuple master = flow_of(family, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple flow = flow_of(family, proto, HERE, 20, THERE, 50000);
	struct op o = admission(&flow, &master);
	struct ct *ct;
	struct seen s;

	alone();
	track();
	ct = ct_new();
	ck_assert_int_eq(admit(ct, &o), -ENOENT); /* no master */
	insert(&master, CONTROL);
	(void)events(ct);
	ck_assert_int_eq(admit(ct, &o), 0);
	s = events(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &flow));
	ck_assert_uint_eq(s.last.mark, PINHOLE);
	ck_assert_uint_eq(dump(ct).n, 2);

	/* Other services, in their bits. */
	o.service = PH_SVC_RSH;
	o.flow.sport++;
	ck_assert_int_eq(admit(ct, &o), 0);
	ck_assert_uint_eq(events(ct).last.mark, 0x25000000);

	/* A control flow besides, to the other side's rpcbind. */
	o.service = PH_SVC_SUNRPC;
	o.control = true;
	o.flow.sport++;
	ck_assert_int_eq(admit(ct, &o), 0);
	ck_assert_uint_eq(events(ct).last.mark, 0x32000000);

	/* A master of the other transport. */
	master = flow_of(family, L4_UDP, THERE, 40000, HERE, 111);
	insert(&master, 0x12000000);
	o.master = master;
	o.flow.sport++;
	ck_assert_int_eq(admit(ct, &o), 0);
	ct_close(ct);
}
END_TEST

/* The lifetime in seconds that conntrack shows for the flow with this source port. */
static long lifetime(uint16_t sport)
{
	char command[128], *text;
	long seconds;

	(void)snprintf(
	    command, sizeof(command), "conntrack -L -p udp --orig-port-src %u 2>/dev/null", sport);
	text = output(command);
	ck_assert_ptr_nonnull(strchr(text, '1'));
	seconds = strtol(strchr(text, '1') + 2, NULL, 10); /* "udp      17 59 src=..." */
	free(text);
	return seconds;
}

START_TEST(timeouts_are_seconds_within_bounds)
{
	static const struct {
		uint64_t ns;
		long lo, hi;
	} want[] = {
		{ 0, 3, 5 },
		{ 60 * NSEC_PER_SEC, 58, 60 },
		{ 3600 * NSEC_PER_SEC, 118, 120 },
	};
	struct tuple master = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple flow = flow_of(FAMILY_IPV4, L4_UDP, THERE, 50000, HERE, 2000);
	struct ct *ct;

	alone();
	track();
	insert(&master, CONTROL);
	ct = ct_new();
	for (unsigned int i = 0; i < 3; i++) {
		struct op o = admission(&flow, &master);

		o.flow.sport = (uint16_t)(50000 + i);
		o.timeout = want[i].ns;
		ck_assert_int_eq(admit(ct, &o), 0);
		ck_assert_int_ge(lifetime(o.flow.sport), want[i].lo);
		ck_assert_int_le(lifetime(o.flow.sport), want[i].hi);
	}
	ct_close(ct);
}
END_TEST

/* The tuple of a connection in TIME_WAIT, say, comes again. */
START_TEST(an_old_entry_is_replaced)
{
	struct tuple master = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple flow = flow_of(FAMILY_IPV4, L4_TCP, THERE, 50000, HERE, 2000);
	struct tuple old = _i ? flow : flow_of(FAMILY_IPV4, L4_TCP, HERE, 2000, THERE, 50000);
	struct op o = admission(&flow, &master);
	struct ct *ct;
	struct seen s;

	alone();
	track();
	insert(&master, CONTROL);
	insert(&old, PINHOLE); /* in either direction */
	ct = ct_new();
	ck_assert_int_eq(admit(ct, &o), 0);
	/* Its end is not reported: it would be taken for that of the new flow. */
	s = events(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(!s.last.gone);
	ck_assert(tuple_equal(&s.last.tuple, &flow));
	ck_assert_uint_eq(dump(ct).n, 2);
	ck_assert(shows("conntrack -L 2>/dev/null", "NONE src=10.77.0.2"));
	ct_close(ct);
}
END_TEST

START_TEST(each_of_many_has_its_own_result)
{
	enum { N = 100 };
	struct tuple master = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple master6 = flow_of(FAMILY_IPV6, L4_TCP, THERE, 40000, HERE, 21);
	struct op *ops = calloc(N, sizeof(*ops));
	int error[N];
	struct ct *ct;

	ck_assert_ptr_nonnull(ops);
	alone();
	track();
	insert(&master, CONTROL);
	insert(&master6, CONTROL);
	for (unsigned int i = 0; i < N; i++) {
		enum family family = i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
		struct tuple flow =
		    flow_of(family, L4_TCP, THERE, (uint16_t)(50000 + i), HERE, 2000);

		ops[i] = admission(&flow, i % 2 ? &master6 : &master);
	}
	ops[10].kind = OP_OPEN; /* is not ours to do */
	ops[20].master.sport++; /* is not there */
	ops[30].flow.l4proto = 1;
	ops[40].flow.dst = ops[41].flow.dst; /* IPv4 to IPv6 */
	insert(&ops[50].flow, 0);
	insert(&ops[99].flow, PINHOLE);
	ct = ct_new();
	ck_assert_uint_eq(ct_admit(ct, ops, N, error), 3);
	for (unsigned int i = 0; i < N; i++) {
		int want = i == 20 ? -ENOENT : i == 30 || i == 40 ? -EINVAL : 0;

		ck_assert_msg(error[i] == want, "op %u: %s", i, strerror(-error[i]));
	}
	ck_assert_uint_eq(dump(ct).n, N - 4 + 2);
	free(ops);
	ct_close(ct);
}
END_TEST

START_TEST(deletion)
{
	struct tuple t = flow_of(_i ? FAMILY_IPV6 : FAMILY_IPV4, L4_UDP, THERE, 40000, HERE, 2049);
	struct tuple other = t, broken = t;
	struct ct *ct;
	struct seen s;

	alone();
	track();
	ct = ct_new();
	ck_assert_int_eq(ct_delete(ct, &t), -ENOENT);
	insert(&t, PINHOLE);
	other.sport++;
	insert(&other, PINHOLE);
	broken.dst.family = FAMILY_NONE;
	ck_assert_int_eq(ct_delete(ct, &broken), -EINVAL);
	ck_assert_uint_eq(dump(ct).n, 2);
	ck_assert_int_eq(ct_delete(ct, &t), 0);
	ck_assert_int_eq(ct_delete(ct, &t), -ENOENT);
	s = dump(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &other));
	ct_close(ct);
}
END_TEST

struct nested {
	struct ct *ct;
	unsigned int n;
};

static void delete_it(void *arg, const struct ct_entry *entry)
{
	struct nested *d = arg;

	d->n++;
	ck_assert(ct_exists(d->ct, &entry->tuple));
	ck_assert_int_eq(ct_delete(d->ct, &entry->tuple), 0);
}

/* As many entries as make a dump of many pieces, from address 2.0 upwards. */
static void insert_many(unsigned int n, uint16_t dport, uint32_t mark)
{
	char path[] = "/tmp/conntrack.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	ck_assert_ptr_nonnull(f);
	for (unsigned int i = 0; i < n; i++)
		(void)fprintf(f,
		    "-I -p tcp -s 10.77.%u.%u -d 10.77.0.1 --sport 700 --dport %u -t 100 "
		    "--state ESTABLISHED -m %u\n",
		    2 + i / 250, 1 + i % 250, dport, mark);
	ck_assert_int_eq(fclose(f), 0);
	run("conntrack --load-file %s >/dev/null 2>&1", path);
	(void)unlink(path);
}

/* Whoever is shown an entry may do something about it. */
START_TEST(a_dump_may_be_acted_upon)
{
	struct nested d = { .n = 0 };

	alone();
	track();
	insert_many(2000, 21, CONTROL);
	d.ct = ct_new();
	ck_assert_int_eq(ct_dump(d.ct, delete_it, &d), 0);
	ck_assert_uint_eq(d.n, 2000);
	ck_assert_uint_eq(dump(d.ct).n, 0);
	ct_close(d.ct);
}
END_TEST

static struct seen adopt(struct ct *ct)
{
	static const uint16_t ports[] = { 2049, 20049 };
	struct seen s = { .n = 0 };

	ck_assert_int_eq(ct_adopt(ct, ports, 2, PH_SVC_NFS, on_entry, &s), 0);
	return s;
}

static void assert_mark(struct ct *ct, const struct tuple *t, uint32_t mark)
{
	ck_assert(ct_exists(ct, t));
	ck_assert_uint_eq(mark_of((enum family)t->src.family, (enum l4)t->l4proto, t->dport), mark);
}

START_TEST(flows_that_began_before_are_adopted)
{
	enum family family = _i / 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	enum l4 proto = _i % 2 ? L4_UDP : L4_TCP;
	struct tuple t = flow_of(family, proto, THERE, 700, HERE, 2049), other = t;
	struct ct *ct;
	struct seen s;

	alone();
	track();
	ct = ct_new();
	ck_assert_uint_eq(adopt(ct).n, 0);
	insert(&t, 0);
	other.dport = 2050;
	insert(&other, 0);
	s = adopt(ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &t));
	ck_assert_uint_eq(s.last.mark, NFS);
	ck_assert(!s.last.gone);
	assert_mark(ct, &t, NFS);
	assert_mark(ct, &other, 0);
	ck_assert_uint_eq(adopt(ct).n, 0); /* once */

	/* What others keep in the mark stays there. */
	t.dport = 20049;
	insert(&t, 0xc0ffffff);
	ck_assert_uint_eq(adopt(ct).last.mark, NFS | 0xc0ffffff);
	assert_mark(ct, &t, NFS | 0xc0ffffff);

	/* From now on it is one of ours. */
	ck_assert_uint_eq(dump(ct).n, 2);
	s = events(ct);
	ck_assert_uint_eq(s.n, 0);
	run("conntrack -D -f %s -p %s --orig-port-dst 20049 >/dev/null 2>&1",
	    family == FAMILY_IPV4 ? "ipv4" : "ipv6", proto == L4_TCP ? "tcp" : "udp");
	s = events(ct);
	ck_assert_uint_eq(s.gone, 1);
	ck_assert(tuple_equal(&s.last.tuple, &t));
	ct_close(ct);
}
END_TEST

START_TEST(what_is_none_of_ours_is_not_adopted)
{
	static const char *const state[] = { "LAST_ACK", "TIME_WAIT", "CLOSE" };
	static const uint8_t lo[] = { 127, 0, 0, 2 }, lo6[16] = { [15] = 1 };
	struct tuple t = flow_of(FAMILY_IPV4, L4_TCP, THERE, 700, HERE, 2049);
	struct tuple v6 = flow_of(FAMILY_IPV6, L4_TCP, THERE, 700, HERE, 2049);
	struct ct *ct;

	alone();
	track();
	ct = ct_new();
	/* Control, pinhole, or a service that another version has put there. */
	insert(&t, NFS);
	t.sport++;
	insert(&t, PINHOLE);
	t.sport++;
	insert(&t, 0x01000000);
	for (unsigned int i = 0; i < 3; i++)
		run("conntrack -I -p tcp -s 10.77.0.3 -d 10.77.0.1 --sport %u --dport 2049 -t 100 "
		    "--state %s >/dev/null 2>&1",
		    800 + i, state[i]);
	run("conntrack -I -p tcp -s 10.77.0.3 -d 10.77.0.9 --sport 810 --dport 2049 -t 100 "
	    "--state ESTABLISHED --dst-nat 10.77.0.1 >/dev/null 2>&1");
	run("conntrack -I -p tcp -s 10.77.0.3 -d 10.77.0.1 --sport 811 --dport 2049 -t 100 "
	    "--state ESTABLISHED --src-nat 10.77.0.9 >/dev/null 2>&1");
	t.src = t.dst;
	insert(&t, 0);
	t.src = t.dst = addr_ipv4(lo);
	insert(&t, 0);
	v6.src = v6.dst = addr_ipv6(lo6);
	insert(&v6, 0);
	ck_assert_uint_eq(adopt(ct).n, 0);
	ct_close(ct);
}
END_TEST

START_TEST(many_are_adopted)
{
	struct nested d = { .n = 0 };
	const uint16_t port = 2049;

	alone();
	track();
	insert_many(2000, 2049, 3);
	d.ct = ct_new();
	ck_assert_int_eq(ct_adopt(d.ct, &port, 1, PH_SVC_NFS, delete_it, &d), 0);
	ck_assert_uint_eq(d.n, 2000);
	ct_close(d.ct);
}
END_TEST

START_TEST(lost_events_are_noticed)
{
	struct tuple master = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple flow = flow_of(FAMILY_IPV4, L4_TCP, THERE, 50000, HERE, 2000);
	const unsigned int many = 500;
	struct seen s = { .n = 0 };
	struct ct *ct;
	int err;

	alone();
	track();
	insert(&master, CONTROL);
	ct = ct_new();
	ck_assert_int_eq(ct_event_buffer(ct, 4096), 0);
	/* Again after the first time: who asks conntrack has to hear of what is lost meanwhile. */
	for (unsigned int i = 0; i < 2 * many; i++) {
		struct op o = admission(&flow, &master);

		o.flow.sport = (uint16_t)(10000 + i);
		ck_assert_int_eq(admit(ct, &o), 0);
		if (i % many < many - 1)
			continue;
		ck_assert(ready(ct_event_fd(ct), POLLIN, 0));
		ck_assert_int_eq(ct_events(ct, on_entry, &s), -ENOBUFS);
	}
	/* The way out: what a dump shows is the truth, and events go on. */
	ck_assert_uint_eq(dump(ct).n, 2 * many + 1);
	while ((err = ct_events(ct, on_entry, &s)) == -ENOBUFS)
		;
	ck_assert_int_eq(err, 0);
	ck_assert_uint_lt(s.n, many);
	s = events(ct);
	ck_assert_uint_eq(s.n, 0);
	flow.sport = 9999;
	insert(&flow, PINHOLE);
	ck_assert_uint_eq(events(ct).n, 1);
	ct_close(ct);
}
END_TEST

START_TEST(without_privileges_is_eperm)
{
	struct tuple master = flow_of(FAMILY_IPV4, L4_TCP, THERE, 40000, HERE, 21);
	struct tuple flow = flow_of(FAMILY_IPV4, L4_TCP, THERE, 50000, HERE, 2000);
	struct op o[] = { admission(&flow, &master), admission(&flow, &master) };
	const uint16_t port = 2049;
	struct seen s = { .n = 0 };
	struct ct *ct;
	int error[2];

	alone();
	track();
	insert(&master, CONTROL);
	flow.dport = port;
	insert(&flow, 0);
	ct = ct_new();
	/* The kernel asks for it at each request, not only when the socket is opened. */
	ck_assert_int_eq(setuid(65534), 0);
	ck_assert_uint_eq(ct_admit(ct, o, 2, error), 2);
	ck_assert_int_eq(error[0], -EPERM);
	ck_assert_int_eq(error[1], -EPERM);
	ck_assert_int_eq(ct_delete(ct, &master), -EPERM);
	ck_assert_int_eq(ct_adopt(ct, &port, 1, PH_SVC_NFS, on_entry, &s), -EPERM);
	ck_assert_uint_eq(s.n, 0);
	ct_close(ct);
}
END_TEST

/* --- the whole way: table, queue and conntrack ------------------------------------------------ */

/* Drops all that is neither established nor related, on the way in and on the way out. */
static const char strict[] = "table inet fw {\n"
			     "	counter related { }\n"
			     "	counter dropped { }\n"
			     "	chain input {\n"
			     "		type filter hook input priority 0; policy drop;\n"
			     "		meta l4proto ipv6-icmp accept\n"
			     "		ct state established accept\n"
			     "		ct state related counter name related accept\n"
			     "		tcp dport 21 accept\n"
			     "		counter name dropped\n"
			     "	}\n"
			     "	chain output {\n"
			     "		type filter hook output priority 0; policy drop;\n"
			     "		meta l4proto ipv6-icmp accept\n"
			     "		ct state established accept\n"
			     "		ct state related counter name related accept\n"
			     "		counter name dropped\n"
			     "	}\n"
			     "}\n";

struct daemon {
	struct world w;
	struct table *table;
	struct queue *queue;
	struct ct *ct;
	struct tuple master;
	int control; /* the client's socket, there */
};

/* An accepted control connection from there to port 21 here, with everything in place. */
static struct daemon daemon_make(enum family family)
{
	struct daemon d = { .w = world_make() };
	struct table_setup s = all_services(ADMIT_RELATED);
	struct seen seen;
	int listener;

	firewall(strict);
	ck_assert_int_eq(queue_open(&d.queue), 0);
	ck_assert_int_eq(queue_bind(d.queue, PH_QUEUE_BASE_DEFAULT + PH_QUEUE_FIRST, 0xffff), 0);
	ck_assert_int_eq(table_create(&d.table, &s), 0);
	d.ct = ct_new();
	d.master = flow_of(family, L4_TCP, THERE, 40000, HERE, 21);
	listener = listening(d.w.here, family, HERE, 21);
	d.control = calling(d.w.there, family, THERE, 40000, HERE, 21);
	ck_assert(stands(d.control, PATIENCE_MS));
	(void)accepted(listener);
	(void)close(listener);
	/* The watch chains have marked it, and conntrack tells of nothing else. */
	seen = events(d.ct);
	ck_assert_uint_eq(seen.n, 1);
	ck_assert(tuple_equal(&seen.last.tuple, &d.master));
	ck_assert_uint_eq(seen.last.mark, CONTROL);
	return d;
}

static void daemon_end(struct daemon *d)
{
	table_destroy(d->table);
	queue_close(d->queue);
	ct_close(d->ct);
}

/* UDP as sunrpc has it, TCP as FTP has it, unless it is for many. */
static enum ph_service service_of(const struct tuple *flow, bool many)
{
	return many || flow->l4proto == L4_UDP ? PH_SVC_SUNRPC : PH_SVC_FTP;
}

static void announce(struct daemon *d, const struct tuple *flow, bool many)
{
	struct op o = op_of(OP_OPEN, service_of(flow, many), flow);

	o.many = many;
	o.control = flow->dport == 111;
	ck_assert_int_eq(table_stage(d->table, &o), 0);
	ck_assert_int_eq(table_commit(d->table, NULL, NULL), 0);
}

struct first {
	unsigned int n;
	struct tuple tuple;
};

static void on_first(void *arg, uint16_t number, const uint8_t *l3, size_t len)
{
	struct first *f = arg;
	struct packet p;

	ck_assert_uint_eq(number, PH_QUEUE_BASE_DEFAULT + PH_QUEUE_FIRST);
	ck_assert_int_eq(packet_decode(l3, len, &p), PACKET_OK);
	f->tuple = p.tuple;
	f->n++;
}

/* The first packet is held; its flow is created under the master; the packet is let go. */
static void admit_first(struct daemon *d, const struct tuple *flow, bool many)
{
	struct first f = { .n = 0 };
	struct op o;

	ck_assert(ready(queue_fd(d->queue), POLLIN, PATIENCE_MS));
	ck_assert_int_eq(queue_receive(d->queue), 1);
	queue_show(d->queue, on_first, &f);
	ck_assert_uint_eq(f.n, 1);
	ck_assert(tuple_equal(&f.tuple, flow));
	o = admission(flow, &d->master);
	o.service = service_of(flow, many);
	o.many = many;
	o.control = flow->dport == 111;
	ck_assert_int_eq(admit(d->ct, &o), 0);
	ck_assert_int_eq(table_stage(d->table, &o), 0);
	ck_assert_int_eq(table_commit(d->table, NULL, NULL), 0);
	ck_assert_int_eq(queue_release(d->queue), 0);
}

START_TEST(a_firewall_lets_related_in)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct daemon d = daemon_make(family);
	struct tuple hole = flow_of(family, L4_TCP, THERE, 0, HERE, 2000), flow = hole;
	struct seen s;
	int listener = listening(d.w.here, family, HERE, 2000), first, second;

	announce(&d, &hole, false);
	first = calling(d.w.there, family, THERE, 40001, HERE, 2000);
	flow.sport = 40001;
	admit_first(&d, &flow, false);
	ck_assert(stands(first, PATIENCE_MS));
	(void)accepted(listener);
	ck_assert_uint_eq(counter("related"), 1);
	ck_assert_uint_eq(counter("dropped"), 0);

	/* It is spent: the next one is not even held, and the firewall drops it. */
	second = calling(d.w.there, family, THERE, 40002, HERE, 2000);
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert(!ready(queue_fd(d.queue), POLLIN, 0));
	ck_assert(!ready(second, POLLOUT, 0));
	ck_assert_uint_eq(counter("related"), 1);

	s = events(d.ct);
	ck_assert_uint_eq(s.n, 1);
	ck_assert(tuple_equal(&s.last.tuple, &flow));
	ck_assert_uint_eq(s.last.mark, PINHOLE);
	daemon_end(&d);
}
END_TEST

/* Active FTP: the server calls the client, through its own strict output policy. */
START_TEST(a_firewall_lets_related_out)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct daemon d = daemon_make(family);
	struct tuple hole = flow_of(family, L4_TCP, HERE, 0, THERE, 50000), flow = hole;
	int listener = listening(d.w.there, family, THERE, 50000), caller;

	announce(&d, &hole, false);
	caller = calling(d.w.here, family, HERE, 40020, THERE, 50000);
	flow.sport = 40020;
	admit_first(&d, &flow, false);
	ck_assert(stands(caller, PATIENCE_MS));
	(void)accepted(listener);
	ck_assert_uint_eq(counter("related"), 1);
	ck_assert_uint_eq(counter("dropped"), 0);
	daemon_end(&d);
}
END_TEST

/* Only the first datagram of a flow is held; the kernel remembers it, and the answers' tuple too.
 */
START_TEST(datagrams_are_held_once)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct daemon d = daemon_make(family);
	struct tuple hole = flow_of(family, L4_UDP, THERE, 0, HERE, 700), flow = hole;
	struct tuple back = flow_of(family, L4_UDP, HERE, 0, THERE, 700);
	int server = bound(d.w.here, SOCK_DGRAM, family, HERE, 700);
	int client = bound(d.w.there, SOCK_DGRAM, family, THERE, 700);
	struct sockaddr_storage here, there;
	socklen_t here_len = sockaddr_of(&here, family, HERE, 700);
	socklen_t there_len = sockaddr_of(&there, family, THERE, 700);
	char byte;

	announce(&d, &hole, true);
	announce(&d, &back, true); /* one port both ways, as sm-notify has it */
	ck_assert_int_eq(sendto(client, "1", 1, 0, (struct sockaddr *)&here, here_len), 1);
	flow.sport = 700;
	admit_first(&d, &flow, true);
	ck_assert(ready(server, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(recv(server, &byte, 1, 0), 1);
	ck_assert_uint_eq(counter("related"), 1);

	/* The answer, and the next question: nobody holds them. */
	ck_assert_int_eq(sendto(server, "2", 1, 0, (struct sockaddr *)&there, there_len), 1);
	ck_assert(ready(client, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(sendto(client, "3", 1, 0, (struct sockaddr *)&here, here_len), 1);
	ck_assert(ready(server, POLLIN, PATIENCE_MS));
	ck_assert(!ready(queue_fd(d.queue), POLLIN, 0));
	ck_assert_uint_eq(counter("dropped"), 0);
	daemon_end(&d);
}
END_TEST

/*
 * Many flows through one pinhole, each of them held once; to an ordinary port, and to the rpcbind
 * of this host, where they are control flows as well (their queue has no listener here).
 */
START_TEST(each_flow_of_many_is_held_once)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	const uint16_t port = _i / 2 ? 111 : 20048;
	struct daemon d = daemon_make(family);
	struct tuple hole = flow_of(family, L4_UDP, THERE, 0, HERE, port), flow = hole;
	int server = bound(d.w.here, SOCK_DGRAM, family, HERE, port), client[20];

	announce(&d, &hole, true);
	for (uint16_t i = 0; i < 20; i++) {
		client[i] = bound(d.w.there, SOCK_DGRAM, family, THERE, (uint16_t)(700 + i));
		send_to(client[i], family, HERE, port, '1');
		flow.sport = (uint16_t)(700 + i);
		admit_first(&d, &flow, true);
		ck_assert_int_eq(received(server), '1');
	}
	for (char byte = '2'; byte < '5'; byte++) {
		for (uint16_t i = 0; i < 20; i++) {
			send_to(client[i], family, HERE, port, byte);
			ck_assert_int_eq(received(server), byte);
			send_to(server, family, THERE, (uint16_t)(700 + i), byte);
			ck_assert_int_eq(received(client[i]), byte);
		}
	}
	ck_assert(!ready(queue_fd(d.queue), POLLIN, 0));
	ck_assert_uint_eq(counter("related"), 2 * 20); /* until the first answer */
	ck_assert_uint_eq(counter("dropped"), 0);
	ck_assert_uint_eq(mark_of(family, L4_UDP, port), port == 111 ? 0x32000000 : 0x22000000);
	daemon_end(&d);
}
END_TEST

/* Its pinhole closes and opens again: the same flow is a new one, and has to ask again. */
START_TEST(a_flow_that_was_cut_off_is_held_again)
{
	enum family family = _i ? FAMILY_IPV6 : FAMILY_IPV4;
	struct daemon d = daemon_make(family);
	struct tuple hole = flow_of(family, L4_UDP, THERE, 0, HERE, 20048), flow = hole;
	int server = bound(d.w.here, SOCK_DGRAM, family, HERE, 20048);
	int client = bound(d.w.there, SOCK_DGRAM, family, THERE, 700);
	struct op end;

	flow.sport = 700;
	end = op_of(OP_END, PH_SVC_SUNRPC, &flow);
	end.kill = true;
	for (char byte = '1'; byte < '4'; byte++) {
		announce(&d, &hole, true);
		send_to(client, family, HERE, 20048, byte);
		admit_first(&d, &flow, true);
		ck_assert_int_eq(received(server), byte);

		stage_op(d.table, OP_CLOSE, PH_SVC_SUNRPC, &hole, 1);
		ck_assert_int_eq(table_stage(d.table, &end), 0);
		ck_assert_int_eq(ct_delete(d.ct, &flow), 0);
		ck_assert_int_eq(table_commit(d.table, NULL, NULL), 0);
	}
	send_to(client, family, HERE, 20048, '4');
	WAIT_UNTIL(counter("dropped") == 1);
	ck_assert(!ready(queue_fd(d.queue), POLLIN, 0));
	daemon_end(&d);
}
END_TEST

/*
 * The server gives up its port while a client still talks to it: the client hears of it at once,
 * whether conntrack picks up flows in the middle or not.
 */
START_TEST(who_talks_to_a_port_that_was_given_up_is_reset)
{
	enum family family = _i % 2 ? FAMILY_IPV6 : FAMILY_IPV4;
	const bool loose = _i / 2 % 2, out = _i / 4;
	struct daemon d = daemon_make(family);
	const int from = out ? d.w.here : d.w.there, to = out ? d.w.there : d.w.here;
	const unsigned int src = out ? HERE : THERE, dst = out ? THERE : HERE;
	struct tuple hole = flow_of(family, L4_TCP, src, 0, dst, 20048), flow = hole;
	int listener = listening(to, family, dst, 20048), client, server;
	struct op o = op_of(OP_CLOSE, PH_SVC_SUNRPC, &hole);
	char byte;

	/* The reset for what is none of a known flow is itself none of one. */
	firewall("insert rule inet fw output ct state invalid tcp flags rst accept\n"
		 "insert rule inet fw input iif lo accept");
	run("echo %d >/proc/sys/net/netfilter/nf_conntrack_tcp_loose", loose);
	announce(&d, &hole, true);
	client = calling(from, family, src, 700, dst, 20048);
	flow.sport = 700;
	admit_first(&d, &flow, true);
	ck_assert(stands(client, PATIENCE_MS));
	server = accepted(listener);
	ck_assert_int_eq(send(client, "1", 1, 0), 1);
	ck_assert_int_eq(received(server), '1');
	ck_assert_uint_eq(counter("dropped"), 0);

	o.many = o.moved = true;
	ck_assert_int_eq(table_stage(d.table, &o), 0);
	ck_assert_int_eq(ct_delete(d.ct, &flow), 0);
	ck_assert_int_eq(table_commit(d.table, NULL, NULL), 0);
	ck_assert_int_eq(send(client, "2", 1, 0), 1);
	ck_assert(ready(client, POLLIN, PATIENCE_MS));
	ck_assert_int_eq(recv(client, &byte, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	ck_assert(!ready(server, POLLIN, 0));
	/* And again when it calls. */
	(void)close(client);
	ck_assert(is_refused(calling(from, family, src, 700, dst, 20048), PATIENCE_MS));
	ck_assert_uint_eq(counter("dropped"), 0);
	ck_assert(!ready(queue_fd(d.queue), POLLIN, 0));
	daemon_end(&d);
}
END_TEST

/* The session has ended: no new flow under it, whatever is still announced. */
START_TEST(no_flow_outlives_its_master)
{
	struct daemon d = daemon_make(FAMILY_IPV4);
	struct tuple hole = flow_of(FAMILY_IPV4, L4_TCP, THERE, 0, HERE, 2000);
	struct first f = { .n = 0 };
	struct op o;

	(void)listening(d.w.here, FAMILY_IPV4, HERE, 2000);
	announce(&d, &hole, false);
	ck_assert_int_eq(ct_delete(d.ct, &d.master), 0);
	(void)calling(d.w.there, FAMILY_IPV4, THERE, 40001, HERE, 2000);
	ck_assert(ready(queue_fd(d.queue), POLLIN, PATIENCE_MS));
	ck_assert_int_eq(queue_receive(d.queue), 1);
	queue_show(d.queue, on_first, &f);
	o = admission(&f.tuple, &d.master);
	ck_assert_int_eq(admit(d.ct, &o), -ENOENT);
	ck_assert_int_eq(queue_release(d.queue), 0);
	WAIT_UNTIL(counter("dropped") > 0);
	ck_assert_uint_eq(counter("related"), 0);
	daemon_end(&d);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ct");
	TCase *entries = tcase_create("entries"), *whole = tcase_create("whole");

	tcase_set_timeout(entries, 30);
	tcase_add_test(entries, only_our_marks_are_reported);
	tcase_add_test(entries, a_dump_shows_each_of_ours_once);
	tcase_add_loop_test(entries, admitted_flows_have_a_master_and_our_mark, 0, 4);
	tcase_add_test(entries, timeouts_are_seconds_within_bounds);
	tcase_add_loop_test(entries, an_old_entry_is_replaced, 0, 2);
	tcase_add_test(entries, each_of_many_has_its_own_result);
	tcase_add_loop_test(entries, deletion, 0, 2);
	tcase_add_test(entries, a_dump_may_be_acted_upon);
	tcase_add_loop_test(entries, flows_that_began_before_are_adopted, 0, 4);
	tcase_add_test(entries, what_is_none_of_ours_is_not_adopted);
	tcase_add_test(entries, many_are_adopted);
	tcase_add_test(entries, lost_events_are_noticed);
	tcase_add_test(entries, without_privileges_is_eperm);
	suite_add_tcase(s, entries);

	tcase_set_timeout(whole, 30);
	tcase_add_loop_test(whole, a_firewall_lets_related_in, 0, 2);
	tcase_add_loop_test(whole, a_firewall_lets_related_out, 0, 2);
	tcase_add_loop_test(whole, datagrams_are_held_once, 0, 2);
	tcase_add_loop_test(whole, each_flow_of_many_is_held_once, 0, 4);
	tcase_add_loop_test(whole, a_flow_that_was_cut_off_is_held_again, 0, 2);
	tcase_add_loop_test(whole, who_talks_to_a_port_that_was_given_up_is_reset, 0, 8);
	tcase_add_test(whole, no_flow_outlives_its_master);
	suite_add_tcase(s, whole);
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
