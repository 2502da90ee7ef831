"""What a container may use: meaning, checks and updates of HostConfig's memory and CPU.

The words and bounds are dockerd's (moby daemon/daemon_unix.go, verifyPlatformContainerResources,
and container/container_unix.go, UpdateContainer).

Left out: CPU shares and sets, reservations, block I/O and process limits are kept and shown, and
have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.engine.errors import BadParameter, Conflict
from labkit.engine.restarts import check_policy

LEAST_MEMORY = 6 << 20
MICRO = 1000  # nanoseconds: quotas and periods are given in microseconds
PERIOD = 100_000  # microseconds, the kernel's default
PERIODS = range(1000, 1_000_001)
UPDATABLE = (
    "BlkioWeight", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares",
    "CpusetCpus", "CpusetMems", "Memory", "MemoryReservation", "MemorySwap", "NanoCpus",
    "PidsLimit",
)  # fmt: skip


class Limits(NamedTuple):
    """Bytes of memory, and nanoseconds of CPU time (`quota`) in each `period`; 0: no limit."""

    memory: int = 0
    quota: int = 0
    period: int = 0


def limits(host_config: Mapping[str, Any]) -> Limits:
    """What the spawner enforces."""
    memory = max(0, host_config.get("Memory") or 0)
    period = (host_config.get("CpuPeriod") or PERIOD) * MICRO
    if nano := host_config.get("NanoCpus"):
        return Limits(memory, nano * period // 10**9, period)
    if (quota := host_config.get("CpuQuota") or 0) > 0:
        return Limits(memory, quota * MICRO, period)
    return Limits(memory)


def check(host_config: Mapping[str, Any], processors: int) -> None:
    """Raises BadParameter for limits that cannot be."""
    memory, nano, period, quota = (
        host_config.get(key) or 0 for key in ("Memory", "NanoCpus", "CpuPeriod", "CpuQuota")
    )
    if memory and memory < LEAST_MEMORY:
        raise BadParameter("Minimum memory limit allowed is 6MB")
    if nano and period:
        raise BadParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if nano and quota:
        raise BadParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if nano < 0 or nano > processors * 10**9:
        raise BadParameter(
            f"Range of CPUs is from 0.01 to {processors}.00, "
            f"as there are only {processors} CPUs available"
        )
    if period and period not in PERIODS:
        raise BadParameter(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < quota < PERIODS[0]:
        raise BadParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def with_swap(host_config: Mapping[str, Any]) -> dict[str, Any]:
    """As much swap as memory is the default, as in dockerd; it is shown and has no effect."""
    memory = host_config.get("Memory") or 0
    if memory > 0 and not host_config.get("MemorySwap"):
        return {**host_config, "MemorySwap": 2 * memory}
    return dict(host_config)


def updated(
    container_id: str, old: Mapping[str, Any], wanted: Mapping[str, Any], processors: int
) -> dict[str, Any]:
    """`POST /containers/{id}/update`: the new HostConfig.  Raises BadParameter, Conflict."""
    check(wanted, processors)
    policy = wanted.get("RestartPolicy") or {}
    check_policy(policy)
    if reason := _conflict(old, wanted, policy.get("Name")):
        raise Conflict(f"Cannot update container {container_id}: {reason}")
    given = {key: wanted[key] for key in UPDATABLE if wanted.get(key)}
    if policy.get("Name"):
        given["RestartPolicy"] = {"MaximumRetryCount": 0, **policy}
    return {**old, **given}


def _conflict(old: Mapping[str, Any], wanted: Mapping[str, Any], policy: str | None) -> str:
    """Why the update cannot be, or an empty string."""

    def both(new: str, present: str) -> bool:
        return (wanted.get(new) or 0) > 0 and (old.get(present) or 0) > 0

    for new, present, words in (
        ("NanoCpus", "CpuPeriod", "Nano CPUs cannot be updated as CPU Period"),
        ("NanoCpus", "CpuQuota", "Nano CPUs cannot be updated as CPU Quota"),
        ("CpuPeriod", "NanoCpus", "CPU Period cannot be updated as NanoCPUs"),
        ("CpuQuota", "NanoCpus", "CPU Quota cannot be updated as NanoCPUs"),
    ):
        if both(new, present):
            return f"Conflicting options: {words} has already been set"
    memory, swap = wanted.get("Memory") or 0, old.get("MemorySwap") or 0
    if memory and memory > swap and not wanted.get("MemorySwap"):
        return (
            "Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time"
        )
    if policy not in (None, "", "no") and old.get("AutoRemove"):
        return "Restart policy cannot be updated because AutoRemove is enabled for the container"
    return ""
