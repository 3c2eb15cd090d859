#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh - what `meson install` puts down is enough to build a program
#
# BUILD names the build directory; it is the static musl one.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

DESTDIR=$tmp meson install -C "$build" --no-rebuild >/dev/null
pc=$(find "$tmp" -name vmm.pc)
prefix=$tmp$(sed -n 's/^prefix=//p' "$pc")
[ -x "$prefix/bin/vmm" ] || {
	echo "the program was not installed"
	exit 1
}
flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config \
	--define-variable=prefix="$prefix" --static --cflags --libs vmm)
# shellcheck disable=SC2086
musl-gcc -static -Wall -Wextra -Werror "$root/examples/embed.c" \
	-o "$tmp/embed" $flags
"$tmp/embed"
strip -o "$tmp/stripped" "$prefix/bin/vmm"
size=$(stat -c %s "$tmp/stripped")
echo "stripped: $size bytes"
[ "$size" -lt 500000 ]
