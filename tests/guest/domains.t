#!/bin/sh
# TAP: programs: with rules of their own, under both residencies.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
guestdir=${guestdir:-tests/guest}
need_sbx
new_dir
guestdir=$(cd "$guestdir" && pwd -P)
policy=$(cd "$srcdir" && pwd -P)/tests/guest/domains.pol
want=$(cd "$srcdir" && pwd -P)/tests/guest/domains.expect
mkdir "$dir/work"
for f in domains inner deep limited other; do cp "$guestdir/domains" "$dir/work/$f"; done
cd "$dir/work" || exit 1
echo secret >secret
echo plain >plain
printf '#!%s probe\n' "$dir/work/domains" >script
chmod +x script

for residency in auto host; do
	rm -rf new plain2
	timeout -k 5 120 "$SBX" run --policy "$policy" --param "work=$dir/work" --log ../log.jsonl \
		--residency=$residency -- ./domains all >../out 2>../err </dev/null
	echo "status $?" >>../out
	sed "s|$dir/work|WORK|" ../out >../shown
	if cmp -s ../shown "$want"; then
		tap_ok "residency=$residency"
	else
		diff "$want" ../shown >../diff
		cat ../err >>../diff
		tap_not_ok "residency=$residency" ../diff
	fi
done

grep -q "memory limit of program 'limited' (.*domains.pol:32) is used up" ../err
[ $? = 0 ] && tap_ok "a limit is told with its program" || tap_not_ok "a limit is told with its program" ../err
grep '"prog":"inner"' ../log.jsonl | grep '"sys":"openat"' | grep -q 'domains.pol:2[0-9]","text":"deny read'
[ $? = 0 ] && tap_ok "the log names the program and its rule" || tap_not_ok "the log names the program and its rule" ../log.jsonl
grep '"prog":"inner+deep"' ../log.jsonl | grep -q '"sys":"getppid"'
[ $? = 0 ] && tap_ok "and all that a process has entered" || tap_not_ok "and all that a process has entered" ../log.jsonl
grep '"verb":"start"' ../log.jsonl | grep '/inner"' | grep -q 'not with this argv\[1\]'
[ $? = 0 ] && tap_ok "and which argument was not wanted" || tap_not_ok "and which argument was not wanted" ../log.jsonl
[ "$(grep -c '"ev":"limit","seq".*"prog":"limited","limit":"\(memory\|cpu\|wall\)".*domains.pol:32' ../log.jsonl)" = 3 ] &&
	"$SBX" audit verify ../log.jsonl >/dev/null && tap_ok "the log tells of limits" || tap_not_ok "the log tells of limits" ../log.jsonl
seq=$(sed -n 's/.*"seq":\([0-9]*\),.*"prog":"inner",.*"sys":"mkdir".*/\1/p' ../log.jsonl | head -1)
"$SBX" audit why "$seq" ../log.jsonl >../why 2>&1
grep -q '^program:  inner' ../why && grep -q '^rule: .*domains.pol:[0-9]*: deny mkdir as EROFS' ../why
[ $? = 0 ] && tap_ok "audit why says under which program's rules" || tap_not_ok "audit why says under which program's rules" ../why

# A phase takes rights away from threads that run.
{ cat "$policy"; printf 'phases:\n  - name: late\n    after: first mkdir\n    drop: {calls: getppid}\n'; } >../phases.pol
printf '%s\n' "getppid: done" "mkdir: done" "threads that ran meanwhile: stopped" "getppid: EPERM" \
	"a child's: EPERM" "inner: inner deep" "another program: status 0" "status 0" >../want
for residency in auto host; do
	rm -rf begins
	timeout -k 5 120 "$SBX" run --policy ../phases.pol --param "work=$dir/work" --residency=$residency -- \
		./domains phases >../out 2>&1 </dev/null
	echo "status $?" >>../out
	cmp -s ../out ../want && tap_ok "a phase begins for all threads, residency=$residency" ||
		tap_not_ok "a phase begins for all threads, residency=$residency" ../out
done
tap_end
