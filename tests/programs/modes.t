#!/bin/sh
# TAP: permission bits of files on scratch space hold for a user who is not root.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
cat >"$dir/modes.pol" <<'P'
sbx: 1
abi: linux-6.12
name: modes
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/**
  scratch        /tmp 16MiB
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @process, @file, @cred
emulate:
  ids: {uid: 1000, gid: 1000}
P
export LC_ALL=C

# says DESCRIPTION EXPECTED COMMAND
says() {
	timeout -k 5 60 "$SBX" --policy "$dir/modes.pol" run sh -c "cd /tmp; $3" >"$dir/out" 2>&1
	if [ "$(cat "$dir/out")" = "$2" ]; then tap_ok "$1"; else tap_not_ok "$1" "$dir/out"; fi
}

says "reading" "cat: a: Permission denied" 'echo x >a; chmod 200 a; echo y >>a; cat a'
says "writing" "sh: 1: cannot create a: Permission denied" 'echo x >a; chmod 400 a; cat a >/dev/null; echo y >a'
says "what creates may write" "x" '(umask 777; echo x >a); chmod 600 a; cat a'
says "searching" "cat: d/f: Permission denied" 'mkdir d; echo x >d/f; chmod 600 d; cat d/f'
says "listing" "ls: cannot open directory 'd': Permission denied
x" 'mkdir d; echo x >d/f; chmod 300 d; ls d; cat d/f'
says "making, removing, renaming" "mkdir: cannot create directory 'd/e': Permission denied
rm: cannot remove 'd/f': Permission denied
mv: cannot move 'd/f' to 'g': Permission denied
ln: failed to create symbolic link 'd/l': Permission denied" \
	'mkdir d; echo x >d/f; chmod 500 d; mkdir d/e; rm -f d/f; mv d/f g; ln -s x d/l; chmod 700 d'
tap_end
