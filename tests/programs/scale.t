#!/bin/sh
# TAP: large numbers of threads, processes, descriptors, pages and sandboxes at once; and that costs do
# not grow with what an operation has nothing to do with. The program checks its own results.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
benchdir=${builddir:-.}/bench
need_sbx
new_dir
mkdir "$dir/work"
cp "$benchdir/scale" "$dir/work/"
opts="--policy $(cd "$srcdir" && pwd -P)/tests/guest/guest.pol --param work=$dir/work"

scale() { # SUBJECT... : its lines in $dir/out
	# shellcheck disable=SC2086 # options hold no spaces
	timeout -k 5 "${LIMIT:-100}" "$SBX" $opts run "$dir/work/scale" "$@" >"$dir/out" 2>"$dir/err"
}
works() { # DESCRIPTION SUBJECT...
	desc=$1
	shift
	if scale "$@" && [ -s "$dir/out" ]; then
		tap_ok "$desc"
	else
		cat "$dir/err" >>"$dir/out"
		tap_not_ok "$desc" "$dir/out"
	fi
}
figure() { awk -F'\t' -v n="$1" '$1 == n { print $2 }' "$dir/out"; }
available=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)

works "1000 threads in one process, all alive, all answer" threads 1000
works "500 processes in one sandbox, all alive, all answer" processes 500
ulimit -n "$(ulimit -H -n)" 2>/dev/null
if [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt 10200 ]; then
	works "10000 open files" files 10000
else
	tap_skip "10000 open files" "the host allows this process $(ulimit -n)"
fi
if [ "$available" -gt 5500 ]; then
	works "a mapping of 4 GiB, touched in full" memory 4096
else
	works "a mapping of $((available / 2)) MiB, touched in full (the host has no more)" memory $((available / 2))
fi

# True when the second figure is at most $1 times the first and $2 us: the machine may be busy.
grows_less() { awk -v f="$1" -v c="$2" -v a="$3" -v b="$4" 'BEGIN { exit !(a > 0 && b > 0 && b <= f * a + c) }'; }

# With fifty times as many mappings, what looks one up takes only a little longer.
fine=
for try in 1 2 3; do
	scale areas 1000 && fault=$(figure "areas: page fault, anywhere") map=$(figure "areas: mmap+munmap") &&
		scale areas 50000 && grows_less 4 50 "$fault" "$(figure "areas: page fault, anywhere")" &&
		grows_less 4 50 "$map" "$(figure "areas: mmap+munmap")" && fine=yes && break
done
echo "try $try; with 1000: $fault and $map" >>"$dir/out"
[ "$fine" ] && tap_ok "50000 mappings are found as fast as 1000" ||
	tap_not_ok "50000 mappings are found as fast as 1000" "$dir/out"

# A fork costs what is present, not what is mapped.
fine=
for try in 1 2 3; do
	scale fork && plain=$(cut -f2 "$dir/out") && scale fork empty 64 &&
		grows_less 3 1000 "$plain" "$(cut -f2 "$dir/out")" && fine=yes && break
done
echo "try $try; with nothing: $plain" >>"$dir/out"
[ "$fine" ] && tap_ok "a fork does not pay for 64 GiB that nobody touched" ||
	tap_not_ok "a fork does not pay for 64 GiB that nobody touched" "$dir/out"

# 100 sandboxes: each says that it is there, and ends when the pipe does.
mkfifo "$dir/in"
exec 8<>"$dir/in"
pids= i=0 ok=0
while [ $i -lt 100 ]; do
	# shellcheck disable=SC2086
	timeout -k 5 100 "$SBX" $opts run "$dir/work/scale" sleep <"$dir/in" >"$dir/ready.$i" 2>>"$dir/crowd" 8>&- &
	pids="$pids $!" i=$((i + 1))
done
i=0
while [ $i -lt 300 ] && [ "$(cat "$dir"/ready.* | grep -c ready)" != 100 ]; do sleep 0.1; i=$((i + 1)); done
there=$(cat "$dir"/ready.* | grep -c ready)
exec 8>&-
for p in $pids; do wait "$p" && ok=$((ok + 1)); done
echo "$there were there at once, $ok ended well" >>"$dir/crowd"
[ "$there" = 100 ] && [ $ok = 100 ] && tap_ok "100 sandboxes at once" ||
	tap_not_ok "100 sandboxes at once" "$dir/crowd"
tap_end
