#!/bin/sh
# TAP: a program tries to reach more of the network than its policy grants.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
here=$(cd "$srcdir/tests/net" && pwd -P)
mkdir "$dir/in"
cp "${netdir:-tests/net}/gate" "$dir/in/"
mkfifo "$dir/alive"
python3 "$here/outside.py" "$dir" <"$dir/alive" &
exec 9>"$dir/alive" # the servers end with this shell
i=0
until [ -f "$dir/ports" ] || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.1; done
read -r granted other <"$dir/ports"

(cd "$dir/in" && timeout -s KILL 60 "$SBX" --policy "$here/gate.pol" --param "dir=$dir" \
	--param "port=$granted" --log "$dir/log" run ./gate "$granted" "$other" "$dir/in/granted" \
	"$dir/other") >"$dir/out" 2>&1 </dev/null
echo "status $?" >>"$dir/out"
if diff "$here/gate.expect" "$dir/out" >"$dir/diff"; then
	tap_ok "only what is granted is reached"
else
	tap_not_ok "only what is granted is reached" "$dir/diff"
fi
if [ -e "$dir/reached" ]; then
	tap_not_ok "nothing arrived elsewhere" "$dir/reached"
else
	tap_ok "nothing arrived elsewhere"
fi
"$SBX" audit "$dir/log" >"$dir/report"
for want in "connect tcp 127.0.0.1:$other" "send udp 127.0.0.1:$other" "listen tcp 0.0.0.0:0" \
	"connect unix $dir/other" "connect unix @elsewhere"; do
	if grep -qF "$want" "$dir/report"; then
		tap_ok "audited: ${want%% /*}"
	else
		tap_not_ok "audited: $want" "$dir/report"
	fi
done
exec 9>&-
tap_end
