/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What survives a restart: sessions and pinholes as JSON in the runtime directory, replaced by
 * rename so that a reader never sees half a file. What is read back is only a claim; the engine
 * opens nothing of it that conntrack does not prove.
 */
#ifndef STATE_H
#define STATE_H

#include "engine.h"

/* Both take the directory as a descriptor. 0 or -errno. */
int state_save(int dir, const struct engine *e);

/*
 * Gives what was saved to the engine, which must be empty; *claims is how much that was. -ENOENT
 * when nothing was saved, -EINVAL when the file cannot be believed; then the engine may have got
 * part of it, and conntrack decides all the same.
 */
int state_load(int dir, struct engine *e, uint64_t now, unsigned int *claims);

#endif
