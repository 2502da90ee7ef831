"""The peak memory of a cluster and of its Pods, measured from outside while something runs."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import psutil

SECONDS = 0.5


class Peak:
    """While entered: the most memory at one time, in bytes.

    A process is charged for what it shares in equal parts with those it shares it with (PSS), as
    the cluster's Pods are one interpreter many times over.  Read by root, or by the same user.
    """

    def __init__(self, home: Path) -> None:
        self.cluster = self.pods = 0
        self.most_pods = 0
        self._home = str(home)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def __str__(self) -> str:
        return (
            f"peak memory: cluster {self.cluster / 2**20:.0f} MiB, "
            f"Pods {self.pods / 2**20:.0f} MiB (at most {self.most_pods} processes)"
        )

    def _watch(self) -> None:
        while not self._done.wait(SECONDS):
            pods = {child for spawner in self._spawners() for child in _below(spawner)}
            cluster = {process for daemon in self._daemons() for process in _tree(daemon)} - pods
            self.cluster = max(self.cluster, sum(map(_share, cluster)))
            self.pods = max(self.pods, sum(map(_share, pods)))
            self.most_pods = max(self.most_pods, len(pods))

    def _daemons(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter()
            if _says(process, "labkit.clusters.daemon", self._home)
        ]

    def _spawners(self) -> list[psutil.Process]:
        below = [process for daemon in self._daemons() for process in _below(daemon)]
        return [process for process in below if _says(process, "labkit/engine/spawner")]


def _says(process: psutil.Process, *words: str) -> bool:
    with contextlib.suppress(psutil.Error):
        line = " ".join(process.cmdline())
        return all(word in line for word in words)
    return False


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *_below(process)]


def _below(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _share(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return process.memory_full_info().pss
    return 0
