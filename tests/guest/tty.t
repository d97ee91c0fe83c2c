#!/bin/sh
# TAP: terminal control on a pseudo-terminal made by script(1), natively and under sbx; and what must
# not be possible there.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
if ! command -v script >/dev/null; then
	echo "1..0 # SKIP script(1) is not installed"
	exit 0
fi
new_dir
policy=$(cd "$srcdir" && pwd -P)/tests/guest/guest.pol
cp "${guestdir:-tests/guest}/tty" "${guestdir:-tests/guest}/tty_inject" "$dir/"
on_tty() { timeout 60 script -qec "stty rows 24 cols 80; $1" /dev/null </dev/null 2>&1 | tr -d '\r'; }
on_tty "$dir/tty" >"$dir/native"
on_tty "$SBX --policy $policy --param work=$dir run $dir/tty" >"$dir/sbx"
if cmp -s "$dir/native" "$dir/sbx"; then
	tap_ok "terminal control is as in a native run"
else
	diff "$dir/native" "$dir/sbx" >"$dir/diff"
	tap_not_ok "terminal control is as in a native run" "$dir/diff"
fi
on_tty "$SBX --policy $policy --param work=$dir run $dir/tty_inject" >"$dir/sbx"
if [ "$(sort -u "$dir/sbx")" = ENOTTY ]; then
	tap_ok "nothing can be put into the terminal's input"
else
	tap_not_ok "nothing can be put into the terminal's input" "$dir/sbx"
fi
tap_end
