#!/bin/bash
# Every test, step by step; the last line is the sum: "N passed, N failed[, N skipped]".
#
# usage: test.sh [STEP...]         (none: all, in this order)
# CI=true       a skip for a package that is not installed is a failure
# NO_INSTALL=1  builds with what is there
# FUZZ_S=10     seconds for each fuzz target
set -u
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

steps="harness headers unit contract sim asan tsan valgrind interop fuzz aarch64 install man"
work=$(mktemp -d /tmp/soquete-test.XXXXXX) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

have() {
	command -v "$1" >/dev/null
}

# One case of a step that is no harness program: verdict "ok", "FAIL" or "skip".
verdict() {
	printf '%-4s %s\n' "$1" "$2"
	echo "$1" >>"$work/verdicts"
}

# Run a command as one case; its output is shown when it fails.
case_of() { # NAME COMMAND...
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		verdict ok "$name"
	else
		verdict FAIL "$name"
		printf '%s\n' "$out" | sed 's/^/    | /'
	fi
}

skip() { # NAME PACKAGE...
	local name=$1
	shift
	verdict skip "$name: needs the package $*"
}

# Build, as a case that is counted only when it fails.
build() { # KIND TARGET...
	local out
	out=$(scripts/build.sh "$@" 2>&1) && return
	verdict FAIL "build $*"
	# From the first error on; the commands and what they printed before are no news.
	printf '%s\n' "$out" | awk '/^FAILED|ERROR/ { on = 1 } on' | grep -v '^\[[0-9]*/[0-9]*\] ' |
		head -n 200 | cut -c 1-600 | sed 's/^/    | /'
	return 1
}

# Run a program that prints the harness's lines, and count what it counted. One that
# ends otherwise (crashed, not built) has failed.
counted() { # COMMAND...
	local sum status lacking
	"$@" 2>&1 | tee "$work/out"
	status=${PIPESTATUS[0]}
	sum=$(grep -aE '^[0-9]+ passed, [0-9]+ failed' "$work/out" | tail -n 1)
	if ! [[ $sum =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
		verdict FAIL "$*: ended without counting, status $status"
		return
	fi
	lacking=$(grep -ac '^skip .*package' "$work/out")
	echo "sum ${BASH_REMATCH[1]} ${BASH_REMATCH[2]} ${BASH_REMATCH[4]:-0} $lacking" \
		>>"$work/verdicts"
	if [ "$status" != 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then
		verdict FAIL "$*: status $status"
	fi
}

# The harness programs of tests/KIND, as built in BUILD, through a wrapper if given.
programs() { # KIND BUILD [WRAPPER...]
	local kind=$1 dir=$2 source
	shift 2
	for source in $(scripts/sources.sh "tests/$kind" '*.c'); do
		[[ $source != */${without:-/}* ]] || continue
		counted "$@" "$dir/tests/$kind-$(basename "$source" .c)" ${engine:+--engine "$engine"}
	done
}

engine=  # only this one, for contract cases; empty: all
without= # programs whose names begin so are not there

step_harness() {
	build release all-tests || return
	counted python3 tests/harness/check.py build/tests/harness-cases
}

# Every public header alone, as a user's strictest compiler would take it.
step_headers() {
	local header
	for header in $(scripts/sources.sh include/soquete '*.h'); do
		header=${header#include/}
		echo "#include <$header>" >"$work/alone.c"
		cp "$work/alone.c" "$work/alone.cc"
		case_of "$header as C11" gcc -std=c11 -pedantic -Wall -Wextra -Werror \
			-Iinclude -fsyntax-only "$work/alone.c"
		if have g++; then
			case_of "$header as C++11" g++ -std=c++11 -pedantic -Wall -Wextra -Werror \
				-Iinclude -fsyntax-only "$work/alone.cc"
		else
			skip "$header as C++11" g++
		fi
	done
}

step_unit() {
	build release all-tests || return
	programs unit build
}

step_contract() {
	build release all-tests || return
	programs contract build
}

step_sim() {
	build release all-tests || return
	programs sim build
}

step_asan() {
	build asan all-tests || return
	programs unit build-asan
	programs contract build-asan
	programs sim build-asan
}

step_tsan() {
	local wrapper=
	build tsan all-tests || return
	# gcc 12's runtime knows no place for its shadow where the kernel spreads
	# addresses over more than 28 bits.
	if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ]; then
		wrapper="setarch -R"
	fi
	# The process shape forks from a program with threads, and that is its job.
	export TSAN_OPTIONS="die_after_fork=0 suppressions=$PWD/scripts/tsan.supp ${TSAN_OPTIONS:-}"
	# OpenSSL is not instrumented, so of TLS only what threads share is worth its time.
	local without=tls_
	# shellcheck disable=SC2086 # two words
	programs unit build-tsan $wrapper
	# shellcheck disable=SC2086
	programs contract build-tsan $wrapper
	# shellcheck disable=SC2086
	counted $wrapper build-tsan/tests/unit-tls_config threads
	# shellcheck disable=SC2086
	counted $wrapper build-tsan/tests/contract-tls_servers workers
}

# Valgrind knows fewer system calls than the kernel, so it counts as an emulator. It does not know
# that io_uring_enter waits, and lets no other thread run meanwhile.
step_valgrind() {
	local engine=epoll
	have valgrind || { skip valgrind valgrind; return; }
	build release all-tests || return
	SOQUETE_ENGINE=epoll TEST_SLOWNESS=10 TEST_TIMEOUT_S=20 TEST_EMULATED=1 programs unit build valgrind -q --error-exitcode=99 \
		--leak-check=full --errors-for-leak-kinds=definite
}

# The programs people really use against ours, and ours against theirs.
step_interop() {
	local script
	have python3 || { skip interop python3; return; }
	build release all all-examples || return
	for script in tests/*/run.py; do
		[ ! -f "$script" ] || counted python3 -u "$script"
	done
}

step_fuzz() {
	local target
	for target in $(scripts/sources.sh fuzz '*.c'); do
		counted scripts/fuzz.sh "$(basename "$target" .c)" "${FUZZ_S:-10}"
	done
}

# Another processor, as far as an emulator can tell; qemu has no io_uring, and Debian no OpenSSL for
# it beside this machine's own.
step_aarch64() {
	local engine=epoll without=tls_
	if ! have aarch64-linux-gnu-gcc || ! have qemu-aarch64 ||
		[ ! -e /usr/aarch64-linux-gnu/include/stdio.h ]; then
		skip aarch64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
		return
	fi
	build aarch64 all all-tests || return
	export TEST_SLOWNESS=10 TEST_TIMEOUT_S=20 TEST_EMULATED=1
	programs unit build-aarch64 qemu-aarch64 -L /usr/aarch64-linux-gnu
	programs contract build-aarch64 qemu-aarch64 -L /usr/aarch64-linux-gnu
}

step_install() {
	build release || return
	counted scripts/test_install.sh
}

step_man() {
	local page
	for page in $(scripts/sources.sh man '*.[1-9]'); do
		if have mandoc; then
			case_of "$page" mandoc -Tlint -W warning "$page"
		else
			skip "$page" mandoc
		fi
	done
}

# What a step's verdicts come to: "PASSED FAILED SKIPPED".
sum_of_step() {
	awk -v ci="${CI:-}" '
		$1 == "ok" { passed++ }
		$1 == "FAIL" { failed++ }
		$1 == "skip" { skipped++; lacking++ }
		$1 == "sum" { passed += $2; failed += $3; skipped += $4; lacking += $5 }
		END {
			if (ci == "true") {
				failed += lacking
				skipped -= lacking
			}
			print passed + 0, failed + 0, skipped + 0
		}' "$work/verdicts"
}

run_step() { # NAME
	local start=$SECONDS passed failed skipped
	echo
	echo "== $1"
	: >"$work/verdicts"
	("step_$1")
	[ -s "$work/verdicts" ] || verdict FAIL "step $1 ran nothing"
	read -r passed failed skipped < <(sum_of_step)
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
	table+=$(printf '%-10s %5d s %6d passed %4d failed %4d skipped' \
		"$1" $((SECONDS - start)) "$passed" "$failed" "$skipped")$'\n'
}

# shellcheck disable=SC2086 # words
[ $# -gt 0 ] || set -- $steps
for step; do
	if [[ " $steps " != *" $step "* ]]; then
		echo "test.sh: no step is called $step; there are: $steps" >&2
		exit 2
	fi
done
total_passed=0 total_failed=0 total_skipped=0 table=
for step; do
	run_step "$step"
done

echo
printf '%s' "$table"
echo
sum="$total_passed passed, $total_failed failed"
[ $total_skipped = 0 ] || sum+=", $total_skipped skipped"
echo "$sum"
[ $total_failed = 0 ] && [ $total_passed -gt 0 ]
