// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One write(2) a line. Text of peers arrives here escaped; nothing here looks into it.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PEER_LINES_PER_SECOND 10

static enum log_level log_most = LOG_LEVEL_INFO;
static bool log_journal;

void log_open(enum log_level most)
{
	log_most = most;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_wanted(enum log_level level)
{
	return level <= log_most;
}

static void write_line(enum log_level level, const char *format, va_list args)
{
	char line[1024];
	size_t used = 0;
	int n;

	if (log_journal)
		used = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	if (n < 0)
		return;
	used += (size_t)n < sizeof(line) - used - 1 ? (size_t)n : sizeof(line) - used - 2;
	line[used++] = '\n';
	/* There is nobody to tell that the log cannot be written. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	if (!log_wanted(level))
		return;
	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
}

void log_peer(enum log_level level, const char *format, ...)
{
	static time_t second;
	static unsigned int lines, left_out;
	struct timespec now;
	va_list args;

	if (!log_wanted(level))
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != second) {
		if (left_out)
			log_line(level, "%u more lines like the last ones were left out", left_out);
		second = now.tv_sec;
		lines = left_out = 0;
	}
	if (lines++ >= PEER_LINES_PER_SECOND) {
		left_out++;
		return;
	}
	va_start(args, format);
	write_line(level, format, args);
	va_end(args);
}
