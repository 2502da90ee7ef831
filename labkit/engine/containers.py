"""A container: what was asked for, the state it is in, and how the API shows both.

States and the ways between them (Docker's own):

    created ──start──▶ running ──main process ends──▶ exited ──start──▶ running
                       running ──pause──▶ paused ──unpause──▶ running
                       running ──main process ends──▶ restarting ──after a while──▶ running
       created and exited, or any with force ──remove──▶ gone

As in Docker a container that is paused or restarting counts as running (`State.running`).

Invariant: `process` is set exactly while the state is running or paused; address and published
ports are held exactly while it is.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.engine.environment import Place
from labkit.engine.logs import Record
from labkit.engine.networks import Network
from labkit.engine.ports import Forwarder
from labkit.engine.processes import Process
from labkit.engine.restarts import Restarts
from labkit.engine.timestamps import rfc3339_nano, spoken

if TYPE_CHECKING:
    from labkit.engine.health import Health

# What clients expect to find in HostConfig, whatever the request said.
HOST_DEFAULTS: dict[str, Any] = {
    "Binds": None,
    "NetworkMode": "default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "LogConfig": {"Type": "json-file", "Config": {}},
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "Privileged": False,
    "PublishAllPorts": False,
    "Memory": 0,
    "NanoCpus": 0,
    "CpuShares": 0,
    "CpuPeriod": 0,
    "CpuQuota": 0,
}


_HEALTHS = {"none": "", "starting": "health: starting"} | {
    word: word for word in ("healthy", "unhealthy")
}


@dataclass
class State:
    """`State` of the API; times in Unix seconds, 0 for never."""

    status: str = "created"
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started: float = 0.0
    finished: float = 0.0

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused", "restarting")

    def begin(self, now: float) -> None:
        """A run starts."""
        self.status, self.started = "running", now
        self.exit_code, self.error, self.oom_killed = 0, "", False

    def end(self, now: float, code: int, *, restarting: bool) -> None:
        """A run has ended."""
        self.status = "restarting" if restarting else "exited"
        self.finished, self.exit_code = now, code

    def view(self, pid: int) -> dict[str, Any]:
        return {
            "Status": self.status,
            "Running": self.running,
            "Paused": self.status == "paused",
            "Restarting": self.status == "restarting",
            "OOMKilled": self.oom_killed,
            "Dead": False,
            "Pid": pid,
            "ExitCode": self.exit_code,
            "Error": self.error,
            "StartedAt": rfc3339_nano(self.started),
            "FinishedAt": rfc3339_nano(self.finished),
        }

    def sentence(self, now: float, health: str = "none") -> str:
        """The STATUS column of `docker ps`: `Up 3 minutes`, `Exited (0) 2 hours ago`."""
        if self.status in ("restarting", "exited"):
            word = self.status.capitalize()
            return f"{word} ({self.exit_code}) {spoken(now - self.finished)} ago"
        if self.running:
            words = "Paused" if self.status == "paused" else _HEALTHS[health]
            return f"Up {spoken(now - self.started)}" + (f" ({words})" if words else "")
        return self.status.capitalize()


@dataclass(eq=False)
class Container:
    """One container.  `config` and `host_config` are the API's JSON, defaults filled in."""

    id: str
    name: str
    image_id: str
    created: float
    config: dict[str, Any]
    host_config: dict[str, Any]
    endpoints: dict[str, Any]
    argv: list[str]
    root: Path
    state: State = field(default_factory=State)
    record: Record = field(default_factory=Record)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: Process | None = None
    place: Place | None = None  # of the latest run
    health: Health | None = None  # the same, if it is checked
    network: Network | None = None
    address: str = ""
    forwarder: Forwarder | None = None
    execs: list[str] = field(default_factory=list)
    restarts: Restarts = field(default_factory=Restarts)
    restarted: bool = False  # by hand: its end is then no reason for an automatic removal
    gone: bool = False
    # Woken at every change of state; waiters look again.
    _changed: list[asyncio.Future[None]] = field(default_factory=list)
    exits: int = 0  # how many runs have ended

    @property
    def labels(self) -> dict[str, str]:
        return self.config["Labels"]

    @property
    def health_status(self) -> str:
        return self.health.status if self.health else "none"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def changed(self) -> None:
        """Wake all that wait for this container."""
        waiters, self._changed = self._changed, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self) -> None:
        """Return at the next change of state."""
        waiter = asyncio.get_running_loop().create_future()
        self._changed.append(waiter)
        await waiter

    def attributes(self, **more: str) -> dict[str, str]:
        """The attributes of the container's events."""
        return {**self.labels, **more, "image": self.config["Image"], "name": self.name}

    def endpoint_settings(self) -> dict[str, Any]:
        """One value of `NetworkSettings.Networks`."""
        network = self.network
        held = network is not None and bool(self.address)
        return {
            "IPAMConfig": self.endpoints.get("IPAMConfig"),
            "Links": None,
            "Aliases": self.endpoints.get("Aliases"),
            "NetworkID": network.id if network else "",
            "EndpointID": self.id if held else "",
            "Gateway": network.gateway if held else "",
            "IPAddress": self.address if held else "",
            "IPPrefixLen": network.prefix if held else 0,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": "",
            "DriverOpts": None,
        }

    def networks(self) -> dict[str, Any]:
        return {self.network.name: self.endpoint_settings()} if self.network else {}

    def ports(self) -> dict[str, list[dict[str, str]] | None]:
        """`NetworkSettings.Ports`: exposed ports, with where they are published."""
        if self.process is None:
            return {}
        published = self.forwarder.published() if self.forwarder else {}
        return dict.fromkeys(self.config["ExposedPorts"] or {}) | published


def inspect(container: Container) -> dict[str, Any]:
    """The answer of `GET /containers/{id}/json`."""
    endpoint = container.endpoint_settings()
    shown = ("EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress")
    return {
        "Id": container.id,
        "Created": rfc3339_nano(container.created),
        "Path": container.argv[0],
        "Args": container.argv[1:],
        "State": container.state.view(container.pid)
        | ({"Health": container.health.view()} if container.health else {}),
        "Image": container.image_id,
        "ResolvConfPath": str(container.root / "etc/resolv.conf"),
        "HostnamePath": str(container.root / "etc/hostname"),
        "HostsPath": str(container.root / "etc/hosts"),
        "LogPath": "",
        "Name": f"/{container.name}",
        "RestartCount": container.restarts.count,
        "Driver": "copy",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": container.execs or None,
        "HostConfig": container.host_config,
        "GraphDriver": {"Data": None, "Name": "copy"},
        "Mounts": mounts(container.host_config),
        "Config": container.config,
        "NetworkSettings": {
            "Bridge": "",
            "SandboxID": "",
            "SandboxKey": "",
            "Ports": container.ports(),
            **{key: endpoint[key] for key in shown},
            "Networks": container.networks(),
        },
    }


def summary(container: Container, now: float) -> dict[str, Any]:
    """One item of `GET /containers/json`."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.config["Image"],
        "ImageID": container.image_id,
        "Command": shlex.join(container.argv),
        "Created": int(container.created),
        "Ports": list(_port_list(container.ports())),
        "Labels": container.labels,
        "State": container.state.status,
        "Status": container.state.sentence(now, container.health_status),
        "HostConfig": {"NetworkMode": container.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": container.networks()},
        "Mounts": mounts(container.host_config),
    }


def _port_list(ports: Mapping[str, list[dict[str, str]] | None]):
    for port, places in ports.items():
        number, _, protocol = port.partition("/")
        inside = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        for place in places or ():
            yield {"IP": place["HostIp"], "PublicPort": int(place["HostPort"]), **inside}
        if not places:
            yield inside


def mounts(host_config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The bind mounts asked for: `Binds` (`source:target[:ro]`) and `Mounts`."""
    found = []
    for bind in host_config.get("Binds") or ():
        source, target, *mode = bind.split(":")
        found.append((source, target, mode != ["ro"]))
    for mount in host_config.get("Mounts") or ():
        found.append((mount["Source"], mount["Target"], not mount.get("ReadOnly")))
    return [
        {
            "Type": "bind",
            "Source": source,
            "Destination": target,
            "Mode": "",
            "RW": writable,
            "Propagation": "rprivate",
        }
        for source, target, writable in found
    ]
