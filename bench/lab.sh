#!/bin/sh
# Run a command in a network of its own: a name server that knows every name, an IPv4 address
# that answers, and an IPv6 network behind which nobody is. All of it ends with the command.
#
# usage: lab.sh PEER_DNS CORE COMMAND...    (the name server, and the core it is pinned to)
# exit status: the command's; 125 when there can be no such network here, and a line says why
set -eu

if [ "${1:-}" != --inside ]; then
	exec unshare --map-root-user --net --mount --mount-proc --pid --fork --kill-child sh "$0" --inside "$@"
fi
shift
server=$1 core=$2
shift 2

fail() {
	echo "lab.sh: $1" >&2
	exit 125
}

ip link set lo up || fail "no network namespace"
# What is sent to black holes goes to the other end, which is not whom it is for.
ip link add hole0 type veth peer name hole1 || fail "no veth devices"
ip address add 10.53.0.1/24 dev hole0
ip -6 address add 2001:db8:53::1/64 dev hole0 nodad
ip link set hole0 up
ip link set hole1 up
ip neighbour add 2001:db8:53::2 lladdr 02:00:00:00:00:02 dev hole0 nud permanent

# Files that say who is asked, over those of the machine, for this command only.
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
echo "nameserver 127.0.0.1" >"$files/resolv.conf"
echo "127.0.0.1 localhost" >"$files/hosts"
echo "hosts: files dns" >"$files/nsswitch.conf"
for file in resolv.conf hosts nsswitch.conf; do
	mount --bind "$files/$file" "/etc/$file" || fail "no /etc/$file to put another over"
done

mkfifo "$files/ready"
taskset -c "$core" "$server" >"$files/ready" &
read -r ready <"$files/ready" || ready=
[ "$ready" = ready ] || fail "the name server does not start"
status=0
"$@" || status=$?
exit $status
