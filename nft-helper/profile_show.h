/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles as JSON objects and, made from these, as tables for people on standard output. Words of
 * the catalogue stand in them as it has them; null is what it leaves empty.
 */
#ifndef PROFILE_SHOW_H
#define PROFILE_SHOW_H

#include <jansson.h>
#include "profile.h"

/* {"profiles":[...]}; NULL without memory. */
json_t *profile_list_json(const struct catalogue *c);
void profile_list_show(const json_t *list);

/* Everything about one profile as it is settled; NULL without memory. */
json_t *profile_json(const struct profile *p);
void profile_show(const json_t *profile);

#endif
