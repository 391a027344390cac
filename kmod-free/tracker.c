// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of protocols. Adding one is a file in track/ and a line here.
 */
#include "tracker.h"

extern const struct tracker ftp_tracker;
extern const struct tracker sunrpc_tracker;
extern const struct tracker bfd_tracker;
extern const struct tracker nfs_tracker;
extern const struct tracker tftp_tracker;
extern const struct tracker rsh_tracker;
extern const struct tracker rexec_tracker;

static const struct tracker *const trackers[PH_SVC_MAX] = {
	[PH_SVC_FTP] = &ftp_tracker,
	[PH_SVC_SUNRPC] = &sunrpc_tracker,
	[PH_SVC_BFD] = &bfd_tracker,
	[PH_SVC_TFTP] = &tftp_tracker,
	[PH_SVC_RSH] = &rsh_tracker,
	[PH_SVC_NFS] = &nfs_tracker,
	[PH_SVC_REXEC] = &rexec_tracker,
};

const struct tracker *tracker_of(enum ph_service svc)
{
	return svc < PH_SVC_MAX ? trackers[svc] : NULL;
}
