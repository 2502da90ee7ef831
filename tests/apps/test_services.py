"""The application in three services: what web, rule and user answer, and how they work together.

First as processes, from a directory with the files of their images; then as containers, on both
engines.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker as docker_sdk
import pytest
from aiodocker import Docker

from labkit import apps
from labkit.clusters import docker_images
from tests.conftest import dockerd
from tests.engine.conftest import serving

APPS = Path(apps.__file__).parent
HOST = "127.0.0.1"
PORTS = {"web": 3000, "rule": 3001, "user": 3002}


class Answer:
    """Status, headers, and JSON or text."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        text = response.read().decode()
        is_json = self.headers["Content-Type"] == "application/json"
        self.body = json.loads(text) if is_json else text


def ask(address: str, path: str, method: str = "GET", body: object = None) -> Answer:
    """One request to `host:port` on a connection of its own."""
    link = http.client.HTTPConnection(address, timeout=20)
    try:
        link.request(method, path, json.dumps(body) if body is not None else None)
        return Answer(link.getresponse())
    finally:
        link.close()


class Service:
    """One running instance of a service."""

    def __init__(self, directory: Path, app: str, name: str, settings: dict[str, str]) -> None:
        environ = {"PATH": os.environ["PATH"], "HOST": HOST, "PORT": "0", "HOSTNAME": name}
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(directory / f"{app}.py")],
            env={**environ, "REQUEST_CPU_MS": "0", **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.line = self.process.stdout.readline()
        port = re.search(r":(\d+) as", self.line)[1]
        self.address = f"{HOST}:{port}"
        self.url = f"http://{self.address}"

    def ask(self, path: str, method: str = "GET", body: object = None) -> Answer:
        return ask(self.address, path, method, body)

    def end(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        status = self.process.wait(20)
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of each image, as its Dockerfile copies them."""
    root = tmp_path_factory.mktemp("images")
    for app in PORTS:
        (root / app).mkdir()
        text = (APPS / app / "Dockerfile").read_text()
        for file in re.search(r"^COPY (.+) \./$", text, re.MULTILINE)[1].split():
            shutil.copy(APPS / file, root / app)
    return root


@pytest.fixture
def start(images: Path) -> Iterator[Callable[..., Service]]:
    """Starts instances: `start("rule", "rule-1")`."""
    started: list[Service] = []

    def start(app: str, name: str, **settings: str) -> Service:
        started.append(Service(images / app, app, name, settings))
        return started[-1]

    yield start
    for service in started:
        if service.process.returncode is None:
            service.end()


@pytest.mark.parametrize("app", PORTS)
def test_each_says_who_it_is_and_ends_in_peace(start: Callable[..., Service], app: str) -> None:
    service = start(app, f"{app}-1")
    assert service.line == f"{app} v1 listens on {service.url} as {app}-1\n"
    assert service.ask("/healthz").body == service.ask("/readyz").body == "ok\n"
    version = service.ask("/api/version")
    assert (version.headers["X-Served-By"], version.body) == (f"{app}-1", {"version": "v1"})
    assert service.ask("/nosuch").body == {"message": "there is nothing at /nosuch"}
    assert service.end(signal.SIGTERM) == 0


def test_an_item_has_an_owner_and_rule_does_not_ask_who_that_is(
    start: Callable[..., Service],
) -> None:
    rule = start("rule", "rule-1")
    assert rule.ask("/api/rule").body[1] == {
        "id": 2, "title": "Run a Pod", "done": False, "owner": 2,
    }  # fmt: skip
    made = rule.ask("/api/rule", "POST", {"title": "new", "owner": 77})
    assert (made.status, made.headers["Location"]) == (201, "/api/rule/4")
    assert rule.ask("/api/rule/4").body == made.body
    refused = rule.ask("/api/rule/4", "PUT", {"owner": "Ada"})
    assert refused.body == {"message": "owner is a number, 0 for none"}


def test_users_come_and_go(start: Callable[..., Service]) -> None:
    user = start("user", "user-1")
    assert user.ask("/api/user").body[0] == {"id": 1, "name": "Ada"}
    assert user.ask("/api/user", "POST", {}).body == {"message": "a user needs a name"}
    assert user.ask("/api/user", "POST", {"name": "Edsger"}).body == {"id": 4, "name": "Edsger"}
    assert user.ask("/api/user/4", "DELETE").status == 204
    assert user.ask("/api/user/4").body == {"message": "there is no user 4"}


def test_web_passes_on_and_says_who_answered_and_through_whom(
    start: Callable[..., Service],
) -> None:
    rule, user = start("rule", "rule-1"), start("user", "user-1")
    web = start("web", "web-1", RULE_URL=rule.url, USER_URL=user.url)
    made = web.ask("/api/rule", "POST", {"title": "by web"})
    assert (made.status, made.headers["Location"]) == (201, "/api/rule/4")
    assert (made.headers["X-Served-By"], made.headers["Via"]) == ("rule-1", "1.1 web-1")
    assert rule.ask("/api/rule/4").body == made.body
    assert web.ask("/api/rule/4", "DELETE").status == 204
    assert web.ask("/api/rule/4").body == {"message": "there is no item 4"}
    assert web.ask("/api/user").headers["X-Served-By"] == "user-1"
    assert web.ask("/api/rule", "PATCH").headers["Allow"] == "GET, POST"


def test_the_time_at_each_hop_comes_with_the_answer(start: Callable[..., Service]) -> None:
    rule = start("rule", "rule-1", REQUEST_CPU_MS="20")
    web = start("web", "web-1", RULE_URL=rule.url)
    timing = web.ask("/api/rule").headers["Server-Timing"]
    (first, inner), (second, outer) = re.findall(r"(\w+);dur=([\d.]+)", timing)
    assert (first, second) == ("rule", "web")
    assert 20 <= float(inner) <= float(outer)


def test_addresses_take_turns_and_one_that_is_dead_is_not_left_out(
    start: Callable[..., Service],
) -> None:
    rules = [start("rule", f"rule-{number}") for number in (1, 2, 3)]
    web = start("web", "web-1", RULE_URL=",".join(rule.url for rule in rules))
    names = [web.ask("/api/rule").headers["X-Served-By"] for _ in range(6)]
    assert names == ["rule-1", "rule-2", "rule-3"] * 2
    rules[1].end()
    answers = [web.ask("/api/rule") for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 502, 200] * 2
    words = f"rule at {rules[1].url} does not answer: Connection refused"
    assert answers[1].body == {"message": words}


def test_a_service_that_is_silent_or_unknown_is_told_apart(start: Callable[..., Service]) -> None:
    with socket.create_server((HOST, 0)) as silent:
        url = f"http://{HOST}:{silent.getsockname()[1]}"
        web = start("web", "web-1", RULE_URL=url, USER_URL="http://nosuch.invalid:3002")
        late, unknown = web.ask("/api/rule"), web.ask("/api/user")
    assert (late.status, late.body) == (
        504,
        {"message": f"rule at {url} gives no answer in time"},
    )
    assert unknown.status == 502
    assert unknown.body["message"].endswith("there is no address for the name nosuch.invalid")


def test_requests_are_counted_and_timed_as_prometheus_reads_them(
    start: Callable[..., Service],
) -> None:
    rule = start("rule", "rule-1")
    web = start("web", "web-1", RULE_URL=rule.url)
    for path in ("/api/rule", "/api/rule/77", "/healthz"):
        web.ask(path)
    for service in (web, rule):
        lines = service.ask("/metrics").body.splitlines()
        assert 'http_requests_total{method="GET",code="200"} 1' in lines
        assert 'http_requests_total{method="GET",code="404"} 1' in lines
        assert 'http_request_duration_seconds_bucket{le="+Inf"} 2' in lines
        assert "http_request_duration_seconds_count 2" in lines
        assert "http_requests_in_flight 0" in lines


def test_the_page_has_only_relative_links(start: Callable[..., Service]) -> None:
    web = start("web", "web-1", RULE_URL="http://127.0.0.1:9")
    page = web.ask("/").body
    assert "web-1" in page
    assert "{{" not in page
    links = re.findall(r"""(?:src|href|fetch\()\s*=?\s*["']([^"']*)""", page)
    assert links
    assert all(not link.startswith(("/", "http")) for link in links)


# As containers


@contextmanager
def _embedded() -> Iterator[docker_sdk.DockerClient]:
    directory = Path(tempfile.mkdtemp(prefix="labkit-"))
    with serving(directory) as (_, url):
        client = docker_sdk.DockerClient(base_url=url)
        for app in PORTS:
            client.images.pull(app)
        yield client
        client.close()
    shutil.rmtree(directory, ignore_errors=True)


async def _build(url: str) -> None:
    async with Docker(url) as daemon:
        await docker_images.ensure(daemon, lambda _: None)


@contextmanager
def _dockerd() -> Iterator[docker_sdk.DockerClient]:
    url = dockerd()
    asyncio.run(_build(url))
    client = docker_sdk.DockerClient(base_url=url)
    yield client
    client.close()


@pytest.fixture(params=[_embedded, _dockerd], ids=["embedded", "dockerd"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Runs a container of an image and returns its `address:port`."""
    started = []

    def run(app: str, name: str, **settings: str) -> str:
        options = {"hostname": name, "environment": settings, "labels": {"labkit-test": "services"}}
        container = client.containers.run(app, detach=True, **options)
        started.append(container)
        container.reload()
        found = container.attrs["NetworkSettings"]["Networks"].values()
        address = f"{next(iter(found))['IPAddress']}:{PORTS[app]}"
        _until_healthy(address)
        return address

    with request.param() as client:
        yield run
        for container in started:
            container.remove(force=True)


def _until_healthy(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            assert ask(address, "/healthz").status == 200
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nobody listens at {address}"
            time.sleep(0.02)


def test_the_three_images_work_together_as_containers(run: Callable[..., str]) -> None:
    rules = [run("rule", f"rule-{number}") for number in (1, 2)]
    user = run("user", "user-1")
    urls = ",".join(f"http://{address}" for address in rules)
    web = run("web", "web-1", RULE_URL=urls, USER_URL=f"http://{user}")
    answers = [ask(web, path) for path in ("/", "/api/rule", "/api/rule", "/api/user")]
    assert [answer.status for answer in answers] == [200] * 4
    names = [answer.headers["X-Served-By"] for answer in answers]
    assert names == ["web-1", "rule-1", "rule-2", "user-1"]
