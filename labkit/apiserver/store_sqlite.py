"""A store in one SQLite file: durable, nothing to install, and a learner can open it.

One thread writes.  It takes everything that waits in its queue, inserts it in one transaction and
so pays for one fsync (group commit); while the disk works the next group gathers.  The journal is
a write-ahead log with synchronous=FULL: a commit returns when the log is on the disk.

SQLite's own checkpoint (copying the write-ahead log into the database) is off because it would
happen inside of some unlucky commit; a second thread does it beside the writer.  The log starts
again from its beginning at the first pause; only when none comes for very long, and the log would
grow without bound, the writer itself waits for a checkpoint between two groups.

The table `log` is the store; the view `objects` is for people:

    sqlite3 state.db "select key, json from objects where resource = 'pods'"
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from labkit.apiserver.store import Contents, Record

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    revision INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    key TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS floors (resource TEXT PRIMARY KEY, revision INTEGER NOT NULL);
CREATE VIEW IF NOT EXISTS objects AS
    SELECT resource, key, max(revision) AS revision, CAST(value AS TEXT) AS json
    FROM log GROUP BY resource, key HAVING deleted = 0;
"""
_FLOOR = "INSERT OR REPLACE INTO floors (resource, revision) VALUES (?, ?)"
_GROUP = 1000  # records of one transaction: bounds how long the first of a group waits
_CHECKPOINT_EVERY = 2000  # records, some 4 MB: bounds what a start has to replay
_RESTART_EVERY = 50_000  # records: by then the log is some 100 MB

_Append = tuple[Record, asyncio.Future, asyncio.AbstractEventLoop]
_Trim = tuple[str, int, list[int]]


class SQLiteStore:
    """The store in the file at `path`, which is made if it is not there.  One process at a time."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._queue: queue.SimpleQueue[_Append | _Trim | None] = queue.SimpleQueue()
        self._checkpoints: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._written = 0

    def open(self) -> Contents:
        """Read the file and start the writer.  Raises sqlite3.Error, OSError."""
        writer = self._connect()
        try:
            writer.executescript(_SCHEMA)
            contents = _read(writer)
            copier = self._connect()
        except sqlite3.Error:
            writer.close()
            raise
        for target, connection in ((self._write, writer), (self._copy, copier)):
            thread = threading.Thread(target=target, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return contents

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def append(self, record: Record) -> asyncio.Future[None]:
        """Queue one record; the future ends when it is on the disk, or with the error."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.put((record, future, loop))
        return future

    def trim(self, resource: str, floor: int, revisions: Iterable[int]) -> None:
        """Queue the removal of records; it happens with the next group."""
        self._queue.put((resource, floor, list(revisions)))

    def close(self) -> None:
        """Write what is queued, checkpoint, close.  Blocks.  Safe to repeat."""
        if self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _write(self, connection: sqlite3.Connection) -> None:
        try:
            while (group := self._take()) is not None:
                self._commit(connection, group)
        finally:
            self._checkpoints.put(False)
            connection.close()

    def _take(self) -> list[_Append | _Trim] | None:
        """The next group in order, or None at the end."""
        group = [self._queue.get()]
        while group[-1] is not None and len(group) < _GROUP:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                return group
        if group[-1] is not None:
            return group
        if len(group) == 1:
            return None
        self._queue.put(group.pop())  # the end comes after this group
        return group

    def _copy(self, connection: sqlite3.Connection) -> None:
        try:
            while self._checkpoints.get():
                _checkpoint(connection, "PASSIVE")
            _checkpoint(connection, "TRUNCATE")
        finally:
            connection.close()

    def _count(self, connection: sqlite3.Connection, records: int) -> None:
        """Order a checkpoint each time that enough has been written."""
        before, self._written = self._written, self._written + records
        if before // _RESTART_EVERY != self._written // _RESTART_EVERY:
            _checkpoint(connection, "RESTART")
        elif before // _CHECKPOINT_EVERY != self._written // _CHECKPOINT_EVERY:
            self._checkpoints.put(True)

    def _commit(self, connection: sqlite3.Connection, group: list[_Append | _Trim]) -> None:
        appends = [entry for entry in group if isinstance(entry[0], Record)]
        trims = [entry for entry in group if not isinstance(entry[0], Record)]
        error = None
        try:
            if trims:
                connection.execute("BEGIN")
            if appends:
                _insert(connection, [entry[0] for entry in appends])
            for resource, floor, revisions in trims:
                rows = [(revision,) for revision in revisions]
                connection.executemany("DELETE FROM log WHERE revision = ?", rows)
                connection.execute(_FLOOR, (resource, floor))
            if trims:
                connection.execute("COMMIT")
        except sqlite3.Error as problem:
            error = OSError(f"the store could not write: {problem}")
            log.error("commit failed records=%d error=%s", len(appends), problem)
            _roll_back(connection)
        if appends:
            _tell(appends, error)
        self._count(connection, len(appends))


def _insert(connection: sqlite3.Connection, records: list[Record]) -> None:
    """All records in one statement, which without BEGIN is a transaction of its own.

    Each further statement would wait for the interpreter's lock, which a busy event loop holds for
    milliseconds at a time.
    """
    statement = _insert_statement(len(records))
    connection.execute(statement, [value for record in records for value in record])


@lru_cache(maxsize=_GROUP)
def _insert_statement(rows: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO log (revision, resource, key, deleted, value) VALUES {places}"


def _read(connection: sqlite3.Connection) -> Contents:
    rows = connection.execute(
        "SELECT revision, resource, key, deleted, value FROM log ORDER BY revision"
    )
    records = [Record(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]
    floors = dict(connection.execute("SELECT resource, revision FROM floors"))
    last = max([records[-1].revision if records else 0, *floors.values()])
    return Contents(records, floors, last)


def _checkpoint(connection: sqlite3.Connection, mode: str) -> None:
    try:
        connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    except sqlite3.Error as error:
        log.warning("checkpoint failed mode=%s error=%s", mode, error)


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the failed statement has already ended the transaction


def _tell(appends: list[_Append], error: OSError | None) -> None:
    """Resolve the futures in the order of their records, in one turn of the loop."""
    loop = appends[0][2]

    def resolve() -> None:
        for _, future, _ in appends:
            if future.done():
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(None)

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:
        pass  # the loop has ended: nobody waits any more
