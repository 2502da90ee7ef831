"""How much memory and how many CPUs this process may use.

A container, a batch system or mybinder.org gives less than the machine has.  The kernel enforces
that by control groups, of which there are two versions, side by side on some machines; the
strictest limit on the way up to the root counts.

Source: Linux' documentation, admin-guide/cgroup-v2.rst (memory.max, cpu.max) and
admin-guide/cgroup-v1/memory.rst, scheduler/sched-bwc.rst (cpu.cfs_quota_us).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Version 1 spells "no limit" as the largest number of whole pages; no machine has so much.
_NO_LIMIT = 2**60


@dataclass(frozen=True)
class Limits:
    """What control groups allow: bytes, what of them is used, and CPUs; None for no limit."""

    memory: int | None = None
    memory_used: int | None = None
    cpus: float | None = None


def read(root: Path = Path("/")) -> Limits:
    """The limits of this process; `root` holds its `proc` and `sys`."""
    memory, cpus = [], []
    for group in groups(root):
        memory += _memory(group)
        cpus += _cpus(group)
    least = min(memory, default=(None, None))
    return Limits(*least, min(cpus, default=None))


def groups(root: Path) -> Iterator[Path]:
    """The directories of this process' control groups and of those above them.

    Inside of a container the paths in /proc may be those outside of it: what is not there is
    passed over, and the root of each hierarchy, which is always there, stands for it.
    """
    mount = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            tops = [mount, mount / "unified"]
        else:
            wanted = {"memory", "cpu"} & set(controllers.split(","))
            tops = [mount / name for name in (controllers, *wanted) if wanted]
        for top in tops:
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for depth in range(len(parts), -1, -1):
                yield top.joinpath(*parts[:depth])


def _memory(group: Path) -> Iterator[tuple[int, int]]:
    """The limit and the use of one group."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        allowed = _number(group / limit)
        if allowed is not None and allowed < _NO_LIMIT:
            yield allowed, max(0, (_number(group / used) or 0) - _reclaimable(group))


def _reclaimable(group: Path) -> int:
    """Of what is used, the page cache that the kernel gives up when memory is short."""
    counters = dict(line.split() for line in _lines(group / "memory.stat") if " " in line)
    return int(counters.get("total_inactive_file") or counters.get("inactive_file") or 0)


def _cpus(group: Path) -> Iterator[float]:
    quota, period = (*" ".join(_lines(group / "cpu.max")).split(), "", "")[:2]
    if not quota:
        quota = "".join(_lines(group / "cpu.cfs_quota_us"))
        period = "".join(_lines(group / "cpu.cfs_period_us"))
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
