"""What `docker stats` and the metrics of the lab read: a sample of a container's use, as JSON.

The shape is that of dockerd on cgroups; figures that need a cgroup (block I/O, network counters,
page cache) are empty or absent rather than invented.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.engine.accounting import Usage
from labkit.engine.timestamps import ZERO, rfc3339_nano


class Sample(NamedTuple):
    """One look at a container: Unix seconds, its use, the machine's CPU time in nanoseconds, and
    what its CPU limit did (periods, throttled periods, nanoseconds throttled)."""

    time: float
    usage: Usage
    system: int
    throttling: tuple[int, int, int] = (0, 0, 0)


def cpu_stats(sample: Sample | None, cpus: int) -> dict[str, Any]:
    """`cpu_stats` or `precpu_stats`; without a sample all zero, as on the first look."""
    usage = sample.usage if sample else Usage()
    periods, throttled, time = sample.throttling if sample else (0, 0, 0)
    stats: dict[str, Any] = {
        "cpu_usage": {
            "total_usage": usage.cpu,
            "usage_in_kernelmode": usage.system,
            "usage_in_usermode": usage.user,
        },
        "throttling_data": {
            "periods": periods,
            "throttled_periods": throttled,
            "throttled_time": time,
        },
    }
    if sample:
        stats |= {"system_cpu_usage": sample.system, "online_cpus": cpus}
    return stats


def view(
    name: str, container: str, limit: int, cpus: int, now: Sample | None, before: Sample | None
) -> dict[str, Any]:
    """One JSON object of `GET /containers/{id}/stats`; `now` is None for a stopped container."""
    running = now is not None
    return {
        "read": rfc3339_nano(now.time) if running else ZERO,
        "preread": rfc3339_nano(before.time) if before else ZERO,
        "pids_stats": {"current": now.usage.processes} if running else {},
        "blkio_stats": {},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu_stats(now, cpus),
        "precpu_stats": cpu_stats(before, cpus),
        "memory_stats": (
            {"usage": now.usage.memory, "stats": {}, "limit": limit} if running else {}
        ),
        "name": f"/{name}",
        "id": container,
        "networks": {},
    }
