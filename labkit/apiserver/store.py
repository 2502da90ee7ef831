"""Where the API server keeps what it has promised to remember.

A store is a log of records in the order of their revisions; the last record of a key is its state,
and a record that is `deleted` is a tombstone which still carries the last state.  Older records
stay as long as watches may resume from them: the log is both the state and the history, as in
kine (k3s' SQLite back end), so that one write is one inserted row.

The store decides nothing and reads nothing back while it runs: `labkit.apiserver.state` holds all
objects in memory, assigns revisions and says which records nobody needs any more.

Invariants: revisions only grow, also across restarts; `append` completes only when the record is
durable; records become durable in the order in which they were appended; what is damaged is called
so and left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

ALL = ""  # in place of a resource: the floor below which nothing of any resource is kept


class StoreFull(OSError):
    """There is no room for a write.  What is stored can still be read; later writes may succeed."""


class StoreDamaged(Exception):
    """The file at `path` does not hold what was written to it.  Nothing was changed."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"the store {path} is damaged: {detail}")
        self.path, self.detail = path, detail


class Record(NamedTuple):
    """One revision of one object; `value` is its JSON, for a tombstone its last state."""

    revision: int
    resource: str
    key: str
    deleted: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store held when it was opened: records by revision; floors by resource, or for `ALL`.

    Of a resource, every record above its floor is there; up to the floor only current state.
    """

    records: list[Record] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)
    revision: int = 0


class Store(Protocol):
    """A durable log of records."""

    def open(self) -> Contents:
        """Read everything.  Blocks; raises StoreDamaged, or OSError if it cannot be read."""
        ...

    def append(self, record: Record) -> asyncio.Future[None] | None:
        """Write one record: None if it is durable at once, else a future that tells.

        The future fails with StoreFull or another OSError; then the record is not there.
        """
        ...

    def trim(self, resource: str, floor: int, revisions: Iterable[int]) -> None:
        """Forget these records, some time later; the history of `resource` begins above `floor`."""
        ...

    def back_up(self) -> None:
        """Copy everything to a safe place, some time later, if it has changed since the last."""
        ...

    def close(self) -> None:
        """Finish what was appended and close.  Blocks.  Safe to repeat."""
        ...


class MemoryStore:
    """Remembers nothing beyond the process: for tests and simulations."""

    def open(self) -> Contents:
        return Contents()

    def append(self, record: Record) -> None:
        return None

    def trim(self, resource: str, floor: int, revisions: Iterable[int]) -> None:
        pass

    def back_up(self) -> None:
        pass

    def close(self) -> None:
        pass
