# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
part 'admit = mark; pinholed on the client and on the server, both strict'
server_reboots
walls mark client server
begin 'admit = mark' client server
for options in nfsvers=3,mountproto=udp nfsvers=3,mountproto=tcp; do
	t "mount -o $options" do_mount $options
	t 'read and write' read_write
	t 'a lock is taken, held and released' lock_reaches_server
	t 'umount' do_umount
done
t 'mount, to lock' do_mount nfsvers=3
t_callback 'a blocked lock is granted by callback' granted_within 8 server /srv/nfs/file client
t 'umount' do_umount
end client server
