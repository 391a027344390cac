// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state file. Streamed item by item, so that saving 100 000 pinholes needs no tree of them.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pinhole/ctl.h"

#define STATE_TMP     PH_STATE_FILE ".tmp"
#define STATE_VERSION 1

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
	return json_pack("{s:s,s:o,s:o,s:i,s:b,s:s}", "kind", "pinhole", "master",
	    tuple_json(&p->master), "flow", tuple_json(&p->flow), "last", (int)p->dport_hi, "many",
	    (int)p->many, "cause", p->cause);
}

static int write_all(FILE *f, const struct engine *e)
{
	int err = put_line(f, json_pack("{s:s,s:i}", "kind", "state", "version", STATE_VERSION));

	for (const struct session *s = engine_first_session(e); s && !err; s = engine_next_session(s))
		err = put_line(f, session_json(s));
	for (const struct pinhole *p = engine_first_pinhole(e); p && !err; p = engine_next_pinhole(p))
		if (p->session && !p->parent_id)
			err = put_line(f, pinhole_json(p));
	return err;
}

int state_save(int dir, const struct engine *e)
{
	int fd = openat(dir, STATE_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int err;

	if (!f) {
		err = -errno;
		if (fd >= 0)
			(void)close(fd);
		return err;
	}
	err = write_all(f, e);
	if (fclose(f) != 0 && !err)
		err = -errno;
	if (!err && renameat(dir, STATE_TMP, dir, PH_STATE_FILE) < 0)
		err = -errno;
	if (err)
		(void)unlinkat(dir, STATE_TMP, 0);
	return err;
}

/* False when the line is not what state_save() writes; a claim that the engine refuses is fine. */
static bool claim(json_t *item, struct engine *e, uint64_t now, unsigned int *claims)
{
	const char *kind, *cause = "";
	json_t *master = NULL, *flow = NULL;
	int service = 0, flag = 0;
	json_int_t last = 0;
	struct tuple t, m;
	uint16_t dport_hi;

	if (json_unpack(item, "{s:s}", "kind", &kind) < 0)
		return false;
	if (strcmp(kind, "session") == 0) {
		if (json_unpack(item, "{s:i,s:b,s:o}", "service", &service, "encrypted", &flag,
			"tuple", &flow) < 0 ||
		    service <= PH_SVC_NONE || service >= PH_SVC_MAX || !tuple_of(flow, &t))
			return false;
		*claims += engine_restore_session(e, now, &t, (enum ph_service)service, flag);
		return true;
	}
	if (json_unpack(item, "{s:o,s:o,s:I,s:b,s:s}", "master", &master, "flow", &flow, "last",
		&last, "many", &flag, "cause", &cause) < 0 ||
	    !tuple_of(master, &m) || !tuple_of(flow, &t) || !port_of(last, &dport_hi) ||
	    dport_hi < t.dport)
		return false;
	*claims += engine_restore_pinhole(e, now, &m, &t, dport_hi, flag, cause);
	return true;
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
	if (!item || json_unpack(item, "{s:i}", "version", &version) < 0 || version != STATE_VERSION)
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
