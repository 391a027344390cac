#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What building and testing need, fetched without asking:
#
#   lab.sh build-deps     libraries and tools, installed as packages (root)
#   lab.sh test-servers   FTP, NFS, TFTP and rsh servers and clients, routing daemons that speak BFD,
#                         and iptables, only unpacked below build/lab, never installed: installing
#                         them would start services and add users, or change what `iptables` is
#
# Neither starts a service nor touches the firewall. A second run finds everything and does nothing.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/.."

LAB=build/lab
LOG=build/lab.log
POLICY=/usr/sbin/policy-rc.d
POLICY_SAVED=$POLICY.pinholed-saved
POLICY_MARK='pinholed tests/lab.sh: no service may start while packages are being installed'

BUILD_DEB='pkg-config libmnl-dev libnftnl-dev libnetfilter-conntrack-dev libnetfilter-queue-dev
	libxtables-dev libsystemd-dev libconfuse-dev libjansson-dev libpcap-dev libtirpc-dev
	libcap-ng-dev libseccomp-dev uthash-dev check python3 pyflakes3 perl nftables iproute2 conntrack'
BUILD_RPM='pkgconf-pkg-config libmnl-devel libnftnl-devel libnetfilter_conntrack-devel
	libnetfilter_queue-devel iptables-devel systemd-devel libconfuse-devel jansson-devel
	libpcap-devel libtirpc-devel libcap-ng-devel libseccomp-devel uthash-devel check-devel
	python3 python3-pyflakes perl-Test-Harness nftables iproute conntrack-tools cpio dnf-plugins-core'
# vsftpd and proftpd conflict as packages, so each of these is resolved on its own.
LAB_DEB='vsftpd proftpd-core proftpd-mod-crypto lftp curl openssl
	rpcbind nfs-ganesha nfs-ganesha-mem libnfs-utils nfs-common
	bird2 frr
	tftpd-hpa tftp-hpa
	iptables'
LAB_RPM='vsftpd proftpd lftp curl openssl rpcbind nfs-utils'
# Not in every distribution's own repositories. Without them the tests that need them skip, and say so.
LAB_DEB_MAY='rsh-redone-server rsh-redone-client rsh-server'
LAB_RPM_MAY='nfs-ganesha nfs-ganesha-mem libnfs-utils bird frr tftp-server tftp rsh-server rsh
	iptables-nft iptables-legacy'

say() { echo "lab: $*"; }
die() {
	echo "lab: $*" >&2
	exit 1
}

# Runs a command with its output in the log; shows the end of the log if it fails.
logged() {
	echo "+ $*" >>"$LOG"
	"$@" >>"$LOG" 2>&1 </dev/null
}
failed() {
	tail -n 20 "$LOG" >&2
	die "$*; the whole story is in $LOG"
}

# Invoke-rc.d and deb-systemd-invoke ask policy-rc.d before they start anything; 101 means no.
services_deny() {
	trap services_restore EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if [ -e $POLICY ]; then
		mv $POLICY $POLICY_SAVED
	fi
	printf '#!/bin/sh\n# %s\nexit 101\n' "$POLICY_MARK" >$POLICY
	chmod 755 $POLICY
}
# Also what an earlier run has left that was killed.
services_restore() {
	if [ -e $POLICY_SAVED ]; then
		mv -f $POLICY_SAVED $POLICY
	elif [ -e $POLICY ] && grep -qF "$POLICY_MARK" $POLICY; then
		rm -f $POLICY
	fi
}

apt() {
	logged apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}
apt_update() {
	if [ "$(id -u)" = 0 ]; then
		apt update || say "the package lists could not be renewed; trying with the old ones"
	fi
}

missing_deb() {
	local p
	for p; do
		case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
		installed) ;;
		*) echo "$p" ;;
		esac
	done
}
missing_rpm() {
	local p
	for p; do
		rpm -q --whatprovides "$p" >/dev/null 2>&1 || echo "$p"
	done
}

build_deps_apt() {
	local missing
	[ "$(id -u)" != 0 ] || services_restore
	# shellcheck disable=SC2086 # lists of words
	missing=$(missing_deb $BUILD_DEB | xargs)
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "missing packages, install them as root: $missing"
	say "installing $missing"
	services_deny
	apt_update
	# shellcheck disable=SC2086
	apt install $missing || { apt_update && apt install $missing; } ||
		failed "packages cannot be installed: $missing"
}

build_deps_dnf() {
	local missing
	# shellcheck disable=SC2086
	missing=$(missing_rpm $BUILD_RPM | xargs)
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "missing packages, install them as root: $missing"
	say "installing $missing"
	# shellcheck disable=SC2086
	logged dnf -y --setopt=install_weak_deps=False install $missing ||
		failed "packages cannot be installed: $missing"
}

# Downloads one package and those of its dependencies that this machine has not.
fetch_deb() {
	local opts=(-d -o Debug::NoLocking=1 -o Dir::Cache::archives="$PWD/$LAB.new/pkg"
		-o APT::Sandbox::User=)
	apt "${opts[@]}" --reinstall install "$1" || apt "${opts[@]}" install "$1"
}

lab_apt() {
	local p
	mkdir -p $LAB.new/pkg/partial
	apt_update
	for p in $LAB_DEB; do
		fetch_deb "$p" || failed "package $p cannot be fetched"
	done
	for p in $LAB_DEB_MAY; do
		if apt-cache policy "$p" 2>/dev/null | grep -q 'Candidate: [^(]'; then
			fetch_deb "$p" || failed "package $p cannot be fetched"
		else
			say "no package $p here: tests that need it will be skipped"
		fi
	done
	rm -f $LAB.new/pkg/libc6*.deb $LAB.new/pkg/libc-bin*.deb # not beside the host's loader
	# Of the two rshds the one of rsh-redone-server is to stay, so this one goes first; its rexecd has no rival.
	for p in "$LAB".new/pkg/rsh-server_*.deb "$LAB".new/pkg/*.deb; do
		[ -e "$p" ] || continue
		logged dpkg-deb -x "$p" $LAB.new/root || failed "$p cannot be unpacked"
		rm "$p"
	done
	if [ -d $LAB.new/root/sbin ]; then # rpcbind, showmount; merged as on an installed system
		mkdir -p $LAB.new/root/usr/sbin
		cp -a $LAB.new/root/sbin/. $LAB.new/root/usr/sbin
		rm -r $LAB.new/root/sbin
	fi
}

lab_dnf() {
	local p
	mkdir -p $LAB.new/pkg $LAB.new/root
	for p in $LAB_RPM; do
		logged dnf -y download --resolve --destdir "$LAB.new/pkg" "$p" ||
			failed "package $p cannot be fetched"
	done
	for p in $LAB_RPM_MAY; do
		logged dnf -y download --resolve --destdir "$LAB.new/pkg" "$p" ||
			say "package $p cannot be fetched: tests that need it will be skipped"
	done
	rm -f $LAB.new/pkg/glibc*.rpm
	for p in "$LAB".new/pkg/*.rpm; do
		rpm2cpio "$p" | (cd $LAB.new/root && cpio -idmu --quiet) ||
			die "$p cannot be unpacked"
	done
}

# Everything that decides what the lab holds.
lab_stamp() (
	# shellcheck source=/dev/null
	. /etc/os-release
	echo "$ID ${VERSION_ID-} $(uname -m): $LAB_DEB $LAB_DEB_MAY $LAB_RPM $LAB_RPM_MAY"
)

package_manager() {
	if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
		echo apt
	elif command -v dnf >/dev/null; then
		echo dnf
	else
		die "neither apt-get nor dnf here: see README for what is needed"
	fi
}

build_deps() {
	"build_deps_$PM"
}

test_servers() {
	if [ "$(cat $LAB/stamp 2>/dev/null)" = "$(lab_stamp)" ]; then
		return
	fi
	say "unpacking test servers and clients into $LAB"
	rm -rf $LAB.new
	"lab_$PM"
	rm -rf $LAB $LAB.new/pkg
	lab_stamp >$LAB.new/stamp
	mv $LAB.new $LAB
}

usage() {
	echo "usage: tests/lab.sh build-deps | test-servers" >&2
	exit 2
}

[ $# = 1 ] || usage
case $1 in
build-deps | test-servers) ;;
*) usage ;;
esac

PM=$(package_manager)
mkdir -p build
exec 9>build/lab.lock
flock 9 # parallel make targets take turns
: >"$LOG"
case $1 in
build-deps) build_deps ;;
test-servers) test_servers ;;
esac
