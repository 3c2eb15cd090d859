#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: examples/demo.sh
#
# From a fresh checkout to an unmodified Linux guest whose memory is moved
# under it: installs what is missing, builds, fetches Debian's riscv64 kernel
# and busybox, shows the built-in guest (our order of doing things beside the
# legacy one), then boots Linux while a slot of its memory is moved and moves
# are made to fail; once more with a device that shadows tables of the guest,
# which moves the device's memory itself. Exits 0 only if nothing was lost and every write to a
# protected page was seen.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"
cd "$root"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

step "Packages"
tests/lib/packages.sh build guest
echo "all there"

step "Build"
[ -f build/build.ninja ] || meson setup build >"$log" 2>&1 || {
	tail -n 20 "$log"
	die "meson setup failed"
}
ninja -C build >"$log" 2>&1 || {
	tail -n 20 "$log"
	die "the build failed"
}
echo "build/vmm/vmm: $(stat -c %s build/vmm/vmm) bytes"

step "Guest"
tests/lib/guest.sh riscv64
tests/lib/initramfs.sh build/initramfs.gz
cat .cache/riscv64/VERSION

step "A bare-metal guest: its slot moves, some moves fail; ours and legacy"
timeout -s KILL 120 build/vmm/vmm --move-slot </dev/null ||
	die "the built-in guest: something was lost (exit $?)"

step "Linux: the same, under a live kernel"
timeout -s KILL 300 build/vmm/vmm \
	--kernel .cache/riscv64/Image --initrd build/initramfs.gz \
	--append 'console=ttyS0 quiet' --mem 256M --move-slot \
	</dev/null 2>&1 | tee "$log" ||
	die "the Linux guest: something was lost (exit $?)"
grep -q '^guest: verdict ok' "$log" ||
	die "the Linux guest did not say that all is well"

step "Linux drives vgtt: a shadowed table, moves by guest and host, failures"
timeout -s KILL 300 build/vmm/vmm \
	--kernel .cache/riscv64/Image --initrd build/initramfs.gz \
	--append 'console=ttyS0 quiet vgtt=1000000:1500:follow' --mem 256M \
	--vgtt --move-slot=count=1000000,interval=500 \
	</dev/null 2>&1 | tee "$log" ||
	die "vgtt: the shadow was wrong, or something was lost (exit $?)"
grep -q '^guest: verdict ok' "$log" ||
	die "vgtt-demo did not say that all is well"

step "All held: no byte wrong, no write missed"
