#!/bin/sh
# TAP: python3 under examples/policies/python.pol, compared with a native run.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
need_sbx
new_dir
mkdir "$dir/in"
cp "$srcdir/tests/programs/script.py" "$dir/in/"
# Natively, root may open /etc/shadow: what the sandbox refuses is what any user is refused.
sed -i 's|print("shadow:", type(e).__name__)|print("shadow: refused")|; s|    open("/etc/shadow")|    open("/etc/shadow") if "IN_SBX" in os.environ else open("/etc/shadow/x")|' "$dir/in/script.py"
export LC_ALL=C.UTF-8 TZ=UTC0 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
py=/usr/bin/python3
opts="--policy $policies/python.pol --param work=$dir --env IN_SBX=1"
AFTER='ls -A; sqlite3 test.db "select sum(length(b)) from t" 2>/dev/null'
same "python3 -c" $opts -- $py -c 'print(sum(range(10**6)))'
same "python3 exception and status" $opts -- $py -c 'raise ValueError("x")'
same "a script over the standard library" $opts -- $py script.py one two
same "python3 reads a program from stdin" $opts -- $py -
same "python3 -m json.tool" $opts -- $py -m json.tool --help
same "python3 -m compileall" $opts -- $py -m py_compile script.py
same "python3 with 64 threads" $opts -- $py -c 'import threading
n=[0]; l=threading.Lock()
def f():
    for i in range(200):
        with l: n[0]+=1
t=[threading.Thread(target=f) for i in range(64)]
[x.start() for x in t]; [x.join() for x in t]; print(n[0])'
tap_end
