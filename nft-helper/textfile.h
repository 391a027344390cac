/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A text file as one string, read at once. */
#ifndef TEXTFILE_H
#define TEXTFILE_H

#include <stddef.h>

#define TEXTFILE_MAX ((size_t)1 << 20)

/*
 * The bytes of a file with a NUL behind them, to be freed by the caller. 0; -errno; -EFBIG beyond
 * TEXTFILE_MAX.
 */
int textfile_read(const char *path, char **text, size_t *len);

#endif
