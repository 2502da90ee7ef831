"""What was solved, in a file beside the clusters: `progress.json`, the learner's alone (0600).

    {"version": 1,
     "exercises": {"04-deploy/replicas": {"tries": 3, "solved": "2026-01-31T10:00:00Z"}}}

An exercise that was solved once stays so, whatever becomes of the cluster.  The file is replaced in
one step, and notebooks that write at the same time wait for each other.  A damaged file is kept
under another name; one of a later version is left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labkit.clusters import paths
from labkit.clusters.credentials import write_private
from labkit.errors import LabkitError
from labkit.kube import times

VERSION = 1
_DAMAGE = (ValueError, TypeError, AttributeError, KeyError)  # what `parse` meets in a damaged file


@dataclass(frozen=True)
class Entry:
    """How often an exercise was checked, and when it was solved (RFC 3339), "" if it was not."""

    tries: int = 0
    solved: str = ""


class Unkept(LabkitError):
    """The record cannot be read or written; the message says why."""


def path() -> Path:
    """Where the record is.  The dot keeps it apart from clusters, whose names have none."""
    return paths.home() / "progress.json"


def read() -> dict[str, Entry]:
    """The record by `chapter/exercise`; empty where there is none.  Raises Unkept."""
    try:
        return parse(path().read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unkept(f"Progress is not kept: {path()}: {error.strerror}.") from None
    except _DAMAGE:
        return {}


def parse(text: str) -> dict[str, Entry]:
    """The record in a file's text.  Raises Unkept for a later version, `_DAMAGE` for no record."""
    content = json.loads(text)
    if int(content["version"]) > VERSION:
        raise Unkept(
            f"Progress is not kept: {path()} is of a later version of labkit.",
            "It is left as it is.",
        )
    return {
        name: Entry(int(entry["tries"]), str(entry["solved"]))
        for name, entry in content["exercises"].items()
    }


def add(name: str, solved: bool, now: float) -> Entry:
    """Note a try of `chapter/exercise` at `now` (Unix s); what is known then.  Raises Unkept."""
    try:
        with _alone():
            return _add(name, solved, now)
    except OSError as error:
        raise Unkept(f"Progress is not kept: {path()}: {error.strerror}.") from None


def _add(name: str, solved: bool, now: float) -> Entry:
    record = _read_or_put_aside()
    before = record.get(name, Entry())
    entry = Entry(before.tries + 1, before.solved or (times.rfc3339(now) if solved else ""))
    write_private(path(), text({**record, name: entry}).encode())
    return entry


def text(record: Mapping[str, Entry]) -> str:
    """The file's text."""
    exercises = {name: vars(entry) for name, entry in sorted(record.items())}
    return json.dumps({"version": VERSION, "exercises": exercises}, indent=1) + "\n"


def _read_or_put_aside() -> dict[str, Entry]:
    try:
        return parse(path().read_text())
    except FileNotFoundError:
        return {}
    except _DAMAGE:
        path().replace(path().with_suffix(".damaged"))
        return {}


@contextmanager
def _alone() -> Iterator[None]:
    """While nobody else writes."""
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path().with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
