/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The asking side of pinhole/ctl.h: one connection, requests out, items in. Blocking, with a time
 * limit unless events are waited for. Nothing here prints.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl_client;

/* 0; -ENOENT or -ECONNREFUSED when nobody listens there; other -errno. */
int ctl_client_open(struct ctl_client **out, const char *path);

/* Sends a request; steals it. `patient`: its answer may take any time. 0 or -errno. */
int ctl_client_ask(struct ctl_client *c, json_t *request, bool patient);

/*
 * 1 with *item (the caller's), 0 at the good end of the answer, -EREMOTEIO when the daemon says no,
 * with its words in error[cap]; -ECONNRESET when it hangs up, -ETIMEDOUT, -EPROTO, other -errno.
 */
int ctl_client_next(struct ctl_client *c, json_t **item, char *error, size_t cap);

void ctl_client_close(struct ctl_client *c);

#endif
