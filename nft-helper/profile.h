/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A profile: the rows of one host's roles, merged, with what an administrator has settled (who the
 * peers are, what is switched on), and the strict nftables rule set that follows from both.
 * Files in rules/profiles are profile_render() of settings that settle nothing.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdio.h>

#include "addr.h"
#include "catalogue.h"

#define PROFILE_TABLE "strict" /* table inet; loading another profile replaces it */

/* What the top of a rule set says; the same words as --define, --with and --without. */
struct profile_peer {
	char name[CAT_WORD];
	struct prefix *prefix;
	size_t n;
};

struct profile_switch {
	char service[CAT_WORD];
	bool on;
};

struct profile_settings {
	struct profile_peer *peers;
	size_t n_peers;
	struct profile_switch *switches;
	size_t n_switches;
	/* Ports of the administrator's own, from and to anybody: --define
	 * also_in_tcp=8080,9000-9010 */
	struct cat_ports also_in_tcp, also_in_udp, also_out_tcp, also_out_udp;
	/* --define inside=docker0,veth*: the interfaces of containers, in place of the profile's */
	struct cat_words inside;
	bool has_inside;
};

/* One rule, perhaps of several rows. */
struct profile_rule {
	const struct cat_row *row; /* the first of them */
	enum cat_need need;        /* the strongest */
	unsigned int facts;        /* of all of them */
	unsigned int family;       /* of all of them: IPv4 and IPv6 by themselves are both */
	bool preset, on;           /* as the catalogue has it, and as it is settled */
	/* Shorthand for what all its rows agree in: */
	const char *peer, *service;
	enum cat_direction direction; /* never CAT_LOCAL */
	bool pinhole;                 /* no rule in nftables: pinholed opens it */
	bool made; /* it is a rule in nftables: no pinhole, and its direction is filtered */
	size_t n_rows;
	const struct cat_row **rows;
};

/* What is switched by one name, and stands as a define at the head of the rule set. */
struct profile_service {
	char name[CAT_WORD];
	enum cat_need need; /* the strongest of its rules */
	bool on;
};

struct profile {
	const struct cat_profile *about;
	const struct catalogue *catalogue;       /* borrowed; must outlive the profile */
	const struct profile_settings *settings; /* borrowed */
	struct profile_rule *rules;              /* by direction, peer, then the documents' order */
	size_t n_rules;
	struct profile_service *services; /* in the order of the rules that are made */
	size_t n_services;
	const struct cat_row **local; /* open within the host alone: no rule */
	size_t n_local;
	const struct cat_row **never; /* default never, neither local nor a pinhole: no rule */
	size_t n_never;
	/*
	 * Roles of peers of the rules that are made, in the order of peers.tsv, and `admins` for
	 * rescue_ssh. "any" is not one of them.
	 */
	const char **peers;
	size_t n_peers;
	const struct cat_words *inside; /* interfaces, with containers */
	bool rescue; /* no row lets ssh in: there is a switch rescue_ssh, off, tcp 22 from admins */
	bool rescue_on;
	bool ping; /* no row is about icmp: there is a switch ping, on, echo requests of anybody */
	bool ping_on;
};

#define PROFILE_RESCUE "rescue_ssh"
#define PROFILE_ADMINS "admins"
#define PROFILE_PING   "ping"
#define PROFILE_INSIDE "inside"

/*
 * `--define ROLE=PREFIX,...`, `--with S,...` and `--without S,...`; what is set twice holds as set
 * last (prefixes of one role add up within one define only). -EINVAL with the word that is wrong in
 * error[CAT_ERROR].
 */
int profile_define(struct profile_settings *s, const char *assignment, char *error);
int profile_switches(struct profile_settings *s, const char *services, bool on, char *error);

/*
 * The name and the settings at the head of a rule set that profile_render() has written and perhaps
 * a person has edited: its `define` lines. name[CAT_WORD]. Errors as of catalogue_load().
 */
int profile_settings_read(struct profile_settings *s, char *name, const char *path, char *error);
void profile_settings_free(struct profile_settings *s);

/*
 * -EINVAL for a profile, role or service that there is not, with the word, and those that there
 * are, in error.
 */
int profile_build(struct profile *out, const struct catalogue *c, const char *name,
    const struct profile_settings *s, char *error);
void profile_free(struct profile *p);

/* The prefixes that are settled for a role; *n == 0 when none are. */
const struct prefix *profile_prefixes(const struct profile *p, const char *role, size_t *n);

/* Facts of every single rule that is made, when there are several: they may be said once. */
unsigned int profile_common_facts(const struct profile *p);

/*
 * Whether anybody at all may log in by ssh (tcp 22) as it is settled. When nobody may,
 * missing[CAT_ERROR] gets the options that would help.
 */
bool profile_has_login(const struct profile *p, char *missing);

/* 0; -errno of the stream. */
int profile_render(const struct profile *p, FILE *to);

#endif
