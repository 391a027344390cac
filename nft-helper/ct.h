/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conntrack through ctnetlink: the only user of libnetfilter_conntrack. Events of flows that carry
 * our mark, creation of expected flows under their master, deletion, dumps by mark.
 */
#ifndef CT_H
#define CT_H

#include "engine.h"

struct ct;

struct ct_entry {
	struct tuple tuple; /* original direction */
	uint32_t mark;
	bool gone; /* DESTROY rather than NEW (events); always false in a dump */
	bool over; /* TCP that both sides have closed, or one has reset; never in a dump */
	bool nat;  /* its addresses or ports are translated */
};

typedef void ct_seen(void *arg, const struct ct_entry *entry);

/* Only flows with a mark within the pinhole or control bit of mark_mask are ever reported. */
int ct_open(struct ct **out, uint32_t mark_mask);
void ct_close(struct ct *ct);

/*
 * Reports the beginning of flows, too, and not only their end. Not for `related`: the kernel would
 * tell us of every entry that we have made ourselves, which takes as long as making it. 0 or
 * -errno.
 */
int ct_report_new(struct ct *ct);

/* Non-blocking; readable when events wait. */
int ct_event_fd(const struct ct *ct);

/*
 * Reads what waits, up to some thousand events (the descriptor stays readable then). 0; -ENOBUFS
 * when events were lost and what was left has been read (dump and resync); other -errno. The end of
 * an entry that this process deleted or replaced itself is not reported.
 */
int ct_events(struct ct *ct, ct_seen *seen, void *arg);

/* Asks for the receive buffer of the event socket; bytes. For tests and configuration. */
int ct_event_buffer(struct ct *ct, int bytes);

/*
 * Creates the flow of each OP_ADMIT among ops as a child of op->master, with our mark (pinhole and,
 * with op->control, control), in as few system calls as possible, and waits for the kernel's word.
 * An old entry with the same tuple (a connection in TIME_WAIT whose port is used again) is
 * replaced. error[i] is 0 or -errno for each op; -ENOENT: the master is gone. Returns the number of
 * failures.
 */
unsigned int ct_admit(struct ct *ct, const struct op *ops, unsigned int n, int *error);

/* Deletes the entry with this original tuple. 0, -ENOENT, other -errno. */
int ct_delete(struct ct *ct, const struct tuple *t);

/* Is there an entry with this original tuple now? */
bool ct_exists(struct ct *ct, const struct tuple *t);

/*
 * All entries that carry our mark, as they are now; TCP connections that are over are left out.
 * Nothing is shown before all is known, and nothing at all when that fails (-errno); so whoever is
 * shown an entry may use ct as they like.
 */
int ct_dump(struct ct *ct, ct_seen *seen, void *arg);

/*
 * Flows to one of n ports that began when nobody watched (none of our bits, not translated, not
 * local) become control flows of the service: their mark says so from now on, and seen is called as
 * by ct_dump(). On -errno those shown so far are marked.
 */
int ct_adopt(struct ct *ct, const uint16_t *ports, unsigned int n, enum ph_service service,
    ct_seen *seen, void *arg);

#endif
