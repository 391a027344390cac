// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libconfuse reads the grammar; every word then comes to set_option(), which checks it against one
 * table and stores it at once, so that a complaint can name the line. The file is read into memory
 * first: libconfuse's scanner ends the process when a read fails.
 */
#include "conf.h"

#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "describe.h"
#include "tracker.h"

#define FILE_MAX       (256 * 1024)
#define QUEUE_BASE_MAX 65500

_Static_assert(QUEUE_BASE_MAX + PH_GROUP_SPAN <= UINT16_MAX, "the last queue has a number");

enum setting_id {
	SET_ADMIT,
	SET_MARK_MASK,
	SET_QUEUE_BASE,
	SET_CAPTURE,
	SET_EVENT_BUFFER,
	SET_SESSIONS,
	SET_SESSIONS_CLIENT,
	SET_PINHOLES,
	SET_PINHOLES_CLIENT,
	SET_PINHOLES_SESSION,
	SET_ENABLED,
	SET_PORTS,
	SET_TIMEOUT,
	SET_MIN_PORT,
	SET_MAX_PORT,
	SET_TLS,
	SET_WINDOW,
	SET_NFS_PORTS,
	SET_PROGRAMS,
	SET_NEVER_OPEN,
	SET_LINGER,
	SET_MAPPING_TTL,
	SET_CALLBACKS,
	SET_LOCAL_RPCBIND,
	SET_MULTIHOP_TTL,
	SET_ECHO,
	SET_PEERS,
	SET_MAX
};

enum block { BLOCK_ROOT, BLOCK_LIMITS, BLOCK_SERVICE };

#define WORDS_MAX 3

struct setting {
	enum block block;
	const char *name;
	const char *words[WORDS_MAX]; /* a choice of words, each standing for its place; or */
	uint32_t min, max;            /* a number; both 0 for what is neither */
	enum ph_service only;         /* the one service that has it, or PH_SVC_NONE */
	bool list;                    /* several values */
};

static const struct setting settings[] = {
	[SET_ADMIT] = { BLOCK_ROOT, "admit", .words = { "related", "mark" } },
	[SET_MARK_MASK] = { BLOCK_ROOT, "mark-mask", .min = 0x3f, .max = UINT32_MAX },
	/* Group 0 of NFLOG is where everybody else logs to. */
	[SET_QUEUE_BASE] = { BLOCK_ROOT, "queue-base", .min = 1, .max = QUEUE_BASE_MAX },
	[SET_CAPTURE] = { BLOCK_ROOT, "capture", .words = { "auto", "passive" } },
	[SET_EVENT_BUFFER] = { BLOCK_ROOT, "event-buffer", .min = 2048, .max = 1u << 30 },
	[SET_SESSIONS] = { BLOCK_LIMITS, "sessions", .min = 1, .max = 1u << 20 },
	[SET_SESSIONS_CLIENT] = { BLOCK_LIMITS, "sessions-per-client", .min = 1, .max = 1u << 20 },
	[SET_PINHOLES] = { BLOCK_LIMITS, "pinholes", .min = 1, .max = 1u << 20 },
	[SET_PINHOLES_CLIENT] = { BLOCK_LIMITS, "pinholes-per-client", .min = 1, .max = 1u << 20 },
	[SET_PINHOLES_SESSION] = { BLOCK_LIMITS, "pinholes-per-session", .min = 1,
	    .max = 1u << 20 },
	[SET_ENABLED] = { BLOCK_SERVICE, "enabled", .words = { "false", "true" } },
	[SET_PORTS] = { BLOCK_SERVICE, "ports", .min = 1, .max = UINT16_MAX, .list = true },
	[SET_TIMEOUT] = { BLOCK_SERVICE, "timeout", .min = 1, .max = 86400 },
	[SET_MIN_PORT] = { BLOCK_SERVICE, "min-port", .min = 1, .max = UINT16_MAX },
	[SET_MAX_PORT] = { BLOCK_SERVICE, "max-port", .min = 1, .max = UINT16_MAX },
	[SET_TLS] = { BLOCK_SERVICE, "tls", .words = { "closed", "window" }, .only = PH_SVC_FTP },
	[SET_WINDOW] = { BLOCK_SERVICE, "window", .only = PH_SVC_FTP },
	[SET_NFS_PORTS] = { BLOCK_SERVICE, "nfs-ports", .min = 1, .max = UINT16_MAX,
	    .only = PH_SVC_SUNRPC, .list = true },
	[SET_PROGRAMS] = { BLOCK_SERVICE, "programs", .only = PH_SVC_SUNRPC, .list = true },
	[SET_NEVER_OPEN] = { BLOCK_SERVICE, "never-open", .min = 1, .max = UINT16_MAX,
	    .only = PH_SVC_SUNRPC, .list = true },
	/* Conntrack keeps a closed TCP flow, the last possible master, for two minutes. */
	[SET_LINGER] = { BLOCK_SERVICE, "linger", .min = 1, .max = 110, .only = PH_SVC_SUNRPC },
	[SET_MAPPING_TTL] = { BLOCK_SERVICE, "mapping-ttl", .min = 1, .max = 604800,
	    .only = PH_SVC_SUNRPC },
	[SET_CALLBACKS] = { BLOCK_SERVICE, "callbacks", .words = { "false", "true" },
	    .only = PH_SVC_SUNRPC },
	[SET_LOCAL_RPCBIND] = { BLOCK_SERVICE, "local-rpcbind", .words = { "false", "true" },
	    .only = PH_SVC_SUNRPC },
	[SET_MULTIHOP_TTL] = { BLOCK_SERVICE, "multihop-min-ttl", .min = 1, .max = 255,
	    .only = PH_SVC_BFD },
	[SET_ECHO] = { BLOCK_SERVICE, "echo", .words = { "false", "true" }, .only = PH_SVC_BFD },
	[SET_PEERS] = { BLOCK_SERVICE, "peers", .only = PH_SVC_BFD, .list = true },
};
_Static_assert(sizeof(settings) / sizeof(settings[0]) == SET_MAX, "one line a setting");

struct reading {
	struct config config;
	const char *path;
	char *error;
	size_t cap;
	bool failed;
	bool seen[SET_MAX][PH_SVC_MAX]; /* second index PH_SVC_NONE outside service blocks */
};

/* libconfuse hands no argument of ours to its callbacks. Set only within conf_load(). */
static struct reading *current;

__attribute__((format(printf, 3, 0))) static void vcomplain(
    struct reading *r, int line, const char *fmt, va_list ap)
{
	size_t used = 0;
	int n;

	if (r->failed || !r->cap)
		return;
	r->failed = true;
	n = line ? snprintf(r->error, r->cap, "%s:%d: ", r->path, line)
		 : snprintf(r->error, r->cap, "%s: ", r->path);
	if (n > 0)
		used = (size_t)n < r->cap ? (size_t)n : r->cap - 1;
	(void)vsnprintf(r->error + used, r->cap - used, fmt, ap);
	/* A quoted word may hold anything; the message stays one printable line. */
	for (char *c = r->error; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

__attribute__((format(printf, 3, 4))) static void complain(
    struct reading *r, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(r, line, fmt, ap);
	va_end(ap);
}

/* Complaints of libconfuse itself. */
__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	vcomplain(current, cfg->line, fmt, ap);
}

void conf_defaults(struct config *out)
{
	memset(out, 0, sizeof(*out));
	policy_defaults(&out->policy);
	out->mark_mask = PH_MARK_MASK_DEFAULT;
	out->queue_base = PH_QUEUE_BASE_DEFAULT;
	out->event_buffer = 2 * 1024 * 1024;
}

/* Decimal, or hexadecimal with 0x; the whole word, no sign. What is too large stays too large. */
static bool parse_number(const char *word, uint32_t *out)
{
	bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	const char *digits = hex ? word + 2 : word;
	size_t len = strlen(digits);
	unsigned long long value;

	if (!len || strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") != len)
		return false;
	value = strtoull(digits, NULL, hex ? 16 : 10);
	*out = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	return true;
}

static bool parse_window(const char *word, uint16_t *lo, uint16_t *hi)
{
	const char *dash = strchr(word, '-');
	char first[8] = { 0 };
	uint32_t a, b;

	if (!dash || (size_t)(dash - word) >= sizeof(first))
		return false;
	memcpy(first, word, (size_t)(dash - word));
	if (!parse_number(first, &a) || !parse_number(dash + 1, &b))
		return false;
	if (a < 1024 || b > UINT16_MAX || a > b)
		return false;
	*lo = (uint16_t)a;
	*hi = (uint16_t)b;
	return true;
}

/* The value of a word, as the table has it. */
static bool parse_value(
    struct reading *r, int line, const struct setting *s, const char *word, uint32_t *out)
{
	if (s->words[0]) {
		for (uint32_t i = 0; s->words[i]; i++) {
			if (strcmp(s->words[i], word) == 0) {
				*out = i;
				return true;
			}
		}
		complain(r, line, "'%.64s' is no value for '%s': \"%s\" or \"%s\"", word, s->name,
		    s->words[0], s->words[1]);
		return false;
	}
	if (!parse_number(word, out)) {
		complain(r, line, "'%.64s' is no number, but '%s' needs one", word, s->name);
		return false;
	}
	if (*out < s->min || *out > s->max) {
		complain(r, line, "'%.64s' is out of range for '%s': %u to %u", word, s->name,
		    s->min, s->max);
		return false;
	}
	return true;
}

static bool add_port(struct reading *r, int line, struct service_policy *svc, uint16_t port)
{
	for (unsigned int i = 0; i < svc->n_ports; i++) {
		if (svc->ports[i] == port) {
			complain(r, line, "port '%u' is listed twice", port);
			return false;
		}
	}
	if (svc->n_ports == POLICY_PORTS) {
		complain(r, line, "port '%u' is one too many: at most %d", port, POLICY_PORTS);
		return false;
	}
	svc->ports[svc->n_ports++] = port;
	return true;
}

/* An RPC program, by name or number. */
static bool add_program(struct reading *r, int line, struct service_policy *svc, const char *word)
{
	uint32_t program = policy_program_number(word);

	if (!program && (!parse_number(word, &program) || program == 0)) {
		complain(r, line,
		    "'%.64s' is no RPC program: a number is needed, or mountd, nfs, nfs_acl, "
		    "nlockmgr, rquotad, status",
		    word);
		return false;
	}
	if (svc->n_programs == POLICY_PROGRAMS) {
		complain(
		    r, line, "program '%.64s' is one too many: at most %d", word, POLICY_PROGRAMS);
		return false;
	}
	svc->programs[svc->n_programs++] = program;
	return true;
}

static bool add_never(struct reading *r, int line, struct service_policy *svc, uint16_t port)
{
	if (svc->n_never == POLICY_NEVER) {
		complain(r, line, "port '%u' is one too many: at most %d", port, POLICY_NEVER);
		return false;
	}
	svc->never[svc->n_never++] = port;
	return true;
}

static bool add_peer(struct reading *r, int line, struct service_policy *svc, const char *word)
{
	struct prefix peer;

	if (!prefix_parse(word, strlen(word), &peer)) {
		complain(r, line,
		    "'%.64s' is no address and no prefix such as \"192.0.2.0/24\" or "
		    "\"2001:db8::/32\"",
		    word);
		return false;
	}
	if (svc->n_peers == POLICY_PEERS) {
		complain(r, line, "peer '%.64s' is one too many: at most %d", word, POLICY_PEERS);
		return false;
	}
	svc->peers[svc->n_peers++] = peer;
	return true;
}

/* The first value of a list takes the place of the default one. */
static void forget_default(struct service_policy *p, enum setting_id id, enum ph_service svc)
{
	if (id == SET_PORTS)
		p[svc].n_ports = 0;
	else if (id == SET_NFS_PORTS)
		p[PH_SVC_NFS].n_ports = 0;
	else if (id == SET_PROGRAMS)
		p[svc].n_programs = 0;
	else if (id == SET_NEVER_OPEN)
		p[svc].n_never = 0;
	else if (id == SET_PEERS)
		p[svc].n_peers = 0;
}

static bool store(struct reading *r, int line, enum setting_id id, enum ph_service svc,
    uint32_t value, const char *word)
{
	struct policy *p = &r->config.policy;
	struct service_policy *sp = &p->service[svc];

	switch (id) {
	case SET_ADMIT:
		p->admit = value ? ADMIT_MARK : ADMIT_RELATED;
		break;
	case SET_MARK_MASK:
		if (!ph_mark_mask_valid(value)) {
			complain(r, line,
			    "'%.64s' is no 'mark-mask': six adjacent bits are needed, "
			    "such as 0x%08x",
			    word, PH_MARK_MASK_DEFAULT);
			return false;
		}
		r->config.mark_mask = value;
		break;
	case SET_QUEUE_BASE:
		r->config.queue_base = (uint16_t)value;
		break;
	case SET_CAPTURE:
		r->config.passive = value;
		break;
	case SET_EVENT_BUFFER:
		r->config.event_buffer = value;
		break;
	case SET_SESSIONS:
		p->max_sessions = value;
		break;
	case SET_SESSIONS_CLIENT:
		p->max_sessions_client = value;
		break;
	case SET_PINHOLES:
		p->max_pinholes = value;
		break;
	case SET_PINHOLES_CLIENT:
		p->max_pinholes_client = value;
		break;
	case SET_PINHOLES_SESSION:
		p->max_pinholes_session = value;
		break;
	case SET_ENABLED:
		sp->enabled = value;
		if (svc == PH_SVC_SUNRPC) /* they keep its mappings alive */
			p->service[PH_SVC_NFS].enabled = value;
		break;
	case SET_PORTS:
		return add_port(r, line, sp, (uint16_t)value);
	case SET_TIMEOUT:
		sp->ttl = value * NSEC_PER_SEC;
		break;
	case SET_MIN_PORT:
		sp->min_port = (uint16_t)value;
		break;
	case SET_MAX_PORT:
		sp->max_port = (uint16_t)value;
		break;
	case SET_TLS:
		sp->tls = value ? TLS_WINDOW : TLS_CLOSED;
		break;
	case SET_WINDOW:
		if (!parse_window(word, &sp->window_lo, &sp->window_hi)) {
			complain(r, line,
			    "'%.64s' is no 'window': two ports from 1024 to 65535 are "
			    "needed, such as \"32768-60999\"",
			    word);
			return false;
		}
		break;
	case SET_NFS_PORTS:
		return add_port(r, line, &p->service[PH_SVC_NFS], (uint16_t)value);
	case SET_PROGRAMS:
		return add_program(r, line, sp, word);
	case SET_NEVER_OPEN:
		return add_never(r, line, sp, (uint16_t)value);
	case SET_LINGER:
		sp->linger = value * NSEC_PER_SEC;
		break;
	case SET_MAPPING_TTL:
		sp->mapping_ttl = value * NSEC_PER_SEC;
		break;
	case SET_CALLBACKS:
		sp->callbacks = value;
		break;
	case SET_LOCAL_RPCBIND:
		sp->local_rpcbind = value;
		break;
	case SET_MULTIHOP_TTL:
		sp->far_min_ttl = (uint8_t)value;
		break;
	case SET_ECHO:
		sp->echo = value;
		break;
	case SET_PEERS:
		return add_peer(r, line, sp, word);
	case SET_MAX:
		break;
	}
	return true;
}

/* A block's title; complains of one that no service has. */
static bool block_service(struct reading *r, cfg_t *block, enum ph_service *svc)
{
	const char *title = cfg_title(block);

	*svc = title ? service_of_word(title) : PH_SVC_NONE;
	if (*svc == PH_SVC_NONE) {
		complain(r, block->line, "no service is called '%.64s'", title ? title : "");
		return false;
	}
	if (!tracker_of(*svc) || *svc == PH_SVC_NFS) {
		complain(r, block->line, "service '%s' is not part of this version", title);
		return false;
	}
	return true;
}

/* libconfuse: a word has been read for this option. */
static int set_option(cfg_t *cfg, cfg_opt_t *opt, const char *word, void *result)
{
	enum ph_service svc = PH_SVC_NONE;
	const struct setting *s = NULL;
	struct reading *r = current;
	enum block block = BLOCK_ROOT;
	enum setting_id id;
	uint32_t value = 0;

	if (strcmp(cfg_name(cfg), "limits") == 0)
		block = BLOCK_LIMITS;
	else if (strcmp(cfg_name(cfg), "service") == 0)
		block = BLOCK_SERVICE;
	for (id = 0; id < SET_MAX; id++) {
		s = &settings[id];
		if (s->block == block && strcmp(s->name, cfg_opt_name(opt)) == 0)
			break;
	}
	if (id == SET_MAX) {
		complain(r, cfg->line, "'%.64s' does not belong here", cfg_opt_name(opt));
		return -1;
	}
	if (block == BLOCK_SERVICE && !block_service(r, cfg, &svc))
		return -1;
	if (s->only != PH_SVC_NONE && s->only != svc) {
		complain(
		    r, cfg->line, "'%s' is for service %s alone", s->name, service_word(s->only));
		return -1;
	}
	/* The further values of a list are not a second setting. */
	if (r->seen[id][svc] && !(s->list && cfg_opt_size(opt) > 1)) {
		complain(r, cfg->line, "'%s' is set twice", s->name);
		return -1;
	}
	if (!r->seen[id][svc])
		forget_default(r->config.policy.service, id, svc);
	r->seen[id][svc] = true;
	if ((s->words[0] || s->max) && !parse_value(r, cfg->line, s, word, &value))
		return -1;
	if (!store(r, cfg->line, id, svc, value, word))
		return -1;
	*(long int *)result = (long int)value;
	return 0;
}

/* libconfuse: a block has been closed. */
static int check_block(cfg_t *cfg, cfg_opt_t *opt)
{
	static const enum setting_id lists[] = { SET_PORTS, SET_PEERS };
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	enum ph_service svc;

	if (strcmp(cfg_opt_name(opt), "limits") == 0) {
		if (cfg_opt_size(opt) == 1)
			return 0;
		complain(current, cfg->line, "a second 'limits' block");
		return -1;
	}
	if (!block_service(current, block, &svc))
		return -1;
	/*
	 * An empty list calls nobody: what is left is what the firewall itself marks (-j PINHOLE),
	 * which it cannot for one-way flows. No peers would be understood as all of them.
	 */
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *name = settings[lists[i]].name;

		if (current->seen[lists[i]][svc] ||
		    !(cfg_getopt(block, name)->flags & CFGF_MODIFIED))
			continue;
		if (lists[i] == SET_PORTS && !tracker_of(svc)->one_way) {
			current->config.policy.service[svc].n_ports = 0;
			continue;
		}
		complain(
		    current, cfg->line, "'%s' of service %s is empty", name, service_word(svc));
		return -1;
	}
	return 0;
}

/* What no single line can be blamed for. */
static bool check_whole(struct reading *r)
{
	const struct policy *p = &r->config.policy;

	if (r->config.passive && p->admit != ADMIT_MARK) {
		complain(r, 0, "'capture = passive' cannot hold packets and needs 'admit = mark'");
		return false;
	}
	for (int a = PH_SVC_NONE + 1; a < PH_SVC_MAX; a++) {
		const struct service_policy *sp = &p->service[a];

		if (sp->min_port > sp->max_port) {
			complain(r, 0, "'min-port' of service %s is above its 'max-port'",
			    service_word((enum ph_service)a));
			return false;
		}
		for (unsigned int i = 0; sp->enabled && i < sp->n_ports; i++) {
			enum ph_service b = policy_service_of(p, sp->ports[i]);

			if ((int)b != a) {
				complain(r, 0,
				    "port '%u' is claimed by service %s and by service %s",
				    sp->ports[i], service_word(b),
				    service_word((enum ph_service)a));
				return false;
			}
		}
	}
	return true;
}

static int parse(struct reading *r, const char *text)
{
#define OPTION(name)  CFG_INT_CB(name, 0, CFGF_NODEFAULT, set_option)
#define OPTIONS(name) CFG_INT_LIST_CB(name, NULL, CFGF_NODEFAULT, set_option)
	cfg_opt_t limits[] = {
		OPTION("sessions"),
		OPTION("sessions-per-client"),
		OPTION("pinholes"),
		OPTION("pinholes-per-client"),
		OPTION("pinholes-per-session"),
		CFG_END(),
	};
	cfg_opt_t service[] = {
		OPTION("enabled"),
		OPTIONS("ports"),
		OPTION("timeout"),
		OPTION("min-port"),
		OPTION("max-port"),
		OPTION("tls"),
		OPTION("window"),
		OPTIONS("nfs-ports"),
		OPTIONS("programs"),
		OPTIONS("never-open"),
		OPTION("linger"),
		OPTION("mapping-ttl"),
		OPTION("callbacks"),
		OPTION("local-rpcbind"),
		OPTION("multihop-min-ttl"),
		OPTION("echo"),
		OPTIONS("peers"),
		CFG_END(),
	};
	cfg_opt_t root[] = {
		OPTION("admit"),
		OPTION("mark-mask"),
		OPTION("queue-base"),
		OPTION("capture"),
		OPTION("event-buffer"),
		CFG_SEC("limits", limits, CFGF_MULTI | CFGF_NODEFAULT),
		CFG_SEC("service", service, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_END(),
	};
#undef OPTION
#undef OPTIONS
	cfg_t *cfg = cfg_init(root, CFGF_NONE);
	int ret;

	if (!cfg)
		return -ENOMEM;
	current = r;
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "limits", check_block);
	cfg_set_validate_func(cfg, "service", check_block);
	ret = cfg_parse_buf(cfg, text);
	if (ret != CFG_SUCCESS)
		complain(r, cfg->line, "cannot be read here");
	cfg_free(cfg);
	current = NULL;
	return ret == CFG_SUCCESS && !r->failed && check_whole(r) ? 0 : -EINVAL;
}

/* The whole file as a string, to be freed by the caller. */
static int slurp(const char *path, char **out, size_t *len)
{
	char *text = NULL;
	FILE *f = fopen(path, "re");
	int ret = 0;

	if (!f)
		return -errno;
	text = malloc(FILE_MAX + 1);
	if (!text) {
		ret = -ENOMEM;
		goto out;
	}
	*len = fread(text, 1, FILE_MAX + 1, f);
	if (ferror(f)) {
		ret = errno ? -errno : -EIO;
		goto out;
	}
	if (*len > FILE_MAX) {
		ret = -EFBIG;
		goto out;
	}
	text[*len] = '\0';
	*out = text;
	text = NULL;
out:
	free(text);
	(void)fclose(f);
	return ret;
}

int conf_load(const char *path, struct config *out, char *error, size_t cap)
{
	struct reading r = { .path = path, .error = error, .cap = cap };
	char *text = NULL;
	size_t len = 0;
	int ret;

	conf_defaults(&r.config);
	ret = slurp(path, &text, &len);
	if (ret < 0) {
		complain(&r, 0, "cannot read: %s", strerror(-ret));
		goto out;
	}
	if (!text || strlen(text) != len) {
		complain(&r, 0, "not a text file");
		ret = -EINVAL;
		goto out;
	}
	ret = parse(&r, text);
	if (ret == 0)
		*out = r.config;
	else
		complain(&r, 0, "%s", strerror(-ret));
out:
	free(text);
	return ret;
}
