#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: kernel-headers.sh OUTDIR
# musl brings no Linux kernel headers and does not look into /usr/include.
# Make a directory of links to just those, and to the headers of the two
# libraries that we link statically.
set -eu
out=$1
mkdir -p "$out"
arch=$(cc -dumpmachine 2>/dev/null || gcc -dumpmachine)
link() {
	for f in "/usr/include/$1" "/usr/include/$arch/$1"; do
		if [ -e "$f" ]; then
			ln -sfn "$f" "$out/$1"
			return
		fi
	done
	echo "missing $1: install linux-libc-dev, libfdt-dev, zlib1g-dev" >&2
	exit 1
}
for h in linux asm-generic asm fdt.h libfdt.h libfdt_env.h zlib.h zconf.h; do
	link "$h"
done
