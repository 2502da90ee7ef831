"""A store in one SQLite file: durable, nothing to install, and a learner can open it.

One thread writes.  It takes everything that waits in its queue, inserts it in one transaction and
so pays for one fsync (group commit); while the disk works the next group gathers.  The journal is
a write-ahead log with synchronous=FULL: a commit returns when the log is on the disk.

SQLite's own checkpoint (copying the write-ahead log into the database) is off because it would
happen inside of some unlucky commit; a second thread does it beside the writer.  The log starts
again from its beginning at the first pause; only when none comes for very long, and the log would
grow without bound, the writer itself waits for a checkpoint between two groups.  The second thread
makes the backups too: after the start, when asked to, and at the end.

When the disk is full a group is refused as a whole, and nothing of it is there.  The next group
tries again.  What is in the log already may make room: the log is copied into the database and cut
off before a group is given up.

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

from labkit.apiserver import store_backup, store_file, store_wal
from labkit.apiserver.store import Contents, Record, StoreDamaged, StoreFull

log = logging.getLogger(__name__)

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
        self._chores: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._written = 0
        self._revision = 0  # the last that is durable
        self._owed: list[_Trim] = []  # of groups that failed
        self._failing = False

    def open(self) -> Contents:
        """Read the file, check it and start the threads.  Raises StoreDamaged, OSError."""
        connections: list[sqlite3.Connection] = []
        try:
            self._look()
            connections += [store_file.connect(self._path) for _ in range(2)]
            store_file.prepare(connections[0])
            contents = store_file.read(connections[0], self._path)
            newest = store_backup.revision(store_backup.paths(self._path)[0])
            if contents.revision < newest:
                lost = f"it ends at revision {contents.revision}, its backup at {newest}"
                raise StoreDamaged(self._path, lost)
        # Anything: from a damaged file even SQLite's messages may not be decodable.
        except Exception as error:
            for connection in connections:
                connection.close()
            raise store_file.not_opened(error, self._path) from error
        self._revision = contents.revision
        self._chores.put("back up")
        for target, connection in zip((self._write, self._do_chores), connections, strict=True):
            thread = threading.Thread(target=target, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return contents

    def _look(self) -> None:
        """Look at the files before SQLite does, which makes a new store of an empty file."""
        log = self._path.with_name(self._path.name + "-wal")
        others = [path for path in (log, *store_backup.paths(self._path)) if _size(path)]
        if others and not _size(self._path):
            raise StoreDamaged(self._path, f"it is empty or gone, {others[0].name} is not")
        if wrong := store_wal.damage(log):
            raise StoreDamaged(self._path, f"its write-ahead log: {wrong}")

    def append(self, record: Record) -> asyncio.Future[None]:
        """Queue one record; the future ends when it is on the disk, or with the error."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._queue.put((record, future, loop))
        return future

    def trim(self, resource: str, floor: int, revisions: Iterable[int]) -> None:
        """Queue the removal of records; it happens with the next group."""
        self._queue.put((resource, floor, list(revisions)))

    def back_up(self) -> None:
        """Order a backup; it is made beside the writer."""
        self._chores.put("back up")

    def close(self) -> None:
        """Write what is queued, back up, checkpoint, close.  Blocks.  Safe to repeat."""
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
            self._chores.put("end")
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

    def _do_chores(self, connection: sqlite3.Connection) -> None:
        try:
            while (chore := self._chores.get()) != "end":
                if chore == "checkpoint":
                    self._checkpoint(connection, "PASSIVE")
                else:
                    self._back_up(connection)
            self._back_up(connection)
            self._checkpoint(connection, "TRUNCATE")
        finally:
            connection.close()

    def _back_up(self, connection: sqlite3.Connection) -> None:
        newest = store_backup.revision(store_backup.paths(self._path)[0])
        if newest == self._revision:
            return
        try:
            store_backup.make(connection, self._path)
        except (sqlite3.Error, OSError) as error:
            log.warning("backup failed error=%s", error)

    def _count(self, connection: sqlite3.Connection, records: int) -> None:
        """Order a checkpoint each time that enough has been written."""
        before, self._written = self._written, self._written + records
        if before // _RESTART_EVERY != self._written // _RESTART_EVERY:
            self._checkpoint(connection, "RESTART")
        elif before // _CHECKPOINT_EVERY != self._written // _CHECKPOINT_EVERY:
            self._chores.put("checkpoint")

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> bool:
        """Copy the write-ahead log into the database; whether that was possible to its end."""
        try:
            (busy, *_) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as error:
            log.warning("checkpoint failed mode=%s error=%s", mode, error)
            return False
        return not busy

    def _commit(self, connection: sqlite3.Connection, group: list[_Append | _Trim]) -> None:
        appends = [entry for entry in group if isinstance(entry[0], Record)]
        trims = self._owed + [entry for entry in group if not isinstance(entry[0], Record)]
        records = [entry[0] for entry in appends]
        error = self._attempt(connection, records, trims)
        if isinstance(error, StoreFull) and self._checkpoint(connection, "TRUNCATE"):
            error = self._attempt(connection, records, trims)
        self._owed = trims if error else []
        if bool(error) != self._failing:  # once for each time that it fails, or the log grows too
            self._failing = bool(error)
            log.warning("the store %s", f"fails error={error}" if error else "writes again")
        if records and not error:
            self._revision = records[-1].revision
        if appends:
            _tell(appends, error)
        self._count(connection, len(appends))

    def _attempt(
        self, connection: sqlite3.Connection, records: list[Record], trims: list[_Trim]
    ) -> OSError | None:
        """One transaction; what has hindered it."""
        try:
            if trims:
                connection.execute("BEGIN")
            if records:
                _insert(connection, records)
            for resource, floor, revisions in trims:
                rows = [(revision,) for revision in revisions]
                connection.executemany("DELETE FROM log WHERE revision = ?", rows)
                store_file.set_floor(connection, resource, floor)
            if trims:
                connection.execute("COMMIT")
        except sqlite3.Error as problem:
            _roll_back(connection)
            return store_file.not_written(problem, self._path)
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _insert(connection: sqlite3.Connection, records: list[Record]) -> None:
    """All records in one statement, which without BEGIN is a transaction of its own.

    Each further statement would wait for the interpreter's lock, which a busy event loop holds for
    milliseconds at a time.
    """
    statement = _insert_statement(len(records))
    connection.execute(statement, [value for record in records for value in store_file.row(record)])


@lru_cache(maxsize=_GROUP)
def _insert_statement(rows: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO log (revision, resource, key, deleted, value, crc) VALUES {places}"


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
