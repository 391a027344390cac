/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's side of pinhole/ctl.h: the listening socket, its clients and their answers, on the
 * caller's sd-event loop. It reads the engine and never changes it; what has to be done is asked of
 * the host. No dispatch takes long: lists are formatted as the socket drains.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>
#include <systemd/sd-event.h>
#include "engine.h"

/*
 * What the daemon provides. Called from within the loop's dispatch only, with `arg`; none of them
 * may run the loop or call ctl_close(). close() may call ctl_publish().
 */
struct ctl_host {
	/* Before each request: the engine may change here, and nowhere else while one is answered.
	 */
	void (*refresh)(void *arg);
	const struct engine *(*engine)(void *arg);
	uint64_t (*now)(void *arg); /* engine time, ns */
	/* Closes pinhole `id` in engine and kernel. 0, -ENOENT, other -errno. */
	int (*close)(void *arg, uint32_t id);
	/* Packets that hit this pinhole's element. 0, or -errno: not known. NULL: never known. */
	int (*hits)(void *arg, const struct pinhole *p, uint64_t *packets);
	/* Adds numbers of the adapters to what ctl.c took from engine_stats(). NULL: none. */
	void (*stats)(void *arg, json_t *stats);
	/* Fills in "admit", "capture", "lacks", ...; "version" and "pid" are already there. */
	void (*status)(void *arg, json_t *status);
	/* What the local rpcbind says: appends one object a program, after one about rpcbind
	 * itself. */
	void (*rpc)(void *arg, json_t *items);
	void *arg;
};

struct ctl;

/*
 * Listens on dir/ctl.sock, mode 0660; dir is created (0755) when it is missing. A socket that
 * nobody answers is replaced; -EADDRINUSE when somebody does. host is copied.
 */
int ctl_open(struct ctl **out, sd_event *ev, const char *dir, const struct ctl_host *host);

/* Hangs up on all clients and removes the socket. NULL is fine. */
void ctl_close(struct ctl *ctl);

/* Does anybody watch? */
bool ctl_watched(const struct ctl *ctl);

/*
 * Tells the watchers, if any, what has just been done; formats nothing when nobody watches. Ops
 * that say nothing to people (describe_event()) are left out. Never blocks; slow watchers lose
 * events and are told how many.
 */
void ctl_publish(struct ctl *ctl, const struct op *op);

#endif
