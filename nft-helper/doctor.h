/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `pinholectl doctor` looks at: the kernel, the daemon, and the firewall in force. It changes
 * nothing and asks nobody but the kernel and the daemon; each complaint comes with what to do.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <jansson.h>
#include "conf.h"
#include "ruleset.h"

#define DOCTOR_FIX 512

/*
 * Makes all checks and returns {"ok": bool, "checks": [{"check", "level": "good|note|bad", "text",
 * "fix": string|null}, ...]}; "ok" is false when one is bad. config stands in for a daemon that
 * does not answer on `socket`. NULL when memory is out.
 */
json_t *doctor_examine(const char *socket, const struct config *config);

/* The line to add to a chain that drops pinholes' flows; mark: with `admit = mark`. */
void doctor_chain_fix(
    const struct ruleset_chain *c, bool mark, uint32_t mark_mask, char fix[DOCTOR_FIX]);

#endif
