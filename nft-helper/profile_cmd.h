/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pinholectl's commands on profiles: what they are called with, and a profile that is open. */
#ifndef PROFILE_CMD_H
#define PROFILE_CMD_H

#include "profile.h"

#ifndef PH_DATADIR
#define PH_DATADIR "/usr/local/share/pinholed"
#endif
#define PROFILE_CATALOGUE PH_DATADIR "/catalogue"
#define PROFILE_OPTIONS   64

/* The options that settle something, in the order in which they came: the last one holds. */
struct profile_request {
	const char *catalogue; /* --catalogue, or NULL */
	struct profile_option {
		enum { PROFILE_DEFINE, PROFILE_WITH, PROFILE_WITHOUT } kind;
		const char *text;
	} option[PROFILE_OPTIONS];
	size_t n;
};

/* False when there are too many. */
bool profile_request_add(struct profile_request *r, int kind, const char *text);

/* A profile with everything that it borrows from. */
struct profile_opened {
	struct catalogue catalogue;
	struct profile_settings settings;
	struct profile profile;
};

/*
 * Reads the catalogue, then builds the profile `name`; or, when that has a '/' or ends in ".nft",
 * the one of that rule set, with the settings at its head. The request's options come on top.
 * Errors as of catalogue_load(); *out is to be closed when it returns 0 and only then.
 */
int profile_open(
    struct profile_opened *out, const struct profile_request *r, const char *name, char *error);
void profile_close(struct profile_opened *o);

/*
 * `pinholectl profile ARGUMENT...`. 0; -errno: no, error[CAT_ERROR] says why; 1: wrong usage, and
 * *word is the argument that is wrong or NULL.
 */
int profile_command(const struct profile_request *r, bool json, int argc, char **argv, char *error,
    const char **word);

#endif
