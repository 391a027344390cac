# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
part 'two clients want one lock; pinholed on both and on the server, all strict, related'
server_reboots
walls related client other server
begin '' client other server
for h in client other; do t "mount on the $h" mount_on $h nfsvers=3; done

# passes FROM TO: FROM has the lock, TO waits, FROM gives it up, TO has it.
passes() {
	takes a "$1" $MNT/file || return
	asks b "$2" $MNT/file
	until_true 30 server_waits || {
		echo "the server does not know that the $2 waits: $(cat /proc/locks)"
		return 1
	}
	if has b; then
		echo 'two locks at once'
		return 1
	fi
	release a && until_true 60 has b && release b || return
	awk -v a="$(clock a released)" -v b="$(clock b locked)" 'BEGIN {print b - a; exit !(b - a < 8)}'
}
before=$(($(dropped client) + $(dropped other)))
t 'the client gives it up, the other gets it' passes client other
t 'the other gives it up, the client gets it' passes other client
t 'no firewall of theirs has dropped anything' test $(($(dropped client) + $(dropped other))) = "$before"
# One leaves, and nothing of the other's closes.
t 'umount on the client' do_umount
t 'read and write on the other' read_write other
t 'which can lock' lock_reaches_server other
t 'umount on the other' do_umount other
end client other server
