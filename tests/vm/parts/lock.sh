# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A lock that has to wait is granted by a call from the server to the client (NLM_GRANTED), which asks the
# client's rpcbind first. The kernel's client would ask again by itself, but only every 30 seconds
# (NLMCLNT_POLL_TIMEOUT).

# blocked_lock: the server itself has the lock, the client waits for it, and the server gives it up. How
# long the client then waits goes to /tmp/late.
blocked_lock() {
	takes a server /srv/nfs/file || return
	asks b client $MNT/file
	until_true 30 server_waits || {
		echo "the server does not know that the client waits: $(cat /proc/locks)"
		return 1
	}
	if has b; then
		echo 'two locks at once'
		return 1
	fi
	release a && until_true 60 has b && release b || return
	awk -v a="$(clock a released)" -v b="$(clock b locked)" 'BEGIN {printf "%.1f\n", b - a}' >/tmp/late
	cat /tmp/late
}
granted_within() { blocked_lock && awk -v l="$1" '{exit !($1 < l)}' /tmp/late; }
granted_after() { blocked_lock && awk -v l="$1" '{exit !($1 > l)}' /tmp/late; }

part 'locks; pinholed on the client and on the server, both strict, related'
server_reboots
walls related client server
begin '' client server
t 'mount, to lock' do_mount nfsvers=3
t 'a lock is taken, held and released' lock_reaches_server
before=$(dropped client)
t 'a blocked lock is granted by callback' granted_within 8
say "after $(cat /tmp/late) s"
t 'which came through a pinhole on the client' listed client "nlockmgr .* $SERVER:.* $CLIENT:"
t 'whose firewall has dropped nothing' no dropped_more client "$before"
t 'umount' do_umount
end client server

# What would be seen if the callback did not come through.
part 'control: pinholed on the server alone'
server_reboots
walls related server client
on client nft 'insert rule inet strict output accept' # only its input is strict
begin '' server
t 'mount, to lock' do_mount nfsvers=3
t 'a lock is taken, held and released' lock_reaches_server
before=$(dropped client)
t 'a blocked lock is not granted before the client asks again' granted_after 10
say "after $(cat /tmp/late) s"
t "because the client's firewall has dropped the callback" dropped_more client "$before"
t 'umount' do_umount
end server
