"""Backups of a store: the last two, beside the file, and the way back to the newest that is sound.

    state.db                        the store
    state.db.backup                 the last backup
    state.db.backup-before          the one before
    state.db.damaged-20260102-030405   what `restore` has put aside, never deleted

A backup is a whole store in one file (SQLite's online backup: a snapshot, readers and writers go
on).  It knows that it is one: its history is closed, and its next revision is far above all that
can have been given out after it was made.  So revisions never go back, even over a restore, and
every watch of the time that is lost is told to list again.

Source: etcd, "Disaster recovery" (etcdutl snapshot restore --bump-revision --mark-compacted).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

from labkit.apiserver import store_file
from labkit.apiserver.store import ALL, StoreDamaged, StoreFull

BUMP = 1_000_000_000  # revisions: etcd's own advice; days of writing at full speed


def paths(store: Path) -> tuple[Path, Path]:
    """Where the backups are, the newer one first."""
    return store.with_name(store.name + ".backup"), store.with_name(store.name + ".backup-before")


def revision(backup: Path) -> int:
    """The last revision in a backup; 0 if it cannot be read."""
    try:
        return _floor(backup) - BUMP
    except (sqlite3.Error, TypeError):
        return 0


def _floor(backup: Path) -> int:
    connection = sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT revision FROM floors WHERE resource = ?", (ALL,))
        return found.fetchone()[0]
    finally:
        connection.close()


def make(source: sqlite3.Connection, store: Path) -> None:
    """Back up what is committed now.  Raises sqlite3.Error, OSError; then there is none new."""
    newer, before = paths(store)
    fresh = store.with_name(store.name + ".backup-new")
    _check_room(store)
    try:
        _copy(source, fresh)
        if newer.exists():
            newer.replace(before)
        fresh.replace(newer)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(store.parent)


def _check_room(store: Path) -> None:
    """A backup shall not be what fills the disk."""
    needed = 2 * store.stat().st_size
    if shutil.disk_usage(store.parent).free < needed:
        raise StoreFull(f"a backup would leave too little room on the disk that holds {store}")


def _copy(source: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        copy.execute("PRAGMA synchronous=OFF")
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
        last = copy.execute(
            "SELECT max(revision) FROM (SELECT max(revision) AS revision FROM log "
            "UNION ALL SELECT max(revision) FROM floors)"
        ).fetchone()[0]
        store_file.set_floor(copy, ALL, (last or 0) + BUMP)
    finally:
        copy.close()
    _sync(target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def newest_sound(store: Path) -> Path | None:
    """The newest backup that can be read from its beginning to its end."""
    for backup in paths(store):
        if not backup.exists():
            continue
        connection = sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)
        try:
            store_file.read(connection, backup)
            return backup
        except (sqlite3.Error, StoreDamaged):
            continue
        finally:
            connection.close()
    return None


def restore(store: Path, now: float) -> list[Path]:
    """Put the newest sound backup in the store's place; what was there, under its new names.

    `now` is Unix seconds, for those names.  Nobody may have the store open.  Raises
    FileNotFoundError if there is no sound backup, OSError; nothing has changed then.
    """
    backup = newest_sound(store)
    if backup is None:
        raise FileNotFoundError(f"there is no backup of {store} that can be read")
    fresh = store.with_name(store.name + ".restored")
    shutil.copyfile(backup, fresh)
    fresh.chmod(0o600)
    _sync(fresh)
    mark = time.strftime(".damaged-%Y%m%d-%H%M%S", time.gmtime(now))
    aside = []
    for suffix in ("-wal", "-shm", ""):
        old = store.with_name(store.name + suffix)
        if old.exists():
            aside.append(old.replace(store.with_name(store.name + mark + suffix)))
    fresh.replace(store)
    _sync(store.parent)
    return aside
