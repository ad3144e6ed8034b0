#!/bin/sh
# Configure and compile one of the builds; a new or a deleted source file is noticed.
#
# usage: build.sh KIND [NINJA-TARGET...]     (no target: what is installed)
# example: build.sh asan all-tests && build-asan/tests/unit-list -v
set -eu
cd "$(dirname "$0")/.."

kind=${1:?usage: build.sh release|asan|tsan|aarch64 [target...]}
shift
# clang and gcc disagree about b_lundef with sanitizers; off satisfies both.
case $kind in
release) dir=build options= ;;
asan) dir=build-asan options='-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dwerror=true' ;;
tsan) dir=build-tsan options='-Db_sanitize=thread -Db_lundef=false -Doptimization=1 -Dwerror=true' ;;
aarch64) dir=build-aarch64 options='--cross-file scripts/aarch64.ini -During=disabled -Dnames=disabled -Dtls=disabled -Dwerror=true' ;;
*)
	echo "build.sh: no build is called $kind (release, asan, tsan, aarch64)" >&2
	exit 2
	;;
esac
# For users and packagers: PREFIX, LIBDIR, and meson options such as -During=disabled.
[ "$kind" != release ] || options="$options --prefix=${PREFIX:-/usr/local} --libdir=${LIBDIR:-lib} ${MESON_OPTIONS:-}"

mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9 # two builds at once in one folder would spoil each other

# What the configuration depends on: options, libraries that may be there, files.
state=$(
	echo "$options"
	for lib in liburing libuv libcares libidn2 openssl; do pkg-config --modversion $lib 2>/dev/null || echo "no $lib"; done
	find include src tool tests examples bench man -type f 2>/dev/null | LC_ALL=C sort
)
# meson keeps an option that is no longer given, so other options mean another start.
if [ "${MESON_OPTIONS:-}" != "$(cat "$dir/.options" 2>/dev/null)" ] && [ "$kind" = release ]; then
	find "$dir" -mindepth 1 ! -name .lock -delete
	echo "${MESON_OPTIONS:-}" >"$dir/.options"
fi
if [ ! -f "$dir/build.ninja" ]; then
	# shellcheck disable=SC2086 # the options are words
	meson setup "$dir" $options
	echo "$state" >"$dir/.state"
elif [ "$state" != "$(cat "$dir/.state" 2>/dev/null)" ]; then
	# shellcheck disable=SC2086
	meson setup --reconfigure "$dir" $options
	echo "$state" >"$dir/.state"
fi
# -k 0: show every error at once.
ninja -C "$dir" -k 0 ${JOBS:+-j "$JOBS"} "$@" 9>&-
