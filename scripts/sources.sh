#!/bin/sh
# Print the files beneath DIR whose names match PATTERN, sorted, as paths from the
# project's root. A folder that is not there has no files.
#
# usage: sources.sh DIR PATTERN
# example: sources.sh src/base '*.c'
cd "$(dirname "$0")/.." || exit 1
[ -d "$1" ] || exit 0
find "$1" -type f -name "$2" | LC_ALL=C sort
