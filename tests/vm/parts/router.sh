# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
for admit in related mark; do
	part "pinholed on a router between them, strict, $admit"
	server_reboots
	walls $admit router
	if [ $admit = related ]; then
		before=$(dropped router)
		t 'without pinholed an NFSv3 mount fails' no do_mount nfsvers=3,tcp,nolock,mountproto=tcp 12
		t 'and the firewall has dropped something' dropped_more router "$before"
	fi
	begin "admit = $admit" router
	for options in nfsvers=3,mountproto=udp nfsvers=3,mountproto=tcp; do
		t "mount -o $options" do_mount $options
		t 'read and write' read_write
		t 'a lock is taken, held and released' lock_reaches_server
		t 'umount' do_umount
	done
	t 'mount by IPv6' do_mount nfsvers=3 30 "[$SERVER6]"
	t 'read and write' read_write
	t 'umount' do_umount
	t 'mount, to lock' do_mount nfsvers=3
	before=$(dropped router)
	t_callback 'a blocked lock is granted by callback' granted_within 8 server /srv/nfs/file client
	t 'the firewall has dropped nothing' no dropped_more router "$before"
	t 'umount' do_umount
	end router
done
