"""Odd requests in great number: never a 500, never a hang, no growth of memory without bound.

`LABKIT_TEST_FUZZ` says how many requests are sent, `LABKIT_TEST_FUZZ_SEED` which.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.durability.server import ServerProcess
from tests.fuzz.requests import NAMESPACES, Fuzzer, Request, Resource
from tests.fuzz.seeds import CRD
from tests.fuzz.wire import Answer, Connection

REQUESTS = int(os.environ.get("LABKIT_TEST_FUZZ", "3000"))
SEED = int(os.environ.get("LABKIT_TEST_FUZZ_SEED", "1"))
CONNECTIONS = 8
_SAMPLE = 250  # requests of a connection between two looks at memory and at what has gathered
_HEADROOM = 24 << 20  # bytes: the allocator's, and of caches that fill up once
# What a kube-apiserver says too: of a kubelet or a backend that is not there, of such headers.
_UPSTREAM_TOO = re.compile(
    r"dial tcp|connection refused|error trying to reach service|Get \"http"
    r"|requested impersonation without impersonating a user|no preferred addresses found"
    r"|no endpoints available for service|more than one PodDisruptionBudget"
    r"|the spec replicas field .* does not exist"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path, window=32)
    server.start()
    yield server
    server.stop()


def prepare(server: ServerProcess) -> list[Resource]:
    """Make what requests are about; all that is served."""
    with server.http() as http:
        for name in NAMESPACES[1:]:
            http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert http.post(definitions, json=CRD).status_code == 201
        groups = http.get("/apis").json()["groups"]
        versions = [v["groupVersion"] for group in groups for v in group["versions"]]
        found = []
        for prefix in ("/api/v1", *(f"/apis/{version}" for version in versions)):
            answer = http.get(prefix)
            if answer.status_code == 200:
                found += [_resource(prefix, one) for one in answer.json()["resources"]]
        return found


def _resource(prefix: str, told: dict) -> Resource:
    plural, _, subresource = told["name"].partition("/")
    version = told.get("version") or prefix.rpartition("/")[2]
    group = told.get("group") or (prefix.split("/")[2] if prefix.startswith("/apis") else "")
    api_version = f"{group}/{version}" if group else version
    verbs = tuple(told["verbs"])
    return Resource(
        prefix, plural, subresource, told["kind"], api_version, told["namespaced"], verbs
    )


class Run:
    """One run: who sends, what was answered, what was wrong."""

    def __init__(self, server: ServerProcess, resources: list[Resource]) -> None:
        self._server, self._resources = server, resources
        paths = {
            f"{re.escape(one.prefix)}(?:/watch)?(?:/namespaces/[^/]+)?/{one.plural}(?:/[^/]+)?"
            + (f"/{one.subresource}" if one.subresource else "")
            for one in resources
            if not one.prefix.startswith(f"/apis/{CRD['spec']['group']}/")  # may be deleted
        }
        self._served = re.compile("|".join(sorted(paths)))
        self._process = psutil.Process(server.process.pid)
        self.codes: Counter[int | None] = Counter()
        self.wrong: list[str] = []
        self.memory: list[int] = []

    async def run(self, requests: int) -> None:
        """Send that many, over all connections together."""
        each = requests // CONNECTIONS
        await asyncio.gather(*(self._send(number, each) for number in range(CONNECTIONS)))

    async def _send(self, number: int, requests: int) -> None:
        context = self._server.certificates.client()
        connection = Connection("127.0.0.1", self._server.port, context)
        fuzzer = Fuzzer(self._resources, SEED * 1000 + number)
        for count in range(requests):
            request = fuzzer.next()
            try:
                answer = await connection.ask(request)
            except TimeoutError:
                connection.close()
                self.wrong.append(f"no answer: {_shown(request)}")
                continue
            if self._server.process.poll() is not None:
                self.wrong.append(f"the server has ended, perhaps by this: {_shown(request)}")
                return
            self.codes[answer and answer.code] += 1
            if answer and (what := wrong(answer, self._serves(request))):
                self.wrong.append(f"{what}: {_shown(request)}\n  {answer.body[:600]!r}")
            if number == 0 and count % _SAMPLE == _SAMPLE - 1:
                await self._tidy(connection)
        connection.close()

    def _serves(self, request: Request) -> bool:
        """Whether the path is one of a resource; of other paths nothing but 404 is known."""
        return bool(self._served.fullmatch(request.target.partition("?")[0]))

    async def _tidy(self, connection: Connection) -> None:
        """What requests have made goes, so that memory can only grow by what is forgotten."""
        for resource in self._resources:
            if "deletecollection" in resource.verbs and resource.plural in _GATHERING:
                for namespace in NAMESPACES:
                    path = f"{resource.prefix}/namespaces/{namespace}/{resource.plural}"
                    await connection.ask(Request("DELETE", path, (), b""))
        self.memory.append(self._process.memory_info().rss)


_GATHERING = ("pods", "events", "configmaps", "secrets", "services", "replicasets", "jobs")


def wrong(answer: Answer, served: bool = True) -> str:
    """What is wrong with an answer, if anything, to a request about what is served or is not."""
    if answer.code < 400:
        return ""
    if not served and (answer.code, answer.body) == (404, b"404 page not found\n"):
        return ""
    status = answer.status()
    if not answer.body:  # to a HEAD
        return ""
    if answer.code in (500, 502, 503) and _UPSTREAM_TOO.search(status.get("message", "")):
        return ""
    if answer.code >= 500 and answer.code != 504:
        return f"{answer.code}"
    if status.get("kind") != "Status" or status.get("code") != answer.code:
        return "a refusal that is no Status"
    return ""


def _shown(request: Request) -> str:
    head = f"{request.method} {request.target[:200]} {request.raw} {request.headers}"
    return f"{head}\n  {request.body[:1500]!r}"


@pytest.mark.timeout(1800)
def test_odd_requests_are_answered_or_refused_and_never_break_the_server(server):
    resources = prepare(server)
    run = Run(server, resources)
    asyncio.run(run.run(REQUESTS))
    report = f"seed {SEED}, {REQUESTS} requests, codes {sorted(map(str, run.codes.items()))}"
    print(f"{report}, memory {[size >> 20 for size in run.memory]} MiB")
    faults = _faults(server.log())
    assert not run.wrong, "\n".join([report, *faults, *run.wrong[:20]])
    assert not faults, "\n".join([report, *faults])
    assert run.codes[200] + run.codes[201] > REQUESTS // 10, report
    half = len(run.memory) // 2
    if half > 2:
        growth = max(run.memory[half:]) - max(run.memory[:half])
        assert growth < _HEADROOM, f"{growth >> 20} MiB more in the second half: {report}"
    _still_works(server)
    server.kill()
    server.start()  # what was stored can be loaded
    _still_works(server)


def _faults(log: str) -> list[str]:
    """The ends of all different tracebacks in a log."""
    found = log.split("Traceback (most recent call last):\n")[1:]
    ends = (one.split("\nrequest failed")[0].splitlines() for one in found)
    by_place = {tuple(lines[-5:]): lines[-14:] for lines in ends}
    return ["\n".join(lines) for lines in by_place.values()]


def _still_works(server: ServerProcess) -> None:
    with server.http() as http:
        assert http.get("/readyz").status_code == 200
        name = f"after-{server.process.pid}"
        body = json.dumps({"metadata": {"name": name}})
        path = "/api/v1/namespaces/kube-public/configmaps"
        assert http.post(path, content=body).status_code == 201
        assert http.get(f"{path}/{name}").status_code == 200
        assert http.get("/api/v1/pods").status_code == 200
