// SPDX-License-Identifier: GPL-2.0-or-later
#include "profile_cmd.h"

#include <errno.h>
#include <string.h>
#include "describe.h"
#include "profile_show.h"

bool profile_request_add(struct profile_request *r, int kind, const char *text)
{
	if (r->n == PROFILE_OPTIONS)
		return false;
	r->option[r->n++] = (struct profile_option){ .kind = kind, .text = text };
	return true;
}

static bool is_file(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 4 && strcmp(name + len - 4, ".nft") == 0);
}

static int load(struct catalogue *c, const struct profile_request *r, char *error)
{
	int ret = catalogue_load(c, r->catalogue ? r->catalogue : PROFILE_CATALOGUE, error);

	if (ret == -ENOENT && !r->catalogue) {
		size_t used = strlen(error);

		(void)snprintf(error + used, CAT_ERROR - used,
		    "; `make install` brings it, --catalogue DIR names another");
	}
	return ret;
}

static int settle(struct profile_settings *s, const struct profile_request *r, char *error)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->n; i++) {
		const struct profile_option *o = &r->option[i];

		if (o->kind == PROFILE_DEFINE)
			ret = profile_define(s, o->text, error);
		else
			ret = profile_switches(s, o->text, o->kind == PROFILE_WITH, error);
	}
	return ret;
}

int profile_open(
    struct profile_opened *out, const struct profile_request *r, const char *name, char *error)
{
	char in_file[CAT_WORD];
	int ret;

	out->settings = (struct profile_settings){ .n_peers = 0 };
	ret = load(&out->catalogue, r, error);
	if (ret < 0)
		return ret;
	if (is_file(name)) {
		ret = profile_settings_read(&out->settings, in_file, name, error);
		name = in_file;
	}
	if (ret == 0)
		ret = settle(&out->settings, r, error);
	if (ret == 0)
		ret = profile_build(&out->profile, &out->catalogue, name, &out->settings, error);
	if (ret < 0) {
		profile_settings_free(&out->settings);
		catalogue_free(&out->catalogue);
	}
	return ret;
}

void profile_close(struct profile_opened *o)
{
	profile_free(&o->profile);
	profile_settings_free(&o->settings);
	catalogue_free(&o->catalogue);
}

static int no_memory(char *error)
{
	(void)snprintf(error, CAT_ERROR, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

static int print(json_t *object, char *error)
{
	if (!object)
		return no_memory(error);
	(void)json_dumpf(object, stdout, DESCRIBE_JSON);
	(void)putchar('\n');
	json_decref(object);
	return 0;
}

static int list(const struct profile_request *r, bool json, const char *name, char *error)
{
	struct catalogue c;
	int ret = load(&c, r, error);

	(void)name;
	if (ret < 0)
		return ret;
	if (json)
		ret = print(profile_list_json(&c), error);
	else
		ret = profile_list_show(&c) ? 0 : no_memory(error);
	catalogue_free(&c);
	return ret;
}

static int show(const struct profile_request *r, bool json, const char *name, char *error)
{
	struct profile_opened o;
	int ret = profile_open(&o, r, name, error);

	if (ret < 0)
		return ret;
	if (json)
		ret = print(profile_json(&o.profile), error);
	else
		ret = profile_show(&o.profile) ? 0 : no_memory(error);
	profile_close(&o);
	return ret;
}

/* The rule set; a warning on standard error when it would shut everybody out. */
static int render(const struct profile_request *r, bool json, const char *name, char *error)
{
	struct profile_opened o;
	char missing[CAT_ERROR];
	int ret = profile_open(&o, r, name, error);

	(void)json;
	if (ret < 0)
		return ret;
	ret = profile_render(&o.profile, stdout);
	if (ret < 0)
		(void)snprintf(error, CAT_ERROR, "standard output: %s", strerror(-ret));
	else if (!profile_has_login(&o.profile, missing))
		(void)fprintf(
		    stderr, "pinholectl: nobody may log in by ssh with this: %s\n", missing);
	profile_close(&o);
	return ret;
}

static const struct subcommand {
	const char *name;
	int (*run)(const struct profile_request *r, bool json, const char *name, char *error);
	bool takes_name, takes_options, has_json;
} subcommands[] = {
	{ "list", list, false, false, true },
	{ "show", show, true, true, true },
	{ "render", render, true, true, false },
};

int profile_command(const struct profile_request *r, bool json, int argc, char **argv, char *error,
    const char **word)
{
	const struct subcommand *c = NULL;
	const char *what = NULL;

	for (size_t i = 0; argc && i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		if (strcmp(subcommands[i].name, argv[0]) == 0)
			c = &subcommands[i];
	*word = NULL;
	if (!c) {
		what = "not a word of this command:";
		*word = argc ? argv[0] : "";
	} else if (argc < 1 + c->takes_name) {
		what = "the name of a profile, or a file, is missing";
	} else if (argc > 1 + c->takes_name) {
		what = "one argument too many:";
		*word = argv[1 + c->takes_name];
	} else if (r->n && !c->takes_options) {
		what = "options that settle a profile, where there is none";
	} else if (json && !c->has_json) {
		what = "not an option of this command:";
		*word = "--json";
	}
	if (what) {
		(void)snprintf(error, CAT_ERROR, "%s", what);
		return 1;
	}
	return c->run(r, json, argv[argc - 1], error);
}
