#!/bin/sh
# TAP: programs that start programs, under examples/policies/shell.pol and build.pol, compared with
# native runs: shells, python3's subprocess and multiprocessing, make with a compiler, git.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
SBX=$(realpath "$SBX")
policies=$(realpath "$policies")
mkdir "$dir/in"
cd "$dir/in" || exit 1
export LC_ALL=C TZ=UTC0 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 HOME="$dir/work"
export PATH=/usr/local/bin:/usr/bin:/bin
shell="--policy $policies/shell.pol --param work=$dir"
build="--policy $policies/build.pol --param src=$dir"
have() { command -v "$1" >/dev/null; }
s() { same "$1" $shell -- "$2" -c "$3"; }

cat >posix.sh <<'S'
set -u
echo one | tr a-z A-Z | cat -n
x=$(printf '%s\n' c b a | sort | tr '\n' ' '); echo "[$x]"
(cd / && pwd; exit 7); echo "status $?"
sh -c 'trap "echo trapped; exit 3" TERM; kill -TERM $$; echo not reached'; echo "$?"
sh -c 'kill -KILL $$'; echo "killed: $?"
false | true; echo $?
! true; echo $?
{ echo out; echo err >&2; } 2>&1 >file | sed 's/^/stderr: /'; cat file
cat <<E
here $((6 * 7)) $(echo nested $(echo deeper))
E
p=
for i in 1 2 3 4 5; do (sleep 0.0$i; exit $i) & p="$p $!"; done
for q in $p; do wait $q; echo "child $?"; done
wait
f() { [ "$1" -le 0 ] || { echo "$1"; f $(($1 - 1)); }; }
f 3 | sort
seq 1 1000 | while read -r n; do case $n in *99) echo "$n";; esac; done
find . -name '*.sh' | sort | xargs -n1 basename
echo 'echo "arg0 $1"' >run-me; sh run-me x; chmod +x run-me; ./run-me y
printf '#!/bin/sh\necho "script: $*"\n' >script; chmod +x script; ./script a b
yes | head -n 3
exec 3>third; echo via three >&3; exec 3>&-; cat third
exec sh -c 'echo replaced $#' x 1 2
S
cat >jobs.bash <<'S'
set -m
sleep 0.05 & sleep 0.1 &
wait -n; echo "one: $?"
wait; jobs
a=(x y z); echo "${a[@]:1}" "${#a[@]}"
diff <(seq 1 3) <(seq 2 4)
coproc cat; cat_pid=$COPROC_PID
echo through >&"${COPROC[1]}"; read -r l <&"${COPROC[0]}"; echo "$l"
eval "exec ${COPROC[1]}>&-"; wait "$cat_pid"; echo "cat: $?"
sleep 30 & kill -STOP %%; sleep 0.1; jobs | sed 's/^\[[0-9]*\]/[N]/'
kill %%; kill -CONT %%; wait %% 2>/dev/null; echo "status $?"
set +m; shopt -s lastpipe; echo val | read -r v; echo "$v"
ulimit -n 64; ulimit -n
trap 'echo bye' EXIT
S
cat >sub.py <<'S'
import multiprocessing, os, signal, subprocess, sys, time
run = subprocess.run
print(run(["echo", "a", "b"], capture_output=True, text=True))
print(run("exit 5", shell=True).returncode, run(["sh", "-c", "kill -9 $$"]).returncode)
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(len(p.communicate(b"x" * 300000)[0]), p.returncode)
try:
    run(["sleep", "9"], timeout=0.1)
except subprocess.TimeoutExpired as e:
    print("timeout")
try:
    run(["./missing"])
except FileNotFoundError as e:
    print("errno", e.errno)
p = subprocess.Popen(["sleep", "30"], start_new_session=True)
print(os.getsid(p.pid) == p.pid, p.poll()); p.terminate(); print(p.wait())
print(run([sys.executable, "-c", "import os; print(os.getcwd(), os.environ['Q'])"], cwd="/", env={"Q": "1"}, capture_output=True).stdout)
sys.stdout.flush()
pid = os.fork()
if not pid:
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
def work(x):
    return x * x
fork = multiprocessing.get_context("fork")
with fork.Pool(3) as pool:
    print(sum(pool.map(work, range(200))))
q = fork.Queue()
ps = [fork.Process(target=q.put, args=(i,)) for i in range(5)]
[p.start() for p in ps]; print(sorted(q.get() for _ in ps)); [p.join() for p in ps]
r, w = os.pipe()
os.dup2(w, 9)
run(["sh", "-c", "echo inherited >&9"], pass_fds=[9]); print(os.read(r, 100))
S
mkdir proj
i=0
while [ $i -lt 30 ]; do
	i=$((i + 1))
	printf '#include "proj.h"\nint f%d(int x)\n{\n\treturn x * %d + BASE;\n}\n' $i $i >proj/f$i.c
done
{ echo "#define BASE 3"; seq 1 30 | sed 's/.*/int f&(int);/'; } >proj/proj.h
{
	printf '#include <stdio.h>\n#include "proj.h"\nint main(void)\n{\n\tint s = 0;\n'
	seq 1 30 | sed 's/.*/\ts += f&(2);/'
	printf '\tprintf("%%d\\n", s);\n\treturn 0;\n}\n'
} >proj/main.c
cat >proj/Makefile <<'M'
CFLAGS = -O1 -Wall
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
prog: libf.a main.o
	@$(CC) -o $@ main.o -L. -lf
libf.a: $(filter-out main.o,$(OBJS))
	@rm -f $@; ar rcD $@ $^
%.o: %.c proj.h
	@$(CC) $(CFLAGS) -c -o $@ $<
M

same "dash: a script" $shell -- /bin/dash posix.sh
have bash && same "bash: the same script" $shell -- /bin/bash posix.sh
have bash && same "bash: jobs, coprocesses, process substitution" $shell -- /bin/bash jobs.bash
have busybox && same "busybox sh: the script" $shell -- "$(command -v busybox)" sh posix.sh
s "a pipeline of 20 programs" /bin/sh 'seq 1 2000 | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | cat | md5sum'
s "100 subshells" /bin/sh 'i=0; x=; while [ $i -lt 100 ]; do (exit $i) || x="$x $?"; i=$((i+1)); done; echo $x'
s "a background process outlives its shell" /bin/sh 'sh -c "(sleep 0.1; echo late >late) &"; sleep 0.5; cat late'
s "a full pipe" /bin/sh 'yes | head -c 3000000 | wc -c'
s "xargs -P" /bin/sh 'seq 1 30 | xargs -P 4 -n 1 sh -c "echo \$0" | sort -n | tail -n 1'
s "find -exec" /bin/sh 'find proj -name "f?.c" -exec wc -l {} + | sort'
s "timeout and env" /bin/sh 'timeout 0.1 sleep 5; echo $?; env -i A=1 env; nice -n 0 true; nohup true; echo $?'
s "tar through a pipe" /bin/sh 'tar cf - proj | (mkdir x; cd x; tar xf -); diff -r proj x/proj && ls x/proj | wc -l'
if have perl; then
	same "perl: system, backticks, pipes, fork" $shell -- /usr/bin/perl -e '$|=1; print `echo hi`; system("exit 4"); print $?>>8,"\n"; open F,"-|","seq 3"; print <F>; my $p=fork; unless($p){exit 6} waitpid $p,0; print $?>>8,"\n"'
fi
if have python3; then
	same "python3: subprocess and multiprocessing" $shell -- /usr/bin/python3 sub.py
fi
if have node; then
	cat >child.js <<'S'
const { execSync, fork, spawn } = require('child_process');
if (process.argv[2] === 'child') {
	process.send({ n: 42 });
	setInterval(() => {}, 1000);
} else {
	console.log(execSync('echo hi | tr a-z A-Z').toString().trim());
	const c = spawn('sh', ['-c', 'read x; echo "got $x"; exit 3']);
	c.stdout.on('data', d => console.log(d.toString().trim()));
	c.on('exit', (code, sig) => {
		console.log('exit', code, sig);
		const f = fork(__filename, ['child']);
		f.on('message', m => { console.log('message', m.n); f.kill(); });
		f.on('exit', (code, sig) => console.log('exit', code, sig));
	});
	c.stdin.write('abc\n');
}
S
	same "node: child processes" $shell -- /usr/bin/node child.js
fi
if have make && have gcc; then
	LIMIT=300
	AFTER='cd proj && ls && ./prog && sha256sum libf.a prog'
	same "make -j2 with gcc: 31 files" $build -- /usr/bin/make -s -j2 -C proj CC=gcc
	AFTER=
fi
if have git; then
	export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
	export GIT_CONFIG_NOSYSTEM=1
	s "git: init, commit, log, clone, gc" /bin/sh 'git init -q -b main r && cd r && git config user.name n && git config user.email e@x &&
		cp -r ../proj/*.c . && git add . && git commit -q -m first && echo x >>f1.c && git commit -qam second && git log --format="%h %s" &&
		cd .. && git clone -q r c && cd c && git log --oneline && git gc -q && git fsck && git diff HEAD~1 | cat'
fi
# What may be started, whatever files: grants.
sed 's|^rules:|exec: \|\n  run /usr/bin/** /bin/** ${work}/*.sh as self\n  deny /usr/bin/whoami as EACCES because "nobody asks"\nrules:|' \
	"$policies/shell.pol" >"$dir/exec.pol"
cd "$dir" || exit 1
printf '#!/bin/sh\necho script\n' >yes.sh
printf '#!/usr/bin/whoami\n' >no.sh
cp /bin/true prog
chmod +x yes.sh no.sh prog
printf 'script\n126 126 126 126\n' >expected
"$SBX" run --policy exec.pol --param "work=$dir" --log exec.log /bin/sh -c './yes.sh; whoami; a=$?; ./no.sh; b=$?
	./prog; c=$?; /lib64/ld-linux-x86-64.so.2 /usr/bin/whoami; echo $a $b $c $?' >out 2>err
cmp -s out expected && tap_ok "exec: says what may be started" || tap_not_ok "exec: says what may be started" out
grep -q '"verb":"start".*nobody asks' exec.log && tap_ok "the log names the rule of exec:" ||
	tap_not_ok "the log names the rule of exec:" exec.log
tap_end
