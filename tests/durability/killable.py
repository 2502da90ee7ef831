"""The SQLite store in one that can be killed: its files are left as a kill leaves them.

A kill stops a process between two of its system calls.  Here the writer is held between two groups
and the files are copied; then the end of the write-ahead log is cut off somewhere behind the last
group that anybody can have heard of, or that is in the database already, as if the process had died
in the middle of a later group.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from labkit.apiserver.store import Contents, Record
from labkit.apiserver.store_sqlite import SQLiteStore


class KillableStore(SQLiteStore):
    """The store at `path`; `heard` is called with every record that is handed to it."""

    def __init__(self, path: Path, heard: Callable[[Record], None]) -> None:
        super().__init__(path)
        self._log_path = path.with_name(path.name + "-wal")
        self._heard = heard
        self._between_groups = threading.Lock()
        self._between_checkpoints = threading.Lock()
        self._dead = False
        self._copied = 0  # the length of the log of which anything is in the database
        self._told = 0  # the length of the log with all groups that anybody can have heard of

    def open(self) -> Contents:
        contents = super().open()
        self._told = self._log_path.stat().st_size
        return contents

    def append(self, record: Record) -> asyncio.Future[None]:
        self._heard(record)
        self._loop = asyncio.get_running_loop()
        return super().append(record)

    def kill(self, target: Path, cut: float) -> None:
        """Write no more; `target` becomes the file as it is, less the share `cut` of its end."""
        with self._between_groups, self._between_checkpoints:
            self._dead = True
            shutil.copyfile(self._path, target)
            log = target.with_name(target.name + "-wal")
            shutil.copyfile(self._log_path, log)
            unheard = log.stat().st_size - max(self._told, self._copied)
            with open(log, "r+b") as file:
                file.truncate(log.stat().st_size - int(unheard * cut))

    def _commit(self, connection: sqlite3.Connection, group: list) -> None:
        with self._between_groups:
            if self._dead:
                return
            super()._commit(connection, group)

    def _attempt(
        self, connection: sqlite3.Connection, records: list[Record], trims: list
    ) -> OSError | None:
        error = super()._attempt(connection, records, trims)
        if records:  # told before anybody is told of the group
            self._loop.call_soon_threadsafe(self._tell_length, self._log_path.stat().st_size)
        return error

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> bool:
        with self._between_checkpoints:
            complete = super()._checkpoint(connection, mode)
            self._copied = self._log_path.stat().st_size  # now: the writer goes on meanwhile
            return complete

    def _tell_length(self, length: int) -> None:
        self._told = length

    def _back_up(self, connection: sqlite3.Connection) -> None:
        """Backups have tests of their own."""
