/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our one nftables table: the only user of libnftnl. It exists from table_create() to the end of the
 * process (owner flag: the kernel deletes it with our socket), and its elements change only through
 * table_stage() and table_commit(), one transaction at a time.
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
 * Creates the whole table in one transaction. -EBUSY when another instance owns it in this network
 * namespace; otherwise -errno. Without kernel support for table owners an orphan of an earlier run
 * is replaced.
 */
int table_create(struct table **out, const struct table_setup *setup);
void table_destroy(struct table *t);

enum capture table_capture(const struct table *t);
enum admit table_admit(const struct table *t); /* ADMIT_MARK whenever capture is passive */
bool table_owned(const struct table *t);    /* false: kernel older than 5.12 */
bool table_one_shot(const struct table *t); /* per-element limit in force (`mark`) */

/* Replaces rules (and adds sets) for another policy; elements stay. 0 or -errno, then nothing changed. */
int table_reconfigure(struct table *t, const struct table_setup *setup);

/*
 * Stages OP_OPEN and OP_CLOSE (other kinds are ignored). The op is copied as far as needed. Elements
 * live a little longer in the kernel (5 s) than the op's timeout, so that the daemon closes first.
 */
int table_stage(struct table *t, const struct op *op);

/*
 * Sends what is staged as one batch and waits for the kernel's word. If the kernel refuses the
 * batch, it is repeated element by element, and `failed` is called with the id of each OP_OPEN that
 * was refused alone and why (-errno). An element to remove that is already gone is no failure.
 * 0 when everything is in force, else the first -errno.
 */
int table_commit(
    struct table *t, void (*failed)(void *arg, uint32_t id, int error), void *arg);

/* Packets that hit the element of an open pinhole. -ENOENT when it has none. */
int table_hits(struct table *t, const struct pinhole *p, uint64_t *packets);

/* First packets of control flows that were left alone because they are translated. */
int table_nat_seen(struct table *t, uint64_t *packets);

#endif
