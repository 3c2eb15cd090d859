#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: build.sh OUT: assemble the guests of this folder into OUT
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"

# assemble NAME SOURCE BITS FLAG...
assemble()
{
	name=$1
	source=$2
	bits=$3
	shift 3
	gcc "-m$bits" -c -I"$here" "$@" -o "$out/$name.o" "$here/$source.S"
}

# flat NAME ADDRESS: what assemble left, as it lies in memory
flat()
{
	ld -m "elf_$3" --no-warn-rwx-segments -Ttext "$2" --oformat binary \
		-o "$out/$1" "$out/$1.o"
	rm "$out/$1.o"
}

# elf NAME ADDRESS EMULATION
elf()
{
	ld -m "elf_$3" -n --build-id=none --no-warn-rwx-segments \
		-Ttext "$2" --section-start .note.Xen=0x101000 -o "$out/$1" "$out/$1.o"
	rm "$out/$1.o"
}

real()
{
	name=$1
	source=$2
	shift 2
	assemble "$name" "$source" 32 "$@"
	flat "$name" 0x7c00 i386
}

long()
{
	assemble "$1" "$1" 64
	flat "$1" 0x100000 x86_64
}

real real.bin real
real irq.bin irq
for code in 0 1 16 127 255; do
	real "exit$code.bin" exit -DCODE=$code
done
real poweroff.bin power -DPORT=0x604 -DVALUE=0x3400 -DWIDE
real reset.bin power -DPORT=0x608 -DVALUE=1
real i8042.bin power -DPORT=0x64 -DVALUE=0xfe
long long
long triple
long sipi

assemble multiboot.elf multiboot 32
elf multiboot.elf 0x100000 i386
assemble multiboot.flat multiboot 32 -DADDRESSES
flat multiboot.flat 0x100000 i386
assemble pvh.elf pvh 32
elf pvh.elf 0x100000 i386
assemble vmlinux linux 64
elf vmlinux 0x100000 x86_64
assemble bzImage linux 64 -DBZIMAGE
flat bzImage 0 x86_64
