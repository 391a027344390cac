// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two sockets: one that conntrack events come in by, filtered in the kernel by mark, and one for
 * requests. Messages are built by libnetfilter_conntrack from objects made once, and travel several
 * to a system call; ctnetlink has done them all when the send returns. Whether a flow ought to be
 * created or deleted is not decided here.
 */
#include "ct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_compat.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#define EVENT_BUFFER   (8 * 1024 * 1024) /* bytes; some 10000 events */
#define REQUEST_BUFFER (1024 * 1024)
#define EVENTS_A_CALL  4096u /* so that a flood of events cannot starve everything else */
#define ADMIT_SLICE    32u   /* flows created by one system call */
#define MESSAGE_MAX    512u  /* three IPv6 tuples and the rest come to 300 */
#define TIMEOUT_MIN    5u    /* s: time for the held packet to arrive at conntrack */
#define TIMEOUT_MAX    120u
#define DUMP_TRIES     5

struct ct {
	struct mnl_socket *events, *requests;
	uint32_t mark_mask, seq;
	bool lost;                       /* events, of which the caller has not been told yet */
	struct nf_conntrack *flow[2][2]; /* to be admitted: IPv6, UDP */
	uint8_t batch[2 * ADMIT_SLICE * MESSAGE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/* --- tuples ----------------------------------------------------------------------------------- */

static uint8_t l3proto(const struct addr *a)
{
	return a->family == FAMILY_IPV6 ? AF_INET6 : AF_INET;
}

static void put_addr(struct nf_conntrack *nl, const struct addr *a, enum nf_conntrack_attr ipv4,
    enum nf_conntrack_attr ipv6)
{
	nfct_set_attr(nl, a->family == FAMILY_IPV6 ? ipv6 : ipv4, a->bytes);
}

static void put_tuple(struct nf_conntrack *nl, const struct tuple *t)
{
	nfct_set_attr_u8(nl, ATTR_ORIG_L3PROTO, l3proto(&t->src));
	nfct_set_attr_u8(nl, ATTR_ORIG_L4PROTO, t->l4proto);
	put_addr(nl, &t->src, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC);
	put_addr(nl, &t->dst, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
	nfct_set_attr_u16(nl, ATTR_ORIG_PORT_SRC, htons(t->sport));
	nfct_set_attr_u16(nl, ATTR_ORIG_PORT_DST, htons(t->dport));
}

static void put_master(struct nf_conntrack *nl, const struct tuple *t)
{
	nfct_set_attr_u8(nl, ATTR_MASTER_L3PROTO, l3proto(&t->src));
	nfct_set_attr_u8(nl, ATTR_MASTER_L4PROTO, t->l4proto);
	put_addr(nl, &t->src, ATTR_MASTER_IPV4_SRC, ATTR_MASTER_IPV6_SRC);
	put_addr(nl, &t->dst, ATTR_MASTER_IPV4_DST, ATTR_MASTER_IPV6_DST);
	nfct_set_attr_u16(nl, ATTR_MASTER_PORT_SRC, htons(t->sport));
	nfct_set_attr_u16(nl, ATTR_MASTER_PORT_DST, htons(t->dport));
}

static struct addr get_addr(const struct nf_conntrack *nl, uint8_t l3, enum nf_conntrack_attr ipv4,
    enum nf_conntrack_attr ipv6)
{
	struct addr a = { .family = l3 == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4 };
	const void *bytes = nfct_get_attr(nl, l3 == AF_INET6 ? ipv6 : ipv4);

	if (bytes)
		memcpy(a.bytes, bytes, addr_len(&a));
	return a;
}

/* Both sides have closed, or one has reset: the entry only waits for stray packets. */
static bool over(uint8_t tcp_state)
{
	return tcp_state == TCP_CONNTRACK_LAST_ACK || tcp_state == TCP_CONNTRACK_TIME_WAIT ||
	       tcp_state == TCP_CONNTRACK_CLOSE;
}

/* False for flows without ports, which are never ours. */
static bool get_entry(const struct nf_conntrack *nl, struct ct_entry *entry)
{
	uint8_t l3 = nfct_get_attr_u8(nl, ATTR_ORIG_L3PROTO);
	uint8_t l4 = nfct_get_attr_u8(nl, ATTR_ORIG_L4PROTO);

	memset(entry, 0, sizeof(*entry));
	if ((l3 != AF_INET && l3 != AF_INET6) || (l4 != L4_TCP && l4 != L4_UDP))
		return false;
	entry->tuple.src = get_addr(nl, l3, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC);
	entry->tuple.dst = get_addr(nl, l3, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
	entry->tuple.sport = ntohs(nfct_get_attr_u16(nl, ATTR_ORIG_PORT_SRC));
	entry->tuple.dport = ntohs(nfct_get_attr_u16(nl, ATTR_ORIG_PORT_DST));
	entry->tuple.l4proto = l4;
	entry->mark = nfct_get_attr_u32(nl, ATTR_MARK);
	entry->nat = nfct_get_attr_u32(nl, ATTR_STATUS) & (IPS_SRC_NAT | IPS_DST_NAT);
	entry->over = l4 == L4_TCP && nfct_attr_is_set(nl, ATTR_TCP_STATE) > 0 &&
		      over(nfct_get_attr_u8(nl, ATTR_TCP_STATE));
	return true;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int receive_buffer(const struct mnl_socket *nl, int bytes)
{
	int fd = mnl_socket_get_fd(nl);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0 ? 0 : -errno;
}

static int socket_open(struct mnl_socket **out, int flags, unsigned int groups, int buffer)
{
	*out = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | flags);
	if (!*out || mnl_socket_bind(*out, groups, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return receive_buffer(*out, buffer);
}

static uint32_t bit(const struct ct *ct, unsigned int flag)
{
	return ph_mark(ct->mark_mask, flag, PH_SVC_NONE);
}

/* Other people's connections cost us nothing: their events are not even queued to the socket. */
static int filter_by_mark(const struct ct *ct)
{
	static const unsigned int flags[] = { PH_MARK_F_PINHOLE, PH_MARK_F_CONTROL };
	struct nfct_filter *f = nfct_filter_create();
	int err = -ENOMEM;

	if (!f)
		goto out;
	for (unsigned int i = 0; i < 2; i++) {
		const struct nfct_filter_dump_mark m = {
			.val = bit(ct, flags[i]),
			.mask = bit(ct, flags[i]),
		};

		nfct_filter_add_attr(f, NFCT_FILTER_MARK, &m);
	}
	err = nfct_filter_attach(mnl_socket_get_fd(ct->events), f) < 0 ? -errno : 0;
out:
	if (f)
		nfct_filter_destroy(f);
	return err;
}

static int join(const struct ct *ct, int group)
{
	return mnl_socket_setsockopt(ct->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0
		   ? -errno
		   : 0;
}

int ct_report_new(struct ct *ct)
{
	return join(ct, NFNLGRP_CONNTRACK_NEW);
}

int ct_open(struct ct **out, uint32_t mark_mask)
{
	const int one = 1;
	struct ct *ct = calloc(1, sizeof(*ct));
	int err = -ENOMEM;

	*out = NULL;
	if (!ct)
		goto out;
	ct->mark_mask = mark_mask;
	for (unsigned int i = 0; i < 4; i++) {
		struct nf_conntrack **nl = &ct->flow[i / 2][i % 2];

		*nl = nfct_new();
		if (!*nl)
			goto out;
		/* The first SYN then takes the entry through the ordinary states. */
		if (i % 2 == 0)
			nfct_set_attr_u8(*nl, ATTR_TCP_STATE, TCP_CONNTRACK_NONE);
	}
	err = socket_open(&ct->requests, 0, 0, REQUEST_BUFFER);
	if (err)
		goto out;
	(void)mnl_socket_setsockopt(
	    ct->requests, NETLINK_CAP_ACK, (void *)(uintptr_t)&one, sizeof(one));
	err = socket_open(&ct->events, SOCK_NONBLOCK, 0, EVENT_BUFFER);
	if (err)
		goto out;
	/* The filter first, then the groups, so that nothing unfiltered arrives. */
	err = filter_by_mark(ct);
	if (err)
		goto out;
	err = join(ct, NFNLGRP_CONNTRACK_DESTROY);
	if (err)
		goto out;
	*out = ct;
	ct = NULL;
out:
	ct_close(ct);
	return err;
}

void ct_close(struct ct *ct)
{
	if (!ct)
		return;
	for (unsigned int i = 0; i < 4; i++)
		if (ct->flow[i / 2][i % 2])
			nfct_destroy(ct->flow[i / 2][i % 2]);
	if (ct->events)
		(void)mnl_socket_close(ct->events);
	if (ct->requests)
		(void)mnl_socket_close(ct->requests);
	free(ct);
}

int ct_event_fd(const struct ct *ct)
{
	return mnl_socket_get_fd(ct->events);
}

int ct_event_buffer(struct ct *ct, int bytes)
{
	return receive_buffer(ct->events, bytes);
}

/* --- events and dumps ------------------------------------------------------------------------- */

/* Hands one message over. False when memory is out. */
static bool report(const struct nlmsghdr *nlh, bool gone, ct_seen *seen, void *arg)
{
	struct nf_conntrack *nl = nfct_new();
	struct ct_entry entry;

	if (!nl)
		return false;
	if (nfct_nlmsg_parse(nlh, nl) == 0 && get_entry(nl, &entry)) {
		entry.gone = gone;
		seen(arg, &entry);
	}
	nfct_destroy(nl);
	return true;
}

static bool is_ct(const struct nlmsghdr *nlh, unsigned int type)
{
	return nlh->nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | type);
}

/*
 * A socket that has overflowed says so once, and not again before it has been read empty
 * (NETLINK_S_CONGESTED, netlink_rcv_wake()): what is lost during a dump would go unnoticed if the
 * dump came first.
 */
int ct_events(struct ct *ct, ct_seen *seen, void *arg)
{
	union {
		struct nlmsghdr nlh;
		uint8_t bytes[8192];
	} in;
	const uint32_t self = mnl_socket_get_portid(ct->requests);

	for (unsigned int i = 0; i < EVENTS_A_CALL; i++) {
		ssize_t got = recv(ct_event_fd(ct), &in, sizeof(in), 0);
		const struct nlmsghdr *nlh = &in.nlh;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			ct->lost = true;
			continue;
		}
		if (got < 0 && errno == EAGAIN && ct->lost) {
			ct->lost = false;
			return -ENOBUFS;
		}
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			bool gone = is_ct(nlh, IPCTNL_MSG_CT_DELETE);

			/* ct_admit() replaced it: that end would be taken for its successor's. */
			if (gone && nlh->nlmsg_pid == self)
				continue;
			if ((gone || is_ct(nlh, IPCTNL_MSG_CT_NEW)) &&
			    !report(nlh, gone, seen, arg))
				ct->lost = true; /* as when the socket overflows */
		}
	}
	return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static struct nlmsghdr *request_put(
    void *at, uint16_t type, uint16_t flags, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

static int request_send(struct ct *ct, const void *bytes, size_t len)
{
	ssize_t sent;

	do
		sent = mnl_socket_sendto(ct->requests, bytes, len);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static ssize_t request_receive(struct ct *ct, void *bytes, size_t len, int flags)
{
	ssize_t got;

	do
		got = recv(mnl_socket_get_fd(ct->requests), bytes, len, flags);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/*
 * Reads up to the answer to message `last`, which has asked for one; each earlier message answers
 * only if it failed. error[seq - first] is set for those. -errno when the answers are lost.
 */
static int request_answers(struct ct *ct, uint32_t first, uint32_t last, int *error)
{
	union {
		struct nlmsghdr nlh;
		uint8_t bytes[1024];
	} in;

	for (;;) {
		ssize_t got = request_receive(ct, &in, sizeof(in), MSG_DONTWAIT);
		const struct nlmsghdr *nlh = &in.nlh;
		int left = (int)got;

		/* Without CAP_NET_ADMIN nfnetlink answers the first and reads no further. */
		if (got == -EAGAIN)
			return *error ? *error : -EIO;
		if (got < 0)
			return (int)got;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_seq - first > last - first)
				continue;
			error[nlh->nlmsg_seq - first] = e->error;
			if (nlh->nlmsg_seq == last)
				return 0;
		}
	}
}

/* The message body for a flow, built by the library from the object of its kind. */
static int put_flow(struct ct *ct, struct nlmsghdr *nlh, const struct op *op)
{
	struct nf_conntrack *nl =
	    ct->flow[op->flow.src.family == FAMILY_IPV6][op->flow.l4proto == L4_UDP];
	uint64_t timeout = op->timeout / NSEC_PER_SEC;

	timeout = timeout < TIMEOUT_MIN ? TIMEOUT_MIN : timeout;
	timeout = timeout > TIMEOUT_MAX ? TIMEOUT_MAX : timeout;
	put_tuple(nl, &op->flow);
	nfct_setobjopt(nl, NFCT_SOPT_SETUP_REPLY);
	put_master(nl, &op->master);
	nfct_set_attr_u32(nl, ATTR_TIMEOUT, (uint32_t)timeout);
	nfct_set_attr_u32(nl, ATTR_MARK,
	    ph_mark(ct->mark_mask, PH_MARK_F_PINHOLE | (op->control ? PH_MARK_F_CONTROL : 0),
		op->service));
	return nfct_nlmsg_build(nlh, nl) < 0 ? -EINVAL : 0;
}

static bool well_formed(const struct op *op)
{
	const uint8_t family = op->flow.src.family;

	return family != FAMILY_NONE && op->flow.dst.family == family &&
	       op->master.src.family == family && op->master.dst.family == family &&
	       (op->flow.l4proto == L4_TCP || op->flow.l4proto == L4_UDP);
}

/*
 * Creates the flows of those ops whose error is `only`, and says in error[] what became of each.
 * With `replace`, what has the tuple now is deleted first; that it has gone by itself does not
 * matter.
 */
static void admit_round(
    struct ct *ct, const struct op *ops, unsigned int n, int *error, int only, bool replace)
{
	const uint32_t first = ct->seq + 1, each = replace ? 2 : 1;
	unsigned int which[ADMIT_SLICE], count = 0;
	int answer[2 * ADMIT_SLICE] = { 0 }, err;
	struct nlmsghdr *nlh = NULL;
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (error[i] != only)
			continue;
		nlh = request_put(ct->batch + len, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL,
		    l3proto(&ops[i].flow.src), ct->seq + each);
		error[i] = well_formed(&ops[i]) ? put_flow(ct, nlh, &ops[i]) : -EINVAL;
		if (error[i])
			continue;
		len += nlh->nlmsg_len;
		if (replace) {
			struct nlmsghdr *del = nlh;

			/* ctnetlink takes the original tuple from it and ignores the rest. */
			nlh = memcpy(ct->batch + len, del, del->nlmsg_len);
			len += nlh->nlmsg_len;
			del->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
			del->nlmsg_flags = NLM_F_REQUEST;
			del->nlmsg_seq--;
		}
		ct->seq += each;
		which[count++] = i;
	}
	if (count == 0)
		return;
	nlh = (struct nlmsghdr *)(void *)(ct->batch + len - nlh->nlmsg_len);
	nlh->nlmsg_flags |= NLM_F_ACK;
	err = request_send(ct, ct->batch, len);
	if (!err)
		err = request_answers(ct, first, ct->seq, answer);
	for (unsigned int k = 0; k < count; k++)
		error[which[k]] = err ? err : answer[each * k + each - 1];
}

unsigned int ct_admit(struct ct *ct, const struct op *ops, unsigned int n, int *error)
{
	unsigned int failures = 0;

	for (unsigned int at = 0; at < n; at += ADMIT_SLICE) {
		unsigned int some = n - at < ADMIT_SLICE ? n - at : ADMIT_SLICE;

		for (unsigned int i = at; i < at + some; i++)
			error[i] = ops[i].kind == OP_ADMIT ? -EINPROGRESS : 0;
		admit_round(ct, ops + at, some, error + at, -EINPROGRESS, false);
		admit_round(ct, ops + at, some, error + at, -EEXIST, true);
	}
	for (unsigned int i = 0; i < n; i++)
		failures += error[i] != 0;
	return failures;
}

/*
 * A request of one message about the entry with this tuple. With a mark (within our mask): it
 * becomes the entry's, whose other bits stay as they are.
 */
static int request_by_tuple(struct ct *ct, uint16_t type, const struct tuple *t, uint32_t mark)
{
	struct nf_conntrack *nl = nfct_new();
	struct nlmsghdr *nlh;
	int err = -ENOMEM, answer = 0;

	if (!nl)
		goto out;
	/* Without a tuple the kernel would take it for "all of them". */
	err = -EINVAL;
	if (t->src.family == FAMILY_NONE || t->src.family != t->dst.family)
		goto out;
	put_tuple(nl, t);
	nlh = request_put(ct->batch, type, NLM_F_ACK, l3proto(&t->src), ++ct->seq);
	if (nfct_nlmsg_build(nlh, nl) < 0)
		goto out;
	if (mark) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
		mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(ct->mark_mask));
	}
	err = request_send(ct, nlh, nlh->nlmsg_len);
	if (!err)
		err = request_answers(ct, ct->seq, ct->seq, &answer);
	if (!err)
		err = answer;
out:
	if (nl)
		nfct_destroy(nl);
	return err;
}

int ct_delete(struct ct *ct, const struct tuple *t)
{
	return request_by_tuple(ct, IPCTNL_MSG_CT_DELETE, t, 0);
}

bool ct_exists(struct ct *ct, const struct tuple *t)
{
	return request_by_tuple(ct, IPCTNL_MSG_CT_GET, t, 0) == 0;
}

/*
 * What a dump has shown. It is kept until the dump is over: whoever is told of an entry may have
 * requests of their own, and an interrupted dump begins again.
 */
struct dump {
	struct ct *ct;
	bool (*wanted)(const struct dump *d, const struct ct_entry *entry);
	uint32_t skip; /* not those with this bit of the mark */
	const uint16_t *ports;
	unsigned int n_ports;
	struct ct_entry *entry;
	size_t n, room;
	int error;
};

static void keep(void *arg, const struct ct_entry *entry)
{
	struct dump *d = arg;

	if (entry->over || !d->wanted(d, entry))
		return;
	if (d->n == d->room) {
		size_t room = d->room ? 2 * d->room : 256;
		struct ct_entry *more = reallocarray(d->entry, room, sizeof(*more));

		if (!more) {
			d->error = -ENOMEM;
			return;
		}
		d->entry = more;
		d->room = room;
	}
	d->entry[d->n++] = *entry;
}

/*
 * One dump of the flows whose mark is `mark` within mask. -EINTR when the table changed under it in
 * a way that matters.
 */
static int dump_once(struct dump *d, uint32_t mark, uint32_t mask)
{
	struct ct *ct = d->ct;
	struct nlmsghdr *nlh =
	    request_put(ct->batch, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, ++ct->seq);
	bool interrupted = false, done = false;
	int err;

	d->error = 0;
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(mask));
	err = request_send(ct, nlh, nlh->nlmsg_len);
	while (!err && !done) {
		/* ct->batch is free again, and as large as the kernel makes a piece of a dump. */
		ssize_t got = request_receive(ct, ct->batch, sizeof(ct->batch), 0);
		int left = (int)got;

		if (got < 0)
			return (int)got;
		nlh = (struct nlmsghdr *)(void *)ct->batch;
		for (; !err && mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_seq != ct->seq)
				continue;
			interrupted |= (nlh->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			done |= nlh->nlmsg_type == NLMSG_DONE;
			if (nlh->nlmsg_type == NLMSG_ERROR)
				err = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
			else if (is_ct(nlh, IPCTNL_MSG_CT_NEW) && !report(nlh, false, keep, d))
				d->error = -ENOMEM; /* the rest has to be read all the same */
		}
	}
	if (!err)
		err = d->error;
	return !err && interrupted ? -EINTR : err;
}

static int dump(struct dump *d, uint32_t mark, uint32_t mask)
{
	const size_t before = d->n;
	int tries = 0, err;

	do {
		d->n = before;
		err = dump_once(d, mark, mask);
	} while ((err == -EINTR || err == -ENOBUFS) && ++tries < DUMP_TRIES);
	return err;
}

static bool not_skipped(const struct dump *d, const struct ct_entry *entry)
{
	return !(entry->mark & d->skip);
}

int ct_dump(struct ct *ct, ct_seen *seen, void *arg)
{
	struct dump d = { .ct = ct, .wanted = not_skipped };
	static const unsigned int flags[] = { PH_MARK_F_PINHOLE, PH_MARK_F_CONTROL };
	int err = 0;

	/* The kernel's filter compares for equality, so each of our two bits takes a dump. */
	for (unsigned int i = 0; !err && i < 2; i++) {
		err = dump(&d, bit(ct, flags[i]), bit(ct, flags[i]));
		d.skip |= bit(ct, flags[i]);
	}
	for (size_t i = 0; !err && i < d.n; i++)
		seen(arg, &d.entry[i]);
	free(d.entry);
	return err;
}

static bool loopback(const struct addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == FAMILY_IPV4 ? a->bytes[0] == 127 : !memcmp(a->bytes, one, sizeof(one));
}

static bool adoptable(const struct dump *d, const struct ct_entry *entry)
{
	const struct tuple *t = &entry->tuple;

	if (entry->nat || loopback(&t->src) || loopback(&t->dst) || addr_equal(&t->src, &t->dst))
		return false;
	for (unsigned int i = 0; i < d->n_ports; i++)
		if (d->ports[i] == t->dport)
			return true;
	return false;
}

int ct_adopt(struct ct *ct, const uint16_t *ports, unsigned int n, enum ph_service service,
    ct_seen *seen, void *arg)
{
	const uint32_t mark = ph_mark(ct->mark_mask, PH_MARK_F_CONTROL, service);
	struct dump d = { .ct = ct, .wanted = adoptable, .ports = ports, .n_ports = n };
	int err = dump(&d, 0, ct->mark_mask);

	for (size_t i = 0; !err && i < d.n; i++) {
		struct ct_entry *entry = &d.entry[i];

		err = request_by_tuple(ct, IPCTNL_MSG_CT_NEW, &entry->tuple, mark);
		if (err == -ENOENT) { /* it has ended in the meantime */
			err = 0;
			continue;
		}
		entry->mark |= mark;
		if (!err)
			seen(arg, entry);
	}
	free(d.entry);
	return err;
}
