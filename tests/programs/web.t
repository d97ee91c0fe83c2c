#!/bin/sh
# TAP: python3 -m http.server under examples/policies/web.pol, parallel requests for WEB_SECONDS.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
mkdir -p "$dir/www/.git" "$dir/www/sub"
cd "$dir/www" || exit 1
head -c 300000 /dev/urandom >blob
seq 1 5000 >numbers.txt
echo secret >.git/config
echo S3cret >"$dir/outside"
ln -s "$dir/outside" link
ln -s /etc/fstab away
port=$((20000 + $$ % 20000))
"$SBX" --policy "$policies/web.pol" --param "root=$dir/www" --param port=$port --log "$dir/log" \
	run /usr/bin/python3 -m http.server --bind 127.0.0.1 $port >"$dir/out" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
url=http://127.0.0.1:$port
i=0
until curl -s -o /dev/null $url/ || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.1; done

get() { curl -s -m 20 -o "$dir/got" -w '%{http_code}' "$url$1"; }
check() { # description, expected, got
	[ "$2" = "$3" ] && tap_ok "$1" || { echo "expected $2, got $3" >"$dir/why"; tail -20 "$dir/out" >>"$dir/why"; tap_not_ok "$1" "$dir/why"; }
}
check "the page is served" 200 "$(get /numbers.txt)"
cmp -s "$dir/got" numbers.txt && tap_ok "its bytes are right" || tap_not_ok "its bytes are right"
check "a directory is listed" 200 "$(get /sub/)"
check "a hidden file is not found" 404 "$(get /.git/config)"
get / >/dev/null
grep -q '\.git' "$dir/got" && tap_not_ok "a hidden folder is not listed" || tap_ok "a hidden folder is not listed"
case $(get /link) in 403 | 404) tap_ok "a link that leads out is refused" ;; *) tap_not_ok "a link that leads out is refused" "$dir/out" ;; esac
grep -q S3cret "$dir/got" && tap_not_ok "nothing leaks" || tap_ok "nothing leaks"

check "a link to a file of the system is refused" 404 "$(get /away)"
end=$(($(date +%s) + ${WEB_SECONDS:-60}))
client() {
	ok=0 wrong=0
	while [ "$(date +%s)" -lt $end ]; do
		for f in numbers.txt blob; do
			if curl -s -m 20 "$url/$f" | cmp -s - $f; then ok=$((ok + 1)); else wrong=$((wrong + 1)); fi
		done
	done
	echo "$ok $wrong" >"$dir/client.$1"
}
pids=
for c in 1 2 3 4; do client $c & pids="$pids $!"; done
wait $pids
set -- $(cat "$dir"/client.* | awk '{ o += $1; w += $2 } END { print o, w }')
echo "# $1 requests answered rightly, $2 wrongly"
[ "$1" -gt 20 ] && [ "$2" = 0 ] && tap_ok "parallel requests" || tap_not_ok "parallel requests" "$dir/out"

kill -TERM $server
wait $server
check "SIGTERM ends the server as it would natively" 143 $?
grep -q '"ev":"footer"' "$dir/log" && tap_ok "the log has its footer" || tap_not_ok "the log has its footer" "$dir/log"
"$SBX" audit "$dir/log" >"$dir/report"
grep -q "read /etc/fstab" "$dir/report" && tap_ok "the refusal is in the audit" || tap_not_ok "the refusal is in the audit" "$dir/report"
tap_end
