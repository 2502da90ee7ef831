"""An HTTP/1.1 server for the applications of the lessons.

Every answer says who gave it: `X-Served-By` (host name), `X-Served-From` (address) and
`X-Served-Version`; and how long that took inside of this process: `Server-Timing: rule;dur=5.2`
(milliseconds; browsers show it).

One thread for each connection, with keep-alive.  On SIGTERM it is no longer ready, goes on to serve
for half a second, telling its clients to connect elsewhere (`Connection: close`), then finishes the
requests in flight, and exits with 0.  Settings: PORT, HOST, ACCESS_LOG=1.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import time

from application import Refused

BACKLOG = 512
MAX_HEAD, MAX_BODY = 16 << 10, 64 << 10
IDLE_SECONDS = 75  # a connection without a request is closed after this long
DRAIN_SECONDS = 0.5  # SIGTERM comes no later than the news, for proxies, that this Pod leaves
GRACE_SECONDS = 25  # less than Kubernetes' 30 s before SIGKILL
STACK_BYTES = 256 << 10
REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found",
    405: "Method Not Allowed", 411: "Length Required", 413: "Content Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip


class Connection:
    """One client: reads requests and writes answers, one after the other."""

    def __init__(self, server, link, peer):
        self.server, self.link, self.peer = server, link, peer
        self.buffer = b""
        self.idle = True  # no byte of a request has come: may be closed at any time

    def serve(self):
        try:
            self.link.settimeout(IDLE_SECONDS)
            self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self.one():
                pass
        except OSError:
            pass  # the client has gone, or was silent for too long
        finally:
            self.server.leave(self)
            self.link.close()

    def one(self):
        """Answer one request; false if the connection ends."""
        head = self.read_head()
        if head is None:
            return False
        self.idle = False
        keep, method, path = False, "-", "-"
        begun = time.monotonic()
        try:
            method, path, version, headers = parse_head(head)
            body = self.read_body(headers)
            wish = headers.get("connection", "").lower()
            keep = wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")
            answer = self.server.app.answer("GET" if method == "HEAD" else method, path, body)
        except Refused as refused:
            body = json.dumps({"message": str(refused)}).encode() + b"\n"
            answer = refused.status, "application/json", body, refused.headers
            keep = keep and refused.status not in (411, 413)
        keep = keep and self.server.app.ready
        self.write(method, answer, keep, time.monotonic() - begun)
        self.server.log(f"{self.peer} {method} {path} {answer[0]}")
        self.idle = True
        return keep

    def more(self):
        data = self.link.recv(16384)
        self.buffer += data
        return bool(data)

    def read_head(self):
        """The lines up to the empty one; None if the client is done."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > MAX_HEAD or not self.more():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def read_body(self, headers):
        if "transfer-encoding" in headers:
            raise Refused(411, "send a Content-Length")
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise Refused(400, "the Content-Length is not a number")
        if int(length) > MAX_BODY:
            raise Refused(413, f"a body has at most {MAX_BODY} bytes")
        if headers.get("expect", "").lower() == "100-continue":
            self.link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self.buffer) < int(length):
            if not self.more():
                raise OSError("the client has gone")
        body, self.buffer = self.buffer[: int(length)], self.buffer[int(length) :]
        return body

    def write(self, method, answer, keep, seconds):
        status, kind, body, more = answer
        app = self.server.app
        timing = [more.get("Server-Timing"), f"{app.title};dur={seconds * 1000:.1f}"]
        headers = {
            "Content-Type": kind,
            "Content-Length": None if status == 204 else len(body),
            "X-Served-By": app.name,
            "X-Served-From": app.address,
            "X-Served-Version": app.version,
            "Connection": "keep-alive" if keep else "close",
            **more,
            "Server-Timing": ", ".join(filter(None, timing)),
        }
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, '-')}"]
        lines += [f"{key}: {value}" for key, value in headers.items() if value is not None]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.link.sendall(head if method == "HEAD" else head + body)


def parse_head(text):
    """(method, path without query, version, headers in lower case).  Raises Refused."""
    first, *lines = text.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refused(400, "this is not an HTTP/1.1 request")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return words[0], words[1].partition("?")[0], words[2], headers


class Server:
    """Accepts connections until it is told to stop."""

    def __init__(self, app, host, port, verbose):
        self.app, self.verbose = app, verbose
        self.lock = threading.Lock()
        self.connections, self.threads = set(), set()
        self.listener = socket.create_server((host, port), backlog=BACKLOG)
        self.listener.setblocking(False)

    def log(self, line):
        if self.verbose:
            print(line, flush=True)

    def run(self):
        """Serve until SIGTERM or SIGINT, then finish what has begun."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            self.accept()
            if wake in ready:
                break
        self.drain()
        self.finish()

    def drain(self):
        """Serve those who do not know yet that this is the end, and tell them."""
        self.app.ready = False
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        end = time.monotonic() + DRAIN_SECONDS
        while (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self.accept()

    def accept(self):
        """Take every connection that waits."""
        while True:
            try:
                link, peer = self.listener.accept()
            except OSError:
                return  # none waits, or one was given up by its client meanwhile
            connection = Connection(self, link, peer[0])
            thread = threading.Thread(target=connection.serve, daemon=True)
            with self.lock:
                self.connections.add(connection)
                self.threads.add(thread)
            thread.start()

    def leave(self, connection):
        with self.lock:
            self.connections.discard(connection)
            self.threads.discard(threading.current_thread())

    def finish(self):
        """Close idle connections and wait for the others."""
        self.accept()
        self.listener.close()
        with self.lock:
            waiting, threads = list(self.connections), list(self.threads)
        for connection in waiting:
            if connection.idle:
                try:
                    connection.link.shutdown(socket.SHUT_RD)  # what has come can still be read
                except OSError:
                    pass
        end = time.monotonic() + GRACE_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def run(app_type, default_port):
    """Serve an application until it is told to stop: the main program."""
    environ = os.environ
    host, port = environ.get("HOST", "0.0.0.0"), int(environ.get("PORT", default_port))
    name = environ.get("HOSTNAME") or socket.gethostname()
    address = environ.get("POD_IP") or (host if host != "0.0.0.0" else own_address())
    threading.stack_size(STACK_BYTES)
    app = app_type(environ, name, address)
    try:
        server = Server(app, host, port, environ.get("ACCESS_LOG") == "1")
    except OSError as error:
        sys.exit(f"{app.title} cannot listen on {host}:{port}: {error.strerror}")
    port = server.listener.getsockname()[1]
    print(f"{app.title} {app.version} listens on http://{host}:{port} as {name}", flush=True)
    server.run()
    print(f"{app.title} has finished its requests", flush=True)


def own_address():
    """The address of this machine by its name, as a container's /etc/hosts has it."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"
