#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Inside the virtual machine: the kernel's own NFS server and client, each behind a default-drop firewall
# that knows ports 111 and 2049 only. Speaks TAP.
#
#   client 192.0.2.1 --------- 192.0.2.2 server      (network, mount and host name of their own)
#
# Nothing here may leave the machine running for ever: whatever can hang has a timeout.
# shellcheck disable=SC2317,SC2086 # most is called by way of t(); names and numbers of our own
set -u
cd "$(dirname "$0")" || exit 1
chmod +x pinholed pinholectl

HERE=$PWD
CLIENT=192.0.2.1
SERVER=192.0.2.2
MNT=/mnt
declare -A PID DAEMON
n=0
bad=0

# --- TAP ---------------------------------------------------------------------------------------
diag() { sed 's/^/# /'; }
# t NAME COMMAND...: passes when the command does; what it prints is the story otherwise.
t() {
	local name=$1 rc began=$SECONDS
	shift
	n=$((n + 1))
	"$@" >/tmp/out 2>&1 # not in a subshell: it may set variables
	rc=$?
	if [ $rc = 0 ]; then
		echo "ok $n - $name"
		return
	fi
	bad=$((bad + 1))
	echo "not ok $n - $name"
	{
		echo "$* ended with $rc after $((SECONDS - began)) s"
		cat /tmp/out
		story
	} 2>&1 | diag
	return $rc
}
story() {
	local h
	for h in client server; do
		echo "--- $h"
		on $h nft list chain inet strict input | grep counter
		if [ -n "${DAEMON[$h]-}" ]; then
			ctl $h list
			tail -n 25 "/tmp/$h.log"
		fi
	done
}
bail() {
	echo "Bail out! $*"
	exit 1
}
# until_true SECONDS COMMAND...
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.3
	done
}
no() { ! "$@"; }

# --- the two hosts -----------------------------------------------------------------------------
on() {
	local h=$1
	shift
	nsenter -t "${PID[$h]}" -m -n -u -- "$@"
}
host() {
	ip netns add "$1"
	# shellcheck disable=SC2016 # for the inner shell
	ip netns exec "$1" unshare --mount --uts --propagation private sh -c '
		hostname "$0"
		mount -t tmpfs run /run
		mkdir -p /run/lock /run/rpcbind /run/pinholed /run/sendsigs.omit.d
		chown _rpc: /run/rpcbind
		mount -t tmpfs nfs /var/lib/nfs
		cd /var/lib/nfs
		mkdir -m 700 sm sm.bak
		mkdir v4recovery rpc_pipefs
		touch state etab rmtab
		chown -R statd: sm sm.bak state .
		ip link set lo up
		touch "/tmp/$0.ready"
		exec sleep infinity' "$1" &
	PID[$1]=$!
	until_true 20 test -e "/tmp/$1.ready" || bail "no host $1"
}
firewall() {
	local fixed=
	[ "$1" != server ] || fixed='
		tcp dport { 111, 2049 } accept
		udp dport 111 accept'
	on "$1" nft -f - <<-END
		table inet strict {
			chain input {
				type filter hook input priority filter; policy drop;
				iif lo accept
				ct state established,related accept
				meta l4proto icmp accept$fixed
				counter
			}
		}
	END
}
dropped() { on "$1" nft list chain inet strict input | awk '/counter/ {print $3}'; }

network() {
	host client
	host server
	ip link add c type veth peer name s
	ip link set c netns client name eth0
	ip link set s netns server name eth0
	on client ip addr add $CLIENT/24 dev eth0
	on server ip addr add $SERVER/24 dev eth0
	on client ip link set eth0 up
	on server ip link set eth0 up
	printf '127.0.0.1 localhost\n%s client\n%s server\n' $CLIENT $SERVER >/etc/hosts
	: >/etc/resolv.conf
	firewall client
	firewall server
}

nfs_server() {
	mkdir -p /srv/nfs
	echo 'what the server has' >/srv/nfs/file
	echo "/srv/nfs *(rw,async,no_root_squash,no_subtree_check,fsid=1)" >/etc/exports
	on server mount -t nfsd nfsd /proc/fs/nfsd &&
		on server rpcbind -w &&
		on server rpc.statd &&
		on server exportfs -r &&
		on server sh -c 'echo 10 >/proc/fs/nfsd/nfsv4leasetime; echo 10 >/proc/fs/nfsd/nfsv4gracetime' &&
		on server rpc.nfsd -N 4 4 &&
		on server rpc.mountd -N 4
}
nfs_client() { on client rpcbind -w && on client rpc.statd; }

# port PROGRAM VERSION PROTO: where that is registered with the server's rpcbind.
port() { on server rpcinfo -p 127.0.0.1 | awk -v p="$1" -v v="$2" -v t="$3" '$1 == p && $2 == v && $3 == t {print $4}'; }

# --- pinholed ----------------------------------------------------------------------------------
ctl() {
	local h=$1
	shift
	on "$h" "$HERE/pinholectl" "$@"
}
start() {
	# not by on(): the pid shall be the daemon's own
	nsenter -t "${PID[$1]}" -m -n -u -- "$HERE/pinholed" -v -c "/tmp/$1.conf" >"/tmp/$1.log" 2>&1 &
	DAEMON[$1]=$!
	until_true 20 grep -q 'ready: ' "/tmp/$1.log"
}
# status HOST KEY
status() { ctl "$1" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
is() {
	[ "$1" = "$2" ] || {
		echo "is '$1', wanted '$2'"
		return 1
	}
}
queue_native() { is "$(status "$1" capture)" queue; }
# listed HOST WORDS: a line of `list` that has these words, in this order
listed() { ctl "$1" list | grep -qE "$2"; }
# in_kernel HOST PORT
in_kernel() { on "$1" nft list set inet pinholed sunrpc4 | grep -qE "\. $2( |,|$)"; }

# --- the kernel's client -----------------------------------------------------------------------
# The mount ends by itself: a hard mount would hang for ever on a fault.
do_mount() { on client timeout -k 5 "${2:-30}" mount -t nfs -o "$1,retry=0,soft,timeo=100" $SERVER:/srv/nfs $MNT; }
do_umount() { on client timeout -k 5 30 umount $MNT; }
read_write() {
	local what="written $RANDOM"
	is "$(on client timeout 20 cat $MNT/file)" 'what the server has' || return
	# shellcheck disable=SC2016
	on client timeout 20 sh -c 'echo "$0" >'$MNT/new "$what" || return
	is "$(cat /srv/nfs/new)" "$what"
}
cat >/tmp/lock.py <<'END'
import fcntl, os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
with open(path, "r+") as f:
    fcntl.lockf(f, fcntl.LOCK_EX | (fcntl.LOCK_NB if "nb" in sys.argv else 0))
    print("locked %.1f" % time.monotonic(), flush=True)
    time.sleep(seconds)
    print("released %.1f" % time.monotonic(), flush=True)
    fcntl.lockf(f, fcntl.LOCK_UN)
END
# lock HOST FILE SECONDS [nb]: takes a POSIX lock, says so, holds it.
lock() {
	local h=$1
	shift
	on "$h" timeout -k 5 60 python3 /tmp/lock.py "$@"
}

# --- cases -------------------------------------------------------------------------------------
lock_reaches_server() {
	local holder rc=0
	on client timeout 40 flock -w 30 $MNT/file true || return
	lock client $MNT/file 4 >/tmp/held 2>&1 &
	holder=$!
	until_true 30 grep -q '^locked' /tmp/held || {
		echo "the client got no lock: $(cat /tmp/held)"
		return 1
	}
	if lock server /srv/nfs/file 0 nb >/dev/null 2>&1; then
		echo 'the server does not know of the lock'
		rc=1
	fi
	wait $holder || {
		cat /tmp/held
		rc=1
	}
	lock server /srv/nfs/file 0 nb || rc=1 # released
	return $rc
}
# The client would ask again by itself after 30 seconds: granted within 10, it was the callback.
granted() {
	local waiter released locked
	lock server /srv/nfs/file 8 >/tmp/held 2>&1 &
	until_true 10 grep -q '^locked' /tmp/held || return
	lock client $MNT/file 0 >/tmp/waited 2>&1 &
	waiter=$!
	sleep 2
	if grep -q '^locked' /tmp/waited; then
		echo 'two locks at once'
		return 1
	fi
	wait $waiter || {
		cat /tmp/waited
		return 1
	}
	released=$(awk '/^released/ {print $2}' /tmp/held)
	locked=$(awk '/^locked/ {print $2}' /tmp/waited)
	echo "released $released, granted $locked"
	awk -v a="$released" -v b="$locked" 'BEGIN {exit !(b - a < 10)}'
}

restart_mountd() {
	local old new
	old=$(port 100005 3 tcp)
	in_kernel server "$old" || {
		echo "mountd's port $old was not open before"
		return 1
	}
	on server pkill rpc.mountd
	until_true 10 no pgrep rpc.mountd >/dev/null
	on server rpc.mountd -N 4 || return
	until_true 10 port_is_not 100005 3 tcp "$old"
	new=$(port 100005 3 tcp)
	echo "$old $new" >/tmp/mountd
	if [ -z "$new" ] || [ "$old" = "$new" ]; then
		echo "mountd did not move: $old, $new"
		return 1
	fi
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
port_is_not() {
	local now
	now=$(port "$1" "$2" "$3")
	[ -n "$now" ] && [ "$now" != "$4" ]
}

asleep() {
	! ctl "$1" list | grep -q ' open ' && ! on "$1" nft list set inet pinholed sunrpc4 | grep -q elements
}
# The kernel's client closes an idle connection after five minutes. Conntrack forgets idle UDP flows and
# closed connections after two, and tells of it later still. ss and conntrack do so now.
idle() {
	local h
	on client ss -K -t dst $SERVER >/dev/null
	for h in client server; do
		on $h conntrack -D -p udp
		on $h conntrack -D -p tcp --state TIME_WAIT
	done
	for h in client server; do
		until_true 30 asleep $h || {
			echo "$h is still awake"
			return 1
		}
	done
}

# --- beginning ---------------------------------------------------------------------------------
modprobe -a nft_queue nfnetlink_queue nf_conntrack_netlink nft_ct nfnetlink_log nft_log
modprobe lockd nlm_timeout=3 nlm_grace_period=3 # else no lock for 50 seconds
modprobe -a nfsd nfs nfsv3 || bail 'this kernel has no NFS'
network
nfs_server >/tmp/nfs-server 2>&1 || bail "no NFS server: $(cat /tmp/nfs-server)"
nfs_client >/tmp/nfs-client 2>&1 || bail "no statd on the client: $(cat /tmp/nfs-client)"
echo "# kernel $(uname -r); mountd at $(port 100005 3 tcp), nlockmgr at $(port 100021 4 tcp)"

before=$(dropped server)
t 'without pinholed an NFSv3 mount fails' no do_mount nfsvers=3,tcp,nolock,mountproto=tcp 12
t 'and the firewall has dropped something' test "$(dropped server)" -gt "$before"

for h in client server; do
	: >/tmp/$h.conf
	t "pinholed starts on the $h" start $h
	t "its queue on the $h is nft's own" queue_native $h
done

for options in nfsvers=3,mountproto=udp nfsvers=3,mountproto=tcp nolock,tcp,nfsvers=3; do
	t "mount -o $options" do_mount $options
	t 'read and write' read_write
	t 'umount' do_umount
done

t 'mount, to lock' do_mount nfsvers=3
t 'a lock is taken, held and released' lock_reaches_server
t 'a blocked lock is granted by callback' granted
t 'which came through a pinhole on the client' listed client "nlockmgr .* $SERVER:.* $CLIENT:"

t 'mountd restarts, old port closed, new one open to the live client' restart_mountd
t 'read and write' read_write
t 'umount' do_umount
t 'mount by the new port' do_mount nfsvers=3
t 'read and write' read_write

for h in client server; do
	printf 'service sunrpc {\n\tlinger = 2\n\tmapping-ttl = 60\n}\n' >/tmp/$h.conf
	kill -HUP "${DAEMON[$h]}"
done
t 'the connection goes idle and the pinholes to sleep' idle
t 'the client comes back: read and write' read_write
t 'and it locks' lock_reaches_server
t 'umount' do_umount
t 'asleep again' idle
t 'a new mount after that' do_mount nfsvers=3
t 'read and write' read_write
t 'umount at the end' do_umount

for h in client server; do
	kill "${DAEMON[$h]}"
	t "pinholed on the $h ends well" wait "${DAEMON[$h]}"
	t 'and takes its table with it' no on $h nft list table inet pinholed
done
echo "1..$n"
exit $((bad > 0))
