#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: tests/run.sh
#
# Pass every test, from a fresh checkout on: install what is missing, fetch
# the guest, then
#   build/       what users get (musl, static): all suites
#   build-asan/  gcc with ASan and UBSan: unit and property tests
#   build-tsan/  clang with TSan, so also a clang compile without a warning
#   build-yield/ the same, and threads give way at each atomic step: those
#                tests in which threads meet
#   build-cov/   gcc with --coverage: the branches of memslot/ and pagetrack/
#   build-fuzz/  clang's libFuzzer: each target for $FUZZ_SECONDS, or 60
# The last line is `N passed, N failed, N skipped`; exits 0 if none failed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/lib/common.sh
. "$root/tests/lib/common.sh"
cd "$root"

results=$(mktemp)
log=$(mktemp)
trap 'rm -f "$results" "$log"' EXIT

# result VERDICT NAME
result()
{
	printf '%s\t%s\n' "$1" "$2" >>"$results"
}

# build DIR SETUP-ARGUMENT...: what is in $only, or all
only=()
build()
{
	local dir=$1
	shift
	step "Build $dir"
	if { [ -f "$dir/build.ninja" ] || meson setup "$dir" "$@"; } \
		>"$log" 2>&1 && ninja -C "$dir" "${only[@]}" \
		>>"$log" 2>&1; then
		result passed "$dir/compiles"
	else
		tail -n 40 "$log"
		result failed "$dir/compiles"
		return 1
	fi
}

# suites DIR ARGUMENT...: under the command in $under, if any
under=()
suites()
{
	local dir=$1 json=$1/meson-logs/testlog.json
	shift
	step "Test $dir"
	rm -f "$json"
	"${under[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs \
		"$@" </dev/null || true
	if [ -f "$json" ]; then
		tests/lib/tally.py "$dir" "$json" >>"$results"
	else
		result failed "$dir: meson test did not run"
	fi
}

step "Packages and guest"
tests/lib/packages.sh build guest test ||
	result failed "the packages are there"
# Without these the Linux boots and the lab say why they cannot run.
tests/lib/packages.sh lab || true
tests/lib/guest.sh riscv64 || true
tests/lib/guest.sh amd64 || true

if build build; then
	suites build
fi

if build build-asan -Dlibc=host -Db_sanitize=address,undefined; then
	export ASAN_OPTIONS=detect_stack_use_after_return=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	suites build-asan --suite unit --suite property --suite seed \
		--suite cpu --suite fuzz --suite program --timeout-multiplier 4
fi

# gcc refuses atomic_thread_fence under TSan; clang does not. Both dislike
# an address space that is too random: run without, where that is allowed.
if CC=clang build build-tsan -Dlibc=host -Db_sanitize=thread \
	-Db_lundef=false; then
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	if setarch -R true 2>/dev/null; then
		under=(setarch -R)
	fi
	# The seed tests copy pages that harts write, on purpose.
	suites build-tsan --suite unit --suite property --suite threads \
		--timeout-multiplier 8
fi

# $YIELD_SEED chooses the schedules, as far as the kernel lets us.
only=(tests/readers_writers tests/track_threads tests/test_readers
	tests/test_populate tests/test_track_events)
if CC=clang build build-yield -Dlibc=host -Db_sanitize=thread \
	-Db_lundef=false -Dyield=true; then
	export YIELD_SEED=${YIELD_SEED:-$(date +%s)}
	echo "YIELD_SEED=$YIELD_SEED"
	suites build-yield --timeout-multiplier 8 readers-writers \
		track-threads test_readers test_populate test_track_events
fi

# Each target is a test: `NAME ...: ok`, `NAME FAILED: ...`. A target that
# does not even build has no line, but fails the whole.
step "Fuzz"
rc=0
tests/fuzz/run.sh </dev/null >"$log" 2>&1 || rc=$?
cat "$log"
sed -n -e 's,^\([a-z_]*\) .*: ok$,passed\tfuzz/\1,p' \
	-e 's,^\([a-z_]*\) *FAILED.*,failed\tfuzz/\1,p' \
	-e 's,^SKIP: ,skipped\tfuzz: ,p' "$log" >>"$results"
if [ "$rc" -ne 0 ] && ! grep -qE ' FAILED|^SKIP' "$log"; then
	result failed "fuzz: exit $rc"
fi

step "Branch coverage"
rc=0
tests/lib/coverage.sh </dev/null >"$log" 2>&1 || rc=$?
cat "$log"
case $rc in
0) result passed "branch coverage" ;;
77) result skipped "branch coverage: no gcovr" ;;
*) result failed "branch coverage" ;;
esac

count()
{
	grep -c "^$1" "$results" || true
}

failed=$(count failed)
step "Result"
sed -n -e 's/^failed\t/failed: /p' -e 's/^skipped\t/skipped: /p' "$results"
echo "$(count passed) passed, $failed failed, $(count skipped) skipped"
[ "$failed" -eq 0 ]
