"""A function that does what it should not be able to do, and says how far it got.

Where nothing contains it, it must say so and do no lasting harm to the machine.
"""

import errno
import os
import signal
import socket
import threading
import time
import urllib.request

# What the servers of "listen" heard, for as long as the environment lives.
heard = []


def handler(event, context):
    act = event.pop("do")
    return globals()[act](**event)


def hello():
    return {"text": "hello"}


def fetch(url):
    """Reaches out: any HTTP server."""
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return {"text": answer.read().decode()}
    except OSError as e:
        return {"error": str(e)}


def allocate(mb):
    """Takes memory, page by page."""
    hoard = []
    for _ in range(mb):
        hoard.append(bytearray(os.urandom(1 << 10) * (1 << 10)))
    return {"mb": len(hoard)}


def fork(n):
    """Has children that stay."""
    made = 0
    for _ in range(n):
        try:
            if os.fork() == 0:
                try:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    time.sleep(60)
                finally:
                    os._exit(0)
        except OSError as e:
            return {"made": made, "error": errno.errorcode[e.errno]}
        made += 1
    return {"made": made}


def fill(path):
    """Writes a file until there is no more room."""
    written = 0
    block = b"\0" * (1 << 20)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while written < 1 << 30:
            written += os.write(fd, block)
    except OSError as e:
        return {"mb": written >> 20, "error": errno.errorcode[e.errno]}
    finally:
        os.close(fd)
        os.unlink(path)
    return {"mb": written >> 20}


def write(path, size):
    with open(path, "wb") as f:
        f.write(b"x" * size)
    return {"size": os.path.getsize(path), "beside": sorted(os.listdir(os.path.dirname(path)))}


def read(paths):
    """Reads files; answers with those that could be."""
    could = {}
    for path in paths:
        try:
            with open(path, "rb") as f:
                could[path] = f.read(1 << 16).decode(errors="replace")
        except OSError:
            pass
    return {"could": could}


def search(name):
    """Looks through all files for one of a name."""
    found, seen = [], 0
    for directory, inside, files in os.walk("/"):
        if directory == "/":
            inside[:] = set(inside) - {"proc", "sys"}
        seen += len(files)
        found += [os.path.join(directory, f) for f in files if f == name]
    return {"found": found, "seen": seen}


def change(paths):
    """Opens files to write; answers with those that could be."""
    could = []
    for path in paths:
        there = os.path.exists(path)
        try:
            open(path, "ab").close()
        except OSError:
            continue
        could.append(path)
        if not there:
            os.unlink(path)
    return {"could": could}


def listen(port):
    """Serves whoever comes, on all addresses."""
    server = socket.create_server(("0.0.0.0", port))

    def serve():
        while True:
            c, peer = server.accept()
            heard.append(peer[0])
            c.sendall(b"caught")
            c.close()

    threading.Thread(target=serve, daemon=True).start()
    return {"text": "listening"}


def linger(ms):
    """Stays awake, so that a server in the background can be reached, and tells who came."""
    time.sleep(ms / 1000)
    return {"heard": heard}


def connect(addresses):
    """Connects to sockets; answers with those that could be reached."""
    could = []
    for address in addresses:
        host, port = address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            could.append(address)
        except OSError:
            pass
    return {"could": could}


def deaf():
    """Ignores every signal that can be."""
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(s, signal.SIG_IGN)
    return {"text": "deaf"}


def spin():
    """Uses all CPU there is, for ever."""
    while True:
        pass


def slay():
    """Kills everybody it can see, itself apart."""
    seen = [p for p in os.listdir("/proc") if p.isdigit()]
    if len(seen) > 10:
        return {"text": "in company"}
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return {"text": "alone"}


def who():
    """Tells what it is and what it sees."""
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "files": open("/proc/self/limits").read(),
    }
