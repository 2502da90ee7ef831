"""The process that is a cluster: it holds the lock, and ends with all it started.

It runs all parts itself (`embedded`) or starts a process for each and watches over them
(`supervise`), as the cluster's description says.

`python -m labkit.clusters.daemon DIRECTORY FD` runs the cluster that DIRECTORY/cluster.json
describes.  It tells its starter on the file descriptor FD, in JSON lines, how the start goes:
`{"step": ...}`, and at last `{"ready": true}` or `{"error": {...}}`.  Afterwards it lives until
SIGTERM or SIGINT, or until nobody has used its API for hours.

The lock on `daemon.lock` is the truth about whether a cluster is up: the system releases it
however the process dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import uvloop

from labkit.clock import Clock
from labkit.clusters import addresses, backups
from labkit.clusters.paths import ClusterDir
from labkit.clusters.settings import SEPARATE
from labkit.errors import ClusterError, LabkitError

if TYPE_CHECKING:
    from labkit.clusters.embedded import EmbeddedCluster
    from labkit.clusters.supervise import SupervisedCluster

log = logging.getLogger(__name__)

IDLE_TIMEOUT = 8 * 3600.0
"""Seconds without an API request from outside after which a forgotten cluster goes down."""
_IDLE_CHECK = 60.0
_lock: TextIO | None = None  # global, so that it is released by nothing but the process's end


class Reporter:
    """Tells the starter how the start goes.

    A starter that has gone before the cluster was ready was interrupted: sending then raises
    BrokenPipeError, which ends the half-started cluster.
    """

    def __init__(self, descriptor: int) -> None:
        self._pipe = open(descriptor, "w", buffering=1)  # noqa: SIM115 (closed by `close`)

    def send(self, **message: object) -> None:
        """One JSON line."""
        self._pipe.write(json.dumps(message) + "\n")

    def close(self) -> None:
        """The start is over."""
        self._pipe.close()


def take_lock(directory: ClusterDir) -> TextIO:
    """The lock file, locked and holding our pid.  Raises ClusterError where another has it."""
    file = open(directory.lock, "a+")  # noqa: SIM115 (stays open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ClusterError(
            f"The cluster {directory.name} is already up.",
            "Its daemon holds the lock.",
            f"See it: labkit status --name {directory.name}",
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


async def run(directory: ClusterDir, reporter: Reporter) -> None:
    """Run the cluster until it is told to end."""
    clock = Clock()
    claim = claim_number(directory)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    cluster = cluster_of(directory, clock)
    try:
        with backups.explained(directory):
            await cluster.start(lambda step: reporter.send(step=step))
        # What start-up made stays: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        reporter.send(ready=True)
        reporter.close()
        idle = asyncio.create_task(_wait_until_idle(cluster, clock, ended), name="idle check")
        await ended.wait()
        idle.cancel()
    finally:
        await cluster.stop()
        claim.close()


def cluster_of(directory: ClusterDir, clock: Clock) -> EmbeddedCluster | SupervisedCluster:
    """The cluster that a directory describes, not started yet."""
    if directory.read_description().get("parts") == SEPARATE:
        from labkit.clusters.supervise import SupervisedCluster

        return SupervisedCluster(directory, clock)
    from labkit.clusters.embedded import EmbeddedCluster

    return EmbeddedCluster(directory, clock)


def claim_number(directory: ClusterDir) -> socket.socket:
    """Give the cluster its number, the one it had before if any; the socket that holds it."""
    description = directory.read_description()
    found, claim = addresses.claim(description.get("number"))
    directory.write_description({**description, "number": found.number})
    return claim


async def _wait_until_idle(
    cluster: EmbeddedCluster | SupervisedCluster, clock: Clock, ended: asyncio.Event
) -> None:
    while cluster.idle_seconds() < IDLE_TIMEOUT:
        await clock.sleep(_IDLE_CHECK)
    log.info("idle, going down seconds=%d", cluster.idle_seconds())
    ended.set()


def main(arguments: list[str]) -> int:
    """The daemon's main function; its exit code."""
    directory, reporter = ClusterDir(Path(arguments[0])), Reporter(int(arguments[1]))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname).1s %(name)s %(message)s",
        handlers=[logging.FileHandler(directory.log)],
    )
    if os.fork():
        os._exit(0)  # whoever started us waits for this process; the daemon is nobody's child
    global _lock
    try:
        _lock = take_lock(directory)
        uvloop.run(run(directory, reporter))
    except LabkitError as error:
        log.error("the cluster did not start error=%s", error)
        reporter.send(error={"what": error.what, "why": error.why, "fix": error.fix})
        return 1
    except BrokenPipeError:
        log.warning("the starter has gone, the start is given up")
        return 1
    except Exception as error:
        log.exception("the daemon failed")
        reporter.send(error={"what": f"The cluster could not start: {error!r}.", "bug": True})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
