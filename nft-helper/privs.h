/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up what the daemon does not need, in stages that main() calls in order. Each says what
 * holds after it; nothing is ever taken back.
 */
#ifndef PRIVS_H
#define PRIVS_H

#include <stdbool.h>

/* Before anything: can this process configure netfilter at all? */
bool privs_net_admin(void);

/*
 * After all sockets are open, in this order:
 *   1. no new privileges, through no execve() ever
 *   2. CAP_NET_ADMIN alone, in the effective and permitted sets; an empty bounding set
 *   3. Landlock: no file can be written, made or removed but below `writable_dir`, nothing executed
 *   4. seccomp: only the system calls of the event loop, configuration reload and state file
 * 0 or -errno. *confined is false when the kernel has no Landlock, which is no error.
 */
int privs_drop(const char *writable_dir, bool *confined);

#endif
