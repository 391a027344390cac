// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FTP: RFC 959 (PORT, PASV), 2428 (EPRT, EPSV), 4217 (AUTH TLS), 2577 (bounce attacks).
 *
 * Both directions are cut into lines. Commands wait in a small queue for their replies, because
 * only an answer to a PASV or EPSV may open anything, and clients send several commands at once. A
 * reply counts only at the beginning of a line that follows CRLF: servers echo what strangers wrote
 * into error texts and listings (CERT VU#328867).
 */
#include "tracker.h"

#include <string.h>

/* RFC 959 lines that can announce a port are far shorter; of others the beginning tells enough. */
#define LINE_KEPT 256
/* Beyond any path name: such a line is worth a word to the administrator. */
#define LINE_SANE 8192
#define COMMANDS  16

enum command { CMD_OTHER, CMD_PASV, CMD_EPSV, CMD_EPSV_ALL, CMD_PORT, CMD_AUTH };

struct line {
	uint8_t kept[LINE_KEPT];
	uint32_t length; /* bytes so far, kept or not; stops counting at LINE_SANE + 1 */
	uint8_t last;    /* the byte before */
	bool lost;       /* after a gap: skip to the next line */
	bool bare;       /* the line before did not end in CRLF */
};

struct ftp {
	struct line line[2];
	uint8_t command[COMMANDS]; /* enum command, oldest first, from `oldest` on, wrapping */
	uint8_t oldest, waiting;
	uint32_t beyond;  /* commands that came when the queue was full; they are younger */
	uint32_t port_id; /* pinhole of a PORT or EPRT that has no reply yet */
	uint8_t multi[3]; /* code of the multi-line reply that is under way */
	bool in_multi;
	bool epsv_all;
	bool encrypted; /* the rest of what was cut into lines is ciphertext, too */
};

_Static_assert(sizeof(struct ftp) <= TRACKER_STATE_MAX, "a session's tracker state is bounded");

/* --- commands that wait for their reply ---------------------------------------------------------
 */

static enum command pop(struct ftp *f)
{
	enum command c = CMD_OTHER;

	if (f->waiting) {
		c = (enum command)f->command[f->oldest];
		f->oldest = (uint8_t)((f->oldest + 1) % COMMANDS);
		f->waiting--;
	} else if (f->beyond) {
		f->beyond--;
	}
	return c;
}

static bool push(struct ftp *f, enum command c)
{
	if (f->waiting == COMMANDS || f->beyond) {
		if (f->beyond < UINT32_MAX)
			f->beyond++;
		return false;
	}
	f->command[(f->oldest + f->waiting) % COMMANDS] = (uint8_t)c;
	f->waiting++;
	return true;
}

/*
 * Takes the oldest waiting `c` and all that is older: codes such as 227 answer one command only, so
 * whatever was before it has been answered, or never will be. False when none waits.
 */
static bool pop_until(struct ftp *f, enum command c)
{
	for (unsigned int i = 0; i < f->waiting; i++) {
		if (f->command[(f->oldest + i) % COMMANDS] != c)
			continue;
		f->oldest = (uint8_t)((f->oldest + i + 1) % COMMANDS);
		f->waiting = (uint8_t)(f->waiting - i - 1);
		return true;
	}
	return false;
}

static void forget_commands(struct ftp *f)
{
	f->waiting = 0;
	f->beyond = 0;
	f->port_id = 0;
}

/* --- announcements ------------------------------------------------------------------------------
 */

/* h1,h2,h3,h4,p1,p2 (RFC 959 section 4.1.2); c moves past it only when it is right. */
static bool host_port(struct cursor *c, struct request *r)
{
	struct cursor at = *c;
	uint32_t n[6];
	uint8_t ip[4];

	for (int i = 0; i < 6; i++) {
		if (i && !cursor_char(&at, ','))
			return false;
		if (!cursor_decimal(&at, 255, &n[i]))
			return false;
	}
	for (int i = 0; i < 4; i++)
		ip[i] = (uint8_t)n[i];
	r->announced = addr_ipv4(ip);
	r->port = n[4] << 8 | n[5];
	*c = at;
	return true;
}

/* A port of EPRT or EPSV: the engine judges what is above 65535, so that the reason is right. */
static bool extended_port(struct cursor *c, uint32_t *port)
{
	return cursor_decimal(c, UINT32_MAX, port);
}

static bool ends(struct cursor c)
{
	cursor_blanks(&c);
	return c.left == 0;
}

static bool parse_port(struct cursor c, struct request *r)
{
	cursor_blanks(&c);
	return host_port(&c, r) && ends(c);
}

/* <d>family<d>address<d>port<d> (RFC 2428 section 2) */
static bool parse_eprt(struct cursor c, struct request *r)
{
	struct cursor address;
	uint8_t d, family, again;

	cursor_blanks(&c);
	if (!cursor_u8(&c, &d) || d < 33 || d > 126)
		return false;
	if (!cursor_u8(&c, &family) || !cursor_u8(&c, &again) || again != d)
		return false;
	if (!cursor_until(&c, d, &address) ||
	    !addr_parse((const char *)address.at, address.left, &r->announced))
		return false;
	if (r->announced.family != (family == '1' ? FAMILY_IPV4 : family == '2' ? FAMILY_IPV6 : 0))
		return false;
	return extended_port(&c, &r->port) && cursor_u8(&c, &again) && again == d && ends(c);
}

/*
 * RFC 959 does not promise the parentheses, and RFC 1123 section 4.1.2.6 wants the text searched
 * for the first digit.
 */
static bool parse_227(struct cursor c, struct request *r)
{
	uint8_t byte;

	while (cursor_peek(&c, &byte)) {
		if (byte >= '0' && byte <= '9')
			return host_port(&c, r);
		if (!cursor_skip(&c, 1))
			break;
	}
	return false;
}

/* (<d><d><d>port<d>), RFC 2428 section 3: the address is that of the control connection. */
static bool parse_229(struct cursor c, struct request *r)
{
	struct cursor before;
	uint8_t d, again;

	if (!cursor_until(&c, '(', &before) || !cursor_u8(&c, &d) || d < 33 || d > 126)
		return false;
	for (int i = 0; i < 2; i++)
		if (!cursor_u8(&c, &again) || again != d)
			return false;
	return extended_port(&c, &r->port) && cursor_u8(&c, &again) && again == d &&
	       cursor_char(&c, ')');
}

/* --- lines --------------------------------------------------------------------------------------
 */

static bool verb(struct cursor *c, const char *word)
{
	struct cursor at = *c;
	uint8_t next;

	if (!cursor_word(&at, word) || (cursor_peek(&at, &next) && next != ' ' && next != '\t'))
		return false;
	cursor_blanks(&at);
	*c = at;
	return true;
}

/* RFC 854: an ABOR comes after IAC IP IAC DM; the sequences may stand before any command. */
static void skip_telnet(struct cursor *c)
{
	uint8_t byte;

	while (cursor_peek(c, &byte) && byte >= 0xf0)
		if (!cursor_skip(c, 1))
			return;
}

static void on_port(struct track *t, struct ftp *f, struct cursor line, struct cursor args, bool e)
{
	struct request r = { .dir = DIR_REPLY, .l4proto = L4_TCP, .cause = line };
	enum reason why = REASON_NONE;

	f->port_id = 0;
	if (!push(f, CMD_PORT))
		why = REASON_PIPELINE;
	else if (f->epsv_all)
		why = REASON_EPSV_ALL;
	else if (!(e ? parse_eprt(args, &r) : parse_port(args, &r)))
		why = REASON_MALFORMED;
	if (why != REASON_NONE)
		track_refuse(t, why, &r);
	else
		f->port_id = track_expect(t, &r);
}

static void on_command(struct track *t, struct ftp *f, struct cursor line)
{
	struct request unparsed = { .dir = DIR_ORIGINAL, .l4proto = L4_TCP, .cause = line };
	struct cursor c = line;
	enum command kind = CMD_OTHER;

	skip_telnet(&c);
	cursor_blanks(&c);
	if (c.left == 0)
		return; /* servers do not answer an empty line */
	if (verb(&c, "PORT")) {
		on_port(t, f, line, c, false);
		return;
	}
	if (verb(&c, "EPRT")) {
		on_port(t, f, line, c, true);
		return;
	}
	if (verb(&c, "PASV"))
		kind = CMD_PASV;
	else if (verb(&c, "EPSV"))
		kind = verb(&c, "ALL") ? CMD_EPSV_ALL : CMD_EPSV;
	else if (verb(&c, "AUTH"))
		kind = CMD_AUTH;
	if (kind == CMD_EPSV_ALL)
		f->epsv_all = true;
	if (!push(f, kind) && kind != CMD_OTHER)
		track_refuse(t, REASON_PIPELINE, &unparsed);
}

static void on_passive(
    struct track *t, struct ftp *f, struct cursor line, struct cursor text, int code)
{
	struct request r = { .dir = DIR_ORIGINAL, .l4proto = L4_TCP, .cause = line };
	bool readable = code == 227 ? parse_227(text, &r) : parse_229(text, &r);

	if (!pop_until(f, code == 227 ? CMD_PASV : CMD_EPSV))
		track_refuse(t, REASON_UNSOLICITED, &r);
	else if (code == 227 && f->epsv_all)
		track_refuse(t, REASON_EPSV_ALL, &r);
	else if (!readable)
		track_refuse(t, REASON_MALFORMED, &r);
	else
		(void)track_expect(t, &r);
}

static void on_final_reply(
    struct track *t, struct ftp *f, struct cursor line, struct cursor text, int code)
{
	if (code == 227 || code == 229) {
		on_passive(t, f, line, text, code);
		return;
	}
	if (code == 234 && pop_until(f, CMD_AUTH)) { /* RFC 4217 section 4 */
		f->encrypted = true;
		track_encrypted(t, line);
		return;
	}
	switch (pop(f)) {
	case CMD_PORT:
		if (code >= 400 && f->port_id)
			track_withdraw(t, f->port_id, REASON_WITHDRAWN);
		f->port_id = 0;
		break;
	case CMD_EPSV_ALL:
		f->epsv_all = code < 400;
		break;
	default:
		break;
	}
}

static void on_reply(struct track *t, struct ftp *f, struct cursor line, bool bare)
{
	struct cursor c = line;
	uint8_t digits[3], mark = ' ';
	int code = 0;

	if (!cursor_copy(&c, digits, sizeof(digits)))
		return;
	for (int i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return;
		code = code * 10 + (digits[i] - '0');
	}
	if (c.left && !cursor_u8(&c, &mark))
		return;
	if (f->in_multi && (memcmp(f->multi, digits, sizeof(digits)) != 0 || mark == '-'))
		return;
	if (bare) {
		struct request r = { .dir = DIR_ORIGINAL, .l4proto = L4_TCP, .cause = line };

		if (code == 227 || code == 229)
			track_refuse(t, REASON_BARE_LF, &r);
		return;
	}
	if (mark == '-') {
		memcpy(f->multi, digits, sizeof(digits));
		f->in_multi = true;
		return;
	}
	if (mark != ' ')
		return;
	f->in_multi = false;
	if (code >= 200) /* 1yz: another reply follows (RFC 959 section 4.2) */
		on_final_reply(t, f, line, c, code);
}

static void on_line(struct track *t, struct ftp *f, enum dir dir)
{
	struct line *l = &f->line[dir];
	bool crlf = l->last == '\r';
	bool bare = l->bare;
	struct cursor c;

	l->bare = !crlf;
	if (l->lost) {
		l->lost = false;
		return;
	}
	c = cursor_of(l->kept, l->length < LINE_KEPT ? l->length : LINE_KEPT);
	if (crlf && l->length <= LINE_KEPT && c.left)
		c.left--;
	if (l->length > LINE_SANE) {
		struct request r = { .dir = dir, .l4proto = L4_TCP, .cause = c };

		track_refuse(t, REASON_LINE_TOO_LONG, &r);
	}
	if (dir == DIR_ORIGINAL)
		on_command(t, f, c);
	else
		on_reply(t, f, c, bare);
}

static void keep(struct line *l, struct cursor part)
{
	size_t n = part.left;

	if (!n)
		return;
	l->last = part.at[n - 1];
	if (l->length < LINE_KEPT)
		memcpy(l->kept + l->length, part.at,
		    n < LINE_KEPT - l->length ? n : LINE_KEPT - l->length);
	l->length = n > LINE_SANE - (l->length <= LINE_SANE ? l->length : LINE_SANE)
			? LINE_SANE + 1
			: l->length + (uint32_t)n;
}

static void ftp_bytes(struct track *t, void *state, enum dir dir, struct cursor bytes)
{
	struct ftp *f = state;
	struct line *l = &f->line[dir];
	struct cursor part;

	while (!f->encrypted && cursor_until(&bytes, '\n', &part)) {
		keep(l, part);
		on_line(t, f, dir);
		l->length = 0;
		l->last = 0;
	}
	keep(l, bytes);
}

/*
 * What waits for a reply is no longer known, so nothing may be opened by one; and the rest of the
 * line that the gap cut is nobody's.
 */
static void ftp_gap(struct track *t, void *state, enum dir dir)
{
	struct ftp *f = state;

	(void)t;
	forget_commands(f);
	f->in_multi = false;
	f->line[dir].length = 0;
	f->line[dir].last = 0;
	f->line[dir].lost = true;
	f->line[dir].bare = true;
}

const struct tracker ftp_tracker = {
	.name = "ftp",
	.service = PH_SVC_FTP,
	.state_size = sizeof(struct ftp),
	.bytes = ftp_bytes,
	.gap = ftp_gap,
};
