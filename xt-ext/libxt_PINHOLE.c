// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -j PINHOLE: this flow is a control session, whatever its port. An alias of the kernel's own
 * CONNMARK target in the mode of --set-xmark, which leaves all bits of the mark but ours alone; the
 * chains of pinholed find the mark when the firewall has accepted the packet.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xtables.h>
#include <linux/netfilter/xt_connmark.h>

#include "field.h"

enum { O_TRACK, O_MASK, F_TRACK = 1 << O_TRACK };

struct said {
	enum ph_service service;
	uint32_t mask; /* 0: not given */
};

/* Why pinholed cannot follow this service at a port that is not in its configuration, or NULL. */
static const char *untrackable(enum ph_service svc)
{
	switch (svc) {
	case PH_SVC_BFD:
		return "the kernel checks its hop limits by port: name the port in service bfd of "
		       "pinholed.conf";
	case PH_SVC_NFS:
		return "it has no control sessions: name the port among the nfs-ports of "
		       "pinholed.conf";
	default:
		return NULL;
	}
}

static void help(void)
{
	printf("PINHOLE target options:\n"
	       "  --track NAME                Have pinholed follow this flow as a control session\n"
	       "                              of this service, whatever its port\n"
	       "  --mask BITS                 The mark-mask of pinholed.conf, for configurations\n"
	       "                              that are not the installed one (default: read from\n"
	       "                              %s)\n"
	       "  Services:",
	    PH_CONF_FILE);
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (!untrackable((enum ph_service)svc))
			printf(" %s", field_service_name((enum ph_service)svc));
	printf("\n"
	       "  No verdict: the packet goes on to the next rule. Use it with\n"
	       "  -m conntrack --ctstate NEW.\n"
	       "  The rule is listed as what it is in the kernel: -j CONNMARK --set-xmark ...\n");
}

static const struct xt_option_entry options[] = {
	{ .name = "track", .id = O_TRACK, .type = XTTYPE_STRING, .flags = XTOPT_MAND },
	{ .name = "mask", .id = O_MASK, .type = XTTYPE_UINT32 },
	XTOPT_TABLEEND,
};

static void parse(struct xt_option_call *cb)
{
	struct said *said = cb->udata;
	const char *why;

	xtables_option_parse(cb);
	switch (cb->entry->id) {
	case O_TRACK:
		said->service = field_service(cb->arg, strlen(cb->arg));
		if (said->service == PH_SVC_NONE)
			xtables_error(PARAMETER_PROBLEM,
			    "PINHOLE: --track: no service is called \"%.64s\"", cb->arg);
		why = untrackable(said->service);
		if (why)
			xtables_error(PARAMETER_PROBLEM, "PINHOLE: --track %s: %s", cb->arg, why);
		break;
	case O_MASK:
		if (!ph_mark_mask_valid(cb->val.u32))
			xtables_error(PARAMETER_PROBLEM,
			    "PINHOLE: --mask 0x%x: six adjacent bits are needed, such as 0x%08x",
			    cb->val.u32, PH_MARK_MASK_DEFAULT);
		said->mask = cb->val.u32;
		break;
	}
}

/* The bytes that libxt_CONNMARK leaves for --set-xmark, so that -C and -D find them again. */
static void fill(void *data, uint32_t mask, enum ph_service svc)
{
	struct xt_connmark_tginfo1 *info = data;

	info->ctmark = ph_mark(mask, PH_MARK_F_CONTROL, svc);
	info->ctmask = mask;
	info->nfmask = UINT32_MAX;
}

static void check(struct xt_fcheck_call *cb)
{
	struct said *said = cb->udata;
	char error[FIELD_ERROR];

	if (!(cb->xflags & F_TRACK))
		return; /* xtables itself insists on what is mandatory */
	if (!said->mask && !field_default_mask(&said->mask, error))
		xtables_error(PARAMETER_PROBLEM, "PINHOLE: %s (or give --mask)", error);
	fill(cb->data, said->mask, said->service);
}

static void check_v1(struct xt_fcheck_call *cb)
{
	struct xt_connmark_tginfo1 *info = cb->data;

	check(cb);
	info->mode = XT_CONNMARK_SET;
}

/* As far as the shift the two revisions are the same; a shift by nothing is none. */
static void check_v2(struct xt_fcheck_call *cb)
{
	struct xt_connmark_tginfo2 *info = cb->data;

	check(cb);
	info->mode = XT_CONNMARK_SET;
	info->shift_dir = D_SHIFT_LEFT;
	info->shift_bits = 0;
}

static int translate(struct xt_xlate *xl, const struct xt_xlate_tg_params *params)
{
	const struct xt_connmark_tginfo1 *info = (const void *)params->target->data;

	xt_xlate_add(xl, "ct mark set ct mark and 0x%x or 0x%x", ~info->ctmask, info->ctmark);
	return 1;
}

/* Revision 2 came with Linux 4.17; xtables takes the highest one that the running kernel has. */
static struct xtables_target targets[] = {
	{
	    .version = XTABLES_VERSION,
	    .name = "PINHOLE",
	    .real_name = "CONNMARK",
	    .revision = 1,
	    .ext_flags = XTABLES_EXT_ALIAS,
	    .family = NFPROTO_UNSPEC,
	    .size = XT_ALIGN(sizeof(struct xt_connmark_tginfo1)),
	    .userspacesize = XT_ALIGN(sizeof(struct xt_connmark_tginfo1)),
	    .help = help,
	    .x6_parse = parse,
	    .x6_fcheck = check_v1,
	    .x6_options = options,
	    .xlate = translate,
	    .udata_size = sizeof(struct said),
	},
	{
	    .version = XTABLES_VERSION,
	    .name = "PINHOLE",
	    .real_name = "CONNMARK",
	    .revision = 2,
	    .ext_flags = XTABLES_EXT_ALIAS,
	    .family = NFPROTO_UNSPEC,
	    .size = XT_ALIGN(sizeof(struct xt_connmark_tginfo2)),
	    .userspacesize = XT_ALIGN(sizeof(struct xt_connmark_tginfo2)),
	    .help = help,
	    .x6_parse = parse,
	    .x6_fcheck = check_v2,
	    .x6_options = options,
	    .xlate = translate,
	    .udata_size = sizeof(struct said),
	},
};

__attribute__((constructor)) static void begin(void)
{
	xtables_register_targets(targets, sizeof(targets) / sizeof(targets[0]));
}
