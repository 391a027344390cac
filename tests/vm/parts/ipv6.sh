# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
#
# Over IPv6 mount.nfs asks rpcbind version 4, then 3, and the kernel's lock manager likewise.
part 'IPv6; pinholed on the client and on the server, both strict, related'
server_reboots
walls related client server
begin '' client server
for options in nfsvers=3,proto=tcp6,mountproto=tcp6 nfsvers=3,proto=tcp6,mountproto=udp6 nfsvers=3; do
	t "mount -o $options" do_mount $options 30 "[$SERVER6]"
	t 'read and write' read_write
	t 'a lock is taken, held and released' lock_reaches_server
	t 'umount' do_umount
done
t 'mount, to lock' do_mount nfsvers=3 30 "[$SERVER6]"
before=$(dropped client)
t_callback 'a blocked lock is granted by callback' granted_within 8 server /srv/nfs/file client
t_callback 'which came through a pinhole on the client' listed client "nlockmgr .* \\[$SERVER6\\]:.* \\[$CLIENT6\\]:"
t 'whose firewall has dropped nothing' no dropped_more client "$before"
t 'umount' do_umount
end client server
