#!/bin/bash
# SPDX-License-Identifier: MIT
#
# images.sh - guests as ELF, gzip and flat files; extra slots, tracking
#
# The guest says hello on the serial port, stores eight times to an extra
# slot, tries to store to a read-only one (which must trap), and powers off.
# VMM names the program.
set -euo pipefail

vmm=$(realpath "${VMM:-$(dirname "$0")/../../build/vmm/vmm}")
command -v riscv64-linux-gnu-gcc >/dev/null || {
	echo "SKIP: no riscv64-linux-gnu-gcc to assemble the guest"
	exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

cat >guest.S <<'END'
	.option norvc
	.globl _start
_start:
	la	t0, trapped
	csrw	stvec, t0
	lla	s0, hello
	li	s1, 0x10000000
1:	lbu	t0, (s0)
	beqz	t0, 2f
	sb	t0, (s1)
	addi	s0, s0, 1
	j	1b
2:	li	s2, 0x20000000		# slot 5, page 1 is tracked
	li	t1, 8
	li	t2, 4096
	add	s2, s2, t2
3:	sd	t1, (s2)
	addi	s2, s2, 8
	addi	t1, t1, -1
	bnez	t1, 3b
	li	s3, 0x21000000		# slot 6, read-only
	sd	t1, (s3)
	li	t1, 0x13333		# not reached: fail
	j	4f
	.balign	4
trapped:
	li	t1, 0x5555
4:	li	t0, 0x100000
	sw	t1, (t0)
5:	j	5b
hello:	.asciz	"hello\n"
END
cat >guest.ld <<'END'
ENTRY(_start)
SECTIONS { . = 0x80000000; .text : { *(.text*) } /DISCARD/ : { *(.note*) } }
END
riscv64-linux-gnu-gcc -nostdlib -static -march=rv64g -mabi=lp64d \
	-Wl,-T,guest.ld -Wl,--build-id=none -Wl,-n -o guest.elf guest.S
riscv64-linux-gnu-objcopy -O binary guest.elf guest.bin
gzip -k guest.elf

failed=0
for image in guest.elf guest.bin guest.elf.gz; do
	status=0
	timeout -s KILL 30 "$vmm" --kernel "$image" --mem 4M \
		--slot id=5,base=0x20000000,size=64K,log-dirty \
		--slot id=6,base=0x21000000,size=4K,ro \
		--track 0x20001000,1 </dev/null >out 2>err || status=$?
	if [ "$status" -eq 0 ] && grep -qx hello out &&
		grep -q '8 writes to tracked pages' err; then
		echo "ok - $image"
	else
		failed=1
		echo "not ok - $image: exit $status"
		sed 's/^/# /' out err
	fi
done

# A guest that says it failed.
sed 's/0x5555/0x13333/' guest.S >fail.S
riscv64-linux-gnu-gcc -nostdlib -static -march=rv64g -mabi=lp64d \
	-Wl,-T,guest.ld -Wl,--build-id=none -Wl,-n -o fail.elf fail.S
status=0
timeout -s KILL 30 "$vmm" --kernel fail.elf --mem 4M </dev/null \
	>out 2>err || status=$?
if [ "$status" -eq 1 ] && grep -q 'failed' err; then
	echo "ok - a guest that fails"
else
	failed=1
	echo "not ok - a guest that fails: exit $status"
fi

# The device tree is one that dtc understands.
if command -v dtc >/dev/null; then
	"$vmm" --kernel guest.elf --mem 4M --dump-dtb tree.dtb
	if dtc -q -I dtb -O dts tree.dtb | grep -q 'vmm,slot-controller'; then
		echo "ok - the device tree"
	else
		failed=1
		echo "not ok - the device tree"
	fi
fi
exit "$failed"
