#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cli.sh - what the program says when it is asked wrongly
#
# Options that make no sense: one sentence on stderr, nothing on stdout,
# exit 2. A file or machine that is not what it should be: the same with
# exit 1. VMM names the program, KERNEL a good kernel for the rest.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
vmm=$(realpath -m "${VMM:-$root/build/vmm/vmm}")
image=$(realpath -m "${KERNEL:-$root/.cache/riscv64/Image}")

# File names are relative so that the names of the tests are the same
# everywhere.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
cd "$tmp"

count=0
failed=0

# verdict NAME [PROBLEM]
verdict()
{
	count=$((count + 1))
	if [ $# -eq 1 ]; then
		echo "ok $count - $1"
	else
		failed=$((failed + 1))
		echo "not ok $count - $1"
		echo "# $2"
		sed 's/^/# stdout: /' out | head -n 5
		sed 's/^/# stderr: /' err | head -n 5
	fi
}

# run ARGUMENT...: leaves $status, the files out and err
run()
{
	status=0
	timeout -s KILL 60 "$vmm" "$@" </dev/null \
		>out 2>err || status=$?
}

# refused NAME STATUS PATTERN: judge what run left
refused()
{
	if [ "$status" -ne "$2" ]; then
		verdict "$1" "exit $status, not $2"
	elif [ -s out ]; then
		verdict "$1" "something on stdout"
	elif [ "$(wc -l <err)" -ne 1 ]; then
		verdict "$1" "not one line on stderr"
	elif [ "$(wc -w <err)" -lt 3 ]; then
		verdict "$1" "not a sentence"
	elif ! grep -qiE -e "$3" err; then
		verdict "$1" "the sentence does not say /$3/"
	else
		verdict "$1"
	fi
}

# bad_option PATTERN ARGUMENT...
bad_option()
{
	pattern=$1
	shift
	run "$@"
	refused "exit 2: vmm $*" 2 "$pattern"
}

# bad_file NAME PATTERN ARGUMENT...
bad_file()
{
	name=$1
	pattern=$2
	shift 2
	run "$@"
	refused "exit 1: $name" 1 "$pattern"
}

# says NAME PATTERN ARGUMENT...: exit 0, on stdout, nothing on stderr
says()
{
	name=$1
	pattern=$2
	shift 2
	run "$@"
	if [ "$status" -ne 0 ]; then
		verdict "$name" "exit $status"
	elif [ -s err ]; then
		verdict "$name" "something on stderr"
	elif ! grep -qE -e "$pattern" out; then
		verdict "$name" "no /$pattern/ on stdout"
	else
		verdict "$name"
	fi
}

# ---- what works ------------------------------------------------------------

says "--help names every option" '--kernel' --help
for option in --initrd --append --mem --cpus --accel --flat --slot --track --order \
	--inject --report --move-slot --dump-dtb --vgtt --version -v; do
	if grep -q -e "$option" out; then
		verdict "--help has $option"
	else
		verdict "--help has $option" "it does not"
	fi
done
says "--version" '^vmm [0-9]+\.[0-9]+' --version

# Output that cannot be written is not success.
if [ -w /dev/full ]; then
	status=0
	"$vmm" --help >/dev/full 2>err || status=$?
	: >out
	refused "exit 1: --help into a full disk" 1 'space|write|output'
fi

# ---- options ---------------------------------------------------------------

# A kernel file that is there, so that only the option is to blame.
printf 'not a kernel' >some-kernel
k=some-kernel

bad_option 'kernel|nothing|--help'
bad_option '--frobnicate' --frobnicate
bad_option '-z' -z
bad_option 'stray' --kernel "$k" stray
for option in --kernel --initrd --append --mem --cpus --accel --flat --slot \
	--track --order --inject --report --dump-dtb; do
	bad_option "$option" "$option"
done

for size in 12K 0 2K 2G 0x '' 16Mi; do
	bad_option 'vgtt' --kernel "$k" "--vgtt=$size"
done
bad_option 'mem|size' --kernel "$k" --mem 12Q
bad_option 'mem|size' --kernel "$k" --mem ''
bad_option 'mem|size' --kernel "$k" --mem 0
bad_option 'mem|size' --kernel "$k" --mem -1M
bad_option 'mem|size' --kernel "$k" --mem 1.5G
bad_option 'mem|size' --kernel "$k" --mem 0x
bad_option 'mem|size' --kernel "$k" --mem 100000000000000000000
bad_option 'mem|size' --kernel "$k" --mem 17179869184G
bad_option 'mem|page|multiple|align' --kernel "$k" --mem 1000001
bad_option 'cpus' --kernel "$k" --cpus 0
bad_option 'cpus' --kernel "$k" --cpus 9
bad_option 'cpus' --kernel "$k" --cpus two
bad_option 'cpus' --kernel "$k" --cpus 1x
bad_option 'accel|turbo' --kernel "$k" --accel turbo
bad_option 'flat|protected' --kernel "$k" --flat protected
bad_option 'flat' --kernel "$k" --flat real --accel soft
bad_option 'kernel' --move-slot --flat long
bad_option 'order|sideways' --move-slot --order sideways
bad_option 'report|xml' --move-slot --report xml

bad_option 'slot' --kernel "$k" --slot nonsense
bad_option 'size' --kernel "$k" --slot id=2,base=0x1000000
bad_option 'base' --kernel "$k" --slot id=2,size=64K
bad_option 'colour' --kernel "$k" --slot id=2,base=16M,size=64K,colour=red
bad_option 'slot|base|align|page|multiple' \
	--kernel "$k" --slot id=2,base=0x1000001,size=64K
bad_option 'slot|size' --kernel "$k" --slot id=2,base=16M,size=0
bad_option 'slot|id' --kernel "$k" --slot id=x,base=16M,size=64K
bad_option 'slot|id' --kernel "$k" --slot id=32764,base=16M,size=64K
bad_option 'RAM and the window' --kernel "$k" --slot id=1,base=16M,size=64K
bad_option 'twice' --kernel "$k" --slot id=2,id=3,base=16M,size=64K
bad_option 'twice' --kernel "$k" --slot id=2,base=16M,size=64K \
	--slot id=2,base=32M,size=64K
bad_option 'overlaps another' --kernel "$k" --slot id=2,base=16M,size=64K \
	--slot id=3,base=0x100f000,size=64K
bad_option '0x1000000,1,1' --kernel "$k" --track 0x1000000,1,1
bad_option 'dump-dtb' --kernel "$k" --dump-dtb tree --move-slot
bad_option 'track' --kernel "$k" --track 0x1000000
bad_option 'track' --kernel "$k" --track 16M,0
bad_option 'track' --kernel "$k" --track 16M,lots
bad_option 'no\.such\.point' --move-slot --inject no.such.point
bad_option 'inject|memslot' --move-slot --inject :3
bad_option 'count' --move-slot=count=many
bad_option 'interval' --move-slot=interval=
bad_option 'speed' --move-slot=speed=9

bad_option 'kernel' --initrd "$k"
bad_option 'kernel' --append quiet
bad_option 'kernel' --initrd "$k" --move-slot
bad_option 'kernel|twice|once|already' --kernel "$k" --kernel "$k"

# ---- files -----------------------------------------------------------------

# The two magics of an x86 boot sector and setup header, nothing else.
{
	head -c 510 /dev/zero
	printf '\125\252'
	head -c 2 /dev/zero
	printf 'HdrS'
	head -c 65536 /dev/zero
} >bzImage

# An ELF header for x86-64; the rest of the fields are sensible.
{
	printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000'
	printf '\002\000\076\000\001\000\000\000'
	head -c 4096 /dev/zero
} >elf-x86

# A gzip header and then nothing that deflates.
printf '\037\213\010\000\000\000\000\000\000\003garbage!garbage!' \
	>broken.gz

: >empty
: >secret
chmod 0 secret

bad_file "a kernel that does not exist" 'no such file|there is no file' \
	--kernel missing
bad_file "an empty kernel" 'empty|short|truncated' --kernel empty
bad_file "a directory as kernel" 'directory' --kernel .
bad_file "an x86 bzImage" 'x86' --accel soft --kernel bzImage
bad_file "an x86-64 ELF file" 'x86|machine|RISC-V' \
	--accel soft --kernel elf-x86
bad_file "a broken gzip file" 'gzip|compress|inflate|deflate|broken|corrupt' \
	--kernel broken.gz

# Where the machine has something; "flat.bin" would run.
cp some-kernel flat.bin
for slot in 'uart 0x10000000' 'slotctl 0x110000' 'RAM 0x80000000' \
	'RAM 0x8ffff000' "the.window 0x43fff000"; do
	bad_file "a slot over ${slot% *}" "overlaps ${slot% *}" \
		--accel soft --kernel flat.bin \
		--slot "id=2,base=${slot#* },size=4K"
done

if [ -s "$image" ]; then
	head -c 40 "$image" >head40
	head -c 100000 "$image" >head100k
	printf '\177ELF\002\001\001' >elf-head
	bad_file "40 bytes of a kernel" '.' --kernel head40
	bad_file "7 bytes of an ELF file" '.' --kernel elf-head
	bad_file "a truncated kernel" 'truncated|short|incomplete|says' \
		--kernel head100k
	bad_file "a kernel that does not fit" 'fit|into RAM|but RAM' \
		--kernel "$image" --mem 8M
	bad_file "an initrd that does not exist" 'no such file|there is no file' \
		--kernel "$image" --initrd missing
	bad_file "an empty initrd" 'empty' \
		--kernel "$image" --initrd empty
	bad_file "a directory as initrd" 'directory' \
		--kernel "$image" --initrd .
	head -c 64000000 /dev/zero >fat
	bad_file "an initrd that does not fit" 'fit|into RAM|but RAM' \
		--kernel "$image" --initrd fat --mem 64M
	bad_file "a device tree into a missing folder" 'no such file|there is no file' \
		--kernel "$image" --dump-dtb no/where.dtb
else
	echo "# the guest kernel is not there: its mistreatment is left out"
fi

# Root may read everything: be somebody else, with a program that somebody
# else can reach.
if [ "$(id -u)" = 0 ]; then
	cp "$vmm" vmm
	chmod 755 vmm
	status=0
	timeout -s KILL 60 setpriv --reuid 65534 --regid 65534 \
		--clear-groups ./vmm --kernel secret </dev/null \
		>out 2>err || status=$?
	refused "exit 1: a kernel that one may not read" 1 'permission'
else
	bad_file "a kernel that one may not read" 'permission' \
		--kernel secret
fi

echo "1..$count"
[ "$failed" -eq 0 ]
