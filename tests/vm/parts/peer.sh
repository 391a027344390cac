# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2317,SC2086 # called by way of CASES; names and numbers of our own
#
# conntrackd's user-space helper for RPC (kernel module nfnetlink_cthelper) beside pinholed, and both beside
# nothing: on the server, which alone is strict. What pinholed does here are tests. What conntrackd does is
# reported as it is, and so are times, since a machine that is emulated has none worth testing.
LANES='none conntrackd pinholed'
TURNS=6
declare -A WORKS TIME

printf '%s\n' 'General {' 'HashSize 1024' 'HashLimit 4096' 'LogFile /tmp/conntrackd.log' \
	'LockFile /run/lock/conntrack.lock' 'UNIX {' 'Path /run/conntrackd.ctl' '}' '}' 'Helper {' >/tmp/conntrackd.conf
queue=1
for kind in 'inet udp' 'inet tcp' 'inet6 udp' 'inet6 tcp'; do
	on server nfct helper add rpc $kind || say "no helper $kind"
	printf '%s\n' "Type rpc $kind {" "QueueNum $((queue++))" 'QueueLen 10240' \
		'Policy rpc {' 'ExpectMax 16' 'ExpectTimeout 300' '}' '}' >>/tmp/conntrackd.conf
done
echo '}' >>/tmp/conntrackd.conf

# A kernel with little memory has room for 128 expectations, and conntrackd drops every answer beyond that.
say "nf_conntrack_expect_max was $(cat /proc/sys/net/netfilter/nf_conntrack_expect_max)"
echo 4096 >/proc/sys/net/netfilter/nf_conntrack_expect_max

up_none() { true; }
down_none() { true; }
pid_none() { false; }
up_pinholed() {
	configure server
	on server rm -f /run/pinholed/state.json
	start server
}
down_pinholed() { stop server; }
pid_pinholed() { echo "${DAEMON[server]}"; }
up_conntrackd() {
	on server rm -f /run/lock/conntrack.lock /run/conntrackd.ctl # what a killed one leaves
	: >/tmp/conntrackd.log
	nsenter -t "${PID[server]}" -m -n -u -- conntrackd -C /tmp/conntrackd.conf >/dev/null 2>&1 &
	PEER=$!
	until_true 10 grep -q 'initialization completed' /tmp/conntrackd.log || return
	on server nft -f - <<-'END'
		table inet peer {
			ct helper udp4 { type "rpc" protocol udp; l3proto ip; }
			ct helper tcp4 { type "rpc" protocol tcp; l3proto ip; }
			ct helper udp6 { type "rpc" protocol udp; l3proto ip6; }
			ct helper tcp6 { type "rpc" protocol tcp; l3proto ip6; }
			chain prerouting {
				type filter hook prerouting priority filter;
				meta nfproto ipv4 udp dport 111 ct helper set "udp4"
				meta nfproto ipv4 tcp dport 111 ct helper set "tcp4"
				meta nfproto ipv6 udp dport 111 ct helper set "udp6"
				meta nfproto ipv6 tcp dport 111 ct helper set "tcp6"
			}
		}
	END
}
down_conntrackd() {
	on server nft delete table inet peer
	on server conntrack -F 2>/dev/null
	[ -z "$PEER" ] || { kill "$PEER" && wait "$PEER"; }
	PEER=
}
pid_conntrackd() { echo "$PEER"; }

# --- what works ----------------------------------------------------------------------------------
mounts() {
	local rc=0
	do_mount "$1" 8 "${2-}" && read_write || rc=$?
	on client mountpoint -q $MNT && do_umount
	return $rc
}
mount_udp() { mounts nfsvers=3,nolock,mountproto=udp; }
mount_tcp() { mounts nfsvers=3,nolock,mountproto=tcp; }
mount_udp6() { mounts nfsvers=3,nolock,proto=tcp6,mountproto=udp6 "[$SERVER6]"; }
mount_tcp6() { mounts nfsvers=3,nolock,proto=tcp6,mountproto=tcp6 "[$SERVER6]"; }
locks() {
	local rc=0
	do_mount nfsvers=3,mountproto=udp 8 && lock_reaches_server || rc=$?
	on client mountpoint -q $MNT && do_umount
	return $rc
}
ask() { on client timeout -s KILL 5 "$@"; }
showmount4() { ask showmount -e $SERVER; }
showmount6() { ask showmount -e $SERVER6; }
rpcinfo_p() { ask rpcinfo -p $SERVER; }
rpcinfo_udp() { ask rpcinfo -T udp $SERVER mountd 3; }
rpcinfo_tcp() { ask rpcinfo -T tcp $SERVER mountd 3; }
rpcinfo_tcp6() { ask rpcinfo -T tcp6 $SERVER6 mountd 3; }
in_flight() { ask python3 "$HERE/getport.py" two $SERVER; }
connects() { ask python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)' $SERVER "$1"; }
moved() { mounts nfsvers=3,nolock,mountproto=tcp && mountd_restarts && mounts nfsvers=3,nolock,mountproto=tcp; }
# Somebody else sits at the port that mountd has left.
old_closed() {
	local rc old
	old=$(port 100005 3 tcp)
	mounts nfsvers=3,nolock,mountproto=tcp && mountd_restarts || return 2
	on server python3 -c 'import socket, sys, time
s = socket.create_server(("", int(sys.argv[1])))
print("listens", flush=True)
time.sleep(60)' "$old" >/tmp/old 2>&1 &
	local squatter=$!
	until_true 10 grep -q listens /tmp/old && until_true 5 no connects "$old"
	rc=$?
	kill $squatter $(pgrep -f "^python3 -c import socket, sys, time")
	return $rc
}
killed() {
	local pid
	pid=$(pid_$lane) || return 2
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	PEER=
	unset "DAEMON[server]"
	rpcinfo_p
}
CASES=(
	'mount_udp:mount, mountproto=udp'
	'mount_tcp:mount, mountproto=tcp'
	'locks:a lock is taken and released'
	'mount_udp6:mount over IPv6, mountproto=udp6'
	'mount_tcp6:mount over IPv6, mountproto=tcp6'
	'showmount4:showmount -e'
	'showmount6:showmount -e over IPv6'
	'rpcinfo_p:rpcinfo -p'
	'rpcinfo_udp:rpcinfo -T udp, mountd'
	'rpcinfo_tcp:rpcinfo -T tcp, mountd'
	'rpcinfo_tcp6:rpcinfo -T tcp6, mountd'
	'in_flight:two questions before the first answer'
	'moved:mountd restarted: mount again'
	'old_closed:mountd restarted: its old port is shut'
	'killed:helper killed: port 111 still answers'
)

# Each case finds helper, firewall and connections as they are at first.
for lane in $LANES; do
	part "$lane on the server, which alone is strict"
	server_reboots
	for entry in "${CASES[@]}"; do
		case=${entry%%:*}
		walls related server
		up_$lane >/tmp/out 2>&1 || { say "$lane does not start:" && diag </tmp/out; }
		if [ $lane = pinholed ]; then
			t "pinholed: ${entry#*:}" $case
		else
			$case >/tmp/out 2>&1
		fi
		case $? in
		0) WORKS[$lane $case]=yes ;;
		2) WORKS[$lane $case]=- ;;
		*) WORKS[$lane $case]=no ;;
		esac
		down_$lane >/tmp/out 2>&1
	done
done

# --- how long an answer takes --------------------------------------------------------------------
# In turns, so that what else the machine does meanwhile falls on all of them. "same": one client asks again
# and again on one flow. "each": each question comes from a new client, whose port has to be opened.
on client ip route add local 10.1.0.0/16 dev lo
on router ip route add 10.1.0.0/16 via $CLIENT
questions() {
	local out=/tmp/rtt.$lane
	on client python3 "$HERE/getport.py" time $SERVER 100 /dev/null &&
		on client python3 "$HERE/getport.py" time $SERVER 200 $out.same &&
		on client python3 "$HERE/getport.py" each $SERVER 200 $out.each
}
part "GETPORT over UDP, $TURNS turns of 200 questions each"
for _ in $(seq $TURNS); do
	for lane in $LANES; do
		walls related server
		up_$lane >/tmp/out 2>&1 || { say "$lane does not start:" && diag </tmp/out; }
		if [ $lane = pinholed ]; then
			t 'pinholed: all questions are answered' questions
			t 'and the port is open to each client' is "$(ctl server list | grep -c ' open  *mountd .* 10\.1\.')" 200
		else
			questions >/tmp/out 2>&1 || { say "$lane: $(tail -n 1 /tmp/out)"; }
		fi
		down_$lane >/tmp/out 2>&1
	done
done

say
say "$(printf '| %-40s | %-9s | %-10s | %-10s |' '' 'no helper' conntrackd pinholed)"
say '|---|---|---|---|'
for entry in "${CASES[@]}"; do
	case=${entry%%:*}
	say "$(printf '| %-40s | %-9s | %-10s | %-10s |' "${entry#*:}" "${WORKS[none $case]}" "${WORKS[conntrackd $case]}" "${WORKS[pinholed $case]}")"
done
for way in same each; do
	for lane in $LANES; do
		TIME[$lane]=$(python3 "$HERE/getport.py" report /tmp/rtt.none.$way /tmp/rtt.$lane.$way)
	done
	say "| GETPORT, $way, p50 / p99 µs (count; times as long as without) | ${TIME[none]} | ${TIME[conntrackd]} | ${TIME[pinholed]} |"
done
say 'The machine is emulated: only how many times as long means something. That is the median of the turns.'
