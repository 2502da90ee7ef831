"""Real clients watch while the server is killed again and again: they lose and repeat nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import kubernetes
import pytest
import urllib3

from labkit.client import ApiError, Client, kubeconfig
from labkit.kube.resources import CONFIG_MAPS
from tests.durability.server import ServerProcess
from tests.serving import until

EVENTS, KILLS, LANES = 10_000, 3, 16
HANDLED = 40  # objects that the operator handles, in each of their states that it comes to see
_END = "the-end"


class Write(NamedTuple):
    """An acknowledged write; a deletion's answer tells no revision."""

    name: str
    revision: int | None
    n: str | None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path)
    server.start()
    yield server
    server.stop()


class Watcher(threading.Thread):
    """The official client: it resumes from the last resourceVersion that it has seen."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(daemon=True)
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(
            str(server.kubeconfig), client_configuration=configuration
        )
        self._api = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
        self.revision = self._api.list_namespaced_config_map("default").metadata.resource_version
        self.events: list[tuple[str, str, int]] = []
        self.resumed = -1
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self._watch():
                pass
        except BaseException as error:
            self.failure = error

    def _watch(self) -> bool:
        """Whether the end has been seen."""
        self.resumed += 1
        watch = kubernetes.watch.Watch()
        try:
            for event in watch.stream(
                self._api.list_namespaced_config_map, "default", resource_version=self.revision
            ):
                metadata = event["object"].metadata
                self.revision = metadata.resource_version
                self.events.append((event["type"], metadata.name, int(self.revision)))
                if metadata.name == _END:
                    return True
        except (urllib3.exceptions.HTTPError, OSError):
            threading.Event().wait(0.1)  # the server is down
        return False


class Writer:
    """Creates, changes and deletes ConfigMaps; what fails because the server died is forgotten."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.acknowledged: list[Write] = []
        self.cut_off = 0
        self.final: dict[str, str] = {}
        self._up, self._due = asyncio.Event(), asyncio.Event()
        self._left = EVENTS

    async def run(self) -> None:
        """All writes, and all kills among them."""
        self._up.set()
        client = Client(kubeconfig.transport(self._server.kubeconfig))
        try:
            lanes = [asyncio.create_task(self._lane(lane, client)) for lane in range(LANES)]
            for _ in range(KILLS):
                await self._due.wait()
                await self._kill()
            await asyncio.gather(*lanes)
            for name in sorted(self.final):  # what the last kill cut off may be in doubt
                await self._put(client, name, "last")
            await self._put(client, _END, "0")
        finally:
            await client.close()

    def _take(self, events: int) -> None:
        """So many events of all are begun; a kill is due after each share of them."""
        share = EVENTS // (KILLS + 1)
        before, self._left = self._left, self._left - events
        if before // share != self._left // share:
            self._due.set()

    async def _kill(self) -> None:
        self._due.clear()
        self._up.clear()
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)
        self._up.set()

    async def _lane(self, lane: int, client: Client) -> None:
        chance, number = random.Random(lane), 0
        while self._left > 0:
            await self._up.wait()
            number += 1
            handled = chance.random() < 0.03
            name = f"handled-{chance.randrange(HANDLED)}" if handled else f"plain-{lane}-{number}"
            self._take(1 if handled else 3)
            try:
                await self._put(client, name, f"{lane}-{number}")
                if not handled:
                    await self._put(client, name, "changed")
                    await client.delete(CONFIG_MAPS, name, "default")
                    self.acknowledged.append(Write(name, None, None))
            except OSError:
                self.cut_off += 1
                self._left += 3  # of which there may be none
                await asyncio.sleep(0.05)

    async def _put(self, client: Client, name: str, n: str) -> None:
        """Create the object, or change it."""
        handled = name.startswith("handled")
        labels = {"handled": "yes"} if handled else {}
        obj = {"metadata": {"name": name, "labels": labels}, "data": {"n": n}}
        try:
            made = await client.create(CONFIG_MAPS, obj, "default")
        except ApiError as error:
            if not error.already_exists:
                raise
            made = await client.patch(CONFIG_MAPS, name, {"data": {"n": n}}, "default")
        self.acknowledged.append(Write(name, int(made["metadata"]["resourceVersion"]), n))
        if handled:
            self.final[name] = n


@pytest.fixture
def operator(server: ServerProcess, tmp_path: Path) -> Iterator[Path]:
    """A running operator; the file of what it has handled."""
    handled = tmp_path / "handled"
    handled.touch()
    environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "HANDLED": str(handled)}
    program = str(Path(__file__).with_name("kopf_operator.py"))
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "-n", "default", program]
    with open(tmp_path / "kopf.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    yield handled
    process.terminate()
    process.wait(30)


@pytest.mark.timeout(300)
def test_no_event_is_lost_or_repeated_while_the_server_is_killed(server, operator):
    watcher, writer = Watcher(server), Writer(server)
    asyncio.run(writer.run())
    watcher.join(60)
    assert watcher.failure is None
    assert not watcher.is_alive(), "the watcher has not seen the end"
    assert len(watcher.events) >= EVENTS
    assert watcher.resumed >= KILLS
    revisions = [revision for _, _, revision in watcher.events]
    assert revisions == sorted(set(revisions)), "events were repeated or out of order"

    seen = {(name, revision) for _, name, revision in watcher.events}
    lost = [w for w in writer.acknowledged if w.revision and (w.name, w.revision) not in seen]
    assert not lost
    deleted = {name for type, name, _ in watcher.events if type == "DELETED"}
    assert {w.name for w in writer.acknowledged if w.revision is None} <= deleted

    states = until(lambda: _settled(operator, writer.final), 60, "the operator to handle all")
    assert states == writer.final
    _assert_handled_once(operator)


def _handled(file: Path) -> list[list[str]]:
    return [
        json.loads(line) for line in file.read_text().splitlines(keepends=True) if line[-1:] == "\n"
    ]


def _settled(file: Path, final: dict[str, str]) -> dict[str, str] | None:
    """The last state of each object that was handled, once that is the final one."""
    states = {name: n for handler, name, *_, n in _handled(file) if handler in ("create", "update")}
    return states if states == final else None


def _assert_handled_once(file: Path) -> None:
    entries = [tuple(entry) for entry in _handled(file)]
    changes = [entry for entry in entries if entry[0] in ("create", "update")]
    assert len({(uid, n) for _, _, uid, _, n in changes}) == len(changes), "handled twice"
    creations = [uid for handler, _, uid, *_ in changes if handler == "create"]
    assert len(creations) == len(set(creations)), "created twice"
    watched = [entry for entry in entries if entry[0] in ("event ADDED", "event MODIFIED")]
    assert len(watched) == len(set(watched)), "an event of a watch came twice"
