#!/bin/sh
# TAP: `limit` in rules: so often and no more, so fast and no faster.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
cd "$dir" || exit 1
cat >rate.pol <<END
sbx: 1
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/share/**
  read,list,write,create,delete $dir/**
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @file, @process, @cred
  allow mkdir  limit 3 over deny as EDQUOT
  allow rmdir  limit 10/s over delay
  allow symlinkat, symlink limit 2 over terminate because "enough"
  on umask { mask == 0o77 -> allow limit 1000/h over deny  else -> allow }
tests: |
  expect allow mkdir("$dir/a", 0o755)
END
try() { # DESCRIPTION WANTED COMMAND
	"$SBX" run --policy rate.pol --log log -- /bin/sh -c "$3" >out 2>&1
	echo "status $?" >>out
	printf '%s\n' "$2" | cmp -s - out && tap_ok "$1" || tap_not_ok "$1" out
}

try "a number of calls, over deny" "1 ok
2 ok
3 ok
4 no
5 no
status 0" 'for i in 1 2 3 4 5; do mkdir d$i 2>/dev/null && echo $i ok || echo $i no; done'
grep -q '"sys":"mkdir".*"verdict":"deny","errno":"EDQUOT","gate":"call","rule":{"at":"rate.pol:10"' log &&
	tap_ok "the log tells of it" || tap_not_ok "the log tells of it" log
for i in 1 2 3 4 5 6 7 8 9; do mkdir -p x$i y$i z$i; done
start=$(date +%s%N)
try "a rate, over delay: all get through" "status 0" 'rmdir x* y* z*'
ms=$((($(date +%s%N) - start) / 1000000))
# 27 calls: ten at once, the others one in 100 ms.
[ $ms -ge 1500 ] && [ $ms -lt 20000 ] && tap_ok "but not at once" || { echo "$ms ms" >out; tap_not_ok "but not at once" out; }
try "over terminate" "1
2
sbx: terminated by policy: symlinkat at rate.pol:12: allow symlinkat, symlink limit 2 over terminate because \"enough\"
status 159" 'for i in 1 2 3; do ln -s x l$i && echo $i; done'
try "in an arm" "status 0" 'umask 77; umask 22; umask 77'
cat >bad.pol <<END
sbx: 1
rules: |
  deny  read limit 5/s over delay
  allow write limit 5 over delay
  allow close limit 0 over deny
files: |
  read /a limit 5/s over deny
END
"$SBX" check bad.pol >out 2>&1
[ "$(grep -c 'bad.pol:[3457]:[0-9]*: error' out)" = 4 ] && tap_ok "what makes no sense is an error" || tap_not_ok "what makes no sense is an error" out
tap_end
