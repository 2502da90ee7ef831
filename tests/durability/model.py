"""What a history must look like, by a plain model: a log of writes, replayed one after the other.

The six properties of watches are those of etcd's robustness suite:

    ordered       events come in the order of their revisions
    unique        no event comes twice
    atomic        an event shows one write, whole and as it was made
    reliable      between two events of a watch there is none that it should have shown
    resumable     a watch that goes on from a revision shows everything after it
    bookmarkable  when a bookmark says how far the watch is, it has shown everything up to there

Source: https://github.com/etcd-io/etcd/tree/main/tests/robustness
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple


class Written(NamedTuple):
    """One record of the log that survived."""

    revision: int
    resource: str
    key: str
    deleted: bool
    obj: Mapping


@dataclass
class Operation:
    """One request of a writer; with neither answer nor refusal it was cut off by a kill.

    `seen` is the newest revision that any client knew of when it was sent, `bound` the newest that
    had been given out when it was answered: it took effect between the two.
    """

    client: int
    kind: str
    resource: str
    key: str
    token: str
    group: str
    version: str
    seen: int
    bound: int = 0
    answer: Mapping | None = None
    refusal: str = ""


class Seen(NamedTuple):
    """An event of a watch."""

    type: str
    revision: int
    obj: Mapping


class Bookmark(NamedTuple):
    revision: int


class Resumed(NamedTuple):
    revision: int


@dataclass
class Epoch:
    """A watch from a list on, over any number of connections, until it must list again."""

    resource: str
    namespace: str
    group: str
    revision: int
    listed: list[Mapping]
    seen: int
    steps: list[Seen | Bookmark | Resumed] = field(default_factory=list)
    complete: bool = False

    def selects(self, obj: Mapping | None) -> bool:
        """Whether the watch is about this object."""
        if obj is None or self.namespace not in ("", obj["metadata"]["namespace"]):
            return False
        return not self.group or obj["metadata"].get("labels", {}).get("group") == self.group


def version(obj: Mapping) -> int:
    """An object's revision."""
    return int(obj["metadata"]["resourceVersion"])


class Model:
    """The states that a log goes through."""

    def __init__(self, log: list[Written]) -> None:
        self.log = log
        self.versions: dict[tuple[str, str], list[Written]] = defaultdict(list)
        for record in log:
            self.versions[record.resource, record.key].append(record)

    def at(self, resource: str, key: str, revision: int) -> Written | None:
        """An object as it was at a revision; None while it did not exist."""
        found = self.versions.get((resource, key), [])
        position = bisect_right(found, revision, key=lambda record: record.revision)
        last = found[position - 1] if position else None
        return None if last is None or last.deleted else last

    def before(self, record: Written) -> Written | None:
        """What a write found."""
        return self.at(record.resource, record.key, record.revision - 1)

    def between(self, operation: Operation) -> list[Written | None]:
        """All that an object was while an operation took place."""
        resource, key = operation.resource, operation.key
        changes = [
            record.revision
            for record in self.versions.get((resource, key), [])
            if operation.seen < record.revision <= operation.bound
        ]
        return [self.at(resource, key, revision) for revision in (operation.seen, *changes)]

    def objects(self, epoch: Epoch, revision: int) -> dict[str, Mapping]:
        """What an epoch selects at a revision, by key."""
        found = {
            key: self.at(resource, key, revision)
            for resource, key in self.versions
            if resource == epoch.resource
        }
        return {
            key: record.obj for key, record in found.items() if record and epoch.selects(record.obj)
        }

    def expected(self, epoch: Epoch) -> list[Seen]:
        """Every event that an epoch should have shown by the end of the log."""
        events = []
        for record in self.log:
            if record.revision <= epoch.revision or record.resource != epoch.resource:
                continue
            previous = self.before(record)
            before = epoch.selects(previous.obj if previous else None)
            after = not record.deleted and epoch.selects(record.obj)
            if before or after:
                kind = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
                events.append(Seen(kind, record.revision, record.obj))
        return events


def check_log(log: list[Written]) -> None:
    """Every write has a revision of its own, and an object's identity lasts as long as it does."""
    revisions = [record.revision for record in log]
    assert revisions == sorted(set(revisions)), "revisions only grow"
    model, born = Model(log), set()
    for record in log:
        previous, uid = model.before(record), record.obj["metadata"]["uid"]
        if previous:
            assert uid == previous.obj["metadata"]["uid"]
        else:
            assert not record.deleted, "what does not exist cannot be deleted"
            assert uid not in born
            born.add(uid)


def check_operations(model: Model, operations: list[Operation]) -> None:
    """What was acknowledged is there, what is there was asked for, and in an order that explains
    every answer."""
    asked = {operation.token: operation for operation in operations}
    deletions = [operation for operation in operations if operation.kind == "delete"]
    explained: set[str] = set()
    for record in model.log:
        operation = _cause(record, asked, deletions, explained)
        assert operation, f"nobody asked for {record}"
        assert operation.token not in explained, "one request is one write"
        explained.add(operation.token)
        assert operation.seen < record.revision, "a write comes after what was known before it"
        _check_effect(model, record, operation)
    for operation in operations:
        if operation.refusal:
            _check_refusal(model, operation)
            assert operation.token not in explained, "what is refused has no effect"
        elif operation.answer is not None:
            assert operation.kind == "get" or operation.token in explained, f"lost: {operation}"
            _check_answer(model, operation)


def _cause(
    record: Written,
    asked: Mapping[str, Operation],
    deletions: list[Operation],
    explained: Set[str],
) -> Operation | None:
    """Who asked for a write; of deletions that were cut off, one that explains no other write."""
    if not record.deleted:
        found = asked.get(record.obj["data"]["token"])
        same = found and (found.resource, found.key) == (record.resource, record.key)
        return found if same and found.kind != "get" else None
    uid = record.obj["metadata"]["uid"]
    cut_off = None
    for operation in deletions:
        if operation.answer is not None:
            if operation.answer["details"]["uid"] == uid:
                return operation
        elif not operation.refusal and operation.seen < record.revision:
            same = (operation.resource, operation.key) == (record.resource, record.key)
            if same and operation.token not in explained:
                cut_off = operation
    return cut_off


def _check_effect(model: Model, record: Written, operation: Operation) -> None:
    previous = model.before(record)
    assert (previous is None) == (operation.kind == "create")
    if operation.version:
        assert previous.revision == int(operation.version), "a conflict was overlooked"
    if record.deleted:
        return
    data = {"token": operation.token}
    if operation.kind == "patch":
        data = {**previous.obj["data"], **data, f"by-{operation.client}": operation.token}
    assert record.obj["data"] == data
    assert record.obj["metadata"]["labels"] == {"group": operation.group}
    assert version(record.obj) == record.revision


def _check_refusal(model: Model, operation: Operation) -> None:
    states = model.between(operation)
    explained = {
        "AlreadyExists": any(states),
        "NotFound": not all(states),
        "Conflict": any(
            state and operation.version and state.revision != int(operation.version)
            for state in states
        ),
    }
    assert explained.get(operation.refusal), f"no state explains {operation}: {states}"


def _check_answer(model: Model, operation: Operation) -> None:
    if operation.kind == "delete":
        return
    state = model.at(operation.resource, operation.key, version(operation.answer))
    assert state, "an answer is not what was written"
    assert state.obj == operation.answer, "an answer is not what was written"
    assert state.revision <= operation.bound
    if operation.kind == "get":
        assert state in model.between(operation), "an old state was read"


def check_epoch(model: Model, epoch: Epoch) -> None:
    """The list, and the six properties of the watch that followed."""
    assert epoch.revision >= epoch.seen, "a list was older than what was known before it"
    listed = {_key(obj): obj for obj in epoch.listed}
    assert listed == model.objects(epoch, epoch.revision), "a list was no state of the model"
    events = [step for step in epoch.steps if isinstance(step, Seen)]
    expected = model.expected(epoch)
    check_ordered(epoch, events)
    check_unique(events)
    check_atomic(model, epoch, events)
    check_reliable(events, expected)
    check_resumable(epoch, events, expected)
    check_bookmarkable(epoch, expected)


def _key(obj: Mapping) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def check_ordered(epoch: Epoch, events: list[Seen]) -> None:
    revisions = [epoch.revision, *(event.revision for event in events)]
    assert revisions == sorted(revisions), "ordered"


def check_unique(events: list[Seen]) -> None:
    revisions = [event.revision for event in events]
    assert len(revisions) == len(set(revisions)), "unique"


def check_atomic(model: Model, epoch: Epoch, events: list[Seen]) -> None:
    written = {record.revision: record for record in model.log}
    for event in events:
        record = written.get(event.revision)
        assert record, f"atomic: revision {event.revision} was never written"
        whole = record
        if event.type == "DELETED" and not record.deleted:  # it has only left the selection
            whole = model.before(record)
        shown = {**event.obj["metadata"], "resourceVersion": ""}
        assert shown == {**whole.obj["metadata"], "resourceVersion": ""}, "atomic"
        assert event.obj["data"] == whole.obj["data"], "atomic"


def check_reliable(events: list[Seen], expected: list[Seen]) -> None:
    shown = [event[:2] for event in events]
    assert shown == [event[:2] for event in expected[: len(shown)]], "reliable"


def check_resumable(epoch: Epoch, events: list[Seen], expected: list[Seen]) -> None:
    reached = epoch.revision
    for step in epoch.steps:
        if isinstance(step, Resumed):
            assert step.revision == reached, "resumable"
        reached = step.revision
    if epoch.complete:
        assert len(events) == len(expected), "resumable: the watch has not come to the end"


def check_bookmarkable(epoch: Epoch, expected: list[Seen]) -> None:
    reached, shown = epoch.revision, 0
    for step in epoch.steps:
        if isinstance(step, Seen):
            shown += 1
        elif isinstance(step, Bookmark):
            assert step.revision >= reached, "bookmarkable: a bookmark went back"
            due = sum(event.revision <= step.revision for event in expected)
            assert shown == due, "bookmarkable: events were missing or came too early"
        reached = max(reached, step.revision)
