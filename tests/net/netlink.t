#!/bin/sh
# TAP: what programs learn of the network's interfaces, under policies that let them know less or more.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
here=$(cd "$srcdir/tests/net" && pwd -P)
if ! command -v ip >/dev/null; then
	if must kvm; then echo "Bail out! no ip (package iproute2)"; exit 1; fi
	echo "1..0 # SKIP no ip (package iproute2)"
	exit 0
fi
mkdir "$dir/in"
cp "$here/netlink.pol" "$dir/lo.pol"
sed 's/connect tcp 127.0.0.1:80/connect tcp 198.51.100.7:80/' "$dir/lo.pol" >"$dir/four.pol"
sed 's/connect tcp 127.0.0.1:80/listen udp [::]:4000/' "$dir/lo.pol" >"$dir/all.pol"
ip=$(realpath "$(command -v ip)")

under() { # POLICY COMMAND...
	p=$1
	shift
	timeout -s KILL 60 "$SBX" --policy "$dir/$p.pol" --param "work=$dir/in" run "$@" 2>&1
}
equal() { # DESCRIPTION EXPECTED GOT
	if [ "$2" = "$3" ]; then tap_ok "$1"; else
		printf 'expected:\n%s\ngot:\n%s\n' "$2" "$3" >"$dir/why"
		tap_not_ok "$1" "$dir/why"
	fi
}
addrs() { # OPTIONS: native addresses of interfaces that are up, as `ip` says them in one line each
	ip $1 -o addr show up | awk '{ print $2, $3, $4 }'
}
said() { under "$1" "$ip" $2 -o addr show | awk '{ print $2, $3, $4 }'; }

same "ip addr show lo" --policy "$dir/four.pol" --param "work=$dir/in" -- "$ip" -4 -o addr show lo
equal "without a grant beyond the loopback there is nothing else" "$(addrs | grep '^lo .* \(127\.\|::1/\)')" "$(said lo)"
equal "and no route" "" "$(under lo "$ip" route; under lo "$ip" -6 route)"
equal "a connection by IPv4 shows IPv4 addresses" "$(addrs -4)" "$(said four -4)"
equal "but none of IPv6" "$(addrs -6 | grep '^lo .* ::1/')" "$(said four -6)"
equal "the route of IPv4" "$(ip route show default | sed 's/ *$//')" "$(under four "$ip" route show default | sed 's/ *$//')"
equal "listening anywhere shows all addresses" "$(addrs)" "$(said all)"
equal "but no route" "" "$(under all "$ip" route)"
mac=$(ip -o link show up | sed -n 's/.*link\/ether \([0-9a-f:]*\) .*/\1/p' | grep -v 00:00:00:00:00:00 | head -1)
under all "$ip" link >"$dir/links"
if [ -n "$mac" ] && grep -q "$mac" "$dir/links"; then tap_not_ok "no hardware address is told" "$dir/links"; else
	tap_ok "no hardware address is told"
fi
equal "no neighbour is told" "" "$(under all "$ip" neigh)"
equal "nothing can be changed" "RTNETLINK answers: Operation not permitted" "$(under all "$ip" link set lo down)"
equal "an unknown interface" "$("$ip" addr show dev none0 2>&1)" "$(under all "$ip" addr show dev none0)"
script='import socket
print(socket.if_nameindex() == [(i, n) for i, n in socket.if_nameindex() if socket.if_nametoindex(n) == i])
print(sorted({a[4][0] for a in socket.getaddrinfo("127.0.0.1", 80, flags=socket.AI_ADDRCONFIG)}))
for kind in 1, 4, 9, 12, 15, 16:
	try: print(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, kind))
	except OSError as e: print(kind, e.errno)'
equal "python's view" "True
['127.0.0.1']
1 93
4 93
9 93
12 93
15 93
16 93" "$(under lo /usr/bin/python3 -c "$script")"
tap_end
