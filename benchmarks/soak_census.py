"""What the processes of a cluster hold: descriptors, sockets, memory; before, after, and left."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.clusters.parts import Parts

# Idle connections come and go; a leak of a request, of a hundred in a second, is far above.
_SLACK = 8


@dataclass(frozen=True)
class Holdings:
    """Of a part's process and those below it; memory in bytes, in proportion (PSS)."""

    processes: int
    descriptors: int
    sockets: int
    memory: int


Census = dict[str, Holdings]


def census(parts: Parts) -> Census:
    """What each part holds, and the daemon with its fork server."""
    found, known = {}, set()
    for facts in parts.facts():
        if facts.pid:
            process = psutil.Process(facts.pid)
            tree = [process, *process.children(recursive=True)]
            known |= {each.pid for each in tree}
            found[facts.name] = _holdings(tree)
    daemon = psutil.Process(parts.daemon)
    rest = [daemon, *daemon.children(recursive=True)]
    found["the daemon"] = _holdings(each for each in rest if each.pid not in known)
    return found


def _holdings(processes: Iterable[psutil.Process]) -> Holdings:
    counts = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            sockets = len(process.net_connections("all"))
            memory = process.memory_full_info().pss
            counts.append((1, process.num_fds(), sockets, memory))
    return Holdings(*map(sum, zip(*counts, strict=True)))


def leaks(before: Census, after: Census) -> list[str]:
    """What has grown that should not have."""
    found = [f"{name} is not there any more" for name in before if name not in after]
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        if not _is_node(name) and b.processes != a.processes:
            found.append(f"{name} had {a.processes} processes and has {b.processes}")
        for what in ("descriptors", "sockets"):
            slack = _SLACK * (b.processes if _is_node(name) else 1)
            if getattr(b, what) > getattr(a, what) + slack:
                found.append(f"{name} had {getattr(a, what)} {what}, has {getattr(b, what)}")
    total = [sum(each.processes for each in found_.values()) for found_ in (before, after)]
    if total[0] != total[1]:
        found.append(f"there were {total[0]} processes and there are {total[1]}")
    return found


def _is_node(name: str) -> bool:
    """Pods move from node to node, and their processes with them."""
    return name.startswith("kubelet/")


def strays(processes: Iterable[psutil.Process], home: Path) -> list[str]:
    """Processes and sockets that a cluster which is down has left behind."""
    found = [f"left behind: {each}" for each in processes if _lives(each)]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CONTAINER_ROOT", "").startswith(str(home)):
                found.append(f"left behind: {process}")
    return found + [f"left behind: {path}" for path in home.rglob("*.sock")]


def _lives(process: psutil.Process) -> bool:
    """A zombie holds nothing; who should bury it is not ours."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
