// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state file. Streamed item by item, so that saving 100 000 pinholes needs no tree of them.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pinhole/ctl.h"

#define STATE_TMP     PH_STATE_FILE ".tmp"
#define STATE_VERSION 2

static json_t *tuple_json(const struct tuple *t)
{
	char src[ADDR_TEXT], dst[ADDR_TEXT];

	return json_pack("[i,s,i,s,i]", (int)t->l4proto, addr_format(&t->src, src), (int)t->sport,
	    addr_format(&t->dst, dst), (int)t->dport);
}

static bool port_of(json_int_t n, uint16_t *out)
{
	if (n < 0 || n > UINT16_MAX)
		return false;
	*out = (uint16_t)n;
	return true;
}

static bool tuple_of(json_t *j, struct tuple *out)
{
	json_int_t l4 = 0, sport = 0, dport = 0;
	const char *src, *dst;

	memset(out, 0, sizeof(*out));
	if (json_unpack(j, "[I,s,I,s,I]", &l4, &src, &sport, &dst, &dport) < 0)
		return false;
	if (l4 != L4_TCP && l4 != L4_UDP)
		return false;
	out->l4proto = (uint8_t)l4;
	return addr_parse(src, strlen(src), &out->src) && addr_parse(dst, strlen(dst), &out->dst) &&
	       out->src.family == out->dst.family && port_of(sport, &out->sport) &&
	       port_of(dport, &out->dport);
}

static int put_line(FILE *f, json_t *item)
{
	int err = item ? json_dumpf(item, f, JSON_COMPACT) : -1;

	json_decref(item);
	return err < 0 || fputc('\n', f) == EOF ? -EIO : 0;
}

static json_t *session_json(const struct session *s)
{
	return json_pack("{s:s,s:i,s:b,s:o}", "kind", "session", "service", (int)s->service,
	    "encrypted", (int)s->encrypted, "tuple", tuple_json(&s->tuple));
}

static json_t *pinhole_json(const struct pinhole *p)
{
	return json_pack("{s:s,s:i,s:o,s:o,s:i,s:b,s:b,s:I,s:I,s:s}", "kind", "pinhole", "service",
	    (int)p->service, "master", tuple_json(&p->master), "flow", tuple_json(&p->flow), "last",
	    (int)p->dport_hi, "many", (int)p->many, "portmap", (int)p->portmap, "program",
	    (json_int_t)p->program, "versions", (json_int_t)p->versions, "cause", p->cause);
}

/*
 * Flows of a `many` pinhole are found again by conntrack; a port window by its sessions. One-way
 * sessions show themselves again, and better than we could remember them.
 */
static bool worth_saving(const struct pinhole *p)
{
	return p->owner && !p->parent_id && !p->lasting && (p->program || !p->many);
}

struct state_saving {
	FILE *f;
	int dir;
	size_t n_sessions, n_pinholes, next;
	uint32_t ids[]; /* of sessions, then of pinholes */
};

static size_t count_all(const struct engine *e)
{
	const struct engine_stats *stats = engine_stats(e);

	return (size_t)stats->live_sessions + stats->live_pinholes;
}

static void note_all(struct state_saving *s, const struct engine *e, size_t room)
{
	for (const struct session *i = engine_first_session(e); i && room;
	     i = engine_next_session(i), room--)
		s->ids[s->n_sessions++] = i->id;
	for (const struct pinhole *i = engine_first_pinhole(e); i && room;
	     i = engine_next_pinhole(i), room--)
		s->ids[s->n_sessions + s->n_pinholes++] = i->id;
}

static FILE *open_tmp(int dir)
{
	int fd =
	    openat(dir, STATE_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int err = errno;

	if (!f && fd >= 0)
		(void)close(fd);
	errno = err;
	return f;
}

int state_begin(struct state_saving **out, int dir, const struct engine *e)
{
	const size_t room = count_all(e);
	struct state_saving *s = malloc(sizeof(*s) + room * sizeof(s->ids[0]));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	*s = (struct state_saving){ .dir = dir, .f = open_tmp(dir) };
	if (!s->f) {
		err = -errno;
		free(s);
		return err;
	}
	err = put_line(s->f, json_pack("{s:s,s:i}", "kind", "state", "version", STATE_VERSION));
	if (err) {
		state_abandon(s);
		return err;
	}
	note_all(s, e, room);
	*out = s;
	return 0;
}

static int write_item(struct state_saving *s, const struct engine *e)
{
	const uint32_t id = s->ids[s->next];
	const struct session *session;
	const struct pinhole *p;

	if (s->next++ < s->n_sessions) {
		session = engine_session(e, id);
		return session && !session->tracker->one_way ? put_line(s->f, session_json(session))
							     : 0;
	}
	p = engine_pinhole(e, id);
	return p && worth_saving(p) ? put_line(s->f, pinhole_json(p)) : 0;
}

int state_continue(struct state_saving *s, const struct engine *e, unsigned int items)
{
	int err = 0;

	for (; !err && items && s->next < s->n_sessions + s->n_pinholes; items--)
		err = write_item(s, e);
	if (!err && s->next < s->n_sessions + s->n_pinholes)
		return 1;
	if (fclose(s->f) != 0 && !err)
		err = -errno;
	s->f = NULL;
	if (!err && renameat(s->dir, STATE_TMP, s->dir, PH_STATE_FILE) < 0)
		err = -errno;
	if (err)
		state_abandon(s);
	else
		free(s);
	return err;
}

void state_abandon(struct state_saving *s)
{
	if (!s)
		return;
	if (s->f)
		(void)fclose(s->f);
	(void)unlinkat(s->dir, STATE_TMP, 0);
	free(s);
}

int state_save(int dir, const struct engine *e)
{
	struct state_saving *s;
	int err = state_begin(&s, dir, e);

	return err || !s ? err : state_continue(s, e, UINT_MAX);
}

static bool service_of(int n)
{
	return n > PH_SVC_NONE && n < PH_SVC_MAX;
}

static bool claim_session(json_t *item, struct engine *e, uint64_t now, unsigned int *claims)
{
	int service = 0, encrypted = 0;
	json_t *tuple = NULL;
	struct tuple t;

	if (json_unpack(item, "{s:i,s:b,s:o}", "service", &service, "encrypted", &encrypted,
		"tuple", &tuple) < 0 ||
	    !service_of(service) || !tuple_of(tuple, &t))
		return false;
	*claims += engine_restore_session(e, now, &t, (enum ph_service)service, encrypted);
	return true;
}

static bool claim_pinhole(json_t *item, struct engine *e, uint64_t now, unsigned int *claims)
{
	json_int_t last = 0, program = 0, versions = 0;
	json_t *master = NULL, *flow = NULL;
	int service = 0, many = 0, portmap = 0;
	struct restored_pinhole r;

	memset(&r, 0, sizeof(r));
	if (json_unpack(item, "{s:i,s:o,s:o,s:I,s:b,s:b,s:I,s:I,s:s}", "service", &service,
		"master", &master, "flow", &flow, "last", &last, "many", &many, "portmap", &portmap,
		"program", &program, "versions", &versions, "cause", &r.cause) < 0 ||
	    !service_of(service) || !tuple_of(master, &r.master) || !tuple_of(flow, &r.flow) ||
	    !port_of(last, &r.dport_hi) || r.dport_hi < r.flow.dport || program < 0 ||
	    program > UINT32_MAX || versions < 0 || versions > UINT32_MAX)
		return false;
	r.service = (enum ph_service)service;
	r.many = many;
	r.portmap = portmap;
	r.program = (uint32_t)program;
	r.versions = (uint32_t)versions;
	*claims += engine_restore_pinhole(e, now, &r);
	return true;
}

/* False when the line is not what state_save() writes; a claim that the engine refuses is fine. */
static bool claim(json_t *item, struct engine *e, uint64_t now, unsigned int *claims)
{
	const char *kind;

	if (json_unpack(item, "{s:s}", "kind", &kind) < 0)
		return false;
	if (strcmp(kind, "session") == 0)
		return claim_session(item, e, now, claims);
	return strcmp(kind, "pinhole") == 0 && claim_pinhole(item, e, now, claims);
}

int state_load(int dir, struct engine *e, uint64_t now, unsigned int *claims)
{
	int fd = openat(dir, PH_STATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	json_t *item;
	int err = 0, version = 0;

	*claims = 0;
	if (!f) {
		err = -errno;
		if (fd >= 0)
			(void)close(fd);
		return err;
	}
	item = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	if (!item || json_unpack(item, "{s:i}", "version", &version) < 0 ||
	    version != STATE_VERSION)
		err = -EINVAL;
	while (!err) {
		json_decref(item);
		item = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
		if (!item)
			break; /* the end, or a torn file, which rename() does not leave behind */
		if (!claim(item, e, now, claims))
			err = -EINVAL;
	}
	json_decref(item);
	(void)fclose(f);
	return err;
}
