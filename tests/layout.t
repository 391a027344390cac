#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Who may include what (docs/ARCHITECTURE.md, "Rooms"), held against every #include in the tree.
# Speaks TAP.
set -u
cd "$(dirname "$0")/.." || exit 1

n=0
bad=0

# check NAME ALLOWED-REGEX FILE...: every header that the files include must match the regex whole.
check() {
	local name=$1 allowed=$2 wrong
	shift 2
	n=$((n + 1))
	wrong=$(grep -nHE '^[[:space:]]*#[[:space:]]*include' "$@" |
		sed -E 's/^([^:]*:[0-9]+):[^<"]*[<"]([^>"]*)[>"].*/\1 \2/' |
		grep -vE "^[^ ]* ($allowed)\$")
	if [ -z "$wrong" ]; then
		echo "ok $n - $name"
	else
		bad=1
		echo "not ok $n - $name"
		printf '%s\n' "$wrong" | sed 's/^/# may not include: /' >&2
	fi
}

# only NAME HEADER-REGEX ALLOWED-FILES-REGEX: nobody else includes such a header.
only() {
	local name=$1 header=$2 files=$3 wrong
	n=$((n + 1))
	wrong=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($header)" \
		--include='*.[ch]' include kmod-free nft-helper xt-ext 2>/dev/null | grep -vE "^($files):")
	if [ -z "$wrong" ]; then
		echo "ok $n - $name"
	else
		bad=1
		echo "not ok $n - $name"
		printf '%s\n' "$wrong" | sed 's/^/# /' >&2
	fi
}

libc='(arpa/inet|assert|ctype|endian|errno|inttypes|limits|stdarg|stdbool|stddef|stdint|stdio|stdlib|string)\.h'
own=$(cd kmod-free && ls ./*.h | sed 's|^\./||; s|\.|\\.|' | paste -sd'|')

check 'trackers see tracker.h, cursor.h and libc' "tracker\\.h|cursor\\.h|$libc" kmod-free/track/*.c
check 'the engine sees itself, abi.h, uthash and libc' \
	"$own|pinhole/abi\\.h|uthash\\.h|utlist\\.h|$libc" kmod-free/*.[ch]
check 'the iptables extensions see xtables.h, abi.h, their own header and libc' \
	"field\\.h|pinhole/abi\\.h|xtables\\.h|linux/netfilter/xt_connmark\\.h|$libc" xt-ext/*.[ch]
check 'catalogue and profiles see each other, cursors, addresses and libc: neither kernel nor JSON' \
	"catalogue\\.h|profile\\.h|profile_words\\.h|nft_words\\.h|text(file)?\\.h|cursor\\.h|addr\\.h|pinhole/abi\\.h|$libc" \
	nft-helper/{catalogue,profile,profile_settings,profile_render,profile_words,nft_words,text,textfile}.[ch]
only 'nobody outside kmod-free reaches into track/' '(\.\./)*(kmod-free/)?track/' 'kmod-free/.*'
only 'libxtables stays in xt-ext' 'xtables\.h' 'xt-ext/libxt_.*'
only 'libnftnl stays in its room' 'libnftnl/' 'nft-helper/(rules|table|ruleset_dump|ruleset_decode)\.[ch]'
only 'libnetfilter_conntrack stays in ct.c' 'libnetfilter_conntrack/' 'nft-helper/ct\.c'
only 'libnetfilter_queue stays in queue.c' 'libnetfilter_queue/' 'nft-helper/queue\.c'
only 'NFLOG stays in nflog.c' 'linux/netfilter/nfnetlink_log' 'nft-helper/nflog\.c'
only 'libpcap stays in capture.c' 'pcap' 'nft-helper/capture\.c'
only 'libtirpc stays in rpcmap.c' '(rpc|tirpc)/' 'nft-helper/rpcmap\.[ch]'
only 'libconfuse stays in conf.c' 'confuse' 'nft-helper/conf\.c'
only 'privileges stay in privs.c' 'seccomp|cap-ng|linux/landlock' 'nft-helper/privs\.c'

# No child processes and no shells in the product.
n=$((n + 1))
if wrong=$(grep -nE '\b(system|popen|fork|vfork|posix_spawnp?|exec[lv]p?e?)[[:space:]]*\(' \
	kmod-free/*.c kmod-free/track/*.c nft-helper/*.c xt-ext/*.c); then
	bad=1
	echo "not ok $n - no child processes"
	printf '%s\n' "$wrong" | sed 's/^/# /' >&2
else
	echo "ok $n - no child processes"
fi

# Packet bytes and text are read with cursors.
n=$((n + 1))
if wrong=$(grep -nE '\b(sscanf|strtok(_r)?|ato[il]+|gets)[[:space:]]*\(' \
	kmod-free/*.c kmod-free/track/*.c nft-helper/*.c xt-ext/*.c); then
	bad=1
	echo "not ok $n - no sscanf, strtok, atoi"
	printf '%s\n' "$wrong" | sed 's/^/# /' >&2
else
	echo "ok $n - no sscanf, strtok, atoi"
fi

# Names that the Python of the tests uses and nobody defines, before it runs for minutes.
n=$((n + 1))
if wrong=$( (grep -rl '^#!/usr/bin/python3' tests && find tests -name '*.py') | sort -u |
	xargs /usr/bin/python3 -B -m pyflakes 2>&1); then
	echo "ok $n - the Python of the tests knows its names"
else
	bad=1
	echo "not ok $n - the Python of the tests knows its names"
	printf '%s\n' "$wrong" | sed 's/^/# /' >&2
fi

echo "1..$n"
exit $bad
