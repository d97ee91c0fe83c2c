#!/bin/sh
# TAP: the tests that need KVM, inside a virtual machine whose KVM is AMD's (tools/svm-vm).
# Usage: svm.t [full] [host] [programs] [smap] [old]: the tests of the platform, guests and attacks, with
# the sentry in ring 0 where the machine chooses it, and in the host; the distribution's programs; the
# tests below the sentry on other CPUs.
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
export SBX_MUST_WORK=kvm LC_ALL=C HOSTILE_PERCENT=25 GUEST_LIMIT=100
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
if [ "$SBX_RESIDENCY" = auto ]; then
	one trace sh "$srcdir/tests/trace/trace.t"
	for t in $kvm_programs; do
		one "$t, entered by a fault" env SBX_RESIDENCY=guest SBX_PILL=fault "./$t"
	done
fi
one "doctor" sh -c './sbx doctor >/tmp/doctor && grep -q "^Mode: hardware" /tmp/doctor && echo "ok 1 - hardware mode"'
[ -n "$short" ] || one guest sh "$srcdir/tests/guest/run-guest"
[ -n "$short" ] || one domains sh "$srcdir/tests/guest/domains.t"
[ -n "$short" ] || one hostile sh "$srcdir/tests/hostile/run-hostile"
true
END

cat >"$dir/programs" <<'END'
export SBX_MUST_WORK=kvm LC_ALL=C BIG_MB=1 WEB_SECONDS=25
one() {
	echo "=== $1"
	sh "$srcdir/tests/programs/$1.t" 2>&1
	echo "=== status $?"
}
for t in /usr/bin/*; do
	[ -e "/bin/${t##*/}" ] || ln -s "$t" /bin/
done
cd /root || exit 1
one python
one tools
one web
true
END

# The programs that tests/programs use, with what they read. Sets $@ for svm-vm.
boot_programs() {
	set -- -f /bin/sh -f /bin/busybox -f "$build/sbx" -d "$here/examples/policies" -d "$here/tests/programs" \
		-f "$here/tests/lib.sh" -d "$dir"
	for t in awk basename cat chmod cmp comm cp curl cut date dd df diff dirname du env expr factor false \
		find grep gzip head id ln ls md5sum mkdir mktemp mv od openssl perl pwd readlink realpath rm sed \
		seq sha256sum sleep sort split sqlite3 stat tail tee test timeout touch tr true truncate uniq wc \
		xz base64 jq lua5.4 yes python3; do
		[ -x "/usr/bin/$t" ] && set -- "$@" -f "/usr/bin/$t"
	done
	py=$(basename "$(realpath /usr/bin/python3)")
	set -- "$@" -f "/usr/bin/$py" -d "/usr/lib/$py"
	for so in "/usr/lib/$py"/lib-dynload/*.so; do set -- "$@" -f "$so"; done
	for d in $(perl -e 'print join " ", grep { -d } @INC'); do set -- "$@" -d "$d"; done
	machine "svm programs" -m 3000 "$@" -e "srcdir=$here" -e "SBX=$build/sbx" \
		-e "SBX_POLICY_PATH=$here/examples/policies" \
		-e "LIMIT=240" -- sh "$dir/programs"
}

# boot MODEL NAME SHORT RESIDENCY OPTIONS...: runs the script in the machine; its output goes to $dir/out.
boot() {
	model=$1 name=$2 short=$3 residency=$4
	shift 4
	set -- "$@" -f "$build/sbx" -d "$here/examples/policies" -d "$here/tests" -d "$build/tests/guest" \
		-d "$build/tests/hostile" -d "$dir" -d "$build/tests/trace" -f "$here/docs/ARCHITECTURE.md"
	for t in ${KVM_PROGRAMS:-tests/kvm/test_platform tests/kvm/test_tables tests/kvm/test_tier0 tests/kvm/test_resident tests/kvm/test_hostile}; do
		[ -x "$build/$t" ] && set -- "$@" -f "$build/$t" && programs="$programs $t"
	done
	for t in env timeout realpath diff cmp mktemp cp rm; do
		set -- "$@" -f "$(command -v $t)"
	done
	machine "$name" -c "$model" "$@" -e "kvm_programs=$programs" -e "short=$short" \
		-e "SBX_RESIDENCY=$residency" \
		-e "build=$build" -e "builddir=$build" -e "srcdir=$here" -e "SBX=$build/sbx" -e "guestdir=$build/tests/guest" \
		-e "hostiledir=$build/tests/hostile" -e "SBX_POLICY_PATH=$here/examples/policies" \
		-e "LIMIT=240" -- \
		sh "$dir/inside"
}

# machine NAME OPTIONS...: runs svm-vm and reports. Everything inside has its own time limit, so that a
# machine that runs out of time with its heart beating is a failure. One whose heartbeat stopped (123) stood
# still as a whole; then, and only then, it is started again, and what was seen of it is shown.
machine() {
	machine_name=$1
	shift
	for attempt in 1 2 3; do
		"$here/tools/svm-vm" -t "${LIMIT:-1200}" "$@" >"$dir/out" 2>&1
		ended_with=$?
		[ $ended_with = 123 ] || break
		echo "# $machine_name: THE EMULATED MACHINE STOOD STILL (attempt $attempt)"
		sed -n '/^svm-vm: the machine stands still/,$s/^/# /p' "$dir/out" | head -200
	done
	ended "$machine_name" $ended_with
}

# ended NAME STATUS: the machine has stopped.
ended() {
	report "$1"
	if [ "$2" = 0 ]; then tap_ok "$1: machine ends by itself"; else
		{ tail -30 "$dir/out"; sed -n '/^svm-vm: /,$p' "$dir/out"; } >"$dir/tail"
		tap_not_ok "$1: machine ends by itself (status $2)" "$dir/tail"
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
			failed=1
			tap_not_ok "$1: $test: ${rest#*ok *- }"
			;;
		'#'*) echo "$word $rest" ;;
		esac
	done <"$dir/out"
}

# Everything once, then what depends on the CPU on two other models.
if [ $# = 0 ]; then set -- full host programs smap old; fi
for m; do
	programs=
	case $m in
	full) boot max,-la57,-smap svm "" auto ;; # see svm-vm -c
	host) boot max,-la57,-smap "svm, sentry in the host" "" host ;;
	programs) boot_programs ;;
	smap) boot max,-la57 "svm with smap" short auto ;;
	old) boot qemu64,+svm,+npt "old svm" short auto ;;
	esac
done
tap_end
