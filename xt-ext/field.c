// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See field.h. The configuration has one reader that understands all of it, in the daemon; here is
 * as much of its grammar as it takes to find one setting outside of all blocks. Anything that this
 * reader cannot make sense of is an error: a rule with a wrong mask would never match, or match
 * what others have marked.
 */
#include "field.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256 * 1024) /* as in the daemon */
#define WORD_MAX 64

static const char *const names[] = PH_SERVICE_NAMES;
_Static_assert(sizeof(names) / sizeof(names[0]) == PH_SVC_MAX, "a name a service");
_Static_assert(PH_SVC_MAX <= PH_MARK_F_SERVICE + 1, "a service fits into its part of the field");
_Static_assert(PH_SVC_MAX <= 8 * sizeof(services_t), "a service fits into a set");

/* --- errors ----------------------------------------------------------------------------------- */

/* Always false. A quoted word may hold anything; the text stays one printable line. */
__attribute__((format(printf, 2, 3))) static bool fail(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(error, FIELD_ERROR, fmt, ap);
	va_end(ap);
	for (char *c = error; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return false;
}

/* --- services --------------------------------------------------------------------------------- */

const char *field_service_name(enum ph_service svc)
{
	return names[svc];
}

enum ph_service field_service(const char *word, size_t len)
{
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (strlen(names[svc]) == len && memcmp(names[svc], word, len) == 0)
			return (enum ph_service)svc;
	return PH_SVC_NONE;
}

bool field_services(const char *list, services_t *out, char *error)
{
	const char *word = list;

	*out = 0;
	for (;;) {
		size_t len = strcspn(word, ",");
		enum ph_service svc = field_service(word, len);

		if (svc == PH_SVC_NONE)
			return fail(error, "no service is called \"%.*s\"",
			    (int)(len < WORD_MAX ? len : WORD_MAX), word);
		if (*out & 1u << svc)
			return fail(error, "service \"%s\" is listed twice", names[svc]);
		*out = (services_t)(*out | 1u << svc);
		if (!word[len])
			return true;
		word += len + 1;
	}
}

/* Services that no flow with this flag is ever marked with. */
static unsigned int never(unsigned int flag)
{
	return 1u << PH_SVC_NONE | (flag == PH_MARK_F_PINHOLE ? 1u << PH_SVC_NFS : 0);
}

bool field_compare(
    uint32_t mask, unsigned int flag, services_t services, uint32_t *value, uint32_t *bits)
{
	unsigned int same = services ? PH_MARK_F_SERVICE : 0; /* bits that all of them agree in */
	unsigned int common = PH_SVC_NONE;

	for (unsigned int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++) {
		if (!(services & 1u << svc))
			continue;
		if (common == PH_SVC_NONE)
			common = svc;
		same &= ~(svc ^ common);
	}
	common &= same;
	/*
	 * What no flow is marked with may be among them. A number without a service may not: one
	 * day it has one.
	 */
	for (unsigned int svc = PH_SVC_NONE; services && svc <= PH_MARK_F_SERVICE; svc++)
		if ((svc & same) == common && !((services | never(flag)) & 1u << svc))
			return false;
	*value = (flag | common) << ph_mark_shift(mask);
	*bits = (flag | same) << ph_mark_shift(mask);
	return true;
}

/* --- the configuration ------------------------------------------------------------------------ */

enum token { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_SIGN, TOKEN_BROKEN };

struct scan {
	const char *at;
	unsigned int line;
	char word[WORD_MAX]; /* of the last token, cut where it is longer */
};

static void step(struct scan *s, size_t n)
{
	for (; n && *s->at; n--)
		if (*s->at++ == '\n')
			s->line++;
}

/* Blanks and comments; false when a comment has no end. */
static bool skip(struct scan *s)
{
	for (;;) {
		if (*s->at == '#' || strncmp(s->at, "//", 2) == 0) {
			step(s, strcspn(s->at, "\n"));
		} else if (strncmp(s->at, "/*", 2) == 0) {
			const char *end = strstr(s->at + 2, "*/");

			if (!end)
				return false;
			step(s, (size_t)(end + 2 - s->at));
		} else if (*s->at && strchr(" \t\r\n\f\v", *s->at)) {
			step(s, 1);
		} else {
			return true;
		}
	}
}

static void keep(struct scan *s, size_t len)
{
	(void)snprintf(
	    s->word, sizeof(s->word), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX - 1), s->at);
}

/* A quoted string, to the quote that no backslash stands before. */
static enum token quoted(struct scan *s)
{
	const char quote = *s->at;
	size_t len;

	step(s, 1);
	for (len = 0; s->at[len] != quote; len++) {
		if (s->at[len] == '\\' && s->at[len + 1])
			len++;
		if (!s->at[len])
			return TOKEN_BROKEN;
	}
	keep(s, len);
	step(s, len + 1);
	return TOKEN_STRING;
}

static enum token next(struct scan *s)
{
	size_t len;

	if (!skip(s))
		return TOKEN_BROKEN;
	if (!*s->at)
		return TOKEN_END;
	if (*s->at == '"' || *s->at == '\'')
		return quoted(s);
	len = strcspn(s->at, " \t\r\n\f\v#\"'={}(),+");
	keep(s, len ? len : 1);
	step(s, len ? len : 1);
	return len ? TOKEN_WORD : TOKEN_SIGN;
}

static bool is_sign(enum token token, const struct scan *s, char sign)
{
	return token == TOKEN_SIGN && s->word[0] == sign;
}

/* Decimal, or hexadecimal with 0x; the whole word, no sign; as the daemon reads numbers. */
static bool number(const char *word, uint32_t *out)
{
	bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	const char *digits = hex ? word + 2 : word;
	size_t len = strlen(digits);
	unsigned long long value;

	if (!len || len > 20 ||
	    strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") != len)
		return false;
	errno = 0;
	value = strtoull(digits, NULL, hex ? 16 : 10);
	if (errno || value > UINT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

bool field_mask_in(const char *text, const char *path, uint32_t *mask, char *error)
{
	struct scan s = { .at = text, .line = 1 };
	unsigned int depth = 0;
	bool found = false;
	enum token token;
	uint32_t value;

	*mask = PH_MARK_MASK_DEFAULT;
	while ((token = next(&s)) != TOKEN_END) {
		if (token == TOKEN_BROKEN)
			return fail(
			    error, "%s:%u: a comment or a quoted word has no end", path, s.line);
		if (is_sign(token, &s, '{'))
			depth++;
		else if (is_sign(token, &s, '}') && depth-- == 0)
			return fail(error, "%s:%u: '}' closes no block", path, s.line);
		if (token != TOKEN_WORD || depth || strcmp(s.word, "mark-mask") != 0)
			continue;
		if (found)
			return fail(error, "%s:%u: 'mark-mask' is set twice", path, s.line);
		if (!is_sign(next(&s), &s, '='))
			return fail(error, "%s:%u: '=' is missing after 'mark-mask'", path, s.line);
		token = next(&s);
		if ((token != TOKEN_WORD && token != TOKEN_STRING) || !number(s.word, &value) ||
		    !ph_mark_mask_valid(value))
			return fail(error,
			    "%s:%u: this is no 'mark-mask': six adjacent bits are needed, such as "
			    "0x%08x",
			    path, s.line, PH_MARK_MASK_DEFAULT);
		*mask = value;
		found = true;
	}
	if (depth)
		return fail(error, "%s:%u: the file ends within a block", path, s.line);
	return true;
}

bool field_default_mask(uint32_t *mask, char *error)
{
	const char *path = secure_getenv(FIELD_CONF_VARIABLE);
	char *text = NULL;
	bool ok = false;
	size_t len;
	FILE *f;

	if (!path || !*path)
		path = PH_CONF_FILE;
	*mask = PH_MARK_MASK_DEFAULT;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ||
		       fail(error, "cannot read %s for its mark-mask: %s", path, strerror(errno));
	text = malloc(FILE_MAX + 1);
	len = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
	if (!text || ferror(f)) {
		(void)fail(error, "cannot read %s for its mark-mask: %s", path, strerror(errno));
	} else if (len > FILE_MAX || memchr(text, '\0', len)) {
		(void)fail(error, "%s is no configuration of pinholed", path);
	} else {
		text[len] = '\0';
		ok = field_mask_in(text, path, mask, error);
	}
	free(text);
	(void)fclose(f);
	return ok;
}
