#!/bin/sh
# TAP: the tests that need KVM, inside a virtual machine whose KVM is AMD's (tools/svm-vm).
# Usage: svm.t [full] [smap] [old]: all of them in one boot; those below the sentry on other CPUs.
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/lib.sh"
here=$(cd "$srcdir" && pwd -P) build=$(cd "$builddir" && pwd -P)
why=
for p in qemu-system-x86_64 cpio busybox; do
	command -v $p >/dev/null || why="$why $p"
done
if [ -n "$why" ]; then
	must svm && { echo "Bail out! missing:$why"; exit 1; }
	echo "1..0 # SKIP missing:$why"
	exit 0
fi
new_dir

# What runs inside: each test's TAP after a line with its name.
cat >"$dir/inside" <<'END'
export SBX_MUST_WORK=kvm LC_ALL=C
one() {
	echo "=== $1"
	shift
	"$@" 2>&1
	echo "=== status $?"
}
cd "$build" || exit 1
for t in $kvm_programs; do
	one "$t" "./$t"
done
one "doctor" sh -c './sbx doctor >/tmp/doctor && grep -q "^Mode: hardware" /tmp/doctor && echo "ok 1 - hardware mode"'
[ -n "$short" ] || one guest sh "$srcdir/tests/guest/run-guest"
[ -n "$short" ] || one hostile sh "$srcdir/tests/hostile/run-hostile"
true
END

# boot MODEL NAME SHORT OPTIONS...: runs the script in the machine; its output goes to $dir/out.
boot() {
	model=$1 name=$2 short=$3
	shift 3
	set -- "$@" -f "$build/sbx" -d "$here/examples/policies" -d "$here/tests" -d "$build/tests/guest" \
		-d "$build/tests/hostile" -d "$dir"
	for t in ${KVM_PROGRAMS:-tests/kvm/test_platform tests/kvm/test_tier0 tests/kvm/test_hostile}; do
		[ -x "$build/$t" ] && set -- "$@" -f "$build/$t" && programs="$programs $t"
	done
	for t in timeout realpath diff cmp mktemp cp rm; do
		set -- "$@" -f "$(command -v $t)"
	done
	"$here/tools/svm-vm" -t "${LIMIT:-900}" -c "$model" "$@" -e "kvm_programs=$programs" -e "short=$short" \
		-e "build=$build" -e "srcdir=$here" -e "SBX=$build/sbx" -e "guestdir=$build/tests/guest" \
		-e "hostiledir=$build/tests/hostile" -e "SBX_POLICY_PATH=$here/examples/policies" -- \
		sh "$dir/inside" >"$dir/out" 2>&1
	status=$?
	report "$name"
	if [ $status = 0 ]; then tap_ok "$name: machine ends by itself"; else
		tail -30 "$dir/out" >"$dir/tail"
		tap_not_ok "$name: machine ends by itself (status $status)" "$dir/tail"
	fi
}

# Renumbers the tests' TAP and names them; a test that ended badly without saying so is a failure.
report() {
	results=0 test=none
	while read -r word rest; do
		case $word in
		===)
			case $rest in
			status\ 0) [ $results -gt 0 ] || tap_not_ok "$1: $test ran" ;;
			status\ *) [ $failed = 1 ] || tap_not_ok "$1: $test ended with ${rest#* }" ;;
			*) test=$rest results=0 failed=0 ;;
			esac
			;;
		ok)
			results=1
			tap_ok "$1: $test: ${rest#* - }"
			;;
		not)
			results=1
			case $rest in
			*"# SKIP"*) tap_ok "$1: $test: ${rest#*ok *- }" ;;
			*)
				failed=1
				tap_not_ok "$1: $test: ${rest#*ok *- }"
				;;
			esac
			;;
		'#'*) echo "$word $rest" ;;
		esac
	done <"$dir/out"
}

# Everything once, then what depends on the CPU on two other models.
if [ $# = 0 ]; then set -- full smap old; fi
for m; do
	programs=
	case $m in
	full) boot max,-la57 svm "" -a nosmap ;;
	smap) boot max,-la57 "svm with smap" short ;;
	old) boot qemu64,+svm,+npt "old svm" short ;;
	esac
done
tap_end
