"""Handlers of everything but containers: system, images, networks, events."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator

from aiohttp import web

from labkit.engine.errors import BadParameter
from labkit.engine.filters import Filters
from labkit.engine.images import architecture
from labkit.engine.references import parse as parse_reference
from labkit.engine.runtime import Runtime
from labkit.engine.server import (
    API_VERSION,
    MIN_API_VERSION,
    RUNTIME,
    VERSION,
    Route,
    answer,
    body_of,
    flag,
    stream_json,
)
from labkit.engine.timestamps import parse as parse_time
from labkit.engine.timestamps import rfc3339_nano

# fmt: off
EVENT_FILTERS = frozenset({
    "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin",
    "scope", "secret", "service", "type", "volume",
})
# fmt: on
IMAGE_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
NETWORK_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})


async def ping(_: web.Request) -> web.StreamResponse:
    return web.Response(text="OK", headers={"Cache-Control": "no-cache, no-store, must-revalidate"})


async def version(_: web.Request) -> web.StreamResponse:
    details = {
        "ApiVersion": API_VERSION,
        "Arch": architecture(),
        "Experimental": "false",
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
    }
    shown = f"{VERSION}-labkit"
    return answer(
        {
            "Platform": {"Name": "labkit: containers are processes of this user"},
            "Components": [{"Name": "Engine", "Version": shown, "Details": details}],
            "Version": shown,
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "GitCommit": "",
            "GoVersion": "",
            "Os": "linux",
            "Arch": architecture(),
            "KernelVersion": platform.release(),
        }
    )


async def info(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    states = [container.state.running for container in runtime.containers.values()]
    return answer(
        {
            "ID": runtime.host.name,
            "Containers": len(states),
            "ContainersRunning": sum(states),
            "ContainersPaused": 0,
            "ContainersStopped": len(states) - sum(states),
            "Images": len(runtime.images.present()),
            "Driver": "copy",
            "DriverStatus": [],
            "Plugins": {"Volume": [], "Network": ["bridge", "host", "null"], "Log": ["json-file"]},
            "MemoryLimit": True,
            "SwapLimit": False,
            "CpuCfsPeriod": False,
            "CpuCfsQuota": False,
            "CPUShares": False,
            "CPUSet": False,
            "PidsLimit": False,
            "IPv4Forwarding": True,
            "Debug": False,
            "SystemTime": rfc3339_nano(runtime.clock.now()),
            "LoggingDriver": "json-file",
            "CgroupDriver": "none",
            "KernelVersion": platform.release(),
            "OperatingSystem": "labkit",
            "OSType": "linux",
            "Architecture": platform.machine(),
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": None,
            "NCPU": runtime.host.cpus,
            "MemTotal": runtime.host.memory,
            "DockerRootDir": str(runtime.directory),
            "Name": runtime.host.name,
            "Labels": [],
            "ServerVersion": f"{VERSION}-labkit",
            "Runtimes": {"process": {"path": ""}},
            "DefaultRuntime": "process",
            "Swarm": {"LocalNodeState": "inactive"},
            "LiveRestoreEnabled": False,
            "SecurityOptions": [],
            "Warnings": ["WARNING: Containers are processes of this user: no isolation"],
        }
    )


async def events(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    filters = Filters.parse(request.query.get("filters", ""), EVENT_FILTERS)
    try:
        since, until = (parse_time(request.query.get(key, "")) for key in ("since", "until"))
    except ValueError as error:
        raise BadParameter(str(error)) from None
    return await stream_json(request, runtime.events.stream(filters, since, until))


async def image_list(request: web.Request) -> web.StreamResponse:
    filters = Filters.parse(request.query.get("filters", ""), IMAGE_FILTERS)
    return answer(request.app[RUNTIME].images.list(filters))


async def image_inspect(request: web.Request) -> web.StreamResponse:
    return answer(request.app[RUNTIME].images.inspect(request.match_info["name"]))


async def image_pull(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    name = request.query.get("fromImage", "")
    if not name:
        raise BadParameter(
            "An import of an image was asked for. The embedded engine's images come with the lab. "
            "Pull one of them: docker pull todolist."
        )
    reference = parse_reference(name, request.query.get("tag", ""))
    progress = runtime.images.pull(reference)
    attributes = {"name": reference.repository}
    runtime.events.publish("image", "pull", reference.familiar, attributes)

    async def items() -> AsyncIterator[dict]:
        for item in progress:
            yield item

    return await stream_json(request, items())


async def image_remove(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    users = [(c.id, c.image_id, c.state.running) for c in runtime.containers.values()]
    name = request.match_info["name"]
    removed = runtime.images.remove(name, users, force=flag(request, "force"))
    for item in removed:
        for word, what in item.items():
            action = {"Untagged": "untag", "Deleted": "delete"}[word]
            runtime.events.publish("image", action, what, {"name": what})
    return answer(removed)


def _names(runtime: Runtime) -> dict[str, str]:
    return {container.id: container.name for container in runtime.containers.values()}


async def network_list(request: web.Request) -> web.StreamResponse:
    filters = Filters.parse(request.query.get("filters", ""), NETWORK_FILTERS)
    return answer(request.app[RUNTIME].networks.list(filters))


async def network_inspect(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    return answer(runtime.networks.find(request.match_info["id"]).view(_names(runtime)))


async def network_create(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    created = rfc3339_nano(runtime.clock.now())
    network = runtime.networks.create(await body_of(request), created)
    attributes = {"name": network.name, "type": network.driver}
    runtime.events.publish("network", "create", network.id, attributes)
    return answer({"Id": network.id, "Warning": ""}, 201)


async def network_remove(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    network = runtime.networks.remove(request.match_info["id"])
    attributes = {"name": network.name, "type": network.driver}
    runtime.events.publish("network", "destroy", network.id, attributes)
    return web.Response(status=204)


async def volume_list(_: web.Request) -> web.StreamResponse:
    return answer({"Volumes": [], "Warnings": None})


ROUTES: list[Route] = [
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("GET", "/events", events),
    ("GET", "/images/json", image_list),
    ("POST", "/images/create", image_pull),
    ("GET", "/images/{name:.+}/json", image_inspect),
    ("DELETE", "/images/{name:.+}", image_remove),
    ("GET", "/networks", network_list),
    ("POST", "/networks/create", network_create),
    ("GET", "/networks/{id}", network_inspect),
    ("DELETE", "/networks/{id}", network_remove),
    ("GET", "/volumes", volume_list),
]
