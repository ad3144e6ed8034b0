#!/bin/bash
# Install into an empty folder and use what is there as a stranger would: compile a C11
# and a C++ program through pkg-config, against the static and the shared library.
# Prints a line per case and the sum. The release build must be up to date.
set -u
cd "$(dirname "$0")/.." || exit 2

root=$(mktemp -d /tmp/soquete-install.XXXXXX) || exit 2
trap 'rm -rf "$root"' EXIT
passed=0 failed=0 skipped=0
prefix=$root$(meson introspect build --buildoptions |
	python3 -c 'import json, sys; print(*[o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"])')
version=$(sed -n "s/^#define SOQ__VERSION \"\(.*\)\"/\1/p" build/src/soq_config.h)
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$prefix/lib/pkgconfig

check() { # NAME COMMAND...
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok   install: $name"
	else
		failed=$((failed + 1))
		echo "FAIL install: $name"
		printf '%s\n' "$out" | sed 's/^/    | /'
		return 1
	fi
}

write_program() {
	cat >"$root/program.c" <<'EOF'
#include <soquete/soquete.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct soq_stream *pair[2];
	char buf[8] = "";

	if (soq_pair(pair) < 0 || soq_send(pair[0], "hello", 5) != 5)
		return 1;
	if (soq_recv(pair[1], buf, sizeof buf) != 5 || strcmp(buf, "hello") != 0)
		return 2;
	soq_close(pair[0]);
	soq_close(pair[1]);
	puts(soq_strerror(-ETIMEDOUT));
	return 0;
}
EOF
	cp "$root/program.c" "$root/program.cc"
}

program_static() { # COMPILER SOURCE
	# shellcheck disable=SC2046 # words
	$1 -Wall -Werror -o "$root/program" "$2" \
		$(pkg-config --cflags soquete) "$prefix/lib/libsoquete.a" \
		$(pkg-config --libs --static soquete | sed 's/-lsoquete//g') && "$root/program"
}

program_shared() { # COMPILER SOURCE
	# shellcheck disable=SC2046
	$1 -Wall -Werror -o "$root/program" "$2" \
		$(pkg-config --cflags --libs soquete) || return
	readelf -d "$root/program" | grep -q 'NEEDED.*libsoquete.so.0' &&
		LD_LIBRARY_PATH=$prefix/lib "$root/program"
}

only_public_symbols() {
	local symbols
	symbols=$(nm -D --defined-only "$prefix/lib/libsoquete.so" | awk '{ print $3 }') || return
	# Every one is soq_ and none soq__; and there are some.
	if echo "$symbols" | grep -vE '^soq_[a-z]'; then
		return 1
	fi
	[ -n "$symbols" ]
}

tool_says_version() {
	"$prefix/bin/soquete" --version | head -n 1 | tee /dev/stderr | grep -qF "$version"
}

every_header() {
	diff <(cd include/soquete && ls) <(cd "$prefix/include/soquete" && ls)
}

every_page() {
	local page installed
	for page in $(scripts/sources.sh man '*.[1-9]'); do
		installed=$prefix/share/man/man${page##*.}/${page##*/}
		cmp "$page" "$installed" || return
	done
	[ -n "${page:-}" ]
}

check "into a folder" scripts/install.sh "$root" || {
	echo "0 passed, 1 failed"
	exit 1
}
check "every header" every_header
check "every manual page" every_page
check "bash completion" bash -n "$prefix/share/bash-completion/completions/soquete"
check "soname" sh -c "readelf -d '$prefix/lib/libsoquete.so' | grep -q 'SONAME.*libsoquete.so.0]'"
check "only public symbols" only_public_symbols
check "the tool says its version" tool_says_version
check "pkg-config says the version" [ "$(pkg-config --modversion soquete)" = "$version" ]
write_program
check "C11, static" program_static "gcc -std=c11 -pedantic" "$root/program.c"
check "C11, shared" program_shared "gcc -std=c11 -pedantic" "$root/program.c"
if command -v g++ >/dev/null; then
	check "C++11, static" program_static "g++ -std=c++11 -pedantic" "$root/program.cc"
	check "C++11, shared" program_shared "g++ -std=c++11 -pedantic" "$root/program.cc"
else
	skipped=$((skipped + 2))
	echo "skip install: C++11 needs the package g++"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
