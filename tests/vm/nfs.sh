# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2086 # names and numbers of our own
#
# The kernel's own NFS server and clients on the hosts of lib.sh: mounts, files, locks, and what a part
# asks about them.

MNT=/mnt
declare -A LOCK
# Seconds in which the server gives out no new locks after it has started.
GRACE=/proc/sys/fs/nfs/nlm_grace_period

# --- the server --------------------------------------------------------------------------------
nfs_server() {
	mkdir -p /srv/nfs
	echo 'what the server has' >/srv/nfs/file
	echo "/srv/nfs *(rw,async,no_root_squash,no_subtree_check,fsid=1)" >/etc/exports
	on server mount -t nfsd nfsd /proc/fs/nfsd && server_boots
}
server_boots() {
	on server rm -f /run/sm-notify.pid # from before the boot; sm-notify runs once in each
	on server rpcbind &&
		on server exportfs -r &&
		on server sh -c 'echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime' &&
		on server rpc.nfsd -N 4 4 &&
		on server rpc.mountd -N 4 &&
		on server rpc.statd # tells everyone who had a lock (sm-notify)
}
# In good order: locks are given up, and nobody is left to be told.
server_goes_down() {
	# this kernel goes on, with the locks that nobody has given up
	on server sh -c 'echo /srv/nfs >/proc/fs/nfsd/unlock_filesystem'
	on server rpc.nfsd 0
	ended server rpc.mountd && ended server rpc.statd && ended server rpcbind
}
# As if the power had gone: statd's list of those who had locks is on the disk as it was.
server_crashes() {
	on server cp -a /var/lib/nfs/sm /run/ && server_goes_down && on server cp -aT /run/sm /var/lib/nfs/sm &&
		on server rm -r /run/sm
}
# Locks are asked again of a server that knows nobody: no connection or port of an earlier part.
server_reboots() { server_goes_down && server_boots; }

# client_boots HOST
client_boots() {
	on "$1" rm -f /run/sm-notify.pid
	on "$1" rpcbind && on "$1" rpc.statd
}

# pids HOST NAME
pids() {
	local pid
	for pid in $(ip netns pids "$1"); do
		[ "$(cat /proc/$pid/comm 2>/dev/null)" != "$2" ] || echo $pid
	done
}
gone() { [ -z "$(pids "$1" "$2")" ]; }
# ended HOST NAME: ends these processes, and waits until that is so.
ended() {
	local all
	all=$(pids "$1" "$2")
	[ -z "$all" ] || kill $all
	until_true 10 gone "$1" "$2"
}

# port PROGRAM VERSION PROTO: where that is registered with the server's rpcbind.
port() { on server rpcinfo -p 127.0.0.1 | awk -v p="$1" -v v="$2" -v t="$3" '$1 == p && $2 == v && $3 == t {print $4}'; }
port_is_not() {
	local now
	now=$(port "$1" "$2" "$3")
	[ -n "$now" ] && [ "$now" != "$4" ]
}
mountd_restarts() {
	local old
	old=$(port 100005 3 tcp)
	ended server rpc.mountd && on server rpc.mountd -N 4 && until_true 10 port_is_not 100005 3 tcp "$old"
}

# --- mounts and files --------------------------------------------------------------------------
# The mount ends by itself: a hard mount would hang for ever on a fault.
# mount_on HOST OPTIONS [SECONDS [SERVER]]
mount_on() { on "$1" timeout -k 5 "${3:-30}" mount -t nfs -o "$2,retry=0,soft,timeo=100" "${4:-$SERVER}:/srv/nfs" $MNT; }
do_mount() { mount_on client "$@"; }
do_umount() { on "${1:-client}" timeout -k 5 30 umount $MNT; }
read_write() {
	local h=${1:-client} what="written $RANDOM"
	is "$(on $h timeout 20 cat $MNT/file)" 'what the server has' || return
	# shellcheck disable=SC2016
	on $h timeout 20 sh -c 'echo "$0" >'$MNT/new "$what" || return
	is "$(cat /srv/nfs/new)" "$what"
}

# --- locks -------------------------------------------------------------------------------------
# asks NAME HOST FILE: asks for a POSIX lock there, in the background, and holds it until `release NAME`
asks() {
	rm -f /tmp/$1.release
	on "$2" timeout -k 5 200 python3 "$HERE/lock.py" "$3" /tmp/$1.release >/tmp/$1.lock 2>&1 &
	LOCK[$1]=$!
}
has() { grep -q '^locked' /tmp/$1.lock; }
takes() {
	asks "$@"
	until_true 45 has "$1" || {
		echo "$1 gets no lock: $(cat /tmp/$1.lock)"
		return 1
	}
}
release() {
	touch /tmp/$1.release
	wait "${LOCK[$1]}" || {
		cat /tmp/$1.lock
		return 1
	}
}
# clock NAME WORD: when NAME's lock was asked, locked or released, in seconds
clock() { awk -v w="$2" '$1 == w {print $2}' /tmp/$1.lock; }

# What the server's kernel knows of its own file; local locks and those of clients. A waiting one has an arrow.
server_locks() { grep -F "$(python3 -c 'import os; s = os.stat("/srv/nfs/file"); print("%02x:%02x:%d" % (os.major(s.st_dev), os.minor(s.st_dev), s.st_ino))') " /proc/locks; }
server_locked() { server_locks >/dev/null; }
server_waits() { server_locks | grep -qe '->'; }

# A client's lock reaches the server, and its end does.
lock_reaches_server() {
	local h=${1:-client}
	takes a $h $MNT/file || return
	if ! server_locked; then
		echo 'the server does not know of the lock'
		release a
		return 1
	fi
	release a && until_true 10 no server_locked
}

# blocked_lock FROM FILE TO: FROM has the lock (on FILE, as it is called there), TO waits for it on its
# mount, and FROM gives it up. How long TO then waits goes to /tmp/late.
blocked_lock() {
	rm -f /tmp/late
	takes a "$1" "$2" || return
	asks b "$3" $MNT/file
	until_true 30 server_waits || {
		echo "the server does not know that the $3 waits: $(cat /proc/locks)"
		release a && until_true 60 has b && release b
		return 1
	}
	if has b; then
		echo 'two locks at once'
		return 1
	fi
	release a && until_true 60 has b && release b || return
	awk -v a="$(clock a released)" -v b="$(clock b locked)" 'BEGIN {printf "%.1f\n", b - a}' >/tmp/late
	echo "granted after $(cat /tmp/late) s"
}
# granted_within SECONDS FROM FILE TO
granted_within() {
	local wanted=$1
	shift
	blocked_lock "$@" && awk -v w="$wanted" '{exit !($1 < w)}' /tmp/late
}
granted_after() { ! granted_within "$@" && [ -s /tmp/late ]; }

# Whether the server's lockd calls back at all, tried without a firewall. That of Linux 6.1 does; that of 6.12 has
# been seen not to, on ext4, and leaves it to the client to ask again.
callbacks_tried() {
	local major minor rc=0
	NO_CALLBACKS=
	IFS=.- read -r major minor _ <<<"$(uname -r)"
	do_mount nfsvers=3 || return
	granted_within 8 server /srv/nfs/file client || rc=$?
	if [ $rc != 0 ] && [ $((major * 1000 + minor)) -gt 6001 ]; then
		NO_CALLBACKS="without a firewall, too, the lockd of $(uname -r) grants a lock only to who asks again"
		rc=0
	fi
	do_umount && return $rc
}
late() { [ -n "$NO_CALLBACKS" ] || say "after $(cat /tmp/late) s"; }
# t, of what needs a callback
t_callback() {
	if [ -n "$NO_CALLBACKS" ]; then
		skip "$1" "$NO_CALLBACKS"
	else
		t "$@"
	fi
}
