/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ops, pinholes and sessions look like to people and their programs: the JSON forms of
 * pinhole/ctl.h and one-line texts. Strings of a peer reach this file escaped (`cause`) and leave
 * it as they came. Nothing here reads a clock or writes to anything but its result.
 */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include <jansson.h>
#include "engine.h"

/* "ftp", "sunrpc", ...; "none" for everything else. */
const char *service_word(enum ph_service svc);

/* PH_SVC_NONE when there is no such service. */
enum ph_service service_of_word(const char *word);

/* One moment on two clocks, so that engine time can be told as time of day. */
struct describe_clock {
	uint64_t now;  /* ns, engine time */
	uint64_t wall; /* ns since 1970 UTC */
};

/* How json_dumps() and friends are to be called for one line. */
#define DESCRIBE_JSON (JSON_COMPACT | JSON_REAL_PRECISION(16))

/*
 * "open", "bind", "close", "refuse"; NULL for ops that are none of these to people: the ends and
 * beginnings of sessions, and the removal of an element because its one flow has come.
 */
const char *describe_event_word(const struct op *op);

/* A line of `replay --json` or, with frame 0, of `watch`. NULL as above, or without memory. */
json_t *describe_event(const struct op *op, uint64_t wall, uint32_t frame);

/* packets may be NULL: not known. NULL when memory is out. */
json_t *describe_pinhole(const struct pinhole *p, const struct session *s,
    const struct describe_clock *clock, const uint64_t *packets);
json_t *describe_session(const struct session *s, const struct describe_clock *clock);

/* For log lines; into text[DESCRIBE_TEXT], which is returned. Sessions begin and end here, too. */
#define DESCRIBE_TEXT 512
const char *describe_op_text(const struct op *op, char *text);
const char *describe_pinhole_text(const struct pinhole *p, char *text);
const char *describe_session_text(const struct session *s, char *text);

/* RFC 3339 in UTC with milliseconds, into text[DESCRIBE_TIME]; returns text. */
#define DESCRIBE_TIME 32
const char *describe_time(uint64_t wall, char *text);

#endif
