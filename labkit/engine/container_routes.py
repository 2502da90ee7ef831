"""Handlers of `/containers`: requests to calls of the engine, and what they return to JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from labkit.engine import containers, lifecycle, selection, stats, top
from labkit.engine.containers import Container
from labkit.engine.errors import BadParameter, Conflict, EngineError, NotFound
from labkit.engine.execs import check_running
from labkit.engine.filters import Filters
from labkit.engine.lifecycle import parse_signal
from labkit.engine.logs import STDERR, STDOUT, Selection, frames, tail
from labkit.engine.runtime import Runtime
from labkit.engine.server import (
    MULTIPLEXED,
    RAW,
    RUNTIME,
    Route,
    answer,
    body_of,
    flag,
    integer,
    stream,
    stream_json,
)
from labkit.engine.stats import Sample
from labkit.engine.timestamps import parse

PRUNE_FILTERS = frozenset({"label", "label!", "until"})


def target(request: web.Request) -> tuple[Runtime, Container]:
    """The runtime, and the container that the path names.  Raises NotFound."""
    runtime = request.app[RUNTIME]
    return runtime, runtime.find(request.match_info["id"])


async def create(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    name, body = request.query.get("name", ""), await body_of(request)
    container = await runtime.complete(runtime.create(name, body))
    return answer({"Id": container.id, "Warnings": []}, 201)


async def start(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.start(runtime, container))
    return web.Response(status=204)


async def stop(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.stop(runtime, container, *_how_to_stop(request)))
    return web.Response(status=204)


async def restart(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.restart(runtime, container, *_how_to_stop(request)))
    return web.Response(status=204)


def _how_to_stop(request: web.Request) -> tuple[int | None, str]:
    """Seconds of grace, and the signal; None and "" for the container's own."""
    return integer(request, "t", None), request.query.get("signal", "")


async def kill(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    try:
        runtime, container = target(request)
        number = parse_signal(request.query.get("signal") or "SIGKILL")
        await runtime.complete(lifecycle.kill(runtime, container, number))
    except (NotFound, Conflict) as error:
        raise type(error)(f"Cannot kill container: {name}: {error}") from None
    return web.Response(status=204)


async def pause(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.pause(runtime, container))
    return web.Response(status=204)


async def unpause(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.unpause(runtime, container))
    return web.Response(status=204)


async def rename(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    runtime.rename(container, request.query.get("name", ""))
    return web.Response(status=204)


async def update(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    await runtime.complete(lifecycle.update(runtime, container, await body_of(request)))
    return answer({"Warnings": None})


async def remove(request: web.Request) -> web.StreamResponse:
    runtime, container = target(request)
    force = flag(request, "force")
    await runtime.complete(lifecycle.remove(runtime, container, force=force))
    return web.Response(status=204)


async def processes(request: web.Request) -> web.StreamResponse:
    """`docker top`."""
    runtime, container = target(request)
    if container.state.status != "paused":
        check_running(container)
    options = request.query.get("ps_args", "")
    found = top.table(runtime.members(container), options, runtime.clock.now())
    runtime.publish(container, "top")
    return answer(found)


async def inspect(request: web.Request) -> web.StreamResponse:
    return answer(containers.inspect(target(request)[1]))


async def list_all(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    chosen = selection.select(
        runtime.containers.values(),
        Filters.parse(request.query.get("filters", ""), selection.KNOWN),
        show_all=flag(request, "all"),
        limit=integer(request, "limit", 0) or 0,
        find=runtime.find,
        image_id=lambda name: _image_id(runtime, name),
    )
    return answer([containers.summary(c, runtime.clock.now()) for c in chosen])


def _image_id(runtime: Runtime, name: str) -> str:
    try:
        return runtime.images.find(name).id
    except NotFound:
        return ""


async def wait(request: web.Request) -> web.StreamResponse:
    """Answers headers at once: the CLI waits for these before it starts the container."""
    _, container = target(request)
    condition = request.query.get("condition", "")
    if condition not in ("", "not-running", "next-exit", "removed"):
        raise BadParameter(f'invalid condition: "{condition}"')

    async def result() -> AsyncIterator[dict]:
        code = await lifecycle.wait(container, condition)
        yield {"StatusCode": code, "Error": None}

    return await stream_json(request, result())


async def logs(request: web.Request) -> web.StreamResponse:
    _, container = target(request)
    chosen = _selection(request)
    record, tty = container.record, container.config["Tty"]

    async def output() -> AsyncIterator[bytes]:
        kept, end = record.read(0), record.end
        for chunk in tail([c for c in kept if chosen.has(c)], chosen.tail):
            yield frames(chunk, timestamps=chosen.timestamps, tty=tty)
        if flag(request, "follow"):
            async for chunk in record.follow(end):
                if chosen.has(chunk):
                    yield frames(chunk, timestamps=chosen.timestamps, tty=tty)

    return await stream(request, output(), RAW if tty else MULTIPLEXED)


def _selection(request: web.Request) -> Selection:
    streams = {STDOUT: flag(request, "stdout"), STDERR: flag(request, "stderr")}
    if not any(streams.values()):
        raise BadParameter("Bad parameters: you must choose at least one stream")
    lines = request.query.get("tail", "all")
    try:
        since, until = (parse(request.query.get(key, "")) for key in ("since", "until"))
    except ValueError as error:
        raise BadParameter(str(error)) from None
    return Selection(
        streams=frozenset(number for number, wanted in streams.items() if wanted),
        since=since,
        until=until,
        tail=int(lines) if lines.isdigit() else None,
        timestamps=flag(request, "timestamps"),
    )


async def statistics(request: web.Request) -> web.StreamResponse:
    """A stream of samples a second apart; `stream=0`: one with its predecessor; `one-shot`: one."""
    runtime, container = target(request)
    streaming = request.query.get("stream", "1").lower() not in ("0", "false")
    if not streaming:
        before = None
        if not flag(request, "one-shot") and container.state.running:
            before = await _sample(runtime, container)
            await runtime.clock.sleep(1)
        return answer(_stats(runtime, container, await _sample(runtime, container), before))

    async def samples() -> AsyncIterator[dict]:
        before = None
        while not container.gone:
            now = await _sample(runtime, container)
            yield _stats(runtime, container, now, before)
            before = now
            await runtime.clock.sleep(1)

    return await stream_json(request, samples())


async def _sample(runtime: Runtime, container: Container) -> Sample | None:
    if container.process is None:
        return None
    throttling = await runtime.throttling(container)
    usage, system = runtime.usage(container), runtime.host.cpu_time()
    return Sample(runtime.clock.now(), usage, system, throttling)


def _stats(
    runtime: Runtime, container: Container, now: Sample | None, before: Sample | None
) -> dict:
    limit = container.host_config["Memory"] or runtime.host.memory
    return stats.view(container.name, container.id, limit, runtime.host.cpus, now, before)


async def prune(request: web.Request) -> web.StreamResponse:
    """`docker container prune`: remove what does not run."""
    runtime = request.app[RUNTIME]
    filters = Filters.parse(request.query.get("filters", ""), PRUNE_FILTERS)
    until = filters.until(runtime.clock.now())
    removed = []
    for container in list(runtime.containers.values()):
        if (
            not container.state.running
            and filters.allows_labels(container.labels)
            and container.created <= until
        ):
            try:
                await runtime.complete(lifecycle.remove(runtime, container, force=False))
                removed.append(container.id)
            except EngineError:
                continue  # started or removed meanwhile
    runtime.events.publish("container", "prune", "", {"reclaimed": "0"})
    return answer({"ContainersDeleted": removed or None, "SpaceReclaimed": 0})


ROUTES: list[Route] = [
    ("POST", "/containers/create", create),
    ("POST", "/containers/prune", prune),
    ("GET", "/containers/json", list_all),
    ("GET", "/containers/{id}/json", inspect),
    ("GET", "/containers/{id}/logs", logs),
    ("GET", "/containers/{id}/stats", statistics),
    ("POST", "/containers/{id}/start", start),
    ("POST", "/containers/{id}/stop", stop),
    ("POST", "/containers/{id}/restart", restart),
    ("POST", "/containers/{id}/kill", kill),
    ("POST", "/containers/{id}/pause", pause),
    ("POST", "/containers/{id}/unpause", unpause),
    ("POST", "/containers/{id}/rename", rename),
    ("POST", "/containers/{id}/update", update),
    ("GET", "/containers/{id}/top", processes),
    ("POST", "/containers/{id}/wait", wait),
    ("DELETE", "/containers/{id}", remove),
]
