"""Where the API server keeps what it has promised to remember.

A store is a log of records in the order of their revisions; the last record of a key is its state,
and a record that is `deleted` is a tombstone which still carries the last state.  Older records
stay as long as watches may resume from them: the log is both the state and the history, as in
kine (k3s' SQLite back end), so that one write is one inserted row.

The store decides nothing and reads nothing back while it runs: `labkit.apiserver.state` holds all
objects in memory, assigns revisions and says which records nobody needs any more.

Invariants: revisions only grow, also across restarts; `append` completes only when the record is
durable; records become durable in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One revision of one object; `value` is its JSON, for a tombstone its last state."""

    revision: int
    resource: str
    key: str
    deleted: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store held when it was opened: records by revision; floors by resource.

    Of a resource, every record above its floor is there; up to the floor only current state.
    """

    records: list[Record] = field(default_factory=list)
    floors: dict[str, int] = field(default_factory=dict)
    revision: int = 0


class Store(Protocol):
    """A durable log of records."""

    def open(self) -> Contents:
        """Read everything.  Blocks; raises OSError or a database error if that is impossible."""
        ...

    def append(self, record: Record) -> asyncio.Future[None] | None:
        """Write one record: None if it is durable at once, else a future that tells."""
        ...

    def trim(self, resource: str, floor: int, revisions: Iterable[int]) -> None:
        """Forget these records, some time later; the history of `resource` begins above `floor`."""
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

    def close(self) -> None:
        pass
