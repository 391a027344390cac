// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of sessions, by original tuple and by id, and of the clients that they are counted
 * against. When a session begins and what ends it is the engine's business.
 */
#include "session.h"

#include <stdlib.h>

struct session *session_by_id(const struct sessions *t, uint32_t id)
{
	struct session *s = NULL;

	HASH_FIND(by_id, t->by_id, &id, sizeof(id), s);
	return s;
}

struct session *session_of(const struct sessions *t, const struct tuple *original)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, original, sizeof(*original));
	struct session *s = NULL;

	HASH_FIND_BYHASHVALUE(by_tuple, t->by_tuple, original, sizeof(*original), h, s);
	return s;
}

/* Without the port that its next life will change. */
static struct tuple talk_of(const struct tuple *original)
{
	struct tuple talk = *original;

	talk.sport = 0;
	return talk;
}

struct session *session_talking(const struct sessions *t, const struct tuple *original)
{
	struct tuple talk = talk_of(original);
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, &talk, sizeof(talk));
	struct session *s = NULL;

	HASH_FIND_BYHASHVALUE(by_talk, t->by_talk, &talk, sizeof(talk), h, s);
	return s;
}

/* For sessions that only silence ends; false when memory is out. */
static bool add_talk(struct sessions *t, struct session *s)
{
	unsigned int h;

	s->talk = talk_of(&s->tuple);
	h = (unsigned int)hash_sip13(t->hash_key, &s->talk, sizeof(s->talk));
	if (!deadline_arm(&t->silences, &s->silence, DEADLINE_NEVER - 1))
		return false;
	HASH_ADD_BYHASHVALUE(by_talk, t->by_talk, talk, sizeof(s->talk), h, s);
	if (s->by_talk.tbl)
		return true;
	deadline_disarm(&t->silences, &s->silence);
	return false;
}

static void remove_talk(struct sessions *t, struct session *s)
{
	HASH_DELETE(by_talk, t->by_talk, s);
	deadline_disarm(&t->silences, &s->silence);
}

struct client *client_of(const struct sessions *t, const struct addr *a)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, a, sizeof(*a));
	struct client *c = NULL;

	HASH_FIND_BYHASHVALUE(hh, t->clients, a, sizeof(*a), h, c);
	return c;
}

struct client *client_get(struct sessions *t, const struct addr *a)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, a, sizeof(*a));
	struct client *c = client_of(t, a);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->addr = *a;
	HASH_ADD_BYHASHVALUE(hh, t->clients, addr, sizeof(c->addr), h, c);
	if (!c->hh.tbl) {
		free(c);
		return NULL;
	}
	return c;
}

void client_put(struct sessions *t, struct client *c)
{
	if (c->sessions || c->pinholes)
		return;
	HASH_DELETE(hh, t->clients, c);
	free(c);
}

static uint32_t fresh_id(struct sessions *t)
{
	do {
		t->last_id++;
	} while (t->last_id == 0 || session_by_id(t, t->last_id));
	return t->last_id;
}

struct session *session_new(
    struct sessions *t, const struct tuple *original, const struct tracker *tracker)
{
	unsigned int h = (unsigned int)hash_sip13(t->hash_key, original, sizeof(*original));
	struct session *s = calloc(1, sizeof(*s) + tracker->state_size);

	if (!s)
		return NULL;
	s->tuple = *original;
	s->tracker = tracker;
	s->service = (uint8_t)tracker->service;
	s->id = fresh_id(t);
	s->client = client_get(t, &original->src);
	if (!s->client)
		goto no_client;
	s->client->sessions++;
	HASH_ADD_BYHASHVALUE(by_tuple, t->by_tuple, tuple, sizeof(s->tuple), h, s);
	if (!s->by_tuple.tbl)
		goto no_tuple;
	HASH_ADD(by_id, t->by_id, id, sizeof(s->id), s);
	if (!s->by_id.tbl)
		goto no_id;
	if (tracker->one_way && !add_talk(t, s))
		goto no_talk;
	return s;
no_talk:
	HASH_DELETE(by_id, t->by_id, s);
no_id:
	HASH_DELETE(by_tuple, t->by_tuple, s);
no_tuple:
	s->client->sessions--;
	client_put(t, s->client);
no_client:
	free(s);
	return NULL;
}

void session_free(struct sessions *t, struct session *s)
{
	HASH_DELETE(by_tuple, t->by_tuple, s);
	HASH_DELETE(by_id, t->by_id, s);
	if (s->tracker->one_way)
		remove_talk(t, s);
	stream_free(&s->stream[DIR_ORIGINAL]);
	stream_free(&s->stream[DIR_REPLY]);
	free(s->asked);
	s->client->sessions--;
	client_put(t, s->client);
	free(s);
}

void sessions_free(struct sessions *t)
{
	struct session *s, *tmp;
	struct client *c, *next;

	HASH_ITER (by_id, t->by_id, s, tmp)
		session_free(t, s);
	HASH_ITER (hh, t->clients, c, next) {
		HASH_DELETE(hh, t->clients, c);
		free(c);
	}
	deadlines_free(&t->silences);
}
