#!/bin/sh
# TAP: a build under c-build.pol: make starts gcc as `tool`, git may only tell about the tree, and a script
# that tries to fetch something does not get far.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
policy=$policies/c-build.pol
mkdir -p "$dir/in"
cd "$dir/in" || exit 1
cat >hello.c <<END
#include <stdio.h>
int main(void) { return puts("hello") < 0; }
END
printf 'hello: hello.o\n\tgcc -o hello hello.o\nhello.o: hello.c\n\tgcc -O1 -c hello.c\nrun: hello\n\t./hello\n' >Makefile
for p in make gcc git; do
	command -v $p >/dev/null || { must kvm && tap_not_ok "$p is not installed" || tap_skip "a build" "no $p"; tap_end; exit; }
done
git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -q -m one
opts="--policy $policy --param src=$dir/work --log $dir/log"

# Objects may go, and files of the compiler's own.
AFTER='ls' same "make starts gcc as another program" $opts -- make -j2 run
grep -q '"prog":"tool".*"verdict":"deny"' "$dir/log" && tap_not_ok "nothing was refused to it" "$dir/log" ||
	tap_ok "nothing was refused to it"
same "git tells of the tree" $opts -- sh -c 'git log --format=%s; git status --short'

under() { # DESCRIPTION WANTED COMMAND: its output under sbx
	rm -rf "$dir/work"
	cp -a "$dir/in" "$dir/work"
	(cd "$dir/work" && timeout -k 10 120 "$SBX" $opts run -- sh -c "$3") >"$dir/out" 2>&1
	echo "$2" | cmp -s - "$dir/out" && tap_ok "$1" || tap_not_ok "$1" "$dir/out"
}

under "git does nothing else" "126 126 126 128" \
	'git push >&- 2>&-; a=$?; git -c x=y log >&- 2>&-; b=$?; git >&- 2>&-; c=$?; git status --x >/dev/null 2>&1; [ $? = 129 ] && echo $a $b $c 128'
grep '"verb":"start"' "$dir/log" | grep '/usr/bin/git' | grep -q 'c-build.pol:[0-9]*","why":"/usr/bin/git: not with this argv\[1\]"' &&
	tap_ok "the log says why" || tap_not_ok "the log says why" "$dir/log"
printf '#!/bin/sh\ncurl http://example.org/ || /usr/bin/wget http://example.org/ || echo $?\n' >fetch
chmod +x fetch
under "a script that fetches fails" 126 './fetch 2>/dev/null'

# What only pretends to be a compiler is under the compiler's rules: here, by its name.
cat >evil.c <<END
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	printf("delete %d\n", unlink("hello.c"));
	printf("delete its own %d\n", unlink("hello.o"));
	fflush(stdout);
	execl("/usr/bin/make", "make", NULL);
	perror("make");
	execl("/usr/bin/dash", "sh", NULL);
	perror("sh");
	return 0;
}
END
gcc -o evil evil.c 2>/dev/null
sed 's|/usr/libexec/gcc/\*\* as tool|/usr/libexec/gcc/** ${src}/evil as tool|' "$policy" >"$dir/evil.pol"
policy=$dir/evil.pol opts="--policy $dir/evil.pol --param src=$dir/work --log $dir/log"
export SBX_POLICY_PATH="$policies"
under "a compiler cannot delete sources, nor start make or a shell" "delete -1
delete its own 0
make: Operation not permitted
sh: Operation not permitted" 'touch hello.o; ./evil'
seq=$(sed -n 's/.*"seq":\([0-9]*\),.*"prog":"tool".*"sys":"unlink".*/\1/p' "$dir/log" | head -1)
"$SBX" audit why "$seq" "$dir/log" >"$dir/why"
grep -q '^program:  tool' "$dir/why" && grep -q '^because:  compilers do not delete sources' "$dir/why" &&
	tap_ok "and audit why says so" || tap_not_ok "and audit why says so" "$dir/why"
tap_end
