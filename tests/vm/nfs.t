#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boots the virtual machine that tests/vm/image has built, with pinholed, pinholectl and guest.sh, and
# shows guest.sh's TAP. The console goes to build/vm/console.log. VM_PARTS: which files of parts/, in this
# order; all of them by default.
set -u
cd "$(dirname "$0")/../.." || exit 1
VM=build/vm
if [ -s $VM/unavailable ]; then
	echo "1..0 # SKIP $(cat $VM/unavailable)"
	exit 0
fi

echo "${VM_PARTS:-mount lock notify mark ipv6 router two peer profile}" >$VM/which
tar -cf $VM/payload.tar -C build pinholed pinholectl vm/which --transform 's,^vm/,,' \
	-C ../tests/vm guest.sh lib.sh nfs.sh lock.py getport.py parts -C ../../rules catalogue || exit 1
accel=tcg,thread=multi
# stdout: the guest's second serial line, where nobody but guest.sh writes
timeout -k 5 "${VM_TIMEOUT:-900}" qemu-system-x86_64 -accel $accel -cpu max -smp 2 -M q35 -m 1024 \
	-nic none -vga none -display none -monitor none -no-reboot \
	-serial file:$VM/console.log -chardev stdio,id=tap,signal=off -serial chardev:tap \
	-kernel $VM/vmlinuz -initrd $VM/initrd -append 'console=ttyS0 panic=-1 quiet mitigations=off' \
	-drive file=$VM/root.ext4,if=virtio,format=raw,snapshot=on \
	-drive file=$VM/payload.tar,if=virtio,format=raw,readonly=on </dev/null
rc=$?
if ! grep -aq 'guest.sh ended with 0' $VM/console.log; then
	echo "# the machine's console ends so (qemu: $rc):"
	tail -n 15 $VM/console.log | tr -d '\r' | sed 's/^/# /'
	exit 1
fi
