/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What survives a restart: sessions and pinholes as JSON in the runtime directory, replaced by
 * rename so that a reader never sees half a file. What is read back is only a claim; the engine
 * opens nothing of it that conntrack does not prove.
 */
#ifndef STATE_H
#define STATE_H

#include "engine.h"

struct state_saving;

/*
 * Saving 100 000 pinholes takes half a second, during which no held packet may wait: so it goes by
 * portions. What is there when it begins is saved, unless it has ended before its turn comes. The
 * directory is a descriptor. 0 or -errno.
 */
int state_begin(struct state_saving **out, int dir, const struct engine *e);

/* The next `items`. 1: there are more; 0: all of them are in place; or -errno. Unless 1, s is gone.
 */
int state_continue(struct state_saving *s, const struct engine *e, unsigned int items);

/* The file of before stays. NULL is fine. */
void state_abandon(struct state_saving *s);

/* All at once. */
int state_save(int dir, const struct engine *e);

/*
 * Gives what was saved to the engine, which must be empty; *claims is how much that was. -ENOENT
 * when nothing was saved, -EINVAL when the file cannot be believed; then the engine may have got
 * part of it, and conntrack decides all the same.
 */
int state_load(int dir, struct engine *e, uint64_t now, unsigned int *claims);

#endif
