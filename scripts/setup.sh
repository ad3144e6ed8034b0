#!/bin/sh
# Install the Debian packages that a job needs and this machine lacks. Quick and
# silent when nothing is missing; says what it installs; asks for root only then.
#
# usage: setup.sh build|run|test|mutations|lint|bench
# NO_INSTALL=1 installs nothing: without what the build must have it fails, and
# says which packages those are; tests that lack a program are skipped.
# shellcheck disable=SC2086 # the lists are words, here and below
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Debian has rdate, and a user does not look

# "package" is there when dpkg says so; "package:command" when the command is there.
must="gcc:cc libc6-dev meson:meson ninja-build:ninja pkg-config:pkg-config
	libc-ares-dev libidn2-dev libunistring-dev libssl-dev"
may="liburing-dev" # without it, the library has epoll only
case ${1:-} in
build | run) ;;
test)
	may="$may g++:g++ python3:python3 curl:curl openssl:openssl dnsmasq-base:dnsmasq bind9-dnsutils:dig testssl.sh:testssl sslscan:sslscan
		wget:wget ncat:ncat socat:socat rdate:rdate
		chromium:chromium fonts-dejavu-core default-jdk-headless:javac iproute2:ip netbase
		bash-completion tshark:tshark valgrind:valgrind libc6-dbg mandoc:mandoc
		clang:clang libclang-rt-14-dev
		qemu-user:qemu-aarch64 gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc
		libc6-dev-arm64-cross"
	;;
mutations) must="$must python3:python3 patch:patch" ;;
lint) may="$may python3:python3 clang-format:clang-format clang-tidy:clang-tidy
		cppcheck:cppcheck shellcheck:shellcheck" ;;
bench) may="$may python3:python3 libuv1-dev nginx-light:nginx openssl:openssl golang-go:go
		curl:curl dnsmasq-base:dnsmasq iproute2:ip" ;;
*)
	echo "usage: setup.sh build|run|test|mutations|lint|bench" >&2
	exit 2
	;;
esac

# Print those of the list that are not there.
missing() {
	names=
	for entry; do
		case $entry in
		*:*) command -v "${entry#*:}" >/dev/null || echo "${entry%:*}" ;;
		*) names="$names $entry" ;;
		esac
	done
	command -v dpkg-query >/dev/null || return 0
	# shellcheck disable=SC2016 # dpkg's own variables
	there=$([ -z "$names" ] || dpkg-query -W -f '${db:Status-Status} ${Package}\n' $names 2>/dev/null) || :
	for name in $names; do
		case "
$there
" in
		*"
installed $name
"*) ;;
		*) echo "$name" ;;
		esac
	done
}

lacks_must=$(missing $must)
lacks_may=$(missing $may)
[ -n "$lacks_must$lacks_may" ] || exit 0
set -- $lacks_must $lacks_may
apt="apt-get install -y --no-install-recommends"

fail_or_go_on() {
	if [ -n "$lacks_must" ]; then
		echo "setup.sh: $1. The build needs:" $lacks_must >&2
		echo "  sudo $apt" $lacks_must >&2
		exit 1
	fi
	echo "setup.sh: $1. Going on without:" "$lacks_may" | tr '\n' ' ' >&2
	echo >&2
	exit 0
}

[ "${NO_INSTALL:-0}" != 1 ] || fail_or_go_on "nothing is installed, as NO_INSTALL=1 says"
command -v apt-get >/dev/null || fail_or_go_on "this system has no apt-get"
as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || fail_or_go_on "only root can install, and there is no sudo"
	as_root=sudo
fi

echo "setup.sh: installing $*${as_root:+ (sudo may ask for your password)}"
install() {
	$as_root env DEBIAN_FRONTEND=noninteractive "$@"
}
options="-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
install apt-get update $options || echo "setup.sh: the package lists are not fresh" >&2
if ! install $apt $options -o Dpkg::Use-Pty=0 "$@"; then
	# One package that cannot be had should not keep out the others.
	for name; do
		install $apt $options -o Dpkg::Use-Pty=0 "$name" || echo "setup.sh: no $name" >&2
	done
	lacks_must=$(missing $must)
	lacks_may=$(missing $may)
	[ -z "$lacks_must$lacks_may" ] || fail_or_go_on "apt-get could not install everything"
fi
