/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that the kernel holds for us: the only user of libnetfilter_queue. One socket carries all
 * queues. A burst is read, decided on by the caller, and then let go as a whole; every packet is
 * accepted. When we are slow or gone, the kernel lets packets pass (fail-open, and bypass in the
 * rules).
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define QUEUE_BURST 16

struct queue;

/* A held packet; l3 is valid until queue_release(). */
typedef void queue_seen(void *arg, uint16_t number, const uint8_t *l3, size_t len);

int queue_open(struct queue **out);
void queue_close(struct queue *q);

/*
 * Holds the packets of this queue from now on; `range` bytes of each are copied. All queues are
 * bound before any rule sends packets to one. 0; -EPERM also when another process has that number.
 */
int queue_bind(struct queue *q, uint16_t number, uint32_t range);

/* Non-blocking; readable when packets wait. */
int queue_fd(const struct queue *q);

/*
 * Takes up to QUEUE_BURST packets without waiting, and shows none yet: what other sockets have of
 * earlier moments can be read in between. Returns how many messages there were (a full burst means
 * that more may wait), or -errno.
 */
int queue_receive(struct queue *q);

/* Shows what queue_receive() took. */
void queue_show(struct queue *q, queue_seen *seen, void *arg);

/* Accepts all packets that queue_show() showed and that have not been let go yet. 0 or -errno. */
int queue_release(struct queue *q);

/*
 * Likewise, but for those of this queue. What comes of a verdict is done when this returns: flows
 * that nobody else has dropped are in conntrack.
 */
int queue_release_but(struct queue *q, uint16_t number);

#endif
