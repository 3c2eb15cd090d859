#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: tests/fuzz/run.sh [SECONDS | replay | merge]
#
#   SECONDS  build all targets with clang's libFuzzer, ASan and UBSan and run
#            each for so long (default $FUZZ_SECONDS, or 60), beginning with
#            its corpus; two at a time
#   replay   build them with gcc and run each over its corpus once
#   merge    run nothing new, but replace each corpus by the smallest part of
#            it and of what earlier runs found that covers the same
#
# Prints a line for each target. What makes a target fail is kept in
# build-fuzz/TARGET.crashes/ and its path is printed. Exits 0 if nothing
# failed, 77 if clang has no libFuzzer. FUZZ_TARGETS: only these.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"
cd "$root"

mode=${1:-${FUZZ_SECONDS:-60}}
targets=${FUZZ_TARGETS:-ops image pc fdt_isa options devices pci soft}
out=build-fuzz
case $mode in
replay | merge) ;;
'' | *[!0-9]*) die "say a number of seconds, replay or merge" ;;
esac

flags="-std=gnu11 -D_GNU_SOURCE -I. -g
	-fno-strict-aliasing -Wall -Wextra -Wshadow -Wno-unused-parameter -Werror"
libs="-lfdt -lz -lm -pthread"
mkdir -p "$out"

# Everything but main(); compiled once for all targets.
library=$(ls memslot/*.c pagetrack/*.c devices/*.c devices/virtio/*.c \
	vmm/boot/*.c vmm/soft/*.c)
case $(uname -m) in
x86_64) kvm=$(find vmm/kvm -name '*.c' ! -name none.c) ;;
*) kvm=vmm/kvm/none.c ;;
esac
library="$library $kvm vmm/options.c vmm/points.c"

# more TARGET: sources of its own beside tests/fuzz/fuzz_TARGET.c
more()
{
	[ "$1" != ops ] || ls tests/property/model/*.c
}

# compile DIR COMPILER FLAG...: the library's objects, two at a time
compile()
{
	dir=$1
	shift
	mkdir -p "$dir"
	[ ! -f "$dir/done" ] || [ "$(find memslot pagetrack devices vmm \
		tests/fuzz/run.sh -newer "$dir/done" | wc -l)" -gt 0 ] || return 0
	# shellcheck disable=SC2016,SC2086 # sh's own variable; lists
	printf '%s\n' $library | xargs -P 2 -I{} sh -c '
		file=$1 dir=$2
		shift 2
		exec "$@" -c "$file" -o "$dir/$(echo "$file" | tr / _).o"
		' sh {} "$dir" "$@" $flags
	touch "$dir/done"
}

# ---- replay ------------

if [ "$mode" = replay ]; then
	cc=${CC:-gcc}
	failed=0
	compile "$out/replay" "$cc" -O1
	for t in $targets; do
		# shellcheck disable=SC2046,SC2086 # lists
		$cc $flags -O1 -o "$out/replay/fuzz_$t" "tests/fuzz/fuzz_$t.c" \
			$(more "$t") tests/fuzz/replay.c "$out"/replay/*.o $libs
		if said=$("$out/replay/fuzz_$t" "tests/fuzz/corpus/$t" 2>&1); then
			printf '%-8s %s\n' "$t" "$said"
		else
			failed=1
			printf '%-8s FAILED: %s\n' "$t" "$said"
		fi
	done
	exit $failed
fi

# ---- fuzzing ------------

command -v clang >/dev/null || {
	echo "SKIP: there is no clang"
	exit 77
}
echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) {
	return n > 9 && *p; }' >"$out/probe.c"
clang -fsanitize=fuzzer,address,undefined "$out/probe.c" -o "$out/probe" \
	2>/dev/null || {
	echo "SKIP: this clang lacks libFuzzer (package libclang-rt-dev)"
	exit 77
}

san="-fsanitize=fuzzer-no-link,address,undefined
	-fno-sanitize-recover=undefined -O1"
# shellcheck disable=SC2086 # a list
compile "$out/lib" clang $san

build()
{
	# shellcheck disable=SC2046,SC2086 # lists
	clang $flags $san -fsanitize=fuzzer -o "$out/fuzz_$1" \
		"tests/fuzz/fuzz_$1.c" $(more "$1") "$out"/lib/*.o $libs
}

# merge TARGET
merge()
{
	mkdir -p "$out/$1.corpus" "tests/fuzz/corpus/$1"
	rm -rf "$out/$1.least"
	mkdir "$out/$1.least"
	"$out/fuzz_$1" -merge=1 -rss_limit_mb=2048 "$out/$1.least" \
		"tests/fuzz/corpus/$1" "$out/$1.corpus" >"$out/$1.log" 2>&1 ||
		return 1
	rm -f "tests/fuzz/corpus/$1"/*
	cp "$out/$1.least"/* "tests/fuzz/corpus/$1"
	printf '%-8s %s files\n' "$1" "$(find "tests/fuzz/corpus/$1" -type f |
		wc -l)"
}

# stat NAME FILE: a number of libFuzzer's final statistics
stat()
{
	sed -n "s/^stat::$1: *//p" "$2"
}

# run TARGET
run()
{
	dict=
	[ ! -f "tests/fuzz/$1.dict" ] || dict=-dict=tests/fuzz/$1.dict
	mkdir -p "$out/$1.corpus" "$out/$1.crashes"
	rm -f "$out/$1.crashes"/*
	# shellcheck disable=SC2086 # dict is empty or one word
	if "$out/fuzz_$1" -max_total_time="$mode" -rss_limit_mb=2048 \
		-malloc_limit_mb=1200 -timeout=10 -max_len=6000 \
		-print_final_stats=1 $dict \
		-artifact_prefix="$out/$1.crashes/" "$out/$1.corpus" \
		"tests/fuzz/corpus/$1" >"$out/$1.log" 2>&1; then
		printf '%-8s %s runs, %s a second, peak %s MB, corpus %s: ok\n' \
			"$1" "$(stat number_of_executed_units "$out/$1.log")" \
			"$(stat average_exec_per_sec "$out/$1.log")" \
			"$(stat peak_rss_mb "$out/$1.log")" \
			"$(find "$out/$1.corpus" -type f | wc -l)"
		return 0
	fi
	printf '%-8s FAILED: %s\n' "$1" "$(grep -m 1 -E \
		'MUST|SUMMARY|runtime error|ERROR' "$out/$1.log" ||
		tail -n 1 "$out/$1.log")"
	find "$root/$out/$1.crashes" -type f | sed 's/^/         input: /'
	return 1
}

export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
failed=0

# both TARGET [TARGET]: at the same time
both()
{
	first=
	second=
	run "$1" &
	first=$!
	if [ $# -gt 1 ]; then
		run "$2" &
		second=$!
	fi
	wait "$first" || failed=1
	[ -z "$second" ] || wait "$second" || failed=1
}

for t in $targets; do
	build "$t"
done
# shellcheck disable=SC2086 # a list
set -- $targets
while [ $# -gt 0 ]; do
	if [ "$mode" = merge ]; then
		merge "$1" || failed=1
		shift
	elif [ $# -gt 1 ]; then
		both "$1" "$2"
		shift 2
	else
		both "$1"
		shift
	fi
done
exit $failed
