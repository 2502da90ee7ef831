"""What all applications of the lessons answer, whatever else they do.

    GET  /healthz        alive            GET     /readyz         ready: 503 once it shuts down
    GET  /api/version    {"version": ...}
    GET  /metrics        requests so far and how long they took, in Prometheus' text format

Each request to the application itself costs `REQUEST_CPU_MS` of real CPU time, so that load is seen
as CPU.
"""

import json
import threading
import time

METHODS = ("GET", "POST", "PUT", "DELETE")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # Prometheus' own, s


class Refused(Exception):
    """An answer that is not a success: status and message."""

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status, self.headers = status, headers


class Metrics:
    """Requests: how many of which method and status, how many just now, and how long they took."""

    TYPE = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self):
        self._lock = threading.Lock()
        self._done, self._now = {}, 0
        self._within, self._seconds = [0] * len(BUCKETS), 0.0

    def counted(self, method, answer):
        """What `answer()` returns or raises."""
        with self._lock:
            self._now += 1
        status, begun = 500, time.monotonic()
        try:
            found = answer()
            status = found[0]
            return found
        except Refused as refused:
            status = refused.status
            raise
        finally:
            self._add(method, status, time.monotonic() - begun)

    def _add(self, method, status, seconds):
        key = (method if method in METHODS else "OTHER", status)
        with self._lock:
            self._now -= 1
            self._done[key] = self._done.get(key, 0) + 1
            self._seconds += seconds
            for place, limit in enumerate(BUCKETS):
                self._within[place] += seconds <= limit

    def page(self):
        with self._lock:
            done, now = sorted(self._done.items()), self._now
            within, seconds = list(self._within), self._seconds
        total = sum(count for _, count in done)
        lines = _described("http_requests_total", "counter", "Requests answered.")
        lines += [
            f'http_requests_total{{method="{method}",code="{status}"}} {count}'
            for (method, status), count in done
        ]
        lines += _described("http_requests_in_flight", "gauge", "Requests that are being answered.")
        lines += [f"http_requests_in_flight {now}"]
        name = "http_request_duration_seconds"
        lines += _described(name, "histogram", "How long requests took.")
        lines += [
            f'{name}_bucket{{le="{limit}"}} {count}'
            for limit, count in zip((*BUCKETS, "+Inf"), (*within, total), strict=True)
        ]
        lines += [f"{name}_sum {seconds:.6f}", f"{name}_count {total}", ""]
        return "\n".join(lines).encode()


def _described(name, kind, words):
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def use_cpu(milliseconds):
    """Compute until this thread has used that much CPU time, however long it takes."""
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        sum(range(500))


class App:
    """Requests to answers: (status, content type, body, headers).

    An application gives `title`, `version` and `cpu` (what a request costs where nothing else is
    set), and `serve(method, path, body)`, which may raise Refused.
    """

    title, version, cpu = "app", "v1", "5"

    def __init__(self, environ, name, address):
        self.cpu_ms = float(environ.get("REQUEST_CPU_MS", self.cpu))
        self.name, self.address = name, address
        self.ready = True
        self.metrics = Metrics()

    def answer(self, method, path, body):
        """Raises Refused."""
        if path == "/healthz":
            return only_get(method, "text/plain", b"ok\n")
        if path == "/readyz":
            if not self.ready:
                raise Refused(503, "shutting down")
            return only_get(method, "text/plain", b"ok\n")
        if path == "/metrics":
            return only_get(method, Metrics.TYPE, self.metrics.page())
        if path == "/api/version":
            version = json.dumps({"version": self.version}).encode() + b"\n"
            return only_get(method, "application/json", version)
        return self.serve(method, path, body)

    def serve(self, method, path, body):
        raise Refused(404, f"there is nothing at {path}")

    def worked(self, method, answer):
        """What `answer()` returns or raises, at the cost of a request and counted as one."""

        def work():
            use_cpu(self.cpu_ms)
            return answer()

        return self.metrics.counted(method, work)

    def html(self, path):
        """A page, with who serves it written in."""
        from html import escape  # here, because it is a millisecond of the start

        with open(path, encoding="utf-8") as file:
            text = file.read()
        values = {"NAME": self.name, "ADDRESS": self.address, "VERSION": self.version}
        for key, value in values.items():
            text = text.replace("{{" + key + "}}", escape(value))
        return text.encode()


def allow(method, *allowed):
    """Raises Refused for another method."""
    if method not in allowed:
        message = f"{method} is not possible here, only {', '.join(allowed)}"
        raise Refused(405, message, Allow=", ".join(allowed))


def only_get(method, kind, body):
    allow(method, "GET")
    return 200, kind, body, {}


def as_json(status, value, **headers):
    return status, "application/json", json.dumps(value).encode() + b"\n", headers
