// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table's socket: creation with whatever the kernel at hand offers, transactions, elements.
 * Elements are written by hand from prepared messages, not through libnftnl: staging one is a copy
 * and three stores, and a transaction is one sendmsg(2) and one recvmsg(2), because nfnetlink has
 * done all of it when the send returns. Which rules stand in the table is rules.c's business.
 */
#include "table.h"
#include "rules.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/*
 * Messages a transaction: at most 200 bytes each, and twice as many when all have to replace
 * something, they stay below the default send buffer, and as many complaints below the receive
 * buffer asked for here.
 */
#define SLICE          512u
#define RECEIVE_BUFFER (4 * 1024 * 1024)
#define NSEC_PER_MSEC  1000000u
#define EXTRA_MS       5000u /* that an element outlives its pinhole, so that the daemon is first */
#define MOVED_MS       60000u /* that connections to a port that was given up are reset */

/* Tags of element messages. */
enum {
	ELEMENT_OPEN = 1, /* new */
	ELEMENT_RENEWED,  /* again, behind an ELEMENT_STALE */
	ELEMENT_STALE,    /* the old one, that ELEMENT_RENEWED replaces */
	ELEMENT_CLOSE,
	ELEMENT_MOVED, /* new, in moved4 or moved6 */
};

#define KEY_MAX     (4 + 16 + 16 + 4 + 4)
#define ELEMENT_MAX 224u

/*
 * A message about one element of one set, with all but its type, key and timeout in place. Adding,
 * deleting and getting differ in the type only: the kernel reads no timeout where it needs none.
 */
struct element {
	uint16_t len;                   /* 0: there is no such set */
	uint16_t key, key_end, timeout; /* offsets; key_end is 0 outside windows */
	bool link;                      /* the interface is part of the key */
	uint8_t bytes[ELEMENT_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/*
 * What is in moved4 and moved6, so that a port that is opened again is taken out, and nothing is
 * asked to be taken out that is not there.
 */
struct moved {
	uint8_t key[KEY_MAX]; /* zero behind that of IPv4 */
	uint64_t until;       /* ms, clock_ms() */
	UT_hash_handle hh;
};

struct table {
	struct mnl_socket *nl;
	struct plan plan;
	bool in_force; /* plan is */
	uint32_t seq;
	struct batch staged;
	struct element element[PH_SVC_MAX][2][2]; /* service, IPv6, window */
	struct element link_element[PH_SVC_MAX];  /* between link-local addresses */
	struct element seen_element[2], moved_element[2];
	struct moved *moved; /* uthash head, the oldest first */
	uint8_t hash_key[HASH_KEY_LEN];
};

const char *capture_word(enum capture c)
{
	static const char *const word[] = {
		[CAPTURE_QUEUE] = "queue",
		[CAPTURE_QUEUE_COMPAT] = "queue-compat",
		[CAPTURE_PASSIVE] = "passive",
	};

	return word[c];
}

/* --- transactions ----------------------------------------------------------------------------- */

static ssize_t receive(const struct table *t, void *bytes, size_t len)
{
	ssize_t got;

	do
		got = recv(mnl_socket_get_fd(t->nl), bytes, len, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/*
 * What nfnetlink says of the transaction whose messages `from` to `to` - 1 have the sequence
 * numbers first, first + 1, ...; its BATCH_BEGIN has first - 1 and stands for the transaction as a
 * whole. It goes on behind a bad message, so that all complaints arrive; the last message always
 * has an answer. 0, 1 when messages were refused, -errno for the whole.
 */
static int answers(
    const struct table *t, struct batch *b, uint32_t from, uint32_t to, uint32_t first)
{
	union {
		struct nlmsghdr nlh;
		uint8_t bytes[1024];
	} in;
	uint32_t last = first + (to - from) - 1;
	bool refused = false, done = false;
	int whole = 0;

	while (!done) {
		ssize_t got = receive(t, &in, sizeof(in));
		const struct nlmsghdr *nlh = &in.nlh;
		int left = (int)got;

		if (got == -EAGAIN && whole)
			break;
		/* Too many complaints to keep (ENOBUFS): nothing is in force then. */
		if (got < 0)
			return got == -EAGAIN ? -EIO : (int)got;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
			uint32_t index = nlh->nlmsg_seq - first;

			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			if (nlh->nlmsg_seq == first - 1) {
				whole = e->error;
			} else if (index < to - from) {
				b->message[from + index].error = e->error;
				refused |= e->error != 0;
				done |= nlh->nlmsg_seq == last;
			}
		}
	}
	return whole ? whole : refused;
}

static void drain(const struct table *t)
{
	uint8_t bytes[1024];
	ssize_t got;

	do
		got = receive(t, bytes, sizeof(bytes));
	while (got >= 0 || got == -ENOBUFS);
}

/*
 * Messages from..to - 1 as one transaction. 0: in force. 1: not in force, because of the messages
 * whose error says so. -errno: not in force, and no message is to blame.
 */
static int transact(struct table *t, struct batch *b, uint32_t from, uint32_t to)
{
	uint8_t begin[64], end[64];
	struct iovec iov[3];
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	uint32_t seq = t->seq + 1;
	struct nlmsghdr *nlh;
	ssize_t sent;
	int err;

	if (b->error)
		return b->error;
	if (from == to)
		return 0;
	t->seq += to - from + 2;
	nlh = nftnl_batch_begin((char *)begin, seq++);
	iov[0] = (struct iovec){ begin, nlh->nlmsg_len };
	for (uint32_t i = from; i < to; i++) {
		struct message *m = &b->message[i];

		nlh = (struct nlmsghdr *)(void *)(b->bytes + m->at);
		nlh->nlmsg_seq = seq + (i - from);
		m->error = 0;
	}
	nlh->nlmsg_flags |= NLM_F_ACK;
	iov[1] = (struct iovec){
		b->bytes + b->message[from].at,
		b->message[to - 1].at + b->message[to - 1].len - b->message[from].at,
	};
	nlh = nftnl_batch_end((char *)end, seq + (to - from));
	iov[2] = (struct iovec){ end, nlh->nlmsg_len };

	do
		sent = sendmsg(mnl_socket_get_fd(t->nl), &msg, 0);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	err = answers(t, b, from, to, seq);
	if (err)
		drain(t);
	return err;
}

/* --- keys ------------------------------------------------------------------------------------- */

static uint8_t *addresses_write(uint8_t *key, const struct tuple *flow)
{
	const size_t len = addr_len(&flow->src);

	memcpy(key, flow->src.bytes, len);
	memcpy(key + len, flow->dst.bytes, len);
	return key + 2 * len;
}

/* ip saddr . ip daddr . meta l4proto . th dport, each padded to four bytes */
static void key_write(uint8_t *key, const struct tuple *flow, uint16_t dport)
{
	const uint16_t port = htons(dport);

	key = addresses_write(key, flow);
	key[0] = flow->l4proto;
	memcpy(key + 4, &port, sizeof(port));
}

/* ip saddr . ip daddr . th sport . th dport, likewise */
static void flow_key_write(uint8_t *key, const struct tuple *flow)
{
	const uint16_t sport = htons(flow->sport), dport = htons(flow->dport);

	key = addresses_write(key, flow);
	memcpy(key, &sport, sizeof(sport));
	memcpy(key + 4, &dport, sizeof(dport));
}

/* --- ports that were given up ----------------------------------------------------------------- */

static uint64_t clock_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NSEC_PER_MSEC;
}

static void moved_forget(struct table *t, struct moved *m)
{
	HASH_DEL(t->moved, m);
	free(m);
}

/* Of the set that resets connections to this flow's port; NULL when there is none. */
static const struct element *moved_element(const struct table *t, const struct tuple *flow)
{
	const struct element *m = &t->moved_element[flow->src.family == FAMILY_IPV6];

	return m->len ? m : NULL;
}

static unsigned int moved_hash(const struct table *t, const uint8_t key[KEY_MAX])
{
	return (unsigned int)hash_sip13(t->hash_key, key, KEY_MAX);
}

static struct moved *moved_find(struct table *t, const struct tuple *flow)
{
	uint8_t key[KEY_MAX] = { 0 };
	struct moved *m = NULL;

	if (!t->moved || flow->l4proto != L4_TCP)
		return NULL;
	/* uthash keeps the order of insertion. A second more, as the kernel counts in ticks. */
	for (uint64_t now = clock_ms(); t->moved && t->moved->until + 1000 <= now;)
		moved_forget(t, t->moved);
	key_write(key, flow, flow->dport);
	HASH_FIND_BYHASHVALUE(hh, t->moved, key, KEY_MAX, moved_hash(t, key), m);
	return m;
}

/* False when there is no room. *again: it was there before, and has to be removed first. */
static bool moved_note(struct table *t, const struct tuple *flow, bool *again)
{
	struct moved *m = moved_find(t, flow);

	*again = m != NULL;
	if (m)
		moved_forget(t, m);
	if (HASH_COUNT(t->moved) >= MOVED_SIZE)
		return false;
	m = calloc(1, sizeof(*m));
	if (!m)
		return false;
	key_write(m->key, flow, flow->dport);
	m->until = clock_ms() + MOVED_MS;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, t->moved, m->key, KEY_MAX, moved_hash(t, m->key), m);
	if (m->hh.tbl)
		return true;
	free(m);
	return false;
}

/* --- creation --------------------------------------------------------------------------------- */

static void set_admission(struct plan *p)
{
	/* Nobody asks the daemon when it cannot hold a packet: the kernel has to do it alone. */
	if (!(p->features & (FEATURE_QUEUE | FEATURE_QUEUE_COMPAT)))
		p->setup.policy.admit = ADMIT_MARK;
}

/* Makes do without what the first refused message needed. False when it was not that. */
static bool give_up_feature(struct plan *p, const struct batch *b, int *error)
{
	const struct message *m = b->message;

	while (m->error == 0)
		m++;
	*error = m->error;
	if (m->error == -EPERM || m->error == -ENOMEM || m->error == -EBUSY)
		return false;
	if (m->tag & FEATURE_QUEUE) {
		p->features &= ~(unsigned int)FEATURE_QUEUE;
		p->features |= FEATURE_QUEUE_COMPAT;
	} else if (m->tag) {
		p->features &= ~m->tag;
	} else {
		return false;
	}
	return true;
}

/* Sends the plan, again and again with less, until the kernel takes it. */
static int put_in_force(struct table *t, const struct plan *from, struct plan *to)
{
	struct batch b = { .n = 0 };
	int err;

	do {
		set_admission(to);
		batch_clear(&b);
		rules_write(&b, from, to);
		err = transact(t, &b, 0, b.n);
	} while (err > 0 && give_up_feature(to, &b, &err));
	/* A table that exists and has an owner is refused at the very first message. */
	if (err == -EPERM && !from && b.n && b.message[0].error == -EPERM)
		err = -EBUSY;
	batch_free(&b);
	return err;
}

/* Where the value of the attribute that is put next will be. */
static uint16_t next_value(const struct nlmsghdr *nlh)
{
	return (uint16_t)(nlh->nlmsg_len + sizeof(struct nlattr));
}

static void element_make(
    struct element *t, const char *set, enum family family, bool window, bool link)
{
	static const uint8_t zero[KEY_MAX];
	const size_t key_len =
	    (family == FAMILY_IPV4 ? 4u + 4 + 4 + 4 : 16u + 16 + 4 + 4) + (link ? 4u : 0);
	struct nlattr *list, *elem, *key;
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;

	memset(t, 0, sizeof(*t));
	nlh = mnl_nlmsg_put_header(t->bytes);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = NFPROTO_INET;
	nfg->version = NFNETLINK_V0;
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, PH_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	t->key = next_value(nlh);
	mnl_attr_put(nlh, NFTA_DATA_VALUE, key_len, zero);
	mnl_attr_nest_end(nlh, key);
	if (window) {
		key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY_END);
		t->key_end = next_value(nlh);
		mnl_attr_put(nlh, NFTA_DATA_VALUE, key_len, zero);
		mnl_attr_nest_end(nlh, key);
	}
	t->timeout = next_value(nlh);
	mnl_attr_put_u64(nlh, NFTA_SET_ELEM_TIMEOUT, 0);
	mnl_attr_nest_end(nlh, elem);
	mnl_attr_nest_end(nlh, list);
	t->len = (uint16_t)nlh->nlmsg_len;
	t->link = link;
}

static void take_plan(struct table *t, const struct plan *p)
{
	static const enum family families[] = { FAMILY_IPV4, FAMILY_IPV6 };
	char name[SET_NAME];

	t->plan = *p;
	t->in_force = true;
	for (enum ph_service svc = PH_SVC_NONE; svc < PH_SVC_MAX;
	     svc = (enum ph_service)(svc + 1)) {
		for (unsigned int i = 0; p->sets & 1u << svc && i < 4; i++) {
			const enum family family = families[i % 2];
			const bool window = i / 2;

			if (window && !rules_has_windows(svc))
				continue;
			element_make(&t->element[svc][i % 2][window],
			    rules_set_name(svc, family, window, name), family, window, false);
		}
		if (p->sets & 1u << svc && rules_link_name(svc, name))
			element_make(&t->link_element[svc], name, FAMILY_IPV6, false, true);
	}
	for (unsigned int i = 0; i < 2; i++) {
		if (p->seen)
			element_make(&t->seen_element[i], rules_seen_name(families[i]), families[i],
			    false, false);
		if (p->moved)
			element_make(&t->moved_element[i], rules_moved_name(families[i]),
			    families[i], false, false);
	}
}

static int socket_open(struct table *t)
{
	const int size = RECEIVE_BUFFER, one = 1;
	int fd;

	t->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!t->nl || mnl_socket_bind(t->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	fd = mnl_socket_get_fd(t->nl);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* Complaints without a copy of what they are about. */
	(void)mnl_socket_setsockopt(t->nl, NETLINK_CAP_ACK, (void *)(uintptr_t)&one, sizeof(one));
	return 0;
}

int table_create(struct table **out, const struct table_setup *setup)
{
	struct plan plan = {
		.setup = *setup,
		.features = FEATURE_OWNER | FEATURE_ONE_SHOT | FEATURE_PAYLOAD | FEATURE_DESTROY |
			    FEATURE_RESET,
	};
	struct table *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	*out = NULL;
	if (!t)
		goto out;
	if (!setup->passive)
		plan.features |= FEATURE_QUEUE;
	if (getrandom(t->hash_key, sizeof(t->hash_key), 0) != (ssize_t)sizeof(t->hash_key)) {
		err = -EIO;
		goto out;
	}
	err = socket_open(t);
	if (err)
		goto out;
	err = put_in_force(t, NULL, &plan);
	if (err)
		goto out;
	take_plan(t, &plan);
	*out = t;
	t = NULL;
out:
	table_destroy(t);
	return err;
}

/* Without an owner the table does not go with the socket. */
static void delete_table(struct table *t)
{
	struct batch b = { .n = 0 };

	rules_erase(&b);
	(void)transact(t, &b, 0, b.n);
	batch_free(&b);
}

void table_destroy(struct table *t)
{
	if (!t)
		return;
	if (t->in_force && !table_owned(t))
		delete_table(t);
	if (t->nl)
		(void)mnl_socket_close(t->nl);
	while (t->moved)
		moved_forget(t, t->moved);
	batch_free(&t->staged);
	free(t);
}

int table_reconfigure(struct table *t, const struct table_setup *setup)
{
	struct plan plan = { .setup = *setup, .features = t->plan.features };
	int err;

	if (setup->passive)
		plan.features &= ~(unsigned int)(FEATURE_QUEUE | FEATURE_QUEUE_COMPAT);
	else if (table_capture(t) == CAPTURE_PASSIVE)
		plan.features |= FEATURE_QUEUE;
	err = put_in_force(t, &t->plan, &plan);
	if (!err)
		take_plan(t, &plan);
	return err;
}

enum capture table_capture(const struct table *t)
{
	if (t->plan.features & FEATURE_QUEUE)
		return CAPTURE_QUEUE;
	return t->plan.features & FEATURE_QUEUE_COMPAT ? CAPTURE_QUEUE_COMPAT : CAPTURE_PASSIVE;
}

enum admit table_admit(const struct table *t)
{
	return t->plan.setup.policy.admit;
}

bool table_owned(const struct table *t)
{
	return t->plan.features & FEATURE_OWNER;
}

bool table_one_shot(const struct table *t)
{
	if (t->plan.setup.policy.admit != ADMIT_MARK)
		return false;
	for (enum ph_service svc = PH_SVC_NONE; svc < PH_SVC_MAX; svc = (enum ph_service)(svc + 1))
		if (t->plan.sets & ~t->plan.limited & 1u << svc && rules_one_flow(svc))
			return false;
	return true;
}

/* --- elements --------------------------------------------------------------------------------- */

/* For the set that the pinhole's element is in. NULL when there is none that could express it. */
static const struct element *element_of(const struct table *t, enum ph_service svc,
    const struct tuple *flow, uint16_t dport_hi, bool many)
{
	bool window = rules_has_windows(svc) && (many || dport_hi != flow->dport);
	const struct element *m = &t->element[svc][flow->src.family == FAMILY_IPV6][window];

	if (flow->src.family == FAMILY_NONE || flow->src.family != flow->dst.family)
		return NULL;
	if (flow->iface)
		m = &t->link_element[svc];
	if (!m->len || dport_hi < flow->dport || (!window && dport_hi != flow->dport))
		return NULL;
	/* An element of a limited set would admit one flow and no more. */
	if (many && !window && t->plan.limited & 1u << svc)
		return NULL;
	return m;
}

static struct nlmsghdr *message_write(void *at, const struct element *m, const struct tuple *flow,
    uint16_t dport_hi, uint64_t timeout_ms)
{
	const uint64_t be = htobe64(timeout_ms);
	uint8_t *bytes = memcpy(at, m->bytes, m->len), *key = bytes + m->key;

	if (m->link) {
		memcpy(key, &flow->iface, sizeof(flow->iface));
		key += sizeof(flow->iface);
	}
	key_write(key, flow, flow->dport);
	if (m->key_end)
		key_write(bytes + m->key_end, flow, dport_hi);
	memcpy(bytes + m->timeout, &be, sizeof(be));
	return at;
}

static void message_type(struct nlmsghdr *nlh, uint16_t type)
{
	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST;
	/* Otherwise an element that exists would be kept with its old timeout, silently. */
	if (type == NFT_MSG_NEWSETELEM)
		nlh->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
}

/* It is an open pinhole. */
static bool opens(uint32_t tag)
{
	return tag == ELEMENT_OPEN || tag == ELEMENT_RENEWED;
}

static bool adds(uint32_t tag)
{
	return opens(tag) || tag == ELEMENT_MOVED;
}

/*
 * A removal that fails costs not only a second transaction: taking back the first one waits for an
 * RCU grace period (__nf_tables_abort), some 15 ms.
 */
static uint16_t type_of_tag(const struct table *t, uint32_t tag)
{
	if (adds(tag))
		return NFT_MSG_NEWSETELEM;
	return t->plan.features & FEATURE_DESTROY ? MSG_DESTROYSETELEM : NFT_MSG_DELSETELEM;
}

/* Room for one more message, or NULL; what is staged already stays whole. */
static void *stage_room(struct table *t, const struct element *m)
{
	void *at = batch_room(&t->staged, m->len);

	if (!at)
		t->staged.error = 0;
	return at;
}

static void unstage(struct table *t, uint32_t n)
{
	if (t->staged.n > n)
		t->staged.len = t->staged.message[n].at;
	t->staged.n = n;
}

static int stage(struct table *t, const struct op *op, const struct element *m, uint32_t tag)
{
	uint64_t timeout = tag == ELEMENT_MOVED ? MOVED_MS : op->timeout / NSEC_PER_MSEC + EXTRA_MS;
	void *at = stage_room(t, m);

	if (!at)
		return -ENOMEM;
	message_type(message_write(at, m, &op->flow, op->dport_hi, timeout), type_of_tag(t, tag));
	batch_add(&t->staged, m->len, tag, op->id);
	return 0;
}

static int stage_unseen(struct table *t, const struct tuple *flow)
{
	const struct element *m = &t->seen_element[flow->src.family == FAMILY_IPV6];
	uint8_t *at = stage_room(t, m);

	if (!at)
		return -ENOMEM;
	memcpy(at, m->bytes, m->len);
	flow_key_write(at + m->key, flow);
	message_type((struct nlmsghdr *)(void *)at, type_of_tag(t, ELEMENT_CLOSE));
	batch_add(&t->staged, m->len, ELEMENT_CLOSE, 0);
	return 0;
}

/*
 * A flow that was cut off comes as a first packet again: its pinhole may be open by then, and who
 * is in the seen sets is not held. Both directions, as the kernel has put them in. Others may have
 * deleted it from conntrack as well; but most that end have timed out, and are in no set any more,
 * so this is only for kernels that do not mind.
 */
static int stage_end(struct table *t, const struct op *op)
{
	const struct tuple back = tuple_invert(&op->flow);
	int err;

	if (op->flow.l4proto != L4_UDP || !t->plan.seen)
		return 0;
	if (!op->kill && !(t->plan.features & FEATURE_DESTROY))
		return 0;
	err = stage_unseen(t, &op->flow);
	return err ? err : stage_unseen(t, &back);
}

static int stage_open(struct table *t, const struct op *op, const struct element *m)
{
	struct moved *moved = moved_find(t, &op->flow);
	int err = 0;

	if (moved)
		err = stage(t, op, moved_element(t, &op->flow), ELEMENT_STALE);
	if (!err)
		err = stage(t, op, m, ELEMENT_OPEN);
	if (moved && !err)
		moved_forget(t, moved);
	return err;
}

static int stage_renew(struct table *t, const struct op *op, const struct element *m)
{
	/* No kernel before 6.12 changes a timeout in place. */
	int err = stage(t, op, m, ELEMENT_STALE);

	return err ? err : stage(t, op, m, ELEMENT_RENEWED);
}

static int stage_close(struct table *t, const struct op *op, const struct element *m)
{
	const struct element *to = moved_element(t, &op->flow);
	bool again;
	int err;

	if (!op->moved || op->kind != OP_CLOSE || op->flow.l4proto != L4_TCP || !to)
		return stage(t, op, m, ELEMENT_CLOSE);
	if (!moved_note(t, &op->flow, &again)) /* a reset is a courtesy */
		return stage(t, op, m, ELEMENT_CLOSE);
	err = stage(t, op, m, ELEMENT_STALE);
	if (!err && again)
		err = stage(t, op, to, ELEMENT_STALE);
	return err ? err : stage(t, op, to, ELEMENT_MOVED);
}

static int stage_element(struct table *t, const struct op *op)
{
	const struct element *m = element_of(t, op->service, &op->flow, op->dport_hi, op->many);

	if (!m)
		return -EOPNOTSUPP;
	if (op->kind == OP_OPEN)
		return stage_open(t, op, m);
	if (op->kind == OP_RENEW)
		return stage_renew(t, op, m);
	return stage_close(t, op, m);
}

int table_stage(struct table *t, const struct op *op)
{
	const uint32_t n = t->staged.n;
	int err = 0;

	switch (op->kind) {
	case OP_ADMIT:
		if (op->many)
			break;
		/* fall through */
	case OP_OPEN:
	case OP_RENEW:
	case OP_CLOSE:
		err = stage_element(t, op);
		break;
	case OP_END:
		err = stage_end(t, op);
		break;
	case OP_SESSION_BEGIN:
	case OP_SESSION_END:
	case OP_REFUSE:
		break;
	}
	if (err)
		unstage(t, n);
	return err;
}

struct commit {
	void (*failed)(void *arg, uint32_t id, int error);
	void *arg;
	int error; /* the first */
};

static void commit_failed(struct commit *c, const struct message *m, int error)
{
	if (!c->error)
		c->error = error;
	if (opens(m->tag) && c->failed)
		c->failed(c->arg, m->id, error);
}

static void copy_message(const struct table *t, struct batch *to, const struct batch *from,
    const struct message *m, uint32_t tag)
{
	void *at = batch_room(to, m->len);

	if (!at)
		return;
	message_type(memcpy(at, from->bytes + m->at, m->len), type_of_tag(t, tag));
	batch_add(to, m->len, tag, m->id);
}

static bool exists_already(const struct message *m)
{
	return m->tag == ELEMENT_OPEN && m->error == -EEXIST;
}

static bool gone_already(const struct message *m)
{
	return !adds(m->tag) && m->error == -ENOENT;
}

/*
 * What to send after a refusal: all that was not complained about; for an element that was there
 * already, its removal too. What was to be removed and is not there needs nothing any more.
 */
static int put_right(const struct table *t, struct commit *c, struct batch *to,
    const struct batch *from, uint32_t first, uint32_t end)
{
	batch_clear(to);
	for (uint32_t i = first; i < end; i++) {
		const struct message *m = &from->message[i];

		if (exists_already(m)) {
			copy_message(t, to, from, m, ELEMENT_STALE);
			copy_message(t, to, from, m, ELEMENT_RENEWED);
		} else if (!m->error) {
			copy_message(t, to, from, m, m->tag);
		}
	}
	for (uint32_t i = first; i < end && !to->error; i++) {
		const struct message *m = &from->message[i];

		if (m->error && !exists_already(m) && !gone_already(m))
			commit_failed(c, m, m->error);
	}
	return to->error;
}

/*
 * Puts messages first..end - 1 in force, or as many of them as the kernel will have. Each round of
 * the loop leaves something out or turns an addition into a replacement, so it ends.
 */
static void commit_slice(
    struct table *t, struct commit *c, struct batch *b, uint32_t first, uint32_t end, bool alone)
{
	struct batch even = { .n = 0 }, odd = { .n = 0 }, *next = &even;
	int err = transact(t, b, first, end);

	while (err > 0) {
		err = put_right(t, c, next, b, first, end);
		if (err)
			break;
		b = next;
		next = next == &even ? &odd : &even;
		first = 0;
		end = b->n;
		err = transact(t, b, first, end);
	}
	for (uint32_t i = first, n; err && i < end; i += n) {
		n = b->message[i].tag == ELEMENT_STALE && i + 1 < end ? 2 : 1;
		if (!alone)
			commit_slice(t, c, b, i, i + n, true);
		else
			commit_failed(c, &b->message[i + n - 1], err);
	}
	batch_free(&even);
	batch_free(&odd);
}

int table_commit(struct table *t, void (*failed)(void *arg, uint32_t id, int error), void *arg)
{
	struct commit c = { .failed = failed, .arg = arg };
	struct batch *b = &t->staged;

	for (uint32_t first = 0, end; first < b->n; first = end) {
		end = b->n - first > SLICE ? first + SLICE : b->n;
		/* A removal and what takes its place belong together. */
		while (end < b->n && b->message[end - 1].tag == ELEMENT_STALE)
			end++;
		commit_slice(t, &c, b, first, end, false);
	}
	batch_clear(b);
	return c.error;
}

/* --- questions -------------------------------------------------------------------------------- */

union answer {
	struct nlmsghdr nlh;
	uint8_t bytes[4096];
};

/* Sends one request that has one answer. 0, or -errno: the kernel's, or that of the way there. */
static int ask(struct table *t, struct nlmsghdr *nlh, union answer *in)
{
	ssize_t done;

	nlh->nlmsg_seq = ++t->seq;
	do
		done = mnl_socket_sendto(t->nl, nlh, nlh->nlmsg_len);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	do
		done = receive(t, in, sizeof(*in));
	while (done == -ENOBUFS ||
	       (done >= 0 && (!mnl_nlmsg_ok(&in->nlh, (int)done) || in->nlh.nlmsg_seq != t->seq)));
	if (done < 0)
		return done == -EAGAIN ? -EIO : (int)done;
	if (in->nlh.nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(&in->nlh))->error;
	return 0;
}

struct hits {
	uint64_t packets;
	bool found;
};

static int find_counter(struct nftnl_expr *e, void *arg)
{
	struct hits *h = arg;

	if (!strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "counter")) {
		h->packets = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_PACKETS);
		h->found = true;
	}
	return 0;
}

int table_hits(struct table *t, const struct pinhole *p, uint64_t *packets)
{
	const struct element *m =
	    element_of(t, (enum ph_service)p->service, &p->flow, p->dport_hi, p->many);
	uint8_t request[ELEMENT_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nftnl_set *set = NULL;
	struct nftnl_set_elems_iter *i = NULL;
	struct hits hits = { .found = false };
	struct nftnl_set_elem *e;
	union answer in;
	int err = -ENOENT;

	if (!m)
		goto out;
	message_type(message_write(request, m, &p->flow, p->dport_hi, 0), NFT_MSG_GETSETELEM);
	err = ask(t, (struct nlmsghdr *)(void *)request, &in);
	if (err)
		goto out;
	err = -ENOMEM;
	set = nftnl_set_alloc();
	if (!set || nftnl_set_elems_nlmsg_parse(&in.nlh, set) < 0)
		goto out;
	i = nftnl_set_elems_iter_create(set);
	if (!i)
		goto out;
	err = -ENOENT;
	e = nftnl_set_elems_iter_next(i);
	if (!e)
		goto out;
	err = -ENODATA;
	(void)nftnl_set_elem_expr_foreach(e, find_counter, &hits);
	if (!hits.found)
		goto out;
	*packets = hits.packets;
	err = 0;
out:
	if (i)
		nftnl_set_elems_iter_destroy(i);
	if (set)
		nftnl_set_free(set);
	return err;
}

int table_nat_seen(struct table *t, uint64_t *packets)
{
	uint8_t request[256] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nftnl_obj *question = nftnl_obj_alloc(), *o = nftnl_obj_alloc();
	struct nlmsghdr *nlh;
	union answer in;
	int err = -ENOMEM;

	if (!question || !o)
		goto out;
	nlh = nftnl_nlmsg_build_hdr((char *)request, NFT_MSG_GETOBJ, NFPROTO_INET, 0, 0);
	nftnl_obj_set_str(question, NFTNL_OBJ_TABLE, PH_TABLE);
	nftnl_obj_set_str(question, NFTNL_OBJ_NAME, COUNTER_NAT_SEEN);
	nftnl_obj_set_u32(question, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_nlmsg_build_payload(nlh, question);
	err = ask(t, nlh, &in);
	if (err)
		goto out;
	err = -EIO;
	if (nftnl_obj_nlmsg_parse(&in.nlh, o) < 0)
		goto out;
	*packets = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS);
	err = 0;
out:
	if (question)
		nftnl_obj_free(question);
	if (o)
		nftnl_obj_free(o);
	return err;
}
