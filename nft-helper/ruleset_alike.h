/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which interfaces a rule set treats alike, so that one of each kind is asked about and no more. */
#ifndef RULESET_ALIKE_H
#define RULESET_ALIKE_H

#include "ruleset_walk.h"

/* first[i]: the first interface that no rule can tell from interface i, which may be i itself. */
void alike_interfaces(
    const struct dump *d, const struct walk_interface *list, size_t n, size_t *first);

#endif
