/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles for programs, as JSON objects, and for people, on standard output. In the objects words
 * of the catalogue stand as it has them; null is what it leaves empty.
 */
#ifndef PROFILE_SHOW_H
#define PROFILE_SHOW_H

#include <jansson.h>
#include "profile.h"

/* {"profiles":[...]}; NULL without memory. */
json_t *profile_list_json(const struct catalogue *c);

/* Everything about one profile as it is settled; NULL without memory. */
json_t *profile_json(const struct profile *p);

/* False without memory. */
bool profile_list_show(const struct catalogue *c);
bool profile_show(const struct profile *p);

#endif
