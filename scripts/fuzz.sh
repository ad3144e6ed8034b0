#!/bin/bash
# Feed one fuzz target for a while: its corpus first, then what libFuzzer makes of it.
# A target names the files that it needs in its first comment, and perhaps libraries, as
# pkg-config(1) calls them:
#	/* sources: src/proto/http*.c src/base/error.c */
#	/* sources: src/net/tls_text.c
#	 * libraries: openssl */
# Inputs that libFuzzer finds are kept in build-fuzz/; without clang, the corpus only.
#
# usage: fuzz.sh TARGET [SECONDS]
set -u
cd "$(dirname "$0")/.." || exit 2

name=${1:?usage: fuzz.sh TARGET [SECONDS]}
seconds=${2:-10}
target=fuzz/$name.c
corpus=fuzz/corpus/$name
needs=$(awk 'NR == 1 && !sub(/^\/\* sources: /, "") { exit }
	{ last = sub(/\*\/.*/, ""); sub(/^ \*/, ""); print } last { exit }' "$target")
# shellcheck disable=SC2206 # names without blanks, and patterns
sources=(${needs%%libraries:*})
libraries=()
case $needs in
*libraries:*)
	# shellcheck disable=SC2207,SC2086 # names without blanks
	libraries=($(pkg-config --cflags --libs ${needs##*libraries:})) || {
		echo "skip fuzz $name: pkg-config does not know:${needs##*libraries:}"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	}
	;;
esac
# shellcheck disable=SC2054 # the commas are gcc's
flags=(-std=gnu11 -g -O1 -D_GNU_SOURCE -Iinclude -Isrc -Ibuild/src -Wall
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
dir=build-fuzz/$name
mkdir -p "$dir/corpus"
work=$(mktemp -d /tmp/soquete-fuzz.XXXXXX) || exit 2
trap 'rm -rf "$work"' EXIT

fail() { # WHAT
	echo "FAIL fuzz $name: $1"
	tail -n 60 "$work/log" | cut -c 1-400 | sed 's/^/    | /'
	echo "0 passed, 1 failed"
	exit 1
}

compile() { # COMPILER OPTION-OR-FILE
	"$@" "${flags[@]}" "$target" "${sources[@]}" "${libraries[@]}" -o "$work/run" >"$work/log" 2>&1 ||
		fail "does not compile"
}

run() { # ARGUMENT...
	local start=$SECONDS
	"$work/run" "$@" >"$work/log" 2>&1 || fail "an input that it cannot take"
	echo "ok   fuzz $name  ($((SECONDS - start)) s) $(grep -o 'Done [0-9]* runs' "$work/log")"
	echo "1 passed, 0 failed"
	exit 0
}

inputs=()
[ ! -d "$corpus" ] || mapfile -t inputs < <(find "$corpus" -type f | LC_ALL=C sort)

if command -v clang >/dev/null && ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-* \
	>/dev/null 2>&1; then
	compile clang -fsanitize=fuzzer
	# A fixed seed: the same tree gives the same run, as far as the clock allows.
	run -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -timeout=5 -rss_limit_mb=2048 \
		-artifact_prefix="$dir/" "$dir/corpus" ${inputs:+"$corpus"}
fi
compile cc scripts/fuzz_replay.c
run "${inputs[@]}"
