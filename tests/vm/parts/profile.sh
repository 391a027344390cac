# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
#
# A profile as `pinholectl profile render` writes it, on a host whose NFS is the kernel's own: mounts, locks
# and the callbacks that its output has to let through. And its log, which the kernel writes for the first
# network namespace alone unless told otherwise.
part 'the profile qumulo-onprem on the server, pinholed beside it, related and mark'

echo 1 >/proc/sys/net/netfilter/nf_log_all_netns
PROFILE_TABLE='list table inet strict'
load_profile() {
	ctl server profile render qumulo-onprem --catalogue "$HERE/catalogue" \
		--define "clients=$CLIENT,$CLIENT6" >/tmp/profile.nft 2>/tmp/profile.err || {
		cat /tmp/profile.err
		return 1
	}
	on server nft -f /tmp/profile.nft && on server nft -s $PROFILE_TABLE >/tmp/profile.before
}
unchanged() { on server nft -s $PROFILE_TABLE | diff /tmp/profile.before -; }

# 500 drops of this host's: how many are in the kernel's log; fails when none are.
logged() { dmesg | grep -cE 'strict in: .* DPT=20[0-4][0-9][0-9] '; }
# One SYN to each port, and no waiting for answers.
knock() {
	on "$1" python3 -c '
import socket, sys
kept = []
for port in range(20000, 20500):
	kept.append(socket.socket())
	kept[-1].setblocking(False)
	kept[-1].connect_ex((sys.argv[1], port))' "$SERVER"
}
# 20 at once and 5 a second, however many are dropped.
drops_are_logged() {
	local began=$SECONDS lines
	dmesg -C
	knock "$1"
	until_true 10 logged || {
		echo "nothing in the log: $(dmesg | tail -n 3)"
		return 1
	}
	lines=$(logged)
	echo "$lines lines of 500 in $((SECONDS - began)) s"
	[ $lines -le $((20 + 5 * (SECONDS - began + 2))) ]
}
# asks_rpcbind HOST: over TCP, as far as being connected
asks_rpcbind() {
	on "$1" python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], 111), 3)' "$SERVER"
}

for admit in related mark; do
	server_reboots
	walls related # nowhere
	t "$admit: the profile is loaded" load_profile
	t "$admit: without pinholed an NFSv3 mount fails" no do_mount nfsvers=3,tcp,nolock,mountproto=tcp 12
	begin "admit = $admit" server
	for options in nfsvers=3,mountproto=udp nfsvers=3,mountproto=tcp; do
		t "$admit: mount -o $options" do_mount $options
		t "$admit: read and write" read_write
		t "$admit: a lock is taken, held and released" lock_reaches_server
		t "$admit: umount" do_umount
	done
	t "$admit: mount, to lock" do_mount nfsvers=3
	t_callback "$admit: a blocked lock is granted by a callback through the profile's output" \
		granted_within 8 server /srv/nfs/file client
	late
	t "$admit: umount" do_umount
	t "$admit: mountd restarts" mountd_restarts
	t "$admit: mount by its new port" do_mount nfsvers=3,mountproto=tcp
	t "$admit: read and write" read_write
	t "$admit: umount at the end" do_umount
	t "$admit: who is no client cannot even ask rpcbind" no asks_rpcbind other
	t "$admit: as the client can" asks_rpcbind client
	t "$admit: drops are logged, and no more than 20 and 5 a second" drops_are_logged other
	t "$admit: the profile is as it was loaded" unchanged
	end server
done
echo 0 >/proc/sys/net/netfilter/nf_log_all_netns
walls related
