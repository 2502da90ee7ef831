"""Published ports (`docker run -p 8080:80`): TCP forwarders from 127.0.0.1 to a container.

The daemon accepts on the host's port and copies bytes both ways, as Docker's userland proxy does.
Everything of the lab listens on loopback addresses only: a binding to 0.0.0.0 becomes 127.0.0.1,
and `docker ps` says so.  UDP is left out.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from typing import Any

from labkit.engine.errors import BadParameter, EngineError

Binding = tuple[int, str, int]  # container's port, host's address, host's port (0: any free one)
ANYWHERE = ("", "0.0.0.0", "::")
BUFFER = 64 << 10


def bindings(host_config: Mapping[str, Any], exposed: Mapping[str, Any]) -> list[Binding]:
    """What HostConfig.PortBindings and PublishAllPorts ask for.  Raises BadParameter."""
    wanted = dict(host_config.get("PortBindings") or {})
    if host_config.get("PublishAllPorts"):
        wanted = {port: [{}] for port in exposed} | wanted
    found = []
    for port, places in wanted.items():
        number, _, protocol = port.partition("/")
        if protocol not in ("", "tcp"):
            raise BadParameter(
                f"The port {port} cannot be published. The embedded engine forwards TCP only. "
                f"Publish it as {number}/tcp."
            )
        for place in places or [{}]:
            address = place.get("HostIp") or ""
            address = "127.0.0.1" if address in ANYWHERE else address
            if not address.startswith("127."):
                raise BadParameter(
                    f"The port {port} cannot be published on {address}. The lab listens on this "
                    f"machine's loopback addresses only. Leave the address out: -p {number}."
                )
            found.append((int(number), address, int(place.get("HostPort") or 0)))
    return found


class Forwarder:
    """The published ports of one running container."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._servers: list[tuple[int, asyncio.Server]] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, wanted: list[Binding]) -> None:
        """Listen.  Raises EngineError with the daemon's words if a port is taken."""
        for port, host, host_port in wanted:
            try:
                server = await asyncio.start_server(self._accept(port), host, host_port)
            except OSError as error:
                self.close()
                if error.errno == errno.EADDRINUSE:
                    raise EngineError(
                        f"Bind for {host}:{host_port} failed: port is already allocated"
                    ) from None
                raise EngineError(f"listen tcp4 {host}:{host_port}: {error.strerror}") from None
            self._servers.append((port, server))

    def published(self) -> dict[str, list[dict[str, str]]]:
        """`NetworkSettings.Ports`."""
        found: dict[str, list[dict[str, str]]] = {}
        for port, server in self._servers:
            host, host_port = server.sockets[0].getsockname()
            place = {"HostIp": host, "HostPort": str(host_port)}
            found.setdefault(f"{port}/tcp", []).append(place)
        return found

    def close(self) -> None:
        """Stop listening, and cut what is connected."""
        for _, server in self._servers:
            server.close()
        for connection in self._connections:
            connection.cancel()
        self._servers.clear()

    def _accept(self, port: int):
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            self._connections.add(task)
            try:
                await self._forward(port, reader, writer)
            except OSError:
                pass  # the container refused or reset the connection: so does the forwarder
            finally:
                self._connections.discard(task)
                writer.close()

        return serve

    async def _forward(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._address, port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(copy(reader, inner_writer))
                both.create_task(copy(inner_reader, writer))
        except* OSError:
            pass
        finally:
            inner_writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then pass the end on."""
    while data := await reader.read(BUFFER):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
