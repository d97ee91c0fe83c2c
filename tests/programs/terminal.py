"""Drives a program on a pseudo-terminal. Usage: terminal.py SCRIPT COMMAND...

SCRIPT's lines: "send TEXT" (with \\n, \\x03 ...), "wait TEXT" (until the output since the last line has
it), "pause SECONDS", "size ROWS COLS". Prints what the terminal showed and how the program ended."""
import fcntl, os, pty, re, select, struct, sys, termios, time

def resize(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

script = open(sys.argv[1]).read().splitlines()
pid, fd = pty.fork()
if not pid:
    os.execvp(sys.argv[2], sys.argv[2:])
resize(fd, 24, 80)
shown, seen = "", 0

def take(seconds):
    global shown
    if not select.select([fd], [], [], seconds)[0]:
        return
    try:
        data = os.read(fd, 65536)
    except OSError:
        data = b""
    if not data:
        raise EOFError
    shown += data.decode("latin-1")

try:
    for line in script:
        word, _, rest = line.partition(" ")
        text = rest.encode().decode("unicode_escape")
        if word == "send":
            seen = len(shown)
            os.write(fd, text.encode("latin-1"))
        elif word == "wait":
            end = time.time() + 15
            while text not in shown[seen:]:
                if time.time() > end:
                    shown += "\nTIMEOUT waiting for %r\n" % text
                    break
                take(0.1)
            seen = max(seen, shown.find(text, seen) + len(text))
        elif word == "pause":
            end = time.time() + float(text)
            while time.time() < end:
                take(0.05)
        elif word == "size":
            resize(fd, *map(int, text.split()))
    while True:
        take(5)
        if not select.select([fd], [], [], 5)[0]:
            break
except EOFError:
    pass
os.close(fd)
status = os.waitpid(pid, 0)[1]
shown = re.sub(r"(\[\d\]) \d+\b", r"\1 N", shown.replace("\r", ""))
print(shown)
print("ended:", os.waitstatus_to_exitcode(status))
