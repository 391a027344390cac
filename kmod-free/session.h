/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session: the master connection of its pinholes, from its first accepted packet to the end of
 * its conntrack entry; and the client it belongs to, for limits.
 */
#ifndef SESSION_H
#define SESSION_H

#include "hash.h"
#include "pinhole.h"
#include "policy.h"
#include "stream.h"
#include "tracker.h"

struct client {
	struct addr addr; /* source of the original direction */
	uint32_t sessions, pinholes;
	UT_hash_handle hh;
};

struct pair;

/* A question of the tracker that waits for its answer. */
struct asked {
	uint64_t until; /* ns, engine time; 0: taken */
	struct question question;
};

struct session {
	struct tuple tuple; /* original direction; the key */
	uint32_t id;
	uint8_t service; /* enum ph_service */
	bool resumed;    /* its beginning was not seen */
	uint8_t
	    inherited;  /* 1 << enum dir: an earlier run saw its beginning, this one no byte yet */
	bool encrypted; /* no more bytes go to the tracker */
	bool over;      /* likewise: its tracker has heard all that counts */
	bool proven;    /* conntrack has shown it since the last resync */
	uint8_t finished;             /* 1 << enum dir: that direction sent its FIN */
	uint64_t started_at, last_at; /* ns, engine time */
	uint32_t opened, refused;
	const struct tracker *tracker;
	struct client *client;
	struct owner owner; /* of pinholes that end with this session */
	struct pair *pair;  /* whose mappings this flow keeps alive; NULL for most services */
	struct session *prev, *next; /* within pair */
	struct deadline silence;     /* one-way services: the session ends then */
	struct tuple talk;           /* likewise: tuple without its source port */
	struct asked *asked;         /* ring of QUESTIONS; NULL until the tracker asks */
	uint32_t asked_count;
	uint32_t window_id;      /* of the port window that it shares, or 0 */
	struct stream stream[2]; /* enum dir; unused for UDP */
	UT_hash_handle by_tuple, by_id, by_talk;
	uint8_t state[] __attribute__((aligned(16))); /* tracker->state_size bytes */
};

struct sessions {
	struct session *by_tuple, *by_id, *by_talk; /* uthash heads */
	struct deadlines silences;
	struct client *clients;
	uint32_t last_id;
	uint8_t hash_key[HASH_KEY_LEN];
};

/* A zeroed session with an id, its tracker and its client. NULL when memory is out. */
struct session *session_new(
    struct sessions *t, const struct tuple *original, const struct tracker *tracker);

/* Its pinholes have been taken out by the caller. */
void session_free(struct sessions *t, struct session *s);

struct session *session_of(const struct sessions *t, const struct tuple *original);
struct session *session_by_id(const struct sessions *t, uint32_t id);

/* The session of a one-way service from whatever port to this destination. */
struct session *session_talking(const struct sessions *t, const struct tuple *original);

/* The client with this address, made if it is new. NULL when memory is out. */
struct client *client_get(struct sessions *t, const struct addr *a);

/* NULL: none known (nothing is counted against it yet). */
struct client *client_of(const struct sessions *t, const struct addr *a);

/* Forgets the client when nothing is counted against it any more. */
void client_put(struct sessions *t, struct client *c);

void sessions_free(struct sessions *t);

#endif
