#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Inside the virtual machine: the kernel's own NFS server and clients, each behind a default-drop firewall
# that knows ports 111 and 2049 only. Speaks TAP. One file of parts/ a topic, in one boot; each finds and
# leaves the hosts without pinholed and with nothing mounted.
# shellcheck source-path=SCRIPTDIR
set -u
cd "$(dirname "$0")" || exit 1
chmod +x pinholed pinholectl
# shellcheck disable=SC2034
HERE=$PWD
. ./lib.sh
. ./nfs.sh

modprobe -a nft_queue nfnetlink_queue nf_conntrack_netlink nft_ct nfnetlink_log nft_log nf_log_syslog
modprobe lockd nlm_timeout=3 nlm_grace_period=3 # else no lock for 50 seconds
modprobe -a nfsd nfs nfsv3 || bail 'this kernel has no NFS'
network
nfs_server >/tmp/nfs-server 2>&1 || bail "no NFS server: $(cat /tmp/nfs-server)"
for h in client other; do
	client_boots $h >/tmp/nfs-client 2>&1 || bail "no statd on the $h: $(cat /tmp/nfs-client)"
done
say "kernel $(uname -r); mountd at $(port 100005 3 tcp), nlockmgr at $(port 100021 4 tcp)"
t 'locks without a firewall' callbacks_tried

read -ra parts <which
for name in "${parts[@]}"; do
	# shellcheck source=/dev/null
	. "./parts/$name.sh"
done
say
say "$SECONDS s"
echo "1..$n"
exit $((bad > 0))
