// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pinholed(8): command line and order of events. Everything else is in daemon.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "conf.h"
#include "daemon.h"
#include "log.h"
#include "pinhole/ctl.h"

static const char usage_text[] =
    "usage: pinholed [-c FILE] [-r DIRECTORY] [-q | -v]\n"
    "\n"
    "Follows the control sessions of dynamic-port protocols and opens the firewall for exactly "
    "the\n"
    "flows that they announce, while they live. Stays in the foreground.\n"
    "\n"
    "  -c, --config FILE           configuration (default " PH_CONF_FILE ")\n"
    "  -r, --runtime-dir DIRECTORY control socket and saved state (default " PH_RUNTIME_DIR ")\n"
    "  -q, --quiet                 log warnings and errors only\n"
    "  -v, --verbose               log every session and pinhole\n"
    "  -V, --version               print the version and exit\n"
    "  -h, --help                  print this text and exit\n"
    "\n"
    "SIGHUP reads the configuration again; nothing that is open closes.\n"
    "See pinholed(8), pinholed.conf(5), pinholectl(8).\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "runtime-dir", required_argument, NULL, 'r' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct daemon_options where = { .runtime_dir = PH_RUNTIME_DIR };
	enum log_level level = LOG_LEVEL_NOTICE;
	char error[CONF_ERROR];
	struct daemon *d = NULL;
	struct config conf;
	int c, err;

	while ((c = getopt_long(argc, argv, "c:r:qvVh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			where.conf_path = optarg;
			break;
		case 'r':
			where.runtime_dir = optarg;
			break;
		case 'q':
			level = LOG_LEVEL_WARNING;
			break;
		case 'v':
			level = LOG_LEVEL_DEBUG;
			break;
		case 'V':
			puts("pinholed " PH_VERSION);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "pinholed: unexpected argument '%s'\n%s", argv[optind], usage_text);
		return 2;
	}
	log_open(level);
	conf_defaults(&conf);
	/* Only a file that was named must exist. */
	if (where.conf_path || access(PH_CONF_FILE, F_OK) == 0) {
		err = conf_load(
		    where.conf_path ? where.conf_path : PH_CONF_FILE, &conf, error, sizeof(error));
		if (err < 0) {
			log_line(LOG_LEVEL_ERROR, "%s", error);
			return 1;
		}
	}
	err = daemon_start(&d, &where, &conf);
	if (err == 0)
		err = daemon_run(d);
	daemon_stop(d);
	return err < 0;
}
