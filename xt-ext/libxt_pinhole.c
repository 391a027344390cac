// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * -m pinhole: flows that pinholed has let in, or follows. An alias of the kernel's own connmark
 * match, as `state` is one of conntrack: the rule in the kernel, what iptables -S prints of it, and
 * what -C and -D compare, is one of connmark.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <xtables.h>
#include <linux/netfilter/xt_connmark.h>

#include "field.h"

enum { O_SERVICE, O_CONTROL, O_MASK };

/* What has been said on the command line, until all of it has been. */
struct said {
	services_t services;
	bool control, turned, turned_control;
	uint32_t mask; /* 0: not given */
};

static void help(void)
{
	printf("pinhole match options:\n"
	       "[!] --service NAME[,NAME...]  Flows that a pinhole of these services has let in;\n"
	       "                              without it, of any service\n"
	       "[!] --control                 Instead: control sessions that pinholed follows\n"
	       "    --mask BITS               The mark-mask of pinholed.conf, for configurations\n"
	       "                              that are not the installed one (default: read from\n"
	       "                              %s)\n"
	       "    ! turns the whole match around: flows that have nothing to do with pinholes\n"
	       "    match as well.\n"
	       "    Services:",
	    PH_CONF_FILE);
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++)
		if (svc != PH_SVC_NFS)
			printf(" %s", field_service_name((enum ph_service)svc));
	printf("; with --control also %s\n"
	       "    The rule is listed as what it is in the kernel: -m connmark --mark ...\n",
	    field_service_name(PH_SVC_NFS));
}

static const struct xt_option_entry options[] = {
	{ .name = "service", .id = O_SERVICE, .type = XTTYPE_STRING, .flags = XTOPT_INVERT },
	{ .name = "control", .id = O_CONTROL, .type = XTTYPE_NONE, .flags = XTOPT_INVERT },
	{ .name = "mask", .id = O_MASK, .type = XTTYPE_UINT32 },
	XTOPT_TABLEEND,
};

static void parse(struct xt_option_call *cb)
{
	struct said *said = cb->udata;
	char error[FIELD_ERROR];

	xtables_option_parse(cb);
	switch (cb->entry->id) {
	case O_SERVICE:
		if (!field_services(cb->arg, &said->services, error))
			xtables_error(PARAMETER_PROBLEM, "pinhole: --service: %s", error);
		said->turned = cb->invert;
		break;
	case O_CONTROL:
		said->control = true;
		said->turned_control = cb->invert;
		break;
	case O_MASK:
		if (!ph_mark_mask_valid(cb->val.u32))
			xtables_error(PARAMETER_PROBLEM,
			    "pinhole: --mask 0x%x: six adjacent bits are needed, such as 0x%08x",
			    cb->val.u32, PH_MARK_MASK_DEFAULT);
		said->mask = cb->val.u32;
		break;
	}
}

static void check(struct xt_fcheck_call *cb)
{
	unsigned int flag = PH_MARK_F_PINHOLE;
	struct xt_connmark_mtinfo1 *info = cb->data;
	struct said *said = cb->udata;
	char error[FIELD_ERROR];

	if (said->control)
		flag = PH_MARK_F_CONTROL;
	if (said->turned_control && said->services)
		xtables_error(PARAMETER_PROBLEM,
		    "pinhole: \"!\" turns the whole match around: with --service it stands before "
		    "--service");
	if (!said->control && said->services & 1u << PH_SVC_NFS)
		xtables_error(PARAMETER_PROBLEM,
		    "pinhole: --service nfs is for --control alone: what is let in for NFS, is let "
		    "in for sunrpc");
	if (!said->mask && !field_default_mask(&said->mask, error))
		xtables_error(PARAMETER_PROBLEM, "pinhole: %s (or give --mask)", error);
	if (!field_compare(said->mask, flag, said->services, &info->mark, &info->mask))
		xtables_error(PARAMETER_PROBLEM,
		    "pinhole: --service: no comparison of mark bits is true of these services and "
		    "of no other: write a rule for each of them");
	info->invert = said->turned || said->turned_control;
}

static int translate(struct xt_xlate *xl, const struct xt_xlate_mt_params *params)
{
	const struct xt_connmark_mtinfo1 *info = (const void *)params->match->data;

	xt_xlate_add(
	    xl, "ct mark and 0x%x %s 0x%x", info->mask, info->invert ? "!=" : "==", info->mark);
	return 1;
}

/* Revision 1 came with Linux 2.6.25, and no other is left. */
static struct xtables_match match = {
	.version = XTABLES_VERSION,
	.name = "pinhole",
	.real_name = "connmark",
	.revision = 1,
	.ext_flags = XTABLES_EXT_ALIAS,
	.family = NFPROTO_UNSPEC,
	.size = XT_ALIGN(sizeof(struct xt_connmark_mtinfo1)),
	.userspacesize = XT_ALIGN(sizeof(struct xt_connmark_mtinfo1)),
	.help = help,
	.x6_parse = parse,
	.x6_fcheck = check,
	.x6_options = options,
	.xlate = translate,
	.udata_size = sizeof(struct said),
};

__attribute__((constructor)) static void begin(void)
{
	xtables_register_match(&match);
}
