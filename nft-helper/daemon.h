/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's loop: kernel events into the engine, its decisions back into the kernel, in the
 * order that commit-before-verdict needs. Knows the adapters and the engine, and no protocol.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include "conf.h"

struct daemon_options {
	const char *conf_path; /* NULL: the default one, which may be missing */
	const char *runtime_dir;
};

struct daemon;

/*
 * Everything up to the point where packets are handled: sockets, table, restored state, control
 * socket, and then privileges dropped. What failed has been logged. 0 or -errno.
 */
int daemon_start(
    struct daemon **out, const struct daemon_options *options, const struct config *conf);

/* Until SIGTERM or SIGINT. 0, or -errno when the environment broke. */
int daemon_run(struct daemon *d);

/* Saves state; the kernel deletes the table with its socket. NULL is fine. */
void daemon_stop(struct daemon *d);

#endif
