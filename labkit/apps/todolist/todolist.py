"""A to-do list over HTTP, the application that the lessons deploy.

    GET  /               a page to use it with
    GET  /api/rule       all items        POST    /api/rule       {"title": ...} -> 201
    GET  /api/rule/ID    one item         PUT, DELETE /api/rule/ID
    GET  /healthz        alive            GET     /readyz         ready: 503 once it shuts down
    GET  /api/version    {"version": ...}
    GET  /metrics        requests so far, in Prometheus' text format

Each request to /api/rule costs `REQUEST_CPU_MS` of real CPU time (default 5), so that load is seen
as CPU.  Items live in the memory of this process: two replicas have two lists, which is a lesson.
Every answer says who gave it: `X-Served-By` (host name), `X-Served-From` (address) and
`X-Served-Version`.  A new version of this application begins with an edit of `VERSION` below.

One thread for each connection, HTTP/1.1 with keep-alive.  On SIGTERM it is no longer ready, goes on
to serve for half a second, telling its clients to connect elsewhere (`Connection: close`), then
finishes the requests in flight, and exits with 0.  Settings: PORT, HOST, ACCESS_LOG=1.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import time

VERSION = "v1"
BACKLOG = 512
MAX_HEAD, MAX_BODY, MAX_TITLE = 16 << 10, 64 << 10, 200
IDLE_SECONDS = 75  # a connection without a request is closed after this long
DRAIN_SECONDS = 0.5  # SIGTERM comes no later than the news, for proxies, that this Pod leaves
GRACE_SECONDS = 25  # less than Kubernetes' 30 s before SIGKILL
STACK_BYTES = 256 << 10
REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found",
    405: "Method Not Allowed", 411: "Length Required", 413: "Content Too Large",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """An answer that is not a success: status and message."""

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status, self.headers = status, headers


class Items:
    """The list: id -> item, in the order of creation."""

    def __init__(self, titles):
        self._lock = threading.Lock()
        self._items, self._last = {}, 0
        for title in titles:
            self.add({"title": title})

    def all(self):
        with self._lock:
            return list(self._items.values())

    def add(self, fields):
        with self._lock:
            self._last += 1
            item = {"id": self._last, "title": fields["title"], "done": fields.get("done", False)}
            self._items[self._last] = item
            return item

    def get(self, number):
        with self._lock:
            return self._find(number)

    def change(self, number, fields):
        with self._lock:
            item = {**self._find(number), **fields}
            self._items[number] = item
            return item

    def remove(self, number):
        with self._lock:
            self._find(number)
            del self._items[number]

    def _find(self, number):
        if number not in self._items:
            raise Refused(404, f"there is no item {number}")
        return self._items[number]


def fields_of(body, *, required):
    """The title and done of a request's JSON.  Raises Refused."""
    try:
        given = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refused(400, 'the body is not a JSON object like {"title": "..."}')
    fields = {key: given[key] for key in ("title", "done") if key in given}
    if required and "title" not in fields:
        raise Refused(400, "an item needs a title")
    title = fields.get("title", "-")
    if not isinstance(title, str) or not title.strip() or len(title) > MAX_TITLE:
        raise Refused(400, f"a title is a text of 1 to {MAX_TITLE} characters")
    if not isinstance(fields.get("done", False), bool):
        raise Refused(400, "done is true or false")
    return fields


class Metrics:
    """Requests to /api/rule: how many of which method and status, and how many just now."""

    TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self):
        self._lock = threading.Lock()
        self._done, self._now = {}, 0

    def counted(self, method, answer):
        """What `answer()` returns or raises."""
        with self._lock:
            self._now += 1
        status = 500
        try:
            found = answer()
            status = found[0]
            return found
        except Refused as refused:
            status = refused.status
            raise
        finally:
            key = (method if method in ("GET", "POST", "PUT", "DELETE") else "OTHER", status)
            with self._lock:
                self._now -= 1
                self._done[key] = self._done.get(key, 0) + 1

    def page(self):
        with self._lock:
            done, now = sorted(self._done.items()), self._now
        lines = [
            "# HELP http_requests_total Requests answered.",
            "# TYPE http_requests_total counter",
        ]
        lines += [
            f'http_requests_total{{method="{method}",code="{status}"}} {count}'
            for (method, status), count in done
        ]
        lines += ["# HELP http_requests_in_flight Requests that are being answered."]
        lines += ["# TYPE http_requests_in_flight gauge", f"http_requests_in_flight {now}"]
        return "\n".join([*lines, ""]).encode()


def use_cpu(milliseconds):
    """Compute until this thread has used that much CPU time, however long it takes."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        sum(range(500))


class App:
    """Requests to answers: (status, content type, body, headers)."""

    def __init__(self, environ, name, address):
        self.items = Items(["Build an image", "Run a Pod", "Watch it scale"])
        self.cpu = float(environ.get("REQUEST_CPU_MS", "5"))
        self.name, self.address = name, address
        self.ready = True
        self.metrics = Metrics()

    def answer(self, method, path, body):
        """Raises Refused."""
        if path == "/healthz":
            return self.only(method, "GET", 200, "text/plain", b"ok\n")
        if path == "/readyz":
            if not self.ready:
                raise Refused(503, "shutting down")
            return self.only(method, "GET", 200, "text/plain", b"ok\n")
        if path == "/metrics":
            return self.only(method, "GET", 200, Metrics.TYPE, self.metrics.page())
        if path == "/api/version":
            version = json.dumps({"version": VERSION}).encode() + b"\n"
            return self.only(method, "GET", 200, "application/json", version)
        if path == "/":
            return self.only(method, "GET", 200, "text/html; charset=utf-8", self.page())
        if path == "/api/rule" or path.startswith("/api/rule/"):
            return self.metrics.counted(method, lambda: self.rule(method, path, body))
        raise Refused(404, f"there is nothing at {path}")

    def rule(self, method, path, body):
        use_cpu(self.cpu)
        number = path[len("/api/rule/") :]
        if not number:
            return self.collection(method, body)
        if not number.isdecimal():
            raise Refused(404, f"there is no item {number}")
        return self.item(method, int(number), body)

    def collection(self, method, body):
        if method == "POST":
            item = self.items.add(fields_of(body, required=True))
            return self.json(201, item, Location=f"/api/rule/{item['id']}")
        self.allow(method, "GET", "POST")
        return self.json(200, self.items.all())

    def item(self, method, number, body):
        if method == "PUT":
            return self.json(200, self.items.change(number, fields_of(body, required=False)))
        if method == "DELETE":
            self.items.remove(number)
            return 204, None, b"", {}
        self.allow(method, "GET", "PUT", "DELETE")
        return self.json(200, self.items.get(number))

    def only(self, method, allowed, *answer):
        self.allow(method, allowed)
        return (*answer, {})

    @staticmethod
    def allow(method, *allowed):
        if method not in allowed:
            message = f"{method} is not possible here, only {', '.join(allowed)}"
            raise Refused(405, message, Allow=", ".join(allowed))

    @staticmethod
    def json(status, value, **headers):
        return status, "application/json", json.dumps(value).encode() + b"\n", headers

    def page(self):
        from html import escape  # here, because it is a millisecond of the start

        place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "index.html")
        with open(place, encoding="utf-8") as file:
            text = file.read()
        for key, value in (("NAME", self.name), ("ADDRESS", self.address), ("VERSION", VERSION)):
            text = text.replace("{{" + key + "}}", escape(value))
        return text.encode()


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
        self.write(method, answer, keep)
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

    def write(self, method, answer, keep):
        status, kind, body, more = answer
        headers = {
            "Content-Type": kind,
            "Content-Length": None if status == 204 else len(body),
            "X-Served-By": self.server.app.name,
            "X-Served-From": self.server.app.address,
            "X-Served-Version": VERSION,
            "Connection": "keep-alive" if keep else "close",
            **more,
        }
        lines = [f"HTTP/1.1 {status} {REASONS[status]}"]
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


def main():
    environ = os.environ
    host, port = environ.get("HOST", "0.0.0.0"), int(environ.get("PORT", "3001"))
    name = environ.get("HOSTNAME") or socket.gethostname()
    address = environ.get("POD_IP") or (host if host != "0.0.0.0" else own_address())
    threading.stack_size(STACK_BYTES)
    try:
        server = Server(App(environ, name, address), host, port, environ.get("ACCESS_LOG") == "1")
    except OSError as error:
        sys.exit(f"todolist cannot listen on {host}:{port}: {error.strerror}")
    port = server.listener.getsockname()[1]
    print(f"todolist {VERSION} listens on http://{host}:{port} as {name}", flush=True)
    server.run()
    print("todolist has finished its requests", flush=True)


def own_address():
    """The address of this machine by its name, as a container's /etc/hosts has it."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


if __name__ == "__main__":
    main()
