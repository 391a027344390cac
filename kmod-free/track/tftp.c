// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TFTP: RFC 1350, with options as of RFC 2347. A read or write request is answered from a port of
 * the server's choice to the port that the request came from, so that is what is asked for. Servers
 * that answer from port 69 itself need nothing: to conntrack that is the reply, as is all else that
 * goes to and fro there, and none of it is looked at.
 */
#include "tracker.h"

#include <stdio.h>

enum opcode { OP_RRQ = 1, OP_WRQ = 2 };

/* As much of a file name as tells it apart from others in `pinholectl why`. */
#define NAME_SHOWN 40

/* A string of at least one byte and its NUL (RFC 1350 section 5). */
CURSOR_MUST static bool string(struct cursor *c, struct cursor *out)
{
	return cursor_until(c, '\0', out) && out->left > 0;
}

/* "netascii", "octet" or "mail", "in any combination of upper and lower case". */
static const char *mode_of(const struct cursor *word)
{
	static const char *const modes[] = { "netascii", "octet", "mail" };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct cursor c = *word;

		if (cursor_word(&c, modes[i]) && c.left == 0)
			return modes[i];
	}
	return NULL;
}

/* Options may follow the mode; they are between client and server. */
static void on_request(struct track *t, enum opcode opcode, struct cursor c, struct cursor whole)
{
	struct request r = {
		.dir = DIR_REPLY,
		.l4proto = L4_UDP,
		.port = track_source_port(t),
		.cause = whole,
	};
	struct cursor name, word;
	const char *mode = NULL;
	char text[128];
	int n;

	if (string(&c, &name) && string(&c, &word))
		mode = mode_of(&word);
	if (!mode) {
		track_refuse(t, REASON_MALFORMED, &r);
		return;
	}
	n = snprintf(text, sizeof(text), "%s %s %.*s%s", opcode == OP_RRQ ? "RRQ" : "WRQ", mode,
	    name.left > NAME_SHOWN ? NAME_SHOWN : (int)name.left, (const char *)name.at,
	    name.left > NAME_SHOWN ? "..." : "");
	r.cause = cursor_of(text, (size_t)n);
	(void)track_expect(t, &r);
}

static void tftp_datagram(struct track *t, void *state, enum dir dir, struct cursor c)
{
	const struct cursor whole = c;
	uint16_t opcode;

	(void)state;
	if (dir != DIR_ORIGINAL || !cursor_be16(&c, &opcode))
		return;
	if (opcode == OP_RRQ || opcode == OP_WRQ)
		on_request(t, (enum opcode)opcode, c, whole);
}

const struct tracker tftp_tracker = {
	.name = "tftp",
	.service = PH_SVC_TFTP,
	.datagram = tftp_datagram,
};
