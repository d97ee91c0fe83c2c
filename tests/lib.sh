# Helpers for tests in POSIX sh that print TAP. Sourced; needs $SBX, $srcdir and $policies.
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs the tests
: "${SBX:=./sbx}" "${srcdir:=.}"
policies=${policies:-$srcdir/examples/policies}
n=0 bad=0

tap_ok() { n=$((n + 1)); echo "ok $n - $1"; }
tap_not_ok() { # description [file with details]
	n=$((n + 1)) bad=$((bad + 1))
	echo "not ok $n - $1"
	[ -z "${2:-}" ] || sed 's/^/# /' "$2" | head -40
}
tap_skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
tap_end() { echo "1..$n"; [ "$bad" = 0 ]; }

# must WORD: is a skip for this reason a failure here?
must() { case " ${SBX_MUST_WORK:-} " in *" $1 "*) return 0 ;; esac; return 1; }

# Skips the whole file where sbx cannot run anything, unless it must. SBX and policies become absolute.
need_sbx() {
	SBX=$(realpath "$SBX")
	policies=$(realpath "$policies")
	"$SBX" doctor >/dev/null 2>&1 && return 0
	if must kvm; then
		echo "Bail out! sbx cannot run programs here, and it must:"
		"$SBX" doctor
		exit 1
	fi
	echo "1..0 # SKIP no usable /dev/kvm"
	exit 0
}

# Skips the whole file when only small tests are asked for.
big_test() {
	[ -z "${SBX_SMALL:-}" ] || { echo "1..0 # SKIP a big test, and SBX_SMALL is set"; exit 0; }
}

# A fresh folder that is removed at the end.
new_dir() {
	[ -n "${dir:-}" ] || trap 'rm -rf "$dir"' EXIT
	dir=$(mktemp -d "${TMPDIR:-/tmp}/sbx-test.XXXXXX")
	dir=$(cd "$dir" && pwd -P)
}

# same DESCRIPTION POLICY-OPTIONS... -- COMMAND...: the command's output and status under sbx are
# those of a native run. Both start from a copy of $dir/in (when there is one) at the same path.
same() {
	desc=$1
	shift
	set -- "$@"
	opts=
	while [ "$1" != -- ]; do
		opts="$opts $1"
		shift
	done
	shift
	for how in native sbx; do
		rm -rf "$dir/work"
		if [ -d "$dir/in" ]; then cp -a "$dir/in" "$dir/work"; else mkdir "$dir/work"; fi
		if [ $how = native ]; then
			(exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- # sbx does not pass these on either
				cd "$dir/work" && timeout -k 10 "${LIMIT:-120}" "$@") >"$dir/native.out" 2>"$dir/native.err" </dev/null
		else
			# shellcheck disable=SC2086 # options hold no spaces
			(cd "$dir/work" && timeout -k 10 "${LIMIT:-120}" "$SBX" $opts run "$@") \
				>"$dir/sbx.out" 2>"$dir/sbx.err" </dev/null
		fi
		echo "status $?" >>"$dir/$how.out"
		[ -z "${AFTER:-}" ] || (cd "$dir/work" && sh -c "$AFTER") >>"$dir/$how.out" 2>&1
	done
	if cmp -s "$dir/native.out" "$dir/sbx.out"; then
		tap_ok "$desc"
	else
		{ diff "$dir/native.out" "$dir/sbx.out"; echo "-- stderr under sbx:"; cat "$dir/sbx.err"; } \
			>"$dir/diff" 2>&1
		tap_not_ok "$desc" "$dir/diff"
	fi
}
