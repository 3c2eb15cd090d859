#!/bin/bash
# SPDX-License-Identifier: MIT
#
# check.sh - memslot and pagetrack compile without an operating system
#
# For x86-64, riscv64 and arm64: no header but the compiler's own and the two
# in include/; linked into one object, no undefined symbol that is not listed
# in docs/freestanding.md and none listed that is not needed; no data; no
# stack frame larger than the page says; sizes of structs as the page says.
# A target without a compiler is skipped, and so is the test if all are.
set -euo pipefail

cd "$(dirname "$0")/../.."
doc=docs/freestanding.md
include=tests/freestanding/include
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
done=0

# verdict NAME: what stdin says is wrong
verdict()
{
	local found
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok - $1"
	else
		failed=1
		echo "not ok - $1"
		echo "$found" | head -n 20 | sed 's/^/# /'
	fi
}

# rows HEADING COLUMN: names in the table below the heading, and what the
# column of that title says
rows()
{
	awk -F ' *[|] *' -v heading="$1" -v column="$2" '
		/^## / {here = ($0 == "## " heading); at = 0}
		!here || !/^\|/ {next}
		!at {for (i = 2; i < NF; i++) if ($i == column) at = i; next}
		$2 ~ /^`/ {name = $2; gsub("`", "", name); print name, $at}
	' "$doc"
}

# What the page promises for every target.
frame_limit=$(sed -n 's/^No frame is larger than \([0-9]*\) bytes.*/\1/p' "$doc")
rows Memory bytes | grep '^struct ' >"$tmp/sizes.doc"
{
	for f in memslot/*.h pagetrack/*.h; do
		echo "#include \"$f\""
	done
	sed 's/^struct \([a-z_]*\) .*/char size_of_\1[sizeof(struct \1)];/' \
		"$tmp/sizes.doc"
} >"$tmp/sizes.c"

# target NAME COMPILER FLAG...: COMPILER is a ...gcc, its nm is beside it
target()
{
	local name=$1 cc=$2 nm size f o
	shift 2
	nm=${cc%gcc}nm
	size=${cc%gcc}size
	command -v "$cc" >/dev/null || {
		echo "skip - $name: there is no $cc"
		return
	}
	done=$((done + 1))
	mkdir "$tmp/$name"
	local flags=("$@" -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding
		-fno-stack-protector -fno-pic -fno-asynchronous-unwind-tables
		-nostdinc -isystem "$("$cc" -print-file-name=include)"
		-isystem "$include" -I .)

	for f in memslot/*.c pagetrack/*.c; do
		case $f in memslot/hosted.c | memslot/yield.c) continue ;; esac
		o=$tmp/$name/${f//\//_}.o
		"$cc" "${flags[@]}" -nostdlib -fstack-usage -c "$f" -o "$o" \
			2>&1 || echo "$f does not compile"
	done >"$tmp/$name/errors"
	verdict "$name: compiles with $(wc -l <"$tmp/headers") headers of others" \
		<"$tmp/$name/errors"
	{ "$cc" "$@" -nostdlib -r -o "$tmp/$name/all.o" "$tmp/$name"/*.c.o \
		2>&1 || true; } | verdict "$name: links into one object"

	"$nm" -u "$tmp/$name/all.o" | awk '{print $2}' | sort \
		>"$tmp/$name/needed"
	rows "Undefined symbols" "$name" | awk '$2 == "x" {print $1}' | sort \
		>"$tmp/$name/listed"
	{
		comm -23 "$tmp/$name/needed" "$tmp/$name/listed" |
			sed 's/$/ is needed and not listed/'
		comm -13 "$tmp/$name/needed" "$tmp/$name/listed" |
			sed 's/$/ is listed and not needed/'
	} | verdict "$name: needs what $doc says"

	"$size" "$tmp/$name/all.o" |
		awk 'NR == 2 && $2 + $3 {print $2 " data, " $3 " bss"}' |
		verdict "$name: no variables"

	# A frame of a size known only at run time has no bound.
	awk -F '\t' -v limit="$frame_limit" '
		$2 > limit + 0 || $3 == "dynamic"
	' "$tmp/$name"/*.su | verdict "$name: frames up to $frame_limit bytes"

	{ "$cc" "${flags[@]}" -c "$tmp/sizes.c" -o "$tmp/$name/sizes.o" 2>&1 ||
		true; } | verdict "$name: the structs in $doc are in headers"
	[ -f "$tmp/$name/sizes.o" ] || return 0
	"$nm" -S -t d "$tmp/$name/sizes.o" |
		sed -n 's/^[0-9]* 0*\([0-9]*\) . size_of_\(.*\)/struct \2 \1/p' |
		sort >"$tmp/$name/sizes"
	sort "$tmp/sizes.doc" | { diff - "$tmp/$name/sizes" || true; } |
		sed -n 's/^</the page says:/p; s/^>/it is:/p' |
		verdict "$name: structs as large as $doc says"

	echo "# $name: $("$size" "$tmp/$name/all.o" |
		awk 'NR == 2 {print $1 " text, " $2 " data, " $3 " bss"}')," \
		"largest frames:" "$(cat "$tmp/$name"/*.su |
		sort -t $'\t' -k 2,2nr | awk -F '[\t:]' '
			NR <= 3 {printf "%s%s %s", sep, $4, $5; sep = ", "}')"
}

find "$include" -name '*.h' >"$tmp/headers"
x86=gcc
[ "$(uname -m)" = x86_64 ] || x86=x86_64-linux-gnu-gcc
target x86-64 "$x86" -m64
target riscv64 riscv64-linux-gnu-gcc -march=rv64gc -mabi=lp64d -mcmodel=medany
target arm64 aarch64-linux-gnu-gcc -mno-outline-atomics
[ "$done" -gt 0 ] || {
	echo "SKIP: none of the compilers is here"
	exit 77
}
exit "$failed"
