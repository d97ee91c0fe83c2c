#!/bin/sh
# TAP: the files section: what each verb opens, and that nothing widens it: links, renames, "..",
# descriptors, magic links. One program reports what it could do; the report is compared.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
export LC_ALL=C SBX_POLICY_PATH
SBX_POLICY_PATH=$policies
cd "$dir" || exit 1

mkdir -p tree/mix/host tree/rw/box/inner tree/rw/plain/inner tree/ro tree/rw tree/drop tree/out tree/shut tree/linkable tree/hid/deep
echo readable >tree/ro/file
echo text >tree/mix/host/a.txt
echo other >tree/mix/host/b.doc
echo beside >tree/mix/beside
echo one >tree/mix/one
ln -s ../shut tree/mix/link
echo boxed >tree/rw/box/inner/key
echo secret >tree/shut/file
echo hidden >tree/hid/deep/file
echo other >tree/drop/file
echo source >tree/linkable/file
printf 'old\n' >tree/log
ln -s ../shut/file tree/rw/tosecret
ln -s ../ro/file tree/rw/toreadable
ln -s .. tree/rw/up

cat >t.pol <<P
sbx: 1
abi: linux-6.12
name: files
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /usr/share/** /etc/perl/** /usr/local/share/perl/** /usr/local/lib/**
  list           $dir/tree
  read           $dir/ops.pl
  read,list      $dir/tree/ro/**
  read,list,write,create,delete $dir/tree/rw/**
  deny read      $dir/tree/rw/box/inner/**
  list,create,write,delete      $dir/tree/drop/**
  read,list,create,delete       $dir/tree/out/**
  read,link      $dir/tree/linkable/**
  append         $dir/tree/log
  scratch        $dir/tree/scr 1MiB
  hide           $dir/tree/hid/** $dir/tree/ro/.hidden
  scratch        $dir/tree/mix 1MiB
  read,list      $dir/tree/mix/host/*.txt
  read           $dir/tree/mix/none/** $dir/tree/mix/one $dir/tree/mix/link/**
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @file
P

cat >ops.pl <<'P'
use Fcntl; use POSIX ();
chdir "tree" or die $!;
sub r { my ($what, $ok) = @_; my $e = $!; print "$what: ", ($ok ? "ok" : $e), "\n"; }
sub rd { my $p = shift; r("read $p", open(my $f, "<", $p)); }
sub wr { my $p = shift; r("write $p", sysopen(my $f, $p, O_WRONLY | O_CREAT | O_TRUNC, 0644)); }
rd $_ for qw(ro/file shut/file hid/deep/file drop/file rw/tosecret rw/toreadable
	ro/../shut/file rw/up/ro/file rw/up/shut/file rw/../../tree/shut/file shut/none ro/none);
wr $_ for qw(ro/file ro/new rw/new rw/tosecret drop/new out/new shut/file);
r("stat secret", stat "shut/file"); r("stat hidden", stat "hid/deep/file"); r("stat hid", stat "hid");
opendir(my $d, "."); print join(" ", sort grep { !/^\./ } readdir $d), "\n";
r("list shut", opendir(my $d2, "shut/.")); r("list hid", opendir(my $d3, "hid"));
# append only
r("append", sysopen(my $l, "log", O_WRONLY | O_APPEND)); syswrite $l, "new\n";
my $fl = fcntl($l, F_GETFL, 0);
r("clear O_APPEND", fcntl($l, F_SETFL, 0)); r("ftruncate", truncate($l, 0));
r("write log", sysopen(my $l2, "log", O_WRONLY)); r("truncate log", truncate("log", 0));
r("append and truncate", sysopen(my $l3, "log", O_WRONLY | O_APPEND | O_TRUNC));
r("read log", sysopen(my $l4, "log", O_RDWR | O_APPEND));
seek $l, 0, 0; syswrite $l, "end\n"; print -s "log", "\n";
# renames and links never widen
r("rename rw to rw", rename "rw/new", "rw/newer");
r("rename drop to rw", rename "drop/file", "rw/gained"); r("rename drop to drop", rename "drop/file", "drop/moved");
r("rename ro away", rename "ro/file", "rw/stolen"); r("rename onto ro", rename "rw/newer", "ro/file");
r("rename rw to out", rename "rw/newer", "out/kept"); r("rename back", rename "out/kept", "rw/newer");
rd "rw/box/inner/key"; r("move what holds a refusal", rename "rw/box", "rw/crate");
r("move the refused", rename "rw/box/inner", "rw/outer"); r("move a tree", rename "rw/plain", "rw/plainer");
r("move into its place", rename "rw/plainer", "rw/box/plain");
r("link ro", link "ro/file", "rw/linked"); r("link linkable to rw", link "linkable/file", "rw/linked");
r("link linkable to out", link "linkable/file", "out/linked");
r("symlink", symlink "../shut/file", "rw/mine"); rd "rw/mine";
# the host's folders in a scratch, there or not: only what is granted of them
rd $_ for qw(mix/host/a.txt mix/host/b.doc mix/beside mix/one mix/link/file); wr "mix/one"; wr $_ for qw(mix/host/a.txt mix/host/new mix/mine mix/none);
r("list the host's in a scratch", opendir(my $d4, "mix/host")); opendir(my $d5, "mix");
print join(" ", sort grep { !/^\./ } readdir $d5), "\n";
# what may not be executed cannot be mapped to run: mmap is call 9, mprotect 10
sub map_rx { my ($what, $p) = @_; open(my $f, "<", $p) or die "$p: $!";
	r("map $what to run", syscall(9, 0, 4096, 5, 2, fileno($f), 0) != -1); }
map_rx("a program", "/usr/bin/perl"); map_rx("data", "ro/file"); wr "scr/x"; map_rx("scratch", "scr/x");
open(my $m, "<", "ro/file"); syscall(9, 0x10000000, 4096, 1, 0x12, fileno($m), 0) != -1 or die "mmap: $!";
r("make data run", syscall(10, 0x10000000, 4096, 5) != -1);
r("unmap", syscall(11, 0x10000000, 4096) != -1);
# descriptors carry no more than they were opened with
open(my $f, "<", "ro/file"); r("fchmod of ro", chmod 0600, $f); r("chmod of ro", chmod 0600, "ro/file");
r("reopen to write", sysopen(my $g, "/proc/self/fd/" . fileno($f), O_WRONLY));
r("reopen to read", sysopen(my $h, "/proc/self/fd/" . fileno($f), O_RDONLY));
r("chmod of rw", chmod 0600, "rw/newer"); r("utime of ro", utime 1, 1, "ro/file");
r("unlink ro", unlink "ro/file"); r("unlink rw", unlink "rw/newer"); r("rmdir ro", rmdir "ro");
r("mkdir ro", mkdir "ro/d"); r("mkdir rw", mkdir "rw/d"); r("mkdir there", mkdir "ro");
r("fifo", POSIX::mkfifo("rw/p", 0600));
P
cat >want <<'W'
read ro/file: ok
read shut/file: Operation not permitted
read hid/deep/file: No such file or directory
read drop/file: Operation not permitted
read rw/tosecret: Operation not permitted
read rw/toreadable: ok
read ro/../shut/file: Operation not permitted
read rw/up/ro/file: ok
read rw/up/shut/file: Operation not permitted
read rw/../../tree/shut/file: Operation not permitted
read shut/none: Operation not permitted
read ro/none: No such file or directory
write ro/file: Operation not permitted
write ro/new: Operation not permitted
write rw/new: ok
write rw/tosecret: Operation not permitted
write drop/new: ok
write out/new: Operation not permitted
write shut/file: Operation not permitted
stat secret: Operation not permitted
stat hidden: No such file or directory
stat hid: No such file or directory
drop linkable log mix out ro rw scr shut
list shut: Operation not permitted
list hid: No such file or directory
append: ok
clear O_APPEND: Operation not permitted
ftruncate: Operation not permitted
write log: Operation not permitted
truncate log: Operation not permitted
append and truncate: Operation not permitted
read log: Operation not permitted
12
rename rw to rw: ok
rename drop to rw: Operation not permitted
rename drop to drop: ok
rename ro away: Operation not permitted
rename onto ro: Operation not permitted
rename rw to out: ok
rename back: Operation not permitted
read rw/box/inner/key: Operation not permitted
move what holds a refusal: Invalid cross-device link
move the refused: Operation not permitted
move a tree: ok
move into its place: ok
link ro: Operation not permitted
link linkable to rw: Operation not permitted
link linkable to out: ok
symlink: ok
read rw/mine: Operation not permitted
read mix/host/a.txt: ok
read mix/host/b.doc: Operation not permitted
read mix/beside: No such file or directory
read mix/one: ok
read mix/link/file: No such file or directory
write mix/one: Operation not permitted
write mix/host/a.txt: Operation not permitted
write mix/host/new: Operation not permitted
write mix/mine: ok
write mix/none: Operation not permitted
list the host's in a scratch: Operation not permitted
host mine one
map a program to run: ok
map data to run: Operation not permitted
write scr/x: ok
map scratch to run: Operation not permitted
make data run: Operation not permitted
unmap: ok
fchmod of ro: Operation not permitted
chmod of ro: Operation not permitted
reopen to write: Operation not permitted
reopen to read: ok
chmod of rw: ok
utime of ro: Operation not permitted
unlink ro: Operation not permitted
unlink rw: ok
rmdir ro: Operation not permitted
mkdir ro: Operation not permitted
mkdir rw: ok
mkdir there: File exists
fifo: ok
W
# "rename back" leaves the file in out: it is put back where the later lines look for it.
sed -i 's|^r("chmod of rw"|wr "rw/newer"; &|; ' ops.pl
sed -i 's|^chmod of rw|write rw/newer: ok\n&|' want
timeout 60 "$SBX" --policy t.pol --log log run /usr/bin/perl ops.pl >got 2>err </dev/null
echo "status $?" >>got
echo "status 0" >>want
{ diff want got; head -5 err; } >why
cmp -s want got && tap_ok "every verb" || tap_not_ok "every verb" why
grep '"sys":"mprotect"' log | grep -q '"verb":"exec","path":"'"$dir/tree/ro/file" &&
	grep -q '"sys":"mmap".*"path":"'"$dir/tree/scr/x" log &&
	tap_ok "refused mappings are in the log" || tap_not_ok "refused mappings are in the log" log
[ "$(cat tree/log)" = "old
new
end" ] && tap_ok "the log was only appended to" || tap_not_ok "the log was only appended to" tree/log

# A grant through a link grants nothing: rules are about canonical paths. sbx says so.
ln -s tree/ro byname
sed "s|^  read,list      $dir/tree/ro|  read,list      $dir/byname|" t.pol >link.pol
timeout 60 "$SBX" --policy link.pol run /bin/cat byname/file >o 2>e
grep -q "^sbx: link.pol:.*$dir/byname is $dir/tree/ro, which this policy does not grant" e &&
	tap_ok "a grant through a link is pointed out" || tap_not_ok "a grant through a link is pointed out" e

# Extended attributes: the class `user.` is content; of the others nothing is told, and none is set.
attr='sub r { my ($what, $ok) = @_; my $e = $!; print "$what: ", ($ok == -1 ? $e : $ok), "\n"; }
	sub set { my ($f, $n) = @_; my ($p, $v) = ("tree/$f", "v"); r("set $n of $f", syscall(188, $p, $n, $v, 1, 0)); }
	sub get { my ($f, $n) = @_; my ($p, $b) = ("tree/$f", "x" x 8); r("get $n of $f", syscall(191, $p, $n, $b, 8)); }'
echo text >tree/drop/attr
if perl -e 'for my $f (qw(ro/file drop/attr shut/file)) { my ($p, $n, $v) = ("tree/$f", "user.k", "kept");
	syscall(188, $p, $n, $v, 4, 0) == 0 or exit 1; }'; then
	timeout 60 "$SBX" --policy t.pol run /usr/bin/perl -e "$attr"'
		for my $f (qw(ro/file drop/attr shut/file rw/d)) { get($f, "user.k"); set($f, "user.new"); }
		get("ro/file", $_) for qw(security.capability trusted.x system.posix_acl_access);
		set("rw/d", $_) for qw(security.capability trusted.x system.posix_acl_access);
		my ($p, $k, $v, $b) = ("tree/ro/file", "user.k", "v", "x" x 64);
		r("list ro/file", syscall(194, $p, $b, 64)); print unpack("Z*", $b), "\n";
		open(my $f, "<", $p); my $fd = fileno($f);
		r("fsetxattr", syscall(190, $fd, $k, $v, 1, 0)); r("fgetxattr", syscall(193, $fd, $k, $b, 64));' >o 2>e
	cat >want <<'W'
get user.k of ro/file: 4
set user.new of ro/file: Operation not permitted
get user.k of drop/attr: Operation not permitted
set user.new of drop/attr: 0
get user.k of shut/file: Operation not permitted
set user.new of shut/file: Operation not permitted
get user.k of rw/d: No data available
set user.new of rw/d: 0
get security.capability of ro/file: No data available
get trusted.x of ro/file: No data available
get system.posix_acl_access of ro/file: Operation not supported
set security.capability of rw/d: Operation not permitted
set trusted.x of rw/d: Operation not permitted
set system.posix_acl_access of rw/d: Operation not supported
list ro/file: 7
user.k
fsetxattr: Operation not permitted
fgetxattr: 4
W
	{ diff want o; cat e; } >why
	cmp -s want o && tap_ok "extended attributes" || tap_not_ok "extended attributes" why
else
	tap_skip "extended attributes" "the file system has none"
fi

# inotify: a watch needs what looking needs; what the host does is seen, what is hidden is not.
cat >watch.pl <<'P'
my ($in, $buf, %seen) = (syscall(294, 04000), "\0" x 4096);
for my $p (qw(tree/shut tree/shut/file tree/drop/attr tree/hid tree/ro)) {
	my $path = $p;
	my $r = syscall(254, $in, $path, 0x100); print "watch $p: ", ($r < 0 ? $! : $r), "\n";
}
open(my $f, "<&=", $in); $| = 1; print "ready\n";
for (1 .. 500) {
	select(undef, undef, undef, 0.02);
	my $n = sysread($f, $buf, 4096) or next;
	for (my $at = 0; $at < $n; ) {
		my ($wd, $mask, $cookie, $len) = unpack("lLLL", substr($buf, $at, 16));
		my $name = unpack("Z*", substr($buf, $at + 16, $len));
		print "made $name\n"; exit if $name eq "last";
		$at += 16 + $len;
	}
}
P
mkfifo said
sed "s|^  read           $dir/ops.pl|  read $dir/watch.pl|" t.pol >watch.pol
timeout 60 "$SBX" --policy watch.pol run /usr/bin/perl watch.pl 2>e </dev/null | tee said >o &
(while read -r line; do [ "$line" != ready ] || touch tree/ro/first tree/ro/.hidden tree/ro/last; done) <said
wait $!
cat >want <<'W'
watch tree/shut: Operation not permitted
watch tree/shut/file: Operation not permitted
watch tree/drop/attr: Operation not permitted
watch tree/hid: No such file or directory
watch tree/ro: 1
ready
made first
made last
W
{ diff want o; cat e; } >why
cmp -s want o && tap_ok "inotify" || tap_not_ok "inotify" why

# limits.output: what the limit allows is written, not a byte more.
sed 's/^name:.*/name: files\nlimits: {output: 1KiB}/' t.pol >limit.pol
timeout 60 "$SBX" --policy limit.pol run /usr/bin/perl -e '$| = 1; print "x" x 77 while 1' >o 2>e
st=$?
{ echo "status $st, bytes $(wc -c <o)"; cat e; } >why
[ $st -gt 128 ] && [ "$(wc -c <o)" = 1024 ] && tap_ok "limits.output" || tap_not_ok "limits.output" why

# SIGPIPE
(
	timeout 60 "$SBX" --policy t.pol run /usr/bin/perl -e '$| = 1; print "x\n" x 99 while 1' 2>e
	echo $? >st
) | head -1 >o
[ "$(cat st)" = 141 ] && tap_ok "SIGPIPE" || tap_not_ok "SIGPIPE" st

# O_NONBLOCK of the app on a description that the host shares: emulated, the host's flag stays.
mkfifo pipe
timeout 60 "$SBX" --policy t.pol run /usr/bin/perl -MFcntl -e '
	fcntl(STDIN, F_SETFL, fcntl(STDIN, F_GETFL, 0) | O_NONBLOCK);
	print defined(sysread(STDIN, $b, 1)) ? "read" : "$!", "\n"' <>pipe >o 2>e
grep -q 'Resource temporarily unavailable' o && tap_ok "O_NONBLOCK on standard input" ||
	tap_not_ok "O_NONBLOCK on standard input" e
tap_end
