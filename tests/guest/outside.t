#!/bin/sh
# TAP: signals that sbx gets are the program's; stopping and going on work as for any job.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
guestdir=${guestdir:-tests/guest}
need_sbx
new_dir
guestdir=$(cd "$guestdir" && pwd -P)
policy=$(cd "$srcdir" && pwd -P)/tests/guest/guest.pol
cp "$guestdir/outside" "$dir/"
cd "$dir" || exit 1
: >out
# Signals as a terminal's shell would leave them, whatever this test was started from.
fresh="env --default-signal"
run="$fresh $SBX run --policy $policy --param work=$dir --"

# until TEXT: waits for it in the output.
until_said() {
	i=0
	while ! grep -q "$1" out && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
}
# until_state LETTER: waits for the process's state.
until_state() {
	i=0
	while [ $i -lt 100 ]; do
		case $(ps -o stat= -p $p) in "$1"*) return 0 ;; esac
		sleep 0.1
		i=$((i + 1))
	done
	return 1
}
check() { # DESCRIPTION: the last status decides
	[ $? = 0 ] && tap_ok "$1" || tap_not_ok "$1" out
}

$fresh --ignore-signal=INT --ignore-signal=QUIT "$SBX" run --policy "$policy" --param "work=$dir" -- \
	./outside listen >out 2>&1 &
p=$!
until_said ready
for s in HUP USR1 USR2 ALRM WINCH; do
	kill -$s $p
	sleep 0.1
done
until_said 'got Window changed'
kill -TERM $p
wait $p
echo "status $?" >>out
# As a shell starts background jobs: with SIGINT and SIGQUIT ignored. The program finds them so.
cat >want <<END
ignored Interrupt
ignored Quit
ready
got Hangup
got User defined signal 1
got User defined signal 2
got Alarm clock
got Window changed
got Terminated
status 5
END
cmp -s out want
check "signals from outside reach the program, ignored ones stay ignored"

# Where nobody could continue the job (no session, no shell), SIGTSTP does not stop it.
: >out
$fresh ./outside listen >out 2>&1 &
p=$!
until_said ready
kill -TSTP $p
sleep 0.3
case $(ps -o stat= -p $p) in T*) stops=1 ;; *) stops= ;; esac
kill -KILL $p
wait $p 2>/dev/null
if [ -n "$stops" ]; then
: >out
$run ./outside listen >out 2>&1 &
p=$!
until_said ready
kill -TSTP $p
until_state T
check "SIGTSTP stops sbx with the program"
kill -CONT $p
until_said 'got Continued'
grep -q 'got Continued' out
check "SIGCONT lets it go on, and the program sees it"
kill -KILL $p
wait $p 2>/dev/null
else
	: >out
	$run ./outside listen >out 2>&1 &
	p=$!
	until_said ready
	kill -TSTP $p
	sleep 0.5
	case $(ps -o stat= -p $p) in T*) false ;; *) true ;; esac
	check "SIGTSTP stops neither in an orphaned process group"
	kill -USR1 $p
	until_said 'got User defined signal 1'
	grep -q 'got User defined signal 1' out
	check "and the program goes on"
	kill -KILL $p
	wait $p 2>/dev/null
fi

: >out
$run ./outside 19 >out 2>&1 &
p=$!
until_state T
check "a program that stops itself stops sbx"
kill -CONT $p
wait $p
[ $? = 3 ] && grep -q 'went on' out
check "and goes on with it"

for s in 1 2 3 6 9 10 14 15 24 34; do
	$run ./outside $s >out 2>&1
	[ $? = $((128 + s)) ] && tap_ok "signal $s ends the program with $((128 + s))" ||
		tap_not_ok "signal $s ends the program with $((128 + s))" out
done
tap_end
