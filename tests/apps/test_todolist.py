"""The to-do list as its clients see it, each time in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import apps

SCRIPT = Path(apps.__file__).parent / "todolist/todolist.py"
HOST = "127.0.0.1"


class Server:
    """One running todolist."""

    def __init__(self, **settings: str) -> None:
        environ = {"PATH": os.environ["PATH"], "HOST": HOST, "PORT": "0", "HOSTNAME": "pod-1"}
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(SCRIPT)],
            env={**environ, "REQUEST_CPU_MS": "0", **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+) as", self.line)[1])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.port, timeout=20)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """(status, JSON or text) of one request on a connection of its own."""
        link = self.connect()
        data = body if isinstance(body, str) else json.dumps(body) if body is not None else None
        link.request(method, path, data)
        response = link.getresponse()
        text = response.read().decode()
        link.close()
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(text) if is_json else text

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.process.kill()
    started.process.wait()
    started.process.stdout.close()


def test_it_says_where_it_listens_and_as_whom(server: Server) -> None:
    assert server.line == f"todolist v1 listens on http://{HOST}:{server.port} as pod-1\n"


def test_a_new_list_has_a_few_items(server: Server) -> None:
    status, items = server.ask("GET", "/api/rule")
    assert status == 200
    assert items[0] == {"id": 1, "title": "Build an image", "done": False}


def test_an_item_is_created_changed_and_deleted(server: Server) -> None:
    status, item = server.ask("POST", "/api/rule", {"title": "new"})
    assert (status, item) == (201, {"id": 4, "title": "new", "done": False})
    assert server.ask("GET", "/api/rule/4") == (200, item)
    assert server.ask("PUT", "/api/rule/4", {"done": True}) == (200, {**item, "done": True})
    assert server.ask("DELETE", "/api/rule/4")[0] == 204
    assert server.ask("GET", "/api/rule/4") == (404, {"message": "there is no item 4"})
    assert len(server.ask("GET", "/api/rule")[1]) == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/api/rule", "{", 400, "the body is not JSON"),
        ("POST", "/api/rule", [], 400, 'the body is not a JSON object like {"title": "..."}'),
        ("POST", "/api/rule", {}, 400, "an item needs a title"),
        ("POST", "/api/rule", {"title": " "}, 400, "a title is a text of 1 to 200 characters"),
        ("POST", "/api/rule", {"title": 5}, 400, "a title is a text of 1 to 200 characters"),
        ("PUT", "/api/rule/1", {"done": "yes"}, 400, "done is true or false"),
        ("PUT", "/api/rule/9", {"done": True}, 404, "there is no item 9"),
        ("DELETE", "/api/rule/9", None, 404, "there is no item 9"),
        ("GET", "/api/rule/x", None, 404, "there is no item x"),
        ("GET", "/nosuch", None, 404, "there is nothing at /nosuch"),
        ("PATCH", "/api/rule", None, 405, "PATCH is not possible here, only GET, POST"),
        ("POST", "/healthz", None, 405, "POST is not possible here, only GET"),
        ("POST", "/api/rule", {"title": "x" * 70000}, 413, "a body has at most 65536 bytes"),
    ],
)
def test_bad_requests_are_refused_with_a_message(
    server: Server, method: str, path: str, body: object, status: int, words: str
) -> None:
    assert server.ask(method, path, body) == (status, {"message": words})


def test_health_and_readiness_are_separate_paths(server: Server) -> None:
    assert server.ask("GET", "/healthz") == (200, "ok\n")
    assert server.ask("GET", "/readyz") == (200, "ok\n")


def test_it_counts_its_requests_as_prometheus_reads_them(server: Server) -> None:
    for path in ("/api/rule", "/api/rule", "/api/rule/77", "/healthz"):
        server.ask("GET", path)
    connection = server.connect()
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    lines = answer.read().decode().splitlines()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'http_requests_total{method="GET",code="200"} 2' in lines
    assert 'http_requests_total{method="GET",code="404"} 1' in lines
    assert "http_requests_in_flight 0" in lines


def test_every_answer_says_who_gave_it(server: Server) -> None:
    link = server.connect()
    link.request("GET", "/nosuch")
    answer = link.getresponse()
    assert (answer.headers["X-Served-By"], answer.headers["X-Served-From"]) == ("pod-1", HOST)
    answer.read()
    link.request("GET", "/api/version")
    answer = link.getresponse()
    assert answer.headers["X-Served-Version"] == json.load(answer)["version"] == "v1"
    link.close()


def test_the_page_needs_nothing_from_elsewhere_and_has_only_relative_links(server: Server) -> None:
    status, page = server.ask("GET", "/")
    assert status == 200
    assert "pod-1" in page
    assert "{{" not in page
    links = re.findall(r"""(?:src|href|fetch\()\s*=?\s*["']([^"']*)""", page)
    assert links
    assert all(not link.startswith(("/", "http")) for link in links)


def test_a_head_request_has_no_body(server: Server) -> None:
    link = server.connect()
    link.request("HEAD", "/api/rule")
    answer = link.getresponse()
    assert int(answer.headers["Content-Length"]) > 0
    assert answer.read() == b""
    link.request("GET", "/healthz")
    assert link.getresponse().read() == b"ok\n"
    link.close()


def test_one_connection_serves_many_requests_also_when_they_come_together(server: Server) -> None:
    with socket.create_connection((HOST, server.port), timeout=20) as link:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        link.sendall(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert link.makefile("rb").read().count(b"\r\n\r\nok\n") == 3


def test_a_client_of_http_1_0_gets_its_connection_closed(server: Server) -> None:
    with socket.create_connection((HOST, server.port), timeout=20) as link:
        link.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert link.makefile("rb").read().endswith(b"ok\n")


def test_nonsense_is_answered_with_400(server: Server) -> None:
    with socket.create_connection((HOST, server.port), timeout=20) as link:
        link.sendall(b"nonsense\r\n\r\n")
        assert link.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"


def test_a_request_costs_the_cpu_time_it_is_set_to() -> None:
    server = Server(REQUEST_CPU_MS="40")
    for _ in range(5):
        assert server.ask("GET", "/api/rule")[0] == 200
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert server.end() == 0
    assert used >= 0.19


def test_sigterm_finishes_the_requests_in_flight_and_exits_with_0() -> None:
    server = Server(REQUEST_CPU_MS="300", ACCESS_LOG="1")
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(server.ask("GET", "/api/rule")[0]))
        for _ in range(4)
    ]
    idle = server.connect()
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    for thread in threads:
        thread.start()
    late = socket.create_connection((HOST, server.port), timeout=20)
    late.sendall(b"GET /api/rule HTTP/1.1\r\nHost: x\r\n\r\n")
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert answers == [200] * 4
    assert late.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert server.process.wait(20) == 0
    log = server.process.stdout.read()
    assert log.count("GET /api/rule 200") == 5
    assert log.endswith("todolist has finished its requests\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port))
    late.close()
    idle.close()


def test_after_sigterm_it_still_serves_but_sends_its_clients_away(server: Server) -> None:
    kept = server.connect()
    kept.request("GET", "/api/rule")
    kept.getresponse().read()
    server.process.send_signal(signal.SIGTERM)
    said = None
    while said != "close":  # the signal may take a moment
        kept.request("GET", "/api/rule")
        answer = kept.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        said = answer.headers["Connection"]
    assert server.ask("GET", "/readyz") == (503, {"message": "shutting down"})
    assert server.ask("GET", "/api/rule")[0] == 200
    assert server.process.wait(20) == 0


def test_access_is_logged_only_when_asked_for(server: Server) -> None:
    server.ask("GET", "/healthz")
    assert server.end() == 0
    assert server.process.stdout.read() == "todolist has finished its requests\n"


def test_two_on_one_address_is_a_clear_error(server: Server) -> None:
    environ = {**os.environ, "HOST": HOST, "PORT": str(server.port)}
    second = subprocess.run(
        [sys.executable, "-S", str(SCRIPT)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert f"cannot listen on {HOST}:{server.port}: Address already in use" in second.stderr
