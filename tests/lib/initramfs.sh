#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: initramfs.sh OUT [INIT]
#
# Make an initramfs for a Linux guest: busybox, the window program (compiled
# here) and INIT, by default examples/guest/init. The same input gives the
# same bytes. ARCH in the environment is the guest's: riscv64 if it is not
# set, or amd64. MODULES is a set of kernel modules (guest.sh) to put into
# /modules; the file `order` there names them in the order of loading.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

[ $# -ge 1 ] || die "usage: initramfs.sh OUT [INIT]"
out=$1
init=${2:-$root/examples/guest/init}
arch=${ARCH:-riscv64}
busybox=$cache/$arch/busybox
case $arch in
amd64) cc=${GUEST_CC:-gcc} ;;
*) cc=${GUEST_CC:-$arch-linux-gnu-gcc} ;;
esac

[ -s "$busybox" ] || die "no busybox: run tests/lib/guest.sh $arch"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

mkdir -p "$tmp/fs/bin" "$tmp/fs/proc" "$tmp/fs/sys" "$tmp/fs/dev"
cp "$busybox" "$tmp/fs/bin/busybox"
ln -s busybox "$tmp/fs/bin/sh"
cp "$init" "$tmp/fs/init"
"$cc" -std=gnu11 -O2 -static -Wall -Wextra -Werror \
	-o "$tmp/fs/bin/window" "$root/examples/guest/window.c"
"$cc" -std=gnu11 -O2 -static -Wall -Wextra -Werror \
	-o "$tmp/fs/bin/vgtt-demo" "$root/examples/guest/vgtt-demo.c"
if [ -n "${MODULES:-}" ]; then
	mkdir "$tmp/fs/modules"
	cp "$cache/$arch/modules/$MODULES.order" "$tmp/fs/modules/order"
	while read -r module; do
		cp "$cache/$arch/modules/$module" "$tmp/fs/modules/"
	done <"$tmp/fs/modules/order"
fi
chmod 755 "$tmp/fs/init"
find "$tmp/fs" -exec touch -h -d @0 {} +

# The kernel brings /dev/console itself.
(cd "$tmp/fs" && find . | LC_ALL=C sort |
	cpio --quiet --reproducible -o -H newc -R 0:0) >"$tmp/cpio"
gzip -9n "$tmp/cpio"
mv "$tmp/cpio.gz" "$out"
