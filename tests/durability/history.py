"""Plays a plan: writers and watchers at once against a server that is killed and comes back.

Everything that a client does is recorded with what it could have known, and every record that the
server hands to its store; `model` judges that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from labkit.apiserver import core, state, store_sqlite
from labkit.apiserver.state import State
from labkit.apiserver.store import Record
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube.resources import CONFIG_MAPS, SECRETS, Resource
from tests.apiserver.conftest import ADMIN, SERVICE_CIDR
from tests.durability.killable import KillableStore
from tests.durability.model import Bookmark, Epoch, Operation, Resumed, Seen, Written, version

RESOURCES = {resource.name: resource for resource in (CONFIG_MAPS, SECRETS)}
NAMESPACES, GROUPS, NAMES = ("default", "kube-public"), ("a", "b"), ("x", "y")
KINDS = ("create", "create", "create", "update", "replace", "patch", "delete", "get")
WIDE = 4096  # a window that nothing leaves in such short histories
_PATIENCE = 10.0  # seconds, where some 0.1 are needed


class Act(NamedTuple):
    """One thing that a writer does: after `pause` turns of the loop."""

    kind: str
    resource: str
    namespace: str
    name: str
    group: str
    pause: int


class Watching(NamedTuple):
    """One watcher; it leaves and resumes after `patience` events, if that is not 0."""

    resource: str
    namespace: str
    group: str
    streaming: bool
    patience: int


class Plan(NamedTuple):
    """Kills are after so many answers; `cut` is how much of what nobody knew is lost."""

    window: int
    writers: list[list[Act]]
    watchers: list[Watching]
    kills: list[int]
    cut: float
    linger: int


class History(NamedTuple):
    """What happened."""

    log: list[Written]
    operations: list[Operation]
    epochs: list[Epoch]


class Player:
    """Plays one plan in a directory, from a store that has had its first start."""

    def __init__(self, plan: Plan, directory: Path, template: bytes) -> None:
        self.plan, self._directory, self._template = plan, directory, template
        self.log: list[Written] = []
        self.operations: list[Operation] = []
        self.epochs: list[Epoch] = []
        self._seen = 0  # the newest revision that any client knows
        self._given = 0  # the newest revision that the server has given out
        self._answers = 0
        self._answered = asyncio.Event()
        self._acts = [iter(acts) for acts in plan.writers]
        self._known: list[dict[tuple[str, str], str]] = [{} for _ in plan.writers]
        self._watched: list[Epoch | None] = [None] * len(plan.watchers)
        self._last = 0  # the revision after which watchers need not wait for more

    async def play(self) -> History:
        """Every life of the server, one after the other."""
        path = self._directory / "0.db"
        path.write_bytes(self._template)
        for number, answers in enumerate([*self.plan.kills, None], 1):
            after = self._directory / f"{number}.db"
            await asyncio.wait_for(self._live(path, answers, after), _PATIENCE)
            path = after
        return History(self.log, self.operations, self.epochs)

    async def _live(self, path: Path, answers: int | None, after: Path) -> None:
        store = KillableStore(path, self._heard)
        api = core.APIServer(store, Clock(), service_cidr=SERVICE_CIDR)
        await api.start()
        self._survived(api.state.revision)
        client = Client(api.transport(ADMIN))
        writing = [self._write(number, client) for number in range(len(self.plan.writers))]
        watching = [self._watch(number, client) for number in range(len(self.plan.watchers))]
        try:
            async with asyncio.TaskGroup() as group:
                writers = [group.create_task(one) for one in writing]
                watchers = [group.create_task(one) for one in watching]
                bookmarks = group.create_task(self._send_bookmarks(api))
                if answers is None:
                    await asyncio.wait(writers)
                    await self._finish(client)
                    await asyncio.wait(watchers)
                    bookmarks.cancel()
                else:
                    await self._until(self._answers + answers, writers)
                    store.kill(after, self.plan.cut)
                    for task in (*writers, *watchers, bookmarks):
                        task.cancel()
        finally:
            await api.stop()

    def _heard(self, record: Record) -> None:
        self._given = record.revision
        obj = orjson.loads(record.value)
        self.log.append(Written(record.revision, record.resource, record.key, record.deleted, obj))

    def _survived(self, revision: int) -> None:
        """A server has come back with this revision: what is above it was lost with the other."""
        self.log = [record for record in self.log if record.revision <= revision]
        self._given = revision
        assert revision >= self._seen, "revisions never go back"

    async def _until(self, answers: int, writers: list[asyncio.Task]) -> None:
        while self._answers < answers and not all(task.done() for task in writers):
            self._answered.clear()
            await asyncio.wait(
                [asyncio.ensure_future(self._answered.wait()), *writers],
                return_when=asyncio.FIRST_COMPLETED,
            )
        for _ in range(self.plan.linger):
            await asyncio.sleep(0)

    async def _send_bookmarks(self, api: core.APIServer) -> None:
        while True:
            api._housekeeping._send_bookmarks()
            for _ in range(20):
                await asyncio.sleep(0)

    async def _write(self, number: int, client: Client) -> None:
        for act in self._acts[number]:
            for _ in range(act.pause):
                await asyncio.sleep(0)
            await self._do(number, act, client)

    async def _finish(self, client: Client) -> None:
        """Objects that every watcher sees come last."""
        for resource in RESOURCES:
            for namespace in NAMESPACES:
                for group in GROUPS:
                    act = Act("create", resource, namespace, f"end-{group}", group, 0)
                    await self._do(-1, act, client)
        self._last = self._given

    async def _do(self, number: int, act: Act, client: Client) -> None:
        key = f"{act.namespace}/{act.name}"
        known = self._known[number] if number >= 0 else {}
        sent = known.get((act.resource, key), "") if act.kind == "update" else ""
        kind = "replace" if act.kind == "update" else act.kind
        token = f"{len(self.operations):08x}"  # which is base64 too, as a Secret wants it
        operation = Operation(
            number, kind, act.resource, key, token, act.group, sent, seen=self._seen
        )
        self.operations.append(operation)
        try:
            answer = await _send(client, act, operation)
        except ApiError as error:
            operation.refusal = error.reason
        else:
            operation.answer = answer
            if answer["kind"] != "Status":
                known[act.resource, key] = answer["metadata"]["resourceVersion"]
                self._seen = max(self._seen, version(answer))
        operation.bound = self._given
        self._answers += 1
        self._answered.set()

    async def _watch(self, number: int, client: Client) -> None:
        wanted = self.plan.watchers[number]
        while not self._done(self._watched[number]):
            epoch = self._watched[number]
            try:
                if epoch is None:
                    begin = self._stream if wanted.streaming else self._list
                    await begin(number, wanted, client)
                else:
                    epoch.steps.append(Resumed(_reached(epoch)))
                    await self._follow(epoch, wanted, client)
            except ApiError as error:
                if error.reason != "Expired" or self.plan.window >= WIDE:
                    raise
                self._watched[number] = None
        self._watched[number].complete = True

    def _done(self, epoch: Epoch | None) -> bool:
        if not epoch or not self._last:
            return False
        shown = (step.revision for step in epoch.steps if isinstance(step, Seen | Bookmark))
        return max(shown, default=epoch.revision) >= self._final(epoch)

    def _final(self, epoch: Epoch) -> int:
        return max(
            record.revision
            for record in self.log
            if record.resource == epoch.resource and epoch.selects(record.obj)
        )

    async def _list(self, number: int, wanted: Watching, client: Client) -> None:
        seen = self._seen
        answer = await client.list(
            RESOURCES[wanted.resource], wanted.namespace, label_selector=_selector(wanted)
        )
        self._begin(number, wanted, seen, version(answer), answer["items"])

    def _begin(self, number: int, wanted: Watching, seen: int, revision: int, items: list) -> None:
        epoch = Epoch(wanted.resource, wanted.namespace, wanted.group, revision, list(items), seen)
        self._seen = max(self._seen, revision)
        self.epochs.append(epoch)
        self._watched[number] = epoch

    async def _stream(self, number: int, wanted: Watching, client: Client) -> None:
        """A streaming list: the objects come as events, then a bookmark, then the watch."""
        seen, items = self._seen, []
        params = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        async with aclosing(_events(client, wanted, params)) as events:
            async for event in events:
                if event["type"] == "BOOKMARK":
                    self._begin(number, wanted, seen, version(event["object"]), items)
                    await self._take(self._watched[number], wanted, events)
                    return
                assert event["type"] == "ADDED"
                items.append(event["object"])

    async def _follow(self, epoch: Epoch, wanted: Watching, client: Client) -> None:
        params = {"resourceVersion": str(_reached(epoch))}
        async with aclosing(_events(client, wanted, params)) as events:
            await self._take(epoch, wanted, events)

    async def _take(self, epoch: Epoch, wanted: Watching, events) -> None:
        taken = 0
        while not self._done(epoch) and (not wanted.patience or taken < wanted.patience):
            event = await anext(events)
            obj, taken = event["object"], taken + 1
            if event["type"] == "ERROR":
                raise ApiError(obj)
            step = Seen(event["type"], version(obj), obj)
            epoch.steps.append(Bookmark(version(obj)) if step.type == "BOOKMARK" else step)
            self._seen = max(self._seen, version(obj))


def _reached(epoch: Epoch) -> int:
    return epoch.steps[-1].revision if epoch.steps else epoch.revision


def _selector(wanted: Watching) -> str:
    return f"group={wanted.group}" if wanted.group else ""


def _events(client: Client, wanted: Watching, params: dict):
    path = RESOURCES[wanted.resource].path(wanted.namespace or None)
    params = {**params, "allowWatchBookmarks": "true"}
    if wanted.group:
        params["labelSelector"] = _selector(wanted)
    return client.transport.watch(path, params)


def _send(client: Client, act: Act, operation: Operation) -> Coroutine:
    resource: Resource = RESOURCES[act.resource]
    if act.kind == "get":
        return client.get(resource, act.name, act.namespace)
    if act.kind == "delete":
        return client.delete(resource, act.name, act.namespace)
    labels, data = {"group": act.group}, {"token": operation.token}
    if act.kind == "patch":
        data[f"by-{operation.client}"] = operation.token
        patch = {"metadata": {"labels": labels}, "data": data}
        return client.patch(resource, act.name, patch, act.namespace)
    metadata = {"name": act.name, "namespace": act.namespace, "labels": labels}
    if operation.version:
        metadata["resourceVersion"] = operation.version
    send: Callable = client.create if act.kind == "create" else client.update
    return send(resource, {"metadata": metadata, "data": data})


def play(plan: Plan, directory: Path, template: bytes, patch: pytest.MonkeyPatch) -> History:
    """The history of a plan; what a server does once in thousands of writes, it does often here."""
    patch.setattr(core, "State", partial(State, window=plan.window))
    patch.setattr(state, "_TRIM_BATCH", 3)
    patch.setattr(store_sqlite, "_CHECKPOINT_EVERY", 5)
    patch.setattr(store_sqlite, "_RESTART_EVERY", 17)
    return asyncio.run(Player(plan, directory, template).play())


def first_start(directory: Path) -> bytes:
    """The store of a server that has started and stopped."""

    async def run() -> None:
        store = KillableStore(directory / "state.db", lambda record: None)
        api = core.APIServer(store, Clock(), service_cidr=SERVICE_CIDR)
        await api.start()
        await api.stop()

    asyncio.run(run())
    return (directory / "state.db").read_bytes()
