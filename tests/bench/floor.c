// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The floor: holds in NFQUEUE what pinholed would hold, and lets it go without looking. The table
 * is pinholed's own (table.c), the queue socket too (queue.c), so what is missing is exactly the
 * work. Instead of opening pinholes as they are announced it opens all that will be announced
 * beforehand: the sets are hit by the same packets. Also fills sets for the data path (run: path).
 */
#include "bench.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "queue.h"
#include "table.h"

#define FIRST_RANGE   128    /* as pinholed asks for */
#define CONTROL_RANGE 0xffff /* likewise */
#define BATCH         512

static const char usage[] =
    "usage: floor related|mark [CLIENT SERVER FIRST-PORT COUNT]\n"
    "\n"
    "Opens COUNT pinholes from CLIENT to SERVER and FIRST-PORT onwards; after port 65535 from the\n"
    "next client address. Says READY=1 to $NOTIFY_SOCKET and runs until it is killed.\n";

static struct queue *open_queues(void)
{
	struct queue *q;
	int err = queue_open(&q);

	for (unsigned int i = 0; err == 0 && i < PH_QUEUE_SPAN; i++)
		err = queue_bind(q, (uint16_t)(PH_QUEUE_BASE_DEFAULT + i),
		    i == PH_QUEUE_FIRST ? FIRST_RANGE : CONTROL_RANGE);
	if (err < 0)
		die("queues: %s", strerror(-err));
	return q;
}

static struct table *create_table(const char *admit)
{
	struct table_setup setup = {
		.mark_mask = PH_MARK_MASK_DEFAULT,
		.queue_base = PH_QUEUE_BASE_DEFAULT,
	};
	struct table *t;
	int err;

	policy_defaults(&setup.policy);
	setup.policy.admit = strcmp(admit, "mark") == 0 ? ADMIT_MARK : ADMIT_RELATED;
	err = table_create(&t, &setup);
	if (err < 0)
		die("table: %s", strerror(-err));
	if (table_capture(t) == CAPTURE_PASSIVE)
		die("this kernel has no packet queue");
	return t;
}

static struct addr address(const char *text)
{
	struct addr a;

	if (!addr_parse(text, strlen(text), &a))
		die("'%s' is no address", text);
	return a;
}

static void next_address(struct addr *a)
{
	for (size_t i = addr_len(a); i-- > 0 && ++a->bytes[i] == 0;)
		;
}

static void commit(struct table *t)
{
	int err = table_commit(t, NULL, NULL);

	if (err < 0)
		die("set elements: %s", strerror(-err));
}

static void fill(struct table *t, char **arg)
{
	const uint16_t first = (uint16_t)number(arg[2], 1, UINT16_MAX);
	const unsigned int count = number(arg[3], 0, 10000000);
	struct op op = {
		.kind = OP_OPEN,
		.service = PH_SVC_FTP,
		.flow = {
			.src = address(arg[0]),
			.dst = address(arg[1]),
			.dport = first,
			.l4proto = L4_TCP,
		},
		.timeout = 3600 * NSEC_PER_SEC,
	};

	for (unsigned int i = 1; i <= count; i++) {
		op.id = i;
		op.dport_hi = op.flow.dport;
		if (table_stage(t, &op) < 0)
			die("out of memory");
		if (i % BATCH == 0 || i == count)
			commit(t);
		if (op.flow.dport++ == UINT16_MAX) {
			op.flow.dport = first;
			next_address(&op.flow.src);
		}
	}
}

static void look_away(void *arg, uint16_t queue, const uint8_t *l3, size_t len)
{
	(void)arg, (void)queue, (void)l3, (void)len;
}

static void run(struct queue *q)
{
	struct pollfd poll_queue = { .fd = queue_fd(q), .events = POLLIN };
	int n, err;

	for (;;) {
		if (poll(&poll_queue, 1, -1) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		do {
			n = queue_receive(q);
			if (n < 0)
				die("queue: %s", strerror(-n));
			queue_show(q, look_away, NULL);
			err = queue_release(q);
			if (err < 0)
				die("verdict: %s", strerror(-err));
		} while (n == QUEUE_BURST);
	}
}

/* As sd_notify(3) does, for a socket with a path. */
static void notify_ready(void)
{
	static const char word[] = "READY=1";
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, word, sizeof(word) - 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("%s: %s", path, strerror(errno));
	(void)close(fd);
}

int main(int argc, char **argv)
{
	struct queue *q;
	struct table *t;

	if ((argc != 2 && argc != 6) ||
	    (strcmp(argv[1], "related") != 0 && strcmp(argv[1], "mark") != 0)) {
		fputs(usage, stderr);
		return 2;
	}
	q = open_queues();
	t = create_table(argv[1]);
	if (argc == 6)
		fill(t, argv + 2);
	notify_ready();
	run(q);
}
