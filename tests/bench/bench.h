/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the measuring programs share: the one clock of all network namespaces, the way into a
 * namespace by name, and giving up. They are run by tests/bench/run and trust their arguments.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NSEC 1000000000ull

/* A figure from a run that went wrong is worse than none. */
#define die(...)                                                                                   \
	do {                                                                                       \
		fprintf(stderr, "%s: ", program_invocation_short_name);                            \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		exit(1);                                                                           \
	} while (0)

/* CLOCK_MONOTONIC, ns: comparable between processes and network namespaces. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

/* Sockets opened from now on are in the namespace `ip netns` knows by this name. */
static inline void netns_enter(const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("network namespace %s: %s", name, strerror(errno));
	(void)close(fd);
}

static inline unsigned int number(const char *text, unsigned int least, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < least || n > most)
		die("'%s' is not a number from %u to %u", text, least, most);
	return (unsigned int)n;
}

#endif
