#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: guest.sh riscv64|amd64
#
# Fetch what a Linux guest is made of, from Debian's archive:
#   .cache/ARCH/Image     Debian's kernel, as it comes (amd64: a bzImage)
#   .cache/ARCH/busybox   a static busybox
#   .cache/ARCH/modules/  kernel modules that a guest or the lab may want,
#                         uncompressed; the files SET.order name those of a
#                         set in the order in which they must be loaded:
#                         virtio (devices and ext4), amd64 also kvm
#   .cache/ARCH/VERSION   which packages they are from
#
# Needs no root and changes nothing of the machine's (archive.sh). Does
# nothing when the files are there; remove .cache to fetch anew.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$root/tests/lib/archive.sh"

virtio='virtio_pci virtio_mmio virtio_blk virtio_net virtio_console
	virtio_rng virtio_balloon vmw_vsock_virtio_transport
	crc32c_generic ext4'

arch=${1-}
case $arch in
riscv64)
	# The first of these whose index the archive has in full: for hours
	# after an update a mirror may have only half of a suite.
	suites='trixie forky'
	kernel_meta=linux-image-riscv64
	sets=virtio
	megabytes=120
	;;
amd64)
	# Newer kernels are unreliable as the lab's machine (tests/lab/lab.sh).
	suites=bookworm
	kernel_meta=linux-image-cloud-amd64
	sets='virtio kvm'
	kvm='kvm kvm-amd kvm-intel'
	megabytes=40
	;;
*) die "usage: guest.sh riscv64|amd64" ;;
esac
out=$cache/$arch

have_all()
{
	[ -s "$out/Image" ] && [ -s "$out/busybox" ] &&
		[ -s "$out/VERSION" ] && [ -s "$out/modules/virtio.order" ]
}

have_all && exit 0

archive_tools ||
	die "fetching the guest needs a Debian system with apt-get, dpkg-deb" \
		"and flock; elsewhere put a kernel Image, a static busybox," \
		"modules and a file VERSION into .cache/$arch"

mkdir -p "$cache"

# Whoever comes second waits, and then finds the files there.
exec 9>"$cache/lock"
flock 9
have_all && exit 0

tmp=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

archive_open "$arch" "$tmp"
printf "fetching Debian's %s kernel and busybox (%s MB)\n" "$arch" "$megabytes"

for suite in $suites none; do
	[ "$suite" != none ] ||
		archive_fail "cannot fetch Debian's list of packages for $arch"
	! archive_choose "$suite" || break
done

# The meta package names the current kernel, without debugging symbols.
# Since forky its files are in packages of their own.
kernel=$(archive_ask apt-cache depends --important "$kernel_meta" |
	awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')
[ -n "$kernel" ] || archive_fail "Debian $suite has no kernel for $arch"

# part NAME: the package linux-NAME-VERSION if there is one, else the kernel's
part()
{
	name=$(printf '%s\n' "$kernel" | sed "s/^linux-image-/linux-$1-/")
	if archive_ask apt-cache show "$name" >/dev/null; then
		echo "$name"
	else
		echo "$kernel"
	fi
}

binary=$(part binary)
modules=$(part modules)
for package in "$binary" "$modules" busybox-static; do
	archive_download "$package" ||
		archive_fail "cannot fetch $package for $arch"
done

files=$tmp/files
mkdir -p "$files/modules"

# one PACKAGE PATTERN FILE: the one file of a package that is needed
one()
{
	archive_unpack "$1" "$tmp/x" "$2" || die "$1 for $arch has no $2"
	find "$tmp/x" -type f -exec mv {} "$files/$3" \;
	rm -rf "$tmp/x"
	[ -s "$files/$3" ] || die "$1 for $arch has no $2"
}

case $binary in
linux-binary-*) one "$binary" './usr/lib/modules/*/vmlinuz' Image ;;
*) one "$binary" './boot/vmlinu[xz]-*' Image ;;
esac
one busybox-static '*/busybox' busybox
chmod 644 "$files/Image"
chmod 755 "$files/busybox"

# ---- modules -------------------------------------------------------------

archive_unpack "$modules" "$tmp/tree" '*/modules/*/kernel/*' ||
	die "$modules for $arch has no modules"

# add SET NAME: the module, after those it depends on. What is not there is
# built into this kernel.
add()
{
	# A name is written with - in one place and with _ in another.
	pattern=$(printf '%s\n' "$2" | sed 's/[-_]/[-_]/g')
	path=$(find "$tmp/tree" -name "$pattern.ko*" | head -n 1)
	[ -n "$path" ] || return 0
	set -- "$1" "$(basename "${path%%.ko*}").ko"
	! grep -qx "$2" "$files/modules/$1.order" || return 0
	case $path in
	*.xz) xz -dc "$path" ;;
	*) cat "$path" ;;
	esac >"$files/modules/$2"
	for needed in $(tr '\0' '\n' <"$files/modules/$2" |
		sed -n 's/^depends=//p' | tr ',' ' '); do
		add "$1" "$needed"
	done
	echo "$2" >>"$files/modules/$1.order"
}

for set in $sets; do
	: >"$files/modules/$set.order"
	case $set in
	kvm) names=$kvm ;;
	virtio) names=$virtio ;;
	esac
	for name in $names; do
		add "$set" "$name"
	done
done
[ "$arch" != amd64 ] || [ -s "$files/modules/kvm.ko" ] ||
	die "$modules for $arch has no kvm.ko"

for deb in "$tmp"/deb/*.deb; do
	dpkg-deb --show "$deb"
done >"$files/VERSION"

rm -rf "$out"
mv "$files" "$out"
