/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The objects of pinhole/ctl.h as people read them, on standard output. A value that is missing or
 * of another type than expected prints as "-": a newer daemon must not confuse an older pinholectl.
 * Bytes that a terminal would obey never get out.
 */
#ifndef SHOW_H
#define SHOW_H

#include <jansson.h>
#include <stdbool.h>

/* Rows that are aligned once all are known. */
struct show_table;

struct show_table *show_table_pinholes(void);
struct show_table *show_table_sessions(void);
struct show_table *show_table_rpc(void);

/* Of profile_show.h: the profiles; what one lets through. */
struct show_table *show_table_profiles(void);
struct show_table *show_table_profile(void);

/* Adds an item; false when memory is out. */
bool show_table_add(struct show_table *t, const json_t *item);

/* Prints and frees; says `nothing` when there are no rows. */
void show_table_end(struct show_table *t, const char *nothing);

/* For when it is not to be printed after all. */
void show_table_free(struct show_table *t);

/* session may be NULL. */
void show_pinhole(const json_t *pinhole, const json_t *session);
void show_why(const json_t *pinhole);
void show_stats(const json_t *stats);
void show_status(const json_t *status);

/* The result of doctor_examine(). */
void show_findings(const json_t *result);

/* One line an event, as they come; frames: with the frame number. */
void show_event_head(bool frames);
void show_event(const json_t *event, bool frames);

#endif
