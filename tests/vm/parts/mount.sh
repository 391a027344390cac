# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
part 'mounts; pinholed on the client and on the server, both strict, related'
walls related client server

before=$(dropped client)
t 'without pinholed an NFSv3 mount fails' no do_mount nfsvers=3,tcp,nolock,mountproto=tcp 12
t 'and the firewall has dropped something' dropped_more client "$before"

begin '' client server
for options in nfsvers=3,mountproto=udp nfsvers=3,mountproto=tcp nolock,tcp,nfsvers=3; do
	t "mount -o $options" do_mount $options
	t 'read and write' read_write
	t 'umount' do_umount
done

# The port of a live client's mountd changes.
restart_mountd() {
	local old new
	old=$(port 100005 3 tcp)
	in_kernel server "$old" || {
		echo "mountd's port $old was not open before"
		return 1
	}
	mountd_restarts || return
	new=$(port 100005 3 tcp)
	until_true 15 no in_kernel server "$old" || {
		echo "old port $old is still open, the new one is $new"
		on server nft list set inet pinholed sunrpc4
		return 1
	}
	until_true 15 in_kernel server "$new" || {
		echo "the new port $new is not open"
		return 1
	}
}
t 'mount' do_mount nfsvers=3
t 'mountd restarts, old port closed, new one open to the live client' restart_mountd
t 'read and write' read_write
t 'umount' do_umount
t 'mount by the new port' do_mount nfsvers=3
t 'read and write' read_write

# The kernel's client closes an idle connection after five minutes. Conntrack forgets idle UDP flows and
# closed connections after two, and tells of it later still. ss and conntrack do so now.
idle() {
	local h
	on client ss -K -t dst "$SERVER" >/dev/null
	for h in client server; do
		on $h conntrack -D -p udp >/dev/null
		on $h conntrack -D -p tcp --state TIME_WAIT >/dev/null
	done
	for h in client server; do
		until_true 30 asleep $h || {
			echo "$h is still awake"
			return 1
		}
	done
}
for h in client server; do
	configure $h $'service sunrpc {\n\tlinger = 2\n\tmapping-ttl = 60\n}'
	kill -HUP "${DAEMON[$h]}"
	t "a shorter linger on the $h" until_true 10 grep -q 'new configuration in force' /tmp/$h.log
done
t 'the connection goes idle and the pinholes to sleep' idle
t 'the client comes back: read and write' read_write
t 'and it locks' lock_reaches_server
t 'umount' do_umount
t 'asleep again' idle
t 'a new mount after that' do_mount nfsvers=3
t 'read and write' read_write
t 'umount at the end' do_umount
end client server
