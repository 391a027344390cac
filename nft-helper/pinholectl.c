// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pinholectl: one table of commands. Each asks the daemon or, for replay, check-config and doctor,
 * finds out by itself; what it learns is printed as a table or, with --json, as it came. Exit
 * status 0: done; 1: no; 2: wrong usage.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "audit.h"
#include "conf.h"
#include "ctl_client.h"
#include "describe.h"
#include "doctor.h"
#include "pinhole/ctl.h"
#include "profile_cmd.h"
#include "replay.h"
#include "show.h"

enum { DONE, NO, WRONG_USAGE };

struct command;

struct call {
	const struct command *command;
	const char *socket;
	const char *config; /* --config, or NULL */
	struct profile_request profile;
	bool json;
	int argc; /* what follows the command */
	char **argv;
};

struct command {
	const char *name;
	int (*run)(const struct call *call);
	const char *usage;
	const char *summary;
	const char *help;
	int min_args, max_args;
	bool takes_config, takes_profile;
};

/* --- saying no ----------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static int no(const char *fmt, ...)
{
	va_list ap;

	(void)fflush(stdout);
	(void)fputs("pinholectl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return NO;
}

static void print_usage_of(FILE *to, const struct command *c)
{
	(void)fprintf(to, "usage: pinholectl [OPTION...] %s%s%s\n", c->name, c->usage[0] ? " " : "",
	    c->usage);
}

/* word is the argument that is wrong, or NULL when one is missing. */
static int wrong_usage(const struct command *c, const char *what, const char *word)
{
	if (word)
		(void)fprintf(stderr, "pinholectl: %s '%s'\n", what, word);
	else
		(void)fprintf(stderr, "pinholectl: %s\n", what);
	if (c)
		print_usage_of(stderr, c);
	else
		(void)fprintf(stderr, "usage: pinholectl [OPTION...] COMMAND [ARGUMENT...]\n"
				      "       pinholectl --help\n");
	return WRONG_USAGE;
}

/* A number from 1 to max, in decimal digits and nothing else. */
static bool parse_number(const char *word, uint32_t max, uint32_t *out)
{
	struct cursor c = cursor_of(word, strlen(word));

	return cursor_decimal(&c, max, out) && c.left == 0 && *out > 0;
}

/* --- asking the daemon --------------------------------------------------------------------- */

static void print_json(const json_t *object)
{
	(void)json_dumpf(object, stdout, DESCRIBE_JSON);
	(void)putchar('\n');
}

static int no_daemon(const struct call *call, int ret)
{
	switch (ret) {
	case -ENOENT:
	case -ECONNREFUSED:
		return no(
		    "no daemon answers on %s: is pinholed running? (systemctl status pinholed)",
		    call->socket);
	case -EACCES:
	case -EPERM:
		return no("%s: permission denied: be root, or a member of the socket's group",
		    call->socket);
	default:
		return no("%s: %s", call->socket, strerror(-ret));
	}
}

static int lost_daemon(int ret, const char *words)
{
	switch (ret) {
	case -EREMOTEIO:
		return no("%s", words);
	case -ECONNRESET:
		return no("the daemon has hung up");
	case -ETIMEDOUT:
		return no("the daemon does not answer in time");
	case -EPROTO:
		return no("the daemon's answer cannot be understood");
	default:
		return no("%s", strerror(-ret));
	}
}

/* Asks, and calls `seen` for each item of the answer; false from `seen` ends it. */
static int ask(const struct call *call, json_t *request, bool patient,
    bool (*seen)(void *arg, const json_t *item), void *arg)
{
	struct ctl_client *client = NULL;
	char words[256] = "";
	json_t *item;
	int ret;

	ret = ctl_client_open(&client, call->socket);
	if (ret < 0) {
		json_decref(request);
		return no_daemon(call, ret);
	}
	ret = ctl_client_ask(client, request, patient);
	while (ret >= 0 && (ret = ctl_client_next(client, &item, words, sizeof(words))) > 0) {
		if (!seen(arg, item))
			ret = errno ? -errno : -ENOMEM;
		json_decref(item);
	}
	ctl_client_close(client);
	return ret < 0 ? lost_daemon(ret, words) : DONE;
}

static bool keep_item(void *arg, const json_t *item)
{
	return json_array_append(arg, (json_t *)item) == 0;
}

/* The whole of a short answer. NULL after a complaint; *status is set either way. */
static json_t *ask_all(const struct call *call, json_t *request, int *status)
{
	json_t *items = json_array();

	*status = ask(call, request, false, keep_item, items);
	if (*status == DONE)
		return items;
	json_decref(items);
	return NULL;
}

/* --- lists --------------------------------------------------------------------------------- */

/* {"key":[ item, item ... ]}, printed as it comes: there may be many. */
struct json_list {
	const char *key;
	bool begun;
};

static bool print_item(void *arg, const json_t *item)
{
	struct json_list *list = arg;

	if (list->begun)
		(void)putchar(',');
	else
		(void)printf("{\"%s\":[", list->key);
	list->begun = true;
	return json_dumpf(item, stdout, DESCRIBE_JSON) == 0;
}

static bool add_row(void *arg, const json_t *item)
{
	return show_table_add(arg, item);
}

static int list_of(const struct call *call, const char *key, struct show_table *table,
    const char *nothing, json_t *request)
{
	struct json_list list = { .key = key };
	int status;

	if (!table) {
		json_decref(request);
		return no("out of memory");
	}
	if (!call->json) {
		status = ask(call, request, false, add_row, table);
		if (status == DONE) {
			show_table_end(table, nothing);
			return DONE;
		}
		show_table_free(table);
		return status;
	}
	show_table_free(table);
	status = ask(call, request, false, print_item, &list);
	if (status == DONE && !list.begun)
		(void)printf("{\"%s\":[", key);
	if (status == DONE)
		(void)puts("]}");
	return status;
}

static int run_list(const struct call *call)
{
	return list_of(call, "pinholes", show_table_pinholes(), "no pinhole is open",
	    json_pack("{ss}", "cmd", "list"));
}

static int run_sessions(const struct call *call)
{
	return list_of(call, "sessions", show_table_sessions(), "no session is alive",
	    json_pack("{ss}", "cmd", "sessions"));
}

/* --- single objects ------------------------------------------------------------------------ */

static int run_show(const struct call *call)
{
	json_t *items, *pinhole, *session;
	uint32_t id;
	int status;

	if (!parse_number(call->argv[0], UINT32_MAX, &id))
		return wrong_usage(call->command, "no pinhole id:", call->argv[0]);
	items = ask_all(call, json_pack("{ss sI}", "cmd", "show", "id", (json_int_t)id), &status);
	if (!items)
		return status;
	pinhole = json_array_get(items, 0);
	session = json_array_get(items, 1);
	if (call->json) {
		json_t *both = json_pack("{sO? sO?}", "pinhole", pinhole, "session", session);

		print_json(both);
		json_decref(both);
	} else {
		show_pinhole(pinhole, session);
	}
	json_decref(items);
	return DONE;
}

static int run_why(const struct call *call)
{
	const char *first = call->argv[0];
	json_t *request, *items, *item;
	uint32_t number;
	struct addr addr;
	size_t i;
	int status;

	if (call->argc == 1) {
		if (!parse_number(first, UINT32_MAX, &number))
			return wrong_usage(call->command, "no pinhole id:", first);
		request = json_pack("{ss sI}", "cmd", "why", "id", (json_int_t)number);
	} else {
		if (!addr_parse(first, strlen(first), &addr))
			return wrong_usage(call->command, "no address:", first);
		if (!parse_number(call->argv[1], UINT16_MAX, &number))
			return wrong_usage(call->command, "no port:", call->argv[1]);
		request = json_pack(
		    "{ss ss sI}", "cmd", "why", "addr", first, "port", (json_int_t)number);
	}
	items = ask_all(call, request, &status);
	if (!items)
		return status;
	if (call->json) {
		json_t *object = json_pack("{sO}", "pinholes", items);

		print_json(object);
		json_decref(object);
	} else {
		json_array_foreach(items, i, item) show_why(item);
	}
	json_decref(items);
	return DONE;
}

/* A question whose answer is one object. */
static int one_object(const struct call *call, const char *cmd, void (*show)(const json_t *object))
{
	int status;
	json_t *items = ask_all(call, json_pack("{ss}", "cmd", cmd), &status);

	if (!items)
		return status;
	if (call->json)
		print_json(json_array_get(items, 0));
	else
		show(json_array_get(items, 0));
	json_decref(items);
	return DONE;
}

static int run_stats(const struct call *call)
{
	return one_object(call, "stats", show_stats);
}

static int run_status(const struct call *call)
{
	return one_object(call, "status", show_status);
}

static int run_rpc(const struct call *call)
{
	struct show_table *table = show_table_rpc();
	const json_t *rpcbind;
	json_t *items, *item;
	int status;
	size_t i;

	items = ask_all(call, json_pack("{ss}", "cmd", "rpc"), &status);
	if (!items) {
		show_table_free(table);
		return status;
	}
	rpcbind = json_array_get(items, 0);
	if (call->json) {
		json_t *answer = json_deep_copy(rpcbind), *programs = json_copy(items);

		(void)json_array_remove(programs, 0);
		(void)json_object_set_new(answer, "programs", programs);
		print_json(answer);
		json_decref(answer);
		show_table_free(table);
	} else {
		(void)printf(
		    "local rpcbind: %s\n", json_string_value(json_object_get(rpcbind, "rpcbind")));
		json_array_foreach(items, i, item) if (i && table)(void)
		    show_table_add(table, item);
		if (table)
			show_table_end(table, "it names no program");
	}
	json_decref(items);
	return DONE;
}

static int run_close(const struct call *call)
{
	uint32_t id;
	json_t *items;
	int status;

	if (!parse_number(call->argv[0], UINT32_MAX, &id))
		return wrong_usage(call->command, "no pinhole id:", call->argv[0]);
	items = ask_all(call, json_pack("{ss sI}", "cmd", "close", "id", (json_int_t)id), &status);
	if (!items)
		return status;
	json_decref(items);
	if (call->json)
		(void)printf("{\"closed\":%u}\n", id);
	else
		(void)printf("pinhole #%u is closed\n", id);
	return DONE;
}

/* --- events -------------------------------------------------------------------------------- */

struct watch_output {
	bool json, begun;
};

static bool print_event(void *arg, const json_t *event)
{
	struct watch_output *o = arg;

	if (o->json) {
		print_json(event);
	} else {
		if (!o->begun)
			show_event_head(false);
		show_event(event, false);
	}
	o->begun = true;
	return fflush(stdout) == 0;
}

static int run_watch(const struct call *call)
{
	struct watch_output output = { .json = call->json };

	return ask(call, json_pack("{ss}", "cmd", "watch"), true, print_event, &output);
}

struct replay_output {
	bool json;
	uint64_t opened, bound, closed, refused;
};

static void print_op(void *arg, const struct op *op, const struct replay_moment *at)
{
	json_t *event = describe_event(op, at->time, at->frame);
	struct replay_output *o = arg;

	o->opened += op->kind == OP_OPEN;
	o->bound += op->kind == OP_ADMIT;
	o->closed += op->kind == OP_CLOSE || op->kind == OP_END;
	o->refused += op->kind == OP_REFUSE;
	if (!event)
		return;
	if (o->json)
		print_json(event);
	else
		show_event(event, true);
	json_decref(event);
}

/* The file named with --config, or the installed one when it is there, or the defaults. */
static int read_config(const struct call *call, struct config *config)
{
	const char *path = call->config ? call->config : PH_CONF_FILE;
	char error[CONF_ERROR];

	conf_defaults(config);
	if (!call->config && access(path, F_OK) < 0)
		return DONE;
	return conf_load(path, config, error, sizeof(error)) < 0 ? no("%s", error) : DONE;
}

static int run_replay(const struct call *call)
{
	struct replay_output output = { .json = call->json };
	struct capture_file *file = NULL;
	struct replay_summary sum;
	char error[CAPTURE_ERROR];
	struct config config;
	int ret;

	if (read_config(call, &config) != DONE)
		return NO;
	if (capture_open(&file, call->argv[0], error) < 0)
		return no("%s: %s", call->argv[0], error);
	if (!call->json)
		show_event_head(true);
	ret = replay_run(file, &config.policy, print_op, &output, &sum, error);
	capture_close(file);
	(void)fflush(stdout);
	(void)fprintf(stderr,
	    "%u frames, %u packets, %u fragments, %u malformed; %llu sessions; pinholes: %llu "
	    "opened, "
	    "%llu bound, %llu closed, %llu refused\n",
	    sum.frames, sum.packets, sum.fragments, sum.malformed,
	    (unsigned long long)sum.engine.sessions, (unsigned long long)output.opened,
	    (unsigned long long)output.bound, (unsigned long long)output.closed,
	    (unsigned long long)output.refused);
	return ret < 0 ? no("%s: %s", call->argv[0], error) : DONE;
}

/* --- checks -------------------------------------------------------------------------------- */

static int run_check_config(const struct call *call)
{
	const char *path = call->argc ? call->argv[0] : PH_CONF_FILE;
	char error[CONF_ERROR] = "";
	struct config config;
	bool good = conf_load(path, &config, error, sizeof(error)) == 0;
	json_t *object;

	if (!call->json) {
		if (!good)
			return no("%s", error);
		(void)printf("%s: good\n", path);
		return DONE;
	}
	object = good ? json_pack("{ss sb}", "file", path, "ok", 1)
		      : json_pack("{ss sb ss}", "file", path, "ok", 0, "error", error);
	print_json(object);
	json_decref(object);
	return good ? DONE : NO;
}

static int run_doctor(const struct call *call)
{
	struct config config;
	json_t *result;
	bool ok;

	if (read_config(call, &config) != DONE)
		return NO;
	result = doctor_examine(call->socket, &config);
	if (!result)
		return no("out of memory");
	ok = json_is_true(json_object_get(result, "ok"));
	if (call->json)
		print_json(result);
	else
		show_findings(result);
	json_decref(result);
	return ok ? DONE : NO;
}

/* --- profiles ------------------------------------------------------------------------------ */

static int run_profile(const struct call *call)
{
	char error[CAT_ERROR] = "";
	const char *word;
	int ret;

	ret = profile_command(&call->profile, call->json, call->argc, call->argv, error, &word);
	if (ret > 0)
		return wrong_usage(call->command, error, word);
	return ret < 0 ? no("%s", error) : DONE;
}

static int run_audit(const struct call *call)
{
	char error[CAT_ERROR] = "";
	struct profile_opened opened;
	struct config config;
	json_t *result;
	bool ok;

	if (read_config(call, &config) != DONE)
		return NO;
	if (profile_open(&opened, &call->profile, call->argv[0], error) < 0)
		return no("%s", error);
	result = audit_examine(&opened.profile, &config, error);
	profile_close(&opened);
	if (!result)
		return no("%s", error[0] ? error : "out of memory");
	ok = json_is_true(json_object_get(result, "ok"));
	if (call->json)
		print_json(result);
	else
		audit_show(result);
	json_decref(result);
	return ok ? DONE : NO;
}

/* --- the command line ---------------------------------------------------------------------- */

static const struct command commands[] = {
	{
	    .name = "list",
	    .run = run_list,
	    .usage = "",
	    .summary = "the pinholes that are open or in use",
	    .help = "One line a pinhole. A source port * is any port; EXPIRES is - where a\n"
		    "pinhole lives as long as its flow or session.\n"
		    "--json: one object, {\"pinholes\": [...]}.\n",
	},
	{
	    .name = "sessions",
	    .run = run_sessions,
	    .usage = "",
	    .summary = "the control sessions that are followed",
	    .help = "One line a session. \"resumed\": it went on from before a restart;\n"
		    "\"encrypted\": it went to TLS.\n"
		    "--json: one object, {\"sessions\": [...]}.\n",
	},
	{
	    .name = "show",
	    .run = run_show,
	    .usage = "ID",
	    .summary = "everything about one pinhole",
	    .help = "ID is that of `pinholectl list`.\n"
		    "--json: one object, {\"pinhole\": ..., \"session\": ...}; the session is\n"
		    "null when it has ended.\n",
	    .min_args = 1,
	    .max_args = 1,
	},
	{
	    .name = "why",
	    .run = run_why,
	    .usage = "ID | ADDRESS PORT",
	    .summary = "why a pinhole, or the way to an address, is open",
	    .help = "Says which session announced it, with which line, when, and how long it\n"
		    "will last. ADDRESS PORT is the destination of the admitted flow.\n"
		    "--json: one object, {\"pinholes\": [...]}.\n"
		    "Exit status 1 when nothing is open there.\n",
	    .min_args = 1,
	    .max_args = 2,
	},
	{
	    .name = "watch",
	    .run = run_watch,
	    .usage = "",
	    .summary = "what is opened, used, closed and refused, as it happens",
	    .help = "Until interrupted.\n"
		    "--json: one object a line, as of `replay --json` without \"frame\";\n"
		    "{\"lost\": N} where events came faster than they were read.\n",
	},
	{
	    .name = "rpc",
	    .run = run_rpc,
	    .usage = "",
	    .summary = "what the local rpcbind says, and what of it is opened",
	    .help = "On an NFS server. Clients with a live NFS connection get what is opened\n"
		    "without asking. --json: one object, {\"rpcbind\", \"programs\": [...]}.\n",
	},
	{
	    .name = "close",
	    .run = run_close,
	    .usage = "ID",
	    .summary = "close a pinhole (root)",
	    .help = "Closes it in the kernel at once and ends the flow that uses it.\n",
	    .min_args = 1,
	    .max_args = 1,
	},
	{
	    .name = "stats",
	    .run = run_stats,
	    .usage = "",
	    .summary = "counters of the daemon",
	    .help = "Since its start. Reasons that have not occurred are only shown with\n"
		    "--json: one object.\n",
	},
	{
	    .name = "status",
	    .run = run_status,
	    .usage = "",
	    .summary = "what the daemon is and how it works here",
	    .help = "Its version, the way of admission and of capture, and what the kernel\n"
		    "gave it. --json: one object.\n",
	},
	{
	    .name = "doctor",
	    .run = run_doctor,
	    .usage = "[--config FILE]",
	    .summary = "look for what keeps pinholed from working",
	    .help = "Checks the kernel, the daemon and the firewall in force, and says what\n"
		    "to do. Without a daemon, FILE or the installed configuration says what\n"
		    "to look for. Exit status 1 when something is wrong.\n"
		    "--json: one object, {\"ok\": ..., \"checks\": [...]}.\n",
	    .takes_config = true,
	},
	{
	    .name = "check-config",
	    .run = run_check_config,
	    .usage = "[FILE]",
	    .summary = "read a configuration file and complain",
	    .help = "FILE is " PH_CONF_FILE " when it is not given.\n"
		    "Needs no daemon. --json: one object, {\"file\", \"ok\", \"error\"}.\n",
	    .max_args = 1,
	},
	{
	    .name = "replay",
	    .run = run_replay,
	    .usage = "[--config FILE] FILE",
	    .summary = "what would happen to the packets of a capture",
	    .help = "FILE is a pcap or pcapng file, or - for standard input. Needs neither\n"
		    "root nor a daemon. A summary goes to standard error.\n"
		    "--json: one object a line, with the keys time, frame, event (open, bind,\n"
		    "close or refuse), service, proto, src, sport, dst, dport, reason, and\n"
		    "session with proto, src, sport, dst, dport.\n",
	    .min_args = 1,
	    .max_args = 1,
	    .takes_config = true,
	},
	{
	    .name = "profile",
	    .run = run_profile,
	    .usage = "list | show NAME|FILE | render NAME|FILE\n"
		     "       [--define ROLE=PREFIX,...] [--with SERVICE,...] "
		     "[--without SERVICE,...] [--catalogue DIR]",
	    .summary = "strict nftables rule sets for systems whose ports are documented",
	    .help =
		"list     the profiles there are\n"
		"show     what one lets through, who is meant, what the documents leave open\n"
		"render   the rule set, for nft -f, on standard output\n"
		"\n"
		"FILE, a name with a / or ending in .nft, is such a rule set: the lists and\n"
		"switches at its head hold, and only they. Render it anew after an update.\n"
		"  --define ROLE=PREFIX,...   who is meant: addresses and networks, IPv4 and "
		"IPv6;\n"
		"                             also_in_tcp=PORT,... (also_in_udp, also_out_tcp,\n"
		"                             also_out_udp): ports of your own; inside=NAME,...:\n"
		"                             interfaces of containers\n"
		"  --with SERVICE,...         switched on\n"
		"  --without SERVICE,...      switched off\n"
		"  --catalogue DIR            instead of " PROFILE_CATALOGUE "\n"
		"Options may be repeated; what is set twice holds as set last. Needs neither\n"
		"root nor a daemon. --json with list and show: one object.\n",
	    .min_args = 1,
	    .max_args = 2,
	    .takes_profile = true,
	},
	{
	    .name = "audit",
	    .run = run_audit,
	    .usage = "NAME|FILE [--define ROLE=PREFIX,...] [--with SERVICE,...]\n"
		     "       [--without SERVICE,...] [--catalogue DIR] [--config FILE]",
	    .summary = "hold this host against a profile (root)",
	    .help =
		"Compares what listens here, and whom the rule set in force lets in (with a\n"
		"profile that filters output: out), with what the profile wants. NAME, FILE\n"
		"and the options are those of `profile`; give it the file that is loaded.\n"
		"Nothing is changed, no packet is sent, and no daemon is needed; --config says\n"
		"how pinholed admits. Exit status 1 when something is found; what cannot be\n"
		"decided is a note. --json: one object, {\"ok\", \"profile\", \"findings\": "
		"[...]}.\n",
	    .min_args = 1,
	    .max_args = 1,
	    .takes_config = true,
	    .takes_profile = true,
	},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char options_help[] =
    "options, before or after the command:\n"
    "  -s, --socket SOCKET   the daemon's socket\n"
    "  -r, --runtime-dir DIR the daemon's runtime directory (" PH_RUNTIME_DIR ")\n"
    "      --json            objects for programs instead of tables for people\n"
    "  -h, --help            this, or with a command, about the command\n"
    "  -V, --version\n"
    "exit status: 0 done; 1 no (not found, refused, something is wrong); 2 wrong usage\n";

static void print_help(const struct command *c)
{
	if (c) {
		print_usage_of(stdout, c);
		(void)printf("%s.\n\n%s\n%s", c->summary, c->help, options_help);
		return;
	}
	(void)puts("usage: pinholectl [OPTION...] COMMAND [ARGUMENT...]\n\ncommands:");
	for (size_t i = 0; i < N_COMMANDS; i++)
		(void)printf("  %-13s %s\n", commands[i].name, commands[i].summary);
	(void)printf("\n%s", options_help);
}

static const struct command *command_of(const char *word)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, word) == 0)
			return &commands[i];
	return NULL;
}

enum { OPT_JSON = 256, OPT_CONFIG, OPT_CATALOGUE, OPT_DEFINE, OPT_WITH, OPT_WITHOUT };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "runtime-dir", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "catalogue", required_argument, NULL, OPT_CATALOGUE },
	{ "define", required_argument, NULL, OPT_DEFINE },
	{ "with", required_argument, NULL, OPT_WITH },
	{ "without", required_argument, NULL, OPT_WITHOUT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* The option that getopt_long() has just refused. */
static int wrong_option(int argc, char **argv, bool missing)
{
	char letter[3] = { '-', (char)optopt, '\0' };
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	bool is_long = strncmp(word, "--", 2) == 0;

	return wrong_usage(NULL, missing ? "a value is missing after" : "no such option:",
	    is_long || !optopt || optopt > 0xff ? word : letter);
}

static int run(const struct call *call)
{
	const struct command *c = call->command;

	if (call->argc < c->min_args)
		return wrong_usage(c, "an argument is missing", NULL);
	if (call->argc > c->max_args)
		return wrong_usage(c, "one argument too many:", call->argv[c->max_args]);
	if (call->config && !c->takes_config)
		return wrong_usage(c, "not an option of this command:", "--config");
	if (!c->takes_profile && call->profile.catalogue)
		return wrong_usage(c, "not an option of this command:", "--catalogue");
	if (!c->takes_profile && call->profile.n)
		return wrong_usage(
		    c, "not an option of this command, with", call->profile.option[0].text);
	return c->run(call);
}

int main(int argc, char **argv)
{
	const char *runtime = PH_RUNTIME_DIR, *socket = NULL;
	struct call call = { .json = false };
	char path[256];
	bool help = false;
	int opt, status;

	/* GNU getopt_long() finds options behind the command, too. */
	while ((opt = getopt_long(argc, argv, ":s:r:hV", long_options, NULL)) != -1) {
		switch (opt) {
		case 's':
			socket = optarg;
			break;
		case 'r':
			runtime = optarg;
			break;
		case OPT_JSON:
			call.json = true;
			break;
		case OPT_CONFIG:
			call.config = optarg;
			break;
		case OPT_CATALOGUE:
			call.profile.catalogue = optarg;
			break;
		case OPT_DEFINE:
		case OPT_WITH:
		case OPT_WITHOUT:
			if (!profile_request_add(
				&call.profile, PROFILE_DEFINE + (opt - OPT_DEFINE), optarg))
				return wrong_usage(NULL, "too many options at", optarg);
			break;
		case 'h':
			help = true;
			break;
		case 'V':
			(void)puts("pinholectl " PH_VERSION);
			return DONE;
		default:
			return wrong_option(argc, argv, opt == ':');
		}
	}
	if (optind < argc) {
		call.command = command_of(argv[optind]);
		if (!call.command)
			return wrong_usage(NULL, "no such command:", argv[optind]);
		call.argc = argc - optind - 1;
		call.argv = argv + optind + 1;
	}
	if (help) {
		print_help(call.command);
		return DONE;
	}
	if (!call.command)
		return wrong_usage(NULL, "a command is missing", NULL);
	if (!socket) {
		int n = snprintf(path, sizeof(path), "%s/%s", runtime, PH_CTL_SOCKET);

		if (n < 0 || (size_t)n >= sizeof(path))
			return wrong_usage(NULL, "too long:", runtime);
		socket = path;
	}
	call.socket = socket;
	status = run(&call);
	if (fflush(stdout) != 0 || ferror(stdout))
		return no("standard output: %s", strerror(errno));
	return status;
}
