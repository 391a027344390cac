/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pinholed.conf(5), read with libconfuse into plain values. All of a file is checked before any of
 * it is believed: a value here is always in range. Nothing in this file acts on what it reads.
 */
#ifndef CONF_H
#define CONF_H

#include "policy.h"

struct config {
	struct policy policy;
	uint32_t mark_mask;
	uint32_t event_buffer; /* bytes: receive buffer for conntrack events */
	uint16_t queue_base;
	bool passive; /* do not even try to queue; then policy.admit is ADMIT_MARK */
};

#define CONF_ERROR 512 /* enough for any message of conf_load() with a path of sane length */

/* What holds where the file is silent, and when there is no file. */
void conf_defaults(struct config *out);

/*
 * Reads a whole file. 0; -EINVAL for what it says, other -errno when it cannot be read. On failure
 * *out is untouched and error[cap] holds one line: "FILE:LINE: what is wrong with 'WORD'".
 */
int conf_load(const char *path, struct config *out, char *error, size_t cap);

#endif
