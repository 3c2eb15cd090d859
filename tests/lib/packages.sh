#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: packages.sh GROUP...
#
# Install what is missing of the Debian packages that these need:
#   build  the program and the library
#   guest  Linux guests: the window program and the initramfs
#   test   the test suite
#   bench  the comparisons with QEMU and GLib
#   lab    the nested lab: a machine with KVM, on an emulator
# Says nothing and needs no root when all is there. On another system it
# cannot install, but names what is missing.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"

# Debian 13 has a package of its own for it.
qemu()
{
	if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
		echo qemu-system-riscv qemu-system-riscv64
	else
		echo qemu-system-misc qemu-system-riscv64
	fi
}

# One package a line, and how to see without dpkg that it is there: a
# command, or a header that the compiler must find.
group()
{
	case $1 in
	build) cat <<-END ;;
		gcc gcc
		libc6-dev <stdio.h>
		pkg-config pkg-config
		meson meson
		ninja-build ninja
		python3 python3
		musl-tools musl-gcc
		linux-libc-dev <linux/kvm.h>
		libfdt-dev <libfdt.h>
		zlib1g-dev <zlib.h>
		END
	guest) cat <<-END ;;
		gcc-riscv64-linux-gnu riscv64-linux-gnu-gcc
		libc6-dev-riscv64-cross riscv64-linux-gnu-gcc
		cpio cpio
		gzip gzip
		util-linux flock
		xz-utils xz
		END
	test)
		qemu
		cat <<-END
		clang clang
		libclang-rt-dev clang
		binutils strip
		device-tree-compiler dtc
		u-boot-qemu sh
		e2fsprogs mkfs.ext4
		acpica-tools iasl
		spin spin
		clang-format clang-format
		gcovr gcovr
		g++ g++
		gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
		libc6-dev-arm64-cross aarch64-linux-gnu-gcc
		util-linux setarch
		END
		;;
	bench)
		echo libglib2.0-dev '<glib-2.0/glib.h>'
		qemu
		;;
	lab) cat <<-END ;;
		qemu-system-x86 qemu-system-x86_64
		cpio cpio
		gzip gzip
		util-linux flock
		xz-utils xz
		END
	*) die "no group '$1': say build, guest, test, bench or lab" ;;
	esac
}

if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
	debian=yes
else
	debian=
fi

# present PACKAGE PROBE
present()
{
	if [ "$debian" ]; then
		# shellcheck disable=SC2016 # dpkg's variable, not ours
		dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null |
			grep -qx installed
		return
	fi
	case $2 in
	'<'*) echo "#include $2" | cc -E - >/dev/null 2>&1 ;;
	*) command -v "$2" >/dev/null ;;
	esac
}

[ $# -gt 0 ] || die "usage: packages.sh build|guest|test|bench|lab ..."

lines=
for g in "$@"; do
	lines="$lines$(group "$g")
"
done
missing=$(printf '%s' "$lines" | sort -u | while read -r package probe; do
	present "$package" "$probe" || printf '%s ' "$package"
done)
missing=${missing% }
[ -n "$missing" ] || exit 0

[ "$debian" ] || die "this is not a Debian system: please install what" \
	"Debian calls $missing"

as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null ||
		die "please run as root: apt-get install $missing"
	# Nobody answers a password prompt where there is no terminal.
	if [ -t 0 ]; then
		as_root=sudo
	else
		as_root='sudo -n'
	fi
fi

printf 'installing %s\n' "$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# apt ARGUMENT...: quiet, patient with another apt, and asking nothing
apt()
{
	# shellcheck disable=SC2086 # as_root is empty or several words
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 "$@" \
		>>"$log" 2>&1
}

install()
{
	# shellcheck disable=SC2086 # a list of names
	apt install -y --no-install-recommends $missing
}

# The machine's lists may be absent or name versions that are gone.
if ! install; then
	apt update || true
	if ! install; then
		apt_reasons "$log" >&2
		grep -m 1 '^sudo:' "$log" >&2 || true
		die "cannot install $missing"
	fi
fi
