// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of protocols. Adding one is a file in track/ and a line here.
 */
#include "tracker.h"

extern const struct tracker ftp_tracker;
extern const struct tracker sunrpc_tracker;
extern const struct tracker bfd_tracker;
extern const struct tracker nfs_tracker;

static const struct tracker *const trackers[PH_SVC_MAX] = {
	[PH_SVC_FTP] = &ftp_tracker,
	[PH_SVC_SUNRPC] = &sunrpc_tracker,
	[PH_SVC_BFD] = &bfd_tracker,
	[PH_SVC_NFS] = &nfs_tracker,
};

const struct tracker *tracker_of(enum ph_service svc)
{
	return svc < PH_SVC_MAX ? trackers[svc] : NULL;
}
