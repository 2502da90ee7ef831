"""The front, one of the three services of the application: web, rule, user.

    GET  /               a page to use it with
    any  /api/rule...    passed on to RULE_URL      any  /api/user...    passed on to USER_URL
    GET  /healthz        and what else all applications answer: `application.py`

It is a reverse proxy.  RULE_URL and USER_URL name where to: `http://rule:3001`, or several
addresses with commas between them, which take turns.  A name is looked up for each request, and
each request has a connection of its own, so that a Service can balance them; both cost a little.
An address that refuses is not left out: whoever asks then gets a 502 that says so; one that is
silent costs a second for the connection, or five for the answer, and gives a 504.

What comes back says who gave it (`X-Served-By`) and through whom it came (`Via`); `Server-Timing`
has the time of both.  Each request costs `REQUEST_CPU_MS` of CPU here (default 1).  Left out:
upgraded connections, bodies without a length, passing on the client's headers but its body's type.
"""

import errno
import http.client
import itertools
import os
import socket
import threading
from urllib.parse import urlsplit

import resolver
import server
from application import App, Refused, only_get

VERSION = "v1"
CONNECT_SECONDS, ANSWER_SECONDS = 1, 5
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "index.html")
PASSED = ("Content-Type", "Location", "Allow", "Server-Timing")
SERVED = ("X-Served-By", "X-Served-From", "X-Served-Version")


class Upstream:
    """A service behind this one, by its addresses."""

    def __init__(self, name, urls):
        self.name = name
        self._turns = itertools.cycle(urls.replace(",", " ").split())
        self._lock = threading.Lock()  # for `cycle` is not made for several threads

    def ask(self, method, path, body):
        """(status, headers, body) from the next address.  Raises Refused."""
        with self._lock:
            url = next(self._turns)
        parts = urlsplit(url)
        link = http.client.HTTPConnection(parts.hostname, parts.port or 80)
        try:
            link.sock = connected(link.host, link.port)
            link.request(method, path, body or None, {"Connection": "close"})
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()
        except TimeoutError:
            raise Refused(504, f"{self.name} at {url} gives no answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or "it ended without an answer"
            raise Refused(502, f"{self.name} at {url} does not answer: {reason}") from None
        finally:
            link.close()


def connected(host, port):
    """A connection to a name or address, as this container.  Raises OSError."""
    addresses = resolver.resolve(host)
    if not addresses:
        raise OSError(errno.EHOSTUNREACH, f"there is no address for the name {host}")
    link = socket.socket()
    try:
        link.settimeout(CONNECT_SECONDS)
        resolver.send_as_container(link, addresses[0])
        link.connect((addresses[0], port))
        link.settimeout(ANSWER_SECONDS)
    except OSError:
        link.close()
        raise
    return link


class Web(App):
    """The page, and the way to the other services."""

    title, version, cpu = "web", VERSION, "1"

    def __init__(self, environ, name, address):
        super().__init__(environ, name, address)
        rule = environ.get("RULE_URL") or "http://rule:3001"
        user = environ.get("USER_URL") or "http://user:3002"
        self.upstreams = {"/api/rule": Upstream("rule", rule), "/api/user": Upstream("user", user)}

    def serve(self, method, path, body):
        if path == "/":
            return self.worked(method, lambda: self.page(method))
        for start, upstream in self.upstreams.items():
            if path == start or path.startswith(start + "/"):
                return self.worked(method, lambda to=upstream: self.passed(to, method, path, body))
        return super().serve(method, path, body)

    def page(self, method):
        return only_get(method, "text/html; charset=utf-8", self.html(PAGE))

    def passed(self, upstream, method, path, body):
        """What a service behind this one answers."""
        status, headers, found = upstream.ask(method, path, body)
        more = {name: headers[name] for name in (*PASSED, *SERVED) if name in headers}
        kind = more.pop("Content-Type", None)
        return status, kind, found, {**more, "Via": f"1.1 {self.name}"}


if __name__ == "__main__":
    server.run(Web, 3000)
