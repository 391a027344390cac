# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
#
# A lock that has to wait is granted by a call from the server to the client (NLM_GRANTED), which asks the
# client's rpcbind first. The kernel's client would ask again by itself, but only every 30 seconds
# (NLMCLNT_POLL_TIMEOUT).

part 'locks; pinholed on the client and on the server, both strict, related'
server_reboots
walls related client server
begin '' client server
t 'mount, to lock' do_mount nfsvers=3
t 'a lock is taken, held and released' lock_reaches_server
before=$(dropped client)
t_callback 'a blocked lock is granted by callback' granted_within 8 server /srv/nfs/file client
late
t_callback 'which came through a pinhole on the client' listed client "nlockmgr .* $SERVER:.* $CLIENT:"
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
t_callback 'a blocked lock is not granted before the client asks again' granted_after 10 server /srv/nfs/file client
late
t_callback "because the client's firewall has dropped the callback" dropped_more client "$before"
t 'umount' do_umount
end server
