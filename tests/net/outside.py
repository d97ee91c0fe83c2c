"""Servers outside of the sandbox for tests/net/gate.t. Arguments: directory. Writes two ports to
DIR/ports, listens there with TCP and UDP, and on DIR/in/granted and DIR/other; on the former it sends a
descriptor to whoever connects. Appends what reached the one it must not reach to DIR/reached."""
import array
import os
import socket
import sys
import threading

top = sys.argv[1]


def reached(what):
    with open(top + "/reached", "a") as f:
        f.write(what + "\n")


def accept(s, what):
    while True:
        c, _ = s.accept()
        if what:
            reached(what)
        c.close()


def receive(s, what):
    while True:
        s.recv(100)
        if what:
            reached(what)


def give(s):
    while True:
        c, _ = s.accept()
        _, cmsg, _, _ = c.recvmsg(100, 1000)
        if cmsg:
            reached("a descriptor of the sandbox")
        fds = array.array("i", [0])
        c.sendmsg([b"y"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        c.close()


def inet(what):
    while True:  # a port that is free for both
        t = socket.create_server(("127.0.0.1", 0))
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            u.bind(t.getsockname())
        except OSError:
            continue
        break
    threading.Thread(target=accept, args=(t, what and "tcp " + what), daemon=True).start()
    threading.Thread(target=receive, args=(u, what and "udp " + what), daemon=True).start()
    return t.getsockname()[1]


def unix(path, target, *args):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    threading.Thread(target=target, args=(s, *args), daemon=True).start()


unix(top + "/in/granted", give)
unix(top + "/other", accept, "unix")
unix("\0elsewhere-%d" % os.getpid(), accept, "abstract")
with open(top + "/ports.new", "w") as f:
    f.write("%d %d\n" % (inet(None), inet("other port")))
os.rename(top + "/ports.new", top + "/ports")
sys.stdin.read()
