// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The loop. Three sockets bring events: conntrack, NFLOG, NFQUEUE, processed in this order. A burst
 * of held packets is decided on, committed at once, and then let go.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>
#include "ct.h"
#include "ctl.h"
#include "describe.h"
#include "log.h"
#include "nflog.h"
#include "pinhole/ctl.h"
#include "privs.h"
#include "queue.h"
#include "rpcmap.h"
#include "state.h"
#include "table.h"

#define FIRST_RANGE   128    /* headers only */
#define CONTROL_RANGE 0xffff /* everything */
#define TICK_LEAST    (100 * (NSEC_PER_SEC / 1000))
#define REST          (20 * (NSEC_PER_SEC / 1000))
#define SHORT_REST    (5 * (NSEC_PER_SEC / 1000))
#define OFTEN         (2 * (NSEC_PER_SEC / 1000))
#define SPENT_MAX     64
#define FAILED_MAX    64
#define MASTERS_TRIED 4
#define NICE          (-10)
#define ADMITS_MAX    (2 * QUEUE_BURST)     /* of held packets, and of copies that came with them */
#define SAVE_ITEMS    64                    /* a portion of the state file, some 0.3 ms */
#define SAVE_PAUSE    (NSEC_PER_SEC / 1000) /* between two */

struct counters {
	uint64_t commits, commit_failures, admit_failures, resyncs, copies_lost, nat,
	    state_failures;
};

struct daemon {
	struct daemon_options options;
	struct config conf;
	struct engine *engine;
	struct ct *ct;
	struct nflog *log;
	struct queue *queue; /* NULL in passive capture */
	struct table *table;
	struct ctl *ctl;
	struct rpcmap *rpcmap; /* NULL when it is not to be asked */
	struct rpcmap_snapshot local;
	int dir; /* runtime directory */
	sd_event *event;
	sd_event_source *tick, *save, *rest;
	sd_event_source *told[2]; /* conntrack and NFLOG */
	uint64_t told_at;         /* ns, engine time */
	uint64_t save_not_before; /* likewise */
	uint64_t save_took;       /* ns, of what is under way */
	struct state_saving *saving;
	bool dirty;         /* state has changed since it was saved */
	bool staged;        /* the table has something to commit before packets are let go */
	unsigned int spent; /* elements to remove when there is time */
	bool resting, busy; /* see rest() */
	bool confined;
	struct counters counters;
	/* One burst: */
	struct op admits[ADMITS_MAX];
	unsigned int n_admits;
	uint32_t failed[FAILED_MAX];
	unsigned int n_failed;
	struct decision decision;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Engine time goes on while the machine sleeps, as the kernel's element timeouts do not; the later
 * of the two ends a pinhole in the daemon, which is the safe side. */
static uint64_t engine_now(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

/* --- decisions into the kernel ------------------------------------------------------------------
 */

static void announce(struct daemon *d, const struct op *op)
{
	char text[DESCRIBE_TEXT];
	enum log_level level = op->kind == OP_REFUSE ? LOG_LEVEL_NOTICE : LOG_LEVEL_DEBUG;

	if (log_wanted(level)) {
		describe_op_text(op, text);
		if (op->kind == OP_REFUSE)
			log_peer(level, "%s", text);
		else
			log_line(level, "%s", text);
	}
	if (ctl_watched(d->ctl))
		ctl_publish(d->ctl, op);
}

static void stage(struct daemon *d, const struct op *op)
{
	int err = table_stage(d->table, op);

	if (err < 0) {
		d->counters.commit_failures++;
		log_peer(LOG_LEVEL_ERROR, "cannot stage a set element: %s", strerror(-err));
	}
	d->staged = true;
}

/*
 * A spent element does no harm: with `related` another first packet that hits it comes to the
 * engine, with `mark` its limit is used up. It goes with the next commit, or when the daemon has
 * time.
 */
static void stage_spent(struct daemon *d, const struct op *op)
{
	bool urgent = d->staged || !d->queue ||
		      (table_admit(d->table) == ADMIT_MARK && !table_one_shot(d->table));

	stage(d, op);
	d->staged = urgent || ++d->spent >= SPENT_MAX;
}

/* An NFS flow, which the firewall lets in by itself, or by a mapping when the client asked for it.
 */
static bool nfs_begins(const struct op *op)
{
	return (op->kind == OP_SESSION_BEGIN && op->service == PH_SVC_NFS) ||
	       (op->kind == OP_ADMIT && op->program == PROGRAM_NFS);
}

static void apply(struct daemon *d, const struct event *ev, const struct op *op)
{
	switch (op->kind) {
	case OP_OPEN:
	case OP_RENEW:
	case OP_CLOSE:
		stage(d, op);
		break;
	case OP_ADMIT:
		/* Only a packet that is held can still be given its conntrack entry. */
		if (ev->kind == EV_FIRST && d->n_admits < ADMITS_MAX)
			d->admits[d->n_admits++] = *op;
		else if (!op->many)
			stage_spent(d, op);
		break;
	case OP_END:
		if (op->kill) {
			(void)ct_delete(d->ct, &op->flow);
			stage(d, op);
		} else if (op->flow.l4proto == L4_UDP) {
			stage_spent(d, op); /* its entries in the seen sets; nothing held waits */
		}
		break;
	case OP_SESSION_BEGIN:
	case OP_SESSION_END:
	case OP_REFUSE:
		break;
	}
	/* A client is back: what it needs may have moved meanwhile. */
	if (d->rpcmap && nfs_begins(op))
		rpcmap_ask(d->rpcmap);
	if (op->kind != OP_REFUSE && op->kind != OP_RENEW)
		d->dirty = true;
	announce(d, op);
}

static void feed(struct daemon *d, struct event *ev)
{
	struct event tick = { .kind = EV_TICK };

	ev->now = tick.now = engine_now();
	engine_input(d->engine, ev, &d->decision);
	for (;;) {
		for (unsigned int i = 0; i < d->decision.n; i++)
			apply(d, ev, &d->decision.ops[i]);
		if (!d->decision.more)
			return;
		ev = &tick;
		engine_input(d->engine, ev, &d->decision);
	}
}

static void note_failure(void *arg, uint32_t id, int error)
{
	struct daemon *d = arg;

	d->counters.commit_failures++;
	log_peer(LOG_LEVEL_WARNING, "pinhole %u: the kernel refused its set element: %s", id,
	    strerror(-error));
	if (d->n_failed < FAILED_MAX)
		d->failed[d->n_failed++] = id;
}

/* A pinhole that is not in the kernel must not look open. */
static void close_failed(struct daemon *d)
{
	while (d->n_failed) {
		struct event ev = {
			.kind = EV_CLOSE,
			.id = d->failed[--d->n_failed],
			.reason = REASON_COMMIT_FAILED,
		};
		feed(d, &ev);
	}
}

static void commit_table(struct daemon *d)
{
	while (d->staged) {
		d->staged = false;
		d->spent = 0;
		d->counters.commits++;
		(void)table_commit(d->table, note_failure, d);
		close_failed(d);
	}
}

/*
 * Conntrack tells late of what has timed out: a master that was gone is forgotten, and while the
 * packet is still held, the hosts' other flows are tried. One that was only copied to us may have
 * come to conntrack a moment after we looked: it is tried again.
 */
static void retry_admit(struct daemon *d, struct op *op, int *error)
{
	for (int tries = 0; *error == -ENOENT && tries < MASTERS_TRIED; tries++) {
		struct event gone = { .kind = EV_CT_DESTROY, .tuple = op->master };

		if (!ct_exists(d->ct, &op->master)) {
			feed(d, &gone);
			if (!engine_another_master(d->engine, op->id, &op->master))
				return;
		}
		*error = 0;
		(void)ct_admit(d->ct, op, 1, error);
	}
}

/* What has closed since it was decided on is not created any more. */
static void forget_closed(struct daemon *d)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < d->n_admits; i++) {
		if (engine_pinhole(d->engine, d->admits[i].id))
			d->admits[n++] = d->admits[i];
		else if (!d->admits[i].many)
			stage_spent(d, &d->admits[i]);
	}
	d->n_admits = n;
}

static void admit_all(struct daemon *d, int *error)
{
	forget_closed(d);
	if (!d->n_admits)
		return;
	(void)ct_admit(d->ct, d->admits, d->n_admits, error);
	for (unsigned int i = 0; i < d->n_admits; i++)
		retry_admit(d, &d->admits[i], &error[i]);
}

/* After the verdicts: what was spent is to leave the sets, what could not be admitted is closed. */
static void settle_admits(struct daemon *d, const int *error)
{
	unsigned int n = d->n_admits;

	if (!n)
		return;
	d->n_admits = 0;
	for (unsigned int i = 0; i < n; i++) {
		if (!d->admits[i].many)
			stage_spent(d, &d->admits[i]);
		if (error[i] == 0)
			continue;
		d->counters.admit_failures++;
		log_peer(LOG_LEVEL_WARNING,
		    "pinhole %u: its flow could not be created in conntrack: %s", d->admits[i].id,
		    error[i] == -ENOENT ? "the control connection is gone" : strerror(-error[i]));
		if (d->n_failed < FAILED_MAX)
			d->failed[d->n_failed++] = d->admits[i].id;
	}
	close_failed(d);
	commit_table(d);
}

/* All that has been decided on, where nothing is held that waits for it. */
static void commit(struct daemon *d)
{
	int error[ADMITS_MAX] = { 0 };

	commit_table(d);
	admit_all(d, error);
	settle_admits(d, error);
}

/* --- events from the kernel ---------------------------------------------------------------------
 */

static enum ph_service number_service(const struct daemon *d, uint16_t number)
{
	return (enum ph_service)((number - d->conf.queue_base) / 2);
}

static enum dir number_dir(const struct daemon *d, uint16_t number)
{
	return (number - d->conf.queue_base) % 2 ? DIR_REPLY : DIR_ORIGINAL;
}

/* All that is ever seen of this service are copies. */
static bool only_copied(enum ph_service svc)
{
	const struct tracker *t = tracker_of(svc);

	return t && t->one_way;
}

static void on_nat(struct daemon *d, const uint8_t *l3, size_t len)
{
	struct op op = { .kind = OP_REFUSE, .reason = REASON_NAT };
	struct packet pkt;

	d->counters.nat++;
	if (packet_decode(l3, len, &pkt) != PACKET_OK)
		return;
	op.flow = op.master = pkt.tuple;
	op.dport_hi = pkt.tuple.dport;
	op.service = policy_service_of(&d->conf.policy, pkt.tuple.dport);
	announce(d, &op);
}

static void on_copy(void *arg, uint16_t group, uint32_t iface, const uint8_t *l3, size_t len)
{
	struct daemon *d = arg;
	struct event ev = { .l3 = l3, .len = len, .iface = iface };

	if (group == d->conf.queue_base + PH_GROUP_NAT) {
		on_nat(d, l3, len);
		return;
	}
	if (group == d->conf.queue_base + PH_GROUP_FIRST) {
		ev.kind = EV_FIRST;
	} else if (group == d->conf.queue_base + PH_GROUP_END) {
		ev.kind = EV_END;
	} else {
		ev.service = number_service(d, group);
		ev.dir = number_dir(d, group);
		ev.kind = d->queue && !only_copied(ev.service) ? EV_COPY : EV_PACKET;
	}
	feed(d, &ev);
	/* Room is kept for what is held. */
	if (d->n_admits >= ADMITS_MAX - QUEUE_BURST)
		commit(d);
}

static void on_held(void *arg, uint16_t number, const uint8_t *l3, size_t len)
{
	struct daemon *d = arg;
	struct event ev = { .l3 = l3, .len = len };

	if (number == d->conf.queue_base + PH_QUEUE_FIRST) {
		ev.kind = EV_FIRST;
	} else {
		ev.kind = EV_PACKET;
		ev.service = number_service(d, number);
		ev.dir = number_dir(d, number);
	}
	feed(d, &ev);
}

static void schedule(struct daemon *d);

static int fail(struct daemon *d, const char *what, int err)
{
	log_line(LOG_LEVEL_ERROR, "%s: %s", what, strerror(-err));
	return sd_event_exit(d->event, err);
}

static void on_ct_entry(void *arg, const struct ct_entry *entry)
{
	struct daemon *d = arg;
	struct event ev = {
		.kind = entry->gone ? EV_CT_DESTROY : EV_CT_NEW,
		.tuple = entry->tuple,
		.mark_field = ph_mark_field(d->conf.mark_mask, entry->mark),
	};
	enum ph_service service;
	enum dir dir;

	/*
	 * An old entry of the same tuple may end (a port is used again) after its successor has
	 * been seen: then this is not the end of what the engine knows.
	 */
	if (entry->gone && (engine_match(d->engine, &entry->tuple, &service, &dir) <= MATCH_SHUT ||
			       ct_exists(d->ct, &entry->tuple)))
		return;
	feed(d, &ev);
}

static void on_alive(void *arg, const struct ct_entry *entry)
{
	struct daemon *d = arg;
	struct event ev = {
		.kind = EV_CT_ALIVE,
		.tuple = entry->tuple,
		.mark_field = ph_mark_field(d->conf.mark_mask, entry->mark),
	};

	feed(d, &ev);
}

/* Asks conntrack for all of our flows, and lets go of what is not there. */
static int resync(struct daemon *d)
{
	struct event begin = { .kind = EV_RESYNC }, end = { .kind = EV_RESYNCED };
	int err;

	d->counters.resyncs++;
	feed(d, &begin);
	err = ct_dump(d->ct, on_alive, d);
	if (err < 0)
		return err;
	feed(d, &end);
	commit_table(d);
	return 0;
}

static int read_conntrack(struct daemon *d)
{
	int err = ct_events(d->ct, on_ct_entry, d);

	if (err == -ENOBUFS) {
		log_peer(
		    LOG_LEVEL_WARNING, "conntrack events were lost; asking for all flows again");
		err = resync(d);
	}
	return err;
}

/*
 * What is in one socket may explain what is in another: a flow's conntrack event comes before the
 * copy of its FIN, and the copy of a SYN before the held packets of that session. So the sockets
 * are read from the youngest message to the oldest, and then processed the other way round. Without
 * copies, held packets do not wait for conntrack.
 */
static int read_told(struct daemon *d, bool conntrack)
{
	int copies, err = 0;

	do {
		copies = nflog_receive(d->log);
		if (copies == -ENOBUFS) { /* perhaps SYNs; what is left can still be read */
			d->counters.copies_lost++;
			log_peer(LOG_LEVEL_WARNING,
			    "packet copies were lost; asking conntrack for all flows");
			copies = resync(d);
			if (copies == 0)
				copies = NFLOG_BURST;
		}
		if (copies < 0)
			return fail(d, "cannot read packet copies (nfnetlink_log)", copies);
		if (copies || conntrack)
			err = read_conntrack(d);
		if (err < 0)
			return fail(d, "cannot follow conntrack (nf_conntrack_netlink)", err);
		nflog_show(d->log, on_copy, d);
	} while (copies == NFLOG_BURST);
	return 0;
}

/*
 * While packets are held, copies are read with each burst of them anyway, and being woken for every
 * FIN and every conntrack event would cost more than reading them: both sockets rest for a while.
 * So they do, but for a moment only, when there are many copies and nothing is held.
 */
static void rest(struct daemon *d, uint64_t ns)
{
	if (d->resting)
		return;
	d->resting = true;
	for (int i = 0; i < 2; i++)
		(void)sd_event_source_set_enabled(d->told[i], SD_EVENT_OFF);
	(void)sd_event_source_set_time_relative(d->rest, ns / 1000);
	(void)sd_event_source_set_enabled(d->rest, SD_EVENT_ONESHOT);
}

static int read_idle(struct daemon *d)
{
	int err = read_told(d, true);

	if (err < 0)
		return err;
	d->staged |= d->spent > 0;
	commit(d);
	schedule(d);
	return 0;
}

static int on_rest(sd_event_source *s, uint64_t usec, void *arg)
{
	struct daemon *d = arg;
	bool busy = d->busy;

	(void)s, (void)usec;
	d->resting = d->busy = false;
	if (busy) {
		rest(d, REST);
	} else {
		for (int i = 0; i < 2; i++)
			(void)sd_event_source_set_enabled(d->told[i], SD_EVENT_ON);
	}
	return read_idle(d);
}

static int on_told(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct daemon *d = arg;
	uint64_t now = engine_now();

	(void)s, (void)fd, (void)revents;
	if (d->queue && now - d->told_at < OFTEN)
		rest(d, SHORT_REST);
	d->told_at = now;
	return read_idle(d);
}

/* With `mark` conntrack's events are what binds flows: while a pinhole waits for one, they come
 * first. */
static bool bound_by_conntrack(const struct daemon *d)
{
	return table_admit(d->table) == ADMIT_MARK && engine_stats(d->engine)->open_pinholes > 0;
}

/*
 * Conntrack gets to know a flow when its first packet has passed everything. So what is held of
 * control sessions goes before flows are created that may have one of those for a master.
 */
static int release_held(struct daemon *d, int *error)
{
	int err = 0;

	if (d->n_admits)
		err = queue_release_but(d->queue, (uint16_t)(d->conf.queue_base + PH_QUEUE_FIRST));
	admit_all(d, error);
	return err < 0 ? err : queue_release(d->queue);
}

static int on_queue(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	int error[ADMITS_MAX] = { 0 };
	struct daemon *d = arg;
	int held, err;

	(void)s, (void)fd, (void)revents;
	do {
		held = queue_receive(d->queue);
		if (held < 0)
			return fail(d, "cannot read held packets (nfnetlink_queue)", held);
		err = read_told(d, bound_by_conntrack(d));
		if (err < 0)
			return err;
		queue_show(d->queue, on_held, d);
		commit_table(d);
		err = release_held(d, error);
		if (err < 0)
			return fail(d, "cannot let go held packets (nfnetlink_queue)", err);
		settle_admits(d, error);
	} while (held == QUEUE_BURST);
	d->busy = true;
	rest(d, REST);
	schedule(d);
	return 0;
}

/* --- the local rpcbind --------------------------------------------------------------------------
 */

static void tell_local(struct daemon *d, const struct rpcmap_snapshot *local)
{
	struct event ev = { .kind = EV_LOCAL_BEGIN };

	feed(d, &ev);
	for (unsigned int i = 0; i < local->n_addresses; i++) {
		ev = (struct event){ .kind = EV_LOCAL_ADDRESS };
		ev.tuple.dst = local->address[i];
		feed(d, &ev);
	}
	for (unsigned int i = 0; i < local->n_programs; i++) {
		const struct rpcmap_program *p = &local->program[i];

		ev = (struct event){
			.kind = EV_LOCAL_PROGRAM,
			.program = p->program,
			.version = p->version,
		};
		ev.tuple.dst.family = p->family;
		ev.tuple.dport = p->port;
		ev.tuple.l4proto = p->l4proto;
		feed(d, &ev);
	}
	ev = (struct event){ .kind = EV_LOCAL_END, .id = local->cut };
	feed(d, &ev);
}

static int on_rpcmap(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct daemon *d = arg;

	(void)s, (void)fd, (void)revents;
	if (!rpcmap_take(d->rpcmap, &d->local))
		return 0;
	/* An rpcbind that is away for a moment has not unregistered anything. */
	if (d->local.state == RPCMAP_ANSWERED)
		tell_local(d, &d->local);
	else
		log_line(LOG_LEVEL_NOTICE, "local rpcbind: %s", d->local.text);
	commit_table(d);
	schedule(d);
	return 0;
}

static int open_rpcmap(struct daemon *d)
{
	const struct service_policy *p = &d->conf.policy.service[PH_SVC_SUNRPC];
	int err;

	if (!p->enabled || !p->local_rpcbind)
		return 0;
	err = rpcmap_start(&d->rpcmap);
	if (err >= 0)
		err = sd_event_add_io(d->event, NULL, rpcmap_fd(d->rpcmap), EPOLLIN, on_rpcmap, d);
	if (err < 0)
		log_line(
		    LOG_LEVEL_ERROR, "cannot start asking the local rpcbind: %s", strerror(-err));
	return err;
}

/* NFS clients that were mounted before this daemon started count from now on. */
static int adopt(struct daemon *d)
{
	const struct service_policy *p = &d->conf.policy.service[PH_SVC_NFS];

	return p->enabled ? ct_adopt(d->ct, p->ports, p->n_ports, PH_SVC_NFS, on_alive, d) : 0;
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* The last words of a daemon that ends. */
static void save_all(struct daemon *d)
{
	int err = state_save(d->dir, d->engine);

	if (err < 0)
		log_peer(LOG_LEVEL_WARNING, "cannot save state: %s", strerror(-err));
}

/* Another portion, or the first. 1 while there are more. */
static int save_some(struct daemon *d)
{
	int err = 0;

	if (!d->saving) {
		d->dirty = false;
		d->save_took = 0;
		err = state_begin(&d->saving, d->dir, d->engine);
	}
	if (!err)
		err = state_continue(d->saving, d->engine, SAVE_ITEMS);
	if (err != 1)
		d->saving = NULL;
	if (err < 0) {
		d->counters.state_failures++;
		log_peer(LOG_LEVEL_WARNING, "cannot save state: %s", strerror(-err));
	}
	return err;
}

/* Nobody is silent whose words have come and were not read yet. */
static int on_tick(sd_event_source *s, uint64_t usec, void *arg)
{
	struct event ev = { .kind = EV_TICK };
	struct daemon *d = arg;
	int err;

	(void)s, (void)usec;
	err = read_told(d, true);
	if (err < 0)
		return err;
	feed(d, &ev);
	commit(d);
	schedule(d);
	return 0;
}

/* A timer that runs out sooner anyway is left alone: it then finds nothing to do, and looks again.
 */
static void arm(sd_event_source *s, uint64_t at)
{
	uint64_t usec = at / 1000, runs_out = 0;
	int on = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(s, &on);
	if (on != SD_EVENT_OFF && sd_event_source_get_time(s, &runs_out) >= 0 && runs_out <= usec)
		return;
	(void)sd_event_source_set_time(s, usec);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Moving a timer with every pinhole would cost a system call each. */
static void schedule(struct daemon *d)
{
	const struct engine_stats *stats = engine_stats(d->engine);
	uint64_t now = engine_now(), at = engine_deadline(d->engine);

	if (d->rpcmap)
		rpcmap_watch(d->rpcmap, stats->live_sessions > 0 || stats->live_pinholes > 0);
	if (at != DEADLINE_NEVER)
		arm(d->tick, at > now + TICK_LEAST ? at : now + TICK_LEAST);
	if (d->dirty && !d->saving)
		arm(d->save, d->save_not_before > now ? d->save_not_before : now + TICK_LEAST);
}

static int on_save(sd_event_source *s, uint64_t usec, void *arg)
{
	struct daemon *d = arg;
	uint64_t began = engine_now(), now;
	int more;

	(void)s, (void)usec;
	more = save_some(d);
	now = engine_now();
	d->save_took += now - began;
	if (more == 1) {
		arm(d->save, now + SAVE_PAUSE);
		return 0;
	}
	/* A large state is saved less often: 2 % of the time at most. */
	d->save_not_before =
	    now + (50 * d->save_took > NSEC_PER_SEC ? 50 * d->save_took : NSEC_PER_SEC);
	schedule(d);
	return 0;
}

/* --- configuration ------------------------------------------------------------------------------
 */

static struct table_setup table_setup_of(const struct config *conf)
{
	return (struct table_setup){
		.policy = conf->policy,
		.mark_mask = conf->mark_mask,
		.queue_base = conf->queue_base,
		.passive = conf->passive,
	};
}

static int reload(struct daemon *d)
{
	const char *path = d->options.conf_path ? d->options.conf_path : PH_CONF_FILE;
	char error[CONF_ERROR];
	struct table_setup setup;
	struct config conf;
	int err;

	err = conf_load(path, &conf, error, sizeof(error));
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR, "%s; the old configuration stays in force", error);
		return err;
	}
	if (conf.mark_mask != d->conf.mark_mask || conf.queue_base != d->conf.queue_base ||
	    conf.passive != d->conf.passive || conf.policy.admit != d->conf.policy.admit) {
		log_line(LOG_LEVEL_WARNING,
		    "%s: admit, capture, mark-mask and queue-base change with a restart only; the "
		    "old configuration stays in force",
		    path);
		return -EINVAL;
	}
	setup = table_setup_of(&conf);
	err = table_reconfigure(d->table, &setup);
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR,
		    "the kernel refused the new rules: %s; the old "
		    "configuration stays in force",
		    strerror(-err));
		return err;
	}
	d->conf = conf;
	engine_set_policy(d->engine, &conf.policy);
	if (adopt(d) < 0)
		log_line(LOG_LEVEL_WARNING, "NFS connections from before could not be looked up");
	log_line(LOG_LEVEL_NOTICE, "%s: new configuration in force", path);
	return 0;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
	struct daemon *d = arg;

	(void)s, (void)si;
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)(clock_ns(CLOCK_MONOTONIC) / 1000));
	(void)reload(d);
	(void)sd_notify(0, "READY=1");
	return 0;
}

/* --- what the control socket asks for ------------------------------------------------------------
 */

/* Who asks is told of everything that has happened, and finds it so in the kernel. */
static void host_refresh(void *arg)
{
	(void)read_idle(arg);
}

static const struct engine *host_engine(void *arg)
{
	const struct daemon *d = arg;

	return d->engine;
}

static uint64_t host_now(void *arg)
{
	(void)arg;
	return engine_now();
}

static const char *local_word(const struct daemon *d)
{
	return d->rpcmap ? rpcmap_word(d->local.state) : "not asked";
}

static json_t *local_json(const struct daemon *d, const struct local_program *l)
{
	const struct policy *policy = engine_policy(d->engine);
	const struct addr none = { .family = FAMILY_NONE };
	const char *name = policy_program_name(l->program);
	enum reason why = policy_program_allowed(policy, PH_SVC_SUNRPC, l->program)
			      ? policy_judge(policy, PH_SVC_SUNRPC, l->port, &none, &none)
			      : REASON_PROGRAM;

	return json_pack("{s:I,s:s?,s:i,s:s,s:i,s:i,s:b,s:s?}", "program", (json_int_t)l->program,
	    "program_name", name, "version", (int)l->version, "proto",
	    l->l4proto == L4_TCP ? "tcp" : "udp", "family", (int)l->family, "port", (int)l->port,
	    "allowed", why == REASON_ANNOUNCED, "reason",
	    why == REASON_ANNOUNCED ? NULL : reason_word(why));
}

static void host_rpc(void *arg, json_t *items)
{
	const struct daemon *d = arg;
	const struct local_program *l;

	json_array_append_new(
	    items, json_pack("{s:s,s:s}", "rpcbind", local_word(d), "error", d->local.text));
	for (unsigned int i = 0; (l = engine_local_program(d->engine, i)); i++)
		json_array_append_new(items, local_json(d, l));
}

static int host_close(void *arg, uint32_t id)
{
	struct daemon *d = arg;
	struct event ev = { .kind = EV_CLOSE, .id = id, .reason = REASON_OPERATOR };

	if (!engine_pinhole(d->engine, id))
		return -ENOENT;
	feed(d, &ev);
	commit_table(d);
	schedule(d);
	return 0;
}

static int host_hits(void *arg, const struct pinhole *p, uint64_t *packets)
{
	struct daemon *d = arg;

	return table_hits(d->table, p, packets);
}

static void host_stats(void *arg, json_t *stats)
{
	const struct daemon *d = arg;
	const struct counters *c = &d->counters;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "commits", c->commits },
		{ "commit_failures", c->commit_failures },
		{ "admit_failures", c->admit_failures },
		{ "resyncs", c->resyncs },
		{ "copies_lost", c->copies_lost },
		{ "nat_sessions", c->nat },
		{ "state_failures", c->state_failures },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(
		    stats, numbers[i].name, json_integer((json_int_t)numbers[i].value));
}

static void host_status(void *arg, json_t *status)
{
	const struct daemon *d = arg;
	char mask[16];

	(void)snprintf(mask, sizeof(mask), "0x%08x", d->conf.mark_mask);
	json_object_set_new(status, "admit",
	    json_string(table_admit(d->table) == ADMIT_RELATED ? "related" : "mark"));
	json_object_set_new(status, "capture", json_string(capture_word(table_capture(d->table))));
	json_object_set_new(status, "mark_mask", json_string(mask));
	json_object_set_new(status, "queue_base", json_integer(d->conf.queue_base));
	json_object_set_new(status, "table_owned", json_boolean(table_owned(d->table)));
	json_object_set_new(status, "one_shot", json_boolean(table_one_shot(d->table)));
	json_object_set_new(status, "confined", json_boolean(d->confined));
	json_object_set_new(status, "local_rpcbind", json_string(local_word(d)));
}

/* --- start and end -------------------------------------------------------------------------------
 */

static int open_capture(struct daemon *d)
{
	const unsigned int base = d->conf.queue_base;
	int err = nflog_open(&d->log);

	for (unsigned int i = 0; err == 0 && i < PH_GROUP_SPAN; i++)
		err = nflog_bind(d->log, (uint16_t)(base + i), CONTROL_RANGE);
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR, "NFLOG groups %u-%u: %s%s", base,
		    base + PH_GROUP_SPAN - 1, strerror(-err),
		    err == -EBUSY || err == -EPERM
			? " (another pinholed in this network namespace?)"
			: " (kernel has no nfnetlink_log?)");
		return err;
	}
	if (d->conf.passive)
		return 0;
	err = queue_open(&d->queue);
	for (unsigned int i = 0; err == 0 && i < PH_QUEUE_SPAN; i++)
		err = queue_bind(d->queue, (uint16_t)(base + i),
		    i == PH_QUEUE_FIRST ? FIRST_RANGE : CONTROL_RANGE);
	if (err == -EPERM || err == -EBUSY)
		log_line(LOG_LEVEL_ERROR,
		    "queues %u-%u: another process has them (another pinholed in this network "
		    "namespace?)",
		    base, base + PH_QUEUE_SPAN - 1);
	else if (err < 0) {
		log_line(LOG_LEVEL_WARNING, "no packet queue: %s", strerror(-err));
		queue_close(d->queue);
		d->queue = NULL;
		d->conf.passive = true;
		err = 0;
	}
	return err;
}

static int open_table(struct daemon *d)
{
	struct table_setup setup = table_setup_of(&d->conf);
	int err = table_create(&d->table, &setup);

	if (err == -EBUSY)
		log_line(LOG_LEVEL_ERROR,
		    "another pinholed already runs in this network namespace: "
		    "table inet " PH_TABLE " has an owner");
	else if (err < 0)
		log_line(LOG_LEVEL_ERROR, "cannot create table inet " PH_TABLE ": %s%s",
		    strerror(-err),
		    err == -ENOENT || err == -EOPNOTSUPP
			? " (kernel has no nf_tables, or not all of it)"
			: "");
	if (err < 0)
		return err;
	if (!table_owned(d->table))
		log_line(LOG_LEVEL_WARNING,
		    "this kernel has no owned tables (before 5.12): pinholes close by their "
		    "timeouts, not at once, if pinholed is killed, and a flush removes the table");
	if (table_capture(d->table) == CAPTURE_PASSIVE) {
		log_line(LOG_LEVEL_WARNING,
		    "PASSIVE capture: control packets cannot be held, so a fast client may be "
		    "faster than its pinhole; and admit = mark is in force, so the firewall needs "
		    "a rule that accepts our mark");
		queue_close(d->queue);
		d->queue = NULL;
	}
	if (table_admit(d->table) == ADMIT_MARK) /* this is how a flow is known to have come */
		err = ct_report_new(d->ct);
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR, "cannot follow conntrack: %s", strerror(-err));
		return err;
	}
	if (table_admit(d->table) == ADMIT_MARK && !table_one_shot(d->table))
		log_line(LOG_LEVEL_WARNING,
		    "this kernel cannot limit a set element to one packet: a second connection may "
		    "use a pinhole until the first one is reported");
	d->conf.policy.admit = table_admit(d->table);
	return 0;
}

static int restore(struct daemon *d)
{
	unsigned int claims = 0;
	int err = state_load(d->dir, d->engine, engine_now(), &claims);

	if (err < 0 && err != -ENOENT)
		log_line(
		    LOG_LEVEL_WARNING, "saved state: %s; asking conntrack alone", strerror(-err));
	err = adopt(d);
	if (err == 0)
		err = resync(d);
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR,
		    "cannot ask conntrack: %s (kernel has no nf_conntrack_netlink?)",
		    strerror(-err));
		return err;
	}
	if (claims)
		log_line(LOG_LEVEL_NOTICE, "%u sessions and %u pinholes go on from before",
		    engine_stats(d->engine)->live_sessions, engine_stats(d->engine)->live_pinholes);
	return 0;
}

/* One process a directory, whichever network namespace it works in. */
static int open_directory(struct daemon *d)
{
	const char *path = d->options.runtime_dir;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		goto broken;
	d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir < 0)
		goto broken;
	if (flock(d->dir, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK) {
		log_line(LOG_LEVEL_ERROR,
		    "%s: another pinholed uses this directory (-r names another one)", path);
		return -EBUSY;
	}
broken:
	log_line(LOG_LEVEL_ERROR, "%s: %s", path, strerror(errno));
	return -errno;
}

static int open_loop(struct daemon *d)
{
	int err = sd_event_add_io(d->event, &d->told[0], ct_event_fd(d->ct), EPOLLIN, on_told, d);

	if (err >= 0)
		err = sd_event_add_io(d->event, &d->told[1], nflog_fd(d->log), EPOLLIN, on_told, d);
	if (err >= 0 && d->queue)
		err = sd_event_add_io(d->event, NULL, queue_fd(d->queue), EPOLLIN, on_queue, d);
	if (err >= 0)
		err = sd_event_add_time(d->event, &d->rest, CLOCK_BOOTTIME, 0, 1000, on_rest, d);
	if (err >= 0)
		err = sd_event_source_set_enabled(d->rest, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_time(d->event, &d->tick, CLOCK_BOOTTIME, 0, 10000, on_tick, d);
	if (err >= 0)
		err = sd_event_source_set_enabled(d->tick, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_time(d->event, &d->save, CLOCK_BOOTTIME, 0, 1000, on_save, d);
	if (err >= 0)
		err = sd_event_source_set_enabled(d->save, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	if (err >= 0)
		err = sd_event_set_watchdog(d->event, true);
	return err < 0 ? err : 0;
}

static int block_signals(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* Others wait for what it holds. Where it may not, a unit's Nice= has seen to it. */
static void hurry(void)
{
	(void)setpriority(PRIO_PROCESS, 0, NICE);
}

static int check_privileges(void)
{
	if (privs_net_admin()) {
		hurry();
		return 0;
	}
	log_line(
	    LOG_LEVEL_ERROR, "pinholed needs CAP_NET_ADMIN: start it as root or from its unit");
	return -EPERM;
}

static int open_conntrack(struct daemon *d)
{
	int err = ct_open(&d->ct, d->conf.mark_mask);

	if (err < 0) {
		log_line(LOG_LEVEL_ERROR,
		    "cannot reach conntrack: %s (kernel has no nf_conntrack_netlink?)",
		    strerror(-err));
		return err;
	}
	(void)ct_event_buffer(d->ct, (int)d->conf.event_buffer);
	return 0;
}

static int open_engine(struct daemon *d)
{
	uint8_t key[HASH_KEY_LEN];

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return -EIO;
	d->engine = engine_new(&d->conf.policy, key);
	return d->engine ? 0 : -ENOMEM;
}

static int open_control(struct daemon *d)
{
	const struct ctl_host host = {
		.refresh = host_refresh,
		.engine = host_engine,
		.now = host_now,
		.close = host_close,
		.hits = host_hits,
		.stats = host_stats,
		.status = host_status,
		.rpc = host_rpc,
		.arg = d,
	};
	int err = ctl_open(&d->ctl, d->event, d->options.runtime_dir, &host);

	if (err < 0)
		log_line(LOG_LEVEL_ERROR, "%s/%s: %s", d->options.runtime_dir, PH_CTL_SOCKET,
		    strerror(-err));
	return err;
}

int daemon_start(
    struct daemon **out, const struct daemon_options *options, const struct config *conf)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int err;

	*out = d;
	if (!d)
		return -ENOMEM;
	d->options = *options;
	d->conf = *conf;
	d->dir = -1;
	if ((err = check_privileges()) < 0 || (err = block_signals()) < 0 ||
	    (err = open_directory(d)) < 0 || (err = open_conntrack(d)) < 0 ||
	    (err = open_capture(d)) < 0 || (err = open_table(d)) < 0 ||
	    (err = open_engine(d)) < 0 || (err = sd_event_default(&d->event)) < 0 ||
	    (err = open_control(d)) < 0 || (err = restore(d)) < 0 || (err = open_loop(d)) < 0)
		return err;
	err = privs_drop(options->runtime_dir, &d->confined);
	if (err < 0) {
		log_line(LOG_LEVEL_ERROR, "cannot drop privileges: %s", strerror(-err));
		return err;
	}
	err = open_rpcmap(d);
	if (err < 0)
		return err;
	if (!d->confined)
		log_line(LOG_LEVEL_NOTICE,
		    "this kernel has no Landlock: files are protected by the "
		    "unit's own settings only");
	return 0;
}

int daemon_run(struct daemon *d)
{
	log_line(LOG_LEVEL_NOTICE, "ready: admit %s, capture %s",
	    table_admit(d->table) == ADMIT_RELATED ? "related" : "mark",
	    capture_word(table_capture(d->table)));
	schedule(d);
	(void)sd_notify(0, "READY=1");
	return sd_event_loop(d->event);
}

void daemon_stop(struct daemon *d)
{
	if (!d)
		return;
	state_abandon(d->saving);
	if (d->engine && d->dir >= 0 && d->table)
		save_all(d);
	rpcmap_stop(d->rpcmap);
	ctl_close(d->ctl);
	if (d->table)
		table_destroy(d->table);
	queue_close(d->queue);
	nflog_close(d->log);
	if (d->ct)
		ct_close(d->ct);
	engine_free(d->engine);
	sd_event_source_unref(d->tick);
	sd_event_source_unref(d->save);
	sd_event_source_unref(d->rest);
	sd_event_source_unref(d->told[0]);
	sd_event_source_unref(d->told[1]);
	sd_event_unref(d->event);
	if (d->dir >= 0)
		(void)close(d->dir);
	free(d);
}
