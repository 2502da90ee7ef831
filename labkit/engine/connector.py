"""A container's way into its network: address, name, /etc files, published ports.

Invariant: what `connect` took, `disconnect` gives back, also when `connect` failed halfway.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labkit.engine import environment, ports
from labkit.engine.containers import Container
from labkit.engine.errors import Conflict, EngineError, is_restarting
from labkit.engine.events import Events
from labkit.engine.networks import Networks
from labkit.engine.ports import Forwarder


class Connector:
    """Connects containers; `python` is where their interpreter is, `find` finds a container."""

    def __init__(
        self, networks: Networks, events: Events, python: Path, find: Callable[[str], Container]
    ) -> None:
        self._networks, self._events, self._python, self._find = networks, events, python, find

    async def connect(self, container: Container) -> environment.Place:
        """Give the container its network: address, name, published ports."""
        mode = container.host_config["NetworkMode"]
        if mode.startswith("container:"):
            other = self._find(mode.partition(":")[2])
            if other.state.status == "restarting":
                raise is_restarting(other.id)
            if not other.state.running:
                raise Conflict(f"cannot join network of a non running container: {other.id}")
            self._share_etc(container, other)
            address, hostname = other.place.address, other.place.hostname
        else:
            wanted = (container.endpoints.get("IPAMConfig") or {}).get("IPv4Address") or ""
            container.network = self._networks.find(mode)
            container.address = address = container.network.take(container.id, wanted)
            hostname = container.config["Hostname"]
            self._network_event(container, "connect")
            await self._publish_ports(container)
        place = environment.Place(container.root, address or "127.0.0.1", hostname, self._python)
        if not mode.startswith("container:"):
            self._write_etc(container, place)
        return place

    @staticmethod
    def _write_etc(container: Container, place: environment.Place) -> None:
        etc = container.root / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "resolv.conf").write_text(environment.resolv_conf(container.host_config))
        extra = container.host_config.get("ExtraHosts") or ()
        (etc / "hosts").write_text(environment.hosts(place, extra))
        (etc / "hostname").write_text(place.hostname + "\n")

    @staticmethod
    def _share_etc(container: Container, other: Container) -> None:
        """Containers that share a network share its files, as dockerd mounts them."""
        for name in environment.NETWORK_FILES:
            link = container.root / "etc" / name
            link.unlink(missing_ok=True)
            link.symlink_to(other.root / "etc" / name)

    async def _publish_ports(self, container: Container) -> None:
        wanted = ports.bindings(container.host_config, container.config["ExposedPorts"])
        if wanted:
            container.forwarder = Forwarder(container.address or "127.0.0.1")
            try:
                await container.forwarder.open(wanted)
            except EngineError as error:
                raise EngineError(
                    "driver failed programming external connectivity on endpoint "
                    f"{container.name} ({container.id}): {error}"
                ) from None

    def disconnect(self, container: Container) -> None:
        if container.forwarder is not None:
            container.forwarder.close()
            container.forwarder = None
        if container.network is not None and container.address:
            container.network.give_back(container.address)
            container.address = ""
            self._network_event(container, "disconnect")

    def _network_event(self, container: Container, action: str) -> None:
        network = container.network
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self._events.publish("network", action, network.id, attributes)
