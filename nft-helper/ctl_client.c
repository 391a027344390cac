// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lines over a unix stream socket, through stdio. An answer ends with the one object that has "ok".
 */
#include "ctl_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds for a line that the daemon has at hand */

struct ctl_client {
	FILE *stream;
	char *line;
	size_t room;
};

int ctl_client_open(struct ctl_client **out, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ctl_client *c = calloc(1, sizeof(*c));
	int fd = -1, ret = 0;

	if (!c)
		return -ENOMEM;
	if (strlen(path) >= sizeof(address.sun_path)) {
		ret = -ENAMETOOLONG;
		goto out;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		ret = -errno;
		goto out;
	}
	c->stream = fdopen(fd, "r");
	if (!c->stream) {
		ret = -errno;
		goto out;
	}
	*out = c;
	c = NULL;
	fd = -1;
out:
	if (fd >= 0)
		(void)close(fd);
	free(c);
	return ret;
}

int ctl_client_ask(struct ctl_client *c, json_t *request, bool patient)
{
	struct timeval limit = { .tv_sec = patient ? 0 : PATIENCE };
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int fd = fileno(c->stream), ret = 0;
	size_t len, sent = 0;

	json_decref(request);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len++] = '\n'; /* the terminator is not needed any more */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0) {
		ret = -errno;
		goto out;
	}
	while (sent < len) {
		ssize_t n = send(fd, text + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0) {
			ret = -errno;
			goto out;
		}
		sent += (size_t)n;
	}
out:
	free(text);
	return ret;
}

int ctl_client_next(struct ctl_client *c, json_t **item, char *error, size_t cap)
{
	const char *words;
	json_error_t where;
	json_t *object, *ok;
	ssize_t len;
	int ret;

	errno = 0;
	len = getline(&c->line, &c->room, c->stream);
	if (len <= 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return -ETIMEDOUT;
		return errno ? -errno : -ECONNRESET;
	}
	object = json_loadb(c->line, (size_t)len, 0, &where);
	if (!json_is_object(object)) {
		json_decref(object);
		return -EPROTO;
	}
	ok = json_object_get(object, "ok");
	if (!ok) {
		*item = object;
		return 1;
	}
	words = json_string_value(json_object_get(object, "error"));
	(void)snprintf(error, cap, "%s", words ? words : "no reason given");
	ret = json_is_true(ok) ? 0 : -EREMOTEIO;
	json_decref(object);
	return ret;
}

void ctl_client_close(struct ctl_client *c)
{
	if (!c)
		return;
	(void)fclose(c->stream);
	free(c->line);
	free(c);
}
