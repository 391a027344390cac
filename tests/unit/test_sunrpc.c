// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rpcbind tracker through the engine: every message of portmap 2 and rpcbind 3 and 4 over UDP
 * and TCP, IPv4 and IPv6, whole, cut off and cut up at every byte, and what broken or hostile peers
 * send instead. What counts is what is opened, for whom, and why not.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/kernel.h"
#include "lib/rpc.h"
#include "lib/world.h"

#define WHOLE 0x7fffffffu /* a record of one fragment, a stream of one segment */

static struct world w;
static struct kernel kernel;
static struct message call, answer, stream;
static uint32_t xid;

/* Every test runs in all four: its number is _i, or comes first in it. */
static const struct {
	enum family family;
	enum l4 l4proto;
} places[] = {
	{ FAMILY_IPV4, L4_UDP },
	{ FAMILY_IPV4, L4_TCP },
	{ FAMILY_IPV6, L4_UDP },
	{ FAMILY_IPV6, L4_TCP },
};

#define PLACES 4

static bool tcp(void)
{
	return w.l4proto == L4_TCP;
}

static void connect_anew(void)
{
	if (tcp())
		world_connect(&w);
	xid++;
}

static void follow(struct world *world)
{
	kernel_follow(&kernel, world);
}

static void again(void)
{
	kernel_reset(&kernel);
	world_restart(&w);
	connect_anew();
}

static void begin(int place)
{
	world_begin(&w, places[place].family);
	w.service = PH_SVC_SUNRPC;
	w.l4proto = places[place].l4proto;
	w.port = 111;
	w.after = follow;
	xid = 0x12345678;
	again();
}

static void teardown(void)
{
	kernel_dies_out(&kernel, &w);
	kernel_reset(&kernel);
	world_end(&w);
}

static const struct engine_stats *stats(void)
{
	return engine_stats(w.engine);
}

/* --- what peers say -------------------------------------------------------------------------- */

static void stream_out(enum dir dir, size_t chop)
{
	world_says_chopped(&w, dir, (const char *)stream.bytes, stream.len, chop);
}

static void say(enum dir dir, const struct message *m)
{
	if (!tcp()) {
		world_datagram(&w, dir, m->bytes, m->len);
		return;
	}
	stream.len = 0;
	rpc_record(&stream, m, WHOLE);
	stream_out(dir, WHOLE);
}

static void ask(void)
{
	say(DIR_ORIGINAL, &call);
}

static void reply(void)
{
	say(DIR_REPLY, &answer);
}

static bool ipv4(void)
{
	return w.server.family == FAMILY_IPV4;
}

/* The universal address of a port at this host; the last of two stays valid. */
static const char *uaddr(const struct addr *host, unsigned int port)
{
	static char text[2][ADDR_TEXT + 16];
	static int turn;
	char name[ADDR_TEXT];

	turn = !turn;
	(void)snprintf(text[turn], sizeof(text[turn]), "%s.%u.%u", addr_format(host, name),
	    port >> 8, port & 255);
	return text[turn];
}

static const char *wildcard(unsigned int port)
{
	static const struct addr any[] = { { .family = FAMILY_IPV4 }, { .family = FAMILY_IPV6 } };

	return uaddr(&any[!ipv4()], port);
}

static const char *netid(enum l4 l4proto)
{
	if (ipv4())
		return l4proto == L4_TCP ? "tcp" : "udp";
	return l4proto == L4_TCP ? "tcp6" : "udp6";
}

/* --- what comes of it ------------------------------------------------------------------------ */

static unsigned int open_count(void)
{
	return stats()->open_pinholes;
}

static const struct pinhole *find(
    uint32_t program, uint32_t version, enum dir dir, enum l4 l4proto, uint16_t port)
{
	const struct pinhole *p;
	struct tuple want = world_data(&w, dir, 0, port);

	want.l4proto = (uint8_t)l4proto;
	for (p = engine_first_pinhole(w.engine); p; p = engine_next_pinhole(p))
		if (p->state == PINHOLE_OPEN && p->program == program &&
		    p->versions & PROGRAM_VERSION(version) && tuple_equal(&p->flow, &want))
			return p;
	return NULL;
}

static bool is_open(uint32_t program, uint32_t version, enum l4 l4proto, uint16_t port)
{
	const struct pinhole *p = find(program, version, DIR_ORIGINAL, l4proto, port);

	return p && p->many && !p->portmap && p->dport_hi == port;
}

static void opened(uint32_t program, uint32_t version, enum l4 l4proto, uint16_t port)
{
	ck_assert_msg(is_open(program, version, l4proto, port),
	    "program %u v%u at %s port %u is not open", program, version,
	    l4proto == L4_TCP ? "tcp" : "udp", port);
}

static void opened_only(uint32_t program, uint32_t version, enum l4 l4proto, uint16_t port)
{
	opened(program, version, l4proto, port);
	ck_assert_uint_eq(open_count(), 1);
}

static void nothing_open(void)
{
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(stats()->opened, 0);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
}

static void refused(enum reason why)
{
	const struct op *op = world_last(&w, OP_REFUSE);

	nothing_open();
	ck_assert_msg(op != NULL, "nothing was refused; wanted %s", reason_word(why));
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_uint_eq(stats()->reasons[why], 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 1);
}

/* Neither open nor refused. */
static void nothing(void)
{
	nothing_open();
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}

/* --- exchanges ------------------------------------------------------------------------------- */

static void getport_call(void)
{
	pmap_getport(&call, xid, RPC_MOUNTD, 3, RPC_TCP);
}

static void getport_answer(void)
{
	pmap_port(&answer, xid, 635);
}

static void getport_udp_call(void)
{
	pmap_getport(&call, xid, RPC_MOUNTD, 1, RPC_UDP);
}

static void dump2_call(void)
{
	rpc_call(&call, xid, 2, PMAP_DUMP);
}

/* The order is rpcbind's: itself, and then what it was told. */
static void dump2_answer(void)
{
	rpc_reply(&answer, xid, RPC_SUCCESS);
	pmap_entry(&answer, RPC_PORTMAP, 2, RPC_TCP, 111);
	pmap_entry(&answer, RPC_MOUNTD, 3, RPC_TCP, 40001);
	pmap_entry(&answer, RPC_YPBIND, 2, RPC_TCP, 40002);
	pmap_entry(&answer, RPC_STATUS, 1, RPC_UDP, 662);
	pmap_entry(&answer, RPC_MOUNTD, 3, 132, 40003); /* SCTP */
	pmap_entry(&answer, RPC_MOUNTD, 1, RPC_TCP, 40001);
	rpc_list_end(&answer);
}

static void getaddr3_call(void)
{
	rpcb_ask(&call, xid, 3, RPCB_GETADDR, RPC_MOUNTD, 3, netid(w.l4proto));
}

static void getaddr4_call(void)
{
	rpcb_ask(&call, xid, 4, RPCB_GETADDR, RPC_MOUNTD, 3, netid(w.l4proto));
}

static void getversaddr_call(void)
{
	rpcb_ask(&call, xid, 4, RPCB_GETVERSADDR, RPC_MOUNTD, 3, netid(w.l4proto));
}

/* rpcbind infers the netid from the transport (RFC 1833 section 2.2.1), whatever is asked for. */
static void getaddr_other_netid_call(void)
{
	rpcb_ask(&call, xid, 4, RPCB_GETADDR, RPC_MOUNTD, 3, netid(tcp() ? L4_UDP : L4_TCP));
}

static void getaddr_empty_netid_call(void)
{
	rpcb_ask(&call, xid, 3, RPCB_GETADDR, RPC_MOUNTD, 3, "");
}

static void uaddr_answer(void)
{
	rpcb_uaddr(&answer, xid, uaddr(&w.server, 40001));
}

static void uaddr_wildcard_answer(void)
{
	rpcb_uaddr(&answer, xid, wildcard(40001));
}

static void dump3_call(void)
{
	rpc_call(&call, xid, 3, RPCB_DUMP);
}

static void dump4_call(void)
{
	rpc_call(&call, xid, 4, RPCB_DUMP);
}

/* A host of both families, each with ports of its own; only those of this session's are for it. */
static void dump4_answer(void)
{
	rpc_reply(&answer, xid, RPC_SUCCESS);
	rpcb_entry(&answer, RPC_PORTMAP, 4, "local", "/run/rpcbind.sock");
	rpcb_entry(&answer, RPC_PORTMAP, 4, netid(L4_TCP), wildcard(111));
	rpcb_entry(&answer, RPC_MOUNTD, 3, netid(L4_TCP), wildcard(40001));
	rpcb_entry(&answer, RPC_MOUNTD, 3, netid(L4_UDP), wildcard(635));
	rpcb_entry(&answer, RPC_MOUNTD, 3, ipv4() ? "tcp6" : "tcp",
	    ipv4() ? "::.156.70" : "0.0.0.0.156.70");
	rpcb_entry(&answer, RPC_MOUNTD, 3, ipv4() ? "udp6" : "udp",
	    ipv4() ? "2001:db8::2.156.71" : "198.51.100.2.156.71");
	rpcb_entry(&answer, RPC_MOUNTD, 3, "sctp", wildcard(40009));
	rpcb_entry(&answer, RPC_YPBIND, 2, netid(L4_TCP), wildcard(40002));
	rpcb_entry(&answer, RPC_STATUS, 1, netid(L4_TCP), uaddr(&w.server, 662));
	rpc_list_end(&answer);
}

static void getaddrlist_call(void)
{
	rpcb_ask(&call, xid, 4, RPCB_GETADDRLIST, RPC_MOUNTD, 3, netid(w.l4proto));
}

static void getaddrlist_answer(void)
{
	rpc_reply(&answer, xid, RPC_SUCCESS);
	rpcb_endpoint(&answer, uaddr(&w.server, 40001), netid(L4_TCP));
	rpcb_endpoint(&answer, uaddr(&w.server, 635), netid(L4_UDP));
	rpcb_endpoint(&answer, ipv4() ? "::.156.70" : "0.0.0.0.156.70", ipv4() ? "tcp6" : "tcp");
	rpcb_endpoint(&answer, "host.rpc", "local");
	rpc_list_end(&answer);
}

static void null_call(void)
{
	rpc_call(&call, xid, 2, PMAP_NULL);
}

static void null_answer(void)
{
	rpc_reply(&answer, xid, RPC_SUCCESS);
}

static void set_call(void)
{
	pmap_getport(&call, xid, RPC_MOUNTD, 3, RPC_TCP);
	call.bytes[23] = PMAP_SET;
}

static void unset4_call(void)
{
	rpcb_ask(&call, xid, 4, RPCB_UNSET, RPC_MOUNTD, 3, "tcp");
}

/* A boolean, a time, a struct netbuf: results that might be taken for a port or an address. */
static void word_answer(void)
{
	pmap_port(&answer, xid, 40001);
}

static void gettime_call(void)
{
	rpc_call(&call, xid, 3, RPCB_GETTIME);
}

static void uaddr2taddr_call(void)
{
	rpc_call(&call, xid, 4, RPCB_UADDR2TADDR);
	xdr_text(&call, uaddr(&w.server, 40001));
}

static void taddr2uaddr_call(void)
{
	rpc_call(&call, xid, 3, RPCB_TADDR2UADDR);
	xdr_word(&call, 16);
	xdr_opaque(&call, "0123456789abcdef", 16);
}

static void getstat_call(void)
{
	rpc_call(&call, xid, 4, RPCB_GETSTAT);
}

/* Other programs at port 111, other versions of this one. */
static void other_program_call(void)
{
	rpc_call_with(&call, xid, RPC_MOUNTD, 2, PMAP_GETPORT, 0, 0);
	xdr_word(&call, RPC_MOUNTD);
}

static void version5_call(void)
{
	rpc_call(&call, xid, 5, RPCB_GETADDR);
}

static void version1_call(void)
{
	rpc_call(&call, xid, 1, PMAP_GETPORT);
}

static void rpc3_call(void)
{
	getport_call();
	call.bytes[11] = 3;
}

struct opening {
	uint32_t program, version;
	enum l4 l4proto; /* 0: that of the session */
	uint16_t port;
};

static const struct exchange {
	const char *name;
	void (*call)(void);
	void (*answer)(void);
	bool list; /* what is complete of it opens before the rest has come */
	unsigned int pinholes;
	struct opening opens[4];
} exchanges[] = {
	{ "GETPORT tcp", getport_call, getport_answer, false, 1,
	    { { RPC_MOUNTD, 3, L4_TCP, 635 } } },
	{ "GETPORT udp", getport_udp_call, getport_answer, false, 1,
	    { { RPC_MOUNTD, 1, L4_UDP, 635 } } },
	{ "DUMP v2", dump2_call, dump2_answer, true, 2,
	    { { RPC_MOUNTD, 3, L4_TCP, 40001 }, { RPC_MOUNTD, 1, L4_TCP, 40001 },
		{ RPC_STATUS, 1, L4_UDP, 662 } } },
	{ "GETADDR v3", getaddr3_call, uaddr_answer, false, 1, { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "GETADDR v4", getaddr4_call, uaddr_answer, false, 1, { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "GETVERSADDR", getversaddr_call, uaddr_answer, false, 1,
	    { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "GETADDR of a wildcard", getaddr3_call, uaddr_wildcard_answer, false, 1,
	    { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "GETADDR for another netid", getaddr_other_netid_call, uaddr_answer, false, 1,
	    { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "GETADDR for no netid", getaddr_empty_netid_call, uaddr_answer, false, 1,
	    { { RPC_MOUNTD, 3, 0, 40001 } } },
	{ "DUMP v3", dump3_call, dump4_answer, true, 3,
	    { { RPC_MOUNTD, 3, L4_TCP, 40001 }, { RPC_MOUNTD, 3, L4_UDP, 635 },
		{ RPC_STATUS, 1, L4_TCP, 662 } } },
	{ "DUMP v4", dump4_call, dump4_answer, true, 3,
	    { { RPC_MOUNTD, 3, L4_TCP, 40001 }, { RPC_MOUNTD, 3, L4_UDP, 635 },
		{ RPC_STATUS, 1, L4_TCP, 662 } } },
	{ "GETADDRLIST", getaddrlist_call, getaddrlist_answer, true, 2,
	    { { RPC_MOUNTD, 3, L4_TCP, 40001 }, { RPC_MOUNTD, 3, L4_UDP, 635 } } },
	{ "NULL", null_call, null_answer, false, 0, { { 0 } } },
	{ "SET", set_call, word_answer, false, 0, { { 0 } } },
	{ "UNSET v4", unset4_call, word_answer, false, 0, { { 0 } } },
	{ "GETTIME", gettime_call, word_answer, false, 0, { { 0 } } },
	{ "UADDR2TADDR", uaddr2taddr_call, uaddr_answer, false, 0, { { 0 } } },
	{ "TADDR2UADDR", taddr2uaddr_call, uaddr_answer, false, 0, { { 0 } } },
	{ "GETSTAT", getstat_call, dump4_answer, false, 0, { { 0 } } },
	{ "another program", other_program_call, word_answer, false, 0, { { 0 } } },
	{ "version 5", version5_call, uaddr_answer, false, 0, { { 0 } } },
	{ "version 1", version1_call, word_answer, false, 0, { { 0 } } },
	{ "RPC version 3", rpc3_call, word_answer, false, 0, { { 0 } } },
};

#define EXCHANGES ((int)(sizeof(exchanges) / sizeof(exchanges[0])))

/* A loop test over exchanges in all places. */
#define EACH       PLACES *EXCHANGES
#define EXCHANGE() exchanges[_i / PLACES]

static void make(const struct exchange *x)
{
	x->call();
	x->answer();
}

static unsigned int openings(const struct exchange *x)
{
	unsigned int n = 0;

	for (const struct opening *o = x->opens; o < x->opens + 4 && o->program; o++)
		n += is_open(o->program, o->version, o->l4proto ? o->l4proto : w.l4proto, o->port);
	return n;
}

static unsigned int wanted(const struct exchange *x)
{
	unsigned int n = 0;

	while (n < 4 && x->opens[n].program)
		n++;
	return n;
}

/* Exactly what it should open is open, and nothing else happened. */
static void took_place(const struct exchange *x, const char *how, size_t at)
{
	ck_assert_msg(openings(x) == wanted(x), "%s, %s %zu: %u of %u open", x->name, how, at,
	    openings(x), wanted(x));
	ck_assert_msg(
	    open_count() == x->pinholes, "%s, %s %zu: %u pinholes", x->name, how, at, open_count());
	ck_assert_msg(world_count(&w, OP_REFUSE) == 0, "%s, %s %zu: %s", x->name, how, at,
	    world_count(&w, OP_REFUSE) ? reason_word(world_last(&w, OP_REFUSE)->reason) : "");
}

/* No more than the part of a list that was whole. */
static void not_yet(const struct exchange *x, const char *how, size_t at)
{
	ck_assert_msg(x->list || open_count() == 0, "%s, %s %zu: open", x->name, how, at);
	ck_assert_uint_le(open_count(), x->pinholes);
	ck_assert_uint_ge(openings(x), open_count());
}

START_TEST(whole)
{
	const struct exchange *x = &EXCHANGE();

	begin(_i % PLACES);
	make(x);
	ask();
	nothing();
	reply();
	took_place(x, "whole", 0);
}
END_TEST

/*
 * A datagram or record that ends early is refused whole, as a call and as an answer. What was
 * complete of a list stays open. The next exchange is not disturbed.
 */
START_TEST(truncated)
{
	const struct exchange *x = &EXCHANGE();
	size_t len;

	begin(_i % PLACES);
	make(x);
	for (size_t at = 0; at < call.len; at++) {
		again();
		make(x);
		len = call.len;
		call.len = at;
		ask();
		nothing_open();
		call.len = len;
		reply();
		ck_assert_msg(open_count() == 0, "%s: call cut at %zu", x->name, at);
		xid++;
		make(x);
		ask();
		reply();
		ck_assert_uint_eq(openings(x), wanted(x));
	}
	make(x);
	for (size_t at = 0; at < answer.len; at++) {
		again();
		make(x);
		ask();
		answer.len = at;
		reply();
		not_yet(x, "answer cut at", at);
		xid++;
		make(x);
		ask();
		reply();
		ck_assert_uint_eq(openings(x), wanted(x));
		ck_assert_uint_eq(open_count(), x->pinholes);
	}
}
END_TEST

static void split_answer(const struct exchange *x, size_t at)
{
	again();
	make(x);
	ask();
	stream.len = 0;
	rpc_record(&stream, &answer, WHOLE);
	world_says_chopped(&w, DIR_REPLY, (const char *)stream.bytes, at, WHOLE);
	if (at < stream.len)
		not_yet(x, "split at", at);
	world_says_chopped(&w, DIR_REPLY, (const char *)stream.bytes + at, stream.len - at, WHOLE);
	took_place(x, "answer split at", at);
}

static void split_call(const struct exchange *x, size_t at)
{
	again();
	make(x);
	stream.len = 0;
	rpc_record(&stream, &call, WHOLE);
	world_says_chopped(&w, DIR_ORIGINAL, (const char *)stream.bytes, at, WHOLE);
	world_says_chopped(
	    &w, DIR_ORIGINAL, (const char *)stream.bytes + at, stream.len - at, WHOLE);
	reply();
	took_place(x, "call split at", at);
}

START_TEST(split)
{
	const struct exchange *x = &EXCHANGE();

	begin(_i % PLACES);
	if (!tcp())
		return;
	make(x);
	for (size_t at = 0; at <= call.len + 4; at++)
		split_call(x, at);
	make(x);
	for (size_t at = 0; at <= answer.len + 4; at++)
		split_answer(x, at);
}
END_TEST

/* Segments of many sizes, fragments of many sizes, and both. */
START_TEST(chopped)
{
	const struct exchange *x = &EXCHANGE();

	begin(_i % PLACES);
	if (!tcp())
		return;
	make(x);
	for (size_t fragment = 1; fragment <= answer.len; fragment += 1 + fragment / 8) {
		static const size_t chops[] = { 1, 3, 4, 7, 64, WHOLE };

		for (size_t i = 0; i < sizeof(chops) / sizeof(chops[0]); i++) {
			again();
			make(x);
			stream.len = 0;
			rpc_record(&stream, &call, fragment);
			stream_out(DIR_ORIGINAL, chops[i]);
			stream.len = 0;
			rpc_record(&stream, &answer, fragment);
			stream_out(DIR_REPLY, chops[i]);
			took_place(x, "fragments of", fragment);
		}
	}
}
END_TEST

/* Empty fragments between the others are no end of a record. */
START_TEST(empty_fragments)
{
	const struct exchange *x = &EXCHANGE();

	begin(_i % PLACES);
	if (!tcp())
		return;
	make(x);
	ask();
	stream.len = 0;
	for (size_t at = 0; at < answer.len; at += 10) {
		size_t n = answer.len - at < 10 ? answer.len - at : 10;

		rpc_mark(&stream, 0, 0);
		rpc_mark(&stream, (uint32_t)n, 0);
		xdr_bytes(&stream, answer.bytes + at, n);
	}
	stream_out(DIR_REPLY, WHOLE);
	ck_assert_uint_eq(openings(x), wanted(x));
	stream.len = 0;
	rpc_mark(&stream, 0, 1);
	stream_out(DIR_REPLY, WHOLE);
	took_place(x, "empty fragments", 0);
}
END_TEST

/* --- several at once ------------------------------------------------------------------------- */

/* Thirty-two in flight, answered in reverse order. */
START_TEST(in_flight)
{
	begin(_i);
	for (uint32_t i = 0; i < 32; i++) {
		pmap_getport(&call, xid + i, RPC_MOUNTD, i, i % 2 ? RPC_TCP : RPC_UDP);
		ask();
	}
	nothing();
	for (uint32_t i = 32; i-- > 0;) {
		pmap_port(&answer, xid + i, 40000 + i);
		reply();
		opened(RPC_MOUNTD, i, i % 2 ? L4_TCP : L4_UDP, (uint16_t)(40000 + i));
	}
	ck_assert_uint_eq(open_count(), 32);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

START_TEST(records_in_one_segment)
{
	begin(1);
	stream.len = 0;
	for (uint32_t i = 0; i < 10; i++) {
		pmap_getport(&call, xid + i, RPC_MOUNTD, 3 + i, RPC_TCP);
		rpc_record(&stream, &call, _i ? 7 : WHOLE);
	}
	stream_out(DIR_ORIGINAL, WHOLE);
	stream.len = 0;
	for (uint32_t i = 0; i < 10; i++) {
		pmap_port(&answer, xid + i, 40000 + i);
		rpc_record(&stream, &answer, _i ? 5 : WHOLE);
	}
	stream_out(DIR_REPLY, WHOLE);
	for (uint32_t i = 0; i < 10; i++)
		opened(RPC_MOUNTD, 3 + i, L4_TCP, (uint16_t)(40000 + i));
	ck_assert_uint_eq(open_count(), 10);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

/* A client that repeats its call over UDP gets two answers; the first is the one that counts. */
START_TEST(repeated_call)
{
	begin(_i);
	getport_call();
	getport_answer();
	ask();
	ask();
	ask();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
	pmap_port(&answer, xid, 40001);
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 1);
}
END_TEST

/* An XID that is used again for another question stands for that one. */
START_TEST(reused_xid)
{
	begin(_i);
	getport_call();
	ask();
	pmap_getport(&call, xid, RPC_STATUS, 1, RPC_UDP);
	ask();
	pmap_port(&answer, xid, 662);
	reply();
	opened_only(RPC_STATUS, 1, L4_UDP, 662);
	reply();
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 1);
}
END_TEST

START_TEST(cause_says_which_call)
{
	begin(_i);
	getport_call();
	getport_answer();
	ask();
	reply();
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "GETPORT"));
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "100005"));
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "635"));
	xid = 0xffffffff;
	getaddrlist_call();
	getaddrlist_answer();
	ask();
	reply();
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "GETADDRLIST"));
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "0xffffffff"));
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "635"));
	xid = 1;
	getversaddr_call();
	rpcb_uaddr(&answer, xid, uaddr(&w.server, 40007));
	ask();
	reply();
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "GETVERSADDR"));
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_OPEN)->cause, "40007"));
}
END_TEST

/* --- refusals -------------------------------------------------------------------------------- */

static const struct {
	uint32_t program, port;
	enum reason why;
} ports[] = {
	{ RPC_MOUNTD, 22, REASON_PORT_NEVER },
	{ RPC_MOUNTD, 23, REASON_PORT_NEVER },
	{ RPC_MOUNTD, 111, REASON_PORT_NEVER },
	{ RPC_NFS, 443, REASON_PORT_NEVER },
	{ RPC_NLOCKMGR, 3306, REASON_PORT_NEVER },
	{ RPC_MOUNTD, 65536, REASON_PORT_RANGE },
	{ RPC_MOUNTD, 65558, REASON_PORT_RANGE }, /* 22 when it wraps */
	{ RPC_MOUNTD, 0x10000 + 40000, REASON_PORT_RANGE },
	{ RPC_MOUNTD, 0xffffffff, REASON_PORT_RANGE },
	{ RPC_YPBIND, 40001, REASON_PROGRAM },
	{ 0, 40001, REASON_PROGRAM },
	{ 0xffffffff, 40001, REASON_PROGRAM },
	{ 100005 + 1, 40001, REASON_PROGRAM },
};

#define PORTS ((int)(sizeof(ports) / sizeof(ports[0])))

START_TEST(port_refused)
{
	begin(_i % PLACES);
	pmap_getport(&call, xid, ports[_i / PLACES].program, 3, RPC_TCP);
	pmap_port(&answer, xid, ports[_i / PLACES].port);
	ask();
	reply();
	refused(ports[_i / PLACES].why);
	ck_assert_ptr_nonnull(strstr(world_last(&w, OP_REFUSE)->cause, "GETPORT"));
}
END_TEST

/* %s is the host that was asked. */
static const struct {
	const char *uaddr;
	enum reason why;
} uaddrs[] = {
	{ "203.0.113.9.156.64", REASON_ADDRESS },
	{ "127.0.0.1.156.64", REASON_ADDRESS },
	{ "192.0.2.1.156.64", REASON_ADDRESS }, /* the client itself */
	{ "198.51.100.3.156.64", REASON_ADDRESS },
	{ "2001:db8::3.156.64", REASON_FAMILY },
	{ "::.156.64", REASON_FAMILY },
	{ "::ffff:198.51.100.2.156.64", REASON_FAMILY },
	{ "%s.0.22", REASON_PORT_NEVER },
	{ "%s.256.22", REASON_MALFORMED },
	{ "%s.999.64", REASON_MALFORMED },
	{ "%s.3.999", REASON_MALFORMED },
	{ "%s.3.256", REASON_MALFORMED },
	{ "999.51.100.2.3.20", REASON_MALFORMED },
	{ "%s.1.3.20", REASON_MALFORMED },
	{ "%s.3.20.", REASON_MALFORMED },
	{ "%s..20", REASON_MALFORMED },
	{ "%s.3.", REASON_MALFORMED },
	{ "%s.3", REASON_MALFORMED },
	{ "%s", REASON_MALFORMED },
	{ ".%s.3.20", REASON_MALFORMED },
	{ "3.20", REASON_MALFORMED },
	{ ".3.20", REASON_MALFORMED },
	{ ".", REASON_MALFORMED },
	{ "20", REASON_MALFORMED },
	{ "%s.3.-20", REASON_MALFORMED },
	{ "%s.3.+20", REASON_MALFORMED },
	{ "%s.3. 20", REASON_MALFORMED },
	{ "%s.3.20 ", REASON_MALFORMED },
	{ "%s.3.0x14", REASON_MALFORMED },
	{ "%s.3.00000000020", REASON_MALFORMED },
	{ "%s.4294967299.20", REASON_MALFORMED },
	{ "%s.3.99999999999999999999", REASON_MALFORMED },
	{ "%s%%eth0.3.20", REASON_MALFORMED },
	{ "[%s].3.20", REASON_MALFORMED },
	{ "/run/rpcbind.sock", REASON_MALFORMED },
	{ "\xff\xfe.3.20", REASON_MALFORMED },
};

#define UADDRS ((int)(sizeof(uaddrs) / sizeof(uaddrs[0])))

/* On IPv6 the families change places; the texts without a host are the same. */
static enum reason here(enum reason why, const char *text)
{
	if (ipv4() || (why != REASON_ADDRESS && why != REASON_FAMILY))
		return why;
	if (strcmp(text, "::.156.64") == 0)
		return REASON_ANNOUNCED;
	return why == REASON_ADDRESS ? REASON_FAMILY : REASON_ADDRESS;
}

START_TEST(uaddr_refused)
{
	char host[ADDR_TEXT], text[128];
	enum reason why;

	begin(_i % PLACES);
	why = here(uaddrs[_i / PLACES].why, uaddrs[_i / PLACES].uaddr);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(text, sizeof(text), uaddrs[_i / PLACES].uaddr, addr_format(&w.server, host));
#pragma GCC diagnostic pop
	getaddr3_call();
	rpcb_uaddr(&answer, xid, text);
	ask();
	reply();
	if (why == REASON_ANNOUNCED)
		opened_only(RPC_MOUNTD, 3, w.l4proto, 40000);
	else
		refused(why);
}
END_TEST

/* A NUL would hide what follows it; a longer text than any address is not looked into. */
START_TEST(uaddr_odd_bytes)
{
	char text[200];

	begin(_i);
	getaddr3_call();
	(void)snprintf(text, sizeof(text), "%s", uaddr(&w.server, 40001));
	rpc_reply(&answer, xid, RPC_SUCCESS);
	xdr_opaque(&answer, text, strlen(text) + 1);
	ask();
	reply();
	refused(REASON_MALFORMED);
	for (size_t n = 100; n < 200; n++) {
		again();
		memset(text, '1', sizeof(text));
		getaddr3_call();
		rpc_reply(&answer, xid, RPC_SUCCESS);
		xdr_opaque(&answer, text, n);
		ask();
		reply();
		refused(REASON_MALFORMED);
	}
}
END_TEST

/* Lengths that run over the end of the message, or wrap. */
START_TEST(lengths_that_lie)
{
	static const uint32_t lies[] = { 1, 64, 128, 129, 0x7fffffff, 0x80000000, 0xfffffffc,
		0xfffffffd, 0xffffffff };

	begin(_i);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		again();
		getaddr3_call();
		rpc_reply(&answer, xid, RPC_SUCCESS);
		xdr_word(&answer, lies[i]);
		ask();
		reply();
		refused(REASON_MALFORMED);
	}
}
END_TEST

/* Not registered, or not for us: there is nothing to refuse. */
static void port_zero(void)
{
	getport_call();
	pmap_port(&answer, xid, 0);
}

static void uaddr_empty(void)
{
	getaddr3_call();
	rpcb_uaddr(&answer, xid, "");
}

static void uaddr_port_zero(void)
{
	getaddr3_call();
	rpcb_uaddr(&answer, xid, uaddr(&w.server, 0));
}

static void other_transport(void)
{
	pmap_getport(&call, xid, RPC_MOUNTD, 3, 132);
	getport_answer();
}

static void denied(void)
{
	getport_call();
	rpc_denied(&answer, xid);
}

static void unsuccessful(enum rpc_accepted status)
{
	getport_call();
	rpc_reply(&answer, xid, status);
	xdr_word(&answer, 40001);
	xdr_word(&answer, 40001);
}

static void prog_unavail(void)
{
	unsuccessful(RPC_PROG_UNAVAIL);
}

static void prog_mismatch(void)
{
	unsuccessful(RPC_PROG_MISMATCH);
}

static void garbage_args(void)
{
	unsuccessful(RPC_GARBAGE_ARGS);
}

static void status_unknown(void)
{
	unsuccessful((enum rpc_accepted)0xffffffff);
}

static void empty_list(void)
{
	dump2_call();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	rpc_list_end(&answer);
}

static void only_others(void)
{
	dump2_call();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	for (uint32_t i = 0; i < 100; i++)
		pmap_entry(&answer, RPC_YPBIND + i % 2, 2, RPC_TCP, 40000 + i);
	rpc_list_end(&answer);
}

/* rpcbind itself: whoever asks it for its own port knows that. */
static void portmap_itself(void)
{
	pmap_getport(&call, xid, RPC_PORTMAP, 2, RPC_TCP);
	pmap_port(&answer, xid, 40001);
}

static void (*const silent[])(void) = {
	portmap_itself,
	port_zero,
	uaddr_empty,
	uaddr_port_zero,
	other_transport,
	denied,
	prog_unavail,
	prog_mismatch,
	garbage_args,
	status_unknown,
	empty_list,
	only_others,
};

#define SILENT ((int)(sizeof(silent) / sizeof(silent[0])))

START_TEST(opens_nothing)
{
	begin(_i % PLACES);
	silent[_i / PLACES]();
	ask();
	reply();
	nothing();
}
END_TEST

/* A call from the server, an answer from the client: they are no part of the conversation. */
START_TEST(wrong_way_round)
{
	begin(_i);
	getport_call();
	ask();
	answer = call;
	reply();
	getport_answer();
	call = answer;
	ask();
	nothing();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

/* What failed has been answered: a second answer is one to no question. */
START_TEST(failed_is_answered)
{
	begin(_i % PLACES);
	if (_i / PLACES)
		prog_unavail();
	else
		denied();
	ask();
	reply();
	getport_answer();
	reply();
	refused(REASON_UNSOLICITED);
}
END_TEST

/* --- answers that nobody asked for ----------------------------------------------------------- */

START_TEST(answer_without_call)
{
	begin(_i);
	getport_answer();
	reply();
	if (!tcp()) /* not even a session */
		ck_assert_ptr_null(engine_first_session(w.engine));
	nothing_open();
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], tcp());
	null_call();
	ask();
	null_answer();
	reply();
	getport_answer();
	reply();
	nothing_open();
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], tcp() + 1);
}
END_TEST

START_TEST(xid_guessed)
{
	begin(_i);
	getport_call();
	ask();
	for (uint32_t i = 1; i <= 1000; i++) {
		pmap_port(&answer, xid + i, 40000);
		reply();
		pmap_port(&answer, xid - i, 40000);
		reply();
		pmap_port(&answer, xid ^ 1u << i % 32, 40000);
		reply();
	}
	nothing_open();
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 3000);
	getport_answer();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

START_TEST(duplicate)
{
	begin(_i);
	getport_call();
	getport_answer();
	ask();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
	pmap_port(&answer, xid, 40000);
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 1);
}
END_TEST

START_TEST(late)
{
	begin(_i);
	getport_call();
	getport_answer();
	ask();
	w.now += 60 * NSEC_PER_SEC - 1;
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
	again();
	getport_call();
	getport_answer();
	ask();
	w.now += 60 * NSEC_PER_SEC;
	reply();
	refused(REASON_UNSOLICITED);
}
END_TEST

/* Another host, another port, another session: none of them was asked. */
START_TEST(answer_of_another)
{
	struct addr server;

	begin(_i);
	getport_call();
	getport_answer();
	ask();
	server = w.server;
	w.server.bytes[addr_len(&w.server) - 1] ^= 1;
	reply();
	w.server = server;
	w.sport++;
	reply();
	w.port++;
	reply();
	w.sport--;
	w.port--;
	nothing_open();
	w.sport++;
	if (tcp())
		world_connect(&w);
	rpc_call(&call, xid + 1, 2, PMAP_NULL);
	ask();
	reply();
	refused(REASON_UNSOLICITED);
}
END_TEST

/* A thousand calls of one session: those of the last 32 are still known. */
START_TEST(unanswered_calls)
{
	begin(_i);
	for (uint32_t i = 0; i < 5000; i++) {
		pmap_getport(&call, xid + i, RPC_MOUNTD, 3, RPC_TCP);
		ask();
	}
	nothing();
	for (uint32_t i = 0; i < 5000; i++) {
		pmap_port(&answer, xid + i, 40000);
		reply();
	}
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 5000 - 32);
	opened_only(RPC_MOUNTD, 3, L4_TCP, 40000);
	ck_assert_uint_eq(stats()->opened, 1);
}
END_TEST

/* Each from a port of its own: that is up to the limit of sessions, and of no concern to others. */
START_TEST(unanswered_calls_of_many_ports)
{
	begin(_i);
	getport_call();
	for (uint32_t i = 0; i < 5000; i++) {
		w.sport = (uint16_t)(10000 + i);
		if (tcp())
			world_connect(&w);
		ask();
	}
	ck_assert_uint_eq(stats()->live_sessions, w.policy.max_sessions_client);
	ck_assert_uint_gt(stats()->reasons[REASON_LIMIT_SESSIONS_CLIENT], 0);
	w.client.bytes[addr_len(&w.client) - 1] ^= 0x40;
	connect_anew();
	getport_call();
	getport_answer();
	ask();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

/* --- calls by way of rpcbind ----------------------------------------------------------------- */

static const struct {
	uint32_t version, procedure;
} proxies[] = {
	{ 2, PMAP_CALLIT },
	{ 3, RPCB_BCAST },
	{ 4, RPCB_BCAST },
	{ 4, RPCB_INDIRECT },
};

START_TEST(proxy)
{
	begin(_i % PLACES);
	rpc_call(&call, xid, proxies[_i / PLACES].version, proxies[_i / PLACES].procedure);
	xdr_word(&call, RPC_MOUNTD);
	xdr_word(&call, 3);
	xdr_word(&call, 0);
	xdr_opaque(&call, "", 0);
	ask();
	refused(REASON_PROXY);
	pmap_port(&answer, xid, 40001); /* of the program that was called: whatever it says */
	xdr_opaque(&answer, "", 0);
	reply();
	rpcb_uaddr(&answer, xid, uaddr(&w.server, 40001));
	reply();
	nothing_open();
	ck_assert_uint_eq(stats()->reasons[REASON_PROXY], 1);
}
END_TEST

/* --- credentials ----------------------------------------------------------------------------- */

static void with_credentials(size_t credential, size_t verifier)
{
	rpc_call_with(&call, xid, RPC_PORTMAP, 2, PMAP_GETPORT, credential, verifier);
	xdr_word(&call, RPC_MOUNTD);
	xdr_word(&call, 3);
	xdr_word(&call, RPC_TCP);
	xdr_word(&call, 0);
}

START_TEST(credentials)
{
	static const struct {
		size_t credential, verifier;
		bool fine;
	} sizes[] = {
		{ 0, 0, true },
		{ 1, 0, true },
		{ 28, 3, true },
		{ 400, 0, true },
		{ 0, 400, true },
		{ 399, 397, true },
		{ 400, 400, true },
		{ 401, 0, false },
		{ 0, 401, false },
		{ 400, 401, false },
		{ 1000, 0, false },
		{ 1000, 1000, false },
	};

	begin(_i);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		again();
		with_credentials(sizes[i].credential, sizes[i].verifier);
		getport_answer();
		ask();
		if (!sizes[i].fine)
			refused(REASON_MALFORMED);
		reply();
		ck_assert_uint_eq(open_count(), sizes[i].fine);
		ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], !sizes[i].fine);
	}
}
END_TEST

/* The largest call there is fits whole, and byte by byte. */
START_TEST(largest_call)
{
	char text[129];

	memset(text, 'x', 128);
	text[128] = '\0';
	begin(_i);
	rpc_call_with(&call, xid, RPC_PORTMAP, 3, RPCB_GETADDR, 400, 400);
	xdr_word(&call, RPC_MOUNTD);
	xdr_word(&call, 3);
	for (int i = 0; i < 3; i++)
		xdr_text(&call, text);
	uaddr_answer();
	ask();
	reply();
	opened_only(RPC_MOUNTD, 3, w.l4proto, 40001);
	if (!tcp())
		return;
	again();
	call.bytes[3] = (uint8_t)xid;
	uaddr_answer();
	stream.len = 0;
	rpc_record(&stream, &call, 1);
	stream_out(DIR_ORIGINAL, 1);
	reply();
	opened_only(RPC_MOUNTD, 3, w.l4proto, 40001);
}
END_TEST

/* The verifier of a reply is bounded as well. */
START_TEST(reply_verifier)
{
	begin(_i);
	for (size_t n = 396; n <= 404; n++) {
		again();
		getport_call();
		ask();
		answer.len = 0;
		xdr_word(&answer, xid);
		xdr_word(&answer, 1);
		xdr_word(&answer, 0);
		xdr_auth(&answer, n);
		xdr_word(&answer, RPC_SUCCESS);
		xdr_word(&answer, 635);
		reply();
		if (n <= 400)
			opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
		else
			refused(REASON_MALFORMED);
	}
}
END_TEST

/* --- records --------------------------------------------------------------------------------- */

static void exchange_works(void)
{
	xid++;
	getport_call();
	getport_answer();
	ask();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}

START_TEST(empty_records)
{
	begin(1);
	stream.len = 0;
	for (int i = 0; i < 5000; i++)
		rpc_mark(&stream, 0, i % 2);
	stream_out(DIR_ORIGINAL, _i ? 3 : WHOLE);
	stream_out(DIR_REPLY, _i ? 3 : WHOLE);
	nothing();
	exchange_works();
}
END_TEST

/* Two gigabytes are announced and never come to an end: what follows is still part of them. */
START_TEST(endless_fragment)
{
	static char noise[60000];

	begin(1);
	stream.len = 0;
	rpc_mark(&stream, 0x7fffffff, _i);
	stream_out(DIR_REPLY, WHOLE);
	getport_call();
	ask();
	for (int i = 0; i < 100; i++)
		world_says_chopped(&w, DIR_REPLY, noise, sizeof(noise), sizeof(noise));
	getport_answer();
	reply();
	nothing_open();
	ck_assert_uint_le(world_count(&w, OP_REFUSE), 1);
}
END_TEST

/* A record that goes on and on in small fragments, none of them the last. */
START_TEST(endless_record)
{
	begin(1);
	getport_call();
	ask();
	getport_answer();
	stream.len = 0;
	rpc_mark(&stream, (uint32_t)answer.len, 0);
	xdr_bytes(&stream, answer.bytes, answer.len);
	stream_out(DIR_REPLY, WHOLE);
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635); /* the answer itself was whole */
	stream.len = 0;
	for (uint32_t i = 0; i < 6000; i++) {
		rpc_mark(&stream, 4, 0);
		xdr_word(&stream, i);
	}
	for (int i = 0; i < 20; i++)
		stream_out(DIR_REPLY, WHOLE);
	ck_assert_uint_eq(open_count(), 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	stream.len = 0;
	rpc_mark(&stream, 0, 1);
	stream_out(DIR_REPLY, WHOLE);
	exchange_works();
}
END_TEST

/* A header that takes forever is given up, and counted, once; its record ends where it says. */
START_TEST(endless_header)
{
	begin(1);
	getport_call();
	ask();
	stream.len = 0;
	rpc_mark(&stream, 60000, 1);
	xdr_word(&stream, xid);
	xdr_word(&stream, 1);
	xdr_word(&stream, 0);
	xdr_word(&stream, 0);
	xdr_word(&stream, 59000); /* a verifier */
	while (stream.len < 60004)
		xdr_word(&stream, 7);
	stream_out(DIR_REPLY, _i ? 1 : WHOLE);
	refused(REASON_MALFORMED);
	getport_answer();
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

/* Not RPC at all. */
START_TEST(noise)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: 198.51.100.2\r\n\r\n";

	begin(_i);
	if (tcp()) {
		world_says(&w, DIR_ORIGINAL, http);
		world_says(&w, DIR_REPLY, http);
	} else {
		world_datagram(&w, DIR_ORIGINAL, http, 3);
		world_datagram(&w, DIR_REPLY, http, 3);
		ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], 2);
		world_datagram(&w, DIR_ORIGINAL, http, strlen(http));
		world_datagram(&w, DIR_REPLY, http, strlen(http));
	}
	nothing_open();
}
END_TEST

START_TEST(gap_ends_a_direction)
{
	begin(1);
	exchange_works();
	w.seq[DIR_REPLY] += 28; /* acknowledged, but never seen */
	xid++;
	pmap_getport(&call, xid, RPC_STATUS, 1, RPC_TCP);
	pmap_port(&answer, xid, 662);
	ask();
	reply();
	ck_assert_uint_eq(open_count(), 1);
	ck_assert_uint_eq(stats()->reasons[REASON_GAP], 1);
	/* The client opens another connection for that. */
	w.sport++;
	world_connect(&w);
	ask();
	reply();
	ck_assert_uint_eq(open_count(), 2);
}
END_TEST

START_TEST(inherited_session_goes_on)
{
	struct tuple control;

	begin(1);
	control = world_control(&w);
	kernel_reset(&kernel);
	world_restart(&w);
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_CT_ALIVE, &control, PH_MARK_F_CONTROL | PH_SVC_SUNRPC);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	exchange_works();
}
END_TEST

START_TEST(out_of_order)
{
	begin(1);
	getport_call();
	getport_answer();
	ask();
	stream.len = 0;
	rpc_record(&stream, &answer, WHOLE);
	world_segment(
	    &w, DIR_REPLY, 10, stream.bytes + 10, stream.len - 10, TCP_ACK, w.seq[DIR_ORIGINAL]);
	nothing();
	world_segment(&w, DIR_REPLY, 0, stream.bytes, 10, TCP_ACK, w.seq[DIR_ORIGINAL]);
	opened_only(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

/* --- lists ----------------------------------------------------------------------------------- */

/* Sends what has been written of a long answer as one fragment. */
static void flush(bool last)
{
	stream.len = 0;
	rpc_mark(&stream, (uint32_t)answer.len, last);
	xdr_bytes(&stream, answer.bytes, answer.len);
	stream_out(DIR_REPLY, 1448);
	answer.len = 0;
}

/* Four megabytes of entries, in fragments and segments that do not care where one ends. */
START_TEST(dump_of_100000)
{
	uint32_t want = 0;

	begin(1);
	if (_i)
		dump4_call();
	else
		dump2_call();
	ask();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	for (uint32_t i = 0; i < 100000; i++) {
		bool listed = i % 10000 == 77;
		uint32_t program = listed ? RPC_MOUNTD : RPC_YPBIND + 1000 + i;
		uint32_t port = listed ? 30000 + i / 10000 : 1024 + i % 60000;

		want += listed;
		if (_i)
			rpcb_entry(&answer, program, i / 10000, "tcp", uaddr(&w.server, port));
		else
			pmap_entry(&answer, program, i / 10000, RPC_TCP, port);
		if (answer.len > RPC_MAX - 1000)
			flush(false);
	}
	rpc_list_end(&answer);
	flush(true);
	ck_assert_uint_eq(open_count(), want);
	for (uint32_t i = 0; i < 10; i++)
		opened(RPC_MOUNTD, i, L4_TCP, (uint16_t)(30000 + i));
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	/* The next record is in step. */
	xid++;
	pmap_getport(&call, xid, RPC_STATUS, 1, RPC_TCP);
	pmap_port(&answer, xid, 662);
	ask();
	reply();
	opened(RPC_STATUS, 1, L4_TCP, 662);
}
END_TEST

/* All of them listed, at ports of their own: what a server can do to its own client is bounded. */
START_TEST(dump_of_100000_listed)
{
	static const uint32_t programs[] = { 100003, 100005, 100011, 100021, 100024, 100227 };

	begin(1);
	dump2_call();
	ask();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	for (uint32_t i = 0; i < 100000; i++) {
		pmap_entry(
		    &answer, programs[i % 6], i, i % 2 ? RPC_TCP : RPC_UDP, 10000 + i % 50000);
		if (answer.len > RPC_MAX - 100) {
			flush(false);
			ck_assert_uint_le(open_count(), w.policy.max_pinholes_session);
		}
	}
	rpc_list_end(&answer);
	flush(true);
	ck_assert_uint_le(open_count(), w.policy.max_pinholes_session);
	ck_assert_uint_eq(
	    stats()->opened - stats()->reasons[REASON_SUPERSEDED], stats()->live_pinholes);
	/* Another client of that server does not notice. */
	w.client.bytes[3] ^= 0x40;
	connect_anew();
	getport_call();
	getport_answer();
	ask();
	reply();
	opened(RPC_MOUNTD, 3, L4_TCP, 635);
}
END_TEST

/* A loop: the same entry for ever. */
START_TEST(dump_without_end)
{
	begin(1);
	dump2_call();
	ask();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	for (int i = 0; i < 300000; i++) {
		pmap_entry(&answer, RPC_MOUNTD, 3, RPC_TCP, 40001);
		if (answer.len > RPC_MAX - 100)
			flush(false);
	}
	opened_only(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_eq(stats()->opened, 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

/* A datagram holds some three thousand entries; what does not fit one decision is refused. */
START_TEST(dump_in_a_datagram)
{
	begin(_i * 2);
	dump2_call();
	ask();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	for (uint32_t i = 0; i < 3000; i++)
		pmap_entry(&answer, RPC_MOUNTD, i % 30, RPC_TCP, 10000 + i);
	rpc_list_end(&answer);
	reply();
	ck_assert_uint_le(open_count(), 30);
	ck_assert_uint_gt(open_count(), 0);
	ck_assert_uint_gt(stats()->reasons[REASON_LIMIT_BURST], 0);
	ck_assert_uint_eq(
	    stats()->opened - stats()->reasons[REASON_SUPERSEDED], stats()->live_pinholes);
}
END_TEST

/* A list that breaks off ends there; what came of it was announced. */
START_TEST(broken_list)
{
	begin(_i);
	dump2_call();
	ask();
	rpc_reply(&answer, xid, RPC_SUCCESS);
	pmap_entry(&answer, RPC_MOUNTD, 3, RPC_TCP, 40001);
	xdr_word(&answer, 1);
	xdr_word(&answer, RPC_MOUNTD);
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], 1);
	/* and it was answered */
	dump2_answer();
	reply();
	ck_assert_uint_eq(open_count(), 1);
	ck_assert_uint_eq(stats()->reasons[REASON_UNSOLICITED], 1);
}
END_TEST

/* An entry with a text longer than any sane one ends the list. */
START_TEST(list_with_long_text)
{
	static char text[3000];

	begin(_i);
	dump3_call();
	ask();
	memset(text, 'x', sizeof(text) - 1);
	rpc_reply(&answer, xid, RPC_SUCCESS);
	rpcb_entry(&answer, RPC_MOUNTD, 3, netid(L4_TCP), wildcard(40001));
	rpcb_entry(&answer, RPC_MOUNTD, 3, text, wildcard(40002));
	rpcb_entry(&answer, RPC_MOUNTD, 3, netid(L4_TCP), wildcard(40003));
	rpc_list_end(&answer);
	reply();
	opened_only(RPC_MOUNTD, 3, L4_TCP, 40001);
	ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], 1);
	xid++;
	getport_udp_call();
	getport_answer();
	ask();
	reply();
	ck_assert_uint_eq(open_count(), 2);
}
END_TEST

/* --- policy ---------------------------------------------------------------------------------- */

START_TEST(policy_decides)
{
	struct service_policy *p = &w.policy.service[PH_SVC_SUNRPC];

	begin(_i);
	p->programs[0] = RPC_YPBIND;
	p->n_programs = 1;
	p->never[0] = 40009;
	p->n_never = 1;
	engine_set_policy(w.engine, &w.policy);
	pmap_getport(&call, xid, RPC_MOUNTD, 3, RPC_TCP);
	pmap_port(&answer, xid, 40001);
	ask();
	reply();
	ck_assert_uint_eq(stats()->reasons[REASON_PROGRAM], 1);
	xid++;
	pmap_getport(&call, xid, RPC_YPBIND, 2, RPC_TCP);
	pmap_port(&answer, xid, 40009);
	ask();
	reply();
	ck_assert_uint_eq(stats()->reasons[REASON_PORT_NEVER], 1);
	nothing_open();
	xid++;
	pmap_getport(&call, xid, RPC_YPBIND, 2, RPC_TCP);
	pmap_port(&answer, xid, 22);
	ask();
	reply();
	opened_only(RPC_YPBIND, 2, L4_TCP, 22);
}
END_TEST

START_TEST(service_disabled)
{
	begin(_i);
	w.policy.service[PH_SVC_SUNRPC].enabled = false;
	again();
	getport_call();
	getport_answer();
	ask();
	reply();
	nothing_open();
	ck_assert_uint_gt(stats()->reasons[REASON_NO_SERVICE], 0);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

/* NFS itself is never looked into, whoever hands its packets over. */
START_TEST(nfs_packets_are_nobodys)
{
	begin(_i);
	w.service = PH_SVC_NFS;
	w.port = 2049;
	again();
	getport_call();
	getport_answer();
	ask();
	reply();
	nothing();
	ck_assert_uint_eq(stats()->live_sessions, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("sunrpc");
	TCase *t = tcase_create("messages");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, whole, 0, EACH);
	tcase_add_loop_test(t, truncated, 0, EACH);
	tcase_add_loop_test(t, split, 0, EACH);
	tcase_add_loop_test(t, chopped, 0, EACH);
	tcase_add_loop_test(t, empty_fragments, 0, EACH);
	tcase_add_loop_test(t, in_flight, 0, PLACES);
	tcase_add_loop_test(t, records_in_one_segment, 0, 2);
	tcase_add_loop_test(t, repeated_call, 0, PLACES);
	tcase_add_loop_test(t, reused_xid, 0, PLACES);
	tcase_add_loop_test(t, cause_says_which_call, 0, PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("refusals");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, port_refused, 0, PORTS * PLACES);
	tcase_add_loop_test(t, uaddr_refused, 0, UADDRS * PLACES);
	tcase_add_loop_test(t, uaddr_odd_bytes, 0, PLACES);
	tcase_add_loop_test(t, lengths_that_lie, 0, PLACES);
	tcase_add_loop_test(t, opens_nothing, 0, SILENT * PLACES);
	tcase_add_loop_test(t, wrong_way_round, 0, PLACES);
	tcase_add_loop_test(t, failed_is_answered, 0, 2 * PLACES);
	tcase_add_loop_test(t, answer_without_call, 0, PLACES);
	tcase_add_loop_test(t, xid_guessed, 0, PLACES);
	tcase_add_loop_test(t, duplicate, 0, PLACES);
	tcase_add_loop_test(t, late, 0, PLACES);
	tcase_add_loop_test(t, answer_of_another, 0, PLACES);
	tcase_add_loop_test(t, unanswered_calls, 0, PLACES);
	tcase_add_loop_test(t, unanswered_calls_of_many_ports, 0, PLACES);
	tcase_add_loop_test(t, proxy, 0, 4 * PLACES);
	tcase_add_loop_test(t, credentials, 0, PLACES);
	tcase_add_loop_test(t, largest_call, 0, PLACES);
	tcase_add_loop_test(t, reply_verifier, 0, PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("records and lists");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, empty_records, 0, 2);
	tcase_add_loop_test(t, endless_fragment, 0, 2);
	tcase_add_test(t, endless_record);
	tcase_add_loop_test(t, endless_header, 0, 2);
	tcase_add_loop_test(t, noise, 0, PLACES);
	tcase_add_test(t, gap_ends_a_direction);
	tcase_add_test(t, inherited_session_goes_on);
	tcase_add_test(t, out_of_order);
	tcase_add_loop_test(t, dump_of_100000, 0, 2);
	tcase_add_test(t, dump_of_100000_listed);
	tcase_add_test(t, dump_without_end);
	tcase_add_loop_test(t, dump_in_a_datagram, 0, 2);
	tcase_add_loop_test(t, broken_list, 0, PLACES);
	tcase_add_loop_test(t, list_with_long_text, 0, PLACES);
	tcase_add_loop_test(t, policy_decides, 0, PLACES);
	tcase_add_loop_test(t, service_disabled, 0, PLACES);
	tcase_add_loop_test(t, nfs_packets_are_nobodys, 0, PLACES);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
