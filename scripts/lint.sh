#!/bin/bash
# Read the code without running it. A line per check, and the sum as the last line.
#
# usage: lint.sh [CHECK...]        (none: all)
#        lint.sh --format          correct the format instead of checking it
# CI=true  a check whose program is not installed fails
set -u
cd "$(dirname "$0")/.." || exit 2

checks="format layers layers-self-test shell python tidy cppcheck"
folders="include src tool examples bench fuzz tests scripts"
passed=0 failed=0 skipped=0

c_files() { # FOLDER...
	local folder
	for folder; do
		scripts/sources.sh "$folder" '*.[ch]'
	done
}

check_format() {
	local file status=0
	# shellcheck disable=SC2086 # words
	for file in $(c_files $folders); do
		clang-format --dry-run -Werror "$file" 2>/dev/null && continue
		echo "$file: not as .clang-format has it; make format corrects it"
		status=1
	done
	return $status
}

check_layers() {
	python3 scripts/check_layers.py
}

check_layers-self-test() {
	python3 scripts/check_layers.py --self-test
}

check_shell() {
	local completion=
	[ ! -f tool/completion.bash ] || completion=tool/completion.bash
	# shellcheck disable=SC2046
	shellcheck $(scripts/sources.sh scripts '*.sh') $(scripts/sources.sh tests '*.sh') .ci/run $completion
}

# Compiles every script, leaving no trace: names that are not Python fail.
check_python() {
	local script
	for script in $(for d in scripts tests bench fuzz; do scripts/sources.sh $d '*.py'; done); do
		python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$script" || return
	done
}

# What the release build compiles, with its options.
check_tidy() {
	scripts/build.sh release build.ninja >/dev/null || return
	# shellcheck disable=SC2046
	python3 - $(c_files src tool | grep '\.c$') <<'EOF' | xargs -0 -P "$(nproc)" -n 1 clang-tidy -p build --quiet --extra-arg=-include"$PWD/scripts/tidy.h"
import json, os, sys
known = {os.path.normpath(os.path.join(e["directory"], e["file"])) for e in json.load(open("build/compile_commands.json"))}
print("\0".join(f for f in sys.argv[1:] if os.path.abspath(f) in known), end="")
EOF
}

# autoVariables: an operation is lent its caller's locals, and gives them back before
# the caller goes on.
check_cppcheck() {
	# shellcheck disable=SC2046
	cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,performance,portability \
		--error-exitcode=1 --inline-suppr --library=gnu \
		--suppress=missingIncludeSystem --suppress=autoVariables -D_GNU_SOURCE -D__linux__ -D__x86_64__ \
		-Iinclude -Isrc -Ibuild/src $(c_files src tool | grep '\.c$')
}

program_of() { # CHECK: what it needs
	case $1 in
	format) echo clang-format ;;
	shell) echo shellcheck ;;
	tidy) echo clang-tidy ;;
	cppcheck) echo cppcheck ;;
	*) echo python3 ;;
	esac
}

run_check() { # CHECK
	local start=$SECONDS out program
	program=$(program_of "$1")
	if ! command -v "$program" >/dev/null && [ "${CI:-}" != true ]; then
		skipped=$((skipped + 1))
		echo "skip lint $1: needs the package $program"
	elif out=$("check_$1" 2>&1); then
		passed=$((passed + 1))
		echo "ok   lint $1  ($((SECONDS - start)) s)"
	else
		failed=$((failed + 1))
		echo "FAIL lint $1"
		printf '%s\n' "$out" | grep -v ' warnings\? generated' | sed 's/^/    | /'
	fi
}

if [ "${1:-}" = --format ]; then
	# shellcheck disable=SC2046,SC2086
	exec clang-format -i $(c_files $folders)
fi
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $checks
for check; do
	if [[ " $checks " != *" $check "* ]]; then
		echo "lint.sh: no check is called $check; there are: $checks" >&2
		exit 2
	fi
done
for check; do
	run_check "$check"
done
sum="$passed passed, $failed failed"
[ $skipped = 0 ] || sum+=", $skipped skipped"
echo "$sum"
[ $failed = 0 ]
