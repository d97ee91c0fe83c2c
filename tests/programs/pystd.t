#!/bin/sh
# TAP: modules of python's own tests under examples/policies/runtime.pol. Each test has the outcome that
# it has natively, for the same user, but for those of tests/programs/pystd.known.
#
# Left out by the patterns below, with all tests of the module else run:
#   UDPLITE           IPPROTO_UDPLITE is a protocol that sbx does not offer
#   NoPoll, Silly     the tests of another class once more, by a fallback for systems without poll or fork_exec
#   asyncio's others  compute without a system call, or test TLS by files of 10 MB
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
if ! [ -e /usr/lib/python3.11/test/test_os.py ]; then
	must kvm && { echo "Bail out! libpython3.11-testsuite is not installed"; exit 1; }
	echo "1..0 # SKIP no libpython3.11-testsuite"
	exit 0
fi
new_dir
chmod 755 "$dir"
export LC_ALL=C.UTF-8 TZ=UTC0 PYTHONDONTWRITEBYTECODE=1 PATH=/usr/local/bin:/usr/bin:/bin
py=/usr/bin/python3.11
# Where root runs this: natively, the user that the policy makes of everybody.
as=
[ "$(id -u)" != 0 ] || as='setpriv --reuid=65534 --regid=65534 --clear-groups'

# once HOW FOLDER MODULE...: the modules one after the other; outcomes in FOLDER/out, messages in FOLDER/log.
once() {
	# The same path both times: names of test files hold it.
	how=$1 work=$2
	shift 2
	rm -rf "$work"
	mkdir -p "$work/tmp"
	cp "$srcdir/tests/programs/pystd.py" "$work/"
	if [ "$how" = sbx ]; then
		run="$SBX --policy $policies/runtime.pol --param work=$work run"
	else
		run=$as
		[ -z "$as" ] || chown -R 65534:65534 "$work"
	fi
	# A shell between: tests look at their parent.
	# shellcheck disable=SC2086 # neither names nor options hold spaces
	(cd "$work" && HOME=$work TMPDIR=$work/tmp timeout -k 10 "${LIMIT:-400}" $run /bin/sh -c \
		"$py pystd.py out 5 \"\$@\"; echo status \$? >>out" sh "$@" >log 2>&1 </dev/null)
}

# lane NAME MODULE...: natively, then under sbx.
lane() {
	name=$1
	shift
	for both in native sbx; do
		once $both "$dir/$name" "$@"
		sort "$dir/$name/out" >"$dir/$name.$both"
		cp "$dir/$name/log" "$dir/$name.$both.log"
	done
}

# outcomes FILE MODULE: the lines of that module which have to be the same.
outcomes() { grep -E " test\.$2\.|^status" "$1" | grep -vFf "$dir/known"; }

# again NAME MODULE: tests that look at clocks fail on a busy machine now and then. Those of which the
# outcomes differ are run once more, with nothing beside them, and then count.
again() {
	diff "$dir/native" "$dir/sbx" | sed -n 's/^[<>] [a-zA-Z]* \(test\..*\)/\1/p' | sort -u >"$dir/differ"
	[ "$(wc -l <"$dir/differ")" -le 10 ] || return 1
	once sbx "$dir/$1" "$2$(sed 's/^/:+/' "$dir/differ" | tr -d '\n')"
	echo "# once more: $(tr '\n' ' ' <"$dir/differ")"
	{ grep -vFf "$dir/differ" "$dir/sbx"; grep -Ff "$dir/differ" "$dir/$1/out"; } | sort >"$dir/sbx2"
	cp "$dir/$1/log" "$dir/$1.sbx.log"
	mv "$dir/sbx2" "$dir/sbx"
	cmp -s "$dir/native" "$dir/sbx"
}

# compare NAME MODULE...: what the lane's runs said of each module.
compare() {
	name=$1
	shift
	for m; do
		m=${m%%:*}
		outcomes "$dir/$name.native" "$m" >"$dir/native"
		outcomes "$dir/$name.sbx" "$m" >"$dir/sbx"
		if [ "$(wc -l <"$dir/native")" -gt 1 ] && { cmp -s "$dir/native" "$dir/sbx" || again "$name" "$m"; }; then
			tap_ok "python's $m: $(grep -c '^ok' "$dir/sbx") tests pass, $(grep -c '^skip' "$dir/sbx") are skipped"
		else
			{ diff "$dir/native" "$dir/sbx"; tail -60 "$dir/$name.sbx.log"; } >"$dir/diff"
			tap_not_ok "python's $m" "$dir/diff"
		fi
	done
}

sed '/^#/d; s/:.*//' "$srcdir/tests/programs/pystd.known" >"$dir/known"
files='test_os test_posix test_fcntl test_mmap test_select test_time test_tempfile test_shutil test_pty test_eintr'
processes='test_subprocess:NoPoll test_threading'
sockets='test_socket:UDPLITE test_asyncio.test_events'
signals='test_signal test_asyncio.test_subprocess test_asyncio.test_unix_events test_asyncio.test_streams'
# shellcheck disable=SC2086 # lists
{
	lane files $files &
	lane processes $processes &
	lane sockets $sockets &
	lane signals $signals &
	wait
	compare files $files
	compare processes $processes
	compare sockets $sockets
	compare signals $signals
}
grep -h 's in all' "$dir"/*.native.log "$dir"/*.sbx.log | sort | sed 's/^/# /'
tap_end
