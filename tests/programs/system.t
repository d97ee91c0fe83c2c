#!/bin/sh
# TAP: what tools say of the system is true of the sandbox: its memory limit, processors, processes.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
cat >"$dir/system.pol" <<'P'
sbx: 1
abi: linux-6.12
name: system
use: [sbx/dynamic]
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/share/**
  deny           /** as ENOENT quiet
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @process, @file, @cred
emulate: {cpus: 3}
limits: {memory: 512MiB, processes: 100}
P
export LC_ALL=C

# says DESCRIPTION EXPECTED COMMAND: standard output and error of a shell command in the sandbox.
says() {
	timeout -k 5 60 "$SBX" --policy "$dir/system.pol" run sh -c "$3" >"$dir/out" 2>&1
	if [ "$(cat "$dir/out")" = "$2" ]; then
		tap_ok "$1"
	else
		tap_not_ok "$1" "$dir/out"
	fi
}

says "nproc" 3 'nproc'
says "free tells the limit" 512 'free -m | awk "/^Mem/ { print \$2 }"'
says "free: used is less than half" 1 'free -b | awk "/^Mem/ { print (\$3 < \$2 / 2 && \$3 > 100000) }"'
says "control group: memory" 536870912 'cat /sys/fs/cgroup/memory.max'
says "control group: processes" 100 'cat /sys/fs/cgroup/pids.max'
says "ps shows the sandbox's processes and no other" "1 sbx
2 sh
3 ps" 'ps -e -o pid=,comm= | awk "{ print \$1, \$2 }" | grep -v awk | grep -v grep | head -3'
says "ps: each process has its own memory" 1 \
	'perl -e "\$x = \"a\" x 60000000; sleep 100" & sleep 1; ps -o rss= -p $$,$! | tr "\n" " " |
	awk "{ print (\$1 < 20000 && \$2 > 55000) }"; kill $!'
says "ps: nice value" 5 'nice -n 5 sleep 50 & sleep 0.3; ps -o ni= -p $! | tr -d " "; kill $!'
says "pgrep" "2 sh" 'pgrep -l "^sh"'
says "uptime" 1 'uptime | grep -c "load average"'
says "vmstat" 1 'vmstat | awk "NR == 3 { print (\$4 > 100000 && NF >= 17) }"'
says "top" "top - 1" 'top -b -n1 | sed -n "1s/\(top - \).*/\11/p"'
says "lscpu" "3 3 1" 'lscpu | awk -F: "/^CPU\\(s\\)/ { c = \$2 } /^Core\\(s\\)/ { k = \$2 } /^Socket/ { s = \$2 }
	END { print c + 0, k + 0, s + 0 }"'
says "pmap" 1 'pmap -x $$ | tail -1 | grep -c "total kB"'
says "mount" "cgroup2 on /sys/fs/cgroup type cgroup2 (rw,relatime)" 'mount | grep cgroup'
cat >"$dir/ps.py" <<'P'
import psutil
print(psutil.cpu_count(), psutil.virtual_memory().total >> 20, psutil.swap_memory().total)
print([(p.pid, p.ppid(), p.status(), p.num_threads(), p.nice()) for p in psutil.process_iter()])
p = psutil.Process()
print(p.name(), p.memory_full_info().uss > 0, len(p.memory_maps()) > 5, p.cpu_affinity(), int(p.ionice().value),
      p.num_fds() > 2, p.exe().startswith("/usr/bin/python3"), p.terminal(), p.children(), p.parents()[-1].pid)
print(psutil.disk_io_counters(), psutil.boot_time() > 0)
P
sed -i "s|^  read,list,exec /usr/bin|  read $dir/ps.py\n&|" "$dir/system.pol"
says "psutil" "3 512 0
[(1, 0, 'sleeping', 1, 0), (2, 1, 'running', 1, 0)]
python3 True True [0, 1, 2] 0 True True None [] 1
None True" "exec /usr/bin/python3 $dir/ps.py"
tap_end
