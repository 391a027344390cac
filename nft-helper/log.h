/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's log: lines on standard error, with the priority prefix of sd-daemon(3) when the
 * journal reads them. What a peer can cause goes through log_peer(), which is rate-limited.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* Lines above this level are left out. */
void log_open(enum log_level most);

/* For a caller that would have to format something first. */
bool log_wanted(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As above, but at most 10 lines a second; then one line says how many were left out. */
void log_peer(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
