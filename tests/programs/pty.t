#!/bin/sh
# TAP: programs that make pseudo-terminals, inside a sandbox and natively: the same output.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
for p in python3 bash tmux expect vim.tiny script; do
	command -v $p >/dev/null && continue
	if must kvm; then
		echo "Bail out! $p is not installed"
		exit 1
	fi
	echo "1..0 # SKIP $p is not installed"
	exit 0
done
new_dir
here=$(cd "$srcdir" && pwd -P)
mkdir "$dir/in"
cp "$here/tests/programs/terminal.py" "$dir/in/"
export LC_ALL=C.UTF-8 TERM=dumb HOME="$dir/work" PS1='ready> ' HISTFILE=
export PATH=/usr/local/bin:/usr/bin:/bin

# A window manager talks to its clients over a unix socket, which shell.pol does not grant.
cat >"$dir/tmux.pol" <<'P'
sbx: 1
abi: linux-6.12
name: tmux
use: [sbx/dynamic, sbx/pty]
vars:
  work: {type: path, default: /job}
default: deny as EPERM
unknown: deny as ENOSYS
files: |
  read,list,exec /usr/bin/** /bin/** /usr/sbin/** /sbin/**
  read,list      /usr/lib/** /usr/share/** /etc/terminfo/** /lib/terminfo/**
  read,list,write,create,delete ${work}/**
  deny           /** as ENOENT quiet
net: |
  listen  unix ${work}/**
  connect unix ${work}/**
rules: |
  allow @core, @mem, @io, @poll, @signal, @time, @random, @thread, @process, @file, @cred, @net
P

policy="--policy $policies/shell.pol --param work=$dir/work"

cat >"$dir/in/jobs" <<'S'
wait ready> 
send sleep 100\n
pause 1
send \x1a
wait Stopped
wait ready> 
send jobs\n
wait Stopped
wait ready> 
send fg\n
pause 1
send \x03
wait ready> 
send echo "status $?"\n
wait status 130
wait ready> 
send cat & sleep 1\n
wait Stopped
wait ready> 
send kill %1; disown %1 2>/dev/null\n
wait ready> 
send stty -a; exit 5\n
S
same "bash on a terminal of the sandbox: job control" $policy -- \
	python3 terminal.py jobs /bin/bash --norc --noediting -i

cat >"$dir/in/edit" <<'S'
wait terminal
send iOne line\nand anothr\x1b
pause 1
send hie\x1b:s/One/First/e\n
pause 1
send 1G:s/One/First/\n
pause 1
send :wq\n
pause 1
S
cat >"$dir/in/vim.sh" <<'S'
TERM=xterm python3 terminal.py edit sh -c 'stty rows 24 cols 80; echo terminal; exec vim.tiny -u NONE -i NONE out.txt' >/dev/null
cat out.txt
S
same "vim on a terminal of the sandbox" $policy -- sh vim.sh

same "script(1)" $policy -- script -qec 'bash --norc -c "test -t 0 && test -t 1 && echo terminal; exit 3"' log
same "Python's pty.spawn" $policy -- python3 -c '
import pty, os
status = pty.spawn(["/bin/sh", "-c", "test -t 0 && tty | tr 0-9 N; stty size; echo $((6*7)); exit 4"])
print(os.waitstatus_to_exitcode(status))'
same "Python's pty.fork and a hang-up" $policy -- python3 -c '
import os, pty, signal, time
pid, fd = pty.fork()
if not pid:
    signal.signal(signal.SIGHUP, lambda *a: open("hup", "w").write("told"))
    os.write(1, b"up")
    while not os.path.exists("hup"):
        time.sleep(0.05)
    os._exit(6)
print(os.read(fd, 10))
os.close(fd)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), open("hup").read())'

cat >"$dir/in/talk.exp" <<'S'
log_user 0
set timeout 20
spawn bash --norc --noediting -i
expect "ready> "
send "read -s -p secret: x\r"
expect "secret:"
send "hidden\r"
expect "ready> "
send "echo got \$x\r"
expect -re "got (\[a-z]*)\r" { puts "told $expect_out(1,string)" }
send "\004"
expect eof { puts ended }
S
same "expect" $policy -- expect talk.exp

cat >"$dir/in/tmux.sh" <<'S'
t() { tmux -S sock -f /dev/null "$@"; sleep 0.5; }
t new-session -d -x 60 -y 14 'bash --norc --noediting'
sleep 1
t send-keys 'clear' Enter
t send-keys 'echo "in tmux: $((6*7))"; tty | tr 0-9 N; stty size' Enter
t send-keys 'sleep 50' Enter
t send-keys C-c
t send-keys 'echo status $?' Enter
t split-window -h 'bash --norc --noediting'
t send-keys 'stty size' Enter
t capture-pane -p -t 0
t capture-pane -p -t 1
t kill-server
S
TERM=xterm same "tmux: keys, panes, window sizes" --policy "$dir/tmux.pol" --param "work=$dir/work" -- sh tmux.sh
tap_end
