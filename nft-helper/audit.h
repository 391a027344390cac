/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `pinholectl audit` finds: a profile held against what listens on this host and what the rule
 * set in force lets in. Nothing is changed and nobody is asked but the kernel, and rpcbind where
 * the profile has its pinholes.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include <jansson.h>
#include "conf.h"
#include "profile.h"

/*
 * {"ok": bool, "profile": NAME, "findings": [{"level": "finding|note", "kind", "proto", "port",
 * "family": "any|ip4|ip6", "service", "rows": [...], "rule", "text", "fix"}, ...]}; "ok" is false
 * when one is a finding. config says how pinholed admits. NULL, with a line in error[CAT_ERROR],
 * when the kernel cannot be asked or memory is out.
 */
json_t *audit_examine(const struct profile *p, const struct config *config, char *error);

/* The result as people read it, on standard output. */
void audit_show(const json_t *result);

#endif
