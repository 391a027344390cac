# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2086,SC2154 # names and numbers of our own
part 'two clients want one lock; pinholed on both and on the server, all strict, related'
server_reboots
walls related client other server
begin '' client other server
for h in client other; do t "mount on the $h" mount_on $h nfsvers=3; done

before=$(($(dropped client) + $(dropped other)))
t_callback 'the client gives it up, the other gets it' granted_within 8 client $MNT/file other
t_callback 'the other gives it up, the client gets it' granted_within 8 other $MNT/file client
t 'no firewall of theirs has dropped anything' test $(($(dropped client) + $(dropped other))) = "$before"
# One leaves, and nothing of the other's closes.
t 'umount on the client' do_umount
t 'read and write on the other' read_write other
t 'which can lock' lock_reaches_server other
t 'umount on the other' do_umount other
end client other server
