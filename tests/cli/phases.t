#!/bin/sh
# TAP: phases: rights that end at a call, for all processes, in tier 0 too.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
export LC_ALL=C
cd "$dir" || exit 1
cat >phases.pol <<END
sbx: 1
use: [sbx/dynamic]
default: deny as EACCES
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/share/**
  read,list,write,create,delete $dir/**
exec: |
  run /usr/bin/** /bin/** as self
  run /usr/bin/cat as cat
net: |
  connect tcp 10.0.0.5:80
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @file, @process, @cred, @net
programs:
  cat:
    files: deny read $dir/nocat
phases:
  - name: late
    after: first mkdir
    drop:
      calls: rmdir, umask
      files: read $dir/secret
      net: connect tcp 10.0.0.0/8:*
  - name: later
    after: first mkdir
    drop: {calls: mkdir}
tests: |
  expect allow rmdir("$dir/a")
  expect deny as EACCES rmdir("$dir/a") phase late
  expect allow openat(AT_FDCWD, "$dir/secret", O_RDONLY)
  expect deny  openat(AT_FDCWD, "$dir/secret", O_RDONLY) phase late
  expect allow openat(AT_FDCWD, "$dir/plain", O_RDONLY) phase late
  expect deny  openat(AT_FDCWD, "$dir/nocat", O_RDONLY) phase later in cat
  expect allow connect(any, "tcp 10.0.0.5:80")
  expect deny  connect(any, "tcp 10.0.0.5:80") phase later
  expect allow mkdir("$dir/a", 0) phase late
  expect deny  mkdir("$dir/a", 0) phase later
END
"$SBX" check phases.pol >out 2>&1 && grep -q '10 tests' out && tap_ok "what holds in which phase" || tap_not_ok "what holds in which phase" out
echo secret >secret
echo plain >plain
echo nocat >nocat
cat >want <<END
secret
cat: nocat: Operation not permitted
before
after
rmdir: failed to remove 'd2': Permission denied
cat: secret: Permission denied
plain
cat: nocat: Operation not permitted
mkdir: cannot create directory 'd4': Permission denied
inherited secret
status 0
END
for residency in auto host; do
	mkdir -p d1
	timeout -k 5 60 "$SBX" run --policy phases.pol --log log --residency=$residency -- /bin/sh -c '
		exec 7<secret
		cat secret; cat nocat
		rmdir d1 && echo before
		mkdir d2 && echo after
		rmdir d2; cat secret; cat plain; cat nocat
		mkdir d3; mkdir d4
		read x <&7; echo inherited $x' >out 2>&1
	echo "status $?" >>out
	cmp -s out want && tap_ok "a shell and its children, residency=$residency" || { diff want out >d; tap_not_ok "a shell and its children, residency=$residency" d; }
	rm -rf d2 d3
done
grep -q '"phase":1,.*"sys":"rmdir".*phases.pol:2[0-9]","text"' log && grep -q '"phase":2,.*"prog":"cat"' log || grep -q '"phase":1,.*"prog":"cat"' log
[ $? = 0 ] && tap_ok "the log tells the phase" || tap_not_ok "the log tells the phase" log
cat >bad.pol <<END
sbx: 1
rules: |
  allow read
phases:
  - {name: a, after: first nope, drop: {calls: read}}
  - name: a
    after: first read
    drop:
      files: deny read /x
  - {name: c, after: first read, drop: {calls: red}}
tests: |
  expect deny read(0) phase z
END
"$SBX" check bad.pol >out 2>&1
[ "$(grep -c 'bad.pol:[0-9]*:[0-9]*: error' out)" -ge 4 ] && tap_ok "what makes no sense is an error" || tap_not_ok "what makes no sense is an error" out
tap_end
