// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nfnetlink_log over libmnl: configuration is a few attributes and the messages are plain netlink,
 * so libnetfilter_log would add a dependency without saving code.
 */
#include "nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MESSAGE_MAX  (0xffff + 4097) /* a whole packet and its attributes */
#define RECEIVE_SIZE (8 << 20)

struct nflog {
	struct mnl_socket *nl;
	struct mmsghdr messages[NFLOG_BURST];
	struct iovec iov[NFLOG_BURST];
	unsigned int received;
	bool lost; /* copies, of which the caller has not been told yet */
	char buffers[NFLOG_BURST][MESSAGE_MAX] __attribute__((aligned(8)));
};

struct showing {
	nflog_seen *seen;
	void *arg;
};

int nflog_open(struct nflog **out)
{
	struct nflog *log = calloc(1, sizeof(*log));
	int size = RECEIVE_SIZE, err;

	if (!log)
		return -ENOMEM;
	log->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!log->nl || mnl_socket_bind(log->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		goto out;
	}
	(void)setsockopt(nflog_fd(log), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	for (int i = 0; i < NFLOG_BURST; i++) {
		log->iov[i] = (struct iovec){ .iov_base = log->buffers[i], .iov_len = MESSAGE_MAX };
		log->messages[i].msg_hdr.msg_iov = &log->iov[i];
		log->messages[i].msg_hdr.msg_iovlen = 1;
	}
	*out = log;
	return 0;
out:
	nflog_close(log);
	return err;
}

void nflog_close(struct nflog *log)
{
	if (!log)
		return;
	if (log->nl)
		(void)mnl_socket_close(log->nl);
	free(log);
}

int nflog_fd(const struct nflog *log)
{
	return mnl_socket_get_fd(log->nl);
}

static struct nlmsghdr *config_header(char *buf, uint16_t group)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(group);
	return nlh;
}

static int configure(struct nflog *log, struct nlmsghdr *nlh)
{
	char answer[1024];
	ssize_t n;

	if (mnl_socket_sendto(log->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(log->nl, answer, sizeof(answer));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(log->nl), NULL, NULL) < 0
		   ? -errno
		   : 0;
}

int nflog_bind(struct nflog *log, uint16_t group, uint32_t range)
{
	struct nfulnl_msg_config_cmd cmd = { .command = NFULNL_CFG_CMD_BIND };
	struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(range),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	char buf[256];
	struct nlmsghdr *nlh = config_header(buf, group);
	int err;

	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(cmd), &cmd);
	err = configure(log, nlh);
	if (err < 0)
		return err;
	nlh = config_header(buf, group);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(1));
	return configure(log, nlh);
}

struct copy {
	const struct nlattr *payload;
	uint32_t in, out;
};

static uint32_t interface(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_U32) < 0 ? 0 : ntohl(mnl_attr_get_u32(attr));
}

static int on_attr(const struct nlattr *attr, void *arg)
{
	struct copy *copy = arg;

	switch (mnl_attr_get_type(attr)) {
	case NFULA_PAYLOAD:
		copy->payload = attr;
		break;
	case NFULA_IFINDEX_INDEV:
		copy->in = interface(attr);
		break;
	case NFULA_IFINDEX_OUTDEV:
		copy->out = interface(attr);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *nlh, void *arg)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	struct copy copy = { .payload = NULL };
	const struct showing *show = arg;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg))
		return MNL_CB_OK;
	(void)mnl_attr_parse(nlh, sizeof(*nfg), on_attr, &copy);
	if (copy.payload)
		show->seen(show->arg, ntohs(nfg->res_id), copy.in ? copy.in : copy.out,
		    mnl_attr_get_payload(copy.payload), mnl_attr_get_payload_len(copy.payload));
	return MNL_CB_OK;
}

/* As in ct_events(): the socket has to be read empty before it tells of a further loss. */
int nflog_receive(struct nflog *log)
{
	int n;

	do
		n = recvmmsg(nflog_fd(log), log->messages, NFLOG_BURST, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == ENOBUFS && (log->lost = true));
	log->received = n > 0 ? (unsigned int)n : 0;
	if (n < 0 && errno == EAGAIN && log->lost) {
		log->lost = false;
		return -ENOBUFS;
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

void nflog_show(struct nflog *log, nflog_seen *seen, void *arg)
{
	struct showing show = { .seen = seen, .arg = arg };

	for (unsigned int i = 0; i < log->received; i++)
		(void)mnl_cb_run(
		    log->buffers[i], log->messages[i].msg_len, 0, 0, on_message, &show);
	log->received = 0;
}
