#!/bin/sh
# TAP: shells on a terminal: job control, signals from the keyboard, window size; compared with native
# runs on the same kind of terminal.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
if ! command -v python3 >/dev/null || ! command -v bash >/dev/null; then
	echo "1..0 # SKIP python3 and bash are needed"
	exit 0
fi
new_dir
SBX=$(realpath "$SBX")
here=$(cd "$srcdir" && pwd -P)
policies=$(realpath "$policies")
cd "$dir" || exit 1
export LC_ALL=C TERM=dumb HOME="$dir" PS1='ready> ' HISTFILE=
export PATH=/usr/local/bin:/usr/bin:/bin

# session DESCRIPTION COMMAND...: the script comes on standard input.
session() {
	desc=$1
	shift
	cat >script
	timeout 120 python3 "$here/tests/programs/terminal.py" script "$@" >native 2>&1
	timeout 120 python3 "$here/tests/programs/terminal.py" script \
		"$SBX" run --policy "$policies/shell.pol" --param "work=$dir" -- "$@" >sbx 2>&1
	if cmp -s native sbx; then
		tap_ok "$desc"
	else
		diff native sbx >why
		tap_not_ok "$desc" why
	fi
}

session "bash: ^C ends a program, not the shell" /bin/bash --norc --noediting -i <<'S'
wait ready> 
send sleep 100\n
pause 1
send \x03
wait ready> 
send echo "status $?"\n
wait status 130
wait ready> 
send exit 3\n
S
session "bash: ^Z, jobs, bg, fg, ^C" /bin/bash --norc --noediting -i <<'S'
wait ready> 
send sleep 100\n
pause 1
send \x1a
wait Stopped
wait ready> 
send jobs\n
wait Stopped
wait ready> 
send bg\n
wait &
wait ready> 
send jobs\n
wait Running
wait ready> 
send fg\n
pause 1
send \x03
wait ready> 
send echo "status $?"\n
wait status 130
wait ready> 
send exit\n
S
session "bash: a background job that reads the terminal stops" /bin/bash --norc --noediting -i <<'S'
wait ready> 
send cat & sleep 1\n
wait Stopped
wait ready> 
send fg\n
pause 1
send typed\n
wait typed
pause 1
send \x04
wait ready> 
send echo "status $?"\n
wait status 0
wait ready> 
send exit\n
S
session "bash: ^C and ^\\ reach a whole pipeline" /bin/bash --norc --noediting -i <<'S'
wait ready> 
send sleep 100 | sleep 100 | cat\n
pause 1
send \x03
wait ready> 
send sh -c 'trap "echo quit; exit 4" QUIT; while :; do sleep 0.1; done'\n
pause 1
send \x1c
wait ready> 
send echo "status $?"\n
wait status 4
wait ready> 
send exit\n
S
session "dash: ^Z and fg" /bin/dash -i <<'S'
wait ready> 
send sleep 100\n
pause 1
send \x1a
wait ready> 
send jobs\n
wait Stopped
wait ready> 
send fg\n
pause 1
send \x03
wait ready> 
send echo "status $?"\n
wait status 130
wait ready> 
send exit\n
S
session "the window's size and its signal" /bin/bash --norc --noediting -i <<'S'
wait ready> 
send python3 -c 'import os,signal,time; signal.signal(signal.SIGWINCH, lambda *a: print("resized", os.get_terminal_size())); print(os.get_terminal_size()); time.sleep(1.5)'\n
wait columns=80
pause 1
size 40 100
wait columns=100
wait ready> 
send exit\n
S
tap_end
