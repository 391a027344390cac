// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cells are made from the JSON items, one function a column, so that a table is a list of columns.
 */
#include "show.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <time.h>
#include "reason.h"

#define CELL    96
#define COLUMNS 11

struct column {
	const char *title;
	void (*cell)(const json_t *item, const char *key, char *text);
	const char *key;
	bool right;
};

struct show_table {
	const struct column *columns;
	unsigned int n_columns;
	size_t width[COLUMNS];
	char **cells; /* row after row */
	size_t n_cells, room;
};

/* --- values -------------------------------------------------------------------------------- */

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* A plain value. */
static void value_text(const json_t *value, char *text)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		(void)snprintf(text, CELL, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		(void)snprintf(text, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		(void)snprintf(text, CELL, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		(void)snprintf(text, CELL, "%s", json_is_true(value) ? "yes" : "no");
		break;
	default:
		(void)snprintf(text, CELL, "-");
		break;
	}
	clean(text);
}

static void cell_plain(const json_t *item, const char *key, char *text)
{
	const json_t *value = json_object_get(item, key);

	if (value)
		value_text(value, text);
	else
		(void)snprintf(text, CELL, "-");
}

/* "mountd v1,3" for a mapping, else the service. */
static void session_word(const json_t *session, const char *key, char *text, size_t cap)
{
	(void)snprintf(text, cap, " %s", json_string_value(json_object_get(session, key)));
}

static void cell_service(const json_t *item, const char *key, char *text)
{
	const json_t *versions = json_object_get(item, "versions"), *v;
	size_t i, used;

	const json_t *session = json_object_get(item, "session");

	if (!json_object_get(item, "program")) {
		cell_plain(item, key, text);
		used = strlen(text);
		/* "bfd up": what the peer says of itself, else what our side does. */
		if (json_object_get(session, "peer_state"))
			session_word(session, "peer_state", text + used, CELL - used);
		else if (json_object_get(session, "local_state"))
			session_word(session, "local_state", text + used, CELL - used);
		return;
	}
	cell_plain(item, json_object_get(item, "program_name") ? "program_name" : "program", text);
	json_array_foreach(versions, i, v)
	{
		used = strlen(text);
		(void)snprintf(
		    text + used, CELL - used, "%s%d", i ? "," : " v", (int)json_integer_value(v));
	}
}

/* Seconds, in the two largest units that say something. */
static void cell_duration(const json_t *item, const char *key, char *text)
{
	const json_t *value = json_object_get(item, key);
	json_int_t s = json_integer_value(value);

	if (!json_is_integer(value))
		(void)snprintf(text, CELL, "-");
	else if (s < 60)
		(void)snprintf(text, CELL, "%ds", (int)s);
	else if (s < 3600)
		(void)snprintf(text, CELL, "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		(void)snprintf(text, CELL, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
	else
		(void)snprintf(
		    text, CELL, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}

/* "10.0.0.2:40000", "[2001:db8::2]:32768-60999", "10.0.0.1:*" */
static void endpoint(const json_t *flow, const char *addr_key, const char *port_key, char *text)
{
	const char *addr = json_string_value(json_object_get(flow, addr_key));
	const json_t *port = json_object_get(flow, port_key);
	const json_t *iface = json_object_get(flow, "ifindex");
	char number[CELL] = "*", zone[IF_NAMESIZE + 1] = "", name[IF_NAMESIZE];
	bool v6 = addr && strchr(addr, ':');

	if (iface && if_indextoname((unsigned int)json_integer_value(iface), name))
		(void)snprintf(zone, sizeof(zone), "%%%s", name);

	if (port && !json_is_null(port))
		value_text(port, number);
	(void)snprintf(text, CELL, "%s%.50s%s%s:%.12s", v6 ? "[" : "", addr ? addr : "-", zone,
	    v6 ? "]" : "", number);
	clean(text);
}

static void cell_source(const json_t *item, const char *key, char *text)
{
	(void)key;
	endpoint(item, "src", "sport", text);
}

static void cell_destination(const json_t *item, const char *key, char *text)
{
	(void)key;
	endpoint(item, "dst", "dport", text);
}

static void cell_session(const json_t *item, const char *key, char *text)
{
	const json_t *session = json_object_get(item, key);

	cell_plain(session, "id", text);
}

static void cell_count(const json_t *item, const char *key, char *text)
{
	(void)snprintf(text, CELL, "%zu", json_array_size(json_object_get(item, key)));
}

static void cell_condition(const json_t *item, const char *key, char *text)
{
	bool resumed = json_is_true(json_object_get(item, "resumed"));
	bool encrypted = json_is_true(json_object_get(item, "encrypted"));

	(void)key;
	if (!resumed && !encrypted)
		(void)snprintf(text, CELL, "clear");
	else
		(void)snprintf(text, CELL, "%s%s%s", resumed ? "resumed" : "",
		    resumed && encrypted ? "," : "", encrypted ? "encrypted" : "");
}

#define FLOW_TEXT (2 * CELL + 16)

/* "tcp 10.0.0.1:* > 10.0.0.2:40000"; "an unknown flow" when the object has no addresses. */
static void flow_text(const json_t *flow, char *text)
{
	char proto[CELL], src[CELL], dst[CELL];

	if (!json_is_string(json_object_get(flow, "src"))) {
		(void)snprintf(text, FLOW_TEXT, "an unknown flow");
		return;
	}
	cell_plain(flow, "proto", proto);
	endpoint(flow, "src", "sport", src);
	endpoint(flow, "dst", "dport", dst);
	(void)snprintf(text, FLOW_TEXT, "%.8s %s > %s", proto, src, dst);
}

/* --- tables -------------------------------------------------------------------------------- */

static struct show_table *table_of(const struct column *columns, unsigned int n)
{
	struct show_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->columns = columns;
	t->n_columns = n;
	for (unsigned int i = 0; i < n; i++)
		t->width[i] = strlen(columns[i].title);
	return t;
}

struct show_table *show_table_pinholes(void)
{
	static const struct column columns[] = {
		{ "ID", cell_plain, "id", true },
		{ "STATE", cell_plain, "state", false },
		{ "SERVICE", cell_service, "service", false },
		{ "PROTO", cell_plain, "proto", false },
		{ "SOURCE", cell_source, NULL, false },
		{ "DESTINATION", cell_destination, NULL, false },
		{ "AGE", cell_duration, "age", true },
		{ "EXPIRES", cell_duration, "expires", true },
		{ "PACKETS", cell_plain, "packets", true },
		{ "SESSION", cell_session, "session", true },
	};
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= COLUMNS, "widths are kept");

	return table_of(columns, sizeof(columns) / sizeof(columns[0]));
}

struct show_table *show_table_rpc(void)
{
	static const struct column columns[] = {
		{ "PROGRAM", cell_plain, "program", true },
		{ "NAME", cell_plain, "program_name", false },
		{ "VERSION", cell_plain, "version", true },
		{ "PROTO", cell_plain, "proto", false },
		{ "FAMILY", cell_plain, "family", false },
		{ "PORT", cell_plain, "port", true },
		{ "OPENED", cell_plain, "allowed", false },
		{ "WHY NOT", cell_plain, "reason", false },
	};
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= COLUMNS, "widths are kept");

	return table_of(columns, sizeof(columns) / sizeof(columns[0]));
}

struct show_table *show_table_sessions(void)
{
	static const struct column columns[] = {
		{ "ID", cell_plain, "id", true },
		{ "SERVICE", cell_plain, "service", false },
		{ "PROTO", cell_plain, "proto", false },
		{ "CLIENT", cell_source, NULL, false },
		{ "SERVER", cell_destination, NULL, false },
		{ "AGE", cell_duration, "age", true },
		{ "IDLE", cell_duration, "idle", true },
		{ "OPENED", cell_plain, "opened", true },
		{ "REFUSED", cell_plain, "refused", true },
		{ "PINHOLES", cell_count, "pinholes", true },
		{ "CONDITION", cell_condition, NULL, false },
	};
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= COLUMNS, "widths are kept");

	return table_of(columns, sizeof(columns) / sizeof(columns[0]));
}

struct show_table *show_table_profiles(void)
{
	static const struct column columns[] = {
		{ "NAME", cell_plain, "name", false },
		{ "OUTPUT", cell_plain, "output", false },
		{ "CONTAINERS", cell_plain, "containers", false },
		{ "TITLE", cell_plain, "title", false },
	};
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= COLUMNS, "widths are kept");

	return table_of(columns, sizeof(columns) / sizeof(columns[0]));
}

struct show_table *show_table_profile(void)
{
	static const struct column columns[] = {
		{ "DIRECTION", cell_plain, "direction", false },
		{ "PEER", cell_plain, "peer", false },
		{ "SERVICE", cell_plain, "service", false },
		{ "PROTO", cell_plain, "proto", false },
		{ "PORT", cell_plain, "port", false },
		{ "SPORT", cell_plain, "sport", false },
		{ "NEED", cell_plain, "need", false },
		{ "SWITCH", cell_plain, "switch", false },
	};
	_Static_assert(sizeof(columns) / sizeof(columns[0]) <= COLUMNS, "widths are kept");

	return table_of(columns, sizeof(columns) / sizeof(columns[0]));
}

bool show_table_add(struct show_table *t, const json_t *item)
{
	if (t->n_cells + t->n_columns > t->room) {
		size_t room = t->room ? t->room * 2 : 16 * COLUMNS;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (!cells)
			return false;
		t->cells = cells;
		t->room = room;
	}
	for (unsigned int i = 0; i < t->n_columns; i++) {
		const struct column *c = &t->columns[i];
		char text[CELL] = "";
		size_t len;

		c->cell(item, c->key, text);
		len = strlen(text);
		if (len > t->width[i])
			t->width[i] = len;
		t->cells[t->n_cells] = strdup(text);
		if (!t->cells[t->n_cells])
			return false;
		t->n_cells++;
	}
	return true;
}

static void print_cell(const struct show_table *t, unsigned int column, const char *text)
{
	int width = (int)t->width[column];
	bool last = column + 1 == t->n_columns;

	if (t->columns[column].right)
		(void)printf("%*s", width, text);
	else if (last)
		(void)printf("%s", text);
	else
		(void)printf("%-*s", width, text);
	(void)fputs(last ? "\n" : "  ", stdout);
}

void show_table_end(struct show_table *t, const char *nothing)
{
	if (!t->n_cells)
		(void)printf("%s\n", nothing);
	for (unsigned int i = 0; t->n_cells && i < t->n_columns; i++)
		print_cell(t, i, t->columns[i].title);
	for (size_t row = 0; row < t->n_cells; row += t->n_columns)
		for (unsigned int i = 0; i < t->n_columns; i++)
			print_cell(t, i, t->cells[row + i]);
	show_table_free(t);
}

void show_table_free(struct show_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

/* --- single objects ------------------------------------------------------------------------ */

static void line(const char *name, const char *value)
{
	(void)printf("%-12s %s\n", name, value);
}

static void plain_line(const char *name, const json_t *item, const char *key)
{
	char text[CELL];

	cell_plain(item, key, text);
	line(name, text);
}

static void duration_line(const char *name, const json_t *item, const char *key)
{
	char text[CELL];

	cell_duration(item, key, text);
	line(name, text);
}

static void session_line(const json_t *session)
{
	char flow[FLOW_TEXT], id[CELL];
	bool alive = json_is_true(json_object_get(session, "alive"));

	flow_text(session, flow);
	cell_plain(session, "id", id);
	(void)printf("%-12s #%s %s, %s\n", "session", id, flow, alive ? "alive" : "has ended");
}

/* "peer_tx_us" 300000 is "peer tx  300 ms". */
static void fact_line(const char *key, const json_t *value)
{
	char name[CELL], text[CELL];
	size_t len;

	len = (size_t)snprintf(name, sizeof(name), "  %s", key);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = ' ';
	if (len > 3 && len < sizeof(name) && strcmp(name + len - 3, " us") == 0) {
		name[len - 3] = '\0';
		(void)snprintf(
		    text, sizeof(text), "%g ms", (double)json_integer_value(value) / 1000);
	} else if (json_is_string(value)) {
		(void)snprintf(text, sizeof(text), "%s", json_string_value(value));
	} else {
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
	}
	(void)printf("%-22s %s\n", name, text);
}

/* What the session's protocol says of it, in its order. */
static void facts_lines(const json_t *session)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)session, key,
	    value) if (strncmp(key, "local_", 6) == 0 || strncmp(key, "peer_", 5) == 0)
	    fact_line(key, value);
}

void show_pinhole(const json_t *pinhole, const json_t *session)
{
	char flow[FLOW_TEXT];

	flow_text(pinhole, flow);
	plain_line("pinhole", pinhole, "id");
	plain_line("state", pinhole, "state");
	plain_line("service", pinhole, "service");
	line("flow", flow);
	plain_line("opened", pinhole, "opened");
	duration_line("age", pinhole, "age");
	duration_line("expires", pinhole, "expires");
	plain_line("packets", pinhole, "packets");
	if (json_object_get(pinhole, "parent"))
		plain_line("parent", pinhole, "parent");
	plain_line("cause", pinhole, "cause");
	session_line(json_object_get(pinhole, "session"));
	if (!session)
		return;
	duration_line("  age", session, "age");
	duration_line("  idle", session, "idle");
	plain_line("  resumed", session, "resumed");
	plain_line("  encrypted", session, "encrypted");
	plain_line("  opened", session, "opened");
	plain_line("  refused", session, "refused");
	facts_lines(session);
}

static void until_text(const json_t *pinhole, char *text)
{
	const char *state = json_string_value(json_object_get(pinhole, "state"));
	char left[CELL];

	cell_duration(pinhole, "expires", left);
	if (state && strcmp(state, "bound") == 0)
		(void)snprintf(text, FLOW_TEXT, "the flow ends");
	else if (json_is_string(json_object_get(pinhole, "dport")))
		(void)snprintf(text, FLOW_TEXT, "its session ends");
	else
		(void)snprintf(text, FLOW_TEXT, "its one flow comes, at most %s more", left);
}

void show_why(const json_t *pinhole)
{
	const json_t *session = json_object_get(pinhole, "session");
	char id[CELL], state[CELL], service[CELL], flow[FLOW_TEXT], until[FLOW_TEXT];

	cell_plain(pinhole, "id", id);
	cell_plain(pinhole, "state", state);
	cell_service(pinhole, "service", service);
	flow_text(pinhole, flow);
	until_text(pinhole, until);
	(void)printf("pinhole #%s, %s: %s\n", id, state, flow);
	if (json_object_get(pinhole, "program"))
		(void)printf("  for      %s\n", service);
	cell_plain(session, "id", id);
	flow_text(session, flow);
	cell_plain(pinhole, "service", service);
	(void)printf("  because  %s session #%s, %s,\n", service, id, flow);
	cell_plain(pinhole, "cause", flow);
	(void)printf("           announced it: \"%s\"\n", flow);
	cell_plain(pinhole, "opened", flow);
	cell_duration(pinhole, "age", id);
	(void)printf("  since    %s (%s ago)\n", flow, id);
	if (json_object_get(pinhole, "program"))
		(void)printf("  until    some time after the last flow of its two hosts\n");
	else
		(void)printf("  until    %s%s\n", until,
		    json_is_true(json_object_get(session, "alive"))
			? ""
			: "; the session has ended already");
}

/* "live_sessions" is written "live sessions". */
static void key_text(const char *key, char *text)
{
	(void)snprintf(text, CELL, "%s", key);
	for (char *c = text; *c; c++)
		if (*c == '_')
			*c = ' ';
	clean(text);
}

static void print_number(const char *key, const json_t *value)
{
	char name[CELL], text[CELL];

	key_text(key, name);
	value_text(value, text);
	(void)printf("  %-24s %12s\n", name, text);
}

/* Those that have occurred, each with its sentence. */
static void print_reasons(const json_t *reasons)
{
	bool any = false;

	for (int r = REASON_NONE + 1; r < REASON_MAX; r++) {
		const char *word = reason_word((enum reason)r);
		json_int_t n = json_integer_value(json_object_get(reasons, word));

		if (n)
			(void)printf("  %-24s %12" JSON_INTEGER_FORMAT "  %s\n", word, n,
			    reason_text((enum reason)r));
		any |= n != 0;
	}
	if (!any)
		(void)printf("  nothing yet\n");
}

void show_stats(const json_t *stats)
{
	const char *key, *inner;
	const json_t *value, *number;

	(void)printf("all together\n");
	json_object_foreach((json_t *)stats, key, value) if (!json_is_object(value))
	    print_number(key, value);
	json_object_foreach((json_t *)stats, key, value)
	{
		if (!json_is_object(value))
			continue;
		if (strcmp(key, "reasons") == 0) {
			(void)printf("closed or refused\n");
			print_reasons(value);
			continue;
		}
		(void)printf("%.40s\n", strcmp(key, "services") == 0 ? "opened by service" : key);
		json_object_foreach((json_t *)value, inner, number) print_number(inner, number);
	}
}

void show_status(const json_t *status)
{
	char name[CELL], text[CELL];
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)status, key, value)
	{
		key_text(key, name);
		value_text(value, text);
		line(name, text);
	}
}

/* Text of one or more lines, all indented alike. */
static void print_text(const json_t *item, const char *key, const char *before)
{
	const char *text = json_string_value(json_object_get(item, key));

	if (!text)
		return;
	(void)fputs(before, stdout);
	for (; *text; text++) {
		if (*text == '\n')
			(void)printf("\n%*s", (int)strlen(before), "");
		else
			(void)putchar((unsigned char)*text < ' ' ? '?' : *text);
	}
	(void)putchar('\n');
}

void show_findings(const json_t *result)
{
	const json_t *checks = json_object_get(result, "checks");
	const json_t *item;
	size_t i, bad = 0;

	json_array_foreach((json_t *)checks, i, item)
	{
		const char *level = json_string_value(json_object_get(item, "level"));
		bool is_bad = level && strcmp(level, "bad") == 0;

		bad += is_bad;
		print_text(item, "text",
		    is_bad                     ? "BAD   "
		    : level && level[0] == 'n' ? "note  "
					       : "good  ");
		print_text(item, "fix", "      -> ");
	}
	if (bad)
		(void)printf(
		    "%zu of %zu checks found something wrong\n", bad, json_array_size(checks));
	else
		(void)printf("nothing wrong in %zu checks\n", json_array_size(checks));
}

/* --- events -------------------------------------------------------------------------------- */

#define EVENT_FORMAT "%-12s  %-6s  %-7s  %-48s  %s"

void show_event_head(bool frames)
{
	if (frames)
		(void)printf("%7s  ", "FRAME");
	(void)printf(EVENT_FORMAT "\n", "TIME", "EVENT", "SERVICE", "FLOW", "REASON");
}

/* Local time of day: whoever watches knows the date. */
static void time_text(const json_t *value, char *text)
{
	double at = json_number_value(value);
	time_t seconds;
	struct tm tm;
	size_t len;

	(void)snprintf(text, CELL, "-");
	if (!(at >= 0 && at < 1e12))
		return;
	seconds = (time_t)at;
	if (!localtime_r(&seconds, &tm))
		return;
	len = strftime(text, CELL, "%H:%M:%S", &tm);
	(void)snprintf(text + len, CELL - len, ".%03d", (int)((at - (double)seconds) * 1000));
}

void show_event(const json_t *event, bool frames)
{
	const json_t *lost = json_object_get(event, "lost");
	const json_t *session = json_object_get(event, "session");
	char frame[CELL], at[CELL], word[CELL], service[CELL], reason[CELL], flow[FLOW_TEXT];

	if (lost) {
		(void)printf("-- %" JSON_INTEGER_FORMAT " events lost: they came too fast\n",
		    json_integer_value(lost));
		return;
	}
	cell_plain(event, "frame", frame);
	time_text(json_object_get(event, "time"), at);
	cell_plain(event, "event", word);
	cell_plain(event, "service", service);
	cell_plain(event, "reason", reason);
	flow_text(event, flow);
	if (frames)
		(void)printf("%7s  ", frame);
	(void)printf(EVENT_FORMAT, at, word, service, flow, reason);
	if (!json_is_string(json_object_get(event, "src")) && json_is_object(session)) {
		flow_text(session, flow);
		(void)printf(" (session %s)", flow);
	}
	(void)putchar('\n');
}
