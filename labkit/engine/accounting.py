"""What containers use: CPU time, memory and processes, read from /proc.

Mechanism: one scan of /proc (10 µs a process) gives every process's parent, session, times and
memory.  The spawner's children, with all that descends from them, are the containers' processes:
a child that is a main process brings its container; one that was handed over to the spawner counts
where its session or its environment's `CONTAINER_ROOT` says, as in spawner/serve.py.  A scan is
kept for `KEEP` seconds and answers for all containers.

CPU time of a container is the sum over its processes of their own time and of the children that
they have waited for: a shell that runs a short `wget` again and again accounts for all of them.

Invariant: a container's CPU time never falls, also when processes end that nobody waited for; the
time of those is the one thing that is not counted.

Left out compared with cgroups: the page cache, swap and block I/O; memory is the sum of resident
sets, so that pages which two processes share count twice.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from labkit.clock import Clock
from labkit.engine.spawner.procfs import root_of

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
KEEP = 0.1  # seconds; as fresh as a cgroup's counters look at the rate anyone polls them


class Stat(NamedTuple):
    """One process: CPU times in nanoseconds, resident set in bytes."""

    pid: int
    parent: int
    session: int
    user: int
    system: int
    resident: int


class Usage(NamedTuple):
    """One container: CPU times in nanoseconds, memory in bytes, number of processes."""

    user: int = 0
    system: int = 0
    memory: int = 0
    processes: int = 0

    @property
    def cpu(self) -> int:
        return self.user + self.system


def parse_stat(line: bytes) -> Stat:
    """One line of /proc/PID/stat (proc_pid_stat(5)); the name may hold spaces and brackets."""
    pid, _, rest = line.partition(b" ")
    fields = rest.rpartition(b") ")[2].split()
    user, system, waited_user, waited_system = (int(field) * TICK_NS for field in fields[11:15])
    return Stat(
        pid=int(pid),
        parent=int(fields[1]),
        session=int(fields[3]),
        user=user + waited_user,
        system=system + waited_system,
        resident=int(fields[21]) * PAGE,
    )


def scan() -> dict[int, Stat]:
    """Every process that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = parse_stat(file.read())
            except OSError:
                continue  # ended meanwhile
    return found


def assign(
    stats: Mapping[int, Stat], spawner: int, groups: Mapping[int, str]
) -> dict[str, list[Stat]]:
    """The processes of each group; `groups` maps main processes to theirs."""
    children: dict[int, list[Stat]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat)
    found: dict[str, list[Stat]] = {}
    for child in children.get(spawner, ()):
        group = groups.get(child.pid) or groups.get(child.session) or root_of(child.pid)
        if group is not None:
            tree = [child]
            for stat in tree:
                tree += children.get(stat.pid, ())
            found.setdefault(group, []).extend(tree)
    return found


def total(stats: Iterable[Stat]) -> Usage:
    """The sum over the processes of one container."""
    usage = Usage()
    for stat in stats:
        usage = Usage(
            usage.user + stat.user,
            usage.system + stat.system,
            usage.memory + stat.resident,
            usage.processes + 1,
        )
    return usage


class Accounting:
    """The usage of all containers of one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = -KEEP
        self._current: dict[str, Usage] = {}
        self._highest: dict[str, Usage] = {}

    def usage(self, group: str, spawner: int, groups: Mapping[int, str]) -> Usage:
        """What `group` has used until now, at most `KEEP` seconds ago."""
        if group not in self._current or self._clock.monotonic() - self._time >= KEEP:
            self._current = {g: total(s) for g, s in assign(scan(), spawner, groups).items()}
            self._time = self._clock.monotonic()
        now = self._current.get(group, Usage())
        last = self._highest.get(group, Usage())
        self._highest[group] = now._replace(
            user=max(now.user, last.user), system=max(now.system, last.system)
        )
        return self._highest[group]

    def forget(self, group: str) -> None:
        """The container is removed, or starts anew from zero."""
        self._highest.pop(group, None)
        self._current.pop(group, None)


def system_cpu(cpus: int) -> int:
    """CPU time of the whole machine so far, idle time included, in nanoseconds.

    Scaled to `cpus` processors, so that the ratio that `docker stats` prints stays a percentage of
    one of the engine's processors also where the engine reports fewer than the machine has.
    """
    with open("/proc/stat", "rb") as file:
        ticks = sum(map(int, file.readline().split()[1:9]))
    return ticks * TICK_NS * cpus // (os.cpu_count() or 1)


def kill_strays(root: Path) -> None:
    """Kill processes of containers below `root` that no spawner watches over any more."""
    for _ in range(3):  # again, for what was forked during the scan
        for name in os.listdir("/proc"):
            if name.isdigit() and _belongs(int(name), root):
                try:
                    os.kill(int(name), signal.SIGKILL)
                except ProcessLookupError:
                    continue


def _belongs(pid: int, root: Path) -> bool:
    owner = root_of(pid)
    return owner is not None and pid != os.getpid() and Path(owner).is_relative_to(root)
