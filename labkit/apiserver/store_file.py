"""The SQLite file of a store: its tables, the checksum of every row, reading and checking it all.

SQLite notices a page whose structure is broken, not a byte that has changed inside of a value.  So
every row carries a CRC-32 over all that it says, and whoever reads the file compares: what was
stored comes back as it was, or the file is called damaged.

Source: SQLite's "How To Corrupt An SQLite Database File" and PRAGMA quick_check; etcd keeps a
CRC-32 with every record of its log.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zlib import crc32

from labkit.apiserver.store import Contents, Record, StoreDamaged, StoreFull

SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    revision INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    key TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    value BLOB NOT NULL,
    crc INTEGER
);
CREATE TABLE IF NOT EXISTS floors (
    resource TEXT PRIMARY KEY, revision INTEGER NOT NULL, crc INTEGER
);
CREATE VIEW IF NOT EXISTS objects AS
    SELECT resource, key, max(revision) AS revision, CAST(value AS TEXT) AS json
    FROM log GROUP BY resource, key HAVING deleted = 0;
"""
_SET_FLOOR = "INSERT OR REPLACE INTO floors (resource, revision, crc) VALUES (?, ?, ?)"
_LOG = "SELECT revision, resource, key, deleted, value, crc FROM log ORDER BY revision"
_FLOORS = "SELECT resource, revision, crc FROM floors"
# EDQUOT and EFBIG reach us as a failed write; only ENOSPC is SQLITE_FULL.
_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"})
# What says nothing about the file's content.
_OUTSIDE = ("IOERR", "CANTOPEN", "BUSY", "LOCKED", "READONLY", "PERM", "PROTOCOL", "NOMEM")


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the file, in autocommit mode; the file is made (0600) if it is not there."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
            connection.execute(f"PRAGMA {pragma}")
    except Exception:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables; an older file gets its checksums now."""
    connection.executescript(SCHEMA)
    connection.create_function("log_crc", 5, _crc, deterministic=True)
    connection.create_function("floor_crc", 2, _floor_crc, deterministic=True)
    for table, crc in (
        ("log", "log_crc(revision, resource, key, deleted, value)"),
        ("floors", "floor_crc(resource, revision)"),
    ):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if "crc" not in columns:
            connection.execute("BEGIN")
            connection.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
            connection.execute(f"UPDATE {table} SET crc = {crc}")
            connection.execute("COMMIT")


def row(record: Record) -> tuple:
    """What is stored of a record: itself and its checksum."""
    return (*record, _crc(*record))


def set_floor(connection: sqlite3.Connection, resource: str, floor: int) -> None:
    """Say where the history of `resource` begins; of all resources, if it is empty."""
    connection.execute(_SET_FLOOR, (resource, floor, _floor_crc(resource, floor)))


def read(connection: sqlite3.Connection, path: Path) -> Contents:
    """All that the file holds, checked.  Raises StoreDamaged, sqlite3.Error."""
    (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if first != "ok":
        raise StoreDamaged(path, " ".join(first.replace("*** in database main ***", "").split()))
    rows = _checked(connection.execute(_LOG), _crc, path)
    records = [Record(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]
    floors = dict(_checked(connection.execute(_FLOORS), _floor_crc, path))
    last = max([records[-1].revision if records else 0, *floors.values()])
    return Contents(records, floors, last)


def _checked(rows: Iterable[tuple], crc: Callable[..., int], path: Path) -> Iterator[tuple]:
    """The rows without their checksums, which are their last columns."""
    for *row, stored in rows:
        try:
            right = crc(*row) == stored
        except (TypeError, ValueError):  # a column is not of its type any more
            right = False
        if not right:
            raise StoreDamaged(path, f"the row {row[:2]} does not match its checksum")
        yield tuple(row)


def _crc(revision: int, resource: str, key: str, deleted: int, value: bytes) -> int:
    return crc32(value, crc32(f"{revision:d} {deleted:d} {resource} {key}".encode()))


def _floor_crc(resource: str, floor: int) -> int:
    return crc32(f"{floor:d} {resource}".encode())


def not_opened(error: Exception, path: Path) -> Exception:
    """What it means that the file could not be read: StoreDamaged, StoreFull, another OSError."""
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    if isinstance(error, StoreDamaged):
        return error
    if isinstance(error, OSError) or (name.startswith(_OUTSIDE) and name != "IOERR_SHORT_READ"):
        return not_written(error, path)
    return StoreDamaged(path, str(error))


def not_written(error: Exception, path: Path) -> OSError:
    """What it means that something could not be written: StoreFull, or another OSError."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    if full or getattr(error, "sqlite_errorname", "") in _NO_ROOM:
        return StoreFull(_no_room(error, path))
    return OSError(f"the store {path} cannot be used: {error}")


def _no_room(error: Exception, path: Path) -> str:
    try:
        free = f"{shutil.disk_usage(path.parent).free // 1024:,} KiB are free"
    except OSError:
        free = "its free space is unknown"
    return (
        f"the disk that holds {path} takes no more ({error}; {free}), so nothing was changed. "
        "Reads and watches go on. Free some space on that disk, then try again."
    )
