// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BFD through the engine: what is let in, for whom, until when, and what the kernel would hold of
 * it after every decision. Packets of the peer go the way that the kernel would give them: a first
 * one that hits an element is shown (`related`) or let in and reported (`mark`), one of a flow that
 * was let in comes as a reply, and any other one never arrives.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bfd.h"
#include "lib/kernel.h"
#include "lib/world.h"

#define MSEC  (NSEC_PER_SEC / 1000)
#define LATE  (800 * MSEC) /* that copies may be late, see oneway.c */
#define OURS  0x11111111u  /* discriminators */
#define PEERS 0x22222222u
#define PORT  49142 /* the peer's, where ptmd begins */

static struct world w;
static struct kernel kernel;
static bool by_mark, link_local;
static uint32_t iface; /* that all packets use; of a flow only between link-local addresses */

/* Every test runs in all six: its number is _i, or comes first in it. */
static const struct {
	enum family family;
	bool link_local, by_mark;
} places[] = {
	{ FAMILY_IPV4, false, false },
	{ FAMILY_IPV6, false, false },
	{ FAMILY_IPV6, true, false },
	{ FAMILY_IPV4, false, true },
	{ FAMILY_IPV6, false, true },
	{ FAMILY_IPV6, true, true },
};

#define PLACES 6

static void follow(struct world *world)
{
	kernel_follow(&kernel, world);
}

static void again(void)
{
	kernel_reset(&kernel);
	world_restart(&w);
}

static void begin(int place)
{
	world_begin(&w, places[place].family);
	if (places[place].link_local) {
		w.client.bytes[0] = w.server.bytes[0] = 0xfe;
		w.client.bytes[1] = w.server.bytes[1] = 0x80;
		w.client.bytes[2] = w.server.bytes[2] = 0;
		w.client.bytes[3] = w.server.bytes[3] = 0;
	}
	w.service = PH_SVC_BFD;
	w.l4proto = L4_UDP;
	w.sport = 49152;
	w.port = 3784;
	w.after = follow;
	by_mark = places[place].by_mark;
	link_local = places[place].link_local;
	iface = 7;
	w.policy.admit = by_mark ? ADMIT_MARK : ADMIT_RELATED;
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

static struct tuple scoped(const struct tuple *t)
{
	struct tuple s = *t;

	s.iface = link_local ? iface : 0;
	return s;
}

/* --- packets ------------------------------------------------------------------------------------
 */

static void says_raw(const void *bytes, size_t len, uint8_t ttl)
{
	struct event ev = {
		.kind = EV_PACKET, .service = PH_SVC_BFD, .dir = DIR_ORIGINAL, .iface = iface
	};
	struct tuple t = world_control(&w);

	world_udp(&w, &ev, &t, ttl, bytes, len);
}

/* Our side speaks, and the firewall lets it. */
static void says(struct bfd_words b)
{
	uint8_t bytes[BFD_LEN_MAX];

	says_raw(bytes, bfd_write(&b, bytes), 255);
}

static void show(
    enum event_kind kind, const struct tuple *t, uint8_t ttl, const void *bytes, size_t len)
{
	struct event ev = { .kind = kind, .service = PH_SVC_BFD, .dir = DIR_REPLY, .iface = iface };

	world_udp(&w, &ev, t, ttl, bytes, len);
}

/* A packet of this flow comes, and does what it does; false when the firewall drops it. */
static bool comes(const struct tuple *t, uint8_t ttl, const void *bytes, size_t len)
{
	const struct tuple flow = scoped(t);

	if (!kernel_flow(&kernel, &flow)) {
		if (!kernel_hit(&kernel, &flow))
			return false;
		if (!by_mark) {
			show(EV_FIRST, t, ttl, bytes, len);
			return false; /* it was only copied */
		}
		world_ct(&w, EV_CT_NEW, t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	}
	show(EV_PACKET, t, ttl, bytes, len);
	return true;
}

static bool peer_raw(uint16_t sport, const void *bytes, size_t len, uint8_t ttl)
{
	struct tuple t = world_data(&w, DIR_REPLY, sport, w.port);

	return comes(&t, ttl, bytes, len);
}

static bool peer_from(uint16_t sport, struct bfd_words b)
{
	uint8_t bytes[BFD_LEN_MAX];

	return peer_raw(sport, bytes, bfd_write(&b, bytes), 255);
}

static bool peer(struct bfd_words b)
{
	return peer_from(PORT, b);
}

/* Both speak until both are Up at this rate. */
static void bring_up(uint32_t us)
{
	struct bfd_words ours = bfd_down(OURS), theirs = bfd_down(PEERS);

	says(ours);
	peer(theirs);
	ours.your = PEERS;
	ours.state = BFD_INIT;
	says(ours);
	theirs.your = OURS;
	theirs.state = BFD_UP;
	peer(theirs);
	says(bfd_up(OURS, PEERS, us));
	peer(bfd_up(PEERS, OURS, us));
}

/* --- what comes of it ---------------------------------------------------------------------------
 */

static const struct pinhole *find(bool blind, const struct addr *src, const struct addr *dst)
{
	const struct pinhole *p;

	for (p = engine_first_pinhole(w.engine); p; p = engine_next_pinhole(p))
		if (p->lasting && p->blind == blind && p->flow.iface == (link_local ? iface : 0) &&
		    addr_equal(&p->flow.src, src) && addr_equal(&p->flow.dst, dst))
			return p;
	return NULL;
}

/* The pinhole for the peer's packets. */
static const struct pinhole *hole(void)
{
	const struct pinhole *p = find(false, &w.server, &w.client);

	if (p) {
		ck_assert_uint_eq(p->flow.dport, w.port);
		ck_assert_uint_eq(p->dport_hi, w.port);
		ck_assert_uint_eq(p->flow.l4proto, L4_UDP);
		ck_assert_uint_eq(p->service, PH_SVC_BFD);
	}
	return p;
}

static bool is_open(void)
{
	return hole() && hole()->state == PINHOLE_OPEN;
}

/* The source port that the pinhole is for, or 0. */
static uint16_t bound(void)
{
	return hole() && hole()->state == PINHOLE_BOUND ? hole()->flow.sport : 0;
}

static const struct session *session(void)
{
	struct tuple t = world_control(&w);

	t = scoped(&t);
	return session_of(&w.engine->sessions, &t);
}

static void refused(enum reason why, uint64_t times)
{
	const struct op *op = world_last(&w, OP_REFUSE);

	ck_assert_msg(op != NULL, "nothing was refused; wanted %s", reason_word(why));
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_uint_eq(stats()->reasons[why], times);
}

/* Ops that change the kernel or are told to people. */
static unsigned int changes(void)
{
	return w.n - world_count(&w, OP_RENEW);
}

static void closed_with(enum op_kind kind, enum reason why, bool kill)
{
	const struct op *op = world_last(&w, kind);

	ck_assert_ptr_nonnull(op);
	ck_assert_str_eq(reason_word(op->reason), reason_word(why));
	ck_assert_int_eq(op->kill, kill);
}

/* --- reading ------------------------------------------------------------------------------------
 */

static struct bfd_words good(void)
{
	struct bfd_words b = bfd_up(OURS, PEERS, 50000);

	return b;
}

static void version_0(struct bfd_words *b)
{
	b->version = 0;
}

static void version_2(struct bfd_words *b)
{
	b->version = 2;
}

static void version_7(struct bfd_words *b)
{
	b->version = 7;
}

static void length_0(struct bfd_words *b)
{
	b->length = 0;
}

static void length_3(struct bfd_words *b)
{
	b->length = 3;
}

static void length_4(struct bfd_words *b)
{
	b->length = 4;
}

static void length_23(struct bfd_words *b)
{
	b->length = 23;
}

static void length_25(struct bfd_words *b)
{
	b->length = 25;
}

static void length_255(struct bfd_words *b)
{
	b->length = 255;
}

static void auth_without_section(struct bfd_words *b)
{
	b->flags |= BFD_AUTH;
}

/* The section begins behind what Length says is the packet. */
static void auth_outside(struct bfd_words *b)
{
	bfd_auth(b, 1, 9, 9);
	b->length = 24;
}

static void auth_half_outside(struct bfd_words *b)
{
	bfd_auth(b, 1, 9, 9);
	b->length = 25;
}

static void auth_type_0(struct bfd_words *b)
{
	bfd_auth(b, 0, 9, 9);
}

static void auth_length_0(struct bfd_words *b)
{
	bfd_auth(b, 4, 0, 28);
}

static void auth_length_1(struct bfd_words *b)
{
	bfd_auth(b, 4, 1, 28);
}

static void auth_too_long(struct bfd_words *b)
{
	bfd_auth(b, 4, 29, 28);
}

static void auth_255(struct bfd_words *b)
{
	bfd_auth(b, 4, 255, 28);
}

static void auth_too_long_for_length(struct bfd_words *b)
{
	bfd_auth(b, 4, 28, 28);
	b->length = 24 + 27;
}

static void multiplier_0(struct bfd_words *b)
{
	b->mult = 0;
}

static void multipoint(struct bfd_words *b)
{
	b->flags |= BFD_MULTIPOINT;
}

static void my_discriminator_0(struct bfd_words *b)
{
	b->my = 0;
}

static void your_0_in_init(struct bfd_words *b)
{
	b->state = BFD_INIT;
	b->your = 0;
}

static void your_0_in_up(struct bfd_words *b)
{
	b->your = 0;
}

/* RFC 5880 section 6.8.6, each broken alone. */
static void (*const breaks[])(struct bfd_words *) = {
	version_0,
	version_2,
	version_7,
	length_0,
	length_3,
	length_4,
	length_23,
	length_25,
	length_255,
	auth_without_section,
	auth_outside,
	auth_half_outside,
	auth_type_0,
	auth_length_0,
	auth_length_1,
	auth_too_long,
	auth_255,
	auth_too_long_for_length,
	multiplier_0,
	multipoint,
	my_discriminator_0,
	your_0_in_init,
	your_0_in_up,
};

#define BREAKS ((int)(sizeof(breaks) / sizeof(breaks[0])))

START_TEST(broken_of_ours_opens_nothing)
{
	struct bfd_words b = good();

	begin(_i % PLACES);
	breaks[_i / PLACES](&b);
	says(b);
	refused(REASON_MALFORMED, 1);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	/* And what says nothing keeps nobody alive. */
	world_wait(&w, 3 * NSEC_PER_SEC);
	says(b);
	world_wait(&w, 3 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

START_TEST(broken_of_the_peer_lets_nothing_in)
{
	struct bfd_words b = bfd_up(PEERS, OURS, 50000);

	begin(_i % PLACES);
	says(bfd_down(OURS));
	breaks[_i / PLACES](&b);
	peer(b);
	refused(REASON_MALFORMED, 1);
	/* The kernel does not read BFD; and it does not tell of interfaces. */
	ck_assert_uint_eq(bound(), by_mark && !link_local ? PORT : 0);
	world_wait(&w, 3 * NSEC_PER_SEC);
	says(bfd_down(OURS));
	peer(b);
	world_wait(&w, 3 * NSEC_PER_SEC);
	ck_assert_uint_eq(bound(), 0);
	ck_assert_uint_eq(kernel.flows != NULL, 0);
}
END_TEST

START_TEST(broken_of_the_peer_keeps_nothing_alive)
{
	struct bfd_words b = bfd_up(PEERS, OURS, 50000);
	uint64_t until;

	begin(_i % PLACES);
	bring_up(50000);
	ck_assert_uint_eq(bound(), PORT);
	until = hole()->expiry.at;
	world_wait(&w, 100 * MSEC);
	breaks[_i / PLACES](&b);
	ck_assert(peer(b));
	refused(REASON_MALFORMED, 1);
	ck_assert_uint_eq(hole()->expiry.at, until);
}
END_TEST

static void plain(struct bfd_words *b)
{
	(void)b;
}

static void simple_password(struct bfd_words *b)
{
	bfd_auth(b, 1, 9, 9);
}

static void keyed_md5(struct bfd_words *b)
{
	bfd_auth(b, 2, 24, 24);
}

static void meticulous_sha1(struct bfd_words *b)
{
	bfd_auth(b, 5, 28, 28);
}

static void empty_auth(struct bfd_words *b)
{
	bfd_auth(b, 77, 2, 2);
}

static void short_auth(struct bfd_words *b)
{
	bfd_auth(b, 1, 4, 28);
}

/* RFC 5880: only a Length *greater* than the payload is wrong. */
static void bytes_behind(struct bfd_words *b)
{
	b->body_len = 40;
	b->length = 24;
}

static void bytes_within(struct bfd_words *b)
{
	b->body_len = 40;
}

static void bytes_behind_auth(struct bfd_words *b)
{
	bfd_auth(b, 1, 9, 40);
	b->length = 33;
}

static void polls(struct bfd_words *b)
{
	b->flags = BFD_POLL;
}

static void answers(struct bfd_words *b)
{
	b->flags = BFD_FINAL;
}

/* Forbidden, and none of our business. */
static void polls_and_answers(struct bfd_words *b)
{
	b->flags = BFD_POLL | BFD_FINAL | BFD_CPI | BFD_DEMAND;
}

static void diagnoses(struct bfd_words *b)
{
	b->diag = 31;
}

static void all_ones(struct bfd_words *b)
{
	b->mult = 255;
	b->tx = b->rx = b->echo = 0xffffffffu;
}

static void all_zero(struct bfd_words *b)
{
	b->mult = 1;
	b->tx = b->rx = b->echo = 0;
}

static void (*const odd[])(struct bfd_words *) = {
	plain,
	simple_password,
	keyed_md5,
	meticulous_sha1,
	empty_auth,
	short_auth,
	bytes_behind,
	bytes_within,
	bytes_behind_auth,
	polls,
	answers,
	polls_and_answers,
	diagnoses,
	all_ones,
	all_zero,
};

#define ODD ((int)(sizeof(odd) / sizeof(odd[0])))

START_TEST(odd_but_right)
{
	struct bfd_words ours = bfd_down(OURS), theirs = bfd_down(PEERS);

	begin(_i % PLACES);
	odd[_i / PLACES](&ours);
	odd[_i / PLACES](&theirs);
	says(ours);
	ck_assert(is_open());
	ck_assert_int_eq(peer(theirs), by_mark);
	ck_assert_uint_eq(bound(), PORT);
	ck_assert(peer(theirs));
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

/* Every state without the other's discriminator, and with it. */
START_TEST(states_and_discriminators)
{
	struct bfd_words b = bfd_down(PEERS);

	for (uint8_t state = BFD_ADMIN_DOWN; state <= BFD_UP; state++) {
		for (uint32_t known = 0; known < 2; known++) {
			bool right = known || state <= BFD_DOWN;

			begin(_i);
			says(bfd_down(OURS));
			b.state = state;
			b.your = known ? OURS : 0;
			peer(b);
			ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], !right);
			if (!by_mark)
				ck_assert_uint_eq(
				    bound(), right && state != BFD_ADMIN_DOWN ? PORT : 0);
			teardown();
		}
	}
	begin(_i);
}
END_TEST

START_TEST(truncated)
{
	uint8_t bytes[BFD_LEN_MAX];
	struct bfd_words ours = bfd_down(OURS), theirs = bfd_down(PEERS);
	size_t len;

	odd[_i / PLACES](&ours);
	odd[_i / PLACES](&theirs);
	len = bfd_write(&ours, bytes);
	if (ours.length != BFD_HONEST)
		len = (size_t)ours.length;
	for (size_t n = 0; n <= len; n++) {
		begin(_i % PLACES);
		(void)bfd_write(&ours, bytes);
		says_raw(bytes, n, 255);
		ck_assert_int_eq(is_open(), n == len);
		ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], n != len);
		says(ours);
		(void)bfd_write(&theirs, bytes);
		peer_raw(PORT, bytes, n, 255);
		if (!by_mark)
			ck_assert_uint_eq(bound(), n == len ? PORT : 0);
		ck_assert_uint_eq(stats()->reasons[REASON_MALFORMED], 2 * (n != len));
		if (n < len)
			teardown();
	}
}
END_TEST

/* --- who is let in ------------------------------------------------------------------------------
 */

START_TEST(any_port_then_that_one)
{
	static const uint16_t ports[] = { 1, 1023, 3784, 39425, 48291, 49142, 65535 };

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		begin(_i);
		w.port = i % 2 ? 4784 : 3784;
		says(bfd_down(OURS));
		ck_assert(is_open());
		ck_assert_uint_eq(stats()->live_pinholes, 1);
		ck_assert_uint_eq(hole()->flow.sport, 0);
		(void)peer_from(ports[i], bfd_down(PEERS));
		ck_assert_uint_eq(bound(), ports[i]);
		ck_assert(tuple_equal(&world_last(&w, OP_ADMIT)->master, &session()->tuple));
		/* And from no other one. */
		ck_assert(!peer_from((uint16_t)(ports[i] + 1), bfd_down(PEERS)));
		ck_assert(peer_from(ports[i], bfd_down(PEERS)));
		ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
		teardown();
	}
	begin(_i);
}
END_TEST

/* A first packet that was copied while its pinhole went to another one. */
START_TEST(the_second_to_knock_is_a_stranger)
{
	struct tuple late = { .l4proto = 0 };
	struct bfd_words b = bfd_down(PEERS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);

	begin(_i);
	late = world_data(&w, DIR_REPLY, PORT + 1, w.port);
	says(bfd_down(OURS));
	(void)peer(b);
	show(EV_FIRST, &late, 255, bytes, len);
	ck_assert_uint_eq(bound(), PORT);
	refused(REASON_STRANGER, 1);
	late.sport = PORT;
	show(EV_FIRST, &late, 255, bytes, len); /* a copy of the first one, once more */
	ck_assert_uint_eq(stats()->reasons[REASON_STRANGER], 1);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
}
END_TEST

START_TEST(nobody_unknown_opens_anything)
{
	struct bfd_words b = bfd_down(PEERS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);
	struct tuple t;

	begin(_i);
	t = world_data(&w, DIR_REPLY, PORT, w.port);
	show(EV_PACKET, &t, 255, bytes, len);
	show(EV_FIRST, &t, 255, bytes, len);
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_uint_eq(stats()->opened, 0);

	/* Another host does not come through a peer's pinhole, nor a peer to another port. */
	says(bfd_down(OURS));
	t.src.bytes[3] ^= 1;
	ck_assert(!comes(&t, 255, bytes, len));
	show(EV_PACKET, &t, 255, bytes, len);
	show(EV_FIRST, &t, 255, bytes, len);
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	t.src.bytes[3] ^= 1;
	t.dport = 4784;
	ck_assert(!comes(&t, 255, bytes, len));
	show(EV_PACKET, &t, 255, bytes, len);
	show(EV_FIRST, &t, 255, bytes, len);
	t.dport = 3784;
	t.l4proto = L4_TCP;
	world_packet(&w, EV_FIRST, &t, TCP_SYN);
	ck_assert(is_open());
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 0);
}
END_TEST

START_TEST(single_hop_needs_255)
{
	struct bfd_words b = bfd_down(OURS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);

	begin(_i);
	for (int ttl = 0; ttl < 255; ttl++) {
		says_raw(bytes, len, (uint8_t)ttl);
		refused(REASON_HOPS, (uint64_t)ttl + 1);
	}
	ck_assert_uint_eq(stats()->live_sessions, 0);
	says_raw(bytes, len, 255);
	ck_assert(is_open());

	b = bfd_down(PEERS);
	len = bfd_write(&b, bytes);
	if (!by_mark) { /* else the kernel alone is asked, and has dropped it */
		(void)peer_raw(PORT, bytes, len, 254);
		refused(REASON_HOPS, 256);
		ck_assert(is_open());
	}
	(void)peer(b);
	ck_assert_uint_eq(bound(), PORT);
	ck_assert(peer_raw(PORT, bytes, len, 254));
	refused(REASON_HOPS, by_mark ? 256 : 257);
}
END_TEST

START_TEST(multihop_needs_what_is_configured)
{
	static const uint8_t least[] = { 0, 1, 63, 64, 250, 255 };
	struct bfd_words b = bfd_down(OURS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len;

	for (size_t i = 0; i < sizeof(least); i++) {
		for (int ttl = 1; ttl < 256; ttl++) {
			/* Seen behind our own routing a packet has one less than it came with. */
			bool enough = ttl + 1 >= least[i];

			begin(_i);
			w.policy.service[PH_SVC_BFD].far_min_ttl = least[i];
			again();
			w.port = 4784;
			/* What our side sends is its own business. */
			b = bfd_down(OURS);
			len = bfd_write(&b, bytes);
			says_raw(bytes, len, (uint8_t)ttl);
			ck_assert(is_open());
			b = bfd_down(PEERS);
			len = bfd_write(&b, bytes);
			(void)peer_raw(PORT, bytes, len, (uint8_t)ttl);
			if (!by_mark)
				ck_assert_uint_eq(bound(), enough ? PORT : 0);
			ck_assert_uint_eq(stats()->reasons[REASON_HOPS], !enough);
			teardown();
		}
	}
	begin(_i);
}
END_TEST

static void allow(const char *text)
{
	struct service_policy *p = &w.policy.service[PH_SVC_BFD];

	ck_assert(prefix_parse(text, strlen(text), &p->peers[p->n_peers]));
	p->n_peers++;
}

START_TEST(only_peers_on_the_list)
{
	static const struct {
		const char *list[3];
		bool ipv4, ipv6, link_local;
	} cases[] = {
		{ { NULL }, true, true, true },
		{ { "198.51.100.2" }, true, false, false },
		{ { "198.51.100.0/24", "2001:db8::/32" }, true, true, false },
		{ { "198.51.100.3", "2001:db8::3" }, false, false, false },
		{ { "0.0.0.0/0" }, true, false, false },
		{ { "::/0" }, false, true, true },
		{ { "fe80::/10" }, false, false, true },
		{ { "10.0.0.0/8", "192.0.2.1", "2001:db8::1" }, false, false, false }, /* ours */
		{ { "198.51.100.2/31", "fe80::2/127" }, true, false, true },
	};
	bool v4 = places[_i].family == FAMILY_IPV4, local = places[_i].link_local;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = v4 ? cases[i].ipv4 : local ? cases[i].link_local : cases[i].ipv6;

		begin(_i);
		for (size_t j = 0; j < 3 && cases[i].list[j]; j++)
			allow(cases[i].list[j]);
		again();
		bring_up(50000);
		ck_assert_int_eq(hole() != NULL, ok);
		ck_assert_uint_eq(bound(), ok ? PORT : 0);
		if (!ok) {
			refused(REASON_PEER, 3); /* each time that it is asked for */
			ck_assert_uint_eq(stats()->opened, 0);
		}
		teardown();
	}
	begin(_i);
}
END_TEST

START_TEST(the_list_also_holds_for_echoes)
{
	begin(_i);
	allow(places[_i].family == FAMILY_IPV4 ? "203.0.113.0/24" : "3fff::/20");
	again();
	for (int i = 0; i < 3; i++) {
		struct bfd_words b = bfd_up(OURS, PEERS, 50000);

		b.echo = 50000;
		says(b);
	}
	ck_assert_uint_eq(stats()->opened, 0);
}
END_TEST

START_TEST(a_list_that_changes)
{
	begin(_i);
	bring_up(50000);
	allow(places[_i].family == FAMILY_IPV4 ? "203.0.113.0/24" : "3fff::/20");
	engine_set_policy(w.engine, &w.policy);
	/* What is open stays open until its own end, and no longer. */
	says(bfd_up(OURS, PEERS, 50000));
	ck_assert(peer(bfd_up(PEERS, OURS, 50000)));
	ck_assert_uint_eq(bound(), PORT);
	for (int i = 0; i < 5; i++) {
		world_wait(&w, 300 * MSEC);
		says(bfd_up(OURS, PEERS, 50000));
	}
	ck_assert_ptr_null(hole());
	refused(REASON_PEER, stats()->reasons[REASON_PEER]);
}
END_TEST

START_TEST(a_service_switched_off)
{
	begin(_i);
	w.policy.service[PH_SVC_BFD].enabled = false;
	again();
	says(bfd_down(OURS));
	refused(REASON_NO_SERVICE, 1);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

/* --- discriminators -----------------------------------------------------------------------------
 */

START_TEST(wrong_discriminator)
{
	struct bfd_words b = bfd_down(PEERS);
	uint64_t until;

	begin(_i);
	says(bfd_down(OURS));
	b.your = OURS + 1;
	(void)peer(b);
	refused(REASON_DISCRIMINATOR, 1);
	if (!by_mark)
		ck_assert_uint_eq(bound(), 0);
	b.your = 0;
	(void)peer(b);
	ck_assert_uint_eq(bound(), PORT);
	until = hole()->expiry.at;
	world_wait(&w, NSEC_PER_SEC);
	for (uint8_t state = BFD_ADMIN_DOWN; state <= BFD_UP; state++) {
		b.state = state;
		b.your = OURS ^ 1;
		ck_assert(peer(b));
	}
	ck_assert_uint_eq(bound(), PORT); /* AdminDown neither */
	ck_assert_uint_eq(hole()->expiry.at, until);
	ck_assert_uint_eq(stats()->reasons[REASON_DISCRIMINATOR], 5);
	world_wait(&w, 6 * NSEC_PER_SEC);
	ck_assert_uint_eq(bound(), 0);
}
END_TEST

/* Our side has a new one on its old port: packets for its last life do not count any more. */
START_TEST(our_discriminator_changes)
{
	begin(_i);
	bring_up(50000);
	says(bfd_down(OURS + 7));
	ck_assert(peer(bfd_up(PEERS, OURS, 50000))); /* it has not noticed yet */
	ck_assert_uint_eq(stats()->reasons[REASON_DISCRIMINATOR], 1);
	(void)peer(bfd_down(PEERS));
	ck_assert_uint_eq(bound(), PORT);
	ck_assert(peer(bfd_up(PEERS, OURS + 7, 50000)));
	ck_assert_uint_eq(stats()->reasons[REASON_DISCRIMINATOR], 1);
}
END_TEST

/* --- life ---------------------------------------------------------------------------------------
 */

/* ns until this direction is taken for dead. */
static uint64_t patience(enum dir dir)
{
	if (dir == DIR_ORIGINAL)
		return session()->silence.at - w.now;
	return hole()->expiry.at - w.now;
}

static const struct {
	uint8_t our_state, peer_state;
	uint32_t our_tx, our_rx, our_mult, peer_tx, peer_rx, peer_mult; /* us */
	uint64_t ours, peers;                                           /* ms */
} lives[] = {
	/* Up: the sender's multiplier, the slower of what it sends and the other takes. */
	{ BFD_UP, BFD_UP, 300000, 300000, 3, 300000, 300000, 3, 900, 900 },
	{ BFD_UP, BFD_UP, 50000, 50000, 3, 50000, 50000, 3, 150, 150 },
	{ BFD_UP, BFD_UP, 50000, 300000, 5, 50000, 1000000, 3, 5000, 900 },
	{ BFD_UP, BFD_UP, 1000000, 50000, 1, 300000, 50000, 255, 1000, 76500 },
	{ BFD_UP, BFD_UP, 0, 0, 1, 0, 0, 1, 0, 0 },
	{ BFD_UP, BFD_UP, 1, 1, 1, 1, 1, 1, 0, 0 },
	/* Not Up, either of them: five seconds at least. */
	{ BFD_DOWN, BFD_DOWN, 1000000, 50000, 3, 1000000, 50000, 3, 5000, 5000 },
	{ BFD_INIT, BFD_DOWN, 50000, 50000, 3, 50000, 50000, 3, 5000, 5000 },
	{ BFD_UP, BFD_INIT, 50000, 50000, 3, 50000, 50000, 3, 5000, 5000 },
	{ BFD_DOWN, BFD_UP, 50000, 50000, 3, 50000, 50000, 3, 5000, 5000 },
	{ BFD_DOWN, BFD_DOWN, 2000000, 50000, 3, 2000000, 50000, 5, 6000, 10000 },
	{ BFD_DOWN, BFD_DOWN, 0, 0, 1, 0, 0, 1, 5000, 5000 },
	/* Whatever they announce. */
	{ BFD_UP, BFD_UP, 0xffffffffu, 50000, 1, 50000, 50000, 3, 300000, 150 },
	{ BFD_UP, BFD_UP, 50000, 0xffffffffu, 3, 50000, 50000, 3, 150, 300000 },
	{ BFD_UP, BFD_UP, 0xffffffffu, 0xffffffffu, 255, 0xffffffffu, 0xffffffffu, 255, 300000,
	    300000 },
	{ BFD_DOWN, BFD_INIT, 0xffffffffu, 0xffffffffu, 255, 0xffffffffu, 0xffffffffu, 255, 300000,
	    300000 },
};

#define LIVES ((int)(sizeof(lives) / sizeof(lives[0])))

START_TEST(detection_time)
{
	const int i = _i / PLACES;
	struct bfd_words ours = bfd_up(OURS, PEERS, 0), theirs = bfd_up(PEERS, OURS, 0);
	uint64_t peers = lives[i].peers * MSEC + LATE;

	begin(_i % PLACES);
	ours.state = lives[i].our_state;
	ours.tx = lives[i].our_tx;
	ours.rx = lives[i].our_rx;
	ours.mult = (uint8_t)lives[i].our_mult;
	theirs.state = lives[i].peer_state;
	theirs.tx = lives[i].peer_tx;
	theirs.rx = lives[i].peer_rx;
	theirs.mult = (uint8_t)lives[i].peer_mult;
	for (int n = 0; n < 2; n++) {
		says(ours);
		(void)peer(theirs);
	}
	says(ours);
	ck_assert_uint_eq(bound(), PORT);
	/* As ns: a microsecond times three is something. */
	ck_assert_uint_le(patience(DIR_ORIGINAL) - (lives[i].ours * MSEC + LATE), 3000);
	ck_assert_uint_le(patience(DIR_REPLY) - peers, 3000);

	/* And then it has been, while our side goes on. */
	peers = patience(DIR_REPLY);
	while (peers > 100 * MSEC) {
		world_wait(&w, 100 * MSEC);
		peers -= 100 * MSEC;
		says(ours);
	}
	world_wait(&w, peers - 1);
	ck_assert_uint_eq(bound(), PORT);
	world_wait(&w, 1);
	closed_with(OP_END, REASON_SILENT, true);
	if (session())
		says(ours);
	says(ours);
	ck_assert(is_open());
}
END_TEST

START_TEST(our_silence_ends_all)
{
	const int i = _i / PLACES;

	begin(_i % PLACES);
	if (i == 0)
		says(bfd_down(OURS)); /* nobody has answered */
	else
		bring_up(i == 1 ? 50000 : 300000);
	for (int n = 0; n < 3 && i; n++) {
		world_wait(&w, 200 * MSEC);
		ck_assert(peer(bfd_up(PEERS, OURS, i == 1 ? 50000 : 300000)));
	}
	w.now = session()->silence.at - 1;
	world_wait(&w, 0);
	ck_assert_ptr_nonnull(session());
	world_wait(&w, 1);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	closed_with(i ? OP_END : OP_CLOSE, REASON_SILENT, i > 0);
	ck_assert_uint_eq(engine_deadline(w.engine), DEADLINE_NEVER);
}
END_TEST

/* While Down nobody is gone for five seconds, also when it was quick before. */
START_TEST(down_is_patient)
{
	struct bfd_words ours, theirs;

	begin(_i);
	bring_up(50000);
	/* Our side goes down, and still knows whose packets it got. */
	ours = bfd_down(OURS);
	ours.your = PEERS;
	says(ours);
	ck_assert_uint_eq(bound(), PORT);
	for (int n = 0; n < 4; n++) {
		world_wait(&w, NSEC_PER_SEC);
		says(ours);
		ck_assert_uint_eq(bound(), PORT);
	}
	/* The peer has noticed. */
	theirs = bfd_down(PEERS);
	theirs.your = OURS;
	ck_assert(peer(theirs));
	ck_assert_uint_eq(patience(DIR_REPLY), 5 * NSEC_PER_SEC + LATE);
	/* But it is not taken for alive for ever. */
	for (int n = 0; n < 6; n++) {
		world_wait(&w, NSEC_PER_SEC);
		says(ours);
	}
	ck_assert_uint_eq(bound(), 0);
	closed_with(OP_END, REASON_SILENT, true);
}
END_TEST

START_TEST(our_admin_down)
{
	struct bfd_words off = bfd_down(OURS);

	begin(_i % PLACES);
	if (_i / PLACES)
		bring_up(50000);
	else
		says(bfd_down(OURS));
	off.state = BFD_ADMIN_DOWN;
	world_forget(&w);
	says(off);
	ck_assert_ptr_null(hole());
	closed_with(_i / PLACES ? OP_END : OP_CLOSE, REASON_ADMIN_DOWN, _i / PLACES);
	/* For as long as it likes. */
	world_forget(&w);
	for (int n = 0; n < 100; n++) {
		world_wait(&w, NSEC_PER_SEC);
		says(off);
		ck_assert(!peer(bfd_up(PEERS, OURS, 50000)));
	}
	ck_assert_uint_eq(changes(), 0);
	ck_assert_ptr_nonnull(session());
	says(bfd_down(OURS));
	ck_assert(is_open());
}
END_TEST

/* A daemon that is switched off and says so from a port of its own. */
START_TEST(our_admin_down_from_another_port)
{
	struct bfd_words off = bfd_down(OURS);

	begin(_i % PLACES);
	if (_i / PLACES)
		bring_up(50000);
	else
		says(bfd_down(OURS));
	off.state = BFD_ADMIN_DOWN;
	w.sport++;
	says(off);
	ck_assert_ptr_null(hole());
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	closed_with(_i / PLACES ? OP_END : OP_CLOSE, REASON_ADMIN_DOWN, _i / PLACES);
}
END_TEST

START_TEST(admin_down_of_the_peer)
{
	struct bfd_words off = bfd_down(PEERS), ours = bfd_down(OURS);

	begin(_i);
	bring_up(50000);
	off.state = BFD_ADMIN_DOWN;
	off.your = OURS;
	ck_assert(peer(off));
	ck_assert_uint_eq(bound(), 0);
	closed_with(OP_END, REASON_ADMIN_DOWN, true);
	/* Our side notices, and the pinhole waits for the peer to think again. */
	ours.your = PEERS;
	says(ours);
	ck_assert(is_open());
	world_forget(&w);
	for (int n = 0; n < 100; n++) {
		world_wait(&w, NSEC_PER_SEC);
		says(ours);
		(void)peer(off);
	}
	/* With `mark` the kernel lets it in without asking; that must not become a see-saw. */
	ck_assert_uint_le(changes(), by_mark ? 3 : 0);
	off.state = BFD_DOWN;
	for (int n = 0; n < 7 && !bound(); n++) {
		world_wait(&w, NSEC_PER_SEC);
		says(ours);
		(void)peer(off);
	}
	ck_assert_uint_eq(bound(), PORT);
}
END_TEST

/* Our side forgets its peer: at once for whichever port has the next life. */
START_TEST(deaf)
{
	struct bfd_words ours = bfd_down(OURS);

	begin(_i);
	bring_up(50000);
	world_forget(&w);
	says(ours);
	closed_with(OP_END, REASON_SILENT, true);
	ck_assert(is_open());
	world_forget(&w);
	says(ours);
	says(ours);
	ck_assert_uint_eq(w.n, 0); /* once */
	(void)peer_from(PORT + 1, bfd_down(PEERS + 1));
	ck_assert_uint_eq(bound(), PORT + 1);
	ck_assert(!peer_from(PORT, bfd_down(PEERS)));
}
END_TEST

/* A peer on another port that our side still believes alive has to wait until the old one is
 * silent. */
START_TEST(the_peer_moves)
{
	begin(_i);
	bring_up(50000);
	for (int n = 0; n < 10; n++) {
		world_wait(&w, 100 * MSEC);
		says(bfd_up(OURS, PEERS, 50000));
		(void)peer_from(PORT + 1, bfd_down(PEERS + 1));
	}
	ck_assert_uint_eq(bound(), PORT + 1);
	ck_assert_uint_eq(world_count(&w, OP_END), 1);
}
END_TEST

START_TEST(the_peer_moves_with_every_packet)
{
	begin(_i);
	says(bfd_down(OURS));
	for (unsigned int n = 0; n < 2000; n++) {
		world_forget(&w);
		(void)peer_from((uint16_t)(40000 + n), bfd_down(PEERS + n));
		if (n % 20 == 0)
			says(bfd_down(OURS));
		world_wait(&w, 50 * MSEC);
		ck_assert_uint_le(w.n, 6);
		ck_assert_uint_le(stats()->live_pinholes, 1);
		ck_assert_uint_eq(stats()->live_sessions, 1);
	}
	/* It was let in for a hold at a time. */
	ck_assert_uint_le(stats()->bound, 2000 / 100 + 1);
}
END_TEST

/* --- our side starts again ----------------------------------------------------------------------
 */

START_TEST(taken_over)
{
	uint32_t id, old;

	begin(_i);
	bring_up(300000);
	id = hole()->id;
	old = session()->id;
	world_forget(&w);
	w.sport += 1000;
	says(bfd_down(OURS + 1));
	/* The peer's flow has not been touched. */
	ck_assert_uint_eq(bound(), PORT);
	ck_assert_uint_eq(hole()->id, id);
	ck_assert_uint_eq(world_count(&w, OP_END) + world_count(&w, OP_OPEN), 0);
	ck_assert_uint_eq(stats()->live_sessions, 1);
	ck_assert_uint_ne(session()->id, old);
	ck_assert_uint_eq(hole()->session_id, session()->id);
	ck_assert_str_eq(reason_word(world_last(&w, OP_SESSION_END)->reason), "superseded");
	ck_assert_uint_eq(session()->owner.count, 1);
	/* It now counts for the new one. */
	ck_assert(peer(bfd_down(PEERS)));
	ck_assert_uint_eq(patience(DIR_REPLY), 5 * NSEC_PER_SEC + LATE);
	ck_assert(peer(bfd_up(PEERS, OURS + 1, 300000)));
	(void)peer(bfd_up(PEERS, OURS, 300000));
	refused(REASON_DISCRIMINATOR, 1);
	/* And ends with it. */
	world_wait(&w, 7 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	closed_with(OP_END, REASON_SILENT, true);
}
END_TEST

START_TEST(taken_over_while_waiting)
{
	uint32_t id;

	begin(_i);
	says(bfd_down(OURS));
	id = hole()->id;
	world_forget(&w);
	for (int n = 0; n < 500; n++) {
		w.sport++;
		says(bfd_down(OURS));
	}
	ck_assert(is_open());
	ck_assert_uint_eq(hole()->id, id);
	ck_assert_uint_eq(stats()->live_sessions, 1);
	ck_assert_uint_eq(world_count(&w, OP_OPEN), 0);
	(void)peer(bfd_down(PEERS));
	ck_assert_uint_eq(bound(), PORT);
	ck_assert(tuple_equal(&world_last(&w, OP_ADMIT)->master, &session()->tuple));
}
END_TEST

/* Where there is no room for another session there is room for the next life of one. */
START_TEST(taken_over_at_the_limit)
{
	begin(_i % PLACES);
	if (_i / PLACES)
		w.policy.max_sessions = 1;
	else
		w.policy.max_sessions_client = 1;
	again();
	bring_up(50000);
	w.sport++;
	says(bfd_down(OURS + 1));
	ck_assert_ptr_nonnull(session());
	ck_assert_uint_eq(bound(), PORT);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	/* But none for somebody else. */
	w.port = 4784;
	says(bfd_down(OURS));
	ck_assert_uint_eq(stats()->live_sessions, 1);
	refused(_i / PLACES ? REASON_LIMIT_SESSIONS : REASON_LIMIT_SESSIONS_CLIENT, 1);
	w.port = 3784;
}
END_TEST

/* --- a firewall that accepts both directions ----------------------------------------------------
 */

static void turn_round(void)
{
	struct addr a = w.client;

	w.client = w.server;
	w.server = a;
	w.sport = w.sport == PORT ? 49152 : PORT;
}

START_TEST(both_directions_accepted)
{
	begin(_i);
	says(bfd_down(OURS));
	ck_assert(is_open());
	turn_round();
	says(bfd_down(PEERS)); /* as a session of its own */
	ck_assert_uint_eq(stats()->live_sessions, 2);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	closed_with(OP_CLOSE, REASON_ACCEPTED, false);
	world_forget(&w);
	for (int n = 0; n < 20; n++) {
		turn_round();
		says(bfd_up(n % 2 ? PEERS : OURS, n % 2 ? OURS : PEERS, 50000));
		world_wait(&w, 100 * MSEC);
	}
	ck_assert_uint_eq(w.n, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	/* One of them has gone: the other may want a pinhole again. */
	for (int n = 0; n < 60; n++) {
		world_wait(&w, 100 * MSEC);
		says(bfd_up(PEERS, OURS, 50000));
	}
	ck_assert_uint_eq(stats()->live_sessions, 1);
	ck_assert_uint_eq(stats()->open_pinholes, 1);
}
END_TEST

/* With `related` its first packet was copied, but the kernel knows the flow already. */
START_TEST(accepted_by_itself_before_we_could)
{
	struct event ev = { .kind = EV_CLOSE, .reason = REASON_COMMIT_FAILED };

	begin(_i);
	says(bfd_down(OURS));
	(void)peer(bfd_down(PEERS));
	ev.id = hole()->id;
	world_input(&w, &ev);
	closed_with(OP_END, REASON_COMMIT_FAILED, false);
	turn_round();
	says(bfd_down(PEERS));
	ck_assert_uint_eq(stats()->live_pinholes, 0);
}
END_TEST

/* --- links --------------------------------------------------------------------------------------
 */

/* The same two addresses on each of many links are as many pairs of hosts. */
START_TEST(each_link_has_its_own)
{
	const uint32_t links = 20;

	begin(_i);
	for (int round = 0; round < 3; round++) {
		for (iface = 1; iface <= links; iface++) {
			w.sport = (uint16_t)(49152 + iface);
			says(bfd_up(OURS + iface, PEERS, 50000));
			(void)peer_from(
			    (uint16_t)(PORT + iface), bfd_up(PEERS, OURS + iface, 50000));
		}
		world_wait(&w, 100 * MSEC);
	}
	if (!link_local) { /* one host, restless */
		ck_assert_uint_eq(stats()->live_sessions, 1);
		iface = links;
		return;
	}
	ck_assert_uint_eq(stats()->live_sessions, links);
	ck_assert_uint_eq(stats()->live_pinholes, links);
	ck_assert_uint_eq(world_count(&w, OP_SESSION_END) + world_count(&w, OP_REFUSE), 0);
	for (iface = 1; iface <= links; iface++)
		ck_assert_uint_eq(bound(), PORT + iface);
	/* What is of one link does not come by another. */
	iface = links + 1;
	ck_assert(!peer_from(PORT + 1, bfd_up(PEERS, OURS + 1, 50000)));
	ck_assert_ptr_null(hole());
	/* One of them goes away, and nothing happens to the others. */
	for (int n = 0; n < 10; n++) {
		world_wait(&w, 100 * MSEC);
		for (iface = 2; iface <= links; iface++) {
			w.sport = (uint16_t)(49152 + iface);
			says(bfd_up(OURS + iface, PEERS, 50000));
			ck_assert(peer_from(
			    (uint16_t)(PORT + iface), bfd_up(PEERS, OURS + iface, 50000)));
		}
	}
	ck_assert_uint_eq(stats()->live_sessions, links - 1);
	ck_assert_uint_eq(stats()->live_pinholes, links - 1);
}
END_TEST

/* --- echoes -------------------------------------------------------------------------------------
 */

static void both_up(uint32_t our_echo, uint32_t peer_echo)
{
	struct bfd_words ours = bfd_up(OURS, PEERS, 50000), theirs = bfd_up(PEERS, OURS, 50000);

	ours.echo = our_echo;
	theirs.echo = peer_echo;
	says(ours);
	(void)peer(theirs);
}

static bool v4(void)
{
	return w.client.family == FAMILY_IPV4;
}

/*
 * Over IPv4 echoes come back to this host. Over IPv6 they go to its peer, and only those of the
 * other side need a pinhole.
 */
static const struct addr *echo_goes_to(const struct addr *host)
{
	if (v4())
		return host;
	return addr_equal(host, &w.server) ? &w.client : &w.server;
}

/* The pinhole for the echoes of this host. */
static const struct pinhole *echo_of(const struct addr *host)
{
	const struct pinhole *p = find(true, host, echo_goes_to(host));

	if (p) {
		ck_assert_uint_eq(p->flow.dport, 3785);
	}
	return p;
}

static bool echo_comes(const struct addr *host, uint16_t sport, uint8_t ttl)
{
	struct tuple t = {
		.src = *host,
		.dst = *echo_goes_to(host),
		.sport = sport,
		.dport = 3785,
		.l4proto = L4_UDP,
	};

	return comes(&t, ttl, "echo", 4);
}

START_TEST(echo_when_both_are_up)
{
	const bool ours = _i / PLACES % 2, peers = _i / PLACES / 2;

	begin(_i % PLACES);
	bring_up(50000);
	for (int n = 0; n < 5; n++)
		both_up(ours ? 50000 : 0, peers ? 50000 : 0);
	/* Who is willing returns what the other one sends. */
	ck_assert_int_eq(echo_of(&w.client) != NULL, peers && v4());
	ck_assert_int_eq(echo_of(&w.server) != NULL, ours);
	ck_assert_uint_eq(stats()->live_pinholes, 1u + ours + (peers && v4()));
	ck_assert_uint_eq(stats()->opened, 1u + ours + (peers && v4()));
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

START_TEST(echo_not_before)
{
	begin(_i);
	for (uint8_t mine = BFD_DOWN; mine <= BFD_UP; mine++) {
		for (uint8_t yours = BFD_DOWN; yours <= BFD_UP; yours++) {
			struct bfd_words a = bfd_up(OURS, PEERS, 50000),
					 b = bfd_up(PEERS, OURS, 50000);

			a.state = mine;
			b.state = yours;
			a.echo = b.echo = 50000;
			says(a);
			(void)peer(b);
			(void)peer(b);
			says(a);
			/* One side is up a packet earlier than the other. */
			ck_assert_uint_eq(stats()->live_pinholes,
			    mine + yours >= BFD_INIT + BFD_UP ? (v4() ? 3 : 2) : 1);
		}
	}
}
END_TEST

START_TEST(echo_closes_with_up)
{
	struct bfd_words b = bfd_up(OURS, PEERS, 50000);
	const int how = _i / PLACES;

	begin(_i % PLACES);
	bring_up(50000);
	both_up(50000, 50000);
	both_up(50000, 50000);
	ck_assert_uint_eq(stats()->live_pinholes, v4() ? 3 : 2);
	(void)echo_comes(&w.server, 50001, 254);
	ck_assert_int_eq(echo_of(&w.server)->state, PINHOLE_BOUND);
	if (v4()) {
		(void)echo_comes(&w.client, 3785, 254);
		ck_assert_int_eq(echo_of(&w.client)->state, PINHOLE_BOUND);
	}
	world_forget(&w);
	b.echo = 50000;
	switch (how) {
	case 0: /* our side goes down */
		b.state = BFD_DOWN;
		says(b);
		break;
	case 1: /* and forgets its peer */
		b.state = BFD_DOWN;
		b.your = 0;
		says(b);
		break;
	case 2:
		b.state = BFD_ADMIN_DOWN;
		says(b);
		break;
	case 3: /* the peer says so */
		b.my = PEERS;
		b.your = OURS;
		b.state = BFD_DOWN;
		(void)peer(b);
		break;
	case 4:
		b.my = PEERS;
		b.your = OURS;
		b.state = BFD_ADMIN_DOWN;
		(void)peer(b);
		break;
	case 5: /* neither wants them any more */
		both_up(0, 0);
		break;
	case 6: /* our side starts again */
		w.sport++;
		says(bfd_down(OURS + 1));
		break;
	case 7:
		w.sport++;
		b.state = BFD_ADMIN_DOWN;
		says(b);
		break;
	default: /* and the peer's flow is silent */
		for (int n = 0; n < 6; n++) {
			world_wait(&w, 200 * MSEC);
			says(b);
		}
		break;
	}
	if (how == 8) {
		/* Our side still believes in it; so far its own word has to do. */
		ck_assert_uint_eq(bound(), 0);
		b.state = BFD_DOWN;
		b.your = 0;
		says(b);
	}
	ck_assert_ptr_null(echo_of(&w.client));
	ck_assert_ptr_null(echo_of(&w.server));
	for (unsigned int i = 0; i < w.n; i++)
		if (w.ops[i].kind == OP_END)
			ck_assert(w.ops[i].kill);
	ck_assert_uint_ge(world_count(&w, OP_END), v4() ? 2 : 1);
	for (const struct held *h = kernel.flows; h; h = h->hh.next)
		ck_assert_uint_ne(h->flow.dport, 3785);
}
END_TEST

START_TEST(no_echo)
{
	begin(_i % PLACES);
	if (_i / PLACES)
		w.policy.service[PH_SVC_BFD].echo = false;
	else
		w.port = 4784;
	world_restart(&w);
	bring_up(50000);
	for (int n = 0; n < 5; n++)
		both_up(50000, 50000);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
}
END_TEST

/* The forwarding plane that returns them takes one off the TTL. */
START_TEST(echoes_come_back_with_less)
{
	begin(_i);
	bring_up(50000);
	both_up(50000, 50000);
	both_up(50000, 50000);
	for (int ttl = 255; ttl >= 253; ttl--) {
		(void)echo_comes(&w.server, 50001, (uint8_t)ttl);
		ck_assert_int_eq(echo_of(&w.server)->state, PINHOLE_BOUND);
		if (!v4())
			continue;
		(void)echo_comes(&w.client, 50000, (uint8_t)ttl);
		ck_assert_int_eq(echo_of(&w.client)->state, PINHOLE_BOUND);
		ck_assert_uint_eq(echo_of(&w.client)->flow.sport, 50000);
	}
	ck_assert_uint_eq(echo_of(&w.server)->flow.sport, 50001);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	/* Theirs is no BFD packet, whatever it looks like. */
	ck_assert_uint_eq(bound(), PORT);
}
END_TEST

/* A flow that conntrack has forgotten may come again, and a port may change. */
START_TEST(echoes_pause)
{
	struct tuple t;

	begin(_i);
	bring_up(50000);
	both_up(50000, 50000);
	both_up(50000, 50000);
	for (uint16_t port = 50000; port < 50005; port++) {
		(void)echo_comes(&w.server, port, 254);
		ck_assert_int_eq(echo_of(&w.server)->state, PINHOLE_BOUND);
		t = echo_of(&w.server)->flow;
		world_ct(&w, EV_CT_DESTROY, &t, 0);
		ck_assert_ptr_null(echo_of(&w.server));
		both_up(50000, 50000);
		ck_assert_int_eq(echo_of(&w.server)->state, PINHOLE_OPEN);
	}
}
END_TEST

/* A host's echoes look the same whichever peer returns them. */
START_TEST(echoes_of_a_host_with_many_peers)
{
	const uint8_t last = (uint8_t)(places[_i].family == FAMILY_IPV4 ? 3 : 15);

	begin(_i);
	for (unsigned int n = 0; n < 50; n++) {
		w.server.bytes[last] = (uint8_t)(10 + n);
		bring_up(50000);
		both_up(0, 50000);
		both_up(0, 50000);
	}
	world_forget(&w);
	for (unsigned int round = 0; round < 4; round++) {
		for (unsigned int n = 0; n < 50; n++) {
			w.server.bytes[last] = (uint8_t)(10 + n);
			both_up(0, 50000);
			ck_assert_uint_eq(bound(), PORT);
			ck_assert_ptr_nonnull(echo_of(&w.client));
		}
		world_wait(&w, 100 * MSEC);
	}
	/* What one has opened need not be opened by the next. */
	ck_assert_uint_eq(w.n, 0);

	/* The one that has it goes down; the next needs it still. */
	(void)echo_comes(&w.client, 50000, 254);
	ck_assert_int_eq(echo_of(&w.client)->state, PINHOLE_BOUND);
	for (unsigned int n = 0; n < 50; n++) {
		w.server.bytes[last] = (uint8_t)(10 + n);
		if (echo_of(&w.client) && session() &&
		    echo_of(&w.client)->session_id == session()->id) {
			says(bfd_down(OURS));
			break;
		}
	}
	w.server.bytes[last] = 10 + 49;
	both_up(0, 50000);
	(void)echo_comes(&w.client, 50000, 254);
	ck_assert_int_eq(echo_of(&w.client)->state, PINHOLE_BOUND);
}
END_TEST

/* --- limits -------------------------------------------------------------------------------------
 */

static void nth_peer(unsigned int n)
{
	const size_t at = w.server.family == FAMILY_IPV4 ? 1 : 13;

	w.server.bytes[at - 1] = 77; /* nobody's else */
	w.server.bytes[at] = (uint8_t)(n >> 16);
	w.server.bytes[at + 1] = (uint8_t)(n >> 8);
	w.server.bytes[at + 2] = (uint8_t)n;
}

/* Our side speaks to ten thousand, or ten thousand that the firewall accepts speak to us. */
START_TEST(ten_thousand_spoofed)
{
	const bool to_us = _i / PLACES;
	struct addr *far, self;

	begin(_i % PLACES);
	w.policy.max_sessions = 3000;
	w.policy.max_sessions_client = 1000;
	w.policy.max_pinholes = 2000;
	w.policy.max_pinholes_client = 800;
	again();
	w.after = NULL; /* looking at everything each time would take minutes */
	self = w.client;
	far = &w.server;
	for (unsigned int n = 0; n < 10000; n++) {
		nth_peer(n);
		if (to_us) {
			w.client = *far;
			w.server = self;
		}
		says(bfd_up(OURS, PEERS, 50000));
		if (to_us) {
			*far = w.client;
			w.client = self;
		}
		world_wait(&w, MSEC / 10);
		ck_assert_uint_le(stats()->live_sessions, to_us ? 3000 : 1000);
		ck_assert_uint_le(stats()->live_pinholes, to_us ? 2000 : 800);
		if (n % 1000 == 0)
			world_forget(&w);
	}
	ck_assert_uint_eq(stats()->live_sessions, to_us ? 3000 : 1000);
	ck_assert_uint_eq(stats()->live_pinholes, to_us ? 2000 : 800);
	ck_assert_uint_eq(
	    stats()->reasons[to_us ? REASON_LIMIT_SESSIONS : REASON_LIMIT_SESSIONS_CLIENT],
	    to_us ? 7000 : 9000);
	ck_assert_uint_eq(
	    stats()->reasons[to_us ? REASON_LIMIT_PINHOLES : REASON_LIMIT_PINHOLES_CLIENT],
	    to_us ? 1000 : 200);
	world_wait(&w, 6 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_ptr_null(w.engine->sessions.clients);
	ck_assert_uint_eq(engine_deadline(w.engine), DEADLINE_NEVER);
	/* There is room again. */
	says(bfd_down(OURS));
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	world_wait(&w, 6 * NSEC_PER_SEC);
	ck_assert_uint_eq(stats()->live_sessions, 0);
}
END_TEST

/* Strangers' first packets and replies leave nothing behind at all. */
START_TEST(strangers_cost_no_memory)
{
	struct bfd_words b = bfd_down(PEERS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);

	begin(_i);
	says(bfd_down(OURS));
	for (unsigned int n = 0; n < 10000; n++) {
		struct tuple t;

		nth_peer(n + 0x10000);
		t = world_data(&w, DIR_REPLY, (uint16_t)(1 + n), 3784);
		show(n % 2 ? EV_FIRST : EV_PACKET, &t, (uint8_t)(n % 3 ? 255 : 254), bytes, len);
	}
	ck_assert_uint_eq(stats()->live_sessions, 1);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_eq(HASH_CNT(hh, w.engine->sessions.clients), 1);
}
END_TEST

/* More ends at once than a decision holds. */
START_TEST(full_decisions_lose_nothing)
{
	begin(_i);
	for (unsigned int n = 0; n < 300; n++) {
		nth_peer(n);
		bring_up(50000);
		both_up(50000, 50000);
		both_up(50000, 50000);
		world_forget(&w);
	}
	ck_assert_uint_ge(stats()->live_pinholes, v4() ? 601 : 600);
	ck_assert_uint_eq(stats()->live_sessions, 300);
	w.now += 60 * NSEC_PER_SEC;
	world_wait(&w, 0);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_ptr_null(kernel.elements);
	ck_assert_ptr_null(kernel.flows);
	ck_assert_uint_eq(world_count(&w, OP_SESSION_END), 300);
}
END_TEST

START_TEST(many_flows_fall_silent_at_once)
{
	begin(_i);
	for (unsigned int n = 0; n < 200; n++) {
		nth_peer(n);
		bring_up(50000);
	}
	for (unsigned int i = 0; i < 4; i++) { /* our side goes on */
		world_wait(&w, 250 * MSEC);
		for (unsigned int n = 0; n < 200 && i < 3; n++) {
			nth_peer(n);
			says(bfd_up(OURS, PEERS, 50000));
		}
	}
	ck_assert_uint_eq(stats()->live_sessions, 200);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	ck_assert_ptr_null(kernel.flows);
	ck_assert_uint_eq(world_count(&w, OP_END), 200);
}
END_TEST

/* Pinholes that could not be had are asked for again, and are there when there is room. */
START_TEST(limits_of_pinholes)
{
	begin(_i);
	w.policy.max_pinholes_session = 1;
	again();
	bring_up(50000);
	for (int n = 0; n < 3; n++)
		both_up(50000, 50000);
	ck_assert_uint_eq(stats()->live_pinholes, 1);
	ck_assert_uint_gt(stats()->reasons[REASON_LIMIT_PINHOLES_SESSION], 0);
	w.policy.max_pinholes_session = 3;
	engine_set_policy(w.engine, &w.policy);
	both_up(50000, 50000);
	ck_assert_uint_eq(stats()->live_pinholes, v4() ? 3 : 2);
}
END_TEST

/* --- conntrack ----------------------------------------------------------------------------------
 */

START_TEST(conntrack_binds)
{
	struct tuple t;

	begin(_i);
	t = world_data(&w, DIR_REPLY, PORT, w.port);
	says(bfd_down(OURS));
	world_ct(&w, EV_CT_NEW, &t, PH_SVC_BFD); /* not ours */
	world_ct(&w, EV_CT_NEW, &t, 0);
	ck_assert(is_open());
	t.sport = 0; /* legal, and never bound */
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	ck_assert(is_open());
	t.sport = PORT;
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	if (link_local) { /* its next packet does */
		ck_assert(is_open());
		return;
	}
	ck_assert_uint_eq(bound(), PORT);
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD); /* told twice */
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
	ck_assert_uint_eq(world_count(&w, OP_REFUSE), 0);
	/* It has said nothing yet, and gets a hold to do so. */
	ck_assert_uint_eq(patience(DIR_REPLY), 5 * NSEC_PER_SEC);
	for (int n = 0; n < 5; n++) {
		says(bfd_down(OURS));
		world_wait(&w, NSEC_PER_SEC);
	}
	closed_with(OP_END, REASON_SILENT, true);
	says(bfd_down(OURS));
	ck_assert(is_open());
}
END_TEST

/* The copy of a packet may come before the news of its flow. */
START_TEST(the_packet_before_the_event)
{
	struct bfd_words b = bfd_down(PEERS);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);
	struct tuple t;

	begin(_i);
	t = world_data(&w, DIR_REPLY, PORT, w.port);
	says(bfd_down(OURS));
	show(EV_PACKET, &t, 255, bytes, len);
	ck_assert_uint_eq(bound(), PORT);
	ck_assert_uint_eq(patience(DIR_REPLY), 5 * NSEC_PER_SEC + LATE);
	world_ct(&w, EV_CT_NEW, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	ck_assert_uint_eq(world_count(&w, OP_ADMIT), 1);
}
END_TEST

START_TEST(conntrack_forgets)
{
	struct tuple t;

	begin(_i);
	bring_up(50000);
	t = hole()->flow;
	t.iface = 0; /* of which conntrack knows nothing */
	world_ct(&w, EV_CT_DESTROY, &t, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	if (link_local) { /* silence will tell */
		ck_assert_uint_eq(bound(), PORT);
		return;
	}
	closed_with(OP_END, REASON_FLOW_ENDED, false);
	says(bfd_up(OURS, PEERS, 50000));
	ck_assert(is_open());
	(void)peer(bfd_up(PEERS, OURS, 50000));
	ck_assert_uint_eq(bound(), PORT);

	/* And our side's own flow: all of it ends, and begins again. */
	t = session()->tuple;
	world_ct(&w, EV_CT_DESTROY, &t, PH_MARK_F_CONTROL | PH_SVC_BFD);
	closed_with(OP_END, REASON_SESSION_ENDED, true);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	says(bfd_up(OURS, PEERS, 50000));
	(void)peer(bfd_up(PEERS, OURS, 50000));
	ck_assert_uint_eq(bound(), PORT);
}
END_TEST

static void show_alive(const struct tuple *t, unsigned int field)
{
	world_ct(&w, EV_CT_ALIVE, t, field);
}

/* All of conntrack again: what is there stays, what is not has ended. */
START_TEST(resync)
{
	struct tuple ours, theirs;

	/* Whatever conntrack shows, or keeps to itself: they speak for themselves. */
	for (int shown = 0; shown < 4; shown++) {
		begin(_i);
		bring_up(50000);
		ours = session()->tuple;
		theirs = hole()->flow;
		world_forget(&w);
		world_ct(&w, EV_RESYNC, NULL, 0);
		if (shown & 1)
			show_alive(&ours, PH_MARK_F_CONTROL | PH_SVC_BFD);
		if (shown & 2)
			show_alive(&theirs, PH_MARK_F_PINHOLE | PH_SVC_BFD);
		world_ct(&w, EV_RESYNCED, NULL, 0);
		ck_assert_uint_eq(stats()->live_sessions, 1);
		ck_assert_uint_eq(bound(), PORT);
		ck_assert_uint_eq(w.n, 0);
		teardown();
	}
	begin(_i);
	says(bfd_down(OURS));
	world_ct(&w, EV_RESYNC, NULL, 0);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert(is_open());
}
END_TEST

/* An entry of our side's last life is still in conntrack, before or behind that of this one. */
START_TEST(resync_shows_the_last_life)
{
	struct tuple last;

	for (int before = 0; before < 2; before++) {
		begin(_i);
		bring_up(50000);
		last = session()->tuple;
		w.sport++;
		says(bfd_up(OURS, PEERS, 50000));
		world_forget(&w);
		world_ct(&w, EV_RESYNC, NULL, 0);
		for (int n = 0; n < 2; n++) {
			struct tuple now = world_control(&w);

			show_alive(n == before ? &now : &last, PH_MARK_F_CONTROL | PH_SVC_BFD);
		}
		show_alive(&hole()->flow, PH_MARK_F_PINHOLE | PH_SVC_BFD);
		world_ct(&w, EV_RESYNCED, NULL, 0);
		says(bfd_up(OURS, PEERS, 50000));
		ck_assert_ptr_nonnull(session());
		ck_assert_uint_eq(stats()->live_sessions, 1);
		ck_assert_uint_eq(bound(), PORT);
		ck_assert_uint_eq(world_count(&w, OP_END) + world_count(&w, OP_OPEN), 0);
		teardown();
	}
	begin(_i);
}
END_TEST

/* A new run: sessions show themselves, and flows that are let in already come through again. */
START_TEST(restart)
{
	struct tuple ours, theirs;
	struct bfd_words b = bfd_up(PEERS, OURS, 50000);
	uint8_t bytes[BFD_LEN_MAX];
	size_t len = bfd_write(&b, bytes);

	begin(_i);
	bring_up(50000);
	ours = session()->tuple;
	theirs = hole()->flow;
	again();
	world_ct(&w, EV_RESYNC, NULL, 0);
	show_alive(&theirs, PH_MARK_F_PINHOLE | PH_SVC_BFD);
	show_alive(&ours, PH_MARK_F_CONTROL | PH_SVC_BFD);
	world_ct(&w, EV_RESYNCED, NULL, 0);
	ck_assert_ptr_null(session());
	ck_assert_ptr_null(hole());
	show(EV_PACKET, &theirs, 255, bytes, len); /* the kernel still lets it in */
	ck_assert_ptr_null(hole());
	says(bfd_up(OURS, PEERS, 50000));
	ck_assert(is_open());
	show(EV_PACKET, &theirs, 255, bytes, len);
	ck_assert_uint_eq(bound(), PORT);
	ck_assert_uint_eq(patience(DIR_REPLY), 150 * MSEC + LATE);
	says(bfd_up(OURS, PEERS, 50000));
	ck_assert_uint_eq(patience(DIR_ORIGINAL), 150 * MSEC + LATE);
}
END_TEST

/* Conntrack knows neither the interface nor the peer's words: it begins no session. */
START_TEST(proven_but_mute)
{
	struct tuple t;

	begin(_i);
	t = world_control(&w);
	for (int n = 0; n < 2; n++)
		world_ct(&w, n ? EV_CT_NEW : EV_CT_ALIVE, &t, PH_MARK_F_CONTROL | PH_SVC_BFD);
	ck_assert_uint_eq(stats()->live_sessions, 0);
	ck_assert_uint_eq(w.n, 0);
}
END_TEST

/* --- the element --------------------------------------------------------------------------------
 */

START_TEST(renewals)
{
	uint64_t ttl;
	struct bfd_words ours = bfd_down(OURS);
	unsigned int seconds;

	begin(_i);
	ttl = w.policy.service[PH_SVC_BFD].ttl;
	says(ours);
	world_forget(&w);
	for (seconds = 0; seconds < 10 * ttl / NSEC_PER_SEC; seconds++) {
		uint64_t before = w.n;

		world_wait(&w, NSEC_PER_SEC);
		says(ours);
		ck_assert_uint_le(w.n - before, 1);
		ck_assert(is_open());
	}
	/* Each half of its time in the kernel. */
	ck_assert_uint_eq(world_count(&w, OP_RENEW), 20);
	ck_assert_uint_eq(changes(), 0);
	ck_assert_uint_eq(world_last(&w, OP_RENEW)->timeout, ttl);
	(void)peer(bfd_down(PEERS));
	world_forget(&w);
	for (seconds = 0; seconds < 120; seconds++) {
		world_wait(&w, NSEC_PER_SEC);
		says(ours);
		ck_assert(peer(bfd_down(PEERS)));
	}
	ck_assert_uint_eq(w.n, 0); /* what conntrack carries needs no element */
}
END_TEST

/* Who closes it by hand wins until our side speaks again. */
START_TEST(operator)
{
	struct event ev = { .kind = EV_CLOSE, .reason = REASON_OPERATOR };

	begin(_i % PLACES);
	if (_i / PLACES)
		bring_up(50000);
	else
		says(bfd_down(OURS));
	ev.id = hole()->id;
	world_input(&w, &ev);
	ck_assert_uint_eq(stats()->live_pinholes, 0);
	closed_with(_i / PLACES ? OP_END : OP_CLOSE, REASON_OPERATOR, _i / PLACES);
	says(bfd_down(OURS));
	ck_assert(is_open());
}
END_TEST

/* The kernel did not take it, time and again. */
START_TEST(commit_fails)
{
	struct event ev = { .kind = EV_CLOSE, .reason = REASON_COMMIT_FAILED };

	begin(_i);
	for (int n = 0; n < 10; n++) {
		says(bfd_down(OURS));
		ck_assert(is_open());
		(void)peer(bfd_down(PEERS));
		ev.id = hole()->id;
		world_input(&w, &ev);
		closed_with(OP_END, REASON_COMMIT_FAILED, false);
	}
}
END_TEST

/* --- for people ---------------------------------------------------------------------------------
 */

static uint64_t fact(const char *name, const char *word)
{
	struct fact facts[FACTS_MAX];
	const struct session *s = session();
	unsigned int n = s->tracker->facts(s->state, facts);

	ck_assert_uint_le(n, FACTS_MAX);
	for (unsigned int i = 0; i < n; i++) {
		if (strcmp(facts[i].name, name) != 0)
			continue;
		if (word)
			ck_assert_str_eq(facts[i].word, word);
		else
			ck_assert_ptr_null(facts[i].word);
		return facts[i].number;
	}
	return UINT64_MAX;
}

START_TEST(what_people_are_told)
{
	struct bfd_words b = bfd_down(OURS);
	struct fact facts[FACTS_MAX];

	begin(_i);
	b.echo = 40000;
	says(b);
	ck_assert_uint_eq(session()->tracker->facts(session()->state, facts), 7);
	(void)fact("local_state", "down");
	ck_assert_uint_eq(fact("local_discriminator", NULL), OURS);
	ck_assert_uint_eq(fact("local_multiplier", NULL), 3);
	ck_assert_uint_eq(fact("local_tx_us", NULL), 1000000);
	ck_assert_uint_eq(fact("local_rx_us", NULL), 300000);
	ck_assert_uint_eq(fact("local_echo_us", NULL), 40000);
	ck_assert_uint_eq(fact("local_detection_us", NULL), 3000000);
	ck_assert_uint_eq(fact("peer_discriminator", NULL), UINT64_MAX);
	b = bfd_up(PEERS, OURS, 0xffffffffu);
	b.mult = 255;
	(void)peer(b);
	ck_assert_uint_eq(session()->tracker->facts(session()->state, facts), 14);
	(void)fact("peer_state", "up");
	ck_assert_uint_eq(fact("peer_discriminator", NULL), PEERS);
	ck_assert_uint_eq(fact("peer_rx_us", NULL), 0xffffffffu);
	ck_assert_uint_eq(fact("peer_detection_us", NULL), 255ull * 0xffffffffu);
	/* The slower of both counts. */
	ck_assert_uint_eq(fact("local_detection_us", NULL), 3ull * 0xffffffffu);
	/* What is forgotten is not told. */
	b = bfd_up(OURS, PEERS, 50000);
	says(b);
	says(bfd_down(OURS));
	ck_assert_uint_eq(session()->tracker->facts(session()->state, facts), 7);
}
END_TEST

START_TEST(the_cause)
{
	char want[PINHOLE_CAUSE];
	struct bfd_words b = bfd_down(0xffffffffu);

	begin(_i);
	b.tx = b.rx = 0xffffffffu;
	b.mult = 255;
	says(b);
	ck_assert_str_eq(hole()->cause, world_last(&w, OP_OPEN)->cause);
	(void)snprintf(want, sizeof(want), "down discr 4294967295 your 0 mult 255 ");
	ck_assert_int_eq(strncmp(hole()->cause, want, strlen(want)), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bfd");
	TCase *t = tcase_create("packets");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, broken_of_ours_opens_nothing, 0, BREAKS * PLACES);
	tcase_add_loop_test(t, broken_of_the_peer_lets_nothing_in, 0, BREAKS * PLACES);
	tcase_add_loop_test(t, broken_of_the_peer_keeps_nothing_alive, 0, BREAKS * PLACES);
	tcase_add_loop_test(t, odd_but_right, 0, ODD * PLACES);
	tcase_add_loop_test(t, states_and_discriminators, 0, PLACES);
	tcase_add_loop_test(t, truncated, 0, ODD * PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("who");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, any_port_then_that_one, 0, PLACES);
	tcase_add_loop_test(t, the_second_to_knock_is_a_stranger, 0, PLACES);
	tcase_add_loop_test(t, nobody_unknown_opens_anything, 0, PLACES);
	tcase_add_loop_test(t, single_hop_needs_255, 0, PLACES);
	tcase_add_loop_test(t, multihop_needs_what_is_configured, 0, PLACES);
	tcase_add_loop_test(t, only_peers_on_the_list, 0, PLACES);
	tcase_add_loop_test(t, the_list_also_holds_for_echoes, 0, PLACES);
	tcase_add_loop_test(t, a_list_that_changes, 0, PLACES);
	tcase_add_loop_test(t, a_service_switched_off, 0, PLACES);
	tcase_add_loop_test(t, wrong_discriminator, 0, PLACES);
	tcase_add_loop_test(t, our_discriminator_changes, 0, PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("life");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, detection_time, 0, LIVES * PLACES);
	tcase_add_loop_test(t, our_silence_ends_all, 0, 3 * PLACES);
	tcase_add_loop_test(t, down_is_patient, 0, PLACES);
	tcase_add_loop_test(t, our_admin_down, 0, 2 * PLACES);
	tcase_add_loop_test(t, our_admin_down_from_another_port, 0, 2 * PLACES);
	tcase_add_loop_test(t, admin_down_of_the_peer, 0, PLACES);
	tcase_add_loop_test(t, deaf, 0, PLACES);
	tcase_add_loop_test(t, the_peer_moves, 0, PLACES);
	tcase_add_loop_test(t, the_peer_moves_with_every_packet, 0, PLACES);
	tcase_add_loop_test(t, taken_over, 0, PLACES);
	tcase_add_loop_test(t, taken_over_while_waiting, 0, PLACES);
	tcase_add_loop_test(t, taken_over_at_the_limit, 0, 2 * PLACES);
	tcase_add_loop_test(t, both_directions_accepted, 0, PLACES);
	tcase_add_loop_test(t, accepted_by_itself_before_we_could, 0, PLACES);
	tcase_add_loop_test(t, each_link_has_its_own, 0, PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("echo");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, echo_when_both_are_up, 0, 4 * PLACES);
	tcase_add_loop_test(t, echo_not_before, 0, PLACES);
	tcase_add_loop_test(t, echo_closes_with_up, 0, 9 * PLACES);
	tcase_add_loop_test(t, no_echo, 0, 2 * PLACES);
	tcase_add_loop_test(t, echoes_come_back_with_less, 0, PLACES);
	tcase_add_loop_test(t, echoes_pause, 0, PLACES);
	tcase_add_loop_test(t, echoes_of_a_host_with_many_peers, 0, 1); /* IPv4 */
	suite_add_tcase(s, t);

	t = tcase_create("limits");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, ten_thousand_spoofed, 0, 2 * PLACES);
	tcase_add_loop_test(t, strangers_cost_no_memory, 0, PLACES);
	tcase_add_loop_test(t, full_decisions_lose_nothing, 0, PLACES);
	tcase_add_loop_test(t, many_flows_fall_silent_at_once, 0, PLACES);
	tcase_add_loop_test(t, limits_of_pinholes, 0, PLACES);
	suite_add_tcase(s, t);

	t = tcase_create("kernel");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, conntrack_binds, 0, PLACES);
	tcase_add_loop_test(t, the_packet_before_the_event, 0, PLACES);
	tcase_add_loop_test(t, conntrack_forgets, 0, PLACES);
	tcase_add_loop_test(t, resync, 0, PLACES);
	tcase_add_loop_test(t, resync_shows_the_last_life, 0, PLACES);
	tcase_add_loop_test(t, restart, 0, PLACES);
	tcase_add_loop_test(t, proven_but_mute, 0, PLACES);
	tcase_add_loop_test(t, renewals, 0, PLACES);
	tcase_add_loop_test(t, operator, 0, 2 * PLACES);
	tcase_add_loop_test(t, commit_fails, 0, PLACES);
	tcase_add_loop_test(t, what_people_are_told, 0, PLACES);
	tcase_add_loop_test(t, the_cause, 0, PLACES);
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
