#!/bin/sh
# TAP: copy-on-write views. A program does on an overlay of a folder what it does on a copy of it, and
# the folder stays as it was.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
export LC_ALL=C
cp "${guestdir:-tests/guest}/overlay" "$dir/overlay"

# A folder with everything in it.
make_tree() {
	rm -rf "$1"
	mkdir -p "$1/dir/in" "$1/full" "$1/empty" "$1/hidden" && (
		cd "$1" || exit
		printf abcdefghijkl >data
		printf 0123456789 >other
		printf 'to be cut' >cut
		printf gone >gone
		printf deep >dir/in/deep
		printf one >one
		ln one two
		ln -s data link
		for i in 0 1 2 3 4 5 6 7 8 9; do printf "file $i" >full/f$i; done
		printf attributes >attr
		printf '#!/bin/sh\nexit 3\n' >script
		chmod 755 script
		mkfifo pipe
		echo xattr >xattr
		python3 -c 'import os; os.setxattr("xattr", "user.k", b"value")' 2>/dev/null
		printf secret >hidden/secret
		find . -exec touch -h -d @1000000 {} +
	)
}

# Names, types, modes, times, contents of a folder.
summary() { (cd "$1" && find . -printf '%P %y %m %n %s %T@ %l\n' | sort && find . -type f | sort | xargs cksum); }

cat >"$dir/overlay.pol" <<'P'
sbx: 1
abi: linux-6.12
name: overlay
use: [sbx/dynamic]
vars:
  tree: {type: path}
  prog: {type: path, default: /none}
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/**
  read,exec      ${prog}
  overlay        ${tree} 8MiB
  exec           ${tree}/**
  hide           ${tree}/hidden/**
  deny write     ${tree}/fixed as EROFS
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @process, @file, @cred
P
on_overlay() { (cd "$dir/tree" && timeout -k 5 60 "$SBX" --policy "$dir/overlay.pol" --param "tree=$dir/tree" \
	--param "prog=$dir/overlay" run "$@") </dev/null; }

make_tree "$dir/tree"
rm -rf "$dir/tree/hidden"
cp -a "$dir/tree" "$dir/copy"
summary "$dir/tree" >"$dir/before"
"$dir/overlay" "$dir/copy" >"$dir/native" 2>&1
on_overlay "$dir/overlay" "$dir/tree" >"$dir/sbx" 2>"$dir/err"
if cmp -s "$dir/native" "$dir/sbx"; then
	tap_ok "an overlay does what a copy does"
else
	{ diff "$dir/native" "$dir/sbx"; cat "$dir/err"; } >"$dir/diff"
	tap_not_ok "an overlay does what a copy does" "$dir/diff"
fi
summary "$dir/tree" >"$dir/after"
diff "$dir/before" "$dir/after" >"$dir/diff"
if [ -s "$dir/diff" ]; then
	tap_not_ok "the host's folder stays as it was" "$dir/diff"
else
	tap_ok "the host's folder stays as it was"
fi

# script DESCRIPTION WANTED: the script on standard input prints this, on an overlay of a fresh folder.
script() {
	make_tree "$dir/tree"
	printf fixed >"$dir/tree/fixed"
	printf outside >"$dir/outside"
	summary "$dir/tree" >"$dir/before"
	cat >"$dir/script"
	on_overlay /bin/bash -c "$(cat "$dir/script")" >"$dir/out" 2>&1
	printf '%s\n' "$2" >"$dir/want"
	summary "$dir/tree" >"$dir/after"
	if ! cmp -s "$dir/want" "$dir/out"; then
		diff "$dir/want" "$dir/out" >"$dir/diff"
		tap_not_ok "$1" "$dir/diff"
	elif ! cmp -s "$dir/before" "$dir/after" || [ "$(cat "$dir/outside")" != outside ]; then
		diff "$dir/before" "$dir/after" >"$dir/diff"
		tap_not_ok "$1: the host's files changed" "$dir/diff"
	else
		tap_ok "$1"
	fi
}
script "links that lead out of it are judged where they lead" "no
no
no" <<'S'
ln -s ../outside out; cat out 2>/dev/null || echo no
ln -s "$PWD/../outside" dir/abs; echo x 2>/dev/null >dir/abs || echo no
ln -s .. up; cat up/outside 2>/dev/null || echo no
S
script "what the policy hides and refuses stays hidden and refused" "no
no
no
no
0" <<'S'
cat hidden/secret 2>/dev/null || echo no
{ echo x >fixed; } 2>/dev/null || echo no
mv hidden seen 2>/dev/null || echo no
mv fixed free 2>/dev/null && { echo x >free; } 2>/dev/null || echo no
ls | grep -c hidden
S
script "what was removed does not come back" "no
no
new
no deep
1" <<'S'
rm gone; cat gone 2>/dev/null || echo no
mv dir d2; mkdir dir; cat dir/in/deep 2>/dev/null || echo no
mv d2 d3; echo new >d2; cat d2
rm -rf d3/in; mkdir d3/in; cat d3/in/deep 2>/dev/null || echo no deep
mv full x; mkdir full; mv x/f1 full/; ls full | wc -l
S
script "dot-dot at the top is the host's folder above" "no
no" <<'S'
cat ../outside 2>/dev/null || echo no
mv data ../stolen 2>/dev/null || echo no
S
script "the space has a limit" "no
fits
12" <<'S'
head -c 20000000 /dev/zero >big 2>/dev/null || echo no
rm big
head -c 2000000 /dev/zero >big && echo fits
wc -c <data
S
make_tree "$dir/tree"
(cd "$dir/tree" && head -c 20000000 /dev/zero >big)
script_out=$(on_overlay /bin/bash -c '{ echo x >>big; } 2>/dev/null || echo no; wc -c <big; : >big; wc -c <big' 2>&1)
if [ "$script_out" = "no
20000000
0" ]; then
	tap_ok "a file that does not fit can be read and replaced, not changed"
else
	printf '%s\n' "$script_out" >"$dir/diff"
	tap_not_ok "a file that does not fit can be read and replaced, not changed" "$dir/diff"
fi
# A build in a source tree that stays as it was, under the shipped policy.
rm -rf "$dir/tree" && mkdir "$dir/tree"
for i in 1 2 3; do echo "int f$i(void) { return $i; }" >"$dir/tree/f$i.c"; done
printf '#include <stdio.h>\nint f1(void), f2(void), f3(void);\nint main(void) { printf("%%d\\n", f1()+f2()+f3()); }\n' \
	>"$dir/tree/main.c"
printf 'prog: main.o f1.o f2.o f3.o\n\t$(CC) -o $@ $^\n' >"$dir/tree/Makefile"
summary "$dir/tree" >"$dir/before"
(cd "$dir/tree" && timeout -k 5 100 "$SBX" --policy "$policies/trial.pol" --param "src=$dir/tree" \
	run /bin/sh -c 'make -s -j2 && ./prog && make') >"$dir/out" 2>&1 </dev/null
summary "$dir/tree" >"$dir/after"
if [ "$(cat "$dir/out")" = "6
make: 'prog' is up to date." ] && cmp -s "$dir/before" "$dir/after"; then
	tap_ok "a build under trial.pol leaves the source as it was"
else
	{ cat "$dir/out"; diff "$dir/before" "$dir/after"; } >"$dir/diff"
	tap_not_ok "a build under trial.pol leaves the source as it was" "$dir/diff"
fi
# What was changed, as an archive: unpacked over a copy of the folder, with its marks obeyed, it makes of the
# copy what the program made of its own copy.
cat >"$dir/apply.py" <<'P'
import os, shutil, sys, tarfile
top, name = sys.argv[1:]
tar = tarfile.open(name)
members = tar.getmembers()
def gone(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
for m in members:
    where, base = os.path.split(os.path.join(top, m.name))
    if base == ".wh..wh..opq":
        for n in os.listdir(where) if os.path.isdir(where) else []:
            gone(os.path.join(where, n))
    elif base.startswith(".wh."):
        gone(os.path.join(where, base[4:]))
for m in members:
    if not os.path.basename(m.name).startswith(".wh."):
        path = os.path.join(top, m.name)
        if not m.isdir() or (os.path.lexists(path) and not os.path.isdir(path)):
            gone(path)
        if m.islnk():
            os.link(os.path.join(top, m.linkname), path)
        else:
            tar.extract(m, top)
P
long=$(printf 'n%.0s' $(seq 200))
change="rm gone; mv dir moved; echo more >>moved/in/deep; mkdir dir; echo own >dir/own; rm -r full; mkdir full
echo f >full/f1; chmod 700 script; mv data other; ln one dir/three; echo x >>two; ln -s nowhere link2; rm link
mkdir $long; echo deep >$long/$long; mv empty e2; mkdir sub; mv sub/../cut sub/cut; rm attr; echo new >attr; mkfifo p2"
make_tree "$dir/tree"
rm -rf "$dir/tree/hidden" "$dir/copy"
cp -a "$dir/tree" "$dir/copy"
mkdir -p "$dir/there/$dir"
cp -a "$dir/tree" "$dir/there/$dir/tree"
(cd "$dir/copy" && sh -c "$change")
(cd "$dir/tree" && timeout -k 5 60 "$SBX" --policy "$dir/overlay.pol" --param "tree=$dir/tree" run \
	--changes "$dir/changes.tar" /bin/sh -c "$change") >"$dir/out" 2>&1 </dev/null
python3 "$dir/apply.py" "$dir/there" "$dir/changes.tar" >>"$dir/out" 2>&1
for t in "$dir/copy" "$dir/there/$dir/tree"; do
	(cd "$t" && find . -printf '%P %y %m %n %l\n' | sort && find . -type f | sort | xargs cksum) >"$dir/sum.${t##*/}"
done
if cmp -s "$dir/sum.copy" "$dir/sum.tree" && [ ! -s "$dir/out" ]; then
	tap_ok "--changes saves what was changed"
else
	{ cat "$dir/out"; diff "$dir/sum.copy" "$dir/sum.tree"; tar tvf "$dir/changes.tar"; } >"$dir/diff" 2>&1
	tap_not_ok "--changes saves what was changed" "$dir/diff"
fi
"$SBX" --policy "$policies/shell.pol" run --changes "$dir/none.tar" /bin/true 2>"$dir/err"
if [ $? = 125 ] && grep -q "no overlay" "$dir/err" && [ ! -e "$dir/none.tar" ]; then
	tap_ok "--changes without an overlay is refused"
else
	tap_not_ok "--changes without an overlay is refused" "$dir/err"
fi
(cd "$dir/tree" && "$SBX" --policy "$dir/overlay.pol" --param "tree=$dir/tree" run --changes - /bin/ls) 2>&1 </dev/null \
	>"$dir/changes.tar"
if [ "$(tail -c +1 "$dir/changes.tar" | tr -d '\000' | head -1)" = attr ] && tail -c 1024 "$dir/changes.tar" |
	tr -d '\000' | cmp -s - /dev/null; then
	tap_ok "nothing changed, nothing saved"
else
	tap_not_ok "nothing changed, nothing saved" "$dir/changes.tar"
fi
(cd "$dir/tree" && timeout -k 5 60 "$SBX" --policy "$dir/overlay.pol" --param "tree=$dir/tree" \
	--param "prog=$dir/overlay" run --changes "$dir/changes.tar" "$dir/overlay" nest 3000) >"$dir/err" 2>&1 </dev/null
rc=$?
if [ $rc = 0 ] && grep -q "could not be saved: File name too long" "$dir/err" &&
	tar tf "$dir/changes.tar" >"$dir/names" && [ "$(wc -l <"$dir/names")" -gt 900 ]; then
	tap_ok "of a tree deeper than any path, what has a path is saved"
else
	echo "status $rc" >>"$dir/err"
	tap_not_ok "of a tree deeper than any path, what has a path is saved" "$dir/err"
fi
# The host changes its folder while the program looks.
make_tree "$dir/tree"
mkfifo "$dir/go"
(sleep 1; rm "$dir/tree/other"; ln -s ../outside "$dir/tree/other.new"; mv "$dir/tree/other.new" "$dir/tree/cut") &
script_out=$(on_overlay /bin/bash -c 'ls >/dev/null; sleep 2; cat other 2>/dev/null || echo gone; cat cut 2>/dev/null || echo gone' 2>&1)
wait
if [ "$script_out" = "gone
gone" ]; then
	tap_ok "a name that the host turns into a link leads nowhere"
else
	printf '%s\n' "$script_out" >"$dir/diff"
	tap_not_ok "a name that the host turns into a link leads nowhere" "$dir/diff"
fi
"$SBX" --policy "$dir/overlay.pol" --param "tree=$dir/none" run /bin/true 2>"$dir/err"
if [ $? != 0 ] && grep -q "cannot make overlay $dir/none" "$dir/err"; then
	tap_ok "a folder that is not there is an error"
else
	tap_not_ok "a folder that is not there is an error" "$dir/err"
fi
tap_end
