#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: install what the tests need, build rdsrv with each compiler and with sanitizers, run every
# test, and say how many passed. A step that fails shows all that it said; the others still run.
#
# usage: sh test/run.sh [full]   (full: test/full/*.sh as well)
set -eu
cd "$(dirname "$0")/.."
exec </dev/null
passed=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
log=$scratch/log
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

case ${1:-} in
'' | full) ;;
*)
	echo "usage: sh test/run.sh [full]" >&2
	exit 2
	;;
esac

# run NAME SECONDS COMMAND...: sets name, status and seconds, and writes to $log.
run()
{
	name=$1
	limit=$2
	shift 2
	[ ! -t 1 ] || printf '      %s ...\r' "$name"
	began=$(date +%s)
	status=0
	timeout --foreground -k 10 "$limit" "$@" >"$log" 2>&1 || status=$?
	seconds=$(($(date +%s) - began))
	[ "$status" -ne 124 ] || echo "stopped: not done after $limit s" >>"$log"
}

# count PASSED FAILED [SKIPPED]: of the step that was run. One that failed though no test did, or
# that ran no test, is a failure by itself.
count()
{
	good=${1:-0}
	bad=${2:-0}
	if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then
		bad=1
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
	verdict='ok  '
	[ "$bad" -eq 0 ] || verdict=FAIL
	printf '%s  %-28s %4d s %6d passed' "$verdict" "$name" "$seconds" "$good"
	[ "$bad" -eq 0 ] || printf ', %d failed' "$bad"
	[ -z "${3:-}" ] || printf ', %d skipped' "$3"
	echo
	[ "$bad" -eq 0 ] || sed 's/^/      /' "$log"
}

# A step that is one test by itself.
single()
{
	run "$@"
	if [ "$status" -eq 0 ]; then count 1 0; else count 0 1; fi
}

# A step that can't run, since what it tests wasn't built.
not_run()
{
	name=$1
	status=1
	seconds=0
	echo "not run: $2" >"$log"
	count 0 1
}

# number WORD: the number before WORD in the last of the log's lines that match the pattern.
number()
{
	grep -E "$2" "$log" | tail -n 1 | sed -nE "s/(^|.*[^0-9])([0-9]+) $1.*/\2/p"
}

summed_up()
{
	count "$(number passed "^$1: [0-9]+ passed, [0-9]+ failed\$")" \
		"$(number failed "^$1: [0-9]+ passed, [0-9]+ failed\$")"
}

lines()
{
	grep -c "$1" "$log" || true
}

single 'packages' 1800 sh packaging/deps.sh test
# -B: warnings count every time, also where much was built before.
single 'build, gcc' 600 make -B -j "$(nproc)" WERROR=1 CC=gcc BUILD=build
single 'build, clang' 600 make -B -j "$(nproc)" WERROR=1 CC=clang BUILD=build-clang
single 'build, sanitizers' 600 make -B -j "$(nproc)" WERROR=1 CC=clang SAN=address,undefined \
	BUILD=build-asan
sanitized=$status

run 'unit tests' 900 make -j "$(nproc)" WERROR=1 CC=clang SAN=address,undefined \
	BUILD=build-asan unit-test
summed_up 'unit tests'

if [ "$sanitized" -eq 0 ]; then
	# Most of them wait for the network most of the time: three for two cores.
	run 'end-to-end tests' 1200 env RDSRV=build-asan/rdsrv \
		/usr/bin/python3 -m pytest -q -n 3 test/e2e
	summary='^(=+ )?([0-9]+ [a-z]+, )*[0-9]+ [a-z]+ in [0-9.]+s'
	bad=$(number failed "$summary")
	errors=$(number 'errors?' "$summary")
	count "$(number passed "$summary")" $((${bad:-0} + ${errors:-0})) \
		"$(number skipped "$summary")"
else
	not_run 'end-to-end tests' 'its build failed'
fi

run 'lint' 900 sh test/lint.sh build
count "$(lines '^ok ')" "$(lines '^FAIL ')"

run 'fuzzers' 900 make -j "$(nproc)" WERROR=1 fuzz-run FUZZ_SECONDS=5 BUILD=build-fuzz
summed_up 'fuzzers'

if [ "${1:-}" = full ]; then
	for script in test/full/*.sh; do
		run "$script" 3600 sh "$script"
		if [ "$status" -eq 0 ] && grep -q '^SKIP' "$log" && ! grep -q '^PASS' "$log"; then
			echo "skip  $script: $(sed -n 's/^SKIP *//p' "$log")"
		else
			count "$(lines '^PASS')" "$(lines '^FAIL')"
		fi
	done
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
