# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
#
# Who held locks with a server that reboots is told so by the server's sm-notify (SM_NOTIFY: to statd, at a
# port that the client's rpcbind knows), and asks for them again while the server's grace lasts. A client
# that reboots tells the server, which then frees its locks.
echo 15 >$GRACE

server_reboots_under_lock() {
	server_crashes || return
	if server_locked; then
		echo 'the server has not forgotten the lock'
		return 1
	fi
	server_boots
}
# monitored HOST: its statd has somebody to watch, or to tell
monitored() { on "$1" test -n "$(on "$1" ls /var/lib/nfs/sm)"; }

part 'the server reboots; pinholed on the client and on the server, both strict, related'
server_reboots
walls related client server
begin '' client server
t 'mount' do_mount nfsvers=3
t 'the client holds a lock' takes a client $MNT/file
t 'and its statd watches the server' monitored client
before=$(dropped client)
t 'the server reboots' server_reboots_under_lock
t "its statd's notice comes through a pinhole on the client" until_true 20 listed client "bound .*status .* $SERVER:.* $CLIENT:"
t 'and the client asks for its lock again, and gets it' until_true 20 server_locked
t 'its firewall has dropped nothing' no dropped_more client "$before"
t 'the lock is released' release a
t 'and the server knows' until_true 10 no server_locked

part 'the client reboots'
t 'the client holds a lock' takes a client $MNT/file
t 'which the server knows' server_locked
t 'and the server watches the client' monitored server
client_reboots() { ended client rpc.statd && ended client rpcbind && client_boots client; }
before=$(dropped server)
t "the client's statd ends and begins as after a boot" client_reboots
t "its notice comes through a pinhole on the server" until_true 20 listed server "bound .*status .* $CLIENT:.* $SERVER:"
t 'and the server frees the lock' until_true 20 no server_locked
t 'its firewall has dropped nothing' no dropped_more server "$before"
release a
t 'umount' do_umount
end client server

part 'control: the server reboots; pinholed on the server alone'
server_reboots
walls related server client
on client nft 'insert rule inet strict output accept' # only its input is strict
begin '' server
t 'mount' do_mount nfsvers=3
t 'the client holds a lock' takes a client $MNT/file
before=$(dropped client)
t 'the server reboots' server_reboots_under_lock
t "the client's firewall drops the notice" until_true 20 dropped_more client "$before"
t 'and its retransmission' until_true 20 dropped_more client "$(dropped client)"
t 'the client has not asked for its lock' no server_locked
release a
t 'umount' do_umount
end server
echo 3 >$GRACE
