#!/bin/sh
# TAP: single-steps a read, a denied ptrace and a umask through the sandbox, with the sentry in ring 0, and
# compares what they pass with the lists in docs/ARCHITECTURE.md. Where the sentry cannot be in ring 0 it
# checks that this is what the machine says.
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
here=$(cd "$srcdir" && pwd -P) build=$(cd "$builddir" && pwd -P)
"$build/tests/trace/trace" "$here/tests/guest/guest.pol" "$build/tests/trace" "$build/tests/trace/calls" \
	>"$dir/out" 2>"$dir/err"
status=$?
if [ $status = 77 ]; then
	# the probe's answer, which doctor gives too
	if grep -q 'residency=guest: ' "$dir/err"; then tap_ok "refused: $(cat "$dir/err")"; else
		tap_not_ok "a reason why the sentry cannot be in ring 0" "$dir/err"
	fi
	tap_end
	exit
fi
[ $status = 0 ] && tap_ok "runs" || tap_not_ok "runs, status $status" "$dir/err"
grep '^#' "$dir/err"
for call in read ptrace umask; do
	sed -n "/^<!-- trace $call -->/,/^<!-- end -->/p" "$here/docs/ARCHITECTURE.md" |
		sed -nE 's/^([0-9]+\.|Counted:) `([^`]*)`.*/\2/p' >"$dir/doc"
	sed -n "/^$call\$/,/^tier /p" "$dir/out" | sed 1d >"$dir/seen"
	if [ -s "$dir/doc" ] && diff -u "$dir/doc" "$dir/seen" >"$dir/diff"; then tap_ok "$call is as documented"; else
		tap_not_ok "$call is as documented" "$dir/diff"
	fi
done
tap_end
