# The baseline in Python: an HTTP server that answers what it is sent, a thread for each
# connection, with no more work than the protocol asks for.
import socket, sys, threading

def serve(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    have = b""
    while True:
        while b"\r\n\r\n" not in have:
            more = c.recv(65536)
            if not more:
                return
            have += more
        head, _, have = have.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(have) < length:
            have += c.recv(65536)
        body, have = have[:length], have[length:]
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length + body)

def accept(listener):
    while True:
        c, _ = listener.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()

listener = socket.create_server(("127.0.0.1", 0))
print("%s:%d" % listener.getsockname(), flush=True)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
sys.stdin.read()  # ends when the parent does
