/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine over a capture file: what pinholed would have done with these packets. The packets'
 * timestamps are the clock, and engine_match() stands in for the kernel's sets, marks and
 * conntrack. Nothing here prints.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "capture.h"
#include "engine.h"

struct replay_moment {
	uint64_t time;  /* ns since 1970; never going back */
	uint32_t frame; /* the packet that led to it, or that showed that time had passed */
};

struct replay_summary {
	uint32_t frames;
	uint32_t packets;   /* with a whole TCP segment or UDP datagram in them */
	uint32_t fragments; /* not put together here: may hide control bytes */
	uint32_t malformed;
	struct engine_stats engine;
};

typedef void replay_op(void *arg, const struct op *op, const struct replay_moment *at);

/*
 * Reads f to its end and calls `op` for each op of each decision, in order. policy->admit does not
 * matter. 0, or -errno with a line in error[CAPTURE_ERROR]; *summary is good either way. What is
 * open at the end of the file stays open.
 */
int replay_run(struct capture_file *f, const struct policy *policy, replay_op *op, void *arg,
    struct replay_summary *summary, char *error);

#endif
