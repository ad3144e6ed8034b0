#!/bin/sh
# Install what `make build` made, beneath DESTDIR if one is given.
#
# usage: install.sh [DESTDIR]
set -eu
cd "$(dirname "$0")/.."

DESTDIR=${1:-} meson install -C build --no-rebuild --quiet
# Programs find a new shared library by ld.so's cache; a package does this by itself.
if [ -z "${1:-}" ] && [ "$(id -u)" = 0 ]; then
	ldconfig
fi
