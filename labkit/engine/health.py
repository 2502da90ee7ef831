"""Health checks (`docker run --health-cmd`): a command that is run again and again in a container.

The rules are moby's (daemon/health.go): `starting` until the first success, `unhealthy` after so
many failures in a row as `Retries` says, of which those in the start period of a container that has
not been healthy yet do not count.  Nobody acts on the result; it is for who looks and for filters.

Invariant: one task checks a running container that has a check; none checks one that is paused or
has ended, and such a one is `unhealthy`.

Left out: HEALTHCHECK of a Dockerfile (a check comes with the container alone).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.engine import execs
from labkit.engine.containers import Container
from labkit.engine.errors import BadParameter, EngineError
from labkit.engine.execs import Exec
from labkit.engine.timestamps import rfc3339_nano

if TYPE_CHECKING:
    from labkit.engine.runtime import Runtime

SECOND = 10**9
LEAST = SECOND // 1000
DEFAULTS = {"Interval": 30 * SECOND, "Timeout": 30 * SECOND, "StartInterval": 5 * SECOND}
RETRIES = 3
KEPT = 5  # results
OUTPUT = 4096  # bytes kept of each


@dataclass
class Health:
    """What the checks of one run have shown.  A result is its JSON in `State.Health.Log`."""

    config: Mapping[str, Any]
    status: str = "starting"
    streak: int = 0
    results: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    task: asyncio.Task[None] | None = None

    def seconds(self, key: str) -> float:
        """A duration of the configuration."""
        return (self.config.get(key) or DEFAULTS.get(key, 0)) / SECOND

    def interval(self, age: float) -> float:
        """Seconds until the next check of a container that has run for `age` seconds."""
        young = self.status == "starting" and age < self.seconds("StartPeriod")
        return self.seconds("StartInterval" if young else "Interval")

    def judge(self, exit_code: int, age: float) -> bool:
        """A check, begun at `age` seconds, has ended so; whether the status is another now."""
        before = self.status
        if exit_code == 0:
            self.status, self.streak = "healthy", 0
        elif before != "starting" or age >= self.seconds("StartPeriod"):
            self.streak += 1
            if self.streak >= (self.config.get("Retries") or RETRIES):
                self.status = "unhealthy"
        return self.status != before

    def view(self) -> dict[str, Any]:
        """`State.Health` of the API."""
        return {
            "Status": self.status,
            "FailingStreak": self.streak,
            "Log": list(self.results),
        }


def check(config: Mapping[str, Any] | None) -> None:
    """Raises BadParameter for a `Healthcheck` that cannot be."""
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        value = (config or {}).get(key) or 0
        if value and value < LEAST:
            raise BadParameter(f"{key} in Healthcheck cannot be less than 1ms")
    if ((config or {}).get("Retries") or 0) < 0:
        raise BadParameter("Retries in Healthcheck cannot be negative")


def command(config: Mapping[str, Any] | None) -> list[str]:
    """What a check runs; empty if there is none."""
    kind, *words = (config or {}).get("Test") or ["NONE"]
    if kind == "CMD-SHELL":
        return ["/bin/sh", "-c", *words]
    return words if kind == "CMD" else []


def begin(runtime: Runtime, container: Container) -> None:
    """A run starts: check it, if it has a check."""
    config = container.config["Healthcheck"]
    if command(config):
        container.health = Health(config)
        watch(runtime, container)


def watch(runtime: Runtime, container: Container) -> None:
    """Check from now on."""
    if container.health is not None:
        container.health.task = runtime.background(_watch(runtime, container, container.health))


def leave(container: Container) -> None:
    """Check no more: the container is paused or has ended."""
    if container.health is not None and container.health.task is not None:
        container.health.task.cancel()
        container.health.task, container.health.status = None, "unhealthy"


async def _watch(runtime: Runtime, container: Container, health: Health) -> None:
    clock, started = runtime.clock, container.state.started
    while True:
        await clock.sleep(health.interval(clock.now() - started))
        begun = clock.now()
        exit_code, output = await _probe(runtime, container, health)
        health.results.append(
            {
                "Start": rfc3339_nano(begun),
                "End": rfc3339_nano(clock.now()),
                "ExitCode": exit_code,
                "Output": output,
            }
        )
        if health.judge(exit_code, begun - started):
            runtime.publish(container, f"health_status: {health.status}")


async def _probe(runtime: Runtime, container: Container, health: Health) -> tuple[int, str]:
    """Run the check once: its exit code and what it wrote."""
    body = {"Cmd": command(health.config), "AttachStdout": True, "AttachStderr": True}
    written = bytearray()
    try:
        exec_ = execs.create(runtime, container, body)
        execs.check_startable(exec_)
        async with asyncio.timeout(health.seconds("Timeout")):
            await _run(runtime, exec_, written)
    except TimeoutError:
        await exec_.kill(runtime.processes)
        limit = f"Health check exceeded timeout ({health.seconds('Timeout'):g}s)"
        return -1, f"{limit}: {_text(written)}" if written else limit
    except EngineError as error:
        return -1, str(error)
    return exec_.exit_code or 0, _text(written)


async def _run(runtime: Runtime, exec_: Exec, written: bytearray) -> None:
    await execs.start(runtime, exec_)
    async for chunk in exec_.feed.follow():
        written += chunk.data[: OUTPUT + 1 - len(written)]


def _text(written: bytearray) -> str:
    text = written[:OUTPUT].decode(errors="replace")
    return text + "..." if len(written) > OUTPUT else text
