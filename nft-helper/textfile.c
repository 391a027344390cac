// SPDX-License-Identifier: GPL-2.0-or-later
#include "textfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int textfile_read(const char *path, char **text, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *bytes, *fits;
	size_t n;
	int ret = 0;

	if (!f)
		return -errno;
	bytes = malloc(TEXTFILE_MAX + 1);
	if (!bytes) {
		(void)fclose(f);
		return -ENOMEM;
	}
	n = fread(bytes, 1, TEXTFILE_MAX + 1, f);
	if (ferror(f))
		ret = errno ? -errno : -EIO;
	else if (n > TEXTFILE_MAX)
		ret = -EFBIG;
	(void)fclose(f);
	if (ret < 0) {
		free(bytes);
		return ret;
	}
	bytes[n] = '\0';
	fits = realloc(bytes, n + 1);
	*text = fits ? fits : bytes;
	*len = n;
	return 0;
}
