// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A peer is a line buffer in, a bounded buffer out, and at most one answer under way. An answer
 * of many items is a list of ids, of which the next few are formatted whenever the socket has taken
 * the ones before: what has closed meanwhile is left out, and nothing is ever formatted in advance.
 */
#include "ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>
#include "describe.h"
#include "pinhole/ctl.h"

#define PEERS_MAX      64
#define OUT_ROOM       (32 * 1024)  /* unsent bytes beyond which no more items are formatted */
#define WATCH_ROOM     (256 * 1024) /* unsent bytes beyond which events are lost */
#define ITEMS_PER_TURN 32           /* of one peer, before the loop looks elsewhere */

enum answer { ANSWER_NONE, ANSWER_PINHOLES, ANSWER_SESSIONS, ANSWER_WATCH };

struct peer {
	struct ctl *ctl;
	struct peer *prev, *next;
	sd_event_source *source;
	int fd;
	uint32_t events; /* what the source waits for */
	bool root;
	bool eof;    /* it has said all it wants to say */
	bool broken; /* to be dropped at the end of its dispatch */
	enum answer answer;
	uint32_t *ids; /* ANSWER_PINHOLES, ANSWER_SESSIONS: what to tell of */
	size_t n_ids, next_id;
	uint64_t lost; /* ANSWER_WATCH: events since the buffer was full */
	char *out;     /* unsent bytes are out[sent] to out[filled] */
	size_t sent, filled, room;
	size_t in_len;
	char in[PH_CTL_LINE];
};

struct ctl {
	struct ctl_host host;
	sd_event_source *source;
	struct peer *peers;
	unsigned int n_peers, n_watchers;
	int fd;
	struct sockaddr_un address;
};

/* --- output -------------------------------------------------------------------------------- */

static size_t unsent(const struct peer *c)
{
	return c->filled - c->sent;
}

static void append(struct peer *c, const char *bytes, size_t len)
{
	if (c->sent && c->filled + len > c->room) {
		memmove(c->out, c->out + c->sent, unsent(c));
		c->filled -= c->sent;
		c->sent = 0;
	}
	if (c->filled + len > c->room) {
		size_t room = c->room ? c->room : 4096;
		char *out;

		while (room < c->filled + len)
			room *= 2;
		out = realloc(c->out, room);
		if (!out) {
			c->broken = true;
			return;
		}
		c->out = out;
		c->room = room;
	}
	memcpy(c->out + c->filled, bytes, len);
	c->filled += len;
}

/* A line; NULL (no memory) ends the peer. Steals item. */
static void append_json(struct peer *c, json_t *item)
{
	char *text = item ? json_dumps(item, DESCRIBE_JSON) : NULL;

	if (text) {
		append(c, text, strlen(text));
		append(c, "\n", 1);
	} else {
		c->broken = true;
	}
	free(text);
	json_decref(item);
}

static void answer_ok(struct peer *c)
{
	append_json(c, json_pack("{sb}", "ok", 1));
}

__attribute__((format(printf, 2, 3))) static void answer_no(struct peer *c, const char *fmt, ...)
{
	json_t *error;
	va_list ap;

	va_start(ap, fmt);
	error = json_vsprintf(fmt, ap);
	va_end(ap);
	append_json(c, json_pack("{sbso}", "ok", 0, "error", error));
}

static void flush(struct peer *c)
{
	while (unsent(c)) {
		ssize_t n = send(c->fd, c->out + c->sent, unsent(c), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = c->broken || (errno != EAGAIN && errno != EWOULDBLOCK);
			return;
		}
		c->sent += (size_t)n;
	}
	c->sent = 0;
	c->filled = 0;
	if (c->room > OUT_ROOM) {
		free(c->out);
		c->out = NULL;
		c->room = 0;
	}
}

/* --- items --------------------------------------------------------------------------------- */

static uint64_t wall_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static const struct engine *the_engine(const struct ctl *ctl)
{
	return ctl->host.engine(ctl->host.arg);
}

static struct describe_clock this_moment(const struct ctl *ctl)
{
	return (struct describe_clock){ .now = ctl->host.now(ctl->host.arg), .wall = wall_clock() };
}

static void append_pinhole(struct peer *c, const struct pinhole *p)
{
	const struct ctl_host *host = &c->ctl->host;
	struct describe_clock clock = this_moment(c->ctl);
	uint64_t packets = 0;
	bool known = host->hits && host->hits(host->arg, p, &packets) == 0;

	append_json(c, describe_pinhole(p, engine_session(the_engine(c->ctl), p->session_id),
			   &clock, known ? &packets : NULL));
}

static void append_session(struct peer *c, const struct session *s)
{
	struct describe_clock clock = this_moment(c->ctl);

	append_json(c, describe_session(s, &clock));
}

static bool append_item(struct peer *c, uint32_t id)
{
	const struct engine *e = the_engine(c->ctl);
	const struct pinhole *p;
	const struct session *s;

	if (c->answer == ANSWER_PINHOLES) {
		p = engine_pinhole(e, id);
		if (p)
			append_pinhole(c, p);
		return p;
	}
	s = engine_session(e, id);
	if (s)
		append_session(c, s);
	return s;
}

static void end_answer(struct peer *c)
{
	free(c->ids);
	c->ids = NULL;
	c->n_ids = 0;
	c->next_id = 0;
	c->answer = ANSWER_NONE;
	answer_ok(c);
}

/* Formats what fits into the buffer and into this turn. */
static void continue_answer(struct peer *c)
{
	unsigned int turn = 0;

	while (c->next_id < c->n_ids && turn < ITEMS_PER_TURN && unsent(c) < OUT_ROOM && !c->broken)
		turn += append_item(c, c->ids[c->next_id++]);
	if (c->next_id == c->n_ids)
		end_answer(c);
}

/* --- requests ------------------------------------------------------------------------------ */

/* A positive integer of the request; complains when it is missing or none. */
static bool want_number(
    struct peer *c, const json_t *request, const char *key, uint32_t max, uint32_t *out)
{
	json_t *value = json_object_get(request, key);
	json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;

	if (number < 1 || number > max) {
		answer_no(c, "\"%s\" has to be a number from 1 to %u", key, max);
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

static const struct pinhole *want_pinhole(struct peer *c, const json_t *request)
{
	const struct pinhole *p;
	uint32_t id;

	if (!want_number(c, request, "id", UINT32_MAX, &id))
		return NULL;
	p = engine_pinhole(the_engine(c->ctl), id);
	if (!p)
		answer_no(c, "no pinhole has the id %u", id);
	return p;
}

static bool room_for_ids(struct peer *c, size_t n)
{
	c->ids = n ? malloc(n * sizeof(*c->ids)) : NULL;
	if (n && !c->ids) {
		answer_no(c, "out of memory");
		return false;
	}
	return true;
}

static void do_list(struct peer *c, const json_t *request)
{
	const struct engine *e = the_engine(c->ctl);
	size_t n = 0;

	(void)request;
	for (const struct pinhole *p = engine_first_pinhole(e); p; p = engine_next_pinhole(p))
		n++;
	if (!room_for_ids(c, n))
		return;
	for (const struct pinhole *p = engine_first_pinhole(e); c->n_ids < n;
	     p = engine_next_pinhole(p))
		c->ids[c->n_ids++] = p->id;
	c->answer = ANSWER_PINHOLES;
}

static void do_sessions(struct peer *c, const json_t *request)
{
	const struct engine *e = the_engine(c->ctl);
	size_t n = 0;

	(void)request;
	for (const struct session *s = engine_first_session(e); s; s = engine_next_session(s))
		n++;
	if (!room_for_ids(c, n))
		return;
	for (const struct session *s = engine_first_session(e); c->n_ids < n;
	     s = engine_next_session(s))
		c->ids[c->n_ids++] = s->id;
	c->answer = ANSWER_SESSIONS;
}

static void do_show(struct peer *c, const json_t *request)
{
	const struct pinhole *p = want_pinhole(c, request);
	const struct session *s;

	if (!p)
		return;
	s = engine_session(the_engine(c->ctl), p->session_id);
	append_pinhole(c, p);
	if (s)
		append_session(c, s);
	answer_ok(c);
}

static bool leads_to(const struct pinhole *p, const struct addr *dst, uint32_t port)
{
	return addr_equal(&p->flow.dst, dst) && port >= p->flow.dport &&
	       port <= (p->dport_hi > p->flow.dport ? p->dport_hi : p->flow.dport);
}

static void do_why(struct peer *c, const json_t *request)
{
	const struct engine *e = the_engine(c->ctl);
	const char *text = json_string_value(json_object_get(request, "addr"));
	const struct pinhole *p;
	size_t n = 0;
	struct addr dst;
	uint32_t port;

	if (!text) {
		p = want_pinhole(c, request);
		if (p) {
			append_pinhole(c, p);
			answer_ok(c);
		}
		return;
	}
	if (!addr_parse(text, strlen(text), &dst)) {
		answer_no(c, "\"addr\" has to be an IPv4 or IPv6 address");
		return;
	}
	if (!want_number(c, request, "port", UINT16_MAX, &port))
		return;
	for (p = engine_first_pinhole(e); p; p = engine_next_pinhole(p))
		n += leads_to(p, &dst, port);
	if (!n) {
		answer_no(c, "no pinhole leads to %s port %u", text, port);
		return;
	}
	if (!room_for_ids(c, n))
		return;
	for (p = engine_first_pinhole(e); p; p = engine_next_pinhole(p))
		if (leads_to(p, &dst, port))
			c->ids[c->n_ids++] = p->id;
	c->answer = ANSWER_PINHOLES;
}

static void do_stats(struct peer *c, const json_t *request)
{
	const struct engine_stats *s = engine_stats(the_engine(c->ctl));
	json_t *stats, *reasons = json_object(), *services = json_object();

	(void)request;
	for (int r = REASON_NONE + 1; r < REASON_MAX; r++)
		(void)json_object_set_new(
		    reasons, reason_word((enum reason)r), json_integer((json_int_t)s->reasons[r]));
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (tracker_of((enum ph_service)svc))
			(void)json_object_set_new(services, service_word((enum ph_service)svc),
			    json_integer((json_int_t)s->service_opened[svc]));
	stats = json_pack("{sI sI sI sI sI sI sI sI so so}", "packets", (json_int_t)s->packets,
	    "firsts", (json_int_t)s->firsts, "sessions", (json_int_t)s->sessions, "opened",
	    (json_int_t)s->opened, "bound", (json_int_t)s->bound, "live_sessions",
	    (json_int_t)s->live_sessions, "live_pinholes", (json_int_t)s->live_pinholes,
	    "open_pinholes", (json_int_t)s->open_pinholes, "services", services, "reasons",
	    reasons);
	if (stats && c->ctl->host.stats)
		c->ctl->host.stats(c->ctl->host.arg, stats);
	append_json(c, stats);
	answer_ok(c);
}

static void do_watch(struct peer *c, const json_t *request)
{
	(void)request;
	c->answer = ANSWER_WATCH;
	c->ctl->n_watchers++;
}

static void do_close(struct peer *c, const json_t *request)
{
	const struct ctl_host *host = &c->ctl->host;
	uint32_t id;
	int ret;

	if (!c->root) {
		answer_no(c, "only root may close a pinhole");
		return;
	}
	if (!want_number(c, request, "id", UINT32_MAX, &id))
		return;
	ret = host->close(host->arg, id);
	if (ret == -ENOENT)
		answer_no(c, "no pinhole has the id %u", id);
	else if (ret < 0)
		answer_no(c, "cannot close pinhole %u: %s", id, strerror(-ret));
	else
		answer_ok(c);
}

static void do_status(struct peer *c, const json_t *request)
{
	const struct ctl_host *host = &c->ctl->host;
	json_t *status = json_pack("{ss sI sI}", "version", PH_VERSION, "pid", (json_int_t)getpid(),
	    "watchers", (json_int_t)c->ctl->n_watchers);

	(void)request;
	if (status && host->status)
		host->status(host->arg, status);
	append_json(c, status);
	answer_ok(c);
}

static void do_rpc(struct peer *c, const json_t *request)
{
	const struct ctl_host *host = &c->ctl->host;
	json_t *items = json_array(), *item;
	size_t i;

	(void)request;
	if (items && host->rpc)
		host->rpc(host->arg, items);
	json_array_foreach(items, i, item) append_json(c, json_incref(item));
	json_decref(items);
	answer_ok(c);
}

static const struct command {
	const char *name;
	void (*run)(struct peer *c, const json_t *request);
} commands[] = {
	{ "list", do_list },
	{ "sessions", do_sessions },
	{ "show", do_show },
	{ "why", do_why },
	{ "stats", do_stats },
	{ "watch", do_watch },
	{ "close", do_close },
	{ "status", do_status },
	{ "rpc", do_rpc },
};

static void request(struct peer *c, const char *line, size_t len)
{
	const struct ctl_host *host = &c->ctl->host;
	json_error_t error;
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *cmd = json_string_value(json_object_get(object, "cmd"));

	if (!object) {
		answer_no(c, "not JSON: %s", error.text);
	} else if (!cmd) {
		answer_no(c, "an object with \"cmd\" is expected");
	} else {
		const struct command *found = NULL;

		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(commands[i].name, cmd) == 0)
				found = &commands[i];
		if (found && host->refresh)
			host->refresh(host->arg);
		if (found)
			found->run(c, object);
		else
			answer_no(c, "no such command");
	}
	json_decref(object);
}

/* Takes one line from the input and obeys it. False when there is none. */
static bool next_request(struct peer *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	size_t len;

	if (!end) {
		if (c->in_len == sizeof(c->in)) {
			answer_no(c, "a request is a line of at most %d bytes", PH_CTL_LINE);
			flush(c);
			c->broken = true;
		}
		return false;
	}
	len = (size_t)(end - c->in);
	request(c, c->in, len);
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	return true;
}

/* --- peers --------------------------------------------------------------------------------- */

static void peer_free(struct peer *c)
{
	struct ctl *ctl = c->ctl;

	DL_DELETE(ctl->peers, c);
	ctl->n_peers--;
	ctl->n_watchers -= c->answer == ANSWER_WATCH;
	sd_event_source_disable_unref(c->source);
	(void)close(c->fd);
	free(c->ids);
	free(c->out);
	free(c);
}

static void wait_for(struct peer *c, uint32_t events)
{
	if (events == c->events)
		return;
	if (sd_event_source_set_io_events(c->source, events) < 0)
		c->broken = true;
	else
		c->events = events;
}

static void read_requests(struct peer *c)
{
	ssize_t n;

	if (c->eof || c->in_len == sizeof(c->in))
		return;
	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n > 0)
		c->in_len += (size_t)n;
	else if (n == 0)
		c->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		c->broken = true;
}

/* One turn: a request or some items, and as much output as the socket takes. */
static void peer_turn(struct peer *c)
{
	bool busy = false;

	if (c->answer == ANSWER_NONE && unsent(c) < OUT_ROOM)
		busy = next_request(c);
	if ((c->answer == ANSWER_PINHOLES || c->answer == ANSWER_SESSIONS) && !c->broken)
		continue_answer(c);
	flush(c);
	if (c->lost && unsent(c) < WATCH_ROOM / 2) {
		append_json(c, json_pack("{sI}", "lost", (json_int_t)c->lost));
		c->lost = 0;
		flush(c);
	}
	/* Half-closed peers (a pipe into nc) still get their answer. */
	if (c->eof && !busy && c->answer == ANSWER_NONE && !unsent(c))
		c->broken = true;
	busy = busy || c->answer == ANSWER_PINHOLES || c->answer == ANSWER_SESSIONS;
	wait_for(c, (uint32_t)(unsent(c) || busy ? EPOLLOUT : 0) |
			(uint32_t)(c->answer == ANSWER_NONE && !c->eof && !busy ? EPOLLIN : 0));
}

static int on_peer(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct peer *c = arg;

	(void)source;
	(void)fd;
	if (revents & EPOLLIN)
		read_requests(c);
	peer_turn(c);
	/* Nobody is there any more; a half-closed peer does not show this. */
	if (revents & (EPOLLHUP | EPOLLERR))
		c->broken = true;
	if (c->broken)
		peer_free(c);
	return 0;
}

static int peer_new(struct ctl *ctl, int fd)
{
	struct peer *c = calloc(1, sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int ret;

	if (!c)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		ret = -errno;
		goto out;
	}
	c->ctl = ctl;
	c->fd = fd;
	c->root = cred.uid == 0;
	c->events = EPOLLIN;
	ret = sd_event_add_io(
	    sd_event_source_get_event(ctl->source), &c->source, fd, EPOLLIN, on_peer, c);
	if (ret < 0)
		goto out;
	DL_APPEND(ctl->peers, c);
	ctl->n_peers++;
	c = NULL;
	ret = 0;
out:
	free(c);
	return ret;
}

static int on_connect(sd_event_source *source, int listener, uint32_t revents, void *arg)
{
	static const char full[] = "{\"ok\":false,\"error\":\"too many clients\"}\n";
	struct ctl *ctl = arg;
	int fd;

	(void)source;
	(void)revents;
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return 0; /* the peer has gone, or descriptors are out: the rate limit slows us */
	if (ctl->n_peers >= PEERS_MAX)
		(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (peer_new(ctl, fd) == 0)
		return 0;
	(void)close(fd);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------- */

/* Makes way for our socket: removes one that nobody listens on. */
static int make_way(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		ret = -EADDRINUSE;
	else if (errno == ECONNREFUSED)
		ret = unlink(address->sun_path) < 0 ? -errno : 0;
	else if (errno != ENOENT)
		ret = -errno;
	(void)close(fd);
	return ret;
}

static int listen_at(struct ctl *ctl, const char *dir)
{
	struct sockaddr_un *a = &ctl->address;
	int n, ret;

	a->sun_family = AF_UNIX;
	n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, PH_CTL_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(a->sun_path)) {
		a->sun_path[0] = '\0';
		return -ENAMETOOLONG;
	}
	if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
		ret = -errno;
		goto fail;
	}
	ret = make_way(a);
	if (ret < 0)
		goto fail;
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The name appears with the socket's mode less the umask: never wider than it will be. */
	if (ctl->fd < 0 || fchmod(ctl->fd, 0660) < 0 ||
	    bind(ctl->fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		ret = -errno;
		goto fail;
	}
	if (chmod(a->sun_path, 0660) < 0 || listen(ctl->fd, PEERS_MAX) < 0)
		return -errno;
	return 0;
fail:
	a->sun_path[0] = '\0'; /* not ours to remove */
	return ret;
}

int ctl_open(struct ctl **out, sd_event *ev, const char *dir, const struct ctl_host *host)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int ret;

	if (!ctl)
		return -ENOMEM;
	ctl->fd = -1;
	ctl->host = *host;
	ret = listen_at(ctl, dir);
	if (ret < 0)
		goto out;
	ret = sd_event_add_io(ev, &ctl->source, ctl->fd, EPOLLIN, on_connect, ctl);
	if (ret < 0)
		goto out;
	/* One connection a dispatch; without descriptors accept4() would fail in a tight loop. */
	ret = sd_event_source_set_ratelimit(ctl->source, 100000, 100);
	if (ret < 0)
		goto out;
	*out = ctl;
	ctl = NULL;
out:
	ctl_close(ctl);
	return ret;
}

void ctl_close(struct ctl *ctl)
{
	struct peer *c, *next;

	if (!ctl)
		return;
	DL_FOREACH_SAFE (ctl->peers, c, next)
		peer_free(c);
	sd_event_source_disable_unref(ctl->source);
	if (ctl->fd >= 0)
		(void)close(ctl->fd);
	if (ctl->address.sun_path[0])
		(void)unlink(ctl->address.sun_path);
	free(ctl);
}

bool ctl_watched(const struct ctl *ctl)
{
	return ctl->n_watchers > 0;
}

void ctl_publish(struct ctl *ctl, const struct op *op)
{
	json_t *event = NULL;
	char *text = NULL;
	struct peer *c;
	size_t len;

	if (!ctl_watched(ctl) || !describe_event_word(op))
		return;
	event = describe_event(op, wall_clock(), 0);
	text = event ? json_dumps(event, DESCRIBE_JSON) : NULL;
	len = text ? strlen(text) : 0;
	DL_FOREACH (ctl->peers, c) {
		if (c->answer != ANSWER_WATCH)
			continue;
		/* Once something is lost nothing follows before the notice of it. */
		if (!text || c->lost || unsent(c) + len >= WATCH_ROOM) {
			c->lost++;
		} else {
			append(c, text, len);
			append(c, "\n", 1);
		}
		wait_for(c, EPOLLOUT);
	}
	free(text);
	json_decref(event);
}
