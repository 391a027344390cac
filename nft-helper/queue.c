// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nfnetlink_queue. What counts here is system calls: one recvmmsg() takes a burst, one sendmsg()
 * carries all its verdicts. The kernel answers configuration messages with an ACK; verdicts without
 * one, since a verdict can only fail when the packet is already gone.
 */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A whole packet and its attributes; a multiple of 8, for the next one's sake. The kernel segments
 * what offloads have merged. */
#define MESSAGE_MAX  ((64 << 10) + 1024)
#define VERDICT_SIZE 64
#define MAXLEN       4096
#define RECEIVE_SIZE (8 << 20)

struct queue {
	struct mnl_socket *nl;
	struct mmsghdr messages[QUEUE_BURST];
	struct iovec iov[QUEUE_BURST];
	unsigned int received;
	size_t verdict_len;
	char verdicts[QUEUE_BURST * VERDICT_SIZE];
	char buffers[QUEUE_BURST][MESSAGE_MAX] __attribute__((aligned(8)));
};

struct showing {
	struct queue *q;
	queue_seen *seen;
	void *arg;
};

int queue_open(struct queue **out)
{
	struct queue *q = calloc(1, sizeof(*q));
	int on = 1, size = RECEIVE_SIZE, err;

	if (!q)
		return -ENOMEM;
	q->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!q->nl || mnl_socket_bind(q->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		goto out;
	}
	/* Packets that found the buffer full have failed open; there is nothing to learn from it.
	 */
	(void)mnl_socket_setsockopt(q->nl, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	(void)setsockopt(queue_fd(q), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (int i = 0; i < QUEUE_BURST; i++) {
		q->iov[i] = (struct iovec){ .iov_base = q->buffers[i], .iov_len = MESSAGE_MAX };
		q->messages[i].msg_hdr.msg_iov = &q->iov[i];
		q->messages[i].msg_hdr.msg_iovlen = 1;
	}
	*out = q;
	return 0;
out:
	queue_close(q);
	return err;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	if (q->nl)
		(void)mnl_socket_close(q->nl);
	free(q);
}

int queue_fd(const struct queue *q)
{
	return mnl_socket_get_fd(q->nl);
}

static int configure(struct queue *q, struct nlmsghdr *nlh)
{
	char answer[1024];
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(q->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(q->nl, answer, sizeof(answer));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(q->nl), NULL, NULL) < 0
		   ? -errno
		   : 0;
}

int queue_bind(struct queue *q, uint16_t number, uint32_t range)
{
	char buf[256];
	struct nlmsghdr *nlh;
	int err;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);
	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	err = configure(q, nlh);
	if (err < 0)
		return err;
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, (int)range);
	nfq_nlmsg_cfg_put_qmaxlen(nlh, MAXLEN);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	return configure(q, nlh);
}

static int on_message(const struct nlmsghdr *nlh, void *arg)
{
	struct nlattr *attr[NFQA_MAX + 1] = { NULL };
	const struct nfqnl_msg_packet_hdr *hdr;
	const struct nfgenmsg *nfg;
	struct showing *show = arg;
	struct nlmsghdr *verdict;
	uint16_t number;

	if (nfq_nlmsg_parse(nlh, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return MNL_CB_OK;
	nfg = mnl_nlmsg_get_payload(nlh);
	number = ntohs(nfg->res_id);
	hdr = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	verdict =
	    nfq_nlmsg_put(show->q->verdicts + show->q->verdict_len, NFQNL_MSG_VERDICT, number);
	nfq_nlmsg_verdict_put(verdict, (int)ntohl(hdr->packet_id), NF_ACCEPT);
	show->q->verdict_len += NLMSG_ALIGN(verdict->nlmsg_len);
	if (attr[NFQA_PAYLOAD])
		show->seen(show->arg, number, mnl_attr_get_payload(attr[NFQA_PAYLOAD]),
		    mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]));
	return MNL_CB_OK;
}

int queue_receive(struct queue *q)
{
	int n = recvmmsg(queue_fd(q), q->messages, QUEUE_BURST, MSG_DONTWAIT, NULL);

	q->received = n > 0 ? (unsigned int)n : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	return n;
}

void queue_show(struct queue *q, queue_seen *seen, void *arg)
{
	struct showing show = { .q = q, .seen = seen, .arg = arg };

	q->verdict_len = 0;
	/* Each datagram is one packet: __nfqnl_enqueue_packet() sends them singly. */
	for (unsigned int i = 0; i < q->received; i++)
		(void)mnl_cb_run(q->buffers[i], q->messages[i].msg_len, 0, 0, on_message, &show);
	q->received = 0;
}

static int send_verdicts(struct queue *q, const char *verdicts, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (!len)
		return 0;
	for (;;) {
		if (sendto(queue_fd(q), verdicts, len, 0, (struct sockaddr *)&kernel,
			sizeof(kernel)) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int queue_release_but(struct queue *q, uint16_t number)
{
	char shown[sizeof(q->verdicts)] __attribute__((aligned(NLMSG_ALIGNTO)));
	char others[sizeof(q->verdicts)] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)shown;
	int left = (int)q->verdict_len;
	size_t others_len = 0;

	memcpy(shown, q->verdicts, q->verdict_len);
	q->verdict_len = 0;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
		const bool its = ntohs(nfg->res_id) == number;
		size_t *len = its ? &q->verdict_len : &others_len;

		memcpy((its ? q->verdicts : others) + *len, nlh, nlh->nlmsg_len);
		*len += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return send_verdicts(q, others, others_len);
}

int queue_release(struct queue *q)
{
	const size_t len = q->verdict_len;

	q->verdict_len = 0;
	return send_verdicts(q, q->verdicts, len);
}
