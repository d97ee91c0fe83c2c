#!/bin/sh
# TAP: command-line programs of the distribution under examples/policies/tools.pol, compared with
# native runs: output, exit status, and what they leave in the working directory.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
mkdir "$dir/in"
cd "$dir/in" || exit 1
export LC_ALL=C TZ=UTC0
seq 1 20000 | awk '{ print ($1 * 7919) % 10007, "line", $1 }' >data.txt
printf '{"a":[1,2,{"b":"x"}],"n":%s}\n' 42 >data.json
mkdir sub && echo hello >sub/hello && ln -s sub/hello link && chmod 640 sub/hello
cat >fill.sql <<'S'
CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER);
BEGIN;
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 100000)
INSERT INTO t SELECT x, 'value ' || (x * 7919 % 100003), x % 977 FROM c;
COMMIT;
CREATE INDEX i ON t(n);
SELECT count(*), sum(n), max(v) FROM t;
SELECT n, count(*) FROM t GROUP BY n ORDER BY 2 DESC, 1 LIMIT 5;
PRAGMA integrity_check;
S
cat >prog.lua <<'S'
local t = {}
for i = 1, 1000 do t[i] = (i * 7919) % 1009 end
table.sort(t)
local s = 0
for i, v in ipairs(t) do s = s + i * v end
print(_VERSION, #t, s, os.date("!%Y", 0))
for l in io.lines("data.json") do print(#l) end
S
cat >prog.pl <<'S'
use strict; use warnings; use List::Util qw(sum); use Digest::MD5 qw(md5_hex);
my %h; open(my $f, '<', 'data.txt') or die $!;
while (<$f>) { my @c = split; $h{$c[0] % 10} += $c[2]; }
print "$_ $h{$_}\n" for sort keys %h;
print sum(1 .. 100), " ", md5_hex("x"), "\n";
open(my $o, '>', 'out.txt') or die $!; print $o "written\n"; close $o; print -s 'out.txt', "\n";
S
big=${BIG_MB:-50}
tools="--policy $policies/tools.pol --param work=$dir"
AFTER='ls -lAR --time-style=+ . | sed "s/^total.*//"'

# Each line: a command, run by itself.
have() { command -v "$1" >/dev/null; }
t() { same "$*" $tools -- "$@"; }

bb=/bin/busybox
[ -x $bb ] || bb=$(command -v busybox)
t "$bb" ls -l --full-time sub
t "$bb" cat data.txt
t "$bb" sha256sum data.txt data.json
t "$bb" wc data.txt
t "$bb" sort -n data.txt
t "$bb" stat -c '%s %A %h %F' sub/hello link sub
t "$bb" find . -type f
t "$bb" mkdir -p a/b/c
t "$bb" cp -r sub copy
t "$bb" mv data.txt renamed
t "$bb" rm -r sub
t "$bb" ln -s x y
t "$bb" awk '{ s += $1 } END { print s }' data.txt
t "$bb" grep -c 77 data.txt
t "$bb" tar cf out.tar sub
t /bin/ls -la
t /bin/ls -lR /proc/self/task/none
t /bin/cat data.txt
t /bin/cat missing
t /usr/bin/sha256sum data.txt
t /usr/bin/wc -l data.txt data.json
t /usr/bin/sort -k1n,1 -k3nr data.txt
t /usr/bin/sort --parallel=2 -S 1M data.txt
t /usr/bin/uniq -c data.txt
t /usr/bin/cut -d ' ' -f 1 data.txt
t /usr/bin/tr a-z A-Z
t /usr/bin/head -c 100 data.txt
t /usr/bin/tail -n 3 data.txt
t /bin/cp -a sub sub2
t /bin/mv -v data.json moved.json
t /bin/rm -rv sub
t /bin/mkdir -pv x/y/z
t /bin/touch -d 2001-02-03T04:05:06Z new
t /bin/chmod -v 600 data.txt
t /bin/ln -v data.txt hard
t /bin/dd if=data.txt of=copy bs=4096 status=none
t /usr/bin/truncate -s 12345 data.txt
t /usr/bin/stat -c '%n %s %A %h %F' sub link data.txt
t /usr/bin/realpath link sub/../data.txt
t /usr/bin/readlink link
t /usr/bin/du -b --apparent-size sub
t /usr/bin/tee copy1 copy2
t /usr/bin/split -n 4 data.txt part.
t /usr/bin/comm data.txt data.txt
t /usr/bin/md5sum data.txt
t /usr/bin/base64 data.json
t /usr/bin/seq 1 5
t /bin/date -u -d @86400
t /usr/bin/id -u
t /bin/pwd
t /usr/bin/expr 6 '*' 7
t /usr/bin/factor 1234567890123
t /bin/false
t /usr/bin/test -e link
have sqlite3 && same "sqlite3: 100,000 rows inserted and queried" $tools -- /usr/bin/sqlite3 new.db ".read fill.sql"
have jq && t /usr/bin/jq -c '.a[2].b, .n' data.json
have lua5.4 && t /usr/bin/lua5.4 prog.lua
have perl && t /usr/bin/perl prog.pl
have openssl && t /usr/bin/openssl dgst -sha256 -sha256 data.txt
have openssl && t /usr/bin/openssl enc -aes-256-ctr -K 00 -iv 00 -in data.txt -out enc

if have openssl; then
	"$SBX" $tools run /usr/bin/openssl speed -seconds 1 -bytes 8192 sha256 >"$dir/speed" 2>&1 </dev/null
	grep -q '^sha256 ' "$dir/speed" && tap_ok "openssl speed" || tap_not_ok "openssl speed" "$dir/speed"
fi

# 50 MB through the compressors. Only here: the folder is copied for every run.
head -c "${big}000000" /dev/urandom | od -An -tx1 | head -c "${big}000000" >big
AFTER='sha256sum big* | sort'
LIMIT=300
t /bin/gzip -1 -n big
t /usr/bin/xz -0 -T1 big
t /usr/bin/xz -0 -T2 --block-size=4MiB big
tap_end
