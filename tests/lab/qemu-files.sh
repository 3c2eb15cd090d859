#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: qemu-files.sh DIR
#
# Put this machine's qemu-system-x86_64 into DIR with all it needs to run from
# there, in the lab: its libraries, its firmware, and a script `qemu`.
set -eu

dir=$1
qemu=$(command -v qemu-system-x86_64)
mkdir -p "$dir/lib" "$dir/share"
cp "$qemu" "$dir/qemu.bin"
ldd "$qemu" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' |
	while read -r library; do
		cp -L "$library" "$dir/lib"
	done
for place in /usr/share/qemu /usr/share/seabios; do
	for file in qboot.rom bios-microvm.bin bios-256k.bin kvmvapic.bin \
		linuxboot_dma.bin pvh.bin; do
		[ ! -e "$place/$file" ] || cp -L "$place/$file" "$dir/share"
	done
done
cat >"$dir/qemu" <<'END'
#!/bin/sh
here=${0%/*}
exec "$here"/lib/ld-linux-x86-64.so.2 --library-path "$here/lib" \
	"$here/qemu.bin" -L "$here/share" "$@"
END
chmod 755 "$dir/qemu" "$dir/qemu.bin"
