#!/bin/sh
# TAP: sbx run as a command: exit statuses, streams, signals, logs, bad input.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
cd "$dir" || exit 1
tools="--policy $policies/tools.pol --param work=$dir"

# case DESCRIPTION STATUS STDOUT-PATTERN STDERR-PATTERN COMMAND...   ("" matches anything)
try() {
	desc=$1 want=$2 out=$3 err=$4
	shift 4
	timeout 60 "$@" >o 2>e </dev/null
	got=$?
	if [ $got != "$want" ]; then
		{ echo "status $got, expected $want"; cat o e; } >why
		tap_not_ok "$desc" why
	elif [ -n "$out" ] && ! grep -q -- "$out" o; then
		{ echo "stdout lacks: $out"; cat o e; } >why
		tap_not_ok "$desc" why
	elif [ -n "$err" ] && ! grep -q -- "$err" e; then
		{ echo "stderr lacks: $err"; cat o e; } >why
		tap_not_ok "$desc" why
	else
		tap_ok "$desc"
	fi
}
# As try, and everything on stderr is at most one line.
one_line() {
	try "$@"
	[ "$(wc -l <e)" -le 1 ] && tap_ok "$1: one line" || tap_not_ok "$1: one line" e
}

try "exit status is the program's" 7 "" "" "$SBX" $tools run /usr/bin/perl -e 'exit 7'
try "options after run" 0 hi "" "$SBX" run $tools -- /bin/echo hi
try "a program found by PATH" 0 hi "" "$SBX" $tools run echo hi
try "128+n for a signal" 137 "" "" "$SBX" $tools run /usr/bin/perl -e 'kill 9, $$'
try "128+n for a fault" 139 "" "" "$SBX" $tools run /usr/bin/perl -e 'kill 11, $$'
one_line "not found is 127" 127 "" "no-such-program" "$SBX" $tools run no-such-program
one_line "not found by path is 127" 127 "" "/usr/bin/no-such" "$SBX" $tools run /usr/bin/no-such
echo data >plain
one_line "not executable is 126" 126 "" "plain" "$SBX" $tools run ./plain
chmod +x plain
one_line "a directory is 126" 126 "" "" "$SBX" $tools run /usr/bin/.
{ printf '\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0\1\0\0\0'; head -c 200 /dev/zero; } >elf32
chmod +x elf32
sed "s|^  read,list,write.*|&\n  exec \${work}/**|" "$policies/tools.pol" >exec.pol
exec_any="--policy exec.pol --param work=$dir"
one_line "a 32-bit ELF is 126" 126 "" "32-bit" "$SBX" $exec_any run ./elf32
head -c 3000 /bin/ls >cut && chmod +x cut
one_line "a cut ELF is 126" 126 "" "cut" "$SBX" $exec_any run ./cut
one_line "a program that the policy does not let run is 126" 126 "" "polic" "$SBX" $tools run ./plain
printf '#!/usr/bin/perl\nprint "script @ARGV\\n";' >script && chmod +x script
try "a script by its first line" 0 "script a b" "" "$SBX" $exec_any run ./script a b

one_line "no policy" 125 "" "" "$SBX" run /bin/true
one_line "a missing policy" 125 "" "missing.pol" "$SBX" --policy missing.pol run /bin/true
one_line "no program" 125 "" "" "$SBX" $tools run
try "bad YAML" 125 "" "bad.pol:2" sh -c "printf 'sbx: 1\n\tx: {\n' >bad.pol; '$SBX' --policy bad.pol run /bin/echo hi"
grep -q hi o && tap_not_ok "bad YAML: nothing was run" || tap_ok "bad YAML: nothing was run"
try "an unknown key" 125 "" "did you mean" sh -c "printf 'sbx: 1\ndefalt: deny as EPERM\n' >bad.pol; '$SBX' --policy bad.pol run /bin/true"
try "an unknown call" 125 "" "did you mean 'openat'" sh -c "printf 'sbx: 1\nrules: |\n  allow opennat\n' >bad.pol; '$SBX' --policy bad.pol run /bin/true"
try "an unknown option" 125 "" "" "$SBX" run --polcy x /bin/true
try "an unknown command" 2 "" "did you mean 'check'" "$SBX" chekc x
try "check: a good policy" 0 "" "" "$SBX" check "$policies/web.pol"
try "check: a bad policy" 1 "" "error" "$SBX" check bad.pol
try "check: wrong usage" 2 "" "" "$SBX" check
try "check -o" 0 "" "" "$SBX" check -o tools.polc --param "work=$dir" "$policies/tools.pol"
try "a compiled policy runs" 0 hi "" "$SBX" --policy tools.polc run /bin/echo hi
size=$(wc -c <tools.polc)
for at in 8 40 $((size / 4)) $((size / 2)) $((size - 9)); do
	cp tools.polc hurt.polc
	printf '\377\376\375' | dd of=hurt.polc bs=1 seek="$at" conv=notrunc 2>/dev/null
	one_line "a policy image damaged at $at is refused" 125 "" "hurt.polc" "$SBX" --policy hurt.polc run /bin/true
done
printf X | cat - tools.polc >hurt.polc
try "what is neither a policy nor an image is refused" 125 "" "hurt.polc" "$SBX" --policy hurt.polc run /bin/true
head -c 100 tools.polc >hurt.polc
one_line "a cut policy image is refused" 125 "" "hurt.polc" "$SBX" --policy hurt.polc run /bin/true

echo input >input
timeout 20 "$SBX" $tools run /bin/cat <input >o 2>e
[ "$(cat o)" = input ] && tap_ok "stdin is passed through" || tap_not_ok "stdin is passed through" e
timeout 20 "$SBX" $tools run /bin/cat <&- >o 2>e
[ $? = 1 ] && grep -q 'Bad file descriptor' e && tap_ok "a closed stdin stays closed" || tap_not_ok "a closed stdin stays closed" e
timeout 20 "$SBX" $tools run /bin/ls /proc/self/fd <&- 2>&- >o
[ "$(tr '\n' ' ' <o)" = "0 1 " ] && tap_ok "nothing of sbx's own is passed on" || tap_not_ok "nothing of sbx's own is passed on" o
printf 'one\ntwo\n' >lines
{ "$SBX" $tools run /usr/bin/head -n 0; cat; } <lines >o
[ "$(cat o)" = "$(cat lines)" ] && tap_ok "stdin is not read ahead" || tap_not_ok "stdin is not read ahead" o
"$SBX" $tools run /usr/bin/yes 2>e | head -1 >o
[ "$(cat o)" = y ] && tap_ok "a closed pipe ends the program" || tap_not_ok "a closed pipe ends the program" e

"$SBX" $tools --log log run /bin/sleep 100 &
p=$!
sleep 1
kill -TERM $p
wait $p
r=$?
[ $r = 143 ] && tap_ok "SIGTERM reaches the program" || { echo "status $r" >why; tap_not_ok "SIGTERM reaches the program" why; }
tail -1 log | grep -q '"ev":"footer","' && tap_ok "the log is whole after SIGTERM" || tap_not_ok "the log is whole after SIGTERM" log
"$SBX" audit verify log >o 2>&1 && tap_ok "its chain verifies" || tap_not_ok "its chain verifies" o

try "a refused file" 1 "" "" "$SBX" $tools --log log run /bin/cat /etc/shadow
grep '"ev":"decision"' log | grep '"path":"/etc/shadow"' >o
grep -q '"errno":"EPERM"' o && grep -q '"risk":"credential"' o && ! grep -q '"fix"' o &&
	tap_ok "is in the log, as a credential, without a fix" || tap_not_ok "is in the log, as a credential, without a fix" log
grep -q '"rule":{"at":"[^"]*tools.pol:[0-9]*"' o && tap_ok "with the line that refused" || tap_not_ok "with the line that refused" o
seq=$(sed 's/.*"seq":\([0-9]*\),.*/\1/' o | head -1)
try "audit groups it" 0 "/etc/shadow" "" "$SBX" audit log
try "audit why" 0 "rule:" "" "$SBX" audit why "$seq" log
try "audit refuses what is no log" 1 "" "not a record" "$SBX" audit plain
"$SBX" $tools --log - run /bin/cat /etc/shadow 2>/dev/null | grep -q '"ev":"footer"' &&
	tap_ok "--log -" || tap_not_ok "--log -"
"$SBX" $tools --log fd:9 run /bin/true 9>log9
grep -q '"ev":"footer"' log9 && tap_ok "--log fd:N" || tap_not_ok "--log fd:N" log9
try "--log to a folder that is not there" 125 "" "no/dir" "$SBX" $tools --log no/dir/log run /bin/true
try "--stats" 0 "" "calls" "$SBX" $tools --stats run /bin/true
cat >term.pol <<P
sbx: 1
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/share/**
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @file
  never uname because "no fingerprints"
P
one_line "the policy terminates: 159" 159 "" "term.pol:9: never uname" "$SBX" --policy term.pol --log log run /bin/uname -r
grep -q '"verdict":"terminate"' log && grep -q '"ev":"footer"' log && grep -q 'no fingerprints' log &&
	tap_ok "and the log says why" || tap_not_ok "and the log says why" log
try "audit names the cause" 0 "terminated by the policy" "" "$SBX" audit log

cat >emu.pol <<P
sbx: 1
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/share/** /etc/perl/**
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @file
  emulate getuid, geteuid as 4242
emulate:
  uname: {release: 9.9.9, nodename: box}
  cpus: 1
limits: {wall: 2s, output: 1MiB, open_files: 20}
P
try "emulated uname" 0 "^9.9.9$" "" "$SBX" --policy emu.pol run /bin/uname -r
try "emulated ids" 0 "^4242$" "" "$SBX" --policy emu.pol run /usr/bin/id -u
try "emulated cpus" 0 "^1$" "" "$SBX" --policy emu.pol run /usr/bin/nproc
one_line "the wall limit" 137 "" "wall" "$SBX" --policy emu.pol run /bin/sleep 50
one_line "the output limit" 137 "" "output" "$SBX" --policy emu.pol run /usr/bin/yes
sed 's/^limits:.*/limits: {cpu: 1s}/' emu.pol >cpu.pol
one_line "the cpu limit" 137 "" "cpu" "$SBX" --policy cpu.pol run /usr/bin/perl -e '1 while 1'

try "a variable from --param" 0 hi "" "$SBX" $tools run /bin/cat input --help
try "an unknown variable" 125 "" "" "$SBX" --policy "$policies/tools.pol" --param nope=1 run /bin/true
FOO=bar try "--clear-env and --env" 0 "^A=b$" "" "$SBX" $tools --clear-env --env A=b run /usr/bin/env
grep -q FOO o && tap_not_ok "--clear-env clears" o || tap_ok "--clear-env clears"
# From a place that everybody can read: the checkout may be in root's own folder.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && [ -c /dev/kvm ]; then
	mkdir public && chmod 755 "$dir" public
	cp -r "$SBX" "$policies" public/
	mode=$(stat -c %a /dev/kvm)
	chmod 666 /dev/kvm
	try "an ordinary user" 0 "^hi 65534$" "" setpriv --reuid=65534 --regid=65534 --clear-groups \
		public/sbx --policy public/policies/tools.pol --param "work=$dir" \
		run /usr/bin/perl -e 'print "hi $<\n"'
	chmod "$mode" /dev/kvm
fi
# What a policy says of a call.
build=$policies/c-build.pol
try "explain a refusal" 0 "deny as EPERM  (files)" "" "$SBX" explain "$build" 'unlink("/src/a.c") in tool'
"$SBX" explain "$build" 'unlink("/src/a.c") in tool' | grep -q 'c-build.pol:[0-9]*: deny delete' &&
	tap_ok "with its rule" || tap_not_ok "with its rule"
try "explain which rules a program gets" 0 "goes on as git" "" "$SBX" explain "$build" 'execve("/usr/bin/git", {"git", "log"})'
try "explain what comes near" 0 "nearest .*not with this argv.1." "" "$SBX" explain "$build" 'execve("/usr/bin/git", {"git", "gc"})'
try "explain with open arguments" 0 "It depends" "" "$SBX" explain "$build" 'execve("/usr/bin/git")'
try "explain the programs" 0 "A process can be under: self, tool, git" "" "$SBX" explain "$build"
try "explain an unknown call" 1 "" "unknown syscall 'opne'" "$SBX" explain "$build" 'opne(1)'
tap_end
