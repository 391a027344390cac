// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Forms for people and programs. The key names and types are those of pinhole/ctl.h, which other
 * people's programs rely on; nothing is left out of an object except where that header says so,
 * what is not known is null.
 */
#include "describe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *service_word(enum ph_service svc)
{
	static const char *const words[] = PH_SERVICE_NAMES;
	_Static_assert(sizeof(words) / sizeof(words[0]) == PH_SVC_MAX, "a word a service");

	return (unsigned int)svc < PH_SVC_MAX ? words[svc] : words[PH_SVC_NONE];
}

enum ph_service service_of_word(const char *word)
{
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (strcmp(word, service_word((enum ph_service)svc)) == 0)
			return (enum ph_service)svc;
	return PH_SVC_NONE;
}

const char *describe_time(uint64_t wall, char *text)
{
	time_t seconds = (time_t)(wall / NSEC_PER_SEC);
	struct tm tm;
	size_t len;

	text[0] = '\0';
	if (!gmtime_r(&seconds, &tm))
		return text;
	len = strftime(text, DESCRIBE_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + len, DESCRIBE_TIME - len, ".%03uZ",
	    (unsigned int)(wall % NSEC_PER_SEC / 1000000));
	return text;
}

static json_t *address(const struct addr *a)
{
	char text[ADDR_TEXT];

	return a->family == FAMILY_NONE ? json_null() : json_string(addr_format(a, text));
}

static json_t *l4proto(const struct tuple *t)
{
	switch (t->l4proto) {
	case L4_TCP:
		return json_string("tcp");
	case L4_UDP:
		return json_string("udp");
	default:
		return json_null();
	}
}

static json_t *port(uint16_t number)
{
	return number ? json_integer(number) : json_null();
}

static json_t *ports(uint16_t lo, uint16_t hi)
{
	return hi > lo ? json_sprintf("%u-%u", lo, hi) : port(lo);
}

/* The object if everything could be put into it, else NULL. Steals object. */
static json_t *whole(json_t *object, bool ok)
{
	if (ok)
		return object;
	json_decref(object);
	return NULL;
}

/* Adds to object; false when memory is out. Steals value. */
static bool put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static bool put_flow(json_t *o, const struct tuple *t, uint16_t dport_hi)
{
	return put(o, "proto", l4proto(t)) && put(o, "src", address(&t->src)) &&
	       put(o, "sport", port(t->sport)) && put(o, "dst", address(&t->dst)) &&
	       put(o, "dport", ports(t->dport, dport_hi)) &&
	       (!t->iface || put(o, "ifindex", json_integer(t->iface)));
}

const char *describe_event_word(const struct op *op)
{
	switch (op->kind) {
	case OP_OPEN:
		return "open";
	case OP_ADMIT:
		return "bind";
	case OP_CLOSE:
	case OP_END:
		return "close";
	case OP_REFUSE:
		return "refuse";
	case OP_SESSION_BEGIN:
	case OP_SESSION_END:
	case OP_RENEW:
		break;
	}
	return NULL;
}

json_t *describe_event(const struct op *op, uint64_t wall, uint32_t frame)
{
	const char *event = describe_event_word(op);
	json_t *o, *session;
	bool ok;

	if (!event)
		return NULL;
	o = json_object();
	ok = put(o, "time", json_real((double)(wall / 1000) / 1e6));
	if (frame)
		ok = put(o, "frame", json_integer(frame)) && ok;
	ok = put(o, "event", json_string(event)) &&
	     put(o, "service", json_string(service_word(op->service))) &&
	     put_flow(o, &op->flow, op->dport_hi) &&
	     put(o, "reason", json_string(reason_word(op->reason))) && ok;
	if (op->master.src.family == FAMILY_NONE) {
		session = json_null();
	} else {
		session = json_object();
		ok = put_flow(session, &op->master, 0) && ok;
	}
	ok = put(o, "session", session) && ok;
	return whole(o, ok);
}

static json_t *seconds_between(uint64_t from, uint64_t to, bool round_up)
{
	uint64_t ns = to > from ? to - from : 0;

	return json_integer((json_int_t)((ns + (round_up ? NSEC_PER_SEC - 1 : 0)) / NSEC_PER_SEC));
}

/* Adds the RPC program of a mapping: number, name where there is one, versions. */
static bool put_program(json_t *o, uint32_t program, uint32_t versions)
{
	const char *name = policy_program_name(program);
	json_t *list = json_array();
	bool ok = true;

	for (unsigned int v = 0; v < 32; v++)
		if (versions & PROGRAM_VERSION(v))
			ok = json_array_append_new(list, json_integer(v)) == 0 && ok;
	ok = put(o, "program", json_integer(program)) && put(o, "versions", list) && ok;
	return name ? put(o, "program_name", json_string(name)) && ok : ok;
}

/* What its tracker has to tell, as members of o. */
static bool put_facts(json_t *o, const struct session *s)
{
	struct fact facts[FACTS_MAX];
	unsigned int n = s->tracker->facts ? s->tracker->facts(s->state, facts) : 0;
	bool ok = true;

	for (unsigned int i = 0; i < n; i++)
		ok = put(o, facts[i].name,
			 facts[i].word ? json_string(facts[i].word)
				       : json_integer((json_int_t)facts[i].number)) &&
		     ok;
	return ok;
}

/* s is NULL when it has ended, or was never one of ours alone. */
static json_t *pinhole_session(
    const struct pinhole *p, const struct session *s, const struct describe_clock *clock)
{
	json_t *o = json_object();
	bool ok = put(o, "id", json_integer(p->session_id)) && put_flow(o, &p->master, 0) &&
		  put(o, "alive", json_boolean(p->owner != NULL));

	if (s && s->tracker->facts)
		ok = put(o, "idle", seconds_between(s->last_at, clock->now, false)) &&
		     put_facts(o, s) && ok;
	return whole(o, ok);
}

json_t *describe_pinhole(const struct pinhole *p, const struct session *s,
    const struct describe_clock *clock, const uint64_t *packets)
{
	uint64_t age = clock->now > p->opened_at ? clock->now - p->opened_at : 0;
	/* pinhole_new() arms for DEADLINE_NEVER - 1 what has no end of its own. */
	bool expires = p->expiry.slot && p->expiry.at < DEADLINE_NEVER - 1;
	json_t *o = json_object();
	char opened[DESCRIBE_TIME];
	bool ok;

	ok = put(o, "id", json_integer(p->id)) &&
	     put(o, "state", json_string(pinhole_state_word((enum pinhole_state)p->state))) &&
	     put(o, "service", json_string(service_word((enum ph_service)p->service))) &&
	     put_flow(o, &p->flow, p->dport_hi) &&
	     put(o, "age", seconds_between(p->opened_at, clock->now, false)) &&
	     put(o, "expires",
		 expires ? seconds_between(clock->now, p->expiry.at, true) : json_null()) &&
	     put(o, "cause", json_string(p->cause)) &&
	     put(o, "opened", json_string(describe_time(clock->wall - age, opened))) &&
	     put(o, "session", pinhole_session(p, s, clock));
	if (packets)
		ok = put(o, "packets", json_integer((json_int_t)*packets)) && ok;
	if (p->program)
		ok = put_program(o, p->program, p->versions) && ok;
	if (p->parent_id)
		ok = put(o, "parent", json_integer(p->parent_id)) && ok;
	return whole(o, ok);
}

json_t *describe_session(const struct session *s, const struct describe_clock *clock)
{
	json_t *o = json_object(), *ids = json_array();
	bool ok = true;

	for (const struct pinhole *p = s->owner.pinholes; p; p = p->next)
		ok = json_array_append_new(ids, json_integer(p->id)) == 0 && ok;
	ok = put(o, "id", json_integer(s->id)) &&
	     put(o, "service", json_string(service_word((enum ph_service)s->service))) &&
	     put_flow(o, &s->tuple, 0) &&
	     put(o, "age", seconds_between(s->started_at, clock->now, false)) &&
	     put(o, "idle", seconds_between(s->last_at, clock->now, false)) &&
	     put(o, "resumed", json_boolean(s->resumed)) &&
	     put(o, "encrypted", json_boolean(s->encrypted)) &&
	     put(o, "opened", json_integer(s->opened)) &&
	     put(o, "refused", json_integer(s->refused)) && put_facts(o, s) && ok;
	ok = put(o, "pinholes", ids) && ok;
	return whole(o, ok);
}

/* A tuple, and the end of its window where it has one. */
static int flow_text(const struct tuple *t, uint16_t dport_hi, char *text, size_t cap)
{
	char flow[TUPLE_TEXT];

	if (t->src.family == FAMILY_NONE)
		return snprintf(text, cap, "an unknown flow");
	tuple_format(t, flow);
	return dport_hi > t->dport ? snprintf(text, cap, "%s-%u", flow, dport_hi)
				   : snprintf(text, cap, "%s", flow);
}

const char *describe_op_text(const struct op *op, char *text)
{
	static const char *const words[] = {
		[OP_SESSION_BEGIN] = "session begins",
		[OP_SESSION_END] = "session ends",
		[OP_OPEN] = "open",
		[OP_RENEW] = "renew",
		[OP_ADMIT] = "bind",
		[OP_CLOSE] = "close",
		[OP_END] = "end",
		[OP_REFUSE] = "refuse",
	};
	char flow[TUPLE_TEXT + 8], master[TUPLE_TEXT], id[24] = "";
	bool own = op->kind == OP_SESSION_BEGIN || op->kind == OP_SESSION_END;
	bool caused = op->cause[0] != '\0';

	if (op->id)
		(void)snprintf(id, sizeof(id), " #%u", op->id);
	(void)flow_text(&op->flow, op->dport_hi, flow, sizeof(flow));
	if (own || op->master.src.family == FAMILY_NONE) {
		(void)snprintf(text, DESCRIBE_TEXT, "%s: %s%s %s: %s", service_word(op->service),
		    words[op->kind], id, flow, reason_text(op->reason));
		return text;
	}
	(void)snprintf(text, DESCRIBE_TEXT, "%s: %s%s %s: %s; session %s%s%s%s",
	    service_word(op->service), words[op->kind], id, flow, reason_text(op->reason),
	    tuple_format(&op->master, master), caused ? ": \"" : "", op->cause, caused ? "\"" : "");
	return text;
}

const char *describe_pinhole_text(const struct pinhole *p, char *text)
{
	char flow[TUPLE_TEXT + 8];

	(void)flow_text(&p->flow, p->dport_hi, flow, sizeof(flow));
	(void)snprintf(text, DESCRIBE_TEXT, "%s: %s #%u %s: session #%u: \"%s\"",
	    service_word((enum ph_service)p->service),
	    pinhole_state_word((enum pinhole_state)p->state), p->id, flow, p->session_id, p->cause);
	return text;
}

const char *describe_session_text(const struct session *s, char *text)
{
	char flow[TUPLE_TEXT];

	(void)snprintf(text, DESCRIBE_TEXT, "%s: session #%u %s%s%s: %u opened, %u refused",
	    service_word((enum ph_service)s->service), s->id, tuple_format(&s->tuple, flow),
	    s->resumed ? ", resumed" : "", s->encrypted ? ", encrypted" : "", s->opened,
	    s->refused);
	return text;
}
