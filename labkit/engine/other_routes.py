"""Handlers of everything but containers and images: system, networks, events."""

from __future__ import annotations

import platform
from collections import Counter

from aiohttp import web

from labkit.engine.errors import BadParameter
from labkit.engine.filters import Filters
from labkit.engine.image import architecture
from labkit.engine.networks import Network
from labkit.engine.runtime import Runtime
from labkit.engine.server import (
    API_VERSION,
    MIN_API_VERSION,
    RUNTIME,
    VERSION,
    Route,
    answer,
    body_of,
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
NETWORK_PRUNE_FILTERS = frozenset({"label", "label!", "until"})
NETWORK_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})


async def ping(_: web.Request) -> web.StreamResponse:
    headers = {
        "Builder-Version": "1",  # the classic builder; the docker SDK and older CLIs go by it
        "Cache-Control": "no-cache, no-store, must-revalidate",
    }
    return web.Response(text="OK", headers=headers)


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
    states = Counter(container.state.status for container in runtime.containers.values())
    running = states["running"] + states["restarting"]
    return answer(
        {
            "ID": runtime.host.name,
            "Containers": states.total(),
            "ContainersRunning": running,
            "ContainersPaused": states["paused"],
            "ContainersStopped": states.total() - running - states["paused"],
            "Images": len(runtime.images.present()),
            "Driver": "copy",
            "DriverStatus": [],
            "Plugins": {"Volume": [], "Network": ["bridge", "host", "null"], "Log": ["json-file"]},
            "MemoryLimit": True,
            "SwapLimit": False,
            "CpuCfsPeriod": True,
            "CpuCfsQuota": True,
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
    _destroyed(runtime, runtime.networks.remove(request.match_info["id"]))
    return web.Response(status=204)


async def network_prune(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    filters = Filters.parse(request.query.get("filters", ""), NETWORK_PRUNE_FILTERS)
    removed = runtime.networks.prune(filters, filters.until(runtime.clock.now()))
    for network in removed:
        _destroyed(runtime, network)
    runtime.events.publish("network", "prune", "", {"reclaimed": "0"})
    return answer({"NetworksDeleted": [network.name for network in removed] or None})


def _destroyed(runtime: Runtime, network: Network) -> None:
    attributes = {"name": network.name, "type": network.driver}
    runtime.events.publish("network", "destroy", network.id, attributes)


async def volume_prune(_: web.Request) -> web.StreamResponse:
    return answer({"VolumesDeleted": None, "SpaceReclaimed": 0})


async def volume_list(_: web.Request) -> web.StreamResponse:
    return answer({"Volumes": [], "Warnings": None})


ROUTES: list[Route] = [
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("GET", "/events", events),
    ("GET", "/networks", network_list),
    ("POST", "/networks/prune", network_prune),
    ("POST", "/networks/create", network_create),
    ("GET", "/networks/{id}", network_inspect),
    ("DELETE", "/networks/{id}", network_remove),
    ("GET", "/volumes", volume_list),
    ("POST", "/volumes/prune", volume_prune),
]
