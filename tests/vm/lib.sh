# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2086 # names and numbers of our own
#
# What every part needs: TAP, hosts and the network between them, firewalls, pinholed. Nothing of NFS.
#
#   client 192.0.2.1 ------+
#                        router ------ server 198.51.100.2
#   other  192.0.2.65 -----+                                      (2001:db8:1::1, :2::1, :3::2)
#
# Nothing here may leave the machine running for ever: whatever can hang has a timeout.

declare -A PID DAEMON ADDRESS ADDRESS6
HOSTS=(client other router server)
n=0
bad=0

# --- TAP ---------------------------------------------------------------------------------------
# skip NAME WHY
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
diag() { sed 's/^/# /'; }
say() { printf '# %s\n' "$*"; }
part() { say && say "$SECONDS s: $*"; }
# t NAME COMMAND...: passes when the command does; what it prints is the story otherwise.
t() {
	local name=$1 rc began=$SECONDS
	shift
	n=$((n + 1))
	"$@" >/tmp/out 2>&1 # not in a subshell: it may set variables
	rc=$?
	if [ $rc = 0 ]; then
		echo "ok $n - $name"
		[ $((SECONDS - began)) -lt 5 ] || say "took $((SECONDS - began)) s"
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
	for h in "${HOSTS[@]}"; do
		echo "--- $h"
		on $h nft list table inet strict 2>/dev/null | grep -E 'chain|counter'
		if [ -n "${DAEMON[$h]-}" ]; then
			ctl $h list
			tail -n 15 "/tmp/$h.log" | cut -c 1-200
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
		sleep 0.2
	done
}
no() { ! "$@"; }
is() {
	[ "$1" = "$2" ] || {
		echo "is '$1', wanted '$2'"
		return 1
	}
}

# --- hosts -------------------------------------------------------------------------------------
on() {
	local h=$1
	shift
	nsenter -t "${PID[$h]}" -m -n -u -- "$@"
}
# Network, mounts and host name of its own, and nobody else's /run and /var/lib/nfs.
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
		echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
		ip link set lo up
		touch "/tmp/$0.ready"
		exec sleep infinity' "$1" &
	PID[$1]=$!
	until_true 20 test -e "/tmp/$1.ready" || bail "no host $1"
}
# leg HOST ADDRESS/LENGTH GATEWAY, for both families: a cable to the router, whose end is called to-HOST
leg() {
	local h=$1
	ip link add near type veth peer name far
	ip link set near netns $h name eth0
	ip link set far netns router name "to-$h"
	on $h ip addr add "$2" dev eth0
	on $h ip addr add "$4" dev eth0 nodad
	on router ip addr add "$3/${2#*/}" dev "to-$h"
	on router ip addr add "$5/${4#*/}" dev "to-$h" nodad
	on $h ip link set eth0 up
	on router ip link set "to-$h" up
	on $h ip route add default via "$3"
	on $h ip -6 route add default via "$5"
	ADDRESS[$h]=${2%/*}
	ADDRESS6[$h]=${4%/*}
}
network() {
	local h
	for h in "${HOSTS[@]}"; do host $h; done
	leg client 192.0.2.1/26 192.0.2.2 2001:db8:1::1/64 2001:db8:1::2
	leg other 192.0.2.65/26 192.0.2.66 2001:db8:2::1/64 2001:db8:2::2
	leg server 198.51.100.2/24 198.51.100.1 2001:db8:3::2/64 2001:db8:3::1
	on router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	{
		echo 127.0.0.1 localhost
		for h in client other server; do printf '%s %s\n' ${ADDRESS[$h]} $h ${ADDRESS6[$h]} $h; done
	} >/etc/hosts
	: >/etc/resolv.conf
	CLIENT=${ADDRESS[client]} SERVER=${ADDRESS[server]}
	CLIENT6=${ADDRESS6[client]} SERVER6=${ADDRESS6[server]}
}

# --- firewalls ---------------------------------------------------------------------------------
# wall HOST related|mark: nothing gets in, out or through but ports 111 and 2049 of the server, and what belongs
# to it, or (mark) has pinholed's mark.
wall() {
	local h=$1 all='ct state established,related accept' tcp='tcp dport { 111, 2049 } accept' udp='udp dport 111 accept'
	[ "$2" = related ] || all='ct state established accept; ct mark & 0x20000000 != 0 accept'
	all+='; meta l4proto { icmp, ipv6-icmp } accept'
	{
		echo 'table inet strict {'
		case $h in
		server)
			chain input "iif lo accept; $all; $tcp; $udp"
			chain output "oif lo accept; $all"
			;;
		router) chain forward "$all; iifname != to-server $tcp; iifname != to-server $udp" ;;
		*)
			chain input "iif lo accept; $all"
			chain output "oif lo accept; $all; $tcp; $udp"
			;;
		esac
		echo '}'
	} | on $h nft -f -
}
chain() { echo "chain $1 { type filter hook $1 priority filter; policy drop; $2; counter; }"; }
# walls related|mark HOST...: on these hosts and nowhere else, and no connection is remembered.
walls() {
	local admit=$1 h
	shift
	for h in "${HOSTS[@]}"; do
		on $h nft delete table inet strict 2>/dev/null
		on $h conntrack -F 2>/dev/null
	done
	for h in "$@"; do wall $h $admit || bail "no firewall on the $h"; done
}
# How many packets the firewall of a host has dropped.
dropped() { on "$1" nft list table inet strict | awk '/^\t\tcounter/ {sum += $3} END {print sum + 0}'; }
dropped_more() { [ "$(dropped "$1")" -gt "$2" ]; }

# --- pinholed ----------------------------------------------------------------------------------
ctl() {
	local h=$1
	shift
	on "$h" "$HERE/pinholectl" "$@"
}
# configure HOST [TEXT]
configure() { printf '%s\n' "${2-}" >"/tmp/$1.conf"; }
start() {
	# not by on(): the pid shall be the daemon's own
	: >"/tmp/$1.log"
	nsenter -t "${PID[$1]}" -m -n -u -- "$HERE/pinholed" -v -c "/tmp/$1.conf" >"/tmp/$1.log" 2>&1 &
	DAEMON[$1]=$!
	until_true 20 grep -q 'ready: ' "/tmp/$1.log"
}
stop() {
	local pid=${DAEMON[$1]-}
	[ -n "$pid" ] || return 0
	unset "DAEMON[$1]"
	kill "$pid" && wait "$pid"
}
# begin TEXT HOST... / end HOST...: pinholed with this configuration on these hosts, as tests.
begin() {
	local h text=$1
	shift
	for h in "$@"; do
		configure $h "$text"
		on $h rm -f /run/pinholed/state.json # nothing of an earlier part
		t "pinholed starts on the $h" start $h
		t "its queue on the $h is nft's own" queue_native $h
	done
}
end() {
	local h
	for h in "$@"; do
		t "pinholed on the $h ends well" stop $h
		t 'and takes its table with it' no on $h nft list table inet pinholed
	done
}
# status HOST KEY
status() { ctl "$1" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
queue_native() { is "$(status "$1" capture)" queue; }
# listed HOST WORDS: a line of `list` that has these words, in this order
listed() { ctl "$1" list | grep -E "$2"; }
# in_kernel HOST PORT
in_kernel() { on "$1" nft list set inet pinholed sunrpc4 | grep -qE "\. $2( |,|$)"; }
asleep() {
	! ctl "$1" list | grep -q ' open ' && ! on "$1" nft list set inet pinholed sunrpc4 | grep -q elements
}
