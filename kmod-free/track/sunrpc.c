// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rpcbind: RFC 5531 (ONC RPC, record marking), RFC 1833 (portmap version 2, rpcbind versions 3, 4).
 *
 * A call that asks for ports is remembered by its XID; only its answer opens anything, once. Over
 * TCP a record may be cut anywhere, so what has come of it is kept until the next piece of it makes
 * sense: the header at first, then one list entry at a time. No message is ever kept whole.
 */
#include "tracker.h"

#include <stdio.h>
#include <string.h>

#define PROGRAM_PORTMAP  100000u
#define PROGRAM_NLOCKMGR 100021u
#define PORTMAP_PORT     111u

#define AUTH_MAX         400u /* RFC 5531 section 8.2 */
#define STRING_MAX       128u /* netids, universal addresses and owners are far shorter */

/* Larger than the largest call: header, two credentials, and the arguments of GETADDR. */
#define KEPT 1536

enum message { CALL = 0, REPLY = 1 };

/* What a question will be answered with. */
enum shape {
	SHAPE_NONE,
	SHAPE_PORT,      /* version 2 GETPORT: a word */
	SHAPE_UADDR,     /* GETADDR, GETVERSADDR: a universal address */
	SHAPE_MAP,       /* version 2 DUMP: program, version, protocol, port */
	SHAPE_RPCB,      /* version 3 and 4 DUMP: program, version, netid, address, owner */
	SHAPE_ENDPOINTS, /* version 4 GETADDRLIST: address, netid, semantics, family, protocol */
};

enum stage { STAGE_HEADER, STAGE_LIST, STAGE_SKIP };

/* One direction of a TCP session. */
struct record {
	uint8_t kept[KEPT];
	uint16_t have;
	uint8_t mark[4]; /* of the fragment, as far as it has come */
	uint8_t mark_have;
	uint8_t stage;            /* enum stage */
	bool last;                /* the fragment is the record's last one */
	bool lost;                /* after a gap: where the next record begins is not known */
	uint32_t left;            /* of the fragment */
	struct question question; /* STAGE_LIST: what is being answered */
};

struct sunrpc {
	struct record record[2];
};

_Static_assert(sizeof(struct sunrpc) <= TRACKER_STATE_MAX, "a session's tracker state is bounded");

/* struct question: what[0] shape | transport << 8, [1] program, [2] version, [3] procedure */
static enum shape shape_of(const struct question *q)
{
	return (enum shape)(q->what[0] & 0xff);
}

static uint8_t transport_of(const struct question *q)
{
	return (uint8_t)(q->what[0] >> 8);
}

/* --- XDR (RFC 4506) -----------------------------------------------------------------------------
 */

CURSOR_MUST static bool xdr_opaque(struct cursor *c, uint32_t max, struct cursor *out)
{
	struct cursor at = *c;
	uint32_t len;

	if (!cursor_be32(&at, &len) || len > max || !cursor_sub(&at, len, out) ||
	    !cursor_skip(&at, (4 - len % 4) % 4))
		return false;
	*c = at;
	return true;
}

static bool is_word(const struct cursor *c, const char *word)
{
	return c->left == strlen(word) && memcmp(c->at, word, c->left) == 0;
}

/*
 * 0 for transports that are not ours (local, ticlts, ...), and for those of the other family: a
 * host of both lists all of its ports, and they differ.
 */
static uint8_t netid_transport(enum family family, const struct cursor *netid)
{
	if (is_word(netid, family == FAMILY_IPV4 ? "tcp" : "tcp6"))
		return L4_TCP;
	if (is_word(netid, family == FAMILY_IPV4 ? "udp" : "udp6"))
		return L4_UDP;
	return 0;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static const char *procedure_word(const struct question *q)
{
	switch (shape_of(q)) {
	case SHAPE_PORT:
		return "GETPORT";
	case SHAPE_UADDR:
		return q->what[3] == 9 ? "GETVERSADDR" : "GETADDR";
	case SHAPE_ENDPOINTS:
		return "GETADDRLIST";
	default:
		return "DUMP";
	}
}

static void explain(char *text, size_t cap, const struct question *q, uint32_t program,
    uint32_t version, uint8_t transport, uint32_t port)
{
	(void)snprintf(text, cap, "%s xid 0x%08x: %u v%u %s port %u", procedure_word(q), q->xid,
	    program, version, transport == L4_TCP ? "tcp" : "udp", port);
}

/* announced has FAMILY_NONE where the protocol names no host. */
static void opens(struct track *t, const struct question *q, uint32_t program, uint32_t version,
    uint8_t transport, uint32_t port, const struct addr *announced)
{
	char text[96];
	struct request r = {
		.dir = DIR_ORIGINAL,
		.l4proto = (enum l4)transport,
		.port = port,
		.announced = *announced,
		.mapping = true,
		.program = program,
		.version = version,
	};

	/* Not registered; or rpcbind itself, which is being talked to. */
	if (port == 0 || program == PROGRAM_PORTMAP)
		return;
	explain(text, sizeof(text), q, program, version, transport, port);
	r.cause = cursor_of(text, strlen(text));
	if (track_expect(t, &r) == 0 || program != PROGRAM_NLOCKMGR)
		return;
	/*
	 * The lock manager calls back (NLM_GRANTED): the server asks the client's rpcbind, and what
	 * that answers opens the rest.
	 */
	r.dir = DIR_REPLY;
	r.port = PORTMAP_PORT;
	r.announced = (struct addr){ .family = FAMILY_NONE };
	r.program = PROGRAM_PORTMAP;
	r.version = 2;
	r.portmap = true;
	for (int i = 0; i < 2; i++) {
		r.l4proto = i ? L4_UDP : L4_TCP;
		(void)track_expect(t, &r);
	}
}

static bool is_wildcard(const struct addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->bytes, zero, sizeof(zero)) == 0;
}

/* The last number of a dotted text, and the text before its dot. */
static bool last_octet(struct cursor *text, uint32_t *octet)
{
	size_t at = text->left;
	struct cursor digits;

	while (at > 0 && text->at[at - 1] != '.')
		at--;
	if (at == 0)
		return false;
	digits = cursor_of(text->at + at, text->left - at);
	if (!cursor_decimal(&digits, 255, octet) || digits.left)
		return false;
	text->left = at - 1;
	return true;
}

/* "192.0.2.1.3.20", "2001:db8::1.8.1" (RFC 5665 section 5.2.3) */
static bool parse_uaddr(struct cursor text, struct addr *host, uint32_t *port)
{
	uint32_t high, low;

	if (!last_octet(&text, &low) || !last_octet(&text, &high) ||
	    !addr_parse((const char *)text.at, text.left, host))
		return false;
	*port = high << 8 | low;
	return true;
}

static void opens_uaddr(struct track *t, const struct question *q, uint32_t program,
    uint32_t version, uint8_t transport, const struct cursor *uaddr)
{
	struct request r = { .dir = DIR_ORIGINAL, .cause = *uaddr };
	struct addr host;
	uint32_t port;

	if (uaddr->left == 0 || transport == 0) /* not registered, or not for us */
		return;
	if (!parse_uaddr(*uaddr, &host, &port)) {
		track_refuse(t, REASON_MALFORMED, &r);
		return;
	}
	if (is_wildcard(&host) && host.family == track_family(t)) /* whoever answers */
		host.family = FAMILY_NONE;
	opens(t, q, program, version, transport, port, &host);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static enum shape call_shape(uint32_t version, uint32_t procedure)
{
	if (version == 2)
		return procedure == 3 ? SHAPE_PORT : procedure == 4 ? SHAPE_MAP : SHAPE_NONE;
	switch (procedure) {
	case 3:
		return SHAPE_UADDR;
	case 4:
		return SHAPE_RPCB;
	case 9:
		return version == 4 ? SHAPE_UADDR : SHAPE_NONE;
	case 11:
		return version == 4 ? SHAPE_ENDPOINTS : SHAPE_NONE;
	default:
		return SHAPE_NONE;
	}
}

/* CALLIT, BCAST, INDIRECT */
static bool is_proxy(uint32_t version, uint32_t procedure)
{
	return procedure == 5 || (version == 4 && procedure == 10);
}

CURSOR_MUST static bool call_arguments(struct cursor *c, enum l4 transport, struct question *q)
{
	uint32_t protocol, ignored;
	struct cursor text;

	switch (shape_of(q)) {
	case SHAPE_PORT:
		if (!cursor_be32(c, &q->what[1]) || !cursor_be32(c, &q->what[2]) ||
		    !cursor_be32(c, &protocol) || !cursor_be32(c, &ignored))
			return false;
		q->what[0] |= (protocol == L4_TCP || protocol == L4_UDP ? protocol : 0) << 8;
		return true;
	case SHAPE_UADDR:
	case SHAPE_ENDPOINTS:
		for (int i = 1; i <= 2; i++)
			if (!cursor_be32(c, &q->what[i]))
				return false;
		for (int i = 0; i < 3; i++) /* netid, address, owner */
			if (!xdr_opaque(c, STRING_MAX, &text))
				return false;
		/* The netid is "ignored [...] and inferred" (RFC 1833 section 2.2.1). */
		q->what[0] |= (uint32_t)transport << 8;
		return true;
	default:
		return true;
	}
}

/* All parsers: false when it takes more bytes, or, if there are no more, when it is broken. */
CURSOR_MUST static bool parse_call(struct track *t, enum l4 transport, struct cursor c)
{
	uint32_t rpc, program, version, procedure, flavor, type;
	struct request r = { .dir = DIR_ORIGINAL };
	struct question q = { .xid = 0 };
	struct cursor auth;

	if (!cursor_be32(&c, &q.xid) || !cursor_be32(&c, &type) || !cursor_be32(&c, &rpc) ||
	    !cursor_be32(&c, &program) || !cursor_be32(&c, &version) ||
	    !cursor_be32(&c, &procedure))
		return false;
	if (type != CALL)
		return true;
	if (rpc != 2 || program != PROGRAM_PORTMAP || version < 2 || version > 4) {
		track_ask(t, &q); /* for its answer to be expected, and to open nothing */
		return true;
	}
	for (int i = 0; i < 2; i++)
		if (!cursor_be32(&c, &flavor) || !xdr_opaque(&c, AUTH_MAX, &auth))
			return false;
	if (is_proxy(version, procedure))
		track_refuse(t, REASON_PROXY, &r);
	q.what[0] = call_shape(version, procedure);
	q.what[3] = procedure;
	if (!call_arguments(&c, transport, &q))
		return false;
	track_ask(t, &q);
	return true;
}

/* --- replies ------------------------------------------------------------------------------------
 */

/*
 * Up to the results. *answers is false where nothing is to be had from the rest. The question stays
 * until all of a short result, or the beginning of a list, is there.
 */
CURSOR_MUST static bool parse_reply(
    struct track *t, struct cursor *c, struct question *q, bool *answers)
{
	uint32_t xid, type, status, flavor;
	struct request r = { .dir = DIR_ORIGINAL };
	struct cursor verifier;

	*answers = false;
	if (!cursor_be32(c, &xid) || !cursor_be32(c, &type) || !cursor_be32(c, &status))
		return false;
	if (type != REPLY)
		return true;
	if (!track_asked(t, xid, q)) {
		track_refuse(t, REASON_UNSOLICITED, &r);
		return true;
	}
	if (status == 0) { /* MSG_ACCEPTED; results follow SUCCESS only */
		if (!cursor_be32(c, &flavor) || !xdr_opaque(c, AUTH_MAX, &verifier) ||
		    !cursor_be32(c, &status))
			return false;
	}
	*answers = status == 0 && shape_of(q) != SHAPE_NONE;
	if (!*answers)
		track_answered(t, xid);
	return true;
}

static const struct addr no_address;

CURSOR_MUST static bool parse_port(struct track *t, struct cursor *c, const struct question *q)
{
	uint32_t port;

	if (!cursor_be32(c, &port))
		return false;
	track_answered(t, q->xid);
	if (transport_of(q))
		opens(t, q, q->what[1], q->what[2], transport_of(q), port, &no_address);
	return true;
}

CURSOR_MUST static bool parse_address(struct track *t, struct cursor *c, const struct question *q)
{
	struct cursor uaddr;

	if (!xdr_opaque(c, STRING_MAX, &uaddr))
		return false;
	track_answered(t, q->xid);
	opens_uaddr(t, q, q->what[1], q->what[2], transport_of(q), &uaddr);
	return true;
}

/* One entry of a list and the word before it; *end when that says that there is none. */
CURSOR_MUST static bool parse_entry(
    struct track *t, struct cursor *c, const struct question *q, bool *end)
{
	struct cursor at = *c, netid, uaddr, text;
	uint32_t more, program = q->what[1], version = q->what[2], protocol, port, semantics;

	if (!cursor_be32(&at, &more))
		return false;
	*end = more == 0;
	if (*end)
		return true;
	switch (shape_of(q)) {
	case SHAPE_MAP:
		if (!cursor_be32(&at, &program) || !cursor_be32(&at, &version) ||
		    !cursor_be32(&at, &protocol) || !cursor_be32(&at, &port))
			return false;
		if ((protocol == L4_TCP || protocol == L4_UDP) && track_wants_program(t, program))
			opens(t, q, program, version, (uint8_t)protocol, port, &no_address);
		break;
	case SHAPE_RPCB:
		if (!cursor_be32(&at, &program) || !cursor_be32(&at, &version) ||
		    !xdr_opaque(&at, STRING_MAX, &netid) || !xdr_opaque(&at, STRING_MAX, &uaddr) ||
		    !xdr_opaque(&at, STRING_MAX, &text))
			return false;
		if (track_wants_program(t, program))
			opens_uaddr(t, q, program, version,
			    netid_transport(track_family(t), &netid), &uaddr);
		break;
	default: /* SHAPE_ENDPOINTS */
		if (!xdr_opaque(&at, STRING_MAX, &uaddr) || !xdr_opaque(&at, STRING_MAX, &netid) ||
		    !cursor_be32(&at, &semantics) || !xdr_opaque(&at, STRING_MAX, &text) ||
		    !xdr_opaque(&at, STRING_MAX, &text))
			return false;
		opens_uaddr(
		    t, q, program, version, netid_transport(track_family(t), &netid), &uaddr);
		break;
	}
	*c = at;
	return true;
}

static bool is_list(const struct question *q)
{
	return shape_of(q) == SHAPE_MAP || shape_of(q) == SHAPE_RPCB ||
	       shape_of(q) == SHAPE_ENDPOINTS;
}

/* --- datagrams ----------------------------------------------------------------------------------
 */

static void malformed(struct track *t)
{
	struct request r = { .dir = DIR_ORIGINAL };

	track_refuse(t, REASON_MALFORMED, &r);
}

static bool parse_short(struct track *t, struct cursor *c, const struct question *q)
{
	return shape_of(q) == SHAPE_PORT ? parse_port(t, c, q) : parse_address(t, c, q);
}

static void sunrpc_datagram(struct track *t, void *state, enum dir dir, struct cursor c)
{
	struct question q;
	bool answers, end = false;

	(void)state;
	if (dir == DIR_ORIGINAL) {
		if (!parse_call(t, L4_UDP, c))
			malformed(t);
		return;
	}
	if (!parse_reply(t, &c, &q, &answers)) {
		malformed(t);
		return;
	}
	if (!answers)
		return;
	if (!is_list(&q)) {
		if (!parse_short(t, &c, &q))
			malformed(t);
		return;
	}
	track_answered(t, q.xid);
	while (!end) {
		if (!parse_entry(t, &c, &q, &end)) {
			malformed(t);
			return;
		}
	}
}

/* --- records ------------------------------------------------------------------------------------
 */

/* Makes of what is kept what can be made of it, and moves c past it. False: it takes more bytes. */
static bool advance(struct track *t, struct record *r, enum dir dir, struct cursor *c)
{
	struct cursor at = *c;
	bool answers, end;

	if (r->stage == STAGE_LIST) {
		if (!parse_entry(t, c, &r->question, &end))
			return false;
		if (end)
			r->stage = STAGE_SKIP;
		return true;
	}
	if (dir == DIR_ORIGINAL ? !parse_call(t, L4_TCP, at)
				: !parse_reply(t, &at, &r->question, &answers))
		return false;
	if (dir == DIR_ORIGINAL || !answers) {
		r->stage = STAGE_SKIP;
	} else if (is_list(&r->question)) {
		track_answered(t, r->question.xid);
		r->stage = STAGE_LIST;
	} else {
		if (!parse_short(t, &at, &r->question))
			return false;
		r->stage = STAGE_SKIP;
	}
	*c = at;
	return true;
}

/* Takes n bytes of the current record. */
static void take(struct track *t, struct record *r, enum dir dir, struct cursor bytes)
{
	while (r->stage != STAGE_SKIP && bytes.left) {
		size_t n =
		    bytes.left < (size_t)(KEPT - r->have) ? bytes.left : (size_t)(KEPT - r->have);
		struct cursor c;

		if (!cursor_copy(&bytes, r->kept + r->have, n))
			return;
		c = cursor_of(r->kept, r->have + n);
		while (r->stage != STAGE_SKIP && c.left && advance(t, r, dir, &c))
			;
		r->have = (uint16_t)c.left;
		memmove(r->kept, c.at, c.left);
		if (r->have == KEPT) { /* nothing sane is that long */
			r->stage = STAGE_SKIP;
			malformed(t);
		}
	}
}

static void end_record(struct track *t, struct record *r)
{
	if (r->stage == STAGE_LIST || (r->stage == STAGE_HEADER && r->have))
		malformed(t);
	r->stage = STAGE_HEADER;
	r->have = 0;
}

static void sunrpc_bytes(struct track *t, void *state, enum dir dir, struct cursor bytes)
{
	struct record *r = &((struct sunrpc *)state)->record[dir];
	struct cursor part;

	while (bytes.left && !r->lost) {
		if (r->mark_have < sizeof(r->mark)) {
			struct cursor mark = cursor_of(r->mark, sizeof(r->mark));

			if (!cursor_u8(&bytes, &r->mark[r->mark_have++]))
				return;
			if (r->mark_have < sizeof(r->mark) || !cursor_be32(&mark, &r->left))
				continue;
			r->last = r->left >> 31;
			r->left &= 0x7fffffff;
		} else {
			size_t n = bytes.left < r->left ? bytes.left : r->left;

			if (!cursor_sub(&bytes, n, &part))
				return;
			r->left -= (uint32_t)n;
			take(t, r, dir, part);
		}
		if (r->left == 0) {
			r->mark_have = 0;
			if (r->last)
				end_record(t, r);
		}
	}
}

/* Nothing in a record says where the next one begins: this direction is lost for good. */
static void sunrpc_gap(struct track *t, void *state, enum dir dir)
{
	(void)t;
	((struct sunrpc *)state)->record[dir].lost = true;
}

const struct tracker sunrpc_tracker = {
	.name = "sunrpc",
	.service = PH_SVC_SUNRPC,
	.mappings = PH_SVC_SUNRPC,
	.state_size = sizeof(struct sunrpc),
	.bytes = sunrpc_bytes,
	.gap = sunrpc_gap,
	.datagram = sunrpc_datagram,
};

/* NFS itself (port 2049) announces nothing; its flows show that a client is at work. */
const struct tracker nfs_tracker = {
	.name = "nfs",
	.service = PH_SVC_NFS,
	.mappings = PH_SVC_SUNRPC,
};
