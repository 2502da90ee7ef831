"""The life of a container: start, stop, kill, pause, restart policies, removal, and who waits.

Mechanism: a start holds the container's lock, and so does a removal.  A task for each run waits for
its main process to end and then, in this order, kills its execs, gives back its address and ports,
decides by the restart policy what is next, publishes `die`, and wakes whoever waits.

Invariants: those of containers.py; events of one container come in the order of what happened.
What somebody stops is not restarted.
"""

from __future__ import annotations

import asyncio
import shutil
import signal

from labkit.engine import health, resources
from labkit.engine.containers import Container
from labkit.engine.errors import (
    BadParameter,
    Conflict,
    EngineError,
    NotModified,
    cannot_exec,
    is_restarting,
    no_such_container,
    not_running,
    remove_running,
)
from labkit.engine.processes import Process
from labkit.engine.restarts import Restarts
from labkit.engine.runtime import Runtime

STOP_SECONDS = 10  # Docker's default grace
KILL_SECONDS = 10  # how long a killed process may take to be gone


def parse_signal(text: str) -> signal.Signals:
    """`SIGTERM`, `TERM` or `15`.  Raises BadParameter."""
    try:
        if text.isdigit():
            return signal.Signals(int(text))
        return signal.Signals["SIG" + text.upper().removeprefix("SIG")]
    except (ValueError, KeyError):
        raise BadParameter(f"Invalid signal: {text}") from None


async def start(runtime: Runtime, container: Container) -> None:
    """`POST /containers/{id}/start`.  Raises NotModified, BadParameter, EngineError."""
    async with container.lock:
        if container.gone:
            raise no_such_container(container.id)
        if container.state.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        if container.state.running:
            raise NotModified
        container.restarts, container.restarted = Restarts(), False
        await _start(runtime, container)


async def _start(runtime: Runtime, container: Container) -> None:
    try:
        container.place = await runtime.connector.connect(container)
        container.process = await _launch(runtime, container)
    except EngineError as error:
        container.state.error = str(error)
        runtime.connector.disconnect(container)
        if container.host_config["AutoRemove"]:
            runtime.background(remove(runtime, container, force=False))
        raise
    runtime.accounting.forget(str(container.root))
    container.state.begin(runtime.clock.now())
    container.record.begin()
    runtime.publish(container, "start")
    container.changed()
    health.begin(runtime, container)
    runtime.background(_attend(runtime, container, container.process))


async def _launch(runtime: Runtime, container: Container) -> Process:
    """Start the main process.  Raises BadParameter."""
    try:
        return await runtime.launch(
            container,
            container.argv,
            [],
            container.config["WorkingDir"],
            container.record,
            stdin=container.config["OpenStdin"],
            tty=container.config["Tty"],
            limits=resources.limits(container.host_config),
        )
    except LookupError as error:
        container.state.exit_code = 126 if "denied" in str(error) else 127
        reason = cannot_exec("create failed: runc create failed", container.argv[0], str(error))
        raise BadParameter(f"failed to create shim task: {reason}") from None


async def _attend(runtime: Runtime, container: Container, process: Process) -> None:
    """Wait for the end of a run, and clear up after it."""
    code = await process.exited
    health.leave(container)
    for exec_id in container.execs:
        await runtime.execs[exec_id].kill(runtime.processes)
    container.process = None
    runtime.connector.disconnect(container)
    now = runtime.clock.now()
    policy, ran = container.host_config["RestartPolicy"], now - container.state.started
    wait = container.restarts.after(policy, code, ran)
    container.state.end(now, code, restarting=wait is not None)
    container.exits += 1
    container.record.close()
    if wait is not None:
        runtime.background(_restart_later(runtime, container, container.exits, wait))
    runtime.publish(container, "die", exitCode=str(code), execDuration=str(int(ran)))
    container.changed()
    if wait is None and container.host_config["AutoRemove"] and not container.restarted:
        await remove(runtime, container, force=False)


async def _restart_later(runtime: Runtime, container: Container, run: int, seconds: float) -> None:
    """Start the container again after a while, unless somebody stops it meanwhile."""
    await runtime.clock.sleep(seconds)
    async with container.lock:
        if container.state.status != "restarting" or container.exits != run:
            return
        try:
            await _start(runtime, container)
        except EngineError:
            _give_up(container)  # the error is in its state
        else:
            if container.restarts.cancelled:  # while it started
                await _signal(runtime, container, signal.SIGKILL)


def _give_up(container: Container) -> None:
    """It waited for a restart, and will not have it."""
    container.state.status = "exited"
    container.changed()


async def stop(runtime: Runtime, container: Container, seconds: float | None, name: str) -> None:
    """`POST /containers/{id}/stop`: the stop signal, then after `seconds` SIGKILL.

    `name`: of the signal, if not the container's own.  Raises NotModified, BadParameter.
    """
    # Without the lock: a shorter stop or a forced removal overtakes a longer one.
    if not container.state.running:
        raise NotModified
    if seconds is None:
        own = container.config["StopTimeout"]
        seconds = STOP_SECONDS if own is None else own
    run = container.exits
    await _signal(runtime, container, parse_signal(name or container.config["StopSignal"]))
    if not await _ended(container, run, None if seconds < 0 else seconds):
        await _kill(runtime, container, run)
    runtime.publish(container, "stop")


async def restart(runtime: Runtime, container: Container, seconds: float | None, name: str) -> None:
    """`POST /containers/{id}/restart`: stop if running, then start."""
    if container.state.running:
        container.restarted = True
        await stop(runtime, container, seconds, name)
    await start(runtime, container)
    runtime.publish(container, "restart")


async def kill(runtime: Runtime, container: Container, number: signal.Signals) -> None:
    """`POST /containers/{id}/kill`: a signal to the main process."""
    if not container.state.running:
        raise not_running(container.id)
    if number == signal.SIGKILL:
        await _kill(runtime, container, container.exits)
    else:
        await _signal(runtime, container, number)


async def _kill(runtime: Runtime, container: Container, run: int) -> None:
    await _signal(runtime, container, signal.SIGKILL)
    await _ended(container, run, KILL_SECONDS)


async def _signal(runtime: Runtime, container: Container, number: signal.Signals) -> None:
    """What ends a container also ends its restarts, and wakes it if it is paused."""
    ends = number in (signal.SIGKILL, parse_signal(container.config["StopSignal"]))
    container.restarts.signalled = True
    container.restarts.cancelled |= ends
    if container.state.status == "restarting":
        if ends:
            _give_up(container)
        return
    if container.process is not None:
        await runtime.processes.signal(container.process, number)
    runtime.publish(container, "kill", signal=str(int(number)))
    if ends and container.state.status == "paused":
        await unpause(runtime, container)


async def _ended(container: Container, run: int, seconds: float | None) -> bool:
    """Wait until this run (there were `run` before it) has ended; false after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while container.state.running and container.exits == run:
                await container.change()
    except TimeoutError:
        return False
    return True


async def pause(runtime: Runtime, container: Container) -> None:
    """`POST /containers/{id}/pause`: all its processes stand still.  Raises Conflict."""
    async with container.lock:
        if not container.state.running:
            raise not_running(container.id)
        if container.state.status == "paused":
            raise Conflict(f"Container {container.id} is already paused")
        if container.state.status == "restarting":
            raise is_restarting(container.id)
        await runtime.processes.pause(str(container.root))
        if container.state.status == "running":
            container.state.status = "paused"
            health.leave(container)
            runtime.publish(container, "pause")


async def unpause(runtime: Runtime, container: Container) -> None:
    """`POST /containers/{id}/unpause`.  Raises EngineError."""
    if container.state.status != "paused":
        raise EngineError(f"Container {container.id} is not paused")
    container.state.status = "running"
    runtime.publish(container, "unpause")
    await runtime.processes.unpause(str(container.root))
    health.watch(runtime, container)


async def update(runtime: Runtime, container: Container, wanted: dict) -> None:
    """`POST /containers/{id}/update`: new limits and restart policy, also while it runs.

    Raises BadParameter, Conflict.
    """
    async with container.lock:
        config = resources.updated(container.id, container.host_config, wanted, runtime.host.cpus)
        container.host_config = config
        if container.process is not None:
            await runtime.processes.limit(str(container.root), resources.limits(config))
        runtime.publish(container, "update")


async def remove(runtime: Runtime, container: Container, *, force: bool) -> None:
    """`DELETE /containers/{id}`.  Raises Conflict if it runs and `force` is not given."""
    async with container.lock:
        if container.gone:
            raise no_such_container(container.id)
        if container.state.running:
            if not force:
                raise remove_running(container.id, container.state.status)
            await _kill(runtime, container, container.exits)
        container.gone = True
        runtime.forget(container)
        await asyncio.to_thread(shutil.rmtree, container.root.parent, ignore_errors=True)
        runtime.publish(container, "destroy")
        container.changed()


async def wait(container: Container, condition: str) -> int:
    """`POST /containers/{id}/wait`: the exit code, once `condition` is met.

    A restart by policy is no end of the wait to come, but the exit before it is.
    """
    exits = container.exits
    while True:
        if condition == "removed":
            done = container.gone
        elif condition == "next-exit":
            done = container.exits > exits
        else:
            done = container.exits > exits or not container.state.running
        if done or container.gone:
            return container.state.exit_code
        await container.change()


async def end_all(runtime: Runtime) -> None:
    """Kill all containers, for good; their ports are closed and their waiters told."""
    for container in runtime.containers.values():
        container.restarts.cancelled = True
        if container.state.status == "restarting":
            _give_up(container)
    await runtime.processes.stop()
    for container in list(runtime.containers.values()):
        await _ended(container, container.exits, KILL_SECONDS)
