/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our one nftables table; table.c and rules.c are the only users of libnftnl. It exists from
 * table_create() to the end of the process (owner flag: the kernel deletes it with our socket), and
 * its elements change only through table_stage() and table_commit(), one transaction at a time.
 */
#ifndef TABLE_H
#define TABLE_H

#include "engine.h"

enum capture {
	CAPTURE_QUEUE,        /* native queue expression */
	CAPTURE_QUEUE_COMPAT, /* xt NFQUEUE target through nft_compat */
	CAPTURE_PASSIVE,      /* NFLOG copies only; admission has to be ADMIT_MARK */
};

const char *capture_word(enum capture c); /* "queue", "queue-compat", "passive" */

struct table_setup {
	struct policy policy; /* services, ports, admit */
	uint32_t mark_mask;
	uint16_t queue_base;
	bool passive; /* do not even try to queue */
};

struct table;

/*
 * Creates the whole table in one transaction, with whatever the kernel has to offer. -EBUSY when
 * another instance owns it in this network namespace; otherwise -errno. What has its name and no
 * owner is replaced: an orphan of an earlier run on a kernel without table owners.
 */
int table_create(struct table **out, const struct table_setup *setup);
void table_destroy(struct table *t);

enum capture table_capture(const struct table *t);
enum admit table_admit(const struct table *t); /* ADMIT_MARK whenever capture is passive */
bool table_owned(const struct table *t);       /* false: kernel older than 5.12 */
bool table_one_shot(const struct table *t);    /* per-element limit in force (`mark`) */

/*
 * Replaces rules (and adds sets) for another policy; elements stay, and with them the sets of a
 * service that is switched off. 0 or -errno, then nothing changed. Sets that exist keep their kind:
 * after a change of `admit`, table_one_shot() says what that means.
 */
int table_reconfigure(struct table *t, const struct table_setup *setup);

/*
 * Stages what an op means for the sets: OP_OPEN, OP_RENEW, OP_CLOSE, and OP_ADMIT, which spends the
 * element of a pinhole that is for one flow. Other kinds are ignored. The op is copied as far as
 * needed. Elements live a little longer in the kernel (5 s) than the op's timeout, so that the
 * daemon closes first. -EOPNOTSUPP when no set can express it (a service without sets, a window
 * where there are none), -ENOMEM; then nothing is staged.
 *
 * Whoever still talks to a TCP port whose OP_CLOSE says `moved`, or calls it again, gets a reset
 * for a minute, or until it is opened again (where the kernel has nft's reject; otherwise silence).
 * Such packets have to be new to conntrack: flows through that port are to be deleted there.
 *
 * OP_END with `kill`: the flow is about to be deleted from conntrack, and if it is UDP, its next
 * packet is to be held as a first one again.
 */
int table_stage(struct table *t, const struct op *op);

/*
 * Sends what is staged as one batch (several when it is very long) and waits for the kernel's word.
 * If the kernel refuses a batch, what it complained about is left out and the rest is sent again;
 * `failed` is called with the id and -errno for each OP_OPEN and OP_RENEW left out. An element to
 * remove that is already gone is no failure, one to add that is already there is renewed. 0 when
 * everything is in force, else the first -errno; nothing is staged any more in either case.
 */
int table_commit(struct table *t, void (*failed)(void *arg, uint32_t id, int error), void *arg);

/*
 * Packets that hit the element of an open pinhole, since it was opened or last renewed. -ENOENT
 * when it has none; -ENODATA when it does not count, as what is for one flow does not.
 */
int table_hits(struct table *t, const struct pinhole *p, uint64_t *packets);

/* First packets of control flows that were left alone because they are translated. */
int table_nat_seen(struct table *t, uint64_t *packets);

#endif
